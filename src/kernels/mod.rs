//! The menu: every way to solve a problem, as plans.
//!
//! # Recipe: add a kernel
//! 1. `shaders/<stem>.wgsl`, with a head comment that gives its index formula and its constants.
//! 2. `src/kernels/<stem>.rs`: `plans(problem, caps)`, empty when the kernel does not apply.
//! 3. One line in [`candidates`]. Tests, benches and the choice find it by themselves.

mod along_axis;
mod binary;
mod cast;
mod conv_cooperative;
mod conv_depthwise;
mod conv_depthwise_strip;
mod conv_direct;
mod conv_filled;
mod conv_grouped;
mod conv_separable;
mod conv_separable_subgroup;
mod conv_split;
mod conv_subgroup;
mod conv_tiled;
mod conv_transposed;
mod conv_winograd;
mod map;
mod move_axes;
mod normalize;
mod packing;
mod pool;
mod product;
mod resize;
mod team;

use crate::geometry::ConvGeometry;
use crate::plan::{
    Binding, Caps, Constant, ConvProblem, Direction, Dispatch, Epilogue, IMAGE, INDEX, MOST_AXES, Operand, Part, Plan,
    Problem, SeparableProblem, Shader, Texel, params, part,
};
use crate::{DType, DataFormat, Error, Result};

/// Every plan that solves `problem` within `caps`, best guess first; for a convolution `conv_direct` is always among
/// them, or `conv_transposed_direct`. Two convolutions in one may have none: they can be solved one by one.
///
/// # Errors
/// [`Error::Unsupported`] for f16 where `caps` has none, [`Error::Limit`] for sizes that no shader here can address.
pub fn candidates(problem: &Problem, caps: &Caps) -> Result<Vec<Plan>> {
    if problem.uses_f16() && !caps.f16 {
        return Err(Error::unsupported("f16", "these capabilities have no SHADER_F16; compute in f32"));
    }
    match problem {
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
    }
}

/// Operations below which compiling a clever kernel costs more than it saves.
const SMALL: u64 = 100_000;

/// The order follows what was measured: a processor pays for every barrier and every load, is filled by a few invocations,
/// and takes half the time or less by Winograd's tiles; other adapters want many invocations, more than a convolution with
/// few outputs has unless its sums are split, and share operands through workgroup memory. Units for
/// matrices come before the other products by what they are for: nothing was measured of them yet.
fn conv_candidates(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    check(&problem.geometry)?;
    if problem.direction == Direction::BackwardInput {
        return transposed_candidates(problem, caps);
    }
    let direct = conv_direct::plans(problem, caps)?;
    // A family that cannot number its work on this device offers nothing.
    let [rows, strips, grouped, filled, subgroup, cooperative, tiled, winograd, split] = [
        conv_depthwise::plans,
        conv_depthwise_strip::plans,
        conv_grouped::plans,
        conv_filled::plans,
        conv_subgroup::plans,
        conv_cooperative::plans,
        conv_tiled::plans,
        conv_winograd::plans,
        conv_split::plans,
    ]
    .map(|family| family(problem, caps).unwrap_or_default());
    let small = problem.geometry.flops() < SMALL;
    let families = match (small, caps.software) {
        (true, _) => [direct, rows, strips, grouped, filled, subgroup, tiled, winograd, split, cooperative],
        (false, true) if conv_winograd::pays(problem, caps) => {
            [winograd, filled, subgroup, strips, rows, grouped, direct, tiled, split, cooperative]
        }
        (false, true) => [strips, rows, grouped, filled, subgroup, winograd, direct, tiled, split, cooperative],
        (false, false) => [rows, strips, grouped, cooperative, split, filled, tiled, winograd, direct, subgroup],
    };
    Ok(families.concat())
}

/// A kernel that reads fours of channels wastes most of them on a narrow group.
fn transposed_candidates(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let direct = conv_transposed::direct_plans(problem, caps)?;
    let fours = conv_transposed::plans(problem, caps).unwrap_or_default();
    let narrow = problem.geometry.group_in().min(problem.geometry.group_out()) < 3;
    let families = if narrow || problem.geometry.flops() < SMALL { [direct, fours] } else { [fours, direct] };
    Ok(families.concat())
}

fn separable_candidates(problem: &SeparableProblem, caps: &Caps) -> Result<Vec<Plan>> {
    check(&problem.depthwise.geometry)?;
    check(&problem.pointwise.geometry)?;
    let [subgroup, tiled] =
        [conv_separable_subgroup::plans, conv_separable::plans].map(|family| family(problem, caps).unwrap_or_default());
    Ok([subgroup, tiled].concat())
}

/// Whether the best guess for `problem` is one pass.
pub(crate) fn one_pass_pays(problem: &SeparableProblem, caps: &Caps) -> bool {
    if caps.software { conv_separable_subgroup::pays(problem, caps) } else { conv_separable::pays(problem) }
}

