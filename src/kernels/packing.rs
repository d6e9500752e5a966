//! Kernels filled up to fours of channels: weight packing.
//!
//! The matrix products here read four input channels by four output channels at a time (vectorised loads). A kernel in
//! Keras's order with three input channels has no such fours. So it is copied once into a form that has: each group's
//! channels filled up with zeros on either side. It runs on the device when a weight is first read or has changed
//! (`ops/kernel.rs`), not for each call.

use super::{WORKGROUP, item_count, move_axes, workgroups};
use crate::geometry::{ConvGeometry, extent};
use crate::plan::{
    Binding, Caps, Constant, ConvProblem, Dispatch, INDEX, MoveAxis, MoveProblem, Operand, Outside, Packing, Part,
    Reach, Shader, Texel, params, part,
};
use crate::{DType, Error, Result};

params! {
    /// The uniform block of `pack_kernel.wgsl` and `winograd_kernel.wgsl`.
    PackParams {
        /// Invocations with work to do.
        items,
        groups,
        group_in,
        group_out,
    }
}

/// The packing that gives every group's channels in fours on either side; `None` where they come so already.
pub(super) fn in_fours(problem: &ConvProblem, caps: &Caps) -> Result<Option<Packing>> {
    let geometry = &problem.geometry;
    let (group_in, group_out) = (geometry.group_in(), geometry.group_out());
    if group_in.is_multiple_of(4) && group_out.is_multiple_of(4) {
        return Ok(None);
    }
    let elements = filled(geometry);
    let constants = [("Elem", Constant::Type(problem.dtype.name(), 1))];
    let parts = [part!("pack_kernel.wgsl")];
    launch(geometry, &constants, &parts, [elements, elements, 0], problem.dtype, caps).map(Some)
}

/// Elements of the kernel with every group's channels in fours on either side.
pub(super) fn filled(geometry: &ConvGeometry) -> u64 {
    let taps = geometry.taps();
    let fours = |channels: u32| u64::from(channels).next_multiple_of(4);
    taps * fours(geometry.group_in()) * fours(geometry.group_out()) * u64::from(geometry.groups)
}

/// The packing by a shader of these constants and parts, `items` invocations of which write `elements` of `dtype` in so many
/// `turns` of loops each.
pub(super) fn launch(
    geometry: &ConvGeometry,
    constants: &[(&'static str, Constant)],
    parts: &[Part],
    [items, elements, turns]: [u64; 3],
    dtype: DType,
    caps: &Caps,
) -> Result<Packing> {
    let shader = Shader {
        params: PackParams::WGSL,
        activation: None,
        constants: [&[("WORKGROUP", Constant::U32(WORKGROUP))], constants].concat(),
        parts: [&[INDEX], parts].concat(),
    };
    let (group_in, group_out) = (geometry.group_in(), geometry.group_out());
    let params = PackParams { items: item_count(items)?, groups: geometry.groups, group_in, group_out };
    let step = Dispatch {
        shader,
        params: params.words(),
        workgroups: workgroups(items, caps)?,
        bindings: vec![Binding::Read(Operand::Input), Binding::Write(Operand::Output)],
        turns,
    };
    Ok(Packing { step, elements, dtype })
}

/// A packing by [`launch`] whose parts write by `store_four` and can [scale](Packing::scaled), for a kernel that is read as a
/// texture or as a buffer.
pub(super) fn in_form(packing: Packing, read: Option<Texel>) -> Packing {
    let Packing { mut step, elements, dtype } = packing;
    step.shader.constants.push((Packing::SCALED, Constant::Bool(false)));
    step.bindings.push(Binding::Read(Operand::Other));
    match read {
        Some(texel) => {
            step.shader.constants.push(("TEXEL_ROW", Constant::U32(Texel::ROW)));
            step.shader.parts.extend([part!("lib/texels.wgsl"), part!("lib/packed_texels.wgsl")]);
            step.bindings[1] = Binding::StoreTexels(Operand::Output, texel);
        }
        None => step.shader.parts.push(part!("lib/packed_buffer.wgsl")),
    }
    Packing { step, elements, dtype }
}

/// The packing of a transposed convolution's kernel `[tap, j, g·group_out + f]` to `[tap, f, g·padded_in + j]`, where `j`
/// counts the channels that are written and `f` those that are read, either filled up with zeros to fours.
pub(super) fn transposed(problem: &ConvProblem, caps: &Caps) -> Result<Packing> {
    let geometry = &problem.geometry;
    let taps = geometry.taps();
    let [written, read] = [geometry.group_in(), geometry.group_out()];
    let fours = |channels: u32| {
        channels
            .checked_next_multiple_of(4)
            .ok_or_else(|| Error::limit("channels of a group", channels.into(), u32::MAX.into()))
    };
    let [padded_written, padded_read] = [fours(written)?, fours(read)?];
    let elements = taps * u64::from(padded_written) * u64::from(padded_read) * u64::from(geometry.groups);
    let row = geometry.groups * padded_written;
    let [read_run, tap_run] = [geometry.groups * read, geometry.groups * read * written].map(|run| run as usize);
    let [tap_to, tap_from] = [extent(row as usize * padded_read as usize)?, extent(tap_run)?];
    let axis = |extent, from: u32, to, source| MoveAxis {
        extent,
        from: from as i32,
        to,
        reach: Some(Reach { source, start: 0, step: 1, repeat: 1 }),
    };
    let axes = [
        axis(extent(taps as usize)?, tap_from, tap_to, extent(taps as usize)?),
        axis(padded_read, 1, row, read),
        axis(geometry.groups, read, padded_written, geometry.groups),
        axis(padded_written, extent(read_run)?, 1, written),
    ];
    let moved = MoveProblem::new(&axes, 0, Outside::ZERO, problem.dtype)?;
    Ok(Packing { step: move_axes::dispatch(&moved, caps)?, elements, dtype: problem.dtype })
}
