//! The library against the numbers of Keras itself: every layer case, activation, refusal, initializer, config and model
//! of the conformance material whose class the library has. The rest is counted as skipped, with the reason.
//!
//! `CONFORMANCE_DIR` names the whole material; without it the part that the repository carries is run. Each suite prints
//! one line, `suite: P passed, F failed, S skipped (reasons)`, past the capture of the test harness.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;
#[path = "common/initial.rs"]
pub mod initial;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use common::fixtures::{self, Case, dev};
use common::keras;
use common::reference::Array;
use common::tolerance::{self, GRADIENT_DEV, MODEL_DEV, Storage, forward_dev};
use serde_json::{Value, json};
use wgpu_conv::formats::KerasFile;
use wgpu_conv::layers::{LayerConfig, ReadOptions};
use wgpu_conv::{Activation, Error, Gpu, HostTensor, PartialShape, Shape, Tensor, Tuning, layers};

/// The suites of `keras/layers` that must be present and hold cases that pass.
const REQUIRED: [&str; 21] = [
    "conv2d",
    "conv2d_big",
    "pointwise",
    "depthwise2d",
    "depthwise2d_big",
    "separable2d",
    "stride_and_dilation",
    "half",
    "keras_own",
    "misc",
    "pool2d",
    "merge",
    "conv1d",
    "conv3d",
    "conv1d_transpose",
    "conv2d_transpose",
    "conv3d_transpose",
    "depthwise1d",
    "separable1d",
    "pool1d",
    "pool3d",
];

/// The topics of `keras/functions` that must be present and hold cases that pass.
const REQUIRED_TOPICS: [&str; 3] = ["activations", "errors", "initializers"];

/// The classes that the library has: none of their cases may be passed over.
const CLASSES: [&str; 65] = [
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "BatchNormalization",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Dot",
    "Dropout",
    "ELU",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "Identity",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "SeparableConv1D",
    "SeparableConv2D",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "Subtract",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
];

/// Why a case was not run.
struct Skip(String);

/// What became of one case.
type Outcome = Result<Option<Skip>, String>;

fn skip(reason: impl Into<String>) -> Outcome {
    Ok(Some(Skip(reason.into())))
}

/// The outcomes of a suite.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<String>,
    skipped: BTreeMap<String, usize>,
}

impl Tally {
    /// Runs one case; a panic is a failure of it.
    fn run(&mut self, id: impl Into<String>, check: impl FnOnce() -> Outcome) {
        let outcome = catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Err(format!("panicked: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message")))
        });
        match outcome {
            Ok(None) => self.passed += 1,
            Ok(Some(Skip(reason))) => *self.skipped.entry(reason).or_insert(0) += 1,
            Err(why) => self.failed.push(format!("  {}: {why}", id.into())),
        }
    }

    /// Prints the suite's line.
    ///
    /// # Panics
    /// When a case failed, or when the suite is required and none passed.
    #[track_caller]
    fn finish(self, suite: &str, required: bool) {
        let reasons: Vec<String> = self.skipped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        let skipped: usize = self.skipped.values().sum();
        let line = format!("{suite}: {} passed, {} failed, {skipped} skipped{reasons}", self.passed, self.failed.len());
        say(&line);
        assert!(self.failed.is_empty(), "{line}\n{}", self.failed.join("\n"));
        assert!(!required || self.passed > 0, "{line}: a required suite must have cases that pass");
    }
}

/// Prints a line that a passing test shows too.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// The device, or a line that says why a suite was not run.
fn gpu_for(suite: &str) -> Option<Gpu> {
    let gpu = gpu::gpu();
    if gpu.is_none() {
        say(&format!("{suite}: not run (no GPU)"));
    }
    gpu
}

/// The suites below `directory`, or why there are none.
fn layer_suites(directory: &Path) -> Result<BTreeSet<String>, String> {
    json_files(&directory.join("keras/layers"))
}

fn json_files(folder: &Path) -> Result<BTreeSet<String>, String> {
    let entries = std::fs::read_dir(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let suites: BTreeSet<String> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "json") && path.with_extension("safetensors").is_file())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    if suites.is_empty() { Err(format!("{} holds no suite", folder.display())) } else { Ok(suites) }
}

/// The description of a case's layer, or the reason why the library has none. Strides may be combined with dilation, as
/// in the Keras that made the numbers (D1).
fn describe(class: &str, config: &Value) -> Result<LayerConfig, Result<Skip, String>> {
    let options = ReadOptions { strided_dilation: true };
    LayerConfig::from_config_with(class, config, options).map_err(|error| match error {
        Error::Unsupported { .. } if !is_ours(class) => Ok(Skip(class.to_owned())),
        error => Err(error.to_string()),
    })
}

