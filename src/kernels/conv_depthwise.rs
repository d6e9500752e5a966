//! Depthwise convolution by register rows.
//!
//! In a depthwise convolution each channel has a filter of its own and no channels are mixed, so there is little to
//! compute for what is loaded: it is bound by memory, and no matrix product helps. An invocation computes a row of
//! neighbouring outputs (its register tile), whose windows overlap: the inputs of a row are read once into registers
//! and serve them all. Four channels are taken at once where they lie side by side (vectorised loads). A long row of the
//! kernel, 1×65 for example, or one whose taps lie far apart, is taken in pieces, as many taps at a time as registers hold.

use super::{ConvLaunch, InputAccess, RUN, depthwise_lanes, tap_rows, workgroups};
use crate::Result;
use crate::plan::{Caps, Constant, ConvProblem, Plan, part};

/// Input vectors that one invocation may hold: above it the row would leave the registers.
const MOST_SPAN: u64 = 32;

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let geometry = &problem.geometry;
    let [_, _, w] = geometry.axes;
    if geometry.group_in() != 1 {
        return Ok(Vec::new());
    }
    let multiplier = geometry.group_out();
    let lanes = depthwise_lanes(problem);
    // The longer the row, the more each value serves: then a longer row of outputs pays.
    let long = w.effective_kernel() + 3 * u64::from(w.stride) > MOST_SPAN;
    let mut plans = Vec::new();
    for tile in if long { [8, 4, 2, 1] } else { [4u32, 8, 2, 1] } {
        // As many taps as the registers leave room for beside the first one, in pieces of nearly the same length.
        let first = u64::from(tile - 1) * u64::from(w.stride) + 1;
        let Some(room) = MOST_SPAN.checked_sub(first) else { continue };
        let most = (room / u64::from(w.dilation) + 1).min(w.kernel.into()) as u32;
        let pieces = w.kernel.div_ceil(most);
        let piece = w.kernel.div_ceil(pieces);
        let span = first + u64::from(piece - 1) * u64::from(w.dilation);
        if !caps.spells_out(u64::from(tile) * u64::from(piece), span) || (tile > w.output && tile > 1) {
            continue;
        }
        let steps = tap_rows(geometry) * u64::from(pieces);
        let run = if geometry.taps() > RUN.into() { u64::from((RUN / piece).max(1)) } else { steps };
        let tiles = u64::from(w.output.div_ceil(tile));
        let items = geometry.pixels() / u64::from(w.output.max(1)) * tiles * u64::from(geometry.out_channels / lanes);
        let launch = ConvLaunch {
            lanes,
            stores: lanes,
            input: InputAccess::Own,
            kernel_at: false,
            parts: &[part!("conv_depthwise.wgsl")],
            constants: &[
                ("TILE", Constant::U32(tile)),
                ("SPAN", Constant::U32(span as u32)),
                ("MULTIPLIER", Constant::U32(multiplier)),
                ("PIECE", Constant::U32(piece)),
                ("PIECES", Constant::U32(pieces)),
                ("RUN", Constant::U32(run as u32)),
            ],
            items,
            workgroups: workgroups(items, caps)?,
            turns: steps + steps.div_ceil(run),
        };
        plans.push(Plan::new(
            "conv_depthwise",
            format!("{}x{lanes}_1x{tile}", problem.dtype),
            vec![launch.dispatch(problem, caps)?],
        ));
    }
    Ok(plans)
}
