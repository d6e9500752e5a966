// Depthwise convolution, a row of TILE outputs of one vector of channels per invocation:
//
//   output[n, oy, ox, o] = activate(bias[o] + sum over ky, kx of
//       input[n, oy·STRIDE_H + ky·DILATION_H − pad_h, ox·STRIDE_W + kx·DILATION_W − pad_w, o / MULTIPLIER]
//       · kernel[ky, kx, o])
//
// For each kernel row the SPAN inputs that the TILE windows cover are read once into registers and serve every tap.
// Taps outside the input read as zero.
//
// Constants: LANES divides out_c; where it exceeds 1 the channels are last and MULTIPLIER is 1.
// Memory: SPAN input vectors and KERNEL_W kernel vectors for each kernel row; TILE output vectors.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Vec>;
@group(0) @binding(2) var<storage, read> kernel: array<Vec>;
@group(0) @binding(3) var<storage, read> bias: array<Vec>;
@group(0) @binding(4) var<storage, read_write> output: array<Vec>;

const SPAN: u32 = (TILE - 1u) * STRIDE_W + (KERNEL_W - 1u) * DILATION_W + 1u;

const_assert LANES == 1u || (CHANNELS_LAST && MULTIPLIER == 1u);

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
    let step = image_index(0u, 0u, 1u, 0u, in_size);

    var sums: array<Acc, TILE>;
    for (var t = 0u; t < TILE; t++) {
        sums[t] = Acc(0.0);
    }
    for (var ky = 0u; ky < KERNEL_H; ky++) {
        let iy = i32(oy * STRIDE_H + ky * DILATION_H) - i32(params.pad_h);
        if iy < 0 || iy >= i32(params.in_h) {
            continue;
        }
        let row = image_index(n, u32(iy), 0u, vector / MULTIPLIER, in_size);
        var span: array<Acc, SPAN>;
        for (var i = 0u; i < SPAN; i++) {
            let ix = first + i32(i);
            span[i] = Acc(0.0);
            if ix >= 0 && ix < i32(params.in_w) {
                span[i] = Acc(input[row + u32(ix) * step]);
            }
        }
        for (var kx = 0u; kx < KERNEL_W; kx++) {
            let tap = Acc(kernel[(ky * KERNEL_W + kx) * vectors + vector]);
            for (var t = 0u; t < TILE; t++) {
                sums[t] = fma(span[t * STRIDE_W + kx * DILATION_W], tap, sums[t]);
            }
        }
    }
    let out_size = vec3(params.out_h, params.out_w, vectors);
    let offset = select(Acc(0.0), Acc(bias[select(0u, vector, HAS_BIAS)]), HAS_BIAS);
    for (var t = 0u; t < TILE; t++) {
        if ox + t < params.out_w {
            output[image_index(n, oy, ox + t, vector, out_size)] = Vec(activate(sums[t] + offset));
        }
    }
}
