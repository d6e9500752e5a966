//! PReLU.

use std::sync::Arc;

use super::arguments::{common_setters, weight_setters};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common, weights};
use super::describe::{Declared, Describe, known_extent};
use super::{Common, Initializer, WeightOptions};
use crate::ops::{self, Kernel, Tape, Value};
use crate::plan::BinaryFunction;
use crate::{Error, PartialShape, Result, Settings};

/// The rectifier with a slope below 0 that is learned: `x > 0 ? x : alpha · x`.
///
/// # Shapes
/// Input and output of the same shape. Weight: `alpha`, of the input's shape without the batch, and with extent 1 along
/// [`shared_axes`](Self::shared_axes).
///
/// ```
/// use wgpu_conv::layers::PReLU;
///
/// let prelu = PReLU::new().shared_axes([1, 2]);
/// assert_eq!(prelu.output_shape([None, None, None, Some(8)])?.to_string(), "(None, None, None, 8)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PReLU {
    /// Name, trainability and types.
    pub common: Common,
    /// The slope's initializer (zeros by default, and for `None`), regularizer and constraint.
    pub alpha: WeightOptions,
    /// Axes along which all positions share a slope, counted from 1 behind the batch; none by default.
    pub shared_axes: Option<Vec<u32>>,
}

common_setters!(PReLU, common);
weight_setters!(PReLU {
    "slope `alpha`" at alpha: alpha_initializer = "zeros", alpha_regularizer, alpha_constraint;
});

impl Default for PReLU {
    fn default() -> Self {
        let common = Common::new(&Settings::current());
        Self { common, alpha: WeightOptions::new(Initializer::Zeros), shared_axes: None }
    }
}

impl PReLU {
    /// A layer with a slope for each position.
    pub fn new() -> Self {
        Self::default()
    }

    /// Axes along which all positions share a slope, counted from 1 behind the batch; none by default.
    pub fn shared_axes(mut self, axes: impl Into<Vec<u32>>) -> Self {
        self.shared_axes = Some(axes.into());
        self
    }

    /// The output shape for `input`: the same. Axes that do not share a slope must be known, but for the batch.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        self.slopes(&input)?;
        Ok(input)
    }

    fn shares(&self, axis: usize) -> bool {
        self.shared_axes.iter().flatten().any(|&shared| shared as usize == axis)
    }

    /// The extents of `alpha`.
    fn slopes(&self, input: &PartialShape) -> Result<Vec<usize>> {
        if input.rank() == 0 || self.shared_axes.iter().flatten().any(|&axis| axis as usize >= input.rank()) {
            return Err(Error::invalid(
                "shared_axes",
                "`shared_axes` must be axes of the input behind the batch",
                format!("shared_axes={:?}, input shape={input}", self.shared_axes),
            ));
        }
        (1..input.rank()).map(|axis| if self.shares(axis) { Ok(1) } else { known_extent(input, axis as i32) }).collect()
    }
}

impl Describe for PReLU {
    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        WeightOptions::validate_all(&[&self.alpha], None)?;
        if self.shared_axes.iter().flatten().any(|&axis| axis == 0) {
            return Err(Error::invalid(
                "shared_axes",
                "`shared_axes` must be axes of the input behind the batch",
                format!("shared_axes={:?}", self.shared_axes),
            ));
        }
        Ok(())
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn fixed_axes(&self, rank: usize) -> Vec<i32> {
        (1..rank).filter(|&axis| !self.shares(axis)).map(|axis| axis as i32).collect()
    }

    fn weights(&self, inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        let shape = self.slopes(&inputs[0])?;
        Ok(vec![Declared::new("alpha", shape, &self.common, &self.alpha, Initializer::Zeros)])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        ops::with(tape, BinaryFunction::Prelu, inputs[0], &operands[0])
    }
}

#[cfg(feature = "keras")]
impl Configured for PReLU {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        weights(codec, &mut [("alpha", &mut self.alpha)], |_| Ok(()))?;
        codec.field("shared_axes", &mut self.shared_axes)
    }
}
