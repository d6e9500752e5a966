//! The gradient of a depthwise convolution, or one of narrow groups, to its kernel, along lines of pixels.
//!
//! Each tap of each channel is a sum over all pixels of an input times a gradient. Taken tap by tap every pixel is loaded
//! once for each tap; here the inputs under a row of taps slide along the line in registers, and one new column is loaded
//! for each pixel (a sliding window, as in `conv_depthwise`). Lines are shared out to invocations, whose sums a second launch
//! adds up in order (split-K).
//!
//! Of groups each input channel meets every output channel of its group: four by four of them are an outer product, for as many
//! loads as a depthwise convolution has. That is offered on processors.

use super::conv_kernel_gradient::{PixelLines, Sources, added_up};
use super::conv_launch::window_constants;
use super::{item_count, workgroups};
use crate::plan::{
    Binding, Caps, Constant, Dispatch, INDEX, KernelGradientProblem, Operand, Plan, Shader, params, part,
};
use crate::{DataFormat, Result};

params! {
    /// The uniform block of `conv_kernel_gradient_depthwise.wgsl`.
    LineGradientParams {
        /// Invocations with work to do.
        items,
        in_c,
        out_c,
        in_d, in_h, in_w,
        out_d, out_h, out_w,
        pad_d, pad_h, pad_w,
        /// Lines of output pixels of all images.
        lines,
        /// Lines of a part.
        length,
    }
}

/// Taps up to which an invocation holds a whole window.
const MOST_HELD: u32 = 9;
/// Most sums of an invocation.
const MOST_SUMS: u32 = 4 * MOST_HELD;

pub(super) fn plans(problem: &KernelGradientProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let geometry = &problem.geometry;
    let [d, h, w] = geometry.axes;
    let last = problem.data_format == DataFormat::ChannelsLast;
    let fours = |channels: u32| channels.is_multiple_of(4);
    let depthwise = geometry.is_depthwise() && fours(geometry.out_channels);
    let in_lanes = if depthwise { 1 } else { 4 };
    // On GPUs nobody has measured the tile of groups.
    let grouped = caps.software && geometry.groups > 1 && fours(geometry.group_in()) && fours(geometry.group_out());
    if !(last && (depthwise || grouped)) || w.dilation > 1 || w.kernel > MOST_SUMS / in_lanes {
        return Ok(Vec::new());
    }
    let whole = depthwise && u64::from(h.kernel) * u64::from(w.kernel) <= u64::from(MOST_HELD);
    let tap_rows = if whole { h.kernel } else { 1 };
    let kept = w.kernel.saturating_sub(w.stride);
    let new = w.kernel - kept;
    if !caps.spells_out(u64::from(in_lanes * tap_rows * w.kernel), u64::from(tap_rows * new) + 1) {
        return Ok(Vec::new());
    }
    let lines = PixelLines::of(geometry, 1, caps);
    let tiles = u64::from(geometry.out_channels / 4) * u64::from(geometry.group_in() / in_lanes);
    let items = tiles * u64::from(h.kernel / tap_rows) * u64::from(d.kernel) * lines.parts;
    let params = LineGradientParams {
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
        lines: item_count(lines.count)?,
        length: item_count(lines.length)?,
    };
    let Sources { mut constants, parts: sources, bindings: [input, gradient] } = Sources::new(problem, 4, caps);
    constants.extend([
        ("TAP_ROWS", Constant::U32(tap_rows)),
        ("HELD", Constant::U32(tap_rows * w.kernel)),
        ("IN_LANES", Constant::U32(in_lanes)),
        ("SUMS", Constant::U32(in_lanes * tap_rows * w.kernel)),
        ("GROUP_IN", Constant::U32(geometry.group_in())),
        ("GROUP_OUT", Constant::U32(geometry.group_out())),
        ("KEPT", Constant::U32(kept)),
        ("NEW", Constant::U32(new)),
    ]);
    constants.extend(window_constants(geometry));
    let product = if depthwise { part!("lib/held_each.wgsl") } else { part!("lib/held_four.wgsl") };
    let product = Dispatch {
        shader: Shader {
            params: LineGradientParams::WGSL,
            activation: None,
            constants,
            parts: [&[INDEX, product, part!("conv_kernel_gradient_depthwise.wgsl")][..], &sources].concat(),
        },
        params: params.words(),
        workgroups: workgroups(items, caps)?,
        bindings: vec![input, gradient, Binding::Write(Operand::Output)],
        turns: lines.length.saturating_mul(u64::from(w.output) + 1),
    };
    let variant = format!("{}x{}x4_{tap_rows}x{}", problem.dtype, in_lanes, w.kernel);
    let plan = |steps| Plan::new("conv_kernel_gradient_depthwise", variant, steps).rounded(lines.accuracy);
    added_up(plan, product, [geometry.kernel_elements(), lines.parts], caps).map(|plan| vec![plan])
}
