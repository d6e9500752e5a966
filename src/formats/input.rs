//! Pictures and arrays from files as inputs of a model: of its shape, and scaled as its first layers expect.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[cfg(feature = "npy")]
use crate::budget::Meter;
use crate::layers::{BinaryFunction, ConstantSide, Layer, LayerConfig, PerChannel};
use crate::model::{Block, Model, Port};
use crate::{DataFormat, Error, HostTensor, PartialShape, Result, Shape, Unary};

/// The endings of files that inputs can be read from, in small letters.
const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "npy", "npz", "safetensors"];

/// The weights of red, green and blue in grey, of ITU-R BT.601.
const GREY: [f32; 3] = [0.299, 0.587, 0.114];

/// Inputs of a model, from one file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Inputs {
    /// One name for each: the file's, with an index where it holds several.
    pub names: Vec<String>,
    /// Their values, batch first.
    pub data: HostTensor,
    /// What was done to make them fit, in words, if anything was.
    pub note: Option<String>,
}

impl Inputs {
    /// `list` with neighbours of one size put together, so that they can be computed together.
    pub fn joined(list: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut joined: Vec<Self> = Vec::new();
        for inputs in list {
            match joined.last_mut() {
                Some(last) if last.data.shape.dims()[1..] == inputs.data.shape.dims()[1..] => last.append(inputs),
                _ => joined.push(inputs),
            }
        }
        joined
    }

    fn append(&mut self, other: Self) {
        self.names.extend(other.names);
        self.data.values.extend(other.data.values);
        let mut dims = self.data.shape.dims().to_vec();
        dims[0] = self.names.len();
        self.data.shape = dims.into();
        self.note = match (self.note.take(), other.note) {
            (Some(note), Some(other)) => Some(format!("{note}\n{other}")),
            (note, other) => note.or(other),
        };
    }
}

/// Reads files as inputs of one model.
///
/// Images (PNG, JPEG) are converted to the model's channels: to grey by the weights of ITU-R 601 that Keras's loader uses,
/// and without transparency where the model has no channel for it. One of another size than the model was built for is
/// resized, by area-weighted linear interpolation, and [`Inputs::note`] says so. A pixel of value `v`, 0 to 255, becomes
/// `(v·scale + offset − mean) / std`; 16-bit images are brought to the same range.
///
/// Arrays (`.npy`, `.npz`, `.safetensors`) are taken as they are, those of bytes too: one input, or several along a first axis of their
/// own. [`Inputs::note`] says so where a `.npy` holds bytes from 0 to 255 for a model that does not scale them.
#[derive(Clone, Debug)]
pub struct InputReader {
    pub(super) shape: PartialShape,
    pub(super) data_format: DataFormat,
    pub(super) scale: f32,
    pub(super) offset: f32,
    /// One number, or one for each channel.
    mean: Vec<f32>,
    std: Vec<f32>,
    pub(super) tensor: Option<String>,
    scaling: String,
    /// Whether a layer of the model scales values from 0 to 255.
    takes_bytes: bool,
}

impl InputReader {
    /// A reader for the inputs of `model`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a model of several inputs.
    pub fn new(model: &Model) -> Result<Self> {
        let [input] = model.inputs() else {
            return Err(Error::invalid(
                "model",
                "a model whose inputs are read from files must have one input",
                format!("{} inputs", model.inputs().len()),
            ));
        };
        let data_format = layout(model, &input.shape);
        let takes = takes_bytes(model, Port::Input(0));
        let takes_bytes = takes.is_some();
        let (scale, scaling) = match takes {
            Some(layer) => {
                (1.0, format!("pixels are given as they are, 0 to 255: layer {layer} of the model scales them"))
            }
            None => (1.0 / 255.0, "pixels are divided by 255: no layer of the model scales them".to_owned()),
        };
        let (offset, mean, std) = (0.0, vec![0.0], vec![1.0]);
        let shape = input.shape.clone();
        Ok(Self { shape, data_format, scale, offset, mean, std, tensor: None, scaling, takes_bytes })
    }

    /// What a pixel value, 0 to 255, is multiplied by. By default 1 where the model itself begins with a layer that scales such
    /// values, and else 1/255, which makes values from 0 to 1; [`scaling`](Self::scaling) says which, and why.
    pub fn scale(mut self, scale: f32) -> Self {
        self.scale = scale;
        self.scaling = format!("pixels are multiplied by {scale}, as asked for");
        self
    }

