//! Weights for the layers of a model, from the files that hold nothing else or hold them beside the model.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

#[cfg(feature = "keras")]
use super::hdf5::{Found, WeightsFile};
use crate::layers::{Layer, check_shapes, snake_case};
use crate::model::{Block, Model, Port};
use crate::{Error, HostTensor, Result, Shape};

/// A layer as files of weights know it.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerPlace {
    /// The names of the models around it, the outermost first but for the whole model, and its own.
    pub path: Vec<String>,
    /// The same, as files of Keras 3 name them: by class, and the place among the siblings of the class.
    pub groups: Vec<String>,
    /// The part of the layer that holds its weights in files of Keras 3, if it is one.
    #[cfg_attr(not(feature = "keras"), allow(dead_code, reason = "only those files have parts"))]
    pub of: &'static str,
    /// Name, shape and whether it can be trained, in Keras's order.
    pub weights: Vec<(&'static str, Shape, bool)>,
}

impl LayerPlace {
    /// The place of a layer or model called `name` in the model at this place.
    pub(super) fn within(&self, name: &str, group: &str) -> Self {
        let joined = |path: &[String], last: &str| path.iter().cloned().chain([last.to_owned()]).collect();
        Self { path: joined(&self.path, name), groups: joined(&self.groups, group), of: "", weights: Vec::new() }
    }

    /// # Errors
    /// [`Error::Format`] naming `file`, the layer, the expected and the received where its weights are of other shapes.
    fn check(&self, file: &str, shapes: &[Shape]) -> Result<()> {
        let expected = self.weights.iter().map(|(name, shape, _)| (*name, shape));
        check_shapes(expected, shapes)
            .map_err(|error| Error::format(file, error.in_layer(&self.path.join("/")).to_string()))
    }
}

/// The name in files of weights of the next layer of `class` among its siblings.
pub(super) fn sibling(siblings: &mut HashMap<String, usize>, class: &str) -> String {
    let name = snake_case(match class {
        "Model" => "Functional",
        // Keras's class has another name than the one it is exported by.
        "GroupQueryAttention" => "GroupedQueryAttention",
        class => class,
    });
    let count = siblings.entry(name.clone()).or_default();
    *count += 1;
    if *count == 1 { name } else { format!("{name}_{}", *count - 1) }
}

/// The name in files of weights of block number `index` of `model`: what the file that it was read from calls it, where it stands
/// in a layer of Keras's, and else that of the next layer of its class.
pub(super) fn group_of(model: &Model, index: usize, siblings: &mut HashMap<String, usize>) -> String {
    let block = &model.blocks()[index];
    #[cfg(feature = "keras")]
    if let Some(group) = model.notes()["groups"][block.name()].as_str() {
        return group.to_owned();
    }
    #[cfg(feature = "keras")]
    if let Some(class) = model.notes()["kept"][block.name()]["class_name"].as_str() {
        return sibling(siblings, class);
    }
    sibling(siblings, block.class_name())
}

/// Whether `model` is a layer of Keras's, which is several here: its weights stand in its attributes.
#[cfg(feature = "keras")]
fn is_layer(model: &Model) -> bool {
    let mut groups = model.notes()["groups"].as_object().into_iter().flat_map(|groups| groups.values());
    groups.any(|group| group.as_str().is_some_and(|group| group.starts_with('@')))
}

/// Whether `model` is a layer of Keras's, which is several here: only Keras's files have such.
#[cfg(not(feature = "keras"))]
fn is_layer(_: &Model) -> bool {
    false
}

/// The inputs and blocks of a model, by their places there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ModelPart {
    Input(usize),
    Block(usize),
}

