// As rows.wgsl, for convolutions over depth, height and width.
//
// The rows that a window covers, by number: of a volume, whose rows at one depth follow those at the depth before.
//
// A window has KERNEL_D·KERNEL_H rows of taps, KERNEL_H at each depth, as the kernel lies. in_h and out_h are the rows
// of all depths, in_height and out_height those of one.

/// Where the rows of a window begin: its first depth, and its first row at each.
alias First = vec2<u32>;

/// (depth, row at that depth) of a row of the output.
fn plane_of(row: u32) -> vec2<u32> {
    return vec2(row / params.out_height, row % params.out_height);
}

/// A window that begins at (depth, row).
fn first_at(plane: vec2<u32>) -> First {
    return plane;
}

/// The first depth and row of the window whose output is row `row`.
fn first_row(row: u32) -> First {
    return plane_of(row) * vec2(STRIDE_D, STRIDE_H) - vec2(params.pad_d, params.pad_h);
}

/// The row that row `k` of the taps reads; a number beyond the last outside the input.
fn row_of(first: First, k: u32) -> u32 {
    let at = first + vec2(k / KERNEL_H * DILATION_D, k % KERNEL_H * DILATION_H);
    return select(0xffffffffu, at.x * params.in_height + at.y, at.x < params.in_d && at.y < params.in_height);
}

/// The row that row 0 of the taps reads, wherever it lies; row k lies `rows_down(k)` further.
fn row_base(first: First) -> u32 {
    return first.x * params.in_height + first.y;
}

/// Rows from row 0 of the taps to row `k`.
fn rows_down(k: u32) -> u32 {
    return k / KERNEL_H * DILATION_D * params.in_height + k % KERNEL_H * DILATION_H;
}
