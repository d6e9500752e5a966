//! Two convolutions as one step.

use super::{Operands, Tape, Value};
use crate::plan::{Problem, SeparableProblem};
use crate::{Gpu, Result};

/// Makes one step of each depthwise convolution and the pointwise one that alone reads it, where `gpu` is to take both in
/// one pass and no tensor has to be split for a binding; `outputs` stay as they were.
pub(crate) fn one_pass(tape: &mut Tape, gpu: &Gpu, outputs: &[Value]) -> Result<()> {
    let mut index = 0;
    while index < tape.steps.len() {
        match maker(tape, gpu, outputs, index)? {
            Some((maker, problem)) => {
                let depthwise = tape.steps.remove(maker).operands;
                let step = &mut tape.steps[index - 1];
                step.problem = Problem::Separable(problem);
                let Operands { other, kernel, bias, .. } = step.operands.clone();
                step.operands = Operands { other, then_kernel: kernel, then_bias: bias, ..depthwise };
            }
            None => index += 1,
        }
    }
    Ok(())
}

/// The depthwise convolution that step `index` is to be one with, and what the two are.
fn maker(tape: &Tape, gpu: &Gpu, outputs: &[Value], index: usize) -> Result<Option<(usize, SeparableProblem)>> {
    let step = &tape.steps[index];
    let Problem::Conv(pointwise) = step.problem else { return Ok(None) };
    let Some(maker) = tape.maker(outputs, index, step.operands.input) else { return Ok(None) };
    let Problem::Conv(depthwise) = tape.steps[maker].problem else { return Ok(None) };
    let Some(problem) = SeparableProblem::new(depthwise, pointwise) else { return Ok(None) };
    let larger = tape.bytes(tape.steps[maker].operands.input).max(tape.bytes(step.output));
    let taken = larger <= gpu.caps().max_binding && gpu.takes_one_pass(&problem)?;
    Ok(taken.then_some((maker, problem)))
}
