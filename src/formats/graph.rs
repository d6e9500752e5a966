//! Keras's model configs as graphs: which layer, or model within the model, is called on what the others made.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use serde_json::Value as Json;

use super::UnsupportedLayer;
use super::composites::Called;
use super::weights::{LayerPlace, sibling};
use super::{composites, operators};
use crate::layers::{ADAPTERS, CustomLayers, Generation, GivenMask, LayerConfig, OPERATORS, Origin, ReadOptions};
use crate::model::{AppliedLayer, Architecture, Input};
use crate::{DType, Error, PartialShape, Result, Rounding, printable_name};

/// How often layers may be applied altogether: models that apply each other twice, and are nested deeply, would take
/// forever to run.
const APPLICATIONS: u64 = 1 << 16;

/// A model as a config describes it.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub name: String,
    pub sequential: bool,
    /// Names and shapes. A Sequential within another model may leave its shape to what it is applied to.
    pub inputs: Vec<(String, Option<PartialShape>)>,
    pub members: Vec<Member>,
    /// Applications of members, each after what it reads.
    pub calls: Vec<Call>,
    pub outputs: Vec<Source>,
    /// What the config says beside the graph, to be written again.
    pub notes: Json,
}

/// A layer, or a model, in a model.
#[derive(Debug)]
pub(super) struct Member {
    pub name: String,
    pub body: Body,
    /// Its name in files of weights, unique among its siblings.
    pub group: String,
    /// Whether the `output_layers` of Keras 3 count its applications from 1, as it does for models that have been one already.
    pub counted: bool,
    /// Whether Keras 2 counts its applications from 1 everywhere: it does for models that stated their input.
    pub counted_in_2: bool,
}

#[derive(Debug)]
pub(super) enum Body {
    /// A layer, with its place among all layers of the file, those of models within it included.
    Layer(Box<LayerConfig>, usize),
    Model(Graph),
}

#[derive(Debug)]
pub(super) struct Call {
    pub member: usize,
    pub inputs: Vec<Source>,
}

/// Something that can be read: an input, or one of the outputs of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Input(usize),
    Call { call: usize, output: usize },
}

/// What a file says is read: an output of an application of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ReadOutput {
    layer: String,
    number: u64,
    output: u64,
}

/// What a call is given.
#[derive(Debug, Default)]
struct Given {
    reads: Vec<ReadOutput>,
    /// The key of each, where they are given as a map.
    keys: Option<Vec<String>>,
    /// The masks that the call gives, for the first of what it reads on.
    masks: Vec<Option<ReadOutput>>,
    /// In the form of Keras 2, in which applications of models mostly count from 1.
    of_keras_2: bool,
}

/// An application as the file states it.
struct Stated {
    member: usize,
    number: u64,
    given: Given,
}

/// Reads the model `json` of a file of `generation`, whose part of the file is called `place`, and everything in it that cannot
/// be built.
///
/// # Errors
/// [`Error::Format`] for a config that contradicts itself; [`Error::Unsupported`] for one of no Sequential or Functional
/// model.
pub(super) fn parse(
    json: &Json,
    place: &str,
    generation: Generation,
    options: ReadOptions,
    custom: &CustomLayers,
) -> Result<(Graph, Vec<UnsupportedLayer>)> {
    let mut parser =
        Parser { place, generation, options, custom, masks: makes_masks(json), layers: 0, unsupported: Vec::new() };
    let graph = parser.model(json, "")?;
    if parser.unsupported.is_empty() {
        if graph.inputs.iter().any(|(_, shape)| shape.is_none()) {
            let problem = "the model was saved before its input shape was known: call it once, then save it";
            return Err(parser.broken(problem));
        }
        if graph.size() > APPLICATIONS {
            return Err(parser.broken(format!("layers must be applied at most {APPLICATIONS} times altogether")));
        }
    }
    Ok((graph, parser.unsupported))
}

impl Graph {
    /// All layers of the graph as files of weights know them, in their order: what they declare for the graph's inputs.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the layer that does not take what it is applied to.
    pub(super) fn places(&self) -> Result<Vec<LayerPlace>> {
        self.walked().map(|walk| walk.places.into_iter().flatten().collect())
    }

    /// All applications of layers.
    ///
    /// # Errors
    /// Those of [`places`](Self::places).
    pub(super) fn architecture(&self) -> Result<Architecture> {
        self.walked().map(|walk| walk.architecture)
    }

    fn walked(&self) -> Result<GraphWalk> {
        let shapes = self.input_shapes();
        let named = self.inputs.iter().zip(&shapes);
        let inputs = named.map(|((name, _), shape)| Input { name: name.clone(), shape: shape.clone() }).collect();
        let mut walk = GraphWalk { architecture: Architecture::new(&self.name, inputs), places: Vec::new() };
        let inputs: Vec<PlacedShape> = (0..).zip(shapes).collect();
        let outputs = self.walk(&inputs, &LayerPlace::default(), &mut walk)?;
        walk.architecture.set_outputs(outputs.into_iter().map(|(place, _)| place).collect());
        Ok(walk)
    }

    /// The shapes of a whole model's inputs, which [`parse`] has found to be stated.
    pub(super) fn input_shapes(&self) -> Vec<PartialShape> {
        self.inputs.iter().filter_map(|(_, shape)| shape.clone()).collect()
    }

    /// Whether it is a layer of Keras's, whose weights stand in its attributes.
    fn is_layer(&self) -> bool {
        self.members.iter().any(|member| member.group.starts_with('@'))
    }

    /// Whether nothing in it computes.
    fn passes_on(&self) -> bool {
        let idle = |body: &Body| matches!(body, Body::Layer(config, _) if matches!(**config, LayerConfig::Identity(_)));
        self.members.iter().all(|member| idle(&member.body))
    }

    /// The number of applications of layers, those in models within the model included.
    fn size(&self) -> u64 {
        let sizes: Vec<u64> = self
            .members
            .iter()
            .map(|member| match &member.body {
                Body::Layer(..) => 1,
                Body::Model(model) => model.size(),
            })
            .collect();
        self.calls.iter().fold(0, |sum, call| sum.saturating_add(sizes[call.member]))
    }

    /// Applies the graph to `inputs`; what makes its outputs.
    fn walk(&self, inputs: &[PlacedShape], around: &LayerPlace, walk: &mut GraphWalk) -> Result<Vec<PlacedShape>> {
        let stated = self.inputs.iter().zip(inputs);
        let inputs: Vec<PlacedShape> =
            stated.map(|((_, stated), (place, given))| (*place, stated.as_ref().unwrap_or(given).clone())).collect();
        let mut made: Vec<Vec<PlacedShape>> = Vec::with_capacity(self.calls.len());
        let of = |made: &[Vec<PlacedShape>], source| match source {
            Source::Input(index) => inputs[index].clone(),
            Source::Call { call, output } => made[call][output].clone(),
        };
        for call in &self.calls {
            let member = &self.members[call.member];
            let reads: Vec<PlacedShape> = call.inputs.iter().map(|&source| of(&made, source)).collect();
            let inner = around.within(&member.name, &member.group);
            made.push(match &member.body {
                Body::Layer(config, index) => {
                    vec![walk.apply(config, *index, &reads, inner).map_err(|error| error.in_layer(&member.name))?]
                }
                Body::Model(model) => {
                    if reads.len() != model.inputs.len() {
                        return Err(Error::invalid(
                            "inputs",
                            format!("model {} must be applied to {} inputs", member.name, model.inputs.len()),
                            format!("{} inputs", reads.len()),
                        ));
                    }
                    model.walk(&reads, &inner, walk)?
                }
            });
        }
        Ok(self.outputs.iter().map(|&source| of(&made, source)).collect())
    }
}

