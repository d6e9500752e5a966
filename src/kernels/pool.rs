//! Pooling over windows.

use super::{accumulator, check, item_count, workgroups};
use crate::plan::{
    Binding, Caps, Constant, Dispatch, IMAGE, INDEX, LARGEST, Operand, Plan, PoolFunction, PoolProblem, Shader, params,
    part,
};
use crate::{DataFormat, Result};

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

pub(super) fn plans(problem: &PoolProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let PoolProblem { function, geometry, dtype, data_format } = *problem;
    check(&geometry)?;
    let [h, w] = geometry.axes;
    let channels = geometry.out_channels;
    let channels_last = data_format == DataFormat::ChannelsLast;
    let (number, name, [after_h, after_w]) = match function {
        PoolFunction::Max => (0, "pool_max", [0; 2]),
        PoolFunction::Average => (1, "pool_average", [0; 2]),
        PoolFunction::AveragePadded { pad_after } => (2, "pool_average_padded", pad_after),
    };
    let mut plans = Vec::new();
    for lanes in if channels_last && channels.is_multiple_of(4) { &[4, 1][..] } else { &[1] } {
        let items = geometry.out_elements() / u64::from(*lanes);
        let params = PoolParams {
            items: item_count(items)?,
            in_h: h.input,
            in_w: w.input,
            out_h: h.output,
            out_w: w.output,
            channels,
            pad_h: h.pad_before,
            pad_w: w.pad_before,
            end_h: h.pad_before.saturating_add(h.input).saturating_add(after_h),
            end_w: w.pad_before.saturating_add(w.input).saturating_add(after_w),
            least: f32::NEG_INFINITY.to_bits(),
        };
        let mut constants = accumulator(dtype, *lanes);
        constants.extend([
            ("FUNCTION", Constant::U32(number)),
            ("CHANNELS_LAST", Constant::Bool(channels_last)),
            ("KERNEL_H", Constant::U32(h.kernel)),
            ("KERNEL_W", Constant::U32(w.kernel)),
            ("STRIDE_H", Constant::U32(h.stride)),
            ("STRIDE_W", Constant::U32(w.stride)),
            ("DILATION_H", Constant::U32(h.dilation)),
            ("DILATION_W", Constant::U32(w.dilation)),
        ]);
        plans.push(Plan {
            name: format!("{name}_{dtype}x{lanes}"),
            steps: vec![Dispatch {
                shader: Shader {
                    params: PoolParams::WGSL,
                    activation: None,
                    constants,
                    parts: vec![INDEX, IMAGE, LARGEST, part!("pool.wgsl")],
                },
                params: params.words(),
                workgroups: workgroups(items, caps)?,
                bindings: vec![Binding::Read(Operand::Input), Binding::Write(Operand::Output)],
            }],
            scratch: vec![],
            packing: None,
        });
    }
    Ok(plans)
}
