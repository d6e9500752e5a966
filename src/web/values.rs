//! Arrays, as JavaScript has them: `{ values: Float32Array, shape: number[] }`.

use js_sys::{Array, Float32Array, JSON, Object, Reflect};
use wasm_bindgen::prelude::*;

use super::{Result, set};
use crate::HostTensor;
#[cfg(feature = "web")]
use crate::Shape;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = "
/** An array, channels last unless the model says otherwise, the batch first. */
export interface HostTensor { values: Float32Array; shape: number[] }
/** What a layer made, without its batch, channels last. */
export interface LayerOutput extends HostTensor { name: string }
/** A layer with its Keras config; `inputs` are the places of what it reads, the model's inputs first. */
export interface LayerDescription { name: string; class: string; config: any; inputs: number[] }
/** A weight. */
export interface Weight extends HostTensor { name: string }
/** What a file holds. */
export interface Contents {
    format: string;
    name: string | null;
    layers: { name: string; class: string }[];
    obstacles: { name: string; kind: string; reason: string }[];
}
";

pub(super) fn of_host(tensor: &HostTensor) -> Object {
    of_slice(tensor.shape.dims(), &tensor.values)
}

pub(super) fn of_slice(dims: &[usize], values: &[f32]) -> Object {
    let object = Object::new();
    set(&object, "values", Float32Array::from(values));
    set(&object, "shape", shape(dims));
    object
}

pub(super) fn shape(dims: &[usize]) -> Array {
    dims.iter().map(|&dim| JsValue::from(dim as f64)).collect()
}

/// # Errors
/// Where it has no `values` and no `shape`, or they disagree.
pub(super) fn host(value: &JsValue) -> Result<HostTensor> {
    let of = |name: &str| Reflect::get(value, &name.into()).unwrap_or_default();
    let (values, dims) = (of("values"), of("shape"));
    let Ok(values) = values.dyn_into::<Float32Array>() else {
        return Err(JsError::new(
            "an array must be { values: Float32Array, shape: number[] }; received other `values`",
        ));
    };
    if !Array::is_array(&dims) && dims.dyn_ref::<js_sys::Uint32Array>().is_none() {
        return Err(JsError::new("an array must be { values: Float32Array, shape: number[] }; received no `shape`"));
    }
    let dims = Array::from(&dims).iter().map(|dim| extent(&dim)).collect::<Result<Vec<_>>>()?;
    Ok(HostTensor::new(dims, values.to_vec())?)
}

/// # Errors
/// For a list with anything but arrays.
pub(super) fn hosts(values: &Array) -> Result<Vec<HostTensor>> {
    values.iter().map(|value| host(&value)).collect()
}

/// Arrays in a list, or one by itself.
#[cfg(feature = "web-train")]
pub(super) fn one_or_more(value: &JsValue) -> Result<Vec<HostTensor>> {
    match value.dyn_ref::<Array>() {
        Some(several) => hosts(several),
        None => Ok(vec![host(value)?]),
    }
}

pub(super) fn extents(dims: &[f64]) -> Result<Vec<usize>> {
    dims.iter().map(|&dim| extent(&dim.into())).collect()
}

/// # Errors
/// For anything but a whole number.
fn extent(dim: &JsValue) -> Result<usize> {
    match dim.as_f64() {
        Some(number) if number >= 0.0 && number.fract() == 0.0 && number <= f64::from(u32::MAX) => Ok(number as usize),
        _ => Err(JsError::new(&format!("the extents of a shape must be whole numbers from 0; received {dim:?}"))),
    }
}

pub(super) fn list(tensors: &[HostTensor]) -> Array {
    tensors.iter().map(of_host).collect()
}

/// Reads a shape that a caller gave with a name of its own.
#[cfg(feature = "web")]
pub(super) fn shapes(shapes: &Array) -> Result<Vec<Shape>> {
    let one =
        |shape: JsValue| Ok(Array::from(&shape).iter().map(|dim| extent(&dim)).collect::<Result<Vec<_>>>()?.into());
    shapes.iter().map(one).collect()
}

pub(super) fn from_json(value: &serde_json::Value) -> Result<JsValue> {
    JSON::parse(&value.to_string()).map_err(|_| JsError::new("what was written is no JSON"))
}
