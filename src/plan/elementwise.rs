//! Functions of every element by itself: relu, exp, a cast to another type.
//!
//! An [`Elementwise`] is such a function as a shader takes it: a name in `lib/activation.wgsl` or `lib/math.wgsl` and up
//! to three numbers. It runs alone ([`MapProblem`]), or as the last part of another launch's
//! [`Epilogue`](super::Epilogue). A [`CastProblem`] changes what the elements are stored as.
//!
//! # Recipe: add an element-wise function
//! 1. A variant of [`Activation`] or [`Unary`] and its row of `NAMES` beside it, which unit tests read back; its parameters,
//!    if it has any.
//! 2. A row of `FUNCTIONS` here by that name; a unit test asks for it.
//! 3. The function in `lib/activation.wgsl` or `lib/math.wgsl`, and its derivative in `lib/slope.wgsl`; `tests/shaders.rs` asks
//!    for both.
//! 4. Its reference in f64, for which the compiler asks (`reference/activation.rs`, `reference/operators.rs`), and how far off it
//!    may be, where that is other than by a few units of the last place (`reference/tolerance.rs`).
//! 5. A row in each format that has it (`formats/operators.rs`, `formats/onnx_nodes.rs`); nothing asks for that.
//! 6. A row of `tests/gradients.rs`, which compares the function with its reference and the derivative with differences of it; and,
//!    where Keras has the function, a file of Keras's in `tests/fixtures/findings`. Nothing asks for either.
//!
//! `Sinc` was added so: `unary.rs`, this file, two of shaders, `reference/operators.rs`, `formats/operators.rs`, and the tests.

use super::{ACTIVATION, MATH, Part};
use crate::{Activation, DType, Rounding, Unary};

/// A row of the table of element-wise functions: see [`FUNCTIONS`].
struct Function {
    /// In `lib/activation.wgsl` or `lib/math.wgsl`.
    name: &'static str,
    /// Its derivative, in `lib/slope.wgsl`.
    slope: &'static str,
    /// Whether it is less than a dozen instructions.
    short: bool,
}

macro_rules! short {
    ($name:literal) => {
        Function { name: $name, slope: concat!($name, "_slope"), short: true }
    };
}

macro_rules! long {
    ($name:literal) => {
        Function { short: false, ..short!($name) }
    };
}

/// How the names of functions that are no activations begin in shaders.
const OTHERS: &str = "math_";

/// Every function by the name that shaders call it: one that is not here does not compile, and one whose derivative is not
/// in `lib/slope.wgsl` fails `tests/shaders.rs`.
const FUNCTIONS: [Function; 55] = [
    short!("linear"),
    short!("relu"),
    long!("relu_general"),
    long!("relu_capped"),
    short!("relu6"),
    short!("leaky_relu"),
    long!("elu"),
    long!("celu"),
    long!("selu"),
    long!("exponential"),
    long!("sigmoid"),
    long!("log_sigmoid"),
    short!("hard_sigmoid"),
    short!("hard_sigmoid_2"),
    long!("silu"),
    short!("hard_silu"),
    long!("gelu"),
    long!("gelu_approximate"),
    long!("mish"),
    long!("softplus"),
    long!("softsign"),
    long!("squareplus"),
    long!("tanh_keras"),
    long!("tanh_shrink"),
    short!("hard_tanh"),
    short!("hard_shrink"),
    long!("soft_shrink"),
    short!("threshold"),
    long!("sparse_plus"),
    long!("sparse_sigmoid"),
    short!("math_abs"),
    short!("math_neg"),
    long!("math_sqrt"),
    long!("math_reciprocal"),
    long!("math_log"),
    long!("math_log1p"),
    long!("math_expm1"),
    long!("math_floor"),
    long!("math_ceil"),
    long!("math_round"),
    long!("math_sign"),
    long!("math_erf"),
    long!("math_sin"),
    long!("math_cos"),
    long!("math_tan"),
    long!("math_sinc"),
    short!("math_square"),
    short!("math_is_nan"),
    short!("math_clip"),
    short!("math_affine"),
    long!("math_pow"),
    short!("math_clipped_affine"),
    long!("math_scaled_elu"),
    long!("math_shrink"),
    long!("math_swish"),
];

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
        let named = |row: &&Function| row.name.strip_prefix(OTHERS) == Some(function.name());
        let name = FUNCTIONS.iter().find(named).unwrap_or(&FUNCTIONS[0]).name;
        let [first, second] = function.parameters().map(f32::to_bits);
        Self { function: name, parameters: [first, second, 0] }
    }

    fn row(&self) -> &'static Function {
        FUNCTIONS.iter().find(|row| row.name == self.function).unwrap_or(&FUNCTIONS[0])
    }

    /// The parts of a shader that define the function.
    pub(crate) fn parts(&self) -> &'static [Part] {
        if self.function.starts_with(OTHERS) { &[ACTIVATION, MATH] } else { &[ACTIVATION] }
    }

    /// The function's name in its part.
    pub(crate) const fn function(&self) -> &'static str {
        self.function
    }

    /// The name of its derivative in `lib/slope.wgsl`.
    pub(crate) fn slope(&self) -> &'static str {
        self.row().slope
    }

    /// Whether it is a dozen instructions or more, too long to be repeated at every store of a large tile.
    pub(crate) fn is_long(&self) -> bool {
        !self.row().short
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::NAMES as ACTIVATIONS;
    use crate::unary::NAMES as FUNCTIONS_OF_ONNX;

    /// Every function that there is has its row; without one it would have the slope of another.
    #[test]
    fn every_function_is_in_the_table() {
        let others = [
            Activation::HardSigmoid2,
            Activation::Threshold { threshold: 0.0, default_value: 0.0 },
            Activation::Gelu { approximate: true },
            Activation::Relu { negative_slope: 0.5, max_value: None, threshold: 0.0 },
            Activation::Relu { negative_slope: 0.5, max_value: Some(6.0), threshold: 0.0 },
        ];
        let activations = ACTIVATIONS.iter().map(|(_, activation)| *activation).chain(others);
        let unary = FUNCTIONS_OF_ONNX.iter().map(|(_, function)| Elementwise::of_unary(function));
        for function in activations.filter_map(|activation| Elementwise::new(&activation)).chain(unary) {
            assert_eq!(function.row().name, function.function);
        }
        for (name, function) in FUNCTIONS_OF_ONNX {
            assert_eq!(Elementwise::of_unary(&function).function, format!("{OTHERS}{name}"));
        }
    }
}
