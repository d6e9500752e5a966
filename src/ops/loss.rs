//! Losses of predictions and their gradient, on a tape.

use super::{Reads, Step, Tape, Value};
use crate::plan::{LossProblem, Operand, Problem};
use crate::{DType, Result, Shape};

/// The losses of the lines of `problem`, of shape `lines`, and where it asks for it the gradient by each prediction.
pub(crate) fn losses(
    tape: &mut Tape,
    problem: LossProblem,
    lines: Shape,
    [predictions, targets]: [Value; 2],
    weights: Option<Value>,
) -> Result<(Value, Option<Value>)> {
    let losses = tape.uninitialized(lines, DType::F32)?;
    let mut reads = Reads::of(predictions).value(Operand::Other, targets);
    if let Some(weights) = weights {
        reads = reads.value(Operand::Weights, weights);
    }
    let mut step = Step::new(tape.place.clone(), Problem::Loss(problem), reads, losses);
    let mut gradient = None;
    if problem.gradient {
        let by_prediction = tape.uninitialized(tape.shape(predictions).clone(), DType::F32)?;
        step = step.and_writes(Operand::Gradient, by_prediction);
        gradient = Some(by_prediction);
    }
    if tape.elements(predictions) > 0 {
        tape.steps.push(step);
    }
    Ok((losses, gradient))
}
