//! LSTM, GRU and SimpleRNN.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::arguments::{common_setters, positive, seed_setter, share, weight_setters};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common, weights};
use super::describe::{Declared, Describe, States, known_extent};
use super::mask::{column, kept};
use super::random::{drop_factors, dropped};
use super::{Common, Initializer, Regularizer, Seed, WeightOptions};
use crate::ops::{self, Beside, Kernel, Recurrence, Span, Tape, Value};
use crate::plan::{Outside, RecurrentFunction};
use crate::{Activation, Error, PartialShape, Result, Settings};

/// The cell of a [`Recurrent`] layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    /// Keras's LSTM.
    Lstm,
    /// Keras's GRU.
    Gru {
        /// Whether the reset gate is applied behind the product of the state, which then has a bias of its own.
        reset_after: bool,
    },
    /// Keras's SimpleRNN.
    Simple,
}

impl Cell {
    const fn function(self) -> RecurrentFunction {
        match self {
            Self::Lstm => RecurrentFunction::Lstm,
            Self::Gru { reset_after: true } => RecurrentFunction::GruResetAfter,
            Self::Gru { reset_after: false } => RecurrentFunction::GruResetBefore,
            Self::Simple => RecurrentFunction::Simple,
        }
    }

    /// States that it keeps from one time to the next: an LSTM its output and its cell, the others their output.
    pub const fn states(self) -> usize {
        match self {
            Self::Lstm => 2,
            Self::Gru { .. } | Self::Simple => 1,
        }
    }

    /// Gates, side by side in the kernels.
    pub const fn gates(self) -> usize {
        self.function().gates() as usize
    }
}

/// A recurrent layer: `LSTM`, `GRU` or `SimpleRNN` of Keras. The state of a sequence stays in one kernel for as many times as a
/// launch may make.
///
/// # Shapes
/// Input `[batch, times, channels]`, and the states to begin with, `[batch, units]` each, of an LSTM two, where these are not zeros;
/// output `[batch, units]`, the last state, or all of them, `[batch, times, units]`. With `return_state` the last states stand behind,
/// each as one time more, and a single output is one time, too. Times that the input's mask skips leave the states as they are. Weights
/// `kernel` `[channels, gates · units]`, `recurrent_kernel` `[units, gates · units]` and `bias` `[gates · units]`, of a GRU
/// that resets after the product `[2, gates · units]`.
///
/// ```
/// use wgpu_conv::layers::Recurrent;
///
/// let lstm = Recurrent::lstm(64).return_sequences(true);
/// assert_eq!(lstm.output_shape([None, Some(10), Some(3)])?.to_string(), "(None, 10, 64)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrent {
    /// Name, trainability and types.
    pub common: Common,
    /// Which it is.
    pub cell: Cell,
    /// Values of the state.
    pub units: u32,
    /// What makes a state; tanh by default.
    pub activation: Activation,
    /// What makes a gate; sigmoid by default.
    pub recurrent_activation: Activation,
    /// Whether there is a bias; true by default.
    pub use_bias: bool,
    /// Whether the bias of an LSTM's forget gate starts as ones; true by default.
    pub unit_forget_bias: bool,
    /// The kernel's initializer, regularizer and constraint.
    pub kernel: WeightOptions,
    /// The recurrent kernel's initializer, regularizer and constraint.
    pub recurrent: WeightOptions,
    /// The bias's initializer, regularizer and constraint.
    pub bias: WeightOptions,
    /// What training adds to the loss for the output.
    pub activity_regularizer: Option<Regularizer>,
    /// Whether the output is every state; false by default.
    pub return_sequences: bool,
    /// Whether the last time comes first; false by default.
    pub go_backwards: bool,
    /// The share of the channels of each sequence that training drops, the same at all times, 0 to 1; 0 by default. At
    /// inference it does nothing.
    pub dropout: f64,
    /// The share of the state of each sequence that training drops where it meets the recurrent kernel, the same at all times, 0 to 1;
    /// 0 by default. Each gate has a choice of its own, and then also one of channels. At inference it does nothing.
    pub recurrent_dropout: f64,
    /// Where the choice of channels starts; none by default.
    pub seed: Seed,
    /// Whether the states stand behind the output; false by default.
    pub return_state: bool,
    /// Whether the output of times that are masked away is 0, and not the state before; false by default.
    pub zero_output_for_mask: bool,
}

