// Max and average pooling: each output is the largest or the mean value of a window of one channel.
//
// Pooling, one vector of channels of one window per invocation:
//
//   output[n, oy, ox, c] = f over ky, kx of
//       input[n, oy·STRIDE_H + ky·DILATION_H − pad_h, ox·STRIDE_W + kx·DILATION_W − pad_w, c]
//
//   MAX      the largest; NaN where one is
//   AVERAGE  the sum divided by the number of taps inside the part of the padded input that counts: lib/window.wgsl
//
// and likewise along the depth, where there is one (lib/rows.wgsl). Taps outside the input are skipped.
//
// Constants: LANES divides channels, and is 1 where the channels are first.
// Memory: every tap is one read; neighbouring windows find theirs in the cache.

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
    let in_size = input_size();
    let first = first_row(place.y);
    let left = place.z * STRIDE_W;

    var most = Acc(bitcast<f32>(params.least));
    var sum = Acc(0.0);
    for (var k = 0u; k < KERNEL_ROWS; k++) {
        let iy = row_of(first, k);
        if iy >= params.in_h {
            continue;
        }
        // A row of taps is summed by itself: the error grows with both lengths, not with their product.
        var row = Acc(0.0);
        for (var kx = 0u; kx < KERNEL_W; kx++) {
            let ix = i32(left + kx * DILATION_W) - i32(params.pad_w);
            if ix < 0 || ix >= i32(params.in_w) {
                continue;
            }
            let x = Acc(input[image_index(place.x, iy, u32(ix), place.w, in_size)]);
            if FUNCTION == MAX {
                most = larger(most, x);
            } else {
                row += x;
            }
        }
        sum += row;
    }
    if FUNCTION == MAX {
        output[item] = Out(most);
    } else {
        output[item] = Out(sum / Acc(divisor(place.y, left)));
    }
}
