//! ONNX model files: opsets 6 to 25, inference.
//!
//! A file is translated, without a device, into layers, their weights and their connections. What depends on constants
//! alone is computed on the host on the way (`onnx_fold.rs`); each other node becomes one or more layers
//! (`onnx_nodes.rs`). Arrays keep ONNX's order of axes, so layers that have a data format work on channels first.
//! Floating types are computed in the type of the layers, f32 by default, though a cast to one of 16 bits rounds; inputs of
//! doubles are refused.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;

use prost::Message;
use prost::bytes::Bytes;

use super::onnx_external::FilesBeside;
use super::onnx_fold::{Kind, KnownData, KnownTensor, MOST_AXES, fold, kind_of, quantize, type_name};
use super::onnx_layers::{Apply, Builder, LayerStep, Refusal, Term, indexable};
use super::onnx_nodes::CUT;
use super::onnx_proto::{
    AttributeType, DimensionProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto, decoded_bytes,
};
use super::onnx_tail::{ENDS_HERE, PutOff, Tail};
use super::{onnx_functions, onnx_layers, onnx_nodes, onnx_selection, onnx_tail, onnx_types};
use crate::budget::Meter;
use crate::layers::{Layer, SharedWeights, snake_case};
use crate::model::{AppliedLayer, Architecture, HostTail, Input, Model, Port};
use crate::{DTypePolicy, Error, Gpu, HostTensor, PartialShape, Result, Settings};

/// The sets of operators that are read.
const OPSETS: std::ops::RangeInclusive<i64> = 6..=25;

/// The element type of 64 bits.
const DOUBLE: i32 = 11;

/// The domain of the operators that onnxruntime adds: those that its optimizer puts in place of several others.
const MICROSOFT: &str = "com.microsoft";

/// An ONNX file, read but not yet on a device.
///
/// Reading it needs no device, so a program can look at a file before it opens one: [`unsupported`](Self::unsupported) lists
/// everything that stands in the way of [`build`](Self::build), all at once.
///
/// A layer is called as its node is, with `.` for `/`; where a node becomes several layers, the last has the node's name.
///
/// Whole numbers and truth values are carried as f32, which holds whole numbers up to 2^24 exactly: a constant beyond is
/// refused where the model computes with it, and what a call brings must not be beyond.
///
/// Files are not trusted: nothing in one is executed, no other file is opened for it but weights in files in its own folder,
/// what reading it takes is [bounded](super::Budget), and a damaged file is an error.
pub struct OnnxFile {
    /// What messages call the file.
    place: String,
    /// Bytes of the file.
    size: usize,
    graph: GraphProto,
    /// The operators that the file defines itself, and by an opset that is not read; all others stand in the graph.
    functions: Vec<FunctionProto>,
    opset: i64,
    /// The initializers, and the values given to inputs, with their element types.
    constants: HashMap<String, (KnownTensor, i32)>,
    translation: Translation,
}

/// A node of a file that cannot be built here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// The node's name, or what it makes where it has none.
    pub name: String,
    /// Its operator; `Input`, `Output` or `Initializer` for those.
    pub operator: String,
    /// The attribute at fault, if it is one.
    pub attribute: Option<String>,
    /// Why not.
    pub reason: String,
}

