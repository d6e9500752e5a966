// What the adapter can do at most, as kernels that do nothing else.

@group(0) @binding(0) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> output: array<vec4<f32>>;

/// Rounds of `multiply_add`, of 64 fused multiply-adds each.
const ROUNDS: u32 = 256u;

@compute @workgroup_size(64)
fn copy(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.x + id.y * groups.x * 64u;
    output[at] = input[at];
}

/// Eight chains of scalar multiply-adds in registers, 64 for each invocation and round.
@compute @workgroup_size(64)
fn multiply_add(@builtin(global_invocation_id) id: vec3<u32>) {
    var a = vec4(f32(id.x)) + vec4(0.0, 1.0, 2.0, 3.0);
    var b = a + 4.0;
    let m = vec4(0.9999);
    for (var round = 0u; round < ROUNDS; round++) {
        a = fma(a, m, m); b = fma(b, m, m);
        a = fma(a, m, m); b = fma(b, m, m);
        a = fma(a, m, m); b = fma(b, m, m);
        a = fma(a, m, m); b = fma(b, m, m);
        a = fma(a, m, m); b = fma(b, m, m);
        a = fma(a, m, m); b = fma(b, m, m);
        a = fma(a, m, m); b = fma(b, m, m);
        a = fma(a, m, m); b = fma(b, m, m);
    }
    output[id.x] = a + b;
}
