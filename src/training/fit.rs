//! Training a model: Keras's `compile`, `fit`, `evaluate` and `train_on_batch`.
//!
//! A step is one program, compiled for the shapes of a batch and replayed from then on: forward pass, losses, backward pass,
//! updates and metrics, in one submission. Nothing is read back but the numbers that are reported.
//!
//! ```text
//! x ─► layers ─► predictions ─► losses, metrics          forward
//!        weights ◄─ optimizer ◄─ gradients ◄─┘           backward, then updates in place
//! ```

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::loss::binary;
use super::weights::{penalty, times};
use super::{Loss, Metric, Optimizer, OptimizerState, Reduction};
use crate::layers::Regularizer;
use crate::model::{Model, Program};
use crate::ops::{self, Tape, Target, Value};
use crate::plan::{AxisFunction, BinaryFunction, Operand, Problem};
use crate::variable::Data;
use crate::{DType, Error, HostTensor, Result, Shape, Variable};

/// A model with what it is trained by: Keras's compiled model.
///
/// ```no_run
/// use wgpu_conv::model::Model;
/// use wgpu_conv::training::{FitOptions, Loss, Metric, Optimizer, Trainer};
/// use wgpu_conv::{Gpu, HostTensor};
///
/// let model = Model::load(&Gpu::new()?, "digits.keras")?;
/// let loss = Loss::from_name("sparse_categorical_crossentropy")?;
/// let mut trainer = Trainer::new(&model, Optimizer::from_name("adam")?, &[loss], &[Metric::Accuracy])?;
/// # let (x, y): (HostTensor, HostTensor) = unimplemented!();
/// let history = trainer.fit(&[x], &[y], &FitOptions { epochs: 3, ..FitOptions::default() }, |epoch| {
///     println!("epoch {}: {:?}", epoch.number, epoch.logs);
///     Ok(true)
/// })?;
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
pub struct Trainer<'a> {
    model: &'a Model,
    losses: Vec<Loss>,
    metrics: Vec<Metric>,
    state: OptimizerState,
    trained: Vec<Trained>,
    /// The programs so far, by whether they change weights, and by the shapes of what they read.
    programs: HashMap<(bool, Vec<Shape>), Arc<Program>>,
}

/// A weight that training changes.
struct Trained {
    data: Arc<Data>,
    regularizer: Option<Regularizer>,
}

/// Numbers by name, in the order in which they are reported: `loss`, metrics, then those of validation with `val_` before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logs(Vec<(String, f64)>);

impl Logs {
    /// The number of a name.
    ///
    /// ```
    /// assert_eq!(wgpu_conv::training::Logs::default().get("loss"), None);
    /// ```
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Every name with its number, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

/// How [`Trainer::fit`] goes through the data.
///
/// ```
/// use wgpu_conv::training::FitOptions;
///
/// let options = FitOptions { epochs: 10, validation_split: 0.1, ..FitOptions::default() };
/// assert_eq!((options.batch_size, options.shuffle), (32, true));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FitOptions {
    /// Samples of a step; 32 by default. The last step of an epoch may have fewer.
    pub batch_size: usize,
    /// Times that all samples are seen; 1 by default.
    pub epochs: usize,
    /// Whether samples are in another order in each epoch; true by default.
    pub shuffle: bool,
    /// Where those orders come from; 0 by default. The same seed gives the same orders.
    pub seed: u64,
    /// The share of the samples, the last ones before they are shuffled, that are not trained on but evaluated; 0 by default.
    pub validation_split: f64,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self { batch_size: 32, epochs: 1, shuffle: true, seed: 0, validation_split: 0.0 }
    }
}

