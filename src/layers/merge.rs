//! Add, Subtract, Multiply, Average, Maximum, Minimum.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::Common;
use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use super::mask::{column, kept};
use crate::ops::{self, Kernel, Side, Tape, Value};
use crate::plan::{BinaryFunction, Elementwise};
use crate::{Error, PartialShape, Result, Settings, Unary};

/// What a [`Merge`] makes of its inputs, element by element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MergeKind {
    /// The sum.
    Add,
    /// The first less the second, of two.
    Subtract,
    /// The product.
    Multiply,
    /// The mean.
    Average,
    /// The largest.
    Maximum,
    /// The smallest.
    Minimum,
}

impl MergeKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [Self::Add, Self::Subtract, Self::Multiply, Self::Average, Self::Maximum, Self::Minimum];

    /// Keras's name of the layer.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "Add",
            Self::Subtract => "Subtract",
            Self::Multiply => "Multiply",
            Self::Average => "Average",
            Self::Maximum => "Maximum",
            Self::Minimum => "Minimum",
        }
    }

    const fn function(self) -> BinaryFunction {
        match self {
            Self::Add | Self::Average => BinaryFunction::Add,
            Self::Subtract => BinaryFunction::Subtract,
            Self::Multiply => BinaryFunction::Multiply,
            Self::Maximum => BinaryFunction::Maximum,
            Self::Minimum => BinaryFunction::Minimum,
        }
    }
}

/// Several tensors made into one, element by element: Keras's Add, Subtract, Multiply, Average, Maximum and Minimum.
///
/// Extents of 1 are repeated. As in Keras, inputs of fewer axes get axes of extent 1 behind the batch, not before it.
///
/// # Shapes
/// Inputs `[batch, …]`, at least one, for Subtract two; output of the shape that they broadcast to.
///
/// ```
/// use wgpu_conv::layers::Merge;
///
/// let shapes = [[2, 5, 7, 3].into(), [2, 1, 1, 3].into()];
/// assert_eq!(Merge::multiply().output_shape(&shapes)?.to_string(), "(2, 5, 7, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Merge {
    /// Name, trainability and types.
    pub common: Common,
    /// What is computed.
    pub kind: MergeKind,
}

common_setters!(Merge, common);

impl Merge {
    /// A layer of this kind.
    pub fn new(kind: MergeKind) -> Self {
        Self { common: Common::new(&Settings::current()), kind }
    }

    /// The sum of its inputs.
    pub fn add() -> Self {
        Self::new(MergeKind::Add)
    }

    /// The first of two inputs less the second.
    pub fn subtract() -> Self {
        Self::new(MergeKind::Subtract)
    }

    /// The product of its inputs.
    pub fn multiply() -> Self {
        Self::new(MergeKind::Multiply)
    }

    /// The mean of its inputs.
    pub fn average() -> Self {
        Self::new(MergeKind::Average)
    }

    /// The largest of its inputs.
    pub fn maximum() -> Self {
        Self::new(MergeKind::Maximum)
    }

    /// The smallest of its inputs.
    pub fn minimum() -> Self {
        Self::new(MergeKind::Minimum)
    }

    /// The output shape for `inputs`; an extent is unknown where one of the inputs' is.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build_all) the layer would refuse its arguments or `inputs`.
    pub fn output_shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.validate()?;
        let refused = |rule: &'static str| {
            let shapes: Vec<_> = inputs.iter().map(ToString::to_string).collect();
            Error::invalid("inputs", rule, format!("input shapes {}", shapes.join(", ")))
        };
        if inputs.is_empty() || inputs.iter().any(|input| input.rank() == 0) {
            return Err(refused("inputs to merge must have a batch axis"));
        }
        let mut batches = inputs.iter().filter_map(|input| input.dims()[0]);
        let first = batches.next();
        if batches.any(|batch| Some(batch) != first) {
            return Err(refused("inputs to merge must have the same batch size"));
        }
        let batch = if inputs.iter().all(|input| input.dims()[0].is_some()) { first } else { None };
        let rank = inputs.iter().map(PartialShape::rank).max().unwrap_or(1);
        let mut output = vec![Some(1); rank];
        output[0] = batch;
        for input in inputs {
            let missing = rank - input.rank();
            for (dim, &other) in output[1 + missing..].iter_mut().zip(&input.dims()[1..]) {
                *dim = match (*dim, other) {
                    (None, _) | (_, None) => None,
                    (Some(1), other) => other,
                    (dim, Some(1)) => dim,
                    (dim, other) if dim == other => dim,
                    _ => return Err(refused("the shapes of inputs to merge must broadcast together")),
                };
            }
        }
        Ok(output.into())
    }
}

