// Batch normalisation in training, by the statistics of the batch, with the activation behind it.
//
// One vector of channels per invocation, at ROWS positions with CHANNELS_LAST:
//
//   output[o, c, i] = activate((input[o, c, i] − mean[c]) / √(variance[c] + epsilon) · gamma[c] + beta[c])
//
// Memory: one read and one write for each value; neighbours read neighbours.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Vec>;
@group(0) @binding(2) var<storage, read> gamma: array<OfChannel>;
@group(0) @binding(3) var<storage, read> beta: array<OfChannel>;
@group(0) @binding(4) var<storage, read> moments: array<OfChannel>;
@group(0) @binding(5) var<storage, read_write> output: array<Vec>;

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
    let channel = channel_of(item / params.inner % params.channels);
    for (var row = 0u; row < ROWS; row++) {
        let at = item + row * params.items;
        if at < params.count * params.channels || !CHANNELS_LAST {
            output[at] = Vec(activate(normalized(channel, Acc(input[at]))));
        }
    }
}
