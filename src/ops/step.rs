//! One operation on a tape: what is computed, of what, and where the results go.
//!
//! A `Step` is a problem with its tensors. It names each by the role that it has in the shader (input, kernel, bias,
//! output), and each is a value of the tape or a constant. The rules of `rewrite` change steps, so a step is plain
//! data: to read another value, or to take over what another step reads, is one call.

use std::sync::Arc;

use super::{Form, Kernel, Value};
use crate::plan::{Operand, Plan, Problem};

/// What a step reads: a value that the tape has by then, or a constant.
#[derive(Clone)]
pub(crate) enum Read {
    Value(Value),
    Constant(Arc<Kernel>),
}

/// What a step reads, each by the name that shaders call it: `Reads::of(image).constant(Operand::Kernel, &kernel)`.
#[derive(Clone)]
pub(crate) struct Reads(Vec<(Operand, Read)>);

impl Reads {
    /// One value, the input.
    pub(crate) fn of(input: Value) -> Self {
        Self(vec![(Operand::Input, Read::Value(input))])
    }

    pub(crate) fn value(mut self, operand: Operand, value: Value) -> Self {
        self.0.push((operand, Read::Value(value)));
        self
    }

    pub(crate) fn constant(mut self, operand: Operand, kernel: &Arc<Kernel>) -> Self {
        self.0.push((operand, Read::Constant(kernel.clone())));
        self
    }

    /// What another step reads.
    pub(crate) fn read(mut self, operand: Operand, read: &Read) -> Self {
        self.0.push((operand, read.clone()));
        self
    }

    /// Nothing yet.
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// A constant that may be absent.
    pub(crate) fn if_any(self, operand: Operand, kernel: Option<&Arc<Kernel>>) -> Self {
        match kernel {
            Some(kernel) => self.constant(operand, kernel),
            None => self,
        }
    }
}

impl From<Value> for Reads {
    fn from(input: Value) -> Self {
        Self::of(input)
    }
}

/// One operation.
#[derive(Clone)]
pub(crate) struct Step {
    /// The path of the layer that it is of.
    pub(crate) place: Arc<str>,
    pub(crate) problem: Problem,
    reads: Vec<(Operand, Read)>,
    writes: Vec<(Operand, Value)>,
}

impl Step {
    /// An operation that writes one value.
    pub(crate) fn new(place: Arc<str>, problem: Problem, reads: impl Into<Reads>, output: Value) -> Self {
        Self { place, problem, reads: reads.into().0, writes: vec![(Operand::Output, output)] }
    }

    /// The same operation, which writes `value` as `operand` too.
    pub(crate) fn and_writes(mut self, operand: Operand, value: Value) -> Self {
        self.writes.push((operand, value));
        self
    }

    /// What it is called in messages.
    pub(super) fn label(&self) -> String {
        format!("{} ({})", self.place, self.problem.name())
    }

    /// The values read and written, each with its name.
    pub(crate) fn values(&self) -> impl Iterator<Item = (Operand, Value)> {
        self.values_read().chain(self.writes.iter().copied())
    }

    /// The values read, each with its name.
    pub(crate) fn values_read(&self) -> impl Iterator<Item = (Operand, Value)> {
        self.reads.iter().filter_map(|(operand, read)| match read {
            Read::Value(value) => Some((*operand, *value)),
            Read::Constant(_) => None,
        })
    }

    /// The values written.
    pub(crate) fn written(&self) -> impl Iterator<Item = Value> {
        self.writes.iter().map(|(_, value)| *value)
    }

    /// All that it reads, each with its name.
    pub(crate) fn reads(&self) -> &[(Operand, Read)] {
        &self.reads
    }

    /// The constants, each with its name, in the form that `plan` reads it in.
    pub(crate) fn constants(&self, plan: &Plan) -> impl Iterator<Item = (Operand, &Arc<Kernel>, Form)> {
        self.reads.iter().filter_map(|(operand, read)| match read {
            Read::Value(_) => None,
            Read::Constant(kernel) => Some((*operand, kernel, Form::of(plan, *operand, kernel))),
        })
    }

    /// What is read as `operand`.
    pub(crate) fn reading(&self, operand: Operand) -> Option<&Read> {
        self.reads.iter().find(|(name, _)| *name == operand).map(|(_, read)| read)
    }

    /// The value that is read as `operand`.
    pub(crate) fn value(&self, operand: Operand) -> Option<Value> {
        self.values_read().find(|(name, _)| *name == operand).map(|(_, value)| value)
    }

    /// The constant that is read as `operand`.
    pub(crate) fn constant(&self, operand: Operand) -> Option<&Arc<Kernel>> {
        self.reads.iter().find_map(|(name, read)| match read {
            Read::Constant(kernel) if *name == operand => Some(kernel),
            _ => None,
        })
    }

    /// Reads `read` as `operand` from now on, in place of what it has read so far; `None` for nothing.
    pub(crate) fn read(&mut self, operand: Operand, read: Option<Read>) {
        self.reads.retain(|(name, _)| *name != operand);
        self.reads.extend(read.map(|read| (operand, read)));
    }

    /// Takes over what `other` reads as `from`, as `to`.
    pub(crate) fn take(&mut self, to: Operand, other: &Self, from: Operand) {
        let read = other.reads.iter().find(|(name, _)| *name == from).map(|(_, read)| read.clone());
        self.read(to, read);
    }

    /// Writes `value` in place of its only result.
    pub(crate) fn write(&mut self, value: Value) {
        self.writes = vec![(Operand::Output, value)];
    }
}
