//! Flatten.

use std::sync::Arc;

use super::Common;
use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use crate::ops::{self, Kernel, Tape, Value};
use crate::{DataFormat, Error, PartialShape, Result, Settings};

/// All axes behind the batch as one.
///
/// With [`ChannelsFirst`](DataFormat::ChannelsFirst) the channels go last before, as in Keras, so that weights behind it
/// do not depend on the data format.
///
/// # Shapes
/// Input `[batch, …]`; output `[batch, elements]`.
///
/// ```
/// use wgpu_conv::layers::Flatten;
///
/// assert_eq!(Flatten::new().output_shape([None, Some(5), Some(7), Some(3)])?.to_string(), "(None, 105)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Flatten {
    /// Name, trainability and types.
    pub common: Common,
    /// Where the channels stand; `image_data_format` of [`Settings`] by default.
    pub data_format: DataFormat,
}

common_setters!(Flatten, common);

impl Default for Flatten {
    fn default() -> Self {
        let settings = Settings::current();
        Self { common: Common::new(&settings), data_format: settings.image_data_format }
    }
}

impl Flatten {
    /// A layer that leaves the batch and one axis.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the channels stand; `image_data_format` of the [`Settings`] by default.
    pub fn data_format(mut self, data_format: DataFormat) -> Self {
        self.data_format = data_format;
        self
    }

    /// The output shape for `input`; unknown where an extent behind the batch is.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        let [batch, rest @ ..] = input.dims() else {
            return Err(Error::invalid("input", "the input must have a batch axis", format!("input shape={input}")));
        };
        Ok(vec![*batch, PartialShape::elements_of(rest)?].into())
    }
}

impl Describe for Flatten {
    fn common(&self) -> &Common {
        &self.common
    }

    fn data_format(&self) -> Option<DataFormat> {
        Some(self.data_format)
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let rank = tape.shape(inputs[0]).rank();
        let input = match self.data_format {
            DataFormat::ChannelsFirst if rank > 2 => {
                let order: Vec<usize> = [0].into_iter().chain(2..rank).chain([1]).collect();
                ops::permute(tape, &order, inputs[0])?
            }
            _ => inputs[0],
        };
        let [batch, rest @ ..] = tape.shape(input).dims() else { return Ok(input) };
        let shape = [*batch, rest.iter().product()];
        tape.reshape(input, shape)
    }
}

#[cfg(feature = "keras")]
impl Configured for Flatten {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("data_format", &mut self.data_format)
    }
}
