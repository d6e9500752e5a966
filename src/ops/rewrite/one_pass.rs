//! Two convolutions as one step (operator fusion).
//!
//! A depthwise convolution and the pointwise one behind it, the two halves of a separable convolution, become one
//! problem, for which `kernels/conv_separable*` have plans that never write what is between. It is not always faster:
//! what is written once would be computed several times. So the device decides, by a guess or by measuring both.

use super::{READ_ELSEWHERE, Rewriting, Rule, RuleOutcome};
use crate::Result;
use crate::ops::Value;
use crate::plan::{Operand, Problem, SeparableProblem};

pub(super) const RULE: Rule = Rule { name: "one_pass", apply };

/// Takes a pointwise convolution together with the depthwise one before it, where the device is to take both in one pass.
fn apply(rewriting: &mut Rewriting<'_>, index: usize) -> Result<RuleOutcome> {
    let step = &rewriting.tape.steps[index];
    let Problem::Conv(pointwise) = step.problem else { return Ok(RuleOutcome::Other) };
    if !pointwise.geometry.is_pointwise() || pointwise.geometry.is_depthwise() {
        return Ok(RuleOutcome::Other);
    }
    let Some(maker) = rewriting.maker(index, step.value(Operand::Input)) else {
        return Ok(RuleOutcome::Kept(READ_ELSEWHERE));
    };
    let Problem::Conv(depthwise) = rewriting.tape.steps[maker].problem else {
        return Ok(RuleOutcome::Kept("the operation before is no convolution"));
    };
    let Some(problem) = SeparableProblem::new(depthwise, pointwise) else {
        return Ok(RuleOutcome::Kept("the convolution before is no depthwise one that it can be one with"));
    };
    let bytes = |value: Option<Value>| value.map_or(0, |value| rewriting.tape.bytes(value));
    let read = rewriting.tape.steps[maker].value(Operand::Input);
    if !(rewriting.takes_one_pass)(&problem, bytes(read).max(bytes(step.written().next())))? {
        return Ok(RuleOutcome::Kept("two passes are to be taken, or have to for a binding"));
    }
    let mut both = step.clone();
    both.problem = Problem::Separable(problem);
    both.take(Operand::ThenKernel, step, Operand::Kernel);
    both.take(Operand::ThenBias, step, Operand::Bias);
    for operand in [Operand::Input, Operand::Kernel, Operand::Bias] {
        both.take(operand, &rewriting.tape.steps[maker], operand);
    }
    // Behind what it adds, which may be made between the two.
    rewriting.put(index, both);
    rewriting.tape.steps[maker..=index].rotate_left(1);
    Ok(RuleOutcome::Gone)
}
