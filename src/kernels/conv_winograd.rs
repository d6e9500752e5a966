//! Winograd's minimal filtering, F(m×m, r×r): convolutions of 3×3 taps and stride 1, and of 2×2, by fewer products, in three
//! launches.
//!
//! Neighbouring outputs of a 3×3 convolution have inputs in common. Winograd's transforms turn a tile of m×m outputs
//! into products place by place, fewer than the plain sum has: for m = 2 it takes 16 in place of 36, for m = 4 it takes
//! 36 in place of 144, for each pair of an input and an output channel. The transforms are additions, and
//! multiplications by a few constants. They cost some accuracy, the more the larger the tile.
//!
//! The tiles of the input are transformed, then multiplied with the transformed kernel, place by place of a tile: a
//! pointwise convolution with a group for each place (a batched GEMM), which the kernels for such do. The outputs are
//! made of those products. The kernel is transformed once for a weight.
//!
//! In a volume every depth is an image of its own to the transforms, and the products are a convolution over the depth: 3×3×3
//! taps take 108 products where they took 432. A transposed convolution is one by [stride phase](super::conv_phases), each of
//! which has tiles of its own: 4×4 taps by 2 are four phases of 2×2, for which m = 4 takes 25 products in place of 64.
//!
//! Of f16 tensors only input, kernel and outputs are f16, and whatever is between is f32. As f16 the transformed input and kernel
//! alone would make outputs of 4×4 tiles deviate by 2e-3 to 3e-3, where the rounding of an output deviates by 4e-4.
//!
//! Deviation (max |a − b| / max |b|) from the exact result, simulated with uniform inputs and He's normal kernels:
//!
//! ```text
//! tile, taps    16 channels      64       256      512
//! 4×4, 3×3           1.3e-6      3.0e-6   4.9e-6   7e-6
//! 4×4, 2×2           0.9e-6      1.9e-6   2.6e-6   3.4e-6
//! 2×2, 3×3           0.2e-6 to 0.7e-6
//! 2×2, 2×2           0.3e-6 to 1.4e-6
//! plain sum          0.4e-6 to 2.0e-6
//! ```

use super::conv_launch::{sums, window_constants};
use super::{
    ConvLaunch, InputAccess, ProductStep, WORKGROUP, conv_phases, conv_subgroup, four_wide_output, four_wide_stores,
    offered, packing, product_steps, workgroups,
};
use crate::geometry::{Axis, ConvGeometry};
use crate::plan::{
    Accuracy, Caps, Constant, ConvProblem, Direction, Dispatch, Epilogue, Operand, Packing, Part, Plan, part,
};
use crate::{DType, DataFormat, Error, Result};

/// Fewest channels on either side: below, the transforms outweigh what the products save, and their error shows.
pub(super) const LEAST_CHANNELS: u32 = 16;
/// Most input channels for which the larger tiles, whose error grows faster, come before the smaller ones.
const MOST_CHANNELS: u32 = 256;
/// The same of a volume's input channels times taps along the depth, which are as many terms of the same sums.
const MOST_TERMS: u32 = 384;

/// Operations of the plain sum below which compiling two more shaders costs more than a thousand calls save.
const WORTHWHILE: u64 = 20_000_000;

/// Operations of the plain sum that the products must save for each core of a GPU: two more launches take as long.
const LAUNCHES: u64 = 3_000_000;
/// Operations in the time of which the caches of a GPU move a byte.
const BALANCE: u64 = 20;

/// Units of a GPU's core that run a wave each.
const UNITS: u64 = 4;

/// Lanes of lavapipe's subgroups, each of which moves a vector of four numbers; and its cycles for such a load, store and copy to a
/// texture for all lanes, and for a store, copy and load with what follows. As measured; a store, which goes lane by lane,
/// takes most of it.
const LANES: u64 = 8;
const READ_CYCLES: u64 = 400;
const WRITTEN_CYCLES: u64 = 520;

pub(super) const TILES_IN_ORDER: Part = part!("lib/winograd.wgsl");
pub(super) const TILE_WINDOWS: Part = part!("lib/winograd_windows.wgsl");

