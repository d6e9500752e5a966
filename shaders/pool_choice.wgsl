// Which value of each window max pooling takes, for its backward pass: the first largest in row-major order, or a NaN (G1).
//
// One window of one channel per invocation: choice[o] = the number of the tap, TAPS where no tap lies inside the input.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read_write> choice: array<u32>;

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
    let place = volume_place(item, out_size(), params.channels);
    let start = vec3<i32>(place.at * STRIDES) - vec3<i32>(pads());
    var chosen = TAPS;
    var most = 0.0;
    var found_nan = false;
    for (var tap = 0u; tap < TAPS; tap++) {
        let at = start + vec3<i32>(tap_place(tap) * DILATIONS);
        if any(at < vec3(0i)) || any(at >= vec3<i32>(in_size())) {
            continue;
        }
        let x = f32(input[volume_index(place.image, vec3<u32>(at), place.channel, in_size(), params.channels)]);
        let nan = (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
        if !found_nan && (nan || chosen == TAPS || x > most) {
            chosen = tap;
            most = x;
            found_nan = nan;
        }
    }
    choice[item] = chosen;
}
