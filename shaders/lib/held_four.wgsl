// As held_each.wgsl, for groups of several channels.
//
// Channel `l` of four of the input with four of the output.

fn product_of(l: u32, x: Acc, g: Acc, sum: Acc) -> Acc {
    return fma(Acc(x[l]), g, sum);
}
