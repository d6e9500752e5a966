//! Implicit matrix product through workgroup memory.

use super::{ConvLaunch, Input, PRODUCT, STAGE, four_wide_output, four_wide_stores, packing, product_turns};
use crate::Result;
use crate::plan::{Caps, Constant, ConvProblem, Plan, part};

/// Pixels and output channels of a workgroup's tile, and input channels of a step, best guess first.
const TILES: [(u32, u32); 2] = [(64, 16), (32, 32)];

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let geometry = &problem.geometry;
    if geometry.group_in() < 3 || geometry.group_out() < 4 {
        return Ok(Vec::new());
    }
    let mut plans = Vec::new();
    for (tile, depth) in TILES {
        let storage = 2 * tile * depth * 4;
        if tile * tile / 16 > caps.max_invocations || storage > caps.workgroup_storage {
            continue;
        }
        let staged = (tile * depth / 4).div_ceil(tile * tile / 16);
        let items = geometry.tiles(tile, tile);
        let output = four_wide_output(problem);
        let launch = ConvLaunch {
            lanes: 4,
            stores: four_wide_stores(problem),
            input: Input::Fours,
            kernel_at: true,
            parts: &[output, PRODUCT, STAGE, part!("conv_tiled.wgsl")],
            constants: &[("TILE", Constant::U32(tile)), ("DEPTH", Constant::U32(depth))],
            items,
            workgroups: caps.fold(items)?,
            turns: product_turns(geometry, depth) * (1 + u64::from(depth + 2 * staged)),
        };
        plans.push(Plan {
            name: format!("conv_tiled_{}x4_{tile}x{tile}x{depth}", problem.dtype),
            steps: vec![launch.dispatch(problem, caps)?],
            scratch: vec![],
            packing: packing::in_fours(problem, caps)?,
        });
    }
    Ok(plans)
}
