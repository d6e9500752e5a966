//! Problems that are no convolutions, with operands and what may come out.

use wgpu_conv::layers::{ActivationLayer, LayerConfig, Reduce, ReduceFunction};
use wgpu_conv::plan::{
    AffineProblem, AxisFunction, AxisProblem, Factors, Fill, NoiseFunction, NoiseProblem, NormalizeFunction,
    NormalizeProblem, Operand, PoolFunction, PoolProblem, Problem, ResizeProblem,
};
use wgpu_conv::{Activation, Axis, ConvGeometry, DType, DTypePolicy, DataFormat};

use super::common::reference::random::Draw;
use super::common::reference::{
    Array, Convolved, Norm, OutsideImage, PoolAxis, affine, average_pool, expect, max_pool, mix, normalize,
    unit_normalize,
};
use super::common::tolerance::{Estimate, Expected, Storage};
use super::table::{FORMATS, Numbers, storage};

/// One problem to be solved.
pub struct Case {
    /// What it is an example of.
    pub name: String,
    /// The problem.
    pub problem: Problem,
    /// The operands, each with the type it is stored as.
    pub given: Vec<(Operand, Array, DType)>,
    /// What may come out.
    pub expected: Expected,
    /// What may come out of a kernel that computes the outputs of a tile together, where there is one.
    pub in_tiles: Option<Expected>,
}

/// Every case whose tensors are stored as `dtype`.
pub fn cases(dtype: DType) -> Vec<Case> {
    let mut numbers = Numbers::new(17);
    let mut cases = Vec::new();
    pools(dtype, &mut numbers, &mut cases);
    reductions(dtype, &mut numbers, &mut cases);
    normalisations(dtype, &mut numbers, &mut cases);
    resizings(dtype, &mut numbers, &mut cases);
    noises(dtype, &mut numbers, &mut cases);
    affines(dtype, &mut numbers, &mut cases);
    cases
}

fn drawn(numbers: &mut Numbers, shape: impl Into<Vec<usize>>, storage: Storage) -> Array {
    let shape = shape.into();
    let data: Vec<f64> = (0..shape.iter().product()).map(|_| numbers.unit(storage)).collect();
    Array::new(shape, data)
}

/// `value` as `storage` holds it.
fn exactly(value: f64, storage: Storage) -> f64 {
    match storage {
        Storage::F32 => f64::from(value as f32),
        Storage::F16 => half::f16::from_f64(value).to_f64(),
        Storage::BF16 => half::bf16::from_f64(value).to_f64(),
    }
}

/// What may come out once it is stored.
fn expected(estimate: Estimate, storage: Storage) -> Expected {
    let Estimate { exact, bound } = estimate.stored(storage);
    Expected { exact, bound: bound.data, overflow: storage.overflow() }
}

/// What must come out: elements that are only chosen.
fn exact(array: Array) -> Expected {
    Expected { bound: vec![0.0; array.data.len()], exact: array, overflow: f64::INFINITY }
}

/// In channels first where `data_format` says so.
fn laid(array: &Array, data_format: DataFormat) -> Array {
    match data_format {
        DataFormat::ChannelsLast => array.clone(),
        DataFormat::ChannelsFirst => array.to_channels_first(),
    }
}

struct PoolRow {
    name: &'static str,
    shape: [usize; 4],
    size: [u32; 2],
    strides: [u32; 2],
    dilation: [u32; 2],
    pads: [[u32; 2]; 2],
    /// Windows beyond those that fit.
    more: [u32; 2],
}

const POOL: PoolRow = PoolRow {
    name: "one of everything",
    shape: [1, 1, 1, 1],
    size: [1, 1],
    strides: [1, 1],
    dilation: [1, 1],
    pads: [[0, 0], [0, 0]],
    more: [0, 0],
};

