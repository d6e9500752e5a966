// The epilogue (epilogue fusion) of shaders that compute on fours of channels, where those lie together in the output
// (vectorised stores).
//
// Bias; residual, activation and store of four neighbouring output channels at once: the channels are last and every
// group's come in fours.

@group(0) @binding(3) var<storage, read> bias: array<Vec>;
@group(0) @binding(4) var<storage, read_write> output: array<Vec>;

/// The bias of channels `channel` to `channel + 3`, zeros where there is none: for all pixels of an invocation.
fn bias_of_four(channel: u32) -> vec4<f32> {
    if HAS_BIAS {
        return unpacked(bias[channel / 4u]);
    }
    return vec4(0.0);
}

/// Where a pixel lies, of all images' pixels in order.
fn pixel_place(pixel: u32, group: u32) -> u32 {
    return pixel * params.out_c;
}

/// The same of a pixel in a row and a column, of all images' rows in order.
fn output_place(row: u32, column: u32, group: u32) -> u32 {
    return (row * params.out_w + column) * params.out_c;
}

/// Finishes and stores the sums, bias included, of channels `channel` to `channel + 3` of the pixel at `place`.
fn finish_four(place: u32, channel: u32, sums: vec4<f32>) {
    var four = sums;
    let at = (place + channel) / 4u;
    if HAS_RESIDUAL {
        four += residual_at(at);
    }
    output[at] = packed(activate(four));
}
