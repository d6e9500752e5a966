//! `run`: what a model makes of pictures and arrays.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use wgpu_conv::formats::{
    FileKind, InputReader, Inputs, check_file, input_files, read_inputs, read_labels, write_arrays,
};
use wgpu_conv::model::{Model, top};
use wgpu_conv::{AdapterChoice, Error, Gpu, HostTensor, printable, printable_name};

use crate::output::{
    COLUMNS, LABELS, Pixels, Report, Shapes, adapter, allowed, at_least_one, cut, lines, load_on, milliseconds, named,
    on,
};
use crate::progress::Progress;
use crate::tune::Tune;

/// The arguments of `run`.
#[derive(Args)]
pub struct Run {
    /// The model: a file that `wgpu-conv inspect` knows
    model: PathBuf,
    #[command(flatten)]
    shapes: Shapes,
    /// Pictures (.png, .jpg), arrays (.npy, .npz, .safetensors: one input, or several along the first axis), or folders of them.
    /// For a model of several inputs, .npz or .safetensors files with a tensor for each, called as the input is or input_0,
    /// input_1, …
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// Print JSON, when all is done
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
    /// The tensor of .npz or .safetensors files that holds the inputs; by default the only one that fits the model
    #[arg(long, value_name = "NAME")]
    tensor: Option<String>,
    /// The tensor of the same files that holds the right labels: prints how many the model gets right
    #[arg(long, value_name = "NAME")]
    compare: Option<String>,
    #[command(flatten)]
    pixels: Pixels,
    /// A file to write the outputs to as they are, along the axis of inputs: .npy for a model of one output, or .npz or
    /// .safetensors with output_0, output_1, …
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file of outputs where it is there already
    #[arg(long, requires = "output")]
    overwrite: bool,
    /// Inputs computed together, where the model does not say for how many it is
    #[arg(long, value_name = "N", default_value_t = wgpu_conv::model::BATCH_SIZE, value_parser = at_least_one)]
    batch: usize,
    #[command(flatten)]
    tune: Tune,
}

/// Inputs that are computed together.
struct Batch {
    names: Vec<String>,
    /// A tensor for each input of the model, batch first.
    data: Vec<HostTensor>,
    /// The right labels, where they are asked for.
    expected: Vec<i64>,
}

/// What a model made of one input.
struct Row {
    input: String,
    outputs: Vec<Output>,
    time: Duration,
    expected: Option<i64>,
}

/// One output for one input.
struct Output {
    value: HostTensor,
    /// Labels and scores, best first, or why there are none.
    best: Result<Vec<(usize, f32)>, String>,
}

impl Output {
    /// An output that is no list of scores.
    fn array(value: HostTensor) -> Self {
        let best = Err(format!("output {}", value.shape));
        Self { value, best }
    }

    fn of(value: HostTensor, count: usize) -> Self {
        let scores = &value.values;
        if value.shape.rank() != 1 {
            return Self::array(value);
        }
        let best = if scores.is_empty() {
            Err("no label: the output is empty".to_owned())
        } else if scores.iter().all(|score| score.is_nan()) {
            Err("no label: the output is NaN".to_owned())
        } else {
            Ok(top(scores, count))
        };
        Self { value, best }
    }

    /// How many of its numbers are none.
    fn nan(&self) -> usize {
        self.value.values.iter().filter(|value| value.is_nan()).count()
    }
}

impl Row {
    /// The best label of the first output.
    fn label(&self) -> Option<i64> {
        let (label, _) = self.outputs.first()?.best.as_ref().ok()?.first()?;
        i64::try_from(*label).ok()
    }
}

/// What has come of the inputs until now.
struct Results<'a> {
    run: &'a Run,
    model: &'a Model,
    /// The names of labels; none where they have none.
    labels: Vec<String>,
    table: Table,
    progress: Progress,
    /// For JSON, which is printed as one at the end.
    results: Vec<Value>,
    /// What was done to make the files fit.
    notes: Vec<String>,
    /// What could not be read or computed, and why.
    failed: Vec<(String, Error)>,
    /// The outputs of all inputs, for the file that they are written to.
    outputs: Vec<HostTensor>,
    rows: usize,
    right: usize,
    compared: usize,
    time: Duration,
    /// Whether somebody still reads standard output.
    heard: bool,
}

