//! Element-wise functions that are no Keras activation: what ONNX graphs and preprocessing compute between layers.

use crate::{Error, Result};

/// A function of one value.
///
/// NaN comes out as NaN, except where a comparison decides; `sqrt` and `log` of negative values follow the device.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Unary {
    /// `|x|`.
    Abs,
    /// `−x`.
    Neg,
    /// `√x`.
    Sqrt,
    /// `1 / x`.
    Reciprocal,
    /// `ln x`.
    Log,
    /// `ln(1 + x)`, precise near 0 as well.
    Log1p,
    /// `eˣ − 1`, precise near 0 as well.
    Expm1,
    /// The largest whole number not above `x`.
    Floor,
    /// The smallest whole number not below `x`.
    Ceil,
    /// The nearest whole number, halves to the even one.
    Round,
    /// −1, 0 or 1.
    Sign,
    /// The error function, `2/√π · ∫₀ˣ e^{−t²} dt`.
    Erf,
    /// `sin x`, x in radians.
    Sin,
    /// `cos x`, x in radians.
    Cos,
    /// `tan x`, x in radians.
    Tan,
    /// `sin(πx) / (πx)`, and 1 at 0.
    Sinc,
    /// `x²`.
    Square,
    /// 1 for NaN, else 0.
    IsNan,
    /// `min(max(x, min), max)`.
    Clip {
        /// The least value.
        min: f32,
        /// The largest value.
        max: f32,
    },
    /// `scale·x + offset`.
    Affine {
        /// The factor.
        scale: f32,
        /// What is added.
        offset: f32,
    },
    /// `x^exponent`; NaN for negative `x` unless the exponent is whole.
    Pow {
        /// The exponent.
        exponent: f32,
    },
    /// `min(max(scale·x + offset, 0), 1)`: ONNX's HardSigmoid.
    ClippedAffine {
        /// The factor.
        scale: f32,
        /// What is added.
        offset: f32,
    },
    /// `scale·x` for `x > 0`, else `scale·alpha·(eˣ − 1)`: ONNX's Selu with its parameters.
    ScaledElu {
        /// The value towards −∞, before scaling, is `−alpha`.
        alpha: f32,
        /// The factor.
        scale: f32,
    },
    /// `x + bias` below `−threshold`, `x − bias` above `threshold`, 0 between: ONNX's Shrink.
    Shrink {
        /// Half the width of the gap.
        threshold: f32,
        /// What values outside it move towards 0.
        bias: f32,
    },
    /// `x·sigmoid(beta·x)`.
    Swish {
        /// The steepness of the gate.
        beta: f32,
    },
}

/// Every name, with default parameters.
pub(crate) const NAMES: [(&str, Unary); 25] = [
    ("abs", Unary::Abs),
    ("affine", Unary::Affine { scale: 1.0, offset: 0.0 }),
    ("ceil", Unary::Ceil),
    ("clip", Unary::Clip { min: f32::NEG_INFINITY, max: f32::INFINITY }),
    ("clipped_affine", Unary::ClippedAffine { scale: 0.2, offset: 0.5 }),
    ("cos", Unary::Cos),
    ("erf", Unary::Erf),
    ("expm1", Unary::Expm1),
    ("floor", Unary::Floor),
    ("is_nan", Unary::IsNan),
    ("log", Unary::Log),
    ("log1p", Unary::Log1p),
    ("neg", Unary::Neg),
    ("pow", Unary::Pow { exponent: 1.0 }),
    ("reciprocal", Unary::Reciprocal),
    ("round", Unary::Round),
    ("scaled_elu", Unary::ScaledElu { alpha: 1.673_263_2, scale: 1.050_701 }),
    ("shrink", Unary::Shrink { threshold: 0.5, bias: 0.0 }),
    ("sign", Unary::Sign),
    ("sin", Unary::Sin),
    ("sinc", Unary::Sinc),
    ("sqrt", Unary::Sqrt),
    ("square", Unary::Square),
    ("swish", Unary::Swish { beta: 1.0 }),
    ("tan", Unary::Tan),
];

impl Unary {
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
        NAMES.iter().find(|(known, _)| *known == name).map(|&(_, function)| function).ok_or_else(|| {
            let names: Vec<_> = NAMES.iter().map(|(known, _)| *known).collect();
            Error::invalid(
                "function",
                format!("the function must be one of {}", names.join(", ")),
                format!("function={name}"),
            )
        })
    }

    /// Its name, whatever the parameters.
    pub fn name(&self) -> &'static str {
        let kind = std::mem::discriminant(self);
        let named = NAMES.iter().find(|(_, known)| std::mem::discriminant(known) == kind);
        named.map_or("every function has a name", |(name, _)| name)
    }

    /// The names of its parameters, in the order of [`parameters`](Self::parameters).
    pub const fn parameter_names(&self) -> &'static [&'static str] {
        match self {
            Self::Clip { .. } => &["min", "max"],
            Self::Affine { .. } | Self::ClippedAffine { .. } => &["scale", "offset"],
            Self::Pow { .. } => &["exponent"],
            Self::ScaledElu { .. } => &["alpha", "scale"],
            Self::Shrink { .. } => &["threshold", "bias"],
            Self::Swish { .. } => &["beta"],
            _ => &[],
        }
    }

    /// Its parameters; unused ones are 0.
    pub const fn parameters(&self) -> [f32; 2] {
        match *self {
            Self::Clip { min, max } => [min, max],
            Self::Affine { scale, offset } | Self::ClippedAffine { scale, offset } => [scale, offset],
            Self::Pow { exponent } => [exponent, 0.0],
            Self::ScaledElu { alpha, scale } => [alpha, scale],
            Self::Shrink { threshold, bias } => [threshold, bias],
            Self::Swish { beta } => [beta, 0.0],
            _ => [0.0; 2],
        }
    }

    /// The same function with other parameters, in the order of [`parameters`](Self::parameters).
    pub const fn with_parameters(self, [first, second]: [f32; 2]) -> Self {
        match self {
            Self::Clip { .. } => Self::Clip { min: first, max: second },
            Self::Affine { .. } => Self::Affine { scale: first, offset: second },
            Self::ClippedAffine { .. } => Self::ClippedAffine { scale: first, offset: second },
            Self::Pow { .. } => Self::Pow { exponent: first },
            Self::ScaledElu { .. } => Self::ScaledElu { alpha: first, scale: second },
            Self::Shrink { .. } => Self::Shrink { threshold: first, bias: second },
            Self::Swish { .. } => Self::Swish { beta: first },
            plain => plain,
        }
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
        for (name, function) in NAMES {
            assert_eq!(Unary::from_name(name).unwrap().name(), name);
            assert_eq!(function.with_parameters(function.parameters()), function);
            function.validate().unwrap();
        }
    }
}
