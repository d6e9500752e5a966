//! No invocation runs long: every plan says how many turns its loops take, none that is offered takes more than allowed, and
//! what is too long for one invocation is computed in parts, rightly.

#[path = "common/gpu.rs"]
pub mod gpu;
#[path = "common/launch.rs"]
pub mod launch;

use launch::Launcher;
use wgpu_conv::layers::{
    ActivationLayer, AveragePooling2D, Dense, GlobalAveragePooling2D, GlobalMaxPooling2D, GroupNormalization, Layer,
    LayerConfig, LayerNormalization, MaxPooling2D, UnitNormalization,
};
use wgpu_conv::plan::{
    AxisFunction, AxisProblem, BatchFunction, BatchProblem, Caps, ConvProblem, Direction, Elementwise, Epilogue,
    MOST_TURNS, NormalizeFunction, NormalizeProblem, Operand, PairSides, Plan, PoolFunction, PoolProblem, Problem,
    ProductProblem, RecurrentFunction, RecurrentGradientProblem, RecurrentProblem,
};
use wgpu_conv::{
    Activation, Axis, ConvGeometry, DType, DataFormat, Error, Gpu, HostTensor, Padding, Tensor, Tuning, candidates,
};

/// Unit roundoff of f32.
const UNIT: f64 = 1.0 / (1u64 << 24) as f64;

/// What devices allow: the least that WebGPU asks for, and the two software adapters.
fn devices() -> [Caps; 3] {
    let lavapipe = Caps {
        software: true,
        u64: true,
        subgroup: Some(8),
        max_invocations: 1024,
        workgroup_storage: 32 << 10,
        max_buffer: i32::MAX as u64,
        binding_alignment: 32,
        texel_rows: 16_384,
        ..Caps::FLOOR
    };
    let swiftshader = Caps {
        software: true,
        subgroup: Some(4),
        max_binding: 1 << 30,
        max_buffer: 1 << 30,
        texel_rows: 8191,
        samples_texels: true,
        ..Caps::FLOOR
    };
    [Caps::FLOOR, lavapipe, swiftshader]
}

/// An axis of `output` windows of `kernel` taps with this stride.
fn axis(output: u32, kernel: u32, stride: u32) -> Axis {
    let input = (output - 1) * stride + kernel;
    Axis { input, output, kernel, stride, dilation: 1, pad_before: 0 }
}

