// What a kernel's gradient takes for rows of the kernel: places in a row of the window, (column, channel). They are neighbours
// in memory, and a picture of three channels has enough of them to come in fours.
//
// Behind lib/volume.wgsl; there are KERNEL_W rows times the channels, and DILATION_W 1.

const GRADIENT_TAPS: u32 = KERNEL_D * KERNEL_H;

/// The last place at which four rows begin: what is beyond is read and not stored.
fn last_vector() -> u32 { return (params.rows - 1u) / 4u * 4u; }

/// From an output position to the input position under the first column of a row of taps.
fn reach_of(tap: u32) -> vec3<i32> {
    return vec3<i32>(vec3(tap / KERNEL_H, tap % KERNEL_H, 0u) * DILATIONS) - vec3<i32>(pads());
}

/// All output columns: what is outside the input reads as zero.
fn columns_of(reach: i32) -> vec2<u32> {
    return vec2(0u, params.out_w);
}

/// One place of a line of `length`.
fn place_at(start: u32, length: i32, place: i32) -> f32 {
    let at = u32(clamp(place, 0, length - 1));
    return select(0.0, input_at(start + at), place >= 0 && place < length);
}

/// Four neighbours of the row of the window that begins in column `x` of a line.
fn row_at(line: u32, x: i32, row: u32) -> vec4<f32> {
    let length = i32(params.in_w * params.in_c);
    let start = line * params.in_w * params.in_c;
    let place = x * i32(params.in_c) + i32(row);
    return vec4(
        place_at(start, length, place),
        place_at(start, length, place + 1),
        place_at(start, length, place + 2),
        place_at(start, length, place + 3),
    );
}
