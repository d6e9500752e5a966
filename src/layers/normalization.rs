//! Normalization.

use std::sync::Arc;

use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::{Declared, Describe, distinct, index_of, known_extent};
use super::{Common, Initializer};
use crate::ops::{self, Kernel, Numbers, Tape, Value};
use crate::plan::{BinaryFunction, Elementwise};
use crate::{DType, Error, HostTensor, PartialShape, Result, Settings, Shape, Unary};

/// The least deviation that is divided by: Keras's `epsilon()`.
const EPSILON: f32 = 1e-7;

/// How many deviations a given mean may be, for input, mean and deviation to be computed as `input · scale + shift`: that loses
/// as many times the rounding of a difference.
const FEW: f32 = 64.0;

/// Inputs shifted and scaled by statistics that are given: `(input − mean) / max(√variance, 10⁻⁷)`, or back again.
///
/// Where a mean is given and is at most 64 deviations, that is one operation, a product and a sum. A larger one, and one that is
/// a weight, is subtracted first, by an operation of its own: the product would lose the digits of the difference.
///
/// # Shapes
/// Input and output of the same shape, of any rank. Without a `mean` and a `variance` of its own, the layer has weights of
/// those names, of the extents of [`axis`](Self::axis), and `count`: those that Keras's `adapt` computes.
///
/// ```
/// use wgpu_conv::{HostTensor, layers::Normalization};
///
/// let of_channels = |values| HostTensor::new([3], values);
/// let norm = Normalization::new().statistics(of_channels(vec![0.5; 3])?, of_channels(vec![0.04; 3])?);
/// assert_eq!(norm.output_shape([None, Some(8), Some(8), Some(3)])?.to_string(), "(None, 8, 8, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    /// Name, trainability and types.
    pub common: Common,
    /// The axes that have statistics for each of their positions, neighbours of one another; the last, −1, by default.
    /// None are statistics of everything.
    pub axis: Vec<i32>,
    /// The mean: one value, or one for each position of the axes. A weight by default.
    pub mean: Option<HostTensor>,
    /// The variance, of the mean's shape. A weight by default.
    pub variance: Option<HostTensor>,
    /// Whether to undo a normalisation: `mean + input · max(√variance, 10⁻⁷)`; false by default.
    pub invert: bool,
}

common_setters!(Normalization, common);

impl Default for Normalization {
    fn default() -> Self {
        Self { common: Common::new(&Settings::current()), axis: vec![-1], mean: None, variance: None, invert: false }
    }
}

impl Normalization {
    /// A layer that normalises each position of the last axis by its weights.
    pub fn new() -> Self {
        Self::default()
    }

    /// The axes that have statistics for each of their positions; −1 by default, none for statistics of everything.
    pub fn axis(mut self, axis: impl Into<Vec<i32>>) -> Self {
        self.axis = axis.into();
        self
    }

    /// The mean and the variance, in place of weights.
    pub fn statistics(mut self, mean: HostTensor, variance: HostTensor) -> Self {
        (self.mean, self.variance) = (Some(mean), Some(variance));
        self
    }

    /// Whether to undo a normalisation; false by default.
    pub fn invert(mut self, invert: bool) -> Self {
        self.invert = invert;
        self
    }

    /// The output shape for `input`: the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`;
    /// [`Error::Unsupported`] for axes that are no neighbours.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        let axes = self.kept(&input)?;
        let extents = axes.iter().map(|&axis| known_extent(&input, axis as i32)).collect::<Result<Vec<_>>>()?;
        if axes.windows(2).any(|pair| pair[0] + 1 != pair[1]) {
            return Err(Error::unsupported(
                format!("a Normalization over axes {:?}", self.axis),
                "the axes must be neighbours",
            ));
        }
        match &self.mean {
            Some(mean) if mean.values.len() != 1 && mean.shape.dims() != extents => Err(Error::invalid(
                "mean",
                "`mean` and `variance` must be one value each, or one for each position of the axes",
                format!("mean of shape {}, axes of extents {:?}", mean.shape, Shape::from(extents)),
            )),
            _ => Ok(input),
        }
    }

    /// Whether the mean is subtracted by an operation of its own, as it may be large against the deviation. Numbers of 16 bits do
    /// not have the digits of such an input.
    fn subtracts_first(&self, dtype: DType) -> bool {
        let large = match (&self.mean, &self.variance) {
            (Some(mean), Some(variance)) => (mean.values.iter().zip(&variance.values))
                .any(|(mean, variance)| mean.abs() > FEW * variance.sqrt().max(EPSILON)),
            _ => true,
        };
        !self.invert && dtype == DType::F32 && large
    }

    /// The axes in order.
    fn kept(&self, input: &PartialShape) -> Result<Vec<usize>> {
        distinct(&self.axis, input)?;
        let mut axes = self.axis.iter().map(|&axis| index_of(axis, input)).collect::<Result<Vec<_>>>()?;
        axes.sort_unstable();
        Ok(axes)
    }
}

