//! Models: named graphs of layers that run as one program.
//!
//! A layer called by itself computes at once. A model knows all its layers before anything runs, and so runs faster:
//! layers are merged (operator fusion), buffers are shared by values that are not needed at the same time (memory
//! planning by liveness), and everything is bound once and then replayed. It is also what has a file, a summary and a
//! memory report.
//!
//! A [`Model`] is the graph: inputs, [blocks](Block), and *applications* of blocks in an order in which each reads only
//! what stands before it. A block is a layer or a whole model; applied twice it stands once among the blocks, so its
//! weights are shared and counted once. [`Sequential`] grows such a graph at its end, [`Functional`] anywhere, and
//! `formats` reads one from a file. Whatever made it, it runs the same way: lowered to a tape for the shapes of a call,
//! fused, its memory planned, and replayed from then on (`program.rs`). What it computes, as a list without weights and
//! without a device, is its [`Architecture`].
//!
//! ```text
//! image ─ Conv2D ─ BatchNormalization ─ ReLU ─ GlobalAveragePooling2D ─ Dense ─ scores      the graph
//! image ─ one convolution with bias and relu ─ mean ─ one product with bias ─ scores        what runs of it
//! ```

mod architecture;
mod cut;
mod functional;
mod gradients;
#[cfg(all(test, feature = "verify"))]
mod mutants;
mod predict;
#[cfg(not(target_arch = "wasm32"))]
mod profile;
mod program;
mod sequential;
mod summary;
#[cfg(all(feature = "verify", not(target_arch = "wasm32")))]
mod verify;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU64;

pub use architecture::{AppliedLayer, Architecture};
pub use functional::{Functional, Symbol};
pub use predict::{BATCH_SIZE, top};
#[cfg(not(target_arch = "wasm32"))]
pub use profile::{LayerTime, Profile};
pub use program::MemoryReport;
pub(crate) use program::Program;
pub use sequential::Sequential;
#[cfg(feature = "view")]
pub(crate) use summary::grouped;
#[cfg(all(feature = "verify", not(target_arch = "wasm32")))]
pub use verify::{Check, DEVIATION, Finding, LayerStatistics, SUSPECT, VerifyReport};

use self::program::Programs;
use crate::layers::Layer;
use crate::ops::{self, Tape};
use crate::tensor::check_call;
use crate::{Commands, Error, Gpu, HostTensor, PartialShape, Result, Tensor, Variable};

/// An input of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its name, unique among the model's inputs and layers.
    pub name: String,
    /// Its shape, batch first; unknown extents may differ from call to call.
    pub shape: PartialShape,
}

/// Something a block can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Port {
    /// An input of the model.
    Input(usize),
    /// An output of an application: the application, and which of its outputs.
    Output(usize, usize),
}

/// What a model is made of.
#[derive(Debug)]
pub enum Block {
    /// A layer.
    Layer(Box<Layer>),
    /// A model within the model.
    Model(Box<Model>),
}

impl Block {
    /// The name of the layer or model.
    pub fn name(&self) -> &str {
        match self {
            Self::Layer(layer) => layer.name(),
            Self::Model(model) => model.name(),
        }
    }

    /// Keras's name of the class.
    pub fn class_name(&self) -> &'static str {
        match self {
            Self::Layer(layer) => layer.config().class_name(),
            Self::Model(model) => model.class_name(),
        }
    }

    /// The number of values in all weights.
    pub fn count_params(&self) -> u64 {
        match self {
            Self::Layer(layer) => layer.count_params(),
            Self::Model(model) => model.count_params(),
        }
    }

    fn output_shapes(&self, inputs: &[PartialShape]) -> Result<Vec<PartialShape>> {
        match self {
            Self::Layer(layer) => layer.output_shape_all(inputs).map(|shape| vec![shape]),
            Self::Model(model) => model.output_shapes_for(inputs),
        }
    }
}

impl From<Layer> for Block {
    fn from(layer: Layer) -> Self {
        Self::Layer(Box::new(layer))
    }
}

impl From<Model> for Block {
    fn from(model: Model) -> Self {
        Self::Model(Box::new(model))
    }
}

/// One application of a block.
pub(crate) struct Node {
    pub(crate) block: usize,
    pub(crate) inputs: Vec<Port>,
    /// Of its outputs.
    pub(crate) shapes: Vec<PartialShape>,
}

