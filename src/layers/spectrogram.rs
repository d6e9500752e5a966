//! STFTSpectrogram and MelSpectrogram: short-time Fourier transforms as convolutions.

use std::sync::Arc;

use super::Common;
use super::arguments::{common_setters, of_rank, positive};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::{Declared, Describe};
use super::{ConvArguments, Initializer, PerAxis, Window};
use crate::geometry::extent;
use crate::ops::{self, Kernel, Numbers, Span, Tape, Value};
use crate::plan::{AxisFunction, BinaryFunction, Elementwise, Outside};
use crate::{DType, DataFormat, Error, Padding, PartialShape, Result, Settings, Unary};

/// What a short-time Fourier transform weighs the samples of a frame by.
#[derive(Clone, Debug, PartialEq)]
pub enum FrameWindow {
    /// A window of a name: `hann`, `hamming`, `blackman`, `nuttall`, `blackmanharris`, `flattop` or `boxcar`; of others of SciPy's
    /// the weights must be in a file.
    Named(String),
    /// A factor for each sample.
    Values(Vec<f32>),
}

impl FrameWindow {
    /// The coefficients of the windows that are sums of cosines, after SciPy.
    const COSINES: [(&str, &[f64]); 8] = [
        ("hann", &[0.5, 0.5]),
        ("hanning", &[0.5, 0.5]),
        ("hamming", &[0.54, 0.46]),
        ("blackman", &[0.42, 0.5, 0.08]),
        ("nuttall", &[0.363_581_9, 0.489_177_5, 0.136_599_5, 0.010_641_1]),
        ("blackmanharris", &[0.358_75, 0.488_29, 0.141_28, 0.011_68]),
        ("flattop", &[0.215_578_95, 0.416_631_58, 0.277_263_158, 0.083_578_947, 0.006_947_368]),
        ("boxcar", &[1.0]),
    ];

    /// Its factors for `length` samples; a `periodic` one begins again behind the last of them.
    fn factors(&self, length: usize, periodic: bool) -> Result<Vec<f64>> {
        match self {
            Self::Values(values) if values.len() == length => Ok(values.iter().map(|&x| x.into()).collect()),
            Self::Values(values) => {
                let rule = format!("`window` must have {length} factors, one for each sample of a frame");
                Err(Error::invalid("window", rule, format!("{} factors", values.len())))
            }
            Self::Named(name) => {
                let known = Self::COSINES.iter().find(|(known, _)| known == name);
                let (_, cosines) = known.ok_or_else(|| {
                    let names: Vec<_> = Self::COSINES.iter().map(|(known, _)| *known).collect();
                    Error::unsupported(
                        format!("the window {name}"),
                        format!("windows are {}; give the factors of another as a list", names.join(", ")),
                    )
                })?;
                let turns = if periodic { length } else { length.saturating_sub(1) }.max(1) as f64;
                let angle = |at: usize| std::f64::consts::TAU * at as f64 / turns;
                let term = |at: usize, (order, factor): (usize, &f64)| {
                    let sign = if order % 2 == 0 { 1.0 } else { -1.0 };
                    sign * factor * (angle(at) * order as f64).cos()
                };
                let factor = |at: usize| cosines.iter().enumerate().map(|part| term(at, part)).sum();
                // SciPy's window of one sample is 1.
                Ok(if length == 1 { vec![1.0] } else { (0..length).map(factor).collect() })
            }
        }
    }
}

/// What a window is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowScaling {
    /// The root of the sum of its squares.
    Density,
    /// The sum of its magnitudes.
    Spectrum,
}

impl WindowScaling {
    /// The scaling of a name of Keras's.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other name.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "density" => Ok(Self::Density),
            "spectrum" => Ok(Self::Spectrum),
            _ => Err(Error::invalid("scaling", "`scaling` must be density or spectrum", format!("scaling={name}"))),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Density => "density",
            Self::Spectrum => "spectrum",
        }
    }
}

/// What of a spectrum an [`STFTSpectrogram`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpectrogramMode {
    /// The logarithm of the magnitude.
    Log,
    /// `√(real² + imag²)`.
    Magnitude,
    /// The power spectral density: the square of the magnitude, twice for all bins but the first and the last.
    Psd,
    /// The real part.
    Real,
    /// The imaginary part.
    Imag,
    /// The angle, −π to π.
    Angle,
    /// The real parts of all bins, then the imaginary ones.
    Stft,
}