/// Problems from small to the largest tensors that 32 bits can number.
fn problems() -> Vec<Problem> {
    let mut problems = Vec::new();
    let epilogue = Epilogue { bias: true, residual: false, activation: Elementwise::new(&Activation::RELU).unwrap() };
    for data_format in [DataFormat::ChannelsLast, DataFormat::ChannelsFirst] {
        for (kernel, stride) in [([1, 1], 1), ([3, 3], 1), ([3, 3], 2), ([3, 39], 1), ([65, 1], 1), ([300, 300], 7)] {
            let [height, width] = kernel.map(|kernel| axis(5, kernel, stride));
            for channels in [1u32, 3, 4, 64, 1000, 4096, 100_000, 10_000_000] {
                for (groups, filters) in [(1, 1), (1, 2), (1, 64), (1, 1000), (channels, channels), (channels, 2)] {
                    let out_channels = if groups == 1 { filters } else { channels.saturating_mul(filters.min(2)) };
                    let axes = [Axis::UNIT, height, width];
                    let Ok(geometry) = ConvGeometry::new(1, groups, [channels, out_channels], axes) else { continue };
                    for direction in [Direction::Forward, Direction::BackwardInput] {
                        let dtype = DType::F32;
                        problems.push(Problem::Conv(ConvProblem { geometry, direction, dtype, data_format, epilogue }));
                    }
                }
            }
        }
        for window in [
            [2, 2],
            [7, 7],
            [255, 255],
            [256, 256],
            [1, 30_000],
            [20_000, 1],
            [1, 70_001],
            [3000, 3000],
            [15_000, 15_000],
        ] {
            let [height, width] = window.map(|kernel| axis(1, kernel, 1));
            let geometry = ConvGeometry::new(2, 3, [3; 2], [Axis::UNIT, height, width]).unwrap();
            for function in
                [PoolFunction::Max, PoolFunction::Average, PoolFunction::AveragePadded { pad_after: [0, 1, 1] }]
            {
                problems.push(Problem::Pool(PoolProblem { function, geometry, dtype: DType::F32, data_format }));
            }
        }
    }
    for extent in [1, 31, 4096, 32_768, 33_124, 65_536, 1_000_000, 10_000_000, u32::MAX - 64] {
        for (outer, inner) in [(1, 1), (1, 3), (7, 1), (100, 1)] {
            for function in [
                AxisFunction::Softmax,
                AxisFunction::LogSoftmax,
                AxisFunction::Sparsemax,
                AxisFunction::Glu,
                AxisFunction::Mean,
                AxisFunction::Max,
                AxisFunction::Min,
                AxisFunction::Sum,
                AxisFunction::SumSquare,
                AxisFunction::L1,
                AxisFunction::L2,
                AxisFunction::LogSum,
                AxisFunction::LogSumExp,
            ] {
                problems.push(Problem::AlongAxis(AxisProblem { function, outer, extent, inner, dtype: DType::F32 }));
            }
            for function in [NormalizeFunction::Standard, NormalizeFunction::Deviation, NormalizeFunction::Unit] {
                problems.push(Problem::Normalize(NormalizeProblem {
                    function,
                    outer,
                    spread: extent,
                    group: inner,
                    extent: 1,
                    epsilon: 1e-3f32.to_bits(),
                    gamma: true,
                    beta: true,
                    spread_step: 0,
                    group_step: 1,
                    run: 1,
                    dtype: DType::F32,
                }));
            }
        }
    }
    for (outer, channels, inner) in [(1, 1, 1), (1_000_000, 64, 1), (100, 3, 1_000_000), (200_000_000, 1, 1)] {
        for function in [BatchFunction::Moments, BatchFunction::Apply, BatchFunction::Sums, BatchFunction::Gradient] {
            problems.push(Problem::BatchNormalize(BatchProblem {
                function,
                outer,
                channels,
                inner,
                epsilon: 1e-3f32.to_bits(),
                gamma: true,
                beta: true,
                activation: Elementwise::new(&Activation::RELU).unwrap(),
            }));
        }
    }
    for (rows, columns, terms) in [(1, 1, 10_000_000), (7, 3, 32_264), (4, 8, 100_000), (4096, 4096, 100_000)] {
        let sizes = [rows, columns, terms];
        let problem = ProductProblem::new(&[], sizes, [terms, 1], [columns, 1], PairSides::InputOther, DType::F32);
        problems.push(Problem::Product(problem.unwrap()));
    }
    let tanh = Elementwise::new(&Activation::Tanh).unwrap();
    for (units, times) in [(1, 200_000), (70, 5000), (1000, 100), (100_000, 3)] {
        for function in [
            RecurrentFunction::Lstm,
            RecurrentFunction::GruResetAfter,
            RecurrentFunction::GruResetBefore,
            RecurrentFunction::Simple,
        ] {
            let of = RecurrentProblem {
                function,
                batch: 2,
                times,
                units,
                backwards: false,
                bias: true,
                masked: false,
                dropped: false,
                begins: false,
                last_cell: false,
                activation: tanh,
                gate: tanh,
                dtype: DType::F32,
            };
            problems.push(Problem::Recurrent(of));
            problems.push(Problem::RecurrentGradient(RecurrentGradientProblem { of }));
        }
    }
    problems
}

