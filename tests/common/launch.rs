//! Plans launched as they stand: what a test of one problem needs when no layer poses it.

use std::cell::RefCell;
use std::collections::HashMap;

use wgpu_conv::plan::{Binding, Dispatch, Operand, Plan, Shader, Texel};
use wgpu_conv::{DType, Gpu, wgpu};

/// A device, and what was compiled on it.
pub struct Launcher {
    gpu: Gpu,
    /// What shaders count beside what they compute.
    counts: Counts,
    /// The turns of the busiest invocation of each launch of the last plan, the packing's first, beside what it states.
    turns: RefCell<Vec<[u64; 2]>>,
    compiled: RefCell<HashMap<Shader, (wgpu::ComputePipeline, wgpu::BindGroupLayout)>>,
}

impl Launcher {
    /// Nothing compiled yet.
    pub fn new(gpu: Gpu) -> Self {
        Self { gpu, counts: Counts::Nothing, turns: RefCell::default(), compiled: RefCell::default() }
    }

    /// Nothing compiled yet; shaders will count the turns of their loops.
    pub fn counting(gpu: Gpu) -> Self {
        Self { counts: Counts::Turns, ..Self::new(gpu) }
    }

    /// Nothing compiled yet; shaders, changed by `fault` first, will count the races for their workgroups' memory.
    pub fn racing(gpu: Gpu, fault: fn(String) -> String) -> Self {
        Self { counts: Counts::Races(fault), ..Self::new(gpu) }
    }

    /// The races of each launch of the last plan, the packing's first.
    pub fn races(&self) -> Vec<u64> {
        self.turns.borrow().iter().map(|[races, _]| *races).collect()
    }

