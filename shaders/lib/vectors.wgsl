// Shaders compute in f32 on what may be stored as f16: the conversion on load and store.
//
// Vectors in memory as they are computed with.

fn unpacked(x: Vec) -> Acc {
    return Acc(x);
}

fn packed(x: Acc) -> Vec {
    return Vec(x);
}
