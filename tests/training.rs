//! Training against numbers that Keras gave: losses and their gradients, penalties, constraints, optimizers, schedules.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;

use std::collections::HashMap;

use common::fixtures::{self, dev};
use common::reference::Array;
use common::test_each;
use gpu::gpu;
use serde_json::Value;
use wgpu_conv::training::{Loss, LossClass, Reduction};
use wgpu_conv::{Gpu, Tensor};

/// The largest [`dev`] of a value, and of a gradient.
const CLOSE: [f64; 2] = [1e-5, 1e-4];

fn text<T>(result: Result<T, wgpu_conv::Error>) -> Result<T, String> {
    result.map_err(|why| why.to_string())
}

fn array<'a>(tensors: &'a HashMap<String, Array>, key: &Value) -> &'a Array {
    let found = key.as_str().and_then(|key| tensors.get(key));
    found.unwrap_or_else(|| panic!("no tensor {key}"))
}

fn on(gpu: &Gpu, array: &Array) -> Result<Tensor, String> {
    let values: Vec<f32> = array.data.iter().map(|&value| value as f32).collect();
    text(Tensor::from_slice(gpu, array.shape.clone(), &values))
}

fn number(args: &Value, name: &str, default: f64) -> f64 {
    args.get(name).map_or(default, |value| value.as_f64().unwrap_or_else(|| panic!("{name} is no number")))
}

fn id(case: &Value) -> String {
    case["id"].as_str().unwrap_or("no id").to_owned()
}

/// The loss of a case of Keras, by its class and the arguments that differ from the defaults.
fn loss(case: &Value) -> Loss {
    let mut loss = Loss::from_name(case["class"].as_str().unwrap()).unwrap();
    for (name, value) in case["args"].as_object().unwrap() {
        let number = value.as_f64();
        match (&mut loss.class, name.as_str()) {
            (LossClass::Huber { delta }, "delta") => *delta = number.unwrap(),
            (
                LossClass::BinaryCrossentropy { from_logits, .. }
                | LossClass::CategoricalCrossentropy { from_logits, .. }
                | LossClass::SparseCategoricalCrossentropy { from_logits, .. }
                | LossClass::BinaryFocalCrossentropy { from_logits, .. }
                | LossClass::CategoricalFocalCrossentropy { from_logits, .. },
                "from_logits",
            ) => *from_logits = value.as_bool().unwrap(),
            (
                LossClass::BinaryCrossentropy { label_smoothing, .. }
                | LossClass::CategoricalCrossentropy { label_smoothing, .. }
                | LossClass::BinaryFocalCrossentropy { label_smoothing, .. }
                | LossClass::CategoricalFocalCrossentropy { label_smoothing, .. },
                "label_smoothing",
            ) => *label_smoothing = number.unwrap(),
            (
                LossClass::BinaryFocalCrossentropy { gamma, .. } | LossClass::CategoricalFocalCrossentropy { gamma, .. },
                "gamma",
            ) => *gamma = number.unwrap(),
            (
                LossClass::BinaryFocalCrossentropy { alpha, .. }
                | LossClass::CategoricalFocalCrossentropy { alpha, .. }
                | LossClass::Tversky { alpha, .. },
                "alpha",
            ) => *alpha = number.unwrap(),
            (LossClass::Tversky { beta, .. }, "beta") => *beta = number.unwrap(),
            (LossClass::CategoricalGeneralizedCrossEntropy { q }, "q") => *q = number.unwrap(),
            (LossClass::BinaryFocalCrossentropy { apply_class_balancing, .. }, "apply_class_balancing") => {
                *apply_class_balancing = value.as_bool().unwrap();
            }
            (LossClass::SparseCategoricalCrossentropy { ignore_class, .. }, "ignore_class") => {
                *ignore_class = Some(value.as_i64().unwrap() as i32);
            }
            (
                LossClass::CosineSimilarity { axis }
                | LossClass::BinaryCrossentropy { axis, .. }
                | LossClass::CategoricalCrossentropy { axis, .. }
                | LossClass::SparseCategoricalCrossentropy { axis, .. },
                "axis",
            ) => *axis = value.as_i64().unwrap() as i32,
            (class, name) => panic!("{name} of {class:?}"),
        }
    }
    loss.reduction(Reduction::from_name(case["reduction"].as_str().unwrap_or("none")).unwrap())
}

#[test]
fn losses_and_their_gradients_are_keras_s() {
    let Some(gpu) = gpu() else { return };
    let topic = fixtures::topic("losses");
    test_each(&topic.cases, |case| id(case), |case| {
        let get = |name: &str| array(&topic.tensors, &case[name]);
        let [y_true, y_pred] = [on(&gpu, get("y_true"))?, on(&gpu, get("y_pred"))?];
        let weights = match case.get("sample_weight") {
            Some(key) => Some(on(&gpu, array(&topic.tensors, key))?),
            None => None,
        };
        let loss = loss(case);
        let (value, gradient) = text(loss.call_with_gradient(&y_true, &y_pred, weights.as_ref()))?;
        let values: Vec<f32> = text(value.read())?;
        let off = dev(&values, &get("loss").data);
        if off > CLOSE[0] {
            return Err(format!("{loss:?}: the loss is off by {off:e}: {values:?} for {:?}", get("loss").data));
        }
        let values: Vec<f32> = text(gradient.read())?;
        let off = dev(&values, &get("gx").data);
        if off > CLOSE[1] {
            return Err(format!("{loss:?}: the gradient is off by {off:e}: {values:?} for {:?}", get("gx").data));
        }
        // Without its gradient it is the same.
        let alone: Vec<f32> = text(text(loss.call(&y_true, &y_pred, weights.as_ref()))?.read())?;
        if alone != text(value.read::<f32>())? {
            return Err(format!("{loss:?}: alone it is {alone:?}"));
        }
        Ok(())
    });
}
