//! Models and architectures from files, whose content says of which format they are.

use std::path::Path;

#[cfg(feature = "keras")]
use crate::layers::{CustomLayers, ReadOptions};
use crate::model::{Architecture, Model};
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
        super::foreign::check(path)?;
        of_bytes(gpu, super::read(path)?, path.display().to_string(), path.parent())
    }

    /// [`load`](Self::load) of a Keras file, with options.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    #[cfg(feature = "keras")]
    pub fn load_with(gpu: &Gpu, path: impl AsRef<Path>, options: ReadOptions) -> Result<Self> {
        super::KerasFile::open_with(path, options)?.build(gpu)
    }

    /// [`load`](Self::load) of a Keras file, with options, and with layers for classes that Keras does not have.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    #[cfg(feature = "keras")]
    pub fn load_custom(gpu: &Gpu, path: impl AsRef<Path>, options: ReadOptions, layers: &CustomLayers) -> Result<Self> {
        super::KerasFile::open_custom(path, options, layers)?.build(gpu)
    }

    /// The model of a file on `gpu`, for all that is known of it without its weights: its [summary](Self::summary), its layers and
    /// their shapes. Of a `.keras` file nothing but the config is read, and of a legacy one no weights are decoded, so that they
    /// may be missing or damaged; their values are refused until they are [assigned](crate::Variable::assign). An ONNX file's are
    /// read, as its graph computes with them.
    ///
    /// # Errors
    /// Those of [`Architecture::load`].
    ///
    /// ```
    /// # #[cfg(feature = "keras")] {
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/conformance/models/digits/model.keras");
    /// # let Ok(gpu) = wgpu_conv::Gpu::new() else { return Ok(()) };
    /// let digits = wgpu_conv::model::Model::outline(&gpu, path)?;
    /// assert!(digits.summary().contains("Total params: 9,466"));
    /// assert!(digits.layers()[0].1.get_weights().is_err());
    /// # }
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn outline(gpu: &Gpu, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        super::foreign::check(path)?;
        let place = path.display().to_string();
        #[cfg(feature = "keras")]
        if let Some(outline) = super::keras::Outline::at(path, &place, ReadOptions::default(), &CustomLayers::new())? {
            return outline.model(gpu);
        }
        let bytes = super::read(path)?;
        match Format::of(&bytes) {
            #[cfg(feature = "keras")]
            Format::Keras => {
                super::keras::Outline::of(bytes, &place, ReadOptions::default(), &CustomLayers::new())?.model(gpu)
            }
            #[cfg(feature = "onnx")]
            Format::Onnx => super::OnnxFile::parse(bytes.into(), place, path.parent())?.build(gpu),
            #[cfg(not(all(feature = "keras", feature = "onnx")))]
            other => Err(other.lacking(place)),
        }
    }

    /// [`load`](Self::load) from memory.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn from_bytes(gpu: &Gpu, bytes: &[u8]) -> Result<Self> {
        of_bytes(gpu, bytes.to_vec(), "the model file".into(), None)
    }
}

impl Architecture {
    /// The architecture of a file, without a device: of the files that [`Model::load`] reads, of `.keras` files without
    /// weights, and of a model's config by itself, as Keras's `to_json` writes it. Weights of Keras files are not read.
    ///
    /// # Errors
    /// [`Error::Format`](crate::Error::Format) where the file cannot be read or is of another kind; else those of
    /// `KerasFile::architecture` and `OnnxFile::architecture`, and
    /// [`Error::Unsupported`](crate::Error::Unsupported) for a format whose feature is off.
    ///
    /// ```
    /// use wgpu_conv::model::Architecture;
    ///
    /// # #[cfg(feature = "keras")] {
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/conformance/models/digits/model.keras");
    /// let digits = Architecture::load(path)?;
    /// assert_eq!((digits.name(), digits.count_params()), ("digits_dscnn", 9466));
    /// assert_eq!(digits.layers()[0].path, "stem");
    /// # }
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        super::foreign::check(path)?;
        let place = path.display().to_string();
        #[cfg(feature = "keras")]
        if let Some(outline) = super::keras::Outline::at(path, &place, ReadOptions::default(), &CustomLayers::new())? {
            return outline.architecture();
        }
        let bytes = super::read(path)?;
        match Format::of(&bytes) {
            #[cfg(feature = "keras")]
            Format::Keras => {
                super::keras::Outline::of(bytes, &place, ReadOptions::default(), &CustomLayers::new())?.architecture()
            }
            #[cfg(feature = "onnx")]
            Format::Onnx => super::OnnxFile::parse(bytes.into(), place, path.parent())?.architecture(),
            #[cfg(not(all(feature = "keras", feature = "onnx")))]
            other => Err(other.lacking(place)),
        }
    }
}

