//! Every candidate of the problems that are no single convolutions, launched by itself and held to the reference.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;
#[path = "common/gradients.rs"]
pub mod gradients;
#[path = "common/launch.rs"]
pub mod launch;
#[path = "common/problems.rs"]
pub mod problems;
#[path = "common/separable.rs"]
pub mod separable;
#[path = "common/strided.rs"]
pub mod strided;
#[path = "common/table.rs"]
pub mod table;
#[path = "common/volumes.rs"]
pub mod volumes;

use std::collections::BTreeMap;

use common::reference::Array;
use common::test_each;
use launch::Launcher;
use problems::{Case, cases};
use wgpu_conv::plan::{
    AxisFunction, AxisProblem, ConvProblem, Direction, Operand, Plan, PoolFunction, PoolProblem, Problem,
};
use wgpu_conv::{Axis, ConvGeometry, DType, DataFormat};

fn bytes(array: &Array, dtype: DType) -> Vec<u8> {
    match dtype {
        DType::F32 => array.to_f32().into_iter().flat_map(f32::to_ne_bytes).collect(),
        DType::F16 => array.to_f16().into_iter().flat_map(half::f16::to_ne_bytes).collect(),
    }
}

fn values(bytes: &[u8], dtype: DType) -> Vec<f32> {
    let words = |size| bytes.chunks_exact(size);
    match dtype {
        DType::F32 => words(4).map(|word| f32::from_ne_bytes([word[0], word[1], word[2], word[3]])).collect(),
        DType::F16 => words(2).map(|word| half::f16::from_ne_bytes([word[0], word[1]]).to_f32()).collect(),
    }
}

fn run(launcher: &Launcher, plan: &Plan, case: &Case, dtype: DType) -> Result<Vec<f32>, String> {
    let given: Vec<_> = case.given.iter().map(|(operand, array, dtype)| (*operand, bytes(array, *dtype))).collect();
    let size = match dtype {
        DType::F32 => 4,
        DType::F16 => 2,
    };
    Ok(values(&launcher.launch(plan, &given, case.expected.exact.data.len() * size)?, dtype))
}

fn hold(dtype: DType, cases: impl Iterator<Item = Case>) {
    let Some(gpu) = gpu::gpu() else { return };
    if dtype == DType::F16 && !gpu.caps().f16 {
        println!("f16 is skipped: {} has none", gpu.info().name);
        return;
    }
    let launcher = Launcher::new(gpu);
    let tried = std::cell::RefCell::new(BTreeMap::<String, usize>::new());
    test_each(
        cases,
        |case| case.name.clone(),
        |case| {
            for plan in launcher.gpu().candidates(&case.problem).map_err(|error| error.to_string())? {
                let fail = |why: String| format!("{}: {why}", plan.name());
                // Gradients of kernels are stored in f32 whatever is read.
                let stored = if let Problem::KernelGradient(_) = case.problem { DType::F32 } else { dtype };
                let got = run(&launcher, &plan, case, stored).map_err(fail)?;
                let in_tiles = case.in_tiles.as_ref().filter(|_| plan.accuracy.mixed > 1);
                in_tiles.unwrap_or(&case.expected).check(&got).map_err(fail)?;
                *tried.borrow_mut().entry(plan.name()).or_default() += 1;
            }
            Ok(())
        },
    );
    for (name, count) in tried.into_inner() {
        println!("{name}: {count} cases");
    }
}

/// Every problem over two axes but transposed convolutions, and those that have none.
fn plane(dtype: DType) -> impl Iterator<Item = Case> {
    let strided = strided::cases(dtype).into_iter().filter(|case| !is_transposed(case));
    let forward = cases(dtype).into_iter().chain(strided).chain(separable::cases(dtype));
    forward.chain(gradients::cases(dtype))
}

fn is_transposed(case: &Case) -> bool {
    matches!(case.problem, Problem::Conv(ConvProblem { direction: Direction::BackwardInput, .. }))
}

