//! `.keras` and legacy `.h5` files opened: the container is read here, the config in `graph.rs`, the weights in `hdf5.rs` and
//! `weights.rs`.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use zip::{CompressionMethod, ZipArchive};

use super::graph::{Body, Graph, Source, parse};
use super::hdf5::WeightsFile;
use super::keras_2;
use super::learned::{Learned, learned, put_into};
use super::weights::{Located, Weights};
use crate::budget::Meter;
use crate::layers::{CustomLayers, Generation, Layer, ReadOptions};
use crate::model::{Architecture, Input, Model, Port};
use crate::{Error, Gpu, PartialShape, Result};

/// A `.keras` file or a legacy `.h5` file of a whole model, read but not yet on a device.
///
/// Reading it needs no device, so a program can look at a file before it opens one: [`unsupported`](Self::unsupported) lists
/// everything that stands in the way of [`build`](Self::build).
///
/// Files are not trusted: nothing in one is executed, what reading it takes is [bounded](super::Budget), and a damaged file
/// is an error.
pub struct KerasFile {
    /// What messages call the file.
    place: String,
    /// What they call the part of it that holds the weights.
    weights_place: String,
    graph: Graph,
    unsupported: Vec<UnsupportedLayer>,
    weights: Weights,
    /// What the file holds beside the model that is not kept, in words.
    not_kept: Vec<&'static str>,
}

/// A layer of a file that cannot be built here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedLayer {
    /// The layer's name, after those of the models around it: `inner/conv`.
    pub name: String,
    /// Its Keras class.
    pub class: String,
    /// Why not.
    pub reason: String,
}

