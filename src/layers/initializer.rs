//! Initializers: the first values of a weight.
//!
//! Values are made on the host from a counter-based generator (ChaCha with 8 rounds), so equal seeds give equal weights
//! on every machine. Uniform values, fans and orthogonalisation use only operations that IEEE 754 rounds exactly.
//! Normal values are computed in f64 and rounded once to f32; a draw beyond 3.6 standard deviations (one in four
//! thousand) goes through the platform's `ln`, whose last f64 bit may differ, which survives the rounding about once in
//! 10¹² draws. Keras's own streams are not reproduced: its backends differ from each other (T4).

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Axes, Custom};
use crate::geometry::axis_index;
use crate::{DType, Error, Result, Shape};

/// How a weight gets its first values.
///
/// Random ones need the crate feature `random`. Called twice for the same shape, one object gives the same values,
/// unless its [`Seed`] is a [`SeedGenerator`]; each constructor call makes a new object with a new seed.
///
/// Two initializers are equal when a config would say the same of them: a seed drawn for want of one does not count.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Initializer {
    /// 0 everywhere.
    Zeros,
    /// 1 everywhere.
    Ones,
    /// One value everywhere; 0 by Keras's default.
    Constant(f64),
    /// Normally distributed.
    RandomNormal {
        /// 0 by default.
        mean: f64,
        /// 0.05 by default.
        stddev: f64,
        /// None by default.
        seed: Seed,
    },
    /// Normally distributed, redrawn where outside `mean ± 2·stddev`.
    TruncatedNormal {
        /// 0 by default.
        mean: f64,
        /// Before truncation; 0.05 by default.
        stddev: f64,
        /// None by default.
        seed: Seed,
    },
    /// Uniformly distributed in `[minval, maxval)`.
    RandomUniform {
        /// −0.05 by default.
        minval: f64,
        /// 0.05 by default.
        maxval: f64,
        /// None by default.
        seed: Seed,
    },
    /// A variance inversely proportional to a weight's fan: [`glorot_uniform`](Self::glorot_uniform) and its kin.
    ///
    /// The fans of a kernel `[kh, kw, in, out]` are `kh·kw·in` and `kh·kw·out`; a depthwise kernel's count all its
    /// channels, although each output sees one (T3).
    VarianceScaling {
        /// Which fan, how much, and the distribution.
        scaling: Scaling,
        /// None by default.
        seed: Seed,
        /// With `output_axes`: the axes whose product is the fan in, in place of the rule above.
        input_axes: Option<Axes>,
        /// With `input_axes`: the axes whose product is the fan out.
        output_axes: Option<Axes>,
    },
    /// `gain` times orthonormal columns, or rows where there are fewer of those, of the weight as a matrix
    /// `[all axes but the last, last axis]`. Rank 2 at least.
    Orthogonal {
        /// 1 by default.
        gain: f64,
        /// None by default.
        seed: Seed,
    },
    /// `gain` on the diagonal, 0 elsewhere. Rank 2 only, so for no convolution weight.
    Identity {
        /// 1 by default.
        gain: f64,
    },
    /// Values of exactly the weight's shape: see [`array`](Self::array).
    Array {
        /// The shape the weight must have.
        shape: Shape,
        /// Its values, last axis fastest.
        values: Arc<[f32]>,
    },
    /// A function: see [`custom`](Self::custom).
    Custom(Custom<InitializerFn>),
}

/// A function from a weight's shape and element type to its values, last axis fastest.
pub type InitializerFn = dyn Fn(&Shape, DType) -> Result<Vec<f32>> + Send + Sync;

/// What an [`Initializer::VarianceScaling`] draws: one of Keras's six named choices, or its general form.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Scaling {
    /// Uniform, variance 1 / mean of the fans (Glorot & Bengio 2010). Keras's default for kernels.
    GlorotUniform,
    /// Truncated normal, variance 1 / mean of the fans.
    GlorotNormal,
    /// Uniform, variance 2 / fan in (He et al. 2015).
    HeUniform,
    /// Truncated normal, variance 2 / fan in.
    HeNormal,
    /// Uniform, variance 1 / fan in (LeCun et al. 1998).
    LecunUniform,
    /// Truncated normal, variance 1 / fan in.
    LecunNormal,
    /// Variance `scale` / fan.
    General {
        /// Positive; 1 by default.
        scale: f64,
        /// [`FanIn`](Fan::FanIn) by default.
        mode: Fan,
        /// [`TruncatedNormal`](Distribution::TruncatedNormal) by default.
        distribution: Distribution,
    },
}

impl Scaling {
    /// Keras's defaults of the general form.
    const GENERAL: Self = Self::General { scale: 1.0, mode: Fan::FanIn, distribution: Distribution::TruncatedNormal };

