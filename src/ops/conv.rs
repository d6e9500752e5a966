//! Convolution: dense, grouped, pointwise and depthwise are one operation with different numbers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::elementwise::activate;
use crate::geometry::ConvGeometry;
use crate::gpu::{BufferBinding, Commands, Operands};
use crate::plan::{ConvProblem, Elementwise, Epilogue, Packing, Problem};
use crate::{Activation, DType, DataFormat, Error, Result, Tensor};

/// A convolution's kernel in Keras's order, and what plans have packed of it.
pub(crate) struct Kernel {
    tensor: Tensor,
    packed: Mutex<HashMap<Packing, Tensor>>,
}

impl Kernel {
    pub(crate) fn new(tensor: Tensor) -> Self {
        Self { tensor, packed: Mutex::default() }
    }

    /// The values in Keras's order.
    pub(crate) fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The kernel as `packing` wants it, packed now if it is the first time.
    fn packed(&self, packing: &Packing) -> Result<Tensor> {
        let mut packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tensor) = packed.get(packing) {
            return Ok(tensor.clone());
        }
        let gpu = self.tensor.gpu();
        let output = Tensor::uninitialized(gpu, [packing.elements as usize].into(), self.tensor.dtype())?;
        let mut commands = Commands::new(gpu);
        let (from, to) = (self.tensor.binding(), output.binding());
        let operands = Operands { input: &from, kernel: None, bias: None, output: &to };
        commands.dispatch("pack", &packing.step, &operands, &[])?;
        commands.submit()?;
        packed.insert(packing.clone(), output.clone());
        Ok(output)
    }
}

/// What a convolution computes, apart from its tensors.
pub(crate) struct ConvArgs {
    pub(crate) geometry: ConvGeometry,
    pub(crate) data_format: DataFormat,
    pub(crate) activation: Activation,
}

impl ConvArgs {
    /// The problem on tensors of `dtype`; an activation along an axis is left to a pass of its own.
    pub(crate) fn problem(&self, dtype: DType, bias: bool) -> ConvProblem {
        let activation = Elementwise::new(&self.activation).unwrap_or(Elementwise::LINEAR);
        let epilogue = Epilogue { bias, activation };
        ConvProblem { geometry: self.geometry, dtype, data_format: self.data_format, epilogue }
    }
}

/// `activation(conv(input, kernel) + bias)`; the output is laid out as `data_format` says.
pub(crate) fn conv(
    commands: &mut Commands,
    args: &ConvArgs,
    input: &Tensor,
    kernel: &Kernel,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let ConvArgs { geometry, data_format, activation } = args;
    let [h, w] = geometry.axes;
    let dims = data_format.join(geometry.batch, geometry.out_channels, [h.output, w.output]);
    let dims: Vec<_> = dims.into_iter().map(|dim| dim as usize).collect();
    let output = Tensor::uninitialized(input.gpu(), dims.into(), input.dtype())?;
    if !output.is_empty() {
        record(commands, &args.problem(input.dtype(), bias.is_some()), input, kernel, bias, &output)?;
    }
    if activation.axis().is_none() { Ok(output) } else { activate(commands, activation, &output) }
}

/// Records `problem` at once, or in runs of images where a binding would exceed the device's limit.
fn record(
    commands: &mut Commands,
    problem: &ConvProblem,
    input: &Tensor,
    kernel: &Kernel,
    bias: Option<&Tensor>,
    output: &Tensor,
) -> Result<()> {
    let bias = bias.map(Tensor::binding);
    let (whole_input, whole_output) = (input.binding(), output.binding());
    let batch = u64::from(problem.geometry.batch);
    let (in_bytes, out_bytes) = (whole_input.size / batch, whole_output.size / batch);
    let run = images_per_run(commands, batch, in_bytes, out_bytes)?;
    let mut first = 0;
    while first < batch {
        let images = run.min(batch - first);
        let geometry = ConvGeometry { batch: images as u32, ..problem.geometry };
        let plan = commands.gpu().plan(&Problem::Conv(ConvProblem { geometry, ..*problem }))?;
        let kernel = match &plan.packing {
            Some(packing) => kernel.packed(packing)?.binding(),
            None => kernel.tensor.binding(),
        };
        let part = |whole: &BufferBinding, bytes: u64| BufferBinding {
            storage: whole.storage.clone(),
            offset: whole.offset + first * bytes,
            size: images * bytes,
        };
        let (input, output) = (part(&whole_input, in_bytes), part(&whole_output, out_bytes));
        commands
            .record(&plan, &Operands { input: &input, kernel: Some(&kernel), bias: bias.as_ref(), output: &output })?;
        first += images;
    }
    Ok(())
}

/// The most images whose input and output each fit one binding, and whose bytes keep the next run's offset aligned.
fn images_per_run(commands: &Commands, batch: u64, in_bytes: u64, out_bytes: u64) -> Result<u64> {
    let caps = commands.gpu().caps();
    let larger = in_bytes.max(out_bytes);
    let fit = caps.max_binding / larger.max(1);
    if fit >= batch {
        return Ok(batch);
    }
    let alignment = u64::from(caps.binding_alignment);
    let aligned = |images: &u64| [in_bytes, out_bytes].iter().all(|bytes| (images * bytes).is_multiple_of(alignment));
    let step = (1..alignment).find(aligned).unwrap_or(alignment);
    match fit / step * step {
        0 if step == 1 => Err(Error::limit("bytes of one storage binding", larger, caps.max_binding)),
        0 => Err(Error::limit(
            format!(
                "bytes of one storage binding of {step} images, whose runs start at multiples of {alignment} bytes"
            ),
            step * larger,
            caps.max_binding,
        )),
        images => Ok(images),
    }
}
