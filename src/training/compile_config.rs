//! How a model was compiled, as Keras writes and reads it: optimizer, losses and metrics in one config map.

use serde_json::{Value as Json, json};

use super::{CompileOptions, Loss, Metric, Optimizer};
use crate::{Error, Result};

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
