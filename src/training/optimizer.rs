//! Optimizers: how a weight is changed by its gradient.
//!
//! An [`Optimizer`] is a description with Keras's arguments. [`build`](Optimizer::build) makes what it keeps on the device for
//! some weights (momentum, velocity, …: its *slots*), and [`OptimizerState::apply`] takes a step, all of it in place and in
//! one submission. The order is Keras's: gradients are unscaled, accumulated and clipped, weights decay, are changed, averaged
//! and projected by their constraints, and the step is counted.

use std::sync::Arc;

use super::Schedule;
use super::loss::unary;
use super::weights::projected;
#[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
use crate::formats::LossScaleState;
use crate::layers::Constraint;
use crate::ops::{self, Kernel, Numbers, Side, Tape, UpdateReads, Value};
use crate::plan::{AxisFunction, BinaryFunction, Clip, UpdateFunction, UpdateProblem};
use crate::variable::Data;
use crate::{Commands, DType, Error, Gpu, HostTensor, Result, Tensor, Unary, Variable};

/// How weights are changed, with Keras's arguments: a description, which [`build`](Self::build) brings to a device.
///
/// ```
/// use wgpu_conv::training::{Optimizer, OptimizerClass, Schedule};
///
/// let adam = Optimizer::from_name("adam")?;
/// assert_eq!(adam.learning_rate, Schedule::Constant(0.001));
/// let sgd = Optimizer::new(OptimizerClass::Sgd { momentum: 0.9, nesterov: true }).learning_rate(0.1).clipnorm(1.0);
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Optimizer {
    /// The rule, Keras's class.
    pub class: OptimizerClass,
    /// How large a step is; 0.001 by default, of SGD 0.01.
    pub learning_rate: Schedule,
    /// What a weight loses of itself in each step, times the learning rate; none by default, of AdamW and Muon 0.004.
    pub weight_decay: Option<f64>,
    /// Parts of names: the weights whose names have one do not decay. None by default, so that biases and gammas decay too.
    pub exclude_from_weight_decay: Vec<String>,
    /// The largest norm of each weight's gradient; none by default, and 0 for none.
    pub clipnorm: Option<f64>,
    /// The largest norm of all gradients together; none by default, and 0 for none.
    pub global_clipnorm: Option<f64>,
    /// The largest size of each element of a gradient; none by default, and 0 for none.
    pub clipvalue: Option<f64>,
    /// The share of itself that a moving average of each weight keeps in a step; none by default: no averages.
    pub ema_momentum: Option<f64>,
    /// After how many steps weights become their averages; never by default.
    pub ema_overwrite_frequency: Option<u32>,
    /// What the loss was multiplied by, so that gradients are divided by it; none by default.
    pub loss_scale_factor: Option<f64>,
    /// Of how many steps the mean gradient is taken before weights change, two at least; none by default.
    pub gradient_accumulation_steps: Option<u32>,
    /// A loss scale that looks for itself, Keras's `LossScaleOptimizer`; none by default.
    pub loss_scaling: Option<LossScaling>,
}

/// A loss scale that halves where a gradient is not finite, and that step is left out, and doubles after steps that were.
///
/// ```
/// use wgpu_conv::training::{LossScaling, Optimizer};
///
/// let mixed = Optimizer::from_name("adam")?.loss_scaling(LossScaling::default());
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossScaling {
    /// The first scale; 2¹⁵ by default.
    pub initial_scale: f64,
    /// After how many steps in a row it doubles; 2000 by default.
    pub dynamic_growth_steps: u32,
}

impl Default for LossScaling {
    fn default() -> Self {
        Self { initial_scale: 32768.0, dynamic_growth_steps: 2000 }
    }
}

/// The rule of an [`Optimizer`]: Keras's classes. g is the gradient, w the weight.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum OptimizerClass {
    /// `w −= lr·g`, with momentum `v = momentum·v − lr·g`, `w += v`.
    Sgd {
        /// In 0 to 1; 0 by default.
        momentum: f64,
        /// Whether it looks ahead; false by default.
        nesterov: bool,
    },
    /// `w −= lr·g / √(a + ε)`, a the moving mean of `g²`.
    RmsProp {
        /// What a keeps of itself; 0.9 by default.
        rho: f64,
        /// Of the changes; 0 by default.
        momentum: f64,
        /// 1e-7 by default.
        epsilon: f64,
        /// Whether the square of the moving mean of g is taken off a; false by default.
        centered: bool,
    },
    /// `w −= lr·m̂ / (√v̂ + ε)`, m and v the moving means of g and `g²`. AdamW is this with a weight decay.
    Adam {
        /// What m keeps of itself; 0.9 by default.
        beta_1: f64,
        /// What v keeps of itself; 0.999 by default.
        beta_2: f64,
        /// 1e-7 by default.
        epsilon: f64,
        /// Whether the largest v so far is taken; false by default.
        amsgrad: bool,
    },
    /// Adam by the largest `|g|`, which fades.
    Adamax {
        /// 0.9 by default.
        beta_1: f64,
        /// 0.999 by default.
        beta_2: f64,
        /// 1e-7 by default.
        epsilon: f64,
    },
    /// Adam with Nesterov's momentum.
    Nadam {
        /// 0.9 by default.
        beta_1: f64,
        /// 0.999 by default.
        beta_2: f64,
        /// 1e-7 by default.
        epsilon: f64,
    },
    /// `w −= lr·g / √(a + ε)`, a the sum of `g²`.
    Adagrad {
        /// What a begins from; 0.1 by default.
        initial_accumulator_value: f64,
        /// 1e-7 by default.
        epsilon: f64,
    },
    /// Changes as large as those before, by the moving means of their squares and of `g²`.
    Adadelta {
        /// What the means keep of themselves; 0.95 by default.
        rho: f64,
        /// 1e-7 by default.
        epsilon: f64,
    },
    /// `w −= lr·sign(beta_1·m + (1 − beta_1)·g)`.
    Lion {
        /// 0.9 by default.
        beta_1: f64,
        /// What m keeps of itself; 0.99 by default.
        beta_2: f64,
    },
    /// Follow the regularized leader.
    Ftrl {
        /// −0.5 by default.
        learning_rate_power: f64,
        /// 0.1 by default.
        initial_accumulator_value: f64,
        /// 0 by default.
        l1_regularization_strength: f64,
        /// 0 by default.
        l2_regularization_strength: f64,
        /// 0 by default.
        l2_shrinkage_regularization_strength: f64,
        /// 0 by default.
        beta: f64,
    },
    /// Adam, whose change has the norm of the weight.
    Lamb {
        /// 0.9 by default.
        beta_1: f64,
        /// 0.999 by default.
        beta_2: f64,
        /// 1e-7 by default.
        epsilon: f64,
    },
    /// Momentum that is made orthogonal, for weights of two axes; AdamW for the others, convolution kernels among them.
    Muon {
        /// Of Adam; 0.9 by default.
        adam_beta_1: f64,
        /// Of Adam; 0.999 by default.
        adam_beta_2: f64,
        /// Of what Adam changes; 0.004 by default.
        adam_weight_decay: Option<f64>,
        /// What Adam's learning rate is of the other; 1 by default.
        adam_lr_ratio: f64,
        /// Of Adam; 1e-7 by default.
        epsilon: f64,
        /// 0.95 by default.
        momentum: f64,
        /// Whether it looks ahead; true by default.
        nesterov: bool,
        /// Newton–Schulz iterations; 5 by default.
        ns_steps: u32,
        /// Their coefficients; 3.4445, −4.775 and 2.0315 by default.
        ns_coefficients: [f64; 3],
        /// The root mean square of a change in units of the learning rate; 0.2 by default, none to leave it.
        rms_rate: Option<f64>,
    },
}

