//! `--training`: the backward pass of the workloads beside the forward pass, and steps of two small networks.
//!
//! A convolution is linear in its input and in its kernel, so both gradients are proved by the forward pass, which the other
//! benches prove: for an output y and any weights g of its elements, `Σ g·y` is `Σ x·dx`, and `Σ k·dk` too. Of a step it is
//! proved that the loss falls by what its gradient says, the rate times the gradient's squared length, for a rate that is small.

use std::time::Duration;

use serde_json::{Value, json};
use wgpu_conv::layers::{ActivationLayer, BatchNormalization, Conv2D, Dense, DepthwiseConv2D, GlobalAveragePooling2D};
use wgpu_conv::model::{Model, Sequential};
use wgpu_conv::training::{Loss, Optimizer, Trainer};
use wgpu_conv::{Activation, Gpu, HostTensor, Padding, Tensor};

use crate::Result;
use crate::arguments::Options;
use crate::case::{Case, FILES, uniform, weights};
use crate::clock::{Clock, Times, repeat};

/// What a row of JSON says of the times of something.
fn figures(times: &Times) -> Value {
    json!({ "ms": times.median(), "quartiles_ms": [times.quantile(0.25), times.quantile(0.75)] })
}

/// Measures all that the options select; whether everything was right.
pub fn measure(gpu: &Gpu, clock: Clock, options: &Options) -> Result<bool> {
    let mut rows = Vec::new();
    let mut right = true;
    println!("\n{:<26} {:>10} {:>10} {:>10} {:>9}", "workload", "forward ms", "to input", "to weights", "backward");
    for case in Case::read(FILES[0])?.iter().filter(|case| options.selects(&case.name)) {
        let [forward, input, both] = layer(&gpu.apart(), clock, case).map_err(|why| format!("{}: {why}", case.name))?;
        let [ms, to_input, all] = [&forward, &input, &both].map(Times::median);
        let weights = all - to_input;
        println!(
            "{:<26} {ms:>10.3} {:>10.3} {weights:>10.3} {:>7.2} x",
            case.short_name(),
            to_input - ms,
            (all - ms) / ms
        );
        let passes = [("forward", &forward), ("with_input", &input), ("with_both", &both)];
        let passes: serde_json::Map<_, _> =
            passes.into_iter().map(|(name, times)| (name.to_owned(), figures(times))).collect();
        rows.push(json!({ "case": case.name, "passes": passes }));
    }
    println!("\n{:<26} {:>10} {:>10}  a step of 8 pictures of 64x64", "network", "step ms", "first ms");
    for (name, blocks) in NETS.iter().filter(|(name, _)| options.selects(&format!("step/{name}"))) {
        let step = step(&gpu.apart(), clock, blocks)?;
        right &= step.is_right();
        let wrong = match step.is_right() {
            true => String::new(),
            false => format!("  WRONG: the loss falls by {:e}, its gradient says {:e}", step.fell, step.expected),
        };
        println!("{name:<26} {:>10.1} {:>10.0}{wrong}", step.times.median(), step.first);
        let mut row = figures(&step.times);
        row["case"] = json!(format!("step/{name}"));
        row["first_ms"] = json!(step.first);
        row["fall_of_loss"] = json!([step.fell, step.expected]);
        rows.push(row);
    }
    if let Some(file) = &options.json {
        let info = gpu.info();
        let all = json!({ "adapter": info.name, "driver": info.driver_info, "clock": clock.name(), "rows": rows });
        std::fs::write(file, format!("{all:#}\n")).map_err(|why| format!("{file}: {why}"))?;
    }
    Ok(right)
}

