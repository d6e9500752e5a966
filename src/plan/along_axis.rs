//! Functions along one axis: a softmax over channels, the mean of a row.
//!
//! Whatever the rank of a tensor, such a function sees three axes: `[outer, extent, inner]`, where `extent` is the axis it
//! works along, and `outer` and `inner` are all axes before and after it, multiplied.

use crate::{Activation, DType};

/// What an [`AxisProblem`] computes from the values along the axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AxisFunction {
    /// `e^{x − max} / Σ e^{x − max}`.
    Softmax,
    /// `x − max − ln Σ e^{x − max}`.
    LogSoftmax,
    /// The projection on the simplex.
    Sparsemax,
    /// First half times the sigmoid of the second; the output has half the extent.
    Glu,
    /// The mean; the output has extent 1, as for all that follow.
    Mean,
    /// The largest value; NaN where one is.
    Max,
    /// The smallest value; NaN where one is.
    Min,
    /// `Σ x`.
    Sum,
    /// `Σ x²`.
    SumSquare,
    /// `Σ |x|`.
    L1,
    /// `√Σ x²`.
    L2,
    /// `ln Σ x`.
    LogSum,
    /// `ln Σ eˣ`, by way of the largest value.
    LogSumExp,
}

impl AxisFunction {
    /// The function of an activation; `None` for element-wise ones.
    pub(crate) fn new(activation: &Activation) -> Option<Self> {
        match activation {
            Activation::Softmax { .. } => Some(Self::Softmax),
            Activation::LogSoftmax { .. } => Some(Self::LogSoftmax),
            Activation::Sparsemax { .. } => Some(Self::Sparsemax),
            Activation::Glu { .. } => Some(Self::Glu),
            _ => None,
        }
    }

    /// The output's extent along the axis for an input of `extent`.
    pub(crate) const fn output_extent(self, extent: u32) -> u32 {
        match self {
            Self::Softmax | Self::LogSoftmax | Self::Sparsemax => extent,
            Self::Glu => extent / 2,
            Self::Mean
            | Self::Max
            | Self::Min
            | Self::Sum
            | Self::SumSquare
            | Self::L1
            | Self::L2
            | Self::LogSum
            | Self::LogSumExp => 1,
        }
    }
}

/// A function along the middle axis of `[outer, extent, inner]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AxisProblem {
    /// The function.
    pub function: AxisFunction,
    /// Product of the extents before the axis.
    pub outer: u32,
    /// Extent of the axis in the input.
    pub extent: u32,
    /// Product of the extents after the axis.
    pub inner: u32,
    /// Storage of input and output.
    pub dtype: DType,
}
