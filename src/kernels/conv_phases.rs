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
//! channels, and where a window begins and what is written follows from the group. It is offered where all phases have as
//! many taps: the strides divide the kernel, as in most decoders (4×4 or 2×2 by 2, 16 by 8). Other kernels multiply few
//! taps for what they load, and are computed by `conv_transposed`.

use super::{ProductStep, channels_in_fours, move_axes, product_steps};
use crate::Result;
use crate::geometry::{Axis, ConvGeometry, extent};
use crate::plan::{
    Caps, Constant, ConvProblem, Direction, Dispatch, MoveAxis, MoveProblem, Outside, Packing, Plan, Reach, part,
};

/// Where the channels that are read stand in the uniform block of a convolution.
const IN_C: usize = 5;

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let Some(phases) = phases(problem) else { return Ok(Vec::new()) };
    let Some([h, w]) = problem.geometry.plane() else { return Ok(Vec::new()) };
    let packing = packing(problem, [h, w], caps)?;
    let step = |mut dispatch: Dispatch| {
        dispatch.params[IN_C] = problem.geometry.out_channels;
        let shader = &mut dispatch.shader;
        for (name, value) in &mut shader.constants {
            // Taps in order read positions in the other.
            if ["DILATION_H", "DILATION_W"].contains(name) {
                *value = Constant::U32(u32::MAX);
            }
        }
        shader.constants.extend(
            [("PHASES_H", h.stride), ("PHASES_W", w.stride), ("WHOLE_H", h.input), ("WHOLE_W", w.input)]
                .map(|(name, value)| (name, Constant::U32(value))),
        );
        for own in &mut shader.parts {
            match own.file {
                "lib/windows.wgsl" => *own = part!("lib/windows_phases.wgsl"),
                "lib/output_vectors.wgsl" => *own = part!("lib/output_phases.wgsl"),
                _ => {}
            }
        }
        dispatch
    };
    let plan = |ProductStep { variant, dispatch, accuracy }| {
        Plan::new("conv_phases", variant, vec![step(dispatch)]).packed(Some(packing.clone())).rounded(accuracy)
    };
    Ok(product_steps(&phases, |operand| operand, caps)?.into_iter().map(plan).collect())
}

/// The convolution that has a group for each phase; `None` where phases differ in their taps.
fn phases(problem: &ConvProblem) -> Option<ConvProblem> {
    let geometry = &problem.geometry;
    let [h, w] = geometry.plane()?;
    let even = |axis: &Axis| axis.dilation == 1 && axis.kernel.is_multiple_of(axis.stride);
    let fits = problem.direction == Direction::BackwardInput && geometry.groups == 1 && channels_in_fours(problem)[1];
    if !fits || !even(&h) || !even(&w) || h.stride.checked_mul(w.stride)? < 2 {
        return None;
    }
    let axis = |axis: Axis| Axis {
        input: axis.output,
        output: axis.input.div_ceil(axis.stride),
        kernel: axis.kernel / axis.stride,
        stride: 1,
        dilation: 1,
        pad_before: axis.pad_before,
    };
    let groups = h.stride * w.stride;
    let channels = [geometry.out_channels, geometry.in_channels];
    let [in_channels, out_channels] = [channels[0].checked_mul(groups)?, channels[1].checked_mul(groups)?];
    let axes = [Axis::UNIT, axis(h), axis(w)];
    let geometry = ConvGeometry::new(geometry.batch, groups, [in_channels, out_channels], axes).ok()?;
    Some(ConvProblem { geometry, direction: Direction::Forward, ..*problem })
}

/// The kernel `[h·phases + r, j, f]` as `[h, f, r, j]`, where `j` counts the channels that are written and `f` those that are
/// read, the latter filled up with zeros to fours.
fn packing(problem: &ConvProblem, [h, w]: [Axis; 2], caps: &Caps) -> Result<Packing> {
    let [written, read] = [problem.geometry.in_channels, problem.geometry.out_channels];
    let padded = read.next_multiple_of(4);
    let tap = extent(written as usize * read as usize)?;
    let row = extent(h.stride as usize * w.stride as usize * written as usize)?;
    let block = extent(row as usize * padded as usize)?;
    let axis = |extent, from: u32, to, source| MoveAxis {
        extent,
        from: from as i32,
        to,
        reach: Some(Reach { source, start: 0, step: 1, repeat: 1 }),
    };
    let [hits_h, hits_w] = [h.kernel / h.stride, w.kernel / w.stride];
    let axes = [
        axis(hits_h, h.stride * w.kernel * tap, hits_w * block, hits_h),
        axis(hits_w, w.stride * tap, block, hits_w),
        axis(padded, 1, row, read),
        axis(h.stride, w.kernel * tap, w.stride * written, h.stride),
        axis(w.stride, tap, written, w.stride),
        axis(written, read, 1, written),
    ];
    let moved = MoveProblem::new(&axes, 0, Outside::ZERO, problem.dtype)?;
    let elements = u64::from(hits_h) * u64::from(hits_w) * u64::from(block);
    Ok(Packing { step: move_axes::dispatch(&moved, 1, caps)?, elements })
}
