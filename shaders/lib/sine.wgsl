// Sine, cosine, tangent and sinc, with their derivatives: of all numbers, for the angle loses its whole quarter turns exactly.
//
// WGSL's own may be wrong by 2⁻¹¹ within ±π, and by anything beyond. A shader whose function stands here has this text behind its
// parts (plan/shader.rs).

/// An angle as whole quarter turns, of which the last two bits count, and what is left of it, within ±π/4.
struct Angle {
    quarters: AccBits,
    rest: Acc,
}

/// The upper half of the product of whole numbers.
fn upper_product(a: AccBits, b: AccBits) -> AccBits {
    let low = AccBits(0xffffu);
    let half = AccBits(16u);
    let middle = (a >> half) * (b & low) + (((a & low) * (b & low)) >> half);
    let other = (a & low) * (b >> half) + (middle & low);
    return (a >> half) * (b >> half) + (middle >> half) + (other >> half);
}

/// The upper word of two, moved up by less than a word.
fn shifted(a: AccBits, b: AccBits, shift: AccBits) -> AccBits {
    return (a << shift) | ((b >> AccBits(1u)) >> (AccBits(31u) - shift));
}

/// The angle of |x| >= 1, by the method of Payne and Hanek: x is 24 bits times a power of two, and of its product with 2/π,
/// the bits from two before the point on are computed, 53 behind it. No f32 is so near a whole number of quarters that fewer
/// than 23 of them would be left.
fn far_angle(x: Acc) -> Angle {
    let bits = bitcast<AccBits>(x) & AccBits(0x7fffffffu);
    let mantissa = (bits & AccBits(0x007fffffu)) | AccBits(0x00800000u);
    // Of the words of 2/π, which a word of the whole part stands before, the four in which those bits begin that make no
    // whole turns, and how far into the first one.
    let exponent = (bits >> AccBits(23u)) - AccBits(120u);
    let by_4 = (exponent & AccBits(128u)) == AccBits(128u);
    let by_2 = (exponent & AccBits(64u)) == AccBits(64u);
    let by_1 = (exponent & AccBits(32u)) == AccBits(32u);
    let a0 = select(AccBits(0u), AccBits(0xf534ddc0u), by_4);
    let a1 = select(AccBits(0xa2f9836eu), AccBits(0xdb629599u), by_4);
    let a2 = select(AccBits(0x4e441529u), AccBits(0x3c439041u), by_4);
    let a3 = select(AccBits(0xfc2757d1u), AccBits(0xfe5163abu), by_4);
    let b0 = select(a0, a2, by_2);
    let b1 = select(a1, a3, by_2);
    let b2 = select(a2, AccBits(0xf534ddc0u), by_2);
    let b3 = select(a3, AccBits(0xdb629599u), by_2);
    let b4 = select(AccBits(0xf534ddc0u), AccBits(0x3c439041u), by_2);
    let shift = exponent & AccBits(31u);
    let c0 = select(b0, b1, by_1);
    let c1 = select(b1, b2, by_1);
    let c2 = select(b2, b3, by_1);
    let first = shifted(c0, c1, shift);
    let second = shifted(c1, c2, shift);
    let third = shifted(c2, select(b3, b4, by_1), shift);
    let product = mantissa * second;
    let low = product + (((mantissa >> AccBits(8u)) * (third >> AccBits(16u))) >> AccBits(8u));
    let carried = select(AccBits(0u), AccBits(1u), low < product);
    let high = mantissa * first + upper_product(mantissa, second) + carried;
    // The nearest whole number, and what is left, of either sign.
    let quarters = (high + AccBits(0x20000000u)) >> AccBits(30u);
    let left = high - (quarters << AccBits(30u));
    let below = left >= AccBits(0x80000000u);
    let size = select(left, ~left + select(AccBits(0u), AccBits(1u), low == AccBits(0u)), below);
    // Quarters as radians: π/2 by 2⁻³⁰, and by 2⁻⁶² for the lower word.
    let rest = Acc(size) * Acc(1.4629181e-9) + Acc(select(low, ~low + AccBits(1u), below)) * Acc(3.4061216e-19);
    let negative = x < Acc(0.0);
    let none = AccBits(0x7f800000u);
    let turned = bitcast<AccBits>(select(rest, -rest, below != negative));
    // NaN of what is no number.
    let number = bitcast<Acc>(select(turned, bits | AccBits(0x7fc00000u), bits >= none));
    return Angle(select(quarters, ~quarters + AccBits(1u), negative), number);
}

