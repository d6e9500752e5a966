//! What JavaScript sees of files and of models while they run.

use futures_intrusive::channel::shared::oneshot_channel;
use js_sys::{Array, Object};
use wasm_bindgen::prelude::*;

use super::{Model, Result, set, values};
use crate::formats::InputReader;
use crate::view::{Page, Viewer};
use crate::{Commands, Tensor, layers};

#[wasm_bindgen]
extern "C" {
    /// Milliseconds.
    #[wasm_bindgen(js_namespace = performance)]
    fn now() -> f64;
}

/// What is in a model file, a `.keras`, `.h5` or ONNX file, and all that would stand in the way of building it; nothing is
/// computed, and no WebGPU is needed.
#[wasm_bindgen(unchecked_return_type = "Contents")]
pub fn inspect(bytes: &[u8]) -> Result<JsValue> {
    let contents = crate::formats::inspect_bytes(bytes)?;
    let layers = contents.layers.iter().map(|(name, class)| serde_json::json!({"name": name, "class": class}));
    let obstacles =
        contents.obstacles.iter().map(|it| serde_json::json!({"name": it.name, "kind": it.kind, "reason": it.reason}));
    values::from_json(&serde_json::json!({
        "format": contents.format,
        "name": contents.name,
        "layers": layers.collect::<Vec<_>>(),
        "obstacles": obstacles.collect::<Vec<_>>(),
    }))
}

#[wasm_bindgen]
impl Model {
    /// A table of the layers in the manner of Keras.
    pub fn summary(&self) -> String {
        self.0.summary()
    }

    /// Compiles the model for inputs of these shapes, so that the first prediction is as fast as the next.
    #[wasm_bindgen(js_name = warmUp)]
    pub async fn warm_up(&self, #[wasm_bindgen(unchecked_param_type = "number[][]")] shapes: Array) -> Result<()> {
        Ok(self.0.warm_up_async(&values::shapes(&shapes)?).await?)
    }

    /// The input that a picture is, whose pixels are red, green, blue and alpha, as `ImageData` has them: converted to the
    /// model's channels, and scaled as the model's first layers ask for. It must have the size of the model's input.
    #[wasm_bindgen(js_name = pixels, unchecked_return_type = "HostTensor")]
    pub fn pixels(&self, height: usize, width: usize, rgba: &[u8]) -> Result<Object> {
        Ok(values::of_host(&InputReader::new(&self.0)?.pixels([height, width], rgba)?))
    }

    /// What the inputs are and each layer makes of them, for the first of the batch: each layer runs by itself.
    #[wasm_bindgen(js_name = layerOutputs, unchecked_return_type = "LayerOutput[]")]
    pub async fn layer_outputs(
        &self,
        #[wasm_bindgen(unchecked_param_type = "HostTensor[]")] inputs: Array,
    ) -> Result<Array> {
        let mut viewer = Viewer::new(&self.0);
        viewer.predict_async(&values::hosts(&inputs)?).await?;
        let layers = viewer.layers().iter().map(|layer| {
            let (dims, made) = (layer.output_shape().unwrap_or_default(), layer.neural_value().unwrap_or_default());
            let object = values::of_slice(dims, made);
            set(&object, "name", layer.name());
            object
        });
        Ok(layers.collect())
    }

    /// How long each layer takes on these inputs by itself, in milliseconds: the mean of `runs` in one submission, from which
    /// the time of an empty one is taken away.
    #[wasm_bindgen(js_name = layerTimes)]
    pub async fn layer_times(
        &self,
        #[wasm_bindgen(unchecked_param_type = "HostTensor[]")] inputs: Array,
        runs: u32,
    ) -> Result<Vec<f64>> {
        let gpu = self.0.gpu();
        let inputs = values::hosts(&inputs)?;
        let inputs = inputs.iter().map(|input| Tensor::from_slice(gpu, &input.shape, &input.values));
        let recorded = self.0.call_recorded(&inputs.collect::<crate::Result<Vec<_>>>()?)?;
        let mut times = Vec::with_capacity(recorded.len());
        for layer in &recorded {
            times.push(time_of(gpu, &layer.layer, &layer.inputs, runs).await?);
        }
        Ok(times)
    }

    /// The model as a page of HTML without values, its shapes those for these inputs.
    pub async fn page(&self, #[wasm_bindgen(unchecked_param_type = "HostTensor[]")] inputs: Array) -> Result<String> {
        let mut viewer = Viewer::new(&self.0);
        viewer.predict_async(&values::hosts(&inputs)?).await?;
        viewer.clear();
        Ok(viewer.page(&Page::new())?)
    }
}

/// How long a layer takes on these inputs, in milliseconds: the mean of `runs` in one submission, from which the time of an
/// empty one is taken away.
pub(super) async fn time_of(gpu: &crate::Gpu, layer: &layers::Layer, inputs: &[Tensor], runs: u32) -> Result<f64> {
    let runs = runs.max(1);
    let run = |count: u32| {
        let mut commands = Commands::new(gpu);
        for _ in 0..count {
            layer.record_all(&mut commands, inputs)?;
        }
        commands.submit()
    };
    run(1)?;
    done(gpu).await;
    let start = now();
    run(1)?;
    done(gpu).await;
    let one = now();
    run(1 + runs)?;
    done(gpu).await;
    Ok((((now() - one) - (one - start)) / f64::from(runs)).max(0.0))
}

/// When everything submitted has run.
async fn done(gpu: &crate::Gpu) {
    let (sender, receiver) = oneshot_channel();
    gpu.queue().on_submitted_work_done(move || {
        let _ = sender.send(());
    });
    receiver.receive().await;
}
