//! Models: named graphs of layers that run in one submission.
//!
//! A [`Model`] is the graph: inputs, layers, and *applications* of layers in an order in which each reads only what stands
//! before it. A layer applied twice stands once among the layers, so its weights are shared and counted once.
//! [`Sequential`] grows such a graph at its end; `formats` reads one from a file. Whatever made it, it runs the same way:
//! every application is recorded into one [`Commands`], and each intermediate tensor is let go after its last reader.

mod predict;
mod sequential;
mod summary;

use std::fmt;

pub use predict::{BATCH_SIZE, top};
pub use sequential::Sequential;

use crate::layers::{Layer, Weight};
use crate::{Commands, Error, Gpu, PartialShape, Result, Tensor};

/// An input of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its name, unique among the model's inputs and layers.
    pub name: String,
    /// Its shape, batch first; unknown extents may differ from call to call.
    pub shape: PartialShape,
}

/// Something a layer can read: an input of the model, or what an application made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Input(usize),
    Node(usize),
}

/// One application of a layer.
struct Node {
    layer: usize,
    inputs: Vec<Value>,
    shape: PartialShape,
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

/// A graph of built layers with named inputs.
///
/// Calls may bring any batch, and any height and width, whatever the shapes the model was built with, as Keras allows;
/// the channels are fixed.
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
    inputs: Vec<Input>,
    layers: Vec<Layer>,
    nodes: Vec<Node>,
    outputs: Vec<Value>,
}

impl Model {
    /// A model without layers, whose outputs are its inputs.
    ///
    /// # Errors
    /// [`Error::Invalid`] where two inputs have one name.
    pub(crate) fn new(gpu: &Gpu, name: String, inputs: Vec<Input>) -> Result<Self> {
        let outputs = (0..inputs.len()).map(Value::Input).collect();
        let mut model =
            Self { gpu: gpu.clone(), name, inputs: Vec::new(), layers: Vec::new(), nodes: Vec::new(), outputs };
        for input in inputs {
            model.refuse_taken(&input.name)?;
            model.inputs.push(input);
        }
        Ok(model)
    }

    /// Takes `layer` in, to be [applied](Self::apply) by the index returned.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the layer where its name is taken.
    pub(crate) fn add_layer(&mut self, layer: Layer) -> Result<usize> {
        self.refuse_taken(layer.name())?;
        self.layers.push(layer);
        Ok(self.layers.len() - 1)
    }

    fn refuse_taken(&self, name: &str) -> Result<()> {
        let mut taken = self.inputs.iter().map(|input| input.name.as_str()).chain(self.layers.iter().map(Layer::name));
        if taken.any(|other| other == name) { Err(name_taken(name)) } else { Ok(()) }
    }

    /// Applies layer number `layer` to `inputs`, which stand before it.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the layer where it does not take inputs of these shapes, or as many.
    pub(crate) fn apply(&mut self, layer: usize, inputs: Vec<Value>) -> Result<Value> {
        let built = &self.layers[layer];
        let shape = match inputs.as_slice() {
            [input] => built.output_shape(self.shape(*input)).map_err(|error| in_layer(built.name(), error))?,
            _ => {
                return Err(Error::invalid(
                    "inputs",
                    format!("layer {} must be applied to one input", built.name()),
                    format!("{} inputs", inputs.len()),
                ));
            }
        };
        self.nodes.push(Node { layer, inputs, shape });
        Ok(Value::Node(self.nodes.len() - 1))
    }

    pub(crate) fn set_outputs(&mut self, outputs: Vec<Value>) {
        self.outputs = outputs;
    }

    pub(crate) fn shape(&self, value: Value) -> &PartialShape {
        match value {
            Value::Input(index) => &self.inputs[index].shape,
            Value::Node(index) => &self.nodes[index].shape,
        }
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
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
        self.outputs.iter().map(|&value| self.shape(value).clone()).collect()
    }

