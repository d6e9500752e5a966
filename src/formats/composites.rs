//! Layers of Keras that are layers of ours in a row: wrappers, recurrent layers of cells, attention. Each becomes a model within
//! the model, whose layers find their weights where Keras keeps them in the layer: a group that begins with `@` names the
//! attribute in place of a layer, and one that begins with `@@` names all that stands between the layer and its weights.

use serde_json::{Value as Json, json};

use super::graph::{Body, Call, Graph, Member, Source, at};
use super::operators;
use crate::layers::{
    ActivationLayer, BinaryFunction, Broadcast, Concatenate, CustomLayer, CustomSource, CustomValue, Dropout, Einsum,
    EinsumDense, GivenMask, Index, LayerConfig, Map, MaskedScores, Merge, MergeKind, MergeTime, Recurrent, Reduce,
    ReduceFunction, SplitTime, States, Subscript, Take, WithMask,
};
use crate::{Activation, HostTensor, Unary};

/// The wrappers of one layer or several, which are called as these are.
const WRAPPERS: [&str; 5] = ["Bidirectional", "Pipeline", "RNN", "SpectralNormalization", "TimeDistributed"];

/// The layers of attention, whose calls name what they are given.
const ATTENTION: [&str; 5] =
    ["AdditiveAttention", "Attention", "GroupQueryAttention", "GroupedQueryAttention", "MultiHeadAttention"];

pub(super) fn is_wrapper(class: &str) -> bool {
    WRAPPERS.contains(&class)
}

pub(super) fn is_attention(class: &str) -> bool {
    ATTENTION.contains(&class)
}

/// A model in the making.
pub(super) struct CompositeWriter {
    graph: Graph,
    /// The number of the next layer in the file.
    layers: usize,
}

/// How a layer is called.
#[derive(Clone, Copy)]
pub(super) struct Called {
    /// With how many tensors.
    pub reads: usize,
    /// Whether these may carry masks.
    pub masks: bool,
    /// Whether a recurrent layer reads the mask: Keras 3 does not find it where states are given beside.
    pub reads_mask: bool,
}

/// Reads a layer or model from its config, its first layer being of the number given; and the number behind its last.
type ReadInner<'a> = dyn FnMut(&Json, usize) -> Result<(Body, usize), String> + 'a;

impl CompositeWriter {
    fn new(name: &str, inputs: usize, layers: usize) -> Self {
        let inputs = (0..inputs).map(|input| (format!("input_{input}"), None)).collect();
        let graph = Graph { name: name.to_owned(), inputs, notes: json!({}), ..Graph::default() };
        Self { graph, layers }
    }

    /// What stands for `body`, applied to `reads`; a layer that is several here is called `name` as well.
    fn body(&mut self, name: &str, group: &str, mut body: Body, reads: &[Source]) -> Source {
        let member = self.graph.members.len();
        if let Body::Model(graph) = &mut body {
            graph.name = name.to_owned();
        }
        let (name, group) = (name.to_owned(), group.to_owned());
        self.graph.members.push(Member { name, body, group, counted: false, counted_in_2: false });
        self.graph.calls.push(Call { member, inputs: reads.to_vec() });
        Source::Call { call: self.graph.calls.len() - 1, output: 0 }
    }

    fn layer(&mut self, name: &str, group: &str, layer: impl Into<LayerConfig>, reads: &[Source]) -> Source {
        let layer = Body::Layer(Box::new(layer.into().named(name)), self.layers);
        self.layers += 1;
        self.body(name, group, layer, reads)
    }

    /// The first input, without its mask where that is not read.
    fn sequence(&mut self, called: Called) -> Source {
        match called.masks && !called.reads_mask {
            true => self.layer("without_mask", "", WithMask::new(), &[Source::Input(0)]),
            false => Source::Input(0),
        }
    }

