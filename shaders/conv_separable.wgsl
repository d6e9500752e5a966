// A depthwise convolution and the pointwise one behind it in one launch (operator fusion): what lies between them stays
// in workgroup memory and is never written to the device's memory.
//
// Separable convolution, a tile of PIXELS pixels by 4·COLUMNS·VECTORS output channels per workgroup:
//
//   output[p, f] = activate(bias[f] + sum over j of pixel[p, j] · kernel[j, f])
//
// where `lib/pixels_depthwise.wgsl` has the formula of the pixels. For each COLUMNS input channels the workgroup
// computes the pixels of its tile into workgroup memory, a vector of four channels per invocation; an invocation then
// multiplies 4 pixels by VECTORS vectors of channels out of it. What is between the two convolutions goes no further,
// and is computed once where one tile has all output channels.
//
// Constants: SUMS = 4·VECTORS; PIXELS is a multiple of 4; COLUMNS divides RUN_DEPTH; CLOSES is whether there is more than one
// run; the workgroup has COLUMNS × PIXELS/4 invocations.
// Memory, for each COLUMNS input channels: per invocation one vector of the input for each tap, most of them its
// neighbours' as well, and VECTORS·COLUMNS vectors of the kernel, the same for all PIXELS/4 rows of invocations, for
// 16·VECTORS·COLUMNS multiply-adds.

@group(0) @binding(0) var<uniform> params: Params;

const ROWS: u32 = PIXELS / 4u;
const_assert PIXELS % 4u == 0u;

/// Values between the convolutions: four channels of a pixel together. An odd number of vectors for each pixel spreads
/// neighbouring pixels over the banks of the memory.
var<workgroup> between: array<array<vec4<f32>, COLUMNS / 4u | 1u>, PIXELS>;

@compute @workgroup_size(COLUMNS, ROWS)
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
    let pixel_tiles = (pixel_count() + PIXELS - 1u) / PIXELS;
    let first_pixel = tile % pixel_tiles * PIXELS;
    let first_vector = tile / pixel_tiles * COLUMNS * VECTORS + local.x;
    let last_vector = group_vectors() - 1u;

    // Neighbouring invocations bring neighbouring channels.
    let brought = invocation / (COLUMNS / 4u);
    let k = invocation % (COLUMNS / 4u) * 4u;
    let pixel = pixel_of(window_of(first_pixel + brought, 0u), 0u, 0u);

    // Products are summed in runs of RUN_DEPTH channels, and then the runs (blocked summation).
    var sums: array<vec4<f32>, SUMS>;
    var totals: array<vec4<f32>, SUMS>;
    // unroll
    for (var i = 0u; i < SUMS; i++) {
        sums[i] = vec4(0.0);
        totals[i] = vec4(0.0);
    }
    for (var block = 0u; block < params.in_c; block += RUN_DEPTH) {
        for (var start = block; start < min(block + RUN_DEPTH, params.in_c); start += COLUMNS) {
            workgroupBarrier();
            if start + k < params.in_c {
                between[brought][k / 4u] = pixel_four(pixel, start + k);
            }
            workgroupBarrier();
            for (var j = 0u; j < min(COLUMNS, params.in_c - start); j += 4u) {
                let first = between[4u * local.y][j / 4u];
                let second = between[4u * local.y + 1u][j / 4u];
                let third = between[4u * local.y + 2u][j / 4u];
                let fourth = between[4u * local.y + 3u][j / 4u];
                // unroll
                for (var v = 0u; v < VECTORS; v++) {
                    let rows = rows_at(0u, start + j, min(first_vector + v * COLUMNS, last_vector));
                    sums[4u * v] = multiply_add(sums[4u * v], first, rows);
                    sums[4u * v + 1u] = multiply_add(sums[4u * v + 1u], second, rows);
                    sums[4u * v + 2u] = multiply_add(sums[4u * v + 2u], third, rows);
                    sums[4u * v + 3u] = multiply_add(sums[4u * v + 3u], fourth, rows);
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
        let vector = first_vector + v * COLUMNS;
        if vector <= last_vector {
            let at = first_pixel + 4u * local.y;
            let offset = bias_of_four(4u * vector);
            finish(at, vector, totals[4u * v] + sums[4u * v] + offset);
            finish(at + 1u, vector, totals[4u * v + 1u] + sums[4u * v + 1u] + offset);
            finish(at + 2u, vector, totals[4u * v + 2u] + sums[4u * v + 2u] + offset);
            finish(at + 3u, vector, totals[4u * v + 3u] + sums[4u * v + 3u] + offset);
        }
    }
}

fn finish(pixel: u32, vector: u32, sum: vec4<f32>) {
    if pixel < pixel_count() {
        finish_four(pixel_place(pixel, 0u), 4u * vector, sum);
    }
}