/// # Errors
/// [`Error::Limit`] where an element or a coordinate cannot be numbered in a shader's 32 bits.
fn check(geometry: &ConvGeometry<2>) -> Result<()> {
    for elements in [geometry.in_elements(), geometry.kernel_elements(), geometry.out_elements()] {
        if elements > u64::from(u32::MAX) {
            return Err(Error::limit("elements of one tensor", elements, u32::MAX.into()));
        }
    }
    for axis in &geometry.axes {
        let reach = u64::from(axis.output) * u64::from(axis.stride) + axis.effective_kernel();
        if reach > i32::MAX as u64 {
            return Err(Error::limit("positions along a padded axis", reach, i32::MAX as u64));
        }
    }
    Ok(())
}

params! {
    /// The uniform block of every convolution shader; `in` and `out` are of what it reads and writes.
    ConvParams {
        /// Invocations, or workgroups that work as one, with work to do.
        items,
        batch,
        groups,
        in_h,
        in_w,
        in_c,
        out_h,
        out_w,
        out_c,
        group_in,
        group_out,
        pad_h,
        pad_w,
        /// Bits of the activation's parameters.
        act_0,
        act_1,
        act_2,
    }
}

/// What a convolution's shader reads its input by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    /// A buffer that it declares itself.
    Own,
    /// `input_four`, whatever the layout.
    Fours,
    /// `input_at`, which gives as many values as the shader has lanes.
    Lanes,
}

/// Invocations of one workgroup where nothing is shared: a multiple of every subgroup size.
const WORKGROUP: u32 = 64;

/// One convolution shader's launch: what differs between the kernels.
struct ConvLaunch<'a> {
    /// Scalars per vector.
    lanes: u32,
    /// Scalars that are stored at once.
    stores: u32,
    input: Input,
    /// Whether it reads its kernel by `kernel_at`, which gives as many values as it has lanes.
    kernel_at: bool,
    /// The kernel's own parts.
    parts: &'a [Part],
    /// The kernel's own constants.
    constants: &'a [(&'static str, Constant)],
    /// Invocations, or workgroups that work as one, with work to do.
    items: u64,
    workgroups: [u32; 3],
}

impl ConvLaunch<'_> {
    fn dispatch(&self, problem: &ConvProblem, caps: &Caps) -> Result<Dispatch> {
        self.dispatch_on(problem.read_elements(), problem, caps)
    }

    /// The launch where its input is the `elements` that earlier ones have left in the first scratch buffer.
    fn finish(&self, elements: u64, problem: &ConvProblem, caps: &Caps) -> Result<Dispatch> {
        Ok(self.dispatch_on(elements, problem, caps)?.rebound(from_scratch))
    }

    /// The launch on an input of `elements`.
    fn dispatch_on(&self, elements: u64, problem: &ConvProblem, caps: &Caps) -> Result<Dispatch> {
        let ConvGeometry { batch, groups, axes: [h, w], .. } = problem.geometry;
        let ([in_c, in_h, in_w], [out_c, out_h, out_w]) = (problem.read(), problem.written());
        let [act_0, act_1, act_2] = problem.epilogue.activation.parameters();
        let params = ConvParams {
            items: item_count(self.items)?,
            batch,
            groups,
            in_h,
            in_w,
            in_c,
            out_h,
            out_w,
            out_c,
            group_in: in_c / groups,
            group_out: out_c / groups,
            pad_h: h.pad_before,
            pad_w: w.pad_before,
            act_0,
            act_1,
            act_2,
        };
        let as_u64 = caps.software && caps.u64 && self.lanes == 4 && problem.dtype == DType::F32;
        let (stored, vectors) = if as_u64 {
            (Constant::Type("u64", 2), part!("lib/vectors_u64.wgsl"))
        } else {
            (Constant::Type(problem.dtype.name(), self.lanes), part!("lib/vectors.wgsl"))
        };
        let mut constants = accumulator_of(stored, problem.dtype, self.lanes);
        constants.extend([
            ("CHANNELS_LAST", Constant::Bool(problem.data_format == DataFormat::ChannelsLast)),
            ("HAS_BIAS", Constant::Bool(problem.epilogue.bias)),
            ("KERNEL_H", Constant::U32(h.kernel)),
            ("KERNEL_W", Constant::U32(w.kernel)),
            ("STRIDE_H", Constant::U32(h.stride)),
            ("STRIDE_W", Constant::U32(w.stride)),
            ("DILATION_H", Constant::U32(h.dilation)),
            ("DILATION_W", Constant::U32(w.dilation)),
        ]);
        constants.extend_from_slice(self.constants);
        let (sources, [input, kernel]) = self.sources(elements, problem, caps);
        if let Binding::Texels(..) = input {
            constants.push(("TEXEL_ROW", Constant::U32(Texel::ROW)));
        }
        let mut bindings = vec![input, kernel, Binding::Read(Operand::Bias), Binding::Write(Operand::Output)];
        let residual = if problem.epilogue.residual {
            constants.push(("Residual", Constant::Type(problem.dtype.name(), self.stores)));
            constants.push(("ResidualAcc", Constant::Type("f32", self.stores)));
            bindings.push(Binding::Read(Operand::Other));
            part!("lib/residual.wgsl")
        } else {
            part!("lib/residual_none.wgsl")
        };
        let activation = problem.epilogue.activation.parts();
        let shader = Shader {
            params: ConvParams::WGSL,
            activation: Some(problem.epilogue.activation.function()),
            constants,
            parts: [&[INDEX, IMAGE, vectors], activation, &[residual], &sources, self.parts].concat(),
        };
        Ok(Dispatch { shader, params: params.words(), workgroups: self.workgroups, bindings })
    }

    /// The parts that read an input of `elements` and the kernel, and the bindings they read them by: textures where those
    /// are faster and large enough.
    fn sources(&self, elements: u64, problem: &ConvProblem, caps: &Caps) -> (Vec<Part>, [Binding; 2]) {
        let mut bindings = [Binding::Read(Operand::Input), Binding::Read(Operand::Kernel)];
        let wide = match self.input {
            Input::Own => return (Vec::new(), bindings),
            Input::Fours => channels_in_fours(problem)[0],
            Input::Lanes => self.lanes == 4,
        };
        let texel = |wide| Texel { dtype: problem.dtype, lanes: if wide { 4 } else { 1 } };
        let (input, kernel) = (texel(wide), texel(self.lanes == 4));
        let texels = caps.reads_texels(elements, input)
            && (!self.kernel_at || caps.reads_texels(packed_elements(problem), kernel));
        let mut parts = vec![match (texels, wide) {
            (true, true) => part!("lib/input_texels.wgsl"),
            (true, false) => part!("lib/input_texels_scalars.wgsl"),
            (false, false) if self.lanes == 4 => part!("lib/input_buffer_scalars.wgsl"),
            (false, _) => part!("lib/input_buffer.wgsl"),
        }];
        if self.input == Input::Fours {
            parts.push(if wide { part!("lib/input_vectors.wgsl") } else { part!("lib/input_scalars.wgsl") });
        }
        if self.kernel_at {
            parts.push(match (texels, self.lanes) {
                (true, 4) => part!("lib/kernel_texels.wgsl"),
                (true, _) => part!("lib/kernel_texels_scalars.wgsl"),
                (false, _) => part!("lib/kernel_buffer.wgsl"),
            });
        }
        if texels {
            parts.push(part!("lib/texels.wgsl"));
            bindings[0] = Binding::Texels(Operand::Input, input);
            if self.kernel_at {
                bindings[1] = Binding::Texels(Operand::Kernel, kernel);
            }
        }
        (parts, bindings)
    }
}

