//! What a model computes, as a list, without weights and without a device.
//!
//! Whoever wants to look at a network (a viewer, a converter, a test) needs its layers, what each reads, and their
//! shapes, but neither a GPU nor a gigabyte of weights. An [`Architecture`] is that list. A built model tells its own,
//! and a file's is read without building the model. Models within models are laid out flat, their layers under paths
//! such as `outer/inner/layer`.

use std::collections::HashSet;

use super::{Block, Input, Model, Port};
use crate::PartialShape;
use crate::layers::LayerConfig;

/// The layers of a model, those of models within it included, in the order of computation: what is known of a model before
/// it has weights or a device. A built model [tells](Model::architecture) it, and files do.
///
/// Inputs and layers have places: the inputs come first, then the layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    name: String,
    inputs: Vec<Input>,
    layers: Vec<AppliedLayer>,
    outputs: Vec<usize>,
}

/// One application of a layer: see [`Architecture::layers`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AppliedLayer {
    /// The layer's name, behind those of the models it stands in: `outer/inner/layer`. All its applications have the same.
    pub path: String,
    /// Its description.
    pub config: LayerConfig,
    /// The places of what it reads.
    pub inputs: Vec<usize>,
    /// The shape of what it makes, batch first; extents that depend on the call are unknown.
    pub output_shape: PartialShape,
    /// The number of values in its weights.
    pub parameters: u64,
}

impl Architecture {
    /// Without layers; its outputs are its inputs.
    pub(crate) fn new(name: &str, inputs: Vec<Input>) -> Self {
        Self { name: name.to_owned(), outputs: (0..inputs.len()).collect(), inputs, layers: Vec::new() }
    }

    /// Appends a layer that reads what stands before it; its place.
    pub(crate) fn push(&mut self, layer: AppliedLayer) -> usize {
        self.layers.push(layer);
        self.inputs.len() + self.layers.len() - 1
    }

    pub(crate) fn set_outputs(&mut self, outputs: Vec<usize>) {
        self.outputs = outputs;
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the model takes, in its order.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The applications of layers, each after those it reads.
    pub fn layers(&self) -> &[AppliedLayer] {
        &self.layers
    }

    /// The places of what makes the model's outputs, in their order.
    pub fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// The number of values in all weights, those of a layer that is applied twice counted once.
    pub fn count_params(&self) -> u64 {
        let mut met = HashSet::new();
        let first = self.layers.iter().filter(|layer| met.insert(layer.path.as_str()));
        first.fold(0, |sum, layer| sum.saturating_add(layer.parameters))
    }
}

impl Model {
    /// Its layers, and what each reads.
    ///
    /// ```no_run
    /// use wgpu_conv::{Gpu, layers::Conv2D, model::Sequential};
    ///
    /// let gpu = Gpu::new()?;
    /// let model = Sequential::new(&gpu).with_input([None, Some(8), Some(8), Some(1)])?.with(Conv2D::new(4, 3).name("first"))?;
    /// let architecture = model.model().expect("the input shape is known").architecture();
    /// let first = &architecture.layers()[0];
    /// assert_eq!((first.path.as_str(), first.inputs.as_slice()), ("first", &[0][..]));
    /// assert_eq!(first.output_shape.to_string(), "(None, 6, 6, 4)");
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn architecture(&self) -> Architecture {
        let mut architecture = Architecture::new(&self.name, self.inputs.clone());
        let inputs: Vec<usize> = (0..self.inputs.len()).collect();
        let outputs = self.append_to(&mut architecture, &inputs, "");
        architecture.set_outputs(outputs);
        architecture
    }

    /// Appends its layers, applied to what stands at `inputs`; the places of its outputs.
    fn append_to(&self, architecture: &mut Architecture, inputs: &[usize], around: &str) -> Vec<usize> {
        let mut made: Vec<Vec<usize>> = Vec::with_capacity(self.nodes.len());
        let of = |made: &[Vec<usize>], port: &Port| match *port {
            Port::Input(index) => inputs[index],
            Port::Output(node, output) => made[node][output],
        };
        for node in &self.nodes {
            let block = &self.blocks[node.block];
            let inputs: Vec<usize> = node.inputs.iter().map(|port| of(&made, port)).collect();
            let path = format!("{around}{}", block.name());
            made.push(match block {
                Block::Layer(layer) => vec![architecture.push(AppliedLayer {
                    path,
                    config: layer.config().clone(),
                    inputs,
                    output_shape: node.shapes[0].clone(),
                    parameters: layer.count_params(),
                })],
                Block::Model(model) => model.append_to(architecture, &inputs, &format!("{path}/")),
            });
        }
        self.outputs.iter().map(|port| of(&made, port)).collect()
    }
}
