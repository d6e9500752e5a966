//! Additions in the store of a convolution (epilogue fusion).
//!
//! A residual block ends with the sum of a convolution's output and the block's input. The convolution takes the other
//! side as its *residual*: it adds its element to each sum before it stores it, so that the sum needs no launch.
//!
//! ```text
//! %5 = Conv(%4, kernel, bias)
//! %6 = Binary add (%5, %0)       becomes   %6 = Conv(%4, kernel, bias) + %0
//! ```

use super::{Rewriting, Rule, RuleOutcome, fold};
use crate::Result;
use crate::ops::Read;
use crate::plan::{BinaryFunction, ConvProblem, Epilogue, Operand, Problem};

pub(super) const RULE: Rule = Rule { name: "residual", apply };

/// The convolution then stands where the addition stood, behind the other side.
fn apply(rewriting: &mut Rewriting<'_>, index: usize) -> Result<RuleOutcome> {
    let tape = &*rewriting.tape;
    let step = &tape.steps[index];
    let sides = (step.value(Operand::Input), step.value(Operand::Other), step.written().next());
    let (Problem::Binary(sum), (Some(left), Some(right), Some(output))) = (step.problem, sides) else {
        return Ok(RuleOutcome::Other);
    };
    if sum.function != BinaryFunction::Add {
        return Ok(RuleOutcome::Other);
    }
    if tape.shape(left) != tape.shape(right) || tape.shape(left) != tape.shape(output) {
        return Ok(RuleOutcome::Kept("its sides are of different shapes"));
    }
    for (side, residual) in [(left, right), (right, left)] {
        let Some(maker) = rewriting.maker(index, Some(side)) else { continue };
        let Problem::Conv(conv) = tape.steps[maker].problem else { continue };
        if fold::takes_more(&conv) {
            let mut moved = tape.steps[maker].clone();
            let epilogue = Epilogue { residual: true, activation: sum.activation, ..conv.epilogue };
            moved.problem = Problem::Conv(ConvProblem { epilogue, ..conv });
            moved.read(Operand::Other, Some(Read::Value(residual)));
            moved.write(output);
            rewriting.put(index, moved);
            rewriting.tape.steps[maker..=index].rotate_left(1);
            return Ok(RuleOutcome::Gone);
        }
    }
    Ok(RuleOutcome::Kept("no side is made for it alone by a convolution that can add it"))
}
