//! Small model files that went wrong once, each with the numbers that Keras, tf_keras or ONNX Runtime give: a file is computed
//! rightly, or refused with the true reason. A file in `tests/fixtures/findings` needs no more than its twin `.safetensors`, with
//! `input_0 …` and `expected` or `expected_0 …`.

#[path = "common/gpu.rs"]
pub mod gpu;

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use wgpu_conv::formats::{KerasFile, inspect};
use wgpu_conv::layers::{
    BinaryFunction, Broadcast, CustomLayer, CustomLayers, Dense, Initializer, LayerConfig, Map, Merge, ReadOptions,
    Wgsl,
};
use wgpu_conv::model::{Architecture, Model};
use wgpu_conv::{Activation, HostTensor, Shape, Tensor, Unary};

/// The files that are refused, and what the refusal must say.
const REFUSED: &[(&str, &[&str])] = &[
    ("custom_gate.h5", &["mine>Gate", "Python code", "KerasFile::open_custom"]),
    ("custom_gate.keras", &["mine>Gate", "Python code", "KerasFile::open_custom"]),
    ("custom_wgsl.h5", &["3 of its layers", "mine>GeM", "mine>Blend", "KerasFile::open_custom"]),
    ("custom_wgsl.keras", &["3 of its layers", "mine>GeM", "mine>Blend", "KerasFile::open_custom"]),
    ("external.keras", &["dataset layers/dense/vars/0", "external files"]),
    ("input_float16.keras", &["its dtype is float16", "make the input of float32"]),
    ("input_int32.keras", &["its dtype is int32", "make the input of float32"]),
    ("input_uint8.keras", &["its dtype is uint8", "make the input of float32"]),
    ("k2_softmax_axes.h5", &["`axis` must be an integer"]),
    (
        "k2_users_classes.h5",
        &[
            "8 of its layers",
            "ReLU, a class of the program",
            "Flatten, a class of the program",
            "Keras's BatchNormalization writes its `axis`",
            "Keras's Softmax has no `temperature`",
            "Custom>ELU, a class of the program",
            "the function \"mine\"",
            "its activation",
            "Keras's Dense writes its `activation`",
        ],
    ),
    (
        "k2_users_classes.keras",
        &["8 of its layers", "ReLU, a class of the program", "the function \"mine\"", "of_a_users_activation"],
    ),
    ("lambda.h5", &["it holds Python code, which is never run"]),
    ("lora.h5", &["adapted (Dense): it has low-rank adapters (LoRA, `lora_rank`)"]),
    ("lora.keras", &["adapted (Dense): it has low-rank adapters (LoRA, `lora_rank`)"]),
    ("main_class_relu.h5", &["ReLU, a class of the program that saved the file", "Python code"]),
    ("main_class_relu.keras", &["ReLU, a class of the program that saved the file", "Python code"]),
    ("added_booleans.keras", &["add (Add): it is called with booleans", "keras.ops.cast first"]),
    ("mixed_labels.keras", &["layer cut_mix called with a map of images, labels", "with the images alone"]),
    ("quantized.keras", &["its weights are integers", "before it was quantized"]),
    ("renorm.keras", &["renorm=true of BatchNormalization", "moving_variance"]),
    (
        "users_classes.h5",
        &[
            "11 of its layers",
            "Conv2D, a class",
            "BatchNormalization, a class",
            "LeakyReLU, a class",
            "Custom>ReLU, a class",
            "Dropout, a class",
            "Add, a class",
            "Transpose, a class",
            "Gate, a class",
            "Flatten, a class",
            "Dense, a class",
            "the function \"mine\"",
        ],
    ),
    (
        "typed_operators_refused.h5",
        &[
            "(Cumsum): the operator keras.ops.cumsum along another axis",
            "prod (Prod): the operator keras.ops.prod is not",
        ],
    ),
    ("whole_numbers_merged.keras", &["whole numbers of 8 or 16 bits", "keras.ops"]),
    ("whole_numbers_resized.keras", &["called with whole numbers", "keras.ops.cast"]),
    (
        "users_classes.keras",
        &[
            "11 of its layers",
            "Conv2D, a class",
            "Custom>ReLU, a class",
            "Add, a class",
            "Transpose, a class",
            "Dense, a class",
            "the function \"mine\"",
        ],
    ),
];

