//! `train`: a model that learns from pictures or arrays.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};
use wgpu_conv::formats::{FileKind, Inputs, check_file, input_files, read_arrays, write_file};
use wgpu_conv::layers::set_random_seed;
use wgpu_conv::model::{Architecture, Model};
use wgpu_conv::training::{
    CSVLogger, Callback, EarlyStopping, FitOptions, History, Logs, Loss, LossClass, Metric, ModelCheckpoint, Optimizer,
    Run, Samples, Schedule, Trainer,
};
use wgpu_conv::view::curves_page;
use wgpu_conv::{AdapterChoice, Error, HostTensor, printable_name};

use crate::output::{Pixels, Report, Shapes, adapter, aligned, allowed, at_least_one, finite, load, named, on};
use crate::progress::Progress;

/// The names that arrays to learn from go by: inputs, then targets.
const TRAINED: [&[&str]; 2] =
    [&["x_train", "x", "images", "inputs", "input_0"], &["y_train", "y", "labels", "targets", "target"]];
/// The names of those that are only measured by.
const MEASURED: [&[&str]; 2] = [&["x_val", "x_test"], &["y_val", "y_test"]];

/// The arguments of `train`.
#[derive(Args)]
pub struct Train {
    /// The model: a file that `wgpu-conv inspect` knows
    model: PathBuf,
    /// What it learns from: a folder with a folder of pictures for each class, or arrays (.npz, .safetensors) called x and y, or
    /// x_train and y_train; those called x_val or x_test, and y_val or y_test, are only measured by
    data: PathBuf,
    /// The file to write: .keras, with the state of the training
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Replace OUT, and the files of --csv and --page, where they are there already
    #[arg(long)]
    overwrite: bool,
    /// What to measure by after each epoch, given like DATA
    #[arg(long, value_name = "DATA", conflicts_with = "validation_split")]
    validation: Option<PathBuf>,
    /// The share of the samples, the last ones, that are not learned from but measured by
    #[arg(long, value_name = "SHARE")]
    validation_split: Option<f64>,
    /// The array that holds the inputs
    #[arg(long, value_name = "NAME")]
    x: Option<String>,
    /// The array that holds the targets
    #[arg(long, value_name = "NAME")]
    y: Option<String>,
    /// What is made small: any loss of Keras's, as mse or categorical_crossentropy. By default a cross-entropy, of probabilities
    /// or of logits as the last layer gives them
    #[arg(long, value_name = "NAME")]
    loss: Option<String>,
    /// How weights change: any optimizer of Keras's, as sgd or adamw
    #[arg(long, value_name = "NAME", default_value = "adam")]
    optimizer: String,
    /// How far they change in a step; by default the optimizer's own
    #[arg(long, value_name = "RATE", value_parser = finite)]
    learning_rate: Option<f32>,
    /// Let that rate fall to 0 by the end of the last epoch, along half a cosine
    #[arg(long, requires = "learning_rate", conflicts_with = "resume")]
    cosine_decay: bool,
    /// What is reported besides the loss, as auc or precision
    #[arg(long, value_name = "NAME", num_args = 1..)]
    metric: Vec<String>,
    /// Times that all samples are seen
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = at_least_one)]
    epochs: usize,
    /// Samples of a step
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = at_least_one)]
    batch_size: usize,
    /// Where the order of the samples and all that is drawn come from, first weights too
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// End when what is measured has not become better for so many epochs, with the weights of the best one
    #[arg(long, value_name = "EPOCHS")]
    patience: Option<usize>,
    /// Layers that do not learn, by name; the last layers alone learn with `--freeze all-but:2`
    #[arg(long, value_name = "NAME", num_args = 1..)]
    freeze: Vec<String>,
    /// Put a new last layer, with an output for each class of DATA, in the place of the model's own
    #[arg(long, conflicts_with = "resume")]
    new_head: bool,
    /// Begin with random weights rather than those of the file
    #[arg(long, conflicts_with = "resume")]
    from_scratch: bool,
    /// Go on with the training that the file of the model was saved in, by its own loss, optimizer and metrics
    #[arg(long, conflicts_with_all = ["loss", "optimizer", "metric"])]
    resume: bool,
    /// Write OUT after every epoch, so that an interrupted training can be resumed
    #[arg(long)]
    checkpoint: bool,
    /// Write what every epoch came to as comma-separated values
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the curves of losses and metrics as a page to open in a browser
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    #[command(flatten)]
    pixels: Pixels,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Inputs and targets, and how they were come by.
