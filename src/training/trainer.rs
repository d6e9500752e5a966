//! A model with what it is trained by, and a step of its training: Keras's `compile`, `train_on_batch` and `evaluate`.
//!
//! A step is one program, compiled for the shapes of a batch and replayed from then on: forward pass, losses, backward pass,
//! updates and metrics, in one submission. Nothing is read back but the numbers that are reported.
//!
//! ```text
//! x ─► layers ─► predictions ─► losses, metrics          forward
//!        weights ◄─ optimizer ◄─ gradients ◄─┘           backward, then updates in place
//! ```

use std::sync::Arc;

use super::data::{Batch, Samples};
use super::weights::{penalty, times};
use super::{Logs, Loss, LossScaling, Metric, Optimizer, OptimizerState, Reduction};
use crate::layers::Regularizer;
use crate::model::{Model, Port, Program};
use crate::ops::{self, Tape, Target, Value};
use crate::plan::{AxisFunction, BinaryFunction, Operand, Problem};
use crate::variable::Data;
use crate::{DType, DTypePolicy, Error, HostTensor, Result, Shape, Variable};

/// Programs kept: the batch and its remainder, of training and of validation.
const MOST_PROGRAMS: usize = 4;

/// How a model is to be trained: the arguments of Keras's `compile`.
///
/// ```
/// use wgpu_conv::training::{CompileOptions, Loss, Metric, Optimizer};
///
/// let options = CompileOptions {
///     loss_weights: vec![1.0, 0.3],
///     metrics: vec![vec![Metric::Accuracy], vec![]],
///     ..CompileOptions::new(Optimizer::from_name("adam")?, [Loss::from_name("mse")?, Loss::from_name("mae")?])
/// };
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CompileOptions {
    /// How weights change.
    pub optimizer: Optimizer,
    /// The loss of each output.
    pub losses: Vec<Loss>,
    /// What the loss of each output is multiplied by; empty, the default, for 1.
    pub loss_weights: Vec<f64>,
    /// The metrics of each output, without sample weights; empty, the default, for none.
    pub metrics: Vec<Vec<Metric>>,
    /// The metrics of each output by the weights of its samples; empty, the default, for none.
    pub weighted_metrics: Vec<Vec<Metric>>,
}

impl CompileOptions {
    /// An optimizer and a loss for each output, without metrics.
    pub fn new(optimizer: Optimizer, losses: impl Into<Vec<Loss>>) -> Self {
        let (loss_weights, metrics, weighted_metrics) = (Vec::new(), Vec::new(), Vec::new());
        Self { optimizer, losses: losses.into(), loss_weights, metrics, weighted_metrics }
    }

    /// # Errors
    /// [`Error::Invalid`] where there is not one of each kind for each of the `outputs` of `model`, or a parameter is out of
    /// range.
    fn validate(&self, model: &str, outputs: usize) -> Result<()> {
        for (argument, what, count, may_be_none) in [
            ("loss", "a loss", self.losses.len(), false),
            ("loss_weights", "a weight of the loss", self.loss_weights.len(), true),
            ("metrics", "a list of metrics", self.metrics.len(), true),
            ("weighted_metrics", "a list of weighted metrics", self.weighted_metrics.len(), true),
        ] {
            if count != outputs && !(may_be_none && count == 0) {
                let rule = format!("there must be {what} for each of the {outputs} output(s) of model `{model}`");
                return Err(Error::invalid(argument, rule, format!("{count} of them")));
            }
        }
        if !self.loss_weights.iter().all(|weight| weight.is_finite()) {
            let received = format!("loss_weights={:?}", self.loss_weights);
            return Err(Error::invalid("loss_weights", "weights of losses must be finite", received));
        }
        self.losses.iter().try_for_each(Loss::validate)?;
        self.metrics.iter().chain(&self.weighted_metrics).flatten().try_for_each(Metric::validate)
    }
}

