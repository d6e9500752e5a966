// The backward pass of batch normalisation in training, first launch: the sums over parts of the channels that gradients need
// (split-K). A second one adds the parts up in order (line_parts.wgsl).
//
// One vector of channels and one part per invocation:
//
//   output[part, 0, channel] = sum of g,   output[part, 1, channel] = sum of g · x̂,
//       x̂ = (input − mean) / √(variance + epsilon),   g = gradient · activate(x̂ · gamma + beta)
//
// where `activate` is the derivative of the activation. Where values lie is in lib/batch.wgsl.
// Memory: every value of either tensor is read once.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Vec>;
@group(0) @binding(2) var<storage, read> gradient: array<Vec>;
@group(0) @binding(3) var<storage, read> gamma: array<OfChannel>;
@group(0) @binding(4) var<storage, read> beta: array<OfChannel>;
@group(0) @binding(5) var<storage, read> moments: array<OfChannel>;
@group(0) @binding(6) var<storage, read_write> output: array<Vec>;

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
    let place = part_of(item);
    let channel = channel_of(place.x);
    let length = length_of(place.y);
    var total = Acc(0.0);
    var total_apart = Acc(0.0);
    for (var start = 0u; start < length; start += RUN) {
        var run = Acc(0.0);
        var run_apart = Acc(0.0);
        for (var i = start; i < min(start + RUN, length); i++) {
            let at = position(place.x, value_of(place.y, i));
            let x = Acc(input[at]);
            let g = Acc(gradient[at]) * activate(normalized(channel, x));
            run += g;
            run_apart += g * (x - channel.mean);
        }
        total += run;
        total_apart += run_apart;
    }
    let at = 2u * place.y * params.channels + place.x;
    output[at] = Vec(total);
    output[at + params.channels] = Vec(total_apart * channel.inverse);
}
