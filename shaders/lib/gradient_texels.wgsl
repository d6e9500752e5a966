// As gradient_buffer.wgsl, where textures are faster than buffers (lavapipe).
//
// The gradient as a texture of vectors.

@group(0) @binding(2) var gradient: GradientTexels;

fn gradient_at(index: u32) -> vec4<f32> {
    return textureLoad(gradient, texel_place(index));
}