impl Describe for Merge {
    /// What any of them keeps, where all carry a mask.
    fn mask(&self, tape: &mut Tape, inputs: &[Value], _output: Value) -> Result<Option<Value>> {
        let masks: Option<Vec<Value>> = inputs.iter().map(|&input| tape.mask(input)).collect();
        let mut merged: Option<Value> = None;
        for mask in masks.into_iter().flatten() {
            merged = Some(match merged {
                None => mask,
                Some(so_far) => {
                    let mask = ops::cast(tape, tape.dtype(so_far), None, mask)?;
                    ops::two(tape, BinaryFunction::Maximum, so_far, mask)?
                }
            });
        }
        Ok(merged)
    }

    fn class_name(&self) -> Option<&'static str> {
        Some(self.kind.name())
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn inputs(&self) -> RangeInclusive<usize> {
        if self.kind == MergeKind::Subtract { 2..=2 } else { 1..=usize::MAX }
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(inputs)
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let by_mask = matches!(self.kind, MergeKind::Multiply | MergeKind::Maximum | MergeKind::Minimum);
        if by_mask && inputs.iter().any(|&input| tape.mask(input).is_some()) {
            return self.merged_by_mask(tape, inputs);
        }
        let rank = inputs.iter().map(|&input| tape.shape(input).rank()).max().unwrap_or(0);
        let mut merged: Option<Value> = None;
        for (index, &input) in inputs.iter().enumerate() {
            let mut dims = tape.shape(input).dims().to_vec();
            let missing = rank - dims.len();
            dims.splice(1..1, std::iter::repeat_n(1, missing));
            let input = if missing == 0 { input } else { tape.reshape(input, dims)? };
            let last = index + 1 == inputs.len();
            let then = if self.kind == MergeKind::Average && last {
                Elementwise::of_unary(&Unary::Affine { scale: 1.0 / inputs.len() as f32, offset: 0.0 })
            } else {
                Elementwise::LINEAR
            };
            merged = Some(match merged {
                None => input,
                Some(so_far) => ops::binary(tape, self.kind.function(), Side::Value(so_far), Side::Value(input), then)?,
            });
        }
        merged.ok_or_else(|| Error::invalid("inputs", "a merging layer must be given at least 1 input", "0 inputs"))
    }
}

impl Merge {
    /// What is masked away in one input takes no part: the others' values stand there; 0 in a product where none is kept.
    fn merged_by_mask(&self, tape: &mut Tape, inputs: &[Value]) -> Result<Value> {
        let select = |tape: &mut Tape, there, elsewhere, mask| {
            let there = kept(tape, there, mask)?;
            let elsewhere = ops::two(tape, BinaryFunction::WhereNot, elsewhere, mask)?;
            ops::two(tape, BinaryFunction::Add, there, elsewhere)
        };
        let either = |tape: &mut Tape, one: Option<Value>, other: Option<Value>| {
            one.zip(other).map(|(one, other)| ops::two(tape, BinaryFunction::Maximum, one, other)).transpose()
        };
        let product = self.kind == MergeKind::Multiply;
        let mut merged: Option<(Value, Option<Value>)> = None;
        for &input in inputs {
            let mask = match tape.mask(input) {
                Some(mask) => {
                    let mask = column(tape, mask)?;
                    Some(ops::cast(tape, tape.dtype(input), None, mask)?)
                }
                None => None,
            };
            let one = match mask {
                Some(mask) if product => {
                    let there = kept(tape, input, mask)?;
                    let ones = Elementwise::of_unary(&Unary::Affine { scale: -1.0, offset: 1.0 });
                    let ones = ops::map(tape, ones, mask)?;
                    ops::two(tape, BinaryFunction::Add, there, ones)?
                }
                _ => input,
            };
            let Some((so_far, mask_so_far)) = merged else {
                merged = Some((one, mask));
                continue;
            };
            let one = match mask.filter(|_| !product) {
                Some(mask) => select(tape, one, so_far, mask)?,
                None => one,
            };
            let so_far = match mask_so_far.filter(|_| !product) {
                Some(mask) => select(tape, so_far, one, mask)?,
                None => so_far,
            };
            let both = either(tape, mask_so_far, mask)?;
            merged = Some((ops::two(tape, self.kind.function(), so_far, one)?, both));
        }
        match merged {
            Some((merged, Some(mask))) if product => kept(tape, merged, mask),
            Some((merged, _)) => Ok(merged),
            None => Err(Error::invalid("inputs", "a merging layer must be given at least 1 input", "0 inputs")),
        }
    }
}

#[cfg(feature = "keras")]
impl Configured for Merge {
    fn template() -> Self {
        Self::new(MergeKind::Add)
    }

    fn of_class(class: &str, _name: &str) -> Option<Self> {
        MergeKind::ALL.into_iter().find(|kind| kind.name() == class).map(Self::new)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)
    }
}
