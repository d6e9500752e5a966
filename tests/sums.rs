//! Sums of equal terms, by every family of kernels for convolutions that adds in runs. Equal terms are the hardest for a sum in f32: added one by one, they all
//! round in the same direction, so that a kernel which adds in one chain misses the bound that results are held to.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;
#[path = "common/launch.rs"]
pub mod launch;

use std::cell::RefCell;
use std::collections::BTreeMap;

use common::reference::{Array, Convolved};
use common::test_each;
use common::tolerance::{Estimate, Expected, Storage, partial_sums, summed};
use launch::Launcher;
use wgpu_conv::plan::{
    ConvProblem, Direction, Elementwise, Epilogue, NormalizeFunction, NormalizeProblem, Operand, Plan, Problem,
    SeparableProblem, Sums,
};
use wgpu_conv::{Activation, Axis, ConvGeometry, DType, DataFormat};

/// What every input element and every weight is.
const INPUT: f32 = 0.7;
const WEIGHT: f32 = 1.1;

/// An axis of a valid convolution.
fn axis(output: u32, kernel: u32, stride: u32) -> Axis {
    Axis { input: (output - 1) * stride + kernel, output, kernel, stride, dilation: 1, pad_before: 0 }
}

/// Windows of these taps at `outputs` places along either axis.
fn windows([height, width]: [u32; 2], outputs: u32, stride: u32) -> [Axis; 3] {
    [Axis::UNIT, axis(outputs, height, stride), axis(outputs, width, stride)]
}

fn problem(direction: Direction, groups: u32, channels: [u32; 2], axes: [Axis; 3]) -> ConvProblem {
    let activation = Elementwise::new(&Activation::Linear).expect("no axis");
    ConvProblem {
        geometry: ConvGeometry::new(1, groups, channels, axes).expect("a convolution"),
        direction,
        dtype: DType::F32,
        data_format: DataFormat::ChannelsLast,
        epilogue: Epilogue { bias: false, residual: false, activation },
    }
}

fn forward(groups: u32, channels: [u32; 2], axes: [Axis; 3]) -> ConvProblem {
    problem(Direction::Forward, groups, channels, axes)
}

/// How large the partial sums of `terms` terms of this size are, one more than another.
fn partial(terms: usize, term: f64) -> f64 {
    let n = terms as f64;
    term * ((n + 1.0) * (2.0 * n + 1.0) / 6.0 + n).sqrt()
}

#[test]
fn partial_sums_of_equal_terms() {
    for terms in [1, 2, 10, 1000] {
        let (exact, by_formula) = (partial_sums(&vec![0.3; terms]), partial(terms, 0.3));
        assert!((exact - by_formula).abs() < 1e-9 * exact, "{terms} terms: {exact}, not {by_formula}");
    }
}

/// Terms of the sum of every output of one image, channels last.
fn terms(problem: &ConvProblem) -> (Vec<usize>, Vec<usize>) {
    let geometry = &problem.geometry;
    let [_, height, width] = geometry.axes();
    match problem.direction {
        Direction::Forward => {
            let shape = vec![1, height.output as usize, width.output as usize, geometry.out_channels() as usize];
            let count = shape.iter().product();
            (shape, vec![geometry.terms() as usize; count])
        }
        Direction::BackwardInput => {
            let hits = |axis: Axis, at: u32| {
                (0..axis.output).filter(|o| (o * axis.stride..o * axis.stride + axis.kernel).contains(&at)).count()
            };
            let shape = vec![1, height.input as usize, width.input as usize, geometry.in_channels() as usize];
            let at = |y, x| hits(height, y) * hits(width, x) * geometry.group_out() as usize;
            let pixels = (0..height.input).flat_map(|y| (0..width.input).map(move |x| (y, x)));
            let counts = pixels.flat_map(|(y, x)| std::iter::repeat_n(at(y, x), geometry.in_channels() as usize));
            (shape, counts.collect())
        }
    }
}

