//! ConvLSTM1D, ConvLSTM2D and ConvLSTM3D.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::arguments::{
    ConvArguments, PerAxis, WeightOptions, conv_setters, positive, seed_setter, share, weight_setters,
};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common, weights};
use super::describe::{Declared, Describe, States};
use super::mask::kept;
use super::random::drop_factors;
use super::recurrent::{mask_of_times, orthogonal, with_forget_gate};
use super::{Common, Initializer, Regularizer, Seed, Window};
use crate::ops::{self, Kernel, Tape, Value};
use crate::plan::{BinaryFunction, Elementwise};
use crate::{Activation, DataFormat, Error, Padding, PartialShape, Result, Unary};

/// Gates, side by side in the kernels: input, forget, candidate, output.
const GATES: u32 = 4;

/// The output and the cell.
const STATES: usize = 2;

/// How many times a sequence may have: each is some fourteen launches.
const TIMES: u64 = 4096;

/// An LSTM whose products are convolutions over `R` axes, 1 to 3: of a sequence of images, the state is an image.
///
/// `i, f, o = recurrent_activation(conv(x, kernel) + conv(h, recurrent_kernel) + bias)`,
/// `c' = f·c + i·activation(conv(x, kernel) + conv(h, recurrent_kernel) + bias)`, `h' = o·activation(c')`, each with its own part of the
/// kernels. Strides, dilation and padding are those of the convolution of the input; the state is convolved with strides of 1 and
/// `same` padding.
///
/// The convolution of the input is one launch for all times; each time then takes some fourteen, and a sequence may have 4096.
///
/// # Shapes
/// Input `[batch, times, …axes, channels]`, or `[batch, times, channels, …axes]` with
/// [`ChannelsFirst`](crate::DataFormat::ChannelsFirst), and the two states to begin with where these are not zeros, of the shape
/// that the convolution of an image has; output `[batch, …axes, filters]`, the last state, or all of them,
/// `[batch, times, …axes, filters]`. With `return_state` the last states stand behind, each as one time more, and a single output is
/// one time, too. Times that the input's mask skips leave the states as they are. Weights, in either format: `kernel`
/// `[kernel_size…, channels, 4 · filters]`, `recurrent_kernel` `[kernel_size…, filters, 4 · filters]`, `bias` `[4 · filters]`.
///
/// ```
/// use wgpu_conv::{Padding, layers::ConvLSTM2D};
///
/// let layer = ConvLSTM2D::new(8, 3).padding(Padding::Same).return_sequences(true);
/// assert_eq!(layer.output_shape([None, Some(5), Some(64), Some(64), Some(1)])?.to_string(), "(None, 5, 64, 64, 8)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ConvLSTM<const R: usize> {
    /// The arguments shared by all convolution layers: those of the convolution of the input. The activation makes candidates
    /// and outputs; tanh by default.
    pub arguments: ConvArguments<R>,
    /// Channels of the state.
    pub filters: u32,
    /// What makes a gate; sigmoid by default.
    pub recurrent_activation: Activation,
    /// Whether the bias of the forget gate starts as ones; true by default.
    pub unit_forget_bias: bool,
    /// The kernel's initializer (glorot_uniform by default), regularizer and constraint.
    pub kernel: WeightOptions,
    /// The recurrent kernel's initializer (orthogonal by default), regularizer and constraint.
    pub recurrent: WeightOptions,
    /// Whether the output is every state; false by default.
    pub return_sequences: bool,
    /// Whether the states stand behind the output; false by default.
    pub return_state: bool,
    /// Whether the last time comes first; false by default.
    pub go_backwards: bool,
    /// Whether the output of times that are masked away is 0, and not the state before; false by default.
    pub zero_output_for_mask: bool,
    /// The share of the input that training drops, 0 to 1; 0 by default. What is dropped is chosen for each gate, and is the same
    /// at all times. A rate of 1 drops nothing, as in Keras; at inference none does anything.
    pub dropout: f64,
    /// The share of the state that training drops where it is convolved, 0 to 1; 0 by default. What is dropped is chosen as of the
    /// input.
    pub recurrent_dropout: f64,
    /// Where the choice of what is dropped starts; none by default.
    pub seed: Seed,
}

/// An LSTM of sequences of sequences `[batch, times, steps, channels]`.
pub type ConvLSTM1D = ConvLSTM<1>;

/// An LSTM of sequences of images `[batch, times, height, width, channels]`.
pub type ConvLSTM2D = ConvLSTM<2>;