impl SpectrogramMode {
    const ALL: [(&str, Self); 7] = [
        ("log", Self::Log),
        ("magnitude", Self::Magnitude),
        ("psd", Self::Psd),
        ("real", Self::Real),
        ("imag", Self::Imag),
        ("angle", Self::Angle),
        ("stft", Self::Stft),
    ];

    /// The mode of a name of Keras's.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other name.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|&(_, mode)| mode).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(known, _)| *known).collect();
            Error::invalid("mode", format!("`mode` must be one of {}", names.join(", ")), format!("mode={name}"))
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// The least power that is told from none, and the least magnitude: Keras's epsilon.
const EPSILON: f32 = 1e-7;

/// The spectrum of each frame of a signal, each channel by itself. The transform is a convolution, whose kernels can be trained.
///
/// # Shapes
/// With `bins = fft_length / 2 + 1`, twice as many in mode `stft`: input `[batch, samples, channels]`, output
/// `[batch, frames, channels · bins]`, or `[batch, frames, bins, channels]` with `expand_dims`; channels first, input
/// `[batch, channels, samples]`, output `[batch, channels · bins, frames]` or `[batch, channels, frames, bins]`. Weights `real_kernel`
/// and `imag_kernel`, `[frame_length, 1, fft_length / 2 + 1]`, of which the modes `real` and `imag` have one.
///
/// ```
/// use wgpu_conv::layers::STFTSpectrogram;
///
/// let layer = STFTSpectrogram::new().frame_length(256).fft_length(512);
/// assert_eq!(layer.output_shape([None, Some(160_000), Some(1)])?.to_string(), "(None, 1249, 257)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct STFTSpectrogram {
    /// Name, trainability and types.
    pub common: Common,
    /// What of the spectrum comes out; the logarithm of the magnitude by default.
    pub mode: SpectrogramMode,
    /// Samples of a frame; 256 by default.
    pub frame_length: u32,
    /// Samples from one frame to the next; half a frame by default.
    pub frame_step: Option<u32>,
    /// Samples of the transform; by default the least power of two that is not less than a frame.
    pub fft_length: Option<u32>,
    /// What a frame is weighed by; `hann` by default.
    pub window: Option<FrameWindow>,
    /// Whether the window begins again behind its end; false by default.
    pub periodic: bool,
    /// What the window is divided by; its density by default.
    pub scaling: Option<WindowScaling>,
    /// Treatment of the border; valid by default.
    pub padding: Padding,
    /// Whether the bins have an axis of their own; false by default.
    pub expand_dims: bool,
    /// Where the channels stand; `image_data_format` of [`Settings`] by default.
    pub data_format: DataFormat,
}

common_setters!(STFTSpectrogram, common);

impl Default for STFTSpectrogram {
    fn default() -> Self {
        let settings = Settings::current();
        Self {
            common: Common::new(&settings),
            mode: SpectrogramMode::Log,
            frame_length: 256,
            frame_step: None,
            fft_length: None,
            window: Some(FrameWindow::Named("hann".into())),
            periodic: false,
            scaling: Some(WindowScaling::Density),
            padding: Padding::Valid,
            expand_dims: false,
            data_format: settings.image_data_format,
        }
    }
}

impl STFTSpectrogram {
    /// A layer of frames of 256 samples.
    pub fn new() -> Self {
        Self::default()
    }

    /// What of the spectrum comes out; the logarithm of the magnitude by default.
    pub fn mode(mut self, mode: SpectrogramMode) -> Self {
        self.mode = mode;
        self
    }

    /// Samples of a frame; 256 by default.
    pub fn frame_length(mut self, samples: u32) -> Self {
        self.frame_length = samples;
        self
    }

    /// Samples from one frame to the next; half a frame by default.
    pub fn frame_step(mut self, samples: u32) -> Self {
        self.frame_step = Some(samples);
        self
    }

    /// Samples of the transform; by default the least power of two that is not less than a frame.
    pub fn fft_length(mut self, samples: u32) -> Self {
        self.fft_length = Some(samples);
        self
    }

