//! What the layers that act in training have in common: shares of a tensor dropped at random.

use super::Seed;
use crate::ops::{self, Tape, Value};
use crate::plan::{BinaryFunction, Elementwise, NoiseFunction};
use crate::{DType, Error, PartialShape, Result, Unary};

/// The shape of what is chosen among, for an input of extents `dims`: that of `noise_shape`, where extents that it does not
/// give are the input's.
///
/// # Errors
/// [`Error::Invalid`] for a shape that cannot be repeated over the input.
pub(super) fn noise_shape(noise_shape: Option<&PartialShape>, dims: &[usize]) -> Result<Vec<usize>> {
    let Some(given) = noise_shape else { return Ok(dims.to_vec()) };
    // Keras takes unknown extents from the front, and repeats along the last axes as NumPy does.
    let shape: Vec<usize> =
        given.dims().iter().enumerate().map(|(axis, dim)| dim.or(dims.get(axis).copied()).unwrap_or(1)).collect();
    let repeats = shape.len() <= dims.len()
        && shape.iter().rev().zip(dims.iter().rev()).all(|(&extent, &of)| extent == 1 || extent == of);
    if repeats {
        return Ok(shape);
    }
    Err(Error::invalid(
        "noise_shape",
        "`noise_shape` must have 1 or the input's extent along each axis",
        format!("noise_shape={given} for an input of shape {}", crate::Shape::from(dims)),
    ))
}

/// `input` with a share of `rate` set to 0 and the rest scaled up, so that the mean stays; `shape` is chosen among, and repeated
/// over the input.
pub(super) fn dropped(tape: &mut Tape, rate: f64, seed: &Seed, shape: &[usize], input: Value) -> Result<Value> {
    if rate == 0.0 {
        return Ok(input);
    }
    if shape == tape.shape(input).dims() {
        return ops::noise(tape, drop(rate), seed.number(), input);
    }
    let factors = drop_factors(tape, rate, seed, shape, tape.dtype(input))?;
    ops::two(tape, BinaryFunction::Multiply, input, factors)
}

/// What [`dropped`] multiplies by: 0 for a share of `rate`, and the rest alike, so that the mean is 1.
pub(super) fn drop_factors(tape: &mut Tape, rate: f64, seed: &Seed, shape: &[usize], dtype: DType) -> Result<Value> {
    ops::drawn(tape, drop(rate), seed.number(), 1.0, shape.to_vec(), dtype)
}

fn drop(rate: f64) -> NoiseFunction {
    let scale = if rate < 1.0 { (1.0 - rate).recip() } else { 0.0 };
    NoiseFunction::drop(rate, [scale, 0.0, 0.0])
}

/// `input` with a share of `rate` set to the lower limit of selu, and the whole scaled and shifted so that mean and variance
/// stay.
pub(super) fn alpha_dropped(tape: &mut Tape, rate: f64, seed: &Seed, shape: &[usize], input: Value) -> Result<Value> {
    if rate == 0.0 {
        return Ok(input);
    }
    /// −scale·alpha of selu.
    const LIMIT: f64 = -1.050_700_987_355_480_5 * 1.673_263_242_354_377_2;
    let scale = ((1.0 - rate) * (1.0 + rate * LIMIT * LIMIT)).sqrt().recip();
    let shift = -scale * LIMIT * rate;
    if shape == tape.shape(input).dims() {
        let function = NoiseFunction::drop(rate, [scale, shift, scale * LIMIT + shift]);
        return ops::noise(tape, function, seed.number(), input);
    }
    let function = NoiseFunction::drop(rate, [scale, 0.0, 0.0]);
    let factors = ops::drawn(tape, function, seed.number(), 1.0, shape.to_vec(), tape.dtype(input))?;
    let kept = ops::two(tape, BinaryFunction::Multiply, input, factors)?;
    // Of what is kept the factor is `scale`, and nothing but `shift` is added.
    let of_factor = Unary::Affine { scale: -LIMIT as f32, offset: (scale * LIMIT + shift) as f32 };
    let added = ops::map(tape, Elementwise::of_unary(&of_factor), factors)?;
    ops::two(tape, BinaryFunction::Add, kept, added)
}

/// # Errors
/// [`Error::Unsupported`] for a rate of 1, which leaves nothing to keep the variance with: Keras divides by zero there.
pub(super) fn below_one(class: &str, rate: f64) -> Result<()> {
    if rate < 1.0 {
        return Ok(());
    }
    Err(Error::unsupported(format!("{class} of a rate of 1 in training"), "give it a rate below 1"))
}