/// The parts of a model in the order of Keras's layers, which decides what they are called in files of weights; of a chain, and
/// of what is a layer in Keras, only the layers as they stand. The order of a graph is Keras's own (`keras/src/ops/function.py`, `map_graph_network`): those first
/// from which the longest way leads to an output, and among them those that a search from the outputs meets first.
pub(super) fn parts(model: &Model) -> Vec<ModelPart> {
    if model.is_chain() || is_layer(model) {
        return (0..model.blocks().len()).map(ModelPart::Block).collect();
    }
    let part = |port| match port {
        Port::Input(index) => ModelPart::Input(index),
        Port::Output(node, _) => ModelPart::Block(model.nodes()[node].block),
    };
    // Outputs of one application are one place in the graph.
    let place = |port| match port {
        Port::Output(node, _) => Port::Output(node, 0),
        input => input,
    };
    let of_node = |node| {
        let (reads, masks) = reads_of(model, node);
        reads.into_iter().chain(masks.into_iter().flatten()).collect()
    };
    let of_nodes: Vec<Vec<Port>> = (0..model.nodes().len()).map(of_node).collect();
    let reads = |port| match port {
        Port::Input(_) => &[][..],
        Port::Output(node, _) => &of_nodes[node],
    };
    let mut met: HashMap<ModelPart, isize> = HashMap::new();
    let mut seen = HashSet::new();
    let mut finished = Vec::new();
    let mut open: Vec<(Port, usize)> = Vec::new();
    let mut meet = |port, open: &mut Vec<(Port, usize)>| {
        let port = place(port);
        if seen.insert(port) {
            let count = met.len() as isize;
            met.entry(part(port)).or_insert(count);
            open.push((port, 0));
        }
    };
    for &output in model.outputs() {
        meet(output, &mut open);
        while let Some((port, next)) = open.last_mut() {
            let (port, index) = (*port, *next);
            *next += 1;
            match reads(port).get(index) {
                Some(&read) => meet(read, &mut open),
                None => {
                    finished.push(port);
                    open.pop();
                }
            }
        }
    }
    let mut depths: HashMap<Port, usize> = HashMap::new();
    let mut deepest: HashMap<ModelPart, usize> = HashMap::new();
    for &port in finished.iter().rev() {
        let of_part = deepest.entry(part(port)).or_default();
        *of_part = (*of_part).max(depths.get(&port).copied().unwrap_or(0));
        let depth = *of_part;
        for &read in reads(port) {
            let deeper = depths.entry(place(read)).or_default();
            *deeper = (*deeper).max(depth + 1);
        }
    }
    // Inputs that no output needs stand before all others there.
    for index in 0..model.inputs().len() {
        met.entry(ModelPart::Input(index)).or_insert(index as isize - model.inputs().len() as isize);
    }
    let mut parts: Vec<ModelPart> = met.keys().copied().collect();
    parts.sort_by_key(|part| (Reverse(deepest.get(part).copied().unwrap_or(0)), met[part]));
    parts
}

/// What application number `node` of `model` is called with in Keras, and the mask that the call gives for each, where it gives
/// masks: layers that a file does not have carry them here.
pub(super) fn reads_of(model: &Model, node: usize) -> (Vec<Port>, Vec<Option<Port>>) {
    let given = |read: Port| {
        let Port::Output(node, _) = read else { return None };
        let node = &model.nodes()[node];
        match node.inputs[..] {
            [masked, mask] if is_given_mask(model, node.block) => Some((masked, mask)),
            _ => None,
        }
    };
    let mut masks = Vec::new();
    let read = |(place, &read): (usize, &Port)| match given(read) {
        Some((masked, mask)) => {
            masks.resize(place, None);
            masks.push(Some(mask));
            masked
        }
        None => read,
    };
    let reads = model.nodes()[node].inputs.iter().enumerate().map(read).collect();
    (reads, masks)
}

/// Whether block number `block` stands for a mask that a call gives in a file.
#[cfg(feature = "keras")]
fn is_given_mask(model: &Model, block: usize) -> bool {
    model.notes()["given_masks"].get(model.blocks()[block].name()).is_some()
}

/// Whether block number `block` stands for a mask that a call gives in a file: only Keras's files have such.
#[cfg(not(feature = "keras"))]
fn is_given_mask(_: &Model, _: usize) -> bool {
    false
}

/// All layers of `model` as files of weights know them, in their order.
pub(super) fn places(model: &Model) -> Vec<(LayerPlace, &Layer)> {
    fn within<'a>(model: &'a Model, around: &LayerPlace, places: &mut Vec<(LayerPlace, &'a Layer)>) {
        let mut siblings = HashMap::new();
        for part in parts(model) {
            let ModelPart::Block(block) = part else { continue };
            let group = group_of(model, block, &mut siblings);
            let block = &model.blocks()[block];
            let place = around.within(block.name(), &group);
            match block {
                Block::Model(model) => within(model, &place, places),
                Block::Layer(layer) => {
                    let weights = layer.weights().iter();
                    let weights = weights.map(|weight| (weight.name(), weight.shape().clone(), weight.trainable()));
                    let of = layer.config().describe().weights_of();
                    places.push((LayerPlace { weights: weights.collect(), of, ..place }, layer));
                }
            }
        }
    }
    let mut places = Vec::new();
    within(model, &LayerPlace::default(), &mut places);
    places
}

