// As tap_rows.wgsl, for transposed convolutions over depth, height and width.
//
// The rows of taps that hit a row of a volume, by number: KERNEL_H at each of KERNEL_D depths, as the kernel lies.

/// The first depth, and the first row at each, of the taps that hit.
alias Hits = vec2<u32>;

/// The most rows of taps that hit a row.
const HIT_ROWS: u32 = HITS_D * HITS_H;

fn hits_of(row: u32) -> Hits {
    return vec2(first_tap_d(row / params.out_height), first_tap_h(row % params.out_height));
}

/// The row of taps of hit number `hit`; KERNEL_ROWS or more where there is none.
fn tap_row(first: Hits, hit: u32) -> u32 {
    let at = first + vec2(hit / HITS_H * TAP_STEP_D, hit % HITS_H * TAP_STEP_H);
    return select(KERNEL_ROWS, at.x * KERNEL_H + at.y, at.x < KERNEL_D && at.y < KERNEL_H);
}

/// The input row that row `k` of the taps takes to row `row`, which it hits; a number beyond the last outside the input.
fn row_taken(row: u32, k: u32) -> u32 {
    let z = u32(depth_at(row / params.out_height, k / KERNEL_H));
    let y = u32(row_at(row % params.out_height, k % KERNEL_H));
    return select(0xffffffffu, z * params.in_height + y, z < params.in_d && y < params.in_height);
}
