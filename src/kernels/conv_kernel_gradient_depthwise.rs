//! The gradient of a depthwise convolution to its kernel, along lines of pixels.
//!
//! Each tap of each channel is a sum over all pixels of an input times a gradient. Taken tap by tap every pixel is loaded
//! once for each tap; here the inputs under a row of taps slide along the line in registers, and one new column is loaded
//! for each pixel (a sliding window, as in `conv_depthwise`). Lines are shared out to invocations, whose sums a second launch
//! adds up in order (split-K).

use super::conv_kernel_gradient::{PixelLines, added_up, sources};
use super::conv_launch::window_constants;
use super::{accumulator, item_count, workgroups};
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

pub(super) fn plans(problem: &KernelGradientProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let geometry = &problem.geometry;
    let [d, h, w] = geometry.axes;
    let last = problem.data_format == DataFormat::ChannelsLast;
    let fits = last && geometry.is_depthwise() && geometry.out_channels.is_multiple_of(4);
    if !fits || w.dilation > 1 || w.kernel > 4 * MOST_HELD {
        return Ok(Vec::new());
    }
    let whole = u64::from(h.kernel) * u64::from(w.kernel) <= u64::from(MOST_HELD);
    let tap_rows = if whole { h.kernel } else { 1 };
    let kept = w.kernel.saturating_sub(w.stride);
    let new = w.kernel - kept;
    if !caps.spells_out(u64::from(tap_rows * w.kernel), u64::from(tap_rows * new) + 1) {
        return Ok(Vec::new());
    }
    let lines = PixelLines::of(geometry, 1, caps);
    let items =
        u64::from(geometry.in_channels / 4) * u64::from(h.kernel / tap_rows) * u64::from(d.kernel) * lines.parts;
    let params = LineGradientParams {
        items: item_count(items)?,
        in_c: geometry.in_channels,
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
    let mut constants = accumulator(problem.dtype, 4);
    let (sources, [input, gradient]) = sources(problem, 4, caps, &mut constants);
    constants.extend([
        ("TAP_ROWS", Constant::U32(tap_rows)),
        ("HELD", Constant::U32(tap_rows * w.kernel)),
        ("KEPT", Constant::U32(kept)),
        ("NEW", Constant::U32(new)),
    ]);
    constants.extend(window_constants(geometry));
    let product = Dispatch {
        shader: Shader {
            params: LineGradientParams::WGSL,
            activation: None,
            constants,
            parts: [&[INDEX, part!("conv_kernel_gradient_depthwise.wgsl")][..], &sources].concat(),
        },
        params: params.words(),
        workgroups: workgroups(items, caps)?,
        bindings: vec![input, gradient, Binding::Write(Operand::Output)],
        turns: lines.length.saturating_mul(u64::from(w.output) + 1),
    };
    let variant = format!("{}x4_{tap_rows}x{}", problem.dtype, w.kernel);
    let plan = |steps| Plan::new("conv_kernel_gradient_depthwise", variant, steps).rounded(lines.accuracy);
    added_up(plan, product, [geometry.kernel_elements(), lines.parts], caps).map(|plan| vec![plan])
}
