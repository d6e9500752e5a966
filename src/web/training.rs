//! Training for JavaScript: Keras's `compile` and `fit` in one call, by the names that Keras has, in JavaScript's letters.

use js_sys::{Array, Function, JSON, Object, Reflect};
use serde_json::{Value as Json, json};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use super::{Model, Result, set, values};
use crate::training::{
    Batch, Callback, CompileOptions, FitOptions, History, Logs, Optimizer, Run, Samples, Trainer, output_names,
};
use crate::{Error, Variable, formats};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = "
/** How a model is trained: Keras's `compile`. What is left out is as the model's file says, where it says so. */
export interface CompileOptions {
    /** A name, as 'adam', or the config that Keras's `serialize` writes; 'rmsprop' where nobody says. */
    optimizer?: string | object;
    /** Instead of the optimizer's own. */
    learningRate?: number;
    /** A name, as 'sparse_categorical_crossentropy', or a config; of a model of several outputs one for each. */
    loss?: string | object | (string | object)[];
    /** What the loss of each output is multiplied by; 1 by default. */
    lossWeights?: number[];
    /** What is reported beside the loss, as ['accuracy']; of a model of several outputs a list for each. */
    metrics?: (string | object | (string | object)[])[];
}
/** How `fit` goes through the data. */
export interface FitOptions extends CompileOptions {
    /** Samples of a step; 32 by default. */
    batchSize?: number;
    /** Times that all samples are seen; 1 by default. */
    epochs?: number;
    /** Whether samples are in another order in each epoch; true by default. */
    shuffle?: boolean;
    /** Where those orders, and what layers draw, come from; 0 by default. */
    seed?: number;
    /** The share of the samples, the last ones, that are not trained on but evaluated; 0 by default. */
    validationSplit?: number;
    /** What is evaluated after each epoch instead. */
    validationData?: { x: HostTensor | HostTensor[]; y: HostTensor | HostTensor[] };
    /** Called after each step, numbered from 0 in each epoch, with what the epoch has come to; `false` ends the training. */
    onBatch?: (batch: number, logs: Logs) => boolean | void;
    /** Called after each epoch, numbered from 0, with what it came to; `false` ends the training. */
    onEpoch?: (epoch: number, logs: Logs) => boolean | void;
}
/** Numbers by name: `loss`, the metrics, and with `val_` before them those of validation. */
export type Logs = Record<string, number>;
/** What the epochs of a training came to. */
export interface History { epoch: number[]; history: Record<string, number[]> }
";

/// The options of [`Model::fit`]; those of [`Model::evaluate`] are some of them.
const COMPILE: [&str; 5] = ["optimizer", "learningRate", "loss", "lossWeights", "metrics"];
const FIT: [&str; 8] =
    ["batchSize", "epochs", "shuffle", "seed", "validationSplit", "validationData", "onBatch", "onEpoch"];

#[wasm_bindgen]
impl Model {
    /// Trains on samples, which lie along the first axis of `x` and `y`: the model's inputs and the targets of its outputs. Each
    /// call compiles the model anew, so that what an optimizer keeps begins with it.
    #[wasm_bindgen(unchecked_return_type = "History")]
    pub async fn fit(
        &self,
        #[wasm_bindgen(unchecked_param_type = "HostTensor | HostTensor[]")] x: JsValue,
        #[wasm_bindgen(unchecked_param_type = "HostTensor | HostTensor[]")] y: JsValue,
        #[wasm_bindgen(unchecked_param_type = "FitOptions | undefined")] options: JsValue,
    ) -> Result<Object> {
        let options = Options::new(options, &[&COMPILE, &FIT])?;
        let (x, y) = (values::one_or_more(&x)?, values::one_or_more(&y)?);
        let held = match options.of("validationData") {
            Some(data) => {
                let of = |name: &str| values::one_or_more(&Reflect::get(&data, &name.into()).unwrap_or_default());
                Some(Batch::new(of("x")?, of("y")?))
            }
            None => None,
        };
        let default = FitOptions::default();
        let fit = FitOptions {
            batch_size: options.count("batchSize")?.unwrap_or(default.batch_size),
            epochs: options.count("epochs")?.unwrap_or(default.epochs),
            shuffle: options.flag("shuffle")?.unwrap_or(default.shuffle),
            seed: options.count("seed")?.unwrap_or(0) as u64,
            validation_split: options.number("validationSplit")?.unwrap_or(default.validation_split),
            validation_data: held.as_ref().map(Batch::samples),
            ..default
        };
        crate::layers::set_random_seed(fit.seed);
        let mut told = Told { on_batch: options.function("onBatch")?, on_epoch: options.function("onEpoch")? };
        let mut trainer = Trainer::compile(&self.0, options.compiled(&self.0)?)?;
        let history = trainer.fit_async(&x, &y, &fit, &mut [&mut told]).await?;
        Ok(of_history(&history))
    }

