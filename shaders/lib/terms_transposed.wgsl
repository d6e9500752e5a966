// For conv_parts.wgsl, as terms.wgsl for convolutions.
//
// The terms of a transposed convolution's sum: (tap, j), group_in of them at each of the taps that hit, which are
// numbered row by row. What conv_transposed_direct.wgsl computes, as lib/terms.wgsl gives it.

const_assert LANES == 1u;

const TAPS_H: u32 = (KERNEL_H + TAP_STEP_H - 1u) / TAP_STEP_H;
const TAPS_W: u32 = (KERNEL_W + TAP_STEP_W - 1u) / TAP_STEP_W;

fn term_count() -> u32 {
    return TAPS_H * TAPS_W * params.group_in;
}

/// The first tap along height and width that hits a place.
fn window_start(place: vec4<u32>) -> vec2<u32> {
    return vec2(first_tap_h(place.y), first_tap_w(place.z));
}

/// The kernel's row and column at tap `tap` of those from `start` on.
fn kernel_tap(start: vec2<u32>, tap: u32) -> vec2<u32> {
    return start + vec2(tap / TAPS_W * TAP_STEP_H, tap % TAPS_W * TAP_STEP_W);
}

/// Where the input lies that tap `tap` takes to a place; numbers beyond its last where there is none.
fn tap_position(place: vec4<u32>, start: vec2<u32>, tap: u32) -> vec2<u32> {
    let at = kernel_tap(start, tap);
    if at.x >= KERNEL_H || at.y >= KERNEL_W {
        return vec2(0xffffffffu);
    }
    // Rows and columns before the input are numbers beyond its last.
    return vec2(u32(row_at(place.y, at.x)), u32(column_at(place.z, at.y)));
}

/// The element of the kernel by which input channel `j` of the group at tap `tap` is multiplied for output channel `c`.
fn kernel_vector(start: vec2<u32>, tap: u32, j: u32, c: u32) -> u32 {
    let at = kernel_tap(start, tap);
    let row = (at.x * KERNEL_W + at.y) * params.group_out + c % params.group_out;
    return row * params.in_c + c / params.group_out * params.group_in + j;
}
