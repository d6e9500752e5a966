//! The ONNX part of the conformance material: cases from `onnx/index.json`, and tensors in ONNX's own form.

use std::path::{Path, PathBuf};

use half::{bf16, f16};
use prost::Message;
use serde_json::Value;
use wgpu_conv::HostTensor;

use super::common::fixtures;

/// A model with its inputs and what they must come to.
pub struct Case {
    /// `test_abs`, `conv_000`, ….
    pub name: String,
    /// Holds `model.onnx`.
    pub folder: PathBuf,
    /// The operators in it.
    pub operators: Vec<String>,
    /// In the order of the graph.
    pub inputs: Vec<Proto>,
    /// In the order of the graph.
    pub outputs: Vec<Proto>,
    /// Absolute tolerance.
    pub atol: f64,
    /// Tolerance relative to what is expected.
    pub rtol: f64,
}

/// `TensorProto`: the numbers are those of `onnx/onnx.proto`.
#[derive(Clone, PartialEq, Message)]
pub struct Proto {
    /// Extents.
    #[prost(int64, repeated, tag = "1")]
    pub extents: Vec<i64>,
    /// Element type.
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Elements of type 1.
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    /// Elements of types of up to 32 bits.
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    /// Elements of type 7.
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    /// Its name.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Elements of any type, little-endian.
    #[prost(bytes = "vec", optional, tag = "9")]
    pub raw_data: Option<Vec<u8>>,
    /// Elements of type 11.
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
}

/// The part of `ModelProto` that names inputs.
#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(message, required, tag = "7")]
    graph: Graph,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<Proto>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<Named>,
}

#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

impl Proto {
    /// A tensor of f32.
    pub fn of(name: &str, dims: &[usize], values: Vec<f32>) -> Self {
        let extents = dims.iter().map(|&dim| dim as i64).collect();
        Self { name: name.into(), extents, data_type: 1, float_data: values, ..Self::default() }
    }

    /// The tensor in a file.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|why| format!("{}: {why}", path.display()))?;
        Self::decode(bytes.as_slice()).map_err(|why| format!("{}: {why}", path.display()))
    }

    /// The extents.
    pub fn dims(&self) -> Vec<usize> {
        self.extents.iter().map(|&dim| dim as usize).collect()
    }

    /// The elements.
    ///
    /// # Panics
    /// For a type that no case needs.
    pub fn values(&self) -> Vec<f64> {
        let Some(raw) = &self.raw_data else {
            let narrow = self.int32_data.iter();
            return match self.data_type {
                1 => self.float_data.iter().map(|&value| value.into()).collect(),
                7 => self.int64_data.iter().map(|&value| value as f64).collect(),
                10 => narrow.map(|&bits| f16::from_bits(bits as u16).to_f64()).collect(),
                11 => self.double_data.clone(),
                _ => narrow.map(|&value| value.into()).collect(),
            };
        };
        match self.data_type {
            1 => raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes).into()).collect(),
            2 | 9 => raw.iter().map(|&byte| byte.into()).collect(),
            3 => raw.iter().map(|&byte| f64::from(byte as i8)).collect(),
            4 => raw.as_chunks().0.iter().map(|&bytes| u16::from_le_bytes(bytes).into()).collect(),
            5 => raw.as_chunks().0.iter().map(|&bytes| i16::from_le_bytes(bytes).into()).collect(),
            6 => raw.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes).into()).collect(),
            7 => raw.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as f64).collect(),
            10 => raw.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f64()).collect(),
            11 => raw.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect(),
            12 => raw.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes).into()).collect(),
            13 => raw.as_chunks().0.iter().map(|&bytes| u64::from_le_bytes(bytes) as f64).collect(),
            16 => raw.as_chunks().0.iter().map(|&bytes| bf16::from_le_bytes(bytes).to_f64()).collect(),
            other => panic!("elements of type {other}"),
        }
    }

    /// The tensor in f32.
    pub fn host(&self) -> HostTensor {
        let values = self.values().into_iter().map(|value| value as f32).collect();
        HostTensor { shape: self.dims().into(), values }
    }
}

/// Whether the whole material is there, and not only the part that the repository carries.
pub fn is_whole() -> bool {
    index()["tests"].as_array().is_some_and(|tests| tests.len() >= 372)
}

/// The cases of `tests` or of `ort_nodes`.
///
/// # Panics
/// Where the material is missing or malformed.
pub fn cases(suite: &str) -> Vec<Case> {
    let index = index();
    let (cases, atol) = match suite {
        "tests" => (&index["tests"], 1e-7),
        _ => (&index["ort_nodes"]["cases"], 1e-4),
    };
    let cases: Vec<Case> =
        cases.as_array().unwrap().iter().filter(|case| is_folder(case)).map(|case| read(case, atol)).collect();
    assert!(!cases.is_empty(), "{suite} has no cases");
    cases
}

/// Whole networks stand in the index as files, and have no test data like the others'.
fn is_folder(case: &Value) -> bool {
    case["path"].as_str().is_some_and(|path| !path.ends_with(".onnx"))
}

fn index() -> Value {
    let text = std::fs::read_to_string(fixtures::path("onnx/index.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn read(case: &Value, atol: f64) -> Case {
    let folder = fixtures::directory().join("onnx").join(case["path"].as_str().unwrap());
    let tensors = |kind: &str| {
        let path = |index| folder.join(format!("test_data_set_0/{kind}_{index}.pb"));
        (0..).map(path).take_while(|path| path.is_file()).map(|path| Proto::read(&path).unwrap_or_default()).collect()
    };
    // Old test data has no names: they are those of the inputs without a value in the file, in order.
    let graph = Model::decode(std::fs::read(folder.join("model.onnx")).unwrap().as_slice()).unwrap().graph;
    let is_free = |name: &String| graph.initializer.iter().all(|initializer| initializer.name != *name);
    let names: Vec<String> = graph.input.into_iter().map(|input| input.name).filter(is_free).collect();
    let mut inputs: Vec<Proto> = tensors("input");
    for (input, name) in inputs.iter_mut().zip(names) {
        input.name = name;
    }
    let operators =
        case["ops"].as_array().map(|ops| ops.iter().filter_map(|op| Some(op.as_str()?.to_owned())).collect());
    Case {
        name: case["name"].as_str().unwrap().into(),
        operators: operators.unwrap_or_else(|| vec![case["op"].as_str().unwrap_or_default().into()]),
        inputs,
        outputs: tensors("output"),
        folder,
        atol,
        rtol: 1e-3,
    }
}
