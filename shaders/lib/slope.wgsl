// The derivatives of the functions of activation.wgsl and math.wgsl, each under its function's name with _slope.
//
// At a kink stands the derivative from the left, but for relu and abs, which have 0 there (G4). Stands behind both files, whose
// helpers it uses: Acc is f32 or vec4<f32>, and parameters come from params.act_0 to act_2.

fn linear_slope(x: Acc) -> Acc { return Acc(1.0); }
fn relu_slope(x: Acc) -> Acc { return select(Acc(0.0), Acc(1.0), x > Acc(0.0)); }

fn relu_general_slope(x: Acc) -> Acc {
    return select(act_param_0(), Acc(1.0), x > act_param_2());
}

fn relu_capped_slope(x: Acc) -> Acc {
    let above = select(Acc(0.0), Acc(1.0), (x > Acc(0.0)) & (x <= act_param_1()));
    return select(act_param_0(), above, x > act_param_2());
}

fn relu6_slope(x: Acc) -> Acc {
    return select(Acc(0.0), Acc(1.0), (x > Acc(0.0)) & (x <= Acc(6.0)));
}

fn leaky_relu_slope(x: Acc) -> Acc {
    return select(act_param_0(), Acc(1.0), x > Acc(0.0));
}

fn elu_slope(x: Acc) -> Acc {
    return select(act_param_0() * exp(min(x, Acc(0.0))), Acc(1.0), x > Acc(0.0));
}

fn celu_slope(x: Acc) -> Acc {
    return select(exp(min(x, Acc(0.0)) / act_param_0()), Acc(1.0), x > Acc(0.0));
}

fn selu_slope(x: Acc) -> Acc {
    return select(Acc(1.7580993) * exp(min(x, Acc(0.0))), Acc(1.050701), x > Acc(0.0));
}

fn exponential_slope(x: Acc) -> Acc { return exp(x); }

fn sigmoid_slope(x: Acc) -> Acc {
    let t = exp_minus_abs(x);
    return t / ((Acc(1.0) + t) * (Acc(1.0) + t));
}

fn log_sigmoid_slope(x: Acc) -> Acc { return sigmoid(-x); }

fn hard_sigmoid_slope(x: Acc) -> Acc {
    return select(Acc(0.0), Acc(0.16666667), (x > Acc(-3.0)) & (x <= Acc(3.0)));
}

fn hard_sigmoid_2_slope(x: Acc) -> Acc {
    return select(Acc(0.0), Acc(0.2), (x > Acc(-2.5)) & (x <= Acc(2.5)));
}

/// With s the sigmoid: s + x·s·(1 − s).
fn silu_slope(x: Acc) -> Acc {
    let s = sigmoid(x);
    return s + clamp(x, Acc(-100.0), Acc(100.0)) * sigmoid_slope(x);
}

fn hard_silu_slope(x: Acc) -> Acc {
    let middle = x * Acc(0.33333334) + Acc(0.5);
    return select(select(middle, Acc(0.0), x <= Acc(-3.0)), Acc(1.0), x > Acc(3.0));
}

/// Φ(x) + x·φ(x), Φ and φ the normal distribution and its density.
fn gelu_slope(x: Acc) -> Acc {
    let near = clamp(x, Acc(-12.0), Acc(12.0));
    return Acc(0.5) * (Acc(1.0) + sound_erf(near * Acc(0.70710677)))
        + near * Acc(0.3989423) * exp(Acc(-0.5) * near * near);
}

fn gelu_approximate_slope(x: Acc) -> Acc {
    let near = clamp(x, Acc(-12.0), Acc(12.0));
    let t = sound_tanh(Acc(0.7978846) * (near + Acc(0.044715) * near * near * near));
    let inner = Acc(0.7978846) * (Acc(1.0) + Acc(0.134145) * near * near);
    return Acc(0.5) * (Acc(1.0) + t) + Acc(0.5) * near * (Acc(1.0) - t * t) * inner;
}

fn softplus_slope(x: Acc) -> Acc { return sigmoid(x); }

/// With t = tanh(softplus x): t + x·(1 − t²)·sigmoid x.
fn mish_slope(x: Acc) -> Acc {
    let near = clamp(x, Acc(-100.0), Acc(100.0));
    let t = sound_tanh(softplus(near));
    return t + near * (Acc(1.0) - t * t) * sigmoid(near);
}

fn softsign_slope(x: Acc) -> Acc {
    let d = Acc(1.0) / (Acc(1.0) + abs(x));
    return d * d;
}

/// (1 + x / root) / 2, below 0 as b / (2·root·(root − x)), where the sum would cancel.
fn squareplus_slope(x: Acc) -> Acc {
    let b = act_param_0();
    let root = sqrt(x * x + b);
    let above = select(Acc(0.5) * (Acc(1.0) + x / root), Acc(0.5), root == Acc(0.0));
    return select(above, Acc(0.5) * b / (root * (root - x)), x < Acc(0.0));
}

