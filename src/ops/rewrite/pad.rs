//! Zeros around a picture, read as a convolution's padding.
//!
//! Many Keras networks have a `ZeroPadding2D` before a convolution with padding "valid". It copies the whole picture to
//! put a border around it. A convolution reads zeros beyond its border anyway, so it reads the picture itself, with as
//! much more padding. The copy is then dead and goes (`dead`).

use super::{Rewriting, Rule, RuleOutcome};
use crate::Result;
use crate::ops::{Read, ZeroPadded};
use crate::plan::{ConvProblem, Direction, Operand, Problem};

pub(super) const RULE: Rule = Rule { name: "pad", apply };

fn apply(rewriting: &mut Rewriting<'_>, index: usize) -> Result<RuleOutcome> {
    let tape = &*rewriting.tape;
    let step = &tape.steps[index];
    let pad = step.value(Operand::Input).and_then(|input| tape.pad_of(input));
    let (Problem::Conv(conv), Some(&pad)) = (step.problem, pad) else { return Ok(RuleOutcome::Other) };
    if conv.direction != Direction::Forward {
        return Ok(RuleOutcome::Kept("it is a transposed convolution"));
    }
    if !sees(&conv, &pad) {
        return Ok(RuleOutcome::Kept("it does not see the picture with the zeros as one"));
    }
    let mut geometry = conv.geometry;
    for ((axis, extent), before) in geometry.axes.iter_mut().zip(pad.from).zip(pad.before) {
        axis.input = extent as u32;
        axis.pad_before += before;
    }
    let mut step = step.clone();
    step.problem = Problem::Conv(ConvProblem { geometry, ..conv });
    step.read(Operand::Input, Some(Read::Value(pad.source)));
    rewriting.put(index, step);
    Ok(RuleOutcome::Changed)
}

/// Whether what a convolution reads is the padded picture: its images, rows, columns and channels, as they lie.
///
/// A step that is computed as a convolution need not be one over that picture: batch normalization of `[2, 6, 6, 4]` runs over
/// 72 pixels in a row, and has nowhere to pad.
fn sees(problem: &ConvProblem, pad: &ZeroPadded) -> bool {
    let [channels, read @ ..] = problem.read().map(|extent| extent as usize);
    let same = problem.geometry.batch as usize == pad.batch && channels == pad.channels && read == pad.to;
    problem.data_format == pad.data_format && same
}
