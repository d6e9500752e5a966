//! What is asked of a normalisation by statistics of its own input: layer, group and unit normalisation.
//!
//! Which axes share statistics differs from one to the next. All of them come down to four axes,
//! `[outer, spread, group, extent]`: statistics are taken over spread and extent, for each outer position and group.
//! (A batch normalisation by stored statistics is no such problem: it is a multiplication and an addition.)

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
