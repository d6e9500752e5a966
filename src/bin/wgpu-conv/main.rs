//! `wgpu-conv`: model files on a GPU, from the command line.

mod bench;
mod files;
mod output;
mod progress;
mod run;
mod train;
mod tune;
mod verify;
mod view;

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wgpu_conv::formats::Budget;
use wgpu_conv::{AdapterChoice, Error, Gpu, Settings, printable};

use output::{LABELS, Report, adapter, aligned, backend, driver, kind};

const EXAMPLES: &str = "\
Examples:
  wgpu-conv run digits.keras seven.png
      what the model sees in one picture
  wgpu-conv inspect digits.keras
      what the file holds, and whether it would run here
  wgpu-conv verify digits.keras
      whether every layer computes what it should, and which is the first that
      does not
  wgpu-conv bench digits.keras 32x8x8x1
      where the time goes, and how much memory it takes
  wgpu-conv convert digits.h5 digits.keras
      an old file as a new one
  wgpu-conv view digits.keras seven.png -o seven.html
      what every layer makes of a picture, as a page to open in a browser
  wgpu-conv train digits.keras pictures/ -o trained.keras
      a model that learns, from a folder of pictures for each class
  wgpu-conv adapters
      what there is to compute on

`wgpu-conv COMMAND --help` has more of each.";

const RUN: &str = "\
Examples:
  wgpu-conv run digits.keras seven.png
      what the model sees in one picture
  wgpu-conv run digits.keras pictures/ --top 3 --labels names.txt
      the three best labels, by name, for every picture of a folder
  wgpu-conv run digits.keras test.safetensors --tensor images --compare labels
      how many of a test set the model gets right
  wgpu-conv run digits.keras test.npy -o scores.npy
      the outputs as they are, for NumPy; -o scores.npz holds several
  wgpu-conv run resnet18.onnx cat.jpg --mean 0.485,0.456,0.406 \
      --std 0.229,0.224,0.225
      by pixels as torchvision's models were trained on them
  wgpu-conv run digits.keras pictures/ --json --adapter software
      the same as JSON, computed without a GPU
  wgpu-conv run digits.keras pictures/ --tune kernels.txt
      by the kernels that are fastest on this adapter: the first time takes
      longer, to measure them";

const SUMMARY: &str = "\
Examples:
  wgpu-conv summary digits.keras
      the layers, their output shapes and their parameters, as Keras prints them
  wgpu-conv summary digits.keras --json
      the same for a script, with the shapes of the weights

No GPU is needed.";

const INSPECT: &str = "\
Examples:
  wgpu-conv inspect digits.keras
      what is in the file, and what of it would not run here and why; no GPU is
      needed, and nothing in the file is executed
  wgpu-conv inspect weights.safetensors --json
      the tensors of a file, for a script

The exit status is 1 where something would not run.";

const VERIFY: &str = "\
Examples:
  wgpu-conv verify digits.keras
      every layer on this adapter against an f64 computation on the CPU, on
      random numbers, and the first layer that differs by more than f32 may
  wgpu-conv verify digits.keras seven.png
      the same on a picture
  wgpu-conv verify digits.keras test.safetensors --expected layers.json
      against what was recorded of the layers elsewhere, in Keras for example
  wgpu-conv verify digits.keras --adapter software
      on another adapter: where only one differs, the driver is to blame

The exit status is 1 where something differs.";

const BENCH: &str = "\
Examples:
  wgpu-conv bench digits.keras
      the time of each layer, of the whole model and of the first call, and the
      memory
  wgpu-conv bench digits.keras 32x8x8x1 --runs 100
      for a batch of 32
  wgpu-conv bench digits.keras --tune kernels.txt
      by the kernels that are fastest on this adapter; what was measured stays
      in kernels.txt, for `run` as well
  wgpu-conv bench digits.keras --json
      the same for a script";

const CONVERT: &str = "\
Examples:
  wgpu-conv convert digits.h5 digits.keras
      a model in Keras's old format as one in the new
  wgpu-conv convert digits.keras digits.weights.h5
      the weights alone, for Keras's load_weights
  wgpu-conv convert digits.keras digits.safetensors
      the weights alone, by Keras's paths

No GPU is needed.";

