//! ONNX's LSTM, GRU and RNN, as Keras's layers.
//!
//! ONNX counts times first, keeps both directions in one tensor, and has its gates in another order than Keras.

use std::sync::Arc;

use super::onnx_fold::KnownTensor;
use super::onnx_layers::{Apply, Outcome, Term, at, units_of};
use super::onnx_nodes::{Operator, row};
use crate::layers::{Cell, Extent, Recurrent};
use crate::model::Port;
use crate::{Activation, HostTensor};

const RECURRENT: &[&str] = &[
    "activation_alpha",
    "activation_beta",
    "activations",
    "clip",
    "direction",
    "hidden_size",
    "input_forget",
    "layout",
    "linear_before_reset",
    "output_sequence",
];

pub(super) const OPERATORS: &[Operator] = &[
    row("GRU", RECURRENT, recurrent).takes(6, 2),
    row("LSTM", RECURRENT, recurrent).takes(8, 3),
    row("RNN", RECURRENT, recurrent).takes(6, 2),
];

fn recurrent(a: &mut Apply) -> Outcome<Vec<Term>> {
    let cell = match a.node.op_type.as_str() {
        "LSTM" => Cell::Lstm,
        "GRU" => Cell::Gru { reset_after: a.node.int("linear_before_reset", 0) != 0 },
        _ => Cell::Simple,
    };
    if a.node.attribute("clip").is_some() {
        return Err(at("clip", "gates are not clipped"));
    }
    if a.node.int("input_forget", 0) != 0 {
        return Err(at("input_forget", "input and forget gates are not coupled"));
    }
    if a.is_there(4) {
        return Err("sequences of several lengths are not computed; leave out its input sequence_lens".into());
    }
    for (index, state) in [(5, "initial state"), (6, "initial cell state")] {
        let zero = a.constant(index)?.map(|state| state.to_floats(a.meter())).transpose()?;
        if zero.is_some_and(|values| values.iter().any(|&value| value != 0.0)) {
            return Err(format!("its {state} must be zeros: a sequence begins from nothing").into());
        }
    }
    if cell == Cell::Lstm && a.is_there(7) {
        return Err("peepholes are not computed".into());
    }
    let directions: &[bool] = match a.node.text("direction", "forward") {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return Err(at("direction", format!("{other:?} is not known"))),
    };
    let (kernel, recurrent) = (a.required(1)?.clone(), a.required(2)?.clone());
    let bias = a.constant(3)?.cloned();
    let (&[count, rows, channels], &[_, _, units]) = (&kernel.shape[..], &recurrent.shape[..]) else {
        return Err("its weights must have 3 axes".into());
    };
    let gates = cell.gates();
    let fits = count == directions.len()
        && rows == gates * units
        && recurrent.shape == [count, rows, units]
        && bias.as_ref().is_none_or(|bias| bias.shape == [count, 2 * rows]);
    if !fits {
        return Err(format!("weights of {:?} and {:?} do not fit together", kernel.shape, recurrent.shape).into());
    }
    let size = a.node.int("hidden_size", units as i64);
    if size != units as i64 {
        return Err(at("hidden_size", format!("it says {size}, and the weights are of {units}")));
    }
    let mut x = a.value(0)?;
    let batch_first = a.node.int("layout", 0) != 0;
    if !batch_first {
        x = a.transposed(x, &[1, 0, 2])?;
    }
    let functions = a.functions(cell, directions.len())?;
    let mut made = Vec::new();
    for (direction, &backwards) in directions.iter().enumerate() {
        let weights = a.cell_weights(cell, direction, [&kernel, &recurrent], bias.as_ref(), [rows, channels, units])?;
        let [gate, activation] = functions[direction];
        let layer = Recurrent::new(cell, units_of(units)?)
            .activation(activation)
            .recurrent_activation(gate)
            .use_bias(bias.is_some())
            .return_sequences(true)
            .go_backwards(backwards);
        let states = a.weighted(layer, weights, x)?;
        // Keras gives the states in the order in which they were made, ONNX in that of the times.
        let times = if backwards { a.sliced(states, &[(1, -1, i64::MIN, -1)])? } else { states };
        made.push((times, a.last_of(times, backwards)?));
    }
    let mut sequences = Vec::new();
    let mut lasts = Vec::new();
    for (times, last) in made {
        // [batch, times, units] to [times, 1, batch, units], or [batch, times, 1, units].
        let ordered = if batch_first { times } else { a.transposed(times, &[1, 0, 2])? };
        let place = if batch_first { 2 } else { 1 };
        sequences.push(a.with_axis(ordered, place)?);
        let last = if batch_first { last } else { a.transposed(last, &[1, 0, 2])? };
        lasts.push(last);
    }
    let sequence = a.concatenated(&sequences, if batch_first { 2 } else { 1 })?;
    let last = a.concatenated(&lasts, usize::from(batch_first))?;
    Ok(vec![Term::Made(sequence), Term::Made(last)])
}

