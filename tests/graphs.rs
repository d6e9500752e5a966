//! Random small graphs of layers, in any order: the compiled model, its layers one by one, and the f64 reference agree. What two
//! layers are together is not what each is alone: rules that fold one into another must know what they need.
//!
//! `GRAPHS_COUNT` and `GRAPHS_SEED` choose how many graphs there are and which; a graph that fails is printed with its seed.

#[path = "common/gpu.rs"]
pub mod gpu;

use wgpu_conv::layers::{
    ActivationLayer, AveragePooling2D, BatchNormalization, Concatenate, Conv2D, Conv2DTranspose, Cropping2D, Dense,
    DepthwiseConv2D, Dropout, Flatten, GlobalAveragePooling2D, GlobalMaxPooling2D, GroupNormalization, LayerConfig,
    LayerNormalization, LeakyReLU, MaxPooling2D, Merge, MergeKind, PReLU, Permute, ReLU, RepeatVector, Rescaling,
    Reshape, SeparableConv2D, Sides, Softmax, UnitNormalization, UpSampling2D, ZeroPadding2D,
};
use wgpu_conv::model::{Functional, Model, Symbol};
use wgpu_conv::{Activation, DataFormat, Gpu, HostTensor, Padding, Result, Tensor};

/// Graphs of a run, and the seed of the first.
const COUNT: u64 = 2_000;
const SEED: u64 = 1;

/// How far the compiled model may be from its layers one by one, as a share of the limit that `verify` has: 10⁻⁵ of the largest
/// value.
const COMPILED: f64 = 0.1;

/// Numbers that are the same for a seed everywhere.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    /// A number from −1 to 1.
    fn number(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn tensor(&mut self, shape: &[usize], of: impl Fn(f32) -> f32) -> HostTensor {
        let values = (0..shape.iter().product()).map(|_| of(self.number())).collect();
        HostTensor::new(shape.to_vec(), values).unwrap()
    }
}

/// A layer of one input that may follow a value of this rank.
fn layer(draw: &mut Draw, rank: usize, format: DataFormat) -> LayerConfig {
    let activation = draw.of(&[Activation::Linear, Activation::Linear, Activation::RELU, Activation::Tanh]);
    let padding = draw.of(&[Padding::Same, Padding::Valid]);
    let channels = if format == DataFormat::ChannelsLast { -1 } else { 1 };
    let any = |draw: &mut Draw| -> LayerConfig {
        match draw.below(11) {
            0 => BatchNormalization::new().axis(-1).into(),
            1 => Dense::new(draw.of(&[1, 4, 5])).activation(activation).into(),
            2 => ActivationLayer::new(draw.of(&[Activation::RELU, Activation::Sigmoid, Activation::Softsign])).into(),
            3 => LeakyReLU::new().into(),
            4 => PReLU::new().into(),
            5 => Rescaling::new(0.5).offset(0.25).into(),
            6 => Dropout::new(0.5).into(),
            7 => LayerNormalization::new().into(),
            8 => Softmax::new().into(),
            9 => UnitNormalization::new().into(),
            _ => ReLU::new().max_value(0.75).into(),
        }
    };
    if rank == 2 && draw.chance(3) {
        return RepeatVector::new(2).into();
    }
    if rank != 4 || draw.chance(3) {
        return any(draw);
    }
    match draw.below(15) {
        0 | 1 => ZeroPadding2D::new(Sides(draw.of(&[[[1, 1], [1, 1]], [[0, 2], [1, 0]]]))).data_format(format).into(),
        2 => BatchNormalization::new().axis(channels).into(),
        3 => Conv2D::new(draw.of(&[2, 4, 5]), draw.of(&[1, 2, 3]))
            .padding(padding)
            .strides(draw.of(&[1, 1, 2]))
            .activation(activation)
            .data_format(format)
            .into(),
        4 => Conv2D::new(4, 3).padding(padding).dilation_rate(2).data_format(format).into(),
        5 => Conv2D::new(4, 3).groups(2).padding(padding).activation(activation).data_format(format).into(),
        6 => DepthwiseConv2D::new(draw.of(&[1, 3]))
            .depth_multiplier(draw.of(&[1, 1, 2]))
            .padding(padding)
            .activation(activation)
            .data_format(format)
            .into(),
        7 => {
            SeparableConv2D::new(draw.of(&[4, 5]), 3).padding(padding).activation(activation).data_format(format).into()
        }
        8 => Conv2DTranspose::new(draw.of(&[2, 4]), draw.of(&[2, 3]))
            .strides(2)
            .padding(padding)
            .data_format(format)
            .into(),
        9 => MaxPooling2D::new(2).padding(padding).data_format(format).into(),
        10 => AveragePooling2D::new(2).padding(padding).data_format(format).into(),
        11 => match draw.below(4) {
            0 => GlobalAveragePooling2D::new().data_format(format).into(),
            1 => GlobalMaxPooling2D::new().data_format(format).into(),
            2 => Flatten::new().data_format(format).into(),
            _ => Reshape::new([-1, 2]).into(),
        },
        12 => UpSampling2D::new(2).data_format(format).into(),
        13 => match draw.below(3) {
            0 => Cropping2D::new(1).data_format(format).into(),
            1 => Permute::new(draw.of(&[[2, 1, 3], [3, 1, 2]])).into(),
            _ => Reshape::new([-1, 4]).into(),
        },
        _ => GroupNormalization::new(draw.of(&[1, -1])).axis(channels).into(),
    }
}