#[test]
fn transposed_in_f32() {
    hold(DType::F32, strided::cases(DType::F32).into_iter().filter(is_transposed));
}

#[test]
fn transposed_in_f16() {
    hold(DType::F16, strided::cases(DType::F16).into_iter().filter(is_transposed));
}

#[test]
fn in_f32() {
    hold(DType::F32, plane(DType::F32));
}

fn volumes(dtype: DType, which: fn(&Case) -> bool) {
    hold(dtype, volumes::cases(dtype).into_iter().filter(which));
}

#[test]
fn volumes_pooled_in_f32() {
    volumes(DType::F32, |case| matches!(case.problem, Problem::Pool(_)));
}

#[test]
fn volumes_transposed_in_f32() {
    volumes(DType::F32, is_transposed);
}

#[test]
fn volumes_convolved_in_f32() {
    volumes(DType::F32, |case| matches!(case.problem, Problem::Conv(_)) && !is_transposed(case));
}

#[test]
fn volumes_in_f16() {
    volumes(DType::F16, |_| true);
}

#[test]
fn in_f16() {
    hold(DType::F16, plane(DType::F16));
}

/// A NaN among the values comes out of a maximum and of a minimum, whichever candidate looks for it, and nowhere else.
#[test]
fn the_largest_keeps_nan() {
    let Some(gpu) = gpu::gpu() else { return };
    let launcher = Launcher::new(gpu);
    let axis = |input| Axis { input, output: input / 2, kernel: 2, stride: 2, dilation: 1, pad_before: 0 };
    let geometry = ConvGeometry::new(1, 4, [4; 2], [Axis::UNIT, axis(2), axis(32)]).expect("sound numbers");
    let pool = |data_format| {
        let problem = PoolProblem { function: PoolFunction::Max, geometry, dtype: DType::F32, data_format };
        Problem::Pool(problem)
    };
    let reduce = |function, inner| {
        let problem = AxisProblem { function, outer: 1, extent: 256 / inner, inner, dtype: DType::F32 };
        Problem::AlongAxis(problem)
    };
    let problems = [
        (pool(DataFormat::ChannelsLast), 64),
        (pool(DataFormat::ChannelsFirst), 64),
        (reduce(AxisFunction::Max, 1), 1),
        (reduce(AxisFunction::Max, 4), 4),
        (reduce(AxisFunction::Min, 4), 4),
    ];
    for (problem, outputs) in problems {
        for nan in [f32::NAN, -f32::NAN] {
            for at in [0, 63, 101, 255] {
                let mut input: Vec<f32> = (0..256).map(|i| (i * 37 % 101) as f32 - 50.0).collect();
                input[at] = nan;
                let input = input.into_iter().flat_map(f32::to_ne_bytes).collect();
                let given = [(Operand::Input, input)];
                for plan in launcher.gpu().candidates(&problem).expect("plans") {
                    let output = values(&launcher.launch(&plan, &given, outputs * 4).expect("a launch"), DType::F32);
                    let found = output.iter().filter(|value| value.is_nan()).count();
                    assert_eq!(found, 1, "{}: NaN at {at}", plan.name());
                }
            }
        }
    }
}