impl KerasFile {
    /// Reads the file at `path`; its content says which kind it is.
    ///
    /// # Errors
    /// [`Error::Format`] where it cannot be read or is not a file of one model.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, ReadOptions::default())
    }

    /// [`open`](Self::open), with options.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, options: ReadOptions) -> Result<Self> {
        Self::open_custom(path, options, &CustomLayers::new())
    }

    /// Reads a file that is in memory already.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::from_bytes_with(bytes, ReadOptions::default())
    }

    /// [`from_bytes`](Self::from_bytes), with options.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn from_bytes_with(bytes: &[u8], options: ReadOptions) -> Result<Self> {
        Self::from_bytes_custom(bytes, options, &CustomLayers::new())
    }

    /// [`open_with`](Self::open_with), with layers for classes that Keras does not have.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_custom(path: impl AsRef<Path>, options: ReadOptions, layers: &CustomLayers) -> Result<Self> {
        let path = path.as_ref();
        super::foreign::check(path)?;
        Self::parse(super::read(path)?, path.display().to_string(), options, layers)
    }

    /// [`open_custom`](Self::open_custom) of a file that is in memory already.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn from_bytes_custom(bytes: &[u8], options: ReadOptions, layers: &CustomLayers) -> Result<Self> {
        Self::parse(bytes.to_vec(), "the model file".into(), options, layers)
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.graph.name
    }

    /// Paths and classes of the layers that can be built here.
    pub(super) fn layers(&self) -> Vec<(String, String)> {
        fn within(graph: &Graph, around: &str, layers: &mut Vec<(String, String)>) {
            for member in &graph.members {
                let path = format!("{around}{}", member.name);
                match &member.body {
                    Body::Layer(config, _) => layers.push((path, config.class_name().to_owned())),
                    Body::Model(inner) => within(inner, &format!("{path}/"), layers),
                }
            }
        }
        let mut layers = Vec::new();
        within(&self.graph, "", &mut layers);
        layers
    }

    /// The layers that cannot be built here, each with its reason; empty where [`build`](Self::build) has a chance.
    pub fn unsupported(&self) -> &[UnsupportedLayer] {
        &self.unsupported
    }

    /// What the model computes, without its weights and without a device.
    ///
    /// # Errors
    /// [`Error::Unsupported`] listing all [unsupported](Self::unsupported) layers; [`Error::Invalid`] naming the layer that
    /// does not take what it is applied to.
    pub fn architecture(&self) -> Result<Architecture> {
        architecture_of(&self.graph, &self.unsupported, &self.place)
    }

    /// The model with its weights, on `gpu`.
    ///
    /// Weights are found by position, as Keras finds them: by class, and the place among the layers of the class, or, in a
    /// legacy file, the place among all layers that have weights.
    ///
    /// # Errors
    /// [`Error::Unsupported`] listing all [unsupported](Self::unsupported) layers; [`Error::Format`] and
    /// [`Error::Invalid`] naming the layer whose weights or input do not fit; [`Error::Limit`] and [`Error::Gpu`] where the
    /// device cannot hold the weights.
    pub fn build(self, gpu: &Gpu) -> Result<Model> {
        let (graph, mut weights) = self.located()?;
        let inputs = graph.input_shapes();
        built(graph, gpu, &inputs, Some(&mut weights))
    }

    /// Looks for all weights, by their names and shapes, and reads none.
    ///
    /// # Errors
    /// Those of [`build`](Self::build) that neither a device nor the values of weights have a part in.
    pub(super) fn check_weights(self) -> Result<()> {
        let (_, mut weights) = self.located()?;
        (0..weights.places().len()).try_for_each(|index| weights.find(index).map(drop))
    }

    /// The graph, and the weights of its layers.
    fn located(mut self) -> Result<(Graph, Located)> {
        if !self.unsupported.is_empty() {
            return Err(refused(&self.place, "built", &self.unsupported));
        }
        let places = self.graph.places()?;
        self.graph.notes["not_kept"] = self.not_kept.into();
        Ok((self.graph, self.weights.located(places, self.weights_place)?))
    }

    /// What the file holds beside the model that this crate does not keep, in words: the state of an optimizer, the seeds of
    /// layers that draw random numbers, and, of legacy `.h5` files and those of Keras 2, how the model was compiled.
    pub fn not_kept(&self) -> Vec<&'static str> {
        self.not_kept.clone()
    }

    /// [`open`](Self::open) to look at: weights that lie in a `.keras` file as Keras writes them stay on the disk, and none of
    /// their values are read.
    pub(super) fn look(path: &Path) -> Result<Self> {
        let place = path.display().to_string();
        let Some((file, size)) = zip_at(path) else { return Self::open(path) };
        let Ok(kept) = file.try_clone() else { return Self::open(path) };
        let meter = Meter::new(&*place, size.bytes);
        let (parsed, range) = {
            let Some(mut archive) = Archive::of_file(file, &size, &place, &meter)? else { return Self::open(path) };
            let Some(range) = archive.lies(WEIGHTS)? else { return Self::open(path) };
            (Config::of_archive(&mut archive)?.parsed(ReadOptions::default(), &CustomLayers::new(), &meter)?, range)
        };
        let weights_place = format!("{place}, {WEIGHTS}");
        let range = range.start as u64..range.end as u64;
        let weights = WeightsFile::open_section(kept, range, weights_place.clone(), meter)?;
        Self::with(parsed, weights, place, weights_place)
    }

    pub(super) fn parse(
        mut bytes: Vec<u8>,
        place: String,
        options: ReadOptions,
        custom: &CustomLayers,
    ) -> Result<Self> {
        let meter = Meter::new(&*place, bytes.len());
        let (parsed, weights, weights_place) = if super::is_hdf5(&bytes) {
            let file = WeightsFile::open(bytes, place.clone(), meter)?;
            (Config::of_hdf5(&file, &place)?.parsed(options, custom, file.meter())?, file, place.clone())
        } else {
            let mut archive = Archive::open(&bytes, &place, &meter)?;
            let parsed = Config::of_archive(&mut archive)?.parsed(options, custom, &meter)?;
            let weights = match archive.stored(WEIGHTS)? {
                // As they lie in the file, of which nothing else is wanted any more: they are most of it.
                Some(range) => {
                    bytes.truncate(range.end);
                    bytes.drain(..range.start);
                    bytes
                }
                None => archive.weights()?,
            };
            let weights_place = format!("{place}, {WEIGHTS}");
            (parsed, WeightsFile::open(weights, weights_place.clone(), meter)?, weights_place)
        };
        Self::with(parsed, weights, place, weights_place)
    }

    fn with(parsed: Parsed, weights: WeightsFile, place: String, weights_place: String) -> Result<Self> {
        let Parsed { graph, unsupported, compiled } = parsed;
        let weights = Weights::of(weights)?;
        let mut not_kept = weights.not_kept()?;
        not_kept.extend(compiled.then_some("how the model was compiled"));
        Ok(Self { place, weights_place, graph, unsupported, weights, not_kept })
    }
}

/// The names and shapes of all tensors in a file of weights, whose values are not read.
pub(super) fn weight_shapes(path: &Path) -> Result<Vec<(String, crate::Shape)>> {
    let place = path.display().to_string();
    let (file, length) = crate::file::open(path)?;
    let meter = Meter::new(&place, usize::try_from(length).unwrap_or(usize::MAX));
    WeightsFile::open_section(file, 0..length, place, meter)?.shapes()
}

