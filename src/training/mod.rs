//! Training: losses, regularizers' penalties, constraints and optimizers, with Keras's numbers, on the device.
//!
//! A network learns by taking many small steps. In each, it predicts a batch of samples; a [`Loss`] says by one number how
//! far that is from what was wanted; the *gradient* says how that number changes with each weight; and an [`Optimizer`]
//! moves every weight a little against its gradient. All of it are steps on one tape, so that nothing but the
//! numbers that one asks for leaves the device.

#[cfg(not(target_arch = "wasm32"))]
mod fit;
mod loss;
mod metric;
mod optimizer;
mod schedule;
mod weights;

#[cfg(not(target_arch = "wasm32"))]
pub use fit::{Epoch, FitOptions, Logs, Trainer};
pub use loss::{Loss, LossClass, Reduction};
pub use metric::Metric;
pub use optimizer::{LossScaling, Optimizer, OptimizerClass, OptimizerState};
pub use schedule::Schedule;

use crate::{Result, Tensor};

/// The values of a tensor, for what only the host can compute.
fn read(tensor: &Tensor) -> Result<Vec<f32>> {
    #[cfg(not(target_arch = "wasm32"))]
    return tensor.read();
    #[cfg(target_arch = "wasm32")]
    Err(crate::Error::unsupported(format!("waiting for {tensor:?}"), "a browser cannot wait for the device"))
}
