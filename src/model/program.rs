//! Models compiled for the shapes of a call: fused, memory planned, every launch bound.
//!
//! A first call with inputs of some shapes compiles a *program*, and later calls replay it: they make no buffer, no
//! pipeline and no bind group. Compiling is done in five steps:
//!
//! 1. The layers are lowered: each writes its operations on a tape (`ops/tape.rs`), with the shapes of this call.
//! 2. Rules rewrite the tape so that less runs (operator fusion, constant folding of batch normalizations:
//!    `ops/rewrite`).
//! 3. A plan is chosen for each step that is left.
//! 4. Memory is planned by liveness: a value is needed from the step that writes it to the last that reads it, and
//!    values that are not needed at the same time may share a *slot*, which is one buffer.
//! 5. The slots are allocated, the shaders compiled, and every launch is bound.
//!
//! ```text
//! conv a → x     x needs slot 0
//! conv x → y     y needs slot 1, since x is still read
//! conv y → z     z takes slot 0: nothing reads x any more
//! ```
//!
//! The last few programs are kept. One is compiled anew where plans are chosen differently since.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::Model;
use crate::gpu::{Prepared, SharedTexels, allocated};
use crate::ops::rewrite::{self, Folded};
use crate::ops::{Bytes, Form, Kernel, Launch, Passing, Refill, Tape, Value};
use crate::plan::{Operand, Texel};
use crate::variable::Data;
use crate::{Commands, DType, Gpu, Result, Shape, Tensor};

/// Programs kept: the batch and its remainder, twice.
const MOST_PROGRAMS: usize = 4;

/// What a program is compiled for.
type ProgramKey = Vec<(Shape, DType)>;

/// The programs compiled so far, the last used last, and what they share.
#[derive(Default)]
pub(super) struct Programs {
    compiled: Mutex<Vec<(ProgramKey, Arc<Program>)>>,
    folded: Mutex<Folded>,
}

impl Programs {
    /// Forgets everything: the layers or their weights have changed.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The bytes of device memory that a model takes for inputs of some shapes.
///
/// ```
/// use wgpu_conv::model::MemoryReport;
///
/// let report = MemoryReport { weights: 4096, activations: 1024, every_activation: 3072 };
/// assert_eq!(report.total(), 5120);
/// println!("{report}");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryReport {
    /// Weights, once as they are, and where kernels read them folded or packed, once more as that.
    pub weights: u64,
    /// The buffers that inputs, intermediate values and outputs share, and the textures that kernels read them through on
    /// some adapters.
    pub activations: u64,
    /// What the values would take if no two shared a buffer.
    pub every_activation: u64,
}

impl MemoryReport {
    /// Weights and activations.
    pub const fn total(&self) -> u64 {
        self.weights + self.activations
    }
}

impl fmt::Display for MemoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |bytes: u64| bytes as f64 / 1024.0;
        write!(
            f,
            "{:.1} KiB: {:.1} of weights, {:.1} of activations ({:.1} if none shared)",
            kib(self.total()),
            kib(self.weights),
            kib(self.activations),
            kib(self.every_activation)
        )
    }
}

impl Model {
    /// The device memory that a call with inputs of these shapes takes, before anything is allocated for it: what the
    /// caller's own tensors take comes on top.
    ///
    /// # Errors
    /// Those of [`call_all`](Self::call_all).
    pub fn memory_report(&self, inputs: &[Shape]) -> Result<MemoryReport> {
        let key: ProgramKey = inputs.iter().map(|shape| (shape.clone(), DType::F32)).collect();
        Ok(self.planned(&key)?.memory())
    }

    /// The program for inputs of these shapes and types, compiled now if there is none.
    pub(super) fn program(&self, key: ProgramKey) -> Result<Arc<Program>> {
        let mut compiled = self.programs.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let tunings = self.gpu.tunings();
        compiled.retain(|(_, program)| program.tunings == tunings);
        if let Some(index) = compiled.iter().position(|(other, _)| *other == key) {
            let found = compiled.remove(index);
            compiled.push(found);
        } else {
            if compiled.len() == MOST_PROGRAMS {
                compiled.remove(0);
            }
            let program = Arc::new(Program::new(self.planned(&key)?, tunings)?);
            compiled.push((key, program));
        }
        Ok(compiled[compiled.len() - 1].1.clone())
    }

