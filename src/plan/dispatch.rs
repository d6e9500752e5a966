//! Launches and lists of them: one [`Dispatch`] is one run of one shader, a [`Plan`] the dispatches that solve a problem.
//!
//! A plan also says what it needs beside the problem's tensors: scratch buffers between its launches, and the kernel's
//! elements in another order ([`Packing`]), which is made once for a weight and kept.

use super::{Binding, Constant, Operand, Shader, Texel};
use crate::DType;

/// One launch. Binding 0 is the uniform block; `bindings[i]` stands at binding `i + 1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dispatch {
    /// The code.
    pub shader: Shader,
    /// The words of the uniform block.
    pub params: Vec<u32>,
    /// Workgroups along x, y and z.
    pub workgroups: [u32; 3],
    /// The storage buffers and textures.
    pub bindings: Vec<Binding>,
    /// Turns of the loops that its busiest invocation runs, all loops together; those that are [spelled
    /// out](crate#unrolled-loops) count none.
    pub turns: u64,
}

/// The most turns of loops that an invocation of any launch may run.
///
/// lavapipe ends an invocation after 65 535 turns, all its loops together, without a word; watchdogs of GPUs end what takes
/// seconds. Half of that leaves room for what a driver counts differently. Longer sums are computed in parts.
pub const MOST_TURNS: u64 = 1 << 15;

/// The turns of loops within loops, outermost first, each of which runs `counts` times within one turn of the one before.
pub(crate) fn nested_turns(counts: &[u64]) -> u64 {
    let mut turns = 1u64;
    counts.iter().fold(0, |sum: u64, &count| {
        turns = turns.saturating_mul(count);
        sum.saturating_add(turns)
    })
}

impl Dispatch {
    /// The launch with the tensors that `map` has in place of its own.
    pub(crate) fn rebound(mut self, map: impl Fn(Operand) -> Operand) -> Self {
        for binding in &mut self.bindings {
            *binding = binding.of(map(binding.operand()));
        }
        self
    }
}

/// How a plan wants the kernel laid out: a launch that reads the kernel in Keras's order as its input and writes the
/// packed one as its output. It runs once for a weight, not for each call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Packing {
    /// The launch.
    pub step: Dispatch,
    /// Elements of the packed kernel.
    pub elements: u64,
    /// Their type: that of the kernel, or wider.
    pub dtype: DType,
}

impl Packing {
    /// The name of the constant of a packing's shader that says whether it multiplies each output channel by a number of
    /// [`Operand::Other`].
    pub(crate) const SCALED: &str = "SCALED";

    /// The same of a kernel whose output channels are multiplied by a number each; `None` where its shader does not do that.
    pub(crate) fn scaled(&self) -> Option<Self> {
        let mut scaled = self.clone();
        let (_, value) = scaled.step.shader.constants.iter_mut().find(|(name, _)| *name == Self::SCALED)?;
        *value = Constant::Bool(true);
        Some(scaled)
    }

    /// The texels of the texture that the launch writes, where it does not write a buffer.
    pub(crate) fn texel(&self) -> Option<Texel> {
        self.step.bindings.iter().find_map(|binding| match *binding {
            Binding::StoreTexels(_, texel) => Some(texel),
            _ => None,
        })
    }
}

/// How sums of products are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sums {
    /// In runs of at most 256 terms, whose sums are added up: the error hardly grows with their number. Also where nothing is
    /// summed up.
    Runs,
    /// One after the other, in a chain: as exact as runs up to 256 terms, and less beyond.
    Chain,
}

/// How a plan rounds, and so how near to the exact result it comes: [the bounds](crate::reference::tolerance) of what it
/// computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Accuracy {
    /// How it adds up.
    pub sums: Sums,
    /// Outputs along an edge of a tile that are made out of the same products, by Winograd's algorithm: each may miss by what
    /// the largest of its tile may. 1 where each output is a sum of its own. Of a kernel's gradient above 1 means that each tap may
    /// miss by what the worst of its pair of channels may.
    pub mixed: u32,
}

impl Accuracy {
    /// Of a kernel that adds the products of each output, so added up.
    pub const fn of(sums: Sums) -> Self {
        Self { sums, mixed: 1 }
    }
}

/// One way to solve a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The kernels it is one of: the stem of their file in `src/kernels`.
    pub family: &'static str,
    /// What tells it from others of its family: `<dtype>x<lanes>_<tile>`, with what is chosen beside these.
    pub variant: String,
    /// How it rounds.
    pub accuracy: Accuracy,
    /// The launches, in order.
    pub steps: Vec<Dispatch>,
    /// Bytes of each scratch buffer.
    pub scratch: Vec<u64>,
    /// How the kernel must be packed; `None` takes it in Keras's order.
    pub packing: Option<Packing>,
}

impl Plan {
    /// Launches that need neither scratch memory nor a packed kernel, and add in runs.
    pub(crate) fn new(family: &'static str, variant: String, steps: Vec<Dispatch>) -> Self {
        Self { family, variant, accuracy: Accuracy::of(Sums::Runs), steps, scratch: Vec::new(), packing: None }
    }

    /// The same with scratch buffers of so many bytes.
    pub(crate) fn with_scratch(self, scratch: Vec<u64>) -> Self {
        Self { scratch, ..self }
    }

    /// The same with a kernel so packed.
    pub(crate) fn packed(self, packing: Option<Packing>) -> Self {
        Self { packing, ..self }
    }

    /// The same, so rounded.
    pub(crate) fn rounded(self, accuracy: Accuracy) -> Self {
        Self { accuracy, ..self }
    }

    /// `<family>_<variant>`: the pipelines' label, the bench's row, the test's message, what [`Tuning::Pin`](crate::Tuning::Pin)
    /// takes.
    pub fn name(&self) -> String {
        format!("{}_{}", self.family, self.variant)
    }

    /// Turns of loops that the busiest invocation of any of its launches runs, the packing's included.
    pub(crate) fn turns(&self) -> u64 {
        let packing = self.packing.iter().map(|packing| packing.step.turns);
        self.steps.iter().map(|step| step.turns).chain(packing).max().unwrap_or(0)
    }

    /// The texels in which `operand` is read, if it is read as a texture.
    pub(crate) fn texel(&self, operand: Operand) -> Option<Texel> {
        self.steps.iter().flat_map(|step| &step.bindings).find_map(|binding| match *binding {
            Binding::Texels(read, texel) if read == operand => Some(texel),
            _ => None,
        })
    }
}