impl OnnxFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::Format`] where it cannot be read, is not an ONNX file or contradicts itself; [`Error::Unsupported`] for an
    /// opset that is not read; [`Error::Limit`] where reading it takes more than the [budget](super::Budget).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        super::foreign::check(path)?;
        Self::parse(super::read(path)?.into(), path.display().to_string(), path.parent())
    }

    /// Reads a file that is in memory already, with all its weights.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::parse(Bytes::copy_from_slice(bytes), "the ONNX file".into(), None)
    }

    /// The graph's name.
    pub fn name(&self) -> &str {
        if self.graph.name.is_empty() { "model" } else { &self.graph.name }
    }

    /// Names and operators of the graph's nodes.
    pub(super) fn nodes(&self) -> Vec<(String, String)> {
        self.graph.node.iter().map(|node| (node.name.clone(), node.op_type.clone())).collect()
    }

    /// What the model will take, in its order: the graph's inputs without a value of their own.
    pub fn inputs(&self) -> &[Input] {
        &self.translation.inputs
    }

    /// The nodes that cannot be built here, each with its reason; empty where [`build`](Self::build) has a chance.
    pub fn unsupported(&self) -> &[UnsupportedNode] {
        &self.translation.unsupported
    }

    /// The outputs whose values are known without running the model, which holds none of them: what a graph computes from
    /// its constants and from values [given](Self::with_value) to inputs. They are among the
    /// [unsupported](Self::unsupported) too.
    pub fn known_outputs(&self) -> &[(String, HostTensor)] {
        &self.translation.known
    }

    /// The nodes that are computed on the host after the model, with their operators: those whose extents depend on values that
    /// the model computes, as `NonMaxSuppression` makes, and all that reads what they make. See
    /// [`Model::ends_on_host`](crate::model::Model::ends_on_host).
    pub fn on_host(&self) -> impl Iterator<Item = (&str, &str)> {
        self.translation.tail.iter().flat_map(Tail::nodes)
    }

    /// The inputs that must be [given a value](Self::with_value) before the model can be built: those that a node reads as a
    /// weight or an argument.
    pub fn needs_values(&self) -> &[String] {
        &self.translation.needs_values
    }

    /// The names of extents of [inputs](Self::inputs) that a call brings, each of which can be [fixed](Self::with_extent): as
    /// the file calls them, or `INPUT.AXIS` for one without a name.
    ///
    /// Most operators take open extents. Those that do not are among the [unsupported](Self::unsupported) until the extents
    /// that they need are fixed.
    pub fn open_extents(&self) -> Vec<String> {
        let mut names = BTreeSet::new();
        for input in self.free_inputs() {
            names.extend(dimensions(input).iter().enumerate().filter_map(|(axis, dim)| open_name(input, axis, dim)));
        }
        names.into_iter().collect()
    }

    /// Fixes the [open extent](Self::open_extents) `name`, wherever the inputs have it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where no input has it, and for an extent of 0; [`Error::Limit`] as from [`open`](Self::open).
    ///
    /// ```no_run
    /// use wgpu_conv::{Gpu, formats::OnnxFile};
    ///
    /// let file = OnnxFile::open("detector.onnx")?.with_extent("height", 320)?.with_extent("width", 320)?;
    /// let model = file.build(&Gpu::new()?)?;
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn with_extent(self, name: &str, extent: usize) -> Result<Self> {
        let open = self.open_extents();
        if !open.iter().any(|known| known == name) {
            let rule = match open.is_empty() {
                true => "all extents of the inputs are fixed already".to_owned(),
                false => format!("an open extent must be one of {}", open.join(", ")),
            };
            return Err(Error::invalid("name", rule, format!("{name:?}")));
        }
        self.fix(&[(name.to_owned(), extent)])
    }

    /// Fixes all known extents of `shape` in the input `input`, and those of the same names elsewhere.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is no such input, where it has other extents or another number of them already, and for
    /// an extent of 0; [`Error::Limit`] as from [`open`](Self::open).
    pub fn with_shape(self, input: &str, shape: impl Into<PartialShape>) -> Result<Self> {
        let shape = shape.into();
        let Some(found) = self.free_inputs().find(|found| found.name == input) else {
            let names: Vec<_> = self.free_inputs().map(|input| input.name.as_str()).collect();
            let rule = format!("an input without a value must be one of {}", names.join(", "));
            return Err(Error::invalid("input", rule, format!("{input:?}")));
        };
        let own = tensor_type(found).1;
        if !own.as_ref().is_some_and(|own| own.agrees(&shape)) {
            let own = own.map_or("one of unknown rank".to_owned(), |own| own.to_string());
            let rule = format!("the shape of input {input} must be {own}, with its open extents fixed");
            return Err(Error::invalid("shape", rule, format!("{shape}")));
        }
        let given = dimensions(found).iter().zip(shape.dims()).enumerate();
        let named = given.filter_map(|(axis, (dim, extent))| Some((open_name(found, axis, dim)?, (*extent)?)));
        let named: Vec<_> = named.collect();
        if let Some((name, _)) = named.iter().find(|(name, extent)| named.iter().any(|(n, e)| n == name && e != extent))
        {
            let rule = format!("all axes of the extent {name:?} must have one extent");
            return Err(Error::invalid("shape", rule, format!("{shape}")));
        }
        self.fix(&named)
    }

    /// Fixes these extents of inputs, which have been checked to be there.
    fn fix(mut self, extents: &[(String, usize)]) -> Result<Self> {
        if let Some((name, _)) = extents.iter().find(|(_, extent)| *extent == 0 || i64::try_from(*extent).is_err()) {
            return Err(Error::invalid("extent", format!("the extent {name} must be at least 1"), "0"));
        }
        for input in &mut self.graph.input {
            let named = dimensions(input).iter().enumerate().map(|(axis, dim)| open_name(input, axis, dim));
            let named: Vec<_> = named.collect();
            let shape = input.r#type.as_mut().and_then(|kind| kind.tensor_type.as_mut()?.shape.as_mut());
            for (dim, name) in shape.into_iter().flat_map(|shape| &mut shape.dim).zip(named) {
                if let Some((_, extent)) = extents.iter().find(|(fixed, _)| Some(fixed) == name.as_ref()) {
                    dim.dim_value = i64::try_from(*extent).ok();
                }
            }
        }
        self.translated()
    }

    /// The model up to the values of these names, or to what the nodes of these names make first: it ends there, and what only
    /// led further is left out. So a model is cut before a step that cannot run here, which is then done on what comes out.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no name, and for one that nothing in the graph has; [`Error::Limit`] as from
    /// [`open`](Self::open).
    ///
    /// ```no_run
    /// use wgpu_conv::{Gpu, formats::OnnxFile};
    ///
    /// // Before the suppression of boxes that overlap.
    /// let model = OnnxFile::open("detector.onnx")?.with_outputs(&["boxes", "scores"])?.build(&Gpu::new()?)?;
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn with_outputs(mut self, names: &[&str]) -> Result<Self> {
        if names.is_empty() {
            return Err(Error::invalid("names", "a model must have an output", "none"));
        }
        let outputs = names.iter().map(|name| {
            let name = self.value_named(name)?;
            Ok(ValueInfoProto { name, r#type: None })
        });
        self.graph.output = outputs.collect::<Result<_>>()?;
        self.pruned()
    }

    /// The model from the value `name` on, or from what the node of that name makes first: it becomes an input of `shape`, and
    /// what only led to it is left out. So a step that cannot run here is done before the model.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that nothing in the graph has, or that is an input already; [`Error::Limit`] as from
    /// [`open`](Self::open).
    pub fn with_input(mut self, name: &str, shape: impl Into<PartialShape>) -> Result<Self> {
        let name = self.value_named(name)?;
        let Some(node) = self.graph.node.iter_mut().find(|node| node.output.contains(&name)) else {
            return Err(Error::invalid("name", "it must be made by a node to become an input", format!("{name:?}")));
        };
        // The node may make more than this.
        node.output.iter_mut().filter(|output| **output == name).for_each(String::clear);
        let extent = |dim: &Option<usize>| DimensionProto {
            dim_value: dim.and_then(|dim| i64::try_from(dim).ok()),
            dim_param: None,
        };
        let shape = Some(TensorShapeProto { dim: shape.into().dims().iter().map(extent).collect() });
        let tensor_type = Some(TensorTypeProto { elem_type: 1, shape });
        self.graph.input.push(ValueInfoProto { name, r#type: Some(TypeProto { tensor_type }) });
        self.pruned()
    }

    /// The value of a name, or else what the node of that name makes first.
    fn value_named(&self, name: &str) -> Result<String> {
        let nodes = || self.graph.node.iter().enumerate();
        let is_value = nodes().any(|(_, node)| node.output.iter().any(|output| output == name))
            || self.graph.input.iter().any(|input| input.name == name)
            || self.constants.contains_key(name);
        let of_node = || {
            let (_, node) = nodes().find(|(index, node)| called(*index, node) == name)?;
            node.output.first().filter(|output| !output.is_empty()).cloned()
        };
        let found = if is_value && !name.is_empty() { Some(name.to_owned()) } else { of_node() };
        found.ok_or_else(|| {
            let rule = "it must be a value or a node of the graph; `wgpu-conv summary` lists the nodes as layers";
            Error::invalid("name", rule, format!("{name:?}"))
        })
    }

    /// The file without the nodes and inputs that lead to no output, its graph translated again.
    fn pruned(mut self) -> Result<Self> {
        let mut needed: HashSet<String> = self.graph.output.iter().map(|output| output.name.clone()).collect();
        let mut nodes = std::mem::take(&mut self.graph.node);
        // A node without a name is called by its place, which it keeps.
        nodes.iter_mut().enumerate().for_each(|(index, node)| node.name = called(index, node));
        nodes.reverse();
        nodes.retain(|node| leads_to(node, &mut needed));
        nodes.reverse();
        self.graph.node = nodes;
        self.graph.input.retain(|input| needed.contains(&input.name));
        self.constants.retain(|name, _| needed.contains(name));
        self.translated()
    }

    /// The file, its graph translated again.
    fn translated(mut self) -> Result<Self> {
        let meter = Meter::new(&*self.place, self.size);
        self.translation =
            Translation::of(&self.graph, &self.functions, self.opset, &self.constants, meter, &self.place)?;
        Ok(self)
    }

    /// Gives the graph's input `name` a fixed value: weights, shapes and indices that a file takes as inputs. The model no
    /// longer takes that input. Integers are given as floating point.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the graph has no such input, or one of another shape; [`Error::Limit`] as from
    /// [`open`](Self::open).
    pub fn with_value(mut self, name: &str, value: HostTensor) -> Result<Self> {
        let input = self.graph.input.iter().find(|input| input.name == name);
        let Some(input) = input.filter(|_| !self.constants.contains_key(name)) else {
            let names: Vec<_> = self.free_inputs().map(|input| input.name.as_str()).collect();
            let rule = format!("an input without a value must be one of {}", names.join(", "));
            return Err(Error::invalid("name", rule, format!("{name:?}")));
        };
        let (data_type, shape) = tensor_type(input);
        let given = PartialShape::from(&value.shape);
        if let Some(shape) = shape.filter(|shape| !shape.agrees(&given)) {
            let rule = format!("the value of input {name} must have the shape {shape}");
            return Err(Error::invalid("value", rule, format!("shape {given}")));
        }
        self.constants.insert(name.to_owned(), (KnownTensor::of_host(value, data_type), data_type));
        self.translated()
    }

    /// The model with its weights, on `gpu`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] listing all [unsupported](Self::unsupported) nodes and all inputs that
    /// [need a value](Self::needs_values); [`Error::Limit`] and [`Error::Gpu`] where the device cannot hold the weights.
    pub fn build(self, gpu: &Gpu) -> Result<Model> {
        self.check()?;
        let name = self.name().to_owned();
        let Translation { inputs, steps, outputs, tail, .. } = self.translation;
        let mut model = Model::new(gpu, name, inputs)?;
        model.hold_inputs();
        let mut shared = SharedWeights::default();
        for LayerStep { name, config, weights, reads } in steps {
            let shapes: Vec<_> = reads.iter().map(|&value| model.shape(value).clone()).collect();
            let layer = Layer::with_shared(gpu, config.named(&name), &shapes, weights, &mut shared);
            let index = model.add_block(layer.map_err(|error| error.in_layer(&name))?)?;
            model.apply(index, reads)?;
        }
        model.set_outputs(outputs);
        if let Some(tail) = tail.filter(|_| ENDS_HERE) {
            let (outputs, nodes) = (tail.outputs(), tail.nodes());
            let nodes = nodes.map(|(name, operator)| (name.to_owned(), operator.to_owned())).collect();
            model.set_host_tail(HostTail { outputs, nodes, run: Box::new(move |made| tail.run(made)) });
        }
        Ok(model)
    }

    /// What the model computes, without its weights and without a device.
    ///
    /// # Errors
    /// [`Error::Unsupported`] as from [`build`](Self::build).
    pub fn architecture(&self) -> Result<Architecture> {
        self.check()?;
        let Translation { inputs, steps, shapes, outputs, .. } = &self.translation;
        let place = |port: &Port| match *port {
            Port::Input(index) => index,
            Port::Output(step, _) => inputs.len() + step,
        };
        let mut architecture = Architecture::new(self.name(), inputs.clone());
        for (step, shape) in steps.iter().zip(shapes) {
            architecture.push(AppliedLayer {
                path: step.name.clone(),
                config: step.config.clone().named(&step.name),
                inputs: step.reads.iter().map(place).collect(),
                output_shape: shape.clone(),
                parameters: step.weights.iter().map(|weight| weight.values.len() as u64).sum(),
            });
        }
        architecture.set_outputs(outputs.iter().map(place).collect());
        Ok(architecture)
    }

    /// # Errors
    /// [`Error::Unsupported`] listing what stands in the way of the model.
    fn check(&self) -> Result<()> {
        let Translation { unsupported, needs_values, .. } = &self.translation;
        if unsupported.is_empty() && needs_values.is_empty() {
            return Ok(());
        }
        let nodes = unsupported.iter().map(ToString::to_string);
        let inputs = needs_values.iter().map(|name| format!("input {name} must be given a value"));
        let summary = format!("{} of its nodes cannot be built:", unsupported.len());
        Err(Error::unsupported_parts(&*self.place, &summary, nodes.chain(inputs).chain(self.open_hint())))
    }

    /// What may help where extents are open.
    pub(super) fn open_hint(&self) -> Option<String> {
        let open = self.open_extents();
        let stands = self.translation.unsupported.iter().any(|node| node.reason.contains("known"));
        (stands && !open.is_empty()).then(|| {
            format!("open extents of the inputs, which may be fixed with --shape NAME=EXTENT: {}", open.join(", "))
        })
    }

    fn free_inputs(&self) -> impl Iterator<Item = &ValueInfoProto> {
        self.graph.input.iter().filter(|input| !self.constants.contains_key(&input.name))
    }

    /// Reads `bytes`; weights may lie in other files in `folder`.
    pub(super) fn parse(bytes: Bytes, place: String, folder: Option<&Path>) -> Result<Self> {
        let mut size = bytes.len();
        let meter = Meter::new(&*place, size);
        meter.memory(decoded_bytes(&bytes))?;
        let not_onnx = |why: String| Error::format(&place, format!("not an ONNX file ({why})"));
        let model = ModelProto::decode(bytes).map_err(|error| not_onnx(error.to_string()))?;
        let mut graph = model.graph.ok_or_else(|| not_onnx("it has no graph".into()))?;
        // A file that has the field all the same does not mean it.
        graph.node.iter_mut().for_each(|node| onnx_functions::written_by(None, node));
        let mut opsets = model.opset_import.iter().filter(|set| is_standard(&set.domain)).map(|set| set.version);
        let opset = opsets.next().ok_or_else(|| not_onnx("it names no version of the standard operators".into()))?;
        if let Some(other) = opsets.find(|&other| other != opset) {
            return Err(not_onnx(format!("it names two versions of the standard operators, {opset} and {other}")));
        }
        if !OPSETS.contains(&opset) {
            let range =
                format!("opsets {} to {} are read; convert the model to one of them", OPSETS.start(), OPSETS.end());
            return Err(Error::unsupported(format!("{place}: opset {opset}"), range));
        }
        // Where an operator is known, its name stands for it.
        let is_called = |FunctionProto { domain, name, opset_import, .. }: &FunctionProto| {
            let known = is_standard(domain) || domain == MICROSOFT && onnx_nodes::operator(true, name).is_ok();
            !known && opset_import.iter().all(|set| !is_standard(&set.domain) || OPSETS.contains(&set.version))
        };
        let (functions, others): (Vec<_>, Vec<_>) = model.functions.into_iter().partition(is_called);
        onnx_functions::inline(&mut graph, &functions, &meter, &place)?;
        check_names(&graph).map_err(|problem| Error::format(&place, problem))?;
        let mut constants = HashMap::new();
        let mut beside = FilesBeside::new(folder, &meter);
        for mut tensor in std::mem::take(&mut graph.initializer) {
            let value = beside.fetch(&mut tensor).and_then(|()| KnownTensor::decode(&tensor, &meter));
            meter.check()?;
            let value = value.map_err(|why| Error::format(&place, format!("initializer {:?}: {why}", tensor.name)))?;
            constants.insert(tensor.name, (value, tensor.data_type));
        }
        size = size.saturating_add(usize::try_from(beside.bytes()).unwrap_or(usize::MAX));
        let functions = others;
        let translation = Translation::of(&graph, &functions, opset, &constants, meter, &place)?;
        Ok(Self { place, size, graph, functions, opset, constants, translation })
    }
}

/// Checks that every name in the graph is made once: by one node, or given as an input or an initializer, of which an input
/// may have one for its value.
fn check_names(graph: &GraphProto) -> std::result::Result<(), String> {
    let mut makers: HashMap<&str, String> = HashMap::new();
    let mut made = |name, maker: String| match makers.insert(name, maker) {
        Some(other) => {
            Err(format!("the name {name:?} must be made once, and is made by {other} and by {}", makers[name]))
        }
        None => Ok(()),
    };
    let inputs: HashSet<&str> = graph.input.iter().map(|input| input.name.as_str()).collect();
    for input in &graph.input {
        made(&input.name, "an input".into())?;
    }
    let sparse = graph.sparse_initializer.iter().filter_map(|sparse| sparse.values.as_ref());
    let mut given = HashSet::new();
    for tensor in graph.initializer.iter().chain(sparse) {
        if !given.insert(tensor.name.as_str()) {
            return Err(format!("the name {:?} must be given once, and is given by two initializers", tensor.name));
        }
        if !inputs.contains(tensor.name.as_str()) {
            made(&tensor.name, "an initializer".into())?;
        }
    }
    for (index, node) in graph.node.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            made(name, format!("node {}", called(index, node)))?;
        }
    }
    Ok(())
}

/// What messages call node number `index`.
pub(super) fn called(index: usize, node: &NodeProto) -> String {
    if node.name.is_empty() { format!("{}_{index}", node.op_type) } else { node.name.clone() }
}

impl std::fmt::Debug for OnnxFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let layers: Vec<_> = self.translation.steps.iter().map(|step| &step.name).collect();
        let mut text = f.debug_struct("OnnxFile");
        text.field("place", &self.place).field("name", &self.name()).field("inputs", &self.inputs());
        text.field("layers", &layers).field("unsupported", &self.unsupported()).finish()
    }
}

