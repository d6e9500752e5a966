//! Normalisations, each with the error that `f32` may make: differences and quotients do not fit the rule for sums.

use super::array::larger;
use super::tolerance::{UNIT, accumulated};
use super::{Array, Estimate, total};

/// The four vectors of a batch normalisation, and its epsilon.
#[derive(Clone, Debug)]
pub struct BatchStatistics {
    /// Scale; `None` when the layer was made with `scale=False`.
    pub gamma: Option<Array>,
    /// Offset; `None` when the layer was made with `center=False`.
    pub beta: Option<Array>,
    /// Mean that training gathered.
    pub moving_mean: Array,
    /// Variance that training gathered.
    pub moving_variance: Array,
    /// Added to the variance.
    pub epsilon: f64,
}

/// Batch normalisation as inference does it, over `axis` (negative: counted from the end).
pub fn batch_normalization(input: &Array, norm: &BatchStatistics, axis: isize) -> Array {
    input.along(axis.rem_euclid(input.shape.len() as isize), |line| {
        let channel = |i: usize| {
            let scale = norm.gamma.as_ref().map_or(1.0, |gamma| gamma.data[i]);
            let offset = norm.beta.as_ref().map_or(0.0, |beta| beta.data[i]);
            let deviation = (norm.moving_variance.data[i] + norm.epsilon).sqrt();
            (line[i] - norm.moving_mean.data[i]) / deviation * scale + offset
        };
        (0..line.len()).map(channel).collect()
    })
}

/// [`batch_normalization`] with the magnitudes of its three terms: a product with one scale, the mean's, the offset.
/// Scale and shift may have been rounded to a unit of `unit` beforehand.
pub fn estimated_batch_normalization(input: &Array, norm: &BatchStatistics, axis: isize, unit: f64) -> Estimate {
    let exact = batch_normalization(input, norm, axis);
    let all = BatchStatistics {
        gamma: norm.gamma.as_ref().map(|gamma| gamma.map(f64::abs)),
        beta: norm.beta.as_ref().map(|beta| beta.map(f64::abs)),
        moving_mean: norm.moving_mean.map(|mean| -mean.abs()),
        ..norm.clone()
    };
    let bound = batch_normalization(&input.map(f64::abs), &all, axis).map(|m| accumulated(1, m) + unit * m);
    Estimate { exact, bound }
}

/// What the normalisations over parts of one input have in common.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// Scale, in a shape that broadcasts to the input's.
    pub gamma: Option<&'a Array>,
    /// Offset, in a shape that broadcasts to the input's.
    pub beta: Option<&'a Array>,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether the mean is subtracted.
    pub centered: bool,
}

/// Each set of elements that differ along `axes` only, less its mean if that is asked for, over its deviation from the
/// mean, then scaled and shifted.
///
/// `f32` finds the mean `m` within an error `d` and the variance `v` within `e = s + 6 u v + d²`, where `d` and `s` are those of
/// the sums, divided by the number of elements; the quotient `q` is then off by `d / √v` and by `|q| · (e / 2v + 4u)`, with
/// epsilon added to `v`.
pub fn normalize(input: &Array, axes: &[usize], norm: &Norm<'_>) -> Estimate {
    let Estimate { exact: mean, bound: mean_error } = super::mean(input, axes).into();
    let centered = input.zip(&mean, |x, mean| x - mean);
    let Estimate { exact: variance, bound } = super::mean(&centered.map(|x| x * x), axes).into();
    let variance_error = bound.zip(&variance, |s, v| s + 6.0 * UNIT * v).zip(&mean_error, |e, d| e + d * d);
    let deviation = variance.map(|v| (v + norm.epsilon).sqrt());
    let relative = variance_error.zip(&deviation, |e, s| e / (2.0 * s * s) + 4.0 * UNIT);
    let quotient = if norm.centered { &centered } else { input }.zip(&deviation, |x, s| x / s);
    let mut bound = quotient.zip(&relative, |q, relative| q.abs() * relative);
    if norm.centered {
        bound = bound.zip(&mean_error.zip(&deviation, |d, s| d / s), |bound, shift| bound + shift);
    }
    scaled(&Estimate { exact: quotient, bound }, norm)
}

/// Each set of elements that differ along `axes` only, over the root of its sum of squares, which is at least the root
/// of `epsilon`.
pub fn unit_normalize(input: &Array, axes: &[usize], epsilon: f64) -> Estimate {
    let Estimate { exact: squares, bound } = total(&input.map(|x| x * x), axes).into();
    // Where the floor is the divisor, it is exact.
    let relative = squares.zip(&bound, |s, e| 4.0 * UNIT + if s > epsilon { 0.5 * e / s } else { 0.0 });
    let exact = input.zip(&squares, |x, squares| x / larger(squares, epsilon).sqrt());
    let bound = exact.zip(&relative, |y, relative| y.abs() * relative);
    Estimate { exact, bound }
}

/// Times gamma, plus beta: two more roundings.
fn scaled(estimate: &Estimate, norm: &Norm<'_>) -> Estimate {
    let Estimate { mut exact, mut bound } = estimate.clone();
    if let Some(gamma) = norm.gamma {
        exact = exact.zip(gamma, |x, gamma| x * gamma);
        bound = bound.zip(gamma, |error, gamma| error * gamma.abs()).zip(&exact, |error, y| error + UNIT * y.abs());
    }
    if let Some(beta) = norm.beta {
        exact = exact.zip(beta, |x, beta| x + beta);
        bound = bound.zip(&exact, |error, y| error + UNIT * y.abs());
    }
    Estimate { exact, bound }
}

/// A product and a sum for each element, of numbers that may have been rounded to a unit of `unit` beforehand; `scale` and
/// `shift` broadcast to the input.
pub fn scale_and_shift(input: &Array, scale: &Array, shift: &Array, unit: f64) -> Estimate {
    let made = |of: fn(f64) -> f64| input.map(of).zip(&scale.map(of), |x, s| x * s).zip(&shift.map(of), |x, s| x + s);
    Estimate { exact: made(|x| x), bound: made(f64::abs).map(|m| accumulated(1, m) + unit * m) }
}
