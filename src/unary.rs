//! Element-wise functions that are no Keras activation: those of ONNX, of `keras.ops` and of preprocessing.
//!
//! All that the library knows of such a function but its WGSL and its reference stands in its row of the table below. A row
//! such as
//!
//! ```text
//! /// `|x|`.
//! Abs: "abs", keras ["abs", "absolute", "fabs"], onnx [];
//! ```
//!
//! is a variant of [`Unary`] with its documentation, its name, and the names under which Keras's
//! `ops` and ONNX have it, if they do. `plan/elementwise.rs` has the recipe for a new one.

use crate::{Error, Result};

/// An element-wise function as shaders have it.
pub(crate) struct ShaderFunction {
    /// In `lib/activation.wgsl`, `lib/math.wgsl` or `lib/sine.wgsl`.
    pub(crate) name: &'static str,
    /// Its derivative, in `lib/slope.wgsl`, or beside it in `lib/sine.wgsl`.
    pub(crate) slope: &'static str,
}

/// A row of the table of functions.
pub(crate) struct Row {
    /// The function with default parameters.
    pub(crate) function: Unary,
    name: &'static str,
    pub(crate) shader: ShaderFunction,
    /// The functions of `keras.ops` that it is, by their bare names.
    #[cfg_attr(not(feature = "keras"), allow(dead_code, reason = "files of Keras's ask"))]
    keras: &'static [&'static str],
    /// The operators of ONNX that it is, for elements of every type; `Abs` and `Neg`, after which whole numbers must wrap around,
    /// stand in `formats/onnx_nodes.rs`.
    #[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "files of ONNX's ask"))]
    onnx: &'static [&'static str],
}

