// Sparsemax is a softmax whose small outputs are exactly 0: what exceeds a threshold is kept, and the threshold is
// found in steps. Over very long lines each step is two launches; this is the first.
//
// What a step of sparsemax takes of each line of [outer, spread, groups], in parts, one part per invocation: of the
// values y_i = x_i − largest above the line's threshold,
//
//   shares[p, line] = (sum of y_i − threshold, their number)    over i = p, p + parts, p + 2·parts, …
//
// Constants: FIRST, where there is no threshold yet; all values but those that are far below the largest are above −1.
// Memory: every value is read once; neighbours read neighbours where the lines lie side by side.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read_write> shares: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> largest: array<f32>;
@group(0) @binding(4) var<storage, read> thresholds: array<f32>;

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
    let lines = params.items / params.parts;
    let line = item % lines;
    let part = item / lines;
    let first = line / params.groups * params.spread * params.groups + line % params.groups;
    var threshold = -1.0;
    if !FIRST {
        threshold = thresholds[line];
    }
    var excess = 0.0;
    var count = 0.0;
    for (var i = part; i < params.spread; i += params.parts) {
        let y = f32(input[first + i * params.groups]) - largest[line];
        if y > threshold {
            excess += y - threshold;
            count += 1.0;
        }
    }
    shares[item] = vec2(excess, count);
}
