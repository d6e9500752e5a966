//! A recurrence over time (LSTM, GRU, SimpleRNN).

use std::sync::Arc;

use super::{Kernel, Reads, Tape, Value};
use crate::geometry::{extent, indexable};
use crate::plan::{Elementwise, Operand, Problem, RecurrentFunction, RecurrentProblem};
use crate::{Activation, Error, Result, Shape};

/// What a recurrence computes, apart from its tensors.
pub(crate) struct Recurrence {
    pub(crate) function: RecurrentFunction,
    pub(crate) activation: Activation,
    pub(crate) gate: Activation,
    pub(crate) backwards: bool,
}

/// The states `[batch, times, units]` from `input` `[batch, times, gates · units]`, in the order in which they are made.
pub(crate) fn recurrent(
    tape: &mut Tape,
    recurrence: &Recurrence,
    input: Value,
    kernel: &Arc<Kernel>,
    bias: Option<&Arc<Kernel>>,
) -> Result<Value> {
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
        return tape.uninitialized(output, tape.dtype(input));
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
        activation: each(&recurrence.activation)?,
        gate: each(&recurrence.gate)?,
        dtype: tape.dtype(input),
    };
    let reads = Reads::of(input).constant(Operand::Kernel, kernel).if_any(Operand::Bias, bias);
    tape.step(Problem::Recurrent(problem), reads, output, problem.dtype)
}