/// Keras's classes with default parameters: class, name, learning rate, weight decay.
fn classes() -> [(&'static str, &'static str, OptimizerClass, f64, Option<f64>); 12] {
    let (beta_1, beta_2, epsilon) = (0.9, 0.999, 1e-7);
    let adam = OptimizerClass::Adam { beta_1, beta_2, epsilon, amsgrad: false };
    [
        ("SGD", "sgd", OptimizerClass::Sgd { momentum: 0.0, nesterov: false }, 0.01, None),
        (
            "RMSprop",
            "rmsprop",
            OptimizerClass::RmsProp { rho: 0.9, momentum: 0.0, epsilon, centered: false },
            0.001,
            None,
        ),
        ("Adam", "adam", adam, 0.001, None),
        ("AdamW", "adamw", adam, 0.001, Some(0.004)),
        ("Adamax", "adamax", OptimizerClass::Adamax { beta_1, beta_2, epsilon }, 0.001, None),
        ("Nadam", "nadam", OptimizerClass::Nadam { beta_1, beta_2, epsilon }, 0.001, None),
        ("Adagrad", "adagrad", OptimizerClass::Adagrad { initial_accumulator_value: 0.1, epsilon }, 0.001, None),
        ("Adadelta", "adadelta", OptimizerClass::Adadelta { rho: 0.95, epsilon }, 0.001, None),
        ("Lion", "lion", OptimizerClass::Lion { beta_1, beta_2: 0.99 }, 0.001, None),
        (
            "Ftrl",
            "ftrl",
            OptimizerClass::Ftrl {
                learning_rate_power: -0.5,
                initial_accumulator_value: 0.1,
                l1_regularization_strength: 0.0,
                l2_regularization_strength: 0.0,
                l2_shrinkage_regularization_strength: 0.0,
                beta: 0.0,
            },
            0.001,
            None,
        ),
        ("Lamb", "lamb", OptimizerClass::Lamb { beta_1, beta_2, epsilon }, 0.001, None),
        (
            "Muon",
            "muon",
            OptimizerClass::Muon {
                adam_beta_1: beta_1,
                adam_beta_2: beta_2,
                adam_weight_decay: Some(0.004),
                adam_lr_ratio: 1.0,
                epsilon,
                momentum: 0.95,
                nesterov: true,
                ns_steps: 5,
                ns_coefficients: [3.4445, -4.775, 2.0315],
                rms_rate: Some(0.2),
            },
            0.001,
            Some(0.004),
        ),
    ]
}

impl Optimizer {
    /// An optimizer by its rule, with Keras's defaults of everything else.
    pub fn new(class: OptimizerClass) -> Self {
        let kind = std::mem::discriminant(&class);
        let known = classes().into_iter().find(|(_, _, known, ..)| std::mem::discriminant(known) == kind);
        let (rate, decay) = known.map_or((0.001, None), |(_, _, _, rate, decay)| (rate, decay));
        Self {
            class,
            learning_rate: Schedule::Constant(rate),
            weight_decay: decay,
            exclude_from_weight_decay: Vec::new(),
            clipnorm: None,
            global_clipnorm: None,
            clipvalue: None,
            ema_momentum: None,
            ema_overwrite_frequency: None,
            loss_scale_factor: None,
            gradient_accumulation_steps: None,
            loss_scaling: None,
        }
    }

    /// The optimizer of a Keras name, in either spelling (`RMSprop`, `rmsprop`), with default parameters. `lamb` is one,
    /// although Keras does not find it by name.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown name.
    pub fn from_name(name: &str) -> Result<Self> {
        let found = classes().into_iter().find(|(class, lower, ..)| *class == name || *lower == name.to_lowercase());
        let Some((_, _, class, _, weight_decay)) = found else {
            let names: Vec<_> = classes().into_iter().map(|(class, ..)| class).collect();
            return Err(Error::invalid(
                "optimizer",
                format!("an optimizer must be one of {} (custom ones are not read)", names.join(", ")),
                format!("optimizer={name}"),
            ));
        };
        Ok(Self { weight_decay, ..Self::new(class) })
    }

