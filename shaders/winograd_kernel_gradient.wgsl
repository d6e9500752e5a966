// Winograd F(m×m, 3×3), m = TILE, backwards: the kernel's gradient, of that of the transformed kernel.
//
// The last launch of a kernel's gradient:
//
//   output[·, ·, c, f] = Gᵀ input[c, ·, f] G
//
// where input[c, y·EDGE + x, f] is the gradient of place (y, x) of the transformed kernel, and G its transform. One c and four f
// per invocation; channels come in fours.
//
// Constants: TAPS of a kernel along one axis; EDGE, products of a tile.
//
// Memory: EDGE·EDGE vectors read for 9 written.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> output: array<Vec>;

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
    let vectors = params.out_c / 4u;
    let read = item / vectors * (EDGE * EDGE) * vectors + item % vectors;

    var rows: array<Taps, EDGE>;
    // unroll
    for (var y = 0u; y < EDGE; y++) {
        var line: Edge;
        // unroll
        for (var x = 0u; x < EDGE; x++) {
            line[x] = input_at(read + (y * EDGE + x) * vectors);
        }
        rows[y] = back_to_kernel(line);
    }
    // unroll
    for (var x = 0u; x < TAPS; x++) {
        var column: Edge;
        // unroll
        for (var y = 0u; y < EDGE; y++) {
            column[y] = rows[y][x];
        }
        let taps = back_to_kernel(column);
        // unroll
        for (var y = 0u; y < TAPS; y++) {
            output[(y * TAPS + x) * params.items + item] = packed(taps[y]);
        }
    }
}
