//! Layers that act in training only, and Identity: at inference they do nothing.

use std::sync::Arc;

#[cfg(feature = "keras")]
use serde_json::Value as Json;

use super::arguments::{common_setters, seed_setter, share};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, brief_common, common};
use super::describe::Describe;
use super::random::{alpha_dropped, below_one, dropped, noise_shape};
use super::{Common, Regularizer, Seed};
use crate::ops::{Kernel, Tape, Value, noise};
use crate::plan::{Factors, NoiseFunction};
use crate::{DataFormat, Error, PartialShape, Result, Settings};

/// A layer that returns its input at inference; in braces what it does in training.
macro_rules! identity_layer {
    ($layer:ident $(<$rank:ident>)?, $check:expr, { $($own:tt)* }) => {
        common_setters!($layer$(<$rank>)?, common);

        impl$(<const $rank: usize>)? $layer$(<$rank>)? {
            /// The output shape for `input`: the same.
            ///
            /// # Errors
            /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or
            /// `input`.
            pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
                self.validate()?;
                Ok(input.into())
            }
        }

        impl$(<const $rank: usize>)? Describe for $layer$(<$rank>)? {
            fn common(&self) -> &Common {
                &self.common
            }

            fn passes_mask(&self) -> bool {
                true
            }

            fn passes_values_on(&self) -> bool {
                true
            }

            $($own)*

            fn validate(&self) -> Result<()> {
                self.common.validate()?;
                let check: fn(&Self) -> Result<()> = $check;
                check(self)
            }

            fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
                self.output_shape(&inputs[0])
            }

            fn lower(&self, _tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
                Ok(inputs[0])
            }
        }
    };
}

/// The input.
///
/// # Shapes
/// Input and output of the same shape, of any rank.
///
/// ```
/// use wgpu_conv::layers::Identity;
///
/// assert_eq!(Identity::new().output_shape([2, 10])?.to_string(), "(2, 10)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Name, trainability and types.
    pub common: Common,
}

identity_layer!(Identity, |_| Ok(()), {});

impl Default for Identity {
    fn default() -> Self {
        Self { common: Common::new(&Settings::current()) }
    }
}

impl Identity {
    /// A layer that returns its input.
    pub fn new() -> Self {
        Self::default()
    }
}

/// In training, adds penalties on its input to the loss; returns its input.
///
/// # Shapes
/// Input and output of the same shape, of any rank.
///
/// ```
/// use wgpu_conv::layers::ActivityRegularization;
///
/// assert_eq!(ActivityRegularization::new(0.0, 0.01).output_shape([2, 10])?.to_string(), "(2, 10)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ActivityRegularization {
    /// Name, trainability and types.
    pub common: Common,
    /// The factor of the sum of magnitudes; 0 by default.
    pub l1: f64,
    /// The factor of the sum of squares; 0 by default.
    pub l2: f64,
}

identity_layer!(
    ActivityRegularization,
    |layer| {
        let sound = layer.l1.is_finite() && layer.l2.is_finite();
        let received = || format!("l1={}, l2={}", layer.l1, layer.l2);
        if sound { Ok(()) } else { Err(Error::invalid("l1", "`l1` and `l2` must be finite", received())) }
    },
    {
        fn activity_regularizer(&self) -> Option<Regularizer> {
            Some(Regularizer::L1L2 { l1: self.l1, l2: self.l2 })
        }
    }
);

impl ActivityRegularization {
    /// A layer with these factors of the sum of magnitudes and of the sum of squares.
    pub fn new(l1: f64, l2: f64) -> Self {
        Self { common: Common::new(&Settings::current()), l1, l2 }
    }
}

/// In training, zeros whole channels of images, or of sequences or volumes, and scales the others up; at inference, does
/// nothing.
///
/// # Shapes
/// Input and output of the same shape, `[batch, height, width, channels]` or, with
/// [`ChannelsFirst`](DataFormat::ChannelsFirst), `[batch, channels, height, width]`; `R` spatial axes, 1 to 3.
///
/// ```
/// use wgpu_conv::layers::SpatialDropout2D;
///
/// assert_eq!(SpatialDropout2D::new(0.5).output_shape([2, 5, 7, 3])?.to_string(), "(2, 5, 7, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialDropout<const R: usize> {
    /// Name, trainability and types.
    pub common: Common,
    /// The share of channels that is dropped, 0 to 1.
    pub rate: f64,
    /// Where the choice of channels starts; none by default.
    pub seed: Seed,
    /// Where the channels stand; `image_data_format` of [`Settings`] by default.
    pub data_format: DataFormat,
}

