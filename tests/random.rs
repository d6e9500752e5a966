//! What layers draw at random in training: the generator against its definition, layers against the reference that draws the
//! same numbers by another road, gradients against its central differences, and a trainer's steps.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;
#[path = "common/table.rs"]
pub mod table;

use common::reference::random::Draw;
use common::reference::{Array, OutsideImage, affine, evaluate};
use common::test_each;
use common::tolerance::{DIFFERENCE, GRADIENT_DEV, Storage};
use gpu::gpu;
use table::Numbers;
use wgpu_conv::layers::*;
use wgpu_conv::model::Sequential;
use wgpu_conv::training::{Loss, Optimizer, Trainer};
use wgpu_conv::{Activation, DTypePolicy, DataFormat, Gpu, HostTensor, PartialShape, Shape, Tensor};

/// As many deviations may a mean be off: less than once in a million draws.
const DEVIATIONS: f64 = 5.0;

fn build(gpu: &Gpu, layer: impl Into<LayerConfig>, shape: &[usize]) -> Layer {
    let layer: LayerConfig = layer.into();
    layer.build(gpu, Shape::from(shape)).unwrap()
}

fn called(layer: &Layer, step: u64, input: &Array) -> Result<Array, String> {
    layer.set_training_step(step);
    let given = Tensor::from_slice(layer.gpu(), input.shape.as_slice(), &input.to_f32()).map_err(text)?;
    let output = layer.call_in_training(&[given]).map_err(text)?;
    let values = output.read::<f32>().map_err(text)?;
    Ok(Array::new(output.shape().dims(), values.into_iter().map(f64::from).collect::<Vec<_>>()))
}

fn text(error: wgpu_conv::Error) -> String {
    error.to_string()
}

fn unit(numbers: &mut Numbers, shape: &[usize]) -> Array {
    Array::new(shape, (0..shape.iter().product()).map(|_| numbers.unit(Storage::F32)).collect::<Vec<_>>())
}

/// Mean and variance of `values`, each of which must be what is expected but for `DEVIATIONS` of its own deviation: of the mean
/// √(v / n), of the variance √((m₄ − v²) / n), by the fourth moment that the values themselves have.
fn moments(values: &[f64], mean: f64, variance: f64) -> Result<(), String> {
    let n = values.len() as f64;
    let found = values.iter().sum::<f64>() / n;
    let central = |power: i32| values.iter().map(|value| (value - mean).powi(power)).sum::<f64>() / n;
    let (spread, fourth) = (central(2), central(4));
    let near = |what: &str, found: f64, expected: f64, deviation: f64| {
        if (found - expected).abs() <= DEVIATIONS * deviation + 1e-6 {
            return Ok(());
        }
        Err(format!("{what} is {found}, expected {expected} ± {deviation}"))
    };
    near("the mean", found, mean, (spread / n).sqrt())?;
    near("the variance", spread, variance, ((fourth - spread * spread).max(0.0) / n).sqrt())
}

const MANY: usize = 60_000;

#[test]
fn shares_and_moments() {
    let Some(gpu) = gpu() else { return };
    let ones = Array::new([MANY], vec![1.0; MANY]);
    for rate in [0.1, 0.5, 0.9] {
        let got = called(&build(&gpu, Dropout::new(rate).seed(7), &[MANY]), 0, &ones).unwrap();
        let kept = f64::from((1.0 / (1.0 - rate)) as f32);
        assert!(got.data.iter().all(|&value| value == 0.0 || value == kept), "rate {rate}");
        let zeros = got.data.iter().filter(|&&value| value == 0.0).count() as f64 / MANY as f64;
        let deviation = (rate * (1.0 - rate) / MANY as f64).sqrt();
        assert!((zeros - rate).abs() < DEVIATIONS * deviation, "{zeros} of a rate of {rate}");
        // Neighbours are not alike: of pairs both are dropped as often as of any two.
        let pairs = got.data.windows(2).filter(|pair| pair[0] == 0.0 && pair[1] == 0.0).count() as f64;
        let (expected, n) = (rate * rate, MANY as f64 - 1.0);
        assert!((pairs / n - expected).abs() < 2.0 * DEVIATIONS * (expected / n).sqrt(), "pairs of rate {rate}");
        let got = called(&build(&gpu, GaussianDropout::new(rate).seed(8), &[MANY]), 0, &ones).unwrap();
        moments(&got.data, 1.0, rate / (1.0 - rate)).unwrap();
        let got = called(&build(&gpu, GaussianNoise::new(rate).seed(9), &[MANY]), 0, &ones).unwrap();
        moments(&got.data, 1.0, rate * rate).unwrap();
    }
    // Mean and variance of normal values stay through an AlphaDropout.
    let normal = Draw { seed: 1, ..Draw::default() }.noise(&[MANY]);
    for rate in [0.1, 0.5] {
        let got = called(&build(&gpu, AlphaDropout::new(rate).seed(10), &[MANY]), 3, &normal).unwrap();
        moments(&got.data, 0.0, 1.0).unwrap();
    }
}

/// The bits are a function of seed and step, and of nothing else.
#[test]
fn equal_seeds_and_steps_draw_equal_bits() {
    let Some(gpu) = gpu() else { return };
    let ones = Array::new([1, 1001], vec![1.0; 1001]);
    let of = |seed: u64| build(&gpu, Dropout::new(0.5).seed(seed), &[1, 1001]);
    let first = called(&of(1), 0, &ones).unwrap().data;
    assert_eq!(first, called(&of(1), 0, &ones).unwrap().data);
    assert_ne!(first, called(&of(2), 0, &ones).unwrap().data);
    assert_ne!(first, called(&of(1 | 1 << 32), 0, &ones).unwrap().data);
    let layer = of(1);
    let mut seen = vec![first];
    for step in [1, 2, 1 << 24, u64::from(u32::MAX), 1 << 47] {
        let drawn = called(&layer, step, &ones).unwrap().data;
        assert!(!seen.contains(&drawn), "step {step} draws what another drew");
        seen.push(drawn);
    }
    // Calls count by themselves.
    let input = Tensor::from_slice(&gpu, [1, 1001], &vec![1.0f32; 1001]).unwrap();
    let call = |layer: &Layer| layer.call_in_training(std::slice::from_ref(&input)).unwrap().read::<f32>().unwrap();
    let layer = of(1);
    let calls = [call(&layer), call(&layer)];
    assert_ne!(calls[0], calls[1]);
    layer.set_training_step(0);
    assert_eq!(calls[0], call(&layer));
    // Layers without a seed follow from the process's.
    let drawn = |seed| {
        set_random_seed(seed);
        call(&build(&gpu, Dropout::new(0.5), &[1, 1001]))
    };
    assert_eq!(drawn(5), drawn(5));
    assert_ne!(drawn(5), drawn(6));
    // What a thread computes does not depend on how many elements there are.
    let less = Array::new([1, 37], vec![1.0; 37]);
    assert_eq!(called(&build(&gpu, Dropout::new(0.5).seed(1), &[1, 37]), 0, &less).unwrap().data, seen[0][..37]);
}

