//! Broadcast and MatMul: operations on two sides, of which one may be a constant.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::{Declared, Describe};
use super::{Common, Initializer};
use crate::ops::{self, Kernel, Numbers, Side, Tape, Value};
use crate::plan::Elementwise;
use crate::strides::broadcast_partial;
use crate::{Error, HostTensor, PartialShape, Result, Settings, Shape};

pub use crate::plan::BinaryFunction;

/// The side of an operation that is a weight, `constant`, and its shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConstantSide {
    /// The left side.
    Left(Shape),
    /// The right side.
    Right(Shape),
}

impl ConstantSide {
    /// Its shape.
    pub fn shape(&self) -> &Shape {
        match self {
            Self::Left(shape) | Self::Right(shape) => shape,
        }
    }

    /// The shapes of the left and the right side.
    fn sides(constant: Option<&Self>, inputs: &[PartialShape]) -> Result<[PartialShape; 2]> {
        let [first, ..] = inputs else { return Err(count(inputs.len())) };
        Ok(match constant {
            None => [first.clone(), inputs.get(1).ok_or_else(|| count(inputs.len()))?.clone()],
            Some(Self::Left(shape)) => [shape.into(), first.clone()],
            Some(Self::Right(shape)) => [first.clone(), shape.into()],
        })
    }

    fn inputs(constant: Option<&Self>) -> RangeInclusive<usize> {
        if constant.is_some() { 1..=1 } else { 2..=2 }
    }

    fn declared(constant: Option<&Self>, values: Option<&HostTensor>, common: &Common) -> Vec<Declared> {
        let weight = |constant: &Self| {
            Declared::free("constant", constant.shape().clone(), common.trainable, Initializer::Zeros)
        };
        constant.filter(|_| values.is_none()).map(weight).into_iter().collect()
    }

    fn operands<'a>(constant: Option<&Self>, inputs: &[Value], operands: &'a [Arc<Kernel>]) -> Result<[Side<'a>; 2]> {
        match (constant, inputs, operands) {
            (Some(Self::Left(_)), [right, ..], [left, ..]) => Ok([Side::Constant(left), Side::Value(*right)]),
            (Some(Self::Right(_)), [left, ..], [right, ..]) => Ok([Side::Value(*left), Side::Constant(right)]),
            (None, [left, right, ..], _) => Ok([Side::Value(*left), Side::Value(*right)]),
            _ => Err(count(inputs.len())),
        }
    }
}

fn count(inputs: usize) -> Error {
    Error::invalid(
        "inputs",
        "an operation must be given two sides, one of which may be a constant",
        format!("{inputs} inputs"),
    )
}

/// A layer of two sides, of which one may be a constant.
macro_rules! two_sides {
    ($layer:ident) => {
        common_setters!($layer, common);

        impl $layer {
            /// The left side as a weight of this shape, zeros at first.
            pub fn constant_left(mut self, shape: impl Into<Shape>) -> Self {
                self.constant = Some(ConstantSide::Left(shape.into()));
                self
            }

            /// The right side as a weight of this shape, zeros at first.
            pub fn constant_right(mut self, shape: impl Into<Shape>) -> Self {
                self.constant = Some(ConstantSide::Right(shape.into()));
                self
            }

            /// The left side as these values, which are part of the description and no weight.
            pub fn values_left(mut self, values: HostTensor) -> Self {
                self.constant = Some(ConstantSide::Left(values.shape.clone()));
                self.values = Some(values);
                self
            }

            /// The right side as these values, which are part of the description and no weight.
            pub fn values_right(mut self, values: HostTensor) -> Self {
                self.constant = Some(ConstantSide::Right(values.shape.clone()));
                self.values = Some(values);
                self
            }

            /// The output shape for `inputs`: two, or one where the other side is a constant.
            ///
            /// # Errors
            /// [`Error::Invalid`] where [building](super::LayerConfig::build_all) the layer would refuse its arguments or
            /// `inputs`.
            pub fn output_shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
                self.validate()?;
                let [left, right] = ConstantSide::sides(self.constant.as_ref(), inputs)?;
                Self::combined(&left, &right)
            }
        }

        impl Describe for $layer {
            fn module(&self) -> &'static str {
                super::OPERATORS
            }

            fn common(&self) -> &Common {
                &self.common
            }

            fn validate(&self) -> Result<()> {
                self.common.validate()?;
                let of_constant = self.constant.as_ref().map(ConstantSide::shape);
                match &self.values {
                    Some(values) if Some(&values.shape) != of_constant => Err(Error::invalid(
                        "values",
                        "`values` must be of the shape of the constant",
                        format!("values of shape {}, constant {:?}", values.shape, self.constant),
                    )),
                    _ => Ok(()),
                }
            }

            fn inputs(&self) -> RangeInclusive<usize> {
                ConstantSide::inputs(self.constant.as_ref())
            }

            fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
                self.output_shape(inputs)
            }

            fn weights(&self, _inputs: &[PartialShape]) -> Result<Vec<Declared>> {
                Ok(ConstantSide::declared(self.constant.as_ref(), self.values.as_ref(), &self.common))
            }

            fn operands(&self, weights: Vec<Arc<Kernel>>, numbers: Numbers) -> Result<Vec<Arc<Kernel>>> {
                let given =
                    |values: &HostTensor| vec![Kernel::of_values(values.shape.clone(), values.values.clone(), numbers)];
                Ok(self.values.as_ref().map_or(weights, given))
            }

            fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
                let [left, right] = ConstantSide::operands(self.constant.as_ref(), inputs, operands)?;
                self.combine(tape, left, right)
            }
        }
    };
}

