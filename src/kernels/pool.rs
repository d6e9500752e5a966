//! Pooling over windows.
//!
//! Max and average pooling shrink an image: each output is the largest or the mean value of a window of one channel. An
//! invocation computes one window, of four channels at once where they lie side by side (vectorised loads). A window of
//! many taps is pooled along columns and then along rows, which reads far less, or in parts where it is too long for
//! one invocation.

use super::conv_launch::{row_constants, rows};
use super::lines::{LineTerm, combine};
use super::long_sums::{LongSums, to_scratch};
use super::{accumulator, from_scratch, item_count, tap_rows, workgroups};
use crate::geometry::{Axis, ConvGeometry};
use crate::plan::{
    Binding, Caps, Constant, Dispatch, IMAGE, INDEX, LARGEST, Operand, Part, Plan, PoolFunction, PoolProblem, Shader,
    nested_turns, params, part,
};
use crate::{DType, DataFormat, Result};

params! {
    /// The uniform block of `pool.wgsl` and `pool_parts.wgsl`; `in_h` and `out_h` count the rows of all depths.
    PoolParams {
        /// Invocations with work to do.
        items,
        in_h,
        in_w,
        out_h,
        out_w,
        channels,
        pad_h,
        pad_w,
        in_d,
        /// Rows at one depth.
        in_height,
        out_height,
        pad_d,
        /// The first row of the padded input that counts, and the one behind the last; depths and columns likewise.
        begin_d,
        end_d,
        begin_h,
        end_h,
        begin_w,
        end_w,
        /// The bits of what is below every value, −∞.
        least,
        /// Taps of a part.
        length,
        parts,
        /// Vectors of the output before the first that is computed.
        first,
    }
}

/// Taps of a window from which it is on the menu to pool columns first and then rows: as many loads as taps along either axis in
/// place of their product.
const MANY_TAPS: u64 = 64;

/// What of the taps and of the output a launch computes, and between which types.
#[derive(Clone, Copy)]
struct PoolShare {
    /// Taps of a part.
    length: u32,
    parts: u32,
    /// The first vector of the output that is computed.
    first: u64,
    /// How many.
    outputs: u64,
    dtypes: [DType; 2],
}

pub(super) fn plans(problem: &PoolProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let PoolProblem { geometry, dtype, data_format, .. } = *problem;
    let name = match problem.function {
        PoolFunction::Max => "max",
        PoolFunction::Average => "average",
        PoolFunction::AveragePadded { .. } => "average_padded",
    };
    let fours = data_format == DataFormat::ChannelsLast && geometry.out_channels.is_multiple_of(4);
    let mut plans = Vec::new();
    let mut in_turn = Vec::new();
    for lanes in if fours { &[4, 1][..] } else { &[1] } {
        plans.push(Plan::new(
            "pool",
            format!("{name}_{dtype}x{lanes}"),
            vec![whole(problem, *lanes, [dtype; 2], caps)?],
        ));
        if geometry.taps() >= MANY_TAPS {
            in_turn.extend(by_axis(problem, *lanes, name, caps)?);
        }
    }
    plans.extend(in_turn);
    plans.extend(in_parts(problem, if fours { 4 } else { 1 }, name, caps)?);
    Ok(plans)
}

/// The plan that pools columns, then rows, with f32 between; `None` where those exceed a binding, and where there is a depth.
///
/// It computes the same: the taps of a window that count are some rows times some columns of them, whose mean is the mean of
/// their rows' means.
fn by_axis(problem: &PoolProblem, lanes: u32, name: &str, caps: &Caps) -> Result<Option<Plan>> {
    let Some([h, w]) = problem.geometry.plane() else { return Ok(None) };
    let of = |[after_h, after_w]: [u32; 2]| match problem.function {
        PoolFunction::AveragePadded { .. } => PoolFunction::AveragePadded { pad_after: [0, after_h, after_w] },
        other => other,
    };
    let [after_h, after_w] = match problem.function {
        PoolFunction::AveragePadded { pad_after: [_, after_h, after_w] } => [after_h, after_w],
        _ => [0; 2],
    };
    let columns = ConvGeometry { axes: [Axis::UNIT, h, Axis::pointwise(w.input)], ..problem.geometry };
    let rows = ConvGeometry { axes: [Axis::UNIT, Axis::pointwise(h.output), w], ..problem.geometry };
    let bytes = columns.out_elements().saturating_mul(4);
    if bytes > caps.max_binding.min(u32::MAX.into()) {
        return Ok(None);
    }
    let first = PoolProblem { function: of([after_h, 0]), geometry: columns, ..*problem };
    let last = PoolProblem { function: of([0, after_w]), geometry: rows, ..*problem };
    Ok(Some(
        Plan::new(
            "pool",
            format!("{name}_by_axis_{}x{lanes}", problem.dtype),
            vec![
                whole(&first, lanes, [problem.dtype, DType::F32], caps)?.rebound(to_scratch),
                whole(&last, lanes, [DType::F32, problem.dtype], caps)?.rebound(from_scratch),
            ],
        )
        .with_scratch(vec![bytes]),
    ))
}

