//! A change of element type.
//!
//! A layer that computes in f16 between others that compute in f32 has its input and its output cast. A cast may also
//! round to a narrower format and store the result as f32: so bfloat16, which no shader has, is emulated.

use super::{WORKGROUP, item_count, workgroups};
use crate::plan::{Binding, Caps, CastProblem, Constant, Dispatch, INDEX, Operand, Plan, Shader, params, part};
use crate::{Result, Rounding};

params! {
    /// The uniform block of `cast.wgsl`.
    CastParams {
        /// Elements.
        items,
    }
}

pub(super) fn plans(problem: &CastProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let items = u64::from(problem.elements);
    let (rounding, suffix) = match problem.rounding {
        None => (0, ""),
        Some(Rounding::BFloat16) => (1, "_bf16"),
        Some(Rounding::Float16) => (2, "_f16"),
    };
    let shader = Shader {
        params: CastParams::WGSL,
        activation: None,
        constants: vec![
            ("WORKGROUP", Constant::U32(WORKGROUP)),
            ("ROUNDING", Constant::U32(rounding)),
            ("In", Constant::Type(problem.from.name(), 1)),
            ("Out", Constant::Type(problem.to.name(), 1)),
        ],
        parts: vec![INDEX, part!("cast.wgsl")],
    };
    Ok(vec![Plan::new(
        "cast",
        format!("{}_{}x1{suffix}", problem.from, problem.to),
        vec![Dispatch {
            shader,
            params: CastParams { items: item_count(items)? }.words(),
            workgroups: workgroups(items, caps)?,
            bindings: vec![Binding::Read(Operand::Input), Binding::Write(Operand::Output)],
            turns: 0,
        }],
    )])
}