#[cfg(feature = "keras")]
impl Architecture {
    /// [`load`](Self::load) of a Keras file, with options, and with layers for classes that Keras does not have.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    ///
    /// ```
    /// use wgpu_conv::layers::{CustomLayer, CustomLayers, ReadOptions, Wgsl};
    /// use wgpu_conv::model::Architecture;
    ///
    /// let layers = CustomLayers::new().with("Contrast", |_config| {
    ///     let mut layer = CustomLayer::new(1);
    ///     let code = "fn element(i: u32) -> f32 { return x_at(i) - x_at(i - 1u); }";
    ///     let contrast = layer.layer("", Wgsl::new(code), &[layer.input(0)]);
    ///     layer.outputs(&[contrast]);
    ///     Ok(layer)
    /// });
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/findings/custom_wgsl.keras");
    /// // Its other classes are not given.
    /// let error = Architecture::load_custom(path, ReadOptions::default(), &layers).unwrap_err().to_string();
    /// assert!(error.contains("2 of its layers") && !error.contains("Contrast"), "{error}");
    /// ```
    pub fn load_custom(path: impl AsRef<Path>, options: ReadOptions, layers: &CustomLayers) -> Result<Self> {
        let path = path.as_ref();
        super::foreign::check(path)?;
        let place = path.display().to_string();
        match super::keras::Outline::at(path, &place, options, layers)? {
            Some(outline) => outline.architecture(),
            None => super::keras::Outline::of(super::read(path)?, &place, options, layers)?.architecture(),
        }
    }
}

/// The model of a file's `bytes`; in `folder`, an ONNX file may have its weights.
#[cfg_attr(not(feature = "onnx"), allow(unused_variables, reason = "only ONNX files have others beside them"))]
fn of_bytes(gpu: &Gpu, bytes: Vec<u8>, place: String, folder: Option<&Path>) -> Result<Model> {
    match Format::of(&bytes) {
        #[cfg(feature = "keras")]
        Format::Keras => {
            super::KerasFile::parse(bytes, place, ReadOptions::default(), &CustomLayers::new())?.build(gpu)
        }
        #[cfg(feature = "onnx")]
        Format::Onnx => super::OnnxFile::parse(bytes.into(), place, folder)?.build(gpu),
        #[cfg(not(all(feature = "keras", feature = "onnx")))]
        other => Err(other.lacking(place)),
    }
}

/// The formats of model files.
pub(super) enum Format {
    Keras,
    Onnx,
}

impl Format {
    /// An ONNX file begins with the number of its first field, and no other format does.
    pub(super) fn of(bytes: &[u8]) -> Self {
        if bytes.first() == Some(&8) { Self::Onnx } else { Self::Keras }
    }

    #[cfg(not(all(feature = "keras", feature = "onnx")))]
    pub(super) fn lacking(self, place: String) -> crate::Error {
        let reason = match self {
            Self::Keras => "it is no ONNX file, and this build lacks the feature `keras`",
            Self::Onnx => "it seems to be an ONNX file, and this build lacks the feature `onnx`",
        };
        crate::Error::unsupported(place, reason)
    }
}
