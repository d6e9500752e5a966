// A recurrence over time, for LSTM, GRU and SimpleRNN: a workgroup for each sequence, its state in workgroup memory.
//
// With x = input[b, t], the products of what goes in, [GATES, UNITS], and p[g, j] = sum over k of h[k]·kernel[k, g, j] (+ bias), where
// h[k] is multiplied by the factor of its gate, if there are such (lib/recurrent_sequence.wgsl):
//
//   LSTM (FUNCTION 0)         i, f, o = gate(x + p), c ← f·c + i·activate(x_c + p_c), h ← o·activate(c)
//   GRU (1), reset after      z, r = gate(x + p), h ← z·h + (1 − z)·activate(x_h + r·p_h)
//   GRU (2), reset before     the same with activate(x_h + (r·h)·kernel_h)
//   SimpleRNN (3)             h ← activate(x + p)
//
// A time that is masked away leaves h and c as they are; its output is h. Where BEGINS, h and, of an LSTM, c begin as `states` has them
// side by side; as zeros otherwise.
// A launch makes `steps` times from `first` on: it takes h from the output at the time before, and c from `cell`.
// Constants: UNITS, GATES, FUNCTION, BIAS, BACKWARDS: the last time is read first; MASKED, DROPPED, BEGINS.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read> kernel: array<Elem>;
@group(0) @binding(3) var<storage, read> bias: array<Elem>;
@group(0) @binding(4) var<storage, read_write> output: array<Elem>;
@group(0) @binding(5) var<storage, read_write> cell: array<f32>;
@group(0) @binding(6) var<storage, read> of_sequence: array<Elem>;
@group(0) @binding(7) var<storage, read> states: array<Elem>;

var<workgroup> state: array<f32, UNITS>;
var<workgroup> next: array<f32, UNITS>;
var<workgroup> memory: array<f32, UNITS>;
var<workgroup> reset: array<f32, UNITS>;

/// What the product of the state has beside it, for gate `g` of unit `j`.
fn recurrent_bias(g: u32, j: u32) -> f32 {
    if BIAS {
        return f32(bias[g * UNITS + j]);
    }
    return 0.0;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let b = workgroup_index(workgroup, workgroups);
    if b >= params.batch {
        return;
    }
    for (var j = invocation; j < UNITS; j += WORKGROUP) {
        state[j] = 0.0;
        memory[j] = 0.0;
        if BEGINS {
            if FUNCTION == 0u {
                state[j] = f32(states[2u * b * UNITS + j]);
                memory[j] = f32(states[(2u * b + 1u) * UNITS + j]);
            } else {
                state[j] = f32(states[b * UNITS + j]);
            }
        }
        if params.first > 0u {
            state[j] = f32(output[(b * params.times + params.first - 1u) * UNITS + j]);
            memory[j] = cell[b * UNITS + j];
        }
    }
    workgroupBarrier();
    for (var s = 0u; s < params.steps; s++) {
        let t = params.first + s;
        var source = t;
        if BACKWARDS {
            source = params.times - 1u - t;
        }
        let counts = counts_at(b, t);
        let x = (b * params.times + source) * GATES * UNITS;
        for (var j = invocation; j < UNITS; j += WORKGROUP) {
            var p0 = recurrent_bias(0u, j);
            var p1 = 0.0;
            var p2 = 0.0;
            var p3 = 0.0;
            if GATES > 1u {
                p1 = recurrent_bias(1u, j);
                p2 = recurrent_bias(2u, j);
            }
            if GATES > 3u {
                p3 = recurrent_bias(3u, j);
            }
            for (var k = 0u; k < UNITS; k++) {
                let h = state[k];
                let row = k * GATES * UNITS + j;
                p0 += h * factor_at(b, 0u, k) * f32(kernel[row]);
                if GATES > 1u {
                    p1 += h * factor_at(b, 1u, k) * f32(kernel[row + UNITS]);
                }
                if GATES > 2u && FUNCTION != 2u {
                    p2 += h * factor_at(b, 2u, k) * f32(kernel[row + 2u * UNITS]);
                }
                if GATES > 3u {
                    p3 += h * factor_at(b, 3u, k) * f32(kernel[row + 3u * UNITS]);
                }
            }
            let x0 = f32(input[x + j]);
            if FUNCTION == 3u {
                next[j] = activate(x0 + p0);
            } else {
                let x1 = f32(input[x + UNITS + j]);
                let x2 = f32(input[x + 2u * UNITS + j]);
                if FUNCTION == 0u {
                    let x3 = f32(input[x + 3u * UNITS + j]);
                    let kept = activate_gate(x1 + p1) * memory[j];
                    let c = kept + activate_gate(x0 + p0) * activate(x2 + p2);
                    if counts {
                        memory[j] = c;
                    }
                    next[j] = activate_gate(x3 + p3) * activate(c);
                } else {
                    let z = activate_gate(x0 + p0);
                    let r = activate_gate(x1 + p1);
                    if FUNCTION == 1u {
                        next[j] = z * state[j] + (1.0 - z) * activate(x2 + r * p2);
                    } else {
                        memory[j] = z;
                        reset[j] = r * state[j];
                    }
                }
            }
        }
        workgroupBarrier();
        if FUNCTION == 2u {
            for (var j = invocation; j < UNITS; j += WORKGROUP) {
                var p = recurrent_bias(2u, j);
                for (var k = 0u; k < UNITS; k++) {
                    p += reset[k] * factor_at(b, 2u, k) * f32(kernel[(k * GATES + 2u) * UNITS + j]);
                }
                let h = activate(f32(input[x + 2u * UNITS + j]) + p);
                next[j] = memory[j] * state[j] + (1.0 - memory[j]) * h;
            }
            workgroupBarrier();
        }
        for (var j = invocation; j < UNITS; j += WORKGROUP) {
            if counts {
                state[j] = next[j];
            }
            output[(b * params.times + t) * UNITS + j] = Elem(state[j]);
        }
        workgroupBarrier();
    }
    for (var j = invocation; j < UNITS; j += WORKGROUP) {
        cell[b * UNITS + j] = memory[j];
    }
}