    /// How pixels are scaled and why, in words.
    pub fn scaling(&self) -> String {
        let mut scaling = self.scaling.clone();
        if self.mean != [0.0] {
            let _ = write!(scaling, "; their mean {:?} is taken away", self.mean);
        }
        if self.std != [1.0] {
            let _ = write!(scaling, "; what comes of that is divided by {:?}", self.std);
        }
        scaling
    }

    /// What is added to a pixel after scaling; 0 by default.
    pub fn offset(mut self, offset: f32) -> Self {
        self.offset = offset;
        self
    }

    /// What is taken from a pixel after scaling: one number, or one for each channel in their order; 0 by default.
    ///
    /// # Errors
    /// [`Error::Invalid`] for numbers that are not finite, and for another count of them.
    ///
    /// ```
    /// # use wgpu_conv::{Result, formats::InputReader};
    /// /// Of pictures as torchvision's models take them.
    /// fn normalized(reader: InputReader) -> Result<InputReader> {
    ///     reader.scale(1.0 / 255.0).mean([0.485, 0.456, 0.406])?.std([0.229, 0.224, 0.225])
    /// }
    /// ```
    pub fn mean(mut self, mean: impl Into<PerChannel>) -> Result<Self> {
        self.mean = self.per_channel("mean", &mean.into())?;
        Ok(self)
    }

    /// What a pixel is divided by after its [`mean`](Self::mean) is taken away: one number, or one for each channel in their order;
    /// 1 by default.
    ///
    /// # Errors
    /// [`Error::Invalid`] for numbers that are 0 or not finite, and for another count of them.
    pub fn std(mut self, std: impl Into<PerChannel>) -> Result<Self> {
        self.std = self.per_channel("std", &std.into())?;
        if self.std.contains(&0.0) {
            return Err(Error::invalid(
                "std",
                "pixels must be divided by numbers other than 0",
                format!("{:?}", self.std),
            ));
        }
        Ok(self)
    }

    /// The `numbers` given as `argument`: one, or as many as the model's input has channels.
    fn per_channel(&self, argument: &'static str, numbers: &PerChannel) -> Result<Vec<f32>> {
        let numbers: Vec<f32> = numbers.as_slice().iter().map(|&number| number as f32).collect();
        let channels = match self.shape.rank() {
            4 => self.data_format.split::<_, 2>(self.shape.dims()).1,
            _ => None,
        };
        if numbers.len() != 1 && channels != Some(numbers.len()) {
            let rule = "it must be one number, or one for each channel of the model's input";
            let received = format!("{} numbers, a model with input shape={}", numbers.len(), self.shape);
            return Err(Error::invalid(argument, rule, received));
        }
        if !numbers.iter().all(|number| number.is_finite()) {
            return Err(Error::invalid(argument, "its numbers must be finite", format!("{numbers:?}")));
        }
        Ok(numbers)
    }

    /// The tensor to take of a `.safetensors` or `.npz` file; by default the only one that fits the model's input.
    pub fn tensor(mut self, name: impl Into<String>) -> Self {
        self.tensor = Some(name.into());
        self
    }

