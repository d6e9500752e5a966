// What a Winograd kernel is made of. winograd_taps_phases.wgsl is for transposed convolutions.
//
// The taps of a kernel [d, y, x, c, f] in Keras's order, c read and f written.
//
// Constants: TAPS along one axis.

/// Convolutions that are computed together.
const GROUPS: u32 = 1u;

/// Channels that are read.
fn read_channels() -> u32 {
    return params.group_in;
}

/// Channels that are written.
fn written_channels() -> u32 {
    return params.group_out;
}

/// The taps in row `y` and column `x`, at depth `d`, of channel `c` and each of `f`.
fn tap_at(group: u32, d: u32, y: u32, x: u32, c: u32, f: vec4<u32>) -> vec4<f32> {
    let at = (((d * TAPS + y) * TAPS + x) * params.group_in + c) * params.group_out + f;
    return vec4<f32>(vec4(kernel[at.x], kernel[at.y], kernel[at.z], kernel[at.w]));
}
