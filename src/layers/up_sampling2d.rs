//! UpSampling2D.

use std::sync::Arc;

use super::arguments::{common_setters, of_rank, positive};
use super::describe::Describe;
use super::{Common, Pair};
use crate::geometry::extent;
use crate::ops::{self, Kernel, Tape, Value};
use crate::resampling::{Precision, Resampling};
use crate::{Coordinates, DataFormat, Error, Interpolation, Nearest, PartialShape, Result, Settings};

/// How [`UpSampling2D`] fills the pixels between those of its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Upsampling {
    /// Rows and columns are repeated. Keras's default.
    #[default]
    Nearest,
    /// Between four neighbours, pixels taken at their centres.
    Bilinear,
    /// Between sixteen neighbours by Keys's cubic with a = −½, as TensorFlow does; its own tables round the weights to
    /// about 10⁻³.
    Bicubic,
}

impl Upsampling {
    /// The method of a Keras name, in any letter case.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for `lanczos3` and `lanczos5`, [`Error::Invalid`] for any other string.
    pub fn from_name(name: &str) -> Result<Self> {
        match name.to_lowercase().as_str() {
            "nearest" => Ok(Self::Nearest),
            "bilinear" => Ok(Self::Bilinear),
            "bicubic" => Ok(Self::Bicubic),
            "lanczos3" | "lanczos5" => Err(Error::unsupported(
                format!("interpolation={name} of UpSampling2D"),
                "the methods are nearest, bilinear and bicubic",
            )),
            _ => Err(Error::invalid(
                "interpolation",
                "`interpolation` must be \"nearest\", \"bilinear\" or \"bicubic\"",
                format!("interpolation={name}"),
            )),
        }
    }

    /// Keras's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
        }
    }
}

/// An image made larger by whole factors.
///
/// # Shapes
/// Input `[batch, height, width, channels]`, or `[batch, channels, height, width]` with
/// [`ChannelsFirst`](DataFormat::ChannelsFirst); output the same with height and width times [`size`](Self::size).
///
/// ```
/// use wgpu_conv::layers::{UpSampling2D, Upsampling};
///
/// let twice = UpSampling2D::new(2).interpolation(Upsampling::Bilinear);
/// assert_eq!(twice.output_shape([None, Some(5), None, Some(3)])?.to_string(), "(None, 10, None, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct UpSampling2D {
    /// Name, trainability and types.
    pub common: Common,
    /// The factors of height and width.
    pub size: [u32; 2],
    /// Where the channels stand; `image_data_format` of [`Settings`] by default.
    pub data_format: DataFormat,
    /// How pixels are filled; [`Nearest`](Upsampling::Nearest) by default.
    pub interpolation: Upsampling,
}

common_setters!(UpSampling2D, common);

impl Default for UpSampling2D {
    fn default() -> Self {
        Self::new(2)
    }
}

impl UpSampling2D {
    /// A layer that repeats rows and columns `size` times, (height, width) or one number for both. Keras's default is 2.
    pub fn new(size: impl Into<Pair>) -> Self {
        let settings = Settings::current();
        Self {
            common: Common::new(&settings),
            size: size.into().into(),
            data_format: settings.image_data_format,
            interpolation: Upsampling::Nearest,
        }
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

    /// How pixels are filled; [`Nearest`](Upsampling::Nearest) by default.
    pub fn interpolation(mut self, interpolation: Upsampling) -> Self {
        self.interpolation = interpolation;
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
            output[axis] = dim.map(|dim| self.enlarged(axis, dim)).transpose()?.map(|extent| extent as usize);
        }
        Ok(self.data_format.join(batch, channels, output).into())
    }

    fn enlarged(&self, axis: usize, dim: usize) -> Result<u32> {
        extent(dim.saturating_mul(self.size[axis] as usize))
    }
}

impl Describe for UpSampling2D {
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
        positive("size", &self.size)?;
        self.common.validate()
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let (coordinates, interpolation) = match self.interpolation {
            Upsampling::Nearest => (Coordinates::Asymmetric, Interpolation::Nearest(Nearest::Floor)),
            Upsampling::Bilinear => (Coordinates::HalfPixel, Interpolation::Linear),
            Upsampling::Bicubic => (Coordinates::HalfPixel, Interpolation::Cubic { a: -0.5, exclude_outside: true }),
        };
        let (_, _, spatial) = self.data_format.split::<_, 2>(tape.shape(inputs[0]).dims());
        let axis = |axis: usize| -> Result<Resampling> {
            let (input, output) = (extent(spatial[axis])?, self.enlarged(axis, spatial[axis])?);
            let (scale, precision) = (f64::from(self.size[axis]), Precision::Double);
            Ok(Resampling { input, output, scale, precision, coordinates, interpolation })
        };
        ops::resize(tape, self.data_format, [axis(0)?, axis(1)?], inputs[0])
    }
}
