//! Models made as graphs: symbolic inputs, layers applied to what other layers made. Keras's functional API.
//!
//! A network with branches, such as a residual block that adds its input to its output, is no chain. Here each value of
//! the network is a [`Symbol`]: it has a shape, but no elements, and stands for what a call will compute. A layer
//! applied to symbols gives a new one; the graph grows, and shapes are checked on the way. [`Functional::model`] takes
//! what lies between chosen inputs and outputs as a model. The example is at [`Functional`].

use std::ops::BitOr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Block, Input, Model, Port, no_such_layer};
use crate::layers::{LayerConfig, Piped};
use crate::{Error, Gpu, PartialShape, Result};

/// A graph of layers under construction: Keras's functional API.
///
/// ```no_run
/// use wgpu_conv::{Activation, Gpu, layers::*, model::Functional};
///
/// let gpu = Gpu::new()?;
/// let graph = Functional::new(&gpu);
/// let image = graph.input("image", [None, Some(32), Some(32), Some(3)])?;
/// let x = (&image | Conv2D::new(16, 3) | BatchNormalization::new() | ReLU::new()).finish()?;
/// let scores = (&x | GlobalAveragePooling2D::new() | Dense::new(10)).finish()?;
/// let model = graph.model("classifier", &[&image], &[&scores])?;
/// println!("{}", model.summary());
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Functional(Arc<Mutex<GraphSoFar>>);

/// The graph so far; nothing is left once it has become a model.
#[derive(Debug)]
struct GraphSoFar {
    gpu: Gpu,
    model: Option<Model>,
}

/// A value of a [`Functional`] graph that has a shape, but no elements yet.
#[derive(Clone, Debug)]
pub struct Symbol {
    graph: Functional,
    port: Port,
    shape: PartialShape,
}

impl Functional {
    /// An empty graph on `gpu`.
    pub fn new(gpu: &Gpu) -> Self {
        Self(Arc::new(Mutex::new(GraphSoFar { gpu: gpu.clone(), model: None })))
    }

    fn lock(&self) -> MutexGuard<'_, GraphSoFar> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An input of `shape`, batch first; extents may be unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is taken.
    pub fn input(&self, name: impl Into<String>, shape: impl Into<PartialShape>) -> Result<Symbol> {
        let (name, shape) = (name.into(), shape.into());
        let mut graph = self.lock();
        let gpu = graph.gpu.clone();
        let model = match &mut graph.model {
            Some(model) => model,
            none => none.insert(Model::new(&gpu, "functional".into(), Vec::new())?),
        };
        let port = model.add_input(Input { name, shape: shape.clone() })?;
        Ok(Symbol { graph: self.clone(), port, shape })
    }

    /// A new layer applied to `inputs`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is taken, for arguments that contradict a rule, for inputs that the layer does
    /// not take, and for inputs of another graph, naming the layer.
    pub fn apply(&self, layer: impl Into<LayerConfig>, inputs: &[&Symbol]) -> Result<Symbol> {
        let config = layer.into();
        let shapes: Vec<_> = inputs.iter().map(|input| input.shape.clone()).collect();
        let name = config.name_or_class().to_owned();
        let layer = config.build_all(&self.lock().gpu, &shapes).map_err(|error| error.in_layer(&name))?;
        let mut symbols = self.place(layer.into(), inputs)?;
        Ok(symbols.swap_remove(0))
    }

    /// A model applied to `inputs` as a block of this one; its outputs.
    ///
    /// # Errors
    /// Those of [`apply`](Self::apply).
    pub fn apply_model(&self, model: Model, inputs: &[&Symbol]) -> Result<Vec<Symbol>> {
        self.place(model.into(), inputs)
    }

