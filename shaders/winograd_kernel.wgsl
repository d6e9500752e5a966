// Winograd F(m×m, 3×3), m = TILE: the kernel's transform, with zeros for channels that fill up fours (weight packing).
//
// A 3×3 kernel in Keras's order, ready for the products of a Winograd convolution:
//
//   output[c, (y·EDGE + x)·padded_out + f] = (G kernel[·, ·, c, f] Gᵀ)[y, x]    for c < in_c and f < out_c, else 0
//
// where padded_out fills the output channels up to fours, and c runs over fours as well. One c and f per invocation;
// runs once for a weight.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> kernel: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;

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
    let padded_out = (params.group_out + 3u) / 4u * 4u;
    let f = item % padded_out;
    let c = item / padded_out;
    let inside = c < params.group_in && f < params.group_out;
    let at = select(0u, c * params.group_out + f, inside);
    let tap = params.group_in * params.group_out;

    var rows: array<array<f32, EDGE>, 3>;
    for (var y = 0u; y < 3u; y++) {
        let first = at + y * 3u * tap;
        let row = vec3(kernel[first], kernel[first + tap], kernel[first + 2u * tap]);
        rows[y] = of_kernel(select(vec3(0.0), row, inside));
    }
    for (var x = 0u; x < EDGE; x++) {
        let column = of_kernel(vec3(rows[0][x], rows[1][x], rows[2][x]));
        for (var y = 0u; y < EDGE; y++) {
            output[((c * EDGE + y) * EDGE + x) * padded_out + f] = column[y];
        }
    }
}
