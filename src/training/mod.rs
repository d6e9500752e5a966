//! Training: losses, regularizers' penalties, constraints and optimizers, with Keras's numbers, on the device.
//!
//! A network learns by taking many small steps. In each, it predicts a batch of samples; a [`Loss`] says by one number how
//! far that is from what was wanted; the *gradient* says how that number changes with each weight; and an [`Optimizer`]
//! moves every weight a little against its gradient. All of it are steps on one tape, so that nothing but the
//! numbers that one asks for leaves the device.

#[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
mod backup;
#[cfg(not(target_arch = "wasm32"))]
mod callback;
#[cfg(feature = "keras")]
mod config;
mod confusion;
#[cfg(not(target_arch = "wasm32"))]
mod data;
#[cfg(not(target_arch = "wasm32"))]
mod fit;
#[cfg(not(target_arch = "wasm32"))]
mod history;
mod loss;
mod metric;
mod optimizer;
#[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
mod saved;
mod schedule;
#[cfg(not(target_arch = "wasm32"))]
mod trainer;
mod weights;

#[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
pub use backup::BackupAndRestore;
#[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
pub use callback::ModelCheckpoint;
#[cfg(not(target_arch = "wasm32"))]
pub use callback::{
    CSVLogger, Callback, EarlyStopping, LambdaCallback, LearningRateScheduler, Mode, ProgressLogger, ReduceLROnPlateau,
    TerminateOnNaN,
};
pub use confusion::{Auc, Confusion, Curve, Iou, Summation};
#[cfg(not(target_arch = "wasm32"))]
pub use data::{Batch, Samples};
#[cfg(not(target_arch = "wasm32"))]
pub use fit::{FitOptions, Run};
#[cfg(not(target_arch = "wasm32"))]
pub use history::{History, Logs};
pub use loss::{Loss, LossClass, Reduction};
pub use metric::Metric;
pub use optimizer::{LossScaling, Optimizer, OptimizerClass, OptimizerState};
pub use schedule::Schedule;
#[cfg(not(target_arch = "wasm32"))]
pub use trainer::{CompileOptions, Trainer};

use crate::{Result, Tensor};

/// The values of a tensor, for what only the host can compute.
fn read(tensor: &Tensor) -> Result<Vec<f32>> {
    #[cfg(not(target_arch = "wasm32"))]
    return tensor.read();
    #[cfg(target_arch = "wasm32")]
    Err(crate::Error::unsupported(format!("waiting for {tensor:?}"), "a browser cannot wait for the device"))
}
