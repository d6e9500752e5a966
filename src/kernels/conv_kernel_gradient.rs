//! The gradient of a convolution to its kernel, as a matrix product whose inner dimension is the pixels (split-K).
//!
//! A kernel has few elements, and each is a sum over all pixels of all images. So the pixels are split into parts, in
//! order: one launch computes a sum for each part, `[parts, elements]`, and a second one adds up the parts, in order too.
//! The same inputs then give the same bits in every run, which additions in the order of arrival (float atomics) would
//! not.
//!
//! On processors `conv_kernel_gradient_subgroup` comes first, or `conv_kernel_gradient_winograd`; for narrow groups there, and for
//! depthwise convolutions everywhere, `conv_kernel_gradient_depthwise`.
//!
//! | tile | where |
//! |---|---|
//! | 4 input by 4 output channels | both come in fours, channels last |
//! | 1 by 4 | output channels come in fours, as behind a picture of 3 channels |
//! | 4 channels, each by itself | depthwise |
//! | 1 by 1 | anything |

use super::conv_launch::{sums, vectors, window_constants};
use super::long_sums::to_scratch;
use super::pool_gradient::VOLUME;
use super::{accumulator, item_count, workgroups};
use crate::geometry::ConvGeometry;
use crate::plan::{
    Accuracy, Binding, Caps, Constant, Dispatch, INDEX, KernelGradientProblem, MOST_TURNS, Operand, Part, Plan, Shader,
    Sums, Texel, params, part,
};
use crate::{DType, DataFormat, Error, Result};

params! {
    /// The uniform block of `conv_kernel_gradient.wgsl`.
    KernelGradientParams {
        /// Invocations with work to do.
        items,
        in_c,
        out_c,
        in_d, in_h, in_w,
        out_d, out_h, out_w,
        pad_d, pad_h, pad_w,
        /// Of all images.
        pixels,
        /// Pixels of a part.
        length,
    }
}

params! {
    /// The uniform block of `conv_kernel_gradient_sum.wgsl`.
    PartsParams {
        /// Vectors that are written.
        items,
        parts,
    }
}

/// Invocations that fill a device: a processor has few threads, a GPU thousands.
const ENOUGH: [u64; 2] = [1 << 14, 1 << 9];
/// Fewest pixels of a part.
const SHORTEST: u64 = 64;

/// What an invocation computes: input channels by output channels.
#[derive(Clone, Copy)]
struct GradientTile {
    name: &'static str,
    input: u32,
    output: u32,
    /// Channels of the input that lie in one vector.
    vector: u32,
    product: Part,
}

const SCALAR: Part = part!("lib/outer_scalar.wgsl");
const FOUR: Part = part!("lib/outer_four.wgsl");

/// Every tile that fits, the largest first.
fn tiles(problem: &KernelGradientProblem) -> Vec<GradientTile> {
    let geometry = &problem.geometry;
    let last = problem.data_format == DataFormat::ChannelsLast;
    let [group_in, group_out] = [geometry.group_in(), geometry.group_out()].map(|channels| channels.is_multiple_of(4));
    let depthwise = geometry.is_depthwise() && geometry.out_channels.is_multiple_of(4);
    let outer = GradientTile { name: "4x4", input: 4, output: 4, vector: 4, product: FOUR };
    let row = GradientTile { name: "1x4", input: 1, output: 4, vector: 1, product: SCALAR };
    let each = GradientTile { name: "depthwise_4", input: 1, output: 4, vector: 4, product: SCALAR };
    let one = GradientTile { name: "1x1", input: 1, output: 1, vector: 1, product: SCALAR };
    let offered =
        [(outer, last && group_in && group_out), (row, last && group_out), (each, last && depthwise), (one, true)];
    offered.into_iter().filter(|(_, fits)| *fits).map(|(tile, _)| tile).collect()
}

pub(super) fn plans(problem: &KernelGradientProblem, caps: &Caps) -> Result<Vec<Plan>> {
    tiles(problem).into_iter().map(|tile| plan(problem, tile, caps)).collect()
}