    /// The loss and the metrics of samples: what `fit` reports of them, and nothing is changed. Of its options those count which
    /// say how a model is trained, and `batchSize`.
    #[wasm_bindgen(unchecked_return_type = "Logs")]
    pub async fn evaluate(
        &self,
        #[wasm_bindgen(unchecked_param_type = "HostTensor | HostTensor[]")] x: JsValue,
        #[wasm_bindgen(unchecked_param_type = "HostTensor | HostTensor[]")] y: JsValue,
        #[wasm_bindgen(unchecked_param_type = "FitOptions | undefined")] options: JsValue,
    ) -> Result<Object> {
        let options = Options::new(options, &[&COMPILE, &FIT])?;
        let (x, y) = (values::one_or_more(&x)?, values::one_or_more(&y)?);
        let mut trainer = Trainer::compile(&self.0, options.compiled(&self.0)?)?;
        let batch = options.count("batchSize")?.unwrap_or(FitOptions::default().batch_size);
        Ok(of_logs(&trainer.evaluate_samples_async(Samples::new(&x, &y), batch).await?))
    }

    /// Gives all weights first values, as if the model were new; equal seeds give equal ones.
    pub fn initialize(&self, seed: u32) -> Result<()> {
        crate::layers::set_random_seed(u64::from(seed));
        Ok(self.0.initialize()?)
    }

    /// All weights as they are at this moment, whatever training does until they are there, in the order of the layers and of
    /// Keras in each.
    #[wasm_bindgen(unchecked_return_type = "Promise<Weight[]>")]
    pub fn weights(&self) -> Result<js_sys::Promise> {
        let weights: Vec<(String, Variable)> =
            self.0.weights().into_iter().map(|(path, weight)| (path, weight.clone())).collect();
        let variables: Vec<&Variable> = weights.iter().map(|(_, weight)| weight).collect();
        let reading = Variable::reading_all(self.0.gpu(), &variables)?;
        Ok(future_to_promise(async move {
            let read = reading.await.map_err(JsError::from)?;
            let named = weights.iter().zip(&read).map(|((path, _), values)| {
                let object = values::of_host(values);
                set(&object, "name", path);
                object
            });
            Ok(named.collect::<Array>().into())
        }))
    }

    /// The model with its weights as a `.keras` file, as Keras loads it, without what an optimizer keeps.
    pub async fn save(&self) -> Result<Vec<u8>> {
        Ok(self.0.to_keras_async().await?)
    }
}

/// The arrays in a file of NumPy's, `.npz` or `.npy`, by their names; whole numbers, as labels are, are taken too.
#[wasm_bindgen(js_name = readArrays, unchecked_return_type = "Weight[]")]
pub fn read_arrays(bytes: &[u8]) -> Result<Array> {
    let arrays = formats::arrays_of(bytes, "the file of arrays")?;
    let named = arrays.iter().map(|(name, array)| {
        let object = values::of_host(array);
        set(&object, "name", name);
        object
    });
    Ok(named.collect())
}

fn of_logs(logs: &Logs) -> Object {
    let object = Object::new();
    logs.iter().for_each(|(name, value)| set(&object, name, value));
    object
}

fn of_history(history: &History) -> Object {
    let by_name = Object::new();
    for name in history.names() {
        set(&by_name, name, history.series(name).into_iter().map(JsValue::from).collect::<Array>());
    }
    let object = Object::new();
    set(&object, "epoch", history.iter().map(|(epoch, _)| JsValue::from(epoch as f64)).collect::<Array>());
    set(&object, "history", by_name);
    object
}

/// Has JavaScript's functions told of a run.
struct Told {
    on_batch: Option<Function>,
    on_epoch: Option<Function>,
}

