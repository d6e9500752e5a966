// Vectors in memory as they are computed with.

fn unpacked(x: Vec) -> Acc {
    return Acc(x);
}

fn packed(x: Acc) -> Vec {
    return Vec(x);
}