struct Data {
    x: HostTensor,
    y: HostTensor,
    /// The names of the classes, where they are folders.
    classes: Vec<String>,
}

impl Train {
    /// What is printed.
    pub fn report(&self, choice: &AdapterChoice) -> Result<Report, Error> {
        self.check_output()?;
        set_random_seed(self.seed);
        let mut model = load(choice, &self.model, &Shapes::default())?;
        if self.from_scratch {
            model.initialize()?;
        }
        let (data, validation) = self.data(&model)?;
        if self.new_head {
            model = model.with_classes(classes(&data)?)?;
        }
        self.freeze(&mut model)?;
        let mut trainer = self.trainer(&model, &data)?;
        let (x, y) = ([data.x], [data.y]);
        let measured = validation.map(|data| ([data.x], [data.y]));
        let options = FitOptions {
            batch_size: self.batch_size,
            epochs: self.epochs,
            seed: self.seed,
            validation_split: self.validation_split.unwrap_or(0.0),
            validation_data: measured.as_ref().map(|(x, y)| Samples::new(x, y)),
            ..FitOptions::default()
        };
        let validates = measured.is_some() || self.validation_split.is_some();
        let mut shown = EpochProgress::new(&self.model);
        let watched = if validates { "val_loss" } else { "loss" };
        let mut stop =
            self.patience.map(|patience| EarlyStopping::new(watched).patience(patience).restore_best_weights(true));
        let mut table = self.csv.as_ref().map(CSVLogger::new);
        let mut checkpoint = self.checkpoint.then(|| ModelCheckpoint::new(self.output.display().to_string()));
        let mut callbacks: Vec<&mut dyn Callback> = vec![&mut shown];
        callbacks.extend(stop.as_mut().map(|callback| callback as &mut dyn Callback));
        callbacks.extend(table.as_mut().map(|callback| callback as &mut dyn Callback));
        callbacks.extend(checkpoint.as_mut().map(|callback| callback as &mut dyn Callback));
        let start = Instant::now();
        let history = trainer.fit(&x, &y, &options, &mut callbacks)?;
        let seconds = start.elapsed().as_secs_f64();
        drop(shown);
        trainer.save(&self.output)?;
        if let Some(page) = &self.page {
            let names = history.names();
            let curves = names.iter().map(|name| {
                let points = history.iter().filter_map(|(epoch, logs)| Some((epoch, logs.get(name)?)));
                (*name, points.collect::<Vec<_>>())
            });
            let note = format!("{} samples of {} on {}", x[0].shape.dims()[0], named(&self.data), on(model.gpu()));
            let html = curves_page(model.name(), &note, &curves.collect::<Vec<_>>());
            write_file(page, html.as_bytes(), FileKind::Page)?;
        }
        if self.json {
            let epochs = history.iter().map(|(epoch, logs)| {
                let mut all = json!({"epoch": epoch});
                logs.iter().for_each(|(name, value)| all[name] = json!(value));
                all
            });
            return Ok(json!({
                "file": self.output.display().to_string(),
                "model": model.name(),
                "adapter": adapter(model.gpu().info()),
                "samples": x[0].shape.dims()[0],
                "seconds": seconds,
                "stopped_after_epoch": stop.and_then(|stop| stop.stopped_epoch()),
                "classes": data.classes,
                "epochs": epochs.collect::<Value>(),
            })
            .into());
        }
        let mut text = epochs(&history);
        let stopped = stop.as_ref().and_then(|stop| stop.stopped_epoch().zip(stop.best()));
        if let Some((epoch, (best, _))) = stopped {
            let _ = writeln!(text, "\nEnded after epoch {}, with the weights of epoch {}.", epoch + 1, best + 1);
        }
        for (label, class) in data.classes.iter().enumerate() {
            let _ = writeln!(text, "label {label}: {}", printable_name(class));
        }
        let file = self.output.display().to_string();
        let _ = writeln!(text, "\n{}: {seconds:.1} s on {}", printable_name(&file), on(model.gpu()));
        Ok(text.into())
    }