    /// Whether the bins have an axis of their own; false by default.
    pub fn expand_dims(mut self, expand_dims: bool) -> Self {
        self.expand_dims = expand_dims;
        self
    }

    /// Samples from one frame to the next.
    fn step(&self) -> u32 {
        self.frame_step.unwrap_or(self.frame_length / 2)
    }

    /// Samples of the transform.
    fn samples(&self) -> u32 {
        self.fft_length.unwrap_or(self.frame_length.next_power_of_two())
    }

    /// The bins that a kernel makes.
    pub(crate) fn bins(&self) -> u32 {
        self.samples() / 2 + 1
    }

    /// The windows of the convolution of the samples of one channel.
    pub(crate) fn frames(&self) -> ConvArguments<1> {
        let (kernel_size, strides) = ([self.frame_length], [self.step()]);
        let window = Window { kernel_size, strides, dilation_rate: [1], padding: self.padding };
        let data_format = DataFormat::ChannelsLast;
        ConvArguments { window, data_format, use_bias: false, ..ConvArguments::new(PerAxis([1])) }
    }

    /// The extents of the batch, the samples and the channels.
    fn split(&self, input: &PartialShape) -> Result<[Option<usize>; 3]> {
        of_rank(input, 3)?;
        let dims = input.dims();
        let [samples, channels] = match self.data_format {
            DataFormat::ChannelsLast => [1, 2],
            DataFormat::ChannelsFirst => [2, 1],
        };
        Ok([dims[0], dims[samples], dims[channels]])
    }

    /// The output shape for `input`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let [batch, samples, channels] = self.split(&input.into())?;
        let frames = self.frames().output_shape(&[batch, samples, Some(1)].into(), 1)?.dims()[1];
        let bins = self.bins() as usize * if self.mode == SpectrogramMode::Stft { 2 } else { 1 };
        let all = channels.map(|channels| channels * bins);
        Ok(match (self.data_format, self.expand_dims) {
            (DataFormat::ChannelsLast, false) => [batch, frames, all].into(),
            (DataFormat::ChannelsLast, true) => [batch, frames, Some(bins), channels].into(),
            (DataFormat::ChannelsFirst, false) => [batch, all, frames].into(),
            (DataFormat::ChannelsFirst, true) => [batch, channels, frames, Some(bins)].into(),
        })
    }

    /// The first values of the kernel of the imaginary parts, or of the real ones.
    fn initializer(&self, imaginary: bool) -> Initializer {
        let Self { window, periodic, scaling, .. } = self.clone();
        Initializer::custom(move |shape, _| {
            let [length, _, bins] = shape.dims()[..] else { return Ok(Vec::new()) };
            let factors = window.as_ref().map(|window| window.factors(length, periodic)).transpose()?;
            let of = |f: &dyn Fn(f64) -> f64| factors.iter().flatten().map(|&x| f(x)).sum::<f64>();
            let scale = match scaling.filter(|_| factors.is_some()) {
                Some(WindowScaling::Density) => of(&|x| x * x).sqrt(),
                Some(WindowScaling::Spectrum) => of(&f64::abs),
                None => 1.0,
            };
            let mut values = transform(length, bins, 2 * (bins - 1), imaginary);
            for (at, value) in values.iter_mut().enumerate() {
                *value *= factors.as_ref().map_or(1.0, |factors| factors[at / bins] / scale);
            }
            Ok(values.into_iter().map(|value| value as f32).collect())
        })
    }
}

/// `cos` or `sin` of `−2π·time·bin / samples`, `[times, bins]`: a part of the discrete Fourier transform.
fn transform(times: usize, bins: usize, samples: usize, imaginary: bool) -> Vec<f64> {
    let value = |at: usize| {
        // Whole turns are left out, for the angle to be as exact as it is small.
        let turns = ((at / bins) * (at % bins) % samples.max(1)) as f64 / samples.max(1) as f64;
        let angle = -std::f64::consts::TAU * turns;
        if imaginary { angle.sin() } else { angle.cos() }
    };
    (0..times * bins).map(value).collect()
}

