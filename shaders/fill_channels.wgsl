// First of two launches of a convolution whose input channels do not come in fours: the input, filled up to such.
//
//   output[p, g·padded_in + j] = input[pixel p, g·group_in + j]    for j < group_in, else 0
//
// for all input pixels, channels last. One pixel and four channels per invocation.
// Memory: every element read and every vector written once.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> output: array<Vec>;

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
    let group_vectors = (params.group_in + 3u) / 4u;
    let pixel = item / (group_vectors * params.groups);
    let vector = item % (group_vectors * params.groups);
    let row = pixel / params.in_w;
    let size = vec3(params.in_h, params.in_w, params.in_c);
    let position = image_index(row / params.in_h, row % params.in_h, pixel % params.in_w, 0u, size);
    let channel = vector / group_vectors * params.group_in + vector % group_vectors * 4u;
    output[item] = packed(input_four(position, channel));
}
