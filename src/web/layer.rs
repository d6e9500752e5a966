//! Single layers for JavaScript.

use js_sys::{Array, Object};
use wasm_bindgen::prelude::*;

use super::look::time_of;
use super::{Gpu, Result, values};
use crate::layers::{self, LayerConfig, ReadOptions};
use crate::{PartialShape, Shape, Tensor};

/// A layer of Keras, by its class and its config.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Layer(layers::Layer);

#[wasm_bindgen]
impl Layer {
    /// The layer of a Keras class, with the arguments in `config` (JSON), for inputs of these shapes. Strides may be combined
    /// with dilation, which Keras itself refuses in some layers.
    #[wasm_bindgen(js_name = fromConfig)]
    pub fn from_config(
        gpu: &Gpu,
        class: &str,
        config: &str,
        #[wasm_bindgen(unchecked_param_type = "number[][]")] shapes: Array,
    ) -> Result<Layer> {
        let options = ReadOptions { strided_dilation: true };
        let config: serde_json::Value = serde_json::from_str(config)?;
        let shapes: Vec<PartialShape> = values::shapes(&shapes)?.into_iter().map(PartialShape::from).collect();
        Ok(Self(LayerConfig::from_config_with(class, &config, options)?.build_all(&gpu.0, &shapes)?))
    }

    /// The names of its weights, in Keras's order.
    #[wasm_bindgen(getter, js_name = weightNames)]
    pub fn weight_names(&self) -> Vec<String> {
        self.0.weights().iter().map(|weight| weight.name().to_owned()).collect()
    }

    /// Replaces all weights, in Keras's order.
    #[wasm_bindgen(js_name = setWeights)]
    pub fn set_weights(&self, #[wasm_bindgen(unchecked_param_type = "HostTensor[]")] weights: Array) -> Result<()> {
        Ok(self.0.set_weights(&values::hosts(&weights)?)?)
    }

    /// What it makes of its inputs.
    #[wasm_bindgen(unchecked_return_type = "HostTensor")]
    pub async fn call(&self, #[wasm_bindgen(unchecked_param_type = "HostTensor[]")] inputs: Array) -> Result<Object> {
        let inputs = values::hosts(&inputs)?;
        let inputs = inputs.iter().map(|input| Tensor::from_slice(self.0.gpu(), &input.shape, &input.values));
        let output = self.0.call_all(&inputs.collect::<crate::Result<Vec<_>>>()?)?;
        Ok(values::of_slice(output.shape().dims(), &output.read_async::<f32>().await?))
    }

    /// How long it takes on inputs of zeros of these shapes, in milliseconds, without their way to the GPU and the result's way
    /// back: the mean of `runs`.
    pub async fn time(
        &self,
        #[wasm_bindgen(unchecked_param_type = "number[][]")] shapes: Array,
        runs: u32,
    ) -> Result<f64> {
        let gpu = self.0.gpu();
        let zeros = |shape: &Shape| Tensor::from_slice(gpu, shape, &vec![0.0_f32; shape.dims().iter().product()]);
        let inputs = values::shapes(&shapes)?.iter().map(zeros).collect::<crate::Result<Vec<_>>>()?;
        time_of(gpu, &self.0, &inputs, runs).await
    }
}
