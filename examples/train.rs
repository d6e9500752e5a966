//! A network that learns to read handwritten digits, from random weights, on whatever GPU there is.
//!
//! ```sh
//! cargo run --release --example train --features keras,random,safetensors
//! ```
//!
//! The data are the 360 digits of 8×8 pixels that the tests of this repository bring. The last fifth is not trained on; the
//! accuracy on it is what the network has learned. `wgpu-conv train` does the same with the whole set of 1797, `digits.npz`.

use std::time::Instant;

use wgpu_conv::formats::{read_inputs, read_labels};
use wgpu_conv::layers::{ActivationLayer, BatchNormalization, Conv2D, Dense, GlobalAveragePooling2D};
use wgpu_conv::model::Sequential;
use wgpu_conv::training::{FitOptions, LambdaCallback, Loss, LossClass, Metric, Optimizer, Trainer};
use wgpu_conv::{Activation, Gpu, HostTensor, Padding};

fn main() -> wgpu_conv::Result<()> {
    let gpu = Gpu::new()?;
    let conv = |filters| Conv2D::new(filters, 3).padding(Padding::Same).use_bias(false);
    let network = Sequential::new(&gpu)
        .with_input([None, Some(8), Some(8), Some(1)])?
        .with(conv(32))?
        .with(BatchNormalization::new())?
        .with(ActivationLayer::new(Activation::RELU))?
        .with(conv(64).strides(2))?
        .with(BatchNormalization::new())?
        .with(ActivationLayer::new(Activation::RELU))?
        .with(GlobalAveragePooling2D::new())?
        .with(Dense::new(10).name("scores"))?;
    let model = network.into_model().expect("its input is known, so it is built");
    println!("{}", model.summary());

    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/conformance/models/digits/expected.safetensors");
    let pictures = read_inputs(&model, file)?;
    let labels: Vec<f32> = read_labels(file, "labels")?.into_iter().map(|label| label as f32).collect();
    let labels = HostTensor::new([labels.len()], labels)?;

    let loss = Loss::new(LossClass::SparseCategoricalCrossentropy { from_logits: true, ignore_class: None, axis: -1 });
    let mut trainer = Trainer::new(&model, Optimizer::from_name("adam")?, &[loss], &[Metric::Accuracy])?;
    let options = FitOptions { epochs: 30, validation_split: 0.2, ..FitOptions::default() };
    let start = Instant::now();
    let mut print = LambdaCallback::on_epoch_end(|_, epoch, logs| {
        println!("epoch {:2}: {logs}", epoch + 1);
        Ok(())
    });
    trainer.fit(&pictures, &[labels], &options, &mut [&mut print])?;
    println!("{:.1} s on {}", start.elapsed().as_secs_f64(), gpu.info().name);
    trainer.save("trained_digits.keras")?;
    println!("saved as trained_digits.keras");
    Ok(())
}
