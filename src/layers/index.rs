//! Index: NumPy's basic indexing.

use std::sync::Arc;

use super::Common;
use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use super::slice::part;
use crate::ops::{self, Kernel, Span, Tape, Value};
use crate::plan::Outside;
use crate::{Error, PartialShape, Result, Settings};

/// What an [`Index`] does with one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subscript {
    /// Takes the position and drops the axis; negative ones count from the end.
    At(i32),
    /// Drops the axis, whose extent must be 1.
    Only,
    /// Takes positions from `start` to before `stop`, each `step` apart, as Python's slices do.
    Range {
        /// The first position; `None` is the first on the way.
        start: Option<i32>,
        /// The position behind the last; `None` is all the way.
        stop: Option<i32>,
        /// From one position to the next, not 0.
        step: i32,
    },
    /// Takes one of several equal parts.
    Part {
        /// Which, from 0.
        index: u32,
        /// Of how many.
        of: u32,
    },
    /// A new axis of extent 1.
    New,
    /// All axes that the others leave; at most once, at the end where it is not said.
    Ellipsis,
}

impl Subscript {
    /// The whole axis.
    pub const WHOLE: Self = Self::Range { start: None, stop: None, step: 1 };

    /// Whether it stands for an axis of the input.
    const fn takes_an_axis(self) -> bool {
        !matches!(self, Self::New | Self::Ellipsis)
    }
}

/// A part of a tensor by NumPy's basic indexing: `x[0, 1:-1, ..., None]`. Also what `expand_dims`, `squeeze`, `flip`, `split`
/// and `unstack` come to.
///
/// # Shapes
/// Input of any rank; output of the axes that are left, and new ones.
///
/// ```
/// use wgpu_conv::layers::{Index, Subscript};
///
/// let channel = Index::new([Subscript::Ellipsis, Subscript::At(-1)]);
/// assert_eq!(channel.output_shape([None, Some(5), Some(7), Some(3)])?.to_string(), "(None, 5, 7)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    /// Name, trainability and types.
    pub common: Common,
    /// What is done with the axes, in order.
    pub subscripts: Vec<Subscript>,
}

common_setters!(Index, common);

/// What becomes of an axis of the input, and of new ones.
enum Taken {
    New,
    Kept(Option<Span>),
    Dropped(Option<Span>),
}

impl Index {
    /// A layer that takes this part.
    pub fn new(subscripts: impl Into<Vec<Subscript>>) -> Self {
        Self { common: Common::new(&Settings::current()), subscripts: subscripts.into() }
    }

    /// The output shape for `input`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let dims = self.taken(&input.into())?.into_iter().filter_map(|taken| match taken {
            Taken::New => Some(Some(1)),
            Taken::Kept(span) => Some(span.map(|span| span.extent)),
            Taken::Dropped(_) => None,
        });
        Ok(dims.collect::<Vec<_>>().into())
    }

    fn taken(&self, input: &PartialShape) -> Result<Vec<Taken>> {
        let wrong = |rule: &'static str| {
            Error::invalid("subscripts", rule, format!("subscripts={:?}, input shape={input}", self.subscripts))
        };
        let named = self.subscripts.iter().filter(|subscript| subscript.takes_an_axis()).count();
        let rest = input.rank().checked_sub(named).ok_or_else(|| wrong("there must be an axis for each subscript"))?;
        let ellipsis = self.subscripts.contains(&Subscript::Ellipsis);
        let whole = |dim: &Option<usize>| Taken::Kept(dim.map(Span::whole));
        let mut taken = Vec::new();
        let mut dims = input.dims().iter();
        for &subscript in self.subscripts.iter().chain((!ellipsis).then_some(&Subscript::Ellipsis)) {
            match subscript {
                Subscript::New => taken.push(Taken::New),
                Subscript::Ellipsis => taken.extend(dims.by_ref().take(rest).map(whole)),
                Subscript::Range { start, stop, step } => {
                    let dim = dims.next().copied().flatten();
                    // Extents that are not known are kept by a slice of everything only.
                    let backwards = step < 0;
                    let start = start.unwrap_or(if backwards { i32::MAX } else { 0 });
                    let stop = stop.unwrap_or(if backwards { i32::MIN } else { i32::MAX });
                    taken.push(Taken::Kept(dim.map(|dim| part(dim, start, stop, step))));
                }
                Subscript::Part { index, of } => {
                    let span = match dims.next().copied().flatten() {
                        Some(dim) if !dim.is_multiple_of(of as usize) => {
                            return Err(wrong("the parts of an axis must be equally long"));
                        }
                        Some(dim) => {
                            let extent = dim / of as usize;
                            Some(Span { start: index as i64 * extent as i64, ..Span::whole(extent) })
                        }
                        None => None,
                    };
                    taken.push(Taken::Kept(span));
                }
                Subscript::At(position) => {
                    let span = match dims.next().copied().flatten() {
                        Some(dim) => {
                            let place = i64::from(position) + if position < 0 { dim as i64 } else { 0 };
                            if !(0..dim as i64).contains(&place) {
                                return Err(wrong("a position must lie within its axis"));
                            }
                            Some(Span { start: place, ..Span::whole(1) })
                        }
                        None => None,
                    };
                    taken.push(Taken::Dropped(span));
                }
                Subscript::Only => match dims.next().copied().flatten() {
                    Some(1) | None => taken.push(Taken::Dropped(Some(Span::whole(1)))),
                    Some(_) => return Err(wrong("an axis that is squeezed must have extent 1")),
                },
            }
        }
        Ok(taken)
    }
}

