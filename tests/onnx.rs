//! ONNX files against the numbers that ONNX itself gives: its backend tests, single nodes that onnxruntime computed, whole
//! networks, and the models of the conformance material. What the library does not support is listed by operator.
//!
//! `CONFORMANCE_DIR` names the whole material; without it the part that the repository carries is run.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;
#[path = "common/onnx.rs"]
pub mod onnx;

use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use common::fixtures::{self, dev};
use common::tolerance::MODEL_DEV;
use onnx::{Case, Proto};
use wgpu_conv::formats::{Budget, OnnxFile};
use wgpu_conv::{Gpu, HostTensor, Tensor};

/// Operators that one of the conformance cases must show to work: taking one out of the crate must fail a test.
const WORKING: [&str; 3] = ["Conv", "Relu", "Reshape"];

/// What became of a case that did not fail.
enum Verdict {
    Passed,
    /// Its outputs are right, and known without a model.
    Known,
    /// It cannot be built: the first operator in the way, with the reason.
    Unsupported(String),
}

type Outcome = Result<Verdict, String>;

/// Counts, and what is printed of them.
#[derive(Default)]
struct Tally {
    passed: usize,
    known: usize,
    worked: Vec<String>,
    failed: Vec<String>,
    /// Cases that cannot be built, by operator and reason.
    skipped: BTreeMap<String, Vec<String>>,
}

impl Tally {
    fn run(&mut self, name: &str, operators: &[String], check: impl FnOnce() -> Outcome) {
        let outcome = catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Err(format!("panicked: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message")))
        });
        match outcome {
            Ok(Verdict::Passed) => {
                self.passed += 1;
                self.worked.extend_from_slice(operators);
            }
            Ok(Verdict::Known) => self.known += 1,
            Ok(Verdict::Unsupported(reason)) => self.skipped.entry(reason).or_default().push(name.into()),
            Err(why) => self.failed.push(format!("  {name}: {why}")),
        }
    }

    /// Prints the counts, and the reasons for what was not run.
    #[track_caller]
    fn finish(self, suite: &str) -> Self {
        let skipped: usize = self.skipped.values().map(Vec::len).sum();
        let Self { passed, known, .. } = self;
        let failed = self.failed.len();
        let mut text = format!(
            "{suite}: {passed} passed, {failed} failed, {known} computed from constants, {skipped} not supported\n"
        );
        for (reason, names) in &self.skipped {
            text += &format!("    {} × {reason} ({})\n", names.len(), names.join(", "));
        }
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
        assert!(self.failed.is_empty(), "{text}{}", self.failed.join("\n"));
        self
    }
}

/// The file with a value for every input that needs one.
fn given(mut file: OnnxFile, inputs: &[Proto]) -> Result<OnnxFile, String> {
    while let Some(name) = file.needs_values().first().cloned() {
        let value = inputs.iter().find(|input| input.name == name);
        let value = value.ok_or_else(|| format!("input {name} has no value in the test data"))?;
        file = file.with_value(&name, value.host()).map_err(|error| error.to_string())?;
    }
    Ok(file)
}

/// Runs a case: every output within `atol + rtol·|expected|` of what is expected.
fn check(gpu: &Gpu, case: &Case) -> Outcome {
    let text = |error: wgpu_conv::Error| error.to_string();
    let file = given(OnnxFile::open(case.folder.join("model.onnx")).map_err(text)?, &case.inputs)?;
    let (outputs, verdict) = if file.unsupported().is_empty() {
        (run(gpu, file, &case.inputs)?, Verdict::Passed)
    } else if file.known_outputs().len() == case.outputs.len() {
        (file.known_outputs().iter().map(|(_, value)| value.clone()).collect(), Verdict::Known)
    } else {
        return Ok(obstacle(&file));
    };
    if outputs.len() != case.outputs.len() {
        return Err(format!("{} outputs, expected {}", outputs.len(), case.outputs.len()));
    }
    for (got, expected) in outputs.iter().zip(&case.outputs) {
        if got.shape.dims() != expected.dims() {
            return Err(format!(
                "output {} has the shape {}, expected {:?}",
                expected.name,
                got.shape,
                expected.dims()
            ));
        }
        hold(&got.values, &expected.values(), case.atol, case.rtol)
            .map_err(|why| format!("output {}: {why}", expected.name))?;
    }
    Ok(verdict)
}

/// What stands first in the way of building `file`.
fn obstacle(file: &OnnxFile) -> Verdict {
    let first = file.unsupported().first();
    Verdict::Unsupported(first.map_or_else(String::new, |node| format!("{}: {}", node.operator, node.reason)))
}

/// The outputs of the model in `file`.
fn run(gpu: &Gpu, file: OnnxFile, inputs: &[Proto]) -> Result<Vec<HostTensor>, String> {
    let text = |error: wgpu_conv::Error| error.to_string();
    let model = file.build(gpu).map_err(text)?;
    let mut tensors = Vec::new();
    for (index, input) in model.inputs().iter().enumerate() {
        let value = inputs.iter().find(|given| given.name == input.name).or(inputs.get(index));
        let value = value.ok_or_else(|| format!("input {} has no value in the test data", input.name))?.host();
        tensors.push(Tensor::from_slice(gpu, value.shape, &value.values).map_err(text)?);
    }
    let read = |tensor: &Tensor| {
        let values = tensor.read().map_err(text)?;
        HostTensor::new(tensor.shape(), values).map_err(text)
    };
    model.call_all(&tensors).map_err(text)?.iter().map(read).collect()
}