/// The largest deviation from what is expected, as `docs/precision.md` defines it.
const LIMIT: f64 = 1e-5;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/findings")
}

/// The tensors of a file whose names begin with `prefix`, in order.
fn tensors(file: &SafeTensors<'_>, prefix: &str) -> Vec<HostTensor> {
    let mut names: Vec<_> = file.names().into_iter().filter(|name| name.starts_with(prefix)).collect();
    names.sort_unstable();
    let tensor = |name: &str| {
        let view = file.tensor(name).unwrap();
        let values = match view.dtype() {
            Dtype::F32 => view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect(),
            Dtype::I64 => {
                view.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32).collect()
            }
            other => panic!("{name} is {other:?}"),
        };
        HostTensor::new(view.shape().to_vec(), values).unwrap()
    };
    names.into_iter().map(tensor).collect()
}

/// `max|a − b| / max(max|b|, 0.05)`; infinite where one side alone is NaN.
fn deviation(values: &[f32], expected: &[f32]) -> f64 {
    let largest = expected.iter().fold(0.05f64, |most, &b| most.max(f64::from(b).abs()));
    let off = values.iter().zip(expected).map(|(&a, &b)| match (a.is_nan(), b.is_nan()) {
        (true, true) => 0.0,
        (false, false) => (f64::from(a) - f64::from(b)).abs(),
        _ => f64::INFINITY,
    });
    off.fold(0.0, f64::max) / largest
}

/// What is wrong with the outputs of the model at `path`.
fn check(gpu: &wgpu_conv::Gpu, path: &Path) -> Result<(), String> {
    let bytes = std::fs::read(path.with_extension("safetensors")).map_err(|error| error.to_string())?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| error.to_string())?;
    let model = Model::load(gpu, path).map_err(|error| format!("refused: {error}"))?;
    agrees(&model, &file)
}

/// What is wrong with what `model` makes of the inputs in `file`.
fn agrees(model: &Model, file: &SafeTensors<'_>) -> Result<(), String> {
    let outputs = model.predict_all(&tensors(file, "input")).map_err(|error| format!("refused: {error}"))?;
    let expected = tensors(file, "expected");
    if outputs.len() != expected.len() {
        return Err(format!("{} outputs for {}", outputs.len(), expected.len()));
    }
    let mut off_by = Vec::new();
    for (output, expected) in outputs.iter().zip(&expected) {
        if output.shape != expected.shape {
            return Err(format!("shape {}, expected {}", output.shape, expected.shape));
        }
        off_by.push(deviation(&output.values, &expected.values));
    }
    match off_by.iter().all(|&off| off <= LIMIT) {
        true => Ok(()),
        false => Err(format!("dev {off_by:?}")),
    }
}

#[test]
fn files_are_right_or_refused_with_the_true_reason() {
    let Some(gpu) = gpu::gpu() else { return };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| {
        let model =
            path.extension().is_some_and(|extension| ["keras", "h5", "onnx"].iter().any(|known| extension == *known));
        model && path.with_extension("safetensors").exists()
    });
    files.sort();
    let mut wrong = Vec::new();
    for path in &files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let refusal = REFUSED.iter().find(|(refused, _)| *refused == name);
        match (check(&gpu, path), refusal) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => wrong.push(format!("{name} is computed, and was to be refused")),
            (Err(why), None) => wrong.push(format!("{name}: {why}")),
            (Err(why), Some((_, says))) => {
                if !why.starts_with("refused: ") || says.iter().any(|part| !why.contains(part)) {
                    wrong.push(format!("{name}: must say {says:?}: {why}"));
                }
            }
        }
    }
    assert!(files.len() > 60 && REFUSED.len() < files.len(), "{} files", files.len());
    assert!(wrong.is_empty(), "{} of {} files:\n{}", wrong.len(), files.len(), wrong.join("\n"));
}

