//! `.keras` files and their weights as Keras 3 writes them.

use std::collections::{HashMap, HashSet};
use std::io::{Cursor, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::UnsupportedLayer;
use super::graph::{at, is_read};
use super::hdf5::{self, OptimizerGroup, WeightsGroup};
use super::keras::{TrainingState, refused};
use super::weights::{ModelPart, group_of, parts, reads_of, sibling};
use crate::layers::{Layer, OPERATORS};
use crate::model::{Block, Model, Port};
use crate::{Error, HostTensor, PartialShape, Result};

/// The release of Keras whose form is written.
const KERAS_VERSION: &str = "3.15.1";

/// What gives the weights of a layer: where the host can wait for the device, [`Layer::get_weights`].
pub(super) type ReadWeights<'a> = &'a dyn Fn(&Layer) -> Result<Vec<HostTensor>>;

/// The bytes of a `.keras` file of `model`, with its `training` if any, to be called `place`.
///
/// # Errors
/// [`Error::Unsupported`] listing all layers that Keras does not have; [`Error::Format`] for what a file cannot hold.
pub(super) fn keras(
    model: &Model,
    training: Option<&TrainingState>,
    read: ReadWeights<'_>,
    place: &str,
) -> Result<Vec<u8>> {
    model.require_on_device("a .keras file")?;
    let mut foreign = Vec::new();
    let mut config = of_model(model, "", &mut foreign);
    if let Some(training) = training {
        config["compile_config"] = training.compile_config.clone();
    }
    if !foreign.is_empty() {
        return Err(refused(&format!("{} as a .keras file", model.name()), "written", &foreign));
    }
    let metadata = json!({"keras_version": KERAS_VERSION, "date_saved": date(now())});
    let entries = [
        ("metadata.json", metadata.to_string().into_bytes()),
        ("config.json", config.to_string().into_bytes()),
        ("model.weights.h5", weights(model, training, read, place)?),
    ];
    archive(entries, place)
}

/// The bytes of a zip file of `entries`, to be called `place`, none of them compressed.
///
/// # Errors
/// [`Error::Format`] for what a zip file cannot hold, as two entries of one name.
pub(super) fn archive<N: AsRef<str>>(entries: impl IntoIterator<Item = (N, Vec<u8>)>, place: &str) -> Result<Vec<u8>> {
    let broken = |error: &dyn std::fmt::Display| Error::format(place, error.to_string());
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let large = u32::try_from(bytes.len()).is_err();
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(large);
        zip.start_file(name.as_ref(), options).map_err(|error| broken(&error))?;
        zip.write_all(&bytes).map_err(|error| broken(&error))?;
    }
    Ok(zip.finish().map_err(|error| broken(&error))?.into_inner())
}

/// The bytes of a `.weights.h5` file of `model`.
///
/// # Errors
/// [`Error::Format`] for what HDF5 cannot hold.
pub(super) fn weights(
    model: &Model,
    training: Option<&TrainingState>,
    read: ReadWeights<'_>,
    place: &str,
) -> Result<Vec<u8>> {
    let group = group(model, read, String::new(), model.name().to_owned())?;
    let Some(TrainingState { compile_config, iterations, values, loss_scale }) = training else {
        return hdf5::write(&group, None, place);
    };
    let name = compile_config["optimizer"]["config"]["name"].as_str().unwrap_or("optimizer");
    let iterations = i64::try_from(*iterations).unwrap_or(i64::MAX);
    let loss_scale = loss_scale.map(|state| (state.good_steps, state.scale as f32));
    hdf5::write(&group, Some(&OptimizerGroup { name, iterations, values, loss_scale }), place)
}

fn group(model: &Model, read: ReadWeights<'_>, group: String, name: String) -> Result<WeightsGroup> {
    let names = KerasNames::of(model);
    let mut siblings = HashMap::new();
    let layers = parts(model).into_iter().map(|part| match part {
        ModelPart::Input(index) => Ok(WeightsGroup {
            group: sibling(&mut siblings, "InputLayer"),
            name: names.inputs[index].clone(),
            ..WeightsGroup::default()
        }),
        ModelPart::Block(index) => {
            let (group, name) = (group_of(model, index, &mut siblings), names.blocks[index].clone());
            match &model.blocks()[index] {
                Block::Model(model) => self::group(model, read, group, name),
                Block::Layer(layer) => {
                    let of = if group.starts_with("@@") { "" } else { layer.config().describe().weights_of() };
                    Ok(WeightsGroup { group, name, of, values: read(layer)?, ..WeightsGroup::default() })
                }
            }
        }
    });
    let layers = layers.collect::<Result<_>>()?;
    Ok(WeightsGroup { group, name, layers, ..WeightsGroup::default() })
}

