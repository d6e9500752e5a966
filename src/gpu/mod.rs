//! The only place that touches wgpu: adapter, device, pipelines, buffers, command recording, readback.
//!
//! A [`Gpu`] is an open device with its caches. It answers two questions: which plan solves a problem here
//! ([`candidates`](Gpu::candidates), [`Tuning`]), and how its launches are run. Everything above it speaks of tensors,
//! problems and plans, and everything below it (`plan`, `kernels/`) is data that knows no device.
//!
//! | file | what it does |
//! |---|---|
//! | `open.rs` | finds an adapter, opens a device, and writes down what it can do |
//! | `pipeline.rs` | compiles each shader once (pipeline cache) |
//! | `ahead.rs` | compiles what a model lacks on all threads, before its first launch |
//! | `driver_cache.rs` | keeps what the driver compiled from one process to the next |
//! | `buffer.rs`, `texels.rs` | memory: a pool of buffers, uniform blocks, and textures that stand in for buffers |
//! | `commands.rs` | records launches and submits them together |
//! | `readback.rs` | copies results to the host |
//! | `timing.rs`, `tune.rs` | times launches, and chooses among plans by it (autotuning) |
//! | `cooperative.rs` | matrix units |
//! | `check.rs` | compiles code that the caller gives, before it runs |
//!
//! wgpu reports an error of its use to a handler, which panics if nobody has set one. Each call that can go wrong is
//! therefore made within an error scope (`Gpu::guarded`), and what it reports becomes an `Error`.

#[cfg(not(target_arch = "wasm32"))]
mod ahead;
mod buffer;
mod check;
mod commands;
mod cooperative;
#[cfg(all(feature = "pipeline-cache", not(target_arch = "wasm32")))]
mod driver_cache;
mod open;
mod pipeline;
mod readback;
mod texels;
#[cfg(not(target_arch = "wasm32"))]
mod timing;
#[cfg(not(target_arch = "wasm32"))]
mod tune;

use std::collections::HashMap;
#[cfg(not(target_arch = "wasm32"))]
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(not(target_arch = "wasm32"))]
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub(crate) use buffer::{BufferBinding, DeviceBuffer, allocated};
pub(crate) use check::check_code;
pub use commands::Commands;
pub(crate) use commands::{Bound, Prepared, Recording, Resource};
pub use open::AdapterChoice;
pub(crate) use texels::{SharedTexels, Texels};
#[cfg(not(target_arch = "wasm32"))]
pub use tune::Measurement;

use crate::kernels;
use crate::plan::{Caps, Plan, Problem, SeparableProblem};
use crate::{Error, Result};

/// A device that layers run on. Cloning is cheap and gives another handle to the same device.
///
/// ```no_run
/// use wgpu_conv::Gpu;
///
/// let gpu = Gpu::new()?;
/// println!("{} ({:?})", gpu.info().name, gpu.info().backend);
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone)]
pub struct Gpu(Arc<Inner>);

/// What stands behind the [`Gpu`]s of the process.
#[cfg(not(target_arch = "wasm32"))]
static DEVICES: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());

struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// The adapter, where its driver compiles a shader at the first launch.
    adapter: Option<wgpu::Adapter>,
    info: wgpu::AdapterInfo,
    caps: Caps,
    /// Whether shaders copy their uniform block first, as it is dear to read where it lies.
    copies_params: bool,
    pipelines: pipeline::PipelineCache,
    buffers: buffer::BufferPool,
    bind_groups: AtomicU64,
    plans: Mutex<Plans>,
    #[cfg(not(target_arch = "wasm32"))]
    measurements: Mutex<tune::Measurements>,
    /// Locked while a problem is measured.
    #[cfg(not(target_arch = "wasm32"))]
    measuring: Mutex<()>,
    /// Where they are kept.
    #[cfg(not(target_arch = "wasm32"))]
    tuning_file: Mutex<Option<std::path::PathBuf>>,
    #[cfg(all(feature = "pipeline-cache", not(target_arch = "wasm32")))]
    driver_cache: Mutex<Option<wgpu::PipelineCache>>,
    /// The thread behind asynchronous reads, once there was one.
    #[cfg(not(target_arch = "wasm32"))]
    poller: Mutex<Option<readback::Poller>>,
    /// Why the device was lost, once it was.
    lost: Arc<OnceLock<String>>,
    /// Outcomes of error scopes that the browser has not told yet, in words.
    #[cfg(target_arch = "wasm32")]
    promised: Mutex<Vec<std::pin::Pin<Box<dyn Future<Output = Option<String>>>>>>,
}

