//! Convolution: dense, grouped, pointwise and depthwise are one operation with different numbers.
//!
//! So are two that are not called so. A scale and a shift for each channel, which is all that a batch normalization is
//! at inference, is a depthwise 1×1 convolution; a dense layer is a pointwise (1×1) one. They need no kernels of their
//! own, and what is written as a convolution can be folded into another (`rewrite/fold.rs`).

use std::sync::Arc;

use super::elementwise::activate;
use super::{Kernel, Reads, Tape, Value, index_of};
use crate::geometry::{Axis, ConvGeometry, extent};
use crate::plan::{ConvProblem, Direction, Epilogue, Operand, Problem};
use crate::{Activation, DataFormat, Result};

/// What a convolution computes, apart from its tensors.
#[derive(Clone)]
pub(crate) struct ConvArgs {
    pub(crate) geometry: ConvGeometry,
    pub(crate) direction: Direction,
    pub(crate) data_format: DataFormat,
    pub(crate) activation: Activation,
}

/// `activation(conv(input, kernel) + bias)`; the output is laid out as `data_format` says, and has the last `R` of the three
/// spatial axes; the others have one position. The activation is an operation of its own, until a rule moves it into the
/// convolution's epilogue (`rewrite/epilogue.rs`).
pub(crate) fn conv<const R: usize>(
    tape: &mut Tape,
    args: &ConvArgs,
    input: Value,
    kernel: &Arc<Kernel>,
    bias: Option<&Arc<Kernel>>,
) -> Result<Value> {
    let ConvArgs { geometry, direction, data_format, activation } = args;
    let epilogue = Epilogue { bias: bias.is_some(), ..Epilogue::NONE };
    let dtype = tape.dtype(input);
    let problem =
        ConvProblem { geometry: *geometry, direction: *direction, dtype, data_format: *data_format, epilogue };
    let [channels, spatial @ ..] = problem.written();
    let spatial: [u32; R] = std::array::from_fn(|axis| spatial[axis + 3 - R]);
    let dims = data_format.join(geometry.batch, channels, spatial);
    let dims: Vec<_> = dims.into_iter().map(|dim| dim as usize).collect();
    let reads = Reads::of(input).constant(Operand::Kernel, kernel).if_any(Operand::Bias, bias);
    let output = tape.step(Problem::Conv(problem), reads, dims.into(), dtype)?;
    activate(tape, activation, output)
}

/// `activation(input · kernel + bias)` over the last axis of `input`, of which `units` are made: a pointwise convolution of one
/// row of pixels.
pub(crate) fn dense(
    tape: &mut Tape,
    units: usize,
    activation: Activation,
    input: Value,
    kernel: &Arc<Kernel>,
    bias: Option<&Arc<Kernel>>,
) -> Result<Value> {
    dense_by_group(tape, 1, units, activation, input, kernel, bias)
}

/// [`dense`] of each of `groups` equal parts of the last axis by itself, which makes its part of `units`; the kernel is
/// `[channels of a part, units]`.
pub(crate) fn dense_by_group(
    tape: &mut Tape,
    groups: usize,
    units: usize,
    activation: Activation,
    input: Value,
    kernel: &Arc<Kernel>,
    bias: Option<&Arc<Kernel>>,
) -> Result<Value> {
    let mut output = tape.shape(input).dims().to_vec();
    let channels = output.pop().unwrap_or_default();
    let pixels = extent(output.iter().product())?;
    let axes = [Axis::UNIT, Axis::UNIT, Axis::pointwise(pixels)];
    let geometry = ConvGeometry::new(1, extent(groups)?, [extent(channels)?, extent(units)?], axes)?;
    let per_element = if activation.axis().is_none() { activation } else { Activation::Linear };
    let args = ConvArgs {
        geometry,
        direction: Direction::Forward,
        data_format: DataFormat::ChannelsLast,
        activation: per_element,
    };
    let product = conv::<1>(tape, &args, input, kernel, bias)?;
    output.push(units);
    let product = tape.reshape(product, output)?;
    if activation.axis().is_none() { Ok(product) } else { activate(tape, &activation, product) }
}

/// `input · scale + shift`, a scale and a shift for each position of `axis`.
pub(crate) fn scale_and_shift(
    tape: &mut Tape,
    axis: i32,
    input: Value,
    scale: &Arc<Kernel>,
    shift: Option<&Arc<Kernel>>,
) -> Result<Value> {
    let shape = tape.shape(input);
    let index = index_of(axis, shape)?;
    let after = shape.dims()[index + 1..].iter().product();
    scale_and_shift_runs(tape, after, input, scale, shift)
}

/// `input · scale + shift`, where `after` neighbours share a scale and a shift, which follow one another and begin again
/// after the last: a depthwise 1×1 convolution of `[before, scales, after]`.
pub(crate) fn scale_and_shift_runs(
    tape: &mut Tape,
    after: usize,
    input: Value,
    scale: &Arc<Kernel>,
    shift: Option<&Arc<Kernel>>,
) -> Result<Value> {
    let shape = tape.shape(input).clone();
    let channels = scale.shape().dims().iter().product::<usize>();
    let before = extent(shape.dims().iter().product::<usize>() / (channels * after).max(1))?;
    let (channels, after) = (extent(channels)?, extent(after)?);
    let geometry = |batch, pixels| {
        ConvGeometry::new(batch, channels.max(1), [channels; 2], [Axis::UNIT, Axis::UNIT, Axis::pointwise(pixels)])
    };
    let (geometry, data_format) = if after == 1 {
        (geometry(1, before)?, DataFormat::ChannelsLast)
    } else {
        (geometry(before, after)?, DataFormat::ChannelsFirst)
    };
    let args = ConvArgs { geometry, direction: Direction::Forward, data_format, activation: Activation::Linear };
    let output = conv::<1>(tape, &args, input, scale, shift)?;
    tape.reshape(output, shape)
}
