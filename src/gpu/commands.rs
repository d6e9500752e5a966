//! Recording plans into one command encoder.

use std::sync::Arc;

use super::{BufferBinding, Gpu, Storage};
use crate::plan::{Binding, Dispatch, Operand, Plan};
use crate::{Error, Result};

/// Operations recorded to run together: one encoder, one submission.
///
/// [`Layer::record`](crate::layers::Layer::record) adds a layer; the tensors it returns hold their values once
/// [`submit`](Self::submit) was called. Dropped without it, nothing runs.
pub struct Commands {
    gpu: Gpu,
    encoder: Option<wgpu::CommandEncoder>,
    pass: Option<wgpu::ComputePass<'static>>,
    /// What recorded dispatches use: it must not go back to the pool before they are submitted.
    used: Vec<Arc<Storage>>,
}

/// The tensors of one operation.
pub(crate) struct Operands<'a> {
    pub(crate) input: &'a BufferBinding,
    pub(crate) kernel: Option<&'a BufferBinding>,
    pub(crate) bias: Option<&'a BufferBinding>,
    pub(crate) output: &'a BufferBinding,
}

impl Commands {
    /// Nothing recorded yet.
    pub fn new(gpu: &Gpu) -> Self {
        Self { gpu: gpu.clone(), encoder: None, pass: None, used: Vec::new() }
    }

    /// The device this records for.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Adds the launches of `plan`.
    pub(crate) fn record(&mut self, plan: &Plan, operands: &Operands<'_>) -> Result<()> {
        let mut scratch = Vec::with_capacity(plan.scratch.len());
        for &size in &plan.scratch {
            scratch.push(BufferBinding { storage: self.gpu.storage(size)?, offset: 0, size });
        }
        for step in &plan.steps {
            self.dispatch(&plan.name, step, operands, &scratch)?;
        }
        Ok(())
    }

    /// Adds one launch; `name` labels it.
    pub(crate) fn dispatch(
        &mut self,
        name: &str,
        step: &Dispatch,
        operands: &Operands<'_>,
        scratch: &[BufferBinding],
    ) -> Result<()> {
        let gpu = self.gpu.clone();
        let placeholder = gpu.placeholder()?;
        let mut bound = Vec::with_capacity(step.bindings.len());
        for binding in step.bindings {
            let (Binding::Read(operand) | Binding::Write(operand)) = *binding;
            let binding = match operand {
                Operand::Input => operands.input,
                Operand::Kernel => operands.kernel.unwrap_or(&placeholder),
                Operand::Bias => operands.bias.unwrap_or(&placeholder),
                Operand::Output => operands.output,
                Operand::Scratch(index) => &scratch[index],
            };
            if binding.size > gpu.caps().max_binding {
                return Err(Error::limit("bytes of one storage binding", binding.size, gpu.caps().max_binding));
            }
            bound.push(binding);
        }
        let pipeline = gpu.pipeline(name, step)?;
        let uniform = gpu.uniform(&step.params)?;
        let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: uniform.as_entire_binding() }];
        for (index, binding) in bound.iter().enumerate() {
            let size = wgpu::BufferSize::new(binding.size.next_multiple_of(4).max(4));
            let range = wgpu::BufferBinding { buffer: binding.storage.buffer(), offset: binding.offset, size };
            let resource = wgpu::BindingResource::Buffer(range);
            entries.push(wgpu::BindGroupEntry { binding: index as u32 + 1, resource });
        }
        gpu.guarded(name, || {
            let descriptor =
                wgpu::BindGroupDescriptor { label: Some(name), layout: &pipeline.layout, entries: &entries };
            let group = gpu.device().create_bind_group(&descriptor);
            let [x, y, z] = step.workgroups;
            let pass = self.pass();
            pass.set_pipeline(&pipeline.pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(x, y, z);
        })?;
        self.used.extend(bound.into_iter().map(|binding| binding.storage.clone()));
        Ok(())
    }

    /// Adds a copy of `size` bytes from the start of `from.offset` to the start of `to`.
    pub(super) fn copy(&mut self, from: &BufferBinding, to: &Arc<Storage>) -> Result<()> {
        self.pass = None;
        let gpu = self.gpu.clone();
        gpu.guarded("readback", || {
            let size = from.size.next_multiple_of(4);
            self.encoder().copy_buffer_to_buffer(from.storage.buffer(), from.offset, to.buffer(), 0, size);
        })?;
        self.used.extend([from.storage.clone(), to.clone()]);
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
        let Some(encoder) = self.encoder.take() else { return Ok(None) };
        let commands = self.gpu.guarded("recording", || encoder.finish())?;
        self.gpu.submit("submission", Some(commands)).map(Some)
    }

    fn encoder(&mut self) -> &mut wgpu::CommandEncoder {
        let device = self.gpu.device();
        self.encoder.get_or_insert_with(|| device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default()))
    }

    fn pass(&mut self) -> &mut wgpu::ComputePass<'static> {
        let pass = match self.pass.take() {
            Some(pass) => pass,
            None => self.encoder().begin_compute_pass(&wgpu::ComputePassDescriptor::default()).forget_lifetime(),
        };
        self.pass.insert(pass)
    }
}

impl std::fmt::Debug for Commands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commands").field("gpu", &self.gpu).field("recorded", &self.encoder.is_some()).finish()
    }
}
