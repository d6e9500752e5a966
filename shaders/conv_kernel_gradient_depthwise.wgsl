// The backward pass of a depthwise convolution, or one of narrow groups, to its kernel, along lines of pixels.
//
//   output[part][tap, j, f] = sum over pixels p of the part of input[p·stride + tap − pad, g·GROUP_IN + j] · gradient[p, f]
//
// where g is the group of f. One vector of four output channels f, four input channels j of its group (where depthwise, the one
// of each), TAP_ROWS rows of taps and some lines of the output per invocation. It walks along a line with the inputs under the
// taps in registers (a sliding window): from one pixel to the next all but STRIDE_W columns move on by that much, and are not
// loaded again. The sums of a part are one chain; a second launch adds up the parts (split-K).
//
// Constants: IN_LANES: input channels j of an invocation, 4, or 1 where depthwise, when GROUP_IN and GROUP_OUT are 1; TAP_ROWS
// divides KERNEL_H; HELD = TAP_ROWS·KERNEL_W; SUMS = IN_LANES·HELD; KEPT = KERNEL_W − STRIDE_W columns that move on, and NEW
// the others; channels are last, those of a group, or of all where depthwise, come in fours; DILATION_W is 1.
// Memory, for each pixel: 1 + TAP_ROWS·NEW loads of a vec4 for SUMS multiply-adds of one.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read_write> output: array<Sum>;

/// The input under column `x` of a row of the image that begins at `start`; zero outside.
fn column_at(start: i32, x: i32) -> Acc {
    let inside = start >= 0 && x >= 0 && x < i32(params.in_w);
    let vectors = params.in_c / 4u;
    let at = u32(max(start, 0)) + u32(clamp(x, 0, i32(params.in_w) - 1)) * vectors;
    return select(Acc(0.0), input_at(at), inside);
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
    let vectors = params.out_c / 4u;
    let vector = item % vectors;
    let rows = item / vectors;
    let tiles = GROUP_IN / IN_LANES;
    let j = rows % tiles * IN_LANES;
    let runs = KERNEL_H / TAP_ROWS;
    let first_row = rows / tiles % runs * TAP_ROWS;
    let tap_depth = rows / tiles / runs % KERNEL_D;
    let part = rows / tiles / runs / KERNEL_D;
    let read_vectors = params.in_c / 4u;
    let read_vector = (vector * 4u / GROUP_OUT * GROUP_IN + j) / 4u;

    var sums = array<Acc, SUMS>();
    var held = array<Acc, HELD>();
    var starts = array<i32, TAP_ROWS>();
    let last = min((part + 1u) * params.length, params.lines);
    for (var line = part * params.length; line < last; line++) {
        let row = line % params.out_h;
        let depth = line / params.out_h % params.out_d;
        let image = line / params.out_h / params.out_d;
        let iz = i32(depth * STRIDE_D + tap_depth * DILATION_D) - i32(params.pad_d);
        if iz < 0 || iz >= i32(params.in_d) {
            continue;
        }
        // unroll
        for (var r = 0u; r < TAP_ROWS; r++) {
            let iy = i32(row * STRIDE_H + (first_row + r) * DILATION_H) - i32(params.pad_h);
            let start = (((i32(image * params.in_d) + iz) * i32(params.in_h) + iy) * i32(params.in_w))
                * i32(read_vectors) + i32(read_vector);
            starts[r] = select(-1, start, iy >= 0 && iy < i32(params.in_h));
            // unroll
            for (var k = 0u; k < KEPT; k++) {
                held[r * KERNEL_W + k + STRIDE_W] = column_at(starts[r], i32(k) - i32(params.pad_w));
            }
        }
        for (var column = 0u; column < params.out_w; column++) {
            let g = gradient_at((line * params.out_w + column) * vectors + vector);
            let x = i32(column * STRIDE_W) - i32(params.pad_w);
            // unroll
            for (var r = 0u; r < TAP_ROWS; r++) {
                // unroll
                for (var k = 0u; k < KEPT; k++) {
                    held[r * KERNEL_W + k] = held[r * KERNEL_W + k + STRIDE_W];
                }
                // unroll
                for (var k = 0u; k < NEW; k++) {
                    held[r * KERNEL_W + KEPT + k] = column_at(starts[r], x + i32(KEPT + k));
                }
            }
            // unroll
            for (var t = 0u; t < HELD; t++) {
                // unroll
                for (var l = 0u; l < IN_LANES; l++) {
                    sums[t * IN_LANES + l] = product_of(l, held[t], g, sums[t * IN_LANES + l]);
                }
            }
        }
    }
    // unroll
    for (var t = 0u; t < HELD; t++) {
        let tap = ((part * KERNEL_D + tap_depth) * KERNEL_H + first_row) * KERNEL_W + t;
        // unroll
        for (var l = 0u; l < IN_LANES; l++) {
            output[(tap * GROUP_IN + j + l) * vectors + vector] = stored(sums[t * IN_LANES + l]);
        }
    }
}
