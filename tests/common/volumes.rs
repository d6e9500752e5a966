//! Convolutions and pools over depth, height and width to test: each with operands, and what the reference makes of them.

use wgpu_conv::plan::{ConvProblem, Direction, Elementwise, Epilogue, Operand, PoolFunction, PoolProblem, Problem};
use wgpu_conv::{Activation, Axis, ConvGeometry, DType, DataFormat};

use super::common::reference::{
    Array, Convolved, PoolAxis, ReferencePadding, ReferenceWindow, Transposed, average_pool, conv, conv_transpose,
    max_pool,
};
use super::common::tolerance::{Estimate, Expected, expected};
use super::problems::Case;
use super::table::{FORMATS, Numbers, storage};

/// A volume of two, its windows, and the channels that they make.
struct Row {
    name: &'static str,
    size: [usize; 3],
    channels: usize,
    filters: usize,
    groups: usize,
    kernel: [usize; 3],
    strides: [usize; 3],
    dilation: [usize; 3],
    pads: [[usize; 2]; 3],
}

const ROW: Row = Row {
    name: "pointwise",
    size: [3, 4, 5],
    channels: 4,
    filters: 8,
    groups: 1,
    kernel: [1; 3],
    strides: [1; 3],
    dilation: [1; 3],
    pads: [[0; 2]; 3],
};

const SAME: [[usize; 2]; 3] = [[1, 1]; 3];

const ROWS: [Row; 12] = [
    ROW,
    Row { name: "few channels", channels: 3, filters: 5, kernel: [3, 2, 2], ..ROW },
    Row { name: "tiles", size: [3, 5, 7], channels: 20, filters: 36, kernel: [3; 3], pads: SAME, ..ROW },
    Row {
        name: "tiles at every other depth",
        size: [6, 9, 5],
        channels: 18,
        filters: 30,
        kernel: [2, 3, 3],
        strides: [2, 1, 1],
        dilation: [2, 1, 1],
        pads: SAME,
        ..ROW
    },
    Row { name: "strides", size: [7, 8, 9], channels: 8, kernel: [3, 3, 2], strides: [2, 1, 3], pads: SAME, ..ROW },
    Row { name: "halving", size: [6, 8, 10], channels: 8, filters: 12, kernel: [2; 3], strides: [2; 3], ..ROW },
    Row {
        name: "halving, uneven",
        size: [6, 7, 9],
        channels: 36,
        kernel: [3, 3, 4],
        strides: [2; 3],
        pads: SAME,
        ..ROW
    },
    Row { name: "dilated", size: [8, 7, 9], channels: 8, kernel: [2, 2, 3], dilation: [3, 2, 1], pads: SAME, ..ROW },
    Row { name: "depth alone", size: [9, 2, 3], channels: 8, kernel: [4, 1, 1], pads: [[3, 0], [0; 2], [0; 2]], ..ROW },
    Row { name: "groups", size: [4, 5, 9], channels: 12, filters: 12, groups: 3, kernel: [2, 3, 3], pads: SAME, ..ROW },
    Row { name: "depthwise", size: [5, 6, 9], channels: 8, filters: 8, groups: 8, kernel: [3; 3], pads: SAME, ..ROW },
    Row { name: "two of each", size: [4, 3, 9], channels: 3, filters: 6, groups: 3, kernel: [2, 2, 3], ..ROW },
];

impl Row {
    fn axes(&self) -> [Axis; 3] {
        std::array::from_fn(|i| {
            let [before, after] = self.pads[i];
            let reach = (self.kernel[i] - 1) * self.dilation[i] + 1;
            let output = (self.size[i] + before + after - reach) / self.strides[i] + 1;
            Axis {
                input: self.size[i] as u32,
                output: output as u32,
                kernel: self.kernel[i] as u32,
                stride: self.strides[i] as u32,
                dilation: self.dilation[i] as u32,
                pad_before: before as u32,
            }
        })
    }

    fn window(&self) -> ReferenceWindow<3> {
        ReferenceWindow {
            strides: self.strides,
            dilation_rate: self.dilation,
            padding: ReferencePadding::Explicit(self.pads),
            channels_first: false,
        }
    }
}

fn laid(array: &Array, data_format: DataFormat) -> Array {
    match data_format {
        DataFormat::ChannelsLast => array.clone(),
        DataFormat::ChannelsFirst => array.to_channels_first(),
    }
}

