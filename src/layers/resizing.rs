//! Resizing and CenterCrop: images brought to one size.

use std::sync::Arc;

use super::Common;
use super::arguments::{common_setters, of_rank, positive};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use crate::geometry::extent;
use crate::ops::{self, Kernel, Numbers, Side, Span, Tape, Value};
use crate::plan::Outside;
use crate::resampling::{Precision, Resampling};
use crate::{Coordinates, DataFormat, Error, Interpolation, Nearest, PartialShape, Result, Settings};

/// How [`Resizing`] finds values between pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResizeMethod {
    /// The nearest pixel.
    Nearest,
    /// On the lines between two by two pixels.
    #[default]
    Bilinear,
    /// On Keys's cubics through four by four pixels, a = −½.
    Bicubic,
    /// Lanczos's window of radius 3.
    Lanczos3,
    /// Lanczos's window of radius 5.
    Lanczos5,
    /// The mean of all pixels covered, which TensorFlow alone has: refused.
    Area,
}

impl ResizeMethod {
    const ALL: [(&str, Self); 6] = [
        ("nearest", Self::Nearest),
        ("bilinear", Self::Bilinear),
        ("bicubic", Self::Bicubic),
        ("lanczos3", Self::Lanczos3),
        ("lanczos5", Self::Lanczos5),
        ("area", Self::Area),
    ];

    /// The method of Keras's name.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other name.
    ///
    /// ```
    /// use wgpu_conv::layers::ResizeMethod;
    ///
    /// assert_eq!(ResizeMethod::from_name("bicubic")?, ResizeMethod::Bicubic);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|&(_, method)| method).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(known, _)| *known).collect();
            let rule = format!("`interpolation` must be one of {}", names.join(", "));
            Error::invalid("interpolation", rule, format!("interpolation={name}"))
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, method)| *method == self).map_or("every method has a name", |(name, _)| name)
    }

    /// Half the width of the kernel that weights are read from, and its value at a distance.
    pub(crate) fn kernel(self) -> (f64, fn(f64) -> f64) {
        /// `sin πx · sin(πx/r) · r / (πx)²`.
        fn lanczos(x: f64, radius: f64) -> f64 {
            let angle = std::f64::consts::PI * x;
            if x > 1e-3 { radius * angle.sin() * (angle / radius).sin() / (angle * angle) } else { 1.0 }
        }
        match self {
            Self::Nearest => (0.5, |_| 1.0),
            Self::Bilinear | Self::Area => (1.0, |x| 1.0 - x),
            Self::Bicubic => {
                (2.0, |x| if x < 1.0 { (1.5 * x - 2.5) * x * x + 1.0 } else { ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0 })
            }
            Self::Lanczos3 => (3.0, |x| lanczos(x, 3.0)),
            Self::Lanczos5 => (5.0, |x| lanczos(x, 5.0)),
        }
    }
}

/// The share of every input pixel in every output pixel along one axis, `[output, input]`: the kernel at the distances of the
/// pixels' centres, widened where `antialias` and the axis shrinks, so that the shares of one output pixel sum to 1.
pub(crate) fn shares(input: usize, output: usize, method: ResizeMethod, antialias: bool) -> Vec<f64> {
    let (radius, kernel) = method.kernel();
    let step = input as f64 / output as f64;
    let wide = if antialias { step.max(1.0) } else { 1.0 };
    let mut shares = Vec::with_capacity(input * output);
    for to in 0..output {
        let centre = (to as f64 + 0.5) * step - 0.5;
        let row = (0..input).map(|from| (centre - from as f64).abs() / wide);
        let row: Vec<f64> = row.map(|distance| if distance > radius { 0.0 } else { kernel(distance) }).collect();
        let total: f64 = row.iter().sum();
        shares.extend(row.into_iter().map(|share| share / total));
    }
    shares
}

