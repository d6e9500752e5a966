//! Models held to the reference and to recorded statistics, and what is found when they are wrong.
//!
//! The models are those of the conformance material that the library can build.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use common::fixtures::Case;
use common::{fixtures, test_each};
use wgpu_conv::formats::{KerasFile, read_layer_statistics};
use wgpu_conv::layers::{
    AveragePooling2D, BinaryFunction, Broadcast, Conv2D, Dense, Expand, GlobalAveragePooling2D, Layer, LayerConfig,
    LayerNormalization, Map, MatMul, Merge, Pad, PadMode, Pads, Pool2D, Pooling, ReadOptions, Reduce, ReduceFunction,
    Resize, ResizeTo, Slice, Softmax,
};
use wgpu_conv::model::{DEVIATION, Finding, Functional, LayerStatistics, Model, SUSPECT, Sequential};
use wgpu_conv::reference::{self, Array};
use wgpu_conv::{
    Activation, Coordinates, DTypePolicy, Gpu, HostTensor, Interpolation, Nearest, PartialShape, Shape, Tensor, Unary,
};

/// The folders of models that can be built here, and have a file of statistics.
fn models() -> Vec<PathBuf> {
    let folder = fixtures::directory().join("models");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut folders: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    folders.retain(|folder| {
        let file = KerasFile::open(folder.join("model.keras"));
        folder.join("layers.json").is_file() && file.is_ok_and(|file| file.unsupported().is_empty())
    });
    folders.sort();
    assert!(folders.iter().any(|folder| folder.ends_with("digits")), "{folders:?}");
    folders
}

/// The model of a folder, and the inputs that its statistics were recorded on.
fn model(gpu: &Gpu, folder: &Path) -> Result<(Model, Vec<Tensor>), String> {
    let model = Model::load(gpu, folder.join("model.keras")).map_err(|error| error.to_string())?;
    let tensors = fixtures::tensors(&folder.join("expected.safetensors"))?;
    let inputs = (0..).map_while(|i| tensors.get(&format!("input_{i}")));
    let inputs = inputs.map(|x| Tensor::from_slice(gpu, x.shape.as_slice(), &x.to_f32()));
    let inputs = inputs.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    Ok((model, inputs))
}

fn first_difference(report: &wgpu_conv::model::VerifyReport) -> Result<(), String> {
    match report.first_difference() {
        Some(check) => Err(format!("{} ({}): {:?}", check.name, check.class, check.finding)),
        None => Ok(()),
    }
}

#[test]
fn models_agree_with_the_reference_and_with_keras() {
    let Some(gpu) = gpu::gpu() else { return };
    test_each(
        models(),
        |folder| folder.display().to_string(),
        |folder| {
            let (model, inputs) = model(&gpu, folder)?;
            let recorded = read_layer_statistics(folder.join("layers.json")).map_err(|error| error.to_string())?;
            let report = model.verify_recorded(&inputs, &recorded).map_err(|error| error.to_string())?;
            assert_eq!(report.layers.len(), recorded.len());
            first_difference(&report).map_err(|why| format!("recorded: {why}"))?;
            let random = model.sample_inputs(&model.input_shapes(2, 16), 1).map_err(|error| error.to_string())?;
            let report = model.verify(&random).map_err(|error| error.to_string())?;
            assert!(report.layers.len() >= model.layers().len() && !report.outputs.is_empty());
            first_difference(&report).map_err(|why| format!("reference: {why}"))
        },
    );
}

