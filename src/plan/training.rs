//! What training asks of a device beside the layers: losses with their gradients, and updates of weights in place.

/// A function that says how far a line of predictions is from its targets; `loss.wgsl` has the formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossFunction {
    /// Mean of `(x − y)²`.
    SquaredError,
    /// Mean of `|x − y|`.
    AbsoluteError,
    /// Mean of `100·|x − y| / |y|`.
    AbsolutePercentageError,
    /// Mean of `(ln(x + 1) − ln(y + 1))²`.
    SquaredLogarithmicError,
    /// Mean of a square up to the first parameter, linear beyond.
    Huber,
    /// Mean of `ln cosh(x − y)`.
    LogCosh,
    /// Mean of `x − y·ln x`.
    Poisson,
    /// Sum of `y·ln(y / x)`.
    KlDivergence,
    /// Mean of `max(1 − x·y, 0)`.
    Hinge,
    /// Mean of `max(1 − x·y, 0)²`.
    SquaredHinge,
    /// Mean of `−y·ln x − (1 − y)·ln(1 − x)`.
    BinaryCrossentropy,
    /// Binary cross-entropy times a power of the probability missed: parameters α (negative: not balanced) and γ.
    BinaryFocal,
    /// `−Σ y·ln p`.
    CategoricalCrossentropy,
    /// `−Σ α·y·(1 − p)^γ·ln p`: parameters α and γ.
    CategoricalFocal,
    /// `(1 − p_y^q) / q`: parameter q.
    GeneralizedCrossentropy,
    /// `−Σ x·y / (‖x‖·‖y‖)`.
    CosineSimilarity,
    /// `max(max (1 − y)·x − Σ x·y + 1, 0)`.
    CategoricalHinge,
    /// `1 − 2·Σ x·y / (Σ x + Σ y)`.
    Dice,
    /// Dice with weights of what is missed and of what is wrongly found: parameters α and β.
    Tversky,
    /// 1 where the class is among the first parameter's number of largest predictions, else 0. It has no gradient.
    TopK,
    /// Mean of 1 where a prediction is above the first parameter just as its target is 1, else 0. It has no gradient.
    BinaryAccuracy,
}

/// Losses of lines along the middle axis of `[outer, extent, inner]`, and their gradient; all in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LossProblem {
    /// What is computed.
    pub function: LossFunction,
    /// Whether predictions are logits rather than probabilities.
    pub from_logits: bool,
    /// Whether a line's target is one number, the index of its class, rather than a number for each prediction.
    pub sparse: bool,
    /// Lines that follow one another along the first axis.
    pub outer: u32,
    /// Predictions of a line.
    pub extent: u32,
    /// Lines between neighbours of one line.
    pub inner: u32,
    /// How many neighbouring lines share a weight; 0 where lines have none.
    pub share_weight: u32,
    /// Whether the gradient is written too.
    pub gradient: bool,
    /// Bits of the f32 that the function takes.
    pub parameters: LossParameters,
}

/// The numbers of a loss, as bits of f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LossParameters {
    /// What the gradient is multiplied by.
    pub scale: u32,
    /// What keeps logarithms and quotients finite.
    pub epsilon: u32,
    /// Smoothing: a target is multiplied by `keep`, then `share` is added.
    pub keep: u32,
    /// What is added to each target.
    pub share: u32,
    /// Of the function itself.
    pub function: [u32; 2],
    /// The class whose lines do not count; `f32::MAX` for none.
    pub ignored: u32,
}

/// How a weight is changed in place; `update.wgsl` has the formulas. Slots are what an optimizer keeps beside a weight, of its
/// shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UpdateFunction {
    /// `w −= lr·g`.
    Sgd,
    /// SGD with momentum; slot: momentum.
    Momentum,
    /// SGD with Nesterov's momentum; slot: momentum.
    Nesterov,
    /// RMSprop; slots: velocity, momentum, average gradient, those that the variant has.
    RmsProp {
        /// Whether squares are taken about the average gradient.
        centered: bool,
        /// Whether changes have momentum.
        momentum: bool,
    },
    /// Adam; slots: momentum, velocity.
    Adam,
    /// Adam by the largest velocity so far; slots: momentum, velocity, largest velocity.
    AmsGrad,
    /// Adamax; slots: momentum, norm.
    Adamax,
    /// Nadam; slots: momentum, velocity.
    Nadam,
    /// Adagrad; slot: accumulator.
    Adagrad,
    /// Adadelta; slots: accumulated squares of gradients, and of changes.
    Adadelta,
    /// Lion; slot: momentum.
    Lion,
    /// Ftrl; slots: accumulator, linear.
    Ftrl,
    /// The first half of Lamb; slots: momentum, velocity, and the change, which the second half reads.
    LambMoments,
    /// The second half: `w −= lr·‖w‖/‖change‖·change`.
    LambApply,
    /// The first half of Muon; slots: momentum, and what is to be made orthogonal.
    MuonMomentum {
        /// Whether it looks ahead.
        nesterov: bool,
    },
    /// `w −= lr·p·g`.
    Apply,
    /// `w = 0`, in steps that update.
    Reset,
    /// `w = g`.
    Assign,
    /// `w += g`.
    Add,
    /// `w = m·w + (1 − m)·g`.
    Average,
    /// `w = g`, in steps that overwrite.
    Overwrite,
}

impl UpdateFunction {
    /// How many slots it reads and writes.
    pub const fn slots(&self) -> usize {
        match self {
            Self::Sgd
            | Self::LambApply
            | Self::Apply
            | Self::Reset
            | Self::Assign
            | Self::Add
            | Self::Average
            | Self::Overwrite => 0,
            Self::Momentum | Self::Nesterov | Self::Adagrad | Self::Lion => 1,
            Self::RmsProp { centered, momentum } => 1 + *centered as usize + *momentum as usize,
            Self::Adam | Self::Adamax | Self::Nadam | Self::Adadelta | Self::Ftrl | Self::MuonMomentum { .. } => 2,
            Self::AmsGrad | Self::LambMoments => 3,
        }
    }
}

/// A change of a weight in place, element by element, all in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpdateProblem {
    /// What is done.
    pub function: UpdateFunction,
    /// Elements of the weight.
    pub elements: u32,
    /// Bits of the f32 that the function takes.
    pub parameters: [u32; 5],
    /// How gradients are clipped first.
    pub clip: Clip,
    /// The bits of what the weight loses of itself, times the learning rate, before it is changed; none where it loses nothing.
    pub decay: Option<u32>,
}

/// How gradients are kept small, with the bits of the f32 that limits them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clip {
    /// Not at all.
    None,
    /// Each element to ± the limit.
    Value(u32),
    /// The norm of each variable's gradient.
    Norm(u32),
    /// The norm of all variables' gradients together.
    GlobalNorm(u32),
}