const POOLS: [PoolRow; 16] = [
    POOL,
    PoolRow { name: "primes", shape: [1, 7, 13, 5], size: [3, 2], strides: [2, 1], ..POOL },
    PoolRow { name: "fours", shape: [2, 8, 9, 8], size: [2, 2], strides: [2, 2], ..POOL },
    PoolRow { name: "more than a workgroup", shape: [3, 9, 17, 12], size: [3, 3], strides: [2, 2], ..POOL },
    PoolRow { name: "pads", shape: [1, 6, 5, 4], size: [3, 4], pads: [[1, 1], [1, 2]], ..POOL },
    PoolRow { name: "pads before", shape: [2, 5, 7, 3], size: [3, 3], pads: [[2, 0], [1, 0]], ..POOL },
    PoolRow { name: "pads after", shape: [1, 5, 7, 3], size: [3, 3], pads: [[0, 2], [0, 1]], ..POOL },
    PoolRow { name: "dilation", shape: [1, 11, 12, 3], size: [3, 3], dilation: [2, 3], pads: [[1, 2], [3, 0]], ..POOL },
    PoolRow { name: "beyond the end", shape: [1, 6, 7, 4], size: [3, 3], strides: [2, 3], more: [1, 1], ..POOL },
    PoolRow {
        name: "beyond the pads",
        shape: [1, 6, 9, 2],
        size: [3, 2],
        strides: [3, 4],
        pads: [[1, 1], [0, 1]],
        more: [1, 0],
        ..POOL
    },
    PoolRow { name: "stride above the window", shape: [1, 11, 13, 4], size: [2, 1], strides: [5, 3], ..POOL },
    PoolRow { name: "the whole image", shape: [2, 9, 7, 20], size: [9, 7], ..POOL },
    PoolRow {
        name: "columns, then rows",
        shape: [2, 13, 14, 5],
        size: [8, 9],
        strides: [2, 3],
        pads: [[3, 1], [2, 4]],
        more: [1, 0],
        ..POOL
    },
    PoolRow { name: "columns, then rows, dilated", shape: [1, 40, 21, 8], size: [9, 8], dilation: [3, 2], ..POOL },
    PoolRow {
        name: "in parts",
        shape: [1, 93, 100, 3],
        size: [90, 92],
        pads: [[2, 1], [0, 5]],
        strides: [3, 4],
        ..POOL
    },
    PoolRow { name: "in parts, in fours", shape: [2, 9000, 2, 4], size: [8999, 1], dilation: [1, 3], ..POOL },
];

impl PoolRow {
    fn axis(&self, axis: usize) -> Axis {
        let (input, [before, after]) = (self.shape[axis + 1] as u32, self.pads[axis]);
        let reach = (self.size[axis] - 1) * self.dilation[axis] + 1;
        Axis {
            input,
            output: (input + before + after - reach) / self.strides[axis] + 1 + self.more[axis],
            kernel: self.size[axis],
            stride: self.strides[axis],
            dilation: self.dilation[axis],
            pad_before: before,
        }
    }

    /// Height and width as the reference takes them.
    fn windows(&self) -> [PoolAxis; 2] {
        [0, 1].map(|axis| PoolAxis {
            axis: axis + 1,
            size: self.size[axis] as usize,
            stride: self.strides[axis] as usize,
            dilation: self.dilation[axis] as usize,
            padding: self.pads[axis].map(|pad| pad as usize),
            ceil: self.more[axis] > 0,
        })
    }
}

fn pools(dtype: DType, numbers: &mut Numbers, cases: &mut Vec<Case>) {
    let storage = storage(dtype);
    for row in &POOLS {
        let input = drawn(numbers, row.shape, storage);
        let [batch, _, _, channels] = row.shape.map(|extent| extent as u32);
        let axes = [Axis::UNIT, row.axis(0), row.axis(1)];
        let geometry = ConvGeometry::new(batch, channels, [channels; 2], axes).expect("sound numbers");
        let [after_h, after_w] = row.pads.map(|[_, after]| after);
        let padded = PoolFunction::AveragePadded { pad_after: [0, after_h, after_w] };
        for function in [PoolFunction::Max, PoolFunction::Average, padded] {
            let windows = row.windows();
            for data_format in FORMATS {
                let expected = match function {
                    PoolFunction::Max => exact(laid(&max_pool(&input, &windows), data_format)),
                    _ => {
                        let pooled = average_pool(&input, &windows, function == padded);
                        let Estimate { exact, bound } = pooled.into();
                        let [exact, bound] = [exact, bound].map(|array| laid(&array, data_format));
                        expected(Estimate { exact, bound }, storage)
                    }
                };
                cases.push(Case {
                    name: format!("{} {function:?} {}", row.name, data_format.name()),
                    problem: Problem::Pool(PoolProblem { function, geometry, dtype, data_format }),
                    given: vec![(Operand::Input, laid(&input, data_format), dtype)],
                    expected,
                    in_tiles: None,
                });
            }
        }
    }
}