impl Run {
    /// What is printed after the rows, which are printed as they come.
    pub fn report(&self, adapter: &AdapterChoice) -> Result<Report, Error> {
        let labels = self.labels.as_deref().map(lines).transpose()?.unwrap_or_default();
        let gpu = Gpu::open(adapter)?;
        self.tune.begin(&gpu)?;
        let model = load_on(&gpu, &self.model, &self.shapes)?;
        let comparable = model.inputs().len() == 1 && model.output_count() == 1 && !model.ends_on_host();
        if self.compare.is_some() && !comparable {
            return Err(Error::Invalid {
                argument: "--compare".into(),
                rule:
                    "a model whose labels are compared must have one input and one output, with a score for each label"
                        .into(),
                received: format!("{} input(s), {} output(s)", model.inputs().len(), model.output_count()),
            });
        }
        self.check_output(model.output_count())?;
        if !model.ends_on_host()
            && let [shape] = &model.output_shapes()[..]
            && let &[_, Some(classes)] = shape.dims()
        {
            self.check_labels(&labels, classes, &model, "")?;
        }
        let work = format!("running {}", named(&self.model));
        let mut results = Results {
            run: self,
            model: &model,
            table: Table::of(self, &labels),
            labels,
            progress: Progress::new(work, "inputs", self.tune.detail(&gpu)),
            results: Vec::new(),
            notes: Vec::new(),
            failed: Vec::new(),
            outputs: Vec::new(),
            rows: 0,
            right: 0,
            compared: 0,
            time: Duration::ZERO,
            heard: true,
        };
        results.fill()?;
        self.tune.end(&gpu)?;
        results.report(&gpu)
    }

    /// # Errors
    /// Where `outputs` tensors could not be written to the file that is asked for, as far as can be told before.
    fn check_output(&self, outputs: usize) -> Result<(), Error> {
        let Some(file) = &self.output else { return Ok(()) };
        allowed(file, self.overwrite)?;
        let ending = file.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        if ending == "npz" || ending == "safetensors" || ending == "npy" && outputs == 1 {
            return check_file(file, FileKind::Arrays);
        }
        Err(Error::Invalid {
            argument: "--output".into(),
            rule: "a file of outputs must end in .npz or .safetensors, or in .npy for a model of one output".into(),
            received: format!("{} for {outputs} output(s)", file.display()),
        })
    }

    /// # Errors
    /// [`Error::Format`] where there are names for other labels than the `classes` that `model` gives scores to.
    fn check_labels(&self, labels: &[String], classes: usize, model: &Model, input: &str) -> Result<(), Error> {
        let (Some(file), false) = (&self.labels, labels.len() == classes) else { return Ok(()) };
        let received = format!("{} lines for the {classes} labels of {}{input}", labels.len(), model.name());
        let problem = format!("{LABELS} must have a line for each label; received {received}");
        Err(Error::Format { place: file.display().to_string(), problem })
    }
}

