// One strided copy for all layers that only move elements: permutation, padding, cropping, slices, repetition,
// concatenation.
//
// Elements put elsewhere, one vector per invocation. For every coordinate c of a box of RANK axes:
//
//   output[output_offset + sum over i of c_i·to_i] = input[input_offset + sum over i of s_i·from_i]
//   s_i = c_i on plain axes;  s_i = floor((c_i·step_i + start_i) / repeat_i) where bit i of REACHING is set
//
// Where an s_i lies outside 0..source_i, OUTSIDE says what is read: 0 the value `fill`, 1 the nearest inside, 2 the
// mirror image (the border itself is not repeated), 3 the other end. Axis 0 is the innermost: neighbouring invocations
// write neighbouring elements wherever the output's last axis is one of the box's.
//
// Constants: RANK, REACHING, OUTSIDE. With LANES = 4 everything is counted in vectors, and axis 0 is plain. Where an invocation
// moves a block of four by four elements (lib/moved_block.wgsl), two axes are counted in blocks, and all are plain.
// Memory: one read and one write for each vector; strides are modulo 2³², so that negative ones need no sign.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Vec>;
@group(0) @binding(2) var<storage, read_write> output: array<Vec>;

const EDGE: u32 = 1u;
const REFLECT: u32 = 2u;
const WRAP: u32 = 3u;

const_assert LANES == 1u || (REACHING & 1u) == 0u;

/// An axis of the box: its coordinates, and how they become addresses.
struct Axis {
    extent: u32,
    read_stride: u32,
    write_stride: u32,
    source: u32,
    start: u32,
    step: u32,
    repeat: u32,
}

/// What is left of an invocation's number behind the axes walked so far, and where those led.
struct Place {
    rest: u32,
    read: u32,
    write: u32,
    filled: bool,
}

/// The remainder that is never negative.
fn modulo(a: i32, n: i32) -> i32 {
    let remainder = a % n;
    return select(remainder, remainder + n, remainder < 0);
}

/// The source coordinate of `c`, brought inside where OUTSIDE says how; −1 where it is to be filled.
fn source_of(c: u32, axis: Axis) -> i32 {
    let place = i32(c * axis.step + axis.start);
    let repeat = i32(axis.repeat);
    let s = (place - modulo(place, repeat)) / repeat;
    let source = i32(axis.source);
    if s >= 0 && s < source {
        return s;
    }
    if OUTSIDE == EDGE {
        return clamp(s, 0, source - 1);
    }
    if OUTSIDE == REFLECT {
        let period = max(2 * (source - 1), 1);
        let turned = modulo(s, period);
        return min(turned, period - turned) * i32(source > 1);
    }
    if OUTSIDE == WRAP {
        return modulo(s, source);
    }
    return -1;
}

/// Walks axis number `i`.
fn along(i: u32, axis: Axis, place: Place) -> Place {
    if i >= RANK {
        return place;
    }
    var c = place.rest;
    if i + 1u < RANK {
        c = place.rest % axis.extent;
    }
    var s = c;
    var filled = place.filled;
    if ((REACHING >> i) & 1u) == 1u {
        let source = source_of(c, axis);
        s = u32(max(source, 0));
        filled = filled || source < 0;
    }
    let read = place.read + s * axis.read_stride;
    return Place(place.rest / axis.extent, read, place.write + c * axis.write_stride, filled);
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
    var place = Place(item, params.input_offset, params.output_offset, false);
    place = along(0u, Axis(params.extent_0, params.from_0, params.to_0, params.source_0, params.start_0, params.step_0,
        params.repeat_0), place);
    place = along(1u, Axis(params.extent_1, params.from_1, params.to_1, params.source_1, params.start_1, params.step_1,
        params.repeat_1), place);
    place = along(2u, Axis(params.extent_2, params.from_2, params.to_2, params.source_2, params.start_2, params.step_2,
        params.repeat_2), place);
    place = along(3u, Axis(params.extent_3, params.from_3, params.to_3, params.source_3, params.start_3, params.step_3,
        params.repeat_3), place);
    place = along(4u, Axis(params.extent_4, params.from_4, params.to_4, params.source_4, params.start_4, params.step_4,
        params.repeat_4), place);
    place = along(5u, Axis(params.extent_5, params.from_5, params.to_5, params.source_5, params.start_5, params.step_5,
        params.repeat_5), place);
    if place.filled {
        output[place.write] = Vec(Elem(bitcast<f32>(params.fill)));
    } else {
        move_between(place.read, place.write);
    }
}
