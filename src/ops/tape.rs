//! Operations on values as data: what layers come to, before anything runs.

use std::sync::Arc;

use super::{Form, Kernel, Passing, one_pass};
use crate::geometry::indexable;
use crate::gpu::{Bound, BufferBinding, Commands};
use crate::plan::{Binding, Operand, Parts, Plan, Problem, Texel};
use crate::{DType, DataFormat, Error, Gpu, Result, Rounding, Shape, Tensor};

/// A tensor of a [`Tape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Value(usize);

/// The memory of a value; values that are one another's [reshaping](Tape::reshape) share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Storage(pub(crate) usize);

/// What a step reads.
#[derive(Clone)]
pub(crate) struct Operands {
    pub(crate) input: Value,
    /// The right side of an operation on two values, or what a convolution adds to its sum.
    pub(crate) other: Option<Value>,
    pub(crate) kernel: Option<Arc<Kernel>>,
    pub(crate) bias: Option<Arc<Kernel>>,
    /// The kernel and the bias of the second of two convolutions in one.
    pub(crate) then_kernel: Option<Arc<Kernel>>,
    pub(crate) then_bias: Option<Arc<Kernel>>,
}

impl From<Value> for Operands {
    fn from(input: Value) -> Self {
        Self { input, other: None, kernel: None, bias: None, then_kernel: None, then_bias: None }
    }
}

/// One operation.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) problem: Problem,
    pub(crate) operands: Operands,
    pub(crate) output: Value,
}

#[derive(Clone)]
struct Info {
    shape: Shape,
    dtype: DType,
    storage: Storage,
}

/// That a value is another image with zeros around it, so that a convolution may read that one instead.
#[derive(Clone, Copy)]
pub(crate) struct Pad {
    pub(crate) padded: Value,
    pub(crate) source: Value,
    pub(crate) data_format: DataFormat,
    /// Zeros above and to the left.
    pub(crate) before: [u32; 2],
}

/// Operations in order, each reading inputs of the tape and what operations before it wrote.
///
/// A tape is a plain value: [`record`](Self::record) runs it as it stands, but for what is taken in [one pass](one_pass); a
/// model's program rewrites it first.
#[derive(Clone, Default)]
pub(crate) struct Tape {
    values: Vec<Info>,
    storages: usize,
    inputs: Vec<Value>,
    pads: Vec<Pad>,
    pub(crate) steps: Vec<Step>,
    /// The narrower format that the layer being lowered rounds its results to.
    pub(crate) rounding: Option<Rounding>,
}

impl Tape {
    /// A value that whoever runs the tape provides.
    pub(crate) fn input(&mut self, shape: Shape, dtype: DType) -> Result<Value> {
        let value = self.uninitialized(shape, dtype)?;
        self.inputs.push(value);
        Ok(value)
    }

    /// A value that steps are about to write.
    pub(crate) fn uninitialized(&mut self, shape: Shape, dtype: DType) -> Result<Value> {
        indexable(&shape)?;
        let storage = Storage(self.storages);
        self.storages += 1;
        self.values.push(Info { shape, dtype, storage });
        Ok(Value(self.values.len() - 1))
    }

    /// What whoever runs the tape provides, in order.
    pub(crate) fn inputs(&self) -> &[Value] {
        &self.inputs
    }

    pub(crate) fn shape(&self, value: Value) -> &Shape {
        &self.values[value.0].shape
    }

    pub(crate) fn dtype(&self, value: Value) -> DType {
        self.values[value.0].dtype
    }

    pub(crate) fn storage(&self, value: Value) -> Storage {
        self.values[value.0].storage
    }

    /// The number of [`Storage`]s.
    pub(crate) fn storages(&self) -> usize {
        self.storages
    }

    /// The number of elements, known to fit since the value exists.
    pub(crate) fn elements(&self, value: Value) -> u32 {
        self.shape(value).dims().iter().product::<usize>() as u32
    }