/// A size of tiles.
#[derive(Clone, Copy)]
pub(super) struct WinogradTile {
    /// Outputs of a tile along one axis.
    pub(super) outputs: u32,
    /// Taps of a kernel along one axis.
    pub(super) taps: u32,
    /// Its transforms.
    pub(super) part: Part,
    /// Their transposes, for the gradient of a kernel; `None` where that has no tiles.
    pub(super) gradient: Option<Part>,
}

pub(super) const TILES: [WinogradTile; 4] = [
    WinogradTile {
        outputs: 4,
        taps: 3,
        part: part!("lib/winograd_4_3.wgsl"),
        gradient: Some(part!("lib/winograd_4_3_gradient.wgsl")),
    },
    WinogradTile {
        outputs: 2,
        taps: 3,
        part: part!("lib/winograd_2_3.wgsl"),
        gradient: Some(part!("lib/winograd_2_3_gradient.wgsl")),
    },
    WinogradTile { outputs: 4, taps: 2, part: part!("lib/winograd_4_2.wgsl"), gradient: None },
    WinogradTile { outputs: 2, taps: 2, part: part!("lib/winograd_2_2.wgsl"), gradient: None },
];

impl WinogradTile {
    /// Inputs of a tile, and its products, along one axis.
    const fn edge(self) -> u32 {
        self.outputs + self.taps - 1
    }

    /// Products of a tile for each pair of an input and an output channel.
    pub(super) const fn places(self) -> u32 {
        self.edge() * self.edge()
    }

    /// The products and loads of its transforms, for [`Caps::spells_out`] and, where they read texels,
    /// [`Caps::spells_out_texels`].
    pub(super) const fn spelled_out(self) -> [u64; 2] {
        let edge = self.edge() as u64;
        [4 * edge * edge, 2 * edge]
    }

    pub(super) fn constants(self) -> [(&'static str, Constant); 3] {
        [("TILE", self.outputs), ("TAPS", self.taps), ("EDGE", self.edge())]
            .map(|(name, value)| (name, Constant::U32(value)))
    }

    /// The products of all tiles: a convolution over the depth, of one tap for images, with a group for each place in a tile, whose
    /// columns are the tiles of a depth; `None` where it has too many elements to be numbered.
    fn product(self, windows: &ConvProblem) -> Option<ConvProblem> {
        let [channels, filters] = padded(windows)?;
        let ConvGeometry { batch, groups, axes: [depth, rows, columns], .. } = windows.geometry;
        let groups = groups.checked_mul(self.places())?;
        let tiles = rows.output.div_ceil(self.outputs).checked_mul(columns.output.div_ceil(self.outputs))?;
        let geometry = ConvGeometry {
            batch,
            groups,
            in_channels: groups.checked_mul(channels)?,
            out_channels: groups.checked_mul(filters)?,
            axes: [depth, Axis::UNIT, Axis::pointwise(tiles)],
        };
        let countable = geometry.in_elements().max(geometry.out_elements()) <= u64::from(u32::MAX);
        let data_format = DataFormat::ChannelsLast;
        let dtype = DType::F32;
        countable.then_some(ConvProblem { geometry, dtype, data_format, epilogue: Epilogue::NONE, ..*windows })
    }

    /// Cycles on lavapipe, as [`conv_subgroup::cycles`] counts them: those of the products, and of what the transforms move.
    fn cycles(self, windows: &ConvProblem, caps: &Caps) -> Option<u64> {
        let product = self.product(windows)?;
        let vectors = |elements: u64| elements / 4 / LANES;
        let read = vectors(product.geometry.in_elements()) * READ_CYCLES;
        let written = vectors(product.geometry.out_elements()) * WRITTEN_CYCLES;
        Some(conv_subgroup::cycles(&product, caps)? + read + written)
    }
}

/// Input and output channels of a group filled up to fours.
fn padded(windows: &ConvProblem) -> Option<[u32; 2]> {
    let fours = |channels: u32| channels.checked_next_multiple_of(4);
    Some([fours(windows.geometry.group_in())?, fours(windows.geometry.group_out())?])
}

/// The convolution whose windows come in tiles: `problem`, or the phases of a transposed one over two axes; `None` where there are
/// no tiles for it.
fn windows(problem: &ConvProblem) -> Option<ConvProblem> {
    let windows = match problem.direction {
        Direction::Forward => *problem,
        Direction::BackwardInput => conv_phases::phases(problem).filter(|phases| phases.geometry.plane().is_some())?,
    };
    let geometry = &windows.geometry;
    let [_, rows, columns] = geometry.axes;
    let applies = problem.geometry.groups == 1
        && geometry.group_in().min(geometry.group_out()) >= LEAST_CHANNELS
        && [rows, columns].iter().all(|axis| axis.stride == 1 && axis.dilation == 1)
        && rows.kernel == columns.kernel
        && TILES.iter().any(|tile| tile.taps == rows.kernel);
    applies.then_some(windows)
}

/// The plans, best guess first.
pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let Some(windows) = windows(problem) else { return Ok(Vec::new()) };
    let tiles = in_order(&windows, caps).into_iter();
    offered(tiles.map(|tile| tile_plans(tile, problem, &windows, caps)))
}