    /// The layers, inputs not counted, in the model's order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The layer of a name or an index.
    ///
    /// # Errors
    /// [`Error::Invalid`] listing the existing names where there is none.
    pub fn get_layer<'a>(&self, which: impl Into<LayerKey<'a>>) -> Result<&Layer> {
        let which = which.into();
        let found = match which {
            LayerKey::Name(name) => self.layers.iter().find(|layer| layer.name() == name),
            LayerKey::Index(index) => self.layers.get(index),
        };
        found.ok_or_else(|| {
            let names: Vec<_> = self.layers.iter().map(Layer::name).collect();
            let received = match which {
                LayerKey::Name(name) => format!("{name:?}"),
                LayerKey::Index(index) => format!("index {index} of {}", names.len()),
            };
            no_such_layer(&self.name, &names, received)
        })
    }

    /// Every weight with its path `<layer>/<weight>`, in the order of the layers.
    pub fn weights(&self) -> Vec<(String, &Weight)> {
        self.layers
            .iter()
            .flat_map(|layer| layer.weights().iter().map(move |w| (format!("{}/{}", layer.name(), w.name()), w)))
            .collect()
    }

    /// The number of values in all weights.
    pub fn count_params(&self) -> u64 {
        self.layers.iter().map(Layer::count_params).sum()
    }

    /// Records every layer, without submitting; returns the outputs.
    ///
    /// # Errors
    /// [`Error::Invalid`] for inputs that do not fit, naming the layer that refuses them; [`Error::Limit`] and
    /// [`Error::Gpu`] where the device cannot.
    pub fn record(&self, commands: &mut Commands, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        self.record_each(commands, inputs, |_, _| ())
    }

    /// [`record`](Self::record), showing `seen` what each application made.
    fn record_each(
        &self,
        commands: &mut Commands,
        inputs: &[Tensor],
        mut seen: impl FnMut(&Layer, &Tensor),
    ) -> Result<Vec<Tensor>> {
        if inputs.len() != self.inputs.len() {
            return Err(Error::invalid(
                "inputs",
                format!("model `{}` must be called with {} input(s)", self.name, self.inputs.len()),
                format!("{} input(s)", inputs.len()),
            ));
        }
        let mut readers = vec![0usize; self.nodes.len()];
        for value in self.nodes.iter().flat_map(|node| &node.inputs).chain(&self.outputs) {
            if let Value::Node(index) = value {
                readers[*index] += 1;
            }
        }
        let mut made: Vec<Option<Tensor>> = Vec::with_capacity(self.nodes.len());
        let mut take = |made: &mut Vec<Option<Tensor>>, value: Value| -> Result<Tensor> {
            let tensor = match value {
                Value::Input(index) => inputs.get(index).cloned(),
                Value::Node(index) => {
                    readers[index] -= 1;
                    if readers[index] == 0 { made[index].take() } else { made[index].clone() }
                }
            };
            tensor.ok_or_else(|| Error::invalid("inputs", "a layer must read what was computed before it", "a cycle"))
        };
        for node in &self.nodes {
            let layer = &self.layers[node.layer];
            let input = take(&mut made, node.inputs[0])?;
            let output = layer.record(commands, &input).map_err(|error| in_layer(layer.name(), error))?;
            seen(layer, &output);
            made.push(Some(output));
        }
        self.outputs.iter().map(|&value| take(&mut made, value)).collect()
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

    /// The outputs for `inputs`, computed in one submission.
    ///
    /// # Errors
    /// Those of [`record`](Self::record).
    pub fn call_all(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut commands = Commands::new(&self.gpu);
        let outputs = self.record(&mut commands, inputs)?;
        commands.submit()?;
        Ok(outputs)
    }

    /// What every layer makes of `inputs`, with the layer's name, in the order of computation: a layer applied twice
    /// stands there twice. Computed in one submission; all tensors are kept until dropped.
    ///
    /// # Errors
    /// Those of [`record`](Self::record).
    pub fn call_recorded(&self, inputs: &[Tensor]) -> Result<Vec<(String, Tensor)>> {
        let mut commands = Commands::new(&self.gpu);
        let mut recorded = Vec::with_capacity(self.nodes.len());
        self.record_each(&mut commands, inputs, |layer, output| recorded.push((layer.name().into(), output.clone())))?;
        commands.submit()?;
        Ok(recorded)
    }

    /// A table of the layers in the manner of Keras: name, type, output shape, parameters, connections where the model is
    /// not a plain chain, and totals. At most 80 columns wide.
    pub fn summary(&self) -> String {
        summary::of_model(self)
    }

    /// # Errors
    /// [`Error::Invalid`] unless the model has one input and one output.
    fn require_single(&self) -> Result<()> {
        if self.inputs.len() == 1 && self.outputs.len() == 1 {
            return Ok(());
        }
        Err(Error::invalid(
            "inputs",
            format!("model `{}` must have one input and one output here; `call_all` takes several", self.name),
            format!("{} input(s), {} output(s)", self.inputs.len(), self.outputs.len()),
        ))
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers: Vec<_> = self.layers.iter().map(Layer::name).collect();
        f.debug_struct("Model")
            .field("name", &self.name)
            .field("inputs", &self.inputs)
            .field("layers", &layers)
            .finish()
    }
}

fn name_taken(name: &str) -> Error {
    Error::invalid("name", "the names of a model's inputs and layers must be unique", format!("{name:?} twice"))
}

fn no_such_layer(model: &str, names: &[&str], received: String) -> Error {
    let rule = format!("a layer of model `{model}` must be one of {}", names.join(", "));
    Error::invalid("layer", rule, received)
}

/// `error`, saying in which layer it arose where it does not say so by itself.
pub(crate) fn in_layer(name: &str, error: Error) -> Error {
    let text = error.to_string();
    if text.contains(&format!("layer {name}")) || text.contains(&format!("weight {name}/")) {
        return error;
    }
    let place = format!("layer {name}");
    match error {
        Error::Invalid { argument, rule, received } => {
            Error::Invalid { argument, rule: format!("{place}: {rule}").into(), received }
        }
        Error::Unsupported { what, reason } => Error::Unsupported { what: format!("{place}: {what}"), reason },
        Error::Limit { resource, needed, limit } => {
            Error::Limit { resource: format!("{place}: {resource}").into(), needed, limit }
        }
        Error::Gpu { context, source } => Error::Gpu { context: format!("{place}: {context}").into(), source },
        Error::Format { place: inner, problem } => Error::Format { place: format!("{place}: {inner}"), problem },
    }
}
