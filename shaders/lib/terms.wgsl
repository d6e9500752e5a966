// For conv_parts.wgsl, which computes a range of a convolution's terms (split-K) and so needs a number for each.
//
// The terms of a convolution's sum, numbered as the kernel lies: (tap, j), group_in of them at each tap.

fn term_count() -> u32 {
    return KERNEL_H * KERNEL_W * params.group_in;
}

/// Where tap (0, 0) of the window at a place lies; rows and columns before the input as numbers beyond its last.
fn window_start(place: vec4<u32>) -> vec2<u32> {
    return place.yz * vec2(STRIDE_H, STRIDE_W) - vec2(params.pad_h, params.pad_w);
}

/// Where tap `tap` of the window that starts there lies; outside the input as numbers beyond its last.
fn tap_position(place: vec4<u32>, start: vec2<u32>, tap: u32) -> vec2<u32> {
    return start + vec2(tap / KERNEL_W * DILATION_H, tap % KERNEL_W * DILATION_W);
}

/// The vector of the kernel by which input channel `j` of the group at tap `tap` is multiplied for output vector `vector`.
fn kernel_vector(start: vec2<u32>, tap: u32, j: u32, vector: u32) -> u32 {
    return (tap * params.group_in + j) * (params.out_c / LANES) + vector;
}
