//! How a step runs on a device: at once, or in runs of its parts where a binding cannot hold a whole tensor.
//!
//! A device limits how many bytes a shader can bind at once, often to 128 MiB, and a large batch of large images may
//! exceed that. A step whose problem falls into like parts, such as the images of a batch, is then run a few parts at a
//! time, each run binding its range of the tensors. This is also where a step gets its plan.

use std::sync::Arc;

use super::{Step, Tape, Value};
use crate::gpu::{Bound, BufferBinding, Resource};
use crate::plan::{Binding, Operand, Parts, Plan, Texel};
use crate::{Error, Gpu, Result};

/// One plan of a step, with the bytes of each value that it reads or writes.
pub(crate) struct Launch {
    pub(crate) plan: Arc<Plan>,
    ranges: Vec<(Operand, ByteRange)>,
}

/// A part of a value, in bytes.
struct ByteRange {
    value: Value,
    offset: u64,
    size: u64,
}

impl ByteRange {
    /// The part, of memory that begins with the value.
    fn of(&self, whole: &BufferBinding) -> BufferBinding {
        BufferBinding { storage: whole.storage.clone(), offset: whole.offset + self.offset, size: self.size }
    }
}

impl Launch {
    /// The launches of `step`, a step of `tape`.
    pub(crate) fn of(gpu: &Gpu, tape: &Tape, step: &Step) -> Result<Vec<Self>> {
        let parts = step.problem.parts().unwrap_or(Parts { count: 1, steps: [0; 4] });
        let tensors: Vec<_> = step
            .values()
            .map(|(operand, value)| {
                let step = parts.step(operand) * tape.dtype(value).size() as u64;
                (operand, value, PartBytes { bytes: tape.bytes(value), step })
            })
            .collect();
        let count = u64::from(parts.count);
        let run = parts_per_run(gpu, count, &tensors.iter().map(|(_, _, bytes)| *bytes).collect::<Vec<_>>())?;
        let mut launches = Vec::new();
        let mut first = 0;
        while first < count {
            let taken = run.min(count - first);
            let range = |&(operand, value, PartBytes { bytes, step }): &(Operand, Value, PartBytes)| {
                let (offset, size) = if step > 0 && run < count { (first * step, taken * step) } else { (0, bytes) };
                (operand, ByteRange { value, offset, size })
            };
            let problem = if run < count { step.problem.of_parts(first as u32, taken as u32) } else { step.problem };
            launches.push(Self { plan: gpu.plan(&problem)?, ranges: tensors.iter().map(range).collect() });
            first += taken;
        }
        Ok(launches)
    }

    /// What the launch copies to textures: each operand and kind of texel, with the bytes.
    pub(crate) fn texels(&self) -> impl Iterator<Item = ((Operand, Texel), u64)> {
        self.plan.steps.iter().flat_map(|step| &step.bindings).filter_map(|binding| {
            let Binding::Texels(operand, texel) = *binding else { return None };
            let bytes = match operand {
                Operand::Scratch(index) => self.plan.scratch[index],
                value => self.ranges.iter().find(|(name, _)| *name == value)?.1.size,
            };
            Some(((operand, texel), bytes))
        })
    }

    /// The tensors of the launch, which is one of `step`'s; `memory` tells where a value lies.
    pub(crate) fn bound(
        &self,
        gpu: &Gpu,
        step: &Step,
        memory: impl Fn(Value) -> Result<BufferBinding>,
    ) -> Result<Bound> {
        let mut bound = Bound::default();
        for (operand, range) in &self.ranges {
            bound.bind(*operand, Resource::Buffer(range.of(&memory(range.value)?)));
        }
        for (operand, kernel, form) in step.constants(&self.plan) {
            bound.bind(operand, kernel.on(gpu, &form)?);
        }
        Ok(bound)
    }
}

/// The bytes of a tensor, and those from one part of it to the next: 0 where every part reads all of it.
#[derive(Clone, Copy)]
struct PartBytes {
    bytes: u64,
    step: u64,
}

/// The most parts whose share of every tensor fits one binding, and whose bytes keep the next run's offsets aligned: all
/// `count` of them where that fits.
fn parts_per_run(gpu: &Gpu, count: u64, tensors: &[PartBytes]) -> Result<u64> {
    let caps = gpu.caps();
    let most = tensors.iter().map(|tensor| tensor.bytes).max().unwrap_or(0);
    if most <= caps.max_binding {
        return Ok(count);
    }
    let whole = tensors.iter().filter(|tensor| tensor.step == 0).map(|tensor| tensor.bytes).max().unwrap_or(0);
    if whole > caps.max_binding {
        return Err(Error::limit("bytes of one storage binding", whole, caps.max_binding));
    }
    let alignment = u64::from(caps.binding_alignment);
    let larger = tensors.iter().map(|tensor| tensor.step).max().unwrap_or(0).max(1);
    let aligned = |parts: &u64| tensors.iter().all(|tensor| (parts * tensor.step).is_multiple_of(alignment));
    let together = (1..alignment).find(aligned).unwrap_or(alignment);
    match caps.max_binding / larger / together * together {
        0 if together == 1 => Err(Error::limit("bytes of one storage binding", larger, caps.max_binding)),
        0 => Err(Error::limit(
            format!(
                "bytes of one storage binding of {together} parts, whose runs start at multiples of {alignment} bytes"
            ),
            together * larger,
            caps.max_binding,
        )),
        parts => Ok(parts),
    }
}