/// The layer of a function of a line; glu, softmax and their kind are activations.
fn layer_of(function: AxisFunction, dtype: DType) -> LayerConfig {
    use Activation::{Glu, LogSoftmax, Softmax, Sparsemax};
    let policy = if dtype == DType::F16 { DTypePolicy::Float16 } else { DTypePolicy::Float32 };
    let activation = |activation| ActivationLayer::new(activation).dtype(policy).into();
    let reduction = match function {
        AxisFunction::Softmax => return activation(Softmax { axis: 1 }),
        AxisFunction::LogSoftmax => return activation(LogSoftmax { axis: 1 }),
        AxisFunction::Sparsemax => return activation(Sparsemax { axis: 1 }),
        AxisFunction::Glu => return activation(Glu { axis: 1 }),
        AxisFunction::Mean => ReduceFunction::Mean,
        AxisFunction::Max => ReduceFunction::Max,
        AxisFunction::Min => ReduceFunction::Min,
        AxisFunction::SumSquare => ReduceFunction::SumSquare,
        AxisFunction::L1 => ReduceFunction::L1,
        AxisFunction::L2 => ReduceFunction::L2,
        AxisFunction::LogSum => ReduceFunction::LogSum,
        AxisFunction::LogSumExp => ReduceFunction::LogSumExp,
        _ => ReduceFunction::Sum,
    };
    Reduce::new(reduction).axes([1]).dtype(policy).into()
}

/// `[outer, extent, inner]`, around the sizes of teams and runs.
const LINES: [[usize; 3]; 12] = [
    [1, 2, 1],
    [3, 10, 7],
    [5, 32, 1],
    [5, 36, 1],
    [3, 64, 2],
    [2, 130, 33],
    [1, 5000, 1],
    [2, 1026, 3],
    [257, 40, 1],
    [2, 50, 129],
    // In parts, those of different lines side by side.
    [1, 4098, 5],
    [2, 8200, 1],
];

fn reductions(dtype: DType, numbers: &mut Numbers, cases: &mut Vec<Case>) {
    use AxisFunction::{
        Glu, L1, L2, LogSoftmax, LogSum, LogSumExp, Max, Mean, Min, Softmax, Sparsemax, Sum, SumSquare,
    };
    let storage = storage(dtype);
    for shape in LINES {
        let [outer, extent, inner] = shape.map(|extent| extent as u32);
        let signed = drawn(numbers, shape, storage);
        for function in [Softmax, LogSoftmax, Sparsemax, Glu, Mean, Max, Min, Sum, SumSquare, L1, L2, LogSum, LogSumExp]
        {
            let name = format!("{function:?}");
            let input = if function == LogSum { signed.map(f64::abs) } else { signed.clone() };
            let layer = layer_of(function, dtype);
            let expected = expect(&layer, &[], std::slice::from_ref(&input)).expect("a sound row");
            cases.push(Case {
                name: format!("{name} {shape:?}"),
                problem: Problem::AlongAxis(AxisProblem { function, outer, extent, inner, dtype }),
                given: vec![(Operand::Input, input, dtype)],
                expected,
                in_tiles: None,
            });
        }
    }
}

struct NormalizeRow {
    name: &'static str,
    shape: [u32; 4],
    /// Elements of gamma, and its steps along spread, group and extent.
    weights: usize,
    spread_step: u32,
    group_step: u32,
    run: u32,
}

const fn layer(name: &'static str, shape: [u32; 4]) -> NormalizeRow {
    let [_, spread, _, extent] = shape;
    NormalizeRow { name, shape, weights: (spread * extent) as usize, spread_step: extent, group_step: 0, run: 1 }
}

const fn grouped(name: &'static str, shape: [u32; 4], channels: u32, run: u32) -> NormalizeRow {
    NormalizeRow { name, shape, weights: channels as usize, spread_step: 0, group_step: channels / shape[2], run }
}

const NORMALIZE: [NormalizeRow; 14] = [
    layer("one value", [1, 1, 1, 1]),
    layer("the last axis", [10, 1, 1, 11]),
    layer("the last axis, long", [3, 1, 1, 1500]),
    layer("the last axis, many lines", [131, 1, 1, 96]),
    layer("an axis in the middle", [2, 5, 40, 1]),
    layer("two axes in the middle", [2, 35, 6, 1]),
    layer("the first and the last but one", [2, 7, 3, 5]),
    grouped("groups, channels last", [2, 35, 3, 4], 12, 1),
    grouped("groups, channels first", [2, 1, 3, 4 * 35], 12, 35),
    grouped("instances, channels first", [3, 1, 8, 77], 8, 77),
    layer("the last axis in parts", [3, 1, 1, 4100]),
    layer("two axes in the middle in parts", [1, 4200, 5, 1]),
    grouped("groups in parts, channels last", [1, 1030, 3, 4], 12, 1),
    grouped("groups in parts, channels first", [1, 1, 3, 4 * 1030], 12, 1030),
];

