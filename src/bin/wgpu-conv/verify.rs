//! `verify`: every layer against the reference, or against statistics from elsewhere.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use wgpu_conv::formats::{read_inputs, read_layer_statistics};
use wgpu_conv::model::{Check, Finding, Model, VerifyReport};
use wgpu_conv::{AdapterChoice, Error, Gpu, Tensor, printable_name};

use crate::output::{Report, Shapes, adapter, aligned, at_least_one, load_on, named, on};
use crate::progress::Progress;

/// The arguments of `verify`.
#[derive(Args)]
pub struct Verify {
    /// The model: a file that `wgpu-conv inspect` knows
    model: PathBuf,
    #[command(flatten)]
    shapes: Shapes,
    /// A picture, an array, or a .npz or .safetensors file with a tensor for each input of the model, called as the input is or
    /// input_0, input_1, …; by default random numbers from -1 to 1
    input: Option<PathBuf>,
    /// Compare with statistics recorded elsewhere instead of the reference: a JSON list of objects with layer, shape, mean,
    /// std, min, max, first8 and last4; without INPUT, expected.safetensors beside it is read
    #[arg(long, value_name = "FILE")]
    expected: Option<PathBuf>,
    /// Random inputs computed together
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    batch: usize,
    /// Height and width of random inputs where the model leaves them open
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = at_least_one)]
    size: usize,
    /// What random inputs start from
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    /// What is printed.
    pub fn report(&self, choice: &AdapterChoice) -> Result<Report, Error> {
        let recorded = self.expected.as_ref().map(read_layer_statistics).transpose()?;
        let gpu = Gpu::open(choice)?;
        let model = load_on(&gpu, &self.model, &self.shapes)?;
        let inputs = self.inputs(&model)?;
        let progress = Progress::new(format!("verifying {}", named(&self.model)), "layers", None);
        let report = match &recorded {
            Some(recorded) => model.verify_recorded(&inputs, recorded)?,
            None => {
                progress.expect(model.architecture().layers().len());
                model.verify_with(&inputs, |_| progress.done(1))?
            }
        };
        drop(progress);
        let sound = report.first_difference().is_none();
        let printed = if self.json {
            Report::from(self.json(&gpu, &model, &report))
        } else {
            self.text(&gpu, &model, &report).into()
        };
        Ok(Report { sound, ..printed })
    }

    fn inputs(&self, model: &Model) -> Result<Vec<Tensor>, Error> {
        let beside = || self.expected.as_ref().map(|path| path.with_file_name("expected.safetensors"));
        match self.input.clone().or_else(beside) {
            Some(path) => {
                let inputs = read_inputs(model, path)?;
                inputs.iter().map(|input| Tensor::from_slice(model.gpu(), &input.shape, &input.values)).collect()
            }
            None => model.sample_inputs(&model.input_shapes(self.batch, self.size), self.seed),
        }
    }

    fn truth(&self) -> &'static str {
        if self.expected.is_some() { "the recorded statistics" } else { "the reference" }
    }

    fn text(&self, gpu: &Gpu, model: &Model, report: &VerifyReport) -> String {
        let mut cells = vec![["layer", "class", "output", "error", ""].map(str::to_owned).to_vec()];
        let row = |check: &Check| {
            let verdict = match check.finding {
                None => "ok",
                Some(_) if check.limit < 1.0 => "DIFFERS*",
                Some(_) => "DIFFERS",
            };
            let cells = [&check.name, &check.class, &check.shape.to_string(), &error(check.error), verdict];
            cells.map(ToString::to_string).to_vec()
        };
        cells.extend(report.layers.iter().chain(&report.outputs).map(row));
        let mut text = aligned(&cells);
        text += "error: the largest, in units of what is allowed\n";
        let closely = |check: &&Check| check.limit < 1.0;
        if let Some(check) = report.layers.iter().find(closely) {
            let _ =
                writeln!(text, "* held to {} of the limit: its difference passes the limit further on", check.limit);
        }
        text.push('\n');
        let _ = match report.first_difference() {
            None => {
                writeln!(text, "All of {} agrees with {}, on {}.", printable_name(model.name()), self.truth(), on(gpu))
            }
            Some(Check { name, class, finding: Some(finding), .. }) => {
                writeln!(
                    text,
                    "First difference: {} ({})\n  {}\nHeld to {}, on {}.",
                    printable_name(name),
                    printable_name(class),
                    printable_name(&finding.to_string()),
                    self.truth(),
                    on(gpu)
                )
            }
            Some(_) => Ok(()),
        };
        if model.ends_on_host() {
            let count = model.on_host().len();
            let _ =
                writeln!(text, "Not compared: {count} steps of the end, which the host computes from these outputs.");
        }
        text
    }

    fn json(&self, gpu: &Gpu, model: &Model, report: &VerifyReport) -> Value {
        let checks = |checks: &[Check]| checks.iter().map(check).collect::<Value>();
        json!({
            "model": model.name(),
            "adapter": adapter(gpu.info()),
            "against": self.truth(),
            "first_difference": report.first_difference().map(|check| &check.name),
            "layers": checks(&report.layers),
            "outputs": checks(&report.outputs),
        })
    }
}

fn error(error: f64) -> String {
    if error.is_finite() { format!("{error:.3}") } else { "-".to_owned() }
}

fn check(check: &Check) -> Value {
    let finding = check.finding.as_ref().map(|finding| match finding {
        Finding::Shape { expected } => json!({"expected_shape": expected.dims()}),
        Finding::Elements(difference) => json!({
            "wrong": difference.wrong,
            "elements": difference.elements,
            "index": difference.index,
            "received": difference.received,
            "expected": difference.expected,
            "allowed": difference.allowed,
        }),
        Finding::Statistic { name, received, expected, allowed } => {
            json!({"statistic": name, "received": received, "expected": expected, "allowed": allowed})
        }
        other => json!(other.to_string()),
    });
    json!({
        "layer": check.name,
        "class": check.class,
        "shape": check.shape.dims(),
        "error": check.error,
        "limit": check.limit,
        "difference": finding,
    })
}