fn hold(got: &[f32], expected: &[f64], atol: f64, rtol: f64) -> Result<(), String> {
    let off = |(got, expected): (&f32, &f64)| {
        let got = f64::from(*got);
        let same = got == *expected || got.is_nan() && expected.is_nan();
        !(same || (got - expected).abs() <= atol + rtol * expected.abs())
    };
    match got.iter().zip(expected).position(off) {
        Some(at) => Err(format!("element {at} is {}, expected {}", got[at], expected[at])),
        None => Ok(()),
    }
}

fn suite(gpu: &Gpu, name: &str) -> Tally {
    let mut tally = Tally::default();
    for case in onnx::cases(name) {
        tally.run(&case.name, &case.operators, || check(gpu, &case));
    }
    tally.finish(name)
}

#[test]
fn backend_tests_pass() {
    let Some(gpu) = gpu::gpu() else { return };
    let tally = suite(&gpu, "tests");
    for operator in WORKING {
        assert!(tally.worked.iter().any(|worked| worked == operator), "no case of {operator} passed");
    }
    assert!(!onnx::is_whole() || tally.passed >= 340, "{} passed", tally.passed);
}

#[test]
fn single_nodes_agree_with_onnxruntime() {
    let Some(gpu) = gpu::gpu() else { return };
    let tally = suite(&gpu, "ort_nodes");
    assert!(!onnx::is_whole() || tally.passed >= 120, "{} passed", tally.passed);
}

/// Architectures with constant weights; the input is `arange(n) / n`.
#[test]
fn networks_of_the_backend_tests_pass() {
    let Some(gpu) = gpu::gpu() else { return };
    let folder = fixtures::directory().join("onnx/backend/light");
    let mut tally = Tally::default();
    // These files of a few kilobytes make their weights, AlexNet 244 MB, as they are read: more than a file that is not
    // trusted may ask for.
    Budget { memory: 2 << 30, ..Budget::current() }.install();
    for path in files(&folder, "onnx") {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        tally.run(&stem, &[], || {
            let file = OnnxFile::open(&path).map_err(|error| error.to_string())?;
            if !file.unsupported().is_empty() {
                return Ok(obstacle(&file));
            }
            let [input] = file.inputs() else { return Err(format!("{} inputs", file.inputs().len())) };
            let shape = input.shape.known().ok_or("its input has unknown extents")?;
            let count = shape.elements().map_err(|error| error.to_string())?;
            let values = (0..count).map(|index| index as f32 / count as f32).collect();
            let input = Proto::of(&input.name, shape.dims(), values);
            let expected = Proto::read(&folder.join(format!("{stem}_output_0.pb")))?;
            let outputs = match run(&gpu, file, &[input]) {
                // AlexNet's dense layers are larger than what software adapters bind.
                Err(why) if why.contains("this device allows") => return Ok(Verdict::Unsupported(why)),
                other => other?,
            };
            hold(&outputs[0].values, &expected.values(), 1e-7, 1e-3).map(|()| Verdict::Passed)
        });
    }
    let tally = tally.finish("networks");
    let too_large = tally.skipped.keys().filter(|reason| reason.contains("this device allows")).count();
    assert!(!onnx::is_whole() || tally.passed + too_large == 4, "{} of 4 passed", tally.passed);
}

/// The models that were exported from Keras, against what Keras computes.
#[test]
fn exported_models_agree_with_keras() {
    let Some(gpu) = gpu::gpu() else { return };
    let mut tally = Tally::default();
    let models = fixtures::directory().join("models");
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(&models).unwrap().filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.retain(|folder| folder.join("model.onnx").is_file());
    folders.sort();
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        tally.run(&name, &[], || {
            let file = OnnxFile::open(folder.join("model.onnx")).map_err(|error| error.to_string())?;
            if !file.unsupported().is_empty() {
                return Ok(obstacle(&file));
            }
            let tensors = fixtures::tensors(&folder.join("expected.safetensors"))?;
            let tensor = |kind: &str, index: usize| {
                let key = format!("{kind}_{index}");
                tensors.get(&key).ok_or_else(|| format!("expected.safetensors has no {key}"))
            };
            let mut inputs = Vec::new();
            for (index, input) in file.inputs().iter().enumerate() {
                let array = tensor("input", index)?;
                inputs.push(Proto::of(&input.name, &array.shape, array.to_f32()));
            }
            for (index, output) in run(&gpu, file, &inputs)?.iter().enumerate() {
                let expected = tensor("output", index)?;
                let off = dev(&output.values, &expected.data);
                if output.shape.dims() != expected.shape || off > MODEL_DEV {
                    return Err(format!("output {index} of shape {} is {off:e} off", output.shape));
                }
            }
            Ok(Verdict::Passed)
        });
    }
    let tally = tally.finish("models");
    assert!(tally.passed > 0, "no model passed");
}

/// The files in `folder` with this ending, sorted; none where there is no such folder.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == ending)).collect();
    files.sort();
    files
}