/// What a plan may make of it: the plain sum, and one by Winograd's tiles.
fn expected(problem: &ConvProblem) -> [Expected; 2] {
    let term = f64::from(INPUT) * f64::from(WEIGHT);
    let (shape, terms) = terms(problem);
    let of = |f: &dyn Fn(usize) -> f64| Array::new(shape.clone(), terms.iter().map(|&n| f(n)).collect::<Vec<_>>());
    let exact = of(&|n| n as f64 * term);
    // The bound of each output is that of its own number of terms.
    let bound = of(&|n| summed(n, n as f64 * term, partial(n, term)));
    let [_, height, width] = problem.geometry.axes();
    let apart = match problem.direction {
        Direction::Forward => [1, 1],
        Direction::BackwardInput => [height, width].map(|axis| axis.stride as usize),
    };
    let convolved = Convolved {
        magnitude: exact.clone(),
        partial: of(&|n| partial(n, term)),
        terms: terms.iter().copied().max().unwrap_or(0),
        exact: exact.clone(),
    };
    [Estimate { exact, bound }, convolved.in_tiles(false, apart).into()].map(|estimate| {
        let Estimate { exact, bound } = estimate.stored(Storage::F32);
        Expected { exact, bound: bound.data, overflow: Storage::F32.overflow() }
    })
}

fn filled(elements: u64, value: f32) -> Vec<u8> {
    std::iter::repeat_n(value.to_ne_bytes(), elements as usize).flatten().collect()
}

fn launched(
    launcher: &Launcher,
    plan: &Plan,
    given: &[(Operand, Vec<u8>)],
    outputs: usize,
) -> Result<Vec<f32>, String> {
    let bytes = launcher.launch(plan, given, 4 * outputs).map_err(|why| format!("{}: {why}", plan.name()))?;
    Ok(bytes.chunks_exact(4).map(|word| f32::from_ne_bytes([word[0], word[1], word[2], word[3]])).collect())
}

/// One chain of as many terms as a large layer has misses the bound, so that this data tells a chain from runs.
#[test]
fn a_chain_misses_the_bound() {
    for count in [4_096, 100_000] {
        let chain = (0..count).fold(0.0f32, |sum, _| INPUT.mul_add(WEIGHT, sum));
        let [plain, _] = expected(&forward(1, [count, 1], windows([1, 1], 1, 1)));
        assert!(plain.check(&[chain]).is_err(), "{count} terms in a chain: {chain}");
    }
}

/// Of every family of kernels the plan that was tried least: compiling is most of the work.
fn picked(plans: Vec<Plan>, tried: &mut BTreeMap<String, usize>) -> Vec<Plan> {
    let mut families = BTreeMap::<&str, Vec<Plan>>::new();
    for plan in plans {
        families.entry(plan.family).or_default().push(plan);
    }
    let least = |plans: Vec<Plan>| plans.into_iter().min_by_key(|plan| tried.get(&plan.name()).copied());
    let picked: Vec<Plan> = families.into_values().filter_map(least).collect();
    for plan in &picked {
        *tried.entry(plan.name()).or_default() += 1;
    }
    picked
}

#[test]
fn equal_terms_by_every_family() {
    let Some(gpu) = gpu::gpu() else { return };
    let launcher = Launcher::new(gpu);
    let mut problems: Vec<ConvProblem> = Vec::new();
    for (channels, filters) in [(100, 16), (1_000, 16), (5_000, 16), (30_000, 16), (1_000_000, 4)] {
        problems.push(forward(1, [channels, filters], windows([1, 1], 2, 1)));
    }
    for (kernel, channels, filters) in [
        ([3, 3], 16, 16),
        ([3, 3], 64, 20),
        ([3, 3], 1_024, 16),
        ([5, 7], 3, 16),
        ([7, 7], 100, 5),
        ([1, 1_000], 4, 16),
        ([1, 4_000], 7, 16),
        ([100, 101], 99, 4),
    ] {
        problems.push(forward(1, [channels, filters], windows(kernel, 2, 1)));
        // Of a great kernel most taps hit no input, and are visited all the same.
        if kernel[0] * kernel[1] < 50 {
            problems.push(problem(Direction::BackwardInput, 1, [4, channels], windows(kernel, 2, 1)));
        }
    }
    problems.push(problem(Direction::BackwardInput, 1, [4, 30_000], windows([1, 1], 2, 1)));
    problems.push(problem(Direction::BackwardInput, 1, [5, 1_024], windows([3, 3], 3, 2)));
    problems.push(problem(Direction::BackwardInput, 2, [8, 2_048], windows([3, 3], 3, 1)));
    for group_in in [8, 512] {
        problems.push(forward(2, [2 * group_in, 16], windows([3, 3], 9, 1)));
    }
    for side in [3, 11, 31, 100, 1_000] {
        problems.push(forward(4, [4, 4], windows([side, side], 3, 1)));
        problems.push(forward(4, [4, 4], windows([side * side, 1], 2, 1)));
    }
    let tried = RefCell::default();
    test_each(
        problems,
        |problem| {
            let [_, height, width] = problem.geometry.axes().map(|axis| axis.kernel);
            let (groups, terms) = (problem.geometry.groups(), problem.geometry.terms());
            format!("{:?}, {height}×{width} taps, {groups} groups, {terms} terms", problem.direction)
        },
        |problem| {
            let geometry = &problem.geometry;
            let (read, [plain, in_tiles]) = match problem.direction {
                Direction::Forward => (geometry.in_elements(), expected(problem)),
                Direction::BackwardInput => (geometry.out_elements(), expected(problem)),
            };
            let given =
                [(Operand::Input, filled(read, INPUT)), (Operand::Kernel, filled(geometry.kernel_elements(), WEIGHT))];
            let plans = launcher.gpu().candidates(&Problem::Conv(*problem)).map_err(|error| error.to_string())?;
            // Chains are held to it where a run would be one too.
            let longest = terms(problem).1.into_iter().max().unwrap_or(0);
            let plans = plans.into_iter().filter(|plan| plan.accuracy.sums == Sums::Runs || longest <= 256).collect();
            for plan in picked(plans, &mut tried.borrow_mut()) {
                let got = launched(&launcher, &plan, &given, plain.exact.data.len())?;
                let expected = if plan.accuracy.mixed > 1 { &in_tiles } else { &plain };
                expected.check(&got).map_err(|why| format!("{}: {why}", plan.name()))?;
            }
            Ok(())
        },
    );
}

