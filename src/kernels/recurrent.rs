//! A recurrence over time in one launch, or in a few where it is long: a workgroup keeps the state of a sequence in its memory,
//! and each of its invocations makes some of the state's values, time after time.
//!
//! The products of the input do not depend on one another; they are a dense layer before. Where the loops over all times are too
//! many turns for one invocation, a launch does as many times as fit, and the next goes on from what it has left.

use super::{WORKGROUP, accumulator};
use crate::plan::{
    ACTIVATION, Binding, Caps, Constant, Dispatch, INDEX, MATH, MOST_TURNS, Operand, Plan, RecurrentFunction,
    RecurrentProblem, Shader, nested_turns, params, part,
};
use crate::{Error, Result};

params! {
    /// The uniform block of `recurrent.wgsl`.
    RecurrentParams {
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

/// Arrays of one value for each unit that a workgroup keeps: the state, the next one, the cell's, and the reset one.
const ARRAYS: u64 = 4;

pub(super) fn plans(problem: &RecurrentProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let RecurrentProblem { function, batch, times, units, .. } = *problem;
    let bytes = ARRAYS * 4 * u64::from(units);
    if bytes > caps.workgroup_storage.into() {
        let most = u64::from(caps.workgroup_storage) / (ARRAYS * 4);
        return Err(Error::limit("units of a recurrent layer, whose state a workgroup keeps", units.into(), most));
    }
    let phases = if function == RecurrentFunction::GruResetBefore { 2 } else { 1 };
    // Each invocation's units, and for each the sum over all; then its units once more.
    let own = u64::from(units.div_ceil(WORKGROUP));
    let of_step = 1 + phases * nested_turns(&[own, units.into()]) + own;
    let most = ((MOST_TURNS - 3 * own) / of_step).max(1).min(u64::from(times.max(1))) as u32;
    let mut constants = accumulator(problem.dtype, 1);
    constants.extend([
        ("UNITS", Constant::U32(units)),
        ("GATES", Constant::U32(function.gates())),
        ("FUNCTION", Constant::U32(function as u32)),
        ("BIAS", Constant::Bool(problem.bias)),
        ("BACKWARDS", Constant::Bool(problem.backwards)),
        ("MASKED", Constant::Bool(problem.masked)),
        ("DROPPED", Constant::Bool(problem.dropped)),
        ("BEGINS", Constant::Bool(problem.begins)),
        ("activate_gate", Constant::Function(problem.gate.function())),
    ]);
    let shader = Shader {
        params: RecurrentParams::WGSL,
        activation: Some(problem.activation.function()),
        constants,
        parts: vec![INDEX, ACTIVATION, MATH, part!("lib/recurrent_sequence.wgsl"), part!("recurrent.wgsl")],
    };
    let [act_0, act_1, act_2] = problem.activation.parameters();
    let launch = |first: u32| -> Result<Dispatch> {
        let steps = most.min(times - first);
        let block = RecurrentParams { batch, times, first, steps, act_0, act_1, act_2 };
        Ok(Dispatch {
            shader: shader.clone(),
            params: block.words(),
            workgroups: caps.fold(batch.into())?,
            bindings: vec![
                Binding::Read(Operand::Input),
                Binding::Read(Operand::Kernel),
                Binding::Read(Operand::Bias),
                Binding::Write(Operand::Output),
                Binding::Write(if problem.last_cell { Operand::Cell } else { Operand::Scratch(0) }),
                Binding::Read(Operand::OfSequence),
                Binding::Read(Operand::States),
            ],
            turns: u64::from(steps) * of_step + 3 * own,
        })
    };
    let steps = (0..times).step_by(most as usize).map(launch).collect::<Result<Vec<_>>>()?;
    let plan = Plan::new("recurrent", format!("{}x1_{WORKGROUP}", problem.dtype), steps);
    let cell = (u64::from(batch) * u64::from(units) * 4).max(4);
    Ok(vec![if problem.last_cell { plan } else { plan.with_scratch(vec![cell]) }])
}