/// A file of weights.
pub(super) enum Weights {
    /// Keras 3's: by position among the layers of a class.
    #[cfg(feature = "keras")]
    Layers(WeightsFile),
    /// Keras 2's, and those in its whole models: by position among the layers that have weights, in the group given.
    #[cfg(feature = "keras")]
    Legacy(WeightsFile, &'static str),
    /// Tensors by Keras's path, which may begin with the name of the whole model, given here.
    #[cfg(feature = "safetensors")]
    Named(HashMap<String, HostTensor>, String),
}

impl Weights {
    /// The weights in an HDF5 file, whose content says in which order they stand.
    ///
    /// # Errors
    /// [`Error::Format`] for a file that contradicts itself.
    #[cfg(feature = "keras")]
    pub(super) fn of(file: WeightsFile) -> Result<Self> {
        Ok(if file.has_group("model_weights") {
            Self::Legacy(file, "model_weights")
        } else if file.texts("", "layer_names")?.is_some() {
            Self::Legacy(file, "")
        } else {
            Self::Layers(file)
        })
    }

    /// What the file holds beside the weights of a model, in words.
    ///
    /// # Errors
    /// [`Error::Limit`] for more groups and datasets than the budget allows.
    #[cfg(feature = "keras")]
    pub(super) fn not_kept(&self) -> Result<Vec<&'static str>> {
        let (file, root) = match self {
            Self::Layers(file) => (file, ""),
            Self::Legacy(file, root) => (file, *root),
            #[cfg(feature = "safetensors")]
            Self::Named(..) => return Ok(Vec::new()),
        };
        let optimizer = file.holds_datasets("optimizer/vars")? || file.holds_datasets("optimizer_weights")?;
        let seeds = root.is_empty() && file.has_group_called("seed_generator")?;
        let found = [(optimizer, "the state of the optimizer"), (seeds, "the states of random seeds")];
        Ok(found.into_iter().filter_map(|(there, what)| there.then_some(what)).collect())
    }

    /// The weights of `places`, all layers of a model in their order, where they stand in the file, called `file` in messages.
    /// Nothing is read yet.
    ///
    /// # Errors
    /// [`Error::Format`] where the file holds the weights of another number of layers.
    pub(super) fn located(self, places: Vec<LayerPlace>, file: String) -> Result<Located> {
        #[cfg(feature = "keras")]
        let datasets = match &self {
            Self::Legacy(weights, root) => by_order(weights, root, &places, &file)?,
            _ => Vec::new(),
        };
        Ok(Located {
            weights: self,
            places,
            file,
            #[cfg(feature = "keras")]
            datasets,
        })
    }
}

/// A file of weights, and where in it those of each layer of a model stand. They are read layer by layer, so that never more than
/// one layer's are on the host beside the file.
pub(super) struct Located {
    weights: Weights,
    places: Vec<LayerPlace>,
    file: String,
    /// In a legacy file: the group and the name of each weight of each layer.
    #[cfg(feature = "keras")]
    datasets: Vec<Vec<(String, String)>>,
}

impl Located {
    /// The layers.
    #[cfg(feature = "keras")]
    pub(super) fn places(&self) -> &[LayerPlace] {
        &self.places
    }

    /// The weights of the layer of an index: as many as it declares, and of its shapes.
    ///
    /// # Errors
    /// [`Error::Format`] naming the layer, the expected and the received where the file holds other weights.
    pub(super) fn take(&mut self, index: usize) -> Result<Vec<HostTensor>> {
        #[cfg(feature = "keras")]
        let found = self.find(index)?;
        match &mut self.weights {
            #[cfg(feature = "keras")]
            Weights::Layers(weights) | Weights::Legacy(weights, _) => {
                found.iter().map(|found| weights.read(found)).collect()
            }
            #[cfg(feature = "safetensors")]
            Weights::Named(tensors, model) => {
                let values = by_path(tensors, model, &self.places[index], &self.file)?;
                let shapes: Vec<Shape> = values.iter().map(|value| value.shape.clone()).collect();
                self.places[index].check(&self.file, &shapes)?;
                Ok(values)
            }
        }
    }

    /// Where in an HDF5 file the weights of the layer of an index stand: as many as it declares, and of its shapes. Their values
    /// are not read.
    ///
    /// # Errors
    /// Those of [`take`](Self::take), but for values that are none.
    #[cfg(feature = "keras")]
    pub(super) fn find(&mut self, index: usize) -> Result<Vec<Found>> {
        let place = &self.places[index];
        let found = match &mut self.weights {
            Weights::Layers(weights) => by_group(weights, place)?,
            Weights::Legacy(weights, _) => {
                self.datasets[index].iter().map(|(group, name)| weights.find(group, name)).collect::<Result<_>>()?
            }
            #[cfg(feature = "safetensors")]
            Weights::Named(..) => return Ok(Vec::new()),
        };
        let shapes: Vec<Shape> = found.iter().map(|found| found.dims.clone().into()).collect();
        place.check(&self.file, &shapes)?;
        Ok(found)
    }

