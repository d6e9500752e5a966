// Operator fusion of a separable convolution: the matrix product asks for a pixel of the depthwise convolution, and it
// is computed on the spot.
//
// The pixels of a pointwise product are computed: a depthwise convolution of the input, with what follows its sum.
//
//   pixel[p, j] = activate_depthwise(depthwise_bias[j] + sum over ky, kx of
//       input[window of p at (ky, kx), j] · depthwise_kernel[ky, kx, j])
//
// Constants: DEPTHWISE_H and DEPTHWISE_W are its taps, DEPTHWISE_BIAS whether it has a bias; the product has one tap.
// The activations of both share their parameters.
// Memory: for each four channels of a pixel, DEPTHWISE_H·DEPTHWISE_W vectors of the input and as many of the kernel.

@group(0) @binding(7) var<storage, read> depthwise_bias: array<Vec>;

const_assert KERNEL_H == 1u && KERNEL_W == 1u;

struct Pixel {
    window: Window,
}

/// The pixel that is made of a window.
fn pixel_of(window: Window, ky: u32, kx: u32) -> Pixel {
    return Pixel(window);
}

/// Four channels of a pixel.
fn pixel_four(pixel: Pixel, channel: u32) -> vec4<f32> {
    let vectors = params.in_c / 4u;
    let vector = channel / 4u;
    var sum = vec4(0.0);
    if DEPTHWISE_BIAS {
        sum = unpacked(depthwise_bias[vector]);
    }
    for (var ky = 0u; ky < DEPTHWISE_H; ky++) {
        for (var kx = 0u; kx < DEPTHWISE_W; kx++) {
            let weights = depthwise_kernel_at((ky * DEPTHWISE_W + kx) * vectors + vector);
            sum = fma(four_of(tap_of(pixel.window, ky, kx), channel), weights, sum);
        }
    }
    return activate_depthwise(sum);
}