/// Dropout of channels of sequences `[batch, steps, channels]`.
pub type SpatialDropout1D = SpatialDropout<1>;

/// Dropout of channels of images `[batch, height, width, channels]`.
pub type SpatialDropout2D = SpatialDropout<2>;

/// Dropout of channels of volumes `[batch, depth, height, width, channels]`.
pub type SpatialDropout3D = SpatialDropout<3>;

identity_layer!(SpatialDropout<R>, |layer| share("rate", layer.rate), {
    fn train(
        &self,
        tape: &mut Tape,
        inputs: &[Value],
        _weights: &[Arc<Kernel>],
        _operands: &[Arc<Kernel>],
    ) -> Result<Value> {
        let dims = tape.shape(inputs[0]).dims().to_vec();
        // Of the axes between the batch and the last one, or behind the channels.
        let spatial = match self.data_format {
            DataFormat::ChannelsLast => 1..dims.len().saturating_sub(1),
            DataFormat::ChannelsFirst if R > 1 => 2..dims.len(),
            DataFormat::ChannelsFirst => 1..dims.len().saturating_sub(1),
        };
        let shape: Vec<usize> =
            dims.iter().enumerate().map(|(axis, &extent)| if spatial.contains(&axis) { 1 } else { extent }).collect();
        dropped(tape, self.rate, &self.seed, &shape, inputs[0])
    }
});

seed_setter!(SpatialDropout<R>, "the choice of channels starts");

impl<const R: usize> SpatialDropout<R> {
    /// A layer that drops a share of `rate` of the channels.
    pub fn new(rate: f64) -> Self {
        let settings = Settings::current();
        let common = Common::new(&settings);
        Self { common, rate, seed: Seed::default(), data_format: settings.image_data_format }
    }

    /// Where the channels stand; `image_data_format` of the [`Settings`] by default.
    pub fn data_format(mut self, data_format: DataFormat) -> Self {
        self.data_format = data_format;
        self
    }
}

/// In training, adds noise; at inference, does nothing.
///
/// # Shapes
/// Input and output of the same shape, of any rank.
///
/// ```
/// use wgpu_conv::layers::GaussianNoise;
///
/// assert_eq!(GaussianNoise::new(0.1).output_shape([2, 10])?.to_string(), "(2, 10)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianNoise {
    /// Name, trainability and types.
    pub common: Common,
    /// The standard deviation of the noise, 0 to 1.
    pub stddev: f64,
    /// Where the noise starts; none by default.
    pub seed: Seed,
}

identity_layer!(GaussianNoise, |layer| share("stddev", layer.stddev), {
    fn train(
        &self,
        tape: &mut Tape,
        inputs: &[Value],
        _weights: &[Arc<Kernel>],
        _operands: &[Arc<Kernel>],
    ) -> Result<Value> {
        if self.stddev == 0.0 {
            return Ok(inputs[0]);
        }
        let function = NoiseFunction::Normal(Factors::new(1.0, 0.0, self.stddev as f32));
        noise(tape, function, self.seed.number(), inputs[0])
    }
});

seed_setter!(GaussianNoise, "the noise starts");

impl GaussianNoise {
    /// A layer of noise of this standard deviation.
    pub fn new(stddev: f64) -> Self {
        Self { common: Common::new(&Settings::current()), stddev, seed: Seed::default() }
    }
}

/// In training, multiplies by noise about 1, of variance `rate / (1 − rate)`; at inference, does nothing.
///
/// # Shapes
/// Input and output of the same shape, of any rank.
///
/// ```
/// use wgpu_conv::layers::GaussianDropout;
///
/// assert_eq!(GaussianDropout::new(0.1).output_shape([2, 10])?.to_string(), "(2, 10)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianDropout {
    /// Name, trainability and types.
    pub common: Common,
    /// As of a Dropout with the same effect, 0 to 1.
    pub rate: f64,
    /// Where the noise starts; none by default.
    pub seed: Seed,
}

