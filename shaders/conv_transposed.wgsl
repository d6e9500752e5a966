// The transposed convolution for most layers: it enlarges an image.
//
// Transposed convolution, TILE output pixels at four output channels per invocation: see conv_transposed_direct.wgsl
// for the formula, of which this computes the same.
//
// The pixels of an invocation lie STRIDE_W apart in a row, so that one tap hits them all, and takes neighbouring input
// pixels to them: each kernel value read serves the whole tile.
//
// Constants: TILE, at least 1; TAP_STEP_H and TAP_STEP_W as there; CLOSES is whether there is more than one run.
// Memory, for each tap and four input channels: TILE input vectors and 4 kernel vectors for 16·TILE multiply-adds. The
// kernel is packed: row (tap, f), four output channels to a vector, channels of a group in fours on either side.

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
    let tiles = ((params.out_w + STRIDE_W - 1u) / STRIDE_W + TILE - 1u) / TILE;
    let vector = item % vectors;
    let phase = item / vectors % STRIDE_W;
    let tile = item / vectors / STRIDE_W % tiles;
    let row = item / vectors / STRIDE_W / tiles;
    let x = tile * TILE * STRIDE_W + phase;
    let y = row % params.out_h;
    let n = row / params.out_h;
    if x >= params.out_w {
        return;
    }
    let group = vector / group_vectors();
    let first_channel = group * params.group_in;
    let size = vec3(params.in_h, params.in_w, params.in_c);
    let first_kx = first_tap_w(x);

    // Products are summed in runs of RUN_TAPS taps, or of RUN_DEPTH channels of one, and then the runs (blocked summation).
    var sums: array<vec4<f32>, TILE>;
    var totals: array<vec4<f32>, TILE>;
    let channel = channel_of(vector, group);
    let offset = bias_of_four(channel);
    // unroll
    for (var t = 0u; t < TILE; t++) {
        sums[t] = vec4(0.0);
        totals[t] = offset;
    }
    let hits = hits_of(y);
    let blocks = (params.group_in + RUN_DEPTH - 1u) / RUN_DEPTH;
    for (var run = 0u; run < HIT_ROWS * HITS_W * blocks; run += RUN_TAPS) {
        for (var t = run; t < min(run + RUN_TAPS, HIT_ROWS * HITS_W * blocks); t++) {
            let hit = t / blocks;
            let block = (t - hit * blocks) * RUN_DEPTH;
            let k = tap_row(hits, hit / HITS_W);
            let kx = first_kx + hit % HITS_W * TAP_STEP_W;
            let iy = row_taken(y, k);
            if k >= KERNEL_ROWS || kx >= KERNEL_W || iy >= params.in_h {
                continue;
            }
            let ix = column_at(x, kx);
            for (var f = block; f < min(block + RUN_DEPTH, params.group_in); f += 4u) {
                let rows = rows_at(k * KERNEL_W + kx, f, vector);
                // unroll
                for (var t = 0u; t < TILE; t++) {
                    let column = ix + i32(t);
                    let inside = column >= 0 && column < i32(params.in_w);
                    let position = image_index(n, iy, select(0u, u32(column), inside), 0u, size);
                    let four = select(vec4(0.0), input_four(position, first_channel + f), inside);
                    sums[t] = multiply_add(sums[t], four, rows);
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
        if x + t * STRIDE_W < params.out_w {
            finish_four(output_place(row, x + t * STRIDE_W, group), channel, totals[t] + sums[t]);
        }
    }
}
