// The convolution for most layers on a GPU. A convolution is the product of a matrix of windows, a row for each output
// pixel, and the kernel, a column for each output channel. im2col would write the matrix of windows out; here its
// elements are found when a tile of it is staged.
//
// Convolution as an implicit matrix product (implicit GEMM), a tile of PIXEL_TILE pixels by VECTOR_TILE vectors of four
// output channels per workgroup:
//
//   output[p, f] = activate(bias[f] + sum over taps, j of input[pixel p at tap, g·group_in + j] · kernel[tap, j, f])
//
// For each tap and each DEPTH input channels the workgroup stages both operands in workgroup memory; an invocation then
// multiplies PIXELS pixels by VECTORS vectors of channels out of it, in registers (its register tile). Taps outside the
// input are staged as zero. The tile of channels never leaves a group.
//
// What does not change from step to step is computed once: where the windows of the pixels that an invocation stages
// begin. They walk from tap to tap by additions, for integer products and divisions take several times as long on most
// GPUs. No load stands behind a branch, so that all of a step are under way together: those outside the input or the
// kernel read what the device gives there, and zero is staged in its place.
//
// Both arrays of workgroup memory have a level for each part of an index that the compiler knows. It then tests only the
// part that it does not know, once for all loads, and the rest is an offset within the instruction that loads.
//
// Products are summed in runs of RUN_TAPS taps, or of RUN_DEPTH channels of one, and then the runs (blocked summation).
//
// Constants: FOURS = DEPTH/4, of which SPELLED are spelled out in a row; the workgroup has VECTOR_TILE/VECTORS ×
// PIXEL_TILE/PIXELS invocations, each of which stages STAGED_PIXELS vectors of four input channels and STAGED_ROWS
// vectors of the kernel; SUMS = PIXELS·VECTORS; DEPTH divides RUN_DEPTH; CLOSES is whether there is more than one run;
// FULL is whether the channels of a group fill every step, INSIDE whether besides every tap lies inside the input: then
// nothing is staged as zero.
// Memory: (PIXEL_TILE + 4·VECTOR_TILE)·DEPTH values are read once per step for 4·PIXEL_TILE·VECTOR_TILE·DEPTH
// multiply-adds; of workgroup memory PIXELS + 4·VECTORS vectors for 16·PIXELS·VECTORS of them. The kernel is packed:
// channels of a group in fours on either side.

@group(0) @binding(0) var<uniform> params: Params;

const COLUMNS: u32 = VECTOR_TILE / VECTORS;
const LINES: u32 = PIXEL_TILE / PIXELS;
const INVOCATIONS: u32 = COLUMNS * LINES;
const DEPTH: u32 = 4u * FOURS;
const_assert STAGED_PIXELS * INVOCATIONS == PIXEL_TILE * FOURS;
const_assert STAGED_ROWS * INVOCATIONS == VECTOR_TILE * DEPTH;
const_assert SUMS == PIXELS * VECTORS;
const_assert FOURS % SPELLED == 0u;

/// Input values: four channels of a pixel together, of the pixels that are an invocation's first, and so on. An odd number of
/// vectors for each pixel spreads neighbouring pixels over the banks of the memory.
var<workgroup> pixels: array<array<array<vec4<f32>, FOURS | 1u>, LINES>, PIXELS>;
/// Kernel values: four output channels together, for each input channel of the step, of the vectors that are an
/// invocation's first, and so on.
var<workgroup> rows: array<array<array<vec4<f32>, COLUMNS>, VECTORS>, DEPTH>;

