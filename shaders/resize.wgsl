// Images enlarged or reduced: nearest, bilinear or bicubic.
//
// An image at another size, one vector of channels of one pixel per invocation:
//
//   output[n, oy, ox, c] = sum over i < TAPS_H, j < TAPS_W of  row_i.y · column_j.y · input[n, row_i.x, column_j.x, c],
//       row_i    = table[oy·TAPS_H + i]
//       column_j = table[out_h·TAPS_H + ox·TAPS_W + j]
//
// The table holds sources and weights, which the host has found in f64: coordinates are no matter of a shader's
// precision.
//
// Constants: LANES divides channels, and is 1 where the channels are first.
// Memory: TAPS_H·TAPS_W input vectors for each output vector; a pixel's channels read the same entries of the table.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Vec>;
@group(0) @binding(2) var<storage, read> table: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> output: array<Vec>;

const_assert LANES == 1u || CHANNELS_LAST;

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
    let place = image_place(item, vec3(params.out_h, params.out_w, params.channels / LANES));
    let in_size = vec3(params.in_h, params.in_w, params.channels / LANES);
    if TAPS_H == 1u && TAPS_W == 1u {
        // A copy, whatever the value: NaN and infinities times weights would be other values.
        let row = u32(table[place.y].x);
        let column = u32(table[params.out_h + place.z].x);
        output[item] = input[image_index(place.x, row, column, place.w, in_size)];
        return;
    }
    var sum = Acc(0.0);
    for (var i = 0u; i < TAPS_H; i++) {
        let row = table[place.y * TAPS_H + i];
        for (var j = 0u; j < TAPS_W; j++) {
            let column = table[params.out_h * TAPS_H + place.z * TAPS_W + j];
            let x = Acc(input[image_index(place.x, u32(row.x), u32(column.x), place.w, in_size)]);
            sum = fma(x, Acc(row.y * column.y), sum);
        }
    }
    output[item] = Vec(sum);
}
