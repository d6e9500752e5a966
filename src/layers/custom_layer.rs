//! Layers that the caller gives for classes that Keras does not have.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::{Custom, LayerConfig};
use crate::Result;

/// What a class of a program computes, in layers of this crate: a small graph without weights. One of the layers, or the only one, may
/// be [`Wgsl`](super::Wgsl), written by the caller.
///
/// ```
/// use wgpu_conv::Activation;
/// use wgpu_conv::layers::{CustomLayer, Dense, Merge};
///
/// // class Gate: def call(self, x): return x * self.gate(x)
/// let mut layer = CustomLayer::new(1);
/// let x = layer.input(0);
/// let gate = layer.layer("gate", Dense::new(4).activation(Activation::Sigmoid), &[x]);
/// let product = layer.layer("", Merge::multiply(), &[x, gate]);
/// layer.outputs(&[product]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CustomLayer {
    pub(crate) inputs: usize,
    pub(crate) layers: Vec<CustomPart>,
    pub(crate) outputs: Vec<CustomValue>,
}

/// A layer in a [`CustomLayer`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CustomPart {
    /// What holds its weights.
    pub(crate) attribute: String,
    pub(crate) layer: LayerConfig,
    pub(crate) reads: Vec<CustomValue>,
}

/// What goes into a [`CustomLayer`], or what one of its layers makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomValue(pub(crate) CustomSource);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CustomSource {
    Input(usize),
    Layer(usize),
}

impl CustomLayer {
    /// A layer of so many inputs, in the order in which the class is called with them.
    pub fn new(inputs: usize) -> Self {
        Self { inputs, layers: Vec::new(), outputs: Vec::new() }
    }

    /// The input of this number, from 0.
    pub fn input(&self, number: usize) -> CustomValue {
        CustomValue(CustomSource::Input(number))
    }

    /// What `layer` makes of `reads`.
    ///
    /// `attribute` says where the weights of `layer` stand in `.keras` files: the name of the attribute of the class that holds
    /// the Keras layer, `blocks/dense_1` for the second Dense in a list `self.blocks`; empty for the weights of the class itself, in
    /// the order in which it has added them. In legacy `.h5` files weights stand in order, and so must the layers.
    pub fn layer(&mut self, attribute: &str, layer: impl Into<LayerConfig>, reads: &[CustomValue]) -> CustomValue {
        self.layers.push(CustomPart { attribute: attribute.to_owned(), layer: layer.into(), reads: reads.to_vec() });
        CustomValue(CustomSource::Layer(self.layers.len() - 1))
    }

    /// What comes out; one value for most.
    pub fn outputs(&mut self, outputs: &[CustomValue]) {
        self.outputs = outputs.to_vec();
    }
}

/// A function from the config of a layer, Keras's `get_config`, to what the layer computes.
pub type CustomLayerFn = dyn Fn(&Json) -> Result<CustomLayer> + Send + Sync;

/// Layers for the classes of a program, by the name of the class, or the name that it is registered under (`my_package>Gate`); the
/// latter first. `Lambda` stands for all layers of Python code, of which the config has the name.
///
/// ```no_run
/// use wgpu_conv::formats::KerasFile;
/// use wgpu_conv::layers::{CustomLayer, CustomLayers, ReadOptions, Rescaling};
///
/// let layers = CustomLayers::new().with("Half", |_config| {
///     let mut layer = CustomLayer::new(1);
///     let half = layer.layer("", Rescaling::new(0.5), &[layer.input(0)]);
///     layer.outputs(&[half]);
///     Ok(layer)
/// });
/// let file = KerasFile::open_custom("model.keras", ReadOptions::default(), &layers)?;
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CustomLayers(BTreeMap<String, Custom<CustomLayerFn>>);

impl CustomLayers {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one for the class called `name`.
    pub fn with(
        mut self,
        name: impl Into<String>,
        make: impl Fn(&Json) -> Result<CustomLayer> + Send + Sync + 'static,
    ) -> Self {
        self.0.insert(name.into(), Custom::new(Arc::new(make)));
        self
    }

    /// What is given for the layer `json`, if anything is.
    pub(crate) fn get(&self, json: &Json) -> Option<&CustomLayerFn> {
        let class = json["class_name"].as_str();
        // Legacy files have the name that the class is registered under in its place.
        let own = class.and_then(|class| class.rsplit('>').next());
        let names = [json["registered_name"].as_str(), class, own];
        names.into_iter().flatten().find_map(|name| self.0.get(name)).map(Custom::function)
    }
}
