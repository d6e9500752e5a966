//! Changes of weights in place, on a tape.

use super::{Reads, Step, Tape, Value};
use crate::Result;
use crate::plan::{Operand, Problem, UpdateProblem};

/// What a change of a weight reads beside the weight.
#[derive(Clone, Copy)]
pub(crate) struct UpdateReads {
    /// The gradient, or whatever the function makes the new values of.
    pub(crate) input: Value,
    /// The numbers of the step.
    pub(crate) clock: Value,
    /// The square of a norm.
    pub(crate) norm: Option<Value>,
    /// The square of the weight's norm.
    pub(crate) other: Option<Value>,
}

/// Changes the memory of `weight`, and that of what is kept beside it, as `problem` says.
pub(crate) fn update(
    tape: &mut Tape,
    problem: UpdateProblem,
    reads: UpdateReads,
    weight: Value,
    slots: &[Value],
) -> Result<()> {
    let UpdateReads { input, clock, norm, other } = reads;
    let mut reads = Reads::of(input).value(Operand::Clock, clock);
    for (operand, value) in [(Operand::Norm, norm), (Operand::Other, other)] {
        if let Some(value) = value {
            reads = reads.value(operand, value);
        }
    }
    let step = Step::new(tape.place.clone(), Problem::Update(problem), reads, weight);
    let step = slots.iter().enumerate().fold(step, |step, (slot, value)| step.and_writes(Operand::Slot(slot), *value));
    if tape.elements(weight) > 0 {
        tape.steps.push(step);
    }
    Ok(())
}
