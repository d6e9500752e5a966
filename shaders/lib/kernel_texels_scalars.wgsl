// As kernel_texels.wgsl, with one element to a texel.
//
// The kernel as a texture of scalars.

@group(0) @binding(2) var kernel: KernelTexels;

fn kernel_at(index: u32) -> f32 {
    return textureLoad(kernel, texel_place(index)).x;
}
