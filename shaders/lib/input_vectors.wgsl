// Vectorised loads: how shaders that compute on fours of channels read them where they lie together. input_scalars.wgsl
// is for all other inputs.
//
// Four neighbouring input channels at once: the channels are last and every group's channels come in fours.
//
// A position is the element of channel 0 at a pixel.

fn input_four(position: u32, channel: u32) -> vec4<f32> {
    return input_at((position + channel) >> 2u);
}