    /// Bytes of `value`.
    pub(crate) fn bytes(&self, value: Value) -> u64 {
        u64::from(self.elements(value)) * self.dtype(value).size() as u64
    }

    /// The same elements under another shape; nothing runs for it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the number of elements differs.
    pub(crate) fn reshape(&mut self, value: Value, shape: impl Into<Shape>) -> Result<Value> {
        let shape = shape.into();
        let info = &self.values[value.0];
        if shape.elements()? != info.shape.elements()? {
            return Err(Error::invalid(
                "shape",
                "the number of elements must be unchanged",
                format!("shape={shape} for a value of shape {}", info.shape),
            ));
        }
        self.values.push(Info { shape, ..info.clone() });
        Ok(Value(self.values.len() - 1))
    }

    /// A new value of `shape`, of the input's type, which `problem` makes of `operands`.
    pub(crate) fn step(&mut self, problem: Problem, operands: impl Into<Operands>, shape: Shape) -> Result<Value> {
        let operands = operands.into();
        let output = self.uninitialized(shape, self.dtype(operands.input))?;
        self.step_into(problem, operands, output);
        Ok(output)
    }

    /// Adds an operation that writes `output`, all of it or a part.
    pub(crate) fn step_into(&mut self, problem: Problem, operands: impl Into<Operands>, output: Value) {
        if self.elements(output) > 0 {
            self.steps.push(Step { problem, operands: operands.into(), output });
        }
    }

    /// Says that a value is another one padded with zeros.
    pub(crate) fn note_pad(&mut self, pad: Pad) {
        self.pads.push(pad);
    }

    /// What `value` is a padding of, if it is known to be one.
    pub(crate) fn pad_of(&self, value: Value) -> Option<&Pad> {
        self.pads.iter().find(|pad| pad.padded == value)
    }

    /// For each storage, the index after the last step that reads or writes it; `usize::MAX` for those of `kept`.
    pub(crate) fn last_uses(&self, kept: &[Value]) -> Vec<usize> {
        let mut last = vec![0; self.storages];
        for (index, step) in self.steps.iter().enumerate() {
            for value in step.values() {
                last[self.storage(value).0] = index + 1;
            }
        }
        for &value in kept {
            last[self.storage(value).0] = usize::MAX;
        }
        last
    }

    /// The step before `reader` that alone writes `value`, all of it, where `reader` alone reads it and nothing outside
    /// does.
    pub(crate) fn maker(&self, outputs: &[Value], reader: usize, value: Value) -> Option<usize> {
        let storage = self.storage(value);
        let is = |other: &Value| self.storage(*other) == storage;
        if outputs.iter().any(is) || self.inputs.iter().any(is) {
            return None;
        }
        let mut found = None;
        for (index, step) in self.steps.iter().enumerate() {
            let reads =
                [Some(step.operands.input), step.operands.other].iter().flatten().filter(|other| is(other)).count();
            if reads > usize::from(index == reader) {
                return None;
            }
            if is(&step.output) && found.replace(index).is_some() {
                return None;
            }
        }
        found
    }

