//! Activation, the layer.

use std::sync::Arc;

use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use super::{Common, activated_shape};
use crate::ops::{self, Kernel, Tape, Value};
use crate::{Activation, PartialShape, Result, Settings};

/// An activation as a layer of its own: Keras's `Activation`.
///
/// As an argument of another layer, the same activation needs no pass of its own.
///
/// # Shapes
/// Input and output of the same shape, of any rank; [`Glu`](Activation::Glu) halves its axis.
///
/// ```
/// use wgpu_conv::{Activation, layers::ActivationLayer};
///
/// let silu = ActivationLayer::new(Activation::Silu);
/// assert_eq!(silu.output_shape([2, 5, 7, 3])?.to_string(), "(2, 5, 7, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ActivationLayer {
    /// Name, trainability and types.
    pub common: Common,
    /// What is applied.
    pub activation: Activation,
}

common_setters!(ActivationLayer, common);

impl ActivationLayer {
    /// A layer that applies `activation`.
    pub fn new(activation: Activation) -> Self {
        Self { common: Common::new(&Settings::current()), activation }
    }

    /// The output shape for `input`.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where [building](super::LayerConfig::build) the layer would refuse its
    /// arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        activated_shape(&self.activation, &input.into())
    }
}

impl Describe for ActivationLayer {
    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn passes_values_on(&self) -> bool {
        self.activation == Activation::Linear
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        self.activation.validate()
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        ops::activate(tape, &self.activation, inputs[0])
    }
}

#[cfg(feature = "keras")]
impl Configured for ActivationLayer {
    const REQUIRED: &'static [&'static str] = &["activation"];

    fn template() -> Self {
        Self::new(Activation::Linear)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("activation", &mut self.activation)
    }
}
