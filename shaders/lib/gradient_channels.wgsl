// What a kernel's gradient takes for rows of the kernel: input channels in fours.
//
// Behind lib/volume.wgsl; there are four, eight, … rows.

const GRADIENT_TAPS: u32 = TAPS;

/// The last place at which four rows begin.
fn last_vector() -> u32 { return params.rows - 4u; }

/// From an output position to the input position under the tap.
fn reach_of(tap: u32) -> vec3<i32> {
    return vec3<i32>(tap_place(tap) * DILATIONS) - vec3<i32>(pads());
}

/// The first output column whose tap is inside the input, and the one after the last.
fn columns_of(reach: i32) -> vec2<u32> {
    let stride = i32(STRIDE_W);
    let first = max(0, (stride - 1 - reach) / stride);
    let inside = i32(params.in_w) - 1 - reach;
    let last = select(0, min(i32(params.out_w), inside / stride + 1), inside >= 0);
    return vec2(u32(first), u32(max(last, first)));
}

/// Four channels of the pixel in column `x` of a line.
fn row_at(line: u32, x: i32, channel: u32) -> vec4<f32> {
    return input_at(((line * params.in_w + u32(x)) * params.in_c + channel) / 4u);
}
