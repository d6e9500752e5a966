// What a training minimises: how far predictions are from targets, and which way to move each prediction (the loss and
// its gradient, in one launch).
//
// A line is what one loss is of: the classes of one sample, along the middle axis of [outer, extent, inner]. With x its
// predictions, y its targets (of class indices: 1 where i is the index, else 0), C = extent, w the line's weight:
//
//   losses[o, k]        = w · loss(x, y)
//   gradient[o, i, k]   = scale · w · d loss / d x_i             (lib/loss_gradient.wgsl)
//
//   SQUARED_ERROR … BINARY_FOCAL   loss = sum of pointwise(x_i, y_i) / C, but a plain sum for KL_DIVERGENCE
//   CROSS_ENTROPY                  − sum of y_i · ln p_i; p = softmax x (LOGITS), or x / sum x
//   CATEGORICAL_FOCAL              − sum of α · y_i · (1 − p_i)^γ · ln p_i
//   GENERALIZED                    (1 − x_y^q) / q of the class y
//   COSINE                         − sum of x_i · y_i / (‖x‖ · ‖y‖)
//   CATEGORICAL_HINGE              max(max over i of (1 − y_i) · x_i − sum of x_i · y_i + 1, 0)
//   DICE                           1 − 2 · sum x y / (sum x + sum y + ε)
//   TVERSKY                        1 − sum x y / (sum x y + α · sum (1 − x) y + β · sum x (1 − y) + ε)
//
//   TOP_K                          1 where fewer than k predictions are larger than that of the class, else 0
//   BINARY_ACCURACY                mean of 1 where x > threshold just as y = 1, else 0
//
// Probabilities are clipped to [ε, 1 − ε] before a logarithm, and have the gradient 0 beyond. Targets are smoothed:
// y becomes keep · y + share.
//
// A team is an invocation or a workgroup: lib/team_alone.wgsl, lib/team_workgroup.wgsl.
// Memory: two to four passes over a line.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<f32>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;

const SQUARED_ERROR: u32 = 0u;
const ABSOLUTE_ERROR: u32 = 1u;
const ABSOLUTE_PERCENTAGE_ERROR: u32 = 2u;
const SQUARED_LOGARITHMIC_ERROR: u32 = 3u;
const HUBER: u32 = 4u;
const LOG_COSH: u32 = 5u;
const POISSON: u32 = 6u;
const KL_DIVERGENCE: u32 = 7u;
const HINGE: u32 = 8u;
const SQUARED_HINGE: u32 = 9u;
const BINARY_CROSS_ENTROPY: u32 = 10u;
const BINARY_FOCAL: u32 = 11u;
const CROSS_ENTROPY: u32 = 12u;
const CATEGORICAL_FOCAL: u32 = 13u;
const GENERALIZED: u32 = 14u;
const COSINE: u32 = 15u;
const CATEGORICAL_HINGE: u32 = 16u;
const DICE: u32 = 17u;
const TVERSKY: u32 = 18u;
const TOP_K: u32 = 19u;
const BINARY_ACCURACY: u32 = 20u;

/// Values are summed in runs of this many, and then the runs: the error grows with both lengths, not with their product.
const RUN: u32 = 64u;

/// What losses of a whole line need to know of it before they know the loss.
struct Line {
    /// Of the first element in input, targets and gradient.
    start: u32,
    item: u32,
    member: u32,
    most: f32,
    sums: vec3<f32>,
    more: vec2<f32>,
}

fn number(bits: u32) -> f32 {
    return bitcast<f32>(bits);
}

fn prediction(line: Line, i: u32) -> f32 {
    return input[line.start + i * params.inner];
}

fn desired(line: Line, i: u32) -> f32 {
    var y = 0.0;
    if SPARSE {
        y = select(0.0, 1.0, targets[line.item] == f32(i));
    } else {
        y = targets[line.start + i * params.inner];
    }
    return y * number(params.keep) + number(params.share);
}

/// A probability as a logarithm takes it.
fn clipped(p: f32) -> f32 {
    let epsilon = number(params.epsilon);
    return keep_nan(p, clamp(p, epsilon, 1.0 - epsilon));
}

/// 1 where clipping leaves p as it is.
fn inside(p: f32) -> f32 {
    let epsilon = number(params.epsilon);
    return select(0.0, 1.0, p >= epsilon && p <= 1.0 - epsilon);
}