/// The plan chosen for each problem, and how plans are chosen.
#[derive(Default)]
struct Plans {
    tuning: Tuning,
    chosen: HashMap<Problem, Arc<Plan>>,
    /// Whether two convolutions are taken in one pass.
    merged: HashMap<SeparableProblem, bool>,
    /// How often plans have begun to be chosen anew.
    tunings: u64,
}

impl Plans {
    /// Has every plan chosen anew.
    fn forget(&mut self) {
        self.chosen.clear();
        self.merged.clear();
        self.tunings += 1;
    }
}

/// How a plan is chosen among the [candidates](Gpu::candidates) of a problem.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tuning {
    /// The first candidate: the best guess from the problem's numbers. The default.
    #[default]
    Heuristic,
    /// The candidate of this name, which makes runs reproducible bit for bit on one device; the first candidate for
    /// problems that have none of the name.
    Pin(String),
    /// The candidate that is fastest here: the first time that a convolution of some sizes is asked for, each of its
    /// candidates is run a few times on memory of those sizes, unless [`Gpu::load_tuning`] told how long they take.
    ///
    /// That is before the first call, or while a model is compiled, and takes about as long as compiling all candidates.
    /// Which one is fastest by a hair differs from run to run, and with it the last bits of results: save the measurements
    /// and load them again where that matters. It blocks, so a browser does not have it.
    #[cfg(not(target_arch = "wasm32"))]
    Measure,
}

/// What a device has made so far. Two equal counts around a call show that it made nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Compute pipelines compiled.
    pub pipelines: u64,
    /// Buffers allocated, of every kind, and textures.
    pub buffers: u64,
    /// Bytes of the buffers and textures that exist now, pooled ones included.
    pub bytes: u64,
    /// Bind groups created.
    pub bind_groups: u64,
    /// Command buffers submitted.
    pub submissions: u64,
}

