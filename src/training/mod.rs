//! Training: losses, regularizers' penalties, constraints and optimizers, with Keras's numbers, on the device.
//!
//! A network learns by taking many small steps. In each, it predicts a batch of samples; a [`Loss`] says by one number how
//! far that is from what was wanted; the *gradient* says how that number changes with each weight; and an [`Optimizer`]
//! moves every weight a little against its gradient. All of it are steps on one tape, so that nothing but the
//! numbers that one asks for leaves the device.

#[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
mod backup;
mod callback;
#[cfg(feature = "keras")]
mod compile_config;
#[cfg(feature = "keras")]
mod config;
mod confusion;
mod data;
mod fit;
mod history;
mod loss;
mod metric;
mod optimizer;
#[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
mod saved;
mod schedule;
mod trainer;
mod weights;

#[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
pub use backup::BackupAndRestore;
#[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
pub use callback::ModelCheckpoint;
#[cfg(not(target_arch = "wasm32"))]
pub use callback::{CSVLogger, ProgressLogger};
pub use callback::{
    Callback, EarlyStopping, LambdaCallback, LearningRateScheduler, Mode, ReduceLROnPlateau, TerminateOnNaN,
};
pub use confusion::{Auc, Confusion, Curve, Iou, Summation};
pub use data::{Batch, Samples};
pub use fit::{FitOptions, Run};
pub use history::{History, Logs};
pub use loss::{Loss, LossClass, Reduction};
pub use metric::Metric;
pub use optimizer::{LossScaling, Optimizer, OptimizerClass, OptimizerState};
pub use schedule::Schedule;
#[cfg(all(feature = "web-train", target_arch = "wasm32"))]
pub(crate) use trainer::output_names;
pub use trainer::{CompileOptions, Trainer};

use crate::{Result, Tensor};

/// The values of a tensor, for what only the host can compute.
fn read(tensor: &Tensor) -> Result<Vec<f32>> {
    #[cfg(not(target_arch = "wasm32"))]
    return tensor.read();
    #[cfg(target_arch = "wasm32")]
    Err(crate::Error::unsupported(format!("waiting for {tensor:?}"), "a browser cannot wait for the device"))
}
