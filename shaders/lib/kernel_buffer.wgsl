// The kernel as a buffer of what is computed with.

@group(0) @binding(2) var<storage, read> kernel: array<Vec>;

fn kernel_at(index: u32) -> Acc {
    return unpacked(kernel[index]);
}
