//! Separable convolution in one pass, through workgroup memory.
//!
//! A separable convolution is a depthwise one and then a pointwise (1×1) one. As two launches, what is between them is
//! written to memory and read back, and that may take longer than the computing. Here (operator fusion) a workgroup
//! computes the depthwise pixels of its tile into workgroup memory, and multiplies them with the pointwise kernel from
//! there.

use super::{
    ConvLaunch, InputAccess, PIXELS, PRODUCT, RUN, TAP, WINDOWS, four_wide_output, four_wide_stores,
    of_depthwise_pixels,
};
use crate::Result;
use crate::plan::{Caps, Constant, Plan, SeparableProblem, part};

/// Invocations of a workgroup.
const INVOCATIONS: u32 = 256;
/// Workgroups below which a device is taken to be idle in part.
const ENOUGH: u64 = 128;

/// What a workgroup computes.
#[derive(Clone, Copy)]
struct SeparableTile {
    pixels: u32,
    /// Vectors of four output channels of an invocation.
    vectors: u32,
}

const TILES: [SeparableTile; 4] = [
    SeparableTile { pixels: 64, vectors: 1 },
    SeparableTile { pixels: 64, vectors: 2 },
    SeparableTile { pixels: 64, vectors: 4 },
    SeparableTile { pixels: 32, vectors: 4 },
];

impl SeparableTile {
    /// Invocations that work on the same four pixels, and input channels of a step.
    const fn columns(self) -> u32 {
        4 * INVOCATIONS / self.pixels
    }

    const fn filters(self) -> u32 {
        4 * self.columns() * self.vectors
    }

    /// Tiles of output channels: as often is the depthwise convolution computed.
    const fn repeats(self, problem: &SeparableProblem) -> u32 {
        problem.pointwise.geometry.out_channels.div_ceil(self.filters())
    }

    fn workgroups(self, problem: &SeparableProblem) -> u64 {
        problem.pointwise.geometry.tiles(self.pixels, self.filters())
    }

    /// The tiles, the one with the fewest repeats first, and the narrowest of those.
    fn in_order(problem: &SeparableProblem) -> [Self; 4] {
        let mut tiles = TILES;
        tiles.sort_by_key(|tile| (tile.repeats(problem), tile.filters()));
        tiles
    }
}

pub(super) fn plans(problem: &SeparableProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let product = problem.product();
    let mut plans = Vec::new();
    for tile in SeparableTile::in_order(problem) {
        let storage = 16 * tile.pixels * ((tile.columns() / 4) | 1);
        let fits = INVOCATIONS <= caps.max_invocations && storage <= caps.workgroup_storage;
        if !fits || !caps.spells_out(16 * u64::from(tile.vectors), 0) {
            continue;
        }
        let items = tile.workgroups(problem);
        let steps = u64::from(product.geometry.in_channels.div_ceil(tile.columns()));
        let output = four_wide_output(&product);
        let launch = ConvLaunch {
            lanes: 4,
            stores: four_wide_stores(&product),
            input: InputAccess::Fours,
            kernel_at: true,
            parts: &[output, PRODUCT, TAP, WINDOWS, PIXELS, part!("conv_separable.wgsl")],
            constants: &[
                ("PIXELS", Constant::U32(tile.pixels)),
                ("COLUMNS", Constant::U32(tile.columns())),
                ("VECTORS", Constant::U32(tile.vectors)),
                ("SUMS", Constant::U32(4 * tile.vectors)),
                ("RUN_DEPTH", Constant::U32(RUN)),
                ("CLOSES", Constant::Bool(product.geometry.in_channels > RUN)),
            ],
            items,
            workgroups: caps.fold(items)?,
            turns: u64::from(product.geometry.in_channels.div_ceil(RUN)) + steps * u64::from(1 + tile.columns() / 4),
        };
        plans.push(Plan::new(
            "conv_separable",
            format!("{}x4_{}x{}", product.dtype, tile.pixels, tile.filters()),
            vec![of_depthwise_pixels(launch.dispatch(&product, caps)?, problem, steps)],
        ));
    }
    Ok(plans)
}

/// Whether one pass is taken to be faster than two on hardware, which nothing was measured on: where the depthwise
/// convolution is computed once, by enough workgroups to fill a device, so that what lies between is large as well.
pub(super) fn pays(problem: &SeparableProblem) -> bool {
    let [tile, ..] = SeparableTile::in_order(problem);
    tile.repeats(problem) == 1 && tile.workgroups(problem) >= ENOUGH
}
