//! What every command prints alike.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use wgpu_conv::formats::{InputReader, OnnxFile, read_file};
use wgpu_conv::model::Model;
use wgpu_conv::wgpu::{AdapterInfo, DeviceType};
use wgpu_conv::{AdapterChoice, Error, Gpu, Shape, printable, printable_name, wgpu};

use crate::progress::Progress;

/// Columns of a terminal that every table fits.
pub const COLUMNS: usize = 80;

/// What a command prints on standard output, and whether all is well.
pub struct Report {
    pub text: String,
    pub sound: bool,
}

impl From<String> for Report {
    fn from(text: String) -> Self {
        Self { text, sound: true }
    }
}

impl From<Value> for Report {
    fn from(json: Value) -> Self {
        // What is left to escape stands within strings, where JSON has a form for it.
        let mut text = String::new();
        for c in format!("{json:#}\n").chars() {
            if *printable(c.encode_utf8(&mut [0; 4])) == *c.encode_utf8(&mut [0; 4]) {
                text.push(c);
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
        text.into()
    }
}

/// A count of things, one at least.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be 1 or more".into()),
        Ok(count) => Ok(count),
        Err(error) => Err(format!("{error}")),
    }
}

/// A number that is one.
pub fn finite(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(number) if number.is_finite() => Ok(number),
        Ok(_) => Err("it must be finite".into()),
        Err(error) => Err(format!("{error}")),
    }
}

/// A number to divide by.
fn divisor(text: &str) -> Result<f32, String> {
    match finite(text) {
        Ok(0.0) => Err("it must be other than 0".into()),
        other => other,
    }
}

/// What becomes of pixels.
#[derive(clap::Args)]
pub struct Pixels {
    /// What pixel values, 0 to 255, are multiplied by; by default 1 where the model itself scales them, else 1/255
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true, value_parser = finite)]
    scale: Option<f32>,
    /// What is added to pixels after scaling
    #[arg(long, value_name = "NUMBER", default_value_t = 0.0, allow_negative_numbers = true, value_parser = finite)]
    offset: f32,
    /// What is taken from pixels after that: one number, or one for each channel, as in 0.485,0.456,0.406
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', allow_hyphen_values = true, value_parser = finite)]
    mean: Vec<f32>,
    /// What pixels are divided by after that: one number, or one for each channel, as in 0.229,0.224,0.225
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', allow_hyphen_values = true, value_parser = divisor)]
    std: Vec<f32>,
}

impl Pixels {
    /// Whether any of them was given.
    pub fn is_given(&self) -> bool {
        self.scale.is_some() || self.offset != 0.0 || !self.mean.is_empty() || !self.std.is_empty()
    }

    /// What reads inputs of `model` from files.
    pub fn reader(&self, model: &Model) -> Result<InputReader, Error> {
        let mut reader = InputReader::new(model)?.offset(self.offset);
        if let Some(scale) = self.scale {
            reader = reader.scale(scale);
        }
        let numbers = |numbers: &[f32]| numbers.iter().copied().map(f64::from).collect::<Vec<_>>();
        if !self.mean.is_empty() {
            reader = reader.mean(numbers(&self.mean))?;
        }
        if !self.std.is_empty() {
            reader = reader.std(numbers(&self.std))?;
        }
        Ok(reader)
    }
}

/// Whether a file may be written to `path` as far as the user is concerned, who says by `overwrite` that one may be replaced.
///
/// # Errors
/// [`Error::Format`] where there is one already that may not.
pub fn allowed(path: &Path, overwrite: bool) -> Result<(), Error> {
    if overwrite || !path.exists() {
        return Ok(());
    }
    let problem = "is there already, and was left as it is; --overwrite replaces it".to_owned();
    Err(Error::Format { place: path.display().to_string(), problem })
}

/// The adapter, for people.
pub fn on(gpu: &Gpu) -> String {
    let adapter = gpu.info();
    format!("{} ({}, {})", printable_name(&adapter.name), kind(adapter), backend(adapter))
}