impl std::fmt::Display for UnsupportedNode {
    /// `name (operator, attribute …): reason`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, operator, attribute, reason } = self;
        match attribute {
            Some(attribute) => write!(f, "{name} ({operator}, attribute {attribute}): {reason}"),
            None => write!(f, "{name} ({operator}): {reason}"),
        }
    }
}

pub(super) fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// The element type of an input or output, and its shape where its rank is known.
fn tensor_type(info: &ValueInfoProto) -> (i32, Option<PartialShape>) {
    let Some(tensor) = info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref()) else { return (0, None) };
    let shape = tensor.shape.as_ref().map(|shape| {
        let extent = |value: Option<i64>| value.and_then(|value| usize::try_from(value).ok());
        shape.dim.iter().map(|dim| extent(dim.dim_value)).collect::<Vec<_>>().into()
    });
    (tensor.elem_type, shape)
}

/// The extents of an input; none where not even their number is known.
fn dimensions(input: &ValueInfoProto) -> &[DimensionProto] {
    let tensor = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    tensor.and_then(|tensor| tensor.shape.as_ref()).map_or(&[], |shape| &shape.dim)
}

/// What the extent `dim` of `axis` is called where it is open.
fn open_name(input: &ValueInfoProto, axis: usize, dim: &DimensionProto) -> Option<String> {
    let fixed = dim.dim_value.is_some_and(|extent| extent >= 0);
    let name = dim.dim_param.as_ref().filter(|name| !name.is_empty());
    (!fixed).then(|| name.cloned().unwrap_or_else(|| format!("{}.{axis}", input.name)))
}

