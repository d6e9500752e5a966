//! A network built by hand, as with Keras's `Sequential`: its summary, its weights, and a batch run through it.
//!
//! ```sh
//! cargo run --example sequential
//! ```

use wgpu_conv::layers::{BatchNormalization, Conv2D, Dense, GlobalAveragePooling2D, SeparableConv2D};
use wgpu_conv::model::Sequential;
use wgpu_conv::{Activation, Gpu, HostTensor, Padding};

fn main() -> wgpu_conv::Result<()> {
    let gpu = Gpu::new()?;
    // Any batch; pictures of 32×32 pixels and 3 channels.
    let network = Sequential::new(&gpu)
        .with_input([None, Some(32), Some(32), Some(3)])?
        .with(Conv2D::new(16, 3).strides(2).padding(Padding::Same).activation(Activation::RELU).name("stem"))?
        .with(SeparableConv2D::new(32, 3).padding(Padding::Same))?
        .with(BatchNormalization::new())?
        .with(GlobalAveragePooling2D::new())?
        .with(Dense::new(10).activation(Activation::Softmax { axis: -1 }).name("scores"))?;
    println!("{}", network.summary());

    // Weights are random, as in Keras, until they are set or loaded.
    if let Some(model) = network.model() {
        for (path, weight) in model.weights() {
            println!("{path}: {}", weight.shape());
        }
    }

    // Each row sums to one: they are the scores of one picture.
    let pictures = HostTensor::new([4, 32, 32, 3], (0..4 * 32 * 32 * 3).map(|i| (i % 255) as f32 / 255.0).collect())?;
    let scores = network.predict(&pictures)?;
    for row in scores.values.chunks(10) {
        println!("{:.3?}, together {:.3}", row, row.iter().sum::<f32>());
    }
    Ok(())
}
