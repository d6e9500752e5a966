// A transposed convolution by stride phase (sub-pixel decomposition): what a phase is.
//
// Each phase of the output, the pixels that lie a stride apart, sees the input through taps of its own, a stride apart in
// the kernel. A phase is a group here.
//
// Group r = (r_d, r_h, r_w) takes taps r + h·PHASES, and makes output pixels p + i·PHASES with p = r − pad, modulo PHASES;
// pixel i reads at tap h input position i + (p + pad − r)/PHASES − h.
//
// Constants: PHASES_D, PHASES_H and PHASES_W, the strides.

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

/// What pixel 0 of a group's phase reads at tap 0, along depth, height and width; tap h is h positions before.
fn first_read_of(group: u32) -> vec3<u32> {
    return (phase_of(group) + pads() - first_tap_of(group)) / phases();
}
