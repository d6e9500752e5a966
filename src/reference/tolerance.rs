//! How close is close enough: what an `f32` computation may miss, element by element.
//!
//! The rule for one element is a chain of four steps, each a function of the storage type, the number of products
//! and the values themselves:
//!
//! 1. *Sum* ([`accumulated`]): `n` products and a bias added in `f32` in any order miss the exact sum by at most
//!    `(n + 3) u (Σ|input * kernel| + |bias|)`, with `u = 2^-24`; and where the products are of inputs with weights, by no
//!    more than is likely ([`statistical`]). The tighter of the two is held to.
//! 2. *Activation, passed through*: a function cannot enlarge an error more than its slope; where it jumps, both sides
//!    of the jump are right when the error reaches it.
//! 3. *Activation, its own* ([`activation_error`]): GPUs may compute exp, ln and tanh loosely.
//! 4. *Store* ([`stored`]): one rounding to the storage type.
//!
//! [`expected`] runs the chain. Layers that are no sum of products put an [`Estimate`] in the place of the first step.

use super::{Array, Convolved, SELU_ALPHA, SELU_SCALE, activate, canonical, parameter};

/// What a tensor is stored as. Sums are always `f32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Single precision.
    F32,
    /// Half precision: inputs are exact halves, outputs are rounded once.
    F16,
    /// The upper half of single precision: inputs are exact, outputs are rounded once.
    BF16,
}

impl Storage {
    /// What a store adds to the rounding of the sums, relatively: nothing for `f32`.
    pub fn unit(self) -> f64 {
        match self {
            Self::F32 => 0.0,
            Self::F16 => HALF_UNIT,
            Self::BF16 => BRAIN_UNIT,
        }
    }
}

/// Unit roundoff of `f32`.
pub const UNIT: f64 = 1.0 / (1_u64 << 24) as f64;
/// Unit roundoff of `f16`.
const HALF_UNIT: f64 = 1.0 / 2048.0;
/// Unit roundoff of `bfloat16`.
const BRAIN_UNIT: f64 = 1.0 / 256.0;
/// WGSL lets a device take subnormal numbers for zero, so nothing below the smallest normal one can be asked for.
const SMALLEST: f64 = f32::MIN_POSITIVE as f64;
/// The same for `f16`: `2^-14`.
const HALF_SMALLEST: f64 = 1.0 / 16384.0;
/// What an activation may miss at `f32`, absolutely and relatively (A7 of the specification).
pub(super) const ACTIVATION: f64 = 2e-6;
/// What exp may miss relatively, beyond the error of its reduced argument.
pub(super) const EXPONENTIAL: f64 = 4e-6;

/// Error of a sum of `terms` products, accumulated in `f32`, whose magnitudes (and the bias') add up to `magnitude`.
pub fn accumulated(terms: usize, magnitude: f64) -> f64 {
    (terms + 3) as f64 * UNIT * magnitude
}

/// Error of a sum of `terms` products of inputs with weights, near `exact`, where `spread` is the root of the sum of their
/// squares.
///
/// [`accumulated`] allows what rounding errors come to that all have one sign, which is of no use where a sum is long: at
/// 73 728 products it passes a kernel that leaves out a thousand of them. Errors of products that differ are independent.
/// Each addition rounds by up to `u` of the partial sum there, uniformly, so with a deviation of `u/√3` of it; partial sums
/// of a random order are no larger than the final one and some multiple of the spread, whatever the order; so `n` of them add
/// up to a deviation of at most about `√n u (|exact| + 2 spread) / √3`. Eight times `√n u (|exact| + spread)` is then seven
/// deviations or more: one false alarm in 10¹¹ elements.
pub fn statistical(terms: usize, exact: f64, spread: f64) -> f64 {
    STATISTICAL * ((terms + 3) as f64).sqrt() * UNIT * (exact.abs() + spread)
}

/// The multiple in [`statistical`].
const STATISTICAL: f64 = 8.0;

/// Error `bound` of an `f32` value near `value` after its store.
///
/// The store to `f16` rounds to the nearest. WGSL would allow either neighbour; a device that uses this freedom should
/// be seen here.
pub fn stored(storage: Storage, value: f64, bound: f64) -> f64 {
    match storage {
        Storage::F32 => bound + SMALLEST,
        Storage::F16 => bound + HALF_UNIT * (value.abs() + bound) + HALF_SMALLEST,
        Storage::BF16 => bound + BRAIN_UNIT * (value.abs() + bound) + SMALLEST,
    }
}

/// Error that an activation adds by itself, at input `x` and output `y`. Those that only select or clamp add none.
pub fn activation_error(name: &str, parameters: &[(&str, f64)], x: f64, y: f64) -> f64 {
    match canonical(name) {
        "linear" | "relu6" | "hard_tanh" | "hard_shrink" | "threshold" => 0.0,
        "relu" if parameter(parameters, "negative_slope", 0.0) == 0.0 => 0.0,
        "exponential" => (EXPONENTIAL + x.abs() * 2.0 * UNIT) * y.abs(),
        _ => ACTIVATION + ACTIVATION * y.abs(),
    }
}

