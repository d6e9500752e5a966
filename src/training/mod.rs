//! Training: losses, regularizers' penalties, constraints and optimizers, with Keras's numbers, on the device.
//!
//! A network learns by taking many small steps. In each, it predicts a batch of samples; a [`Loss`] says by one number how
//! far that is from what was wanted; the *gradient* says how that number changes with each weight; and an
//! moves every weight a little against its gradient. All of it are steps on one tape, so that nothing but the
//! numbers that one asks for leaves the device.

mod loss;
mod optimizer;
mod schedule;
mod weights;

pub use loss::{Loss, LossClass, Reduction};
pub use optimizer::{LossScaling, Optimizer, OptimizerClass, OptimizerState};
pub use schedule::Schedule;