impl Describe for Normalization {
    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        let shape = |value: &Option<HostTensor>| value.as_ref().map(|value| value.shape.clone());
        let (mean, variance) = (shape(&self.mean), shape(&self.variance));
        if mean != variance {
            let told = |shape: Option<Shape>| shape.map_or("none".into(), |shape| format!("one of shape {shape}"));
            return Err(Error::invalid(
                "mean",
                "`mean` and `variance` must be given together, of the same shape",
                format!("mean: {}, variance: {}", told(mean), told(variance)),
            ));
        }
        Ok(())
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn fixed_axes(&self, _rank: usize) -> Vec<i32> {
        self.axis.clone()
    }

    fn weights(&self, inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        if self.mean.is_some() {
            return Ok(Vec::new());
        }
        let axes = self.kept(&inputs[0])?;
        let extents = axes.iter().map(|&axis| known_extent(&inputs[0], axis as i32)).collect::<Result<Vec<_>>>()?;
        let declared = |name, shape: &[usize], initializer| Declared::free(name, shape, false, initializer);
        Ok(vec![
            declared("mean", &extents, Initializer::Zeros),
            declared("variance", &extents, Initializer::Ones),
            declared("count", &[], Initializer::Zeros),
        ])
    }

    /// The scale and the shift that the statistics come to, or the scale and the mean that is subtracted before.
    fn operands(&self, weights: Vec<Arc<Kernel>>, numbers: Numbers) -> Result<Vec<Arc<Kernel>>> {
        let of = |value: &HostTensor| Kernel::of_values(value.shape.clone(), value.values.clone(), numbers);
        let (mean, variance) = match (&self.mean, &self.variance, &weights[..]) {
            (Some(mean), Some(variance), _) => (of(mean), of(variance)),
            (_, _, [mean, variance, ..]) => (mean.clone(), variance.clone()),
            _ => return Ok(weights),
        };
        let number = |value: f32| Kernel::of_values([1], vec![value], numbers);
        let root = variance.map(Elementwise::of_unary(&Unary::Sqrt));
        let deviation = Kernel::binary(BinaryFunction::Maximum, &root, &number(EPSILON), Elementwise::LINEAR)?;
        if self.invert {
            return Ok(vec![deviation, mean]);
        }
        let scale = deviation.map(Elementwise::of_unary(&Unary::Reciprocal));
        if self.subtracts_first(numbers.dtype) {
            return Ok(vec![scale, mean.exact()]);
        }
        let negative = Elementwise::of_unary(&Unary::Neg);
        let shift = Kernel::binary(BinaryFunction::Divide, &mean, &deviation, negative)?;
        Ok(vec![scale, shift])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let shape = tape.shape(inputs[0]).clone();
        let elements = operands[0].shape().dims().iter().product::<usize>();
        let axes = self.kept(&(&shape).into())?;
        let after = match axes.last() {
            Some(last) if elements > 1 => shape.dims()[last + 1..].iter().product(),
            _ => 1,
        };
        let (mut input, mut shift) = (inputs[0], operands.get(1));
        if self.subtracts_first(tape.dtype(input))
            && let Some(mean) = shift.take()
        {
            // The axes of the mean, and those after them.
            let dims = match axes.last() {
                Some(last) if elements > 1 => [mean.shape().dims(), &vec![1; shape.rank() - last - 1]].concat(),
                _ => vec![1],
            };
            input = ops::with(tape, BinaryFunction::Subtract, input, &mean.reshaped(dims))?;
        }
        ops::scale_and_shift_runs(tape, after, input, &operands[0], shift)
    }
}

#[cfg(feature = "keras")]
impl Configured for Normalization {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("axis", &mut self.axis)?;
        codec.field("invert", &mut self.invert)?;
        codec.field("mean", &mut self.mean)?;
        codec.field("variance", &mut self.variance)
    }
}