/// The place of an input or layer in an [`Architecture`], and the shape of what it makes.
type PlacedShape = (usize, PartialShape);

/// What was met on the way through a graph.
struct GraphWalk {
    architecture: Architecture,
    /// By the layers' places in the file.
    places: Vec<Option<LayerPlace>>,
}

impl GraphWalk {
    /// Takes in the application to `reads` of the layer number `index` of the file.
    fn apply(
        &mut self,
        config: &LayerConfig,
        index: usize,
        reads: &[PlacedShape],
        place: LayerPlace,
    ) -> Result<PlacedShape> {
        let (inputs, shapes): (Vec<usize>, Vec<PartialShape>) = reads.iter().cloned().unzip();
        let output_shape = config.output_shape_all(&shapes)?;
        let path = place.path.join("/");
        if self.places.len() <= index {
            self.places.resize_with(index + 1, || None);
        }
        let place = match &mut self.places[index] {
            Some(known) => known,
            none => {
                let weights = config.describe().weights(&shapes)?;
                let weights = weights.into_iter().map(|weight| (weight.name, weight.shape, weight.trainable));
                none.insert(LayerPlace { weights: weights.collect(), of: config.describe().weights_of(), ..place })
            }
        };
        let parameters = place
            .weights
            .iter()
            .try_fold(0u64, |sum, (_, shape, _)| Ok::<_, Error>(sum.saturating_add(shape.elements()?)))?;
        let layer =
            AppliedLayer { path, config: config.clone(), inputs, output_shape: output_shape.clone(), parameters };
        Ok((self.architecture.push(layer), output_shape))
    }
}

struct Parser<'a> {
    place: &'a str,
    generation: Generation,
    options: ReadOptions,
    custom: &'a CustomLayers,
    /// Whether any layer makes a mask, which others may carry on.
    masks: bool,
    /// Layers seen so far.
    layers: usize,
    unsupported: Vec<UnsupportedLayer>,
}