/// What a layer makes of `input` in training, in f64.
fn expected(layer: &LayerConfig, draw: Draw, input: &Array) -> Array {
    let dims = &input.shape;
    let shape_of = |noise: &Option<PartialShape>| -> Vec<usize> {
        match noise {
            None => dims.clone(),
            Some(shape) => shape.dims().iter().zip(dims).map(|(given, own)| given.unwrap_or(*own)).collect(),
        }
    };
    let dropped = |rate: f64, shape: &[usize]| {
        let scale = if rate < 1.0 { 1.0 / (1.0 - rate) } else { 0.0 };
        input.zip(&draw.kept(rate, shape), |x, kept| x * kept * scale)
    };
    let channels = |format: DataFormat| -> Vec<usize> {
        let (batch, last) = (dims[0], dims.len() - 1);
        match format {
            DataFormat::ChannelsLast => [&[batch], &vec![1; last - 1][..], &[dims[last]]].concat(),
            DataFormat::ChannelsFirst => [&[batch, dims[1]], &vec![1; last - 1][..]].concat(),
        }
    };
    match layer {
        LayerConfig::Dropout(layer) => dropped(layer.rate, &shape_of(&layer.noise_shape)),
        LayerConfig::SpatialDropout1D(layer) => dropped(layer.rate, &channels(DataFormat::ChannelsLast)),
        LayerConfig::SpatialDropout2D(layer) => dropped(layer.rate, &channels(layer.data_format)),
        LayerConfig::SpatialDropout3D(layer) => dropped(layer.rate, &channels(layer.data_format)),
        LayerConfig::StochasticDepth(layer) => {
            dropped(layer.drop_path_rate, &[&[dims[0]], &vec![1; dims.len() - 1][..]].concat())
        }
        LayerConfig::GaussianNoise(layer) => input.zip(&draw.noise(dims), |x, noise| x + layer.stddev * noise),
        LayerConfig::GaussianDropout(layer) => {
            let deviation = (layer.rate / (1.0 - layer.rate)).sqrt();
            input.zip(&draw.noise(dims), |x, noise| x * (1.0 + deviation * noise))
        }
        LayerConfig::AlphaDropout(layer) => {
            let limit = -1.673_263_242_354_377_2 * 1.050_700_987_355_480_5;
            let scale = ((1.0 - layer.rate) * (1.0 + layer.rate * limit * limit)).powf(-0.5);
            let shift = -scale * limit * layer.rate;
            input.zip(&draw.kept(layer.rate, &shape_of(&layer.noise_shape)), |x, kept| {
                scale * (x * kept + limit * (1.0 - kept)) + shift
            })
        }
        other => evaluate(other, &[], std::slice::from_ref(input)).unwrap(),
    }
}

fn rows() -> Vec<(&'static str, LayerConfig, Vec<usize>)> {
    let first = DataFormat::ChannelsFirst;
    let noise = |dims: &[Option<usize>]| PartialShape::from(dims.to_vec());
    vec![
        ("dropout", Dropout::new(0.3).seed(1).into(), vec![3, 7, 5]),
        ("dropout in fours", Dropout::new(0.3).seed(1).into(), vec![2, 8, 4]),
        ("nothing is dropped", Dropout::new(0.0).seed(1).into(), vec![3, 7]),
        ("all is dropped", Dropout::new(1.0).seed(1).into(), vec![3, 7]),
        ("by rows", Dropout::new(0.5).seed(2).noise_shape(noise(&[None, Some(1), None])).into(), vec![3, 7, 5]),
        ("of one for all", Dropout::new(0.5).seed(2).noise_shape(noise(&[Some(1), None])).into(), vec![4, 9]),
        ("channels of sequences", SpatialDropout1D::new(0.4).seed(3).into(), vec![3, 5, 7]),
        ("channels of images", SpatialDropout2D::new(0.4).seed(3).into(), vec![3, 4, 5, 6]),
        ("channels first", SpatialDropout2D::new(0.4).seed(3).data_format(first).into(), vec![3, 6, 4, 5]),
        ("channels of volumes", SpatialDropout3D::new(0.4).seed(3).into(), vec![2, 3, 2, 4, 5]),
        ("first, volumes", SpatialDropout3D::new(0.4).seed(3).data_format(first).into(), vec![2, 5, 3, 2, 4]),
        ("noise", GaussianNoise::new(0.5).seed(4).into(), vec![5, 13]),
        ("noisy dropout", GaussianDropout::new(0.3).seed(5).into(), vec![5, 12]),
        ("alpha dropout", AlphaDropout::new(0.3).seed(6).into(), vec![5, 13]),
        ("alpha by rows", AlphaDropout::new(0.3).seed(6).noise_shape(noise(&[None, Some(1)])).into(), vec![15, 3]),
        ("examples", StochasticDepth { seed: 8.into(), ..StochasticDepth::new(0.4) }.into(), vec![9, 2, 3]),
    ]
}

/// Normal numbers may be off by what WGSL allows cosines and logarithms; all else is exact but for rounding.
fn tolerance(layer: &LayerConfig) -> f64 {
    match layer {
        LayerConfig::GaussianNoise(_) | LayerConfig::GaussianDropout(_) => 4e-3,
        _ => 1e-6,
    }
}

fn close(got: &Array, exact: &Array, tolerance: f64) -> Result<(), String> {
    let far =
        got.data.iter().zip(&exact.data).position(|(got, exact)| (got - exact).abs() > tolerance * (1.0 + exact.abs()));
    match far {
        None if got.shape == exact.shape => Ok(()),
        None => Err(format!("shape {:?}, expected {:?}", got.shape, exact.shape)),
        Some(at) => Err(format!("element {at} is {}, expected {}", got.data[at], exact.data[at])),
    }
}

/// Forward passes, and gradients: what depends on the input in a straight line has the same slope everywhere.
#[test]
fn layers_are_the_reference_s() {
    let Some(gpu) = gpu() else { return };
    test_each(
        rows(),
        |(name, ..)| (*name).to_owned(),
        |(_, layer, shape)| {
            let mut numbers = Numbers::new(shape.iter().product::<usize>() as u64);
            let (input, factors) = (unit(&mut numbers, shape), unit(&mut numbers, shape));
            let built = build(&gpu, layer.clone(), shape);
            for step in [0, 9, 1 << 30] {
                let draw = Draw { seed: seed_of(layer), site: 0, step };
                close(&called(&built, step, &input)?, &expected(layer, draw, &input), tolerance(layer))?;
                built.set_training_step(step);
                let on = |array: &Array| Tensor::from_slice(&gpu, shape.as_slice(), &array.to_f32()).map_err(text);
                let made = built.gradients(&[on(&input)?], &on(&factors)?, true).map_err(text)?;
                let gradient = made.inputs[0].read::<f32>().map_err(text)?;
                let zero = expected(layer, draw, &input.map(|_| 0.0));
                let slope = expected(layer, draw, &factors).zip(&zero, |at, zero| at - zero);
                let gradient = Array::new(shape.clone(), gradient.into_iter().map(f64::from).collect::<Vec<_>>());
                close(&gradient, &slope, 2.0 * tolerance(layer))?;
                // Outside of training all are the identity.
                let same = built.call(&on(&input)?).and_then(|output| output.read::<f32>()).map_err(text)?;
                if same != input.to_f32() {
                    return Err("it changes its input outside of training".into());
                }
            }
            Ok(())
        },
    );
}

fn seed_of(layer: &LayerConfig) -> u64 {
    let seed = match layer {
        LayerConfig::Dropout(layer) => &layer.seed,
        LayerConfig::SpatialDropout1D(layer) => &layer.seed,
        LayerConfig::SpatialDropout2D(layer) => &layer.seed,
        LayerConfig::SpatialDropout3D(layer) => &layer.seed,
        LayerConfig::StochasticDepth(layer) => &layer.seed,
        LayerConfig::GaussianNoise(layer) => &layer.seed,
        LayerConfig::GaussianDropout(layer) => &layer.seed,
        LayerConfig::AlphaDropout(layer) => &layer.seed,
        _ => return 0,
    };
    seed.integer().unwrap_or(0)
}

