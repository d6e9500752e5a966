//! Tensors from `.safetensors` files.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{InputReader, decode};
use crate::budget::Meter;
use crate::{Error, HostTensor, Result, Shape};

impl InputReader {
    /// The tensor asked for, or the only one that fits the model's input.
    pub(super) fn read_safetensors(&self, path: &Path, place: &str) -> Result<HostTensor> {
        let bytes = super::read(path)?;
        let file = open(&bytes, place)?;
        if let Some(name) = &self.tensor {
            return values(&tensor(&file, name, place)?, name, place);
        }
        let mut tensors = file.tensors();
        tensors.retain(|(_, view)| self.fit(view.shape()).is_some());
        match tensors.as_slice() {
            [(name, view)] => values(view, name, place),
            fitting => Err(self.not_one(fitting.len(), place, &contents(&file))),
        }
    }
}

/// The integers of the tensor `name` of a `.safetensors` or `.npz` file: the right answers to its inputs.
///
/// # Errors
/// [`Error::Format`] where the file cannot be read or has no such tensor of integers.
pub fn read_labels(path: impl AsRef<Path>, name: &str) -> Result<Vec<i64>> {
    let path = path.as_ref();
    let place = path.display().to_string();
    let bytes = super::read(path)?;
    #[cfg(all(feature = "keras", feature = "npy"))]
    if bytes.starts_with(b"PK") {
        return super::arrays::labels(&bytes, name, &place);
    }
    let file = open(&bytes, &place)?;
    let view = tensor(&file, name, &place)?;
    let data = view.data();
    Ok(match view.dtype() {
        Dtype::U8 => data.iter().map(|&value| value.into()).collect(),
        Dtype::I8 => decode(data, |bytes| i8::from_le_bytes(bytes).into()),
        Dtype::I16 => decode(data, |bytes| i16::from_le_bytes(bytes).into()),
        Dtype::U16 => decode(data, |bytes| u16::from_le_bytes(bytes).into()),
        Dtype::I32 => decode(data, |bytes| i32::from_le_bytes(bytes).into()),
        Dtype::U32 => decode(data, |bytes| u32::from_le_bytes(bytes).into()),
        Dtype::I64 => decode(data, i64::from_le_bytes),
        other => return Err(Error::format(place, format!("labels must be integers, and tensor {name} is {other:?}"))),
    })
}

/// All tensors of the `.safetensors` file `bytes` by name.
///
/// # Errors
/// [`Error::Format`] for anything else.
pub(super) fn tensors(bytes: &[u8], place: &str) -> Result<HashMap<String, HostTensor>> {
    let file = open(bytes, place)?;
    let tensors = file.tensors().into_iter().map(|(name, view)| {
        let value = values(&view, &name, place)?;
        Ok((name, value))
    });
    tensors.collect()
}

/// [`tensors`] in the order of their names.
///
/// # Errors
/// [`Error::Format`] for anything else.
#[cfg(all(feature = "keras", feature = "npy"))]
pub(super) fn all(bytes: &[u8], place: &str) -> Result<Vec<(String, HostTensor)>> {
    let mut tensors: Vec<_> = tensors(bytes, place)?.into_iter().collect();
    tensors.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(tensors)
}

/// The bytes of a `.safetensors` file of `tensors`.
///
/// # Errors
/// [`Error::Format`] where there are more than one can hold.
pub(super) fn write<T: Borrow<HostTensor>>(tensors: &[(String, T)], place: &str) -> Result<Vec<u8>> {
    let broken = |error: safetensors::SafeTensorError| Error::format(place, error.to_string());
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, tensor)| tensor.borrow().values.iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    let mut views = Vec::with_capacity(tensors.len());
    for ((name, tensor), bytes) in tensors.iter().zip(&bytes) {
        let view = TensorView::new(Dtype::F32, tensor.borrow().shape.dims().to_vec(), bytes).map_err(broken)?;
        views.push((name, view));
    }
    safetensors::serialize(views, None).map_err(broken)
}

