// Four neighbouring input channels at once: the channels are last and every group's channels come in fours.
//
// A position is the element of channel 0 at a pixel.

@group(0) @binding(1) var<storage, read> input: array<Vec>;

fn input_four(position: u32, channel: u32) -> vec4<f32> {
    return unpacked(input[(position + channel) / 4u]);
}
