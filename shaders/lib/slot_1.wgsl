// Slot 1: numbers that an optimizer keeps beside a weight; slot_1_none.wgsl is for one that keeps fewer.

@group(0) @binding(7) var<storage, read_write> values_1: array<f32>;

fn slot_1(i: u32) -> f32 {
    return values_1[i];
}

fn keep_1(i: u32, value: f32) {
    values_1[i] = value;
}