    /// The name of its class: `AdamW` where Adam has a weight decay.
    pub fn class_name(&self) -> &'static str {
        let kind = std::mem::discriminant(&self.class);
        let mut known = classes().into_iter().filter(|(_, _, class, ..)| std::mem::discriminant(class) == kind);
        let with_decay = known.clone().find(|(.., decay)| decay.is_some() == self.weight_decay.is_some());
        with_decay.or_else(|| known.next()).map_or("Optimizer", |(name, ..)| name)
    }

    /// The same with another learning rate, a number or a [`Schedule`].
    pub fn learning_rate(self, rate: impl Into<Schedule>) -> Self {
        Self { learning_rate: rate.into(), ..self }
    }

    /// The same with weights that lose this share of themselves, times the learning rate, in each step.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Self { weight_decay: Some(weight_decay), ..self }
    }

    /// The same with the norm of each weight's gradient limited.
    pub fn clipnorm(self, clipnorm: f64) -> Self {
        Self { clipnorm: Some(clipnorm), ..self }
    }

    /// The same with a loss scale that looks for itself.
    pub fn loss_scaling(self, loss_scaling: LossScaling) -> Self {
        Self { loss_scaling: Some(loss_scaling), ..self }
    }

    /// # Errors
    /// [`Error::Invalid`] for numbers that Keras refuses too, and for those that are not finite.
    pub(crate) fn validate(&self) -> Result<()> {
        self.learning_rate.validate()?;
        let invalid = |argument, rule: &'static str, received: String| Err(Error::invalid(argument, rule, received));
        let clips = [self.clipnorm, self.global_clipnorm, self.clipvalue];
        if clips.iter().flatten().count() > 1 {
            let received = format!(
                "clipnorm={:?}, global_clipnorm={:?}, clipvalue={:?}",
                self.clipnorm, self.global_clipnorm, self.clipvalue
            );
            return invalid("clipnorm", "only one of clipnorm, global_clipnorm and clipvalue may be given", received);
        }
        if let Some(steps @ 0..=1) = self.gradient_accumulation_steps {
            let rule = "gradient_accumulation_steps must be 2 at least";
            return invalid("gradient_accumulation_steps", rule, format!("gradient_accumulation_steps={steps}"));
        }
        if let Some(momentum) = self.ema_momentum
            && !(0.0..=1.0).contains(&momentum)
        {
            return invalid("ema_momentum", "ema_momentum must lie in [0, 1]", format!("ema_momentum={momentum}"));
        }
        if let Some(frequency) = self.ema_overwrite_frequency
            && (frequency == 0 || self.ema_momentum.is_none())
        {
            let rule = "ema_overwrite_frequency must be positive and be given with ema_momentum";
            return invalid("ema_overwrite_frequency", rule, format!("ema_overwrite_frequency={frequency}"));
        }
        if let OptimizerClass::Sgd { momentum, .. } = self.class
            && !(0.0..=1.0).contains(&momentum)
        {
            return invalid("momentum", "momentum must lie in [0, 1]", format!("momentum={momentum}"));
        }
        if let Some(scaling) = self.loss_scaling
            && !(scaling.initial_scale.is_finite() && scaling.initial_scale > 0.0 && scaling.dynamic_growth_steps > 0)
        {
            return invalid(
                "loss_scaling",
                "initial_scale and dynamic_growth_steps must be positive",
                format!("{scaling:?}"),
            );
        }
        if self.loss_scale_factor.is_some_and(|factor| !(factor.is_finite() && factor != 0.0)) {
            let received = format!("loss_scale_factor={:?}", self.loss_scale_factor);
            return invalid("loss_scale_factor", "loss_scale_factor must be finite and not 0", received);
        }
        let others = clips.into_iter().chain([self.weight_decay]).flatten();
        if others.chain(self.rule(1).parameters).all(f64::is_finite) {
            return Ok(());
        }
        invalid("optimizer", "the parameters of an optimizer must be finite", format!("{self:?}"))
    }

    /// What it does to a weight of `rank` axes.
    fn rule(&self, rank: usize) -> UpdateRule {
        let rule = |function, slots: &'static [Slot], parameters: [f64; 5]| UpdateRule { function, slots, parameters };
        match self.class {
            OptimizerClass::Sgd { momentum: 0.0, .. } => rule(UpdateFunction::Sgd, &[], [0.0; 5]),
            OptimizerClass::Sgd { momentum, nesterov } => {
                let function = if nesterov { UpdateFunction::Nesterov } else { UpdateFunction::Momentum };
                rule(function, &["momentum"], [momentum, 0.0, 0.0, 0.0, 0.0])
            }
            OptimizerClass::RmsProp { rho, momentum, epsilon, centered } => {
                let slots: &[Slot] = match (momentum > 0.0, centered) {
                    (false, false) => &["velocity"],
                    (true, false) => &["velocity", "momentum"],
                    (false, true) => &["velocity", "average_gradient"],
                    (true, true) => &["velocity", "momentum", "average_gradient"],
                };
                let function = UpdateFunction::RmsProp { centered, momentum: momentum > 0.0 };
                rule(function, slots, [rho, momentum, epsilon, 1.0 - rho, 0.0])
            }
            OptimizerClass::Adam { beta_1, beta_2, epsilon, amsgrad } => {
                let parameters = [1.0, beta_2, epsilon, 1.0 - beta_1, 1.0 - beta_2];
                if amsgrad {
                    rule(UpdateFunction::AmsGrad, &["momentum", "velocity", "velocity_hat"], parameters)
                } else {
                    rule(UpdateFunction::Adam, &["momentum", "velocity"], parameters)
                }
            }
            OptimizerClass::Adamax { beta_1, beta_2, epsilon } => {
                let parameters = [beta_1, beta_2, epsilon, 1.0 - beta_1, 1.0 - beta_2];
                rule(UpdateFunction::Adamax, &["momentum", "norm"], parameters)
            }
            OptimizerClass::Nadam { beta_1, beta_2, epsilon } => {
                let parameters = [beta_1, beta_2, epsilon, 1.0 - beta_1, 1.0 - beta_2];
                rule(UpdateFunction::Nadam, &["momentum", "velocity"], parameters)
            }
            OptimizerClass::Adagrad { epsilon, .. } => {
                rule(UpdateFunction::Adagrad, &["accumulator"], [0.0, 0.0, epsilon, 0.0, 0.0])
            }
            OptimizerClass::Adadelta { rho, epsilon } => rule(
                UpdateFunction::Adadelta,
                &["accumulated_grad", "accumulated_delta_var"],
                [rho, 0.0, epsilon, 1.0 - rho, 0.0],
            ),
            OptimizerClass::Lion { beta_1, beta_2 } => {
                rule(UpdateFunction::Lion, &["momentum"], [beta_1, beta_2, 0.0, 1.0 - beta_1, 1.0 - beta_2])
            }
            OptimizerClass::Ftrl {
                learning_rate_power,
                l1_regularization_strength: l1,
                l2_regularization_strength: l2,
                l2_shrinkage_regularization_strength: shrinkage,
                beta,
                ..
            } => {
                rule(UpdateFunction::Ftrl, &["accumulator", "linear"], [-learning_rate_power, l1, l2, shrinkage, beta])
            }
            OptimizerClass::Lamb { beta_1, beta_2, epsilon } => {
                let parameters = [beta_1, beta_2, epsilon, 1.0 - beta_1, 1.0 - beta_2];
                rule(UpdateFunction::LambMoments, &["momentum", "velocity"], parameters)
            }
            OptimizerClass::Muon { momentum, nesterov, .. } if rank == 2 => {
                rule(UpdateFunction::MuonMomentum { nesterov }, &["momentum"], [momentum, 0.0, 0.0, 0.0, 0.0])
            }
            OptimizerClass::Muon { adam_beta_1, adam_beta_2, adam_lr_ratio, epsilon, .. } => {
                let parameters = [adam_lr_ratio, adam_beta_2, epsilon, 1.0 - adam_beta_1, 1.0 - adam_beta_2];
                rule(UpdateFunction::Adam, &["momentum", "velocity"], parameters)
            }
        }
    }

    /// What a slot begins from.
    fn start(&self, slot: Slot) -> f64 {
        match self.class {
            OptimizerClass::Adagrad { initial_accumulator_value, .. }
            | OptimizerClass::Ftrl { initial_accumulator_value, .. }
                if slot == "accumulator" =>
            {
                initial_accumulator_value
            }
            _ => 0.0,
        }
    }

    fn clip(&self) -> Clip {
        let limit = |clip: Option<f64>| clip.filter(|&limit| limit > 0.0).map(|limit| (limit as f32).to_bits());
        if let Some(limit) = limit(self.clipnorm) {
            Clip::Norm(limit)
        } else if let Some(limit) = limit(self.global_clipnorm) {
            Clip::GlobalNorm(limit)
        } else {
            limit(self.clipvalue).map_or(Clip::None, Clip::Value)
        }
    }

    /// What a weight loses of itself, as the bits of an f32.
    fn decay(&self, variable: &Variable) -> Option<u32> {
        let excluded = self.exclude_from_weight_decay.iter().any(|part| variable.name().contains(part.as_str()));
        let decay = match self.class {
            OptimizerClass::Muon { adam_weight_decay, .. } if variable.shape().rank() != 2 => adam_weight_decay,
            _ => self.weight_decay,
        };
        decay.filter(|_| !excluded).map(|decay| (decay as f32).to_bits())
    }

    /// What it keeps on the device for `variables`, each with the projection that follows its changes: those are what
    /// [`apply`](OptimizerState::apply) changes.
    ///
    /// # Errors
    /// [`Error::Invalid`] for parameters that the optimizer does not take, and without variables; [`Error::Unsupported`] for
    /// variables that are not float32; [`Error::Limit`] and [`Error::Gpu`] where the device cannot hold it.
    ///
    /// ```no_run
    /// use wgpu_conv::training::Optimizer;
    /// use wgpu_conv::{Gpu, HostTensor, Tensor, Variable};
    ///
    /// let gpu = Gpu::new()?;
    /// let weight = Variable::from_value(&gpu, "weight", &HostTensor::new([2], vec![1.0, 2.0])?)?;
    /// let mut state = Optimizer::from_name("sgd")?.build(&gpu, &[(weight.clone(), None)])?;
    /// state.apply(&[Tensor::from_slice(&gpu, [2], &[0.5_f32, -1.0])?])?;
    /// assert_eq!(weight.read()?.values, [0.995, 2.01]);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn build(&self, gpu: &Gpu, variables: &[(Variable, Option<Constraint>)]) -> Result<OptimizerState> {
        self.validate()?;
        if variables.is_empty() {
            let rule = "an optimizer must be given at least one trainable variable";
            return Err(Error::invalid("variables", rule, "none"));
        }
        let kept = |like: &Variable, name: &'static str, start: f64| {
            let elements = like.shape().dims().iter().product();
            Variable::from_value(gpu, name, &HostTensor::new(like.shape().clone(), vec![start as f32; elements])?)
        };
        let mut weights = Vec::with_capacity(variables.len());
        for (variable, constraint) in variables {
            if variable.data().dtype() != DType::F32 {
                return Err(Error::unsupported(
                    format!("training `{}`, a variable of {}", variable.name(), variable.data().dtype()),
                    "small changes vanish in it; give the layer the policy mixed_float16, whose variables are float32",
                ));
            }
            let rule = self.rule(variable.shape().rank());
            let slots = rule.slots.iter().map(|&slot| kept(variable, slot, self.start(slot))).collect::<Result<_>>()?;
            let accumulated = match self.gradient_accumulation_steps {
                Some(_) => Some(kept(variable, "gradient_accumulator", 0.0)?),
                None => None,
            };
            let average = match self.ema_momentum {
                Some(_) => Some(kept(variable, "average", 0.0)?),
                None => None,
            };
            weights.push(Weight {
                variable: variable.clone(),
                constraint: constraint.clone(),
                slots,
                accumulated,
                average,
            });
        }
        let loss_scale = self.loss_scaling.map_or(1.0, |scaling| scaling.initial_scale);
        Ok(OptimizerState {
            gpu: gpu.clone(),
            optimizer: self.clone(),
            weights,
            iterations: 0,
            products: (0, 1.0),
            loss_scale,
            good_steps: 0,
        })
    }
}