/// Images of `format`, at the size of `to`, height and width, as Keras's `ops.image.resize` makes them.
pub(crate) fn resized(
    tape: &mut Tape,
    format: DataFormat,
    to: [usize; 2],
    method: ResizeMethod,
    antialias: bool,
    input: Value,
) -> Result<Value> {
    let (batch, channels, from) = format.split::<_, 2>(tape.shape(input).dims());
    if from == to {
        return Ok(input);
    }
    if from.contains(&0) && !to.contains(&0) {
        return Err(Error::invalid(
            "input",
            "an image that is resized must not be empty",
            tape.shape(input).to_string(),
        ));
    }
    let smooth = !matches!(method, ResizeMethod::Nearest);
    if matches!(method, ResizeMethod::Lanczos3 | ResizeMethod::Lanczos5) || antialias && smooth {
        let numbers = Numbers { dtype: tape.dtype(input), rounding: tape.rounding };
        let matrix = |axis: usize, transposed: bool| {
            let values = shares(from[axis], to[axis], method, antialias);
            let [rows, columns] = [to[axis], from[axis]];
            let at = |row: usize, column: usize| values[row * columns + column] as f32;
            match transposed {
                false => {
                    Kernel::of_values([rows, columns], values.iter().map(|&share| share as f32).collect(), numbers)
                }
                true => {
                    let values = (0..columns).flat_map(|column| (0..rows).map(move |row| (row, column)));
                    Kernel::of_values([columns, rows], values.map(|(row, column)| at(row, column)).collect(), numbers)
                }
            }
        };
        return Ok(match format {
            DataFormat::ChannelsLast => {
                let rows = tape.reshape(input, [batch, from[0], from[1] * channels])?;
                let rows = ops::matmul(tape, Side::Constant(&matrix(0, false)), Side::Value(rows))?;
                let columns = tape.reshape(rows, [batch * to[0], from[1], channels])?;
                let columns = ops::matmul(tape, Side::Constant(&matrix(1, false)), Side::Value(columns))?;
                tape.reshape(columns, [batch, to[0], to[1], channels])?
            }
            DataFormat::ChannelsFirst => {
                let rows = ops::matmul(tape, Side::Constant(&matrix(0, false)), Side::Value(input))?;
                ops::matmul(tape, Side::Value(rows), Side::Constant(&matrix(1, true)))?
            }
        });
    }
    let interpolation = match method {
        ResizeMethod::Nearest => Interpolation::Nearest(Nearest::RoundPreferCeil),
        ResizeMethod::Bicubic => Interpolation::Cubic { a: -0.5, exclude_outside: true },
        _ => Interpolation::Linear,
    };
    let axis = |axis: usize| -> Result<Resampling> {
        let (input, output) = (extent(from[axis])?, extent(to[axis])?);
        let scale = f64::from(output) / f64::from(input.max(1));
        let (precision, coordinates) = (Precision::Double, Coordinates::HalfPixel);
        Ok(Resampling { input, output, scale, precision, coordinates, interpolation })
    };
    ops::resize(tape, format, [axis(0)?, axis(1)?], input)
}

/// The extents of the largest part of `from` with the aspect ratio of `to`, or of the least image around it: Keras's, in f32.
fn of_aspect(from: [usize; 2], to: [usize; 2], part: bool) -> [usize; 2] {
    let fitted = |axis: usize| {
        let other = 1 - axis;
        let fitted = (from[other] * to[axis]) as f32 / to[other] as f32;
        if part { from[axis].min(fitted as usize).max(1) } else { from[axis].max(fitted as usize) }
    };
    [fitted(0), fitted(1)]
}

/// `input` with height and width moved by `before`, to `extents`; new pixels hold `fill`.
fn windowed(
    tape: &mut Tape,
    format: DataFormat,
    before: [i64; 2],
    extents: [usize; 2],
    fill: f32,
    input: Value,
) -> Result<Value> {
    let (batch, channels, _) = format.split::<_, 2>(tape.shape(input).dims());
    let [height, width] = [0, 1].map(|axis| Span::shifted(extents[axis], before[axis]));
    let spans = format.join(Span::whole(batch), Span::whole(channels), [height, width]);
    ops::gather(tape, &spans, Outside::fill(fill), input)
}

