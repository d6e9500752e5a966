//! Problems of the backward pass, with operands and what may come out.
//!
//! The reference has no gradients, and needs none. A convolution is linear in its kernel, so the gradient to one element
//! of the kernel is what the convolution by a kernel of that element alone makes, times the gradient that is given. A
//! mean is linear in its input. Batch normalisation in training stands here whole, by its formulas. The gradient of a maximum is what a small change of one input element does to the output.

use wgpu_conv::plan::{
    BatchFunction, BatchProblem, BinaryFunction, BinaryGradientProblem, BinaryProblem, Elementwise, Hand,
    KernelGradientProblem, Operand, PairSides, PoolFunction, PoolGradientProblem, PoolProblem, Problem,
};
use wgpu_conv::{Activation, Axis, ConvGeometry, DType, DataFormat};

use super::common::reference::{
    Array, PoolAxis, ReferencePadding, ReferenceWindow, activate, average_pool, conv, max_pool,
};
use super::common::tolerance::{Expected, accumulated, stored};
use super::problems::Case;
use super::table::{FORMATS, Numbers, storage};

/// Every case whose tensors are stored as `dtype`.
pub fn cases(dtype: DType) -> Vec<Case> {
    let mut numbers = Numbers::new(23);
    let mut cases = Vec::new();
    pools(dtype, &mut numbers, &mut cases);
    functions_of_two(dtype, &mut numbers, &mut cases);
    kernels(dtype, &mut numbers, &mut cases);
    if dtype == DType::F32 {
        batches(&mut numbers, &mut cases);
    }
    cases
}

fn drawn(numbers: &mut Numbers, shape: &[usize], dtype: DType) -> Array {
    let data: Vec<f64> = (0..shape.iter().product()).map(|_| numbers.unit(storage(dtype))).collect();
    Array::new(shape, data)
}

fn laid(array: &Array, data_format: DataFormat) -> Array {
    match data_format {
        DataFormat::ChannelsLast => array.clone(),
        DataFormat::ChannelsFirst => array.to_channels_first(),
    }
}

fn product(left: &Array, right: &Array) -> f64 {
    left.data.iter().zip(&right.data).map(|(left, right)| left * right).sum()
}

/// `shape` with 1 at `at` and 0 elsewhere.
fn unit(shape: &[usize], at: usize) -> Array {
    let mut data = vec![0.0; shape.iter().product()];
    data[at] = 1.0;
    Array::new(shape, data)
}

struct Row {
    name: &'static str,
    input: [usize; 4],
    filters: usize,
    groups: usize,
    kernel: [u32; 2],
    strides: [u32; 2],
    dilation: [u32; 2],
    pads: [[u32; 2]; 2],
}

const ROW: Row = Row {
    name: "one of everything",
    input: [1, 1, 1, 1],
    filters: 1,
    groups: 1,
    kernel: [1, 1],
    strides: [1, 1],
    dilation: [1, 1],
    pads: [[0, 0], [0, 0]],
};

const ROWS: [Row; 14] = [
    ROW,
    Row { name: "primes", input: [2, 7, 5, 3], filters: 5, kernel: [3, 2], strides: [2, 1], ..ROW },
    Row { name: "a picture, pads", input: [2, 6, 7, 3], filters: 4, kernel: [3, 3], pads: [[1, 1], [1, 1]], ..ROW },
    Row { name: "fours", input: [1, 5, 6, 4], filters: 8, kernel: [2, 2], ..ROW },
    Row { name: "fours, dilated", input: [2, 7, 8, 4], filters: 4, kernel: [2, 3], dilation: [3, 2], ..ROW },
    Row { name: "uneven pads", input: [1, 5, 4, 2], filters: 3, kernel: [3, 4], pads: [[2, 0], [0, 3]], ..ROW },
    Row { name: "pointwise", input: [3, 4, 5, 4], filters: 4, ..ROW },
    Row { name: "groups", input: [1, 5, 5, 6], filters: 4, groups: 2, kernel: [2, 2], ..ROW },
    Row { name: "groups of fours", input: [1, 4, 5, 8], filters: 8, groups: 2, kernel: [2, 1], ..ROW },
    Row {
        name: "groups of several fours, pads",
        input: [2, 6, 5, 16],
        filters: 24,
        groups: 2,
        kernel: [2, 3],
        strides: [1, 2],
        pads: [[1, 0], [1, 2]],
        ..ROW
    },
    Row { name: "tiles in parts", input: [2, 24, 24, 16], filters: 16, kernel: [3, 3], pads: [[1, 1], [1, 1]], ..ROW },
    Row { name: "tiles", input: [2, 5, 3, 16], filters: 20, kernel: [3, 3], pads: [[1, 1], [0, 1]], ..ROW },
    Row {
        name: "depthwise in fours",
        input: [2, 6, 5, 8],
        filters: 8,
        groups: 8,
        kernel: [3, 3],
        strides: [1, 2],
        ..ROW
    },
    // The runs of a line end before the line, and parts within one.
    Row { name: "in parts", input: [3, 17, 70, 1], filters: 4, kernel: [1, 2], ..ROW },
];

