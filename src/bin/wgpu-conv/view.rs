//! `view`: a model as a page to look at, and as pictures.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use wgpu_conv::formats::{FileKind, OnnxFile, read_arrays, read_file, read_inputs, write_file};
use wgpu_conv::model::{Architecture, Model};
use wgpu_conv::view::{LayerView, Live, ModelLook, Page, Picture, Status, Viewer};
use wgpu_conv::{AdapterChoice, Error, HostTensor, Tensor, printable, printable_name};

use crate::output::{Pixels, Report, Shapes, at_least_one, lines, load, named, on};
use crate::progress::Progress;

/// The bytes of a model above which a page that holds it is slow to open.
const HELD: usize = 2_000_000;

/// The arguments of `view`.
#[derive(Args)]
pub struct View {
    /// The model: a file that `wgpu-conv inspect` knows
    model: PathBuf,
    #[command(flatten)]
    shapes: Shapes,
    /// What the model is shown: a picture, an array, or a .npz or .safetensors file with a tensor for each input of the model,
    /// called as the input is or input_0, input_1, …
    #[arg(required_unless_present_any = ["shape_only", "live"])]
    input: Option<PathBuf>,
    /// The page to write; with --live, a path that does not end in .html is a folder for the page, index.html, with the package
    /// and the model in files beside it, to be served
    #[arg(short, long, value_name = "FILE", default_value = "page.html")]
    output: PathBuf,
    /// Layers that start open: all, none, or their names
    #[arg(long, value_name = "NAME", num_args = 1..)]
    open: Vec<String>,
    /// A directory to write a picture of each layer to, all its maps with --open
    #[arg(long, value_name = "DIR")]
    png: Option<PathBuf>,
    /// Pixels for each value in those pictures
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = at_least_one)]
    zoom: usize,
    /// Let layers lie flat on the page
    #[arg(long)]
    flat: bool,
    /// Draw the layers and their shapes, and compute nothing: weights are not read, no GPU is needed, and the model may be
    /// its config alone, as Keras's to_json writes it
    #[arg(long, conflicts_with = "input")]
    shape_only: bool,
    /// Let the page compute by itself in a browser with WebGPU, for what is drawn or dropped on it; PACKAGE is the folder of the
    /// package for JavaScript, as `npm install wgpu-conv` or `bash .ci/web` makes it
    #[arg(long, value_name = "PACKAGE", conflicts_with = "shape_only")]
    live: Option<PathBuf>,
    /// Let that page train the model, of a .keras or .h5 file, and show how it learns: on the arrays of SAMPLES, an .npz file with x
    /// and y, or x_train and y_train, measured by x_test and y_test where it has them; without SAMPLES on those of a file that is
    /// dropped on the page
    #[arg(long, value_name = "SAMPLES", requires = "live", num_args = 0..=1)]
    train: Option<Option<PathBuf>>,
    /// Which input of a file that holds several, from 0
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    sample: usize,
    /// Names of the labels: a text file with one on each line, the first for label 0
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// The tensor of a .npz or .safetensors file that holds the inputs; by default the only one that fits the model
    #[arg(long, value_name = "NAME")]
    tensor: Option<String>,
    #[command(flatten)]
    pixels: Pixels,
    /// A colour for layers of a class, as in Conv2D=#F7FE2E
    #[arg(long, value_name = "CLASS=COLOR")]
    color: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl View {
    /// What is printed.
    pub fn report(&self, choice: &AdapterChoice) -> Result<Report, Error> {
        let labels = self.labels.as_deref().map(lines).transpose()?.unwrap_or_default();
        let (look, mut page) = (self.look()?, Page::new().flat(self.flat).labels(labels));
        let mut files = Vec::new();
        if let Some(package) = &self.live {
            let bytes = read_file(&self.model)?;
            let large = bytes.len() > HELD;
            let mut live = match &self.train {
                None => Live::new(package, bytes)?,
                Some(samples) => {
                    // What the page could not read is refused here.
                    let samples = samples.as_ref().map(|path| read_arrays(path).and_then(|_| read_file(path)));
                    Live::training(package, bytes, samples.transpose()?)?
                }
            };
            if self.folder().is_some() {
                (live, files) = live.beside(&self.model_name());
            } else if large {
                let _ = writeln!(
                    io::stderr(),
                    "note: the page holds the whole model; with -o FOLDER the model lies beside it, for a server"
                );
            }
            page = page.live(live);
        }
        let Some(input) = &self.input else {
            let file = match self.shapes.onnx(&self.model)? {
                None if self.model.extension().is_some_and(|end| end.eq_ignore_ascii_case("onnx")) => {
                    Some(OnnxFile::open(&self.model)?)
                }
                file => file,
            };
            let architecture = match &file {
                Some(file) => file.architecture()?,
                None => Architecture::load(&self.model)?,
            };
            let on_host = on_host(file.iter().flat_map(OnnxFile::on_host));
            let page = if on_host.is_empty() { page } else { page.note(on_host) };
            return self.written(Viewer::of_architecture(&architecture), look, &page, &files);
        };
        let model = load(choice, &self.model, &self.shapes)?;
        let gpu = model.gpu();
        let progress = Progress::new(format!("computing and measuring {}", named(&self.model)), "layers", None);
        progress.expect(model.architecture().layers().len());
        let mut viewer = Viewer::new(&model);
        let inputs = self.inputs(&model, input)?;
        viewer.predict(&inputs)?;
        let tensors = inputs.iter().map(|input| Tensor::from_slice(gpu, &input.shape, &input.values));
        let tensors = tensors.collect::<Result<Vec<_>, _>>()?;
        let profile = model.profile_with(&tensors, 5, |_| progress.done(1))?;
        drop(progress);
        let applied: Vec<String> = viewer.layers()[inputs.len()..].iter().map(|it| it.name().to_owned()).collect();
        viewer.set_times(applied.iter().map(String::as_str).zip(profile.layers.iter().map(|layer| layer.time)))?;
        let note = format!("{} on {}", named(input), on(gpu));
        let on_host = on_host(model.on_host().iter().map(|(name, operator)| (name.as_str(), operator.as_str())));
        let notes = [note, on_host].into_iter().filter(|note| !note.is_empty());
        self.written(viewer, look, &page.note(notes.collect::<Vec<_>>().join(" · ")), &files)
    }

    /// The folder that a live page is to be written to with its files, where it is to be one.
    fn folder(&self) -> Option<&Path> {
        let page = self.output.extension().is_some_and(|end| end.eq_ignore_ascii_case("html"));
        (self.live.is_some() && !page).then_some(&self.output)
    }

    /// What the model's file is called beside the page: a name that is an address.
    fn model_name(&self) -> String {
        match self.model.extension().and_then(|end| end.to_str()) {
            Some(end) if end.bytes().all(|byte| byte.is_ascii_alphanumeric()) => format!("model.{end}"),
            _ => "model".to_owned(),
        }
    }

    /// Writes the page and the pictures; what is printed of it.
    fn written(
        &self,
        mut viewer: Viewer,
        look: ModelLook,
        page: &Page,
        files: &[(String, Vec<u8>)],
    ) -> Result<Report, Error> {
        viewer.set_look(look)?;
        match self.open.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] | ["none"] => {}
            ["all"] => viewer.set_all(Status::Open),
            ref names => names.iter().try_for_each(|name| viewer.open_layer(*name))?,
        }
        let progress = Progress::new("drawing", "", None);
        let html = viewer.page(page)?;
        let output = match self.folder() {
            Some(folder) => write_beside(folder, html.as_bytes(), files)?,
            None => {
                write_file(&self.output, html.as_bytes(), FileKind::Page)?;
                self.output.clone()
            }
        };
        let pictures = self.png.as_ref().map(|folder| self.pictures(&viewer, folder)).transpose()?;
        drop(progress);
        let (file, layers) = (output.display().to_string(), viewer.layers().len());
        if self.json {
            let mut all = json!({"page": file, "layers": layers, "bytes": html.len()});
            if let Some(pictures) = pictures {
                all["pictures"] = pictures.into_iter().map(|picture| picture.display().to_string()).collect();
            }
            return Ok(all.into());
        }
        let mut text = format!("{}: {layers} layers, {} bytes\n", printable_name(&file), html.len());
        if let (Some(folder), Some(pictures)) = (&self.png, pictures) {
            let _ = writeln!(text, "{}: {} pictures", printable_name(&folder.display().to_string()), pictures.len());
        }
        Ok(text.into())
    }

    fn look(&self) -> Result<ModelLook, Error> {
        let mut look = ModelLook::default();
        for choice in &self.color {
            let (class, color) = choice.split_once('=').unwrap_or((choice, ""));
            look.colors.insert(class.into(), color.parse()?);
        }
        Ok(look)
    }

    /// The chosen input of the file at `path`, as a batch of one.
    fn inputs(&self, model: &Model, path: &Path) -> Result<Vec<HostTensor>, Error> {
        let read = if model.inputs().len() > 1 {
            read_inputs(model, path)?
        } else {
            let mut reader = self.pixels.reader(model)?;
            if let Some(tensor) = &self.tensor {
                reader = reader.tensor(tensor);
            }
            let read = reader.read(path)?;
            let is_picture = path
                .extension()
                .is_some_and(|end| ["png", "jpg", "jpeg"].iter().any(|it| end.eq_ignore_ascii_case(it)));
            let scaling = is_picture.then(|| reader.scaling());
            for note in read.note.iter().chain(&scaling) {
                let _ = writeln!(io::stderr(), "note: {}", printable(note));
            }
            vec![read.data]
        };
        read.into_iter().map(|data| self.sample_of(&data, path)).collect()
    }

    fn sample_of(&self, data: &HostTensor, path: &Path) -> Result<HostTensor, Error> {
        let mut dims = data.shape.dims().to_vec();
        let count = dims.first().copied().unwrap_or(0);
        if self.sample >= count {
            let problem = format!("input {} is asked for, and the file holds {count}", self.sample);
            return Err(Error::Format { place: path.display().to_string(), problem });
        }
        let each = data.values.len() / count;
        dims[0] = 1;
        HostTensor::new(dims, data.values[self.sample * each..][..each].to_vec())
    }

    /// Writes a picture of each layer; their paths.
    fn pictures(&self, viewer: &Viewer, folder: &Path) -> Result<Vec<PathBuf>, Error> {
        std::fs::create_dir_all(folder).map_err(|error| Error::Format {
            place: folder.display().to_string(),
            problem: format!("cannot be made: {error}"),
        })?;
        let drawable = |layer: &&LayerView| layer.map_count().is_some();
        let mut pictures = Vec::new();
        for (place, layer) in viewer.layers().iter().filter(drawable).enumerate() {
            // No more than file systems take, with the number and the ending.
            let letter = |c: char| if c.is_alphanumeric() || "_-.".contains(c) { c } else { '_' };
            let name: String = layer.name().chars().map(letter).take(60).collect();
            let picture = viewer.picture(layer.name(), &Picture::new().scale(self.zoom).caption(true))?;
            let path = folder.join(format!("{place:03}_{name}.png"));
            write_file(&path, &picture, FileKind::Picture)?;
            pictures.push(path);
        }
        Ok(pictures)
    }
}

