// A change of element type, for a layer that computes in other numbers than the one before; and bfloat16, which no
// shader has, emulated by rounding f32.
//
// output[i] = input[i] in another type, rounded to nearest even on the way where ROUNDING asks for it:
// 0 not at all, 1 to bfloat16, 2 to binary16 (decisions D13, D14).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<In>;
@group(0) @binding(2) var<storage, read_write> output: array<Out>;

/// `bits` of an f32 with the `dropped` lowest bits rounded away; a carry moves into the exponent as it should.
fn drop_bits(bits: u32, dropped: u32) -> u32 {
    let half = (1u << (dropped - 1u)) - 1u;
    let even = (bits >> dropped) & 1u;
    return (bits + half + even) & ~((1u << dropped) - 1u);
}

fn round_to(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let magnitude = bits & 0x7fffffffu;
    if ROUNDING == 0u || magnitude >= 0x7f800000u {
        return x;
    }
    if ROUNDING == 1u {
        return bitcast<f32>(drop_bits(bits, 16u));
    }
    if magnitude < 0x38800000u {
        // Below 2^-14 binary16 counts in steps of 2^-24.
        return round(x * 16777216.0) * 5.9604645e-8;
    }
    let rounded = drop_bits(bits, 13u);
    // From 65520 on the nearest binary16 is infinity.
    return bitcast<f32>(select(rounded, (bits & 0x80000000u) | 0x7f800000u, (rounded & 0x7fffffffu) >= 0x47800000u));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let item = workgroup_index(workgroup, workgroups) * WORKGROUP + invocation;
    if item < params.items {
        output[item] = Out(round_to(f32(input[item])));
    }
}
