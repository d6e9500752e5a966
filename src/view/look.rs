//! How layers look: what may be chosen for a layer and for a model, and what TensorSpace chooses.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// A colour: red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Color(pub [u8; 3]);

impl Color {
    /// `self` over `below`, with this opacity.
    pub(super) fn over(self, below: Self, opacity: f32) -> Self {
        let mix = |(above, below): (u8, u8)| f32::from(above) * opacity + f32::from(below) * (1.0 - opacity);
        Self(std::array::from_fn(|i| mix((self.0[i], below.0[i])).round() as u8))
    }
}

impl FromStr for Color {
    type Err = Error;

    /// Six hexadecimal digits, with or without `#` before them.
    fn from_str(text: &str) -> Result<Self> {
        let digits = text.strip_prefix('#').unwrap_or(text);
        let number = (digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .then(|| u32::from_str_radix(digits, 16).ok())
            .flatten();
        let [_, red, green, blue] = number
            .ok_or_else(|| {
                Error::invalid("color", "a colour must be six hexadecimal digits, as in #FBBF1F", format!("{text:?}"))
            })?
            .to_be_bytes();
        Ok(Self([red, green, blue]))
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([red, green, blue]) = self;
        write!(f, "#{red:02X}{green:02X}{blue:02X}")
    }
}

/// Whether a layer shows each of its maps, or one that stands for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// One map for each channel.
    Open,
    /// One [aggregation](Aggregation) of all maps. The default.
    #[default]
    Close,
}

/// What stands for all maps of a closed layer, pixel by pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Aggregation {
    /// The mean over the maps. The default.
    #[default]
    Average,
    /// The greatest of the maps.
    Max,
}

/// How the maps of an open layer are laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LayerShape {
    /// As near to a square as their number allows, filled column by column. The default.
    #[default]
    Rect,
    /// In one row.
    Line,
}

/// A choice with names.
macro_rules! named {
    ($($type:ident, $argument:literal: $($name:literal = $variant:ident),+;)+) => {$(
        impl $type {
            /// The name that TensorSpace has for it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(name: &str) -> Result<Self> {
                match name {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(Error::invalid(
                        $argument,
                        concat!("`", $argument, "` must be one of", $(" ", $name),+),
                        format!("{}={name:?}", $argument),
                    )),
                }
            }
        }
    )+};
}

named! {
    Status, "init_status": "open" = Open, "close" = Close;
    Aggregation, "aggregation_strategy": "average" = Average, "max" = Max;
    LayerShape, "layer_shape": "rect" = Rect, "line" = Line;
}

/// The button that closes an open layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CloseButton {
    /// Whether it is shown; true by default.
    pub display: bool,
    /// Its size in units of the usual one; 1 by default.
    pub ratio: f32,
}

impl Default for CloseButton {
    fn default() -> Self {
        Self { display: true, ratio: 1.0 }
    }
}

/// How one layer looks, or every layer of a model. What is `None` is left to the model, and then to TensorSpace's default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// The colour of the maps; by default that of the layer's kind.
    pub color: Option<Color>,
    /// The button that closes the layer.
    pub close_button: Option<CloseButton>,
    /// Whether the layer starts open; closed by default.
    pub init_status: Option<Status>,
    /// Milliseconds that opening and closing take; 2000 by default.
    pub anime_time: Option<u32>,
    /// The opacity of a map's smallest value, from 0 to 1; 0.4 by default.
    pub min_opacity: Option<f32>,
    /// What a closed layer shows; the average by default.
    pub aggregation_strategy: Option<Aggregation>,
    /// How an open layer's maps are laid out; as a rectangle by default.
    pub layer_shape: Option<LayerShape>,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $field:ident: $type:ty;)+) => {
        impl Look {$(
            $(#[$doc])*
            pub fn $field(mut self, $field: $type) -> Self {
                self.$field = Some($field);
                self
            }
        )+}
    };
}