/// A graph as layers, as far as it can be built.
struct Translation {
    inputs: Vec<Input>,
    steps: Vec<LayerStep>,
    /// What each step makes.
    shapes: Vec<PartialShape>,
    outputs: Vec<Port>,
    /// Outputs that do not depend on what the model is given.
    known: Vec<(String, HostTensor)>,
    unsupported: Vec<UnsupportedNode>,
    needs_values: Vec<String>,
    /// What follows on the host, of the outputs.
    tail: Option<Tail>,
}

/// A translation under way.
pub(super) struct Translator<'a> {
    builder: Builder,
    terms: HashMap<&'a str, Term>,
    /// The element types of what layers make, by name.
    types: HashMap<&'a str, i32>,
    /// The names that something reads.
    used: HashSet<&'a str>,
    /// Names of inputs and layers.
    names: HashSet<String>,
    /// How often a layer's name has been taken already, to find a free one without trying all.
    taken: HashMap<String, usize>,
    /// The operators that the file defines itself and that are not called, by domain and name.
    functions: HashSet<(&'a str, &'a str)>,
    meter: Rc<Meter>,
    unsupported: Vec<UnsupportedNode>,
    needs_values: Vec<String>,
    /// The inputs among `needs_values` that a node reads.
    needed: HashSet<usize>,
    /// The nodes that are computed on the host, after the model.
    put_off: PutOff,
    /// How many graphs the graph under way stands in.
    depth: usize,
    /// Whether a node within one of them could only be computed on the host.
    asks_for_host: bool,
}

impl Translation {
    /// # Errors
    /// [`Error::Limit`] where what the graph computes from constants, or its layers, are over the budget.
    fn of(
        graph: &GraphProto,
        functions: &[FunctionProto],
        opset: i64,
        constants: &HashMap<String, (KnownTensor, i32)>,
        meter: Meter,
        place: &str,
    ) -> Result<Self> {
        Ok(Translator::translate(graph, functions, opset, constants, meter)?.finish(&graph.output, place))
    }
}

impl<'a> Translator<'a> {
    /// The whole graph, translated.
    ///
    /// # Errors
    /// [`Error::Limit`] as from [`Translation::of`].
    pub(super) fn translate(
        graph: &'a GraphProto,
        functions: &'a [FunctionProto],
        opset: i64,
        constants: &'a HashMap<String, (KnownTensor, i32)>,
        meter: Meter,
    ) -> Result<Self> {
        let meter = Rc::new(meter);
        let mut used = HashSet::new();
        reads_of(graph, &mut used);
        let mut translator = Translator {
            builder: Builder::new(opset, meter.clone()),
            terms: HashMap::new(),
            types: HashMap::new(),
            used,
            names: HashSet::new(),
            taken: HashMap::new(),
            functions: functions.iter().map(|function| (&*function.domain, &*function.name)).collect(),
            meter,
            unsupported: Vec::new(),
            needs_values: Vec::new(),
            needed: HashSet::new(),
            put_off: PutOff::default(),
            depth: 0,
            asks_for_host: false,
        };
        for (name, (constant, data_type)) in constants {
            translator.terms.insert(name, Term::Known(constant.clone()));
            translator.types.insert(name, *data_type);
        }
        for sparse in graph.sparse_initializer.iter().filter_map(|sparse| sparse.values.as_ref()) {
            translator.terms.insert(&sparse.name, Term::Lost);
            translator.refuse(&sparse.name, "Initializer", None, "sparse tensors are not read".into());
        }
        for input in graph.input.iter().filter(|input| !constants.contains_key(&input.name)) {
            translator.input(input);
        }
        for (index, node) in graph.node.iter().enumerate() {
            translator.node(index, node);
            translator.meter.check()?;
        }
        Ok(translator)
    }

    fn refuse(&mut self, name: &str, operator: &str, attribute: Option<String>, reason: String) {
        let (name, operator) = (name.to_owned(), operator.to_owned());
        self.unsupported.push(UnsupportedNode { name, operator, attribute, reason });
    }

    fn input(&mut self, input: &'a ValueInfoProto) {
        let (data_type, shape) = tensor_type(input);
        let reason = match (kind_of(data_type), shape) {
            (Some(_), _) if data_type == DOUBLE => "double is not computed with; convert the model to float".into(),
            (Some(_), Some(shape)) if shape.rank() > MOST_AXES => {
                format!("it has {} axes, and an array at most {MOST_AXES}", shape.rank())
            }
            (Some(_), Some(shape)) if !indexable(&shape) => format!("there is no array of shape {shape}"),
            (Some(_), Some(shape)) => {
                self.names.insert(input.name.clone());
                self.builder.inputs.push(Input { name: input.name.clone(), shape });
                self.terms.insert(&input.name, Term::Made(Port::Input(self.builder.inputs.len() - 1)));
                self.types.insert(&input.name, data_type);
                return;
            }
            (Some(_), None) => "its number of axes must be known".into(),
            (None, _) if data_type == 0 => "sequences, maps and optional values cannot be computed with".into(),
            (None, _) => format!("elements of {} cannot be computed with", type_name(data_type)),
        };
        self.refuse(&input.name, "Input", None, reason);
        self.terms.insert(&input.name, Term::Lost);
    }

    fn node(&mut self, index: usize, node: &'a NodeProto) {
        let first = self.builder.steps.len();
        let called = called(index, node);
        let opset = self.builder.opset;
        self.builder.opset = node.opset.unwrap_or(opset);
        let outcome = match node.op_type.as_str() {
            _ if self.follows_put_off(node) => self.put_off(node, &called),
            "If" if is_standard(&node.domain) => self.branch(node, &called),
            "Loop" if is_standard(&node.domain) => self.repeated(node, &called),
            _ => {
                let outcome = self.translated(node, &called);
                if outcome.is_err() {
                    self.builder.steps.truncate(first);
                    self.builder.shapes.truncate(first);
                }
                self.name_steps(first, &called);
                outcome
            }
        };
        self.builder.opset = opset;
        let outputs = match outcome {
            Ok(outputs) => outputs,
            Err(refusal) => {
                self.refused(&called, node, refusal);
                Vec::new()
            }
        };
        let mut outputs = outputs.into_iter();
        for name in &node.output {
            let (made, data_type) = outputs.next().unwrap_or((Term::Lost, 0));
            if !name.is_empty() {
                self.terms.insert(name, made);
                self.types.insert(name, data_type);
            }
        }
    }

    fn refused(&mut self, called: &str, node: &NodeProto, refusal: Refusal) {
        match refusal {
            Refusal::Lost => {}
            Refusal::NeedsValue(input) => {
                if self.needed.insert(input) {
                    self.needs_values.push(self.builder.inputs[input].name.clone());
                }
            }
            Refusal::Unsupported { attribute, reason } => self.refuse(called, &node.op_type, attribute, reason),
        }
    }

