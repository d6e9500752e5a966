// One step of an optimizer for one weight, in place: SGD, Adam, RMSprop, …
//
// With w an element of the weight, g of its gradient, clipped, and s of its slots; lr, and what depends on the number of
// the step (bias corrections), come from `clock`, so that every step is the same launch:
//
//   SGD            w −= lr · g
//   MOMENTUM       v = μ · v − lr · g, w += v; NESTEROV: w += μ · v − lr · g
//   RMSPROP        a = ρ · a + (1 − ρ) · g²; w −= lr · g / √(a + ε); CENTERED: a less the square of the mean gradient
//   ADAM           m += (g − m)(1 − β₁); v += (g² − v)(1 − β₂); w −= p₀ · lr · α · m / (√v + ε); AMSGRAD: the largest v so far
//   ADAMAX         m as ADAM; u = max(β₂ · u, |g|); w −= α · m / (u + ε)
//   NADAM          m, v as ADAM; w −= (α · m + γ · g) / (√(v / δ) + ε)
//   ADAGRAD        a += g²; w −= lr · g / √(a + ε)
//   ADADELTA       a = ρ · a + (1 − ρ) · g²; Δ = −g · √(d + ε) / √(a + ε); d = ρ · d + (1 − ρ) · Δ²; w += lr · Δ
//   LION           w −= lr · sign(β₁ · m + (1 − β₁) · g); m = β₂ · m + (1 − β₂) · g
//   FTRL           follow the regularized leader, with accumulator and linear term
//   LAMB_MOMENTS   m, v as ADAM; change = m̂ / (√v̂ + ε);   LAMB_APPLY  w −= lr · ‖w‖ / ‖change‖ · change
//   MUON_MOMENTUM  m = μ · m + g; change = g + μ · m (NESTEROV) or m
//   APPLY          w −= lr · p₀ · g
//   ASSIGN         w = g;   ADD  w += g;   RESET  w = 0
//   AVERAGE        w = m · w + (1 − m) · g;   OVERWRITE  w = g where the step overwrites
//
// Before all but the last six, w −= decay · lr · w where the weight decays. A step that only adds gradients up (clock[UPDATES]
// is 0) does nothing but ASSIGN, ADD, AVERAGE and OVERWRITE, and one that is left out (below 0) nothing at all.
// Slots are in lib/slot_0.wgsl to lib/slot_2.wgsl.
// Memory: one pass; neighbours read and write neighbours.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> clock: array<f32>;
@group(0) @binding(3) var<storage, read> norm: array<f32>;
@group(0) @binding(4) var<storage, read> other_norm: array<f32>;
@group(0) @binding(5) var<storage, read_write> weight: array<f32>;

const SGD: u32 = 0u;
const MOMENTUM: u32 = 1u;
const NESTEROV: u32 = 2u;
const RMSPROP: u32 = 3u;
const RMSPROP_MOMENTUM: u32 = 4u;
const RMSPROP_CENTERED: u32 = 5u;
const RMSPROP_CENTERED_MOMENTUM: u32 = 6u;
const ADAM: u32 = 7u;
const AMSGRAD: u32 = 8u;
const ADAMAX: u32 = 9u;
const NADAM: u32 = 10u;
const ADAGRAD: u32 = 11u;
const ADADELTA: u32 = 12u;
const LION: u32 = 13u;
const FTRL: u32 = 14u;
const LAMB_MOMENTS: u32 = 15u;
const LAMB_APPLY: u32 = 16u;
const MUON_MOMENTUM: u32 = 17u;
const MUON_NESTEROV: u32 = 18u;
const APPLY: u32 = 19u;
const RESET: u32 = 20u;
const ASSIGN: u32 = 21u;
const ADD: u32 = 22u;
const AVERAGE: u32 = 23u;
const OVERWRITE: u32 = 24u;

/// Where the numbers of a step stand in `clock`.
const UPDATES: u32 = 0u;
const FACTOR: u32 = 1u;
const RATE: u32 = 2u;
const ALPHA: u32 = 3u;
const GAMMA: u32 = 4u;
const DELTA: u32 = 5u;
const AVERAGING: u32 = 6u;
const OVERWRITES: u32 = 7u;

const CLIP_VALUE: u32 = 1u;
const CLIP_NORM: u32 = 2u;
const CLIP_GLOBAL: u32 = 3u;

fn clipped(given: f32) -> f32 {
    let g = given * clock[FACTOR];
    let limit = bitcast<f32>(params.limit);
    switch CLIP {
        case CLIP_VALUE {
            return keep_nan(g, clamp(g, -limit, limit));
        }
        case CLIP_NORM {
            return g * (limit / larger(sqrt(norm[0]) * abs(clock[FACTOR]), limit));
        }
        case CLIP_GLOBAL {
            let n = sqrt(norm[0]) * abs(clock[FACTOR]);
            let finite = (bitcast<u32>(n) & 0x7fffffffu) < 0x7f800000u;
            return select(bitcast<f32>(params.unknown), g * (limit * min(1.0 / n, 1.0 / limit)), finite);
        }
        default {
            return g;
        }
    }
}


