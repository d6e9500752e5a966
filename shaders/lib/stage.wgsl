// The loads of one step of an implicit matrix product (implicit GEMM) into workgroup memory, with the borders as zeros.
//
// What a workgroup stages of a step of its matrix product: fours of either operand, zero beyond the input and the
// group.

/// Channels `j` to `j + 3` of `group` that pixel `pixel` reads at row `k` and column `kx` of the taps.
fn staged_pixel(pixel: u32, k: u32, kx: u32, group: u32, j: u32) -> vec4<f32> {
    if j >= params.group_in {
        return vec4(0.0);
    }
    return four_of(tap_of(window_of(pixel, group), k, kx), first_channel_of(group) + j);
}

/// The weights of channel `j` at row `k` and column `kx` of the taps for the four output channels of vector `vector` of
/// `group`.
fn staged_row(vector: u32, k: u32, kx: u32, group: u32, j: u32) -> vec4<f32> {
    if j >= padded_in() || vector >= group_vectors() {
        return vec4(0.0);
    }
    let row = (k * KERNEL_W + kx) * padded_in() + j;
    return kernel_at(row * row_stride() + group * group_vectors() + vector);
}
