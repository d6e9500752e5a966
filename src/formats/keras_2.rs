//! What files of Keras 1 and 2 say in other words than those of Keras 3: their configs are rewritten, and then read like any
//! other.

use serde_json::{Value as Json, json};

use super::graph::at;
use crate::Activation;
use crate::layers::{Generation, OPERATORS, Origin};

/// The least norm that layers of Keras 2 divide by.
const LEAST_NORM: f64 = 1e-6;

/// The config in the words of Keras 3, with those of the layers and cells in it.
///
/// - Names may hold `/` there, which now separates the models around a layer: it becomes `_`.
/// - `hard_sigmoid` was another function, and the least norm that UnitNormalization and Dot divide by another number.
/// - `RandomCrop` resized at inference.
/// - How the model was compiled for training is left out: Keras 3 does not take all the arguments of its optimizers.
pub(super) fn modern(json: &mut Json, generation: Generation) {
    if let Some(compiled) = json.pointer_mut("/compile_config") {
        *compiled = Json::Null;
    }
    for model in ["/config/layers", "/config", "/config/cells"] {
        for layer in json.pointer_mut(model).and_then(Json::as_array_mut).into_iter().flatten() {
            modern(layer, generation);
        }
    }
    for inner in ["/config/layer", "/config/backward_layer", "/config/cell"] {
        if let Some(layer @ Json::Object(_)) = json.pointer_mut(inner) {
            modern(layer, generation);
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
    // Outside of training, RandomCrop cut the middle of the right aspect ratio and resized it.
    if at(json, "/class_name") == "RandomCrop" && Origin::of(generation, json) == Origin::Keras {
        json["class_name"] = "Resizing".into();
        if let Some(Json::Object(config)) = json.get_mut("config") {
            config.retain(|key, _| key != "seed" && key != "rng_type");
            config.insert("crop_to_aspect_ratio".into(), true.into());
        }
    }
    let normalizes = match at(json, "/class_name").as_str() {
        Some("UnitNormalization") => true,
        Some("Dot") => at(json, "/config/normalize") == true,
        _ => false,
    };
    let normalizes = normalizes && Origin::of(generation, json) == Origin::Keras;
    if let Some(Json::Object(config)) = json.get_mut("config").filter(|_| normalizes) {
        config.insert("epsilon".into(), LEAST_NORM.into());
        json["module"] = OPERATORS.into();
    }
    for pointer in ["/config/activation", "/config/recurrent_activation"] {
        let Some(activation) = json.pointer_mut(pointer) else { continue };
        let function = activation["class_name"] == "function" && Origin::of(generation, activation) == Origin::Keras;
        let name = if function { &activation["config"] } else { &*activation };
        if name == Activation::HardSigmoid.name() {
            let own = Activation::HardSigmoid2.name();
            *activation =
                json!({"module": OPERATORS, "class_name": "function", "config": own, "registered_name": null});
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::LayerConfig;

    #[test]
    fn configs_that_are_no_objects_are_left_as_they_are() {
        for config in [json!(-4), json!("four"), json!([4]), json!(null)] {
            let mut layer = json!({"class_name": "UnitNormalization", "config": config});
            modern(&mut layer, Generation::Keras2);
            assert_eq!(layer, json!({"class_name": "UnitNormalization", "config": config}));
        }
    }

    #[test]
    fn layers_and_cells_within_are_rewritten() {
        let layer = |activation: &str| {
            let config = json!({"name": "a", "activation": "tanh", "recurrent_activation": activation});
            json!({"class_name": "LSTM", "config": config})
        };
        let within = |activation: &str| {
            let cells = json!({"class_name": "StackedRNNCells", "config": {"cells": [layer(activation)]}});
            let both = json!({"layer": layer(activation), "backward_layer": layer(activation)});
            [
                layer(activation),
                json!({"class_name": "Bidirectional", "config": both}),
                json!({"class_name": "RNN", "config": {"cell": layer(activation)}}),
                json!({"class_name": "RNN", "config": {"cell": cells}}),
            ]
        };
        let own =
            json!({"module": OPERATORS, "class_name": "function", "config": "hard_sigmoid_2", "registered_name": null});
        for (mut json, before) in within("hard_sigmoid").into_iter().zip(within("its place")) {
            modern(&mut json, Generation::Keras2);
            let expected = before.to_string().replace(r#""its place""#, &own.to_string());
            assert_eq!(json, serde_json::from_str::<Json>(&expected).unwrap());
        }
    }

    #[test]
    fn hard_sigmoid_is_that_of_keras_2_where_it_is_keras_s() {
        let read = |activation: Json| {
            let mut layer = json!({"class_name": "Activation", "config": {"name": "a", "activation": activation}});
            modern(&mut layer, Generation::Keras2);
            LayerConfig::from_config("Activation", &layer["config"])
        };
        let function = |module: Json| json!({"module": module, "class_name": "function", "config": "hard_sigmoid", "registered_name": null});
        for activation in [json!("hard_sigmoid"), function(json!("builtins"))] {
            let LayerConfig::Activation(layer) = read(activation).unwrap() else { panic!("an Activation") };
            assert_eq!(layer.activation, Activation::HardSigmoid2);
        }
        for module in [json!(null), json!("mine"), json!("__main__")] {
            let error = read(function(module)).unwrap_err().to_string();
            assert!(error.contains("the custom object function"), "{error}");
        }
    }
}
