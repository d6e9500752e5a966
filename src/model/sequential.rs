//! Models made by adding one layer after another: Keras's `Sequential`.
//!
//! Most networks begin as a chain, and a chain needs no names for what lies between its layers. [`Sequential`] grows a
//! model at its end and builds each layer as soon as the shape of its input is known: at once where the shape of the
//! model's input is given first, else at the first call.

use std::ops::BitOr;
use std::sync::OnceLock;

use super::{Block, Input, LayerKey, Model, Port, Recorded, summary};
use crate::layers::{Layer, LayerConfig, Piped};
use crate::{Error, Gpu, PartialShape, Result, Tensor, Variable};

/// A chain of layers, each reading what the one before it made.
///
/// With an [input shape](Self::with_input), every layer is built when it is added, and one that does not fit is refused
/// there. Without one, the first call builds all of them from its input's shape; until then there are no weights.
///
/// ```no_run
/// use wgpu_conv::{Activation, Gpu, layers::*, model::Sequential};
///
/// let gpu = Gpu::new()?;
/// let model = Sequential::new(&gpu)
///     .with_input([None, Some(28), Some(28), Some(1)])?
///     .with(Conv2D::new(16, 3).activation(Activation::RELU))?
///     .with(SeparableConv2D::new(32, 3))?
///     .with(GlobalAveragePooling2D::new())?
///     .with(Dense::new(10))?;
/// println!("{}", model.summary());
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Debug)]
pub struct Sequential {
    gpu: Gpu,
    name: String,
    /// What was added before an input shape was known; of no more use once the model is built.
    waiting: Vec<Addition>,
    built: OnceLock<Model>,
}

#[derive(Clone, Debug)]
enum Addition {
    New(Box<LayerConfig>),
    Again(String),
}

impl Sequential {
    /// A model without layers and without an input shape, on `gpu`.
    pub fn new(gpu: &Gpu) -> Self {
        Self { gpu: gpu.clone(), name: "sequential".into(), waiting: Vec::new(), built: OnceLock::new() }
    }

    /// A model of `layers`, in their order, without an input shape.
    ///
    /// # Errors
    /// Those of [`add`](Self::add).
    pub fn from_layers<L: Into<LayerConfig>>(gpu: &Gpu, layers: impl IntoIterator<Item = L>) -> Result<Self> {
        layers.into_iter().try_fold(Self::new(gpu), Self::with)
    }

