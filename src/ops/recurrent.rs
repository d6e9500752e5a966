//! A recurrence over time (LSTM, GRU, SimpleRNN).

use std::sync::Arc;

use super::{Kernel, Reads, Span, Step, Tape, Value, cast, concatenate, gather};
use crate::geometry::{extent, indexable};
use crate::plan::{Elementwise, Operand, Outside, Problem, RecurrentFunction, RecurrentProblem};
use crate::{Activation, DType, Error, Result, Shape};

/// What a recurrence computes, apart from its tensors.
pub(crate) struct Recurrence {
    pub(crate) function: RecurrentFunction,
    pub(crate) activation: Activation,
    pub(crate) gate: Activation,
    pub(crate) backwards: bool,
}

/// What a recurrence may be given beside its input, and what it may tell beside its output.
#[derive(Default)]
pub(crate) struct Beside {
    /// The times that count, `[batch, times]`.
    pub(crate) mask: Option<Value>,
    /// The states to begin with, `[batch, units]` each; none for zeros.
    pub(crate) states: Vec<Value>,
    /// What the states are multiplied by for each gate where they meet the kernel, `[batch, gate, unit]`.
    pub(crate) factors: Option<Value>,
    /// Whether the last state of an LSTM's cell is wanted.
    pub(crate) last_cell: bool,
}

/// The states `[batch, times, units]` from `input` `[batch, times, gates · units]`, in the order in which they are made; and the last
/// state of an LSTM's cell, `[batch, units]`, where it is wanted.
pub(crate) fn recurrent(
    tape: &mut Tape,
    recurrence: &Recurrence,
    input: Value,
    kernel: &Arc<Kernel>,
    bias: Option<&Arc<Kernel>>,
    beside: &Beside,
) -> Result<(Value, Option<Value>)> {
    let Recurrence { function, backwards, .. } = *recurrence;
    let [batch, times, values] = tape.shape(input).dims()[..] else {
        return Err(Error::invalid(
            "input",
            "a recurrence must be over [batch, times, values]",
            tape.shape(input).to_string(),
        ));
    };
    let units = values / function.gates() as usize;
    let output = Shape::from([batch, times, units]);
    indexable(&output)?;
    if output.elements()? == 0 {
        let dtype = tape.dtype(input);
        return Ok((tape.uninitialized(output, dtype)?, None));
    }
    let each = |activation: &Activation| {
        Elementwise::new(activation).ok_or_else(|| {
            Error::unsupported(
                format!("{activation:?} in a recurrent layer"),
                "its activations must be functions of each value by itself",
            )
        })
    };
    // A shader has the parameters of one function.
    let named = Activation::from_name(recurrence.gate.name()).is_ok_and(|default| default == recurrence.gate);
    let alone =
        ["linear", "relu", "relu6", "sigmoid", "hard_sigmoid", "hard_sigmoid_2", "tanh", "softsign", "softplus"];
    if !named && recurrence.gate != Activation::HardSigmoid2 || !alone.contains(&recurrence.gate.name()) {
        return Err(Error::unsupported(
            format!("{:?} as the recurrent_activation", recurrence.gate),
            "gates are made by sigmoid, hard_sigmoid or another function without parameters",
        ));
    }
    let problem = RecurrentProblem {
        function,
        batch: extent(batch)?,
        times: extent(times)?,
        units: extent(units)?,
        backwards,
        bias: bias.is_some(),
        masked: beside.mask.is_some(),
        dropped: beside.factors.is_some(),
        begins: !beside.states.is_empty(),
        last_cell: beside.last_cell,
        activation: each(&recurrence.activation)?,
        gate: each(&recurrence.gate)?,
        dtype: tape.dtype(input),
    };
    let mut reads = Reads::of(input).constant(Operand::Kernel, kernel).if_any(Operand::Bias, bias);
    let mut of_sequence = Vec::new();
    if let Some(mask) = beside.mask {
        let mask = in_order(tape, backwards, mask)?;
        of_sequence.push(cast(tape, problem.dtype, None, mask)?);
    }
    if let Some(factors) = beside.factors {
        of_sequence.push(tape.reshape(factors, [batch, values])?);
    }
    if !of_sequence.is_empty() {
        reads = reads.value(Operand::OfSequence, concatenate(tape, 1, &of_sequence)?);
    }
    if problem.begins {
        reads = reads.value(Operand::States, concatenate(tape, 1, &beside.states)?);
    }
    let output = tape.uninitialized(output, problem.dtype)?;
    let mut step = Step::new(tape.place.clone(), Problem::Recurrent(problem), reads, output);
    let mut cell = None;
    if problem.last_cell {
        let last = tape.uninitialized([batch, units].into(), DType::F32)?;
        step = step.and_writes(Operand::Cell, last);
        cell = Some(last);
    }
    tape.steps.push(step);
    let cell = cell.map(|cell| cast(tape, problem.dtype, None, cell)).transpose()?;
    Ok((output, cell))
}

/// `value`, whose times are its second axis, from the last time to the first where `backwards`: as states are made.
pub(crate) fn in_order(tape: &mut Tape, backwards: bool, value: Value) -> Result<Value> {
    let mut spans: Vec<Span> = tape.shape(value).dims().iter().map(|&extent| Span::whole(extent)).collect();
    if backwards {
        spans[1] = Span { start: spans[1].extent as i64 - 1, step: -1, ..spans[1] };
    }
    gather(tape, &spans, Outside::ZERO, value)
}