/// Chains of layers, some of which draw: outputs, and gradients by central differences with the draws held.
#[test]
fn chains_that_draw() {
    let Some(gpu) = gpu() else { return };
    test_each(
        0..12u64,
        |seed| format!("chain {seed}"),
        |&seed| {
            let mut numbers = Numbers::new(100 + seed);
            let mut pick = |count: usize| ((numbers.unit(Storage::F32) + 1.0) / 2.0 * count as f64) as usize % count;
            let mut shape = vec![2, 4, 5, 3];
            let mut layers: Vec<LayerConfig> = Vec::new();
            for place in 0..5 {
                let draws = 1 + 10 * seed + place;
                layers.push(match pick(9) {
                    0 => Conv2D::new(3, 2).into(),
                    1 => Dense::new(4).into(),
                    2 => Dropout::new(0.4).seed(draws).into(),
                    3 => SpatialDropout2D::new(0.4).seed(draws).into(),
                    4 => AlphaDropout::new(0.2).seed(draws).into(),
                    5 => GaussianDropout::new(0.2).seed(draws).into(),
                    6 => GaussianNoise::new(0.2).seed(draws).into(),
                    7 => ActivationLayer::new(Activation::Tanh).into(),
                    _ => Dropout::new(0.4).seed(draws).noise_shape([None, Some(1), None, Some(1)]).into(),
                });
                if matches!(layers.last(), Some(LayerConfig::Conv2D(_))) && shape[1] < 2 {
                    layers.pop();
                }
                let Some(layer) = layers.last() else { continue };
                let made = layer.output_shape(Shape::from(shape.as_slice())).map_err(text)?;
                shape = made.dims().iter().map(|extent| extent.unwrap_or(1)).collect();
            }
            let input = unit(&mut numbers, &[2, 4, 5, 3]);
            let mut chain = Sequential::new(&gpu).with_input([None, Some(4), Some(5), Some(3)]).map_err(text)?;
            for layer in &layers {
                chain.add(layer.clone()).map_err(text)?;
            }
            let model = chain.into_model().unwrap();
            let weights: Vec<Vec<Array>> = model
                .layers()
                .into_iter()
                .map(|(_, layer)| {
                    let values = layer.weights().iter().map(|weight| unit(&mut numbers, weight.shape().dims()));
                    let values: Vec<Array> = values.collect();
                    let host =
                        values.iter().map(|array| HostTensor::new(array.shape.as_slice(), array.to_f32()).unwrap());
                    layer.set_weights(&host.collect::<Vec<_>>()).unwrap();
                    values
                })
                .collect();
            let step = 5 + seed;
            let forward = |input: &Array| -> Array {
                let mut site = 0;
                layers.iter().zip(&weights).fold(input.clone(), |value, (layer, weights)| {
                    if seed_of(layer) == 0 {
                        return evaluate(layer, weights, &[value]).unwrap();
                    }
                    let draw = Draw { seed: seed_of(layer), site, step };
                    site += 1;
                    expected(layer, draw, &value)
                })
            };
            let exact = forward(&input);
            let factors = unit(&mut numbers, &exact.shape);
            let on = |array: &Array| Tensor::from_slice(&gpu, array.shape.as_slice(), &array.to_f32()).map_err(text);
            model.set_training_step(step);
            let made = model.gradients(&[on(&input)?], &[on(&factors)?], true).map_err(text)?;
            let outputs = made.outputs[0].read::<f32>().map_err(text)?.into_iter().map(f64::from).collect::<Vec<_>>();
            let rough = layers.iter().map(tolerance).fold(0.0, f64::max);
            close(&Array::new(exact.shape.clone(), outputs), &exact, 10.0 * rough)?;
            let gradient = made.inputs[0].read::<f32>().map_err(text)?;
            let direction = unit(&mut numbers, &input.shape);
            let total = |step: f64| -> f64 {
                let moved = forward(&input.zip(&direction, |at, along| at + step * along));
                moved.data.iter().zip(&factors.data).map(|(value, factor)| value * factor).sum()
            };
            let slope = (total(DIFFERENCE) - total(-DIFFERENCE)) / (2.0 * DIFFERENCE);
            let got: f64 = gradient.iter().zip(&direction.data).map(|(&slope, along)| f64::from(slope) * along).sum();
            let scale: f64 = gradient.iter().map(|&slope| f64::from(slope).powi(2)).sum::<f64>().sqrt();
            if (got - slope).abs() > GRADIENT_DEV.max(10.0 * rough) * scale.max(slope.abs()).max(0.05) {
                return Err(format!("the slope is {got}, expected {slope}"));
            }
            Ok(())
        },
    );
}

fn dropping(gpu: &Gpu, rate: f64) -> wgpu_conv::model::Model {
    let mut chain = Sequential::new(gpu).with_input([None, Some(16)]).unwrap();
    chain.add(Dense::new(32).kernel_initializer(Initializer::he_normal().seed(1))).unwrap();
    chain.add(Dropout::new(rate).seed(2).name("drop")).unwrap();
    chain.add(Dense::new(1).kernel_initializer(Initializer::he_normal().seed(3))).unwrap();
    chain.into_model().unwrap()
}

/// Steps of a trainer draw anew, and the same in another trainer; evaluation draws nothing; a step stays one submission.
#[test]
fn trainers_draw_anew_at_each_step() {
    // What others submit is not counted.
    let Some(gpu) = gpu().map(|gpu| gpu.apart()) else { return };
    let x = [HostTensor::new([8, 16], (0..128).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<_>>()).unwrap()];
    let y = [HostTensor::new([8, 1], vec![0.25; 8]).unwrap()];
    let mse = [Loss::from_name("mse").unwrap()];
    let still = Optimizer::from_name("sgd").unwrap().learning_rate(0.0);
    let losses = |rate: f64, steps: usize| -> Vec<f64> {
        let model = dropping(&gpu, rate);
        let mut trainer = Trainer::new(&model, still.clone(), &mse, &[]).unwrap();
        (0..steps).map(|_| trainer.train_on_batch(&x, &y).unwrap().get("loss").unwrap()).collect()
    };
    let drawn = losses(0.5, 4);
    assert_eq!(drawn, losses(0.5, 4), "the same seeds");
    for (one, loss) in drawn.iter().enumerate() {
        assert!(!drawn[..one].contains(loss), "step {one} drew what another did: {drawn:?}");
    }
    let plain = losses(0.0, 2);
    assert_eq!(plain[0], plain[1]);
    let model = dropping(&gpu, 0.5);
    let mut trainer = Trainer::new(&model, still, &mse, &[]).unwrap();
    let evaluated = |trainer: &mut Trainer<'_>| trainer.evaluate(&x, &y, 8).unwrap().get("loss").unwrap();
    let before = evaluated(&mut trainer);
    assert!((before - plain[0]).abs() < 1e-6 * (1.0 + before.abs()), "{before} and {}", plain[0]);
    trainer.train_on_batch(&x, &y).unwrap();
    let counted = gpu.counters();
    trainer.train_on_batch(&x, &y).unwrap();
    let after = gpu.counters();
    assert_eq!(
        (after.buffers, after.pipelines, after.bind_groups),
        (counted.buffers, counted.pipelines, counted.bind_groups)
    );
    assert_eq!(after.submissions, counted.submissions + 1);
    assert_eq!(evaluated(&mut trainer), before);
}

