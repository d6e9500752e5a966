// Winograd F(m×m, 3×3), m = TILE, backwards: what comes back to the products of a tile, of what comes back to its outputs.
//
// The second launch of a kernel's gradient:
//
//   output[tile, y·EDGE + x, f] = (A gradient[tile] Aᵀ)[y, x] of channel f
//
// where a tile is TILE × TILE outputs, zero beyond the last, and A is the transpose of the transform of products to outputs. One
// tile and four channels per invocation; channels come in fours.
//
// Constants: TILE, outputs of a tile along one axis; EDGE, its inputs and its products.
//
// Memory: TILE·TILE vectors of four channels read for EDGE·EDGE written.

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
    let vectors = params.in_c / 4u;
    let tile = item / vectors;
    let vector = item % vectors;
    let place = tile_place(tile);
    let size = vec3(params.in_h, params.in_w, params.in_c);

    var values: array<vec4<f32>, TILE * EDGE>;
    // unroll
    for (var y = 0u; y < TILE; y++) {
        var line: array<vec4<f32>, TILE>;
        // unroll
        for (var x = 0u; x < TILE; x++) {
            let inside = place.y + y < params.in_h && place.z + x < params.in_w;
            let position = image_index(place.x, place.y + y, place.z + x, 0u, size);
            line[x] = select(vec4(0.0), input_four(select(0u, position, inside), vector * 4u), inside);
        }
        let spread = back_to_products(line);
        // unroll
        for (var x = 0u; x < EDGE; x++) {
            values[y * EDGE + x] = spread[x];
        }
    }
    let written = tile * PLACES * vectors + vector;
    // unroll
    for (var x = 0u; x < EDGE; x++) {
        var column: array<vec4<f32>, TILE>;
        // unroll
        for (var y = 0u; y < TILE; y++) {
            column[y] = values[y * EDGE + x];
        }
        let spread = back_to_products(column);
        // unroll
        for (var y = 0u; y < EDGE; y++) {
            output[written + (y * EDGE + x) * vectors] = stored(spread[y]);
        }
    }
}
