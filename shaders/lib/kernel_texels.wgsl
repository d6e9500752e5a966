// As kernel_buffer.wgsl, where textures are faster than buffers (lavapipe).
//
// The kernel as a texture of vectors.

@group(0) @binding(2) var kernel: KernelTexels;

fn kernel_at(index: u32) -> vec4<f32> {
    return textureLoad(kernel, texel_place(index));
}
