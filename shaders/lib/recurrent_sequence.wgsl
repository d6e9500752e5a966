// What a recurrence is given of each sequence, side by side: the mask of its times, in the order in which states are made, where MASKED,
// and the factors of its state, [GATES, UNITS], where DROPPED. A shader has it as `of_sequence`.

/// Where what is given of sequence `b` begins.
fn sequence_at(b: u32) -> u32 {
    return b * (select(0u, params.times, MASKED) + select(0u, GATES * UNITS, DROPPED));
}

/// Whether time `t` of sequence `b` counts.
fn counts_at(b: u32, t: u32) -> bool {
    if MASKED {
        return of_sequence[sequence_at(b) + t] != Elem(0.0);
    }
    return true;
}

/// What value `k` of the state of sequence `b` is multiplied by for gate `g`.
fn factor_at(b: u32, g: u32, k: u32) -> f32 {
    if DROPPED {
        return f32(of_sequence[sequence_at(b) + select(0u, params.times, MASKED) + g * UNITS + k]);
    }
    return 1.0;
}
