//! The menu: every way to solve a problem, as plans.
//!
//! One convolution can be computed in many ways, and which is fastest depends on its sizes and on the device. Each file
//! here is a family of kernels, that is one way with a few tile sizes. Given a problem and what a device can do it
//! offers plans, or none where it does not apply. [`candidates`] lists the plans of all families, best guess first. The
//! first is taken, or of a convolution's the fastest, where they are measured (autotuning: `gpu/tune.rs`). Tests hold
//! every one of them to the reference. Nothing here touches a device.
//!
//! | family | how it computes, in the field's terms |
//! |---|---|
//! | `conv_direct` | direct convolution: an output vector per invocation, any geometry |
//! | `conv_tiled` | implicit GEMM (im2col without the matrix), operands shared in workgroup memory |
//! | `conv_subgroup` | implicit GEMM, operands shared by subgroup broadcast |
//! | `conv_register` | implicit GEMM in registers, operands shared by caches alone |
//! | `conv_cooperative` | implicit GEMM by matrix units (tensor cores) |
//! | `conv_gathered` | im2col along one axis, then implicit GEMM |
//! | `conv_winograd` | Winograd F(m×m, 3×3) and F(m×m, 2×2), also of volumes and of the phases of transposed convolutions |
//! | `conv_depthwise`, `conv_depthwise_strip`, `conv_grouped` | depthwise and narrow groups, by register tiles |
//! | `conv_separable`, `conv_separable_subgroup` | depthwise and pointwise in one launch (operator fusion) |
//! | `conv_split`, `conv_parts` | split-K |
//! | `conv_transposed` | transposed convolution |
//! | `conv_transposed_depthwise` | the same of each channel by itself |
//! | `conv_transposed_product` | the same to few channels, as GEMM and col2im |
//! | `conv_phases` | transposed convolution by stride phase (sub-pixel decomposition), as implicit GEMM |
//! | `conv_kernel_gradient` | a kernel's gradient: matrix product over pixels, split-K |
//! | `conv_kernel_gradient_subgroup` | the same, operands shared by subgroup broadcast |
//! | `conv_kernel_gradient_winograd` | that of 3×3 kernels by Winograd's algorithm backwards |
//! | `conv_kernel_gradient_depthwise` | that of depthwise kernels and narrow groups, along lines of pixels (sliding window) |
//! | `map_gradient`, `binary_gradient`, `pool_gradient`, `recurrent_gradient` | what only the backward pass computes |
//! | `take` | lines of a table by number (gather) |
//! | `recurrent` | a sequence per workgroup, whose memory keeps the state from time to time |
//! | `map`, `binary`, `cast`, `move_axes`, `resize`, `noise`, `affine` | element by element |
//! | `pool`, `product`, `along_axis`, `normalize` | pooling, matrix products, reductions |
//! | `batch_normalize` | batch normalisation in training, forwards and backwards |
//! | `loss`, `update` | losses with their gradients, optimizers |
//! | `custom` | code in WGSL that the caller gives |
//!
//! `conv_launch`, `packing`, `runs`, `team`, `lines` and `long_sums` are what families have in common. The words are explained
//! in [`plan`](crate::plan).
//!
//! # Recipe: add a kernel
//! 1. `shaders/<stem>.wgsl`, with a head comment that gives its index formula and its constants. The compiler misses one that
//!    is named and not there, and a unit test one that no family names.
//! 2. `src/kernels/<stem>.rs` and its `mod` line: `plans(problem, caps)`, empty where the kernel does not apply. Its plans say their
//!    family, which is the stem (`tests/shaders.rs` asks for a file of that name), and, where they do not add in runs, how they
//!    round ([`Accuracy`]): what is not said is taken for runs, and the tests hold it to their bounds.
//! 3. One row in `CONVOLUTIONS`, or a place in the list of another problem's plans, below [`candidates`]: without it the compiler
//!    finds dead code. Tests, benches and the choice find a convolution by themselves; any other kernel is found by the rows of
//!    its problem in `tests/common`, and is neither timed nor chosen by measurement.
//! 4. A line in the table above. Nobody asks for it.
//!
//! `conv_register` was added so.