/// What stands in the way of a file is said without reading its values, too.
#[test]
fn weights_in_other_files_are_seen_by_inspection() {
    let contents = inspect(folder().join("external.keras")).unwrap();
    let [obstacle] = &contents.obstacles[..] else { panic!("{:?}", contents.obstacles) };
    assert!(obstacle.kind == "weights" && obstacle.reason.contains("external files"), "{obstacle:?}");
    let error = inspect(folder().join("external.weights.h5")).unwrap_err().to_string();
    assert!(error.contains("dataset layers/dense/vars/0") && error.contains("external files"), "{error}");
}

/// Units of the last place, of the sine, cosine and tangent of numbers of every size, and near whole quarters of a turn.
#[test]
fn angles_are_right_to_a_few_units_of_the_last_place() {
    let Some(gpu) = gpu::gpu() else { return };
    let least = 1e-5f32.to_bits();
    let mut x: Vec<f32> =
        (0..1 << 16).map(|i| f32::from_bits(least + i * ((f32::INFINITY.to_bits() - least) >> 16))).collect();
    x.extend((1..1 << 15).map(|quarters| (f64::from(quarters) * std::f64::consts::FRAC_PI_2) as f32));
    type Row = (Unary, fn(f64) -> f64, f64);
    let rows: [Row; 3] = [(Unary::Sin, f64::sin, 3.0), (Unary::Cos, f64::cos, 3.0), (Unary::Tan, f64::tan, 6.0)];
    for (function, exact, limit) in rows {
        let config = LayerConfig::from(Map::new(function));
        let layer = config.build_all(&gpu, &[Shape::from([x.len()]).into()]).unwrap();
        let made = layer.call(&Tensor::from_slice(&gpu, [x.len()], &x).unwrap()).unwrap().read::<f32>().unwrap();
        let off = x.iter().zip(made).map(|(&x, value)| {
            let exact = exact(x.into());
            let unit = f64::from((exact as f32).abs().next_up()) - f64::from((exact as f32).abs());
            ((f64::from(value) - exact).abs() / unit, x)
        });
        let (worst, at) = off.fold((0.0, 0.0), |worst, off| if worst.0 < off.0 { off } else { worst });
        println!("{function:?}: {worst:.2} units at {at:e}");
        assert!(worst <= limit, "{function:?} of {at:e} is off by {worst} units");
    }
}