    fn planned(&self, key: &ProgramKey) -> Result<PlannedTape> {
        let mut tape = Tape::default();
        let inputs = key.iter().map(|(shape, dtype)| tape.input(shape.clone(), *dtype)).collect::<Result<Vec<_>>>()?;
        let outputs = self.lower(&mut tape, &inputs, "", &mut |_| ())?;
        let mut folded = self.programs.folded.lock().unwrap_or_else(PoisonError::into_inner);
        rewrite::of_program(&mut tape, &self.gpu, &outputs, &mut folded)?;
        PlannedTape::new(&self.gpu, tape, outputs)
    }
}

/// A tape with a plan for each step and a buffer for each value: everything but the memory itself.
struct PlannedTape {
    gpu: Gpu,
    tape: Tape,
    outputs: Vec<Value>,
    /// The launches of each step.
    launches: Vec<Vec<Launch>>,
    /// The slot of each storage, and of each launch's scratch behind them, in order.
    slots: Vec<usize>,
    /// Bytes of each slot.
    sizes: Vec<u64>,
    /// Bytes of each texture that launches share.
    texels: HashMap<(Operand, Texel), u64>,
    /// Bytes of all storages and scratch.
    unshared: u64,
}

/// Bytes that are needed from one step to another, both included.
struct Need {
    bytes: u64,
    first: usize,
    last: usize,
}

impl PlannedTape {
    fn new(gpu: &Gpu, tape: Tape, outputs: Vec<Value>) -> Result<Self> {
        let mut needs: Vec<Need> =
            (0..tape.storages()).map(|_| Need { bytes: 0, first: usize::MAX, last: 0 }).collect();
        let mut need = |value: Value, first: usize, last: usize| {
            let need = &mut needs[tape.storage(value).0];
            need.bytes = need.bytes.max(tape.bytes(value));
            (need.first, need.last) = (need.first.min(first), need.last.max(last));
        };
        for &input in tape.inputs() {
            need(input, 0, 0);
        }
        // A weight has memory of its own, which nothing shares.
        let of_weights: HashSet<_> = tape.variables().iter().map(|(_, value)| tape.storage(*value)).collect();
        for &output in &outputs {
            need(output, tape.steps.len(), tape.steps.len());
        }
        for (index, step) in tape.steps.iter().enumerate() {
            let values = step.values().map(|(_, value)| value);
            values
                .filter(|value| !of_weights.contains(&tape.storage(*value)))
                .for_each(|value| need(value, index, index));
        }
        let launches = tape.steps.iter().map(|step| Launch::of(gpu, &tape, step)).collect::<Result<Vec<_>>>()?;
        for (index, launches) in launches.iter().enumerate() {
            for bytes in launches.iter().flat_map(|launch| &launch.plan.scratch) {
                needs.push(Need { bytes: *bytes, first: index, last: index });
            }
        }
        let mut texels = HashMap::new();
        for (key, bytes) in launches.iter().flatten().flat_map(Launch::texels) {
            let most: &mut u64 = texels.entry(key).or_default();
            *most = bytes.max(*most);
        }
        let unshared = needs.iter().filter(|need| need.first <= need.last).map(|need| allocated(need.bytes)).sum();
        let (slots, sizes) = shared(&needs);
        Ok(Self { gpu: gpu.clone(), tape, outputs, launches, slots, sizes, texels, unshared })
    }

    /// What the launches read that is constant.
    fn constants(&self) -> impl Iterator<Item = (&Arc<Kernel>, Form)> {
        let launches = self.tape.steps.iter().zip(&self.launches);
        launches
            .flat_map(|(step, launches)| launches.iter().flat_map(|launch| step.constants(&launch.plan)))
            .map(|(_, kernel, form)| (kernel, form))
    }

    fn constant_bytes(&self) -> Bytes {
        let mut bytes = Bytes::default();
        self.constants().for_each(|(kernel, form)| kernel.bytes(&form, &mut bytes));
        bytes
    }

    fn memory(&self) -> MemoryReport {
        let textures: u64 = self.texels.iter().map(|((_, texel), &bytes)| texel.allocated(bytes)).sum();
        let activations = self.sizes.iter().map(|&size| allocated(size)).sum::<u64>() + textures;
        MemoryReport { weights: self.constant_bytes().total(), activations, every_activation: self.unshared }
    }
}

