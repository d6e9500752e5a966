//! What is asked of the backward pass beyond problems of the forward one: gradients that no forward problem computes.
//!
//! Most gradients are forward problems again: the gradient of a convolution to its input is the transposed convolution, that
//! of a sum is a repetition. The rest stand here. Each reads what the forward problem read, and the gradient of what it
//! wrote as [`Operand::Gradient`](super::Operand::Gradient).

use super::{BinaryProblem, PoolFunction, PoolProblem, RecurrentFunction, RecurrentProblem};
use crate::geometry::ConvGeometry;
use crate::{DType, DataFormat};

/// One of the two tensors that a function of two reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hand {
    /// The first.
    Left,
    /// The second.
    Right,
}

/// `output[c] = gradient[c] · ∂function(left, right)/∂side` for every coordinate `c` of the function's box.
///
/// Where a side is broadcast, its gradient is the sum of this over the axes along which it repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BinaryGradientProblem {
    /// The function, without an activation, and how both sides are read.
    pub of: BinaryProblem,
    /// The side whose gradient is computed.
    pub side: Hand,
}

/// `output = Σ gradient[o] · ∂pool(input)[o]/∂input` over the windows that an input position lies in.
///
/// Of a maximum, the first largest value of a window in row-major order takes all of its gradient; a NaN is the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolGradientProblem {
    /// The pooling.
    pub of: PoolProblem,
}

impl PoolGradientProblem {
    /// Whether the values of the input matter.
    pub const fn reads_input(&self) -> bool {
        matches!(self.of.function, PoolFunction::Max)
    }
}

/// `output[k, j, f] = Σ input[n, p·stride + k·dilation − pad, j] · gradient[n, p, f]` over images `n` and positions `p`: the
/// gradient of a convolution to its kernel, in f32 and in Keras's order.
///
/// For a transposed convolution, which is one run backwards, input and gradient change places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KernelGradientProblem {
    /// Sizes of the convolution.
    pub geometry: ConvGeometry,
    /// Storage of input and gradient.
    pub dtype: DType,
    /// Where the channels stand in input and gradient.
    pub data_format: DataFormat,
}

/// `output[b, t, gate, unit]`, the gradient of what a recurrence reads of its input, in the order in which states are made.
///
/// It reads that as [`Operand::Input`](super::Operand::Input), and beside it what the recurrence has computed of the states
/// before: as [`Operand::Other`](super::Operand::Other) their products with the recurrent kernel, bias included; of a GRU that
/// resets before the product, the products of the reset states for the last gate. The states
/// [before](super::Operand::Before) are those of the forward pass, and the kernel is transposed, `[gate, unit, unit]`.
///
/// Where the recurrence begins with states, it writes what it has kept as [`Operand::Cell`](super::Operand::Cell), in f32: the
/// gradients of those states come last there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecurrentGradientProblem {
    /// The recurrence, whose order of times and bias do not matter.
    pub of: RecurrentProblem,
}

impl RecurrentGradientProblem {
    /// States `[sequences, units]` that are kept on the way: of an LSTM the cells, from the one to begin with, and then what is carried
    /// from a time to the one before.
    pub const fn kept(&self) -> u64 {
        self.cells() + self.carried()
    }

    /// Cells of an LSTM that are kept, one more than there are times.
    pub const fn cells(&self) -> u64 {
        match self.of.function {
            RecurrentFunction::Lstm => self.of.times as u64 + 1,
            _ => 0,
        }
    }

    /// Gradients of states that are carried from a time to the one before: as many as there are states.
    pub const fn carried(&self) -> u64 {
        match self.of.function {
            RecurrentFunction::Lstm => 2,
            _ => 1,
        }
    }
}