    /// The weights of all layers.
    ///
    /// # Errors
    /// Those of [`take`](Self::take).
    pub(super) fn all(mut self) -> Result<Vec<Vec<HostTensor>>> {
        (0..self.places.len()).map(|index| self.take(index)).collect()
    }
}

#[cfg(feature = "keras")]
fn by_group(file: &mut WeightsFile, place: &LayerPlace) -> Result<Vec<Found>> {
    // The weights of the layer around it are another's.
    if place.weights.is_empty() && place.groups.last().is_some_and(|group| group == "@") {
        return Ok(Vec::new());
    }
    // Files of TF 2.13's time call the group of the layers after the attribute that held them.
    let root = if file.has_group("layers") { "layers" } else { "_layer_checkpoint_dependencies" };
    let mut of = place.of;
    let group = |group: &String| match (group.strip_prefix("@@"), group.strip_prefix('@')) {
        (Some(all), _) => {
            of = "";
            format!("{all}/")
        }
        (None, Some("")) => String::new(),
        (None, Some(attribute)) => format!("{attribute}/"),
        (None, None) => format!("{root}/{group}/"),
    };
    let groups: String = place.groups.iter().map(group).collect();
    let path = if of.is_empty() { format!("{groups}vars") } else { format!("{groups}{of}/vars") };
    file.find_vars(&path, |index| place.weights.get(index).is_some_and(|(name, ..)| *name == "count"))
}

/// The datasets of each layer in the order of Keras 2: the layers of a model one after another, and of a model among them first
/// all weights that can be trained, then all others.
#[cfg(feature = "keras")]
fn by_order(file: &WeightsFile, root: &str, places: &[LayerPlace], name: &str) -> Result<Vec<Vec<(String, String)>>> {
    let join = |group: &str| if root.is_empty() { group.to_owned() } else { format!("{root}/{group}") };
    let mut saved = Vec::new();
    for group in file.texts(root, "layer_names")?.unwrap_or_default() {
        let group = join(&group);
        let weights = file.texts(&group, "weight_names")?.unwrap_or_default();
        if !weights.is_empty() {
            saved.push((group, weights));
        }
    }
    let with_weights = (0..places.len()).filter(|&index| !places[index].weights.is_empty());
    let mut members: Vec<Vec<usize>> = Vec::new();
    for index in with_weights {
        match members.last_mut() {
            Some(member) if places[member[0]].path[0] == places[index].path[0] => member.push(index),
            _ => members.push(vec![index]),
        }
    }
    if members.len() != saved.len() {
        let expected: Vec<_> = members.iter().map(|member| places[member[0]].path[0].as_str()).collect();
        let received: Vec<_> = saved.iter().map(|(group, _)| group.as_str()).collect();
        let text = format!(
            "the file must hold the weights of {} layers: [{}]; received {}: [{}]",
            expected.len(),
            expected.join(", "),
            received.len(),
            received.join(", ")
        );
        return Err(Error::format(name, text));
    }
    let mut datasets = vec![Vec::new(); places.len()];
    for (member, (group, names)) in members.into_iter().zip(saved) {
        let slots = member.iter().flat_map(|&place| (0..places[place].weights.len()).map(move |index| (place, index)));
        let (mut order, fixed): (Vec<_>, Vec<_>) = slots.partition(|&(place, index)| places[place].weights[index].2);
        order.extend(fixed);
        if order.len() != names.len() {
            let text = format!("layer {} must be given {} weights; received {}", group, order.len(), names.len());
            return Err(Error::format(name, text));
        }
        let mut placed: Vec<_> = order.into_iter().zip(names).collect();
        placed.sort_by_key(|(slot, _)| *slot);
        for ((place, _), name) in placed {
            datasets[place].push((group.clone(), name));
        }
    }
    Ok(datasets)
}

/// By `<layer>/<weight>`, before which there may be the names of the models around the layer: Keras leaves out those of
/// Functional models.
#[cfg(feature = "safetensors")]
fn by_path(
    tensors: &mut HashMap<String, HostTensor>,
    model: &str,
    place: &LayerPlace,
    file: &str,
) -> Result<Vec<HostTensor>> {
    let path: Vec<&str> = [model].into_iter().chain(place.path.iter().map(String::as_str)).collect();
    let mut values = Vec::with_capacity(place.weights.len());
    for (weight, ..) in &place.weights {
        let full = (0..path.len()).map(|first| format!("{}/{weight}", path[first..].join("/")));
        let found = full.clone().find_map(|name| tensors.remove(&name));
        values.push(found.ok_or_else(|| {
            let names: Vec<_> = full.collect();
            Error::format(file, format!("there must be a tensor {}, and there is none", names.join(" or ")))
        })?);
    }
    Ok(values)
}