    /// The turns that the busiest invocation of each launch of the last plan took, the packing's first, and what it states.
    pub fn turns(&self) -> Vec<[u64; 2]> {
        self.turns.borrow().clone()
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Runs the launches of `plan` on the operands given as bytes, and returns the bytes of its output; what that held
    /// before may be among the operands.
    ///
    /// # Errors
    /// What the device says of the shaders, the bindings or the launches.
    pub fn launch(&self, plan: &Plan, given: &[(Operand, Vec<u8>)], output: usize) -> Result<Vec<u8>, String> {
        let (device, queue) = (self.gpu.device(), self.gpu.queue());
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let sized = |size: usize| {
            let size = size as u64;
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        };
        let buffer = |size: usize| sized(size.next_multiple_of(16).max(16));
        let mut buffers: Vec<(Operand, wgpu::Buffer)> = Vec::new();
        for (operand, bytes) in given {
            let mut padded = bytes.clone();
            padded.resize(bytes.len().next_multiple_of(4), 0);
            // No longer than it is elsewhere: a launch that binds it as vectors needs one.
            let to = sized(padded.len().max(4));
            queue.write_buffer(&to, 0, &padded);
            buffers.push((*operand, to));
        }
        for (index, bytes) in plan.scratch.iter().enumerate() {
            buffers.push((Operand::Scratch(index), buffer(*bytes as usize)));
        }
        // Nothing that a launch leaves out may happen to be right.
        let result = buffer(output);
        let before = buffers.iter().position(|(operand, _)| *operand == Operand::Output);
        let result = match before {
            Some(place) => buffers.swap_remove(place).1,
            None => {
                queue.write_buffer(&result, 0, &vec![0xff; result.size() as usize]);
                result
            }
        };
        buffers.push((Operand::Output, result.clone()));
        let absent = buffer(0);
        let counters = buffer(COUNTER as usize * (plan.steps.len() + 1));
        let mut stated: Vec<u64> = Vec::new();

        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut record = |step: &Dispatch, buffers: &[(Operand, wgpu::Buffer)]| {
            let (pipeline, layout) = self.compiled(step);
            let uniform = device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: (step.params.len() as u64 * 4).next_multiple_of(16),
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let words: Vec<u8> = step.params.iter().flat_map(|word| word.to_ne_bytes()).collect();
            queue.write_buffer(&uniform, 0, &words);
            let buffer_of = |binding: &Binding| {
                let known = buffers.iter().find(|(known, _)| *known == binding.operand());
                known.map_or(&absent, |(_, buffer)| buffer)
            };
            let textures: Vec<_> = step
                .bindings
                .iter()
                .map(|binding| match binding {
                    Binding::Texels(_, texel) | Binding::StoreTexels(_, texel) => {
                        let texels = Texels::new(device, buffer_of(binding), *texel);
                        texels.copy(&mut encoder, Direction::FromBuffer);
                        Some(texels)
                    }
                    _ => None,
                })
                .collect();
            let bound = step.bindings.iter().zip(&textures).map(|(binding, texels)| match texels {
                Some(texels) => wgpu::BindingResource::TextureView(&texels.view),
                None => buffer_of(binding).as_entire_binding(),
            });
            let counter = wgpu::BufferBinding {
                buffer: &counters,
                offset: COUNTER * stated.len() as u64,
                size: wgpu::BufferSize::new(COUNTER),
            };
            stated.push(step.turns);
            let entries: Vec<_> = std::iter::once(uniform.as_entire_binding())
                .chain(bound)
                .chain(self.counts.any().then_some(wgpu::BindingResource::Buffer(counter)))
                .zip(0..)
                .map(|(resource, binding)| wgpu::BindGroupEntry { binding, resource })
                .collect();
            let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &layout,
                entries: &entries,
            });
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            let [x, y, z] = step.workgroups;
            pass.dispatch_workgroups(x, y, z);
            drop(pass);
            for (binding, texels) in step.bindings.iter().zip(&textures) {
                if let (Binding::StoreTexels(..), Some(texels)) = (binding, texels) {
                    texels.copy(&mut encoder, Direction::ToBuffer);
                }
            }
        };
        if let (Some(packing), Some(kernel)) =
            (&plan.packing, buffers.iter().position(|(operand, _)| *operand == Operand::Kernel))
        {
            // Elements of four bytes at most.
            let packed = buffer(packing.elements as usize * 4);
            let plain = buffers.swap_remove(kernel).1;
            record(&packing.step, &[(Operand::Input, plain), (Operand::Output, packed.clone())]);
            buffers.push((Operand::Kernel, packed));
        }
        for step in &plan.steps {
            record(step, &buffers);
        }
        let size = (output as u64).next_multiple_of(4);
        let staged = size + counters.size();
        let staging = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: staged,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        encoder.copy_buffer_to_buffer(&result, 0, &staging, 0, size);
        encoder.copy_buffer_to_buffer(&counters, 0, &staging, size, counters.size());
        queue.submit(Some(encoder.finish()));
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(error.to_string());
        }
        staging.slice(..).map_async(wgpu::MapMode::Read, |_| ());
        device.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| error.to_string())?;
        let view = staging.slice(..).get_mapped_range().map_err(|error| error.to_string())?;
        let counted = view[size as usize..].chunks_exact(COUNTER as usize);
        let counted = counted.map(|slot| u64::from(u32::from_ne_bytes([slot[0], slot[1], slot[2], slot[3]])));
        self.turns.replace(counted.zip(stated).map(|(counted, stated)| [counted, stated]).collect());
        Ok(view[..output].to_vec())
    }

    fn compiled(&self, step: &Dispatch) -> (wgpu::ComputePipeline, wgpu::BindGroupLayout) {
        let device = self.gpu.device();
        let compile = || {
            let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: None,
                source: wgpu::ShaderSource::Wgsl(
                    match self.counts {
                        Counts::Nothing => step.shader.wgsl(),
                        Counts::Turns => counted(&step.shader, step.bindings.len() + 1),
                        Counts::Races(fault) => raced(&fault(step.shader.wgsl()), step.bindings.len() + 1),
                    }
                    .into(),
                ),
            });
            let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
            let kinds = step.bindings.iter().map(|binding| match binding {
                Binding::Read(_) => buffer(wgpu::BufferBindingType::Storage { read_only: true }),
                Binding::Write(_) => buffer(wgpu::BufferBindingType::Storage { read_only: false }),
                Binding::Texels(_, texel) => wgpu::BindingType::StorageTexture {
                    access: wgpu::StorageTextureAccess::ReadOnly,
                    format: format_of(*texel),
                    view_dimension: wgpu::TextureViewDimension::D2,
                },
                Binding::StoreTexels(_, texel) => wgpu::BindingType::StorageTexture {
                    access: wgpu::StorageTextureAccess::WriteOnly,
                    format: format_of(*texel),
                    view_dimension: wgpu::TextureViewDimension::D2,
                },
            });
            let layout: Vec<_> = std::iter::once(buffer(wgpu::BufferBindingType::Uniform))
                .chain(kinds)
                .chain(self.counts.any().then(|| buffer(wgpu::BufferBindingType::Storage { read_only: false })))
                .zip(0..)
                .map(|(ty, binding)| wgpu::BindGroupLayoutEntry {
                    binding,
                    visibility: wgpu::ShaderStages::COMPUTE,
                    ty,
                    count: None,
                })
                .collect();
            let layout =
                device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &layout });
            let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: None,
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: None,
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    zero_initialize_workgroup_memory: matches!(self.counts, Counts::Races(_)),
                    ..Default::default()
                },
                cache: None,
            });
            (pipeline, layout)
        };
        self.compiled.borrow_mut().entry(step.shader.clone()).or_insert_with(compile).clone()
    }
}

