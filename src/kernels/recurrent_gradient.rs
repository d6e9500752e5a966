//! The backward pass of a recurrence, in as few launches as the forward one: a workgroup goes through the times of a sequence
//! from the last to the first, and keeps the gradient of the products of one time in its memory.
//!
//! It writes the gradient of what goes in. Those of the recurrent kernel and of the bias are products over all times, which do
//! not depend on one another: a dense layer's gradients, behind it (`ops/gradient/recurrent.rs`). The cells of an LSTM are
//! computed once more before it, from what the forward pass has left.

use super::{WORKGROUP, accumulator, item_count, within, workgroups};
use crate::plan::{
    ACTIVATION, Binding, Caps, Constant, Dispatch, INDEX, MATH, MOST_TURNS, Operand, Plan, RecurrentFunction,
    RecurrentGradientProblem, RecurrentProblem, SLOPE, Shader, nested_turns, params, part,
};
use crate::{Error, Result};

params! {
    /// The uniform block of `recurrent_gradient.wgsl`.
    RecurrentGradientParams {
        batch,
        times,
        /// The last time of the launch, and how many it makes.
        last,
        steps,
        /// Times whose cells are kept.
        cells,
        /// Bits of the activation's parameters.
        act_0,
        act_1,
        act_2,
    }
}

params! {
    /// The uniform block of `recurrent_cells.wgsl`.
    RecurrentCellsParams {
        batch,
        times,
        /// The first time of the launch, and how many it makes.
        first,
        steps,
        /// Bits of the activation's parameters.
        act_0,
        act_1,
        act_2,
    }
}

pub(super) fn plans(problem: &RecurrentGradientProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let RecurrentProblem { function, batch, times, units, activation, gate, dtype, .. } = problem.of;
    if !problem.of.is_plain() {
        return Err(Error::unsupported(
            "the gradient of a recurrence with a mask, with states to begin with, or with an LSTM's cell for an output",
            "train a model without them, or freeze the layers up to it",
        ));
    }
    let gates = function.gates();
    let products = u64::from(gates) * u64::from(units);
    if 4 * products > caps.workgroup_storage.into() {
        let most = u64::from(caps.workgroup_storage) / (4 * u64::from(gates));
        return Err(Error::limit("units of a recurrent layer whose gradient is asked for", units.into(), most));
    }
    let states = u64::from(batch) * u64::from(units);
    let cells = if function == RecurrentFunction::Lstm { times } else { 0 };
    let carried = if function == RecurrentFunction::Lstm { 2 } else { 1 };
    let kept = (u64::from(cells) + carried).saturating_mul(states).max(1).saturating_mul(4);
    within("bytes of one storage binding", kept, caps.max_binding)?;
    let [act_0, act_1, act_2] = activation.parameters();
    let shader = |params, parts: &[_]| {
        let mut constants = accumulator(dtype, 1);
        constants.extend([("UNITS", Constant::U32(units)), ("activate_gate", Constant::Function(gate.function()))]);
        let parts = [&[INDEX, ACTIVATION, MATH], parts].concat();
        Shader { params, activation: Some(activation.function()), constants, parts }
    };
    item_count(states)?;
    let mut steps = Vec::new();
    let of_cells = shader(RecurrentCellsParams::WGSL, &[part!("recurrent_cells.wgsl")]);
    let most = MOST_TURNS as u32;
    for first in (0..cells).step_by(most as usize) {
        let steps_of_launch = most.min(cells - first);
        let block = RecurrentCellsParams { batch, times, first, steps: steps_of_launch, act_0, act_1, act_2 };
        steps.push(Dispatch {
            shader: of_cells.clone(),
            params: block.words(),
            workgroups: workgroups(states, caps)?,
            bindings: vec![
                Binding::Read(Operand::Input),
                Binding::Read(Operand::Other),
                Binding::Write(Operand::Scratch(0)),
            ],
            turns: steps_of_launch.into(),
        });
    }

    let mut backwards = shader(RecurrentGradientParams::WGSL, &[SLOPE, part!("recurrent_gradient.wgsl")]);
    backwards.constants.extend([
        ("GATES", Constant::U32(gates)),
        ("PRODUCTS", Constant::U32(gates * units)),
        ("FUNCTION", Constant::U32(function as u32)),
        ("activate_slope", Constant::Function(activation.slope())),
        ("gate_slope", Constant::Function(gate.slope())),
    ]);
    let phases = if function == RecurrentFunction::GruResetBefore { 2 } else { 1 };
    // Each invocation's units, and for each the sum over all.
    let own = u64::from(units.div_ceil(WORKGROUP));
    let of_step = 1 + own + phases * nested_turns(&[own, units.into()]);
    let most = (MOST_TURNS / of_step).clamp(1, u64::from(times.max(1))) as u32;
    for made in (0..times).step_by(most as usize) {
        let steps_of_launch = most.min(times - made);
        let last = times - 1 - made;
        let block = RecurrentGradientParams { batch, times, last, steps: steps_of_launch, cells, act_0, act_1, act_2 };
        steps.push(Dispatch {
            shader: backwards.clone(),
            params: block.words(),
            workgroups: caps.fold(batch.into())?,
            bindings: vec![
                Binding::Read(Operand::Input),
                Binding::Read(Operand::Other),
                Binding::Read(Operand::States),
                Binding::Read(Operand::Kernel),
                Binding::Read(Operand::Gradient),
                Binding::Write(Operand::Output),
                Binding::Write(Operand::Scratch(0)),
            ],
            turns: u64::from(steps_of_launch) * of_step,
        });
    }
    Ok(vec![Plan::new("recurrent_gradient", format!("{dtype}x1_{WORKGROUP}"), steps).with_scratch(vec![kept])])
}