/// What the library makes of every case of Keras's is within the bound that `verify` holds it to, so that what it names is
/// wrong indeed.
#[test]
fn right_layers_are_within_their_bounds() {
    let Some(gpu) = gpu::gpu() else { return };
    let folder = fixtures::directory().join("keras/layers");
    let suites = ["misc", "merge", "pool2d", "conv2d_transpose"];
    let suites = suites.into_iter().filter(|suite| folder.join(format!("{suite}.json")).is_file());
    let options = ReadOptions { strided_dilation: true };
    let described = |case: &Case| LayerConfig::from_config_with(&case.class, &case.config, options);
    let cases: Vec<Case> = suites.flat_map(fixtures::suite).filter(|case| described(case).is_ok()).collect();
    let classes: BTreeSet<&str> = cases.iter().map(|case| case.class.as_str()).collect();
    assert!(cases.len() > 50 && classes.len() > 10, "{classes:?}");
    test_each(
        &cases,
        |case| format!("{} {} {}", case.id, case.class, case.config),
        |case| {
            let error = |error: wgpu_conv::Error| error.to_string();
            let config = described(case).map_err(error)?;
            let shapes: Vec<PartialShape> = case.x.iter().map(|x| Shape::from(x.shape.as_slice()).into()).collect();
            let host = |array: &Array| HostTensor { shape: array.shape.as_slice().into(), values: array.to_f32() };
            let weights: Vec<Array> = case.weights.iter().map(|(_, weight)| weight.clone()).collect();
            let layer = Layer::with_weights(&gpu, config.clone(), &shapes, weights.iter().map(host).collect());
            let inputs = case.x.iter().map(|x| Tensor::from_slice(&gpu, x.shape.as_slice(), &x.to_f32()));
            let inputs = inputs.collect::<Result<Vec<_>, _>>().map_err(error)?;
            let output = layer.map_err(error)?.call_all(&inputs).map_err(error)?;
            let expected = reference::expect(&config, &weights, &case.x).map_err(error)?;
            assert_eq!(output.shape().dims(), expected.exact.shape);
            expected.check(&output.read::<f32>().map_err(error)?)
        },
    );
}

/// The same for the operators that have no case of Keras's, on both sides written down from their descriptions alone.
#[test]
fn right_operators_are_within_their_bounds() {
    let Some(gpu) = gpu::gpu() else { return };
    let unary = [
        Unary::Abs,
        Unary::Neg,
        Unary::Floor,
        Unary::Ceil,
        Unary::Round,
        Unary::Sign,
        Unary::Erf,
        Unary::Erfc,
        Unary::Expm1,
        Unary::Sin,
        Unary::Cos,
        Unary::Sinh,
        Unary::Cosh,
        Unary::Asinh,
        Unary::Square,
        Unary::Clip { min: -0.5, max: 0.25 },
        Unary::Affine { scale: 7.5, offset: -3.25 },
        Unary::Pow { exponent: 2.0 },
        Unary::ClippedAffine { scale: 0.7, offset: 0.4 },
        Unary::ScaledElu { alpha: 1.7, scale: 1.1 },
        Unary::Shrink { threshold: 0.3, bias: 0.1 },
        Unary::Swish { beta: 1.5 },
    ];
    use BinaryFunction::{Add, Divide, Maximum, Minimum, Multiply, Subtract};
    let binary = [Add, Subtract, Multiply, Divide, Maximum, Minimum];
    use ReduceFunction::{L1, L2, LogSumExp, Max, Mean, Min, Sum, SumSquare};
    let reductions = [Mean, Max, Min, Sum, SumSquare, L1, L2, LogSumExp];
    let image = |config: LayerConfig| (config, vec![vec![2, 6, 5, 3]]);
    let mut rows: Vec<(LayerConfig, Vec<Vec<usize>>)> = Vec::new();
    rows.extend(unary.map(|function| image(Map::new(function).into())));
    rows.extend(binary.map(|function| (Broadcast::new(function).into(), vec![vec![2, 6, 5, 3], vec![6, 1, 3]])));
    for function in reductions {
        rows.push(image(Reduce::new(function).axes([1, -1]).into()));
        rows.push(image(Reduce::new(function).keepdims(false).into()));
    }
    rows.push((MatMul::new().into(), vec![vec![2, 4, 7], vec![7, 3]]));
    rows.push((MatMul::new().into(), vec![vec![3, 1, 4, 7], vec![2, 7, 5]]));
    rows.push(image(Slice::new([-1, 1], [i32::MIN, 100]).axes([2, 1]).steps([-2, 2]).into()));
    rows.push(image(Slice::new([0, -3], [1, -1]).into()));
    rows.push(image(Expand::new([4, 1, 1, 1, 3]).into()));
    for mode in [PadMode::Constant(1.5), PadMode::Edge, PadMode::Reflect, PadMode::Wrap] {
        rows.push(image(Pad::new([[0, 0], [2, 1], [1, 3], [0, 0]]).mode(mode).into()));
    }
    for function in [Pooling::Max, Pooling::Average, Pooling::AverageWithPads] {
        let pool = Pool2D::new(function, [3, 2]).strides([2, 3]).pads(Pads::Explicit([[1, 2], [0, 1]]));
        rows.push(image(pool.clone().into()));
        rows.push(image(pool.ceil_mode(true).dilation_rate([2, 1]).into()));
        rows.push(image(Pool2D::new(function, [3, 3]).strides([2, 2]).pads(Pads::SameLower).into()));
    }
    let cubic = |exclude_outside| Interpolation::Cubic { a: -0.75, exclude_outside };
    for interpolation in
        [Interpolation::Nearest(Nearest::RoundPreferCeil), Interpolation::Linear, cubic(false), cubic(true)]
    {
        use Coordinates::{AlignCorners, Asymmetric, HalfPixel, HalfPixelSymmetric, PytorchHalfPixel};
        for coordinates in [HalfPixel, HalfPixelSymmetric, PytorchHalfPixel, Asymmetric, AlignCorners] {
            for to in [ResizeTo::Sizes([4, 11]), ResizeTo::Scales([1.7, 0.6])] {
                rows.push(image(Resize::new(to).coordinates(coordinates).interpolation(interpolation).into()));
            }
        }
    }
    test_each(
        rows,
        |(config, _)| format!("{config:?}"),
        |(config, shapes)| {
            let error = |error: wgpu_conv::Error| error.to_string();
            let partial: Vec<PartialShape> = shapes.iter().map(|shape| Shape::from(shape.as_slice()).into()).collect();
            let layer = config.build_all(&gpu, &partial).map_err(error)?;
            let mut inputs = Vec::new();
            for shape in shapes {
                let count = shape.iter().product::<usize>();
                // A walk through an interval that passes 0 by, so that a quotient exists.
                let value = |i: usize| ((i * 37 % 101) as f32 - 50.25) / 32.0;
                inputs.push(Array::from_f32(shape.clone(), &(0..count).map(value).collect::<Vec<_>>()));
            }
            let tensors = inputs.iter().map(|x| Tensor::from_slice(&gpu, x.shape.as_slice(), &x.to_f32()));
            let tensors = tensors.collect::<Result<Vec<_>, _>>().map_err(error)?;
            let output = layer.call_all(&tensors).map_err(error)?;
            let expected = reference::expect(config, &[], &inputs).map_err(error)?;
            if output.shape().dims() != expected.exact.shape {
                return Err(format!("shape {}, the reference has {:?}", output.shape(), expected.exact.shape));
            }
            expected.check(&output.read::<f32>().map_err(error)?)
        },
    );
}

