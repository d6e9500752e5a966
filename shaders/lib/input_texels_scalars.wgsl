// As input_texels.wgsl, with one element to a texel.
//
// The input as a texture of scalars.

@group(0) @binding(1) var input: InputTexels;

fn input_at(index: u32) -> f32 {
    return textureLoad(input, texel_place(index)).x;
}
