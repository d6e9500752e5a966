//! Long sums in parts (split-K): for convolutions with too few outputs to fill a device.
//!
//! Late in a network images are small and channels many: few outputs, each a sum of thousands of products. A launch
//! with a workgroup for each tile of outputs then leaves most of a GPU idle (low occupancy). So each sum is split along
//! the input channels into parts that are computed side by side.
//!
//! The parts are a convolution with a group for each, which the kernels for such do; a second launch adds them up in
//! order, and applies the epilogue. Parts are f32 and have their channels last, whatever the tensors are. The order is
//! fixed, so a result is the same bits in every run.

use super::conv_launch::sums;
use super::long_sums::to_scratch;
use super::{
    ConvLaunch, InputAccess, ProductStep, four_wide_output, four_wide_stores, move_axes, product_steps, workgroups,
};
use crate::geometry::{Axis, ConvGeometry, extent};
use crate::plan::{
    Caps, Constant, ConvProblem, Direction, Dispatch, Epilogue, MoveAxis, MoveProblem, Outside, Packing, Plan, part,
};
use crate::{DType, Result};

/// Workgroups for each core below which a device is taken to be idle in part.
const ENOUGH: u64 = 4;
/// Fewest products of a part.
const LEAST_TERMS: u64 = 128;
const MOST_SPLITS: u32 = 16;

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let Some(splits) = splits(problem, caps) else { return Ok(Vec::new()) };
    let geometry = &problem.geometry;
    let Some(out_channels) = geometry.out_channels.checked_mul(splits) else { return Ok(Vec::new()) };
    let parts = ConvProblem {
        geometry: ConvGeometry { groups: splits, out_channels, ..*geometry },
        epilogue: Epilogue::NONE,
        ..*problem
    };
    let bytes = parts.geometry.out_elements() * 4;
    if bytes > caps.max_binding.min(u32::MAX.into()) {
        return Ok(Vec::new());
    }
    let sum = ConvProblem {
        geometry: ConvGeometry {
            groups: 1,
            in_channels: out_channels,
            axes: geometry.axes.map(|axis| Axis::pointwise(axis.output)),
            ..*geometry
        },
        ..*problem
    };
    let written = four_wide_output(&sum);
    let items = geometry.out_elements() / 4;
    let launch = ConvLaunch {
        lanes: 4,
        stores: four_wide_stores(&sum),
        input: InputAccess::Lanes,
        kernel_at: false,
        parts: &[written, part!("sum_splits.wgsl")],
        constants: &[("SPLITS", Constant::U32(splits))],
        items,
        workgroups: workgroups(items, caps)?,
        turns: splits.into(),
    };
    let last = launch.finish(parts.geometry.out_elements(), &sum, caps)?;
    let packing = packing(problem, splits, caps)?;
    let plan = |ProductStep { variant, dispatch, accuracy }| {
        let steps = vec![bare(dispatch, problem.dtype), last.clone()];
        let plan = Plan::new("conv_split", format!("{splits}_{variant}"), steps);
        plan.with_scratch(vec![bytes]).packed(Some(packing.clone())).rounded(accuracy)
    };
    Ok(product_steps(&parts, to_scratch, caps)?.into_iter().map(plan).collect())
}

/// In how many parts a sum is split, if it should be: as many as fill the device with tiles of 64 × 64.
fn splits(problem: &ConvProblem, caps: &Caps) -> Option<u32> {
    let geometry = &problem.geometry;
    let plain = problem.direction == Direction::Forward && geometry.groups == 1;
    if !plain || !geometry.out_channels.is_multiple_of(4) {
        return None;
    }
    let tiles = geometry.tiles(64, 64);
    let enough = ENOUGH * u64::from(caps.cores);
    let fits = |splits: &u32| {
        let even = geometry.in_channels.is_multiple_of(4 * splits);
        even && geometry.terms() / u64::from(*splits) >= LEAST_TERMS && tiles * u64::from(*splits) < 2 * enough
    };
    (1..=MOST_SPLITS.ilog2()).map(|log| 1 << log).filter(fits).max()
}

/// The launch of the parts of a convolution of `dtype` where it stores them as they are: f32, channels last.
fn bare(mut launch: Dispatch, dtype: DType) -> Dispatch {
    for own in &mut launch.shader.parts {
        if ["lib/output_vectors.wgsl", "lib/output_scalars.wgsl"].contains(&own.file) {
            *own = part!("lib/output_sums.wgsl");
        }
    }
    launch.shader.parts.push(sums(dtype));
    launch
}

/// The kernel `[tap, s·part + j, f]` as `[tap, j, s, f]`, where `part` is the input channels of one part.
fn packing(problem: &ConvProblem, splits: u32, caps: &Caps) -> Result<Packing> {
    let geometry = &problem.geometry;
    let taps = extent(geometry.taps() as usize)?;
    let (filters, part) = (geometry.out_channels, geometry.in_channels / splits);
    let axis = |extent, from: u32, to| MoveAxis { extent, from: from as i32, to, reach: None };
    let tap = geometry.in_channels * filters;
    let axes = [
        axis(taps, tap, tap),
        axis(part, filters, splits * filters),
        axis(splits, part * filters, filters),
        axis(filters, 1, 1),
    ];
    let moved = MoveProblem::new(&axes, 0, Outside::ZERO, problem.dtype)?;
    let step = move_axes::dispatch(&moved, caps)?;
    Ok(Packing { step, elements: geometry.kernel_elements(), dtype: problem.dtype })
}
