// One of two ways in which the shaders of separable convolutions read their first kernel, where textures are faster
// than buffers (lavapipe); depthwise_kernel_buffer.wgsl is the other.
//
// The kernel of a depthwise convolution before the product, as a texture.

@group(0) @binding(6) var depthwise_kernel: KernelTexels;

fn depthwise_kernel_at(index: u32) -> vec4<f32> {
    return textureLoad(depthwise_kernel, texel_place(index));
}
