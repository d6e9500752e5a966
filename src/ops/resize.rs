//! Images at another size: nearest, bilinear and bicubic interpolation.
//!
//! Which input pixels an output pixel is made of, and how much each weighs, is found on the host in f64, as a table for
//! the rows and one for the columns (`resampling.rs`). The tables are a constant of the operation; the kernel adds up
//! what they say.

use super::{Kernel, Reads, Tape, Value};
use crate::geometry::extent;
use crate::plan::{Operand, Problem, ResizeProblem};
use crate::resampling::{MOST_POSITIONS, Resampling};
use crate::{DataFormat, Error, Result};

/// `input` with other positions along `axis`: each the weighted sum of some of those it had, as many for each, which
/// `sources` tells by number and weight.
pub(crate) fn mix(tape: &mut Tape, axis: usize, sources: &[Vec<(u32, f32)>], input: Value) -> Result<Value> {
    let (mut dims, dtype) = (tape.shape(input).dims().to_vec(), tape.dtype(input));
    let most = dims[axis].max(sources.len());
    if most > MOST_POSITIONS as usize {
        return Err(Error::limit("positions along a resized axis", most as u64, MOST_POSITIONS.into()));
    }
    let product = |dims: &[usize]| extent(dims.iter().product());
    // The other axis has one position, which is copied.
    let pairs = sources.iter().flatten().copied().chain([(0, 1.0)]);
    let table = Kernel::table(pairs.flat_map(|(source, weight)| [source as f32, weight]).collect());
    let problem = ResizeProblem {
        batch: product(&dims[..axis])?,
        channels: product(&dims[axis + 1..])?,
        input: [extent(dims[axis])?, 1],
        output: [extent(sources.len())?, 1],
        taps: [extent(sources.first().map_or(0, Vec::len))?, 1],
        dtype,
        data_format: DataFormat::ChannelsLast,
    };
    dims[axis] = sources.len();
    let reads = Reads::of(input).constant(Operand::Kernel, &table);
    tape.step(Problem::Resize(problem), reads, dims.into(), dtype)
}

/// The images `input`, height and width resampled.
pub(crate) fn resize(
    tape: &mut Tape,
    data_format: DataFormat,
    [height, width]: [Resampling; 2],
    input: Value,
) -> Result<Value> {
    let (batch, channels, _) = data_format.split::<_, 2>(tape.shape(input).dims());
    let output = data_format.join(batch, channels, [height.output as usize, width.output as usize]);
    if output.contains(&0) {
        return tape.uninitialized(output.into(), tape.dtype(input));
    }
    let values: Vec<f32> = [height.table()?, width.table()?].concat().into_flattened();
    // Sources and weights are f32 whatever the images are.
    let table = Kernel::table(values);
    let problem = ResizeProblem {
        batch: extent(batch)?,
        channels: extent(channels)?,
        input: [height.input, width.input],
        output: [height.output, width.output],
        taps: [height.interpolation.taps(), width.interpolation.taps()],
        dtype: tape.dtype(input),
        data_format,
    };
    let reads = Reads::of(input).constant(Operand::Kernel, &table);
    tape.step(Problem::Resize(problem), reads, output.into(), problem.dtype)
}
