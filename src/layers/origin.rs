//! What the name of a class in a Keras file means: one function of the release that wrote the file, and of the object's module,
//! class and config. A user's own class may be called `ReLU`, and the operator `keras.ops.add` is not the layer `Add`.

use serde_json::{Map, Value};

use super::{LayerConfig, OPERATORS};

/// Which Keras wrote a file: its words, and what its configs leave unsaid, follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    /// 1.x.
    Keras1,
    /// 2.x, tf.keras and tf_keras included.
    Keras2,
    /// 3.0 and later.
    Keras3,
    /// The file does not say, as configs by hand; they are read like those of Keras 2.
    Unstated,
}

impl Generation {
    /// That of the file of the model `json`, which states the `version` of Keras, if it does.
    pub(crate) fn of(json: &Value, version: Option<&str>) -> Self {
        match version.or(json["keras_version"].as_str()) {
            Some(version) if version.starts_with("1.") => return Self::Keras1,
            Some(version) if version.starts_with("2.") => return Self::Keras2,
            Some(_) => return Self::Keras3,
            None => {}
        }
        // Keras 2 called the shape of an input so, and kept its models in a module of this name.
        let inputs = json.pointer("/config/layers/0/config").unwrap_or(&Value::Null);
        let of_keras_2 =
            |module: &str| module.starts_with("tf_keras") || module.split('.').any(|part| part == "engine");
        match json.get("module") {
            None => Self::Unstated,
            Some(Value::String(module)) if of_keras_2(module) => Self::Keras2,
            Some(_) if inputs.get("batch_input_shape").is_some() => Self::Keras2,
            Some(_) => Self::Keras3,
        }
    }
}

/// Where the class of an object in a config comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Keras's layers, models, initializers and so on.
    Keras,
    /// An operator of `keras.ops`.
    Operator,
    /// This crate's own layers and functions, which Keras does not have.
    Own,
    /// Anything else: in words.
    Custom(String),
}

impl Origin {
    /// The origin of `json`, an object with a `class_name`, in a file of `generation`.
    pub(crate) fn of(generation: Generation, json: &Value) -> Self {
        let class = json["class_name"].as_str().unwrap_or_default();
        let registered = json["registered_name"].as_str().unwrap_or(class);
        let module = match json.get("module") {
            None if registered != class => return of_the_program(registered, ""),
            None => return Self::without_module(generation, class, json),
            Some(Value::String(module)) => module,
            // What Keras 3 writes for a class of the script or notebook that saved the file.
            Some(_) => return of_the_program(registered, ""),
        };
        let parts: Vec<&str> = module.split('.').collect();
        let keras = match parts[0] {
            "keras" | "tf_keras" => true,
            _ if module == OPERATORS => true,
            "builtins" => class == "function" || class.starts_with("__"),
            "tensorflow" => parts.contains(&"keras"),
            _ => false,
        };
        // What Keras itself keeps beside its layers, for one of its models.
        let beside = ["applications", "utils", "legacy"].iter().any(|part| parts.contains(part));
        let of_a_model = parts.contains(&"applications")
            && LayerConfig::arguments_of(class)
                .is_some_and(|known| known.module.rsplit('.').next() == parts.last().copied());
        let beside = beside && !of_a_model;
        // A function is registered by its own name.
        let renamed = registered != class && (class != "function" || registered.contains('>'));
        if !keras || beside || renamed {
            return Self::Custom(format!("{registered} of module {module}"));
        }
        match module.as_str() {
            OPERATORS => Self::Own,
            _ if parts.contains(&"ops") => Self::Operator,
            _ => Self::Keras,
        }
    }

    /// The origin of an object that names no module: of all in the legacy `.h5` files, and of configs by hand. There the config
    /// must be such as Keras's class writes, and else the class is another of the same name. (One that writes the same config is
    /// taken for Keras's by Keras, too.)
    fn without_module(generation: Generation, class: &str, json: &Value) -> Self {
        if class.contains('>') {
            return of_the_program(class, "");
        }
        let Some(config) = json["config"].as_object() else { return Self::Keras };
        let keras_3 = match generation {
            Generation::Keras1 | Generation::Unstated => return Self::Keras,
            Generation::Keras2 => false,
            Generation::Keras3 => true,
        };
        let has = |key: &str| config.contains_key(key);
        let known = LayerConfig::arguments_of(class).filter(|known| known.module != OPERATORS);
        let layer = known.is_some() || OTHER_LAYERS.contains(&class);
        if ["Sequential", "Functional", "Model", "InputLayer"].contains(&class) {
            return Self::Keras;
        }
        // Every layer of Keras 3 writes at least one of the two, and no operator does but those that are given a type.
        let of_a_type = || OPERATORS_OF_A_TYPE.split(' ').any(|operator| operator == class);
        if keras_3 && !has("trainable") && (!has("dtype") || of_a_type()) {
            let operator = has("name") && (!layer || LAYERS_AND_OPERATORS.contains(&class));
            return if operator { Self::Operator } else { of_the_program(class, "") };
        }
        match known {
            Some(known) => match other_than(&known, class, config, keras_3) {
                Some(why) => of_the_program(class, &why),
                None if known.several && is_called_with_several(json) => {
                    of_the_program(class, " and calls it with tensors, where Keras's takes one list of them")
                }
                None => Self::Keras,
            },
            None if layer => Self::Keras,
            None => of_the_program(class, ""),
        }
    }
}

