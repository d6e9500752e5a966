//! Recording plans into one command encoder.
//!
//! A GPU runs nothing at once: launches are written into a list of commands, and the list is submitted whole. Each
//! submission has a cost of its own, so a call of a model is one list with all its layers. [`Commands`] is that list.
//! It holds on to every buffer that it has recorded until it is submitted, and knows which tensors have no values
//! before that.
//!
//! A launch can be recorded in two ways. A single layer binds its tensors while it records. A compiled model has bound
//! everything beforehand (`Prepared`: pipeline, bind group, workgroup counts) and only replays it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::pipeline::Pipeline;
use super::texels::{SharedTexels, Texels};
use super::{BufferBinding, DeviceBuffer, Gpu};
use crate::plan::{Binding, Dispatch, Operand, Plan};
use crate::{Error, Result};

/// Operations recorded to run together: one encoder, one submission.
///
/// [`Layer::record`](crate::layers::Layer::record) adds a layer; the tensors it returns hold their values once
/// [`submit`](Self::submit) was called, and until then only these commands may read them. Dropped without it, nothing runs.
pub struct Commands {
    gpu: Gpu,
    recording: Recording,
    encoder: Option<wgpu::CommandEncoder>,
    pass: Option<wgpu::ComputePass<'static>>,
    /// What recorded dispatches use: it must not go back to the pool before they are submitted.
    used: Vec<Arc<DeviceBuffer>>,
    /// What recorded launches read as textures is copied there first.
    texels: SharedTexels,
    /// What is written before anything recorded runs.
    uploads: Vec<(Arc<DeviceBuffer>, Vec<u8>)>,
    /// Where the times of the first and the last launch are written, if they are asked for, and whether there was one.
    clock: Option<(wgpu::QuerySet, bool)>,
}

/// Whether the commands that compute a tensor were submitted. Until then its memory holds what somebody else left there.
#[derive(Clone, Default)]
pub(crate) struct Recording(Arc<AtomicBool>);

impl Recording {
    /// Whether values are there for `reader`: commands that are recorded, or whoever reads what was submitted.
    pub(crate) fn is_done_for(&self, reader: Option<&Commands>) -> bool {
        self.0.load(Ordering::Acquire) || reader.is_some_and(|commands| Arc::ptr_eq(&self.0, &commands.recording.0))
    }
}

/// What a launch binds as one of its operands.
#[derive(Clone)]
pub(crate) enum Resource {
    Buffer(BufferBinding),
    Texels(Arc<Texels>),
}

/// The tensors of one operation, by the names that shaders call them.
#[derive(Clone, Default)]
pub(crate) struct Bound(Vec<(Operand, Resource)>);

impl Bound {
    pub(crate) fn bind(&mut self, operand: Operand, resource: Resource) {
        self.0.push((operand, resource));
    }

    fn get(&self, operand: Operand) -> Option<&Resource> {
        self.0.iter().find(|(name, _)| *name == operand).map(|(_, resource)| resource)
    }
}

/// A launch with everything bound, to be recorded as often as wanted.
pub(crate) struct Prepared {
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
    workgroups: [u32; 3],
    /// What the launch reads as textures, copied to them before it.
    copies: Vec<(BufferBinding, Arc<Texels>)>,
    /// What the launch uses.
    storages: Vec<Arc<DeviceBuffer>>,
}