/// One weight of one layer, every layer in turn.
#[test]
fn a_changed_weight_is_traced_to_its_layer() {
    let Some(gpu) = gpu::gpu() else { return };
    let folder = fixtures::directory().join("models/digits");
    let (model, inputs) = model(&gpu, &folder).unwrap();
    let recorded = read_layer_statistics(folder.join("layers.json")).unwrap();
    let names: Vec<String> =
        model.layers().iter().filter(|(_, layer)| !layer.weights().is_empty()).map(|(path, _)| path.clone()).collect();
    assert!(names.len() >= 8, "{names:?}");
    for name in &names {
        let layer = model.get_layer(name).unwrap();
        let right = layer.get_weights().unwrap();
        let mut wrong = right.clone();
        let middle = wrong[0].values.len() / 2;
        wrong[0].values[middle] += 0.25;
        layer.set_weights(&wrong).unwrap();
        let report = model.verify_recorded(&inputs, &recorded).unwrap();
        let found = report.first_difference().unwrap_or_else(|| panic!("{name} was changed"));
        assert_eq!(found.name, *name, "{found:?}");
        assert!(matches!(found.finding, Some(Finding::Statistic { .. })) && found.error > 0.1, "{found:?}");
        // The reference is given the same weights: what the device makes of them is right.
        let random = model.sample_inputs(&model.input_shapes(1, 8), 3).unwrap();
        first_difference(&model.verify(&random).unwrap()).unwrap();
        model.get_layer(name).unwrap().set_weights(&right).unwrap();
    }
    first_difference(&model.verify_recorded(&inputs, &recorded).unwrap()).unwrap();
}