    /// The inputs of the file at `path`, by its ending.
    ///
    /// # Errors
    /// [`Error::Format`] where the file cannot be read; [`Error::Invalid`] where it does not fit the model's input;
    /// [`Error::Unsupported`] for other endings, and for formats whose feature is off.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Inputs> {
        let path = path.as_ref();
        let place = path.display().to_string();
        match ending(path).as_str() {
            "png" | "jpg" | "jpeg" => self.read_image(path, place),
            "npy" => {
                let (array, is_bytes) = read_npy(path, &place)?;
                let note = format!(
                    "{place}: bytes are taken as they are, 0 to 255, and no layer of the model scales them; save them as \
                     float32, divided by 255, if the model was trained so"
                );
                let inputs = self.batch(array, place)?;
                Ok(Inputs { note: (is_bytes && !self.takes_bytes).then_some(note), ..inputs })
            }
            "npz" => self.batch(self.read_npz(path, &place)?, place),
            "safetensors" => self.batch(self.read_safetensors(path, &place)?, place),
            _ => Err(Error::unsupported(
                format!("{place}: an input of this kind"),
                format!("give a file ending in one of {}", ENDINGS.join(", ")),
            )),
        }
    }

    /// The input that is a picture of `height` × `width` pixels of four bytes each, red, green, blue and alpha, as browsers have
    /// them: converted to the model's channels and scaled as images from files are. It must have the size that the model was
    /// built for, where that is known.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a model that takes no pictures, for another size, and for another number of bytes.
    pub fn pixels(&self, [height, width]: [usize; 2], rgba: &[u8]) -> Result<HostTensor> {
        let (channels, known) = self.picture("the picture")?;
        let size = [height, width];
        if size.contains(&0) || known.iter().zip(size).any(|(known, own)| known.is_some_and(|known| known != own)) {
            let rule = format!("a picture must have the size of the model's input, {}", self.one());
            return Err(Error::invalid("pixels", rule, format!("{height} × {width}")));
        }
        let bytes = Shape::from([height, width, 4]).elements()?;
        if bytes != rgba.len() as u64 {
            let rule = format!("a picture of {height} × {width} pixels must have {bytes} bytes");
            return Err(Error::invalid("rgba", rule, format!("{} bytes", rgba.len())));
        }
        let pixel = |pixel: &[u8; 4]| pixel.map(|byte| f32::from(byte) / f32::from(u8::MAX));
        let pixels = rgba.as_chunks().0.iter().map(pixel);
        let values = match channels {
            1 => pixels.map(grey).collect(),
            _ => pixels.flat_map(|pixel| pixel.into_iter().take(channels)).collect(),
        };
        Ok(self.laid_out(size, channels, values))
    }

    /// The channels of a picture for the model, and its height and width where they are known.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a model that takes no pictures.
    pub(super) fn picture(&self, place: &str) -> Result<(usize, [Option<usize>; 2])> {
        let given = || format!("a model with input shape={}", self.shape);
        if self.shape.rank() != 4 {
            let rule = format!("{place}: an image must be given to a model whose input has 4 axes, batch included");
            return Err(Error::invalid("input", rule, given()));
        }
        let (_, channels, size) = self.data_format.split::<_, 2>(self.shape.dims());
        let Some(channels @ (1 | 3 | 4)) = channels else {
            let rule = format!("{place}: an image must be given to a model whose input has 1, 3 or 4 channels");
            return Err(Error::invalid("input", rule, given()));
        };
        Ok((channels, size))
    }

    /// The input that a picture is: its values, from 0 to 1 and channels last, scaled and in the model's order.
    pub(super) fn laid_out(&self, size: [usize; 2], channels: usize, values: Vec<f32>) -> HostTensor {
        let scale = self.scale * 255.0;
        let of = |numbers: &[f32], channel: usize| numbers[channel % numbers.len()];
        let scaled = |value: f32, channel: usize| {
            (value * scale + self.offset - of(&self.mean, channel)) / of(&self.std, channel)
        };
        let values: Vec<f32> = match self.data_format {
            DataFormat::ChannelsLast => {
                values.into_iter().zip((0..channels).cycle()).map(|(value, channel)| scaled(value, channel)).collect()
            }
            DataFormat::ChannelsFirst => {
                let plane = |channel| values.iter().skip(channel).step_by(channels);
                let mut ordered = Vec::with_capacity(values.len());
                ordered
                    .extend((0..channels).flat_map(|channel| plane(channel).map(move |&value| scaled(value, channel))));
                ordered
            }
        };
        HostTensor { shape: self.data_format.join(1, channels, size).into(), values }
    }

    /// `array` with a batch axis, and a name for each of its inputs.
    fn batch(&self, array: HostTensor, place: String) -> Result<Inputs> {
        let HostTensor { shape, values } = array;
        if shape.dims().get(1..).unwrap_or_default().contains(&0) {
            let rule = format!("{place}: an input must not be empty");
            return Err(Error::invalid("input", rule, format!("shape {shape}")));
        }
        let fit = self.fit(shape.dims()).ok_or_else(|| {
            let rule = format!("{place}: the array must be one input of shape {}, or several", self.one());
            Error::invalid("input", rule, format!("shape {shape}"))
        })?;
        let (names, dims) = match fit {
            Fit::One => (vec![place], [&[1], shape.dims()].concat()),
            Fit::Several(count) => {
                ((0..count).map(|index| format!("{place}[{index}]")).collect(), shape.dims().to_vec())
            }
        };
        Ok(Inputs { names, data: HostTensor { shape: dims.into(), values }, note: None })
    }

    /// Whether `dims` are those of inputs of the model.
    pub(super) fn fit(&self, dims: &[usize]) -> Option<Fit> {
        let one = self.shape.dims().get(1..).unwrap_or_default();
        let matches = |dims: &[usize]| {
            dims.len() == one.len() && one.iter().zip(dims).all(|(known, dim)| known.is_none_or(|known| known == *dim))
        };
        match dims {
            dims if matches(dims) => Some(Fit::One),
            [count, dims @ ..] if matches(dims) => Some(Fit::Several(*count)),
            _ => None,
        }
    }

    /// The shape of one input, without the batch.
    pub(super) fn one(&self) -> PartialShape {
        self.shape.dims().get(1..).unwrap_or_default().to_vec().into()
    }

    #[cfg(not(feature = "image"))]
    fn read_image(&self, _: &Path, place: String) -> Result<Inputs> {
        Err(feature_off(&place, "image"))
    }

    /// The error where of a file's tensors not one alone fits.
    #[cfg(any(feature = "safetensors", all(feature = "keras", feature = "npy")))]
    pub(super) fn not_one(&self, fitting: usize, place: &str, contents: &str) -> Error {
        let one = self.one();
        let problem = format!(
            "{fitting} tensors fit the model's input {one}, and one must be chosen by name (`--tensor NAME`) of {contents}"
        );
        Error::format(place, problem)
    }

    #[cfg(not(all(feature = "keras", feature = "npy")))]
    fn read_npz(&self, _: &Path, place: &str) -> Result<HostTensor> {
        Err(feature_off(place, "keras` and `npy"))
    }

    #[cfg(not(feature = "safetensors"))]
    fn read_safetensors(&self, _: &Path, place: &str) -> Result<HostTensor> {
        Err(feature_off(place, "safetensors"))
    }
}

