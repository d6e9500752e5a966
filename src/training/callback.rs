//! Callbacks: what a run of [`Trainer::fit`](super::Trainer::fit) tells, and what can be done about it. Keras's own, by its rules.

#[cfg(not(target_arch = "wasm32"))]
use std::io::Write;
#[cfg(not(target_arch = "wasm32"))]
use std::path::PathBuf;
#[cfg(not(target_arch = "wasm32"))]
use std::time::Instant;

use super::{Logs, Run};
#[cfg(not(target_arch = "wasm32"))]
use crate::formats::{FileKind, write_file};
use crate::{Error, HostTensor, Result};

/// Something that is told of each turn of a run, in this order:
///
/// ```text
/// on_train_begin
///   on_epoch_begin
///     on_train_batch_begin, on_train_batch_end     for each step
///     (validation)
///   on_epoch_end                                   with what the epoch came to
/// on_train_end
/// ```
///
/// An error ends the run, and is what [`fit`](super::Trainer::fit) returns.
///
/// ```
/// use wgpu_conv::training::{Callback, Logs, Run};
///
/// /// Ends a run when it is good enough.
/// struct GoodEnough(f64);
///
/// impl Callback for GoodEnough {
///     fn on_epoch_end(&mut self, run: &mut Run<'_, '_>, _: usize, logs: &mut Logs) -> wgpu_conv::Result<()> {
///         if logs.get("loss").is_some_and(|loss| loss < self.0) {
///             run.stop();
///         }
///         Ok(())
///     }
/// }
/// ```
#[allow(unused_variables, reason = "most callbacks have nothing to do at most turns")]
pub trait Callback {
    /// Before the first epoch.
    ///
    /// # Errors
    /// Those of the callback, as of all its functions.
    fn on_train_begin(&mut self, run: &mut Run<'_, '_>) -> Result<()> {
        Ok(())
    }

    /// Before the epoch of this number, from 0.
    ///
    /// # Errors
    /// Those of the callback.
    fn on_epoch_begin(&mut self, run: &mut Run<'_, '_>, epoch: usize) -> Result<()> {
        Ok(())
    }

    /// Before the step of this number in its epoch, from 0.
    ///
    /// # Errors
    /// Those of the callback.
    fn on_train_batch_begin(&mut self, run: &mut Run<'_, '_>, batch: usize) -> Result<()> {
        Ok(())
    }

    /// After a step: what the epoch has come to until now.
    ///
    /// # Errors
    /// Those of the callback.
    fn on_train_batch_end(&mut self, run: &mut Run<'_, '_>, batch: usize, logs: &Logs) -> Result<()> {
        Ok(())
    }

    /// After an epoch: what it came to, which may be added to.
    ///
    /// # Errors
    /// Those of the callback.
    fn on_epoch_end(&mut self, run: &mut Run<'_, '_>, epoch: usize, logs: &mut Logs) -> Result<()> {
        Ok(())
    }

    /// After the last epoch.
    ///
    /// # Errors
    /// Those of the callback.
    fn on_train_end(&mut self, run: &mut Run<'_, '_>) -> Result<()> {
        Ok(())
    }
}

/// A closure that is told of the end of each epoch.
///
/// ```
/// use wgpu_conv::training::LambdaCallback;
///
/// let print = LambdaCallback::on_epoch_end(|run, epoch, logs| {
///     println!("{} of {}: {logs}", epoch + 1, run.epochs());
///     Ok(())
/// });
/// ```
pub struct LambdaCallback<F>(F);

impl<F: FnMut(&mut Run<'_, '_>, usize, &mut Logs) -> Result<()>> LambdaCallback<F> {
    /// Calls `function` with the run, the number of the epoch and what it came to.
    pub fn on_epoch_end(function: F) -> Self {
        Self(function)
    }
}

impl<F: FnMut(&mut Run<'_, '_>, usize, &mut Logs) -> Result<()>> Callback for LambdaCallback<F> {
    fn on_epoch_end(&mut self, run: &mut Run<'_, '_>, epoch: usize, logs: &mut Logs) -> Result<()> {
        (self.0)(run, epoch, logs)
    }
}

/// Writes a line about each epoch.
///
/// ```
/// let progress = wgpu_conv::training::ProgressLogger::new(std::io::stderr());
/// ```
#[cfg(not(target_arch = "wasm32"))]
pub struct ProgressLogger<W> {
    to: W,
    began: Instant,
}

