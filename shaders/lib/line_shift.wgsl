// What is subtracted from the values of a line: found by an earlier launch.

@group(0) @binding(3) var<storage, read> shifts: array<f32>;

fn shift_of(line: u32) -> f32 {
    return shifts[line];
}
