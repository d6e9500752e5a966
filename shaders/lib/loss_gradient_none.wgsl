// Where a loss is only to be known; loss_gradient.wgsl is for where it is to be minimised.
//
// No gradient.

const GRADIENT: bool = false;

fn write_gradient(at: u32, value: f32) {}
