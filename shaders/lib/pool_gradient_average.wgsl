// Of a mean, every value takes the window's gradient by the number of taps that it counts.

/// How many taps of a window that starts at `start` along an axis of the padded input lie from `begin` to `end`.
fn counted(start: u32, begin: u32, end: u32, taps: u32, dilation: u32) -> u32 {
    let before_end = min(taps, (max(end, start) - start + dilation - 1u) / dilation);
    let before_begin = min(taps, (max(begin, start) - start + dilation - 1u) / dilation);
    return before_end - before_begin;
}

fn share(o: u32, window: vec3<u32>, tap: u32) -> f32 {
    let start = window * STRIDES;
    let d = counted(start.x, params.begin_d, params.end_d, KERNEL_D, DILATION_D);
    let h = counted(start.y, params.begin_h, params.end_h, KERNEL_H, DILATION_H);
    let w = counted(start.z, params.begin_w, params.end_w, KERNEL_W, DILATION_W);
    return 1.0 / max(f32(d) * f32(h) * f32(w), 1.0);
}
