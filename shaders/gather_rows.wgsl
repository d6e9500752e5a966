// im2col along one axis: the first convolution of a network has three channels, too few for vectorised loads, and this
// launch makes more of them.
//
// First of two launches of a convolution of few input channels: what each row of a window holds, as channels of one
// pixel.
//
//   output[n, iy, ox, kx·in_c + c] = input[n, iy, ox·STRIDE_W + kx·DILATION_W − pad_w, c]
//
// zero outside the input and, since the output's channels are filled up to fours, beyond the last. The convolution that
// is left has KERNEL_H taps, one above the other, at each depth; iy counts the rows of all depths. One pixel and four channels per invocation.
// Memory: KERNEL_W / STRIDE_W elements read for each of the input, every vector written once.

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
    let vectors = (KERNEL_W * params.in_c + 3u) / 4u;
    let pixel = item / vectors;
    let first = (item - pixel * vectors) * 4u;
    let row = pixel / params.out_w;
    let left = i32((pixel - row * params.out_w) * STRIDE_W) - i32(params.pad_w);
    let n = row / params.in_h;
    let size = vec3(params.in_h, params.in_w, params.in_c);
    var kx = first / params.in_c;
    var c = first - kx * params.in_c;
    var four: vec4<f32>;
    // unroll
    for (var i = 0u; i < FOUR; i++) {
        let ix = left + i32(kx * DILATION_W);
        let inside = kx < KERNEL_W && ix >= 0 && ix < i32(params.in_w);
        let at = image_index(n, row - n * params.in_h, select(0u, u32(ix), inside), c, size);
        four[i] = select(0.0, input_at(at), inside);
        c++;
        kx += select(0u, 1u, c == params.in_c);
        c = select(c, 0u, c == params.in_c);
    }
    output[item] = packed(four);
}
