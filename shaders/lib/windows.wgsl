// Common to all implicit matrix products (implicit GEMM) of convolutions: where the windows of the output's pixels begin.
// windows_phases.wgsl is for transposed convolutions.
//
// The windows of the output's pixels.

/// Output pixels of all images.
fn pixel_count() -> u32 {
    return params.batch * params.out_h * params.out_w;
}

/// The window of pixel `number` of all images, or of the last one beyond it: the same for every group.
fn window_of(number: u32, group: u32) -> Window {
    let pixel = min(number, pixel_count() - 1u);
    let row = pixel / params.out_w;
    let column = (pixel - row * params.out_w) * STRIDE_W - params.pad_w;
    return Window(first_row(row % params.out_h), column, row / params.out_h);
}

/// The first input channel of a group.
fn first_channel_of(group: u32) -> u32 {
    return group * params.group_in;
}