fn of_the_program(class: &str, why: &str) -> Origin {
    Origin::Custom(format!("{class}, a class of the program that saved the file{why}"))
}

/// The arguments of one of the classes of [`LayerConfig`].
pub(super) struct Arguments {
    pub(super) module: &'static str,
    /// Whether it takes several tensors.
    pub(super) several: bool,
    /// All that its config may hold.
    pub(super) known: Vec<String>,
    /// Those that its config always holds, in the latest release.
    pub(super) written: Vec<String>,
}

/// What shows that `config` is not of Keras's `class`, in words.
fn other_than(keras: &Arguments, class: &str, config: &Map<String, Value>, keras_3: bool) -> Option<String> {
    if let Some(key) = config.keys().find(|key| !keras.known.contains(key) && !ADAPTERS.contains(&key.as_str())) {
        return Some(format!(": Keras's {class} has no `{key}`"));
    }
    // Layers of Keras's take it, and do not write it.
    if keras_3 && config.contains_key("autocast") {
        return Some(format!(": Keras's {class} writes no `autocast`"));
    }
    let later = |key: &str| NOT_ALWAYS_IN_3.contains(&key) || !keras_3 && NOT_ALWAYS_IN_2.contains(&key);
    if let Some(key) = keras.written.iter().find(|key| !config.contains_key(*key) && !later(key)) {
        return Some(format!(": Keras's {class} writes its `{key}`, and this one does not"));
    }
    let of_all = |key: &&String| !OF_ALL_LAYERS.contains(&key.as_str());
    let (has_any, writes_any) = (config.keys().any(|key| of_all(&key)), keras.written.iter().any(|key| of_all(&key)));
    (!keras_3 && writes_any && !has_any)
        .then(|| format!(": Keras's {class} writes its arguments, and this one has none"))
}

/// Whether any call of the layer `json`, in Keras 3's form, has several arguments in place of one list.
fn is_called_with_several(json: &Value) -> bool {
    let calls = json["inbound_nodes"].as_array().into_iter().flatten();
    calls.filter_map(|call| call["args"].as_array()).any(|arguments| arguments.len() > 1)
}

/// What Keras writes of low-rank adapters, for layers that have them.
pub(crate) const ADAPTERS: [&str; 2] = ["lora_rank", "lora_alpha"];

/// What configs of any layer may hold.
const OF_ALL_LAYERS: [&str; 7] =
    ["name", "trainable", "dtype", "autocast", "activity_regularizer", "batch_input_shape", "input_shape"];

/// Arguments that not every release of Keras 3 writes (seen in those from 3.0 to 3.15).
const NOT_ALWAYS_IN_3: [&str; 8] = [
    "zero_output_for_mask",
    "alpha",
    "output_padding",
    "quantization_config",
    "renorm",
    "renorm_clipping",
    "renorm_momentum",
    "rms_scaling",
];

/// Arguments that in addition not every release of Keras 2 writes, or writes under another name.
const NOT_ALWAYS_IN_2: [&str; 21] = [
    "antialias",
    "fill_mode",
    "fill_value",
    "pad_to_aspect_ratio",
    "value_range",
    "dilation_rate",
    "dtype",
    "groups",
    "interpolation",
    "invert",
    "keepdims",
    "mean",
    "negative_slope",
    "noise_shape",
    "offset",
    "seed",
    "synchronized",
    "threshold",
    "trainable",
    "variance",
    "data_format",
];

/// Layers whose names are those of operators, too.
const LAYERS_AND_OPERATORS: [&str; 10] =
    ["Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Reshape", "Softmax", "Subtract"];

