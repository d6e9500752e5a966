// A function of the caller's for each element of the output.
//
//   output[i] = element(i)
//
// `element` is the caller's; what it reads by, `x(row, column)` for a tensor called `x`, is written for its tensors
// (src/plan/custom.rs), and gives 0 outside of them.
//
// Constants: WORKGROUP; Elem is the type in memory.
// Memory: what the function reads, and the output once.

@group(0) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let item = workgroup_index(workgroup, workgroups) * WORKGROUP + invocation;
    if item < params.items {
        output_elements[item] = Elem(element(item));
    }
}
