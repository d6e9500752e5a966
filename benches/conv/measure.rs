//! One case after another: proved, then timed.

use std::time::Duration;

use wgpu_conv::layers::Layer;
use wgpu_conv::plan::{ConvProblem, Problem, SeparableProblem};
use wgpu_conv::{Gpu, Tensor, Tuning};

use crate::Result;
use crate::case::Case;
use crate::clock::{Clock, Times, repeat};
use crate::common::reference::Array;
use crate::limits::Limits;
use crate::truth::Truth;

const RUNS: usize = 7;
const ROUND_TRIPS: usize = 3;

/// How cases are measured.
pub struct Method<'a> {
    pub limits: &'a Limits,
    pub clock: Clock,
    /// Every candidate.
    pub all: bool,
    /// Calls in one submission.
    pub calls: u32,
    /// The least time that runs are repeated for.
    pub span: Duration,
}

/// One case by one choice of plans.
pub struct Row {
    pub case: Case,
    /// A plan for each of the layer's convolutions, or one for two.
    pub plans: Vec<String>,
    /// Whether the library chooses these plans.
    pub chosen: bool,
    /// What was measured, or why nothing was.
    pub outcome: Result<Figures, String>,
}

/// What was measured.
pub struct Figures {
    pub times: Times,
    /// Operations of the direct algorithm.
    pub flops: u64,
    /// Bytes of input, kernels and output.
    pub bytes: u64,
    /// Milliseconds that the adapter's limits allow.
    pub floor: f64,
    /// Milliseconds from host to host.
    pub round_trip: f64,
    /// Milliseconds of the first call, and the pipelines that it compiled.
    pub first: f64,
    pub compiled: u64,
    /// Bytes on the device.
    pub memory: u64,
}

impl Figures {
    pub fn gflops(&self) -> f64 {
        self.flops as f64 / self.times.median() / 1e6
    }

    pub fn gbytes(&self) -> f64 {
        self.bytes as f64 / self.times.median() / 1e6
    }

    /// Part of what the adapter's limits allow.
    pub fn fraction(&self) -> f64 {
        self.floor / self.times.median()
    }
}

/// Measures `case` on `gpu` and shows each row when it is known.
pub fn measure(gpu: &Gpu, case: &Case, method: &Method, mut show: impl FnMut(Row)) -> Result<()> {
    let problems = case.config()?.convolutions(case.input.clone())?;
    let weights: Vec<Array> = build(gpu, case)?
        .get_weights()
        .unwrap()
        .iter()
        .map(|weight| Array::from_f32(weight.shape.dims(), &weight.values))
        .collect();
    let truth = Truth::new(case, &weights)?;
    for (tuning, plans) in choices(gpu, &problems, method.all)? {
        let chosen = tuning == Tuning::Heuristic;
        gpu.set_tuning(tuning);
        let outcome = figures(gpu, case, &problems, &truth, method).map_err(|why| why.to_string());
        show(Row { case: case.clone(), plans, chosen, outcome });
    }
    gpu.set_tuning(Tuning::Heuristic);
    Ok(())
}

/// The library's choice, and with `all` whatever else a pinned candidate of one of the problems makes of it, or of two in
/// one pass.
fn choices(gpu: &Gpu, problems: &[ConvProblem], all: bool) -> Result<Vec<(Tuning, Vec<String>)>> {
    let names = |problem: &Problem| -> Result<Vec<String>> {
        Ok(gpu.candidates(problem)?.into_iter().map(|plan| plan.name()).collect())
    };
    let separable = match *problems {
        [depthwise, pointwise] => SeparableProblem::new(depthwise, pointwise),
        _ => None,
    };
    let in_one = separable.map_or(Ok(Vec::new()), |problem| names(&Problem::Separable(problem)))?;
    let menus = problems.iter().map(|problem| names(&Problem::Conv(*problem))).collect::<Result<Vec<_>>>()?;
    let pinned = |name: &String| -> Vec<String> {
        menus.iter().map(|menu| menu.iter().find(|&other| other == name).unwrap_or(&menu[0]).clone()).collect()
    };
    let one_by_one = menus.iter().flatten().map(|name| (Tuning::Pin(name.clone()), pinned(name)));
    let in_one = in_one.iter().map(|name| (Tuning::Pin(name.clone()), vec![name.clone()]));
    gpu.set_tuning(Tuning::Heuristic);
    let chosen = match separable {
        Some(problem) if gpu.takes_one_pass(&problem)? => in_one.clone().next().map(|(_, plans)| plans),
        _ => None,
    };
    let chosen = chosen.unwrap_or_else(|| menus.iter().map(|menu| menu[0].clone()).collect());
    let mut choices = vec![(Tuning::Heuristic, chosen)];
    for choice in one_by_one.chain(in_one).filter(|_| all) {
        if choices.iter().all(|(_, known)| *known != choice.1) {
            choices.push(choice);
        }
    }
    Ok(choices)
}

fn build(gpu: &Gpu, case: &Case) -> Result<Layer> {
    Ok(case.config()?.build(gpu, case.input.clone())?)
}

fn figures(gpu: &Gpu, case: &Case, problems: &[ConvProblem], truth: &Truth, method: &Method) -> Result<Figures> {
    gpu.release_unused();
    let before = gpu.counters();
    let values = case.values();
    let layer = build(gpu, case)?;
    let input = Tensor::from_slice(gpu, case.input.clone(), &values)?;
    let mut output = None;
    let first = method.clock.host(|| {
        output = Some(layer.call(&input)?);
        Ok(gpu.synchronize()?)
    })?;
    let compiled = gpu.counters().pipelines - before.pipelines;
    truth.check(&output.take().map_or(Ok(Vec::new()), |output| output.read::<f32>())?)?;
    gpu.release_unused();
    let mut times = repeat(RUNS, method.span, || {
        method
            .clock
            .device(gpu, |commands| (0..method.calls).try_for_each(|_| layer.record(commands, &input).map(drop)))
    })?;
    times.divide(method.calls);
    let memory = gpu.counters().bytes - before.bytes;
    let round_trip = repeat(ROUND_TRIPS, Duration::ZERO, || {
        method.clock.host(|| {
            layer.call(&Tensor::from_slice(gpu, case.input.clone(), &values)?)?.read::<f32>()?;
            Ok(())
        })
    })?;
    let flops = problems.iter().map(|problem| problem.geometry.flops()).sum();
    let elements = problems.iter().map(|problem| problem.geometry.kernel_elements()).sum::<u64>()
        + problems.first().map_or(0, |first| first.geometry.in_elements())
        + problems.last().map_or(0, |last| last.geometry.out_elements());
    let bytes = elements * size_of::<f32>() as u64;
    let floor = method.limits.floor(flops, bytes);
    Ok(Figures { times, flops, bytes, floor, round_trip: round_trip.median(), first, compiled, memory })
}
