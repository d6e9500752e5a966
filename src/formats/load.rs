//! Models from files, whose content says of which format they are.

use std::path::Path;

use crate::model::Model;
use crate::{Gpu, Result};

impl Model {
    /// The model of a file, with its weights, on `gpu`: a `.keras` file, a whole model in a legacy `.h5` file, or an ONNX
    /// file. The content of the file says which it is.
    ///
    /// # Errors
    /// Those of `KerasFile::open` and `KerasFile::build`, of `OnnxFile::open` and `OnnxFile::build`;
    /// [`Error::Unsupported`](crate::Error::Unsupported) for a format whose feature is off.
    ///
    /// ```no_run
    /// use wgpu_conv::{Gpu, model::Model};
    ///
    /// let model = Model::load(&Gpu::new()?, "digits.keras")?;
    /// println!("{}", model.summary());
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn load(gpu: &Gpu, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        of_bytes(gpu, super::read(path)?, path.display().to_string())
    }

    /// [`load`](Self::load) of a Keras file, with options.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    #[cfg(feature = "keras")]
    pub fn load_with(gpu: &Gpu, path: impl AsRef<Path>, options: crate::layers::ReadOptions) -> Result<Self> {
        super::KerasFile::open_with(path, options)?.build(gpu)
    }

    /// [`load`](Self::load) from memory.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn from_bytes(gpu: &Gpu, bytes: &[u8]) -> Result<Self> {
        of_bytes(gpu, bytes.to_vec(), "the model file".into())
    }
}

/// An ONNX file begins with the number of its first field, and no other format does.
fn of_bytes(gpu: &Gpu, bytes: Vec<u8>, place: String) -> Result<Model> {
    if bytes.first() == Some(&8) { onnx(gpu, bytes, place) } else { keras(gpu, bytes, place) }
}

#[cfg(feature = "keras")]
fn keras(gpu: &Gpu, bytes: Vec<u8>, place: String) -> Result<Model> {
    super::KerasFile::parse(bytes, place, crate::layers::ReadOptions::default())?.build(gpu)
}

#[cfg(not(feature = "keras"))]
fn keras(_: &Gpu, _: Vec<u8>, place: String) -> Result<Model> {
    Err(crate::Error::unsupported(place, "it is no ONNX file, and this build lacks the feature `keras`"))
}

#[cfg(feature = "onnx")]
fn onnx(gpu: &Gpu, bytes: Vec<u8>, place: String) -> Result<Model> {
    super::OnnxFile::parse(bytes.into(), place)?.build(gpu)
}

#[cfg(not(feature = "onnx"))]
fn onnx(_: &Gpu, _: Vec<u8>, place: String) -> Result<Model> {
    Err(crate::Error::unsupported(place, "it seems to be an ONNX file, and this build lacks the feature `onnx`"))
}