impl Parser<'_> {
    fn broken(&self, problem: impl Into<String>) -> Error {
        Error::format(self.place, problem)
    }

    /// The model `json`; `around` is the path of the model it stands in, with a `/` at its end.
    fn model(&mut self, json: &Json, around: &str) -> Result<Graph> {
        let class = at(json, "/class_name").as_str().unwrap_or_default();
        let sequential = match self.model_kind(json) {
            Some(kind) => kind == ModelKind::Sequential,
            None => {
                let reason = "only Sequential and Functional models can be described by a file; what a subclass of Model \
                     computes is Python code: build it from inputs and outputs, and save that";
                return Err(Error::unsupported(format!("{}: a model of class {class:?}", self.place), reason));
            }
        };
        if !["Sequential", "Functional", "Model"].contains(&class) {
            let (place, class) = (printable_name(self.place), printable_name(class));
            log::warn!(
                "{place}: a model is of the class {class}, which is of a program: it is computed as the layers in the \
                 file say, and what a `call` of its own may do besides is not in the file"
            );
        }
        // The first Keras files held the layers of a Sequential in place of its config.
        let config = at(json, "/config");
        let stated = at(config, "/layers").as_array().or(config.as_array());
        let stated = stated.ok_or_else(|| self.broken("the model must hold a list of `layers`"))?;
        let name = at(config, "/name").as_str().unwrap_or(if sequential { "sequential" } else { "model" });
        let mut graph = Graph { name: name.to_owned(), sequential, notes: notes(json), ..Graph::default() };
        let clean = self.unsupported.len();
        let mut siblings: HashMap<String, usize> = HashMap::new();
        let mut names = HashSet::new();
        let mut applications = Vec::new();
        let mut inputs = Vec::new();
        for layer in stated {
            let class = at(layer, "/class_name").as_str();
            let class = class.ok_or_else(|| self.broken("a layer must have a text at /class_name"))?;
            let name = at(layer, "/config/name").as_str().or(at(layer, "/name").as_str());
            let name = name.ok_or_else(|| self.broken(format!("a layer of class {class} has no name")))?.to_owned();
            if !names.insert(name.clone()) {
                return Err(self.broken(format!("two layers are called {name:?}")));
            }
            if class == "InputLayer" {
                let shape = self.shape_at(layer, &["/config/batch_shape", "/config/batch_input_shape"])?;
                let shape = shape.ok_or_else(|| self.broken(format!("input {name} must have a batch_shape")))?;
                graph.notes["inputs"][&name] = at(layer, "/config").clone();
                match input_dtype(at(layer, "/config")) {
                    Ok(dtype) => inputs.push((name.clone(), dtype)),
                    Err(reason) => self.refuse(around, &name, class, reason),
                }
                graph.inputs.push((name, Some(shape)));
                continue;
            }
            let group = sibling(&mut siblings, class);
            let path = format!("{around}{name}");
            let body = self.body(layer, class, &path)?.map(|body| self.with_states(body, layer, &name));
            let calls = match self.is_operator(layer, class) {
                _ if sequential => Ok(Vec::new()),
                true => operators::call(layer, class).map(|call| vec![Given::of_operator(call.reads, layer)]),
                false => applications_of(layer),
            };
            match (body, calls) {
                (Ok(mut body), Ok(calls)) => {
                    graph.notes["keywords"][&name] = keywords_off(layer);
                    note_dtypes(at(layer, "/inbound_nodes"), &mut graph.notes);
                    if self.is_kept(layer, class, &body) {
                        keep_groups(&mut body);
                        graph.notes["kept"][&name] = layer.clone();
                    }
                    let member = graph.members.len();
                    applications.extend((0..).zip(calls).map(|(number, given)| Stated { member, number, given }));
                    let counted = self.model_kind(layer) == Some(ModelKind::Functional);
                    let counted_in_2 = matches!(body, Body::Model(_)) && (counted || states_its_input(layer));
                    graph.members.push(Member { name, body, group, counted, counted_in_2 });
                }
                (Err(reason), _) | (_, Err(reason)) => self.refuse(around, &name, class, reason),
            }
        }
        // Who reads a layer, by its name.
        let mut readers = HashMap::<&str, Vec<usize>>::new();
        for Stated { member, given, .. } in &applications {
            for read in &given.reads {
                readers.entry(&read.layer).or_default().push(*member);
            }
        }
        let first = if graph.members.is_empty() { Vec::new() } else { vec![0] };
        for (name, dtype) in inputs {
            let readers = if sequential { Some(&first) } else { readers.get(name.as_str()) };
            let readers = readers.into_iter().flatten().map(|&member| &graph.members[member]);
            let whole = takes_no_whole_numbers(dtype, readers);
            if let Some(reason) = rounds_its_input(dtype, &graph).or(whole) {
                self.refuse(around, &name, "InputLayer", reason);
            }
        }
        self.give_masks(&mut graph, &mut names, &mut applications);
        if self.unsupported.len() == clean {
            if sequential { self.chain(&mut graph, json)? } else { self.connect(&mut graph, json, &applications)? }
        }
        Ok(graph)
    }

    /// Puts a layer that gives a mask before each application that is called with one.
    fn give_masks(&mut self, graph: &mut Graph, names: &mut HashSet<String>, applications: &mut Vec<Stated>) {
        for index in 0..applications.len() {
            let masks = std::mem::take(&mut applications[index].given.masks);
            for (place, mask) in masks.into_iter().enumerate() {
                let Some(mask) = mask else { continue };
                let Stated { member, number, given } = &applications[index];
                let mut name = format!("{}_mask_{number}_{place}", graph.members[*member].name);
                while !names.insert(name.clone()) {
                    name.push('_');
                }
                let reads = vec![given.reads[place].clone(), mask];
                graph.notes["given_masks"][&name] = true.into();
                let given = Given { reads, of_keras_2: given.of_keras_2, ..Given::default() };
                applications[index].given.reads[place] = ReadOutput { layer: name.clone(), number: 0, output: 0 };
                applications.push(Stated { member: graph.members.len(), number: 0, given });
                let body = Body::Layer(Box::new(LayerConfig::from(GivenMask::new()).named(&name)), self.layers);
                self.layers += 1;
                graph.members.push(Member { name, body, group: String::new(), counted: false, counted_in_2: false });
            }
        }
    }

    fn refuse(&mut self, around: &str, name: &str, class: &str, reason: String) {
        let name = format!("{around}{name}");
        self.unsupported.push(UnsupportedLayer { name, class: class.to_owned(), reason });
    }

    /// The kind of model that `json` describes, if it is one. A subclass of Keras's Model that was made of inputs and outputs
    /// is described by its graph all the same.
    fn model_kind(&self, json: &Json) -> Option<ModelKind> {
        let class = at(json, "/class_name").as_str()?;
        let graph = || ["layers", "input_layers", "output_layers"].iter().all(|key| json["config"].get(key).is_some());
        match (Origin::of(self.generation, json), class) {
            (Origin::Keras, "Sequential") => Some(ModelKind::Sequential),
            (Origin::Keras, "Functional" | "Model") => Some(ModelKind::Functional),
            _ if graph() => Some(ModelKind::Functional),
            _ => None,
        }
    }

    /// Whether `layer` is an operator in the graph.
    fn is_operator(&self, layer: &Json, class: &str) -> bool {
        match Origin::of(self.generation, layer) {
            Origin::Operator => true,
            Origin::Keras => operators::is_of_keras_2(class) || composites::is_attention(class),
            _ => false,
        }
    }

    /// Whether `layer`, which became `body`, is written again as it stands in the file: a layer of Keras 3 that is several of
    /// ours, one that the caller gave layers for, or an operator.
    fn is_kept(&self, layer: &Json, class: &str, body: &Body) -> bool {
        let composite = matches!(body, Body::Model(graph) if graph.is_layer())
            && (Origin::of(self.generation, layer) == Origin::Keras || self.custom.get(layer).is_some());
        self.generation == Generation::Keras3
            && (composite || self.is_operator(layer, class))
            && !at(layer, "/inbound_nodes/0").is_array()
            && has_all_weights(body)
    }

    /// A layer of Keras's that is several of ours.
    fn composite(&mut self, layer: &Json, class: &str, path: &str) -> Result<Result<Body, String>> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let mut failed = None;
        let (first, masks) = (self.layers, self.masks);
        let made = if composites::is_attention(class) {
            let call = operators::call(layer, class);
            call.and_then(|call| composites::attention(layer, class, name, first, &call, masks))
        } else {
            composites::wrapper(layer, class, name, first, called(layer, masks), &mut |json, first| {
                self.layers = first;
                let class = at(json, "/class_name").as_str().unwrap_or_default();
                match self.body(json, class, &format!("{path}/{class}")) {
                    Ok(body) => body.map(|body| (body, self.layers)),
                    Err(error) => {
                        failed = Some(error);
                        Err(String::new())
                    }
                }
            })
        };
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(made.map(|(body, next)| {
            self.layers = next;
            body
        }))
    }

    /// `body`, a recurrent layer that returns its states or is called with states beside a mask, as a model.
    fn with_states(&mut self, body: Body, layer: &Json, name: &str) -> Body {
        let Body::Layer(config, index) = body else { return body };
        let Some(states) = config.describe().states() else { return Body::Layer(config, index) };
        let called = called(layer, self.masks);
        if !states.returned && called.reads_mask {
            return Body::Layer(config, index);
        }
        let (made, next) = composites::with_states(*config, &states, name, index, called);
        self.layers = next;
        made
    }

    /// What a layer of a model is, or why it cannot be built.
    fn body(&mut self, layer: &Json, class: &str, path: &str) -> Result<Result<Body, String>> {
        if self.model_kind(layer).is_some() {
            return Ok(Ok(Body::Model(self.model(layer, &format!("{path}/"))?)));
        }
        let origin = Origin::of(self.generation, layer);
        let given = self.custom.get(layer).filter(|_| matches!(origin, Origin::Custom(_)) || class == "Lambda");
        if let Some(make) = given {
            let made = make(at(layer, "/config")).map_err(|error| error.to_string());
            let name = path.rsplit('/').next().unwrap_or(path);
            let made = made.and_then(|given| composites::custom(given, name, self.layers));
            return Ok(made.map(|(body, next)| {
                self.layers = next;
                body
            }));
        }
        let keras = origin == Origin::Keras;
        if keras && (composites::is_wrapper(class) || composites::is_attention(class)) {
            return self.composite(layer, class, path);
        }
        if self.is_operator(layer, class) {
            let name = at(layer, "/config/name").as_str().or(at(layer, "/name").as_str()).unwrap_or_default();
            let body =
                operators::call(layer, class).and_then(|call| operators::body(&call, name, self.layers, self.masks));
            self.layers += match &body {
                Ok(Body::Model(graph)) => graph.members.len(),
                _ => 1,
            };
            return Ok(body);
        }
        let config = match Origin::of(self.generation, layer) {
            Origin::Custom(of) => Err(custom(&of)),
            origin => self.layer(layer, class, origin),
        };
        self.layers += 1;
        Ok(config.map(|config| Body::Layer(Box::new(config), self.layers - 1)))
    }

    /// The layer that is Keras's own, or this crate's, or why it cannot be built.
    fn layer(&self, layer: &Json, class: &str, origin: Origin) -> Result<LayerConfig, String> {
        // An object of Keras 2 may name no module, either.
        if let Origin::Custom(of) = Origin::of(self.generation, at(layer, "/config/activation")) {
            return Err(format!("its activation is {}", custom(&of)));
        }
        if let Some(adapter) = ADAPTERS.iter().find(|adapter| at(layer, "/config").get(**adapter).is_some()) {
            return Err(format!(
                "it has low-rank adapters (LoRA, `{adapter}`), which are not supported: make the layer without them, give it the \
                 `kernel` that Keras reads from this one, which has them added, and save that"
            ));
        }
        if let Some(why) = operators::unfit_types(class, layer) {
            return Err(why.into());
        }
        let config = LayerConfig::from_config_with(class, at(layer, "/config"), self.options);
        let config = config.map_err(|error| match error {
            Error::Unsupported { what, .. } if what == format!("the layer class {class}") => unsupported_class(class),
            other => other.to_string(),
        })?;
        // Some of this crate's are called as layers of users are.
        let own = origin == Origin::Own || self.generation == Generation::Unstated && layer.get("module").is_none();
        if own || config.module() != OPERATORS {
            return Ok(config);
        }
        Err(custom(&format!("{class}, which Keras does not have, or not with such arguments")))
    }

    /// The graph of a Sequential.
    fn chain(&self, graph: &mut Graph, json: &Json) -> Result<()> {
        if graph.inputs.is_empty() {
            let pointers = [
                "/config/build_input_shape",
                "/build_config/input_shape",
                // Keras 2 writes it with the first layer, in place of an InputLayer.
                "/config/layers/0/config/batch_input_shape",
                "/config/0/config/batch_input_shape",
            ];
            let within = graph.members.first().and_then(|first| match &first.body {
                Body::Model(model) => model.inputs.first().and_then(|(_, shape)| shape.clone()),
                Body::Layer(..) => None,
            });
            let shape = self.shape_at(json, &pointers)?.or(within);
            // A layer may have the name, too.
            let mut name = "input".to_owned();
            while graph.members.iter().any(|member| member.name == name) {
                name.push('_');
            }
            graph.inputs.push((name, shape));
        }
        if graph.inputs.len() > 1 {
            return Err(self.broken("a Sequential must have one input"));
        }
        let single = |member: &Member| match &member.body {
            Body::Layer(..) => true,
            Body::Model(model) => model.inputs.len() == 1 && model.outputs.len() == 1,
        };
        if let Some(member) = graph.members.iter().find(|member| !single(member)) {
            return Err(
                self.broken(format!("model {} in a Sequential must have one input and one output", member.name))
            );
        }
        let before =
            |index: usize| index.checked_sub(1).map_or(Source::Input(0), |call| Source::Call { call, output: 0 });
        let members = graph.members.len();
        graph.calls = (0..members).map(|member| Call { member, inputs: vec![before(member)] }).collect();
        graph.outputs = vec![before(members)];
        Ok(())
    }

    /// The graph of a Functional model: every application after those it reads and after the layer's earlier ones,
    /// otherwise in the file's order.
    fn connect(&self, graph: &mut Graph, json: &Json, stated: &[Stated]) -> Result<()> {
        let order = self.history_list(at(json, "/config/input_layers"))?;
        let stated_inputs: HashMap<&str, usize> =
            graph.inputs.iter().enumerate().map(|(index, (name, _))| (name.as_str(), index)).collect();
        let mut inputs = Vec::with_capacity(order.len());
        for read in &order {
            let input = stated_inputs.get(read.layer.as_str());
            let input = input.ok_or_else(|| self.broken(format!("there is no input layer {:?}", read.layer)))?;
            inputs.push(graph.inputs[*input].clone());
        }
        if inputs.len() != graph.inputs.len() {
            return Err(self.broken("every input layer must be among `input_layers`, once"));
        }
        graph.inputs = inputs;
        let input_places: HashMap<&str, usize> =
            graph.inputs.iter().enumerate().map(|(index, (name, _))| (name.as_str(), index)).collect();
        let members: HashMap<&str, usize> =
            graph.members.iter().enumerate().map(|(index, member)| (member.name.as_str(), index)).collect();
        let applications: HashMap<(usize, u64), usize> =
            stated.iter().enumerate().map(|(index, one)| ((one.member, one.number), index)).collect();
        let outputs_read = self.history_list(at(json, "/config/output_layers"))?;
        let from_one = counts_from_one(graph, stated, &outputs_read);
        // The application, or input, that `read` names, and which of its outputs; applications may count from 1.
        let find = |read: &ReadOutput, from_one: &dyn Fn(usize) -> bool| -> Option<(Source, usize)> {
            let Some(&member) = members.get(read.layer.as_str()) else {
                let input = input_places.get(read.layer.as_str()).copied();
                return input.filter(|_| read.number == 0 && read.output == 0).map(|index| (Source::Input(index), 0));
            };
            let number = read.number.checked_sub(from_one(member).into())?;
            let call = *applications.get(&(member, number))?;
            let outputs = match &graph.members[member].body {
                Body::Layer(..) => 1,
                Body::Model(model) => model.outputs.len(),
            };
            let output = usize::try_from(read.output).ok().filter(|&output| output < outputs)?;
            Some((Source::Call { call, output }, call))
        };
        let mut missing = vec![0usize; stated.len()];
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); stated.len()];
        let mut sources = Vec::with_capacity(stated.len());
        for (index, application) in stated.iter().enumerate() {
            let Member { name: reader, body, .. } = &graph.members[application.member];
            if let (Some(keys), true) = (&application.given.keys, is_augmentation(body))
                && *keys != ["images"]
            {
                return Err(Error::unsupported(
                    format!("{}: layer {reader} called with a map of {}", self.place, keys.join(", ")),
                    "call it with the images alone, and change what belongs to them where batches are made",
                ));
            }
            let ordered = in_order(&application.given, body);
            let ordered = ordered.map_err(|problem| self.broken(format!("layer {reader} {problem}")))?;
            let mut reads = Vec::with_capacity(ordered.len());
            for read in ordered {
                let from_one = |member: usize| application.given.of_keras_2 && from_one[member];
                let (source, call) = find(read, &from_one).ok_or_else(|| {
                    self.broken(format!(
                        "layer {reader} reads output {} of application {} of {:?}, which there is not",
                        read.output, read.number, read.layer
                    ))
                })?;
                if let Source::Call { .. } = source {
                    missing[index] += 1;
                    readers[call].push(index);
                }
                reads.push(source);
            }
            if let Some(&earlier) =
                application.number.checked_sub(1).and_then(|number| applications.get(&(application.member, number)))
            {
                missing[index] += 1;
                readers[earlier].push(index);
            }
            sources.push(reads);
        }
        let mut ready: BinaryHeap<_> = (0..stated.len()).filter(|&index| missing[index] == 0).map(Reverse).collect();
        let mut position = vec![0; stated.len()];
        let mut calls = Vec::with_capacity(stated.len());
        let placed = |position: &[usize], source| match source {
            Source::Input(index) => Source::Input(index),
            Source::Call { call, output } => Source::Call { call: position[call], output },
        };
        while let Some(Reverse(index)) = ready.pop() {
            position[index] = calls.len();
            let inputs = sources[index].iter().map(|&source| placed(&position, source)).collect();
            calls.push(Call { member: stated[index].member, inputs });
            for &reader in &readers[index] {
                missing[reader] -= 1;
                if missing[reader] == 0 {
                    ready.push(Reverse(reader));
                }
            }
        }
        if calls.len() != stated.len() {
            return Err(self.broken("the layers must not read each other in a circle"));
        }
        let keras_2 = stated.iter().any(|application| application.given.of_keras_2);
        let from_zero: HashSet<&str> =
            outputs_read.iter().filter(|read| read.number == 0).map(|read| read.layer.as_str()).collect();
        let mut outputs = Vec::new();
        for read in &outputs_read {
            let found = find(read, &|member| match &graph.members[member] {
                _ if keras_2 => from_one[member],
                member => member.counted && !from_zero.contains(member.name.as_str()),
            });
            let (source, _) = found.ok_or_else(|| self.broken(format!("there is no output layer {:?}", read.layer)))?;
            outputs.push(placed(&position, source));
        }
        if outputs.is_empty() {
            return Err(self.broken("the model must have `output_layers`"));
        }
        (graph.calls, graph.outputs) = (calls, outputs);
        Ok(())
    }

    /// The histories in one of the structures that Keras writes: one, lists of them, and maps, whose values count in the
    /// order of their keys.
    fn history_list(&self, value: &Json) -> Result<Vec<ReadOutput>> {
        let mut reads = Vec::new();
        if flatten(value, &mut reads) {
            return Ok(reads);
        }
        Err(self.broken(format!("{value} must be a list of [layer, application, output]")))
    }

    /// The shape at the first of `pointers` that is not null.
    fn shape_at(&self, value: &Json, pointers: &[&str]) -> Result<Option<PartialShape>> {
        let Some(found) = pointers.iter().map(|pointer| at(value, pointer)).find(|found| !found.is_null()) else {
            return Ok(None);
        };
        let extent = |dim: &Json| match dim {
            Json::Null => Some(None),
            dim => dim.as_u64().and_then(|dim| u32::try_from(dim).ok()).map(|dim| Some(dim as usize)),
        };
        // Keras 2 writes the shape of an input as a list of one.
        let only = found.as_array().filter(|list| list.len() == 1 && list[0].is_array()).map_or(found, |list| &list[0]);
        let dims = only.as_array().and_then(|dims| dims.iter().map(extent).collect::<Option<Vec<_>>>());
        let dims = dims.filter(|dims| !dims.is_empty());
        dims.map(|dims| Some(dims.into()))
            .ok_or_else(|| self.broken(format!("{found} must be a shape: extents below 2^32, or null where unknown")))
    }
}