/// Whether the library has this class at all: asked with a config that is wrong for every one.
fn is_ours(class: &str) -> bool {
    !matches!(LayerConfig::from_config(class, &json!([])), Err(Error::Unsupported { .. }))
}

fn host(array: &Array) -> HostTensor {
    HostTensor { shape: array.shape.clone().into(), values: array.to_f32() }
}

/// One layer case: shapes, weights, and the output within `limit`, under the dtype policy `policy`.
fn check_layer(gpu: &Gpu, case: &Case, policy: Option<&str>, limit: f64) -> Outcome {
    let mut config = case.config.clone();
    if let Some(policy) = policy {
        config["dtype"] = policy.into();
    }
    let described = match describe(&case.class, &config) {
        Ok(described) => described,
        Err(Ok(skipped)) => return Ok(Some(skipped)),
        Err(Err(why)) => return Err(why),
    };
    let golden = keras::golden(case)?;
    let fail = |why: String| format!("{} {config}: {why}", case.class);
    let error = |error: Error| fail(error.to_string());
    let shapes: Vec<PartialShape> = case.x.iter().map(|x| Shape::from(x.shape.as_slice()).into()).collect();
    let promised = described.output_shape_all(&shapes).map_err(error)?;
    let layer = described.build_all(gpu, &shapes).map_err(error)?;
    let declared: Vec<_> = layer.weights().iter().map(|w| (w.name().to_owned(), w.shape().dims().to_vec())).collect();
    let expected: Vec<_> = case.weights.iter().map(|(name, array)| (name.clone(), array.shape.clone())).collect();
    if declared != expected {
        return Err(fail(format!("weights {declared:?}, Keras has {expected:?}")));
    }
    layer.set_weights(&case.weights.iter().map(|(_, array)| host(array)).collect::<Vec<_>>()).map_err(error)?;
    let upload = |x: &Array| match policy {
        Some("float16") => Tensor::from_slice(gpu, x.shape.as_slice(), &x.to_f16()),
        _ => Tensor::from_slice(gpu, x.shape.as_slice(), &x.to_f32()),
    };
    let inputs = case.x.iter().map(upload).collect::<Result<Vec<_>, _>>().map_err(error)?;
    let output = layer.call_all(&inputs).map_err(error)?;
    if output.shape().dims() != golden.shape || promised != PartialShape::from(output.shape()) {
        let got = output.shape();
        return Err(fail(format!("shape {got}, promised {promised}, Keras has {:?}", golden.shape)));
    }
    hold(&output.read::<f32>().map_err(error)?, &golden, limit).map_err(fail)
}

/// `got` within `limit` of `golden`.
fn hold(got: &[f32], golden: &Array, limit: f64) -> Outcome {
    let deviation = dev(got, &golden.data);
    if deviation <= limit {
        return Ok(None);
    }
    let largest = golden.data.iter().filter(|y| y.is_finite()).fold(0.05, |max: f64, y| max.max(y.abs()));
    let off = |(a, b): (&f32, &f64)| !((f64::from(*a) - b).abs() <= limit * largest || f64::from(*a) == *b);
    let first = got.iter().zip(&golden.data).position(off).unwrap_or_default();
    Err(format!(
        "dev {deviation:.3e} above {limit:.0e}; first at {first}: received {:e}, expected {:e}",
        got[first], golden.data[first]
    ))
}

/// Runs a layer suite, under `policy` if it is given.
#[track_caller]
fn run_suite(suite: &str, policy: Option<&str>, limit: f64) {
    let name = policy.map_or(suite.to_owned(), |policy| format!("{suite} {policy}"));
    let Some(gpu) = gpu_for(&name) else { return };
    run_suite_on(&gpu, &name, suite, policy, limit);
}

fn run_suite_on(gpu: &Gpu, name: &str, suite: &str, policy: Option<&str>, limit: f64) {
    let mut tally = Tally::default();
    for case in fixtures::suite(suite) {
        tally.run(&case.id, || check_layer(gpu, &case, policy, limit));
    }
    tally.finish(name, true);
}

#[test]
fn conv2d() {
    run_suite("conv2d", None, forward_dev(Storage::F32));
}

#[test]
fn conv2d_big() {
    run_suite("conv2d_big", None, forward_dev(Storage::F32));
}

#[test]
fn pointwise() {
    run_suite("pointwise", None, forward_dev(Storage::F32));
}

#[test]
fn depthwise2d() {
    run_suite("depthwise2d", None, forward_dev(Storage::F32));
}

