// The cells of an LSTM once more, for its backward pass, which needs those of every time: one invocation for each unit of a
// sequence.
//
// With a = x + p, [GATES, UNITS] of every time (recurrent.wgsl):    c ← gate(a_f)·c + gate(a_i)·activate(a_c)
//
// A launch makes `steps` times from `first` on. Cells lie in `kept` as [time, sequence, unit], the one to begin with first; that is 0, or
// where BEGINS as `states` has it behind the state. A time that is masked away leaves the cell as it is. Two states behind the last cell
// stands the gradient of the last cell, 0 or where LAST_CELL as it is given, for recurrent_gradient.wgsl.
// Constants: UNITS, GATES, MASKED, DROPPED, BEGINS, LAST_CELL.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read> other: array<Elem>;
@group(0) @binding(3) var<storage, read_write> kept: array<f32>;
@group(0) @binding(4) var<storage, read> of_sequence: array<Elem>;
@group(0) @binding(5) var<storage, read> states: array<Elem>;
@group(0) @binding(6) var<storage, read> cell_gradient: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let item = workgroup_index(workgroup, workgroups) * WORKGROUP + invocation;
    let size = params.batch * UNITS;
    if item >= size {
        return;
    }
    let b = item / UNITS;
    var c = 0.0;
    if params.first > 0u {
        c = kept[params.first * size + item];
    } else {
        if BEGINS {
            c = f32(states[(2u * b + 1u) * UNITS + item % UNITS]);
        }
        kept[item] = c;
    }
    for (var s = 0u; s < params.steps; s++) {
        let t = params.first + s;
        let at = (b * params.times + t) * 4u * UNITS + item % UNITS;
        let i = activate_gate(f32(input[at]) + f32(other[at]));
        let f = activate_gate(f32(input[at + UNITS]) + f32(other[at + UNITS]));
        let made = activate(f32(input[at + 2u * UNITS]) + f32(other[at + 2u * UNITS]));
        if counts_at(b, t) {
            c = f * c + i * made;
        }
        kept[(t + 1u) * size + item] = c;
    }
    if params.first + params.steps == params.times {
        var behind = 0.0;
        if LAST_CELL {
            behind = cell_gradient[item];
        }
        kept[(params.times + 2u) * size + item] = behind;
    }
}
