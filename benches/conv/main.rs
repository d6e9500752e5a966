//! Times convolutions, after proving each right.
//!
//! ```text
//! MESA_SHADER_CACHE_DISABLE=true cargo bench --bench conv -- [--all] [--json FILE] [--compare FILE] [PART…]
//! ```
//!
//! `--help` lists the options and explains the columns. Cases are rows of text in `benches/shapes`: the workloads that other
//! libraries were measured on (`benches/peers.txt`), and every distinct convolution of six networks; and MobileNetV1 as a
//! whole.
//!
//! # What is timed
//! Input, weights and output stay on the device. A run is one submission, after two runs that do not count, timed by the
//! device's own clock from its first launch to its last; where there is none, or with `--wall`, on the wall, from recording
//! the submission until the device has completed it. Other libraries were timed on the wall. Times of an adapter in
//! software hold for one machine and hour, so the limits of the adapter are measured in the same process, in submissions
//! long enough for either clock: multiply-adds in registers, with the loop spelled out, and a copy. A case is held to the
//! larger of the times that they leave it.
//!
//! With `--training` the workloads are run forward and backward, to the input and to the weights, and two networks take steps;
//! what is proved there stands in `training.rs`.
//!
//! With `--all` the fastest candidate of each case is compared with the one that the library chooses, which is where to
//! look after a kernel was added or changed.
//!
//! Workloads each begin with nothing compiled. The layers of a network share their pipelines, as a program that runs it
//! does, so that only the first layer of a kind shows what compiling costs. Mesa keeps compiled shaders on disk, and its
//! cache must be off for first calls to mean anything: `MESA_SHADER_CACHE_DISABLE=true`.
//!
//! # What is proved
//! Each kernel's output is compared with the `f64` reference of the tests before it is timed, within the bound of the
//! tests: all of it up to 60 million products, and beyond that the corners and some pixels drawn at random, each with all
//! its channels, so that the proof does not take longer than the timing. One that is wrong is reported, not timed, and
//! makes the bench fail.

mod arguments;
mod case;
mod clock;
mod limits;
mod measure;
mod network;
mod report;
mod training;
mod truth;

/// The reference, and the bounds that tests hold results to.
#[path = "../../tests/common/mod.rs"]
pub mod common;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use arguments::{HELP, Options};
use case::{Case, FILES, SWEEPS};
use clock::Clock;
use limits::Limits;
use measure::{Method, Row};
use network::Network;
use report::Peers;
use wgpu_conv::Gpu;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let start = Instant::now();
    let outcome = Options::parse(std::env::args().skip(1)).and_then(|options| run(&options, start));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything that was run was right.
fn run(options: &Options, start: Instant) -> Result<bool> {
    if options.help {
        print!("{HELP}");
        return Ok(true);
    }
    let earlier: Option<serde_json::Value> = match &options.compare {
        Some(file) => Some(serde_json::from_slice(&std::fs::read(file).map_err(|why| format!("{file}: {why}"))?)?),
        None => None,
    };
    let gpu = Gpu::new()?;
    let clock = Clock::new(options, &gpu)?;
    if options.training {
        report::print_adapter(&gpu, clock, 1);
        return training::measure(&gpu, clock, options);
    }
    let peers = Peers::read(clock)?;
    // First, as its first call is to be the process's.
    let network = match !options.sweep && options.selects(Network::NAME) {
        true => Some(network::measure(&gpu, clock, start)?),
        false => None,
    };
    report::print_adapter(&gpu, clock, options.calls);
    if let Some(network) = &network {
        report::print_network(network, &peers);
    }
    let limits = Limits::measure(&gpu, clock)?;
    report::print_limits(&limits);
    let mut method =
        Method { limits: &limits, clock, all: options.all, calls: options.calls, span: Duration::from_millis(400) };
    let mut rows: Vec<Row> = Vec::new();
    for file in if options.sweep { &SWEEPS[..] } else { &FILES } {
        let mut cases = Case::read(*file)?;
        cases.retain(|case| options.selects(&case.name));
        if cases.is_empty() {
            continue;
        }
        report::print_heading(file.0);
        let first = rows.len();
        let is_network = !["workloads", "siblings", "sweeps"].contains(&file.0);
        // A network has many layers, and is about their sum.
        method.span = Duration::from_millis(if is_network { 120 } else { 400 });
        // The same device with nothing compiled and nothing allocated.
        let mut own = gpu.apart();
        for case in &cases {
            if !is_network {
                own = gpu.apart();
            }
            measure::measure(&own, case, &method, |row| {
                report::print_row(&row, &peers);
                rows.push(row);
            })?;
        }
        if is_network {
            report::print_total(&rows[first..]);
        }
    }
    report::print_summary(&rows, &peers);
    report::print_choices(&rows);
    let figures = report::json(&gpu, clock, options.calls, &limits, network.as_ref(), &rows);
    if let Some(earlier) = &earlier {
        report::print_comparison(earlier, &figures);
    }
    if let Some(file) = &options.json {
        std::fs::write(file, format!("{figures:#}\n")).map_err(|why| format!("{file}: {why}"))?;
    }
    let wrong = rows.iter().filter(|row| row.outcome.is_err()).count();
    if wrong > 0 {
        println!("{wrong} of {} rows are wrong", rows.len());
    }
    Ok(wrong == 0 && network.is_none_or(|network| network.is_right()))
}