/// Every case, in storage of `dtype`.
pub fn cases(dtype: DType) -> Vec<Case> {
    let mut numbers = Numbers::new(31);
    let mut drawn = |shape: &[usize]| {
        let data: Vec<f64> = (0..shape.iter().product()).map(|_| numbers.unit(storage(dtype))).collect();
        Array::new(shape, data)
    };
    let mut cases = Vec::new();
    for row in &ROWS {
        let Row { name, size: [d, h, w], channels, filters, groups, kernel: [kd, kh, kw], .. } = *row;
        let x = drawn(&[2, d, h, w, channels]);
        let kernel = drawn(&[kd, kh, kw, channels / groups, filters]);
        let bias = drawn(&[filters]);
        let forward = conv(&x, &kernel, Some(&bias), groups, &row.window());
        // What the same geometry takes back: from the output's shape to the input's.
        let y = drawn(&forward.exact.shape);
        let back = (groups == 1).then(|| {
            let window = row.window();
            let [before, after]: [[usize; 3]; 2] = [0, 1].map(|side| row.pads.map(|pads| pads[side]));
            // What no window covers at the end is there, and has nothing added.
            let left = std::array::from_fn(|i| {
                let reach = (row.kernel[i] - 1) * row.dilation[i] + 1;
                (row.size[i] + before[i] + after[i] - reach) % row.strides[i]
            });
            let bias = drawn(&[channels]);
            let walk = Transposed { window, output_padding: Some(left) };
            (conv_transpose(&y, &kernel, Some(&bias), &walk), bias)
        });
        let geometry =
            ConvGeometry::new(2, groups as u32, [channels as u32, filters as u32], row.axes()).expect("sound numbers");
        let activation = Elementwise::new(&Activation::RELU).expect("element-wise");
        let epilogue = Epilogue { bias: true, residual: false, activation };
        for data_format in FORMATS {
            let mut add = |name: String, direction, convolved: &Convolved, given| {
                let laid_out = |array: &Array| laid(array, data_format);
                let convolved = Convolved {
                    exact: laid_out(&convolved.exact),
                    magnitude: laid_out(&convolved.magnitude),
                    partial: laid_out(&convolved.partial),
                    ..*convolved
                };
                let of = |convolved| expected(convolved, "relu", &[], storage(dtype));
                let in_tiles = convolved.clone().in_tiles(data_format == DataFormat::ChannelsFirst, [1, 1]);
                cases.push(Case {
                    name,
                    problem: Problem::Conv(ConvProblem { geometry, direction, dtype, data_format, epilogue }),
                    given,
                    expected: of(&convolved),
                    in_tiles: Some(of(&in_tiles)),
                });
            };
            let of = |x: &Array, bias: &Array| {
                vec![
                    (Operand::Input, laid(x, data_format), dtype),
                    (Operand::Kernel, kernel.clone(), dtype),
                    (Operand::Bias, bias.clone(), dtype),
                ]
            };
            let format = data_format.name();
            add(format!("volume: {name}, {format}"), Direction::Forward, &forward, of(&x, &bias));
            if let Some((convolved, bias)) = &back {
                let name = format!("volume, transposed: {name}, {format}");
                add(name, Direction::BackwardInput, convolved, of(&y, bias));
            }
        }
    }
    pools(dtype, &mut drawn, &mut cases);
    cases
}

/// Pools of the windows that depthwise convolutions have.
fn pools(dtype: DType, drawn: &mut impl FnMut(&[usize]) -> Array, cases: &mut Vec<Case>) {
    for (name, size, channels, kernel, strides, pads) in [
        ("fours", [4, 6, 5], 8, [2, 3, 2], [2, 2, 1], [[0; 2]; 3]),
        ("pads", [3, 4, 7], 3, [3, 2, 3], [1, 2, 2], [[1, 1], [0, 1], [1, 0]]),
        ("many taps", [6, 6, 6], 4, [5, 4, 4], [1; 3], [[0; 2]; 3]),
    ] {
        let row = Row { name, size, channels, filters: channels, groups: channels, kernel, strides, pads, ..ROW };
        let [d, h, w] = size;
        let x = drawn(&[2, d, h, w, channels]);
        let geometry = ConvGeometry::new(2, channels as u32, [channels as u32; 2], row.axes()).expect("sound numbers");
        let windows: [PoolAxis; 3] =
            std::array::from_fn(|i| PoolAxis { padding: pads[i], ..PoolAxis::new(i + 1, kernel[i], strides[i]) });
        let padded = PoolFunction::AveragePadded { pad_after: pads.map(|[_, after]| after as u32) };
        for function in [PoolFunction::Max, PoolFunction::Average, padded] {
            let Estimate { exact, bound } = match function {
                PoolFunction::Max => Estimate::exact(max_pool(&x, &windows)),
                _ => Estimate::from(average_pool(&x, &windows, function == padded)).stored(storage(dtype)),
            };
            for data_format in FORMATS {
                let [exact, bound] = [&exact, &bound].map(|array| laid(array, data_format));
                cases.push(Case {
                    name: format!("pooled volume: {name}, {function:?}, {}", data_format.name()),
                    problem: Problem::Pool(PoolProblem { function, geometry, dtype, data_format }),
                    given: vec![(Operand::Input, laid(&x, data_format), dtype)],
                    expected: Expected { exact, bound: bound.data, overflow: storage(dtype).overflow() },
                    in_tiles: None,
                });
            }
        }
    }
}