/// Images at another size, by Keras's `ops.image.resize`.
///
/// # Shapes
/// Input `[batch, height, width, channels]`, or `[batch, channels, height, width]` with
/// [`ChannelsFirst`](DataFormat::ChannelsFirst); output the same with the given height and width.
///
/// ```
/// use wgpu_conv::layers::Resizing;
///
/// assert_eq!(Resizing::new(32, 24).output_shape([None, None, None, Some(3)])?.to_string(), "(None, 32, 24, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Resizing {
    /// Name, trainability and types.
    pub common: Common,
    /// The height of the output.
    pub height: u32,
    /// The width of the output.
    pub width: u32,
    /// How values between pixels are found; bilinear by default.
    pub interpolation: ResizeMethod,
    /// Whether to cut the image to the output's aspect ratio first; false by default.
    pub crop_to_aspect_ratio: bool,
    /// Whether to pad the image to the output's aspect ratio first; false by default.
    pub pad_to_aspect_ratio: bool,
    /// What pads hold; 0 by default.
    pub fill_value: f32,
    /// Whether an image that shrinks is smoothed; false by default.
    pub antialias: bool,
    /// Where the channels stand; `image_data_format` of [`Settings`] by default.
    pub data_format: DataFormat,
}

common_setters!(Resizing, common);

impl Resizing {
    /// A layer for images of this height and width, with Keras's defaults.
    pub fn new(height: u32, width: u32) -> Self {
        let settings = Settings::current();
        Self {
            common: Common::new(&settings),
            height,
            width,
            interpolation: ResizeMethod::default(),
            crop_to_aspect_ratio: false,
            pad_to_aspect_ratio: false,
            fill_value: 0.0,
            antialias: false,
            data_format: settings.image_data_format,
        }
    }

    /// How values between pixels are found; bilinear by default.
    pub fn interpolation(mut self, interpolation: ResizeMethod) -> Self {
        self.interpolation = interpolation;
        self
    }

    /// Whether to cut the image to the output's aspect ratio first; false by default.
    pub fn crop_to_aspect_ratio(mut self, crop: bool) -> Self {
        self.crop_to_aspect_ratio = crop;
        self
    }

    /// Whether to pad the image to the output's aspect ratio first; false by default.
    pub fn pad_to_aspect_ratio(mut self, pad: bool) -> Self {
        self.pad_to_aspect_ratio = pad;
        self
    }

    /// What pads hold; 0 by default.
    pub fn fill_value(mut self, fill_value: f32) -> Self {
        self.fill_value = fill_value;
        self
    }

    /// Whether an image that shrinks is smoothed; false by default.
    pub fn antialias(mut self, antialias: bool) -> Self {
        self.antialias = antialias;
        self
    }

    /// Where the channels stand; `image_data_format` of the [`Settings`] by default.
    pub fn data_format(mut self, data_format: DataFormat) -> Self {
        self.data_format = data_format;
        self
    }

    /// The output shape for `input`; unknown extents of batch and channels stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        of_rank(&input, 4)?;
        let (batch, channels, _) = self.data_format.split::<_, 2>(input.dims());
        let sizes = [self.height, self.width].map(|size| Some(size as usize));
        Ok(self.data_format.join(batch, channels, sizes).into())
    }

    /// The extents between, and what is cut off or added before; negative where it is cut off.
    pub(crate) fn window(&self, from: [usize; 2]) -> ([usize; 2], [i64; 2]) {
        let to = [self.height as usize, self.width as usize];
        if self.crop_to_aspect_ratio {
            let part = of_aspect(from, to, true);
            return (part, [0, 1].map(|axis| -(((from[axis] - part[axis]) / 2) as i64)));
        }
        if self.pad_to_aspect_ratio {
            // Keras pads as much on either side.
            let before = of_aspect(from, to, false);
            let before = [0, 1].map(|axis| (before[axis] - from[axis]) / 2);
            return ([0, 1].map(|axis| from[axis] + 2 * before[axis]), before.map(|before| before as i64));
        }
        (from, [0, 0])
    }
}

impl Describe for Resizing {
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
        positive("height", &[self.height])?;
        positive("width", &[self.width])?;
        if self.interpolation == ResizeMethod::Area {
            return Err(Error::unsupported(
                "interpolation=area of Resizing",
                "TensorFlow alone has it; resize by `bilinear` with antialias=True",
            ));
        }
        if self.crop_to_aspect_ratio && self.pad_to_aspect_ratio {
            return Err(Error::invalid(
                "crop_to_aspect_ratio",
                "only one of `pad_to_aspect_ratio` and `crop_to_aspect_ratio` may be true",
                "both are true",
            ));
        }
        self.common.validate()
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let (_, _, from) = self.data_format.split::<_, 2>(tape.shape(inputs[0]).dims());
        let (extents, before) = self.window(from);
        let between = windowed(tape, self.data_format, before, extents, self.fill_value, inputs[0])?;
        let to = [self.height as usize, self.width as usize];
        resized(tape, self.data_format, to, self.interpolation, self.antialias, between)
    }
}

