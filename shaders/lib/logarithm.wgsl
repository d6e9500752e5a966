// For log-softmax and other logarithms of sums, which must give −∞, ∞ and NaN where NumPy does.
//
// Logarithms of sums, whatever those are: WGSL says nothing of what `log` makes of infinities, NaN and negative
// numbers.

/// ln y; NaN where y is negative or NaN, −∞ of 0 and ∞ of ∞.
fn logarithm(y: f32) -> f32 {
    let bits = bitcast<u32>(y);
    let magnitude = bits & 0x7fffffffu;
    if magnitude == 0u {
        return bitcast<f32>(bits | 0xff800000u);
    }
    if bits > 0x80000000u {
        return bitcast<f32>(bits | 0x7fc00000u);
    }
    if magnitude >= 0x7f800000u {
        return y;
    }
    return log(y);
}

/// `x`, or 0 where that is infinite: what exponents of a sum are taken relative to, since ∞ − ∞ is no number.
fn finite(x: f32) -> f32 {
    return select(x, 0.0, (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u);
}
