// The convolution for GPUs to which workgroup memory is no gain: on those of Qualcomm, ARM and Imagination it lies in the same
// caches as everything else, and older ones of Intel are quicker without its barriers.
//
// Convolution as an implicit matrix product (implicit GEMM), a register tile of PIXELS pixels by VECTORS vectors of four output
// channels per invocation, with both operands straight from memory:
//
//   output[p, f] = activate(bias[f] + sum over taps, j of input[pixel p at tap, g·group_in + j] · kernel[tap, j, f])
//
// Invocations come in rows of WIDE that read the same pixels and neighbouring channels, and rows one after another read
// neighbouring pixels and the same channels: what one loads is in the nearest cache for the others. Where the windows of
// its pixels begin is computed once, and a step adds to it. No load stands behind a branch: those outside the input read
// what the device gives there, and count as zero.
//
// Products are summed in runs of RUN_TAPS taps, or of RUN_DEPTH channels of one, and then the runs (blocked summation).
//
// Constants: SUMS = PIXELS·VECTORS; CLOSES is whether there is more than one run.
// Memory: PIXELS + 4·VECTORS vectors are loaded for 16·PIXELS·VECTORS multiply-adds, of which WIDE invocations share the
// first, and as many rows as run together the others. The kernel is packed: channels of a group in fours on either side.

@group(0) @binding(0) var<uniform> params: Params;

const_assert SUMS == PIXELS * VECTORS;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let item = workgroup_index(workgroup, workgroups) * WORKGROUP + invocation;
    let pixel_tiles = (pixel_count() + PIXELS - 1u) / PIXELS;
    let vector_tiles = (group_vectors() + VECTORS * WIDE - 1u) / (VECTORS * WIDE);
    let tile = item / WIDE;
    let first_pixel = tile % pixel_tiles * PIXELS;
    let group = tile / pixel_tiles / vector_tiles;
    let first_vector = tile / pixel_tiles % vector_tiles * VECTORS * WIDE + item % WIDE;
    let last_vector = group_vectors() - 1u;
    if item >= params.items || first_vector > last_vector {
        return;
    }

    // The first row and column of each window, those before the input as numbers beyond its last, and where it lies.
    let size = vec3(params.in_h, params.in_w, params.in_c);
    var corners: array<First, PIXELS>;
    var columns: array<u32, PIXELS>;
    var positions: array<u32, PIXELS>;
    // unroll
    for (var p = 0u; p < PIXELS; p++) {
        let window = window_of(first_pixel + p, group);
        corners[p] = window.first;
        columns[p] = window.column;
        positions[p] = image_index(window.image, row_base(window.first), window.column, 0u, size);
    }
    let stride = row_stride();
    var vectors: array<u32, VECTORS>;
    // unroll
    for (var v = 0u; v < VECTORS; v++) {
        vectors[v] = group * group_vectors() + min(first_vector + v * WIDE, last_vector);
    }

    var sums: array<vec4<f32>, SUMS>;
    var totals: array<vec4<f32>, SUMS>;
    // unroll
    for (var i = 0u; i < SUMS; i++) {
        sums[i] = vec4(0.0);
        totals[i] = vec4(0.0);
    }
    let blocks = (padded_in() + RUN_DEPTH - 1u) / RUN_DEPTH;
    for (var run = 0u; run < KERNEL_ROWS * KERNEL_W * blocks; run += RUN_TAPS) {
        for (var t = run; t < min(run + RUN_TAPS, KERNEL_ROWS * KERNEL_W * blocks); t++) {
            let tap = t / blocks;
            let block = (t - tap * blocks) * RUN_DEPTH;
            let k = tap / KERNEL_W;
            let kx = tap % KERNEL_W;
            let moved = image_index(0u, rows_down(k), kx * DILATION_W, 0u, size);
            // The channels that a pixel has at this tap: none outside the input.
            var channels: array<u32, PIXELS>;
            // unroll
            for (var p = 0u; p < PIXELS; p++) {
                let inside = row_of(corners[p], k) < size.x && columns[p] + kx * DILATION_W < size.y;
                channels[p] = select(0u, params.group_in, inside);
            }
            var row = (tap * padded_in() + block) * stride;
            for (var j = block; j < min(block + RUN_DEPTH, padded_in()); j += 4u) {
                var fours: array<vec4<f32>, PIXELS>;
                // unroll
                for (var p = 0u; p < PIXELS; p++) {
                    let four = input_four(positions[p] + moved, first_channel_of(group) + j);
                    fours[p] = select(vec4(0.0), four, j < channels[p]);
                }
                // unroll
                for (var v = 0u; v < VECTORS; v++) {
                    let at = row + vectors[v];
                    let rows = Rows(
                        kernel_at(at), kernel_at(at + stride), kernel_at(at + 2u * stride), kernel_at(at + 3u * stride)
                    );
                    // unroll
                    for (var p = 0u; p < PIXELS; p++) {
                        sums[v * PIXELS + p] = multiply_add(sums[v * PIXELS + p], fours[p], rows);
                    }
                }
                row += 4u * stride;
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
        let vector = first_vector + v * WIDE;
        if vector <= last_vector {
            let channel = group * params.group_out + vector * 4u;
            let offset = bias_of_four(channel);
            // unroll
            for (var p = 0u; p < PIXELS; p++) {
                finish(first_pixel + p, group, channel, totals[v * PIXELS + p] + sums[v * PIXELS + p] + offset);
            }
        }
    }
}

fn finish(pixel: u32, group: u32, channel: u32, sum: vec4<f32>) {
    if pixel < pixel_count() {
        finish_four(pixel_place(pixel, group), channel, sum);
    }
}