/// The same through files, as it happens: a model is saved with one wrong weight and looked at from the outside.
#[test]
fn a_changed_weight_in_a_file_is_traced_to_its_layer() {
    let Some(gpu) = gpu::gpu() else { return };
    let folder = fixtures::directory().join("models/digits");
    let (changed, inputs) = model(&gpu, &folder).unwrap();
    let recorded = read_layer_statistics(folder.join("layers.json")).unwrap();
    let layer = changed.get_layer("pw1").unwrap();
    let mut weights = layer.get_weights().unwrap();
    weights[0].values[100] -= 0.5;
    layer.set_weights(&weights).unwrap();
    let copy = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("changed.keras");
    changed.save(&copy).unwrap();
    let copy = Model::load(&gpu, &copy).unwrap();
    let report = copy.verify_recorded(&inputs, &recorded).unwrap();
    assert_eq!(report.first_difference().map(|check| check.name.as_str()), Some("pw1"));
}

#[test]
fn statistics_are_held_to_their_limit() {
    let Some(gpu) = gpu::gpu() else { return };
    let dense = Dense::new(3).name("head").use_bias(false);
    let mut sequential = Sequential::new(&gpu).with_input([None, Some(2)]).unwrap();
    sequential.add(dense).unwrap();
    let model = sequential.into_model().unwrap();
    let kernel = HostTensor::new([2, 3], vec![1.0, 2.0, 3.0, 0.0, 0.0, 0.0]).unwrap();
    model.get_layer("head").unwrap().set_weights(&[kernel]).unwrap();
    let input = Tensor::from_slice(&gpu, [1, 2], &[2.0f32, 9.0]).unwrap();
    let right = LayerStatistics {
        layer: "head".into(),
        shape: [1, 3].into(),
        mean: 4.0,
        std: (8.0f64 / 3.0).sqrt(),
        min: 2.0,
        max: 6.0,
        first: vec![2.0, 4.0],
        last: vec![4.0, 6.0],
    };
    let found = |statistics: LayerStatistics| {
        let report = model.verify_recorded(std::slice::from_ref(&input), &[statistics]).unwrap();
        report.first_difference().and_then(|check| check.finding.clone())
    };
    assert_eq!(found(right.clone()), None);
    assert_eq!(found(LayerStatistics { mean: 4.0 * (1.0 + 0.9 * DEVIATION), ..right.clone() }), None);
    let Some(Finding::Statistic { name, received, expected, allowed }) =
        found(LayerStatistics { mean: 4.0 * (1.0 + 1.1 * DEVIATION), ..right.clone() })
    else {
        panic!("a wrong mean");
    };
    assert_eq!((name.as_str(), received), ("mean", 4.0));
    assert!((allowed / (DEVIATION * expected) - 1.0).abs() < 1e-9);
    let Some(Finding::Statistic { name, .. }) = found(LayerStatistics { last: vec![4.0, 6.5], ..right.clone() }) else {
        panic!("a wrong value");
    };
    assert_eq!(name, "last2[1]");
    let shape = found(LayerStatistics { shape: [3, 1].into(), ..right.clone() });
    assert_eq!(shape, Some(Finding::Shape { expected: [3, 1].into() }));
    let other = LayerStatistics { layer: "tail".into(), ..right.clone() };
    assert_eq!(found(other.clone()), None, "by place, since there are as many");
    let error = model.verify_recorded(std::slice::from_ref(&input), &[right, other]).unwrap_err().to_string();
    assert!(error.contains("head") && error.contains("tail"), "{error}");
}

