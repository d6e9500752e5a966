// As output_vectors.wgsl, for a transposed convolution by stride phase: the pixels of a phase lie a stride apart.
//
// Bias; residual, activation and store of four neighbouring output channels of a phase's pixel.
//
// Constants: WHOLE_D, WHOLE_H and WHOLE_W, the extents of the whole output; lib/windows_phases.wgsl has the phases.

@group(0) @binding(3) var<storage, read> bias: array<Vec>;
@group(0) @binding(4) var<storage, read_write> output: array<Vec>;

/// The bias of channels `channel` to `channel + 3`, which are counted through all phases.
fn bias_of_four(channel: u32) -> vec4<f32> {
    if HAS_BIAS {
        return unpacked(bias[channel % params.group_out / 4u]);
    }
    return vec4(0.0);
}

/// Finishes and stores the sums, bias included, of channels `channel` to `channel + 3`, counted through all phases, of one
/// pixel of a phase. Phases are as large as the largest: what lies beyond the output is none.
fn finish_four(pixel: u32, channel: u32, sums: vec4<f32>) {
    let row = pixel / params.out_w;
    let place = vec3(plane_of(row % params.out_h), pixel - row * params.out_w);
    let at = phase_of(channel / params.group_out) + place * phases();
    if any(at >= vec3(WHOLE_D, WHOLE_H, WHOLE_W)) {
        return;
    }
    let whole_row = (row / params.out_h * WHOLE_D + at.x) * WHOLE_H + at.y;
    let stored = (whole_row * WHOLE_W + at.z) * params.group_out + channel % params.group_out;
    var four = sums;
    if HAS_RESIDUAL {
        four += residual_at(stored / 4u);
    }
    output[stored / 4u] = packed(activate(four));
}