/// Functions of numbers of every size, where a tensor's largest value says nothing about the others: each by itself.
#[test]
fn values_of_every_size_agree_with_keras() {
    let Some(gpu) = gpu::gpu() else { return };
    for name in ["each_hyperbolic", "each_angle", "each_power"] {
        let path = folder().join(format!("{name}.keras"));
        let bytes = std::fs::read(path.with_extension("safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let inputs = tensors(&file, "input");
        let output = Model::load(&gpu, &path).unwrap().predict_all(&inputs).unwrap().swap_remove(0);
        let expected = tensors(&file, "expected").swap_remove(0);
        assert_eq!(output.shape, expected.shape);
        for (place, (&a, &b)) in output.values.iter().zip(&expected.values).enumerate() {
            let same = a == b || a.is_nan() && b.is_nan();
            let off = (f64::from(a) - f64::from(b)).abs();
            assert!(same || off <= LIMIT * f64::from(b).abs(), "{name}, element {place}: {a:e}, expected {b:e}");
        }
    }
}

/// Layers that read masks and states, one by one, against the reference in f64.
#[cfg(feature = "verify")]
#[test]
fn layers_of_sequences_agree_with_the_reference() {
    let Some(gpu) = gpu::gpu() else { return };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let begins = |path: &Path| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        ["masks_", "states_", "convolved_", "spectrograms"].iter().any(|kind| name.starts_with(kind))
    };
    files.retain(|path| path.extension().is_some_and(|extension| extension == "keras") && begins(path));
    for path in &files {
        let bytes = std::fs::read(path.with_extension("safetensors")).unwrap();
        let model = Model::load(&gpu, path).unwrap();
        let inputs = tensors(&SafeTensors::deserialize(&bytes).unwrap(), "input");
        let inputs: Vec<_> = inputs
            .iter()
            .map(|input| wgpu_conv::Tensor::from_slice(&gpu, input.shape.clone(), &input.values).unwrap())
            .collect();
        let report = model.verify(&inputs).unwrap();
        assert_eq!(report.first_difference(), None, "{}", path.display());
    }
    assert!(files.len() > 20, "{} files", files.len());
}

/// Sequences of images whose times are masked: Keras's own backends do not agree on these (JAX refuses them), so the reference is
/// the measure, which skips times one by one.
#[cfg(feature = "verify")]
#[test]
fn masked_sequences_of_images_agree_with_the_reference() {
    use wgpu_conv::Padding;
    use wgpu_conv::layers::{ConvLSTM2D, GivenMask};
    let Some(gpu) = gpu::gpu() else { return };
    let graph = wgpu_conv::model::Functional::new(&gpu);
    let (x, mask) = (graph.input("x", [2, 4, 5, 4, 2]).unwrap(), graph.input("mask", [2, 4]).unwrap());
    let masked = graph.apply(GivenMask::new(), &[&x, &mask]).unwrap();
    let all = ConvLSTM2D::new(3, 3).padding(Padding::Same).return_sequences(true);
    let backwards = ConvLSTM2D::new(2, 2).return_sequences(true).go_backwards(true).zero_output_for_mask(true);
    let states = ConvLSTM2D::new(2, (2, 3)).strides(2).return_state(true);
    let outputs = [all, backwards, states].map(|layer| graph.apply(layer, &[&masked]).unwrap());
    let model = graph.model("masked", &[&x, &mask], &outputs.iter().collect::<Vec<_>>()).unwrap();
    let counts = [1.0f32, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0];
    let values: Vec<f32> = (0..2 * 4 * 5 * 4 * 2).map(|at| (at as f32 * 1.37).sin()).collect();
    let tensor = |shape: &[usize], values: &[f32]| wgpu_conv::Tensor::from_slice(&gpu, shape, values).unwrap();
    let inputs = [tensor(&[2, 4, 5, 4, 2], &values), tensor(&[2, 4], &counts)];
    let report = model.verify(&inputs).unwrap();
    assert_eq!(report.first_difference(), None);
    // The second sample's first time is skipped: what is shown of it is zeros, and of a time that is skipped later the one before.
    let made = model.call_all(&inputs).unwrap()[0].read::<f32>().unwrap();
    let time = |sample: usize, time: usize| &made[(sample * 4 + time) * 60..][..60];
    assert!(time(1, 0).iter().all(|&value| value == 0.0) && time(1, 1).iter().any(|&value| value != 0.0));
    assert_eq!((time(0, 1), time(1, 2)), (time(0, 3), time(1, 1)));
}

/// What Keras's documentation says of these configs, and the reference: Keras looks numbers up with TensorFlow alone.
#[cfg(feature = "verify")]
#[test]
fn whole_numbers_are_looked_up_as_keras_says() {
    use serde_json::json;
    use wgpu_conv::layers::LayerConfig;
    use wgpu_conv::reference::{Array, evaluate};
    let Some(gpu) = gpu::gpu() else { return };
    let vocabulary = json!([12, 36, 1138, 42]);
    let weights = json!([0.25, 0.75, 0.6, 0.4]);
    let with_unknown = json!({"vocabulary": [-1, 12, 36, 1138, 42], "idf_weights": [0.9, 0.25, 0.75, 0.6, 0.4], "output_mode": "tf_idf"});
    let two = &[[12.0, 1138.0, 42.0], [42.0, 1000.0, 36.0]].concat()[..];
    let three = &[[12.0, 1138.0, 42.0], [37.0, 1000.0, 36.0]].concat()[..];
    let counted = &[[12.0, 1138.0, 42.0, 42.0], [42.0, 7.0, 36.0, 7.0]].concat()[..];
    let column = &[12.0, 36.0, 1138.0, 42.0, 7.0][..];
    let places = &[[1.0, 3.0, 4.0], [4.0, 0.0, 2.0]].concat()[..];
    type Row<'a> = (serde_json::Value, [usize; 2], &'a [f32], &'a [f32]);
    let rows: [Row<'_>; 9] = [
        (json!({"vocabulary": vocabulary}), [2, 3], two, places),
        (json!({"vocabulary": vocabulary, "num_oov_indices": 2}), [2, 3], three, &[2., 4., 5., 1., 0., 3.]),
        (
            json!({"vocabulary": vocabulary, "output_mode": "one_hot"}),
            [5, 1],
            column,
            &[
                [0., 1., 0., 0., 0.],
                [0., 0., 1., 0., 0.],
                [0., 0., 0., 1., 0.],
                [0., 0., 0., 0., 1.],
                [1., 0., 0., 0., 0.],
            ]
            .concat(),
        ),
        (
            json!({"vocabulary": vocabulary, "output_mode": "multi_hot"}),
            [2, 4],
            counted,
            &[0., 1., 0., 1., 1., 1., 0., 1., 0., 1.],
        ),
        (
            json!({"vocabulary": vocabulary, "output_mode": "count"}),
            [2, 4],
            counted,
            &[0., 1., 0., 1., 2., 2., 0., 1., 0., 1.],
        ),
        (
            json!({"vocabulary": vocabulary, "output_mode": "tf_idf", "idf_weights": weights}),
            [2, 4],
            counted,
            &[0., 0.25, 0., 0.6, 0.8, 1.0, 0., 0.75, 0., 0.4],
        ),
        (with_unknown, [2, 4], counted, &[0., 0.25, 0., 0.6, 0.8, 1.8, 0., 0.75, 0., 0.4]),
        (json!({"vocabulary": vocabulary, "invert": true}), [2, 3], places, &[12., 1138., 42., 42., -1., 36.]),
        // A mask has place 0 as it is, and none in vectors.
        (json!({"vocabulary": vocabulary, "mask_token": 1000}), [2, 3], two, &[2., 4., 5., 5., 0., 3.]),
    ];
    for (config, shape, input, expected) in &rows {
        let layer = LayerConfig::from_config("IntegerLookup", config).unwrap();
        assert_eq!(LayerConfig::from_config("IntegerLookup", &layer.get_config().unwrap()).unwrap(), layer);
        let built = layer.build(&gpu, *shape).unwrap();
        let made = built.call(&wgpu_conv::Tensor::from_slice(&gpu, *shape, input).unwrap()).unwrap();
        let values = made.read::<f32>().unwrap();
        assert!(deviation(&values, expected) < 1e-6, "{config}: {values:?} for {expected:?}");
        let array = Array::new(shape.to_vec(), input.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
        let reference = evaluate(&layer, &[], &[array]).unwrap();
        assert_eq!(reference.shape, made.shape().dims(), "{config}");
        assert!(deviation(&reference.to_f32(), expected) < 1e-6, "{config}: {:?}", reference.data);
    }
    for (config, says) in [
        (json!({"vocabulary": null, "vocabulary_size": 5}), "vocabulary=layer.get_vocabulary()"),
        (json!({"vocabulary": [1, 2], "num_oov_indices": 0}), "which a device cannot"),
        (json!({"vocabulary": [1, 1 << 25]}), "up to 2^24"),
        (json!({"vocabulary": [1, 2, 1]}), "each number once"),
        (json!({"vocabulary": [1, 42], "mask_token": 42, "output_mode": "count"}), "`mask_token` must be no number"),
        (json!({"vocabulary": [1, 2], "num_oov_indices": 2, "oov_method": "farmhash"}), "use floormod"),
        (json!({"vocabulary": [1, 2], "output_mode": "tf_idf"}), "idf_weights"),
    ] {
        let error = LayerConfig::from_config("IntegerLookup", &config).unwrap_err().to_string();
        assert!(error.contains(says), "{config}: {error}");
    }
}

#[test]
fn layers_of_the_callers_stand_for_classes() {
    let Some(gpu) = gpu::gpu() else { return };
    // x · sigmoid(dense(x)) + scale
    let gate = |config: &serde_json::Value| {
        let units = config["units"].as_u64().and_then(|units| u32::try_from(units).ok()).unwrap_or(0);
        let mut layer = CustomLayer::new(1);
        let x = layer.input(0);
        // Its own weight comes before those of its layers.
        let scale = Broadcast::new(BinaryFunction::Add).constant_right([units as usize]);
        let gate = Dense::new(units).activation(Activation::Sigmoid);
        let placed = layer.layer("gate", gate, &[x]);
        let product = layer.layer("", Merge::multiply(), &[x, placed]);
        let sum = layer.layer("", scale, &[product]);
        layer.outputs(&[sum]);
        Ok(layer)
    };
    let load =
        |name: &str, layers: &CustomLayers| KerasFile::open_custom(folder().join(name), ReadOptions::default(), layers);
    for name in ["Gate", "mine>Gate"] {
        let layers = CustomLayers::new().with(name, gate);
        let model = load("custom_gate.keras", &layers).unwrap().build(&gpu).unwrap();
        let bytes = std::fs::read(folder().join("custom_gate.safetensors")).unwrap();
        agrees(&model, &SafeTensors::deserialize(&bytes).unwrap()).unwrap();
        // It is written as it was read, its classes by their names.
        let saved = Path::new(env!("CARGO_TARGET_TMPDIR")).join("custom_gate.keras");
        model.save(&saved).unwrap();
        let again = KerasFile::open_custom(&saved, ReadOptions::default(), &layers).unwrap().build(&gpu).unwrap();
        agrees(&again, &SafeTensors::deserialize(&bytes).unwrap()).unwrap();
    }
    let wrong = CustomLayers::new().with("Gate", |_| Ok(CustomLayer::new(1)));
    let file = load("custom_gate.keras", &wrong).unwrap();
    assert_eq!(file.unsupported().len(), 2);
    assert!(file.unsupported()[0].reason.contains("must have outputs"), "{:?}", file.unsupported());
    let unnamed = CustomLayers::new().with("Another", gate);
    assert!(load("custom_gate.keras", &unnamed).unwrap().unsupported()[0].reason.contains("KerasFile::open_custom"));
}

/// The extents of the last axis, which the weights of the classes below have.
fn channels(inputs: &[wgpu_conv::PartialShape]) -> wgpu_conv::Result<wgpu_conv::Shape> {
    Ok([inputs[0].dims()[inputs[0].rank() - 1].expect("known channels")].into())
}

/// A layer of one attribute less: the weights of the class itself.
fn whole(wgsl: Wgsl) -> wgpu_conv::Result<CustomLayer> {
    let mut layer = CustomLayer::new(wgsl.inputs.len());
    let inputs: Vec<_> = (0..wgsl.inputs.len()).map(|number| layer.input(number)).collect();
    let made = layer.layer("", wgsl, &inputs);
    layer.outputs(&[made]);
    Ok(layer)
}

/// The classes of `custom_wgsl.keras`.
fn written() -> CustomLayers {
    let gem = |config: &serde_json::Value| {
        let floor = config["floor"].as_f64().unwrap_or_default();
        let code = format!(
            "const FLOOR: f32 = {floor:?};
            fn element(i: u32) -> f32 {{
                let at = place(i);
                var sum = 0.0;
                for (var row = 0u; row < x_extent(1); row++) {{
                    for (var column = 0u; column < x_extent(2); column++) {{
                        sum += pow(max(x(at[0], row, column, at[1]), FLOOR), p(at[1]));
                    }}
                }}
                return pow(sum / f32(x_extent(1) * x_extent(2)), 1.0 / p(at[1]));
            }}"
        );
        let output = |inputs: &[wgpu_conv::PartialShape]| {
            let dims = inputs[0].dims();
            Ok(vec![dims[0], dims[3]].into())
        };
        whole(Wgsl::new(code).weight("p", Initializer::Ones, channels).output(output))
    };
    let blend = |_: &serde_json::Value| {
        let code = "fn element(i: u32) -> f32 {
            let own = share(place(i)[3]);
            return mix(b_at(i), a_at(i), own) + offset();
        }";
        let layer = Wgsl::new(code).inputs(["a", "b"]).weight("share", Initializer::Ones, channels);
        whole(layer.weight("offset", Initializer::Zeros, |_| Ok([].into())))
    };
    let contrast = |_: &serde_json::Value| {
        whole(Wgsl::new(
            "fn element(i: u32) -> f32 {
                let at = place(i);
                let above = x(at[0], at[1] - 1u, at[2], at[3]) + x(at[0], at[1] + 1u, at[2], at[3]);
                let beside = x(at[0], at[1], at[2] - 1u, at[3]) + x(at[0], at[1], at[2] + 1u, at[3]);
                return x_at(i) - 0.25 * (above + beside);
            }",
        ))
    };
    CustomLayers::new().with("GeM", gem).with("mine>Blend", blend).with("Contrast", contrast)
}

