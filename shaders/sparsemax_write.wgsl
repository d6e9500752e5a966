// Last of several launches of sparsemax over very long lines, whose thresholds sparsemax_threshold.wgsl has found.
//
// Sparsemax from what is known of each line of [outer, spread, groups]: its largest value and its threshold relative to
// that, one value per invocation:
//
//   output[o, s, g] = max(x − largest − threshold, 0)

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;
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
    let line = item / params.groups / params.spread * params.groups + item % params.groups;
    // A line with a NaN has a largest value that is one, and is NaN throughout.
    output[item] = Elem(larger(f32(input[item]) - largest[line] - thresholds[line], 0.0));
}