/// Whether the weights that Keras has in `body` are all read: those that training alone changes, of a wrapper, are not.
fn has_all_weights(body: &Body) -> bool {
    match body {
        Body::Layer(..) => true,
        Body::Model(graph) => {
            graph.notes["not_in_training"].is_null() && graph.members.iter().all(|member| has_all_weights(&member.body))
        }
    }
}

/// Notes in `body`, and in the models within it, what their layers are called in files of weights.
fn keep_groups(body: &mut Body) {
    if let Body::Model(graph) = body {
        for member in &mut graph.members {
            keep_groups(&mut member.body);
            graph.notes["groups"][&member.name] = member.group.as_str().into();
        }
    }
}

/// Notes of each layer or input that `calls` read its type, where it is another than that of most.
fn note_dtypes(calls: &Json, notes: &mut Json) {
    match calls {
        Json::Array(list) => list.iter().for_each(|json| note_dtypes(json, notes)),
        Json::Object(map) => {
            let (dtype, read) = (at(calls, "/config/dtype"), at(calls, "/config/keras_history/0"));
            match (dtype.as_str(), read.as_str()) {
                (Some(dtype), Some(read)) if dtype != "float32" => notes["dtypes"][read] = dtype.into(),
                _ => map.values().for_each(|json| note_dtypes(json, notes)),
            }
        }
        _ => {}
    }
}

