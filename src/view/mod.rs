//! Models to look at: each layer as a stack of maps that opens and closes, in the manner of TensorSpace.
//!
//! A [`Viewer`] stands over a model, over the [`Architecture`] of one, or over a [`Sketch`]. It keeps what every layer made of
//! one sample, how each looks, and whether it is open; it draws layers as PNG pictures, and the whole as one page of HTML.
//!
//! - `look.rs`: colours, opacity, time and the like, of a layer, of a model and by default
//! - `graph.rs`: the layers, and which maps of theirs are made of which
//! - `maps.rs`: values by their place between the smallest and the greatest; grids
//! - `picture.rs`, `font.rs`: PNG
//! - `page.rs`, `page.css`, `page.js`: HTML
//! - `scene.js`, `scene.css`: the layers of a page in three dimensions; `enlarge.js`, `enlarge.css`: a map of it by itself
//! - `curves.rs`, `curves.css`: what a training came to
//! - `train.html`, `train.css`, `train.js`: what a live page has that trains its model
//! - `live.rs`, `live.html`, `live.css`, `live.js`: what a page has that computes by itself, by the package that `.ci/web` makes of `src/web`

mod curves;
mod font;
mod graph;
mod live;
mod look;
mod maps;
mod page;
mod picture;
mod png_file;

use std::time::Duration;

pub use curves::curves_page;
pub use graph::{LayerView, Place, Sketch};
pub use live::Live;
pub use look::{Aggregation, CloseButton, Color, LayerShape, Look, ModelLook, ResolvedLook, Status, default_color};
pub use page::Page;
pub use picture::Picture;

use crate::gpu::BufferBinding;
use crate::model::{Architecture, LayerKey, Model};
use crate::{Commands, Error, HostTensor, Result, Tensor};

/// A model as it is shown.
///
/// ```no_run
/// use wgpu_conv::model::Sequential;
/// use wgpu_conv::view::{Page, Picture, Viewer};
/// use wgpu_conv::{Gpu, HostTensor, layers::DepthwiseConv2D};
///
/// let gpu = Gpu::new()?;
/// let model = Sequential::new(&gpu)
///     .with_input([None, Some(28), Some(28), Some(3)])?
///     .with(DepthwiseConv2D::new(3).depth_multiplier(2).name("depthwise"))?;
/// let mut viewer = Viewer::new(model.model().expect("the input shape is known"));
/// viewer.predict(&[HostTensor::new([1, 28, 28, 3], vec![0.5; 28 * 28 * 3])?])?;
/// let layer = viewer.get_layer("depthwise")?;
/// assert_eq!(layer.output_shape(), Some(&[26, 26, 6][..]));
/// assert_eq!(layer.neural_value().map(<[f32]>::len), Some(26 * 26 * 6));
/// viewer.open_layer("depthwise")?;
/// let png: Vec<u8> = viewer.picture("depthwise", &Picture::new().scale(4))?;
/// let html: String = viewer.page(&Page::new())?;
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Debug)]
pub struct Viewer<'m> {
    /// None for an architecture.
    model: Option<&'m Model>,
    title: String,
    /// The number of values in all weights.
    parameters: u64,
    layers: Vec<LayerView>,
    look: ModelLook,
    recording: bool,
    sample: usize,
    /// The layers that make the model's outputs.
    outputs: Vec<usize>,
}

impl<'m> Viewer<'m> {
    /// A view of `model`, recording, before its first predict.
    pub fn new(model: &'m Model) -> Self {
        Self { model: Some(model), recording: true, ..Self::of_architecture(&model.architecture()) }
    }

