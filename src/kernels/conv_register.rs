//! Implicit matrix product (implicit GEMM) in registers alone, with nothing shared but what caches share.
//!
//! On GPUs of Qualcomm, ARM and Imagination workgroup memory is no nearer than the caches, and every barrier costs; others
//! have measured the same on older GPUs of Intel. There an invocation loads the pixels and the rows of the kernel for a
//! register tile of its own, four pixels by eight channels as a rule, and its neighbours load the same or what lies beside
//! it. By what compilers make of both it reaches less than the family that shares, on an Adreno 59 % of the peak in place
//! of 82 %, so it stands behind that, and measuring chooses it ([`Tuning::Measure`](crate::Tuning::Measure)).

use super::{
    ConvLaunch, InputAccess, PRODUCT, TAP, WINDOWS, four_wide_output, four_wide_stores, packing, runs_of, workgroups,
};
use crate::Result;
use crate::plan::{Caps, Constant, ConvProblem, Plan, part};

/// Pixels and vectors of four output channels of an invocation, those first that load least for their products.
const TILES: [(u32, u32); 3] = [(8, 2), (4, 2), (4, 1)];

/// Pixels above which a tile is for SwiftShader alone, which keeps sums in memory anyhow.
const MOST_PIXELS: u32 = 4;

/// Operations from which such a tile comes first there: it takes 0.15 s to compile, twice as long as the next.
const GREAT: u64 = 20_000_000;

/// Invocations that read the same pixels, at most.
const WIDEST: u32 = 8;

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let geometry = &problem.geometry;
    if geometry.group_in() < 3 || geometry.group_out() < 4 {
        return Ok(Vec::new());
    }
    let runs = runs_of(geometry);
    let mut plans = Vec::new();
    let mut tiles = TILES;
    tiles.sort_by_key(|(pixels, _)| *pixels > MOST_PIXELS && geometry.flops() < GREAT);
    for (pixels, vectors) in tiles {
        let products = u64::from(4 * pixels * vectors);
        let large = pixels > MOST_PIXELS && !caps.samples_texels;
        if large || !caps.spells_out_texels(products, u64::from(pixels + 4 * vectors)) {
            continue;
        }
        let wide = geometry.group_out().div_ceil(4 * vectors).next_power_of_two().min(WIDEST);
        let items = geometry.tiles(pixels, 4 * vectors * wide).saturating_mul(wide.into());
        let output = four_wide_output(problem);
        let launch = ConvLaunch {
            lanes: 4,
            stores: four_wide_stores(problem),
            input: InputAccess::Fours,
            kernel_at: true,
            parts: &[output, PRODUCT, TAP, WINDOWS, part!("conv_register.wgsl")],
            constants: &[
                &runs.constants()[..],
                &[
                    ("CLOSES", Constant::Bool(runs.closes())),
                    ("PIXELS", Constant::U32(pixels)),
                    ("VECTORS", Constant::U32(vectors)),
                    ("SUMS", Constant::U32(pixels * vectors)),
                    ("WIDE", Constant::U32(wide)),
                ],
            ]
            .concat(),
            items,
            workgroups: workgroups(items, caps)?,
            turns: runs.turns(4, 1),
        };
        plans.push(
            Plan::new(
                "conv_register",
                format!("{}x4_{pixels}x{}", problem.dtype, 4 * vectors),
                vec![launch.dispatch(problem, caps)?],
            )
            .packed(packing::in_fours(problem, caps)?),
        );
    }
    Ok(plans)
}
