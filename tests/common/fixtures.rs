//! Numbers that Keras gave: `<suite>.json` describes the cases, `<suite>.safetensors` holds their tensors.
//!
//! They are read from the directory in the environment variable `CONFORMANCE_DIR`, or else from the part that the
//! repository carries, `tests/fixtures/conformance`; `tests/fixtures/subset.py` says where they come from.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::tolerance::Storage;
use wgpu_conv::reference::Array;

/// One layer, called once by Keras.
#[derive(Clone, Debug)]
pub struct Case {
    /// `suite/0000`.
    pub id: String,
    /// Keras layer class.
    pub class: String,
    /// Constructor arguments; what is not named has Keras' default.
    pub config: Value,
    /// Shape of the (first) input, with batch.
    pub input_shape: Vec<usize>,
    /// Shape of the output, with batch.
    pub output_shape: Vec<usize>,
    /// The inputs; most layers have one.
    pub x: Vec<Array>,
    /// The weights in Keras' `layer.weights` order.
    pub weights: Vec<(String, Array)>,
    /// The output.
    pub y: Array,
    /// How much each element of the output counts, in cases of gradients.
    pub gy: Option<Array>,
    /// The gradients of `Σ y · gy` to the inputs.
    pub gx: Vec<Array>,
    /// Those to every trainable weight, by its name.
    pub gw: Vec<(String, Array)>,
    /// Whether the layer is called as in training.
    pub training: bool,
    /// Weights after a call in training, by name.
    pub after: Vec<(String, Array)>,
    /// Keras' serialised layer, on about half of the cases.
    pub keras: Option<Value>,
    /// `"float16"` when inputs and weights are exact halves.
    pub round: Option<String>,
    /// What inputs and weights were stored as.
    pub storage: Storage,
    /// The test of Keras that the case was taken from, in the suite `keras_own`.
    pub source: Option<String>,
}

impl Case {
    /// A weight by its Keras name.
    pub fn weight(&self, name: &str) -> Option<&Array> {
        self.weights.iter().find(|(given, _)| given == name).map(|(_, array)| array)
    }
}

/// A file of `keras/functions`: cases as they stand in the JSON, and the tensors they name.
#[derive(Clone, Debug)]
pub struct Topic {
    /// The cases.
    pub cases: Vec<Value>,
    /// Tensors by key.
    pub tensors: HashMap<String, Array>,
}

/// The directory that the numbers are read from.
pub fn directory() -> PathBuf {
    match std::env::var_os("CONFORMANCE_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conformance"),
    }
}

/// A file below [`directory`], for example `models/digits/model.keras`.
///
/// # Panics
/// When it does not exist.
#[track_caller]
pub fn path(relative: &str) -> PathBuf {
    let path = directory().join(relative);
    assert!(path.is_file(), "there is no {}; CONFORMANCE_DIR may name another directory", path.display());
    path
}

/// The cases of one layer suite, `conv2d` for example.
///
/// # Panics
/// As [`suite_in`] fails.
#[track_caller]
pub fn suite(name: &str) -> Vec<Case> {
    suite_in(&directory(), name).unwrap_or_else(|why| panic!("{why}"))
}

/// The cases of one layer suite below a directory.
///
/// # Errors
/// When a file is missing or malformed, or the suite has no cases.
pub fn suite_in(directory: &Path, name: &str) -> Result<Vec<Case>, String> {
    let topic = topic_in(&directory.join("keras/layers"), name)?;
    topic.cases.iter().map(|case| read_case(case, &topic.tensors)).collect()
}

/// The cases of one topic of `keras/functions`, `activations` for example.
///
/// # Panics
/// When a file is missing or malformed, or the topic has no cases.
#[track_caller]
pub fn topic(name: &str) -> Topic {
    topic_in(&directory().join("keras/functions"), name).unwrap_or_else(|why| panic!("{why}"))
}

/// Every tensor of a safetensors file, by key.
///
/// # Errors
/// When the file is missing or malformed, or has a dtype that no fixture uses.
pub fn tensors(path: &Path) -> Result<HashMap<String, Array>, String> {
    Ok(stored_tensors(path)?.into_iter().map(|(key, (_, array))| (key, array)).collect())
}

fn topic_in(folder: &Path, name: &str) -> Result<Topic, String> {
    let json = folder.join(format!("{name}.json"));
    let text = std::fs::read_to_string(&json)
        .map_err(|why| format!("{}: {why}; CONFORMANCE_DIR may name another directory", json.display()))?;
    let mut value: Value = serde_json::from_str(&text).map_err(|why| format!("{}: {why}", json.display()))?;
    let cases = match value.get_mut("cases").map(Value::take) {
        Some(Value::Array(cases)) if !cases.is_empty() => cases,
        _ => return Err(format!("{} has no cases", json.display())),
    };
    Ok(Topic { cases, tensors: tensors(&folder.join(format!("{name}.safetensors")))? })
}