    /// Before anything is computed: where the files could not be written in the end.
    fn check_output(&self) -> Result<(), Error> {
        if !self.output.display().to_string().to_lowercase().ends_with(".keras") {
            return Err(Error::Invalid {
                argument: "output".into(),
                rule: "the name of the file to write must end in .keras".into(),
                received: self.output.display().to_string(),
            });
        }
        let mut files = vec![(&self.output, FileKind::Model)];
        files.extend(self.csv.iter().map(|path| (path, FileKind::Table)));
        files.extend(self.page.iter().map(|path| (path, FileKind::Page)));
        for (index, &(path, kind)) in files.iter().enumerate() {
            allowed(path, self.overwrite)?;
            if files[..index].iter().any(|(other, _)| *other == path) {
                let problem = "is to hold two things at once; give each a file of its own".to_owned();
                return Err(Error::Format { place: path.display().to_string(), problem });
            }
            check_file(path, kind)?;
        }
        Ok(())
    }

    fn freeze(&self, model: &mut Model) -> Result<(), Error> {
        let names: Vec<String> = model.layers().iter().map(|(path, _)| path.clone()).collect();
        for name in &self.freeze {
            match name.strip_prefix("all-but:").map(str::parse::<usize>) {
                Some(Ok(last)) => {
                    for name in &names[..names.len().saturating_sub(last)] {
                        model.set_trainable(name, false)?;
                    }
                }
                _ => model.set_trainable(name, false)?,
            }
        }
        Ok(())
    }

    /// What is learned from, and what is measured by.
    fn data(&self, model: &Model) -> Result<(Data, Option<Data>), Error> {
        let _progress = Progress::new(format!("reading {}", named(&self.data)), "", None);
        let trained;
        let mut measured = None;
        if self.data.is_dir() {
            trained = self.pictures(model, &self.data, None)?;
        } else {
            let mut arrays = read_arrays(&self.data)?;
            let (x, y) = (self.x.as_deref(), self.y.as_deref());
            let no_array = no_array(&self.data, &arrays);
            let x = taken(&mut arrays, x, TRAINED[0]).ok_or_else(|| no_array("inputs", "--x", TRAINED[0]))?;
            let y = taken(&mut arrays, y, TRAINED[1]).ok_or_else(|| no_array("targets", "--y", TRAINED[1]))?;
            trained = Data { x, y, classes: Vec::new() };
            if self.validation.is_none() && self.validation_split.is_none() {
                let both = [taken(&mut arrays, None, MEASURED[0]), taken(&mut arrays, None, MEASURED[1])];
                if let [Some(x), Some(y)] = both {
                    measured = Some(Data { x, y, classes: Vec::new() });
                }
            }
        }
        if let Some(path) = &self.validation {
            measured = Some(if path.is_dir() {
                self.pictures(model, path, Some(&trained.classes))?
            } else {
                let mut arrays = read_arrays(path)?;
                let no_array = no_array(path, &arrays);
                let names = [0, 1].map(|index| [MEASURED[index], TRAINED[index]].concat());
                let x = taken(&mut arrays, self.x.as_deref(), &names[0])
                    .ok_or_else(|| no_array("inputs", "--x", &names[0]))?;
                let y = taken(&mut arrays, self.y.as_deref(), &names[1])
                    .ok_or_else(|| no_array("targets", "--y", &names[1]))?;
                Data { x, y, classes: Vec::new() }
            });
        }
        Ok((trained, measured))
    }