fn plan(problem: &KernelGradientProblem, tile: GradientTile, caps: &Caps) -> Result<Plan> {
    let geometry = &problem.geometry;
    let (elements, pixels) = (geometry.kernel_elements(), geometry.pixels());
    let units = (elements / u64::from(tile.input * tile.output)).max(1);
    let enough = ENOUGH[usize::from(caps.software)];
    // A turn for each pixel, and one for each run of them.
    let needed = pixels.div_ceil(MOST_TURNS / 2);
    let useful = (enough / units).min(pixels / SHORTEST);
    let most = (caps.max_binding / 4 / elements.max(1)).max(1);
    let parts = useful.min(most).max(needed).max(1);
    let length = pixels.div_ceil(parts).max(1);
    let parts = pixels.div_ceil(length).max(1);
    let first = launch(problem, tile, [units, parts, length], caps)?;
    let variant = format!("{}x{}_{}", problem.dtype, tile.output, tile.name);
    added_up(|steps| Plan::new("conv_kernel_gradient", variant, steps), first, [elements, parts], caps)
}

/// How lines of output pixels are shared out to parts.
pub(super) struct PixelLines {
    /// Lines of all images.
    pub(super) count: u64,
    /// Lines of a part.
    pub(super) length: u64,
    pub(super) parts: u64,
    pub(super) accuracy: Accuracy,
}

/// Pixels of a part, where a line is not longer: the terms of one chain.
pub(super) const CHAIN: u64 = 256;

impl PixelLines {
    /// Parts of few pixels each, `least` if there are as many lines, and no more than a binding holds the kernels of.
    pub(super) fn of(geometry: &ConvGeometry, least: u64, caps: &Caps) -> Self {
        let [.., width] = geometry.axes;
        let width = u64::from(width.output);
        let count = geometry.pixels() / width.max(1);
        let short = (CHAIN / width.max(1)).max(1);
        let useful = count.div_ceil(short).max(least.min(count));
        let most = (caps.max_binding / 4 / geometry.kernel_elements().max(1)).max(1);
        let length = count.div_ceil(useful.min(most).max(1)).max(1);
        let sums = if length * width <= CHAIN { Sums::Runs } else { Sums::Chain };
        Self { count, length, parts: count.div_ceil(length).max(1), accuracy: Accuracy::of(sums) }
    }
}

