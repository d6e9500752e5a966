// One of two ways to store the sums of a kernel's gradient, which are f32; sums_plain.wgsl is the other.
//
// As vectors lie in memory.

alias Sum = Vec;

fn stored(x: Acc) -> Sum {
    return packed(x);
}
