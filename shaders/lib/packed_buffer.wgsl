// One of two ways in which a launch writes a packed kernel; packed_texels.wgsl is the other.
//
// The packed kernel as a buffer of vectors.

@group(0) @binding(2) var<storage, read_write> output: array<vec4<f32>>;

fn store_four(index: u32, value: vec4<f32>) {
    output[index] = value;
}