#[test]
fn no_launch_runs_longer_than_allowed() {
    let (mut plans, mut refused) = (0, 0);
    for caps in devices() {
        for problem in problems() {
            match candidates(&problem, &caps) {
                Ok(offered) => {
                    assert!(!offered.is_empty(), "no plan for {problem:?}");
                    for plan in offered {
                        let steps = plan.steps.iter().chain(plan.packing.iter().map(|packing| &packing.step));
                        for step in steps {
                            assert!(step.turns <= MOST_TURNS, "{}: {} turns for {problem:?}", plan.name(), step.turns);
                        }
                        plans += 1;
                    }
                }
                Err(Error::Limit { .. }) => refused += 1,
                Err(error) => panic!("{error} for {problem:?}"),
            }
        }
    }
    println!("{plans} plans within {MOST_TURNS} turns, {refused} problems refused");
    assert!(plans > 10_000 && refused > 0, "{plans} plans, {refused} refused");
}

/// Sizes that must run everywhere.
#[test]
fn long_sums_have_a_plan() {
    for caps in devices() {
        for problem in problems() {
            let runs = match problem {
                Problem::Conv(ConvProblem { geometry, .. }) => {
                    let elements = [geometry.in_elements(), geometry.kernel_elements(), geometry.out_elements()];
                    geometry.terms() <= 1 << 29 && elements.iter().all(|&elements| elements < 1 << 32)
                }
                Problem::Pool(_) => true,
                Problem::AlongAxis(problem) => {
                    u64::from(problem.outer * problem.inner) * u64::from(problem.extent) < 1 << 30
                }
                Problem::Product(_) | Problem::BatchNormalize(_) => true,
                Problem::Recurrent(RecurrentProblem { units, .. })
                | Problem::RecurrentGradient(RecurrentGradientProblem { of: RecurrentProblem { units, .. } }) => {
                    units <= 1000
                }
                Problem::Normalize(problem) => {
                    u64::from(problem.outer * problem.group) * u64::from(problem.spread) < 1 << 30
                }
                _ => false,
            };
            if runs {
                let plans = candidates(&problem, &caps);
                assert!(plans.is_ok(), "{:?} for {problem:?} on {caps:?}", plans.err());
            }
        }
    }
}

/// Numbers of either sign, the same for a seed everywhere.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// The outputs of `layer` for `values` of `shape`, by the kernel that is chosen and by those of `pins`, one after the other.
fn outputs(gpu: &Gpu, layer: &Layer, shape: &[usize], values: &[f32], pins: &[&str]) -> Vec<(String, Vec<f32>)> {
    let input = Tensor::from_slice(gpu, shape.to_vec(), values).unwrap();
    let run = || layer.call(&input).and_then(|output| output.read::<f32>()).unwrap();
    let mut all = vec![("chosen".to_owned(), run())];
    for pin in pins {
        gpu.set_tuning(Tuning::Pin((*pin).to_owned()));
        all.push(((*pin).to_owned(), run()));
    }
    gpu.set_tuning(Tuning::Heuristic);
    all
}

/// Holds `outputs` to `exact`, each within its `bound`.
fn hold(what: &str, outputs: &[(String, Vec<f32>)], exact: &[f64], bound: impl Fn(usize) -> f64) {
    for (kernel, values) in outputs {
        assert_eq!(values.len(), exact.len(), "{what} by {kernel}");
        for (i, (&value, &exact)) in values.iter().zip(exact).enumerate() {
            let off = (f64::from(value) - exact).abs();
            assert!(
                off <= bound(i),
                "{what} by {kernel}, output {i}: {value}, exactly {exact}: {off:e} > {:e}",
                bound(i)
            );
        }
    }
}