/// The operators that write the type of what they make.
const OPERATORS_OF_A_TYPE: &str = "Arange Array Cast ConvertToTensor Cumprod Cumsum EmptyLike Full FullLike Geomspace Linspace \
     Logspace MultiHot Nancumprod Nancumsum OneHot OnesLike Prod SaturateCast View ZerosLike";

/// The layers of Keras 2 and 3 that are not in [`LayerConfig`].
#[rustfmt::skip]
const OTHER_LAYERS: [&str; 99] = [
    "AdditiveAttention", "Attention", "AugMix", "AutoContrast",
    "AveragePooling1D", "AveragePooling3D", "Bidirectional", "CenterCrop", "ClassMethod",
    "ContrastLimitedAdaptiveHistogramEqualization", "Conv1D", "Conv1DTranspose", "Conv3D", "Conv3DTranspose",
    "ConvLSTM2DCell", "Cropping1D", "Cropping3D", "CuDNNGRU", "CuDNNLSTM",
    "CutMix", "DenseFeatures", "DepthwiseConv1D", "EinsumDense", "Embedding", "Equalization",
    "FlaxLayer", "GRU", "GRUCell", "GlobalAveragePooling1D", "GlobalAveragePooling3D", "GlobalMaxPooling1D",
    "GlobalMaxPooling3D", "GroupedQueryAttention", "HashedCrossing", "Hashing", "InstanceMethod", "InstanceProperty",
    "JaxLayer", "LSTM", "LSTMCell", "Lambda", "LocallyConnected1D", "LocallyConnected2D",
    "MaxNumBoundingBoxes", "MaxPooling1D", "MaxPooling3D", "MixUp", "MultiHeadAttention",
    "Pipeline", "RMSNormalization", "RNN", "RandAugment", "RandomBrightness", "RandomColorDegeneration",
    "RandomColorJitter", "RandomContrast", "RandomCrop", "RandomElasticTransform", "RandomErasing", "RandomFlip",
    "RandomGaussianBlur", "RandomGrayscale", "RandomHeight", "RandomHue", "RandomInvert", "RandomPerspective",
    "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear",
    "RandomTranslation", "RandomWidth", "RandomZoom", "Resizing", "ReversibleEmbedding",
    "SeparableConv1D", "SimpleRNN", "SimpleRNNCell", "SlicingOpLambda", "Solarization", "SpatialDropout1D",
    "SpatialDropout3D", "SpectralNormalization", "StackedRNNCells", "StringLookup", "SyncBatchNormalization",
    "TFOpLambda", "TFSMLayer", "TensorFlowOpLayer", "TextVectorization", "ThresholdedReLU", "TimeDistributed",
    "TorchModuleWrapper", "UpSampling1D", "UpSampling3D", "Wrapper", "ZeroPadding1D", "ZeroPadding3D",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::layers::*;

    fn custom(generation: Generation, json: &Value) -> Option<String> {
        match Origin::of(generation, json) {
            Origin::Custom(of) => Some(of),
            _ => None,
        }
    }

    #[test]
    fn what_keras_writes_without_a_module_is_its_own() {
        let layers: Vec<LayerConfig> = vec![
            ActivationLayer::new(crate::Activation::Tanh).into(),
            BatchNormalization::new().into(),
            Concatenate::new().into(),
            Conv2D::new(2, 3).into(),
            Conv2DTranspose::new(2, 3).into(),
            Dense::new(2).into(),
            DepthwiseConv2D::new(3).into(),
            Dropout::new(0.5).into(),
            ELU::new().into(),
            Flatten::new().into(),
            LayerNormalization::new().into(),
            LeakyReLU::new().into(),
            MaxPooling2D::default().into(),
            Merge::new(MergeKind::Add).into(),
            Normalization::new().into(),
            ReLU::new().into(),
            SeparableConv2D::new(2, 3).into(),
            SpatialDropout2D::new(0.5).into(),
            UnitNormalization::new().into(),
        ];
        for layer in layers {
            let mut json = json!({"class_name": layer.class_name(), "config": layer.named("it").get_config().unwrap()});
            for generation in [Generation::Keras2, Generation::Keras3] {
                assert_eq!(Origin::of(generation, &json), Origin::Keras, "{json}");
            }
            for later in NOT_ALWAYS_IN_3 {
                json["config"].as_object_mut().unwrap().remove(later);
            }
            assert_eq!(Origin::of(Generation::Keras3, &json), Origin::Keras, "{json}");
            // What a class of the user's writes that says nothing of itself.
            json["config"] = json!({"name": "it", "trainable": true, "dtype": "float32", "autocast": true});
            assert!(custom(Generation::Keras3, &json).is_some(), "{json}");
            json["config"] = json!({"trainable": true, "dtype": "float32"});
            assert!(custom(Generation::Keras3, &json).is_some(), "{json}");
        }
    }

    #[test]
    fn names_without_a_module_are_of_their_generation() {
        let all = json!({"name": "it", "trainable": true, "dtype": "float32"});
        let operator = json!({"name": "it"});
        let typed = json!({"name": "it", "dtype": null});
        let calls = json!([{"args": [{}, {}], "kwargs": {}}]);
        for (generation, class, config, expected) in [
            (Generation::Keras3, "Add", &all, "a class of the program"),
            (Generation::Keras3, "Add", &operator, "operator"),
            (Generation::Keras3, "Softmax", &operator, "operator"),
            (Generation::Keras3, "Dense", &operator, "a class of the program"),
            (Generation::Keras3, "GetItem", &operator, "operator"),
            (Generation::Keras3, "Gate", &all, "a class of the program"),
            (Generation::Keras3, "Cast", &typed, "operator"),
            (Generation::Keras3, "ZerosLike", &typed, "operator"),
            (Generation::Keras3, "ZerosLike", &all, "a class of the program"),
            (Generation::Keras3, "Gate", &typed, "a class of the program"),
            (Generation::Keras2, "Cast", &typed, "a class of the program"),
            (Generation::Keras3, "MatMul", &all, "a class of the program"),
            (Generation::Keras3, "RandomFlip", &all, "Keras"),
            (Generation::Keras2, "RandomFlip", &all, "Keras"),
            (Generation::Keras2, "Gate", &all, "a class of the program"),
            (Generation::Keras2, "Flatten", &all, "writes its arguments"),
            (Generation::Keras2, "ReLU", &all, "writes its `max_value`"),
            (Generation::Keras2, "Add", &all, "Keras"),
            (Generation::Keras2, "Custom>Add", &all, "Custom>Add, a class of the program"),
            (Generation::Unstated, "ReLU", &all, "Keras"),
        ] {
            let json = json!({"class_name": class, "config": config, "inbound_nodes": calls});
            let found = match Origin::of(generation, &json) {
                Origin::Keras => "Keras".to_owned(),
                Origin::Operator => "operator".to_owned(),
                Origin::Own => "own".to_owned(),
                Origin::Custom(of) => of,
            };
            assert!(found.contains(expected), "{generation:?} {class}: {found}");
        }
    }

    #[test]
    fn modules_decide_where_there_are_any() {
        let of = |module: &str, class: &str| {
            Origin::of(Generation::Keras3, &json!({"module": module, "class_name": class, "config": {}}))
        };
        assert_eq!(of("keras.layers", "Dense"), Origin::Keras);
        assert_eq!(of("tf_keras.src.engine.functional", "Functional"), Origin::Keras);
        assert_eq!(of("tensorflow.python.keras.layers", "Dense"), Origin::Keras);
        assert_eq!(of("keras.src.applications.convnext", "LayerScale"), Origin::Keras);
        assert_eq!(of("keras.src.ops.numpy", "Add"), Origin::Operator);
        assert_eq!(of("wgpu_conv", "MatMul"), Origin::Own);
        assert_eq!(of("builtins", "function"), Origin::Keras);
        for (module, class) in [
            ("builtins", "ReLU"),
            ("keras_cv.layers", "Dense"),
            ("mine.keras.layers", "Dense"),
            ("wgpu_conv.mine", "Dense"),
            ("keras.src.applications.resnet", "LayerScale"),
            ("__main__", "function"),
        ] {
            assert!(matches!(of(module, class), Origin::Custom(_)), "{module} {class}");
        }
        let null = json!({"module": null, "class_name": "Dense", "config": {}});
        assert!(custom(Generation::Keras2, &null).is_some());
    }

    #[test]
    fn files_say_of_which_generation_they_are() {
        let of = |json: Value, version| Generation::of(&json, version);
        assert_eq!(of(json!({}), Some("3.15.1")), Generation::Keras3);
        assert_eq!(of(json!({}), Some("2.3.1")), Generation::Keras2);
        assert_eq!(of(json!({"keras_version": "1.2.2"}), None), Generation::Keras1);
        assert_eq!(of(json!({"module": "keras"}), None), Generation::Keras3);
        assert_eq!(of(json!({"module": "keras.src.engine.functional"}), None), Generation::Keras2);
        let old = json!({"module": "keras", "config": {"layers": [{"config": {"batch_input_shape": [null, 4]}}]}});
        assert_eq!(of(old, None), Generation::Keras2);
        assert_eq!(of(json!({}), None), Generation::Unstated);
    }
}
