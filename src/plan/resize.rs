//! What is asked of a resizing: every image of a batch at another height and width.
//!
//! Which source rows an output row mixes, and how much of each, is worked out on the host and handed over as a table. So
//! nearest, bilinear and bicubic are one problem.

use crate::{DType, DataFormat};

/// `output[y, x] = Σ weight · input[source]` over the taps of both axes, for every image and channel.
///
/// The kernel holds pairs of f32, source and weight: `taps[0]` for each output row, then `taps[1]` for each column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResizeProblem {
    /// Independent images.
    pub batch: u32,
    /// Channels of each.
    pub channels: u32,
    /// Height and width of the input.
    pub input: [u32; 2],
    /// Height and width of the output.
    pub output: [u32; 2],
    /// Sources of one output position, by axis.
    pub taps: [u32; 2],
    /// Storage of input and output.
    pub dtype: DType,
    /// Where the channels stand in input and output.
    pub data_format: DataFormat,
}
