//! MaxPooling2D and AveragePooling2D.

use std::sync::Arc;

use super::arguments::{common_setters, of_rank, positive};
use super::describe::Describe;
use super::{Common, Pair, Window};
use crate::geometry::{self, Axis};
use crate::ops::{self, Kernel, Tape, Value};
use crate::plan::PoolFunction;
use crate::{DataFormat, Error, Padding, PartialShape, Result, Settings};

/// The windows along a spatial axis of `extent`.
fn axis(window: &Window<2>, index: usize, extent: usize, input: &PartialShape) -> Result<Axis> {
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
        pub struct $layer {
            /// Name, trainability and types.
            pub common: Common,
            /// The size of the windows, as its `kernel_size`, their strides and the padding. There is no dilation.
            pub window: Window<2>,
            /// Where the channels stand; `image_data_format` of [`Settings`] by default.
            pub data_format: DataFormat,
        }

        common_setters!($layer, common);

        impl Default for $layer {
            fn default() -> Self {
                Self::new(2)
            }
        }

        impl $layer {
            /// A layer with windows of `pool_size`, (height, width) or one number for both, side by side. Keras's default
            /// size is 2.
            pub fn new(pool_size: impl Into<Pair>) -> Self {
                let settings = Settings::current();
                let size = pool_size.into().into();
                Self {
                    common: Common::new(&settings),
                    window: Window { kernel_size: size, strides: size, dilation_rate: [1; 2], padding: Padding::Valid },
                    data_format: settings.image_data_format,
                }
            }

            /// Takes the data format and the dtype policy from `settings` instead of the process's own.
            pub fn settings(mut self, settings: &Settings) -> Self {
                self.data_format = settings.image_data_format;
                self.common.dtype = settings.floatx;
                self
            }

            /// Input positions from one window to the next, (height, width); the size of the windows by default.
            pub fn strides(mut self, strides: impl Into<Pair>) -> Self {
                self.window.strides = strides.into().into();
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
                of_rank(&input, 4)?;
                let (batch, channels, spatial) = self.data_format.split::<_, 2>(input.dims());
                let mut output = [None; 2];
                for (index, extent) in spatial.into_iter().enumerate() {
                    if let Some(extent) = extent {
                        output[index] = Some(axis(&self.window, index, extent, &input)?.output as usize);
                    }
                }
                Ok(self.data_format.join(batch, channels, output).into())
            }
        }

        impl Describe for $layer {
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
                self.common.validate()
            }

            fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
                self.output_shape(&inputs[0])
            }

            fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
                let shape = tape.shape(inputs[0]);
                let (_, _, [height, width]) = self.data_format.split(shape.dims());
                let axis = |index, extent| axis(&self.window, index, extent, &shape.into());
                let axes = [axis(0, height)?, axis(1, width)?];
                ops::pool(tape, PoolFunction::$function, self.data_format, axes, inputs[0])
            }
        }
    };
}

pooling!(
    /// The largest value of each window; NaN where one is. Padding takes no part.
    ///
    /// # Shapes
    /// Input `[batch, height, width, channels]`, or `[batch, channels, height, width]` with
    /// [`ChannelsFirst`](DataFormat::ChannelsFirst); output the same with fewer rows and columns.
    ///
    /// ```
    /// use wgpu_conv::{Padding, layers::MaxPooling2D};
    ///
    /// assert_eq!(MaxPooling2D::new(2).output_shape([1, 7, 9, 3])?.to_string(), "(1, 3, 4, 3)");
    /// let overlapping = MaxPooling2D::new(3).strides(2).padding(Padding::Same);
    /// assert_eq!(overlapping.output_shape([None, Some(7), None, Some(3)])?.to_string(), "(None, 4, None, 3)");
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    MaxPooling2D,
    Max
);

pooling!(
    /// The mean of each window. Padding takes no part: a window at the border is averaged over what it covers.
    ///
    /// # Shapes
    /// Input `[batch, height, width, channels]`, or `[batch, channels, height, width]` with
    /// [`ChannelsFirst`](DataFormat::ChannelsFirst); output the same with fewer rows and columns.
    ///
    /// ```
    /// use wgpu_conv::layers::AveragePooling2D;
    ///
    /// let pool = AveragePooling2D::new((2, 3)).strides((2, 1));
    /// assert_eq!(pool.output_shape([1, 7, 9, 3])?.to_string(), "(1, 3, 7, 3)");
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    AveragePooling2D,
    Average
);