/// The name of something that an optimizer keeps beside a weight.
type Slot = &'static str;

/// What an optimizer does to a weight.
struct UpdateRule {
    function: UpdateFunction,
    slots: &'static [Slot],
    parameters: [f64; 5],
}

/// A weight that an optimizer changes, with what is kept beside it.
struct Weight {
    variable: Variable,
    constraint: Option<Constraint>,
    slots: Vec<Variable>,
    accumulated: Option<Variable>,
    average: Option<Variable>,
}

/// Numbers of a step in its `clock`.
const CLOCK: usize = 8;

/// An optimizer on a device: what it keeps for the weights that it changes, and how many steps it has taken.
pub struct OptimizerState {
    gpu: Gpu,
    optimizer: Optimizer,
    weights: Vec<Weight>,
    iterations: u64,
    /// Of Nadam's momenta, and of how many steps.
    products: (u64, f64),
    loss_scale: f64,
    good_steps: u32,
}

impl std::fmt::Debug for OptimizerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "OptimizerState({:?} of {} variables, {} steps)",
            self.optimizer.class,
            self.weights.len(),
            self.iterations
        )
    }
}

impl OptimizerState {
    /// The description that it was built of.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// Steps taken, those too that only accumulated gradients.
    pub fn iterations(&self) -> u64 {
        self.iterations
    }