identity_layer!(GaussianDropout, |layer| share("rate", layer.rate), {
    fn train(
        &self,
        tape: &mut Tape,
        inputs: &[Value],
        _weights: &[Arc<Kernel>],
        _operands: &[Arc<Kernel>],
    ) -> Result<Value> {
        if self.rate == 0.0 {
            return Ok(inputs[0]);
        }
        below_one("GaussianDropout", self.rate)?;
        let deviation = (self.rate / (1.0 - self.rate)).sqrt();
        let function = NoiseFunction::Normal(Factors::new(1.0, deviation as f32, 0.0));
        noise(tape, function, self.seed.number(), inputs[0])
    }
});

seed_setter!(GaussianDropout, "the noise starts");

impl GaussianDropout {
    /// A layer with the effect of a Dropout of `rate`.
    pub fn new(rate: f64) -> Self {
        Self { common: Common::new(&Settings::current()), rate, seed: Seed::default() }
    }
}

/// In training, sets a share of the values to selu's lower limit and keeps mean and variance; at inference, does nothing.
///
/// # Shapes
/// Input and output of the same shape, of any rank.
///
/// ```
/// use wgpu_conv::layers::AlphaDropout;
///
/// assert_eq!(AlphaDropout::new(0.1).output_shape([2, 10])?.to_string(), "(2, 10)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AlphaDropout {
    /// Name, trainability and types.
    pub common: Common,
    /// The share of values that is dropped, 0 to 1.
    pub rate: f64,
    /// Where the choice of values starts; none by default.
    pub seed: Seed,
    /// The shape of the choice, which is repeated over the input; the input's own by default.
    pub noise_shape: Option<PartialShape>,
}

identity_layer!(AlphaDropout, |layer| share("rate", layer.rate), {
    fn train(
        &self,
        tape: &mut Tape,
        inputs: &[Value],
        _weights: &[Arc<Kernel>],
        _operands: &[Arc<Kernel>],
    ) -> Result<Value> {
        below_one("AlphaDropout", self.rate)?;
        let shape = noise_shape(self.noise_shape.as_ref(), tape.shape(inputs[0]).dims())?;
        alpha_dropped(tape, self.rate, &self.seed, &shape, inputs[0])
    }
});

seed_setter!(AlphaDropout, "the choice of values starts");

impl AlphaDropout {
    /// A layer that drops a share of `rate` of the values.
    pub fn new(rate: f64) -> Self {
        let common = Common::new(&Settings::current());
        Self { common, rate, seed: Seed::default(), noise_shape: None }
    }

    /// The shape of the choice, which is repeated over the input; the input's own by default.
    pub fn noise_shape(mut self, noise_shape: impl Into<PartialShape>) -> Self {
        self.noise_shape = Some(noise_shape.into());
        self
    }
}

#[cfg(feature = "keras")]
impl Configured for ActivityRegularization {
    fn template() -> Self {
        Self::new(0.0, 0.0)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("l1", &mut self.l1)?;
        codec.field("l2", &mut self.l2)
    }
}

#[cfg(feature = "keras")]
impl Configured for AlphaDropout {
    const REQUIRED: &'static [&'static str] = &["rate"];

    fn template() -> Self {
        Self::new(0.0)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("rate", &mut self.rate)?;
        codec.field("seed", &mut self.seed)?;
        codec.field("noise_shape", &mut self.noise_shape)
    }
}

#[cfg(feature = "keras")]
impl Configured for GaussianDropout {
    const REQUIRED: &'static [&'static str] = &["rate"];

    fn template() -> Self {
        Self::new(0.0)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("rate", &mut self.rate)?;
        codec.field("seed", &mut self.seed)
    }
}

#[cfg(feature = "keras")]
impl Configured for GaussianNoise {
    const REQUIRED: &'static [&'static str] = &["stddev"];

    fn template() -> Self {
        Self::new(0.0)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("stddev", &mut self.stddev)?;
        codec.field("seed", &mut self.seed)
    }
}

#[cfg(feature = "keras")]
impl Configured for Identity {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)
    }
}

#[cfg(feature = "keras")]
impl<const R: usize> Configured for SpatialDropout<R> {
    const REQUIRED: &'static [&'static str] = &["rate"];

    fn template() -> Self {
        Self::new(0.0)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        codec.field("rate", &mut self.rate)?;
        codec.field("seed", &mut self.seed)?;
        brief_common(codec, &mut self.common)?;
        // SpatialDropout1D takes channels last alone.
        if R > 1 {
            codec.field("data_format", &mut self.data_format)?;
        }
        // tf.keras 2 writes its parent's.
        codec.dropped("noise_shape", Json::is_null)
    }
}
