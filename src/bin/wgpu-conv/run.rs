//! `run`: what a model makes of pictures and arrays.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use wgpu_conv::formats::{InputReader, Inputs, input_files, read_labels};
use wgpu_conv::model::{Model, top};
use wgpu_conv::{AdapterChoice, Error, Gpu, HostTensor};

use crate::output::{Report, adapter, aligned, lines, on};
use crate::progress::Progress;
use crate::tune::Tune;

/// The arguments of `run`.
#[derive(Args)]
pub struct Run {
    /// The model: a file that `wgpu-conv inspect` knows
    model: PathBuf,
    /// Pictures (.png, .jpg), arrays (.npy, .safetensors: one input, or several along the first axis), or folders of them
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Names of the labels: a text file with one on each line, the first for label 0
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Labels to print for each input, best first
    #[arg(long, value_name = "K", default_value_t = 1)]
    top: usize,
    /// Inputs to print at most; 0 prints all
    #[arg(long, value_name = "N", default_value_t = 20)]
    rows: usize,
    /// The tensor of .safetensors files that holds the inputs; by default the only one that fits the model
    #[arg(long, value_name = "NAME")]
    tensor: Option<String>,
    /// The tensor of the same .safetensors files that holds the right labels: prints how many the model gets right
    #[arg(long, value_name = "NAME")]
    compare: Option<String>,
    /// What pixel values, 0 to 255, are multiplied by; 1/255 by default
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true)]
    scale: Option<f32>,
    /// What is added to pixels after scaling
    #[arg(long, value_name = "NUMBER", default_value_t = 0.0, allow_negative_numbers = true)]
    offset: f32,
    /// Inputs computed together
    #[arg(long, value_name = "N", default_value_t = wgpu_conv::model::BATCH_SIZE)]
    batch: usize,
    #[command(flatten)]
    tune: Tune,
}

/// What a model made of one input.
struct Row {
    input: String,
    /// Labels and scores, best first; none where the output is not one score for each label.
    best: Vec<(usize, f32)>,
    output: HostTensor,
    time: Duration,
    expected: Option<i64>,
}

impl Run {
    /// What is printed.
    pub fn report(&self, adapter: &AdapterChoice) -> Result<Report, Error> {
        let labels = self.labels.as_deref().map(lines).transpose()?;
        let files = self.inputs.iter().map(input_files).collect::<Result<Vec<_>, _>>()?.concat();
        let gpu = Gpu::open(adapter)?;
        self.tune.begin(&gpu)?;
        let model = Model::load(&gpu, &self.model)?;
        let (rows, notes) = self.rows(&model, &files)?;
        self.tune.end(&gpu)?;
        if let (Some(labels), Some(row)) = (&labels, rows.first()) {
            let classes = row.output.values.len();
            if labels.len() != classes {
                let problem = format!("{} lines for the {classes} labels of {}", labels.len(), model.name());
                let place = self.labels.as_deref().unwrap_or(Path::new("")).display().to_string();
                return Err(Error::Format { place, problem });
            }
        }
        let name = |index: usize| labels.as_ref().map_or_else(|| index.to_string(), |labels| labels[index].clone());
        let right = rows.iter().filter(|row| row.expected.is_some() && row.expected == row.label()).count();
        if self.json {
            return Ok(self.json(&gpu, &model, &rows, &notes, name, right).into());
        }
        for note in &notes {
            let _ = writeln!(io::stderr(), "note: {note}");
        }
        Ok(self.table(&gpu, &model, &rows, name, right).into())
    }

    /// What `model` makes of `files`, and what was done to make them fit.
    fn rows(&self, model: &Model, files: &[PathBuf]) -> Result<(Vec<Row>, Vec<String>), Error> {
        let mut reader = InputReader::new(model)?.offset(self.offset);
        if let Some(scale) = self.scale {
            reader = reader.scale(scale);
        }
        if let Some(tensor) = &self.tensor {
            reader = reader.tensor(tensor);
        }
        let progress = Progress::new("inputs");
        let (mut rows, mut notes) = (Vec::new(), Vec::new());
        for files in files.chunks(self.batch.max(1)) {
            let mut expected = Vec::new();
            let mut read = Vec::with_capacity(files.len());
            for file in files {
                let inputs = reader.read(file)?;
                if let Some(tensor) = &self.compare {
                    expected.extend(right_labels(file, tensor, inputs.names.len())?);
                }
                progress.expect(inputs.names.len());
                notes.extend(inputs.note.clone());
                read.push(inputs);
            }
            let mut expected = expected.into_iter();
            for Inputs { names, data, .. } in Inputs::joined(read) {
                let mut names = names.into_iter();
                let mut start = Instant::now();
                for output in model.predict_batches(&data, self.batch)? {
                    let outputs = split(output?);
                    let time = start.elapsed() / outputs.len().max(1) as u32;
                    progress.done(outputs.len());
                    for (output, input) in outputs.into_iter().zip(names.by_ref()) {
                        let scores = output.shape.rank() == 1;
                        let best = if scores { top(&output.values, self.top.max(1)) } else { Vec::new() };
                        rows.push(Row { input, best, output, time, expected: expected.next() });
                    }
                    start = Instant::now();
                }
            }
        }
        Ok((rows, notes))
    }

