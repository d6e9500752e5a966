//! Reduce: ONNX's reductions as a layer.

use std::sync::Arc;

use super::Common;
use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::{Describe, distinct, index_of};
use crate::ops::{self, Kernel, Tape, Value};
use crate::plan::AxisFunction;
use crate::{Error, PartialShape, Result, Settings};

/// What a [`Reduce`] layer makes of the values along its axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReduceFunction {
    /// The mean.
    Mean,
    /// The largest value; NaN where one is.
    Max,
    /// The smallest value; NaN where one is.
    Min,
    /// `Σ x`.
    Sum,
    /// `Σ x²`.
    SumSquare,
    /// `Σ |x|`.
    L1,
    /// `√Σ x²`.
    L2,
    /// `ln Σ x`.
    LogSum,
    /// `ln Σ eˣ`.
    LogSumExp,
}

impl ReduceFunction {
    const ALL: [(&str, Self, AxisFunction); 9] = [
        ("mean", Self::Mean, AxisFunction::Mean),
        ("max", Self::Max, AxisFunction::Max),
        ("min", Self::Min, AxisFunction::Min),
        ("sum", Self::Sum, AxisFunction::Sum),
        ("sum_square", Self::SumSquare, AxisFunction::SumSquare),
        ("l1", Self::L1, AxisFunction::L1),
        ("l2", Self::L2, AxisFunction::L2),
        ("log_sum", Self::LogSum, AxisFunction::LogSum),
        ("log_sum_exp", Self::LogSumExp, AxisFunction::LogSumExp),
    ];

    /// The reduction of a name: ONNX's in snake case, without `reduce_`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other name.
    ///
    /// ```
    /// # use wgpu_conv::layers::ReduceFunction;
    /// assert_eq!(ReduceFunction::from_name("log_sum_exp")?, ReduceFunction::LogSumExp);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|(known, ..)| *known == name).map(|&(_, reduction, _)| reduction).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(known, ..)| *known).collect();
            Error::invalid(
                "function",
                format!("the function of a Reduce layer must be one of {}", names.join(", ")),
                format!("function={name}"),
            )
        })
    }

    /// The name that [`from_name`](Self::from_name) takes.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, known, _)| *known == self).map_or("mean", |(name, ..)| name)
    }

    fn function(self) -> AxisFunction {
        Self::ALL.iter().find(|(_, known, _)| *known == self).map_or(AxisFunction::Mean, |(.., function)| *function)
    }
}

/// One value for all those along some axes. Keras has no such layer; ONNX has `ReduceMean` and its kin.
///
/// # Shapes
/// Input of any rank; output with extent 1 at the axes, or without them if not `keepdims`.
///
/// ```
/// use wgpu_conv::layers::{Reduce, ReduceFunction};
///
/// let squeeze = Reduce::new(ReduceFunction::Mean).axes([2, 3]);
/// assert_eq!(squeeze.output_shape([None, Some(16), Some(7), Some(7)])?.to_string(), "(None, 16, 1, 1)");
/// assert_eq!(Reduce::new(ReduceFunction::Max).keepdims(false).output_shape([2, 3])?.to_string(), "()");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Reduce {
    /// Name, trainability and types.
    pub common: Common,
    /// What is made of the values.
    pub function: ReduceFunction,
    /// The axes; none are all of them, which is the default.
    pub axes: Vec<i32>,
    /// Whether the axes stay, with extent 1; true by default, as in ONNX.
    pub keepdims: bool,
}

common_setters!(Reduce, common);

impl Reduce {
    /// A layer that reduces all axes by `function`.
    pub fn new(function: ReduceFunction) -> Self {
        Self { common: Common::new(&Settings::current()), function, axes: Vec::new(), keepdims: true }
    }

    /// The axes; all by default.
    pub fn axes(mut self, axes: impl Into<Vec<i32>>) -> Self {
        self.axes = axes.into();
        self
    }

    /// Whether the axes stay, with extent 1; true by default.
    pub fn keepdims(mut self, keepdims: bool) -> Self {
        self.keepdims = keepdims;
        self
    }

    /// The output shape for `input`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        let reduced = self.indices(&input)?;
        let empty = |of_reduced| {
            (0..input.rank()).any(|axis| reduced.contains(&axis) == of_reduced && input.dims()[axis] == Some(0))
        };
        if self.function == ReduceFunction::Mean && empty(true) && !empty(false) {
            return Err(Error::invalid(
                "input",
                "a mean must be taken over at least one value",
                format!("axes={:?}, input shape={input}", self.axes),
            ));
        }
        let dims = input.dims().iter().enumerate().filter_map(|(axis, &dim)| match reduced.contains(&axis) {
            true => self.keepdims.then_some(Some(1)),
            false => Some(dim),
        });
        Ok(dims.collect::<Vec<_>>().into())
    }

    fn indices(&self, input: &PartialShape) -> Result<Vec<usize>> {
        if self.axes.is_empty() {
            return Ok((0..input.rank()).collect());
        }
        distinct(&self.axes, input)?;
        self.axes.iter().map(|&axis| index_of(axis, input)).collect()
    }
}

impl Describe for Reduce {
    fn module(&self) -> &'static str {
        super::OPERATORS
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let axes = self.indices(&tape.shape(inputs[0]).into())?;
        ops::reduce(tape, self.function.function(), &axes, self.keepdims, inputs[0])
    }
}

#[cfg(feature = "keras")]
impl Configured for Reduce {
    const REQUIRED: &'static [&'static str] = &["function"];

    fn template() -> Self {
        Self::new(ReduceFunction::Mean)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("function", &mut self.function)?;
        codec.field("axes", &mut self.axes)?;
        codec.field("keepdims", &mut self.keepdims)
    }
}