common_setters!(Recurrent, common);
seed_setter!(Recurrent, "the choice of channels starts");
weight_setters!(Recurrent {
    "kernel" at kernel: kernel_initializer = "glorot_uniform", kernel_regularizer, kernel_constraint;
    "recurrent kernel" at recurrent: recurrent_initializer = "orthogonal", recurrent_regularizer, recurrent_constraint;
    "bias" at bias: bias_initializer = "zeros", bias_regularizer, bias_constraint;
});

pub(super) fn orthogonal() -> Initializer {
    Initializer::from_name("orthogonal").unwrap_or(Initializer::Zeros)
}

/// `initializer` for the bias of four gates of `units` values each, of which the second, the forget gate's, starts as ones.
pub(super) fn with_forget_gate(initializer: Initializer, units: usize) -> Initializer {
    Initializer::custom(move |_, dtype| {
        let values = |count: usize| initializer.values(&[count].into(), dtype);
        Ok([values(units)?, vec![1.0; units], values(2 * units)?].concat())
    })
}

/// The mask that `input` carries.
///
/// # Errors
/// [`Error::Invalid`] where it is not one of times.
pub(super) fn mask_of_times(tape: &Tape, input: Value) -> Result<Option<Value>> {
    let Some(mask) = tape.mask(input) else { return Ok(None) };
    if tape.shape(mask).dims() != &tape.shape(input).dims()[..2] {
        let received = format!("mask shape={}, input shape={}", tape.shape(mask), tape.shape(input));
        return Err(Error::invalid("mask", "the mask of sequences must be [batch, times]", received));
    }
    Ok(Some(mask))
}

impl Recurrent {
    /// A layer of `units` values of state.
    pub fn new(cell: Cell, units: u32) -> Self {
        Self {
            common: Common::new(&Settings::current()),
            cell,
            units,
            activation: Activation::Tanh,
            recurrent_activation: Activation::Sigmoid,
            use_bias: true,
            unit_forget_bias: true,
            kernel: WeightOptions::new(Initializer::glorot_uniform()),
            recurrent: WeightOptions::new(orthogonal()),
            bias: WeightOptions::new(Initializer::Zeros),
            activity_regularizer: None,
            return_sequences: false,
            go_backwards: false,
            dropout: 0.0,
            recurrent_dropout: 0.0,
            seed: Seed::default(),
            return_state: false,
            zero_output_for_mask: false,
        }
    }

    /// Keras's `LSTM`.
    pub fn lstm(units: u32) -> Self {
        Self::new(Cell::Lstm, units)
    }

    /// Keras's `GRU`.
    pub fn gru(units: u32) -> Self {
        Self::new(Cell::Gru { reset_after: true }, units)
    }

    /// Keras's `SimpleRNN`.
    pub fn simple(units: u32) -> Self {
        Self::new(Cell::Simple, units)
    }

    /// What makes a state; tanh by default.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// What makes a gate; sigmoid by default.
    pub fn recurrent_activation(mut self, activation: Activation) -> Self {
        self.recurrent_activation = activation;
        self
    }

    /// Whether there is a bias; true by default.
    pub fn use_bias(mut self, use_bias: bool) -> Self {
        self.use_bias = use_bias;
        self
    }

    /// Whether the output is every state; false by default.
    pub fn return_sequences(mut self, return_sequences: bool) -> Self {
        self.return_sequences = return_sequences;
        self
    }

