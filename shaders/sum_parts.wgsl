// Split-K: the second launch, which adds up what conv_parts.wgsl has computed and applies the epilogue.
//
// The end of a convolution whose sums were computed in parts, one output vector per invocation:
//
//   output[first + i] = activate(bias + sum over parts of input[part, i])
//
// in the order of the parts. Constants: PARTS.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Acc>;
@group(0) @binding(3) var<storage, read> bias: array<Vec>;
@group(0) @binding(4) var<storage, read_write> output: array<Vec>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let item = workgroup_index(workgroup, workgroups) * WORKGROUP + invocation;
    if item >= params.items {
        return;
    }
    // Parts are summed in runs, and then the runs: the error grows with both lengths, not with their product.
    var sum = Acc(0.0);
    var run = Acc(0.0);
    for (var part = 0u; part < PARTS; part++) {
        run += input[part * params.items + item];
        if (part & 63u) == 63u {
            sum += run;
            run = Acc(0.0);
        }
    }
    sum += run;
    let vector = image_place(params.first + item, vec3(params.out_h, params.out_w, params.out_c / LANES)).w;
    if HAS_BIAS {
        sum += unpacked(bias[vector]);
    }
    if HAS_RESIDUAL {
        sum += residual_at(params.first + item);
    }
    output[params.first + item] = packed(activate(sum));
}
