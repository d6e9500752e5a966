// As windows.wgsl, for a transposed convolution by stride phase: each phase of the output, the pixels that lie a stride
// apart, sees the input through taps of its own, a stride apart in the kernel. A phase is a group here.
//
// The windows of a phase's pixels.
//
// Group r = (r_d, r_h, r_w) takes taps r + h·PHASES, and makes output pixels p + i·PHASES with p = r − pad, modulo PHASES;
// pixel i reads at tap h input position i + (p + pad − r)/PHASES − h.
//
// Constants: PHASES_D, PHASES_H and PHASES_W, the strides; DILATION_D, DILATION_H and DILATION_W are −1.

/// Output pixels of one phase of all images, those beyond the last of a narrower phase included.
fn pixel_count() -> u32 {
    return params.batch * params.out_h * params.out_w;
}

fn phases() -> vec3<u32> {
    return vec3(PHASES_D, PHASES_H, PHASES_W);
}

fn pads() -> vec3<u32> {
    return vec3(params.pad_d, params.pad_h, params.pad_w);
}

/// The first tap of a group along depth, height and width.
fn first_tap_of(group: u32) -> vec3<u32> {
    return vec3(group / (PHASES_H * PHASES_W), group / PHASES_W % PHASES_H, group % PHASES_W);
}

/// The first pixel of a group's phase along depth, height and width.
fn phase_of(group: u32) -> vec3<u32> {
    return (first_tap_of(group) + phases() - pads() % phases()) % phases();
}

/// The window of pixel `number` of a group's phase in all images, or of the last one beyond it.
fn window_of(number: u32, group: u32) -> Window {
    let pixel = min(number, pixel_count() - 1u);
    let row = pixel / params.out_w;
    let moved = (phase_of(group) + pads() - first_tap_of(group)) / phases();
    let first = plane_of(row % params.out_h) + moved.xy;
    return Window(first_at(first), pixel - row * params.out_w + moved.z, row / params.out_h);
}

/// The first input channel of a group: all read the same.
fn first_channel_of(group: u32) -> u32 {
    return 0u;
}
