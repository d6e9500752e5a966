// A transposed convolution with a stride spreads its input apart, so that only some taps of the kernel meet an input at
// a given output. These functions find the first of them, so that no loop visits the others.
//
// The taps of a transposed convolution that hit a position of its output.
//
// Position y is hit by tap ky where y + pad_h − ky·DILATION_H is a multiple of STRIDE_H; hits lie TAP_STEP_H apart.
//
// Constants: TAP_STEP_H = STRIDE_H / gcd(STRIDE_H, DILATION_H), and TAP_INVERSE_H, which times DILATION_H / gcd leaves
// 1 when divided by TAP_STEP_H; likewise TAP_STEP_D, TAP_STEP_W, TAP_INVERSE_D and TAP_INVERSE_W.

/// The most taps that hit a position along each axis.
const HITS_D: u32 = (KERNEL_D + TAP_STEP_D - 1u) / TAP_STEP_D;
const HITS_H: u32 = (KERNEL_H + TAP_STEP_H - 1u) / TAP_STEP_H;
const HITS_W: u32 = (KERNEL_W + TAP_STEP_W - 1u) / TAP_STEP_W;

/// The first tap that hits depth `z`; one beyond the last where none does.
fn first_tap_d(z: u32) -> u32 {
    let at = z + params.pad_d;
    let divisor = STRIDE_D / TAP_STEP_D;
    return select(KERNEL_D, at / divisor % TAP_STEP_D * TAP_INVERSE_D % TAP_STEP_D, at % divisor == 0u);
}

/// The first tap that hits row `y`; one beyond the last where none does.
fn first_tap_h(y: u32) -> u32 {
    let at = y + params.pad_h;
    let divisor = STRIDE_H / TAP_STEP_H;
    return select(KERNEL_H, at / divisor % TAP_STEP_H * TAP_INVERSE_H % TAP_STEP_H, at % divisor == 0u);
}

/// The first tap that hits column `x`; one beyond the last where none does.
fn first_tap_w(x: u32) -> u32 {
    let at = x + params.pad_w;
    let divisor = STRIDE_W / TAP_STEP_W;
    return select(KERNEL_W, at / divisor % TAP_STEP_W * TAP_INVERSE_W % TAP_STEP_W, at % divisor == 0u);
}

/// The input depth that tap `kz` takes to depth `z`, which it hits; may lie outside.
fn depth_at(z: u32, kz: u32) -> i32 {
    return (i32(z + params.pad_d) - i32(kz * DILATION_D)) / i32(STRIDE_D);
}

/// The input row that tap `ky` takes to row `y`, which it hits; may lie outside.
fn row_at(y: u32, ky: u32) -> i32 {
    return (i32(y + params.pad_h) - i32(ky * DILATION_H)) / i32(STRIDE_H);
}

/// The input column that tap `kx` takes to column `x`, which it hits; may lie outside.
fn column_at(x: u32, kx: u32) -> i32 {
    return (i32(x + params.pad_w) - i32(kx * DILATION_W)) / i32(STRIDE_W);
}