#[cfg(not(target_arch = "wasm32"))]
impl<W: Write> ProgressLogger<W> {
    /// Writes to `to`.
    pub fn new(to: W) -> Self {
        Self { to, began: Instant::now() }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl<W: Write> Callback for ProgressLogger<W> {
    fn on_epoch_begin(&mut self, _: &mut Run<'_, '_>, _: usize) -> Result<()> {
        self.began = Instant::now();
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_, '_>, epoch: usize, logs: &mut Logs) -> Result<()> {
        let seconds = self.began.elapsed().as_secs_f64();
        let written = writeln!(self.to, "epoch {}/{}: {seconds:.1} s, {logs}", epoch + 1, run.epochs());
        written.map_err(|error| Error::format("the progress of training", format!("cannot be written: {error}")))
    }
}

/// Which way a number becomes better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// As the loss or metric itself tells: see [`Metric::rises`](super::Metric::rises).
    #[default]
    Auto,
    /// Down.
    Min,
    /// Up.
    Max,
}

/// A number that a callback watches.
#[derive(Clone, Debug)]
struct Monitor {
    name: String,
    mode: Mode,
    min_delta: f64,
    best: Option<f64>,
}

impl Monitor {
    fn new(name: String, min_delta: f64) -> Self {
        Self { name, mode: Mode::Auto, min_delta, best: None }
    }

    /// Its number; `None` in an epoch after which nothing was evaluated.
    ///
    /// # Errors
    /// [`Error::Invalid`] listing the names that there are where it is none of them.
    fn value(&self, run: &Run<'_, '_>, logs: &Logs) -> Result<Option<f64>> {
        if let Some(value) = logs.get(&self.name) {
            return Ok(Some(value));
        }
        let evaluated = logs.iter().any(|(name, _)| name.starts_with("val_"));
        if self.name.starts_with("val_") && run.validates() && !evaluated {
            return Ok(None);
        }
        let names: Vec<_> = logs.iter().map(|(name, _)| name).collect();
        let rule = format!("what is monitored must be reported: one of {}", names.join(", "));
        Err(Error::invalid("monitor", rule, format!("monitor={}", self.name)))
    }

    /// Whether `value` is better than `than`, by more than `min_delta`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where nobody can tell which way is better.
    fn is_better(&self, run: &Run<'_, '_>, value: f64, than: Option<f64>) -> Result<bool> {
        let rises = match self.mode {
            Mode::Min => false,
            Mode::Max => true,
            Mode::Auto => run.trainer().rises(&self.name).ok_or_else(|| {
                let rule = "nobody can tell which way what is monitored becomes better: give the mode, Min or Max";
                Error::invalid("mode", rule, format!("monitor={}, mode=Auto", self.name))
            })?,
        };
        let delta = self.min_delta.abs();
        Ok(than.is_none_or(|than| if rises { value - delta > than } else { value + delta < than }))
    }

    /// The same than the best so far, which it then is.
    fn improves(&mut self, run: &Run<'_, '_>, value: f64) -> Result<bool> {
        let better = self.is_better(run, value, self.best)?;
        if better {
            self.best = Some(value);
        }
        Ok(better)
    }
}

/// Ends a run when a number no longer becomes better.
///
/// ```
/// use wgpu_conv::training::EarlyStopping;
///
/// let stop = EarlyStopping::new("val_accuracy").patience(5).restore_best_weights(true);
/// ```
#[derive(Clone, Debug)]
pub struct EarlyStopping {
    monitor: Monitor,
    patience: usize,
    baseline: Option<f64>,
    restore_best_weights: bool,
    start_from_epoch: usize,
    wait: usize,
    stopped_epoch: Option<usize>,
    best_epoch: usize,
    best_weights: Option<Vec<HostTensor>>,
}

impl EarlyStopping {
    /// Watches the number reported as `monitor`, `val_loss` in Keras's default, without patience.
    pub fn new(monitor: impl Into<String>) -> Self {
        Self {
            monitor: Monitor::new(monitor.into(), 0.0),
            patience: 0,
            baseline: None,
            restore_best_weights: false,
            start_from_epoch: 0,
            wait: 0,
            stopped_epoch: None,
            best_epoch: 0,
            best_weights: None,
        }
    }

    /// After how many epochs that were no better it ends; 0 by default: the first one.
    pub fn patience(self, patience: usize) -> Self {
        Self { patience, ..self }
    }

