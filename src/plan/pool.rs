//! What is asked of a pooling: the largest or the mean value of every window of every channel.
//!
//! A pooling walks its input as a convolution does, so its sizes are those of a convolution with a group for each channel.

use crate::geometry::ConvGeometry;
use crate::{DType, DataFormat};

/// What a [`PoolProblem`] makes of the values in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolFunction {
    /// The largest one; what lies outside the input takes no part. NaN where one is.
    Max,
    /// Their mean; what lies outside the input takes no part.
    Average,
    /// Their sum divided by the number of positions of the padded input: the pads count as zeros.
    AveragePadded {
        /// Pads after the input along depth, height and width. Positions beyond them never count.
        pad_after: [u32; 3],
    },
}

/// A function of every window of every channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolProblem {
    /// The function.
    pub function: PoolFunction,
    /// Sizes; the windows are its kernels, and each channel is a group of its own.
    pub geometry: ConvGeometry,
    /// Storage of input and output.
    pub dtype: DType,
    /// Where the channels stand in input and output.
    pub data_format: DataFormat,
}
