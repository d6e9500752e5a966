//! An element-wise activation by itself.
//!
//! Most activations run in the epilogue of the operation before (epilogue fusion: `ops/rewrite/epilogue.rs`) and have
//! no launch of their own. This kernel is for those that are left: after a pooling, say, or where the value before is
//! read elsewhere too.

use super::{WORKGROUP, accumulator, item_count, workgroups};
use crate::Result;
use crate::plan::{Binding, Caps, Dispatch, INDEX, MapProblem, Operand, Plan, Shader, params, part};

params! {
    /// The uniform block of `map.wgsl`.
    MapParams {
        /// Elements.
        items,
        /// Bits of the activation's parameters.
        act_0,
        act_1,
        act_2,
    }
}

pub(super) fn plans(problem: &MapProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let items = u64::from(problem.elements);
    let [act_0, act_1, act_2] = problem.activation.parameters();
    let shader = Shader {
        params: MapParams::WGSL,
        activation: Some(problem.activation.function()),
        constants: accumulator(problem.dtype, 1),
        parts: [&[INDEX], problem.activation.parts(), &[part!("map.wgsl")]].concat(),
    };
    Ok(vec![Plan::new(
        "map",
        format!("{}x1_{WORKGROUP}", problem.dtype),
        vec![Dispatch {
            shader,
            params: MapParams { items: item_count(items)?, act_0, act_1, act_2 }.words(),
            workgroups: workgroups(items, caps)?,
            bindings: vec![Binding::Read(Operand::Input), Binding::Write(Operand::Output)],
            turns: 0,
        }],
    )])
}
