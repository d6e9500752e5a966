// The convolution for matrix units (tensor cores), which multiply small matrices in one instruction: implicit GEMM in
// f16.
//
// Convolution as an implicit matrix product of f16 by the adapter's matrix units, which sum in f32: one tile of TILE
// pixels by TILE output channels per workgroup, where TILE = EDGE·WIDE·SIDE:
//
//   output[p, f] = activate(bias[f] + sum over taps, j of input[pixel p at tap, g·group_in + j] · kernel[tap, j, f])
//
// For each tap and each DEPTH = EDGE·STEPS input channels the workgroup stages both operands in workgroup memory; each
// of its SIDE × SIDE subgroups then multiplies WIDE × WIDE cooperative matrices of EDGE × EDGE out of it. The sums
// leave through workgroup memory too, a matrix of each subgroup at a time, since only there can an invocation tell
// which is which. Taps outside the input are staged as zero, and so are channels beyond the group. The tile never
// leaves a group. Pixels are counted last, so that a workgroup beyond the last tile has none and stores nothing: no
// invocation may return before the matrices are done with.
//
// Constants: EDGE is 8 or 16; Left, Right and Sums are the three matrices of that edge; SUBGROUP is the adapter's only
// subgroup size. Matrices begin at multiples of 16 bytes, and so do their rows, as Vulkan demands.
// Memory: TILE·DEPTH values of either operand are read once per step for TILE·TILE·DEPTH multiply-adds, and WIDE times
// from workgroup memory. The kernel is packed: channels of a group in fours on either side.

@group(0) @binding(0) var<uniform> params: Params;

const TILE: u32 = EDGE * WIDE * SIDE;
const DEPTH: u32 = EDGE * STEPS;
const INVOCATIONS: u32 = SUBGROUP * SIDE * SIDE;
/// Values from one staged row to the next: 16 bytes more than there are, so that rows lie in different banks.
const PIXEL_RUN: u32 = DEPTH + 8u;
const ROW_RUN: u32 = TILE + 8u;
const MATRIX: u32 = EDGE * EDGE;
const_assert EDGE == 8u || EDGE == 16u;

/// Input values: channel k of the step for pixel p of the tile at p·PIXEL_RUN + k.
var<workgroup> pixels: array<f16, TILE * PIXEL_RUN>;
/// Kernel values: channel k of the step for output channel f of the tile at k·ROW_RUN + f.
var<workgroup> rows: array<f16, DEPTH * ROW_RUN>;
/// One matrix of sums of each subgroup, pixel by pixel.
var<workgroup> leaving: array<f32, SIDE * SIDE * MATRIX>;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let tile = workgroup_index(workgroup, workgroups);
    let vector_tiles = (group_vectors() + TILE / 4u - 1u) / (TILE / 4u);
    let first_vector = tile % vector_tiles * (TILE / 4u);
    let group = tile / vector_tiles % params.groups;
    let first_pixel = tile / vector_tiles / params.groups * TILE;
    // Where the subgroup's part of the tile begins: its first pixel and output channel.
    let own = vec2(subgroup / SIDE, subgroup % SIDE) * EDGE * WIDE;

    var sums: array<Sums, WIDE * WIDE>;
    for (var row = 0u; row < KERNEL_ROWS; row++) {
        for (var kx = 0u; kx < KERNEL_W; kx++) {
            for (var start = 0u; start < params.group_in; start += DEPTH) {
                workgroupBarrier();
                for (var at = invocation; at < TILE * DEPTH / 4u; at += INVOCATIONS) {
                    let pixel = at / (DEPTH / 4u);
                    let k = at % (DEPTH / 4u) * 4u;
                    let four = vec4<f16>(staged_pixel(first_pixel + pixel, row, kx, group, start + k));
                    let to = pixel * PIXEL_RUN + k;
                    pixels[to] = four.x;
                    pixels[to + 1u] = four.y;
                    pixels[to + 2u] = four.z;
                    pixels[to + 3u] = four.w;
                }
                for (var at = invocation; at < TILE * DEPTH / 4u; at += INVOCATIONS) {
                    let vector = at % (TILE / 4u);
                    let k = at / (TILE / 4u);
                    let four = vec4<f16>(staged_row(first_vector + vector, row, kx, group, start + k));
                    let to = k * ROW_RUN + vector * 4u;
                    rows[to] = four.x;
                    rows[to + 1u] = four.y;
                    rows[to + 2u] = four.z;
                    rows[to + 3u] = four.w;
                }
                workgroupBarrier();
                for (var k = 0u; k < DEPTH; k += EDGE) {
                    var right: array<Right, WIDE>;
                    // unroll
                    for (var x = 0u; x < WIDE; x++) {
                        right[x] = coopLoadT<Right>(&rows[k * ROW_RUN + own.y + x * EDGE], ROW_RUN);
                    }
                    // unroll
                    for (var y = 0u; y < WIDE; y++) {
                        let left = coopLoadT<Left>(&pixels[(own.x + y * EDGE) * PIXEL_RUN + k], PIXEL_RUN);
                        // unroll
                        for (var x = 0u; x < WIDE; x++) {
                            sums[y * WIDE + x] = coopMultiplyAdd(left, right[x], sums[y * WIDE + x]);
                        }
                    }
                }
            }
        }
    }
    // unroll
    for (var y = 0u; y < WIDE; y++) {
        // unroll
        for (var x = 0u; x < WIDE; x++) {
            workgroupBarrier();
            coopStoreT(sums[y * WIDE + x], &leaving[subgroup * MATRIX], EDGE);
            workgroupBarrier();
            finish_matrix(first_pixel + own.x + y * EDGE, first_vector + (own.y + x * EDGE) / 4u, group, subgroup, lane);
        }
    }
}

/// Finishes the sums that `subgroup` has left, those of pixel `first_pixel` and vector `first_vector` of `group` first.
fn finish_matrix(first_pixel: u32, first_vector: u32, group: u32, subgroup: u32, lane: u32) {
    for (var at = lane; at < MATRIX / 4u; at += SUBGROUP) {
        let pixel = first_pixel + at / (EDGE / 4u);
        let vector = first_vector + at % (EDGE / 4u);
        if pixel < pixel_count() && vector < group_vectors() {
            let start = subgroup * MATRIX + at * 4u;
            let four = vec4(leaving[start], leaving[start + 1u], leaving[start + 2u], leaving[start + 3u]);
            let channel = group * params.group_out + vector * 4u;
            finish_four(pixel_place(pixel, group), channel, four + bias_of_four(channel));
        }
    }
}
