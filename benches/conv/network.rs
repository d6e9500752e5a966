//! A whole network: MobileNetV1 1.0 on an image of 224 × 224, with bias and relu6, and random weights.

use std::time::{Duration, Instant};

use wgpu_conv::layers::{Conv2D, Dense, DepthwiseConv2D, GlobalAveragePooling2D};
use wgpu_conv::model::{Model, Sequential};
use wgpu_conv::{Activation, Counters, Gpu, Padding, Tensor};

use crate::Result;
use crate::case::{uniform, weights};
use crate::clock::{Clock, Times, repeat};
use crate::common::reference::{Array, evaluate};
use crate::common::tolerance::MODEL_DEV;

/// Filters of the pointwise convolution and stride of the depthwise one (Howard et al. 2017, table 1).
const BLOCKS: [(u32, u32); 13] = [
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
];
const INPUT: [usize; 4] = [1, 224, 224, 3];
/// Products of the convolutions and of the dense layer.
const PRODUCTS: u64 = 568_740_352;

/// What was measured.
pub struct Network {
    /// Seconds from the start of the process until the device is open, the layers are built, the first output is there.
    pub opened: f64,
    pub built: f64,
    pub first: f64,
    /// Pipelines that the first call compiled.
    pub compiled: u64,
    pub times: Times,
    /// What a later call made: the differences of the counters.
    pub steady: [u64; 3],
    /// Bytes on the device.
    pub memory: u64,
    /// The largest deviation from the reference, in parts of the largest output.
    pub deviation: f64,
}

impl Network {
    pub const NAME: &'static str = "mobilenet_v1/whole";

    pub fn gflops(&self) -> f64 {
        2.0 * PRODUCTS as f64 / self.times.median() / 1e6
    }

    /// Whether the output was right.
    pub fn is_right(&self) -> bool {
        self.deviation <= MODEL_DEV
    }
}

/// Measures it on `gpu`, which nothing has run on since `start`.
pub fn measure(gpu: &Gpu, clock: Clock, start: Instant) -> Result<Network> {
    let opened = start.elapsed().as_secs_f64();
    let model = mobilenet(gpu)?;
    let built = start.elapsed().as_secs_f64();
    let values = uniform(INPUT.iter().product(), 1.0);
    let input = Tensor::from_slice(gpu, INPUT, &values)?;
    let output = model.call(&input)?;
    gpu.synchronize()?;
    let first = start.elapsed().as_secs_f64();
    let compiled = gpu.counters().pipelines;
    let deviation = deviation(&output.read::<f32>()?, &expected(&model, Array::from_f32(INPUT, &values))?);
    drop(output);
    gpu.release_unused();
    let inputs = [input];
    let run = || clock.device(gpu, |commands| model.record(commands, &inputs).map(drop));
    let times = repeat(10, Duration::from_secs(2), run)?;
    let before = gpu.counters();
    model.call(&inputs[0])?;
    let after = gpu.counters();
    let made = |count: fn(&Counters) -> u64| count(&after) - count(&before);
    let steady = [made(|c| c.buffers), made(|c| c.pipelines), made(|c| c.submissions)];
    Ok(Network { opened, built, first, compiled, times, steady, memory: after.bytes, deviation })
}

/// The network. Weights are drawn so that values neither grow nor shrink on their way (He et al. 2015, equation 10).
fn mobilenet(gpu: &Gpu) -> Result<Model> {
    let drawn = |products: u32| weights((6.0 / products as f32).sqrt());
    let bias = || weights(0.1);
    let conv = |channels: u32, filters: u32, kernel: u32, stride: u32| {
        Conv2D::new(filters, kernel)
            .strides(stride)
            .padding(Padding::Same)
            .activation(Activation::Relu6)
            .kernel_initializer(drawn(kernel * kernel * channels))
            .bias_initializer(bias())
    };
    let mut model = Sequential::new(gpu).with_input(INPUT)?.with(conv(3, 32, 3, 2))?;
    let mut channels = 32;
    for (filters, stride) in BLOCKS {
        let depthwise = DepthwiseConv2D::new(3)
            .strides(stride)
            .padding(Padding::Same)
            .activation(Activation::Relu6)
            .depthwise_initializer(drawn(9))
            .bias_initializer(bias());
        model = model.with(depthwise)?.with(conv(channels, filters, 1, 1))?;
        channels = filters;
    }
    let classes = Dense::new(1000).kernel_initializer(drawn(channels)).bias_initializer(bias());
    let model = model.with(GlobalAveragePooling2D::new())?.with(classes)?;
    Ok(model.into_model().ok_or("the network has an input")?)
}

/// The output by the reference, layer by layer.
fn expected(model: &Model, input: Array) -> Result<Array> {
    let mut value = input;
    for (_, layer) in model.layers() {
        let weights = layer.get_weights().unwrap();
        let weights: Vec<_> = weights.iter().map(|w| Array::from_f32(w.shape.dims(), &w.values)).collect();
        value = evaluate(layer.config(), &weights, &[value])?;
    }
    Ok(value)
}

fn deviation(got: &[f32], expected: &Array) -> f64 {
    if got.len() != expected.data.len() {
        return f64::INFINITY;
    }
    let largest = expected.data.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let differences = got.iter().zip(&expected.data).map(|(&got, exact)| (f64::from(got) - exact).abs() / largest);
    // Not `max`, which would pass over a NaN.
    differences.fold(0.0, |most, difference| if difference <= most { most } else { difference })
}
