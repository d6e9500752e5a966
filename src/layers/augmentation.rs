//! Augmentation: layers that change images at random in training, and pass them on at inference.

use std::sync::Arc;

#[cfg(feature = "keras")]
use serde_json::Value as Json;

use super::arguments::{common_setters, seed_setter};
use super::augment::{augmented, check};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use super::{Common, Seed};
use crate::ops::{Kernel, Tape, Value};
use crate::{Error, PartialShape, Result, Settings};

/// Every class, with its arguments beside `seed` and `data_format` and their defaults. (`RandomHeight` and `RandomWidth` are
/// Keras 2's alone.)
#[rustfmt::skip]
const CLASSES: [(&str, &[(&str, &str)]); 27] = [
    ("AugMix", &[("value_range", "[0,255]"), ("num_chains", "3"), ("chain_depth", "3"), ("factor", "[0,0.3]"), ("alpha", "1"), ("all_ops", "true"), ("interpolation", "\"bilinear\"")]),
    ("CutMix", &[("factor", "[0,1]")]),
    ("Equalization", &[("bins", "256"), ("value_range", "[0,255]")]),
    ("MaxNumBoundingBoxes", &[("max_number", "null")]),
    ("MixUp", &[("alpha", "0.2")]),
    ("RandAugment", &[("value_range", "[0,255]"), ("num_ops", "2"), ("factor", "[0,0.5]"), ("interpolation", "\"bilinear\"")]),
    ("RandomBrightness", &[("factor", "null"), ("value_range", "[0,255]")]),
    ("RandomColorDegeneration", &[("factor", "null"), ("value_range", "[0,255]")]),
    ("RandomColorJitter", &[("value_range", "[0,255]"), ("brightness_factor", "null"), ("contrast_factor", "null"), ("saturation_factor", "null"), ("hue_factor", "null")]),
    ("RandomContrast", &[("factor", "null"), ("value_range", "[0,255]")]),
    ("RandomCrop", &[("height", "null"), ("width", "null")]),
    ("RandomElasticTransform", &[("factor", "[0,1]"), ("scale", "[0,1]"), ("interpolation", "\"bilinear\""), ("fill_mode", "\"reflect\""), ("fill_value", "0"), ("value_range", "[0,255]")]),
    ("RandomErasing", &[("factor", "[0,1]"), ("scale", "[0.02,0.33]"), ("fill_value", "null"), ("value_range", "[0,255]")]),
    ("RandomFlip", &[("mode", "\"horizontal_and_vertical\"")]),
    ("RandomGaussianBlur", &[("factor", "[0,1]"), ("kernel_size", "[3,3]"), ("sigma", "[0,1]"), ("value_range", "[0,255]")]),
    ("RandomGrayscale", &[("factor", "0.5")]),
    ("RandomHue", &[("factor", "null"), ("value_range", "[0,255]")]),
    ("RandomInvert", &[("factor", "[0,1]"), ("value_range", "[0,255]")]),
    ("RandomPerspective", &[("factor", "[0,1]"), ("scale", "1"), ("interpolation", "\"bilinear\""), ("fill_value", "0")]),
    ("RandomPosterization", &[("factor", "null"), ("value_range", "[0,255]")]),
    ("RandomRotation", &[("factor", "null"), ("fill_mode", "\"reflect\""), ("fill_value", "0"), ("interpolation", "\"bilinear\"")]),
    ("RandomSaturation", &[("factor", "null"), ("value_range", "[0,255]")]),
    ("RandomSharpness", &[("factor", "null"), ("value_range", "[0,255]")]),
    ("RandomShear", &[("x_factor", "0"), ("y_factor", "0"), ("fill_mode", "\"reflect\""), ("interpolation", "\"bilinear\""), ("fill_value", "0")]),
    ("RandomTranslation", &[("height_factor", "null"), ("width_factor", "null"), ("fill_mode", "\"reflect\""), ("interpolation", "\"bilinear\""), ("fill_value", "0")]),
    ("RandomZoom", &[("height_factor", "null"), ("width_factor", "null"), ("fill_mode", "\"reflect\""), ("interpolation", "\"bilinear\""), ("fill_value", "0")]),
    ("Solarization", &[("value_range", "[0,255]"), ("addition_factor", "[0,0]"), ("threshold_factor", "[0,0]")]),
];

/// Layers that Keras 2 had and Keras 3 has not.
const OF_KERAS_2: [(&str, &[(&str, &str)]); 2] = [
    ("RandomHeight", &[("factor", "null"), ("interpolation", "\"bilinear\"")]),
    ("RandomWidth", &[("factor", "null"), ("interpolation", "\"bilinear\"")]),
];

/// The classes that have no seed.
#[cfg(feature = "keras")]
const WITHOUT_SEED: [&str; 3] = ["Equalization", "MaxNumBoundingBoxes", "RandomGrayscale"];