/// Whether a layer in `json` makes masks.
fn makes_masks(json: &Json) -> bool {
    match json {
        Json::Array(list) => list.iter().any(makes_masks),
        Json::Object(map) => {
            let given = map.get("mask").or(map.get("query_mask")).or(map.get("value_mask")).or(map.get("key_mask"));
            let makes = map.get("class_name").is_some_and(|class| class == "Masking")
                || given.is_some_and(|mask| (mask.is_object() || mask.is_array()) && !is_off(mask))
                || map.get("mask_zero").is_some_and(|mask| *mask == true);
            makes || map.values().any(makes_masks)
        }
        _ => false,
    }
}

/// Which kind of model a config describes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ModelKind {
    Sequential,
    Functional,
}

/// Why a custom class is not read.
fn custom(of: &str) -> String {
    format!(
        "a custom class, {of}: what it computes is Python code, which no file holds; put layers of Keras in its place and save \
         the model again, or give layers for it, or code in WGSL (`KerasFile::open_custom`)"
    )
}

/// Why what takes texts is refused, and what to do.
const TEXTS: &str = "it takes texts, which no device computes with: turn them into numbers before the model (in Python with this same \
     layer), and save the part behind it, `keras.Model(layer.output, model.output)`, as a model of its own";

/// Why a class of Keras's is not supported.
fn unsupported_class(class: &str) -> String {
    match class {
        "Lambda" => {
            "it holds Python code, which is never run: put layers of Keras in its place, or give layers for it \
                     (`KerasFile::open_custom`)"
                .into()
        }
        "StringLookup" | "TextVectorization" | "HashedCrossing" => TEXTS.into(),
        "Hashing" => {
            "it hashes numbers by their digits as text, with 64-bit whole numbers, which shaders do not have: hash before the model, \
             or put an IntegerLookup in its place, and save the model again"
                .into()
        }
        _ => format!("Keras's {class} is not supported here yet"),
    }
}

/// The type that an InputLayer of this config gives to what it is given, where layers take numbers of it, or why not.
fn input_dtype(config: &Json) -> Result<&str, String> {
    let dtype = at(config, "/dtype");
    match dtype.as_str().or(at(dtype, "/config/name").as_str()) {
        None => Ok("float32"),
        Some(dtype @ ("float16" | "bfloat16" | "float32" | "float64")) => Ok(dtype),
        Some(dtype @ ("int8" | "int16" | "int32" | "int64" | "uint8" | "uint16" | "uint32" | "bool")) => Ok(dtype),
        Some("string") => Err(TEXTS.into()),
        Some(other) => Err(format!(
            "its dtype is {other}: Keras turns what it is given into that, and layers compute in it, which is not supported \
             here; make the input of float32 and save the model again"
        )),
    }
}

/// Why an input of `dtype` cannot be taken as the layers of `graph` take it: Keras rounds it first.
fn rounds_its_input(dtype: &str, graph: &Graph) -> Option<String> {
    let half = match dtype {
        "float16" => (DType::F16, None),
        "bfloat16" => (DType::F32, Some(Rounding::BFloat16)),
        _ => return None,
    };
    let takes = |config: &LayerConfig| match config.common().dtype.compute() {
        Some((DType::F32, Some(Rounding::Float16))) => dtype == "float16",
        compute => compute == Some(half),
    };
    let wider = graph.members.iter().find(|member| match &member.body {
        Body::Layer(config, _) => !takes(config),
        Body::Model(_) => true,
    })?;
    Some(format!(
        "its dtype is {dtype}: Keras rounds what it is given to that, and layer {} takes another, which is not supported here; \
         make the input of float32 and save the model again",
        wider.name
    ))
}

/// Why whole numbers of `dtype` cannot be computed with by what reads them: they are kept as f32 here, which a few layers take
/// for Keras's result. Operators do, but for those on narrow integers, which wrap in Keras.
fn takes_no_whole_numbers<'a>(dtype: &str, mut readers: impl Iterator<Item = &'a Member>) -> Option<String> {
    let narrow = match dtype {
        "int32" | "int64" => false,
        "int8" | "int16" | "uint8" | "uint16" | "uint32" | "bool" => true,
        _ => return None,
    };
    let takes = |member: &Member| match &member.body {
        Body::Layer(config, _) => match **config {
            LayerConfig::CategoryEncoding(_)
            | LayerConfig::Discretization(_)
            | LayerConfig::Embedding(_)
            | LayerConfig::Identity(_)
            | LayerConfig::IntegerLookup(_)
            | LayerConfig::Normalization(_)
            | LayerConfig::Rescaling(_) => true,
            LayerConfig::Broadcast(_) | LayerConfig::Map(_) | LayerConfig::Take(_) => !narrow,
            _ => false,
        },
        // An operator that passes it on casts it to a type that holds it.
        Body::Model(graph) if graph.passes_on() => true,
        // A model turns it into the types of its own inputs, and was asked about these; an operator of several layers has none.
        Body::Model(graph) => graph.notes["inputs"].as_object().is_some_and(|inputs| {
            let wide = |config| ["int32", "int64", "float32", "float64"].map(Ok).contains(&input_dtype(config));
            inputs.values().all(wide)
        }),
    };
    let other = readers.find(|member| !takes(member))?;
    Some(format!(
        "its dtype is {dtype}: Keras turns what it is given into that, and layer {} computes in it, which is not supported here; \
         make the input of float32 and save the model again",
        other.name
    ))
}

/// Whether a Sequential was made with an input, which is its first application.
fn states_its_input(layer: &Json) -> bool {
    let first = at(layer, "/config/layers/0");
    let first = if first.is_null() { at(layer, "/config/0") } else { first };
    at(first, "/class_name") == "InputLayer" || !at(first, "/config/batch_input_shape").is_null()
}

