//! Batch normalisation in training: statistics of the batch, and the gradient through them.
//!
//! Its elements are walked four times, each time by one launch: for mean and variance, to be normalised, for the two sums that
//! gradients need, and for the gradient to the input. The activation behind it costs no way of its own: its slope is computed
//! again from the input. Statistics and sums of a channel are computed in parts of about as many values as there are parts
//! (split-K), and a second, small launch joins these in order.
//!
//! All values are taken less the first of their channel, so that a mean which is large beside the deviation costs no digits, and
//! the variance of a part is that about the part's own mean, which is found first: no difference of large squares. Means
//! and variances of parts are joined as Chan, Golub and LeVeque do (Updating Formulae and a Pairwise Algorithm for Computing
//! Sample Variances, 1979), so that the result is as exact as that of two ways over the whole channel.

use super::lines::{LineTerm, combine};
use super::long_sums::Round;
use super::{WORKGROUP, accumulator, item_count, within, workgroups};
use crate::plan::{
    ACTIVATION, BatchFunction, BatchProblem, Binding, Caps, Constant, Dispatch, INDEX, MATH, Operand, Part, Plan,
    SLOPE, Shader, params, part,
};
use crate::{DType, Error, Result};

/// Fewest values of a part.
const SHORTEST: u64 = 64;
/// Positions that an invocation normalises where channels come last: it reads what belongs to its channels once.
const ROWS: u32 = 4;
/// What the launches have in common.
const BATCH: Part = part!("lib/batch.wgsl");
/// What those that normalise have in common.
const NORMALIZED: Part = part!("lib/batch_normalized.wgsl");

params! {
    /// The uniform block of the shaders `batch_*.wgsl`.
    BatchParams {
        /// Invocations with work to do.
        items,
        /// Vectors of channels, or channels.
        channels,
        /// Vectors between neighbouring channels.
        inner,
        /// Values of a channel.
        count,
        /// Parts that the values are divided into, and the most of one.
        parts,
        length,
        /// The bits of epsilon.
        epsilon,
        /// Bits of the activation's parameters.
        act_0,
        act_1,
        act_2,
    }
}

pub(super) fn plans(problem: &BatchProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let BatchProblem { outer, channels, inner, .. } = *problem;
    let count = u64::from(outer) * u64::from(inner);
    within("elements of one tensor", count.saturating_mul(channels.into()), u32::MAX.into())?;
    if count == 0 || channels == 0 {
        return Err(Error::invalid("input", "a batch must have at least one value", format!("{problem:?}")));
    }
    let fours = if inner == 1 { channels } else { inner }.is_multiple_of(4);
    let lanes = if fours { &[4, 1][..] } else { &[1] };
    match problem.function {
        BatchFunction::Moments | BatchFunction::Sums => {
            // Values of one channel are not added across lanes.
            let lanes = if inner == 1 { lanes } else { &[1] };
            lanes.iter().map(|&lanes| in_parts(problem, lanes, count, caps)).collect()
        }
        BatchFunction::Apply | BatchFunction::Gradient => {
            lanes.iter().map(|&lanes| written(problem, lanes, caps)).collect()
        }
    }
}

/// The uniform block for vectors of `lanes`.
fn params_of(problem: &BatchProblem, lanes: u32) -> BatchParams {
    let BatchProblem { outer, channels, inner, epsilon, activation, .. } = *problem;
    let [act_0, act_1, act_2] = activation.parameters();
    let block = BatchParams { count: outer * inner, epsilon, act_0, act_1, act_2, ..BatchParams::default() };
    if inner == 1 {
        BatchParams { channels: channels / lanes, inner, ..block }
    } else {
        BatchParams { channels, inner: inner / lanes, ..block }
    }
}

/// What every shader of the family has: whether channels come last, and in what vectors their numbers lie.
fn constants_of(problem: &BatchProblem, lanes: u32) -> Vec<(&'static str, Constant)> {
    let last = problem.inner == 1;
    let mut constants = accumulator(DType::F32, lanes);
    constants.extend([
        ("CHANNELS_LAST", Constant::Bool(last)),
        ("HAS_GAMMA", Constant::Bool(problem.gamma)),
        ("HAS_BETA", Constant::Bool(problem.beta)),
        ("ROWS", Constant::U32(if last { ROWS } else { 1 })),
        ("OfChannel", Constant::Type("f32", if last { lanes } else { 1 })),
    ]);
    constants
}

