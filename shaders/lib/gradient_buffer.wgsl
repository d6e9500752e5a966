// One of two ways to read what comes back to the output of a convolution, for the gradient of its kernel: in fours of channels.
// gradient_texels.wgsl is the other.
//
// The gradient as a buffer.

@group(0) @binding(2) var<storage, read> gradient: array<Vec>;

fn gradient_at(index: u32) -> vec4<f32> {
    return unpacked(gradient[index]);
}
