//! Records of what to compute are plain data that anybody can fill in: no numbers in them make the menu panic, and what it
//! offers for them can be launched.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wgpu_conv::plan::{
    AffineProblem, AxisFunction, AxisProblem, BinaryFunction, BinaryProblem, Caps, ConvProblem, Direction, Elementwise,
    Epilogue, Fill, MOST_TURNS, MapProblem, MoveAxis, MoveProblem, NoiseFunction, NoiseProblem, NormalizeFunction,
    NormalizeProblem, Outside, PairAxis, PairSides, PoolFunction, PoolProblem, Problem, ProductProblem, ResizeProblem,
    SeparableProblem,
};
use wgpu_conv::{Activation, Axis, ConvGeometry, DType, DataFormat, candidates};

/// What numbers are replaced by.
const EXTREMES: [u32; 4] = [0, 1, 65_537, u32::MAX];

/// Every way to replace one of `count` numbers by extremes, and many of those to replace two.
fn changes(count: usize) -> Vec<[(usize, u32); 2]> {
    let one: Vec<(usize, u32)> = (0..count).flat_map(|at| EXTREMES.map(|value| (at, value))).collect();
    let two: Vec<_> = one.iter().flat_map(|&first| one.iter().map(move |&second| [first, second])).collect();
    one.iter().map(|&first| [first, first]).chain(two.into_iter().step_by(23)).collect()
}

/// The problem that `problem` makes of `numbers`, each replaced by extremes, one and two at a time.
fn hold(what: &str, numbers: &[u32], problem: impl Fn(&[u32]) -> Option<Problem>) {
    let devices = [
        Caps::FLOOR,
        Caps { software: true, u64: true, subgroup: Some(8), texel_rows: 16_384, f16: true, ..Caps::FLOOR },
    ];
    let (mut offered, mut refused) = (0, 0);
    for change in changes(numbers.len()) {
        let mut changed = numbers.to_vec();
        for (at, value) in change {
            changed[at] = value;
        }
        for caps in devices {
            let plans = catch_unwind(AssertUnwindSafe(|| problem(&changed).map(|problem| candidates(&problem, &caps))));
            match plans {
                Err(_) => panic!("{what} of {changed:?} panics"),
                // The types have refused them.
                Ok(None) => refused += 1,
                Ok(Some(Err(error))) => {
                    assert!(!error.to_string().is_empty());
                    refused += 1;
                }
                Ok(Some(Ok(plans))) => {
                    for plan in plans {
                        for step in &plan.steps {
                            let fits = step.workgroups.iter().all(|&count| count <= caps.max_workgroups);
                            assert!(fits && step.turns <= MOST_TURNS, "{} for {what} of {changed:?}", plan.name());
                        }
                        offered += 1;
                    }
                }
            }
        }
    }
    println!("{what}: {offered} plans, {refused} refusals");
    assert!(offered > 0 && refused > 0, "{what}: {offered} plans, {refused} refusals");
}

fn axis(numbers: &[u32]) -> Axis {
    let [input, output, kernel, stride, dilation, pad_before] = numbers[..] else { unreachable!("six numbers") };
    Axis { input, output, kernel, stride, dilation, pad_before }
}

fn geometry(numbers: &[u32]) -> Option<ConvGeometry> {
    let [batch, groups, in_channels, out_channels] = numbers[..4] else { unreachable!("four numbers") };
    let axes = [axis(&numbers[4..10]), axis(&numbers[10..16]), axis(&numbers[16..22])];
    ConvGeometry::new(batch, groups, [in_channels, out_channels], axes).ok()
}

const EPILOGUE: fn() -> Epilogue =
    || Epilogue { bias: true, residual: false, activation: Elementwise::new(&Activation::RELU).expect("element-wise") };

/// A convolution of 8 channels in groups to 16, 3×3 over 9×10.
const CONV: [u32; 22] = [2, 1, 8, 16, 1, 1, 1, 1, 1, 0, 9, 7, 3, 1, 1, 0, 10, 8, 3, 1, 1, 0];

/// The same over a depth of 6, in windows of 2.
const DEEP: [u32; 22] = [2, 1, 8, 16, 6, 3, 2, 2, 1, 1, 9, 7, 3, 1, 1, 0, 10, 8, 3, 1, 1, 0];