    /// The layer or model called `name`, which stands in the graph already, applied once more: it shares its weights.
    ///
    /// # Errors
    /// [`Error::Invalid`] listing the existing names where there is none such; else those of [`apply`](Self::apply).
    pub fn again(&self, name: &str, inputs: &[&Symbol]) -> Result<Vec<Symbol>> {
        let index = {
            let graph = self.lock();
            let names: Vec<_> = graph.model.iter().flat_map(Model::blocks).map(Block::name).collect();
            let found = names.iter().position(|other| *other == name);
            found.ok_or_else(|| no_such_layer("functional", &names, format!("{name:?}")))?
        };
        self.connect(index, inputs)
    }

    fn place(&self, block: Block, inputs: &[&Symbol]) -> Result<Vec<Symbol>> {
        self.check_inputs(inputs)?;
        let index = match &mut self.lock().model {
            Some(model) => model.add_block(block)?,
            None => return Err(finished()),
        };
        self.connect(index, inputs)
    }

    fn connect(&self, block: usize, inputs: &[&Symbol]) -> Result<Vec<Symbol>> {
        self.check_inputs(inputs)?;
        let mut graph = self.lock();
        let model = graph.model.as_mut().ok_or_else(finished)?;
        let node = model.apply(block, inputs.iter().map(|input| input.port).collect())?;
        let shapes = model.nodes()[node].shapes.iter().cloned().enumerate();
        let symbol = |(output, shape)| Symbol { graph: self.clone(), port: Port::Output(node, output), shape };
        Ok(shapes.map(symbol).collect())
    }

    fn check_inputs(&self, symbols: &[&Symbol]) -> Result<()> {
        if symbols.iter().all(|symbol| Arc::ptr_eq(&self.0, &symbol.graph.0)) {
            return Ok(());
        }
        Err(Error::invalid("inputs", "a layer must be applied to values of one graph", "values of two"))
    }

    /// The model from `inputs` to `outputs`: just the layers between. It ends the graph.
    ///
    /// # Errors
    /// [`Error::Invalid`] for outputs that need an input not given, inputs that no output needs, and no outputs.
    pub fn model(&self, name: impl Into<String>, inputs: &[&Symbol], outputs: &[&Symbol]) -> Result<Model> {
        self.check_inputs(inputs)?;
        self.check_inputs(outputs)?;
        let ports = |symbols: &[&Symbol]| symbols.iter().map(|symbol| symbol.port).collect::<Vec<_>>();
        let mut graph = self.lock();
        let model = graph.model.as_ref().ok_or_else(finished)?;
        model.check_ends(&ports(inputs), &ports(outputs))?;
        let mut model = graph.model.take().ok_or_else(finished)?;
        model.name = name.into();
        model.keep_between(&ports(inputs), &ports(outputs));
        Ok(model)
    }
}

impl Symbol {
    /// The shape; unknown extents depend on the call.
    pub fn shape(&self) -> &PartialShape {
        &self.shape
    }

    /// A new layer applied to this value.
    ///
    /// # Errors
    /// Those of [`Functional::apply`].
    pub fn apply(&self, layer: impl Into<LayerConfig>) -> Result<Self> {
        self.graph.apply(layer, &[self])
    }
}

/// `symbol | layer` applies a layer, as [`Symbol::apply`] does.
impl<L: Into<LayerConfig>> BitOr<L> for &Symbol {
    type Output = Piped<Symbol>;

    fn bitor(self, layer: L) -> Piped<Symbol> {
        Piped(self.apply(layer))
    }
}

impl<L: Into<LayerConfig>> BitOr<L> for Symbol {
    type Output = Piped<Self>;

    fn bitor(self, layer: L) -> Piped<Self> {
        Piped(self.apply(layer))
    }
}

impl<L: Into<LayerConfig>> BitOr<L> for Piped<Symbol> {
    type Output = Self;

    fn bitor(self, layer: L) -> Self {
        Piped(self.0.and_then(|symbol| symbol.apply(layer)))
    }
}