    /// Names the steps from `first` on after the node that they were made of.
    fn name_steps(&mut self, first: usize, called: &str) {
        let count = self.builder.steps.len() - first;
        for (place, step) in self.builder.steps[first..].iter_mut().enumerate() {
            let mut name = layer_name(called);
            if place + 1 < count {
                name = format!("{name}.{}", snake_case(step.config.class_name()));
            }
            step.name = if self.names.insert(name.clone()) {
                name
            } else {
                let number = self.taken.entry(name.clone()).or_default();
                loop {
                    *number += 1;
                    let unique = format!("{name}_{number}");
                    if self.names.insert(unique.clone()) {
                        break unique;
                    }
                }
            };
        }
    }

    /// What stands for `name`, which a node reads.
    fn term(&self, name: &str) -> Result<Option<Term>, Refusal> {
        match self.terms.get(name) {
            Some(Term::Lost) => Err(Refusal::Lost),
            Some(term) => Ok(Some(term.clone())),
            None if name.is_empty() => Ok(None),
            None => Err(format!("nothing before it makes its input {name:?}").into()),
        }
    }

    /// The element type of what `name` stands for.
    fn type_of(&self, name: &str) -> i32 {
        match (self.types.get(name), self.terms.get(name)) {
            (Some(data_type), _) => *data_type,
            (None, Some(Term::Known(constant))) => constant.data.kind().widest(),
            (None, _) => 0,
        }
    }

    /// What the outputs of `node` come to, with their element types.
    fn translated(&mut self, node: &'a NodeProto, called: &str) -> Result<Vec<(Term, i32)>, Refusal> {
        let standard = is_standard(&node.domain);
        let own = if standard { &["", "ai.onnx"][..] } else { &[&*node.domain] };
        let known = match standard || node.domain == MICROSOFT {
            true => onnx_nodes::operator(!standard, &node.op_type),
            false => Err(format!("operators of the domain {:?} are not known", node.domain).into()),
        };
        let operator = match known {
            Err(_) if own.iter().any(|domain| self.functions.contains(&(*domain, &*node.op_type))) => {
                let why = match standard {
                    true => {
                        "the file defines it itself in ONNX's own domain, which onnxruntime calls no function of, nor is one \
                             called here: have the exporter put it into a domain of its own"
                    }
                    false => {
                        "the file defines the operator itself, by an opset that is not read: have the exporter write one from 6 to 25"
                    }
                };
                return Err(why.into());
            }
            known => known?,
        };
        operator.check(node)?;
        let inputs = node.input.iter().map(|name| self.term(name)).collect::<Result<Vec<_>, _>>()?;
        let types: Vec<i32> = node.input.iter().map(|name| self.type_of(name)).collect();
        let constants = inputs.iter().map(|term| match term {
            Some(Term::Known(constant)) => Some(Some(constant)),
            Some(_) => None,
            None => Some(None),
        });
        let constants = constants.collect::<Option<Vec<_>>>();
        let folded = constants.and_then(|constants| match node.op_type.as_str() {
            "QuantizeLinear" => {
                let data_type = onnx_types::made(node, &inputs, &types, 0);
                Some(quantize(node, &constants, data_type, &self.meter).map(|made| vec![made]))
            }
            // To a type that the constant itself does not keep.
            "CastLike" => match (&constants[..], &types[..]) {
                (&[Some(x), Some(_)], &[_, like]) => Some(x.cast(like, &self.meter).map(|made| vec![made])),
                _ => None,
            },
            "Softmax" if ENDS_HERE => match constants[..] {
                [Some(x)] => {
                    Some(onnx_selection::softmax(node, x, self.builder.opset, &self.meter).map(|made| vec![made]))
                }
                _ => None,
            },
            _ => fold(node, &constants, &self.meter),
        });
        let outputs: Vec<Term> = match folded {
            Some(folded) => {
                let data_type = |index| onnx_types::made(node, &inputs, &types, index);
                let wrapped = |(index, made): (usize, KnownTensor)| made.wrapped(data_type(index), &self.meter);
                let folded = folded?.into_iter().enumerate().map(wrapped).collect::<Result<Vec<_>, _>>()?;
                folded.into_iter().map(Term::Known).collect()
            }
            None if standard && onnx_selection::is_by_value(&node.op_type) => {
                return self.put_off(node, called);
            }
            None => {
                let read = |name: &String| !name.is_empty() && self.used.contains(name.as_str());
                let asked: Vec<bool> = node.output.iter().map(read).collect();
                whole_numbers_hold(node, &inputs, &types, &asked)?;
                let (inputs, types) = (inputs.clone(), types.clone());
                operator.apply(Apply { builder: &mut self.builder, node, inputs, types, asked })?
            }
        };
        let made = |(index, term)| (term, onnx_types::made(node, &inputs, &types, index));
        let outputs: Vec<_> = outputs.into_iter().enumerate().map(made).collect();
        match node.output.iter().skip(outputs.len()).find(|name| self.used.contains(name.as_str())) {
            Some(name) if !name.is_empty() => Err(format!("its output {name:?} is not computed").into()),
            _ => Ok(outputs),
        }
    }

    /// Whether a node, or a graph in it, reads what is computed on the host.
    fn follows_put_off(&self, node: &NodeProto) -> bool {
        if self.put_off.is_empty() {
            return false;
        }
        let mut reads = HashSet::new();
        node_reads(node, &mut reads);
        reads.into_iter().any(|name| self.put_off.makes(name))
    }

    /// Leaves a node to the host, which computes it after the model.
    fn put_off(&mut self, node: &'a NodeProto, called: &str) -> Result<Vec<(Term, i32)>, Refusal> {
        let elsewhere = match self.depth {
            _ if !ENDS_HERE => ", which a browser does not compute",
            0 => "",
            _ => ", within a graph of a node",
        };
        if !elsewhere.is_empty() {
            self.asks_for_host = true;
            let why = "the extents of its output depend on values that the model computes";
            return Err(format!("{why}{elsewhere}; {CUT}").into());
        }
        if !["If", "Loop"].contains(&&*node.op_type) {
            onnx_nodes::operator(!is_standard(&node.domain), &node.op_type)?.check(node)?;
        }
        let mut reads = HashSet::new();
        node_reads(node, &mut reads);
        // In an order that is always the same.
        for name in reads.into_iter().collect::<BTreeSet<_>>() {
            let data_type = self.type_of(name);
            match self.terms.get(name) {
                Some(Term::Known(constant)) => self.put_off.constant(name, constant, data_type),
                Some(Term::Made(port)) => self.put_off.tap(name, *port, data_type),
                Some(Term::Lost) if !self.put_off.makes(name) => return Err(Refusal::Lost),
                // What a graph within the node makes itself is none of the names here.
                Some(Term::Lost) | None => {}
            }
        }
        self.meter.memory(node.encoded_len() as u64)?;
        let named = NodeProto { name: called.to_owned(), opset: Some(self.builder.opset), ..node.clone() };
        self.put_off.push(named);
        // No layer can read what it makes.
        Ok(Vec::new())
    }

    /// The branch of an If whose condition is known before the model runs.
    fn branch(&mut self, node: &'a NodeProto, called: &str) -> Result<Vec<(Term, i32)>, Refusal> {
        let condition = match self.term(node.input.first().map_or("", String::as_str))? {
            Some(Term::Known(condition)) => condition.scalar(&self.meter)? != 0.0,
            Some(_) => return Err("its condition depends on what the model is given; a model's layers do not".into()),
            None => return Err("its condition is missing".into()),
        };
        let graph = graph_of(node, if condition { "then_branch" } else { "else_branch" })?;
        if !ENDS_HERE || self.depth > 0 {
            return self.inner(graph, Vec::new());
        }
        let before = (self.builder.steps.len(), self.unsupported.len(), self.needs_values.len(), self.needed.clone());
        self.asks_for_host = false;
        let outcome = self.inner(graph, Vec::new());
        if !self.asks_for_host {
            return outcome;
        }
        // What is computed on the host within it takes all of it there.
        if let Some(node) = graph.node.iter().find(|node| !onnx_tail::computes(&node.op_type)) {
            let lacking = &node.op_type;
            return Err(format!(
                "its branch is computed on the host with what it holds, and the host has no {lacking}; {CUT}"
            )
            .into());
        }
        self.builder.steps.truncate(before.0);
        self.builder.shapes.truncate(before.0);
        self.unsupported.truncate(before.1);
        self.needs_values.truncate(before.2);
        self.needed = before.3;
        self.put_off(node, called)
    }

