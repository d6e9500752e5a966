// Common to all implicit matrix products (implicit GEMM): which rows of the packed kernel to read, and the multiply-adds
// of a four by four block.
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
    return rows_from((tap * padded_in() + j) * stride + vector, stride);
}

/// Four rows of the kernel, each `stride` vectors after the one before, from vector number `at` on.
fn rows_from(at: u32, stride: u32) -> Rows {
    return Rows(
        kernel_at(at),
        kernel_at(at + stride),
        kernel_at(at + 2u * stride),
        kernel_at(at + 3u * stride),
    );
}

/// `sum` and the product of four input channels with their rows. Where nothing is fused, as on SwiftShader, an `fma` is a
/// fifth slower than what it is made of.
fn multiply_add(sum: vec4<f32>, channels: vec4<f32>, rows: Rows) -> vec4<f32> {
    if !FUSED {
        return sum + rows.x * channels.x + rows.y * channels.y + rows.z * channels.z + rows.w * channels.w;
    }
    let xy = fma(vec4(channels.y), rows.y, fma(vec4(channels.x), rows.x, sum));
    return fma(vec4(channels.w), rows.w, fma(vec4(channels.z), rows.z, xy));
}