/// Dense layers of many inputs, against a sum in f64: within 32 √n u √Σ (x·k)², which a kernel that leaves out a part of a
/// thousandth does not reach.
#[test]
fn dense_layers_of_many_inputs() {
    let Some(gpu) = gpu::gpu().map(|gpu| gpu.apart()) else { return };
    for (inputs, units, batch) in
        [(8_192, 4, 3), (66_000, 1, 1), (73_728, 2, 2), (200_001, 5, 1), (1_000_000, 1, 1), (10_000_000, 1, 1)]
    {
        let layer = Dense::new(units).build(&gpu, [batch, inputs]).unwrap();
        let (kernel, bias) = (numbers(1, inputs * units as usize), numbers(2, units as usize));
        layer
            .set_weights(&[
                HostTensor::new([inputs, units as usize], kernel.clone()).unwrap(),
                HostTensor::new([units as usize], bias.clone()).unwrap(),
            ])
            .unwrap();
        let input = numbers(3, batch * inputs);
        let units = units as usize;
        let products = |output: usize| {
            let (kernel, row) = (&kernel, &input[output / units * inputs..][..inputs]);
            row.iter().enumerate().map(move |(i, &x)| f64::from(x) * f64::from(kernel[i * units + output % units]))
        };
        let exact: Vec<f64> =
            (0..batch * units).map(|o| products(o).sum::<f64>() + f64::from(bias[o % units])).collect();
        let spread: Vec<f64> = (0..batch * units).map(|o| products(o).map(|p| p * p).sum::<f64>().sqrt()).collect();
        let convolution = layer.config().convolutions([batch, inputs]).unwrap()[0];
        let plans = gpu.candidates(&Problem::Conv(convolution)).unwrap();
        let names: Vec<String> = plans.iter().map(Plan::name).collect();
        let pins: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(plans.iter().any(|plan| plan.family == "conv_parts"), "{names:?}");
        let outputs = outputs(&gpu, &layer, &[batch, inputs], &input, &pins);
        hold(&format!("Dense of {inputs}"), &outputs, &exact, |o| {
            32.0 * (inputs as f64).sqrt() * UNIT * spread[o] / 8.0 + 4.0 * UNIT * exact[o].abs()
        });
    }
}

#[test]
fn softmax_of_long_lines() {
    let Some(gpu) = gpu::gpu().map(|gpu| gpu.apart()) else { return };
    for (lines, length) in [(2, 5_000), (3, 32_768), (1, 33_124), (2, 70_001), (1, 1_000_000), (1, 10_000_000)] {
        let input: Vec<f32> = numbers(5, lines * length).into_iter().map(|x| 8.0 * x).collect();
        let sums: Vec<f64> = input.chunks(length).map(|line| line.iter().map(|&x| f64::from(x).exp()).sum()).collect();
        for (activation, logarithmic) in
            [(Activation::Softmax { axis: -1 }, false), (Activation::LogSoftmax { axis: -1 }, true)]
        {
            let exact: Vec<f64> = (input.iter().enumerate())
                .map(|(i, &x)| {
                    let (x, sum) = (f64::from(x), sums[i / length]);
                    if logarithmic { x - sum.ln() } else { x.exp() / sum }
                })
                .collect();
            let name = if logarithmic { "log_softmax" } else { "softmax" };
            let pin = format!("along_axis_{name}_f32x1_parts");
            let layer = ActivationLayer::new(activation).build(&gpu, [lines, length]).unwrap();
            let outputs = outputs(&gpu, &layer, &[lines, length], &input, &[&pin]);
            hold(&format!("{name} of {length}"), &outputs, &exact, |i| {
                if logarithmic { 4e-6 * exact[i].abs() + 4e-6 } else { 2e-5 * exact[i] }
            });
        }
    }
}

#[test]
fn sparsemax_of_long_lines() {
    let Some(gpu) = gpu::gpu().map(|gpu| gpu.apart()) else { return };
    // Numbers of which a few are above the threshold, and numbers so near each other that all are.
    for (length, scale) in [
        (6, 2.0),
        (700, 2.0),
        (5_000, 2.0),
        (33_124, 2.0),
        (100_000, 1e-6),
        (300_000, 2.0),
        (3_000_000, 1e-3),
        (10_000_000, 2.0),
    ] {
        let input: Vec<f32> = numbers(6, length).into_iter().map(|x| scale * x).collect();
        let mut sorted: Vec<f64> = input.iter().map(|&x| f64::from(x)).collect();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let (mut sum, mut threshold) = (0.0, 0.0);
        for (k, x) in sorted.iter().enumerate() {
            sum += x;
            let candidate = (sum - 1.0) / (k + 1) as f64;
            if *x > candidate {
                threshold = candidate;
            }
        }
        let exact: Vec<f64> = input.iter().map(|&x| (f64::from(x) - threshold).max(0.0)).collect();
        let layer = ActivationLayer::new(Activation::Sparsemax { axis: -1 }).build(&gpu, [1, length]).unwrap();
        hold(
            &format!("sparsemax of {length}"),
            &outputs(&gpu, &layer, &[1, length], &input, &["along_axis_sparsemax_f32x1_parts"]),
            &exact,
            |i| {
                // What the subtraction of the largest value rounds, and the threshold.
                6.0 * UNIT * f64::from(scale) + 1e-5 * exact[i]
            },
        );
    }
}