/// Where the channels of a model's input of this shape stand: where the first layer that knows expects them. Where axes are moved
/// before it, as in ONNX models of pictures, by a reshape too where there is one channel, there are the channels where there are
/// as few as a picture has.
fn layout(model: &Model, input: &PartialShape) -> DataFormat {
    let layers = model.layers();
    let mut formats = layers.iter().map(|(_, layer)| match layer.config() {
        LayerConfig::Transpose(_) | LayerConfig::Permute(_) | LayerConfig::View(_) | LayerConfig::Reshape(_) => {
            Some(None)
        }
        config => config.data_format().map(Some),
    });
    let few = |extent: &Option<usize>| matches!(extent, Some(1 | 3 | 4));
    match (formats.find_map(|format| format), input.dims()) {
        (Some(Some(format)), _) => format,
        (_, [_, first, _, last]) if few(first) && !few(last) => DataFormat::ChannelsFirst,
        _ => DataFormat::ChannelsLast,
    }
}

/// The layer that scales values from 0 to 255, if one does before anything else of `model` computes with what comes from `port`.
fn takes_bytes(model: &Model, port: Port) -> Option<String> {
    Search::default().from(model, "", port, &InputScaling::default(), &mut |_, scaling| scaling.of_bytes())
}

/// What was done to the values of an input on the way to some place of a model: of each channel the scale and the offset, and the
/// layer that did most of it.
#[derive(Clone)]
struct InputScaling {
    channels: Vec<(f64, f64)>,
    layer: String,
}

impl Default for InputScaling {
    fn default() -> Self {
        Self { channels: vec![(1.0, 0.0)], layer: String::new() }
    }
}

impl InputScaling {
    /// `channels` behind this, of the layer called so; nothing for another number of channels.
    fn then(&self, channels: &[(f64, f64)], layer: &str) -> Option<Self> {
        let (own, other) = (self.channels.len(), channels.len());
        if own.min(other) != 1 && own != other {
            return None;
        }
        let pairs = self.channels.iter().cycle().zip(channels.iter().cycle()).take(own.max(other));
        let channels = pairs.map(|(&(a, b), &(scale, offset))| (a * scale, b * scale + offset)).collect();
        Some(Self { channels, layer: layer.to_owned() })
    }

