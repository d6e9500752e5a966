// Products of four input channels with the output channels: an outer product.

fn add(run: ptr<function, array<Acc, IN_LANES>>, x: InAcc, g: Acc) {
    (*run)[0] = fma(Acc(x.x), g, (*run)[0]);
    (*run)[1] = fma(Acc(x.y), g, (*run)[1]);
    (*run)[2] = fma(Acc(x.z), g, (*run)[2]);
    (*run)[3] = fma(Acc(x.w), g, (*run)[3]);
}
