// As windows.wgsl, for a transposed convolution by stride phase, each of which is a group here: lib/phases.wgsl.
//
// The windows of a phase's pixels.
//
// Constants: DILATION_D, DILATION_H and DILATION_W are −1.

/// Output pixels of one phase of all images, those beyond the last of a narrower phase included.
fn pixel_count() -> u32 {
    return params.batch * params.out_h * params.out_w;
}

/// The window of pixel `number` of a group's phase in all images, or of the last one beyond it.
fn window_of(number: u32, group: u32) -> Window {
    let pixel = min(number, pixel_count() - 1u);
    let row = pixel / params.out_w;
    let moved = first_read_of(group);
    let first = plane_of(row % params.out_h) + moved.xy;
    return Window(first_at(first), pixel - row * params.out_w + moved.z, row / params.out_h);
}

/// The first input channel of a group: all read the same.
fn first_channel_of(group: u32) -> u32 {
    return 0u;
}
