//! The layers of a model, or of a sketch of one, in the order of computation: what they are called, what they read, and
//! which map of theirs is made of which maps of those.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use super::look::{self, Look, ModelLook, ResolvedLook, Status};
use super::maps::{Extents, Maps};
use crate::layers::LayerConfig;
use crate::model::Architecture;
use crate::{DataFormat, Error, PartialShape, Result};

/// A layer as it is shown. One that is applied twice stands there twice.
#[derive(Clone, Debug)]
pub struct LayerView {
    pub(super) name: String,
    pub(super) class: String,
    /// The layers that it reads.
    pub(super) inputs: Vec<usize>,
    pub(super) output_shape: Option<Vec<usize>>,
    pub(super) parameters: u64,
    pub(super) links: Links,
    /// Of a convolution.
    groups: usize,
    /// The format that the layer itself has, or the one it comes to among its neighbours.
    format: Option<DataFormat>,
    pub(super) own_look: Look,
    pub(super) look: ResolvedLook,
    pub(super) status: Status,
    pub(super) values: Option<Vec<f32>>,
    pub(super) time: Option<Duration>,
}

/// Which maps of its inputs a map is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    /// All of them.
    All,
    /// The one of the same index, of each input.
    Same,
    /// Groups of so many maps are made of groups of so many.
    Groups { outputs: usize, inputs: usize },
    /// The inputs' maps follow one another.
    Concatenated,
}

impl LayerView {
    fn new(name: String, class: &str, inputs: Vec<usize>) -> Self {
        let own_look = Look::new();
        let look = ResolvedLook::new(&own_look, &ModelLook::default(), class);
        Self {
            name,
            class: class.into(),
            inputs,
            output_shape: None,
            parameters: 0,
            links: Links::All,
            groups: 1,
            format: None,
            own_look,
            look,
            status: look.init_status,
            values: None,
            time: None,
        }
    }

    /// The layer's name, behind those of the models it stands in: `outer/inner/layer`. The second application of a layer
    /// has `:2` behind it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Keras's name of the class; `InputLayer` for an input of the model.
    pub fn class_name(&self) -> &str {
        &self.class
    }

    /// TensorSpace's name of the layer's kind, where it has one: `DepthwiseConv2d`.
    pub fn layer_type(&self) -> String {
        look::layer_type(&self.class, self.output_shape.as_ref().is_none_or(|shape| shape.len() > 1))
    }

    /// The places among [`Viewer::layers`](super::Viewer::layers) of the layers that it reads.
    pub fn inputs(&self) -> &[usize] {
        &self.inputs
    }

    /// The shape of what it makes, without the batch, channels last whatever the data format; `None` until all of it is
    /// known, which for some models is after the first predict.
    pub fn output_shape(&self) -> Option<&[usize]> {
        self.output_shape.as_deref()
    }

    /// What it made of the chosen sample in the last predict, channels last whatever the data format; `None` before that,
    /// after [`clear`](super::Viewer::clear), and where recording was off.
    pub fn neural_value(&self) -> Option<&[f32]> {
        self.values.as_deref()
    }

    /// The number of its weights.
    pub fn count_params(&self) -> u64 {
        self.parameters
    }

    /// How long it takes, if that was [told](super::Viewer::set_times).
    pub fn time(&self) -> Option<Duration> {
        self.time
    }

    /// How it looks.
    pub fn look(&self) -> &ResolvedLook {
        &self.look
    }

    /// Whether it shows each of its maps, or one for all. A layer of a single map is always open.
    pub fn status(&self) -> Status {
        if self.is_single() { Status::Open } else { self.status }
    }

    /// How many maps it has, once that is known: its channels, or one for a flat output.
    pub fn map_count(&self) -> Option<usize> {
        self.output_shape.as_deref().map(|shape| Extents::of(shape).count)
    }

    pub(super) fn is_single(&self) -> bool {
        self.map_count() == Some(1)
    }

    pub(super) fn maps(&self) -> Option<Maps<'_>> {
        let shape = self.output_shape.as_deref()?;
        Some(Maps::new(shape, self.values.as_deref().unwrap_or_default()))
    }

    /// Takes in the shape of what it makes, and its values if there are any, the batch left out.
    pub(super) fn set_output(&mut self, dims: &[usize], values: Option<Vec<f32>>) {
        let first = self.format == Some(DataFormat::ChannelsFirst);
        self.values = values.map(|values| if first { channels_last(dims, values) } else { values });
        self.output_shape = Some(shape_channels_last(dims, first));
    }

    pub(super) fn resolve(&mut self, model: &ModelLook) {
        let before = std::mem::replace(&mut self.look, ResolvedLook::new(&self.own_look, model, &self.class));
        if before.init_status != self.look.init_status {
            self.status = self.look.init_status;
        }
    }
}

