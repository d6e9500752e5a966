// Of a maximum, the value that pool_choice.wgsl chose takes all of the window's gradient.

@group(0) @binding(3) var<storage, read> choice: array<u32>;

fn share(o: u32, window: vec3<u32>, tap: u32) -> f32 {
    return select(0.0, 1.0, choice[o] == tap);
}