/// The plan that takes the taps of a window in parts; `None` where they are few.
fn in_parts(problem: &PoolProblem, lanes: u32, name: &str, caps: &Caps) -> Result<Option<Plan>> {
    let Some(sums) = LongSums::of(problem.geometry.out_elements(), problem.geometry.taps(), caps) else {
        return Ok(None);
    };
    let LongSums { parts, length, .. } = sums;
    let dtypes = [problem.dtype, DType::F32];
    let term = if problem.function == PoolFunction::Max { LineTerm::Largest } else { LineTerm::Value };
    let mut steps = Vec::new();
    for round in sums.rounds() {
        let [first, outputs] = [round.first, round.outputs].map(|elements| elements / u64::from(lanes));
        let share = PoolShare { length, parts, first, outputs, dtypes };
        let launch = launch(problem, lanes, part!("pool_parts.wgsl"), share, length.into(), caps)?;
        steps.extend([launch.rebound(to_scratch), combine(parts, round, term, problem.dtype, caps)?]);
    }
    let variant = format!("{name}_{}x{lanes}_parts", problem.dtype);
    Ok(Some(Plan::new("pool", variant, steps).with_scratch(vec![sums.scratch()])))
}

/// The launch that computes all outputs, each from all its taps.
fn whole(problem: &PoolProblem, lanes: u32, dtypes: [DType; 2], caps: &Caps) -> Result<Dispatch> {
    let [_, _, w] = problem.geometry.axes.map(|axis| u64::from(axis.kernel));
    let length = u32::try_from(problem.geometry.taps()).unwrap_or(u32::MAX);
    let outputs = problem.geometry.out_elements() / u64::from(lanes);
    let share = PoolShare { length, parts: 1, first: 0, outputs, dtypes };
    launch(problem, lanes, part!("pool.wgsl"), share, nested_turns(&[tap_rows(&problem.geometry), w]), caps)
}

/// Along each axis the first position of the padded input that counts, and the one behind the last.
pub(super) fn counted(problem: &PoolProblem) -> [[u32; 2]; 3] {
    [0, 1, 2].map(|axis| {
        let Axis { input, pad_before, .. } = problem.geometry.axes[axis];
        let end = pad_before.saturating_add(input);
        match problem.function {
            PoolFunction::AveragePadded { pad_after } => [0, end.saturating_add(pad_after[axis])],
            _ => [pad_before, end],
        }
    })
}

fn launch(
    problem: &PoolProblem,
    lanes: u32,
    shader: Part,
    share: PoolShare,
    turns: u64,
    caps: &Caps,
) -> Result<Dispatch> {
    let PoolProblem { function, geometry, data_format, .. } = *problem;
    let PoolShare { length, parts, first, outputs, dtypes: [dtype, out] } = share;
    let axes = geometry.axes;
    let number = match function {
        PoolFunction::Max => 0,
        PoolFunction::Average | PoolFunction::AveragePadded { .. } => 1,
    };
    let [[begin_d, end_d], [begin_h, end_h], [begin_w, end_w]] = counted(problem);
    let [d, h, w] = axes;
    let items = outputs * u64::from(parts);
    let params = PoolParams {
        items: item_count(items)?,
        in_h: d.input.saturating_mul(h.input),
        in_w: w.input,
        out_h: d.output.saturating_mul(h.output),
        out_w: w.output,
        channels: geometry.out_channels,
        pad_h: h.pad_before,
        pad_w: w.pad_before,
        in_d: d.input,
        in_height: h.input,
        out_height: h.output,
        pad_d: d.pad_before,
        begin_d,
        end_d,
        begin_h,
        end_h,
        begin_w,
        end_w,
        least: f32::NEG_INFINITY.to_bits(),
        length,
        parts,
        first: item_count(first)?,
    };
    let mut constants = accumulator(dtype, lanes);
    constants.extend([
        ("Out", Constant::Type(out.name(), lanes)),
        ("FUNCTION", Constant::U32(number)),
        ("CHANNELS_LAST", Constant::Bool(data_format == DataFormat::ChannelsLast)),
    ]);
    constants.extend(row_constants(&geometry));
    Ok(Dispatch {
        shader: Shader {
            params: PoolParams::WGSL,
            activation: None,
            constants,
            parts: vec![INDEX, IMAGE, LARGEST, part!("lib/window.wgsl"), rows(&geometry), shader],
        },
        params: params.words(),
        workgroups: workgroups(items, caps)?,
        bindings: vec![Binding::Read(Operand::Input), Binding::Write(Operand::Output)],
        turns,
    })
}