    /// The pictures in the folders of a folder; each is a class, by name those of `known`.
    fn pictures(&self, model: &Model, folder: &Path, known: Option<&[String]>) -> Result<Data, Error> {
        let place = || folder.display().to_string();
        let broken = |problem: String| Error::Format { place: place(), problem };
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|error| broken(format!("cannot be read: {error}")))? {
            let path = entry.map_err(|error| broken(format!("cannot be read: {error}")))?.path();
            if path.is_dir() {
                folders.push(path);
            }
        }
        folders.sort();
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let classes: Vec<String> = match known {
            Some(known) if !known.is_empty() => known.to_vec(),
            _ => folders.iter().map(|path| name(path)).collect(),
        };
        if folders.is_empty() {
            return Err(broken("there must be a folder of pictures for each class, and there is none".into()));
        }
        let reader = self.pixels.reader(model)?;
        let (mut inputs, mut labels) = (Vec::new(), Vec::new());
        for folder in &folders {
            let class = name(folder);
            let Some(label) = classes.iter().position(|known| *known == class) else {
                let text =
                    format!("there must be folders of the classes {} alone, and there is {class}", classes.join(", "));
                return Err(broken(text));
            };
            for file in input_files(folder)? {
                let read = reader.read(&file)?;
                labels.extend(std::iter::repeat_n(label as f32, read.names.len()));
                inputs.push(read);
            }
        }
        let mut joined = Inputs::joined(inputs);
        match (joined.pop(), joined.is_empty()) {
            (Some(all), true) => Ok(Data { x: all.data, y: HostTensor::new([labels.len()], labels)?, classes }),
            _ => Err(broken("pictures must be of one size for a model that takes any".into())),
        }
    }

    /// Steps of all epochs.
    fn steps(&self, data: &Data) -> usize {
        let rows = data.x.shape.dims().first().copied().unwrap_or_default();
        let learned = rows as f64 * (1.0 - self.validation_split.unwrap_or(0.0));
        (learned as usize).div_ceil(self.batch_size).max(1) * self.epochs
    }

    /// How the model is trained.
    fn trainer<'m>(&self, model: &'m Model, data: &Data) -> Result<Trainer<'m>, Error> {
        if self.resume {
            let mut trainer = Trainer::resume(model, &self.model)?;
            if let Some(rate) = self.learning_rate {
                trainer.optimizer_mut().set_learning_rate(f64::from(rate))?;
            }
            return Ok(trainer);
        }
        let loss = match &self.loss {
            Some(name) => Loss::from_name(name)?,
            None => {
                let (loss, of) = cross_entropy(model, &data.y);
                let chosen = format!("the loss is {} of {of}, as suits the last layer and the targets", loss.name());
                let _ = writeln!(io::stderr(), "note: {chosen}; --loss takes another");
                loss
            }
        };
        if let LossClass::SparseCategoricalCrossentropy { .. } = loss.class {
            check_labels(model, &data.y)?;
        }
        let mut metrics = self.metric.iter().map(|name| Metric::from_name(name)).collect::<Result<Vec<_>, _>>()?;
        let of_classes = matches!(
            loss.class,
            LossClass::SparseCategoricalCrossentropy { .. }
                | LossClass::CategoricalCrossentropy { .. }
                | LossClass::BinaryCrossentropy { .. }
        );
        if metrics.is_empty() && of_classes {
            metrics.push(match loss.class {
                // A logit is above 0 where its probability is above a half.
                LossClass::BinaryCrossentropy { from_logits: true, .. } => Metric::BinaryAccuracy { threshold: 0.0 },
                _ => Metric::Accuracy,
            });
        }
        let mut optimizer = Optimizer::from_name(&self.optimizer)?;
        if let Some(rate) = self.learning_rate {
            // As it was written, not as f32 rounds it.
            let rate = rate.to_string().parse().unwrap_or(f64::from(rate));
            optimizer = optimizer.learning_rate(match self.cosine_decay {
                false => Schedule::Constant(rate),
                true => Schedule::CosineDecay {
                    initial: rate,
                    decay_steps: self.steps(data) as f64,
                    alpha: 0.0,
                    warmup_target: None,
                    warmup_steps: 0.0,
                },
            });
        }
        Trainer::new(model, optimizer, &[loss], &metrics)
    }
}

