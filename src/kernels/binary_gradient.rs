//! The gradient of a function of two tensors to one of them, before it is summed over the axes along which that repeats.

use super::binary::{BinaryParams, PAIRS, bindings_of};
use super::{WORKGROUP, accumulator, item_count, with_axes, workgroups};
use crate::Result;
use crate::plan::{
    ACTIVATION, BinaryGradientProblem, Binding, Caps, Constant, Dispatch, Hand, INDEX, MATH, Operand, Plan, Shader,
    part,
};

pub(super) fn plans(problem: &BinaryGradientProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let BinaryGradientProblem { of, side } = problem;
    let items = of.elements();
    let last = of.axes.iter().rposition(|axis| axis.extent != 1);
    let mut constants = accumulator(of.dtype, 1);
    constants.extend([
        ("RANK", Constant::U32(last.map_or(1, |last| last as u32 + 1))),
        ("FUNCTION", Constant::U32(of.function.number())),
        ("TO_LEFT", Constant::Bool(*side == Hand::Left)),
    ]);
    let shader = Shader {
        params: BinaryParams::WGSL,
        activation: None,
        constants,
        parts: vec![INDEX, ACTIVATION, MATH, PAIRS, part!("binary_gradient.wgsl")],
    };
    let block = BinaryParams { items: item_count(items)?, ..BinaryParams::default() };
    let words = of.axes.map(|axis| [axis.extent, axis.left, axis.right]);
    let mut bindings = bindings_of(of.sides);
    bindings.insert(2, Binding::Read(Operand::Gradient));
    Ok(vec![Plan::new(
        "binary_gradient",
        format!("{}_{}x1_{WORKGROUP}", of.function.name(), of.dtype),
        vec![Dispatch {
            shader,
            params: with_axes(block.words(), words),
            workgroups: workgroups(items, caps)?,
            bindings,
            turns: 0,
        }],
    )])
}
