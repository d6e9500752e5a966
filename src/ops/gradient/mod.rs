//! Gradients: how a value of the tape changes with what it was computed from (reverse-mode automatic differentiation, or
//! backpropagation).
//!
//! The forward pass is a list of steps. The gradient is found by walking it backwards: each step is given the gradient of
//! what it wrote, and by the chain rule makes the gradient of each thing that it read. What makes these are further steps
//! on the same tape, so they are rewritten, planned and launched as all others. Each kind of problem has one rule, in
//! `rules.rs`, `movement.rs` and `recurrent.rs`.
//!
//! ```text
//! %1 = Conv(%0, kernel)         forward
//! %2 = Map relu (%1)
//! %3 = gradient of relu (%1, ∂%2)                          backward: ∂%2 is given
//! %4 = gradient of a kernel (%0, %3)                       to the kernel
//! %5 = Conv(%3, kernel), run backwards                     to the input, if somebody asks for it
//! ```
//!
//! - Only what was asked for is computed: of a layer whose weights are frozen, the way through it alone.
//! - What is read several times has a gradient from each, and they are added up in a fixed order: from the last reader to
//!   the first. The same inputs give the same bits.
//! - Where a step is better known by its parts, as a normalisation is, the rule writes those on the tape and walks them
//!   backwards in turn.
//! - A weight's gradient goes through what was [computed](Kernel::made) from it: γ/√(σ²+ε), say.
//! - Rules of `rewrite` come afterwards: they would hide what lies between two steps.
//!
//! # Recipe: a gradient for a new problem
//! 1. An arm in `Reverse::step`: the compiler asks for it.
//! 2. Its steps, out of those that there are; or a problem of its own in `plan/gradient.rs`, with a kernel.
//! 3. Its rows in `tests/gradients.rs`, which holds it to central differences of the reference in f64.

mod movement;
mod recurrent;
mod rules;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::tape::StorageIndex;
use super::{Kernel, Read, Reads, Step, Tape, Value, cast, two};
use crate::plan::{BinaryFunction, Elementwise, MoveProblem, Operand, Outside, Problem};
use crate::strides::MoveAxis;
use crate::variable::Data;
use crate::{DType, Error, Result, Shape};

/// What a gradient is taken to.
#[derive(Clone)]
pub(crate) enum Target {
    /// A value of the tape.
    Value(Value),
    /// A weight.
    Variable(Arc<Data>),
}

/// The gradient to each of `targets`, of its shape: the sum over the `seeds` of each seed's gradient times how the value
/// changes with the target. To differentiate a loss, seed it with [ones](filled). A target that nothing seeded depends on has a
/// gradient of zeros. Those of weights are of the weight's own type, those of values of the value's.
///
/// # Errors
/// [`Error::Unsupported`] where a step on the way has no gradient; [`Error::Limit`] beyond 32 bits.
pub(crate) fn gradient(tape: &mut Tape, seeds: &[(Value, Value)], targets: &[Target]) -> Result<Vec<Value>> {
    let (place, rounding) = (tape.place.clone(), tape.rounding.take());
    let mut reverse =
        Reverse { tape, gradients: HashMap::new(), active: HashSet::new(), kernels: Vec::new(), held: Vec::new() };
    let gradients = reverse.run(seeds, targets);
    (tape.place, tape.rounding) = (place, rounding);
    gradients
}

/// `value` in every element.
pub(crate) fn filled(tape: &mut Tape, shape: impl Into<Shape>, dtype: DType, value: f32) -> Result<Value> {
    let output = tape.uninitialized(shape.into(), dtype)?;
    fill(tape, output, value)?;
    Ok(output)
}

/// Writes `value` to every element of `output`.
fn fill(tape: &mut Tape, output: Value, value: f32) -> Result<()> {
    let dtype = tape.dtype(output);
    let one = Kernel::of_values([1], vec![value], super::Numbers { dtype, rounding: None });
    let axis = MoveAxis { extent: tape.elements(output), from: 0, to: 1, reach: None };
    let problem = MoveProblem::new(&[axis], 0, Outside::ZERO, dtype)?;
    tape.step_into(Problem::Move(problem), Reads::none().constant(Operand::Input, &one), output);
    Ok(())
}

/// Something that has a gradient.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum GradientKey {
    /// The elements of a value, whatever its shape.
    Storage(StorageIndex),
    /// A constant, by its address.
    Kernel(usize),
}

fn key_of_kernel(kernel: &Arc<Kernel>) -> GradientKey {
    GradientKey::Kernel(Arc::as_ptr(kernel).addr())
}

/// A tape that is walked backwards.
struct Reverse<'a> {
    tape: &'a mut Tape,
    /// Those known so far, complete once every reader has been walked.
    gradients: HashMap<GradientKey, Value>,
    /// What depends on a target.
    active: HashSet<GradientKey>,
    /// The constants that depend on a target, each behind those that it is computed from.
    kernels: Vec<Arc<Kernel>>,
    /// Constants whose addresses stand among the keys, kept so that these stay theirs.
    held: Vec<Arc<Kernel>>,
}

