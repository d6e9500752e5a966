//! What a run came to, epoch by epoch.

use std::fmt;
use std::ops::Index;

/// Numbers by name, in the order in which they are reported: `loss`, metrics, then those of validation with `val_` before.
///
/// ```
/// let mut logs = wgpu_conv::training::Logs::default();
/// logs.set("loss", 0.25);
/// assert_eq!((logs.get("loss"), logs.get("accuracy")), (Some(0.25), None));
/// assert_eq!(logs.to_string(), "loss 0.2500");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logs(Vec<(String, f64)>);

impl Logs {
    /// The number of a name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Says a number by a name, in the place of the one so far, or as the last.
    pub fn set(&mut self, name: impl Into<String>, value: f64) {
        let name = name.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// Every name with its number, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    pub(super) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            if value != 0.0 && value.abs() < 1e-3 {
                write!(f, "{comma}{name} {value:.3e}")?;
            } else {
                write!(f, "{comma}{name} {value:.4}")?;
            }
        }
        Ok(())
    }
}

/// What the epochs of a run came to: Keras's `History`.
///
/// ```no_run
/// # let history: wgpu_conv::training::History = unimplemented!();
/// for (epoch, logs) in history.iter() {
///     println!("epoch {epoch}: {logs}");
/// }
/// println!("{:?}, at last {:?}", history.series("val_loss"), history.last());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    first: usize,
    epochs: Vec<Logs>,
}

impl History {
    pub(super) fn new(first: usize) -> Self {
        Self { first, epochs: Vec::new() }
    }

    pub(super) fn push(&mut self, logs: Logs) {
        self.epochs.push(logs);
    }

    /// How many epochs there were.
    pub fn len(&self) -> usize {
        self.epochs.len()
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.epochs.is_empty()
    }

    /// What the last epoch came to.
    pub fn last(&self) -> Option<&Logs> {
        self.epochs.last()
    }

    /// The number of each epoch with what it came to.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Logs)> {
        self.epochs.iter().enumerate().map(|(index, logs)| (self.first + index, logs))
    }

    /// What is reported by `name`, of the epochs that have it.
    pub fn series(&self, name: &str) -> Vec<f64> {
        self.epochs.iter().filter_map(|logs| logs.get(name)).collect()
    }

    /// Every name that any epoch has, in order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.epochs.iter().flat_map(Logs::iter) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// By the place of the epoch in this run, from 0.
impl Index<usize> for History {
    type Output = Logs;

    fn index(&self, index: usize) -> &Logs {
        &self.epochs[index]
    }
}
