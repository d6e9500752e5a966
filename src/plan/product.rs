//! Products of matrices that are both computed: attention scores, `MatMul`, the layer `Dot`.
//!
//! (A dense layer multiplies by a constant, and is a pointwise [convolution](super::ConvProblem).)

use super::PairSides;
use crate::geometry::product;
use crate::strides::{MOST_AXES, PairAxis, pair_axes};
use crate::{DType, Result};

/// `output[b, m, n] = Σ_k left[b, m, k] · right[b, k, n]`, each side walked by strides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProductProblem {
    /// The axes of the batch, innermost first, merged; the last ones have extent 1.
    pub batch: [PairAxis; MOST_AXES],
    /// Rows of the left side and the output.
    pub rows: u32,
    /// Columns of the right side and the output.
    pub columns: u32,
    /// Products summed for one output element.
    pub terms: u32,
    /// Elements of the left side from one row to the next, and from one term to the next.
    pub left: [u32; 2],
    /// Elements of the right side from one term to the next, and from one column to the next.
    pub right: [u32; 2],
    /// Where left and right come from.
    pub sides: PairSides,
    /// Storage of both sides and the output.
    pub dtype: DType,
}

impl ProductProblem {
    /// The products of matrices of `[rows, columns, terms]` over the batch `axes`, outermost first, which are merged where
    /// they lie side by side; `left` and `right` as in the fields.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) where more than [`MOST_AXES`] axes remain.
    pub fn new(
        axes: &[PairAxis],
        [rows, columns, terms]: [u32; 3],
        left: [u32; 2],
        right: [u32; 2],
        sides: PairSides,
        dtype: DType,
    ) -> Result<Self> {
        Ok(Self { batch: pair_axes(axes)?, rows, columns, terms, left, right, sides, dtype })
    }

    /// Elements of the output.
    pub fn elements(&self) -> u64 {
        product(self.batch.map(|axis| axis.extent)).saturating_mul(product([self.rows, self.columns]))
    }
}
