//! GlobalAveragePooling2D and GlobalMaxPooling2D.

use std::sync::Arc;

use super::Common;
use super::arguments::{common_setters, of_rank};
use super::describe::Describe;
use crate::ops::{self, Kernel, Tape, Value};
use crate::plan::AxisFunction;
use crate::{DataFormat, Error, PartialShape, Result, Settings};

/// A layer that makes one value of each channel's height and width.
macro_rules! global_pooling {
    ($(#[$doc:meta])* $layer:ident, $function:ident, $makes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $layer {
            /// Name, trainability and types.
            pub common: Common,
            /// Where the channels stand; `image_data_format` of [`Settings`] by default.
            pub data_format: DataFormat,
            /// Whether height and width stay, with extent 1; false by default.
            pub keepdims: bool,
        }

        common_setters!($layer, common);

        impl Default for $layer {
            fn default() -> Self {
                let settings = Settings::current();
                Self { common: Common::new(&settings), data_format: settings.image_data_format, keepdims: false }
            }
        }

        impl $layer {
            #[doc = concat!("A layer that ", $makes, " height and width, and drops both axes.")]
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

            /// The output shape for `input`; unknown extents stay unknown.
            ///
            /// # Errors
            /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would
            /// refuse its arguments or `input`.
            pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
                self.validate()?;
                let input = input.into();
                of_rank(&input, 4)?;
                let (batch, channels, spatial) = self.data_format.split::<_, 2>(input.dims());
                if spatial.contains(&Some(0)) && batch != Some(0) {
                    return Err(Error::invalid(
                        "input",
                        "height and width of what is pooled must be at least 1",
                        format!("input shape={input}"),
                    ));
                }
                let kept = self.keepdims.then(|| self.data_format.join(batch, channels, [Some(1); 2]));
                Ok(kept.unwrap_or_else(|| vec![batch, channels]).into())
            }
        }

        impl Describe for $layer {
            fn common(&self) -> &Common {
                &self.common
            }

            fn data_format(&self) -> Option<DataFormat> {
                Some(self.data_format)
            }

            fn validate(&self) -> Result<()> {
                self.common.validate()
            }

            fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
                self.output_shape(&inputs[0])
            }

            fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
                let axes = match self.data_format {
                    DataFormat::ChannelsLast => [1, 2],
                    DataFormat::ChannelsFirst => [2, 3],
                };
                ops::reduce(tape, AxisFunction::$function, &axes, self.keepdims, inputs[0])
            }
        }
    };
}

global_pooling!(
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
    GlobalAveragePooling2D,
    Mean,
    "averages over"
);

global_pooling!(
    /// The largest value of height and width; NaN where one is.
    ///
    /// # Shapes
    /// Input `[batch, height, width, channels]`, or `[batch, channels, height, width]` with
    /// [`ChannelsFirst`](DataFormat::ChannelsFirst); output `[batch, channels]`, or with height and width of 1 if
    /// `keepdims`.
    ///
    /// ```
    /// use wgpu_conv::layers::GlobalMaxPooling2D;
    ///
    /// let pool = GlobalMaxPooling2D::new();
    /// assert_eq!(pool.output_shape([2, 5, 7, 3])?.to_string(), "(2, 3)");
    /// assert_eq!(pool.keepdims(true).output_shape([2, 5, 7, 3])?.to_string(), "(2, 1, 1, 3)");
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    GlobalMaxPooling2D,
    Max,
    "takes the maximum over"
);