/// A layer of a model, by name or by its place in [`Model::layers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKey<'a> {
    /// The layer's name.
    Name(&'a str),
    /// Its place, from 0.
    Index(usize),
}

impl<'a> From<&'a str> for LayerKey<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(name)
    }
}

impl<'a> From<&'a String> for LayerKey<'a> {
    fn from(name: &'a String) -> Self {
        Self::Name(name)
    }
}

impl From<usize> for LayerKey<'_> {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// What is computed on the host of all that a model makes: see [`Model::ends_on_host`].
pub(crate) struct HostTail {
    /// How many outputs it has.
    pub(crate) outputs: usize,
    /// Its nodes, by name and operator.
    pub(crate) nodes: Vec<(String, String)>,
    pub(crate) run: Box<dyn Fn(Vec<HostTensor>) -> Result<Vec<HostTensor>> + Send + Sync>,
}

/// A graph of built layers with named inputs.
///
/// Calls may bring any batch, and any height and width, whatever the shapes the model was built with, as Keras allows;
/// the channels are fixed, and so is all but the batch where an ONNX file has several inputs and fixes it. The first call with inputs of some shapes compiles the model for them; later ones replay it,
/// and make no buffer, no pipeline and no bind group.
///
/// ```no_run
/// use wgpu_conv::{Gpu, Tensor, model::Model};
///
/// let gpu = Gpu::new()?;
/// # #[cfg(feature = "keras")]
/// let model = Model::load(&gpu, "digits.keras")?;
/// # #[cfg(not(feature = "keras"))]
/// # let model: Model = unimplemented!();
/// println!("{}", model.summary());
/// let scores = model.call(&Tensor::from_slice(&gpu, [1, 8, 8, 1], &[0.0f32; 64])?)?;
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
pub struct Model {
    gpu: Gpu,
    name: String,
    /// Whether it was made as a chain, which files and summaries tell apart from a graph that happens to be one.
    sequential: bool,
    inputs: Vec<Input>,
    /// Whether a call must bring what the shapes of the inputs say.
    inputs_hold: bool,
    blocks: Vec<Block>,
    /// The names of inputs, and those of blocks with their places.
    names: HashMap<String, Option<usize>>,
    nodes: Vec<Node>,
    outputs: Vec<Port>,
    host_tail: Option<HostTail>,
    programs: Programs,
    /// The number of the next call in training.
    training_step: AtomicU64,
    /// What the file it was read from says beside the graph, to be written again.
    #[cfg(feature = "keras")]
    notes: serde_json::Value,
}

impl Model {
    /// A model without layers, whose outputs are its inputs.
    ///
    /// # Errors
    /// [`Error::Invalid`] where two inputs have one name.
    pub(crate) fn new(gpu: &Gpu, name: String, inputs: Vec<Input>) -> Result<Self> {
        let mut model = Self {
            gpu: gpu.clone(),
            name,
            sequential: false,
            inputs: Vec::new(),
            inputs_hold: false,
            blocks: Vec::new(),
            names: HashMap::new(),
            nodes: Vec::new(),
            outputs: (0..inputs.len()).map(Port::Input).collect(),
            host_tail: None,
            programs: Programs::default(),
            training_step: AtomicU64::new(0),
            #[cfg(feature = "keras")]
            notes: serde_json::Value::Null,
        };
        for input in inputs {
            model.add_input(input)?;
        }
        Ok(model)
    }

    /// # Errors
    /// [`Error::Invalid`] naming the input where its name is taken.
    pub(crate) fn add_input(&mut self, input: Input) -> Result<Port> {
        self.take_name(&input.name, None)?;
        self.inputs.push(input);
        Ok(Port::Input(self.inputs.len() - 1))
    }

    /// Takes `block` in, to be [applied](Self::apply) by the index returned.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the block where its name is taken.
    pub(crate) fn add_block(&mut self, block: impl Into<Block>) -> Result<usize> {
        let block = block.into();
        self.take_name(block.name(), Some(self.blocks.len()))?;
        self.blocks.push(block);
        Ok(self.blocks.len() - 1)
    }

    fn take_name(&mut self, name: &str, block: Option<usize>) -> Result<()> {
        self.check_free(name)?;
        self.names.insert(name.to_owned(), block);
        Ok(())
    }

    fn check_free(&self, name: &str) -> Result<()> {
        if self.names.contains_key(name) { Err(name_taken(name)) } else { Ok(()) }
    }

