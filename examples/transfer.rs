//! Transfer learning: a network that reads digits learns to tell odd ones from even ones, by a new last layer alone.
//!
//! ```sh
//! cargo run --release --example transfer --features keras,npy,random,safetensors
//! ```
//!
//! What the network sees of a picture stays as it was trained; only what it says about it is new. So a small part of the
//! pictures is enough: 100 here. The accuracy is that on 360 pictures that neither layer has learned from.

use wgpu_conv::formats::read_arrays;
use wgpu_conv::model::Model;
use wgpu_conv::training::{FitOptions, Loss, LossClass, Metric, Optimizer, Trainer};
use wgpu_conv::{Gpu, HostTensor};

const PICTURES: usize = 100;

fn main() -> wgpu_conv::Result<()> {
    let gpu = Gpu::new()?;
    let trained = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/conformance/models/digits/model.keras");
    let mut model = Model::load(&gpu, trained)?.with_classes(2)?;
    let names: Vec<String> = model.blocks().iter().map(|block| block.name().to_owned()).collect();
    for name in &names[..names.len() - 1] {
        model.set_trainable(name, false)?;
    }
    println!("{}", model.summary());

    let arrays = read_arrays(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/digits.npz"))?;
    let array = |name| &arrays.iter().find(|(known, _)| known == name).expect("the file holds it").1;
    let odd = |name| {
        let digits = &array(name).values;
        HostTensor::new([digits.len()], digits.iter().map(|digit| digit % 2.0).collect())
    };
    let (x, y) = (array("x_train"), odd("y_train")?);
    let some = HostTensor::new([PICTURES, 8, 8, 1], x.values[..PICTURES * 64].to_vec())?;
    let their = HostTensor::new([PICTURES], y.values[..PICTURES].to_vec())?;

    let loss = Loss::new(LossClass::SparseCategoricalCrossentropy { from_logits: true, ignore_class: None, axis: -1 });
    let adam = Optimizer::from_name("adam")?.learning_rate(0.01);
    let mut trainer = Trainer::new(&model, adam, &[loss], &[Metric::Accuracy])?;
    let (pictures, labels) = ([array("x_test").clone()], [odd("y_test")?]);
    println!("before: {}", trainer.evaluate(&pictures, &labels, 32)?);
    trainer.fit(&[some], &[their], &FitOptions { epochs: 30, ..FitOptions::default() }, &mut [])?;
    println!("after:  {}", trainer.evaluate(&pictures, &labels, 32)?);
    trainer.save("odd_or_even.keras")?;
    println!("saved as odd_or_even.keras");
    Ok(())
}