const VIEW: &str = "\
Examples:
  wgpu-conv view digits.keras seven.png -o seven.html
      one page that needs nothing else: the maps of every layer, to open and
      close, and the scores
  wgpu-conv view digits.keras seven.png -o seven.html --open stem dw1 --flat
      with two layers open at first, and no perspective
  wgpu-conv view digits.keras seven.png --open all --png maps/
      and a picture of each layer
  wgpu-conv view digits.keras --live node_modules/wgpu-conv --train digits.npz -o page
      in the folder page, one that computes by itself in a browser and trains
      its model there
  wgpu-conv view digits.keras --shape-only -o digits.html
      the layers and their shapes, without weights and without a GPU";

const TRAIN: &str = "\
Examples:
  wgpu-conv train digits.keras pictures/ -o trained.keras --epochs 20
      by the pictures in a folder for each class
  wgpu-conv train digits.keras digits.npz -o trained.keras --from-scratch
      from random weights, by the arrays x_train and y_train, measured after
      each epoch by x_test and y_test
  wgpu-conv train mobilenet.keras flowers/ -o flowers.keras --new-head
      --freeze all-but:1 --learning-rate 0.01 --validation-split 0.2 --patience 3
      a new last layer, for the classes in that folder, and that layer alone,
      until it no longer becomes better
  wgpu-conv train run.keras digits.npz -o run.keras --overwrite --resume
      on from where a training was saved, here or in Keras
  wgpu-conv train digits.keras digits.npz -o trained.keras --page curves.html
      and the curves of losses and metrics, as a page to open in a browser

A .npz file is what numpy.savez(\"digits.npz\", x_train=…, y_train=…) writes.";

/// Runs convolutional networks from Keras and ONNX files on any GPU
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    /// What to compute on: an index or part of a name from `wgpu-conv adapters`, `hardware`, `software` or `best`
    #[arg(long, global = true, value_name = "WHICH", default_value = "best")]
    adapter: AdapterChoice,
    /// How many times the usual memory and work reading a file may take: 512 MiB and a few seconds beyond what is in
    /// proportion to its size, so that a small file cannot ask for more. Raise it for files that you trust
    #[arg(long, global = true, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    budget: u64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a model on pictures or arrays and prints the best labels
    #[command(after_help = RUN)]
    Run(run::Run),
    /// Prints a model's layers, shapes and parameters
    #[command(after_help = SUMMARY)]
    Summary(files::Summary),
    /// Tells what a file holds, and what of it would not run and why
    #[command(after_help = INSPECT)]
    Inspect(files::Inspect),
    /// Compares every layer with a reference and names the first that differs
    #[command(after_help = VERIFY)]
    Verify(verify::Verify),
    /// Measures a model: time by layer, total, first call, memory
    #[command(after_help = BENCH)]
    Bench(bench::Bench),
    /// Writes a model, or its weights, in another format
    #[command(after_help = CONVERT)]
    Convert(files::Convert),
    /// Writes a page that shows what every layer makes of an input
    #[command(after_help = VIEW)]
    View(view::View),
    /// Trains a model on pictures or arrays, and saves it
    #[command(after_help = TRAIN)]
    Train(Box<train::Train>),
    /// Lists what there is to compute on
    Adapters(Adapters),
}

