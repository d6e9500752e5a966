// As winograd_windows.wgsl, for a transposed convolution by stride phase, each of which is a group here: lib/phases.wgsl.
//
// The windows of a phase's tiles, whose taps are turned around: the last comes first.
//
// Constants: TAPS of a phase along one axis.

const GROUPS: u32 = PHASES_H * PHASES_W;

/// The first row and column that the tile of a group reads whose first output of the phase is at `place`. One before the first
/// is a number beyond the last.
fn tile_read(place: vec2<u32>, group: u32) -> vec2<u32> {
    return place + first_read_of(group).yz - (TAPS - 1u);
}