/// What [`Trainer::fit`] tells after each epoch.
#[derive(Debug)]
pub struct Epoch<'a> {
    /// Its number, from 0.
    pub number: usize,
    /// What it came to.
    pub logs: &'a Logs,
    /// The optimizer, whose learning rate may be changed.
    pub optimizer: &'a mut OptimizerState,
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
    /// [`Error::Invalid`] for a number of losses that is not the outputs', and for a model without trainable weights; those of
    /// [`Optimizer::build`]; [`Error::Unsupported`] for [`LossScaling`](super::LossScaling), which needs each step's
    /// gradients on the host's side.
    pub fn new(model: &'a Model, optimizer: Optimizer, losses: &[Loss], metrics: &[Metric]) -> Result<Self> {
        if losses.len() != model.outputs().len() {
            return Err(Error::invalid(
                "loss",
                format!(
                    "there must be a loss for each of the {} output(s) of model `{}`",
                    model.outputs().len(),
                    model.name()
                ),
                format!("{} loss(es)", losses.len()),
            ));
        }
        if optimizer.loss_scaling.is_some() {
            return Err(Error::unsupported(
                "a loss scale that looks for itself in a Trainer",
                "give the optimizer a `loss_scale_factor`, or apply gradients by `OptimizerState::apply`",
            ));
        }
        for loss in losses {
            loss.validate()?;
        }
        let mut trained: Vec<Trained> = Vec::new();
        let mut variables: Vec<(Variable, _)> = Vec::new();
        for (_, layer) in model.layers() {
            for (variable, held) in layer.weights().iter().zip(layer.held()) {
                let known = trained.iter().any(|weight| Arc::ptr_eq(&weight.data, variable.data()));
                if variable.trainable() && !known {
                    trained.push(Trained { data: variable.data().clone(), regularizer: held.regularizer.clone() });
                    variables.push((variable.clone(), held.constraint.clone()));
                }
            }
        }
        let state = optimizer.build(model.gpu(), &variables)?;
        let (losses, metrics) = (losses.to_vec(), metrics.to_vec());
        Ok(Self { model, losses, metrics, state, trained, programs: HashMap::new() })
    }

    /// The optimizer with what it keeps.
    pub fn optimizer(&self) -> &OptimizerState {
        &self.state
    }

    /// Takes one step on a batch: `x` are the model's inputs, `y` the targets of its outputs. Returns the loss before the step,
    /// penalties included, and the metrics.
    ///
    /// # Errors
    /// [`Error::Invalid`] for shapes that do not fit the model or the losses; [`Error::Unsupported`] for layers that have no
    /// gradient; [`Error::Gpu`] where the device was lost.
    pub fn train_on_batch(&mut self, x: &[HostTensor], y: &[HostTensor]) -> Result<Logs> {
        let samples = samples(x, y)?;
        let numbers = self.step(true, x, y, None, 0..samples)?;
        Ok(self.logs(&numbers, ""))
    }

    /// [`train_on_batch`](Self::train_on_batch) with a weight for each sample, or each line of the losses, of each output.
    ///
    /// # Errors
    /// Those of [`train_on_batch`](Self::train_on_batch).
    pub fn train_on_weighted_batch(
        &mut self,
        x: &[HostTensor],
        y: &[HostTensor],
        sample_weight: &[HostTensor],
    ) -> Result<Logs> {
        let samples = samples(x, y)?;
        let numbers = self.step(true, x, y, Some(sample_weight), 0..samples)?;
        Ok(self.logs(&numbers, ""))
    }

    /// The loss and the metrics of all samples, `batch_size` at a time: the mean of batches, weighted by their sizes.
    ///
    /// # Errors
    /// Those of [`train_on_batch`](Self::train_on_batch), and [`Error::Invalid`] for a batch size of 0.
    pub fn evaluate(&mut self, x: &[HostTensor], y: &[HostTensor], batch_size: usize) -> Result<Logs> {
        let samples = samples(x, y)?;
        let numbers = self.pass(false, x, y, &(0..samples).collect::<Vec<_>>(), batch_size)?;
        Ok(self.logs(&numbers, ""))
    }

    /// Trains on all samples, epoch by epoch, and returns what each epoch came to. `each` is told after every epoch, may change
    /// the learning rate, and ends the training where it returns `false`.
    ///
    /// # Errors
    /// Those of [`train_on_batch`](Self::train_on_batch) and of `each`; [`Error::Invalid`] for a batch size of 0 and for a
    /// `validation_split` that leaves nothing to train on.
    pub fn fit(
        &mut self,
        x: &[HostTensor],
        y: &[HostTensor],
        options: &FitOptions,
        mut each: impl FnMut(Epoch<'_>) -> Result<bool>,
    ) -> Result<Vec<Logs>> {
        let samples = samples(x, y)?;
        let split = options.validation_split;
        let trained = (samples as f64 * (1.0 - split)).floor() as usize;
        if !(0.0..1.0).contains(&split) || trained == 0 || (split > 0.0 && trained == samples) {
            return Err(Error::invalid(
                "validation_split",
                "validation_split must lie in [0, 1) and leave samples on either side",
                format!("validation_split={split} of {samples} samples"),
            ));
        }
        let held_back: Vec<usize> = (trained..samples).collect();
        let mut history = Vec::with_capacity(options.epochs);
        for number in 0..options.epochs {
            let mut order: Vec<usize> = (0..trained).collect();
            if options.shuffle {
                shuffle(&mut order, options.seed, number as u64);
            }
            let numbers = self.pass(true, x, y, &order, options.batch_size)?;
            let mut logs = self.logs(&numbers, "");
            if !held_back.is_empty() {
                let numbers = self.pass(false, x, y, &held_back, options.batch_size)?;
                logs.0.extend(self.logs(&numbers, "val_").0);
            }
            let goes_on = each(Epoch { number, logs: &logs, optimizer: &mut self.state })?;
            history.push(logs);
            if !goes_on {
                break;
            }
        }
        self.state.finalize()?;
        Ok(history)
    }

    /// One pass over the samples of `order`: the mean of each number over them.
    fn pass(
        &mut self,
        training: bool,
        x: &[HostTensor],
        y: &[HostTensor],
        order: &[usize],
        batch_size: usize,
    ) -> Result<Vec<f64>> {
        if batch_size == 0 {
            return Err(Error::invalid("batch_size", "`batch_size` must be at least 1", "batch_size=0"));
        }
        let mut totals: Vec<f64> = Vec::new();
        for batch in order.chunks(batch_size) {
            let taken =
                |tensors: &[HostTensor]| tensors.iter().map(|tensor| gathered(tensor, batch)).collect::<Vec<_>>();
            let numbers = self.step(training, &taken(x), &taken(y), None, 0..batch.len())?;
            totals.resize(numbers.len(), 0.0);
            totals.iter_mut().zip(numbers).for_each(|(total, number)| *total += number * batch.len() as f64);
        }
        let samples = order.len().max(1) as f64;
        Ok(totals.into_iter().map(|total| total / samples).collect())
    }

    fn logs(&self, numbers: &[f64], prefix: &str) -> Logs {
        let names = ["loss".to_owned()].into_iter().chain(self.metrics.iter().map(Metric::name));
        Logs(names.zip(numbers).map(|(name, &number)| (format!("{prefix}{name}"), number)).collect())
    }

    /// Runs a batch: the loss with its penalties, then the metrics.
    fn step(
        &mut self,
        training: bool,
        x: &[HostTensor],
        y: &[HostTensor],
        weights: Option<&[HostTensor]>,
        samples: Range<usize>,
    ) -> Result<Vec<f64>> {
        let given: Vec<&HostTensor> = x.iter().chain(y).chain(weights.unwrap_or_default()).collect();
        let shapes: Vec<Shape> = given.iter().map(|tensor| tensor.shape.clone()).collect();
        let key = (training, shapes);
        let program = match self.programs.get(&key) {
            Some(program) => program.clone(),
            None => {
                let program = Arc::new(self.compiled(training, x, y, weights, samples.len())?);
                self.programs.insert(key, program.clone());
                program
            }
        };
        let (number, clock) = (ops::step_number(self.state.iterations()), self.state.clock());
        let of_training = [&number[..], &clock[..]];
        let values = given.iter().map(|tensor| &tensor.values[..]).chain(of_training.into_iter().filter(|_| training));
        let results = program.run(self.model.gpu(), &values.collect::<Vec<_>>())?;
        if training {
            self.state.finish_step()?;
        }
        Ok(results.into_iter().flatten().map(f64::from).collect())
    }

    /// The program of a step.
    fn compiled(
        &self,
        training: bool,
        x: &[HostTensor],
        y: &[HostTensor],
        weights: Option<&[HostTensor]>,
        samples: usize,
    ) -> Result<Program> {
        let mut tape = Tape::default();
        let inputs = |tape: &mut Tape, tensors: &[HostTensor]| -> Result<Vec<Value>> {
            tensors.iter().map(|tensor| tape.input(tensor.shape.clone(), DType::F32)).collect()
        };
        let x = inputs(&mut tape, x)?;
        let y = inputs(&mut tape, y)?;
        let weights = weights.map(|weights| inputs(&mut tape, weights)).transpose()?;
        if training {
            tape.train()?;
        }
        let mut activities = Vec::new();
        let predictions = self.model.lower(&mut tape, &x, "", &mut |applied| {
            activities.extend(applied.layer.activity_regularizer().map(|regularizer| (regularizer, applied.output)));
        })?;
        if y.len() != predictions.len() || weights.as_ref().is_some_and(|weights| weights.len() != predictions.len()) {
            return Err(Error::invalid(
                "y",
                format!("there must be targets, and weights if any, for each of the {} output(s)", predictions.len()),
                format!("{} targets", y.len()),
            ));
        }
        tape.place = "training".into();
        let scale = self.state.loss_scale();
        let mut total: Option<Value> = None;
        let mut seeds = Vec::new();
        let mut add = |tape: &mut Tape, value: Value| -> Result<()> {
            total = Some(match total {
                Some(total) => binary(tape, BinaryFunction::Add, total, value)?,
                None => value,
            });
            Ok(())
        };
        for (index, (loss, &prediction)) in self.losses.iter().zip(&predictions).enumerate() {
            let (loss, of) = of_logits(&mut tape, loss, prediction)?;
            let weight = weights.as_ref().map(|weights| weights[index]);
            let lowered = loss.lower(&mut tape, [of, y[index]], weight, training)?;
            let one = match loss.reduction {
                Reduction::None => mean(&mut tape, lowered.loss)?,
                _ => lowered.loss,
            };
            add(&mut tape, one)?;
            seeds.extend(lowered.gradient.map(|gradient| (of, gradient)));
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
        for metric in &self.metrics {
            let value = metric.lower(&mut tape, [predictions[0], y[0]])?;
            numbers.push(value);
        }
        if training {
            let clock = tape.input([self.state.clock_size()].into(), DType::F32)?;
            let targets: Vec<_> = self.trained.iter().map(|weight| Target::Variable(weight.data.clone())).collect();
            if scale != 1.0 {
                for (_, gradient) in &mut seeds {
                    *gradient = times(&mut tape, scale, *gradient)?;
                }
            }
            let mut gradients = ops::gradient(&mut tape, &seeds, &targets)?;
            for (gradient, penalty) in gradients.iter_mut().zip(penalties) {
                if let Some(penalty) = penalty {
                    let penalty = if scale == 1.0 { penalty } else { times(&mut tape, scale, penalty)? };
                    *gradient = binary(&mut tape, BinaryFunction::Add, *gradient, penalty)?;
                }
            }
            self.state.lower(&mut tape, &gradients, clock)?;
        }
        let lines = numbers.into_iter().map(|number| tape.reshape(number, [1])).collect::<Result<Vec<_>>>()?;
        let reported = ops::concatenate(&mut tape, 0, &lines)?;
        Program::of(self.model.gpu(), tape, vec![reported])
    }
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

/// The number of samples in inputs and targets.
fn samples(x: &[HostTensor], y: &[HostTensor]) -> Result<usize> {
    let mut counts = x.iter().chain(y).map(|tensor| tensor.shape.dims().first().copied());
    let first = counts.next().flatten();
    match first {
        Some(samples) if samples > 0 && counts.all(|count| count == first) => Ok(samples),
        _ => {
            let shapes: Vec<_> = x.iter().chain(y).map(|tensor| tensor.shape.to_string()).collect();
            Err(Error::invalid(
                "x",
                "inputs and targets must have the same number of samples, one at least, along their first axis",
                format!("shapes {}", shapes.join(", ")),
            ))
        }
    }
}

/// The samples of these numbers.
fn gathered(tensor: &HostTensor, samples: &[usize]) -> HostTensor {
    let mut dims = tensor.shape.dims().to_vec();
    let each: usize = dims[1..].iter().product();
    dims[0] = samples.len();
    let values =
        samples.iter().flat_map(|&sample| &tensor.values[sample * each..(sample + 1) * each]).copied().collect();
    HostTensor { shape: dims.into(), values }
}

/// Another order, the same for the same seed and epoch on every machine: Fisher and Yates's by the generator SplitMix64.
fn shuffle(order: &mut [usize], seed: u64, epoch: u64) {
    let mut state = seed ^ epoch.wrapping_mul(0xd134_2543_de82_ef95);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    for last in (1..order.len()).rev() {
        // The high half of a product is as good as evenly spread.
        let chosen = (u128::from(next()) * (last as u128 + 1)) >> 64;
        order.swap(last, chosen as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::shuffle;

    #[test]
    fn orders_are_permutations_that_the_seed_tells() {
        let of = |seed, epoch| {
            let mut order: Vec<usize> = (0..100).collect();
            shuffle(&mut order, seed, epoch);
            order
        };
        assert_eq!(of(1, 2), of(1, 2));
        assert_ne!(of(1, 2), of(1, 3));
        assert_ne!(of(1, 2), of(2, 2));
        let mut sorted = of(7, 0);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }
}
