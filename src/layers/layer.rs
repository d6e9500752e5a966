//! Built layers: a description with its weights on a device.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::LayerConfig;
use super::describe::Declared;
use crate::geometry::axis_index;
use crate::ops::{self, Kernel, Tape, Value};
use crate::plan::{ConvProblem, Problem};
use crate::tensor::{check_call, require};
use crate::{Commands, DType, DTypePolicy, Error, Gpu, HostTensor, PartialShape, Result, Rounding, Shape, Tensor};

/// A layer built on a device: its description, its name and its weights.
///
/// ```no_run
/// use wgpu_conv::{Gpu, Padding, Tensor, layers::Conv2D};
///
/// let gpu = Gpu::new()?;
/// let conv = Conv2D::new(8, 3).padding(Padding::Same).build(&gpu, [None, None, None, Some(3)])?;
/// let output = conv.call(&Tensor::from_slice(&gpu, [1, 5, 7, 3], &[0.5f32; 105])?)?;
/// assert_eq!(output.shape().dims(), [1, 5, 7, 8]);
/// assert_eq!(conv.count_params(), 3 * 3 * 3 * 8 + 8);
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
pub struct Layer {
    gpu: Gpu,
    config: LayerConfig,
    name: String,
    /// The axes of the first input that it was built for, and their extents.
    fixed: Vec<(i32, usize)>,
    dtype: DType,
    rounding: Option<Rounding>,
    weights: Vec<Weight>,
    /// What the forward pass reads, made from the weights.
    operands: Vec<Arc<Kernel>>,
}

/// What devices hold, or will, of weights that layers have in common.
#[cfg(feature = "onnx")]
#[derive(Default)]
pub(crate) struct SharedOperands(HashMap<(usize, DType, Option<Rounding>), Arc<Kernel>>);

#[cfg(feature = "onnx")]
impl SharedOperands {
    /// Puts the operand that is of the same tensor in the place of `operand`, if there is one.
    fn take(&mut self, operand: &mut Arc<Kernel>) {
        let key = (operand.place(), operand.dtype(), operand.rounding());
        *operand = self.0.entry(key).or_insert_with(|| operand.clone()).clone();
    }
}

/// One weight of a layer, in its variable type.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    pub(super) name: &'static str,
    trainable: bool,
    /// Layers that are given one tensor have it in common.
    pub(super) value: Arc<HostTensor>,
}

impl Weight {
    /// Keras's name: `kernel`, `bias`, `depthwise_kernel`, ….
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The extents, in Keras's order whatever the data format.
    pub fn shape(&self) -> &Shape {
        &self.value.shape
    }

    /// The values.
    pub fn value(&self) -> &HostTensor {
        &self.value
    }

    /// Whether training may change it.
    pub fn trainable(&self) -> bool {
        self.trainable
    }
}

impl Layer {
    pub(super) fn new(gpu: &Gpu, config: LayerConfig, inputs: &[PartialShape]) -> Result<Self> {
        Self::make(gpu, config, inputs, |_, declared, dtype| {
            for weight in declared {
                let bytes = weight.shape.elements()?.saturating_mul(dtype.size() as u64);
                if bytes > gpu.caps().max_buffer {
                    return Err(Error::limit("bytes of one buffer", bytes, gpu.caps().max_buffer));
                }
            }
            let value = |weight: &Declared| {
                let values = weight.initializer.values(&weight.shape, dtype)?;
                Ok(Arc::new(HostTensor { shape: weight.shape.clone(), values }))
            };
            declared.iter().map(value).collect()
        })
    }

    /// The layer with `values` for weights, in Keras's order, in place of initial ones. Their number and shapes are checked
    /// before anything of their size is made, so a forged config cannot ask for more than was given.
    ///
    /// # Errors
    /// Those of [`LayerConfig::build`] and [`set_weights`](Self::set_weights).
    pub fn with_weights(
        gpu: &Gpu,
        config: impl Into<LayerConfig>,
        inputs: &[PartialShape],
        values: Vec<HostTensor>,
    ) -> Result<Self> {
        Self::make(gpu, config.into(), inputs, |name, declared, _| {
            check_weights(name, declared.iter().map(|weight| (weight.name, &weight.shape)), &values)?;
            Ok(values.into_iter().map(Arc::new).collect())
        })
    }

