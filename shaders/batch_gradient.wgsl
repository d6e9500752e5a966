// The backward pass of batch normalisation in training: the gradient to the input, through mean and variance too.
//
// One vector of channels per invocation, at ROWS positions with CHANNELS_LAST:
//
//   output = gamma / √(variance + epsilon) · (g − sums[0] / count − x̂ · sums[1] / count),
//       x̂ = (input − mean) / √(variance + epsilon),   g = gradient · activate(x̂ · gamma + beta)
//
// where `activate` is the derivative of the activation. Memory: two reads and one write for each value.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Vec>;
@group(0) @binding(2) var<storage, read> gradient: array<Vec>;
@group(0) @binding(3) var<storage, read> gamma: array<OfChannel>;
@group(0) @binding(4) var<storage, read> beta: array<OfChannel>;
@group(0) @binding(5) var<storage, read> moments: array<OfChannel>;
@group(0) @binding(6) var<storage, read> sums: array<OfChannel>;
@group(0) @binding(7) var<storage, read_write> output: array<Vec>;

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
    let index = item / params.inner % params.channels;
    let channel = channel_of(index);
    let mean_g = Acc(sums[index]) / Acc(f32(params.count));
    let by_x = Acc(sums[params.channels + index]) / Acc(f32(params.count)) * channel.inverse;
    for (var row = 0u; row < ROWS; row++) {
        let at = item + row * params.items;
        if at < params.count * params.channels || !CHANNELS_LAST {
            let x = Acc(input[at]);
            let g = Acc(gradient[at]) * activate(normalized(channel, x));
            output[at] = Vec(channel.factor * (g - mean_g - (x - channel.mean) * by_x));
        }
    }
}