    /// Scale, mode and distribution: those of Keras's class of the name.
    const fn parameters(self) -> (f64, Fan, Distribution) {
        match self {
            Self::GlorotUniform => (1.0, Fan::FanAvg, Distribution::Uniform),
            Self::GlorotNormal => (1.0, Fan::FanAvg, Distribution::TruncatedNormal),
            Self::HeUniform => (2.0, Fan::FanIn, Distribution::Uniform),
            Self::HeNormal => (2.0, Fan::FanIn, Distribution::TruncatedNormal),
            Self::LecunUniform => (1.0, Fan::FanIn, Distribution::Uniform),
            Self::LecunNormal => (1.0, Fan::FanIn, Distribution::TruncatedNormal),
            Self::General { scale, mode, distribution } => (scale, mode, distribution),
        }
    }
}

/// The fan a variance is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fan {
    /// The inputs of one output.
    FanIn,
    /// The outputs of one input.
    FanOut,
    /// Their mean.
    FanAvg,
}

/// The distribution of [`Scaling::General`]; each has the variance asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Distribution {
    /// Normal, redrawn outside two standard deviations, and widened to make up for it.
    TruncatedNormal,
    /// Normal.
    UntruncatedNormal,
    /// Uniform around 0.
    Uniform,
}

/// The standard deviation of a standard normal distribution cut at ±2.
const TRUNCATED_STDDEV: f64 = 0.879_625_661_034_239_8;

/// A Keras class: its name, the name in snake case, and the object with default parameters.
type Class = (&'static str, &'static str, fn() -> Initializer);

const CLASSES: [Class; 15] = [
    ("Constant", "constant", || Initializer::Constant(0.0)),
    ("GlorotNormal", "glorot_normal", Initializer::glorot_normal),
    ("GlorotUniform", "glorot_uniform", Initializer::glorot_uniform),
    ("HeNormal", "he_normal", Initializer::he_normal),
    ("HeUniform", "he_uniform", Initializer::he_uniform),
    ("Identity", "identity", || Initializer::Identity { gain: 1.0 }),
    ("LecunNormal", "lecun_normal", Initializer::lecun_normal),
    ("LecunUniform", "lecun_uniform", Initializer::lecun_uniform),
    ("Ones", "ones", || Initializer::Ones),
    ("Orthogonal", "orthogonal", || Initializer::orthogonal(1.0)),
    ("RandomNormal", "random_normal", || Initializer::random_normal(0.0, 0.05)),
    ("RandomUniform", "random_uniform", || Initializer::random_uniform(-0.05, 0.05)),
    ("TruncatedNormal", "truncated_normal", || Initializer::truncated_normal(0.0, 0.05)),
    ("VarianceScaling", "variance_scaling", || Initializer::scaled(Scaling::GENERAL)),
    ("Zeros", "zeros", || Initializer::Zeros),
];

/// The other names Keras knows them by.
const ALIASES: [(&str, &str); 6] = [
    ("zero", "Zeros"),
    ("one", "Ones"),
    ("normal", "RandomNormal"),
    ("uniform", "RandomUniform"),
    ("IdentityInitializer", "Identity"),
    ("OrthogonalInitializer", "Orthogonal"),
];