    fn table(&self, gpu: &Gpu, model: &Model, rows: &[Row], name: impl Fn(usize) -> String, right: usize) -> String {
        let shown = if self.rows == 0 { rows.len() } else { self.rows.min(rows.len()) };
        let mut cells = vec![["input", "label", "score", "time", "expected"].map(str::to_owned).to_vec()];
        for row in &rows[..shown] {
            let expected = row.expected.map(|label| match usize::try_from(label) {
                Ok(index) if index < row.output.values.len() => name(index),
                _ => label.to_string(),
            });
            let time = format!("{:.3} ms", row.time.as_secs_f64() * 1e3);
            let mut line = [row.input.clone(), format!("output {}", row.output.shape), String::new(), time];
            if let Some(&(label, score)) = row.best.first() {
                [line[1], line[2]] = [name(label), format!("{score:.4}")];
            }
            cells.push([&line[..], &[expected.unwrap_or_default()]].concat());
            for &(label, score) in row.best.iter().skip(1) {
                cells.push(vec![String::new(), name(label), format!("{score:.4}"), String::new(), String::new()]);
            }
        }
        if self.compare.is_none() {
            cells.iter_mut().for_each(|line| line.truncate(4));
        }
        let mut text = aligned(&cells);
        if shown < rows.len() {
            let _ = writeln!(text, "… and {} more; --rows 0 prints all", rows.len() - shown);
        }
        let total: Duration = rows.iter().map(|row| row.time).sum();
        let total = total.as_secs_f64() * 1e3;
        let _ = writeln!(text, "{} input(s) through {} in {total:.1} ms on {}", rows.len(), model.name(), on(gpu));
        if self.compare.is_some() {
            let _ = writeln!(text, "{right} of {} right ({:.1} %)", rows.len(), percent(right, rows.len()));
        }
        text
    }

    fn json(
        &self,
        gpu: &Gpu,
        model: &Model,
        rows: &[Row],
        notes: &[String],
        name: impl Fn(usize) -> String,
        right: usize,
    ) -> Value {
        let results = rows.iter().map(|row| {
            let best =
                row.best.iter().map(|&(label, score)| json!({"index": label, "label": name(label), "score": score}));
            let mut result =
                json!({"input": row.input, "ms": row.time.as_secs_f64() * 1e3, "top": best.collect::<Value>()});
            if row.best.is_empty() {
                result["output"] = json!({"shape": row.output.shape.dims(), "values": row.output.values});
            }
            if let Some(expected) = row.expected {
                result["expected"] = expected.into();
            }
            result
        });
        let mut all = json!({
            "model": model.name(),
            "adapter": adapter(gpu),
            "notes": notes,
            "results": results.collect::<Value>(),
        });
        if self.compare.is_some() {
            all["compared"] = json!({"right": right, "of": rows.len(), "percent": percent(right, rows.len())});
        }
        all
    }
}

impl Row {
    /// The best label.
    fn label(&self) -> Option<i64> {
        self.best.first().and_then(|&(label, _)| i64::try_from(label).ok())
    }
}

/// The `count` right labels of the tensor `name` beside the inputs in `file`.
fn right_labels(file: &Path, name: &str, count: usize) -> Result<Vec<i64>, Error> {
    let labels = read_labels(file, name)?;
    if labels.len() != count {
        let problem = format!("tensor {name} has {} labels for {count} inputs", labels.len());
        return Err(Error::Format { place: file.display().to_string(), problem });
    }
    Ok(labels)
}

/// The output of each input of a batch.
fn split(output: HostTensor) -> Vec<HostTensor> {
    let Some((&count, each)) = output.shape.dims().split_first() else { return vec![output] };
    let size = output.values.len() / count.max(1);
    let values = output.values.chunks(size.max(1));
    values.map(|values| HostTensor { shape: each.into(), values: values.to_vec() }).collect()
}

fn percent(part: usize, all: usize) -> f64 {
    100.0 * part as f64 / all.max(1) as f64
}
