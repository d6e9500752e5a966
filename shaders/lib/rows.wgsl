// How a window walks down what it covers. An image has one run of rows; a volume has one for each depth, which
// rows_deep.wgsl walks as one run, so that a shader needs no loop of its own for the depth.
//
// The rows that a window covers, by number: of an image with no depth.
//
// k counts the rows of a window's taps. Rows before the first are numbers beyond the last.

/// Where the rows of a window begin.
alias First = u32;

/// (depth, row at that depth) of a row of the output.
fn plane_of(row: u32) -> vec2<u32> {
    return vec2(0u, row);
}

/// A window that begins at (depth, row).
fn first_at(plane: vec2<u32>) -> First {
    return plane.y;
}

/// The first row of the window whose output is row `row`.
fn first_row(row: u32) -> First {
    return row * STRIDE_H - params.pad_h;
}

/// The row that row `k` of the taps reads; a number beyond the last outside the input.
fn row_of(first: First, k: u32) -> u32 {
    return first + k * DILATION_H;
}

/// The row that row 0 of the taps reads, wherever it lies; row k lies `rows_down(k)` further.
fn row_base(first: First) -> u32 {
    return first;
}

/// Rows from row 0 of the taps to row `k`.
fn rows_down(k: u32) -> u32 {
    return k * DILATION_H;
}
