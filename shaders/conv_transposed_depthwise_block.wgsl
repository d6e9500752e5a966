// The depthwise transposed convolution that loads least: as conv_transposed_depthwise.wgsl, but inputs and kernel are kept for
// all outputs between and beside them. It has fewer invocations, which fill a processor but not always a GPU (occupancy).
//
// Depthwise transposed convolution, STRIDE_H rows and STRIDE_W·TILE columns of one vector of channels per invocation:
//
//   output[n, y, x, c] = activate(bias[c] + sum over ky, kx of input[n, iy, ix, c] · kernel[ky, kx, c])
//   iy·STRIDE_H = y + pad_h − ky,   ix·STRIDE_W = x + pad_w − kx
//
// A block begins where y + pad_h and x + pad_w are multiples of the strides. So which taps hit one of its outputs is known before
// anything runs: ry + hy·STRIDE_H hit row ry of the block, and take input row (y + pad_h) / STRIDE_H − hy there; likewise along
// the width. Each sum is one chain.
//
// Constants: LANES divides the channels, which are last. Dilations are 1. HITS_H = ⌈KERNEL_H / STRIDE_H⌉ and HITS_W likewise, SPAN =
// TILE + HITS_W − 1, WIDTH = STRIDE_W·TILE, SUMS = STRIDE_H·WIDTH.
// Memory: HITS_H·SPAN input vectors and every kernel vector once for SUMS outputs.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> bias: array<Vec>;
@group(0) @binding(4) var<storage, read_write> output: array<Vec>;

const_assert CHANNELS_LAST;

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
    let down = (params.out_h + params.pad_h + STRIDE_H - 1u) / STRIDE_H;
    let across = (params.out_w + params.pad_w + STRIDE_W * TILE - 1u) / (STRIDE_W * TILE);
    let vector = item % vectors;
    let place = item / vectors;
    let first = place % across * TILE;
    let block = place / across % down;
    let n = place / across / down;

    var offset = Acc(0.0);
    if HAS_BIAS {
        offset = unpacked(bias[vector]);
    }
    var sums: array<Acc, SUMS>;
    // unroll
    for (var s = 0u; s < SUMS; s++) {
        sums[s] = offset;
    }
    for (var hy = 0u; hy < HITS_H; hy++) {
        let iy = i32(block) - i32(hy);
        if iy < 0 || iy >= i32(params.in_h) {
            continue;
        }
        let line = (n * params.in_h + u32(iy)) * params.in_w;
        var columns: array<Acc, SPAN>;
        // unroll
        for (var c = 0u; c < SPAN; c++) {
            let ix = i32(first + c) - i32(HITS_W - 1u);
            let inside = ix >= 0 && ix < i32(params.in_w);
            columns[c] = select(Acc(0.0), input_at((line + select(0u, u32(ix), inside)) * vectors + vector), inside);
        }
        // unroll
        for (var ry = 0u; ry < STRIDE_H; ry++) {
            let ky = ry + hy * STRIDE_H;
            if ky < KERNEL_H {
                // unroll
                for (var kx = 0u; kx < KERNEL_W; kx++) {
                    let tap = kernel_at((ky * KERNEL_W + kx) * vectors + vector);
                    // unroll
                    for (var t = 0u; t < TILE; t++) {
                        let sum = (ry * TILE + t) * STRIDE_W + kx % STRIDE_W;
                        sums[sum] = fma(columns[t + HITS_W - 1u - kx / STRIDE_W], tap, sums[sum]);
                    }
                }
            }
        }
    }
    // unroll
    for (var ry = 0u; ry < STRIDE_H; ry++) {
        let y = block * STRIDE_H + ry - params.pad_h;
        // unroll
        for (var x = 0u; x < WIDTH; x++) {
            // What is before the first is a number beyond the last.
            let column = first * STRIDE_W + x - params.pad_w;
            if y < params.out_h && column < params.out_w {
                let at = ((n * params.out_h + y) * params.out_w + column) * vectors + vector;
                var sum = sums[ry * WIDTH + x];
                if HAS_RESIDUAL {
                    sum += residual_at(at);
                }
                output[at] = packed(activate(sum));
            }
        }
    }
}