fn normalisations(dtype: DType, numbers: &mut Numbers, cases: &mut Vec<Case>) {
    use NormalizeFunction::{Deviation, Standard, Unit};
    let storage = storage(dtype);
    for row in &NORMALIZE {
        let shape = row.shape.map(|extent| extent as usize);
        let [_, spread, group, extent] = shape;
        // A mean that is not small beside the deviation.
        let input = drawn(numbers, shape, storage).map(|x| exactly(0.5 * x + 1.0, storage));
        let (gamma, beta) = (drawn(numbers, [row.weights], storage), drawn(numbers, [row.weights], storage));
        // The weights as they meet the elements, by the documented index.
        let spreaded = |weights: &Array| {
            let index = |i: usize| {
                let [s, g, e] = [i / extent / group, i / extent % group, i % extent];
                s * row.spread_step as usize + g * row.group_step as usize + e / row.run as usize
            };
            let data: Vec<f64> = (0..spread * group * extent).map(|i| weights.data[index(i)]).collect();
            Array::new([1, spread, group, extent], data)
        };
        let [wide_gamma, wide_beta] = [&gamma, &beta].map(spreaded);
        for (function, has_gamma, has_beta, epsilon) in [
            (Standard, true, true, 1e-3f32),
            (Standard, false, false, 1e-5),
            (Deviation, true, false, 1e-3),
            (Unit, false, false, 1e-12),
        ] {
            let norm = Norm {
                gamma: has_gamma.then_some(&wide_gamma),
                beta: has_beta.then_some(&wide_beta),
                epsilon: f64::from(epsilon),
                centered: function == Standard,
            };
            let estimate = match function {
                Standard | Deviation => normalize(&input, &[1, 3], &norm),
                Unit => unit_normalize(&input, &[1, 3], norm.epsilon),
            };
            let [outer, spread, group, extent] = row.shape;
            let mut given = vec![(Operand::Input, input.clone(), dtype)];
            given.extend(has_gamma.then(|| (Operand::Kernel, gamma.clone(), dtype)));
            given.extend(has_beta.then(|| (Operand::Bias, beta.clone(), dtype)));
            cases.push(Case {
                name: format!("{} {function:?}", row.name),
                problem: Problem::Normalize(NormalizeProblem {
                    function,
                    outer,
                    spread,
                    group,
                    extent,
                    epsilon: epsilon.to_bits(),
                    gamma: has_gamma,
                    beta: has_beta,
                    spread_step: row.spread_step,
                    group_step: row.group_step,
                    run: row.run,
                    dtype,
                }),
                given,
                expected: expected(estimate, storage),
                in_tiles: None,
            });
        }
    }
}

