//! What the adapter can do at most: the best of a few runs each.

use std::time::Duration;

use wgpu_conv::{Gpu, wgpu};

use crate::Result;
use crate::clock::{Clock, Times, repeat};

/// Number type of a chain, its lanes, and chains side by side.
const VARIANTS: [(&str, u64, u64); 4] = [("f32", 1, 8), ("f32", 1, 16), ("vec4<f32>", 4, 2), ("vec4<f32>", 4, 4)];
/// Multiplications and additions of one chain that are spelled out in the shader.
const UNROLLED: u64 = 16;
/// `ROUNDS` of the shader.
const ROUNDS: u64 = 512;
/// Invocations of a workgroup.
const WORKGROUP: u64 = 64;
const RUNS: usize = 7;
/// Milliseconds that work must take for its submission not to count.
const LONG: f64 = 20.0;
/// Copies in one submission at most; each waits for the one before.
const MOST_COPIES: u64 = 256;

/// The adapter's limits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Floating-point operations a second, each variant's with its name.
    pub arithmetic: Vec<(String, f64)>,
    /// Bytes a second that a copy of vec4s reads and writes, both counted.
    pub copy: f64,
    /// Bytes that were copied at once.
    pub copied: u64,
    /// Milliseconds from recording a dispatch of nothing to its completion.
    pub submission: f64,
}

impl Limits {
    /// Measures them.
    pub fn measure(gpu: &Gpu, clock: Clock) -> Result<Self> {
        let most = u64::from(gpu.caps().max_workgroups);
        let mut arithmetic = Vec::new();
        let mut submission = f64::INFINITY;
        let times_of = |run: &dyn Fn() -> Result<()>| repeat(RUNS, Duration::ZERO, || clock.host(run));
        let probe = Probe::buffers(gpu, 256);
        for (number, lanes, chains) in VARIANTS {
            let pipeline = probe.pipeline("multiplied", number, chains);
            submission = submission.min(times_of(&|| probe.run(&pipeline, [0, 1, 1], 1))?.median());
            let (groups, times) =
                lengthened(64.min(most), most, |groups| times_of(&|| probe.run(&pipeline, [groups as u32, 1, 1], 1)))?;
            let operations = 2 * chains * lanes * UNROLLED * ROUNDS * WORKGROUP * groups;
            arithmetic.push((format!("{number} × {chains}"), operations as f64 * 1e3 / times.least()));
        }
        // Beyond the caches of hardware.
        let copied = if gpu.caps().software { 16 << 20 } else { (256 << 20).min(gpu.caps().max_binding) };
        let probe = Probe::buffers(gpu, copied);
        let pipeline = probe.pipeline("copied", "f32", 1);
        let groups = (copied / 16).div_ceil(WORKGROUP);
        let counts = [groups.min(most) as u32, groups.div_ceil(most) as u32, 1];
        let (copies, times) = lengthened(1, MOST_COPIES, |copies| times_of(&|| probe.run(&pipeline, counts, copies)))?;
        let copy = (2 * copied * copies) as f64 * 1e3 / times.least();
        Ok(Self { arithmetic, copy, copied, submission })
    }

    /// Floating-point operations a second, in the best variant.
    pub fn peak(&self) -> f64 {
        self.arithmetic.iter().map(|(_, peak)| *peak).fold(0.0, f64::max)
    }

    /// Milliseconds below which the adapter cannot compute `flops` or move `bytes`.
    pub fn floor(&self, flops: u64, bytes: u64) -> f64 {
        (flops as f64 / self.peak()).max(bytes as f64 / self.copy) * 1e3
    }
}

/// `count` doubled until `time` says that so much work takes long, or `most` is near, with the times it then takes.
fn lengthened(mut count: u64, most: u64, time: impl Fn(u64) -> Result<Times>) -> Result<(u64, Times)> {
    loop {
        let times = time(count)?;
        if times.median() > LONG || count * 2 > most {
            return Ok((count, times));
        }
        count *= 2;
    }
}

/// The shader's two buffers.
struct Probe<'a> {
    gpu: &'a Gpu,
    input: wgpu::Buffer,
    output: wgpu::Buffer,
}

impl<'a> Probe<'a> {
    fn buffers(gpu: &'a Gpu, bytes: u64) -> Self {
        let buffer = || {
            gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("limits"),
                size: bytes,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let (input, output) = (buffer(), buffer());
        let factors: Vec<u8> = [0.999_f32, 0.001].iter().flat_map(|value| value.to_le_bytes()).collect();
        gpu.queue().write_buffer(&input, 0, &factors);
        Self { gpu, input, output }
    }

    fn pipeline(&self, entry: &str, number: &str, chains: u64) -> (wgpu::ComputePipeline, wgpu::BindGroup) {
        let device = self.gpu.device();
        let each = |text: fn(u64) -> String, between: &str| (0..chains).map(text).collect::<Vec<_>>().join(between);
        let step = each(|i| format!("s{i} = fma(s{i}, m, n);"), " ");
        let text = include_str!("limits.wgsl")
            .replace("    START", &each(|i| format!("var s{i} = n + {i}.0;"), "\n"))
            .replace("        STEPS", &vec![step; UNROLLED as usize].join("\n"))
            .replace("= TOTAL", &format!("= {}", each(|i| format!("s{i}"), " + ")));
        let text = format!("alias Number = {number};\n{text}");
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(entry),
            source: wgpu::ShaderSource::Wgsl(text.into()),
        });
        let entry_of = |binding, read_only| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(entry),
            entries: &[entry_of(0, true), entry_of(1, false)],
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(entry),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(entry),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(entry),
            layout: &layout,
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: self.input.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: self.output.as_entire_binding() },
            ],
        });
        (pipeline, bind_group)
    }

    /// Runs `times` dispatches in one submission and waits for them.
    fn run(
        &self,
        (pipeline, bind_group): &(wgpu::ComputePipeline, wgpu::BindGroup),
        [x, y, z]: [u32; 3],
        times: u64,
    ) -> Result<()> {
        let mut encoder = self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, bind_group, &[]);
        for _ in 0..times {
            pass.dispatch_workgroups(x, y, z);
        }
        drop(pass);
        self.gpu.queue().submit([encoder.finish()]);
        Ok(self.gpu.synchronize()?)
    }
}
