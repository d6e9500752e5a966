// The backward pass of a product, a maximum, … of two tensors, to one of them.
//
// One element per invocation. For every coordinate c of a box of RANK axes, row-major:
//
//   output[c] = gradient[c] · slope(left[sum over i of c_i·left_i], right[sum over i of c_i·right_i])
//
// Where both sides of a maximum or a minimum are the same, either takes half (G3). What compares has no slope.
//
// Constants: RANK, FUNCTION as in binary.wgsl, TO_LEFT: whether the slope is that along the left side.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> left: array<Elem>;
@group(0) @binding(2) var<storage, read> right: array<Elem>;
@group(0) @binding(3) var<storage, read> gradient: array<Elem>;
@group(0) @binding(4) var<storage, read_write> output: array<Elem>;

const ADD: u32 = 0u;
const SUBTRACT: u32 = 1u;
const MULTIPLY: u32 = 2u;
const DIVIDE: u32 = 3u;
const MAXIMUM: u32 = 4u;
const MINIMUM: u32 = 5u;
const POWER: u32 = 6u;
const PRELU: u32 = 7u;
const MODULO: u32 = 17u;
const REMAINDER: u32 = 18u;
const ARCTANGENT: u32 = 19u;
const WHERE: u32 = 20u;
const WHERE_NOT: u32 = 21u;

/// 1 for the larger, ½ for equals.
fn share(mine: Acc, other: Acc) -> Acc {
    return select(select(Acc(0.0), Acc(0.5), mine == other), Acc(1.0), mine > other);
}

fn to_left(a: Acc, b: Acc) -> Acc {
    switch FUNCTION {
        case ADD: { return Acc(1.0); }
        case SUBTRACT: { return Acc(1.0); }
        case MULTIPLY: { return b; }
        case DIVIDE: { return Acc(1.0) / b; }
        case MAXIMUM: { return share(a, b); }
        case MINIMUM: { return share(-a, -b); }
        case POWER: { return select(b * power(a, b - Acc(1.0)), Acc(0.0), b == Acc(0.0)); }
        case PRELU: { return select(b, Acc(1.0), a > Acc(0.0)); }
        case MODULO, REMAINDER: { return Acc(1.0); }
        case ARCTANGENT: { return b / (a * a + b * b); }
        case WHERE: { return select(Acc(1.0), Acc(0.0), b == Acc(0.0)); }
        case WHERE_NOT: { return select(Acc(0.0), Acc(1.0), b == Acc(0.0)); }
        default: { return Acc(0.0); }
    }
}

fn to_right(a: Acc, b: Acc) -> Acc {
    switch FUNCTION {
        case ADD: { return Acc(1.0); }
        case SUBTRACT: { return Acc(-1.0); }
        case MULTIPLY: { return a; }
        case DIVIDE: { return -a / (b * b); }
        case MAXIMUM: { return share(b, a); }
        case MINIMUM: { return share(-b, -a); }
        case POWER: { return select(Acc(0.0), power(a, b) * sound_log(a), a > Acc(0.0)); }
        case PRELU: { return select(a, Acc(0.0), a > Acc(0.0)); }
        case MODULO: { return -round((a - modulo(a, b)) / b); }
        case REMAINDER: { return -round((a - remainder(a, b)) / b); }
        case ARCTANGENT: { return -a / (a * a + b * b); }
        default: { return Acc(0.0); }
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
    let a = Acc(left[place.left]);
    let b = Acc(right[place.right]);
    let g = Acc(gradient[item]);
    if TO_LEFT {
        output[item] = Elem(g * to_left(a, b));
    } else {
        output[item] = Elem(g * to_right(a, b));
    }
}
