// Transposed convolution as the formula states it: the shader that takes any geometry.
//
// Transposed convolution, one output per invocation: what reads the output of a convolution and writes its input.
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
// Constants: TAP_STEP_H = STRIDE_H / gcd(STRIDE_H, DILATION_H), likewise TAP_STEP_W; RUN.
// Memory: every product reads one input and one kernel value; nothing is kept. Any geometry.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read> kernel: array<Elem>;
@group(0) @binding(3) var<storage, read> bias: array<Elem>;
@group(0) @binding(4) var<storage, read_write> output: array<Elem>;

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
    var n: u32;
    var y: u32;
    var x: u32;
    var c: u32;
    if CHANNELS_LAST {
        c = item % params.out_c;
        x = item / params.out_c % params.out_w;
        y = item / params.out_c / params.out_w % params.out_h;
        n = item / params.out_c / params.out_w / params.out_h;
    } else {
        x = item % params.out_w;
        y = item / params.out_w % params.out_h;
        c = item / params.out_w / params.out_h % params.out_c;
        n = item / params.out_w / params.out_h / params.out_c;
    }
    let first_channel = c / params.group_out * params.group_in;
    let in_size = vec3(params.in_h, params.in_w, params.in_c);
    let step = image_index(0u, 0u, 0u, 1u, in_size);
    let first_kx = first_tap_w(x);

    // In runs, as in conv_direct.wgsl.
    var sum = 0.0;
    var run = 0.0;
    var length = 0u;
    let hits = hits_of(y);
    for (var hit = 0u; hit < HIT_ROWS; hit++) {
        let k = tap_row(hits, hit);
        let iy = row_taken(y, k);
        if k >= KERNEL_ROWS || iy >= params.in_h {
            continue;
        }
        for (var kx = first_kx; kx < KERNEL_W; kx += TAP_STEP_W) {
            let ix = column_at(x, kx);
            if ix < 0 || ix >= i32(params.in_w) {
                continue;
            }
            var at = image_index(n, iy, u32(ix), first_channel, in_size);
            let row = (k * KERNEL_W + kx) * params.group_out + c % params.group_out;
            let tap = row * params.in_c + first_channel;
            for (var start = 0u; start < params.group_in; start += RUN) {
                for (var f = start; f < min(start + RUN, params.group_in); f++) {
                    run = fma(f32(input[at]), f32(kernel[tap + f]), run);
                    at += step;
                }
                length += min(RUN, params.group_in - start);
                if length >= RUN {
                    sum += run;
                    run = 0.0;
                    length = 0u;
                }
            }
        }
    }
    sum += run;
    if HAS_BIAS {
        sum += f32(bias[c]);
    }
    if HAS_RESIDUAL {
        sum += residual_at(item);
    }
    output[item] = Elem(activate(sum));
}
