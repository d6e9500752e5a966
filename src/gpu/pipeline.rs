//! Shaders compiled once: the pipeline cache within one process.
//!
//! A pipeline is a shader compiled for a device, with the layout of what it binds. To make one takes milliseconds to
//! seconds, and a network launches one shader for many of its layers. So pipelines are kept by the shader itself, that
//! is by its text and its constants, and looked up from then on. A model compiles all that it lacks at once, on all of
//! the host's threads. `driver_cache.rs` has what outlives the process.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::{Gpu, lock};
use crate::Result;
use crate::plan::{Binding, Dispatch, Shader, Texel};

/// The compiled pipeline of every shader used so far, by the shader itself.
#[derive(Default)]
pub(super) struct PipelineCache {
    pipelines: Mutex<HashMap<Shader, Arc<Pipeline>>>,
    compiled: AtomicU64,
    #[cfg(test)]
    rewrite: Mutex<Option<Rewrite>>,
}

/// What a test makes of the text of a shader.
#[cfg(test)]
type Rewrite = Box<dyn Fn(String) -> String + Send>;

pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

impl PipelineCache {
    pub(super) fn compiled(&self) -> u64 {
        self.compiled.load(Ordering::Relaxed)
    }
}

/// The uniform block of a shader, as its files declare it.
const PARAMS: &str = "var<uniform> params: Params;";
/// The same under another name, and what takes its own.
const COPIED: &str = "var<uniform> params_given: Params;\nvar<private> params: Params;";

/// `text` with its uniform block copied to a variable of the invocation where `main` begins.
///
/// For lavapipe, which gathers a word of a uniform block lane by lane, in some forty instructions, and again in every block of
/// code that reads it: the loop of a convolution's product had one such gather in its 2300 instructions, and every store another.
fn with_params_copied(text: String) -> String {
    // What a caller wrote stands before, and may speak of a main function as well.
    let main = text.rfind("fn main(").and_then(|main| Some(main + text[main..].find(") {\n")? + ") {\n".len()));
    let (head, body) = text.split_at(main.unwrap_or(0));
    if !head.contains(PARAMS) {
        return text;
    }
    format!("{}    params = params_given;\n{body}", head.replacen(PARAMS, COPIED, 1))
}

/// `text` with its textures read as sampled ones, of which it reads level 0.
///
/// For SwiftShader, which gathers a texel of a storage texture lane by lane and part by part, as an element of a buffer: of a
/// sampled texture it loads one vector for each lane, in a function of its own, and turns four of them at once.
fn with_texels_sampled(text: String) -> String {
    let types = ["r32float", "rgba32float", "rgba16float"].map(|format| format!("texture_storage_2d<{format}, read>"));
    let text = types.iter().fold(text, |text, storage| text.replace(storage, "texture_2d<f32>"));
    text.replace(", texel_place(index))", ", texel_place(index), 0)")
}

impl Gpu {
    /// The pipeline of `dispatch`, compiled now if it is the first of its shader; `name` labels it and its errors.
    pub(super) fn pipeline(&self, name: &str, dispatch: &Dispatch) -> Result<Arc<Pipeline>> {
        let cache = &self.0.pipelines;
        if let Some(pipeline) = lock(&cache.pipelines).get(&dispatch.shader) {
            return Ok(pipeline.clone());
        }
        let text = dispatch.shader.wgsl();
        #[cfg(test)]
        let text = match &*lock(&cache.rewrite) {
            Some(rewrite) => rewrite(text),
            None => text,
        };
        let text = if self.0.copies_params { with_params_copied(text) } else { text };
        let text = if self.caps().samples_texels { with_texels_sampled(text) } else { text };
        let pipeline = Arc::new(self.compile(name, &dispatch.bindings, text)?);
        cache.compiled.fetch_add(1, Ordering::Relaxed);
        lock(&cache.pipelines).insert(dispatch.shader.clone(), pipeline.clone());
        Ok(pipeline)
    }

    /// Compiles the pipelines of all `dispatches` that have none yet, each labelled by its name, on all of the host's threads.
    ///
    /// # Errors
    /// [`Error::Gpu`](crate::Error::Gpu) naming one that fails.
    pub(crate) fn compile_all(&self, dispatches: &[(String, &Dispatch)]) -> Result<()> {
        let missing: Vec<_> = {
            let pipelines = lock(&self.0.pipelines.pipelines);
            let mut seen = HashSet::new();
            let mut is_new = |shader| !pipelines.contains_key(shader) && seen.insert(shader);
            dispatches.iter().filter(|(_, dispatch)| is_new(&dispatch.shader)).collect()
        };
        #[cfg(target_arch = "wasm32")]
        return missing.iter().try_for_each(|(name, dispatch)| self.pipeline(name, dispatch).map(drop));
        #[cfg(not(target_arch = "wasm32"))]
        return self.compile_on_threads(&missing);
    }

    /// From now on compiles what `rewrite` makes of the text of each shader: broken kernels, for tests of what finds them.
    #[cfg(test)]
    pub(crate) fn rewrite_shaders(&self, rewrite: impl Fn(String) -> String + Send + 'static) {
        *lock(&self.0.pipelines.rewrite) = Some(Box::new(rewrite));
        lock(&self.0.pipelines.pipelines).clear();
    }

    fn compile(&self, name: &str, bindings: &[Binding], wgsl: String) -> Result<Pipeline> {
        #[cfg(all(feature = "pipeline-cache", not(target_arch = "wasm32")))]
        let cache = self.driver_cache()?;
        #[cfg(not(all(feature = "pipeline-cache", not(target_arch = "wasm32"))))]
        let cache: Option<wgpu::PipelineCache> = None;
        let device = self.device();
        let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
        let texture = |access, texel: &Texel| wgpu::BindingType::StorageTexture {
            access,
            format: texel.format(),
            view_dimension: wgpu::TextureViewDimension::D2,
        };
        let types = bindings.iter().map(|binding| match binding {
            Binding::Read(_) => buffer(wgpu::BufferBindingType::Storage { read_only: true }),
            Binding::Write(_) => buffer(wgpu::BufferBindingType::Storage { read_only: false }),
            Binding::Texels(..) if self.caps().samples_texels => wgpu::BindingType::Texture {
                sample_type: wgpu::TextureSampleType::Float { filterable: false },
                view_dimension: wgpu::TextureViewDimension::D2,
                multisampled: false,
            },
            Binding::Texels(_, texel) => texture(wgpu::StorageTextureAccess::ReadOnly, texel),
            Binding::StoreTexels(_, texel) => texture(wgpu::StorageTextureAccess::WriteOnly, texel),
        });
        let entries: Vec<_> = std::iter::once(buffer(wgpu::BufferBindingType::Uniform))
            .chain(types)
            .zip(0..)
            .map(|(ty, binding)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty,
                count: None,
            })
            .collect();
        self.guarded(name, || {
            let layout = device
                .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(name), entries: &entries });
            let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(name),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(name),
                source: wgpu::ShaderSource::Wgsl(wgsl.into()),
            });
            let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(name),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                // Every kernel writes its workgroup memory before it reads it.
                compilation_options: wgpu::PipelineCompilationOptions {
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: cache.as_ref(),
            });
            Pipeline { pipeline, layout }
        })
    }
}
