// Direct convolution, as the formula states it: the shader that takes any geometry, and that the others are compared
// with.
//
// Convolution, one vector of output channels per invocation:
//
//   output[n, oy, ox, f] = activate(bias[f] + sum over ky, kx, j of
//       input[n, oy·STRIDE_H + ky·DILATION_H − pad_h, ox·STRIDE_W + kx·DILATION_W − pad_w, g·group_in + j]
//       · kernel[ky, kx, j, f]),                                   g = f / group_out
//
// and likewise along the depth, where there is one: lib/rows.wgsl says which rows the taps read.
// Taps outside the input are skipped, not multiplied by zero. An invocation owns LANES consecutive f of one pixel;
// invocations run along the channels where they are last and along x where they are first, as the output lies.
//
// Constants: LANES divides group_out, and is 1 where the channels are first; RUN.
// Memory: every product reads one input and LANES kernel values; nothing is kept. Any geometry, never the fastest.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read> kernel: array<Vec>;
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
    let place = image_place(item, vec3(params.out_h, params.out_w, vectors));
    let vector = place.w;
    let first_channel = vector * LANES / params.group_out * params.group_in;
    let in_size = vec3(params.in_h, params.in_w, params.in_c);
    let step = image_index(0u, 0u, 0u, 1u, in_size);

    // Products are summed in runs, and then the runs (blocked summation): a run has RUN products or more, and fewer than 2·RUN.
    var sum = Acc(0.0);
    var run = Acc(0.0);
    var length = 0u;
    let first = first_row(place.y);
    for (var k = 0u; k < KERNEL_ROWS; k++) {
        let iy = row_of(first, k);
        if iy >= params.in_h {
            continue;
        }
        for (var kx = 0u; kx < KERNEL_W; kx++) {
            let ix = i32(place.z * STRIDE_W + kx * DILATION_W) - i32(params.pad_w);
            if ix < 0 || ix >= i32(params.in_w) {
                continue;
            }
            var at = image_index(place.x, iy, u32(ix), first_channel, in_size);
            var tap = (k * KERNEL_W + kx) * params.group_in * vectors + vector;
            for (var start = 0u; start < params.group_in; start += RUN) {
                for (var j = start; j < min(start + RUN, params.group_in); j++) {
                    run = fma(Acc(f32(input[at])), unpacked(kernel[tap]), run);
                    at += step;
                    tap += vectors;
                }
                length += min(RUN, params.group_in - start);
                if length >= RUN {
                    sum += run;
                    run = Acc(0.0);
                    length = 0u;
                }
            }
        }
    }
    sum += run;
    if HAS_BIAS {
        sum += unpacked(bias[vector]);
    }
    if HAS_RESIDUAL {
        sum += residual_at(item);
    }
    output[item] = packed(activate(sum));
}
