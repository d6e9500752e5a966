//! Files: models with their weights, read and written, and the inputs to run them on.
//!
//! Each format stands behind the feature named for it. They build layer descriptions, weights and tensors; nothing below
//! knows of files.

#[cfg(any(feature = "keras", feature = "safetensors"))]
mod files;
#[cfg(feature = "keras")]
mod graph;
#[cfg(feature = "keras")]
mod hdf5;
#[cfg(feature = "image")]
mod image;
#[cfg(any(feature = "image", feature = "npy", feature = "safetensors"))]
mod input;
#[cfg(any(feature = "keras", feature = "onnx", feature = "safetensors"))]
mod inspect;
#[cfg(feature = "keras")]
mod keras;
#[cfg(feature = "keras")]
mod keras_write;
#[cfg(any(feature = "keras", feature = "onnx"))]
mod load;
#[cfg(feature = "npy")]
mod npy;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(feature = "onnx")]
mod onnx_fold;
#[cfg(feature = "onnx")]
mod onnx_layers;
#[cfg(feature = "onnx")]
mod onnx_nodes;
#[cfg(feature = "onnx")]
mod onnx_proto;
#[cfg(feature = "onnx")]
mod onnx_windows;
#[cfg(feature = "safetensors")]
mod safetensors;
#[cfg(all(feature = "keras", feature = "verify", not(target_arch = "wasm32")))]
mod statistics;
#[cfg(any(feature = "keras", feature = "safetensors"))]
mod weights;

#[cfg(any(feature = "keras", feature = "image", feature = "npy", feature = "onnx", feature = "safetensors"))]
use crate::file::read;
#[cfg(any(feature = "image", feature = "npy", feature = "safetensors"))]
pub use input::{InputReader, Inputs, input_files, read_inputs};
#[cfg(any(feature = "keras", feature = "onnx", feature = "safetensors"))]
pub use inspect::{Contents, Obstacle, inspect};
#[cfg(feature = "keras")]
pub use keras::{KerasFile, UnsupportedLayer};
#[cfg(feature = "onnx")]
pub use onnx::{OnnxFile, UnsupportedNode};
#[cfg(feature = "safetensors")]
pub use safetensors::read_labels;
#[cfg(all(feature = "keras", feature = "verify", not(target_arch = "wasm32")))]
pub use statistics::read_layer_statistics;

/// Whether `bytes` are an HDF5 file.
#[cfg(feature = "keras")]
fn is_hdf5(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89HDF\r\n\x1a\n")
}

/// `bytes` as values of `N` bytes each.
#[cfg(any(feature = "keras", feature = "npy", feature = "onnx", feature = "safetensors"))]
fn decode<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&bytes| value(bytes)).collect()
}
