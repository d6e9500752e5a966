// As kernel_texels.wgsl, with one element to a texel.
//
// The kernel as a texture of scalars.

@group(0) @binding(2) var kernel: texture_2d<f32>;

fn kernel_at(index: u32) -> f32 {
    return textureLoad(kernel, texel_place(index), 0).x;
}
