// Images moved, turned, enlarged, sheared, each by an affine map of its own (warping by inverse mapping).
//
//   output[n, y, x, c] = the value of image n at row b0·x + b1·y + b2, column a0·x + a1·y + a2,
//       maps[n] = (a0, a1, a2, b0, b1, b2)
//
// Between pixels it is their bilinear mean, or that of the nearest pixel. FILL says what lies outside of an image: 0 a value,
// 1 the nearest pixel, 2 the image reflected at its edge, 3 the image again. The rules are those of TensorFlow's
// ImageProjectiveTransformV3, which Keras's layers call.
//
// Constants: LANES divides channels, and is 1 where the channels are first.
// Memory: four input vectors for each output vector, or one.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Vec>;
@group(0) @binding(2) var<storage, read> maps: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<Vec>;

const_assert LANES == 1u || CHANNELS_LAST;

/// How often `b` goes into `a`, neither being negative; exactly, which a division of drivers need not be.
fn times(a: f32, b: f32) -> f32 {
    let count = trunc(a / b);
    return select(select(count, count - 1.0, count * b > a), count + 1.0, (count + 1.0) * b <= a);
}

/// Where `place` lies on an axis of `extent` pixels, or outside of it where a value fills that.
fn placed(place: f32, extent: f32) -> f32 {
    var at = place;
    let last = extent - 1.0;
    if FILL == 0u {
        return at;
    }
    if FILL == 1u || extent <= 1.0 {
        return clamp(at, 0.0, last);
    }
    if FILL == 2u {
        let period = 2.0 * extent;
        if at < 0.0 {
            at += period * times(-at, period);
            at = select(-at - 1.0, at + period, at < -extent);
        } else if at > last {
            at -= period * times(at, period);
            at = select(at, period - at - 1.0, at >= extent);
        }
    } else if at < 0.0 {
        at += extent * (times(-at, last) + 1.0);
    } else if at > last {
        at -= extent * times(at, last);
    }
    return clamp(at, 0.0, last);
}

/// The pixel at a whole row and column, or what fills the outside.
fn pixel(place: vec4<u32>, row: f32, column: f32) -> Acc {
    let inside = row >= 0.0 && row < f32(params.height) && column >= 0.0 && column < f32(params.width);
    if !inside {
        return Acc(bitcast<f32>(params.fill));
    }
    let size = vec3(params.height, params.width, params.channels / LANES);
    return Acc(input[image_index(place.x, u32(row), u32(column), place.w, size)]);
}

/// The nearest whole number, halves away from zero.
fn nearest(x: f32) -> f32 {
    return sign(x) * floor(abs(x) + 0.5);
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
    let place = image_place(item, vec3(params.height, params.width, params.channels / LANES));
    let first = 6u * place.x;
    let y = f32(place.y);
    let x = f32(place.z);
    let column = placed(maps[first] * x + maps[first + 1u] * y + maps[first + 2u], f32(params.width));
    let row = placed(maps[first + 3u] * x + maps[first + 4u] * y + maps[first + 5u], f32(params.height));
    if NEAREST {
        output[item] = Vec(pixel(place, nearest(row), nearest(column)));
        return;
    }
    let top = floor(row);
    let left = floor(column);
    let down = row - top;
    let right = column - left;
    let upper = (1.0 - right) * pixel(place, top, left) + right * pixel(place, top, left + 1.0);
    let lower = (1.0 - right) * pixel(place, top + 1.0, left) + right * pixel(place, top + 1.0, left + 1.0);
    output[item] = Vec((1.0 - down) * upper + down * lower);
}