impl Gpu {
    /// `step` with its tensors bound; `name` labels it. What it reads as textures is to be copied to some of `shared`.
    pub(crate) fn prepare(
        &self,
        name: &str,
        step: &Dispatch,
        bound: &Bound,
        scratch: &[BufferBinding],
        shared: &mut SharedTexels,
    ) -> Result<Prepared> {
        let placeholder = Resource::Buffer(self.placeholder()?);
        let (mut resources, mut copies) = (Vec::with_capacity(step.bindings.len()), Vec::new());
        for binding in &step.bindings {
            let operand = binding.operand();
            let resource = match operand {
                Operand::Scratch(index) => Some(Resource::Buffer(scratch[index].clone())),
                operand => bound.get(operand).cloned(),
            };
            let resource = match resource {
                // What has no elements is never read, but its binding must hold a vector.
                Some(Resource::Buffer(buffer)) if buffer.size == 0 => placeholder.clone(),
                resource => resource.unwrap_or_else(|| placeholder.clone()),
            };
            resources.push(match (binding, resource) {
                (Binding::Texels(_, texel), Resource::Buffer(from)) => {
                    let texels = shared.get(self, operand, *texel, from.size)?;
                    copies.push((from, texels.clone()));
                    Resource::Texels(texels)
                }
                // A kernel in a place that this launch does not use.
                (Binding::Read(_), Resource::Texels(_)) => placeholder.clone(),
                (_, resource) => resource,
            });
        }
        let pipeline = self.pipeline(name, step)?;
        let uniform = self.uniform(&step.params)?;
        let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: uniform.as_entire_binding() }];
        let mut storages: Vec<_> = copies.iter().map(|(from, _)| from.storage.clone()).collect();
        for (resource, place) in resources.iter().zip(1..) {
            let resource = match resource {
                Resource::Buffer(binding) => {
                    if binding.size > self.caps().max_binding {
                        return Err(Error::limit(
                            "bytes of one storage binding",
                            binding.size,
                            self.caps().max_binding,
                        ));
                    }
                    storages.push(binding.storage.clone());
                    let size = wgpu::BufferSize::new(binding.size.next_multiple_of(4).max(4));
                    let range = wgpu::BufferBinding { buffer: binding.storage.buffer(), offset: binding.offset, size };
                    wgpu::BindingResource::Buffer(range)
                }
                Resource::Texels(texels) => wgpu::BindingResource::TextureView(&texels.view),
            };
            entries.push(wgpu::BindGroupEntry { binding: place, resource });
        }
        let descriptor = wgpu::BindGroupDescriptor { label: Some(name), layout: &pipeline.layout, entries: &entries };
        let group = self.guarded(name, || self.device().create_bind_group(&descriptor))?;
        self.0.bind_groups.fetch_add(1, Ordering::Relaxed);
        Ok(Prepared { pipeline, group, workgroups: step.workgroups, copies, storages })
    }
}

impl Commands {
    /// Nothing recorded yet.
    pub fn new(gpu: &Gpu) -> Self {
        Self {
            gpu: gpu.clone(),
            recording: Recording::default(),
            encoder: None,
            pass: None,
            used: Vec::new(),
            texels: SharedTexels::default(),
            uploads: Vec::new(),
            clock: None,
        }
    }

    /// The device this records for.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// What tensors that are recorded here hold, to know when their values are there.
    pub(crate) fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Adds the launches of `plan`.
    pub(crate) fn record(&mut self, plan: &Plan, bound: &Bound) -> Result<()> {
        let mut scratch = Vec::with_capacity(plan.scratch.len());
        for &size in &plan.scratch {
            scratch.push(BufferBinding { storage: self.gpu.storage(size)?, offset: 0, size });
        }
        let name = plan.name();
        for step in &plan.steps {
            self.dispatch(&name, step, bound, &scratch)?;
        }
        Ok(())
    }

    /// Adds one launch; `name` labels it.
    pub(crate) fn dispatch(
        &mut self,
        name: &str,
        step: &Dispatch,
        bound: &Bound,
        scratch: &[BufferBinding],
    ) -> Result<()> {
        let prepared = self.gpu.prepare(name, step, bound, scratch, &mut self.texels)?;
        self.replay(name, std::slice::from_ref(&prepared))
    }

    /// Adds launches that were prepared; `context` names them in errors.
    pub(crate) fn replay(&mut self, context: &str, launches: &[Prepared]) -> Result<()> {
        let gpu = self.gpu.clone();
        gpu.guarded(context, || {
            for launch in launches {
                for (from, to) in &launch.copies {
                    // A pass, so that the clock has started.
                    self.pass();
                    self.pass = None;
                    to.fill(self.encoder(), from);
                }
                let pass = self.pass();
                let [x, y, z] = launch.workgroups;
                pass.set_pipeline(&launch.pipeline.pipeline);
                pass.set_bind_group(0, &launch.group, &[]);
                pass.dispatch_workgroups(x, y, z);
            }
        })?;
        self.used.extend(launches.iter().flat_map(|launch| launch.storages.iter().cloned()));
        Ok(())
    }

