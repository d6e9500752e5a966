//! The gradient of a 3×3 convolution to its kernel by Winograd's algorithm, backwards: fewer products, in four launches, or five
//! where the sum is in parts.
//!
//! Winograd's convolution (`conv_winograd`) multiplies transformed tiles of the input by a transformed kernel, place by place,
//! and makes outputs of the products. All of that is linear in the kernel. So its gradient is the same steps the other way, with
//! every transform transposed: what comes back to the outputs of a tile becomes what comes back to its products; that
//! times the transformed input, summed over the tiles, is the gradient of the transformed kernel; and of it the kernel's
//! 3×3 taps are made.
//!
//! The sum over the tiles is the gradient of a pointwise convolution with a group for each place in a tile, to its kernel,
//! which [`conv_kernel_gradient_subgroup`] computes. Each pair of channels takes 36 products for 16 pixels by tiles of 4×4, and 16 for
//! 4 by tiles of 2×2, where the plain sum takes 144 and 36. In exchange the tensors of the places are written and read once more: it
//! is for processors, and for pictures of more than a few tiles.

use super::conv_kernel_gradient::of_scratch;
use super::conv_launch::{ConvLaunch, InputAccess, sums};
use super::conv_winograd::{LEAST_CHANNELS, TILE_WINDOWS, TILES, TILES_IN_ORDER, WinogradTile};
use super::{conv_kernel_gradient_subgroup, item_count, offered, workgroups};
use crate::geometry::{Axis, ConvGeometry};
use crate::plan::{
    Accuracy, Binding, Caps, Constant, ConvProblem, Direction, Dispatch, Epilogue, INDEX, KernelGradientProblem,
    Operand, Part, Plan, Shader, params, part,
};
use crate::{DType, DataFormat, Result};

params! {
    /// The uniform block of `winograd_kernel_gradient.wgsl`.
    TransformedParams {
        /// Invocations with work to do.
        items,
        out_c,
    }
}

/// Products in the time of which a number is written and read again, as measured on lavapipe.
const MOVED: u64 = 20;

/// Tiles of all images; `None` beyond 32 bits.
fn count(tile: WinogradTile, geometry: &ConvGeometry) -> Option<u32> {
    let [_, rows, columns] = geometry.axes.map(|axis| axis.output.div_ceil(tile.outputs));
    rows.checked_mul(columns)?.checked_mul(geometry.batch)
}

/// The sum over the tiles; `None` where its tensors have too many elements to be numbered.
fn product(tile: WinogradTile, problem: &KernelGradientProblem) -> Option<KernelGradientProblem> {
    let geometry = &problem.geometry;
    let groups = tile.places();
    let channels = [geometry.in_channels.checked_mul(groups)?, geometry.out_channels.checked_mul(groups)?];
    let axes = [Axis::UNIT, Axis::UNIT, Axis::pointwise(count(tile, geometry)?)];
    let geometry = ConvGeometry::new(1, groups, channels, axes).ok()?;
    Some(KernelGradientProblem { geometry, dtype: DType::F32, data_format: DataFormat::ChannelsLast })
}

/// What a pair of channels takes, in the time of a product: those of its places, the transform of the kernel, and its share of the
/// transforms of tiles, which take half as long again as moving what they write.
fn cost(tile: WinogradTile, geometry: &ConvGeometry) -> Option<u64> {
    let tiles = u64::from(count(tile, geometry)?);
    let [inputs, outputs] = [geometry.in_channels, geometry.out_channels].map(u64::from);
    let transforms = tiles.checked_mul(MOVED * 3 / 2 * (inputs + outputs))? / (inputs * outputs);
    Some(u64::from(tile.places()) * (tiles + MOVED + transforms))
}

/// The tiles, cheapest first, each with its cost; none for what has none.
fn in_order(problem: &KernelGradientProblem) -> Vec<(u64, WinogradTile)> {
    if !applies(problem) {
        return Vec::new();
    }
    let costs = |tile: WinogradTile| Some((cost(tile, &problem.geometry).filter(|_| tile.gradient.is_some())?, tile));
    let mut tiles: Vec<_> = TILES.into_iter().filter_map(costs).collect();
    tiles.sort_by_key(|(cost, _)| *cost);
    tiles
}

fn applies(problem: &KernelGradientProblem) -> bool {
    let geometry = &problem.geometry;
    let plain = |axis: &Axis| axis.kernel == 3 && axis.stride == 1 && axis.dilation == 1;
    let fits = |channels: u32| channels >= LEAST_CHANNELS && channels.is_multiple_of(4);
    geometry.groups == 1
        && fits(geometry.in_channels)
        && fits(geometry.out_channels)
        && geometry.plane().is_some_and(|axes| axes.iter().all(plain))
}

