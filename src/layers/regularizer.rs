//! Regularizers: penalties that are added to a training loss.

use std::sync::Arc;

use super::Custom;
use crate::{Error, Result, Shape};

/// A penalty on a weight or on a layer's output.
///
/// A description: nothing outside training evaluates it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Regularizer {
    /// `l1·Σ|w|`.
    L1 {
        /// 0.01 by Keras's default.
        l1: f64,
    },
    /// `l2·Σw²`, without ½.
    L2 {
        /// 0.01 by Keras's default.
        l2: f64,
    },
    /// The sum of both. Keras's default coefficients are 0.
    L1L2 {
        /// Of `Σ|w|`.
        l1: f64,
        /// Of `Σw²`.
        l2: f64,
    },
    /// Pushes the rows or columns of a matrix apart. Rank 2 only, so for no convolution kernel.
    OrthogonalRegularizer {
        /// 0.01 by Keras's default.
        factor: f64,
        /// [`Rows`](OrthogonalMode::Rows) by default.
        mode: OrthogonalMode,
    },
    /// A function: see [`custom`](Self::custom).
    Custom(Custom<RegularizerFn>),
}

/// A function from a weight's values, last axis fastest, and its shape to a penalty.
pub type RegularizerFn = dyn Fn(&[f32], &Shape) -> Result<f64> + Send + Sync;

/// The vectors that [`Regularizer::OrthogonalRegularizer`] makes orthogonal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OrthogonalMode {
    /// Rows.
    Rows,
    /// Columns.
    Columns,
}

/// Keras's classes: their name, the other spelling, and the object with default parameters.
const CLASSES: [(&str, &str, Regularizer); 4] = [
    ("L1", "l1", Regularizer::L1 { l1: 0.01 }),
    ("L2", "l2", Regularizer::L2 { l2: 0.01 }),
    ("L1L2", "l1l2", Regularizer::L1L2 { l1: 0.0, l2: 0.0 }),
    (
        "OrthogonalRegularizer",
        "orthogonal_regularizer",
        Regularizer::OrthogonalRegularizer { factor: 0.01, mode: OrthogonalMode::Rows },
    ),
];

impl Regularizer {
    /// The regularizer of a Keras name, in either spelling (`L2`, `l2`), with default parameters.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown name, and for `l1l2` and `l1_l2`: the first would do nothing, the second
    /// Keras itself does not know (T5).
    ///
    /// ```
    /// # use wgpu_conv::layers::Regularizer;
    /// assert_eq!(Regularizer::from_name("l2")?, Regularizer::L2 { l2: 0.01 });
    /// assert!(Regularizer::from_name("l1l2").is_err());
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_name(name: &str) -> Result<Self> {
        if ["l1l2", "L1L2", "l1_l2"].contains(&name) {
            return Err(Error::invalid(
                "regularizer",
                "L1L2 has no default coefficients but 0: give `l1` and `l2`",
                format!("regularizer={name}"),
            ));
        }
        Self::from_class(name)
    }

    /// The class with default parameters, for those of a config to replace.
    pub(crate) fn from_class(name: &str) -> Result<Self> {
        let class = CLASSES.iter().find(|(class, other, _)| [*class, *other].contains(&name));
        class.map(|(.., regularizer)| regularizer.clone()).ok_or_else(|| {
            let names: Vec<_> = CLASSES.iter().map(|(class, ..)| *class).collect();
            Error::invalid(
                "regularizer",
                format!("a regularizer must be one of {} (custom ones are not read)", names.join(", ")),
                format!("regularizer={name}"),
            )
        })
    }

    /// A function from a weight's values, last axis fastest, and its shape to a penalty.
    pub fn custom(function: impl Fn(&[f32], &Shape) -> Result<f64> + Send + Sync + 'static) -> Self {
        Self::Custom(Custom::new(Arc::new(function)))
    }

    /// # Errors
    /// [`Error::Invalid`] for coefficients that are negative or not finite.
    pub(crate) fn validate(&self) -> Result<()> {
        let coefficients = match *self {
            Self::L1 { l1 } => [l1, 0.0],
            Self::L2 { l2 } => [0.0, l2],
            Self::L1L2 { l1, l2 } => [l1, l2],
            Self::OrthogonalRegularizer { factor, .. } => [factor, 0.0],
            Self::Custom(_) => [0.0; 2],
        };
        if coefficients.iter().all(|value| value.is_finite() && *value >= 0.0) {
            return Ok(());
        }
        Err(Error::invalid(
            "regularizer",
            "the coefficients of a regularizer must be finite and not negative",
            format!("{self:?}"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [
            ("L1", Regularizer::L1 { l1: 0.01 }),
            ("l1", Regularizer::L1 { l1: 0.01 }),
            ("L2", Regularizer::L2 { l2: 0.01 }),
            ("OrthogonalRegularizer", Regularizer::OrthogonalRegularizer { factor: 0.01, mode: OrthogonalMode::Rows }),
        ] {
            assert_eq!(Regularizer::from_name(name).unwrap(), expected);
        }
        for name in ["l1l2", "L1L2", "l1_l2"] {
            let error = Regularizer::from_name(name).unwrap_err().to_string();
            assert!(error.contains("give `l1` and `l2`"), "{error}");
        }
        for name in ["", "l3", "orthogonal", "__lambda__"] {
            assert!(Regularizer::from_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn coefficients_out_of_range_are_refused() {
        Regularizer::L1L2 { l1: 0.0, l2: 2.0 }.validate().unwrap();
        for value in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(Regularizer::L1 { l1: value }.validate().is_err());
            assert!(Regularizer::L1L2 { l1: 0.0, l2: value }.validate().is_err());
        }
    }
}
