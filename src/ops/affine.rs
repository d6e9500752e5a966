//! Images under affine maps.

use super::{Reads, Tape, Value};
use crate::geometry::extent;
use crate::plan::{AffineProblem, Fill, Operand, Problem};
use crate::{DataFormat, Error, Result};

/// Each of the images `input`, `[batch, height, width, channels]` or with channels first, under the affine map that `maps`,
/// `[batch, 6]` of f32, has for it: see [`AffineProblem`].
pub(crate) fn affine(
    tape: &mut Tape,
    nearest: bool,
    fill: Fill,
    data_format: DataFormat,
    maps: Value,
    input: Value,
) -> Result<Value> {
    let (shape, dtype) = (tape.shape(input).clone(), tape.dtype(input));
    let &[batch, one, two, three] = shape.dims() else {
        return Err(Error::invalid("input", "the input must be images, of 4 axes", format!("input shape={shape}")));
    };
    let (height, width, channels) = match data_format {
        DataFormat::ChannelsLast => (one, two, three),
        DataFormat::ChannelsFirst => (two, three, one),
    };
    let problem = AffineProblem {
        batch: extent(batch)?,
        channels: extent(channels)?,
        size: [extent(height)?, extent(width)?],
        nearest,
        fill,
        dtype,
        data_format,
    };
    tape.step(Problem::Affine(problem), Reads::of(input).value(Operand::Other, maps), shape, dtype)
}
