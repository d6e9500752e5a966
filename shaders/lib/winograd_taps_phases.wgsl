// As winograd_taps.wgsl, for a transposed convolution by stride phase, each of which is a group here: lib/phases.wgsl.
//
// The taps of each phase of a kernel [y, x, f, c] in Keras's order, f written and c read: those a stride apart, turned around,
// and zeros where a phase has a tap less.
//
// Constants: TAPS of a phase along one axis; KERNEL_H, KERNEL_W, STRIDE_H and STRIDE_W of the transposed convolution.

const GROUPS: u32 = STRIDE_H * STRIDE_W;

/// Channels that are read.
fn read_channels() -> u32 {
    return params.group_out;
}

/// Channels that are written.
fn written_channels() -> u32 {
    return params.group_in;
}

/// The taps of a group in row `y` and column `x`, of channel `c` and each of `f`.
fn tap_at(group: u32, d: u32, y: u32, x: u32, c: u32, f: vec4<u32>) -> vec4<f32> {
    let row = group / STRIDE_W + (TAPS - 1u - y) * STRIDE_H;
    let column = group % STRIDE_W + (TAPS - 1u - x) * STRIDE_W;
    let inside = row < KERNEL_H && column < KERNEL_W;
    let tap = select(0u, row * KERNEL_W + column, inside);
    let at = (tap * params.group_in + f) * params.group_out + c;
    let taps = vec4<f32>(vec4(kernel[at.x], kernel[at.y], kernel[at.z], kernel[at.w]));
    return select(vec4(0.0), taps, inside);
}
