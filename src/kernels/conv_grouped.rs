//! Register rows of four output channels: for groups too narrow to be a matrix product.
//!
//! A grouped convolution is several convolutions side by side, each with its share of the channels. With four channels
//! to a group, say, a tile of a matrix product would be mostly empty. An invocation instead computes a row of
//! neighbouring pixels at four output channels (its register tile); the inputs that their windows have in common are
//! read once into registers. A row of the kernel that is too long for that is cut into pieces.

use super::{ConvLaunch, InputAccess, PRODUCT, RUN, four_wide_output, four_wide_stores, packing, tap_rows, workgroups};
use crate::Result;
use crate::plan::{Caps, Constant, ConvProblem, Plan, part};

/// Input vectors that one invocation may hold: above it the row would leave the registers.
const MOST_SPAN: u64 = 24;
/// Output channels of a group from which a matrix product wins.
const WIDE: u32 = 16;

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let geometry = &problem.geometry;
    let [_, _, w] = geometry.axes;
    let (group_in, group_out) = (geometry.group_in(), geometry.group_out());
    if group_in < 2 || !(2..WIDE).contains(&group_out) {
        return Ok(Vec::new());
    }
    let mut plans = Vec::new();
    for tile in [8u32, 4, 2] {
        // The inputs that the windows of the tile cover, taps counted from the first of a piece.
        let span =
            |taps: u32| u64::from(tile - 1) * u64::from(w.stride) + u64::from(taps - 1) * u64::from(w.dilation) + 1;
        let fits =
            |taps: u32| span(taps) <= MOST_SPAN && caps.spells_out(4 * u64::from(tile) * u64::from(taps), span(taps));
        // Pieces of one length, or the last shorter; a piece is no longer than can fit.
        let longest = w.kernel.min(MOST_SPAN as u32);
        let Some(most) = (1..=longest).rev().find(|&taps| fits(taps)).filter(|_| tile <= w.output) else { continue };
        let pieces = w.kernel.div_ceil(most);
        let taps = w.kernel.div_ceil(pieces);
        let span = span(taps);
        // A run is some channels of one piece.
        let depth = (RUN / taps / 4 * 4).max(4);
        let blocks = group_in.div_ceil(depth);
        let down = tap_rows(geometry).saturating_mul(pieces.into());
        let rows = geometry.pixels() / u64::from(w.output) * u64::from(w.output.div_ceil(tile));
        let items = rows * u64::from(geometry.groups) * u64::from(group_out.div_ceil(4));
        let output = four_wide_output(problem);
        let launch = ConvLaunch {
            lanes: 4,
            stores: four_wide_stores(problem),
            input: InputAccess::Fours,
            kernel_at: true,
            parts: &[output, PRODUCT, part!("conv_grouped.wgsl")],
            constants: &[
                ("TILE", Constant::U32(tile)),
                ("TAPS", Constant::U32(taps)),
                ("PIECES", Constant::U32(pieces)),
                ("SPAN", Constant::U32(span as u32)),
                ("RUN_DEPTH", Constant::U32(depth)),
                ("CLOSES", Constant::Bool(geometry.terms() > RUN.into())),
            ],
            items,
            workgroups: workgroups(items, caps)?,
            turns: down.saturating_mul(u64::from(blocks) + u64::from(group_in.div_ceil(4))),
        };
        plans.push(
            Plan::new("conv_grouped", format!("{}x4_1x{tile}", problem.dtype), vec![launch.dispatch(problem, caps)?])
                .packed(packing::in_fours(problem, caps)?),
        );
    }
    Ok(plans)
}
