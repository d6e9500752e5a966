//! MergeTime and SplitTime: what `TimeDistributed` does around its layer.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::Common;
use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use crate::ops::{Kernel, Tape, Value};
use crate::{Error, PartialShape, Result, Settings};

/// The first two axes as one: every time an example of its own. Nothing is computed for it.
///
/// # Shapes
/// Input `[batch, times, …]`; output `[batch · times, …]`.
///
/// ```
/// use wgpu_conv::layers::MergeTime;
///
/// assert_eq!(MergeTime::new().output_shape([Some(2), Some(3), Some(5)])?.to_string(), "(6, 5)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MergeTime {
    /// Name, trainability and types.
    pub common: Common,
}

common_setters!(MergeTime, common);

impl Default for MergeTime {
    fn default() -> Self {
        Self { common: Common::new(&Settings::current()) }
    }
}

impl MergeTime {
    /// A layer that merges the first two axes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The output shape for `input`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an input of fewer than 3 axes.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        match input.dims() {
            [batch, times, rest @ ..] if !rest.is_empty() => {
                Ok([&[batch.zip(*times).map(|(batch, times)| batch * times)], rest].concat().into())
            }
            _ => {
                let received = format!("input shape={input}");
                Err(Error::invalid("input", "the input must have a batch, times, and an axis behind", received))
            }
        }
    }
}

/// The first axis as batch and times again, those of a second input: the inverse of [`MergeTime`].
///
/// # Shapes
/// Inputs `[batch · times, …]` and `[batch, times, …]`; output `[batch, times, …]` with the axes of the first input behind.
///
/// ```
/// use wgpu_conv::layers::SplitTime;
///
/// let split = SplitTime::new().output_shape(&[[6, 7].into(), [2, 3, 5].into()])?;
/// assert_eq!(split.to_string(), "(2, 3, 7)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SplitTime {
    /// Name, trainability and types.
    pub common: Common,
}

common_setters!(SplitTime, common);

impl Default for SplitTime {
    fn default() -> Self {
        Self { common: Common::new(&Settings::current()) }
    }
}

impl SplitTime {
    /// A layer that splits the first axis as its second input's.
    pub fn new() -> Self {
        Self::default()
    }

    /// The output shape for two `inputs`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the first axis is not the product of the other input's first two.
    pub fn output_shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.validate()?;
        let wrong = || {
            let shapes: Vec<_> = inputs.iter().map(ToString::to_string).collect();
            let rule = "the first axis must be the product of the second input's first two";
            Error::invalid("inputs", rule, shapes.join(", "))
        };
        let [merged, whole] = inputs else { return Err(wrong()) };
        let ([first, rest @ ..], [batch, times, ..]) = (merged.dims(), whole.dims()) else { return Err(wrong()) };
        let product = batch.zip(*times).map(|(batch, times)| batch * times);
        if product.zip(*first).is_some_and(|(product, first)| product != first) {
            return Err(wrong());
        }
        Ok([&[*batch, *times], rest].concat().into())
    }
}

impl Describe for MergeTime {
    /// A mask of more than times, of the words of sentences say, is merged as its tensor is.
    fn mask(&self, tape: &mut Tape, inputs: &[Value], output: Value) -> Result<Option<Value>> {
        let Some(mask) = tape.mask(inputs[0]).filter(|&mask| tape.shape(mask).rank() > 2) else { return Ok(None) };
        let dims = tape.shape(mask).dims();
        let merged = [&tape.shape(output).dims()[..1], &dims[2..]].concat();
        tape.reshape(mask, merged).map(Some)
    }

    fn module(&self) -> &'static str {
        super::OPERATORS
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let shape = self.output_shape(tape.shape(inputs[0]))?.known().unwrap_or_default();
        tape.reshape(inputs[0], shape)
    }
}

impl Describe for SplitTime {
    /// That of the second input, as `TimeDistributed` passes it on.
    fn mask(&self, tape: &mut Tape, inputs: &[Value], _output: Value) -> Result<Option<Value>> {
        Ok(tape.mask(inputs[1]))
    }

    fn module(&self) -> &'static str {
        super::OPERATORS
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn inputs(&self) -> RangeInclusive<usize> {
        2..=2
    }

    fn takes_whole_numbers(&self, index: usize) -> bool {
        // Only its shape is read.
        index == 1
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(inputs)
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let shapes: Vec<PartialShape> = inputs.iter().map(|&input| tape.shape(input).into()).collect();
        let shape = self.output_shape(&shapes)?.known().unwrap_or_default();
        tape.reshape(inputs[0], shape)
    }
}

#[cfg(feature = "keras")]
impl Configured for MergeTime {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)
    }
}

#[cfg(feature = "keras")]
impl Configured for SplitTime {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)
    }
}
