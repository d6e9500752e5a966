//! Keras's `fit`: epochs of shuffled batches, validation, history and callbacks.

use std::collections::BTreeMap;

use super::data::{Batch, Batches, Samples, weights_by_class};
use super::trainer::{Totals, check_batch};
use super::{Callback, History, OptimizerState, Trainer};
use crate::model::Model;
use crate::{Error, HostTensor, Result};

/// How [`Trainer::fit`] goes through the data: the arguments of Keras's `fit`.
///
/// ```
/// use wgpu_conv::training::FitOptions;
///
/// let options = FitOptions { epochs: 10, validation_split: 0.1, ..FitOptions::default() };
/// assert_eq!((options.batch_size, options.shuffle), (32, true));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FitOptions<'a> {
    /// Samples of a step; 32 by default. The last step of an epoch may have fewer.
    pub batch_size: usize,
    /// The number of the epoch before which training ends, counted from 0: times that all samples are seen, where it begins with
    /// epoch 0; 1 by default.
    pub epochs: usize,
    /// The number of the first epoch; 0 by default. Orders of samples and numbers of epochs are those of a run that was not
    /// interrupted before it.
    pub initial_epoch: usize,
    /// Whether samples are in another order in each epoch; true by default.
    pub shuffle: bool,
    /// Where those orders come from; 0 by default. The same seed gives the same orders.
    pub seed: u64,
    /// Steps of an epoch; all samples by default. The next epoch goes on with the samples that are left.
    pub steps_per_epoch: Option<usize>,
    /// For each output a weight for each sample; none by default.
    pub sample_weight: &'a [HostTensor],
    /// The weight of the samples of each class, 1 for those that are not named; none by default. Of models of one output, and
    /// not together with `sample_weight`.
    pub class_weight: BTreeMap<u32, f64>,
    /// The share of the samples, the last ones before they are shuffled, that are not trained on but evaluated; 0 by default.
    pub validation_split: f64,
    /// What is evaluated after each epoch instead; none by default.
    pub validation_data: Option<Samples<'a>>,
    /// Samples evaluated together; `batch_size` by default.
    pub validation_batch_size: Option<usize>,
    /// Batches that are evaluated; all by default.
    pub validation_steps: Option<usize>,
    /// Of how many epochs one is followed by an evaluation; 1 by default.
    pub validation_freq: usize,
}

impl Default for FitOptions<'_> {
    fn default() -> Self {
        Self {
            batch_size: 32,
            epochs: 1,
            initial_epoch: 0,
            shuffle: true,
            seed: 0,
            steps_per_epoch: None,
            sample_weight: &[],
            class_weight: BTreeMap::new(),
            validation_split: 0.0,
            validation_data: None,
            validation_batch_size: None,
            validation_steps: None,
            validation_freq: 1,
        }
    }
}

impl FitOptions<'_> {
    /// # Errors
    /// [`Error::Invalid`] for counts of 0, and for class weights beside sample weights or with several outputs.
    fn validate(&self, outputs: usize) -> Result<()> {
        check_batch(self.batch_size)?;
        for (argument, count) in [
            ("validation_batch_size", self.validation_batch_size),
            ("steps_per_epoch", self.steps_per_epoch),
            ("validation_steps", self.validation_steps),
            ("validation_freq", Some(self.validation_freq)),
        ] {
            if count == Some(0) {
                return Err(Error::invalid(
                    argument,
                    format!("{argument} must be at least 1"),
                    format!("{argument}=0"),
                ));
            }
        }
        if !self.class_weight.is_empty() && (outputs > 1 || !self.sample_weight.is_empty()) {
            return Err(both_weights(outputs, self.sample_weight.len()));
        }
        Ok(())
    }
}

/// A run of [`Trainer::fit`], as a [`Callback`] meets it.
#[derive(Debug)]
pub struct Run<'r, 'm> {
    trainer: &'r mut Trainer<'m>,
    epochs: usize,
    steps: Option<usize>,
    validates: bool,
    /// The epoch that a backup says comes next.
    restored: Option<usize>,
    stopping: bool,
}

