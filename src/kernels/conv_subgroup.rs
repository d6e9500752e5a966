//! Implicit matrix product, one tile per subgroup: for adapters whose subgroups share operands for next to nothing.

use super::{ConvLaunch, PIXELS, PRODUCT, channels_in_fours, four_wide_parts, four_wide_stores, packing};
use crate::Result;
use crate::plan::{Caps, Constant, ConvProblem, Plan, part};

/// Pixels per lane and vectors of four channels per lane.
const TILES: [(u32, u32); 5] = [(4, 2), (4, 1), (2, 2), (2, 1), (1, 1)];

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let Some(subgroup @ (4 | 8)) = caps.subgroup else { return Ok(Vec::new()) };
    let geometry = &problem.geometry;
    if !caps.software || geometry.group_in() < 3 || geometry.group_out() < subgroup * 2 {
        return Ok(Vec::new());
    }
    let [_, output_in_fours] = channels_in_fours(problem);
    let in_turn = problem.epilogue.activation.is_long() || !output_in_fours;
    let mut plans = Vec::new();
    for (slots, vectors) in by_cost(problem, subgroup) {
        if !caps.spells_out(u64::from(slots * vectors * subgroup * 4), 0) {
            continue;
        }
        let pixel_tiles = geometry.pixels().div_ceil(u64::from(slots * subgroup));
        let group_vectors = geometry.group_out().div_ceil(4);
        let vector_tiles = u64::from(group_vectors.div_ceil(vectors * subgroup));
        let items = pixel_tiles * vector_tiles * u64::from(geometry.groups);
        let [input, output] = four_wide_parts(problem);
        let launch = ConvLaunch {
            lanes: 4,
            stores: four_wide_stores(problem),
            parts: &[input, output, PRODUCT, PIXELS, part!("conv_subgroup.wgsl")],
            constants: &[
                ("SUBGROUP", Constant::U32(subgroup)),
                ("SLOTS", Constant::U32(slots)),
                ("VECTORS", Constant::U32(vectors)),
                ("IN_TURN", Constant::Bool(in_turn)),
            ],
            items,
            workgroups: caps.fold(items)?,
        };
        plans.push(Plan {
            name: format!("conv_subgroup_{}x4_{}x{}", problem.dtype, slots * subgroup, vectors * subgroup * 4),
            steps: vec![launch.dispatch(problem, caps)?],
            scratch: vec![],
            packing: packing::in_fours(problem, caps)?,
        });
    }
    Ok(plans)
}

/// The tiles, cheapest first.
fn by_cost(problem: &ConvProblem, subgroup: u32) -> [(u32, u32); 5] {
    let mut tiles = TILES;
    tiles.sort_by_key(|&tile| cost(problem, subgroup, tile));
    tiles
}

/// Cycles with a tile; one at the edge costs as much as any other. As measured on lavapipe: 45 for a load of four values, 8
/// to share them, 18 for sixteen multiply-adds.
fn cost(problem: &ConvProblem, subgroup: u32, (slots, vectors): (u32, u32)) -> u64 {
    let geometry = &problem.geometry;
    let pixel_tiles = geometry.pixels().div_ceil(u64::from(slots * subgroup));
    let vector_tiles = u64::from(geometry.group_out().div_ceil(4 * vectors * subgroup));
    let loads = u64::from(slots + 4 * vectors) * 45;
    let broadcasts = u64::from(slots * subgroup) * 8;
    let products = u64::from(slots * subgroup * vectors) * 18;
    let taps: u64 = geometry.axes.iter().map(|axis| u64::from(axis.kernel)).product();
    let steps = taps * u64::from(geometry.group_in().div_ceil(4)) * u64::from(geometry.groups);
    pixel_tiles * vector_tiles * steps * (loads + broadcasts + products)
}

/// Cycles with the best tile; `None` where there is no such kernel.
pub(super) fn cycles(problem: &ConvProblem, caps: &Caps) -> Option<u64> {
    let subgroup = caps.subgroup.filter(|_| caps.software)?;
    TILES.iter().map(|&tile| cost(problem, subgroup, tile)).min()
}
