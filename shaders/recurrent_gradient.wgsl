// The backward pass of a recurrence (backpropagation through time): from the last time to the first, a workgroup for each
// sequence.
//
// Everything that the forward pass has made is known: its states h, and so the products p of every state before with the
// recurrent kernel. What is not known is how the loss changes with a state, dh: that is the gradient that is given, and what
// comes from the time behind, which is computed last here for the time before:
//
//   da[g, j] = the gradient of x[g, j], from dh by the formulas of recurrent.wgsl, written to `output`
//   dh[k]    = sum over g, j of dp[g, j]·kernel[g, j, k], times the factor of h[k] for g if there are such, + what h[k] gives beside
//
// A time that is masked away has no da, and hands dh and the gradient of the cell on as they are.
//
// `kernel` is the recurrent kernel with its two axes changed. dp is da, but for the third gate of a GRU: that resets after the
// product r·da there, that resets before it what reaches the reset state.
//
// A launch makes `steps` times backwards from `last` on. `kept` is [cells + 2, sequences, units]: the cells from the one to begin with
// (recurrent_cells.wgsl), then dh and, of an LSTM, the gradient of the cells, on their way to the time before; in the end those of the
// states to begin with. `before` has the state before every time.
// Constants: UNITS, GATES, FUNCTION, MASKED, DROPPED.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read> other: array<Elem>;
@group(0) @binding(3) var<storage, read> before: array<Elem>;
@group(0) @binding(4) var<storage, read> kernel: array<Elem>;
@group(0) @binding(5) var<storage, read> gradient: array<Elem>;
@group(0) @binding(6) var<storage, read_write> output: array<Elem>;
@group(0) @binding(7) var<storage, read_write> kept: array<f32>;
@group(0) @binding(8) var<storage, read> of_sequence: array<Elem>;

/// dp of one time.
var<workgroup> products: array<f32, PRODUCTS>;

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
    let size = params.batch * UNITS;
    let carried = params.cells * size + b * UNITS;
    for (var s = 0u; s < params.steps; s++) {
        let t = params.last - s;
        let behind = t + 1u < params.times;
        let counts = counts_at(b, t);
        let h = (b * params.times + t) * UNITS;
        let x = (b * params.times + t) * GATES * UNITS;
        for (var j = invocation; j < UNITS; j += WORKGROUP) {
            var dh = f32(gradient[h + j]);
            if behind {
                dh += kept[carried + j];
            }
            if !counts {
                for (var g = 0u; g < GATES; g++) {
                    products[g * UNITS + j] = 0.0;
                    output[x + g * UNITS + j] = Elem(0.0);
                }
                kept[carried + j] = dh;
                continue;
            }
            let a0 = f32(input[x + j]) + f32(other[x + j]);
            if FUNCTION == 3u {
                let d = dh * activate_slope(a0);
                products[j] = d;
                output[x + j] = Elem(d);
                kept[carried + j] = 0.0;
            } else {
                let a1 = f32(input[x + UNITS + j]) + f32(other[x + UNITS + j]);
                let x2 = f32(input[x + 2u * UNITS + j]);
                let p2 = f32(other[x + 2u * UNITS + j]);
                if FUNCTION == 0u {
                    let a3 = f32(input[x + 3u * UNITS + j]) + f32(other[x + 3u * UNITS + j]);
                    let at = (t * params.batch + b) * UNITS + j;
                    let last = kept[at];
                    let c = kept[at + size];
                    let dc = dh * activate_gate(a3) * activate_slope(c) + kept[carried + size + j];
                    let di = dc * activate(x2 + p2) * gate_slope(a0);
                    let df = dc * last * gate_slope(a1);
                    let dm = dc * activate_gate(a0) * activate_slope(x2 + p2);
                    let d_out = dh * activate(c) * gate_slope(a3);
                    products[j] = di;
                    products[UNITS + j] = df;
                    products[2u * UNITS + j] = dm;
                    products[3u * UNITS + j] = d_out;
                    output[x + j] = Elem(di);
                    output[x + UNITS + j] = Elem(df);
                    output[x + 2u * UNITS + j] = Elem(dm);
                    output[x + 3u * UNITS + j] = Elem(d_out);
                    kept[carried + j] = 0.0;
                    kept[carried + size + j] = dc * activate_gate(a1);
                } else {
                    let z = activate_gate(a0);
                    let r = activate_gate(a1);
                    var a2 = x2 + p2;
                    if FUNCTION == 1u {
                        a2 = x2 + r * p2;
                    }
                    let dz = dh * (f32(before[h + j]) - activate(a2)) * gate_slope(a0);
                    let dm = dh * (1.0 - z) * activate_slope(a2);
                    products[j] = dz;
                    output[x + j] = Elem(dz);
                    output[x + 2u * UNITS + j] = Elem(dm);
                    kept[carried + j] = dh * z;
                    if FUNCTION == 1u {
                        let dr = dm * p2 * gate_slope(a1);
                        products[UNITS + j] = dr;
                        products[2u * UNITS + j] = dm * r;
                        output[x + UNITS + j] = Elem(dr);
                    } else {
                        products[2u * UNITS + j] = dm;
                    }
                }
            }
        }
        workgroupBarrier();
        if FUNCTION == 2u {
            for (var k = invocation; k < UNITS; k += WORKGROUP) {
                // To the reset state r·h.
                var d = 0.0;
                for (var j = 0u; j < UNITS; j++) {
                    d += products[2u * UNITS + j] * f32(kernel[(2u * UNITS + j) * UNITS + k]);
                }
                d *= factor_at(b, 2u, k);
                if counts {
                    let a1 = f32(input[x + UNITS + k]) + f32(other[x + UNITS + k]);
                    let dr = d * f32(before[h + k]) * gate_slope(a1);
                    products[UNITS + k] = dr;
                    output[x + UNITS + k] = Elem(dr);
                    kept[carried + k] += d * activate_gate(a1);
                }
            }
            workgroupBarrier();
        }
        for (var k = invocation; k < UNITS; k += WORKGROUP) {
            var d = 0.0;
            for (var j = 0u; j < UNITS; j++) {
                let row = j * UNITS + k;
                d += products[j] * f32(kernel[row]) * factor_at(b, 0u, k);
                if GATES > 1u {
                    d += products[UNITS + j] * f32(kernel[row + UNITS * UNITS]) * factor_at(b, 1u, k);
                }
                if GATES > 2u && FUNCTION != 2u {
                    d += products[2u * UNITS + j] * f32(kernel[row + 2u * UNITS * UNITS]) * factor_at(b, 2u, k);
                }
                if GATES > 3u {
                    d += products[3u * UNITS + j] * f32(kernel[row + 3u * UNITS * UNITS]) * factor_at(b, 3u, k);
                }
            }
            kept[carried + k] += d;
        }
        workgroupBarrier();
    }
}
