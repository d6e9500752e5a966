// No slot 0: an optimizer binds no more than it has.

fn slot_0(i: u32) -> f32 {
    return 0.0;
}

fn keep_0(i: u32, value: f32) {}
