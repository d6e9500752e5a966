//! `fit`: its arguments, callbacks and metrics against Keras's numbers, and trainings in files.
//!
//! The numbers are those of Keras itself (`tests/fixtures/training/generate.py`); orders of samples are its own, so those runs
//! do not shuffle.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::test_each;
use gpu::gpu;
use serde_json::Value;
use wgpu_conv::layers::{Conv2D, Dense, Flatten, GivenMask, Initializer, LayerConfig};
use wgpu_conv::model::{Functional, Model, Sequential};
use wgpu_conv::training::{
    BackupAndRestore, Batch, CSVLogger, Callback, CompileOptions, EarlyStopping, FitOptions, History,
    LearningRateScheduler, Logs, Loss, LossClass, Metric, Mode, ModelCheckpoint, Optimizer, OptimizerClass,
    ProgressLogger, ReduceLROnPlateau, Run, Samples, Schedule, TerminateOnNaN, Trainer,
};
use wgpu_conv::{Activation, Gpu, HostTensor, Tensor};

/// Sums of f32 in another order, and three epochs of steps.
const CLOSE: f64 = 2e-5;

fn material() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/training/fit.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn tensor(json: &Value) -> HostTensor {
    let list = |name: &str| json[name].as_array().unwrap().iter();
    let shape: Vec<usize> = list("shape").map(|extent| extent.as_u64().unwrap() as usize).collect();
    HostTensor::new(shape, list("values").map(|value| value.as_f64().unwrap() as f32).collect()).unwrap()
}

fn text<T>(result: wgpu_conv::Result<T>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

fn close(name: &str, got: f64, golden: f64) -> Result<(), String> {
    let off = (got - golden).abs() / golden.abs().max(0.1);
    if off <= CLOSE { Ok(()) } else { Err(format!("{name} is {got}, not {golden}")) }
}

/// Some of the samples.
fn part(y: &HostTensor, some: std::ops::Range<usize>) -> HostTensor {
    let each = y.values.len() / y.shape.dims()[0];
    let mut dims = y.shape.dims().to_vec();
    dims[0] = some.len();
    HostTensor::new(dims, y.values[some.start * each..some.end * each].to_vec()).unwrap()
}

/// A model that passes its input on, with a weight that nothing reads but that makes it trainable.
fn passing(gpu: &Gpu, shape: &[usize]) -> Model {
    let extents: Vec<Option<usize>> = [None].into_iter().chain(shape[1..].iter().map(|&extent| Some(extent))).collect();
    let graph = Functional::new(gpu);
    let input = graph.input("x", extents).unwrap();
    // Times 1: a depthwise kernel of one tap.
    let last = *shape.last().unwrap();
    let dense = (&input | Dense::new(last as u32).use_bias(false).name("same")).finish().unwrap();
    let model = graph.model("passing", &[&input], &[&dense]).unwrap();
    let identity = (0..last * last).map(|at| f32::from(u8::from(at / last == at % last))).collect();
    model.weights()[0].1.assign(&HostTensor::new([last, last], identity).unwrap()).unwrap();
    model
}

/// Each metric over three batches, the last one smaller, with weights and without.
#[test]
fn metrics_are_keras_s() {
    let Some(gpu) = gpu() else { return };
    let material = material();
    let metrics = &material["metrics"];
    let weights = tensor(&metrics["weights"]);
    test_each(
        metrics["cases"].as_array().unwrap(),
        |case| format!("{} {}", case["data"], case["metric"]),
        |case| {
            let [y, x] = [0, 1].map(|index| tensor(&metrics["data"][case["data"].as_str().unwrap()][index]));
            let metric = text(Metric::from_json(&case["metric"]))?;
            if text(Metric::from_json(&metric.to_json()))? != metric {
                return Err(format!("its own config is read otherwise: {}", metric.to_json()));
            }
            let model = passing(&gpu, x.shape.dims());
            // Whatever takes predictions and targets of this shape.
            let loss = if x.shape == y.shape { "mse" } else { "sparse_categorical_crossentropy" };
            let options = CompileOptions {
                metrics: vec![vec![metric.clone()]],
                weighted_metrics: vec![vec![metric.clone().named("weighted")]],
                ..CompileOptions::new(Optimizer::from_name("sgd").unwrap(), [Loss::from_name(loss).unwrap()])
            };
            let mut trainer = text(Trainer::compile(&model, options))?;
            let (x, y, weights) = ([x], [y], [weights.clone()]);
            let samples = Samples { sample_weight: &weights, ..Samples::new(&x, &y) };
            let logs = text(trainer.evaluate_samples(samples, 25))?;
            close("the metric", logs.get(&metric.name()).unwrap(), case["result"].as_f64().unwrap())?;
            close("the weighted one", logs.get("weighted").unwrap(), case["weighted"].as_f64().unwrap())
        },
    );
}

fn classifier(gpu: &Gpu, kernel: &HostTensor) -> Model {
    let mut chain = Sequential::new(gpu).with_input([None, Some(3)]).unwrap();
    chain.add(Dense::new(3).activation(Activation::from_name("softmax").unwrap())).unwrap();
    let model = chain.into_model().unwrap();
    model.weights()[0].1.assign(kernel).unwrap();
    model
}

/// Every argument of `fit`, and the callbacks that change a run, on a small classifier.
#[test]
fn runs_are_keras_s() {
    let Some(gpu) = gpu() else { return };
    let material = material();
    let runs = &material["runs"];
    let of = |name: &str| tensor(&runs["tensors"][name]);
    let (x, y, x_val, y_val, weights) = ([of("x")], [of("y")], [of("x_val")], [of("y_val")], [of("weights")]);
    test_each(
        runs["cases"].as_array().unwrap(),
        |case| case["name"].to_string(),
        |case| {
            let plain = FitOptions { batch_size: 16, epochs: 3, shuffle: false, ..FitOptions::default() };
            let split = FitOptions { validation_split: 0.25, ..plain.clone() };
            let mut plateau =
                ReduceLROnPlateau::new("loss").factor(0.5).patience(2).min_delta(0.2).cooldown(1).min_lr(0.02);
            let mut scheduler = LearningRateScheduler::new(|epoch, rate| if epoch > 0 { 0.5 * rate } else { rate });
            let mut stopping = EarlyStopping::new("val_loss").patience(1).min_delta(0.15).restore_best_weights(true);
            let mut up = EarlyStopping::new("val_accuracy").patience(2).start_from_epoch(1).baseline(0.99);
            let mut callbacks: Vec<&mut dyn Callback> = Vec::new();
            let mut weighted = false;
            let options = match case["name"].as_str().unwrap() {
                "plain" => plain,
                "validation_split" => split,
                "validation_data" => FitOptions {
                    epochs: 4,
                    validation_data: Some(Samples::new(&x_val, &y_val)),
                    validation_freq: 2,
                    ..plain
                },
                "class_weight" => {
                    weighted = true;
                    FitOptions { class_weight: BTreeMap::from([(0, 0.5), (2, 4.0)]), ..split }
                }
                "sample_weight" => {
                    weighted = true;
                    FitOptions { sample_weight: &weights, ..split }
                }
                "steps" => FitOptions { epochs: 4, batch_size: 8, steps_per_epoch: Some(2), ..plain },
                "initial_epoch" => FitOptions { epochs: 5, initial_epoch: 3, ..plain },
                "plateau" => {
                    callbacks.push(&mut plateau);
                    FitOptions { epochs: 8, ..plain }
                }
                "scheduler" => {
                    callbacks.push(&mut scheduler);
                    FitOptions { epochs: 4, ..plain }
                }
                "stopping" => {
                    callbacks.push(&mut stopping);
                    FitOptions { epochs: 12, ..split }
                }
                "stopping_up" => {
                    callbacks.push(&mut up);
                    FitOptions { epochs: 12, ..split }
                }
                name => return Err(format!("no run {name}")),
            };
            let model = classifier(&gpu, &of("kernel"));
            let sgd = Optimizer::new(OptimizerClass::Sgd { momentum: 0.5, nesterov: false }).learning_rate(0.3);
            let loss = Loss::from_name("sparse_categorical_crossentropy").unwrap();
            let mut trainer = text(Trainer::compile(
                &model,
                CompileOptions {
                    metrics: vec![vec![Metric::Accuracy]],
                    weighted_metrics: if weighted {
                        vec![vec![Metric::Accuracy.named("weighted_accuracy")]]
                    } else {
                        vec![]
                    },
                    ..CompileOptions::new(sgd, [loss])
                },
            ))?;
            let history = text(trainer.fit(&x, &y, &options, &mut callbacks))?;
            same_history(&history, &case["history"])?;
            let epochs: Vec<_> = history.iter().map(|(epoch, _)| epoch as u64).collect();
            let golden: Vec<_> =
                case["epochs"].as_array().unwrap().iter().map(|epoch| epoch.as_u64().unwrap()).collect();
            if epochs != golden {
                return Err(format!("epochs {epochs:?}, not {golden:?}"));
            }
            if trainer.optimizer().iterations() != case["iterations"].as_u64().unwrap() {
                return Err(format!("{} steps, not {}", trainer.optimizer().iterations(), case["iterations"]));
            }
            let kernel = text(model.weights()[0].1.read())?;
            let golden = tensor(&case["kernel"]);
            kernel.values.iter().zip(&golden.values).try_for_each(|(got, golden)| {
                let off = (got - golden).abs();
                if off <= 1e-4 { Ok(()) } else { Err(format!("the kernel is {:?}, not {golden}", kernel.values)) }
            })
        },
    );
}

fn same_history(history: &History, golden: &Value) -> Result<(), String> {
    let golden = golden.as_object().unwrap();
    for (name, values) in golden {
        let series = history.series(name);
        let values = values.as_array().unwrap();
        if series.len() != values.len() {
            return Err(format!("{name} has {} values, not {}: {:?}", series.len(), values.len(), history.names()));
        }
        for (got, golden) in series.iter().zip(values) {
            let off = (got - golden.as_f64().unwrap()).abs();
            if off > 1e-4 {
                return Err(format!("{name} is {series:?}, not {values:?}"));
            }
        }
    }
    if history.names().len() == golden.len() {
        Ok(())
    } else {
        Err(format!("{:?}, not {:?}", history.names(), golden.keys()))
    }
}

/// Losses with weights, metrics by output, and Keras's names of them; by Keras's own compile config.
#[test]
fn several_outputs_are_keras_s() {
    let Some(gpu) = gpu() else { return };
    let material = material();
    let several = &material["several"];
    let of = |name: &str| tensor(&several["tensors"][name]);
    let graph = Functional::new(&gpu);
    let x = graph.input("x", [None, Some(3)]).unwrap();
    let left = (&x | Dense::new(2).name("left")).finish().unwrap();
    let sigmoid = Activation::from_name("sigmoid").unwrap();
    let right = (&x | Dense::new(1).activation(sigmoid).name("right")).finish().unwrap();
    let model = graph.model("two", &[&x], &[&left, &right]).unwrap();
    for (path, weight) in model.weights() {
        if let Some(name) = path.strip_suffix("/kernel") {
            weight.assign(&of(name)).unwrap();
        }
    }
    let outputs = ["left".to_owned(), "right".to_owned()];
    let options = CompileOptions::from_json(&several["compile_config"], &outputs).unwrap();
    assert_eq!(CompileOptions::from_json(&options.to_json(), &outputs).unwrap(), options);
    assert_eq!(options.loss_weights, [1.0, 0.25]);
    let mut trainer = Trainer::compile(&model, options).unwrap();
    let options = FitOptions { batch_size: 8, epochs: 3, shuffle: false, ..FitOptions::default() };
    let history = trainer.fit(&[of("x")], &[of("a"), of("b")], &options, &mut []).unwrap();
    same_history(&history, &several["history"]).unwrap();
}

/// Points that are learned from in the tests below: nothing of Keras's.
fn points() -> ([HostTensor; 1], [HostTensor; 1]) {
    let wave = |at: usize, scale: f64| (at as f64 * scale).sin() as f32;
    let x: Vec<f32> = (0..120).map(|at| wave(at, 1.3)).collect();
    let y = x.chunks(3).map(|x| if x[0] > 0.5 { 2.0 } else { f32::from(u8::from(x[1] > 0.0)) }).collect();
    ([HostTensor::new([40, 3], x).unwrap()], [HostTensor::new([40], y).unwrap()])
}

fn kernel() -> HostTensor {
    HostTensor::new([3, 3], (0..9).map(|at| 0.2 * ((at * 7 % 5) as f32 - 2.0)).collect()).unwrap()
}

fn trainer<'m>(model: &'m Model, optimizer: Optimizer) -> Trainer<'m> {
    let loss = Loss::from_name("sparse_categorical_crossentropy").unwrap();
    Trainer::new(model, optimizer, &[loss], &[Metric::Accuracy]).unwrap()
}

