// Epilogue fusion of a residual sum: a convolution adds the other branch of its block before it stores.
//
// What is added to a convolution's sum before its activation: a tensor that lies as the output does.
//
// Constants: Residual, what the output is stored by, and ResidualAcc, as wide.

@group(0) @binding(5) var<storage, read> residual: array<Residual>;

const HAS_RESIDUAL: bool = true;

/// What is added to the store at `at`; where stores are scalars, in every lane.
fn residual_at(at: u32) -> Acc {
    return Acc(ResidualAcc(residual[at]));
}