    /// The layer, where these are scalings of bytes: by 1/255 to 1/58, ImageNet's deviation, or about a middle beyond those of
    /// values up to 1.
    fn of_bytes(&self) -> Option<String> {
        let sound = || self.channels.iter().filter(|(scale, offset)| scale.is_finite() && offset.is_finite());
        let small = sound().count() > 0 && sound().all(|(scale, _)| scale.abs() <= 1.0 / 16.0);
        let middle = sound().any(|(scale, offset)| offset.abs() > 4.0 * scale.abs());
        (!self.layer.is_empty() && (small || middle)).then(|| self.layer.clone())
    }
}

/// What a layer does to the values of each channel, where that is a scale and an offset.
fn affine(layer: &Layer) -> Option<Vec<(f64, f64)>> {
    let values = |name: &str| {
        let weight = layer.weights().iter().find(|weight| weight.name() == name)?.read().ok()?;
        Some(weight.values.into_iter().map(f64::from).collect::<Vec<_>>())
    };
    let about = |means: Vec<f64>, variances: Vec<f64>, least: f64| {
        let pairs = means.into_iter().zip(variances);
        pairs
            .map(|(mean, variance)| (mean, (variance + least).sqrt()))
            .map(|(mean, by)| (1.0 / by, -mean / by))
            .collect()
    };
    Some(match layer.config() {
        LayerConfig::Rescaling(rescaling) => {
            let (scale, offset) = (rescaling.scale.as_slice(), rescaling.offset.as_slice());
            let pairs = scale.iter().copied().cycle().zip(offset.iter().copied().cycle());
            pairs.take(scale.len().max(offset.len())).collect()
        }
        LayerConfig::Map(map) => match map.function {
            Unary::Affine { scale, offset } => vec![(scale.into(), offset.into())],
            _ => return None,
        },
        LayerConfig::Normalization(normalization) if !normalization.invert => {
            let given = |tensor: &Option<HostTensor>| {
                tensor.as_ref().map(|tensor| tensor.values.iter().copied().map(f64::from).collect())
            };
            let mean = given(&normalization.mean).or_else(|| values("mean"))?;
            about(mean, given(&normalization.variance).or_else(|| values("variance"))?, 0.0)
        }
        LayerConfig::BatchNormalization(normalization) => {
            about(values("moving_mean")?, values("moving_variance")?, normalization.epsilon)
        }
        LayerConfig::Broadcast(broadcast) => {
            let left = matches!(broadcast.constant.as_ref()?, ConstantSide::Left(_));
            let with = |value: f64| {
                Some(match broadcast.function {
                    BinaryFunction::Add => (1.0, value),
                    BinaryFunction::Subtract if left => (-1.0, value),
                    BinaryFunction::Subtract => (1.0, -value),
                    BinaryFunction::Multiply => (value, 0.0),
                    BinaryFunction::Divide if !left => (1.0 / value, 0.0),
                    _ => return None,
                })
            };
            values("constant")?.into_iter().map(with).collect::<Option<_>>()?
        }
        _ => return None,
    })
}

/// A way through a model, which visits every place once, and not more than begin a network.
#[derive(Default)]
struct Search(HashSet<(*const Model, Port)>);

impl Search {
    const PLACES: usize = 256;