/// Moments, or sums of the backward pass: those of parts, and then of channels.
fn in_parts(problem: &BatchProblem, lanes: u32, count: u64, caps: &Caps) -> Result<Plan> {
    let length = SHORTEST.max(count.isqrt() + 1);
    let parts = count.div_ceil(length);
    let channels = u64::from(problem.channels);
    let items = channels / u64::from(lanes) * parts;
    let scratch = 4 * 2 * channels * parts;
    within("bytes of one storage binding", scratch, caps.max_binding)?;
    let block = BatchParams {
        items: item_count(items)?,
        parts: item_count(parts)?,
        length: item_count(length)?,
        ..params_of(problem, lanes)
    };
    let moments = problem.function == BatchFunction::Moments;
    let run = length + length.div_ceil(64);
    let (name, activation, shaders, bindings, turns): (_, _, &[Part], Vec<Binding>, _) = if moments {
        let bindings = vec![Binding::Read(Operand::Input), Binding::Write(Operand::Scratch(0))];
        ("moments", None, &[INDEX, BATCH, part!("batch_moments.wgsl")], bindings, 2 * run)
    } else {
        let read = [Operand::Input, Operand::Gradient, Operand::Kernel, Operand::Bias, Operand::Moments];
        let bindings = read.map(Binding::Read).into_iter().chain([Binding::Write(Operand::Scratch(0))]).collect();
        let parts = &[INDEX, BATCH, ACTIVATION, MATH, SLOPE, NORMALIZED, part!("batch_sums.wgsl")];
        ("sums", Some(problem.activation.slope()), parts, bindings, run)
    };
    let first = Dispatch {
        shader: Shader {
            params: BatchParams::WGSL,
            activation,
            constants: constants_of(problem, lanes),
            parts: shaders.to_vec(),
        },
        params: block.words(),
        workgroups: workgroups(items, caps)?,
        bindings,
        turns,
    };
    let last = if moments {
        let block = BatchParams { items: item_count(channels)?, channels: problem.channels, ..block };
        Dispatch {
            shader: Shader {
                params: BatchParams::WGSL,
                activation: None,
                constants: constants_of(problem, 1),
                parts: vec![INDEX, BATCH, part!("batch_moments_joined.wgsl")],
            },
            params: block.words(),
            workgroups: workgroups(channels, caps)?,
            bindings: vec![
                Binding::Read(Operand::Input),
                Binding::Read(Operand::Scratch(0)),
                Binding::Write(Operand::Output),
            ],
            turns: 2 * parts,
        }
    } else {
        combine(block.parts, Round { first: 0, outputs: 2 * channels }, LineTerm::Value, DType::F32, caps)?
    };
    let variant = format!("{name}_f32x{lanes}_{WORKGROUP}");
    Ok(Plan::new("batch_normalize", variant, vec![first, last]).with_scratch(vec![scratch]))
}

/// The normalised values, or the gradient to the input.
fn written(problem: &BatchProblem, lanes: u32, caps: &Caps) -> Result<Plan> {
    let block = params_of(problem, lanes);
    let gradient = problem.function == BatchFunction::Gradient;
    let constants = constants_of(problem, lanes);
    let vectors = u64::from(problem.outer) * u64::from(block.inner) * u64::from(block.channels);
    let items =
        if problem.inner == 1 { u64::from(problem.outer.div_ceil(ROWS)) * u64::from(block.channels) } else { vectors };
    let rows = if problem.inner == 1 { ROWS } else { 1 };
    let of_channels = [Operand::Kernel, Operand::Bias, Operand::Moments];
    let (name, activation, shaders, read): (_, _, &[Part], Vec<Operand>) = if gradient {
        let parts = &[INDEX, BATCH, ACTIVATION, MATH, SLOPE, NORMALIZED, part!("batch_gradient.wgsl")];
        let read = [Operand::Input, Operand::Gradient].into_iter().chain(of_channels).chain([Operand::Sums]);
        ("gradient", problem.activation.slope(), parts, read.collect())
    } else {
        let parts = &[INDEX, BATCH, ACTIVATION, MATH, NORMALIZED, part!("batch_apply.wgsl")];
        let read = [Operand::Input].into_iter().chain(of_channels);
        ("apply", problem.activation.function(), parts, read.collect())
    };
    let bindings = read.into_iter().map(Binding::Read).chain([Binding::Write(Operand::Output)]).collect();
    Ok(Plan::new(
        "batch_normalize",
        format!("{name}_f32x{lanes}_{WORKGROUP}"),
        vec![Dispatch {
            shader: Shader {
                params: BatchParams::WGSL,
                activation: Some(activation),
                constants,
                parts: shaders.to_vec(),
            },
            params: BatchParams { items: item_count(items)?, ..block }.words(),
            workgroups: workgroups(items, caps)?,
            bindings,
            turns: rows.into(),
        }],
    ))
}
