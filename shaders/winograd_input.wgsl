// Winograd F(m×m, r×r), m = TILE and r = TAPS: a convolution by fewer products, on transformed tiles.
//
// The first launch of a Winograd convolution, and of a kernel's gradient: tiles of the input, ready for the products.
//
//   output[tile, group, y·EDGE + x, c] = (B input[tile, group] Bᵀ)[y, x] of channel c
//
// where a tile is the EDGE × EDGE inputs at one depth that TILE × TILE outputs of a group read, zero outside the input. One
// tile of a group and four channels per invocation. The output's channels are filled up to fours.
//
// Memory: EDGE·EDGE vectors of four channels read and as many written for TILE·TILE outputs.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> output: array<Sum>;

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
    let vectors = (params.in_c + 3u) / 4u;
    let pair = item / vectors;
    let vector = item % vectors;
    let place = tile_place(pair / GROUPS);
    // Places are sums of steps: products of whole numbers are slow
    // on most GPUs.
    let first = tile_read(place.yz, pair % GROUPS);
    let size = vec3(params.in_h, params.in_w, params.in_c);
    let above = place.x % params.in_d * params.in_height;
    let down = image_index(0u, 1u, 0u, 0u, size);
    let across = image_index(0u, 0u, 1u, 0u, size);
    var row = image_index(place.x / params.in_d, above + first.x, first.y, 0u, size);

    var values: array<vec4<f32>, PLACES>;
    // unroll
    for (var y = 0u; y < EDGE; y++) {
        var position = row;
        var line: Edge;
        // unroll
        for (var x = 0u; x < EDGE; x++) {
            let inside = first.x + y < params.in_height && first.y + x < params.in_w;
            line[x] = select(vec4(0.0), input_four(select(0u, position, inside), vector * 4u), inside);
            position += across;
        }
        line = of_input(line);
        // unroll
        for (var x = 0u; x < EDGE; x++) {
            values[y * EDGE + x] = line[x];
        }
        row += down;
    }
    let written = pair * PLACES * vectors + vector;
    // unroll
    for (var x = 0u; x < EDGE; x++) {
        var line: Edge;
        // unroll
        for (var y = 0u; y < EDGE; y++) {
            line[y] = values[y * EDGE + x];
        }
        line = of_input(line);
        // unroll
        for (var y = 0u; y < EDGE; y++) {
            output[written + (y * EDGE + x) * vectors] = stored(line[y]);
        }
    }
}