impl Initializer {
    /// The initializer of a Keras name, in either spelling (`GlorotUniform`, `glorot_uniform`) or an alias (`zero`,
    /// `normal`, …), with default parameters and a new seed. `constant` is 0 (T2).
    ///
    /// # Errors
    /// [`Error::Unsupported`] for `STFT`, which suits rank 3 only; [`Error::Invalid`] for any other name. Names are
    /// case-sensitive.
    ///
    /// ```
    /// # use wgpu_conv::layers::Initializer;
    /// assert_eq!(Initializer::from_name("he_normal")?, Initializer::he_normal());
    /// assert_eq!(Initializer::from_name("one")?, Initializer::Ones);
    /// assert!(Initializer::from_name("He_Normal").is_err());
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_name(name: &str) -> Result<Self> {
        let class = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, class)| class);
        if let Some((.., make)) = CLASSES.iter().find(|(camel, snake, _)| [*camel, *snake].contains(&class)) {
            return Ok(make());
        }
        if ["STFT", "stft", "STFTInitializer"].contains(&name) {
            return Err(Error::unsupported("the initializer STFT", "no weight of these layers has its three axes"));
        }
        let names: Vec<_> = CLASSES.iter().map(|(camel, ..)| *camel).collect();
        Err(Error::invalid(
            "initializer",
            format!("an initializer must be one of {} (custom ones are not read)", names.join(", ")),
            format!("initializer={name}"),
        ))
    }

    /// Uniform with variance 2 / (fan in + fan out). Keras's default for kernels.
    pub fn glorot_uniform() -> Self {
        Self::scaled(Scaling::GlorotUniform)
    }

    /// Truncated normal with variance 2 / (fan in + fan out).
    pub fn glorot_normal() -> Self {
        Self::scaled(Scaling::GlorotNormal)
    }

    /// Uniform with variance 2 / fan in.
    pub fn he_uniform() -> Self {
        Self::scaled(Scaling::HeUniform)
    }

    /// Truncated normal with variance 2 / fan in.
    pub fn he_normal() -> Self {
        Self::scaled(Scaling::HeNormal)
    }

    /// Uniform with variance 1 / fan in.
    pub fn lecun_uniform() -> Self {
        Self::scaled(Scaling::LecunUniform)
    }

    /// Truncated normal with variance 1 / fan in.
    pub fn lecun_normal() -> Self {
        Self::scaled(Scaling::LecunNormal)
    }

    /// Variance `scale` / fan, by `mode`, of `distribution`.
    pub fn variance_scaling(scale: f64, mode: Fan, distribution: Distribution) -> Self {
        Self::scaled(Scaling::General { scale, mode, distribution })
    }

    fn scaled(scaling: Scaling) -> Self {
        Self::VarianceScaling { scaling, seed: Seed::default(), input_axes: None, output_axes: None }
    }

    /// Normally distributed around `mean`.
    pub fn random_normal(mean: f64, stddev: f64) -> Self {
        Self::RandomNormal { mean, stddev, seed: Seed::default() }
    }

    /// Normally distributed around `mean`, redrawn where further off than `2·stddev`.
    pub fn truncated_normal(mean: f64, stddev: f64) -> Self {
        Self::TruncatedNormal { mean, stddev, seed: Seed::default() }
    }

    /// Uniformly distributed in `[minval, maxval)`.
    pub fn random_uniform(minval: f64, maxval: f64) -> Self {
        Self::RandomUniform { minval, maxval, seed: Seed::default() }
    }

    /// `gain` times a matrix with orthonormal rows or columns.
    pub fn orthogonal(gain: f64) -> Self {
        Self::Orthogonal { gain, seed: Seed::default() }
    }

    /// These values, last axis fastest, for a weight of exactly this shape.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the shape does not hold as many values.
    ///
    /// ```
    /// use wgpu_conv::layers::{Conv2D, Initializer};
    ///
    /// let sobel = Initializer::array([3, 3, 1, 1], vec![1., 0., -1., 2., 0., -2., 1., 0., -1.])?;
    /// let conv = Conv2D::new(1, 3).kernel_initializer(sobel).use_bias(false);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn array(shape: impl Into<Shape>, values: impl Into<Arc<[f32]>>) -> Result<Self> {
        let initializer = Self::Array { shape: shape.into(), values: values.into() };
        initializer.validate()?;
        Ok(initializer)
    }

    /// A function from the weight's shape and element type to its values, last axis fastest.
    pub fn custom(function: impl Fn(&Shape, DType) -> Result<Vec<f32>> + Send + Sync + 'static) -> Self {
        Self::Custom(Custom::new(Arc::new(function)))
    }

    /// This initializer with `seed`: an integer, or a [`SeedGenerator`]. One that draws nothing has no use for it.
    ///
    /// ```
    /// # use wgpu_conv::layers::Initializer;
    /// let repeatable = Initializer::he_normal().seed(7);
    /// assert_ne!(repeatable, Initializer::he_normal());
    /// ```
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        if let Some(own) = self.seed_mut() {
            *own = seed.into();
        }
        self
    }

    fn seed_mut(&mut self) -> Option<&mut Seed> {
        match self {
            Self::RandomNormal { seed, .. }
            | Self::TruncatedNormal { seed, .. }
            | Self::RandomUniform { seed, .. }
            | Self::VarianceScaling { seed, .. }
            | Self::Orthogonal { seed, .. } => Some(seed),
            Self::Zeros
            | Self::Ones
            | Self::Constant(_)
            | Self::Identity { .. }
            | Self::Array { .. }
            | Self::Custom(_) => None,
        }
    }

    /// Checks the parameters by themselves.
    ///
    /// # Errors
    /// [`Error::Invalid`] for parameters that are not finite, a standard deviation below 0, `minval` above `maxval`, a
    /// scale not above 0, and an array whose shape does not hold its values.
    pub(crate) fn validate(&self) -> Result<()> {
        let (sound, rule) = match self {
            Self::Zeros | Self::Ones | Self::Custom(_) => return Ok(()),
            Self::Constant(value) => (value.is_finite(), "`value` must be finite"),
            Self::RandomNormal { mean, stddev, .. } | Self::TruncatedNormal { mean, stddev, .. } => (
                mean.is_finite() && stddev.is_finite() && *stddev >= 0.0,
                "`mean` and `stddev` must be finite, and `stddev` not negative",
            ),
            Self::RandomUniform { minval, maxval, .. } => (
                minval.is_finite() && maxval.is_finite() && minval <= maxval,
                "`minval` and `maxval` must be finite, and `minval` not above `maxval`",
            ),
            Self::VarianceScaling { scaling, .. } => {
                let (scale, ..) = scaling.parameters();
                (scale.is_finite() && scale > 0.0, "`scale` must be positive and finite")
            }
            Self::Orthogonal { gain, .. } | Self::Identity { gain } => (gain.is_finite(), "`gain` must be finite"),
            Self::Array { shape, values } => {
                (shape.elements()? == values.len() as u64, "an array must hold as many values as its shape")
            }
        };
        if sound {
            return Ok(());
        }
        let received = match self {
            Self::Array { shape, values } => format!("{} values for shape={shape}", values.len()),
            other => format!("{other:?}"),
        };
        Err(Error::invalid("initializer", rule, received))
    }

    /// The first values of a weight of `shape`, last axis fastest.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a shape this initializer does not suit, [`Error::Limit`] where the host has no memory for
    /// it, and [`Error::Unsupported`] for random values without the crate feature `random`.
    pub(crate) fn values(&self, shape: &Shape, dtype: DType) -> Result<Vec<f32>> {
        self.validate()?;
        let count = usize::try_from(shape.elements()?).unwrap_or(usize::MAX);
        match self {
            Self::Zeros => fill(count, || 0.0),
            Self::Ones => fill(count, || 1.0),
            Self::Constant(value) => fill(count, || *value as f32),
            Self::RandomNormal { mean, stddev, seed } => {
                let mut stream = seed.stream()?;
                fill(count, || (mean + stddev * stream.normal()) as f32)
            }
            Self::TruncatedNormal { mean, stddev, seed } => {
                let mut stream = seed.stream()?;
                fill(count, || (mean + stddev * stream.truncated_normal()) as f32)
            }
            Self::RandomUniform { minval, maxval, seed } => {
                let mut stream = seed.stream()?;
                fill(count, || stream.uniform(*minval, *maxval))
            }
            Self::VarianceScaling { scaling, seed, input_axes, output_axes } => {
                let axes = input_axes.as_ref().zip(output_axes.as_ref());
                let (scale, mode, distribution) = scaling.parameters();
                let [fan_in, fan_out] = fans(shape, axes)?;
                let fan = match mode {
                    Fan::FanIn => fan_in,
                    Fan::FanOut => fan_out,
                    Fan::FanAvg => (fan_in + fan_out) / 2.0,
                };
                let variance = scale / fan.max(1.0);
                let mut stream = seed.stream()?;
                match distribution {
                    Distribution::TruncatedNormal => {
                        let stddev = variance.sqrt() / TRUNCATED_STDDEV;
                        fill(count, || (stddev * stream.truncated_normal()) as f32)
                    }
                    Distribution::UntruncatedNormal => {
                        let stddev = variance.sqrt();
                        fill(count, || (stddev * stream.normal()) as f32)
                    }
                    Distribution::Uniform => {
                        let limit = (3.0 * variance).sqrt();
                        fill(count, || stream.uniform(-limit, limit))
                    }
                }
            }
            Self::Orthogonal { gain, seed } => {
                let [leading @ .., columns] = shape.dims() else {
                    return Err(wrong_rank("Orthogonal", "at least", shape));
                };
                if leading.is_empty() {
                    return Err(wrong_rank("Orthogonal", "at least", shape));
                }
                orthogonal(leading.iter().product(), *columns, *gain, &mut seed.stream()?)
            }
            Self::Identity { gain } => {
                let &[_, columns] = shape.dims() else { return Err(wrong_rank("Identity", "exactly", shape)) };
                let mut positions = 0..count;
                fill(count, || {
                    let position = positions.next().unwrap_or_default();
                    if position / columns == position % columns { *gain as f32 } else { 0.0 }
                })
            }
            Self::Array { shape: own, values } if own == shape => Ok(values.to_vec()),
            Self::Array { shape: own, .. } => Err(Error::invalid(
                "initializer",
                format!("an array must have exactly the weight's shape {shape}"),
                format!("shape={own}"),
            )),
            Self::Custom(custom) => {
                let values = custom.function()(shape, dtype)?;
                if values.len() == count {
                    return Ok(values);
                }
                Err(Error::invalid(
                    "initializer",
                    format!("a custom initializer must give the {count} values of the weight's shape {shape}"),
                    format!("{} values", values.len()),
                ))
            }
        }
    }
}