/// Writes down what it is told.
#[derive(Default)]
struct Recorder(Vec<String>);

impl Callback for Recorder {
    fn on_train_begin(&mut self, run: &mut Run<'_, '_>) -> wgpu_conv::Result<()> {
        self.0.push(format!("begin {} {} {}", run.epochs(), run.steps().unwrap_or(0), run.validates()));
        Ok(())
    }

    fn on_epoch_begin(&mut self, _: &mut Run<'_, '_>, epoch: usize) -> wgpu_conv::Result<()> {
        self.0.push(format!("epoch {epoch}"));
        Ok(())
    }

    fn on_train_batch_begin(&mut self, _: &mut Run<'_, '_>, batch: usize) -> wgpu_conv::Result<()> {
        self.0.push(format!("batch {batch}"));
        Ok(())
    }

    fn on_train_batch_end(&mut self, _: &mut Run<'_, '_>, batch: usize, logs: &Logs) -> wgpu_conv::Result<()> {
        self.0.push(format!("batch {batch} done {}", logs.iter().count()));
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_, '_>, epoch: usize, logs: &mut Logs) -> wgpu_conv::Result<()> {
        self.0.push(format!("epoch {epoch} done {}", logs.iter().count()));
        run.stop();
        Ok(())
    }

    fn on_train_end(&mut self, _: &mut Run<'_, '_>) -> wgpu_conv::Result<()> {
        self.0.push("end".into());
        Ok(())
    }
}

#[test]
fn callbacks_are_told_in_order() {
    let Some(gpu) = gpu() else { return };
    let model = classifier(&gpu, &kernel());
    let (x, y) = points();
    let mut recorder = Recorder::default();
    let options = FitOptions { epochs: 3, validation_split: 0.25, batch_size: 20, ..FitOptions::default() };
    let optimizer = Optimizer::from_name("sgd").unwrap();
    trainer(&model, optimizer).fit(&x, &y, &options, &mut [&mut recorder]).unwrap();
    let steps = ["batch 0", "batch 0 done 2", "batch 1", "batch 1 done 2"];
    let told: Vec<&str> =
        ["begin 3 2 true", "epoch 0"].into_iter().chain(steps).chain(["epoch 0 done 4", "end"]).collect();
    assert_eq!(recorder.0, told);
}

/// The points, `size` at a time, the last batch shorter.
fn batches(size: usize) -> Vec<Batch> {
    let ([x], [y]) = points();
    let of = |tensor: &HostTensor, some: &[usize]| {
        let each = tensor.values.len() / 40;
        let values = tensor.values[some[0] * each..(some[some.len() - 1] + 1) * each].to_vec();
        let dims: Vec<usize> = [some.len()].into_iter().chain(tensor.shape.dims()[1..].to_vec()).collect();
        HostTensor::new(dims, values).unwrap()
    };
    let all: Vec<usize> = (0..40).collect();
    all.chunks(size).map(|some| Batch::new([of(&x, some)], [of(&y, some)])).collect()
}

/// Batches as they come are what the same samples in memory are, to the bit: with a shorter last batch, with a number of steps
/// and without, with weights of samples and of classes.
#[test]
fn batches_that_come_one_by_one_are_fitted_as_samples_in_memory() {
    let Some(gpu) = gpu() else { return };
    let (x, y) = points();
    let adam = || Optimizer::from_name("adam").unwrap();
    let weights = [HostTensor::new([40], (0..40).map(|at| 0.5 + at as f32 / 40.0).collect()).unwrap()];
    let classes = BTreeMap::from([(0, 0.5), (2, 3.0)]);
    let plain = || FitOptions { batch_size: 16, shuffle: false, ..FitOptions::default() };
    let validation = (x.clone(), y.clone());
    let rows: Vec<(&str, FitOptions<'_>)> = vec![
        ("to the end", plain()),
        ("steps", FitOptions { epochs: 3, steps_per_epoch: Some(3), ..plain() }),
        ("classes", FitOptions { class_weight: classes, epochs: 2, steps_per_epoch: Some(3), ..plain() }),
        ("samples", FitOptions { sample_weight: &weights, epochs: 2, steps_per_epoch: Some(3), ..plain() }),
        (
            "evaluated",
            FitOptions {
                validation_data: Some(Samples::new(&validation.0, &validation.1)),
                epochs: 3,
                initial_epoch: 1,
                steps_per_epoch: Some(3),
                ..plain()
            },
        ),
    ];
    for (name, options) in rows {
        let [whole, parts] = [(); 2].map(|()| classifier(&gpu, &kernel()));
        let expected = trainer(&whole, adam()).fit(&x, &y, &options, &mut []).unwrap();
        let endless = (0..).flat_map(|_| batches(16)).enumerate().map(|(at, mut batch)| {
            if name == "samples" {
                let first = 16 * (at % 3);
                let count = batch.samples().count()?;
                batch.sample_weight = vec![HostTensor::new([count], weights[0].values[first..first + count].to_vec())?];
            }
            Ok(batch)
        });
        let most = if options.steps_per_epoch.is_none() { 3 } else { usize::MAX };
        let own = FitOptions { sample_weight: &[], ..options };
        let mut run = trainer(&parts, adam());
        let got = run.fit_batches(endless.take(most), &own, &mut []).unwrap();
        assert_eq!(got, expected, "{name}");
        assert_eq!(bits(&parts), bits(&whole), "{name}");
        let evaluated = run.evaluate_batches(batches(16).into_iter().map(Ok)).unwrap();
        assert_eq!(evaluated, run.evaluate(&x, &y, 16).unwrap(), "{name}");
    }
}