/// What Keras calls the parts of a model.
struct KerasNames {
    inputs: Vec<String>,
    blocks: Vec<String>,
}

impl KerasNames {
    /// The names of the parts as Keras takes them: without `/`, and none twice.
    fn of(model: &Model) -> Self {
        let inputs = model.inputs().iter().map(|input| input.name.as_str());
        let blocks = model.blocks().iter().map(Block::name);
        let mut taken: HashSet<String> =
            inputs.clone().chain(blocks.clone()).filter(|name| !name.contains('/')).map(str::to_owned).collect();
        let mut plain = |name: &str| {
            let mut plain = name.replace('/', "_");
            while name.contains('/') && !taken.insert(plain.clone()) {
                plain.push('_');
            }
            plain
        };
        Self { inputs: inputs.map(&mut plain).collect(), blocks: blocks.map(&mut plain).collect() }
    }
}

/// The config of `model`, whose layers have paths that begin with `around`; notes the layers that Keras does not have.
fn of_model(model: &Model, around: &str, foreign: &mut Vec<UnsupportedLayer>) -> Json {
    let chain = model.is_chain();
    let names = KerasNames::of(model);
    let parts = parts(model);
    // What no output needs is left out, as Keras leaves it out.
    let needed = model.needed(model.outputs());
    let mut numbers = Vec::with_capacity(model.nodes().len());
    let mut counts = vec![0; names.blocks.len()];
    let mut applied = vec![Vec::new(); names.blocks.len()];
    for (index, (node, needed)) in model.nodes().iter().zip(&needed).enumerate() {
        numbers.push(counts[node.block]);
        counts[node.block] += u32::from(*needed);
        applied[node.block].push(index);
    }
    let history = |port| match port {
        Port::Input(index) => json!([names.inputs[index], 0, 0]),
        Port::Output(node, output) => json!([names.blocks[model.nodes()[node].block], numbers[node], output]),
    };
    let tensor = |port| {
        let (name, usual) = match port {
            Port::Output(node, _) => {
                let block = &model.blocks()[model.nodes()[node].block];
                (block.name(), dtype(block))
            }
            Port::Input(index) => (&*model.inputs()[index].name, "float32"),
        };
        let dtype = at(model.notes(), "/dtypes").get(name).and_then(Json::as_str).unwrap_or(usual);
        let config = json!({"shape": model.shape(port).dims(), "dtype": dtype, "keras_history": history(port)});
        json!({"class_name": "__keras_tensor__", "config": config})
    };
    let mut layers = Vec::with_capacity(parts.len() + 1);
    if chain {
        layers.push(of_input(model, 0, &names));
    }
    for part in parts {
        let mut layer = match part {
            ModelPart::Input(index) => of_input(model, index, &names),
            ModelPart::Block(index) => {
                let first = applied[index].first().map_or(&[][..], |&node| &model.nodes()[node].inputs);
                let shapes = first.iter().map(|&port| model.shape(port));
                let (block, name) = (&model.blocks()[index], &names.blocks[index]);
                of_block(block, kept(model, index), name, shapes.collect(), around, foreign)
            }
        };
        if !chain {
            layer["name"] = layer["config"]["name"].clone();
            layer["inbound_nodes"] = json!([]);
            if let ModelPart::Block(index) = part {
                let applications = applied[index].iter().copied().enumerate().filter(|&(_, node)| needed[node]);
                let block = &model.blocks()[index];
                let keywords = at(model.notes(), "/keywords").get(block.name());
                let calls = applications.map(|(number, node)| {
                    let (reads, mut masks) = reads_of(model, node);
                    if let Some(kept) = kept(model, index) {
                        let mut call = kept["inbound_nodes"][number].clone();
                        let mask = if masks.is_empty() { Json::Null } else { call["kwargs"]["mask"].take() };
                        call = with_reads(&call, &mut reads.into_iter().map(history));
                        if !masks.is_empty() {
                            call["kwargs"]["mask"] = with_reads(&mask, &mut masks.into_iter().flatten().map(history));
                        }
                        return call;
                    }
                    let keywords = keywords.and_then(|calls| calls.get(number)).cloned();
                    let mut keywords = keywords.unwrap_or_else(|| json!({}));
                    if !masks.is_empty() {
                        masks.resize(reads.len(), None);
                        let masks: Vec<_> = masks.into_iter().map(|mask| mask.map(tensor)).collect();
                        keywords["mask"] = if let [one] = &masks[..] { json!(one) } else { json!(masks) };
                    }
                    let tensors: Vec<_> = reads.into_iter().map(tensor).collect();
                    let args = match tensors.split_first() {
                        // Keras takes states by their name.
                        Some((first, states)) if begins_with_states(block) && !states.is_empty() => {
                            keywords["initial_state"] = json!(states);
                            json!([first])
                        }
                        _ if takes_list(block) => json!([tensors]),
                        _ => json!(tensors),
                    };
                    json!({"args": args, "kwargs": keywords})
                });
                layer["inbound_nodes"] = calls.collect();
            }
        }
        layers.push(layer);
    }
    let notes = model.notes();
    let noted = |key: &str, default: Json| notes.get(key).filter(|note| !note.is_null()).cloned().unwrap_or(default);
    let trainable = at(notes, "/trainable").as_bool().unwrap_or(true);
    let compiled = noted("compile_config", json!({}));
    let mut config = json!({"name": model.name().replace('/', "_"), "trainable": trainable});
    if chain {
        config["dtype"] = noted("dtype", json!("float32"));
        config["layers"] = layers.into();
        config["build_input_shape"] = json!(model.inputs()[0].shape.dims());
        let build = json!({"input_shape": model.inputs()[0].shape.dims()});
        return json!({
            "module": "keras", "class_name": "Sequential", "config": config, "registered_name": null,
            "build_config": build, "compile_config": compiled,
        });
    }
    config["layers"] = layers.into();
    let inputs = (0..model.inputs().len()).map(|index| history(Port::Input(index)));
    config["input_layers"] = structured(at(notes, "/input_layers"), inputs.collect());
    // Keras counts the applications of a graph from 1 here, and only here: building it was the first.
    let outputs = model.outputs().iter().map(|&port| {
        let mut read = history(port);
        if let Port::Output(node, _) = port
            && let Block::Model(inner) = &model.blocks()[model.nodes()[node].block]
            && !inner.is_chain()
            && kept(model, model.nodes()[node].block).is_none()
        {
            read[1] = json!(numbers[node] + 1);
        }
        read
    });
    config["output_layers"] = structured(at(notes, "/output_layers"), outputs.collect());
    json!({
        "module": "keras.src.models.functional", "class_name": "Functional", "config": config,
        "registered_name": "Functional", "build_config": {"input_shape": null}, "compile_config": compiled,
    })
}

