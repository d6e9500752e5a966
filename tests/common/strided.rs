//! Problems beside convolution to test: each with operands, and what the reference makes of them by another road.

use wgpu_conv::plan::{
    BinaryFunction, BinaryProblem, ConvProblem, Direction, Elementwise, Epilogue, MapProblem, MoveAxis, MoveProblem,
    Operand, Outside, PairAxis, PairSides, Problem, ProductProblem, Reach,
};
use wgpu_conv::{Activation, Axis, ConvGeometry, DType, DataFormat, Unary};

use super::common::reference::{
    Array, Convolved, ReferencePadding, ReferenceWindow, Transposed, conv_transpose, matmul, repeat,
};
use super::common::tolerance::{Expected, accumulated, expected, function_error, stored};
use super::problems::Case;
use super::table::{FORMATS, Numbers, storage};

/// Every case, in storage of `dtype`.
pub fn cases(dtype: DType) -> Vec<Case> {
    let rooms = [moves, binaries, products, transposed, functions];
    rooms.into_iter().flat_map(|room| room(dtype)).collect()
}

/// The operands, all stored as `dtype`.
fn stored_as(dtype: DType, operands: &[(Operand, Array)]) -> Vec<(Operand, Array, DType)> {
    operands.iter().map(|(operand, array)| (*operand, array.clone(), dtype)).collect()
}

fn drawn(shape: &[usize], seed: u64, dtype: DType) -> Array {
    let mut numbers = Numbers::new(seed);
    let data: Vec<f64> = (0..shape.iter().product()).map(|_| numbers.unit(storage(dtype))).collect();
    Array::new(shape, data)
}

/// Exactly these values.
fn exactly(exact: Array) -> Expected {
    Expected { bound: vec![0.0; exact.data.len()], exact, overflow: f64::INFINITY }
}

fn row_major(shape: &[usize]) -> Vec<u32> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product::<usize>() as u32).collect()
}

fn plain(extent: usize, from: u32, to: u32) -> MoveAxis {
    MoveAxis { extent: extent as u32, from: from as i32, to, reach: None }
}

/// The move that permutes an array of `shape`.
fn permuted(shape: &[usize], order: &[usize]) -> Vec<MoveAxis> {
    let output: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
    let (from, to) = (row_major(shape), row_major(&output));
    order.iter().enumerate().map(|(i, &axis)| plain(output[i], from[axis], to[i])).collect()
}

/// The move of an array of `shape` into one of `output`, each axis (start, step, repeat).
fn reaching(shape: &[usize], output: &[usize], axes: &[(i32, i32, u32)]) -> Vec<MoveAxis> {
    let (from, to) = (row_major(shape), row_major(output));
    let axis = |(i, &(start, step, repeat)): (usize, &(i32, i32, u32))| MoveAxis {
        reach: Some(Reach { source: shape[i] as u32, start, step, repeat }),
        ..plain(output[i], from[i], to[i])
    };
    axes.iter().enumerate().map(axis).collect()
}

