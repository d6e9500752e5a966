// Lines taken from a table by their numbers: for embeddings, and for indexing by a tensor (gather).
//
// output[o, j, i] = table[o, n, i] with n = index[o·index_outer + j·index_count + i·index_inner], row-major. A number below 0
// counts from the end of the axis; one beyond either end, or none, makes NaN, which cannot pass for a value.
//
// Memory: a read of the index, one of the table and one write for each element.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<Elem>;
@group(0) @binding(2) var<storage, read> index: array<Index>;
@group(0) @binding(3) var<storage, read_write> output: array<Elem>;

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
    let i = item % params.inner;
    let j = item / params.inner % params.count;
    let o = item / params.inner / params.count;
    let given = trunc(f32(index[o * params.index_outer + j * params.index_count + i * params.index_inner]));
    let number = select(given, given + f32(params.extent), given < 0.0);
    if number >= 0.0 && number < f32(params.extent) {
        output[item] = table[(o * params.extent + u32(number)) * params.inner + i];
    } else {
        output[item] = Elem(bitcast<f32>(0x7fc00000u | (params.items >> 31u)));
    }
}
