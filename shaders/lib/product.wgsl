// Common to all implicit matrix products (implicit GEMM): which rows of the packed kernel to read, which input a tap of
// a window is, and the multiply-adds of a four by four block.
//
// The kernel of a matrix product in fours: four input channels by four output channels at a time.
//
// The kernel is packed: row (tap, j), vector g·group_vectors + v, every group's channels in fours on either side.

/// Rows for four input channels, each the weights of four output channels.
struct Rows {
    x: vec4<f32>,
    y: vec4<f32>,
    z: vec4<f32>,
    w: vec4<f32>,
}

/// Vectors of four output channels in one group.
fn group_vectors() -> u32 {
    return (params.group_out + 3u) / 4u;
}

/// Input channels of one group in the packed kernel.
fn padded_in() -> u32 {
    return (params.group_in + 3u) / 4u * 4u;
}

/// Vectors in one row of the kernel.
fn row_stride() -> u32 {
    return params.groups * group_vectors();
}

/// The first output channel of vector number `vector` of all groups, which is one of `group`'s.
fn channel_of(vector: u32, group: u32) -> u32 {
    return group * params.group_out + (vector - group * group_vectors()) * 4u;
}

/// The rows of channels `j` to `j + 3` of a tap, at vector `vector` of all groups'.
fn rows_at(tap: u32, j: u32, vector: u32) -> Rows {
    let stride = row_stride();
    let at = (tap * padded_in() + j) * stride + vector;
    return Rows(
        kernel_at(at),
        kernel_at(at + stride),
        kernel_at(at + 2u * stride),
        kernel_at(at + 3u * stride),
    );
}

/// `sum` and the product of four input channels with their rows.
fn multiply_add(sum: vec4<f32>, channels: vec4<f32>, rows: Rows) -> vec4<f32> {
    let xy = fma(vec4(channels.y), rows.y, fma(vec4(channels.x), rows.x, sum));
    return fma(vec4(channels.w), rows.w, fma(vec4(channels.z), rows.z, xy));
}

/// Output pixels of all images.
fn pixel_count() -> u32 {
    return params.batch * params.out_h * params.out_w;
}

/// Where a pixel reads a tap: the position of channel 0, and whether that is inside the input.
struct Tap {
    position: u32,
    inside: bool,
}

/// The tap (ky, kx) of the window whose first row and column, before padding, are `window.xy` of image `window.z`.
fn tap_of(window: vec3<u32>, ky: u32, kx: u32) -> Tap {
    let iy = i32(window.x + ky * DILATION_H) - i32(params.pad_h);
    let ix = i32(window.y + kx * DILATION_W) - i32(params.pad_w);
    let inside = iy >= 0 && iy < i32(params.in_h) && ix >= 0 && ix < i32(params.in_w);
    let size = vec3(params.in_h, params.in_w, params.in_c);
    return Tap(image_index(window.z, select(0u, u32(iy), inside), select(0u, u32(ix), inside), 0u, size), inside);
}

/// Four input channels of a tap, zero outside the input.
fn four_of(tap: Tap, channel: u32) -> vec4<f32> {
    return select(vec4(0.0), input_four(tap.position, channel), tap.inside);
}

/// The window of pixel `number` of all images, or of the last one beyond it.
fn window_of(number: u32) -> vec3<u32> {
    let pixel = min(number, pixel_count() - 1u);
    let row = pixel / params.out_w;
    return vec3(row % params.out_h * STRIDE_H, (pixel - row * params.out_w) * STRIDE_W, row / params.out_h);
}