/// The slot of each need, and the bytes of each slot. Needs that are there at the same time never share one: a buffer
/// cannot be read and written by one launch.
///
/// Two orders are tried, and the one that takes less is kept: the largest first, and each when it is first needed, which
/// is exact for chains.
fn shared(needs: &[Need]) -> (Vec<usize>, Vec<u64>) {
    let there = || (0..needs.len()).filter(|&index| needs[index].first <= needs[index].last);
    let (mut by_size, mut by_time): (Vec<_>, Vec<_>) = (there().collect(), there().collect());
    by_size.sort_by_key(|&index| (Reverse(needs[index].bytes), needs[index].first));
    by_time.sort_by_key(|&index| (needs[index].first, Reverse(needs[index].bytes)));
    let [by_size, by_time] = [by_size, by_time].map(|order| shared_in(&order, needs));
    if by_size.1.iter().sum::<u64>() < by_time.1.iter().sum() { by_size } else { by_time }
}

/// [`shared`], each need in `order` taking the smallest free slot that holds it, or else growing the largest.
fn shared_in(order: &[usize], needs: &[Need]) -> (Vec<usize>, Vec<u64>) {
    let mut slots = vec![usize::MAX; needs.len()];
    let mut sizes: Vec<u64> = Vec::new();
    // When each slot is taken: no two of its times meet, so that the last of those that begin in time is the only one that may.
    let mut taken: Vec<BTreeMap<usize, usize>> = Vec::new();
    for &index in order {
        let need = &needs[index];
        let free = |slot: &usize| {
            taken[*slot].range(..=need.last).next_back().is_none_or(|(_, &other_last)| other_last < need.first)
        };
        let choice = |&slot: &usize| (sizes[slot] < need.bytes, sizes[slot].abs_diff(need.bytes));
        let slot = (0..sizes.len()).filter(free).min_by_key(choice).unwrap_or(sizes.len());
        if slot == sizes.len() {
            sizes.push(0);
            taken.push(BTreeMap::new());
        }
        sizes[slot] = sizes[slot].max(need.bytes);
        taken[slot].insert(need.first, need.last);
        slots[index] = slot;
    }
    (slots, sizes)
}

/// A model ready to run for one set of input shapes.
pub(crate) struct Program {
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    /// What makes the constants that the launches read, where the weights have changed.
    refills: Vec<Refill>,
    launches: Vec<Prepared>,
    /// The weights that it writes.
    assigned: Vec<Arc<Data>>,
    /// The [`Gpu::tunings`] by which its plans were chosen.
    tunings: u64,
}

impl Program {
    /// The program of a tape that somebody else wrote.
    pub(crate) fn of(gpu: &Gpu, mut tape: Tape, outputs: Vec<Value>) -> Result<Self> {
        rewrite::of_program(&mut tape, gpu, &outputs, &mut Folded::default())?;
        Self::new(PlannedTape::new(gpu, tape, outputs)?, gpu.tunings())
    }

    /// Runs it on `values`, in one submission; what its outputs hold then.
    pub(crate) async fn run_async(&self, gpu: &Gpu, values: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        let mut commands = Commands::new(gpu);
        let outputs = self.record_on(&mut commands, values)?;
        let sources: Vec<_> = outputs.iter().map(Tensor::binding).collect();
        let bytes = gpu.read_after_async(commands, &sources).await?;
        outputs.iter().zip(&bytes).map(|(tensor, bytes)| tensor.decode(bytes)).collect()
    }

