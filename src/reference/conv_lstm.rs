//! ConvLSTM, time by time and gate by gate.

use super::activation::activate;
use super::convolution::{ReferencePadding, ReferenceWindow, conv};
use super::layer::named;
use super::tolerance::accumulated;
use super::{Array, Estimate};
use crate::Activation;
use crate::layers::ConvLSTM;

/// The weights of a layer, and what its calls give it.
pub(super) struct ConvLstm<'a, const R: usize> {
    pub(super) layer: &'a ConvLSTM<R>,
    /// Of the convolution of the input.
    pub(super) window: ReferenceWindow<R>,
    pub(super) kernel: Array,
    pub(super) recurrent: Array,
    pub(super) bias: Option<Array>,
    /// The states to begin with, none for zeros.
    pub(super) begin: &'a [Array],
    /// The times that count.
    pub(super) mask: Option<&'a Array>,
}

impl<const R: usize> ConvLstm<'_, R> {
    /// The states, or the last of them, of the sequence `input`. Errors of one time pass through the gates to the next, as in other
    /// recurrent layers.
    pub(super) fn states(&self, input: &Array) -> Estimate {
        let Self { layer, window, kernel, recurrent, bias, begin, mask } = self;
        let (batch, times, filters) = (input.shape[0], input.shape[1], layer.filters as usize);
        let of = |activation: &Activation, x: &Array| {
            let (name, parameters) = named(activation);
            activate(name, &parameters, x)
        };
        let same =
            ReferenceWindow { padding: ReferencePadding::Same, strides: [1; R], dilation_rate: [1; R], ..*window };
        let gate_of = |of: &Array, gate: usize| of.slice(of.shape.len() - 1, gate * filters, filters);
        let image = |time: usize| {
            let shape = [&input.shape[..1], &input.shape[2..]].concat();
            input.slice(1, time, 1).reshaped(shape)
        };
        let of_image = |time: usize, gate: usize| {
            let bias = bias.as_ref().map(|bias| gate_of(bias, gate));
            conv(&image(time), &gate_of(kernel, gate), bias.as_ref(), 1, window).exact
        };
        let zeros = of_image(0, 0).map(|_| 0.0);
        let [mut h, mut c] = match begin {
            [h, c] => [h.clone(), c.clone()],
            _ => [zeros.clone(), zeros],
        };
        let largest = |array: &Array| array.data.iter().fold(0.0f64, |most, x| most.max(x.abs()));
        let mut magnitude = largest(&h).max(largest(&c)).max(1.0);
        let mut all = Vec::with_capacity(times);
        for step in 0..times {
            let time = if layer.go_backwards { times - 1 - step } else { step };
            let sum = |gate: usize| {
                let of_state = conv(&h, &gate_of(recurrent, gate), None, 1, &same).exact;
                of_image(time, gate).zip(&of_state, |x, h| x + h)
            };
            let gate = |number: usize| of(&layer.recurrent_activation, &sum(number));
            let candidate = of(&layer.arguments.activation, &sum(2));
            let kept = gate(1).zip(&c, |f, c| f * c);
            let cell = gate(0).zip(&candidate, |i, candidate| i * candidate).zip(&kept, |new, old| new + old);
            let output = gate(3).zip(&of(&layer.arguments.activation, &cell), |o, c| o * c);
            magnitude = magnitude.max(largest(&output)).max(largest(&cell));
            let counts = |place: usize| {
                let sample = place / (output.data.len() / batch);
                mask.is_none_or(|mask| mask.data[sample * times + time] != 0.0)
            };
            let chosen = |new: &Array, old: &Array| {
                let data =
                    (0..new.data.len()).map(|place| if counts(place) { new.data[place] } else { old.data[place] });
                Array::new(new.shape.clone(), data.collect::<Vec<f64>>())
            };
            let shown =
                if layer.zero_output_for_mask { chosen(&output, &output.map(|_| 0.0)) } else { chosen(&output, &h) };
            (h, c) = (chosen(&output, &h), chosen(&cell, &c));
            all.push(shown);
        }
        let taps: usize = layer.arguments.window.kernel_size.iter().map(|&taps| taps as usize).product();
        let (of_input, of_state) = (kernel.data.len() / (4 * filters), taps * filters);
        let of_sums = of_input as f64 * largest(input) * largest(kernel)
            + of_state as f64 * magnitude * largest(recurrent)
            + bias.as_ref().map_or(0.0, largest);
        let each = accumulated(of_input + of_state, of_sums) + 8e-6;
        let bound = each * (1.0 + (of_state as f64 * largest(recurrent)).min(4.0)) * times as f64;
        let one_time = |state: &Array| state.reshaped([&state.shape[..1], &[1], &state.shape[1..]].concat());
        let mut parts: Vec<Array> = match layer.return_sequences {
            true => all.iter().map(one_time).collect(),
            false => all.last().map(one_time).into_iter().collect(),
        };
        if layer.return_state {
            parts.extend([one_time(&h), one_time(&c)]);
        }
        let single = !layer.return_sequences && !layer.return_state;
        let exact = if single { parts[0].reshaped(h.shape) } else { Array::joined(1, &parts) };
        Estimate { bound: exact.map(|_| bound), exact }
    }
}
