// For noise.wgsl, where an invocation computes one element.

/// The random number of an item's element.
fn drawn(item: u32) -> Acc {
    let element = params.first + item;
    return random(element / 4u)[element % 4u];
}