    /// [`with_weights`](Self::with_weights), with weights that other layers may have in common with it: what a device gets of
    /// them it gets once.
    #[cfg(feature = "onnx")]
    pub(crate) fn with_shared(
        gpu: &Gpu,
        config: impl Into<LayerConfig>,
        inputs: &[PartialShape],
        values: Vec<Arc<HostTensor>>,
        shared: &mut SharedOperands,
    ) -> Result<Self> {
        let mut layer = Self::make(gpu, config.into(), inputs, |name, declared, _| {
            check_weights(name, declared.iter().map(|weight| (weight.name, &weight.shape)), &values)?;
            Ok(values)
        })?;
        layer.operands.iter_mut().for_each(|operand| shared.take(operand));
        Ok(layer)
    }

    /// The layer with what `values` makes of its name, its declared weights and its compute type.
    fn make(
        gpu: &Gpu,
        config: LayerConfig,
        inputs: &[PartialShape],
        values: impl FnOnce(&str, &[Declared], DType) -> Result<Vec<Arc<HostTensor>>>,
    ) -> Result<Self> {
        config.output_shape_all(inputs)?;
        let policy = config.common().dtype;
        let (dtype, rounding) = policy.compute().ok_or_else(float64_unsupported)?;
        require(gpu, dtype)?;
        let fixed = config.fixed_extents(inputs);
        let name = config.common().name.clone().unwrap_or_else(|| unique_name(config.class_name()));
        let declared = config.describe().weights(inputs)?;
        let values = values(&name, &declared, dtype)?;
        let weights = declared.into_iter().zip(values).map(|(Declared { name, trainable, .. }, value)| Weight {
            name,
            trainable,
            value: stored(policy, value),
        });
        let weights: Vec<Weight> = weights.collect();
        let operands = config.kernels(&weights, dtype, rounding);
        Ok(Self { gpu: gpu.clone(), config, name, fixed, dtype, rounding, weights, operands })
    }

    /// The description it was built from.
    pub fn config(&self) -> &LayerConfig {
        &self.config
    }

    /// The name given, or the class name in snake case with a counter.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The device it was built on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The weights, in Keras's order.
    pub fn weights(&self) -> &[Weight] {
        &self.weights
    }

    /// The number of weight elements.
    pub fn count_params(&self) -> u64 {
        self.weights.iter().map(|weight| weight.value.values.len() as u64).sum()
    }

    /// The values of all weights, in Keras's order.
    pub fn get_weights(&self) -> Vec<HostTensor> {
        self.weights.iter().map(|weight| HostTensor::clone(&weight.value)).collect()
    }

    /// Replaces the values of all weights, given in Keras's order, converted to the variable type.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the number or a shape differs, naming the layer, the expected and the received; the
    /// layer is unchanged then.
    pub fn set_weights(&mut self, values: &[HostTensor]) -> Result<()> {
        check_weights(&self.name, self.weights.iter().map(|weight| (weight.name, weight.shape())), values)?;
        let policy = self.config.common().dtype;
        for (weight, value) in self.weights.iter_mut().zip(values) {
            weight.value = stored(policy, Arc::new(value.clone()));
        }
        self.operands = self.config.kernels(&self.weights, self.dtype, self.rounding);
        Ok(())
    }

