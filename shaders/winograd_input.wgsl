// Winograd F(m×m, 3×3), m = TILE: a 3×3 convolution by fewer products, on transformed tiles.
//
// First of three launches of a Winograd convolution: tiles of the input, ready for the products.
//
//   output[tile, y·EDGE + x, c] = (B input[tile] Bᵀ)[y, x] of channel c
//
// where a tile is the EDGE × EDGE inputs that TILE × TILE outputs read, zero outside the input. One tile and four
// channels per invocation. The output's channels are filled up to fours.
//
// Memory: EDGE·EDGE vectors of four channels read and as many written for TILE·TILE outputs.

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
    let vectors = (params.in_c + 3u) / 4u;
    let tile = item / vectors;
    let vector = item % vectors;
    let place = tile_place(tile);
    let first_y = i32(place.y) - i32(params.pad_h);
    let first_x = i32(place.z) - i32(params.pad_w);
    let size = vec3(params.in_h, params.in_w, params.in_c);

    var values: array<vec4<f32>, PLACES>;
    // unroll
    for (var y = 0u; y < EDGE; y++) {
        let iy = first_y + i32(y);
        let row_inside = iy >= 0 && iy < i32(params.in_h);
        let row = select(0u, u32(iy), row_inside);
        var line: Edge;
        // unroll
        for (var x = 0u; x < EDGE; x++) {
            let ix = first_x + i32(x);
            let inside = row_inside && ix >= 0 && ix < i32(params.in_w);
            let position = image_index(place.x, row, select(0u, u32(ix), inside), 0u, size);
            line[x] = select(vec4(0.0), input_four(position, vector * 4u), inside);
        }
        line = of_input(line);
        // unroll
        for (var x = 0u; x < EDGE; x++) {
            values[y * EDGE + x] = line[x];
        }
    }
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
            output[(tile * PLACES + y * EDGE + x) * vectors + vector] = packed(line[y]);
        }
    }
}
