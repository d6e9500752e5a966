// A max that keeps NaN: WGSL's own may return either side.
//
// The larger of two values. Acc is f32 or vec4<f32>; AccBits the unsigned integer of the same shape.

/// The larger value, or NaN if either is: seen by its bits, since shaders may assume that it does not occur.
fn larger(a: Acc, b: Acc) -> Acc {
    let nan_a = (bitcast<AccBits>(a) & AccBits(0x7fffffffu)) > AccBits(0x7f800000u);
    let nan_b = (bitcast<AccBits>(b) & AccBits(0x7fffffffu)) > AccBits(0x7f800000u);
    return select(select(max(a, b), b, nan_b), a, nan_a);
}