/// The squares of two values, added.
fn power(tape: &mut Tape, real: Value, imaginary: Value) -> Result<Value> {
    let square = Elementwise::of_unary(&Unary::Square);
    let (real, imaginary) = (ops::map(tape, square, real)?, ops::map(tape, square, imaginary)?);
    ops::two(tape, BinaryFunction::Add, real, imaginary)
}

/// `value`, or `least` where that is more.
fn at_least(tape: &mut Tape, least: f32, value: Value) -> Result<Value> {
    ops::map(tape, Elementwise::of_unary(&Unary::Clip { min: least, max: f32::INFINITY }), value)
}

impl Describe for STFTSpectrogram {
    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        positive("frame_length", &[self.frame_length])?;
        self.padding.check(false)?;
        let step = self.step();
        if step == 0 || step > self.frame_length {
            return Err(Error::invalid(
                "frame_step",
                "`frame_step` must be positive, and not greater than `frame_length`",
                format!("frame_step={step}, frame_length={}", self.frame_length),
            ));
        }
        if self.samples() < self.frame_length {
            return Err(Error::invalid(
                "fft_length",
                "`fft_length` must not be less than `frame_length`",
                format!("fft_length={}, frame_length={}", self.samples(), self.frame_length),
            ));
        }
        Ok(())
    }

    fn data_format(&self) -> Option<DataFormat> {
        Some(self.data_format)
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn weights(&self, _inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        let shape = [self.frame_length as usize, 1, self.bins() as usize];
        let free = |name, imaginary| Declared::free(name, shape, self.common.trainable, self.initializer(imaginary));
        let mut weights = Vec::new();
        if self.mode != SpectrogramMode::Imag {
            weights.push(free("real_kernel", false));
        }
        if self.mode != SpectrogramMode::Real {
            weights.push(free("imag_kernel", true));
        }
        Ok(weights)
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let dims = tape.shape(inputs[0]).dims().to_vec();
        let channels = dims[self.data_format.channel_axis(3)];
        let signals = match self.data_format {
            DataFormat::ChannelsLast => ops::permute(tape, &[0, 2, 1], inputs[0])?,
            DataFormat::ChannelsFirst => inputs[0],
        };
        let samples = tape.shape(signals).dims()[2];
        let signals = tape.reshape(signals, [dims[0] * channels, samples, 1])?;
        let frames = self.frames();
        let geometry = frames.geometry(tape.shape(signals), 1, self.bins())?;
        let arguments = frames.conv(geometry);
        let parts = operands.iter().map(|kernel| ops::conv::<1>(tape, &arguments, signals, kernel, None));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        // [batch · channels, frames, bins]
        let made = match (self.mode, &parts[..]) {
            (SpectrogramMode::Stft, parts) => ops::concatenate(tape, 2, parts)?,
            (SpectrogramMode::Angle, &[real, imaginary]) => {
                ops::two(tape, BinaryFunction::Arctangent, imaginary, real)?
            }
            (SpectrogramMode::Psd, &[real, imaginary]) => {
                let power = power(tape, real, imaginary)?;
                let bins = self.bins() as usize;
                let twice = (0..bins).map(|bin| if bin == 0 || bin + 1 == bins { 1.0 } else { 2.0 }).collect();
                let twice = Kernel::of_values([bins], twice, Numbers { dtype: tape.dtype(power), rounding: None });
                ops::with(tape, BinaryFunction::Multiply, power, &twice)?
            }
            (SpectrogramMode::Log | SpectrogramMode::Magnitude, &[real, imaginary]) => {
                let power = power(tape, real, imaginary)?;
                let power = at_least(tape, EPSILON, power)?;
                let magnitude = ops::map(tape, Elementwise::of_unary(&Unary::Sqrt), power)?;
                match self.mode {
                    SpectrogramMode::Magnitude => magnitude,
                    _ => {
                        let magnitude = at_least(tape, EPSILON, magnitude)?;
                        ops::map(tape, Elementwise::of_unary(&Unary::Log), magnitude)?
                    }
                }
            }
            (_, parts) => parts[0],
        };
        let [_, frames, bins] = tape.shape(made).dims()[..] else { return Ok(made) };
        let made = tape.reshape(made, [dims[0], channels, frames, bins])?;
        let order = match (self.data_format, self.expand_dims) {
            (DataFormat::ChannelsLast, false) => [0, 2, 1, 3],
            (DataFormat::ChannelsLast, true) => [0, 2, 3, 1],
            (DataFormat::ChannelsFirst, false) => [0, 1, 3, 2],
            (DataFormat::ChannelsFirst, true) => [0, 1, 2, 3],
        };
        let made = ops::permute(tape, &order, made)?;
        let shape = self.output_shape(tape.shape(inputs[0]))?.known().unwrap_or_default();
        tape.reshape(made, shape)
    }
}

