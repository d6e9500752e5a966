//! Files: every format that a model comes in gives the model that Keras had, and what is saved is what was loaded.
//!
//! What is saved stays in `target/tmp/round_trip`, where `tests/keras_round_trip.py` shows it to Keras itself.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wgpu_conv::formats::{InputReader, KerasFile};
use wgpu_conv::layers::{
    ActivationLayer, BatchNormalization, Concatenate, Conv2D, ConvLSTM1D, ConvLSTM2D, ConvLSTM3D, Dense, Dropout,
    GlobalAveragePooling2D, Initializer, Layer, LayerConfig, MaxPooling2D, Normalization, ReLU, Rescaling,
    SeparableConv2D,
};
use wgpu_conv::model::{Functional, Input, Model, Sequential};
use wgpu_conv::{Activation, Gpu, HostTensor, Tensor};

use crate::common::fixtures::{dev, directory, tensors};

/// The conformance material's own limit for whole models.
const LIMIT: f64 = 1e-4;

/// The folders of models, those that need layers which do not exist yet left out with a word about each.
fn models() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory().join("models")).unwrap();
    let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.retain(|folder| {
        let file = KerasFile::open(folder.join("model.keras")).unwrap();
        for layer in file.unsupported() {
            eprintln!("skipped {}: {} ({}): {}", file.name(), layer.name, layer.class, layer.reason);
        }
        file.unsupported().is_empty()
    });
    assert!(folders.iter().any(|folder| name(folder) == "digits"), "not even digits can be built");
    folders
}

fn name(folder: &Path) -> &str {
    folder.file_name().unwrap().to_str().unwrap()
}

