//! Permute.

use std::sync::Arc;

use super::Common;
use super::arguments::common_setters;
use super::describe::Describe;
use crate::ops::{self, Kernel, Tape, Value};
use crate::{Error, PartialShape, Result, Settings};

/// The axes behind the batch in another order.
///
/// # Shapes
/// Input `[batch, a₁, …, aₙ]`; output `[batch, …]`, whose axis `i` is the input's axis `dims[i]`, counted from 1.
///
/// ```
/// use wgpu_conv::layers::Permute;
///
/// let channels_first = Permute::new([3, 1, 2]);
/// assert_eq!(channels_first.output_shape([2, 5, 7, 3])?.to_string(), "(2, 3, 5, 7)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Permute {
    /// Name, trainability and types.
    pub common: Common,
    /// For each output axis behind the batch the input's, counted from 1.
    pub dims: Vec<u32>,
}

common_setters!(Permute, common);

impl Permute {
    /// A layer whose output axes behind the batch are the input's axes `dims`, counted from 1.
    pub fn new(dims: impl Into<Vec<u32>>) -> Self {
        Self { common: Common::new(&Settings::current()), dims: dims.into() }
    }

    /// The output shape for `input`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        if input.rank() != self.dims.len() + 1 {
            return Err(Error::invalid(
                "input",
                format!("the input must have {} axes", self.dims.len() + 1),
                format!("input shape={input} of rank {}", input.rank()),
            ));
        }
        Ok(self.order().map(|axis| input.dims()[axis]).collect::<Vec<_>>().into())
    }

    /// The input's axis of every output axis.
    fn order(&self) -> impl Iterator<Item = usize> {
        [0].into_iter().chain(self.dims.iter().map(|&axis| axis as usize))
    }
}

impl Describe for Permute {
    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        if (1..=self.dims.len()).any(|axis| !self.dims.contains(&(axis as u32))) {
            return Err(Error::invalid(
                "dims",
                "`dims` must hold each axis behind the batch once, counted from 1",
                format!("dims={:?}", self.dims),
            ));
        }
        Ok(())
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        ops::permute(tape, &self.order().collect::<Vec<_>>(), inputs[0])
    }
}