    /// A Loop of a number of turns that is known before the model runs, one turn behind the other.
    fn repeated(&mut self, node: &'a NodeProto, called: &str) -> Result<Vec<(Term, i32)>, Refusal> {
        const OPEN: &str = "its number of turns depends on what the model is given; a model's layers do not";
        let body = graph_of(node, "body")?;
        let mut inputs = node.input.iter().map(|name| Ok((self.term(name)?, self.type_of(name))));
        let turns = match inputs.next().transpose()?.and_then(|(term, _)| term) {
            None => None,
            Some(Term::Known(turns)) => match turns.known_ints(&self.meter)?[..] {
                [turns] => Some(turns),
                _ => return Err("its number of turns must be one number".into()),
            },
            Some(_) => return Err(OPEN.into()),
        };
        let holds = |term: Option<Term>, meter: &Meter| match term {
            None => Ok(true),
            Some(Term::Known(condition)) => Ok(condition.scalar(meter)? != 0.0),
            Some(_) => Err(Refusal::from(OPEN)),
        };
        let mut goes_on = match inputs.next().transpose()? {
            Some((condition, _)) => holds(condition, &self.meter)?,
            None => true,
        };
        let carried = inputs.map(|input: Result<_, Refusal>| match input? {
            (Some(term), data_type) => Ok((term, data_type)),
            (None, _) => Err(Refusal::from("what it carries from turn to turn is missing")),
        });
        let mut carried = carried.collect::<Result<Vec<_>, _>>()?;
        let count = carried.len();
        let mut scans: Vec<Vec<(Term, i32)>> = vec![Vec::new(); body.output.len().saturating_sub(count + 1)];
        let mut turn = 0i64;
        while goes_on && turns.is_none_or(|turns| turn < turns) {
            // A turn translates its nodes, each in as long as some hundreds of elements take.
            self.meter.work(512 * (1 + body.node.len() as u64))?;
            let scalar = |data: KnownData| {
                let data_type = data.kind().widest();
                (Term::Known(KnownTensor { shape: Vec::new(), data }), data_type)
            };
            let mut given =
                vec![scalar(KnownData::Ints(vec![Ok(turn)].into())), scalar(KnownData::Bools(vec![true].into()))];
            given.extend(carried);
            let mut outputs = self.inner(body, given)?.into_iter();
            goes_on = holds(outputs.next().map(|(term, _)| term), &self.meter)?;
            carried = outputs.by_ref().take(count).collect();
            if carried.len() != count {
                return Err("its body must make what it carries from turn to turn".into());
            }
            scans.iter_mut().zip(outputs).for_each(|(scan, made)| scan.push(made));
            turn += 1;
        }
        let first = self.builder.steps.len();
        for scan in scans {
            let Some(&(_, data_type)) = scan.first() else {
                return Err("what it gathers turn by turn is empty".into());
            };
            if let Some(rows) = scan.iter().map(|(term, _)| term.known()).collect::<Option<Vec<_>>>() {
                carried.push((Term::Known(KnownTensor::stacked(&rows, &self.meter)?), data_type));
                continue;
            }
            let inputs: Vec<_> = scan.into_iter().map(|(term, _)| Some(term)).collect();
            let types = vec![data_type; inputs.len()];
            let mut apply = Apply { builder: &mut self.builder, node, inputs, types, asked: Vec::new() };
            carried.push((apply.stacked()?, data_type));
        }
        self.name_steps(first, called);
        Ok(carried)
    }

    /// The outputs of a graph within the graph, which reads the names around it, and hides them where it makes the same.
    fn inner(&mut self, graph: &'a GraphProto, given: Vec<(Term, i32)>) -> Result<Vec<(Term, i32)>, Refusal> {
        self.depth += 1;
        let outcome = self.within(graph, given);
        self.depth -= 1;
        outcome
    }

    fn within(&mut self, graph: &'a GraphProto, given: Vec<(Term, i32)>) -> Result<Vec<(Term, i32)>, Refusal> {
        if graph.input.len() != given.len() {
            return Err(format!("its graph takes {} inputs, and is given {}", graph.input.len(), given.len()).into());
        }
        check_names(graph)?;
        let own =
            graph.input.iter().map(|input| &input.name).chain(graph.initializer.iter().map(|tensor| &tensor.name));
        let own = own.chain(graph.node.iter().flat_map(|node| &node.output)).filter(|name| !name.is_empty());
        let hidden =
            own.map(|name| (name.as_str(), self.terms.remove(name.as_str()), self.types.remove(name.as_str())));
        let hidden: Vec<_> = hidden.collect();
        for (input, (term, data_type)) in graph.input.iter().zip(given) {
            self.terms.insert(&input.name, term);
            self.types.insert(&input.name, data_type);
        }
        let mut outcome = Ok(Vec::new());
        for tensor in &graph.initializer {
            match KnownTensor::decode(tensor, &self.meter) {
                Ok(constant) => {
                    self.terms.insert(&tensor.name, Term::Known(constant));
                    self.types.insert(&tensor.name, tensor.data_type);
                }
                Err(why) => outcome = Err(Refusal::from(format!("initializer {:?} of its graph: {why}", tensor.name))),
            }
        }
        if !graph.sparse_initializer.is_empty() {
            outcome = Err("sparse tensors are not read".into());
        }
        if outcome.is_ok() {
            for (index, node) in graph.node.iter().enumerate() {
                self.node(index, node);
                if self.meter.check().is_err() {
                    break;
                }
            }
            let made = graph.output.iter().map(|output| {
                let term = self.term(&output.name)?.ok_or("an output of its graph has no name")?;
                Ok((term, self.type_of(&output.name)))
            });
            outcome = made.collect();
        }
        for (name, term, data_type) in hidden {
            self.terms.remove(name);
            self.types.remove(name);
            self.terms.extend(term.map(|term| (name, term)));
            self.types.extend(data_type.map(|data_type| (name, data_type)));
        }
        outcome
    }

    /// The outputs of a graph that is computed from constants alone.
    ///
    /// # Errors
    /// [`Error::Unsupported`] listing the nodes that cannot be computed so.
    pub(super) fn known_outputs(mut self, outputs: &[ValueInfoProto]) -> Result<Vec<HostTensor>> {
        let mut known = Vec::with_capacity(outputs.len());
        for output in outputs {
            match self.terms.get(output.name.as_str()) {
                Some(Term::Known(constant)) => match constant.to_weight(&self.meter) {
                    Ok(value) => known.push(value),
                    Err(why) => self.refuse(&output.name, "Output", None, why),
                },
                Some(Term::Lost) => {}
                _ => self.refuse(&output.name, "Output", None, "the host does not compute it".into()),
            }
        }
        self.meter.check()?;
        if self.unsupported.is_empty() && known.len() == outputs.len() {
            return Ok(known);
        }
        let summary = "of what follows the model on the host, this cannot be computed for these inputs:";
        Err(Error::unsupported_parts(self.meter.place(), summary, self.unsupported.iter().map(ToString::to_string)))
    }

