// Split-K: the second launch of a kernel's gradient, which adds up the parts of the pixels.
//
// The sum of the parts, one vector per invocation:
//
//   output[i] = sum over parts of input[part, i]
//
// in the order of the parts, so that the same inputs give the same bits. Constants: LANES divides the kernel's elements; RUN, parts of
// a run.
// Memory: every part is read once.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> output: array<Vec>;

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
    // Parts are summed in runs, and then the runs: the error grows with both lengths, not with their product.
    var total = Acc(0.0);
    for (var first = 0u; first < params.parts; first += RUN) {
        var run = Acc(0.0);
        for (var part = first; part < min(first + RUN, params.parts); part++) {
            run += input_at(part * params.items + item);
        }
        total += run;
    }
    output[item] = packed(total);
}
