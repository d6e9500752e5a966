// As output_vectors.wgsl, for a launch that leaves sums to a later one: those are stored as f32 in fours, channels last,
// whatever the type and the layout of the tensors. sums_packed.wgsl and sums_plain.wgsl say how.
//
// Store of four neighbouring output channels at once: every group's channels come in fours.

@group(0) @binding(4) var<storage, read_write> output: array<Sum>;

/// Parts of sums have no bias.
fn bias_of_four(channel: u32) -> vec4<f32> {
    return vec4(0.0);
}

/// Where a pixel lies, of all images' pixels in order.
fn pixel_place(pixel: u32, group: u32) -> u32 {
    return pixel * params.out_c;
}

/// Stores the sums of channels `channel` to `channel + 3` of the pixel at `place`.
fn finish_four(place: u32, channel: u32, sums: vec4<f32>) {
    output[(place + channel) / 4u] = stored(sums);
}