/// A model with what it is trained by: Keras's compiled model.
///
/// ```no_run
/// use wgpu_conv::model::Model;
/// use wgpu_conv::training::{EarlyStopping, FitOptions, LambdaCallback, Loss, Metric, Optimizer, Trainer};
/// use wgpu_conv::{Gpu, HostTensor};
///
/// let model = Model::load(&Gpu::new()?, "digits.keras")?;
/// let loss = Loss::from_name("sparse_categorical_crossentropy")?;
/// let mut trainer = Trainer::new(&model, Optimizer::from_name("adam")?, &[loss], &[Metric::Accuracy])?;
/// # let (x, y): (HostTensor, HostTensor) = unimplemented!();
/// let options = FitOptions { epochs: 30, validation_split: 0.1, ..FitOptions::default() };
/// let mut print = LambdaCallback::on_epoch_end(|_, epoch, logs| {
///     println!("epoch {epoch}: {logs}");
///     Ok(())
/// });
/// let mut stop = EarlyStopping::new("val_loss").patience(3).restore_best_weights(true);
/// let history = trainer.fit(&[x], &[y], &options, &mut [&mut print, &mut stop])?;
/// println!("{:?}", history.series("val_accuracy"));
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
///
/// # Transfer learning
///
/// What a network has learned serves for other pictures, too. All layers but a new last one are frozen, so that they stay as they
/// are, and few samples are enough:
///
/// ```no_run
/// use wgpu_conv::layers::Dense;
/// use wgpu_conv::model::{Functional, Model};
/// use wgpu_conv::training::{FitOptions, Loss, LossClass, Metric, Optimizer, Trainer};
/// use wgpu_conv::{Gpu, HostTensor};
///
/// let gpu = Gpu::new()?;
/// // A network without its last layer, as `include_top=False` leaves it.
/// let mut base = Model::load(&gpu, "mobilenet_without_top.keras")?;
/// let layers: Vec<String> = base.layers().iter().map(|(name, _)| name.clone()).collect();
/// layers.iter().try_for_each(|name| base.set_trainable(name, false))?;
///
/// let graph = Functional::new(&gpu);
/// let picture = graph.input("picture", base.inputs()[0].shape.clone())?;
/// let seen = graph.apply_model(base, &[&picture])?.remove(0);
/// let scores = (&seen | Dense::new(5)).finish()?;
/// let model = graph.model("flowers", &[&picture], &[&scores])?;
///
/// let loss = Loss::new(LossClass::SparseCategoricalCrossentropy { from_logits: true, ignore_class: None, axis: -1 });
/// let mut trainer = Trainer::new(&model, Optimizer::from_name("adam")?, &[loss], &[Metric::Accuracy])?;
/// # let (x, y): (HostTensor, HostTensor) = unimplemented!();
/// trainer.fit(&[x], &[y], &FitOptions { epochs: 5, ..FitOptions::default() }, &mut [])?;
/// trainer.save("flowers.keras")?;
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
pub struct Trainer<'a> {
    model: &'a Model,
    options: CompileOptions,
    reported: Vec<Reported>,
    pub(super) state: OptimizerState,
    trained: Vec<Trained>,
    /// The programs so far, the last used last, with the sizes of what they report.
    programs: Vec<(StepKey, Arc<Program>, Arc<[usize]>)>,
}

/// What a program is compiled for: whether it changes weights, how many tensors are weights of samples, and the shapes of what
/// it reads.
type StepKey = (bool, usize, Vec<Shape>);

/// A weight that training changes.
struct Trained {
    data: Arc<Data>,
    regularizer: Option<Regularizer>,
}

/// A number that is reported beside the loss.
#[derive(Clone)]
struct Reported {
    name: String,
    output: usize,
    /// None for the loss of the output.
    metric: Option<Metric>,
    weighted: bool,
}

/// What has been reported of some batches, added up: of the loss and each other number in turn.
#[derive(Clone, Default)]
pub(super) struct Totals(Vec<Vec<f64>>);

impl Totals {
    fn add(&mut self, sums: Vec<Vec<f64>>) {
        if self.0.is_empty() {
            self.0 = sums;
            return;
        }
        for (total, sum) in self.0.iter_mut().zip(sums) {
            total.iter_mut().zip(sum).for_each(|(total, sum)| *total += sum);
        }
    }
}

impl std::fmt::Debug for Trainer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trainer({} by {:?})", self.model.name(), self.state)
    }
}

