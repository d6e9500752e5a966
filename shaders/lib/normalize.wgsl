// Common to normalize.wgsl and normalize_write.wgsl.
//
// What a normalisation multiplies by.

const STANDARD: u32 = 0u;
const DEVIATION: u32 = 1u;
const UNIT: u32 = 2u;

/// The factor for `square`, the mean square about the mean, with UNIT the sum of squares; NaN where that is.
fn factor_of(square: f32, epsilon: f32) -> f32 {
    return inverseSqrt(select(square + epsilon, larger(square, epsilon), FUNCTION == UNIT));
}
