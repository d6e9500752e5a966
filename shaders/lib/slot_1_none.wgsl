// No slot 1: an optimizer binds no more than it has.

fn slot_1(i: u32) -> f32 {
    return 0.0;
}

fn keep_1(i: u32, value: f32) {}
