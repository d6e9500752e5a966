//! Depthwise convolution by register rows.
//!
//! In a depthwise convolution each channel has a filter of its own and no channels are mixed, so there is little to
//! compute for what is loaded: it is bound by memory, and no matrix product helps. An invocation computes a row of
//! neighbouring outputs (its register tile), whose windows overlap: the inputs of a row are read once into registers
//! and serve them all. Four channels are taken at once where they lie side by side (vectorised loads). A long row of the
//! kernel, 1×65 for example, or one whose taps lie far apart, is taken in pieces, as many taps at a time as registers hold.
//! A window that is taller than wide, 65×1, is transposed: then the outputs of an invocation lie below each other.

use super::{ConvLaunch, InputAccess, RUN, depthwise_lanes, tap_rows, workgroups};
use crate::geometry::ConvGeometry;
use crate::plan::{Caps, Constant, ConvProblem, Plan, part};
use crate::{DataFormat, Result};

/// Input vectors that one invocation may hold: above it the row would leave the registers.
const MOST_SPAN: u64 = 32;

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let [depth, height, width] = problem.geometry.axes;
    if problem.geometry.group_in() != 1 {
        return Ok(Vec::new());
    }
    // Where the channels are first, what lies below each other is far apart in memory.
    let last = problem.data_format == DataFormat::ChannelsLast;
    let transposed = last && problem.geometry.plane().is_some() && height.kernel > width.kernel;
    let axes = if transposed { [depth, width, height] } else { [depth, height, width] };
    let problem = &ConvProblem { geometry: ConvGeometry { axes, ..problem.geometry }, ..*problem };
    let geometry = &problem.geometry;
    let [_, _, w] = axes;
    let multiplier = geometry.group_out();
    let lanes = depthwise_lanes(problem);
    // The longer the row, the more each value serves: then a longer row of outputs pays, most of all where few invocations fill
    // the device.
    let tiles: &[u32] = match w.effective_kernel() + 3 * u64::from(w.stride) > MOST_SPAN {
        true if caps.software => &[16, 8, 4, 2, 1],
        true => &[8, 4, 2, 1],
        false => &[4, 8, 2, 1],
    };
    let mut plans = Vec::new();
    for &tile in tiles {
        // As many taps as registers hold and may be spelled out, in pieces of nearly the same length.
        let span_of =
            |taps: u32| u64::from(tile - 1) * u64::from(w.stride) + u64::from(taps - 1) * u64::from(w.dilation) + 1;
        let fits = |&taps: &u32| {
            span_of(taps) <= MOST_SPAN && caps.spells_out(u64::from(tile) * u64::from(taps), span_of(taps))
        };
        let Some(most) = (1..=w.kernel.min(MOST_SPAN as u32)).rev().find(fits) else { continue };
        if tile > w.output && tile > 1 {
            continue;
        }
        let pieces = w.kernel.div_ceil(most);
        let piece = w.kernel.div_ceil(pieces);
        let span = span_of(piece);
        let steps = tap_rows(geometry) * u64::from(pieces);
        let run = if geometry.taps() > RUN.into() { u64::from((RUN / piece).max(1)) } else { steps };
        let tiles = u64::from(w.output.div_ceil(tile));
        let items = geometry.pixels() / u64::from(w.output.max(1)) * tiles * u64::from(geometry.out_channels / lanes);
        let launch = ConvLaunch {
            lanes,
            stores: lanes,
            input: InputAccess::Lanes,
            kernel_at: true,
            parts: &[part!("conv_depthwise.wgsl")],
            constants: &[
                ("TILE", Constant::U32(tile)),
                ("TRANSPOSED", Constant::Bool(transposed)),
                ("SPAN", Constant::U32(span as u32)),
                ("MULTIPLIER", Constant::U32(multiplier)),
                ("PIECE", Constant::U32(piece)),
                ("PIECES", Constant::U32(pieces)),
                ("RUN", Constant::U32(run as u32)),
            ],
            items,
            workgroups: workgroups(items, caps)?,
            turns: steps + steps.div_ceil(run),
        };
        let [rows, columns] = if transposed { [tile, 1] } else { [1, tile] };
        let variant = format!("{}x{lanes}_{rows}x{columns}", problem.dtype);
        plans.push(Plan::new("conv_depthwise", variant, vec![launch.dispatch(problem, caps)?]));
    }
    Ok(plans)
}
