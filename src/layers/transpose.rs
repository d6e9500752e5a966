//! Transpose, the operator.

use std::sync::Arc;

use super::Common;
use super::arguments::common_setters;
use super::describe::Describe;
use crate::ops::{self, Kernel, Tape, Value};
use crate::{Error, PartialShape, Result, Settings};

/// The axes in another order, the batch included: ONNX's Transpose. Keras's [`Permute`](super::Permute) leaves the batch
/// where it is.
///
/// # Shapes
/// Input of one axis for each in `order`; axis `i` of the output is axis `order[i]` of the input.
///
/// ```
/// use wgpu_conv::layers::Transpose;
///
/// assert_eq!(Transpose::new([2, 0, 1]).output_shape([None, Some(5), Some(7)])?.to_string(), "(7, None, 5)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Transpose {
    /// Name, trainability and types.
    pub common: Common,
    /// The input's axis of every output axis.
    pub order: Vec<u32>,
}

common_setters!(Transpose, common);

impl Transpose {
    /// A layer whose output has the input's axes in this order.
    pub fn new(order: impl Into<Vec<u32>>) -> Self {
        Self { common: Common::new(&Settings::current()), order: order.into() }
    }

    /// The output shape for `input`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the order does not name the input's axes once each.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        if input.rank() != self.order.len() {
            return Err(Error::invalid(
                "order",
                "`order` must name each axis of the input",
                format!("order={:?}, input shape={input}", self.order),
            ));
        }
        Ok(self.order.iter().map(|&axis| input.dims()[axis as usize]).collect::<Vec<_>>().into())
    }
}

impl Describe for Transpose {
    fn module(&self) -> &'static str {
        super::OPERATORS
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        let mut sorted = self.order.clone();
        sorted.sort_unstable();
        if sorted.into_iter().eq(0..self.order.len() as u32) {
            return Ok(());
        }
        Err(Error::invalid("order", "`order` must name each axis once", format!("order={:?}", self.order)))
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let order: Vec<usize> = self.order.iter().map(|&axis| axis as usize).collect();
        ops::permute(tape, &order, inputs[0])
    }
}
