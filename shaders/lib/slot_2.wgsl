// Slot 2: numbers that an optimizer keeps beside a weight; slot_2_none.wgsl is for one that keeps fewer.

@group(0) @binding(8) var<storage, read_write> values_2: array<f32>;

fn slot_2(i: u32) -> f32 {
    return values_2[i];
}

fn keep_2(i: u32, value: f32) {
    values_2[i] = value;
}
