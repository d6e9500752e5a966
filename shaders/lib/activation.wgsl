// The functions that end an operation (its epilogue), or run by themselves in map.wgsl: relu, gelu, sigmoid, …
//
// Keras's element-wise activations, each in a numerically sound form.
//
// Acc is f32 or vec4<f32>; AccBits the unsigned integer of the same shape. Parameters come as bits in the uniform
// block: params.act_0 to act_2. Shaders may assume that NaN does not occur, so NaN is recognised by its bits and put
// back.

fn act_param_0() -> Acc { return Acc(bitcast<f32>(params.act_0)); }
fn act_param_1() -> Acc { return Acc(bitcast<f32>(params.act_1)); }
fn act_param_2() -> Acc { return Acc(bitcast<f32>(params.act_2)); }

/// `y`, or `x` where `x` is NaN.
fn keep_nan(x: Acc, y: Acc) -> Acc {
    return select(y, x, (bitcast<AccBits>(x) & AccBits(0x7fffffffu)) > AccBits(0x7f800000u));
}

/// eˣ − 1, without the cancellation near 0: a Taylor polynomial within 0.35.
fn expm1(x: Acc) -> Acc {
    let small = x * (Acc(1.0) + x * (Acc(0.5) + x * (Acc(0.16666667) + x * (Acc(0.041666668)
        + x * (Acc(0.008333334) + x * (Acc(0.0013888889) + x * Acc(1.9841270e-4)))))));
    return select(exp(x) - Acc(1.0), small, abs(x) < Acc(0.35));
}

/// ln(1 + t) for −0.5 <= t <= 1, as 2·artanh(t / (2 + t)): the series needs no logarithm, whose precision drivers differ on.
fn log1p_unit(t: Acc) -> Acc {
    let s = t / (Acc(2.0) + t);
    let s2 = s * s;
    return Acc(2.0) * s * (Acc(1.0) + s2 * (Acc(0.33333334) + s2 * (Acc(0.2) + s2 * (Acc(0.14285715)
        + s2 * (Acc(0.11111111) + s2 * (Acc(0.09090909) + s2 * Acc(0.07692308)))))));
}

/// tanh: an odd polynomial near 0, (1 − e) / (1 + e) with e = exp(−2|x|) beyond, so no driver's tanh is trusted.
fn sound_tanh(x: Acc) -> Acc {
    let a = min(abs(x), Acc(20.0));
    let e = exp(Acc(-2.0) * a);
    let far = (Acc(1.0) - e) / (Acc(1.0) + e);
    let a2 = a * a;
    let near = a * (Acc(1.0) + a2 * (Acc(-0.33333334) + a2 * (Acc(0.13333334) + a2 * (Acc(-0.053968254)
        + a2 * (Acc(0.021869488) + a2 * Acc(-0.008863236))))));
    return sign(x) * select(far, near, a < Acc(0.35));
}

/// e^{−|x|}, in (0, 1].
fn exp_minus_abs(x: Acc) -> Acc {
    return exp(-abs(x));
}

/// erf by Abramowitz & Stegun 7.1.26's successor in the same form (absolute error below 1.5e-7), as 1 − (…)·e^{−x²}.
fn sound_erf(x: Acc) -> Acc {
    let a = abs(x);
    let t = Acc(1.0) / (Acc(1.0) + Acc(0.3275911) * a);
    let poly = t * (Acc(0.25482959) + t * (Acc(-0.28449674) + t * (Acc(1.4214138) + t * (Acc(-1.453152) + t * Acc(1.0614054)))));
    return sign(x) * (Acc(1.0) - poly * exp(-a * a));
}

fn linear(x: Acc) -> Acc {
    return x;
}

fn relu(x: Acc) -> Acc {
    return keep_nan(x, max(x, Acc(0.0)));
}

/// relu with negative_slope and threshold, by Keras's steps.
fn relu_general(x: Acc) -> Acc {
    return relu_below(x, x);
}

/// relu with negative_slope, max_value and threshold.
fn relu_capped(x: Acc) -> Acc {
    return relu_below(x, clamp(x, Acc(0.0), act_param_1()));
}

/// `above` over the threshold, and the slope below it.
fn relu_below(x: Acc, above: Acc) -> Acc {
    let slope = act_param_0();
    let distance = x - act_param_2();
    let below = select(slope * distance, Acc(0.0), slope == Acc(0.0));
    return keep_nan(x, select(below, above, distance > Acc(0.0)));
}