/// The middle of images; of those that are smaller, the middle of the aspect ratio asked for, enlarged.
///
/// # Shapes
/// Input `[batch, height, width, channels]`, or `[batch, channels, height, width]` with
/// [`ChannelsFirst`](DataFormat::ChannelsFirst); output the same with the given height and width.
///
/// ```
/// use wgpu_conv::layers::CenterCrop;
///
/// assert_eq!(CenterCrop::new(8, 6).output_shape([None, Some(9), Some(9), Some(3)])?.to_string(), "(None, 8, 6, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CenterCrop {
    /// Name, trainability and types.
    pub common: Common,
    /// The height of the output.
    pub height: u32,
    /// The width of the output.
    pub width: u32,
    /// Where the channels stand; `image_data_format` of [`Settings`] by default.
    pub data_format: DataFormat,
}

common_setters!(CenterCrop, common);

impl CenterCrop {
    /// A layer that keeps this height and width.
    pub fn new(height: u32, width: u32) -> Self {
        let settings = Settings::current();
        let common = Common::new(&settings);
        Self { common, height, width, data_format: settings.image_data_format }
    }

    /// Where the channels stand; `image_data_format` of the [`Settings`] by default.
    pub fn data_format(mut self, data_format: DataFormat) -> Self {
        self.data_format = data_format;
        self
    }

    /// The output shape for `input`; unknown extents of batch and channels stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.enlarging().output_shape(input)
    }

    /// What images become that are smaller.
    pub(crate) fn enlarging(&self) -> Resizing {
        let resizing = Resizing::new(self.height, self.width).crop_to_aspect_ratio(true).data_format(self.data_format);
        Resizing { common: self.common.clone(), ..resizing }
    }
}

impl Describe for CenterCrop {
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
        self.enlarging().validate()
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let (_, _, from) = self.data_format.split::<_, 2>(tape.shape(inputs[0]).dims());
        let to = [self.height as usize, self.width as usize];
        if from[0] < to[0] || from[1] < to[1] {
            return self.enlarging().lower(tape, inputs, operands);
        }
        let before = [0, 1].map(|axis| -(((from[axis] - to[axis]) / 2) as i64));
        windowed(tape, self.data_format, before, to, 0.0, inputs[0])
    }
}

#[cfg(feature = "keras")]
impl Configured for Resizing {
    const REQUIRED: &'static [&'static str] = &["height", "width"];

    fn template() -> Self {
        Self::new(1, 1)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("height", &mut self.height)?;
        codec.field("width", &mut self.width)?;
        codec.field("interpolation", &mut self.interpolation)?;
        codec.field("crop_to_aspect_ratio", &mut self.crop_to_aspect_ratio)?;
        codec.field("pad_to_aspect_ratio", &mut self.pad_to_aspect_ratio)?;
        codec.fixed("fill_mode", "constant".into(), "Keras has no other")?;
        codec.field("fill_value", &mut self.fill_value)?;
        codec.field("antialias", &mut self.antialias)?;
        codec.field("data_format", &mut self.data_format)
    }
}

#[cfg(feature = "keras")]
impl Configured for CenterCrop {
    const REQUIRED: &'static [&'static str] = &["height", "width"];

    fn template() -> Self {
        Self::new(1, 1)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("height", &mut self.height)?;
        codec.field("width", &mut self.width)?;
        codec.field("data_format", &mut self.data_format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_pixel_sum_to_one() {
        for (_, method) in ResizeMethod::ALL {
            for (input, output) in [(7, 3), (3, 7), (5, 5), (1, 4)] {
                for row in shares(input, output, method, true).chunks(input) {
                    assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{method:?} {input} {output} {row:?}");
                }
            }
        }
        // Two pixels share what lies between them.
        assert_eq!(shares(2, 1, ResizeMethod::Bilinear, false), [0.5, 0.5]);
    }
}
