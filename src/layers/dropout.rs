//! Dropout.

use std::sync::Arc;

use super::arguments::{common_setters, seed_setter, share};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use super::random::{dropped, noise_shape};
use super::{Common, Seed};
use crate::ops::{Kernel, Tape, Value};
use crate::{Error, PartialShape, Result, Settings};

/// Dropout: in training, zeros a share of the values and scales the others up; at inference, does nothing.
///
/// # Shapes
/// Input and output of the same shape, of any rank.
///
/// ```
/// use wgpu_conv::layers::Dropout;
///
/// assert_eq!(Dropout::new(0.5).output_shape([2, 10])?.to_string(), "(2, 10)");
/// assert!(Dropout::new(1.5).output_shape([2, 10]).is_err());
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dropout {
    /// Name, trainability and types.
    pub common: Common,
    /// The share of values that is dropped, 0 to 1.
    pub rate: f64,
    /// Where the choice of values starts; none by default.
    pub seed: Seed,
    /// The shape of the choice, which is repeated over the input: `None` for an extent of the input's. The input's own
    /// shape by default.
    pub noise_shape: Option<PartialShape>,
}

common_setters!(Dropout, common);

seed_setter!(Dropout, "the choice of values starts");

impl Dropout {
    /// A layer that drops a share of `rate` of the values.
    pub fn new(rate: f64) -> Self {
        let common = Common::new(&Settings::current());
        Self { common, rate, seed: Seed::default(), noise_shape: None }
    }

    /// The shape of the choice, which is repeated over the input; the input's own by default.
    pub fn noise_shape(mut self, noise_shape: impl Into<PartialShape>) -> Self {
        self.noise_shape = Some(noise_shape.into());
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
}

impl Describe for Dropout {
    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        share("rate", self.rate)?;
        match &self.noise_shape {
            Some(shape) if shape.dims().contains(&Some(0)) => Err(Error::invalid(
                "noise_shape",
                "`noise_shape` must hold strictly positive values or None",
                format!("noise_shape={shape}"),
            )),
            _ => Ok(()),
        }
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, _tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        Ok(inputs[0])
    }

    fn train(
        &self,
        tape: &mut Tape,
        inputs: &[Value],
        _weights: &[Arc<Kernel>],
        _operands: &[Arc<Kernel>],
    ) -> Result<Value> {
        let shape = noise_shape(self.noise_shape.as_ref(), tape.shape(inputs[0]).dims())?;
        dropped(tape, self.rate, &self.seed, &shape, inputs[0])
    }
}

#[cfg(feature = "keras")]
impl Configured for Dropout {
    const REQUIRED: &'static [&'static str] = &["rate"];

    fn template() -> Self {
        Self::new(0.0)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("rate", &mut self.rate)?;
        codec.field("seed", &mut self.seed)?;
        codec.field("noise_shape", &mut self.noise_shape)
    }
}
