// Last of several launches of a softmax over very long lines, whose statistics line_parts.wgsl has found.
//
// Softmax from what is known of each line of [outer, extent, groups]: its largest value and its sum of exponentials,
// one value per invocation:
//
//   output[o, i, g] = e^(x − largest) / sum,    or x − largest − ln sum with LOGARITHMIC

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;
@group(0) @binding(3) var<storage, read> largest: array<f32>;
@group(0) @binding(4) var<storage, read> sums: array<f32>;

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
    let x = f32(input[item]) - largest[line];
    output[item] = Elem(select(exp(x) / sums[line], x - log(sums[line]), LOGARITHMIC));
}