/// Logarithms of sums that have none, and of infinite ones: as IEEE 754 and ONNX Runtime have them, by every candidate.
#[test]
fn logarithms_of_any_sum() {
    let Some(gpu) = gpu::gpu() else { return };
    let launcher = Launcher::new(gpu);
    let (infinity, nan) = (f32::INFINITY, f32::NAN);
    use AxisFunction::{LogSum, LogSumExp};
    for (function, filling, value, exact) in [
        (LogSum, -1.0, -1.0, nan),
        (LogSum, 0.0, -1.0, nan),
        (LogSum, 0.0, 0.0, -infinity),
        (LogSum, 1.0, infinity, infinity),
        (LogSum, 1.0, -infinity, nan),
        (LogSum, 1.0, nan, nan),
        (LogSumExp, -infinity, 2.0, 2.0),
        (LogSumExp, -infinity, -infinity, -infinity),
        (LogSumExp, 1.0, infinity, infinity),
        (LogSumExp, -infinity, infinity, infinity),
        (LogSumExp, 1.0, nan, nan),
    ] {
        for (extent, inner) in [(8u32, 1u32), (64, 3), (5000, 1), (5000, 2)] {
            let problem = AxisProblem { function, outer: 1, extent, inner, dtype: DType::F32 };
            let mut input = vec![filling; (extent * inner) as usize];
            input[(extent / 2 * inner) as usize] = value;
            let given = [(Operand::Input, input.into_iter().flat_map(f32::to_ne_bytes).collect())];
            for plan in launcher.gpu().candidates(&Problem::AlongAxis(problem)).expect("plans") {
                let output = launcher.launch(&plan, &given, inner as usize * 4).expect("a launch");
                let got = values(&output, DType::F32)[0];
                let right = got == exact || (got.is_nan() && exact.is_nan());
                assert!(right, "{} of {extent}×{inner} {filling} and {value}: {got}, not {exact}", plan.name());
            }
        }
    }
}

/// Convolutions that pose one plan of each family and more.
const COUNTED: [&str; 8] = [
    "primes, batch",
    "channels in fours",
    "first layer",
    "groups in fours",
    "depthwise",
    "tile of 3x3",
    "pointwise, long sums",
    "sums in parts, in fours",
];

/// Turns of `lib/math.wgsl`'s loop over the bits of an exponent, which no plan counts.
const POWER: u64 = 7;

/// What each launch states of its turns is true: no invocation takes more, by a counter in every loop of its shader.
#[test]
fn no_invocation_takes_more_turns_than_stated() {
    let Some(gpu) = gpu::gpu() else { return };
    let launcher = Launcher::counting(gpu);
    let (mut exact, mut all) = (0, 0);
    let mut hold = |what: &str, plan: &Plan, given: &[(Operand, Vec<u8>)], bytes: usize| -> Result<(), String> {
        launcher.launch(plan, given, bytes).map_err(|why| format!("{}: {why}", plan.name()))?;
        for [counted, stated] in launcher.turns() {
            if counted > stated + POWER {
                return Err(format!("{} of {what}: {counted} turns, {stated} stated", plan.name()));
            }
            all += 1;
            exact += usize::from(counted == stated);
        }
        Ok(())
    };
    let mut failures = Vec::new();
    for case in cases(DType::F32).into_iter().chain(strided::cases(DType::F32)).chain(gradients::cases(DType::F32)) {
        let given: Vec<_> = case.given.iter().map(|(operand, array, dtype)| (*operand, bytes(array, *dtype))).collect();
        for plan in launcher.gpu().candidates(&case.problem).expect("plans") {
            failures.extend(hold(&case.name, &plan, &given, case.expected.exact.data.len() * 4).err());
        }
    }
    let mut families = BTreeMap::<&str, u32>::new();
    let rows = table::ROWS.iter().filter(|row| COUNTED.contains(&row.name));
    for row in rows {
        let layer = row.layer(DataFormat::ChannelsLast, DType::F32);
        let shape = row.input_shape(DataFormat::ChannelsLast);
        for problem in layer.convolutions(shape).expect("a convolution") {
            let ConvProblem { geometry, .. } = problem;
            let elements = [geometry.in_elements(), geometry.kernel_elements(), geometry.out_elements()];
            let [input, kernel, output] = elements.map(|elements| elements as usize * 4);
            let given = [(Operand::Input, vec![0; input]), (Operand::Kernel, vec![0; kernel])];
            for plan in launcher.gpu().candidates(&Problem::Conv(problem)).expect("plans") {
                // Compiling is most of the work: each family once or twice.
                let seen = families.entry(plan.family).or_insert(0);
                *seen += 1;
                if *seen <= 2 {
                    failures.extend(hold(row.name, &plan, &given, output).err());
                }
            }
        }
    }
    println!("{exact} of {all} launches take as many turns as stated");
    assert!(failures.is_empty(), "{} launches: {}", failures.len(), failures.join("\n"));
    assert!(2 * exact > all, "{exact} of {all} launches take as many turns as stated");
}