/// An LSTM of sequences of volumes `[batch, times, depth, height, width, channels]`.
pub type ConvLSTM3D = ConvLSTM<3>;

conv_setters!(ConvLSTM);
seed_setter!(ConvLSTM<R>, "the choice of what is dropped starts");
weight_setters!(ConvLSTM<R> {
    "kernel" at kernel: kernel_initializer = "glorot_uniform", kernel_regularizer, kernel_constraint;
    "recurrent kernel" at recurrent: recurrent_initializer = "orthogonal", recurrent_regularizer, recurrent_constraint;
});

impl<const R: usize> ConvLSTM<R> {
    /// A layer of `filters` channels of state with a window of `kernel_size`: one number for all axes, or one for each.
    pub fn new(filters: u32, kernel_size: impl Into<PerAxis<R>>) -> Self {
        Self {
            arguments: ConvArguments { activation: Activation::Tanh, ..ConvArguments::new(kernel_size.into()) },
            filters,
            recurrent_activation: Activation::Sigmoid,
            unit_forget_bias: true,
            kernel: WeightOptions::new(Initializer::glorot_uniform()),
            recurrent: WeightOptions::new(orthogonal()),
            return_sequences: false,
            return_state: false,
            go_backwards: false,
            zero_output_for_mask: false,
            dropout: 0.0,
            recurrent_dropout: 0.0,
            seed: Seed::default(),
        }
    }

    /// What makes a gate; sigmoid by default.
    pub fn recurrent_activation(mut self, activation: Activation) -> Self {
        self.recurrent_activation = activation;
        self
    }

    /// Whether the bias of the forget gate starts as ones; true by default.
    pub fn unit_forget_bias(mut self, unit_forget_bias: bool) -> Self {
        self.unit_forget_bias = unit_forget_bias;
        self
    }

    /// Whether the output is every state; false by default.
    pub fn return_sequences(mut self, return_sequences: bool) -> Self {
        self.return_sequences = return_sequences;
        self
    }

    /// Whether the states stand behind the output; false by default.
    pub fn return_state(mut self, return_state: bool) -> Self {
        self.return_state = return_state;
        self
    }

    /// Whether the last time comes first; false by default.
    pub fn go_backwards(mut self, go_backwards: bool) -> Self {
        self.go_backwards = go_backwards;
        self
    }

    /// Whether the output of times that are masked away is 0, and not the state before; false by default.
    pub fn zero_output_for_mask(mut self, zero_output_for_mask: bool) -> Self {
        self.zero_output_for_mask = zero_output_for_mask;
        self
    }

    /// The share of the input that training drops; 0 by default.
    pub fn dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// The output shape for `input`, whatever state it begins with; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`;
    /// [`Error::Limit`] beyond 4096 times.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        let state = self.state_shape(&input)?;
        let times = input.dims()[1];
        if times.is_some_and(|times| times as u64 > TIMES) {
            return Err(Error::limit("times of a ConvLSTM", times.unwrap_or(0) as u64, TIMES));
        }
        let (batch, state) = (state.dims()[0], &state.dims()[1..]);
        let made = if self.return_sequences { times } else { Some(1) };
        Ok(match (self.return_sequences, self.return_state) {
            (false, false) => [&[batch], state].concat().into(),
            (_, false) => [&[batch, made], state].concat().into(),
            (_, true) => [&[batch, made.map(|made| made + STATES)], state].concat().into(),
        })
    }

    /// The channels of `input`, a sequence of images.
    fn channels(&self, input: &PartialShape) -> Result<u32> {
        super::arguments::of_rank(input, R + 3)?;
        self.arguments.channels(&one_time(input))
    }

    /// The shape of a state.
    fn state_shape(&self, input: &PartialShape) -> Result<PartialShape> {
        self.channels(input)?;
        self.arguments.output_shape(&one_time(input), self.filters)
    }

    /// The arguments of the convolution of the input.
    fn of_input(&self) -> ConvArguments<R> {
        ConvArguments { activation: Activation::Linear, ..self.arguments.clone() }
    }

    /// The arguments of the convolution of the state.
    fn of_state(&self) -> ConvArguments<R> {
        let kernel_size = self.arguments.window.kernel_size;
        let window = Window { kernel_size, strides: [1; R], dilation_rate: [1; R], padding: Padding::Same };
        ConvArguments { window, ..self.of_input() }
    }

    /// The state after a time, from `sums` of all gates and the cell before, none for zeros.
    fn next(&self, tape: &mut Tape, sums: Value, cell: Option<Value>) -> Result<[Value; STATES]> {
        let axis = self.arguments.data_format.channel_axis(R + 2);
        let filters = self.filters as usize;
        let part = |tape: &mut Tape, of: Value, gate: usize| ops::part(tape, axis, gate * filters, filters, of);
        let gates = ops::activate(tape, &self.recurrent_activation, sums)?;
        let candidate = part(tape, sums, 2)?;
        let candidate = ops::activate(tape, &self.arguments.activation, candidate)?;
        let input = part(tape, gates, 0)?;
        let mut next = ops::two(tape, BinaryFunction::Multiply, input, candidate)?;
        if let Some(cell) = cell {
            let forget = part(tape, gates, 1)?;
            let left = ops::two(tape, BinaryFunction::Multiply, forget, cell)?;
            next = ops::two(tape, BinaryFunction::Add, left, next)?;
        }
        let output = part(tape, gates, 3)?;
        let activated = ops::activate(tape, &self.arguments.activation, next)?;
        Ok([ops::two(tape, BinaryFunction::Multiply, output, activated)?, next])
    }
}

