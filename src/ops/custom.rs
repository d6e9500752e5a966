//! Functions that the caller gives in WGSL.

use super::{Reads, Side, Tape, Value};
use crate::plan::{Code, CustomProblem};
use crate::{Result, Shape};

/// What `code` makes of `reads`, values of one type: a tensor of shape `output`.
pub(crate) fn custom(tape: &mut Tape, code: Code, reads: &[Side<'_>], output: Shape, first: Value) -> Result<Value> {
    let dtype = tape.dtype(first);
    let shapes: Vec<Shape> = reads.iter().map(|side| side.shape(tape)).collect();
    let problem = CustomProblem::new(code, &shapes.iter().collect::<Vec<_>>(), &output, dtype)?;
    let operands = problem.operands().zip(reads);
    let reads = operands.fold(Reads::none(), |named, (operand, side)| match *side {
        Side::Value(value) => named.value(operand, value),
        Side::Constant(kernel) => named.constant(operand, kernel),
    });
    tape.step(problem.into(), reads, output, dtype)
}