/// A model file without its weights, which are not read and may be missing, or a model's config by itself.
pub(super) struct Outline<'a> {
    graph: Graph,
    unsupported: Vec<UnsupportedLayer>,
    place: &'a str,
}

impl<'a> Outline<'a> {
    /// That of the `.keras` file at `path`, called `place` in messages, of which only the list of its entries and its config are
    /// read; `None` for anything else, which is to be read whole.
    pub(super) fn at(path: &Path, place: &'a str, options: ReadOptions, custom: &CustomLayers) -> Result<Option<Self>> {
        let Some((file, size)) = zip_at(path) else { return Ok(None) };
        let meter = Meter::new(place, size.bytes);
        let Some(mut archive) = Archive::of_file(file, &size, place, &meter)? else { return Ok(None) };
        let config = Config::of_archive(&mut archive)?;
        Self::parsed(&config, place, &meter, options, custom).map(Some)
    }

    /// That of the file `bytes`, called `place` in messages.
    pub(super) fn of(bytes: Vec<u8>, place: &'a str, options: ReadOptions, custom: &CustomLayers) -> Result<Self> {
        let meter = Meter::new(place, bytes.len());
        if super::is_hdf5(&bytes) {
            let file = WeightsFile::open(bytes, place.to_owned(), meter)?;
            return Self::parsed(&Config::of_hdf5(&file, place)?, place, file.meter(), options, custom);
        }
        let config = if bytes.trim_ascii_start().starts_with(b"{") {
            Config { text: bytes, place: place.to_owned(), version: None, compiled: false, learned: Vec::new() }
        } else {
            Config::of_archive(&mut Archive::open(&bytes, place, &meter)?)?
        };
        Self::parsed(&config, place, &meter, options, custom)
    }

    fn parsed(
        config: &Config,
        place: &'a str,
        meter: &Meter,
        options: ReadOptions,
        custom: &CustomLayers,
    ) -> Result<Self> {
        let Parsed { graph, unsupported, .. } = config.parsed(options, custom, meter)?;
        Ok(Self { graph, unsupported, place })
    }

    pub(super) fn architecture(&self) -> Result<Architecture> {
        architecture_of(&self.graph, &self.unsupported, self.place)
    }

    /// The model on `gpu`, its weights without values.
    pub(super) fn model(self, gpu: &Gpu) -> Result<Model> {
        if !self.unsupported.is_empty() {
            return Err(refused(self.place, "built", &self.unsupported));
        }
        let inputs = self.graph.input_shapes();
        built(self.graph, gpu, &inputs, None)
    }
}

/// How far from its end the list of a zip file's entries is looked for.
const TAIL: u64 = 128 << 10;

/// How large a zip file is.
struct ZipSize {
    bytes: usize,
    /// No more entries than these.
    entries: usize,
}

/// The zip file at `path`; `None` for another file, and where the list of the entries lies further from the end than it does in
/// files of Keras's.
fn zip_at(path: &Path) -> Option<(File, ZipSize)> {
    let (mut file, length) = crate::file::open(path).ok()?;
    let mut head = [0; 4];
    file.read_exact(&mut head).ok()?;
    let start = length.saturating_sub(TAIL);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(start)).ok()?;
    Read::by_ref(&mut file).take(TAIL).read_to_end(&mut tail).ok()?;
    let end = tail.windows(22).rposition(|record| record.starts_with(b"PK\x05\x06"))?;
    let list = u32::from_le_bytes([tail[end + 16], tail[end + 17], tail[end + 18], tail[end + 19]]);
    let entries = tail.windows(4).filter(|signature| signature == b"PK\x01\x02").count();
    let size = ZipSize { bytes: usize::try_from(length).unwrap_or(usize::MAX), entries };
    (&head == b"PK\x03\x04" && u64::from(list) >= start).then_some((file, size))
}

/// What a `.keras` file has of the training of its model.
#[derive(Debug)]
pub(crate) struct TrainingState {
    /// Keras's compile config.
    pub compile_config: serde_json::Value,
    /// Steps that the optimizer has taken.
    pub iterations: u64,
    /// What else it keeps; empty where it has not been saved.
    pub values: Vec<crate::HostTensor>,
    /// Its loss scale, if it has one that looks for itself.
    pub loss_scale: Option<LossScaleState>,
}

/// Where a loss scale that looks for itself is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LossScaleState {
    /// What losses are multiplied by.
    pub scale: f64,
    /// Steps in a row since it last changed.
    pub good_steps: u32,
}

