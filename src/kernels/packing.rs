//! Kernels filled up to fours of channels.

use super::{WORKGROUP, item_count, workgroups};
use crate::Result;
use crate::plan::{Binding, Caps, Constant, ConvProblem, Dispatch, INDEX, Operand, Packing, Shader, params, part};

params! {
    /// The uniform block of `pack_kernel.wgsl`.
    PackParams {
        /// Elements of the packed kernel.
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
    let taps: u64 = geometry.axes.iter().map(|axis| u64::from(axis.kernel)).product();
    let fours = |channels: u32| u64::from(channels).next_multiple_of(4);
    let elements = taps * fours(group_in) * fours(group_out) * u64::from(geometry.groups);
    let shader = Shader {
        params: PackParams::WGSL,
        activation: None,
        constants: vec![("WORKGROUP", Constant::U32(WORKGROUP)), ("Elem", Constant::Type(problem.dtype.name(), 1))],
        parts: vec![INDEX, part!("pack_kernel.wgsl")],
    };
    let params = PackParams { items: item_count(elements)?, groups: geometry.groups, group_in, group_out };
    let step = Dispatch {
        shader,
        params: params.words(),
        workgroups: workgroups(elements, caps)?,
        bindings: &[Binding::Read(Operand::Input), Binding::Write(Operand::Output)],
    };
    Ok(Some(Packing { step, elements }))
}
