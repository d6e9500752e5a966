// NHWC or NCHW: every shader of images asks these functions for an address, and so takes either.
//
// Where an image's elements lie: the only place that turns a data format into an address.
//
// Constants: CHANNELS_LAST.

/// The element of image `n` at row `y`, column `x`, channel `c` among images of `size` = (height, width, channels).
fn image_index(n: u32, y: u32, x: u32, c: u32, size: vec3<u32>) -> u32 {
    if CHANNELS_LAST {
        return ((n * size.x + y) * size.y + x) * size.z + c;
    }
    return ((n * size.z + c) * size.x + y) * size.y + x;
}

/// (image, row, column, channel) of element `at`: the inverse of `image_index`.
fn image_place(at: u32, size: vec3<u32>) -> vec4<u32> {
    if CHANNELS_LAST {
        let pixel = at / size.z;
        return vec4(pixel / size.y / size.x, pixel / size.y % size.x, pixel % size.y, at % size.z);
    }
    let row = at / size.y;
    return vec4(row / size.x / size.z, row % size.x, at % size.y, row / size.x % size.z);
}