/// For each member, whether its applications are read by numbers from 1 in the form of Keras 2. Not all its releases did so for
/// a Sequential that had no input: one that is read by 0, or by its count, shows it.
fn counts_from_one(graph: &Graph, stated: &[Stated], outputs: &[ReadOutput]) -> Vec<bool> {
    let mut read: HashMap<&str, HashSet<u64>> = HashMap::new();
    let of_keras_2 = stated.iter().filter(|application| application.given.of_keras_2);
    for one in of_keras_2.flat_map(|application| &application.given.reads).chain(outputs) {
        read.entry(&one.layer).or_default().insert(one.number);
    }
    let mut counts = vec![0; graph.members.len()];
    stated.iter().for_each(|application| counts[application.member] += 1);
    let from_one = graph.members.iter().zip(counts).map(|(member, count)| {
        let reads = |number: u64| read.get(member.name.as_str()).is_some_and(|numbers| numbers.contains(&number));
        matches!(member.body, Body::Model(_)) && !reads(0) && (member.counted_in_2 || reads(count))
    });
    from_one.collect()
}

/// Whether Keras calls it with images, or with a map of images and what belongs to them.
fn is_augmentation(body: &Body) -> bool {
    matches!(body, Body::Layer(config, _) if matches!(**config, LayerConfig::Augmentation(_)))
}

/// What a call gives to `body`, in the order of its inputs: of a map, Keras takes what is called as an input of the model is, or
/// by the keys of the map that the model was made with.
fn in_order<'a>(given: &'a Given, body: &Body) -> Result<Vec<&'a ReadOutput>, String> {
    let reads = given.reads.iter();
    let Some(keys) = &given.keys else { return Ok(reads.collect()) };
    // What augmentations take beside images, such as labels, is refused before.
    if is_augmentation(body) {
        return Ok(reads.collect());
    }
    let Body::Model(model) = body else { return Err("must be called with tensors, and is with a map".to_owned()) };
    if let ([_], [only]) = (&model.inputs[..], &given.reads[..]) {
        return Ok(vec![only]);
    }
    let named = match at(&model.notes, "/input_layers") {
        Json::Object(map) => {
            let mut names: Vec<_> = map.keys().map(String::as_str).collect();
            names.sort_unstable();
            names
        }
        _ => model.inputs.iter().map(|(name, _)| name.as_str()).collect(),
    };
    let by_name = named.iter().map(|name| Some(&given.reads[keys.iter().position(|key| key == name)?]));
    let by_name = by_name.collect::<Option<Vec<_>>>().filter(|reads| reads.len() == model.inputs.len());
    by_name.ok_or_else(|| {
        format!("must be called with a map of its inputs, {}; received {}", named.join(", "), keys.join(", "))
    })
}

/// What a model's config says beside its graph.
fn notes(json: &Json) -> Json {
    let mut notes = serde_json::Map::new();
    for (key, value) in at(json, "/config").as_object().into_iter().flatten() {
        if !matches!(key.as_str(), "name" | "layers") {
            notes.insert(key.clone(), value.clone());
        }
    }
    for own in ["dtypes", "given_masks", "groups", "inputs", "kept", "keywords"] {
        notes.insert(own.into(), Json::Object(serde_json::Map::new()));
    }
    notes.insert("compile_config".into(), at(json, "/compile_config").clone());
    notes.into()
}

/// What each application of `layer` is given, or why that cannot be done here.
fn applications_of(layer: &Json) -> Result<Vec<Given>, String> {
    let nodes = at(layer, "/inbound_nodes").as_array().ok_or("it must have a list of `inbound_nodes`")?;
    if nodes.is_empty() {
        return Err("it is never applied".into());
    }
    nodes.iter().map(application).collect()
}

/// How `layer` is called, the first time, where there may be `masks`.
fn called(layer: &Json, masks: bool) -> Called {
    let first = at(layer, "/inbound_nodes/0");
    let given = if first.is_null() { None } else { application(first).ok() }.unwrap_or_default();
    let reads = given.reads.len().max(1);
    Called { reads, masks, reads_mask: !masks || reads == 1 || given.of_keras_2 || !given.masks.is_empty() }
}

fn application(node: &Json) -> Result<Given, String> {
    // Keras 2: a list, or a map, of [layer, application, output, keyword arguments].
    let of_keras_2 = |reads: &mut dyn Iterator<Item = &Json>| {
        let one = |read| {
            keywords(at(read, "/3"), |_, _| false)?;
            history(read).ok_or_else(|| format!("it reads {read}"))
        };
        reads.map(one).collect::<Result<Vec<_>, _>>()
    };
    match node {
        Json::Array(list) => {
            return Ok(Given { reads: of_keras_2(&mut list.iter())?, of_keras_2: true, ..Given::default() });
        }
        Json::Object(map) if !map.is_empty() && map.values().all(|value| history(value).is_some()) => {
            let keys = Some(map.keys().cloned().collect());
            return Ok(Given { reads: of_keras_2(&mut map.values())?, keys, of_keras_2: true, ..Given::default() });
        }
        _ => {}
    }
    let mut given = Given::default();
    for argument in at(node, "/args").as_array().into_iter().flatten() {
        if !given.take(argument) {
            return Err(format!("it is called with {argument}"));
        }
    }
    // The first argument may be named, as any. What a call says of `training` is no matter: Keras 3's `predict` says otherwise.
    let mut named = given.reads.is_empty();
    keywords(at(node, "/kwargs"), |name, argument| match name {
        "training" => argument.is_boolean(),
        "initial_state" => given.take(argument),
        "mask" => true,
        _ => std::mem::take(&mut named) && given.take(argument),
    })?;
    let masks = masks_of(at(node, "/kwargs/mask"));
    given.masks = masks.filter(|masks| masks.len() <= given.reads.len()).ok_or("it is called with `mask`")?;
    Ok(given)
}

/// The masks that a call gives: one, or a list, of which some are null.
fn masks_of(argument: &Json) -> Option<Vec<Option<ReadOutput>>> {
    let one = |argument: &Json| match argument {
        Json::Null => Some(None),
        tensor => {
            let mut given = Given::default();
            given.tensor(tensor).then(|| given.reads.pop())
        }
    };
    match argument {
        off if is_off(off) => Some(Vec::new()),
        Json::Array(list) => list.iter().map(one).collect(),
        tensor => one(tensor).map(|mask| vec![mask]),
    }
}

impl Given {
    /// What an operator reads.
    fn of_operator(reads: Vec<ReadOutput>, layer: &Json) -> Self {
        Self { reads, of_keras_2: at(layer, "/inbound_nodes/0").is_array(), ..Self::default() }
    }

    /// Takes in an argument of a call, in the form of Keras 3; false where it is no tensor, list of tensors or, by itself, map of
    /// tensors.
    fn take(&mut self, argument: &Json) -> bool {
        match argument {
            Json::Object(map) if !map.contains_key("class_name") => {
                let alone = self.reads.is_empty() && !map.is_empty();
                self.keys = Some(map.keys().cloned().collect());
                alone && map.values().all(|argument| self.tensor(argument))
            }
            _ => self.keys.is_none() && self.tensors(argument),
        }
    }

    fn tensors(&mut self, argument: &Json) -> bool {
        match argument {
            Json::Array(list) => !list.is_empty() && list.iter().all(|argument| self.tensors(argument)),
            tensor => self.tensor(tensor),
        }
    }

