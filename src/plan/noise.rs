//! Random changes of every element, as dropout and noise make them in training.
//!
//! What is drawn is a function of a seed, of the number of the training step, of the place of the problem in its program and
//! of the element's index: nothing is stored. The backward pass draws the same numbers again, and so does whoever repeats a
//! step, on every device and whatever the kernel. The generator is Philox 4×32-10 (`shaders/lib/philox.wgsl`).

use crate::DType;

/// What is drawn for each element, and what is made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoiseFunction {
    /// `dropped` with a probability of `threshold` · 2⁻²⁴, else `scale·x + shift`.
    Drop {
        /// How many of 2²⁴ numbers drop an element.
        threshold: u32,
        /// The bits of an f32.
        scale: u32,
        /// The bits of an f32.
        shift: u32,
        /// The bits of an f32.
        dropped: u32,
    },
    /// `(scale + spread·r)·x + shift·r`, where r is a multiple of 2⁻²⁴ in [0, 1), each as likely.
    Uniform(Factors),
    /// The same where r is a normal number of mean 0 and deviation 1.
    Normal(Factors),
}

/// The bits of f32: see [`NoiseFunction::Uniform`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Factors {
    /// What `x` is multiplied by for certain.
    pub scale: u32,
    /// What it is multiplied by at random.
    pub spread: u32,
    /// What is added at random.
    pub shift: u32,
}

impl Factors {
    pub(crate) fn new(scale: f32, spread: f32, shift: f32) -> Self {
        Self { scale: scale.to_bits(), spread: spread.to_bits(), shift: shift.to_bits() }
    }
}

impl NoiseFunction {
    /// `scale·x + shift` with a probability of 1 − `rate`, else `dropped`.
    pub(crate) fn drop(rate: f64, [scale, shift, dropped]: [f64; 3]) -> Self {
        // At least one in 2²⁴ is dropped where any should be, and all are at a rate of 1.
        let threshold = (rate.clamp(0.0, 1.0) * f64::from(1 << 24)).ceil() as u32;
        let [scale, shift, dropped] = [scale, shift, dropped].map(|number| (number as f32).to_bits());
        Self::Drop { threshold, scale, shift, dropped }
    }

    /// What the gradient is changed by: the part of the function that is a multiple of `x`.
    pub(crate) const fn slope(self) -> Self {
        match self {
            Self::Drop { threshold, scale, .. } => Self::Drop { threshold, scale, shift: 0, dropped: 0 },
            Self::Uniform(Factors { scale, spread, .. }) => Self::Uniform(Factors { scale, spread, shift: 0 }),
            Self::Normal(Factors { scale, spread, .. }) => Self::Normal(Factors { scale, spread, shift: 0 }),
        }
    }
}

/// `output[i]` of `input[i]` and of what is drawn for element `first + i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NoiseProblem {
    /// What is drawn and what is made of it.
    pub function: NoiseFunction,
    /// The index of the first element, a multiple of 4.
    pub first: u32,
    /// Elements.
    pub elements: u32,
    /// The words of the seed, the lower one first.
    pub seed: [u32; 2],
    /// The number of the problem among those of its program that draw.
    pub site: u32,
    /// Storage of input and output.
    pub dtype: DType,
}
