// One of the ways to read an element, or a vector of them, of a convolution's input: a shader calls input_at, and the
// launch chooses the file.
//
// The input as a buffer of what is computed with.

@group(0) @binding(1) var<storage, read> input: array<Vec>;

fn input_at(index: u32) -> Acc {
    return unpacked(input[index]);
}