/// The adapter, for machines.
pub fn adapter(adapter: &AdapterInfo) -> Value {
    json!({
        "name": adapter.name,
        "kind": kind(adapter),
        "backend": backend(adapter),
        "driver": driver(adapter),
    })
}

pub fn backend(adapter: &AdapterInfo) -> &'static str {
    match adapter.backend {
        wgpu::Backend::Vulkan => "Vulkan",
        wgpu::Backend::Metal => "Metal",
        wgpu::Backend::Dx12 => "DX12",
        wgpu::Backend::Gl => "GL",
        wgpu::Backend::BrowserWebGpu => "WebGPU",
        wgpu::Backend::Noop => "none",
    }
}

pub fn driver(adapter: &AdapterInfo) -> String {
    format!("{} {}", adapter.driver, adapter.driver_info).trim().to_owned()
}

pub fn kind(adapter: &AdapterInfo) -> &'static str {
    match adapter.device_type {
        DeviceType::DiscreteGpu => "discrete",
        DeviceType::IntegratedGpu => "integrated",
        DeviceType::VirtualGpu => "virtual",
        DeviceType::Cpu => "software",
        DeviceType::Other => "other",
    }
}

/// Lines of cells in columns, without what would move a terminal's cursor. What does not fit a terminal is cut from the
/// widest column: from the front, since paths and names differ at their ends.
pub fn aligned(lines: &[Vec<String>]) -> String {
    let clean = |cell: &String| printable_name(cell).into_owned();
    let lines: Vec<Vec<String>> = lines.iter().map(|line| line.iter().map(clean).collect()).collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let mut widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let total: usize = widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1);
    if let Some(widest) = widths.iter_mut().max() {
        *widest -= total.saturating_sub(COLUMNS).min(widest.saturating_sub(12));
    }
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<_> =
            line.iter().zip(&widths).map(|(cell, &width)| format!("{:<width$}", cut(cell, width))).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

/// The end of `cell` that fits `width`.
pub fn cut(cell: &str, width: usize) -> String {
    let length = cell.chars().count();
    if length <= width {
        cell.to_owned()
    } else {
        format!("…{}", cell.chars().skip(length + 1 - width).collect::<String>())
    }
}

/// A time in milliseconds.
pub fn milliseconds(time: std::time::Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}

/// The name of the file or folder at `path`, for people.
pub fn named(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    printable_name(&name.to_string_lossy()).into_owned()
}

/// The lines of the text file at `path`.
pub fn lines(path: &Path) -> Result<Vec<String>, Error> {
    let broken = |problem: String| Error::Format { place: path.display().to_string(), problem };
    let text = String::from_utf8(read_file(path)?).map_err(|_| broken(format!("{LABELS} must be text in UTF-8")))?;
    let lines: Vec<String> = text.trim_start_matches('\u{feff}').lines().map(|line| line.trim().to_owned()).collect();
    if lines.iter().all(String::is_empty) {
        return Err(broken(format!("{LABELS} must have a name on each line; received none")));
    }
    Ok(lines)
}

/// What messages call a file of labels.
pub const LABELS: &str = "a file of labels";

/// Which part of an ONNX file is the model, and the extents that the file leaves open.
#[derive(Default, clap::Args)]
pub struct Shapes {
    /// An extent that an ONNX file leaves open, as in height=320, or the shape of an input, as in image=1x3x320x320; may be
    /// given several times
    #[arg(long = "shape", value_name = "NAME=EXTENT", value_parser = fixed)]
    fixed: Vec<(String, Vec<usize>)>,
    /// A layer, or a value or a node of an ONNX file, to end the model at, in place of the file's outputs; may be given several
    /// times
    #[arg(long, value_name = "NAME")]
    until: Vec<String>,
    /// A value or a node of an ONNX file to begin the model at, with its shape, as in features=1x256x20x20: it becomes an
    /// input; may be given several times
    #[arg(long = "from", value_name = "NAME=SHAPE", value_parser = fixed)]
    begins: Vec<(String, Vec<usize>)>,
}