/// How a launch reads the input and the gradient, and stores sums.
pub(super) struct Sources {
    pub(super) constants: Vec<(&'static str, Constant)>,
    pub(super) parts: Vec<Part>,
    /// Of the input and the gradient.
    pub(super) bindings: [Binding; 2],
}

impl Sources {
    /// The input in vectors of `lanes`, the gradient and the sums in fours: textures where those are faster and large enough.
    pub(super) fn new(problem: &KernelGradientProblem, lanes: u32, caps: &Caps) -> Self {
        let KernelGradientProblem { geometry, dtype, .. } = *problem;
        let (mut constants, stored) = vectors(dtype, 4, caps);
        let [input, gradient] = [lanes, 4].map(|lanes| Texel { dtype, lanes });
        let texels = (caps.texels(geometry.in_elements(), input), caps.texels(geometry.out_elements(), gradient));
        let (reads, bindings) = if let (Some(of_input), Some(of_gradient)) = texels {
            constants.extend([
                ("InputTexels", Constant::Type(of_input, 1)),
                ("GradientTexels", Constant::Type(of_gradient, 1)),
                ("TEXEL_ROW", Constant::U32(Texel::ROW)),
            ]);
            let read = if lanes == 4 { part!("lib/input_texels.wgsl") } else { part!("lib/input_texels_scalars.wgsl") };
            let bindings = [Binding::Texels(Operand::Input, input), Binding::Texels(Operand::Gradient, gradient)];
            (vec![part!("lib/texels.wgsl"), read, part!("lib/gradient_texels.wgsl")], bindings)
        } else {
            let read = if lanes == 4 { part!("lib/input_buffer.wgsl") } else { part!("lib/input_buffer_scalars.wgsl") };
            let bindings = [Binding::Read(Operand::Input), Binding::Read(Operand::Gradient)];
            (vec![read, part!("lib/gradient_buffer.wgsl")], bindings)
        };
        Self { constants, parts: [&[stored, sums(dtype)][..], &reads].concat(), bindings }
    }
}

/// The plan of `product`, which writes `parts` of all `elements`, and of the launch that adds them up, if there are several.
///
/// # Errors
/// [`Error::Limit`] where the device cannot hold the parts.
pub(super) fn added_up(
    plan: impl FnOnce(Vec<Dispatch>) -> Plan,
    product: Dispatch,
    [elements, parts]: [u64; 2],
    caps: &Caps,
) -> Result<Plan> {
    if parts == 1 {
        return Ok(plan(vec![product]));
    }
    let bytes = 4 * elements * parts;
    if bytes > caps.max_binding {
        return Err(Error::limit("bytes of one storage binding", bytes, caps.max_binding));
    }
    let sum = sum_of_parts([elements, parts], caps)?;
    Ok(plan(vec![product.rebound(to_scratch), sum]).with_scratch(vec![bytes]))
}

/// Parts that are added up in a run.
const PARTS_RUN: u32 = 32;

/// The launch that adds up the first scratch buffer, `parts` of all `elements`.
fn sum_of_parts([elements, parts]: [u64; 2], caps: &Caps) -> Result<Dispatch> {
    let lanes = if elements.is_multiple_of(4) { 4 } else { 1 };
    let items = elements / u64::from(lanes);
    let (mut constants, sources, input) = of_scratch(0, elements * parts, lanes, caps);
    constants.push(("RUN", Constant::U32(PARTS_RUN)));
    Ok(Dispatch {
        shader: Shader {
            params: PartsParams::WGSL,
            activation: None,
            constants,
            parts: [&[INDEX, part!("conv_kernel_gradient_sum.wgsl")][..], &sources].concat(),
        },
        params: PartsParams { items: item_count(items)?, parts: item_count(parts)? }.words(),
        workgroups: workgroups(items, caps)?,
        bindings: vec![input, Binding::Write(Operand::Output)],
        turns: parts + parts.div_ceil(PARTS_RUN.into()),
    })
}

/// How a launch reads the `elements` that earlier ones have left in scratch buffer `index`, in vectors of `lanes`: the constants
/// and the parts, those of what it writes included, and the binding.
pub(super) fn of_scratch(
    index: usize,
    elements: u64,
    lanes: u32,
    caps: &Caps,
) -> (Vec<(&'static str, Constant)>, Vec<Part>, Binding) {
    let (mut constants, stored) = vectors(DType::F32, lanes, caps);
    let (scratch, texel) = (Operand::Scratch(index), Texel { dtype: DType::F32, lanes });
    match caps.texels(elements, texel) {
        Some(texels) => {
            constants.extend([("InputTexels", Constant::Type(texels, 1)), ("TEXEL_ROW", Constant::U32(Texel::ROW))]);
            let read = if lanes == 4 { part!("lib/input_texels.wgsl") } else { part!("lib/input_texels_scalars.wgsl") };
            (constants, vec![stored, part!("lib/texels.wgsl"), read], Binding::Texels(scratch, texel))
        }
        None => (constants, vec![stored, part!("lib/input_buffer.wgsl")], Binding::Read(scratch)),
    }
}

fn launch(
    problem: &KernelGradientProblem,
    tile: GradientTile,
    [units, parts, length]: [u64; 3],
    caps: &Caps,
) -> Result<Dispatch> {
    let KernelGradientProblem { geometry, dtype, data_format } = problem;
    let [d, h, w] = geometry.axes;
    let items = units * parts;
    let params = KernelGradientParams {
        items: item_count(items)?,
        in_c: geometry.in_channels,
        out_c: geometry.out_channels,
        in_d: d.input,
        in_h: h.input,
        in_w: w.input,
        out_d: d.output,
        out_h: h.output,
        out_w: w.output,
        pad_d: d.pad_before,
        pad_h: h.pad_before,
        pad_w: w.pad_before,
        pixels: item_count(geometry.pixels())?,
        length: item_count(length)?,
    };
    let mut constants = accumulator(*dtype, tile.output);
    constants.extend([
        ("InVec", Constant::Type(dtype.name(), tile.vector)),
        ("InAcc", Constant::Type("f32", tile.vector)),
        ("IN_VECTOR", Constant::U32(tile.vector)),
        ("IN_LANES", Constant::U32(tile.input)),
        ("GROUP_IN", Constant::U32(geometry.group_in())),
        ("GROUP_OUT", Constant::U32(geometry.group_out())),
        ("CHANNELS_LAST", Constant::Bool(*data_format == DataFormat::ChannelsLast)),
    ]);
    constants.extend(window_constants(geometry));
    Ok(Dispatch {
        shader: Shader {
            params: KernelGradientParams::WGSL,
            activation: None,
            constants,
            parts: vec![INDEX, VOLUME, tile.product, part!("conv_kernel_gradient.wgsl")],
        },
        params: params.words(),
        workgroups: workgroups(items, caps)?,
        bindings: vec![
            Binding::Read(Operand::Input),
            Binding::Read(Operand::Gradient),
            Binding::Write(Operand::Output),
        ],
        // A turn for each pixel, and one for each line or run of them.
        turns: length + length.min(length.div_ceil(64) + length.div_ceil(u64::from(w.output.max(1)))) + 2,
    })
}
