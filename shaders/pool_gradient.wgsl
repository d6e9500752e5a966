// The backward pass of pooling: every input element collects from the windows that it lies in.
//
// One input element per invocation (a gather: nothing is added to by two invocations, so the order of sums is fixed):
//
//   output[i] = sum over taps k of gradient[o]·share(o, k), where tap k of window o is i
//
// Share is 1 or 0 for a maximum (pool_gradient_max.wgsl), 1 by the number of counted taps for a mean.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradient: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;

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
    let place = volume_place(item, in_size(), params.channels);
    var sum = 0.0;
    for (var tap = 0u; tap < TAPS; tap++) {
        let reach = tap_place(tap) * DILATIONS;
        let at = place.at + pads();
        let window = (at - reach) / STRIDES;
        if any(at < reach) || any((at - reach) % STRIDES != vec3(0u)) || any(window >= out_size()) {
            continue;
        }
        let o = volume_index(place.image, window, place.channel, out_size(), params.channels);
        sum += f32(gradient[o]) * share(o, window, tap);
    }
    output[item] = Elem(sum);
}
