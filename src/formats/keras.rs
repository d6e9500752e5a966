//! Keras model files: `.keras` (`file-formats.md` §2, §3).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::io::{Cursor, Read};
use std::path::Path;

use serde_json::Value as Json;
use zip::ZipArchive;

use super::hdf5::WeightsFile;
use crate::layers::{Layer, LayerConfig, snake_case};
use crate::model::{Input, Model, Port, in_layer};
use crate::{Error, Gpu, HostTensor, PartialShape, Result};

/// A `.keras` file, read but not yet on a device.
///
/// Reading it needs no device, so a program can look at a file before it opens one: [`unsupported`](Self::unsupported) lists
/// everything that stands in the way of [`build`](Self::build).
///
/// Files are not trusted: nothing in one is executed, no part takes more memory than in proportion to the file, and a
/// damaged file is an error.
pub struct KerasFile {
    /// What messages call the file.
    place: String,
    name: String,
    inputs: Vec<Input>,
    layers: Vec<FileLayer>,
    /// Applications of layers, each after what it reads.
    calls: Vec<Call>,
    outputs: Vec<Port>,
    unsupported: Vec<UnsupportedLayer>,
    weights: Vec<u8>,
}

/// A layer of a file that cannot be built here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedLayer {
    /// The layer's name.
    pub name: String,
    /// Its Keras class.
    pub class: String,
    /// Why not.
    pub reason: String,
}

struct FileLayer {
    name: String,
    config: LayerConfig,
    /// Its group of weights, below the group of all layers.
    group: String,
}

struct Call {
    layer: usize,
    inputs: Vec<Port>,
}

/// An application as the file states it: what it reads, by layer name and number of application.
struct Stated {
    layer: usize,
    number: u64,
    reads: Vec<(String, u64)>,
}

impl Model {
    /// The model of a `.keras` file, with its weights, on `gpu`.
    ///
    /// # Errors
    /// Those of [`KerasFile::open`] and [`KerasFile::build`].
    ///
    /// ```no_run
    /// use wgpu_conv::{Gpu, model::Model};
    ///
    /// let model = Model::load(&Gpu::new()?, "digits.keras")?;
    /// println!("{}", model.summary());
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn load(gpu: &Gpu, path: impl AsRef<Path>) -> Result<Self> {
        KerasFile::open(path)?.build(gpu)
    }

    /// [`load`](Self::load) from memory.
    ///
    /// # Errors
    /// Those of [`KerasFile::from_bytes`] and [`KerasFile::build`].
    pub fn from_bytes(gpu: &Gpu, bytes: &[u8]) -> Result<Self> {
        KerasFile::from_bytes(bytes)?.build(gpu)
    }
}

