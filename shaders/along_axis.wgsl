// A function of the values along the middle axis of [outer, extent, inner], one line per invocation (glu: one output).
//
//   SOFTMAX      output[o, i, k] = e^(x_i − max x) / sum over j of e^(x_j − max x)
//   LOG_SOFTMAX  output[o, i, k] = x_i − max x − ln sum over j of e^(x_j − max x)
//   SPARSEMAX    output[o, i, k] = max(x_i − τ, 0), τ such that the outputs sum to 1
//   GLU          output[o, i, k] = x_i · sigmoid(x_{i + extent/2})
//   MEAN         output[o, k]    = sum over j of x_j / extent
//
// Memory: two to four passes over the line; lines that lie side by side are read by neighbouring invocations.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;

const SOFTMAX: u32 = 0u;
const LOG_SOFTMAX: u32 = 1u;
const SPARSEMAX: u32 = 2u;
const GLU: u32 = 3u;
const MEAN: u32 = 4u;

/// Values are summed in runs of this many, and then the runs: the error grows with both lengths, not with their product.
const RUN: u32 = 64u;

fn value(line: u32, i: u32) -> f32 {
    return f32(input[line + i * params.inner]);
}

/// What a sum over the line adds for `x`, given the line's maximum or threshold `t`.
fn term(x: f32, t: f32) -> f32 {
    if FUNCTION == MEAN {
        return x;
    }
    if FUNCTION == SPARSEMAX {
        return select(0.0, x, x > t);
    }
    return exp(x - t);
}

fn sum_of_terms(line: u32, t: f32) -> f32 {
    var total = 0.0;
    for (var start = 0u; start < params.extent; start += RUN) {
        var run = 0.0;
        for (var i = start; i < min(start + RUN, params.extent); i++) {
            run += term(value(line, i), t);
        }
        total += run;
    }
    return total;
}

fn maximum(line: u32) -> f32 {
    var most = value(line, 0u);
    for (var i = 1u; i < params.extent; i++) {
        most = max(most, value(line, i));
    }
    return most;
}

/// Michelot's algorithm: the threshold of a support, then the support above that threshold, until it stays.
/// Values are taken relative to the line's maximum, which keeps the sums small.
fn sparsemax_threshold(line: u32, most: f32) -> f32 {
    var threshold = -1.0;
    var support = params.extent + 1u;
    loop {
        var total = 0.0;
        var count = 0u;
        for (var i = 0u; i < params.extent; i++) {
            let x = value(line, i) - most;
            if x > threshold {
                total += x;
                count += 1u;
            }
        }
        if count == support || count == 0u {
            break;
        }
        support = count;
        threshold = (total - 1.0) / f32(count);
    }
    return threshold;
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
    let k = item % params.inner;
    if FUNCTION == GLU {
        let half = params.extent / 2u;
        let i = item / params.inner % half;
        let line = item / params.inner / half * params.extent * params.inner + k;
        output[item] = Elem(value(line, i) * glu_gate(value(line, i + half)));
        return;
    }
    let line = item / params.inner * params.extent * params.inner + k;
    if FUNCTION == MEAN {
        output[item] = Elem(sum_of_terms(line, 0.0) / f32(params.extent));
        return;
    }
    let most = maximum(line);
    if FUNCTION == SPARSEMAX {
        let threshold = sparsemax_threshold(line, most);
        for (var i = 0u; i < params.extent; i++) {
            output[line + i * params.inner] = Elem(max(value(line, i) - most - threshold, 0.0));
        }
        return;
    }
    let total = sum_of_terms(line, most);
    for (var i = 0u; i < params.extent; i++) {
        let x = value(line, i) - most;
        output[line + i * params.inner] = Elem(select(exp(x) / total, x - log(total), FUNCTION == LOG_SOFTMAX));
    }
}

fn glu_gate(x: f32) -> f32 {
    let t = exp(-abs(x));
    return select(t, 1.0, x >= 0.0) / (1.0 + t);
}
