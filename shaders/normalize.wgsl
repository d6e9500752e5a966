// Layer, group and unit normalisation: a line of values less its mean, divided by its deviation, all found by one team
// (parallel reduction).
//
// Normalisation by statistics over spread and extent of [outer, spread, group, extent], one line (o, g) per team:
//
//   output[o, s, g, e] = (x − shift) · factor · gamma[at] + beta[at],
//       x = input[o, s, g, e],  at = s·spread_step + g·group_step + e / run
//
//   STANDARD   shift = mean,  factor = 1 / √(variance + epsilon)
//   DEVIATION  shift = 0,     factor = 1 / √(variance + epsilon)
//   UNIT       shift = 0,     factor = 1 / √max(sum of x², epsilon)
//
// The variance is that about the mean, which is found first: no difference of large squares. What rounding has left of that
// mean is found along with the squares and taken off too (corrected two-pass algorithm, Chan, Golub and LeVeque): where the
// values are nearly equal, such as those of a flat image, the deviation is as small as that rest.
//
// A team is an invocation or a workgroup: lib/team_alone.wgsl, lib/team_workgroup.wgsl.
// Constants: SPREAD tells whether spread exceeds 1. Memory: two or three passes over the line.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read> gamma: array<Elem>;
@group(0) @binding(3) var<storage, read> beta: array<Elem>;
@group(0) @binding(4) var<storage, read_write> output: array<Elem>;

/// Values are summed in runs of this many, and then the runs: the error grows with both lengths, not with their product.
const RUN: u32 = 64u;

/// The position in the spread of value `i` of a line.
fn spread_of(i: u32) -> u32 {
    if SPREAD {
        return i / params.extent;
    }
    return 0u;
}

/// Where value `i` of the line that starts at `first` lies.
fn position(first: u32, i: u32) -> u32 {
    return first + i + spread_of(i) * (params.groups - 1u) * params.extent;
}

/// A member's share of the sum of x over the line. What it misses is found along with the squares.
fn rough_share(first: u32, member: u32) -> f32 {
    let count = params.spread * params.extent;
    var total = 0.0;
    for (var start = member; start < count; start += RUN * TEAM) {
        var run = 0.0;
        for (var i = start; i < min(start + RUN * TEAM, count); i += TEAM) {
            run += f32(input[position(first, i)]);
        }
        total += run;
    }
    return total;
}

/// A member's share of the sum of x − shift over the line, and of that of its square.
fn share_about(first: u32, member: u32, shift: f32) -> vec2<f32> {
    let count = params.spread * params.extent;
    var total = vec2<f32>();
    for (var start = member; start < count; start += RUN * TEAM) {
        var run = vec2<f32>();
        for (var i = start; i < min(start + RUN * TEAM, count); i += TEAM) {
            let x = f32(input[position(first, i)]) - shift;
            run += vec2<f32>(x, x * x);
        }
        total += run;
    }
    return total;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let line = line_of(workgroup_index(workgroup, workgroups), invocation);
    if line >= params.items {
        return;
    }
    let member = member_of(invocation);
    let group = line % params.groups;
    let first = (line / params.groups * params.spread * params.groups + group) * params.extent;
    let count = params.spread * params.extent;
    let epsilon = bitcast<f32>(params.epsilon);

    var mean = 0.0;
    var rest = 0.0;
    var square = 0.0;
    if FUNCTION == UNIT {
        square = team_sum(member, share_about(first, member, 0.0).y);
    } else {
        mean = team_sum(member, rough_share(first, member)) / f32(count);
        let about = share_about(first, member, mean);
        rest = team_sum(member, about.x) / f32(count);
        square = larger(team_sum(member, about.y) / f32(count) - rest * rest, 0.0);
    }
    let factor = factor_of(square, epsilon);
    if FUNCTION == DEVIATION {
        mean = 0.0;
        rest = 0.0;
    }

    for (var i = member; i < count; i += TEAM) {
        let at = position(first, i);
        let s = spread_of(i);
        let weight = s * params.spread_step + group * params.group_step + (i - s * params.extent) / params.run;
        var y = (f32(input[at]) - mean - rest) * factor;
        if HAS_GAMMA {
            y *= f32(gamma[weight]);
        }
        if HAS_BETA {
            y += f32(beta[weight]);
        }
        output[at] = Elem(y);
    }
}
