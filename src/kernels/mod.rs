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
//! | `conv_cooperative` | implicit GEMM by matrix units (tensor cores) |
//! | `conv_gathered` | im2col along one axis, then implicit GEMM |
//! | `conv_winograd` | Winograd F(m×m, 3×3) |
//! | `conv_depthwise`, `conv_depthwise_strip`, `conv_grouped` | depthwise and narrow groups, by register tiles |
//! | `conv_separable`, `conv_separable_subgroup` | depthwise and pointwise in one launch (operator fusion) |
//! | `conv_split`, `conv_parts` | split-K |
//! | `conv_transposed` | transposed convolution |
//! | `conv_phases` | transposed convolution by stride phase (sub-pixel decomposition), as implicit GEMM |
//! | `conv_kernel_gradient`, `map_gradient`, `binary_gradient`, `pool_gradient` | what only the backward pass computes |
//! | `map`, `binary`, `cast`, `move_axes`, `resize`, `noise`, `affine` | element by element |
//! | `pool`, `product`, `along_axis`, `normalize` | pooling, matrix products, reductions |
//! | `loss`, `update` | losses with their gradients, optimizers |
//!
//! `conv_launch`, `packing`, `runs`, `team`, `lines` and `long_sums` are what families have in common. The words are explained
//! in [`plan`](crate::plan).
//!
//! # Recipe: add a kernel
//! 1. `shaders/<stem>.wgsl`, with a head comment that gives its index formula and its constants.
//! 2. `src/kernels/<stem>.rs`: `plans(problem, caps)`, empty when the kernel does not apply.
//! 3. One line in [`candidates`]. Tests, benches and the choice find it by themselves.

mod affine;
mod along_axis;
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
mod conv_launch;
mod conv_parts;
mod conv_phases;
mod conv_separable;
mod conv_separable_subgroup;
mod conv_split;
mod conv_subgroup;
mod conv_tiled;
mod conv_transposed;
mod conv_winograd;
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
mod resize;
mod runs;
mod take;
mod team;
mod update;

use conv_launch::{ConvLaunch, Input, from_scratch};
use runs::{RUN, Runs};

use crate::geometry::{ConvGeometry, within};
use crate::plan::{
    Binding, Caps, Constant, ConvProblem, Direction, Dispatch, Epilogue, MOST_AXES, MOST_TURNS, Operand, Part, Plan,
    Problem, SeparableProblem, nested_turns, part,
};
use crate::{DType, DataFormat, Error, Result};

/// Every plan that solves `problem` within `caps`, best guess first; for a convolution `conv_direct` is always among
/// them, or `conv_transposed_direct`, but where its sums are too long for one invocation. Two convolutions in one may have none: they can be solved one by one.
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
        Problem::Resize(problem) => resize::plans(problem, caps),
        Problem::Move(problem) => move_axes::plans(problem, caps),
        Problem::Binary(problem) => binary::plans(problem, caps),
        Problem::Product(problem) => product::plans(problem, caps),
        Problem::Loss(problem) => loss::plans(problem, caps),
        Problem::Update(problem) => update::plans(problem, caps),
        Problem::MapGradient(problem) => map_gradient::plans(problem, caps),
        Problem::BinaryGradient(problem) => binary_gradient::plans(problem, caps),
        Problem::PoolGradient(problem) => pool_gradient::plans(problem, caps),
        Problem::KernelGradient(problem) => conv_kernel_gradient::plans(problem, caps),
        Problem::Take(problem) => take::plans(problem, caps),
        Problem::Recurrent(problem) => recurrent::plans(problem, caps),
        Problem::Affine(problem) => affine::plans(problem, caps),
        Problem::Noise(problem) => noise::plans(problem, caps),
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

/// The order follows what was measured: a processor pays for every barrier and every load, is filled by a few invocations,
/// and takes half the time or less by Winograd's tiles; other adapters want many invocations, more than a convolution with
/// few outputs has unless its sums are split, and share operands through workgroup memory. Units for matrices come before
/// the other products by what they are for, as rows gathered come there before what would read them scalar by scalar: nothing
/// was measured of either yet.
fn conv_candidates(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    if problem.direction == Direction::BackwardInput {
        return transposed_candidates(problem, caps);
    }
    let direct = conv_direct::plans(problem, caps)?;
    // A family that cannot number its work on this device offers nothing.
    let [rows, strips, grouped, gathered, subgroup, cooperative, tiled, winograd, split] = [
        conv_depthwise::plans,
        conv_depthwise_strip::plans,
        conv_grouped::plans,
        conv_gathered::plans,
        conv_subgroup::plans,
        conv_cooperative::plans,
        conv_tiled::plans,
        conv_winograd::plans,
        conv_split::plans,
    ]
    .map(|family| family(problem, caps).unwrap_or_default());
    let small = problem.geometry.flops() < SMALL;
    let families = match (small, caps.software) {
        (true, _) => [direct, rows, strips, grouped, gathered, subgroup, tiled, winograd, split, cooperative],
        (false, true) if conv_winograd::pays(problem, caps) => {
            [winograd, gathered, subgroup, strips, rows, grouped, direct, tiled, split, cooperative]
        }
        (false, true) => [strips, rows, grouped, gathered, subgroup, winograd, direct, tiled, split, cooperative],
        (false, false) => [rows, strips, grouped, cooperative, split, gathered, tiled, winograd, direct, subgroup],
    };
    let parts = conv_parts::plans(problem, caps).unwrap_or_default();
    Ok(families.into_iter().chain([parts]).flatten().collect())
}

/// A kernel that reads fours of channels wastes most of them on a narrow group.
fn transposed_candidates(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let direct = conv_transposed::direct_plans(problem, caps)?;
    let fours = conv_transposed::plans(problem, caps).unwrap_or_default();
    let narrow = problem.geometry.group_in().min(problem.geometry.group_out()) < 3;
    let phases = conv_phases::plans(problem, caps).unwrap_or_default();
    let families =
        if narrow || problem.geometry.flops() < SMALL { [direct, fours, phases] } else { [phases, fours, direct] };
    let parts = conv_parts::plans(problem, caps).unwrap_or_default();
    Ok(families.into_iter().chain([parts]).flatten().collect())
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

/// The best matrix product of each family as a step within a plan, which has the tensors that `map` says, with its name;
/// best guess first.
fn product_steps(problem: &ConvProblem, map: fn(Operand) -> Operand, caps: &Caps) -> Result<Vec<(String, Dispatch)>> {
    let families = [conv_subgroup::plans(problem, caps)?, conv_tiled::plans(problem, caps)?];
    let firsts = families.into_iter().filter_map(|plans| plans.into_iter().next());
    let step = |mut plan: Plan| {
        let name = plan.name.trim_start_matches("conv_").to_owned();
        (name, plan.steps.swap_remove(0).rebound(map))
    };
    Ok(firsts.map(step).collect())
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