/// The power of each frame of a signal in bands of the mel scale, in decibels by default.
///
/// # Shapes
/// Input `[batch, samples]`, more than half of `fft_length`; output `[batch, num_mel_bins, frames]`, a frame for each
/// `sequence_stride` samples and one more. The signal is mirrored at its ends.
///
/// ```
/// use wgpu_conv::layers::MelSpectrogram;
///
/// let layer = MelSpectrogram::new().num_mel_bins(64);
/// assert_eq!(layer.output_shape([None, Some(16_000)])?.to_string(), "(None, 64, 32)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MelSpectrogram {
    /// Name, trainability and types.
    pub common: Common,
    /// Samples of the transform; 2048 by default.
    pub fft_length: u32,
    /// Samples from one frame to the next; 512 by default.
    pub sequence_stride: u32,
    /// Samples of a frame; those of the transform by default.
    pub sequence_length: Option<u32>,
    /// What a frame is weighed by; `hann` by default.
    pub window: Option<FrameWindow>,
    /// Samples in a second; 16000 by default.
    pub sampling_rate: f64,
    /// Bands; 128 by default.
    pub num_mel_bins: u32,
    /// Where the lowest band begins, in hertz; 20 by default.
    pub min_freq: f64,
    /// Where the highest band ends, in hertz; half of the sampling rate by default.
    pub max_freq: Option<f64>,
    /// Whether powers come out in decibels; true by default.
    pub power_to_db: bool,
    /// How many decibels below the loudest of a call nothing is told from silence; 80 by default.
    pub top_db: f64,
    /// The exponent of magnitudes; 2 by default.
    pub mag_exp: f64,
    /// The least power that is told from none; 10⁻¹⁰ by default.
    pub min_power: f64,
    /// The power of 0 decibels; 1 by default.
    pub ref_power: f64,
}

common_setters!(MelSpectrogram, common);

impl Default for MelSpectrogram {
    fn default() -> Self {
        Self {
            common: Common::new(&Settings::current()),
            fft_length: 2048,
            sequence_stride: 512,
            sequence_length: None,
            window: Some(FrameWindow::Named("hann".into())),
            sampling_rate: 16_000.0,
            num_mel_bins: 128,
            min_freq: 20.0,
            max_freq: None,
            power_to_db: true,
            top_db: 80.0,
            mag_exp: 2.0,
            min_power: 1e-10,
            ref_power: 1.0,
        }
    }
}

impl MelSpectrogram {
    /// A layer of 128 bands, of frames of 2048 samples.
    pub fn new() -> Self {
        Self::default()
    }

    /// Samples of the transform; 2048 by default.
    pub fn fft_length(mut self, samples: u32) -> Self {
        self.fft_length = samples;
        self
    }

    /// Samples from one frame to the next; 512 by default.
    pub fn sequence_stride(mut self, samples: u32) -> Self {
        self.sequence_stride = samples;
        self
    }

    /// Bands; 128 by default.
    pub fn num_mel_bins(mut self, bands: u32) -> Self {
        self.num_mel_bins = bands;
        self
    }

    /// Whether powers come out in decibels; true by default.
    pub fn power_to_db(mut self, power_to_db: bool) -> Self {
        self.power_to_db = power_to_db;
        self
    }