fn shape_channels_last(dims: &[usize], first: bool) -> Vec<usize> {
    let mut shape = dims.to_vec();
    if first && shape.len() > 1 {
        shape.rotate_left(1);
    }
    shape
}

fn channels_last(dims: &[usize], values: Vec<f32>) -> Vec<f32> {
    let [channels, spatial @ ..] = dims else { return values };
    let pixels: usize = spatial.iter().product();
    if spatial.is_empty() {
        return values;
    }
    (0..pixels * channels).map(|i| values[i % channels * pixels + i / channels]).collect()
}

/// The layers of `architecture`, inputs first.
pub(super) fn of_architecture(architecture: &Architecture) -> Vec<LayerView> {
    let mut layers = Vec::new();
    let mut names = Names::default();
    for input in architecture.inputs() {
        let mut layer = LayerView::new(names.free(input.name.clone()), "InputLayer", Vec::new());
        layer.output_shape = without_batch(&input.shape);
        layers.push(layer);
    }
    for applied in architecture.layers() {
        let name = names.free(applied.path.clone());
        let mut layer = LayerView::new(name, applied.config.class_name(), applied.inputs.clone());
        layer.parameters = applied.parameters;
        layer.format = applied.config.data_format();
        layer.groups = groups(&applied.config);
        layer.output_shape = without_batch(&applied.output_shape);
        layers.push(layer);
    }
    settle_formats(&mut layers);
    for layer in &mut layers {
        if let (Some(DataFormat::ChannelsFirst), Some(shape)) = (layer.format, &layer.output_shape) {
            layer.output_shape = Some(shape_channels_last(shape, true));
        }
    }
    link(&mut layers);
    layers
}

/// The layers of `sketch`, and the places of those that nobody reads.
pub(super) fn of_sketch(sketch: Sketch) -> (Vec<LayerView>, Vec<usize>) {
    let layers = sketch.layers;
    let read: HashSet<usize> = layers.iter().flat_map(|layer| layer.inputs.iter().copied()).collect();
    let outputs = (0..layers.len()).filter(|place| !read.contains(place)).collect();
    (layers, outputs)
}

/// Finds which maps are made of which, as far as the shapes tell.
pub(super) fn link(layers: &mut [LayerView]) {
    for place in 0..layers.len() {
        layers[place].links = links(layers, place);
    }
}

/// The names of layers: each once.
#[derive(Default)]
struct Names {
    taken: HashSet<String>,
    /// The last number behind a name.
    numbers: HashMap<String, usize>,
}

impl Names {
    fn of(layers: &[LayerView]) -> Self {
        Self { taken: layers.iter().map(|layer| layer.name.clone()).collect(), numbers: HashMap::new() }
    }

    /// `name`, with a number behind it where it is taken.
    fn free(&mut self, name: String) -> String {
        if self.taken.insert(name.clone()) {
            return name;
        }
        let number = self.numbers.entry(name.clone()).or_insert(1);
        loop {
            *number += 1;
            let numbered = format!("{name}:{number}");
            if self.taken.insert(numbered.clone()) {
                return numbered;
            }
        }
    }
}

fn without_batch(shape: &PartialShape) -> Option<Vec<usize>> {
    shape.dims().get(1..)?.iter().copied().collect()
}

/// Gives layers that have no format of their own that of what they read, or else of what reads them. Where axes are moved,
/// formats end.
fn settle_formats(layers: &mut [LayerView]) {
    let moves_axes =
        |layer: &LayerView| matches!(&*layer.class, "Reshape" | "Permute" | "Flatten" | "Transpose" | "View");
    let forwards = |layers: &mut [LayerView]| {
        for place in 0..layers.len() {
            if layers[place].format.is_none() && !moves_axes(&layers[place]) {
                layers[place].format = layers[place].inputs.iter().find_map(|&input| layers[input].format);
            }
        }
    };
    forwards(layers);
    for place in (0..layers.len()).rev().filter(|&place| !moves_axes(&layers[place])).collect::<Vec<_>>() {
        for input in layers[place].inputs.clone() {
            layers[input].format = layers[input].format.or(layers[place].format);
        }
    }
    forwards(layers);
}