#[test]
fn depthwise2d_big() {
    run_suite("depthwise2d_big", None, forward_dev(Storage::F32));
}

#[test]
fn separable2d() {
    run_suite("separable2d", None, forward_dev(Storage::F32));
}

/// The same where whatever can be is taken in one pass.
#[test]
fn separable2d_in_one_pass() {
    for plan in ["conv_separable_f32x4_64x64", "conv_separable_subgroup_f32x4_8x32"] {
        let name = format!("separable2d by {plan}");
        let Some(shared) = gpu_for(&name) else { return };
        let gpu = Gpu::from_wgpu(shared.device().clone(), shared.queue().clone());
        gpu.set_tuning(Tuning::Pin(plan.to_owned()));
        run_suite_on(&gpu, &name, "separable2d", None, forward_dev(Storage::F32));
    }
}

#[test]
fn stride_and_dilation() {
    run_suite("stride_and_dilation", None, forward_dev(Storage::F32));
}

#[test]
fn keras_own() {
    run_suite("keras_own", None, forward_dev(Storage::F32));
}

#[test]
fn merge() {
    run_suite("merge", None, forward_dev(Storage::F32));
}

#[test]
fn conv1d() {
    run_suite("conv1d", None, forward_dev(Storage::F32));
}

#[test]
fn conv3d() {
    run_suite("conv3d", None, forward_dev(Storage::F32));
}

#[test]
fn conv1d_transpose() {
    run_suite("conv1d_transpose", None, forward_dev(Storage::F32));
}

#[test]
fn conv3d_transpose() {
    run_suite("conv3d_transpose", None, forward_dev(Storage::F32));
}

#[test]
fn depthwise1d() {
    run_suite("depthwise1d", None, forward_dev(Storage::F32));
}

#[test]
fn separable1d() {
    run_suite("separable1d", None, forward_dev(Storage::F32));
}

#[test]
fn pool1d() {
    run_suite("pool1d", None, forward_dev(Storage::F32));
}

#[test]
fn pool3d() {
    run_suite("pool3d", None, forward_dev(Storage::F32));
}

#[test]
fn conv2d_transpose() {
    run_suite("conv2d_transpose", None, forward_dev(Storage::F32));
}

#[test]
fn misc() {
    run_suite("misc", None, forward_dev(Storage::F32));
}

#[test]
fn pool2d() {
    run_suite("pool2d", None, forward_dev(Storage::F32));
}

/// Halves in f32, which accumulates and stores in f32.
#[test]
fn half_in_f32() {
    run_suite("half", None, forward_dev(Storage::F32));
}

/// Halves stored as halves, by the device or, where it has none, by rounding.
#[test]
fn half_in_f16() {
    run_suite("half", Some("emulated_float16"), forward_dev(Storage::F16));
    match gpu::gpu() {
        Some(gpu) if !gpu.caps().f16 => say("half float16: not run (the adapter has no f16)"),
        _ => run_suite("half", Some("float16"), forward_dev(Storage::F16)),
    }
}

/// The layer of a case with its weights, and its inputs on the device; `Err(Ok(…))` where the library has no such class.
fn loaded(gpu: &Gpu, case: &Case) -> Result<(layers::Layer, Vec<Tensor>), Result<Skip, String>> {
    let error = |error: Error| Err(format!("{} {}: {error}", case.class, case.config));
    let described = describe(&case.class, &case.config)?;
    let shapes: Vec<PartialShape> = case.x.iter().map(|x| Shape::from(x.shape.as_slice()).into()).collect();
    let layer = described.build_all(gpu, &shapes).map_err(error)?;
    layer.set_weights(&case.weights.iter().map(|(_, array)| host(array)).collect::<Vec<_>>()).map_err(error)?;
    let upload = |x: &Array| Tensor::from_slice(gpu, x.shape.as_slice(), &x.to_f32());
    let inputs = case.x.iter().map(upload).collect::<Result<Vec<_>, _>>().map_err(error)?;
    Ok((layer, inputs))
}