    /// By how much a number must be better to be so; 0 by default.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.monitor.min_delta = min_delta;
        self
    }

    /// Which way is better; by default as the metric tells.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.monitor.mode = mode;
        self
    }

    /// What a number must be better than for patience to begin anew; none by default.
    pub fn baseline(self, baseline: f64) -> Self {
        Self { baseline: Some(baseline), ..self }
    }

    /// Whether weights become those of the best epoch in the end; false by default. They are read from the device in every epoch
    /// that is the best so far.
    pub fn restore_best_weights(self, restore_best_weights: bool) -> Self {
        Self { restore_best_weights, ..self }
    }

    /// The first epoch that is watched; 0 by default.
    pub fn start_from_epoch(self, start_from_epoch: usize) -> Self {
        Self { start_from_epoch, ..self }
    }

    /// The epoch after which it has ended the run.
    pub fn stopped_epoch(&self) -> Option<usize> {
        self.stopped_epoch
    }

    /// The best epoch, and its number, once there is one.
    pub fn best(&self) -> Option<(usize, f64)> {
        self.monitor.best.map(|best| (self.best_epoch, best))
    }
}

fn weights(run: &Run<'_, '_>) -> Result<Vec<HostTensor>> {
    run.model().weights().iter().map(|(_, weight)| weight.read()).collect()
}

impl Callback for EarlyStopping {
    fn on_train_begin(&mut self, _: &mut Run<'_, '_>) -> Result<()> {
        (self.wait, self.stopped_epoch, self.best_epoch) = (0, None, 0);
        (self.monitor.best, self.best_weights) = (None, None);
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_, '_>, epoch: usize, logs: &mut Logs) -> Result<()> {
        let Some(value) = self.monitor.value(run, logs)? else { return Ok(()) };
        if epoch < self.start_from_epoch {
            return Ok(());
        }
        if self.restore_best_weights && self.best_weights.is_none() {
            (self.best_weights, self.best_epoch) = (Some(weights(run)?), epoch);
        }
        self.wait += 1;
        if self.monitor.improves(run, value)? {
            self.best_epoch = epoch;
            if self.restore_best_weights {
                self.best_weights = Some(weights(run)?);
            }
            if self.baseline.is_none() || self.monitor.is_better(run, value, self.baseline)? {
                self.wait = 0;
            }
        } else if self.wait >= self.patience && epoch > 0 {
            self.stopped_epoch = Some(epoch);
            run.stop();
        }
        Ok(())
    }

    fn on_train_end(&mut self, run: &mut Run<'_, '_>) -> Result<()> {
        for ((_, weight), best) in run.model().weights().iter().zip(self.best_weights.iter().flatten()) {
            weight.assign(best)?;
        }
        Ok(())
    }
}

/// Makes the learning rate smaller when a number no longer becomes better.
///
/// ```
/// use wgpu_conv::training::ReduceLROnPlateau;
///
/// let reduce = ReduceLROnPlateau::new("val_loss").factor(0.5).patience(3).min_lr(1e-5);
/// ```
#[derive(Clone, Debug)]
pub struct ReduceLROnPlateau {
    monitor: Monitor,
    factor: f64,
    patience: usize,
    cooldown: usize,
    min_lr: f64,
    cooling: usize,
    wait: usize,
}

impl ReduceLROnPlateau {
    /// Watches the number reported as `monitor`, `val_loss` in Keras's default.
    pub fn new(monitor: impl Into<String>) -> Self {
        let monitor = Monitor::new(monitor.into(), 1e-4);
        Self { monitor, factor: 0.1, patience: 10, cooldown: 0, min_lr: 0.0, cooling: 0, wait: 0 }
    }

    /// What the learning rate is multiplied by, less than 1; 0.1 by default.
    pub fn factor(self, factor: f64) -> Self {
        Self { factor, ..self }
    }

    /// After how many epochs that were no better; 10 by default.
    pub fn patience(self, patience: usize) -> Self {
        Self { patience, ..self }
    }

    /// By how much a number must be better to be so; 0.0001 by default.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.monitor.min_delta = min_delta;
        self
    }

    /// Which way is better; by default as the metric tells.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.monitor.mode = mode;
        self
    }

    /// For how many epochs after that nothing is counted; 0 by default.
    pub fn cooldown(self, cooldown: usize) -> Self {
        Self { cooldown, ..self }
    }

    /// The smallest learning rate; 0 by default.
    pub fn min_lr(self, min_lr: f64) -> Self {
        Self { min_lr, ..self }
    }
}