/// What the file that `model` was read from says of block number `index`, where that is a layer of Keras's that is several here,
/// or an operator.
fn kept(model: &Model, index: usize) -> Option<&Json> {
    at(model.notes(), "/kept").get(model.blocks()[index].name())
}

/// `block` as `kept` says, which a file said of it, but for its calls; or why Keras has no form for it as it is now.
fn as_kept(kept: &Json, block: &Block) -> Result<Json, String> {
    let mut json = kept.clone();
    if !json["config"].is_object() {
        json["config"] = json!({});
    }
    if let Some(layer) = json.as_object_mut() {
        layer.remove("inbound_nodes");
        layer.remove("name");
    }
    let mut trained = Vec::new();
    if let Block::Model(layers) = block {
        let layers = layers.layers().into_iter().map(|(_, layer)| layer).filter(|layer| !layer.weights().is_empty());
        trained.extend(layers.map(|layer| layer.config().common().trainable));
    }
    // It may have been frozen, or freed, since.
    match (trained.contains(&true), trained.contains(&false)) {
        (true, true) if !says_trainable(&json, false) || !says_trainable(&json, true) => {
            return Err(
                "some of its weights are trained and others are not: freeze it as a whole, or not at all".into()
            );
        }
        (false, true) => set_trainable(&mut json, false),
        (true, false) if !says_trainable(&json, true) => set_trainable(&mut json, true),
        _ => {}
    }
    Ok(json)
}