/// A sequence of images as images.
fn one_time(input: &PartialShape) -> PartialShape {
    let dims = input.dims();
    [&dims[..1], &dims[2..]].concat().into()
}

/// The mask of one time, and where it is not, for images of `rank` axes.
struct Masked {
    counts: Value,
    skipped: Value,
}

impl Masked {
    /// `new` where the time counts, `old`, or zeros, where it is skipped.
    fn chosen(&self, tape: &mut Tape, new: Value, old: Option<Value>) -> Result<Value> {
        let new = kept(tape, new, self.counts)?;
        let Some(old) = old else { return Ok(new) };
        let old = kept(tape, old, self.skipped)?;
        ops::two(tape, BinaryFunction::Add, new, old)
    }
}

impl<const R: usize> Describe for ConvLSTM<R> {
    fn common(&self) -> &Common {
        &self.arguments.common
    }

    fn activity_regularizer(&self) -> Option<Regularizer> {
        self.arguments.activity_regularizer.clone()
    }

    fn data_format(&self) -> Option<DataFormat> {
        Some(self.arguments.data_format)
    }

    fn validate(&self) -> Result<()> {
        self.arguments.validate(&[&self.kernel, &self.recurrent], false)?;
        self.recurrent_activation.validate()?;
        positive("filters", &[self.filters])?;
        if self.filters > u32::MAX / GATES {
            return Err(Error::limit("filters", u64::from(self.filters), u64::from(u32::MAX / GATES)));
        }
        for (argument, rate) in [("dropout", self.dropout), ("recurrent_dropout", self.recurrent_dropout)] {
            share(argument, rate)?;
        }
        for activation in [&self.arguments.activation, &self.recurrent_activation] {
            if Elementwise::new(activation).is_none() {
                return Err(Error::unsupported(
                    format!("{activation:?} in a ConvLSTM"),
                    "its activations must be functions of each value by itself",
                ));
            }
        }
        self.arguments.refuse_strided_dilation()
    }

    fn inputs(&self) -> RangeInclusive<usize> {
        1..=1 + STATES
    }

    fn takes_list(&self) -> bool {
        false
    }

    fn states(&self) -> Option<States> {
        Some(States { count: STATES, sequences: self.return_sequences, returned: self.return_state })
    }

    fn mask(&self, tape: &mut Tape, inputs: &[Value], _output: Value) -> Result<Option<Value>> {
        Ok(tape.mask(inputs[0]).filter(|_| self.return_sequences))
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        let output = self.output_shape(&inputs[0])?;
        let (state, given) = (self.state_shape(&inputs[0])?, &inputs[1..]);
        let fits = |given: &PartialShape| {
            let pairs = state.dims().iter().zip(given.dims());
            given.rank() == state.rank() && pairs.into_iter().all(|(a, b)| a.zip(*b).is_none_or(|(a, b)| a == b))
        };
        if !given.is_empty() && given.len() != STATES || !given.iter().all(fits) {
            let shapes: Vec<_> = given.iter().map(ToString::to_string).collect();
            let rule = format!("it must begin with {STATES} states of {state}, or none");
            return Err(Error::invalid("initial_state", rule, shapes.join(", ")));
        }
        Ok(output)
    }

    fn fixed_axes(&self, _rank: usize) -> Vec<i32> {
        match self.arguments.data_format {
            DataFormat::ChannelsLast => vec![-1],
            DataFormat::ChannelsFirst => vec![2],
        }
    }

