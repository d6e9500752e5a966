//! Small model files that went wrong once, each with the numbers that Keras, tf_keras or ONNX Runtime give: a file is computed
//! rightly, or refused with the true reason. A file in `tests/fixtures/findings` needs no more than its twin `.safetensors`, with
//! `input_0 …` and `expected` or `expected_0 …`.

#[path = "common/gpu.rs"]
pub mod gpu;

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use wgpu_conv::formats::KerasFile;
use wgpu_conv::layers::{BinaryFunction, Broadcast, CustomLayer, CustomLayers, Dense, Merge, ReadOptions};
use wgpu_conv::model::Model;
use wgpu_conv::{Activation, HostTensor};

/// The files that are refused, and what the refusal must say.
const REFUSED: &[(&str, &[&str])] = &[
    ("custom_gate.h5", &["mine>Gate", "Python code", "KerasFile::open_custom"]),
    ("custom_gate.keras", &["mine>Gate", "Python code", "KerasFile::open_custom"]),
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

/// Layers that read masks and states, one by one, against the reference in f64.
#[cfg(feature = "verify")]
#[test]
fn layers_of_sequences_agree_with_the_reference() {
    let Some(gpu) = gpu::gpu() else { return };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let begins = |path: &Path| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        name.starts_with("masks_") || name.starts_with("states_")
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
    assert!(files.len() > 15, "{} files", files.len());
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
    }
    let wrong = CustomLayers::new().with("Gate", |_| Ok(CustomLayer::new(1)));
    let file = load("custom_gate.keras", &wrong).unwrap();
    assert_eq!(file.unsupported().len(), 2);
    assert!(file.unsupported()[0].reason.contains("must have outputs"), "{:?}", file.unsupported());
    let unnamed = CustomLayers::new().with("Another", gate);
    assert!(load("custom_gate.keras", &unnamed).unwrap().unsupported()[0].reason.contains("KerasFile::open_custom"));
}
