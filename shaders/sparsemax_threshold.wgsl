// Second launch of a step of sparsemax over very long lines (sparsemax_parts.wgsl is the first).
//
// A step of sparsemax to its threshold, one line per invocation, by Newton's method on the sum of what is above the
// threshold, less 1:
//
//   thresholds[line] += (sum of the excess − 1) / number of values above
//
// from the shares that sparsemax_parts.wgsl has found. Constants: FIRST, where the threshold is −1 yet.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> shares: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> thresholds: array<f32>;

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
    var sums = vec2(0.0);
    for (var part = 0u; part < params.parts; part++) {
        sums += shares[part * params.items + item];
    }
    var threshold = -1.0;
    if !FIRST {
        threshold = thresholds[item];
    }
    // A line with a NaN has nothing above.
    thresholds[item] = select(threshold, threshold + (sums.x - 1.0) / sums.y, sums.y > 0.0);
}