impl<'m> Run<'_, 'm> {
    /// What is trained, with its model and its optimizer.
    pub fn trainer(&self) -> &Trainer<'m> {
        self.trainer
    }

    /// The model.
    pub fn model(&self) -> &'m Model {
        self.trainer.model()
    }

    /// The optimizer, whose learning rate may be changed.
    pub fn optimizer_mut(&mut self) -> &mut OptimizerState {
        self.trainer.optimizer_mut()
    }

    /// The number of the epoch before which it ends.
    pub fn epochs(&self) -> usize {
        self.epochs
    }

    /// Steps of an epoch; none where it ends with an iterator of batches.
    pub fn steps(&self) -> Option<usize> {
        self.steps
    }

    /// Whether something is evaluated after epochs.
    pub fn validates(&self) -> bool {
        self.validates
    }

    /// Goes on with what [`Trainer::save`] has saved at `path` when `epoch` was to come next, before the first epoch: for
    /// [`on_train_begin`](Callback::on_train_begin).
    ///
    /// # Errors
    /// Those of [`Trainer::restore`].
    #[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
    pub fn restore(&mut self, path: impl AsRef<std::path::Path>, epoch: usize) -> Result<()> {
        self.trainer.restore(path)?;
        self.restored = Some(epoch);
        Ok(())
    }

    /// Ends the run after this step, and what belongs to the end of its epoch.
    pub fn stop(&mut self) {
        self.stopping = true;
    }
}

/// What is evaluated after an epoch.
enum Evaluation<'e> {
    /// Samples in memory.
    Samples(Samples<'e>),
    /// Batches as they come, made anew for each epoch.
    Batches(&'e mut dyn FnMut() -> Box<dyn Iterator<Item = Result<Batch>> + 'e>),
}

impl Evaluation<'_> {
    /// One pass over it, or so much of it as the options say, which changes nothing.
    async fn pass(&mut self, trainer: &mut Trainer<'_>, options: &FitOptions<'_>) -> Result<Totals> {
        match self {
            Self::Samples(samples) => {
                let batch_size = options.validation_batch_size.unwrap_or(options.batch_size);
                let most = options.validation_steps.unwrap_or(usize::MAX).saturating_mul(batch_size);
                let order: Vec<usize> = (0..samples.count()?.min(most)).collect();
                trainer.pass(*samples, &order, batch_size).await
            }
            Self::Batches(make) => {
                let steps = options.validation_steps.unwrap_or(usize::MAX);
                trainer.pass_batches(make().take(steps)).await
            }
        }
    }
}

