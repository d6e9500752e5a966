//! UpSampling1D to UpSampling3D.

use std::sync::Arc;

use super::arguments::{common_setters, each_axis, of_rank, positive};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use super::{Common, PerAxis};
use crate::geometry::extent;
use crate::ops::{self, Kernel, Span, Tape, Value};
use crate::plan::Outside;
use crate::resampling::{Precision, Resampling};
use crate::{Coordinates, DataFormat, Error, Interpolation, Nearest, PartialShape, Result, Settings};

/// How [`UpSampling`] fills the pixels between those of its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Upsampling {
    /// Positions are repeated. Keras's default, and of sequences and volumes the only way.
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

/// An image, or a sequence or volume, made larger by whole factors: over `R` axes, 1 to 3.
///
/// # Shapes
/// Input `[batch, height, width, channels]`, or `[batch, channels, height, width]` with
/// [`ChannelsFirst`](DataFormat::ChannelsFirst), or with other spatial axes; output the same with these times
/// [`size`](Self::size).
///
/// ```
/// use wgpu_conv::layers::{UpSampling2D, Upsampling};
///
/// let twice = UpSampling2D::new(2).interpolation(Upsampling::Bilinear);
/// assert_eq!(twice.output_shape([None, Some(5), None, Some(3)])?.to_string(), "(None, 10, None, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct UpSampling<const R: usize> {
    /// Name, trainability and types.
    pub common: Common,
    /// The factor of each axis.
    pub size: [u32; R],
    /// Where the channels stand; `image_data_format` of [`Settings`] by default.
    pub data_format: DataFormat,
    /// How pixels are filled; [`Nearest`](Upsampling::Nearest) by default.
    pub interpolation: Upsampling,
}

/// Sequences `[batch, steps, channels]` made larger.
pub type UpSampling1D = UpSampling<1>;

/// Images `[batch, height, width, channels]` made larger.
pub type UpSampling2D = UpSampling<2>;

/// Volumes `[batch, depth, height, width, channels]` made larger.
pub type UpSampling3D = UpSampling<3>;

common_setters!(UpSampling<R>, common);

impl<const R: usize> Default for UpSampling<R> {
    fn default() -> Self {
        Self::new(2)
    }
}

impl<const R: usize> UpSampling<R> {
    /// A layer that repeats positions `size` times, one number for all axes or one for each. Keras's default is 2.
    pub fn new(size: impl Into<PerAxis<R>>) -> Self {
        let settings = Settings::current();
        Self {
            common: Common::new(&settings),
            size: size.into().0,
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
        of_rank(&input, R + 2)?;
        let (batch, channels, spatial) = self.data_format.split::<_, R>(input.dims());
        let output = each_axis(spatial, |axis, dim| Ok(self.enlarged(axis, dim)? as usize))?;
        Ok(self.data_format.join(batch, channels, output).into())
    }

    fn enlarged(&self, axis: usize, dim: usize) -> Result<u32> {
        extent(dim.saturating_mul(self.size[axis] as usize))
    }
}

impl<const R: usize> Describe for UpSampling<R> {
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
        if R != 2 && self.interpolation != Upsampling::Nearest {
            return Err(Error::invalid(
                "interpolation",
                "sequences and volumes are repeated: `interpolation` must be \"nearest\" but for images",
                format!("interpolation={} over {R} axes", self.interpolation.name()),
            ));
        }
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
        let (batch, channels, spatial) = self.data_format.split::<_, R>(tape.shape(inputs[0]).dims());
        if R != 2 {
            let mut spans = [Span::whole(0); R];
            for (axis, extent) in spatial.into_iter().enumerate() {
                let extent = self.enlarged(axis, extent)? as usize;
                spans[axis] = Span { repeat: self.size[axis], ..Span::whole(extent) };
            }
            let spans = self.data_format.join(Span::whole(batch), Span::whole(channels), spans);
            return ops::gather(tape, &spans, Outside::ZERO, inputs[0]);
        }
        let axis = |axis: usize| -> Result<Resampling> {
            let (input, output) = (extent(spatial[axis])?, self.enlarged(axis, spatial[axis])?);
            let (scale, precision) = (f64::from(self.size[axis]), Precision::Double);
            Ok(Resampling { input, output, scale, precision, coordinates, interpolation })
        };
        ops::resize(tape, self.data_format, [axis(0)?, axis(1)?], inputs[0])
    }
}

#[cfg(feature = "keras")]
impl<const R: usize> Configured for UpSampling<R> {
    fn template() -> Self {
        Self::default()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        match &mut self.size[..] {
            // UpSampling1D writes a number.
            [size] => codec.field("size", size)?,
            _ => codec.field("size", &mut self.size)?,
        }
        match R {
            1 => Ok(()),
            2 => {
                codec.field("data_format", &mut self.data_format)?;
                codec.field("interpolation", &mut self.interpolation)
            }
            _ => codec.field("data_format", &mut self.data_format),
        }
    }
}
