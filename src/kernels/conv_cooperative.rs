//! Implicit matrix product (implicit GEMM) by the adapter's matrix units: f16 operands, sums in f32.
//!
//! A matrix unit (tensor core) multiplies whole small matrices in one instruction. A workgroup stages tiles of input
//! and kernel in workgroup memory, as in `conv_tiled`, and its subgroups multiply them as cooperative matrices. The
//! kernel is offered where the device was opened with these (`gpu/cooperative.rs`), the problem is in f16, and a group
//! has at least as many channels as a matrix has rows.
//!
//! It has run on lavapipe alone, with matrices of 8×8. naga 30 declares Vulkan's memory model for such a shader without
//! marking what a workgroup shares as that model wants it: lavapipe does what the barriers mean, a driver that takes
//! the letter need not.

use super::{
    ConvLaunch, InputAccess, PRODUCT, STAGE, TAP, WINDOWS, four_wide_output, four_wide_stores, packing, tap_rows,
};
use crate::plan::{Accuracy, Caps, Constant, ConvProblem, Plan, Sums, nested_turns, part};
use crate::{DType, Result};

/// Matrices along each side of a subgroup's tile.
const WIDE: u32 = 2;
/// Subgroups along each side of a workgroup's tile.
const SIDE: u32 = 2;

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    // No browser has them, and its package no room for what it never asks for.
    let units = caps.cooperative_f16.filter(|_| !cfg!(target_arch = "wasm32"));
    let (Some(edge), Some(subgroup)) = (units, caps.subgroup) else { return Ok(Vec::new()) };
    let Some([left, right, sums]) = matrices(edge) else { return Ok(Vec::new()) };
    let geometry = &problem.geometry;
    let [_, _, w] = geometry.axes;
    if problem.dtype != DType::F16 || geometry.group_in().min(geometry.group_out()) < edge {
        return Ok(Vec::new());
    }
    let steps = geometry.group_in().div_ceil(edge).min(2);
    let (tile, depth) = (edge * WIDE * SIDE, edge * steps);
    let storage = 2 * (tile * (depth + 8) + depth * (tile + 8)) + 4 * (edge * SIDE).pow(2);
    if subgroup * SIDE * SIDE > caps.max_invocations || storage > caps.workgroup_storage {
        return Ok(Vec::new());
    }
    let staged = (tile * depth / 4).div_ceil(subgroup * SIDE * SIDE);
    let items = geometry.tiles(tile, tile);
    let output = four_wide_output(problem);
    let launch = ConvLaunch {
        lanes: 4,
        stores: four_wide_stores(problem),
        input: InputAccess::Fours,
        kernel_at: true,
        parts: &[output, PRODUCT, TAP, WINDOWS, STAGE, part!("conv_cooperative.wgsl")],
        constants: &[
            ("Left", Constant::Type(left, 1)),
            ("Right", Constant::Type(right, 1)),
            ("Sums", Constant::Type(sums, 1)),
            ("EDGE", Constant::U32(edge)),
            ("STEPS", Constant::U32(steps)),
            ("WIDE", Constant::U32(WIDE)),
            ("SIDE", Constant::U32(SIDE)),
            ("SUBGROUP", Constant::U32(subgroup)),
        ],
        items,
        workgroups: caps.fold(items)?,
        turns: nested_turns(&[tap_rows(geometry), w.kernel.into(), geometry.group_in().div_ceil(depth).into()])
            * u64::from(1 + steps + 2 * staged)
            + u64::from(WIDE * WIDE * edge * edge),
    };
    Ok(vec![
        Plan::new(
            "conv_cooperative",
            format!("{}x4_{tile}x{tile}x{depth}", problem.dtype),
            vec![launch.dispatch(problem, caps)?],
        )
        .packed(packing::in_fours(problem, caps)?)
        .rounded(Accuracy::of(Sums::Chain)),
    ])
}

/// The two factors and the sums as WGSL writes them, for the sizes that it has.
fn matrices(edge: u32) -> Option<[&'static str; 3]> {
    match edge {
        8 => Some(["coop_mat8x8<f16, A>", "coop_mat8x8<f16, B>", "coop_mat8x8<f32, C>"]),
        16 => Some(["coop_mat16x16<f16, A>", "coop_mat16x16<f16, B>", "coop_mat16x16<f32, C>"]),
        _ => None,
    }
}
