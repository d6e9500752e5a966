// As sums_packed.wgsl, where the vectors that are read are of another type.
//
// As they are computed with.

alias Sum = Acc;

fn stored(x: Acc) -> Sum {
    return x;
}
