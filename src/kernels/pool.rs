//! Pooling over windows.

use super::{accumulator, check, item_count, workgroups};
use crate::geometry::{Axis, ConvGeometry};
use crate::plan::{
    Binding, Caps, Constant, Dispatch, IMAGE, INDEX, LARGEST, Operand, Plan, PoolFunction, PoolProblem, Shader,
    nested_turns, params, part,
};
use crate::{DType, DataFormat, Result};

params! {
    /// The uniform block of `pool.wgsl`.
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
        /// Rows of the padded input.
        end_h,
        /// Columns of the padded input.
        end_w,
        /// The bits of what is below every value, −∞.
        least,
    }
}

/// Taps of a window from which it is on the menu to pool columns first and then rows: as many loads as taps along either axis in
/// place of their product.
const MANY_TAPS: u64 = 64;

pub(super) fn plans(problem: &PoolProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let PoolProblem { geometry, dtype, data_format, .. } = *problem;
    check(&geometry)?;
    let channels_last = data_format == DataFormat::ChannelsLast;
    let name = match problem.function {
        PoolFunction::Max => "pool_max",
        PoolFunction::Average => "pool_average",
        PoolFunction::AveragePadded { .. } => "pool_average_padded",
    };
    let mut plans = Vec::new();
    let mut in_turn = Vec::new();
    for lanes in if channels_last && geometry.out_channels.is_multiple_of(4) { &[4, 1][..] } else { &[1] } {
        plans.push(Plan {
            name: format!("{name}_{dtype}x{lanes}"),
            steps: vec![dispatch(problem, *lanes, [dtype; 2], caps)?],
            scratch: vec![],
            packing: None,
        });
        if geometry.terms() >= MANY_TAPS {
            in_turn.extend(by_axis(problem, *lanes, name, caps)?);
        }
    }
    plans.extend(in_turn);
    Ok(plans)
}

/// The plan that pools columns, then rows, with f32 between; `None` where those exceed a binding.
///
/// It computes the same: the taps of a window that count are some rows times some columns of them, whose mean is the mean of
/// their rows' means.
fn by_axis(problem: &PoolProblem, lanes: u32, name: &str, caps: &Caps) -> Result<Option<Plan>> {
    let [h, w] = problem.geometry.axes;
    let of = |[after_h, after_w]: [u32; 2]| match problem.function {
        PoolFunction::AveragePadded { .. } => PoolFunction::AveragePadded { pad_after: [after_h, after_w] },
        other => other,
    };
    let [after_h, after_w] = match problem.function {
        PoolFunction::AveragePadded { pad_after } => pad_after,
        _ => [0; 2],
    };
    let columns = ConvGeometry { axes: [h, Axis::pointwise(w.input)], ..problem.geometry };
    let rows = ConvGeometry { axes: [Axis::pointwise(h.output), w], ..problem.geometry };
    let bytes = columns.out_elements() * 4;
    if bytes > caps.max_binding.min(u32::MAX.into()) {
        return Ok(None);
    }
    let first = PoolProblem { function: of([after_h, 0]), geometry: columns, ..*problem };
    let last = PoolProblem { function: of([0, after_w]), geometry: rows, ..*problem };
    let scratch = |from| move |operand| if operand == from { Operand::Scratch(0) } else { operand };
    Ok(Some(Plan {
        name: format!("{name}_by_axis_{}x{lanes}", problem.dtype),
        steps: vec![
            dispatch(&first, lanes, [problem.dtype, DType::F32], caps)?.rebound(scratch(Operand::Output)),
            dispatch(&last, lanes, [DType::F32, problem.dtype], caps)?.rebound(scratch(Operand::Input)),
        ],
        scratch: vec![bytes],
        packing: None,
    }))
}

/// The launch that reads and writes tensors of these types.
fn dispatch(problem: &PoolProblem, lanes: u32, [dtype, out]: [DType; 2], caps: &Caps) -> Result<Dispatch> {
    let PoolProblem { function, geometry, data_format, .. } = *problem;
    let [h, w] = geometry.axes;
    let (number, [after_h, after_w]) = match function {
        PoolFunction::Max => (0, [0; 2]),
        PoolFunction::Average => (1, [0; 2]),
        PoolFunction::AveragePadded { pad_after } => (2, pad_after),
    };
    let items = geometry.out_elements() / u64::from(lanes);
    let params = PoolParams {
        items: item_count(items)?,
        in_h: h.input,
        in_w: w.input,
        out_h: h.output,
        out_w: w.output,
        channels: geometry.out_channels,
        pad_h: h.pad_before,
        pad_w: w.pad_before,
        end_h: h.pad_before.saturating_add(h.input).saturating_add(after_h),
        end_w: w.pad_before.saturating_add(w.input).saturating_add(after_w),
        least: f32::NEG_INFINITY.to_bits(),
    };
    let mut constants = accumulator(dtype, lanes);
    constants.extend([
        ("Out", Constant::Type(out.name(), lanes)),
        ("FUNCTION", Constant::U32(number)),
        ("CHANNELS_LAST", Constant::Bool(data_format == DataFormat::ChannelsLast)),
        ("KERNEL_H", Constant::U32(h.kernel)),
        ("KERNEL_W", Constant::U32(w.kernel)),
        ("STRIDE_H", Constant::U32(h.stride)),
        ("STRIDE_W", Constant::U32(w.stride)),
        ("DILATION_H", Constant::U32(h.dilation)),
        ("DILATION_W", Constant::U32(w.dilation)),
    ]);
    Ok(Dispatch {
        shader: Shader {
            params: PoolParams::WGSL,
            activation: None,
            constants,
            parts: vec![INDEX, IMAGE, LARGEST, part!("pool.wgsl")],
        },
        params: params.words(),
        workgroups: workgroups(items, caps)?,
        bindings: vec![Binding::Read(Operand::Input), Binding::Write(Operand::Output)],
        turns: nested_turns(&[h.kernel.into(), w.kernel.into()]),
    })
}