/// Batches of an iterator are evaluated after epochs as samples in memory are: made anew each time, and no more of them taken
/// than there are steps of validation.
#[test]
fn epochs_are_evaluated_by_batches() {
    let Some(gpu) = gpu() else { return };
    let (x, y) = points();
    let adam = || Optimizer::from_name("adam").unwrap();
    let plain = || FitOptions { epochs: 4, steps_per_epoch: Some(2), validation_freq: 2, ..FitOptions::default() };
    let endless = || (0..).flat_map(|_| batches(16)).map(Ok);
    for steps in [None, Some(1)] {
        let [whole, parts] = [(); 2].map(|()| classifier(&gpu, &kernel()));
        let in_memory = FitOptions {
            validation_data: Some(Samples::new(&x, &y)),
            validation_batch_size: Some(16),
            validation_steps: steps,
            ..plain()
        };
        let expected = trainer(&whole, adam()).fit_batches(endless(), &in_memory, &mut []).unwrap();
        let [made, taken] = &[(); 2].map(|()| std::cell::Cell::new(0));
        let options = FitOptions { validation_steps: steps, ..plain() };
        let validation = || {
            made.set(made.get() + 1);
            batches(16).into_iter().map(|batch| {
                taken.set(taken.get() + 1);
                Ok(batch)
            })
        };
        let got = trainer(&parts, adam()).fit_batches_validated(endless(), validation, &options, &mut []).unwrap();
        assert_eq!(got, expected);
        assert!(got[1].get("val_loss").is_some() && got[0].get("val_loss").is_none());
        assert_eq!((made.get(), taken.get()), (2, 2 * steps.unwrap_or(batches(16).len())));
        assert_eq!(bits(&parts), bits(&whole));
    }
    let model = classifier(&gpu, &kernel());
    let none = || std::iter::empty::<wgpu_conv::Result<Batch>>();
    let error = trainer(&model, adam()).fit_batches_validated(endless(), none, &plain(), &mut []).unwrap_err();
    assert!(error.to_string().contains("a batch to evaluate"), "{error}");
    let both = FitOptions { validation_data: Some(Samples::new(&x, &y)), ..plain() };
    let error = trainer(&model, adam()).fit_batches_validated(endless(), none, &both, &mut []).unwrap_err();
    assert!(error.to_string().contains("validation_data"), "{error}");
}

/// No more batches are taken than there are steps, and one at a time.
#[test]
fn batches_are_taken_when_their_turn_comes() {
    let Some(gpu) = gpu() else { return };
    let model = classifier(&gpu, &kernel());
    let taken = std::cell::Cell::new(0);
    let counted = (0..).flat_map(|_| batches(8)).map(|batch| {
        taken.set(taken.get() + 1);
        Ok(batch)
    });
    struct Behind<'t>(&'t std::cell::Cell<usize>, usize);
    impl Callback for Behind<'_> {
        fn on_train_batch_end(&mut self, _: &mut Run<'_, '_>, _: usize, _: &Logs) -> wgpu_conv::Result<()> {
            self.1 += 1;
            assert_eq!(self.0.get(), self.1);
            Ok(())
        }
    }
    let options = FitOptions { epochs: 2, steps_per_epoch: Some(7), ..FitOptions::default() };
    let mut behind = Behind(&taken, 0);
    trainer(&model, Optimizer::from_name("sgd").unwrap()).fit_batches(counted, &options, &mut [&mut behind]).unwrap();
    assert_eq!(taken.get(), 14);
}

#[test]
fn too_few_batches_are_said() {
    let Some(gpu) = gpu() else { return };
    let plain = FitOptions::default;
    let ones = [HostTensor::new([40], vec![1.0; 40]).unwrap()];
    let classes = BTreeMap::from([(0, 2.0)]);
    let rows: Vec<(FitOptions<'_>, [&str; 2])> = vec![
        (FitOptions { epochs: 3, steps_per_epoch: Some(2), ..plain() }, ["2 · 3", "5 batches"]),
        (FitOptions { epochs: 2, ..plain() }, ["steps_per_epoch", "5 batches"]),
        (FitOptions { sample_weight: &ones, ..plain() }, ["Batch::sample_weight", "all samples"]),
        (FitOptions { validation_split: 0.5, ..plain() }, ["validation_data", "0.5"]),
        (FitOptions { steps_per_epoch: Some(0), ..plain() }, ["at least 1", "steps_per_epoch=0"]),
        (FitOptions { class_weight: classes, ..plain() }, ["not together", "1 sample weight"]),
    ];
    for (options, parts) in rows {
        let model = classifier(&gpu, &kernel());
        let weighted = !options.class_weight.is_empty();
        let given = batches(8).into_iter().map(|batch| {
            let count = batch.samples().count()?;
            let ones = HostTensor::new([count], vec![1.0; count])?;
            Ok(Batch { sample_weight: if weighted { vec![ones] } else { vec![] }, ..batch })
        });
        let mut trainer = trainer(&model, Optimizer::from_name("sgd").unwrap());
        let error = trainer.fit_batches(given, &options, &mut []).expect_err(parts[0]).to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error} for {parts:?}");
    }
    let model = classifier(&gpu, &kernel());
    let mut trainer = trainer(&model, Optimizer::from_name("sgd").unwrap());
    let none = || std::iter::empty::<wgpu_conv::Result<Batch>>();
    assert!(trainer.fit_batches(none(), &plain(), &mut []).unwrap_err().to_string().contains("0 batches"));
    assert!(trainer.evaluate_batches(none()).unwrap_err().to_string().contains("a batch to evaluate"));
    // What the iterator finds wrong comes out as it is.
    let broken = || [HostTensor::new([2, 3], vec![0.0; 5]).map(|x| Batch::new([x], []))];
    let own = broken()[0].as_ref().unwrap_err().to_string();
    assert_eq!(trainer.fit_batches(broken(), &plain(), &mut []).unwrap_err().to_string(), own);
    assert_eq!(trainer.evaluate_batches(broken()).unwrap_err().to_string(), own);
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn tables_are_written_and_gone_on_with() {
    let Some(gpu) = gpu() else { return };
    let model = classifier(&gpu, &kernel());
    let (x, y) = points();
    let folder = folder("tables");
    let path = folder.join("run.csv");
    let mut trainer = trainer(&model, Optimizer::from_name("sgd").unwrap());
    let mut lines = Vec::new();
    for (first, append) in [(0, false), (2, true)] {
        let options =
            FitOptions { initial_epoch: first, epochs: first + 2, validation_split: 0.25, ..FitOptions::default() };
        let mut table = CSVLogger::new(&path).append(append);
        trainer.fit(&x, &y, &options, &mut [&mut table, &mut ProgressLogger::new(&mut lines)]).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]);
    assert_eq!(rows[1..].iter().map(|row| row[0]).collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    assert!(rows[1..].iter().all(|row| row[1..].iter().all(|value| value.parse::<f64>().is_ok())), "{text}");
    let lines = String::from_utf8(lines).unwrap();
    assert!(lines.starts_with("epoch 1/2: ") && lines.lines().count() == 4 && lines.contains("val_loss"), "{lines}");
    // What is no such table stays as it is.
    let letter = folder.join("letter.txt");
    for append in [false, true] {
        std::fs::write(&letter, "Dear reader").unwrap();
        let mut table = CSVLogger::new(&letter).append(append);
        let outcome = trainer.fit(&x, &y, &FitOptions::default(), &mut [&mut table]);
        assert!(outcome.unwrap_err().to_string().contains("letter.txt"));
        assert_eq!(std::fs::read_to_string(&letter).unwrap(), "Dear reader");
    }
}