fn moves(dtype: DType) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut push = |name: &str, x: &Array, axes: &[MoveAxis], at: u32, outside, exact: Array| {
        // What a move does not write stays as it was: zeros.
        let before = exact.map(|_| 0.0);
        let problem = MoveProblem::new(axes, at, outside, dtype).expect("a sound row");
        cases.push(Case {
            name: format!("move: {name}"),
            problem: Problem::Move(problem),
            given: stored_as(dtype, &[(Operand::Input, x.clone()), (Operand::Output, before)]),
            expected: exactly(exact),
            in_tiles: None,
        });
    };
    let zero = Outside::ZERO;

    for (name, shape, order) in [
        ("copy", &[2, 5, 7, 3][..], &[0, 1, 2, 3][..]),
        ("copy in fours", &[2, 5, 6, 2], &[0, 1, 2, 3]),
        ("to channels first", &[2, 5, 7, 3], &[0, 3, 1, 2]),
        ("to channels first in fours", &[2, 6, 10, 8], &[0, 3, 1, 2]),
        ("to channels last", &[2, 3, 5, 7], &[0, 2, 3, 1]),
        ("to channels last in fours", &[2, 12, 2, 10], &[0, 2, 3, 1]),
        ("matrix, a tile and one", &[65, 67], &[1, 0]),
        ("matrices in fours", &[3, 20, 12], &[0, 2, 1]),
        ("matrices in fours of fours", &[2, 3, 12, 32], &[1, 0, 3, 2]),
        ("outer axes", &[3, 5, 2, 4], &[1, 0, 2, 3]),
        ("six axes backwards", &[2, 3, 2, 3, 2, 5], &[5, 4, 3, 2, 1, 0]),
        ("scalar", &[], &[]),
    ] {
        let x = drawn(shape, 1, dtype);
        push(name, &x, &permuted(shape, order), 0, zero, x.transposed(order));
    }

    let x = drawn(&[2, 5, 7, 3], 2, dtype);
    let pads = [(0, 1, 1), (-1, 1, 1), (0, 1, 1), (0, 1, 1)];
    push("pad", &x, &reaching(&x.shape, &[2, 8, 10, 3], &pads), 0, zero, x.padded(1, 1, 2).padded(2, 0, 3));
    let fours = drawn(&[2, 5, 7, 8], 3, dtype);
    let axes = reaching(&fours.shape, &[2, 8, 10, 8], &pads);
    push("pad in fours", &fours, &axes, 0, zero, fours.padded(1, 1, 2).padded(2, 0, 3));
    let seven = reaching(&[3], &[8], &[(-2, 1, 1)]);
    let three = drawn(&[3], 4, dtype);
    let with_seven = Array::new([8], [&[7.0; 2][..], &three.data, &[7.0; 3]].concat());
    push("pad with 7", &three, &seven, 0, Outside::fill(7.0), with_seven);
    push(
        "crop",
        &x,
        &reaching(&x.shape, &[2, 4, 5, 3], &[(0, 1, 1), (1, 1, 1), (0, 1, 1), (0, 1, 1)]),
        0,
        zero,
        x.slice(1, 1, 4).slice(2, 0, 5),
    );
    let stepped = x.gathered(1, &[4, 2, 0]).gathered(2, &[1, 4]);
    let axes = reaching(&x.shape, &[2, 3, 2, 3], &[(0, 1, 1), (4, -2, 1), (1, 3, 1), (0, 1, 1)]);
    push("slice with steps", &x, &axes, 0, zero, stepped);
    let matrices = drawn(&[3, 8, 4], 8, dtype);
    let axes = [
        MoveAxis { reach: Some(Reach { source: 3, start: 2, step: -1, repeat: 1 }), ..plain(3, 32, 32) },
        plain(4, 1, 8),
        plain(8, 4, 1),
    ];
    let turned = matrices.gathered(0, &[2, 1, 0]).transposed(&[0, 2, 1]);
    push("matrices turned, the last first", &matrices, &axes, 0, zero, turned);
    let reversed = x.gathered(3, &[2, 1, 0]);
    push(
        "reverse",
        &x,
        &reaching(&x.shape, &x.shape, &[(0, 1, 1), (0, 1, 1), (0, 1, 1), (2, -1, 1)]),
        0,
        zero,
        reversed,
    );

    let four = drawn(&[3, 4], 5, dtype);
    let axes = reaching(&four.shape, &[3, 12], &[(0, 1, 1), (-5, 1, 1)]);
    for (name, outside, indices) in [
        ("edge", Outside::Edge, [0, 0, 0, 0, 0, 0, 1, 2, 3, 3, 3, 3]),
        ("reflect", Outside::Reflect, [1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0]),
        ("wrap", Outside::Wrap, [3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2]),
    ] {
        push(name, &four, &axes, 0, outside, four.gathered(1, &indices));
    }
    let one = drawn(&[1, 4], 6, dtype);
    let axes = reaching(&one.shape, &[3, 4], &[(-1, 1, 1), (0, 1, 1)]);
    push("reflect one", &one, &axes, 0, Outside::Reflect, one.gathered(0, &[0, 0, 0]));

    for (name, x) in [("nearest", &x), ("nearest in fours", &fours)] {
        let channels = x.shape[3];
        let axes = reaching(&x.shape, &[2, 10, 21, channels], &[(0, 1, 1), (0, 1, 2), (0, 1, 3), (0, 1, 1)]);
        push(name, x, &axes, 0, zero, repeat(&repeat(x, 1, 2), 2, 3));
    }
    let vector = drawn(&[2, 1, 5], 7, dtype);
    push(
        "repeat a vector",
        &vector,
        &[plain(2, 5, 20), plain(4, 0, 5), plain(5, 1, 1)],
        0,
        zero,
        vector.broadcast(&[2, 4, 5]),
    );

    // Into the middle of a longer array: what is not written stays.
    let axis = |array: &Array, channels: u32| {
        let pixels: usize = array.shape[..3].iter().product();
        [plain(pixels, array.shape[3] as u32, channels), plain(array.shape[3], 1, 1)]
    };
    for (name, x, before, after) in [("join", &x, 4, 2), ("join in fours", &fours, 4, 8)] {
        let total = before + x.shape[3] + after;
        let exact = x.padded(3, before, after);
        push(name, x, &axis(x, total as u32), before as u32, zero, exact);
    }
    cases
}

