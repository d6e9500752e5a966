//! Compiling many shaders at once, on all of the host's threads, and all of it before the first launch.
//!
//! Most drivers compile a shader when its pipeline is made. Mesa's processor (lavapipe) compiles when a shader is first
//! launched, in the one thread that runs a device's launches: two dozen shaders of a network one after another, each for 0.1
//! to 0.2 seconds. But what it has compiled it keeps on disk, and looks there first. So there each thread but the first, which
//! has the device that computes, opens a device of its own on the same adapter, and launches its share of the shaders without a
//! single workgroup. Where Mesa may keep nothing on disk, what the other threads compile is compiled again when it is launched.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Gpu;
use super::commands::{Bound, Commands, Resource};
use crate::plan::{Binding, Dispatch, Operand};
use crate::{Error, Result};

/// The bytes of what a launch of no workgroups binds: no shader asks for more.
const BYTES: u64 = 256;

impl Gpu {
    /// Compiles the pipelines of all `missing`, each labelled by its name, as many at a time as the host has threads.
    ///
    /// # Errors
    /// [`Error::Gpu`] naming one that fails.
    pub(super) fn compile_on_threads(&self, missing: &[&(String, &Dispatch)]) -> Result<()> {
        let next = AtomicUsize::new(0);
        let compile = |launcher: Option<Self>| {
            while let Some((name, dispatch)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.pipeline(name, dispatch)?;
                if let Some(Err(error)) = launcher.as_ref().map(|gpu| gpu.launch_nothing(name, dispatch)) {
                    log::debug!("{name} is compiled when it is launched: {error}");
                }
            }
            Ok(())
        };
        let compile = &compile;
        std::thread::scope(|scope| {
            let threads = std::thread::available_parallelism().map_or(1, usize::from).min(missing.len());
            let threads: Vec<_> =
                (0..threads).map(|thread| scope.spawn(move || compile(self.launcher(thread)))).collect();
            let failed = || Error::gpu("compiling pipelines", "a thread ended before its pipelines were compiled");
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(failed())))
        })
    }

    /// The device on which a thread, the first or another, launches shaders to have them compiled; `None` where making a
    /// pipeline does so, or where the adapter opens no other device.
    fn launcher(&self, thread: usize) -> Option<Self> {
        let adapter = self.0.adapter.as_ref()?;
        if thread == 0 {
            return Some(self.clone());
        }
        let opened = pollster::block_on(Self::open_on(adapter));
        opened.inspect_err(|error| log::debug!("shaders are compiled on fewer threads: {error}")).ok()
    }

    /// Launches `step` without a workgroup, and returns when the driver has compiled its shader.
    fn launch_nothing(&self, name: &str, step: &Dispatch) -> Result<()> {
        let (mut bound, mut bindings) = (Bound::default(), Vec::with_capacity(step.bindings.len()));
        for (place, binding) in step.bindings.iter().enumerate() {
            // Each has memory of its own, for a launch must not write what it reads by another binding.
            let operand = Operand::Slot(place);
            bindings.push(binding.of(operand));
            bound.bind(
                operand,
                match binding {
                    Binding::Texels(_, texel) | Binding::StoreTexels(_, texel) => {
                        Resource::Texels(self.texels(*texel, BYTES, false)?)
                    }
                    Binding::Read(_) | Binding::Write(_) => Resource::Buffer(self.memory(BYTES)?),
                },
            );
        }
        let nothing = Dispatch { workgroups: [0; 3], bindings, ..step.clone() };
        let mut commands = Commands::new(self);
        commands.dispatch(name, &nothing, &bound, &[])?;
        commands.submit()?;
        self.synchronize()
    }
}

#[cfg(test)]
mod tests {
    use crate::gpu::own_gpu;
    use crate::layers::{Conv2D, DepthwiseConv2D, LayerConfig, SeparableConv2D};
    use crate::plan::{Operand, Problem};
    use crate::{Padding, Shape};

    /// Plans of every family that a convolution has here, with textures, scratch memory and several launches among them.
    #[test]
    fn plans_of_convolutions_can_be_launched_without_a_workgroup() {
        let Some(gpu) = own_gpu() else { return };
        let layers: [LayerConfig; 3] = [
            Conv2D::new(16, 3).padding(Padding::Same).into(),
            DepthwiseConv2D::new(3).into(),
            SeparableConv2D::new(8, 3).into(),
        ];
        let before = gpu.counters();
        let (mut families, mut has_scratch) = (std::collections::BTreeSet::new(), false);
        for layer in layers {
            for problem in layer.convolutions(Shape::from([1, 20, 20, 16])).unwrap() {
                for plan in gpu.candidates(&Problem::Conv(problem)).unwrap() {
                    for step in &plan.steps {
                        gpu.launch_nothing(&plan.name(), step).unwrap();
                        has_scratch |= step.bindings.iter().any(|one| matches!(one.operand(), Operand::Scratch(_)));
                    }
                    families.insert(plan.family);
                }
            }
        }
        assert!(has_scratch && families.len() >= 5, "{families:?}");
        assert!(gpu.counters().pipelines > before.pipelines, "nothing was compiled");
    }
}