setters! {
    /// The colour of the maps.
    color: Color;
    /// The button that closes the layer.
    close_button: CloseButton;
    /// Whether the layer starts open.
    init_status: Status;
    /// Milliseconds that opening and closing take, at least 1.
    anime_time: u32;
    /// The opacity of a map's smallest value, from 0 to 1.
    min_opacity: f32;
    /// What a closed layer shows.
    aggregation_strategy: Aggregation;
    /// How an open layer's maps are laid out.
    layer_shape: LayerShape;
}

impl Look {
    /// Nothing chosen.
    pub fn new() -> Self {
        Self::default()
    }

    /// # Errors
    /// [`Error::Invalid`] for a time of 0, an opacity outside of 0 to 1, and a button whose ratio is not positive and
    /// finite.
    pub fn validate(&self) -> Result<()> {
        if self.anime_time == Some(0) {
            return Err(Error::invalid("anime_time", "`anime_time` must be at least 1 ms", "anime_time=0"));
        }
        if let Some(opacity) = self.min_opacity.filter(|opacity| !(0.0..=1.0).contains(opacity)) {
            let received = format!("min_opacity={opacity}");
            return Err(Error::invalid("min_opacity", "`min_opacity` must be from 0 to 1", received));
        }
        match self.close_button {
            Some(CloseButton { ratio, .. }) if !(ratio.is_finite() && ratio > 0.0) => Err(Error::invalid(
                "close_button",
                "the `ratio` of a close button must be positive and finite",
                format!("ratio={ratio}"),
            )),
            _ => Ok(()),
        }
    }
}

/// How a model looks.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelLook {
    /// What holds for each layer that does not say otherwise.
    pub layers: Look,
    /// Colours by Keras's name of the layer's class. One stands above the colour of `layers`, and below a layer's own.
    pub colors: BTreeMap<String, Color>,
    /// What is behind the maps; black by default.
    pub background: Color,
    /// Whether pointing at a map lights those that feed it; true by default.
    pub relation_system: bool,
    /// Whether pointing at a map tells its index, size and values; true by default.
    pub text_system: bool,
}

impl Default for ModelLook {
    fn default() -> Self {
        Self {
            layers: Look::default(),
            colors: BTreeMap::new(),
            background: Color([0; 3]),
            relation_system: true,
            text_system: true,
        }
    }
}

/// What [`Look`] and [`ModelLook`] come to for one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ResolvedLook {
    /// The colour of the maps.
    pub color: Color,
    /// The button that closes the layer.
    pub close_button: CloseButton,
    /// Whether the layer starts open.
    pub init_status: Status,
    /// Milliseconds that opening and closing take.
    pub anime_time: u32,
    /// The opacity of a map's smallest value.
    pub min_opacity: f32,
    /// What a closed layer shows.
    pub aggregation_strategy: Aggregation,
    /// How an open layer's maps are laid out.
    pub layer_shape: LayerShape,
}

impl ResolvedLook {
    /// The layer's own choice, or else the model's, or else the default.
    pub(super) fn new(layer: &Look, model: &ModelLook, class: &str) -> Self {
        let all = &model.layers;
        let color = layer.color.or_else(|| model.colors.get(class).copied()).or(all.color);
        Self {
            color: color.unwrap_or_else(|| default_color(class)),
            close_button: layer.close_button.or(all.close_button).unwrap_or_default(),
            init_status: layer.init_status.or(all.init_status).unwrap_or_default(),
            anime_time: layer.anime_time.or(all.anime_time).unwrap_or(2000),
            min_opacity: layer.min_opacity.or(all.min_opacity).unwrap_or(0.4),
            aggregation_strategy: layer.aggregation_strategy.or(all.aggregation_strategy).unwrap_or_default(),
            layer_shape: layer.layer_shape.or(all.layer_shape).unwrap_or_default(),
        }
    }
}

