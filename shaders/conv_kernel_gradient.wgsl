// The backward pass of a convolution to its kernel: a matrix product whose inner dimension is the pixels of the batch
// (split-K: the parts are added up by a second launch).
//
// One register tile of IN_LANES input channels by LANES output channels of one tap, and one part of the pixels, per
// invocation:
//
//   output[part][tap, j, f] = sum over pixels p of the part of input[p·stride + tap·dilation − pad, j] · gradient[p, f]
//
// Pixels are numbered (image, depth, row, column). With DEPTHWISE, LANES channels at once, each by itself. Sums are
// taken in runs of up to RUN pixels, and then over the runs: the error grows with both lengths, not with their product.
//
// Constants: GROUP_IN, GROUP_OUT: channels of a group; LANES and IN_LANES: 4 only where channels are last, and where
// they divide GROUP_OUT (with DEPTHWISE the channels) and GROUP_IN.
// Memory, for each pixel: IN_LANES + LANES scalars for IN_LANES·LANES products.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<InVec>;
@group(0) @binding(2) var<storage, read> gradient: array<Vec>;
@group(0) @binding(3) var<storage, read_write> output: array<Acc>;

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
    // Neighbours have neighbouring output channels.
    let vectors = params.out_c / LANES;
    let f = item % vectors * LANES;
    let rows = item / vectors;
    let tiles = GROUP_IN / IN_LANES;
    let j = rows % tiles * IN_LANES;
    let tap = rows / tiles % TAPS;
    let part = rows / tiles / TAPS;
    let c = f / GROUP_OUT * GROUP_IN + j;
    let reach = vec3<i32>(tap_place(tap) * DILATIONS) - vec3<i32>(pads());
    let first = part * params.length;
    let last = min(first + params.length, params.pixels);

    var total = array<Acc, IN_LANES>();
    for (var p = first; p < last;) {
        let line = p / params.out_w;
        let column = p % params.out_w;
        let count = min(min(RUN, params.out_w - column), last - p);
        let row = line % params.out_h;
        let depth = line / params.out_h % params.out_d;
        let image = line / params.out_h / params.out_d;
        let iz = i32(depth * STRIDE_D) + reach.x;
        let iy = i32(row * STRIDE_H) + reach.y;
        p += count;
        if iz < 0 || iz >= i32(params.in_d) || iy < 0 || iy >= i32(params.in_h) {
            continue;
        }
        let read_at = volume_index(image, vec3(u32(iz), u32(iy), 0u), c, in_size(), params.in_c) / IN_VECTOR;
        let read_step = select(1u, params.in_c / IN_VECTOR, CHANNELS_LAST);
        let gradient_at = volume_index(image, vec3(depth, row, 0u), f, out_size(), params.out_c) / LANES;
        let gradient_step = select(1u, vectors, CHANNELS_LAST);
        var run = array<Acc, IN_LANES>();
        for (var i = 0u; i < count; i++) {
            let ix = i32((column + i) * STRIDE_W) + reach.z;
            if ix < 0 || ix >= i32(params.in_w) {
                continue;
            }
            let x = InAcc(input[read_at + u32(ix) * read_step]);
            let g = Acc(gradient[gradient_at + (column + i) * gradient_step]);
            add(&run, x, g);
        }
        // unroll
        for (var l = 0u; l < IN_LANES; l++) {
            total[l] += run[l];
        }
    }
    // unroll
    for (var l = 0u; l < IN_LANES; l++) {
        output[((part * TAPS + tap) * GROUP_IN + j + l) * vectors + f / LANES] = total[l];
    }
}