fn resizings(dtype: DType, numbers: &mut Numbers, cases: &mut Vec<Case>) {
    let storage = storage(dtype);
    for (shape, output, taps) in [
        ([1, 1, 1, 1], [1, 1], [1, 1]),
        ([2, 3, 5, 4], [6, 15], [1, 1]),
        ([1, 5, 7, 3], [13, 11], [2, 2]),
        ([2, 4, 3, 8], [3, 19], [2, 1]),
        ([1, 6, 5, 12], [11, 3], [4, 4]),
    ] {
        let input = drawn(numbers, shape, storage);
        let axis = |numbers: &mut Numbers, axis: usize| -> Vec<Vec<(usize, f64)>> {
            let mut tap = || {
                let source = (numbers.unit(Storage::F32).abs() * shape[axis + 1] as f64) as usize;
                let weight = if taps == [1, 1] { 1.0 } else { numbers.unit(Storage::F32) };
                (source.min(shape[axis + 1] - 1), weight)
            };
            (0..output[axis]).map(|_| (0..taps[axis]).map(|_| tap()).collect()).collect()
        };
        let (rows, columns) = (axis(numbers, 0), axis(numbers, 1));
        let first = mix(&input, 1, &rows);
        let sums = mix(&first.exact, 2, &columns).exact;
        let magnitude = mix(&first.magnitude, 2, &columns).magnitude;
        // One more product: that of the weights.
        let mixed = Convolved { exact: sums, partial: magnitude.clone(), magnitude, terms: taps[0] * taps[1] + 1 };
        let table: Vec<f64> =
            rows.iter().chain(&columns).flatten().flat_map(|&(source, weight)| [source as f64, weight]).collect();
        for data_format in FORMATS {
            let Estimate { exact, bound } = mixed.clone().into();
            let [sums, bound] = [exact, bound].map(|array| laid(&array, data_format));
            let expected = match taps {
                [1, 1] => self::exact(sums),
                _ => expected(Estimate { exact: sums, bound }, storage),
            };
            let [batch, in_h, in_w, channels] = shape.map(|extent| extent as u32);
            cases.push(Case {
                name: format!("{shape:?} to {output:?} by {taps:?} taps {}", data_format.name()),
                problem: Problem::Resize(ResizeProblem {
                    batch,
                    channels,
                    input: [in_h, in_w],
                    output: output.map(|extent| extent as u32),
                    taps: taps.map(|count| count as u32),
                    dtype,
                    data_format,
                }),
                given: vec![
                    (Operand::Input, laid(&input, data_format), dtype),
                    (Operand::Kernel, Array::new([table.len()], table.clone()), DType::F32),
                ],
                expected,
                in_tiles: None,
            });
        }
    }
}

/// How far a normal number may be off by what WGSL allows its functions: a logarithm 2⁻²¹ here, sine and cosine 2⁻¹¹.
fn of_normal(radius: f64) -> f64 {
    let log = 2.0 * f64::from(2.0f32.powi(-21)) * (1.0 + radius * radius);
    let of_root = log.sqrt().min(log / radius.max(1e-9));
    of_root + radius * 2.0f64.powi(-11) + 1e-6
}

fn noises(dtype: DType, numbers: &mut Numbers, cases: &mut Vec<Case>) {
    let storage = storage(dtype);
    let bits = f32::to_bits;
    let drop = |rate: f64, scale: f32, shift: f32, dropped: f32| NoiseFunction::Drop {
        threshold: (rate * f64::from(1 << 24)).ceil() as u32,
        scale: bits(scale),
        shift: bits(shift),
        dropped: bits(dropped),
    };
    let factors =
        |scale: f32, spread: f32, shift: f32| Factors { scale: bits(scale), spread: bits(spread), shift: bits(shift) };
    let functions = [
        drop(0.3, 1.25, 0.0, 0.0),
        drop(0.5, 0.75, 0.5, -1.5),
        drop(0.0, 1.0, 0.0, 0.0),
        drop(1.0, 1.0, 0.0, 0.0),
        NoiseFunction::Uniform(factors(1.0, -0.5, 2.0)),
        NoiseFunction::Normal(factors(1.0, 0.25, 0.5)),
    ];
    let places = [
        (1, Draw::default()),
        (7, Draw { seed: 1 << 40 | 3, site: 2, step: 5 }),
        (64, Draw { seed: u64::MAX, site: u32::MAX, step: u64::MAX >> 16 }),
        (1001, Draw { seed: 42, site: 1, step: 1 << 24 }),
        (260, Draw { seed: 42, site: 0, step: 0xff_ffff }),
    ];
    for (elements, draw) in places {
        for (number, function) in functions.into_iter().enumerate() {
            // A part of a tensor draws what the whole would.
            for first in [0, 128] {
                let input = drawn(numbers, [elements], storage);
                let of = |factor: u32| f64::from(f32::from_bits(factor));
                let uniform = draw.uniform(first + elements).split_off(first);
                let normal = draw.normal(first + elements).split_off(first);
                let mixed = |factors: Factors, r: f64, x: f64| {
                    let Factors { scale, spread, shift } = factors;
                    let parts = [of(scale) * x, of(spread) * r * x, of(shift) * r];
                    [
                        parts.iter().sum(),
                        8.0 * f64::from(f32::EPSILON) * parts.iter().map(|part| part.abs()).sum::<f64>(),
                    ]
                };
                let pairs: Vec<[f64; 2]> = (0..elements)
                    .map(|i| {
                        let x = input.data[i];
                        match function {
                            NoiseFunction::Drop { threshold, dropped, .. }
                                if uniform[i] * f64::from(1 << 24) < f64::from(threshold) =>
                            {
                                [of(dropped), 0.0]
                            }
                            NoiseFunction::Drop { scale, shift, .. } => {
                                let parts = [of(scale) * x, of(shift)];
                                [parts[0] + parts[1], f64::from(f32::EPSILON) * (parts[0].abs() + parts[1].abs())]
                            }
                            NoiseFunction::Uniform(factors) => mixed(factors, uniform[i], x),
                            NoiseFunction::Normal(factors) => {
                                let pair = i & !1;
                                let other = normal
                                    .get(i ^ 1)
                                    .copied()
                                    .unwrap_or_else(|| draw.normal(first + pair + 2)[first + (i ^ 1)]);
                                let off = of_normal(normal[i].hypot(other));
                                let [exact, bound] = mixed(factors, normal[i], x);
                                [exact, bound + off * ((of(factors.spread) * x).abs() + of(factors.shift).abs())]
                            }
                            other => panic!("{other:?} is not known here"),
                        }
                    })
                    .collect();
                let array =
                    |part: usize| Array::new([elements], pairs.iter().map(|pair| pair[part]).collect::<Vec<_>>());
                let estimate = Estimate { exact: array(0), bound: array(1) };
                let parts = [draw.step & 0xff_ffff, (draw.step >> 24) & 0xff_ffff].map(|part| part as f64);
                cases.push(Case {
                    name: format!("noise {number} of {elements} elements from {first} by {draw:?}"),
                    problem: Problem::Noise(NoiseProblem {
                        function,
                        first: first as u32,
                        elements: elements as u32,
                        seed: [draw.seed as u32, (draw.seed >> 32) as u32],
                        site: draw.site,
                        dtype,
                    }),
                    given: vec![
                        (Operand::Input, input, dtype),
                        (Operand::Clock, Array::new([2], parts.to_vec()), DType::F32),
                    ],
                    expected: expected(estimate, storage),
                    in_tiles: None,
                });
            }
        }
    }
}

