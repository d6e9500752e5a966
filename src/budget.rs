//! What reading files may take, so that a small file cannot ask for gigabytes or minutes.

use std::cell::Cell;
use std::sync::{PoisonError, RwLock};

use crate::error::FOR_READING;
use crate::{Error, Result};

/// What reading one file may take: memory on the host, and work.
///
/// Files are not trusted. A picture of 600 bytes can unfold to gigabytes, and a model of a few kilobytes can ask for an hour of
/// arithmetic on its constants. So whatever reads a file counts what it is about to allocate or to compute, before it does,
/// and refuses with [`Error::Limit`] what is over the budget. That holds for models, weights, pictures and arrays, and for
/// pages drawn of a model without running it.
///
/// What a file holds as it stands is not refused for its size: on top of the budget come four bytes and four steps for
/// each byte of the file, enough for its values as f32 and a copy of them.
///
/// The process has one budget, which every file read is given anew.
///
/// ```
/// use wgpu_conv::formats::Budget;
///
/// assert_eq!(Budget::default(), Budget { memory: 512 << 20, work: 1 << 28 });
/// // For files that are trusted:
/// Budget { memory: 8 << 30, ..Budget::current() }.install();
/// assert_eq!(Budget::current().memory, 8 << 30);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of host memory for each file, beyond four for each of its bytes; 512 MiB by default.
    pub memory: u64,
    /// Steps of work for each file, beyond four for each of its bytes; 2^28 by default, a few seconds. A step is an element
    /// read or written by an operation on constants, or about as much: a pixel decoded.
    pub work: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { memory: 512 << 20, work: 1 << 28 }
    }
}

/// The process's budget, once it is another than the default.
static CURRENT: RwLock<Option<Budget>> = RwLock::new(None);

impl Budget {
    /// The process's budget.
    pub fn current() -> Self {
        CURRENT.read().unwrap_or_else(PoisonError::into_inner).unwrap_or_default()
    }

    /// Makes this the budget of every file read from now on.
    pub fn install(self) {
        *CURRENT.write().unwrap_or_else(PoisonError::into_inner) = Some(self);
    }
}

/// What is left of the budget for one file.
#[derive(Debug)]
pub(crate) struct Meter {
    place: String,
    memory: Account,
    work: Account,
}

#[derive(Debug)]
struct Account {
    /// What is counted, with its unit.
    unit: &'static str,
    allowed: Cell<u64>,
    spent: Cell<u64>,
}

impl Account {
    fn new(unit: &'static str, budget: u64, stored: u64) -> Self {
        let account = Self { unit, allowed: Cell::new(budget), spent: Cell::new(0) };
        account.allow(stored);
        account
    }

    /// Allows what goes with `stored` more bytes of files.
    fn allow(&self, stored: u64) {
        self.allowed.set(self.allowed.get().saturating_add(stored.saturating_mul(4)));
    }

    fn spend(&self, amount: u64, place: &str) -> Result<()> {
        self.spent.set(self.spent.get().saturating_add(amount));
        self.check(place)
    }

    /// Once over, always over.
    fn check(&self, place: &str) -> Result<()> {
        if self.spent.get() <= self.allowed.get() {
            return Ok(());
        }
        Err(Error::limit(format!("{place}: {} {FOR_READING}", self.unit), self.spent.get(), self.allowed.get()))
    }
}

impl Meter {
    /// The process's budget for the file `place` of `stored` bytes.
    pub(crate) fn new(place: impl Into<String>, stored: usize) -> Self {
        let Budget { memory, work } = Budget::current();
        Self {
            place: place.into(),
            memory: Account::new("bytes of memory", memory, stored as u64),
            work: Account::new("steps of work", work, stored as u64),
        }
    }

    /// What messages call the file.
    #[cfg(feature = "onnx")]
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Allows what goes with another file of `stored` bytes, which belongs to this one and is counted together with it.
    #[cfg(feature = "onnx")]
    pub(crate) fn allow(&self, stored: u64) {
        self.memory.allow(stored);
        self.work.allow(stored);
    }

    /// Counts `bytes` that are about to be allocated.
    ///
    /// # Errors
    /// [`Error::Limit`] where they are over the budget.
    pub(crate) fn memory(&self, bytes: u64) -> Result<()> {
        self.memory.spend(bytes, &self.place)
    }

    /// Counts `steps` that are about to be taken.
    ///
    /// # Errors
    /// [`Error::Limit`] where they are over the budget.
    pub(crate) fn work(&self, steps: u64) -> Result<()> {
        self.work.spend(steps, &self.place)
    }

    /// Counts an array of `elements` of `size` bytes that is about to be made, each element in one step.
    ///
    /// # Errors
    /// [`Error::Limit`] where it is over the budget.
    pub(crate) fn array(&self, elements: u64, size: usize) -> Result<()> {
        self.work(elements)?;
        self.memory(elements.saturating_mul(size as u64))
    }

    /// # Errors
    /// [`Error::Limit`] where the budget has been passed before.
    #[cfg(feature = "onnx")]
    pub(crate) fn check(&self) -> Result<()> {
        self.memory.check(&self.place)?;
        self.work.check(&self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_refused_once_and_for_all() {
        let meter = Meter::new("a.onnx", 10);
        meter.memory(512 << 20).unwrap();
        meter.memory(40).unwrap();
        let text = meter.memory(1).unwrap_err().to_string();
        let expected =
            "a.onnx: bytes of memory (budget for reading): 536870953 needed, `formats::Budget` allows 536870952";
        assert_eq!(text, expected);
        assert!(meter.memory(0).is_err());
        assert!(meter.work(1 << 28).is_ok() && meter.array(u64::MAX, 4).is_err());
    }
}