    /// The learning rate of the next step.
    pub fn learning_rate(&self) -> f64 {
        self.optimizer.learning_rate.at(self.iterations)
    }

    /// Puts a learning rate, or another schedule, in the place of the one so far.
    ///
    /// # Errors
    /// [`Error::Invalid`] for numbers that are not finite.
    pub fn set_learning_rate(&mut self, rate: impl Into<Schedule>) -> Result<()> {
        let rate = rate.into();
        rate.validate()?;
        self.optimizer.learning_rate = rate;
        Ok(())
    }

    /// What a loss is to be multiplied by before its gradients are taken.
    pub fn loss_scale(&self) -> f64 {
        self.loss_scale * self.optimizer.loss_scale_factor.unwrap_or(1.0)
    }

    /// What it keeps, in Keras's order: averages of all weights, then accumulated gradients, then the slots, weight by weight;
    /// but one kind of slot after another of RMSprop, and of Adam the largest velocities last.
    pub fn variables(&self) -> Vec<&Variable> {
        self.variables_of(&(0..self.weights.len()).collect::<Vec<_>>())
    }

    /// The same, of the weights in another `order`.
    fn variables_of(&self, order: &[usize]) -> Vec<&Variable> {
        let weights = || order.iter().filter_map(|&index| self.weights.get(index));
        let averages = weights().filter_map(|weight| weight.average.as_ref());
        let accumulated = weights().filter_map(|weight| weight.accumulated.as_ref());
        let kinds: &[&[Slot]] = match self.optimizer.class {
            OptimizerClass::RmsProp { .. } => &[&["velocity"], &["momentum"], &["average_gradient"]],
            OptimizerClass::Adam { .. } => &[&["momentum", "velocity"], &["velocity_hat"]],
            _ => &[],
        };
        let slots = |kinds: &'static [Slot]| {
            let all = weights().flat_map(|weight| &weight.slots);
            all.filter(move |slot| kinds.is_empty() || kinds.contains(&slot.name()))
        };
        let mut variables: Vec<&Variable> = averages.chain(accumulated).collect();
        if kinds.is_empty() {
            variables.extend(slots(&[]));
        }
        kinds.iter().for_each(|kinds| variables.extend(slots(kinds)));
        variables
    }

    /// The loss scale that looks for itself, and for how many steps it has been as it is; `None` without one.
    #[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
    pub(super) fn saved_scale(&self) -> Option<LossScaleState> {
        let (scale, good_steps) = (self.loss_scale, self.good_steps);
        self.optimizer.loss_scaling.map(|_| LossScaleState { scale, good_steps })
    }

    /// What Keras saves of it beside the number of steps, for its weights in `order`: the learning rate, unless that is a
    /// schedule's, what is kept beside each weight, and of Nadam the product of its momenta.
    #[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
    pub(super) fn saved(&self, order: &[usize]) -> Result<Vec<HostTensor>> {
        let scalar = |value: f64| HostTensor { shape: [].into(), values: vec![value as f32] };
        let mut values = Vec::new();
        if let Schedule::Constant(rate) = self.optimizer.learning_rate {
            values.push(scalar(rate));
        }
        for variable in self.variables_of(order) {
            values.push(variable.read()?);
        }
        if let OptimizerClass::Nadam { beta_1, .. } = self.optimizer.class {
            let momentum = |step: u64| beta_1 * (1.0 - 0.5 * 0.96_f64.powf(step as f64));
            values.push(scalar((1..=self.iterations).map(momentum).product()));
        }
        Ok(values)
    }

    /// Goes on with the loss scale of another.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a scale that is none.
    #[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
    pub(super) fn restore_scale(&mut self, LossScaleState { scale, good_steps }: LossScaleState) -> Result<()> {
        let growth = self.optimizer.loss_scaling.map_or(0, |scaling| scaling.dynamic_growth_steps);
        if !(scale.is_finite() && scale > 0.0) || good_steps >= growth.max(1) {
            let rule = format!("a loss scale must be positive, and grow after {growth} steps at most");
            return Err(Error::invalid("optimizer", rule, format!("a scale of {scale}, after {good_steps} steps")));
        }
        (self.loss_scale, self.good_steps) = (scale, good_steps);
        Ok(())
    }

    /// Goes on from where another was after `iterations` steps, with what was [`saved`](Self::saved) of it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number of values, or of other shapes; nothing has changed then.
    #[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
    pub(super) fn restore(&mut self, order: &[usize], iterations: u64, values: &[HostTensor]) -> Result<()> {
        let variables: Vec<Variable> = self.variables_of(order).into_iter().cloned().collect();
        let constant = match self.optimizer.learning_rate {
            Schedule::Constant(rate) => Some(rate),
            _ => None,
        };
        let before = usize::from(constant.is_some());
        let after = usize::from(matches!(self.optimizer.class, OptimizerClass::Nadam { .. }));
        let wanted = [&[][..]].into_iter().cycle().take(before).chain(variables.iter().map(|it| it.shape().dims()));
        let wanted: Vec<&[usize]> = wanted.chain([&[][..]].into_iter().cycle().take(after)).collect();
        if wanted.len() != values.len() || wanted.iter().zip(values).any(|(dims, value)| *dims != value.shape.dims()) {
            let rule =
                format!("{} must be given the {} variables that it keeps", self.optimizer.class_name(), wanted.len());
            let shapes: Vec<_> = values.iter().map(|value| value.shape.to_string()).collect();
            return Err(Error::invalid("optimizer", rule, format!("{} of shapes {}", values.len(), shapes.join(", "))));
        }
        for (variable, value) in variables.iter().zip(&values[before..]) {
            variable.assign(value)?;
        }
        if let (Some(rate), Some(value)) = (constant, values.first())
            && rate as f32 != value.values[0]
        {
            self.set_learning_rate(f64::from(value.values[0]))?;
        }
        (self.iterations, self.products) = (iterations, (0, 1.0));
        Ok(())
    }

    /// Takes a step: `gradients` are those of the variables that it was built for, in order, and are divided by the
    /// [`loss_scale`](Self::loss_scale).
    ///
    /// # Errors
    /// [`Error::Invalid`] where the gradients do not match the variables; [`Error::Gpu`] where the device was lost.
    pub fn apply(&mut self, gradients: &[Tensor]) -> Result<()> {
        let shapes = |shapes: Vec<String>| format!("[{}]", shapes.join(", "));
        let wanted: Vec<_> = self.weights.iter().map(|weight| weight.variable.shape().to_string()).collect();
        let given: Vec<_> = gradients.iter().map(|gradient| gradient.shape().to_string()).collect();
        if wanted != given {
            let rule = format!("there must be a gradient for each variable, of shapes {}", shapes(wanted));
            return Err(Error::invalid("gradients", rule, shapes(given)));
        }
        let mut commands = Commands::new(&self.gpu);
        let mut tape = Tape::default();
        let mut inputs = gradients.to_vec();
        let clock = self.clock();
        inputs.push(Tensor::from_slice(&self.gpu, [CLOCK], &clock)?);
        crate::tensor::check_call("an optimizer", &self.gpu, &commands, &inputs)?;
        let values =
            inputs.iter().map(|input| tape.input(input.shape().clone(), input.dtype())).collect::<Result<Vec<_>>>()?;
        let (values, clock) = values.split_at(gradients.len());
        let left_out = self.lower(&mut tape, values, clock[0])?;
        let results = tape.record(&mut commands, &inputs, left_out.as_slice())?;
        commands.submit()?;
        let left_out = match results.first() {
            Some(result) => super::read(result)?[0] != 0.0,
            None => false,
        };
        self.finish_step(left_out)
    }

    /// Makes each weight its moving average, as `fit` does in the end; nothing where there are none.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device was lost.
    pub fn finalize(&self) -> Result<()> {
        if self.optimizer.ema_momentum.is_none() {
            return Ok(());
        }
        let mut commands = Commands::new(&self.gpu);
        let mut tape = Tape::default();
        let clock = tape.input([CLOCK].into(), DType::F32)?;
        for weight in &self.weights {
            if let Some(average) = &weight.average {
                let input = tape.variable(average.data())?;
                change(&mut tape, UpdateFunction::Assign, input, clock, weight.variable.data())?;
            }
        }
        let inputs = [Tensor::from_slice(&self.gpu, [CLOCK], &[0.0_f32; CLOCK])?];
        tape.record(&mut commands, &inputs, &[])?;
        commands.submit()
    }

    /// How many numbers a step has.
    pub(crate) const fn clock_size(&self) -> usize {
        CLOCK
    }

    /// The numbers of the next step, as `update.wgsl` reads them.
    pub(crate) fn clock(&mut self) -> [f32; CLOCK] {
        let optimizer = &self.optimizer;
        let each = u64::from(optimizer.gradient_accumulation_steps.unwrap_or(1));
        let updates = (self.iterations + 1).is_multiple_of(each);
        let step = self.iterations / each + 1;
        let corrected = |beta: f64| -(step as f64 * beta.ln()).exp_m1();
        let factor = 1.0 / (each as f64 * self.loss_scale());
        let [alpha, gamma, delta] = match optimizer.class {
            OptimizerClass::Adam { beta_1, beta_2, .. }
            | OptimizerClass::Muon { adam_beta_1: beta_1, adam_beta_2: beta_2, .. } => {
                [corrected(beta_2).sqrt() / corrected(beta_1), 0.0, 0.0]
            }
            OptimizerClass::Adamax { beta_1, .. } => [corrected(beta_1), 0.0, 0.0],
            OptimizerClass::Lamb { beta_1, beta_2, .. } => [corrected(beta_1), 0.0, corrected(beta_2)],
            OptimizerClass::Nadam { beta_1, beta_2, .. } => {
                let momentum = |step: u64| beta_1 * (1.0 - 0.5 * 0.96_f64.powf(step as f64));
                while self.products.0 < step {
                    self.products.0 += 1;
                    self.products.1 *= momentum(self.products.0);
                }
                let (now, next, product) = (momentum(step), momentum(step + 1), self.products.1);
                [next / (1.0 - product * next), (1.0 - now) / (1.0 - product), corrected(beta_2)]
            }
            _ => [0.0; 3],
        };
        let averaging = if step == 1 { 0.0 } else { optimizer.ema_momentum.unwrap_or(0.0) };
        let overwrites = optimizer.ema_overwrite_frequency.is_some_and(|every| step.is_multiple_of(u64::from(every)));
        let flag = |value: bool| f64::from(u8::from(value));
        let rate = optimizer.learning_rate.at(self.iterations);
        [flag(updates), factor, rate, alpha, gamma, delta, averaging, flag(overwrites)].map(|number| number as f32)
    }

    /// Whether losses are multiplied by a [`loss_scale`](Self::loss_scale).
    pub(crate) const fn scales(&self) -> bool {
        self.optimizer.loss_scaling.is_some() || self.optimizer.loss_scale_factor.is_some()
    }

    /// Writes the step on the tape, which reads `gradients` and the numbers in `clock`. With a loss scale that looks for itself,
    /// returns whether the step is left out, 1 or 0 of shape `[1]`: nothing is changed where a gradient is not finite.
    pub(crate) fn lower(&self, tape: &mut Tape, gradients: &[Value], clock: Value) -> Result<Option<Value>> {
        let (clock, left_out) = match self.optimizer.loss_scaling {
            Some(_) => {
                let left_out = not_finite(tape, gradients)?;
                (left_out_where(tape, left_out, clock)?, Some(left_out))
            }
            None => (clock, None),
        };
        let mut given = Vec::with_capacity(gradients.len());
        for (weight, gradient) in self.weights.iter().zip(gradients) {
            let mut gradient = ops::cast(tape, DType::F32, None, *gradient)?;
            if let Some(accumulated) = &weight.accumulated {
                change(tape, UpdateFunction::Add, gradient, clock, accumulated.data())?;
                gradient = tape.variable(accumulated.data())?;
            }
            given.push(gradient);
        }
        let clip = self.optimizer.clip();
        let mut norms = vec![None; given.len()];
        if let Clip::Norm(_) | Clip::GlobalNorm(_) = clip {
            for (norm, gradient) in norms.iter_mut().zip(&given) {
                *norm = Some(square_of_norm(tape, *gradient)?);
            }
        }
        if let Clip::GlobalNorm(_) = clip {
            let mut all = norms.iter().copied().flatten();
            if let Some(first) = all.next() {
                let sum = all.try_fold(first, |sum, norm| ops::two(tape, BinaryFunction::Add, sum, norm))?;
                norms.fill(Some(sum));
            }
        }
        for ((weight, gradient), norm) in self.weights.iter().zip(&given).zip(norms) {
            self.step(tape, weight, UpdateReads { input: *gradient, clock, norm, other: None }, clip)?;
        }
        for weight in &self.weights {
            let value = tape.variable(weight.variable.data())?;
            if let Some(accumulated) = &weight.accumulated {
                change(tape, UpdateFunction::Reset, value, clock, accumulated.data())?;
            }
            if let Some(average) = &weight.average {
                change(tape, UpdateFunction::Average, value, clock, average.data())?;
                if self.optimizer.ema_overwrite_frequency.is_some() {
                    let average = tape.variable(average.data())?;
                    change(tape, UpdateFunction::Overwrite, average, clock, weight.variable.data())?;
                }
            }
            match &weight.constraint {
                None | Some(Constraint::Custom(_)) => {}
                Some(constraint) => {
                    let projected = projected(tape, constraint, value)?;
                    change(tape, UpdateFunction::Assign, projected, clock, weight.variable.data())?;
                }
            }
        }
        Ok(left_out)
    }

    /// Counts the step, and does what the host does behind it: functions of the caller's that project weights. One that was left
    /// out halves the loss scale instead.
    pub(crate) fn finish_step(&mut self, left_out: bool) -> Result<()> {
        if left_out {
            self.good_steps = 0;
            self.loss_scale *= 0.5;
            return Ok(());
        }
        self.iterations += 1;
        if let Some(scaling) = self.optimizer.loss_scaling {
            self.grow(scaling);
        }
        for weight in &self.weights {
            if let Some(Constraint::Custom(function)) = &weight.constraint {
                let mut value = weight.variable.read()?;
                (function.function())(&mut value.values, &value.shape)?;
                weight.variable.assign(&value)?;
            }
        }
        Ok(())
    }

    /// Counts a step towards the next doubling of the loss scale, once its gradients were divided by it.
    fn grow(&mut self, scaling: LossScaling) {
        self.good_steps += 1;
        if self.good_steps == scaling.dynamic_growth_steps {
            self.good_steps = 0;
            self.loss_scale *= 2.0;
        }
    }

    fn step(&self, tape: &mut Tape, weight: &Weight, reads: UpdateReads, clip: Clip) -> Result<()> {
        let rule = self.optimizer.rule(weight.variable.shape().rank());
        let value = tape.variable(weight.variable.data())?;
        let elements = tape.elements(value);
        let bits = |parameters: [f64; 5]| parameters.map(|number| (number as f32).to_bits());
        let decay = self.optimizer.decay(&weight.variable);
        let problem =
            UpdateProblem { function: rule.function, elements, parameters: bits(rule.parameters), clip, decay };
        let mut slots = weight.slots.iter().map(|slot| tape.variable(slot.data())).collect::<Result<Vec<_>>>()?;
        let plain =
            |function, parameters| UpdateProblem { function, elements, parameters, clip: Clip::None, decay: None };
        match (rule.function, self.optimizer.class) {
            (UpdateFunction::LambMoments, _) => {
                let changed = tape.uninitialized(weight.variable.shape().clone(), DType::F32)?;
                slots.push(changed);
                ops::update(tape, problem, reads, value, &slots)?;
                let norm = Some(square_of_norm(tape, changed)?);
                let other = Some(square_of_norm(tape, value)?);
                let reads = UpdateReads { input: changed, norm, other, ..reads };
                ops::update(tape, plain(UpdateFunction::LambApply, [0; 5]), reads, value, &[])
            }
            (UpdateFunction::MuonMomentum { .. }, OptimizerClass::Muon { ns_steps, ns_coefficients, rms_rate, .. }) => {
                let given = tape.uninitialized(weight.variable.shape().clone(), DType::F32)?;
                slots.push(given);
                ops::update(tape, problem, reads, value, &slots)?;
                let orthogonal = orthogonalized(tape, given, ns_steps, ns_coefficients)?;
                let largest = weight.variable.shape().dims().iter().max().copied().unwrap_or(1) as f64;
                let adjusted = rms_rate.map_or(1.0, |rate| largest.sqrt() * rate);
                let reads = UpdateReads { input: orthogonal, norm: None, other: None, ..reads };
                let parameters = bits([adjusted, 0.0, 0.0, 0.0, 0.0]);
                ops::update(tape, plain(UpdateFunction::Apply, parameters), reads, value, &[])
            }
            _ => ops::update(tape, problem, reads, value, &slots),
        }
    }
}