impl<'a> Trainer<'a> {
    /// `model` with an optimizer for its trainable weights, a loss for each of its outputs, and metrics of its first output.
    ///
    /// # Errors
    /// Those of [`compile`](Self::compile).
    pub fn new(model: &'a Model, optimizer: Optimizer, losses: &[Loss], metrics: &[Metric]) -> Result<Self> {
        let mut of_outputs = vec![Vec::new(); model.outputs().len()];
        if let Some(first) = of_outputs.first_mut() {
            *first = metrics.to_vec();
        }
        Self::compile(model, CompileOptions { metrics: of_outputs, ..CompileOptions::new(optimizer, losses) })
    }

    /// `model` to be trained as `options` say. With layers of the policy `mixed_float16` among those that are trained, an
    /// optimizer without a loss scale has [one that looks for itself](LossScaling), as in Keras.
    ///
    /// # Errors
    /// [`Error::Invalid`] for losses and metrics that are not as many as the outputs, and for a model without trainable
    /// weights; [`Error::Unsupported`] for a model that [ends on the host](Model::ends_on_host); those of [`Optimizer::build`].
    pub fn compile(model: &'a Model, mut options: CompileOptions) -> Result<Self> {
        model.require_on_device("a training")?;
        options.validate(model.name(), model.outputs().len())?;
        let mut trained: Vec<Trained> = Vec::new();
        let mut variables: Vec<(Variable, _)> = Vec::new();
        let mut mixed = false;
        for (_, layer) in model.layers() {
            for (variable, rules) in layer.weights().iter().zip(layer.weight_rules()) {
                let known = trained.iter().any(|weight| Arc::ptr_eq(&weight.data, variable.data()));
                if variable.trainable() && !known {
                    trained.push(Trained { data: variable.data().clone(), regularizer: rules.regularizer.clone() });
                    variables.push((variable.clone(), rules.constraint.clone()));
                    mixed |= layer.config().common().dtype == DTypePolicy::MixedFloat16;
                }
            }
        }
        let optimizer = &mut options.optimizer;
        if mixed && optimizer.loss_scaling.is_none() && optimizer.loss_scale_factor.is_none() {
            optimizer.loss_scaling = Some(LossScaling::default());
        }
        let state = options.optimizer.build(model.gpu(), &variables)?;
        let reported = reported(model, &options);
        Ok(Self { model, options, reported, state, trained, programs: Vec::new() })
    }