fn binary(function: BinaryFunction, a: f64, b: f64) -> f64 {
    match function {
        BinaryFunction::Add => a + b,
        BinaryFunction::Subtract => a - b,
        BinaryFunction::Multiply => a * b,
        BinaryFunction::Divide => a / b,
        BinaryFunction::Maximum => a.max(b),
        BinaryFunction::Minimum => a.min(b),
        BinaryFunction::Power => a.powf(b),
        BinaryFunction::Prelu if a > 0.0 => a,
        BinaryFunction::Prelu => b * a,
        BinaryFunction::Equal => truth(a == b),
        BinaryFunction::NotEqual => truth(a != b),
        BinaryFunction::Less => truth(a < b),
        BinaryFunction::LessEqual => truth(a <= b),
        BinaryFunction::Greater => truth(a > b),
        BinaryFunction::GreaterEqual => truth(a >= b),
        BinaryFunction::LogicalAnd => truth(a != 0.0 && b != 0.0),
        BinaryFunction::LogicalOr => truth(a != 0.0 || b != 0.0),
        BinaryFunction::LogicalXor => truth((a != 0.0) != (b != 0.0)),
        BinaryFunction::Modulo if a % b != 0.0 && (a < 0.0) != (b < 0.0) => a % b + b,
        BinaryFunction::Modulo | BinaryFunction::Remainder => a % b,
        BinaryFunction::Arctangent => a.atan2(b),
        BinaryFunction::Where if b == 0.0 => 0.0,
        BinaryFunction::WhereNot if b != 0.0 => 0.0,
        BinaryFunction::Where | BinaryFunction::WhereNot => a,
    }
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

const BINARY: [BinaryFunction; 22] = [
    BinaryFunction::Add,
    BinaryFunction::Subtract,
    BinaryFunction::Multiply,
    BinaryFunction::Divide,
    BinaryFunction::Maximum,
    BinaryFunction::Minimum,
    BinaryFunction::Power,
    BinaryFunction::Prelu,
    BinaryFunction::Equal,
    BinaryFunction::NotEqual,
    BinaryFunction::Less,
    BinaryFunction::LessEqual,
    BinaryFunction::Greater,
    BinaryFunction::GreaterEqual,
    BinaryFunction::LogicalAnd,
    BinaryFunction::LogicalOr,
    BinaryFunction::LogicalXor,
    BinaryFunction::Modulo,
    BinaryFunction::Remainder,
    BinaryFunction::Arctangent,
    BinaryFunction::Where,
    BinaryFunction::WhereNot,
];

fn binaries(dtype: DType) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut push = |name: String, function, left: &[usize], right: &[usize], output: &[usize], sides, relu: bool| {
        let (mut a, mut b) = (drawn(left, 8, dtype), drawn(right, 9, dtype));
        if function == BinaryFunction::Power {
            // Whole exponents and halves.
            b = b.map(|b| (8.0 * b).round() / if b > 0.0 { 1.0 } else { 2.0 });
            a = a.map(|a| half::f16::from_f64(a.abs() + 0.25).to_f64());
        }
        if function == BinaryFunction::Divide {
            b = b.map(|b| half::f16::from_f64(b + 1.5_f64.copysign(b)).to_f64());
        }
        match function {
            // Near multiples of the divisor, where a quotient that is rounded would be off by one.
            BinaryFunction::Modulo | BinaryFunction::Remainder => {
                let held = |value: f64| match dtype {
                    DType::F16 => half::f16::from_f64(value).to_f64(),
                    _ => f64::from(value as f32),
                };
                a = a.map(|a| held(0.1 * (10.0 * a).round()));
                b = b.map(|b| held(0.1_f64.copysign(b)));
            }
            // Values of which many are alike, and many 0.
            BinaryFunction::Equal
            | BinaryFunction::NotEqual
            | BinaryFunction::Less
            | BinaryFunction::LessEqual
            | BinaryFunction::Greater
            | BinaryFunction::GreaterEqual
            | BinaryFunction::LogicalAnd
            | BinaryFunction::LogicalOr
            | BinaryFunction::LogicalXor
            | BinaryFunction::Where
            | BinaryFunction::WhereNot => [a, b] = [a, b].map(|side| side.map(|value| (2.0 * value).round() / 2.0)),
            _ => {}
        }
        let mut problem = BinaryProblem::new(function, left, right, sides, dtype).expect("a sound row");
        let [x, y] = [&a, &b].map(|array| array.broadcast(output));
        let mut exact = Array::new(output, vec![0.0; x.data.len()]);
        let mut bound = Vec::with_capacity(x.data.len());
        for (at, (&a, &b)) in x.data.iter().zip(&y.data).enumerate() {
            let value = binary(function, a, b);
            let error = match function {
                BinaryFunction::Power => function_error("pow", a, value),
                BinaryFunction::Arctangent => function_error("atan", a, value),
                BinaryFunction::Add
                | BinaryFunction::Subtract
                | BinaryFunction::Multiply
                | BinaryFunction::Divide
                | BinaryFunction::Modulo
                | BinaryFunction::Prelu => accumulated(1, value.abs()),
                _ => 0.0,
            };
            exact.data[at] = if relu { value.max(0.0) } else { value };
            bound.push(stored(storage(dtype), value, error));
        }
        if relu {
            problem.activation = Elementwise::new(&Activation::RELU).expect("relu is element-wise");
        }
        let [left, right] = match sides {
            PairSides::InputOther => [Operand::Input, Operand::Other],
            PairSides::InputKernel => [Operand::Input, Operand::Kernel],
            PairSides::KernelInput => [Operand::Kernel, Operand::Input],
        };
        cases.push(Case {
            name,
            problem: Problem::Binary(problem),
            given: stored_as(dtype, &[(left, a), (right, b)]),
            expected: Expected { exact, bound, overflow: storage(dtype).overflow() },
            in_tiles: None,
        });
    };
    let image = [2, 5, 7, 8];
    for function in BINARY {
        let name = |what: &str| format!("{function:?}: {what}");
        push(name("equal"), function, &image, &image, &image, PairSides::InputOther, false);
        push(name("odd"), function, &[3, 5, 7], &[3, 5, 7], &[3, 5, 7], PairSides::InputKernel, false);
    }
    for sides in [PairSides::InputOther, PairSides::InputKernel, PairSides::KernelInput] {
        let name = |what: &str| format!("Subtract, {sides:?}: {what}");
        let function = BinaryFunction::Subtract;
        let mut both = |what: &str, left: &[usize], right: &[usize], output: &[usize]| {
            push(name(what), function, left, right, output, sides, false);
        };
        both("squeeze and excite", &image, &[2, 1, 1, 8], &image);
        both("excite and squeeze", &[2, 1, 1, 8], &image, &image);
        both("channels", &image, &[8], &image);
        both("odd channels", &[2, 5, 7, 3], &[3], &[2, 5, 7, 3]);
        both("scalar", &image, &[], &image);
        both("a column by a row", &[5, 1], &[1, 7], &[5, 7]);
        both("a column by a row in fours", &[5, 1], &[1, 8], &[5, 8]);
        both("rows", &[2, 3, 4], &[3, 1], &[2, 3, 4]);
        both("crossing", &[2, 1, 4, 1, 3, 1], &[1, 5, 1, 2, 1, 3], &[2, 5, 4, 2, 3, 3]);
    }
    push("Add, relu".into(), BinaryFunction::Add, &image, &image, &image, PairSides::InputOther, true);
    cases
}