impl Callback for ReduceLROnPlateau {
    /// # Errors
    /// [`Error::Invalid`] for a factor that is not between 0 and 1.
    fn on_train_begin(&mut self, _: &mut Run<'_, '_>) -> Result<()> {
        if !(0.0..1.0).contains(&self.factor) {
            let rule = "the factor of ReduceLROnPlateau must lie in [0, 1)";
            return Err(Error::invalid("factor", rule, format!("factor={}", self.factor)));
        }
        (self.monitor.best, self.cooling, self.wait) = (None, 0, 0);
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_, '_>, _: usize, logs: &mut Logs) -> Result<()> {
        let rate = run.trainer().optimizer().learning_rate();
        logs.set("learning_rate", rate);
        let Some(value) = self.monitor.value(run, logs)? else { return Ok(()) };
        if self.cooling > 0 {
            (self.cooling, self.wait) = (self.cooling - 1, 0);
        }
        if self.monitor.improves(run, value)? {
            self.wait = 0;
        } else if self.cooling == 0 {
            self.wait += 1;
            if self.wait >= self.patience && rate > self.min_lr {
                run.optimizer_mut().set_learning_rate((rate * self.factor).max(self.min_lr))?;
                (self.cooling, self.wait) = (self.cooldown, 0);
            }
        }
        Ok(())
    }
}

/// Sets the learning rate before each epoch.
///
/// ```
/// use wgpu_conv::training::LearningRateScheduler;
///
/// let schedule = LearningRateScheduler::new(|epoch, rate| if epoch < 10 { rate } else { 0.9 * rate });
/// ```
pub struct LearningRateScheduler<F>(F);

impl<F: FnMut(usize, f64) -> f64> LearningRateScheduler<F> {
    /// By a function of the number of the epoch and the learning rate so far.
    pub fn new(schedule: F) -> Self {
        Self(schedule)
    }
}

impl<F: FnMut(usize, f64) -> f64> Callback for LearningRateScheduler<F> {
    fn on_epoch_begin(&mut self, run: &mut Run<'_, '_>, epoch: usize) -> Result<()> {
        let rate = (self.0)(epoch, run.trainer().optimizer().learning_rate());
        run.optimizer_mut().set_learning_rate(rate)
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_, '_>, _: usize, logs: &mut Logs) -> Result<()> {
        logs.set("learning_rate", run.trainer().optimizer().learning_rate());
        Ok(())
    }
}

/// Ends a run when its loss is not finite.
///
/// ```
/// let guard = wgpu_conv::training::TerminateOnNaN::default();
/// assert_eq!(guard.terminated(), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct TerminateOnNaN {
    raise_error: bool,
    terminated: Option<usize>,
}

impl TerminateOnNaN {
    /// Whether it is an error; false by default: the run ends after its epoch.
    pub fn raise_error(self, raise_error: bool) -> Self {
        Self { raise_error, ..self }
    }

    /// The step in its epoch after which it has ended the run.
    pub fn terminated(&self) -> Option<usize> {
        self.terminated
    }
}

impl Callback for TerminateOnNaN {
    fn on_train_begin(&mut self, _: &mut Run<'_, '_>) -> Result<()> {
        self.terminated = None;
        Ok(())
    }

    fn on_train_batch_end(&mut self, run: &mut Run<'_, '_>, batch: usize, logs: &Logs) -> Result<()> {
        let Some(loss) = logs.get("loss").filter(|loss| !loss.is_finite()) else { return Ok(()) };
        if self.raise_error {
            return Err(Error::invalid("loss", "the loss must be finite", format!("loss={loss} after batch {batch}")));
        }
        self.terminated = Some(batch);
        run.stop();
        Ok(())
    }
}

/// Writes what each epoch came to as a table of comma-separated values.
///
/// The file is written as a whole after each epoch, so that it is never half a line; another file than such a table is left as it
/// is.
///
/// ```
/// use wgpu_conv::training::CSVLogger;
///
/// let table = CSVLogger::new("training.csv").append(true);
/// ```
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Debug)]
pub struct CSVLogger {
    path: PathBuf,
    separator: char,
    append: bool,
    text: String,
    names: Vec<String>,
}

