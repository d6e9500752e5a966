//! What a file holds, without a device.

use std::path::Path;

#[cfg(feature = "keras")]
use super::KerasFile;
#[cfg(feature = "onnx")]
use super::OnnxFile;
#[cfg(any(feature = "keras", feature = "onnx"))]
use super::load::Format;
use crate::{Result, Shape};

/// What [`inspect`] found in a file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Contents {
    /// The format, in words.
    pub format: &'static str,
    /// The model's name, where there is a model.
    pub name: Option<String>,
    /// Its layers or nodes: name, and class or operator.
    pub layers: Vec<(String, String)>,
    /// The tensors of a file of weights.
    pub weights: Vec<(String, Shape)>,
    /// The nodes that are computed on the host after the model: name and operator.
    pub on_host: Vec<(String, String)>,
    /// What cannot be built here.
    pub obstacles: Vec<Obstacle>,
}

/// A part of a file that cannot be built here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The layer's or node's name.
    pub name: String,
    /// Its class or operator.
    pub kind: String,
    /// Why not.
    pub reason: String,
}

/// What the file at `path` holds, and all that would stand in the way of building it; nothing in it is executed, and no
/// device is needed.
///
/// # Errors
/// [`Error::Format`](crate::Error::Format) where the file cannot be read or is of another kind.
pub fn inspect(path: impl AsRef<Path>) -> Result<Contents> {
    let path = path.as_ref();
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    #[cfg(any(feature = "keras", feature = "onnx"))]
    if ending != "safetensors" {
        super::foreign::check(path)?;
    }
    match ending.as_str() {
        #[cfg(feature = "safetensors")]
        "safetensors" => Ok(Contents {
            format: "tensors in safetensors",
            name: None,
            layers: Vec::new(),
            weights: super::safetensors::shapes(path)?,
            on_host: Vec::new(),
            obstacles: Vec::new(),
        }),
        #[cfg(feature = "onnx")]
        "onnx" => OnnxFile::open(path).map(|file| file.contents()),
        #[cfg(feature = "keras")]
        _ if path.to_string_lossy().to_lowercase().ends_with(".weights.h5") => Ok(Contents {
            format: "weights of a Keras model",
            name: None,
            layers: Vec::new(),
            weights: super::keras::weight_shapes(path)?,
            on_host: Vec::new(),
            obstacles: Vec::new(),
        }),
        #[cfg(feature = "keras")]
        _ => KerasFile::look(path).map(keras),
        #[cfg(not(feature = "keras"))]
        _ => Err(crate::Error::unsupported(
            path.display().to_string(),
            "without the feature `keras`, files must end in .onnx or .safetensors",
        )),
    }
}

/// [`inspect`] of a model file in memory; its content says of which format it is.
///
/// # Errors
/// [`Error::Format`](crate::Error::Format) where it is of another kind; [`Error::Unsupported`](crate::Error::Unsupported) for
/// a format whose feature is off.
///
/// ```
/// # #[cfg(feature = "keras")] {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/conformance/models/digits/model.keras");
/// let contents = wgpu_conv::formats::inspect_bytes(&std::fs::read(path).unwrap())?;
/// assert_eq!((contents.format, contents.name.as_deref()), ("a Keras model", Some("digits_dscnn")));
/// # }
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[cfg(any(feature = "keras", feature = "onnx"))]
pub fn inspect_bytes(bytes: &[u8]) -> Result<Contents> {
    match Format::of(bytes) {
        #[cfg(feature = "onnx")]
        Format::Onnx => OnnxFile::from_bytes(bytes).map(|file| file.contents()),
        #[cfg(feature = "keras")]
        Format::Keras => KerasFile::from_bytes(bytes).map(keras),
        #[cfg(not(all(feature = "keras", feature = "onnx")))]
        other => Err(other.lacking("the model file".into())),
    }
}

#[cfg(feature = "onnx")]
impl OnnxFile {
    /// What the file holds, and all that would stand in the way of building it.
    pub fn contents(&self) -> Contents {
        let unsupported = self.unsupported().iter().map(|node| Obstacle {
            name: node.name.clone(),
            kind: node.operator.clone(),
            reason: match &node.attribute {
                Some(attribute) => format!("{attribute}: {}", node.reason),
                None => node.reason.clone(),
            },
        });
        let lacking = self.needs_values().iter().map(|name| Obstacle {
            name: name.clone(),
            kind: "Input".to_owned(),
            reason: "the input must be given a value before the model can be built".to_owned(),
        });
        let open =
            self.open_hint().map(|reason| Obstacle { name: "inputs".to_owned(), kind: "Input".to_owned(), reason });
        Contents {
            format: "an ONNX model",
            name: Some(self.name().to_owned()),
            layers: self.nodes(),
            weights: Vec::new(),
            on_host: self.on_host().map(|(name, operator)| (name.to_owned(), operator.to_owned())).collect(),
            obstacles: unsupported.chain(lacking).chain(open).collect(),
        }
    }
}

/// What would stand in the way is found by trying all that loading tries, but for the device.
#[cfg(feature = "keras")]
fn keras(file: KerasFile) -> Contents {
    let refused = file.unsupported().iter();
    let refused = refused.map(|layer| (layer.name.clone(), layer.class.clone()));
    let obstacle = |layer: &super::UnsupportedLayer| Obstacle {
        name: layer.name.clone(),
        kind: layer.class.clone(),
        reason: layer.reason.clone(),
    };
    let mut contents = Contents {
        format: "a Keras model",
        name: Some(file.name().to_owned()),
        layers: file.layers().into_iter().chain(refused).collect(),
        weights: Vec::new(),
        on_host: Vec::new(),
        obstacles: file.unsupported().iter().map(obstacle).collect(),
    };
    if contents.obstacles.is_empty()
        && let Err(error) = file.check_weights()
    {
        let obstacle = |name: &str| Obstacle { name: name.into(), kind: "weights".into(), reason: error.to_string() };
        contents.obstacles.push(obstacle(contents.name.as_deref().unwrap_or_default()));
    }
    contents
}
