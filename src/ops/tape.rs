//! Operations on values as data: what layers come to, before anything runs.
//!
//! A `Tape` is a list of steps in order, each of which reads inputs of the tape and what steps before it wrote: the
//! intermediate representation of this library, in static single assignment but for joined parts. A layer writes its
//! operations on it. Since nothing has run yet, rules can rewrite the list (operator fusion: `rewrite`), and since it
//! is known which step reads a value last, memory can be shared (memory planning by liveness: `model/program.rs`).
//!
//! ```text
//! %1 = Conv(%0, kernel, bias)      %0 is the input
//! %2 = Map relu (%1)               a rule makes one step of these two
//! %3 = Pool max (%2)               %1 is not needed any more
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use super::{Launch, Passing, Reads, Step, rewrite};
use crate::geometry::indexable;
use crate::gpu::Commands;
use crate::plan::{CastProblem, Problem};
use crate::variable::Data;
use crate::{DType, DataFormat, Error, Result, Rounding, Shape, Tensor};

/// A tensor of a [`Tape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Value(usize);

/// The memory of a value; values that are one another's [reshaping](Tape::reshape) share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StorageIndex(pub(crate) usize);

#[derive(Clone)]
struct Info {
    shape: Shape,
    dtype: DType,
    storage: StorageIndex,
}

/// Elements of the number of a step.
const STEP_NUMBER: usize = 2;

/// The number of a step as tapes [in training](Tape::train) read it: in two parts of 24 bits, which f32 holds exactly.
pub(crate) fn step_number(step: u64) -> [f32; STEP_NUMBER] {
    [step, step >> 24].map(|part| (part & 0xff_ffff) as f32)
}

/// A value that is another image, row or volume with zeros around it: a convolution may read that one instead.
#[derive(Clone, Copy)]
pub(crate) struct ZeroPadded {
    pub(crate) padded: Value,
    pub(crate) source: Value,
    pub(crate) data_format: DataFormat,
    /// How many images there are, and the channels of each.
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    /// Depth, height and width of the source, of which those that it has not are 1.
    pub(crate) from: [usize; 3],
    /// The same of the padded image.
    pub(crate) to: [usize; 3],
    /// Zeros in front, above and to the left.
    pub(crate) before: [u32; 3],
}

/// Operations in order, each reading inputs of the tape and what operations before it wrote.
///
/// A tape is a plain value, which [rules](rewrite) rewrite before it runs: all of them in a model's program, a few where
/// [`record`](Self::record) runs it at once.
#[derive(Clone, Default)]
pub(crate) struct Tape {
    values: Vec<Info>,
    storages: usize,
    inputs: Vec<Value>,
    variables: Vec<(Arc<Data>, Value)>,
    pads: Vec<ZeroPadded>,
    /// Which values carry a mask, and which.
    masks: HashMap<Value, Value>,
    pub(crate) steps: Vec<Step>,
    /// The path of the layer being lowered.
    pub(crate) place: Arc<str>,
    /// The narrower format that the layer being lowered rounds its results to.
    pub(crate) rounding: Option<Rounding>,
    /// Where layers compute as in training, a batch normalization by the statistics of the batch, say: the number of the step.
    training: Option<Value>,
    /// How many problems draw at random so far.
    draws: u32,
}

impl Tape {
    /// A value that whoever runs the tape provides.
    pub(crate) fn input(&mut self, shape: Shape, dtype: DType) -> Result<Value> {
        let value = self.uninitialized(shape, dtype)?;
        self.inputs.push(value);
        Ok(value)
    }

    /// Has layers compute as in training from now on. The tape has another input then, the number of the step, by which layers
    /// draw at random, as [`step_number`] gives it.
    pub(crate) fn train(&mut self) -> Result<()> {
        self.training = Some(self.input([STEP_NUMBER].into(), DType::F32)?);
        Ok(())
    }

    /// Whether layers compute as in training.
    pub(crate) fn is_training(&self) -> bool {
        self.training.is_some()
    }

    /// The number of the step, with a number for one more problem that draws by it.
    ///
    /// # Errors
    /// [`Error::Invalid`] outside of training.
    pub(super) fn draw(&mut self) -> Result<(Value, u32)> {
        let step = self.training.ok_or_else(|| {
            Error::invalid("training", "nothing may be drawn at random but in training", "a call at inference")
        })?;
        self.draws += 1;
        Ok((step, self.draws - 1))
    }

    /// How many problems draw so far.
    pub(crate) fn draws(&self) -> u32 {
        self.draws
    }

    /// From here on the numbers again that were drawn since there were `draws` problems.
    pub(crate) fn draw_again(&mut self, draws: u32) {
        self.draws = draws;
    }

    /// The values of a weight, to be read as they are or [assigned](Self::assign): its own memory.
    pub(crate) fn variable(&mut self, data: &Arc<Data>) -> Result<Value> {
        if let Some((_, value)) = self.variables.iter().find(|(known, _)| Arc::ptr_eq(known, data)) {
            return Ok(*value);
        }
        let value = self.uninitialized(data.shape().clone(), data.dtype())?;
        self.variables.push((data.clone(), value));
        Ok(value)
    }

    /// The weights that stand as values on the tape.
    pub(crate) fn variables(&self) -> &[(Arc<Data>, Value)] {
        &self.variables
    }

    /// The weights that steps write.
    pub(crate) fn assigned(&self) -> impl Iterator<Item = &Arc<Data>> {
        let is_written = |value: Value| {
            self.steps.iter().any(|step| step.written().any(|other| self.storage(other) == self.storage(value)))
        };
        self.variables.iter().filter(move |(_, value)| is_written(*value)).map(|(data, _)| data)
    }