    /// A view of an architecture, which has shapes and empty maps, and needs no device.
    ///
    /// ```
    /// use wgpu_conv::model::Architecture;
    /// use wgpu_conv::view::{Page, Viewer};
    ///
    /// # #[cfg(feature = "keras")] {
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/conformance/models/digits/model.keras");
    /// let viewer = Viewer::of_architecture(&Architecture::load(path)?);
    /// assert_eq!(viewer.get_layer("stem")?.output_shape(), Some(&[8, 8, 16][..]));
    /// assert!(viewer.page(&Page::new())?.contains("9,466 parameters"));
    /// # }
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn of_architecture(architecture: &Architecture) -> Self {
        let layers = graph::of_architecture(architecture);
        Self::without_model(architecture.name(), architecture.count_params(), layers, architecture.outputs().to_vec())
    }

    /// A view of an architecture made by hand.
    pub fn of_sketch(sketch: Sketch) -> Self {
        let (layers, outputs) = graph::of_sketch(sketch);
        let parameters = layers.iter().map(LayerView::count_params).fold(0, u64::saturating_add);
        Self::without_model("sketch", parameters, layers, outputs)
    }

    fn without_model(title: &str, parameters: u64, layers: Vec<LayerView>, outputs: Vec<usize>) -> Self {
        Self {
            model: None,
            title: title.to_owned(),
            parameters,
            layers,
            look: ModelLook::default(),
            recording: false,
            sample: 0,
            outputs,
        }
    }

    /// The inputs and layers, in the order of computation.
    pub fn layers(&self) -> &[LayerView] {
        &self.layers
    }