impl Apply<'_> {
    /// The last state `[batch, 1, units]` of `[batch, times, units]`.
    fn last_of(&mut self, times: Port, backwards: bool) -> Outcome<Port> {
        if backwards { self.sliced(times, &[(1, 0, 1, 1)]) } else { self.sliced(times, &[(1, -1, i64::MAX, 1)]) }
    }

    fn with_axis(&mut self, x: Port, place: usize) -> Outcome<Port> {
        let rank = self.dims(x).len();
        let before = (0..place).map(Extent::Axis);
        self.view(x, before.chain([Extent::Of(1)]).chain((place..rank).map(Extent::Axis)).collect())
    }

    /// The functions of each direction: of the gates, and of the state.
    fn functions(&self, cell: Cell, directions: usize) -> Outcome<Vec<[Activation; 2]>> {
        for name in ["activation_alpha", "activation_beta"] {
            if self.node.attribute(name).is_some_and(|attribute| !attribute.floats.is_empty()) {
                return Err(at(name, "functions of gates with parameters of their own are not supported"));
            }
        }
        let plain = match cell {
            Cell::Simple => vec!["Tanh"],
            Cell::Lstm => vec!["Sigmoid", "Tanh", "Tanh"],
            Cell::Gru { .. } => vec!["Sigmoid", "Tanh"],
        };
        let given = self.node.attribute("activations").map_or(Vec::new(), |attribute| attribute.texts());
        let given = if given.is_empty() { plain.repeat(directions) } else { given };
        if given.len() != plain.len() * directions {
            return Err(at("activations", format!("there must be {} for each direction", plain.len())));
        }
        let function = |name: &str| {
            Ok(match name.to_lowercase().as_str() {
                "tanh" => Activation::Tanh,
                "sigmoid" => Activation::Sigmoid,
                "relu" => Activation::RELU,
                "softsign" => Activation::Softsign,
                "softplus" => Activation::Softplus,
                "hardsigmoid" => Activation::HardSigmoid2,
                _ => return Err(at("activations", format!("{name:?} is not supported"))),
            })
        };
        let of_direction = |names: &[&str]| {
            let functions = names.iter().map(|name| function(name)).collect::<Outcome<Vec<_>>>()?;
            match functions[..] {
                [state] => Ok([Activation::Sigmoid, state]),
                [gate, state] => Ok([gate, state]),
                [gate, state, out] if state == out => Ok([gate, state]),
                _ => Err(at("activations", "cell and output must have one function")),
            }
        };
        given.chunks(plain.len()).map(of_direction).collect()
    }

    /// The weights of one direction in Keras's order: kernel, recurrent kernel, bias.
    fn cell_weights(
        &mut self,
        cell: Cell,
        direction: usize,
        kernels: [&KnownTensor; 2],
        bias: Option<&KnownTensor>,
        [rows, channels, units]: [usize; 3],
    ) -> Outcome<Vec<Arc<HostTensor>>> {
        // ONNX has input, output, forget, cell; Keras input, forget, cell, output. GRU's update, reset, state are the same.
        let order: &'static [usize] = match cell {
            Cell::Lstm => &[0, 2, 3, 1],
            Cell::Gru { .. } => &[0, 1, 2],
            Cell::Simple => &[0],
        };
        // Row `gate · units + unit` becomes a column.
        let source = move |column: usize| order[column / units] * units + column % units;
        let mut weights = Vec::with_capacity(3);
        for (kernel, inputs) in kernels.into_iter().zip([channels, units]) {
            let form = format!("gates of direction {direction}, {cell:?}");
            weights.push(self.weight(kernel, &form, |kernel, meter| {
                let host = kernel.to_host(meter)?;
                meter.array(host.values.len() as u64, size_of::<f32>()).map_err(|error| error.to_string())?;
                let begin = direction * rows * inputs;
                let place = |input: usize, column: usize| begin + source(column) * inputs + input;
                let values = (0..inputs).flat_map(|input| (0..rows).map(move |column| place(input, column)));
                let values = values.map(|place| host.values[place]).collect();
                Ok(HostTensor { shape: [inputs, rows].into(), values })
            })?);
        }
        if let Some(bias) = bias {
            let form = format!("bias of direction {direction}, {cell:?}");
            weights.push(self.weight(bias, &form, |bias, meter| {
                let host = bias.to_host(meter)?;
                let begin = direction * 2 * rows;
                let of = |half: usize| (0..rows).map(move |column| begin + half * rows + source(column));
                let [input, state]: [Vec<f32>; 2] =
                    [0, 1].map(|half| of(half).map(|place| host.values[place]).collect());
                if cell == (Cell::Gru { reset_after: true }) {
                    return Ok(HostTensor { shape: [2, rows].into(), values: [input, state].concat() });
                }
                let values = input.iter().zip(&state).map(|(input, state)| input + state).collect();
                Ok(HostTensor { shape: [rows].into(), values })
            })?);
        }
        Ok(weights)
    }
}
