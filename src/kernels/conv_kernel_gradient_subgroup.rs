//! The gradient of a convolution to its kernel, one tile per subgroup: for adapters whose subgroups share operands for next to
//! nothing, as [`conv_subgroup`](super::conv_subgroup) is for the forward pass.
//!
//! A tile is input channels by output channels of one tap, and each of its sums runs over the pixels of some lines of the
//! output: the parts, which a second launch adds up in order (split-K).
//!
//! ```text
//! 3×3 taps, 64 to 64 channels, 56×56 pixels  →  9·2·2 tiles of 32×32, each in 14 parts of 4 lines
//! ```
//!
//! A picture's three channels do not come in fours. There a row of the window stands in for the channels, which is as
//! contiguous: 7 columns of 3 channels are 21 rows of the product, and the kernel's 7 rows are its taps.

use super::conv_kernel_gradient::{CHAIN, PixelLines, Sources, added_up};
use super::conv_launch::window_constants;
use super::item_count;
use super::pool_gradient::VOLUME;
use crate::geometry::{Axis, ConvGeometry};
use crate::plan::{
    Binding, Caps, Constant, Dispatch, INDEX, KernelGradientProblem, Operand, Part, Plan, Shader, params, part,
};
use crate::{DataFormat, Result};

params! {
    /// The uniform block of `conv_kernel_gradient_subgroup.wgsl`.
    KernelGradientTileParams {
        /// Tiles of all parts.
        items,
        in_c,
        out_c,
        in_d, in_h, in_w,
        out_d, out_h, out_w,
        pad_d, pad_h, pad_w,
        /// Rows of the product, and output channels, of a group.
        rows,
        group_out,
        /// Lines of output pixels of all images.
        lines,
        /// Lines of a part.
        length,
    }
}

/// Subgroups that keep a processor's cores busy.
const ENOUGH: u64 = 32;

/// What the rows of the product are.
struct Rows {
    part: Part,
    /// Rows, of which so many groups have their own.
    count: u32,
    taps: u64,
}

/// The rows of the product of `problem`; `None` where they do not come in fours.
fn rows(problem: &KernelGradientProblem) -> Option<Rows> {
    let geometry = &problem.geometry;
    let [depth, height, width] = geometry.axes;
    let channels = geometry.group_in();
    if channels.is_multiple_of(4) {
        return Some(Rows { part: part!("lib/gradient_channels.wgsl"), count: channels, taps: geometry.taps() });
    }
    let count = channels.checked_mul(width.kernel)?;
    (geometry.groups == 1 && width.dilation == 1).then(|| Rows {
        part: part!("lib/gradient_rows.wgsl"),
        count,
        taps: u64::from(depth.kernel) * u64::from(height.kernel),
    })
}

/// A pointwise problem with its pixels in as long lines as one chain has terms: a line ends with pixels that are filled up to four.
fn in_long_lines(problem: &KernelGradientProblem) -> KernelGradientProblem {
    let geometry = problem.geometry;
    let [.., width] = geometry.axes;
    let pixels = geometry.pixels();
    let longest = (1..=CHAIN).rev().find(|&length| pixels.is_multiple_of(length)).unwrap_or(1);
    match u32::try_from(pixels / longest) {
        Ok(lines @ 1..) if geometry.is_pointwise() && longest > u64::from(width.output) => {
            let axes = [Axis::UNIT, Axis::pointwise(lines), Axis::pointwise(longest as u32)];
            KernelGradientProblem { geometry: ConvGeometry { batch: 1, axes, ..geometry }, ..*problem }
        }
        _ => *problem,
    }
}

pub(super) fn plans(problem: &KernelGradientProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let problem = &in_long_lines(problem);
    let geometry = &problem.geometry;
    let last = problem.data_format == DataFormat::ChannelsLast && geometry.group_out().is_multiple_of(4);
    let (Some(subgroup @ (4 | 8)), Some(rows), true, true) = (caps.subgroup, rows(problem), caps.software, last) else {
        return Ok(Vec::new());
    };
    let tiles =
        [8, 4, 2].into_iter().filter(|&vectors| vectors <= subgroup && caps.spells_out((16 * vectors).into(), 0));
    // No more rows than there are, but for the last few.
    let most = rows.count.div_ceil(4).next_power_of_two().max(2);
    tiles.filter(|&vectors| vectors <= most).map(|vectors| plan(problem, &rows, [subgroup, vectors], caps)).collect()
}

fn plan(problem: &KernelGradientProblem, rows: &Rows, [subgroup, vectors]: [u32; 2], caps: &Caps) -> Result<Plan> {
    let geometry = &problem.geometry;
    let [d, h, w] = geometry.axes;
    let tiles = u64::from(geometry.group_out().div_ceil(4 * subgroup))
        * u64::from(geometry.groups)
        * u64::from(rows.count.div_ceil(4 * vectors))
        * rows.taps;
    let lines = PixelLines::of(geometry, ENOUGH.div_ceil(tiles.max(1)), caps);
    let items = tiles * lines.parts;
    let params = KernelGradientTileParams {
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
        rows: rows.count,
        group_out: geometry.group_out(),
        lines: item_count(lines.count)?,
        length: item_count(lines.length)?,
    };
    let lanes = if geometry.group_in().is_multiple_of(4) { 4 } else { 1 };
    let Sources { mut constants, parts: sources, bindings: [input, gradient] } = Sources::new(problem, lanes, caps);
    constants.extend([
        ("SUBGROUP", Constant::U32(subgroup)),
        ("IN_VECTORS", Constant::U32(vectors)),
        ("LOADS", Constant::U32(4 * vectors / subgroup)),
        ("SUMS", Constant::U32(4 * vectors)),
        ("FOUR", Constant::U32(4)),
        ("CHANNELS_LAST", Constant::Bool(true)),
    ]);
    constants.extend(window_constants(geometry));
    let product = Dispatch {
        shader: Shader {
            params: KernelGradientTileParams::WGSL,
            activation: None,
            constants,
            parts: [&[INDEX, VOLUME, rows.part, part!("conv_kernel_gradient_subgroup.wgsl")][..], &sources].concat(),
        },
        params: params.words(),
        workgroups: caps.fold(items)?,
        bindings: vec![input, gradient, Binding::Write(Operand::Output)],
        turns: lines.length.saturating_mul(u64::from(w.output).div_ceil(4) + 1),
    };
    let variant = format!("{}x4_{}x{}", problem.dtype, 4 * vectors, 4 * subgroup);
    let plan = |steps| Plan::new("conv_kernel_gradient_subgroup", variant, steps).rounded(lines.accuracy);
    added_up(plan, product, [geometry.kernel_elements(), lines.parts], caps)
}