impl Callback for Told {
    fn on_train_batch_end(&mut self, run: &mut Run<'_, '_>, batch: usize, logs: &Logs) -> crate::Result<()> {
        tell(self.on_batch.as_ref(), run, batch, logs)
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_, '_>, epoch: usize, logs: &mut Logs) -> crate::Result<()> {
        tell(self.on_epoch.as_ref(), run, epoch, logs)
    }
}

/// # Errors
/// What the function throws.
fn tell(function: Option<&Function>, run: &mut Run<'_, '_>, number: usize, logs: &Logs) -> crate::Result<()> {
    let Some(function) = function else { return Ok(()) };
    match function.call2(&JsValue::UNDEFINED, &JsValue::from(number as f64), &of_logs(logs)) {
        Ok(answer) if answer == JsValue::FALSE => run.stop(),
        Ok(_) => {}
        Err(thrown) => {
            let words = thrown.dyn_ref::<js_sys::Error>().map(js_sys::Error::message).map(String::from);
            let words = words.unwrap_or_else(|| format!("{thrown:?}"));
            return Err(Error::invalid("callback", "what is called after a step or an epoch must not throw", words));
        }
    }
    Ok(())
}

/// An object of options by name.
struct Options(JsValue);

impl Options {
    /// # Errors
    /// For what is no object, and for a name that is none of `known`.
    fn new(options: JsValue, known: &[&[&str]]) -> Result<Self> {
        if options.is_undefined() {
            return Ok(Self(Object::new().into()));
        }
        let Some(object) = options.dyn_ref::<Object>() else {
            return Err(JsError::new(&format!("options must be an object; received {options:?}")));
        };
        for name in Object::keys(object).iter().filter_map(|name| name.as_string()) {
            if !known.concat().contains(&name.as_str()) {
                let rule = format!("options must be some of {}", known.concat().join(", "));
                return Err(Error::invalid("options", rule, name).into());
            }
        }
        Ok(Self(options))
    }

    fn of(&self, name: &str) -> Option<JsValue> {
        Reflect::get(&self.0, &name.into()).ok().filter(|value| !value.is_undefined() && !value.is_null())
    }

    /// # Errors
    /// Of something else than `what`, which `read` knows.
    fn read<T>(&self, name: &'static str, what: &str, read: impl Fn(&JsValue) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.of(name) else { return Ok(None) };
        match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(Error::invalid(name, format!("{name} must be {what}"), format!("{value:?}")).into()),
        }
    }

    fn number(&self, name: &'static str) -> Result<Option<f64>> {
        self.read(name, "a number", JsValue::as_f64)
    }

    fn count(&self, name: &'static str) -> Result<Option<usize>> {
        let whole = |value: &JsValue| {
            let number = value.as_f64().filter(|number| number.fract() == 0.0)?;
            (0.0..=f64::from(u32::MAX)).contains(&number).then_some(number as usize)
        };
        self.read(name, "a whole number from 0", whole)
    }

    fn flag(&self, name: &'static str) -> Result<Option<bool>> {
        self.read(name, "true or false", JsValue::as_bool)
    }

    fn function(&self, name: &'static str) -> Result<Option<Function>> {
        self.read(name, "a function", |value| value.dyn_ref::<Function>().cloned())
    }

    /// How `model` is to be trained: as its file says, but for what is given.
    fn compiled(&self, model: &crate::model::Model) -> Result<CompileOptions> {
        let noted = model.notes().get("compile_config").filter(|noted| noted["optimizer"].is_object());
        let mut config = noted.cloned().unwrap_or_else(|| json!({"optimizer": "rmsprop"}));
        for (option, name) in
            [("optimizer", "optimizer"), ("loss", "loss"), ("lossWeights", "loss_weights"), ("metrics", "metrics")]
        {
            if let Some(value) = self.of(option) {
                let text = JSON::stringify(&value).ok().and_then(|text| text.as_string()).unwrap_or_default();
                config[name] = serde_json::from_str::<Json>(&text)?;
            }
        }
        let mut options = CompileOptions::from_json(&config, &output_names(model))?;
        if let Some(rate) = self.number("learningRate")? {
            options.optimizer = Optimizer { learning_rate: rate.into(), ..options.optimizer };
        }
        Ok(options)
    }
}