/// Error that a function beside the activations adds by itself, at input `x` and output `y`.
pub fn function_error(name: &str, x: f64, y: f64) -> f64 {
    match name {
        "abs" | "neg" | "floor" | "ceil" | "round" | "sign" | "clip" => 0.0,
        "sqrt" | "reciprocal" | "square" | "shrink" => accumulated(1, y.abs()),
        // One product and one sum, whose terms may cancel.
        "affine" | "clipped_affine" => accumulated(1, y.abs() + 4.0 * x.abs()),
        "pow" => (EXPONENTIAL + 32.0 * UNIT) * y.abs(),
        // The quotient of two numbers, the lower of which may be small.
        "tan" => ACTIVATION * (1.0 + y * y),
        _ => ACTIVATION + ACTIVATION * y.abs(),
    }
}

/// Error of an elementwise activation's output when its input at `x` is wrong by up to `bound`: the largest slope
/// times `bound`, plus the height of a jump within reach.
fn passed_through(name: &str, parameters: &[(&str, f64)], x: f64, bound: f64) -> f64 {
    let get = |name, default| parameter(parameters, name, default);
    let slope = match canonical(name) {
        "linear" | "relu6" | "log_sigmoid" | "softplus" | "softsign" | "squareplus" | "tanh" | "tanh_shrink"
        | "hard_tanh" | "hard_shrink" | "soft_shrink" | "threshold" | "sparse_plus" | "celu" => 1.0,
        "relu" => get("negative_slope", 0.0).abs().max(1.0),
        "leaky_relu" => get("negative_slope", 0.2).abs().max(1.0),
        "elu" => get("alpha", 1.0).abs().max(1.0),
        "selu" => SELU_SCALE * SELU_ALPHA,
        "sigmoid" => 0.25,
        "hard_sigmoid" => 1.0 / 6.0,
        "hard_sigmoid_2" => 0.2,
        "sparse_sigmoid" => 0.5,
        // The largest slopes lie at x = 2.40, 1.41, 1.49 and, for hard_silu, just below 3.
        "silu" => 1.0999,
        "gelu" => 1.13,
        "mish" => 1.09,
        "hard_silu" => 1.5,
        "exponential" => (x + bound).exp(),
        other => panic!("{other} is not elementwise"),
    };
    let (edge, height) = match canonical(name) {
        "relu" => (get("threshold", 0.0), get("threshold", 0.0).min(get("max_value", f64::INFINITY))),
        "hard_shrink" => (get("threshold", 0.5).copysign(x), get("threshold", 0.5)),
        "threshold" => (get("threshold", 0.0), get("threshold", 0.0) - get("default_value", 0.0)),
        _ => (f64::INFINITY, 0.0),
    };
    let jump = if (x - edge).abs() <= bound { height.abs() } else { 0.0 };
    slope * bound + jump
}

/// Exact values before they are stored, and how far an `f32` computation of each may be off.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// What exact arithmetic gives.
    pub exact: Array,
    /// Largest error of each.
    pub bound: Array,
}

impl Estimate {
    /// What `f32` has exactly: elements that were only moved or chosen.
    pub fn exact(exact: Array) -> Self {
        Self { bound: exact.map(|_| 0.0), exact }
    }

    /// The result of that many `f32` operations which do not cancel.
    pub fn rounded(exact: Array, operations: f64) -> Self {
        Self { bound: exact.map(|y| operations * UNIT * y.abs()), exact }
    }

    /// These values stored, and read again.
    pub fn stored(self, storage: Storage) -> Self {
        let bound = self.exact.zip(&self.bound, |value, bound| stored(storage, value, bound));
        Self { bound, ..self }
    }
}

impl From<Convolved> for Estimate {
    /// The tighter of the two rules for sums.
    fn from(Convolved { exact, magnitude, terms, spread }: Convolved) -> Self {
        let mut bound = magnitude.map(|magnitude| accumulated(terms, magnitude));
        if let Some(spread) = spread {
            for ((bound, &exact), &spread) in bound.data.iter_mut().zip(&exact.data).zip(&spread.data) {
                *bound = bound.min(statistical(terms, exact, spread));
            }
        }
        Self { exact, bound }
    }
}

/// Exact values with the error that each may have.
#[derive(Clone, Debug)]
pub struct Expected {
    /// What exact arithmetic gives.
    pub exact: Array,
    /// Largest error allowed, element by element.
    pub bound: Vec<f64>,
}

