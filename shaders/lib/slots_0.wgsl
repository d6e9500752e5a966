// What an optimizer keeps beside a weight, one array for each of its slots; update.wgsl reads and writes them by name.
//
// No slots: an optimizer binds no more than it has.

fn slot_0(i: u32) -> f32 {
    return 0.0;
}

fn keep_0(i: u32, value: f32) {}

fn slot_1(i: u32) -> f32 {
    return 0.0;
}

fn keep_1(i: u32, value: f32) {}

fn slot_2(i: u32) -> f32 {
    return 0.0;
}

fn keep_2(i: u32, value: f32) {}