fn products(dtype: DType) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, left, right, batch) in [
        ("matrices", &[5, 7][..], &[7, 3][..], &[][..]),
        ("in fours", &[6, 9], &[9, 8], &[]),
        ("one row", &[1, 130], &[130, 12], &[]),
        ("one column", &[13, 67], &[67, 1], &[]),
        ("tile and one", &[65, 33], &[33, 36], &[]),
        ("batch", &[3, 5, 4], &[3, 4, 8], &[3]),
        ("one matrix for all", &[2, 3, 5, 4], &[4, 6], &[2, 3]),
        ("crossing batches", &[2, 1, 5, 4], &[3, 4, 8], &[2, 3]),
        ("sums in parts", &[2, 3, 8203], &[8203, 5], &[2]),
        ("sums in parts, in fours", &[2, 8200], &[3, 8200, 4], &[3]),
    ] {
        let (a, b) = (drawn(left, 10, dtype), drawn(right, 11, dtype));
        let expected = expected(&matmul(&a, &b), "linear", &[], storage(dtype));
        let [m, k] = left[left.len() - 2..] else { unreachable!("two axes") };
        let n = right[right.len() - 1];
        // Each side as it is, and stored transposed.
        for (flipped, sides) in [
            ([false; 2], PairSides::InputOther),
            ([true, false], PairSides::InputKernel),
            ([false, true], PairSides::KernelInput),
        ] {
            let laid_out = |array: &Array, flip: bool| {
                let rank = array.shape.len();
                let mut order: Vec<usize> = (0..rank).collect();
                if flip {
                    order.swap(rank - 2, rank - 1);
                }
                array.transposed(&order)
            };
            let strides = |rows: usize, columns: usize, flip: bool| {
                if flip { [1, rows as u32] } else { [columns as u32, 1] }
            };
            let batch_strides = |shape: &[usize]| {
                let own = row_major(shape);
                let rank = shape.len() - 2;
                (0..batch.len())
                    .map(|i| (i + rank).checked_sub(batch.len()).filter(|&i| shape[i] != 1).map_or(0, |i| own[i]))
                    .collect::<Vec<_>>()
            };
            let axes: Vec<PairAxis> = batch
                .iter()
                .zip(batch_strides(left).into_iter().zip(batch_strides(right)))
                .map(|(&extent, (left, right))| PairAxis { extent: extent as u32, left, right })
                .collect();
            let problem = ProductProblem::new(
                &axes,
                [m as u32, n as u32, k as u32],
                strides(m, k, flipped[0]),
                strides(k, n, flipped[1]),
                sides,
                dtype,
            );
            let [first, second] = match sides {
                PairSides::InputOther => [Operand::Input, Operand::Other],
                PairSides::InputKernel => [Operand::Input, Operand::Kernel],
                PairSides::KernelInput => [Operand::Kernel, Operand::Input],
            };
            cases.push(Case {
                name: format!("product: {name}, {sides:?}"),
                problem: Problem::Product(problem.expect("a sound row")),
                given: stored_as(dtype, &[(first, laid_out(&a, flipped[0])), (second, laid_out(&b, flipped[1]))]),
                expected: expected.clone(),
                in_tiles: None,
            });
        }
    }
    cases
}

