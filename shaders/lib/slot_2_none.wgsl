// No slot 2: an optimizer binds no more than it has.

fn slot_2(i: u32) -> f32 {
    return 0.0;
}

fn keep_2(i: u32, value: f32) {}
