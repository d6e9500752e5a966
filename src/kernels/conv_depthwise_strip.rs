//! Depthwise convolution down strips of the image.
//!
//! As `conv_depthwise`, but windows overlap from row to row as well. An invocation walks down a strip of the image and
//! adds each input row to all output rows that it belongs to, which are under way in registers. So no input is read
//! twice within a strip, while there are fewer invocations to fill a device (lower occupancy). So it stands first on
//! the menu of a processor, which a few invocations fill, and behind `conv_depthwise` on that of a GPU.

use super::{ConvLaunch, InputAccess, depthwise_lanes, workgroups};
use crate::Result;
use crate::plan::{Caps, Constant, ConvProblem, Plan, part};

/// Input vectors of a row that one invocation may hold.
const MOST_SPAN: u64 = 32;
/// Sums that are under way: above it they would leave the registers, and tall windows are better transposed.
const MOST_SUMS: u32 = 32;
/// Rows of a strip: the halo above and below is read twice.
const STRIP: u32 = 28;

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let geometry = &problem.geometry;
    let Some([h, w]) = geometry.plane() else { return Ok(Vec::new()) };
    if geometry.group_in() != 1 || h.dilation > 1 || h.stride > h.kernel {
        return Ok(Vec::new());
    }
    let lanes = depthwise_lanes(problem);
    let pending = h.kernel.div_ceil(h.stride);
    let mut plans = Vec::new();
    for tile in [4u32, 8, 2] {
        let span = u64::from(tile - 1) * u64::from(w.stride) + w.effective_kernel();
        let products = u64::from(tile) * u64::from(h.kernel) * u64::from(w.kernel);
        let registers = span <= MOST_SPAN && pending.saturating_mul(tile) <= MOST_SUMS;
        if tile > w.output || !registers || !caps.spells_out(products, span * u64::from(h.stride)) {
            continue;
        }
        let places =
            u64::from(geometry.batch) * u64::from(h.output.div_ceil(STRIP)) * u64::from(w.output.div_ceil(tile));
        let items = places * u64::from(geometry.out_channels / lanes);
        let launch = ConvLaunch {
            lanes,
            stores: lanes,
            input: InputAccess::Lanes,
            kernel_at: true,
            parts: &[part!("conv_depthwise_strip.wgsl")],
            constants: &[
                ("TILE", Constant::U32(tile)),
                ("STRIP", Constant::U32(STRIP)),
                ("MULTIPLIER", Constant::U32(geometry.group_out())),
                ("TAPS", Constant::U32(h.kernel * w.kernel)),
                ("PENDING", Constant::U32(pending)),
                ("SPAN", Constant::U32(span as u32)),
                ("SUMS", Constant::U32(pending * tile)),
                ("KEPT", Constant::U32(pending * tile - tile)),
            ],
            items,
            workgroups: workgroups(items, caps)?,
            turns: u64::from(STRIP) + u64::from(pending),
        };
        plans.push(Plan::new(
            "conv_depthwise_strip",
            format!("{}x{lanes}_{STRIP}x{tile}", problem.dtype),
            vec![launch.dispatch(problem, caps)?],
        ));
    }
    Ok(plans)
}