    /// Takes away the last block, which is number `index` and no longer applied.
    fn remove_block(&mut self, index: usize) {
        let block = self.blocks.remove(index);
        self.names.remove(block.name());
    }

    /// The place among the blocks of the one called `name`.
    fn named(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied().flatten()
    }

    /// Applies block number `block` to `inputs`, which stand before it; returns the number of the application.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the block where it does not take inputs of these shapes, or as many.
    pub(crate) fn apply(&mut self, block: usize, inputs: Vec<Port>) -> Result<usize> {
        if let Block::Model(model) = &self.blocks[block] {
            model.require_on_device("an application within another model")?;
        }
        let shapes: Vec<_> = inputs.iter().map(|&input| self.shape(input).clone()).collect();
        let built = &self.blocks[block];
        let shapes = built.output_shapes(&shapes).map_err(|error| error.in_layer(built.name()))?;
        self.nodes.push(Node { block, inputs, shapes });
        self.programs.clear();
        Ok(self.nodes.len() - 1)
    }

    pub(crate) fn set_outputs(&mut self, outputs: Vec<Port>) {
        self.outputs = outputs;
        self.programs.clear();
    }

    /// From now on calls must bring what the shapes of the inputs say, but for the first axis: of several that are swapped, all
    /// might fit a layer that broadcasts.
    #[cfg(feature = "onnx")]
    pub(crate) fn hold_inputs(&mut self) {
        self.inputs_hold = self.inputs.len() > 1;
    }

    #[cfg(feature = "onnx")]
    pub(crate) fn set_host_tail(&mut self, tail: HostTail) {
        self.host_tail = Some(tail);
    }

    /// Whether the last steps of the model are computed on the host, since the extents of what they make depend on values: those
    /// of an ONNX file that ends with `NonMaxSuppression`, say, which leaves as many boxes as there are to see.
    ///
    /// [`predict_all`](Self::predict_all) computes them, and [`call_all`](Self::call_all) too, which reads back what they need and
    /// uploads what they make, outside of browsers. What must stay on the device ([`record`](Self::record)), what takes its data in
    /// batches ([`predict`](Self::predict)), models around it and training refuse such a model. Its layers and
    /// [shapes](Self::output_shapes) are those of the part on the device, whose outputs are what the rest reads.
    /// `OnnxFile::with_outputs` leaves the rest out.
    pub fn ends_on_host(&self) -> bool {
        self.host_tail().is_some()
    }

    /// What is computed on the host. In a browser that is nothing, as no file is read with such an end there.
    fn host_tail(&self) -> Option<&HostTail> {
        self.host_tail.as_ref().filter(|_| !cfg!(target_arch = "wasm32"))
    }

    /// The nodes that are [computed on the host](Self::ends_on_host), by name and operator; none of most models.
    pub fn on_host(&self) -> &[(String, String)] {
        self.host_tail().map_or(&[], |tail| &tail.nodes)
    }

    /// How many values [`call_all`](Self::call_all) returns.
    pub fn output_count(&self) -> usize {
        self.host_tail().map_or(self.outputs.len(), |tail| tail.outputs)
    }

    /// # Errors
    /// [`Error::Unsupported`] where the model's last steps are computed on the host, which `step` leaves out.
    pub(crate) fn require_on_device(&self, step: &str) -> Result<()> {
        if !self.ends_on_host() {
            return Ok(());
        }
        let instead = "its last steps are computed on the host, as their extents depend on values: `predict_all` does so, and \
                       `OnnxFile::with_outputs` (--until NAME) leaves them out";
        Err(Error::unsupported(format!("{step} of model `{}`", self.name), instead))
    }

    /// Says that the graph is a chain, made as one, or not; and what else the file it is read from says.
    #[cfg(feature = "keras")]
    pub(crate) fn describe(&mut self, sequential: bool, notes: serde_json::Value) {
        (self.sequential, self.notes) = (sequential, notes);
    }

    #[cfg(feature = "keras")]
    pub(crate) fn notes(&self) -> &serde_json::Value {
        &self.notes
    }

    /// Whether it was made as a chain and is one: every block applied once, in its order, to what the one before made.
    #[cfg(any(feature = "keras", feature = "safetensors"))]
    pub(crate) fn is_chain(&self) -> bool {
        let before = |index: usize| index.checked_sub(1).map_or(Port::Input(0), |node| Port::Output(node, 0));
        self.sequential
            && self.inputs.len() == 1
            && self.nodes.len() == self.blocks.len()
            && self.nodes.iter().enumerate().all(|(i, node)| node.block == i && node.inputs == [before(i)])
            && self.outputs == [before(self.nodes.len())]
    }

