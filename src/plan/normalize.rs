//! What is asked of a normalisation by statistics of its own input: layer, group and unit normalisation.
//!
//! Which axes share statistics differs from one to the next. All of them come down to four axes,
//! `[outer, spread, group, extent]`: statistics are taken over spread and extent, for each outer position and group.
//! (A batch normalisation by stored statistics is no such problem: it is a multiplication and an addition.)
//!
//! Batch normalisation in training has problems of its own, a [`BatchProblem`] for each way over the elements: what others write
//! as a dozen element-wise steps, forwards and backwards, takes four.

use super::Elementwise;
use crate::DType;

/// What a [`NormalizeProblem`] divides by, and whether it shifts; `ε` is its epsilon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormalizeFunction {
    /// `(x − mean) / √(variance + ε)`.
    Standard,
    /// `x / √(variance + ε)`: the variance about the mean, which is not subtracted.
    Deviation,
    /// `x / √max(Σ x², ε)`.
    Unit,
}

/// `output = function(input) · gamma + beta`, by statistics of `[outer, spread, group, extent]` over spread and extent.
///
/// Element (o, s, g, e) takes gamma and beta at `s·spread_step + g·group_step + e / run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NormalizeProblem {
    /// The function.
    pub function: NormalizeFunction,
    /// Extent of the axes before those of the statistics.
    pub outer: u32,
    /// Extent of the outer axes of the statistics.
    pub spread: u32,
    /// Extent of the axes between, whose positions have statistics of their own.
    pub group: u32,
    /// Extent of the inner axes of the statistics.
    pub extent: u32,
    /// The bits of ε.
    pub epsilon: u32,
    /// Whether there is a gamma, the operation's kernel.
    pub gamma: bool,
    /// Whether there is a beta, the operation's bias.
    pub beta: bool,
    /// Elements of gamma from one position of the spread to the next.
    pub spread_step: u32,
    /// Elements of gamma from one group to the next.
    pub group_step: u32,
    /// Neighbours along the extent that share an element of gamma.
    pub run: u32,
    /// Storage of input, gamma, beta and output.
    pub dtype: DType,
}

/// A way over the elements of a batch normalisation in training; x is an element, `x̂ = (x − mean) / √(variance + ε)`, and g
/// the gradient that comes from behind times the slope of the activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BatchFunction {
    /// The mean of each channel, then the biased variance of each: `[2, channels]`.
    Moments,
    /// `activation(x̂ · gamma + beta)`.
    Apply,
    /// Of each channel the sum of g, which is the gradient of beta, then that of `g · x̂`, of gamma: `[2, channels]`.
    Sums,
    /// `gamma / √(variance + ε) · (g − mean of g − x̂ · mean of g · x̂)`, the gradient to x: mean and variance depend on x too.
    Gradient,
}

/// A batch normalisation in training of `[outer, channels, inner]`, all in f32: statistics over outer and inner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchProblem {
    /// What is computed.
    pub function: BatchFunction,
    /// Extent of the axes before the channels.
    pub outer: u32,
    /// Channels.
    pub channels: u32,
    /// Extent of the axes behind them.
    pub inner: u32,
    /// The bits of ε.
    pub epsilon: u32,
    /// Whether there is a gamma, the operation's kernel.
    pub gamma: bool,
    /// Whether there is a beta, the operation's bias.
    pub beta: bool,
    /// What follows in the forward pass.
    pub activation: Elementwise,
}
