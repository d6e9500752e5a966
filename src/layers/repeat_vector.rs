//! RepeatVector.

use std::sync::Arc;

use super::Common;
use super::arguments::{common_setters, positive};
use super::describe::Describe;
use crate::ops::{self, Kernel, Tape, Value};
use crate::{Error, PartialShape, Result, Settings};

/// A vector, `n` times.
///
/// # Shapes
/// Input `[batch, features]`; output `[batch, n, features]`.
///
/// ```
/// use wgpu_conv::layers::RepeatVector;
///
/// assert_eq!(RepeatVector::new(4).output_shape([None, Some(5)])?.to_string(), "(None, 4, 5)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RepeatVector {
    /// Name, trainability and types.
    pub common: Common,
    /// How often; at least once.
    pub n: u32,
}

common_setters!(RepeatVector, common);

impl RepeatVector {
    /// A layer that repeats its input `n` times.
    pub fn new(n: u32) -> Self {
        Self { common: Common::new(&Settings::current()), n }
    }

    /// The output shape for `input`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        let [batch, features] = input.dims() else {
            return Err(Error::invalid(
                "input",
                "the input must have 2 axes",
                format!("input shape={input} of rank {}", input.rank()),
            ));
        };
        Ok([*batch, Some(self.n as usize), *features].into())
    }
}

impl Describe for RepeatVector {
    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        positive("n", &[self.n])
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let [batch, features] = tape.shape(inputs[0]).dims() else { return Ok(inputs[0]) };
        let (single, repeated) = ([*batch, 1, *features], [*batch, self.n as usize, *features]);
        let vector = tape.reshape(inputs[0], single)?;
        ops::expand(tape, &repeated, vector)
    }
}
