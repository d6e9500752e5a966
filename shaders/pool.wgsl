// Pooling, one vector of channels of one window per invocation:
//
//   output[n, oy, ox, c] = f over ky, kx of
//       input[n, oy·STRIDE_H + ky·DILATION_H − pad_h, ox·STRIDE_W + kx·DILATION_W − pad_w, c]
//
//   MAX             the largest; NaN where one is
//   AVERAGE         the sum divided by the number of taps inside the input
//   AVERAGE_PADDED  the sum divided by the number of taps inside the padded input, which ends at end_h, end_w
//
// Taps outside the input are skipped.
//
// Constants: LANES divides channels, and is 1 where the channels are first.
// Memory: every tap is one read; neighbouring windows find theirs in the cache.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Vec>;
@group(0) @binding(2) var<storage, read_write> output: array<Out>;

const MAX: u32 = 0u;
const AVERAGE: u32 = 1u;
const AVERAGE_PADDED: u32 = 2u;

const_assert LANES == 1u || CHANNELS_LAST;

/// How many of `taps` taps, `dilation` apart from `start` on, come before `end`.
fn taps_before(end: u32, start: u32, taps: u32, dilation: u32) -> u32 {
    return min(taps, (max(end, start) - start + dilation - 1u) / dilation);
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
    let place = image_place(item, vec3(params.out_h, params.out_w, params.channels / LANES));
    let in_size = vec3(params.in_h, params.in_w, params.channels / LANES);
    let top = place.y * STRIDE_H;
    let left = place.z * STRIDE_W;

    var most = Acc(bitcast<f32>(params.least));
    var sum = Acc(0.0);
    var count = 0u;
    for (var ky = 0u; ky < KERNEL_H; ky++) {
        let iy = i32(top + ky * DILATION_H) - i32(params.pad_h);
        if iy < 0 || iy >= i32(params.in_h) {
            continue;
        }
        // A row of taps is summed by itself: the error grows with both lengths, not with their product.
        var row = Acc(0.0);
        for (var kx = 0u; kx < KERNEL_W; kx++) {
            let ix = i32(left + kx * DILATION_W) - i32(params.pad_w);
            if ix < 0 || ix >= i32(params.in_w) {
                continue;
            }
            let x = Acc(input[image_index(place.x, u32(iy), u32(ix), place.w, in_size)]);
            if FUNCTION == MAX {
                most = larger(most, x);
            } else {
                row += x;
                count += 1u;
            }
        }
        sum += row;
    }
    if FUNCTION == AVERAGE_PADDED {
        count = taps_before(params.end_h, top, KERNEL_H, DILATION_H) * taps_before(params.end_w, left, KERNEL_W, DILATION_W);
    }
    if FUNCTION == MAX {
        output[item] = Out(most);
    } else {
        // A window that covers nothing has no mean: it is 0.
        output[item] = Out(sum / Acc(f32(max(count, 1u))));
    }
}