/// Layers that make each map of the one of the same index.
const MAP_BY_MAP: [&str; 60] = [
    "Activation",
    "ActivityRegularization",
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "Add",
    "AlphaDropout",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "BatchNormalization",
    "Broadcast",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "Dropout",
    "ELU",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "Identity",
    "LeakyReLU",
    "Map",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "PReLU",
    "Pad",
    "Pool1D",
    "Pool2D",
    "Pool3D",
    "ReLU",
    "Reduce",
    "Rescaling",
    "Resize",
    "Slice",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "Subtract",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
    "Concatenate",
];

fn groups(config: &LayerConfig) -> usize {
    match config {
        LayerConfig::Conv1D(conv) => conv.groups as usize,
        LayerConfig::Conv2D(conv) => conv.groups as usize,
        LayerConfig::Conv3D(conv) => conv.groups as usize,
        _ => 1,
    }
}

fn links(layers: &[LayerView], place: usize) -> Links {
    let layer = &layers[place];
    let counts: Option<Vec<usize>> = layer.inputs.iter().map(|&input| layers[input].map_count()).collect();
    let (Some(maps), Some(counts)) = (layer.map_count(), counts) else { return Links::All };
    let first = counts.first().copied().unwrap_or(0);
    let groups = if layer.class.starts_with("DepthwiseConv") { first } else { layer.groups };
    if groups > 1 && maps.is_multiple_of(groups) && first.is_multiple_of(groups) {
        return Links::Groups { outputs: maps / groups, inputs: first / groups };
    }
    if layer.class == "Concatenate" && counts.iter().sum::<usize>() == maps && counts.len() > 1 {
        return Links::Concatenated;
    }
    let same = maps > 1 && counts.iter().all(|&count| count == maps || count == 1);
    if same && MAP_BY_MAP.contains(&&*layer.class) { Links::Same } else { Links::All }
}

/// The maps of input number `input` of layer `place` that map `map` is made of.
pub(super) fn feeding(layers: &[LayerView], place: usize, map: usize, input: usize) -> Range<usize> {
    let layer = &layers[place];
    let count = |input: usize| layer.inputs.get(input).and_then(|&place| layers[place].map_count()).unwrap_or(0);
    let range = match layer.links {
        Links::All => 0..count(input),
        Links::Same if count(input) == 1 => 0..1,
        Links::Same => map..map + 1,
        Links::Groups { outputs, inputs } => map / outputs * inputs..(map / outputs + 1) * inputs,
        Links::Concatenated => {
            let start: usize = (0..input).map(count).sum();
            if (start..start + count(input)).contains(&map) { map - start..map - start + 1 } else { 0..0 }
        }
    };
    range.start.min(count(input))..range.end.min(count(input))
}

/// A layer of a [`Sketch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(usize);

/// An architecture without weights and without a GPU: layers with the shapes that their arguments come to, or with given
/// shapes, to look at before there is a model.
///
/// ```
/// use wgpu_conv::layers::DepthwiseConv2D;
/// use wgpu_conv::view::{Sketch, Viewer};
///
/// let mut sketch = Sketch::new();
/// let input = sketch.input("image", &[28, 28, 3])?;
/// let first = sketch.layer(DepthwiseConv2D::new(3).depth_multiplier(2).name("first"), &[input])?;
/// sketch.layer_of_shape("DepthwiseConv2D", "second", &[13, 13, 12], &[first])?;
/// let viewer = Viewer::of_sketch(sketch);
/// assert_eq!(viewer.get_layer("first")?.output_shape(), Some(&[26, 26, 6][..]));
/// assert!(viewer.get_layer("second")?.neural_value().is_none());
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sketch {
    pub(super) layers: Vec<LayerView>,
}

impl Sketch {
    /// Without layers.
    pub fn new() -> Self {
        Self::default()
    }