mod affine;
mod along_axis;
mod batch_normalize;
mod binary;
mod binary_gradient;
mod cast;
mod conv_cooperative;
mod conv_depthwise;
mod conv_depthwise_strip;
mod conv_direct;
mod conv_gathered;
mod conv_grouped;
mod conv_kernel_gradient;
mod conv_kernel_gradient_depthwise;
mod conv_kernel_gradient_subgroup;
mod conv_kernel_gradient_winograd;
mod conv_launch;
mod conv_parts;
mod conv_phases;
mod conv_register;
mod conv_separable;
mod conv_separable_subgroup;
mod conv_split;
mod conv_subgroup;
mod conv_tiled;
mod conv_transposed;
mod conv_transposed_depthwise;
mod conv_transposed_product;
mod conv_winograd;
mod custom;
mod lines;
mod long_sums;
mod loss;
mod map;
mod map_gradient;
mod move_axes;
mod noise;
mod normalize;
mod packing;
mod pool;
mod pool_gradient;
mod product;
mod recurrent;
mod recurrent_gradient;
mod resize;
mod runs;
mod take;
mod team;
mod update;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use custom::shader as custom_shader;

use conv_launch::{ConvLaunch, InputAccess, from_scratch};
use runs::{RUN, Runs};

use crate::geometry::{ConvGeometry, within};
use crate::plan::{
    Accuracy, Binding, Caps, Constant, ConvProblem, Direction, Dispatch, Epilogue, KernelGradientProblem, MOST_AXES,
    MOST_TURNS, Operand, Part, Plan, Problem, SeparableProblem, nested_turns, part,
};
use crate::{DType, DataFormat, Error, Result};

/// Every plan that solves `problem` within `caps`, best guess first; for a convolution `conv_direct` is always among
/// them, or `conv_transposed_direct`, but where its sums are too long for one invocation. Two convolutions in one may have
/// none: they can be solved one by one.
///
/// # Errors
/// [`Error::Invalid`] for numbers that no such problem has, a stride of 0 say, [`Error::Unsupported`] for f16 where `caps` has
/// none, [`Error::Limit`] for sizes that no shader here can address, and for
/// sums that none computes in [few enough turns](crate::plan::MOST_TURNS).
pub fn candidates(problem: &Problem, caps: &Caps) -> Result<Vec<Plan>> {
    if problem.uses_f16() && !caps.f16 {
        return Err(Error::unsupported("f16", "these capabilities have no SHADER_F16; compute in f32"));
    }
    let plans = match problem {
        Problem::Conv(problem) => conv_candidates(problem, caps),
        Problem::Separable(problem) => separable_candidates(problem, caps),
        Problem::Map(problem) => map::plans(problem, caps),
        Problem::AlongAxis(problem) => along_axis::plans(problem, caps),
        Problem::Cast(problem) => cast::plans(problem, caps),
        Problem::Pool(problem) => pool::plans(problem, caps),
        Problem::Normalize(problem) => normalize::plans(problem, caps),
        Problem::BatchNormalize(problem) => batch_normalize::plans(problem, caps),
        Problem::Resize(problem) => resize::plans(problem, caps),
        Problem::Move(problem) => move_axes::plans(problem, caps),
        Problem::Binary(problem) => binary::plans(problem, caps),
        Problem::Product(problem) => product::plans(problem, caps),
        Problem::Loss(problem) => loss::plans(problem, caps),
        Problem::Update(problem) => update::plans(problem, caps),
        Problem::MapGradient(problem) => map_gradient::plans(problem, caps),
        Problem::BinaryGradient(problem) => binary_gradient::plans(problem, caps),
        Problem::PoolGradient(problem) => pool_gradient::plans(problem, caps),
        Problem::KernelGradient(problem) => kernel_gradient_candidates(problem, caps),
        Problem::RecurrentGradient(problem) => recurrent_gradient::plans(problem, caps),
        Problem::Take(problem) => take::plans(problem, caps),
        Problem::Recurrent(problem) => recurrent::plans(problem, caps),
        Problem::Affine(problem) => affine::plans(problem, caps),
        Problem::Noise(problem) => noise::plans(problem, caps),
        Problem::Custom(problem) => custom::plans(problem, caps),
    }?;
    // Two convolutions in one may have no plan.
    if let Problem::Separable(_) = problem {
        return Ok(plans.into_iter().filter(|plan| plan.turns() <= MOST_TURNS).collect());
    }
    within_turns(plans)
}