#[test]
fn convolutions() {
    for (direction, data_format, groups) in [
        (Direction::Forward, DataFormat::ChannelsLast, 1),
        (Direction::Forward, DataFormat::ChannelsFirst, 8),
        (Direction::BackwardInput, DataFormat::ChannelsLast, 1),
        (Direction::BackwardInput, DataFormat::ChannelsFirst, 4),
    ] {
        for mut numbers in [CONV, DEEP] {
            numbers[1] = groups;
            hold(&format!("{direction:?} {data_format:?}"), &numbers, |numbers| {
                let (geometry, dtype) = (geometry(numbers)?, DType::F32);
                Some(Problem::Conv(ConvProblem { geometry, direction, dtype, data_format, epilogue: EPILOGUE() }))
            });
        }
    }
}

#[test]
fn separable_convolutions() {
    let mut numbers = CONV;
    [numbers[1], numbers[3]] = [8, 8];
    hold("separable", &numbers, |numbers| {
        let first = geometry(numbers)?;
        let pointwise = |extent| axis(&[extent, extent, 1, 1, 1, 0]);
        let axes = first.axes().map(|axis| pointwise(axis.output));
        let second = ConvGeometry::new(first.batch(), 1, [first.out_channels(), 16], axes).ok()?;
        let [depthwise, pointwise] = [first, second].map(|geometry| ConvProblem {
            geometry,
            direction: Direction::Forward,
            dtype: DType::F32,
            data_format: DataFormat::ChannelsLast,
            epilogue: EPILOGUE(),
        });
        SeparableProblem::new(depthwise, pointwise).map(Problem::Separable)
    });
}

#[test]
fn pools() {
    for (mut numbers, padded) in [(CONV, false), (CONV, true), (DEEP, true)] {
        [numbers[1], numbers[3]] = [8, 8];
        hold("pool", &[&numbers[..], &[1, 2, 1]].concat(), |numbers| {
            let function = match padded {
                true => PoolFunction::AveragePadded { pad_after: [numbers[22], numbers[23], numbers[24]] },
                false => PoolFunction::Max,
            };
            let (geometry, dtype, data_format) = (geometry(numbers)?, DType::F32, DataFormat::ChannelsLast);
            Some(Problem::Pool(PoolProblem { function, geometry, dtype, data_format }))
        });
    }
}

#[test]
fn lines() {
    use AxisFunction::{Glu, LogSumExp, Max, Mean, Softmax, Sparsemax};
    for function in [Softmax, Sparsemax, Glu, Mean, Max, LogSumExp] {
        hold(&format!("{function:?}"), &[3, 5000, 2], |numbers| {
            let [outer, extent, inner] = numbers[..] else { unreachable!("three numbers") };
            Some(Problem::AlongAxis(AxisProblem { function, outer, extent, inner, dtype: DType::F32 }))
        });
    }
    for function in [NormalizeFunction::Standard, NormalizeFunction::Unit] {
        hold(&format!("{function:?}"), &[3, 5000, 2, 4, 1, 2, 1], |numbers| {
            let [outer, spread, group, extent, spread_step, group_step, run] = numbers[..] else {
                unreachable!("seven numbers")
            };
            Some(Problem::Normalize(NormalizeProblem {
                function,
                outer,
                spread,
                group,
                extent,
                epsilon: 1e-3f32.to_bits(),
                gamma: true,
                beta: true,
                spread_step,
                group_step,
                run,
                dtype: DType::F32,
            }))
        });
    }
}

#[test]
fn images_and_elements() {
    hold("resize", &[2, 4, 5, 6, 10, 12, 2, 2], |numbers| {
        let [batch, channels, in_h, in_w, out_h, out_w, taps_h, taps_w] = numbers[..] else {
            unreachable!("eight numbers")
        };
        Some(Problem::Resize(ResizeProblem {
            batch,
            channels,
            input: [in_h, in_w],
            output: [out_h, out_w],
            taps: [taps_h, taps_w],
            dtype: DType::F32,
            data_format: DataFormat::ChannelsLast,
        }))
    });
    hold("map", &[100], |numbers| {
        let activation = EPILOGUE().activation;
        Some(Problem::Map(MapProblem { elements: numbers[0], dtype: DType::F32, activation }))
    });
    hold("affine", &[3, 4, 5, 6], |numbers| {
        let [batch, channels, height, width] = numbers[..] else { unreachable!("four numbers") };
        Some(Problem::Affine(AffineProblem {
            batch,
            channels,
            size: [height, width],
            nearest: false,
            fill: Fill::Reflect,
            dtype: DType::F32,
            data_format: DataFormat::ChannelsLast,
        }))
    });
    hold("noise", &[8, 100, 3, 4, 5], |numbers| {
        let [first, elements, low, high, site] = numbers[..] else { unreachable!("five numbers") };
        let function = NoiseFunction::Drop { threshold: 1 << 23, scale: 0, shift: 0, dropped: 0 };
        Some(Problem::Noise(NoiseProblem { function, first, elements, seed: [low, high], site, dtype: DType::F32 }))
    });
    hold("move", &[4, 1, 1, 5, 4, 4, 7, 20, 20, 0, 0], |numbers| {
        let axis = |at: usize| MoveAxis {
            extent: numbers[at],
            from: numbers[at + 1] as i32,
            to: numbers[at + 2],
            reach: None,
        };
        let mut moved = MoveProblem::new(&[], 0, Outside::ZERO, DType::F32).expect("one element");
        moved.axes[..3].copy_from_slice(&[axis(0), axis(3), axis(6)]);
        [moved.input_offset, moved.output_offset] = [numbers[9], numbers[10]];
        Some(Problem::Move(moved))
    });
}