/// 4·e / (1 + e)² with e = exp(−2|x|): 1 − tanh² x without its cancellation.
fn tanh_keras_slope(x: Acc) -> Acc {
    let e = exp(Acc(-2.0) * abs(x));
    return Acc(4.0) * e / ((Acc(1.0) + e) * (Acc(1.0) + e));
}

fn tanh_shrink_slope(x: Acc) -> Acc {
    let t = sound_tanh(x);
    return t * t;
}

fn hard_tanh_slope(x: Acc) -> Acc {
    return select(Acc(0.0), Acc(1.0), (x > Acc(-1.0)) & (x <= Acc(1.0)));
}

fn hard_shrink_slope(x: Acc) -> Acc {
    return select(Acc(0.0), Acc(1.0), abs(x) > act_param_0());
}

fn soft_shrink_slope(x: Acc) -> Acc {
    let t = act_param_0();
    return select(Acc(0.0), Acc(1.0), (x > t) | (x <= -t));
}

fn threshold_slope(x: Acc) -> Acc {
    return select(Acc(0.0), Acc(1.0), x > act_param_0());
}

fn sparse_plus_slope(x: Acc) -> Acc {
    return clamp(Acc(0.5) * (x + Acc(1.0)), Acc(0.0), Acc(1.0));
}

fn sparse_sigmoid_slope(x: Acc) -> Acc {
    return select(Acc(0.0), Acc(0.5), (x > Acc(-1.0)) & (x <= Acc(1.0)));
}

fn math_abs_slope(x: Acc) -> Acc { return sign(x); }
fn math_neg_slope(x: Acc) -> Acc { return Acc(-1.0); }
fn math_sqrt_slope(x: Acc) -> Acc { return Acc(0.5) / sqrt(x); }
fn math_reciprocal_slope(x: Acc) -> Acc { return Acc(-1.0) / (x * x); }
fn math_log_slope(x: Acc) -> Acc { return Acc(1.0) / x; }
fn math_log1p_slope(x: Acc) -> Acc { return Acc(1.0) / (Acc(1.0) + x); }
fn math_expm1_slope(x: Acc) -> Acc { return exp(x); }
fn math_floor_slope(x: Acc) -> Acc { return Acc(0.0); }
fn math_ceil_slope(x: Acc) -> Acc { return Acc(0.0); }
fn math_round_slope(x: Acc) -> Acc { return Acc(0.0); }
fn math_sign_slope(x: Acc) -> Acc { return Acc(0.0); }
fn math_is_nan_slope(x: Acc) -> Acc { return Acc(0.0); }
fn math_erf_slope(x: Acc) -> Acc { return Acc(1.1283792) * exp(-x * x); }
fn math_erfc_slope(x: Acc) -> Acc { return Acc(-1.1283792) * exp(-x * x); }
fn math_sinh_slope(x: Acc) -> Acc { return math_cosh(x); }
fn math_cosh_slope(x: Acc) -> Acc { return math_sinh(x); }
/// 1 / |x| where all else of √(1 + x²) is rounded off, and the square may be too large.
fn math_asinh_slope(x: Acc) -> Acc {
    let size = abs(x);
    return Acc(1.0) / select(sqrt(Acc(1.0) + x * x), size, size > Acc(4096.0));
}

fn math_acosh_slope(x: Acc) -> Acc { return Acc(1.0) / (sqrt(x - Acc(1.0)) * sqrt(x + Acc(1.0))); }
fn math_atanh_slope(x: Acc) -> Acc { return Acc(1.0) / ((Acc(1.0) - x) * (Acc(1.0) + x)); }
fn math_square_slope(x: Acc) -> Acc { return Acc(2.0) * x; }

fn math_clip_slope(x: Acc) -> Acc {
    return select(Acc(0.0), Acc(1.0), (x > act_param_0()) & (x <= act_param_1()));
}

fn math_affine_slope(x: Acc) -> Acc { return act_param_0(); }

fn math_pow_slope(x: Acc) -> Acc {
    let y = act_param_0();
    return select(y * power(x, y - Acc(1.0)), Acc(0.0), y == Acc(0.0));
}

fn math_clipped_affine_slope(x: Acc) -> Acc {
    let y = act_param_0() * x + act_param_1();
    let rising = (y > Acc(0.0)) & (y <= Acc(1.0));
    let falling = (y >= Acc(0.0)) & (y < Acc(1.0));
    return select(Acc(0.0), act_param_0(), select(falling, rising, act_param_0() > Acc(0.0)));
}

fn math_scaled_elu_slope(x: Acc) -> Acc {
    return act_param_1() * select(act_param_0() * exp(min(x, Acc(0.0))), Acc(1.0), x > Acc(0.0));
}

fn math_shrink_slope(x: Acc) -> Acc {
    let t = act_param_0();
    return select(Acc(0.0), Acc(1.0), (x > t) | (x < -t));
}

fn math_swish_slope(x: Acc) -> Acc {
    let z = act_param_0() * x;
    return sigmoid(z) + clamp(z, Acc(-100.0), Acc(100.0)) * sigmoid_slope(z);
}