impl Model {
    /// The applications that `outputs` depend on.
    pub(crate) fn needed(&self, outputs: &[Port]) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len()];
        let mut open: Vec<Port> = outputs.to_vec();
        while let Some(port) = open.pop() {
            if let Port::Output(node, _) = port
                && !std::mem::replace(&mut needed[node], true)
            {
                open.extend(&self.nodes[node].inputs);
            }
        }
        needed
    }

    /// # Errors
    /// [`Error::Invalid`] unless the outputs depend on just these inputs.
    fn check_ends(&self, inputs: &[Port], outputs: &[Port]) -> Result<()> {
        if outputs.is_empty() {
            return Err(Error::invalid("outputs", "a model must have outputs", "none"));
        }
        let needed = self.needed(outputs);
        let read = (0..self.nodes.len()).filter(|&node| needed[node]).flat_map(|node| &self.nodes[node].inputs);
        let read: Vec<Port> = read.chain(outputs).copied().collect();
        for (index, input) in self.inputs.iter().enumerate() {
            let port = Port::Input(index);
            match (inputs.iter().filter(|&&given| given == port).count(), read.contains(&port)) {
                (1, true) | (0, false) => {}
                (0, true) => {
                    let rule = "a model must be given every input that its outputs depend on";
                    return Err(Error::invalid("inputs", rule, format!("none for {:?}", input.name)));
                }
                (_, false) => {
                    let rule = "every input of a model must be one that its outputs depend on";
                    return Err(Error::invalid("inputs", rule, format!("{:?}, which nothing reads", input.name)));
                }
                _ => return Err(Error::invalid("inputs", "an input must be given once", format!("{:?}", input.name))),
            }
        }
        if let Some(Port::Output(node, _)) = inputs.iter().find(|port| matches!(port, Port::Output(..))) {
            let name = self.blocks[self.nodes[*node].block].name();
            let rule = "a model's inputs must be inputs of its graph";
            return Err(Error::invalid("inputs", rule, format!("what layer {name} makes")));
        }
        Ok(())
    }

    /// Keeps what `outputs` depend on, with `inputs` in the order given.
    pub(super) fn keep_between(&mut self, inputs: &[Port], outputs: &[Port]) {
        let needed = self.needed(outputs);
        let mut blocks = vec![None; self.blocks.len()];
        let mut nodes = vec![None; self.nodes.len()];
        for (place, node) in (0..self.nodes.len()).filter(|&node| needed[node]).enumerate() {
            nodes[node] = Some(place);
            blocks[self.nodes[node].block] = Some(0);
        }
        for (next, block) in blocks.iter_mut().flatten().enumerate() {
            *block = next;
        }
        let moved = |port: &Port| match *port {
            Port::Output(node, output) => Port::Output(nodes[node].unwrap_or_default(), output),
            input @ Port::Input(_) => Port::Input(inputs.iter().position(|&given| given == input).unwrap_or_default()),
        };
        self.outputs = outputs.iter().map(moved).collect();
        let mut index = 0;
        self.nodes.retain_mut(|node| {
            node.inputs = node.inputs.iter().map(moved).collect();
            node.block = blocks[node.block].unwrap_or_default();
            index += 1;
            needed[index - 1]
        });
        let mut index = 0;
        self.blocks.retain(|_| {
            index += 1;
            blocks[index - 1].is_some()
        });
        let named = |port: &Port| match *port {
            Port::Input(index) => Some(self.inputs[index].clone()),
            Port::Output(..) => None,
        };
        self.inputs = inputs.iter().filter_map(named).collect();
        let blocks = self.blocks.iter().enumerate().map(|(index, block)| (block.name().to_owned(), Some(index)));
        self.names = self.inputs.iter().map(|input| (input.name.clone(), None)).chain(blocks).collect();
    }
}

fn finished() -> Error {
    Error::invalid("graph", "a graph must have an input and become a model once", "a graph that is empty or ended")
}
