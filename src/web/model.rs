//! Models for JavaScript.

use js_sys::{Array, Object};
use wasm_bindgen::prelude::*;

use super::{Gpu, Result, set, time_of, values};
use crate::formats::InputReader;
use crate::model::LayerKey;
use crate::view::{Page, Viewer};
use crate::{HostTensor, PartialShape, Tensor, model};

/// A network that runs as one program: from a file, with its weights.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Model(model::Model);

#[wasm_bindgen]
impl Model {
    /// The model of a file: `.keras`, a whole model in `.h5`, or ONNX. The content says which it is.
    #[wasm_bindgen(js_name = fromBytes)]
    pub fn from_bytes(gpu: &Gpu, bytes: &[u8]) -> Result<Model> {
        Ok(Self(model::Model::from_bytes(&gpu.0, bytes)?))
    }

    /// Its name.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.0.name().to_owned()
    }

    /// The number of values in all weights.
    #[wasm_bindgen(getter)]
    pub fn parameters(&self) -> f64 {
        self.0.count_params() as f64
    }

    /// The shapes of its inputs, the batch first; `null` for an extent that may differ from call to call.
    #[wasm_bindgen(getter, js_name = inputShapes, unchecked_return_type = "(number | null)[][]")]
    pub fn input_shapes(&self) -> Array {
        self.0.inputs().iter().map(|input| partial(&input.shape)).collect()
    }

    /// The shapes of its outputs, in the same manner.
    #[wasm_bindgen(getter, js_name = outputShapes, unchecked_return_type = "(number | null)[][]")]
    pub fn output_shapes(&self) -> Array {
        self.0.output_shapes().iter().map(partial).collect()
    }

    /// A table of the layers in the manner of Keras.
    pub fn summary(&self) -> String {
        self.0.summary()
    }

    /// The layers in the order of computation, with their configs as Keras writes them.
    #[wasm_bindgen(unchecked_return_type = "LayerDescription[]")]
    pub fn layers(&self) -> Result<JsValue> {
        let architecture = self.0.architecture();
        let one = |layer: &model::AppliedLayer| {
            serde_json::json!({
                "name": layer.path,
                "class": layer.config.class_name(),
                // Null for what Keras has no config for.
                "config": layer.config.get_config().ok(),
                "inputs": layer.inputs,
            })
        };
        values::from_json(&architecture.layers().iter().map(one).collect())
    }

    /// The output for `data`, a batch of any size; computed 32 at a time.
    #[wasm_bindgen(unchecked_return_type = "HostTensor")]
    pub async fn predict(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Float32Array")] data: Vec<f32>,
        #[wasm_bindgen(unchecked_param_type = "number[]")] shape: Vec<f64>,
    ) -> Result<Object> {
        let data = HostTensor::new(values::extents(&shape)?, data)?;
        Ok(values::of_host(&self.0.predict_async(&data).await?))
    }

    /// The outputs for all inputs of a model that has several of either, at once.
    #[wasm_bindgen(js_name = predictAll, unchecked_return_type = "HostTensor[]")]
    pub async fn predict_all(
        &self,
        #[wasm_bindgen(unchecked_param_type = "HostTensor[]")] inputs: Array,
    ) -> Result<Array> {
        Ok(values::list(&self.0.predict_all_async(&values::hosts(&inputs)?).await?))
    }

    /// Compiles the model for inputs of these shapes, so that the first prediction is as fast as the next.
    #[wasm_bindgen(js_name = warmUp)]
    pub async fn warm_up(&self, #[wasm_bindgen(unchecked_param_type = "number[][]")] shapes: Array) -> Result<()> {
        Ok(self.0.warm_up_async(&values::shapes(&shapes)?).await?)
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

    /// The weights of a layer, by the name that [`layers`](Self::layers) tells.
    #[wasm_bindgen(js_name = layerWeights, unchecked_return_type = "Weight[]")]
    pub async fn layer_weights(&self, name: String) -> Result<Array> {
        let layer = self.0.get_layer(LayerKey::Name(&name))?;
        let weights = Array::new();
        for weight in layer.weights() {
            let object = values::of_host(&weight.read_async().await?);
            set(&object, "name", weight.name());
            weights.push(&object);
        }
        Ok(weights)
    }

    /// The input that a picture is, whose pixels are red, green, blue and alpha, as `ImageData` has them: converted to the
    /// model's channels, and scaled as the model's first layers ask for. It must have the size of the model's input.
    #[wasm_bindgen(js_name = pixels, unchecked_return_type = "HostTensor")]
    pub fn pixels(&self, height: usize, width: usize, rgba: &[u8]) -> Result<Object> {
        Ok(values::of_host(&InputReader::new(&self.0)?.pixels([height, width], rgba)?))
    }

    /// The model as a page of HTML without values, its shapes those for these inputs.
    pub async fn page(&self, #[wasm_bindgen(unchecked_param_type = "HostTensor[]")] inputs: Array) -> Result<String> {
        let mut viewer = Viewer::new(&self.0);
        viewer.predict_async(&values::hosts(&inputs)?).await?;
        viewer.clear();
        Ok(viewer.page(&Page::new())?)
    }
}

fn partial(shape: &PartialShape) -> Array {
    let extent = |dim: &Option<usize>| dim.map_or(JsValue::NULL, |dim| JsValue::from(dim as f64));
    shape.dims().iter().map(extent).collect()
}
