//! Scales and shifts of channels in the kernel and the bias of the convolution before (constant folding).
//!
//! A batch normalization at inference multiplies each channel by a number and adds another. So does a convolution's
//! kernel, if its weights are multiplied by that number beforehand: `(x · kernel + bias) · scale + shift` is `x ·
//! (kernel · scale) + (bias · scale + shift)`. The step of the batch normalization goes. The new kernel and bias are
//! constants that the device computes (`ops/kernel.rs`), again when a weight has changed.

use std::collections::HashMap;
use std::sync::Arc;

use super::{READ_ELSEWHERE, Rewriting, Rule, RuleOutcome};
use crate::ops::{Kernel, Read};
use crate::plan::{BinaryFunction, ConvProblem, Elementwise, Epilogue, Operand, Problem};
use crate::{DataFormat, Result};

pub(super) const RULE: Rule = Rule { name: "fold", apply };

/// Kernels and biases that scales and shifts were folded into, by the addresses of what they were made of, so that
/// programs of one model share them.
#[derive(Default)]
pub(crate) struct Folded(HashMap<[usize; 4], Fold>);

/// A folded kernel and bias, and what they were made of: kept, so that the addresses stay theirs.
struct Fold {
    made: [Option<Arc<Kernel>>; 2],
    _of: [Option<Arc<Kernel>>; 4],
}

fn apply(rewriting: &mut Rewriting<'_>, index: usize) -> Result<RuleOutcome> {
    let step = &rewriting.tape.steps[index];
    let (Problem::Conv(scale), Some(output)) = (step.problem, step.written().next()) else {
        return Ok(RuleOutcome::Other);
    };
    if !is_scale(&scale) {
        return Ok(RuleOutcome::Other);
    }
    let Some(maker) = rewriting.maker(index, step.value(Operand::Input)) else {
        return Ok(RuleOutcome::Kept(READ_ELSEWHERE));
    };
    let before = &rewriting.tape.steps[maker];
    let Problem::Conv(conv) = before.problem else {
        return Ok(RuleOutcome::Kept("the operation before is no convolution"));
    };
    if !takes_more(&conv) {
        return Ok(RuleOutcome::Kept("an activation or an addition stands between"));
    }
    if channel_run(&conv) != channel_run(&scale) {
        return Ok(RuleOutcome::Kept("its channels are not those of the convolution before"));
    }
    let Some(run) = conv.kernel_run() else {
        return Ok(RuleOutcome::Kept("the groups of the transposed convolution before have their channels apart"));
    };
    let named = |operand| [before, step].map(|step| step.constant(operand).cloned());
    let ([Some(kernel), Some(scales)], [bias, shift]) = (named(Operand::Kernel), named(Operand::Bias)) else {
        return Ok(RuleOutcome::Kept("a kernel is no constant"));
    };
    let of = [Some(kernel.clone()), bias.clone(), Some(scales.clone()), shift.clone()];
    let addresses = of.each_ref().map(|kernel| kernel.as_ref().map_or(0, |kernel| Arc::as_ptr(kernel).addr()));
    let [kernel, bias] = match rewriting.folded.0.get(&addresses) {
        Some(fold) => fold.made.clone(),
        None => {
            let Ok(made) = scaled([&kernel, &scales], [bias.as_ref(), shift.as_ref()], run) else {
                return Ok(RuleOutcome::Kept("the kernel has too many elements"));
            };
            rewriting.folded.0.entry(addresses).or_insert(Fold { made, _of: of }).made.clone()
        }
    };
    let epilogue = Epilogue { bias: bias.is_some(), ..scale.epilogue };
    let mut step = rewriting.tape.steps[maker].clone();
    step.read(Operand::Kernel, kernel.map(Read::Constant));
    step.read(Operand::Bias, bias.map(Read::Constant));
    step.problem = Problem::Conv(ConvProblem { epilogue, ..conv });
    step.write(output);
    rewriting.put(maker, step);
    Ok(RuleOutcome::Gone)
}

/// Whether a convolution's kernel and epilogue can take in what follows.
pub(super) fn takes_more(problem: &ConvProblem) -> bool {
    problem.epilogue.activation == Elementwise::LINEAR && !problem.epilogue.residual
}

/// Whether a convolution does no more than multiply each channel by a number, and add one.
fn is_scale(problem: &ConvProblem) -> bool {
    problem.geometry.is_depthwise() && problem.geometry.is_pointwise() && !problem.epilogue.residual
}

/// How the output's channels lie: how many there are, and how many elements in a row are of one.
fn channel_run(problem: &ConvProblem) -> (u32, u32) {
    let [channels, depth, height, width] = problem.written();
    match problem.data_format {
        DataFormat::ChannelsLast => (channels, 1),
        DataFormat::ChannelsFirst => (channels, depth * height * width),
    }
}

/// The kernel and the bias of `(x · kernel + bias) · scale + shift`; `run` neighbours in the kernel share a scale.
fn scaled(
    [kernel, scale]: [&Arc<Kernel>; 2],
    [bias, shift]: [Option<&Arc<Kernel>>; 2],
    run: usize,
) -> Result<[Option<Arc<Kernel>>; 2]> {
    let bias = match (bias.map(|bias| bias.scaled(scale, 1)).transpose()?, shift) {
        (Some(bias), Some(shift)) => Some(Kernel::binary(BinaryFunction::Add, &bias, shift, Elementwise::LINEAR)?),
        (bias, shift) => bias.or_else(|| shift.cloned()),
    };
    Ok([Some(kernel.scaled(scale, run)?), bias])
}
