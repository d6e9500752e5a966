// Add, multiply, … of two tensors, with NumPy's broadcasting: for residual sums, masks, scales (vectorised loads where
// the innermost axis comes in fours).
//
// A function of two arrays, one vector per invocation. For every coordinate c of a box of RANK axes, row-major:
//
//   output[c] = activate(function(left[sum over i of c_i·left_i], right[sum over i of c_i·right_i]))
//
// Axis 0 is the innermost. A stride of 0 repeats, which is how shapes broadcast.
//
// Constants: RANK, FUNCTION: a number below. With LANES = 4 axis 0 and everything that runs along it are counted in
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
const PRELU: u32 = 7u;
const EQUAL: u32 = 8u;
const NOT_EQUAL: u32 = 9u;
const LESS: u32 = 10u;
const LESS_EQUAL: u32 = 11u;
const GREATER: u32 = 12u;
const GREATER_EQUAL: u32 = 13u;
const LOGICAL_AND: u32 = 14u;
const LOGICAL_OR: u32 = 15u;
const LOGICAL_XOR: u32 = 16u;
const MODULO: u32 = 17u;
const REMAINDER: u32 = 18u;
const ARCTANGENT: u32 = 19u;
const WHERE: u32 = 20u;

/// The angle of the point (x, y): of the smaller by the larger coordinate, in [0, 1], less π/4 where it is nearer to 1, by a
/// polynomial; drivers may be wrong by 2⁻¹¹.
fn angle(y: Acc, x: Acc) -> Acc {
    let steep = abs(y) > abs(x);
    let larger = select(abs(x), abs(y), steep);
    let ratio = select(abs(y), abs(x), steep) / select(larger, Acc(1.0), larger == Acc(0.0));
    let near_1 = ratio > Acc(0.41421357);
    let t = select(ratio, (ratio - Acc(1.0)) / (ratio + Acc(1.0)), near_1);
    let t2 = t * t;
    let series = t + t * t2 * (Acc(-0.33332950) + t2 * (Acc(0.19977711) + t2 * (Acc(-0.13877685) + t2 * Acc(0.080537446))));
    let of_ratio = series + select(Acc(0.0), Acc(0.78539819), near_1);
    let first = select(of_ratio, Acc(1.5707964) - of_ratio, steep);
    let right = select(first, Acc(3.1415927) - first, x < Acc(0.0));
    return keep_nan(x, keep_nan(y, select(right, -right, y < Acc(0.0))));
}

/// NaN differs from every number, 0 too. What is compiled of `!=` says that it does not, so all is asked by `==`.
fn combine(a: Acc, b: Acc) -> Acc {
    switch FUNCTION {
        case ADD: { return a + b; }
        case SUBTRACT: { return a - b; }
        case MULTIPLY: { return a * b; }
        case DIVIDE: { return a / b; }
        case MAXIMUM: { return keep_nan(a, keep_nan(b, max(a, b))); }
        case MINIMUM: { return keep_nan(a, keep_nan(b, min(a, b))); }
        case POWER: { return power(a, b); }
        case PRELU: { return select(b * a, a, a > Acc(0.0)); }
        case EQUAL: { return select(Acc(0.0), Acc(1.0), a == b); }
        case NOT_EQUAL: { return select(Acc(1.0), Acc(0.0), a == b); }
        case LESS: { return select(Acc(0.0), Acc(1.0), a < b); }
        case LESS_EQUAL: { return select(Acc(0.0), Acc(1.0), a <= b); }
        case GREATER: { return select(Acc(0.0), Acc(1.0), a > b); }
        case GREATER_EQUAL: { return select(Acc(0.0), Acc(1.0), a >= b); }
        case LOGICAL_AND: { return select(Acc(1.0), Acc(0.0), (a == Acc(0.0)) | (b == Acc(0.0))); }
        case LOGICAL_OR: { return select(Acc(1.0), Acc(0.0), (a == Acc(0.0)) & (b == Acc(0.0))); }
        case LOGICAL_XOR: { return select(Acc(1.0), Acc(0.0), (a == Acc(0.0)) == (b == Acc(0.0))); }
        case MODULO: { return modulo(a, b); }
        case REMAINDER: { return remainder(a, b); }
        case ARCTANGENT: { return angle(a, b); }
        case WHERE: { return select(a, Acc(0.0), b == Acc(0.0)); }
        default: { return select(Acc(0.0), a, b == Acc(0.0)); }
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