    /// The translation of a graph with an end on the host: its model makes what that reads.
    fn finish_on_host(mut self, outputs: &[ValueInfoProto], place: &str) -> Translation {
        for output in outputs {
            let name = output.name.as_str();
            let data_type = self.type_of(name);
            match self.terms.get(name) {
                Some(Term::Made(port)) => self.put_off.tap(name, *port, data_type),
                Some(Term::Known(constant)) => self.put_off.constant(name, constant, data_type),
                Some(Term::Lost) => {}
                None => self.refuse(name, "Output", None, "nothing makes it".into()),
            }
        }
        let opset = self.builder.opset;
        let (tail, ports) = std::mem::take(&mut self.put_off).finish(outputs, place, opset);
        Translation { outputs: ports, tail: Some(tail), ..self.finish(&[], place) }
    }

    fn finish(mut self, outputs: &[ValueInfoProto], place: &str) -> Translation {
        if !self.put_off.is_empty() {
            for [name, operator, reason] in self.put_off.pruned(outputs) {
                self.refuse(&name, &operator, None, reason);
            }
        }
        if !self.put_off.is_empty() {
            return self.finish_on_host(outputs, place);
        }
        let (mut made, mut known) = (Vec::new(), Vec::new());
        for output in outputs {
            match self.terms.get(output.name.as_str()).cloned() {
                Some(Term::Made(port)) => made.push(port),
                // What is known can be made all the same where there is an input, by which the layer that makes it is called.
                Some(Term::Known(constant)) if !self.builder.inputs.is_empty() => {
                    let first = self.builder.steps.len();
                    match self.builder.values(&constant) {
                        Ok(port) => made.push(port),
                        Err(Refusal::Unsupported { reason, .. }) => self.refuse(&output.name, "Output", None, reason),
                        Err(_) => {}
                    }
                    self.name_steps(first, &output.name);
                    known.extend(constant.to_host(&self.meter).map(|value| (output.name.clone(), value)));
                }
                Some(Term::Known(constant)) => {
                    let reason = "it does not depend on what the model is given, and is no part of a model";
                    self.refuse(&output.name, "Output", None, reason.into());
                    known.extend(constant.to_host(&self.meter).map(|value| (output.name.clone(), value)));
                }
                Some(Term::Lost) => {}
                None => self.refuse(&output.name, "Output", None, "nothing makes it".into()),
            }
        }
        let Self { builder, unsupported, needs_values, needed, .. } = self;
        let Builder { inputs, steps, shapes, .. } = builder;
        let free = inputs.into_iter().enumerate().filter(|(index, _)| !needed.contains(index));
        let inputs = free.map(|(_, input)| input).collect();
        Translation { inputs, steps, shapes, outputs: made, known, unsupported, needs_values, tail: None }
    }
}

/// Refuses whole numbers that a model would compute with in a narrower type than f32, but for those that only name lines of a
/// table, which are not rounded.
fn whole_numbers_hold(node: &NodeProto, inputs: &[Option<Term>], types: &[i32], asked: &[bool]) -> Result<(), Refusal> {
    let floatx = Settings::current().floatx;
    let names_lines = |index: usize| index == 1 && ["Gather", "GatherElements"].contains(&node.op_type.as_str());
    let reads_whole = |(index, term): (usize, &Option<Term>)| {
        matches!(term, Some(Term::Made(_))) && kind_of(types[index]) == Some(Kind::Int) && !names_lines(index)
    };
    // TopK takes values by their positions, whether or not those are asked for.
    let is_made = |index: usize| index == 0 || asked.get(index) == Some(&true) || node.op_type == "TopK";
    let makes_whole = (0..node.output.len().max(1))
        .any(|index| is_made(index) && kind_of(onnx_types::made(node, inputs, types, index)) == Some(Kind::Int));
    if floatx == DTypePolicy::Float32 || !makes_whole && !inputs.iter().enumerate().any(reads_whole) {
        return Ok(());
    }
    Err(format!(
        "whole numbers are computed in float32, and the policy is {}; install `Settings` of float32",
        floatx.name()
    )
    .into())
}

/// The graph in the attribute `name` of a node.
fn graph_of<'a>(node: &'a NodeProto, name: &str) -> Result<&'a GraphProto, Refusal> {
    if let Some(other) = node.attribute.iter().find(|attribute| {
        !matches!((&*node.op_type, &*attribute.name), ("If", "then_branch" | "else_branch") | ("Loop", "body"))
    }) {
        return Err(onnx_layers::at(&other.name, "the attribute is not supported"));
    }
    let graph = node.attribute(name).filter(|attribute| attribute.is(AttributeType::Graph));
    let graph = graph.and_then(|attribute| attribute.g.as_deref());
    graph.ok_or_else(|| onnx_layers::at(name, "it must be a graph"))
}

/// Adds every name that a node of `graph`, or of the graphs within it, reads, and the names of its outputs.
fn reads_of<'a>(graph: &'a GraphProto, used: &mut HashSet<&'a str>) {
    used.extend(graph.output.iter().map(|output| output.name.as_str()));
    graph.node.iter().for_each(|node| node_reads(node, used));
}

fn node_reads<'a>(node: &'a NodeProto, used: &mut HashSet<&'a str>) {
    used.extend(node.input.iter().map(String::as_str));
    node.attribute.iter().filter_map(|attribute| attribute.g.as_deref()).for_each(|graph| reads_of(graph, used));
}

/// Whether a node makes one of the `needed`, among which is then what it reads.
pub(super) fn leads_to(node: &NodeProto, needed: &mut HashSet<String>) -> bool {
    let is_needed = node.output.iter().any(|output| !output.is_empty() && needed.contains(output));
    if is_needed {
        let mut reads = HashSet::new();
        node_reads(node, &mut reads);
        needed.extend(reads.into_iter().map(str::to_owned));
    }
    is_needed
}