/// The loss of one element, and its derivative by x.
fn pointwise(x: f32, y: f32) -> vec2<f32> {
    let epsilon = number(params.epsilon);
    let first = number(params.act_0);
    let second = number(params.act_1);
    let d = x - y;
    switch FUNCTION {
        case SQUARED_ERROR {
            return vec2(d * d, 2.0 * d);
        }
        case ABSOLUTE_ERROR {
            return vec2(abs(d), sign(d));
        }
        case ABSOLUTE_PERCENTAGE_ERROR {
            return vec2(abs(d), sign(d)) * (100.0 / max(abs(y), epsilon));
        }
        case SQUARED_LOGARITHMIC_ERROR {
            let of_x = max(x, epsilon) + 1.0;
            let difference = sound_log(of_x) - sound_log(max(y, epsilon) + 1.0);
            return vec2(keep_nan(x, difference * difference), select(0.0, 2.0 * difference / of_x, x >= epsilon));
        }
        case HUBER {
            if abs(d) <= first {
                return vec2(0.5 * d * d, d);
            }
            return vec2(first * abs(d) - 0.5 * first * first, first * sign(d));
        }
        case LOG_COSH {
            return vec2(abs(d) + log1p_unit(exp(-2.0 * abs(d))) - 0.6931472, tanh_keras(d));
        }
        case POISSON {
            return vec2(x - y * sound_log(x + epsilon), 1.0 - y / (x + epsilon));
        }
        case KL_DIVERGENCE {
            let p = keep_nan(x, clamp(x, epsilon, 1.0));
            let q = keep_nan(y, clamp(y, epsilon, 1.0));
            return vec2(q * sound_log(q / p), select(0.0, -q / p, x >= epsilon && x <= 1.0));
        }
        case HINGE {
            let margin = 1.0 - y * x;
            return vec2(keep_nan(margin, max(margin, 0.0)), select(0.0, -y, margin > 0.0));
        }
        case SQUARED_HINGE {
            let margin = keep_nan(1.0 - y * x, max(1.0 - y * x, 0.0));
            return vec2(margin * margin, -2.0 * y * margin);
        }
        case BINARY_FOCAL {
            var p = x;
            var q = 1.0 - x;
            var entropy = binary_cross_entropy(x, y);
            if LOGITS {
                p = sigmoid(x);
                q = sigmoid(-x);
            }
            // 1 less the probability that is given to what is true, of which the first derivative by p is 1 − 2 y.
            let miss = y * q + (1.0 - y) * p;
            let factor = power(miss, second);
            // 1 less what is lost of it: where `first` is negative, the classes are not balanced.
            let balance = select(y * first + (1.0 - y) * (1.0 - first), 1.0, first < 0.0);
            let by_p = select(1.0, p * q, LOGITS);
            // A power of 0 has no slope, not even where nothing is missed.
            let steepness = select(second * power(miss, second - 1.0), 0.0, second == 0.0);
            let slope = factor * entropy.y + steepness * (1.0 - 2.0 * y) * by_p * entropy.x;
            return balance * vec2(factor * entropy.x, slope);
        }
        default {
            return binary_cross_entropy(x, y);
        }
    }
}

fn binary_cross_entropy(x: f32, y: f32) -> vec2<f32> {
    if LOGITS {
        return vec2(max(x, 0.0) - x * y + log1p_unit(exp_minus_abs(x)), sigmoid(x) - y);
    }
    // Keras subtracts what it has clipped: at 1 − ε that is not ε, but what f32 leaves of it.
    let p = clipped(x);
    let q = 1.0 - p;
    return vec2(-y * sound_log(p) - (1.0 - y) * sound_log(q), inside(x) * ((1.0 - y) / q - y / p));
}

/// The probability that a line's prediction `x` gives its class.
fn probability(line: Line, x: f32) -> f32 {
    if LOGITS {
        return exp(x - line.most) / line.sums.x;
    }
    return x / line.sums.x;
}

/// What the first pass adds up.
fn first_terms(line: Line, i: u32) -> vec3<f32> {
    let x = prediction(line, i);
    let y = desired(line, i);
    if FUNCTION <= BINARY_FOCAL {
        return vec3(pointwise(x, y).x, 0.0, 0.0);
    }
    switch FUNCTION {
        case CROSS_ENTROPY {
            if LOGITS {
                let z = x - line.most;
                // A class with nothing to it may have a logit of −∞.
                return vec3(exp(z), y, select(y * z, 0.0, y == 0.0));
            }
            return vec3(select(x, clipped(x), SPARSE), 0.0, 0.0);
        }
        case CATEGORICAL_FOCAL {
            return vec3(select(x, exp(x - line.most), LOGITS), 0.0, 0.0);
        }
        case GENERALIZED {
            return vec3(select(x, 0.0, y == 0.0), 0.0, 0.0);
        }
        case COSINE {
            return vec3(x * x, y * y, x * y);
        }
        case TOP_K {
            // Of equal ones the first is taken, where only one is.
            let before = x == line.most && f32(i) < line.more.x && number(params.act_0) == 1.0;
            return vec3(select(0.0, 1.0, x > line.most || before), 0.0, 0.0);
        }
        case BINARY_ACCURACY {
            return vec3(select(0.0, 1.0, select(0.0, 1.0, x > number(params.act_0)) == y), 0.0, 0.0);
        }
        case CATEGORICAL_HINGE {
            return vec3(x * y, select(0.0, 1.0, (1.0 - y) * x == line.most), 0.0);
        }
        default {
            return vec3(x * y, x, y);
        }
    }
}

