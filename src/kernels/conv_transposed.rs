//! Transposed convolution: rows of pixels at four output channels, and one output by itself.

use super::{ConvLaunch, Input, PRODUCT, four_wide_output, four_wide_stores, packing, workgroups};
use crate::Result;
use crate::plan::{Caps, Constant, ConvProblem, Direction, Part, Plan, nested_turns, part};

const TAPS: Part = part!("lib/taps.wgsl");

/// One output per invocation; any geometry. The transposed convolution of last resort.
pub(super) fn direct_plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    if problem.direction != Direction::BackwardInput {
        return Ok(Vec::new());
    }
    let items = problem.written_elements();
    let launch = ConvLaunch {
        lanes: 1,
        stores: 1,
        input: Input::Own,
        kernel_at: false,
        parts: &[TAPS, part!("conv_transposed_direct.wgsl")],
        constants: &tap_steps(problem),
        items,
        workgroups: workgroups(items, caps)?,
        turns: tap_turns(problem, 1),
    };
    Ok(vec![Plan {
        name: format!("conv_transposed_direct_{}x1", problem.dtype),
        steps: vec![launch.dispatch(problem, caps)?],
        scratch: vec![],
        packing: None,
    }])
}

/// Four output channels and a row of pixels per invocation.
pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    if problem.direction != Direction::BackwardInput {
        return Ok(Vec::new());
    }
    let geometry = &problem.geometry;
    let [_, w] = geometry.axes;
    let [_, height, width] = problem.written().map(u64::from);
    let rows = u64::from(geometry.batch) * height;
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
            input: Input::Fours,
            kernel_at: true,
            parts: &[output, PRODUCT, TAPS, part!("conv_transposed.wgsl")],
            constants: &[&[("TILE", Constant::U32(tile))][..], &tap_steps(problem)].concat(),
            items,
            workgroups: workgroups(items, caps)?,
            turns: tap_turns(problem, 4),
        };
        plans.push(Plan {
            name: format!("conv_transposed_{}x4_1x{tile}", problem.dtype),
            steps: vec![launch.dispatch(problem, caps)?],
            scratch: vec![],
            packing: Some(packing::transposed(problem, caps)?),
        });
    }
    Ok(plans)
}

/// Taps from one that hits a position to the next that does, along height and width.
fn steps(problem: &ConvProblem) -> [u32; 2] {
    problem.geometry.axes.map(|axis| axis.stride / common(axis.stride, axis.dilation))
}

/// The same as constants of a shader.
fn tap_steps(problem: &ConvProblem) -> [(&'static str, Constant); 2] {
    let [h, w] = steps(problem).map(Constant::U32);
    [("TAP_STEP_H", h), ("TAP_STEP_W", w)]
}

/// Turns of the loops that look for the first tap of either axis, and over the taps that hit and their channels, `lanes` at
/// a time.
fn tap_turns(problem: &ConvProblem, lanes: u32) -> u64 {
    let geometry = &problem.geometry;
    let [step_h, step_w] = steps(problem);
    let [h, w] = geometry.axes;
    let [rows, columns] = [h.kernel.div_ceil(step_h), w.kernel.div_ceil(step_w)];
    let hits = [rows, columns, geometry.group_out().div_ceil(lanes)].map(u64::from);
    u64::from(step_h) + u64::from(rows) * u64::from(step_w) + nested_turns(&hits)
}

/// The greatest common divisor.
const fn common(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common(b, a % b) }
}