    /// The output shape for `input`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        of_rank(&input, 2)?;
        let half = self.fft_length as usize / 2;
        if let Some(samples) = input.dims()[1].filter(|&samples| samples <= half) {
            return Err(Error::invalid(
                "input",
                format!("the signal is mirrored at its ends, and must have more than {half} samples"),
                format!("{samples} samples"),
            ));
        }
        let odd = self.fft_length as usize % 2;
        let frames = input.dims()[1].map(|samples| (samples - odd) / self.sequence_stride as usize + 1);
        Ok([input.dims()[0], Some(self.num_mel_bins as usize), frames].into())
    }

    /// The samples before the window of a frame, and those of the window.
    pub(crate) fn span(&self) -> [usize; 2] {
        let all = self.fft_length as usize;
        match self.window {
            None => [0, all],
            Some(_) => {
                let window = self.sequence_length.map_or(all, |length| length as usize);
                [(all - window) / 2, window]
            }
        }
    }

    /// The kernel of a part of the transform, weighed by the window: `[samples, bins]`.
    pub(crate) fn kernel(&self, imaginary: bool) -> Result<Vec<f64>> {
        let [_, length] = self.span();
        let bins = self.fft_length as usize / 2 + 1;
        let mut values = transform(length, bins, self.fft_length as usize, imaginary);
        if let Some(window) = &self.window {
            let factors = window.factors(length, true)?;
            values.iter_mut().enumerate().for_each(|(at, value)| *value *= factors[at / bins]);
        }
        Ok(values)
    }

    /// What each bin of a spectrum is to each band, `[bins, bands]`: in f32 step by step, as Keras computes it.
    pub(crate) fn bands(&self) -> Vec<f32> {
        let mel = |hertz: f32| 1127.0 * (1.0 + hertz / 700.0f32).ln();
        let between = |from: f32, to: f32, count: usize, at: usize| {
            if at + 1 == count {
                return to;
            }
            let step = at as f32 / (count - 1) as f32;
            from * (1.0 - step) + to * step
        };
        let bins = self.fft_length as usize / 2 + 1;
        let bands = self.num_mel_bins as usize;
        let highest = self.max_freq.unwrap_or((self.sampling_rate / 2.0).trunc());
        let (lowest, highest) = (mel(self.min_freq as f32), mel(highest as f32));
        let edge = |at: usize| between(lowest, highest, bands + 2, at);
        let share = |at: usize| {
            let (bin, band) = (at / bands, at % bands);
            if bin == 0 {
                return 0.0;
            }
            let here = mel(between(0.0, self.sampling_rate as f32 / 2.0, bins, bin));
            let (lower, center, upper) = (edge(band), edge(band + 1), edge(band + 2));
            ((here - lower) / (center - lower)).min((upper - here) / (upper - center)).max(0.0)
        };
        (0..bins * bands).map(share).collect()
    }
}

