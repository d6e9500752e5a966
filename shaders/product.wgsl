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

/// What is left of a number behind the axes walked so far, and where those led on either side.
struct Place {
    rest: u32,
    left: u32,
    right: u32,
}

/// Walks axis number `i` of the batch.
fn along(i: u32, extent: u32, left_stride: u32, right_stride: u32, place: Place) -> Place {
    if i >= RANK {
        return place;
    }
    let c = place.rest % extent;
    return Place(place.rest / extent, place.left + c * left_stride, place.right + c * right_stride);
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
    let tiles = (params.rows + TILE - 1u) / TILE;
    let share = params.items / params.parts;
    let part = item / share;
    let tile = params.first + item % share;
    let column = tile % params.columns;
    let first = tile / params.columns % tiles * TILE;
    let batch = tile / params.columns / tiles;
    var place = Place(batch, 0u, column * params.right_column);
    place = along(0u, params.extent_0, params.left_0, params.right_0, place);
    place = along(1u, params.extent_1, params.left_1, params.right_1, place);
    place = along(2u, params.extent_2, params.left_2, params.right_2, place);
    place = along(3u, params.extent_3, params.left_3, params.right_3, place);
    place = along(4u, params.extent_4, params.left_4, params.right_4, place);
    place = along(5u, params.extent_5, params.left_5, params.right_5, place);

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
            let b = Acc(right[place.right + k * params.right_term]);
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