/// Maps of quarters, so that places are exact, and with them which pixel is the nearest and where an edge is.
fn affines(dtype: DType, numbers: &mut Numbers, cases: &mut Vec<Case>) {
    let storage = storage(dtype);
    let maps = [
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        [-1.0, 0.0, 6.0, 0.0, -1.0, 4.0],
        [0.75, -0.25, 1.5, 0.25, 0.75, -1.25],
        [2.5, 0.5, -9.0, -0.5, 2.25, 8.0],
        [1.0, 0.0, -24.25, 0.0, 1.0, 31.75],
    ];
    for [height, width, channels] in [[5, 7, 3], [5, 7, 4], [1, 6, 1], [4, 1, 8]] {
        let input = drawn(numbers, [maps.len(), height, width, channels], storage);
        for nearest in [false, true] {
            for (fill, outside) in [
                (Fill::Value(0.75f32.to_bits()), OutsideImage::Value(0.75)),
                (Fill::Nearest, OutsideImage::Nearest),
                (Fill::Reflect, OutsideImage::Reflect),
                (Fill::Wrap, OutsideImage::Wrap),
            ] {
                // An image of one row has no second one that a whole number of them could be counted by.
                if fill == Fill::Wrap && (height == 1 || width == 1) {
                    continue;
                }
                let exact = affine(&input, &maps, nearest, outside);
                // Means of four values below 1, by weights that are exact.
                let bound = exact.map(|_| if nearest { 0.0 } else { 8.0 * f64::from(f32::EPSILON) });
                for data_format in FORMATS {
                    let [exact, bound] = [&exact, &bound].map(|array| laid(array, data_format));
                    cases.push(Case {
                        name: format!(
                            "{height}x{width}x{channels} {outside:?} nearest {nearest} {}",
                            data_format.name()
                        ),
                        problem: Problem::Affine(AffineProblem {
                            batch: maps.len() as u32,
                            channels: channels as u32,
                            size: [height as u32, width as u32],
                            nearest,
                            fill,
                            dtype,
                            data_format,
                        }),
                        given: vec![
                            (Operand::Input, laid(&input, data_format), dtype),
                            (Operand::Other, Array::new([maps.len(), 6], maps.as_flattened().to_vec()), DType::F32),
                        ],
                        expected: expected(Estimate { exact, bound }, storage),
                        in_tiles: None,
                    });
                }
            }
        }
    }
}
