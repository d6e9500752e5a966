// Winograd F(m×m, 3×3), m = TILE: the kernel's transform, with zeros for channels that fill up fours (weight packing).
//
// A 3×3 kernel in Keras's order, ready for the products of a Winograd convolution:
//
//   output[d, c, (y·EDGE + x)·padded_out + f] = (G kernel[d, ·, ·, c, f] Gᵀ)[y, x]    for c < in_c and f < out_c, else 0
//
// where padded_out fills the output channels up to fours, and c runs over fours as well. Where SCALED, kernel[·, ·, ·, ·, f]
// is multiplied by scale[f] first. One d, one c and four f per invocation, which `store_four` writes at once; runs once for
// a weight.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> kernel: array<f32>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let item = workgroup_index(workgroup, workgroups) * WORKGROUP + invocation;
    if item >= params.items {
        return;
    }
    let fours = (params.group_out + 3u) / 4u;
    let four = item % fours;
    let pair = item / fours;
    let padded_in = (params.group_in + 3u) / 4u * 4u;
    let c = pair % padded_in;
    let f = vec4(four * 4u) + vec4(0u, 1u, 2u, 3u);
    let inside = (f < vec4(params.group_out)) & vec4(c < params.group_in);
    let tap = params.group_in * params.group_out;
    let first = pair / padded_in * (TAPS * TAPS) * tap + c * params.group_out;
    let at = select(vec4(0u), first + f, inside);
    var factor = vec4(1.0);
    if SCALED {
        let own = select(vec4(0u), f, inside);
        factor = vec4(scale[own.x], scale[own.y], scale[own.z], scale[own.w]);
    }

    var rows: array<Edge, TAPS>;
    // unroll
    for (var y = 0u; y < TAPS; y++) {
        var row: array<vec4<f32>, TAPS>;
        // unroll
        for (var x = 0u; x < TAPS; x++) {
            let of_tap = at + (y * TAPS + x) * tap;
            let values = vec4(kernel[of_tap.x], kernel[of_tap.y], kernel[of_tap.z], kernel[of_tap.w]);
            row[x] = select(vec4(0.0), values * factor, inside);
        }
        rows[y] = of_kernel(row);
    }
    // unroll
    for (var x = 0u; x < EDGE; x++) {
        let column = of_kernel(array(rows[0][x], rows[1][x], rows[2][x]));
        // unroll
        for (var y = 0u; y < EDGE; y++) {
            store_four(((pair * EDGE + y) * EDGE + x) * fours + four, column[y]);
        }
    }
}
