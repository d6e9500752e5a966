//! `summary`, `inspect` and `convert`: model files.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use wgpu_conv::formats::{Contents, KerasFile, inspect};
use wgpu_conv::{Error, printable_name};

use crate::output::{Report, Shapes, aligned, allowed, load_on, named, no_gpu, outline};
use crate::progress::Progress;

/// The arguments of `summary`.
#[derive(Args)]
pub struct Summary {
    /// The model: a file that `wgpu-conv inspect` knows
    model: PathBuf,
    #[command(flatten)]
    shapes: Shapes,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Summary {
    /// What is printed.
    pub fn report(&self) -> Result<Report, Error> {
        let model = outline(&self.model, &self.shapes)?;
        if !self.json {
            return Ok(model.summary().into());
        }
        let layers = model.layers().into_iter().map(|(path, layer)| {
            let weights =
                layer.weights().iter().map(|weight| json!({"name": weight.name(), "shape": weight.shape().dims()}));
            json!({
                "layer": path,
                "class": layer.config().class_name(),
                "parameters": layer.count_params(),
                "weights": weights.collect::<Value>(),
            })
        });
        let inputs = model.inputs().iter().map(|input| json!({"name": input.name, "shape": input.shape.dims()}));
        let summary = json!({
            "model": model.name(),
            "inputs": inputs.collect::<Value>(),
            "outputs": model.output_shapes().iter().map(|shape| json!(shape.dims())).collect::<Value>(),
            "parameters": model.count_params(),
            "layers": layers.collect::<Value>(),
            "on_host": named_classes(model.on_host()),
        });
        Ok(summary.into())
    }
}

/// The arguments of `inspect`.
#[derive(Args)]
pub struct Inspect {
    /// A model or weights: .keras, .h5, .onnx, .safetensors
    file: PathBuf,
    #[command(flatten)]
    shapes: Shapes,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Inspect {
    /// What is printed.
    pub fn report(&self) -> Result<Report, Error> {
        let progress = Progress::new(format!("inspecting {}", named(&self.file)), "", None);
        let contents = match self.shapes.onnx(&self.file)? {
            Some(file) => file.contents(),
            None => inspect(&self.file)?,
        };
        drop(progress);
        let sound = contents.obstacles.is_empty();
        let report = if self.json { Report::from(json(&contents)) } else { self.text(&contents).into() };
        Ok(Report { sound, ..report })
    }

    fn text(&self, contents: &Contents) -> String {
        let Contents { format, name, layers, weights, on_host, obstacles, .. } = contents;
        let mut text = format!("{}: {format}", printable_name(&self.file.display().to_string()));
        if let Some(name) = name {
            let _ = write!(text, ", model {}", printable_name(name));
        }
        text.push('\n');
        if !layers.is_empty() {
            // The most frequent first, and then as they come.
            let mut by_class: HashMap<&str, (usize, usize)> = HashMap::new();
            for (place, (_, class)) in layers.iter().enumerate() {
                by_class.entry(class).or_insert((0, place)).0 += 1;
            }
            let mut counts: Vec<_> = by_class.into_iter().collect();
            counts.sort_by_key(|&(_, (count, place))| (Reverse(count), place));
            let _ = writeln!(text, "\n{} layer(s)", layers.len());
            let rows: Vec<_> =
                counts.iter().map(|(class, (count, _))| vec![format!("  {count}"), (*class).to_owned()]).collect();
            text += &aligned(&rows);
        }
        if !weights.is_empty() {
            let values: u64 =
                weights.iter().filter_map(|(_, shape)| shape.elements().ok()).fold(0, u64::saturating_add);
            let _ = writeln!(text, "\n{} tensor(s) of {values} values", weights.len());
            let rows: Vec<_> =
                weights.iter().map(|(name, shape)| vec![format!("  {name}"), shape.to_string()]).collect();
            text += &aligned(&rows);
        }
        if !on_host.is_empty() {
            let _ = writeln!(text, "\n{} of them are computed on the host, after the others:", on_host.len());
            let rows: Vec<_> = on_host
                .iter()
                .map(|(name, class)| vec![format!("  {}", printable_name(name)), printable_name(class).into_owned()])
                .collect();
            text += &aligned(&rows);
        }
        if obstacles.is_empty() {
            text += "\nNothing in it is unknown here.\n";
            return text;
        }
        let _ = writeln!(text, "\n{} of its parts cannot run here:", obstacles.len());
        for obstacle in obstacles {
            let [name, kind, reason] =
                [&obstacle.name, &obstacle.kind, &obstacle.reason].map(|text| printable_name(text));
            let _ = writeln!(text, "  {name} ({kind})\n    {reason}");
        }
        text
    }
}

/// Layers or nodes: name, and class or operator.
fn named_classes(nodes: &[(String, String)]) -> Value {
    nodes.iter().map(|(name, class)| json!({"layer": name, "class": class})).collect()
}

fn json(contents: &Contents) -> Value {
    let weights = contents.weights.iter().map(|(name, shape)| json!({"name": name, "shape": shape.dims()}));
    let obstacles = contents.obstacles.iter();
    let obstacles = obstacles.map(|it| json!({"name": it.name, "kind": it.kind, "reason": it.reason}));
    json!({
        "format": contents.format,
        "model": contents.name,
        "layers": named_classes(&contents.layers),
        "weights": weights.collect::<Value>(),
        "on_host": named_classes(&contents.on_host),
        "obstacles": obstacles.collect::<Value>(),
    })
}

/// The arguments of `convert`.
#[derive(Args)]
pub struct Convert {
    /// The model to read
    #[arg(value_name = "IN")]
    from: PathBuf,
    /// The file to write: .keras, or the weights alone as .weights.h5 or .safetensors
    #[arg(value_name = "OUT")]
    to: PathBuf,
    #[command(flatten)]
    shapes: Shapes,
    /// Replace OUT where it is there already
    #[arg(long)]
    overwrite: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Convert {
    /// What is printed.
    pub fn report(&self) -> Result<Report, Error> {
        let kept = |problem: String| Error::Format { place: self.to.display().to_string(), problem };
        if let Err(error) = self.from.metadata() {
            let place = self.from.display().to_string();
            return Err(Error::Format { place, problem: format!("cannot be read: {error}") });
        }
        allowed(&self.to, self.overwrite)?;
        let in_place = self.from.canonicalize().is_ok_and(|from| self.to.canonicalize().is_ok_and(|to| to == from));
        // What a file of Keras's holds beside the model is told, and never taken from the only file that has it.
        let lost = KerasFile::open(&self.from).map(|file| file.not_kept()).unwrap_or_default();
        if in_place && !lost.is_empty() {
            let lost = lost.join(", ");
            return Err(kept(format!(
                "{lost} would be lost in place, and it was left as it is; write to another file"
            )));
        }
        let model = load_on(&no_gpu()?, &self.from, &self.shapes)?;
        let progress = Progress::new(format!("writing {}", named(&self.to)), "", None);
        model.save(&self.to)?;
        drop(progress);
        let values = model.count_params();
        if self.json {
            let file = self.to.display().to_string();
            return Ok(json!({"file": file, "model": model.name(), "values": values, "not_kept": lost}).into());
        }
        let file = self.to.display().to_string();
        let (file, name) = (printable_name(&file), printable_name(model.name()));
        let mut text = format!("{file}: {name} with {values} weight values\n");
        if !lost.is_empty() {
            let _ = writeln!(text, "Not kept, for nothing here computes with it: {}", lost.join(", "));
        }
        Ok(text.into())
    }
}