impl Trainer<'_> {
    /// # Errors
    /// [`Error::Invalid`] for the weight of a class that there is no prediction of.
    fn check_class_weights(&self, options: &FitOptions<'_>) -> Result<()> {
        let model = self.model();
        let classes = model.outputs().first().and_then(|&output| *model.shape(output).dims().last()?);
        let (Some(classes @ 2..), Some((&most, _))) = (classes, options.class_weight.last_key_value()) else {
            return Ok(());
        };
        if (most as usize) < classes {
            return Ok(());
        }
        let rule = format!("classes must be numbered from 0 to {}, as many as the model predicts", classes - 1);
        Err(Error::invalid("class_weight", rule, format!("a weight of class {most}")))
    }

    /// Trains on all samples, epoch by epoch, and returns what each epoch came to. The [`callbacks`](Callback) are told, in
    /// their order, of what happens; they may change the learning rate, end the run, or write files.
    ///
    /// After each epoch the validation samples are evaluated, if there are any, and reported with `val_` before the names. In
    /// the end weights become their moving averages, where the optimizer keeps such.
    ///
    /// # Errors
    /// Those of [`train_on_batch`](Self::train_on_batch) and of the callbacks; [`Error::Invalid`] for counts of 0, class weights
    /// together with sample weights, and a `validation_split` that leaves nothing to train on.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn fit(
        &mut self,
        x: &[HostTensor],
        y: &[HostTensor],
        options: &FitOptions<'_>,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<History> {
        pollster::block_on(self.fit_async(x, y, options, callbacks))
    }

    /// [`fit`](Self::fit) without blocking, as a browser needs it, which draws its page between the steps.
    ///
    /// # Errors
    /// Those of [`fit`](Self::fit). In a browser also [`Error::Unsupported`] for what asks for weights on the host between steps: a
    /// constraint of the caller's, and weights that [`EarlyStopping`](super::EarlyStopping) restores.
    pub async fn fit_async(
        &mut self,
        x: &[HostTensor],
        y: &[HostTensor],
        options: &FitOptions<'_>,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<History> {
        self.check_options(options)?;
        let by_class = by_class(y, options)?;
        let sample_weight = if by_class.is_empty() { options.sample_weight } else { &by_class };
        let samples = Samples { x, y, sample_weight };
        let count = samples.count()?;
        let trained = trained(count, options)?;
        let held_back: Batch;
        let validation = match options.validation_data {
            Some(validation) => Some(validation),
            None if trained < count => {
                let rest: Vec<usize> = (trained..count).collect();
                // The weights of classes are for training alone.
                held_back = Samples { x, y, sample_weight: options.sample_weight }.batch(&rest);
                Some(held_back.samples())
            }
            None => None,
        };
        let mut batches =
            Batches::new(trained, options.batch_size, options.shuffle.then_some(options.seed), options.steps_per_epoch);
        let steps = batches.steps();
        let mut begun = 0;
        let mut of_epoch = Vec::new().into_iter();
        let evaluation = validation.map(Evaluation::Samples);
        let mut next = |epoch, step| {
            if step == 0 {
                (begun..epoch).for_each(|_| drop(batches.next_epoch()));
                begun = epoch + 1;
                of_epoch = batches.next_epoch().into_iter();
            }
            Ok(of_epoch.next().map(|batch| samples.batch(&batch)))
        };
        self.run(options, Some(steps), evaluation, callbacks, &mut next).await
    }

    /// [`fit`](Self::fit) to batches as they come, one at a time, so that all of the data need never be in memory: a generator of
    /// Keras's. A batch may have another number of samples than the one before, the last one usually has.
    ///
    /// An epoch is `steps_per_epoch` batches, and the next one goes on where the last one ended; without `steps_per_epoch` it ends
    /// with the iterator, so that there is one epoch. The first batch belongs to epoch `initial_epoch`; those of epochs that a
    /// backup has already are taken and left. Of the
    /// options, those by which samples are cut into batches and put in an order play no part: the iterator does that.
    ///
    /// ```no_run
    /// use wgpu_conv::HostTensor;
    /// use wgpu_conv::training::{Batch, FitOptions};
    /// # let mut trainer: wgpu_conv::training::Trainer<'_> = unimplemented!();
    /// # fn picture(number: usize) -> wgpu_conv::Result<(Vec<f32>, f32)> { unimplemented!() }
    ///
    /// // Eight pictures at a time, which are read when their turn comes.
    /// let batches = (0..).map(|step| {
    ///     let (mut x, mut y) = (Vec::new(), Vec::new());
    ///     for number in 8 * step..8 * (step + 1) {
    ///         let (pixels, class) = picture(number % 1000)?;
    ///         x.extend(pixels);
    ///         y.push(class);
    ///     }
    ///     Ok(Batch::new([HostTensor::new([8, 64, 64, 3], x)?], [HostTensor::new([8], y)?]))
    /// });
    /// let options = FitOptions { epochs: 3, steps_per_epoch: Some(125), ..FitOptions::default() };
    /// trainer.fit_batches(batches, &options, &mut [])?;
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`fit`](Self::fit) and those that the iterator hands out; [`Error::Invalid`] for `sample_weight` and
    /// `validation_split` among the options, and where the iterator ends before the last epoch does. What has been learned until
    /// then stays.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn fit_batches(
        &mut self,
        batches: impl IntoIterator<Item = Result<Batch>>,
        options: &FitOptions<'_>,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<History> {
        pollster::block_on(self.fit_batches_async(batches, options, callbacks))
    }

    /// [`fit_batches`](Self::fit_batches) without blocking.
    ///
    /// # Errors
    /// Those of [`fit_batches`](Self::fit_batches).
    pub async fn fit_batches_async(
        &mut self,
        batches: impl IntoIterator<Item = Result<Batch>>,
        options: &FitOptions<'_>,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<History> {
        let evaluation = options.validation_data.map(Evaluation::Samples);
        self.fit_to_batches(batches, evaluation, options, callbacks).await
    }

    /// [`fit_batches`](Self::fit_batches), evaluated after each epoch by batches as they come too: `validation` makes these anew
    /// each time, and as many are taken as `validation_steps` says.
    ///
    /// ```no_run
    /// use wgpu_conv::training::{Batch, FitOptions};
    /// # let mut trainer: wgpu_conv::training::Trainer<'_> = unimplemented!();
    /// # fn read(folder: &str, number: usize) -> wgpu_conv::Result<Batch> { unimplemented!() }
    ///
    /// let batches = |folder: &'static str| (0..125).map(move |number| read(folder, number));
    /// trainer.fit_batches_validated(batches("train"), || batches("test"), &FitOptions::default(), &mut [])?;
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`fit_batches`](Self::fit_batches), and of [`evaluate_batches`](Self::evaluate_batches); [`Error::Invalid`] for
    /// `validation_data` among the options.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn fit_batches_validated<V: IntoIterator<Item = Result<Batch>>>(
        &mut self,
        batches: impl IntoIterator<Item = Result<Batch>>,
        validation: impl FnMut() -> V,
        options: &FitOptions<'_>,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<History> {
        pollster::block_on(self.fit_batches_validated_async(batches, validation, options, callbacks))
    }

    /// [`fit_batches_validated`](Self::fit_batches_validated) without blocking.
    ///
    /// # Errors
    /// Those of [`fit_batches_validated`](Self::fit_batches_validated).
    pub async fn fit_batches_validated_async<V: IntoIterator<Item = Result<Batch>>>(
        &mut self,
        batches: impl IntoIterator<Item = Result<Batch>>,
        mut validation: impl FnMut() -> V,
        options: &FitOptions<'_>,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<History> {
        if options.validation_data.is_some() {
            let rule = "what is evaluated must come as samples or as batches: leave `validation_data` out";
            return Err(Error::invalid("validation_data", rule, "samples and batches"));
        }
        let mut make = || -> Box<dyn Iterator<Item = Result<Batch>>> { Box::new(validation().into_iter()) };
        let evaluation = Evaluation::Batches(&mut make);
        self.fit_to_batches(batches, Some(evaluation), options, callbacks).await
    }

    async fn fit_to_batches(
        &mut self,
        batches: impl IntoIterator<Item = Result<Batch>>,
        evaluation: Option<Evaluation<'_>>,
        options: &FitOptions<'_>,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<History> {
        self.check_options(options)?;
        if !options.sample_weight.is_empty() {
            let rule = "each batch must bring the weights of its samples itself: set `Batch::sample_weight`";
            return Err(Error::invalid("sample_weight", rule, "weights of all samples"));
        }
        if options.validation_split != 0.0 {
            let rule = "nothing can be held back of batches that come one by one: give `validation_data`, or take `fit_batches_validated`";
            return Err(Error::invalid(
                "validation_split",
                rule,
                format!("validation_split={}", options.validation_split),
            ));
        }
        let mut batches = batches.into_iter();
        let mut taken = 0usize;
        let steps = options.steps_per_epoch;
        let epochs = options.epochs.saturating_sub(options.initial_epoch);
        let mut begun = options.initial_epoch;
        let mut next = |epoch: usize, step| {
            if let (0, Some(steps)) = (step, steps) {
                let passed = epoch.saturating_sub(begun).saturating_mul(steps);
                begun = epoch + 1;
                for batch in batches.by_ref().take(passed) {
                    batch?;
                    taken += 1;
                }
            }
            if steps == Some(step) {
                return Ok(None);
            }
            let Some(batch) = batches.next() else {
                if steps.is_none() && step > 0 {
                    return Ok(None);
                }
                let rule = match steps {
                    Some(steps) => format!(
                        "there must be steps_per_epoch · epochs batches, {steps} · {epochs}: \
                         give more, or ask for fewer steps or epochs"
                    ),
                    None => "an epoch must have a batch, and without `steps_per_epoch` the first one takes all there are: give \
                             `steps_per_epoch`, or one epoch"
                        .into(),
                };
                return Err(Error::invalid("batches", rule, format!("{taken} batches")));
            };
            taken += 1;
            let mut batch = batch?;
            if !options.class_weight.is_empty() {
                if !batch.sample_weight.is_empty() {
                    return Err(both_weights(1, batch.sample_weight.len()));
                }
                batch.sample_weight = by_class(&batch.y, options)?;
            }
            Ok(Some(batch))
        };
        self.run(options, steps, evaluation, callbacks, &mut next).await
    }

    /// # Errors
    /// [`Error::Invalid`] for options that no run takes.
    fn check_options(&self, options: &FitOptions<'_>) -> Result<()> {
        options.validate(self.model().outputs().len())?;
        self.check_class_weights(options)
    }

    /// The epochs of a run. `next` is asked for the batch of each epoch and step, counted from 0 in each epoch, and has none at an
    /// epoch's end.
    async fn run(
        &mut self,
        options: &FitOptions<'_>,
        steps: Option<usize>,
        mut evaluation: Option<Evaluation<'_>>,
        callbacks: &mut [&mut dyn Callback],
        next: &mut dyn FnMut(usize, usize) -> Result<Option<Batch>>,
    ) -> Result<History> {
        let (epochs, validates) = (options.epochs, evaluation.is_some());
        let run = &mut Run { trainer: self, epochs, steps, validates, restored: None, stopping: false };
        callbacks.iter_mut().try_for_each(|callback| callback.on_train_begin(run))?;
        let first = run.restored.unwrap_or(options.initial_epoch);
        let mut history = History::new(first);
        for epoch in first..options.epochs {
            callbacks.iter_mut().try_for_each(|callback| callback.on_epoch_begin(run, epoch))?;
            let mut totals = Totals::default();
            let mut step = 0;
            while let Some(batch) = next(epoch, step)? {
                callbacks.iter_mut().try_for_each(|callback| callback.on_train_batch_begin(run, step))?;
                run.trainer.step(true, batch.samples(), &mut totals).await?;
                let logs = run.trainer.logs(&totals, "");
                callbacks.iter_mut().try_for_each(|callback| callback.on_train_batch_end(run, step, &logs))?;
                if run.stopping {
                    break;
                }
                step += 1;
            }
            let mut logs = run.trainer.logs(&totals, "");
            if let Some(evaluation) = &mut evaluation
                && (epoch + 1).is_multiple_of(options.validation_freq)
            {
                let totals = evaluation.pass(run.trainer, options).await?;
                logs.extend(run.trainer.logs(&totals, "val_"));
            }
            callbacks.iter_mut().try_for_each(|callback| callback.on_epoch_end(run, epoch, &mut logs))?;
            history.push(logs);
            if run.stopping {
                break;
            }
        }
        // A backup is of a run that did not come to its end.
        if !history.is_empty() || run.restored.is_some() {
            run.trainer.state.finalize()?;
        }
        callbacks.iter_mut().try_for_each(|callback| callback.on_train_end(run))?;
        Ok(history)
    }
}

fn both_weights(outputs: usize, weights: usize) -> Error {
    Error::invalid(
        "class_weight",
        "class weights must be given for a model of one output, and not together with sample weights",
        format!("{outputs} output(s), {weights} sample weight(s)"),
    )
}

/// The weights of the samples by their classes; none without `class_weight`.
fn by_class(y: &[HostTensor], options: &FitOptions<'_>) -> Result<Vec<HostTensor>> {
    match y {
        [y] if !options.class_weight.is_empty() && !y.shape.dims().is_empty() => {
            Ok(vec![weights_by_class(y, &options.class_weight)?])
        }
        _ => Ok(Vec::new()),
    }
}

/// How many of the first samples are trained on.
fn trained(samples: usize, options: &FitOptions<'_>) -> Result<usize> {
    let split = options.validation_split;
    if options.validation_data.is_some() || split == 0.0 {
        return Ok(samples);
    }
    let trained = (samples as f64 * (1.0 - split)).floor() as usize;
    if (0.0..1.0).contains(&split) && trained > 0 && trained < samples {
        return Ok(trained);
    }
    Err(Error::invalid(
        "validation_split",
        "validation_split must lie in [0, 1) and leave samples on either side",
        format!("validation_split={split} of {samples} samples"),
    ))
}
