//! GlobalAveragePooling2D.

use std::sync::Arc;

use super::Common;
use super::arguments::{channels, common_setters};
use super::describe::Describe;
use crate::ops::{self, Kernel, Tape, Value};
use crate::{DataFormat, PartialShape, Result, Settings};

/// The mean over height and width.
///
/// # Shapes
/// Input `[batch, height, width, channels]`, or `[batch, channels, height, width]` with
/// [`ChannelsFirst`](DataFormat::ChannelsFirst); output `[batch, channels]`, or with height and width of 1 if
/// `keepdims`.
///
/// ```
/// use wgpu_conv::layers::GlobalAveragePooling2D;
///
/// let pool = GlobalAveragePooling2D::new();
/// assert_eq!(pool.output_shape([2, 5, 7, 3])?.to_string(), "(2, 3)");
/// assert_eq!(pool.keepdims(true).output_shape([2, 5, 7, 3])?.to_string(), "(2, 1, 1, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalAveragePooling2D {
    /// Name, trainability and types.
    pub common: Common,
    /// Where the channels stand; `image_data_format` of [`Settings`] by default.
    pub data_format: DataFormat,
    /// Whether height and width stay, with extent 1; false by default.
    pub keepdims: bool,
}

common_setters!(GlobalAveragePooling2D, common);

impl Default for GlobalAveragePooling2D {
    fn default() -> Self {
        let settings = Settings::current_or_default();
        Self { common: Common::new(&settings), data_format: settings.image_data_format, keepdims: false }
    }
}

impl GlobalAveragePooling2D {
    /// A layer that averages over height and width, and drops both axes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the data format and the dtype policy from `settings` instead of the process's own.
    pub fn settings(mut self, settings: &Settings) -> Self {
        self.data_format = settings.image_data_format;
        self.common.dtype = settings.floatx;
        self
    }

    /// Where the channels stand; `image_data_format` of the [`Settings`] by default.
    pub fn data_format(mut self, data_format: DataFormat) -> Self {
        self.data_format = data_format;
        self
    }

    /// Whether height and width stay, with extent 1; false by default.
    pub fn keepdims(mut self, keepdims: bool) -> Self {
        self.keepdims = keepdims;
        self
    }

    /// The output shape for `input`, whose batch, height and width may be unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where [building](super::LayerConfig::build) the layer would refuse its
    /// arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        channels(self.data_format, &input, 4)?;
        let (batch, channels, _) = self.data_format.split::<_, 2>(input.dims());
        let dims =
            if self.keepdims { self.data_format.join(batch, channels, [Some(1); 2]) } else { vec![batch, channels] };
        Ok(dims.into())
    }
}

impl Describe for GlobalAveragePooling2D {
    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<()> {
        Settings::current()?;
        self.common.validate()
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let axes = match self.data_format {
            DataFormat::ChannelsLast => 1..3,
            DataFormat::ChannelsFirst => 2..4,
        };
        let shape = self.output_shape(tape.shape(inputs[0]))?;
        let means = ops::mean(tape, axes, inputs[0])?;
        match shape.known() {
            Some(shape) => tape.reshape(means, shape),
            None => Ok(means),
        }
    }
}