    fn weights_of(&self) -> &'static str {
        "cell"
    }

    fn weights(&self, inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        let values = GATES * self.filters;
        let of_input = self.arguments.kernel_shape([self.channels(&inputs[0])?, values]);
        let of_state = self.arguments.kernel_shape([self.filters, values]);
        let kernels = [("kernel", of_input, &self.kernel), ("recurrent_kernel", of_state, &self.recurrent)];
        let mut declared = self.arguments.declare(&kernels, values);
        if self.recurrent.initializer.is_none() {
            declared[1].initializer = orthogonal();
        }
        if let Some(bias) = declared.get_mut(2).filter(|_| self.unit_forget_bias) {
            bias.initializer = with_forget_gate(bias.initializer.clone(), self.filters as usize);
        }
        Ok(declared)
    }

    fn train(
        &self,
        tape: &mut Tape,
        inputs: &[Value],
        _weights: &[Arc<Kernel>],
        operands: &[Arc<Kernel>],
    ) -> Result<Value> {
        self.states_of(tape, inputs, operands, [self.dropout, self.recurrent_dropout])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        self.states_of(tape, inputs, operands, [0.0; 2])
    }
}

impl<const R: usize> ConvLSTM<R> {
    /// The axis of the channels among `rank` axes, of images or sequences of such.
    fn axis_of_channels(&self, rank: usize) -> usize {
        match self.arguments.data_format {
            DataFormat::ChannelsLast => rank - 1,
            DataFormat::ChannelsFirst => rank - R - 1,
        }
    }

    /// Of extents `dims`, of images or sequences of such, those with an axis of `gates` before the channels.
    fn with_gates(&self, dims: &[usize], gates: usize) -> Vec<usize> {
        let channels = self.axis_of_channels(dims.len());
        [&dims[..channels], &[gates], &dims[channels..]].concat()
    }

    /// `of`, images or sequences of such, for each gate times its `factors`: the channels of one gate behind those of another.
    fn for_each_gate(&self, tape: &mut Tape, of: Value, factors: Value) -> Result<Value> {
        let mut dims = tape.shape(of).dims().to_vec();
        let one = tape.reshape(of, self.with_gates(&dims, 1))?;
        let all = ops::two(tape, BinaryFunction::Multiply, one, factors)?;
        let channels = self.axis_of_channels(dims.len());
        dims[channels] *= GATES as usize;
        tape.reshape(all, dims)
    }

