//! AdaptiveAveragePooling1D to AdaptiveAveragePooling3D, and AdaptiveMaxPooling1D to AdaptiveMaxPooling3D.

use std::ops::Range;
use std::sync::Arc;

use super::arguments::{common_setters, each_axis, of_rank, positive};
use super::describe::Describe;
use super::{Common, PerAxis};
use crate::geometry::{Axis, extent};
use crate::ops::{self, Kernel, Tape, Value};
use crate::plan::{AxisFunction, PoolFunction};
use crate::{DType, DataFormat, Error, PartialShape, Result, Settings};

/// The windows that make `output` positions of `input`: window `i` begins at `⌊i·input / output⌋` and ends before
/// `⌈(i + 1)·input / output⌉`. They overlap where they must, and differ in length by at most 1 and what they overlap.
fn windows(input: usize, output: usize) -> Vec<Range<usize>> {
    (0..output).map(|i| i * input / output..((i + 1) * input).div_ceil(output)).collect()
}

/// The longest of `windows`.
fn longest(windows: &[Range<usize>]) -> usize {
    windows.iter().map(Range::len).max().unwrap_or(0)
}

/// What makes one value of each of the windows along an axis.
type PoolAlong = fn(&mut Tape, usize, &[Range<usize>], Value) -> Result<Value>;

/// The means of `windows` along `axis`.
fn means(tape: &mut Tape, axis: usize, windows: &[Range<usize>], input: Value) -> Result<Value> {
    let taps = longest(windows);
    let of = |window: &Range<usize>| {
        let mut sources: Vec<(u32, f32)> = window.clone().map(|at| (at as u32, 1.0 / window.len() as f32)).collect();
        // The last of a shorter window comes in halves, which add up to it exactly: a weight of 0 would make NaN of infinity.
        while let Some((at, weight)) = sources.last().copied().filter(|_| sources.len() < taps) {
            sources.pop();
            sources.extend([(at, weight / 2.0); 2]);
        }
        sources
    };
    ops::mix(tape, axis, &windows.iter().map(of).collect::<Vec<_>>(), input)
}

/// The largest values of `windows` along `axis`.
fn largest(tape: &mut Tape, axis: usize, windows: &[Range<usize>], input: Value) -> Result<Value> {
    let taps = longest(windows);
    // The last of a shorter window, taken again, changes no maximum.
    let of = |window: &Range<usize>| window.clone().chain(std::iter::repeat(window.end - 1)).take(taps);
    let sources: Vec<_> = windows.iter().flat_map(of).map(|at| vec![(at as u32, 1.0)]).collect();
    let taken = ops::mix(tape, axis, &sources, input)?;
    let mut dims = tape.shape(input).dims().to_vec();
    dims.splice(axis..=axis, [windows.len(), taps]);
    let taken = tape.reshape(taken, dims)?;
    ops::reduce(tape, AxisFunction::Max, &[axis + 1], false, taken)
}

/// A layer that makes so many values of each channel along each axis, whatever the input's extents.
macro_rules! adaptive_pooling {
    ($(#[$doc:meta])* $layer:ident, $function:ident, $of:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $layer<const R: usize> {
            /// Name, trainability and types.
            pub common: Common,
            /// The output's extents along the spatial axes.
            pub output_size: [u32; R],
            /// Where the channels stand; `image_data_format` of [`Settings`] by default.
            pub data_format: DataFormat,
        }

        common_setters!($layer<R>, common);

        impl<const R: usize> $layer<R> {
            /// A layer whose output has `output_size` positions along each axis: one number for all, or one for each.
            pub fn new(output_size: impl Into<PerAxis<R>>) -> Self {
                let settings = Settings::current();
                let (common, data_format) = (Common::new(&settings), settings.image_data_format);
                Self { common, output_size: output_size.into().0, data_format }
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
                each_axis(spatial, |_, extent| if extent > 0 { Ok(extent) } else { Err(empty(&input)) })?;
                let output = self.output_size.map(|extent| Some(extent as usize));
                Ok(self.data_format.join(batch, channels, output).into())
            }
        }

        #[cfg(feature = "keras")]
        impl<const R: usize> super::config::Configured for $layer<R> {
            const REQUIRED: &'static [&'static str] = &["output_size"];

            fn template() -> Self {
                Self::new(1)
            }

            fn fields(&mut self, codec: &mut super::config::Codec<'_>) -> Result<()> {
                super::config::common(codec, &mut self.common)?;
                codec.field("output_size", &mut self.output_size)?;
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

            fn validate(&self) -> Result<()> {
                positive("output_size", &self.output_size)?;
                self.common.validate()
            }

            fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
                self.output_shape(&inputs[0])
            }

            fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
                let size = self.output_size.map(|extent| extent as usize);
                adapt(tape, self.data_format, size, PoolFunction::$function, $of, inputs[0])
            }
        }
    };
}

