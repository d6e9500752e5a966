// Batch normalisation in training, first launch: the statistics of parts of the channels (split-K).
//
// A channel of [outer, channels, inner] has count = outer·inner values, a part of it about as many as there are parts. One
// vector of channels and one part per invocation, in two passes, of which the second finds its values cached:
//
//   output[part, 0, channel] = mean of x,   output[part, 1, channel] = sum of (x − that mean)²
//
// over the part's x, each a value less the first of the channel: means are small then, and exact. Where values lie is in
// lib/batch.wgsl.
// Memory: every value is read twice.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Vec>;
@group(0) @binding(2) var<storage, read_write> output: array<Vec>;

/// The sum of x − mean, or of its square, over a part, for x as it is without `first`.
fn sum_of_powers(channel: u32, part: u32, first: Acc, mean: Acc, squared: bool) -> Acc {
    let length = length_of(part);
    var total = Acc(0.0);
    for (var start = 0u; start < length; start += RUN) {
        var run = Acc(0.0);
        for (var i = start; i < min(start + RUN, length); i++) {
            let x = Acc(input[position(channel, value_of(part, i))]) - first - mean;
            run += select(x, x * x, squared);
        }
        total += run;
    }
    return total;
}

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
    let first = Acc(input[position(place.x, 0u)]);
    let mean = sum_of_powers(place.x, place.y, first, Acc(0.0), false) / Acc(f32(length_of(place.y)));
    let at = 2u * place.y * params.channels + place.x;
    output[at] = Vec(mean);
    output[at + params.channels] = Vec(sum_of_powers(place.x, place.y, first, mean, true));
}