/// The angle of x. Up to 8150 quarters, π/2 in four parts does, of which the products with the first three are exact.
fn angle_of(x: Acc) -> Angle {
    let far = (bitcast<AccBits>(x) & AccBits(0x7fffffffu)) > AccBits(0x46480000u);
    let turns = round(select(x, Acc(0.0), far) * Acc(0.63661975));
    let rest = ((x - turns * Acc(1.5703125)) - turns * Acc(4.8375130e-4)) - turns * Acc(7.5495336e-8);
    var turned = Angle(AccBits(AccInt(turns)), rest - turns * Acc(2.5633441e-12));
    if any(far) {
        let of_far = far_angle(x);
        turned = Angle(select(turned.quarters, of_far.quarters, far), select(turned.rest, of_far.rest, far));
    }
    return turned;
}

/// The sine of an angle and `shift` quarters: a polynomial on [−π/4, π/4], by quadrant.
fn sine_at(place: Angle, shift: u32) -> Acc {
    let r = place.rest;
    let r2 = r * r;
    let sine = r + r * r2 * (Acc(-0.16666655) + r2 * (Acc(0.008332161) + r2 * Acc(-0.00019515296)));
    let cosine = Acc(1.0) + r2 * (Acc(-0.5) + r2 * (Acc(0.041666646) + r2 * (Acc(-0.0013887316) + r2 * Acc(2.4433157e-5))));
    let quadrant = place.quarters + AccBits(shift);
    let value = select(sine, cosine, (quadrant & AccBits(1u)) == AccBits(1u));
    return select(value, -value, (quadrant & AccBits(2u)) == AccBits(2u));
}

fn math_sin(x: Acc) -> Acc { return sine_at(angle_of(x), 0u); }
fn math_sin_slope(x: Acc) -> Acc { return math_cos(x); }
fn math_cos(x: Acc) -> Acc { return sine_at(angle_of(x), 1u); }
fn math_cos_slope(x: Acc) -> Acc { return -math_sin(x); }

fn math_tan(x: Acc) -> Acc {
    let place = angle_of(x);
    return sine_at(place, 0u) / sine_at(place, 1u);
}

fn math_tan_slope(x: Acc) -> Acc {
    let c = math_cos(x);
    return Acc(1.0) / (c * c);
}

/// sin(πx) / (πx), where x loses its even part first, which is exact.
fn math_sinc(x: Acc) -> Acc {
    let rest = x - Acc(2.0) * round(x * Acc(0.5));
    let quotient = math_sin(Acc(3.14159265) * rest) / (Acc(3.14159265) * x);
    return select(quotient, Acc(1.0), x == Acc(0.0));
}

/// (cos(πx) − sinc x) / x, which cancels near 0: the series stands there.
fn math_sinc_slope(x: Acc) -> Acc {
    let rest = x - Acc(2.0) * round(x * Acc(0.5));
    let quotient = (math_cos(Acc(3.14159265) * rest) - math_sinc(x)) / x;
    let y = Acc(9.8696044) * x * x;
    let near = x * (Acc(-3.2898681) + y * (Acc(0.32898681) - y * (Acc(0.011749529) - y * Acc(0.00021758387))));
    return select(quotient, near, abs(x) < Acc(0.25));
}
