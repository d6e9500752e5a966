// The input as a buffer of what is computed with.

@group(0) @binding(1) var<storage, read> input: array<Vec>;

fn input_at(index: u32) -> Acc {
    return unpacked(input[index]);
}
