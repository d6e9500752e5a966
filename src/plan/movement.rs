//! What is asked of a movement: elements that are only put elsewhere, computed with by nobody.
//!
//! Slices, pads, permutations, repetitions and concatenations are all one loop over a box of coordinates, with a step in the
//! input and a step in the output for each axis.

use super::Parts;
use crate::geometry::product;
use crate::strides::{MOST_AXES, MoveAxes, MoveAxis, Outside, move_axes};
use crate::{DType, Result};

/// `output[Σ c·to + offset] = input[Σ source(c)·from]` for every coordinate `c` of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MoveProblem {
    /// The axes of the box, innermost first, merged; the last ones have extent 1.
    pub axes: [MoveAxis; MOST_AXES],
    /// The input element that source coordinate 0 of all axes names.
    pub input_offset: u32,
    /// The output element of coordinate 0.
    pub output_offset: u32,
    /// What is read where a source coordinate lies outside.
    pub outside: Outside,
    /// Storage of input and output.
    pub dtype: DType,
}

impl MoveProblem {
    /// The move over `axes`, outermost first; those that lie side by side are merged.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) where more than [`MOST_AXES`] remain, [`Error::Limit`](crate::Error::Limit) beyond 32 bits.
    pub fn new(axes: &[MoveAxis], output_offset: u32, outside: Outside, dtype: DType) -> Result<Self> {
        let MoveAxes { axes, from } = move_axes(axes)?;
        Ok(Self { axes, input_offset: from, output_offset, outside, dtype })
    }

    /// Elements that are written.
    pub fn elements(&self) -> u64 {
        product(self.axes.map(|axis| axis.extent))
    }

    /// The axis along which neighbours are furthest from each other in the output.
    pub(super) fn outermost(&self) -> usize {
        let axes = self.axes.iter().enumerate().filter(|(_, axis)| axis.extent > 1);
        axes.max_by_key(|(_, axis)| axis.to).map_or(0, |(index, _)| index)
    }

    /// The positions of the outermost axis, where all else that is read and written at one lies before the next.
    pub(super) fn parts(&self) -> Option<Parts> {
        let outermost = self.outermost();
        let MoveAxis { extent, from, to, reach } = self.axes[outermost];
        let others = || self.axes.iter().enumerate().filter(|(index, _)| *index != outermost).map(|(_, axis)| axis);
        let last = |axis: &MoveAxis| i64::from(axis.reach.map_or(axis.extent, |reach| reach.source)) - 1;
        let ends = others().map(|axis| last(axis) * i64::from(axis.from));
        let (least, most) = ends.fold((0, 0), |(least, most), end| (least + end.min(0), most + end.max(0)));
        let [least, most] = [least, most].map(|end| i64::from(self.input_offset) + end);
        let written = others().map(|axis| u64::from(axis.extent - 1) * u64::from(axis.to)).sum::<u64>();
        let apart = least >= 0 && (from == 0 || most < i64::from(from));
        let apart = apart && u64::from(self.output_offset) + written < to.into();
        let step = u64::try_from(from).ok()?;
        (reach.is_none() && apart).then_some(Parts { count: extent, steps: [step, 0, to.into(), 0] })
    }
}
