//! Merging layers and the operators that ONNX adds, from their descriptions.

use super::activation::erfc;
use super::array::{larger, smaller};
use super::tolerance::{UNIT, accumulated, function_error};
use super::{Array, Estimate, Storage, dot, matmul, sum, unit_normalize};
use crate::Unary;
use crate::layers::{BinaryFunction, MergeKind};

/// A function of one number.
pub(super) fn unary(input: &Array, function: &Unary) -> Estimate {
    let of = |f: &dyn Fn(f64) -> f64| {
        let exact = input.map(f);
        let bound = input.zip(&exact, |x, y| function_error(function.name(), x, y));
        Estimate { exact, bound }
    };
    // A product and a sum, of which each is rounded.
    let affine = |scale: f32, offset: f32, then: &dyn Fn(f64) -> f64| {
        let (scale, offset) = (f64::from(scale), f64::from(offset));
        let bound = input.map(|x| accumulated(1, (scale * x).abs() + offset.abs()));
        Estimate { exact: input.map(|x| then(scale * x + offset)), bound }
    };
    match *function {
        Unary::Abs => of(&f64::abs),
        Unary::Neg => of(&|x| -x),
        Unary::Sqrt => of(&f64::sqrt),
        Unary::Reciprocal => of(&f64::recip),
        Unary::Log => of(&f64::ln),
        Unary::Log1p => of(&f64::ln_1p),
        Unary::Expm1 => of(&f64::exp_m1),
        Unary::Floor => of(&f64::floor),
        Unary::Ceil => of(&f64::ceil),
        Unary::Round => of(&f64::round_ties_even),
        Unary::Sign => of(&|x| if x == 0.0 { 0.0 } else { x.signum() }),
        Unary::Erf => of(&|x| 1.0 - erfc(x)),
        Unary::Erfc => of(&erfc),
        Unary::Sin => of(&f64::sin),
        Unary::Cos => of(&f64::cos),
        Unary::Tan => of(&f64::tan),
        Unary::Sinc => of(&|x| {
            let y = std::f64::consts::PI * x;
            if x == 0.0 { 1.0 } else { y.sin() / y }
        }),
        Unary::Sinh => of(&f64::sinh),
        Unary::Cosh => of(&f64::cosh),
        Unary::Asinh => of(&f64::asinh),
        Unary::Acosh => of(&f64::acosh),
        Unary::Atanh => of(&f64::atanh),
        Unary::Square => of(&|x| x * x),
        Unary::IsNan => of(&|x| truth(x.is_nan())),
        Unary::Clip { min, max } => of(&|x| smaller(larger(x, min.into()), max.into())),
        Unary::Affine { scale, offset } => affine(scale, offset, &|y| y),
        Unary::Pow { exponent } => of(&|x| x.powf(exponent.into())),
        Unary::ClippedAffine { scale, offset } => affine(scale, offset, &|y| y.clamp(0.0, 1.0)),
        Unary::ScaledElu { alpha, scale } => {
            let (alpha, scale) = (f64::from(alpha), f64::from(scale));
            let Estimate { exact, bound } = of(&|x| scale * if x > 0.0 { x } else { alpha * x.exp_m1() });
            Estimate { exact, bound: bound.map(|error| error * (scale * alpha).abs().max(1.0)) }
        }
        Unary::Shrink { threshold, bias } => {
            let (threshold, bias) = (f64::from(threshold), f64::from(bias));
            of(&|x| match x {
                x if x < -threshold => x + bias,
                x if x > threshold => x - bias,
                _ => 0.0,
            })
        }
        Unary::Swish { beta } => of(&|x| x / (1.0 + (-f64::from(beta) * x).exp())),
    }
}

/// 1 for what is true.
fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// What is left of a division, with the sign of the divisor.
fn modulo(a: f64, b: f64) -> f64 {
    let left = a % b;
    if left != 0.0 && (left < 0.0) != (b < 0.0) { left + b } else { left }
}

/// A function of two numbers, each side broadcast to the other.
pub(super) fn binary(left: &Array, right: &Array, function: BinaryFunction) -> Estimate {
    let of = |f: &dyn Fn(f64, f64) -> f64, operations: f64| Estimate::rounded(left.zip(right, f), operations);
    match function {
        BinaryFunction::Add => of(&|a, b| a + b, 1.0),
        BinaryFunction::Subtract => of(&|a, b| a - b, 1.0),
        BinaryFunction::Multiply => of(&|a, b| a * b, 1.0),
        BinaryFunction::Divide => of(&|a, b| a / b, 4.0),
        BinaryFunction::Maximum => of(&larger, 0.0),
        BinaryFunction::Minimum => of(&smaller, 0.0),
        BinaryFunction::Power => {
            let exact = left.zip(right, f64::powf);
            Estimate { bound: exact.map(|y| function_error("pow", 0.0, y)), exact }
        }
        BinaryFunction::Prelu => of(&|x, slope| if x > 0.0 { x } else { slope * x }, 1.0),
        BinaryFunction::Equal => of(&|a, b| truth(a == b), 0.0),
        BinaryFunction::NotEqual => of(&|a, b| truth(a != b), 0.0),
        BinaryFunction::Less => of(&|a, b| truth(a < b), 0.0),
        BinaryFunction::LessEqual => of(&|a, b| truth(a <= b), 0.0),
        BinaryFunction::Greater => of(&|a, b| truth(a > b), 0.0),
        BinaryFunction::GreaterEqual => of(&|a, b| truth(a >= b), 0.0),
        BinaryFunction::LogicalAnd => of(&|a, b| truth(a != 0.0 && b != 0.0), 0.0),
        BinaryFunction::LogicalOr => of(&|a, b| truth(a != 0.0 || b != 0.0), 0.0),
        BinaryFunction::LogicalXor => of(&|a, b| truth((a != 0.0) != (b != 0.0)), 0.0),
        BinaryFunction::Modulo => of(&modulo, 1.0),
        BinaryFunction::Remainder => of(&|a, b| a % b, 0.0),
        BinaryFunction::Arctangent => of(&f64::atan2, 8.0),
        BinaryFunction::Where => of(&|a, b| if b == 0.0 { 0.0 } else { a }, 0.0),
        BinaryFunction::WhereNot => of(&|a, b| if b == 0.0 { a } else { 0.0 }, 0.0),
    }
}

