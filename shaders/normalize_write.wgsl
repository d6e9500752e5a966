// Last of several launches of a normalisation of very long lines, whose statistics line_parts.wgsl has found.
//
// Normalisation of [outer, spread, groups, extent] from what is known of each line (o, g), one value per invocation:
//
//   output[o, s, g, e] = (x − shift) · factor · gamma[at] + beta[at],
//       x = input[o, s, g, e],  at = s·spread_step + g·group_step + e / run
//
// where shift and factor are made as in normalize.wgsl of the mean and the mean square about it, with UNIT of the sum
// of squares.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read> gamma: array<Elem>;
@group(0) @binding(3) var<storage, read> beta: array<Elem>;
@group(0) @binding(4) var<storage, read_write> output: array<Elem>;
@group(0) @binding(5) var<storage, read> squares: array<f32>;
@group(0) @binding(6) var<storage, read> means: array<f32>;

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
    let e = item % params.extent;
    let g = item / params.extent % params.groups;
    let s = item / params.extent / params.groups % params.spread;
    let line = item / params.extent / params.groups / params.spread * params.groups + g;
    let shift = select(0.0, means[line], FUNCTION == STANDARD);
    var y = (f32(input[item]) - shift) * factor_of(squares[line], bitcast<f32>(params.epsilon));
    let weight = s * params.spread_step + g * params.group_step + e / params.run;
    if HAS_GAMMA {
        y *= f32(gamma[weight]);
    }
    if HAS_BETA {
        y += f32(beta[weight]);
    }
    output[item] = Elem(y);
}
