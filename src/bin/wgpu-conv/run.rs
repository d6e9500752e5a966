//! `run`: what a model makes of pictures and arrays.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use wgpu_conv::formats::{InputReader, Inputs, input_files, read_labels};
use wgpu_conv::model::{Model, top};
use wgpu_conv::{AdapterChoice, Error, Gpu, HostTensor, printable};

use crate::output::{Report, adapter, aligned, at_least_one, finite, lines, on};
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
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = at_least_one)]
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
    /// What pixel values, 0 to 255, are multiplied by; by default 1 where the model itself scales them, else 1/255
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true, value_parser = finite)]
    scale: Option<f32>,
    /// What is added to pixels after scaling
    #[arg(long, value_name = "NUMBER", default_value_t = 0.0, allow_negative_numbers = true, value_parser = finite)]
    offset: f32,
    /// Inputs computed together
    #[arg(long, value_name = "N", default_value_t = wgpu_conv::model::BATCH_SIZE, value_parser = at_least_one)]
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

/// What came of all files.
struct Outcome {
    rows: Vec<Row>,
    /// What was done to make the files fit.
    notes: Vec<String>,
    /// The files that could not be read, and why.
    failed: Vec<(String, String)>,
}

impl Run {
    /// What is printed.
    pub fn report(&self, adapter: &AdapterChoice) -> Result<Report, Error> {
        let labels = self.labels.as_deref().map(lines).transpose()?;
        let files = self.inputs.iter().map(input_files).collect::<Result<Vec<_>, _>>()?.concat();
        let gpu = Gpu::open(adapter)?;
        self.tune.begin(&gpu)?;
        let model = Model::load(&gpu, &self.model)?;
        let Outcome { rows, notes, failed } = self.rows(&model, &files)?;
        self.tune.end(&gpu)?;
        if let Some(labels) = &labels {
            // The output's length may depend on the input.
            let other = |row: &&Row| row.output.shape.rank() == 1 && row.output.values.len() != labels.len();
            if let Some(row) = rows.iter().find(other) {
                let classes = row.output.values.len();
                let problem = format!("{} lines for the {classes} labels of {}", labels.len(), model.name());
                let problem = format!("{problem} for {}", row.input);
                let place = self.labels.as_deref().unwrap_or(Path::new("")).display().to_string();
                return Err(Error::Format { place, problem });
            }
        }
        let name = |index: usize| {
            labels.as_ref().and_then(|labels| labels.get(index).cloned()).unwrap_or_else(|| index.to_string())
        };
        let right = rows.iter().filter(|row| row.expected.is_some() && row.expected == row.label()).count();
        let report: Report = if self.json {
            let mut all = self.json(&gpu, &model, &rows, &notes, name, right);
            if !failed.is_empty() {
                all["failed"] =
                    failed.iter().map(|(input, why)| json!({"input": input, "error": why})).collect::<Value>();
            }
            all.into()
        } else {
            self.table(&gpu, &model, &rows, name, right).into()
        };
        Ok(Report { sound: failed.is_empty(), ..report })
    }

    /// Says something while the work goes on.
    fn say(&self, text: &str) {
        if !self.json {
            let _ = writeln!(io::stderr(), "{}", printable(text));
        }
    }

    /// What `model` makes of `files`. One that cannot be read or computed does not cost the others their results.
    fn rows(&self, model: &Model, files: &[PathBuf]) -> Result<Outcome, Error> {
        let mut reader = InputReader::new(model)?.offset(self.offset);
        if let Some(scale) = self.scale {
            reader = reader.scale(scale);
        }
        if let Some(tensor) = &self.tensor {
            reader = reader.tensor(tensor);
        }
        let progress = Progress::new("inputs");
        let (mut rows, mut notes, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        let picture = |file: &PathBuf| {
            let ending = file.extension().unwrap_or_default().to_string_lossy().to_lowercase();
            ["png", "jpg", "jpeg"].contains(&ending.as_str())
        };
        if files.iter().any(picture) {
            notes.push(reader.scaling().to_owned());
            self.say(&format!("note: {}", reader.scaling()));
        }
        progress.expect(files.len());
        // The error of a single file is the command's own.
        let alone = files.len() == 1;
        for files in files.chunks(self.batch.max(1)) {
            let mut expected = Vec::new();
            let mut read = Vec::with_capacity(files.len());
            for file in files {
                let inputs = match reader.read(file) {
                    Ok(inputs) if inputs.names.is_empty() => {
                        let problem = "holds no inputs".to_owned();
                        Err(Error::Format { place: file.display().to_string(), problem })
                    }
                    other => other,
                };
                let inputs = match inputs {
                    Ok(inputs) => inputs,
                    Err(error) if alone => return Err(error),
                    Err(error) => {
                        self.say(&format!("error: {error}"));
                        failed.push((file.display().to_string(), error.to_string()));
                        progress.done(1);
                        continue;
                    }
                };
                if let Some(tensor) = &self.compare {
                    expected.extend(right_labels(file, tensor, inputs.names.len())?);
                }
                progress.expect(inputs.names.len().saturating_sub(1));
                if let Some(note) = &inputs.note {
                    self.say(&format!("note: {note}"));
                    notes.push(note.clone());
                }
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
                        let labelled = scores && !output.values.iter().all(|score| score.is_nan());
                        let best = if labelled { top(&output.values, self.top) } else { Vec::new() };
                        rows.push(Row { input, best, output, time, expected: expected.next() });
                    }
                    start = Instant::now();
                }
            }
        }
        Ok(Outcome { rows, notes, failed })
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
            let unlabelled = match row.output.shape.rank() {
                1 => "no label: the output is NaN".to_owned(),
                _ => format!("output {}", row.output.shape),
            };
            let mut line = [row.input.clone(), unlabelled, String::new(), time];
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