    /// The layer that scales bytes, of those that come from `port` of `model` with this `scaling`. At outputs `outside` is asked;
    /// paths begin with `around`.
    fn from(
        &mut self,
        model: &Model,
        around: &str,
        port: Port,
        scaling: &InputScaling,
        outside: &mut dyn FnMut(usize, &InputScaling) -> Option<String>,
    ) -> Option<String> {
        if self.0.len() == Self::PLACES || !self.0.insert((std::ptr::from_ref(model), port)) {
            return None;
        }
        let outputs = model.outputs().iter().enumerate().filter(|(_, output)| **output == port);
        let mut found = outputs.map(|(index, _)| index).find_map(|index| outside(index, scaling));
        let reads = |(_, input): &(usize, &Port)| **input == port;
        for (index, node) in model.nodes().iter().enumerate() {
            for (place, _) in node.inputs.iter().enumerate().filter(reads) {
                let block = &model.blocks()[node.block];
                let path = format!("{around}{}", block.name());
                found = found.or_else(|| match block {
                    Block::Model(inner) => {
                        let mut left = Vec::new();
                        let leave = &mut |output, scaling: &InputScaling| {
                            left.push((output, scaling.clone()));
                            None
                        };
                        let within = self.from(inner, &format!("{path}/"), Port::Input(place), scaling, leave);
                        within.or_else(|| {
                            left.into_iter().find_map(|(output, scaling)| {
                                self.from(model, around, Port::Output(index, output), &scaling, outside)
                            })
                        })
                    }
                    Block::Layer(layer) => {
                        let next = match affine(layer) {
                            Some(channels) => scaling.then(&channels, &path),
                            None => layer.config().describe().passes_values_on().then(|| scaling.clone()),
                        };
                        match next {
                            Some(next) => self.from(model, around, Port::Output(index, 0), &next, outside),
                            None => scaling.of_bytes(),
                        }
                    }
                });
            }
        }
        found
    }
}

/// The inputs of `model` from the file at `path`, in the model's order, batch first: a `.safetensors` or `.npz` file with a
/// tensor for each, called as the input is or `input_0`, `input_1`, …; or, for a model of one input, any file that
/// [`InputReader`] reads.
///
/// # Errors
/// Those of [`InputReader::new`] and [`InputReader::read`].
pub fn read_inputs(model: &Model, path: impl AsRef<Path>) -> Result<Vec<HostTensor>> {
    let path = path.as_ref();
    let names = model.inputs().iter().enumerate();
    let names: Vec<_> = names.map(|(index, input)| [input.name.clone(), format!("input_{index}")]).collect();
    let found = match ending(path).as_str() {
        #[cfg(feature = "safetensors")]
        "safetensors" => super::safetensors::read_named(path, names.iter().cloned())?,
        #[cfg(all(feature = "keras", feature = "npy"))]
        "npz" => super::arrays::for_inputs(path, &names)?,
        _ => None,
    };
    if let Some(inputs) = found {
        return Ok(inputs);
    }
    if let [_] = model.inputs() {
        return Ok(vec![InputReader::new(model)?.read(path)?.data]);
    }
    let called: Vec<_> = names.iter().map(|[name, place]| format!("{name:?} or {place}")).collect();
    let rule = format!(
        "the inputs of a model of several must be the tensors of a .safetensors or .npz file, one for each, called {}",
        called.join(", ")
    );
    let there: Vec<(String, Shape)> = match ending(path).as_str() {
        #[cfg(feature = "safetensors")]
        "safetensors" => super::safetensors::shapes(path)?,
        #[cfg(all(feature = "keras", feature = "npy"))]
        "npz" => super::arrays::read_arrays(path)?.into_iter().map(|(name, array)| (name, array.shape)).collect(),
        _ => Vec::new(),
    };
    let there: Vec<_> = there.iter().map(|(name, shape)| format!("{name:?} {shape}")).collect();
    let received = match there[..] {
        [] => path.display().to_string(),
        _ => format!("{} with {}", path.display(), there.join(", ")),
    };
    Err(Error::invalid("input", rule, received))
}

/// Writes `tensors` in f32 to the file at `path`, by its ending: `.npy`, which holds one, whose name is not kept, or by their
/// names `.npz`, as `numpy.savez` writes it (features `keras` and `npy`), or `.safetensors`. An existing file of such arrays is
/// replaced.
///
/// # Errors
/// [`Error::Invalid`] for another ending, and for more or less than one tensor in `.npy`; [`Error::Unsupported`] for formats
/// whose feature is off; those of [`write_file`](super::write_file).
///
/// ```
/// use wgpu_conv::HostTensor;
/// use wgpu_conv::formats::write_arrays;
///
/// # #[cfg(feature = "npy")] {
/// let path = std::env::temp_dir().join(format!("wgpu-conv-scores-{}.npy", std::process::id()));
/// write_arrays(&path, &[("scores", &HostTensor::new([2, 3], vec![0.5; 6])?)])?;
/// assert!(std::fs::read(&path).unwrap().starts_with(b"\x93NUMPY"));
/// # std::fs::remove_file(&path).unwrap();
/// # }
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
pub fn write_arrays(path: impl AsRef<Path>, tensors: &[(&str, &HostTensor)]) -> Result<()> {
    let path = path.as_ref();
    let place = path.display().to_string();
    let bytes = match (ending(path).as_str(), tensors) {
        ("npy", &[(_, tensor)]) => npy_of(tensor, &place)?,
        ("npy", several) => {
            let rule = "a .npy file must hold one array; several fit in .npz and .safetensors";
            return Err(Error::invalid("path", rule, format!("{} arrays", several.len())));
        }
        ("npz", tensors) => npz_of(tensors, &place)?,
        ("safetensors", tensors) => safetensors_of(tensors, &place)?,
        _ => {
            let rule = "the name of a file of arrays must end in .npy, .npz or .safetensors";
            return Err(Error::invalid("path", rule, format!("path={place}")));
        }
    };
    super::write_file(path, &bytes, super::FileKind::Arrays)
}

