// How a transposed convolution walks down the taps that hit a row of its output: as rows.wgsl for convolutions.
//
// The rows of taps that hit a row of an image with no depth, by number.

/// The first row of taps that hits.
alias Hits = u32;

/// The most rows of taps that hit a row.
const HIT_ROWS: u32 = HITS_H;

fn hits_of(row: u32) -> Hits {
    return first_tap_h(row);
}

/// The row of taps of hit number `hit`; KERNEL_ROWS or more where there is none.
fn tap_row(first: Hits, hit: u32) -> u32 {
    return first + hit * TAP_STEP_H;
}

/// The input row that row `k` of the taps takes to row `row`, which it hits; a number beyond the last outside the input.
fn row_taken(row: u32, k: u32) -> u32 {
    return u32(row_at(row, k));
}