/// One gradient case: to the inputs and to every trainable weight.
fn check_gradients(gpu: &Gpu, case: &Case) -> Outcome {
    let (layer, inputs) = match loaded(gpu, case) {
        Ok(loaded) => loaded,
        Err(skipped) => return skipped.map(Some),
    };
    let fail = |why: String| format!("{} {}: {why}", case.class, case.config);
    let error = |error: Error| fail(error.to_string());
    let gy = case.gy.as_ref().ok_or("a case without gy")?;
    let gradient = Tensor::from_slice(gpu, gy.shape.as_slice(), &gy.to_f32()).map_err(error)?;
    let made = layer.gradients(&inputs, &gradient, case.training).map_err(error)?;
    let names: Vec<_> = made.weights.iter().map(|(name, _)| name.as_str()).collect();
    let expected: Vec<_> = case.gw.iter().map(|(name, _)| name.as_str()).collect();
    if names != expected || made.inputs.len() != case.gx.len() {
        return Err(fail(format!("gradients of {names:?}, Keras has {expected:?}")));
    }
    let to_inputs = made.inputs.iter().zip(&case.gx).map(|(made, golden)| ("the input", made, golden));
    let to_weights = made.weights.iter().zip(&case.gw).map(|((name, made), (_, golden))| (name.as_str(), made, golden));
    for (name, made, golden) in to_inputs.chain(to_weights) {
        if made.shape().dims() != golden.shape {
            return Err(fail(format!("to {name}: shape {}, Keras has {:?}", made.shape(), golden.shape)));
        }
        hold(&made.read::<f32>().map_err(error)?, golden, GRADIENT_DEV)
            .map_err(|why| fail(format!("to {name}: {why}")))?;
    }
    Ok(None)
}

/// One case in training mode: the output, and the weights afterwards.
fn check_training(gpu: &Gpu, case: &Case) -> Outcome {
    let (layer, inputs) = match loaded(gpu, case) {
        Ok(loaded) => loaded,
        Err(skipped) => return skipped.map(Some),
    };
    let fail = |why: String| format!("{} {}: {why}", case.class, case.config);
    let error = |error: Error| fail(error.to_string());
    let output = layer.call_in_training(&inputs).map_err(error)?;
    hold(&output.read::<f32>().map_err(error)?, &case.y, forward_dev(Storage::F32)).map_err(fail)?;
    let after = layer.get_weights().map_err(error)?;
    for (name, golden) in &case.after {
        let place = layer.weights().iter().position(|weight| weight.name() == name);
        let place = place.ok_or_else(|| fail(format!("there is no weight {name}")))?;
        hold(&after[place].values, golden, forward_dev(Storage::F32)).map_err(|why| fail(format!("{name}: {why}")))?;
    }
    Ok(None)
}

#[test]
fn grad() {
    run_each("grad", check_gradients);
}

#[test]
fn bn_train() {
    run_each("bn_train", check_training);
    run_each("bn_train, gradients", check_gradients);
}

#[track_caller]
fn run_each(suite: &str, check: fn(&Gpu, &Case) -> Outcome) {
    let Some(gpu) = gpu_for(suite) else { return };
    let mut tally = Tally::default();
    for case in fixtures::suite(suite.split(',').next().unwrap_or(suite)) {
        tally.run(&case.id, || check(&gpu, &case));
    }
    tally.finish(suite, true);
}

/// The suites that are not required: what the library has of them must be right; of `grad` the forward side
/// stands here, and its gradients above.
#[test]
fn other_layer_suites() {
    let Some(gpu) = gpu_for("other layer suites") else { return };
    let suites = layer_suites(&fixtures::directory()).unwrap_or_else(|why| panic!("{why}"));
    for suite in suites.iter().filter(|suite| !REQUIRED.contains(&suite.as_str()) && *suite != "bn_train") {
        let mut tally = Tally::default();
        let cases = fixtures::suite(suite);
        for case in &cases {
            tally.run(&case.id, || check_layer(&gpu, case, None, forward_dev(Storage::F32)));
        }
        let note = if suite == "grad" { "grad, forward only" } else { suite };
        tally.finish(note, false);
    }
}

/// What Keras itself cannot call, the library refuses when the layer is constructed (A1).
#[test]
fn refused() {
    let path = fixtures::path("keras/layers/refused.json");
    let text = std::fs::read_to_string(&path).expect("the file");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let mut tally = Tally::default();
    for case in json.as_array().or(json["cases"].as_array()).expect("cases") {
        let class = case["class"].as_str().unwrap_or_default();
        tally.run(case["id"].to_string(), || match describe(class, &case["config"]) {
            Err(Ok(skipped)) => Ok(Some(skipped)),
            Err(Err(why)) if why.contains("threshold") => Ok(None),
            Err(Err(why)) => Err(format!("refused for another reason: {why}")),
            Ok(_) => Err("accepted".to_owned()),
        });
    }
    tally.finish("refused", true);
}