/// The array of a name, or of the first of some names that there is one of.
fn taken(arrays: &mut Vec<(String, HostTensor)>, name: Option<&str>, names: &[&str]) -> Option<HostTensor> {
    let wanted = |arrays: &[(String, HostTensor)], name: &str| arrays.iter().position(|(known, _)| known == name);
    let place = match name {
        Some(name) => wanted(arrays, name),
        None => names.iter().find_map(|name| wanted(arrays, name)),
    };
    place.map(|place| arrays.remove(place).1)
}

/// Why the file at `path`, which holds `arrays`, has none of a kind: what it is called, the option that names it, and its usual
/// names.
fn no_array(path: &Path, arrays: &[(String, HostTensor)]) -> impl Fn(&str, &str, &[&str]) -> Error + use<> {
    let there: Vec<_> = arrays.iter().map(|(name, array)| format!("{name} {}", array.shape)).collect();
    let (place, there) = (path.display().to_string(), there.join(", "));
    move |what, option, names| {
        let names = names.join(", ");
        let problem = format!(
            "there must be an array of {what}, called {names} or as {option} says; it holds no array but {there}"
        );
        Error::Format { place: place.clone(), problem }
    }
}

/// How many classes there are: folders, places of a target, or labels up to the highest.
fn classes(data: &Data) -> Result<u32, Error> {
    let y = &data.y;
    let rows = y.shape.dims().first().copied().unwrap_or_default();
    let count = if !data.classes.is_empty() {
        data.classes.len()
    } else if y.values.len() > rows {
        y.shape.dims().last().copied().unwrap_or_default()
    } else {
        let highest = y.values.iter().copied().fold(0.0, f32::max);
        if let Some(label) = y.values.iter().find(|label| label.fract() != 0.0 || **label < 0.0) {
            return Err(Error::Invalid {
                argument: "new-head".into(),
                rule: "targets must be classes, whole numbers from 0 on, to be counted for a new last layer".into(),
                received: label.to_string(),
            });
        }
        highest as usize + 1
    };
    u32::try_from(count).map_err(|_| Error::Invalid {
        argument: "new-head".into(),
        rule: "there must be fewer classes than 2³²".into(),
        received: count.to_string(),
    })
}

/// The cross-entropy that suits the last layer and the targets, and what the model's values are taken for.
fn cross_entropy(model: &Model, y: &HostTensor) -> (Loss, &'static str) {
    let last = last_activation(&model.architecture());
    let (from_logits, axis, label_smoothing) = (last.is_none(), -1, 0.0);
    let output = model.output_shapes();
    let scores = output.first().and_then(|shape| shape.dims().last().copied().flatten());
    let each = y.shape.rank() > 1 && y.shape.dims().last().copied() == scores;
    // Several sigmoids with a target each are answers to as many questions.
    let class = if scores == Some(1) || each && last == Some("sigmoid") {
        LossClass::BinaryCrossentropy { from_logits, label_smoothing, axis }
    } else if each {
        LossClass::CategoricalCrossentropy { from_logits, label_smoothing, axis }
    } else {
        LossClass::SparseCategoricalCrossentropy { from_logits, ignore_class: None, axis }
    };
    (Loss::new(class), if from_logits { "logits" } else { "probabilities" })
}