    /// An input of this shape, without the batch, channels last.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is taken, and for an extent of 0.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> Result<Place> {
        self.push(LayerView::new(name.into(), "InputLayer", Vec::new()), shape)
    }

    /// A layer with the shape that its arguments come to.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is taken, and where [building](LayerConfig::build) the layer would refuse its
    /// arguments or its inputs.
    pub fn layer(&mut self, config: impl Into<LayerConfig>, inputs: &[Place]) -> Result<Place> {
        let config = config.into();
        let name = match &config.common().name {
            Some(name) => name.clone(),
            None => Names::of(&self.layers).free(crate::layers::snake_case(config.class_name())),
        };
        let first = config.data_format() == Some(DataFormat::ChannelsFirst);
        let shapes = inputs.iter().map(|&input| {
            let mut dims: Vec<_> = self.shape(input)?.iter().copied().map(Some).collect();
            if first && dims.len() > 1 {
                dims.rotate_right(1);
            }
            dims.insert(0, None);
            Ok(PartialShape::from(dims))
        });
        let shapes = shapes.collect::<Result<Vec<_>>>()?;
        let output = config.output_shape_all(&shapes).map_err(|error| error.in_layer(&name))?;
        let Some(dims) = without_batch(&output) else {
            let rule = format!("layer {name}: the shapes of a sketch must be known");
            return Err(Error::invalid("layer", rule, format!("output shape={output}")));
        };
        let mut layer = LayerView::new(name, config.class_name(), inputs.iter().map(|input| input.0).collect());
        layer.parameters = config.count_params(&shapes)?;
        layer.groups = groups(&config);
        self.push(layer, &shape_channels_last(&dims, first))
    }

    /// A layer of Keras's class `class` with a given output shape, without the batch, channels last.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is taken, for an extent of 0, and for a depthwise convolution whose channels are
    /// not a multiple of its input's.
    pub fn layer_of_shape(&mut self, class: &str, name: &str, shape: &[usize], inputs: &[Place]) -> Result<Place> {
        if let ("DepthwiseConv2D", Some(&input)) = (class, inputs.first()) {
            let (given, read) = (shape.last().copied().unwrap_or(0), self.shape(input)?.last().copied().unwrap_or(0));
            if given == 0 || !given.is_multiple_of(read) {
                return Err(Error::invalid(
                    "shape",
                    format!("the channels of a DepthwiseConv2D must be a multiple of the {read} of its input"),
                    format!("shape={shape:?}"),
                ));
            }
        }
        self.push(LayerView::new(name.into(), class, inputs.iter().map(|input| input.0).collect()), shape)
    }

    fn push(&mut self, mut layer: LayerView, shape: &[usize]) -> Result<Place> {
        if self.layers.iter().any(|other| other.name == layer.name) {
            let rule = "the names of a sketch's layers must be unique";
            return Err(Error::invalid("name", rule, format!("{:?} twice", layer.name)));
        }
        if let Some(&missing) = layer.inputs.iter().find(|&&input| input >= self.layers.len()) {
            return Err(no_such_place(missing));
        }
        let pixels = shape.iter().try_fold(1u32, |product, &extent| product.checked_mul(u32::try_from(extent).ok()?));
        if pixels.is_none_or(|pixels| pixels == 0) {
            let rule = "the extents of a shape must be at least 1, and their product must fit 32 bits";
            return Err(Error::invalid("shape", rule, format!("shape={shape:?}")));
        }
        layer.output_shape = Some(shape.to_vec());
        self.layers.push(layer);
        let place = self.layers.len() - 1;
        self.layers[place].links = links(&self.layers, place);
        Ok(Place(place))
    }

    fn shape(&self, place: Place) -> Result<&[usize]> {
        let layer = self.layers.get(place.0).ok_or_else(|| no_such_place(place.0))?;
        Ok(layer.output_shape.as_deref().unwrap_or_default())
    }
}

