//! GlobalAveragePooling1D to GlobalAveragePooling3D, and GlobalMaxPooling1D to GlobalMaxPooling3D.

use std::sync::Arc;

use super::Common;
use super::arguments::{common_setters, of_rank};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use super::mask::kept;
use crate::ops::{self, Kernel, Tape, Value};
use crate::plan::{AxisFunction, BinaryFunction};
use crate::{DataFormat, Error, PartialShape, Result, Settings};

/// A layer that makes one value of each channel.
macro_rules! global_pooling {
    ($(#[$doc:meta])* $layer:ident, $function:ident, $makes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $layer<const R: usize> {
            /// Name, trainability and types.
            pub common: Common,
            /// Where the channels stand; `image_data_format` of [`Settings`] by default.
            pub data_format: DataFormat,
            /// Whether the spatial axes stay, with extent 1; false by default.
            pub keepdims: bool,
        }

        common_setters!($layer<R>, common);

        impl<const R: usize> Default for $layer<R> {
            fn default() -> Self {
                let settings = Settings::current();
                Self { common: Common::new(&settings), data_format: settings.image_data_format, keepdims: false }
            }
        }

        impl<const R: usize> $layer<R> {
            #[doc = concat!("A layer that ", $makes, " the spatial axes, and drops them.")]
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

            /// Whether the spatial axes stay, with extent 1; false by default.
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
                of_rank(&input, R + 2)?;
                let (batch, channels, spatial) = self.data_format.split::<_, R>(input.dims());
                if spatial.contains(&Some(0)) && batch != Some(0) {
                    return Err(Error::invalid(
                        "input",
                        "the spatial extents of what is pooled must be at least 1",
                        format!("input shape={input}"),
                    ));
                }
                let kept = self.keepdims.then(|| self.data_format.join(batch, channels, [Some(1); R]));
                Ok(kept.unwrap_or_else(|| vec![batch, channels]).into())
            }
        }

        impl<const R: usize> Describe for $layer<R> {
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
                let first = match self.data_format {
                    DataFormat::ChannelsLast => 1,
                    DataFormat::ChannelsFirst => 2,
                };
                let axes: [usize; R] = std::array::from_fn(|axis| first + axis);
                let mask = tape.mask(inputs[0]).filter(|_| R == 1 && AxisFunction::$function == AxisFunction::Mean);
                if let Some(mask) = mask {
                    return masked_mean(tape, axes[0], self.keepdims, inputs[0], mask);
                }
                ops::reduce(tape, AxisFunction::$function, &axes, self.keepdims, inputs[0])
            }
        }
    };
}

/// The mean of sequences over their times, those that are masked away left out.
fn masked_mean(tape: &mut Tape, axis: usize, keepdims: bool, input: Value, mask: Value) -> Result<Value> {
    let mut dims = tape.shape(mask).dims().to_vec();
    if dims.len() != 2 {
        let rule = "the mask of sequences must be [batch, times]";
        return Err(Error::invalid("mask", rule, format!("mask shape={}", tape.shape(mask))));
    }
    dims.insert(3 - axis, 1);
    let mask = tape.reshape(mask, dims)?;
    let mask = ops::cast(tape, tape.dtype(input), None, mask)?;
    let input = kept(tape, input, mask)?;
    let sum = ops::reduce(tape, AxisFunction::Sum, &[axis], keepdims, input)?;
    let count = ops::reduce(tape, AxisFunction::Sum, &[axis], keepdims, mask)?;
    ops::two(tape, BinaryFunction::Divide, sum, count)
}

global_pooling!(
    /// The mean over `R` spatial axes, 1 to 3.
    ///
    /// # Shapes
    /// Input `[batch, …axes, channels]`, or `[batch, channels, …axes]` with
    /// [`ChannelsFirst`](DataFormat::ChannelsFirst); output `[batch, channels]`, or with spatial extents of 1 if `keepdims`.
    ///
    /// ```
    /// use wgpu_conv::layers::GlobalAveragePooling2D;
    ///
    /// let pool = GlobalAveragePooling2D::new();
    /// assert_eq!(pool.output_shape([2, 5, 7, 3])?.to_string(), "(2, 3)");
    /// assert_eq!(pool.keepdims(true).output_shape([2, 5, 7, 3])?.to_string(), "(2, 1, 1, 3)");
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    GlobalAveragePooling,
    Mean,
    "averages over"
);

global_pooling!(
    /// The largest value of `R` spatial axes, 1 to 3; NaN where one is.
    ///
    /// # Shapes
    /// Input `[batch, …axes, channels]`, or `[batch, channels, …axes]` with
    /// [`ChannelsFirst`](DataFormat::ChannelsFirst); output `[batch, channels]`, or with spatial extents of 1 if `keepdims`.
    ///
    /// ```
    /// use wgpu_conv::layers::GlobalMaxPooling2D;
    ///
    /// let pool = GlobalMaxPooling2D::new();
    /// assert_eq!(pool.output_shape([2, 5, 7, 3])?.to_string(), "(2, 3)");
    /// assert_eq!(pool.keepdims(true).output_shape([2, 5, 7, 3])?.to_string(), "(2, 1, 1, 3)");
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    GlobalMaxPooling,
    Max,
    "takes the maximum over"
);

/// The mean of each channel of sequences `[batch, steps, channels]`.
pub type GlobalAveragePooling1D = GlobalAveragePooling<1>;

/// The mean of each channel of images `[batch, height, width, channels]`.
pub type GlobalAveragePooling2D = GlobalAveragePooling<2>;

/// The mean of each channel of volumes `[batch, depth, height, width, channels]`.
pub type GlobalAveragePooling3D = GlobalAveragePooling<3>;

/// The largest value of each channel of sequences `[batch, steps, channels]`.
pub type GlobalMaxPooling1D = GlobalMaxPooling<1>;

/// The largest value of each channel of images `[batch, height, width, channels]`.
pub type GlobalMaxPooling2D = GlobalMaxPooling<2>;

/// The largest value of each channel of volumes `[batch, depth, height, width, channels]`.
pub type GlobalMaxPooling3D = GlobalMaxPooling<3>;

#[cfg(feature = "keras")]
impl<const R: usize> Configured for GlobalAveragePooling<R> {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("data_format", &mut self.data_format)?;
        codec.field("keepdims", &mut self.keepdims)
    }
}

#[cfg(feature = "keras")]
impl<const R: usize> Configured for GlobalMaxPooling<R> {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("data_format", &mut self.data_format)?;
        codec.field("keepdims", &mut self.keepdims)
    }
}
