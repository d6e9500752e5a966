// Common to pool.wgsl and pool_parts.wgsl: bindings, and which elements a window covers.
//
// The windows of pooling.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Vec>;
@group(0) @binding(2) var<storage, read_write> output: array<Out>;

const MAX: u32 = 0u;
const AVERAGE: u32 = 1u;

const_assert LANES == 1u || CHANNELS_LAST;

/// Height, width and vectors of channels of the input.
fn input_size() -> vec3<u32> {
    return vec3(params.in_h, params.in_w, params.channels / LANES);
}

/// How many of `taps` taps, `dilation` apart from `start` on, come before `end`.
fn taps_before(end: u32, start: u32, taps: u32, dilation: u32) -> u32 {
    return min(taps, (max(end, start) - start + dilation - 1u) / dilation);
}

/// What the sum of a window is divided by whose output is row `row`, and which starts at column `left` of the padded input:
/// the number of taps between begin_d, begin_h, begin_w and end_d, end_h, end_w. A window that covers nothing has no mean: it
/// is 0.
fn divisor(row: u32, left: u32) -> f32 {
    let start = plane_of(row) * vec2(STRIDE_D, STRIDE_H);
    let depths = taps_before(params.end_d, start.x, KERNEL_D, DILATION_D) - taps_before(params.begin_d, start.x, KERNEL_D, DILATION_D);
    let rows = taps_before(params.end_h, start.y, KERNEL_H, DILATION_H) - taps_before(params.begin_h, start.y, KERNEL_H, DILATION_H);
    let columns = taps_before(params.end_w, left, KERNEL_W, DILATION_W) - taps_before(params.begin_w, left, KERNEL_W, DILATION_W);
    return max(f32(depths) * f32(rows) * f32(columns), 1.0);
}