/// For each list of names the first tensor that is called so; `None` where a list has none.
pub(super) fn read_named<const N: usize>(
    path: &Path,
    names: impl Iterator<Item = [String; N]>,
) -> Result<Option<Vec<HostTensor>>> {
    let place = path.display().to_string();
    let bytes = super::read(path)?;
    let file = open(&bytes, &place)?;
    let mut tensors = Vec::new();
    for names in names {
        let found = names.iter().find_map(|name| file.tensor(name).ok().map(|view| (name, view)));
        let Some((name, view)) = found else { return Ok(None) };
        tensors.push(values(&view, name, &place)?);
    }
    Ok(Some(tensors))
}

/// The names and shapes of all tensors, sorted by name.
pub(super) fn shapes(path: &Path) -> Result<Vec<(String, Shape)>> {
    let bytes = super::read(path)?;
    let file = open(&bytes, &path.display().to_string())?;
    let mut shapes: Vec<_> = file.tensors().into_iter().map(|(name, view)| (name, view.shape().into())).collect();
    shapes.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(shapes)
}

fn open<'a>(bytes: &'a [u8], place: &str) -> Result<SafeTensors<'a>> {
    // The header is JSON. A tensor takes some twenty times the memory of its shortest entry.
    let header = bytes.first_chunk().map_or(0, |&length| u64::from_le_bytes(length)).min(bytes.len() as u64);
    Meter::new(place, bytes.len()).memory(header.saturating_mul(20))?;
    SafeTensors::deserialize(bytes).map_err(|error| Error::format(place, format!("not a .safetensors file: {error}")))
}

fn tensor<'a>(file: &SafeTensors<'a>, name: &str, place: &str) -> Result<TensorView<'a>> {
    file.tensor(name).map_err(|_| Error::format(place, format!("there is no tensor {name:?}, only {}", contents(file))))
}

/// The names and shapes of all tensors, in words.
fn contents(file: &SafeTensors<'_>) -> String {
    let mut parts: Vec<_> = file.tensors().iter().map(|(name, view)| format!("{name} {:?}", view.shape())).collect();
    parts.sort();
    parts.join(", ")
}

fn values(view: &TensorView<'_>, name: &str, place: &str) -> Result<HostTensor> {
    let data = view.data();
    // Up to 2^24 in size f32 holds all.
    let whole = |numbers: Vec<f64>| match numbers.iter().all(|number| number.abs() <= 16_777_216.0) {
        true => Ok(numbers.into_iter().map(|number| number as f32).collect()),
        false => {
            let text = format!("whole numbers must lie within ±2^24, and tensor {name} has greater ones");
            Err(Error::format(place, text))
        }
    };
    let values = match view.dtype() {
        Dtype::U8 | Dtype::BOOL => data.iter().map(|&value| value.into()).collect(),
        Dtype::I8 => decode(data, |bytes| i8::from_le_bytes(bytes).into()),
        Dtype::I16 => decode(data, |bytes| i16::from_le_bytes(bytes).into()),
        Dtype::U16 => decode(data, |bytes| u16::from_le_bytes(bytes).into()),
        Dtype::I32 => whole(decode(data, |bytes| i32::from_le_bytes(bytes).into()))?,
        Dtype::U32 => whole(decode(data, |bytes| u32::from_le_bytes(bytes).into()))?,
        Dtype::I64 => whole(decode(data, |bytes| i64::from_le_bytes(bytes) as f64))?,
        Dtype::F32 => decode(data, f32::from_le_bytes),
        Dtype::F64 => decode(data, |bytes| f64::from_le_bytes(bytes) as f32),
        Dtype::F16 => decode(data, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => decode(data, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        other => {
            let text = format!("tensors must be of real numbers, and tensor {name} is {other:?}: save it as float32");
            return Err(Error::format(place, text));
        }
    };
    HostTensor::new(view.shape(), values).map_err(|error| Error::format(place, error.to_string()))
}
