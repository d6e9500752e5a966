// A texture is two-dimensional and limited in width, so a tensor read as one is folded into rows.
//
// Where a texture holds the elements of an operand: in order, TEXEL_ROW texels to a row, a power of two: SwiftShader divides
// lane by lane, even by a constant.

const_assert TEXEL_ROW == (1u << countTrailingZeros(TEXEL_ROW));

fn texel_place(index: u32) -> vec2<u32> {
    return vec2(index & (TEXEL_ROW - 1u), index >> countTrailingZeros(TEXEL_ROW));
}