    pub(crate) fn shape(&self, port: Port) -> &PartialShape {
        match port {
            Port::Input(index) => &self.inputs[index].shape,
            Port::Output(node, output) => &self.nodes[node].shapes[output],
        }
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Keras's name of the class: `Sequential` or `Functional`.
    pub fn class_name(&self) -> &'static str {
        if self.sequential { "Sequential" } else { "Functional" }
    }

    /// The device the model runs on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// What a call takes, in its order.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The shapes of what a call returns, in its order; extents that depend on the call are unknown.
    pub fn output_shapes(&self) -> Vec<PartialShape> {
        self.outputs().iter().map(|&output| self.shape(output).clone()).collect()
    }

    /// The shapes of what a call with inputs of these shapes returns; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a [call](Self::call_all) would refuse the shapes.
    pub fn output_shapes_for(&self, inputs: &[PartialShape]) -> Result<Vec<PartialShape>> {
        self.check_shapes(inputs)?;
        let mut made: Vec<Vec<PartialShape>> = Vec::with_capacity(self.nodes.len());
        let of = |made: &[Vec<PartialShape>], port: &Port| match *port {
            Port::Input(index) => inputs[index].clone(),
            Port::Output(node, output) => made[node][output].clone(),
        };
        for node in &self.nodes {
            let block = &self.blocks[node.block];
            let inputs: Vec<_> = node.inputs.iter().map(|port| of(&made, port)).collect();
            made.push(block.output_shapes(&inputs).map_err(|error| error.in_layer(block.name()))?);
        }
        Ok(self.outputs.iter().map(|port| of(&made, port)).collect())
    }

    /// The layers and models it is made of, inputs not counted, in the model's order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The applications of blocks, each after what it reads.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(crate) fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Every layer with its path: its name, behind the names of the models it stands in, `outer/inner/layer`. In the
    /// model's order.
    pub fn layers(&self) -> Vec<(String, &Layer)> {
        let mut layers = Vec::new();
        for block in &self.blocks {
            match block {
                Block::Layer(layer) => layers.push((layer.name().to_owned(), layer.as_ref())),
                Block::Model(model) => {
                    let inner = model.layers().into_iter();
                    layers.extend(inner.map(|(path, layer)| (format!("{}/{path}", model.name), layer)));
                }
            }
        }
        layers
    }

