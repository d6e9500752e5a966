//! Pooling: the largest or the mean value of each window of an image, channel by channel.
//!
//! The windows have the geometry of a depthwise convolution; `kernels/pool.rs` has the ways to compute it. Global
//! pooling is no window but a reduction (`reduce.rs`).

use super::{Tape, Value};
use crate::geometry::{Axis, ConvGeometry, extent, in_front};
use crate::plan::{PoolFunction, PoolProblem, Problem};
use crate::{DataFormat, Result};

/// `function` of every window of `axes` over the images `input`, whose spatial axes are these.
pub(crate) fn pool<const R: usize>(
    tape: &mut Tape,
    function: PoolFunction,
    data_format: DataFormat,
    axes: [Axis; R],
    input: Value,
) -> Result<Value> {
    let (batch, channels, _) = data_format.split::<_, R>(tape.shape(input).dims());
    let output = data_format.join(batch, channels, axes.map(|axis| axis.output as usize));
    let (batch, channels) = (extent(batch)?, extent(channels)?);
    let geometry = ConvGeometry::new(batch, channels.max(1), [channels; 2], in_front(Axis::UNIT, axes))?;
    let problem = PoolProblem { function, geometry, dtype: tape.dtype(input), data_format };
    tape.step(Problem::Pool(problem), input, output.into(), problem.dtype)
}
