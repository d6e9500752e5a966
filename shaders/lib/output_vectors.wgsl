// Bias, residual, activation and store of four neighbouring output channels at once: the channels are last and every group's come
// in fours.

@group(0) @binding(3) var<storage, read> bias: array<Vec>;
@group(0) @binding(4) var<storage, read_write> output: array<Vec>;

/// Finishes and stores the sums of channels `channel` to `channel + 3` of one pixel, of all images' pixels in order.
fn finish_four(pixel: u32, channel: u32, sums: vec4<f32>) {
    var four = sums;
    if HAS_BIAS {
        four += vec4<f32>(bias[channel / 4u]);
    }
    let at = (pixel * params.out_c + channel) / 4u;
    if HAS_RESIDUAL {
        four += residual_at(at);
    }
    output[at] = Vec(activate(four));
}