#[cfg(not(target_arch = "wasm32"))]
impl CSVLogger {
    /// Writes to the file at `path`, in the place of what it has.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), separator: ',', append: false, text: String::new(), names: Vec::new() }
    }

    /// What stands between values; `,` by default.
    pub fn separator(self, separator: char) -> Self {
        Self { separator, ..self }
    }

    /// Whether it goes on with the table that is there; false by default.
    pub fn append(self, append: bool) -> Self {
        Self { append, ..self }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Callback for CSVLogger {
    fn on_train_begin(&mut self, _: &mut Run<'_, '_>) -> Result<()> {
        (self.text, self.names) = (String::new(), Vec::new());
        let place = self.path.display().to_string();
        let known = if self.append { crate::file::read_if_any(&self.path)? } else { None };
        if let Some(known) = known {
            let text = String::from_utf8(known).map_err(|_| Error::format(&place, "a table must be text in UTF-8"))?;
            if let Some(header) = text.lines().next() {
                let mut names = header.split(self.separator);
                if names.next() != Some("epoch") {
                    let why = "it is no table of epochs separated so, and was left as it is; give another path";
                    return Err(Error::format(&place, why));
                }
                self.names = names.map(str::to_owned).collect();
                let end = if text.ends_with('\n') { "" } else { "\n" };
                self.text = format!("{text}{end}");
            }
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_, '_>, epoch: usize, logs: &mut Logs) -> Result<()> {
        let separator = self.separator.to_string();
        if self.text.is_empty() {
            self.names = logs.iter().map(|(name, _)| name.to_owned()).collect();
            self.names.sort();
            if run.validates() && !self.names.iter().any(|name| name.starts_with("val_")) {
                self.names.extend(self.names.clone().iter().map(|name| format!("val_{name}")));
            }
            let header: Vec<&str> = ["epoch"].into_iter().chain(self.names.iter().map(String::as_str)).collect();
            self.text = format!("{}\n", header.join(&separator));
        }
        let value = |name: &String| logs.get(name).map_or_else(|| "NA".to_owned(), |value| value.to_string());
        let row: Vec<String> = [epoch.to_string()].into_iter().chain(self.names.iter().map(value)).collect();
        self.text += &format!("{}\n", row.join(&separator));
        write_file(&self.path, self.text.as_bytes(), FileKind::Table)
    }
}

/// Saves the model after each epoch, or whenever it is better than before.
///
/// The name of the file may have parts in braces that are numbers of the epoch: `{epoch}`, from 1 as in Keras, `{epoch:02}`,
/// `{val_loss:.2}`. A `.keras` file has the optimizer's state, so that [`Trainer::resume`](super::Trainer::resume) goes on from
/// it; a `.weights.h5` file has the weights alone. A file is there as a whole or not at all.
///
/// ```
/// use wgpu_conv::training::ModelCheckpoint;
///
/// let best = ModelCheckpoint::new("best.keras").save_best_only("val_accuracy");
/// let all = ModelCheckpoint::new("epoch_{epoch:02}_{val_loss:.2}.weights.h5");
/// ```
#[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
#[derive(Clone, Debug)]
pub struct ModelCheckpoint {
    path: String,
    best_only: Option<Monitor>,
    save_freq: Option<usize>,
    batches: usize,
    epoch: usize,
}

#[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
impl ModelCheckpoint {
    /// Saves to `path`, by a name that ends in `.keras` or `.weights.h5`.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), best_only: None, save_freq: None, batches: 0, epoch: 0 }
    }

    /// Only when the number reported as `monitor` is better than ever.
    pub fn save_best_only(self, monitor: impl Into<String>) -> Self {
        Self { best_only: Some(Monitor::new(monitor.into(), 0.0)), ..self }
    }

    /// Which way that is; by default as the metric tells.
    pub fn mode(mut self, mode: Mode) -> Self {
        if let Some(monitor) = &mut self.best_only {
            monitor.mode = mode;
        }
        self
    }

    /// What the number must be better than at first; none by default.
    pub fn initial_value_threshold(mut self, threshold: f64) -> Self {
        if let Some(monitor) = &mut self.best_only {
            monitor.best = Some(threshold);
        }
        self
    }

    /// After how many steps rather than after each epoch.
    pub fn save_freq(self, steps: usize) -> Self {
        Self { save_freq: Some(steps.max(1)), ..self }
    }

    fn save(&mut self, run: &mut Run<'_, '_>, batch: Option<usize>, logs: &Logs) -> Result<()> {
        if let Some(monitor) = &mut self.best_only {
            let Some(value) = monitor.value(run, logs)? else { return Ok(()) };
            if !monitor.improves(run, value)? {
                return Ok(());
            }
        }
        let path = filled(&self.path, |name| match name {
            "epoch" => Some((self.epoch + 1) as f64),
            "batch" => batch.map(|batch| (batch + 1) as f64),
            name => logs.get(name),
        })?;
        if let Some(folder) = std::path::Path::new(&path).parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|error| Error::format(folder.display().to_string(), format!("cannot be made: {error}")))?;
        }
        if path.to_lowercase().ends_with(".keras") { run.trainer().save(&path) } else { run.model().save(&path) }
    }
}

