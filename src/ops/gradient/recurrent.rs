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
//! Of a state that is multiplied by factors of its own for each gate, the product is one for each gate. Where a mask skips times, the
//! state before is what the last time that counts has left.
//!
//! Of a GRU's third gate, that is not all: one that resets after the product has `x + r·p` there, so that p's gradient is r·∂x;
//! one that resets before it has `x + (r·state)·kernel`, a second product.

use std::ops::Range;

use super::{GradientKey, Reverse, filled};
use crate::ops::{
    Kernel, Numbers, Reads, Span, Step, Tape, Value, cast, concatenate, dense_by_group, gather, in_order, map, part,
    permute, two, with,
};
use crate::plan::{
    BinaryFunction, Operand, Outside, Problem, RecurrentFunction, RecurrentGradientProblem, RecurrentProblem,
};
use crate::{Activation, DType, Result};

/// A product of states with the recurrent kernel, on the tape.
struct Product {
    steps: Range<usize>,
    value: Value,
    gradient: Value,
}

/// The gates `from` up to `to` of `value`, `[batch, times, gates, units]`.
fn gates(tape: &mut Tape, from: usize, to: usize, value: Value) -> Result<Value> {
    part(tape, 2, from, to - from, value)
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
        let of_sequence = step.value(Operand::OfSequence);
        let first = step.value(Operand::States);
        let whole = [batch, times, units].map(Span::whole);
        let before = match first {
            None => gather(self.tape, &[whole[0], Span::shifted(times, 1), whole[2]], Outside::ZERO, states)?,
            Some(first) => {
                let first = part(self.tape, 1, 0, units, first)?;
                let first = self.tape.reshape(first, [batch, 1, units])?;
                let later = part(self.tape, 1, 0, times - 1, states)?;
                concatenate(self.tape, 1, &[first, later])?
            }
        };
        let factors = match of_sequence.filter(|_| problem.dropped) {
            None => None,
            Some(of_sequence) => {
                let mask = if problem.masked { times } else { 0 };
                let factors = part(self.tape, 1, mask, values, of_sequence)?;
                Some(self.tape.reshape(factors, [batch, 1, gate_count, units])?)
            }
        };

        let product = |tape: &mut Tape, states: Value| -> Result<(Range<usize>, Value)> {
            let (groups, states) = match factors {
                None => (1, states),
                Some(factors) => {
                    let each = tape.reshape(states, [batch, times, 1, units])?;
                    let each = two(tape, BinaryFunction::Multiply, each, factors)?;
                    (gate_count, tape.reshape(each, [batch, times, values])?)
                }
            };
            let first = tape.steps.len();
            let value = dense_by_group(tape, groups, values, Activation::Linear, states, kernel, bias)?;
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
        let mut reads = Reads::of(x)
            .value(Operand::Other, read)
            .value(Operand::Before, before)
            .constant(Operand::Kernel, &transposed)
            .value(Operand::Gradient, gradient);
        if let Some(of_sequence) = of_sequence {
            reads = reads.value(Operand::OfSequence, of_sequence);
        }
        if let Some(first) = first {
            reads = reads.value(Operand::States, first);
        }
        if let Some(cell) = step.written().nth(1) {
            let gradient = match self.of_value(cell) {
                Some(gradient) => cast(self.tape, DType::F32, None, gradient)?,
                None => filled(self.tape, [batch, units], DType::F32, 0.0)?,
            };
            reads = reads.value(Operand::CellGradient, gradient);
        }
        let made = self.tape.uninitialized(four.into(), dtype)?;
        let mut backward = Step::new(self.tape.place.clone(), Problem::RecurrentGradient(of), reads, made);
        let kept = [of.kept() as usize, batch, units];
        let kept = problem.begins.then(|| self.tape.uninitialized(kept.into(), DType::F32)).transpose()?;
        if let Some(kept) = kept {
            backward = backward.and_writes(Operand::Cell, kept);
        }
        self.tape.steps.push(backward);

        if self.wants(step, Operand::Kernel) || self.wants(step, Operand::Bias) {
            let products = match (reset, of_reset) {
                (Some(_), Some((steps_of_reset, of_reset))) => {
                    // The first product made all gates but the last, the second the last.
                    let [first, second] = [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(|share| {
                        let share = share.iter().flat_map(|&one| std::iter::repeat_n(one, units)).collect();
                        Kernel::of_values([gate_count, units], share, Numbers { dtype, rounding: None })
                    });
                    let mut share = |share| with(self.tape, BinaryFunction::Multiply, made, share);
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
                self.add(GradientKey::Storage(self.tape.storage(value)), gradient)?;
                self.walk(steps)?;
            }
        }
        if let Some(kept) = kept.filter(|_| self.wants(step, Operand::States)) {
            let carried = of.carried() as usize;
            let made = part(self.tape, 0, of.cells() as usize, carried, kept)?;
            let made = permute(self.tape, &[1, 0, 2], made)?;
            let made = self.tape.reshape(made, [batch, carried * units])?;
            let made = cast(self.tape, dtype, None, made)?;
            self.give(step, Operand::States, made)?;
        }
        if self.wants(step, Operand::Input) {
            let made = in_order(self.tape, backwards, made)?;
            self.give(step, Operand::Input, made)?;
        }
        Ok(())
    }
}
