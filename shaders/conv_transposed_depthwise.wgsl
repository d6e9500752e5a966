// The transposed convolution where each channel is a group of its own: what comes back to the input of a depthwise convolution
// with strides.
//
// Depthwise transposed convolution, one vector of channels of an output per invocation:
//
//   output[n, y, x, c] = activate(bias[c] + sum over ky, kx of input[n, iy, ix, c] · kernel[ky, kx, c])
//   iy·STRIDE_H = y + pad_h − ky·DILATION_H,   ix·STRIDE_W = x + pad_w − kx·DILATION_W
//
// and likewise along the depth, where there is one (lib/tap_rows.wgsl). Only taps with a whole iy and ix are visited, as in
// conv_transposed_direct.wgsl; each sum is one chain.
//
// Constants: LANES divides the channels, and is 1 where they are first.
// Memory: every product reads one input and one kernel vector; nothing is kept.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> bias: array<Vec>;
@group(0) @binding(4) var<storage, read_write> output: array<Vec>;

const_assert LANES == 1u || CHANNELS_LAST;

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
    // Image, row, column and vector of channels.
    let place = image_place(item, vec3(params.out_h, params.out_w, vectors));
    let in_size = vec3(params.in_h, params.in_w, vectors);
    let hits = hits_of(place.y);
    let first_kx = first_tap_w(place.z);

    var sum = Acc(0.0);
    if HAS_BIAS {
        sum = unpacked(bias[place.w]);
    }
    for (var hit = 0u; hit < HIT_ROWS * HITS_W; hit++) {
        let k = tap_row(hits, hit / HITS_W);
        let kx = first_kx + hit % HITS_W * TAP_STEP_W;
        let iy = row_taken(place.y, k);
        let ix = column_at(place.z, kx);
        let inside = k < KERNEL_ROWS && kx < KERNEL_W && iy < params.in_h && ix >= 0 && ix < i32(params.in_w);
        let at = image_index(place.x, select(0u, iy, inside), select(0u, u32(ix), inside), place.w, in_size);
        let tap = select(0u, k * KERNEL_W + kx, inside) * vectors + place.w;
        sum = fma(select(Acc(0.0), input_at(at), inside), kernel_at(tap), sum);
    }
    if HAS_RESIDUAL {
        sum += residual_at(item);
    }
    output[item] = packed(activate(sum));
}