/// A directory for what is saved of the model `name`.
fn saved(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("round_trip").join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// `input_0`, … of a folder.
fn inputs(folder: &Path) -> Vec<HostTensor> {
    numbered(folder, "input")
}

fn numbered(folder: &Path, what: &str) -> Vec<HostTensor> {
    let tensors = tensors(&folder.join("expected.safetensors")).unwrap();
    let list = (0..).map_while(|index| tensors.get(&format!("{what}_{index}")));
    list.map(|array| HostTensor::new(array.shape.clone(), array.to_f32()).unwrap()).collect()
}

fn outputs(model: &Model, inputs: &[HostTensor]) -> Result<Vec<HostTensor>, String> {
    let text = |error: wgpu_conv::Error| error.to_string();
    let upload = |data: &HostTensor| Tensor::from_slice(model.gpu(), &data.shape, &data.values).map_err(text);
    let inputs = inputs.iter().map(upload).collect::<Result<Vec<_>, _>>()?;
    let outputs = model.call_all(&inputs).map_err(text)?;
    let read = |tensor: &Tensor| HostTensor::new(tensor.shape(), tensor.read::<f32>().map_err(text)?).map_err(text);
    outputs.iter().map(read).collect()
}

fn for_every_layer(model: &mut Model, change: impl Fn(&Layer)) {
    let paths: Vec<_> = model.layers().into_iter().map(|(path, _)| path).collect();
    for path in paths {
        change(model.get_layer(&path).unwrap());
    }
}

/// Sets every weight to 0.
fn forget(model: &mut Model) {
    for_every_layer(model, |layer| {
        let mut values = layer.get_weights().unwrap();
        values.iter_mut().for_each(|value| value.values.fill(0.0));
        layer.set_weights(&values).unwrap();
    });
}

/// Sets every weight to values of its own, all of them different and none of them special.
fn learn(model: &mut Model) {
    let count = std::cell::Cell::new(0u32);
    for_every_layer(model, |layer| {
        let mut values = layer.get_weights().unwrap();
        for value in values.iter_mut().flat_map(|value| &mut value.values) {
            count.set(count.get() + 1);
            *value = 0.05 + (count.get() % 1009) as f32 / 5003.0;
        }
        layer.set_weights(&values).unwrap();
    });
}

fn learned(model: Sequential) -> Model {
    let mut model = model.into_model().unwrap();
    learn(&mut model);
    model
}

/// Names, shapes and bits of all weights, by name: a file has the layers in Keras's order.
fn weights(model: &Model) -> Vec<(String, Vec<usize>, Vec<u32>)> {
    let bits = |value: &HostTensor| value.values.iter().map(|value| value.to_bits()).collect();
    let weights = model.weights().into_iter();
    let mut weights: Vec<_> =
        weights.map(|(path, weight)| (path, weight.shape().dims().to_vec(), bits(&weight.read().unwrap()))).collect();
    weights.sort();
    weights
}

#[test]
fn every_file_of_a_model_gives_the_outputs_keras_gave() {
    let Some(gpu) = gpu::gpu() else { return };
    let whole = ["model.keras", "model_legacy.h5"];
    let weights = ["model.weights.h5", "weights_legacy.h5", "weights.safetensors"];
    let files = |folder: PathBuf| whole.iter().chain(&weights).map(move |file| folder.join(file));
    let rows = models().into_iter().flat_map(files).filter(|file| file.exists());
    common::test_each(
        rows,
        |file| file.display().to_string(),
        |file| {
            let folder = file.parent().unwrap();
            let text = |error: wgpu_conv::Error| error.to_string();
            let whole = whole.iter().any(|name| file.ends_with(name));
            let mut model =
                Model::load(&gpu, if whole { file.clone() } else { folder.join("model.keras") }).map_err(text)?;
            if !whole {
                forget(&mut model);
                model.load_weights(file).map_err(text)?;
            }
            let expected = numbered(folder, "output");
            let got = outputs(&model, &inputs(folder))?;
            if got.len() != expected.len() {
                return Err(format!("{} outputs of {}", got.len(), expected.len()));
            }
            for (got, expected) in got.iter().zip(&expected) {
                let golden: Vec<f64> = expected.values.iter().map(|&value| value.into()).collect();
                let dev = if got.shape == expected.shape { dev(&got.values, &golden) } else { f64::INFINITY };
                if dev > LIMIT {
                    return Err(format!("dev {dev:e}, shape {}", got.shape));
                }
            }
            Ok(())
        },
    );
}

/// The config in a `.keras` file, without what Keras makes of memory addresses, and what it may leave out.
fn config(file: &Path) -> Value {
    fn plain(value: Value) -> Value {
        let said = |key: &str, value: &Value| match key {
            "shared_object_id" | "build_config" => false,
            "compile_config" => *value != json!({}),
            _ => true,
        };
        match value {
            Value::Object(map) => {
                let kept = map.into_iter().filter(|(key, value)| said(key, value));
                kept.map(|(key, value)| (key, plain(value))).collect()
            }
            Value::Array(list) => list.into_iter().map(plain).collect(),
            other => other,
        }
    }
    plain(entry(file, "config.json"))
}

/// A JSON text in a `.keras` file.
fn entry(file: &Path, name: &str) -> Value {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(file).unwrap()).unwrap();
    let mut text = String::new();
    archive.by_name(name).unwrap().read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The first place, by JSON pointer, where two values differ.
fn difference(a: &Value, b: &Value, at: &str) -> Option<String> {
    let (Some(keys), Some(others)) = (a.as_object(), b.as_object()) else {
        return match (a.as_array(), b.as_array()) {
            (Some(list), Some(others)) if list.len() == others.len() => {
                let mut pairs = list.iter().zip(others).enumerate();
                pairs.find_map(|(index, (a, b))| difference(a, b, &format!("{at}/{index}")))
            }
            _ => (a != b).then(|| format!("{at}: {a} was written as {b}")),
        };
    };
    let all: BTreeSet<_> = keys.keys().chain(others.keys()).collect();
    all.into_iter().find_map(|key| difference(&a[key], &b[key], &format!("{at}/{key}")))
}

/// Saves `model` in every format beside its `inputs` and what it makes of them, and checks that each gives it again.
fn round_trip(
    gpu: &Gpu,
    model: &Model,
    name: &str,
    inputs: &[HostTensor],
    original: Option<&Path>,
) -> Result<(), String> {
    let text = |error: wgpu_conv::Error| error.to_string();
    let folder = saved(name);
    let expected = outputs(model, inputs)?;
    let file = folder.join("model.keras");
    model.save(&file).map_err(text)?;
    let mut again = Model::load(gpu, &file).map_err(text)?;
    let (loaded, saved) = (weights(&again), weights(model));
    if loaded != saved || (original.is_some() && again.summary() != model.summary()) {
        return Err(format!("{}\nwas loaded as\n{}", model.summary(), again.summary()));
    }
    // NaN is the same as itself here.
    let bits = |list: &[HostTensor]| -> Vec<(Vec<usize>, Vec<u32>)> {
        let one = |tensor: &HostTensor| tensor.values.iter().map(|value| value.to_bits()).collect();
        list.iter().map(|tensor| (tensor.shape.dims().to_vec(), one(tensor))).collect()
    };
    if bits(&outputs(&again, inputs)?) != bits(&expected) {
        return Err("other outputs".into());
    }
    for kind in ["model.weights.h5", "weights.safetensors"] {
        model.save(folder.join(kind)).map_err(text)?;
        forget(&mut again);
        again.load_weights(folder.join(kind)).map_err(text)?;
        if weights(&again) != weights(model) {
            return Err(format!("other weights from {kind}"));
        }
    }
    // Once more, from what was loaded: nothing is lost on the way, neither to the file nor from it.
    again.save(folder.join("again.keras")).map_err(text)?;
    let written = config(&file);
    if config(&folder.join("again.keras")) != written {
        return Err("another config the second time".into());
    }
    if let Some(difference) = original.and_then(|original| difference(&config(original), &written, "")) {
        return Err(difference);
    }
    let named = |what: &str, list: &[HostTensor]| -> Vec<(String, Vec<usize>, Vec<u8>)> {
        let tensors = list.iter().enumerate();
        let bytes = |tensor: &HostTensor| tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.map(|(i, tensor)| (format!("{what}_{i}"), tensor.shape.dims().to_vec(), bytes(tensor))).collect()
    };
    let all = [named("input", inputs), named("output", &expected)].concat();
    let views = all.iter().map(|(name, shape, bytes)| {
        (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
    });
    std::fs::write(folder.join("expected.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    let original = original.map(|path| path.canonicalize().unwrap());
    std::fs::write(folder.join("origin.json"), json!({"original": original}).to_string()).unwrap();
    Ok(())
}

#[test]
fn a_file_from_keras_loses_nothing() {
    let Some(gpu) = gpu::gpu() else { return };
    common::test_each(
        models(),
        |folder| name(folder).to_owned(),
        |folder| {
            let file = folder.join("model.keras");
            let model = Model::load(&gpu, &file).map_err(|error| error.to_string())?;
            // A config of Keras 2 is written as Keras 3 writes it.
            let version = entry(&file, "metadata.json")["keras_version"].to_string();
            let original = version.starts_with("\"3.").then_some(file.as_path());
            round_trip(&gpu, &model, name(folder), &inputs(folder), original)
        },
    );
}

/// Layers of Keras's that are several here, operators, and calls that give masks or states are written as they were read.
#[test]
fn what_is_several_layers_here_is_one_again() {
    let Some(gpu) = gpu::gpu() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/findings");
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let families = ["convolved_", "layers_", "masks_", "ops_", "states_"];
    let mut names: Vec<_> = files.filter_map(|file| file.strip_suffix(".keras").map(str::to_owned)).collect();
    names.retain(|name| families.iter().any(|family| name.starts_with(family)));
    names.sort();
    assert!(names.len() > 45, "{names:?}");
    common::test_each(
        names,
        |name| name.clone(),
        |name| {
            let file = folder.join(format!("{name}.keras"));
            let model = Model::load(&gpu, &file).map_err(|error| error.to_string())?;
            let tensors = tensors(&folder.join(format!("{name}.safetensors"))).unwrap();
            let inputs = (0..).map_while(|index| tensors.get(&format!("input_{index}")));
            let inputs: Vec<_> =
                inputs.map(|array| HostTensor::new(array.shape.clone(), array.to_f32()).unwrap()).collect();
            // The vector by which a SpectralNormalization trains is not read: what it computes is written, as a model. An axis in a
            // list of one is written alone.
            let whole = !["layers_dense", "layers_wrapped", "masks_lost"].contains(&name.as_str());
            round_trip(&gpu, &model, &format!("several_{name}"), &inputs, whole.then_some(file.as_path()))
        },
    );
}

#[test]
fn layers_of_several_are_frozen_in_the_file_too() {
    let Some(gpu) = gpu::gpu() else { return };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/findings/layers_bidirectional.keras");
    let mut model = Model::load(&gpu, &file).unwrap();
    let path = saved("frozen").join("model.keras");
    for trainable in [false, true] {
        model.set_trainable("bidirectional", trainable).unwrap();
        model.save(&path).unwrap();
        let config = config(&path);
        let layers = config["config"]["layers"].as_array().unwrap().iter();
        let [layer] = layers.filter(|layer| layer["class_name"] == "Bidirectional").collect::<Vec<_>>()[..] else {
            panic!("{config}")
        };
        for pointer in ["/config/trainable", "/config/layer/config/trainable"] {
            assert_eq!(layer.pointer(pointer), Some(&json!(trainable)), "{layer}");
        }
        model = Model::load(&gpu, &path).unwrap();
        let weights = model.weights();
        assert!(weights.len() == 6 && weights.iter().all(|(_, weight)| weight.trainable() == trainable));
    }
    // A part of it has no form there.
    let (half, _) = model.layers().into_iter().find(|(_, layer)| !layer.weights().is_empty()).unwrap();
    model.set_trainable(&*half, false).unwrap();
    let error = model.save(&path).unwrap_err().to_string();
    assert!(error.contains("bidirectional (Bidirectional): some of its weights are trained"), "{error}");
}

fn ramp(shape: Vec<usize>) -> HostTensor {
    let count = shape.iter().product::<usize>();
    HostTensor::new(shape, (0..count).map(|index| (index % 23) as f32 / 11.0 - 1.0).collect()).unwrap()
}

/// A model of two inputs, layers and a model that are applied twice, and a model of two outputs within it, whose blocks
/// are named so that neither their order here nor that of their names is Keras's.
fn tangled(gpu: &Gpu) -> Model {
    let graph = Functional::new(gpu);
    let image = graph.input("image", [None, Some(6), Some(7), Some(3)]).unwrap();
    let deep = image.apply(Conv2D::new(3, 1).name("b").activation(Activation::RELU)).unwrap();
    let wide = image.apply(Conv2D::new(3, 3).name("a")).unwrap();
    let again = graph.again("b", &[&deep]).unwrap().remove(0);
    let inner = graph.model("inner", &[&image], &[&wide, &again]).unwrap();

    let chain = Sequential::new(gpu).named("chain").with_input([None, Some(6), Some(7), Some(3)]).unwrap();
    let chain = chain.with(SeparableConv2D::new(3, 3).name("same").padding(wgpu_conv::Padding::Same)).unwrap();
    let chain = chain.with(BatchNormalization::new().name("norm")).unwrap().into_model().unwrap();

    let graph = Functional::new(gpu);
    let left = graph.input("left", [None, Some(6), Some(7), Some(3)]).unwrap();
    let right = graph.input("right", [None, Some(6), Some(7), Some(3)]).unwrap();
    let short = left.apply(Conv2D::new(2, 3).name("z")).unwrap();
    let once = graph.apply_model(chain, &[&right]).unwrap().remove(0);
    let twice = graph.again("chain", &[&once]).unwrap().remove(0);
    let [wide, deep] = graph.apply_model(inner, &[&twice]).unwrap().try_into().unwrap();
    let deeper = graph.again("inner", &[&deep]).unwrap().remove(1);
    let long = deeper.apply(Conv2D::new(2, 3).name("y")).unwrap();
    let scores = long.apply(GlobalAveragePooling2D::new().name("pool")).unwrap();
    let scores = scores.apply(Dense::new(2).name("scores")).unwrap();
    let short = short.apply(ReLU::new().name("relu")).unwrap();
    let mut model = graph.model("tangled", &[&right, &left], &[&short, &scores, &wide, &deeper]).unwrap();
    learn(&mut model);
    model
}

/// Convolved recurrent layers over one to three axes, one of them with states that are given.
fn convolved(gpu: &Gpu) -> Model {
    let graph = Functional::new(gpu);
    let line = graph.input("line", [None, Some(3), Some(6), Some(2)]).unwrap();
    let plane = graph.input("plane", [None, Some(3), Some(5), Some(4), Some(2)]).unwrap();
    let space = graph.input("space", [None, Some(2), Some(3), Some(4), Some(3), Some(1)]).unwrap();
    let states = [0, 1].map(|index| graph.input(format!("state_{index}"), [None, Some(5), Some(4), Some(3)]).unwrap());
    let same = wgpu_conv::Padding::Same;
    let line_made = line.apply(ConvLSTM1D::new(2, 3).name("line_lstm").return_sequences(true)).unwrap();
    let given = ConvLSTM2D::new(3, [3, 2]).name("plane_lstm").padding(same);
    let plane_made = graph.apply(given, &[&plane, &states[0], &states[1]]).unwrap();
    let free = plane.apply(ConvLSTM2D::new(2, 2).name("free_lstm").go_backwards(true)).unwrap();
    let space_made = space.apply(ConvLSTM3D::new(2, 2).name("space_lstm")).unwrap();
    let inputs = [&line, &plane, &space, &states[0], &states[1]];
    let mut model = graph.model("convolved", &inputs, &[&line_made, &plane_made, &free, &space_made]).unwrap();
    learn(&mut model);
    model
}

#[test]
fn models_made_here_are_loaded_again() {
    let Some(gpu) = gpu::gpu() else { return };
    let input = [None, Some(6), Some(7), Some(3)];
    let chain = || {
        let model = Sequential::new(&gpu).named("chain").with_input([None, None, None, Some(3)]).unwrap();
        let model = model.with(Conv2D::new(4, 3).name("conv").activation(Activation::RELU)).unwrap();
        let model = model.with(BatchNormalization::new().name("norm")).unwrap();
        let model = model.with(GlobalAveragePooling2D::new().name("pool")).unwrap();
        learned(model.with(Dense::new(5).name("scores")).unwrap())
    };
    let shared = || {
        let mut model = Sequential::new(&gpu).named("shared").with_input(input).unwrap();
        model.add(Conv2D::new(3, 3).name("conv")).unwrap().again("conv").unwrap();
        learned(model)
    };
    common::test_each(
        [
            ("made_chain", chain()),
            ("made_convolved", convolved(&gpu)),
            ("made_shared", shared()),
            ("made_tangled", tangled(&gpu)),
        ],
        |(name, _)| (*name).to_owned(),
        |(name, model)| {
            let input = |input: &Input| {
                let known = [2, 6, 7, 3].into_iter().chain([1; 2]).zip(input.shape.dims());
                ramp(known.map(|(default, extent)| extent.unwrap_or(default)).collect())
            };
            round_trip(&gpu, model, name, &model.inputs().iter().map(input).collect::<Vec<_>>(), None)
        },
    );
}

#[test]
fn weights_of_another_model_are_refused_and_change_nothing() {
    let Some(gpu) = gpu::gpu() else { return };
    let chain = |filters: u32, units: u32| {
        let model = Sequential::new(&gpu).named("m").with_input([None, Some(6), Some(7), Some(3)]).unwrap();
        let model = model.with(Conv2D::new(filters, 3).name("conv")).unwrap();
        let model = model.with(GlobalAveragePooling2D::new()).unwrap().with(Dense::new(units).name("scores")).unwrap();
        learned(model)
    };
    let folder = saved("refused");
    let mut model = chain(2, 4);
    forget(&mut model);
    let before = weights(&model);
    let parts = ["layer scores: weight kernel must have the shape (2, 4)", "shape (2, 5)"];
    for kind in ["other.keras", "other.weights.h5", "other.safetensors"] {
        let file = folder.join(kind);
        chain(2, 5).save(&file).unwrap();
        let error = model.load_weights(&file).unwrap_err().to_string();
        assert!(error.contains(kind) && parts.iter().all(|part| error.contains(part)), "{error}");
        assert_eq!(weights(&model), before);
    }
    let legacy = directory().join("models/digits/model_legacy.h5");
    let error = model.load_weights(&legacy).unwrap_err().to_string();
    assert!(error.contains("of 2 layers: [conv, scores]; received 9"), "{error}");
    let error = model.load_weights(directory().join("models/digits/weights.safetensors")).unwrap_err().to_string();
    assert!(error.contains("a tensor m/conv/kernel or conv/kernel"), "{error}");
    std::fs::write(folder.join("text.h5"), "no weights").unwrap();
    assert!(model.load_weights(folder.join("text.h5")).unwrap_err().to_string().contains("text.h5"));
    assert_eq!(weights(&model), before);
}

#[test]
fn a_file_is_replaced_as_a_whole_or_not_at_all() {
    let Some(gpu) = gpu::gpu() else { return };
    let model = Sequential::new(&gpu).with_input([None, Some(3)]).unwrap().with(Dense::new(2).name("d")).unwrap();
    let model = model.into_model().unwrap();
    let folder = saved("replaced");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("model.keras");
    let another = Sequential::new(&gpu).with_input([None, Some(3)]).unwrap().with(Dense::new(5).name("e")).unwrap();
    another.into_model().unwrap().save(&file).unwrap();
    model.save(&file).unwrap();
    assert_eq!(KerasFile::open(&file).unwrap().architecture().unwrap().layers()[0].path, "d");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    let error = model.save(folder.join("missing/model.keras")).unwrap_err().to_string();
    assert!(error.contains("cannot be written"), "{error}");
    let error = model.save(folder.join("model.h5")).unwrap_err().to_string();
    assert!(error.contains("must end in .keras or .weights.h5 or .safetensors"), "{error}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn what_keras_does_not_have_is_listed_at_once() {
    let Some(gpu) = gpu::gpu() else { return };
    let zero = Initializer::custom(|shape, _| Ok(vec![0.0; shape.elements()? as usize]));
    let inner = Sequential::new(&gpu).named("inner").with_input([None, Some(6), Some(7), Some(3)]).unwrap();
    let inner = inner.with(Conv2D::new(3, 1).name("fine")).unwrap();
    let inner = inner.with(Conv2D::new(3, 1).name("odd").bias_initializer(zero.clone())).unwrap().into_model().unwrap();
    let graph = Functional::new(&gpu);
    let image = graph.input("image", [None, Some(6), Some(7), Some(3)]).unwrap();
    let made = graph.apply_model(inner, &[&image]).unwrap().remove(0);
    let made = made.apply(Conv2D::new(1, 1).name("last").bias_initializer(zero)).unwrap();
    let model = graph.model("foreign", &[&image], &[&made]).unwrap();
    let file = saved("foreign").join("model.keras");
    let error = model.save(&file).unwrap_err().to_string();
    for part in ["2 of its layers cannot be written", "inner/odd (Conv2D): ", "last (Conv2D): "] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert!(!file.exists());
    // Its weights have no need of Keras's configs.
    model.save(file.with_file_name("model.weights.h5")).unwrap();
}

/// Of pictures: what a pixel is divided by follows from the layers that the model begins with, whatever passes values on before
/// them and however the models nest.
#[test]
fn pixels_are_scaled_as_the_first_layers_ask() {
    let Some(gpu) = gpu::gpu() else { return };
    let normalization = |mean: f32, variance: f32| {
        let one = |value: f32| HostTensor::new(vec![1], vec![value; 1]).unwrap();
        Normalization::new().axis([]).statistics(one(mean), one(variance))
    };
    let batch_normalization = |mean: f32, variance: f32| {
        BatchNormalization::new()
            .moving_mean_initializer(Initializer::Constant(mean.into()))
            .moving_variance_initializer(Initializer::Constant(variance.into()))
    };
    let chain = |layers: &[LayerConfig]| {
        let mut model = Sequential::new(&gpu).with_input([None, Some(4), Some(4), Some(3)]).unwrap();
        for layer in layers {
            model.add(layer.clone()).unwrap();
        }
        model.into_model().unwrap()
    };
    let takes_bytes = |model: &Model| {
        let said = InputReader::new(model).unwrap().scaling();
        assert!(said.contains("as they are") != said.contains("divided by 255"), "{said}");
        said.contains("as they are")
    };
    let conv = || LayerConfig::from(Conv2D::new(2, 1));
    for (first, expected) in [
        (vec![Rescaling::new(1.0 / 255.0).into()], true),
        (vec![Rescaling::new(1.0 / 127.5).offset(-1.0).into()], true),
        (vec![Rescaling::new(1.0).offset(-127.5).into()], true),
        (vec![Rescaling::new(1.0).offset([-103.939, -116.779, -123.68]).into()], true),
        (vec![Rescaling::new(2.0).offset(-1.0).into()], false),
        (vec![Rescaling::new(255.0).into()], false),
        (vec![Rescaling::new(255.0).into(), Rescaling::new(1.0).offset(-127.5).into()], false),
        (vec![Rescaling::new(255.0).into(), Rescaling::new(1.0 / 255.0).into()], false),
        (vec![ActivationLayer::new(Activation::Linear).into(), Rescaling::new(1.0 / 255.0).into()], true),
        (vec![ActivationLayer::new(Activation::Tanh).into(), Rescaling::new(1.0 / 255.0).into()], false),
        (vec![Dropout::new(0.5).into(), MaxPooling2D::new(2).into(), Rescaling::new(1.0 / 255.0).into()], true),
        (vec![normalization(120.0, 3000.0).into()], true),
        (vec![normalization(0.5, 1500.0).into()], true),
        (vec![normalization(0.5, 0.08).into()], false),
        (vec![batch_normalization(120.0, 3000.0).into()], true),
        (vec![batch_normalization(0.4, 0.1).into()], false),
        (vec![], false),
    ] {
        let of_chain = chain(&[first.clone(), vec![conv()]].concat());
        assert_eq!(takes_bytes(&of_chain), expected, "{first:?}");
        // As a model of its own before another, and behind a concatenation.
        let graph = Functional::new(&gpu);
        let input = graph.input("x", [None, Some(4), Some(4), Some(1)]).unwrap();
        let three = graph.apply(Concatenate::new(), &[&input, &input, &input]).unwrap();
        let inner = chain(&[vec![Dropout::new(0.5).into()], first.clone()].concat());
        let made = graph.apply_model(inner, &[&three]).unwrap();
        let output = made[0].apply(Conv2D::new(2, 1)).unwrap();
        assert_eq!(takes_bytes(&graph.model("nested", &[&input], &[&output]).unwrap()), expected, "{first:?}");
    }
}

/// What a log is told.
struct Log(std::sync::Mutex<Vec<String>>);

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(format!("{}: {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

static LOG: Log = Log(std::sync::Mutex::new(Vec::new()));

/// The state of an optimizer, and of Keras 2 how the model was compiled, do not get lost without a word.
#[test]
fn what_is_not_kept_is_said() {
    let Some(gpu) = gpu::gpu() else { return };
    log::set_logger(&LOG).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/findings");
    for file in ["k2_sequential_applied_thrice.h5", "k2_sequential_applied_thrice.keras"] {
        let model = Model::load(&gpu, folder.join(file)).unwrap();
        let target = saved("not_kept").join(format!("{file}.keras"));
        model.save(&target).unwrap();
        let said: Vec<String> = LOG.0.lock().unwrap().drain(..).filter(|line| line.contains(file)).collect();
        for lost in ["the state of the optimizer", "how the model was compiled"] {
            assert!(said.iter().any(|line| line.starts_with("WARN") && line.contains(lost)), "{file}: {said:?}");
        }
        assert!(KerasFile::open(&target).unwrap().not_kept().is_empty());
        model.save(saved("not_kept").join("weights.safetensors")).unwrap();
        assert!(!LOG.0.lock().unwrap().iter().any(|line| line.contains("weights.safetensors")));
    }
}
