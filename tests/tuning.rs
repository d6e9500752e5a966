//! What is kept of one process for the next: kernels chosen by measurement, and what a driver has compiled.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;

use std::path::PathBuf;
use std::time::Duration;

use wgpu_conv::layers::{Conv2D, DepthwiseConv2D, Layer, LayerConfig, SeparableConv2D};
use wgpu_conv::model::Sequential;
use wgpu_conv::plan::{Problem, SeparableProblem};
use wgpu_conv::{Activation, Counters, Gpu, Measurement, Padding, Tensor, Tuning};

const SHAPE: [usize; 4] = [1, 14, 15, 16];

/// A device that nothing has been measured or compiled on.
fn fresh() -> Option<Gpu> {
    gpu::gpu().map(|shared| shared.apart())
}

/// A file of this test's own, which does not exist.
fn file(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&path);
    path
}

fn config() -> LayerConfig {
    DepthwiseConv2D::new(3).padding(Padding::Same).activation(Activation::RELU).into()
}

/// Whole numbers from -2 to 2, whose sums are exact on every kernel.
fn whole(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 37 % 101 % 5) as f32 - 2.0).collect()
}

fn input(gpu: &Gpu) -> Tensor {
    Tensor::from_slice(gpu, SHAPE, &whole(SHAPE.iter().product())).expect("a tensor")
}

fn layer(gpu: &Gpu, config: &LayerConfig) -> Layer {
    let layer = config.build(gpu, SHAPE).expect("a layer");
    let mut weights = layer.get_weights().unwrap();
    weights.iter_mut().for_each(|weight| weight.values = whole(weight.values.len()));
    layer.set_weights(&weights).expect("its own shapes");
    layer
}

/// The output of the layer under `tuning`, and what its first call made.
fn output(gpu: &Gpu, tuning: Tuning) -> (Vec<f32>, [u64; 2]) {
    let (layer, input) = (layer(gpu, &config()), input(gpu));
    gpu.set_tuning(tuning);
    let before = gpu.counters();
    let output = layer.call(&input).expect("a call");
    let after = gpu.counters();
    let made = [|counters: &Counters| counters.pipelines, |counters: &Counters| counters.submissions];
    (output.read().expect("values"), made.map(|count| count(&after) - count(&before)))
}

fn problem() -> Problem {
    Problem::Conv(config().convolutions(SHAPE).expect("a convolution")[0])
}

fn names(gpu: &Gpu) -> Vec<String> {
    gpu.candidates(&problem()).expect("plans").into_iter().map(|plan| plan.name()).collect()
}

/// The name that measuring has found to be the fastest.
fn fastest(gpu: &Gpu) -> String {
    let measurements = gpu.measurements();
    let plans = &measurements[&format!("{:?}", problem())];
    plans.iter().min_by_key(|plan| plan.median()).expect("plans were measured").plan.clone()
}

#[test]
fn every_candidate_is_measured() {
    let Some(gpu) = fresh() else { return };
    let (expected, _) = output(&gpu, Tuning::Heuristic);
    assert!(gpu.measurements().is_empty(), "nothing is measured unasked");
    let (measured, _) = output(&gpu, Tuning::Measure);
    assert_eq!(measured, expected);
    let measurements = gpu.measurements();
    assert_eq!(measurements.len(), 1, "{measurements:#?}");
    let plans = &measurements[&format!("{:?}", problem())];
    assert!(plans.iter().map(|plan| &plan.plan).eq(&names(&gpu)), "{plans:#?}");
    assert!(plans.iter().all(|plan| !plan.samples.is_empty() && !plan.median().is_zero()), "{plans:#?}");
    assert!(plans.iter().any(|plan| plan.samples.len() > 1), "{plans:#?}");
    // The call, and the kernel's copy to a texture where it is read through one.
    let [pipelines, submissions] = output(&gpu, Tuning::Measure).1;
    assert!(
        pipelines == 0 && submissions <= 2,
        "{pipelines} pipelines and {submissions} submissions of what is on record"
    );
}

#[test]
fn a_file_saves_measuring() {
    let (Some(first), Some(second)) = (fresh(), fresh()) else { return };
    let path = file("tuning.txt");
    assert_eq!(second.load_tuning(&path).expect("a file that does not exist is empty"), 0);
    let (expected, _) = output(&first, Tuning::Measure);
    first.save_tuning(&path).expect("a file");
    assert_eq!(second.load_tuning(&path).expect("the file"), 1);
    assert_eq!(second.measurements(), first.measurements());
    let (loaded, made) = output(&second, Tuning::Measure);
    let (pinned, as_pinned) = output(&fresh().expect("a device"), Tuning::Pin(fastest(&first)));
    assert_eq!((&loaded, &pinned), (&expected, &expected));
    assert_eq!(made, as_pinned, "pipelines and submissions of the fastest alone");
}

