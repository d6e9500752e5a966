// Weight packing: the matrix products read a kernel in fours (vectorised loads), and this launch gives it that form.
//
// A kernel in Keras's order, each group's channels filled up with zeros to multiples of four on either side:
//
//   output[tap, j, g·padded_out + f] = kernel[tap, j, g·group_out + f]    for j < group_in and f < group_out, else 0
//
// One element per invocation; runs once for a weight.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> kernel: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;

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
    let padded_in = (params.group_in + 3u) / 4u * 4u;
    let padded_out = (params.group_out + 3u) / 4u * 4u;
    let f = item % padded_out;
    let group = item / padded_out % params.groups;
    let row = item / padded_out / params.groups;
    let j = row % padded_in;
    let tap = row / padded_in;
    var value = Elem(0.0);
    if j < params.group_in && f < params.group_out {
        value = kernel[((tap * params.group_in + j) * params.groups + group) * params.group_out + f];
    }
    output[item] = value;
}