    /// The block of a name or an index.
    ///
    /// # Errors
    /// [`Error::Invalid`] listing the existing names where there is none.
    pub fn block<'a>(&self, which: impl Into<LayerKey<'a>>) -> Result<&Block> {
        self.position(which.into()).map(|index| &self.blocks[index])
    }

    /// The layer of a name, a path through models within the model, or an index.
    ///
    /// # Errors
    /// [`Error::Invalid`] listing the existing names where there is none, and where it is a model.
    pub fn get_layer<'a>(&self, which: impl Into<LayerKey<'a>>) -> Result<&Layer> {
        let which = which.into();
        if let Some((model, rest)) = self.within(which) {
            return match &self.blocks[model] {
                Block::Model(model) => model.get_layer(rest),
                Block::Layer(layer) => Err(not_a_model(layer.name())),
            };
        }
        match self.block(which)? {
            Block::Layer(layer) => Ok(layer),
            Block::Model(model) => Err(not_a_layer(&model.name)),
        }
    }

    /// Lets training change the weights of a layer, or of all layers of a model within the model, or not: Keras's `trainable`. A
    /// batch normalization that is not trained computes by its moving statistics. All layers are trained by default; a
    /// [`Trainer`](crate::training::Trainer) knows what was so when it was made.
    ///
    /// # Errors
    /// [`Error::Invalid`] listing the existing names where there is none.
    ///
    /// ```no_run
    /// use wgpu_conv::{Gpu, model::Model};
    ///
    /// let mut model = Model::load(&Gpu::new()?, "mobilenet.keras")?;
    /// for name in ["conv1", "conv_dw_1"] {
    ///     model.set_trainable(name, false)?;
    /// }
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn set_trainable<'a>(&mut self, which: impl Into<LayerKey<'a>>, trainable: bool) -> Result<()> {
        let which = which.into();
        if let Some((model, rest)) = self.within(which) {
            return match &mut self.blocks[model] {
                Block::Model(model) => model.set_trainable(rest, trainable),
                Block::Layer(layer) => Err(not_a_model(layer.name())),
            };
        }
        let index = self.position(which)?;
        self.programs.clear();
        let inputs = self.inputs_of(index);
        match &mut self.blocks[index] {
            Block::Layer(layer) => layer.set_trainable(trainable, &inputs),
            Block::Model(model) => {
                (0..model.blocks.len()).try_for_each(|inner| model.set_trainable(LayerKey::Index(inner), trainable))
            }
        }
    }

    /// Gives all weights first values, by the initializers of their layers, as if the model were new.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an initializer that draws at random where the feature `random` is off; [`Error::Gpu`] where the
    /// device was lost.
    pub fn initialize(&self) -> Result<()> {
        self.blocks.iter().enumerate().try_for_each(|(index, block)| match block {
            Block::Layer(layer) => {
                layer.initialize(&self.inputs_of(index)).map_err(|error| error.in_layer(layer.name()))
            }
            Block::Model(model) => model.initialize(),
        })
    }

    /// The shapes of what a block is first applied to.
    fn inputs_of(&self, block: usize) -> Vec<PartialShape> {
        let first = self.nodes.iter().find(|node| node.block == block);
        first.map_or(&[][..], |node| &node.inputs).iter().map(|&input| self.shape(input).clone()).collect()
    }

    /// The block that a path begins with, and the rest of the path. Layers read from other formats may have a `/` in
    /// their names: a whole name goes first.
    fn within<'a>(&self, which: LayerKey<'a>) -> Option<(usize, &'a str)> {
        let LayerKey::Name(path) = which else { return None };
        if self.named(path).is_some() {
            return None;
        }
        let (name, rest) = path.split_once('/')?;
        Some((self.named(name)?, rest))
    }

    fn position(&self, which: LayerKey) -> Result<usize> {
        let found = match which {
            LayerKey::Name(name) => self.named(name),
            LayerKey::Index(index) => (index < self.blocks.len()).then_some(index),
        };
        found.ok_or_else(|| {
            let names: Vec<_> = self.blocks.iter().map(Block::name).collect();
            let received = match which {
                LayerKey::Name(name) => format!("{name:?}"),
                LayerKey::Index(index) => format!("index {index} of {}", names.len()),
            };
            no_such_layer(&self.name, &names, received)
        })
    }

    /// Every weight with its path `<layer>/<weight>`, in the order of the layers.
    pub fn weights(&self) -> Vec<(String, &Variable)> {
        let layers = self.layers().into_iter();
        layers
            .flat_map(|(path, layer)| layer.weights().iter().map(move |w| (format!("{path}/{}", w.name()), w)))
            .collect()
    }

    /// The number of values in all weights.
    pub fn count_params(&self) -> u64 {
        self.blocks.iter().map(Block::count_params).sum()
    }

    /// Records the compiled model, without submitting; returns the outputs.
    ///
    /// # Errors
    /// [`Error::Invalid`] for inputs that do not fit, naming the layer that refuses them; [`Error::Limit`] and
    /// [`Error::Gpu`] where the device cannot.
    pub fn record(&self, commands: &mut Commands, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        self.require_on_device("a recording")?;
        self.record_on_device(commands, inputs)
    }

    /// [`record`](Self::record), of a model that ends on the host of what comes before.
    fn record_on_device(&self, commands: &mut Commands, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        self.check_call(commands, inputs)?;
        self.program(inputs.iter().map(|input| (input.shape().clone(), input.dtype())).collect())?
            .record(commands, inputs)
    }

    /// Writes every layer on `tape`, showing `seen` what each makes, with its path behind `place`.
    pub(crate) fn lower<'a>(
        &'a self,
        tape: &mut Tape,
        inputs: &[ops::Value],
        place: &str,
        seen: &mut dyn FnMut(Applied<'a>),
    ) -> Result<Vec<ops::Value>> {
        self.check_shapes(&inputs.iter().map(|&input| tape.shape(input).into()).collect::<Vec<_>>())?;
        #[cfg(feature = "keras")]
        if let (true, Some(instead)) = (tape.is_training(), self.notes["not_in_training"].as_str()) {
            return Err(Error::unsupported(format!("{} in training", self.name), instead.to_owned()));
        }
        let mut made: Vec<Vec<ops::Value>> = Vec::with_capacity(self.nodes.len());
        let of = |made: &[Vec<ops::Value>], port: &Port| match *port {
            Port::Input(index) => inputs[index],
            Port::Output(node, output) => made[node][output],
        };
        for node in &self.nodes {
            let block = &self.blocks[node.block];
            let inputs: Vec<_> = node.inputs.iter().map(|port| of(&made, port)).collect();
            let path = format!("{place}{}", block.name());
            let outputs = match block {
                Block::Layer(layer) => {
                    tape.place = path.as_str().into();
                    let masks = inputs.iter().map(|&input| tape.mask(input)).collect();
                    let output = layer.lower(tape, &inputs).map_err(|error| error.in_layer(layer.name()))?;
                    seen(Applied { path, layer, inputs, masks, output });
                    vec![output]
                }
                Block::Model(model) => model
                    .lower(tape, &inputs, &format!("{path}/"), seen)
                    .map_err(|error| error.in_layer(model.name()))?,
            };
            made.push(outputs);
        }
        Ok(self.outputs.iter().map(|port| of(&made, port)).collect())
    }

    /// The output for `input`, computed in one submission, of a model with one of each.
    ///
    /// # Errors
    /// Those of [`record`](Self::record); [`Error::Invalid`] for a model of several inputs or outputs, which
    /// [`call_all`](Self::call_all) takes.
    pub fn call(&self, input: &Tensor) -> Result<Tensor> {
        self.require_single()?;
        let mut outputs = self.call_all(std::slice::from_ref(input))?;
        Ok(outputs.swap_remove(0))
    }

    /// The outputs for `inputs`, computed in one submission, but for what is [computed on the host](Self::ends_on_host).
    ///
    /// # Errors
    /// Those of [`record`](Self::record).
    pub fn call_all(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        // Reading back what the host goes on with would block, which a browser does not allow.
        #[cfg(target_arch = "wasm32")]
        self.require_on_device("a call")?;
        let outputs = self.call_on_device(inputs)?;
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(tail) = self.host_tail() {
            let read = |made: &Tensor| HostTensor::new(made.shape(), made.read()?);
            let outputs = (tail.run)(outputs.iter().map(read).collect::<Result<_>>()?)?;
            return outputs
                .into_iter()
                .map(|output| Tensor::from_slice(&self.gpu, output.shape, &output.values))
                .collect();
        }
        Ok(outputs)
    }

    /// [`call_all`](Self::call_all), of a model that ends on the host of what comes before.
    fn call_on_device(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut commands = Commands::new(&self.gpu);
        let outputs = self.record_on_device(&mut commands, inputs)?;
        commands.submit()?;
        Ok(outputs)
    }

    /// What every layer reads and makes of `inputs`, in the order of computation: a layer applied twice stands there twice.
    /// Every layer runs by itself, nothing fused, in one submission; all tensors are kept until dropped.
    ///
    /// # Errors
    /// Those of [`record`](Self::record).
    pub fn call_recorded(&self, inputs: &[Tensor]) -> Result<Vec<Recorded<'_>>> {
        self.record_layers(inputs).map(|(recorded, _)| recorded)
    }

    /// [`call_recorded`](Self::call_recorded), with the model's outputs as the layers made them.
    fn record_layers(&self, inputs: &[Tensor]) -> Result<(Vec<Recorded<'_>>, Vec<Tensor>)> {
        let mut commands = Commands::new(&self.gpu);
        let made = self.record_layers_on(&mut commands, inputs)?;
        commands.submit()?;
        Ok(made)
    }

    /// [`record_layers`](Self::record_layers) without submitting.
    pub(crate) fn record_layers_on(
        &self,
        commands: &mut Commands,
        inputs: &[Tensor],
    ) -> Result<(Vec<Recorded<'_>>, Vec<Tensor>)> {
        self.check_call(commands, inputs)?;
        let mut tape = Tape::default();
        let values =
            inputs.iter().map(|input| tape.input(input.shape().clone(), input.dtype())).collect::<Result<Vec<_>>>()?;
        let mut applied = Vec::new();
        let outputs = self.lower(&mut tape, &values, "", &mut |application| applied.push(application))?;
        let kept = applied.iter().flat_map(|a| {
            let masks = a.masks.iter().flatten();
            a.inputs.iter().chain(masks).copied().chain([a.output])
        });
        let kept: Vec<_> = kept.chain(outputs).collect();
        let mut tensors = tape.record(commands, inputs, &kept)?.into_iter();
        let mut recorded = Vec::with_capacity(applied.len());
        for Applied { path, layer, inputs, masks, .. } in applied {
            let inputs = tensors.by_ref().take(inputs.len()).collect();
            let masks = masks.into_iter().map(|mask| mask.and_then(|_| tensors.next())).collect();
            recorded.extend(tensors.next().map(|output| Recorded { path, layer, inputs, masks, output }));
        }
        Ok((recorded, tensors.collect()))
    }

    /// A table of the layers in the manner of Keras: name, type, output shape, parameters, connections where the model is
    /// not a plain chain, totals, and what is [computed on the host](Self::ends_on_host). At most 80 columns wide.
    pub fn summary(&self) -> String {
        summary::of_model(self)
    }

    /// # Errors
    /// [`Error::Invalid`] unless the model has one input and one output.
    fn require_single(&self) -> Result<()> {
        if self.inputs.len() == 1 && self.output_count() == 1 {
            return Ok(());
        }
        Err(Error::invalid(
            "inputs",
            format!("model `{}` must have one input and one output here; `call_all` takes several", self.name),
            format!("{} input(s), {} output(s)", self.inputs.len(), self.output_count()),
        ))
    }

    fn check_inputs(&self, received: usize) -> Result<()> {
        if received == self.inputs.len() {
            return Ok(());
        }
        Err(Error::invalid(
            "inputs",
            format!("model `{}` must be called with {} input(s)", self.name, self.inputs.len()),
            format!("{received} input(s)"),
        ))
    }

    /// # Errors
    /// [`Error::Invalid`] for another number of inputs, and for other shapes where the model's file says which they must have.
    fn check_shapes(&self, received: &[PartialShape]) -> Result<()> {
        self.check_inputs(received.len())?;
        for (input, received) in self.inputs.iter().zip(received).filter(|_| self.inputs_hold) {
            let mut dims = input.shape.dims().to_vec();
            dims.iter_mut().take(1).for_each(|batch| *batch = None);
            let shape = PartialShape::from(dims);
            if !shape.agrees(received) {
                let rule = format!("input {:?} must have the shape {shape}, as the model's file says", input.name);
                return Err(Error::invalid("inputs", rule, format!("shape={received}")));
            }
        }
        Ok(())
    }

    fn check_call(&self, commands: &Commands, inputs: &[Tensor]) -> Result<()> {
        self.check_inputs(inputs.len())?;
        check_call("a model", &self.gpu, commands, inputs)
    }
}