/// The arguments of `adapters`.
#[derive(clap::Args)]
struct Adapters {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What the library warns of, as notes on standard error.
struct Notes;

impl log::Log for Notes {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn && metadata.target().starts_with("wgpu_conv")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            // Where standard error is closed nobody looks.
            let _ = writeln!(io::stderr(), "note: {}", printable(&record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if log::set_logger(&Notes).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
    let Budget { memory, work } = Budget::default();
    Budget { memory: memory.saturating_mul(cli.budget), work: work.saturating_mul(cli.budget) }.install();
    match report(&cli) {
        Ok(Report { text, sound }) => match io::stdout().lock().write_all(printable(&text).as_bytes()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => fail(&format!("writing the output: {error}")),
            _ if sound => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        },
        Err(error) => fail(&format!("{error}\nnext: {}", next_step(&cli.command, &error))),
    }
}

/// What the command prints.
fn report(cli: &Cli) -> Result<Report, Error> {
    if !matches!(cli.command, Command::Adapters(_)) {
        // Configs that leave something open mean by it what they mean in the user's Keras.
        Settings::load_user()?.install();
    }
    match &cli.command {
        Command::Run(run) => run.report(&cli.adapter),
        Command::Summary(summary) => summary.report(),
        Command::Inspect(inspect) => inspect.report(),
        Command::Verify(verify) => verify.report(&cli.adapter),
        Command::Bench(bench) => bench.report(&cli.adapter),
        Command::Convert(convert) => convert.report(),
        Command::View(view) => view.report(&cli.adapter),
        Command::Train(train) => train.report(&cli.adapter),
        Command::Adapters(adapters) => adapters.report(),
    }
}

fn fail(message: &str) -> ExitCode {
    // There is nowhere left to say that standard error is closed.
    let _ = writeln!(io::stderr(), "error: {}", printable(message));
    ExitCode::FAILURE
}

/// How the reasons begin why the last steps of a model cannot be computed on the host, or not there.
const ON_HOST: [&str; 2] = ["of what follows the model on the host", "its last steps are computed on the host"];

fn next_step(command: &Command, error: &Error) -> &'static str {
    match error.kind() {
        Error::Format { place, .. } if place.ends_with("keras.json") => {
            "mend the file, or move it away: it holds Keras's defaults for you, and there need not be one"
        }
        Error::Format { problem, .. } if problem.starts_with("cannot be read") => {
            "check the path, and whether you may read it"
        }
        Error::Format { problem, .. }
            if ["left as it is", "cannot be written", "is a folder; give", "cannot be made", "there is no folder"]
                .iter()
                .any(|part| problem.contains(part)) =>
        {
            "choose another path to write to"
        }
        Error::Format { problem, .. } if problem.contains(LABELS) => {
            "give a text file with the name of a label on each line, the first for label 0"
        }
        Error::Format { problem, .. }
            if ["--tensor NAME", "it holds no array"].iter().any(|it| problem.contains(it)) =>
        {
            match command {
                Command::Train(_) => "name an array of the file: --x NAME for the inputs, --y NAME for the targets",
                _ => "name an array of the file: --tensor NAME for the inputs, --compare NAME for the right labels",
            }
        }
        Error::Format { place, .. } if is_input(place) => {
            "give a whole picture (.png, .jpg) or array (.npy, .npz, .safetensors): save it again where it was made"
        }
        Error::Invalid { argument, .. } if argument == "WGPU_BACKEND" => {
            "`unset WGPU_BACKEND`, and `wgpu-conv adapters` lists what there is"
        }
        Error::Unsupported { what, .. } if what.ends_with("an input of this kind") => {
            "save it as a picture (.png, .jpg) or as an array (.npy, .npz, .safetensors)"
        }
        Error::Unsupported { reason, .. } if reason.starts_with("convert it") => {
            "convert it there, and give the file that comes of it"
        }
        Error::Limit { resource, .. } if resource.contains("budget") => {
            "if you trust the file, allow it more: --budget 8 is eight times as much"
        }
        _ if matches!(command, Command::Inspect(_)) => {
            "give a model or weights: .keras, .h5, .onnx, .safetensors, whole as it was saved"
        }
        Error::Format { .. } => "check the file; `wgpu-conv inspect FILE` says what it holds",
        Error::Gpu { .. } => "`wgpu-conv adapters` lists what there is; choose with --adapter",
        Error::Limit { .. } => "compute fewer inputs together with --batch 1, or choose another --adapter",
        Error::Unsupported { reason, .. } if ON_HOST.iter().any(|it| reason.starts_with(it)) => {
            "end the model before what the host computes, which `wgpu-conv inspect FILE` lists: --until NAME"
        }
        Error::Unsupported { .. } => {
            "`wgpu-conv inspect FILE` lists all that stands in the way; docs/layers.md says what is supported"
        }
        _ => "`wgpu-conv COMMAND --help` shows how models and inputs are given",
    }
}

/// Whether the place of an error is a picture or an array.
fn is_input(place: &str) -> bool {
    let file = place.split(", ").next().unwrap_or(place).to_lowercase();
    [".png", ".jpg", ".jpeg", ".npy", ".npz"].iter().any(|ending| file.ends_with(ending))
}

impl Adapters {
    /// What is printed.
    fn report(&self) -> Result<Report, Error> {
        let adapters = Gpu::adapters();
        if adapters.is_empty() {
            // Which says why there is none.
            Gpu::new()?;
        }
        if self.json {
            return Ok(adapters.iter().map(adapter).collect::<serde_json::Value>().into());
        }
        let mut cells = vec![["index", "name", "kind", "backend", "driver"].map(str::to_owned).to_vec()];
        for (index, it) in adapters.iter().enumerate() {
            cells.push(vec![index.to_string(), it.name.clone(), kind(it).into(), backend(it).into(), driver(it)]);
        }
        Ok(aligned(&cells).into())
    }
}