/// The plans no launch of which runs longer than [`MOST_TURNS`] allows.
///
/// # Errors
/// [`Error::Limit`] where that leaves none.
fn within_turns(mut plans: Vec<Plan>) -> Result<Vec<Plan>> {
    let least = plans.iter().map(Plan::turns).min();
    plans.retain(|plan| plan.turns() <= MOST_TURNS);
    match least {
        Some(least) if plans.is_empty() => Err(Error::limit("turns of the loops of one invocation", least, MOST_TURNS)),
        _ => Ok(plans),
    }
}

/// Operations below which compiling a clever kernel costs more than it saves.
const SMALL: u64 = 100_000;

/// What the order of the ways to convolve depends on: a column of [`CONVOLUTIONS`].
#[derive(Clone, Copy)]
enum Situation {
    /// Compiling a clever kernel costs more than it saves.
    Small,
    /// A processor, for a convolution that Winograd's tiles compute in less time than the best matrix product.
    Tiles,
    /// A processor otherwise: it pays for every barrier and every load, and is filled by a few invocations.
    Processor,
    /// SwiftShader, as [`Tiles`](Self::Tiles) and [`Processor`](Self::Processor): in a browser it has no subgroups, and kernels in
    /// registers come next.
    SampledTiles,
    Sampled,
    /// A GPU: it wants many invocations, more than a convolution with few outputs has unless its sums are split, and shares
    /// operands through workgroup memory. Units for matrices come before the other products by what they are for, as rows
    /// gathered come there before what would read them scalar by scalar.
    Gpu,
    /// A GPU, for a convolution of which Winograd's tiles save more than moving them takes.
    GpuTiles,
    /// A transposed convolution that is small, or of narrow groups: reading fours of channels wastes most of them.
    NarrowTransposed,
    /// A transposed convolution otherwise.
    Transposed,
    /// The same where Winograd's tiles of its phases pay.
    TransposedTiles,
}

impl Situation {
    fn of(problem: &ConvProblem, caps: &Caps) -> Self {
        let geometry = &problem.geometry;
        let small = geometry.flops() < SMALL;
        let narrow = geometry.group_in().min(geometry.group_out()) < 3;
        match problem.direction {
            Direction::BackwardInput if small || narrow => Self::NarrowTransposed,
            Direction::BackwardInput if conv_winograd::pays(problem, caps) => Self::TransposedTiles,
            Direction::BackwardInput => Self::Transposed,
            Direction::Forward if small => Self::Small,
            Direction::Forward => match (caps.software, caps.samples_texels, conv_winograd::pays(problem, caps)) {
                (true, true, true) => Self::SampledTiles,
                (true, true, false) => Self::Sampled,
                (true, false, true) => Self::Tiles,
                (true, false, false) => Self::Processor,
                (false, _, true) => Self::GpuTiles,
                (false, _, false) => Self::Gpu,
            },
        }
    }
}

/// How a family plans a convolution.
type PlanConv = fn(&ConvProblem, &Caps) -> Result<Vec<Plan>>;

/// Where a family is not offered.
const NO: u8 = u8::MAX;

