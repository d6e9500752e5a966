//! Functions of every element by itself: relu, exp, a cast to another type.
//!
//! An [`Elementwise`] is such a function as a shader takes it: a name in `lib/activation.wgsl` or `lib/math.wgsl` and up
//! to three numbers. It runs alone ([`MapProblem`]), or as the last part of another launch's
//! [`Epilogue`](super::Epilogue). A [`CastProblem`] changes what the elements are stored as.

use super::{ACTIVATION, MATH, Part};
use crate::{Activation, DType, Rounding, Unary};

/// An element-wise function as a shader takes it: a function of `lib/activation.wgsl` or `lib/math.wgsl`, and its
/// parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Elementwise {
    pub(super) function: &'static str,
    /// The bits of three f32.
    pub(super) parameters: [u32; 3],
}

impl Elementwise {
    pub(crate) const LINEAR: Self = Self { function: "linear", parameters: [0; 3] };

    /// The element-wise form of `activation`; `None` for those that work along an axis.
    pub fn new(activation: &Activation) -> Option<Self> {
        let function = match activation {
            Activation::Relu { negative_slope: 0.0, max_value: None, threshold: 0.0 } => "relu",
            Activation::Relu { max_value: None, .. } => "relu_general",
            Activation::Relu { .. } => "relu_capped",
            Activation::Gelu { approximate: true } => "gelu_approximate",
            Activation::Tanh => "tanh_keras",
            activation if activation.axis().is_some() => return None,
            other => other.name(),
        };
        Some(Self { function, parameters: activation.parameters().map(f32::to_bits) })
    }

    /// The form of a function that is no activation.
    pub fn of_unary(function: &Unary) -> Self {
        let name = match function {
            Unary::Abs => "math_abs",
            Unary::Neg => "math_neg",
            Unary::Sqrt => "math_sqrt",
            Unary::Reciprocal => "math_reciprocal",
            Unary::Log => "math_log",
            Unary::Floor => "math_floor",
            Unary::Ceil => "math_ceil",
            Unary::Round => "math_round",
            Unary::Sign => "math_sign",
            Unary::Erf => "math_erf",
            Unary::Sin => "math_sin",
            Unary::Cos => "math_cos",
            Unary::Tan => "math_tan",
            Unary::Square => "math_square",
            Unary::Clip { .. } => "math_clip",
            Unary::Affine { .. } => "math_affine",
            Unary::Pow { .. } => "math_pow",
            Unary::ClippedAffine { .. } => "math_clipped_affine",
            Unary::ScaledElu { .. } => "math_scaled_elu",
            Unary::Shrink { .. } => "math_shrink",
            Unary::Swish { .. } => "math_swish",
        };
        let [first, second] = function.parameters().map(f32::to_bits);
        Self { function: name, parameters: [first, second, 0] }
    }

    /// The parts of a shader that define the function.
    pub(crate) fn parts(&self) -> &'static [Part] {
        if self.function.starts_with("math_") { &[ACTIVATION, MATH] } else { &[ACTIVATION] }
    }

    /// The function's name in its part.
    pub(crate) const fn function(&self) -> &'static str {
        self.function
    }

    /// Whether it is a dozen instructions or more, too long to be repeated at every store of a large tile.
    pub(crate) fn is_long(&self) -> bool {
        !matches!(
            self.function,
            "linear"
                | "relu"
                | "relu6"
                | "leaky_relu"
                | "hard_sigmoid"
                | "hard_sigmoid_2"
                | "hard_silu"
                | "hard_tanh"
                | "hard_shrink"
                | "threshold"
                | "math_abs"
                | "math_neg"
                | "math_square"
                | "math_clip"
                | "math_affine"
                | "math_clipped_affine"
        )
    }

    /// The bits of its three f32 parameters.
    pub(crate) const fn parameters(&self) -> [u32; 3] {
        self.parameters
    }
}

/// `output[i] = activation(input[i])`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MapProblem {
    /// Elements.
    pub elements: u32,
    /// Storage of input and output.
    pub dtype: DType,
    /// The activation.
    pub activation: Elementwise,
}

/// `output[i] = round(input[i])` in another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CastProblem {
    /// Elements.
    pub elements: u32,
    /// Storage of the input.
    pub from: DType,
    /// Storage of the output.
    pub to: DType,
    /// A narrower format that the values are rounded to.
    pub rounding: Option<Rounding>,
}
