//! The gradients of resampling and of movement: each element of the input collects from wherever it was put.
//!
//! Along one axis, a resampling says of each output position which input positions it is made of, and how much each
//! weighs. Read the other way round, that is a table again: of each input position, the output positions that it went
//! into. So the gradient of a resampling is a resampling, with the transposed table. A crop, a pad, a repetition along an
//! axis are resamplings whose weights are 1.

use super::{Reverse, fill};
use crate::geometry::extent;
use crate::ops::{Kernel, Read, Reads, Step, Value, reduce};
use crate::plan::{AxisFunction, MoveAxis, MoveProblem, Operand, Outside, Problem, Reach, ResizeProblem};
use crate::resampling::MOST_POSITIONS;
use crate::strides::row_major;
use crate::{DataFormat, Error, Result};

/// Of each position, what it goes into or is made of: positions on the other side, with weights.
type PositionLinks = Vec<Vec<(u32, f32)>>;

/// The table of `links`, so many pairs of position and weight for each; those that have fewer have some of weight 0.
fn table(links: &PositionLinks) -> (Vec<f32>, u32) {
    // One pair each is a copy, whatever the weight.
    let copies = links.iter().all(|own| matches!(own[..], [(_, weight)] if weight == 1.0));
    let taps = links.iter().map(Vec::len).max().unwrap_or(0).max(if copies { 1 } else { 2 });
    let pairs = links.iter().flat_map(|own| {
        let spare = own.first().map_or(0, |(position, _)| *position);
        own.iter().copied().chain(std::iter::repeat((spare, 0.0))).take(taps)
    });
    (pairs.flat_map(|(position, weight)| [position as f32, weight]).collect(), taps as u32)
}

/// Links seen from the `positions` on the other side.
fn transposed(links: &PositionLinks, positions: u32) -> PositionLinks {
    let mut seen = vec![Vec::new(); positions as usize];
    for (position, own) in links.iter().enumerate() {
        for &(other, weight) in own.iter().filter(|(_, weight)| *weight != 0.0) {
            if let Some(seen) = seen.get_mut(other as usize) {
                seen.push((position as u32, weight));
            }
        }
    }
    seen
}

/// The source of each of `extent` coordinates of a reach, where it has one.
fn sources(reach: &Reach, outside: Outside, extent: u32) -> PositionLinks {
    let source = i64::from(reach.source);
    let of = |c: u32| {
        let at =
            (i64::from(c) * i64::from(reach.step) + i64::from(reach.start)).div_euclid(i64::from(reach.repeat.max(1)));
        match outside {
            _ if (0..source).contains(&at) => Some(at),
            _ if source == 0 => None,
            Outside::Fill(_) => None,
            Outside::Edge => Some(at.clamp(0, source - 1)),
            Outside::Wrap => Some(at.rem_euclid(source)),
            Outside::Reflect => {
                let period = (2 * (source - 1)).max(1);
                let at = at.rem_euclid(period);
                Some(if source == 1 { 0 } else { at.min(period - at) })
            }
        }
    };
    (0..extent).map(|c| of(c).map(|at| (at as u32, 1.0)).into_iter().collect()).collect()
}