/// The derivative of a categorical focal loss by the probability of one class.
fn focal_slope(p: f32, y: f32) -> f32 {
    let alpha = number(params.act_0);
    let gamma = number(params.act_1);
    let o = clipped(p);
    let falling = gamma * power(1.0 - o, gamma - 1.0) * sound_log(o);
    return inside(p) * alpha * y * (falling - power(1.0 - o, gamma) / o);
}

/// What the second pass adds up, knowing the first.
fn second_terms(line: Line, i: u32) -> vec2<f32> {
    let x = prediction(line, i);
    let y = desired(line, i);
    if FUNCTION == CATEGORICAL_FOCAL {
        let p = probability(line, x);
        let o = clipped(p);
        let loss = number(params.act_0) * y * power(1.0 - o, number(params.act_1)) * -sound_log(o);
        return vec2(loss, focal_slope(p, y) * p);
    }
    if SPARSE {
        return vec2(select(sound_log(clipped(x)), 0.0, y == 0.0), 0.0);
    }
    let p = x / line.sums.x;
    return vec2(-y * sound_log(clipped(p)), y * inside(p));
}

fn loss_of(line: Line) -> f32 {
    let epsilon = number(params.epsilon);
    let sums = line.sums;
    if FUNCTION == KL_DIVERGENCE {
        return sums.x;
    }
    if FUNCTION <= BINARY_FOCAL {
        return sums.x / f32(params.extent);
    }
    switch FUNCTION {
        case CROSS_ENTROPY {
            if LOGITS {
                return sums.y * logarithm(sums.x) - sums.z;
            }
            return select(line.more.x, logarithm(sums.x) - line.more.x, SPARSE);
        }
        case CATEGORICAL_FOCAL {
            return line.more.x;
        }
        case TOP_K {
            let is_nan = (bitcast<u32>(line.most) & 0x7fffffffu) > 0x7f800000u;
            return select(0.0, 1.0, sums.x < number(params.act_0) && !is_nan);
        }
        case BINARY_ACCURACY {
            return sums.x / f32(params.extent);
        }
        case GENERALIZED {
            let q = number(params.act_0);
            return (1.0 - power(sums.x, q)) / q;
        }
        case COSINE {
            return -sums.z * inverse_norm(sums.x) * inverse_norm(sums.y);
        }
        case CATEGORICAL_HINGE {
            let margin = line.most - sums.x + 1.0;
            return keep_nan(margin, max(margin, 0.0));
        }
        case DICE {
            return 1.0 - 2.0 * sums.x / (sums.y + sums.z + epsilon);
        }
        default {
            return 1.0 - sums.x / tversky_divisor(sums);
        }
    }
}

fn inverse_norm(squares: f32) -> f32 {
    return min(1.0 / sqrt(squares), 1.0e12);
}

fn tversky_divisor(sums: vec3<f32>) -> f32 {
    let missed = number(params.act_0) * (sums.z - sums.x);
    return sums.x + missed + number(params.act_1) * (sums.y - sums.x) + number(params.epsilon);
}