/// Changes a variable by a function that takes no parameters.
fn change(tape: &mut Tape, function: UpdateFunction, input: Value, clock: Value, data: &Arc<Data>) -> Result<()> {
    let weight = tape.variable(data)?;
    let elements = tape.elements(weight);
    let problem = UpdateProblem { function, elements, parameters: [0; 5], clip: Clip::None, decay: None };
    ops::update(tape, problem, UpdateReads { input, clock, norm: None, other: None }, weight, &[])
}

/// The sum of the squares of a value's elements, of shape `[1]`.
fn square_of_norm(tape: &mut Tape, value: Value) -> Result<Value> {
    let elements = tape.elements(value) as usize;
    let line = tape.reshape(value, [elements])?;
    ops::reduce(tape, AxisFunction::SumSquare, &[0], true, line)
}

/// 1 where an element of `gradients` is not finite, else 0, of shape `[1]`.
fn not_finite(tape: &mut Tape, gradients: &[Value]) -> Result<Value> {
    let mut largest = Vec::with_capacity(gradients.len());
    for &gradient in gradients {
        let elements = tape.elements(gradient) as usize;
        let line = tape.reshape(gradient, [elements])?;
        let line = ops::cast(tape, DType::F32, None, line)?;
        let sizes = unary(tape, Unary::Abs, line)?;
        largest.push(ops::reduce(tape, AxisFunction::Max, &[0], true, sizes)?);
    }
    let largest = ops::concatenate(tape, 0, &largest)?;
    // All that is finite is as it was once it is clipped; an infinity and NaN are not.
    let small = unary(tape, Unary::Affine { scale: f32::EPSILON.powi(4), offset: 0.0 }, largest)?;
    let clipped = unary(tape, Unary::Clip { min: 0.0, max: f32::MAX.sqrt() }, small)?;
    let finite = ops::two(tape, BinaryFunction::Equal, small, clipped)?;
    let finite = ops::reduce(tape, AxisFunction::Min, &[0], true, finite)?;
    unary(tape, Unary::Affine { scale: -1.0, offset: 1.0 }, finite)
}