    /// Whether the last time comes first; false by default.
    pub fn go_backwards(mut self, go_backwards: bool) -> Self {
        self.go_backwards = go_backwards;
        self
    }

    /// The share of the channels of each sequence that training drops; 0 by default.
    pub fn dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// The share of the state that training drops; 0 by default.
    pub fn recurrent_dropout(mut self, recurrent_dropout: f64) -> Self {
        self.recurrent_dropout = recurrent_dropout;
        self
    }

    /// Whether the states stand behind the output; false by default.
    pub fn return_state(mut self, return_state: bool) -> Self {
        self.return_state = return_state;
        self
    }

    /// Whether the output of times that are masked away is 0, and not the state before; false by default.
    pub fn zero_output_for_mask(mut self, zero_output_for_mask: bool) -> Self {
        self.zero_output_for_mask = zero_output_for_mask;
        self
    }

    /// The output shape for `input`, whatever state it begins with; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        let [batch, times, _] = input.dims()[..] else {
            let received = format!("input shape={input}");
            return Err(Error::invalid("input", "the input must have 3 axes: batch, times, channels", received));
        };
        known_extent(&input, -1)?;
        let units = Some(self.units as usize);
        Ok(match (self.return_sequences, self.return_state) {
            (false, false) => [batch, units].into(),
            (sequences, states) => {
                let made = if sequences { times } else { Some(1) };
                let states = if states { self.cell.states() } else { 0 };
                [batch, made.map(|made| made + states), units].into()
            }
        })
    }
}

impl Describe for Recurrent {
    fn class_name(&self) -> Option<&'static str> {
        Some(match self.cell {
            Cell::Lstm => "LSTM",
            Cell::Gru { .. } => "GRU",
            Cell::Simple => "SimpleRNN",
        })
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        self.activation.validate()?;
        self.recurrent_activation.validate()?;
        let weights = [&self.kernel, &self.recurrent, &self.bias];
        WeightOptions::validate_all(&weights, self.activity_regularizer.as_ref())?;
        positive("units", &[self.units])?;
        for (argument, rate) in [("dropout", self.dropout), ("recurrent_dropout", self.recurrent_dropout)] {
            share(argument, rate)?;
        }
        Ok(())
    }

    fn inputs(&self) -> RangeInclusive<usize> {
        1..=1 + self.cell.states()
    }

    fn takes_list(&self) -> bool {
        false
    }

    fn states(&self) -> Option<States> {
        Some(States { count: self.cell.states(), sequences: self.return_sequences, returned: self.return_state })
    }

    fn mask(&self, tape: &mut Tape, inputs: &[Value], _output: Value) -> Result<Option<Value>> {
        // Keras's, whatever the order of times.
        Ok(tape.mask(inputs[0]).filter(|_| self.return_sequences))
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        let output = self.output_shape(&inputs[0])?;
        let states = &inputs[1..];
        let fits = |state: &PartialShape| {
            state.rank() == 2 && state.dims()[1].is_none_or(|units| units == self.units as usize)
        };
        if !states.is_empty() && states.len() != self.cell.states() || !states.iter().all(fits) {
            let shapes: Vec<_> = states.iter().map(ToString::to_string).collect();
            let rule =
                format!("it must begin with {} state(s) of [batch, {}], or none", self.cell.states(), self.units);
            return Err(Error::invalid("initial_state", rule, shapes.join(", ")));
        }
        Ok(output)
    }

    fn fixed_axes(&self, _rank: usize) -> Vec<i32> {
        vec![-1]
    }

    fn weights_of(&self) -> &'static str {
        "cell"
    }

    fn weights(&self, inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        let (channels, units) = (known_extent(&inputs[0], -1)?, self.units as usize);
        let (values, common) = (self.cell.gates() * units, &self.common);
        let bias = match self.cell {
            Cell::Gru { reset_after: true } => vec![2, values],
            _ => vec![values],
        };
        let mut weights = vec![
            Declared::new("kernel", [channels, values], common, &self.kernel, Initializer::glorot_uniform()),
            Declared::new("recurrent_kernel", [units, values], common, &self.recurrent, orthogonal()),
        ];
        if self.use_bias {
            let mut bias = Declared::new("bias", bias, common, &self.bias, Initializer::Zeros);
            if self.cell == Cell::Lstm && self.unit_forget_bias {
                bias.initializer = with_forget_gate(bias.initializer, units);
            }
            weights.push(bias);
        }
        Ok(weights)
    }

    fn train(
        &self,
        tape: &mut Tape,
        inputs: &[Value],
        _weights: &[Arc<Kernel>],
        operands: &[Arc<Kernel>],
    ) -> Result<Value> {
        // Keras's LSTM and GRU pass over a rate of 1.
        let rate = |rate: f64| if rate == 1.0 && self.cell != Cell::Simple { 0.0 } else { rate };
        // With a share of the state dropped, each of their gates has its own channels and values.
        let gates = if self.recurrent_dropout > 0.0 { self.cell.gates() } else { 1 };
        let [batch, times, channels] = tape.shape(inputs[0]).dims()[..] else {
            return self.lower(tape, inputs, operands);
        };
        let input = if rate(self.dropout) > 0.0 {
            let input = tape.reshape(inputs[0], [batch, times, 1, channels])?;
            let input = dropped(tape, self.dropout, &self.seed, &[batch, 1, gates, channels], input)?;
            tape.reshape(input, [batch, times, gates * channels])?
        } else {
            inputs[0]
        };
        let groups = if input == inputs[0] { 1 } else { gates };
        let products = self.products(tape, groups, input, operands)?;
        let factors = if rate(self.recurrent_dropout) > 0.0 {
            let shape = [batch, self.cell.gates(), self.units as usize];
            Some(drop_factors(tape, self.recurrent_dropout, &self.seed, &shape, tape.dtype(products))?)
        } else {
            None
        };
        self.states(tape, inputs, products, factors, operands)
    }

    /// The products of the input, a dense layer; then the states.
    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let products = self.products(tape, 1, inputs[0], operands)?;
        self.states(tape, inputs, products, None, operands)
    }
}

