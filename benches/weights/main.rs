//! Times new weights: all of them given to a compiled network, and a forward pass with them.
//!
//! ```text
//! cargo bench --bench weights
//! ```
//!
//! The network has thirty million parameters in 3×3 convolutions, by themselves and each before a batch normalization. Three
//! times are told, each the least of several on the wall until the device has done: a forward pass; the upload alone, which is
//! the same bytes written to buffers of their own; and new weights with a forward pass. The last makes no buffer, no bind group
//! and no pipeline, and one submission: whatever kernels read in another form is made again by steps that are recorded with it.

use std::time::{Duration, Instant};

use wgpu_conv::layers::{ActivationLayer, BatchNormalization, Conv2D, Dense, GlobalAveragePooling2D};
use wgpu_conv::model::{Model, Sequential};
use wgpu_conv::{Activation, Gpu, HostTensor, Padding, Tensor, wgpu};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const INPUT: [usize; 4] = [1, 14, 14, 256];
const RUNS: usize = 12;

fn main() -> Result<()> {
    let gpu = Gpu::new()?;
    println!("{}", gpu.info().name);
    for normalized in [false, true] {
        measure(&gpu, normalized)?;
    }
    Ok(())
}

/// Convolutions of 3×3, each with a relu, and a batch normalization between where `normalized`.
fn network(gpu: &Gpu, normalized: bool) -> Result<Model> {
    let mut model = Sequential::new(gpu).with_input(INPUT)?;
    for (filters, stride, count) in [(256, 1, 4), (512, 2, 1), (512, 1, 11)] {
        for _ in 0..count {
            model = model.with(Conv2D::new(filters, 3).strides(stride).padding(Padding::Same).use_bias(!normalized))?;
            if normalized {
                model = model.with(BatchNormalization::new())?;
            }
            model = model.with(ActivationLayer::new(Activation::RELU))?;
        }
    }
    let model = model.with(GlobalAveragePooling2D::new())?.with(Dense::new(1000))?;
    Ok(model.into_model().ok_or("the network has an input")?)
}

fn measure(gpu: &Gpu, normalized: bool) -> Result<()> {
    let model = network(gpu, normalized)?;
    let input = Tensor::from_slice(gpu, INPUT, &vec![0.5f32; INPUT.iter().product()])?;
    let layers = model.layers();
    let values = layers.iter().map(|(_, layer)| layer.get_weights()).collect::<Result<Vec<_>, _>>()?;
    let buffers = buffers(gpu, values.iter().flatten());
    model.call(&input)?;
    let forward = least(gpu, || Ok(model.call(&input).map(drop)?))?;
    let upload = least(gpu, || {
        for (buffer, bytes) in &buffers {
            gpu.queue().write_buffer(buffer, 0, bytes);
        }
        gpu.queue().submit([]);
        Ok(())
    })?;
    let before = gpu.counters();
    let both = least(gpu, || {
        for ((_, layer), values) in layers.iter().zip(&values) {
            layer.set_weights(values)?;
        }
        Ok(model.call(&input).map(drop)?)
    })?;
    let after = gpu.counters();
    println!(
        "{} parameters{}: forward {forward:.1} ms, upload {upload:.1} ms, new weights and forward {both:.1} ms, {:.2} × the sum; \
         made {} buffers, {} bind groups, {} pipelines, {} submissions in {RUNS} runs",
        model.count_params(),
        if normalized { " with batch normalization" } else { "" },
        both / (forward + upload),
        after.buffers - before.buffers,
        after.bind_groups - before.bind_groups,
        after.pipelines - before.pipelines,
        after.submissions - before.submissions,
    );
    Ok(())
}

/// A buffer for each of `values`, with its bytes.
fn buffers<'a>(gpu: &Gpu, values: impl Iterator<Item = &'a HostTensor>) -> Vec<(wgpu::Buffer, Vec<u8>)> {
    let buffer = |value: &HostTensor| {
        let bytes: Vec<u8> = value.values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let size = bytes.len() as u64;
        let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        (gpu.device().create_buffer(&descriptor), bytes)
    };
    values.map(buffer).collect()
}

/// The least milliseconds of several runs, until the device has done.
fn least(gpu: &Gpu, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut least = Duration::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        run()?;
        gpu.synchronize()?;
        least = least.min(start.elapsed());
    }
    Ok(least.as_secs_f64() * 1e3)
}
