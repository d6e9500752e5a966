// The depthwise convolution: each channel has a filter of its own, so each loaded value is used for few products and
// memory decides the speed. Outputs next to each other read mostly the same inputs; an invocation computes a row of
// them (its register tile) from one load of each.
//
// Depthwise convolution, a row of TILE outputs of one vector of channels per invocation:
//
//   output[n, oy, ox, o] = activate(bias[o] + sum over ky, kx of
//       input[n, oy·STRIDE_H + ky·DILATION_H − pad_h, ox·STRIDE_W + kx·DILATION_W − pad_w, o / MULTIPLIER]
//       · kernel[ky, kx, o])
//
// and likewise along the depth, where there is one (lib/rows.wgsl). Where TRANSPOSED, height and width stand for each other: the
// row of outputs is a column of the image, for windows that are taller than wide.
//
// A row of the kernel is taken in PIECES of PIECE taps, one alone where it is short. For each piece the SPAN inputs that the
// TILE windows cover are read once into registers and serve every tap. Taps outside the input read as zero.
//
// Constants: LANES divides out_c; where it exceeds 1 the channels are last and MULTIPLIER is 1.
// PIECES = ⌈KERNEL_W / PIECE⌉; SPAN = (TILE − 1)·STRIDE_W + (PIECE − 1)·DILATION_W + 1.
// Memory: SPAN input vectors and PIECE kernel vectors for each piece of a kernel row; TILE output vectors.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> bias: array<Vec>;
@group(0) @binding(4) var<storage, read_write> output: array<Vec>;

const_assert LANES == 1u || (CHANNELS_LAST && MULTIPLIER == 1u);

/// The vector of image `n` at `row`, `column`, channel `c` among images of `size` = (rows, columns, channels).
fn transposed_index(n: u32, row: u32, column: u32, c: u32, size: vec3<u32>) -> u32 {
    if TRANSPOSED {
        return image_index(n, column, row, c, size.yxz);
    }
    return image_index(n, row, column, c, size);
}

/// The number of the tap in row `k` of the window and column `kx`.
fn tap_number(k: u32, kx: u32) -> u32 {
    return select(k * KERNEL_W + kx, kx * KERNEL_ROWS + k, TRANSPOSED);
}

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
    let vectors = params.out_c / LANES;
    let tiles = (params.out_w + TILE - 1u) / TILE;
    var n: u32;
    var oy: u32;
    var tile: u32;
    var vector: u32;
    if CHANNELS_LAST {
        vector = item % vectors;
        tile = item / vectors % tiles;
        oy = item / vectors / tiles % params.out_h;
        n = item / vectors / tiles / params.out_h;
    } else {
        tile = item % tiles;
        oy = item / tiles % params.out_h;
        vector = item / tiles / params.out_h % vectors;
        n = item / tiles / params.out_h / vectors;
    }
    let ox = tile * TILE;
    let first = i32(ox * STRIDE_W) - i32(params.pad_w);
    let in_size = vec3(params.in_h, params.in_w, params.in_c / LANES);

    var offset = Acc(0.0);
    if HAS_BIAS {
        offset = unpacked(bias[vector]);
    }
    // Products are summed in runs of RUN pieces of kernel rows, and then the runs (blocked summation).
    var sums: array<Acc, TILE>;
    var totals: array<Acc, TILE>;
    var span: array<Acc, SPAN>;
    // unroll
    for (var t = 0u; t < TILE; t++) {
        totals[t] = offset;
    }
    let top = first_row(oy);
    for (var block = 0u; block < KERNEL_ROWS * PIECES; block += RUN) {
        // unroll
        for (var t = 0u; t < TILE; t++) {
            sums[t] = Acc(0.0);
        }
        for (var step = block; step < min(block + RUN, KERNEL_ROWS * PIECES); step++) {
            let k = step / PIECES;
            let first_tap = step % PIECES * PIECE;
            let left = first + i32(first_tap * DILATION_W);
            let iy = row_of(top, k);
            let row_inside = iy < params.in_h;
            let row = select(0u, iy, row_inside);
            // unroll
            for (var i = 0u; i < SPAN; i++) {
                let ix = left + i32(i);
                let inside = row_inside && ix >= 0 && ix < i32(params.in_w);
                let at = transposed_index(n, row, select(0u, u32(ix), inside), vector / MULTIPLIER, in_size);
                span[i] = select(Acc(0.0), input_at(at), inside);
            }
            // unroll
            for (var i = 0u; i < PIECE; i++) {
                // The last piece may be shorter than the others.
                if PIECES * PIECE == KERNEL_W || first_tap + i < KERNEL_W {
                    let tap = kernel_at(tap_number(k, first_tap + i) * vectors + vector);
                    // unroll
                    for (var t = 0u; t < TILE; t++) {
                        sums[t] = fma(span[t * STRIDE_W + i * DILATION_W], tap, sums[t]);
                    }
                }
            }
        }
        // unroll
        for (var t = 0u; t < TILE; t++) {
            totals[t] += sums[t];
        }
    }
    let out_size = vec3(params.out_h, params.out_w, vectors);
    // unroll
    for (var t = 0u; t < TILE; t++) {
        if ox + t < params.out_w {
            let at = transposed_index(n, oy, ox + t, vector, out_size);
            if HAS_RESIDUAL {
                totals[t] += residual_at(at);
            }
            output[at] = packed(activate(totals[t]));
        }
    }
}