/// The matrix product in fours that several kernels share.
const PRODUCT: Part = part!("lib/product.wgsl");
/// Pixels of a product that are read.
const PIXELS: Part = part!("lib/pixels.wgsl");
/// Pixels of a product that a depthwise convolution makes.
const DEPTHWISE_PIXELS: Part = part!("lib/pixels_depthwise.wgsl");

/// `launch`, a product of pixels that are read, with those that the depthwise convolution of `problem` makes.
fn of_depthwise_pixels(launch: Dispatch, problem: &SeparableProblem) -> Dispatch {
    let Dispatch { mut shader, mut bindings, params, workgroups } = launch.rebound(|operand| match operand {
        Operand::Kernel => Operand::ThenKernel,
        Operand::Bias => Operand::ThenBias,
        other => other,
    });
    let Epilogue { bias, activation, .. } = problem.depthwise.epilogue;
    let [height, width] = problem.depthwise.geometry.axes;
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
    Dispatch { shader, bindings, params, workgroups }
}

/// What a workgroup stages for it.
const STAGE: Part = part!("lib/stage.wgsl");

/// Scalars per vector of a depthwise kernel: four neighbouring channels where each output channel has its own input.
fn depthwise_lanes(problem: &ConvProblem) -> u32 {
    let last = problem.data_format == DataFormat::ChannelsLast;
    let fours = problem.geometry.group_out() == 1 && problem.geometry.out_channels.is_multiple_of(4);
    if last && fours { 4 } else { 1 }
}

/// The tensors of a launch whose input is what an earlier one has left in the first scratch buffer.
fn from_scratch(operand: Operand) -> Operand {
    if operand == Operand::Input { Operand::Scratch(0) } else { operand }
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

/// Most elements of the kernel, in Keras's order or with every group's channels filled up to fours.
fn packed_elements(problem: &ConvProblem) -> u64 {
    let geometry = &problem.geometry;
    let taps: u64 = geometry.axes.iter().map(|axis| u64::from(axis.kernel)).product();
    let fours = |channels: u32| u64::from(channels).next_multiple_of(4);
    taps * fours(geometry.group_in()) * fours(geometry.group_out()) * u64::from(geometry.groups)
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
    u32::try_from(items + u64::from(WORKGROUP))
        .map(|padded| padded - WORKGROUP)
        .map_err(|_| Error::limit("invocations of one dispatch", items, u64::from(u32::MAX - WORKGROUP)))
}