/// A net with every kind of dropout learns, and learns the same twice.
#[test]
fn nets_that_draw_learn() {
    let Some(gpu) = gpu() else { return };
    let x: Vec<f32> = (0..64 * 4).map(|i| (i as f32 * 1.7).sin()).collect();
    let y: Vec<f32> = x.chunks(4).map(|x| x[0] - 0.5 * x[1] + x[2] * x[3]).collect();
    let (x, y) = ([HostTensor::new([64, 4], x).unwrap()], [HostTensor::new([64, 1], y).unwrap()]);
    let run = || {
        let mut chain = Sequential::new(&gpu).with_input([None, Some(4)]).unwrap();
        let init = |seed: u64| Initializer::he_normal().seed(seed);
        chain.add(GaussianNoise::new(0.02).seed(1)).unwrap();
        chain.add(Dense::new(32).activation(Activation::Tanh).kernel_initializer(init(2))).unwrap();
        chain.add(Dropout::new(0.1).seed(3)).unwrap();
        chain.add(Dense::new(32).activation(Activation::Selu).kernel_initializer(init(4))).unwrap();
        chain.add(AlphaDropout::new(0.05).seed(5)).unwrap();
        chain.add(GaussianDropout::new(0.05).seed(6)).unwrap();
        chain.add(Dense::new(1).kernel_initializer(init(7))).unwrap();
        let model = chain.into_model().unwrap();
        let optimizer = Optimizer::from_name("adam").unwrap().learning_rate(0.01);
        let mut trainer = Trainer::new(&model, optimizer, &[Loss::from_name("mse").unwrap()], &[]).unwrap();
        let before = trainer.evaluate(&x, &y, 64).unwrap().get("loss").unwrap();
        for _ in 0..60 {
            trainer.train_on_batch(&x, &y).unwrap();
        }
        (before, trainer.evaluate(&x, &y, 64).unwrap().get("loss").unwrap())
    };
    let (before, after) = run();
    assert!(after < 0.3 * before, "{before} came to {after}");
    assert_eq!((before, after), run());
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let Some(gpu) = gpu() else { return };
    let rows: Vec<(&str, LayerConfig, Vec<usize>, &str)> = vec![
        ("noise of a rate of 1", GaussianDropout::new(1.0).into(), vec![2, 3], "GaussianDropout of a rate of 1"),
        ("alpha of a rate of 1", AlphaDropout::new(1.0).into(), vec![2, 3], "AlphaDropout of a rate of 1"),
        ("another extent", Dropout::new(0.5).noise_shape([2, 2]).into(), vec![2, 3], "`noise_shape` must have 1 or"),
        ("an axis more", Dropout::new(0.5).noise_shape([1, 2, 3]).into(), vec![2, 3], "`noise_shape` must have 1 or"),
    ];
    test_each(
        rows,
        |(name, ..)| (*name).to_owned(),
        |(_, layer, shape, message)| {
            let input = Array::new(shape.clone(), vec![0.5; shape.iter().product()]);
            match called(&build(&gpu, layer.clone(), shape), 0, &input) {
                Err(error) if error.contains(message) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        },
    );
}

/// Dropout within a recurrent layer is that of channels, the same at all times, before it; a rate of 1 does what it does in Keras.
#[test]
fn recurrent_layers_drop_channels_of_a_sequence() {
    let Some(gpu) = gpu() else { return };
    let mut numbers = Numbers::new(3);
    let input = unit(&mut numbers, &[3, 5, 40]);
    let states = |layer: &Layer, input: &Array| -> Vec<f32> {
        layer.set_training_step(2);
        let input = Tensor::from_slice(&gpu, input.shape.as_slice(), &input.to_f32()).unwrap();
        layer.call_in_training(&[input]).unwrap().read().unwrap()
    };
    for cell in [Cell::Lstm, Cell::Gru { reset_after: true }, Cell::Simple] {
        let alone = build(&gpu, Recurrent::new(cell, 4).return_sequences(true), &input.shape);
        let before = build(&gpu, Dropout::new(0.5).noise_shape([None, Some(1), None]).seed(9), &input.shape);
        let within = |rate: f64| {
            let layer = Recurrent::new(cell, 4).return_sequences(true).dropout(rate).seed(9);
            let layer = build(&gpu, layer, &input.shape);
            layer.set_weights(&alone.get_weights().unwrap()).unwrap();
            layer
        };
        let dropped = called(&before, 2, &input).unwrap();
        assert_ne!(dropped.data, input.data);
        assert_eq!(states(&within(0.5), &input), states(&alone, &dropped), "{cell:?}");
        let all = match cell {
            Cell::Simple => Array::new(input.shape.clone(), vec![0.0; input.data.len()]),
            _ => input.clone(),
        };
        assert_eq!(states(&within(1.0), &input), states(&alone, &all), "{cell:?}, all dropped");
    }
}

/// All states of a recurrent layer by Keras's formulas, in f64. What goes in is multiplied by `of_input`, `[batch, gate, channel]`, and the
/// state by `of_state`, `[batch, gate, unit]`, where they meet the kernels.
fn states(cell: Cell, x: &Array, weights: &[Array], of_input: &Array, of_state: &Array) -> Array {
    let [batch, times, channels] = x.shape[..] else { panic!("a sequence") };
    let [kernel, recurrent, bias] = weights else { panic!("with a bias") };
    let (gates, units) = (cell.gates(), recurrent.shape[0]);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let mut all = Vec::new();
    for b in 0..batch {
        let (mut h, mut c) = (vec![0.0; units], vec![0.0; units]);
        for t in 0..times {
            let from_input = |g: usize, j: usize| -> f64 {
                let at =
                    |i: usize| x.data[(b * times + t) * channels + i] * of_input.data[(b * gates + g) * channels + i];
                let products = (0..channels).map(|i| at(i) * kernel.data[(i * gates + g) * units + j]);
                products.sum::<f64>() + bias.data[g * units + j]
            };
            let from_state = |h: &[f64], g: usize, j: usize| -> f64 {
                let at = |k: usize| h[k] * of_state.data[(b * gates + g) * units + k];
                let products = (0..units).map(|k| at(k) * recurrent.data[(k * gates + g) * units + j]);
                let own =
                    if cell == (Cell::Gru { reset_after: true }) { bias.data[(gates + g) * units + j] } else { 0.0 };
                products.sum::<f64>() + own
            };
            let before = h.clone();
            let sum = |g: usize, j: usize| from_input(g, j) + from_state(&before, g, j);
            let reset: Vec<f64> = match cell {
                Cell::Gru { .. } => (0..units).map(|k| sigmoid(sum(1, k))).collect(),
                _ => Vec::new(),
            };
            for j in 0..units {
                h[j] = match cell {
                    Cell::Simple => sum(0, j).tanh(),
                    Cell::Lstm => {
                        c[j] = sigmoid(sum(1, j)) * c[j] + sigmoid(sum(0, j)) * sum(2, j).tanh();
                        sigmoid(sum(3, j)) * c[j].tanh()
                    }
                    Cell::Gru { reset_after } => {
                        let product = if reset_after {
                            reset[j] * from_state(&before, 2, j)
                        } else {
                            let held: Vec<f64> = before.iter().zip(&reset).map(|(h, r)| h * r).collect();
                            from_state(&held, 2, j)
                        };
                        let z = sigmoid(sum(0, j));
                        z * before[j] + (1.0 - z) * (from_input(2, j) + product).tanh()
                    }
                };
            }
            all.extend_from_slice(&h);
        }
    }
    Array::new([batch, times, units], all)
}

/// A share of the state that is dropped is chosen once for a sequence and each gate, and then so are the channels; a rate of 1 does
/// what it does in Keras. States against Keras's formulas in f64 with the same choices, gradients against their central differences.
#[test]
fn recurrent_layers_drop_values_of_the_state() {
    let Some(gpu) = gpu() else { return };
    let cells = [Cell::Lstm, Cell::Gru { reset_after: true }, Cell::Gru { reset_after: false }, Cell::Simple];
    let rates = [(0.0, 0.4), (0.3, 0.5), (0.0, 1.0)];
    let rows: Vec<_> = cells.iter().flat_map(|&cell| rates.map(|rates| (cell, rates))).collect();
    test_each(
        rows,
        |row| format!("{row:?}"),
        |&(cell, (dropout, recurrent_dropout))| {
            let (batch, times, channels, units, gates) = (3, 4, 5, 6, cell.gates());
            let mut numbers = Numbers::new(17);
            let x = unit(&mut numbers, &[batch, times, channels]);
            let factors = unit(&mut numbers, &[batch, times, units]);
            let layer = Recurrent::new(cell, units as u32).return_sequences(true).dropout(dropout);
            let layer = build(&gpu, layer.recurrent_dropout(recurrent_dropout).seed(9), &x.shape);
            let weights: Vec<Array> =
                layer.weights().iter().map(|weight| unit(&mut numbers, weight.shape().dims())).collect();
            let host = |array: &Array| HostTensor::new(array.shape.as_slice(), array.to_f32()).map_err(text);
            layer.set_weights(&weights.iter().map(host).collect::<Result<Vec<_>, _>>()?).map_err(text)?;
            // What draws first has the first number; Keras's LSTM and GRU drop nothing at a rate of 1.
            let passes = recurrent_dropout == 1.0 && cell != Cell::Simple;
            let chosen = |rate: f64, site: u32, extent: usize| {
                let scale = if rate < 1.0 { 1.0 / (1.0 - rate) } else { 0.0 };
                let kept = Draw { seed: 9, site, step: 5 }.kept(rate, &[batch, gates, extent]);
                kept.map(|kept| f64::from((kept * scale) as f32))
            };
            let of_input = chosen(dropout, 0, channels);
            let of_state = chosen(if passes { 0.0 } else { recurrent_dropout }, u32::from(dropout > 0.0), units);
            let exact = |x: &Array, weights: &[Array]| states(cell, x, weights, &of_input, &of_state);

            layer.set_training_step(5);
            let on = |array: &Array| Tensor::from_slice(&gpu, array.shape.as_slice(), &array.to_f32()).map_err(text);
            let made = layer.gradients(&[on(&x)?], &on(&factors)?, true).map_err(text)?;
            let read = |tensor: &Tensor| -> Result<Vec<f64>, String> {
                Ok(tensor.read::<f32>().map_err(text)?.into_iter().map(f64::from).collect())
            };
            let output = Array::new([batch, times, units], read(&made.outputs[0])?);
            close(&output, &exact(&x, &weights), 1e-5)?;
            let total = |x: &Array, weights: &[Array]| -> f64 {
                exact(x, weights).data.iter().zip(&factors.data).map(|(value, factor)| value * factor).sum()
            };
            let holds = |what: &str, gradient: Vec<f64>, at: &Array, total: &dyn Fn(&Array) -> f64| {
                let slopes = (0..at.data.len()).map(|element| {
                    let moved = |by: f64| {
                        let mut moved = at.clone();
                        moved.data[element] += by;
                        total(&moved)
                    };
                    (moved(DIFFERENCE) - moved(-DIFFERENCE)) / (2.0 * DIFFERENCE)
                });
                let slopes = Array::new(at.shape.clone(), slopes.collect::<Vec<_>>());
                let gradient = Array::new(at.shape.clone(), gradient);
                close(&gradient, &slopes, GRADIENT_DEV).map_err(|error| format!("to {what}: {error}"))
            };
            holds("x", read(&made.inputs[0])?, &x, &|x| total(x, &weights))?;
            for (index, (name, gradient)) in made.weights.iter().enumerate() {
                holds(name, read(gradient)?, &weights[index], &|weight| {
                    let mut weights = weights.clone();
                    weights[index] = weight.clone();
                    total(&x, &weights)
                })?;
            }
            Ok(())
        },
    );
}

/// Dropout of the input and of the state of convolutional LSTMs, chosen for each gate and kept for all times: states and gradients of
/// Keras for what is drawn here (tests/fixtures/training/conv_lstm_dropout.py).
#[test]
fn convolutional_lstms_drop_as_keras_does() {
    let Some(gpu) = gpu() else { return };
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/training/conv_lstm_dropout.json");
    let material: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let array = |json: &serde_json::Value| {
        let list = |json: &serde_json::Value| -> Vec<f64> {
            json.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
        };
        let shape: Vec<usize> = list(&json["shape"]).into_iter().map(|extent| extent as usize).collect();
        Array::new(shape, list(&json["values"]))
    };
    test_each(
        material["cases"].as_array().unwrap(),
        |case| format!("{} {}", case["class"], case["config"]),
        |case| {
            let [x, gy, y, gx] = ["x", "gy", "y", "gx"].map(|name| array(&case[name]));
            let layer = LayerConfig::from_config(case["class"].as_str().unwrap(), &case["config"]).map_err(text)?;
            let layer = build(&gpu, layer, &x.shape);
            let host = |array: &Array| HostTensor::new(array.shape.as_slice(), array.to_f32()).map_err(text);
            let weights: Vec<Array> = case["weights"].as_array().unwrap().iter().map(array).collect();
            layer.set_weights(&weights.iter().map(host).collect::<Result<Vec<_>, _>>()?).map_err(text)?;
            layer.set_training_step(case["step"].as_u64().unwrap());
            let on = |array: &Array| Tensor::from_slice(&gpu, array.shape.as_slice(), &array.to_f32()).map_err(text);
            let made = layer.gradients(&[on(&x)?], &on(&gy)?, true).map_err(text)?;
            let held = |what: &str, tensor: &Tensor, golden: &Array, limit: f64| {
                let values = tensor.read::<f32>().map_err(text)?.into_iter().map(f64::from).collect::<Vec<_>>();
                close(&Array::new(golden.shape.clone(), values), golden, limit).map_err(|why| format!("{what}: {why}"))
            };
            held("states", &made.outputs[0], &y, 1e-5)?;
            held("to x", &made.inputs[0], &gx, 5e-5)?;
            let gradients = case["gw"].as_array().unwrap();
            assert_eq!(made.weights.len(), gradients.len());
            for ((name, gradient), golden) in made.weights.iter().zip(gradients) {
                held(&format!("to {name}"), gradient, &array(golden), 5e-5)?;
            }
            Ok(())
        },
    );
}

/// Boxes are erased as often as they should be, take the share of an image that they should, lie anywhere, and have other values than
/// before, which are normal numbers within the range.
#[test]
fn boxes_are_erased_anywhere() {
    let Some(gpu) = gpu() else { return };
    let (batch, extent) = (4000, 16);
    let images = Array::new([batch, extent, extent, 1], vec![0.5; batch * extent * extent]);
    let layer = Augmentation::new("RandomErasing").unwrap().seed(4);
    let layer = [("factor", "[0.3, 0.7]"), ("scale", "[0.1, 0.3]"), ("value_range", "[0, 1]")]
        .into_iter()
        .fold(layer, |layer, (name, json)| layer.argument(name, json).unwrap());
    let got = called(&build(&gpu, layer, &images.shape), 0, &images).unwrap();
    let (mut shares, mut erased, mut places, mut values) = (Vec::new(), 0.0, vec![0usize; extent], Vec::new());
    for image in got.data.chunks(extent * extent) {
        let changed: Vec<usize> = (0..image.len()).filter(|&at| image[at] != 0.5).collect();
        if changed.is_empty() {
            continue;
        }
        erased += 1.0;
        shares.push(changed.len() as f64 / image.len() as f64);
        (0..extent).for_each(|x| places[x] += usize::from(changed.iter().any(|at| at % extent == x)));
        values.extend(changed.iter().map(|&at| image[at]));
    }
    let deviation = (0.25 / batch as f64).sqrt();
    assert!((erased / batch as f64 - 0.5).abs() < DEVIATIONS * deviation, "{erased} of {batch}");
    // The mean of √u is that of the box's sides, which are drawn apart: as much of an image as their product.
    let side = 2.0 / 3.0 * (0.3_f64.powf(1.5) - 0.1_f64.powf(1.5)) / 0.2;
    let share = shares.iter().sum::<f64>() / shares.len() as f64;
    assert!((share - side * side).abs() < 0.01, "{share}, expected {}", side * side);
    // As often on one side of the middle as on the other. A box begins between pixels, so that the first one is in none.
    for x in 1..extent / 2 {
        let [one, other] = [places[x], places[extent - x]].map(|count| count as f64);
        assert!((one - other).abs() < DEVIATIONS * (one + other).sqrt() && one > 0.0, "{places:?}");
    }
    assert!(places[extent / 2] > 2 * places[1], "{places:?}");
    assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
    // Half of what is drawn lies below 0, and about 16 % above 1.
    for (limit, expected) in [(0.0, 0.5), (1.0, 0.158_655)] {
        let found = values.iter().filter(|&&value| value == limit).count() as f64 / values.len() as f64;
        assert!((found - expected).abs() < 0.01, "{found} at {limit}, expected {expected}");
    }
}

/// One window of a batch is cut out, and every place is as likely; outside of training images pass as they are.
#[test]
fn windows_are_cut_out_anywhere() {
    let Some(gpu) = gpu() else { return };
    let (height, width) = (4, 6);
    let pixels: Vec<f64> = (0..2 * height * width).map(|at| at as f64).collect();
    let images = Array::new([2, height, width, 1], pixels);
    let layer =
        Augmentation::new("RandomCrop").unwrap().argument("height", "2").unwrap().argument("width", "3").unwrap();
    let built = build(&gpu, layer.seed(8), &images.shape);
    let mut counts = [0usize; 12];
    for step in 0..1200 {
        let got = called(&built, step, &images).unwrap();
        assert_eq!(got.shape, [2, 2, 3, 1]);
        let (y, x) = (got.data[0] as usize / width, got.data[0] as usize % width);
        let expected = images.slice(1, y, 2).slice(2, x, 3);
        assert_eq!(got.data, expected.data);
        counts[y * 4 + x] += 1;
    }
    // Each of the 3 · 4 places.
    let deviation = (1200.0_f64 / 12.0 * 11.0 / 12.0).sqrt();
    assert!(counts.iter().all(|&count| (count as f64 - 100.0).abs() < DEVIATIONS * deviation), "{counts:?}");
    let small = build(
        &gpu,
        Augmentation::new("RandomCrop").unwrap().argument("height", "5").unwrap().argument("width", "3").unwrap(),
        &images.shape,
    );
    let error = called(&small, 0, &images).unwrap_err();
    assert!(error.contains("give it larger images"), "{error}");
}

/// Large images, whose pixels are counted part by part: each value becomes its share of all pixels, of the whole batch.
#[test]
fn histograms_of_large_images_are_made_even() {
    let Some(gpu) = gpu() else { return };
    let (pixels, channels) = (2 * 600 * 500, 3);
    // About normal, so that no bin is like another.
    let value = |at: usize| [7919, 104_729, 1_299_709].iter().map(|step| (at * step + at / 31) % 86).sum::<usize>();
    let images =
        Array::new([2, 600, 500, channels], (0..pixels * channels).map(|at| value(at) as f64).collect::<Vec<_>>());
    let layer = Augmentation::new("Equalization").unwrap();
    let got = called(&build(&gpu, layer, &images.shape), 0, &images).unwrap();
    for channel in 0..channels {
        let of =
            |array: &Array| array.data.iter().skip(channel).step_by(channels).map(|&x| x as usize).collect::<Vec<_>>();
        let (given, got) = (of(&images), of(&got));
        let mut sums = vec![0usize; 256];
        given.iter().for_each(|&value| sums[value] += 1);
        (1..256).for_each(|bin| sums[bin] += sums[bin - 1]);
        let least = sums.iter().copied().find(|&sum| sum > 0).unwrap();
        for (value, got) in given.into_iter().zip(got) {
            let share = (sums[value] - least) as f64 * 255.0 / (pixels - least) as f64;
            // Keras and the device divide in f32.
            assert!((got as f64 - share).abs() < 0.5 + 1e-3, "{value} came to {got}, expected {share}");
        }
    }
}

/// How much of an image AugMix leaves as it is follows Beta(α, α), and each of the list is as likely. Of grey images only one of eight
/// makes others: that which leaves a value its upper bit, which 127 has not.
#[test]
fn chains_are_mixed_as_often() {
    let Some(gpu) = gpu() else { return };
    let images = Array::new([1, 5, 5, 3], vec![127.5; 75]);
    for alpha in [0.4, 2.0] {
        let arguments = [("num_chains", "1"), ("chain_depth", "1"), ("factor", "[0, 0]"), ("all_ops", "false")];
        let layer = Augmentation::new("AugMix").unwrap().seed(6).argument("alpha", alpha.to_string()).unwrap();
        let layer = arguments.into_iter().fold(layer, |layer, (name, json)| layer.argument(name, json).unwrap());
        let built = build(&gpu, layer, &images.shape);
        let steps = 600;
        let middle = |step| called(&built, step, &images).unwrap().data[36] / 127.5;
        let kept: Vec<f64> = (0..steps).map(middle).filter(|kept| (kept - 1.0).abs() > 1e-4).collect();
        let share = kept.len() as f64 / steps as f64;
        assert!((share - 0.125).abs() < DEVIATIONS * (0.125 * 0.875 / steps as f64).sqrt(), "{share} of {steps}");
        moments(&kept, 0.5, 0.25 / (2.0 * alpha + 1.0)).unwrap();
    }
}

/// Images of which each has 1 in a channel of its own and 0 in the others, so that what is made of them tells whose is where.
fn told_apart(batch: usize, extent: usize) -> Array {
    let value = |at: usize| f64::from(u8::from(at % batch == at / (batch * extent * extent)));
    Array::new([batch, extent, extent, batch], (0..batch * extent * extent * batch).map(value).collect::<Vec<_>>())
}

/// Images are mixed with images of their batch in an order of which each is as likely, by shares of Beta(α, α).
#[test]
fn images_are_mixed_as_often() {
    let Some(gpu) = gpu() else { return };
    let batch = 3;
    let images = told_apart(batch, 1);
    for alpha in [0.3, 2.0] {
        let layer = Augmentation::new("MixUp").unwrap().seed(6).argument("alpha", alpha.to_string()).unwrap();
        let built = build(&gpu, layer, &images.shape);
        let (steps, mut shares, mut orders) = (900, Vec::new(), std::collections::BTreeMap::<Vec<usize>, f64>::new());
        for step in 0..steps {
            let got = called(&built, step, &images).unwrap();
            let other = |(image, made): (usize, &[f64])| {
                assert!((made.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{made:?}");
                let other = (0..batch).find(|&channel| channel != image && made[channel] > 0.0);
                shares.extend(other.map(|_| made[image]));
                other.unwrap_or(image)
            };
            let order: Vec<usize> = got.data.chunks(batch).enumerate().map(other).collect();
            *orders.entry(order).or_default() += 1.0;
        }
        moments(&shares, 0.5, 0.25 / (2.0 * alpha + 1.0)).unwrap();
        // Of a small α a share may be so near 1 that nobody is seen beside it.
        if alpha > 1.0 {
            assert_eq!(orders.len(), 6, "{orders:?}");
            let (expected, deviation) = (steps as f64 / 6.0, (steps as f64 * 5.0 / 36.0).sqrt());
            assert!(orders.values().all(|count| (count - expected).abs() < DEVIATIONS * deviation), "{orders:?}");
        }
    }
}

/// Boxes of other images have the share of the area that is drawn, of the same part of height and width, and lie anywhere.
#[test]
fn boxes_are_cut_in_anywhere() {
    let Some(gpu) = gpu() else { return };
    let (batch, extent) = (4, 32);
    let images = told_apart(batch, extent);
    let layer = Augmentation::new("CutMix").unwrap().seed(9).argument("factor", "[1, 1]").unwrap();
    let built = build(&gpu, layer, &images.shape);
    let (mut areas, mut middles) = (Vec::new(), Vec::new());
    for step in 0..300 {
        let got = called(&built, step, &images).unwrap();
        for (image, made) in got.data.chunks(extent * extent * batch).enumerate() {
            let pixel = |at: usize| &made[at * batch..(at + 1) * batch];
            assert!((0..extent * extent).all(|at| pixel(at).iter().sum::<f64>() == 1.0));
            let others: Vec<usize> = (0..extent * extent).filter(|&at| pixel(at)[image] == 0.0).collect();
            let (Some(first), Some(last)) = (others.first(), others.last()) else { continue };
            let sides = [last / extent - first / extent + 1, last % extent - first % extent + 1];
            assert_eq!(others.len(), sides[0] * sides[1], "no box");
            assert!(sides[0].abs_diff(sides[1]) <= 1, "{sides:?}: not of the same part of either");
            areas.push(others.len() as f64 / (extent * extent) as f64);
            if sides[0] < extent / 2 {
                let middle = |from: usize, to: usize| (from + to + 1) as f64 / (2 * extent) as f64;
                middles.push(middle(first / extent, last / extent));
                middles.push(middle(first % extent, last % extent));
            }
        }
    }
    // Of Beta(1, 1), by three of four images: one may come to its own place. Boxes that hit no pixel are not among them.
    assert!(areas.len() > 800 && areas.len() < 950, "{} boxes", areas.len());
    moments(&areas, 0.5, 1.0 / 12.0).unwrap();
    let mean = middles.iter().sum::<f64>() / middles.len() as f64;
    assert!((mean - 0.5).abs() < 0.05, "{mean}");
    assert!([0.2, 0.4, 0.6].iter().all(|at| middles.iter().any(|middle| (at..=&(at + 0.2)).contains(&middle))));
}

/// A net trains behind augmentations that choose what is done, which draw anew at each step; outside of training they do nothing.
#[test]
fn nets_train_behind_policies() {
    let Some(gpu) = gpu() else { return };
    let mut chain = Sequential::new(&gpu).with_input([None, Some(6), Some(6), Some(3)]).unwrap();
    for class in ["RandAugment", "AugMix"] {
        let layer = Augmentation::new(class).unwrap().argument("value_range", "[0, 1]").unwrap();
        chain.add(layer.seed(5)).unwrap();
    }
    chain.add(Conv2D::new(2, 3).kernel_initializer(Initializer::he_normal().seed(3))).unwrap();
    chain.add(GlobalMaxPooling2D::new()).unwrap();
    chain.add(Dense::new(1).kernel_initializer(Initializer::he_normal().seed(4))).unwrap();
    let model = chain.into_model().unwrap();
    let x = [unit(&mut Numbers::new(3), &[4, 6, 6, 3]).map(|x| (x + 1.0) / 2.0)];
    let x = x.map(|x| HostTensor::new([4, 6, 6, 3], x.to_f32()).unwrap());
    let y = [HostTensor::new([4, 1], vec![0.5; 4]).unwrap()];
    let still = Optimizer::from_name("sgd").unwrap().learning_rate(0.0);
    let mut trainer = Trainer::new(&model, still, &[Loss::from_name("mse").unwrap()], &[]).unwrap();
    let plain = trainer.evaluate(&x, &y, 4).unwrap().get("loss").unwrap();
    let losses: Vec<f64> = (0..3).map(|_| trainer.train_on_batch(&x, &y).unwrap().get("loss").unwrap()).collect();
    assert!(losses.iter().all(|loss| loss.is_finite() && *loss != plain), "{losses:?} and {plain}");
    assert!(losses[0] != losses[1] && losses[1] != losses[2], "{losses:?}");
    assert_eq!(trainer.evaluate(&x, &y, 4).unwrap().get("loss").unwrap(), plain);
}

/// What an augmentation makes of images `[batch, height, width, channels]`, in f64, by the formulas of Keras's layers.
fn augmented(class: &str, draw: Draw, images: &Array) -> Array {
    let [batch, height, width, _] = images.shape[..] else { panic!("images") };
    let site = |site: u32, count: usize| Draw { site, ..draw }.uniform(count);
    let (w, h) = (width as f64, height as f64);
    let between = |u: f64, low: f64, high: f64| low + (high - low) * u;
    let under = |outside: OutsideImage, map: &dyn Fn(usize) -> [f64; 6]| {
        affine(images, &(0..batch).map(map).collect::<Vec<_>>(), false, outside)
    };
    let factors = |low: f64, high: f64| -> Array {
        let factors: Vec<f64> = site(0, batch).into_iter().map(|u| between(u, low, high)).collect();
        Array::new([batch, 1, 1, 1], factors)
    };
    let grey = || {
        let by = images.zip(&Array::new([3], [0.2989, 0.5870, 0.1140]), |x, weight| x * weight);
        by.reduced(&[3], |parts| parts.iter().sum())
    };
    match class {
        "RandomFlip" => {
            let u = site(0, batch);
            let map = |n: usize| {
                if u[n] < 0.5 { [-1.0, 0.0, w - 1.0, 0.0, 1.0, 0.0] } else { [1.0, 0.0, 0.0, 0.0, 1.0, 0.0] }
            };
            affine(images, &(0..batch).map(map).collect::<Vec<_>>(), true, OutsideImage::Nearest)
        }
        "RandomTranslation" => {
            let u = site(0, 2 * batch);
            under(OutsideImage::Reflect, &|n| {
                let (dy, dx) = (between(u[2 * n], -0.25, 0.5) * h, between(u[2 * n + 1], -0.75, 0.75) * w);
                [1.0, 0.0, -dx, 0.0, 1.0, -dy]
            })
        }
        "RandomRotation" => {
            let u = site(0, batch);
            under(OutsideImage::Value(0.5), &|n| {
                let (sin, cos) = (between(u[n], -0.25, 0.25) * std::f64::consts::TAU).sin_cos();
                let (cx, cy) = ((w - 1.0) / 2.0, (h - 1.0) / 2.0);
                [cos, -sin, cx - cx * cos + cy * sin, sin, cos, cy - cx * sin - cy * cos]
            })
        }
        "RandomZoom" => {
            let u = site(0, batch);
            under(OutsideImage::Nearest, &|n| {
                let zoom = 1.0 + between(u[n], -0.5, 0.5);
                [zoom, 0.0, (w - 1.0) / 2.0 * (1.0 - zoom), 0.0, zoom, (h - 1.0) / 2.0 * (1.0 - zoom)]
            })
        }
        "RandomShear" => {
            let (sign, u) = (site(0, batch), site(1, 2 * batch));
            under(OutsideImage::Reflect, &|n| {
                let sign = if sign[n] < 0.5 { -1.0 } else { 1.0 };
                let (y, x) = (between(u[2 * n], 0.1, 0.3), between(u[2 * n + 1], -0.5, 0.5));
                [1.0, sign * x, 0.0, sign * y, 1.0, 0.0]
            })
        }
        "RandomContrast" => {
            let mean = images.reduced(&[1, 2], |set| set.iter().sum::<f64>() / set.len() as f64);
            let apart = images.zip(&mean, |x, mean| x - mean);
            let scaled = apart.zip(&factors(1.0, 1.5), |x, factor| x * factor);
            scaled.zip(&mean, |x, mean| (x + mean).clamp(0.0, 1.0))
        }
        "RandomBrightness" => images.zip(&factors(-0.5, 0.5), |x, added| (x + added).clamp(0.0, 1.0)),
        "RandomInvert" => images.zip(&factors(0.0, 1.0), |x, u| if u < 0.5 { 1.0 - x } else { x }),
        "RandomGrayscale" => {
            let chosen = images.zip(&factors(0.0, 1.0), |x, u| if u < 0.25 { 0.0 } else { x });
            let grey = grey().zip(&factors(0.0, 1.0), |x, u| if u < 0.25 { x } else { 0.0 });
            chosen.zip(&grey, |x, grey| x + grey)
        }
        "RandomColorDegeneration" => {
            let way = images.zip(&grey(), |x, grey| grey - x).zip(&factors(0.0, 0.75), |way, factor| way * factor);
            images.zip(&way, |x, way| (x + way).clamp(0.0, 1.0))
        }
        other => panic!("{other} is not known here"),
    }
}

fn augmentations() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let unit = ("value_range", "[0, 1]");
    vec![
        ("RandomFlip", vec![("mode", "\"horizontal\"")]),
        ("RandomTranslation", vec![("height_factor", "[-0.25, 0.5]"), ("width_factor", "0.75")]),
        ("RandomRotation", vec![("factor", "0.25"), ("fill_mode", "\"constant\""), ("fill_value", "0.5")]),
        ("RandomZoom", vec![("height_factor", "0.5"), ("fill_mode", "\"nearest\"")]),
        ("RandomShear", vec![("y_factor", "[0.1, 0.3]"), ("x_factor", "0.5")]),
        ("RandomContrast", vec![("factor", "0.5"), unit]),
        ("RandomBrightness", vec![("factor", "0.5"), unit]),
        ("RandomInvert", vec![unit]),
        ("RandomGrayscale", vec![("factor", "0.25")]),
        ("RandomColorDegeneration", vec![("factor", "[0.0, 0.75]"), unit]),
    ]
}

/// Every augmentation that is drawn, in either data format, image by image; as Keras's classes say it, in f64.
#[test]
fn augmentations_are_keras_s() {
    let Some(gpu) = gpu() else { return };
    test_each(
        augmentations(),
        |(class, _)| (*class).to_owned(),
        |(class, arguments)| {
            let mut numbers = Numbers::new(77);
            let images = unit(&mut numbers, &[6, 5, 8, 3]).map(|x| f64::from(((x + 1.0) / 2.0) as f32));
            for data_format in [DataFormat::ChannelsLast, DataFormat::ChannelsFirst] {
                let mut layer = Augmentation::new(class).map_err(text)?.seed(21).data_format(data_format);
                for (name, json) in arguments {
                    layer = layer.argument(name, *json).map_err(text)?;
                }
                let laid = |array: &Array| match data_format {
                    DataFormat::ChannelsLast => array.clone(),
                    DataFormat::ChannelsFirst => array.to_channels_first(),
                };
                let given = laid(&images);
                let built = build(&gpu, layer, &given.shape);
                let mut changed = 0;
                for step in 0..4 {
                    let got = called(&built, step, &given)?;
                    let exact = laid(&augmented(class, Draw { seed: 21, site: 0, step }, &images));
                    // A place may be off by what WGSL allows a cosine, times the extent, and pixels differ by up to 1.
                    let tolerance = if *class == "RandomRotation" { 2e-2 } else { 2e-5 };
                    close(&got, &exact, tolerance)?;
                    changed += usize::from(got.data != given.data);
                }
                if changed == 0 {
                    return Err("nothing was changed".into());
                }
            }
            Ok(())
        },
    );
}

/// A net learns from augmented images; outside of training they pass as they are.
#[test]
fn nets_learn_from_augmented_images() {
    let Some(gpu) = gpu() else { return };
    let mut chain = Sequential::new(&gpu).with_input([None, Some(6), Some(6), Some(1)]).unwrap();
    chain.add(Augmentation::new("RandomFlip").unwrap().seed(1)).unwrap();
    let shift = Augmentation::new("RandomTranslation").unwrap().seed(2);
    let shift = shift.argument("height_factor", "0.2").unwrap().argument("width_factor", "0.2").unwrap();
    chain.add(shift).unwrap();
    let conv = Conv2D::new(4, 3).activation(Activation::RELU).kernel_initializer(Initializer::he_normal().seed(3));
    chain.add(conv).unwrap();
    chain.add(GlobalMaxPooling2D::new()).unwrap();
    chain.add(Dense::new(1).kernel_initializer(Initializer::he_normal().seed(4))).unwrap();
    let model = chain.into_model().unwrap();
    // How bright the brightest spot is, wherever it lies.
    let x: Vec<f32> =
        (0..16 * 36).map(|i| if i % 36 == (i / 36) * 7 % 36 { (i / 36) as f32 / 16.0 } else { 0.0 }).collect();
    let y: Vec<f32> = (0..16).map(|i| i as f32 / 16.0).collect();
    let (x, y) = ([HostTensor::new([16, 6, 6, 1], x).unwrap()], [HostTensor::new([16, 1], y).unwrap()]);
    let optimizer = Optimizer::from_name("adam").unwrap().learning_rate(0.02);
    let mut trainer = Trainer::new(&model, optimizer, &[Loss::from_name("mse").unwrap()], &[]).unwrap();
    let loss = |trainer: &mut Trainer<'_>| trainer.evaluate(&x, &y, 16).unwrap().get("loss").unwrap();
    let before = loss(&mut trainer);
    for _ in 0..60 {
        trainer.train_on_batch(&x, &y).unwrap();
    }
    let after = loss(&mut trainer);
    assert!(after < 0.3 * before, "{before} came to {after}");
}

#[test]
fn arguments_of_augmentations_are_checked() {
    let rows = [
        ("RandomFlip", "mode", "\"diagonal\"", "`mode` must be one of"),
        ("RandomRotation", "factor", "[1, 2, 3]", "`factor` must be a number or two"),
        ("RandomRotation", "factor", "20", "`factor` must lie between"),
        ("RandomZoom", "fill_mode", "\"mirror\"", "`fill_mode` must be one of"),
        ("RandomZoom", "interpolation", "\"cubic\"", "`interpolation` must be nearest or bilinear"),
        ("RandomBrightness", "value_range", "7", "`value_range` must be two numbers"),
        ("RandomGrayscale", "factor", "1.5", "`factor` must lie between 0 and 1"),
        ("RandomShear", "x_factor", "-0.5", "`x_factor` must lie between 0 and 1"),
        ("RandomShear", "y_factor", "[0.5, 1.5]", "`y_factor` must lie between 0 and 1"),
        ("RandomTranslation", "width_factor", "[0, 2]", "`width_factor` must lie between -1 and 1"),
        ("RandomContrast", "factor", "-0.5", "`factor` must lie between 0 and 1"),
        ("RandomPosterization", "factor", "null", "`factor` must be one or two whole numbers"),
        ("RandomPosterization", "factor", "9", "`factor` must lie between 1 and 8"),
        ("RandomPosterization", "factor", "2.5", "`factor` must be one or two whole numbers"),
        ("RandomPosterization", "factor", "[4, 9]", "`factor` must be one or two whole numbers"),
        ("RandomSharpness", "factor", "1.1", "`factor` must lie between 0 and 1"),
        ("RandomSharpness", "factor", "[1.1, 2]", "`factor` must lie between 0 and 1"),
        ("Solarization", "threshold_factor", "[0.5, 1.5]", "`threshold_factor` must lie between 0 and 1"),
        ("Solarization", "addition_factor", "-0.1", "`addition_factor` must lie between 0 and 1"),
        ("Equalization", "bins", "0", "`bins` must be a whole number"),
        ("RandomGaussianBlur", "kernel_size", "4", "`kernel_size` must be one odd number or two"),
        ("RandomGaussianBlur", "kernel_size", "[3, 2]", "`kernel_size` must be one odd number or two"),
        ("RandomGaussianBlur", "sigma", "1.5", "`sigma` must lie between 0 and 1"),
        ("RandomPerspective", "scale", "1.5", "`scale` must lie between 0 and 1"),
        ("RandomPerspective", "interpolation", "\"cubic\"", "`interpolation` must be nearest or bilinear"),
        ("RandomElasticTransform", "fill_mode", "\"edge\"", "`fill_mode` must be one of"),
        ("RandAugment", "num_ops", "0.5", "`num_ops` must be a whole number"),
        ("RandAugment", "factor", "2", "`factor` must lie between 0 and 1"),
        ("AugMix", "chain_depth", "\"deep\"", "`chain_depth` must be"),
        ("AugMix", "alpha", "0", "`alpha` must be a number above 0"),
        ("AugMix", "all_ops", "3", "`all_ops` must be true or false"),
        ("MixUp", "alpha", "0", "`alpha` must be a number above 0"),
        ("MixUp", "alpha", "\"much\"", "`alpha` must be a number"),
        ("CutMix", "factor", "1.5", "`factor` must lie between 0 and 1"),
        ("CutMix", "factor", "[-0.5, -0.1]", "`factor` must lie between 0 and 1"),
    ];
    test_each(
        rows,
        |(class, name, json, _)| format!("{class} {name}={json}"),
        |(class, name, json, message)| {
            let layer = Augmentation::new(class).and_then(|layer| layer.argument(name, *json)).map_err(text)?;
            // Where the layer is made, and not first in a call in training.
            match layer.output_shape([1, 2, 2, 3]).map_err(text) {
                Err(error) if error.contains(message) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        },
    );
}

/// Augmentations against what Keras's own layers made of the same images by the same random numbers
/// (`tests/fixtures/random/generate.py`), read from their configs.
#[test]
fn augmentations_make_what_keras_made() {
    let Some(gpu) = gpu() else { return };
    let files = [
        include_str!("fixtures/random/augmentations.json"),
        include_str!("fixtures/random/colours.json"),
        include_str!("fixtures/random/tones.json"),
        include_str!("fixtures/random/bytes.json"),
        include_str!("fixtures/random/places.json"),
        include_str!("fixtures/random/elastic.json"),
        include_str!("fixtures/random/policies.json"),
        include_str!("fixtures/random/mixes.json"),
    ];
    files.iter().for_each(|file| make_what_keras_made(&gpu, &serde_json::from_str(file).expect("the fixture is JSON")));
}

fn make_what_keras_made(gpu: &Gpu, found: &serde_json::Value) {
    let list = |json: &serde_json::Value| -> Vec<f64> {
        json.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    };
    let shape: Vec<usize> = list(&found["shape"]).into_iter().map(|extent| extent as usize).collect();
    let images = Array::new(shape.clone(), list(&found["input"]));
    test_each(
        found["cases"].as_array().unwrap(),
        |case| format!("{} {}", case["class"], case["config"]),
        |case| {
            let layer = LayerConfig::from_config(case["class"].as_str().unwrap(), &case["config"]).map_err(text)?;
            let LayerConfig::Augmentation(layer) = layer else { return Err("it is no augmentation".into()) };
            // Keras computes in f32, too, and a rotation may be off by what WGSL allows a cosine.
            let tolerance = case["tolerance"].as_f64().unwrap_or(2e-5);
            let shape: Vec<usize> = list(&case["shape"]).into_iter().map(|extent| extent as usize).collect();
            let made = Array::new(shape, list(&case["output"]));
            for data_format in [DataFormat::ChannelsLast, DataFormat::ChannelsFirst] {
                if data_format == DataFormat::ChannelsFirst && !case["channels_last_only"].is_null() {
                    continue;
                }
                let laid = |array: &Array| match data_format {
                    DataFormat::ChannelsLast => array.clone(),
                    DataFormat::ChannelsFirst => array.to_channels_first(),
                };
                let layer = layer.clone().seed(found["seed"].as_u64().unwrap()).data_format(data_format);
                let given = laid(&images);
                let got = called(&build(gpu, layer, &given.shape), found["step"].as_u64().unwrap(), &given)?;
                close(&got, &laid(&made), tolerance).map_err(|error| format!("{data_format:?}: {error}"))?;
            }
            if !gpu.caps().f16 {
                return Ok(());
            }
            // In f16 a value may fall on the other side of a threshold, but few do.
            let layer = layer.seed(found["seed"].as_u64().unwrap()).dtype(DTypePolicy::MixedFloat16);
            let got = called(&build(gpu, layer, &images.shape), found["step"].as_u64().unwrap(), &images)?;
            let far: f64 = got.data.iter().zip(&made.data).map(|(got, made)| (got - made).abs()).sum();
            let largest = made.data.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
            let mean = far / made.data.len() as f64;
            if mean < 0.02 * largest {
                Ok(())
            } else {
                Err(format!("in f16 values are {mean} off, of up to {largest}"))
            }
        },
    );
}
