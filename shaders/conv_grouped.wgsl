// Grouped convolution where groups have few channels: the tiles of a matrix product would be mostly empty.
//
// Convolution, a row of TILE output pixels at four output channels per invocation:
//
//   output[p, f] = activate(bias[f] + sum over taps, j of input[pixel p at tap, g·group_in + j] · kernel[tap, j, f])
//
// A kernel row is cut into PIECES of TAPS taps. For each piece and each four input channels of the group, the SPAN inputs
// that the TILE windows cover are read once into registers and serve every tap of the piece. Taps outside the input read as
// zero. For groups too narrow to be a matrix product.
//
// Constants: TILE, TAPS and PIECES, at least 1, TAPS·PIECES no less than KERNEL_W; SPAN = (TILE − 1)·STRIDE_W +
// (TAPS − 1)·DILATION_W + 1; CLOSES is whether there is more than one run.
// Memory, for each piece and four input channels: SPAN input vectors and 4·TAPS kernel vectors for 16·TAPS·TILE
// multiply-adds. The kernel is packed: channels of a group in fours on either side.

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
    let vectors = row_stride();
    let tiles = (params.out_w + TILE - 1u) / TILE;
    let vector = item % vectors;
    let ox = item / vectors % tiles * TILE;
    let row = item / vectors / tiles;
    let oy = row % params.out_h;
    let n = row / params.out_h;
    let group = vector / group_vectors();
    let first_channel = group * params.group_in;
    let size = vec3(params.in_h, params.in_w, params.in_c);
    let first = i32(ox * STRIDE_W) - i32(params.pad_w);

    // Products are summed in runs of a piece and RUN_DEPTH channels, and then the runs (blocked summation).
    var sums: array<vec4<f32>, TILE>;
    var totals: array<vec4<f32>, TILE>;
    var span: array<vec4<f32>, SPAN>;
    let channel = channel_of(vector, group);
    let offset = bias_of_four(channel);
    // unroll
    for (var t = 0u; t < TILE; t++) {
        sums[t] = vec4(0.0);
        totals[t] = offset;
    }
    let top = first_row(oy);
    let blocks = (params.group_in + RUN_DEPTH - 1u) / RUN_DEPTH;
    for (var run = 0u; run < KERNEL_ROWS * PIECES * blocks; run++) {
        let piece = run / blocks;
        let block = (run - piece * blocks) * RUN_DEPTH;
        let k = piece / PIECES;
        let tap = (piece - k * PIECES) * TAPS;
        let iy = row_of(top, k);
        let row_inside = iy < params.in_h;
        for (var j = block; j < min(block + RUN_DEPTH, params.group_in); j += 4u) {
            // unroll
            for (var i = 0u; i < SPAN; i++) {
                let ix = first + i32(tap * DILATION_W + i);
                let inside = row_inside && ix >= 0 && ix < i32(params.in_w);
                let position = image_index(n, select(0u, iy, row_inside), select(0u, u32(ix), inside), 0u, size);
                span[i] = select(vec4(0.0), input_four(position, first_channel + j), inside);
            }
            // unroll
            for (var kx = 0u; kx < TAPS; kx++) {
                // The last piece may be shorter.
                if TAPS * PIECES == KERNEL_W || tap + kx < KERNEL_W {
                    let rows = rows_at(k * KERNEL_W + tap + kx, j, vector);
                    // unroll
                    for (var t = 0u; t < TILE; t++) {
                        sums[t] = multiply_add(sums[t], span[t * STRIDE_W + kx * DILATION_W], rows);
                    }
                }
            }
        }
        if CLOSES {
            // unroll
            for (var t = 0u; t < TILE; t++) {
                totals[t] += sums[t];
                sums[t] = vec4(0.0);
            }
        }
    }
    // unroll
    for (var t = 0u; t < TILE; t++) {
        if ox + t < params.out_w {
            finish_four(output_place(row, ox + t, group), channel, totals[t] + sums[t]);
        }
    }
}