fn relu6(x: Acc) -> Acc {
    return keep_nan(x, clamp(x, Acc(0.0), Acc(6.0)));
}

fn leaky_relu(x: Acc) -> Acc {
    return select(act_param_0() * x, x, x > Acc(0.0));
}

fn elu(x: Acc) -> Acc {
    return keep_nan(x, select(act_param_0() * expm1(min(x, Acc(0.0))), x, x > Acc(0.0)));
}

fn celu(x: Acc) -> Acc {
    let alpha = act_param_0();
    let below = alpha * (exp(min(x, Acc(0.0)) / alpha) - Acc(1.0));
    let sound = alpha * expm1(min(x, Acc(0.0)) / alpha);
    return keep_nan(x, max(x, Acc(0.0)) + select(below, sound, alpha > Acc(0.0)));
}

fn selu(x: Acc) -> Acc {
    let below = Acc(1.7580993) * expm1(min(x, Acc(0.0)));
    return keep_nan(x, select(below, Acc(1.050701) * x, x > Acc(0.0)));
}

fn exponential(x: Acc) -> Acc {
    return keep_nan(x, exp(x));
}

fn sigmoid(x: Acc) -> Acc {
    let t = exp_minus_abs(x);
    return keep_nan(x, select(t, Acc(1.0), x >= Acc(0.0)) / (Acc(1.0) + t));
}

fn log_sigmoid(x: Acc) -> Acc {
    return keep_nan(x, min(x, Acc(0.0)) - log1p_unit(exp_minus_abs(x)));
}

fn hard_sigmoid_2(x: Acc) -> Acc {
    return keep_nan(x, clamp(fma(x, Acc(0.2), Acc(0.5)), Acc(0.0), Acc(1.0)));
}

fn hard_sigmoid(x: Acc) -> Acc {
    return keep_nan(x, clamp(x + Acc(3.0), Acc(0.0), Acc(6.0)) / Acc(6.0));
}

fn silu(x: Acc) -> Acc {
    return x * sigmoid(x);
}

fn hard_silu(x: Acc) -> Acc {
    return x * hard_sigmoid(x);
}

fn gelu(x: Acc) -> Acc {
    return Acc(0.5) * x * (Acc(1.0) + sound_erf(x * Acc(0.70710677)));
}

fn gelu_approximate(x: Acc) -> Acc {
    return Acc(0.5) * x * (Acc(1.0) + sound_tanh(Acc(0.7978846) * (x + Acc(0.044715) * x * x * x)));
}

fn softplus(x: Acc) -> Acc {
    return keep_nan(x, max(x, Acc(0.0)) + log1p_unit(exp_minus_abs(x)));
}

fn mish(x: Acc) -> Acc {
    return x * sound_tanh(softplus(x));
}

fn softsign(x: Acc) -> Acc {
    return x / (Acc(1.0) + abs(x));
}

/// (x + root) / 2, below 0 as b / 2 / (root − x), where the sum would cancel.
fn squareplus(x: Acc) -> Acc {
    let b = act_param_0();
    let root = sqrt(x * x + b);
    return select((x + root) * Acc(0.5), b * Acc(0.5) / (root - x), x < Acc(0.0));
}

fn tanh_keras(x: Acc) -> Acc {
    return keep_nan(x, sound_tanh(x));
}

fn tanh_shrink(x: Acc) -> Acc {
    return x - tanh_keras(x);
}

fn hard_tanh(x: Acc) -> Acc {
    return keep_nan(x, clamp(x, Acc(-1.0), Acc(1.0)));
}

fn hard_shrink(x: Acc) -> Acc {
    return select(Acc(0.0), x, abs(x) > act_param_0());
}

fn soft_shrink(x: Acc) -> Acc {
    let t = act_param_0();
    return select(select(Acc(0.0), x + t, x < -t), x - t, x > t);
}

fn threshold(x: Acc) -> Acc {
    return select(act_param_1(), x, x > act_param_0());
}

fn sparse_plus(x: Acc) -> Acc {
    let middle = Acc(0.25) * (x + Acc(1.0)) * (x + Acc(1.0));
    return keep_nan(x, select(select(middle, Acc(0.0), x <= Acc(-1.0)), x, x >= Acc(1.0)));
}

fn sparse_sigmoid(x: Acc) -> Acc {
    return keep_nan(x, clamp(Acc(0.5) * (x + Acc(1.0)), Acc(0.0), Acc(1.0)));
}