/// Whether the first plan takes less time than the best implicit matrix product, in a convolution of some size: by cycles as
/// estimated for lavapipe, or, on a GPU, where the operations saved are more than what is moved and launched for it.
pub(super) fn pays(problem: &ConvProblem, caps: &Caps) -> bool {
    let Some(windows) = windows(problem).filter(|windows| windows.geometry.flops() >= WORTHWHILE) else { return false };
    let Some(first) = in_order(&windows, caps).into_iter().next() else { return false };
    if !caps.software {
        return first.product(&windows).is_some_and(|product| {
            let saved = windows.geometry.flops().saturating_sub(product.geometry.flops());
            // Both sides of the products are written and read.
            let moved = 2 * 4 * (product.geometry.in_elements() + product.geometry.out_elements());
            saved >= LAUNCHES * u64::from(caps.cores) && saved >= moved * BALANCE
        });
    }
    let cycles = first.cycles(&windows, caps);
    cycles.zip(conv_subgroup::cycles(&windows, caps)).is_some_and(|(first, other)| first < other)
}

/// The tiles whose products can be numbered, cheapest first by [`WinogradTile::cycles`] where those are known and the error allows.
fn in_order(windows: &ConvProblem, caps: &Caps) -> Vec<WinogradTile> {
    let [depth, _, columns] = windows.geometry.axes;
    let channels = windows.geometry.group_in();
    let many = channels > MOST_CHANNELS || channels.saturating_mul(depth.kernel) > MOST_TERMS;
    let fits = |tile: &WinogradTile| tile.taps == columns.kernel && tile.product(windows).is_some();
    let mut tiles: Vec<WinogradTile> = TILES.into_iter().filter(fits).collect();
    tiles.sort_by_key(|tile| (many && tile.outputs == 4, tile.cycles(windows, caps)));
    tiles
}