/// What the `.keras` file at `path` has of the training of its model.
///
/// # Errors
/// [`Error::Format`] where it cannot be read, or says nothing of a training.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn saved_training(path: &Path) -> Result<TrainingState> {
    let place = path.display().to_string();
    let bytes = super::read(path)?;
    let meter = Meter::new(&place, bytes.len());
    let (mut config, weights) = {
        let mut archive = Archive::open(&bytes, &place, &meter)?;
        let text = archive.entry("config.json")?.unwrap_or_default();
        (super::json(&text, &format!("{place}, config.json"), &meter)?, archive.weights()?)
    };
    let compile_config = config["compile_config"].take();
    if compile_config.as_object().is_none_or(serde_json::Map::is_empty) {
        let text = "the file does not say how its model was compiled: compile it, or save it by `Trainer::save`";
        return Err(Error::format(place, text));
    }
    let mut file = WeightsFile::open(weights, format!("{place}, {WEIGHTS}"), meter)?;
    let mut values = file.vars("optimizer/vars")?;
    let mut loss_scale = None;
    if file.has_group("optimizer/inner_optimizer") {
        // A count of steps and a learning rate that nothing reads, then its own, then the inner optimizer's once more.
        loss_scale = match values.get(2..4).map(|own| [&own[0].values[..], &own[1].values[..]]) {
            Some([&[good_steps], &[scale]]) if good_steps >= 0.0 => {
                Some(LossScaleState { scale: scale.into(), good_steps: good_steps as u32 })
            }
            _ => return Err(Error::format(place, "a loss scale must be a count of steps and a number")),
        };
        values = file.vars("optimizer/inner_optimizer/vars")?;
    }
    let mut iterations = 0;
    if !values.is_empty() {
        let first = values.remove(0);
        iterations = match first.values[..] {
            [steps] if steps >= 0.0 => steps as u64,
            _ => return Err(Error::format(place, "the first variable of an optimizer must be a count of steps")),
        };
    }
    Ok(TrainingState { compile_config, iterations, values, loss_scale })
}

fn architecture_of(graph: &Graph, unsupported: &[UnsupportedLayer], place: &str) -> Result<Architecture> {
    if unsupported.is_empty() { graph.architecture() } else { Err(refused(place, "built", unsupported)) }
}

/// A model's config as JSON, and what messages call it.
struct Config {
    text: Vec<u8>,
    place: String,
    /// The version of Keras that wrote the file, where it says so.
    version: Option<String>,
    /// Whether the file says beside it how the model was compiled.
    compiled: bool,
    /// What stands in the file beside the config, and belongs into it.
    learned: Vec<Learned>,
}

/// What was made of a config.
struct Parsed {
    graph: Graph,
    unsupported: Vec<UnsupportedLayer>,
    compiled: bool,
}

impl Config {
    fn of_hdf5(file: &WeightsFile, place: &str) -> Result<Self> {
        let text = file.texts("", "model_config")?.and_then(|texts| texts.into_iter().next());
        let text = text.ok_or_else(|| {
            Error::format(place, "the file holds weights without a model: make the model, then load them into it")
        })?;
        let version = file.texts("", "keras_version")?.and_then(|texts| texts.into_iter().next());
        let compiled = file.texts("", "training_config")?.is_some();
        let (place, learned) = (format!("{place}, model_config"), Vec::new());
        Ok(Self { text: text.into_bytes(), place, version, compiled, learned })
    }

    fn of_archive(archive: &mut Archive<impl Read + Seek>) -> Result<Self> {
        let text = archive.entry("config.json")?;
        let text = text.ok_or_else(|| {
            Error::format(
                archive.place,
                "a .keras file must hold config.json, and this one does not; is it another format?",
            )
        })?;
        let version = match archive.entry("metadata.json")? {
            None => None,
            Some(text) => {
                let place = format!("{}, metadata.json", archive.place);
                let metadata = super::json(&text, &place, archive.meter)?;
                match (metadata.as_object(), &metadata["keras_version"]) {
                    // Keras itself does not ask.
                    (Some(_), serde_json::Value::Null) => None,
                    (Some(_), serde_json::Value::String(version)) => Some(version.clone()),
                    _ => {
                        let problem = "it must be a map, with the version of Keras that wrote the file as a text at keras_version";
                        return Err(Error::format(place, problem));
                    }
                }
            }
        };
        let learned = learned(&text, archive)?;
        Ok(Self { text, place: format!("{}, config.json", archive.place), version, compiled: false, learned })
    }

