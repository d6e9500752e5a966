// Common to all implicit matrix products (implicit GEMM) of convolutions: which input a tap of a window is.
//
// The windows of the output's pixels.

/// Output pixels of all images.
fn pixel_count() -> u32 {
    return params.batch * params.out_h * params.out_w;
}

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

/// The window of pixel `number` of all images, or of the last one beyond it.
fn window_of(number: u32) -> Window {
    let pixel = min(number, pixel_count() - 1u);
    let row = pixel / params.out_w;
    let column = (pixel - row * params.out_w) * STRIDE_W - params.pad_w;
    return Window(first_row(row % params.out_h), column, row / params.out_h);
}
