//! Functions along one axis: softmax and its kin, glu, the mean.

use super::{WORKGROUP, item_count, workgroups};
use crate::Result;
use crate::plan::{
    AxisFunction, AxisProblem, Binding, Caps, Constant, Dispatch, INDEX, Operand, Plan, Shader, params, part,
};

params! {
    /// The uniform block of `along_axis.wgsl`.
    AxisParams {
        /// Invocations with work to do.
        items,
        extent,
        inner,
    }
}

pub(super) fn plans(problem: &AxisProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let AxisProblem { function, outer, extent, inner, dtype } = *problem;
    let per_line = if function == AxisFunction::Glu { u64::from(extent / 2) } else { 1 };
    let items = u64::from(outer) * u64::from(inner) * per_line;
    let (number, name) = match function {
        AxisFunction::Softmax => (0, "softmax"),
        AxisFunction::LogSoftmax => (1, "log_softmax"),
        AxisFunction::Sparsemax => (2, "sparsemax"),
        AxisFunction::Glu => (3, "glu"),
        AxisFunction::Mean => (4, "mean"),
    };
    let shader = Shader {
        params: AxisParams::WGSL,
        activation: None,
        constants: vec![
            ("WORKGROUP", Constant::U32(WORKGROUP)),
            ("FUNCTION", Constant::U32(number)),
            ("Elem", Constant::Type(dtype.name(), 1)),
        ],
        parts: vec![INDEX, part!("along_axis.wgsl")],
    };
    Ok(vec![Plan {
        name: format!("{name}_{dtype}x1_{WORKGROUP}"),
        steps: vec![Dispatch {
            shader,
            params: AxisParams { items: item_count(items)?, extent, inner }.words(),
            workgroups: workgroups(items, caps)?,
            bindings: &[Binding::Read(Operand::Input), Binding::Write(Operand::Output)],
        }],
        scratch: vec![],
        packing: None,
    }])
}