#[cfg(feature = "npy")]
fn npy_of(tensor: &HostTensor, _: &str) -> Result<Vec<u8>> {
    Ok(super::npy::write(tensor))
}

#[cfg(not(feature = "npy"))]
fn npy_of(_: &HostTensor, place: &str) -> Result<Vec<u8>> {
    Err(feature_off(place, "npy"))
}

#[cfg(all(feature = "keras", feature = "npy"))]
fn npz_of(tensors: &[(&str, &HostTensor)], place: &str) -> Result<Vec<u8>> {
    let entries = tensors.iter().map(|(name, tensor)| (format!("{name}.npy"), super::npy::write(tensor)));
    super::keras_write::archive(entries, place)
}

#[cfg(not(all(feature = "keras", feature = "npy")))]
fn npz_of(_: &[(&str, &HostTensor)], place: &str) -> Result<Vec<u8>> {
    Err(feature_off(place, if cfg!(feature = "npy") { "keras" } else { "npy" }))
}

#[cfg(feature = "safetensors")]
fn safetensors_of(tensors: &[(&str, &HostTensor)], place: &str) -> Result<Vec<u8>> {
    let named: Vec<_> = tensors.iter().map(|&(name, tensor)| (name.to_owned(), tensor)).collect();
    super::safetensors::write(&named, place)
}

#[cfg(not(feature = "safetensors"))]
fn safetensors_of(_: &[(&str, &HostTensor)], place: &str) -> Result<Vec<u8>> {
    Err(feature_off(place, "safetensors"))
}

/// A pixel in grey. One that is grey already stays as it is.
pub(super) fn grey([red, green, blue, _]: [f32; 4]) -> f32 {
    if red == green && green == blue {
        return red;
    }
    [red, green, blue].iter().zip(GREY).map(|(value, weight)| value * weight).sum()
}

/// How an array fits a model's input.
pub(super) enum Fit {
    One,
    Several(usize),
}

#[cfg(feature = "npy")]
fn read_npy(path: &Path, place: &str) -> Result<(HostTensor, bool)> {
    let bytes = super::read(path)?;
    let array = super::npy::parse(&bytes, place, &Meter::new(place, bytes.len()))?;
    Ok((array.tensor, array.is_bytes))
}

#[cfg(not(feature = "npy"))]
fn read_npy(_: &Path, place: &str) -> Result<(HostTensor, bool)> {
    Err(feature_off(place, "npy"))
}

#[cfg(not(all(feature = "image", feature = "keras", feature = "npy", feature = "safetensors")))]
fn feature_off(place: &str, feature: &str) -> Error {
    Error::unsupported(place, format!("this build lacks the feature `{feature}`"))
}

/// `path` itself, or the files in it that inputs can be read from, sorted by name, where it is a directory.
///
/// # Errors
/// [`Error::Format`] for a directory that cannot be read or holds no such file.
pub fn input_files(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let path = path.as_ref();
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let place = || path.display().to_string();
    let unreadable = |error: std::io::Error| Error::format(place(), format!("cannot be read: {error}"));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if ENDINGS.contains(&ending(&file).as_str()) && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(Error::format(place(), format!("the directory holds no file ending in {}", ENDINGS.join(", "))));
    }
    files.sort();
    Ok(files)
}

fn ending(path: &Path) -> String {
    path.extension().and_then(OsStr::to_str).unwrap_or_default().to_lowercase()
}