    /// The model.
    pub fn model(&self) -> &'a Model {
        self.model
    }

    /// What it was compiled with, the learning rate as it is now.
    pub fn options(&self) -> CompileOptions {
        CompileOptions { optimizer: self.state.optimizer().clone(), ..self.options.clone() }
    }

    /// The optimizer with what it keeps.
    pub fn optimizer(&self) -> &OptimizerState {
        &self.state
    }

    /// The same, to change its learning rate.
    pub fn optimizer_mut(&mut self) -> &mut OptimizerState {
        &mut self.state
    }

    /// How many programs it keeps: one for each of the last few shapes of batches.
    pub fn programs(&self) -> usize {
        self.programs.len()
    }

    /// Whether more of what is reported as `name` is better, validation's or not; `None` where nobody can tell, or there is no
    /// such.
    pub fn rises(&self, name: &str) -> Option<bool> {
        let name = name.strip_prefix("val_").unwrap_or(name);
        if name == "loss" {
            return Some(false);
        }
        let found = self.reported.iter().find(|reported| reported.name == name)?;
        found.metric.as_ref().map_or(Some(false), Metric::rises)
    }

    /// What the trained weights hold, in the optimizer's order.
    #[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
    pub(super) fn trained_data(&self) -> impl Iterator<Item = &Arc<Data>> {
        self.trained.iter().map(|weight| &weight.data)
    }

    /// Takes one step on a batch: `x` are the model's inputs, `y` the targets of its outputs. Returns the loss before the step,
    /// penalties included, and the metrics.
    ///
    /// # Errors
    /// [`Error::Invalid`] for shapes that do not fit the model or the losses; [`Error::Unsupported`] for layers that have no
    /// gradient; [`Error::Gpu`] where the device was lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn train_on_batch(&mut self, x: &[HostTensor], y: &[HostTensor]) -> Result<Logs> {
        pollster::block_on(self.train_on_samples_async(Samples::new(x, y)))
    }

    /// [`train_on_batch`](Self::train_on_batch) with a weight for each sample, or each line of the losses, of each output.
    ///
    /// # Errors
    /// Those of [`train_on_batch`](Self::train_on_batch).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn train_on_weighted_batch(
        &mut self,
        x: &[HostTensor],
        y: &[HostTensor],
        sample_weight: &[HostTensor],
    ) -> Result<Logs> {
        pollster::block_on(self.train_on_samples_async(Samples { sample_weight, ..Samples::new(x, y) }))
    }

    /// [`train_on_batch`](Self::train_on_batch) of samples that may have weights, without blocking.
    ///
    /// # Errors
    /// Those of [`train_on_batch`](Self::train_on_batch).
    pub async fn train_on_samples_async(&mut self, samples: Samples<'_>) -> Result<Logs> {
        samples.count()?;
        let mut totals = Totals::default();
        self.step(true, samples, &mut totals).await?;
        Ok(self.logs(&totals, ""))
    }

    /// The loss and the metrics of all samples, `batch_size` at a time: means over all of them, and functions of what was
    /// counted over all.
    ///
    /// # Errors
    /// Those of [`train_on_batch`](Self::train_on_batch), and [`Error::Invalid`] for a batch size of 0.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn evaluate(&mut self, x: &[HostTensor], y: &[HostTensor], batch_size: usize) -> Result<Logs> {
        self.evaluate_samples(Samples::new(x, y), batch_size)
    }

    /// [`evaluate`](Self::evaluate) of samples that may have weights.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn evaluate_samples(&mut self, samples: Samples<'_>, batch_size: usize) -> Result<Logs> {
        pollster::block_on(self.evaluate_samples_async(samples, batch_size))
    }

    /// [`evaluate_samples`](Self::evaluate_samples) without blocking.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate).
    pub async fn evaluate_samples_async(&mut self, samples: Samples<'_>, batch_size: usize) -> Result<Logs> {
        let order: Vec<usize> = (0..samples.count()?).collect();
        let totals = self.pass(samples, &order, batch_size).await?;
        Ok(self.logs(&totals, ""))
    }

    /// [`evaluate`](Self::evaluate) of batches as they come, however many samples each has.
    ///
    /// # Errors
    /// Those of [`train_on_batch`](Self::train_on_batch), those that the iterator hands out, and [`Error::Invalid`] where it
    /// has no batch.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn evaluate_batches(&mut self, batches: impl IntoIterator<Item = Result<Batch>>) -> Result<Logs> {
        pollster::block_on(self.evaluate_batches_async(batches))
    }

    /// [`evaluate_batches`](Self::evaluate_batches) without blocking.
    ///
    /// # Errors
    /// Those of [`evaluate_batches`](Self::evaluate_batches).
    pub async fn evaluate_batches_async(&mut self, batches: impl IntoIterator<Item = Result<Batch>>) -> Result<Logs> {
        let totals = self.pass_batches(batches).await?;
        Ok(self.logs(&totals, ""))
    }

    /// One pass over batches as they come, which changes nothing.
    pub(super) async fn pass_batches(&mut self, batches: impl IntoIterator<Item = Result<Batch>>) -> Result<Totals> {
        let mut totals = Totals::default();
        for batch in batches {
            self.step(false, batch?.samples(), &mut totals).await?;
        }
        if totals.0.is_empty() {
            return Err(Error::invalid("batches", "there must be a batch to evaluate", "none"));
        }
        Ok(totals)
    }

    /// One pass over the samples of `order`, which changes nothing.
    pub(super) async fn pass(&mut self, samples: Samples<'_>, order: &[usize], batch_size: usize) -> Result<Totals> {
        check_batch(batch_size)?;
        let mut totals = Totals::default();
        for batch in order.chunks(batch_size) {
            self.step(false, samples.batch(batch).samples(), &mut totals).await?;
        }
        Ok(totals)
    }

    /// What the totals come to, by name.
    pub(super) fn logs(&self, totals: &Totals, prefix: &str) -> Logs {
        let mut logs = Logs::default();
        let mut sums = totals.0.iter();
        if let Some(loss) = sums.next() {
            logs.set(format!("{prefix}loss"), super::metric::quotient(loss[0], loss[1]));
        }
        for (reported, sums) in self.reported.iter().zip(sums) {
            let value = match &reported.metric {
                Some(metric) => metric.result(sums),
                None => super::metric::quotient(sums[0], sums[1]),
            };
            logs.set(format!("{prefix}{}", reported.name), value);
        }
        logs
    }

    /// # Errors
    /// [`Error::Invalid`] for the index of a class that there is no prediction of.
    fn check_classes(&self, y: &[HostTensor]) -> Result<()> {
        for ((loss, targets), &output) in self.options.losses.iter().zip(y).zip(self.model.outputs()) {
            let Some((classes, ignored)) = loss.indexed_classes(self.model.shape(output)) else { continue };
            let is_one = |&target: &f32| {
                target.fract() == 0.0 && (0.0..classes as f32).contains(&target)
                    || ignored.is_some_and(|ignored| ignored as f32 == target)
            };
            if let Some((at, target)) = targets.values.iter().enumerate().find(|(_, target)| !is_one(target)) {
                let rule = format!(
                    "targets of {} must be indices of the {classes} classes that are predicted, 0 to {}: number them from 0, \
                     or have a model with a prediction for each",
                    loss.name(),
                    classes.saturating_sub(1)
                );
                let received = format!("{target}, target {at} of a batch of shape {}", targets.shape);
                return Err(Error::invalid("y", rule, received));
            }
        }
        Ok(())
    }

    /// Runs a batch and adds what it comes to.
    pub(super) async fn step(&mut self, training: bool, batch: Samples<'_>, totals: &mut Totals) -> Result<()> {
        let Samples { x, y, sample_weight } = batch;
        let samples = batch.count()?;
        self.check_classes(y)?;
        let given: Vec<&HostTensor> = x.iter().chain(y).chain(sample_weight).collect();
        let shapes: Vec<Shape> = given.iter().map(|tensor| tensor.shape.clone()).collect();
        let key = (training, sample_weight.len(), shapes);
        if let Some(index) = self.programs.iter().position(|(known, ..)| *known == key) {
            let found = self.programs.remove(index);
            self.programs.push(found);
        } else {
            let (program, sizes) = self.compiled(training, batch, samples)?;
            if self.programs.len() == MOST_PROGRAMS {
                self.programs.remove(0);
            }
            self.programs.push((key, Arc::new(program), sizes.into()));
        }
        let (_, program, sizes) = &self.programs[self.programs.len() - 1];
        let (program, sizes) = (program.clone(), sizes.clone());
        let (number, clock) = (ops::step_number(self.state.iterations()), self.state.clock());
        let scale = [self.state.loss_scale() as f32];
        let of_training: &[&[f32]] = match (training, self.state.scales()) {
            (false, _) => &[],
            (true, false) => &[&number, &clock],
            (true, true) => &[&number, &clock, &scale],
        };
        let values = given.iter().map(|tensor| &tensor.values[..]).chain(of_training.iter().copied());
        let results = program.run_async(self.model.gpu(), &values.collect::<Vec<_>>()).await?;
        let mut numbers: Vec<f64> = results.into_iter().flatten().map(f64::from).collect();
        if training {
            let left_out = self.state.optimizer().loss_scaling.is_some() && numbers.pop() == Some(1.0);
            self.state.finish_step(left_out)?;
        }
        let mut numbers = &numbers[..];
        let mut sums = Vec::with_capacity(sizes.len());
        let metrics = [None].into_iter().chain(self.reported.iter().map(|reported| reported.metric.as_ref()));
        for (metric, &size) in metrics.zip(sizes.iter()) {
            let (of, rest) = numbers.split_at(size);
            numbers = rest;
            sums.push(match metric {
                Some(metric) => metric.sums(of, samples),
                None => vec![of[0] * samples as f64, samples as f64],
            });
        }
        totals.add(sums);
        Ok(())
    }

    /// The program of a step, and the sizes of what it reports.
    fn compiled(&self, training: bool, batch: Samples<'_>, samples: usize) -> Result<(Program, Vec<usize>)> {
        let mut tape = Tape::default();
        let inputs = |tape: &mut Tape, tensors: &[HostTensor]| -> Result<Vec<Value>> {
            tensors.iter().map(|tensor| tape.input(tensor.shape.clone(), DType::F32)).collect()
        };
        let x = inputs(&mut tape, batch.x)?;
        let y = inputs(&mut tape, batch.y)?;
        let weights = inputs(&mut tape, batch.sample_weight)?;
        if training {
            tape.train()?;
        }
        let mut activities = Vec::new();
        let predictions = self.model.lower(&mut tape, &x, "", &mut |applied| {
            activities.extend(applied.layer.activity_regularizer().map(|regularizer| (regularizer, applied.output)));
        })?;
        if predictions.iter().any(|&prediction| tape.mask(prediction).is_some()) {
            return Err(Error::unsupported(
                "training a model whose output carries a mask, by which Keras leaves times out of losses and metrics",
                "give the times that count by sample weights, and no mask: without `mask_zero`, or behind a layer that carries none",
            ));
        }
        if y.len() != predictions.len() || !(weights.is_empty() || weights.len() == predictions.len()) {
            return Err(Error::invalid(
                "y",
                format!("there must be targets, and weights if any, for each of the {} output(s)", predictions.len()),
                format!("{} targets, {} weights", y.len(), weights.len()),
            ));
        }
        tape.place = "training".into();
        let mut total: Option<Value> = None;
        let mut seeds = Vec::new();
        let mut add = |tape: &mut Tape, value: Value| -> Result<()> {
            total = Some(match total {
                Some(total) => ops::two(tape, BinaryFunction::Add, total, value)?,
                None => value,
            });
            Ok(())
        };
        let mut of_outputs = Vec::with_capacity(predictions.len());
        for (index, (loss, &prediction)) in self.options.losses.iter().zip(&predictions).enumerate() {
            let (loss, of) = of_logits(&mut tape, loss, prediction)?;
            // In f32 its gradient is scaled before it is rounded.
            let of = ops::cast(&mut tape, DType::F32, None, of)?;
            let lowered = loss.lower(&mut tape, [of, y[index]], weights.get(index).copied(), training)?;
            let one = match loss.reduction {
                Reduction::None => mean(&mut tape, lowered.loss)?,
                _ => lowered.loss,
            };
            of_outputs.push(one);
            let factor = self.options.loss_weights.get(index).copied().unwrap_or(1.0);
            let scaled = |tape: &mut Tape, value| if factor == 1.0 { Ok(value) } else { times(tape, factor, value) };
            let one = scaled(&mut tape, one)?;
            add(&mut tape, one)?;
            if let Some(gradient) = lowered.gradient {
                seeds.push((of, scaled(&mut tape, gradient)?));
            }
        }
        for (regularizer, output) in activities {
            let output = ops::cast(&mut tape, DType::F32, None, output)?;
            let (penalty, gradient) = penalty(&mut tape, &regularizer, output, training)?;
            let share = 1.0 / samples.max(1) as f64;
            let penalty = times(&mut tape, share, penalty)?;
            add(&mut tape, penalty)?;
            if let Some(gradient) = gradient {
                seeds.push((output, times(&mut tape, share, gradient)?));
            }
        }
        let mut penalties = Vec::with_capacity(self.trained.len());
        for weight in &self.trained {
            let mut slope = None;
            if let Some(regularizer) = &weight.regularizer {
                let value = tape.variable(&weight.data)?;
                let (penalty, gradient) = penalty(&mut tape, regularizer, value, training)?;
                add(&mut tape, penalty)?;
                slope = gradient;
            }
            penalties.push(slope);
        }
        let mut numbers =
            vec![total.ok_or_else(|| Error::invalid("model", "a model must have an output to be trained", "none"))?];
        for Reported { output, metric, weighted, .. } in &self.reported {
            let weight = if *weighted { weights.get(*output).copied() } else { None };
            numbers.push(match metric {
                Some(metric) => metric.lower(&mut tape, [predictions[*output], y[*output]], weight)?,
                None => of_outputs[*output],
            });
        }
        if training {
            let clock = tape.input([self.state.clock_size()].into(), DType::F32)?;
            let targets: Vec<_> = self.trained.iter().map(|weight| Target::Variable(weight.data.clone())).collect();
            let scale = if self.state.scales() { Some(tape.input([1].into(), DType::F32)?) } else { None };
            let scaled = |tape: &mut Tape, value: Value| match scale {
                Some(scale) => {
                    let shape = tape.shape(value).clone();
                    let scaled = ops::two(tape, BinaryFunction::Multiply, value, scale)?;
                    tape.reshape(scaled, shape)
                }
                None => Ok(value),
            };
            for (_, gradient) in &mut seeds {
                *gradient = scaled(&mut tape, *gradient)?;
            }
            let mut gradients = ops::gradient(&mut tape, &seeds, &targets)?;
            for (gradient, penalty) in gradients.iter_mut().zip(penalties) {
                if let Some(penalty) = penalty {
                    let penalty = scaled(&mut tape, penalty)?;
                    *gradient = ops::two(&mut tape, BinaryFunction::Add, *gradient, penalty)?;
                }
            }
            numbers.extend(self.state.lower(&mut tape, &gradients, clock)?);
        }
        let sizes: Vec<usize> = numbers.iter().map(|&number| tape.elements(number) as usize).collect();
        let lines = numbers.iter().zip(&sizes).map(|(&number, &size)| tape.reshape(number, [size]));
        let lines = lines.collect::<Result<Vec<_>>>()?;
        let reported = ops::concatenate(&mut tape, 0, &lines)?;
        Ok((Program::of(self.model.gpu(), tape, vec![reported])?, sizes))
    }
}