impl Reverse<'_> {
    pub(super) fn resize(&mut self, step: &Step, problem: &ResizeProblem, gradient: Value) -> Result<()> {
        let kernel = step.constant(Operand::Kernel).and_then(|kernel| kernel.values());
        let Some(values) = kernel else { return Err(Self::without(step, "its table is not on the host")) };
        let links = |values: &[f32], taps: u32| -> PositionLinks {
            let pairs: Vec<(u32, f32)> = values.chunks_exact(2).map(|pair| (pair[0] as u32, pair[1])).collect();
            pairs.chunks(taps.max(1) as usize).map(<[_]>::to_vec).collect()
        };
        let [taps_h, taps_w] = problem.taps;
        let (rows, columns) = values.split_at(2 * (problem.output[0] * taps_h) as usize);
        let rows = transposed(&links(rows, taps_h), problem.input[0]);
        let columns = transposed(&links(columns, taps_w), problem.input[1]);
        let made = self.resampled(*problem, [&rows, &columns], gradient)?;
        self.give(step, Operand::Input, made)
    }

    /// The images `gradient` of the output extents of `of`, resampled to its input extents by these links.
    fn resampled(&mut self, of: ResizeProblem, [rows, columns]: [&PositionLinks; 2], gradient: Value) -> Result<Value> {
        if of.input.iter().chain(&of.output).any(|extent| *extent > MOST_POSITIONS) {
            return Err(Error::limit(
                "positions along a resampled axis",
                u64::from(of.output[0].max(of.input[0])),
                MOST_POSITIONS.into(),
            ));
        }
        let ((rows, taps_h), (columns, taps_w)) = (table(rows), table(columns));
        let kernel = Kernel::table([rows, columns].concat());
        let problem = ResizeProblem { input: of.output, output: of.input, taps: [taps_h, taps_w], ..of };
        let elements: usize =
            [of.batch, of.channels, of.input[0], of.input[1]].map(|dim| dim as usize).iter().product();
        let reads = Reads::of(gradient).constant(Operand::Kernel, &kernel);
        self.tape.step(Problem::Resize(problem), reads, [elements].into(), of.dtype)
    }

    /// The part of the gradient that the move wrote, summed along each axis over the coordinates of a source, and put where
    /// the sources lie.
    pub(super) fn movement(&mut self, step: &Step, problem: &MoveProblem, gradient: Value) -> Result<()> {
        let dtype = problem.dtype;
        let of_input = match step.reading(Operand::Input) {
            Some(Read::Value(value)) => self.tape.shape(*value).clone(),
            Some(Read::Constant(kernel)) => kernel.shape().clone(),
            None => return Ok(()),
        };
        let elements = of_input.elements()? as usize;
        let axes: Vec<MoveAxis> =
            problem.axes.iter().rev().filter(|a| a.extent != 1 || a.reach.is_some()).copied().collect();
        // The box, dense.
        let dims: Vec<usize> = axes.iter().map(|axis| axis.extent as usize).collect();
        let mut read = Vec::with_capacity(axes.len());
        for (axis, to) in axes.iter().zip(row_major(&dims)) {
            let from = narrow(axis.to.into())?;
            read.push(MoveAxis { extent: axis.extent, from, to: extent(to)?, reach: None });
        }
        let whole: usize = dims.iter().product();
        let mut part =
            if whole == self.tape.elements(gradient) as usize && problem.output_offset == 0 && in_order(&read) {
                gradient
            } else {
                let of = MoveProblem {
                    input_offset: problem.output_offset,
                    ..MoveProblem::new(&read, 0, Outside::ZERO, dtype)?
                };
                self.tape.step(Problem::Move(of), gradient, [whole].into(), dtype)?
            };
        // Each axis by itself: from coordinates to sources.
        let mut extents = dims;
        for (index, axis) in axes.iter().enumerate() {
            let product = |dims: &[usize]| dims.iter().product::<usize>();
            let (outer, inner) = (product(&extents[..index]), product(&extents[index + 1..]));
            if let Some(reach) = &axis.reach {
                let links = transposed(&sources(reach, problem.outside, axis.extent), reach.source);
                let of = ResizeProblem {
                    batch: extent(outer)?,
                    channels: extent(inner)?,
                    input: [reach.source, 1],
                    output: [axis.extent, 1],
                    taps: [1, 1],
                    dtype,
                    data_format: DataFormat::ChannelsLast,
                };
                part = self.resampled(of, [&links, &vec![vec![(0, 1.0)]]], part)?;
                extents[index] = reach.source as usize;
            }
            if axis.from == 0 && extents[index] != 1 {
                part = self.tape.reshape(part, vec![outer, extents[index], inner])?;
                part = reduce(self.tape, AxisFunction::Sum, &[1], false, part)?;
                extents[index] = 1;
            }
        }
        // Back to where the sources lie.
        let mut write = Vec::with_capacity(axes.len());
        let (mut first, mut offset) = (0u32, i64::from(problem.input_offset));
        for ((axis, &dim), from) in axes.iter().zip(&extents).zip(row_major(&extents)) {
            let from = narrow(from as u64)?;
            let backwards = axis.from < 0;
            if backwards {
                let last = dim.saturating_sub(1) as u32;
                first += last * from.unsigned_abs();
                offset += i64::from(axis.from) * i64::from(last);
            }
            let from = if backwards { -from } else { from };
            write.push(MoveAxis { extent: extent(dim)?, from, to: axis.from.unsigned_abs(), reach: None });
        }
        let offset = u32::try_from(offset)
            .map_err(|_| Error::limit("elements of one tensor", offset.unsigned_abs(), u32::MAX.into()))?;
        let whole: usize = extents.iter().product();
        let made = if whole == elements && offset == 0 && in_order(&write) {
            part
        } else {
            let made = self.tape.uninitialized(of_input, dtype)?;
            if whole != elements {
                fill(self.tape, made, 0.0)?;
            }
            let of = MoveProblem { input_offset: first, ..MoveProblem::new(&write, offset, Outside::ZERO, dtype)? };
            if whole > 0 {
                self.tape.step_into(Problem::Move(of), part, made);
            }
            made
        };
        self.give(step, Operand::Input, made)
    }
}

/// Whether every axis lies in input and output alike.
fn in_order(axes: &[MoveAxis]) -> bool {
    axes.iter().all(|axis| axis.extent == 1 || i64::from(axis.from) == i64::from(axis.to))
}

fn narrow(stride: u64) -> Result<i32> {
    i32::try_from(stride).map_err(|_| Error::limit("elements from one coordinate to the next", stride, i32::MAX as u64))
}