/// A node's name as a layer's, which has no `/`.
fn layer_name(name: &str) -> String {
    let name = name.trim_matches('/').replace('/', ".");
    if name.is_empty() { "node".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::super::onnx_proto::{AttributeProto, OperatorSetIdProto, TensorProto};
    use super::*;

    fn info(name: &str, elem_type: i32, dims: &[i64]) -> ValueInfoProto {
        // Negative extents stand for unknown ones.
        let dim =
            dims.iter().map(|&dim| DimensionProto { dim_value: (dim >= 0).then_some(dim), dim_param: None }).collect();
        let tensor_type = Some(TensorTypeProto { elem_type, shape: Some(TensorShapeProto { dim }) });
        ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
    }

    fn node(operator: &str, inputs: &[&str], outputs: &[&str], attribute: Vec<AttributeProto>) -> NodeProto {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let (input, output) = (owned(inputs), owned(outputs));
        NodeProto { input, output, op_type: operator.into(), attribute, ..NodeProto::default() }
    }

    fn ints(name: &str, dims: &[i64], values: &[i64]) -> TensorProto {
        let (dims, int64_data) = (dims.to_vec(), values.to_vec());
        TensorProto { name: name.into(), dims, data_type: 7, int64_data, ..TensorProto::default() }
    }

    fn floats(name: &str, dims: &[i64]) -> TensorProto {
        let float_data = vec![0.5; dims.iter().product::<i64>() as usize];
        TensorProto { name: name.into(), dims: dims.to_vec(), data_type: 1, float_data, ..TensorProto::default() }
    }

    fn int(name: &str, i: i64) -> AttributeProto {
        AttributeProto { name: name.into(), i: Some(i), ..AttributeProto::default() }
    }

    fn file(
        node: Vec<NodeProto>,
        initializer: Vec<TensorProto>,
        input: Vec<ValueInfoProto>,
        outputs: &[&str],
    ) -> Vec<u8> {
        let output = outputs.iter().map(|name| info(name, 1, &[])).collect();
        let graph = GraphProto { node, initializer, input, output, ..GraphProto::default() };
        let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
        ModelProto { ir_version: 8, graph: Some(graph), opset_import: vec![opset], functions: vec![] }.encode_to_vec()
    }

    fn image() -> Vec<ValueInfoProto> {
        vec![info("x", 1, &[-1, 3, 8, 8])]
    }

    #[test]
    fn everything_unsupported_is_listed_at_once() {
        let mut named = node("Conv", &["a", "w"], &["b"], vec![int("group", 0)]);
        named.name = "stage/conv".into();
        let mut foreign = node("Gelu", &["x"], &["c"], vec![]);
        foreign.domain = "com.example".into();
        let bytes = file(
            vec![
                node("Frobnicate", &["x"], &["lost"], vec![]),
                node("Relu", &["lost"], &["also_lost"], vec![]),
                node("Relu", &["x"], &["a"], vec![]),
                named,
                foreign,
                node("Softmax", &["a"], &["d"], vec![int("axis", 1), int("colour", 7)]),
                node("Relu", &["nowhere"], &["e"], vec![]),
            ],
            vec![floats("w", &[4, 3, 3, 3])],
            image(),
            &["b", "never"],
        );
        let file = OnnxFile::from_bytes(&bytes).unwrap();
        let lines: Vec<_> = file.unsupported().iter().map(ToString::to_string).collect();
        let expected = [
            "Frobnicate_0 (Frobnicate): the operator is not supported",
            "stage/conv (Conv, attribute group): it must be at least 1",
            "Gelu_4 (Gelu): operators of the domain \"com.example\" are not known",
            "Softmax_5 (Softmax, attribute colour): the attribute is not supported",
            "Relu_6 (Relu): nothing before it makes its input \"nowhere\"",
            "never (Output): nothing makes it",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn layers_are_called_as_their_nodes() {
        let named = |name: &str, input: &str, output: &str| NodeProto {
            name: name.into(),
            ..node("Relu", &[input], &[output], vec![])
        };
        let nodes = vec![
            named("/block/act", "x", "a"),
            named("block.act", "a", "b"),
            named("", "b", "x2"),
            named("x", "x2", "y"),
        ];
        let file = OnnxFile::from_bytes(&file(nodes, vec![], image(), &["y"])).unwrap();
        let names: Vec<_> = file.translation.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["block.act", "block.act_1", "Relu_2", "x_1"]);
    }

    /// What exporters write around a flattening: the batch cut out of a shape, and put into another.
    #[test]
    fn arithmetic_on_an_unknown_batch_goes_through() {
        let bytes = file(
            vec![
                node("Shape", &["x"], &["shape"], vec![]),
                node("Gather", &["shape", "zero"], &["batch"], vec![int("axis", 0)]),
                node("Unsqueeze", &["batch", "zeros"], &["row"], vec![]),
                node("Concat", &["row", "rest"], &["target"], vec![int("axis", 0)]),
                node("Reshape", &["x", "target"], &["y"], vec![]),
            ],
            vec![ints("zero", &[], &[0]), ints("zeros", &[1], &[0]), ints("rest", &[1], &[-1])],
            image(),
            &["y"],
        );
        let file = OnnxFile::from_bytes(&bytes).unwrap();
        assert_eq!(file.unsupported(), []);
        let [step] = &file.translation.steps[..] else { panic!("one layer") };
        assert_eq!(step.config.output_shape([Some(5), Some(3), Some(8), Some(8)]).unwrap().to_string(), "(5, 192)");
    }

    #[test]
    fn inputs_that_need_a_value_are_named_and_can_be_given_one() {
        let nodes = vec![node("Conv", &["x", "w"], &["a"], vec![]), node("Reshape", &["a", "shape"], &["y"], vec![])];
        let mut inputs = image();
        inputs.extend([info("w", 1, &[4, 3, 3, 3]), info("shape", 7, &[2])]);
        let file = OnnxFile::from_bytes(&file(nodes, vec![], inputs, &["y"])).unwrap();
        assert_eq!(file.unsupported(), []);
        assert_eq!(file.needs_values(), ["w"]);
        let tensor = |shape: &[usize], value: f32| HostTensor::new(shape, vec![value; shape.iter().product()]).unwrap();
        let file = file.with_value("w", tensor(&[4, 3, 3, 3], 0.5)).unwrap();
        // What comes behind is known now.
        assert_eq!(file.needs_values(), ["shape"]);
        let file = file.with_value("shape", HostTensor::new([2], vec![-1.0, 144.0]).unwrap()).unwrap();
        assert!(file.needs_values().is_empty() && file.unsupported().is_empty(), "{file:?}");
        assert_eq!(file.inputs().len(), 1);
        assert!(file.with_value("w", tensor(&[4, 3, 3, 3], 0.5)).is_err(), "it has a value");
    }

    #[test]
    fn values_of_another_shape_are_refused() {
        let nodes = vec![node("Add", &["x", "w"], &["y"], vec![])];
        let bytes = file(nodes, vec![], [image(), vec![info("w", 1, &[-1, 8])]].concat(), &["y"]);
        let given = |shape: &[usize]| {
            let value = HostTensor::new(shape, vec![0.0; shape.iter().product()]).unwrap();
            OnnxFile::from_bytes(&bytes).unwrap().with_value("w", value)
        };
        assert!(given(&[8, 8]).is_ok() && given(&[1, 8]).is_ok());
        assert!(given(&[8]).is_err() && given(&[8, 7]).is_err());
    }

    /// A few bytes must not ask for gigabytes, nor for the contents of other files.
    #[test]
    fn files_cannot_ask_for_more_than_they_are() {
        let shapes = [ints("huge", &[2], &[1 << 40, 1 << 20]), ints("far", &[1], &[i64::MAX])];
        let nodes = vec![
            node("ConstantOfShape", &["huge"], &["a"], vec![]),
            node("Range", &["zero", "far", "one"], &["b"], vec![]),
            node("Expand", &["half", "far"], &["c"], vec![]),
            node("Tile", &["half", "far"], &["d"], vec![]),
        ];
        let scalars = [ints("zero", &[], &[0]), ints("one", &[], &[1]), floats("half", &[1])];
        for node in nodes {
            let name = node.op_type.clone();
            let bytes = file(vec![node], [&shapes[..], &scalars[..]].concat(), image(), &["x"]);
            // What no array can be is a node that cannot be built, and what is over the budget ends the reading.
            match OnnxFile::from_bytes(&bytes) {
                Err(Error::Limit { resource, .. }) => assert!(resource.contains("memory") || resource.contains("work")),
                Ok(file) => assert_eq!(file.unsupported().len(), 1, "{name}"),
                Err(other) => panic!("{name}: {other}"),
            }
        }
        let outside = TensorProto { data_location: 1, ..ints("w", &[1 << 40], &[]) };
        let error = OnnxFile::from_bytes(&self::file(vec![], vec![outside], image(), &["x"])).unwrap_err();
        assert!(error.to_string().contains("lie in another file"), "{error}");
    }

    #[test]
    fn damaged_files_are_errors() {
        let bytes = file(
            vec![
                node("Conv", &["x", "w"], &["a"], vec![int("group", 1)]),
                node("Shape", &["a"], &["shape"], vec![]),
                node("Slice", &["shape", "zero", "one"], &["batch"], vec![]),
                node("Concat", &["batch", "rest"], &["target"], vec![int("axis", 0)]),
                node("Reshape", &["a", "target"], &["b"], vec![int("allowzero", 0)]),
                node("Softmax", &["b"], &["y"], vec![int("axis", -1)]),
            ],
            vec![
                floats("w", &[2, 3, 3, 3]),
                ints("zero", &[1], &[0]),
                ints("one", &[1], &[1]),
                ints("rest", &[1], &[-1]),
            ],
            image(),
            &["y"],
        );
        assert_eq!(OnnxFile::from_bytes(&bytes).unwrap().unsupported(), []);
        for length in 0..bytes.len() {
            let _ = OnnxFile::from_bytes(&bytes[..length]);
        }
        for position in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[position] ^= 1 << bit;
                let _ = OnnxFile::from_bytes(&damaged);
            }
        }
        assert!(OnnxFile::from_bytes(b"").is_err() && OnnxFile::from_bytes(b"PK\x03\x04").is_err());
    }
}
