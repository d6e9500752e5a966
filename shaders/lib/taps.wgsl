// The taps of a transposed convolution that hit a position of its output.
//
// Position y is hit by tap ky where y + pad_h − ky·DILATION_H is a multiple of STRIDE_H; hits lie TAP_STEP_H apart.

/// The first tap that hits row `y`; one beyond the last where none does.
fn first_tap_h(y: u32) -> u32 {
    for (var ky = 0u; ky < TAP_STEP_H; ky++) {
        if (i32(y + params.pad_h) - i32(ky * DILATION_H)) % i32(STRIDE_H) == 0 {
            return ky;
        }
    }
    return KERNEL_H;
}

/// The first tap that hits column `x`; one beyond the last where none does.
fn first_tap_w(x: u32) -> u32 {
    for (var kx = 0u; kx < TAP_STEP_W; kx++) {
        if (i32(x + params.pad_w) - i32(kx * DILATION_W)) % i32(STRIDE_W) == 0 {
            return kx;
        }
    }
    return KERNEL_W;
}

/// The input row that tap `ky` takes to row `y`, which it hits; may lie outside.
fn row_at(y: u32, ky: u32) -> i32 {
    return (i32(y + params.pad_h) - i32(ky * DILATION_H)) / i32(STRIDE_H);
}

/// The input column that tap `kx` takes to column `x`, which it hits; may lie outside.
fn column_at(x: u32, kx: u32) -> i32 {
    return (i32(x + params.pad_w) - i32(kx * DILATION_W)) / i32(STRIDE_W);
}