fn wrong_rank(class: &str, how: &str, shape: &Shape) -> Error {
    Error::invalid(
        "initializer",
        format!("the initializer {class} suits weights of {how} 2 axes"),
        format!("shape={shape} of rank {}", shape.rank()),
    )
}

/// `count` values, or an error where they do not fit the host's memory.
fn fill(count: usize, mut value: impl FnMut() -> f32) -> Result<Vec<f32>> {
    let mut values = Vec::new();
    if values.try_reserve_exact(count).is_err() {
        return Err(Error::limit(
            "initial values, in bytes of host memory",
            (count as u64).saturating_mul(4),
            isize::MAX as u64,
        ));
    }
    values.extend(std::iter::repeat_with(&mut value).take(count));
    Ok(values)
}

/// Fan in and fan out of a weight of `shape` (T3), by the two lists of axes where given.
fn fans(shape: &Shape, axes: Option<(&Axes, &Axes)>) -> Result<[f64; 2]> {
    let dims = shape.dims();
    let product = |dims: &[usize]| dims.iter().map(|&dim| dim as f64).product::<f64>();
    if let Some((inputs, outputs)) = axes {
        let over = |axes: &Axes| {
            let extents = axes.as_slice().iter().map(|&axis| {
                axis_index(axis, dims.len()).map(|index| dims[index] as f64).ok_or_else(|| {
                    Error::invalid(
                        "initializer",
                        "`input_axes` and `output_axes` must be axes of the weight",
                        format!("axis={axis} for shape={shape}"),
                    )
                })
            });
            extents.product::<Result<f64>>()
        };
        return Ok([over(inputs)?, over(outputs)?]);
    }
    Ok(match dims {
        [] => [1.0; 2],
        [only] => [*only as f64; 2],
        [receptive_field @ .., input, output] => {
            [input, output].map(|&channels| product(receptive_field) * channels as f64)
        }
    })
}