/// The families that convolve, and the place of each in every situation: the least is tried first, of equals the upper row. The
/// places follow what was measured, on GPUs what their compilers make of the kernels; but there nothing is known yet of matrix
/// units.
#[rustfmt::skip]
const CONVOLUTIONS: [(PlanConv, [u8; 10]); 17] = [
    //                             small, tiles, processor, sampled tiles, sampled, GPU, GPU tiles, narrow transposed, transposed, transposed tiles
    (conv_direct::plans,            [0,  6,  6,  6,  6,  8,  8, NO, NO, NO]),
    (conv_depthwise::plans,         [1,  4,  1,  4,  1,  0,  1, NO, NO, NO]),
    (conv_depthwise_strip::plans,   [2,  3,  0,  3,  0,  1,  2, NO, NO, NO]),
    (conv_grouped::plans,           [3,  5,  2,  5,  2,  2,  3, NO, NO, NO]),
    (conv_gathered::plans,          [4,  1,  3,  1,  3,  5,  5, NO, NO, NO]),
    (conv_subgroup::plans,          [5,  2,  4,  2,  4,  9,  9, NO, NO, NO]),
    (conv_tiled::plans,             [6,  7,  7,  7,  7,  6,  6, NO, NO, NO]),
    (conv_register::plans,          [6,  7,  7,  2,  4,  6,  6, NO, NO, NO]),
    (conv_winograd::plans,          [7,  0,  5,  0,  5,  7,  1,  4,  4,  0]),
    (conv_split::plans,             [8,  8,  8,  8,  8,  4,  4, NO, NO, NO]),
    (conv_cooperative::plans,       [9,  9,  9,  9,  9,  3,  0, NO, NO, NO]),
    (conv_transposed_depthwise::plans, [NO, NO, NO, NO, NO, NO, NO,  0,  0,  1]),
    (conv_transposed::plans,        [NO, NO, NO, NO, NO, NO, NO,  2,  2,  3]),
    (conv_transposed::direct_plans, [NO, NO, NO, NO, NO, NO, NO,  1,  3,  4]),
    (conv_phases::plans,            [NO, NO, NO, NO, NO, NO, NO,  3,  1,  2]),
    (conv_transposed_product::plans, [NO, NO, NO, NO, NO, NO, NO,  3,  1,  2]),
    (conv_parts::plans,             [10, 10, 10, 10, 10, 10, 10,  4,  4,  5]),
];

/// The plans of all families that convolve, in the order of [`CONVOLUTIONS`].
///
/// # Errors
/// Why the first family refuses, where none offers a plan.
fn conv_candidates(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let situation = Situation::of(problem, caps) as usize;
    let mut families = CONVOLUTIONS.map(|(plans, places)| (places[situation], plans));
    families.sort_by_key(|(place, _)| *place);
    offered(families.into_iter().filter(|(place, _)| *place != NO).map(|(_, family)| family(problem, caps)))
}

