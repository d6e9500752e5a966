//! MaxPooling1D to MaxPooling3D, and AveragePooling1D to AveragePooling3D.

use std::sync::Arc;

use super::arguments::{axes_of, common_setters, each_axis, of_rank, positive};
use super::describe::Describe;
use super::{Common, PerAxis, Window};
use crate::geometry::{self, Axis};
use crate::ops::{self, Kernel, Tape, Value};
use crate::plan::PoolFunction;
use crate::{DataFormat, Error, Padding, PartialShape, Result, Settings};

/// The windows along a spatial axis of `extent`.
fn axis<const R: usize>(window: &Window<R>, index: usize, extent: usize, input: &PartialShape) -> Result<Axis> {
    let (size, stride) = (window.kernel_size[index], window.strides[index]);
    Axis::conv(geometry::extent(extent)?, size, stride, 1, window.padding).ok_or_else(|| {
        Error::invalid(
            "input",
            "the computed output size must not be zero or negative",
            format!(
                "input shape={input}, pool_size={:?}, strides={:?}, padding={}",
                window.kernel_size,
                window.strides,
                window.padding.name()
            ),
        )
    })
}

/// A layer that makes one value of each window of each channel.
macro_rules! pooling {
    ($(#[$doc:meta])* $layer:ident, $function:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $layer<const R: usize> {
            /// Name, trainability and types.
            pub common: Common,
            /// The size of the windows, as its `kernel_size`, their strides and the padding. There is no dilation.
            pub window: Window<R>,
            /// Where the channels stand; `image_data_format` of [`Settings`] by default.
            pub data_format: DataFormat,
        }

        common_setters!($layer<R>, common);

        impl<const R: usize> Default for $layer<R> {
            fn default() -> Self {
                Self::new(2)
            }
        }

        impl<const R: usize> $layer<R> {
            /// A layer with windows of `pool_size`, one number for all axes or one for each, side by side. Keras's default
            /// size is 2.
            pub fn new(pool_size: impl Into<PerAxis<R>>) -> Self {
                let settings = Settings::current();
                let size = pool_size.into().0;
                Self {
                    common: Common::new(&settings),
                    window: Window { kernel_size: size, strides: size, dilation_rate: [1; R], padding: Padding::Valid },
                    data_format: settings.image_data_format,
                }
            }

            /// Takes the data format and the dtype policy from `settings` instead of the process's own.
            pub fn settings(mut self, settings: &Settings) -> Self {
                self.data_format = settings.image_data_format;
                self.common.dtype = settings.floatx;
                self
            }

            /// Input positions from one window to the next, along each axis; the size of the windows by default.
            pub fn strides(mut self, strides: impl Into<PerAxis<R>>) -> Self {
                self.window.strides = strides.into().0;
                self
            }

            /// Treatment of the border; [`Padding::Valid`] by default. What is padded takes no part.
            pub fn padding(mut self, padding: Padding) -> Self {
                self.window.padding = padding;
                self
            }

            /// Where the channels stand; `image_data_format` of the [`Settings`] by default.
            pub fn data_format(mut self, data_format: DataFormat) -> Self {
                self.data_format = data_format;
                self
            }

            /// The output shape for `input`; unknown extents stay unknown.
            ///
            /// # Errors
            /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or
            /// `input`.
            pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
                self.validate()?;
                let input = input.into();
                of_rank(&input, R + 2)?;
                let (batch, channels, spatial) = self.data_format.split::<_, R>(input.dims());
                let output = each_axis(spatial, |index, extent| {
                    Ok(axis(&self.window, index, extent, &input)?.output as usize)
                })?;
                Ok(self.data_format.join(batch, channels, output).into())
            }
        }

        #[cfg(feature = "keras")]
        impl<const R: usize> super::config::Configured for $layer<R> {
            fn template() -> Self {
                Self::default()
            }

            fn fields(&mut self, codec: &mut super::config::Codec<'_>) -> Result<()> {
                let window = &mut self.window;
                super::config::common(codec, &mut self.common)?;
                codec.field("pool_size", &mut window.kernel_size)?;
                codec.field("padding", &mut window.padding)?;
                if codec.reads() {
                    window.strides = window.kernel_size;
                }
                codec.field_or_null("strides", &mut window.strides)?;
                codec.field("data_format", &mut self.data_format)
            }
        }

        impl<const R: usize> Describe for $layer<R> {
            fn common(&self) -> &Common {
                &self.common
            }

            fn data_format(&self) -> Option<DataFormat> {
                Some(self.data_format)
            }

            fn passes_values_on(&self) -> bool {
                true
            }

            fn validate(&self) -> Result<()> {
                positive("pool_size", &self.window.kernel_size)?;
                positive("strides", &self.window.strides)?;
                self.window.padding.check(false)?;
                self.common.validate()
            }

            fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
                self.output_shape(&inputs[0])
            }

            fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
                let shape = tape.shape(inputs[0]);
                let (_, _, spatial) = self.data_format.split::<_, R>(shape.dims());
                let axes = axes_of(spatial, |index, extent| axis(&self.window, index, extent, &shape.into()))?;
                ops::pool(tape, PoolFunction::$function, self.data_format, axes, inputs[0])
            }
        }
    };
}

pooling!(
    /// The largest value of each window over `R` axes, 1 to 3; NaN where one is. Padding takes no part.
    ///
    /// # Shapes
    /// Input `[batch, …axes, channels]`, or `[batch, channels, …axes]` with
    /// [`ChannelsFirst`](DataFormat::ChannelsFirst); output the same with shorter axes.
    ///
    /// ```
    /// use wgpu_conv::{Padding, layers::MaxPooling2D};
    ///
    /// assert_eq!(MaxPooling2D::new(2).output_shape([1, 7, 9, 3])?.to_string(), "(1, 3, 4, 3)");
    /// let overlapping = MaxPooling2D::new(3).strides(2).padding(Padding::Same);
    /// assert_eq!(overlapping.output_shape([None, Some(7), None, Some(3)])?.to_string(), "(None, 4, None, 3)");
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    MaxPooling,
    Max
);

pooling!(
    /// The mean of each window over `R` axes, 1 to 3. Padding takes no part: a window at the border is averaged over what it covers.
    ///
    /// # Shapes
    /// Input `[batch, …axes, channels]`, or `[batch, channels, …axes]` with
    /// [`ChannelsFirst`](DataFormat::ChannelsFirst); output the same with shorter axes.
    ///
    /// ```
    /// use wgpu_conv::layers::AveragePooling2D;
    ///
    /// let pool = AveragePooling2D::new((2, 3)).strides((2, 1));
    /// assert_eq!(pool.output_shape([1, 7, 9, 3])?.to_string(), "(1, 3, 7, 3)");
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    AveragePooling,
    Average
);

/// The largest value of each window of sequences `[batch, steps, channels]`.
pub type MaxPooling1D = MaxPooling<1>;

/// The largest value of each window of images `[batch, height, width, channels]`.
pub type MaxPooling2D = MaxPooling<2>;

/// The largest value of each window of volumes `[batch, depth, height, width, channels]`.
pub type MaxPooling3D = MaxPooling<3>;

/// The mean of each window of sequences `[batch, steps, channels]`.
pub type AveragePooling1D = AveragePooling<1>;

/// The mean of each window of images `[batch, height, width, channels]`.
pub type AveragePooling2D = AveragePooling<2>;

/// The mean of each window of volumes `[batch, depth, height, width, channels]`.
pub type AveragePooling3D = AveragePooling<3>;
