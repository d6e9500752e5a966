//! Pad and Expand.

use std::sync::Arc;

use super::Common;
use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use crate::ops::{self, Kernel, Span, Tape, Value};
use crate::plan::Outside;
use crate::strides::broadcast_partial;
use crate::{Error, PartialShape, Result, Settings};

/// What stands in the pads of a [`Pad`] layer.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum PadMode {
    /// A value.
    Constant(f32),
    /// The nearest element of the input.
    Edge,
    /// The mirror image in the first or last element, which is not repeated.
    Reflect,
    /// The other end of the input.
    Wrap,
}

/// More positions before and after along any axes: ONNX's Pad. Negative pads cut off.
///
/// # Shapes
/// Input of one axis for each pad; output longer by the pads.
///
/// ```
/// use wgpu_conv::layers::{Pad, PadMode};
///
/// let pad = Pad::new([[0, 0], [2, 1], [0, -1]]).mode(PadMode::Reflect);
/// assert_eq!(pad.output_shape([None, Some(5), Some(7)])?.to_string(), "(None, 8, 6)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Pad {
    /// Name, trainability and types.
    pub common: Common,
    /// Positions before and after, for each axis, the batch included.
    pub pads: Vec<[i32; 2]>,
    /// What stands in them; zeros by default.
    pub mode: PadMode,
}

common_setters!(Pad, common);

impl Pad {
    /// A layer that adds `pads` before and after each axis, filled with zeros.
    pub fn new(pads: impl Into<Vec<[i32; 2]>>) -> Self {
        Self { common: Common::new(&Settings::current()), pads: pads.into(), mode: PadMode::Constant(0.0) }
    }

    /// What stands in the pads; zeros by default.
    pub fn mode(mut self, mode: PadMode) -> Self {
        self.mode = mode;
        self
    }

    /// The output shape for `input`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        if input.rank() != self.pads.len() {
            return Err(Error::invalid(
                "pads",
                "`pads` must be one pair for each axis of the input",
                format!("pads={:?}, input shape={input}", self.pads),
            ));
        }
        let mut output = Vec::with_capacity(input.rank());
        for (&dim, pads) in input.dims().iter().zip(&self.pads) {
            let sum = |pick: fn(i32, i32) -> i32| pads.iter().map(|&pad| i64::from(pick(pad, 0))).sum::<i64>();
            let [cut, more] = [sum(i32::min), sum(i32::max)];
            let left = dim.map(|dim| dim as i64 + cut);
            // Nothing mirrors, and nothing repeats, what is not there.
            let empty = left == Some(0) && more > 0 && !matches!(self.mode, PadMode::Constant(_));
            if empty || left.is_some_and(|left| left < 0) {
                return Err(Error::invalid(
                    "pads",
                    "`pads` must not cut off more than there is, and repeat something that is left",
                    format!("pads={:?}, input shape={input}", self.pads),
                ));
            }
            let padded = left.map(|left| left + more);
            output.push(padded.map(|padded| padded as usize));
        }
        Ok(output.into())
    }
}

impl Describe for Pad {
    fn module(&self) -> &'static str {
        super::OPERATORS
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    /// Pads that cut come first: what is cut off is not repeated.
    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let outside = match self.mode {
            PadMode::Constant(value) => Outside::fill(value),
            PadMode::Edge => Outside::Edge,
            PadMode::Reflect => Outside::Reflect,
            PadMode::Wrap => Outside::Wrap,
        };
        let mut value = inputs[0];
        for side in [i32::min as fn(i32, i32) -> i32, i32::max] {
            let shifted = |(&dim, pads): (&usize, &[i32; 2])| {
                let [before, after] = pads.map(|pad| i64::from(side(pad, 0)));
                Span::shifted((dim as i64 + before + after) as usize, before)
            };
            let spans: Vec<Span> = tape.shape(value).dims().iter().zip(&self.pads).map(shifted).collect();
            value = ops::gather(tape, &spans, outside, value)?;
        }
        Ok(value)
    }
}

/// A tensor repeated along axes of extent 1, and along new ones before them: ONNX's Expand.
///
/// # Shapes
/// Input that broadcasts to `shape`, or to which `shape` broadcasts along some axes; output of the shape of both.
///
/// ```
/// use wgpu_conv::layers::Expand;
///
/// assert_eq!(Expand::new([2, 1, 4]).output_shape([3, 1])?.to_string(), "(2, 3, 4)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Expand {
    /// Name, trainability and types.
    pub common: Common,
    /// The extents to reach; 1 keeps the input's.
    pub shape: Vec<u32>,
}

common_setters!(Expand, common);

impl Expand {
    /// A layer that broadcasts its input with `shape`.
    pub fn new(shape: impl Into<Vec<u32>>) -> Self {
        Self { common: Common::new(&Settings::current()), shape: shape.into() }
    }

    /// The output shape for `input`; extents are unknown where the input's are and `shape` does not give them.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        let shape: Vec<_> = self.shape.iter().map(|&dim| Some(dim as usize)).collect();
        broadcast_partial(input.dims(), &shape).map(Into::into).ok_or_else(|| {
            Error::invalid(
                "shape",
                "the input must broadcast with `shape`",
                format!("shape={:?}, input shape={input}", self.shape),
            )
        })
    }
}

impl Describe for Expand {
    fn module(&self) -> &'static str {
        super::OPERATORS
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        match self.output_shape(tape.shape(inputs[0]))?.known() {
            Some(shape) => ops::expand(tape, shape.dims(), inputs[0]),
            None => Ok(inputs[0]),
        }
    }
}

#[cfg(feature = "keras")]
impl Configured for Expand {
    const REQUIRED: &'static [&'static str] = &["shape"];

    fn template() -> Self {
        Self::new([])
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("shape", &mut self.shape)
    }
}

#[cfg(feature = "keras")]
impl Configured for Pad {
    const REQUIRED: &'static [&'static str] = &["pads"];

    fn template() -> Self {
        Self::new([])
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("pads", &mut self.pads)?;
        codec.field("mode", &mut self.mode)
    }
}
