//! Slice.

use std::sync::Arc;

use super::Common;
use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::{Describe, distinct, index_of};
use crate::ops::{self, Kernel, Span, Tape, Value};
use crate::plan::Outside;
use crate::{Error, PartialShape, Result, Settings};

/// A part of a tensor, by starts, ends and steps along some axes: ONNX's Slice.
///
/// Starts and ends below 0 count from the end, and what lies beyond the ends is left out, as in NumPy; a negative step runs
/// backwards, from the start down to above the end.
///
/// # Shapes
/// Input of any rank; output with fewer positions along the axes.
///
/// ```
/// use wgpu_conv::layers::Slice;
///
/// let reversed = Slice::new([-1], [i32::MIN]).axes([2]).steps([-2]);
/// assert_eq!(reversed.output_shape([2, 5, 7, 3])?.to_string(), "(2, 5, 4, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// Name, trainability and types.
    pub common: Common,
    /// The first position along each axis.
    pub starts: Vec<i32>,
    /// The position behind the last along each axis.
    pub ends: Vec<i32>,
    /// The axes; empty means the first ones, in order.
    pub axes: Vec<i32>,
    /// From one position to the next along each axis, not 0; empty means 1.
    pub steps: Vec<i32>,
}

common_setters!(Slice, common);

impl Slice {
    /// A layer that takes positions from `starts` to before `ends` along the first axes.
    pub fn new(starts: impl Into<Vec<i32>>, ends: impl Into<Vec<i32>>) -> Self {
        let common = Common::new(&Settings::current());
        Self { common, starts: starts.into(), ends: ends.into(), axes: Vec::new(), steps: Vec::new() }
    }

    /// The axes, negative ones counted from the end; the first ones by default.
    pub fn axes(mut self, axes: impl Into<Vec<i32>>) -> Self {
        self.axes = axes.into();
        self
    }

    /// From one position to the next along each axis, not 0; 1 by default.
    pub fn steps(mut self, steps: impl Into<Vec<i32>>) -> Self {
        self.steps = steps.into();
        self
    }

    /// The output shape for `input`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let spans = self.spans(&input.into())?;
        Ok(spans.into_iter().map(|span| span.map(|span| span.extent)).collect::<Vec<_>>().into())
    }

    /// What is taken along each axis whose extent is known.
    fn spans(&self, input: &PartialShape) -> Result<Vec<Option<Span>>> {
        let mut spans: Vec<_> = input.dims().iter().map(|dim| dim.map(Span::whole)).collect();
        let first: Vec<i32> = (0..self.starts.len() as i32).collect();
        let axes = if self.axes.is_empty() { &first } else { &self.axes };
        distinct(axes, input)?;
        for (index, &axis) in axes.iter().enumerate() {
            let step = self.steps.get(index).copied().unwrap_or(1);
            let span = &mut spans[index_of(axis, input)?];
            *span = span.map(|span| part(span.extent, self.starts[index], self.ends[index], step));
        }
        Ok(spans)
    }
}

/// The positions from `start` to before `end`, `step` apart, of `extent`.
pub(super) fn part(extent: usize, start: i32, end: i32, step: i32) -> Span {
    let (extent, step) = (extent as i64, i64::from(step));
    // The ends that positions may take: before the first for a step backwards, behind the last for one forwards.
    let (least, most) = if step < 0 { (-1, extent - 1) } else { (0, extent) };
    let place = |position: i32| {
        let position = i64::from(position);
        (if position < 0 { position + extent } else { position }).clamp(least, most)
    };
    let (start, end) = (place(start), place(end));
    let distance = if step < 0 { start - end } else { end - start };
    let count = distance.max(0) as u64;
    Span { extent: count.div_ceil(step.unsigned_abs()) as usize, start, step, repeat: 1 }
}

impl Describe for Slice {
    fn module(&self) -> &'static str {
        super::OPERATORS
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        let fits = |list: &[i32]| list.is_empty() || list.len() == self.starts.len();
        if self.ends.len() != self.starts.len() || !fits(&self.axes) || !fits(&self.steps) || self.steps.contains(&0) {
            return Err(Error::invalid(
                "starts",
                "`starts`, `ends`, `axes` and `steps` must be equally many, and no step 0",
                format!("starts={:?}, ends={:?}, axes={:?}, steps={:?}", self.starts, self.ends, self.axes, self.steps),
            ));
        }
        Ok(())
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let spans = self.spans(&tape.shape(inputs[0]).into())?;
        let spans: Vec<Span> = spans.into_iter().flatten().collect();
        ops::gather(tape, &spans, Outside::ZERO, inputs[0])
    }
}

#[cfg(feature = "keras")]
impl Configured for Slice {
    const REQUIRED: &'static [&'static str] = &["starts", "ends"];

    fn template() -> Self {
        Self::new([], [])
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("starts", &mut self.starts)?;
        codec.field("ends", &mut self.ends)?;
        codec.field("axes", &mut self.axes)?;
        codec.field("steps", &mut self.steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The positions that Python's `range(extent)[start:end:step]` has.
    #[test]
    fn parts_are_those_of_python() {
        let positions = |extent, start, end, step| {
            let Span { extent, start, step, .. } = part(extent, start, end, step);
            (0..extent as i64).map(|i| start + i * step).collect::<Vec<_>>()
        };
        assert_eq!(positions(5, 1, 4, 1), [1, 2, 3]);
        assert_eq!(positions(5, -2, i32::MAX, 1), [3, 4]);
        assert_eq!(positions(5, 0, 5, 2), [0, 2, 4]);
        assert_eq!(positions(5, 4, 0, -2), [4, 2]);
        assert_eq!(positions(5, i32::MAX, i32::MIN, -1), [4, 3, 2, 1, 0]);
        assert_eq!(positions(5, 3, 1, 1), [0i64; 0]);
        assert_eq!(positions(5, 7, 9, 1), [0i64; 0]);
        assert_eq!(positions(0, 0, 5, -1), [0i64; 0]);
    }
}
