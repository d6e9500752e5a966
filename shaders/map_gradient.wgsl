// The backward pass of an activation: the chain rule, element by element.
//
// output[i] = gradient[i] · activate(input[i]), where `activate` is the derivative; one element per invocation.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read> gradient: array<Elem>;
@group(0) @binding(3) var<storage, read_write> output: array<Elem>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let item = workgroup_index(workgroup, workgroups) * WORKGROUP + invocation;
    if item < params.items {
        output[item] = Elem(Acc(gradient[item]) * activate(Acc(input[item])));
    }
}