/// Every serialised layer is read and written back the same.
#[test]
fn configs() {
    let suites = layer_suites(&fixtures::directory()).unwrap_or_else(|why| panic!("{why}"));
    let mut tally = Tally::default();
    for suite in suites {
        for case in fixtures::suite(&suite) {
            let Some(json) = case.keras else { continue };
            tally.run(&case.id, || {
                if !is_ours(&case.class) {
                    return skip(case.class.clone());
                }
                let read = match LayerConfig::from_json(&json) {
                    Ok((layer, built)) => (layer, built),
                    // D1: refused by default, and read with the option that says so.
                    Err(error) if error.to_string().contains("in conjunction with `dilation_rate") => {
                        let layer = match describe(&case.class, &json["config"]) {
                            Ok(layer) => layer,
                            Err(why) => return why.map(Some),
                        };
                        (layer, vec![Shape::from(case.input_shape.as_slice()).into()])
                    }
                    Err(error) => return Err(error.to_string()),
                };
                let written = read.0.to_json(&read.1).map_err(|error| error.to_string())?;
                if written == json { Ok(None) } else { Err(format!("read {json}, wrote {written}")) }
            });
        }
    }
    tally.finish("configs", true);
}

/// An activation with the arguments of a case.
fn activation(name: &str, parameters: &[(&str, f64)]) -> Result<Activation, Error> {
    let given = |parameter: &str| parameters.iter().find(|(known, _)| *known == parameter).map(|&(_, v)| v as f32);
    if name == "threshold" {
        let (threshold, default_value) = (given("threshold"), given("default_value"));
        if let (Some(threshold), Some(default_value)) = (threshold, default_value) {
            return Ok(Activation::Threshold { threshold, default_value });
        }
    }
    let mut activation = Activation::from_name(name)?;
    for (parameter, slot) in match &mut activation {
        Activation::Relu { negative_slope, max_value, threshold } => {
            *max_value = given("max_value");
            vec![("negative_slope", negative_slope), ("threshold", threshold)]
        }
        Activation::LeakyRelu { negative_slope } => vec![("negative_slope", negative_slope)],
        Activation::Elu { alpha } | Activation::Celu { alpha } => vec![("alpha", alpha)],
        Activation::Squareplus { b } => vec![("b", b)],
        Activation::HardShrink { threshold } | Activation::SoftShrink { threshold } => vec![("threshold", threshold)],
        Activation::Softmax { axis }
        | Activation::LogSoftmax { axis }
        | Activation::Sparsemax { axis }
        | Activation::Glu { axis } => {
            *axis = given("axis").map_or(-1, |axis| axis as i32);
            Vec::new()
        }
        _ => Vec::new(),
    } {
        *slot = given(parameter).unwrap_or(*slot);
    }
    if let Activation::Gelu { approximate } = &mut activation {
        *approximate = given("approximate").is_some_and(|flag| flag != 0.0);
    }
    Ok(activation)
}

/// Each activation on its own pass over the GPU: within the forward limit of Keras, within the tolerance of the function
/// (A7) of exact arithmetic, and exactly where the function only selects or clamps.
#[test]
fn activations() {
    let Some(gpu) = gpu_for("activations") else { return };
    let topic = fixtures::topic("activations");
    let mut tally = Tally::default();
    for case in &topic.cases {
        let field = |name: &str| case[name].as_str().unwrap_or_default();
        let (name, parameters) = (field("name"), keras::parameters(&case["args"]));
        tally.run(format!("{} {name} {}", field("id"), case["args"]), || {
            let (x, y) = (&topic.tensors[field("x")], &topic.tensors[field("y")]);
            let run = || {
                let layer = layers::ActivationLayer::new(activation(name, &parameters)?)
                    .build(&gpu, Shape::from(x.shape.as_slice()))?;
                let output = layer.call(&Tensor::from_slice(&gpu, x.shape.as_slice(), &x.to_f32())?)?;
                Ok((output.shape().dims().to_vec(), output.read::<f32>()?))
            };
            let (shape, got) = run().map_err(|error: Error| error.to_string())?;
            if shape != y.shape {
                return Err(format!("shape {shape:?}, Keras has {:?}", y.shape));
            }
            let mut expected = tolerance::activated(x, &x.map(|_| 0.0), name, &parameters, Storage::F32);
            // Overflow to infinity is part of the golden, which is stored as f32.
            for y in &mut expected.exact.data {
                if (*y as f32).is_infinite() {
                    *y = f64::from(*y as f32);
                }
            }
            expected.check(&got)?;
            let golden = if name == "sparsemax" { &expected.exact } else { y };
            let selects = tolerance::activation_error(name, &parameters, 1.0, 1.0) == 0.0;
            hold(&got, golden, if selects { 0.0 } else { forward_dev(Storage::F32) })
        });
    }
    tally.finish("activations", true);
}

