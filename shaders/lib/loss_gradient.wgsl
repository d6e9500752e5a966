// Where a loss is to be minimised; loss_gradient_none.wgsl is for where it is only to be known.
//
// The gradient of a loss, written beside it.

const GRADIENT: bool = true;

@group(0) @binding(5) var<storage, read_write> gradient: array<f32>;

fn write_gradient(at: u32, value: f32) {
    gradient[at] = value;
}
