//! Dense.

use std::sync::Arc;

#[cfg(feature = "keras")]
use serde_json::Value as Json;

use super::arguments::{channels, common_setters, positive, weight_setters};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, QUANTIZED, common, weights};
use super::describe::{Declared, Describe};
use super::{Common, Initializer, Regularizer, WeightOptions, activated_shape};
use crate::ops::{self, Kernel, Tape, Value};
use crate::{Activation, DataFormat, Error, PartialShape, Result, Settings};

/// A matrix product over the last axis: `activation(input · kernel + bias)`.
///
/// # Shapes
/// Input `[batch, …, channels]`, of rank 2 or more; output `[batch, …, units]`. Weights: `kernel [channels, units]`,
/// `bias [units]`.
///
/// ```
/// use wgpu_conv::{Activation, layers::Dense};
///
/// let dense = Dense::new(10).activation(Activation::Softmax { axis: -1 });
/// assert_eq!(dense.output_shape([None, Some(64)])?.to_string(), "(None, 10)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// Name, trainability and types.
    pub common: Common,
    /// Extent of the output's last axis.
    pub units: u32,
    /// Applied to the result after the bias; linear by default.
    pub activation: Activation,
    /// Whether a bias is added; true by default.
    pub use_bias: bool,
    /// The kernel's initializer (glorot_uniform by default), regularizer and constraint.
    pub kernel: WeightOptions,
    /// The bias's initializer (zeros by default), regularizer and constraint.
    pub bias: WeightOptions,
    /// A penalty on the layer's output, added to the loss; none by default.
    pub activity_regularizer: Option<Regularizer>,
}

common_setters!(Dense, common);
weight_setters!(Dense {
    "kernel" at kernel: kernel_initializer = "glorot_uniform", kernel_regularizer, kernel_constraint;
    "bias" at bias: bias_initializer = "zeros", bias_regularizer, bias_constraint;
});

impl Dense {
    /// A layer of `units` outputs.
    pub fn new(units: u32) -> Self {
        Self {
            common: Common::new(&Settings::current()),
            units,
            activation: Activation::Linear,
            use_bias: true,
            kernel: WeightOptions::new(Initializer::glorot_uniform()),
            bias: WeightOptions::new(Initializer::Zeros),
            activity_regularizer: None,
        }
    }

    /// Applied to the result after the bias; linear by default.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Whether a bias is added; true by default.
    pub fn use_bias(mut self, use_bias: bool) -> Self {
        self.use_bias = use_bias;
        self
    }

    /// A penalty on the layer's output, added to the loss; none by default.
    pub fn activity_regularizer(mut self, regularizer: Regularizer) -> Self {
        self.activity_regularizer = Some(regularizer);
        self
    }

    /// The output shape for `input`, of which all axes but the last may be unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        self.channels(&input)?;
        let mut dims = input.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = Some(self.units as usize);
        }
        activated_shape(&self.activation, &dims.into())
    }

    /// The known extent of the last axis of `input`.
    pub(crate) fn channels(&self, input: &PartialShape) -> Result<u32> {
        if input.rank() < 2 {
            return Err(Error::invalid("input", "the input must have at least 2 axes", format!("input shape={input}")));
        }
        channels(DataFormat::ChannelsLast, input, input.rank())
    }
}

impl Describe for Dense {
    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn activity_regularizer(&self) -> Option<Regularizer> {
        self.activity_regularizer.clone()
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        self.activation.validate()?;
        WeightOptions::validate_all(&[&self.kernel, &self.bias], self.activity_regularizer.as_ref())?;
        positive("units", &[self.units])
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn fixed_axes(&self, _rank: usize) -> Vec<i32> {
        vec![-1]
    }

    fn weights(&self, inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        let (channels, units) = (self.channels(&inputs[0])? as usize, self.units as usize);
        let kernel =
            Declared::new("kernel", [channels, units], &self.common, &self.kernel, Initializer::glorot_uniform());
        let bias = Declared::new("bias", [units], &self.common, &self.bias, Initializer::Zeros);
        Ok(if self.use_bias { vec![kernel, bias] } else { vec![kernel] })
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        ops::dense(tape, self.units as usize, self.activation, inputs[0], &operands[0], operands.get(1))
    }
}

#[cfg(feature = "keras")]
impl Configured for Dense {
    const REQUIRED: &'static [&'static str] = &["units"];

    fn template() -> Self {
        Self::new(1)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.optional("activity_regularizer", &mut self.activity_regularizer)?;
        codec.order(&["units"]);
        codec.field("activation", &mut self.activation)?;
        codec.field("use_bias", &mut self.use_bias)?;
        weights(codec, &mut [("kernel", &mut self.kernel), ("bias", &mut self.bias)], |_| Ok(()))?;
        codec.field("units", &mut self.units)?;
        codec.fixed("quantization_config", Json::Null, QUANTIZED)?;
        Ok(())
    }
}