/// `gain` times the orthogonal factor, made unique by a positive diagonal of the other, of a `rows × columns` matrix (its
/// transpose where it is wide) of normal values: the orthogonalisation of Gram and Schmidt, done twice (Giraud et
/// al. 2005: enough for full precision).
fn orthogonal(rows: usize, columns: usize, gain: f64, stream: &mut Stream) -> Result<Vec<f32>> {
    let tall = rows >= columns;
    let (length, vectors) = if tall { (rows, columns) } else { (columns, rows) };
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(vectors);
    while basis.len() < vectors {
        let mut vector: Vec<f64> = (0..length).map(|_| stream.normal()).collect();
        for _ in 0..2 {
            for unit in &basis {
                let along = dot(&vector, unit);
                vector.iter_mut().zip(unit).for_each(|(v, u)| *v -= along * u);
            }
        }
        let norm = dot(&vector, &vector).sqrt();
        if norm > 0.0 {
            vector.iter_mut().for_each(|v| *v /= norm);
            basis.push(vector);
        }
    }
    let mut positions = 0..rows * columns;
    fill(rows * columns, || {
        let position = positions.next().unwrap_or_default();
        let (row, column) = (position / columns, position % columns);
        (gain * if tall { basis[column][row] } else { basis[row][column] }) as f32
    })
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Where an initializer's random values start: an integer, a [`SeedGenerator`], or nothing in particular.
///
/// Without either, one seed is drawn when the object is made, and its clones keep it; see [`set_random_seed`].
#[derive(Clone, Debug)]
pub struct Seed(SeedSource);

#[derive(Clone, Debug)]
enum SeedSource {
    Integer(u64),
    Drawn(u64),
    Generator(SeedGenerator),
}

impl Seed {
    /// The integer given.
    pub fn integer(&self) -> Option<u64> {
        match self.0 {
            SeedSource::Integer(seed) => Some(seed),
            SeedSource::Drawn(_) | SeedSource::Generator(_) => None,
        }
    }

    /// The generator given.
    pub fn generator(&self) -> Option<&SeedGenerator> {
        match &self.0 {
            SeedSource::Generator(generator) => Some(generator),
            SeedSource::Integer(_) | SeedSource::Drawn(_) => None,
        }
    }

    /// Where a generator of the device starts.
    pub(crate) fn number(&self) -> u64 {
        match &self.0 {
            SeedSource::Integer(seed) | SeedSource::Drawn(seed) => *seed,
            SeedSource::Generator(generator) => generator.seed(),
        }
    }

    /// # Errors
    /// [`Error::Unsupported`] without the crate feature `random`.
    fn stream(&self) -> Result<Stream> {
        let (seed, number) = match &self.0 {
            SeedSource::Integer(seed) | SeedSource::Drawn(seed) => (*seed, 0),
            SeedSource::Generator(generator) => generator.next_stream(),
        };
        Stream::new(seed, number)
    }
}

impl Default for Seed {
    fn default() -> Self {
        Self(SeedSource::Drawn(draw_seed()))
    }
}

/// As a config tells them apart: no two objects without a seed differ.
impl PartialEq for Seed {
    fn eq(&self, other: &Self) -> bool {
        (self.integer(), self.generator()) == (other.integer(), other.generator())
    }
}

impl From<u64> for Seed {
    fn from(seed: u64) -> Self {
        Self(SeedSource::Integer(seed))
    }
}

impl From<SeedGenerator> for Seed {
    fn from(generator: SeedGenerator) -> Self {
        Self(SeedSource::Generator(generator))
    }
}

impl From<&SeedGenerator> for Seed {
    fn from(generator: &SeedGenerator) -> Self {
        generator.clone().into()
    }
}

/// A seed that gives new values at each use. Clones share its state; generators are equal when they started alike.
///
/// ```
/// use wgpu_conv::layers::{Conv2D, Initializer, SeedGenerator};
///
/// let generator = SeedGenerator::new(42);
/// let first = Conv2D::new(8, 3).kernel_initializer(Initializer::he_normal().seed(&generator));
/// let second = Conv2D::new(8, 3).kernel_initializer(Initializer::he_normal().seed(&generator));
/// // Built in this order, the two have different weights, and the same ones in every run.
/// ```
#[derive(Clone, Debug)]
pub struct SeedGenerator(Arc<GeneratorState>);

#[derive(Debug)]
struct GeneratorState {
    seed: u64,
    uses: AtomicU64,
}

impl SeedGenerator {
    /// A generator that starts at `seed`. [`default`](Self::default) draws one.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(GeneratorState { seed, uses: AtomicU64::new(0) }))
    }

    /// The seed it started at.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    fn next_stream(&self) -> (u64, u64) {
        (self.0.seed, self.0.uses.fetch_add(1, Ordering::Relaxed))
    }
}