impl KerasFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::Format`] where it cannot be read or is not a `.keras` file of one model.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = super::read(path)?;
        Self::parse(&bytes, path.display().to_string())
    }

    /// Reads a file that is in memory already.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::parse(bytes, "the .keras file".into())
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The layers that cannot be built here, each with its reason; empty where [`build`](Self::build) has a chance.
    pub fn unsupported(&self) -> &[UnsupportedLayer] {
        &self.unsupported
    }

    /// The model with its weights, on `gpu`.
    ///
    /// Weights are found by position, as Keras finds them: by class, and the place among the layers of the class.
    ///
    /// # Errors
    /// [`Error::Unsupported`] listing all [unsupported](Self::unsupported) layers; [`Error::Format`] and
    /// [`Error::Invalid`] naming the layer whose weights or input do not fit; [`Error::Limit`] and [`Error::Gpu`] where the
    /// device cannot hold the weights.
    pub fn build(self, gpu: &Gpu) -> Result<Model> {
        if !self.unsupported.is_empty() {
            let lines = self.unsupported.iter().map(|layer| {
                let UnsupportedLayer { name, class, reason } = layer;
                format!("\n  {name} ({class}): {reason}")
            });
            let reason =
                format!("{} of its layers cannot be built:{}", self.unsupported.len(), lines.collect::<String>());
            return Err(Error::unsupported(&self.place, reason));
        }
        let place = format!("{}, model.weights.h5", self.place);
        let mut weights = WeightsFile::open(self.weights, place.clone())?;
        // Files of TF 2.13's time call the group of the layers after the attribute that held them.
        let root = if weights.has_group("layers") { "layers" } else { "_layer_checkpoint_dependencies" };
        let mut model = Model::new(gpu, self.name, self.inputs)?;
        let mut built = vec![None; self.layers.len()];
        for call in self.calls {
            let layer = &self.layers[call.layer];
            let index = match built[call.layer] {
                Some(index) => index,
                None => {
                    let values = weights.vars(&format!("{root}/{}/vars", layer.group))?;
                    let input = call.inputs.first().map(|&value| model.shape(value).clone());
                    let input = input
                        .ok_or_else(|| Error::format(&self.place, format!("layer {} reads nothing", layer.name)))?;
                    let made = layer.on(gpu, &input, values, &place).map_err(|error| in_layer(&layer.name, error))?;
                    *built[call.layer].insert(model.add_block(made)?)
                }
            };
            model.apply(index, call.inputs)?;
        }
        model.set_outputs(self.outputs);
        Ok(model)
    }

    fn parse(bytes: &[u8], place: String) -> Result<Self> {
        let mut archive = Archive::open(bytes, &place)?;
        let text = archive.entry("config.json")?.ok_or_else(|| {
            Error::format(&place, "a .keras file must hold config.json, and this one does not; is it another format?")
        })?;
        let config: Json = serde_json::from_slice(&text)
            .map_err(|error| Error::format(format!("{place}, config.json"), error.to_string()))?;
        let weights = match archive.entry("model.weights.h5")? {
            Some(weights) => weights,
            None if archive.entry("model.weights.npz")?.is_some() => {
                return Err(Error::unsupported(
                    format!("{place}: weights in model.weights.npz"),
                    "save the model with the default weights format, model.weights.h5",
                ));
            }
            None => {
                return Err(Error::format(&place, "a .keras file must hold model.weights.h5, and this one does not"));
            }
        };
        let name = at(&config, "/config/name").as_str().unwrap_or("model").to_owned();
        let place_config = format!("{place}, config.json");
        let graph = Graph::parse(&config, &place_config)?;
        let Graph { inputs, layers, calls, outputs, unsupported } = graph;
        Ok(Self { place, name, inputs, layers, calls, outputs, unsupported, weights })
    }
}

impl std::fmt::Debug for KerasFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let layers: Vec<_> = self.layers.iter().map(|layer| &layer.name).collect();
        let mut text = f.debug_struct("KerasFile");
        text.field("place", &self.place).field("name", &self.name).field("inputs", &self.inputs);
        text.field("layers", &layers).field("unsupported", &self.unsupported).finish()
    }
}

impl FileLayer {
    /// The layer with `values` for weights.
    fn on(&self, gpu: &Gpu, input: &PartialShape, values: Vec<HostTensor>, place: &str) -> Result<Layer> {
        let group = format!("{place}, group layers/{}", self.group);
        Layer::with_weights(gpu, self.config.clone(), std::slice::from_ref(input), values).map_err(
            |error| match error {
                Error::Invalid { argument, rule, received } if argument == "weights" => {
                    Error::format(group, format!("{rule}; received {received}"))
                }
                other => other,
            },
        )
    }
}

/// What `config.json` tells, as far as it can be built.
struct Graph {
    inputs: Vec<Input>,
    layers: Vec<FileLayer>,
    calls: Vec<Call>,
    outputs: Vec<Port>,
    unsupported: Vec<UnsupportedLayer>,
}

impl Graph {
    fn parse(model: &Json, place: &str) -> Result<Self> {
        let class = at(model, "/class_name").as_str().unwrap_or_default();
        let sequential = match class {
            "Sequential" => true,
            "Functional" | "Model" => false,
            _ => {
                let reason = "only Sequential and Functional models can be described by a file";
                return Err(Error::unsupported(format!("{place}: a model of class {class:?}"), reason));
            }
        };
        let stated = at(model, "/config/layers").as_array();
        let stated = stated.ok_or_else(|| Error::format(place, "the model must hold a list of `layers`"))?;
        let mut graph = Self {
            inputs: Vec::new(),
            layers: Vec::new(),
            calls: Vec::new(),
            outputs: Vec::new(),
            unsupported: Vec::new(),
        };
        let mut siblings: HashMap<String, usize> = HashMap::new();
        let mut names = HashSet::new();
        let mut applications = Vec::new();
        for layer in stated {
            let class = string(layer, "/class_name", place)?;
            let name = at(layer, "/config/name").as_str().or(at(layer, "/name").as_str());
            let name =
                name.ok_or_else(|| Error::format(place, format!("a layer of class {class} has no name")))?.to_owned();
            if !names.insert(name.clone()) {
                return Err(Error::format(place, format!("two layers are called {name:?}")));
            }
            let group = snake_case(class);
            let count = siblings.entry(group.clone()).or_default();
            let group = if *count == 0 { group } else { format!("{group}_{count}") };
            *count += 1;
            if class == "InputLayer" {
                let shape = shape_at(layer, &["/config/batch_shape", "/config/batch_input_shape"], place)?;
                let shape =
                    shape.ok_or_else(|| Error::format(place, format!("input {name} must have a batch_shape")))?;
                graph.inputs.push(Input { name, shape });
                continue;
            }
            let config = supported(layer, class);
            let reads = if sequential { Ok(Vec::new()) } else { applications_of(layer) };
            match (config, reads) {
                (Ok(config), Ok(reads)) => {
                    let index = graph.layers.len();
                    let numbered = (0..).zip(reads);
                    applications.extend(numbered.map(|(number, reads)| Stated { layer: index, number, reads }));
                    graph.layers.push(FileLayer { name, config, group });
                }
                (Err(reason), _) | (_, Err(reason)) => {
                    graph.unsupported.push(UnsupportedLayer { name, class: class.to_owned(), reason });
                }
            }
        }
        if !graph.unsupported.is_empty() {
            return Ok(graph);
        }
        if sequential {
            graph.chain(model, place)?
        } else {
            graph.connect(model, applications, place)?
        }
        Ok(graph)
    }

    /// The graph of a Sequential.
    fn chain(&mut self, model: &Json, place: &str) -> Result<()> {
        if self.inputs.is_empty() {
            let shape = shape_at(model, &["/config/build_input_shape", "/build_config/input_shape"], place)?;
            let shape = shape.ok_or_else(|| {
                Error::format(place, "the model was saved before its input shape was known: call it once, then save it")
            })?;
            self.inputs.push(Input { name: "input".into(), shape });
        }
        if self.inputs.len() > 1 {
            return Err(Error::format(place, "a Sequential must have one input"));
        }
        let before = |index: usize| index.checked_sub(1).map_or(Port::Input(0), made);
        self.calls = (0..self.layers.len()).map(|layer| Call { layer, inputs: vec![before(layer)] }).collect();
        self.outputs = vec![before(self.layers.len())];
        Ok(())
    }

    /// The graph of a Functional model: every application after those it reads, otherwise in the file's order.
    fn connect(&mut self, model: &Json, stated: Vec<Stated>, place: &str) -> Result<()> {
        let order = history_list(at(model, "/config/input_layers"), place)?;
        let mut inputs = Vec::with_capacity(order.len());
        for (name, _) in &order {
            let input = self.inputs.iter().find(|input| input.name == *name);
            inputs
                .push(input.ok_or_else(|| Error::format(place, format!("there is no input layer {name:?}")))?.clone());
        }
        if inputs.len() != self.inputs.len() {
            return Err(Error::format(place, "every input layer must be among `input_layers`, once"));
        }
        self.inputs = inputs;
        let key = |application: &Stated| (self.layers[application.layer].name.clone(), application.number);
        let mut makers: HashMap<(String, u64), usize> = HashMap::new();
        for (index, application) in stated.iter().enumerate() {
            makers.insert(key(application), index);
        }
        let input_of = |(name, number): &(String, u64)| {
            (*number == 0).then(|| self.inputs.iter().position(|input| input.name == *name)).flatten()
        };
        let mut missing = vec![0usize; stated.len()];
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); stated.len()];
        for (index, application) in stated.iter().enumerate() {
            for read in &application.reads {
                if let Some(&maker) = makers.get(read) {
                    missing[index] += 1;
                    readers[maker].push(index);
                } else if input_of(read).is_none() {
                    let text = format!(
                        "layer {} reads application {} of {:?}, which there is not",
                        key(application).0,
                        read.1,
                        read.0
                    );
                    return Err(Error::format(place, text));
                }
            }
        }
        let mut ready: BinaryHeap<_> = (0..stated.len()).filter(|&index| missing[index] == 0).map(Reverse).collect();
        let mut nodes = vec![None; stated.len()];
        let mut calls = Vec::with_capacity(stated.len());
        let value = |nodes: &[Option<usize>], read: &(String, u64)| match makers.get(read) {
            Some(&maker) => nodes[maker].map(made),
            None => input_of(read).map(Port::Input),
        };
        while let Some(Reverse(index)) = ready.pop() {
            nodes[index] = Some(calls.len());
            let reads = stated[index].reads.iter();
            calls.push(Call {
                layer: stated[index].layer,
                inputs: reads.filter_map(|read| value(&nodes, read)).collect(),
            });
            for &reader in &readers[index] {
                missing[reader] -= 1;
                if missing[reader] == 0 {
                    ready.push(Reverse(reader));
                }
            }
        }
        if calls.len() != stated.len() {
            return Err(Error::format(place, "the layers must not read each other in a circle"));
        }
        let mut outputs = Vec::new();
        for read in history_list(at(model, "/config/output_layers"), place)? {
            let found = value(&nodes, &read);
            outputs.push(found.ok_or_else(|| Error::format(place, format!("there is no output layer {:?}", read.0)))?);
        }
        if outputs.is_empty() {
            return Err(Error::format(place, "the model must have `output_layers`"));
        }
        (self.calls, self.outputs) = (calls, outputs);
        Ok(())
    }
}

/// What application number `node` makes; layers have one output.
fn made(node: usize) -> Port {
    Port::Output(node, 0)
}

/// The description of `layer`, or why there is none.
fn supported(layer: &Json, class: &str) -> Result<LayerConfig, String> {
    if matches!(class, "Sequential" | "Functional" | "Model") {
        return Err("a model within a model".into());
    }
    let module = at(layer, "/module").as_str().unwrap_or("keras.layers");
    let registered = at(layer, "/registered_name").as_str().unwrap_or(class);
    if !module.split('.').any(|part| part == "keras") || registered != class {
        return Err(format!("a custom class, {registered} of module {module}"));
    }
    LayerConfig::from_config(class, at(layer, "/config")).map_err(|error| match error {
        Error::Unsupported { what, .. } if what.ends_with(class) => "the class is not supported".into(),
        other => other.to_string(),
    })
}

/// What each application of `layer` reads, or why that cannot be done here.
fn applications_of(layer: &Json) -> Result<Vec<Vec<(String, u64)>>, String> {
    let nodes = at(layer, "/inbound_nodes").as_array().ok_or("it must have a list of `inbound_nodes`")?;
    if nodes.is_empty() {
        return Err("it is never applied".into());
    }
    nodes.iter().map(application).collect()
}

fn application(node: &Json) -> Result<Vec<(String, u64)>, String> {
    if let Some(reads) = node.as_array() {
        // Keras 2: a list of [layer, application, output, keyword arguments].
        return reads.iter().map(|read| history(read).ok_or_else(|| format!("it reads {read}"))).collect();
    }
    let tensor = |argument: &Json| {
        let is_tensor = at(argument, "/class_name") == "__keras_tensor__";
        is_tensor.then(|| history(at(argument, "/config/keras_history"))).flatten()
    };
    let mut reads = Vec::new();
    for argument in at(node, "/args").as_array().into_iter().flatten() {
        match (tensor(argument), argument.as_array()) {
            (Some(read), _) => reads.push(read),
            (None, Some(list)) => {
                for argument in list {
                    reads.push(tensor(argument).ok_or_else(|| format!("it is called with {argument}"))?);
                }
            }
            (None, None) => return Err(format!("it is called with {argument}")),
        }
    }
    for (name, argument) in at(node, "/kwargs").as_object().into_iter().flatten() {
        match (tensor(argument), argument) {
            (_, Json::Null | Json::Bool(false)) => {}
            (Some(read), _) if reads.is_empty() => reads.push(read),
            _ => return Err(format!("it is called with `{name}`")),
        }
    }
    Ok(reads)
}

/// `[layer, application, output]` as the first two; layers here have one output, number 0.
fn history(value: &Json) -> Option<(String, u64)> {
    match value.as_array()?.as_slice() {
        [name, number, output, ..] if output.as_u64() == Some(0) => Some((name.as_str()?.to_owned(), number.as_u64()?)),
        _ => None,
    }
}

/// One history, or a list of them.
fn history_list(value: &Json, place: &str) -> Result<Vec<(String, u64)>> {
    if let Some(one) = history(value) {
        return Ok(vec![one]);
    }
    let list = value.as_array().map(|list| list.iter().map(history).collect::<Option<Vec<_>>>());
    list.flatten()
        .ok_or_else(|| Error::format(place, format!("{value} must be a list of [layer, application, output]")))
}

/// The value at a JSON pointer; null where there is none.
fn at<'a>(value: &'a Json, pointer: &str) -> &'a Json {
    value.pointer(pointer).unwrap_or(&Json::Null)
}

fn string<'a>(value: &'a Json, pointer: &str, place: &str) -> Result<&'a str> {
    let text = at(value, pointer).as_str();
    text.ok_or_else(|| Error::format(place, format!("a layer must have a text at {pointer}")))
}

/// The shape at the first of `pointers` that is not null.
fn shape_at(value: &Json, pointers: &[&str], place: &str) -> Result<Option<PartialShape>> {
    let Some(found) = pointers.iter().map(|pointer| at(value, pointer)).find(|found| !found.is_null()) else {
        return Ok(None);
    };
    let extent = |dim: &Json| match dim {
        Json::Null => Some(None),
        dim => dim.as_u64().and_then(|dim| u32::try_from(dim).ok()).map(|dim| Some(dim as usize)),
    };
    let dims = found.as_array().and_then(|dims| dims.iter().map(extent).collect::<Option<Vec<_>>>());
    let dims = dims.filter(|dims| !dims.is_empty());
    dims.map(|dims| Some(dims.into())).ok_or_else(|| {
        Error::format(place, format!("{found} must be a shape: extents below 2^32, or null where unknown"))
    })
}

/// The entries of a zip file, none inflated to more than in proportion to the file.
struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    place: &'a str,
    limit: u64,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8], place: &'a str) -> Result<Self> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| {
            let hint = if bytes.starts_with(b"\x89HDF\r\n\x1a\n") {
                "this is an HDF5 file (.h5), not a .keras file; load it in Keras and save it as .keras".to_owned()
            } else {
                format!("not a .keras file, which is a zip archive ({error})")
            };
            Error::format(place, hint)
        })?;
        Ok(Self { zip, place, limit: (bytes.len() as u64).saturating_mul(16).saturating_add(64 << 20) })
    }

    /// The bytes of an entry, if there is one of the name.
    fn entry(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let place = format!("{}, {name}", self.place);
        let entry = match self.zip.by_name(name) {
            Ok(entry) => entry,
            Err(zip::result::ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(Error::format(place, error.to_string())),
        };
        let mut bytes = Vec::new();
        entry.take(self.limit + 1).read_to_end(&mut bytes).map_err(|error| Error::format(&place, error.to_string()))?;
        if bytes.len() as u64 > self.limit {
            return Err(Error::format(place, format!("the entry inflates to more than {} bytes", self.limit)));
        }
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::json;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn digits() -> Vec<u8> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/conformance/models/digits/model.keras");
        std::fs::read(path).unwrap()
    }

    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in entries {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn entry(bytes: &[u8], name: &str) -> Vec<u8> {
        Archive::open(bytes, "digits").unwrap().entry(name).unwrap().unwrap()
    }

    fn layer(class: &str, name: &str, reads: Json) -> Json {
        json!({
            "module": "keras.layers", "class_name": class, "registered_name": null, "name": name,
            "config": {"name": name, "activation": "relu"}, "inbound_nodes": reads,
        })
    }

    fn read(name: &str, number: u64) -> Json {
        json!({"class_name": "__keras_tensor__", "config": {"keras_history": [name, number, 0]}})
    }

    fn call(args: Json) -> Json {
        json!({"args": args, "kwargs": {"mask": null, "training": false}})
    }

    fn input(name: &str) -> Json {
        json!({"class_name": "InputLayer", "config": {"name": name, "batch_shape": [null, 4]}, "inbound_nodes": []})
    }

    fn functional(layers: &[Json], inputs: Json, outputs: Json) -> Json {
        json!({
            "class_name": "Functional",
            "config": {"name": "m", "layers": layers, "input_layers": inputs, "output_layers": outputs},
        })
    }

    fn parse(model: &Json) -> Result<Graph> {
        Graph::parse(model, "config.json")
    }

    fn refusal(model: &Json) -> String {
        parse(model).err().expect("the model must be refused").to_string()
    }

    #[test]
    fn the_digits_file_describes_a_chain() {
        let file = KerasFile::from_bytes(&digits()).unwrap();
        assert_eq!((file.name(), file.unsupported()), ("digits_dscnn", &[][..]));
        assert_eq!(file.inputs, [Input { name: "image".into(), shape: [None, Some(8), Some(8), Some(1)].into() }]);
        let groups: Vec<_> = file.layers.iter().map(|layer| layer.group.as_str()).collect();
        assert_eq!(
            groups[..6],
            ["conv2d", "batch_normalization", "re_lu", "depthwise_conv2d", "batch_normalization_1", "activation"]
        );
        assert_eq!(file.outputs, [made(file.calls.len() - 1)]);
    }

    #[test]
    fn applications_are_ordered_by_what_they_read() {
        let layers = [
            layer("Activation", "last", json!([call(json!([read("shared", 1)]))])),
            layer("Activation", "shared", json!([call(json!([read("x", 0)])), call(json!([read("first", 0)]))])),
            layer("Activation", "first", json!([[["shared", 0, 0, {}]]])),
            input("x"),
        ];
        let graph = parse(&functional(&layers, json!(["x", 0, 0]), json!([["last", 0, 0], ["shared", 0, 0]]))).unwrap();
        let order: Vec<_> = graph.calls.iter().map(|call| (call.layer, call.inputs[0])).collect();
        assert_eq!(order, [(1, Port::Input(0)), (2, made(0)), (1, made(1)), (0, made(2))]);
        assert_eq!(graph.outputs, [made(3), made(0)]);
    }

    #[test]
    fn graphs_that_contradict_themselves_are_refused() {
        let one =
            |reads| functional(&[input("x"), layer("Activation", "a", reads)], json!(["x", 0, 0]), json!(["a", 0, 0]));
        let sound = one(json!([call(json!([read("x", 0)]))]));
        assert!(parse(&sound).is_ok());
        let changed = |pointer: &str, value: Json| {
            let mut model = sound.clone();
            *model.pointer_mut(pointer).unwrap() = value;
            refusal(&model)
        };
        assert!(changed("/config/output_layers", json!(["b", 0, 0])).contains("no output layer \"b\""));
        assert!(changed("/config/output_layers", json!([])).contains("output_layers"));
        assert!(changed("/config/output_layers", json!(7)).contains("must be a list"));
        assert!(changed("/config/input_layers", json!(["y", 0, 0])).contains("no input layer \"y\""));
        assert!(changed("/config/layers/1/config/name", json!("x")).contains("two layers are called \"x\""));
        assert!(changed("/config/layers/0/config/batch_shape", json!([null, -4])).contains("must be a shape"));
        assert!(changed("/config/layers", json!("none")).contains("a list of `layers`"));
        assert!(changed("/class_name", json!("Gadget")).contains("Gadget"));
        assert!(refusal(&one(json!([call(json!([read("a", 0)]))]))).contains("circle"));
        assert!(refusal(&one(json!([call(json!([read("x", 3)]))]))).contains("application 3 of \"x\""));
    }

    #[test]
    fn everything_unsupported_is_listed_at_once() {
        let mut trained = call(json!([read("x", 0)]));
        trained["kwargs"]["training"] = json!(true);
        let mut custom = layer("Activation", "mine", json!([call(json!([read("x", 0)]))]));
        custom["registered_name"] = json!("my>Activation");
        let layers = [
            input("x"),
            layer("Telescope", "far", json!([call(json!([read("x", 0)]))])),
            layer("Activation", "trained", json!([trained])),
            custom,
            layer("Sequential", "inner", json!([])),
            layer("Activation", "unused", json!([])),
            layer("Activation", "good", json!([call(json!([read("x", 0)]))])),
        ];
        let graph = parse(&functional(&layers, json!(["x", 0, 0]), json!(["good", 0, 0]))).unwrap();
        let names: Vec<_> = graph.unsupported.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["far", "trained", "mine", "inner", "unused"]);
        assert!(graph.unsupported[1].reason.contains("`training`"), "{}", graph.unsupported[1].reason);
    }

    #[test]
    fn a_sequential_takes_its_input_from_where_it_stands() {
        let body = |layers: Json, shape: Json| json!({"class_name": "Sequential", "config": {"layers": layers, "build_input_shape": shape}});
        let act = layer("Activation", "a", json!(null));
        for model in [body(json!([input("x"), act]), json!(null)), body(json!([act]), json!([null, 4]))] {
            let graph = parse(&model).unwrap();
            assert_eq!(graph.inputs[0].shape.to_string(), "(None, 4)");
            assert_eq!((graph.calls.len(), graph.outputs), (1, vec![made(0)]));
        }
        assert!(refusal(&body(json!([act]), json!(null))).contains("before its input shape was known"));
    }

    #[test]
    fn archives_are_refused_with_a_reason() {
        let (config, weights) = (entry(&digits(), "config.json"), entry(&digits(), "model.weights.h5"));
        let refused = |bytes: &[u8]| KerasFile::from_bytes(bytes).unwrap_err().to_string();
        assert!(refused(b"no archive").contains("zip archive"));
        assert!(refused(&weights).contains("HDF5 file (.h5)"));
        assert!(refused(&archive(&[("model.weights.h5", &weights)])).contains("config.json"));
        assert!(refused(&archive(&[("config.json", &config)])).contains("model.weights.h5"));
        let npz = archive(&[("config.json", &config), ("model.weights.npz", b"")]);
        assert!(refused(&npz).contains("model.weights.npz"));
        assert!(refused(&archive(&[("config.json", b"{"), ("model.weights.h5", &weights)])).contains("config.json"));
        let bomb = archive(&[("config.json", &vec![b' '; 80 << 20]), ("model.weights.h5", &weights)]);
        assert!(refused(&bomb).contains("inflates to more than"));
        let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(
            refused(&archive(&[("config.json", nested.as_bytes()), ("model.weights.h5", &weights)]))
                .contains("recursion")
        );
    }

    /// Numbers that spread over 64 bits and are the same in every run (Knuth's MMIX generator).
    fn numbers() -> impl FnMut() -> usize {
        let mut state = 12345u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 20) as usize
        }
    }

    #[test]
    fn no_damage_to_a_file_panics() {
        let whole = digits();
        let mut next = numbers();
        for length in (0..whole.len()).step_by(997) {
            assert!(KerasFile::from_bytes(&whole[..length]).is_err(), "{length}");
        }
        for _ in 0..300 {
            let mut damaged = whole.clone();
            let position = next() % damaged.len();
            damaged[position] ^= 1 << (next() % 8);
            let _ = KerasFile::from_bytes(&damaged);
        }
        let config = entry(&whole, "config.json");
        for _ in 0..2000 {
            let mut damaged = config.clone();
            let position = next() % damaged.len();
            damaged[position] = b"09-.\"[]{}:,ntx"[next() % 14];
            if let Ok(model) = serde_json::from_slice(&damaged) {
                let _ = parse(&model);
            }
        }
    }

    #[test]
    fn no_damage_to_weights_panics() {
        let whole = entry(&digits(), "model.weights.h5");
        let file = KerasFile::from_bytes(&digits()).unwrap();
        let read_all = |bytes: Vec<u8>| -> Result<usize> {
            let mut weights = WeightsFile::open(bytes, "weights".into())?;
            let mut count = 0;
            for layer in &file.layers {
                count += weights.vars(&format!("layers/{}/vars", layer.group))?.len();
            }
            Ok(count)
        };
        assert_eq!(read_all(whole.clone()).unwrap(), 23);
        for length in (0..whole.len()).step_by(1009) {
            let _ = read_all(whole[..length].to_vec());
        }
        let mut next = numbers();
        for round in 0..3000 {
            let mut damaged = whole.clone();
            let position = next() % (damaged.len() - 8);
            match round % 4 {
                0 => damaged[position] ^= 1 << (next() % 8),
                1 => damaged[position] = next() as u8,
                2 => damaged[position..position + 8].fill(0xff),
                _ => damaged[position..position + 8].copy_from_slice(&(1u64 << (next() % 64)).to_le_bytes()),
            }
            let _ = read_all(damaged);
        }
    }
}