    fn tensor(&mut self, argument: &Json) -> bool {
        let read = history(at(argument, "/config/keras_history")).filter(|_| is_read(argument));
        read.map(|read| self.reads.push(read)).is_some()
    }
}

/// The keyword arguments of each application of `layer` that are off.
fn keywords_off(layer: &Json) -> Json {
    let off = |node: &Json| -> Json {
        let all = at(node, "/kwargs").as_object().into_iter().flatten();
        let off = all.filter(|(_, argument)| is_off(argument)).map(|(name, argument)| (name.clone(), argument.clone()));
        Json::Object(off.collect())
    };
    at(layer, "/inbound_nodes").as_array().into_iter().flatten().map(off).collect()
}

fn is_off(argument: &Json) -> bool {
    match argument {
        Json::Null | Json::Bool(false) => true,
        // The masks of several tensors.
        Json::Array(list) => list.iter().all(Json::is_null),
        Json::Object(map) => map.values().all(Json::is_null),
        _ => false,
    }
}

/// Checks that all keyword arguments of a call are off, but those that `taken` takes.
fn keywords(arguments: &Json, mut taken: impl FnMut(&str, &Json) -> bool) -> Result<(), String> {
    for (name, argument) in arguments.as_object().into_iter().flatten() {
        if !is_off(argument) && !taken(name, argument) {
            return Err(format!("it is called with `{name}`"));
        }
    }
    Ok(())
}

/// Whether `argument` of a call, in the form of Keras 3, is something that the call reads.
pub(super) fn is_read(argument: &Json) -> bool {
    at(argument, "/class_name") == "__keras_tensor__" && history(at(argument, "/config/keras_history")).is_some()
}

/// `[layer, application, output]`.
pub(super) fn history(value: &Json) -> Option<ReadOutput> {
    match value.as_array()?.as_slice() {
        [layer, number, output, ..] => {
            Some(ReadOutput { layer: layer.as_str()?.to_owned(), number: number.as_u64()?, output: output.as_u64()? })
        }
        _ => None,
    }
}

/// Adds all histories in `value` to `reads`; false where it holds anything else.
fn flatten(value: &Json, reads: &mut Vec<ReadOutput>) -> bool {
    if let Some(read) = history(value) {
        reads.push(read);
        return true;
    }
    match value {
        Json::Array(list) => list.iter().all(|value| flatten(value, reads)),
        Json::Object(map) => {
            let mut sorted: Vec<_> = map.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            sorted.into_iter().all(|(_, value)| flatten(value, reads))
        }
        _ => false,
    }
}