    /// What is in the output of a recurrent layer that returns its `states`: its own output, which carries the mask of what it `read`
    /// where there are `masks`, and each state.
    fn states(&mut self, name: &str, states: &States, packed: Source, read: Source, masks: bool) -> Vec<Source> {
        let sequences = states.sequences;
        let states = states.count as i32;
        let output = match sequences {
            true => Subscript::Range { start: None, stop: Some(-states), step: 1 },
            false => Subscript::At(0),
        };
        let mut take =
            |name: String, subscript| self.layer(&name, "", Index::new([Subscript::WHOLE, subscript]), &[packed]);
        let mut parts = vec![take(format!("{name}output"), output)];
        parts.extend((0..states).map(|state| take(format!("{name}state_{state}"), Subscript::At(state - states))));
        if masks && sequences {
            parts[0] = self.layer(&format!("{name}with_mask"), "", WithMask::new(), &[parts[0], read]);
        }
        parts
    }

    fn done(mut self, outputs: Vec<Source>) -> (Body, usize) {
        self.graph.outputs = outputs;
        (Body::Model(self.graph), self.layers)
    }
}

/// A wrapper, as it is `called`, of the layers that `inner` reads from configs, each with the number of the first layer in it and the one behind.
pub(super) fn wrapper(
    layer: &Json,
    class: &str,
    name: &str,
    first: usize,
    called: Called,
    inner: &mut ReadInner<'_>,
) -> Result<(Body, usize), String> {
    let config = at(layer, "/config");
    let input = Source::Input(0);
    let Called { reads, masks, .. } = called;
    let mut write = CompositeWriter::new(name, reads, first);
    if reads > 1 && class != "Bidirectional" {
        return Err("it must be called with one tensor".into());
    }
    let name_of = |json: &Json, default: &str| at(json, "/config/name").as_str().unwrap_or(default).to_owned();
    let mut wrapped = |write: &mut CompositeWriter, json: &Json, group: &str, read: Source| -> Result<Source, String> {
        let (body, next) = inner(json, write.layers)?;
        write.layers = next;
        Ok(write.body(&name_of(json, "layer"), group, body, &[read]))
    };
    let output = match class {
        "SpectralNormalization" => {
            // In training its kernel is divided by its largest singular value first, and stays so.
            write.graph.notes["not_in_training"] = json!("use the layer in it by itself, or train the model in Keras");
            vec![wrapped(&mut write, at(config, "/layer"), "@layer", input)?]
        }
        "TimeDistributed" => {
            let folded = write.layer("merge_time", "", MergeTime::new(), &[input]);
            let made = wrapped(&mut write, at(config, "/layer"), "@layer", folded)?;
            vec![write.layer("split_time", "", SplitTime::new(), &[made, input])]
        }
        "Pipeline" => {
            let layers = at(config, "/layers").as_array().ok_or("its config must hold `layers`")?;
            let last = layers.iter().try_fold(input, |read, json| wrapped(&mut write, json, "@layers", read));
            vec![last?]
        }
        "RNN" => {
            let cell = at(config, "/cell");
            let cells = match at(cell, "/class_name").as_str() {
                Some("StackedRNNCells") => at(cell, "/config/cells").as_array().cloned().unwrap_or_default(),
                _ => vec![cell.clone()],
            };
            let flag = |key: &str| config[key].as_bool().unwrap_or(false);
            if flag("stateful") {
                let why =
                    "its states are not kept from call to call: stateful must be false; give them (initial_state)";
                return Err(why.into());
            }
            if flag("return_state") && cells.len() > 1 {
                return Err("the states of several cells are not returned: return_state must be false".into());
            }
            let stacked = at(cell, "/class_name") == "StackedRNNCells";
            if masks && stacked && flag("go_backwards") {
                return Err("several cells that go backwards over times with a mask are not supported".into());
            }
            let mut read = input;
            let mut siblings = std::collections::HashMap::new();
            for (number, cell) in cells.iter().enumerate() {
                let class = at(cell, "/class_name").as_str().unwrap_or_default();
                let layer = class.strip_suffix("Cell").filter(|layer| ["LSTM", "GRU", "SimpleRNN"].contains(layer));
                let layer = layer
                    .ok_or_else(|| format!("its cell {class} is not supported: use LSTM, GRU or SimpleRNN cells"))?;
                let config = LayerConfig::from_config(layer, at(cell, "/config")).map_err(|error| error.to_string())?;
                let LayerConfig::Recurrent(recurrent) = config else { return Err("its cell is none".into()) };
                let last = number + 1 == cells.len();
                let recurrent: Recurrent = recurrent
                    .return_sequences(!last || flag("return_sequences"))
                    .return_state(flag("return_state"))
                    .zero_output_for_mask(last && flag("zero_output_for_mask"))
                    .go_backwards(number == 0 && flag("go_backwards"));
                let group = match stacked {
                    true => format!("@@cell/cells/{}", super::weights::sibling(&mut siblings, class)),
                    false => "@".to_owned(),
                };
                let name = format!("{}_{number}", name_of(cell, "cell"));
                let layer = LayerConfig::from(recurrent);
                let states = layer.describe().states().filter(|states| states.returned);
                read = write.layer(&name, &group, layer, &[read]);
                if let Some(states) = states {
                    let parts = write.states("", &states, read, input, masks);
                    return Ok(write.done(parts));
                }
            }
            if cells.is_empty() {
                return Err("it must have a cell".into());
            }
            vec![read]
        }
        _ => {
            let forward = at(config, "/layer");
            let mut backward = at(config, "/backward_layer").clone();
            if backward.is_null() {
                backward = forward.clone();
                let turned = !backward["config"]["go_backwards"].as_bool().unwrap_or(false);
                backward["config"]["go_backwards"] = turned.into();
                backward["config"]["name"] = format!("backward_{}", name_of(forward, "layer")).into();
            }
            let states: Vec<Source> = (1..reads).map(Source::Input).collect();
            let sequence = write.sequence(called);
            let (of_there, of_back) = states.split_at(states.len() / 2);
            let mut direction = |write: &mut CompositeWriter, json: &Json, group: &str, states: &[Source]| {
                let (body, next) = inner(json, write.layers)?;
                write.layers = next;
                let kept = match &body {
                    Body::Layer(config, _) => config.describe().states(),
                    Body::Model(_) => None,
                };
                let returns = at(json, "/config/return_state").as_bool().unwrap_or(false);
                let read = write.body(&name_of(json, "layer"), group, body, &[&[sequence], states].concat());
                match kept {
                    Some(states) if returns => {
                        let parts = write.states(&format!("{}_", name_of(json, "layer")), &states, read, input, false);
                        Ok((parts[0], parts[1..].to_vec()))
                    }
                    None if returns => {
                        Err("the states of its layers are not returned: return_state must be false".to_owned())
                    }
                    _ => Ok((read, Vec::new())),
                }
            };
            let (there, mut last) = direction(&mut write, forward, "@forward_layer", of_there)?;
            let (back, last_of_back) = direction(&mut write, &backward, "@backward_layer", of_back)?;
            last.extend(last_of_back);
            let sequences = at(&backward, "/config/return_sequences").as_bool().unwrap_or(false);
            let reversed = Subscript::Range { start: None, stop: None, step: -1 };
            let back = match sequences {
                true => write.layer("reverse", "", Index::new([Subscript::WHOLE, reversed]), &[back]),
                false => back,
            };
            let both = [there, back];
            let both = match masks && sequences {
                true => [("there", there), ("back", back)]
                    .map(|(name, made)| write.layer(&format!("{name}_with_mask"), "", WithMask::new(), &[made, input])),
                false => both,
            };
            let mut merged = match at(config, "/merge_mode").as_str() {
                Some("concat") => vec![write.layer("merge", "", Concatenate::new(), &both)],
                Some("sum") => vec![write.layer("merge", "", Merge::new(MergeKind::Add), &both)],
                Some("ave") => vec![write.layer("merge", "", Merge::new(MergeKind::Average), &both)],
                Some("mul") => vec![write.layer("merge", "", Merge::new(MergeKind::Multiply), &both)],
                Some(other) => return Err(format!("its merge_mode {other} is none")),
                None => both.to_vec(),
            };
            merged.extend(last);
            merged
        }
    };
    Ok(write.done(output))
}

