// Images of depth, height and width, in either data format: where an element lies, and which tap of which window it is under.
//
// Constants: CHANNELS_LAST, KERNEL_, STRIDE_ and DILATION_ of D, H, W.

/// Sizes of one image: depth, height, width.
fn in_size() -> vec3<u32> { return vec3(params.in_d, params.in_h, params.in_w); }
fn out_size() -> vec3<u32> { return vec3(params.out_d, params.out_h, params.out_w); }
fn pads() -> vec3<u32> { return vec3(params.pad_d, params.pad_h, params.pad_w); }

const STRIDES = vec3(STRIDE_D, STRIDE_H, STRIDE_W);
const DILATIONS = vec3(DILATION_D, DILATION_H, DILATION_W);
const TAPS: u32 = KERNEL_D * KERNEL_H * KERNEL_W;

/// The coordinates of tap number `tap`.
fn tap_place(tap: u32) -> vec3<u32> {
    return vec3(tap / KERNEL_W / KERNEL_H, tap / KERNEL_W % KERNEL_H, tap % KERNEL_W);
}

/// The element of image `n` at `at`, channel `c` among images of `size` with so many channels.
fn volume_index(n: u32, at: vec3<u32>, c: u32, size: vec3<u32>, channels: u32) -> u32 {
    if CHANNELS_LAST {
        return (((n * size.x + at.x) * size.y + at.y) * size.z + at.z) * channels + c;
    }
    return (((n * channels + c) * size.x + at.x) * size.y + at.y) * size.z + at.z;
}

/// Image, channel (xy) and position of an element.
struct VolumePlace {
    image: u32,
    channel: u32,
    at: vec3<u32>,
}

/// The place of element `i`: the inverse of `volume_index`.
fn volume_place(i: u32, size: vec3<u32>, channels: u32) -> VolumePlace {
    let position = select(i, i / channels, CHANNELS_LAST);
    let at = vec3(position / size.z / size.y % size.x, position / size.z % size.y, position % size.z);
    let rest = position / size.z / size.y / size.x;
    if CHANNELS_LAST {
        return VolumePlace(rest, i % channels, at);
    }
    return VolumePlace(rest / channels, rest % channels, at);
}
