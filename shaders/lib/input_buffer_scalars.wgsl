// As input_buffer.wgsl, for shaders that compute on vectors but whose input lies in no fours.
//
// The input as a buffer of scalars.

@group(0) @binding(1) var<storage, read> input: array<Elem>;

fn input_at(index: u32) -> f32 {
    return f32(input[index]);
}