/// # Errors
/// [`Error::Invalid`] for 0.
pub(super) fn check_batch(batch_size: usize) -> Result<()> {
    if batch_size == 0 {
        return Err(Error::invalid("batch_size", "`batch_size` must be at least 1", "batch_size=0"));
    }
    Ok(())
}

/// The names of a model's outputs: those of what makes them.
pub(crate) fn output_names(model: &Model) -> Vec<String> {
    let name = |port: &Port| match *port {
        Port::Input(input) => model.inputs()[input].name.clone(),
        Port::Output(node, _) => model.blocks()[model.nodes()[node].block].name().to_owned(),
    };
    model.outputs().iter().map(name).collect()
}

/// What is reported beside the loss, by Keras's names: of several outputs they begin with the output's, and there is the loss of
/// each. Of two by one name the later gets a number.
fn reported(model: &Model, options: &CompileOptions) -> Vec<Reported> {
    let outputs = output_names(model);
    let around = |output: usize| if outputs.len() == 1 { String::new() } else { format!("{}_", outputs[output]) };
    let mut all: Vec<Reported> = Vec::new();
    let mut push = |name: String, output, metric: Option<&Metric>, weighted| {
        let taken = |name: &str| name == "loss" || all.iter().any(|reported| reported.name == name);
        let mut names = [name.clone()].into_iter().chain((1..).map(|number| format!("{name}_{number}")));
        let name = names.find(|name| !taken(name)).unwrap_or(name);
        all.push(Reported { name, output, metric: metric.cloned(), weighted });
    };
    if outputs.len() > 1 {
        (0..outputs.len()).for_each(|output| push(format!("{}loss", around(output)), output, None, false));
    }
    for (lists, weighted) in [(&options.metrics, false), (&options.weighted_metrics, true)] {
        for (output, metrics) in lists.iter().enumerate() {
            for metric in metrics {
                push(format!("{}{}", around(output), metric.name()), output, Some(metric), weighted);
            }
        }
    }
    all
}