/// One axis of a transposed convolution.
#[derive(Clone, Copy)]
struct Along {
    input: u32,
    kernel: u32,
    stride: u32,
    dilation: u32,
    crop: u32,
    /// Positions beyond the last that is written, or less than 0 for some cut off.
    more: i32,
}

const fn along(input: u32, kernel: u32, stride: u32, crop: u32, more: i32) -> Along {
    Along { input, kernel, stride, dilation: 1, crop, more }
}

const fn dilated(axis: Along, dilation: u32) -> Along {
    Along { dilation, ..axis }
}

impl Along {
    fn axis(self) -> Axis {
        let Self { input, kernel, stride, dilation, crop, more } = self;
        let full = ((input - 1) * stride + (kernel - 1) * dilation + 1) as i32;
        Axis { input: (full - crop as i32 + more) as u32, output: input, kernel, stride, dilation, pad_before: crop }
    }
}

/// ONNX's transposed convolution: each run of channels makes its own run of filters.
fn in_groups(x: &Array, kernel: &Array, bias: Option<&Array>, groups: usize, walk: &Transposed) -> Convolved {
    let (channels, filters) = (x.shape[3] / groups, kernel.shape[2]);
    let part = |group: usize| {
        let bias = bias.map(|bias| bias.slice(0, group * filters, filters));
        let kernel = kernel.slice(3, group * channels, channels);
        conv_transpose(&x.slice(3, group * channels, channels), &kernel, bias.as_ref(), walk)
    };
    let parts: Vec<Convolved> = (0..groups).map(part).collect();
    let joined = |of: fn(&Convolved) -> Array| Array::joined(3, &parts.iter().map(of).collect::<Vec<_>>());
    Convolved {
        exact: joined(|part| part.exact.clone()),
        magnitude: joined(|part| part.magnitude.clone()),
        partial: joined(|part| part.partial.clone()),
        terms: parts[0].terms,
    }
}