/// A graph: what is printed of it, and the model with an input.
fn graph(gpu: &Gpu, seed: u64) -> Result<(Vec<String>, Model, HostTensor)> {
    let mut draw = Draw(seed);
    let format = draw.of(&[DataFormat::ChannelsLast, DataFormat::ChannelsLast, DataFormat::ChannelsFirst]);
    let functional = Functional::new(gpu);
    let spatial = [draw.of(&[4, 5, 6]), draw.of(&[4, 5, 7])];
    let channels = draw.of(&[1, 2, 4, 5, 8]);
    let shape = match format {
        DataFormat::ChannelsLast => [draw.of(&[1, 2, 3]), spatial[0], spatial[1], channels],
        DataFormat::ChannelsFirst => [draw.of(&[1, 2, 3]), channels, spatial[0], spatial[1]],
    };
    let known: Vec<Option<usize>> = std::iter::once(None).chain(shape[1..].iter().map(|&dim| Some(dim))).collect();
    let input = functional.input("x", known)?;
    let mut text = vec![format!("x: {shape:?}")];
    let mut made: Vec<Symbol> = vec![input.clone()];
    let wanted = 3 + draw.below(6);
    for number in 0..4 * wanted {
        if made.len() > wanted {
            break;
        }
        let latest = made.len() - 1;
        let from = if draw.chance(4) { draw.below(made.len()) } else { latest };
        let (config, reads): (LayerConfig, Vec<usize>) = if draw.chance(5) && made.len() > 2 {
            let alike: Vec<usize> =
                (0..made.len()).filter(|&i| i != from && made[i].shape() == made[from].shape()).collect();
            if alike.is_empty() {
                continue;
            }
            let other = draw.of(&alike);
            let kind = draw.of(&[
                MergeKind::Add,
                MergeKind::Add,
                MergeKind::Multiply,
                MergeKind::Maximum,
                MergeKind::Subtract,
            ]);
            let merge: LayerConfig = if draw.chance(4) { Concatenate::new().into() } else { Merge::new(kind).into() };
            (merge, if draw.chance(6) { vec![from, from] } else { vec![from, other] })
        } else {
            (layer(&mut draw, made[from].shape().rank(), format), vec![from])
        };
        let config = config.named(format!("l{number}"));
        let inputs: Vec<&Symbol> = reads.iter().map(|&index| &made[index]).collect();
        // What does not fit there is not taken.
        if let Ok(output) = functional.apply(config.clone(), &inputs) {
            let elements: Option<usize> = output.shape().dims()[1..].iter().copied().product();
            if elements.is_none_or(|count| count == 0 || count > 4000) {
                continue;
            }
            text.push(format!("{}: {} of {reads:?}: {config:?}", made.len(), output.shape()));
            made.push(output);
        }
    }
    let mut outputs = vec![made[made.len() - 1].clone()];
    if draw.chance(3) && made.len() > 2 {
        outputs.push(made[1 + draw.below(made.len() - 2)].clone());
    }
    let mut model = functional.model("graph", &[&input], &outputs.iter().collect::<Vec<_>>())?;
    let names: Vec<String> = model.layers().into_iter().map(|(path, _)| path).collect();
    for name in names {
        let layer = model.get_layer_mut(name.as_str())?;
        let weights: Vec<HostTensor> = (layer.weights().iter())
            .map(|weight| {
                let of: fn(f32) -> f32 = if weight.name().contains("variance") { |x| 0.75 + x / 2.0 } else { |x| x };
                draw.tensor(weight.shape().dims(), of)
            })
            .collect();
        layer.set_weights(&weights)?;
    }
    Ok((text, model, draw.tensor(&shape, |x| x)))
}

#[test]
fn random_graphs_agree() {
    let Some(gpu) = gpu::gpu() else { return };
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |value| value.parse().expect("GRAPHS_COUNT and GRAPHS_SEED are numbers"))
    };
    let (count, first) = (number("GRAPHS_COUNT", COUNT), number("GRAPHS_SEED", SEED));
    let (mut wrong, mut layers) = (Vec::new(), 0);
    for seed in (0..count).map(|index| first.wrapping_mul(1_000_003).wrapping_add(index)) {
        let (text, model, data) = graph(&gpu, seed).unwrap_or_else(|error| panic!("graph {seed}: {error}"));
        layers += model.layers().len();
        let input = Tensor::from_slice(&gpu, &data.shape, &data.values).unwrap();
        let fail = |why: String| format!("graph {seed}: {why}\n  {}", text.join("\n  "));
        match model.verify(&[input]) {
            Ok(report) => {
                if let Some(check) = report.first_difference() {
                    wrong.push(fail(format!("{} ({}): {:?}", check.name, check.class, check.finding)));
                } else if let Some(check) = report.outputs.iter().find(|check| check.error > COMPILED) {
                    wrong.push(fail(format!("compiled {}: {} of the limit", check.name, check.error)));
                }
            }
            Err(error) => wrong.push(fail(error.to_string())),
        }
    }
    println!("{count} graphs of {layers} layers");
    assert!(layers as u64 > 2 * count, "{layers} layers in {count} graphs");
    let shown = wrong.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} of {count} graphs are wrong:\n{shown}", wrong.len());
}