/// One application of a layer on a tape.
pub(crate) struct Applied<'a> {
    path: String,
    pub(crate) layer: &'a Layer,
    inputs: Vec<ops::Value>,
    /// The masks that they carry.
    masks: Vec<Option<ops::Value>>,
    pub(crate) output: ops::Value,
}

/// What one application of a layer read and made: see [`Model::call_recorded`].
#[derive(Debug)]
pub struct Recorded<'a> {
    /// The layer's name, behind those of the models it stands in: `outer/inner/layer`.
    pub path: String,
    /// The layer.
    pub layer: &'a Layer,
    /// What it read.
    pub inputs: Vec<Tensor>,
    /// The masks that what it read carried, 1 where it counts and 0 where it is skipped; `None` where it carried none.
    pub masks: Vec<Option<Tensor>>,
    /// What it made.
    pub output: Tensor,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks: Vec<_> = self.blocks.iter().map(Block::name).collect();
        f.debug_struct("Model")
            .field("name", &self.name)
            .field("inputs", &self.inputs)
            .field("blocks", &blocks)
            .finish()
    }
}

fn not_a_model(name: &str) -> Error {
    Error::invalid("layer", "a path must lead through models to a layer", format!("{name:?}, which is a layer"))
}

fn not_a_layer(name: &str) -> Error {
    let rule = format!("a layer must be named; those of a model stand at `{name}/<layer>`");
    Error::invalid("layer", rule, format!("{name:?}, which is a model"))
}

fn name_taken(name: &str) -> Error {
    Error::invalid("name", "the names of a model's inputs and layers must be unique", format!("{name:?} twice"))
}

fn no_such_layer(model: &str, names: &[&str], received: String) -> Error {
    let rule = format!("a layer of model `{model}` must be one of {}", names.join(", "));
    Error::invalid("layer", rule, received)
}
