//! GroupNormalization.

use std::sync::Arc;

use super::arguments::{common_setters, finite_epsilon, weight_setters};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common, weights};
use super::describe::{Declared, Describe, index_of, known_extent};
use super::layer_normalization::gamma_and_beta;
use super::{Common, Initializer, WeightOptions};
use crate::ops::{self, Kernel, Statistics, Tape, Value};
use crate::plan::NormalizeFunction;
use crate::{Error, PartialShape, Result, Settings};

/// Normalisation of each example, and of each group of its channels, by mean and variance over all that the group holds:
/// `gamma · (input − mean) / √(variance + epsilon) + beta`.
///
/// # Shapes
/// Input and output of the same shape, of two axes or more, the first the batch. Weights, each of the extent of
/// [`axis`](Self::axis): `gamma` if `scale`, `beta` if `center`.
///
/// ```
/// use wgpu_conv::layers::GroupNormalization;
///
/// let norm = GroupNormalization::new(8);
/// assert_eq!(norm.output_shape([None, Some(7), Some(7), Some(32)])?.to_string(), "(None, 7, 7, 32)");
/// assert!(norm.output_shape([1, 7, 7, 30]).is_err());
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GroupNormalization {
    /// Name, trainability and types.
    pub common: Common,
    /// The number of groups, which divides that of the channels; −1 is one for each channel. 32 is Keras's default.
    pub groups: i32,
    /// The axis of the channels; −1, the last, by default.
    pub axis: i32,
    /// Added to the variance; 0.001 by default.
    pub epsilon: f64,
    /// Whether `beta` is added; true by default.
    pub center: bool,
    /// Whether `gamma` is multiplied by; true by default.
    pub scale: bool,
    /// The initializer (zeros by default, and for `None`), regularizer and constraint of `beta`.
    pub beta: WeightOptions,
    /// The initializer (ones by default, and for `None`), regularizer and constraint of `gamma`.
    pub gamma: WeightOptions,
}

common_setters!(GroupNormalization, common);
weight_setters!(GroupNormalization {
    "offset `beta`" at beta: beta_initializer = "zeros", beta_regularizer, beta_constraint;
    "factor `gamma`" at gamma: gamma_initializer = "ones", gamma_regularizer, gamma_constraint;
});

impl Default for GroupNormalization {
    fn default() -> Self {
        Self::new(32)
    }
}

impl GroupNormalization {
    /// A layer that normalises `groups` groups of the last axis; −1 is one group for each channel: instance
    /// normalisation.
    pub fn new(groups: i32) -> Self {
        Self {
            common: Common::new(&Settings::current()),
            groups,
            axis: -1,
            epsilon: 1e-3,
            center: true,
            scale: true,
            beta: WeightOptions::new(Initializer::Zeros),
            gamma: WeightOptions::new(Initializer::Ones),
        }
    }

    /// The axis of the channels; −1 by default. With `channels_first`, take 1.
    pub fn axis(mut self, axis: i32) -> Self {
        self.axis = axis;
        self
    }

    /// Added to the variance; 0.001 by default.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Whether `beta` is added; true by default.
    pub fn center(mut self, center: bool) -> Self {
        self.center = center;
        self
    }

    /// Whether `gamma` is multiplied by; true by default.
    pub fn scale(mut self, scale: bool) -> Self {
        self.scale = scale;
        self
    }

    /// The output shape for `input`: the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        if index_of(self.axis, &input)? == 0 {
            return Err(Error::invalid(
                "axis",
                "`axis` must not be the first one, the batch",
                format!("axis={}, input shape={input}", self.axis),
            ));
        }
        let channels = known_extent(&input, self.axis)?;
        if !channels.is_multiple_of(self.groups_of(channels)) {
            return Err(Error::invalid(
                "groups",
                "the number of groups must divide the number of channels",
                format!("groups={}, channels={channels}, input shape={input}", self.groups),
            ));
        }
        Ok(input)
    }

    /// The number of groups of `channels`.
    fn groups_of(&self, channels: usize) -> usize {
        usize::try_from(self.groups).unwrap_or(channels)
    }
}

impl Describe for GroupNormalization {
    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        if self.groups < -1 || self.groups == 0 {
            return Err(Error::invalid(
                "groups",
                "`groups` must be at least 1, or -1 for one group for each channel",
                format!("groups={}", self.groups),
            ));
        }
        finite_epsilon(self.epsilon)?;
        WeightOptions::validate_all(&[&self.beta, &self.gamma], None)
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn fixed_axes(&self, _rank: usize) -> Vec<i32> {
        vec![self.axis]
    }

    fn weights(&self, inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        let channels = known_extent(&inputs[0], self.axis)?;
        let declared = |name, options, default| Declared::new(name, [channels], &self.common, options, default);
        let gamma = self.scale.then(|| declared("gamma", &self.gamma, Initializer::Ones));
        let beta = self.center.then(|| declared("beta", &self.beta, Initializer::Zeros));
        Ok([gamma, beta].into_iter().flatten().collect())
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let shape = tape.shape(inputs[0]);
        let axis = index_of(self.axis, &shape.into())?;
        let statistics = Statistics::in_groups(shape, axis, self.groups_of(shape.dims()[axis]));
        let weights = gamma_and_beta(self.scale, self.center, operands);
        ops::normalize(tape, NormalizeFunction::Standard, self.epsilon, &statistics, inputs[0], weights)
    }
}

#[cfg(feature = "keras")]
impl Configured for GroupNormalization {
    fn template() -> Self {
        Self::default()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("groups", &mut self.groups)?;
        codec.field("axis", &mut self.axis)?;
        codec.field("epsilon", &mut self.epsilon)?;
        codec.field("center", &mut self.center)?;
        codec.field("scale", &mut self.scale)?;
        weights(codec, &mut [("beta", &mut self.beta), ("gamma", &mut self.gamma)], |_| Ok(()))
    }
}
