//! Trainings in `.keras` files: begun here or in Keras, and gone on with in either.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{CompileOptions, Loss, LossScaling, Metric, Optimizer, Trainer};
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
        if saved.iterations == 0 && saved.values.is_empty() {
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

impl CompileOptions {
    /// Keras's compile config.
    pub fn to_json(&self) -> Json {
        let alone = self.losses.len() == 1;
        let metrics = |lists: &[Vec<Metric>]| {
            let lists: Vec<Json> =
                lists.iter().map(|metrics| metrics.iter().map(Metric::to_json).collect::<Json>()).collect();
            match lists.as_slice() {
                [] => Json::Null,
                [one] if alone => one.clone(),
                several => json!(several),
            }
        };
        let losses: Vec<Json> = self.losses.iter().map(Loss::to_json).collect();
        json!({
            "optimizer": self.optimizer.to_json(),
            "loss": if alone { losses[0].clone() } else { json!(losses) },
            "loss_weights": if self.loss_weights.is_empty() { Json::Null } else { json!(self.loss_weights) },
            "metrics": metrics(&self.metrics),
            "weighted_metrics": metrics(&self.weighted_metrics),
            "run_eagerly": false,
            "steps_per_execution": 1,
            "jit_compile": "auto",
        })
    }

    /// What Keras's compile config says, for a model whose outputs have these names.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an optimizer, a loss or a metric that there is none of here, and where there is not one for each
    /// output.
    pub fn from_json(json: &Json, outputs: &[String]) -> Result<Self> {
        let empty = Json::Null;
        let of = |name: &str| json.get(name).unwrap_or(&empty);
        let losses = by_output(of("loss"), outputs, "loss")?;
        let losses = losses.into_iter().map(|loss| match loss {
            Json::Null => {
                Err(Error::invalid("loss", "there must be a loss for each output", format!("loss={}", of("loss"))))
            }
            loss => Loss::from_json(loss),
        });
        let metrics = |name: &'static str| -> Result<Vec<Vec<Metric>>> {
            let json = of(name);
            let lists = match json {
                Json::Null => return Ok(Vec::new()),
                // Of one output the list may be its own.
                Json::Array(items) if outputs.len() == 1 && !items.iter().any(Json::is_array) => vec![json],
                _ => by_output(json, outputs, name)?,
            };
            let lists = lists.into_iter().map(|list| {
                let items = match list {
                    Json::Null => &[][..],
                    Json::Array(items) => items,
                    one => std::slice::from_ref(one),
                };
                items.iter().filter(|item| !item.is_null()).map(Metric::from_json).collect()
            });
            lists.collect()
        };
        let loss_weights = match of("loss_weights") {
            Json::Null => Vec::new(),
            json => {
                let weights = by_output(json, outputs, "loss_weights")?;
                let weights: Option<Vec<f64>> = weights.into_iter().map(Json::as_f64).collect();
                weights.ok_or_else(|| {
                    Error::invalid("loss_weights", "weights of losses must be numbers", format!("loss_weights={json}"))
                })?
            }
        };
        Ok(Self {
            optimizer: Optimizer::from_json(of("optimizer"))?,
            losses: losses.collect::<Result<_>>()?,
            loss_weights,
            metrics: metrics("metrics")?,
            weighted_metrics: metrics("weighted_metrics")?,
        })
    }
}

/// What is said of each output: in a list, by name, or of the only one by itself.
fn by_output<'j>(json: &'j Json, outputs: &[String], argument: &'static str) -> Result<Vec<&'j Json>> {
    let found: Option<Vec<&Json>> = match json {
        Json::Array(items) => Some(items.iter().collect()),
        Json::Object(map) if !map.contains_key("class_name") => {
            let known = map.keys().all(|name| outputs.contains(name));
            known.then(|| outputs.iter().map(|name| map.get(name).unwrap_or(&Json::Null)).collect())
        }
        // One for every output.
        one => Some(vec![one; outputs.len()]),
    };
    found.filter(|found| found.len() == outputs.len()).ok_or_else(|| {
        let rule = format!("there must be one for each of the outputs {}", outputs.join(", "));
        Error::invalid(argument, rule, json.to_string().chars().take(200).collect::<String>())
    })
}