fn tile_plans(tile: WinogradTile, problem: &ConvProblem, windows: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let [products, loads] = tile.spelled_out();
    if !caps.spells_out_texels(products, loads) {
        return Ok(Vec::new());
    }
    let (Some(product), Some([channels, filters])) = (tile.product(windows), padded(windows)) else {
        return Ok(Vec::new());
    };
    let scratch = [product.geometry.out_elements(), product.geometry.in_elements()].map(|elements| elements * 4);
    if scratch.iter().any(|&bytes| bytes > caps.max_binding) {
        return Ok(Vec::new());
    }
    let written = four_wide_output(windows);
    let constants = tile.constants();
    // An invocation for each tile of every depth and group of what is read or written, and four channels.
    let launch = |elements: u64, input, parts| {
        let items = elements / u64::from(tile.places()) / 4;
        Ok::<_, Error>(ConvLaunch {
            lanes: 4,
            stores: four_wide_stores(windows),
            input,
            kernel_at: false,
            parts,
            constants: &constants,
            items,
            workgroups: workgroups(items, caps)?,
            // The last loop over the outputs of a row is not spelled out.
            turns: u64::from(tile.outputs * tile.outputs),
        })
    };
    let of_windows = |items, dispatch| {
        let dispatch = spread(items, dispatch, caps)?;
        Ok::<_, Error>(match problem.direction {
            Direction::Forward => dispatch,
            Direction::BackwardInput => conv_phases::by_phases(problem, dispatch),
        })
    };
    let parts = [tile.part, TILES_IN_ORDER, TILE_WINDOWS, sums(problem.dtype), part!("winograd_input.wgsl")];
    let first = launch(product.geometry.in_elements(), InputAccess::Fours, &parts)?;
    let first = of_windows(first.items, first.begin(1, windows, caps)?)?;
    let parts = [written, tile.part, TILES_IN_ORDER, TILE_WINDOWS, part!("winograd_output.wgsl")];
    let last = launch(product.geometry.out_elements(), InputAccess::Lanes, &parts)?;
    let last = of_windows(last.items, last.finish(product.geometry.out_elements(), windows, caps)?)?;
    let [depth, ..] = windows.geometry.axes;
    let kernels = [depth.kernel, channels, windows.geometry.groups, filters].into_iter().map(u64::from).product();
    let packing = kernel_packing(tile, problem, kernels, caps)?;
    let mut name = match tile.taps {
        3 => format!("{0}x{0}", tile.outputs),
        taps => format!("{0}x{0}_by_{taps}x{taps}", tile.outputs),
    };
    // The product names the type of what it reads, which the transforms have made.
    if problem.dtype != product.dtype {
        name.push_str(&format!("_{}x4", problem.dtype));
    }
    let plan = |ProductStep { variant, dispatch, accuracy }| {
        let steps = vec![first.clone(), dispatch, last.clone()];
        let plan = Plan::new("conv_winograd", format!("{name}_{variant}"), steps);
        let packing = packing::in_form(packing.clone(), plan.texel(Operand::Kernel));
        let accuracy = Accuracy { mixed: tile.outputs, ..accuracy };
        plan.with_scratch(scratch.to_vec()).packed(Some(packing)).rounded(accuracy)
    };
    Ok(product_steps(&product, of_product, caps)?.into_iter().map(plan).collect())
}

/// A transform of `items` in workgroups of half the size where the usual ones would leave units of a GPU idle: an invocation has
/// hundreds of instructions to go through, and narrow waves do so in half the time on AMD's.
fn spread(items: u64, mut launch: Dispatch, caps: &Caps) -> Result<Dispatch> {
    let half = WORKGROUP / 2;
    if !caps.software && items.div_ceil(WORKGROUP.into()) < UNITS * u64::from(caps.cores) {
        launch.workgroups = caps.fold(items.div_ceil(half.into()))?;
        for (name, value) in &mut launch.shader.constants {
            if *name == "WORKGROUP" {
                *value = Constant::U32(half);
            }
        }
    }
    Ok(launch)
}

/// The tensors of the products.
fn of_product(operand: Operand) -> Operand {
    match operand {
        Operand::Input => Operand::Scratch(1),
        Operand::Output => Operand::Scratch(0),
        other => other,
    }
}

/// The kernel as the products read it, from `kernels` of 2×2 or 3×3 taps, the channels on either side filled up to fours: four output
/// channels an invocation.
fn kernel_packing(tile: WinogradTile, problem: &ConvProblem, kernels: u64, caps: &Caps) -> Result<Packing> {
    let elements = kernels * u64::from(tile.places());
    if elements > u64::from(u32::MAX) {
        return Err(Error::limit("elements of a packed kernel", elements, u32::MAX.into()));
    }
    let taps = match problem.direction {
        Direction::Forward => part!("lib/winograd_taps.wgsl"),
        Direction::BackwardInput => part!("lib/winograd_taps_phases.wgsl"),
    };
    let parts = [tile.part, taps, part!("winograd_kernel.wgsl")];
    let element = [("Elem", Constant::Type(problem.dtype.name(), 1))];
    let constants = [&element[..], &tile.constants(), &window_constants(&problem.geometry)].concat();
    packing::launch(&problem.geometry, &constants, &parts, [kernels / 4, elements, 0], DType::F32, caps)
}
