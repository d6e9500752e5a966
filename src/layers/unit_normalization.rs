//! UnitNormalization.

use std::sync::Arc;

use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::{Describe, distinct, index_of, least_norm};
use super::{Axes, Common};
use crate::ops::{self, Kernel, Statistics, Tape, Value};
use crate::plan::NormalizeFunction;
use crate::{PartialShape, Result, Settings};

/// Each example divided by its Euclidean norm over some axes: `input / max(√Σ input², epsilon)`.
///
/// # Shapes
/// Input and output of the same shape, of any rank.
///
/// ```
/// use wgpu_conv::layers::UnitNormalization;
///
/// let norm = UnitNormalization::new().axis([1, 2]);
/// assert_eq!(norm.output_shape([None, Some(5), None])?.to_string(), "(None, 5, None)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct UnitNormalization {
    /// Name, trainability and types.
    pub common: Common,
    /// The axes of the norm; −1, the last, by default.
    pub axis: Axes,
    /// The least norm that is divided by: Keras 3's 10⁻¹² by default. Files of Keras 2 mean 10⁻⁶, which Keras 3 has no argument
    /// for: such a layer is written to none of its files.
    pub epsilon: f64,
}

common_setters!(UnitNormalization, common);

impl Default for UnitNormalization {
    fn default() -> Self {
        Self { common: Common::new(&Settings::current()), axis: Axes::One(-1), epsilon: Self::EPSILON }
    }
}

impl UnitNormalization {
    /// Keras 3's least norm.
    pub(super) const EPSILON: f64 = 1e-12;

    /// A layer that gives every line of the last axis the norm 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// The axes of the norm, one or a list; −1 by default.
    pub fn axis(mut self, axis: impl Into<Axes>) -> Self {
        self.axis = axis.into();
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
        distinct(self.axis.as_slice(), &input)?;
        Ok(input)
    }
}

impl Describe for UnitNormalization {
    fn module(&self) -> &'static str {
        if self.epsilon == Self::EPSILON { super::KERAS } else { super::OPERATORS }
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        least_norm(self.epsilon)
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let shape = PartialShape::from(tape.shape(inputs[0]));
        let axes = self.axis.as_slice().iter().map(|&axis| index_of(axis, &shape)).collect::<Result<Vec<_>>>()?;
        let statistics = Statistics::over(tape.shape(inputs[0]), &axes)?;
        ops::normalize(tape, NormalizeFunction::Unit, self.epsilon.powi(2), &statistics, inputs[0], [None, None])
    }
}

#[cfg(feature = "keras")]
impl Configured for UnitNormalization {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("axis", &mut self.axis)?;
        codec.unless("epsilon", &mut self.epsilon, Self::EPSILON)
    }
}
