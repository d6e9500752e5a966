// The depthwise convolution that loads least: as conv_depthwise.wgsl, but inputs are kept for the rows below as well.
// It has fewer invocations, which fill a processor but not always a GPU (occupancy).
//
// Depthwise convolution, a strip of TILE columns and STRIP rows of one vector of channels per invocation:
//
//   output[n, oy, ox, o] = activate(bias[o] + sum over ky, kx of
//       input[n, oy·STRIDE_H + ky − pad_h, ox·STRIDE_W + kx·DILATION_W − pad_w, o / MULTIPLIER] · kernel[ky, kx, o])
//
// The invocation walks down the input. The SPAN values of a row that the TILE windows cover are read once and added to
// every output row they belong to: PENDING rows are under way at a time, the first of which is complete after each
// STRIDE_H input rows. So neither an input nor a kernel value is read twice within a strip. Taps outside the input read
// as zero.
//
// Constants: LANES divides out_c; where it exceeds 1 the channels are last and MULTIPLIER is 1. DILATION_H is 1. TAPS =
// KERNEL_H·KERNEL_W, PENDING = ⌈KERNEL_H / STRIDE_H⌉, SPAN = (TILE − 1)·STRIDE_W + (KERNEL_W − 1)·DILATION_W + 1, SUMS
// = PENDING·TILE, KEPT = SUMS − TILE.
// Memory: SPAN input vectors for each input row, TAPS kernel vectors for each strip, each output vector once.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> bias: array<Vec>;
@group(0) @binding(4) var<storage, read_write> output: array<Vec>;

const_assert LANES == 1u || (CHANNELS_LAST && MULTIPLIER == 1u);
const_assert DILATION_H == 1u;

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
    let strips = (params.out_h + STRIP - 1u) / STRIP;
    var vector: u32;
    var place: u32;
    if CHANNELS_LAST {
        vector = item % vectors;
        place = item / vectors;
    } else {
        vector = item / tiles / strips % vectors;
        place = item % (tiles * strips) + item / tiles / strips / vectors * tiles * strips;
    }
    let ox = place % tiles * TILE;
    let first_row = place / tiles % strips * STRIP;
    let n = place / tiles / strips;
    let first = i32(ox * STRIDE_W) - i32(params.pad_w);
    let in_size = vec3(params.in_h, params.in_w, params.in_c / LANES);
    let out_size = vec3(params.out_h, params.out_w, vectors);
    let rows = min(STRIP, params.out_h - first_row);

    var taps: array<Acc, TAPS>;
    // unroll
    for (var i = 0u; i < TAPS; i++) {
        taps[i] = kernel_at(i * vectors + vector);
    }
    var offset = Acc(0.0);
    if HAS_BIAS {
        offset = unpacked(bias[vector]);
    }
    var sums: array<Acc, SUMS>;
    var span: array<Acc, SPAN>;
    // unroll
    for (var i = 0u; i < SUMS; i++) {
        sums[i] = offset;
    }
    for (var step = 0u; step < rows + PENDING - 1u; step++) {
        // unroll
        for (var phase = 0u; phase < STRIDE_H; phase++) {
            let iy = i32((first_row + step) * STRIDE_H + phase) - i32(params.pad_h);
            let row_inside = iy >= 0 && iy < i32(params.in_h);
            let row = select(0u, u32(iy), row_inside);
            // unroll
            for (var i = 0u; i < SPAN; i++) {
                let ix = first + i32(i);
                let inside = row_inside && ix >= 0 && ix < i32(params.in_w);
                let at = image_index(n, row, select(0u, u32(ix), inside), vector / MULTIPLIER, in_size);
                span[i] = select(Acc(0.0), input_at(at), inside);
            }
            // unroll
            for (var late = 0u; late < PENDING; late++) {
                if phase + late * STRIDE_H < KERNEL_H {
                    // unroll
                    for (var kx = 0u; kx < KERNEL_W; kx++) {
                        let tap = taps[min((phase + late * STRIDE_H) * KERNEL_W + kx, TAPS - 1u)];
                        // unroll
                        for (var t = 0u; t < TILE; t++) {
                            const sum = (PENDING - 1u - late) * TILE + t;
                            sums[sum] = fma(span[t * STRIDE_W + kx * DILATION_W], tap, sums[sum]);
                        }
                    }
                }
            }
        }
        if step + 1u >= PENDING {
            let oy = first_row + step + 1u - PENDING;
            // unroll
            for (var t = 0u; t < TILE; t++) {
                if ox + t < params.out_w {
                    let at = image_index(n, oy, ox + t, vector, out_size);
                    if HAS_RESIDUAL {
                        sums[t] += residual_at(at);
                    }
                    output[at] = packed(activate(sums[t]));
                }
            }
        }
        // unroll
        for (var i = 0u; i < KEPT; i++) {
            sums[i] = sums[i + TILE];
        }
        // unroll
        for (var t = 0u; t < TILE; t++) {
            sums[KEPT + t] = offset;
        }
    }
}