/// What may come out where the taps of a kernel's gradient are made out of the same sums (Winograd's algorithm): each may miss by
/// what the one may that may miss by most.
fn in_tiles(expected: &Expected) -> Expected {
    let largest = |line: &[f64]| vec![line.iter().copied().fold(0.0, f64::max); line.len()];
    let bound = Array::new(&*expected.exact.shape, expected.bound.clone()).along(0, largest).along(1, largest);
    Expected { bound: bound.data, ..expected.clone() }
}

impl Row {
    fn axis(&self, axis: usize) -> Axis {
        let (input, [before, after]) = (self.input[axis + 1] as u32, self.pads[axis]);
        let reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
        let output = (input + before + after - reach) / self.strides[axis] + 1;
        let (stride, dilation) = (self.strides[axis], self.dilation[axis]);
        Axis { input, output, kernel: self.kernel[axis], stride, dilation, pad_before: before }
    }
}

fn kernels(dtype: DType, numbers: &mut Numbers, cases: &mut Vec<Case>) {
    for row in &ROWS {
        let [batch, _, _, channels] = row.input;
        let axes = [Axis::UNIT, row.axis(0), row.axis(1)];
        let channel_counts = [channels as u32, row.filters as u32];
        let geometry = ConvGeometry::new(batch as u32, row.groups as u32, channel_counts, axes).expect("a sound row");
        let window = ReferenceWindow {
            strides: row.strides.map(|stride| stride as usize),
            dilation_rate: row.dilation.map(|rate| rate as usize),
            padding: ReferencePadding::Explicit(row.pads.map(|pads| pads.map(|pad| pad as usize))),
            channels_first: false,
        };
        let input = drawn(numbers, &row.input, dtype);
        let written = [batch, axes[1].output as usize, axes[2].output as usize, row.filters];
        let gradient = drawn(numbers, &written, dtype);
        let shape = [row.kernel[0] as usize, row.kernel[1] as usize, channels / row.groups, row.filters];
        let by = |input: &Array, gradient: &Array| -> Vec<f64> {
            (0..shape.iter().product())
                .map(|at| product(&conv(input, &unit(&shape, at), None, row.groups, &window).exact, gradient))
                .collect()
        };
        let exact = by(&input, &gradient);
        let terms = geometry.pixels() as usize;
        let magnitudes = by(&input.map(f64::abs), &gradient.map(f64::abs));
        let bound = magnitudes.iter().map(|&magnitude| accumulated(terms, magnitude)).collect();
        let expected = Expected { exact: Array::new(shape, exact), bound, overflow: f64::INFINITY };
        for data_format in FORMATS {
            cases.push(Case {
                name: format!("gradient of a kernel: {} {}", row.name, data_format.name()),
                problem: Problem::KernelGradient(KernelGradientProblem { geometry, dtype, data_format }),
                given: vec![
                    (Operand::Input, laid(&input, data_format), dtype),
                    (Operand::Gradient, laid(&gradient, data_format), dtype),
                ],
                expected: expected.clone(),
                in_tiles: Some(in_tiles(&expected)),
            });
        }
    }
}