impl Reverse<'_> {
    fn run(&mut self, seeds: &[(Value, Value)], targets: &[Target]) -> Result<Vec<Value>> {
        let steps = 0..self.tape.steps.len();
        for target in targets {
            match target {
                Target::Value(value) => self.active.insert(GradientKey::Storage(self.tape.storage(*value))),
                Target::Variable(data) => {
                    let value = self.tape.variables().iter().find(|(known, _)| Arc::ptr_eq(known, data));
                    value.is_some_and(|(_, value)| self.active.insert(GradientKey::Storage(self.tape.storage(*value))))
                }
            };
        }
        let weights: Vec<&Arc<Data>> = targets
            .iter()
            .filter_map(|target| match target {
                Target::Variable(data) => Some(data),
                Target::Value(_) => None,
            })
            .collect();
        for kernel in self.constants(steps.clone()) {
            self.mark_kernel(&kernel, &weights);
        }
        self.mark(steps.clone());
        for &(value, gradient) in seeds {
            self.add(GradientKey::Storage(self.tape.storage(value)), gradient)?;
        }
        self.walk(steps)?;
        self.walk_kernels()?;
        targets.iter().map(|target| self.of_target(target)).collect()
    }

    fn of_target(&mut self, target: &Target) -> Result<Value> {
        let (shape, dtype) = match target {
            Target::Value(value) => (self.tape.shape(*value).clone(), self.tape.dtype(*value)),
            Target::Variable(data) => (data.shape().clone(), data.dtype()),
        };
        let keys: Vec<GradientKey> = match target {
            Target::Value(value) => vec![GradientKey::Storage(self.tape.storage(*value))],
            // In as many numbers as it is read in, and as a value of the tape.
            Target::Variable(data) => {
                let is = |kernel: &&Arc<Kernel>| kernel.variable().is_some_and(|other| Arc::ptr_eq(other, data));
                let kernels = self.kernels.iter().filter(is).map(key_of_kernel);
                let value = self.tape.variables().iter().find(|(known, _)| Arc::ptr_eq(known, data));
                kernels.chain(value.map(|(_, value)| GradientKey::Storage(self.tape.storage(*value)))).collect()
            }
        };
        let mut sum: Option<Value> = None;
        for key in keys {
            let Some(gradient) = self.gradients.get(&key).copied() else { continue };
            let gradient = cast(self.tape, dtype, None, gradient)?;
            let gradient = self.tape.reshape(gradient, shape.clone())?;
            sum = Some(match sum {
                None => gradient,
                Some(sum) => self.sum(sum, gradient)?,
            });
        }
        match sum {
            Some(sum) => Ok(sum),
            None => filled(self.tape, shape, dtype, 0.0),
        }
    }

    /// The constants that steps read, each once, in order.
    fn constants(&self, steps: Range<usize>) -> Vec<Arc<Kernel>> {
        let mut seen = HashSet::new();
        let read = self.tape.steps[steps].iter().flat_map(|step| step.reads());
        read.filter_map(|(_, read)| match read {
            Read::Constant(kernel) => seen.insert(key_of_kernel(kernel)).then(|| kernel.clone()),
            Read::Value(_) => None,
        })
        .collect()
    }

    /// Notes whether a constant depends on one of `weights`.
    fn mark_kernel(&mut self, kernel: &Arc<Kernel>, weights: &[&Arc<Data>]) -> bool {
        if self.active.contains(&key_of_kernel(kernel)) {
            return true;
        }
        let depends = match (kernel.variable(), kernel.made()) {
            (Some(data), _) => weights.iter().any(|weight| Arc::ptr_eq(weight, data)),
            (None, Some((_, reads))) => {
                reads.iter().map(|read| self.mark_kernel(read, weights)).fold(false, |any, one| any | one)
            }
            (None, None) => false,
        };
        if depends {
            self.active.insert(key_of_kernel(kernel));
            self.kernels.push(kernel.clone());
        }
        depends
    }

    /// Notes what steps write that depends on a target.
    fn mark(&mut self, steps: Range<usize>) {
        for index in steps {
            let step = &self.tape.steps[index];
            if step.reads().iter().any(|(_, read)| self.active.contains(&self.key(read))) {
                let written: Vec<_> =
                    step.written().map(|value| GradientKey::Storage(self.tape.storage(value))).collect();
                self.active.extend(written);
            }
        }
    }

    /// Walks steps backwards.
    fn walk(&mut self, steps: Range<usize>) -> Result<()> {
        for index in steps.rev() {
            let step = self.tape.steps[index].clone();
            let Some(output) = step.written().next() else { continue };
            let known = step.written().any(|value| self.of_value(value).is_some());
            if !known || !step.reads().iter().any(|(operand, _)| self.wants(&step, *operand)) {
                continue;
            }
            self.tape.place = step.place.clone();
            let shape = self.tape.shape(output).clone();
            let gradient = match self.of_value(output) {
                Some(gradient) => self.tape.reshape(gradient, shape)?,
                // Only what else it writes is read.
                None => filled(self.tape, shape, self.tape.dtype(output), 0.0)?,
            };
            self.step(&step, gradient)?;
        }
        Ok(())
    }

    /// Walks what was computed of weights before anything else ran, backwards.
    fn walk_kernels(&mut self) -> Result<()> {
        for index in (0..self.kernels.len()).rev() {
            let kernel = self.kernels[index].clone();
            let Some((problem, reads)) = kernel.made() else { continue };
            let Some(gradient) = self.gradients.get(&key_of_kernel(&kernel)).copied() else { continue };
            let gradient = cast(self.tape, DType::F32, None, gradient)?;
            // It is computed in f32, of what it reads in f32.
            let exact: Vec<Arc<Kernel>> = reads.iter().map(Kernel::exact).collect();
            self.held.extend(exact.iter().cloned());
            let mut operands = Reads::none();
            for (operand, (read, exact)) in [Operand::Input, Operand::Other].into_iter().zip(reads.iter().zip(&exact)) {
                operands = operands.constant(operand, exact);
                if self.active.contains(&key_of_kernel(read)) {
                    self.active.insert(key_of_kernel(exact));
                }
            }
            let output = self.tape.uninitialized(kernel.shape().clone(), DType::F32)?;
            let mut problem = *problem;
            let activation = match &mut problem {
                Problem::Binary(binary) => std::mem::replace(&mut binary.activation, Elementwise::LINEAR),
                _ => Elementwise::LINEAR,
            };
            let step = Step::new(self.tape.place.clone(), problem, operands, output);
            let gradient = if activation == Elementwise::LINEAR {
                gradient
            } else {
                // What the activation was given is computed once more.
                self.tape.steps.push(step.clone());
                self.slope(activation, &Read::Value(output), gradient)?
            };
            self.step(&step, gradient)?;
            for (read, exact) in reads.iter().zip(&exact).filter(|(read, exact)| !Arc::ptr_eq(read, exact)) {
                if let Some(gradient) = self.gradients.remove(&key_of_kernel(exact)) {
                    self.add(key_of_kernel(read), gradient)?;
                }
            }
        }
        Ok(())
    }

    /// The gradient of `value`, where something gives it one.
    fn of_value(&self, value: Value) -> Option<Value> {
        self.gradients.get(&GradientKey::Storage(self.tape.storage(value))).copied()
    }

    fn key(&self, read: &Read) -> GradientKey {
        match read {
            Read::Value(value) => GradientKey::Storage(self.tape.storage(*value)),
            Read::Constant(kernel) => key_of_kernel(kernel),
        }
    }

    /// Whether the gradient to what `step` reads as `operand` is asked for.
    fn wants(&self, step: &Step, operand: Operand) -> bool {
        step.reading(operand).is_some_and(|read| self.active.contains(&self.key(read)))
    }

    /// Adds `gradient` to that of what `step` reads as `operand`.
    fn give(&mut self, step: &Step, operand: Operand, gradient: Value) -> Result<()> {
        match step.reading(operand) {
            Some(read) => self.add(self.key(read), gradient),
            None => Ok(()),
        }
    }

    fn add(&mut self, key: GradientKey, gradient: Value) -> Result<()> {
        let sum = match self.gradients.get(&key).copied() {
            None => gradient,
            Some(before) => {
                let gradient = cast(self.tape, self.tape.dtype(before), None, gradient)?;
                let gradient = self.tape.reshape(gradient, self.tape.shape(before).clone())?;
                self.sum(before, gradient)?
            }
        };
        self.gradients.insert(key, sum);
        Ok(())
    }

    fn sum(&mut self, left: Value, right: Value) -> Result<Value> {
        self.binary(BinaryFunction::Add, left, right)
    }

    fn binary(&mut self, function: BinaryFunction, left: Value, right: Value) -> Result<Value> {
        two(self.tape, function, left, right)
    }

    /// Walks backwards what `write` puts on the tape in place of a step whose result has `gradient`.
    fn through(&mut self, gradient: Value, write: impl FnOnce(&mut Tape) -> Result<Value>) -> Result<()> {
        let first = self.tape.steps.len();
        let output = write(self.tape)?;
        let steps = first..self.tape.steps.len();
        self.mark(steps.clone());
        self.add(GradientKey::Storage(self.tape.storage(output)), gradient)?;
        self.walk(steps)
    }

    /// What a step has no gradient for.
    fn without(step: &Step, why: &'static str) -> Error {
        Error::unsupported(format!("the gradient of {}", step.label()), why)
    }
}
