// Transposed convolution as the formula states it: the shader that takes any geometry.
//
// Transposed convolution, one vector of output channels per invocation: what reads the output of a convolution and writes its input.
//
//   output[n, y, x, c] = activate(bias[c] + sum over ky, kx, f of
//       input[n, iy, ix, g·group_in + f] · kernel[ky, kx, c − g·group_out, g·group_in + f]),      g = c / group_out
//   iy·STRIDE_H = y + pad_h − ky·DILATION_H,   ix·STRIDE_W = x + pad_w − kx·DILATION_W
//
// and likewise along the depth, where there is one (lib/tap_rows.wgsl).
//
// Only taps with a whole iy and ix are visited: every TAP_STEP-th, from the first that hits. in_ and out_ are of what
// this shader reads and writes; strides, pads and the kernel [kh, kw, group_out, in_c] are the convolution's.
//
// Constants: TAP_STEP_H = STRIDE_H / gcd(STRIDE_H, DILATION_H), likewise TAP_STEP_W; RUN. Where LANES exceeds 1 the channels are
// last and each is a group of its own.
// Memory: every product reads one input and one kernel vector; nothing is kept. Any geometry.

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
    let place = image_place(item, vec3(params.out_h, params.out_w, params.out_c / LANES));
    let n = place.x;
    let y = place.y;
    let x = place.z;
    let c = place.w * LANES;
    let first_channel = c / params.group_out * params.group_in;
    let in_size = vec3(params.in_h, params.in_w, params.in_c / LANES);
    let step = image_index(0u, 0u, 0u, 1u, in_size);
    let first_kx = first_tap_w(x);

    // In runs, as in conv_direct.wgsl; a channel by itself is one chain.
    var sum = Acc(0.0);
    var run = Acc(0.0);
    var length = 0u;
    let hits = hits_of(y);
    for (var hit = 0u; hit < HIT_ROWS * HITS_W; hit++) {
        let k = tap_row(hits, hit / HITS_W);
        let kx = first_kx + hit % HITS_W * TAP_STEP_W;
        let iy = row_taken(y, k);
        let ix = column_at(x, kx);
        let inside = k < KERNEL_ROWS && kx < KERNEL_W && iy < params.in_h && ix >= 0 && ix < i32(params.in_w);
        var at = image_index(n, select(0u, iy, inside), select(0u, u32(ix), inside), first_channel / LANES, in_size);
        let row = select(0u, k * KERNEL_W + kx, inside) * params.group_out + c % params.group_out;
        let tap = (row * params.in_c + first_channel) / LANES;
        if LANES > 1u {
            sum += select(Acc(0.0), input_at(at) * kernel_at(tap), inside);
            continue;
        }
        if !inside {
            continue;
        }
        for (var start = 0u; start < params.group_in; start += RUN) {
            for (var f = start; f < min(start + RUN, params.group_in); f++) {
                run = fma(input_at(at), kernel_at(tap + f), run);
                at += step;
            }
            length += min(RUN, params.group_in - start);
            if length >= RUN {
                sum += run;
                run = Acc(0.0);
                length = 0u;
            }
        }
    }
    sum += run;
    if HAS_BIAS {
        sum += unpacked(bias[place.w]);
    }
    if HAS_RESIDUAL {
        sum += residual_at(item);
    }
    output[item] = packed(activate(sum));
}
