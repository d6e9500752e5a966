// What the adapter can do at most: kernels that do nothing else.
//
// `Number` is f32 or vec4<f32>. START, STEPS and TOTAL stand for text on chains, sums that do not depend on each other:
// `var s0 = n;`, …; over and over `s0 = fma(s0, m, n);`, …; and `s0 + …`.

@group(0) @binding(0) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> output: array<vec4<f32>>;

const ROUNDS: u32 = 512u;

@compute @workgroup_size(64)
fn copied(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) local: u32) {
    let at = (group.y * groups.x + group.x) * 64u + local;
    if at < arrayLength(&output) {
        output[at] = input[at];
    }
}

@compute @workgroup_size(64)
fn multiplied(@builtin(global_invocation_id) id: vec3<u32>) {
    // Read, so that no compiler can know them.
    let m = Number(input[0].x);
    let n = Number(input[0].y + f32(id.x));
    START
    for (var round = 0u; round < ROUNDS; round++) {
        STEPS
    }
    let total = TOTAL;
    // Never so, but no compiler can know that either.
    if all(vec4<f32>(total) == vec4(-1.0)) {
        output[0] = vec4<f32>(total);
    }
}
