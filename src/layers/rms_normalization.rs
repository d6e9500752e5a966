//! RMSNormalization.

use std::sync::Arc;

use super::arguments::{common_setters, finite_epsilon};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::{Declared, Describe, known_extent};
use super::{Common, Initializer};
use crate::ops::{self, Kernel, Tape, Value};
use crate::plan::{AxisFunction, BinaryFunction, Elementwise};
use crate::{PartialShape, Result, Settings, Unary};

/// Values divided by the root of their mean square, times a weight: `x / √(mean(x²) + ε) · scale`.
///
/// # Shapes
/// Input and output of the same shape. The weight `scale` has the extent of the axis.
///
/// ```
/// use wgpu_conv::layers::RMSNormalization;
///
/// assert_eq!(RMSNormalization::new().output_shape([None, Some(8)])?.to_string(), "(None, 8)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RMSNormalization {
    /// Name, trainability and types.
    pub common: Common,
    /// The axis along which the mean is taken; −1, the last, by default.
    pub axis: i32,
    /// What is added to the mean square; 10⁻⁶ by default.
    pub epsilon: f64,
}

common_setters!(RMSNormalization, common);

impl Default for RMSNormalization {
    fn default() -> Self {
        Self { common: Common::new(&Settings::current()), axis: -1, epsilon: 1e-6 }
    }
}

impl RMSNormalization {
    /// A layer along the last axis.
    pub fn new() -> Self {
        Self::default()
    }

    /// The axis along which the mean is taken; −1 by default.
    pub fn axis(mut self, axis: i32) -> Self {
        self.axis = axis;
        self
    }

    /// What is added to the mean square; 10⁻⁶ by default.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
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
        known_extent(&input, self.axis)?;
        Ok(input)
    }
}

impl Describe for RMSNormalization {
    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<()> {
        finite_epsilon(self.epsilon)?;
        self.common.validate()
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn fixed_axes(&self, _rank: usize) -> Vec<i32> {
        vec![self.axis]
    }

    fn weights(&self, inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        let shape = [known_extent(&inputs[0], self.axis)?];
        let trainable = self.common.trainable;
        Ok(vec![Declared::free("scale", shape, trainable, Initializer::Ones)])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let shape = tape.shape(inputs[0]).clone();
        let axis = super::describe::index_of(self.axis, &(&shape).into())?;
        let extent = shape.dims()[axis];
        let squares = ops::reduce(tape, AxisFunction::SumSquare, &[axis], true, inputs[0])?;
        let mean = Unary::Affine { scale: (extent as f32).recip(), offset: self.epsilon as f32 };
        let mean = ops::map(tape, Elementwise::of_unary(&mean), squares)?;
        let root = ops::map(tape, Elementwise::of_unary(&Unary::Sqrt), mean)?;
        let divided = ops::two(tape, BinaryFunction::Divide, inputs[0], root)?;
        // The weight along its axis, 1 along those behind.
        let mut along = vec![1; shape.rank() - axis];
        along[0] = extent;
        let scale = operands[0].reshaped(along);
        ops::with(tape, BinaryFunction::Multiply, divided, &scale)
    }
}

#[cfg(feature = "keras")]
impl Configured for RMSNormalization {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("axis", &mut self.axis)?;
        codec.field("epsilon", &mut self.epsilon)
    }
}
