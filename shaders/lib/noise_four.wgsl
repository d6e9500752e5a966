// For noise.wgsl, where an invocation computes four elements.

/// The random numbers of the elements of an item.
fn drawn(item: u32) -> Acc {
    return random(params.first / 4u + item);
}