/// TensorSpace's colour for layers of Keras's class `class`, or for the `InputLayer`. Separable convolutions, of which it
/// knows nothing, look like depthwise ones.
pub fn default_color(class: &str) -> Color {
    let rgb: u32 = match class {
        "InputLayer" => 0xEE_EE_EE,
        "Conv1D" | "Conv2D" | "Conv3D" => 0xF7_FE_2E,
        "DepthwiseConv1D" | "DepthwiseConv2D" | "SeparableConv1D" | "SeparableConv2D" => 0xFB_BF_1F,
        _ if class.starts_with("TransposedConv") || class.ends_with("Transpose") && class.starts_with("Conv") => {
            0xFF_57_22
        }
        "Dense" => 0x00_FF_00,
        "Flatten" => 0xDF_E2_FE,
        "Reshape" | "Permute" | "Transpose" | "View" => 0xA2_87_F4,
        "Add" | "Subtract" | "Multiply" | "Average" | "Maximum" | "Minimum" | "Dot" => 0xE2_3E_57,
        "Concatenate" => 0xF9_A1_BC,
        "Activation" | "ReLU" | "LeakyReLU" | "PReLU" | "ELU" | "Softmax" => 0xFC_5C_9C,
        _ if class.starts_with("Global") || class.starts_with("ZeroPadding") => 0x6E_B6_FF,
        _ if class.contains("Pooling") => 0x00_FF_FF,
        _ if class.starts_with("Cropping") => 0xCE_FC_86,
        _ if class.starts_with("UpSampling") => 0x30_E3_CA,
        _ => 0xF0_8A_5D,
    };
    let [_, red, green, blue] = rgb.to_be_bytes();
    Color([red, green, blue])
}

