// The backward pass of a convolution to its kernel, for processors that act as GPUs: one tile per subgroup, operands shared by
// broadcast, no barriers (conv_kernel_gradient.wgsl is the same for others).
//
//   output[part][tap, j, f] = sum over pixels p of the part of input[p·stride + tap·dilation − pad, j] · gradient[p, f]
//
// A subgroup owns 4·IN_VECTORS input channels by 4·SUBGROUP output channels of a tap, and some lines of pixels (split-K: a
// second launch adds up the parts). Four pixels at a time: a lane loads its own four output channels of each of them, and the
// lanes share out the input channels, which subgroupBroadcast then gives to all. So a sum is touched once for four products.
//
// Pixels whose tap is outside the input are left out at both ends of a line, and behind the last one of a line zeros are
// multiplied. The sums of a part are one chain.
//
// Constants: SUBGROUP is 4 or 8 and the adapter's only subgroup size; IN_VECTORS at most as much, LOADS = 4·IN_VECTORS / SUBGROUP,
// SUMS = 4·IN_VECTORS, FOUR = 4. What j counts,
// of which there are `rows`, stands in lib/gradient_channels.wgsl and lib/gradient_rows.wgsl. The output channels of a group come
// in fours.
// Memory, for four pixels: 4 + 4·IN_VECTORS / SUBGROUP loads of a vec4 per lane for 64·IN_VECTORS multiply-adds.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read_write> output: array<Sum>;

const_assert SUBGROUP == 4u || SUBGROUP == 8u;
const_assert IN_VECTORS <= SUBGROUP;

@compute @workgroup_size(SUBGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let tile = workgroup_index(workgroup, workgroups);
    if tile >= params.items {
        return;
    }
    let vectors = params.group_out / 4u;
    let vector_tiles = (vectors + SUBGROUP - 1u) / SUBGROUP;
    let row_tiles = (params.rows + SUMS - 1u) / SUMS;
    let groups = params.out_c / params.group_out;
    let vector = tile % vector_tiles * SUBGROUP + lane;
    let group = tile / vector_tiles % groups;
    let first_row = tile / vector_tiles / groups % row_tiles * SUMS;
    let tap = tile / vector_tiles / groups / row_tiles % GRADIENT_TAPS;
    let part = tile / vector_tiles / groups / row_tiles / GRADIENT_TAPS;

    // What this lane loads: beyond the last channel the last again, which is not stored.
    let own_vector = group * vectors + min(vector, vectors - 1u);
    let own_row = min(first_row + lane % IN_VECTORS * 4u, last_vector());
    let ahead = lane / IN_VECTORS;
    let reach = reach_of(tap);
    let columns = columns_of(reach.z);

    var sums = array<vec4<f32>, SUMS>();
    let last_line = min((part + 1u) * params.length, params.lines);
    var line = part * params.length;
    // Counted, as divisions are dear.
    var row = line % params.out_h;
    var depth = line / params.out_h % params.out_d;
    var image = line / params.out_h / params.out_d;
    loop {
        if line >= last_line {
            break;
        }
        let iz = i32(depth * STRIDE_D) + reach.x;
        let iy = i32(row * STRIDE_H) + reach.y;
        if iz < 0 || iz >= i32(params.in_d) || iy < 0 || iy >= i32(params.in_h) {
            continue;
        }
        let input_line = (image * params.in_d + u32(iz)) * params.in_h + u32(iy);
        let gradient_line = line * params.out_w;
        for (var column = columns.x; column < columns.y; column += 4u) {
            let behind = columns.y - 1u;
            var pixels: array<vec4<f32>, 4>;
            // unroll
            for (var q = 0u; q < FOUR; q++) {
                let at = (gradient_line + min(column + q, behind)) * (params.out_c / 4u) + own_vector;
                pixels[q] = select(vec4(0.0), gradient_at(at), column + q <= behind);
            }
            var rows: array<vec4<f32>, LOADS>;
            // unroll
            for (var load = 0u; load < LOADS; load++) {
                let at = min(column + load * (SUBGROUP / IN_VECTORS) + ahead, behind);
                rows[load] = row_at(input_line, i32(at * STRIDE_W) + reach.z, group * params.rows + own_row);
            }
            // unroll
            for (var i = 0u; i < IN_VECTORS; i++) {
                let x = subgroupBroadcast(rows[i / SUBGROUP], i % SUBGROUP);
                let y = subgroupBroadcast(rows[(i + IN_VECTORS) / SUBGROUP], (i + IN_VECTORS) % SUBGROUP);
                let z = subgroupBroadcast(rows[(i + 2u * IN_VECTORS) / SUBGROUP], (i + 2u * IN_VECTORS) % SUBGROUP);
                let w = subgroupBroadcast(rows[(i + 3u * IN_VECTORS) / SUBGROUP], (i + 3u * IN_VECTORS) % SUBGROUP);
                sums[4u * i] = four(sums[4u * i], vec4(x.x, y.x, z.x, w.x), pixels[0], pixels[1], pixels[2], pixels[3]);
                sums[4u * i + 1u] = four(sums[4u * i + 1u], vec4(x.y, y.y, z.y, w.y), pixels[0], pixels[1], pixels[2], pixels[3]);
                sums[4u * i + 2u] = four(sums[4u * i + 2u], vec4(x.z, y.z, z.z, w.z), pixels[0], pixels[1], pixels[2], pixels[3]);
                sums[4u * i + 3u] = four(sums[4u * i + 3u], vec4(x.w, y.w, z.w, w.w), pixels[0], pixels[1], pixels[2], pixels[3]);
            }
        }

        continuing {
            line++;
            row++;
            if row == params.out_h {
                row = 0u;
                depth++;
            }
            if depth == params.out_d {
                depth = 0u;
                image++;
            }
        }
    }
    if vector >= vectors {
        return;
    }
    let run = params.out_c / 4u;
    // unroll
    for (var s = 0u; s < SUMS; s++) {
        if first_row + s < params.rows {
            output[((part * GRADIENT_TAPS + tap) * params.rows + first_row + s) * run + group * vectors + vector] = stored(sums[s]);
        }
    }
}

/// `sum` and the products of one input channel of four pixels with the output channels of each.
fn four(sum: vec4<f32>, x: vec4<f32>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> vec4<f32> {
    let ab = fma(vec4(x.y), b, fma(vec4(x.x), a, sum));
    return fma(vec4(x.w), d, fma(vec4(x.z), c, ab));
}
