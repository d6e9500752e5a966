//! Normalisation by statistics of the input itself.
//!
//! Layer, group and unit normalisation divide by a statistic of some axes, which is taken anew from each input. Here
//! those axes are put in the order that the kernel knows, `[outer, spread, group, extent]`, with the statistics over
//! spread and extent:
//!
//! ```text
//! LayerNormalization over the channels of [2, 8, 8, 16]     [1, 1, 128, 16]: 128 lines of 16 values
//! GroupNormalization of [2, 8, 8, 16] in 4 groups           [2, 64, 4, 4]: 8 lines of 256 values
//! ```

use std::sync::Arc;

use super::{Kernel, Reads, Tape, Value, part};
use crate::geometry::extent;
use crate::plan::{BatchFunction, BatchProblem, Elementwise, NormalizeFunction, NormalizeProblem, Operand, Problem};
use crate::{DType, Error, Result, Shape};

/// An array as `[outer, spread, group, extent]`, whose statistics are taken over spread and extent, and where its elements
/// find their gamma: see [`NormalizeProblem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statistics {
    dims: [usize; 4],
    spread_step: usize,
    group_step: usize,
    run: usize,
}

impl Statistics {
    /// Over `axes` of an array of `shape`; gamma has the extents of these axes, in the order of the array's.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the axes lie in more than two runs.
    pub(crate) fn over(shape: &Shape, axes: &[usize]) -> Result<Self> {
        // From the innermost outwards: extent, group, spread, outer. Axes of extent 1 go anywhere.
        let mut dims = [1; 4];
        let mut place = 0;
        for (axis, &dim) in shape.dims().iter().enumerate().rev().filter(|(_, dim)| **dim != 1) {
            let within = axes.contains(&axis);
            while within != (place % 2 == 0) {
                place += 1;
            }
            let Some(product) = dims.get_mut(place) else {
                return Err(Error::unsupported(
                    format!("a normalisation over axes {axes:?} of shape {shape}"),
                    "the axes must lie in at most two runs, the outer one before and the inner one after other axes",
                ));
            };
            *product *= dim;
        }
        dims.reverse();
        Ok(Self { dims, spread_step: dims[3], group_step: 0, run: 1 })
    }

    /// Over everything but the first axis and the group, where `axis` of an array of `shape` is cut into `groups`; gamma
    /// has the extent of `axis`.
    pub(crate) fn in_groups(shape: &Shape, axis: usize, groups: usize) -> Self {
        let dims = shape.dims();
        let product = |dims: &[usize]| dims.iter().product::<usize>();
        let (each, run) = (dims[axis] / groups, product(&dims[axis + 1..]));
        Self { dims: [dims[0], product(&dims[1..axis]), groups, each * run], spread_step: 0, group_step: each, run }
    }
}

/// `function(input) · gamma + beta`.
pub(crate) fn normalize(
    tape: &mut Tape,
    function: NormalizeFunction,
    epsilon: f64,
    statistics: &Statistics,
    input: Value,
    [gamma, beta]: [Option<&Arc<Kernel>>; 2],
) -> Result<Value> {
    let [outer, spread, group, inner] = statistics.dims;
    let problem = NormalizeProblem {
        function,
        outer: extent(outer)?,
        spread: extent(spread)?,
        group: extent(group)?,
        extent: extent(inner)?,
        epsilon: (epsilon as f32).to_bits(),
        gamma: gamma.is_some(),
        beta: beta.is_some(),
        spread_step: extent(statistics.spread_step)?,
        group_step: extent(statistics.group_step)?,
        run: extent(statistics.run)?,
        dtype: tape.dtype(input),
    };
    let reads = Reads::of(input).if_any(Operand::Kernel, gamma).if_any(Operand::Bias, beta);
    tape.step(Problem::Normalize(problem), reads, tape.shape(input).clone(), problem.dtype)
}

/// What a batch normalization in training has made.
pub(crate) struct BatchNormalized {
    pub(crate) output: Value,
    /// Mean and biased variance of each channel, `[channels]`.
    pub(crate) moments: [Value; 2],
}

/// `(input − mean) / √(variance + epsilon) · gamma + beta` by the statistics of `input`, f32 of extents `[outer, channels, inner]`,
/// over all but the channels.
pub(crate) fn batch_normalize(
    tape: &mut Tape,
    epsilon: f64,
    dims: [usize; 3],
    input: Value,
    [gamma, beta]: [Option<&Arc<Kernel>>; 2],
) -> Result<BatchNormalized> {
    let [outer, channels, inner] = dims;
    let problem = BatchProblem {
        function: BatchFunction::Moments,
        outer: extent(outer)?,
        channels: extent(channels)?,
        inner: extent(inner)?,
        epsilon: (epsilon as f32).to_bits(),
        gamma: gamma.is_some(),
        beta: beta.is_some(),
        activation: Elementwise::LINEAR,
    };
    let moments = tape.step(Problem::BatchNormalize(problem), input, [2, channels].into(), DType::F32)?;
    let reads = Reads::of(input).value(Operand::Moments, moments);
    let reads = reads.if_any(Operand::Kernel, gamma).if_any(Operand::Bias, beta);
    let apply = BatchProblem { function: BatchFunction::Apply, ..problem };
    let output = tape.step(Problem::BatchNormalize(apply), reads, tape.shape(input).clone(), DType::F32)?;
    let moments = [of_channels(tape, 0, moments)?, of_channels(tape, 1, moments)?];
    Ok(BatchNormalized { output, moments })
}

/// The first or the second number of each channel, `[channels]`, of `[2, channels]` of them.
pub(super) fn of_channels(tape: &mut Tape, index: usize, both: Value) -> Result<Value> {
    let row = part(tape, 0, index, 1, both)?;
    let channels = tape.elements(row) as usize;
    tape.reshape(row, [channels])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_fall_into_runs() {
        let over = |dims: &[usize], axes: &[usize]| Statistics::over(&dims.into(), axes).map(|s| s.dims).ok();
        assert_eq!(over(&[2, 5, 8, 3], &[3]), Some([1, 1, 80, 3]));
        assert_eq!(over(&[2, 5, 8, 3], &[2, 3]), Some([1, 1, 10, 24]));
        assert_eq!(over(&[2, 5, 8, 3], &[1, 2]), Some([2, 40, 3, 1]));
        assert_eq!(over(&[2, 5, 8, 3], &[1, 3]), Some([2, 5, 8, 3]));
        assert_eq!(over(&[2, 5, 8, 3], &[0, 1, 2, 3]), Some([1, 1, 1, 240]));
        assert_eq!(over(&[2, 5, 1, 3], &[1, 3]), Some([1, 1, 2, 15]));
        assert_eq!(over(&[2, 5, 8, 3, 4], &[0, 2, 4]), None);
    }

    #[test]
    fn groups_cut_an_axis() {
        let last = Statistics::in_groups(&[2, 5, 8, 6].into(), 3, 3);
        assert_eq!((last.dims, last.group_step, last.run), ([2, 40, 3, 2], 2, 1));
        let first = Statistics::in_groups(&[2, 6, 5, 8].into(), 1, 3);
        assert_eq!((first.dims, first.group_step, first.run), ([2, 1, 3, 80], 2, 40));
    }
}