#[test]
fn a_loss_that_is_no_number_ends_the_run() {
    let Some(gpu) = gpu() else { return };
    let (mut x, y) = points();
    x[0].values[3 * 39] = f32::NAN;
    let options = FitOptions { epochs: 5, shuffle: false, ..FitOptions::default() };
    let run = |guard: &mut TerminateOnNaN| {
        let model = classifier(&gpu, &kernel());
        trainer(&model, Optimizer::from_name("sgd").unwrap()).fit(&x, &y, &options, &mut [guard])
    };
    let mut guard = TerminateOnNaN::default();
    assert_eq!((run(&mut guard).unwrap().len(), guard.terminated()), (1, Some(1)));
    let error = run(&mut TerminateOnNaN::default().raise_error(true)).unwrap_err().to_string();
    assert!(error.contains("the loss must be finite"), "{error}");
}

#[test]
fn what_fit_refuses() {
    let Some(gpu) = gpu() else { return };
    let model = classifier(&gpu, &kernel());
    let (x, y) = points();
    let plain = FitOptions::default;
    let ones = [HostTensor::new([40], vec![1.0; 40]).unwrap()];
    let classes = BTreeMap::from([(0, 2.0)]);
    let mut missing = EarlyStopping::new("val_loss");
    let mut count = EarlyStopping::new("true_positives");
    let mut factor = ReduceLROnPlateau::new("loss").factor(1.5);
    let mut name = ModelCheckpoint::new("model.h6");
    let rows: Vec<(&str, FitOptions<'_>, Option<&mut dyn Callback>)> = vec![
        ("`batch_size` must be at least 1", FitOptions { batch_size: 0, ..plain() }, None),
        ("validation_freq must be at least 1", FitOptions { validation_freq: 0, ..plain() }, None),
        ("steps_per_epoch must be at least 1", FitOptions { steps_per_epoch: Some(0), ..plain() }, None),
        ("validation_split must lie in [0, 1)", FitOptions { validation_split: 1.0, ..plain() }, None),
        ("validation_split must lie in [0, 1)", FitOptions { validation_split: f64::NAN, ..plain() }, None),
        (
            "not together with sample weights",
            FitOptions { class_weight: classes.clone(), sample_weight: &ones, ..plain() },
            None,
        ),
        (
            "weights of classes must be finite",
            FitOptions { class_weight: BTreeMap::from([(0, f64::NAN)]), ..plain() },
            None,
        ),
        ("what is monitored must be reported: one of loss, accuracy, true_positives", plain(), Some(&mut missing)),
        ("give the mode", plain(), Some(&mut count)),
        ("the factor of ReduceLROnPlateau", plain(), Some(&mut factor)),
        ("must end in .keras or .weights.h5", plain(), Some(&mut name)),
    ];
    let loss = Loss::from_name("sparse_categorical_crossentropy").unwrap();
    let metrics = [Metric::Accuracy, Metric::from_name("true_positives").unwrap()];
    for (why, options, callback) in rows {
        // A count of positives takes targets of the predictions' shape.
        let one_hot: Vec<f32> =
            y[0].values.iter().flat_map(|&y| [0.0, 1.0, 2.0].map(|c| f32::from(u8::from(c == y)))).collect();
        let y = [HostTensor::new([40, 3], one_hot).unwrap()];
        let categorical = Loss::from_name("categorical_crossentropy").unwrap();
        let mut trainer = Trainer::new(&model, Optimizer::from_name("sgd").unwrap(), &[categorical], &metrics).unwrap();
        let mut callbacks: Vec<&mut dyn Callback> = callback.into_iter().collect();
        let error = trainer.fit(&x, &y, &options, &mut callbacks).expect_err(why).to_string();
        assert!(error.contains(why), "{error} for {why}");
    }
    let short = [HostTensor::new([39], vec![0.0; 39]).unwrap()];
    let mut trainer = Trainer::new(&model, Optimizer::from_name("sgd").unwrap(), &[loss], &[]).unwrap();
    let error = trainer.fit(&x, &short, &plain(), &mut []).unwrap_err().to_string();
    assert!(error.contains("the same number of samples"), "{error}");
    let lying = [HostTensor { shape: [40].into(), values: vec![0.0; 3] }];
    let error = trainer.fit(&x, &lying, &plain(), &mut []).unwrap_err().to_string();
    assert!(error.contains("as many values as its shape says"), "{error}");
}

