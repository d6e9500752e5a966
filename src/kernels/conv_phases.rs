//! Transposed convolution by stride phase (sub-pixel decomposition), as an implicit GEMM.
//!
//! With a stride of 2, an output pixel in an even row and column is hit by every second tap of the kernel, its neighbour by
//! the others. Pixels that are hit by the same taps are a *phase*; there are as many as the strides' product. Each phase is
//! an ordinary convolution of the input with a part of the kernel, of stride 1. No zero is multiplied, and no two
//! invocations write one element.
//!
//! ```text
//! 4×4 taps, stride 2, 64 to 32 channels  →  4 phases of 2×2 taps, 64 to 32 channels
//! ```
//!
//! Here the phases are the groups of one convolution, which the kernels for such do in one launch: they read the same
//! channels, and where a window begins and what is written follows from the group. Where the strides do not divide the kernel
//! (3×3 by 2), some phases have a tap less, which is filled up with zeros; where that would be most of what is multiplied,
//! `conv_transposed` is all there is.

use super::conv_launch::window_constants;
use super::{ProductStep, channels_in_fours, packing, product_steps};
use crate::Result;
use crate::geometry::{Axis, ConvGeometry};
use crate::plan::{Caps, Constant, ConvProblem, Direction, Dispatch, Packing, Plan, part};

/// Where the channels that are read stand in the uniform block of a convolution.
const IN_C: usize = 5;

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let Some(phases) = phases(problem) else { return Ok(Vec::new()) };
    let packing = packed(problem, &phases.geometry, caps)?;
    let plan = |ProductStep { variant, dispatch, accuracy }| {
        let steps = vec![by_phases(problem, dispatch)];
        Plan::new("conv_phases", variant, steps).packed(Some(packing.clone())).rounded(accuracy)
    };
    Ok(product_steps(&phases, |operand| operand, caps)?.into_iter().map(plan).collect())
}

/// A launch of the convolution that has a group for each phase of `problem`: where windows begin and what is written.
pub(super) fn by_phases(problem: &ConvProblem, mut dispatch: Dispatch) -> Dispatch {
    dispatch.params[IN_C] = problem.geometry.out_channels;
    let shader = &mut dispatch.shader;
    for (name, value) in &mut shader.constants {
        // Taps in order read positions in the other.
        if ["DILATION_D", "DILATION_H", "DILATION_W"].contains(name) {
            *value = Constant::U32(u32::MAX);
        }
    }
    let [d, h, w] = problem.geometry.axes;
    let phases = [("PHASES_D", d.stride), ("PHASES_H", h.stride), ("PHASES_W", w.stride)];
    let whole = [("WHOLE_D", d.input), ("WHOLE_H", h.input), ("WHOLE_W", w.input)];
    shader.constants.extend(phases.into_iter().chain(whole).map(|(name, value)| (name, Constant::U32(value))));
    for own in &mut shader.parts {
        match own.file {
            "lib/windows.wgsl" => *own = part!("lib/windows_phases.wgsl"),
            "lib/winograd_windows.wgsl" => *own = part!("lib/winograd_phases.wgsl"),
            "lib/output_vectors.wgsl" => *own = part!("lib/output_phases.wgsl"),
            _ => {}
        }
    }
    shader.parts.push(part!("lib/phases.wgsl"));
    dispatch
}

/// Products for each that the kernel has, from which filling phases up does not pay: 3 by 3 by 3 taps by 2 have 2.4.
const MOST_FILLED: u64 = 3;

/// The convolution that has a group for each phase; `None` where most of its products would be with zeros.
pub(super) fn phases(problem: &ConvProblem) -> Option<ConvProblem> {
    let geometry = &problem.geometry;
    let axes = geometry.axes;
    let fits = problem.direction == Direction::BackwardInput && geometry.groups == 1 && channels_in_fours(problem)[1];
    let groups = axes.iter().try_fold(1u32, |phases, axis| phases.checked_mul(axis.stride))?;
    if !fits || axes.iter().any(|axis| axis.dilation > 1) || groups < 2 {
        return None;
    }
    let axis = |axis: Axis| Axis {
        input: axis.output,
        output: axis.input.div_ceil(axis.stride),
        kernel: axis.kernel.div_ceil(axis.stride),
        stride: 1,
        dilation: 1,
        pad_before: axis.pad_before,
    };
    let channels = [geometry.out_channels, geometry.in_channels];
    let [in_channels, out_channels] = [channels[0].checked_mul(groups)?, channels[1].checked_mul(groups)?];
    let phases = ConvGeometry::new(geometry.batch, groups, [in_channels, out_channels], axes.map(axis)).ok()?;
    let filled = phases.taps().checked_mul(groups.into())?;
    if filled > geometry.taps().saturating_mul(MOST_FILLED) {
        return None;
    }
    Some(ConvProblem { geometry: phases, direction: Direction::Forward, ..*problem })
}

/// The kernel `[h·phases + r, j, f]` as `[h, f, r, j]`, where `j` counts the channels that are written and `f` those that are
/// read, the latter filled up with zeros to fours, as are phases that have a tap less.
fn packed(problem: &ConvProblem, phases: &ConvGeometry, caps: &Caps) -> Result<Packing> {
    let mut constants = vec![("Elem", Constant::Type(problem.dtype.name(), 1))];
    constants.extend(window_constants(&problem.geometry));
    let elements = packing::filled(phases);
    let parts = [part!("pack_phases.wgsl")];
    packing::launch(&problem.geometry, &constants, &parts, [elements, elements, 0], problem.dtype, caps)
}
