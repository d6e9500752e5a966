// Logarithm, power, rounding, …: WGSL has most of them, but leaves some inaccurate or undefined for some values.
//
// Element-wise functions beside Keras's activations; stands behind lib/activation.wgsl, whose helpers it uses.

/// ln x: x = m·2^e with m in [√½, √2), ln m = 2·artanh((m − 1) / (m + 1)). No driver's log is trusted for what lies near 1,
/// nor for 0 and what is subnormal. NaN of negative x.
fn sound_log(x: Acc) -> Acc {
    let bits = bitcast<AccBits>(x) & AccBits(0x7fffffffu);
    // A subnormal number is its bits times 2^−149.
    let tiny = bits < AccBits(0x00800000u);
    let shifted = select(bits, bitcast<AccBits>(Acc(bits)), tiny) - AccBits(0x3f3504f3u);
    let e = Acc(bitcast<AccInt>(shifted) >> AccBits(23u)) - select(Acc(0.0), Acc(149.0), tiny);
    let m = bitcast<Acc>((shifted & AccBits(0x007fffffu)) + AccBits(0x3f3504f3u));
    let s = (m - Acc(1.0)) / (m + Acc(1.0));
    let s2 = s * s;
    let series = Acc(2.0) * s * (Acc(1.0) + s2 * (Acc(0.33333334) + s2 * (Acc(0.2) + s2 * (Acc(0.14285715)
        + s2 * (Acc(0.11111111) + s2 * Acc(0.09090909))))));
    // ln 2 in two parts, of which the product of e with the first is exact.
    let normal = e * Acc(0.693359375) + (series - e * Acc(2.1219444e-4));
    let finite = select(bits | AccBits(0xff800000u), bitcast<AccBits>(normal), bits > AccBits(0u));
    let positive = select(bits, finite, bits < AccBits(0x7f800000u));
    return bitcast<Acc>(select(positive, bits | AccBits(0x7fc00000u), x < Acc(0.0)));
}

/// x^y: whole exponents up to 64 by multiplication, others as e^{y·ln |x|}, with the sign of x where y is odd. A fraction
/// of a negative number is NaN, as its root is.
fn power(x: Acc, y: Acc) -> Acc {
    var left = AccBits(min(abs(y), Acc(64.0)));
    var square = x;
    var product = Acc(1.0);
    for (var i = 0u; i < 7u; i++) {
        product = select(product, product * square, (left & AccBits(1u)) == AccBits(1u));
        square *= square;
        left = left >> AccBits(1u);
    }
    let repeated = select(product, Acc(1.0) / product, y < Acc(0.0));
    // Every power of 1 is 1, the infinite ones too.
    let grown = y * sound_log(abs(x));
    let magnitude = select(keep_nan(grown, exp(grown)), Acc(1.0), abs(x) == Acc(1.0));
    let whole = floor(y) == y;
    let odd = floor(y * Acc(0.5)) * Acc(2.0) != y;
    let negative = x < Acc(0.0);
    // Of −∞ only the size is known.
    let part = select(sqrt(x), magnitude, abs(x) > Acc(3.4028234e38));
    let general = select(magnitude, select(part, select(magnitude, -magnitude, odd), whole), negative);
    return select(general, repeated, whole & (abs(y) <= Acc(64.0)));
}

