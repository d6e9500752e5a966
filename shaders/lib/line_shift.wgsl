// A variance wants the mean subtracted from each value, a softmax the largest value. line_parts.wgsl takes it from
// here; line_shift_none.wgsl stands in where there is none.
//
// What is subtracted from the values of a line: found by an earlier launch.

@group(0) @binding(3) var<storage, read> shifts: array<f32>;

fn shift_of(line: u32) -> f32 {
    return shifts[line];
}