impl Describe for MelSpectrogram {
    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        positive("fft_length", &[self.fft_length])?;
        positive("sequence_stride", &[self.sequence_stride])?;
        positive("num_mel_bins", &[self.num_mel_bins])?;
        if let Some(length) = self.sequence_length {
            positive("sequence_length", &[length])?;
            if length > self.fft_length {
                return Err(Error::invalid(
                    "sequence_length",
                    "`fft_length` must not be less than `sequence_length`",
                    format!("sequence_length={length}, fft_length={}", self.fft_length),
                ));
            }
        }
        if self.fft_length < 2 {
            return Err(Error::invalid("fft_length", "`fft_length` must be at least 2", "fft_length=1"));
        }
        let highest = self.max_freq.unwrap_or(self.sampling_rate / 2.0);
        if !(self.min_freq >= 0.0 && highest > self.min_freq && highest.is_finite()) {
            return Err(Error::invalid(
                "max_freq",
                "`max_freq` must lie above `min_freq`, which must not be negative",
                format!("min_freq={}, max_freq={highest}", self.min_freq),
            ));
        }
        if let Some(window) = &self.window {
            window.factors(self.span()[1], true)?;
        }
        Ok(())
    }

    fn takes_whole_numbers(&self, _index: usize) -> bool {
        // It computes in f32 under any policy, as Keras does.
        true
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let input = ops::cast(tape, DType::F32, None, inputs[0])?;
        let [batch, samples] = tape.shape(input).dims()[..] else { return Ok(input) };
        let (all, [before, length]) = (self.fft_length as usize, self.span());
        let padded = samples + 2 * (all / 2);
        let mirrored = [Span::whole(batch), Span::shifted(padded, all as i64 / 2)];
        let signal = ops::gather(tape, &mirrored, Outside::Reflect, input)?;
        // What the window of no frame reads is left out.
        let read = padded - (all - length);
        let signal = ops::part(tape, 1, before, read, signal)?;
        let signal = tape.reshape(signal, [batch, read, 1])?;
        let bins = all / 2 + 1;
        let window = Window {
            kernel_size: [extent(length)?],
            strides: [self.sequence_stride],
            dilation_rate: [1],
            padding: Padding::Valid,
        };
        let data_format = DataFormat::ChannelsLast;
        let arguments = ConvArguments { window, data_format, ..ConvArguments::<1>::new(PerAxis([1])) };
        let arguments = arguments.conv(arguments.geometry(tape.shape(signal), 1, extent(bins)?)?);
        let part = |tape: &mut Tape, imaginary: bool| {
            let kernel = self.kernel(imaginary)?.into_iter().map(|value| value as f32).collect();
            let kernel = Kernel::of_values([length, 1, bins], kernel, Numbers::EXACT);
            ops::conv::<1>(tape, &arguments, signal, &kernel, None)
        };
        let (real, imaginary) = (part(tape, false)?, part(tape, true)?);
        let mut value = power(tape, real, imaginary)?;
        if self.mag_exp != 2.0 {
            value = ops::map(tape, Elementwise::of_unary(&Unary::Sqrt), value)?;
            let exponent = self.mag_exp as f32;
            value = ops::map(tape, Elementwise::of_unary(&Unary::Pow { exponent }), value)?;
        }
        let bands = self.num_mel_bins as usize;
        let matrix = Kernel::of_values([bins, bands], self.bands(), Numbers::EXACT);
        value = ops::dense(tape, bands, crate::Activation::Linear, value, &matrix, None)?;
        if self.power_to_db {
            let decibels = 10.0 / std::f64::consts::LN_10;
            let zero = decibels * self.ref_power.abs().max(self.min_power).ln();
            value = at_least(tape, self.min_power as f32, value)?;
            value = ops::map(tape, Elementwise::of_unary(&Unary::Log), value)?;
            let in_decibels = Unary::Affine { scale: decibels as f32, offset: -zero as f32 };
            value = ops::map(tape, Elementwise::of_unary(&in_decibels), value)?;
            if tape.elements(value) > 0 {
                let loudest = ops::reduce(tape, AxisFunction::Max, &[0, 1, 2], true, value)?;
                let below = Unary::Affine { scale: 1.0, offset: -self.top_db as f32 };
                let least = ops::map(tape, Elementwise::of_unary(&below), loudest)?;
                value = ops::two(tape, BinaryFunction::Maximum, value, least)?;
            }
        }
        let value = ops::permute(tape, &[0, 2, 1], value)?;
        super::categories::in_its_type(tape, &self.common, value)
    }
}

#[cfg(feature = "keras")]
impl Configured for STFTSpectrogram {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("mode", &mut self.mode)?;
        codec.field("frame_length", &mut self.frame_length)?;
        codec.field("frame_step", &mut self.frame_step)?;
        codec.field("fft_length", &mut self.fft_length)?;
        codec.field("window", &mut self.window)?;
        codec.field("periodic", &mut self.periodic)?;
        codec.field("scaling", &mut self.scaling)?;
        codec.field("padding", &mut self.padding)?;
        codec.field("data_format", &mut self.data_format)?;
        codec.field("expand_dims", &mut self.expand_dims)
    }
}

#[cfg(feature = "keras")]
impl Configured for MelSpectrogram {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("fft_length", &mut self.fft_length)?;
        codec.field("sequence_stride", &mut self.sequence_stride)?;
        codec.field("sequence_length", &mut self.sequence_length)?;
        codec.field("window", &mut self.window)?;
        codec.field("sampling_rate", &mut self.sampling_rate)?;
        codec.field("num_mel_bins", &mut self.num_mel_bins)?;
        codec.field("min_freq", &mut self.min_freq)?;
        codec.field("max_freq", &mut self.max_freq)?;
        codec.field("power_to_db", &mut self.power_to_db)?;
        codec.field("top_db", &mut self.top_db)?;
        codec.field("mag_exp", &mut self.mag_exp)?;
        codec.field("min_power", &mut self.min_power)?;
        codec.field("ref_power", &mut self.ref_power)
    }
}
