// One of the ways to read an element, or a vector of them, of a convolution's kernel, that is its weights: a shader
// calls kernel_at, and the launch chooses the file.
//
// The kernel as a buffer of what is computed with.

@group(0) @binding(2) var<storage, read> kernel: array<Vec>;

fn kernel_at(index: u32) -> Acc {
    return unpacked(kernel[index]);
}