/// What the caller has given for a layer.
pub(super) fn custom(given: CustomLayer, name: &str, first: usize) -> Result<(Body, usize), String> {
    let mut write = CompositeWriter::new(name, given.inputs, first);
    let mut made = Vec::with_capacity(given.layers.len());
    let source = |value: &CustomValue, made: &[Source]| match value.0 {
        CustomSource::Input(number) if number < given.inputs => Ok(Source::Input(number)),
        CustomSource::Layer(number) if number < made.len() => Ok(made[number]),
        _ => {
            Err("the layers given for it read what there is not: inputs, and layers before them, are there".to_owned())
        }
    };
    for (number, part) in given.layers.iter().enumerate() {
        let reads = part.reads.iter().map(|value| source(value, &made)).collect::<Result<Vec<_>, String>>()?;
        let class = crate::layers::snake_case(part.layer.class_name());
        let group = format!("@{}", part.attribute);
        made.push(write.layer(&format!("{class}_{number}"), &group, part.layer.clone(), &reads));
    }
    let outputs = given.outputs.iter().map(|value| source(value, &made)).collect::<Result<Vec<_>, String>>()?;
    match outputs.is_empty() {
        true => Err("the layers given for it must have outputs".into()),
        false => Ok(write.done(outputs)),
    }
}

