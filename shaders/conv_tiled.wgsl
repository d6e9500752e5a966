// Convolution as an implicit matrix product, one tile of TILE pixels by TILE output channels per workgroup:
//
//   output[p, f] = activate(bias[f] + sum over taps, j of input[pixel p at tap, g·group_in + j] · kernel[tap, j, f])
//
// For each tap and each DEPTH input channels the workgroup stages both operands in workgroup memory, pixels transposed so
// that four neighbouring ones are a vector; an invocation then multiplies 4 pixels by 4 channels out of it. Taps outside
// the input are staged as zero. The tile of channels never leaves a group.
//
// Constants: TILE is 32 or 64; the workgroup has TILE/4 × TILE/4 invocations; DEPTH is a multiple of 4 and
// TILE·DEPTH/4 a multiple of the invocations or less than them.
// Memory: TILE·DEPTH values of either operand are read once per step for TILE·TILE·DEPTH multiply-adds. The kernel is
// packed: channels of a group in fours on either side.

@group(0) @binding(0) var<uniform> params: Params;

const SIDE: u32 = TILE / 4u;
const INVOCATIONS: u32 = SIDE * SIDE;
const_assert DEPTH % 4u == 0u;

/// Input values, four neighbouring pixels together: channel k of the step, pixels 4q to 4q + 3 at k·SIDE + q.
var<workgroup> pixels: array<vec4<f32>, DEPTH * SIDE>;
/// Kernel values, four neighbouring output channels together, in the same order.
var<workgroup> rows: array<vec4<f32>, DEPTH * SIDE>;

@compute @workgroup_size(SIDE, SIDE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tile = workgroup_index(workgroup, workgroups);
    if tile >= params.items {
        return;
    }
    let pixel_tiles = (pixel_count() + TILE - 1u) / TILE;
    let vector_tiles = (group_vectors() + SIDE - 1u) / SIDE;
    let first_pixel = tile % pixel_tiles * TILE;
    let group = tile / pixel_tiles / vector_tiles;
    let first_vector = tile / pixel_tiles % vector_tiles * SIDE;

    var sum_0 = vec4(0.0);
    var sum_1 = vec4(0.0);
    var sum_2 = vec4(0.0);
    var sum_3 = vec4(0.0);
    for (var ky = 0u; ky < KERNEL_H; ky++) {
        for (var kx = 0u; kx < KERNEL_W; kx++) {
            for (var start = 0u; start < padded_in(); start += DEPTH) {
                workgroupBarrier();
                // Each invocation brings four channels of one pixel, and spreads them over four rows.
                for (var at = invocation; at < TILE * DEPTH / 4u; at += INVOCATIONS) {
                    let pixel = at / (DEPTH / 4u);
                    let k = at % (DEPTH / 4u) * 4u;
                    let four = staged_pixel(first_pixel + pixel, ky, kx, group, start + k);
                    let to = k * SIDE + pixel / 4u;
                    pixels[to][pixel % 4u] = four.x;
                    pixels[to + SIDE][pixel % 4u] = four.y;
                    pixels[to + 2u * SIDE][pixel % 4u] = four.z;
                    pixels[to + 3u * SIDE][pixel % 4u] = four.w;
                }
                for (var at = invocation; at < SIDE * DEPTH; at += INVOCATIONS) {
                    rows[at] = staged_row(first_vector + at % SIDE, ky, kx, group, start + at / SIDE);
                }
                workgroupBarrier();
                for (var k = 0u; k < DEPTH; k++) {
                    let four = pixels[k * SIDE + local.y];
                    let row = rows[k * SIDE + local.x];
                    sum_0 = fma(vec4(four.x), row, sum_0);
                    sum_1 = fma(vec4(four.y), row, sum_1);
                    sum_2 = fma(vec4(four.z), row, sum_2);
                    sum_3 = fma(vec4(four.w), row, sum_3);
                }
            }
        }
    }
    let vector = first_vector + local.x;
    let pixel = first_pixel + local.y * 4u;
    let channel = group * params.group_out + vector * 4u;
    if vector < group_vectors() {
        let offset = bias_of_four(channel);
        if pixel < pixel_count() {
            finish_four(pixel, channel, sum_0 + offset);
        }
        if pixel + 1u < pixel_count() {
            finish_four(pixel + 1u, channel, sum_1 + offset);
        }
        if pixel + 2u < pixel_count() {
            finish_four(pixel + 2u, channel, sum_2 + offset);
        }
        if pixel + 3u < pixel_count() {
            finish_four(pixel + 3u, channel, sum_3 + offset);
        }
    }
}
