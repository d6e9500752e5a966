//! LayerNormalization.

use std::sync::Arc;

use super::arguments::{common_setters, finite_epsilon, weight_setters};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common, weights};
use super::describe::{Declared, Describe, distinct, index_of, known_extent};
use super::{Axes, Common, Initializer, WeightOptions};
use crate::ops::{self, Kernel, Statistics, Tape, Value};
use crate::plan::NormalizeFunction;
use crate::{PartialShape, Result, Settings};

/// Normalisation of each example by its own mean and variance over some axes:
/// `gamma · (input − mean) / √(variance + epsilon) + beta`.
///
/// # Shapes
/// Input and output of the same shape, of any rank. Weights, each of the extents of [`axis`](Self::axis): `gamma` if
/// `scale`, `beta` if `center`. Keras reads them in the order of the input's axes, whatever the order of `axis`.
///
/// ```
/// use wgpu_conv::layers::LayerNormalization;
///
/// let norm = LayerNormalization::new().epsilon(1e-6);
/// assert_eq!(norm.output_shape([None, Some(49), Some(96)])?.to_string(), "(None, 49, 96)");
/// assert!(norm.axis([1, 3]).output_shape([2, 49, 96]).is_err());
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNormalization {
    /// Name, trainability and types.
    pub common: Common,
    /// The axes of the statistics; −1, the last, by default.
    pub axis: Axes,
    /// Added to the variance; 0.001 by default.
    pub epsilon: f64,
    /// Whether `beta` is added; true by default.
    pub center: bool,
    /// Whether `gamma` is multiplied by; true by default.
    pub scale: bool,
    /// Whether the mean stays in: `gamma · input / √(variance + epsilon)`, with `gamma` and without `beta` whatever
    /// `scale` and `center` say; false by default. Despite its name the divisor is the deviation from the mean, as in
    /// Keras, and not the root of the mean square.
    pub rms_scaling: bool,
    /// The initializer (zeros by default, and for `None`), regularizer and constraint of `beta`.
    pub beta: WeightOptions,
    /// The initializer (ones by default, and for `None`), regularizer and constraint of `gamma`.
    pub gamma: WeightOptions,
}

common_setters!(LayerNormalization, common);
weight_setters!(LayerNormalization {
    "offset `beta`" at beta: beta_initializer = "zeros", beta_regularizer, beta_constraint;
    "factor `gamma`" at gamma: gamma_initializer = "ones", gamma_regularizer, gamma_constraint;
});

impl Default for LayerNormalization {
    fn default() -> Self {
        Self {
            common: Common::new(&Settings::current()),
            axis: Axes::One(-1),
            epsilon: 1e-3,
            center: true,
            scale: true,
            rms_scaling: false,
            beta: WeightOptions::new(Initializer::Zeros),
            gamma: WeightOptions::new(Initializer::Ones),
        }
    }
}

impl LayerNormalization {
    /// A layer that normalises over the last axis.
    pub fn new() -> Self {
        Self::default()
    }

    /// The axes of the statistics, one or a list; −1 by default.
    pub fn axis(mut self, axis: impl Into<Axes>) -> Self {
        self.axis = axis.into();
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

    /// Whether the mean stays in; false by default. See [the field](Self::rms_scaling).
    pub fn rms_scaling(mut self, rms_scaling: bool) -> Self {
        self.rms_scaling = rms_scaling;
        self
    }

    /// The output shape for `input`: the same.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where [building](super::LayerConfig::build) the layer would refuse its
    /// arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        distinct(self.axis.as_slice(), &input)?;
        self.axis.as_slice().iter().try_for_each(|&axis| known_extent(&input, axis).map(drop))?;
        Ok(input)
    }
}

impl Describe for LayerNormalization {
    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        finite_epsilon(self.epsilon)?;
        WeightOptions::validate_all(&[&self.beta, &self.gamma], None)
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn fixed_axes(&self, _rank: usize) -> Vec<i32> {
        self.axis.as_slice().to_vec()
    }

    fn weights(&self, inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        // Keras sorts the axes as they were given.
        let mut axes = self.axis.as_slice().to_vec();
        axes.sort_unstable();
        let extents = axes.into_iter().map(|axis| known_extent(&inputs[0], axis));
        let extents = extents.collect::<Result<Vec<_>>>()?;
        let declared = |name, options, default| Declared::new(name, extents.clone(), &self.common, options, default);
        let gamma = (self.scale || self.rms_scaling).then(|| declared("gamma", &self.gamma, Initializer::Ones));
        let beta = (self.center && !self.rms_scaling).then(|| declared("beta", &self.beta, Initializer::Zeros));
        Ok([gamma, beta].into_iter().flatten().collect())
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let shape = PartialShape::from(tape.shape(inputs[0]));
        let axes = self.axis.as_slice().iter().map(|&axis| index_of(axis, &shape)).collect::<Result<Vec<_>>>()?;
        let statistics = Statistics::over(tape.shape(inputs[0]), &axes)?;
        let (function, weights) = if self.rms_scaling {
            (NormalizeFunction::Deviation, [operands.first(), None])
        } else {
            (NormalizeFunction::Standard, gamma_and_beta(self.scale, self.center, operands))
        };
        ops::normalize(tape, function, self.epsilon, &statistics, inputs[0], weights)
    }
}

/// Gamma and beta among a layer's operands, which are those that it has, in this order.
pub(super) fn gamma_and_beta(scale: bool, center: bool, operands: &[Arc<Kernel>]) -> [Option<&Arc<Kernel>>; 2] {
    [operands.first().filter(|_| scale), operands.last().filter(|_| center)]
}

#[cfg(feature = "keras")]
impl Configured for LayerNormalization {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("axis", &mut self.axis)?;
        codec.field("epsilon", &mut self.epsilon)?;
        codec.field("center", &mut self.center)?;
        codec.field("scale", &mut self.scale)?;
        codec.field("rms_scaling", &mut self.rms_scaling)?;
        weights(codec, &mut [("beta", &mut self.beta), ("gamma", &mut self.gamma)], |_| Ok(()))
    }
}