macro_rules! functions {
    ($(#[$type_about:meta])* pub enum $Type:ident { $(
        $(#[$about:meta])*
        $Variant:ident $({ $( $(#[$of:meta])* $parameter:ident = $default:expr, )+ })?
            : $name:literal, keras $keras:tt, onnx $onnx:tt;
    )+ }) => {
        $(#[$type_about])*
        pub enum $Type { $( $(#[$about])* $Variant $({ $( $(#[$of])* $parameter: f32, )+ })?, )+ }

        /// Every function.
        pub(crate) const FUNCTIONS: &[Row] = &[ $( Row {
            function: $Type::$Variant $({ $( $parameter: $default ),+ })?,
            name: $name,
            shader: ShaderFunction {
                name: concat!("math_", $name),
                slope: concat!("math_", $name, "_slope"),
            },
            keras: &$keras,
            onnx: &$onnx,
        } ),+ ];

        impl $Type {
            /// The names of its parameters, in the order of [`parameters`](Self::parameters).
            pub const fn parameter_names(&self) -> &'static [&'static str] {
                match self { $( Self::$Variant { .. } => &[ $( $( stringify!($parameter) ),+ )? ], )+ }
            }

            /// Its parameters; unused ones are 0.
            pub const fn parameters(&self) -> [f32; 2] {
                match *self { $( Self::$Variant $({ $( $parameter ),+ })? => two(&[ $( $( $parameter ),+ )? ]), )+ }
            }

            /// The same function with other parameters, in the order of [`parameters`](Self::parameters).
            pub fn with_parameters(self, parameters: [f32; 2]) -> Self {
                let mut left = parameters.into_iter();
                let mut next = || left.next().unwrap_or_default();
                match self { $( Self::$Variant { .. } => Self::$Variant { $( $( $parameter: next() ),+ )? }, )+ }
            }
        }
    };
}

/// One or two numbers or none, and zeros behind them.
const fn two(numbers: &[f32]) -> [f32; 2] {
    match *numbers {
        [] => [0.0; 2],
        [first] => [first, 0.0],
        [first, second, ..] => [first, second],
    }
}

functions! {
    /// A function of one value.
    ///
    /// NaN comes out as NaN, except where a comparison decides; `sqrt` and `log` of negative values follow the device.
    #[derive(Clone, Copy, Debug, PartialEq)]
    #[non_exhaustive]
    pub enum Unary {
        /// `|x|`.
        Abs: "abs", keras ["abs", "absolute", "fabs"], onnx [];
        /// `−x`.
        Neg: "neg", keras ["negative"], onnx [];
        /// `√x`.
        Sqrt: "sqrt", keras ["sqrt"], onnx ["Sqrt"];
        /// `1 / x`.
        Reciprocal: "reciprocal", keras ["reciprocal"], onnx ["Reciprocal"];
        /// `ln x`.
        Log: "log", keras ["log"], onnx ["Log"];
        /// `ln(1 + x)`, precise near 0 as well.
        Log1p: "log1p", keras ["log1p"], onnx [];
        /// `eˣ − 1`, precise near 0 as well.
        Expm1: "expm1", keras ["expm1"], onnx [];
        /// The largest whole number not above `x`.
        Floor: "floor", keras ["floor"], onnx ["Floor"];
        /// The smallest whole number not below `x`.
        Ceil: "ceil", keras ["ceil"], onnx ["Ceil"];
        /// The nearest whole number, halves to the even one.
        Round: "round", keras [], onnx ["Round"];
        /// −1, 0 or 1.
        Sign: "sign", keras ["sign"], onnx ["Sign"];
        /// The error function, `2/√π · ∫₀ˣ e^{−t²} dt`.
        Erf: "erf", keras ["erf"], onnx ["Erf"];
        /// `1 − erf x`, precise where that is near 0 as well.
        Erfc: "erfc", keras ["erfc"], onnx [];
        /// `sin x`, x in radians.
        Sin: "sin", keras ["sin"], onnx ["Sin"];
        /// `cos x`, x in radians.
        Cos: "cos", keras ["cos"], onnx ["Cos"];
        /// `tan x`, x in radians.
        Tan: "tan", keras ["tan"], onnx ["Tan"];
        /// `sin(πx) / (πx)`, and 1 at 0.
        Sinc: "sinc", keras ["sinc"], onnx [];
        /// `(eˣ − e⁻ˣ) / 2`.
        Sinh: "sinh", keras ["sinh"], onnx ["Sinh"];
        /// `(eˣ + e⁻ˣ) / 2`.
        Cosh: "cosh", keras ["cosh"], onnx ["Cosh"];
        /// The number of which `x` is the hyperbolic sine.
        Asinh: "asinh", keras ["arcsinh"], onnx ["Asinh"];
        /// The number not below 0 of which `x` is the hyperbolic cosine; NaN below 1.
        Acosh: "acosh", keras ["arccosh"], onnx ["Acosh"];
        /// The number of which `x` is the hyperbolic tangent; NaN beyond ±1.
        Atanh: "atanh", keras ["arctanh"], onnx ["Atanh"];
        /// `x²`.
        Square: "square", keras ["square"], onnx [];
        /// 1 for NaN, else 0.
        IsNan: "is_nan", keras ["isnan"], onnx ["IsNaN"];
        /// `min(max(x, min), max)`.
        Clip {
            /// The least value.
            min = f32::NEG_INFINITY,
            /// The largest value.
            max = f32::INFINITY,
        }: "clip", keras [], onnx [];
        /// `scale·x + offset`.
        Affine {
            /// The factor.
            scale = 1.0,
            /// What is added.
            offset = 0.0,
        }: "affine", keras [], onnx [];
        /// `x^exponent`; NaN for negative `x` unless the exponent is whole.
        Pow {
            /// The exponent.
            exponent = 1.0,
        }: "pow", keras [], onnx [];
        /// `min(max(scale·x + offset, 0), 1)`: ONNX's HardSigmoid.
        ClippedAffine {
            /// The factor.
            scale = 0.2,
            /// What is added.
            offset = 0.5,
        }: "clipped_affine", keras [], onnx [];
        /// `scale·x` for `x > 0`, else `scale·alpha·(eˣ − 1)`: ONNX's Selu with its parameters.
        ScaledElu {
            /// The value towards −∞, before scaling, is `−alpha`.
            alpha = 1.673_263_2,
            /// The factor.
            scale = 1.050_701,
        }: "scaled_elu", keras [], onnx [];
        /// `x + bias` below `−threshold`, `x − bias` above `threshold`, 0 between: ONNX's Shrink.
        Shrink {
            /// Half the width of the gap.
            threshold = 0.5,
            /// What values outside it move towards 0.
            bias = 0.0,
        }: "shrink", keras [], onnx [];
        /// `x·sigmoid(beta·x)`.
        Swish {
            /// The steepness of the gate.
            beta = 1.0,
        }: "swish", keras [], onnx [];
    }
}

impl Unary {
    /// The names that [`from_name`](Self::from_name) takes: one of each function.
    ///
    /// ```
    /// # use wgpu_conv::Unary;
    /// assert!(Unary::names().any(|name| name == "sqrt"));
    /// ```
    pub fn names() -> impl Iterator<Item = &'static str> {
        FUNCTIONS.iter().map(|row| row.name)
    }

    /// The function of a name, with default parameters.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown name.
    ///
    /// ```
    /// # use wgpu_conv::Unary;
    /// assert_eq!(Unary::from_name("pow")?, Unary::Pow { exponent: 1.0 });
    /// assert!(Unary::from_name("Pow").is_err());
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_name(name: &str) -> Result<Self> {
        FUNCTIONS.iter().find(|row| row.name == name).map(|row| row.function).ok_or_else(|| {
            let names: Vec<_> = Self::names().collect();
            Error::invalid(
                "function",
                format!("the function must be one of {}", names.join(", ")),
                format!("function={name}"),
            )
        })
    }

    /// Its name, whatever the parameters.
    pub fn name(&self) -> &'static str {
        self.row().name
    }

    /// Its row: every variant has one.
    pub(crate) fn row(&self) -> &'static Row {
        let kind = std::mem::discriminant(self);
        FUNCTIONS.iter().find(|row| std::mem::discriminant(&row.function) == kind).unwrap_or(&FUNCTIONS[0])
    }

    /// The function that is `keras.ops`'s of this bare name.
    #[cfg(feature = "keras")]
    pub(crate) fn of_keras(name: &str) -> Option<Self> {
        FUNCTIONS.iter().find(|row| row.keras.contains(&name)).map(|row| row.function)
    }

    /// The function that is ONNX's operator of this name.
    #[cfg(feature = "onnx")]
    pub(crate) fn of_onnx(operator: &str) -> Option<Self> {
        FUNCTIONS.iter().find(|row| row.onnx.contains(&operator)).map(|row| row.function)
    }

    /// Checks the parameters: numbers, finite but for the limits of `clip`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the function.
    pub(crate) fn validate(&self) -> Result<()> {
        let sound = match *self {
            Self::Clip { min, max } => !min.is_nan() && !max.is_nan(),
            _ => self.parameters().iter().all(|value| value.is_finite()),
        };
        if sound {
            return Ok(());
        }
        Err(Error::invalid(
            "function",
            "the parameters of a function must be finite, and clip's limits numbers",
            format!("function={self:?}"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for &Row { name, function, .. } in FUNCTIONS {
            assert_eq!(Unary::from_name(name).unwrap().name(), name);
            assert_eq!(function.with_parameters(function.parameters()), function);
            function.validate().unwrap();
        }
    }
}
