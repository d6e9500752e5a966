//! The command line.

use crate::Result;

/// What `--help` prints.
pub const HELP: &str = "\
Times convolutions, after proving each right.

cargo bench --bench conv -- [OPTIONS] [PART…]

A PART selects cases whose name `file/case` holds it; without any, all are run.

  --all           every candidate kernel of a case, not only the one the library chooses; at the end, where another is
                  faster
  --training      forward and backward pass of the workloads, and a step of two networks, in place of kernels
  --sweep         cost against pixels, channels and batch, in place of the networks
  --calls N       record N calls into each submission and divide by N (1): hides the submission's own cost
  --wall          wall time, where the device has a clock of its own: what other libraries were timed by
  --cpu           processor time of all threads over the number of cores, in place of wall time: for software
                  adapters on a busy machine, and Linux only; cores that wait for each other do not show
  --json FILE     write every figure to FILE
  --compare FILE  ratios against such a FILE
  --help          this

Environment: WGPU_ADAPTER_NAME and WGPU_BACKEND choose the adapter. MESA_SHADER_CACHE_DISABLE=true keeps Mesa
from answering first calls out of its cache on disk.

Columns
  n          layers of the network that are such a case
  ms         median of one call with input, weights and output on the device, by the clock that the head names
  quartiles  ms below which a quarter and three quarters of the runs lie
  GF/s       two operations for each product of the direct algorithm, over the median
  GB/s       bytes of input, kernel and output, each once, over the median
  limit      the time that the adapter's own limits allow, over the median; they are measured first, and printed.
             What stays in a cache may pass the limit of the copy
  trip       ms of a round trip, host input to host output
  first      ms of the first call; in brackets where nothing had to be compiled, as another layer had the same shaders
  MiB        device memory of the case: input, weights, packed weights, scratch, output
  bar        the fastest other library, over the median: means something on the machine of `peers.txt` only, and is not
             shown for times by the device's clock, which leave out what theirs hold
  plan       the kernels, without `conv_`
";

/// What to run, and what to do with the figures.
#[derive(Debug, Default)]
pub struct Options {
    /// Every candidate.
    pub all: bool,
    /// The sweeps instead of workloads and networks.
    pub sweep: bool,
    /// Gradients and steps instead of kernels.
    pub training: bool,
    /// Processor time instead of wall time.
    pub cpu: bool,
    /// Wall time instead of the device's.
    pub wall: bool,
    /// Only the help.
    pub help: bool,
    /// Calls in one submission.
    pub calls: u32,
    /// Where the figures go.
    pub json: Option<String>,
    /// Earlier figures.
    pub compare: Option<String>,
    /// Parts of names.
    pub parts: Vec<String>,
}

impl Options {
    /// The options of a command line, without the program's name.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut options = Self { calls: 1, ..Self::default() };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value; see --help"));
            match argument.as_str() {
                "--all" => options.all = true,
                "--sweep" => options.sweep = true,
                "--training" => options.training = true,
                "--cpu" => options.cpu = true,
                "--wall" => options.wall = true,
                "--help" | "-h" => options.help = true,
                "--calls" => options.calls = value()?.parse::<u32>()?.max(1),
                "--json" => options.json = Some(value()?),
                "--compare" => options.compare = Some(value()?),
                // Cargo says so to every bench.
                "--bench" => {}
                other if other.starts_with('-') => return Err(format!("there is no option {other}; see --help").into()),
                _ => options.parts.push(argument),
            }
        }
        if options.cpu && options.wall {
            return Err("--cpu and --wall exclude each other; see --help".into());
        }
        Ok(options)
    }

    /// Whether the case of this name is to be run.
    pub fn selects(&self, name: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|part| name.contains(part.as_str()))
    }
}