fn transposed(dtype: DType) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, axes, channels, filters, groups, activation) in [
        ("one pixel", [along(1, 1, 1, 0, 0); 2], 3, 2, 1, "linear"),
        ("valid", [along(4, 3, 1, 0, 0), along(5, 2, 1, 0, 0)], 5, 7, 1, "relu"),
        ("doubling", [along(5, 3, 2, 0, -1), along(7, 3, 2, 1, 0)], 8, 8, 1, "linear"),
        ("a product of odd columns", [along(5, 3, 2, 1, 0), along(6, 3, 2, 0, -1)], 8, 5, 1, "relu"),
        ("doubling, few filters", [along(6, 4, 2, 1, -1), along(5, 4, 2, 1, -1)], 12, 3, 1, "tanh"),
        ("wide strides", [along(4, 2, 3, 0, 1), along(3, 3, 5, 0, 2)], 4, 5, 1, "linear"),
        ("output padding", [along(4, 5, 3, 2, 1), along(5, 5, 2, 1, 0)], 6, 4, 1, "linear"),
        ("dilated", [dilated(along(5, 3, 1, 1, -1), 2), dilated(along(6, 2, 1, 0, 0), 3)], 4, 8, 1, "linear"),
        (
            "strides and dilation",
            [dilated(along(4, 3, 2, 1, 0), 2), dilated(along(5, 3, 4, 0, 0), 6)],
            3,
            4,
            1,
            "linear",
        ),
        ("phases", [along(5, 4, 2, 1, -1), along(6, 4, 2, 1, -1)], 12, 8, 1, "relu"),
        ("phases, few channels", [along(4, 2, 2, 0, 0), along(5, 6, 3, 2, 1)], 3, 4, 1, "linear"),
        ("phases of a line", [along(1, 1, 1, 0, 0), along(9, 16, 8, 4, -4)], 16, 12, 1, "tanh"),
        ("phases, tiles", [along(9, 4, 2, 1, -1), along(8, 4, 2, 0, 0)], 36, 32, 1, "linear"),
        ("phases of three taps, tiles", [along(4, 7, 3, 2, -1), along(7, 9, 3, 3, -3)], 18, 20, 1, "relu"),
        ("phases of one tap and two, tiles", [along(9, 3, 2, 1, 1), along(6, 4, 2, 0, 3)], 16, 28, 1, "linear"),
        ("uneven phases", [along(9, 5, 2, 2, 1), along(8, 3, 2, 0, -1)], 36, 32, 1, "linear"),
        ("phases of one tap and two", [along(3, 4, 3, 0, 0), along(5, 1, 1, 0, 0)], 5, 4, 1, "relu"),
        ("groups", [along(4, 3, 2, 1, 0), along(3, 3, 1, 1, -1)], 6, 8, 2, "linear"),
        ("groups in fours", [along(3, 3, 2, 1, 0), along(9, 2, 2, 0, 0)], 8, 16, 2, "relu6"),
        ("depthwise", [along(4, 3, 2, 1, 0), along(5, 3, 2, 0, -1)], 5, 5, 5, "linear"),
        ("depthwise in fours", [along(4, 5, 3, 2, 1), along(9, 3, 2, 1, 0)], 8, 8, 8, "relu"),
        ("depthwise, one axis at a time", [along(5, 2, 3, 0, 0), along(6, 4, 1, 2, -1)], 4, 4, 4, "linear"),
        ("sums in parts", [along(2, 4, 2, 1, 0), along(3, 3, 1, 0, -1)], 1367, 3, 1, "relu"),
        ("sums in parts, groups", [along(2, 3, 2, 1, 0), dilated(along(2, 2, 1, 0, 0), 2)], 4100, 4, 2, "linear"),
    ] {
        let kernel_size = axes.map(|axis| axis.kernel as usize);
        let [input_h, input_w] = axes.map(|axis| axis.input as usize);
        let x = drawn(&[2, input_h, input_w, channels], 12, dtype);
        let kernel = drawn(&[kernel_size[0], kernel_size[1], filters / groups, channels], 13, dtype);
        let bias = drawn(&[filters], 14, dtype);
        let [h, w] = axes.map(Along::axis);
        let window = ReferenceWindow {
            strides: axes.map(|axis| axis.stride as usize),
            dilation_rate: axes.map(|axis| axis.dilation as usize),
            padding: ReferencePadding::Explicit(axes.map(|axis| [axis.crop as usize, (-axis.more).max(0) as usize])),
            channels_first: false,
        };
        let walk = Transposed { window, output_padding: Some(axes.map(|axis| axis.more.max(0) as usize)) };
        for biased in [true, false] {
            let bias = biased.then_some(&bias);
            let convolved = in_groups(&x, &kernel, bias, groups, &walk);
            for data_format in FORMATS {
                let laid_out = |array: &Array| match data_format {
                    DataFormat::ChannelsLast => array.clone(),
                    DataFormat::ChannelsFirst => array.to_channels_first(),
                };
                let [exact, magnitude, partial] =
                    [&convolved.exact, &convolved.magnitude, &convolved.partial].map(laid_out);
                let convolved = Convolved { exact, magnitude, partial, ..convolved };
                let of = |convolved| expected(convolved, activation, &[], storage(dtype));
                let in_tiles = convolved.clone().in_tiles(data_format == DataFormat::ChannelsFirst, window.strides);
                let function = Activation::from_name(activation).expect("a Keras name");
                let problem = ConvProblem {
                    geometry: ConvGeometry::new(
                        2,
                        groups as u32,
                        [filters as u32, channels as u32],
                        [Axis::UNIT, h, w],
                    )
                    .expect("sound numbers"),
                    direction: Direction::BackwardInput,
                    dtype,
                    data_format,
                    epilogue: Epilogue {
                        bias: biased,
                        residual: false,
                        activation: Elementwise::new(&function).expect("element-wise"),
                    },
                };
                let mut operands = vec![(Operand::Input, laid_out(&x)), (Operand::Kernel, kernel.clone())];
                operands.extend(bias.map(|bias| (Operand::Bias, bias.clone())));
                cases.push(Case {
                    name: format!("transposed: {name}, {}{}", data_format.name(), if biased { ", bias" } else { "" }),
                    problem: Problem::Conv(problem),
                    given: stored_as(dtype, &operands),
                    expected: of(&convolved),
                    in_tiles: Some(of(&in_tiles)),
                });
            }
        }
    }
    cases
}

