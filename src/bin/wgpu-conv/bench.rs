//! `bench`: how long a model takes, and how much memory.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use serde_json::{Value, json};
use wgpu_conv::model::{MemoryReport, Model, Profile};
use wgpu_conv::{AdapterChoice, Error, Gpu, Shape, printable_name};

use crate::output::{Report, Shapes, adapter, aligned, at_least_one, load_on, milliseconds, named, on};
use crate::progress::Progress;
use crate::tune::Tune;

/// The arguments of `bench`.
#[derive(Args)]
pub struct Bench {
    /// The model: a file that `wgpu-conv inspect` knows
    model: PathBuf,
    #[command(flatten)]
    fixed: Shapes,
    /// The shape of each input, batch first, for example 1x224x224x3; by default the model's own, with a batch of 1 and 224
    /// for a height or width that it leaves open
    #[arg(value_name = "INPUT-SHAPE")]
    shapes: Vec<Extents>,
    /// Runs of which the median is printed
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = at_least_one)]
    runs: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tune: Tune,
}

/// A shape as it is typed: `1x224x224x3` or `1,224,224,3`.
#[derive(Clone)]
struct Extents(Vec<usize>);

impl FromStr for Extents {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let extents = text.trim_matches(['(', ')']).split(['x', ',']).map(|part| part.trim().parse());
        let extents = extents.collect::<Result<_, _>>();
        extents.map(Self).map_err(|_| "a shape must be numbers with x between them, like 1x224x224x3".to_owned())
    }
}

impl Bench {
    /// What is printed.
    pub fn report(&self, choice: &AdapterChoice) -> Result<Report, Error> {
        let gpu = Gpu::open(choice)?;
        self.tune.begin(&gpu)?;
        let model = load_on(&gpu, &self.model, &self.fixed)?;
        let shapes: Vec<Shape> = if self.shapes.is_empty() {
            model.input_shapes(1, 224)
        } else {
            self.shapes.iter().map(|Extents(extents)| extents.as_slice().into()).collect()
        };
        if let Some(empty) = shapes.iter().find(|shape| shape.dims().contains(&0)) {
            return Err(Error::Invalid {
                argument: "INPUT-SHAPE".into(),
                rule: "every extent of an input that is measured must be 1 or more".into(),
                received: empty.to_string(),
            });
        }
        let progress = Progress::new(format!("measuring {}", named(&self.model)), "layers", self.tune.detail(&gpu));
        progress.expect(model.architecture().layers().len());
        let memory = model.memory_report(&shapes)?;
        let profile = model.profile_with(&model.sample_inputs(&shapes, 0)?, self.runs, |_| progress.done(1))?;
        drop(progress);
        self.tune.end(&gpu)?;
        if self.json {
            return Ok(self.json(&model, &shapes, &profile, &memory).into());
        }
        Ok(self.text(&model, &shapes, &profile, &memory).into())
    }

    fn text(&self, model: &Model, shapes: &[Shape], profile: &Profile, memory: &MemoryReport) -> String {
        let total = profile.total().as_secs_f64().max(f64::MIN_POSITIVE);
        let mut cells = vec![["layer", "class", "output", "time", "share"].map(str::to_owned).to_vec()];
        for layer in &profile.layers {
            let share = format!("{:.1} %", 100.0 * layer.time.as_secs_f64() / total);
            let time = milliseconds(layer.time);
            cells.push(vec![layer.path.clone(), layer.class.to_owned(), layer.shape.to_string(), time, share]);
        }
        let mut text = aligned(&cells);
        let clock = if profile.device_clock {
            "by the device's clock"
        } else {
            "as the host waits for it, a submission each: the adapter has no clock"
        };
        let shapes: Vec<_> = shapes.iter().map(ToString::to_string).collect();
        let runs = self.runs;
        let _ = writeln!(text, "Each layer by itself, {clock}; medians of {runs} runs.\n");
        let rows = [
            ("all layers, one by one", milliseconds(profile.total())),
            ("compiled model, launches", milliseconds(profile.program)),
            ("compiled model, a call", milliseconds(profile.call)),
            ("first call", milliseconds(profile.first_call)),
        ];
        text += &aligned(&rows.map(|(name, value)| vec![name.to_owned(), value]));
        let _ = writeln!(text, "memory: {memory}");
        let _ = writeln!(text, "{} of {}, on {}", printable_name(model.name()), shapes.join(", "), on(model.gpu()));
        text
    }

    fn json(&self, model: &Model, shapes: &[Shape], profile: &Profile, memory: &MemoryReport) -> Value {
        let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        let layers = profile.layers.iter().map(|layer| {
            json!({
                "layer": layer.path,
                "class": layer.class,
                "shape": layer.shape.dims(),
                "parameters": layer.parameters,
                "ms": ms(layer.time),
            })
        });
        json!({
            "model": model.name(),
            "adapter": adapter(model.gpu().info()),
            "inputs": shapes.iter().map(|shape| json!(shape.dims())).collect::<Value>(),
            "runs": self.runs,
            "clock": if profile.device_clock { "device" } else { "host" },
            "layers": layers.collect::<Value>(),
            "layers_ms": ms(profile.total()),
            "launches_ms": ms(profile.program),
            "call_ms": ms(profile.call),
            "first_call_ms": ms(profile.first_call),
            "memory": {
                "weights": memory.weights,
                "activations": memory.activations,
                "every_activation": memory.every_activation,
                "total": memory.total(),
            },
        })
    }
}