/// Each says the rule, what was received, and what to do.
#[test]
fn training_calls_say_what_does_not_fit() {
    let Some(gpu) = gpu() else { return };
    let model = classifier(&gpu, &kernel());
    let inputs = model.inputs()[0].shape.dims().len();
    assert_eq!(inputs, 2, "points");
    let columns = model.inputs()[0].shape.dims()[1].unwrap();
    let x = |samples: usize, columns: usize| {
        vec![HostTensor::new([samples, columns], vec![0.5; samples * columns]).unwrap()]
    };
    let y = |shape: &[usize], value: f32| vec![HostTensor::new(shape, vec![value; shape.iter().product()]).unwrap()];
    let sparse = || Loss::from_name("sparse_categorical_crossentropy").unwrap();
    let one_hot = || Loss::from_name("categorical_crossentropy").unwrap();
    type Row = (Loss, Vec<HostTensor>, Vec<HostTensor>, Vec<HostTensor>, [&'static str; 2]);
    let rows: Vec<Row> = vec![
        (sparse(), x(4, columns), y(&[4], 3.0), vec![], ["indices of the 3 classes", "3, target 0"]),
        (sparse(), x(4, columns), y(&[4], -1.0), vec![], ["number them from 0", "-1, target 0"]),
        (sparse(), x(4, columns), y(&[4], 0.5), vec![], ["0 to 2", "0.5, target 0"]),
        (sparse(), x(4, columns), y(&[4, 2], 0.0), vec![], ["one class for each line", "(4, 2)"]),
        (one_hot(), x(4, columns), y(&[4, 2], 0.0), vec![], ["targets of the predictions' shape", "(4, 2)"]),
        (one_hot(), x(4, columns), y(&[3, 3], 0.0), vec![], ["the same number of samples", "(3, 3)"]),
        (one_hot(), x(0, columns), y(&[0, 3], 0.0), vec![], ["one at least", "(0, 3)"]),
        (one_hot(), x(4, columns + 1), y(&[4, 3], 0.0), vec![], ["shape", "(4, "]),
        (
            one_hot(),
            x(4, columns),
            vec![],
            vec![],
            ["targets, and weights if any, for each of the 1 output", "0 targets"],
        ),
        (one_hot(), x(4, columns), y(&[4, 3], 0.0), y(&[4, 2], 1.0), ["extent for each of the first axes", "(4, 2)"]),
    ];
    for (loss, x, y, weights, parts) in rows {
        let mut trainer = Trainer::new(&model, Optimizer::from_name("sgd").unwrap(), &[loss], &[]).unwrap();
        let error = trainer.train_on_weighted_batch(&x, &y, &weights).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error} for {parts:?}");
    }
    let error = Metric::from_name("accurcy").unwrap_err().to_string();
    assert!(error.contains("a metric must be accuracy, BinaryAccuracy") && error.contains("metric=accurcy"), "{error}");
    let mut trainer = Trainer::new(&model, Optimizer::from_name("sgd").unwrap(), &[sparse()], &[]).unwrap();
    let options = FitOptions { class_weight: BTreeMap::from([(3, 2.0)]), ..FitOptions::default() };
    let error = trainer.fit(&x(4, columns), &y(&[4], 1.0), &options, &mut []).unwrap_err().to_string();
    assert!(error.contains("numbered from 0 to 2") && error.contains("class 3"), "{error}");
}

/// What its file has of a wrapper that changes a weight before each step is not trained without that.
/// What a training of the model in this file is refused with, which `evaluate` takes.
fn not_trained(gpu: &Gpu, file: &str) -> String {
    let model = Model::load(gpu, format!("{}/tests/fixtures/findings/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let x: Vec<usize> = model.inputs()[0].shape.dims().iter().map(|extent| extent.unwrap_or(2)).collect();
    let x = HostTensor::new(x.as_slice(), vec![0.5; x.iter().product()]).unwrap();
    let y = model.predict_all(std::slice::from_ref(&x)).unwrap();
    let losses = vec![Loss::from_name("mse").unwrap(); y.len()];
    let mut trainer = Trainer::new(&model, Optimizer::from_name("sgd").unwrap(), &losses, &[]).unwrap();
    trainer.evaluate(std::slice::from_ref(&x), &y, 2).unwrap();
    trainer.train_on_batch(&[x], &y).unwrap_err().to_string()
}

#[test]
fn a_spectral_normalization_is_not_trained_without_a_word() {
    let Some(gpu) = gpu() else { return };
    let error = not_trained(&gpu, "layers_wrapped.keras");
    assert!(error.contains("in training is not supported") && error.contains("train the model in Keras"), "{error}");
}

fn bits(model: &Model) -> Vec<u32> {
    model.weights().iter().flat_map(|(_, weight)| weight.read().unwrap().values).map(f32::to_bits).collect()
}

/// A convolution and a dense layer, so that weights have several ranks.
fn network(gpu: &Gpu) -> Model {
    let mut chain = Sequential::new(gpu).with_input([None, Some(3), Some(1), Some(1)]).unwrap();
    let tanh = || Activation::from_name("tanh").unwrap();
    chain.add(Conv2D::new(2, [3, 1]).padding(wgpu_conv::Padding::Same).activation(tanh())).unwrap();
    chain.add(Flatten::new()).unwrap();
    chain.add(Dense::new(3).activation(Activation::from_name("softmax").unwrap())).unwrap();
    let model = chain.into_model().unwrap();
    for (_, weight) in model.weights() {
        let count = weight.shape().dims().iter().product();
        let values = (0..count).map(|at| 0.4 * (at as f32 * 1.7).sin()).collect();
        weight.assign(&HostTensor::new(weight.shape().clone(), values).unwrap()).unwrap();
    }
    model
}

/// Every optimizer, with all that it may keep.
fn optimizers() -> Vec<Optimizer> {
    let names =
        ["sgd", "rmsprop", "adam", "adamw", "adamax", "nadam", "adagrad", "adadelta", "lion", "ftrl", "lamb", "muon"];
    let mut all: Vec<Optimizer> =
        names.iter().map(|name| Optimizer::from_name(name).unwrap().learning_rate(0.01)).collect();
    let rms = OptimizerClass::RmsProp { rho: 0.9, momentum: 0.5, epsilon: 1e-7, centered: true };
    all.push(Optimizer::new(rms).clipnorm(0.5));
    all.push(Optimizer::new(OptimizerClass::Adam { beta_1: 0.9, beta_2: 0.99, epsilon: 1e-6, amsgrad: true }));
    let mut averaged = Optimizer::new(OptimizerClass::Sgd { momentum: 0.9, nesterov: true });
    averaged.gradient_accumulation_steps = Some(2);
    averaged.ema_momentum = Some(0.9);
    averaged.learning_rate =
        Schedule::ExponentialDecay { initial: 0.1, decay_steps: 3.0, decay_rate: 0.5, staircase: false };
    all.push(averaged);
    all
}

/// A run that ends after two epochs and is resumed from its file comes to the bits of one that goes on.
#[test]
fn a_resumed_run_is_the_uninterrupted_one() {
    let Some(gpu) = gpu() else { return };
    let (x, y) = points();
    let x = [HostTensor::new([40, 3, 1, 1], x[0].values.clone()).unwrap()];
    let folder = folder("resumed");
    test_each(
        &optimizers(),
        |optimizer| format!("{:?}", optimizer.class),
        |optimizer| {
            let path = folder.join("run.keras");
            let path = path.to_str().unwrap();
            let options = FitOptions { epochs: 4, batch_size: 16, seed: 5, ..FitOptions::default() };
            // Its moving averages would take the place of the weights in the end of the first half.
            let whole = network(&gpu);
            let mut run = trainer(&whole, Optimizer::clone(optimizer));
            let mut half = bits(&whole);
            struct Half<'h>(&'h mut Vec<u32>, String);
            impl Callback for Half<'_> {
                fn on_epoch_end(&mut self, run: &mut Run<'_, '_>, epoch: usize, _: &mut Logs) -> wgpu_conv::Result<()> {
                    if epoch == 1 {
                        *self.0 = bits(run.model());
                        run.trainer().save(&self.1)?;
                    }
                    Ok(())
                }
            }
            let history = text(run.fit(&x, &y, &options, &mut [&mut Half(&mut half, path.to_owned())]))?;

            let model = text(Model::load(&gpu, path))?;
            if bits(&model) != half {
                return Err("the file has other weights".into());
            }
            let mut resumed = text(Trainer::resume(&model, path))?;
            if resumed.options() != run.options() {
                return Err(format!("{:?}, not {:?}", resumed.options(), run.options()));
            }
            let second = FitOptions { initial_epoch: 2, ..options };
            let rest = text(resumed.fit(&x, &y, &second, &mut []))?;
            if bits(&model) != bits(&whole) {
                return Err("other weights".into());
            }
            if [&rest[0], &rest[1]] == [&history[2], &history[3]] {
                Ok(())
            } else {
                Err(format!("{rest:?}, not {history:?}"))
            }
        },
    );
}

/// Ends a run before this epoch, as if the machine had gone down.
struct Down(usize);

impl Callback for Down {
    fn on_epoch_begin(&mut self, _: &mut Run<'_, '_>, epoch: usize) -> wgpu_conv::Result<()> {
        if epoch == self.0 { HostTensor::new([2], vec![0.0]).map(drop) } else { Ok(()) }
    }
}

/// A run that was stopped and is begun again comes to the bits of one that was not: from samples and from batches.
#[test]
fn a_backup_is_gone_on_with() {
    let Some(gpu) = gpu() else { return };
    let (x, y) = points();
    let x = [HostTensor::new([40, 3, 1, 1], x[0].values.clone()).unwrap()];
    let folder = folder("backup");
    let of_batches = |batch: Batch| {
        let x = batch.x.into_iter().map(|x| HostTensor::new([x.shape.dims()[0], 3, 1, 1], x.values));
        Ok(Batch::new(x.collect::<wgpu_conv::Result<Vec<_>>>()?, batch.y))
    };
    let rows: Vec<(usize, Optimizer)> = optimizers().into_iter().enumerate().collect();
    test_each(
        rows,
        |(_, optimizer)| format!("{:?}", optimizer.class),
        |(index, optimizer)| {
            let path = folder.join(format!("run_{index}"));
            let options = FitOptions { epochs: 5, batch_size: 16, seed: 5, ..FitOptions::default() };
            let one_by_one = FitOptions { steps_per_epoch: Some(3), ..options.clone() };
            // The learning rate is a part of what is backed up, unless it is a schedule's.
            let mut halved = LearningRateScheduler::new(|epoch, rate| if epoch == 1 { 0.5 * rate } else { rate });
            let streamed = index % 2 == 1;
            let mut fit = |trainer: &mut Trainer<'_>, callbacks: &mut [&mut dyn Callback]| {
                let mut all: Vec<&mut dyn Callback> = vec![&mut halved];
                all.extend(callbacks.iter_mut().map(|callback| &mut **callback as &mut dyn Callback));
                if streamed {
                    trainer.fit_batches((0..).flat_map(|_| batches(16)).map(of_batches), &one_by_one, &mut all)
                } else {
                    trainer.fit(&x, &y, &options, &mut all)
                }
            };
            let whole = network(&gpu);
            let history = text(fit(&mut trainer(&whole, Optimizer::clone(optimizer)), &mut []))?;

            let stopped = network(&gpu);
            let mut backup = BackupAndRestore::new(&path);
            let mut first = trainer(&stopped, Optimizer::clone(optimizer));
            if fit(&mut first, &mut [&mut backup, &mut Down(3)]).is_ok() {
                return Err("it was not stopped".into());
            }
            let names: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            if names != ["backup_before_epoch_3.keras"] {
                return Err(format!("{names:?}"));
            }
            // Another process has another model, and other first weights.
            let resumed = network(&gpu);
            for (_, weight) in resumed.weights() {
                let zeros = vec![0.0; weight.shape().dims().iter().product()];
                text(weight.assign(&HostTensor::new(weight.shape().clone(), zeros).unwrap()))?;
            }
            let mut second = trainer(&resumed, Optimizer::clone(optimizer));
            let rest = text(fit(&mut second, &mut [&mut BackupAndRestore::new(&path).delete_checkpoint(false)]))?;
            if bits(&resumed) != bits(&whole) {
                return Err("other weights".into());
            }
            if rest.iter().collect::<Vec<_>>() != history.iter().skip(3).collect::<Vec<_>>() {
                return Err(format!("{rest:?}, not {history:?}"));
            }
            // There is nothing left to do then, and in the end no backup.
            let none = text(fit(&mut second, &mut [&mut BackupAndRestore::new(&path)]))?;
            if !none.is_empty() || path.exists() || bits(&resumed) != bits(&whole) {
                return Err(format!("{} epochs after the end, a folder {}", none.len(), path.exists()));
            }
            Ok(())
        },
    );
}

