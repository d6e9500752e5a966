// What an optimizer keeps beside a weight, one array for each of its slots; update.wgsl reads and writes them by name.
//
// Three slots: an optimizer binds no more than it has.

@group(0) @binding(6) var<storage, read_write> values_0: array<f32>;

fn slot_0(i: u32) -> f32 {
    return values_0[i];
}

fn keep_0(i: u32, value: f32) {
    values_0[i] = value;
}

@group(0) @binding(7) var<storage, read_write> values_1: array<f32>;

fn slot_1(i: u32) -> f32 {
    return values_1[i];
}

fn keep_1(i: u32, value: f32) {
    values_1[i] = value;
}

@group(0) @binding(8) var<storage, read_write> values_2: array<f32>;

fn slot_2(i: u32) -> f32 {
    return values_2[i];
}

fn keep_2(i: u32, value: f32) {
    values_2[i] = value;
}
