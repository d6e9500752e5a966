//! Functions of two tensors, element by element, such as a sum or a product, with NumPy's broadcasting.
//!
//! Broadcasting is done by steps: an axis that one side repeats has a step of 0 there, so that nothing is copied.

use super::{Elementwise, Parts};
use crate::geometry::product;
use crate::strides::{MOST_AXES, PairAxis, broadcast, pair_axes, paired};
use crate::{DType, Error, Result};

/// A function of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryFunction {
    /// `left + right`.
    Add,
    /// `left − right`.
    Subtract,
    /// `left · right`.
    Multiply,
    /// `left / right`.
    Divide,
    /// The larger.
    Maximum,
    /// The smaller.
    Minimum,
    /// `left^right`; NaN for a negative `left` unless `right` is whole.
    Power,
    /// `left` where positive, else `right · left`.
    Prelu,
    /// 1 where `left = right`, else 0, as all comparisons here.
    Equal,
    /// `left ≠ right`.
    NotEqual,
    /// `left < right`.
    Less,
    /// `left ≤ right`.
    LessEqual,
    /// `left > right`.
    Greater,
    /// `left ≥ right`.
    GreaterEqual,
    /// Neither is 0.
    LogicalAnd,
    /// Not both are 0.
    LogicalOr,
    /// One of them is 0.
    LogicalXor,
    /// `left − right · ⌊left / right⌋`: what is left of a division, with the sign of `right`.
    Modulo,
    /// `left − right · trunc(left / right)`: what is left of a division, with the sign of `left`.
    Remainder,
    /// The angle of the point (`right`, `left`), −π to π.
    Arctangent,
    /// `left` where `right` is not 0, else 0.
    Where,
    /// `left` where `right` is 0, else 0.
    WhereNot,
}

impl BinaryFunction {
    /// Every function, with its name.
    const ALL: [(&str, Self); 22] = [
        ("add", Self::Add),
        ("subtract", Self::Subtract),
        ("multiply", Self::Multiply),
        ("divide", Self::Divide),
        ("maximum", Self::Maximum),
        ("minimum", Self::Minimum),
        ("power", Self::Power),
        ("prelu", Self::Prelu),
        ("equal", Self::Equal),
        ("not_equal", Self::NotEqual),
        ("less", Self::Less),
        ("less_equal", Self::LessEqual),
        ("greater", Self::Greater),
        ("greater_equal", Self::GreaterEqual),
        ("logical_and", Self::LogicalAnd),
        ("logical_or", Self::LogicalOr),
        ("logical_xor", Self::LogicalXor),
        ("modulo", Self::Modulo),
        ("remainder", Self::Remainder),
        ("arctangent", Self::Arctangent),
        ("where", Self::Where),
        ("where_not", Self::WhereNot),
    ];

    /// The function of a name.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other name.
    ///
    /// ```
    /// # use wgpu_conv::plan::BinaryFunction;
    /// assert_eq!(BinaryFunction::from_name("add")?, BinaryFunction::Add);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|&(_, function)| function).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(known, _)| *known).collect();
            Error::invalid(
                "function",
                format!("the function must be one of {}", names.join(", ")),
                format!("function={name}"),
            )
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL[self.number() as usize].0
    }

    /// Its number in `binary.wgsl`.
    pub(crate) const fn number(self) -> u32 {
        self as u32
    }
}

/// Where the two sides of a binary operation or of a product come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PairSides {
    /// The left from the input, the right from the other tensor.
    #[default]
    InputOther,
    /// The left from the input, the right from a constant.
    InputKernel,
    /// The left from a constant, the right from the input.
    KernelInput,
}

/// `output[c] = activation(function(left[Σ c·left], right[Σ c·right]))` for every coordinate `c` of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BinaryProblem {
    /// The function.
    pub function: BinaryFunction,
    /// The axes of the output, innermost first, merged; the last ones have extent 1.
    pub axes: [PairAxis; MOST_AXES],
    /// Where left and right come from.
    pub sides: PairSides,
    /// What each value is passed through.
    pub activation: Elementwise,
    /// Storage of both sides and the output.
    pub dtype: DType,
}

impl BinaryProblem {
    /// The function of tensors of `left` and `right` extents, broadcast as NumPy does, with nothing behind it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the extents do not broadcast, [`Error::Unsupported`] where more than [`MOST_AXES`] remain
    /// after merging, [`Error::Limit`] beyond 32 bits.
    pub fn new(
        function: BinaryFunction,
        left: &[usize],
        right: &[usize],
        sides: PairSides,
        dtype: DType,
    ) -> Result<Self> {
        let output = broadcast(left, right).ok_or_else(|| {
            Error::invalid("inputs", "shapes must broadcast together", format!("shapes {left:?} and {right:?}"))
        })?;
        let axes = pair_axes(&paired(left, right, &output)?)?;
        Ok(Self { function, axes, sides, activation: Elementwise::LINEAR, dtype })
    }

    /// Elements of the output.
    pub fn elements(&self) -> u64 {
        product(self.axes.map(|axis| axis.extent))
    }

    pub(super) fn outermost(&self) -> usize {
        self.axes.iter().rposition(|axis| axis.extent > 1).unwrap_or(0)
    }

    /// The positions of the outermost axis, where all else that is read at one lies before the next, and a constant is the
    /// same for all.
    pub(super) fn parts(&self) -> Option<Parts> {
        let outermost = self.outermost();
        let PairAxis { extent, left, right } = self.axes[outermost];
        let inner = &self.axes[..outermost];
        let step = |step: u32, side: fn(&PairAxis) -> u32| {
            let read: u64 = inner.iter().map(|axis| u64::from(axis.extent - 1) * u64::from(side(axis))).sum();
            (step == 0 || read < step.into()).then_some(u64::from(step))
        };
        let (left, right) = (step(left, |axis| axis.left)?, step(right, |axis| axis.right)?);
        let output = inner.iter().map(|axis| u64::from(axis.extent)).product();
        let steps = match self.sides {
            PairSides::InputOther => [left, right, output, output],
            PairSides::InputKernel if right == 0 => [left, 0, output, output],
            PairSides::KernelInput if left == 0 => [right, 0, output, output],
            _ => return None,
        };
        Some(Parts { count: extent, steps })
    }
}
