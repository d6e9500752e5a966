//! Implicit matrix product (implicit GEMM), one tile per subgroup: for adapters whose subgroups share operands for next
//! to nothing.
//!
//! A processor that acts as a GPU has no workgroup memory of its own and pays for every barrier, while it hands a value
//! from one lane to all lanes of a subgroup (broadcast) as a move between registers. So each lane loads some pixels and
//! some of the kernel, broadcasts the pixels, and multiplies them with its own channels: a register tile spread over a
//! subgroup. It is meant for lavapipe and SwiftShader.
//!
//! Its sums are chains, not [runs](super::Runs): with a second sum for each in registers drivers for processors compile for up to
//! eight seconds, and with one in memory lavapipe needs a tenth to a half more time for every convolution, even for those that
//! are one run. So thousands of equal products are less exact here than by other kernels (`docs/precision.md`).

use super::{
    ConvLaunch, InputAccess, PIXELS, PRODUCT, TAP, WINDOWS, four_wide_output, four_wide_stores, packing, tap_rows,
};
use crate::Result;
use crate::plan::{Accuracy, Caps, Constant, ConvProblem, Plan, Sums, nested_turns, part};

/// Pixels per lane and vectors of four channels per lane.
const TILES: [(u32, u32); 4] = [(4, 2), (4, 1), (2, 1), (1, 1)];

/// Operations from which a tile of more than 16 × 32 may come first: on lavapipe it saves 15 % at most, and takes 0.2 s more
/// to compile.
const GREAT: u64 = 200_000_000;

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    // wgpu 30 asks no browser for subgroups, and its package has no room for what it never asks for.
    let subgroup = caps.subgroup.filter(|_| !cfg!(target_arch = "wasm32"));
    let Some(subgroup @ (4 | 8)) = subgroup else { return Ok(Vec::new()) };
    let geometry = &problem.geometry;
    if !caps.software || geometry.group_in() < 3 || geometry.group_out() < subgroup * 2 {
        return Ok(Vec::new());
    }
    let [_, _, width] = geometry.axes.map(|axis| u64::from(axis.kernel));
    let turns = nested_turns(&[tap_rows(geometry), width, geometry.group_in().div_ceil(4).into()]);
    let mut plans = Vec::new();
    for (slots, vectors) in by_cost(problem, caps, subgroup) {
        if !caps.spells_out_texels(u64::from(slots * vectors * subgroup * 4), 0) {
            continue;
        }
        let items = geometry.tiles(slots * subgroup, 4 * vectors * subgroup);
        let output = four_wide_output(problem);
        let launch = ConvLaunch {
            lanes: 4,
            stores: four_wide_stores(problem),
            input: InputAccess::Fours,
            kernel_at: true,
            parts: &[output, PRODUCT, TAP, WINDOWS, PIXELS, part!("conv_subgroup.wgsl")],
            constants: &[
                ("SUBGROUP", Constant::U32(subgroup)),
                ("SLOTS", Constant::U32(slots)),
                ("VECTORS", Constant::U32(vectors)),
                ("QUAD", Constant::Bool(caps.samples_texels && subgroup == 4)),
            ],
            items,
            workgroups: caps.fold(items)?,
            turns: turns + u64::from(slots * subgroup * 2),
        };
        plans.push(
            Plan::new(
                "conv_subgroup",
                format!("{}x4_{}x{}", problem.dtype, slots * subgroup, vectors * subgroup * 4),
                vec![launch.dispatch(problem, caps)?],
            )
            .packed(packing::in_fours(problem, caps)?)
            .rounded(Accuracy::of(Sums::Chain)),
        );
    }
    Ok(plans)
}

/// The tiles, cheapest first; in a convolution of no great size those come last that take long to compile.
fn by_cost(problem: &ConvProblem, caps: &Caps, subgroup: u32) -> [(u32, u32); 4] {
    let mut tiles = TILES;
    let great = caps.samples_texels || problem.geometry.flops() >= GREAT;
    tiles.sort_by_key(|&(slots, vectors)| {
        (!great && slots * vectors > 2, cost(problem, caps, subgroup, (slots, vectors)))
    });
    tiles
}

/// Cycles with a tile; one at the edge costs as much as any other. As measured on lavapipe: 45 for a load of four values, 8
/// to share them, 19 for sixteen multiply-adds, or 26 where a lane has two vectors of them; on SwiftShader 47, 13, and 34 or 40.
fn cost(problem: &ConvProblem, caps: &Caps, subgroup: u32, (slots, vectors): (u32, u32)) -> u64 {
    let geometry = &problem.geometry;
    let [load, broadcast, product] = match (caps.samples_texels, vectors) {
        (true, 2) => [47, 13, 40],
        (true, _) => [47, 13, 34],
        (false, 2) => [45, 8, 26],
        (false, _) => [45, 8, 19],
    };
    let loads = u64::from(slots + 4 * vectors) * load;
    let broadcasts = u64::from(slots * subgroup) * broadcast;
    let products = u64::from(slots * subgroup * vectors) * product;
    let steps = geometry.tiles(slots * subgroup, 4 * vectors * subgroup)
        * geometry.taps()
        * u64::from(geometry.group_in().div_ceil(4));
    steps * (loads + broadcasts + products)
}

/// Cycles with the tile that comes first, and three quarters of one for each byte of the kernel, which passes through the caches
/// once; `None` where there is no such kernel. In a browser SwiftShader has no subgroups for wgpu, and what stands in for them,
/// kernels in registers, takes somewhat longer for products of either kind.
pub(super) fn cycles(problem: &ConvProblem, caps: &Caps) -> Option<u64> {
    let subgroup = caps.subgroup.or(caps.samples_texels.then_some(4)).filter(|_| caps.software)?;
    let kernel = packing::filled(&problem.geometry) * problem.dtype.size() as u64 * 3 / 4;
    let [first, ..] = by_cost(problem, caps, subgroup);
    Some(cost(problem, caps, subgroup, first) + kernel)
}
