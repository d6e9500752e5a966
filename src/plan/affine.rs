//! What is asked of images that are moved, turned, enlarged or sheared: an affine map for each image of a batch.

use crate::{DType, DataFormat};

/// What lies outside of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fill {
    /// A value everywhere: the bits of an f32.
    Value(u32),
    /// The nearest pixel: `a a a | a b c d | d d d`.
    Nearest,
    /// The image reflected at its edge: `c b a | a b c d | d c b`.
    Reflect,
    /// The image again: `b c d | a b c d | a b c`.
    Wrap,
}

/// `output[n, y, x]` is image n at row `b0·x + b1·y + b2` and column `a0·x + a1·y + a2`.
///
/// The second tensor holds the six numbers of each image as f32, `a0` to `b2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AffineProblem {
    /// Images.
    pub batch: u32,
    /// Channels of each.
    pub channels: u32,
    /// Height and width of input and output.
    pub size: [u32; 2],
    /// Whether the nearest pixel is taken; else the bilinear mean of four.
    pub nearest: bool,
    /// What lies outside.
    pub fill: Fill,
    /// Storage of input and output.
    pub dtype: DType,
    /// Where the channels stand in input and output.
    pub data_format: DataFormat,
}
