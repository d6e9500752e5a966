// Pooling of windows too large for one invocation, such as those as large as the image: this launch pools parts of each
// window.
//
// Pooling of many taps in parts, one part of one vector of channels of one window per invocation:
//
//   output[part, p − first, c] = f over taps t from part·length, length of them, of
//       input[position of tap t in window p, c]
//
// with the windows and functions of pool.wgsl; the taps of a window are numbered row by row. Sums are divided by the
// number of taps of the whole window already: a second launch takes the sum of the parts, or the largest.
//
// Constants: LANES divides channels, and is 1 where the channels are first.
// Memory: every tap is one read.

/// Values are summed in runs of this many, and then the runs: the error grows with both lengths, not with their product.
const RUN: u32 = 64u;

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
    let outputs = params.items / params.parts;
    let part = item / outputs;
    let size = input_size();
    let place = image_place(params.first + item % outputs, vec3(params.out_h, params.out_w, size.z));
    let start = first_row(place.y);
    let left = place.z * STRIDE_W;

    var most = Acc(bitcast<f32>(params.least));
    var sum = Acc(0.0);
    var run = Acc(0.0);
    let first = part * params.length;
    let last = min(first + params.length, KERNEL_ROWS * KERNEL_W);
    for (var t = first; t < last; t++) {
        // Rows and columns before the input are numbers beyond its last.
        let y = row_of(start, t / KERNEL_W);
        let x = left + t % KERNEL_W * DILATION_W - params.pad_w;
        if y < size.x && x < size.y {
            let value = Acc(input[image_index(place.x, y, x, place.w, size)]);
            if FUNCTION == MAX {
                most = larger(most, value);
            } else {
                run += value;
            }
        }
        if t % RUN == RUN - 1u {
            sum += run;
            run = Acc(0.0);
        }
    }
    output[item] = Out(select((sum + run) / Acc(divisor(place.y, left)), most, FUNCTION == MAX));
}