/// The elements of a result that are off by more than they may be.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// How many are off.
    pub wrong: usize,
    /// Of how many.
    pub elements: usize,
    /// Where the worst is, along each axis.
    pub index: Vec<usize>,
    /// The worst element.
    pub received: f64,
    /// What it should be.
    pub expected: f64,
    /// How far it may be from that.
    pub allowed: f64,
}

impl Difference {
    /// The error of the worst element, in units of what is allowed; infinite for NaN and where nothing is allowed.
    pub fn times(&self) -> f64 {
        let error = (self.received - self.expected).abs();
        if error.is_nan() { f64::INFINITY } else { error / self.allowed }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { wrong, elements, index, received, expected, allowed } = self;
        write!(
            f,
            "{wrong} of {elements} elements are wrong; worst at {index:?}: received {received:e}, expected {expected:e} ± \
             {allowed:.3e} ({:.1} times that)",
            self.times(),
        )
    }
}

impl Expected {
    /// Holds every element of a result to its bound.
    ///
    /// # Errors
    /// Says how many elements are wrong and shows the worst, with its index along each axis.
    pub fn check<T: Copy + Into<f64>>(&self, got: &[T]) -> Result<(), String> {
        if got.len() != self.exact.data.len() {
            return Err(format!("expected shape {:?}, received {} elements", self.exact.shape, got.len()));
        }
        self.difference(got).map_or(Ok(()), |difference| Err(difference.to_string()))
    }

    /// What is wrong with a result of as many elements; `None` where nothing is.
    ///
    /// # Panics
    /// When there are fewer elements.
    pub fn difference<T: Copy + Into<f64>>(&self, got: &[T]) -> Option<Difference> {
        let mut worst: Option<(f64, usize)> = None;
        let mut wrong = 0;
        for (i, (&exact, &bound)) in self.exact.data.iter().zip(&self.bound).enumerate() {
            let got: f64 = got[i].into();
            let difference = (got - exact).abs();
            // Infinities and NaNs that agree have no difference; a NaN by itself is wrong however this is written.
            if difference <= bound || got == exact || got.is_nan() && exact.is_nan() {
                continue;
            }
            wrong += 1;
            let times = if difference.is_nan() { f64::INFINITY } else { difference / bound };
            if worst.is_none_or(|(most, _)| times > most) {
                worst = Some((times, i));
            }
        }
        let (_, at) = worst?;
        let mut rest = at;
        let mut index: Vec<usize> = self.exact.shape.iter().rev().map(|&n| (rest % n, rest /= n).0).collect();
        index.reverse();
        Some(Difference {
            wrong,
            elements: got.len(),
            index,
            received: got[at].into(),
            expected: self.exact.data[at],
            allowed: self.bound[at],
        })
    }
}

/// What a convolution, with its activation fused, may return when stored as `storage`.
pub fn expected(convolved: &Convolved, activation: &str, parameters: &[(&str, f64)], storage: Storage) -> Expected {
    let Estimate { exact, bound } = convolved.clone().into();
    activated(&exact, &bound, activation, parameters, storage)
}

/// What an activation may return on inputs known within `bound`.
pub fn activated(
    input: &Array,
    bound: &Array,
    activation: &str,
    parameters: &[(&str, f64)],
    storage: Storage,
) -> Expected {
    let exact = activate(activation, parameters, input);
    let axis = parameter(parameters, "axis", -1.0) as isize;
    let widest = |factor: f64| {
        bound.along(axis, |line| vec![factor * line.iter().copied().fold(0.0, f64::max); line.len()]).data
    };
    let passed = match canonical(activation) {
        // Rows of the Jacobian sum up to at most 2 y (1 - y), and to 2 where a mean is subtracted.
        "softmax" => widest(0.5),
        "log_softmax" | "sparsemax" => widest(2.0),
        "glu" => {
            // Value and gate are wrong independently; the gate's slope is at most a quarter of the value. The value
            // comes from the exact input and the bounds ride along, as neighbours on the halved axis.
            let axis = axis.rem_euclid(input.shape.len() as isize) as usize;
            let half = input.shape[axis] / 2;
            let value = input.slice(axis, 0, half);
            let (of_value, of_gate) = (bound.slice(axis, 0, half), bound.slice(axis, half, half));
            let errors = of_value.data.iter().zip(&of_gate.data);
            errors.zip(&value.data).map(|((of_value, of_gate), x)| of_value + 0.25 * x.abs() * of_gate).collect()
        }
        name => {
            let elements = input.data.iter().zip(&bound.data);
            elements.map(|(&x, &bound)| passed_through(name, parameters, x, bound)).collect()
        }
    };
    let elementwise = exact.shape == input.shape;
    let bound = exact.data.iter().zip(passed).enumerate().map(|(i, (&y, passed))| {
        let x = if elementwise { input.data[i] } else { y };
        stored(storage, y, passed + activation_error(activation, parameters, x, y))
    });
    let bound = bound.collect();
    Expected { exact, bound }
}
