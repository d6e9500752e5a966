//! Models for JavaScript.

use js_sys::{Array, Object};
use wasm_bindgen::prelude::*;

use super::{Gpu, Result, set, values};
use crate::model::LayerKey;
use crate::{HostTensor, PartialShape, model};

/// A network that runs as one program: from a file, with its weights.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Model(pub(super) model::Model);

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

    /// Replaces all weights, in the order of the layers and of Keras in each: those that training has changed, or others of the
    /// same shapes.
    #[wasm_bindgen(js_name = setWeights)]
    pub fn set_weights(&self, #[wasm_bindgen(unchecked_param_type = "HostTensor[]")] weights: Array) -> Result<()> {
        let (own, given) = (self.0.weights(), values::hosts(&weights)?);
        let fit =
            own.len() == given.len() && own.iter().zip(&given).all(|((_, own), given)| *own.shape() == given.shape);
        if !fit {
            let shapes = own.iter().map(|(path, weight)| format!("{path} {}", weight.shape())).collect::<Vec<_>>();
            let rule = format!("weights must be given for {}", shapes.join(", "));
            let received = given.iter().map(|given| given.shape.to_string()).collect::<Vec<_>>().join(", ");
            return Err(crate::Error::invalid("weights", rule, received).into());
        }
        Ok(own.iter().zip(&given).try_for_each(|((_, own), given)| own.assign(given))?)
    }
}

fn partial(shape: &PartialShape) -> Array {
    let extent = |dim: &Option<usize>| dim.map_or(JsValue::NULL, |dim| JsValue::from(dim as f64));
    shape.dims().iter().map(extent).collect()
}
