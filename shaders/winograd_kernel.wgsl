// Winograd F(m×m, r×r), m = TILE and r = TAPS: the kernel's transform, with zeros for channels that fill up fours (weight
// packing).
//
// A kernel ready for the products of a Winograd convolution:
//
//   output[d, c, (group·EDGE² + y·EDGE + x)·padded_out + f] = (G tap_at(group, d, ·, ·, c, f) Gᵀ)[y, x]
//
// for c and f below the channels that are read and written, else 0, where padded_out fills the latter up to fours, and c
// runs over fours as well. Where SCALED, the taps of f are multiplied by scale[f] first. One d, one c, one group and four f
// per invocation, which `store_four` writes at once; runs once for a weight.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> kernel: array<Elem>;
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
    let fours = (written_channels() + 3u) / 4u;
    let four = item % fours;
    let pair = item / fours;
    let group = pair % GROUPS;
    let padded_in = (read_channels() + 3u) / 4u * 4u;
    let c = pair / GROUPS % padded_in;
    let d = pair / GROUPS / padded_in;
    let f = vec4(four * 4u) + vec4(0u, 1u, 2u, 3u);
    let inside = (f < vec4(written_channels())) & vec4(c < read_channels());
    let own = select(vec4(0u), f, inside);
    let read = select(0u, c, c < read_channels());
    var factor = vec4(1.0);
    if SCALED {
        factor = vec4(scale[own.x], scale[own.y], scale[own.z], scale[own.w]);
    }

    var rows: array<Edge, TAPS>;
    // unroll
    for (var y = 0u; y < TAPS; y++) {
        var row: Taps;
        // unroll
        for (var x = 0u; x < TAPS; x++) {
            row[x] = select(vec4(0.0), tap_at(group, d, y, x, read, own) * factor, inside);
        }
        rows[y] = of_kernel(row);
    }
    // unroll
    for (var x = 0u; x < EDGE; x++) {
        var line: Taps;
        // unroll
        for (var y = 0u; y < TAPS; y++) {
            line[y] = rows[y][x];
        }
        let column = of_kernel(line);
        // unroll
        for (var y = 0u; y < EDGE; y++) {
            store_four(((pair * EDGE + y) * EDGE + x) * fours + four, column[y]);
        }
    }
}