/// What is left of a by b, with the sign of a, exactly: the mantissas are divided as whole numbers, eight bits of the quotient
/// at a time. A quotient of floats is rounded, and beside its whole values off by one: 0.3 by 0.1 goes twice, not three
/// times. NaN where b is 0 or a is infinite.
fn remainder(a: Acc, b: Acc) -> Acc {
    let bits = bitcast<AccBits>(a) & AccBits(0x7fffffffu);
    let by = bitcast<AccBits>(b) & AccBits(0x7fffffffu);
    let subnormal = AccBits(0x007fffffu);
    let one = AccBits(0x00800000u);
    // A value is its mantissa times 2^(exponent − 150).
    let exponent = max(by >> AccBits(23u), AccBits(1u));
    let divisor = (by & subnormal) | select(one, AccBits(0u), by < one);
    let mantissa = (bits & subnormal) | select(one, AccBits(0u), bits < one);
    var shift = max(bits >> AccBits(23u), exponent) - exponent;
    var rest = mantissa % divisor;
    while any(shift > AccBits(0u)) {
        let step = min(shift, AccBits(8u));
        rest = (rest << step) % divisor;
        shift -= step;
    }
    // 2^(exponent − 150) as two factors, neither of which is subnormal.
    let normal = max(exponent, AccBits(24u));
    let first = bitcast<Acc>((normal - AccBits(23u)) << AccBits(23u));
    let second = bitcast<Acc>((AccBits(127u) + exponent - normal) << AccBits(23u));
    let size = bitcast<AccBits>(Acc(rest) * first * second) | (bitcast<AccBits>(a) & AccBits(0x80000000u));
    let left = select(size, bitcast<AccBits>(a), bits < by);
    let infinity = AccBits(0x7f800000u);
    let nothing = (by == AccBits(0u)) | (by > infinity) | (bits >= infinity);
    return bitcast<Acc>(select(left, bits | AccBits(0x7fc00000u), nothing));
}

/// What is left of a by b, with the sign of b.
fn modulo(a: Acc, b: Acc) -> Acc {
    let left = remainder(a, b);
    return select(left, left + b, (left != Acc(0.0)) & ((left < Acc(0.0)) != (b < Acc(0.0))));
}

fn math_abs(x: Acc) -> Acc { return abs(x); }
fn math_neg(x: Acc) -> Acc { return -x; }
fn math_sqrt(x: Acc) -> Acc { return keep_nan(x, sqrt(x)); }
fn math_reciprocal(x: Acc) -> Acc { return Acc(1.0) / x; }
fn math_log(x: Acc) -> Acc { return keep_nan(x, sound_log(x)); }
/// ln(1 + x): rounded, the sum loses what is small beside 1.
fn math_log1p(x: Acc) -> Acc {
    return keep_nan(x, select(sound_log(Acc(1.0) + x), log1p_unit(x), abs(x) <= Acc(0.5)));
}

fn math_expm1(x: Acc) -> Acc { return keep_nan(x, expm1(x)); }
fn math_floor(x: Acc) -> Acc { return keep_nan(x, floor(x)); }
fn math_ceil(x: Acc) -> Acc { return keep_nan(x, ceil(x)); }
fn math_round(x: Acc) -> Acc { return keep_nan(x, round(x)); }
fn math_sign(x: Acc) -> Acc { return keep_nan(x, sign(x)); }
/// e^|x| / 2, as a product of which no factor is too large before it is.
fn half_exp(x: Acc) -> Acc {
    let root = exp(Acc(0.5) * abs(x));
    return Acc(0.5) * root * root;
}

/// `size` with the sign of x.
fn signed_as(x: Acc, size: Acc) -> Acc {
    return bitcast<Acc>(bitcast<AccBits>(size) | (bitcast<AccBits>(x) & AccBits(0x80000000u)));
}

/// A series up to 1, where the powers are alike.
fn math_sinh(x: Acc) -> Acc {
    let x2 = x * x;
    let near = x + x * x2 * (Acc(0.16666667) + x2 * (Acc(0.008333334) + x2 * (Acc(1.9841270e-4) + x2 * Acc(2.7557319e-6))));
    let up = half_exp(x);
    return keep_nan(x, select(signed_as(x, up - Acc(0.25) / up), near, abs(x) < Acc(1.0)));
}

fn math_cosh(x: Acc) -> Acc {
    let up = half_exp(x);
    return keep_nan(x, up + Acc(0.25) / up);
}

/// ln(x + √(x² ± 1)) is ln(1 + `rest`), and ln 2x where that is all: there x² may be too large.
fn log_of_both(x: Acc, rest: Acc) -> Acc {
    return select(math_log1p(rest), sound_log(x) + Acc(0.6931472), x > Acc(4096.0));
}