/// What a shader counts.
#[derive(Clone, Copy)]
enum Counts {
    Nothing,
    Turns,
    /// After a change of its text.
    Races(fn(String) -> String),
}

impl Counts {
    fn any(self) -> bool {
        !matches!(self, Self::Nothing)
    }
}

/// Bytes from the counter of one launch to the next: what any device can bind at.
const COUNTER: u64 = 256;

/// The text of a shader that counts the turns of all its loops together, and keeps the most of any invocation at `binding`.
fn counted(shader: &Shader, binding: usize) -> String {
    let mut text = String::new();
    for line in shader.wgsl().lines() {
        text.push_str(line);
        if line.trim_start().starts_with("for (") && line.ends_with('{') {
            text.push_str(" turns_taken += 1u; atomicMax(&most_turns, turns_taken);");
        }
        text.push('\n');
    }
    text.push_str("var<private> turns_taken: u32 = 0u;\n");
    text.push_str(&format!("@group(0) @binding({binding}) var<storage, read_write> most_turns: atomic<u32>;\n"));
    text
}

/// The text of a shader that counts at `binding` how often an invocation touches a place of its workgroup's memory that another
/// one has written since the last barrier, or writes one that another has read or written.
///
/// Each place has a shadow: who wrote it last and who read it, between which barriers. A statement's accesses are noted on the
/// line before it.
///
/// # Panics
/// When the text has a form that this does not know.
fn raced(text: &str, binding: usize) -> String {
    let mut places: Vec<(&str, Option<&str>)> = Vec::new();
    let mut shadows = String::new();
    for line in text.lines() {
        let Some((name, of)) = line.strip_prefix("var<workgroup> ").and_then(|rest| rest.split_once(": ")) else {
            continue;
        };
        let inner = of.strip_prefix("array<").and_then(|of| of.strip_suffix(">;")).expect("an array");
        let (element, length) = inner.rsplit_once(", ").expect("a length");
        let row = element.strip_prefix("array<").map(|row| {
            let (_, row) = row.strip_suffix('>').and_then(|row| row.rsplit_once(", ")).expect("a length");
            row
        });
        let size = row.map_or(format!("({length})"), |row| format!("({length}) * ({row})"));
        for kind in ["wrote", "read"] {
            shadows += &format!("var<workgroup> {kind}_{name}: array<atomic<u32>, {size}>;\n");
        }
        shadows += &format!(
            "fn writes_{name}(at: u32) {{
                let tag = epoch * 4096u + watcher;
                let before = atomicExchange(&wrote_{name}[at], tag);
                let reader = atomicLoad(&read_{name}[at]);
                if (before / 4096u == epoch && before != tag) || (reader / 4096u == epoch && reader != tag) {{
                    atomicAdd(&races, 1u);
                }}
            }}
            fn reads_{name}(at: u32) {{
                let tag = epoch * 4096u + watcher;
                let writer = atomicLoad(&wrote_{name}[at]);
                if writer / 4096u == epoch && writer != tag {{
                    atomicAdd(&races, 1u);
                }}
                let before = atomicExchange(&read_{name}[at], tag);
                if before / 4096u == epoch && before != tag {{
                    atomicStore(&read_{name}[at], epoch * 4096u + 4095u);
                }}
            }}\n"
        );
        places.push((name, row));
    }
    let mut raced = String::new();
    let mut in_main = false;
    for line in text.lines() {
        let code = line.trim();
        if code.contains("workgroupUniformLoad") {
            // A barrier before and one behind.
            raced += "epoch += 2u;\n";
        } else if !code.starts_with("//") && !code.starts_with("var<workgroup>") {
            for (name, row) in &places {
                for (at, _) in code.match_indices(&format!("{name}[")) {
                    if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.') {
                        continue;
                    }
                    let (first, rest) = index(&code[at + name.len()..]).expect("an index");
                    let (place, rest) = match row {
                        Some(row) => {
                            let (second, rest) = index(rest).expect("a second index");
                            (format!("({first}) * ({row}) + ({second})"), rest)
                        }
                        None => (first.to_owned(), rest),
                    };
                    let rest = rest.trim_start();
                    let writes = at == 0 && (rest.starts_with("= ") || rest == "=" || rest.starts_with("+= "));
                    let access = if writes { "writes" } else { "reads" };
                    raced += &format!("{access}_{name}({place});\n");
                }
            }
        }
        raced += line;
        raced.push('\n');
        in_main |= code.starts_with("fn main(");
        if in_main && code == ") {" {
            raced += "watcher = invocation + 1u;\n";
            in_main = false;
        }
        if code == "workgroupBarrier();" {
            raced += "epoch += 1u;\n";
        }
    }
    raced += &shadows;
    raced += "var<private> epoch: u32 = 1u;\nvar<private> watcher: u32;\n";
    raced += &format!("@group(0) @binding({binding}) var<storage, read_write> races: atomic<u32>;\n");
    raced
}

