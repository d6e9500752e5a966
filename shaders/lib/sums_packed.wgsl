// One of two ways to store what is f32 whatever the type of the tensors: the sums of a kernel's gradient, the tiles of a
// Winograd convolution. sums_plain.wgsl is the other.
//
// As vectors lie in memory.

alias Sum = Vec;

fn stored(x: Acc) -> Sum {
    return packed(x);
}
