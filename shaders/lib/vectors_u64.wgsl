// As vectors.wgsl, which it replaces on processors that have 64-bit integers (lavapipe).
//
// Vectors of four f32 in memory as two u64: for processors, which move the parts of a vector one by one.

fn unpacked(x: Vec) -> Acc {
    return bitcast<vec4<f32>>(vec4(u32(x.x), u32(x.x >> 32u), u32(x.y), u32(x.y >> 32u)));
}

fn packed(x: Acc) -> Vec {
    let bits = bitcast<vec4<u32>>(x);
    return Vec(u64(bits.x) | (u64(bits.y) << 32u), u64(bits.z) | (u64(bits.w) << 32u));
}
