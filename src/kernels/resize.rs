//! Images at another size.
//!
//! Each output pixel is a weighted sum of a few input pixels: one for nearest, two along each axis for bilinear, four
//! for bicubic. Which they are, and how much they weigh, depends on the row and the column alone, so the host computes
//! two small tables of them in f64 and the shader only looks them up. The numbers are then the same on every device.

use super::{accumulator, item_count, workgroups};
use crate::plan::{
    Binding, Caps, Constant, Dispatch, IMAGE, INDEX, Operand, Plan, ResizeProblem, Shader, nested_turns, params, part,
};
use crate::{DataFormat, Error, Result};

params! {
    /// The uniform block of `resize.wgsl`.
    ResizeParams {
        /// Invocations with work to do.
        items,
        in_h,
        in_w,
        out_h,
        out_w,
        channels,
    }
}

pub(super) fn plans(problem: &ResizeProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let ResizeProblem { batch, channels, input, output, taps, dtype, data_format } = *problem;
    let elements = |[h, w]: [u32; 2]| {
        let elements = [batch, channels, h, w].into_iter().try_fold(1u32, u32::checked_mul);
        elements.map(u64::from).ok_or_else(|| Error::limit("elements of one tensor", u64::MAX, u32::MAX.into()))
    };
    elements(input)?;
    let elements = elements(output)?;
    let channels_last = data_format == DataFormat::ChannelsLast;
    let mut plans = Vec::new();
    for lanes in if channels_last && channels.is_multiple_of(4) { &[4, 1][..] } else { &[1] } {
        let items = elements / u64::from(*lanes);
        let ([in_h, in_w], [out_h, out_w]) = (input, output);
        let params = ResizeParams { items: item_count(items)?, in_h, in_w, out_h, out_w, channels };
        let mut constants = accumulator(dtype, *lanes);
        constants.extend([
            ("CHANNELS_LAST", Constant::Bool(channels_last)),
            ("TAPS_H", Constant::U32(taps[0])),
            ("TAPS_W", Constant::U32(taps[1])),
        ]);
        plans.push(Plan::new(
            "resize",
            format!("{dtype}x{lanes}_{}x{}", taps[0], taps[1]),
            vec![Dispatch {
                shader: Shader {
                    params: ResizeParams::WGSL,
                    activation: None,
                    constants,
                    parts: vec![INDEX, IMAGE, part!("resize.wgsl")],
                },
                params: params.words(),
                workgroups: workgroups(items, caps)?,
                bindings: vec![
                    Binding::Read(Operand::Input),
                    Binding::Read(Operand::Kernel),
                    Binding::Write(Operand::Output),
                ],
                turns: nested_turns(&taps.map(u64::from)),
            }],
        ));
    }
    Ok(plans)
}
