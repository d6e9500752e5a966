//! Small model files that went wrong once, each with the numbers that Keras, tf_keras or ONNX Runtime give: a file is computed
//! rightly, or refused with the true reason. A file in `tests/fixtures/findings` needs no more than its twin `.safetensors`, with
//! `input_0 …` and `expected` or `expected_0 …`.

#[path = "common/gpu.rs"]
pub mod gpu;

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use wgpu_conv::HostTensor;
use wgpu_conv::model::Model;

/// The files that are refused, and what the refusal must say.
const REFUSED: &[(&str, &[&str])] = &[
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
    let outputs = model.predict_all(&tensors(&file, "input")).map_err(|error| format!("refused: {error}"))?;
    let expected = tensors(&file, "expected");
    if outputs.len() != expected.len() {
        return Err(format!("{} outputs for {}", outputs.len(), expected.len()));
    }
    for (output, expected) in outputs.iter().zip(&expected) {
        if output.shape != expected.shape {
            return Err(format!("shape {}, expected {}", output.shape, expected.shape));
        }
        let off = deviation(&output.values, &expected.values);
        if off > LIMIT {
            return Err(format!("dev {off:e}"));
        }
    }
    Ok(())
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
