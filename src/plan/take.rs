//! Lines taken from a table by their numbers: an embedding, NumPy's `take` and `take_along_axis`.

use super::PairSides;
use crate::DType;
use crate::geometry::product;

/// `output[o, j, i] = table[o, index[o·a + j·b + i·c], i]`; a number below 0 counts from the end, and one beyond the table
/// makes NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TakeProblem {
    /// Positions before the axis that is taken from.
    pub outer: u32,
    /// The extent of that axis.
    pub extent: u32,
    /// Numbers along it.
    pub count: u32,
    /// Elements behind it.
    pub inner: u32,
    /// Elements of the index from one position of `outer`, `count` and `inner` to the next.
    pub index: [u32; 3],
    /// Where the table, on the left, and the index, on the right, come from.
    pub sides: PairSides,
    /// Storage of the table and the output.
    pub dtype: DType,
    /// Storage of the index, whose numbers are whole.
    pub index_dtype: DType,
}

impl TakeProblem {
    /// Elements of the output.
    pub fn elements(&self) -> u64 {
        product([self.outer, self.count, self.inner])
    }
}