    /// The model's name; `sequential` by default.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        if let Some(model) = self.built.get_mut() {
            model.name.clone_from(&self.name);
        }
        self
    }

    /// The shape of the input, batch first: all but the channels may be unknown. It comes first, and once.
    ///
    /// # Errors
    /// [`Error::Invalid`] after layers or another input shape.
    pub fn with_input(mut self, shape: impl Into<PartialShape>) -> Result<Self> {
        let shape = shape.into();
        if !self.waiting.is_empty() || self.built.get().is_some() {
            return Err(Error::invalid(
                "input",
                "the input shape of a Sequential must come before its layers, once",
                format!("shape={shape} after {} layers", self.waiting.len().max(self.blocks().len())),
            ));
        }
        self.built = OnceLock::from(self.start(shape)?);
        Ok(self)
    }

    fn start(&self, shape: PartialShape) -> Result<Model> {
        let model = Model::new(&self.gpu, self.name.clone(), vec![Input { name: "input".into(), shape }])?;
        Ok(Model { sequential: true, ..model })
    }

    /// Adds a layer at the end.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that another layer has, for arguments that contradict a rule, and, once the input
    /// shape is known, for a layer that does not fit what comes before it, naming the layer. The model is unchanged then.
    pub fn add(&mut self, layer: impl Into<LayerConfig>) -> Result<&mut Self> {
        self.push(Addition::New(Box::new(layer.into())))
    }

    /// [`add`](Self::add), for chains.
    ///
    /// # Errors
    /// Those of [`add`](Self::add).
    pub fn with(mut self, layer: impl Into<LayerConfig>) -> Result<Self> {
        self.add(layer)?;
        Ok(self)
    }

    /// Applies the layer called `name`, which stands in the model already, once more at the end: it shares its weights.
    ///
    /// # Errors
    /// [`Error::Invalid`] listing the existing names where there is none such, and for a layer that does not fit.
    pub fn again(&mut self, name: &str) -> Result<&mut Self> {
        self.push(Addition::Again(name.into()))
    }

    /// Adds a model at the end, as a block of this one. The input shape must be known.
    ///
    /// # Errors
    /// [`Error::Invalid`] while the input shape is unknown, for a name that is taken, for a model that does not fit, and
    /// for one of several inputs or outputs. The model is unchanged then.
    pub fn add_model(&mut self, block: Model) -> Result<&mut Self> {
        block.require_single()?;
        let Some(model) = self.built.get_mut() else {
            let rule = "a Sequential must know its input shape before a model is added";
            return Err(Error::invalid("input", rule, format!("model `{}`", block.name)));
        };
        let index = model.add_block(block)?;
        append(model, index, true)?;
        Ok(self)
    }

    fn push(&mut self, step: Addition) -> Result<&mut Self> {
        match self.built.get_mut() {
            Some(model) => extend(model, &step)?,
            None => {
                self.check_name(&step)?;
                self.waiting.push(step);
            }
        }
        Ok(self)
    }

    /// What [`extend`] would refuse about the names and arguments of a step that waits.
    fn check_name(&self, step: &Addition) -> Result<()> {
        let names: Vec<_> = self.configs().filter_map(|config| config.common().name.as_deref()).collect();
        match step {
            Addition::New(config) => {
                config.validate()?;
                match &config.common().name {
                    Some(name) if names.contains(&name.as_str()) => Err(super::name_taken(name)),
                    _ => Ok(()),
                }
            }
            Addition::Again(name) if names.contains(&name.as_str()) => Ok(()),
            Addition::Again(name) => Err(super::no_such_layer(&self.name, &names, format!("{name:?}"))),
        }
    }

    fn configs(&self) -> impl Iterator<Item = &LayerConfig> {
        self.waiting.iter().filter_map(|step| match step {
            Addition::New(config) => Some(config.as_ref()),
            Addition::Again(_) => None,
        })
    }

    /// Takes away the last layer; false where there is none.
    pub fn pop(&mut self) -> bool {
        match self.built.get_mut() {
            Some(model) => model.pop(),
            None => self.waiting.pop().is_some(),
        }
    }

    /// The model as a graph, or `None` while the input shape is unknown.
    pub fn model(&self) -> Option<&Model> {
        self.built.get()
    }

    /// The model, built for inputs of `shape` if it was not built before.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first layer that does not fit.
    pub fn build(&self, shape: impl Into<PartialShape>) -> Result<&Model> {
        if let Some(model) = self.built.get() {
            return Ok(model);
        }
        let mut model = self.start(shape.into())?;
        for step in &self.waiting {
            extend(&mut model, step)?;
        }
        Ok(self.built.get_or_init(|| model))
    }

    /// The model, built for data of `shape`, whose batch may differ from call to call.
    fn build_for(&self, shape: &crate::Shape) -> Result<&Model> {
        let extents = shape.dims().iter().enumerate();
        let dims: Vec<_> = extents.map(|(axis, &extent)| (axis > 0).then_some(extent)).collect();
        self.build(dims)
    }

    /// The output for `input`, computed in one submission. The first call builds the layers if no input shape was given.
    ///
    /// # Errors
    /// Those of [`build`](Self::build) and [`Model::call`].
    pub fn call(&self, input: &Tensor) -> Result<Tensor> {
        self.build_for(input.shape())?.call(input)
    }

    /// What every layer makes of `input`: see [`Model::call_recorded`].
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub fn call_recorded(&self, input: &Tensor) -> Result<Vec<Recorded<'_>>> {
        self.build_for(input.shape())?.call_recorded(std::slice::from_ref(input))
    }

    /// The outputs for `data`, in batches: see [`Model::predict`].
    ///
    /// # Errors
    /// Those of [`build`](Self::build) and [`Model::predict`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn predict(&self, data: &crate::HostTensor) -> Result<crate::HostTensor> {
        self.build_for(&data.shape)?.predict(data)
    }

    /// The built layers with their paths: see [`Model::layers`]; none while the input shape is unknown.
    pub fn layers(&self) -> Vec<(String, &Layer)> {
        self.built.get().map_or_else(Vec::new, Model::layers)
    }

    /// The built layers and models; none while the input shape is unknown.
    pub fn blocks(&self) -> &[Block] {
        self.built.get().map_or(&[], Model::blocks)
    }

    /// The built layer of a name or an index: see [`Model::get_layer`].
    ///
    /// # Errors
    /// [`Error::Invalid`] listing the built layers where there is none such.
    pub fn get_layer<'a>(&self, which: impl Into<LayerKey<'a>>) -> Result<&Layer> {
        match self.built.get() {
            Some(model) => model.get_layer(which),
            None => Err(Error::invalid(
                "layer",
                "a Sequential must have been built, by an input shape or a call, before its layers can be had",
                match which.into() {
                    LayerKey::Name(name) => format!("{name:?}"),
                    LayerKey::Index(index) => format!("index {index}"),
                },
            )),
        }
    }

    /// Every weight with its path `<layer>/<weight>`; none while the input shape is unknown.
    pub fn weights(&self) -> Vec<(String, &Variable)> {
        self.built.get().map_or_else(Vec::new, Model::weights)
    }

    /// The number of values in all weights; 0 while the input shape is unknown.
    pub fn count_params(&self) -> u64 {
        self.built.get().map_or(0, Model::count_params)
    }

    /// The shape of the output; `None` while the input shape is unknown.
    pub fn output_shape(&self) -> Option<PartialShape> {
        self.built.get().and_then(|model| model.output_shapes().pop())
    }

    /// A table of the layers: see [`Model::summary`].
    pub fn summary(&self) -> String {
        match self.built.get() {
            Some(model) => model.summary(),
            None => summary::of_unbuilt(&self.name, self.configs()),
        }
    }

    /// The model as a graph, if it was built.
    pub fn into_model(self) -> Option<Model> {
        self.built.into_inner()
    }
}