/// Keras's merging layers: inputs of lower rank have axes of extent 1 behind the batch. Every step is stored.
pub(super) fn merge(inputs: &[Array], kind: MergeKind, storage: Storage) -> Estimate {
    let rank = inputs.iter().map(|input| input.shape.len()).max().unwrap_or(0);
    let widened = |input: &Array| {
        let mut shape = input.shape.clone();
        shape.splice(shape.len().min(1)..shape.len().min(1), vec![1; rank - input.shape.len()]);
        input.reshaped(shape)
    };
    let inputs: Vec<Array> = inputs.iter().map(widened).collect();
    let count = inputs.len() as f64;
    let summed = |signs: &[f64], over: f64| {
        let sums = sum(&inputs, signs);
        let unit = storage.unit();
        let bound = sums.magnitude.map(|m| (accumulated(sums.terms, m) + count * unit * m) / over);
        Estimate { exact: sums.exact.map(|x| x / over), bound }
    };
    let folded = |f: fn(f64, f64) -> f64, unit: f64| {
        let mut inputs = inputs.iter();
        let first = inputs.next().cloned().unwrap_or_else(|| Array::new([], [0.0]));
        let exact = inputs.fold(first, |merged, input| merged.zip(input, f));
        Estimate { bound: exact.map(|y| count * unit * y.abs()), exact }
    };
    match kind {
        MergeKind::Add => summed(&vec![1.0; inputs.len()], 1.0),
        MergeKind::Subtract => summed(&[1.0, -1.0], 1.0),
        MergeKind::Multiply => folded(|a, b| a * b, UNIT + storage.unit()),
        MergeKind::Average => summed(&vec![1.0; inputs.len()], count),
        MergeKind::Maximum => folded(larger, 0.0),
        MergeKind::Minimum => folded(smaller, 0.0),
    }
}

/// Keras's Dot; both sides may be divided by their lengths first, held above the `least` one given, and are then stored. A
/// length that is off by a part puts a sum off by the same part; the elements' own roundings are added up as if they all had one sign.
pub(super) fn batch_dot(sides: [&Array; 2], axes: [usize; 2], least: Option<f64>, storage: Storage) -> Estimate {
    let Some(least) = least else { return dot(sides[0], sides[1], axes).into() };
    let [left, right] = [0, 1].map(|i| unit_normalize(sides[i], &[axes[i]], least.powi(2)));
    let convolved = dot(&left.exact, &right.exact, axes);
    let parts = [left, right].map(|side| {
        let parts = side.bound.data.iter().zip(&side.exact.data).map(|(bound, y)| bound / y.abs());
        parts.filter(|part| part.is_finite()).fold(0.0, f64::max)
    });
    let roundings = convolved.magnitude.map(|magnitude| 2.0 * (2.0 * UNIT + storage.unit()) * magnitude);
    let Estimate { exact, bound } = convolved.into();
    let of_lengths = exact.map(|y| (parts[0] + parts[1]) * y.abs());
    Estimate { bound: bound.zip(&of_lengths, |a, b| a + b).zip(&roundings, |a, b| a + b), exact }
}

/// NumPy's matmul: a side of one axis is a row on the left and a column on the right, and has no axis in the result.
pub(super) fn matrix_product(left: &Array, right: &Array) -> Estimate {
    let row = left.shape.len() == 1;
    let column = right.shape.len() == 1;
    let left = if row { left.reshaped([1, left.data.len()]) } else { left.clone() };
    let right = if column { right.reshaped([right.data.len(), 1]) } else { right.clone() };
    let Estimate { mut exact, mut bound } = matmul(&left, &right).into();
    for array in [&mut exact, &mut bound] {
        if column {
            array.shape.pop();
        }
        if row {
            array.shape.remove(array.shape.len() - if column { 1 } else { 2 });
        }
    }
    Estimate { exact, bound }
}

/// Elements from `start` on to before `end`, every `step`th, as NumPy slices.
pub(super) fn slice(input: &Array, axis: usize, start: i32, end: i32, step: i32) -> Array {
    let extent = input.shape[axis] as i64;
    let counted = |place: i32| i64::from(place) + if place < 0 { extent } else { 0 };
    let (start, end, step) = (counted(start), counted(end), i64::from(step));
    // Positions are walked one by one; those outside are no elements.
    let places: Vec<usize> = if step > 0 {
        (start.max(0)..end.min(extent)).step_by(step as usize).map(|place| place as usize).collect()
    } else {
        let first = start.min(extent - 1);
        let last = end.max(-1);
        (0..).map(|i| first + i * step).take_while(|&place| place > last).map(|place| place as usize).collect()
    };
    input.gathered(axis, &places)
}
