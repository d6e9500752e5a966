// Add, multiply, … of two tensors, with NumPy's broadcasting: for residual sums, masks, scales (vectorised loads where
// the innermost axis comes in fours).
//
// A function of two arrays, one vector per invocation. For every coordinate c of a box of RANK axes, row-major:
//
//   output[c] = activate(function(left[sum over i of c_i·left_i], right[sum over i of c_i·right_i]))
//
// Axis 0 is the innermost. A stride of 0 repeats, which is how shapes broadcast.
//
// Constants: RANK, FUNCTION: 7 is prelu. With LANES = 4 axis 0 and everything that runs along it are counted in
// vectors; a side that repeats along axis 0 has LeftAcc or RightAcc = f32 and is counted in elements.
// Memory: a read of either side and one write for each vector.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> left: array<Left>;
@group(0) @binding(2) var<storage, read> right: array<Right>;
@group(0) @binding(3) var<storage, read_write> output: array<Vec>;

const ADD: u32 = 0u;
const SUBTRACT: u32 = 1u;
const MULTIPLY: u32 = 2u;
const DIVIDE: u32 = 3u;
const MAXIMUM: u32 = 4u;
const MINIMUM: u32 = 5u;
const POWER: u32 = 6u;
const EQUAL: u32 = 8u;

fn combine(a: Acc, b: Acc) -> Acc {
    switch FUNCTION {
        case ADD: { return a + b; }
        case SUBTRACT: { return a - b; }
        case MULTIPLY: { return a * b; }
        case DIVIDE: { return a / b; }
        case MAXIMUM: { return keep_nan(a, keep_nan(b, max(a, b))); }
        case MINIMUM: { return keep_nan(a, keep_nan(b, min(a, b))); }
        case POWER: { return power(a, b); }
        case EQUAL: {
            let nan_a = (bitcast<AccBits>(a) & AccBits(0x7fffffffu)) > AccBits(0x7f800000u);
            let nan_b = (bitcast<AccBits>(b) & AccBits(0x7fffffffu)) > AccBits(0x7f800000u);
            return select(Acc(0.0), Acc(1.0), (a == b) | (nan_a & nan_b));
        }
        default: { return select(b * a, a, a > Acc(0.0)); }
    }
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
    let place = place_of(item);
    let a = Acc(LeftAcc(left[place.left]));
    let b = Acc(RightAcc(right[place.right]));
    output[item] = Vec(activate(combine(a, b)));
}
