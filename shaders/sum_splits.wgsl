// Split-K for speed: a few outputs with long sums leave a GPU idle (occupancy), so their sums are computed in parts
// side by side, and then added up here.
//
// Last of two launches of a convolution whose sum is split: outputs from the partial sums.
//
//   output[p, f] = activate(bias[f] + sum over s < SPLITS, in order, of input[p, s·out_c + f])
//
// where the parts have their channels last whatever the output has.
//
// One pixel and four channels per invocation. Memory: SPLITS vectors read for each written.

@group(0) @binding(0) var<uniform> params: Params;

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
    let vectors = params.out_c / 4u;
    let pixel = item / vectors;
    let channel = item % vectors * 4u;
    let read = pixel * SPLITS * vectors + item % vectors;
    var sum = bias_of_four(channel);
    for (var s = 0u; s < SPLITS; s++) {
        sum += input_at(read + s * vectors);
    }
    finish_four(pixel_place(pixel, 0u), channel, sum);
}