/// The forward pass; with the gradient to the input; with that to the weights as well.
fn layer(gpu: &Gpu, clock: Clock, case: &Case) -> Result<[Times; 3]> {
    let model = Sequential::new(gpu).with_input(case.input.clone())?.with(case.config()?)?;
    let mut model = model.into_model().ok_or("the model has an input")?;
    let input = Tensor::from_slice(gpu, case.input.clone(), &case.values())?;
    let output = model.call(&input)?;
    let counts = uniform(output.shape().dims().iter().product(), 1.0);
    let counts = [Tensor::from_slice(gpu, output.shape().clone(), &counts)?];
    let inputs = [input];
    prove(&model, &inputs, &output, &counts)?;
    let span = Duration::from_millis(400);
    let forward = repeat(10, span, || clock.device(gpu, |commands| model.record(commands, &inputs).map(drop)))?;
    let backward = |model: &Model| {
        repeat(10, span, || {
            clock.device(gpu, |commands| model.record_gradients(commands, &inputs, &counts, false).map(drop))
        })
    };
    let both = backward(&model)?;
    let names: Vec<String> = model.layers().iter().map(|(path, _)| path.clone()).collect();
    names.iter().try_for_each(|name| model.set_trainable(name, false))?;
    Ok([forward, backward(&model)?, both])
}

/// `Σ a·b` and what rounding may make of it.
fn product(a: &[f32], b: &[f32]) -> [f64; 2] {
    let terms = || a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
    [terms().sum(), terms().map(|term| term * term).sum::<f64>().sqrt()]
}

/// Holds both gradients to the output.
fn prove(model: &Model, inputs: &[Tensor], output: &Tensor, counts: &[Tensor]) -> Result<()> {
    let made = model.gradients(inputs, counts, false)?;
    let [exact, spread] = product(&output.read::<f32>()?, &counts[0].read::<f32>()?);
    let mut sides = vec![("input".to_owned(), inputs[0].read::<f32>()?, made.inputs[0].read::<f32>()?)];
    for ((name, weight), (_, gradient)) in model.weights().iter().zip(&made.weights) {
        sides.push((name.clone(), weight.read()?.values, gradient.read::<f32>()?));
    }
    for (name, values, gradient) in sides {
        let [sum, own] = product(&values, &gradient);
        // Rounding is of single terms, whose errors are independent.
        if (sum - exact).abs() > 1e-5 * (spread + own) {
            return Err(format!("the gradient to {name} is wrong: {sum} for {exact}").into());
        }
    }
    Ok(())
}

/// One layer of a network.
#[derive(Clone, Copy)]
enum Part {
    /// Filters, extent of the kernel, stride.
    Conv(u32, u32, u32),
    /// Stride, of a kernel of 3 by 3.
    Depthwise(u32),
    Norm,
    Relu,
    Relu6,
}

use Part::{Conv, Depthwise, Norm, Relu, Relu6};

/// A depthwise convolution and a pointwise one, each of them normalized.
macro_rules! blocks {
    ($first:literal, $(($stride:literal, $filters:literal)),*) => {
        &[Conv($first, 3, 2), Norm, Relu6, $(Depthwise($stride), Norm, Relu6, Conv($filters, 1, 1), Norm, Relu6),*]
    };
}

/// A network of five convolutions, and MobileNetV1 0.25. Behind either stand a global mean and 10 classes.
const NETS: [(&str, &[Part]); 2] = [
    (
        "tiny",
        &[
            Conv(32, 3, 2),
            Norm,
            Relu,
            Depthwise(1),
            Conv(64, 1, 1),
            Norm,
            Relu,
            Depthwise(2),
            Conv(128, 1, 1),
            Norm,
            Relu,
            Depthwise(1),
            Conv(128, 1, 1),
            Norm,
            Relu,
            Depthwise(2),
            Conv(256, 1, 1),
            Norm,
            Relu,
        ],
    ),
    (
        "mobilenet_025",
        blocks!(
            8,
            (1, 16),
            (2, 32),
            (1, 32),
            (2, 64),
            (1, 64),
            (2, 128),
            (1, 128),
            (1, 128),
            (1, 128),
            (1, 128),
            (1, 128),
            (2, 256),
            (1, 256)
        ),
    ),
];

