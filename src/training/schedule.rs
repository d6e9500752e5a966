//! Learning rate schedules: how large a step is, by the number of the step.

use crate::{Error, Result};

/// A learning rate by the number of the step, counted from 0: Keras's seven schedules.
///
/// ```
/// use wgpu_conv::training::Schedule;
///
/// let halved = Schedule::ExponentialDecay { initial: 0.1, decay_steps: 10.0, decay_rate: 0.5, staircase: true };
/// assert_eq!(halved.at(9), 0.1);
/// assert_eq!(halved.at(10), 0.05);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Schedule {
    /// Always the same.
    Constant(f64),
    /// `initial · decay_rate^(step / decay_steps)`.
    ExponentialDecay {
        /// The first rate.
        initial: f64,
        /// Steps by which it is multiplied once by `decay_rate`.
        decay_steps: f64,
        /// What it is multiplied by.
        decay_rate: f64,
        /// Whether only whole multiples of `decay_steps` count; false by default.
        staircase: bool,
    },
    /// `values[i]` up to and with step `boundaries[i]`, the last one beyond.
    PiecewiseConstantDecay {
        /// Steps, rising.
        boundaries: Vec<f64>,
        /// One more than there are boundaries.
        values: Vec<f64>,
    },
    /// `(initial − end)·(1 − step / decay_steps)^power + end`.
    PolynomialDecay {
        /// The first rate.
        initial: f64,
        /// Steps by which it has reached `end`.
        decay_steps: f64,
        /// The last rate; 0.0001 by default.
        end: f64,
        /// 1 by default: a line.
        power: f64,
        /// Whether it begins again, over a longer time, rather than stay; false by default.
        cycle: bool,
    },
    /// `initial / (1 + decay_rate · step / decay_steps)`.
    InverseTimeDecay {
        /// The first rate.
        initial: f64,
        /// Steps of one unit.
        decay_steps: f64,
        /// How fast it falls.
        decay_rate: f64,
        /// Whether only whole multiples of `decay_steps` count; false by default.
        staircase: bool,
    },
    /// Half a cosine from the initial rate to `alpha` of it, behind a warm-up where there is one.
    CosineDecay {
        /// The first rate.
        initial: f64,
        /// Steps of the decay.
        decay_steps: f64,
        /// What is left in the end, as a share; 0 by default.
        alpha: f64,
        /// The rate that the warm-up leads to, in a line, and that the decay begins from; none by default.
        warmup_target: Option<f64>,
        /// Steps of the warm-up; 0 by default.
        warmup_steps: f64,
    },
    /// Half cosines that begin again, each `t_mul` times as long and from `m_mul` times the rate.
    CosineDecayRestarts {
        /// The first rate.
        initial: f64,
        /// Steps of the first.
        first_decay_steps: f64,
        /// 2 by default.
        t_mul: f64,
        /// 1 by default.
        m_mul: f64,
        /// What is left in the end of each, as a share; 0 by default.
        alpha: f64,
    },
}

impl From<f64> for Schedule {
    fn from(rate: f64) -> Self {
        Self::Constant(rate)
    }
}

impl Schedule {
    /// The learning rate of step `step`, counted from 0.
    pub fn at(&self, step: u64) -> f64 {
        let step = step as f64;
        let cosine =
            |share: f64, alpha: f64| (1.0 - alpha) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos()) + alpha;
        match self {
            Self::Constant(rate) => *rate,
            Self::ExponentialDecay { initial, decay_steps, decay_rate, staircase } => {
                initial * decay_rate.powf(whole(step / decay_steps, *staircase))
            }
            Self::PiecewiseConstantDecay { boundaries, values } => {
                let index = boundaries.iter().position(|&boundary| step <= boundary).unwrap_or(boundaries.len());
                values.get(index).copied().unwrap_or(f64::NAN)
            }
            Self::PolynomialDecay { initial, decay_steps, end, power, cycle } => {
                let (step, over) = if *cycle {
                    (step, decay_steps * if step == 0.0 { 1.0 } else { (step / decay_steps).ceil() })
                } else {
                    (step.min(*decay_steps), *decay_steps)
                };
                (initial - end) * (1.0 - step / over).powf(*power) + end
            }
            Self::InverseTimeDecay { initial, decay_steps, decay_rate, staircase } => {
                initial / (1.0 + decay_rate * whole(step / decay_steps, *staircase))
            }
            Self::CosineDecay { initial, decay_steps, alpha, warmup_target, warmup_steps } => match *warmup_target {
                None => initial * cosine(step.min(*decay_steps) / decay_steps, *alpha),
                Some(target) if step < *warmup_steps => (target - initial) * (step / warmup_steps) + initial,
                Some(target) => target * cosine((step - warmup_steps).min(*decay_steps) / decay_steps, *alpha),
            },
            Self::CosineDecayRestarts { initial, first_decay_steps, t_mul, m_mul, alpha } => {
                let mut left = step / first_decay_steps;
                let mut restarts = 0.0;
                if *t_mul == 1.0 {
                    restarts = left.floor();
                    left -= restarts;
                } else {
                    let mut length = 1.0;
                    // Lengths that shrink have a finite sum, beyond which there is nothing.
                    while left >= length && length > f64::EPSILON {
                        left -= length;
                        length *= t_mul;
                        restarts += 1.0;
                    }
                    left /= length;
                }
                initial * m_mul.powf(restarts) * cosine(left, *alpha)
            }
        }
    }

    /// # Errors
    /// [`Error::Invalid`] for steps that are not positive, rates that are not finite, boundaries that do not match the values.
    pub(crate) fn validate(&self) -> Result<()> {
        let (steps, rates) = match self {
            Self::Constant(rate) => (1.0, vec![*rate]),
            Self::ExponentialDecay { initial, decay_steps, decay_rate, .. }
            | Self::InverseTimeDecay { initial, decay_steps, decay_rate, .. } => {
                (*decay_steps, vec![*initial, *decay_rate])
            }
            Self::PolynomialDecay { initial, decay_steps, end, power, .. } => {
                (*decay_steps, vec![*initial, *end, *power])
            }
            Self::CosineDecay { initial, decay_steps, alpha, warmup_target, warmup_steps } => {
                (*decay_steps, vec![*initial, *alpha, *warmup_steps, warmup_target.unwrap_or(0.0)])
            }
            Self::CosineDecayRestarts { initial, first_decay_steps, t_mul, m_mul, alpha } => {
                (*first_decay_steps, vec![*initial, *t_mul, *m_mul, *alpha])
            }
            Self::PiecewiseConstantDecay { boundaries, values } if boundaries.len() + 1 == values.len() => {
                (1.0, [&boundaries[..], &values[..]].concat())
            }
            Self::PiecewiseConstantDecay { boundaries, values } => {
                return Err(Error::invalid(
                    "boundaries",
                    "there must be one boundary less than values",
                    format!("{} boundaries, {} values", boundaries.len(), values.len()),
                ));
            }
        };
        if steps.is_finite() && steps > 0.0 && rates.iter().all(|rate| rate.is_finite()) {
            return Ok(());
        }
        let rule = "the steps of a schedule must be positive, and its other numbers finite";
        Err(Error::invalid("learning_rate", rule, format!("{self:?}")))
    }
}

fn whole(share: f64, staircase: bool) -> f64 {
    if staircase { share.floor() } else { share }
}
