//! What files of Keras 1 and 2 say in other words than those of Keras 3: their configs are rewritten, and then read like any
//! other.

use serde_json::Value as Json;

use super::graph::at;
use crate::Activation;

/// Whether a config is of Keras 1 or 2: its file's version says so, or, where there is none, that it names no modules.
pub(super) fn wrote(json: &Json, version: Option<&str>) -> bool {
    match version.or(json["keras_version"].as_str()) {
        Some(version) => version.starts_with("1.") || version.starts_with("2."),
        None => json.get("module").is_none(),
    }
}

/// The config in the words of Keras 3.
///
/// - Names may hold `/` there, which now separates the models around a layer: it becomes `_`.
/// - `hard_sigmoid` was another function.
pub(super) fn modern(json: &mut Json) {
    for model in ["/config/layers", "/config"] {
        for layer in json.pointer_mut(model).and_then(Json::as_array_mut).into_iter().flatten() {
            modern(layer);
        }
    }
    for pointer in ["/name", "/config/name"] {
        if let Some(Json::String(name)) = json.pointer_mut(pointer) {
            *name = name.replace('/', "_");
        }
    }
    for pointer in ["/inbound_nodes", "/config/input_layers", "/config/output_layers"] {
        if let Some(reads) = json.pointer_mut(pointer) {
            rename_reads(reads);
        }
    }
    if at(json, "/config/layers").is_array() {
        return;
    }
    if let Some(activation) = json.pointer_mut("/config/activation") {
        let name = match &*activation {
            Json::String(name) => name.clone(),
            object => object["config"].as_str().unwrap_or_default().to_owned(),
        };
        if name == Activation::HardSigmoid.name() {
            *activation = Activation::HardSigmoid2.name().into();
        }
    }
}

/// Renames the layers in what is read: lists `[layer, application, output, …]`, and lists and maps of them.
fn rename_reads(reads: &mut Json) {
    match reads {
        Json::Array(list) => match &mut list[..] {
            [Json::String(layer), Json::Number(_), Json::Number(_), ..] => *layer = layer.replace('/', "_"),
            list => list.iter_mut().for_each(rename_reads),
        },
        Json::Object(map) => map.iter_mut().for_each(|(_, reads)| rename_reads(reads)),
        _ => {}
    }
}