    /// The output shape for `input`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a [call](Self::call) would refuse the shape.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.output_shape_all(&[input.into()])
    }

    /// The output shape for several inputs: see [`output_shape`](Self::output_shape).
    ///
    /// # Errors
    /// [`Error::Invalid`] where a [call](Self::call_all) would refuse the shapes.
    pub fn output_shape_all(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        if let Some(input) = inputs.first() {
            self.check_fixed(input)?;
        }
        self.config.output_shape_all(inputs)
    }

    /// The layer's output for `input`, in one submission. It is there when the device gets to it:
    /// [`Tensor::read`] waits for it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a shape or type the layer cannot take, [`Error::Limit`] and [`Error::Gpu`] where the device
    /// cannot compute it.
    pub fn call(&self, input: &Tensor) -> Result<Tensor> {
        self.call_all(std::slice::from_ref(input))
    }

    /// The output of a layer that takes several tensors: see [`call`](Self::call).
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub fn call_all(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let mut commands = Commands::new(&self.gpu);
        let output = self.record_all(&mut commands, inputs)?;
        commands.submit()?;
        Ok(output)
    }

    /// Adds the layer to `commands`; the tensor returned has its values once they are submitted.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub fn record(&self, commands: &mut Commands, input: &Tensor) -> Result<Tensor> {
        self.record_all(commands, std::slice::from_ref(input))
    }

    /// [`record`](Self::record) for a layer that takes several tensors.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub fn record_all(&self, commands: &mut Commands, inputs: &[Tensor]) -> Result<Tensor> {
        check_call(&format!("layer {}", self.name), &self.gpu, commands, inputs)?;
        let mut tape = Tape::default();
        let values =
            inputs.iter().map(|input| tape.input(input.shape().clone(), input.dtype())).collect::<Result<Vec<_>>>()?;
        let output = self.lower(&mut tape, &values)?;
        Ok(tape.record(commands, inputs, &[output])?.swap_remove(0))
    }

    /// Writes the layer's operations on `tape`.
    pub(crate) fn lower(&self, tape: &mut Tape, inputs: &[Value]) -> Result<Value> {
        let shapes: Vec<PartialShape> = inputs.iter().map(|&input| tape.shape(input).into()).collect();
        self.output_shape_all(&shapes)?;
        let mut cast = Vec::with_capacity(inputs.len());
        for &input in inputs {
            if !self.config.common().autocast && tape.dtype(input) != self.dtype {
                return Err(Error::invalid(
                    "input",
                    format!("with autocast off, layer {} must be given {}", self.name, self.dtype),
                    format!("an input of {}", tape.dtype(input)),
                ));
            }
            cast.push(ops::cast(tape, self.dtype, self.rounding, input)?);
        }
        tape.rounding = self.rounding;
        let output = self.config.describe().lower(tape, &cast, &self.operands)?;
        ops::rounded(tape, output)
    }

    fn check_fixed(&self, input: &PartialShape) -> Result<()> {
        for &(axis, extent) in &self.fixed {
            let received = axis_index(axis, input.rank()).and_then(|index| input.dims()[index]);
            match received {
                Some(received) if received != extent => {
                    return Err(Error::invalid(
                        "input",
                        format!(
                            "axis {axis} of the input of layer {} must have the extent {extent} it was built with",
                            self.name
                        ),
                        format!("{received} in input shape={input}"),
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layer").field("name", &self.name).field("class", &self.config.class_name()).finish()
    }
}

impl LayerConfig {
    /// The convolutions that a call with an input of shape `input` computes, in order. Dense and BatchNormalization are
    /// convolutions too; other layers have none.
    ///
    /// [`Gpu::candidates`] and [`candidates`](crate::candidates) list the ways to compute each.
    ///
    /// # Errors
    /// [`Error::Invalid`] and [`Error::Unsupported`] where [building](Self::build) the layer for `input` would refuse.
    ///
    /// ```
    /// use wgpu_conv::layers::{LayerConfig, SeparableConv2D};
    ///
    /// let [depthwise, pointwise] = LayerConfig::from(SeparableConv2D::new(64, 3)).convolutions([1, 9, 7, 32])?[..] else {
    ///     unreachable!("a separable convolution is two");
    /// };
    /// assert_eq!((depthwise.geometry.groups, depthwise.geometry.out_channels), (32, 32));
    /// assert!(pointwise.geometry.is_pointwise());
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn convolutions(&self, input: impl Into<Shape>) -> Result<Vec<ConvProblem>> {
        let problems = self.problems(&[input.into()])?;
        Ok(problems
            .into_iter()
            .filter_map(|problem| match problem {
                Problem::Conv(problem) => Some(problem),
                _ => None,
            })
            .collect())
    }

    /// Everything that a call with inputs of these shapes computes, in order.
    ///
    /// # Errors
    /// Those of [`convolutions`](Self::convolutions).
    pub fn problems(&self, inputs: &[Shape]) -> Result<Vec<Problem>> {
        let shapes: Vec<PartialShape> = inputs.iter().map(Into::into).collect();
        self.output_shape_all(&shapes)?;
        let (dtype, rounding) = self.common().dtype.compute().ok_or_else(float64_unsupported)?;
        let unset = |declared: Declared| {
            let Declared { name, shape, trainable, .. } = declared;
            Weight { name, trainable, value: Arc::new(HostTensor { shape, values: Vec::new() }) }
        };
        let weights: Vec<_> = self.describe().weights(&shapes)?.into_iter().map(unset).collect();
        let mut tape = Tape::default();
        tape.rounding = rounding;
        let values = inputs.iter().map(|shape| tape.input(shape.clone(), dtype)).collect::<Result<Vec<_>>>()?;
        self.describe().lower(&mut tape, &values, &self.kernels(&weights, dtype, rounding))?;
        Ok(tape.steps.into_iter().map(|step| step.problem).collect())
    }

    /// What the forward pass reads of `weights`.
    fn kernels(&self, weights: &[Weight], dtype: DType, rounding: Option<Rounding>) -> Vec<Arc<Kernel>> {
        let operands = self.describe().operands(weights);
        operands.into_iter().map(|operand| Kernel::new(operand, dtype, rounding)).collect()
    }

    /// The axes of the first input that building fixes, with their extents there.
    fn fixed_extents(&self, inputs: &[PartialShape]) -> Vec<(i32, usize)> {
        let Some(input) = inputs.first() else { return Vec::new() };
        let axes = self.describe().fixed_axes(input.rank()).into_iter();
        axes.filter_map(|axis| Some((axis, input.dims()[axis_index(axis, input.rank())?]?))).collect()
    }
}

/// # Errors
/// [`Error::Invalid`] where `values` are not of the names and shapes that the weights of layer `layer` have.
pub(crate) fn check_weights<'a>(
    layer: &str,
    expected: impl ExactSizeIterator<Item = (&'static str, &'a Shape)>,
    values: &[impl Borrow<HostTensor>],
) -> Result<()> {
    let values: Vec<&HostTensor> = values.iter().map(Borrow::borrow).collect();
    if values.len() != expected.len() {
        let shapes: Vec<_> = values.iter().map(|value| value.shape.to_string()).collect();
        let expected: Vec<_> = expected.map(|(name, shape)| format!("{name} {shape}")).collect();
        return Err(Error::invalid(
            "weights",
            format!("layer {layer} must be given {} weights: [{}]", expected.len(), expected.join(", ")),
            format!("{}: [{}]", values.len(), shapes.join(", ")),
        ));
    }
    for ((name, shape), value) in expected.zip(values) {
        if *shape != value.shape || value.shape.elements()? != value.values.len() as u64 {
            return Err(Error::invalid(
                "weights",
                format!("weight {layer}/{name} must have the shape {shape}"),
                format!("shape {} with {} values", value.shape, value.values.len()),
            ));
        }
    }
    Ok(())
}

fn float64_unsupported() -> Error {
    Error::unsupported(
        "float64 as a compute dtype",
        "shaders have f32 and f16; give the layer another policy with `.dtype(DTypePolicy::Float32)`, or call \
         `Settings::set_floatx`",
    )
}

/// `value` as a variable of `policy` holds it.
fn stored(policy: DTypePolicy, mut value: Arc<HostTensor>) -> Arc<HostTensor> {
    let round = match policy.variables() {
        Some((DType::F16, _)) => Some(Rounding::Float16),
        Some((DType::F32, rounding)) => rounding,
        None => None,
    };
    if let Some(round) = round {
        Arc::make_mut(&mut value).values.iter_mut().for_each(|v| *v = round.round(*v));
    }
    value
}

static NAMES: Mutex<Option<HashMap<&'static str, u32>>> = Mutex::new(None);

/// `conv2d`, `conv2d_1`, …: the class name in snake case, counted for the whole process.
fn unique_name(class: &'static str) -> String {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let count = names.get_or_insert_default().entry(class).or_insert(0);
    let name = match *count {
        0 => snake_case(class),
        n => format!("{}_{n}", snake_case(class)),
    };
    *count += 1;
    name
}

/// Starts the counters of automatic layer names again.
pub fn reset_names() {
    *NAMES.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// A class name as Keras writes it in layer names and in weight files: `DepthwiseConv2D` as `depthwise_conv2d`, `ReLU`
/// as `re_lu` (`keras/src/utils/naming.py`, `to_snake_case`).
pub(crate) fn snake_case(class: &str) -> String {
    let letters: Vec<char> = class.chars().collect();
    let mut name = String::new();
    for (index, &letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|i| letters[i]);
        let opens_word = letter.is_ascii_uppercase() && letters.get(index + 1).is_some_and(char::is_ascii_lowercase);
        if before.is_some_and(|b| opens_word || (letter.is_ascii_uppercase() && b.is_ascii_lowercase())) {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn classes_in_snake_case() {
        for (class, name) in [
            ("Conv2D", "conv2d"),
            ("DepthwiseConv2D", "depthwise_conv2d"),
            ("SeparableConv2D", "separable_conv2d"),
            ("BatchNormalization", "batch_normalization"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
            ("ReLU", "re_lu"),
            ("Dense", "dense"),
        ] {
            assert_eq!(snake_case(class), name);
        }
    }
}