/// A name with its extent or its extents.
fn fixed(text: &str) -> Result<(String, Vec<usize>), String> {
    let (name, extents) = text.rsplit_once('=').ok_or("it must be a name, = and an extent, as in height=320")?;
    let extents = extents.split('x').map(str::parse).collect::<Result<_, _>>();
    extents.map(|extents| (name.to_owned(), extents)).map_err(|error| format!("its extents: {error}"))
}

impl Shapes {
    /// The ONNX file at `path`, so changed; none where nothing is to change, whatever the file.
    pub fn onnx(&self, path: &Path) -> Result<Option<OnnxFile>, Error> {
        if self.fixed.is_empty() && self.until.is_empty() && self.begins.is_empty() {
            return Ok(None);
        }
        if is_of_keras(path) {
            let rule = "--shape and --from are for ONNX files: a Keras file begins at its inputs, and takes the extents that it \
                        leaves open from what it is given";
            return Err(Error::Invalid {
                argument: "--shape, --from".into(),
                rule: rule.into(),
                received: named(path),
            });
        }
        let mut file = OnnxFile::open(path)?;
        if !self.until.is_empty() {
            file = file.with_outputs(&self.ends())?;
        }
        for (name, extents) in &self.begins {
            file = file.with_input(name, Shape::from(&extents[..]))?;
        }
        for (name, extents) in &self.fixed {
            file = match extents[..] {
                [extent] if file.open_extents().contains(name) => file.with_extent(name, extent)?,
                [_] if !file.inputs().iter().any(|input| input.name == *name) => file.with_extent(name, extents[0])?,
                _ => file.with_shape(name, Shape::from(&extents[..]))?,
            };
        }
        Ok(Some(file))
    }

    /// The names to end the model at.
    fn ends(&self) -> Vec<&str> {
        self.until.iter().map(String::as_str).collect()
    }
}

/// Whether the name of the file at `path` is that of a Keras file.
fn is_of_keras(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    ["keras", "h5", "hdf5"].contains(&ending.as_str())
}

/// The model of the file at `path`, on the adapter of `choice`.
pub fn load(choice: &AdapterChoice, path: &Path, shapes: &Shapes) -> Result<Model, Error> {
    load_on(&Gpu::open(choice)?, path, shapes)
}

/// The model of the file at `path`, on `gpu`.
pub fn load_on(gpu: &Gpu, path: &Path, shapes: &Shapes) -> Result<Model, Error> {
    load_by(|path| Model::load(gpu, path), gpu, path, shapes)
}

/// The model of the file at `path` without its weights, where the format lets them be left out, for no device.
pub fn outline(path: &Path, shapes: &Shapes) -> Result<Model, Error> {
    let gpu = no_gpu()?;
    load_by(|path| Model::outline(&gpu, path), &gpu, path, shapes)
}

/// The model of the file at `path`, on `gpu`, as `read` reads it where nothing of it is changed.
fn load_by(
    read: impl Fn(&Path) -> Result<Model, Error>,
    gpu: &Gpu,
    path: &Path,
    shapes: &Shapes,
) -> Result<Model, Error> {
    let _progress = Progress::new(format!("loading {}", named(path)), "", None);
    if is_of_keras(path) && shapes.fixed.is_empty() && shapes.begins.is_empty() && !shapes.until.is_empty() {
        return read(path)?.with_outputs(&shapes.ends());
    }
    match shapes.onnx(path)? {
        Some(file) => file.build(gpu),
        None => read(path),
    }
}

/// A device that keeps what it is given and computes nothing, with which models are read and written where there is no GPU.
pub fn no_gpu() -> Result<Gpu, Error> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::NOOP;
    descriptor.backend_options.noop.enable = true;
    let refused = |source: Box<dyn std::error::Error + Send + Sync>| Error::Gpu {
        context: "opening wgpu's backend that computes nothing".into(),
        source,
    };
    pollster::block_on(async {
        let instance = wgpu::Instance::new(descriptor);
        let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await;
        let adapter = adapter.map_err(|error| refused(error.into()))?;
        let limits = wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
        let (device, queue) = adapter.request_device(&limits).await.map_err(|error| refused(error.into()))?;
        Ok(Gpu::from_wgpu(device, queue))
    })
}
