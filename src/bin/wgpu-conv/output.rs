//! What every command prints alike.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use wgpu_conv::wgpu::{AdapterInfo, DeviceType};
use wgpu_conv::{Error, Gpu, printable};

/// Columns of a terminal that every table fits.
const COLUMNS: usize = 80;

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

/// The adapter, for people.
pub fn on(gpu: &Gpu) -> String {
    let adapter = gpu.info();
    format!("{} ({}, {:?})", adapter.name, kind(adapter), adapter.backend)
}

/// The adapter, for machines.
pub fn adapter(gpu: &Gpu) -> Value {
    let adapter = gpu.info();
    json!({"name": adapter.name, "kind": kind(adapter), "backend": format!("{:?}", adapter.backend)})
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
    let clean = |cell: &String| printable(cell).replace(['\n', '\t'], " ");
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
fn cut(cell: &str, width: usize) -> String {
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

/// The lines of the text file at `path`.
pub fn lines(path: &Path) -> Result<Vec<String>, Error> {
    let place = || path.display().to_string();
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| Error::Format { place: place(), problem: format!("cannot be read: {error}") })?;
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}