    /// Records every step into `commands`, two in [one pass](one_pass) where the device is to; returns `outputs`. Memory is
    /// let go after its last use.
    pub(crate) fn record(
        mut self,
        commands: &mut Commands,
        inputs: &[Tensor],
        outputs: &[Value],
    ) -> Result<Vec<Tensor>> {
        let gpu = commands.gpu().clone();
        one_pass(&mut self, &gpu, outputs)?;
        let last = self.last_uses(outputs);
        let mut memory: Vec<Option<Tensor>> = vec![None; self.storages];
        let mut passing = Passing::default();
        for (value, tensor) in self.inputs.iter().zip(inputs) {
            memory[self.storage(*value).0] = Some(tensor.clone());
        }
        for (index, step) in self.steps.iter().enumerate() {
            for value in step.values() {
                if let none @ None = &mut memory[self.storage(value).0] {
                    *none = Some(Tensor::recorded(commands, self.shape(value).clone(), self.dtype(value))?);
                }
            }
            for launch in self.launches(&gpu, step)? {
                let mut refills = Vec::new();
                for (kernel, form) in step.constants(&launch.plan) {
                    kernel.refill(&gpu, &form, &mut passing, &mut refills)?;
                }
                refills.iter().try_for_each(|refill| refill.record(commands))?;
                let whole = |value| {
                    let tensor: Option<&Tensor> = memory[self.storage(value).0].as_ref();
                    tensor.map(Tensor::binding).ok_or_else(unwritten)
                };
                launch.bind(&gpu, step, whole, |bound| commands.record(&launch.plan, bound))?;
            }
            for value in step.values() {
                let storage = self.storage(value).0;
                if last[storage] == index + 1 {
                    memory[storage] = None;
                }
            }
        }
        let tensor = |&value: &Value| {
            let made = match &memory[self.storage(value).0] {
                Some(tensor) => tensor.clone(),
                None => Tensor::uninitialized(&gpu, self.shape(value).clone(), self.dtype(value))?,
            };
            made.reshape(self.shape(value))
        };
        outputs.iter().map(tensor).collect()
    }

    /// How `step` is launched on `gpu`: at once, or in runs of its [parts](Problem::parts) where a binding would exceed the
    /// device's limit.
    pub(crate) fn launches(&self, gpu: &Gpu, step: &Step) -> Result<Vec<Launch>> {
        let Operands { input, other, .. } = step.operands;
        let values = [Some(input), other, Some(step.output)];
        let bytes = values.map(|value| value.map_or(0, |value| self.bytes(value)));
        let parts = step.problem.parts().unwrap_or(Parts { count: 1, steps: [0; 3] });
        let sizes = values.map(|value| value.map_or(0, |value| self.dtype(value).size() as u64));
        let steps = [0, 1, 2].map(|i| parts.steps[i] * sizes[i]);
        let count = u64::from(parts.count);
        let run = parts_per_run(gpu, count, bytes, steps)?;
        let mut launches = Vec::new();
        let mut first = 0;
        while first < count {
            let taken = run.min(count - first);
            let range = |i: usize, value| match steps[i] {
                step if step > 0 && run < count => Range { value, offset: first * step, size: taken * step },
                _ => Range { value, offset: 0, size: bytes[i] },
            };
            let problem = if run < count { step.problem.of_parts(taken as u32) } else { step.problem };
            launches.push(Launch {
                plan: gpu.plan(&problem)?,
                input: range(0, input),
                other: other.map(|other| range(1, other)),
                output: range(2, step.output),
            });
            first += taken;
        }
        Ok(launches)
    }
}

impl Step {
    /// What is constant, in the order kernel, bias, kernel and bias of a second convolution, each in the form that `plan`
    /// reads it in.
    fn forms(&self, plan: &Plan) -> [Option<(&Arc<Kernel>, Form)>; 4] {
        let Operands { kernel, bias, then_kernel, then_bias, .. } = &self.operands;
        [
            (kernel, Operand::Kernel),
            (bias, Operand::Bias),
            (then_kernel, Operand::ThenKernel),
            (then_bias, Operand::ThenBias),
        ]
        .map(|(kernel, operand)| kernel.as_ref().map(|kernel| (kernel, Form::of(plan, operand, kernel))))
    }

    /// What is constant, each in the form that `plan` reads it in.
    pub(crate) fn constants(&self, plan: &Plan) -> impl Iterator<Item = (&Arc<Kernel>, Form)> {
        self.forms(plan).into_iter().flatten()
    }

    /// The values read and written.
    pub(crate) fn values(&self) -> impl Iterator<Item = Value> + use<> {
        [Some(self.operands.input), self.operands.other, Some(self.output)].into_iter().flatten()
    }
}

/// One plan of a step, with the bytes of each value that it reads or writes.
pub(crate) struct Launch {
    pub(crate) plan: Arc<Plan>,
    input: Range,
    other: Option<Range>,
    output: Range,
}