fn math_asinh(x: Acc) -> Acc {
    let size = abs(x);
    let square = x * x;
    return signed_as(x, log_of_both(size, size + square / (Acc(1.0) + sqrt(Acc(1.0) + square))));
}

/// In two roots, so that nothing cancels near 1. Below it ln(1 − 2) stands, which is NaN.
fn math_acosh(x: Acc) -> Acc {
    let above = x - Acc(1.0);
    let rest = above + sqrt(above) * sqrt(above + Acc(2.0));
    return keep_nan(x, log_of_both(x, select(rest, Acc(-2.0), above < Acc(0.0))));
}

fn math_atanh(x: Acc) -> Acc {
    let size = abs(x);
    return signed_as(x, Acc(0.5) * math_log1p(Acc(2.0) * size / (Acc(1.0) - size)));
}

fn math_square(x: Acc) -> Acc { return x * x; }
/// By the bits: a driver may take it that no number is NaN, and a comparison with itself for true.
fn math_is_nan(x: Acc) -> Acc {
    return select(Acc(0.0), Acc(1.0), (bitcast<AccBits>(x) & AccBits(0x7fffffffu)) > AccBits(0x7f800000u));
}

/// erf: its series near 0, where 1 − (…) would cancel, and lib/activation.wgsl's form beyond.
fn math_erf(x: Acc) -> Acc {
    let x2 = x * x;
    let near = x * (Acc(1.1283792) + x2 * (Acc(-0.37612638) + x2 * (Acc(0.11283792) + x2 * (Acc(-0.02686617)
        + x2 * (Acc(0.0052239775) + x2 * Acc(-0.00085483275))))));
    return keep_nan(x, select(sound_erf(x), near, abs(x) < Acc(0.5)));
}

/// What is left of 1 beyond |x|, t·exp(−x² + p(t)) with t = 1/(1 + |x|/2), to 1.2e-7 of itself (Press et al., Numerical Recipes,
/// section 6.2). The square is that of the nearest sixteenth, which is exact, and what is left.
fn math_erfc(x: Acc) -> Acc {
    let z = min(abs(x), Acc(11.0));
    let near = round(z * Acc(16.0)) * Acc(0.0625);
    let t = Acc(1.0) / (Acc(1.0) + Acc(0.5) * z);
    var p = Acc(0.17087277);
    p = p * t - Acc(0.82215223);
    p = p * t + Acc(1.48851587);
    p = p * t - Acc(1.13520398);
    p = p * t + Acc(0.27886807);
    p = p * t - Acc(0.18628806);
    p = p * t + Acc(0.09678418);
    p = p * t + Acc(0.37409196);
    p = p * t + Acc(1.00002368);
    p = p * t - Acc(1.26551223);
    let beyond = t * exp(-near * near) * exp((near - z) * (near + z) + p);
    return keep_nan(x, select(Acc(2.0) - beyond, beyond, x >= Acc(0.0)));
}

fn math_clip(x: Acc) -> Acc {
    return keep_nan(x, min(max(x, act_param_0()), act_param_1()));
}

fn math_affine(x: Acc) -> Acc {
    return act_param_0() * x + act_param_1();
}

fn math_pow(x: Acc) -> Acc {
    return power(x, act_param_0());
}

fn math_clipped_affine(x: Acc) -> Acc {
    return keep_nan(x, clamp(act_param_0() * x + act_param_1(), Acc(0.0), Acc(1.0)));
}

fn math_scaled_elu(x: Acc) -> Acc {
    return keep_nan(x, act_param_1() * select(act_param_0() * expm1(min(x, Acc(0.0))), x, x > Acc(0.0)));
}

fn math_shrink(x: Acc) -> Acc {
    let t = act_param_0();
    return select(select(Acc(0.0), x + act_param_1(), x < -t), x - act_param_1(), x > t);
}

fn math_swish(x: Acc) -> Acc {
    return x * sigmoid(act_param_0() * x);
}