#[test]
fn pairs() {
    let axes = |numbers: &[u32]| {
        let axis = |at: usize| PairAxis { extent: numbers[at], left: numbers[at + 1], right: numbers[at + 2] };
        [axis(0), axis(3), axis(6)]
    };
    hold("binary", &[4, 1, 1, 5, 4, 4, 7, 20, 0], |numbers| {
        let sides = PairSides::InputOther;
        let mut problem = BinaryProblem::new(BinaryFunction::Add, &[1], &[1], sides, DType::F32).expect("one element");
        problem.axes[..3].copy_from_slice(&axes(numbers));
        Some(Problem::Binary(problem))
    });
    hold("product", &[2, 72_000, 0, 3, 144_000, 0, 1, 0, 0, 8, 12, 9000, 9000, 1, 12, 1], |numbers| {
        let [rows, columns, terms, left_row, left_term, right_term, right_column] = numbers[9..] else {
            unreachable!("seven numbers")
        };
        let (left, right, sides) = ([left_row, left_term], [right_term, right_column], PairSides::InputOther);
        let sizes = [rows, columns, terms];
        let mut problem = ProductProblem::new(&[], sizes, left, right, sides, DType::F32).expect("no batch");
        problem.batch[..3].copy_from_slice(&axes(numbers));
        Some(Problem::Product(problem))
    });
}

/// The first guess on a GPU: Winograd's tiles where they save more than they move, and else as many workgroups as there is
/// room for.
#[test]
fn gpus_take_what_pays() {
    let of = |geometry| {
        let problem = ConvProblem {
            geometry,
            direction: Direction::Forward,
            dtype: DType::F32,
            data_format: DataFormat::ChannelsLast,
            epilogue: EPILOGUE(),
        };
        let caps = Caps { max_invocations: 256, workgroup_storage: 32_768, ..Caps::FLOOR };
        candidates(&Problem::Conv(problem), &caps).expect("plans").swap_remove(0)
    };
    let first = |side: u32, channels: u32, filters: u32, kernel: u32| {
        let axis = axis(&[side, side, kernel, 1, 1, kernel / 2]);
        of(ConvGeometry::new(1, 1, [channels, filters], [Axis::UNIT, axis, axis]).expect("a convolution"))
    };
    for [side, channels] in [[56, 64], [28, 128], [14, 256]] {
        let plan = first(side, channels, channels, 3);
        assert!(plan.name().starts_with("conv_winograd_4x4"), "{side}² × {channels}: {}", plan.name());
    }
    // The smaller tiles are the more exact ones.
    assert!(first(14, 512, 512, 3).name().starts_with("conv_winograd_2x2"));
    let volume = |taps: u32, channels: u32| {
        let [depth, plane] = [axis(&[8, 8, taps, 1, 1, taps / 2]), axis(&[28, 28, 3, 1, 1, 1])];
        let geometry = ConvGeometry::new(1, 1, [channels; 2], [depth, plane, plane]).expect("a convolution");
        of(geometry).name()
    };
    assert!(volume(3, 128).starts_with("conv_winograd_4x4"), "{}", volume(3, 128));
    // So are they where taps along the depth make the sums as long.
    for name in [volume(3, 256), volume(5, 128)] {
        assert!(name.starts_with("conv_winograd_2x2"), "{name}");
    }
    // Few channels move more than they save, small pictures save less than two launches take.
    for [side, channels] in [[112, 16], [14, 64]] {
        let plan = first(side, channels, channels, 3);
        assert_ne!(plan.family, "conv_winograd", "{side}² × {channels}: {}", plan.name());
    }
    let late = first(14, 512, 512, 1);
    let workgroups: u32 = late.steps[0].workgroups.iter().product();
    assert!(late.family == "conv_split" && workgroups >= 128, "{} in {workgroups} workgroups", late.name());
}
