// Products of one input channel, or of as many as output channels, each by itself.

fn add(run: ptr<function, array<Acc, IN_LANES>>, x: InAcc, g: Acc) {
    (*run)[0] = fma(Acc(x), g, (*run)[0]);
}
