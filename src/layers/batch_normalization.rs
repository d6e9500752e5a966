//! BatchNormalization.

use std::sync::Arc;

#[cfg(feature = "keras")]
use serde_json::Value as Json;

use super::arguments::{common_setters, weight_setters};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, RENORM, common, weights};
use super::describe::{Declared, Describe, known_extent};
use super::{Common, Initializer, WeightOptions};
use crate::geometry::axis_index;
use crate::ops::{self, BatchNormalized, Kernel, Numbers, Tape, Value};
use crate::plan::{BinaryFunction, Elementwise};
use crate::{DType, Error, PartialShape, Result, Settings, Unary};

/// Batch normalization: `gamma · (input − mean) / √(variance + epsilon) + beta`.
///
/// At inference mean and variance are the moving ones, which are weights. In training they are those of the batch, over all
/// axes but [`axis`](Self::axis), the variance divided by the number of values; and the moving ones become
/// `moving · momentum + of_batch · (1 − momentum)`. A layer that is not trainable computes as at inference.
///
/// # Shapes
/// Input and output of the same shape, of any rank. Weights, each of the extent of [`axis`](Self::axis): `gamma` if
/// `scale`, `beta` if `center`, `moving_mean`, `moving_variance`.
///
/// ```
/// use wgpu_conv::layers::BatchNormalization;
///
/// let norm = BatchNormalization::new().epsilon(1e-5);
/// assert_eq!(norm.output_shape([None, Some(8), Some(8), Some(16)])?.to_string(), "(None, 8, 8, 16)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormalization {
    /// Name, trainability and types.
    pub common: Common,
    /// The axis that is not averaged over, usually the channels; −1, the last, by default.
    pub axis: i32,
    /// How much of the moving statistics a training step keeps; 0.99 by default.
    pub momentum: f64,
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
    /// The first moving mean; zeros by default, and for `None`.
    pub moving_mean_initializer: Option<Initializer>,
    /// The first moving variance; ones by default, and for `None`.
    pub moving_variance_initializer: Option<Initializer>,
    /// Whether training shares its statistics between devices. Kept for files: there is one device here.
    pub synchronized: bool,
}

common_setters!(BatchNormalization, common);
weight_setters!(BatchNormalization {
    "offset `beta`" at beta: beta_initializer = "zeros", beta_regularizer, beta_constraint;
    "factor `gamma`" at gamma: gamma_initializer = "ones", gamma_regularizer, gamma_constraint;
});

impl Default for BatchNormalization {
    fn default() -> Self {
        Self {
            common: Common::new(&Settings::current()),
            axis: -1,
            momentum: 0.99,
            epsilon: 1e-3,
            center: true,
            scale: true,
            beta: WeightOptions::new(Initializer::Zeros),
            gamma: WeightOptions::new(Initializer::Ones),
            moving_mean_initializer: Some(Initializer::Zeros),
            moving_variance_initializer: Some(Initializer::Ones),
            synchronized: false,
        }
    }
}

impl BatchNormalization {
    /// A layer that normalises each channel of the last axis.
    pub fn new() -> Self {
        Self::default()
    }

    /// The axis that is not averaged over; −1 by default. With `channels_first`, take 1.
    pub fn axis(mut self, axis: i32) -> Self {
        self.axis = axis;
        self
    }

    /// How much of the moving statistics a training step keeps; 0.99 by default.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
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

    /// The first moving mean; zeros by default.
    pub fn moving_mean_initializer(mut self, initializer: Initializer) -> Self {
        self.moving_mean_initializer = Some(initializer);
        self
    }

    /// The first moving variance; ones by default.
    pub fn moving_variance_initializer(mut self, initializer: Initializer) -> Self {
        self.moving_variance_initializer = Some(initializer);
        self
    }

    /// The output shape for `input`: the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        let index = axis_index(self.axis, input.rank()).ok_or_else(|| {
            Error::invalid(
                "axis",
                "`axis` must be one of the input's axes",
                format!("axis={}, input shape={input}", self.axis),
            )
        })?;
        if input.dims()[index].is_none() {
            return Err(Error::invalid(
                "input",
                format!("axis {} of the input must be known", self.axis),
                format!("input shape={input}"),
            ));
        }
        Ok(input)
    }
}

impl Describe for BatchNormalization {
    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        if !self.momentum.is_finite() || !self.epsilon.is_finite() {
            return Err(Error::invalid(
                "epsilon",
                "`momentum` and `epsilon` must be finite",
                format!("momentum={}, epsilon={}", self.momentum, self.epsilon),
            ));
        }
        WeightOptions::validate_all(&[&self.beta, &self.gamma], None)?;
        let moving = [&self.moving_mean_initializer, &self.moving_variance_initializer];
        moving.into_iter().flatten().try_for_each(Initializer::validate)
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn fixed_axes(&self, _rank: usize) -> Vec<i32> {
        vec![self.axis]
    }