@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = workgroup_index(workgroup, workgroups) * WORKGROUP + invocation;
    if i >= params.items || clock[UPDATES] < 0.0 {
        return;
    }
    let p0 = bitcast<f32>(params.act_0);
    let p1 = bitcast<f32>(params.act_1);
    let p2 = bitcast<f32>(params.act_2);
    let rate = clock[RATE];
    if FUNCTION >= ASSIGN {
        switch FUNCTION {
            case ASSIGN {
                weight[i] = gradient[i];
            }
            case ADD {
                weight[i] += gradient[i];
            }
            case AVERAGE {
                weight[i] = clock[AVERAGING] * weight[i] + (1.0 - clock[AVERAGING]) * gradient[i];
            }
            default {
                if clock[OVERWRITES] != 0.0 {
                    weight[i] = gradient[i];
                }
            }
        }
        return;
    }
    if clock[UPDATES] == 0.0 {
        return;
    }
    if FUNCTION == RESET {
        weight[i] = 0.0;
        return;
    }
    if FUNCTION == LAMB_APPLY {
        let of_weight = sqrt(other_norm[0]);
        let of_change = sqrt(norm[0]);
        let ratio = select(1.0, of_weight / of_change, of_weight > 0.0 && of_change > 0.0);
        weight[i] -= ratio * rate * gradient[i];
        return;
    }
    if FUNCTION == APPLY {
        weight[i] -= rate * p0 * gradient[i];
        return;
    }
    let g = clipped(gradient[i]);
    var w = weight[i];
    if DECAYS {
        w -= w * bitcast<f32>(params.decay) * rate;
    }
    switch FUNCTION {
        case SGD {
            w -= rate * g;
        }
        case MOMENTUM, NESTEROV {
            let v = p0 * slot_0(i) - rate * g;
            keep_0(i, v);
            w += select(v, p0 * v - rate * g, FUNCTION == NESTEROV);
        }
        case RMSPROP, RMSPROP_MOMENTUM, RMSPROP_CENTERED, RMSPROP_CENTERED_MOMENTUM {
            let velocity = p0 * slot_0(i) + bitcast<f32>(params.rest_0) * g * g;
            keep_0(i, velocity);
            var divisor = velocity + p2;
            if FUNCTION == RMSPROP_CENTERED || FUNCTION == RMSPROP_CENTERED_MOMENTUM {
                // The last of the slots that it has.
                let before = select(slot_2(i), slot_1(i), FUNCTION == RMSPROP_CENTERED);
                let mean = p0 * before + bitcast<f32>(params.rest_0) * g;
                if FUNCTION == RMSPROP_CENTERED {
                    keep_1(i, mean);
                } else {
                    keep_2(i, mean);
                }
                divisor = velocity - mean * mean + p2;
            }
            var increment = rate * g / sqrt(divisor);
            if FUNCTION == RMSPROP_MOMENTUM || FUNCTION == RMSPROP_CENTERED_MOMENTUM {
                increment = p1 * slot_1(i) + increment;
                keep_1(i, increment);
            }
            w -= increment;
        }
        case ADAM, AMSGRAD, NADAM, LAMB_MOMENTS {
            let m = slot_0(i) + (g - slot_0(i)) * bitcast<f32>(params.rest_0);
            var v = slot_1(i) + (g * g - slot_1(i)) * bitcast<f32>(params.rest_1);
            keep_0(i, m);
            keep_1(i, v);
            if FUNCTION == NADAM {
                w -= rate * (clock[ALPHA] * m + clock[GAMMA] * g) / (sqrt(v / clock[DELTA]) + p2);
            } else if FUNCTION == LAMB_MOMENTS {
                keep_2(i, m / clock[ALPHA] / (sqrt(v / clock[DELTA]) + p2));
            } else {
                if FUNCTION == AMSGRAD {
                    v = larger(slot_2(i), v);
                    keep_2(i, v);
                }
                w -= rate * p0 * clock[ALPHA] * m / (sqrt(v) + p2);
            }
        }
        case ADAMAX {
            let m = slot_0(i) + (g - slot_0(i)) * bitcast<f32>(params.rest_0);
            let u = larger(p1 * slot_1(i), abs(g));
            keep_0(i, m);
            keep_1(i, u);
            w -= rate * m / (clock[ALPHA] * (u + p2));
        }
        case ADAGRAD {
            let a = slot_0(i) + g * g;
            keep_0(i, a);
            w -= rate * g / sqrt(a + p2);
        }
        case ADADELTA {
            let a = p0 * slot_0(i) + bitcast<f32>(params.rest_0) * g * g;
            keep_0(i, a);
            let change = -g * sqrt(slot_1(i) + p2) / sqrt(a + p2);
            keep_1(i, p0 * slot_1(i) + bitcast<f32>(params.rest_0) * change * change);
            w += rate * change;
        }
        case LION {
            let m = slot_0(i);
            w -= rate * keep_nan(g, sign(p0 * m + bitcast<f32>(params.rest_0) * g));
            keep_0(i, p1 * m + bitcast<f32>(params.rest_1) * g);
        }
        case FTRL {
            // p0: minus the learning rate's power; p1: l1; p2: l2; rest: shrinkage of l2 and beta.
            let accumulated = slot_0(i);
            let fresh = accumulated + g * g;
            let power_fresh = power(fresh, p0);
            let given = g + 2.0 * bitcast<f32>(params.rest_0) * w;
            let linear = slot_1(i) + given - (power_fresh - power(accumulated, p0)) / rate * w;
            let l2 = p2 + bitcast<f32>(params.rest_1) / (2.0 * rate);
            keep_0(i, fresh);
            keep_1(i, linear);
            w = keep_nan(linear, (clamp(linear, -p1, p1) - linear) / (power_fresh / rate + 2.0 * l2));
        }
        default {
            let m = slot_0(i) + g + slot_0(i) * (p0 - 1.0);
            keep_0(i, m);
            keep_1(i, select(m, g + p0 * m, FUNCTION == MUON_NESTEROV));
        }
    }
    weight[i] = w;
}
