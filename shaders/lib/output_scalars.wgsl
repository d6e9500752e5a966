// The epilogue (epilogue fusion) of shaders that compute on fours of channels, where those do not lie together in the
// output: output_vectors.wgsl is the faster way.
//
// Bias; residual, activation and store of four neighbouring output channels one by one, none beyond the last of the
// group: any layout, any number of channels.

@group(0) @binding(3) var<storage, read> bias: array<Elem>;
@group(0) @binding(4) var<storage, read_write> output: array<Elem>;

/// The bias of channels `channel` to `channel + 3`, zeros where there is none: for all pixels of an invocation.
fn bias_of_four(channel: u32) -> vec4<f32> {
    var four = vec4(0.0);
    if HAS_BIAS {
        let left = params.group_out - channel % params.group_out;
        four.x = f32(bias[channel]);
        if left > 1u {
            four.y = f32(bias[channel + 1u]);
        }
        if left > 2u {
            four.z = f32(bias[channel + 2u]);
        }
        if left > 3u {
            four.w = f32(bias[channel + 3u]);
        }
    }
    return four;
}

/// Where a pixel lies, of all images' pixels in order.
fn pixel_place(pixel: u32, group: u32) -> u32 {
    let size = vec3(params.out_h, params.out_w, params.out_c);
    let image = size.x * size.y;
    let n = pixel / image;
    return image_index(n, 0u, pixel - n * image, 0u, size);
}

/// The same of a pixel in a row and a column, of all images' rows in order.
fn output_place(row: u32, column: u32, group: u32) -> u32 {
    let n = row / params.out_h;
    return image_index(n, row - n * params.out_h, column, 0u, vec3(params.out_h, params.out_w, params.out_c));
}

/// Finishes and stores the sums, bias included, of channels `channel` to `channel + 3` of the pixel at `place`.
fn finish_four(place: u32, channel: u32, sums: vec4<f32>) {
    let step = image_index(0u, 0u, 0u, 1u, vec3(params.out_h, params.out_w, params.out_c));
    let at = place + channel * step;
    let left = params.group_out - channel % params.group_out;
    var four = sums;
    if HAS_RESIDUAL {
        four.x += residual_at(at).x;
        if left > 1u {
            four.y += residual_at(at + step).y;
        }
        if left > 2u {
            four.z += residual_at(at + 2u * step).z;
        }
        if left > 3u {
            four.w += residual_at(at + 3u * step).w;
        }
    }
    let value = activate(four);
    output[at] = Elem(value.x);
    if left > 1u {
        output[at + step] = Elem(value.y);
    }
    if left > 2u {
        output[at + 2u * step] = Elem(value.z);
    }
    if left > 3u {
        output[at + 3u * step] = Elem(value.w);
    }
}