/// When Keras raised, in the order of a layer's life.
const STAGES: [&str; 5] = ["construct", "build", "compute_output_shape", "call", "none"];

/// Bad arguments are refused at the stage at which Keras refuses them or earlier, and the message names what Keras's
/// does; what Keras accepts is accepted.
#[test]
fn errors() {
    let Some(gpu) = gpu_for("errors") else { return };
    let mut tally = Tally::default();
    for case in &fixtures::topic("errors").cases {
        let class = case["class"].as_str().unwrap_or_default();
        tally.run(format!("{} {class} {}", case["id"], case["config"]), || {
            if !is_ours(class) {
                return skip(class);
            }
            let expected = case["stage"].as_str().unwrap_or_default();
            let message = case["error"]["message"].as_str().unwrap_or_default();
            let (stage, error) = live(&gpu, case);
            let place = |stage: &str| STAGES.iter().position(|known| *known == stage);
            if expected == "none" && only_when_called(case) {
                return match stage {
                    "construct" => Ok(None),
                    _ => Err(format!("not refused when constructed, but at {stage}")),
                };
            }
            if place(stage) > place(expected) || (expected == "none") != (stage == "none") {
                return Err(format!("raised at {stage} ({error:?}), Keras at {expected}: {message}"));
            }
            let Some(error) = error else { return Ok(None) };
            let text = error.to_string();
            match named_in(message).iter().find(|name| !text.contains(**name)) {
                Some(name) => Err(format!("{text:?} does not name {name}, as Keras does: {message}")),
                None => Ok(None),
            }
        });
    }
    tally.finish("errors", true);
}

/// Whether Keras constructs a layer from arguments that it then cannot call it with; the library says so at once.
fn only_when_called(case: &Value) -> bool {
    let config = &case["config"];
    let pooling = case["class"].as_str().is_some_and(|class| class.contains("Pooling"));
    let causal = config["padding"] == "causal";
    let no_step = config["strides"] == 0 || config["strides"].as_array().is_some_and(|s| s.contains(&json!(0)));
    let method = config["interpolation"].as_str();
    pooling && (causal || no_step) || method.is_some_and(|name| !["nearest", "bilinear", "bicubic"].contains(&name))
}

/// Takes a layer through its life until it is refused.
fn live(gpu: &Gpu, case: &Value) -> (&'static str, Option<Error>) {
    let options = ReadOptions { strided_dilation: true };
    let class = case["class"].as_str().unwrap_or_default();
    let shape = |json: &Value| {
        let dims = json.as_array()?.iter().map(|dim| dim.as_u64().map(|dim| dim as usize)).collect::<Vec<_>>();
        Some(PartialShape::from(dims))
    };
    // One shape, or one for each input.
    let shapes = |key: &str| match case[key].as_array() {
        Some(several) if several.first().is_some_and(Value::is_array) => several.iter().map(shape).collect(),
        _ => shape(&case[key]).map(|only| vec![only]),
    };
    let config = match LayerConfig::from_config_with(class, &case["config"], options) {
        Ok(config) => config,
        Err(error) => return ("construct", Some(error)),
    };
    let Some(built) = shapes("build_shape") else { return ("none", None) };
    let layer = match config.build_all(gpu, &built) {
        Ok(layer) => layer,
        Err(error) => return ("build", Some(error)),
    };
    let Some(called) = shapes("call_shape") else { return ("none", None) };
    if let Err(error) = layer.output_shape_all(&called) {
        return ("compute_output_shape", Some(error));
    }
    let zeros = |called: &PartialShape| {
        let called = called.known().expect("a call shape is known");
        let zeros = vec![0.0f32; called.dims().iter().product()];
        Tensor::from_slice(gpu, called, &zeros)
    };
    match called.iter().map(zeros).collect::<Result<Vec<_>, _>>().and_then(|inputs| layer.call_all(&inputs)) {
        Ok(_) => ("none", None),
        Err(error) => ("call", Some(error)),
    }
}