/// The plans, cheapest first.
pub(super) fn plans(problem: &KernelGradientProblem, caps: &Caps) -> Result<Vec<Plan>> {
    offered(in_order(problem).into_iter().map(|(_, tile)| tile_plans(tile, problem, caps)))
}

/// Whether the first plan takes less time than the plain sum: by products, and by what is written and read again. Where it is a
/// near thing, the plain sum is more exact.
pub(super) fn pays(problem: &KernelGradientProblem) -> bool {
    in_order(problem).first().is_some_and(|(least, _)| *least < 9 * problem.geometry.pixels() * 2 / 3)
}

fn tile_plans(tile: WinogradTile, problem: &KernelGradientProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let KernelGradientProblem { geometry, dtype, data_format } = *problem;
    let [products, loads] = tile.spelled_out();
    let (Some(product), Some(backward), true) =
        (product(tile, problem), tile.gradient, caps.spells_out(products, loads))
    else {
        return Ok(Vec::new());
    };
    let Some(sum) = conv_kernel_gradient_subgroup::plans(&product, caps)?.into_iter().next() else {
        return Ok(Vec::new());
    };
    let elements =
        [product.geometry.in_elements(), product.geometry.out_elements(), product.geometry.kernel_elements()];
    let mut scratch = elements.map(|elements| elements * 4).to_vec();
    if scratch.iter().any(|&bytes| bytes > caps.max_binding) {
        return Ok(Vec::new());
    }
    let constants = tile.constants();
    let transform = |geometry: ConvGeometry, parts: &[Part], index| {
        let forward = Direction::Forward;
        let of = ConvProblem { geometry, direction: forward, dtype, data_format, epilogue: Epilogue::NONE };
        let items = u64::from(product.geometry.axes[2].output) * u64::from(geometry.in_channels / 4);
        let launch = ConvLaunch {
            lanes: 4,
            stores: 4,
            input: InputAccess::Fours,
            kernel_at: false,
            parts,
            constants: &constants,
            items,
            workgroups: workgroups(items, caps)?,
            turns: 0,
        };
        launch.begin(index, &of, caps)
    };
    let parts = [tile.part, TILES_IN_ORDER, TILE_WINDOWS, sums(dtype), part!("winograd_input.wgsl")];
    let first = transform(geometry, &parts, 0)?;
    let axes = geometry.axes.map(|axis| Axis::pointwise(axis.output));
    let back = ConvGeometry::new(geometry.batch, 1, [geometry.out_channels; 2], axes)?;
    let second = transform(back, &[backward, TILES_IN_ORDER, sums(dtype), part!("winograd_gradient.wgsl")], 1)?;
    let second = second.rebound(|operand| if operand == Operand::Input { Operand::Gradient } else { operand });
    let parts = [backward, part!("winograd_kernel_gradient.wgsl")];
    let last = kernel_transform(&geometry, elements[2], &constants, parts, caps)?;
    let own = |operand| match operand {
        Operand::Input => Operand::Scratch(0),
        Operand::Gradient => Operand::Scratch(1),
        Operand::Output => Operand::Scratch(2),
        Operand::Scratch(index) => Operand::Scratch(3 + index),
        other => other,
    };
    let mut steps = vec![first, second];
    steps.extend(sum.steps.into_iter().map(|step| step.rebound(own)));
    steps.push(last);
    scratch.extend(sum.scratch);
    let outputs = tile.outputs;
    // The sum names the type of what it reads, which the transforms have made.
    let read = if dtype == product.dtype { String::new() } else { format!("{dtype}x4_") };
    let variant = format!("{outputs}x{outputs}_{read}{}", sum.variant);
    let plan = Plan::new("conv_kernel_gradient_winograd", variant, steps).with_scratch(scratch);
    Ok(vec![plan.rounded(Accuracy { mixed: outputs, ..sum.accuracy })])
}

/// The launch that makes the kernel's gradient of that of the transformed kernel, which has so many `elements`.
fn kernel_transform(
    geometry: &ConvGeometry,
    elements: u64,
    constants: &[(&'static str, Constant)],
    parts: [Part; 2],
    caps: &Caps,
) -> Result<Dispatch> {
    let items = u64::from(geometry.in_channels) * u64::from(geometry.out_channels / 4);
    let (types, sources, input) = of_scratch(2, elements, 4, caps);
    Ok(Dispatch {
        shader: Shader {
            params: TransformedParams::WGSL,
            activation: None,
            constants: [&types[..], constants].concat(),
            parts: [&[INDEX][..], &parts, &sources].concat(),
        },
        params: TransformedParams { items: item_count(items)?, out_c: geometry.out_channels }.words(),
        workgroups: workgroups(items, caps)?,
        bindings: vec![input, Binding::Write(Operand::Output)],
        turns: 0,
    })
}