    /// The layer of a name or an index.
    ///
    /// # Errors
    /// [`Error::Invalid`] listing the existing names where there is none.
    pub fn get_layer<'a>(&self, which: impl Into<LayerKey<'a>>) -> Result<&LayerView> {
        self.place(which.into()).map(|place| &self.layers[place])
    }

    /// The shape of what a layer reads first, in the manner of [`LayerView::output_shape`]; for an input its own.
    ///
    /// # Errors
    /// Those of [`get_layer`](Self::get_layer).
    pub fn input_shape<'a>(&self, which: impl Into<LayerKey<'a>>) -> Result<Option<&[usize]>> {
        let layer = self.get_layer(which)?;
        Ok(layer.inputs.first().map_or(layer, |&input| &self.layers[input]).output_shape())
    }

    /// The places of the input maps that map number `map` of a layer is made of, as the place of the layer that is read
    /// and the range of its maps.
    ///
    /// # Errors
    /// Those of [`get_layer`](Self::get_layer).
    pub fn links<'a>(
        &self,
        which: impl Into<LayerKey<'a>>,
        map: usize,
    ) -> Result<Vec<(usize, std::ops::Range<usize>)>> {
        let place = self.place(which.into())?;
        let inputs = self.layers[place].inputs.iter().enumerate();
        let links = inputs.map(|(number, &input)| (input, graph::feeding(&self.layers, place, map, number)));
        Ok(links.filter(|(_, range)| !range.is_empty()).collect())
    }

    fn place(&self, which: LayerKey) -> Result<usize> {
        let (found, received) = match which {
            LayerKey::Name(name) => (self.layers.iter().position(|layer| layer.name == name), format!("{name:?}")),
            LayerKey::Index(index) => {
                ((index < self.layers.len()).then_some(index), format!("index {index} of {}", self.layers.len()))
            }
        };
        found.ok_or_else(|| {
            let names: Vec<_> = self.layers.iter().map(LayerView::name).collect();
            Error::invalid(
                "layer",
                format!("a layer of `{}` must be one of {}", self.title, names.join(", ")),
                received,
            )
        })
    }

    /// How the model looks.
    pub fn look(&self) -> &ModelLook {
        &self.look
    }

    /// Chooses how the model looks. Layers whose initial status changes by it take the new one.
    ///
    /// # Errors
    /// Those of [`Look::validate`].
    pub fn set_look(&mut self, look: ModelLook) -> Result<()> {
        look.layers.validate()?;
        self.look = look;
        self.layers.iter_mut().for_each(|layer| layer.resolve(&self.look));
        Ok(())
    }

    /// Chooses how one layer looks, which goes before what the model says.
    ///
    /// # Errors
    /// Those of [`get_layer`](Self::get_layer) and [`Look::validate`].
    pub fn set_layer_look<'a>(&mut self, which: impl Into<LayerKey<'a>>, look: Look) -> Result<()> {
        let place = self.place(which.into())?;
        look.validate()?;
        self.layers[place].own_look = look;
        self.layers[place].resolve(&self.look);
        Ok(())
    }

    /// Shows each map of a layer; nothing happens where it does already.
    ///
    /// # Errors
    /// Those of [`get_layer`](Self::get_layer).
    pub fn open_layer<'a>(&mut self, which: impl Into<LayerKey<'a>>) -> Result<()> {
        self.set_status(which.into(), Status::Open)
    }

    /// Shows one map for all of a layer; nothing happens where it does already, nor to a layer of a single map.
    ///
    /// # Errors
    /// Those of [`get_layer`](Self::get_layer).
    pub fn close_layer<'a>(&mut self, which: impl Into<LayerKey<'a>>) -> Result<()> {
        self.set_status(which.into(), Status::Close)
    }

    fn set_status(&mut self, which: LayerKey, status: Status) -> Result<()> {
        let place = self.place(which)?;
        self.layers[place].status = status;
        Ok(())
    }

    /// Opens or closes every layer.
    pub fn set_all(&mut self, status: Status) {
        self.layers.iter_mut().for_each(|layer| layer.status = status);
    }

    /// Forgets all values.
    pub fn clear(&mut self) {
        self.layers.iter_mut().for_each(|layer| layer.values = None);
    }

    /// Forgets all values, and returns the layers to their initial status.
    pub fn reset(&mut self) {
        self.clear();
        self.layers.iter_mut().for_each(|layer| layer.status = layer.look.init_status);
    }

    /// Whether [`predict`](Self::predict) keeps what each layer makes; true at first. Without, it runs the compiled model,
    /// as [`Model::predict_all`] does.
    pub fn set_recording(&mut self, recording: bool) {
        self.recording = recording;
    }

    /// The input of a batch whose values are kept; 0 at first.
    pub fn set_sample(&mut self, sample: usize) {
        self.sample = sample;
    }

    /// Says how long layers take, by name: see `Model::profile`.
    ///
    /// # Errors
    /// Those of [`get_layer`](Self::get_layer).
    pub fn set_times<'a>(&mut self, times: impl IntoIterator<Item = (&'a str, Duration)>) -> Result<()> {
        for (name, time) in times {
            let place = self.place(name.into())?;
            self.layers[place].time = Some(time);
        }
        Ok(())
    }

    /// The model's outputs for `inputs`, in one submission and with one readback. Forgets what the layers made before, and
    /// keeps what they make now, if that is [recorded](Self::set_recording).
    ///
    /// # Errors
    /// Those of [`Model::predict_all`]; [`Error::Invalid`] for an architecture, which has no weights, and for a batch that has
    /// no [sample](Self::set_sample) of the number chosen.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn predict(&mut self, inputs: &[HostTensor]) -> Result<Vec<HostTensor>> {
        self.clear();
        let model = self.require_model()?;
        if !self.recording {
            return model.predict_all(inputs);
        }
        let pending = self.begin(model, inputs)?;
        let bytes = model.gpu().read_after(pending.commands, &pending.sources)?;
        self.finish(inputs, pending.tensors, pending.made, &bytes)
    }

    /// [`predict`](Self::predict) without blocking.
    ///
    /// # Errors
    /// Those of [`predict`](Self::predict).
    pub async fn predict_async(&mut self, inputs: &[HostTensor]) -> Result<Vec<HostTensor>> {
        self.clear();
        let model = self.require_model()?;
        if !self.recording {
            let tensors = upload(model, inputs)?;
            let mut commands = Commands::new(model.gpu());
            let outputs = model.record(&mut commands, &tensors)?;
            let sources: Vec<_> = outputs.iter().map(Tensor::binding).collect();
            let bytes = model.gpu().read_after_async(commands, &sources).await?;
            return outputs.iter().zip(&bytes).map(|(tensor, bytes)| host(tensor, bytes)).collect();
        }
        let pending = self.begin(model, inputs)?;
        let bytes = model.gpu().read_after_async(pending.commands, &pending.sources).await?;
        self.finish(inputs, pending.tensors, pending.made, &bytes)
    }

    fn require_model(&self) -> Result<&'m Model> {
        self.model.ok_or_else(|| {
            Error::invalid("model", "predict must be called on a model, which has weights", "an architecture")
        })
    }

    fn begin(&self, model: &Model, inputs: &[HostTensor]) -> Result<PendingPredict> {
        for input in inputs {
            if input.shape.dims().first().is_none_or(|&batch| batch <= self.sample) {
                return Err(Error::invalid(
                    "sample",
                    format!("a batch must have the chosen sample {}", self.sample),
                    format!("shape={}", input.shape),
                ));
            }
        }
        let tensors = upload(model, inputs)?;
        let mut commands = Commands::new(model.gpu());
        let (recorded, outputs) = model.record_layers_on(&mut commands, &tensors)?;
        let made: Vec<_> = recorded.into_iter().map(|recorded| recorded.output).collect();
        let samples = made.iter().map(|tensor| sample_of(tensor, self.sample));
        let sources = samples.chain(outputs.iter().map(Tensor::binding)).collect();
        Ok(PendingPredict { commands, sources, tensors: outputs, made })
    }

    /// Takes in what was read of the layers' and the model's outputs.
    fn finish(
        &mut self,
        inputs: &[HostTensor],
        outputs: Vec<Tensor>,
        made: Vec<Tensor>,
        bytes: &[Vec<u8>],
    ) -> Result<Vec<HostTensor>> {
        let (samples, rest) = bytes.split_at(made.len());
        let (sources, applied) = self.layers.split_at_mut(inputs.len());
        for (layer, input) in sources.iter_mut().zip(inputs) {
            let dims = &input.shape.dims()[1..];
            let each: usize = dims.iter().product();
            layer.set_output(dims, Some(input.values[self.sample * each..][..each].to_vec()));
        }
        for ((layer, tensor), bytes) in applied.iter_mut().zip(&made).zip(samples) {
            let values: Vec<f32> = tensor.decode(bytes)?;
            let dims = tensor.shape().dims().get(1..).unwrap_or_default();
            let each: usize = dims.iter().product();
            // What could not be read from its start was read from the start of the batch.
            let start = values.len().saturating_sub(each);
            layer.set_output(dims, Some(values[start..].to_vec()));
        }
        graph::link(&mut self.layers);
        outputs.iter().zip(rest).map(|(tensor, bytes)| host(tensor, bytes)).collect()
    }
}

/// A predict on its way.
struct PendingPredict {
    commands: Commands,
    sources: Vec<BufferBinding>,
    tensors: Vec<Tensor>,
    made: Vec<Tensor>,
}

fn upload(model: &Model, inputs: &[HostTensor]) -> Result<Vec<Tensor>> {
    inputs.iter().map(|input| Tensor::from_slice(model.gpu(), &input.shape, &input.values)).collect()
}

fn host(tensor: &Tensor, bytes: &[u8]) -> Result<HostTensor> {
    HostTensor::new(tensor.shape(), tensor.decode(bytes)?)
}

/// Where the values of one input of a batch lie, with those before where a copy could not start at them.
fn sample_of(tensor: &Tensor, sample: usize) -> BufferBinding {
    let mut binding = tensor.binding();
    let batch = tensor.shape().dims().first().map_or(1, |&batch| batch.max(1) as u64);
    let each = binding.size / batch;
    let start = each * (sample as u64).min(batch - 1);
    if start.is_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT) {
        binding.offset += start;
        binding.size = each;
    } else {
        binding.size = start + each;
    }
    binding
}