/// The numbers of a step, such that nothing is changed by it where `left_out` is 1: the first of them is below 0 then.
fn left_out_where(tape: &mut Tape, left_out: Value, clock: Value) -> Result<Value> {
    let mut first = vec![0.0; CLOCK];
    first[0] = -2.0;
    let first = Kernel::of_values([CLOCK], first, Numbers::EXACT);
    let change = ops::with(tape, BinaryFunction::Multiply, left_out, &first)?;
    ops::two(tape, BinaryFunction::Add, clock, change)
}

/// The matrix with the same singular vectors and singular values near 1, by the quintic Newton–Schulz iteration.
fn orthogonalized(tape: &mut Tape, matrix: Value, steps: u32, [a, b, c]: [f64; 3]) -> Result<Value> {
    let &[rows, columns] = tape.shape(matrix).dims() else { return Ok(matrix) };
    let tall = rows > columns;
    let mut x = if tall { ops::permute(tape, &[1, 0], matrix)? } else { matrix };
    let norm = ops::reduce(tape, AxisFunction::L2, &[0, 1], true, x)?;
    let norm = unary(tape, Unary::Affine { scale: 1.0, offset: 1e-7 }, norm)?;
    let inverse = unary(tape, Unary::Reciprocal, norm)?;
    x = ops::two(tape, BinaryFunction::Multiply, x, inverse)?;
    let times =
        |tape: &mut Tape, factor: f64, value| unary(tape, Unary::Affine { scale: factor as f32, offset: 0.0 }, value);
    let product = |tape: &mut Tape, left, right| ops::matmul(tape, Side::Value(left), Side::Value(right));
    for _ in 0..steps {
        let turned = ops::permute(tape, &[1, 0], x)?;
        let gram = product(tape, x, turned)?;
        let square = product(tape, gram, gram)?;
        let (square, gram) = (times(tape, c, square)?, times(tape, b, gram)?);
        let both = ops::two(tape, BinaryFunction::Add, gram, square)?;
        let moved = product(tape, both, x)?;
        let kept = times(tape, a, x)?;
        x = ops::two(tape, BinaryFunction::Add, kept, moved)?;
    }
    if tall { ops::permute(tape, &[1, 0], x) } else { Ok(x) }
}