/// The softmax or the sigmoid that makes the output, also where layers stand behind it that leave values as they are.
fn last_activation(architecture: &Architecture) -> Option<&'static str> {
    let mut place = architecture.outputs().first().copied();
    while let Some(layer) =
        place.and_then(|place| architecture.layers().get(place.checked_sub(architecture.inputs().len())?))
    {
        let json = layer.config.to_json(&[]).unwrap_or_default();
        let activation = &json["config"]["activation"];
        let class = json["class_name"].as_str().unwrap_or_default();
        if class == "Softmax" {
            return Some("softmax");
        }
        if let Some(made) = ["softmax", "sigmoid"].into_iter().find(|name| activation == name) {
            return Some(made);
        }
        let as_it_is = ["Reshape", "Flatten", "Permute", "Dropout", "Identity"].contains(&class)
            || (class == "Activation" && activation == "linear");
        place = layer.inputs.first().copied().filter(|_| as_it_is);
    }
    None
}

/// # Errors
/// [`Error::Invalid`] for a label that is no place among the scores.
fn check_labels(model: &Model, y: &HostTensor) -> Result<(), Error> {
    let scores = model.output_shapes().first().and_then(|shape| shape.dims().last().copied().flatten());
    let Some(scores) = scores else { return Ok(()) };
    match y.values.iter().find(|&&label| label.fract() != 0.0 || label < 0.0 || label >= scores as f32) {
        None => Ok(()),
        Some(label) => Err(Error::Invalid {
            argument: "y".into(),
            rule: format!("labels must be whole numbers from 0 to {}, the places of the model's scores", scores - 1)
                .into(),
            received: label.to_string(),
        }),
    }
}

/// Epochs as a table: the first and the last ones.
fn epochs(history: &History) -> String {
    const SHOWN: usize = 20;
    let names = history.names();
    let mut lines = vec![["epoch"].into_iter().chain(names.iter().copied()).map(str::to_owned).collect::<Vec<_>>()];
    let left_out = history.len().saturating_sub(SHOWN);
    for (index, (epoch, logs)) in history.iter().enumerate() {
        if index > 0 && index <= left_out {
            if index == left_out {
                lines.push(vec!["…".to_owned()]);
            }
            continue;
        }
        let value = |name: &&str| logs.get(name).map(|value| format!("{value:.4}")).unwrap_or_default();
        lines.push([(epoch + 1).to_string()].into_iter().chain(names.iter().map(value)).collect());
    }
    aligned(&lines)
}

/// Shows how far the training is.
struct EpochProgress {
    progress: Progress,
    last: Arc<Mutex<String>>,
    epoch: String,
}

impl EpochProgress {
    fn new(model: &Path) -> Self {
        let last = Arc::new(Mutex::new(String::new()));
        let shown = last.clone();
        let detail = move || shown.lock().map(|text| text.clone()).unwrap_or_default();
        Self {
            progress: Progress::new(format!("training {}", named(model)), "steps", Some(Box::new(detail))),
            last,
            epoch: String::new(),
        }
    }

    fn say(&self, logs: &Logs) {
        let loss = logs.get("loss").unwrap_or(f64::NAN);
        if let Ok(mut last) = self.last.lock() {
            *last = format!("{}, loss {loss:.4}", self.epoch);
        }
    }
}

impl Callback for EpochProgress {
    fn on_train_begin(&mut self, run: &mut Run<'_, '_>) -> Result<(), Error> {
        self.progress.expect(run.epochs().saturating_mul(run.steps().unwrap_or(0)));
        Ok(())
    }

    fn on_epoch_begin(&mut self, run: &mut Run<'_, '_>, epoch: usize) -> Result<(), Error> {
        self.epoch = format!("epoch {} of {}", epoch + 1, run.epochs());
        Ok(())
    }

    fn on_train_batch_end(&mut self, _: &mut Run<'_, '_>, _: usize, logs: &Logs) -> Result<(), Error> {
        self.progress.done(1);
        self.say(logs);
        Ok(())
    }
}
