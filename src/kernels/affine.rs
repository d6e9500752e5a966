//! Images moved, turned, enlarged, sheared, as augmentation does it: an affine map for each image.
//!
//! Each output pixel is read where its map says the input has it (inverse mapping), so that every output is written once.
//! The maps are a tensor, since they are drawn on the device.

use super::{WORKGROUP, accumulator, item_count, workgroups};
use crate::plan::{
    AffineProblem, Binding, Caps, Constant, Dispatch, Fill, IMAGE, INDEX, Operand, Plan, Shader, params, part,
};
use crate::{DataFormat, Error, Result};

params! {
    /// The uniform block of `affine.wgsl`.
    AffineParams {
        /// Invocations with work to do.
        items,
        height,
        width,
        channels,
        /// The bits of what fills the outside.
        fill,
    }
}

pub(super) fn plans(problem: &AffineProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let AffineProblem { batch, channels, size: [height, width], nearest, fill, dtype, data_format } = *problem;
    let elements = [batch, channels, height, width].into_iter().try_fold(1u32, u32::checked_mul);
    let elements = elements.ok_or_else(|| Error::limit("elements of one tensor", u64::MAX, u32::MAX.into()))?;
    let (number, fill) = match fill {
        Fill::Value(bits) => (0, bits),
        Fill::Nearest => (1, 0),
        Fill::Reflect => (2, 0),
        Fill::Wrap => (3, 0),
    };
    let channels_last = data_format == DataFormat::ChannelsLast;
    let mut plans = Vec::new();
    for lanes in if channels_last && channels.is_multiple_of(4) { &[4, 1][..] } else { &[1] } {
        let items = u64::from(elements / lanes);
        let mut constants = accumulator(dtype, *lanes);
        constants.extend([
            ("CHANNELS_LAST", Constant::Bool(channels_last)),
            ("NEAREST", Constant::Bool(nearest)),
            ("FILL", Constant::U32(number)),
        ]);
        let interpolation = if nearest { "nearest" } else { "bilinear" };
        plans.push(Plan::new(
            "affine",
            format!("{interpolation}_{dtype}x{lanes}_{WORKGROUP}"),
            vec![Dispatch {
                shader: Shader {
                    params: AffineParams::WGSL,
                    activation: None,
                    constants,
                    parts: vec![INDEX, IMAGE, part!("affine.wgsl")],
                },
                params: AffineParams { items: item_count(items)?, height, width, channels, fill }.words(),
                workgroups: workgroups(items, caps)?,
                bindings: vec![
                    Binding::Read(Operand::Input),
                    Binding::Read(Operand::Other),
                    Binding::Write(Operand::Output),
                ],
                turns: 0,
            }],
        ));
    }
    Ok(plans)
}
