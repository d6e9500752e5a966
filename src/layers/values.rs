//! Values: a tensor that is no function of the input.

use std::sync::Arc;

use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::{Declared, Describe};
use super::{Common, Initializer};
use crate::ops::{self, Kernel, Side, Span, Tape, Value};
use crate::plan::{BinaryFunction, Elementwise, Outside};
use crate::{PartialShape, Result, Settings, Shape};

/// A tensor that is the same in every call, for a layer that reads values only: the class token of a transformer, or the
/// anchors of a detector, where they are joined with what the model computes.
///
/// # Shapes
/// Any input, of which nothing is read; output of `shape`, whose elements are the weight `values`, zeros at first.
///
/// ```
/// use wgpu_conv::layers::Values;
///
/// assert_eq!(Values::new([1, 1, 64]).output_shape([None, Some(3)])?.to_string(), "(1, 1, 64)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// Name, trainability and types.
    pub common: Common,
    /// The extents.
    pub shape: Vec<u32>,
}

common_setters!(Values, common);

impl Values {
    /// A layer of a weight of these extents.
    pub fn new(shape: impl Into<Vec<u32>>) -> Self {
        Self { common: Common::new(&Settings::current()), shape: shape.into() }
    }

    /// The output shape, whatever the input.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where [building](super::LayerConfig::build) the layer would refuse its
    /// arguments.
    pub fn output_shape(&self, _input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        Ok(self.extents().into())
    }

    fn extents(&self) -> Shape {
        self.shape.iter().map(|&extent| extent as usize).collect::<Vec<_>>().into()
    }
}

impl Describe for Values {
    fn module(&self) -> &'static str {
        super::OPERATORS
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn weights(&self, _inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        Ok(vec![Declared::free("values", self.extents(), self.common.trainable, Initializer::Zeros)])
    }

    /// A product with a one that is read beside the input.
    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let elements = tape.elements(inputs[0]) as usize;
        let line = tape.reshape(inputs[0], [elements])?;
        let one = ops::gather(tape, &[Span { start: -1, ..Span::whole(1) }], Outside::fill(1.0), line)?;
        let (one, values) = (Side::Value(one), Side::Constant(&operands[0]));
        let product = ops::binary(tape, BinaryFunction::Multiply, values, one, Elementwise::LINEAR)?;
        tape.reshape(product, self.extents())
    }
}

#[cfg(feature = "keras")]
impl Configured for Values {
    const REQUIRED: &'static [&'static str] = &["shape"];

    fn template() -> Self {
        Self::new([])
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("shape", &mut self.shape)
    }
}
