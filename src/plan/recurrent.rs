//! A recurrence over time: LSTM, GRU and the simple one, a whole sequence in one launch or a few.

use super::Elementwise;
use crate::DType;
use crate::geometry::product;

/// How a [`RecurrentProblem`] makes a state of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecurrentFunction {
    /// Keras's LSTM: gates i, f, c, o.
    Lstm,
    /// Keras's GRU: gates z, r, h; the reset gate is applied behind the product, which has a bias of its own.
    GruResetAfter,
    /// The same with the reset gate before the product.
    GruResetBefore,
    /// `h = activation(x + h·U)`.
    Simple,
}

impl RecurrentFunction {
    /// Values of each unit in what is read of the input, and columns of each unit in the kernel.
    pub const fn gates(self) -> u32 {
        match self {
            Self::Lstm => 4,
            Self::GruResetAfter | Self::GruResetBefore => 3,
            Self::Simple => 1,
        }
    }
}

/// States of every time from `input[b, t, gate, unit]`, the products of what goes in with the kernel for it, and from the
/// state before by the recurrent kernel `[unit, gate, unit]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecurrentProblem {
    /// How a state is made.
    pub function: RecurrentFunction,
    /// Sequences.
    pub batch: u32,
    /// Times of each.
    pub times: u32,
    /// Values of a state.
    pub units: u32,
    /// Whether the last time comes first; the output is in the order in which states are made.
    pub backwards: bool,
    /// Whether the product of the state has a bias.
    pub bias: bool,
    /// Whether a mask `[batch, times]`, in the order in which states are made, says which times count; those that do not leave the
    /// state as it is.
    pub masked: bool,
    /// Whether each value of a sequence's state is multiplied by a factor of its own for each gate, `[batch, gate, unit]`, where it
    /// meets the kernel: what is dropped of it in training.
    pub dropped: bool,
    /// Whether the first state is given, of an LSTM with its cell's behind it; it is zeros otherwise.
    pub begins: bool,
    /// Whether the last state of an LSTM's cell is told.
    pub last_cell: bool,
    /// What makes a state.
    pub activation: Elementwise,
    /// What makes a gate; without parameters.
    pub gate: Elementwise,
    /// Storage of every tensor.
    pub dtype: DType,
}

impl RecurrentProblem {
    /// Elements of the output.
    pub fn elements(&self) -> u64 {
        product([self.batch, self.times, self.units])
    }
}
