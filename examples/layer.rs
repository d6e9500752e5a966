//! One layer with weights of one's own: an edge filter over a picture, without any model.
//!
//! ```sh
//! cargo run --example layer
//! ```

use wgpu_conv::layers::DepthwiseConv2D;
use wgpu_conv::{Gpu, HostTensor, Padding, Tensor};

fn main() -> wgpu_conv::Result<()> {
    let gpu = Gpu::new()?;
    // [batch, height, width, channels]: a bright square in the dark.
    let (height, width) = (8, 16);
    let bright = |y: usize, x: usize| (2..6).contains(&y) && (4..12).contains(&x);
    let pixels: Vec<f32> = (0..height * width).map(|i| if bright(i / width, i % width) { 1.0 } else { 0.0 }).collect();
    let picture = Tensor::from_slice(&gpu, [1, height, width, 1], &pixels)?;

    // Keras's order of a depthwise kernel: [kernel height, kernel width, channels, depth multiplier].
    let layer = DepthwiseConv2D::new(3).padding(Padding::Same).use_bias(false).build(&gpu, [1, height, width, 1])?;
    let laplace = [0.0, 1.0, 0.0, 1.0, -4.0, 1.0, 0.0, 1.0, 0.0].to_vec();
    layer.set_weights(&[HostTensor::new([3, 3, 1, 1], laplace)?])?;

    let edges: Vec<f32> = layer.call(&picture)?.read()?;
    for row in edges.chunks(width) {
        println!("{}", row.iter().map(|edge| if edge.abs() > 0.5 { '#' } else { '.' }).collect::<String>());
    }
    Ok(())
}
