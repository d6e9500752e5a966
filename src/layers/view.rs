//! View, the operator behind ONNX's Reshape, Flatten, Squeeze and Unsqueeze.

use std::sync::Arc;

use super::Common;
use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use crate::ops::{Kernel, Tape, Value};
use crate::{Error, PartialShape, Result, Settings, Shape};

/// One extent of what a [`View`] makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Extent {
    /// That of this axis of the input.
    Axis(usize),
    /// This one.
    Of(usize),
    /// What is left of the elements; at most once.
    Rest,
}

/// The same elements under another shape, the batch axis included; nothing is computed for it.
///
/// Keras's [`Reshape`](super::Reshape) leaves the batch alone; this is for files whose operators do not.
///
/// # Shapes
/// Input of any shape; output of the extents given, with as many elements.
///
/// ```
/// use wgpu_conv::layers::{Extent, View};
///
/// let rows = View::new([Extent::Rest, Extent::Axis(2)]);
/// assert_eq!(rows.output_shape([Some(2), Some(3), Some(4)])?.to_string(), "(6, 4)");
/// assert_eq!(rows.output_shape([None, Some(3), Some(4)])?.to_string(), "(None, 4)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Name, trainability and types.
    pub common: Common,
    /// The extents of the output.
    pub extents: Vec<Extent>,
}

common_setters!(View, common);

impl View {
    /// A layer whose output has these extents.
    pub fn new(extents: impl Into<Vec<Extent>>) -> Self {
        Self { common: Common::new(&Settings::current()), extents: extents.into() }
    }

    /// The output shape for `input`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the extents do not hold the input's elements.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        let wrong = || {
            let received = format!("extents={:?}, input shape={input}", self.extents);
            Error::invalid("extents", "the extents of a view must hold the elements of its input", received)
        };
        // Elements of the input, and of the output but for the rest. Unknown extents that are kept cancel out.
        let mut unknown: Vec<usize> = (0..input.rank()).filter(|&axis| input.dims()[axis].is_none()).collect();
        let mut others = 1u64;
        let mut dims = Vec::with_capacity(self.extents.len());
        let mut open = 0;
        for extent in &self.extents {
            dims.push(match *extent {
                Extent::Of(dim) => Some(dim),
                Extent::Rest => None,
                Extent::Axis(axis) => *input.dims().get(axis).ok_or_else(wrong)?,
            });
            match (extent, dims.last().copied().flatten()) {
                (Extent::Rest, _) => {}
                (_, Some(dim)) => others = others.checked_mul(dim as u64).ok_or_else(wrong)?,
                (Extent::Axis(axis), None) => match unknown.iter().position(|other| other == axis) {
                    Some(place) => drop(unknown.swap_remove(place)),
                    None => open += 1,
                },
                (Extent::Of(_), None) => {}
            }
        }
        if unknown.is_empty() && open == 0 {
            let known: Vec<usize> = input.dims().iter().copied().flatten().collect();
            let elements = Shape::from(known).elements()?;
            match self.extents.iter().position(|extent| *extent == Extent::Rest) {
                Some(rest) if others != 0 && elements.is_multiple_of(others) => {
                    dims[rest] = Some(usize::try_from(elements / others).map_err(|_| wrong())?);
                }
                None if elements == others => {}
                _ => return Err(wrong()),
            }
        }
        Ok(dims.into())
    }
}

impl Describe for View {
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
        if self.extents.iter().filter(|extent| **extent == Extent::Rest).count() > 1 {
            let received = format!("extents={:?}", self.extents);
            return Err(Error::invalid("extents", "at most one extent of a view may be the rest", received));
        }
        Ok(())
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let shape = self.output_shape(tape.shape(inputs[0]))?.known().unwrap_or_default();
        tape.reshape(inputs[0], shape)
    }
}

#[cfg(feature = "keras")]
impl Configured for View {
    const REQUIRED: &'static [&'static str] = &["extents"];

    fn template() -> Self {
        Self::new([])
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("extents", &mut self.extents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_hold_the_elements_or_are_refused() {
        use Extent::{Axis, Of, Rest};
        let shape = |extents: &[Extent], input: &[Option<usize>]| {
            View::new(extents).output_shape(input.to_vec()).map(|shape| shape.dims().to_vec())
        };
        let (two, three) = (Some(2), Some(3));
        assert_eq!(shape(&[Axis(0), Rest], &[None, two, three]).unwrap(), [None, Some(6)]);
        assert_eq!(shape(&[Rest, Of(6)], &[None, two, three]).unwrap(), [None, Some(6)]);
        assert_eq!(shape(&[Axis(1), Axis(0), Of(3)], &[None, two, three]).unwrap(), [two, None, three]);
        assert_eq!(shape(&[], &[Some(1), Some(1)]).unwrap(), []);
        assert_eq!(shape(&[Of(1)], &[]).unwrap(), [Some(1)]);
        assert_eq!(shape(&[Axis(0), Of(0)], &[two, Some(0)]).unwrap(), [two, Some(0)]);
        for (extents, input) in [
            (&[Axis(0), Of(5)][..], &[None, two, three][..]),
            (&[Axis(3)], &[two, three]),
            (&[Rest, Rest], &[two, three]),
            (&[Rest, Of(4)], &[two, three]),
            (&[Rest, Of(0)], &[two, Some(0)]),
            (&[Of(usize::MAX), Of(usize::MAX)], &[two]),
        ] {
            assert!(shape(extents, input).is_err(), "{extents:?}, {input:?}");
        }
    }
}