impl Results<'_> {
    /// Computes all inputs. One that cannot be read or computed does not cost the others their results.
    fn fill(&mut self) -> Result<(), Error> {
        let run = self.run;
        let mut files = Vec::new();
        for input in &run.inputs {
            match input_files(input) {
                Ok(found) => files.extend(found),
                Err(error) => self.failed(input.display().to_string(), error),
            }
        }
        self.progress.expect(files.len());
        let reader = self.reader(&files)?;
        for files in files.chunks(self.together()) {
            let mut read = Vec::with_capacity(files.len());
            for file in files {
                match self.read(reader.as_ref(), file) {
                    Ok(batch) => {
                        self.progress.expect(batch.names.len().saturating_sub(1));
                        join(&mut read, batch);
                    }
                    Err(error) => {
                        self.progress.done(1);
                        self.failed(file.display().to_string(), error);
                    }
                }
            }
            for batch in read {
                self.compute(batch)?;
                if self.is_done() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// What reads files for a model of one input; [`read_inputs`] does for others.
    fn reader(&mut self, files: &[PathBuf]) -> Result<Option<InputReader>, Error> {
        let inputs = self.model.inputs().len();
        if inputs != 1 {
            return match &self.run.tensor {
                None => Ok(None),
                Some(tensor) => Err(Error::Invalid {
                    argument: "--tensor".into(),
                    rule: "it names the inputs of a model of one; those of several are called as the inputs are, or input_0, input_1, …"
                        .into(),
                    received: format!("{tensor} for {inputs} inputs"),
                }),
            };
        }
        let mut reader = self.run.pixels.reader(self.model)?;
        if let Some(tensor) = &self.run.tensor {
            reader = reader.tensor(tensor);
        }
        let picture = |file: &PathBuf| {
            let ending = file.extension().unwrap_or_default().to_string_lossy().to_lowercase();
            ["png", "jpg", "jpeg"].contains(&ending.as_str())
        };
        if files.iter().any(picture) {
            self.note(reader.scaling());
        } else if self.run.pixels.is_given() {
            self.note("--scale, --offset, --mean and --std are for pictures: arrays are taken as they are".to_owned());
        }
        Ok(Some(reader))
    }

    fn read(&mut self, reader: Option<&InputReader>, file: &Path) -> Result<Batch, Error> {
        let place = file.display().to_string();
        let (names, data) = match reader {
            Some(reader) => {
                let Inputs { names, data, note, .. } = reader.read(file)?;
                if let Some(note) = note {
                    self.note(note);
                }
                (names, vec![data])
            }
            None => {
                let data = read_inputs(self.model, file)?;
                let counts: Vec<_> = data.iter().map(|data| data.shape.dims().first().copied().unwrap_or(0)).collect();
                let count = counts.first().copied().unwrap_or(0);
                if counts.iter().any(|&other| other != count) {
                    let problem = format!("the tensors must hold as many inputs each; received {counts:?}");
                    return Err(Error::Format { place, problem });
                }
                let names = (0..count).map(|index| format!("{place}[{index}]"));
                (if count == 1 { vec![place.clone()] } else { names.collect() }, data)
            }
        };
        if names.is_empty() {
            return Err(Error::Format { place, problem: "holds no inputs".to_owned() });
        }
        let expected = match &self.run.compare {
            Some(tensor) => right_labels(file, tensor, names.len())?,
            None => Vec::new(),
        };
        Ok(Batch { names, data, expected })
    }

    /// How many inputs are computed together: as many as the model is for, if it says so. How much one finds that ends on the
    /// host depends on the input, and there it is each by itself.
    fn together(&self) -> usize {
        let own = self.model.inputs().first().and_then(|input| input.shape.dims().first().copied().flatten());
        own.unwrap_or(if self.model.ends_on_host() { 1 } else { self.run.batch }).max(1)
    }

    /// Computes a batch, in parts of as many inputs as are computed together.
    fn compute(&mut self, batch: Batch) -> Result<(), Error> {
        let Batch { names, data, expected } = batch;
        let count = names.len();
        let (alone, together) = (self.model.ends_on_host(), self.together());
        for start in (0..count).step_by(together) {
            let end = count.min(start.saturating_add(together));
            let part: Vec<_> = data.iter().map(|data| rows_of(data, start, end)).collect();
            let begun = Instant::now();
            let outputs = self.model.predict_all(&part);
            let outputs = outputs.and_then(|made| if alone { Ok(vec![made]) } else { self.split(made, end - start) });
            let time = begun.elapsed() / (end - start) as u32;
            self.progress.done(end - start);
            let outputs = match outputs {
                Ok(outputs) => outputs,
                Err(error) => {
                    // All of them have the one error, which is told once.
                    let of = if end - start > 1 { format!(" … {}", names[end - 1]) } else { String::new() };
                    self.failed(format!("{}{of}", names[start]), error);
                    continue;
                }
            };
            for (index, outputs) in (start..end).zip(outputs) {
                let of = |output| if alone { Output::array(output) } else { Output::of(output, self.run.top) };
                let outputs = outputs.into_iter().map(of).collect();
                let (input, expected) = (names[index].clone(), expected.get(index).copied());
                self.row(Row { input, outputs, time, expected });
            }
            if self.is_done() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether nobody is left to compute for: neither a reader of what is printed nor a file.
    fn is_done(&self) -> bool {
        !self.heard && self.run.output.is_none()
    }

    /// The outputs of each of `count` inputs.
    fn split(&self, outputs: Vec<HostTensor>, count: usize) -> Result<Vec<Vec<HostTensor>>, Error> {
        let mut split: Vec<Vec<HostTensor>> = (0..count).map(|_| Vec::new()).collect();
        for output in outputs {
            if output.shape.dims().first() != Some(&count) {
                return Err(Error::Invalid {
                    argument: "model".into(),
                    rule: "a model must make one output for each input, along its first axis; --batch 1 gives it one at a time"
                        .into(),
                    received: format!("an output of shape {} for {count} inputs", output.shape),
                });
            }
            for (index, outputs) in split.iter_mut().enumerate() {
                let mut one = rows_of(&output, index, index + 1);
                one.shape = output.shape.dims()[1..].into();
                outputs.push(one);
            }
        }
        Ok(split)
    }

    /// Takes in what came of an input, and prints it.
    fn row(&mut self, row: Row) {
        for output in row.outputs.iter().filter(|output| output.best.is_ok()) {
            let scores = &output.value.values;
            let input = format!(" for {}", row.input);
            if let Err(error) = self.run.check_labels(&self.labels, scores.len(), self.model, &input) {
                return self.failed(row.input.clone(), error);
            }
        }
        if self.run.output.is_some()
            && let Err(error) = self.keep(&row)
        {
            return self.failed(row.input.clone(), error);
        }
        let odd = row.outputs.iter().find(|output| output.best.is_ok() && output.nan() > 0);
        if let Some(output) = odd {
            let (nan, all) = (output.nan(), output.value.values.len());
            self.note(format!("{}: {nan} of {all} scores are NaN, and the best of the others is told", row.input));
        }
        self.rows += 1;
        self.time += row.time;
        self.compared += usize::from(row.expected.is_some());
        self.right += usize::from(row.expected.is_some() && row.expected == row.label());
        if self.run.json {
            self.results.push(self.json(&row));
        } else if self.run.rows == 0 || self.rows <= self.run.rows {
            let text = self.table.row(&row, self.rows == 1, &self.labels);
            self.heard = self.progress.aside(|| match io::stdout().lock().write_all(printable(&text).as_bytes()) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => false,
                // Other errors come again when the last lines are written, and are told then.
                _ => true,
            });
        }
    }

    /// Keeps the outputs of a row, to be written when all have come.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they have other extents than those before.
    fn keep(&mut self, row: &Row) -> Result<(), Error> {
        if self.model.ends_on_host() {
            return self.keep_whole(row);
        }
        if self.outputs.is_empty() {
            let none = |output: &Output| HostTensor {
                shape: [&[0], output.value.shape.dims()].concat().into(),
                values: Vec::new(),
            };
            self.outputs = row.outputs.iter().map(none).collect();
        }
        for (kept, output) in self.outputs.iter().zip(&row.outputs) {
            if kept.shape.dims()[1..] != *output.value.shape.dims() {
                return Err(Error::Invalid {
                    argument: "--output".into(),
                    rule: "outputs that are written to one file must have the same extents".into(),
                    received: format!("{} for {}, after {}", output.value.shape, row.input, kept.shape),
                });
            }
        }
        for (kept, output) in self.outputs.iter_mut().zip(&row.outputs) {
            kept.values.extend(&output.value.values);
            let mut dims = kept.shape.dims().to_vec();
            dims[0] += 1;
            kept.shape = dims.into();
        }
        Ok(())
    }

    /// [`keep`](Self::keep) of a model that ends on the host, whose outputs are kept as they are.
    fn keep_whole(&mut self, row: &Row) -> Result<(), Error> {
        if !self.outputs.is_empty() {
            return Err(Error::Invalid {
                argument: "--output".into(),
                rule: "a file holds the outputs for one input where their extents depend on its values; run the others by \
                       themselves"
                    .into(),
                received: format!("{} as another input", row.input),
            });
        }
        self.outputs = row.outputs.iter().map(|output| output.value.clone()).collect();
        Ok(())
    }

    /// Takes in, and says, that an input came to nothing.
    fn failed(&mut self, input: String, error: Error) {
        if self.tells_at_once() {
            self.tell(&input, &error);
        }
        self.failed.push((input, error));
    }

    /// Whether an error is told when it comes. That of a single file may be the command's own, and told by it.
    fn tells_at_once(&self) -> bool {
        self.run.inputs.len() > 1 || self.run.inputs.iter().any(|input| input.is_dir())
    }

    fn tell(&self, input: &str, error: &Error) {
        let known = error.to_string().contains(&*printable_name(input));
        let place = if known { String::new() } else { format!("{input}: ") };
        self.say(&format!("error: {}{error}", printable_name(&place)));
    }

    fn note(&mut self, note: String) {
        if !self.run.json && !self.notes.contains(&note) {
            self.say(&format!("note: {}", printable_name(&note)));
        }
        self.notes.push(note);
    }

    /// Says something while the work goes on.
    fn say(&self, text: &str) {
        // Where standard error is closed nobody looks.
        let _ = self.progress.aside(|| writeln!(io::stderr(), "{}", printable(text)));
    }

    fn report(mut self, gpu: &Gpu) -> Result<Report, Error> {
        let sound = self.failed.is_empty();
        // Where nothing came of anything, the command has failed, for the first reason.
        if self.rows == 0 && !sound {
            return Err(self.failed.swap_remove(0).1);
        }
        if !self.tells_at_once() {
            self.failed.iter().for_each(|(input, error)| self.tell(input, error));
        }
        let file = self.run.output.as_ref().map(|file| file.display().to_string());
        if let Some(file) = &file {
            let names: Vec<_> = (0..self.outputs.len()).map(|index| format!("output_{index}")).collect();
            let outputs: Vec<_> = names.iter().map(String::as_str).zip(&self.outputs).collect();
            write_arrays(file, &outputs)?;
        }
        if !self.heard {
            return Ok(String::new().into());
        }
        let percent = 100.0 * self.right as f64 / self.compared.max(1) as f64;
        if self.run.json {
            let mut all = json!({
                "model": self.model.name(),
                "adapter": adapter(gpu.info()),
                "notes": self.notes,
                "results": self.results,
            });
            if self.run.compare.is_some() {
                all["compared"] = json!({"right": self.right, "of": self.compared, "percent": percent});
            }
            if let Some(file) = file {
                all["output"] = json!({
                    "file": file,
                    "shapes": self.outputs.iter().map(|output| json!(output.shape.dims())).collect::<Value>(),
                });
            }
            if !sound {
                let failed = self.failed.iter();
                let failed = failed.map(|(input, error)| json!({"input": input, "error": error.to_string()}));
                all["failed"] = failed.collect();
            }
            return Ok(Report { sound, ..all.into() });
        }
        let mut text = String::new();
        if self.run.rows > 0 && self.rows > self.run.rows {
            let _ = writeln!(text, "… and {} more; --rows 0 prints all", self.rows - self.run.rows);
        }
        let (total, name) = (self.time.as_secs_f64() * 1e3, printable_name(self.model.name()));
        let _ = writeln!(text, "{} input(s) through {name} in {total:.1} ms on {}", self.rows, on(gpu));
        if !sound {
            let _ = writeln!(text, "{} could not be read or computed, as told above", self.failed.len());
        }
        if let Some(file) = file {
            let shapes: Vec<_> = self.outputs.iter().map(|output| output.shape.to_string()).collect();
            let _ = writeln!(text, "{}: {}", printable_name(&file), shapes.join(", "));
        }
        if self.run.compare.is_some() {
            let _ = writeln!(text, "{} of {} right ({percent:.1} %)", self.right, self.compared);
        }
        Ok(Report { sound, text })
    }

    fn json(&self, row: &Row) -> Value {
        let output = |output: &Output| {
            let mut value = json!({});
            let best = output.best.iter().flatten();
            let best = best
                .map(|&(index, score)| json!({"index": index, "label": label(&self.labels, index), "score": score}));
            value["top"] = best.collect();
            if let Err(reason) = &output.best {
                value["reason"] = reason.as_str().into();
                value["output"] = json!({"shape": output.value.shape.dims(), "values": output.value.values});
            }
            if output.nan() > 0 {
                value["nan"] = output.nan().into();
            }
            value
        };
        // A model of one output has its results beside the input's name.
        let mut value = match &row.outputs[..] {
            [one] => output(one),
            several => json!({"outputs": several.iter().map(output).collect::<Value>()}),
        };
        value["input"] = row.input.as_str().into();
        value["ms"] = (row.time.as_secs_f64() * 1e3).into();
        if let Some(expected) = row.expected {
            value["expected"] = expected.into();
        }
        value
    }
}

/// The columns of the table, which are known before the first row is.
struct Table {
    input: usize,
    label: usize,
    /// Whether the right labels have one.
    expected: bool,
}

impl Table {
    const SCORE: usize = 9;
    const TIME: usize = 12;

    fn of(run: &Run, labels: &[String]) -> Self {
        let longest = labels.iter().map(|label| printable_name(label).chars().count()).max().unwrap_or(0);
        let (label, expected) = (longest.clamp(8, 24), run.compare.is_some());
        let others = label + Self::SCORE + Self::TIME + 6 + if expected { label + 2 } else { 0 };
        Self { input: COLUMNS.saturating_sub(others).max(12), label, expected }
    }

    /// The lines of a row, below the head of the table where it is the `first`.
    fn row(&self, row: &Row, first: bool, labels: &[String]) -> String {
        let mut text = String::new();
        if first {
            self.write(&mut text, ["input", "label", "score", "time", "expected"]);
        }
        for (place, output) in row.outputs.iter().enumerate() {
            // Of several outputs each says which it is.
            let input = match (place, row.outputs.len()) {
                (_, 1) => row.input.clone(),
                (place, _) => format!("{}, output {place}", row.input),
            };
            let time = if place == 0 { milliseconds(row.time) } else { String::new() };
            let expected = row.expected.map(|expected| match usize::try_from(expected) {
                Ok(index) if index < output.value.values.len() => label(labels, index),
                _ => expected.to_string(),
            });
            let expected = expected.unwrap_or_default();
            match &output.best {
                Err(reason) => self.write(&mut text, [&input, reason, "", &time, &expected]),
                Ok(best) => {
                    for (rank, &(index, score)) in best.iter().enumerate() {
                        let (label, score) = (label(labels, index), format!("{score:.4}"));
                        let [input, time, expected] =
                            if rank == 0 { [&*input, &*time, &*expected] } else { ["", "", ""] };
                        self.write(&mut text, [input, &label, &score, time, expected]);
                    }
                }
            }
        }
        text
    }

    /// Writes a line. What has no score may take its column; names of inputs differ at their ends.
    fn write(&self, text: &mut String, cells: [&str; 5]) {
        let [input, label, score, time, expected] = cells.map(printable_name);
        let label = match score.is_empty() {
            true => format!("{label:<width$}", width = self.label + 2 + Self::SCORE),
            false => {
                let kept: String = label.chars().take(self.label - 1).collect();
                let label = if label.chars().count() > self.label { format!("{kept}…") } else { label.into_owned() };
                format!(
                    "{label:<label_width$}  {score:<score_width$}",
                    label_width = self.label,
                    score_width = Self::SCORE
                )
            }
        };
        let over = label.chars().count().saturating_sub(self.label + 2 + Self::SCORE);
        let width = self.input.saturating_sub(over);
        let mut line = format!("{:<width$}  {label}  {time:<time_width$}", cut(&input, width), time_width = Self::TIME);
        if self.expected {
            let _ = write!(line, "  {expected}");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// The name of a label, or its number.
fn label(labels: &[String], index: usize) -> String {
    labels.get(index).cloned().unwrap_or_else(|| index.to_string())
}

/// Puts `batch` behind `batches`, together with the last of them where the extents are the same.
fn join(batches: &mut Vec<Batch>, batch: Batch) {
    let alike = |a: &HostTensor, b: &HostTensor| a.shape.dims().get(1..) == b.shape.dims().get(1..);
    match batches.last_mut() {
        Some(last) if last.data.iter().zip(&batch.data).all(|(a, b)| alike(a, b)) => {
            last.names.extend(batch.names);
            let count = last.names.len();
            last.expected.extend(batch.expected);
            for (last, data) in last.data.iter_mut().zip(batch.data) {
                last.values.extend(data.values);
                let mut dims = last.shape.dims().to_vec();
                dims[0] = count;
                last.shape = dims.into();
            }
        }
        _ => batches.push(batch),
    }
}

/// The part of `tensor` from `start` to `end` along its first axis.
fn rows_of(tensor: &HostTensor, start: usize, end: usize) -> HostTensor {
    let mut dims = tensor.shape.dims().to_vec();
    let each = tensor.values.len() / dims[0].max(1);
    dims[0] = end - start;
    HostTensor { shape: dims.into(), values: tensor.values[start * each..end * each].to_vec() }
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
