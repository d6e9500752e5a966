// One of two meanings of a pixel in the matrix products that a separable convolution has in common with others: an
// element of the input. pixels_depthwise.wgsl is the other.
//
// The pixels of a matrix product are read: those of the input.

alias Pixel = Tap;

/// The pixel that the tap in row `k` and column `kx` of a window is.
fn pixel_of(window: Window, k: u32, kx: u32) -> Pixel {
    return tap_of(window, k, kx);
}

/// Four channels of a pixel.
fn pixel_four(pixel: Pixel, channel: u32) -> vec4<f32> {
    return four_of(pixel, channel);
}
