// Common to the launches of a Winograd convolution F(m×m, r×r), m = TILE: which tile of which image a number means.
//
// The tiles of a Winograd convolution's output, those of all images and depths in order (of the input or of the
// output, as the launch counts them).
//
// Constants: TILE, outputs of a tile along one axis; EDGE, its inputs and its products.

const PLACES: u32 = EDGE * EDGE;

/// Image and depth as one number, first output row and first output column of a tile.
fn tile_place(tile: u32) -> vec3<u32> {
    let across = (params.out_w + TILE - 1u) / TILE;
    let down = (params.out_height + TILE - 1u) / TILE;
    let row = tile / across;
    return vec3(row / down, row % down * TILE, tile % across * TILE);
}
