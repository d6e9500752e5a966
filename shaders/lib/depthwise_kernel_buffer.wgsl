// One of two ways in which the shaders of separable convolutions read their first kernel; depthwise_kernel_texels.wgsl
// is the other.
//
// The kernel of a depthwise convolution before the product, as a buffer.

@group(0) @binding(6) var<storage, read> depthwise_kernel: array<Vec>;

fn depthwise_kernel_at(index: u32) -> vec4<f32> {
    return unpacked(depthwise_kernel[index]);
}
