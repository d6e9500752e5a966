//! Transposed convolution: rows of pixels at four output channels, and one output by itself.
//!
//! A transposed convolution enlarges an image: it reads what a convolution of the same arguments writes, and writes
//! what that one reads (the convolution's backward pass to its input). An output is computed from the taps that hit it
//! (gather), rather than each input added to all outputs it touches (scatter), so no two invocations write one element.
//! With a stride only some taps hit: which, is arithmetic (`lib/taps.wgsl`).

use super::conv_direct::chain_turns;
use super::{ConvLaunch, InputAccess, PRODUCT, RUN, Runs, four_wide_output, four_wide_stores, packing, workgroups};
use crate::geometry::Axis;
use crate::plan::{Caps, Constant, ConvProblem, Direction, Part, Plan, part};
use crate::{Error, Result};

/// The taps that hit a position.
pub(super) fn taps(problem: &ConvProblem) -> [Part; 2] {
    let rows = match problem.geometry.plane() {
        Some(_) => part!("lib/tap_rows.wgsl"),
        None => part!("lib/tap_rows_deep.wgsl"),
    };
    [part!("lib/taps.wgsl"), rows]
}

/// One output per invocation; any geometry. The transposed convolution of last resort.
pub(super) fn direct_plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    if problem.direction != Direction::BackwardInput {
        return Ok(Vec::new());
    }
    let items = problem.written_elements();
    let launch = ConvLaunch {
        lanes: 1,
        stores: 1,
        input: InputAccess::Own,
        kernel_at: false,
        parts: &[&taps(problem)[..], &[part!("conv_transposed_direct.wgsl")]].concat(),
        constants: &[&[("RUN", Constant::U32(RUN / 2))][..], &tap_constants(problem)?].concat(),
        items,
        workgroups: workgroups(items, caps)?,
        turns: chain_turns(hits(problem), problem.geometry.group_out()),
    };
    Ok(vec![Plan::new("conv_transposed", format!("direct_{}x1", problem.dtype), vec![launch.dispatch(problem, caps)?])])
}

/// Four output channels and a row of pixels per invocation.
pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    if problem.direction != Direction::BackwardInput {
        return Ok(Vec::new());
    }
    let geometry = &problem.geometry;
    let [rows, columns] = hits(problem);
    let runs = Runs::of(rows.saturating_mul(columns), geometry.group_out());
    let [_, _, w] = geometry.axes;
    let [_, depth, height, width] = problem.written().map(u64::from);
    let rows = u64::from(geometry.batch) * depth * height;
    let vectors = u64::from(geometry.groups) * u64::from(geometry.group_in().div_ceil(4));
    let output = four_wide_output(problem);
    let mut plans = Vec::new();
    for tile in [4u32, 2, 1] {
        let stride = u64::from(w.stride);
        let row = width.div_ceil(stride);
        if !caps.spells_out(4 * u64::from(tile), u64::from(tile) + 4) || (tile > 1 && u64::from(tile) > row) {
            continue;
        }
        let items = rows * row.div_ceil(tile.into()) * stride * vectors;
        let launch = ConvLaunch {
            lanes: 4,
            stores: four_wide_stores(problem),
            input: InputAccess::Fours,
            kernel_at: true,
            parts: &[&taps(problem)[..], &[output, PRODUCT, part!("conv_transposed.wgsl")]].concat(),
            constants: &[
                &[("TILE", Constant::U32(tile)), ("CLOSES", Constant::Bool(runs.closes()))][..],
                &runs.constants(),
                &tap_constants(problem)?,
            ]
            .concat(),
            items,
            workgroups: workgroups(items, caps)?,
            turns: runs.turns(4, 0),
        };
        plans.push(
            Plan::new(
                "conv_transposed",
                format!("{}x4_1x{tile}", problem.dtype),
                vec![launch.dispatch(problem, caps)?],
            )
            .packed(Some(packing::transposed(problem, caps)?)),
        );
    }
    Ok(plans)
}

/// Taps from one that hits a position to the next that does, along depth, height and width.
fn steps(problem: &ConvProblem) -> [u32; 3] {
    problem.geometry.axes.map(|axis| axis.stride / common(axis.stride, axis.dilation))
}

/// The constants of `lib/taps.wgsl`.
///
/// # Errors
/// [`Error::Limit`] where a product of two numbers below such a step is beyond 32 bits.
pub(super) fn tap_constants(problem: &ConvProblem) -> Result<[(&'static str, Constant); 6]> {
    let [step_d, step_h, step_w] = steps(problem);
    let inverse = |axis: usize, step: u32| {
        let Axis { stride, dilation, .. } = problem.geometry.axes[axis];
        let inverse = inverse(dilation / common(stride, dilation), step);
        let product = u64::from(step) * u64::from(inverse);
        match product <= u64::from(u32::MAX) {
            true => Ok(Constant::U32(inverse)),
            false => Err(Error::limit("strides times taps of a dilated kernel", product, u32::MAX.into())),
        }
    };
    Ok([
        ("TAP_STEP_D", Constant::U32(step_d)),
        ("TAP_STEP_H", Constant::U32(step_h)),
        ("TAP_STEP_W", Constant::U32(step_w)),
        ("TAP_INVERSE_D", inverse(0, step_d)?),
        ("TAP_INVERSE_H", inverse(1, step_h)?),
        ("TAP_INVERSE_W", inverse(2, step_w)?),
    ])
}

/// The most rows of taps that hit a position, and the most taps of each.
pub(super) fn hits(problem: &ConvProblem) -> [u64; 2] {
    let steps = steps(problem);
    let [depths, rows, columns] =
        [0, 1, 2].map(|axis| u64::from(problem.geometry.axes[axis].kernel.div_ceil(steps[axis])));
    [depths * rows, columns]
}

/// The most products that are summed for one output.
pub(super) fn terms(problem: &ConvProblem) -> u64 {
    let [rows, columns] = hits(problem);
    rows.saturating_mul(columns).saturating_mul(problem.geometry.group_out().into())
}

/// The greatest common divisor.
const fn common(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common(b, a % b) }
}

/// What times `a` leaves 1 when divided by `modulus`, with which `a` has no divisor in common: by Euclid's algorithm.
fn inverse(a: u32, modulus: u32) -> u32 {
    let modulus = i64::from(modulus);
    let (mut rest, mut next) = (modulus, i64::from(a) % modulus);
    let (mut factor, mut next_factor) = (0, 1);
    while next > 0 {
        let quotient = rest / next;
        (rest, next) = (next, rest - quotient * next);
        (factor, next_factor) = (next_factor, factor - quotient * next_factor);
    }
    factor.rem_euclid(modulus) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverses() {
        for modulus in 1..60 {
            for a in (0..200).filter(|&a| common(modulus, a) == 1) {
                assert_eq!(inverse(a, modulus) * a % modulus, 1 % modulus, "{a} modulo {modulus}");
            }
        }
    }
}
