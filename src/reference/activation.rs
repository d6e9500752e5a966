//! The activations of Keras, and the functions of one number that ONNX adds.

use super::Array;
use super::array::larger;

/// The thirty activations of Keras 3.15, by their canonical names.
pub const ACTIVATIONS: [&str; 30] = [
    "celu",
    "elu",
    "exponential",
    "gelu",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "tanh",
    "tanh_shrink",
    "threshold",
];

/// λ of selu.
pub const SELU_SCALE: f64 = 1.0507009873554805;
/// α of selu.
pub const SELU_ALPHA: f64 = 1.6732632423543772;

/// A parameter by name, or its default.
pub fn parameter(parameters: &[(&str, f64)], name: &str, default: f64) -> f64 {
    parameters.iter().find(|(given, _)| *given == name).map_or(default, |&(_, value)| value)
}

/// The canonical name behind an alias.
pub fn canonical(name: &str) -> &str {
    match name {
        "swish" => "silu",
        "hard_swish" => "hard_silu",
        other => other,
    }
}

/// An activation by its Keras name. Parameters that are not given have Keras' defaults; flags are 0 or 1, `axis` is a
/// whole number.
///
/// # Panics
/// When there is no activation of that name, or it has no such parameter, or a required one is missing.
pub fn activate(name: &str, parameters: &[(&str, f64)], input: &Array) -> Array {
    let known: &[&str] = match canonical(name) {
        "relu" => &["negative_slope", "max_value", "threshold"],
        "leaky_relu" => &["negative_slope"],
        "elu" | "celu" => &["alpha"],
        "gelu" => &["approximate"],
        "squareplus" => &["b"],
        "hard_shrink" | "soft_shrink" => &["threshold"],
        "threshold" => &["threshold", "default_value"],
        "softmax" | "log_softmax" | "sparsemax" | "glu" => &["axis"],
        _ => &[],
    };
    for (given, _) in parameters {
        assert!(known.contains(given), "activation {name} has no parameter {given}");
    }
    let get = |name, default| parameter(parameters, name, default);
    let required = |parameter: &str| {
        let found = parameters.iter().find(|(given, _)| *given == parameter);
        found.unwrap_or_else(|| panic!("activation {name} needs its {parameter}")).1
    };
    let axis = get("axis", -1.0) as isize;
    match canonical(name) {
        "linear" => input.clone(),
        "relu" => {
            let (slope, threshold) = (get("negative_slope", 0.0), get("threshold", 0.0));
            let cap = get("max_value", f64::INFINITY);
            input.map(|x| relu(x, slope, cap, threshold))
        }
        "relu6" => input.map(|x| x.clamp(0.0, 6.0)),
        "leaky_relu" => {
            let slope = get("negative_slope", 0.2);
            input.map(|x| if x > 0.0 { x } else { slope * x })
        }
        "elu" => {
            let alpha = get("alpha", 1.0);
            input.map(|x| if x > 0.0 { x } else { alpha * x.exp_m1() })
        }
        "celu" => {
            let alpha = get("alpha", 1.0);
            input.map(|x| larger(x, 0.0) + alpha * (x.min(0.0) / alpha).exp_m1())
        }
        "selu" => input.map(|x| SELU_SCALE * if x > 0.0 { x } else { SELU_ALPHA * x.exp_m1() }),
        "exponential" => input.map(f64::exp),
        "sigmoid" => input.map(sigmoid),
        "log_sigmoid" => input.map(|x| -softplus(-x)),
        "hard_sigmoid" => input.map(hard_sigmoid),
        "hard_sigmoid_2" => input.map(|x| (0.2 * x + 0.5).clamp(0.0, 1.0)),
        "silu" => input.map(|x| x * sigmoid(x)),
        "hard_silu" => input.map(|x| x * hard_sigmoid(x)),
        "gelu" if get("approximate", 0.0) != 0.0 => {
            let inner = |x: f64| (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            input.map(|x| 0.5 * x * (1.0 + inner(x).tanh()))
        }
        "gelu" => input.map(|x| 0.5 * x * erfc(-x / std::f64::consts::SQRT_2)),
        "mish" => input.map(|x| x * softplus(x).tanh()),
        "softplus" => input.map(softplus),
        "softsign" => input.map(|x| x / (1.0 + x.abs())),
        "squareplus" => {
            let b = get("b", 4.0);
            input.map(|x| 0.5 * (x + (x * x + b).sqrt()))
        }
        "tanh" => input.map(f64::tanh),
        "tanh_shrink" => input.map(|x| x - x.tanh()),
        "hard_tanh" => input.map(|x| x.clamp(-1.0, 1.0)),
        "hard_shrink" => {
            let threshold = get("threshold", 0.5);
            input.map(|x| if x.abs() > threshold { x } else { 0.0 })
        }
        "soft_shrink" => {
            let threshold = get("threshold", 0.5);
            input.map(|x| (x - threshold).max(0.0) + (x + threshold).min(0.0))
        }
        "threshold" => {
            let (threshold, otherwise) = (required("threshold"), required("default_value"));
            input.map(|x| if x > threshold { x } else { otherwise })
        }
        "sparse_plus" => input.map(|x| if x >= 1.0 { x } else { 0.25 * (larger(x, -1.0) + 1.0).powi(2) }),
        "sparse_sigmoid" => input.map(|x| (0.5 * (x + 1.0)).clamp(0.0, 1.0)),
        "softmax" => input.along(axis, softmax),
        "log_softmax" => input.along(axis, |line| {
            let largest = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = line.iter().map(|x| (x - largest).exp()).sum();
            line.iter().map(|x| x - largest - total.ln()).collect()
        }),
        "sparsemax" => input.along(axis, sparsemax),
        "glu" => input.along(axis, |line| {
            assert!(line.len().is_multiple_of(2), "glu halves its axis; received {} elements", line.len());
            let (value, gate) = line.split_at(line.len() / 2);
            value.iter().zip(gate).map(|(value, &gate)| value * sigmoid(gate)).collect()
        }),
        _ => panic!("there is no activation {name:?}"),
    }
}

/// relu with all its parameters, in the order of Keras' own steps.
fn relu(x: f64, slope: f64, cap: f64, threshold: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    let positive = if x > threshold { x.max(0.0) } else { 0.0 };
    // No slope is none, of −∞ too.
    let below = if slope == 0.0 { 0.0 } else { slope * (threshold - x).max(0.0) };
    positive.min(cap) - below
}

fn sigmoid(x: f64) -> f64 {
    let t = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + t) } else { t / (1.0 + t) }
}