/// What stands in the brackets that `text` begins with, and what follows them.
fn index(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0;
    let end = text.find(|c| {
        depth += match c {
            '[' => 1,
            ']' => -1,
            _ => 0,
        };
        depth == 0
    })?;
    Some((text.get(1..end)?, &text[end + 1..]))
}

fn format_of(texel: Texel) -> wgpu::TextureFormat {
    match (texel.dtype, texel.lanes) {
        (DType::F32, 4) => wgpu::TextureFormat::Rgba32Float,
        (DType::F32, _) => wgpu::TextureFormat::R32Float,
        (DType::F16, 4) => wgpu::TextureFormat::Rgba16Float,
        (DType::F16, _) => wgpu::TextureFormat::R16Float,
    }
}

/// A texture for all that a buffer holds, row by row.
struct Texels<'a> {
    buffer: &'a wgpu::Buffer,
    texel: Texel,
    texture: wgpu::Texture,
    view: wgpu::TextureView,
}

#[derive(Clone, Copy)]
enum Direction {
    FromBuffer,
    ToBuffer,
}

impl<'a> Texels<'a> {
    fn new(device: &wgpu::Device, buffer: &'a wgpu::Buffer, texel: Texel) -> Self {
        let copied = wgpu::TextureUsages::COPY_DST | wgpu::TextureUsages::COPY_SRC;
        let rows = ((buffer.size() / texel.size()) as u32).div_ceil(Texel::ROW);
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: None,
            size: wgpu::Extent3d { width: Texel::ROW, height: rows, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: format_of(texel),
            usage: copied | wgpu::TextureUsages::STORAGE_BINDING,
            view_formats: &[],
        });
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        Self { buffer, texel, texture, view }
    }

    fn copy(&self, encoder: &mut wgpu::CommandEncoder, direction: Direction) {
        let Self { buffer, texel, texture, .. } = self;
        let texels = (buffer.size() / texel.size()) as u32;
        for row in 0..texels.div_ceil(Texel::ROW) {
            let first = row * Texel::ROW;
            let layout = wgpu::TexelCopyBufferLayout {
                offset: u64::from(first) * texel.size(),
                bytes_per_row: None,
                rows_per_image: None,
            };
            let origin = wgpu::Origin3d { x: 0, y: row, z: 0 };
            let of_buffer = wgpu::TexelCopyBufferInfo { buffer, layout };
            let of_texture = wgpu::TexelCopyTextureInfo { origin, ..texture.as_image_copy() };
            let width = (texels - first).min(Texel::ROW);
            let extent = wgpu::Extent3d { width, height: 1, depth_or_array_layers: 1 };
            match direction {
                Direction::FromBuffer => encoder.copy_buffer_to_texture(of_buffer, of_texture, extent),
                Direction::ToBuffer => encoder.copy_texture_to_buffer(of_texture, of_buffer, extent),
            }
        }
    }
}