/// The error function: its Taylor series up to 3, where it is 1 but for 2e-5, and its asymptotic series beyond.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a < 4.0 {
        let (mut term, mut sum) = (a, a);
        for n in 1..200 {
            term *= -a * a / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return (sum * 2.0 / std::f64::consts::PI.sqrt()).copysign(x);
    }
    1.0_f64.copysign(x)
}

/// What the error function leaves of 1: its integral from x on, by Simpson's rule.
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    let (steps, length) = (4096, 1.0 / 512.0);
    let weight = |i: i32| if i == 0 || i == steps { 1.0 } else { f64::from(2 + i % 2 * 2) };
    let sum: f64 = (0..=steps).map(|i| weight(i) * (-(x + f64::from(i) * length).powi(2)).exp()).sum();
    sum * length / 3.0 * 2.0 / std::f64::consts::PI.sqrt()
}

fn functions(dtype: DType) -> Vec<Case> {
    let round = |x: f64| if (x - x.trunc()).abs() == 0.5 { 2.0 * (x / 2.0).round() } else { x.round() };
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    type Row<'a> = (Unary, &'a dyn Fn(f64) -> f64, bool);
    let rows: [Row<'_>; 32] = [
        (Unary::Abs, &f64::abs, false),
        (Unary::Neg, &|x| -x, false),
        (Unary::Sqrt, &f64::sqrt, true),
        (Unary::Reciprocal, &|x| 1.0 / x, true),
        (Unary::Log, &f64::ln, true),
        (Unary::Log1p, &f64::ln_1p, true),
        (Unary::Expm1, &f64::exp_m1, false),
        (Unary::Floor, &f64::floor, false),
        (Unary::Ceil, &f64::ceil, false),
        (Unary::Round, &round, false),
        (Unary::Sign, &|x| if x == 0.0 { 0.0 } else { x.signum() }, false),
        (Unary::Erf, &erf, false),
        (Unary::Erfc, &erfc, false),
        (Unary::Sin, &f64::sin, false),
        (Unary::Cos, &f64::cos, false),
        (Unary::Tan, &f64::tan, false),
        (Unary::Sinh, &f64::sinh, false),
        (Unary::Cosh, &f64::cosh, false),
        (Unary::Asinh, &f64::asinh, false),
        (Unary::Square, &|x| x * x, false),
        (Unary::Clip { min: -1.5, max: 2.0 }, &|x| x.clamp(-1.5, 2.0), false),
        (Unary::Clip { min: f32::NEG_INFINITY, max: 2.0 }, &|x| x.min(2.0), false),
        (Unary::Affine { scale: 2.0, offset: -1.0 }, &|x| 2.0 * x - 1.0, false),
        (Unary::Pow { exponent: 3.0 }, &|x| x.powi(3), false),
        (Unary::Pow { exponent: -2.0 }, &|x| x.powi(-2), true),
        (Unary::Pow { exponent: 0.5 }, &f64::sqrt, true),
        (Unary::Pow { exponent: 2.5 }, &|x| x.powf(2.5), true),
        (Unary::Pow { exponent: 0.0 }, &|_| 1.0, false),
        (Unary::ClippedAffine { scale: 0.25, offset: 0.5 }, &|x| (0.25 * x + 0.5).clamp(0.0, 1.0), false),
        (Unary::ScaledElu { alpha: 1.5, scale: 0.5 }, &|x| 0.5 * if x > 0.0 { x } else { 1.5 * x.exp_m1() }, false),
        (
            Unary::Shrink { threshold: 1.5, bias: 0.5 },
            &|x| {
                if x < -1.5 {
                    x + 0.5
                } else if x > 1.5 {
                    x - 0.5
                } else {
                    0.0
                }
            },
            false,
        ),
        (Unary::Swish { beta: 2.0 }, &|x| x * sigmoid(2.0 * x), false),
    ];
    let mut cases = Vec::new();
    for (function, exact, positive) in rows {
        // Quarters, so that whole numbers, halves and both kinds of halves of odd numbers occur; then numbers near 1.
        let quarters = (-20..=20).map(|i| f64::from(i) / 4.0);
        let near = (0..23).map(|i| 0.75 + f64::from(i) / 64.0);
        let x: Vec<f64> = quarters.chain(near).filter(|&x| !positive || x > 0.0).collect();
        let x = Array::new([x.len()], x);
        let y = x.map(exact);
        let error = |(&x, &y): (&f64, &f64)| stored(storage(dtype), y, function_error(function.name(), x, y));
        let bound = x.data.iter().zip(&y.data).map(error).collect();
        let activation = Elementwise::of_unary(&function);
        let elements = x.data.len() as u32;
        cases.push(Case {
            name: format!("{function:?}"),
            problem: Problem::Map(MapProblem { elements, dtype, activation }),
            given: stored_as(dtype, &[(Operand::Input, x)]),
            expected: Expected { exact: y, bound, overflow: storage(dtype).overflow() },
            in_tiles: None,
        });
    }
    cases
}