fn mean(tape: &mut Tape, value: Value) -> Result<Value> {
    let axes: Vec<usize> = (0..tape.shape(value).rank()).collect();
    ops::reduce(tape, AxisFunction::Mean, &axes, false, value)
}

/// A cross-entropy of what a softmax or a sigmoid made, as one of the logits that this read: the same function, but for
/// rounding, and a gradient that does not vanish where a probability was rounded to 0 or 1.
fn of_logits(tape: &mut Tape, loss: &Loss, prediction: Value) -> Result<(Loss, Value)> {
    let storage = tape.storage(prediction);
    let last = tape.shape(prediction).dims().last().copied().unwrap_or(0);
    let maker = tape.steps.iter().rev().find(|step| step.written().any(|value| tape.storage(value) == storage));
    let found = maker.and_then(|step| {
        let softmax = match step.problem {
            Problem::AlongAxis(axis) if axis.function == AxisFunction::Softmax => {
                axis.inner == 1 && axis.extent as usize == last
            }
            Problem::Map(map) if map.activation.function() == "sigmoid" => false,
            _ => return None,
        };
        Some((loss.of_logits(softmax)?, step.value(Operand::Input)?))
    });
    match found {
        Some((loss, logits)) => {
            let shape = tape.shape(prediction).clone();
            Ok((loss, tape.reshape(logits, shape)?))
        }
        None => Ok((loss.clone(), prediction)),
    }
}
