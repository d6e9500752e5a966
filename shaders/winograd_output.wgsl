// Winograd F(m×m, r×r), m = TILE and r = TAPS: back from products to outputs, and the epilogue.
//
// Last of three launches of a Winograd convolution: outputs from the products.
//
//   output[tile, group][f] = activate(bias[f] + Aᵀ input[tile, group, ·, f] A)
//
// where a tile is TILE × TILE outputs at one depth, of which those inside are stored, and input[tile, group, y·EDGE + x, f] are its
// EDGE × EDGE products, channels filled up to fours. One tile of a group and four channels per invocation.
//
// Memory: EDGE·EDGE vectors of four channels read for TILE·TILE written.

@group(0) @binding(0) var<uniform> params: Params;

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
    let vectors = (params.group_out + 3u) / 4u;
    let pair = item / vectors;
    let vector = item % vectors;
    let place = tile_place(pair / GROUPS);
    let group = pair % GROUPS;
    let channel = group * params.group_out + vector * 4u;

    let offset = bias_of_four(channel);
    // Places are sums of steps: products of whole numbers are slow on most GPUs.
    let read = pair * PLACES * vectors + vector;
    let first = place.x * params.out_height + place.y;
    var values: array<vec4<f32>, TILE * EDGE>;
    // unroll
    for (var x = 0u; x < EDGE; x++) {
        var line: Edge;
        // unroll
        for (var y = 0u; y < EDGE; y++) {
            line[y] = input_at(read + (y * EDGE + x) * vectors);
        }
        let column = of_products(line);
        // unroll
        for (var y = 0u; y < TILE; y++) {
            values[y * EDGE + x] = column[y];
        }
    }
    // unroll
    for (var y = 0u; y < TILE; y++) {
        var line: Edge;
        // unroll
        for (var x = 0u; x < EDGE; x++) {
            line[x] = values[y * EDGE + x];
        }
        let finished = of_products(line);
        for (var x = 0u; x < TILE; x++) {
            if place.y + y < params.out_height && place.z + x < params.out_w {
                finish_four(output_place(first + y, place.z + x, group), channel, finished[x] + offset);
            }
        }
    }
}