/// The races of the launches of every plan that shares workgroup memory, by plan: tiles of convolutions, lines longer than a
/// workgroup, two convolutions in one pass. Shaders have the `fault`.
///
/// `conv_cooperative` is none of them: its matrices are loaded and stored by a subgroup as a whole.
fn races(gpu: wgpu_conv::Gpu, fault: fn(String) -> String) -> BTreeMap<String, u64> {
    let launcher = Launcher::racing(gpu, fault);
    let mut races = BTreeMap::new();
    let mut hold = |plan: &Plan, given: &[(Operand, Vec<u8>)], bytes: usize| {
        let shared = plan.steps.iter().any(|step| step.shader.wgsl().contains("var<workgroup>"));
        if shared && !races.contains_key(&plan.name()) {
            launcher.launch(plan, given, bytes).unwrap_or_else(|why| panic!("{}: {why}", plan.name()));
            races.insert(plan.name(), launcher.races().iter().sum());
        }
    };
    for case in cases(DType::F32).into_iter().chain(separable::cases(DType::F32)) {
        let given: Vec<_> = case.given.iter().map(|(operand, array, dtype)| (*operand, bytes(array, *dtype))).collect();
        for plan in launcher.gpu().candidates(&case.problem).expect("plans") {
            hold(&plan, &given, case.expected.exact.data.len() * 4);
        }
    }
    for row in table::ROWS.iter().filter(|row| row.name == "tile of 3x3") {
        let layer = row.layer(DataFormat::ChannelsLast, DType::F32);
        for problem in layer.convolutions(row.input_shape(DataFormat::ChannelsLast)).expect("a convolution") {
            let geometry = problem.geometry;
            let elements = [geometry.in_elements(), geometry.kernel_elements(), geometry.out_elements()];
            let [input, kernel, output] = elements.map(|elements| elements as usize * 4);
            let given = [(Operand::Input, vec![0; input]), (Operand::Kernel, vec![0; kernel])];
            let plans = launcher.gpu().candidates(&Problem::Conv(problem)).expect("plans");
            // The other families launch the same product.
            for plan in plans.into_iter().filter(|plan| plan.family == "conv_tiled") {
                hold(&plan, &given, output);
            }
        }
    }
    races
}

/// Between two barriers, no invocation touches what another one of its workgroup has written, in any shader.
#[test]
fn no_invocation_races_another() {
    let Some(gpu) = gpu::gpu() else { return };
    let races = races(gpu, |text| text);
    println!("{races:?}");
    for family in ["conv_tiled", "conv_separable_f32", "mean", "softmax"] {
        assert!(races.keys().any(|name| name.contains(family)), "{family} is not among {:?}", races.keys());
    }
    let found: Vec<_> = races.iter().filter(|(_, races)| **races > 0).collect();
    assert!(found.is_empty(), "{found:?}");
}

/// The search finds a sum without its barrier, and two invocations that store one place.
#[test]
fn races_are_found() {
    let Some(gpu) = gpu::gpu() else { return };
    let faulty = races(gpu, |text| {
        let barrier = "> 0u; half /= 2u) {\n        workgroupBarrier();\n";
        let text = text.replace(barrier, "> 0u; half /= 2u) {\n");
        text.replace("between[brought][k / 4u] =", "between[brought / 2u][k / 4u] =")
    });
    for family in ["conv_separable_f32", "mean", "softmax"] {
        let of = |name: &str| name.contains(family);
        assert!(faulty.iter().any(|(name, races)| of(name) && *races > 0), "{family}: {faulty:?}");
    }
}
