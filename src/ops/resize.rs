//! Images at another size: nearest, bilinear and bicubic interpolation.
//!
//! Which input pixels an output pixel is made of, and how much each weighs, is found on the host in f64, as a table for
//! the rows and one for the columns (`resampling.rs`). The tables are a constant of the operation; the kernel adds up
//! what they say.

use super::{Kernel, Reads, Tape, Value};
use crate::geometry::extent;
use crate::plan::{Operand, Problem, ResizeProblem};
use crate::resampling::Resampling;
use crate::{DataFormat, Result};

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
