// Slot 0: numbers that an optimizer keeps beside a weight; slot_0_none.wgsl is for one that keeps fewer.

@group(0) @binding(6) var<storage, read_write> values_0: array<f32>;

fn slot_0(i: u32) -> f32 {
    return values_0[i];
}

fn keep_0(i: u32, value: f32) {
    values_0[i] = value;
}
