//! The gradient of a recurrence: backpropagation through time.
//!
//! The forward pass leaves the states of every time, and nothing else. So what was computed of the states before is computed
//! once more, now that all of them are known: one product for all times, and not one after the other.
//!
//! ```text
//! p  = (states, a time later) · kernel + bias              all times at once
//! ∂x = gradient of a recurrence (x, p, states, ∂states)    time after time, from the last
//! ∂kernel, ∂bias                                           those of p, whose own gradient is ∂x
//! ```
//!
//! Of a GRU's third gate, that is not all: one that resets after the product has `x + r·p` there, so that p's gradient is r·∂x;
//! one that resets before it has `x + (r·state)·kernel`, a second product.

use std::ops::Range;

use super::{Place, Reverse};
use crate::Activation;
use crate::Result;
use crate::ops::{
    Kernel, Numbers, Reads, Side, Span, Step, Tape, Value, binary, concatenate, dense, gather, in_order, map,
};
use crate::plan::{
    BinaryFunction, Elementwise, Operand, Outside, Problem, RecurrentFunction, RecurrentGradientProblem,
    RecurrentProblem,
};

/// A product of states with the recurrent kernel, on the tape.
struct Product {
    steps: Range<usize>,
    value: Value,
    gradient: Value,
}

/// The gates `from` up to `to` of `value`, `[batch, times, gates, units]`.
fn gates(tape: &mut Tape, from: usize, to: usize, value: Value) -> Result<Value> {
    let mut spans: Vec<Span> = tape.shape(value).dims().iter().map(|&extent| Span::whole(extent)).collect();
    spans[2] = Span::shifted(to - from, -(from as i64));
    gather(tape, &spans, Outside::ZERO, value)
}

impl Reverse<'_> {
    pub(super) fn recurrent(&mut self, step: &Step, problem: &RecurrentProblem, gradient: Value) -> Result<()> {
        let RecurrentProblem { function, batch, times, units, backwards, gate, dtype, .. } = *problem;
        let (Some(input), Some(kernel), Some(states)) =
            (step.value(Operand::Input), step.constant(Operand::Kernel), step.written().next())
        else {
            return Err(Self::without(step, "it reads a constant"));
        };
        let bias = step.constant(Operand::Bias);
        let [batch, times, units, gate_count] = [batch, times, units, function.gates()].map(|dim| dim as usize);
        let (four, values) = ([batch, times, gate_count, units], gate_count * units);
        let x = self.tape.reshape(input, four)?;
        let x = in_order(self.tape, backwards, x)?;
        let states = self.tape.reshape(states, [batch, times, units])?;
        let later = [Span::whole(batch), Span::shifted(times, 1), Span::whole(units)];
        let before = gather(self.tape, &later, Outside::ZERO, states)?;

        let product = |tape: &mut Tape, states: Value| -> Result<(Range<usize>, Value)> {
            let first = tape.steps.len();
            let value = dense(tape, values, Activation::Linear, states, kernel, bias)?;
            Ok((first..tape.steps.len(), tape.reshape(value, four)?))
        };
        let (steps, products) = product(self.tape, before)?;
        let reset = match function {
            RecurrentFunction::GruResetAfter | RecurrentFunction::GruResetBefore => {
                let of_input = gates(self.tape, 1, 2, x)?;
                let of_state = gates(self.tape, 1, 2, products)?;
                let sum = self.sum(of_input, of_state)?;
                Some(map(self.tape, gate, sum)?)
            }
            RecurrentFunction::Lstm | RecurrentFunction::Simple => None,
        };
        // Of a reset before the product, the states that are reset, and their product for the last gate.
        let mut of_reset = None;
        let mut read = products;
        if let (RecurrentFunction::GruResetBefore, Some(reset)) = (function, reset) {
            let reset = self.tape.reshape(reset, [batch, times, units])?;
            let states = self.binary(BinaryFunction::Multiply, reset, before)?;
            let (steps, products_of_reset) = product(self.tape, states)?;
            let [gated, last] = [gates(self.tape, 0, 2, products)?, gates(self.tape, 2, 3, products_of_reset)?];
            read = concatenate(self.tape, 2, &[gated, last])?;
            of_reset = Some((steps, products_of_reset));
        }

        let of = RecurrentGradientProblem { of: RecurrentProblem { backwards: false, bias: false, ..*problem } };
        let transposed = kernel.reshaped([units, values]).permuted(&[1, 0])?;
        let reads = Reads::of(x)
            .value(Operand::Other, read)
            .value(Operand::States, states)
            .constant(Operand::Kernel, &transposed)
            .value(Operand::Gradient, gradient);
        let made = self.tape.step(Problem::RecurrentGradient(of), reads, four.into(), dtype)?;

        if self.wants(step, Operand::Kernel) || self.wants(step, Operand::Bias) {
            let products = match (reset, of_reset) {
                (Some(_), Some((steps_of_reset, of_reset))) => {
                    // The first product made all gates but the last, the second the last.
                    let [first, second] = [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(|share| {
                        let share = share.iter().flat_map(|&one| std::iter::repeat_n(one, units)).collect();
                        Kernel::of_values([gate_count, units], share, Numbers { dtype, rounding: None })
                    });
                    let mut share = |share| {
                        let (made, share) = (Side::Value(made), Side::Constant(share));
                        binary(self.tape, BinaryFunction::Multiply, made, share, Elementwise::LINEAR)
                    };
                    let (first, second) = (share(&first)?, share(&second)?);
                    vec![
                        Product { steps, value: products, gradient: first },
                        Product { steps: steps_of_reset, value: of_reset, gradient: second },
                    ]
                }
                (Some(reset), None) => {
                    let [gated, last] = [gates(self.tape, 0, 2, made)?, gates(self.tape, 2, 3, made)?];
                    let last = self.binary(BinaryFunction::Multiply, last, reset)?;
                    let gradient = concatenate(self.tape, 2, &[gated, last])?;
                    vec![Product { steps, value: products, gradient }]
                }
                _ => vec![Product { steps, value: products, gradient: made }],
            };
            for Product { steps, value, gradient } in products {
                // The states that it reads are not among what these steps make, so nothing goes on to them.
                self.mark(steps.clone());
                self.add(Place::Storage(self.tape.storage(value)), gradient)?;
                self.walk(steps)?;
            }
        }
        if self.wants(step, Operand::Input) {
            let made = in_order(self.tape, backwards, made)?;
            self.give(step, Operand::Input, made)?;
        }
        Ok(())
    }
}