#[test]
fn equal_terms_in_one_pass() {
    let Some(gpu) = gpu::gpu() else { return };
    let launcher = Launcher::new(gpu);
    for (side, channels) in [(3, 64), (3, 2_048), (11, 300), (1, 30_000)] {
        let windows = windows([side, side], 2, 1);
        let depthwise = forward(channels, [channels, channels], windows);
        let pointwise = forward(1, [channels, 16], [Axis::UNIT, axis(2, 1, 1), axis(2, 1, 1)]);
        let problem = SeparableProblem::new(depthwise, pointwise).expect("two that are one");
        let (taps, n) = ((side * side) as usize, channels as usize);
        let between = taps as f64 * f64::from(INPUT) * f64::from(WEIGHT);
        let term = between * f64::from(WEIGHT);
        let magnitude = n as f64 * term;
        let through = magnitude / between * summed(taps, between, partial(taps, between / taps as f64));
        let exact = Array::new([1, 2, 2, 16], vec![magnitude; 64]);
        let bound = vec![through + summed(n, magnitude, partial(n, term)); 64];
        let expected = Expected { exact, bound, overflow: Storage::F32.overflow() };
        let kernels = [depthwise, pointwise].map(|problem| filled(problem.geometry.kernel_elements(), WEIGHT));
        let [first, second] = kernels;
        let given = [
            (Operand::Input, filled(depthwise.geometry.in_elements(), INPUT)),
            (Operand::Kernel, first),
            (Operand::ThenKernel, second),
        ];
        let plans = launcher.gpu().candidates(&Problem::Separable(problem)).expect("plans");
        assert!(!plans.is_empty(), "{side}×{side} taps of {channels} channels have no plan");
        for plan in plans {
            let got = launched(&launcher, &plan, &given, 64).expect("a launch");
            expected.check(&got).unwrap_or_else(|why| panic!("{}, {channels} channels: {why}", plan.name()));
        }
    }
}

/// Of a flat line nothing is left but the rounding of its mean, which 1/√ε makes 316 times as large: unless that is taken off too, as a
/// team does. (Lines so long that they are computed in parts keep it.)
#[test]
fn flat_lines_have_no_deviation() {
    let Some(gpu) = gpu::gpu() else { return };
    let launcher = Launcher::new(gpu);
    for (outer, spread, group, extent) in [(300, 1, 1, 45), (1, 45, 300, 1), (2, 1, 1, 3_000), (2, 10, 3, 300)] {
        let problem = NormalizeProblem {
            function: NormalizeFunction::Standard,
            outer,
            spread,
            group,
            extent,
            epsilon: 1e-5f32.to_bits(),
            gamma: false,
            beta: false,
            spread_step: 0,
            group_step: 0,
            run: 1,
            dtype: DType::F32,
        };
        let elements = outer * spread * group * extent;
        let given = [(Operand::Input, filled(elements.into(), 3.7))];
        for plan in launcher.gpu().candidates(&Problem::Normalize(problem)).expect("plans") {
            let got = launched(&launcher, &plan, &given, elements as usize).expect("a launch");
            let largest = got.iter().fold(0.0f32, |largest, y| largest.max(y.abs()));
            assert!(largest < 1e-6, "{}, lines of {}: {largest}", plan.name(), spread * extent);
        }
    }
}