/// Sizes, windows, strides, dilation and pads of one row of a pooling.
type PoolRow = (&'static str, [usize; 4], [u32; 2], [u32; 2], [u32; 2], [[u32; 2]; 2]);

const POOLS: [PoolRow; 5] = [
    ("halves", [2, 4, 6, 4], [2, 2], [2, 2], [1, 1], [[0, 0], [0, 0]]),
    ("overlapping", [1, 5, 6, 3], [3, 2], [1, 1], [1, 1], [[0, 0], [0, 0]]),
    ("pads", [1, 5, 4, 2], [3, 3], [2, 2], [1, 1], [[1, 1], [1, 2]]),
    ("dilated", [1, 7, 6, 2], [2, 3], [1, 2], [3, 2], [[0, 0], [1, 1]]),
    ("stride above the window", [1, 7, 8, 3], [2, 1], [3, 3], [1, 1], [[0, 0], [0, 0]]),
];

fn pools(dtype: DType, numbers: &mut Numbers, cases: &mut Vec<Case>) {
    for (name, shape, size, strides, dilation, pads) in POOLS {
        let windows = [0, 1].map(|axis| PoolAxis {
            axis: axis + 1,
            size: size[axis] as usize,
            stride: strides[axis] as usize,
            dilation: dilation[axis] as usize,
            padding: pads[axis].map(|pad| pad as usize),
            ceil: false,
        });
        let axis = |axis: usize| {
            let (input, [before, after]) = (shape[axis + 1] as u32, pads[axis]);
            let reach = (size[axis] - 1) * dilation[axis] + 1;
            let output = (input + before + after - reach) / strides[axis] + 1;
            let (kernel, stride, dilation) = (size[axis], strides[axis], dilation[axis]);
            Axis { input, output, kernel, stride, dilation, pad_before: before }
        };
        let [batch, _, _, channels] = shape.map(|extent| extent as u32);
        let axes = [Axis::UNIT, axis(0), axis(1)];
        let geometry = ConvGeometry::new(batch, channels, [channels; 2], axes).expect("a sound row");
        let input = drawn(numbers, &shape, dtype);
        let written = [shape[0], axes[1].output as usize, axes[2].output as usize, shape[3]];
        let gradient = drawn(numbers, &written, dtype);
        let padded = PoolFunction::AveragePadded { pad_after: [0, pads[0][1], pads[1][1]] };
        for function in [PoolFunction::Max, PoolFunction::Average, padded] {
            let moved = |at: usize| -> Array {
                if function == PoolFunction::Max {
                    // Far less than any two values of the row are apart.
                    let change = 1e-6;
                    let more = Array::new(
                        shape,
                        (0..input.data.len())
                            .map(|i| input.data[i] + if i == at { change } else { 0.0 })
                            .collect::<Vec<_>>(),
                    );
                    let [before, after] = [&input, &more].map(|input| max_pool(input, &windows));
                    after.zip(&before, |after, before| ((after - before) / change).round())
                } else {
                    average_pool(&unit(&shape, at), &windows, function == padded).exact
                }
            };
            let shares: Vec<Array> = (0..input.data.len()).map(moved).collect();
            let exact: Vec<f64> = shares.iter().map(|share| product(share, &gradient)).collect();
            let magnitude = |share: &Array| product(share, &gradient.map(f64::abs));
            let terms = geometry.taps() as usize;
            let bound = shares
                .iter()
                .zip(&exact)
                .map(|(share, &exact)| stored(storage(dtype), exact, accumulated(terms, magnitude(share))));
            let bound: Vec<f64> = bound.collect();
            for data_format in FORMATS {
                let [exact, bound] = [&exact, &bound].map(|data| laid(&Array::new(shape, data.clone()), data_format));
                cases.push(Case {
                    name: format!("gradient of pooling: {name} {function:?} {}", data_format.name()),
                    problem: Problem::PoolGradient(PoolGradientProblem {
                        of: PoolProblem { function, geometry, dtype, data_format },
                    }),
                    given: vec![
                        (Operand::Input, laid(&input, data_format), dtype),
                        (Operand::Gradient, laid(&gradient, data_format), dtype),
                    ],
                    expected: Expected { exact, bound: bound.data, overflow: storage(dtype).overflow() },
                    in_tiles: None,
                });
            }
        }
    }
}

/// The slopes along left and right.
fn slopes(function: BinaryFunction, a: f64, b: f64) -> [f64; 2] {
    let larger = |a: f64, b: f64| if a == b { 0.5 } else { f64::from(u8::from(a > b)) };
    match function {
        BinaryFunction::Add => [1.0, 1.0],
        BinaryFunction::Subtract => [1.0, -1.0],
        BinaryFunction::Multiply => [b, a],
        BinaryFunction::Divide => [1.0 / b, -a / (b * b)],
        BinaryFunction::Maximum => [larger(a, b), larger(b, a)],
        BinaryFunction::Minimum => [larger(b, a), larger(a, b)],
        BinaryFunction::Power => [b * a.powf(b - 1.0), a.powf(b) * a.ln()],
        BinaryFunction::Prelu => [if a > 0.0 { 1.0 } else { b }, if a > 0.0 { 0.0 } else { a }],
        _ => [0.0, 0.0],
    }
}

fn functions_of_two(dtype: DType, numbers: &mut Numbers, cases: &mut Vec<Case>) {
    use BinaryFunction::{Add, Divide, Maximum, Minimum, Multiply, Power, Prelu, Subtract};
    for function in [Add, Subtract, Multiply, Divide, Maximum, Minimum, Power, Prelu] {
        for (left, right) in [(&[2, 3, 5][..], &[2, 3, 5][..]), (&[2, 3, 4], &[3, 1])] {
            let (mut a, mut b) = (drawn(numbers, left, dtype), drawn(numbers, right, dtype));
            if matches!(function, Power | Divide) {
                [a, b] = [a, b].map(|side| side.map(|x| half::f16::from_f64(x.abs() + 0.5).to_f64()));
            }
            // Some are the same on either side.
            b.data[1] = a.broadcast(left).data[1];
            let gradient = drawn(numbers, left, dtype);
            let of = BinaryProblem::new(function, left, right, PairSides::InputOther, dtype).expect("a sound row");
            let [wide_a, wide_b] = [&a, &b].map(|side| side.broadcast(left));
            for (index, side) in [Hand::Left, Hand::Right].into_iter().enumerate() {
                let slope = wide_a.zip(&wide_b, |a, b| slopes(function, a, b)[index]);
                let exact = slope.zip(&gradient, |slope, gradient| slope * gradient);
                let terms = if function == Power { 64 } else { 8 };
                let bound =
                    exact.data.iter().map(|x| stored(storage(dtype), *x, accumulated(terms, x.abs()))).collect();
                cases.push(Case {
                    name: format!("gradient of {function:?} to the {side:?}: {left:?} {right:?}"),
                    problem: Problem::BinaryGradient(BinaryGradientProblem { of, side }),
                    given: vec![
                        (Operand::Input, a.clone(), dtype),
                        (Operand::Other, b.clone(), dtype),
                        (Operand::Gradient, gradient.clone(), dtype),
                    ],
                    expected: Expected { exact, bound, overflow: storage(dtype).overflow() },
                    in_tiles: None,
                });
            }
        }
    }
}

/// Batch normalisation in training of `[outer, channels, inner]`: statistics, what comes of them, and the way back. A mean of a
/// hundred deviations, so that a difference of squares would be seen.
fn batches(numbers: &mut Numbers, cases: &mut Vec<Case>) {
    use BatchFunction::{Apply, Gradient, Moments, Sums};
    const EPSILON: f32 = 1e-3;
    let gelu = Activation::Gelu { approximate: false };
    let rows = [
        ([100, 8, 1], Activation::RELU, true, true),
        ([70, 5, 1], gelu, true, false),
        ([9001, 4, 1], gelu, false, true),
        ([3, 4, 52], Activation::Linear, false, false),
        ([2, 3, 2300], gelu, true, true),
        ([5, 3, 7], Activation::RELU, true, true),
        ([1, 3, 1], Activation::Linear, true, true),
    ];
    for ([outer, channels, inner], activation, has_gamma, has_beta) in rows {
        let count = outer * inner;
        let shape = [outer, channels, inner];
        let stored = |array: Array| array.map(|value| f64::from(value as f32));
        let x = stored(drawn(numbers, &shape, DType::F32).map(|x| x + 100.0));
        let gradient = drawn(numbers, &shape, DType::F32);
        let [gamma, beta] = [0, 1].map(|_| drawn(numbers, &[channels], DType::F32));
        let of = |index: usize| index / inner % channels;
        let sums = |term: &dyn Fn(usize) -> f64| {
            let mut sums = vec![0.0; channels];
            (0..x.data.len()).for_each(|index| sums[of(index)] += term(index));
            sums
        };
        let share = 1.0 / count as f64;
        let mean: Vec<f64> = sums(&|i| x.data[i]).into_iter().map(|sum| sum * share).collect();
        let squares = sums(&|i| (x.data[i] - mean[of(i)]).powi(2));
        let variance: Vec<f64> = squares.into_iter().map(|sum| sum * share).collect();
        let moments = Array::new([2, channels], [mean, variance].concat());
        // Others are given what f32 has of them.
        let given = stored(moments.clone());
        let (mean, variance) = given.data.split_at(channels);
        let inverse = |c: usize| 1.0 / (variance[c] + f64::from(EPSILON)).sqrt();
        let factor = |c: usize| inverse(c) * if has_gamma { gamma.data[c] } else { 1.0 };
        let apart = |i: usize| (x.data[i] - mean[of(i)]) * inverse(of(i));
        let before =
            |i: usize| (x.data[i] - mean[of(i)]) * factor(of(i)) + if has_beta { beta.data[of(i)] } else { 0.0 };
        let before: Vec<f64> = (0..x.data.len()).map(before).collect();
        let after = |by: f64| {
            let moved = Array::new(shape, before.iter().map(|value| value + by).collect::<Vec<_>>());
            activate(activation.name(), &[], &moved).data
        };
        let (result, ahead, behind) = (after(0.0), after(1e-5), after(-1e-5));
        let g: Vec<f64> = (0..x.data.len()).map(|i| gradient.data[i] * (ahead[i] - behind[i]) / 2e-5).collect();
        let totals = [sums(&|i| g[i]), sums(&|i| g[i] * apart(i))].concat();
        let sizes = [sums(&|i| gradient.data[i].abs()), sums(&|i| (gradient.data[i] * apart(i)).abs())].concat();
        let totals = stored(Array::new([2, channels], totals));
        let back = |i: usize| {
            let (c, [sum, apart_sum]) = (of(i), [0, channels].map(|at| totals.data[at + of(i)] * share));
            [
                factor(c) * (g[i] - sum - apart(i) * apart_sum),
                factor(c).abs() * (gradient.data[i].abs() + sum.abs() + (apart(i) * apart_sum).abs()),
            ]
        };
        let back: Vec<[f64; 2]> = (0..x.data.len()).map(back).collect();
        // A few units in the last place of all that is added; a variance, of itself.
        let unit = |value: f64| 4e-6 * value;
        for (function, exact, bound) in [
            (Moments, moments.clone(), moments.data.iter().map(|value| 1e-6 * value).collect()),
            (Apply, Array::new(shape, result), (0..x.data.len()).map(|i| unit(1.0 + apart(i).abs())).collect()),
            (Sums, totals.clone(), sizes.iter().map(|&size| unit(size + 1e-3)).collect()),
            (
                Gradient,
                Array::new(shape, back.iter().map(|pair| pair[0]).collect::<Vec<_>>()),
                back.iter().map(|pair| unit(pair[1] + 1e-3)).collect::<Vec<f64>>(),
            ),
        ] {
            let backwards = matches!(function, Sums | Gradient);
            let mut operands = vec![(Operand::Input, x.clone(), DType::F32)];
            operands.extend(backwards.then(|| (Operand::Gradient, gradient.clone(), DType::F32)));
            if function != Moments {
                operands.extend(has_gamma.then(|| (Operand::Kernel, gamma.clone(), DType::F32)));
                operands.extend(has_beta.then(|| (Operand::Bias, beta.clone(), DType::F32)));
                operands.push((Operand::Moments, given.clone(), DType::F32));
            }
            operands.extend((function == Gradient).then(|| (Operand::Sums, totals.clone(), DType::F32)));
            cases.push(Case {
                name: format!("batch normalisation of {shape:?}, {function:?}"),
                problem: Problem::BatchNormalize(BatchProblem {
                    function,
                    outer: outer as u32,
                    channels: channels as u32,
                    inner: inner as u32,
                    epsilon: EPSILON.to_bits(),
                    gamma: has_gamma,
                    beta: has_beta,
                    activation: Elementwise::new(&activation).expect("element by element"),
                }),
                given: operands,
                expected: Expected { exact, bound, overflow: f64::INFINITY },
                in_tiles: None,
            });
        }
    }
}