fn empty(input: &PartialShape) -> Error {
    let rule = "the spatial extents of what is pooled must be at least 1";
    Error::invalid("input", rule, format!("input shape={input}"))
}

/// `input` pooled to `size`: axes that it divides by ordinary windows side by side, the others by `windows_of`, one after the
/// other. In f32, since what lies between two axes is no result yet.
fn adapt<const R: usize>(
    tape: &mut Tape,
    data_format: DataFormat,
    size: [usize; R],
    function: PoolFunction,
    windows_of: PoolAlong,
    input: Value,
) -> Result<Value> {
    let shape = tape.shape(input).clone();
    let (batch, channels, spatial) = data_format.split::<_, R>(shape.dims());
    if spatial.contains(&0) {
        return Err(empty(&shape.into()));
    }
    if batch == 0 || channels == 0 {
        return tape.uninitialized(data_format.join(batch, channels, size).into(), tape.dtype(input));
    }
    let dtype = tape.dtype(input);
    let mut value = ops::cast(tape, DType::F32, None, input)?;
    let mut axes = spatial.map(|extent| Axis::pointwise(extent as u32));
    for (axis, output) in axes.iter_mut().zip(size) {
        if axis.input.is_multiple_of(extent(output)?) {
            let (output, length) = (extent(output)?, axis.input / extent(output)?);
            *axis = Axis { output, kernel: length, stride: length, ..*axis };
        }
    }
    if axes.iter().any(|axis| axis.kernel > 1) {
        value = ops::pool(tape, function, data_format, axes, value)?;
    }
    let first = if data_format == DataFormat::ChannelsLast { 1 } else { 2 };
    for (index, (axis, output)) in axes.iter().zip(size).enumerate() {
        if axis.output as usize != output {
            value = windows_of(tape, first + index, &windows(axis.output as usize, output), value)?;
        }
    }
    ops::cast(tape, dtype, None, value)
}

adaptive_pooling!(
    /// The means of so many windows along each of `R` axes, 1 to 3, as the output is to have positions.
    ///
    /// Of `n` positions, window `i` of `m` begins at `⌊i·n / m⌋` and ends before `⌈(i + 1)·n / m⌉`: side by side where `m`
    /// divides `n`, overlapping elsewhere. The formula is Keras's (`keras.ops.adaptive_average_pool`), and PyTorch's.
    ///
    /// # Shapes
    /// Input `[batch, …axes, channels]`, or `[batch, channels, …axes]` with [`ChannelsFirst`](DataFormat::ChannelsFirst);
    /// output the same with the spatial extents `output_size`.
    ///
    /// ```
    /// use wgpu_conv::layers::AdaptiveAveragePooling2D;
    ///
    /// let pool = AdaptiveAveragePooling2D::new((3, 7));
    /// assert_eq!(pool.output_shape([None, Some(10), None, Some(4)])?.to_string(), "(None, 3, 7, 4)");
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    AdaptiveAveragePooling,
    Average,
    means
);

adaptive_pooling!(
    /// The largest values of so many windows along each of `R` axes, 1 to 3, as the output is to have positions; NaN where
    /// one is.
    ///
    /// The windows are those of [`AdaptiveAveragePooling`].
    ///
    /// # Shapes
    /// Input `[batch, …axes, channels]`, or `[batch, channels, …axes]` with [`ChannelsFirst`](DataFormat::ChannelsFirst);
    /// output the same with the spatial extents `output_size`.
    ///
    /// ```
    /// use wgpu_conv::layers::AdaptiveMaxPooling1D;
    ///
    /// let pool = AdaptiveMaxPooling1D::new(4);
    /// assert_eq!(pool.output_shape([2, 10, 3])?.to_string(), "(2, 4, 3)");
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    AdaptiveMaxPooling,
    Max,
    largest
);

/// Sequences `[batch, steps, channels]` at a fixed number of steps, by means.
pub type AdaptiveAveragePooling1D = AdaptiveAveragePooling<1>;

/// Images `[batch, height, width, channels]` at a fixed size, by means.
pub type AdaptiveAveragePooling2D = AdaptiveAveragePooling<2>;

/// Volumes `[batch, depth, height, width, channels]` at a fixed size, by means.
pub type AdaptiveAveragePooling3D = AdaptiveAveragePooling<3>;

/// Sequences `[batch, steps, channels]` at a fixed number of steps, by the largest values.
pub type AdaptiveMaxPooling1D = AdaptiveMaxPooling<1>;

/// Images `[batch, height, width, channels]` at a fixed size, by the largest values.
pub type AdaptiveMaxPooling2D = AdaptiveMaxPooling<2>;

/// Volumes `[batch, depth, height, width, channels]` at a fixed size, by the largest values.
pub type AdaptiveMaxPooling3D = AdaptiveMaxPooling<3>;
