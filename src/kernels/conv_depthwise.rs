//! Depthwise convolution by register rows.

use super::conv_dispatch;
use crate::plan::{Caps, Constant, ConvProblem, Plan, part};
use crate::{DataFormat, Result};

/// Input vectors that one invocation may hold: above it the row would leave the registers.
const MOST_SPAN: u64 = 32;

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let geometry = &problem.geometry;
    let [_, w] = geometry.axes;
    if geometry.group_in() != 1 {
        return Ok(Vec::new());
    }
    let multiplier = geometry.group_out();
    let vectors = problem.data_format == DataFormat::ChannelsLast && multiplier == 1 && geometry.out_channels.is_multiple_of(4);
    let lanes = if vectors { 4 } else { 1 };
    let mut plans = Vec::new();
    for tile in [4u32, 8, 2, 1] {
        let span = u64::from(tile - 1) * u64::from(w.stride) + w.effective_kernel();
        if span > MOST_SPAN || (tile > w.output && tile > 1) {
            continue;
        }
        let tiles = u64::from(w.output.div_ceil(tile));
        let items = geometry.pixels() / u64::from(w.output.max(1)) * tiles * u64::from(geometry.out_channels / lanes);
        let extra = [("TILE", Constant::U32(tile)), ("MULTIPLIER", Constant::U32(multiplier))];
        plans.push(Plan {
            name: format!("conv_depthwise_{}x{lanes}_1x{tile}", problem.dtype),
            steps: vec![conv_dispatch(problem, caps, part!("conv_depthwise.wgsl"), lanes, items, &extra)?],
            scratch: vec![],
            packing: None,
        });
    }
    Ok(plans)
}
