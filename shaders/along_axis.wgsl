// Softmax over the classes of an image, and all that is like it: each output of a line of values needs all of its
// values (a reduction). kernels/along_axis.rs chooses who computes a line.
//
// A function of the values along the middle axis of [outer, extent, inner], one line per team (glu: one output).
//
//   SOFTMAX      output[o, i, k] = e^(x_i − max x) / sum over j of e^(x_j − max x)
//   LOG_SOFTMAX  output[o, i, k] = x_i − max x − ln sum over j of e^(x_j − max x)
//   SPARSEMAX    output[o, i, k] = max(x_i − τ, 0), τ such that the outputs sum to 1
//   GLU          output[o, i, k] = x_i · sigmoid(x_{i + extent/2})
//   MEAN         output[o, k]    = sum over j of x_j / extent
//   MAX, MIN     output[o, k]    = the largest, the smallest x_j; NaN where one is
//   SUM          output[o, k]    = sum over j of x_j
//   SUM_SQUARE   output[o, k]    = sum over j of x_j²
//   L1           output[o, k]    = sum over j of |x_j|
//   L2           output[o, k]    = √ sum over j of x_j²
//   LOG_SUM      output[o, k]    = ln sum over j of x_j
//   LOG_SUM_EXP  output[o, k]    = max x + ln sum over j of e^(x_j − max x), with 0 for an infinite max x
//
// A team is an invocation or a workgroup: lib/team_alone.wgsl, lib/team_workgroup.wgsl. A team of several takes the values
// of its line in turn; GLU wants a team of one.
// Memory: one to four passes over the line; lines that lie side by side are read by neighbouring teams.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;

const SOFTMAX: u32 = 0u;
const LOG_SOFTMAX: u32 = 1u;
const SPARSEMAX: u32 = 2u;
const GLU: u32 = 3u;
const MEAN: u32 = 4u;
const MAX: u32 = 5u;
const MIN: u32 = 6u;
const SUM: u32 = 7u;
const SUM_SQUARE: u32 = 8u;
const L1: u32 = 9u;
const L2: u32 = 10u;
const LOG_SUM: u32 = 11u;
const LOG_SUM_EXP: u32 = 12u;

const_assert TEAM == 1u || FUNCTION != GLU;

/// Values are summed in runs of this many, and then the runs: the error grows with both lengths, not with their product.
const RUN: u32 = 64u;

fn value(line: u32, i: u32) -> f32 {
    return f32(input[line + i * params.inner]);
}

/// What a sum over the line adds for `x`, given the line's maximum `t`.
fn term(x: f32, t: f32) -> f32 {
    if FUNCTION == MEAN || FUNCTION == SUM || FUNCTION == LOG_SUM {
        return x;
    }
    if FUNCTION == SUM_SQUARE || FUNCTION == L2 {
        return x * x;
    }
    if FUNCTION == L1 {
        return abs(x);
    }
    return exp(x - t);
}

fn sum_of_terms(line: u32, member: u32, t: f32) -> f32 {
    var total = 0.0;
    for (var start = member; start < params.extent; start += RUN * TEAM) {
        var run = 0.0;
        for (var i = start; i < min(start + RUN * TEAM, params.extent); i += TEAM) {
            run += term(value(line, i), t);
        }
        total += run;
    }
    return team_sum(member, total);
}

/// The largest of the values times `factor`; the first one stands in for those that a member has none of.
fn largest(line: u32, member: u32, factor: f32) -> f32 {
    var most = factor * value(line, 0u);
    for (var i = member; i < params.extent; i += TEAM) {
        most = larger(most, factor * value(line, i));
    }
    return team_largest(member, most);
}

/// Michelot's algorithm, which is Newton's method on the sum of what is above the threshold, less 1: the threshold of a support,
/// then the support above that threshold, until it stays. So many passes reach the last bit.
/// Values are taken relative to the line's maximum and to the threshold so far, which keeps the sums small.
fn sparsemax_threshold(line: u32, member: u32, most: f32) -> f32 {
    var threshold = -1.0;
    var support = -1.0;
    for (var turn = 0u; turn < params.passes; turn++) {
        var excess = 0.0;
        var count = 0.0;
        for (var i = member; i < params.extent; i += TEAM) {
            let x = value(line, i) - most;
            if x > threshold {
                excess += x - threshold;
                count += 1.0;
            }
        }
        excess = team_sum(member, excess);
        count = team_sum(member, count);
        // A line with a NaN has nothing above.
        if count == 0.0 {
            break;
        }
        threshold += (excess - 1.0) / count;
        if count == support {
            break;
        }
        support = count;
    }
    return threshold;
}

/// The function of a line that has one value.
fn reduced(line: u32, member: u32) -> f32 {
    switch FUNCTION {
        case MAX {
            return largest(line, member, 1.0);
        }
        case MIN {
            return -largest(line, member, -1.0);
        }
        case MEAN {
            return sum_of_terms(line, member, 0.0) / f32(params.extent);
        }
        case L2 {
            return sqrt(sum_of_terms(line, member, 0.0));
        }
        case LOG_SUM {
            return logarithm(sum_of_terms(line, member, 0.0));
        }
        case LOG_SUM_EXP {
            let most = finite(largest(line, member, 1.0));
            return most + logarithm(sum_of_terms(line, member, most));
        }
        default {
            return sum_of_terms(line, member, 0.0);
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let item = line_of(workgroup_index(workgroup, workgroups), invocation);
    if item >= params.items {
        return;
    }
    let member = member_of(invocation);
    let k = item % params.inner;
    if FUNCTION == GLU {
        let half = params.extent / 2u;
        let i = item / params.inner % half;
        let line = item / params.inner / half * params.extent * params.inner + k;
        output[item] = Elem(value(line, i) * glu_gate(value(line, i + half)));
        return;
    }
    let line = item / params.inner * params.extent * params.inner + k;
    if FUNCTION >= MEAN {
        let result = reduced(line, member);
        if member == 0u {
            output[item] = Elem(result);
        }
        return;
    }
    let most = largest(line, member, 1.0);
    if FUNCTION == SPARSEMAX {
        let threshold = sparsemax_threshold(line, member, most);
        for (var i = member; i < params.extent; i += TEAM) {
            // A line with a NaN has a largest value that is one, and is NaN throughout.
            output[line + i * params.inner] = Elem(larger(value(line, i) - most - threshold, 0.0));
        }
        return;
    }
    let total = sum_of_terms(line, member, most);
    for (var i = member; i < params.extent; i += TEAM) {
        let x = value(line, i) - most;
        output[line + i * params.inner] = Elem(select(exp(x) / total, x - log(total), FUNCTION == LOG_SOFTMAX));
    }
}

fn glu_gate(x: f32) -> f32 {
    let t = exp(-abs(x));
    let gate = select(t, 1.0, x >= 0.0) / (1.0 + t);
    // Seen by its bits, since shaders may assume that NaN does not occur.
    return select(gate, x, (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u);
}
