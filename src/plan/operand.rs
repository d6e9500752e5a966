//! What a launch binds: which tensor stands at which number, and how the shader touches it.
//!
//! A plan knows no buffer. It names the tensors of its problem ([`Operand`]): the input, the kernel, the output. Whoever
//! runs it puts a buffer or a texture at each [`Binding`].

use crate::DType;

/// A tensor of an operation that a dispatch reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// The operation's input.
    Input,
    /// A second tensor: the right side of an operation on two, or what a convolution adds to its sum.
    Other,
    /// A constant: the kernel, packed where the plan packs it.
    Kernel,
    /// The states that a recurrence begins with.
    States,
    /// For the gradient of a recurrence, the state before every time.
    Before,
    /// What a recurrence is given of each sequence: its mask, then the factors of its state.
    OfSequence,
    /// A second constant: the bias.
    ///
    /// An operation without one of these binds a placeholder, so that shaders have one layout.
    Bias,
    /// The kernel of the second of two convolutions in one, in Keras's order.
    ThenKernel,
    /// The bias of the second of two convolutions in one.
    ThenBias,
    /// In the backward pass, the gradient of what the operation wrote in the forward pass; of a loss, which writes it, by each
    /// prediction.
    Gradient,
    /// The operation's output; of an update the weight, which it reads as well.
    Output,
    /// What the losses of lines are multiplied by.
    Weights,
    /// The numbers of a training step: whether it updates, its learning rate, ….
    Clock,
    /// The square of the norm that gradients are clipped by, or of a change.
    Norm,
    /// What an optimizer keeps beside a weight, by its number; read and written.
    Slot(usize),
    /// The last state of an LSTM's cell; of the gradient of a recurrence all that is kept on its way, cells among it.
    Cell,
    /// The gradient of the last state of an LSTM's cell.
    CellGradient,
    /// Mean and variance of each channel, `[2, channels]`.
    Moments,
    /// What the backward pass of a batch normalization has summed over each channel, `[2, channels]`.
    Sums,
    /// What code of the caller's reads, by its number.
    Tensor(usize),
    /// The plan's scratch buffer of this index.
    Scratch(usize),
}

/// How a dispatch touches what stands at one binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binding {
    /// `var<storage, read>`.
    Read(Operand),
    /// `var<storage, read_write>`.
    Write(Operand),
    /// `texture_storage_2d<…, read>`, with the operand's elements in order.
    Texels(Operand, Texel),
    /// `texture_storage_2d<…, write>`, which takes the operand's elements in order.
    StoreTexels(Operand, Texel),
}

impl Binding {
    /// The tensor.
    pub const fn operand(self) -> Operand {
        match self {
            Self::Read(operand) | Self::Write(operand) => operand,
            Self::Texels(operand, _) | Self::StoreTexels(operand, _) => operand,
        }
    }

    /// The same access to another tensor.
    pub(crate) const fn of(self, operand: Operand) -> Self {
        match self {
            Self::Read(_) => Self::Read(operand),
            Self::Write(_) => Self::Write(operand),
            Self::Texels(_, texel) => Self::Texels(operand, texel),
            Self::StoreTexels(_, texel) => Self::StoreTexels(operand, texel),
        }
    }
}

/// What one texel of a texture holds: neighbouring elements of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Texel {
    /// Their type.
    pub dtype: DType,
    /// How many: 1 or 4.
    pub lanes: u32,
}

impl Texel {
    /// Texels in a row of a texture; one with fewer has a single row of them.
    pub const ROW: u32 = 4096;

    /// Bytes.
    pub const fn size(self) -> u64 {
        self.dtype.size() as u64 * self.lanes as u64
    }

    /// The type of a texture of them that shaders read; `None` where WebGPU has no such format for storage.
    ///
    /// A storage texture has one level, which is why it is read rather than a sampled one: lavapipe looks up the size of the
    /// level for each lane of a load, half of the load's instructions. On SwiftShader it is sampled nonetheless, see
    /// [`Caps::samples_texels`](super::Caps::samples_texels).
    pub(crate) const fn read_as(self) -> Option<&'static str> {
        match (self.dtype, self.lanes) {
            (DType::F32, 1) => Some("texture_storage_2d<r32float, read>"),
            (DType::F32, _) => Some("texture_storage_2d<rgba32float, read>"),
            (DType::F16, 1) => None,
            (DType::F16, _) => Some("texture_storage_2d<rgba16float, read>"),
        }
    }
}