/// Lines that are torn or about something else are passed over, and a file that holds any is left as it is; those of other
/// devices stay.
#[test]
fn a_file_may_hold_anything() {
    let Some(gpu) = fresh() else { return };
    let path = file("lines.txt");
    output(&gpu, Tuning::Measure);
    gpu.save_tuning(&path).expect("a file");
    let text = std::fs::read_to_string(&path).expect("text");
    let line = text.lines().last().expect("a line");
    let head = text.lines().next().expect("a head");
    let foreign = line.replacen(&gpu.info().name, "another", 1);
    let read = |lines: &str| {
        std::fs::write(&path, format!("{head}\n{lines}")).expect("a file");
        let gpu = fresh().expect("a device");
        let count = gpu.load_tuning(&path).expect("a readable file");
        (count, gpu)
    };
    let whole = format!("{line}\n");
    let cut: Vec<String> = [1, 2, 3, line.len() / 2].map(|less| line[..line.len() - less].to_owned()).into();
    for torn in cut.iter().map(String::as_str).chain(["", "\n", "# a comment\n", "\t\t\t\n", "a\tb\tplan\n"]) {
        assert_eq!(read(torn).0, 0, "{torn}");
        assert_eq!(read(&format!("{torn}\n{whole}")).0, 1, "{torn}");
    }
    assert_eq!(read(&format!("{line} \n")).0, 0);
    assert_eq!(read(&format!("{line}x\n")).0, 0);
    std::fs::write(&path, [head.as_bytes(), b"\n\xff\xfe\n", whole.as_bytes()].concat()).expect("a file");
    assert_eq!(gpu.load_tuning(&path).expect("a readable file"), 1);

    let (count, other) = read(&format!("{foreign}\n{whole}# Of an old driver.\n"));
    assert_eq!(count, 1);
    for refused in [other.save_tuning(&path), other.keep_tuning(&path).map(drop)] {
        let message = refused.expect_err("a line is somebody's own").to_string();
        assert!(message.contains("left as it is"), "{message}");
    }
    assert!(std::fs::read_to_string(&path).expect("text").ends_with("# Of an old driver.\n"));

    let (count, other) = read(&format!("{foreign}\n{whole}"));
    assert_eq!(count, 1);
    other.save_tuning(&path).expect("a file");
    let text = std::fs::read_to_string(&path).expect("text");
    assert!(text.lines().any(|kept| kept == foreign) && text.lines().any(|kept| kept == line), "{text}");

    // Names that are no longer on the menu are not chosen: the rest is, or all is measured again.
    let gone = |name: &str| line.replace(&format!("\t{name} "), &format!("\tgone_{name} "));
    let (_, gpu) = read(&format!("{}\n", gone(&fastest(&gpu))));
    let (_, made) = output(&gpu, Tuning::Measure);
    assert!(made[0] <= 2 && gpu.measurements().values().flatten().any(|plan| plan.plan.starts_with("gone_")));
    let none = line.split_once("\tconv").map(|(head, _)| format!("{head}\tgone 1 2 3\n")).expect("plans");
    let (count, gpu) = read(&none);
    assert_eq!(count, 1);
    output(&gpu, Tuning::Measure);
    assert!(names(&gpu).contains(&fastest(&gpu)));

    std::fs::write(&path, "a letter").expect("a file");
    for refused in [gpu.load_tuning(&path).map(drop), gpu.save_tuning(&path), gpu.keep_tuning(&path).map(drop)] {
        let message = refused.expect_err("a letter holds no times").to_string();
        assert!(message.contains("left as it is"), "{message}");
    }
    assert_eq!(std::fs::read(&path).expect("the file"), b"a letter");
    // What is measured is kept at once.
    std::fs::remove_file(&path).expect("the file");
    let keeping = fresh().expect("a device");
    keeping.keep_tuning(&path).expect("a file");
    output(&keeping, Tuning::Measure);
    assert_eq!(fresh().expect("a device").load_tuning(&path).expect("the file"), 1);

    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let place = folder.display().to_string();
    for refused in [gpu.load_tuning(folder).map(drop), gpu.save_tuning(folder)] {
        let message = refused.expect_err("a folder is no file").to_string();
        assert!(message.starts_with(&place) && message.contains("cannot be read"), "{message}");
    }
}

/// A model that was compiled follows the choice, by name or by measurement, and stays right.
#[test]
fn models_are_compiled_again() {
    let Some(gpu) = fresh() else { return };
    let layers = || Sequential::new(&gpu).with_input(SHAPE)?.with(config())?.with(DepthwiseConv2D::new(5));
    let model = layers().expect("a model");
    let input = input(&gpu);
    let call = || model.call(&input).and_then(|output| output.read::<f32>()).expect("values");
    let expected = call();
    let compiled = gpu.counters().pipelines;
    gpu.set_tuning(Tuning::Pin(names(&gpu).pop().expect("a name")));
    let pinned = call();
    assert!(gpu.counters().pipelines > compiled, "the pin was not obeyed");
    gpu.set_tuning(Tuning::Measure);
    let measured = call();
    assert_eq!(gpu.measurements().len(), 2);
    let largest = expected.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
    for (place, exact) in expected.iter().enumerate() {
        let error = (pinned[place] - exact).abs().max((measured[place] - exact).abs());
        assert!(error <= 1e-5 * largest, "{error} beside {exact}");
    }
    let before = gpu.counters();
    call();
    let after = gpu.counters();
    assert_eq!((after.pipelines, after.bind_groups), (before.pipelines, before.bind_groups));
}