impl Launch {
    /// What the launch copies to textures: each operand and kind of texel, with the bytes.
    pub(crate) fn texels(&self) -> impl Iterator<Item = ((Operand, Texel), u64)> {
        self.plan.steps.iter().flat_map(|step| &step.bindings).filter_map(|binding| {
            let Binding::Texels(operand, texel) = *binding else { return None };
            let bytes = match operand {
                Operand::Input => self.input.size,
                Operand::Scratch(index) => self.plan.scratch[index],
                _ => return None,
            };
            Some(((operand, texel), bytes))
        })
    }

    /// Gives `take` the tensors of the launch, which is one of `step`'s; `memory` tells where a value lies.
    pub(crate) fn bind<T>(
        &self,
        gpu: &Gpu,
        step: &Step,
        memory: impl Fn(Value) -> Result<BufferBinding>,
        take: impl FnOnce(&Bound<'_>) -> Result<T>,
    ) -> Result<T> {
        let part = |range: &Range| Ok::<_, Error>(range.of(&memory(range.value)?));
        let (input, output) = (part(&self.input)?, part(&self.output)?);
        let other = self.other.as_ref().map(part).transpose()?;
        let [kernel, bias, then_kernel, then_bias] =
            step.forms(&self.plan).map(|constant| constant.map(|(kernel, form)| kernel.on(gpu, &form)).transpose());
        let (kernel, bias, then_kernel, then_bias) = (kernel?, bias?, then_kernel?, then_bias?);
        take(&Bound {
            input: &input,
            other: other.as_ref(),
            kernel: kernel.as_ref(),
            bias: bias.as_ref(),
            then_kernel: then_kernel.as_ref(),
            then_bias: then_bias.as_ref(),
            output: &output,
        })
    }
}

/// A part of a value, in bytes.
struct Range {
    value: Value,
    offset: u64,
    size: u64,
}

impl Range {
    /// The part, of memory that begins with the value.
    fn of(&self, whole: &BufferBinding) -> BufferBinding {
        BufferBinding { storage: whole.storage.clone(), offset: whole.offset + self.offset, size: self.size }
    }
}

/// What a step that reads before anything was written comes to; layers lower in order, so none does.
fn unwritten() -> Error {
    Error::invalid("inputs", "a layer must read what was computed before it", "a value nothing has written")
}

/// The most parts whose share of every tensor fits one binding, and whose bytes keep the next run's offsets aligned: all
/// `count` of them where that fits. `bytes` are those of the tensors, `steps` those from one part to the next, or 0 for a tensor
/// that every part reads as a whole.
fn parts_per_run(gpu: &Gpu, count: u64, bytes: [u64; 3], steps: [u64; 3]) -> Result<u64> {
    let caps = gpu.caps();
    let most = bytes.into_iter().max().unwrap_or(0);
    if most <= caps.max_binding {
        return Ok(count);
    }
    let whole = bytes.iter().zip(steps).filter(|(_, step)| *step == 0).map(|(bytes, _)| *bytes).max().unwrap_or(0);
    if whole > caps.max_binding {
        return Err(Error::limit("bytes of one storage binding", whole, caps.max_binding));
    }
    let alignment = u64::from(caps.binding_alignment);
    let larger = steps.into_iter().max().unwrap_or(0).max(1);
    let aligned = |parts: &u64| steps.iter().all(|step| (parts * step).is_multiple_of(alignment));
    let together = (1..alignment).find(aligned).unwrap_or(alignment);
    match caps.max_binding / larger / together * together {
        0 if together == 1 => Err(Error::limit("bytes of one storage binding", larger, caps.max_binding)),
        0 => Err(Error::limit(
            format!(
                "bytes of one storage binding of {together} parts, whose runs start at multiples of {alignment} bytes"
            ),
            together * larger,
            caps.max_binding,
        )),
        parts => Ok(parts),
    }
}
