// How shaders that compute on fours of channels read them where they do not lie together: image formats with the
// channels first, three channels. input_vectors.wgsl is the faster way.
//
// Four neighbouring input channels one by one, zero beyond the last of the group: any layout, any number of channels.
//
// A position is the element of channel 0 at a pixel.

fn input_four(position: u32, channel: u32) -> vec4<f32> {
    let step = image_index(0u, 0u, 0u, 1u, vec3(params.in_h, params.in_w, params.in_c));
    let left = params.group_in - channel % params.group_in;
    let at = position + channel * step;
    var four = vec4(input_at(at), 0.0, 0.0, 0.0);
    if left > 1u {
        four.y = input_at(at + step);
    }
    if left > 2u {
        four.z = input_at(at + 2u * step);
    }
    if left > 3u {
        four.w = input_at(at + 3u * step);
    }
    return four;
}
