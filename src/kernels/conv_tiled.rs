//! Implicit matrix product (implicit GEMM) through workgroup memory.
//!
//! A convolution is a product of two matrices: one has a row for each output pixel, with the inputs that its window
//! covers, the other is the kernel with a column for each output channel. im2col writes the first one out; here it is
//! *implicit*, its elements found by their index when a tile of it is loaded. This is the kernel for most convolutions
//! on a GPU.
//!
//! A workgroup computes a tile of the output, an invocation a *register tile* of that. Larger register tiles read less
//! from workgroup memory for each product, larger workgroup tiles less from memory; both leave fewer workgroups to fill
//! a device (occupancy). So there is a family of them, and a cost that weighs one against the other.

use super::{ConvLaunch, InputAccess, PRODUCT, TAP, WINDOWS, four_wide_output, four_wide_stores, packing, runs_of};
use crate::Result;
use crate::plan::{Caps, Constant, ConvProblem, Plan, part};

/// A tile, in pixels and in vectors of four output channels.
#[derive(Clone, Copy)]
struct PixelTile {
    /// Of a workgroup.
    pixels: u32,
    vectors: u32,
    /// Of an invocation.
    own_pixels: u32,
    own_vectors: u32,
    /// Input channels of a step.
    depth: u32,
    /// Share of a GPU's multiply-adds that the inner loop reaches, in percent: the geometric mean over AMD's RDNA 2 and 3,
    /// Intel's Arc and Qualcomm's Adreno, as their compilers write it; less where sums are large for the registers of one.
    share: u64,
}

const TILES: [PixelTile; 6] = [
    PixelTile { pixels: 32, vectors: 16, own_pixels: 4, own_vectors: 2, depth: 16, share: 70 },
    PixelTile { pixels: 64, vectors: 16, own_pixels: 8, own_vectors: 1, depth: 16, share: 66 },
    PixelTile { pixels: 128, vectors: 32, own_pixels: 8, own_vectors: 2, depth: 8, share: 60 },
    PixelTile { pixels: 32, vectors: 8, own_pixels: 4, own_vectors: 1, depth: 16, share: 57 },
    PixelTile { pixels: 16, vectors: 16, own_pixels: 4, own_vectors: 1, depth: 16, share: 57 },
    PixelTile { pixels: 16, vectors: 8, own_pixels: 2, own_vectors: 1, depth: 16, share: 41 },
];

/// Pixels below which tiles come last on a processor, which few workgroups fill: SwiftShader, for lavapipe's kernels by subgroups
/// come before these.
const LEAST_PIXELS: u32 = 32;

/// Invocations that keep a GPU's core busy: with fewer, its units wait.
const BUSY: u64 = 512;

impl PixelTile {
    const fn invocations(self) -> u32 {
        self.pixels / self.own_pixels * (self.vectors / self.own_vectors)
    }

    /// Fours of input channels in a step.
    const fn fours(self) -> u32 {
        self.depth / 4
    }

    /// Bytes of workgroup memory: an odd number of vectors for each pixel.
    const fn storage(self) -> u32 {
        16 * (self.pixels * (self.fours() | 1) + self.depth * self.vectors)
    }

    fn count(self, problem: &ConvProblem) -> u64 {
        problem.geometry.tiles(self.pixels, 4 * self.vectors)
    }

    /// Fours of a step that are spelled out in a row: all on a GPU, whose compilers take them in a few milliseconds and leave
    /// half of the speed where there is a loop; `None` where not even one may be.
    fn spelled(self, caps: &Caps) -> Option<u32> {
        let products = u64::from(4 * self.own_pixels * self.own_vectors);
        let loads = u64::from(self.own_pixels + 4 * self.own_vectors);
        [self.fours(), 1]
            .into_iter()
            .find(|&fours| !caps.software || caps.spells_out(products * u64::from(fours), loads * u64::from(fours)))
    }

    /// A time to compare tiles by: what an invocation computes, times how many of them the busiest core has, by its share of the
    /// core's speed. A core that is not busy takes as long as one that is.
    fn cost(self, problem: &ConvProblem, caps: &Caps) -> u64 {
        let own = u64::from(self.own_pixels * self.own_vectors);
        let invocations = self.count(problem).div_ceil(caps.cores.max(1).into()) * u64::from(self.invocations());
        own * invocations.max(BUSY) * 100 / self.share
    }
}

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let geometry = &problem.geometry;
    if geometry.group_in() < 3 || geometry.group_out() < 4 {
        return Ok(Vec::new());
    }
    let runs = runs_of(geometry);
    let mut tiles = TILES;
    let few = caps.software && caps.subgroup != Some(8);
    tiles.sort_by_key(|tile| (few && tile.pixels < LEAST_PIXELS, tile.cost(problem, caps)));
    let mut plans = Vec::new();
    for tile in tiles {
        let fits = tile.invocations() <= caps.max_invocations && tile.storage() <= caps.workgroup_storage;
        let (true, Some(spelled)) = (fits, tile.spelled(caps)) else { continue };
        let items = tile.count(problem);
        let full = geometry.group_in().is_multiple_of(tile.depth);
        let output = four_wide_output(problem);
        let invocations = tile.invocations();
        let launch = ConvLaunch {
            lanes: 4,
            stores: four_wide_stores(problem),
            input: InputAccess::Fours,
            kernel_at: true,
            parts: &[output, PRODUCT, TAP, WINDOWS, part!("conv_tiled.wgsl")],
            constants: &[
                &runs.constants()[..],
                &[
                    ("CLOSES", Constant::Bool(runs.closes())),
                    ("FULL", Constant::Bool(full)),
                    ("INSIDE", Constant::Bool(full && geometry.is_pointwise())),
                    ("PIXEL_TILE", Constant::U32(tile.pixels)),
                    ("VECTOR_TILE", Constant::U32(tile.vectors)),
                    ("PIXELS", Constant::U32(tile.own_pixels)),
                    ("VECTORS", Constant::U32(tile.own_vectors)),
                    ("SUMS", Constant::U32(tile.own_pixels * tile.own_vectors)),
                    ("FOURS", Constant::U32(tile.fours())),
                    ("SPELLED", Constant::U32(spelled)),
                    ("STAGED_PIXELS", Constant::U32(tile.pixels * tile.fours() / invocations)),
                    ("STAGED_ROWS", Constant::U32(tile.vectors * tile.depth / invocations)),
                ],
            ]
            .concat(),
            items,
            workgroups: caps.fold(items)?,
            turns: runs.turns(tile.depth.into(), (tile.fours() / spelled).into()),
        };
        let PixelTile { pixels, vectors, own_pixels, own_vectors, depth, .. } = tile;
        plans.push(
            Plan::new(
                "conv_tiled",
                format!("{}x4_{pixels}x{}x{depth}_{own_pixels}x{}", problem.dtype, 4 * vectors, 4 * own_vectors),
                vec![launch.dispatch(problem, caps)?],
            )
            .packed(packing::in_fours(problem, caps)?),
        );
    }
    Ok(plans)
}
