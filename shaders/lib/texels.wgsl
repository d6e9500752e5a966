// A texture is two-dimensional and limited in width, so a tensor read as one is folded into rows.
//
// Where a texture holds the elements of an operand: in order, TEXEL_ROW texels to a row.

fn texel_place(index: u32) -> vec2<u32> {
    return vec2(index % TEXEL_ROW, index / TEXEL_ROW);
}
