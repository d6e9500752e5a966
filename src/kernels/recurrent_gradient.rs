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
        /// Cells that are kept.
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
    let gates = function.gates();
    let products = u64::from(gates) * u64::from(units);
    if 4 * products > caps.workgroup_storage.into() {
        let most = u64::from(caps.workgroup_storage) / (4 * u64::from(gates));
        return Err(Error::limit("units of a recurrent layer whose gradient is asked for", units.into(), most));
    }
    let states = u64::from(batch) * u64::from(units);
    let kept = problem.kept().saturating_mul(states).max(1).saturating_mul(4);
    within("bytes of one storage binding", kept, caps.max_binding)?;
    let cells = problem.cells() as u32;
    // Whoever begins with states wants their gradients, which are kept last.
    let keeping = Binding::Write(if problem.of.begins { Operand::Cell } else { Operand::Scratch(0) });
    let [act_0, act_1, act_2] = activation.parameters();
    let shader = |params, parts: &[_]| {
        let mut constants = accumulator(dtype, 1);
        constants.extend([
            ("UNITS", Constant::U32(units)),
            ("GATES", Constant::U32(gates)),
            ("MASKED", Constant::Bool(problem.of.masked)),
            ("DROPPED", Constant::Bool(problem.of.dropped)),
            ("activate_gate", Constant::Function(gate.function())),
        ]);
        let parts = [&[INDEX, ACTIVATION, MATH, part!("lib/recurrent_sequence.wgsl")], parts].concat();
        Shader { params, activation: Some(activation.function()), constants, parts }
    };
    item_count(states)?;
    let mut steps = Vec::new();
    let mut of_cells = shader(RecurrentCellsParams::WGSL, &[part!("recurrent_cells.wgsl")]);
    of_cells
        .constants
        .extend([("BEGINS", Constant::Bool(problem.of.begins)), ("LAST_CELL", Constant::Bool(problem.of.last_cell))]);
    let most = MOST_TURNS as u32;
    for first in (0..cells.saturating_sub(1)).step_by(most as usize) {
        let steps_of_launch = most.min(times - first);
        let block = RecurrentCellsParams { batch, times, first, steps: steps_of_launch, act_0, act_1, act_2 };
        steps.push(Dispatch {
            shader: of_cells.clone(),
            params: block.words(),
            workgroups: workgroups(states, caps)?,
            bindings: vec![
                Binding::Read(Operand::Input),
                Binding::Read(Operand::Other),
                keeping,
                Binding::Read(Operand::OfSequence),
                Binding::Read(Operand::States),
                Binding::Read(Operand::CellGradient),
            ],
            turns: steps_of_launch.into(),
        });
    }

    let mut backwards = shader(RecurrentGradientParams::WGSL, &[SLOPE, part!("recurrent_gradient.wgsl")]);
    backwards.constants.extend([
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
                Binding::Read(Operand::Before),
                Binding::Read(Operand::Kernel),
                Binding::Read(Operand::Gradient),
                Binding::Write(Operand::Output),
                keeping,
                Binding::Read(Operand::OfSequence),
            ],
            turns: u64::from(steps_of_launch) * of_step,
        });
    }
    let plan = Plan::new("recurrent_gradient", format!("{dtype}x1_{WORKGROUP}"), steps);
    Ok(vec![if problem.of.begins { plan } else { plan.with_scratch(vec![kept]) }])
}