/// What was measured of a step.
struct Step {
    times: Times,
    /// Milliseconds of the first one, which compiles.
    first: f64,
    /// What the loss fell by, and what the gradient said.
    fell: f64,
    expected: f64,
}

impl Step {
    /// The loss is curved, so that a step that is small falls a little short.
    fn is_right(&self) -> bool {
        (self.fell - self.expected).abs() <= 0.05 * self.expected
    }
}

/// Steps on 8 pictures of 64 by 64 and three channels: stochastic gradient descent on the cross-entropy of ten classes.
fn step(gpu: &Gpu, clock: Clock, parts: &[Part]) -> Result<Step> {
    const BATCH: usize = 8;
    let model = network(gpu, parts)?;
    let x = [HostTensor::new([BATCH, 64, 64, 3], uniform(BATCH * 64 * 64 * 3, 1.0))?];
    let y = [HostTensor::new([BATCH], (0..BATCH).map(|sample| sample as f32).collect::<Vec<_>>())?];
    let loss = || Loss::from_name("sparse_categorical_crossentropy");
    let sgd = |rate: f64| Optimizer::from_name("sgd").map(|optimizer| optimizer.learning_rate(rate));
    let values = || -> Result<Vec<f32>> {
        let read = |(_, weight): (String, &wgpu_conv::Variable)| weight.read().map(|tensor| tensor.values);
        Ok(model
            .weights()
            .into_iter()
            .filter(|(_, weight)| weight.trainable())
            .map(read)
            .collect::<Result<Vec<_>, _>>()?
            .concat())
    };
    // One small step says how the loss falls.
    let rate = 1e-5;
    let before = values()?;
    let mut small = Trainer::new(&model, sgd(rate)?, &[loss()?], &[])?;
    let mut of_loss = || -> Result<f64> { Ok(small.train_on_batch(&x, &y)?.get("loss").ok_or("there is a loss")?) };
    let mut first_loss = 0.0;
    let first = clock.host(|| of_loss().map(|loss| first_loss = loss))?;
    let after = values()?;
    let fell = first_loss - of_loss()?;
    let squared = |(&a, &b): (&f32, &f32)| (f64::from(a) - f64::from(b)).powi(2);
    let expected = before.iter().zip(&after).map(squared).sum::<f64>() / rate;
    let mut trainer = Trainer::new(&model, sgd(0.05)?, &[loss()?], &[])?;
    let times = repeat(10, Duration::from_secs(2), || {
        clock.host(|| trainer.train_on_batch(&x, &y).map(drop).map_err(Into::into))
    })?;
    Ok(Step { times, first, fell, expected })
}

/// The network, without bias but in its last layer.
fn network(gpu: &Gpu, parts: &[Part]) -> Result<Model> {
    let drawn = |products: u32| weights((6.0 / products as f32).sqrt());
    let mut model = Sequential::new(gpu).with_input([None, Some(64), Some(64), Some(3)])?;
    let mut channels = 3;
    for part in parts {
        model = match *part {
            Conv(filters, kernel, strides) => {
                let layer = Conv2D::new(filters, kernel).strides(strides).padding(Padding::Same).use_bias(false);
                let layer = layer.kernel_initializer(drawn(kernel * kernel * channels));
                channels = filters;
                model.with(layer)?
            }
            Depthwise(strides) => {
                let layer = DepthwiseConv2D::new(3).strides(strides).padding(Padding::Same).use_bias(false);
                model.with(layer.depthwise_initializer(drawn(9)))?
            }
            Norm => model.with(BatchNormalization::new())?,
            Relu => model.with(ActivationLayer::new(Activation::RELU))?,
            Relu6 => model.with(ActivationLayer::new(Activation::Relu6))?,
        };
    }
    let classes = Dense::new(10).kernel_initializer(drawn(channels)).activation(Activation::Softmax { axis: -1 });
    let model = model.with(GlobalAveragePooling2D::new())?.with(classes)?;
    model.into_model().ok_or_else(|| "the network has an input".into())
}