/// A function of two tensors, element by element, broadcast as NumPy does: what ONNX's Add, Mul, Pow, … become.
///
/// # Shapes
/// Two inputs that broadcast to each other, or one and a constant, which is the weight `constant`; output of the shape
/// that they broadcast to.
///
/// ```
/// use wgpu_conv::layers::{BinaryFunction, Broadcast};
///
/// let scaled = Broadcast::new(BinaryFunction::Multiply).constant_right([3, 1, 1]);
/// assert_eq!(scaled.output_shape(&[[2, 3, 5, 7].into()])?.to_string(), "(2, 3, 5, 7)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Broadcast {
    /// Name, trainability and types.
    pub common: Common,
    /// The function.
    pub function: BinaryFunction,
    /// The side that is a constant; none by default.
    pub constant: Option<ConstantSide>,
    /// The values of the constant where it is no weight; none by default.
    pub values: Option<HostTensor>,
}

two_sides!(Broadcast);

impl Broadcast {
    /// A layer that applies `function` to two inputs.
    pub fn new(function: BinaryFunction) -> Self {
        Self { common: Common::new(&Settings::current()), function, constant: None, values: None }
    }

    fn combined(left: &PartialShape, right: &PartialShape) -> Result<PartialShape> {
        broadcast_partial(left.dims(), right.dims()).map(Into::into).ok_or_else(|| {
            Error::invalid(
                "inputs",
                "the shapes of the inputs must broadcast together",
                format!("shapes {left} and {right}"),
            )
        })
    }

    fn combine(&self, tape: &mut Tape, left: Side<'_>, right: Side<'_>) -> Result<Value> {
        ops::binary(tape, self.function, left, right, Elementwise::LINEAR)
    }
}

/// Matrix products over the last two axes, the axes before broadcast, as NumPy's `matmul` and ONNX's MatMul.
///
/// # Shapes
/// Two inputs `[…, m, k]` and `[…, k, n]`, or one and a constant, which is the weight `constant`; output `[…, m, n]`. A side
/// of one axis is a row on the left and a column on the right, and has no axis in the output.
///
/// ```
/// use wgpu_conv::layers::MatMul;
///
/// let scores = MatMul::new().output_shape(&[[2, 8, 5, 64].into(), [2, 8, 64, 5].into()])?;
/// assert_eq!(scores.to_string(), "(2, 8, 5, 5)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MatMul {
    /// Name, trainability and types.
    pub common: Common,
    /// The side that is a constant; none by default.
    pub constant: Option<ConstantSide>,
    /// The values of the constant where it is no weight; none by default.
    pub values: Option<HostTensor>,
}

two_sides!(MatMul);

impl Default for MatMul {
    fn default() -> Self {
        Self { common: Common::new(&Settings::current()), constant: None, values: None }
    }
}

impl MatMul {
    /// A layer that multiplies two inputs.
    pub fn new() -> Self {
        Self::default()
    }

    fn combined(left: &PartialShape, right: &PartialShape) -> Result<PartialShape> {
        let refused = || {
            Error::invalid(
                "inputs",
                "the last axis of the left side must have the extent of the last but one of the right, and the axes before \
                 must broadcast",
                format!("shapes {left} and {right}"),
            )
        };
        let ([.., left_terms], [.., last]) = (left.dims(), right.dims()) else { return Err(refused()) };
        let split = |dims: &'_ [Option<usize>]| dims[..dims.len().saturating_sub(2)].to_vec();
        let right_terms = right.dims().iter().rev().nth(1).unwrap_or(last);
        if left_terms.zip(*right_terms).is_some_and(|(left, right)| left != right) {
            return Err(refused());
        }
        let mut output = broadcast_partial(&split(left.dims()), &split(right.dims())).ok_or_else(refused)?;
        output.extend(left.dims().iter().rev().nth(1));
        output.extend((right.rank() > 1).then_some(*last));
        Ok(output.into())
    }

    #[expect(clippy::unused_self, reason = "as Broadcast")]
    fn combine(&self, tape: &mut Tape, left: Side<'_>, right: Side<'_>) -> Result<Value> {
        ops::matmul(tape, left, right)
    }
}

#[cfg(feature = "keras")]
impl Configured for Broadcast {
    const REQUIRED: &'static [&'static str] = &["function"];

    fn template() -> Self {
        Self::new(BinaryFunction::Add)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("function", &mut self.function)?;
        codec.field("constant", &mut self.constant)?;
        codec.optional("values", &mut self.values)
    }
}

#[cfg(feature = "keras")]
impl Configured for MatMul {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("constant", &mut self.constant)?;
        codec.optional("values", &mut self.values)
    }
}
