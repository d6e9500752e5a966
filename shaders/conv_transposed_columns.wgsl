// Transposed convolution as a matrix product (col2im): the second launch, which adds up what hits each output.
//
// A transposed convolution of few output channels, one output per invocation:
//
//   output[n, y, x, j] = activate(bias[j] + sum over ky, kx of input[n, iy, ix, (ky, kx, j)])
//   iy·STRIDE_H = y + pad_h − ky·DILATION_H,   ix·STRIDE_W = x + pad_w − kx·DILATION_W
//
// and likewise along the depth, where there is one (lib/tap_rows.wgsl). The input has COLUMNS channels, of which the first are the
// products of its pixel with every tap, in the order of the kernel.
//
// Constants: COLUMNS; those of lib/taps.wgsl and lib/tap_rows.wgsl; HIT_ROWS and HITS_W, the most rows of taps that hit an output and
// the most taps of each.
//
// Memory: every product is read once.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> bias: array<Vec>;
@group(0) @binding(4) var<storage, read_write> output: array<Vec>;

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
    let place = image_place(item, vec3(params.out_h, params.out_w, params.out_c));
    let hits = hits_of(place.y);
    let first_kx = first_tap_w(place.z);

    var sum = Acc(0.0);
    if HAS_BIAS {
        sum = unpacked(bias[place.w]);
    }
    for (var row = 0u; row < HIT_ROWS; row++) {
        let k = tap_row(hits, row);
        let iy = row_taken(place.y, k);
        if k >= KERNEL_ROWS || iy >= params.in_h {
            continue;
        }
        let line = (place.x * params.in_h + iy) * params.in_w;
        for (var hit = 0u; hit < HITS_W; hit++) {
            let kx = first_kx + hit * TAP_STEP_W;
            let ix = column_at(place.z, kx);
            if kx < KERNEL_W && ix >= 0 && ix < i32(params.in_w) {
                sum += input_at((line + u32(ix)) * COLUMNS + (k * KERNEL_W + kx) * params.out_c + place.w);
            }
        }
    }
    if HAS_RESIDUAL {
        sum += residual_at(item);
    }
    output[item] = packed(activate(sum));
}