/// What is computed on the host, after the layers that are shown: names and operators, in words; empty for nothing.
fn on_host<'a>(nodes: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let nodes: Vec<_> = nodes.map(|(name, operator)| format!("{name} ({operator})")).collect();
    match nodes[..] {
        [] => String::new(),
        _ => format!("computed on the host, of what these layers make: {}", nodes.join(", ")),
    }
}

/// Writes a page and the files that it reads to a folder, which holds nothing else, or such a page; the path of the page.
fn write_beside(folder: &Path, html: &[u8], files: &[(String, Vec<u8>)]) -> Result<PathBuf, Error> {
    let broken = |path: &Path, error: io::Error| Error::Format {
        place: path.display().to_string(),
        problem: format!("cannot be written: {error}"),
    };
    let page = folder.join("index.html");
    std::fs::create_dir_all(folder).map_err(|error| broken(folder, error))?;
    let mut entries = std::fs::read_dir(folder).map_err(|error| broken(folder, error))?;
    if !page.exists() && entries.next().is_some() {
        let problem = "there is a folder that holds other things than a page of this program's, and it was left as it is; give \
                       another path, or a new one in it";
        return Err(Error::Format { place: folder.display().to_string(), problem: problem.into() });
    }
    // A page that was made so names its model; what else lies beside a page is not its own.
    let known = std::fs::read(&page).unwrap_or_default();
    let holds = |text: &str| known.windows(text.len()).any(|part| part == text.as_bytes());
    let own = files.iter().any(|(name, _)| holds(&format!("worker.js {name}")));
    for (name, _) in files {
        let path = folder.join(name);
        if path.is_symlink() || (path.exists() && !own) {
            let problem = "is there already and belongs to no such page, and it was left as it is; give another folder";
            return Err(Error::Format { place: path.display().to_string(), problem: problem.into() });
        }
    }
    // First, as it is refused where there is another's.
    write_file(&page, html, FileKind::Page)?;
    for (name, bytes) in files {
        let path = folder.join(name);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&path, bytes)).map_err(|error| broken(&path, error))?;
    }
    Ok(page)
}
