// Batch normalisation in training, second launch: the statistics of channels from those of their parts, after Chan, Golub and
// LeVeque.
//
// One channel per invocation, with n values in a part of the count:
//
//   output[0, channel] = first + mean,   mean = sum over parts of n · of_parts[part, 0, channel] / count
//   output[1, channel] = sum over parts of (of_parts[part, 1, channel] + n · (of_parts[part, 0, channel] − mean)²) / count
//
// in the order of the parts, whose values are less the first of the channel.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Vec>;
@group(0) @binding(2) var<storage, read> of_parts: array<Vec>;
@group(0) @binding(3) var<storage, read_write> output: array<Vec>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let channel = workgroup_index(workgroup, workgroups) * WORKGROUP + invocation;
    if channel >= params.items {
        return;
    }
    let count = f32(params.count);
    var mean = 0.0;
    var run = 0.0;
    for (var part = 0u; part < params.parts; part++) {
        run += f32(length_of(part)) * of_parts[2u * part * params.channels + channel];
        if (part & 63u) == 63u {
            mean += run;
            run = 0.0;
        }
    }
    mean = (mean + run) / count;
    var squares = 0.0;
    run = 0.0;
    for (var part = 0u; part < params.parts; part++) {
        let at = 2u * part * params.channels + channel;
        let apart = of_parts[at] - mean;
        run += of_parts[at + params.channels] + f32(length_of(part)) * apart * apart;
        if (part & 63u) == 63u {
            squares += run;
            run = 0.0;
        }
    }
    output[channel] = input[position(channel, 0u)] + mean;
    output[params.channels + channel] = (squares + run) / count;
}