fn hard_sigmoid(x: f64) -> f64 {
    (x + 3.0).clamp(0.0, 6.0) / 6.0
}

fn softplus(x: f64) -> f64 {
    larger(x, 0.0) + (-x.abs()).exp().ln_1p()
}

fn softmax(line: &[f64]) -> Vec<f64> {
    let largest = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = line.iter().map(|x| (x - largest).exp()).sum();
    line.iter().map(|x| (x - largest).exp() / total).collect()
}

/// The projection on the simplex (Martins and Astudillo 2016, algorithm 1). Keras 3.8 to 3.15 compute something else.
fn sparsemax(line: &[f64]) -> Vec<f64> {
    if line.iter().any(|x| x.is_nan()) {
        return vec![f64::NAN; line.len()];
    }
    let mut sorted = line.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let (mut sum, mut tau) = (0.0, 0.0);
    for (i, value) in sorted.iter().enumerate() {
        sum += value;
        let count = (i + 1) as f64;
        if 1.0 + count * value > sum {
            tau = (sum - 1.0) / count;
        }
    }
    line.iter().map(|x| (x - tau).max(0.0)).collect()
}

/// 1 - erf(x), to nearly all digits of an `f64`: the series of positive terms where it is short, the continued
/// fraction where the difference would cancel (Abramowitz and Stegun 7.1.6 and 7.1.14).
pub(super) fn erfc(x: f64) -> f64 {
    let scale = (-x * x).exp() / std::f64::consts::PI.sqrt();
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 2.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        return 1.0 - 2.0 * scale * sum;
    }
    let fraction = (1..200).rev().fold(x, |tail, n| x + 0.5 * f64::from(n) / tail);
    scale / fraction
}
