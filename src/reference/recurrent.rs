//! Recurrent layers, time by time and value by value.

use super::activation::activate;
use super::layer::named;
use super::tolerance::accumulated;
use super::{Array, Estimate};
use crate::Activation;
use crate::layers::{Cell, Recurrent};

/// The states of a layer that begins with `begin`, or with zeros, or the last of them; times of a `mask` of 0 are skipped. Errors of one time pass through the gates to the next: each is bounded by a slope
/// of 1, so that what all times add is allowed.
pub(super) fn states(
    layer: &Recurrent,
    input: &Array,
    kernel: &Array,
    recurrent: &Array,
    bias: Option<&Array>,
    begin: &[Array],
    mask: Option<&Array>,
) -> Estimate {
    let [batch, times, channels] = [input.shape[0], input.shape[1], input.shape[2]];
    let units = layer.units as usize;
    let values = layer.cell.gates() * units;
    let bias_of =
        |row: usize, at: usize| bias.map_or(0.0, |bias| bias.data.get(row * values + at).copied().unwrap_or(0.0));
    let of = |activation: &Activation, x: f64| {
        let (name, parameters) = named(activation);
        activate(name, &parameters, &Array::new([1], [x])).data[0]
    };
    let act = |x: f64| of(&layer.activation, x);
    let gate = |x: f64| of(&layer.recurrent_activation, x);
    let mut all = Vec::with_capacity(batch * times * units);
    let mut magnitude: f64 = begin.iter().flat_map(|first| &first.data).fold(1.0, |most, value| most.max(value.abs()));
    let (mut last_h, mut last_c) = (Vec::new(), Vec::new());
    for b in 0..batch {
        let first = |state: usize| match begin.get(state) {
            Some(first) => first.data[b * units..(b + 1) * units].to_vec(),
            None => vec![0.0; units],
        };
        let (mut h, mut c) = (first(0), first(1));
        for step in 0..times {
            let t = if layer.go_backwards { times - 1 - step } else { step };
            let x = |at: usize| -> f64 {
                (0..channels)
                    .map(|i| input.data[(b * times + t) * channels + i] * kernel.data[i * values + at])
                    .sum::<f64>()
                    + bias_of(0, at)
            };
            let of_state = |h: &[f64], at: usize| -> f64 {
                h.iter().enumerate().map(|(k, h)| h * recurrent.data[k * values + at]).sum()
            };
            if mask.is_some_and(|mask| mask.data[b * times + t] == 0.0) {
                let silent = layer.zero_output_for_mask;
                all.extend(h.iter().map(|h| if silent { 0.0 } else { *h }));
                continue;
            }
            let before = h.clone();
            let u = |gate: usize, j: usize| gate * units + j;
            let next: Vec<f64> = (0..units)
                .map(|j| match layer.cell {
                    Cell::Simple => act(x(j) + of_state(&before, j)),
                    Cell::Lstm => {
                        let sum = |g: usize| x(u(g, j)) + of_state(&before, u(g, j));
                        c[j] = gate(sum(1)) * c[j] + gate(sum(0)) * act(sum(2));
                        gate(sum(3)) * act(c[j])
                    }
                    Cell::Gru { reset_after } => {
                        let sum = |g: usize| {
                            let own = if reset_after { bias_of(1, u(g, j)) } else { 0.0 };
                            x(u(g, j)) + of_state(&before, u(g, j)) + own
                        };
                        let (z, r) = (gate(sum(0)), gate(sum(1)));
                        let candidate = if reset_after {
                            act(x(u(2, j)) + r * (of_state(&before, u(2, j)) + bias_of(1, u(2, j))))
                        } else {
                            let reset: Vec<f64> =
                                (0..units).map(|k| gate(x(u(1, k)) + of_state(&before, u(1, k))) * before[k]).collect();
                            act(x(u(2, j)) + of_state(&reset, u(2, j)))
                        };
                        z * before[j] + (1.0 - z) * candidate
                    }
                })
                .collect();
            h = next;
            magnitude = h.iter().chain(&c).fold(magnitude, |most, value| most.max(value.abs()));
            all.extend_from_slice(&h);
        }
        last_h.extend(h);
        last_c.extend(c);
    }
    let largest = |array: &Array| array.data.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    let of_sums = channels as f64 * largest(input) * largest(kernel) + units as f64 * magnitude * largest(recurrent);
    let each = accumulated(channels + units, of_sums) + 8e-6;
    let growth = 1.0 + (units as f64 * largest(recurrent)).min(4.0);
    let bound = each * growth * times as f64;
    let sequence = Array::new([batch, times, units], all);
    let single = !layer.return_sequences;
    let output = if single { sequence.slice(1, times - 1, 1) } else { sequence };
    let exact = match (layer.return_state, layer.cell) {
        (false, _) if single => output.reshaped([batch, units]),
        (false, _) => output,
        (true, cell) => {
            let states = [last_h, last_c].map(|state| Array::new([batch, 1, units], state));
            let states = states.into_iter().take(cell.states());
            Array::joined(1, &[output].into_iter().chain(states).collect::<Vec<_>>())
        }
    };
    Estimate { bound: exact.map(|_| bound), exact }
}