    /// Has the device write down when the first launch starts and when the last one ends.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn clock(&mut self, queries: wgpu::QuerySet) {
        self.clock = Some((queries, false));
    }

    /// Whether the clock has been read.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn is_timed(&self) -> bool {
        self.clock.as_ref().is_some_and(|(_, started)| *started)
    }

    /// Adds a copy of both times of `queries` to `buffer`.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn resolve(&mut self, queries: &wgpu::QuerySet, buffer: &wgpu::Buffer) -> Result<()> {
        self.pass = None;
        let gpu = self.gpu.clone();
        gpu.guarded("time", || self.encoder().resolve_query_set(queries, 0..2, buffer, 0))
    }

    /// Writes `bytes` to `to`, before anything recorded here runs and after everything submitted before.
    pub(crate) fn upload(&mut self, to: &BufferBinding, bytes: &[u8]) {
        self.uploads.push((to.storage.clone(), bytes.to_vec()));
    }

    /// Adds a copy of all of `from` to `to`.
    pub(crate) fn fill(&mut self, from: &BufferBinding, to: &Texels) -> Result<()> {
        self.pass = None;
        let gpu = self.gpu.clone();
        gpu.guarded("copy", || to.fill(self.encoder(), from))?;
        self.used.push(from.storage.clone());
        Ok(())
    }

    /// Adds a copy of all of `from` to the start of `to`, which is as long.
    pub(crate) fn copy(&mut self, from: &BufferBinding, to: &BufferBinding) -> Result<()> {
        self.pass = None;
        let gpu = self.gpu.clone();
        gpu.guarded("copy", || {
            let size = from.size.next_multiple_of(4);
            let (source, target) = (from.storage.buffer(), to.storage.buffer());
            self.encoder().copy_buffer_to_buffer(source, from.offset, target, to.offset, size);
        })?;
        self.used.extend([from.storage.clone(), to.storage.clone()]);
        Ok(())
    }

    /// Runs what was recorded, after everything submitted before; does not wait for it.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device refuses or was lost.
    pub fn submit(self) -> Result<()> {
        self.submit_indexed().map(drop)
    }

    pub(super) fn submit_indexed(mut self) -> Result<Option<wgpu::SubmissionIndex>> {
        self.pass = None;
        let index = match self.encoder.take() {
            Some(encoder) => {
                let commands = self.gpu.guarded("recording", || encoder.finish())?;
                Some(self.gpu.submit("submission", &self.uploads, Some(commands))?)
            }
            None => None,
        };
        self.recording.0.store(true, Ordering::Release);
        Ok(index)
    }

    fn encoder(&mut self) -> &mut wgpu::CommandEncoder {
        let device = self.gpu.device();
        self.encoder.get_or_insert_with(|| device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default()))
    }

    fn pass(&mut self) -> &mut wgpu::ComputePass<'static> {
        let pass = match self.pass.take() {
            Some(pass) => pass,
            None => {
                let clock =
                    self.clock.as_mut().map(|(queries, started)| (queries.clone(), std::mem::replace(started, true)));
                let timestamp_writes = clock.as_ref().map(|(query_set, started)| wgpu::ComputePassTimestampWrites {
                    query_set,
                    beginning_of_pass_write_index: (!started).then_some(0),
                    end_of_pass_write_index: Some(1),
                });
                let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
                self.encoder().begin_compute_pass(&descriptor).forget_lifetime()
            }
        };
        self.pass.insert(pass)
    }
}

impl std::fmt::Debug for Commands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commands").field("gpu", &self.gpu).field("recorded", &self.encoder.is_some()).finish()
    }
}
