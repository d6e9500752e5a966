// For conv_parts.wgsl, as terms.wgsl for convolutions.
//
// The terms of a transposed convolution's sum: (tap, j), group_in of them at each of the taps that hit, which are
// numbered row by row. What conv_transposed_direct.wgsl computes, as lib/terms.wgsl gives it.

const_assert LANES == 1u;

fn term_count() -> u32 {
    return HIT_ROWS * HITS_W * params.group_in;
}

/// The taps that hit a place: their rows, and the first column.
struct Start {
    first: Hits,
    column: u32,
}

fn window_start(place: vec4<u32>) -> Start {
    return Start(hits_of(place.y), first_tap_w(place.z));
}

/// The kernel's row and column at tap `tap` of those from `start` on.
fn kernel_tap(start: Start, tap: u32) -> vec2<u32> {
    return vec2(tap_row(start.first, tap / HITS_W), start.column + tap % HITS_W * TAP_STEP_W);
}

/// Where the input lies that tap `tap` takes to a place; numbers beyond its last where there is none.
fn tap_position(place: vec4<u32>, start: Start, tap: u32) -> vec2<u32> {
    let at = kernel_tap(start, tap);
    if at.x >= KERNEL_ROWS || at.y >= KERNEL_W {
        return vec2(0xffffffffu);
    }
    // Rows and columns before the input are numbers beyond its last.
    return vec2(row_taken(place.y, at.x), u32(column_at(place.z, at.y)));
}

/// The element of the kernel by which input channel `j` of the group at tap `tap` is multiplied for output channel `c`.
fn kernel_vector(start: Start, tap: u32, j: u32, c: u32) -> u32 {
    let at = kernel_tap(start, tap);
    let row = (at.x * KERNEL_W + at.y) * params.group_out + c % params.group_out;
    return row * params.in_c + c / params.group_out * params.group_in + j;
}