    fn parsed(&self, options: ReadOptions, custom: &CustomLayers, meter: &Meter) -> Result<Parsed> {
        let mut json = super::json(&self.text, &self.place, meter)?;
        put_into(&mut json, &self.learned);
        let generation = Generation::of(&json, self.version.as_deref());
        let mut compiled = self.compiled;
        if generation != Generation::Keras3 {
            compiled |= json["compile_config"].as_object().is_some_and(|config| !config.is_empty());
            keras_2::modern(&mut json, generation);
        }
        let (graph, unsupported) = parse(&json, &self.place, generation, options, custom)?;
        Ok(Parsed { graph, unsupported, compiled })
    }
}

impl std::fmt::Debug for KerasFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let layers: Vec<_> = self.graph.members.iter().map(|member| &member.name).collect();
        let mut text = f.debug_struct("KerasFile");
        text.field("place", &self.place).field("name", &self.graph.name).field("inputs", &self.graph.inputs);
        text.field("layers", &layers).field("unsupported", &self.unsupported).finish()
    }
}

/// The error that lists all `layers` of `place` that cannot be built, or what else is to be done with them.
pub(super) fn refused(place: &str, done: &str, layers: &[UnsupportedLayer]) -> Error {
    let parts = layers.iter().map(|UnsupportedLayer { name, class, reason }| format!("{name} ({class}): {reason}"));
    Error::unsupported_parts(place, &format!("{} of its layers cannot be {done}:", layers.len()), parts)
}

/// `graph` on `gpu` for inputs of shapes `given`, its layers with their values of `weights`, or with none.
fn built(graph: Graph, gpu: &Gpu, given: &[PartialShape], mut weights: Option<&mut Located>) -> Result<Model> {
    let Graph { name, sequential, inputs, members, calls, outputs, notes } = graph;
    let inputs = inputs.into_iter().zip(given);
    let inputs = inputs.map(|((name, shape), given)| Input { name, shape: shape.unwrap_or_else(|| given.clone()) });
    let mut model = Model::new(gpu, name, inputs.collect())?;
    let mut members: Vec<_> = members.into_iter().map(|member| (member.name, Some(member.body), 0)).collect();
    let port = |source| match source {
        Source::Input(index) => Port::Input(index),
        Source::Call { call, output } => Port::Output(call, output),
    };
    for call in calls {
        let inputs: Vec<_> = call.inputs.into_iter().map(port).collect();
        let (name, body, block) = &mut members[call.member];
        if let Some(body) = body.take() {
            let shapes: Vec<_> = inputs.iter().map(|&port| model.shape(port).clone()).collect();
            *block = match body {
                Body::Layer(config, place) => {
                    let layer = match weights.as_deref_mut() {
                        Some(weights) => Layer::with_weights(gpu, *config, &shapes, weights.take(place)?)
                            .and_then(|layer| layer.upload().map(|()| layer)),
                        None => Layer::without_values(gpu, *config, &shapes),
                    };
                    model.add_block(layer.map_err(|error| error.in_layer(name))?)?
                }
                Body::Model(graph) => model.add_block(built(graph, gpu, &shapes, weights.as_deref_mut())?)?,
            };
        }
        model.apply(*block, inputs)?;
    }
    model.set_outputs(outputs.into_iter().map(port).collect());
    model.describe(sequential, notes);
    Ok(model)
}

/// The entries of a zip file.
pub(super) struct Archive<'a, R = Cursor<&'a [u8]>> {
    zip: ZipArchive<R>,
    /// Of the whole file.
    zip_bytes: usize,
    place: &'a str,
    meter: &'a Meter,
}

/// The entry that has the weights.
pub(super) const WEIGHTS: &str = "model.weights.h5";

/// The memory that an entry takes once the list that a zip file has of them is read.
const ENTRY_BYTES: u64 = 1024;

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8], place: &'a str, meter: &'a Meter) -> Result<Self> {
        // Each begins with PK and two bytes.
        let entries = bytes.split(|&byte| byte == b'P').filter(|rest| rest.starts_with(b"K\x01\x02")).count();
        meter.memory(entries as u64 * ENTRY_BYTES)?;
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| {
            Error::format(
                place,
                format!("neither a .keras file, which is a zip archive ({error}), nor an HDF5 file (.h5)"),
            )
        })?;
        Ok(Self { zip, zip_bytes: bytes.len(), place, meter })
    }
}

