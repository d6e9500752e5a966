//! Reshape.

use std::sync::Arc;

use super::Common;
use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use crate::ops::{Kernel, Tape, Value};
use crate::{Error, PartialShape, Result, Settings};

/// The same elements under other axes behind the batch.
///
/// # Shapes
/// Input `[batch, …]`; output `[batch, target_shape…]`.
///
/// ```
/// use wgpu_conv::layers::Reshape;
///
/// assert_eq!(Reshape::new([4, -1]).output_shape([None, Some(3), Some(8)])?.to_string(), "(None, 4, 6)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Reshape {
    /// Name, trainability and types.
    pub common: Common,
    /// The extents behind the batch; one of them may be −1, for whatever remains.
    pub target_shape: Vec<i32>,
}

common_setters!(Reshape, common);

impl Reshape {
    /// A layer of output extents `target_shape` behind the batch, of which one may be −1.
    pub fn new(target_shape: impl Into<Vec<i32>>) -> Self {
        Self { common: Common::new(&Settings::current()), target_shape: target_shape.into() }
    }

    /// The output shape for `input`, of which the batch may be unknown; so may be other axes, and then the extent of −1 is.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        let Some((batch, rest)) = input.dims().split_first() else {
            return Err(Error::invalid("input", "the input must have a batch axis", format!("input shape={input}")));
        };
        let elements = PartialShape::elements_of(rest)?;
        let fixed: Vec<_> = self.target_shape.iter().filter_map(|&dim| usize::try_from(dim).ok()).map(Some).collect();
        let known = PartialShape::elements_of(&fixed)?.unwrap_or(1);
        let open = self.target_shape.contains(&-1);
        let fits = |elements: usize| match open {
            true => known != 0 && elements.is_multiple_of(known),
            false => elements == known,
        };
        if elements.is_some_and(|elements| !fits(elements)) {
            return Err(Error::invalid(
                "target_shape",
                "the total size must be unchanged",
                format!("target_shape={:?}, input shape={input}", self.target_shape),
            ));
        }
        let remaining = elements.and_then(|elements| elements.checked_div(known));
        let dims = self.target_shape.iter().map(|&dim| usize::try_from(dim).map_or(remaining, Some));
        Ok([*batch].into_iter().chain(dims).collect::<Vec<_>>().into())
    }
}

impl Describe for Reshape {
    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        let open = self.target_shape.iter().filter(|&&dim| dim == -1).count();
        if open > 1 || self.target_shape.iter().any(|&dim| dim < -1) {
            return Err(Error::invalid(
                "target_shape",
                "`target_shape` must hold extents, of which one may be -1",
                format!("target_shape={:?}", self.target_shape),
            ));
        }
        Ok(())
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        match self.output_shape(tape.shape(inputs[0]))?.known() {
            Some(shape) => tape.reshape(inputs[0], shape),
            None => Ok(inputs[0]),
        }
    }
}

#[cfg(feature = "keras")]
impl Configured for Reshape {
    const REQUIRED: &'static [&'static str] = &["target_shape"];

    fn template() -> Self {
        Self::new([])
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("target_shape", &mut self.target_shape)
    }
}