    /// Allocates the slots and binds every launch, those too that make what is constant of the weights.
    fn new(planned: PlannedTape, tunings: u64) -> Result<Self> {
        let gpu = planned.gpu.clone();
        let makers = planned.constants().map(|(kernel, form)| kernel.plans(&gpu, &form));
        let makers = makers.collect::<Result<Vec<_>>>()?;
        let plans = planned.launches.iter().flatten().map(|launch| &launch.plan).chain(makers.iter().flatten());
        let dispatches = plans.flat_map(|plan| plan.steps.iter().map(|step| (plan.name(), step)));
        let packings: Vec<_> = planned.constants().filter_map(|(kernel, form)| kernel.packing(&form)).collect();
        let packed = packings.iter().map(|packing| ("pack".to_owned(), &packing.step));
        gpu.compile_all(&dispatches.chain(packed).collect::<Vec<_>>())?;
        let mut passing = Passing::new(&gpu, &planned.constant_bytes())?;
        let mut refills = Vec::new();
        for (kernel, form) in planned.constants() {
            kernel.refill(&gpu, &form, &mut passing, &mut refills)?;
        }
        let PlannedTape { tape, outputs, launches, slots, sizes, texels, .. } = planned;
        let memory = sizes.iter().map(|&bytes| gpu.memory(bytes)).collect::<Result<Vec<_>>>()?;
        let of_weights: HashMap<_, _> = tape.variables().iter().map(|(data, own)| (tape.storage(*own), data)).collect();
        let tensor = |value: Value| -> Result<Tensor> {
            if let Some(data) = of_weights.get(&tape.storage(value)) {
                return data.on_device()?.reshape(tape.shape(value));
            }
            match slots[tape.storage(value).0] {
                usize::MAX => Tensor::uninitialized(&gpu, tape.shape(value).clone(), tape.dtype(value)),
                slot => Ok(Tensor::within(&gpu, &memory[slot], tape.shape(value).clone(), tape.dtype(value))),
            }
        };
        let mut shared = SharedTexels::default();
        for ((operand, texel), bytes) in texels {
            shared.get(&gpu, operand, texel, bytes)?;
        }
        let mut prepared = Vec::new();
        let mut scratch_slots = slots[tape.storages()..].iter();
        for (step, launches) in tape.steps.iter().zip(&launches) {
            for launch in launches {
                let plan = &launch.plan;
                let scratch: Vec<_> = plan
                    .scratch
                    .iter()
                    .zip(scratch_slots.by_ref())
                    .map(|(&size, &slot)| memory[slot].clone().sized(size))
                    .collect();
                let whole = |value| Ok(tensor(value)?.binding());
                let bound = launch.bound(&gpu, step, whole)?;
                let name = plan.name();
                for dispatch in &plan.steps {
                    prepared.push(gpu.prepare(&name, dispatch, &bound, &scratch, &mut shared)?);
                }
            }
        }
        let tensors = |values: &[Value]| values.iter().map(|&value| tensor(value)).collect::<Result<Vec<_>>>();
        let (inputs, outputs) = (tensors(tape.inputs())?, tensors(&outputs)?);
        let assigned = tape.assigned().cloned().collect();
        Ok(Self { inputs, outputs, refills, launches: prepared, assigned, tunings })
    }

    /// Records the program, reading `inputs` and writing new tensors.
    pub(super) fn record(&self, commands: &mut Commands, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        for (from, to) in inputs.iter().zip(&self.inputs) {
            commands.copy(&from.binding(), &to.binding())?;
        }
        self.refills.iter().try_for_each(|refill| refill.record(commands))?;
        commands.replay("model", &self.launches)?;
        self.assigned.iter().for_each(|data| data.replaced_on_device());
        let mut outputs = Vec::with_capacity(self.outputs.len());
        for from in &self.outputs {
            let to = Tensor::recorded(commands, from.shape().clone(), from.dtype())?;
            commands.copy(&from.binding(), &to.binding())?;
            outputs.push(to);
        }
        Ok(outputs)
    }

    /// Records the program, reading what `values` hold once the commands are submitted; returns its own outputs, which the
    /// next run overwrites.
    pub(super) fn record_on(&self, commands: &mut Commands, values: &[&[f32]]) -> Result<&[Tensor]> {
        for (input, values) in self.inputs.iter().zip(values) {
            commands.upload(&input.binding(), bytemuck::cast_slice(values));
        }
        self.refills.iter().try_for_each(|refill| refill.record(commands))?;
        commands.replay("model", &self.launches)?;
        self.assigned.iter().for_each(|data| data.replaced_on_device());
        Ok(&self.outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::{Need, shared};

    fn slots(needs: &[(u64, usize, usize)]) -> (Vec<usize>, Vec<u64>) {
        shared(&needs.iter().map(|&(bytes, first, last)| Need { bytes, first, last }).collect::<Vec<_>>())
    }

    #[test]
    fn a_chain_takes_two_slots() {
        let chain = [150, 400, 400, 800, 200, 400, 400, 1];
        let needs: Vec<_> = chain.iter().enumerate().map(|(i, &bytes)| (bytes, i.saturating_sub(1), i)).collect();
        let (slots, sizes) = slots(&needs);
        assert_eq!(slots, [1, 0, 1, 0, 1, 0, 1, 0]);
        assert_eq!(sizes, [800, 400]);
    }

    #[test]
    fn values_there_at_once_never_share() {
        let mut state = 7u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        for _ in 0..200 {
            let needs: Vec<_> = (0..20)
                .map(|_| {
                    let first = next() % 15;
                    (1 + next() as u64 % 100, first, first + next() % 5)
                })
                .collect();
            let (slots, sizes) = slots(&needs);
            for (a, &(bytes, first, last)) in needs.iter().enumerate() {
                assert!(sizes[slots[a]] >= bytes);
                for (b, &(_, other_first, other_last)) in needs.iter().enumerate().skip(a + 1) {
                    let apart = last < other_first || other_last < first;
                    assert!(slots[a] != slots[b] || apart, "{a} and {b} of {needs:?} share a slot");
                }
            }
        }
    }
}
