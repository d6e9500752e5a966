// Batched matrix products (batched GEMM) of two tensors, as attention has: queries times keys. Dense layers run as
// convolutions instead.
//
// Matrix products, TILE rows by one vector of columns per invocation. For every coordinate c of the batch, a box of
// RANK axes, row-major:
//
//   output[c, m, n] = sum over k of left[sum over i of c_i·left_i + m·left_row + k·left_term]
//                                 · right[sum over i of c_i·right_i + k·right_term + n·right_column]
//
// Invocations run along the columns, as the output lies. Rows beyond the last are computed from the last and not
// stored.
//
// Long sums are computed in parts, of `length` terms each, for some of the outputs at a time: then the output is
// scratch memory [parts, outputs], and TILE is 1.
//
// Constants: RANK, TILE. With LANES = 4 the columns of the right side lie side by side and come in fours, and its
// strides and the output's are counted in vectors.
// Memory, for each term: TILE values of the left side and one vector of the right for TILE·LANES products.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> left: array<Elem>;
@group(0) @binding(2) var<storage, read> right: array<Vec>;
@group(0) @binding(3) var<storage, read_write> output: array<Out>;

/// Terms are summed in runs of this many, and then the runs: the error grows with both lengths, not with their product.
const RUN: u32 = 64u;

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
    let tiles = (params.rows + TILE - 1u) / TILE;
    let share = params.items / params.parts;
    let part = item / share;
    let tile = params.first + item % share;
    let column = tile % params.columns;
    let first = tile / params.columns % tiles * TILE;
    let batch = tile / params.columns / tiles;
    let place = place_of(batch);
    let right_start = place.right + column * params.right_column;

    var rows: array<u32, TILE>;
    var sums: array<Acc, TILE>;
    // unroll
    for (var t = 0u; t < TILE; t++) {
        rows[t] = place.left + min(first + t, params.rows - 1u) * params.left_row;
        sums[t] = Acc(0.0);
    }
    let last = min((part + 1u) * params.length, params.terms);
    for (var start = part * params.length; start < last; start += RUN) {
        var run: array<Acc, TILE>;
        // unroll
        for (var t = 0u; t < TILE; t++) {
            run[t] = Acc(0.0);
        }
        for (var k = start; k < min(start + RUN, last); k++) {
            let b = Acc(right[right_start + k * params.right_term]);
            // unroll
            for (var t = 0u; t < TILE; t++) {
                run[t] = fma(Acc(f32(left[rows[t] + k * params.left_term])), b, run[t]);
            }
        }
        // unroll
        for (var t = 0u; t < TILE; t++) {
            sums[t] += run[t];
        }
    }
    // unroll
    for (var t = 0u; t < TILE; t++) {
        if first + t < params.rows {
            let at = (batch * params.rows + first + t) * params.columns + column;
            output[at - params.first + part * share] = Out(sums[t]);
        }
    }
}