/// What families offer; one that cannot number its work on this device offers nothing.
///
/// # Errors
/// Why the first one refuses, where none offers anything.
fn offered<T>(families: impl Iterator<Item = Result<Vec<T>>>) -> Result<Vec<T>> {
    let (mut all, mut refused) = (Vec::new(), None);
    for family in families {
        match family {
            Ok(offered) => all.extend(offered),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match refused {
        Some(error) if all.is_empty() => Err(error),
        _ => Ok(all),
    }
}

fn kernel_gradient_candidates(problem: &KernelGradientProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let shared = conv_kernel_gradient_subgroup::plans(problem, caps);
    let along_lines = conv_kernel_gradient_depthwise::plans(problem, caps);
    let others = conv_kernel_gradient::plans(problem, caps);
    let tiles = conv_kernel_gradient_winograd::plans(problem, caps);
    // A subgroup's tile is wide, and mostly empty where a group has few channels.
    let wide = problem.geometry.group_out() >= 16 && problem.geometry.terms() >= 8;
    let families = if conv_kernel_gradient_winograd::pays(problem) {
        [tiles, shared, along_lines, others]
    } else if wide {
        [shared, tiles, along_lines, others]
    } else {
        [along_lines, others, tiles, shared]
    };
    offered(families.into_iter())
}

fn separable_candidates(problem: &SeparableProblem, caps: &Caps) -> Result<Vec<Plan>> {
    // The sum over the taps is a single run.
    if problem.depthwise.geometry.taps() > RUN.into() {
        return Ok(Vec::new());
    }
    let [subgroup, tiled] =
        [conv_separable_subgroup::plans, conv_separable::plans].map(|family| family(problem, caps).unwrap_or_default());
    Ok([subgroup, tiled].concat())
}

/// Whether the best guess for `problem` is one pass.
pub(crate) fn one_pass_pays(problem: &SeparableProblem, caps: &Caps) -> bool {
    if caps.software { conv_separable_subgroup::pays(problem, caps) } else { conv_separable::pays(problem) }
}

/// Rows of a window's taps, at all depths.
fn tap_rows(geometry: &ConvGeometry) -> u64 {
    let [depth, height, _] = geometry.axes.map(|axis| u64::from(axis.kernel));
    depth * height
}

/// The runs of a convolution's sums.
fn runs_of(geometry: &ConvGeometry) -> Runs {
    Runs::of(geometry.taps(), geometry.group_in())
}

/// Invocations of one workgroup where nothing is shared: a multiple of every subgroup size.
const WORKGROUP: u32 = 64;

/// The matrix product in fours that several kernels share.
const PRODUCT: Part = part!("lib/product.wgsl");
/// The windows that a product of a convolution reads.
const WINDOWS: Part = part!("lib/windows.wgsl");
/// The taps of such a window.
const TAP: Part = part!("lib/tap.wgsl");
/// Pixels of a product that are read.
const PIXELS: Part = part!("lib/pixels.wgsl");
/// Pixels of a product that a depthwise convolution makes.
const DEPTHWISE_PIXELS: Part = part!("lib/pixels_depthwise.wgsl");

/// `launch`, a product of pixels that are read, with those that the depthwise convolution of `problem` makes, of which an
/// invocation computes `pixels` times four channels.
fn of_depthwise_pixels(launch: Dispatch, problem: &SeparableProblem, pixels: u64) -> Dispatch {
    let Dispatch { mut shader, mut bindings, params, workgroups, turns } = launch.rebound(|operand| match operand {
        Operand::Kernel => Operand::ThenKernel,
        Operand::Bias => Operand::ThenBias,
        other => other,
    });
    let Epilogue { bias, activation, .. } = problem.depthwise.epilogue;
    let [_, height, width] = problem.depthwise.geometry.axes;
    shader.constants.extend([
        ("DEPTHWISE_H", Constant::U32(height.kernel)),
        ("DEPTHWISE_W", Constant::U32(width.kernel)),
        ("DEPTHWISE_BIAS", Constant::Bool(bias)),
        ("activate_depthwise", Constant::Function(activation.function())),
    ]);
    shader.parts.retain(|part| *part != PIXELS);
    let kernel = bindings[1].of(Operand::Kernel);
    let read = match kernel {
        Binding::Texels(..) => part!("lib/depthwise_kernel_texels.wgsl"),
        _ => part!("lib/depthwise_kernel_buffer.wgsl"),
    };
    for part in activation.parts().iter().chain([&DEPTHWISE_PIXELS, &read]) {
        if !shader.parts.contains(part) {
            shader.parts.push(*part);
        }
    }
    bindings.truncate(4);
    bindings.extend([Binding::Read(Operand::Other), kernel, Binding::Read(Operand::Bias)]);
    let turns = turns + pixels * nested_turns(&[height.kernel.into(), width.kernel.into()]);
    Dispatch { shader, bindings, params, workgroups, turns }
}

/// What a workgroup stages for it.
const STAGE: Part = part!("lib/stage.wgsl");

/// Scalars per vector of a depthwise kernel: four neighbouring channels where each output channel has its own input.
fn depthwise_lanes(problem: &ConvProblem) -> u32 {
    let last = problem.data_format == DataFormat::ChannelsLast;
    let fours = problem.geometry.group_out() == 1 && problem.geometry.out_channels.is_multiple_of(4);
    if last && fours { 4 } else { 1 }
}

/// A matrix product as a step within a plan.
struct ProductStep {
    /// What tells it from others, for the plan's own variant.
    variant: String,
    dispatch: Dispatch,
    accuracy: Accuracy,
}

/// The best matrix product of each family, over the tensors that `map` says; best guess first.
fn product_steps(problem: &ConvProblem, map: fn(Operand) -> Operand, caps: &Caps) -> Result<Vec<ProductStep>> {
    // SwiftShader is slow at barriers, and at loads from workgroup memory as from a buffer.
    let other: (&str, PlanConv) =
        if caps.samples_texels { ("register", conv_register::plans) } else { ("tiled", conv_tiled::plans) };
    offered([("subgroup", conv_subgroup::plans as PlanConv), other].into_iter().map(|(family, plans)| {
        let step = |Plan { variant, mut steps, accuracy, .. }: Plan| {
            let dispatch = steps.swap_remove(0).rebound(map);
            ProductStep { variant: format!("{family}_{variant}"), dispatch, accuracy }
        };
        Ok(plans(problem, caps)?.into_iter().take(1).map(step).collect())
    }))
}

/// Whether the channels of every group lie in aligned fours in what is read, and in what is written.
fn channels_in_fours(problem: &ConvProblem) -> [bool; 2] {
    let last = problem.data_format == DataFormat::ChannelsLast;
    [problem.read(), problem.written()]
        .map(|[channels, ..]| last && (channels / problem.geometry.groups).is_multiple_of(4))
}

/// Scalars that [`four_wide_output`] stores at once.
fn four_wide_stores(problem: &ConvProblem) -> u32 {
    if channels_in_fours(problem)[1] { 4 } else { 1 }
}

/// How a kernel that computes on fours of channels writes its output.
fn four_wide_output(problem: &ConvProblem) -> Part {
    if channels_in_fours(problem)[1] { part!("lib/output_vectors.wgsl") } else { part!("lib/output_scalars.wgsl") }
}

/// The element types of a shader that computes on vectors of `lanes` scalars, and the size of its workgroups.
fn accumulator(dtype: DType, lanes: u32) -> Vec<(&'static str, Constant)> {
    accumulator_of(Constant::Type(dtype.name(), lanes), dtype, lanes)
}

/// The same where vectors lie in memory as `stored`.
fn accumulator_of(stored: Constant, dtype: DType, lanes: u32) -> Vec<(&'static str, Constant)> {
    vec![
        ("WORKGROUP", Constant::U32(WORKGROUP)),
        ("LANES", Constant::U32(lanes)),
        ("Elem", Constant::Type(dtype.name(), 1)),
        ("Vec", stored),
        ("Acc", Constant::Type("f32", lanes)),
        ("AccBits", Constant::Type("u32", lanes)),
        ("AccInt", Constant::Type("i32", lanes)),
    ]
}

/// Workgroups of [`WORKGROUP`] invocations for `items` of them.
fn workgroups(items: u64, caps: &Caps) -> Result<[u32; 3]> {
    caps.fold(items.div_ceil(WORKGROUP.into()))
}

/// The words of a uniform block that ends with those of each axis; `block` has the others.
fn with_axes<const N: usize>(mut block: Vec<u32>, axes: [[u32; N]; MOST_AXES]) -> Vec<u32> {
    block.truncate(block.len() - N * MOST_AXES);
    block.extend(axes.as_flattened());
    block
}

/// `items` as the shaders count them; a whole last workgroup must be countable too.
fn item_count(items: u64) -> Result<u32> {
    u32::try_from(items.saturating_add(WORKGROUP.into()))
        .map(|padded| padded - WORKGROUP)
        .map_err(|_| Error::limit("invocations of one dispatch", items, u64::from(u32::MAX - WORKGROUP)))
}