impl Describe for Index {
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
        let sound = |subscript: &Subscript| match *subscript {
            Subscript::Range { step, .. } => step != 0,
            Subscript::Part { index, of } => index < of,
            _ => true,
        };
        let ellipses = self.subscripts.iter().filter(|subscript| **subscript == Subscript::Ellipsis).count();
        if ellipses > 1 || !self.subscripts.iter().all(sound) {
            return Err(Error::invalid(
                "subscripts",
                "there must be at most one ellipsis, no step of 0, and no part that there is not",
                format!("subscripts={:?}", self.subscripts),
            ));
        }
        Ok(())
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let taken = self.taken(&tape.shape(inputs[0]).into())?;
        let spans = taken.iter().filter_map(|taken| match taken {
            Taken::New => None,
            Taken::Kept(span) | Taken::Dropped(span) => *span,
        });
        let spans: Vec<Span> = spans.collect();
        let part = ops::gather(tape, &spans, Outside::ZERO, inputs[0])?;
        let shape = self.output_shape(tape.shape(inputs[0]))?.known().unwrap_or_default();
        tape.reshape(part, shape)
    }
}

#[cfg(feature = "keras")]
impl Configured for Index {
    const REQUIRED: &'static [&'static str] = &["subscripts"];

    fn template() -> Self {
        Self::new([])
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("subscripts", &mut self.subscripts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_numpys_shapes() {
        use Subscript::{At, Ellipsis, New, Only, Part, Range};
        let reversed = Range { start: None, stop: None, step: -1 };
        let middle = Range { start: Some(1), stop: Some(-1), step: 1 };
        let shape = |subscripts: &[Subscript], input: &[usize]| {
            Index::new(subscripts).output_shape(crate::Shape::from(input)).map(|shape| shape.to_string())
        };
        for (subscripts, expected) in [
            (&[][..], "(2, 5, 1)"),
            (&[At(-1)], "(5, 1)"),
            (&[Ellipsis, At(0)], "(2, 5)"),
            (&[Subscript::WHOLE, middle, New], "(2, 3, 1, 1)"),
            (&[New, Ellipsis, Only], "(1, 2, 5)"),
            (&[Ellipsis, reversed, Subscript::WHOLE], "(2, 5, 1)"),
            (&[Part { index: 1, of: 2 }], "(1, 5, 1)"),
        ] {
            assert_eq!(shape(subscripts, &[2, 5, 1]).unwrap(), expected, "{subscripts:?}");
        }
        for subscripts in [
            &[At(2)][..],
            &[At(-3)],
            &[Ellipsis, Ellipsis],
            &[Subscript::WHOLE; 4],
            &[Subscript::WHOLE, Only],
            &[Part { index: 0, of: 3 }],
            &[Part { index: 2, of: 2 }],
            &[Range { start: None, stop: None, step: 0 }],
        ] {
            assert!(shape(subscripts, &[2, 5, 1]).is_err(), "{subscripts:?}");
        }
    }
}
