// What the tiles of a Winograd convolution read. winograd_phases.wgsl is for transposed convolutions.
//
// The windows of tiles.

/// Convolutions that are computed together.
const GROUPS: u32 = 1u;

/// The first row and column that the tile of a group reads whose first output is at `place`. One before the first is a number
/// beyond the last.
fn tile_read(place: vec2<u32>, group: u32) -> vec2<u32> {
    return place - vec2(params.pad_h, params.pad_w);
}
