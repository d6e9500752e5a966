//! Activation functions: Keras's thirty, by name, alias and parameter.

use crate::{Error, Result};

/// A Keras activation function.
///
/// Most map one value to one value and are computed where a convolution stores its result. [`Softmax`], [`LogSoftmax`],
/// [`Sparsemax`] and [`Glu`] work along an axis; the plain Keras names mean axis −1, the last axis of the array, which
/// with `channels_first` is the **width** (A8): use [`over_channels`](Self::over_channels) for the channels.
///
/// Inputs should be finite. NaN comes out as NaN except where Keras's own definition drops it (A5), tested bit by bit
/// because shaders may assume NaN away.
///
/// [`Softmax`]: Self::Softmax
/// [`LogSoftmax`]: Self::LogSoftmax
/// [`Sparsemax`]: Self::Sparsemax
/// [`Glu`]: Self::Glu
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// `x`. Keras's default, also for `None`.
    #[default]
    Linear,
    /// `max(x, 0)`, or what Keras makes of its three parameters; [`RELU`](Self::RELU) has the defaults.
    Relu {
        /// Slope below the threshold; 0 by default.
        negative_slope: f32,
        /// Upper limit; none by default.
        max_value: Option<f32>,
        /// Values at or below it take the slope; 0 by default.
        threshold: f32,
    },
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x > 0 ? x : negative_slope·x`.
    LeakyRelu {
        /// 0.2 by default.
        negative_slope: f32,
    },
    /// `x > 0 ? x : alpha·(eˣ − 1)`.
    Elu {
        /// 1 by default.
        alpha: f32,
    },
    /// `max(x, 0) + alpha·(e^{min(x, 0)/alpha} − 1)`.
    Celu {
        /// 1 by default; not 0.
        alpha: f32,
    },
    /// `λ·elu(x, α)` with λ = 1.0507009873554805, α = 1.6732632423543772.
    Selu,
    /// `eˣ`.
    Exponential,
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid,
    /// `ln sigmoid(x)`.
    LogSigmoid,
    /// `clamp(x + 3, 0, 6) / 6`: Keras 3's, not tf.keras 2's (A3).
    HardSigmoid,
    /// `clamp(0.2·x + 0.5, 0, 1)`: what `hard_sigmoid` meant in Keras 1 and 2. Files of theirs are read so; Keras 3 has no name
    /// for it, so it is not written to configs.
    HardSigmoid2,
    /// `x·sigmoid(x)`, also called swish.
    Silu,
    /// `x·hard_sigmoid(x)`, also called hard swish.
    HardSilu,
    /// `½·x·(1 + erf(x/√2))`, or its tanh approximation.
    Gelu {
        /// `½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))` instead; false by default (A4).
        approximate: bool,
    },
    /// `x·tanh(softplus(x))`.
    Mish,
    /// `ln(1 + eˣ)`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `(x + √(x² + b)) / 2`.
    Squareplus {
        /// 4 by default.
        b: f32,
    },
    /// `tanh x`.
    Tanh,
    /// `x − tanh x`.
    TanhShrink,
    /// `clamp(x, −1, 1)`.
    HardTanh,
    /// `|x| > threshold ? x : 0`.
    HardShrink {
        /// 0.5 by default.
        threshold: f32,
    },
    /// `x` moved towards 0 by `threshold`, and 0 within it.
    SoftShrink {
        /// 0.5 by default.
        threshold: f32,
    },
    /// `x > threshold ? x : default_value`. Both are required: the bare name is refused (A1).
    Threshold {
        /// The limit.
        threshold: f32,
        /// What stands at or below it.
        default_value: f32,
    },
    /// 0 for x ≤ −1, ¼(x + 1)² between, x for x ≥ 1.
    SparsePlus,
    /// 0 for x ≤ −1, ½(x + 1) between, 1 for x ≥ 1.
    SparseSigmoid,
    /// `e^{x − max} / Σ e^{x − max}` along an axis.
    Softmax {
        /// −1 by default; negative axes count from the end.
        axis: i32,
    },
    /// `x − max − ln Σ e^{x − max}` along an axis.
    LogSoftmax {
        /// −1 by default; negative axes count from the end.
        axis: i32,
    },
    /// The projection on the simplex along an axis (as Martins & Astudillo define it: A11).
    Sparsemax {
        /// −1 by default; negative axes count from the end.
        axis: i32,
    },
    /// The first half of an axis times the sigmoid of the second (A9); halves that axis, which must be even.
    Glu {
        /// −1 by default; negative axes count from the end.
        axis: i32,
    },
}

/// Every name, with what it means by itself: Keras's defaults.
pub(crate) const NAMES: [(&str, Activation); 29] = [
    ("celu", Activation::Celu { alpha: 1.0 }),
    ("elu", Activation::Elu { alpha: 1.0 }),
    ("exponential", Activation::Exponential),
    ("gelu", Activation::Gelu { approximate: false }),
    ("glu", Activation::Glu { axis: -1 }),
    ("hard_shrink", Activation::HardShrink { threshold: 0.5 }),
    ("hard_sigmoid", Activation::HardSigmoid),
    ("hard_silu", Activation::HardSilu),
    ("hard_tanh", Activation::HardTanh),
    ("leaky_relu", Activation::LeakyRelu { negative_slope: 0.2 }),
    ("linear", Activation::Linear),
    ("log_sigmoid", Activation::LogSigmoid),
    ("log_softmax", Activation::LogSoftmax { axis: -1 }),
    ("mish", Activation::Mish),
    ("relu", Activation::RELU),
    ("relu6", Activation::Relu6),
    ("selu", Activation::Selu),
    ("sigmoid", Activation::Sigmoid),
    ("silu", Activation::Silu),
    ("soft_shrink", Activation::SoftShrink { threshold: 0.5 }),
    ("softmax", Activation::Softmax { axis: -1 }),
    ("softplus", Activation::Softplus),
    ("softsign", Activation::Softsign),
    ("sparse_plus", Activation::SparsePlus),
    ("sparse_sigmoid", Activation::SparseSigmoid),
    ("sparsemax", Activation::Sparsemax { axis: -1 }),
    ("squareplus", Activation::Squareplus { b: 4.0 }),
    ("tanh", Activation::Tanh),
    ("tanh_shrink", Activation::TanhShrink),
];

impl Activation {
    /// `max(x, 0)`: [`Relu`](Self::Relu) with Keras's defaults.
    pub const RELU: Self = Self::Relu { negative_slope: 0.0, max_value: None, threshold: 0.0 };

    /// The activation of a Keras name, with default parameters; `swish` and `hard_swish` are accepted too.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown name (names are case-sensitive) and for `threshold`, whose two parameters have
    /// no defaults (A1).
    ///
    /// ```
    /// # use wgpu_conv::Activation;
    /// assert_eq!(Activation::from_name("swish")?, Activation::Silu);
    /// assert_eq!(Activation::from_name("relu")?, Activation::RELU);
    /// assert!(Activation::from_name("Relu").is_err());
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_name(name: &str) -> Result<Self> {
        let canonical = match name {
            "swish" => "silu",
            "hard_swish" => "hard_silu",
            "threshold" => {
                return Err(Error::invalid(
                    "activation",
                    "`threshold` has no default parameters: give `threshold` and `default_value`",
                    "activation=threshold",
                ));
            }
            other => other,
        };
        NAMES.iter().find(|(known, _)| *known == canonical).map(|&(_, activation)| activation).ok_or_else(|| {
            let names: Vec<_> = NAMES.iter().map(|(known, _)| *known).collect();
            Error::invalid(
                "activation",
                format!("the activation function must be one of {}", names.join(", ")),
                format!("activation={name}"),
            )
        })
    }

    /// Keras's canonical name, whatever the parameters; `hard_sigmoid_2` for [`HardSigmoid2`](Self::HardSigmoid2), which has none
    /// of Keras's and is not read by a name.
    pub fn name(&self) -> &'static str {
        let kind = std::mem::discriminant(self);
        match self {
            Self::Threshold { .. } => "threshold",
            Self::HardSigmoid2 => "hard_sigmoid_2",
            _ => {
                NAMES.iter().find(|(_, known)| std::mem::discriminant(known) == kind).map_or("linear", |(name, _)| name)
            }
        }
    }

    /// This activation along the channels of arrays of `rank` axes, where it works along an axis at all.
    pub fn over_channels(self, data_format: crate::DataFormat, rank: usize) -> Self {
        let axis = data_format.channel_axis(rank) as i32;
        match self {
            Self::Softmax { .. } => Self::Softmax { axis },
            Self::LogSoftmax { .. } => Self::LogSoftmax { axis },
            Self::Sparsemax { .. } => Self::Sparsemax { axis },
            Self::Glu { .. } => Self::Glu { axis },
            pointwise => pointwise,
        }
    }

    /// The axis it works along, or `None` when it maps single values.
    pub const fn axis(&self) -> Option<i32> {
        match self {
            Self::Softmax { axis } | Self::LogSoftmax { axis } | Self::Sparsemax { axis } | Self::Glu { axis } => {
                Some(*axis)
            }
            _ => None,
        }
    }

    /// The parameters of an element-wise activation as the shaders take them; unused ones are 0. An absent
    /// `max_value` is infinity, above which nothing stands.
    pub(crate) fn parameters(&self) -> [f32; 3] {
        match *self {
            Self::Relu { negative_slope, max_value, threshold } => {
                [negative_slope, max_value.unwrap_or(f32::INFINITY), threshold]
            }
            Self::LeakyRelu { negative_slope } => [negative_slope, 0.0, 0.0],
            Self::Elu { alpha } | Self::Celu { alpha } => [alpha, 0.0, 0.0],
            Self::Squareplus { b } => [b, 0.0, 0.0],
            Self::HardShrink { threshold } | Self::SoftShrink { threshold } => [threshold, 0.0, 0.0],
            Self::Threshold { threshold, default_value } => [threshold, default_value, 0.0],
            _ => [0.0; 3],
        }
    }

    /// Checks the parameters: finite, and `alpha` of celu not 0.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the activation and the parameter.
    pub(crate) fn validate(&self) -> Result<()> {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        let sound = match *self {
            Self::Relu { negative_slope, max_value, threshold } => {
                finite(&[negative_slope, max_value.unwrap_or(0.0), threshold])
            }
            Self::Celu { alpha } => alpha.is_finite() && alpha != 0.0,
            _ => finite(&self.parameters()),
        };
        if sound {
            return Ok(());
        }
        Err(Error::invalid(
            "activation",
            "the parameters of an activation must be finite, and celu's alpha not 0",
            format!("activation={self:?}"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for (name, activation) in NAMES {
            assert_eq!(Activation::from_name(name).unwrap().name(), name);
            activation.validate().unwrap();
        }
        assert_eq!(Activation::Threshold { threshold: 0.0, default_value: 1.0 }.name(), "threshold");
    }

    #[test]
    fn wrong_names_are_refused() {
        for name in ["", "Relu", "threshold", "prelu", "l1l2", "hard_sigmoid_2"] {
            assert!(Activation::from_name(name).is_err(), "{name}");
        }
    }
}
