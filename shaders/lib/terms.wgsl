// For conv_parts.wgsl, which computes a range of a convolution's terms (split-K) and so needs a number for each.
//
// The terms of a convolution's sum, numbered as the kernel lies: (tap, j), group_in of them at each tap.

fn term_count() -> u32 {
    return KERNEL_ROWS * KERNEL_W * params.group_in;
}

/// Where the window at a place begins: its rows, and its column, before the input as a number beyond its last.
struct Start {
    first: First,
    column: u32,
}

fn window_start(place: vec4<u32>) -> Start {
    return Start(first_row(place.y), place.z * STRIDE_W - params.pad_w);
}

/// Where tap `tap` of the window that starts there lies; outside the input as numbers beyond its last.
fn tap_position(place: vec4<u32>, start: Start, tap: u32) -> vec2<u32> {
    return vec2(row_of(start.first, tap / KERNEL_W), start.column + tap % KERNEL_W * DILATION_W);
}

/// The vector of the kernel by which input channel `j` of the group at tap `tap` is multiplied for output vector `vector`.
fn kernel_vector(start: Start, tap: u32, j: u32, vector: u32) -> u32 {
    return (tap * params.group_in + j) * (params.out_c / LANES) + vector;
}