/// Whether `json` says of any layer that it is trained, or not.
fn says_trainable(json: &Json, trainable: bool) -> bool {
    match json {
        Json::Array(list) => list.iter().any(|json| says_trainable(json, trainable)),
        Json::Object(map) => {
            map.get("trainable").is_some_and(|own| *own == trainable)
                || map.values().any(|json| says_trainable(json, trainable))
        }
        _ => false,
    }
}

/// Has all layers of what `json` says trained, or none.
fn set_trainable(json: &mut Json, trainable: bool) {
    match json {
        Json::Array(list) => list.iter_mut().for_each(|json| set_trainable(json, trainable)),
        Json::Object(map) => {
            if let Some(own) = map.get_mut("trainable") {
                *own = trainable.into();
            }
            map.values_mut().for_each(|json| set_trainable(json, trainable));
        }
        _ => {}
    }
}

/// A call of a file with tensors of these histories in place of those that it was given, in their order.
fn with_reads(call: &Json, reads: &mut impl Iterator<Item = Json>) -> Json {
    match call {
        Json::Array(list) => list.iter().map(|json| with_reads(json, reads)).collect(),
        Json::Object(map) if is_read(call) => {
            let mut tensor = call.clone();
            if let Some(read) = reads.next() {
                tensor["config"]["keras_history"] = read;
            }
            tensor
        }
        Json::Object(map) => map.iter().map(|(key, json)| (key.clone(), with_reads(json, reads))).collect(),
        other => other.clone(),
    }
}

/// Input number `index` as a layer.
fn of_input(model: &Model, index: usize, names: &KerasNames) -> Json {
    let input = &model.inputs()[index];
    let mut config = json!({"batch_shape": null, "dtype": "float32", "sparse": false, "ragged": false, "name": null, "optional": false});
    let noted = model.notes().get("inputs").and_then(|inputs| inputs.get(&input.name));
    for (key, value) in noted.and_then(Json::as_object).into_iter().flatten() {
        if config.get(key).is_some() {
            config[key] = value.clone();
        }
    }
    config["batch_shape"] = json!(input.shape.dims());
    config["name"] = json!(names.inputs[index]);
    json!({"module": "keras.layers", "class_name": "InputLayer", "config": config, "registered_name": null})
}

/// A block that is built for inputs of `shapes`; `kept` is what a file said of it, if it is written again.
fn of_block(
    block: &Block,
    kept: Option<&Json>,
    name: &str,
    shapes: Vec<&PartialShape>,
    around: &str,
    foreign: &mut Vec<UnsupportedLayer>,
) -> Json {
    let made = match (kept, block) {
        (Some(kept), _) => as_kept(kept, block),
        (None, Block::Model(model)) => Ok(of_model(model, &format!("{around}{}/", block.name()), foreign)),
        (None, Block::Layer(layer)) => of_layer(layer).map(|mut json| {
            if !layer.weights().is_empty() {
                json["build_config"] = match shapes.as_slice() {
                    [shape] => json!({"input_shape": shape.dims()}),
                    [sequences, states @ ..] if begins_with_states(block) => {
                        let states: Vec<_> = states.iter().map(|shape| shape.dims()).collect();
                        json!({"shapes_dict": {"sequences_shape": sequences.dims(), "initial_state_shape": states}})
                    }
                    several => json!({"input_shape": several.iter().map(|shape| shape.dims()).collect::<Vec<_>>()}),
                };
            }
            json
        }),
    };
    match made {
        Ok(mut json) => {
            json["config"]["name"] = json!(name);
            json
        }
        Err(reason) => {
            let class = kept.and_then(|kept| kept["class_name"].as_str()).unwrap_or_else(|| block.class_name());
            let (name, class) = (format!("{around}{}", block.name()), class.to_owned());
            foreign.push(UnsupportedLayer { name, class, reason });
            json!({"config": {}})
        }
    }
}

/// The config of a layer, or why Keras has none.
fn of_layer(layer: &Layer) -> Result<Json, String> {
    let json = layer.config().to_json(&[]).map_err(|error| error.to_string())?;
    if layer.config().describe().states().is_some_and(|states| states.returned) {
        return Err("its states stand in one tensor with its output, and Keras's are tensors of their own".into());
    }
    if json["module"] != OPERATORS {
        Ok(json)
    } else {
        Err("Keras has no such layer, or not with such arguments".into())
    }
}

