// Common to all implicit matrix products (implicit GEMM) of convolutions: which input a tap of a window is.
//
// The taps of a window.

/// Where a pixel reads a tap: the position of channel 0, and whether that is inside the input.
struct Tap {
    position: u32,
    inside: bool,
}

/// What a pixel of the output sees of an image. A column before the first is a number beyond the last.
struct Window {
    first: First,
    column: u32,
    image: u32,
}

/// The tap in row `k` and column `kx` of a window.
fn tap_of(window: Window, k: u32, kx: u32) -> Tap {
    let iy = row_of(window.first, k);
    let ix = window.column + kx * DILATION_W;
    let inside = iy < params.in_h && ix < params.in_w;
    let size = vec3(params.in_h, params.in_w, params.in_c);
    return Tap(image_index(window.image, select(0u, iy, inside), select(0u, ix, inside), 0u, size), inside);
}

/// Four input channels of a tap, zero outside the input.
fn four_of(tap: Tap, channel: u32) -> vec4<f32> {
    return select(vec4(0.0), input_four(tap.position, channel), tap.inside);
}