/// A folder of backups is not taken for another run's, and what else is in it stays.
#[test]
fn backups_of_another_run_are_refused() {
    let Some(gpu) = gpu() else { return };
    let (x, y) = points();
    let folder = folder("other_backup");
    let model = classifier(&gpu, &kernel());
    let sgd = || Optimizer::from_name("sgd").unwrap();
    let options = FitOptions { epochs: 2, ..FitOptions::default() };
    let path = folder.join("backup");
    let mut kept = BackupAndRestore::new(&path).delete_checkpoint(false);
    trainer(&model, sgd()).fit(&x, &y, &options, &mut [&mut kept]).unwrap();
    let before = bits(&model);
    let mut other = trainer(&model, Optimizer::from_name("adam").unwrap());
    let error = other.fit(&x, &y, &options, &mut [&mut kept]).unwrap_err().to_string();
    assert!(error.contains("backup_before_epoch_2.keras") && error.contains("compiled otherwise"), "{error}");
    assert_eq!(bits(&model), before);
    std::fs::write(path.join("letter.txt"), "Dear reader").unwrap();
    std::fs::write(path.join("backup_before_epoch_.keras"), "Dear reader").unwrap();
    trainer(&model, sgd()).fit(&x, &y, &options, &mut [&mut BackupAndRestore::new(&path)]).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["backup_before_epoch_.keras", "letter.txt"]);
    let error =
        trainer(&model, sgd()).fit(&x, &y, &options, &mut [&mut BackupAndRestore::new(path.join("letter.txt"))]);
    assert!(error.unwrap_err().to_string().contains("letter.txt"));
}

/// Trainings for Keras to go on with, which `tests/keras_round_trip.py` does: a file, what is learned from, and what every weight is
/// two epochs later.
#[test]
fn trainings_are_saved_for_keras() {
    let Some(gpu) = gpu() else { return };
    let (x, y) = points();
    let x = [HostTensor::new([40, 3, 1, 1], x[0].values.clone()).unwrap()];
    for (number, optimizer) in optimizers().into_iter().enumerate() {
        let folder = folder(&format!("round_trip/training_{number}"));
        let path = folder.join("run.keras");
        let model = network(&gpu);
        let mut run = trainer(&model, optimizer);
        let options = FitOptions { epochs: 2, batch_size: 16, shuffle: false, ..FitOptions::default() };
        let before = bits(&model);
        run.fit(&x, &y, &options, &mut []).unwrap();
        run.save(&path).unwrap();
        assert_ne!(bits(&model), before);
        written_for_keras(&folder, &mut run, [&x[0], &y[0]], &options);
    }
}

/// The same of a layer that is several here: what its optimizer keeps stands in Keras's order, the way there before the way back.
#[test]
fn trainings_of_layers_that_are_several_are_saved_for_keras() {
    let Some(gpu) = gpu() else { return };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/findings/layers_bidirectional.keras");
    let model = Model::load(&gpu, file).unwrap();
    let wave = |shape: &[usize], scale: f64| {
        let values = (0..shape.iter().product()).map(|at| (at as f64 * scale).sin() as f32).collect();
        HostTensor::new(shape, values).unwrap()
    };
    let x = [wave(&[24, 7, 5], 1.3)];
    let made = model.predict(&x[0]).unwrap();
    let y = [wave(made.shape.dims(), 0.7)];
    let folder = folder("round_trip/training_both_ways");
    let path = folder.join("run.keras");
    let loss = Loss::from_name("mean_squared_error").unwrap();
    let mut run = Trainer::new(&model, Optimizer::from_name("adam").unwrap(), &[loss], &[]).unwrap();
    let options = FitOptions { epochs: 2, batch_size: 16, shuffle: false, ..FitOptions::default() };
    run.fit(&x, &y, &options, &mut []).unwrap();
    run.save(&path).unwrap();
    written_for_keras(&folder, &mut run, [&x[0], &y[0]], &options);
    // What goes on from the file comes to the same weights.
    let again = Model::load(&gpu, &path).unwrap();
    let mut resumed = Trainer::resume(&again, &path).unwrap();
    resumed.fit(&x, &y, &options, &mut []).unwrap();
    assert_eq!(bits(&again), bits(&model));
}

/// Goes on with `run` on `x` and `y`, and writes down what comes of it for Keras to come to as well.
fn written_for_keras(folder: &Path, run: &mut Trainer<'_>, [x, y]: [&HostTensor; 2], options: &FitOptions<'_>) {
    let history = run.fit(std::slice::from_ref(x), std::slice::from_ref(y), options, &mut []).unwrap();
    let weights = run.model().weights();
    let weights: Vec<_> = weights.iter().map(|(_, weight)| weight.read().unwrap().values).collect();
    let told = serde_json::json!({
        "x": {"shape": x.shape.dims(), "values": x.values},
        "y": {"shape": y.shape.dims(), "values": y.values},
        "batch_size": options.batch_size,
        "epochs": options.epochs,
        "weights": weights,
        "loss": history.series("loss"),
    });
    std::fs::write(folder.join("training.json"), told.to_string()).unwrap();
}

/// Trainings that Keras began and saved: each goes on as Keras goes on with it.
#[test]
fn trainings_begun_in_keras_go_on() {
    let Some(gpu) = gpu() else { return };
    let material = material();
    test_each(
        material["resumed"].as_array().unwrap(),
        |case| case["file"].to_string(),
        |case| {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/training/").to_owned();
            let path = path + case["file"].as_str().unwrap();
            let model = text(Model::load(&gpu, &path))?;
            let mut trainer = text(Trainer::resume(&model, &path))?;
            if trainer.optimizer().iterations() != case["iterations"].as_u64().unwrap() {
                return Err(format!("{} steps, not {}", trainer.optimizer().iterations(), case["iterations"]));
            }
            let options = FitOptions { epochs: 3, batch_size: 8, shuffle: false, ..FitOptions::default() };
            let (x, y) = ([tensor(&case["x"])], [tensor(&case["y"])]);
            let history = text(trainer.fit(&x, &y, &options, &mut []))?;
            same_history(&history, &case["history"])?;
            for ((path, weight), golden) in model.weights().iter().zip(case["weights"].as_array().unwrap()) {
                let (got, golden) = (text(weight.read())?, tensor(golden));
                let off = got.values.iter().zip(&golden.values).map(|(got, golden)| (got - golden).abs());
                let off = off.fold(0.0, f32::max);
                if off > 1e-4 {
                    return Err(format!("{path} is off by {off}"));
                }
            }
            Ok(())
        },
    );
}

/// The first steps that tests/web_package.js takes in a browser (`tests/fixtures/training/web.py`); what a file in memory then holds
/// are the weights of the moment when it was asked for.
#[test]
fn a_file_in_memory_holds_what_was_learned() {
    let Some(gpu) = gpu() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = |name: &str| folder.join("tests/fixtures/training").join(name);
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(file("web.json")).unwrap()).unwrap();
    let model = Model::load(&gpu, file("web.keras")).unwrap();
    let arrays = wgpu_conv::formats::read_arrays(folder.join("examples/digits.npz")).unwrap();
    let first = |name: &str| part(&arrays.iter().find(|(known, _)| known == name).unwrap().1, 0..128);
    let (x, y) = ([first("x_train")], [first("y_train")]);
    let mut trainer = Trainer::resume(&model, file("web.keras")).unwrap();
    let mut told = Vec::new();
    struct Steps<'a>(&'a mut Vec<f64>);
    impl Callback for Steps<'_> {
        fn on_train_batch_end(&mut self, _: &mut Run<'_, '_>, _: usize, logs: &Logs) -> wgpu_conv::Result<()> {
            self.0.extend(logs.get("loss"));
            Ok(())
        }
    }
    let options = FitOptions { batch_size: 32, shuffle: false, ..FitOptions::default() };
    trainer.fit(&x, &y, &options, &mut [&mut Steps(&mut told)]).unwrap();
    let steps = expected["steps"].as_array().unwrap();
    assert_eq!(told.len(), steps.len());
    for (loss, step) in told.iter().zip(steps) {
        close("loss", *loss, step["loss"].as_f64().unwrap()).unwrap();
    }
    let scores = |model: &Model| model.predict(&part(&x[0], 0..1)).unwrap().values;
    let trained = scores(&model);
    let keras = expected["scores"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap() as f32);
    assert!(trained.iter().zip(keras).all(|(score, keras)| (score - keras).abs() < 2e-5), "{trained:?}");
    let bytes = pollster::block_on(model.to_keras_async()).unwrap();
    let again = Model::from_bytes(&gpu, &bytes).unwrap();
    assert_eq!(scores(&again), trained);
    // Before anything computes with them, weights are on the host.
    let copy = pollster::block_on(Model::from_bytes(&gpu, &bytes).unwrap().to_keras_async()).unwrap();
    assert_eq!(scores(&Model::from_bytes(&gpu, &copy).unwrap()), trained);
}