/// Global pooling, windows as large as the picture, and normalisations over it: 160×160, 256×256, 1024×1024, 3200×3200.
#[test]
fn pictures_as_one_line() {
    let Some(gpu) = gpu::gpu().map(|gpu| gpu.apart()) else { return };
    for (side, channels) in [(70usize, 4usize), (160, 2), (256, 3), (1024, 4), (3200, 1)] {
        let shape = [1, side, side, channels];
        let (pixels, count) = (side * side, side * side * channels);
        let input: Vec<f32> = numbers(7, count).into_iter().map(|x| 3.0 + x).collect();
        let channel = |c: usize| input.iter().skip(c).step_by(channels).map(|&x| f64::from(x));
        let means: Vec<f64> = (0..channels).map(|c| channel(c).sum::<f64>() / pixels as f64).collect();
        let largest: Vec<f64> = (0..channels).map(|c| channel(c).fold(f64::MIN, f64::max)).collect();
        let window = [side as u32; 2];
        let build = |config: LayerConfig| config.build(&gpu, shape).unwrap();
        let what = |layer: &str| format!("{layer} of {side}×{side}×{channels}");
        let near = |values: &'static str, exact: Vec<f64>, layer: LayerConfig, pins: &[&str], tolerance: f64| {
            let outputs = outputs(&gpu, &build(layer), &shape, &input, pins);
            hold(&what(values), &outputs, &exact, |i| tolerance * (1.0 + exact[i].abs()));
        };
        near(
            "global average",
            means.clone(),
            GlobalAveragePooling2D::new().into(),
            &["along_axis_mean_f32x1_parts"],
            2e-6,
        );
        near("global maximum", largest.clone(), GlobalMaxPooling2D::new().into(), &["along_axis_max_f32x1_parts"], 0.0);
        near(
            "average",
            means.clone(),
            AveragePooling2D::new(window).padding(Padding::Valid).into(),
            &["pool_average_by_axis_f32x1"],
            2e-6,
        );
        near("maximum", largest, MaxPooling2D::new(window).into(), &["pool_max_by_axis_f32x1"], 0.0);
        let variance: Vec<f64> =
            (0..channels).map(|c| channel(c).map(|x| (x - means[c]).powi(2)).sum::<f64>() / pixels as f64).collect();
        let instance = (0..count)
            .map(|i| (f64::from(input[i]) - means[i % channels]) / (variance[i % channels] + 1e-3).sqrt())
            .collect();
        near(
            "instance normalization",
            instance,
            GroupNormalization::new(-1).into(),
            &["normalize_standard_f32x1_parts"],
            5e-6,
        );
        let mean = means.iter().sum::<f64>() / channels as f64;
        let deviation =
            (input.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count as f64 + 1e-3).sqrt();
        let whole: Vec<f64> = input.iter().map(|&x| (f64::from(x) - mean) / deviation).collect();
        near(
            "group normalization",
            whole.clone(),
            GroupNormalization::new(1).into(),
            &["normalize_standard_f32x1_parts"],
            5e-6,
        );
        near(
            "layer normalization",
            whole,
            LayerNormalization::new().axis([1, 2, 3]).into(),
            &["normalize_standard_f32x1_parts"],
            5e-6,
        );
        let norm = input.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let unit = input.iter().map(|&x| f64::from(x) / norm).collect();
        near(
            "unit normalization",
            unit,
            UnitNormalization::new().axis([1, 2, 3]).into(),
            &["normalize_unit_f32x1_parts"],
            5e-6,
        );
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

/// The outputs of every plan in parts that `problem` has on the device and, where buffers are as small as `binding` bytes, in
/// rounds.
fn in_parts(
    launcher: &Launcher,
    problem: &Problem,
    binding: u64,
    given: &[(Operand, Vec<u8>)],
    count: usize,
) -> Outputs {
    let caps = *launcher.gpu().caps();
    let mut outputs = Vec::new();
    for caps in [caps, Caps { max_binding: binding, ..caps }] {
        let plans = candidates(problem, &caps)
            .unwrap()
            .into_iter()
            .filter(|plan| plan.variant.contains("parts") || plan.family == "conv_parts");
        for plan in plans {
            let name = format!("{} in {} launches", plan.name(), plan.steps.len());
            let output = launcher.launch(&plan, given, 4 * count).unwrap();
            let word = |word: &[u8]| f32::from_ne_bytes(word.try_into().unwrap());
            outputs.push((name, output.chunks_exact(4).map(word).collect()));
        }
    }
    assert!(outputs.iter().any(|(name, _)| !name.ends_with(" 2 launches")), "none in rounds");
    outputs
}

type Outputs = Vec<(String, Vec<f32>)>;

/// What a sum of `products` may miss: see `dense_layers_of_many_inputs`.
fn sum_and_bound(products: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let (count, sum) = (products.clone().count() as f64, products.clone().sum::<f64>());
    let spread = products.map(|product| product * product).sum::<f64>().sqrt();
    (sum, 4.0 * count.sqrt() * UNIT * spread + 4.0 * UNIT * sum.abs())
}

/// Matrix products of many terms, in one round and in several.
#[test]
fn products_of_many_terms() {
    let Some(gpu) = gpu::gpu().map(|gpu| gpu.apart()) else { return };
    let launcher = Launcher::new(gpu);
    for (rows, columns, terms) in
        [(3usize, 5usize, 32_264usize), (5, 8, 100_001), (2, 4, 1_000_000), (2, 3, 10_000_000)]
    {
        let (left, right) = (numbers(8, rows * terms), numbers(9, terms * columns));
        let sizes = [rows, columns, terms].map(|extent| extent as u32);
        let strides = [[terms as u32, 1], [columns as u32, 1]];
        let problem =
            ProductProblem::new(&[], sizes, strides[0], strides[1], PairSides::InputOther, DType::F32).unwrap();
        let given = [(Operand::Input, bytes(&left)), (Operand::Other, bytes(&right))];
        let sums: Vec<(f64, f64)> = (0..rows * columns)
            .map(|at| {
                let (row, column) = (at / columns, at % columns);
                let product = |k: usize| f64::from(left[row * terms + k]) * f64::from(right[k * columns + column]);
                sum_and_bound((0..terms).map(product))
            })
            .collect();
        let exact: Vec<f64> = sums.iter().map(|(sum, _)| *sum).collect();
        // Four outputs' parts at a time.
        let binding = 16 * terms.div_ceil(1 << 14) as u64;
        let outputs = in_parts(&launcher, &Problem::Product(problem), binding, &given, rows * columns);
        hold(&format!("{rows}×{terms} by {terms}×{columns}"), &outputs, &exact, |at| sums[at].1);
    }
}

/// Transposed convolutions of many channels, one output channel for all: a pixel is hit by 2 × 2 taps, of 2 × 2 pixels.
#[test]
fn transposed_convolutions_of_many_channels() {
    let Some(gpu) = gpu::gpu().map(|gpu| gpu.apart()) else { return };
    let launcher = Launcher::new(gpu);
    let axis = Axis { input: 6, output: 2, kernel: 4, stride: 2, dilation: 1, pad_before: 0 };
    for (channels, filters) in [(20_000usize, 4usize), (500_000, 1)] {
        let geometry =
            ConvGeometry::new(1, 1, [filters, channels].map(|count| count as u32), [Axis::UNIT, axis, axis]).unwrap();
        let epilogue =
            Epilogue { bias: true, residual: false, activation: Elementwise::new(&Activation::Linear).unwrap() };
        let problem = ConvProblem {
            geometry,
            direction: Direction::BackwardInput,
            dtype: DType::F32,
            data_format: DataFormat::ChannelsLast,
            epilogue,
        };
        let (input, kernel, bias) =
            (numbers(11, 4 * channels), numbers(12, 16 * filters * channels), numbers(13, filters));
        let given = [(Operand::Input, bytes(&input)), (Operand::Kernel, bytes(&kernel)), (Operand::Bias, bytes(&bias))];
        let sums: Vec<(f64, f64)> = (0..36 * filters)
            .map(|at| {
                let (y, x, filter) = (at / filters / 6, at / filters % 6, at % filters);
                let hits = |at: usize| (0..2usize).filter(move |i| at >= 2 * i && at - 2 * i < 4);
                let pixels = hits(y).flat_map(|iy| hits(x).map(move |ix| (iy, ix)));
                let (input, kernel) = (&input, &kernel);
                let products = pixels.flat_map(move |(iy, ix)| {
                    let tap = (y - 2 * iy) * 4 + x - 2 * ix;
                    (0..channels).map(move |f| {
                        let weight = kernel[(tap * filters + filter) * channels + f];
                        f64::from(input[(iy * 2 + ix) * channels + f]) * f64::from(weight)
                    })
                });
                sum_and_bound(products.chain([f64::from(bias[filter])]))
            })
            .collect();
        let exact: Vec<f64> = sums.iter().map(|(sum, _)| *sum).collect();
        let binding = 64 * (4 * channels).div_ceil(1 << 14) as u64;
        let outputs = in_parts(&launcher, &Problem::Conv(problem), binding, &given, exact.len());
        hold(&format!("{channels} channels transposed"), &outputs, &exact, |at| sums[at].1);
    }
}

/// Windows of many rows or columns, in one round and in several.
#[test]
fn windows_of_many_rows() {
    let Some(gpu) = gpu::gpu().map(|gpu| gpu.apart()) else { return };
    let launcher = Launcher::new(gpu);
    for (window, channels) in [([20_000usize, 1usize], 3usize), ([1, 40_000], 4), ([70_000, 1], 4)] {
        let [height, width] = window;
        let along = |window: usize| axis(if window > 1 { 9 } else { 1 }, window as u32, 1);
        let axes = [Axis::UNIT, along(height), along(width)];
        let input = numbers(14, axes[1].input as usize * axes[2].input as usize * channels);
        let channel = channels as u32;
        let geometry = ConvGeometry::new(1, channel, [channel; 2], axes).unwrap();
        for function in [PoolFunction::Max, PoolFunction::Average] {
            let problem = PoolProblem { function, geometry, dtype: DType::F32, data_format: DataFormat::ChannelsLast };
            let taps = height * width;
            let sums: Vec<(f64, f64)> = (0..9 * channels)
                .map(|at| {
                    let values =
                        (0..taps).map(|tap| f64::from(input[(at / channels + tap) * channels + at % channels]));
                    match function {
                        PoolFunction::Max => (values.fold(f64::MIN, f64::max), 0.0),
                        _ => (values.sum::<f64>() / taps as f64, 64.0 * UNIT / (taps as f64).sqrt()),
                    }
                })
                .collect();
            let exact: Vec<f64> = sums.iter().map(|(sum, _)| *sum).collect();
            let binding = 32 * taps.div_ceil(1 << 14) as u64;
            let outputs =
                in_parts(&launcher, &Problem::Pool(problem), binding, &[(Operand::Input, bytes(&input))], exact.len());
            hold(&format!("{function:?} of {height}×{width}"), &outputs, &exact, |at| sums[at].1);
        }
    }
}