/// TensorSpace's name for layers of Keras's class `class` whose output has maps, `spatial`, or is flat. Layers that it has
/// none for keep Keras's.
pub(super) fn layer_type(class: &str, spatial: bool) -> String {
    let axes = if spatial { "2d" } else { "1d" };
    match class {
        "Dense" | "Flatten" | "Add" | "Subtract" | "Multiply" | "Average" | "Maximum" | "Minimum" | "Dot"
        | "Concatenate" => class.to_owned(),
        "InputLayer" if !spatial => "Input1d".into(),
        "InputLayer" => "Input".into(),
        "Activation" | "ReLU" | "LeakyReLU" | "PReLU" | "ELU" | "Softmax" => format!("Activation{axes}"),
        "Reshape" => format!("Reshape{axes}"),
        "BatchNormalization" | "Dropout" | "SpatialDropout1D" | "SpatialDropout2D" | "SpatialDropout3D"
        | "GaussianNoise" | "GaussianDropout" => {
            format!("BasicLayer{axes}")
        }
        _ => {
            // Its names say what is pooled, not how.
            let name = match class.strip_prefix("Global") {
                Some(rest) => format!("Global{}", rest.trim_start_matches("Max").trim_start_matches("Average")),
                None if class.starts_with("MaxPooling") || class.starts_with("AveragePooling") => {
                    class.trim_start_matches("Max").trim_start_matches("Average").to_owned()
                }
                None => {
                    class.strip_prefix("Zero").filter(|rest| rest.starts_with("Padding")).unwrap_or(class).to_owned()
                }
            };
            name.replace("3D", "3d").replace("2D", "2d").replace("1D", "1d")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_colours_are_read_and_others_refused() {
        assert_eq!("#fbbf1F".parse::<Color>().unwrap(), Color([0xFB, 0xBF, 0x1F]));
        assert_eq!("6EB6FF".parse::<Color>().unwrap().to_string(), "#6EB6FF");
        for wrong in ["", "#", "red", "#12345", "#1234567", "+12345", "#12345é"] {
            assert!(wrong.parse::<Color>().is_err(), "{wrong}");
        }
        assert_eq!("open".parse::<Status>().unwrap(), Status::Open);
        assert_eq!("max".parse::<Aggregation>().unwrap(), Aggregation::Max);
        assert_eq!("line".parse::<LayerShape>().unwrap(), LayerShape::Line);
        let error = "closed".parse::<Status>().unwrap_err().to_string();
        assert_eq!(error, "`init_status` must be one of open close; received init_status=\"closed\"");
    }

    #[test]
    fn wrong_looks_are_refused() {
        for (look, rule) in [
            (Look::new().anime_time(0), "at least 1 ms; received anime_time=0"),
            (Look::new().min_opacity(1.5), "from 0 to 1; received min_opacity=1.5"),
            (Look::new().min_opacity(f32::NAN), "from 0 to 1; received min_opacity=NaN"),
            (
                Look::new().close_button(CloseButton { display: true, ratio: 0.0 }),
                "positive and finite; received ratio=0",
            ),
        ] {
            let error = look.validate().unwrap_err().to_string();
            assert!(error.ends_with(rule), "{error}");
        }
        Look::new().anime_time(1).min_opacity(0.0).validate().unwrap();
    }

    #[test]
    fn a_layer_goes_before_its_model_and_that_before_the_default() {
        let mut model = ModelLook::default();
        let plain = ResolvedLook::new(&Look::new(), &model, "DepthwiseConv2D");
        assert_eq!(plain.color.to_string(), "#FBBF1F");
        assert_eq!((plain.anime_time, plain.min_opacity, plain.init_status), (2000, 0.4, Status::Close));
        assert_eq!((plain.aggregation_strategy, plain.layer_shape), (Aggregation::Average, LayerShape::Rect));
        assert_eq!(plain.close_button, CloseButton { display: true, ratio: 1.0 });

        model.layers = Look::new().color(Color([1; 3])).anime_time(500).min_opacity(0.1);
        let own = Look::new().anime_time(4000).init_status(Status::Open);
        let look = ResolvedLook::new(&own, &model, "DepthwiseConv2D");
        assert_eq!((look.color, look.anime_time), (Color([1; 3]), 4000));
        assert_eq!((look.min_opacity, look.init_status), (0.1, Status::Open));
        model.colors.insert("DepthwiseConv2D".into(), Color([2; 3]));
        assert_eq!(ResolvedLook::new(&own, &model, "DepthwiseConv2D").color, Color([2; 3]));
        assert_eq!(ResolvedLook::new(&own, &model, "Conv2D").color, Color([1; 3]));
        let own = own.color(Color([3; 3]));
        assert_eq!(ResolvedLook::new(&own, &model, "DepthwiseConv2D").color, Color([3; 3]));
    }

    #[test]
    fn every_kind_has_tensorspaces_colour() {
        for (classes, color) in [
            ("InputLayer", "#EEEEEE"),
            ("Conv1D Conv2D", "#F7FE2E"),
            ("DepthwiseConv2D SeparableConv2D", "#FBBF1F"),
            ("Conv2DTranspose", "#FF5722"),
            ("MaxPooling2D AveragePooling2D", "#00FFFF"),
            ("GlobalAveragePooling2D GlobalMaxPooling2D ZeroPadding2D", "#6EB6FF"),
            ("Dense", "#00FF00"),
            ("Flatten", "#DFE2FE"),
            ("Cropping2D", "#CEFC86"),
            ("UpSampling2D", "#30E3CA"),
            ("Reshape", "#A287F4"),
            ("Activation ReLU Softmax", "#FC5C9C"),
            ("BatchNormalization Dropout", "#F08A5D"),
            ("Add Multiply Average", "#E23E57"),
            ("Concatenate", "#F9A1BC"),
        ] {
            for class in classes.split(' ') {
                assert_eq!(default_color(class).to_string(), color, "{class}");
            }
        }
    }

    #[test]
    fn layer_types_are_tensorspaces() {
        for (class, spatial, name) in [
            ("DepthwiseConv2D", true, "DepthwiseConv2d"),
            ("Conv2DTranspose", true, "Conv2dTranspose"),
            ("GlobalAveragePooling2D", false, "GlobalPooling2d"),
            ("ReLU", true, "Activation2d"),
            ("Dropout", false, "BasicLayer1d"),
            ("Dense", false, "Dense"),
        ] {
            assert_eq!(layer_type(class, spatial), name);
        }
    }
}