/// What Keras made of recurrent layers: `recurrent` or `recurrent_masks`.
fn recurrent_material(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/training/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Gradients of recurrent layers that skip times, begin with given states and tell their last ones, to all of it
/// (`tests/fixtures/training/recurrent_masks.py`).
#[test]
fn gradients_through_masks_and_states_are_keras_s() {
    let Some(gpu) = gpu() else { return };
    let material = recurrent_material("recurrent_masks");
    test_each(
        material["gradients"].as_array().unwrap(),
        |case| format!("{} {} masked {}", case["class"], case["config"], !case["mask"].is_null()),
        |case| {
            let all = |name: &str| case[name].as_array().unwrap().iter().map(tensor).collect::<Vec<_>>();
            let layer = text(LayerConfig::from_config(case["class"].as_str().unwrap(), &case["config"]))?;
            let x = tensor(&case["x"]);
            let of = |tensor: &HostTensor| tensor.shape.dims().iter().map(|&dim| Some(dim)).collect::<Vec<_>>();
            let graph = Functional::new(&gpu);
            let sequence = text(graph.input("x", of(&x)))?;
            let (mut given, mut symbols) = (vec![x], vec![sequence.clone()]);
            let mut reads = vec![sequence];
            if !case["mask"].is_null() {
                let mask = tensor(&case["mask"]);
                let times = text(graph.input("mask", of(&mask)))?;
                reads = vec![text(graph.apply(GivenMask::new(), &[&reads[0], &times]))?];
                given.push(mask);
                symbols.push(times);
            }
            for (index, state) in all("states").into_iter().enumerate() {
                let symbol = text(graph.input(format!("state_{index}"), of(&state)))?;
                given.push(state);
                symbols.push(symbol.clone());
                reads.push(symbol);
            }
            let output = text(graph.apply(layer, &reads.iter().collect::<Vec<_>>()))?;
            let model = text(graph.model("recurrent", &symbols.iter().collect::<Vec<_>>(), &[&output]))?;
            for ((_, weight), value) in model.weights().iter().zip(all("weights")) {
                text(weight.assign(&value))?;
            }
            let on = |tensor: &HostTensor| text(Tensor::from_slice(&gpu, tensor.shape.clone(), &tensor.values));
            let given = given.iter().map(on).collect::<Result<Vec<_>, _>>()?;
            let made = text(model.gradients(&given, &[on(&tensor(&case["gy"]))?], true))?;
            let hold = |what: &str, got: &Tensor, golden: &HostTensor| {
                if *got.shape() != golden.shape {
                    return Err(format!("{what} has the shape {}, not {}", got.shape(), golden.shape));
                }
                let got = text(got.read::<f32>())?;
                got.iter().zip(&golden.values).try_for_each(|(&got, &golden)| close(what, got.into(), golden.into()))
            };
            hold("y", &made.outputs[0], &tensor(&case["y"]))?;
            hold("the gradient to x", &made.inputs[0], &tensor(&case["gx"]))?;
            let golden = all("gs");
            let of_states = &made.inputs[given.len() - golden.len()..];
            of_states.iter().zip(&golden).try_for_each(|(got, golden)| hold("the gradient to a state", got, golden))?;
            let golden = all("gw");
            if made.weights.len() != golden.len() {
                return Err(format!("{} weights, not {}", made.weights.len(), golden.len()));
            }
            made.weights.iter().zip(&golden).try_for_each(|((name, got), golden)| hold(name, got, golden))
        },
    );
}

/// Gradients of recurrent layers to their input and their weights (`tests/fixtures/training/recurrent.py`).
#[test]
fn gradients_through_time_are_keras_s() {
    let Some(gpu) = gpu() else { return };
    let material = recurrent_material("recurrent");
    test_each(
        material["gradients"].as_array().unwrap(),
        |case| format!("{} {}", case["class"], case["config"]),
        |case| {
            let layer = text(LayerConfig::from_config(case["class"].as_str().unwrap(), &case["config"]))?;
            let x = tensor(&case["x"]);
            let layer = text(layer.build(&gpu, &x.shape))?;
            let all = |name: &str| case[name].as_array().unwrap().iter().map(tensor).collect::<Vec<_>>();
            text(layer.set_weights(&all("weights")))?;
            let on = |tensor: HostTensor| text(Tensor::from_slice(&gpu, tensor.shape.clone(), &tensor.values));
            let x = on(x)?;
            let hold = |what: &str, got: &Tensor, golden: &HostTensor| {
                if *got.shape() != golden.shape {
                    return Err(format!("{what} has the shape {}, not {}", got.shape(), golden.shape));
                }
                let got = text(got.read::<f32>())?;
                got.iter().zip(&golden.values).try_for_each(|(&got, &golden)| close(what, got.into(), golden.into()))
            };
            hold("y", &text(layer.call(&x))?, &tensor(&case["y"]))?;
            let made = text(layer.gradients(std::slice::from_ref(&x), &on(tensor(&case["gy"]))?, true))?;
            hold("the gradient to x", &made.inputs[0], &tensor(&case["gx"]))?;
            let golden = all("gw");
            if made.weights.len() != golden.len() {
                return Err(format!("{} weights, not {}", made.weights.len(), golden.len()));
            }
            made.weights.iter().zip(&golden).try_for_each(|((name, got), golden)| hold(name, got, golden))
        },
    );
}

/// A table of words, recurrent layers in one direction, the other and both, trained as Keras trains them: of whole sequences, and of
/// some whose table masks words away.
#[test]
fn recurrent_models_are_trained_as_in_keras() {
    let Some(gpu) = gpu() else { return };
    ["recurrent", "recurrent_masks"].iter().for_each(|name| trained_as_in_keras(&gpu, name));
}

fn trained_as_in_keras(gpu: &Gpu, name: &str) {
    let material = &recurrent_material(name)["fit"];
    let path = format!("{}/tests/fixtures/training/{name}.keras", env!("CARGO_MANIFEST_DIR"));
    let model = Model::load(gpu, path).unwrap();
    let adam = Optimizer::from_name("adam").unwrap().learning_rate(0.05);
    let mut trainer = Trainer::new(&model, adam, &[Loss::from_name("mse").unwrap()], &[]).unwrap();
    let options = FitOptions { epochs: 4, batch_size: 4, shuffle: false, ..FitOptions::default() };
    let (x, y) = (tensor(&material["x"]), tensor(&material["y"]));
    let history = trainer.fit(std::slice::from_ref(&x), &[y], &options, &mut []).unwrap();
    let golden = material["loss"].as_array().unwrap();
    let losses = history.series("loss");
    assert_eq!(losses.len(), golden.len());
    for (epoch, (got, golden)) in losses.iter().zip(golden).enumerate() {
        close(&format!("the loss of epoch {epoch}"), *got, golden.as_f64().unwrap()).unwrap();
    }
    let predictions = model.predict(&x).unwrap().values;
    for (got, golden) in predictions.iter().zip(&tensor(&material["predictions"]).values) {
        assert!((got - golden).abs() < 1e-4, "{predictions:?}");
    }
}

/// Runs the steps of a case of `tests/fixtures/training/loss_scale.py` from where its file stands: losses, scales and counts of
/// steps after each, and the weights in the end. `close` bounds what losses and weights are off by.
fn scaled_as_in_keras(gpu: &Gpu, case: &Value, close: f64) {
    let path = format!("{}/tests/fixtures/training/{}", env!("CARGO_MANIFEST_DIR"), case["file"].as_str().unwrap());
    let model = Model::load(gpu, &path).unwrap();
    let mut trainer = Trainer::resume(&model, &path).unwrap();
    let steps = case["steps"].as_array().unwrap();
    for (number, step) in steps.iter().enumerate() {
        let loss = trainer.train_on_batch(&[tensor(&step["x"])], &[tensor(&step["y"])]).unwrap().get("loss").unwrap();
        match step["loss"].as_f64() {
            Some(golden) => assert!((loss - golden).abs() < close, "step {number}: a loss of {loss}, not {golden}"),
            None => assert!(!loss.is_finite(), "step {number}: a loss of {loss}"),
        }
        let state = trainer.optimizer();
        let (scale, iterations) = (step["scale"].as_f64().unwrap(), step["iterations"].as_u64().unwrap());
        assert_eq!((state.loss_scale(), state.iterations()), (scale, iterations), "step {number}");
    }
    for ((path, weight), golden) in model.weights().iter().zip(case["weights"].as_array().unwrap()) {
        let (got, golden) = (weight.read().unwrap().values, tensor(golden).values);
        for (got, golden) in got.iter().zip(&golden) {
            assert!(f64::from((got - golden).abs()) < close, "{path}: {got}, not {golden}");
        }
    }
    // What is saved goes on as what was not.
    let saved = folder(&format!("of {}", case["file"])).join("saved.keras");
    trainer.save(&saved).unwrap();
    let again = Model::load(gpu, &saved).unwrap();
    let mut resumed = Trainer::resume(&again, &saved).unwrap();
    assert_eq!(resumed.optimizer().loss_scale(), trainer.optimizer().loss_scale());
    for step in &steps[2..] {
        let (x, y) = ([tensor(&step["x"])], [tensor(&step["y"])]);
        let [one, other] = [&mut trainer, &mut resumed].map(|trainer| trainer.train_on_batch(&x, &y).unwrap());
        assert_eq!(one.get("loss"), other.get("loss"));
        assert_eq!(trainer.optimizer().loss_scale(), resumed.optimizer().loss_scale());
    }
}

fn loss_scale_material() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/training/loss_scale.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A loss scale in a `Trainer`: a step with a gradient that is not finite changes nothing and halves it, and steps that were good
/// double it; begun in Keras.
#[test]
fn loss_scales_look_for_themselves() {
    let Some(gpu) = gpu() else { return };
    scaled_as_in_keras(&gpu, &loss_scale_material()["explicit"], 2e-5);
}

/// Weights in f32, activations and their gradients in f16, with the loss scale that such a model has without being told.
#[test]
fn mixed_precision_trains_as_in_keras() {
    let Some(gpu) = gpu() else { return };
    if !gpu.caps().f16 {
        println!("{} has no f16", gpu.info().name);
        return;
    }
    // A dozen roundings to f16, of numbers below 4.
    scaled_as_in_keras(&gpu, &loss_scale_material()["mixed"], 12.0 * 4.0 / 2048.0);
}

/// The digits of the repository, from random weights: 288 to learn from, every fifth never seen. The whole set of 1797 comes to
/// more.
#[test]
fn digits_are_learned() {
    let Some(gpu) = gpu() else { return };
    let file = common::fixtures::path("models/digits/expected.safetensors");
    let mut arrays = wgpu_conv::formats::read_arrays(file).unwrap();
    let mut of = |name: &str| arrays.remove(arrays.iter().position(|(known, _)| known == name).unwrap()).1;
    // Those to be held out stand last: neighbours are of one writer.
    let (held_out, seen): (Vec<usize>, Vec<usize>) = (0..360).partition(|digit| digit % 5 == 0);
    let sorted = |tensor: HostTensor| {
        let each = tensor.values.len() / 360;
        let values = seen.iter().chain(&held_out).flat_map(|digit| &tensor.values[digit * each..][..each]);
        HostTensor::new(tensor.shape.clone(), values.copied().collect()).unwrap()
    };
    let (x, y) = ([sorted(of("input_0"))], [sorted(of("labels"))]);
    let mut chain = Sequential::new(&gpu).with_input([None, Some(8), Some(8), Some(1)]).unwrap();
    let glorot = |seed: u64| Initializer::glorot_uniform().seed(seed);
    chain.add(Conv2D::new(16, 3).activation(Activation::RELU).kernel_initializer(glorot(1))).unwrap();
    chain.add(Flatten::new()).unwrap();
    let softmax = Activation::from_name("softmax").unwrap();
    chain.add(Dense::new(10).activation(softmax).kernel_initializer(glorot(2))).unwrap();
    let model = chain.into_model().unwrap();
    let mut trainer = trainer(&model, Optimizer::from_name("adam").unwrap().learning_rate(0.01));
    let options = FitOptions { epochs: 10, validation_split: 0.2, ..FitOptions::default() };
    let history = trainer.fit(&x, &y, &options, &mut []).unwrap();
    let [seen, unseen] = ["accuracy", "val_accuracy"].map(|name| history.last().unwrap().get(name).unwrap());
    assert!(seen > 0.98 && unseen > 0.9, "{history:?}");
}

/// Checkpoints by name and by number; a file that is no model stays as it is.
#[test]
fn checkpoints_are_kept() {
    let Some(gpu) = gpu() else { return };
    let (x, y) = points();
    let model = classifier(&gpu, &kernel());
    let folder = folder("checkpoints");
    let path = |name: &str| folder.join(name).display().to_string();
    let mut trainer = trainer(&model, Optimizer::from_name("adam").unwrap().learning_rate(0.1));
    let mut each = ModelCheckpoint::new(path("sub/epoch_{epoch:02}.weights.h5"));
    let mut best = ModelCheckpoint::new(path("best.keras")).save_best_only("loss");
    // Nothing is better than this.
    let mut never = ModelCheckpoint::new(path("never.keras"))
        .save_best_only("loss")
        .mode(Mode::Min)
        .initial_value_threshold(f64::NEG_INFINITY);
    let mut steps = ModelCheckpoint::new(path("step_{batch}.keras")).save_freq(2);
    let options = FitOptions { epochs: 3, batch_size: 10, ..FitOptions::default() };
    trainer.fit(&x, &y, &options, &mut [&mut each, &mut best, &mut never, &mut steps]).unwrap();
    let mut files: Vec<String> = [folder.clone(), folder.join("sub")]
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let expected = [
        "best.keras",
        "epoch_01.weights.h5",
        "epoch_02.weights.h5",
        "epoch_03.weights.h5",
        "step_2.keras",
        "step_4.keras",
        "sub",
    ];
    assert_eq!(files, expected);
    let loaded = Model::load(&gpu, path("step_4.keras")).unwrap();
    assert_eq!(bits(&loaded), bits(&model), "it was the last step");
    assert_eq!(Trainer::resume(&loaded, path("step_4.keras")).unwrap().optimizer().iterations(), 12);

    std::fs::write(path("letter.keras"), "Dear reader").unwrap();
    let mut letter = ModelCheckpoint::new(path("letter.keras"));
    assert!(trainer.fit(&x, &y, &FitOptions::default(), &mut [&mut letter]).is_err());
    assert_eq!(std::fs::read_to_string(path("letter.keras")).unwrap(), "Dear reader");
    // A file that no training was saved in.
    model.save(path("plain.keras")).unwrap();
    let error = Trainer::resume(&model, path("plain.keras")).unwrap_err().to_string();
    assert!(error.contains("does not say how its model was compiled"), "{error}");
    // The state of another model.
    let other = network(&gpu);
    let error = Trainer::resume(&other, path("best.keras")).unwrap_err().to_string();
    assert!(error.contains("must be given the 9 variables"), "{error}");
}

/// Batches of many sizes leave no more than a few programs, and so no more memory.
#[test]
fn programs_do_not_pile_up() {
    if gpu().is_none() {
        return;
    }
    let gpu = Gpu::new().unwrap();
    let model = classifier(&gpu, &kernel());
    let mut trainer = trainer(&model, Optimizer::from_name("sgd").unwrap());
    let (x, y) = points();
    let mut held = Vec::new();
    for size in 1..=12 {
        trainer.train_on_batch(&[part(&x[0], 0..size)], &[part(&y[0], 0..size)]).unwrap();
        held.push(trainer.programs());
    }
    assert_eq!(held[4..], [4; 8]);
}

/// Configs of every optimizer, schedule and loss come back as they were written.
#[test]
fn configs_are_read_as_written() {
    for optimizer in optimizers() {
        assert_eq!(Optimizer::from_json(&optimizer.to_json()).unwrap(), optimizer, "{}", optimizer.to_json());
    }
    let schedules = [
        Schedule::Constant(0.1),
        Schedule::PiecewiseConstantDecay { boundaries: vec![10.0], values: vec![1.0, 0.5] },
        Schedule::PolynomialDecay { initial: 0.1, decay_steps: 10.0, end: 0.01, power: 2.0, cycle: true },
        Schedule::InverseTimeDecay { initial: 0.1, decay_steps: 10.0, decay_rate: 0.5, staircase: true },
        Schedule::CosineDecay {
            initial: 0.1,
            decay_steps: 10.0,
            alpha: 0.1,
            warmup_target: Some(0.2),
            warmup_steps: 5.0,
        },
        Schedule::CosineDecayRestarts { initial: 0.1, first_decay_steps: 10.0, t_mul: 3.0, m_mul: 0.9, alpha: 0.1 },
    ];
    for schedule in schedules {
        assert_eq!(Schedule::from_json(&schedule.to_json()).unwrap(), schedule, "{}", schedule.to_json());
    }
    for name in ["mse", "Huber", "Dice", "Tversky", "KLDivergence", "BinaryFocalCrossentropy", "CosineSimilarity"] {
        let loss = Loss::from_name(name).unwrap();
        assert_eq!(Loss::from_json(&loss.to_json()).unwrap(), loss, "{}", loss.to_json());
    }
    let ignoring =
        Loss::new(LossClass::SparseCategoricalCrossentropy { from_logits: true, ignore_class: Some(-1), axis: -1 });
    assert_eq!(Loss::from_json(&ignoring.to_json()).unwrap(), ignoring);
    for (json, why) in [
        (r#"{"class_name": "Adam", "config": {"beta_3": 0.5}}"#, "beta_3"),
        (r#"{"class_name": "Adam", "config": {"beta_1": "half"}}"#, "must be a number"),
        (r#"{"class_name": "Mine", "config": {}}"#, "an optimizer must be one of"),
        (
            r#"{"class_name": "SGD", "config": {"learning_rate": {"class_name": "Mine", "config": {}}}}"#,
            "a schedule must be",
        ),
        (r#"[1, 2]"#, "must be a name, or a map"),
    ] {
        let error = Optimizer::from_json(&serde_json::from_str(json).unwrap()).unwrap_err().to_string();
        assert!(error.contains(why), "{error} for {json}");
    }
}