    /// Replaces the values of a weight by those of `value`. What stands before on the tape reads the old ones.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the number of elements differs.
    pub(crate) fn assign(&mut self, data: &Arc<Data>, value: Value) -> Result<()> {
        let to = self.variable(data)?;
        let value = self.reshape(value, data.shape().clone())?;
        let problem = CastProblem {
            elements: self.elements(to),
            from: self.dtype(value),
            to: data.dtype(),
            rounding: data.rounding(),
        };
        self.step_into(Problem::Cast(problem), value, to);
        Ok(())
    }

    /// A value that steps are about to write.
    pub(crate) fn uninitialized(&mut self, shape: Shape, dtype: DType) -> Result<Value> {
        indexable(&shape)?;
        let storage = StorageIndex(self.storages);
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

    pub(crate) fn storage(&self, value: Value) -> StorageIndex {
        self.values[value.0].storage
    }

    /// The number of [`StorageIndex`]s.
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

    /// A new value of `shape` and `dtype`, which `problem` makes of `reads`.
    pub(crate) fn step(
        &mut self,
        problem: Problem,
        reads: impl Into<Reads>,
        shape: Shape,
        dtype: DType,
    ) -> Result<Value> {
        let output = self.uninitialized(shape, dtype)?;
        self.step_into(problem, reads, output);
        Ok(output)
    }

    /// Adds an operation that writes `output`, all of it or a part.
    pub(crate) fn step_into(&mut self, problem: Problem, reads: impl Into<Reads>, output: Value) {
        if self.elements(output) > 0 {
            self.steps.push(Step::new(self.place.clone(), problem, reads, output));
        }
    }

    /// The mask that a value carries, as tensors do in Keras: 1 where it counts, 0 where it is to be skipped.
    pub(crate) fn mask(&self, value: Value) -> Option<Value> {
        self.masks.get(&value).copied()
    }

    /// Lets a value carry a mask, or none.
    pub(crate) fn set_mask(&mut self, value: Value, mask: Option<Value>) {
        match mask {
            Some(mask) => self.masks.insert(value, mask),
            None => self.masks.remove(&value),
        };
    }

    /// Says that a value is another one padded with zeros.
    pub(crate) fn note_pad(&mut self, pad: ZeroPadded) {
        self.pads.push(pad);
    }

    /// Lets a value no longer be known as a padding.
    pub(crate) fn forget_pad(&mut self, padded: Value) {
        self.pads.retain(|pad| pad.padded != padded);
    }

    /// What `value` is a padding of, if it is known to be one.
    pub(crate) fn pad_of(&self, value: Value) -> Option<&ZeroPadded> {
        self.pads.iter().find(|pad| pad.padded == value)
    }

    /// For each storage, the index after the last step that reads or writes it; `usize::MAX` for those of `kept`.
    pub(crate) fn last_uses(&self, kept: &[Value]) -> Vec<usize> {
        let mut last = vec![0; self.storages];
        for (index, step) in self.steps.iter().enumerate() {
            for (_, value) in step.values() {
                last[self.storage(value).0] = index + 1;
            }
        }
        for &value in kept.iter().chain(self.variables.iter().map(|(_, value)| value)) {
            last[self.storage(value).0] = usize::MAX;
        }
        last
    }

    /// Records every step into `commands`, [rewritten](rewrite::of_call); returns `outputs`. Memory is
    /// let go after its last use.
    pub(crate) fn record(
        mut self,
        commands: &mut Commands,
        inputs: &[Tensor],
        outputs: &[Value],
    ) -> Result<Vec<Tensor>> {
        let gpu = commands.gpu().clone();
        rewrite::of_call(&mut self, &gpu, outputs)?;
        let last = self.last_uses(outputs);
        let mut memory: Vec<Option<Tensor>> = vec![None; self.storages];
        let mut passing = Passing::default();
        for (value, tensor) in self.inputs.iter().zip(inputs) {
            memory[self.storage(*value).0] = Some(tensor.clone());
        }
        for (data, value) in &self.variables {
            memory[self.storage(*value).0] = Some(data.on_device()?);
        }
        for (index, step) in self.steps.iter().enumerate() {
            for (_, value) in step.values() {
                if let none @ None = &mut memory[self.storage(value).0] {
                    *none = Some(Tensor::recorded(commands, self.shape(value).clone(), self.dtype(value))?);
                }
            }
            for launch in Launch::of(&gpu, &self, step)? {
                let mut refills = Vec::new();
                for (_, kernel, form) in step.constants(&launch.plan) {
                    kernel.refill(&gpu, &form, &mut passing, &mut refills)?;
                }
                refills.iter().try_for_each(|refill| refill.record(commands))?;
                let whole = |value| {
                    let tensor: Option<&Tensor> = memory[self.storage(value).0].as_ref();
                    tensor.map(Tensor::binding).ok_or_else(unwritten)
                };
                commands.record(&launch.plan, &launch.bound(&gpu, step, whole)?)?;
            }
            for (_, value) in step.values() {
                let storage = self.storage(value).0;
                if last[storage] == index + 1 {
                    memory[storage] = None;
                }
            }
        }
        self.assigned().for_each(|data| data.replaced_on_device());
        let tensor = |&value: &Value| {
            let made = match &memory[self.storage(value).0] {
                Some(tensor) => tensor.clone(),
                None => Tensor::uninitialized(&gpu, self.shape(value).clone(), self.dtype(value))?,
            };
            made.reshape(self.shape(value))
        };
        outputs.iter().map(tensor).collect()
    }
}

/// What a step that reads before anything was written comes to; layers lower in order, so none does.
fn unwritten() -> Error {
    Error::invalid("inputs", "a layer must read what was computed before it", "a value nothing has written")
}
