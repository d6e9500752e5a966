//! Trainings in `.keras` files: begun here or in Keras, and gone on with in either.

use std::path::Path;
use std::sync::Arc;

use super::{CompileOptions, LossScaling, Trainer};
use crate::formats::{self, TrainingState};
use crate::model::Model;
use crate::{Error, Result};

impl Trainer<'_> {
    /// Saves the model with the state of its training as a `.keras` file: weights, how it was compiled, and what the optimizer
    /// keeps, so that [`resume`](Trainer::resume), or Keras's `load_model` and `fit`, goes on as if nothing had been between.
    /// Which epoch is next the caller has to know.
    ///
    /// Whatever happens, what stood there before is replaced by the whole new file or not at all.
    ///
    /// # Errors
    /// Those of [`Model::save`]; [`Error::Invalid`] for another name.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let state = TrainingState {
            compile_config: self.options().to_json(),
            iterations: self.optimizer().iterations(),
            values: self.state.saved(&self.order())?,
            loss_scale: self.state.saved_scale(),
        };
        formats::save_training(self.model(), &state, path.as_ref())
    }

    /// The places of the trained weights here, in the order of Keras.
    fn order(&self) -> Vec<usize> {
        let mut order = Vec::new();
        let layers = formats::layers_in_order(self.model());
        for weight in layers.iter().flat_map(|layer| layer.weights()) {
            let place = self.trained_data().position(|data| Arc::ptr_eq(data, weight.data()));
            order.extend(place.filter(|place| !order.contains(place)));
        }
        order
    }
}

impl<'a> Trainer<'a> {
    /// Goes on with the training that [`save`](Self::save), or Keras, has saved at `path`; `model` is what was loaded from there.
    /// A run that was stopped at a checkpoint and is resumed comes to the same bits as one that was not stopped.
    ///
    /// # Errors
    /// [`Error::Format`] where the file cannot be read or does not say how its model was compiled, and for the state of another
    /// model; [`Error::Invalid`] and [`Error::Unsupported`] for an optimizer, a loss or a metric that there is none of here.
    ///
    /// ```no_run
    /// use wgpu_conv::model::Model;
    /// use wgpu_conv::training::{FitOptions, ModelCheckpoint, Trainer};
    /// # use wgpu_conv::{Gpu, HostTensor};
    /// # let (x, y): ([HostTensor; 1], [HostTensor; 1]) = unimplemented!();
    ///
    /// let model = Model::load(&Gpu::new()?, "run.keras")?;
    /// let mut trainer = Trainer::resume(&model, "run.keras")?;
    /// let options = FitOptions { initial_epoch: 5, epochs: 10, ..FitOptions::default() };
    /// trainer.fit(&x, &y, &options, &mut [&mut ModelCheckpoint::new("run.keras")])?;
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn resume(model: &'a Model, path: impl AsRef<Path>) -> Result<Self> {
        let state = formats::saved_training(path.as_ref())?;
        let mut trainer = Self::compile(model, options_of(model, &state)?)?;
        trainer.set_state(&state, path.as_ref())?;
        Ok(trainer)
    }

    /// Goes on with what [`save`](Self::save) has saved at `path` of the same model, compiled as this one is: the weights of the
    /// model become those of the file, and so do what the optimizer keeps and its learning rate.
    ///
    /// # Errors
    /// [`Error::Format`] where the file cannot be read, and for another model or another way of training it.
    pub fn restore(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let state = formats::saved_training(path)?;
        let saved = options_of(self.model(), &state)?;
        let mut own = self.options();
        own.optimizer.learning_rate = saved.optimizer.learning_rate.clone();
        if own != saved {
            let why = "it is of a training that was compiled otherwise: compile as that one was, or give another path";
            return Err(Error::format(path.display().to_string(), why));
        }
        self.model().load_weights(path)?;
        self.state.set_learning_rate(saved.optimizer.learning_rate)?;
        self.set_state(&state, path)
    }

    /// # Errors
    /// [`Error::Format`] for the state of another model.
    fn set_state(&mut self, saved: &TrainingState, path: &Path) -> Result<()> {
        // Of an optimizer that has taken no step Keras saves its learning rate at most, which stands in its config as well.
        if saved.iterations == 0 && saved.values.len() <= 1 {
            return Ok(());
        }
        let order = self.order();
        let restored = self.state.restore(&order, saved.iterations, &saved.values);
        let restored = restored.and_then(|()| saved.loss_scale.map_or(Ok(()), |it| self.state.restore_scale(it)));
        restored.map_err(|error| Error::format(path.display().to_string(), error.to_string()))
    }
}

/// How a saved training was compiled.
fn options_of(model: &Model, saved: &TrainingState) -> Result<CompileOptions> {
    let mut options = CompileOptions::from_json(&saved.compile_config, &super::trainer::output_names(model))?;
    // Keras writes the config without the loss scale that it has put around the optimizer.
    if saved.loss_scale.is_some() && options.optimizer.loss_scaling.is_none() {
        options.optimizer.loss_scaling = Some(LossScaling::default());
    }
    Ok(options)
}
