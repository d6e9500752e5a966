// One of two ways to multiply an input that a kernel's gradient holds with what comes back; held_four.wgsl is the other.
//
// Each channel by itself.

fn product_of(l: u32, x: Acc, g: Acc, sum: Acc) -> Acc {
    return fma(x, g, sum);
}