impl Recurrent {
    /// The bias of the products of the input, and that of the products of the state.
    fn biases(&self, operands: &[Arc<Kernel>]) -> Result<[Option<Arc<Kernel>>; 2]> {
        Ok(match (self.cell, operands.get(2)) {
            (Cell::Gru { reset_after: true }, Some(bias)) => [Some(bias.row(0)?), Some(bias.row(1)?)],
            (_, bias) => [bias.cloned(), None],
        })
    }

    /// The products of the input with the kernel, of all gates; of `groups` inputs side by side, one for each gate.
    fn products(&self, tape: &mut Tape, groups: usize, input: Value, operands: &[Arc<Kernel>]) -> Result<Value> {
        let [bias, _] = self.biases(operands)?;
        let values = self.cell.gates() * self.units as usize;
        ops::dense_by_group(tape, groups, values, Activation::Linear, input, &operands[0], bias.as_ref())
    }

    /// The output, from the products of the input; `inputs` are those of the layer. States are multiplied by `factors`,
    /// `[batch, gate, unit]`, where they meet the kernel.
    fn states(
        &self,
        tape: &mut Tape,
        inputs: &[Value],
        products: Value,
        factors: Option<Value>,
        operands: &[Arc<Kernel>],
    ) -> Result<Value> {
        let [_, bias] = self.biases(operands)?;
        let recurrence = Recurrence {
            function: self.cell.function(),
            activation: self.activation,
            gate: self.recurrent_activation,
            backwards: self.go_backwards,
        };
        let mask = mask_of_times(tape, inputs[0])?;
        let beside = Beside { mask, states: inputs[1..].to_vec(), factors, last_cell: self.last_cell() };
        let (states, cell) = ops::recurrent(tape, &recurrence, products, &operands[1], bias.as_ref(), &beside)?;
        let [batch, times, units] = tape.shape(states).dims()[..] else { return Ok(states) };
        if times == 0 && (self.return_state || !self.return_sequences) {
            return Err(Error::invalid("input", "a sequence must have a time at least", "none"));
        }
        let last = |tape: &mut Tape, of: Value| {
            let last = Span { start: times as i64 - 1, ..Span::whole(1) };
            ops::gather(tape, &[Span::whole(batch), last, Span::whole(units)], Outside::ZERO, of)
        };
        let outputs = match beside.mask.filter(|_| self.zero_output_for_mask) {
            Some(mask) => {
                let mask = ops::in_order(tape, self.go_backwards, mask)?;
                let mask = column(tape, mask)?;
                kept(tape, states, mask)?
            }
            None => states,
        };
        let output = if self.return_sequences { outputs } else { last(tape, outputs)? };
        if self.return_state {
            let mut parts = vec![output, last(tape, states)?];
            if let Some(cell) = cell {
                parts.push(tape.reshape(cell, [batch, 1, units])?);
            }
            return ops::concatenate(tape, 1, &parts);
        }
        if self.return_sequences { Ok(output) } else { tape.reshape(output, [batch, units]) }
    }