/// Whether Keras calls a block with a list of tensors.
fn takes_list(block: &Block) -> bool {
    match block {
        Block::Layer(layer) => layer.config().describe().takes_list(),
        Block::Model(model) => model.inputs().len() > 1,
    }
}

/// Whether what a block takes behind its first input are states.
fn begins_with_states(block: &Block) -> bool {
    matches!(block, Block::Layer(layer) if layer.config().describe().states().is_some())
}

/// What a block makes.
fn dtype(block: &Block) -> &'static str {
    match block {
        Block::Layer(layer) => match layer.config().common().dtype.compute() {
            Some((crate::DType::F16, _)) => "float16",
            _ => "float32",
        },
        Block::Model(_) => "float32",
    }
}

/// `reads` in the structure of `template`, which holds as many, or in Keras's simplest: one alone, or a list.
fn structured(template: &Json, reads: Vec<Json>) -> Json {
    fn fill(template: &Json, reads: &mut std::vec::IntoIter<Json>) -> Option<Json> {
        match template {
            Json::Array(list) if list.first().is_some_and(Json::is_string) => reads.next(),
            Json::Array(list) => list.iter().map(|part| fill(part, reads)).collect::<Option<Vec<_>>>().map(Json::Array),
            Json::Object(map) => {
                let mut keys: Vec<_> = map.keys().collect();
                keys.sort();
                let parts = keys.into_iter().map(|key| Some((key.clone(), fill(&map[key], reads)?)));
                parts.collect::<Option<serde_json::Map<_, _>>>().map(Json::Object)
            }
            _ => None,
        }
    }
    let mut left = reads.clone().into_iter();
    match fill(template, &mut left) {
        Some(filled) if left.next().is_none() => filled,
        _ => match <[Json; 1]>::try_from(reads) {
            Ok([one]) => one,
            Err(several) => several.into(),
        },
    }
}

/// The time; where there is no clock, as for WebAssembly without JavaScript, that from which times are counted.
fn now() -> SystemTime {
    #[cfg(not(target_arch = "wasm32"))]
    return SystemTime::now();
    #[cfg(all(target_arch = "wasm32", feature = "web-train"))]
    return UNIX_EPOCH + Duration::from_secs((js_sys::Date::now() / 1e3) as u64);
    #[cfg(all(target_arch = "wasm32", not(feature = "web-train")))]
    UNIX_EPOCH
}

/// `time` in Keras's form, in UTC.
fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's civil_from_days, for days after 1970: years begin in March, eras are 400 years.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}@{hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01@00:00:00"),
            (951_782_399, "2000-02-28@23:59:59"),
            (951_782_400, "2000-02-29@00:00:00"),
            (1_709_251_199, "2024-02-29@23:59:59"),
            (4_107_542_400, "2100-03-01@00:00:00"),
        ] {
            assert_eq!(date(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn calls_keep_what_is_no_tensor() {
        let tensor = |name: &str| json!({"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}});
        let odd = json!({"class_name": "__keras_tensor__", "config": [1]});
        let call =
            |first: Json, second: Json| json!({"args": [odd, [first, 2.0]], "kwargs": {"axis": -1, "other": second}});
        let mut reads = [json!(["c", 1, 0]), json!(["d", 0, 2])].into_iter();
        let made = with_reads(&call(tensor("a"), tensor("b")), &mut reads);
        let [mut first, mut second] = [tensor("c"), tensor("d")];
        first["config"]["keras_history"] = json!(["c", 1, 0]);
        second["config"]["keras_history"] = json!(["d", 0, 2]);
        assert_eq!((made, reads.next()), (call(first, second), None));
    }

    #[test]
    fn reads_keep_the_structure_they_had() {
        let reads = || vec![json!(["a", 0, 0]), json!(["b", 1, 0])];
        assert_eq!(
            structured(&json!({"z": ["x", 0, 0], "y": ["x", 0, 0]}), reads()),
            json!({"y": ["a", 0, 0], "z": ["b", 1, 0]})
        );
        assert_eq!(structured(&json!([["x", 0, 0]]), vec![json!(["a", 0, 0])]), json!([["a", 0, 0]]));
        assert_eq!(structured(&json!(["x", 0, 0]), reads()), json!(reads()));
        assert_eq!(structured(&Json::Null, vec![json!(["a", 0, 0])]), json!(["a", 0, 0]));
    }
}