fn no_such_place(place: usize) -> Error {
    Error::invalid("inputs", "the inputs of a layer must stand in the same sketch, before it", format!("place {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Conv2D, Dense, DepthwiseConv2D, ReLU};

    #[test]
    fn maps_are_linked_to_those_that_feed_them() {
        let mut sketch = Sketch::new();
        let input = sketch.input("image", &[9, 7, 4]).unwrap();
        let depthwise = sketch.layer(DepthwiseConv2D::new(3).depth_multiplier(3).name("dw"), &[input]).unwrap();
        let relu = sketch.layer(ReLU::new().name("relu"), &[depthwise]).unwrap();
        let full = sketch.layer(Conv2D::new(6, 1).name("full"), &[relu]).unwrap();
        let grouped = sketch.layer(Conv2D::new(6, 1).groups(2).name("grouped"), &[relu]).unwrap();
        let joined = sketch.layer_of_shape("Concatenate", "joined", &[7, 5, 12], &[full, grouped]).unwrap();
        let dense = sketch.layer(Dense::new(5).name("dense"), &[joined]).unwrap();
        let given = sketch.layer_of_shape("DepthwiseConv2D", "given", &[3, 3, 10], &[dense]).unwrap();
        for (place, map, which, expected) in [
            (depthwise, 0, 0, 0..1),
            (depthwise, 2, 0, 0..1),
            (depthwise, 3, 0, 1..2),
            (depthwise, 11, 0, 3..4),
            (relu, 7, 0, 7..8),
            (full, 5, 0, 0..12),
            (grouped, 2, 0, 0..6),
            (grouped, 3, 0, 6..12),
            (joined, 5, 0, 5..6),
            (joined, 5, 1, 0..0),
            (joined, 6, 0, 0..0),
            (joined, 6, 1, 0..1),
            (dense, 1, 0, 0..12),
            (given, 9, 0, 4..5),
        ] {
            let received = feeding(&sketch.layers, place.0, map, which);
            assert_eq!(received, expected, "map {map} of {}, input {which}", sketch.layers[place.0].name);
        }
    }

    #[test]
    fn a_sketch_has_the_shapes_of_its_layers_in_either_format() {
        for format in [DataFormat::ChannelsLast, DataFormat::ChannelsFirst] {
            let mut sketch = Sketch::new();
            let input = sketch.input("image", &[10, 11, 12]).unwrap();
            // Valid ceil((n − k + 1)/s), same ceil(n/s), with a stride for each axis.
            let valid = DepthwiseConv2D::new(3).strides([2, 3]).data_format(format);
            let same = valid.clone().padding(crate::Padding::Same).depth_multiplier(2);
            let valid = sketch.layer(valid, &[input]).unwrap();
            let same = sketch.layer(same, &[input]).unwrap();
            assert_eq!(sketch.shape(valid).unwrap(), [4, 3, 12]);
            assert_eq!(sketch.shape(same).unwrap(), [5, 4, 24]);
            let [_, valid, same] = &sketch.layers[..] else { panic!() };
            assert_eq!((&*valid.name, &*same.name), ("depthwise_conv2d", "depthwise_conv2d:2"));
            assert_eq!((valid.parameters, same.parameters), (9 * 12 + 12, 9 * 24 + 24));
            assert_eq!(valid.layer_type(), "DepthwiseConv2d");
        }
    }

    #[test]
    fn sketches_refuse_what_contradicts_itself() {
        let mut sketch = Sketch::new();
        let input = sketch.input("image", &[10, 11, 4]).unwrap();
        let errors = [
            sketch.input("image", &[1]),
            sketch.input("flat", &[3, 0, 1]),
            sketch.layer_of_shape("DepthwiseConv2D", "dw", &[8, 8, 6], &[input]),
            sketch.layer(Conv2D::new(2, 11).name("conv"), &[input]),
            sketch.layer_of_shape("Conv2D", "later", &[8, 8, 6], &[Place(7)]),
        ]
        .map(|result| result.unwrap_err().to_string());
        assert_eq!(errors[0], "the names of a sketch's layers must be unique; received \"image\" twice");
        assert!(errors[1].ends_with("received shape=[3, 0, 1]"), "{}", errors[1]);
        assert_eq!(
            errors[2],
            "the channels of a DepthwiseConv2D must be a multiple of the 4 of its input; received shape=[8, 8, 6]"
        );
        assert!(errors[3].starts_with("layer conv: "), "{}", errors[3]);
        assert!(errors[4].ends_with("received place 7"), "{}", errors[4]);
        assert_eq!(sketch.layers.len(), 1);
    }

    #[test]
    fn channels_come_last() {
        let values: Vec<f32> = (0..12).map(|value| value as f32).collect();
        // Two channels of 2×3.
        assert_eq!(channels_last(&[2, 2, 3], values), [0.0, 6.0, 1.0, 7.0, 2.0, 8.0, 3.0, 9.0, 4.0, 10.0, 5.0, 11.0]);
        assert_eq!(channels_last(&[3], vec![1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
        assert_eq!(shape_channels_last(&[2, 4, 3], true), [4, 3, 2]);
    }
}
