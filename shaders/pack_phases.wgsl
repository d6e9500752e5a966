// Weight packing for transposed convolutions by stride phase: the taps of each phase side by side.
//
// A kernel [tap, j, f] in Keras's order, where j counts the channels that are written and f those that are read; tap
// r + h·STRIDE along each axis is tap h of phase r:
//
//   output[h, f, r, j] = kernel[r + h·STRIDE, j, f]    for taps of the kernel and f < group_out, else 0
//
// f is filled up to a multiple of four. One element per invocation; runs once for a weight.
//
// Constants: KERNEL_D, KERNEL_H, KERNEL_W; STRIDE_D, STRIDE_H, STRIDE_W, of which the phases are as many.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> kernel: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;

/// (depth, row, column) of a number that counts through `extents`, columns first.
fn place_of(number: u32, extents: vec3<u32>) -> vec3<u32> {
    return vec3(number / (extents.y * extents.z), number / extents.z % extents.y, number % extents.z);
}

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
    let taps = vec3(KERNEL_D, KERNEL_H, KERNEL_W);
    let phases = vec3(STRIDE_D, STRIDE_H, STRIDE_W);
    let hits = (taps + phases - 1u) / phases;
    let padded = (params.group_out + 3u) / 4u * 4u;
    let j = item % params.group_in;
    let of_phase = item / params.group_in;
    let phase = place_of(of_phase % (phases.x * phases.y * phases.z), phases);
    let row = of_phase / (phases.x * phases.y * phases.z);
    let f = row % padded;
    let at = place_of(row / padded, hits) * phases + phase;
    var value = Elem(0.0);
    if all(at < taps) && f < params.group_out {
        let tap = (at.x * KERNEL_H + at.y) * KERNEL_W + at.z;
        value = kernel[(tap * params.group_in + j) * params.group_out + f];
    }
    output[item] = value;
}