/// One of Keras's augmentations: `RandomFlip`, `RandomRotation`, `RandomZoom`, … In training they change images at random; at
/// inference they pass them on, as Keras does (3.15's `RandomCrop` too, whatever its height and width).
///
/// In training these are drawn on the device, for each image by itself: `RandomFlip`, `RandomTranslation`, `RandomRotation`,
/// `RandomZoom`, `RandomShear`, `RandomPerspective`, `RandomErasing`, `RandomContrast`, `RandomBrightness`, `RandomSaturation`,
/// `RandomHue`, `RandomColorJitter`, `RandomInvert`, `RandomGrayscale`, `RandomColorDegeneration`, `RandomPosterization`,
/// `RandomSharpness` and `Solarization`; `RandomGaussianBlur` and `RandomElasticTransform`, whose strength is one for a batch;
/// and for a batch `RandomCrop`, whose images then have its height and width, `Equalization`, by the histogram of all its images,
/// and `RandAugment` and `AugMix`, which choose from the others what is done. `MixUp` and `CutMix` mix each image with another of its
/// batch. As where Keras calls them with images alone, labels stay as they are: a map of images and labels is no tensor of a model
/// here, and a file that calls them with one is refused. `MaxNumBoundingBoxes` is refused in training. Those that move pixels have no
/// gradient, so they stand before what is trained.
///
/// The class's own arguments are kept as they are written in a config, and written again.
///
/// # Shapes
/// Input and output of the same shape.
///
/// ```
/// use wgpu_conv::layers::Augmentation;
///
/// let flip = Augmentation::new("RandomFlip")?.argument("mode", r#""horizontal""#)?;
/// assert_eq!(flip.output_shape([None, Some(32), Some(32), Some(3)])?.to_string(), "(None, 32, 32, 3)");
/// assert!(Augmentation::new("RandomFlap").is_err());
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Augmentation {
    /// Name, trainability and types.
    pub common: Common,
    pub(super) class: &'static str,
    /// Each argument by its name, as JSON.
    arguments: Vec<(&'static str, String)>,
    /// Where the random numbers start; none by default.
    pub seed: Seed,
    /// `"channels_last"` or `"channels_first"`, for classes that change images in training.
    pub(super) data_format: crate::DataFormat,
}

common_setters!(Augmentation, common);

seed_setter!(Augmentation, "the random numbers start");

impl Augmentation {
    /// The layer of one of Keras's classes, with its defaults.
    ///
    /// # Errors
    /// [`Error::Invalid`] listing the classes for any other name.
    pub fn new(class: &str) -> Result<Self> {
        let known = CLASSES.iter().chain(&OF_KERAS_2).find(|(known, _)| *known == class);
        let (class, arguments) = known.ok_or_else(|| {
            let names: Vec<_> = CLASSES.iter().chain(&OF_KERAS_2).map(|(name, _)| *name).collect();
            Error::invalid("class", format!("an augmentation must be one of {}", names.join(", ")), class)
        })?;
        let settings = Settings::current();
        Ok(Self {
            common: Common::new(&settings),
            class,
            arguments: arguments.iter().map(|(name, default)| (*name, (*default).to_owned())).collect(),
            seed: Seed::default(),
            data_format: settings.image_data_format,
        })
    }

    /// Another value of one of the class's arguments, as JSON.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an argument that the class does not have.
    pub fn argument(mut self, name: &str, json: impl Into<String>) -> Result<Self> {
        let class = self.class;
        let known = self.arguments.iter_mut().find(|(known, _)| *known == name);
        let (_, value) = known
            .ok_or_else(|| Error::invalid("argument", format!("{class} must have the argument"), name.to_owned()))?;
        *value = json.into();
        Ok(self)
    }

    /// The arguments of the class and their values, as JSON.
    pub fn arguments(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.arguments.iter().map(|(name, json)| (*name, json.as_str()))
    }

    /// Where the channels stand; `image_data_format` of the [`Settings`] by default.
    pub fn data_format(mut self, data_format: crate::DataFormat) -> Self {
        self.data_format = data_format;
        self
    }

    /// The output shape for `input`: the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        Ok(input.into())
    }
}

impl Describe for Augmentation {
    fn class_name(&self) -> Option<&'static str> {
        Some(self.class)
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        check(self)
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, _tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        Ok(inputs[0])
    }

    fn train(
        &self,
        tape: &mut Tape,
        inputs: &[Value],
        _weights: &[Arc<Kernel>],
        _operands: &[Arc<Kernel>],
    ) -> Result<Value> {
        augmented(self, tape, inputs[0])
    }
}

#[cfg(feature = "keras")]
impl Configured for Augmentation {
    fn template() -> Self {
        let (class, common) = (CLASSES[0].0, Common::new(&Settings::current()));
        Self {
            common,
            class,
            arguments: Vec::new(),
            seed: Seed::default(),
            data_format: crate::DataFormat::ChannelsLast,
        }
    }

    fn of_class(class: &str, _name: &str) -> Option<Self> {
        Self::new(class).ok()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("data_format", &mut self.data_format)?;
        for (name, text) in &mut self.arguments {
            let mut json: Json = serde_json::from_str(text)
                .map_err(|error| Error::invalid(name, "an argument must be JSON", format!("{text}: {error}")))?;
            codec.field(name, &mut json)?;
            *text = json.to_string();
        }
        // tf.keras 2 writes it.
        codec.dropped("rng_type", Json::is_string)?;
        if !WITHOUT_SEED.contains(&self.class) {
            codec.field("seed", &mut self.seed)?;
        }
        Ok(())
    }
}
