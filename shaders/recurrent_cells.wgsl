// The cells of an LSTM once more, for its backward pass, which needs those of every time: one invocation for each unit of a
// sequence.
//
// With a = x + p, [GATES, UNITS] of every time (recurrent.wgsl):    c ← gate(a_f)·c + gate(a_i)·activate(a_c)
//
// A launch makes `steps` times from `first` on. Cells lie in `kept` as [time, sequence, unit]. Constant: UNITS.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read> other: array<Elem>;
@group(0) @binding(3) var<storage, read_write> kept: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let item = workgroup_index(workgroup, workgroups) * WORKGROUP + invocation;
    if item >= params.batch * UNITS {
        return;
    }
    let b = item / UNITS;
    var c = 0.0;
    if params.first > 0u {
        c = kept[(params.first - 1u) * params.batch * UNITS + item];
    }
    for (var s = 0u; s < params.steps; s++) {
        let t = params.first + s;
        let at = (b * params.times + t) * 4u * UNITS + item % UNITS;
        let i = activate_gate(f32(input[at]) + f32(other[at]));
        let f = activate_gate(f32(input[at + UNITS]) + f32(other[at + UNITS]));
        let made = activate(f32(input[at + 2u * UNITS]) + f32(other[at + 2u * UNITS]));
        c = f * c + i * made;
        kept[t * params.batch * UNITS + item] = c;
    }
}