    fn weights(&self, inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        let channels = known_extent(&inputs[0], self.axis)?;
        let moving = |name, initializer: &Option<Initializer>, default: Initializer| {
            Declared::free(name, [channels], false, initializer.clone().unwrap_or(default))
        };
        let learnt = |name, options, default| Declared::new(name, [channels], &self.common, options, default);
        let gamma = self.scale.then(|| learnt("gamma", &self.gamma, Initializer::Ones));
        let beta = self.center.then(|| learnt("beta", &self.beta, Initializer::Zeros));
        let mean = moving("moving_mean", &self.moving_mean_initializer, Initializer::Zeros);
        let variance = moving("moving_variance", &self.moving_variance_initializer, Initializer::Ones);
        Ok([gamma, beta, Some(mean), Some(variance)].into_iter().flatten().collect())
    }

    /// The scale γ/√(σ²+ε) and the shift β − μ·γ/√(σ²+ε).
    fn operands(&self, weights: Vec<Arc<Kernel>>, numbers: Numbers) -> Result<Vec<Arc<Kernel>>> {
        let mut learnt = weights.iter();
        let gamma = if self.scale { learnt.next() } else { None };
        let beta = if self.center { learnt.next() } else { None };
        let [.., mean, variance] = &weights[..] else { return Ok(weights) };
        let number = |value: f32| Kernel::of_values([1], vec![value], numbers);
        let root = Elementwise::of_unary(&Unary::Sqrt);
        let deviation = Kernel::binary(BinaryFunction::Add, variance, &number(self.epsilon as f32), root)?;
        let gamma = gamma.cloned().unwrap_or_else(|| number(1.0));
        let scale = Kernel::binary(BinaryFunction::Divide, &gamma, &deviation, Elementwise::LINEAR)?;
        let centre = Kernel::binary(BinaryFunction::Multiply, mean, &scale, Elementwise::LINEAR)?;
        let beta = beta.cloned().unwrap_or_else(|| number(0.0));
        let shift = Kernel::binary(BinaryFunction::Subtract, &beta, &centre, Elementwise::LINEAR)?;
        Ok(vec![scale, shift])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        ops::scale_and_shift(tape, self.axis, inputs[0], &operands[0], operands.get(1))
    }

    /// By the mean and the biased variance of the batch, in f32; what is not trainable is frozen, and computes as ever (G5).
    fn train(
        &self,
        tape: &mut Tape,
        inputs: &[Value],
        weights: &[Arc<Kernel>],
        operands: &[Arc<Kernel>],
    ) -> Result<Value> {
        let [.., mean, variance] = weights else { return self.lower(tape, inputs, operands) };
        let shape = tape.shape(inputs[0]).clone();
        // An empty batch has no statistics, and leaves the moving ones alone.
        let (true, Some(index), true) =
            (self.common.trainable, axis_index(self.axis, shape.rank()), tape.elements(inputs[0]) > 0)
        else {
            return self.lower(tape, inputs, operands);
        };
        if tape.mask(inputs[0]).is_some() {
            return Err(Error::unsupported(
                "batch normalization of what carries a mask in training",
                "use LayerNormalization, or freeze it: its statistics are those of what the mask keeps",
            ));
        }
        let dtype = tape.dtype(inputs[0]);
        let product = |dims: &[usize]| dims.iter().product::<usize>();
        let dims = [product(&shape.dims()[..index]), shape.dims()[index], product(&shape.dims()[index + 1..])];
        let unary = |tape: &mut Tape, function: Unary, value| ops::map(tape, Elementwise::of_unary(&function), value);

        let x = ops::cast(tape, DType::F32, None, inputs[0])?;
        let mut learnt = weights.iter().map(Kernel::exact);
        let [gamma, beta] = [self.scale, self.center].map(|present| present.then(|| learnt.next()).flatten());
        let learnt = [gamma.as_ref(), beta.as_ref()];
        let BatchNormalized { output: y, moments: [batch_mean, batch_variance] } =
            ops::batch_normalize(tape, self.epsilon, dims, x, learnt)?;
        for (weight, of_batch) in [(mean, batch_mean), (variance, batch_variance)] {
            if let Some(data) = weight.variable() {
                let moving = tape.variable(data)?;
                let moving = ops::cast(tape, DType::F32, None, moving)?;
                let scaled = |share: f64| Unary::Affine { scale: share as f32, offset: 0.0 };
                let kept = unary(tape, scaled(self.momentum), moving)?;
                let new = unary(tape, scaled(1.0 - self.momentum), of_batch)?;
                let moved = ops::two(tape, BinaryFunction::Add, kept, new)?;
                tape.assign(data, moved)?;
            }
        }
        ops::cast(tape, dtype, None, y)
    }
}

#[cfg(feature = "keras")]
impl Configured for BatchNormalization {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("axis", &mut self.axis)?;
        codec.field("momentum", &mut self.momentum)?;
        codec.field("epsilon", &mut self.epsilon)?;
        codec.field("center", &mut self.center)?;
        codec.field("scale", &mut self.scale)?;
        codec.order(&["beta_initializer", "gamma_initializer"]);
        codec.field("moving_mean_initializer", &mut self.moving_mean_initializer)?;
        codec.field("moving_variance_initializer", &mut self.moving_variance_initializer)?;
        weights(codec, &mut [("beta", &mut self.beta), ("gamma", &mut self.gamma)], |_| Ok(()))?;
        codec.field("synchronized", &mut self.synchronized)?;
        codec.fixed("renorm", false.into(), RENORM)?;
        codec.ignored("renorm_clipping", Json::Null);
        codec.ignored("renorm_momentum", 0.99.into());
        Ok(())
    }
}