/// A `recurrent` layer that is given or returns `states`, as a model with an output for each.
pub(super) fn with_states(
    recurrent: LayerConfig,
    states: &States,
    name: &str,
    first: usize,
    called: Called,
) -> (Body, usize) {
    let mut write = CompositeWriter::new(name, called.reads, first);
    let inputs: Vec<Source> =
        [write.sequence(called)].into_iter().chain((1..called.reads).map(Source::Input)).collect();
    let made = write.layer("states", "@", recurrent, &inputs);
    let parts = match states.returned {
        true => write.states("", states, made, Source::Input(0), called.masks),
        false if called.masks && states.sequences => {
            vec![write.layer("with_mask", "", WithMask::new(), &[made, Source::Input(0)])]
        }
        false => vec![made],
    };
    write.done(parts)
}

/// A layer of attention as `call` calls it; `masks` tells whether what it is given may carry masks.
pub(super) fn attention(
    layer: &Json,
    class: &str,
    name: &str,
    first: usize,
    call: &operators::OperatorCall,
    masks: bool,
) -> Result<(Body, usize), String> {
    let config = at(layer, "/config");
    let number = |key: &str| config[key].as_u64().and_then(|number| u32::try_from(number).ok());
    let flag = |key: &str, default: bool| config[key].as_bool().unwrap_or(default);
    for key in ["use_gate", "sliding_window", "flash_attention"] {
        if !matches!(config[key], Json::Null | Json::Bool(false)) {
            return Err(format!("its `{key}` is not supported"));
        }
    }
    let mut write = CompositeWriter::new(name, call.reads.len(), first);
    let mut given = call.given(&["query", "value", "key"])?;
    for (place, mask) in call.masks(&["query_mask", "value_mask", "key_mask"])?.into_iter().enumerate() {
        if let (Some(read), Some(mask)) = (given[place], mask) {
            given[place] = Some(write.layer(&format!("given_mask_{place}"), "", GivenMask::new(), &[read, mask]));
        }
    }
    let (query, value) = match (given[0], given[1]) {
        (Some(query), Some(value)) => (query, value),
        _ => return Err("it must be called with a query and a value".into()),
    };
    let key = given[2].unwrap_or(value);
    let (query_read, value_read, key_read) = (query, value, key);
    let mask = call.given_by_name("attention_mask")?;
    let causal = call.is_on("use_causal_mask");
    let scores_too = call.is_on("return_attention_scores");
    let channels = call.given(&["query"])?[0].and_then(|query| call.last_extent(query));
    let use_bias = flag("use_bias", true);
    let dense = |equation: &str, shape: &[Option<usize>], axes: &str| {
        let dense = EinsumDense::new(equation, shape.to_vec());
        if use_bias { dense.bias_axes(axes) } else { dense }
    };
    let wide = |count: u32| Some(count as usize);
    let (scores, value, heads) = match class {
        "MultiHeadAttention" => {
            if !matches!(&config["attention_axes"], Json::Null) && config["attention_axes"] != json!([1]) {
                return Err("its `attention_axes` are not supported: attend along axis 1".into());
            }
            let (heads, of_key) = (number("num_heads"), number("key_dim"));
            let (heads, of_key) = heads.zip(of_key).ok_or("its config must hold num_heads and key_dim")?;
            let of_value = number("value_dim").unwrap_or(of_key);
            let [k, v] = [of_key, of_value].map(|dim| [None, wide(heads), wide(dim)]);
            let query = write.layer("query", "@query_dense", dense("abc,cde->abde", &k, "de"), &[query]);
            let key = write.layer("key", "@key_dense", dense("abc,cde->abde", &k, "de"), &[key]);
            let value = write.layer("value", "@value_dense", dense("abc,cde->abde", &v, "de"), &[value]);
            let scale = Unary::Affine { scale: (f64::from(of_key).sqrt().recip()) as f32, offset: 0.0 };
            let query = write.layer("scale", "", Map::new(scale), &[query]);
            (write.layer("scores", "", Einsum::new("abcd,aecd->acbe"), &[query, key]), value, true)
        }
        "GroupQueryAttention" | "GroupedQueryAttention" => {
            let sizes = (number("num_query_heads"), number("num_key_value_heads"), number("head_dim"));
            let (Some(queries), Some(keys), Some(dim)) = sizes else {
                return Err("its config must hold num_query_heads, num_key_value_heads and head_dim".into());
            };
            if keys == 0 || queries % keys != 0 {
                return Err("num_query_heads must be a multiple of num_key_value_heads".into());
            }
            let of = |heads: u32| [None, wide(heads), wide(dim)];
            let query = write.layer("query", "@_query_dense", dense("bqm,muh->bquh", &of(queries), "uh"), &[query]);
            let key = write.layer("key", "@_key_dense", dense("bkm,mvh->bkvh", &of(keys), "vh"), &[key]);
            let value = write.layer("value", "@_value_dense", dense("bkm,mvh->bkvh", &of(keys), "vh"), &[value]);
            let repeats = queries / keys;
            let heads: Vec<f32> = (0..queries).map(|head| (head / repeats) as f32).collect();
            let heads = HostTensor::new([heads.len()], heads).map_err(|error| error.to_string())?;
            let repeated = Take::new(2).indices(heads);
            let key = write.layer("repeat_key", "", repeated.clone(), &[key]);
            let value = write.layer("repeat_value", "", repeated, &[value]);
            let scale = Unary::Affine { scale: (f64::from(dim).sqrt().recip()) as f32, offset: 0.0 };
            let query = write.layer("scale", "", Map::new(scale), &[query]);
            (write.layer("scores", "", Einsum::new("bquh,bkuh->buqk"), &[query, key]), value, true)
        }
        "AdditiveAttention" => {
            let rows = Index::new([Subscript::WHOLE, Subscript::WHOLE, Subscript::New]);
            let columns = Index::new([Subscript::WHOLE, Subscript::New]);
            let query = write.layer("queries", "", rows, &[query]);
            let key = write.layer("keys", "", columns, &[key]);
            let sum = write.layer("sum", "", Broadcast::new(BinaryFunction::Add), &[query, key]);
            let mut sum = write.layer("tanh", "", ActivationLayer::new(Activation::Tanh), &[sum]);
            if flag("use_scale", true) {
                let channels = channels.ok_or("the extent of its query is not in the file")?;
                let scale = Broadcast::new(BinaryFunction::Multiply).constant_right([channels]);
                sum = write.layer("scale", "@", scale, &[sum]);
            }
            let total = Reduce::new(ReduceFunction::Sum).axes([-1]).keepdims(false);
            (write.layer("scores", "", total, &[sum]), value, false)
        }
        _ => {
            if config["score_mode"].as_str().is_some_and(|mode| mode != "dot") {
                return Err("its score_mode is not supported: use `dot`, or AdditiveAttention".into());
            }
            let mut scores = write.layer("products", "", Einsum::new("bqd,bkd->bqk"), &[query, key]);
            if flag("use_scale", false) {
                let scale = Broadcast::new(BinaryFunction::Multiply).constant_right([0usize; 0]);
                scores = write.layer("scale", "@", scale, &[scores]);
            }
            (scores, value, false)
        }
    };
    let mut scores = scores;
    if causal || mask.is_some() || masks {
        let masked = MaskedScores::new().causal(causal).queries(heads).given(mask.is_some());
        // Attention without heads asks for the mask of its values alone.
        let of_key = if heads { key_read } else { value_read };
        let reads: Vec<Source> = [scores, query_read, value_read, of_key].into_iter().chain(mask).collect();
        scores = write.layer("masked", "", masked, &reads);
    }
    let softmax = ActivationLayer::new(Activation::Softmax { axis: -1 });
    let shares = write.layer("softmax", "", softmax, &[scores]);
    let scores = shares;
    let rate = config["dropout"].as_f64().unwrap_or(0.0);
    let shares = match rate > 0.0 {
        true => {
            let mut dropout = Dropout::new(rate);
            if let Some(seed) = config["seed"].as_u64() {
                dropout = dropout.seed(seed);
            }
            write.layer("dropout", "", dropout, &[scores])
        }
        false => scores,
    };
    // The layers with heads tell what they made before some of it was dropped, the others after.
    let scores = if heads { scores } else { shares };
    let output = match class {
        "MultiHeadAttention" => {
            let mixed = write.layer("mixed", "", Einsum::new("acbe,aecd->abcd"), &[shares, value]);
            let out = match &config["output_shape"] {
                Json::Null => channels,
                Json::Array(list) if list.len() == 1 => list[0].as_u64().map(|extent| extent as usize),
                number => number.as_u64().map(|extent| extent as usize),
            };
            let out = out.ok_or("the extent of its output is not in the file")?;
            write.layer("output", "@output_dense", dense("abcd,cde->abe", &[None, Some(out)], "e"), &[mixed])
        }
        "GroupQueryAttention" | "GroupedQueryAttention" => {
            let mixed = write.layer("mixed", "", Einsum::new("buqk,bkuh->bquh"), &[shares, value]);
            let out = channels.ok_or("the extent of its query is not in the file")?;
            write.layer("output", "@_output_dense", dense("bquh,uhm->bqm", &[None, Some(out)], "m"), &[mixed])
        }
        _ => write.layer("mixed", "", Einsum::new("bqk,bkd->bqd"), &[shares, value]),
    };
    let output = match masks {
        true => {
            let takes = class == "MultiHeadAttention";
            let reads: Vec<Source> = [output, query_read]
                .into_iter()
                .chain(takes.then_some([value_read, key_read]).into_iter().flatten())
                .collect();
            write.layer("with_mask", "", WithMask::new().zeros(!heads).takes(takes), &reads)
        }
        false => output,
    };
    let outputs = if scores_too { vec![output, scores] } else { vec![output] };
    Ok(write.done(outputs))
}
