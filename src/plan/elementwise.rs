//! Functions of every element by itself: relu, exp, a cast to another type.
//!
//! An [`Elementwise`] is such a function as a shader takes it: a name in `lib/activation.wgsl` or `lib/math.wgsl` and up
//! to three numbers. It runs alone ([`MapProblem`]), or as the last part of another launch's
//! [`Epilogue`](super::Epilogue). A [`CastProblem`] changes what the elements are stored as.
//!
//! # Recipe: add an element-wise function
//! 1. A row of the table in `unary.rs`: its name, its parameters, and what Keras and ONNX call it, whose files are read by
//!    that.
//! 2. The function in `lib/math.wgsl` by the name `math_…`, and its derivative in `lib/slope.wgsl` by `math_…_slope`;
//!    `tests/shaders.rs` asks for both. Both stand in `lib/sine.wgsl` where they are about angles.
//! 3. Its reference in f64, for which the compiler asks (`reference/operators.rs`), and how far off it may be, where that is
//!    other than by a few units of the last place (`reference/tolerance.rs`).
//!
//! `tests/gradients.rs` compares every row with its reference, and its derivative with differences of it, and asks for a range
//! of inputs where the function has none of all numbers.
//!
//! `Erfc` was added so, and `Sinh` and its kin: `unary.rs`, `lib/math.wgsl`, `lib/slope.wgsl` and the two files of the reference; beyond the recipe, a row
//! in `tests/verify.rs` and one in `tests/common/strided.rs`, and what Keras makes of it in `tests/fixtures/findings`; nobody asks for these, nor for
//! the function in `onnx_fold.rs`, where constants of ONNX files are computed.
//!
//! An activation of Keras's is a variant of [`Activation`] with a row of `NAMES` instead, a row here (a unit test asks), its function
//! in `lib/activation.wgsl` and its derivative in `lib/slope.wgsl` (`tests/shaders.rs` asks), its reference in
//! `reference/activation.rs` and its slope in `reference/tolerance.rs` (tests fail without them), and its name in
//! `docs/layers.md` (`tests/package.rs` asks).

use super::{ACTIVATION, MATH, Part};
use crate::unary::{FUNCTIONS, ShaderFunction};
use crate::{Activation, DType, Rounding, Unary};

macro_rules! named {
    ($($name:literal)+) => {
        [ $( ShaderFunction { name: $name, slope: concat!($name, "_slope") } ),+ ]
    };
}

/// Keras's activations by the names that shaders call them; the other functions stand in the table of [`Unary`]. One whose
/// derivative is not in `lib/slope.wgsl` fails `tests/shaders.rs`.
const ACTIVATIONS: [ShaderFunction; 30] = named![
    "linear" "relu" "relu_general" "relu_capped" "relu6" "leaky_relu" "elu" "celu" "selu" "exponential" "sigmoid"
    "log_sigmoid" "hard_sigmoid" "hard_sigmoid_2" "silu" "hard_silu" "gelu" "gelu_approximate" "mish" "softplus"
    "softsign" "squareplus" "tanh_keras" "tanh_shrink" "hard_tanh" "hard_shrink" "soft_shrink" "threshold" "sparse_plus"
    "sparse_sigmoid"
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
        let [first, second] = function.parameters().map(f32::to_bits);
        Self { function: function.row().shader.name, parameters: [first, second, 0] }
    }

    fn shader(&self) -> &'static ShaderFunction {
        let others = FUNCTIONS.iter().map(|row| &row.shader);
        ACTIVATIONS.iter().chain(others).find(|row| row.name == self.function).unwrap_or(&ACTIVATIONS[0])
    }

    /// The parts of a shader that define the function.
    pub(crate) fn parts(&self) -> &'static [Part] {
        if ACTIVATIONS.iter().any(|row| row.name == self.function) { &[ACTIVATION] } else { &[ACTIVATION, MATH] }
    }

    /// The function's name in its part.
    pub(crate) const fn function(&self) -> &'static str {
        self.function
    }

    /// The name of its derivative in `lib/slope.wgsl`.
    pub(crate) fn slope(&self) -> &'static str {
        self.shader().slope
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
    use crate::activation::NAMES;

    /// Every activation that there is has its row; without one it would have the slope of another.
    #[test]
    fn every_activation_is_in_the_table() {
        let others = [
            Activation::HardSigmoid2,
            Activation::Threshold { threshold: 0.0, default_value: 0.0 },
            Activation::Gelu { approximate: true },
            Activation::Relu { negative_slope: 0.5, max_value: None, threshold: 0.0 },
            Activation::Relu { negative_slope: 0.5, max_value: Some(6.0), threshold: 0.0 },
        ];
        let activations = NAMES.iter().map(|(_, activation)| *activation).chain(others);
        for function in activations.filter_map(|activation| Elementwise::new(&activation)) {
            assert_eq!(function.shader().name, function.function);
        }
    }
}
