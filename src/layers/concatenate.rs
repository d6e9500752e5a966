//! Concatenate.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::Common;
use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::{Describe, index_of};
use crate::ops::{self, Kernel, Numbers, Tape, Value};
use crate::plan::AxisFunction;
use crate::{Error, PartialShape, Result, Settings};

/// Tensors joined along one axis.
///
/// # Shapes
/// Inputs, at least one, which agree but for `axis`; output likewise, with the sum of their extents along `axis`.
///
/// ```
/// use wgpu_conv::layers::Concatenate;
///
/// let shapes = [[2, 5, 7, 3].into(), [2, 5, 7, 8].into()];
/// assert_eq!(Concatenate::new().output_shape(&shapes)?.to_string(), "(2, 5, 7, 11)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Concatenate {
    /// Name, trainability and types.
    pub common: Common,
    /// The axis along which the inputs lie one after the other; −1, the last, by default.
    pub axis: i32,
}

common_setters!(Concatenate, common);

impl Default for Concatenate {
    fn default() -> Self {
        Self { common: Common::new(&Settings::current()), axis: -1 }
    }
}

impl Concatenate {
    /// A layer that joins its inputs along the last axis.
    pub fn new() -> Self {
        Self::default()
    }

    /// The axis along which the inputs lie one after the other, negative ones counted from the end; −1 by default.
    pub fn axis(mut self, axis: i32) -> Self {
        self.axis = axis;
        self
    }

    /// The output shape for `inputs`; extents that one of them knows are known but along the axis, where all must be.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build_all) the layer would refuse its arguments or `inputs`.
    pub fn output_shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.validate()?;
        let refused = || {
            let shapes: Vec<_> = inputs.iter().map(ToString::to_string).collect();
            Error::invalid(
                "inputs",
                "inputs to concatenate must have the same shape but for the axis",
                format!("axis={}, input shapes {}", self.axis, shapes.join(", ")),
            )
        };
        let (first, others) = inputs.split_first().ok_or_else(refused)?;
        let index = index_of(self.axis, first)?;
        let mut output = first.dims().to_vec();
        for other in others {
            if other.rank() != output.len() {
                return Err(refused());
            }
            for (axis, (dim, &other)) in output.iter_mut().zip(other.dims()).enumerate() {
                *dim = match (*dim, other) {
                    (Some(so_far), Some(more)) if axis == index => Some(so_far + more),
                    _ if axis == index => None,
                    (Some(dim), Some(other)) if dim != other => return Err(refused()),
                    (dim, other) => dim.or(other),
                };
            }
        }
        Ok(output.into())
    }
}

impl Describe for Concatenate {
    /// The masks joined along the axis, those that are missing as ones; along the last one, what any of them keeps.
    fn mask(&self, tape: &mut Tape, inputs: &[Value], output: Value) -> Result<Option<Value>> {
        let Some(dtype) = inputs.iter().find_map(|&input| Some(tape.dtype(tape.mask(input)?))) else { return Ok(None) };
        let rank = tape.shape(output).rank();
        let axis = index_of(self.axis, &tape.shape(output).into())?;
        let mut masks = Vec::with_capacity(inputs.len());
        for &input in inputs {
            // Of the extents of the input, the last one being 1 where the mask says the same of all channels.
            let mut dims = tape.shape(input).dims().to_vec();
            let mask = match tape.mask(input) {
                Some(mask) if tape.shape(mask).rank() + 1 == rank => {
                    dims[rank - 1] = 1;
                    ops::cast(tape, dtype, None, mask)?
                }
                Some(mask) if tape.shape(mask).rank() == rank => ops::cast(tape, dtype, None, mask)?,
                Some(mask) => {
                    let rule = "a mask must have the axes of what carries it, or all but the last";
                    return Err(Error::invalid("mask", rule, format!("mask shape={}", tape.shape(mask))));
                }
                None => {
                    dims[rank - 1] = 1;
                    let ones = Kernel::of_values([1], vec![1.0], Numbers { dtype, rounding: None });
                    let ones = ops::value_of(tape, &ones, &[1])?;
                    ops::expand(tape, &dims, ones)?
                }
            };
            masks.push(tape.reshape(mask, dims)?);
        }
        let last = rank - 1;
        if masks.iter().any(|&mask| axis != last && tape.shape(mask).dims()[last] != tape.shape(masks[0]).dims()[last])
        {
            let rule = "masks must all say something of channels, or none of them, to be joined along another axis";
            return Err(Error::invalid("mask", rule, "masks of different axes"));
        }
        let joined = ops::concatenate(tape, axis, &masks)?;
        ops::reduce(tape, AxisFunction::Max, &[last], false, joined).map(Some)
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn inputs(&self) -> RangeInclusive<usize> {
        1..=usize::MAX
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(inputs)
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let axis = index_of(self.axis, &tape.shape(inputs[0]).into())?;
        ops::concatenate(tape, axis, inputs)
    }
}

#[cfg(feature = "keras")]
impl Configured for Concatenate {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("axis", &mut self.axis)
    }
}
