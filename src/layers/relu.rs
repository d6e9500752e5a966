//! ReLU, the layer.

use std::sync::Arc;

use super::Common;
use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common, rectifier};
use super::describe::Describe;
use crate::ops::{self, Kernel, Tape, Value};
use crate::{Activation, Error, PartialShape, Result, Settings};

/// The rectifier as a layer: `min(x, max_value)` above `threshold`, and `negative_slope · (x − threshold)` below.
///
/// The [activation](Activation::Relu) does the same inside another layer, without a pass of its own.
///
/// # Shapes
/// Input and output of the same shape, of any rank.
///
/// ```
/// use wgpu_conv::layers::ReLU;
///
/// let relu6 = ReLU::new().max_value(6.0);
/// assert_eq!(relu6.output_shape([2, 5, 7, 3])?.to_string(), "(2, 5, 7, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ReLU {
    /// Name, trainability and types.
    pub common: Common,
    /// Upper limit, not negative; none by default.
    pub max_value: Option<f32>,
    /// Slope below the threshold, not negative; 0 by default.
    pub negative_slope: f32,
    /// Values at or below it take the slope; not negative, 0 by default.
    pub threshold: f32,
}

common_setters!(ReLU, common);

impl Default for ReLU {
    fn default() -> Self {
        let common = Common::new(&Settings::current());
        Self { common, max_value: None, negative_slope: 0.0, threshold: 0.0 }
    }
}

impl ReLU {
    /// `max(x, 0)`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Upper limit, not negative; none by default.
    pub fn max_value(mut self, max_value: f32) -> Self {
        self.max_value = Some(max_value);
        self
    }

    /// Slope below the threshold, not negative; 0 by default.
    pub fn negative_slope(mut self, negative_slope: f32) -> Self {
        self.negative_slope = negative_slope;
        self
    }

    /// Values at or below it take the slope; not negative, 0 by default.
    pub fn threshold(mut self, threshold: f32) -> Self {
        self.threshold = threshold;
        self
    }

    /// The output shape for `input`: the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        Ok(input.into())
    }

    /// What it computes.
    pub(crate) fn activation(&self) -> Activation {
        let Self { max_value, negative_slope, threshold, .. } = *self;
        Activation::Relu { negative_slope, max_value, threshold }
    }
}

impl Describe for ReLU {
    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        for (argument, value) in [
            ("max_value", self.max_value.unwrap_or_default()),
            ("negative_slope", self.negative_slope),
            ("threshold", self.threshold),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::invalid(
                    argument,
                    format!("`{argument}` of a ReLU layer must be finite and not negative"),
                    format!("{argument}={value}"),
                ));
            }
        }
        Ok(())
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        ops::activate(tape, &self.activation(), inputs[0])
    }
}

#[cfg(feature = "keras")]
impl Configured for ReLU {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        rectifier(codec, &mut self.max_value, &mut self.negative_slope, &mut self.threshold)
    }
}