/// Classes of a program, written in WGSL: they give Keras's numbers, their weights are found, their code compiles once, and what
/// is trained cannot stand before them.
#[test]
fn classes_written_in_wgsl_give_their_numbers() {
    if gpu::gpu().is_none() {
        return;
    }
    // One of its own, whose pipelines no other test counts.
    let gpu = wgpu_conv::Gpu::new().unwrap();
    let bytes = std::fs::read(folder().join("custom_wgsl.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut compiled = 0;
    for name in ["custom_wgsl.keras", "custom_wgsl.h5", "custom_wgsl.keras"] {
        let file_of = || KerasFile::open_custom(folder().join(name), ReadOptions::default(), &written()).unwrap();
        assert_eq!(file_of().unsupported(), [], "{name}");
        let model = file_of().build(&gpu).unwrap();
        agrees(&model, &file).unwrap_or_else(|why| panic!("{name}: {why}"));
        // The next models have the pipelines of the first.
        let so_far = gpu.counters().pipelines;
        assert!(compiled == 0 || so_far == compiled, "{name}: {compiled} to {so_far}");
        compiled = so_far;
    }
    let path = folder().join("custom_wgsl.keras");
    let model = KerasFile::open_custom(&path, ReadOptions::default(), &written()).unwrap().build(&gpu).unwrap();
    let saved = Path::new(env!("CARGO_TARGET_TMPDIR")).join("custom_wgsl.keras");
    model.save(&saved).unwrap();
    let again = KerasFile::open_custom(&saved, ReadOptions::default(), &written()).unwrap().build(&gpu).unwrap();
    agrees(&again, &file).unwrap();
    // Without weights and without a device, from either file, there is the same to be told.
    let facts = |told: &Architecture| -> Vec<_> {
        let layers = told.layers().iter();
        layers
            .map(|layer| {
                let shape = layer.output_shape.to_string();
                (layer.path.clone(), layer.config.class_name(), layer.inputs.clone(), shape, layer.parameters)
            })
            .collect()
    };
    for name in ["custom_wgsl.keras", "custom_wgsl.h5"] {
        let told = Architecture::load_custom(folder().join(name), ReadOptions::default(), &written()).unwrap();
        assert_eq!(facts(&told), facts(&model.architecture()), "{name}");
        let (_, class, _, shape, parameters) = &facts(&told)[5];
        assert_eq!((*class, shape.as_str(), *parameters), ("Wgsl", "(None, 4)", 4), "{told:?}");
    }
}