@compute @workgroup_size(COLUMNS, LINES)
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
    let pixel_tiles = (pixel_count() + PIXEL_TILE - 1u) / PIXEL_TILE;
    let vector_tiles = (group_vectors() + VECTOR_TILE - 1u) / VECTOR_TILE;
    let first_pixel = tile % pixel_tiles * PIXEL_TILE;
    let group = tile / pixel_tiles / vector_tiles;
    let first_vector = tile / pixel_tiles % vector_tiles * VECTOR_TILE;

    // The first row and column of each staged window, those before the input as numbers beyond its last, and where it lies.
    let size = vec3(params.in_h, params.in_w, params.in_c);
    let staged_four = invocation % FOURS * 4u;
    var corners: array<First, STAGED_PIXELS>;
    var columns: array<u32, STAGED_PIXELS>;
    var positions: array<u32, STAGED_PIXELS>;
    // unroll
    for (var s = 0u; s < STAGED_PIXELS; s++) {
        let window = window_of(first_pixel + (invocation + s * INVOCATIONS) / FOURS, group);
        corners[s] = window.first;
        columns[s] = window.column;
        positions[s] = image_index(window.image, row_base(window.first), window.column, 0u, size);
    }
    let stride = row_stride();
    let last_vector = group_vectors() - 1u;
    let staged_row = invocation / VECTOR_TILE;
    var row_at = staged_row * stride + group * group_vectors() + min(first_vector + invocation % VECTOR_TILE, last_vector);

    var sums: array<vec4<f32>, SUMS>;
    var totals: array<vec4<f32>, SUMS>;
    // unroll
    for (var i = 0u; i < SUMS; i++) {
        sums[i] = vec4(0.0);
        totals[i] = vec4(0.0);
    }
    var walked = 0u;
    let blocks = (padded_in() + RUN_DEPTH - 1u) / RUN_DEPTH;
    for (var run = 0u; run < KERNEL_ROWS * KERNEL_W * blocks; run += RUN_TAPS) {
        for (var t = run; t < min(run + RUN_TAPS, KERNEL_ROWS * KERNEL_W * blocks); t++) {
            let tap = t / blocks;
            let block = (t - tap * blocks) * RUN_DEPTH;
            let k = tap / KERNEL_W;
            let kx = tap % KERNEL_W;
            let moved = image_index(0u, rows_down(k), kx * DILATION_W, 0u, size);
            // The channels that a staged pixel has at this tap: none outside the input.
            var channels: array<u32, STAGED_PIXELS>;
            // unroll
            for (var s = 0u; s < STAGED_PIXELS; s++) {
                positions[s] += moved - walked;
                let inside = row_of(corners[s], k) < size.x && columns[s] + kx * DILATION_W < size.y;
                channels[s] = select(0u, params.group_in, inside);
            }
            walked = moved;
            for (var start = block; start < min(block + RUN_DEPTH, padded_in()); start += DEPTH) {
                workgroupBarrier();
                let channel = start + staged_four;
                // unroll
                for (var s = 0u; s < STAGED_PIXELS; s++) {
                    let four = input_four(positions[s], first_channel_of(group) + channel);
                    let pixel = (invocation + s * INVOCATIONS) / FOURS;
                    pixels[pixel / LINES][pixel % LINES][invocation % FOURS] =
                        select(vec4(0.0), four, INSIDE | (channel < channels[s]));
                }
                // unroll
                for (var s = 0u; s < STAGED_ROWS; s++) {
                    let within = start + staged_row + s * (INVOCATIONS / VECTOR_TILE) < padded_in();
                    let row = kernel_at(row_at + s * (INVOCATIONS / VECTOR_TILE) * stride);
                    let column = invocation % VECTOR_TILE;
                    rows[staged_row + s * (INVOCATIONS / VECTOR_TILE)][column / COLUMNS][column % COLUMNS] =
                        select(vec4(0.0), row, FULL | within);
                }
                row_at += min(DEPTH, padded_in() - start) * stride;
                workgroupBarrier();
                for (var first = 0u; first < FOURS; first += SPELLED) {
                    // unroll
                    for (var f = 0u; f < SPELLED; f++) {
                        var fours: array<vec4<f32>, PIXELS>;
                        // unroll
                        for (var p = 0u; p < PIXELS; p++) {
                            fours[p] = pixels[p][local.y][first + f];
                        }
                        // unroll
                        for (var v = 0u; v < VECTORS; v++) {
                            let k = 4u * (first + f);
                            let row_0 = rows[k][v][local.x];
                            let row_1 = rows[k + 1u][v][local.x];
                            let row_2 = rows[k + 2u][v][local.x];
                            let row_3 = rows[k + 3u][v][local.x];
                            // unroll
                            for (var p = 0u; p < PIXELS; p++) {
                                let xy =
                                    fma(vec4(fours[p].y), row_1, fma(vec4(fours[p].x), row_0, sums[v * PIXELS + p]));
                                sums[v * PIXELS + p] = fma(vec4(fours[p].w), row_3, fma(vec4(fours[p].z), row_2, xy));
                            }
                        }
                    }
                }
            }
        }
        if CLOSES {
            // unroll
            for (var i = 0u; i < SUMS; i++) {
                totals[i] += sums[i];
                sums[i] = vec4(0.0);
            }
        }
    }
    // unroll
    for (var v = 0u; v < VECTORS; v++) {
        let vector = first_vector + local.x + v * COLUMNS;
        if vector <= last_vector {
            let channel = group * params.group_out + vector * 4u;
            let offset = bias_of_four(channel);
            // unroll
            for (var p = 0u; p < PIXELS; p++) {
                finish(first_pixel + local.y + p * LINES, group, channel, totals[v * PIXELS + p] + sums[v * PIXELS + p] + offset);
            }
        }
    }
}

fn finish(pixel: u32, group: u32, channel: u32, sum: vec4<f32>) {
    if pixel < pixel_count() {
        finish_four(pixel_place(pixel, group), channel, sum);
    }
}