/// Values that are sorted, that are all alike, and that are few: rounding errors of their sums are not independent in every order,
/// and what the kernels make of them is within its bound all the same.
#[test]
fn ordered_and_equal_values_are_within_their_bounds() {
    let Some(gpu) = gpu::gpu() else { return };
    let mut rows: Vec<(LayerConfig, Vec<usize>)> = vec![
        (Conv2D::new(4, 3).into(), vec![1, 6, 7, 16]),
        (Dense::new(4).into(), vec![2, 256]),
        (GlobalAveragePooling2D::new().into(), vec![1, 300, 200, 3]),
        (AveragePooling2D::new(60).into(), vec![1, 61, 60, 4]),
        (LayerNormalization::new().axis([1]).into(), vec![1, 50_000, 2]),
        (Reduce::new(ReduceFunction::Sum).axes([1]).into(), vec![2, 100_000, 2]),
        (Reduce::new(ReduceFunction::SumSquare).axes([1]).into(), vec![2, 3_000, 2]),
        (Softmax::new().axis(1).into(), vec![2, 100_000, 1]),
    ];
    for extent in [1_000, 30_000, 200_000] {
        rows.push((Reduce::new(ReduceFunction::Mean).axes([1]).into(), vec![1, extent, 2]));
    }
    type Kind = (&'static str, fn(f64) -> f64);
    let kinds: [Kind; 5] = [
        ("sorted", |t| 2.0 * t - 1.0),
        ("equal", |_| 0.7),
        ("two halves", |t| if t < 0.5 { 0.3 } else { -0.3 }),
        ("eight-bit", |t| ((t * 1e6) as u64 * 37 % 256) as f64 / 255.0),
        ("rising", |t| t * t),
    ];
    let rows: Vec<_> = rows.iter().flat_map(|row| kinds.iter().map(move |kind| (row, kind))).collect();
    test_each(
        rows,
        |((layer, shape), (kind, _))| format!("{} of {shape:?}, {kind}", layer.class_name()),
        |((layer, shape), (_, value))| {
            let error = |error: wgpu_conv::Error| error.to_string();
            let ramp = |shape: &[usize]| {
                let count = shape.iter().product::<usize>();
                let value = |i: usize| f64::from(value(i as f64 / count as f64) as f32);
                Array::new(shape, (0..count).map(value).collect::<Vec<_>>())
            };
            let shapes = [PartialShape::from(Shape::from(shape.as_slice()))];
            let weights = layer.build_all(&gpu, &shapes).map_err(error)?;
            let weights: Vec<Array> = weights.weights().iter().map(|weight| ramp(weight.shape().dims())).collect();
            let host = |array: &Array| HostTensor { shape: array.shape.as_slice().into(), values: array.to_f32() };
            let built = Layer::with_weights(&gpu, layer.clone(), &shapes, weights.iter().map(host).collect());
            let x = ramp(shape);
            let input = Tensor::from_slice(&gpu, shape.as_slice(), &x.to_f32()).map_err(error)?;
            let output = built.and_then(|layer| layer.call(&input)).map_err(error)?.read::<f32>().map_err(error)?;
            reference::expect(layer, &weights, &[x]).map_err(error)?.check(&output)
        },
    );
}

/// What was recorded of each layer, off by so many times the limit.
fn off_by(model: &Model, inputs: &[Tensor], errors: &[(&str, f64)]) -> Vec<LayerStatistics> {
    let recorded = model.call_recorded(inputs).unwrap();
    let statistics = recorded.iter().filter_map(|application| {
        let error = errors.iter().find(|(name, _)| *name == application.path)?.1;
        let values: Vec<f64> = application.output.read::<f32>().unwrap().into_iter().map(f64::from).collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let std = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        let size = mean.abs().max(std).max(0.05);
        Some(LayerStatistics {
            layer: application.path.clone(),
            shape: application.output.shape().clone(),
            mean: mean + error * DEVIATION * size,
            std,
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            first: vec![],
            last: vec![],
        })
    });
    statistics.collect()
}

/// Where a difference passes the limit, the layers that it came through without a break are held to a tenth of it, and no
/// others: not noise further up, nor another branch. What is printed is what was allowed.
#[test]
fn a_difference_began_where_it_left_the_noise() {
    let Some(gpu) = gpu::gpu() else { return };
    let graph = Functional::new(&gpu);
    let input = graph.input("x", [None, Some(6)]).unwrap();
    let dense = |name: &str| Dense::new(6).name(name);
    let left =
        (&input | dense("noise") | dense("sound") | dense("begins") | dense("unknown") | dense("grows")).finish();
    let left = left.unwrap();
    let right = (&input | dense("beside") | dense("right")).finish().unwrap();
    let sum = graph.apply(Merge::add().name("sum"), &[&left, &right]).unwrap();
    let after = (&sum | dense("after")).finish().unwrap();
    let model = graph.model("m", &[&input], &[&after]).unwrap();
    let inputs = model.sample_inputs(&model.input_shapes(2, 1), 4).unwrap();
    let told = |errors: &[(&str, f64)]| {
        let report = model.verify_recorded(&inputs, &off_by(&model, &inputs, errors)).unwrap();
        assert!(report.layers.iter().all(|check| (check.error > 1.0) == check.finding.is_some()), "{report:?}");
        let found = report.layers.iter().filter(|check| check.finding.is_some());
        found.map(|check| (check.name.clone(), check.limit, (check.error * 100.0).round() / 100.0)).collect::<Vec<_>>()
    };
    let row = |name: &str, limit, error| (name.to_owned(), limit, error);
    let mut errors =
        [("noise", 0.3), ("sound", 0.05), ("begins", 0.2), ("grows", 0.6), ("beside", 0.5), ("right", 0.02)].to_vec();
    assert_eq!(told(&errors), [], "nothing passes its limit");
    errors.push(("sum", 0.9));
    errors.push(("after", 2.0));
    let found =
        [row("begins", SUSPECT, 2.0), row("grows", SUSPECT, 6.0), row("sum", SUSPECT, 9.0), row("after", 1.0, 2.0)];
    assert_eq!(told(&errors), found);
    // A layer that is wrong by itself, and what follows.
    let wrong = [("noise", 0.05), ("sound", 0.09), ("begins", 40.0), ("grows", 0.5), ("sum", 0.2), ("after", 0.01)];
    assert_eq!(told(&wrong), [row("begins", 1.0, 40.0)]);

    let statistics = off_by(&model, &inputs, &errors);
    let report = model.verify_recorded(&inputs, &statistics).unwrap();
    let found = report.first_difference().unwrap();
    let Some(Finding::Statistic { received, expected, allowed, .. }) = found.finding else { panic!("{found:?}") };
    assert!((received - expected).abs() > allowed, "{found:?}");
    assert!(((received - expected).abs() / allowed / found.error - 1.0).abs() < 1e-6, "{found:?}");
}

#[test]
fn narrow_types_agree_within_theirs() {
    let Some(gpu) = gpu::gpu() else { return };
    test_each(
        [DTypePolicy::EmulatedFloat16, DTypePolicy::BFloat16, DTypePolicy::MixedBFloat16, DTypePolicy::Float16],
        |policy| policy.name(),
        |policy| {
            if *policy == DTypePolicy::Float16 && !gpu.caps().f16 {
                return Ok(());
            }
            let conv = |name| Conv2D::new(6, 3).activation(Activation::Tanh).dtype(*policy).name(name);
            let chain = Sequential::new(&gpu).with_input([None, Some(9), Some(9), Some(3)]);
            let chain = chain.and_then(|chain| chain.with(conv("a"))?.with(conv("b")));
            let model = chain.map_err(|error| error.to_string())?.into_model().expect("a built model");
            let inputs = model.sample_inputs(&model.input_shapes(1, 1), 0).map_err(|error| error.to_string())?;
            let report = model.verify(&inputs).map_err(|error| error.to_string())?;
            let largest = report.layers.iter().map(|check| check.error).fold(0.0, f64::max);
            assert!(largest > 0.01, "a bound of {} times the error says nothing", 1.0 / largest);
            first_difference(&report)
        },
    );
}

#[test]
fn a_profile_has_every_layer() {
    let Some(gpu) = gpu::gpu() else { return };
    let (model, _) = model(&gpu, &fixtures::directory().join("models/digits")).unwrap();
    let inputs = model.sample_inputs(&model.input_shapes(3, 8), 0).unwrap();
    let profile = model.profile(&inputs, 2).unwrap();
    let names: Vec<_> = profile.layers.iter().map(|layer| layer.path.clone()).collect();
    let layers: Vec<_> = model.layers().into_iter().map(|(path, _)| path).collect();
    assert_eq!(names, layers);
    for layer in &profile.layers {
        // Dropout passes its input on: nothing runs for it.
        assert_eq!(layer.time.is_zero(), layer.class == "Dropout" && profile.device_clock, "{layer:?}");
        assert_eq!(layer.shape.dims()[0], 3);
    }
    assert_eq!(profile.layers.iter().map(|layer| layer.parameters).sum::<u64>(), model.count_params());
    assert!(profile.device_clock == gpu.has_clock() && profile.total() > profile.layers[0].time);
    assert!(!profile.program.is_zero() && profile.first_call > profile.program, "{profile:?}");
}