/// The value at a JSON pointer; null where there is none.
pub(super) fn at<'a>(value: &'a Json, pointer: &str) -> &'a Json {
    value.pointer(pointer).unwrap_or(&Json::Null)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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

    fn parse(model: &Json) -> Result<(Graph, Vec<UnsupportedLayer>)> {
        super::parse(model, "config.json", Generation::Unstated, ReadOptions::default(), &CustomLayers::new())
    }

    fn refusal(model: &Json) -> String {
        let Err(error) = parse(model) else { panic!("the model must be refused") };
        error.to_string()
    }

    #[test]
    fn applications_are_ordered_by_what_they_read() {
        let layers = [
            layer("Activation", "last", json!([call(json!([read("shared", 1)]))])),
            layer("Activation", "shared", json!([call(json!([read("x", 0)])), call(json!([read("first", 0)]))])),
            layer("Activation", "first", json!([[["shared", 0, 0, {}]]])),
            input("x"),
        ];
        let outputs = json!({"b": ["shared", 0, 0], "a": [["last", 0, 0]]});
        let (graph, _) = parse(&functional(&layers, json!(["x", 0, 0]), outputs)).unwrap();
        let order: Vec<_> = graph.calls.iter().map(|call| (call.member, call.inputs[0])).collect();
        assert_eq!(order, [(1, Source::Input(0)), (2, made(0, 0)), (1, made(1, 0)), (0, made(2, 0))]);
        assert_eq!(graph.outputs, [made(3, 0), made(0, 0)]);
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
        let gadget = json!({"class_name": "Gadget", "config": {"name": "m"}});
        assert!(refusal(&gadget).contains("a model of class \"Gadget\""));
        assert!(refusal(&one(json!([call(json!([read("a", 0)]))]))).contains("circle"));
        assert!(refusal(&one(json!([call(json!([read("x", 3)]))]))).contains("application 3 of \"x\""));
    }

    #[test]
    fn everything_unsupported_is_listed_at_once() {
        let mut trained = call(json!([read("x", 0)]));
        trained["kwargs"]["mask"] = json!(true);
        let mut custom = layer("Activation", "mine", json!([call(json!([read("x", 0)]))]));
        custom["registered_name"] = json!("my>Activation");
        let mut inner = layer("Sequential", "inner", json!([call(json!([read("x", 0)]))]));
        inner["config"]["layers"] = json!([layer("Telescope", "near", json!(null))]);
        let layers = [
            input("x"),
            layer("Telescope", "far", json!([call(json!([read("x", 0)]))])),
            layer("Activation", "trained", json!([trained])),
            custom,
            inner,
            layer("Activation", "unused", json!([])),
            layer("Activation", "old", json!([[["x", 0, 0, {"training": true}]]])),
            layer("Activation", "good", json!([call(json!([read("x", 0)]))])),
        ];
        let (_, unsupported) = parse(&functional(&layers, json!(["x", 0, 0]), json!(["good", 0, 0]))).unwrap();
        let names: Vec<_> = unsupported.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["far", "trained", "mine", "inner/near", "unused", "old"]);
        assert!(unsupported[1].reason.contains("`mask`"), "{}", unsupported[1].reason);
        assert!(unsupported[5].reason.contains("`training`"), "{}", unsupported[5].reason);
    }

    #[test]
    fn what_takes_texts_says_where_to_cut() {
        let mut texts = input("x");
        texts["config"]["dtype"] = json!("string");
        let lookup = layer("StringLookup", "words", json!([call(json!([read("x", 0)]))]));
        let (_, unsupported) =
            parse(&functional(&[texts, lookup], json!(["x", 0, 0]), json!(["words", 0, 0]))).unwrap();
        let cut = |layer: &UnsupportedLayer| layer.reason.contains("keras.Model(layer.output, model.output)");
        assert!(unsupported.len() == 2 && unsupported.iter().all(cut), "{unsupported:?}");
    }

    #[test]
    fn a_sequential_takes_its_input_from_where_it_stands() {
        let body = |layers: Json, shape: Json| json!({"class_name": "Sequential", "config": {"layers": layers, "build_input_shape": shape}});
        let act = layer("Activation", "a", json!(null));
        let mut first = act.clone();
        first["config"]["batch_input_shape"] = json!([null, 4]);
        let mut inner = body(json!([first]), json!(null));
        inner["config"]["name"] = json!("inner");
        for model in [
            body(json!([input("x"), act]), json!(null)),
            body(json!([act]), json!([null, 4])),
            body(json!([first]), json!(null)),
            body(json!([inner]), json!(null)),
            json!({"class_name": "Sequential", "config": [first]}),
        ] {
            let (graph, _) = parse(&model).unwrap();
            assert_eq!(graph.inputs[0].1.as_ref().unwrap().to_string(), "(None, 4)");
            assert_eq!((graph.calls.len(), graph.outputs), (1, vec![made(0, 0)]));
        }
        assert!(refusal(&body(json!([act]), json!(null))).contains("before its input shape was known"));
    }

    fn made(call: usize, output: usize) -> Source {
        Source::Call { call, output }
    }

    /// A model within a model, with two outputs, in the forms of Keras 3 and of Keras 2, which count differently.
    #[test]
    fn applications_of_models_are_counted_as_each_keras_counts_them() {
        let inner = |reads| {
            let layers = [
                input("i"),
                layer("Activation", "p", json!([call(json!([read("i", 0)]))])),
                layer("Activation", "q", json!([call(json!([read("p", 0)]))])),
            ];
            let mut inner = functional(&layers, json!(["i", 0, 0]), json!([["p", 0, 0], ["q", 0, 0]]));
            inner["config"]["name"] = json!("inner");
            inner["inbound_nodes"] = reads;
            inner
        };
        let tensor = |number: u64, output: u64| json!({"class_name": "__keras_tensor__", "config": {"keras_history": ["inner", number, output]}});
        let three = [
            input("x"),
            inner(json!([call(json!([read("x", 0)])), call(json!([tensor(0, 1)]))])),
            layer("Activation", "a", json!([call(json!([tensor(1, 0)]))])),
        ];
        let two = [
            input("x"),
            inner(json!([[["x", 0, 0, {}]], [["inner", 1, 1, {}]]])),
            layer("Activation", "a", json!([[["inner", 2, 0, {}]]])),
        ];
        for layers in [three, two] {
            let outputs = json!([["a", 0, 0], ["inner", 1, 1], ["inner", 2, 0]]);
            let (graph, unsupported) = parse(&functional(&layers, json!([["x", 0, 0]]), outputs)).unwrap();
            assert_eq!(unsupported, []);
            let reads: Vec<_> = graph.calls.iter().map(|call| call.inputs[0]).collect();
            assert_eq!(reads, [Source::Input(0), made(0, 1), made(1, 0)]);
            assert_eq!(graph.outputs, [made(2, 0), made(0, 1), made(1, 0)]);
            let paths: Vec<_> = graph.places().unwrap().into_iter().map(|place| place.path.join("/")).collect();
            assert_eq!(paths, ["inner/p", "inner/q", "a"]);
        }
    }

    /// Of Keras 2, without an input of its own: not all releases counted from 1 then.
    #[test]
    fn applications_of_a_sequential_are_counted_by_what_reads_them() {
        let inner = |reads| {
            json!({
                "class_name": "Sequential", "inbound_nodes": reads,
                "config": {"name": "inner", "layers": [layer("Activation", "p", json!(null))]},
            })
        };
        let from = |first: u64| {
            let layers = [
                input("x"),
                inner(json!([[["x", 0, 0, {}]], [["inner", first, 0, {}]]])),
                layer("Activation", "a", json!([[["inner", first, 0, {}]]])),
                layer("Activation", "b", json!([[["inner", first + 1, 0, {}]]])),
            ];
            parse(&functional(
                &layers,
                json!([["x", 0, 0]]),
                json!([["a", 0, 0], ["b", 0, 0], ["inner", first + 1, 0]]),
            ))
        };
        for first in [0, 1] {
            let (graph, _) = from(first).unwrap();
            let reads: Vec<_> = graph.calls.iter().map(|call| (call.member, call.inputs[0])).collect();
            assert_eq!(reads, [(0, Source::Input(0)), (0, made(0, 0)), (1, made(0, 0)), (2, made(1, 0))], "{first}");
            assert_eq!(graph.outputs, [made(2, 0), made(3, 0), made(1, 0)]);
        }
        assert!(from(2).is_err());
    }

    #[test]
    fn maps_are_taken_by_the_names_of_inputs() {
        let inner = |inputs: Json, call: Json| {
            let mut minus = layer("Subtract", "minus", json!([[["i", 0, 0, {}], ["j", 0, 0, {}]]]));
            minus["config"] = json!({"name": "minus"});
            let mut inner = functional(&[input("i"), input("j"), minus], inputs, json!(["minus", 0, 0]));
            inner["config"]["name"] = json!("inner");
            inner["inbound_nodes"] = json!([call]);
            let layers = [input("x"), input("y"), inner];
            parse(&functional(&layers, json!([["x", 0, 0], ["y", 0, 0]]), json!([["inner", 1, 0]])))
        };
        let list = || json!([["j", 0, 0], ["i", 0, 0]]);
        let map = || json!({"z": ["i", 0, 0], "a": ["j", 0, 0]});
        let of_keras_3 = |keys: [&str; 2]| call(json!([{keys[0]: read("x", 0), keys[1]: read("y", 0)}]));
        let of_keras_2 = |keys: [&str; 2]| json!({keys[0]: ["x", 0, 0, {}], keys[1]: ["y", 0, 0, {}]});
        for form in [&of_keras_3 as &dyn Fn([&str; 2]) -> Json, &of_keras_2] {
            for (inputs, keys, expected) in
                [(list(), ["i", "j"], [1, 0]), (list(), ["j", "i"], [0, 1]), (map(), ["z", "a"], [1, 0])]
            {
                let (graph, unsupported) = inner(inputs, form(keys)).unwrap();
                assert_eq!((unsupported, &graph.calls[0].inputs[..]), (vec![], &expected.map(Source::Input)[..]));
            }
            for (inputs, keys) in [(list(), ["i", "k"]), (map(), ["i", "j"])] {
                let error = inner(inputs, form(keys)).unwrap_err().to_string();
                assert!(error.contains("must be called with a map of its inputs"), "{error}");
            }
        }
        let mut layers = vec![input("x"), input("y")];
        layers.push(layer("Subtract", "minus", json!([of_keras_3(["a", "b"])])));
        layers[2]["config"] = json!({"name": "minus"});
        let error = refusal(&functional(&layers, json!([["x", 0, 0], ["y", 0, 0]]), json!(["minus", 0, 0])));
        assert!(error.contains("is with a map"), "{error}");
    }

    #[test]
    fn names_of_this_crate_are_read_with_its_module_alone() {
        let mut model = functional(
            &[input("x"), layer("Map", "m", json!([call(json!([read("x", 0)]))]))],
            json!(["x", 0, 0]),
            json!(["m", 0, 0]),
        );
        model["config"]["layers"][1]["config"] = json!({"name": "m", "function": "abs"});
        let reasons = |model: &Json, generation| {
            let (_, unsupported) =
                super::parse(model, "config.json", generation, ReadOptions::default(), &CustomLayers::new()).unwrap();
            unsupported.into_iter().map(|layer| layer.reason).collect::<String>()
        };
        assert!(reasons(&model, Generation::Keras3).contains("Map, which Keras does not have"));
        model["config"]["layers"][1]["module"] = json!("wgpu_conv");
        assert_eq!(reasons(&model, Generation::Keras3), "");
        model["config"]["layers"][1] = layer("Activation", "m", json!([call(json!([read("x", 0)]))]));
        model["config"]["layers"][1]["config"] = json!({"name": "m", "activation": "hard_sigmoid_2"});
        assert!(reasons(&model, Generation::Keras3).contains("must be one of"));
    }

    #[test]
    fn models_that_apply_each_other_without_end_are_refused() {
        let mut model = functional(
            &[input("i"), layer("Activation", "a", json!([call(json!([read("i", 0)]))]))],
            json!(["i", 0, 0]),
            json!(["a", 0, 0]),
        );
        for _ in 0..20 {
            model["config"]["name"] = json!("m");
            model["inbound_nodes"] = json!([call(json!([read("i", 0)])), call(json!([read("m", 0)]))]);
            model = functional(&[input("i"), model], json!(["i", 0, 0]), json!(["m", 2, 0]));
        }
        assert!(refusal(&model).contains("at most 65536 times"), "{}", refusal(&model));
    }
}
