//! Transposed convolution of each channel by itself: the gradient to the input of a depthwise convolution with strides.
//!
//! Without strides that gradient is a convolution with the kernel turned around, and any depthwise kernel computes it. With strides
//! it would be one of a picture with zeros between, most of whose products are with zeros; here only the taps that hit are
//! visited (`lib/taps.wgsl`), four channels at a time where they lie side by side (vectorised loads).
//!
//! An output at a time reads an input and a kernel vector for each product. Between two inputs lie as many outputs as a stride
//! has steps, and all of them read the same inputs: a block of outputs loads each of them once (register tile).

use super::conv_transposed::{hits, tap_constants, taps};
use super::{ConvLaunch, InputAccess, depthwise_lanes, workgroups};
use crate::plan::{Accuracy, Caps, Constant, ConvProblem, Direction, Plan, Sums, nested_turns, part};
use crate::{DataFormat, Result};

/// Most sums of an invocation.
const MOST_SUMS: u64 = 32;

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    if problem.direction != Direction::BackwardInput || !problem.geometry.is_depthwise() {
        return Ok(Vec::new());
    }
    let (blocks, each) = (block_plans(problem, caps)?, each_plan(problem, caps)?);
    // A GPU is filled by many invocations sooner than by large ones.
    Ok(if caps.software { [blocks, vec![each]] } else { [vec![each], blocks] }.concat())
}

/// Blocks of outputs between and beside some inputs, the widest that fits.
fn block_plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let last = problem.data_format == DataFormat::ChannelsLast;
    let (true, Some([h, w])) = (last, problem.geometry.plane()) else { return Ok(Vec::new()) };
    if h.dilation > 1 || w.dilation > 1 {
        return Ok(Vec::new());
    }
    let lanes = depthwise_lanes(problem);
    let [_, _, height, width] = problem.written().map(u64::from);
    let [hits_h, hits_w] = [h, w].map(|axis| axis.kernel.div_ceil(axis.stride));
    for tile in [4u32, 2, 1] {
        let sums = u64::from(h.stride) * u64::from(w.stride) * u64::from(tile);
        let span = u64::from(tile) + u64::from(hits_w) - 1;
        let taps = u64::from(h.stride) * u64::from(w.kernel);
        if sums > MOST_SUMS || !caps.spells_out(taps.saturating_mul(tile.into()), span.saturating_add(taps)) {
            continue;
        }
        let across = u64::from(w.stride) * u64::from(tile);
        let down = (height + u64::from(h.pad_before)).div_ceil(h.stride.into());
        let blocks = down.saturating_mul((width + u64::from(w.pad_before)).div_ceil(across));
        let vectors = u64::from(problem.geometry.in_channels / lanes);
        let items = blocks.saturating_mul(vectors).saturating_mul(problem.geometry.batch.into());
        let launch = ConvLaunch {
            lanes,
            stores: lanes,
            input: InputAccess::Lanes,
            kernel_at: true,
            parts: &[part!("conv_transposed_depthwise_block.wgsl")],
            constants: &[
                ("TILE", Constant::U32(tile)),
                ("WIDTH", Constant::U32(w.stride * tile)),
                ("SUMS", Constant::U32(sums as u32)),
                ("HITS_H", Constant::U32(hits_h)),
                ("HITS_W", Constant::U32(hits_w)),
                ("SPAN", Constant::U32(span as u32)),
            ],
            items,
            workgroups: workgroups(items, caps)?,
            turns: hits_h.into(),
        };
        let name = format!("{}x{lanes}_{}x{across}", problem.dtype, h.stride);
        let plan = Plan::new("conv_transposed_depthwise", name, vec![launch.dispatch(problem, caps)?]);
        return Ok(vec![plan.rounded(Accuracy::of(Sums::Chain))]);
    }
    Ok(Vec::new())
}

/// One output by itself.
fn each_plan(problem: &ConvProblem, caps: &Caps) -> Result<Plan> {
    let lanes = depthwise_lanes(problem);
    let items = problem.written_elements() / u64::from(lanes);
    let [rows, columns] = hits(problem);
    let launch = ConvLaunch {
        lanes,
        stores: lanes,
        input: InputAccess::Lanes,
        kernel_at: true,
        parts: &[&taps(problem)[..], &[part!("conv_transposed_depthwise.wgsl")]].concat(),
        constants: &tap_constants(problem)?,
        items,
        workgroups: workgroups(items, caps)?,
        turns: nested_turns(&[rows.saturating_mul(columns)]),
    };
    let name = format!("{}x{lanes}", problem.dtype);
    let plan = Plan::new("conv_transposed_depthwise", name, vec![launch.dispatch(problem, caps)?]);
    Ok(plan.rounded(Accuracy::of(Sums::Chain)))
}