/// What a message of Keras's is about, in the words the library uses for it.
fn named_in(message: &str) -> Vec<&'static str> {
    const ARGUMENTS: [&str; 16] = [
        "cropping",
        "kernel_size",
        "pool_size",
        "size",
        "dilation_rate",
        "strides",
        "padding",
        "data_format",
        "activation",
        "filters",
        "depth_multiplier",
        "groups",
        "units",
        "max_value",
        "negative_slope",
        "rate",
    ];
    if message.starts_with("Computed output size") && message.contains("pool_size") {
        return vec!["output size", "input shape", "pool_size", "strides", "padding"];
    }
    if message.starts_with("Computed output size") {
        return vec!["output size", "input shape", "kernel_size", "dilation_rate", "strides", "padding"];
    }
    if message.contains("incompatible with the layer") || message.starts_with("Kernel shape must") {
        return vec!["input shape"];
    }
    if message.contains("matching shapes") || message.contains("incompatible shapes") {
        return vec!["input shapes"];
    }
    if message.starts_with("tuple index") {
        return vec!["axis"];
    }
    if message.starts_with("unsupported operand") {
        return vec!["channels"];
    }
    if message.starts_with("Number of groups") {
        return vec!["groups", "channels"];
    }
    let first = ARGUMENTS.into_iter().filter(|name| message.contains(name)).min_by_key(|name| message.find(name));
    vec![first.unwrap_or_else(|| panic!("which argument is meant? {message}"))]
}

/// Initial values of layers against the laws that the material predicts, as closely as so many draws can show.
#[test]
fn initializers() {
    let Some(gpu) = gpu_for("initializers") else { return };
    let mut tally = Tally::default();
    for case in &fixtures::topic("initializers").cases {
        let kind = case["for"].as_str().unwrap_or("Orthogonal");
        tally.run(format!("{} {kind} {} {}", case["id"], case["class"], case["args"]), || {
            let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).map_err(|why| why.to_string())?;
            let initializer = match &case["config"] {
                Value::Null => json!({"class_name": case["class"], "config": case["args"]}),
                config => config.clone(),
            };
            let Some((class, config, input, weight)) = initial::layer(kind, &shape, initializer) else {
                return skip(kind.split(' ').next().unwrap_or(kind));
            };
            let options = ReadOptions::default();
            let layer =
                LayerConfig::from_config_with(class, &config, options).and_then(|layer| layer.build(&gpu, input));
            let weights = layer.map_err(|error| error.to_string())?.get_weights().unwrap();
            let values = &weights[weight];
            if values.shape.dims() != shape {
                return Err(format!("shape {}, Keras has {shape:?}", values.shape));
            }
            match case["class"].as_str() {
                Some("Orthogonal") => {
                    initial::check_orthogonal(&values.values, &shape, case["args"]["gain"].as_f64().unwrap_or(1.0))
                }
                _ => initial::Law::of(case)?.check(&values.values),
            }
            .map(|()| None)
        });
    }
    tally.finish("initializers", true);
}

/// Whole models of the classes the library has: outputs, the statistics of every layer, and the labels.
#[test]
fn models() {
    let Some(gpu) = gpu_for("models") else { return };
    let folder = fixtures::directory().join("models");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut folders: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    folders.sort();
    let mut tally = Tally::default();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        tally.run(&name, || check_model(&gpu, folder, &name));
    }
    tally.finish("models", true);
}

fn check_model(gpu: &Gpu, folder: &Path, name: &str) -> Outcome {
    let file = KerasFile::open(folder.join("model.keras"));
    let file = match file {
        Ok(file) => file,
        Err(error) if name != "digits" => return skip(format!("{name}: {error}")),
        Err(error) => return Err(error.to_string()),
    };
    if let Some(layer) = file.unsupported().first().filter(|_| name != "digits") {
        return skip(format!("{name}: {}", layer.class));
    }
    let error = |error: Error| error.to_string();
    let model = file.build(gpu).map_err(error)?;
    let tensors = fixtures::tensors(&folder.join("expected.safetensors"))?;
    let numbered = |prefix: &str| (0..).map_while(|i| tensors.get(&format!("{prefix}_{i}"))).collect::<Vec<_>>();
    let inputs = numbered("input").into_iter().map(|x| Tensor::from_slice(gpu, x.shape.as_slice(), &x.to_f32()));
    let inputs = inputs.collect::<Result<Vec<_>, _>>().map_err(error)?;
    let outputs = model.call_all(&inputs).map_err(error)?;
    let golden = numbered("output");
    if golden.is_empty() || outputs.len() != golden.len() {
        return Err(format!("{} outputs, Keras has {}", outputs.len(), golden.len()));
    }
    for (output, golden) in outputs.iter().zip(golden) {
        if output.shape().dims() != golden.shape {
            return Err(format!("output of shape {}, Keras has {:?}", output.shape(), golden.shape));
        }
        hold(&output.read::<f32>().map_err(error)?, golden, MODEL_DEV)?;
    }
    if let Some(labels) = tensors.get("keras_pred") {
        let scores = outputs[0].read::<f32>().map_err(error)?;
        let rows = scores.chunks(scores.len() / labels.data.len());
        let predicted =
            rows.map(|row| (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best }) as f64);
        let wrong = predicted.zip(&labels.data).filter(|(got, label)| got != *label).count();
        if wrong > 0 {
            return Err(format!("{wrong} of {} labels differ from Keras's", labels.data.len()));
        }
    }
    let layers = folder.join("layers.json");
    if !layers.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&layers).map_err(|why| why.to_string())?;
    let statistics: Vec<Value> = serde_json::from_str(&text).map_err(|why| why.to_string())?;
    let recorded = model.call_recorded(&inputs).map_err(error)?;
    let layers: Vec<_> = statistics.iter().filter(|layer| layer["class"] != "InputLayer").collect();
    // A layer that is applied twice has one row.
    let mut paths = HashSet::new();
    let distinct: Vec<_> = recorded.iter().filter(|application| paths.insert(&application.path)).collect();
    for (place, golden) in layers.iter().enumerate() {
        let layer = golden["layer"].as_str().unwrap_or_default();
        // Automatic names count on from model to model, so the statistics may have others than the file: then the place.
        let in_place = distinct.get(place).copied().filter(|_| distinct.len() == layers.len());
        let Some(application) = recorded.iter().find(|application| application.path == layer).or(in_place) else {
            return Err(format!("there is no layer {layer}"));
        };
        check_statistics(&application.output, golden).map_err(|why| format!("layer {layer}: {why}"))?;
    }
    Ok(None)
}

