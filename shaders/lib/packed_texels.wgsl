// As packed_buffer.wgsl, where the kernel is read as a texture: no launch copies it there.
//
// The packed kernel as a texture of vectors.

@group(0) @binding(2) var output: texture_storage_2d<rgba32float, write>;

fn store_four(index: u32, value: vec4<f32>) {
    textureStore(output, texel_place(index), value);
}