    /// Whether the last state of an LSTM's cell is a part of the output.
    fn last_cell(&self) -> bool {
        self.return_state && self.cell == Cell::Lstm
    }
}

#[cfg(feature = "keras")]
impl Configured for Recurrent {
    const REQUIRED: &'static [&'static str] = &["units"];

    fn template() -> Self {
        Self::lstm(1)
    }

    fn of_class(class: &str, _name: &str) -> Option<Self> {
        match class {
            "LSTM" => Some(Self::lstm(1)),
            "GRU" => Some(Self::gru(1)),
            "SimpleRNN" => Some(Self::simple(1)),
            _ => None,
        }
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        let no = || serde_json::Value::Bool(false);
        common(codec, &mut self.common)?;
        codec.field("return_sequences", &mut self.return_sequences)?;
        codec.field("return_state", &mut self.return_state)?;
        codec.field("go_backwards", &mut self.go_backwards)?;
        codec.fixed(
            "stateful",
            no(),
            "each call begins from zeros, or from the states that it is given (`initial_state`)",
        )?;
        codec.ignored("unroll", no());
        codec.field("zero_output_for_mask", &mut self.zero_output_for_mask)?;
        codec.field("units", &mut self.units)?;
        codec.field("activation", &mut self.activation)?;
        if self.cell != Cell::Simple {
            codec.field("recurrent_activation", &mut self.recurrent_activation)?;
        }
        codec.field("use_bias", &mut self.use_bias)?;
        if self.cell == Cell::Lstm {
            codec.field("unit_forget_bias", &mut self.unit_forget_bias)?;
        }
        let activity = &mut self.activity_regularizer;
        let options = &mut [("kernel", &mut self.kernel), ("recurrent", &mut self.recurrent), ("bias", &mut self.bias)];
        weights(codec, options, |codec| codec.field("activity_regularizer", activity))?;
        codec.field("dropout", &mut self.dropout)?;
        codec.field("recurrent_dropout", &mut self.recurrent_dropout)?;
        if let Cell::Gru { reset_after } = &mut self.cell {
            codec.field("reset_after", reset_after)?;
        }
        if self.cell != Cell::Simple {
            codec.field("seed", &mut self.seed)?;
        }
        // Keras's cells of it have one.
        codec.dropped("seed", |_| true)?;
        // What Keras 2 writes beside: how its loop was compiled.
        codec.dropped("implementation", |_| true)?;
        codec.dropped("time_major", |json| json == &no())
    }
}