/// Mean, standard deviation, extremes and the values at both ends, in units of the largest.
fn check_statistics(output: &Tensor, golden: &Value) -> Outcome {
    let shape: Vec<usize> = serde_json::from_value(golden["shape"].clone()).map_err(|why| why.to_string())?;
    if output.shape().dims() != shape {
        return Err(format!("shape {}, Keras has {shape:?}", output.shape()));
    }
    let values = output.read::<f32>().map_err(|error| error.to_string())?;
    let count = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
    let extreme = |pick: fn(f32, f32) -> f32| values.iter().copied().reduce(pick).unwrap_or_default();
    let mut got = vec![mean as f32, variance.sqrt() as f32, extreme(f32::min), extreme(f32::max)];
    let mut expected: Vec<f64> = ["mean", "std", "min", "max"].iter().filter_map(|key| golden[*key].as_f64()).collect();
    let list = |key: &str| golden[key].as_array().into_iter().flatten().filter_map(Value::as_f64).collect::<Vec<_>>();
    let (first, last) = (list("first8"), list("last4"));
    got.extend(&values[..first.len()]);
    got.extend(&values[values.len() - last.len()..]);
    expected.extend(first.into_iter().chain(last));
    hold(&got, &Array::new([expected.len()], expected), MODEL_DEV)
}

/// The directory in use holds every required suite, and what is there is known: a suite that came to the material must
/// be listed here, as required or as other.
#[test]
fn the_material_is_complete() {
    for directory in [fixtures::directory(), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conformance")] {
        let place = directory.display();
        let suites = layer_suites(&directory).unwrap_or_else(|why| panic!("{why}"));
        for suite in REQUIRED {
            assert!(suites.contains(suite), "{place} lacks the suite {suite}");
            let cases = fixtures::suite_in(&directory, suite).unwrap_or_else(|why| panic!("{why}"));
            assert!(cases.iter().any(|case| is_ours(&case.class)), "{place}: {suite} has no case for the library");
        }
        let topics = json_files(&directory.join("keras/functions")).unwrap_or_else(|why| panic!("{why}"));
        for topic in REQUIRED_TOPICS {
            assert!(topics.contains(topic), "{place} lacks the topic {topic}");
        }
        assert!(directory.join("models/digits/model.keras").is_file(), "{place} lacks the model digits");
    }
    let topics = json_files(&fixtures::directory().join("keras/functions")).unwrap_or_else(|why| panic!("{why}"));
    for topic in topics.iter().filter(|topic| !REQUIRED_TOPICS.contains(&topic.as_str())) {
        say(&format!("{topic}: see tests/training.rs"));
    }
}

#[test]
fn every_class_is_known() {
    for class in CLASSES {
        assert!(is_ours(class), "{class} is not read");
    }
}

#[test]
fn an_empty_directory_fails() {
    let empty = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty-conformance");
    std::fs::create_dir_all(empty.join("keras/layers")).expect("a directory");
    let why = layer_suites(&empty).expect_err("no suite");
    assert!(why.contains("holds no suite"), "{why}");
    layer_suites(&empty.join("nowhere")).expect_err("no directory");
}
