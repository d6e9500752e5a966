// Random changes of every element: dropout, noise.
//
//   output[i] = r[i] < threshold ? dropped : scale·input[i] + shift                           DISTRIBUTION 0
//   output[i] = (scale + spread·r[i])·input[i] + shift·r[i]                                   DISTRIBUTION 1 and 2
//
// Of DISTRIBUTION 0, r is a whole number from 0 to 2²⁴ − 1, each as likely; of 1 a multiple of 2⁻²⁴ in [0, 1); of 2 a normal
// number of mean 0 and deviation 1, by the transform of Box and Muller. Four neighbouring elements share the four words that
// Philox makes of their place, of the problem's own number in the program, and of the number of the step; the key is the seed.
//
// Constants: LANES is 4 or 1, and divides the elements.
// Memory: a vector read and written; nothing is kept for the backward pass, which draws the same numbers again.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Vec>;
@group(0) @binding(2) var<storage, read> clock: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<Vec>;

/// The random numbers of four neighbouring elements, the `block`th four.
fn random(block: u32) -> vec4<f32> {
    // The number of the step comes in two parts of 24 bits, which f32 holds exactly.
    let counter = vec4(block, params.site, u32(clock[0]), u32(clock[1]));
    let words = vec4<f32>(philox(counter, vec2(params.seed_0, params.seed_1)) >> vec4(8u));
    if DISTRIBUTION == 0u {
        return words;
    }
    if DISTRIBUTION == 1u {
        return words * 5.9604644775390625e-8;
    }
    // The logarithm's argument is never 0.
    let radius = sqrt(-2.0 * log((words.xz + 1.0) * 5.9604644775390625e-8));
    // Between −π and π, where cosine and sine are best.
    let angle = (words.yw * 5.9604644775390625e-8 - 0.5) * 6.283185307179586;
    return vec4(radius.x * cos(angle.x), radius.x * sin(angle.x), radius.y * cos(angle.y), radius.y * sin(angle.y));
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
    let r = drawn(item);
    let x = Acc(input[item]);
    let scale = Acc(bitcast<f32>(params.scale));
    let shift = Acc(bitcast<f32>(params.shift));
    let spread = Acc(bitcast<f32>(params.spread));
    if DISTRIBUTION == 0u {
        output[item] = Vec(select(scale * x + shift, spread, r < Acc(bitcast<f32>(params.threshold))));
    } else {
        output[item] = Vec((scale + spread * r) * x + shift * r);
    }
}
