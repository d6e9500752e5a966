//! Depthwise convolution by register rows.
//!
//! In a depthwise convolution each channel has a filter of its own and no channels are mixed, so there is little to
//! compute for what is loaded: it is bound by memory, and no matrix product helps. An invocation computes a row of
//! neighbouring outputs (its register tile), whose windows overlap: the inputs of a row are read once into registers
//! and serve them all. Four channels are taken at once where they lie side by side (vectorised loads).

use super::{ConvLaunch, Input, RUN, depthwise_lanes, tap_rows, workgroups};
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
    let rows = tap_rows(geometry);
    // A run is some rows of the kernel.
    let run = if geometry.taps() > RUN.into() { u64::from((RUN / w.kernel).max(1)) } else { rows };
    let mut plans = Vec::new();
    for tile in [4u32, 8, 2, 1] {
        let span = u64::from(tile - 1) * u64::from(w.stride) + w.effective_kernel();
        let fits = caps.spells_out(u64::from(tile) * u64::from(w.kernel), span);
        if span > MOST_SPAN || !fits || (tile > w.output && tile > 1) {
            continue;
        }
        let tiles = u64::from(w.output.div_ceil(tile));
        let items = geometry.pixels() / u64::from(w.output.max(1)) * tiles * u64::from(geometry.out_channels / lanes);
        let launch = ConvLaunch {
            lanes,
            stores: lanes,
            input: Input::Own,
            kernel_at: false,
            parts: &[part!("conv_depthwise.wgsl")],
            constants: &[
                ("TILE", Constant::U32(tile)),
                ("SPAN", Constant::U32(span as u32)),
                ("MULTIPLIER", Constant::U32(multiplier)),
                ("RUN_ROWS", Constant::U32(run as u32)),
            ],
            items,
            workgroups: workgroups(items, caps)?,
            turns: rows + rows.div_ceil(run),
        };
        plans.push(Plan::new(
            "conv_depthwise",
            format!("{}x{lanes}_1x{tile}", problem.dtype),
            vec![launch.dispatch(problem, caps)?],
        ));
    }
    Ok(plans)
}