/// Adds `step` at the end of `model`, or leaves it as it was.
fn extend(model: &mut Model, step: &Addition) -> Result<()> {
    let index = match step {
        Addition::New(config) => {
            if let Some(name) = &config.common().name {
                model.check_free(name)?;
            }
            let layer = config.build(&model.gpu, model.shape(model.outputs[0]));
            let layer = layer.map_err(|error| error.in_layer(config.name_or_class()))?;
            model.add_block(layer)?
        }
        Addition::Again(name) => model.index_of(name)?,
    };
    append(model, index, matches!(step, Addition::New(_)))
}

/// Applies block `index` at the end of `model`, or takes it away again if it is `new` and does not fit.
fn append(model: &mut Model, index: usize, new: bool) -> Result<()> {
    match model.apply(index, vec![model.outputs[0]]) {
        Ok(node) => {
            model.set_outputs(vec![Port::Output(node, 0)]);
            Ok(())
        }
        Err(error) => {
            if new {
                model.remove_block(index);
            }
            Err(error)
        }
    }
}

impl Model {
    /// The place of the layer called `name`.
    fn index_of(&self, name: &str) -> Result<usize> {
        self.named(name).ok_or_else(|| {
            let names: Vec<_> = self.blocks.iter().map(Block::name).collect();
            super::no_such_layer(&self.name, &names, format!("{name:?}"))
        })
    }

    /// Takes away the last application of a chain, and its layer if nothing else applies it.
    fn pop(&mut self) -> bool {
        let Some(node) = self.nodes.pop() else { return false };
        if self.nodes.iter().all(|other| other.block != node.block) {
            self.remove_block(node.block);
        }
        self.set_outputs(node.inputs);
        true
    }
}

/// `model | layer` adds a layer, as [`Sequential::with`] does.
impl<L: Into<LayerConfig>> BitOr<L> for Sequential {
    type Output = Piped<Self>;

    fn bitor(self, layer: L) -> Piped<Self> {
        Piped(self.with(layer))
    }
}

impl<L: Into<LayerConfig>> BitOr<L> for Piped<Sequential> {
    type Output = Self;

    fn bitor(self, layer: L) -> Self {
        Piped(self.0.and_then(|model| model.with(layer)))
    }
}
