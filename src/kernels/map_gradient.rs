//! The gradient of an element-wise function: the gradient that comes from behind, times the function's derivative.

use super::map::MapParams;
use super::{WORKGROUP, accumulator, item_count, workgroups};
use crate::Result;
use crate::plan::{ACTIVATION, Binding, Caps, Dispatch, INDEX, MATH, MapProblem, Operand, Plan, SLOPE, Shader, part};

pub(super) fn plans(problem: &MapProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let items = u64::from(problem.elements);
    let [act_0, act_1, act_2] = problem.activation.parameters();
    let shader = Shader {
        params: MapParams::WGSL,
        activation: Some(problem.activation.slope()),
        constants: accumulator(problem.dtype, 1),
        parts: vec![INDEX, ACTIVATION, MATH, SLOPE, part!("map_gradient.wgsl")],
    };
    let read = [Operand::Input, Operand::Gradient].map(Binding::Read);
    Ok(vec![Plan::new(
        "map_gradient",
        format!("{}x1_{WORKGROUP}", problem.dtype),
        vec![Dispatch {
            shader,
            params: MapParams { items: item_count(items)?, act_0, act_1, act_2 }.words(),
            workgroups: workgroups(items, caps)?,
            bindings: vec![read[0], read[1], Binding::Write(Operand::Output)],
            turns: 0,
        }],
    )])
}