/// Two convolutions are measured one by one and in one pass, and taken as is faster.
#[test]
fn one_pass_is_measured_against_two() {
    let Some(gpu) = fresh() else { return };
    let config: LayerConfig = SeparableConv2D::new(16, 3).into();
    let convolutions = config.convolutions(SHAPE).expect("convolutions");
    let problem = SeparableProblem::new(convolutions[0], convolutions[1]).expect("two that are one");
    let layer = layer(&gpu, &config);
    let call = || layer.call(&input(&gpu)).and_then(|output| output.read::<f32>()).expect("values");
    let expected = call();
    gpu.set_tuning(Tuning::Measure);
    assert_eq!(call(), expected);
    let measurements = gpu.measurements();
    assert_eq!(measurements.len(), 3, "{measurements:#?}");
    let least = |problem: Problem| {
        let plans = &measurements[&format!("{problem:?}")];
        assert_eq!(plans.len(), gpu.candidates(&problem).expect("plans").len());
        plans.iter().map(Measurement::median).min().expect("plans were measured")
    };
    let two: Duration = convolutions.iter().map(|&convolution| least(Problem::Conv(convolution))).sum();
    assert_eq!(gpu.takes_one_pass(&problem).expect("a choice"), least(Problem::Separable(problem)) < two);
}

/// One adapter and one pinned plan give the same bits, on two devices.
#[test]
fn pinned_plans_are_reproducible() {
    if gpu::gpu().is_none() {
        return;
    }
    let values = |count: usize, prime: usize| -> Vec<f32> {
        (0..count).map(|i| (i * prime % 101) as f32 / 50.0 - 1.0).collect()
    };
    let run = || -> Vec<(String, Vec<u32>)> {
        let gpu = Gpu::new().expect("a device");
        let layer = layer(&gpu, &Conv2D::new(24, 3).activation(Activation::Tanh).into());
        let mut weights = layer.get_weights().unwrap();
        weights.iter_mut().for_each(|weight| weight.values = values(weight.values.len(), 53));
        layer.set_weights(&weights).expect("its own shapes");
        let input = Tensor::from_slice(&gpu, SHAPE, &values(SHAPE.iter().product(), 37)).expect("a tensor");
        let problem = Problem::Conv(layer.config().convolutions(SHAPE).expect("a convolution")[0]);
        let candidates = gpu.candidates(&problem).expect("plans");
        let mut results = Vec::new();
        // The best guess, and one that loads otherwise.
        for plan in [candidates.first(), candidates.last()].into_iter().flatten() {
            gpu.set_tuning(Tuning::Pin(plan.name()));
            let values: Vec<f32> = layer.call(&input).and_then(|output| output.read()).expect("values");
            results.push((plan.name(), values.into_iter().map(f32::to_bits).collect()));
        }
        results
    };
    assert_eq!(run(), run());
}

/// What a driver has compiled goes to a file and back, and files that hold anything else do no harm.
#[cfg(feature = "pipeline-cache")]
#[test]
fn pipelines_are_kept() {
    if gpu::gpu().is_none() {
        return;
    }
    // Handles of devices of their own, as processes have.
    let open = || Gpu::new().expect("a device");
    let path = file("pipelines.bin");
    let gpu = open();
    assert!(!gpu.load_pipeline_cache(&path).expect("a file that does not exist is none"));
    let (expected, _) = output(&gpu, Tuning::Heuristic);
    gpu.save_pipeline_cache(&path).expect("a file");
    if !gpu.device().features().contains(wgpu_conv::wgpu::Features::PIPELINE_CACHE) {
        assert!(!path.exists(), "nothing to keep");
        return;
    }
    let bytes = std::fs::read(&path).expect("the file");
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("a file");
        let gpu = open();
        (gpu.load_pipeline_cache(&path).expect("a readable file"), gpu)
    };
    let (taken, second) = read(&bytes);
    assert!(taken);
    assert_eq!(output(&second, Tuning::Heuristic).0, expected);
    second.save_pipeline_cache(&path).expect("a file");
    assert!(open().load_pipeline_cache(&path).expect("the file"));

    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        bytes
    };
    let last = bytes.len() - 1;
    let longer = [&bytes[..], b"x"].concat();
    for other in [&[], &bytes[..last], &bytes[..last / 2], &flipped(0), &flipped(last), &flipped(last / 2), &longer] {
        let (taken, gpu) = read(other);
        assert!(!taken, "{} bytes", other.len());
        assert_eq!(output(&gpu, Tuning::Heuristic).0, expected);
    }
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    assert!(gpu.load_pipeline_cache(folder).is_err() && gpu.save_pipeline_cache(folder).is_err());
}
