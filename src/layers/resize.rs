//! Resize: ONNX's, as a layer.

use std::sync::Arc;

use super::Common;
use super::arguments::{common_setters, of_rank};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use crate::geometry::extent;
use crate::ops::{self, Kernel, Tape, Value};
use crate::resampling::{Precision, Resampling};
use crate::{Coordinates, DataFormat, Error, Interpolation, Nearest, PartialShape, Result, Settings};

/// The size that a [`Resize`] layer gives an image.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ResizeTo {
    /// Height and width.
    Sizes([u32; 2]),
    /// Factors of height and width; the output has `floor(extent · factor)`, computed in f32.
    Scales([f64; 2]),
    /// Factors of height and width; the output has `extent · factor`, rounded, computed in f32. What ONNX makes of sizes that
    /// keep the aspect ratio.
    RoundedScales([f64; 2]),
}

/// An image at another size. Keras has only [`UpSampling2D`](super::UpSampling2D); this is ONNX's `Resize` and `Upsample`
/// over height and width, with the extents and coordinates of onnxruntime. An image that keeps its size stays as it is.
///
/// # Shapes
/// Input `[batch, height, width, channels]`, or `[batch, channels, height, width]` with
/// [`ChannelsFirst`](DataFormat::ChannelsFirst); output the same with the new height and width.
///
/// ```
/// use wgpu_conv::{Coordinates, Interpolation, layers::{Resize, ResizeTo}};
///
/// let half = Resize::new(ResizeTo::Scales([0.5, 0.5]));
/// assert_eq!(half.output_shape([None, Some(7), None, Some(3)])?.to_string(), "(None, 3, None, 3)");
/// let corners = Resize::new(ResizeTo::Sizes([9, 9]))
///     .coordinates(Coordinates::AlignCorners)
///     .interpolation(Interpolation::Linear);
/// assert_eq!(corners.output_shape([1, 4, 5, 3])?.to_string(), "(1, 9, 9, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    /// Name, trainability and types.
    pub common: Common,
    /// The size of the output.
    pub to: ResizeTo,
    /// What an output position stands for; [`HalfPixel`](Coordinates::HalfPixel) by default.
    pub coordinates: Coordinates,
    /// How values between positions are found; the nearest, by
    /// [`RoundPreferFloor`](Nearest::RoundPreferFloor), by default.
    pub interpolation: Interpolation,
    /// Where the channels stand; `image_data_format` of [`Settings`] by default.
    pub data_format: DataFormat,
}

common_setters!(Resize, common);

impl Resize {
    /// A layer that resizes `to` a size, with ONNX's defaults.
    pub fn new(to: ResizeTo) -> Self {
        let settings = Settings::current();
        Self {
            common: Common::new(&settings),
            to,
            coordinates: Coordinates::HalfPixel,
            interpolation: Interpolation::Nearest(Nearest::RoundPreferFloor),
            data_format: settings.image_data_format,
        }
    }

    /// What an output position stands for; [`HalfPixel`](Coordinates::HalfPixel) by default.
    pub fn coordinates(mut self, coordinates: Coordinates) -> Self {
        self.coordinates = coordinates;
        self
    }

    /// How values between positions are found; the nearest by default.
    pub fn interpolation(mut self, interpolation: Interpolation) -> Self {
        self.interpolation = interpolation;
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
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`,
    /// [`Error::Limit`] where an extent of the output would not fit 32 bits.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        of_rank(&input, 4)?;
        let (batch, channels, spatial) = self.data_format.split::<_, 2>(input.dims());
        let mut output = [None; 2];
        for (axis, dim) in spatial.into_iter().enumerate() {
            output[axis] = match (self.to, dim) {
                (ResizeTo::Sizes(sizes), None) => Some(sizes[axis] as usize),
                (_, Some(dim)) => Some(self.axis(axis, dim)?.output as usize),
                (_, None) => None,
            };
        }
        Ok(self.data_format.join(batch, channels, output).into())
    }

    fn axis(&self, axis: usize, dim: usize) -> Result<Resampling> {
        let input = extent(dim)?;
        // A float beyond the integers becomes the largest, which is refused.
        let scaled = |scale: f64, whole: fn(f32) -> f32| extent(whole(input as f32 * scale as f32) as usize);
        let (output, scale) = match self.to {
            ResizeTo::Sizes(sizes) => (sizes[axis], f64::from(sizes[axis] as f32 / input as f32)),
            ResizeTo::Scales(scales) => (scaled(scales[axis], f32::floor)?, scales[axis]),
            ResizeTo::RoundedScales(scales) => (scaled(scales[axis], f32::round)?, scales[axis]),
        };
        if input == 0 && output > 0 {
            return Err(Error::invalid(
                "input",
                "an axis that is enlarged must not be empty",
                format!("to={:?}", self.to),
            ));
        }
        let (precision, coordinates, interpolation) = (Precision::Single, self.coordinates, self.interpolation);
        Ok(Resampling { input, output, scale, precision, coordinates, interpolation })
    }
}

impl Describe for Resize {
    fn module(&self) -> &'static str {
        super::OPERATORS
    }

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
        self.common.validate()?;
        let sound = match self.to {
            ResizeTo::Sizes(sizes) => !sizes.contains(&0),
            ResizeTo::Scales(scales) | ResizeTo::RoundedScales(scales) => {
                scales.iter().all(|scale| scale.is_finite() && *scale > 0.0)
            }
        };
        if !sound {
            return Err(Error::invalid("to", "sizes and scales must be positive", format!("to={:?}", self.to)));
        }
        match self.interpolation {
            Interpolation::Cubic { a, .. } if !a.is_finite() => {
                Err(Error::invalid("interpolation", "the parameter of a cubic must be finite", format!("a={a}")))
            }
            _ => Ok(()),
        }
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let (_, _, [height, width]) = self.data_format.split(tape.shape(inputs[0]).dims());
        let axes = [self.axis(0, height)?, self.axis(1, width)?];
        // An image that keeps its size stays as it is, whatever its scales and coordinates.
        if axes.iter().all(|axis| axis.output == axis.input) {
            return Ok(inputs[0]);
        }
        ops::resize(tape, self.data_format, axes, inputs[0])
    }
}

#[cfg(feature = "keras")]
impl Configured for Resize {
    const REQUIRED: &'static [&'static str] = &["to"];

    fn template() -> Self {
        Self::new(ResizeTo::Sizes([1; 2]))
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("to", &mut self.to)?;
        codec.field("coordinates", &mut self.coordinates)?;
        codec.field("interpolation", &mut self.interpolation)?;
        codec.field("data_format", &mut self.data_format)
    }
}