impl Default for SeedGenerator {
    fn default() -> Self {
        Self::new(draw_seed())
    }
}

impl PartialEq for SeedGenerator {
    fn eq(&self, other: &Self) -> bool {
        self.seed() == other.seed()
    }
}

/// Where the seeds of objects without one come from, once one has been needed: the state of SplitMix64.
static SEEDS: Mutex<Option<u64>> = Mutex::new(None);

/// Makes every seed that is drawn from now on in this process, for initializers and generators made without one,
/// follow from `seed`.
///
/// Before the first call they start anywhere. (In a browser that is the same place at each start: there the standard
/// library has no entropy.)
///
/// ```
/// use wgpu_conv::layers::{SeedGenerator, set_random_seed};
///
/// set_random_seed(1);
/// let first = SeedGenerator::default();
/// set_random_seed(1);
/// assert_eq!(SeedGenerator::default(), first);
/// assert_ne!(SeedGenerator::default(), first);
/// ```
pub fn set_random_seed(seed: u64) {
    *SEEDS.lock().unwrap_or_else(PoisonError::into_inner) = Some(seed);
}

/// The next output of SplitMix64 (Steele, Lea & Flood 2014).
fn draw_seed() -> u64 {
    let mut seeds = SEEDS.lock().unwrap_or_else(PoisonError::into_inner);
    let state = seeds.get_or_insert_with(|| RandomState::new().hash_one(0));
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// A stream of random values, decided by a seed and a number.
#[cfg(feature = "random")]
struct Stream(rand_chacha::ChaCha8Rng);

#[cfg(feature = "random")]
impl Stream {
    fn new(seed: u64, number: u64) -> Result<Self> {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut generator: rand_chacha::ChaCha8Rng = rand::SeedableRng::from_seed(key);
        generator.set_stream(number);
        Ok(Self(generator))
    }

    /// In `[0, 1)`.
    fn unit(&mut self) -> f64 {
        rand::RngExt::random(&mut self.0)
    }

    fn normal(&mut self) -> f64 {
        rand::RngExt::sample(&mut self.0, rand_distr::StandardNormal)
    }
}

/// Without the crate feature `random` there are no streams.
#[cfg(not(feature = "random"))]
enum Stream {}

#[cfg(not(feature = "random"))]
impl Stream {
    fn new(_seed: u64, _number: u64) -> Result<Self> {
        Err(Error::unsupported(
            "a random initializer",
            "the crate feature `random` is off; zeros, ones, constants, arrays and functions remain",
        ))
    }

    fn unit(&mut self) -> f64 {
        match *self {}
    }

    fn normal(&mut self) -> f64 {
        match *self {}
    }
}

impl Stream {
    /// In `[low, high)`, also after rounding to f32.
    fn uniform(&mut self, low: f64, high: f64) -> f32 {
        let value = (low + self.unit() * (high - low)) as f32;
        let (low, high) = (low as f32, high as f32);
        if value >= high && high > low { high.next_down() } else { value }
    }

    fn truncated_normal(&mut self) -> f64 {
        loop {
            let value = self.normal();
            if value.abs() <= 2.0 {
                return value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(initializer: &Initializer, shape: &[usize]) -> Result<Vec<f32>> {
        initializer.values(&shape.into(), DType::F32)
    }

    #[test]
    fn names() {
        for (class, snake, _) in CLASSES {
            let initializer = Initializer::from_name(class).unwrap();
            assert_eq!(initializer, Initializer::from_name(snake).unwrap());
            initializer.validate().unwrap();
        }
        for (alias, class) in ALIASES {
            assert_eq!(Initializer::from_name(alias).unwrap(), Initializer::from_name(class).unwrap());
        }
        assert!(matches!(Initializer::from_name("stft"), Err(Error::Unsupported { .. })));
        for wrong in ["", "Glorot_Uniform", "glorotuniform", "zeros_", "__lambda__"] {
            assert!(matches!(Initializer::from_name(wrong), Err(Error::Invalid { .. })), "{wrong}");
        }
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        for initializer in [
            Initializer::Constant(f64::NAN),
            Initializer::random_normal(0.0, -1.0),
            Initializer::truncated_normal(f64::INFINITY, 1.0),
            Initializer::random_uniform(1.0, 0.0),
            Initializer::variance_scaling(0.0, Fan::FanIn, Distribution::Uniform),
            Initializer::variance_scaling(f64::NAN, Fan::FanIn, Distribution::Uniform),
            Initializer::orthogonal(f64::NAN),
            Initializer::Array { shape: [2, 2].into(), values: vec![0.0; 3].into() },
        ] {
            assert!(initializer.validate().is_err(), "{initializer:?}");
            assert!(values(&initializer, &[2, 2]).is_err(), "{initializer:?}");
        }
    }

    #[test]
    fn plain_values() {
        assert_eq!(values(&Initializer::Zeros, &[2]).unwrap(), [0.0; 2]);
        assert_eq!(values(&Initializer::Ones, &[2]).unwrap(), [1.0; 2]);
        assert_eq!(values(&Initializer::Constant(0.5), &[]).unwrap(), [0.5]);
        assert_eq!(values(&Initializer::Identity { gain: 2.0 }, &[2, 3]).unwrap(), [2.0, 0.0, 0.0, 0.0, 2.0, 0.0]);
        assert_eq!(values(&Initializer::Identity { gain: 2.0 }, &[0, 0]).unwrap(), [0.0; 0]);
        assert!(values(&Initializer::Identity { gain: 1.0 }, &[3, 3, 2, 2]).is_err());
    }

    #[test]
    fn arrays_and_functions() {
        let array = Initializer::array([1, 2], vec![3.0, 4.0]).unwrap();
        assert_eq!(values(&array, &[1, 2]).unwrap(), [3.0, 4.0]);
        let error = values(&array, &[2, 1]).unwrap_err().to_string();
        assert!(error.contains("(2, 1)") && error.contains("(1, 2)"), "{error}");

        let ramp = Initializer::custom(|shape, _| Ok((0..shape.dims()[0]).map(|i| i as f32).collect()));
        assert_eq!(values(&ramp, &[3]).unwrap(), [0.0, 1.0, 2.0]);
        assert!(values(&ramp, &[3, 2]).is_err());
        assert_eq!(ramp, ramp.clone());
        assert_ne!(ramp, Initializer::custom(|_, _| Ok(vec![])));
    }

    #[test]
    fn seeds_compare_as_configs_do() {
        assert_eq!(Initializer::glorot_uniform(), Initializer::glorot_uniform());
        assert_ne!(Initializer::glorot_uniform().seed(1), Initializer::glorot_uniform());
        assert_ne!(Initializer::glorot_uniform().seed(1), Initializer::glorot_uniform().seed(SeedGenerator::new(1)));
        assert_eq!(Initializer::glorot_uniform().seed(1), Initializer::glorot_uniform().seed(1));
        assert_ne!(
            Initializer::glorot_uniform(),
            Initializer::variance_scaling(1.0, Fan::FanAvg, Distribution::Uniform)
        );
        assert_eq!(Initializer::Zeros.seed(1), Initializer::Zeros);
    }

    #[test]
    fn fans_by_rank() {
        let fans = |dims: &[usize]| fans(&dims.into(), None).unwrap();
        assert_eq!(fans(&[]), [1.0, 1.0]);
        assert_eq!(fans(&[7]), [7.0, 7.0]);
        assert_eq!(fans(&[5, 3]), [5.0, 3.0]);
        assert_eq!(fans(&[3, 3, 12, 2]), [108.0, 18.0]);
        assert_eq!(fans(&[3, 3, 4, 32]), [36.0, 288.0]);
    }

    #[test]
    fn fans_by_axes() {
        let shape = [3, 5, 12, 2].into();
        assert_eq!(super::fans(&shape, Some((&[0, 1].into(), &(-1).into()))).unwrap(), [15.0, 2.0]);
        assert!(super::fans(&shape, Some((&4.into(), &0.into()))).is_err());
    }

    #[cfg(not(feature = "random"))]
    #[test]
    fn random_values_need_their_feature() {
        let error = values(&Initializer::glorot_uniform(), &[2]).unwrap_err();
        assert!(error.to_string().contains("`random`"), "{error}");
    }

    #[cfg(feature = "random")]
    mod random {
        use super::*;

        /// Mean, standard deviation, and the extremes.
        fn moments(values: &[f32]) -> [f64; 4] {
            let count = values.len() as f64;
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
            let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
            let low = values.iter().copied().fold(f32::INFINITY, f32::min);
            let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            [mean, variance.sqrt(), low.into(), high.into()]
        }

        /// Expected mean, standard deviation and bounds follow from Keras's definitions for 3×3×16×24, whose fans
        /// are 144 and 216.
        #[test]
        fn ranges_and_moments() {
            let unbounded = f64::INFINITY;
            for (initializer, mean, stddev, bound) in [
                (Initializer::glorot_uniform(), 0.0, 0.074_535_6, 0.129_099_5),
                (Initializer::glorot_normal(), 0.0, 0.074_535_6, 0.169_471_2),
                (Initializer::he_uniform(), 0.0, 0.117_851_1, 0.204_124_2),
                (Initializer::he_normal(), 0.0, 0.117_851_1, 0.267_957_5),
                (Initializer::lecun_uniform(), 0.0, 0.083_333_3, 0.144_337_6),
                (Initializer::lecun_normal(), 0.0, 0.083_333_3, 0.189_474_6),
                (
                    Initializer::variance_scaling(0.5, Fan::FanOut, Distribution::UntruncatedNormal),
                    0.0,
                    0.048_112_5,
                    unbounded,
                ),
                (Initializer::random_normal(0.1, 0.05), 0.1, 0.05, unbounded),
                (Initializer::truncated_normal(0.1, 0.05), 0.1, 0.043_981_3, 0.1),
                (Initializer::random_uniform(-0.2, 0.3), 0.05, 0.144_337_6, 0.25),
            ] {
                let [got_mean, got_stddev, low, high] =
                    moments(&values(&initializer.seed(1), &[3, 3, 16, 24]).unwrap());
                let noise = 4.0 * stddev / 3456f64.sqrt();
                assert!((got_mean - mean).abs() < noise, "mean {got_mean} for {mean}");
                assert!((got_stddev - stddev).abs() < noise, "standard deviation {got_stddev} for {stddev}");
                assert!(low >= mean - bound - 1e-7 && high <= mean + bound + 1e-7, "[{low}, {high}]");
                assert!(bound == unbounded || (high - mean > 0.97 * bound && mean - low > 0.97 * bound));
            }
        }

        #[test]
        fn depthwise_limit_of_the_specification() {
            let [_, _, low, high] = moments(&values(&Initializer::glorot_uniform().seed(1), &[3, 3, 12, 2]).unwrap());
            assert!(low > -0.2183 && high < 0.2183 && high > 0.2, "[{low}, {high}]");
        }

        #[test]
        fn equal_seeds_give_equal_values() {
            let draw = |initializer: &Initializer| values(initializer, &[3, 4]).unwrap();
            let seedless = Initializer::he_normal();
            assert_eq!(draw(&seedless), draw(&seedless));
            assert_eq!(draw(&seedless), draw(&seedless.clone()));
            assert_ne!(draw(&seedless), draw(&Initializer::he_normal()));
            assert_eq!(draw(&seedless.clone().seed(7)), draw(&Initializer::he_normal().seed(7)));
            assert_ne!(draw(&seedless.clone().seed(7)), draw(&seedless.seed(8)));

            let generated = Initializer::he_normal().seed(SeedGenerator::new(7));
            let first = draw(&generated);
            assert_eq!(first, draw(&Initializer::he_normal().seed(7)));
            assert_ne!(first, draw(&generated));
            assert_ne!(first, draw(&generated.clone()));
        }

        /// Fixed bits: a change of stream would change every seeded model.
        #[test]
        fn streams_are_stable() {
            let uniform = values(&Initializer::random_uniform(0.0, 1.0).seed(42), &[3]).unwrap();
            let normal = values(&Initializer::random_normal(0.0, 1.0).seed(42), &[3]).unwrap();
            assert_eq!(uniform, [0.348_254_47, 0.285_698_56, 0.493_472_46]);
            assert_eq!(normal, [-0.451_628_24, -0.963_231_4, -0.006_918_009_4]);
        }

        #[test]
        fn uniform_stays_below_its_upper_end() {
            let mut stream = Stream::new(0, 0).unwrap();
            let (low, high) = (1.0, 1.0 + f64::from(f32::EPSILON));
            assert!((0..100).all(|_| stream.uniform(low, high) == 1.0));
            assert_eq!(stream.uniform(0.25, 0.25), 0.25);
        }

        #[test]
        fn orthogonal_rows_or_columns() {
            for shape in [&[3, 3, 2, 5][..], &[2, 7], &[1, 1, 6, 6], &[4, 1], &[0, 3]] {
                let columns = shape[shape.len() - 1];
                let rows: usize = shape[..shape.len() - 1].iter().product();
                let w = values(&Initializer::orthogonal(1.5).seed(3), shape).unwrap();
                let (vectors, length) = (rows.min(columns), rows.max(columns));
                let at = |vector: usize, i: usize| {
                    f64::from(if rows >= columns { w[i * columns + vector] } else { w[vector * columns + i] })
                };
                for a in 0..vectors {
                    for b in 0..vectors {
                        let product: f64 = (0..length).map(|i| at(a, i) * at(b, i)).sum();
                        assert!((product - if a == b { 2.25 } else { 0.0 }).abs() < 1e-6, "{shape:?}: {product}");
                    }
                }
            }
            assert!(values(&Initializer::orthogonal(1.0), &[4]).is_err());
            assert!(values(&Initializer::orthogonal(1.0), &[]).is_err());
        }
    }
}
