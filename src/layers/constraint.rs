//! Constraints: projections of a weight after each training step.

use std::sync::Arc;

use super::Custom;
use crate::{Error, Result, Shape};

/// A projection of a weight, applied after every update.
///
/// A norm is `√Σw²` over [`Axes`]. Keras's default, axis 0, is the **height** of a convolution kernel, so each (width,
/// input, output) column is treated by itself: [`Axes::per_filter`] is usually what is meant (T6).
///
/// A description: nothing outside training applies it.
///
/// ```
/// use wgpu_conv::layers::{Axes, Constraint, Conv2D};
///
/// let conv = Conv2D::new(8, 3).kernel_constraint(Constraint::max_norm(2.0).axis(Axes::per_filter()));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Constraint {
    /// `max(w, 0)`.
    NonNeg,
    /// `w / (ε + norm)`.
    UnitNorm {
        /// 0 by default.
        axis: Axes,
    },
    /// `w · clip(norm, 0, max_value) / (ε + norm)`.
    MaxNorm {
        /// 2 by default.
        max_value: f64,
        /// 0 by default.
        axis: Axes,
    },
    /// `w · (rate·clip(norm, min_value, max_value) + (1 − rate)·norm) / (ε + norm)`.
    MinMaxNorm {
        /// 0 by default.
        min_value: f64,
        /// 1 by default.
        max_value: f64,
        /// 1 by default.
        rate: f64,
        /// 0 by default.
        axis: Axes,
    },
    /// A function: see [`custom`](Self::custom).
    Custom(Custom<ConstraintFn>),
}

/// A function that projects a weight's values, last axis fastest, in place, given its shape.
pub type ConstraintFn = dyn Fn(&mut [f32], &Shape) -> Result<()> + Send + Sync;

/// Axes of a weight: one, or a list. Negative ones count from the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Axes {
    /// One axis.
    One(i32),
    /// A list of axes.
    List(Vec<i32>),
}

impl Axes {
    /// Every axis of a kernel `[kh, kw, in, filters]` but the last: one norm for each filter.
    pub fn per_filter() -> Self {
        [0, 1, 2].into()
    }

    /// The window of a depthwise kernel `[kh, kw, channels, depth_multiplier]`: one norm for each output channel.
    pub fn per_depthwise_filter() -> Self {
        [0, 1].into()
    }

    /// The axes.
    pub fn as_slice(&self) -> &[i32] {
        match self {
            Self::One(axis) => std::slice::from_ref(axis),
            Self::List(axes) => axes,
        }
    }
}

impl From<i32> for Axes {
    fn from(axis: i32) -> Self {
        Self::One(axis)
    }
}

impl<const N: usize> From<[i32; N]> for Axes {
    fn from(axes: [i32; N]) -> Self {
        Self::List(axes.to_vec())
    }
}

/// Keras's classes: their name, the name in snake case, and the object with default parameters.
const CLASSES: [(&str, &str, Constraint); 4] = [
    ("NonNeg", "non_neg", Constraint::NonNeg),
    ("UnitNorm", "unit_norm", Constraint::UnitNorm { axis: Axes::One(0) }),
    ("MaxNorm", "max_norm", Constraint::MaxNorm { max_value: 2.0, axis: Axes::One(0) }),
    (
        "MinMaxNorm",
        "min_max_norm",
        Constraint::MinMaxNorm { min_value: 0.0, max_value: 1.0, rate: 1.0, axis: Axes::One(0) },
    ),
];

impl Constraint {
    /// The constraint of a Keras name, in either spelling (`MaxNorm`, `max_norm`), with default parameters.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown name.
    ///
    /// ```
    /// # use wgpu_conv::layers::Constraint;
    /// assert_eq!(Constraint::from_name("unit_norm")?, Constraint::unit_norm());
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_name(name: &str) -> Result<Self> {
        let class = CLASSES.iter().find(|(class, snake, _)| [*class, *snake].contains(&name));
        class.map(|(.., constraint)| constraint.clone()).ok_or_else(|| {
            let names: Vec<_> = CLASSES.iter().map(|(class, ..)| *class).collect();
            Error::invalid(
                "constraint",
                format!("a constraint must be one of {} (custom ones are not read)", names.join(", ")),
                format!("constraint={name}"),
            )
        })
    }

    /// Norms of 1, over axis 0.
    pub const fn unit_norm() -> Self {
        Self::UnitNorm { axis: Axes::One(0) }
    }

    /// Norms of at most `max_value`, over axis 0.
    pub const fn max_norm(max_value: f64) -> Self {
        Self::MaxNorm { max_value, axis: Axes::One(0) }
    }

    /// Norms moved by `rate` (1: all the way) into `min_value` to `max_value`, over axis 0.
    pub const fn min_max_norm(min_value: f64, max_value: f64, rate: f64) -> Self {
        Self::MinMaxNorm { min_value, max_value, rate, axis: Axes::One(0) }
    }

    /// A function that projects a weight's values, last axis fastest, in place, given its shape.
    pub fn custom(function: impl Fn(&mut [f32], &Shape) -> Result<()> + Send + Sync + 'static) -> Self {
        Self::Custom(Custom::new(Arc::new(function)))
    }

    /// This constraint with its norms over `axes`. One without a norm has no use for them.
    pub fn axis(mut self, axes: impl Into<Axes>) -> Self {
        match &mut self {
            Self::UnitNorm { axis } | Self::MaxNorm { axis, .. } | Self::MinMaxNorm { axis, .. } => *axis = axes.into(),
            Self::NonNeg | Self::Custom(_) => {}
        }
        self
    }

    /// # Errors
    /// [`Error::Invalid`] for limits or a rate that are not finite.
    pub(crate) fn validate(&self) -> Result<()> {
        let values = match *self {
            Self::NonNeg | Self::UnitNorm { .. } | Self::Custom(_) => [0.0; 3],
            Self::MaxNorm { max_value, .. } => [max_value, 0.0, 0.0],
            Self::MinMaxNorm { min_value, max_value, rate, .. } => [min_value, max_value, rate],
        };
        if values.iter().all(|value| value.is_finite()) {
            return Ok(());
        }
        Err(Error::invalid("constraint", "the parameters of a constraint must be finite", format!("{self:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (class, snake, default) in CLASSES {
            assert_eq!(Constraint::from_name(class).unwrap(), default);
            assert_eq!(Constraint::from_name(snake).unwrap(), default);
            default.validate().unwrap();
        }
        for name in ["", "maxnorm", "Max_Norm", "__lambda__"] {
            assert!(Constraint::from_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn axes_replace_the_default() {
        let Constraint::MaxNorm { axis, .. } = Constraint::max_norm(1.0).axis(Axes::per_filter()) else { panic!() };
        assert_eq!(axis.as_slice(), [0, 1, 2]);
        assert_eq!(Constraint::NonNeg.axis(1), Constraint::NonNeg);
        assert!(Constraint::max_norm(f64::NAN).validate().is_err());
    }
}
