// As input_buffer.wgsl, where earlier launches on f16 tensors have left sums, which are f32.
//
// The input as a buffer of what is computed with.

@group(0) @binding(1) var<storage, read> input: array<Acc>;

fn input_at(index: u32) -> Acc {
    return input[index];
}