fn stored_tensors(path: &Path) -> Result<HashMap<String, (Dtype, Array)>, String> {
    let bytes = std::fs::read(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|why| format!("{}: {why}", path.display()))?;
    let mut tensors = HashMap::new();
    for (key, view) in file.tensors() {
        let bytes = view.data();
        let data: Vec<f64> = match view.dtype() {
            Dtype::F16 => bytes.as_chunks().0.iter().map(|&b| half::f16::from_le_bytes(b).to_f64()).collect(),
            Dtype::F32 => bytes.as_chunks().0.iter().map(|&b| f64::from(f32::from_le_bytes(b))).collect(),
            Dtype::F64 => bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect(),
            Dtype::I32 => bytes.as_chunks().0.iter().map(|&b| f64::from(i32::from_le_bytes(b))).collect(),
            Dtype::I64 => bytes.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b) as f64).collect(),
            Dtype::U8 | Dtype::BOOL => bytes.iter().map(|&b| f64::from(b)).collect(),
            other => return Err(format!("{}: {key} has dtype {other:?}", path.display())),
        };
        tensors.insert(key, (view.dtype(), Array::new(view.shape(), data)));
    }
    Ok(tensors)
}

fn read_case(case: &Value, tensors: &HashMap<String, Array>) -> Result<Case, String> {
    let id = case["id"].as_str().ok_or_else(|| format!("a case has no id: {case}"))?.to_owned();
    let text = |field: &str| case[field].as_str().map(str::to_owned);
    let list = |field: &str| case[field].as_array().ok_or_else(|| format!("{id} has no {field}"));
    let tensor = |key: &Value| {
        let found = key.as_str().and_then(|key| tensors.get(key));
        found.cloned().ok_or_else(|| format!("{id} names the tensor {key}, which is not in the file"))
    };
    let x = list("x")?.iter().map(tensor).collect::<Result<Vec<_>, _>>()?;
    let named = |weights: &[Value]| -> Result<Vec<(String, Array)>, String> {
        let one = |weight: &Value| {
            let name = weight["name"].as_str().ok_or_else(|| format!("{id} has a weight without a name"))?;
            Ok((name.to_owned(), tensor(&weight["key"])?))
        };
        weights.iter().map(one).collect()
    };
    let of_some = |field: &str| case[field].as_array().map_or(&[][..], Vec::as_slice);
    let weights = named(list("weights")?)?;
    let (gw, after) = (named(of_some("gw"))?, named(of_some("after"))?);
    let gx = of_some("gx").iter().map(tensor).collect::<Result<Vec<_>, _>>()?;
    let gy = case.get("gy").map(tensor).transpose()?;
    let y = tensor(&case["y"])?;
    let round = text("round");
    Ok(Case {
        class: text("class").ok_or_else(|| format!("{id} has no class"))?,
        config: case["config"].clone(),
        input_shape: x.first().ok_or_else(|| format!("{id} has no input"))?.shape.clone(),
        output_shape: y.shape.clone(),
        keras: case.get("keras").cloned(),
        storage: if round.as_deref() == Some("float16") { Storage::F16 } else { Storage::F32 },
        source: text("source"),
        training: case["training"].as_bool().unwrap_or(false),
        gy,
        gx,
        gw,
        after,
        id,
        x,
        weights,
        y,
        round,
    })
}

/// The largest difference between two tensors, in units of the golden's largest value (at least 0.05):
/// `max|a - b| / max(max|b|, 0.05)`. Infinities and NaNs that agree have no difference; a NaN that stands alone makes
/// the result infinite.
///
/// # Panics
/// When the lengths differ.
#[track_caller]
pub fn dev<T: Copy + Into<f64>>(got: &[T], golden: &[f64]) -> f64 {
    assert_eq!(got.len(), golden.len(), "elements");
    let largest = golden.iter().filter(|value| value.is_finite()).fold(0.05, |max: f64, value| max.max(value.abs()));
    let difference = |(&a, &b): (&T, &f64)| {
        let (a, difference): (f64, f64) = (a.into(), (a.into() - b).abs());
        if a == b || a.is_nan() && b.is_nan() {
            0.0
        } else if difference.is_nan() {
            f64::INFINITY
        } else {
            difference
        }
    };
    got.iter().zip(golden).map(difference).fold(0.0, f64::max) / largest
}
