//! Files: models with their weights, and the inputs to run them on.
//!
//! Each format stands behind the feature named for it. They build layer descriptions, weights and tensors; nothing below
//! knows of files.

#[cfg(feature = "keras")]
mod hdf5;
#[cfg(feature = "image")]
mod image;
mod input;
#[cfg(feature = "keras")]
mod keras;
#[cfg(feature = "npy")]
mod npy;
#[cfg(feature = "safetensors")]
mod safetensors;

use std::path::Path;

pub use input::{InputReader, Inputs, input_files};
#[cfg(feature = "keras")]
pub use keras::{KerasFile, UnsupportedLayer};
#[cfg(feature = "safetensors")]
pub use safetensors::read_labels;

use crate::{Error, Result};

/// The bytes of the file at `path`.
fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::format(path.display().to_string(), format!("cannot be read: {error}")))
}

/// `bytes` as values of `N` bytes each.
#[cfg(any(feature = "keras", feature = "npy", feature = "safetensors"))]
fn decode<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&bytes| value(bytes)).collect()
}
