//! Dot.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::{Describe, least_norm};
use super::{Axes, Common};
use crate::geometry::axis_index;
use crate::ops::{self, Kernel, Statistics, Tape, Value};
use crate::plan::NormalizeFunction;
use crate::{Error, PartialShape, Result, Settings};

/// For each element of the batch, the sum of products over one axis of either input.
///
/// # Shapes
/// Inputs `[batch, …, terms, …]`, two of them; output `[batch, …, …]`: what remains of the first, then of the second, and
/// an extent of 1 where nothing does.
///
/// ```
/// use wgpu_conv::layers::Dot;
///
/// let shapes = [[2, 5, 7].into(), [2, 3, 7].into()];
/// assert_eq!(Dot::new(2).output_shape(&shapes)?.to_string(), "(2, 5, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dot {
    /// Name, trainability and types.
    pub common: Common,
    /// The axis summed over: one for both inputs, or one for each; not the batch. Negative ones count from the end.
    pub axes: Axes,
    /// Whether both inputs are first divided by their lengths along the axis; false by default.
    pub normalize: bool,
    /// The least length that is divided by: Keras 3's 10⁻⁷ by default. Files of Keras 2 mean 10⁻⁶, which Keras 3 has no argument
    /// for: such a layer is written to none of its files.
    pub epsilon: f64,
}

common_setters!(Dot, common);

impl Dot {
    /// Keras 3's least length.
    pub(super) const EPSILON: f64 = 1e-7;

    /// A layer that sums over `axes`: one axis, or one for each input.
    pub fn new(axes: impl Into<Axes>) -> Self {
        let common = Common::new(&Settings::current());
        Self { common, axes: axes.into(), normalize: false, epsilon: Self::EPSILON }
    }

    /// Whether both inputs are first divided by their lengths along the axis: the cosine of their angle; false by default.
    pub fn normalize(mut self, normalize: bool) -> Self {
        self.normalize = normalize;
        self
    }

    /// The output shape for the two `inputs`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build_all) the layer would refuse its arguments or `inputs`.
    pub fn output_shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.validate()?;
        let [left, right] = inputs else {
            return Err(Error::invalid(
                "inputs",
                "a Dot layer must be given 2 inputs",
                format!("{} inputs", inputs.len()),
            ));
        };
        let [first, second] = self.indices([left.rank(), right.rank()]).ok_or_else(|| {
            Error::invalid(
                "axes",
                "`axes` must be axes of the inputs behind the batch",
                format!("axes={:?}, input shapes {left}, {right}", self.axes.as_slice()),
            )
        })?;
        let differ = |a: Option<usize>, b: Option<usize>| a.zip(b).is_some_and(|(a, b)| a != b);
        if differ(left.dims()[first], right.dims()[second]) || differ(left.dims()[0], right.dims()[0]) {
            return Err(Error::invalid(
                "inputs",
                "the inputs of a Dot layer must have the same batch size and the same extent along `axes`",
                format!("axes={:?}, input shapes {left}, {right}", self.axes.as_slice()),
            ));
        }
        let rest = |shape: &PartialShape, axis: usize| {
            let mut dims = shape.dims().to_vec();
            dims.remove(axis);
            dims.remove(0);
            dims
        };
        let mut dims = [vec![left.dims()[0].or(right.dims()[0])], rest(left, first), rest(right, second)].concat();
        if dims.len() == 1 {
            dims.push(Some(1));
        }
        Ok(dims.into())
    }

    /// The axis of either input, of these ranks.
    fn indices(&self, ranks: [usize; 2]) -> Option<[usize; 2]> {
        let axes = match self.axes.as_slice() {
            [both] => [*both; 2],
            [left, right] => [*left, *right],
            _ => return None,
        };
        let index = |axis, rank| axis_index(axis, rank).filter(|&index| index > 0);
        Some([index(axes[0], ranks[0])?, index(axes[1], ranks[1])?])
    }
}

impl Describe for Dot {
    fn module(&self) -> &'static str {
        if self.epsilon == Self::EPSILON { super::KERAS } else { super::OPERATORS }
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        least_norm(self.epsilon)?;
        let sound = match &self.axes {
            Axes::One(_) => true,
            Axes::List(axes) => axes.len() == 2,
        };
        if sound {
            return Ok(());
        }
        Err(Error::invalid(
            "axes",
            "`axes` must be one axis, or one for each of two inputs",
            format!("axes={:?}", self.axes.as_slice()),
        ))
    }

    fn inputs(&self) -> RangeInclusive<usize> {
        2..=2
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(inputs)
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let shapes: Vec<PartialShape> = inputs.iter().map(|&input| tape.shape(input).into()).collect();
        let shape = self.output_shape(&shapes)?;
        let Some(axes) = self.indices([shapes[0].rank(), shapes[1].rank()]) else { return Ok(inputs[0]) };
        let mut sides = [inputs[0], inputs[1]];
        if self.normalize {
            for (side, axis) in sides.iter_mut().zip(axes) {
                let statistics = Statistics::over(tape.shape(*side), &[axis])?;
                *side = ops::normalize(
                    tape,
                    NormalizeFunction::Unit,
                    self.epsilon.powi(2),
                    &statistics,
                    *side,
                    [None, None],
                )?;
            }
        }
        let product = ops::batch_dot(tape, axes, sides[0], sides[1])?;
        match shape.known() {
            Some(shape) => tape.reshape(product, shape),
            None => Ok(product),
        }
    }
}

#[cfg(feature = "keras")]
impl Configured for Dot {
    const REQUIRED: &'static [&'static str] = &["axes"];

    fn template() -> Self {
        Self::new(1)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("axes", &mut self.axes)?;
        codec.field("normalize", &mut self.normalize)?;
        codec.unless("epsilon", &mut self.epsilon, Self::EPSILON)
    }
}