    /// The convolutions of all images at once; then time by time that of the state, and the gates. Of the input and of the state,
    /// where they are convolved, shares of `rates` are dropped.
    fn states_of(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>], rates: [f64; 2]) -> Result<Value> {
        let (kernel, recurrent, bias) = (&operands[0], &operands[1], operands.get(2));
        let values = GATES * self.filters;
        let dims = tape.shape(inputs[0]).dims().to_vec();
        let (batch, times) = (dims[0], dims[1]);
        if times == 0 {
            if self.return_state || !self.return_sequences {
                return Err(Error::invalid("input", "a sequence must have a time at least", "none"));
            }
            let empty = self.output_shape(tape.shape(inputs[0]))?.known().unwrap_or_default();
            return tape.uninitialized(empty, tape.dtype(inputs[0]));
        }
        // Keras passes over a rate of 1.
        let [of_input, of_state] = rates.map(|rate| if rate < 1.0 { rate } else { 0.0 });
        // What is dropped differs from gate to gate, so each convolves its own: in groups, by the same kernel.
        let (mut input, mut groups) = (inputs[0], 1);
        if of_input > 0.0 {
            let mut shape = self.with_gates(&dims, GATES as usize);
            shape[1] = 1;
            let factors = drop_factors(tape, of_input, &self.seed, &shape, tape.dtype(input))?;
            (input, groups) = (self.for_each_gate(tape, input, factors)?, GATES);
        }
        let dims = tape.shape(input).dims().to_vec();
        let images = tape.reshape(input, [&[batch * times], &dims[2..]].concat())?;
        let arguments = self.of_input();
        let geometry = arguments.geometry(tape.shape(images), groups, values)?;
        let products = ops::conv::<R>(tape, &arguments.conv(geometry), images, kernel, bias)?;
        let frame = tape.shape(products).dims()[1..].to_vec();
        let products = tape.reshape(products, [&[batch, times][..], &frame].concat())?;
        let mask = mask_of_times(tape, inputs[0])?;
        let mask = match mask {
            Some(counts) => {
                let not = Elementwise::of_unary(&Unary::Affine { scale: -1.0, offset: 1.0 });
                Some(Masked { counts, skipped: ops::map(tape, not, counts)? })
            }
            None => None,
        };
        let factors = if of_state > 0.0 {
            let mut image = [&[batch][..], &frame].concat();
            let channels = self.axis_of_channels(image.len());
            image[channels] = self.filters as usize;
            let shape = self.with_gates(&image, GATES as usize);
            Some(drop_factors(tape, of_state, &self.seed, &shape, tape.dtype(products))?)
        } else {
            None
        };
        let arguments = self.of_state();
        let mut state = match inputs[1..] {
            [output, cell] => Some([output, cell]),
            _ => None,
        };
        let mut made = Vec::with_capacity(times + STATES);
        for step in 0..times {
            let time = if self.go_backwards { times - 1 - step } else { step };
            let sums = ops::part(tape, 1, time, 1, products)?;
            let mut sums = tape.reshape(sums, [&[batch][..], &frame].concat())?;
            if let Some([output, _]) = state {
                let (output, groups) = match factors {
                    Some(factors) => (self.for_each_gate(tape, output, factors)?, GATES),
                    None => (output, 1),
                };
                let geometry = arguments.geometry(tape.shape(output), groups, values)?;
                let of_state = ops::conv::<R>(tape, &arguments.conv(geometry), output, recurrent, None)?;
                sums = ops::two(tape, BinaryFunction::Add, of_state, sums)?;
            }
            let [mut output, mut cell] = self.next(tape, sums, state.map(|[_, cell]| cell))?;
            let mut shown = output;
            if let Some(Masked { counts, skipped }) = mask {
                let of_time = |tape: &mut Tape, mask: Value| {
                    let mask = ops::part(tape, 1, time, 1, mask)?;
                    tape.reshape(mask, [&[batch][..], &[1; R], &[1]].concat())
                };
                let mask = Masked { counts: of_time(tape, counts)?, skipped: of_time(tape, skipped)? };
                let silent = self.zero_output_for_mask.then(|| mask.chosen(tape, output, None)).transpose()?;
                output = mask.chosen(tape, output, state.map(|[output, _]| output))?;
                cell = mask.chosen(tape, cell, state.map(|[_, cell]| cell))?;
                shown = silent.unwrap_or(output);
            }
            if self.return_sequences || step + 1 == times {
                made.push(shown);
            }
            state = Some([output, cell]);
        }
        let dims = tape.shape(made[0]).dims().to_vec();
        if self.return_state {
            made.extend(state.into_iter().flatten());
        } else if !self.return_sequences {
            return Ok(made[0]);
        }
        let one = [&dims[..1], &[1], &dims[1..]].concat();
        let made = made.into_iter().map(|value| tape.reshape(value, one.clone())).collect::<Result<Vec<_>>>()?;
        ops::concatenate(tape, 1, &made)
    }
}

#[cfg(feature = "keras")]
impl<const R: usize> Configured for ConvLSTM<R> {
    const REQUIRED: &'static [&'static str] = &["filters", "kernel_size"];

    fn template() -> Self {
        Self::new(1, 1)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        let no = || serde_json::Value::Bool(false);
        let arguments = &mut self.arguments;
        common(codec, &mut arguments.common)?;
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
        codec.field("filters", &mut self.filters)?;
        let window = &mut arguments.window;
        codec.field("kernel_size", &mut window.kernel_size)?;
        codec.field("strides", &mut window.strides)?;
        codec.field("padding", &mut window.padding)?;
        window.padding.check(false)?;
        codec.field("data_format", &mut arguments.data_format)?;
        codec.field("dilation_rate", &mut window.dilation_rate)?;
        codec.field("activation", &mut arguments.activation)?;
        codec.field("recurrent_activation", &mut self.recurrent_activation)?;
        codec.field("use_bias", &mut arguments.use_bias)?;
        codec.field("unit_forget_bias", &mut self.unit_forget_bias)?;
        let activity = &mut arguments.activity_regularizer;
        let options =
            &mut [("kernel", &mut self.kernel), ("recurrent", &mut self.recurrent), ("bias", &mut arguments.bias)];
        weights(codec, options, |codec| codec.field("activity_regularizer", activity))?;
        codec.field("dropout", &mut self.dropout)?;
        codec.field("recurrent_dropout", &mut self.recurrent_dropout)?;
        codec.field("seed", &mut self.seed)?;
        // What Keras 2 writes beside: how its loop was compiled.
        codec.dropped("implementation", |_| true)?;
        codec.dropped("time_major", |json| json == &no())
    }
}