impl<'a> Archive<'a, BufReader<File>> {
    /// The zip `file` of such a size, of which only the list of its entries is read; `None` where it is broken or larger.
    fn of_file(file: File, size: &ZipSize, place: &'a str, meter: &'a Meter) -> Result<Option<Self>> {
        meter.memory(size.entries as u64 * ENTRY_BYTES)?;
        let zip = ZipArchive::new(BufReader::new(file)).ok().filter(|zip| zip.len() <= size.entries);
        Ok(zip.map(|zip| Self { zip, zip_bytes: size.bytes, place, meter }))
    }
}

impl<R: Read + Seek> Archive<'_, R> {
    /// What messages call the file.
    pub(super) fn place(&self) -> &str {
        self.place
    }

    pub(super) fn meter(&self) -> &Meter {
        self.meter
    }

    /// The bytes of the weights.
    pub(super) fn weights(&mut self) -> Result<Vec<u8>> {
        if let Some(weights) = self.entry(WEIGHTS)? {
            return Ok(weights);
        }
        if self.entry("model.weights.npz")?.is_some() {
            return Err(Error::unsupported(
                format!("{}: weights in model.weights.npz", self.place),
                "save the model with the default weights format, model.weights.h5",
            ));
        }
        Err(Error::format(self.place, "a .keras file must hold model.weights.h5, and this one does not"))
    }

    /// Where the bytes of an entry lie in the file, if there is one of the name that is not compressed; its checksum holds.
    fn stored(&mut self, name: &str) -> Result<Option<Range<usize>>> {
        let Some(range) = self.lies(name)? else { return Ok(None) };
        let broken = |error: String| Error::format(format!("{}, {name}", self.place), error);
        let mut entry = self.zip.by_name(name).map_err(|error| broken(error.to_string()))?;
        let size = std::io::copy(&mut entry, &mut std::io::sink()).map_err(|error| broken(error.to_string()))?;
        Ok((size == range.len() as u64).then_some(range))
    }

    /// Where the bytes of an entry lie in the file by what its list says, if there is one of the name that is not compressed.
    fn lies(&mut self, name: &str) -> Result<Option<Range<usize>>> {
        let entry = match self.zip.by_name(name) {
            Ok(entry) if entry.compression() == CompressionMethod::Stored => entry,
            Ok(_) | Err(zip::result::ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(Error::format(format!("{}, {name}", self.place), error.to_string())),
        };
        let range = entry.data_start().and_then(|start| {
            let (start, end) = (usize::try_from(start).ok()?, usize::try_from(start.checked_add(entry.size())?).ok()?);
            (end <= self.zip_bytes).then_some(start..end)
        });
        Ok(range)
    }

    /// The names of all entries.
    ///
    /// # Errors
    /// [`Error::Format`] for a name that is no text.
    #[cfg(feature = "npy")]
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let broken = |error: zip::result::ZipError| Error::format(self.place, error.to_string());
        self.zip.file_names().map(|name| name.map(std::borrow::Cow::into_owned).map_err(broken)).collect()
    }

    /// The bytes of an entry, if there is one of the name.
    pub(super) fn entry(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let place = format!("{}, {name}", self.place);
        let entry = match self.zip.by_name(name) {
            Ok(entry) => entry,
            Err(zip::result::ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(Error::format(place, error.to_string())),
        };
        let size = entry.size();
        self.meter.memory(size)?;
        let mut bytes = Vec::new();
        let reserved = usize::try_from(size).map(|size| bytes.try_reserve_exact(size));
        if !matches!(reserved, Ok(Ok(()))) {
            return Err(Error::format(place, format!("there is no memory for its {size} bytes")));
        }
        // One more than it says, to see whether that is all.
        let read = entry.take(size.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| Error::format(&place, error.to_string()))?;
        if bytes.len() as u64 != size {
            return Err(Error::format(place, format!("the entry must inflate to the {size} bytes that it says")));
        }
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn digits() -> Vec<u8> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/conformance/models/digits/model.keras");
        std::fs::read(path).unwrap()
    }

    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in entries {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn entry(bytes: &[u8], name: &str) -> Vec<u8> {
        Archive::open(bytes, "digits", &Meter::new("digits", bytes.len())).unwrap().entry(name).unwrap().unwrap()
    }

    /// Weights are looked for by name and shape: no value of theirs is read, which a checksum shows.
    #[test]
    fn looking_reads_no_weights() {
        let mut bytes = digits();
        let (_, mut weights) = KerasFile::from_bytes(&bytes).unwrap().located().unwrap();
        let values = (0..weights.places().len()).flat_map(|index| weights.take(index).unwrap());
        let largest = values.max_by_key(|value| value.values.len()).unwrap();
        let raw: Vec<u8> = largest.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let at = bytes.windows(raw.len()).position(|window| window == raw).unwrap();
        bytes[at..at + raw.len()].fill(0);
        let path = std::env::temp_dir().join(format!("looking_{}.keras", std::process::id()));
        std::fs::write(&path, &bytes).unwrap();
        assert!(KerasFile::open(&path).unwrap_err().to_string().contains("checksum"));
        KerasFile::look(&path).unwrap().check_weights().unwrap();

        let config = String::from_utf8(entry(&digits(), "config.json")).unwrap();
        let other = config.replacen("\"units\": 10", "\"units\": 11", 1);
        assert_ne!(config, other);
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let weights = entry(&digits(), WEIGHTS);
        for (name, bytes) in [("config.json", other.as_bytes()), (WEIGHTS, &weights)] {
            zip.start_file(name, SimpleFileOptions::default().compression_method(CompressionMethod::Stored)).unwrap();
            zip.write_all(bytes).unwrap();
        }
        std::fs::write(&path, zip.finish().unwrap().into_inner()).unwrap();
        let error = KerasFile::look(&path).unwrap().check_weights().unwrap_err().to_string();
        assert!(error.contains("11") && error.contains("10"), "{error}");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn files_of_weights_are_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/conformance/models/digits/");
        let shapes = weight_shapes(format!("{folder}model_legacy.h5").as_ref()).unwrap();
        let of_model = shapes.iter().filter(|(name, _)| name.starts_with("model_weights/"));
        assert_eq!(of_model.map(|(_, shape)| shape.elements().unwrap()).sum::<u64>(), 9466);
        assert!(weight_shapes(folder.as_ref()).is_err() && weight_shapes(format!("{folder}none").as_ref()).is_err());
    }

    #[test]
    fn the_digits_file_describes_a_chain() {
        let file = KerasFile::from_bytes(&digits()).unwrap();
        assert_eq!((file.name(), file.unsupported()), ("digits_dscnn", &[][..]));
        assert_eq!(file.graph.inputs, [("image".into(), Some([None, Some(8), Some(8), Some(1)].into()))]);
        let places = file.graph.places().unwrap();
        let groups: Vec<_> = places.iter().map(|place| place.groups.join("/")).collect();
        assert_eq!(
            groups[..6],
            ["conv2d", "batch_normalization", "re_lu", "depthwise_conv2d", "batch_normalization_1", "activation"]
        );
        assert_eq!(file.graph.outputs, [Source::Call { call: file.graph.calls.len() - 1, output: 0 }]);
    }

    #[test]
    fn an_architecture_needs_no_weights() {
        let (whole, config) = (digits(), entry(&digits(), "config.json"));
        let expected = KerasFile::from_bytes(&whole).unwrap().architecture().unwrap();
        assert_eq!((expected.layers().len(), expected.count_params()), (13, 9466));
        let (options, custom) = (ReadOptions::default(), CustomLayers::new());
        let of = |bytes: &[u8]| Outline::of(bytes.to_vec(), "digits", options, &custom)?.architecture();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/conformance/models/digits/model.keras");
        assert_eq!(
            Outline::at(path.as_ref(), path, options, &custom).unwrap().unwrap().architecture().unwrap(),
            expected
        );
        let legacy = path.replace("model.keras", "model_legacy.h5");
        assert!(Outline::at(legacy.as_ref(), path, options, &custom).unwrap().is_none());
        for bytes in [&whole, &config, &archive(&[("config.json", &config)])] {
            assert_eq!(of(bytes).unwrap(), expected);
        }
        let refused = |bytes: &[u8]| of(bytes).unwrap_err().to_string();
        assert!(refused(b"{").starts_with("digits: "), "{}", refused(b"{"));
        assert!(refused(b"").contains("zip archive"));
        let text = String::from_utf8(config).unwrap();
        assert!(refused(text.replace("SeparableConv2D", "Telescope").as_bytes()).contains("sep2 (Telescope)"));
        // A depthwise kernel that does not fit its image, without padding.
        let narrow = text.replace("\"same\"", "\"valid\"").replace("[null, 8, 8, 1]", "[null, 2, 8, 1]");
        assert!(refused(narrow.as_bytes()).contains("layer stem"), "{}", refused(narrow.as_bytes()));
    }

    #[test]
    fn archives_are_refused_with_a_reason() {
        let (config, weights) = (entry(&digits(), "config.json"), entry(&digits(), "model.weights.h5"));
        let refused = |bytes: &[u8]| KerasFile::from_bytes(bytes).unwrap_err().to_string();
        assert!(refused(b"no archive").contains("zip archive"));
        assert!(refused(b"no archive").contains("HDF5 file (.h5)"));
        assert!(refused(&weights).contains("weights without a model"));
        assert!(refused(&archive(&[("model.weights.h5", &weights)])).contains("config.json"));
        assert!(refused(&archive(&[("config.json", &config)])).contains("model.weights.h5"));
        let npz = archive(&[("config.json", &config), ("model.weights.npz", b"")]);
        assert!(refused(&npz).contains("model.weights.npz"));
        assert!(refused(&archive(&[("config.json", b"{"), ("model.weights.h5", &weights)])).contains("config.json"));
        let described = |metadata: &[u8]| {
            let entries = [("metadata.json", metadata), ("config.json", &config), ("model.weights.h5", &weights)];
            KerasFile::from_bytes(&archive(&entries)).map(drop)
        };
        assert!(described(b"{\"keras_version\": \"3.15.1\"}").is_ok() && described(b"{}").is_ok());
        for unreadable in [&b"{"[..], b"", b"[]", b"{\"keras_version\": 3}"] {
            let error = described(unreadable).unwrap_err().to_string();
            assert!(error.contains("metadata.json"), "{error}");
        }
        // A few kilobytes, eight megabytes of text, half a gigabyte of numbers.
        let text = format!("[{}1]", "1,".repeat(4 << 20));
        let bomb = archive(&[("config.json", text.as_bytes()), ("model.weights.h5", &weights)]);
        assert!(refused(&bomb).contains("bytes of memory (budget for reading)"), "{}", refused(&bomb));
        let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(
            refused(&archive(&[("config.json", nested.as_bytes()), ("model.weights.h5", &weights)]))
                .contains("recursion")
        );
    }

    /// Numbers that spread over 64 bits and are the same in every run (Knuth's MMIX generator).
    fn numbers() -> impl FnMut() -> usize {
        let mut state = 12345u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 20) as usize
        }
    }

    #[test]
    fn no_damage_to_a_file_panics() {
        let whole = digits();
        let mut next = numbers();
        for length in (0..whole.len()).step_by(997) {
            assert!(KerasFile::from_bytes(&whole[..length]).is_err(), "{length}");
        }
        for _ in 0..300 {
            let mut damaged = whole.clone();
            let position = next() % damaged.len();
            damaged[position] ^= 1 << (next() % 8);
            let _ = KerasFile::from_bytes(&damaged);
        }
        let config = entry(&whole, "config.json");
        for _ in 0..2000 {
            let mut damaged = config.clone();
            let position = next() % damaged.len();
            damaged[position] = b"09-.\"[]{}:,ntx"[next() % 14];
            if let Ok(model) = serde_json::from_slice(&damaged) {
                let read =
                    parse(&model, "config.json", Generation::Keras3, ReadOptions::default(), &CustomLayers::new());
                let _ = read.map(|(graph, _)| graph.places());
            }
        }
    }

    #[test]
    fn no_damage_to_weights_panics() {
        let whole = digits();
        let legacy = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/conformance/models/digits/model_legacy.h5");
        let files = [entry(&whole, "model.weights.h5"), std::fs::read(legacy).unwrap()];
        let file = KerasFile::from_bytes(&whole).unwrap();
        let places = file.graph.places().unwrap();
        let read_all = |bytes: Vec<u8>| -> Result<usize> {
            // A whole model's config is read, too.
            let _ = KerasFile::from_bytes(&bytes).map(|file| file.graph.places());
            let weights = Weights::of(WeightsFile::open(bytes, "weights".into(), Meter::new("weights", 0))?)?;
            Ok(weights.located(places.clone(), "weights".into())?.all()?.iter().map(Vec::len).sum())
        };
        for whole in files {
            assert_eq!(read_all(whole.clone()).unwrap(), 23);
            for length in (0..whole.len()).step_by(1009) {
                let _ = read_all(whole[..length].to_vec());
            }
            let mut next = numbers();
            for round in 0..3000 {
                let mut damaged = whole.clone();
                let position = next() % (damaged.len() - 8);
                match round % 4 {
                    0 => damaged[position] ^= 1 << (next() % 8),
                    1 => damaged[position] = next() as u8,
                    2 => damaged[position..position + 8].fill(0xff),
                    _ => damaged[position..position + 8].copy_from_slice(&(1u64 << (next() % 64)).to_le_bytes()),
                }
                let _ = read_all(damaged);
            }
        }
    }
}