impl Gpu {
    /// Facts about the adapter.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.0.info
    }

    /// Whether the device is one of wgpu's that computes and keeps nothing.
    pub(crate) fn pretends(&self) -> bool {
        self.0.info.backend == wgpu::Backend::Noop
    }

    /// The limits and features plans may use.
    pub fn caps(&self) -> &Caps {
        &self.0.caps
    }

    /// The wgpu device.
    pub fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    /// The wgpu queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    /// What this device has made so far.
    pub fn counters(&self) -> Counters {
        let (buffers, bytes) = self.0.buffers.allocated();
        let pipelines = self.0.pipelines.compiled();
        let bind_groups = self.0.bind_groups.load(Ordering::Relaxed);
        Counters { pipelines, buffers, bytes, bind_groups, submissions: self.0.buffers.submissions() }
    }

    /// Frees the pooled buffers that no tensor holds.
    pub fn release_unused(&self) {
        self.0.buffers.clear();
    }

    /// Chooses plans by `tuning` from now on. Models are compiled again when they are next called.
    ///
    /// ```no_run
    /// use wgpu_conv::{Gpu, Tuning};
    ///
    /// let gpu = Gpu::new()?;
    /// gpu.set_tuning(Tuning::Pin("conv_direct_f32x1".to_owned()));
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn set_tuning(&self, tuning: Tuning) {
        let mut plans = lock(&self.0.plans);
        plans.tuning = tuning;
        plans.forget();
    }

    /// How often plans have begun to be chosen anew: what was chosen under another count may be chosen differently now.
    pub(crate) fn tunings(&self) -> u64 {
        lock(&self.0.plans).tunings
    }

    /// Every plan that solves `problem` on this device, best guess first.
    ///
    /// # Errors
    /// [`Error::Limit`] and [`Error::Unsupported`] where none does.
    pub fn candidates(&self, problem: &Problem) -> Result<Vec<Plan>> {
        kernels::candidates(problem, self.caps())
    }

    /// The plan for `problem`, by the tuning in force.
    pub(crate) fn plan(&self, problem: &Problem) -> Result<Arc<Plan>> {
        let tuning = {
            let plans = lock(&self.0.plans);
            if let Some(plan) = plans.chosen.get(problem) {
                return Ok(plan.clone());
            }
            plans.tuning.clone()
        };
        let mut candidates = self.candidates(problem)?;
        let index = match &tuning {
            Tuning::Heuristic => 0,
            Tuning::Pin(name) => candidates.iter().position(|plan| plan.name() == *name).unwrap_or(0),
            #[cfg(not(target_arch = "wasm32"))]
            Tuning::Measure => self.fastest(problem, &candidates),
        };
        let plan = Arc::new(candidates.swap_remove(index));
        log::debug!("{}: {problem:?}", plan.name());
        lock(&self.0.plans).chosen.insert(*problem, plan.clone());
        Ok(plan)
    }

    /// Whether `problem` is taken in one pass, by the tuning in force: where that is the best guess, where a plan that is
    /// pinned does so, or where it is faster than the two convolutions one by one.
    ///
    /// # Errors
    /// Those of [`candidates`](Self::candidates), for either of the convolutions as well.
    pub fn takes_one_pass(&self, problem: &SeparableProblem) -> Result<bool> {
        let tuning = {
            let plans = lock(&self.0.plans);
            if let Some(&taken) = plans.merged.get(problem) {
                return Ok(taken);
            }
            plans.tuning.clone()
        };
        let candidates = self.candidates(&Problem::Separable(*problem))?;
        let taken = !candidates.is_empty()
            && match &tuning {
                Tuning::Heuristic => kernels::one_pass_pays(problem, self.caps()),
                Tuning::Pin(name) => candidates.iter().any(|plan| plan.name() == *name),
                #[cfg(not(target_arch = "wasm32"))]
                Tuning::Measure => self.is_faster_in_one_pass(problem, &candidates)?,
            };
        lock(&self.0.plans).merged.insert(*problem, taken);
        Ok(taken)
    }

    /// Whether `other` is a handle to the same device, with the same pool. Two devices cannot be told apart by wgpu's own
    /// comparison, which counts from the start again for each instance.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Runs `make`, which calls wgpu, and returns as an error what wgpu would otherwise hand to its panicking handler.
    ///
    /// In a browser the answer comes later than the call: there it is an error of the next readback.
    pub(crate) fn guarded<T>(&self, context: &str, make: impl FnOnce() -> T) -> Result<T> {
        self.check_present(context)?;
        let device = &self.0.device;
        let filters = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation];
        let scopes = filters.map(|filter| device.push_error_scope(filter));
        let made = make();
        let mut first = None;
        for scope in scopes.into_iter().rev() {
            first = first.or(self.settle(scope.pop()));
        }
        match first {
            None => Ok(made),
            Some(error) => Err(Error::gpu(context.to_owned(), error)),
        }
    }

    /// # Errors
    /// [`Error::Gpu`] once the device was lost or destroyed. wgpu itself takes work for it from then on, and says nothing.
    fn check_present(&self, context: &str) -> Result<()> {
        #[cfg(not(target_arch = "wasm32"))]
        if self.0.lost.get().is_none() && !self.refuses_the_impossible() {
            let _ = self.0.lost.set("it was destroyed, or the driver gave it up".to_owned());
        }
        let Some(reason) = self.0.lost.get() else { return Ok(()) };
        let why = format!("the device was lost: {reason}; open another `Gpu`, and build layers and models on that");
        Err(Error::gpu(context.to_owned(), why))
    }

    /// Whether the device is there. A handler of its loss would be the caller's own where the device is, and wgpu calls it late;
    /// but a device that is there says that no buffer is this large, and one that was lost says nothing.
    #[cfg(not(target_arch = "wasm32"))]
    fn refuses_the_impossible(&self) -> bool {
        let scope = self.0.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let (size, usage) = (u64::MAX, wgpu::BufferUsages::COPY_DST);
        let _ = self.0.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage,
            mapped_at_creation: false,
        });
        pollster::block_on(scope.pop()).is_some()
    }

    /// Whether `buffer` is one of this device, and is not mapped.
    ///
    /// wgpu has no question for that: it numbers buffers anew in each instance, and takes one of another instance for its own of
    /// the same number. But what is done wrong with a buffer is reported to the device that made it, and unmapping what is not
    /// mapped is wrong and has no effect. The other devices of the process await the report as well, so that none of them
    /// panics over it.
    #[cfg(not(target_arch = "wasm32"))]
    fn owns(&self, buffer: &wgpu::Buffer) -> bool {
        let others: Vec<Self> = lock(&DEVICES).iter().filter_map(Weak::upgrade).map(Self).collect();
        let await_on = |gpu: &Self| gpu.0.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let theirs: Vec<_> = others.iter().map(await_on).collect();
        // Last: of two handles to one device, this one is told.
        let ours = await_on(self);
        // A device that no `Gpu` stands for may have a handler that panics.
        let _ = catch_unwind(AssertUnwindSafe(|| buffer.unmap()));
        let told = pollster::block_on(ours.pop()).is_some();
        theirs.into_iter().rev().for_each(|scope| drop(pollster::block_on(scope.pop())));
        told
    }

    /// # Errors
    /// [`Error::Invalid`] for a buffer of another device; [`Error::Gpu`] where this one was lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn check_owns(&self, buffer: &wgpu::Buffer) -> Result<()> {
        self.check_present("a tensor over a buffer")?;
        if self.owns(buffer) {
            return Ok(());
        }
        let rule = "the buffer must be made by the device of this Gpu, and must not be mapped";
        Err(Error::invalid("buffer", rule, format!("a buffer of {} bytes that is not, or is mapped", buffer.size())))
    }

    /// The outcome of an error scope, which native backends know at once.
    #[cfg(not(target_arch = "wasm32"))]
    #[expect(clippy::unused_self, reason = "the browser's twin keeps the outcome for later")]
    fn settle(&self, outcome: impl Future<Output = Option<wgpu::Error>>) -> Option<wgpu::Error> {
        pollster::block_on(outcome)
    }

    /// In a browser the outcome is a promise, kept for the next readback; in words, for the error itself holds values of
    /// JavaScript, which cannot be sent to another thread as an [`Error`] can.
    #[cfg(target_arch = "wasm32")]
    fn settle(&self, outcome: impl Future<Output = Option<wgpu::Error>> + 'static) -> Option<String> {
        lock(&self.0.promised).push(Box::pin(async { outcome.await.map(|error| error.to_string()) }));
        None
    }
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gpu").field("adapter", &self.0.info.name).field("backend", &self.0.info.backend).finish()
    }
}

/// The lock, also after a panic elsewhere: what it guards are caches, which a panic cannot leave half written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A device of this test's own.
#[cfg(test)]
pub(crate) fn own_gpu() -> Option<Gpu> {
    let gpu = Gpu::new();
    let required = std::env::var_os("REQUIRE_GPU").is_some_and(|value| value == "1");
    assert!(gpu.is_ok() || !required, "REQUIRE_GPU=1, but {}", gpu.unwrap_err());
    gpu.ok()
}
