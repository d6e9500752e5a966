//! Parts of a model, and the same network for other classes.
//!
//! A network that was trained on many pictures has learned to see; its last layer alone says what it sees. So what was
//! learned is used again in two ways: the model is cut where it has seen but not yet said, and its values are features for
//! something else ([`Model::with_outputs`]); or its last layer is replaced by a new one, which is then trained on a few pictures
//! of the new classes ([`Model::with_classes`]).

use super::{Block, Model, Port, no_such_layer};
use crate::layers::LayerConfig;
use crate::{Error, Result};

impl Model {
    /// The model up to the layers of these names: it ends with what they make, and what only led further is left out. In Keras,
    /// `Model(model.inputs, [model.get_layer(name).output for name in names])`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no name, for one that no layer has, and for a layer that is applied several times.
    ///
    /// ```no_run
    /// use wgpu_conv::{Gpu, model::Model};
    ///
    /// // What a network sees, before it says what that is.
    /// let features = Model::load(&Gpu::new()?, "mobilenet.keras")?.with_outputs(&["global_average_pooling2d"])?;
    /// println!("{:?}", features.output_shapes());
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn with_outputs(mut self, names: &[&str]) -> Result<Self> {
        if names.is_empty() {
            return Err(Error::invalid("names", "a model must have an output", "none"));
        }
        let mut outputs = Vec::new();
        for name in names {
            let Some(block) = self.named(name) else {
                let known: Vec<_> = self.blocks.iter().map(Block::name).collect();
                return Err(no_such_layer(&self.name, &known, format!("{name:?}")));
            };
            let node = self.applied_once(block)?;
            outputs.extend((0..self.nodes[node].shapes.len()).map(|output| Port::Output(node, output)));
        }
        let needed = self.needed(&outputs);
        let read =
            |input: &Port| self.nodes.iter().zip(&needed).any(|(node, &needed)| needed && node.inputs.contains(input));
        let inputs: Vec<_> = (0..self.inputs.len()).map(Port::Input).filter(read).collect();
        self.keep_between(&inputs, &outputs);
        self.host_tail = None;
        self.programs.clear();
        // The file said how more inputs and other outputs are put together.
        #[cfg(feature = "keras")]
        for ends in ["input_layers", "output_layers"] {
            if let Some(notes) = self.notes.as_object_mut() {
                notes.remove(ends);
            }
        }
        Ok(self)
    }

    /// The model for `classes` other classes: its last layer with weights, which must be dense or a convolution, is replaced by a
    /// new one of as many units or filters, with first values by its initializers; it keeps its name and its other arguments. All
    /// other layers keep what they have learned.
    ///
    /// # Errors
    /// [`Error::Invalid`] for 0 classes, and where the model has several outputs, ends with another kind of layer or applies that
    /// layer several times; [`Error::Unsupported`] for initializers that draw at random where the feature `random` is off.
    ///
    /// ```no_run
    /// use wgpu_conv::{Gpu, model::Model};
    ///
    /// // Trained on a thousand classes; to be trained on five, by its new layer alone.
    /// let mut model = Model::load(&Gpu::new()?, "mobilenet.keras")?.with_classes(5)?;
    /// let layers: Vec<_> = model.blocks().iter().map(|block| block.name().to_owned()).collect();
    /// for name in &layers[..layers.len() - 1] {
    ///     model.set_trainable(name, false)?;
    /// }
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn with_classes(mut self, classes: u32) -> Result<Self> {
        if classes == 0 {
            return Err(Error::invalid("classes", "a model must have at least one class", "0"));
        }
        self.require_on_device("other classes")?;
        let [mut port] = self.outputs[..] else {
            let rule = "a model must have one output to be given other classes";
            return Err(Error::invalid("outputs", rule, self.outputs.len().to_string()));
        };
        // From the output back to the layer that makes the scores, over those that only change or reshape them.
        let mut behind = Vec::new();
        let config = loop {
            let Port::Output(node, _) = port else { return Err(self.no_head("an input")) };
            let Block::Layer(layer) = &self.blocks[self.nodes[node].block] else {
                return Err(self.no_head("a model within it"));
            };
            behind.push(node);
            match self.nodes[node].inputs[..] {
                [input] if layer.weights().is_empty() => port = input,
                _ => break layer.config().clone(),
            }
        };
        let class = config.class_name();
        let (before, config) = match config {
            LayerConfig::Dense(mut layer) => (std::mem::replace(&mut layer.units, classes), layer.into()),
            LayerConfig::Conv1D(mut layer) => (std::mem::replace(&mut layer.filters, classes), layer.into()),
            LayerConfig::Conv2D(mut layer) => (std::mem::replace(&mut layer.filters, classes), layer.into()),
            LayerConfig::Conv3D(mut layer) => (std::mem::replace(&mut layer.filters, classes), layer.into()),
            _ => return Err(self.no_head(class)),
        };
        let mut head = Some(LayerConfig::trainable(config, true));
        for node in behind.into_iter().rev() {
            let block = self.nodes[node].block;
            self.applied_once(block)?;
            let Block::Layer(layer) = &self.blocks[block] else { continue };
            let config = head.take().unwrap_or_else(|| reshaped(layer.config(), before, classes));
            let inputs = self.inputs_of(block);
            let layer = config.build_all(&self.gpu, &inputs).map_err(|error| error.in_layer(layer.name()))?;
            self.blocks[block] = layer.into();
            self.nodes[node].shapes = self.blocks[block].output_shapes(&inputs)?;
        }
        self.programs.clear();
        Ok(self)
    }

    /// The one application of block number `block`.
    fn applied_once(&self, block: usize) -> Result<usize> {
        let mut applied = (0..self.nodes.len()).filter(|&node| self.nodes[node].block == block);
        match (applied.next(), applied.next()) {
            (Some(node), None) => Ok(node),
            _ => {
                let rule = "a layer that a model is cut at or changed at must be applied once";
                Err(Error::invalid("layer", rule, format!("{:?}, applied several times", self.blocks[block].name())))
            }
        }
    }

    fn no_head(&self, found: &str) -> Error {
        let rule = "the last layer with weights must be Dense or a convolution to be replaced for other classes";
        Error::invalid("model", rule, format!("{found} at the end of {:?}", self.name))
    }
}

/// A layer behind the scores, for `after` of them in place of `before`: a Reshape names their number.
fn reshaped(config: &LayerConfig, before: u32, after: u32) -> LayerConfig {
    let mut config = config.clone();
    if let LayerConfig::Reshape(layer) = &mut config
        && let Ok(after) = i32::try_from(after)
        && let Some(scores) = layer.target_shape.iter_mut().rfind(|extent| i64::from(**extent) == i64::from(before))
    {
        *scores = after;
    }
    config
}
