//! How close is close enough: what an `f32` computation may miss, element by element.
//!
//! The rule for one element is a chain of four steps, each a function of the storage type, the number of products
//! and the values themselves:
//!
//! 1. *Sum* ([`summed`]): `n` products and a bias added in `f32` in any order miss the exact sum by at most
//!    `(n + 3) u (Σ|input * kernel| + |bias|)`, with `u = 2^-24` ([`accumulated`]); and by no more than is likely
//!    ([`statistical`]). The tighter of the two is held to.
//! 2. *Activation, passed through*: a function cannot enlarge an error more than its slope; where it jumps, both sides
//!    of the jump are right when the error reaches it.
//! 3. *Activation, its own* ([`activation_error`]): GPUs may compute exp, ln and tanh loosely.
//! 4. *Store* ([`stored`]): one rounding to the storage type.
//!
//! [`expected`] runs the chain. Layers that are no sum of products put an [`Estimate`] in the place of the first step.
//!
//! A result too large for its type is stored as infinity, in Keras as here: where the exact one is that large, within its
//! bound, infinity is right.

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

    /// Whether a number is one of the type.
    fn holds(self, value: f64) -> bool {
        let nearest = match self {
            Self::F32 => f64::from(value as f32),
            Self::F16 => half::f16::from_f64(value).to_f64(),
            Self::BF16 => half::bf16::from_f64(value).to_f64(),
        };
        nearest == value
    }

    /// The magnitude from which on a store rounds to infinity: half a step beyond the largest number of the type.
    pub fn overflow(self) -> f64 {
        match self {
            Self::F32 => (2.0 - UNIT) * 2f64.powi(127),
            Self::F16 => 65_520.0,
            Self::BF16 => (2.0 - BRAIN_UNIT) * 2f64.powi(127),
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
/// What an activation may miss at `f32`, absolutely and relatively (A7).
pub(super) const ACTIVATION: f64 = 2e-6;
/// What exp may miss relatively, beyond the error of its reduced argument.
pub(super) const EXPONENTIAL: f64 = 4e-6;

/// Error of a sum of `terms` products, accumulated in `f32`, whose magnitudes (and the bias') add up to `magnitude`.
pub fn accumulated(terms: usize, magnitude: f64) -> f64 {
    (terms + 3) as f64 * UNIT * magnitude
}

/// Error of a sum of `terms` terms whose partial sums are about as large as `partial` ([`partial_sums`]), where rounding
/// errors are independent.
///
/// [`accumulated`] allows what rounding errors come to that all have one sign, which is of no use where a sum is long: at
/// 73 728 products it passes a kernel that leaves out a thousand of them. An addition rounds by up to `u` of the partial sum
/// there, with a deviation of `u/√3` of it. Added in the order in which they lie, `n` terms miss by a deviation of
/// `u/√3 · √Σ(partial sum)²`; added in a random order, in which partial sums grow with the root of their number, by
/// `u/√6 · √n · √Σ(term)²`. With `partial² = mean (partial sum)² + Σ(term)²`, `8 √n u partial` is 13 deviations or more of
/// either: of independent errors none is ever seen beyond. So much for terms in any usual order, sorted ones too.
///
/// It does not hold for errors that are alike. Equal terms, added one by one, all round in the same direction for as long as
/// the sum keeps its exponent: a chain of `n` of them may miss by `n/4 · u` of the sum, which is beyond this bound from 350
/// terms on. Kernels are held to it all the same: they must add in runs of at most 256 terms, and then the runs. Runs of
/// `r` miss by `(r + n/r)/4 · u` of such a sum at most, which `r` = 256 keeps within this bound up to 2·10⁷ terms, and
/// [`accumulated`] is the tighter of the two below 100.
pub fn statistical(terms: usize, partial: f64) -> f64 {
    STATISTICAL * ((terms + 3) as f64).sqrt() * UNIT * partial
}

/// The multiple in [`statistical`].
const STATISTICAL: f64 = 8.0;

/// Error of a sum of `terms` terms, whose magnitudes add up to `magnitude` and whose partial sums are about as large as
/// `partial`: the tighter of [`accumulated`] and [`statistical`].
pub fn summed(terms: usize, magnitude: f64, partial: f64) -> f64 {
    accumulated(terms, magnitude).min(statistical(terms, partial))
}

/// How large partial sums of `terms` are: the root of the mean square of those in this order, and of Σ(term)², which is what
/// they come to in a random one.
pub fn partial_sums(terms: &[f64]) -> f64 {
    let squares = terms.iter().map(|term| term * term).sum::<f64>();
    (walk(terms) / terms.len().max(1) as f64 + squares).sqrt()
}

/// The sum of the squares of the partial sums of `terms` in this order; a zero makes none, for adding it rounds nothing.
pub(super) fn walk(terms: &[f64]) -> f64 {
    let mut sum = 0.0;
    terms.iter().filter(|&&term| term != 0.0).map(|term| (sum += term, sum * sum).1).sum()
}

/// Error `bound` of an `f32` value near `value` after its store, which rounds what the type does not hold.
///
/// The store to `f16` rounds to the nearest. WGSL would allow either neighbour; a device that uses this freedom should
/// be seen here.
pub fn stored(storage: Storage, value: f64, bound: f64) -> f64 {
    let held = bound == 0.0 && storage.holds(value);
    let rounding = if held { 0.0 } else { storage.unit() * (value.abs() + bound) };
    bound + rounding + if storage == Storage::F16 { HALF_SMALLEST } else { SMALLEST }
}

/// Error that an elementwise activation adds by itself, at input `x` and output `y`. Those that only select or clamp add none;
/// those that pass through 0 miss by a part of their input near it, and tails that are exponentials by a part of themselves.
pub fn activation_error(name: &str, parameters: &[(&str, f64)], x: f64, y: f64) -> f64 {
    let exponential = (EXPONENTIAL + x.abs() * 2.0 * UNIT) * y.abs();
    match canonical(name) {
        "linear" | "relu6" | "hard_tanh" | "hard_shrink" | "threshold" => 0.0,
        "relu" if parameter(parameters, "negative_slope", 0.0) == 0.0 => 0.0,
        "leaky_relu" => accumulated(1, y.abs()),
        "exponential" => exponential,
        "sigmoid" | "softplus" | "log_sigmoid" => ACTIVATION.min(exponential) + ACTIVATION * y.abs(),
        "elu" | "celu" | "selu" | "silu" | "hard_silu" | "gelu" | "mish" | "softsign" | "tanh" | "tanh_shrink" => {
            ACTIVATION * x.abs().min(1.0) + ACTIVATION * y.abs()
        }
        _ => ACTIVATION + ACTIVATION * y.abs(),
    }
}

/// Error that a function beside the activations adds by itself, at input `x` and output `y`.
pub fn function_error(name: &str, x: f64, y: f64) -> f64 {
    match name {
        "abs" | "neg" | "floor" | "ceil" | "round" | "sign" | "clip" | "is_nan" => 0.0,
        "sqrt" | "reciprocal" | "square" | "shrink" => accumulated(1, y.abs()),
        // One product and one sum, whose terms may cancel.
        "affine" | "clipped_affine" => accumulated(1, y.abs() + 4.0 * x.abs()),
        "pow" => (EXPONENTIAL + 32.0 * UNIT) * y.abs(),
        "expm1" => ACTIVATION * y.abs() + (EXPONENTIAL + x.abs() * 2.0 * UNIT) * (y + 1.0),
        // Two exponentials, of which one's argument is reduced from as much as x².
        "erfc" => (2.0 * EXPONENTIAL + (32.0 + 2.0 * x * x) * UNIT) * y.abs() + f64::from(f32::MIN_POSITIVE),
        // The square of an exponential of half of x.
        "sinh" | "cosh" => (2.0 * EXPONENTIAL + x.abs() * 2.0 * UNIT) * y.abs(),
        "asinh" | "acosh" | "atanh" => ACTIVATION * y.abs(),
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

    /// The sum with `other`, which is exact and broadcast to these.
    pub(super) fn plus(self, other: &Array) -> Self {
        let exact = self.exact.zip(other, |x, y| x + y);
        Self { bound: exact.zip(&self.bound, |y, bound| bound + UNIT * y.abs()), exact }
    }

    /// These values stored, and read again.
    pub fn stored(self, storage: Storage) -> Self {
        let bound = self.exact.zip(&self.bound, |value, bound| stored(storage, value, bound));
        Self { bound, ..self }
    }
}

impl From<Convolved> for Estimate {
    fn from(Convolved { exact, magnitude, terms, partial }: Convolved) -> Self {
        Self { exact, bound: magnitude.zip(&partial, |magnitude, partial| summed(terms, magnitude, partial)) }
    }
}

/// Exact values with the error that each may have.
#[derive(Clone, Debug)]
pub struct Expected {
    /// What exact arithmetic gives.
    pub exact: Array,
    /// Largest error allowed, element by element.
    pub bound: Vec<f64>,
    /// The magnitude from which on infinity is right ([`Storage::overflow`]).
    pub overflow: f64,
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

    /// The error of `got` as element `i`, in units of what is allowed; infinite for a NaN or an infinity that is none of
    /// exact arithmetic's.
    ///
    /// # Panics
    /// When there is no element `i`.
    pub fn error(&self, i: usize, got: f64) -> f64 {
        let (exact, bound) = (self.exact.data[i], self.bound[i]);
        let overflows = got.is_infinite() && got.signum() == exact.signum() && exact.abs() + bound >= self.overflow;
        if got == exact || got.is_nan() && exact.is_nan() || overflows {
            return 0.0;
        }
        let difference = (got - exact).abs();
        if difference.is_finite() && !bound.is_nan() { difference / bound } else { f64::INFINITY }
    }

    /// What is wrong with a result of as many elements; `None` where nothing is.
    ///
    /// # Panics
    /// When there are fewer elements.
    pub fn difference<T: Copy + Into<f64>>(&self, got: &[T]) -> Option<Difference> {
        let mut worst: Option<(f64, usize)> = None;
        let mut wrong = 0;
        for (i, &got) in got[..self.exact.data.len()].iter().enumerate() {
            let times = self.error(i, got.into());
            if times <= 1.0 {
                continue;
            }
            wrong += 1;
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
    // Along an axis the bounds ride behind the values of their line.
    let by_line = |errors: fn(&[f64], &[f64]) -> Vec<f64>| {
        let place = axis.rem_euclid(input.shape.len() as isize) as usize;
        let both = Array::joined(place, &[input.clone(), bound.clone()]);
        both.along(axis, |both| errors(&both[..both.len() / 2], &both[both.len() / 2..]))
    };
    let errors = match canonical(activation) {
        "softmax" => by_line(softmax_errors),
        "log_softmax" => by_line(log_softmax_errors),
        "sparsemax" => by_line(sparsemax_errors),
        "glu" => by_line(glu_errors),
        name => {
            let passed = input.zip(bound, |x, bound| passed_through(name, parameters, x, bound));
            let own = input.zip(&exact, |x, y| activation_error(name, parameters, x, y));
            passed.zip(&own, |passed, own| passed + own)
        }
    };
    let bound = exact.zip(&errors, |y, error| stored(storage, y, error));
    Expected { exact, bound: bound.data, overflow: storage.overflow() }
}

/// The exponentials of a line less its largest value, and how far each may be off relatively.
fn exponentials(line: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let largest = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let terms: Vec<f64> = line.iter().map(|x| (x - largest).exp()).collect();
    // Nothing is wrong with a zero.
    let relative =
        |(x, term): (&f64, &f64)| if *term == 0.0 { 0.0 } else { EXPONENTIAL + 2.0 * UNIT * (x - largest).abs() };
    let relative = line.iter().zip(&terms).map(relative).collect();
    (terms, relative)
}

/// How far the sum of [`exponentials`] may be off relatively.
fn of_their_sum(terms: &[f64], relative: &[f64]) -> f64 {
    let total: f64 = terms.iter().sum();
    let of_terms: f64 = terms.iter().zip(relative).map(|(term, relative)| term * relative).sum();
    (of_terms + summed(terms.len(), total, partial_sums(terms))) / total
}

fn widest(bounds: &[f64]) -> f64 {
    bounds.iter().copied().fold(0.0, f64::max)
}

/// Errors of softmax: relative ones of each exponential, of their sum and of the quotient. Rows of the Jacobian sum up to at
/// most 2 y (1 - y).
fn softmax_errors(line: &[f64], bounds: &[f64]) -> Vec<f64> {
    let (terms, relative) = exponentials(line);
    let (total, of_sum) = (terms.iter().sum::<f64>(), of_their_sum(&terms, &relative));
    let passed = widest(bounds);
    let error = |(term, relative): (&f64, &f64)| {
        let y = term / total;
        y * (relative + of_sum + 6.0 * UNIT) + (0.5 * passed).min(y * (2.0 * passed).exp_m1())
    };
    terms.iter().zip(&relative).map(error).collect()
}

/// Errors of log_softmax: that of the logarithm, whose own is not relative near 1, and of two differences. Rows of the Jacobian
/// sum up to at most 2.
fn log_softmax_errors(line: &[f64], bounds: &[f64]) -> Vec<f64> {
    let (terms, relative) = exponentials(line);
    let (logarithm, of_sum) = (terms.iter().sum::<f64>().ln(), of_their_sum(&terms, &relative));
    let largest = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let passed = 2.0 * widest(bounds);
    let own = of_sum + ACTIVATION + ACTIVATION * logarithm;
    line.iter().map(|x| own + 2.0 * UNIT * ((x - largest).abs() + logarithm) + passed).collect()
}

/// Errors of sparsemax: that of the threshold, which is the mean of the support less its share of 1, and of two differences. What
/// lies below the threshold by more is exactly 0. As many again are allowed for a support that is off by what lies next to the
/// threshold.
fn sparsemax_errors(line: &[f64], bounds: &[f64]) -> Vec<f64> {
    let largest = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exact = activate("sparsemax", &[], &Array::new([line.len()], line)).data;
    let support: Vec<f64> = line.iter().zip(&exact).filter(|(_, y)| **y > 0.0).map(|(x, _)| x - largest).collect();
    let count = support.len() as f64;
    let magnitude = support.iter().map(|x| x.abs()).sum::<f64>();
    let threshold = (support.iter().sum::<f64>() - 1.0) / count;
    let of_sum = summed(support.len(), magnitude + 1.0, partial_sums(&support) + 1.0) + UNIT * magnitude;
    let of_threshold = 2.0 * (of_sum / count + 4.0 * UNIT * threshold.abs()) + 2.0 * widest(bounds);
    let error = |(x, y): (&f64, &f64)| {
        let own = of_threshold + 2.0 * UNIT * ((x - largest).abs() + y);
        if x - largest + own < threshold { 0.0 } else { own }
    };
    line.iter().zip(&exact).map(error).collect()
}

/// Errors of glu: value and gate are wrong independently; the gate's slope is at most a quarter of the value.
fn glu_errors(line: &[f64], bounds: &[f64]) -> Vec<f64> {
    let half = line.len() / 2;
    let error = |i: usize| {
        let value = line[i].abs();
        bounds[i] + value * (0.25 * bounds[i + half] + 2.0 * ACTIVATION)
    };
    (0..half).map(error).collect()
}
