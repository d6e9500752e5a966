//! A `.keras` file, and what it makes of pictures.
//!
//! ```sh
//! cargo run --example predict --features keras,image
//! cargo run --example predict --features keras,image -- MODEL PICTURE...
//! ```
//!
//! Without arguments it reads one of the handwritten digits that the tests of this repository bring.

use wgpu_conv::Gpu;
use wgpu_conv::formats::InputReader;
use wgpu_conv::model::{Model, top};

fn main() -> wgpu_conv::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let model = arguments.next().unwrap_or_else(|| format!("{tests}/conformance/models/digits/model.keras"));
    let mut pictures: Vec<String> = arguments.collect();
    if pictures.is_empty() {
        pictures.push(format!("{tests}/digits/digit_7_048.png"));
    }

    let gpu = Gpu::new()?;
    let model = Model::load(&gpu, model)?;
    // Converts pictures to the channels, the size and the range of values that the model expects.
    let reader = InputReader::new(&model)?;
    println!("{}, on {}; {}", model.name(), gpu.info().name, reader.scaling());
    for picture in pictures {
        let input = reader.read(&picture)?;
        let scores = model.predict(&input.data)?;
        for (label, score) in top(&scores.values, 3) {
            println!("{picture}: label {label}, score {score:.4}");
        }
    }
    Ok(())
}
