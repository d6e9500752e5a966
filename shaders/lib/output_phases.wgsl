// As output_vectors.wgsl, for a transposed convolution by stride phase: the pixels of a phase lie a stride apart.
//
// Bias; residual, activation and store of four neighbouring output channels of a phase's pixel.
//
// Constants: WHOLE_D, WHOLE_H and WHOLE_W, the extents of the whole output; lib/phases.wgsl has the phases.

@group(0) @binding(3) var<storage, read> bias: array<Vec>;
@group(0) @binding(4) var<storage, read_write> output: array<Vec>;

/// The bias of channels `channel` to `channel + 3`, which are counted through all phases.
fn bias_of_four(channel: u32) -> vec4<f32> {
    if HAS_BIAS {
        return unpacked(bias[channel % params.group_out / 4u]);
    }
    return vec4(0.0);
}

/// The place of what is not in the output.
const NOWHERE: u32 = 0xffffffffu;

/// Where a pixel of a group's phase lies, of the phase's pixels of all images in order.
fn pixel_place(pixel: u32, group: u32) -> u32 {
    let row = pixel / params.out_w;
    return output_place(row, pixel - row * params.out_w, group);
}

/// The same of a pixel in a row and a column of the phase, of all images' rows in order. Phases are as large as the largest:
/// what lies beyond the output is nowhere.
fn output_place(row: u32, column: u32, group: u32) -> u32 {
    let image = row / params.out_h;
    let place = vec3(plane_of(row - image * params.out_h), column);
    let at = phase_of(group) + place * phases();
    let whole_row = (image * WHOLE_D + at.x) * WHOLE_H + at.y;
    // Channels are counted through all phases.
    let stored = (whole_row * WHOLE_W + at.z - group) * params.group_out;
    return select(NOWHERE, stored, all(at < vec3(WHOLE_D, WHOLE_H, WHOLE_W)));
}

/// Finishes and stores the sums, bias included, of channels `channel` to `channel + 3`, counted through all phases, of the
/// pixel at `place`.
fn finish_four(place: u32, channel: u32, sums: vec4<f32>) {
    if place == NOWHERE {
        return;
    }
    let at = (place + channel) / 4u;
    var four = sums;
    if HAS_RESIDUAL {
        four += residual_at(at);
    }
    output[at] = packed(activate(four));
}
