// As input_buffer.wgsl, where textures are faster than buffers: lavapipe loads an element of a buffer lane by lane, a
// texel for all lanes at once.
//
// The input as a texture of vectors.

@group(0) @binding(1) var input: InputTexels;

fn input_at(index: u32) -> vec4<f32> {
    return textureLoad(input, texel_place(index));
}
