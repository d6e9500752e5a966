// Split-K for sums too long for one invocation, which drivers end when it loops too long: this launch computes parts of
// each sum.
//
// Long sums of a convolution or a transposed one in parts, one part of one output vector per invocation:
//
//   output[part, p − first, f] = sum over t = (tap, j) from part·LENGTH, LENGTH of them, of
//       input[position of the tap, g·group_in + j] · kernel[the same tap, j, f]
//
// The terms of a sum are numbered by lib/terms.wgsl or lib/terms_transposed.wgsl. Taps outside the input are skipped.
// sum_parts.wgsl adds the parts up.
//
// Constants: PARTS, LENGTH. With LANES = 4 the channels are last and every group has fours of output channels.
// Memory: for each term a scalar of the input and a vector of the kernel, as in conv_direct.wgsl.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read> kernel: array<Vec>;
@group(0) @binding(4) var<storage, read_write> output: array<Acc>;

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
    let outputs = params.items / PARTS;
    let part = item / outputs;
    let vectors = params.out_c / LANES;
    let place = image_place(params.first + item % outputs, vec3(params.out_h, params.out_w, vectors));
    let vector = place.w;
    let first_channel = vector * LANES / params.group_out * params.group_in;
    let size = vec3(params.in_h, params.in_w, params.in_c);
    let step = image_index(0u, 0u, 0u, 1u, size);
    let start = window_start(place);

    // Products are summed in runs, and then the runs: the error grows with both lengths, not with their product.
    var sum = Acc(0.0);
    var run = Acc(0.0);
    let first = part * LENGTH;
    var j = first % params.group_in;
    var tap = first / params.group_in;
    let last = min(first + LENGTH, term_count());
    for (var t = first; t < last; t++) {
        let at = tap_position(place, start, tap);
        if at.x < size.x && at.y < size.y {
            let x = f32(input[image_index(place.x, at.x, at.y, first_channel, size) + j * step]);
            run = fma(Acc(x), unpacked(kernel[kernel_vector(start, tap, j, vector)]), run);
        }
        if (t & 63u) == 63u {
            sum += run;
            run = Acc(0.0);
        }
        j++;
        if j == params.group_in {
            j = 0u;
            tap++;
        }
    }
    output[item] = sum + run;
}