/// The derivative of the line's loss by its prediction `i`.
fn slope(line: Line, i: u32) -> f32 {
    let x = prediction(line, i);
    let y = desired(line, i);
    let sums = line.sums;
    if FUNCTION == KL_DIVERGENCE {
        return pointwise(x, y).y;
    }
    if FUNCTION <= BINARY_FOCAL {
        return pointwise(x, y).y / f32(params.extent);
    }
    switch FUNCTION {
        case CROSS_ENTROPY {
            if LOGITS {
                return sums.y * exp(x - line.most) / sums.x - y;
            }
            if SPARSE {
                return inside(x) * (1.0 / sums.x - y / clipped(x));
            }
            let p = x / sums.x;
            return (line.more.y - y * inside(p) / clipped(p)) / sums.x;
        }
        case CATEGORICAL_FOCAL {
            let p = probability(line, x);
            let against = focal_slope(p, y) - line.more.y;
            return against * select(1.0 / sums.x, p, LOGITS);
        }
        case GENERALIZED {
            // The probabilities of the other classes may be 0, whose power is infinite.
            return select(-power(x, number(params.act_0) - 1.0), 0.0, y == 0.0);
        }
        case COSINE {
            let of_x = inverse_norm(sums.x);
            let of_y = inverse_norm(sums.y);
            let cosine = sums.z * of_x * of_y;
            return (cosine * x * of_x - y * of_y) * of_x;
        }
        case CATEGORICAL_HINGE {
            let largest = select(0.0, (1.0 - y) / sums.y, (1.0 - y) * x == line.most);
            return select(0.0, largest - y, line.most - sums.x + 1.0 > 0.0);
        }
        case DICE {
            let divisor = sums.y + sums.z + number(params.epsilon);
            return (2.0 * sums.x / divisor - 2.0 * y) / divisor;
        }
        default {
            let divisor = tversky_divisor(sums);
            let alpha = number(params.act_0);
            let beta = number(params.act_1);
            return (sums.x / divisor * (y * (1.0 - alpha - beta) + beta) - y) / divisor;
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
    var line: Line;
    line.start = item / params.inner * params.extent * params.inner + item % params.inner;
    line.item = item;
    line.member = member_of(invocation);
    if FUNCTION == CATEGORICAL_HINGE || ((FUNCTION == CROSS_ENTROPY || FUNCTION == CATEGORICAL_FOCAL) && LOGITS) {
        var most = bitcast<f32>(params.lowest);
        for (var i = line.member; i < params.extent; i += TEAM) {
            let x = prediction(line, i);
            most = larger(most, select(x, (1.0 - desired(line, i)) * x, FUNCTION == CATEGORICAL_HINGE));
        }
        line.most = finite(team_largest(line.member, most));
    }
    if FUNCTION == TOP_K {
        var label = 0.0;
        if SPARSE {
            label = targets[item];
        } else {
            // The first of the largest targets.
            var most = bitcast<f32>(params.lowest);
            for (var i = line.member; i < params.extent; i += TEAM) {
                most = larger(most, desired(line, i));
            }
            most = team_largest(line.member, most);
            var first = -f32(params.extent);
            for (var i = line.member; i < params.extent; i += TEAM) {
                first = max(first, select(-f32(params.extent), -f32(i), desired(line, i) == most));
            }
            label = -team_largest(line.member, first);
        }
        line.more = vec2(label, 0.0);
        line.most = prediction(line, u32(clamp(label, 0.0, f32(params.extent - 1u))));
    }
    var total = vec3(0.0);
    for (var start = line.member; start < params.extent; start += RUN * TEAM) {
        var run = vec3(0.0);
        for (var i = start; i < min(start + RUN * TEAM, params.extent); i += TEAM) {
            run += first_terms(line, i);
        }
        total += run;
    }
    line.sums = vec3(team_sum(line.member, total.x), team_sum(line.member, total.y), team_sum(line.member, total.z));
    if FUNCTION == CATEGORICAL_FOCAL || (FUNCTION == CROSS_ENTROPY && !LOGITS) {
        var rest = vec2(0.0);
        for (var start = line.member; start < params.extent; start += RUN * TEAM) {
            var run = vec2(0.0);
            for (var i = start; i < min(start + RUN * TEAM, params.extent); i += TEAM) {
                run += second_terms(line, i);
            }
            rest += run;
        }
        line.more = vec2(team_sum(line.member, rest.x), team_sum(line.member, rest.y));
    }
    var weight = 1.0;
    if params.share_weight > 0u {
        weight = weights[item / params.share_weight];
    }
    var known = true;
    var counts = true;
    if SPARSE {
        let label = targets[item];
        counts = label != number(params.ignored);
        known = label >= 0.0 && label < f32(params.extent);
    }
    if line.member == 0u {
        // A label that is no class has no loss: NaN says so.
        let loss = select(bitcast<f32>(params.unknown), weight * loss_of(line), known);
        losses[item] = select(0.0, loss, counts);
    }
    if GRADIENT {
        for (var i = line.member; i < params.extent; i += TEAM) {
            let by_x = select(bitcast<f32>(params.unknown), number(params.scale) * weight * slope(line, i), known);
            write_gradient(line.start + i * params.inner, select(0.0, by_x, counts));
        }
    }
}
