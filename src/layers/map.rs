//! Map: a function of every element, as a layer.

use std::sync::Arc;

use super::Common;
use super::arguments::common_setters;
use super::describe::Describe;
use crate::ops::{self, Kernel, Tape, Value};
use crate::plan::Elementwise;
use crate::{PartialShape, Result, Settings, Unary};

/// A function of every element by itself that is no activation of Keras's: what ONNX's Abs, Sqrt, Clip, … become.
///
/// # Shapes
/// Input and output of the same shape, of any rank.
///
/// ```
/// use wgpu_conv::{Unary, layers::Map};
///
/// let root = Map::new(Unary::Pow { exponent: 0.5 });
/// assert_eq!(root.output_shape([None, Some(7)])?.to_string(), "(None, 7)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// Name, trainability and types.
    pub common: Common,
    /// The function.
    pub function: Unary,
}

common_setters!(Map, common);

impl Map {
    /// A layer that applies `function`.
    pub fn new(function: Unary) -> Self {
        Self { common: Common::new(&Settings::current()), function }
    }

    /// The output shape for `input`: the same.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where [building](super::LayerConfig::build) the layer would refuse its
    /// arguments.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        Ok(input.into())
    }
}

impl Describe for Map {
    fn module(&self) -> &'static str {
        super::OPERATORS
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        self.function.validate()
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        ops::map(tape, Elementwise::of_unary(&self.function), inputs[0])
    }
}