#[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
impl Callback for ModelCheckpoint {
    /// # Errors
    /// [`Error::Invalid`] for a name that ends otherwise.
    fn on_train_begin(&mut self, _: &mut Run<'_, '_>) -> Result<()> {
        self.batches = 0;
        let lower = self.path.to_lowercase();
        if lower.ends_with(".keras") || lower.ends_with(".weights.h5") {
            return Ok(());
        }
        let rule = "the name of a checkpoint must end in .keras or .weights.h5";
        Err(Error::invalid("path", rule, format!("path={}", self.path)))
    }

    fn on_epoch_begin(&mut self, _: &mut Run<'_, '_>, epoch: usize) -> Result<()> {
        self.epoch = epoch;
        Ok(())
    }

    fn on_train_batch_end(&mut self, run: &mut Run<'_, '_>, batch: usize, logs: &Logs) -> Result<()> {
        self.batches += 1;
        match self.save_freq {
            Some(every) if self.batches.is_multiple_of(every) => self.save(run, Some(batch), logs),
            _ => Ok(()),
        }
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_, '_>, _: usize, logs: &mut Logs) -> Result<()> {
        if self.save_freq.is_none() { self.save(run, None, logs) } else { Ok(()) }
    }
}

/// `path` with numbers in the place of names in braces, as Python's `format` fills them in: `{name}`, `{name:02}`, `{name:.3}`,
/// `{name:.3f}`, `{name:02d}`.
///
/// # Errors
/// [`Error::Invalid`] for a name that there is no number of, and for another form.
#[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
fn filled(path: &str, number: impl Fn(&str) -> Option<f64>) -> Result<String> {
    let refused = |part: &str| {
        let rule = "a part in braces must be `epoch` or what is reported, as in {epoch:02} or {val_loss:.3f}";
        Err(Error::invalid("path", rule, format!("{{{part}}} in path={path}")))
    };
    let mut text = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        text += before;
        let Some((part, after)) = after.split_once('}') else { return refused(after) };
        rest = after;
        let (name, form) = part.split_once(':').unwrap_or((part, ""));
        let Some(value) = number(name) else { return refused(part) };
        let (width, decimals) = form.trim_end_matches(['d', 'f']).split_once('.').unwrap_or((form, ""));
        let width = width.trim_end_matches(['d', 'f']);
        let parsed =
            |text: &str| if text.is_empty() { Some(0) } else { text.parse::<usize>().ok().filter(|&n| n < 64) };
        let (Some(size), Some(places)) = (parsed(width), parsed(decimals)) else { return refused(part) };
        let shown = match (value.fract() == 0.0 && decimals.is_empty(), decimals.is_empty()) {
            (true, _) => format!("{value:.0}"),
            (false, true) => value.to_string(),
            (false, false) => format!("{value:.places$}"),
        };
        let fill = if width.starts_with('0') { "0" } else { " " };
        text += &fill.repeat(size.saturating_sub(shown.len()));
        text += &shown;
    }
    Ok(text + rest)
}

#[cfg(all(test, feature = "keras"))]
mod tests {
    use super::filled;

    #[test]
    fn names_of_checkpoints_have_numbers() {
        let number = |name: &str| match name {
            "epoch" => Some(7.0),
            "val_loss" => Some(0.123456),
            _ => None,
        };
        let of = |path: &str| filled(path, number).ok();
        assert_eq!(of("a.keras").as_deref(), Some("a.keras"));
        assert_eq!(of("a_{epoch:02d}_{val_loss:.2f}.keras").as_deref(), Some("a_07_0.12.keras"));
        assert_eq!(of("{epoch}-{epoch:03}-{val_loss:.3}").as_deref(), Some("7-007-0.123"));
        for refused in ["{loss}", "{epoch", "{epoch:x}", "{epoch:999}"] {
            assert_eq!(of(refused), None, "{refused}");
        }
    }
}
