//! Descriptions as Keras's JSON configs, and back.
//!
//! One list of fields serves both directions: [`Codec::field`] fills a value from a config or adds it to one. The lists
//! are in the order in which Keras checks its arguments (K1), so that of several faults the first in that order is
//! reported; every [`JsonForm`] is read checked.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::origin::Arguments;
use super::*;
use crate::{Coordinates, DTypePolicy, DataFormat, HostTensor, Interpolation, Nearest, Padding, Settings, Unary};

/// What reading a config may let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Whether the depthwise and separable layers read may have both strides and dilation rates above 1, which files
    /// from Keras 3.15 can hold; false by default (D1).
    pub strided_dilation: bool,
}

/// What Keras 2 writes with the first layer of a chain.
const INPUT_SHAPES: [&str; 2] = ["batch_input_shape", "input_shape"];

impl LayerConfig {
    /// The layer's arguments, as Keras's `get_config` gives them.
    ///
    /// [`from_config`](Self::from_config) is the inverse, but for a [`DTypePolicy::EmulatedFloat16`], which is written
    /// as the float16 it computes, and for the seed that an object without one has drawn.
    ///
    /// # Errors
    /// [`Error::Invalid`] for arguments that break a rule; [`Error::Unsupported`] for what Keras has no config for:
    /// functions, arrays, and activations with other than default parameters that are no layer of Keras's.
    ///
    /// ```
    /// use wgpu_conv::layers::{Conv2D, LayerConfig};
    ///
    /// let conv = LayerConfig::from(Conv2D::new(8, (3, 5)).name("stem"));
    /// let config = conv.get_config()?;
    /// assert_eq!(config["kernel_size"], serde_json::json!([3, 5]));
    /// assert_eq!(LayerConfig::from_config("Conv2D", &config)?, conv);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn get_config(&self) -> Result<Value> {
        self.validate()?;
        written(self.class_name(), |codec| self.clone().fields(codec))
    }

    /// The layer of a Keras class with the arguments in `config`; what it does not name keeps Keras's default.
    ///
    /// Takes what Keras 3 and tf.keras 2 write. From the latter, arguments of Conv2D that other convolutions hold with
    /// a neutral value (F1) and input shapes are dropped.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming an argument that is missing, unknown or breaks a rule, the first in Keras's order;
    /// [`Error::Unsupported`] for other classes, and for arguments whose effect is not implemented. Custom objects and
    /// lambdas are never read (F2).
    pub fn from_config(class_name: &str, config: &Value) -> Result<Self> {
        Self::from_config_with(class_name, config, ReadOptions::default())
    }

    /// [`from_config`](Self::from_config), with options.
    ///
    /// # Errors
    /// Those of [`from_config`](Self::from_config).
    ///
    /// ```
    /// use serde_json::json;
    /// use wgpu_conv::layers::{LayerConfig, ReadOptions};
    ///
    /// let config = json!({"kernel_size": 3, "strides": 2, "dilation_rate": 2});
    /// assert!(LayerConfig::from_config("DepthwiseConv2D", &config).is_err());
    /// LayerConfig::from_config_with("DepthwiseConv2D", &config, ReadOptions { strided_dilation: true })?;
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_config_with(class_name: &str, config: &Value, options: ReadOptions) -> Result<Self> {
        let (mut layer, required) = Self::template(class_name).ok_or_else(|| {
            Error::unsupported(format!("the layer class {class_name}"), "the layers read are those of `LayerConfig`")
        })?;
        let map = object(class_name, config)?;
        if let Some(missing) = required.iter().find(|key| !map.contains_key(**key)) {
            return Err(Error::invalid(
                missing,
                format!("{class_name} must be given `{missing}`"),
                format!("config={config}"),
            ));
        }
        match &mut layer {
            Self::DepthwiseConv1D(layer) => layer.strided_dilation = options.strided_dilation,
            Self::DepthwiseConv2D(layer) => layer.strided_dilation = options.strided_dilation,
            Self::SeparableConv1D(layer) => layer.strided_dilation = options.strided_dilation,
            Self::SeparableConv2D(layer) => layer.strided_dilation = options.strided_dilation,
            _ => {}
        }
        let mut codec = Codec::reader(class_name, map);
        layer.fields(&mut codec)?;
        codec.dropped("activity_regularizer", Value::is_null)?;
        for shape in INPUT_SHAPES {
            codec.dropped(shape, |json| Option::<PartialShape>::read(shape, json).is_ok())?;
        }
        codec.read()?;
        layer.validate()?;
        Ok(layer)
    }

    /// The layer as it stands in a model's config: its class beside its arguments, and the shapes of the inputs it was
    /// built with, if it was.
    ///
    /// # Errors
    /// Those of [`get_config`](Self::get_config).
    pub fn to_json(&self, built: &[PartialShape]) -> Result<Value> {
        let mut json = wrapped(self.module(), self.class_name(), self.get_config()?);
        let shapes = match built {
            [] => return Ok(json),
            [only] if !self.describe().takes_list() => only.write()?,
            several => several.iter().map(JsonForm::write).collect::<Result<Vec<_>>>()?.into(),
        };
        json["build_config"] = json!({"input_shape": shapes});
        Ok(json)
    }

    /// The layer and, if it was built, the shapes of its inputs, from the form that [`to_json`](Self::to_json) writes. Other keys,
    /// which models add, are ignored; `module` and `registered_name` may be absent.
    ///
    /// # Errors
    /// Those of [`from_config`](Self::from_config).
    pub fn from_json(json: &Value) -> Result<(Self, Vec<PartialShape>)> {
        let (class, config) = unwrapped("layer", json)?;
        let built = match json.pointer("/build_config/input_shape") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(shapes)) if shapes.first().is_some_and(Value::is_array) => {
                shapes.iter().map(|shape| PartialShape::read("input_shape", shape)).collect::<Result<_>>()?
            }
            Some(shape) => vec![PartialShape::read("input_shape", shape)?],
        };
        Ok((Self::from_config(class, config)?, built))
    }

    /// What configs of a class hold; none for a class that is not read.
    pub(super) fn arguments_of(class_name: &str) -> Option<Arguments> {
        let (layer, _) = Self::template(class_name)?;
        let map = Map::new();
        let mut codec = Codec::reader(class_name, &map);
        layer.clone().fields(&mut codec).ok()?;
        codec.dropped("activity_regularizer", Value::is_null).ok()?;
        let CodecMode::Read { mut known, .. } = codec.mode else { return None };
        known.extend(INPUT_SHAPES.map(str::to_owned));
        let written = written(class_name, |codec| layer.clone().fields(codec)).ok()?;
        let written = written.as_object()?.keys().cloned().collect();
        let several = layer.describe().takes_list();
        Some(Arguments { module: layer.module(), several, known, written })
    }
}

/// Why quantized layers are refused.
pub(super) const QUANTIZED: &str =
    "its weights are integers that stand for others; save the model as it was before it was quantized";

/// Why batch renormalization is refused.
pub(super) const RENORM: &str = "batch renormalization keeps three more weights, which are not read; at inference it does what a \
     BatchNormalization without it does: give one of those its gamma, beta, moving_mean and moving_variance";

/// What every layer has. Keras never writes `autocast`, but reads it.
pub(super) fn common(codec: &mut Codec, common: &mut Common) -> Result<()> {
    codec.field("name", &mut common.name)?;
    codec.field("trainable", &mut common.trainable)?;
    codec.field("dtype", &mut common.dtype)?;
    codec.unless("autocast", &mut common.autocast, true)?;
    common.validate()
}

/// [`common`] as SpatialDropout2D is written: the name of the policy, and `trainable` only where it is not.
pub(super) fn brief_common(codec: &mut Codec, own: &mut Common) -> Result<()> {
    codec.field("name", &mut own.name)?;
    codec.unless("trainable", &mut own.trainable, true)?;
    let mut dtype = PolicyName(own.dtype);
    codec.field("dtype", &mut dtype)?;
    own.dtype = dtype.0;
    codec.unless("autocast", &mut own.autocast, true)?;
    own.validate()
}

/// What the convolutions have, of which some take `causal` padding; written in `order` first.
pub(super) fn convolution<'a, const R: usize>(
    codec: &mut Codec,
    order: &[&str],
    causal: bool,
    arguments: &'a mut ConvArguments<R>,
    mut kernels: Vec<(&str, &'a mut WeightOptions)>,
) -> Result<()> {
    common(codec, &mut arguments.common)?;
    let activity = &mut arguments.activity_regularizer;
    if activity.is_some() {
        codec.order(&["activity_regularizer"]);
    }
    codec.order(order);
    codec.order(&["kernel_size", "strides", "padding", "data_format"]);
    let window = &mut arguments.window;
    codec.field("kernel_size", &mut window.kernel_size)?;
    codec.field("strides", &mut window.strides)?;
    codec.field("dilation_rate", &mut window.dilation_rate)?;
    codec.field("padding", &mut window.padding)?;
    window.padding.check(causal)?;
    codec.field("data_format", &mut arguments.data_format)?;
    codec.field("activation", &mut arguments.activation)?;
    codec.field("use_bias", &mut arguments.use_bias)?;
    kernels.push(("bias", &mut arguments.bias));
    weights(codec, &mut kernels, |codec| codec.field("activity_regularizer", activity))
}

/// The options of named weights: all initializers, then all regularizers with the one for the `activity`, then all
/// constraints.
pub(super) fn weights(
    codec: &mut Codec,
    weights: &mut [(&str, &mut WeightOptions)],
    activity: impl FnOnce(&mut Codec) -> Result<()>,
) -> Result<()> {
    for (name, options) in &mut *weights {
        codec.field(&format!("{name}_initializer"), &mut options.initializer)?;
    }
    for (name, options) in &mut *weights {
        codec.field(&format!("{name}_regularizer"), &mut options.regularizer)?;
    }
    activity(codec)?;
    for (name, options) in weights {
        codec.field(&format!("{name}_constraint"), &mut options.constraint)?;
    }
    Ok(())
}

/// Arguments of Conv2D that tf.keras 2 also writes for the other convolutions, where they have no effect whatever they say:
/// there is no weight called `kernel`.
pub(super) fn conv2d_leftovers(codec: &mut Codec) -> Result<()> {
    codec.dropped("groups", |json| integer(json) == Some(1))?;
    for inert in ["kernel_initializer", "kernel_regularizer", "kernel_constraint"] {
        codec.dropped(inert, |_| true)?;
    }
    Ok(())
}

pub(super) fn leaky(codec: &mut Codec, negative_slope: &mut f32) -> Result<()> {
    codec.field("negative_slope", negative_slope)?;
    // Its name in tf.keras 2.
    if let Some(alpha) = codec.take("alpha") {
        *negative_slope = f32::read("alpha", alpha)?;
    }
    Ok(())
}

pub(super) fn rectifier(codec: &mut Codec, max: &mut Option<f32>, slope: &mut f32, threshold: &mut f32) -> Result<()> {
    codec.field("max_value", max)?;
    codec.field("negative_slope", slope)?;
    codec.field("threshold", threshold)
}

/// A layer's arguments in configs, as its file says them.
pub(super) trait Configured: Sized {
    /// The arguments that have no default.
    const REQUIRED: &'static [&'static str] = &[];

    /// A layer to read arguments into, with the defaults of those that have some.
    fn template() -> Self;

    /// The template of a class that is called `class`, where the one of [`LayerConfig`] is called `name`.
    fn of_class(class: &str, name: &str) -> Option<Self> {
        (class == name).then(Self::template)
    }

    /// Takes each argument out of a config, or puts it into one, in the order in which Keras checks them (K1).
    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()>;
}

/// One pass over the fields of a class: out of a config, or into one.
pub(super) struct Codec<'a> {
    class: &'a str,
    mode: CodecMode<'a>,
}

enum CodecMode<'a> {
    Read { map: &'a Map<String, Value>, known: Vec<String> },
    Write(Map<String, Value>),
}

impl<'a> Codec<'a> {
    fn reader(class: &'a str, map: &'a Map<String, Value>) -> Self {
        Self { class, mode: CodecMode::Read { map, known: Vec::new() } }
    }

    /// Whether it takes fields out of a config.
    pub(super) fn reads(&self) -> bool {
        matches!(self.mode, CodecMode::Read { .. })
    }

    /// When reading: what the config holds at `key`, which is known from now on.
    pub(super) fn take(&mut self, key: &str) -> Option<&'a Value> {
        match &mut self.mode {
            CodecMode::Read { map, known } => {
                known.push(key.to_owned());
                map.get(key)
            }
            CodecMode::Write(_) => None,
        }
    }

    /// A value that is always written, and keeps what it has where the config read lacks it.
    pub(super) fn field<T: JsonForm>(&mut self, key: &str, value: &mut T) -> Result<()> {
        if let Some(json) = self.take(key) {
            *value = T::read(key, json)?;
        }
        if let CodecMode::Write(map) = &mut self.mode {
            map.insert(key.to_owned(), value.write()?);
        }
        Ok(())
    }

    /// A value that is written only where there is one.
    pub(super) fn optional<T: JsonForm>(&mut self, key: &str, value: &mut Option<T>) -> Result<()> {
        if value.is_none() && matches!(self.mode, CodecMode::Write(_)) {
            return Ok(());
        }
        self.field(key, value)
    }

    /// A value that is written only where it is another than the `usual` one, as Keras has no argument for it.
    pub(super) fn unless<T: JsonForm + PartialEq + Copy>(&mut self, key: &str, value: &mut T, usual: T) -> Result<()> {
        let mut unusual = (*value != usual).then_some(*value);
        self.optional(key, &mut unusual)?;
        *value = unusual.unwrap_or(usual);
        Ok(())
    }

    /// A field that keeps its default where the config says null.
    pub(super) fn field_or_null<T: JsonForm>(&mut self, key: &str, value: &mut T) -> Result<()> {
        match self.take(key) {
            Some(Value::Null) => Ok(()),
            _ => self.field(key, value),
        }
    }

    /// An argument of which only one value is implemented, and why.
    pub(super) fn fixed(&mut self, key: &str, only: Value, why: &'static str) -> Result<()> {
        if let Some(json) = self.take(key).filter(|json| **json != only) {
            let given = if json.is_object() { key.to_owned() } else { format!("{key}={json}") };
            return Err(Error::unsupported(format!("{given} of {}", self.class), why));
        }
        self.ignored(key, only);
        Ok(())
    }

    /// An argument without effect here: its default is written, whatever was read.
    pub(super) fn ignored(&mut self, key: &str, default: Value) {
        self.take(key);
        if let CodecMode::Write(map) = &mut self.mode {
            map.insert(key.to_owned(), default);
        }
    }

    /// An argument that the class does not have, but may be read with a `neutral` value.
    ///
    /// Where a field has taken the key, the class has it after all.
    pub(super) fn dropped(&mut self, key: &str, neutral: impl FnOnce(&Value) -> bool) -> Result<()> {
        if matches!(&self.mode, CodecMode::Read { known, .. } if known.iter().any(|known| known == key)) {
            return Ok(());
        }
        match self.take(key) {
            Some(json) if !neutral(json) => Err(self.unknown(key, json)),
            _ => Ok(()),
        }
    }

    /// When writing: puts the keys in this order, before their values are known.
    pub(super) fn order(&mut self, keys: &[&str]) {
        if let CodecMode::Write(map) = &mut self.mode {
            map.extend(keys.iter().map(|key| ((*key).to_owned(), Value::Null)));
        }
    }

    fn unknown(&self, key: &str, json: &Value) -> Error {
        invalid(key, format!("{} takes no argument `{key}`", self.class), json)
    }

    /// Ends reading.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key that no field has asked for.
    fn read(self) -> Result<()> {
        let CodecMode::Read { map, known } = &self.mode else { return Ok(()) };
        match map.iter().find(|(key, _)| !known.contains(key)) {
            Some((key, json)) => Err(self.unknown(key, json)),
            None => Ok(()),
        }
    }
}

/// What `fields` write.
fn written(class: &str, fields: impl FnOnce(&mut Codec) -> Result<()>) -> Result<Value> {
    let mut codec = Codec { class, mode: CodecMode::Write(Map::new()) };
    fields(&mut codec)?;
    Ok(match codec.mode {
        CodecMode::Read { .. } => Value::Null,
        CodecMode::Write(map) => map.into(),
    })
}

fn invalid(key: &str, rule: impl Into<Cow<'static, str>>, json: &Value) -> Error {
    Error::Invalid { argument: key.to_owned().into(), rule: rule.into(), received: format!("{key}={json}") }
}

fn object<'a>(what: &str, json: &'a Value) -> Result<&'a Map<String, Value>> {
    json.as_object().ok_or_else(|| invalid("config", format!("the config of {what} must be a JSON object"), json))
}

/// Keras's form of any serialised object.
fn wrapped(module: &str, class_name: &str, config: Value) -> Value {
    json!({"module": module, "class_name": class_name, "config": config, "registered_name": null})
}

/// The class and the config in a form that [`wrapped`] made, or Keras 2, which leaves out the rest.
///
/// # Errors
/// [`Error::Invalid`] for anything else; [`Error::Unsupported`] for objects from outside Keras (F2).
fn unwrapped<'a>(key: &str, json: &'a Value) -> Result<(&'a str, &'a Value)> {
    let (Some(class), Some(config)) = (json["class_name"].as_str(), json.get("config")) else {
        return Err(invalid(key, format!("`{key}` must be a name or an object with `class_name` and `config`"), json));
    };
    let custom = match Origin::of(Generation::Unstated, json) {
        _ if class == "__lambda__" => Some("a function of Python code".into()),
        Origin::Keras | Origin::Own => None,
        Origin::Operator => Some("an operator".into()),
        Origin::Custom(of) => Some(of),
    };
    if let Some(of) = custom {
        return Err(Error::unsupported(
            format!("the custom object {class} as `{key}`, {of},"),
            "code from files is never run; construct it by the builder methods",
        ));
    }
    Ok((class, config))
}

/// A value with a form in JSON.
pub(super) trait JsonForm: Sized {
    /// The value of `json`, found at `key` and checked.
    fn read(key: &str, json: &Value) -> Result<Self>;
    /// The form.
    fn write(&self) -> Result<Value>;
}

impl<T: JsonForm> JsonForm for Option<T> {
    fn read(key: &str, json: &Value) -> Result<Self> {
        if json.is_null() { Ok(None) } else { T::read(key, json).map(Some) }
    }

    fn write(&self) -> Result<Value> {
        self.as_ref().map_or(Ok(Value::Null), T::write)
    }
}

impl JsonForm for bool {
    fn read(key: &str, json: &Value) -> Result<Self> {
        json.as_bool().ok_or_else(|| invalid(key, format!("`{key}` must be true or false"), json))
    }

    fn write(&self) -> Result<Value> {
        Ok((*self).into())
    }
}

impl JsonForm for String {
    fn read(key: &str, json: &Value) -> Result<Self> {
        json.as_str().map(Self::from).ok_or_else(|| invalid(key, format!("`{key}` must be a string"), json))
    }

    fn write(&self) -> Result<Value> {
        Ok(self.as_str().into())
    }
}

impl JsonForm for f64 {
    fn read(key: &str, json: &Value) -> Result<Self> {
        json.as_f64().ok_or_else(|| invalid(key, format!("`{key}` must be a number"), json))
    }

    fn write(&self) -> Result<Value> {
        Ok((*self).into())
    }
}

/// What stands for an infinity in configs, as JSON has none: beyond what an f32 holds, it is infinite as one.
pub(crate) const INFINITY: f64 = 1e39;

/// Written as the shortest decimal that is read as the same f32.
impl JsonForm for f32 {
    fn read(key: &str, json: &Value) -> Result<Self> {
        f64::read(key, json).map(|value| value as Self)
    }

    fn write(&self) -> Result<Value> {
        match self.is_infinite() {
            true => Ok(INFINITY.copysign((*self).into()).into()),
            false => Ok(self.to_string().parse::<f64>().unwrap_or((*self).into()).into()),
        }
    }
}

/// A whole number, also where written as a float (D3).
pub(super) fn integer(json: &Value) -> Option<i64> {
    let whole = |value: f64| (value.fract() == 0.0 && value.abs() < 2f64.powi(53)).then_some(value as i64);
    json.as_i64().or_else(|| json.as_f64().and_then(whole))
}

/// A count: strictly positive.
impl JsonForm for u32 {
    fn read(key: &str, json: &Value) -> Result<Self> {
        let count = integer(json).ok_or_else(|| invalid(key, format!("`{key}` must be an integer"), json))?;
        strictly_positive(key, count, json)
    }

    fn write(&self) -> Result<Value> {
        Ok((*self).into())
    }
}

fn strictly_positive(key: &str, value: i64, json: &Value) -> Result<u32> {
    let rule = if value > 0 { "values that fit 32 bits" } else { "strictly positive values" };
    u32::try_from(value)
        .ok()
        .filter(|&value| value > 0)
        .ok_or_else(|| invalid(key, format!("`{key}` must hold {rule}"), json))
}

/// What an argument holds that has a number for each of `R` axes.
const fn per_axis<const R: usize>() -> &'static str {
    match R {
        1 => "or a list of one",
        2 => "or two: (height, width)",
        _ => "or three: (depth, height, width)",
    }
}

/// One number for each axis, or one for all.
fn each<const R: usize>(json: &Value) -> Option<[&Value; R]> {
    match json.as_array() {
        None => Some([json; R]),
        Some(list) => list.iter().collect::<Vec<_>>().try_into().ok(),
    }
}

/// One number for each axis, or one for all; strictly positive.
impl<const R: usize> JsonForm for [u32; R] {
    fn read(key: &str, json: &Value) -> Result<Self> {
        let wrong = || invalid(key, format!("`{key}` must be one integer, {}", per_axis::<R>()), json);
        let numbers = each::<R>(json).ok_or_else(wrong)?.map(integer);
        if numbers.contains(&None) {
            return Err(wrong());
        }
        let mut counts = [0; R];
        for (count, number) in counts.iter_mut().zip(numbers.into_iter().flatten()) {
            *count = strictly_positive(key, number, json)?;
        }
        Ok(counts)
    }

    fn write(&self) -> Result<Value> {
        Ok(self.as_slice().into())
    }
}

/// An axis; tf.keras 2 writes that of a BatchNormalization as a list of one.
impl JsonForm for i32 {
    fn read(key: &str, json: &Value) -> Result<Self> {
        let only = match json.as_array().map(Vec::as_slice) {
            Some([only]) => only,
            _ => json,
        };
        let axis = integer(only).and_then(|axis| Self::try_from(axis).ok());
        axis.ok_or_else(|| invalid(key, format!("`{key}` must be an integer"), json))
    }

    fn write(&self) -> Result<Value> {
        Ok((*self).into())
    }
}

impl JsonForm for Axes {
    fn read(key: &str, json: &Value) -> Result<Self> {
        match json {
            Value::Array(axes) => axes.iter().map(|axis| i32::read(key, axis)).collect::<Result<_>>().map(Self::List),
            axis => i32::read(key, axis).map(Self::One),
        }
    }

    fn write(&self) -> Result<Value> {
        Ok(match self {
            Self::One(axis) => (*axis).into(),
            Self::List(axes) => axes.as_slice().into(),
        })
    }
}

/// A list of axes; null is none, one number a list of it.
impl JsonForm for Vec<i32> {
    fn read(key: &str, json: &Value) -> Result<Self> {
        match json {
            Value::Null => Ok(Self::new()),
            _ => Axes::read(key, json).map(|axes| axes.as_slice().to_vec()),
        }
    }

    fn write(&self) -> Result<Value> {
        Ok(self.as_slice().into())
    }
}

/// An array as nested lists, or as the object that Keras makes of NumPy's.
impl JsonForm for HostTensor {
    fn read(key: &str, json: &Value) -> Result<Self> {
        let wrong = || invalid(key, format!("`{key}` must be a number, or an array of numbers as nested lists"), json);
        let lists = match json {
            Value::Object(_) => match unwrapped(key, json)? {
                ("__numpy__", config) => &config["value"],
                _ => return Err(wrong()),
            },
            lists => lists,
        };
        let (mut dims, mut level) = (Vec::new(), vec![lists]);
        while let Some(Value::Array(first)) = level.first() {
            let extent = first.len();
            dims.push(extent);
            let lists = level.iter().map(|list| list.as_array().filter(|list| list.len() == extent));
            let lists = lists.collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
            level = lists.into_iter().flatten().collect();
        }
        let values = level.iter().map(|value| value.as_f64().map(|value| value as f32)).collect::<Option<Vec<_>>>();
        HostTensor::new(dims, values.ok_or_else(wrong)?)
    }

    fn write(&self) -> Result<Value> {
        let mut level = self.values.iter().map(f32::write).collect::<Result<Vec<_>>>()?;
        for &dim in self.shape.dims().iter().rev() {
            level = level.chunks(dim.max(1)).map(|list| list.to_vec().into()).collect();
        }
        Ok(level.into_iter().next().unwrap_or_else(|| json!([])))
    }
}

impl JsonForm for PerChannel {
    fn read(key: &str, json: &Value) -> Result<Self> {
        let numbers = match json {
            Value::Array(numbers) => numbers,
            Value::Object(_) => match unwrapped(key, json)? {
                ("__numpy__", config) => return Self::read(key, &config["value"]),
                (class, _) => return Err(Error::unsupported(format!("the object {class} as `{key}`"), "numbers are")),
            },
            number => return f64::read(key, number).map(Self::One),
        };
        numbers.iter().map(|number| f64::read(key, number)).collect::<Result<_>>().map(Self::Each)
    }

    fn write(&self) -> Result<Value> {
        Ok(match self {
            Self::One(value) => (*value).into(),
            Self::Each(values) => values.as_slice().into(),
        })
    }
}

/// Anything, as it is.
impl JsonForm for Value {
    fn read(_key: &str, json: &Value) -> Result<Self> {
        Ok(json.clone())
    }

    fn write(&self) -> Result<Value> {
        Ok(self.clone())
    }
}

/// A shape, or one extent by itself.
pub(super) struct OneOrMore(pub(super) PartialShape);

impl JsonForm for OneOrMore {
    fn read(key: &str, json: &Value) -> Result<Self> {
        match json {
            Value::Number(_) => PartialShape::read(key, &json!([json])).map(Self),
            shape => PartialShape::read(key, shape).map(Self),
        }
    }

    fn write(&self) -> Result<Value> {
        self.0.write()
    }
}

/// A position, `"only"`, `"new"`, `"..."`, `{"start", "stop", "step"}` or `{"part", "of"}`, for each axis.
impl JsonForm for Vec<Subscript> {
    fn read(key: &str, json: &Value) -> Result<Self> {
        let one = |json: &Value| -> Option<Subscript> {
            let whole = |json: &Value| integer(json).and_then(|value| i32::try_from(value).ok());
            let end = |json: &Value| if json.is_null() { Some(None) } else { whole(json).map(Some) };
            Some(match json {
                Value::String(text) => match text.as_str() {
                    "only" => Subscript::Only,
                    "new" => Subscript::New,
                    "..." => Subscript::Ellipsis,
                    _ => return None,
                },
                Value::Object(map) if map.contains_key("part") => {
                    let count = |key: &str| u32::try_from(integer(&json[key])?).ok();
                    Subscript::Part { index: count("part")?, of: count("of")? }
                }
                Value::Object(_) => Subscript::Range {
                    start: end(&json["start"])?,
                    stop: end(&json["stop"])?,
                    step: if json["step"].is_null() { 1 } else { whole(&json["step"])? },
                },
                number => Subscript::At(whole(number)?),
            })
        };
        let all = json.as_array().and_then(|list| list.iter().map(one).collect());
        all.ok_or_else(|| invalid(key, format!("`{key}` must be a list of subscripts"), json))
    }

    fn write(&self) -> Result<Value> {
        let one = |subscript: &Subscript| match *subscript {
            Subscript::At(position) => position.into(),
            Subscript::Only => "only".into(),
            Subscript::New => "new".into(),
            Subscript::Ellipsis => "...".into(),
            Subscript::Range { start, stop, step } => json!({"start": start, "stop": stop, "step": step}),
            Subscript::Part { index, of } => json!({"part": index, "of": of}),
        };
        Ok(self.iter().map(one).collect())
    }
}

impl JsonForm for [f32; 2] {
    fn read(key: &str, json: &Value) -> Result<Self> {
        match json.as_array().map(Vec::as_slice) {
            Some([first, second]) => Ok([f32::read(key, first)?, f32::read(key, second)?]),
            _ => Err(invalid(key, format!("`{key}` must be two numbers"), json)),
        }
    }

    fn write(&self) -> Result<Value> {
        self.iter().map(JsonForm::write).collect()
    }
}

impl JsonForm for Vec<f32> {
    fn read(key: &str, json: &Value) -> Result<Self> {
        let list = json.as_array().ok_or_else(|| invalid(key, format!("`{key}` must be a list of numbers"), json))?;
        list.iter().map(|number| f32::read(key, number)).collect()
    }

    fn write(&self) -> Result<Value> {
        self.iter().map(JsonForm::write).collect()
    }
}

impl JsonForm for CategoryMode {
    fn read(key: &str, json: &Value) -> Result<Self> {
        named(key, json, Self::from_name)
    }

    fn write(&self) -> Result<Value> {
        Ok(self.name().into())
    }
}

impl JsonForm for SpectrogramMode {
    fn read(key: &str, json: &Value) -> Result<Self> {
        named(key, json, Self::from_name)
    }

    fn write(&self) -> Result<Value> {
        Ok(self.name().into())
    }
}

impl JsonForm for WindowScaling {
    fn read(key: &str, json: &Value) -> Result<Self> {
        named(key, json, Self::from_name)
    }

    fn write(&self) -> Result<Value> {
        Ok(self.name().into())
    }
}

impl JsonForm for FrameWindow {
    fn read(key: &str, json: &Value) -> Result<Self> {
        match json.as_str() {
            Some(name) => Ok(Self::Named(name.to_owned())),
            None => HostTensor::read(key, json).map(|factors| Self::Values(factors.values)),
        }
    }

    fn write(&self) -> Result<Value> {
        match self {
            Self::Named(name) => Ok(name.as_str().into()),
            Self::Values(values) => values.write(),
        }
    }
}

impl JsonForm for categories::LookupMode {
    fn read(key: &str, json: &Value) -> Result<Self> {
        let weighed = json == "tf_idf";
        let mode = if weighed { Ok(CategoryMode::Count) } else { named(key, json, CategoryMode::from_name) };
        mode.map(|mode| Self { mode, weighed })
    }

    fn write(&self) -> Result<Value> {
        Ok(if self.weighed { "tf_idf" } else { self.mode.name() }.into())
    }
}

impl JsonForm for ResizeMethod {
    fn read(key: &str, json: &Value) -> Result<Self> {
        named(key, json, Self::from_name)
    }

    fn write(&self) -> Result<Value> {
        Ok(self.name().into())
    }
}

impl JsonForm for Upsampling {
    fn read(key: &str, json: &Value) -> Result<Self> {
        named(key, json, Self::from_name)
    }

    fn write(&self) -> Result<Value> {
        Ok(self.name().into())
    }
}

impl JsonForm for ReduceFunction {
    fn read(key: &str, json: &Value) -> Result<Self> {
        named(key, json, Self::from_name)
    }

    fn write(&self) -> Result<Value> {
        Ok(self.name().into())
    }
}

impl JsonForm for Pooling {
    fn read(key: &str, json: &Value) -> Result<Self> {
        named(key, json, Self::from_name)
    }

    fn write(&self) -> Result<Value> {
        Ok(self.name().into())
    }
}

/// `"same_upper"`, `"same_lower"`, or `[before, after]` of each axis.
impl<const R: usize> JsonForm for Pads<R> {
    fn read(key: &str, json: &Value) -> Result<Self> {
        match json.as_str() {
            Some("same_upper") => return Ok(Self::SameUpper),
            Some("same_lower") => return Ok(Self::SameLower),
            _ => {}
        }
        let count = |json: &Value| integer(json).and_then(|count| u32::try_from(count).ok());
        let mut pads = [[0; 2]; R];
        for (axis, pair) in pads.iter_mut().enumerate() {
            for (side, pad) in pair.iter_mut().enumerate() {
                *pad = count(&json[axis][side]).ok_or_else(|| {
                    invalid(key, format!("`{key}` must be \"same_upper\", \"same_lower\" or {R} pairs of counts"), json)
                })?;
            }
        }
        Ok(Self::Explicit(pads))
    }

    fn write(&self) -> Result<Value> {
        Ok(match self {
            Self::Explicit(pads) => json!(pads.as_slice()),
            Self::SameUpper => "same_upper".into(),
            Self::SameLower => "same_lower".into(),
        })
    }
}

/// `{"sizes": [height, width]}` or `{"scales": [height, width]}`.
/// A number, null for the rest, or the axis kept as `{"axis": 0}`.
impl JsonForm for Vec<Extent> {
    fn read(key: &str, json: &Value) -> Result<Self> {
        let index = |json: &Value| integer(json).and_then(|value| usize::try_from(value).ok());
        let extent = |json: &Value| match json {
            Value::Null => Some(Extent::Rest),
            Value::Object(_) => index(json.get("axis")?).map(Extent::Axis),
            number => index(number).map(Extent::Of),
        };
        let extents = json.as_array().and_then(|extents| extents.iter().map(extent).collect());
        extents.ok_or_else(|| invalid(key, format!("`{key}` must be a list of extents"), json))
    }

    fn write(&self) -> Result<Value> {
        let extent = |extent: &Extent| match *extent {
            Extent::Rest => Value::Null,
            Extent::Axis(axis) => json!({"axis": axis}),
            Extent::Of(extent) => extent.into(),
        };
        Ok(self.iter().map(extent).collect())
    }
}

impl JsonForm for ResizeTo {
    fn read(key: &str, json: &Value) -> Result<Self> {
        let one = json.as_object().filter(|object| object.len() == 1).and_then(|object| object.iter().next());
        let scales = |name: &'static str, value: &Value| match value.as_array().map(Vec::as_slice) {
            Some([height, width]) => Ok([f64::read(name, height)?, f64::read(name, width)?]),
            _ => Err(invalid(key, format!("`{name}` must hold two numbers"), value)),
        };
        match one.map(|(name, value)| (name.as_str(), value)) {
            Some(("sizes", sizes)) => JsonForm::read("sizes", sizes).map(Self::Sizes),
            Some(("scales", value)) => scales("scales", value).map(Self::Scales),
            Some(("rounded_scales", value)) => scales("rounded_scales", value).map(Self::RoundedScales),
            _ => Err(invalid(key, format!("`{key}` must hold two `sizes`, `scales` or `rounded_scales`"), json)),
        }
    }

    fn write(&self) -> Result<Value> {
        Ok(match self {
            Self::Sizes(sizes) => json!({"sizes": sizes}),
            Self::Scales(scales) => json!({"scales": scales}),
            Self::RoundedScales(scales) => json!({"rounded_scales": scales}),
        })
    }
}

/// ONNX's names.
const COORDINATES: [(&str, Coordinates); 5] = [
    ("half_pixel", Coordinates::HalfPixel),
    ("half_pixel_symmetric", Coordinates::HalfPixelSymmetric),
    ("pytorch_half_pixel", Coordinates::PytorchHalfPixel),
    ("asymmetric", Coordinates::Asymmetric),
    ("align_corners", Coordinates::AlignCorners),
];

impl JsonForm for Coordinates {
    fn read(key: &str, json: &Value) -> Result<Self> {
        let known = COORDINATES.iter().find(|(name, _)| json.as_str() == Some(name));
        known.map(|&(_, coordinates)| coordinates).ok_or_else(|| {
            let names: Vec<_> = COORDINATES.iter().map(|(name, _)| *name).collect();
            invalid(key, format!("`{key}` must be one of {}", names.join(", ")), json)
        })
    }

    fn write(&self) -> Result<Value> {
        Ok(COORDINATES.iter().find(|(_, known)| known == self).map_or(Value::Null, |(name, _)| (*name).into()))
    }
}

/// ONNX's names of the nearest positions; the last is onnxruntime's.
const NEAREST: [(&str, Nearest); 5] = [
    ("round_prefer_floor", Nearest::RoundPreferFloor),
    ("round_prefer_ceil", Nearest::RoundPreferCeil),
    ("floor", Nearest::Floor),
    ("ceil", Nearest::Ceil),
    ("simple", Nearest::Simple),
];

/// `{"nearest": …}`, `"linear"`, or `{"cubic": a, "exclude_outside": …}`.
impl JsonForm for Interpolation {
    fn read(key: &str, json: &Value) -> Result<Self> {
        if json.as_str() == Some("linear") {
            return Ok(Self::Linear);
        }
        if let Some(a) = json.get("cubic") {
            let exclude_outside = json.get("exclude_outside").map_or(Ok(false), |flag| bool::read(key, flag))?;
            return Ok(Self::Cubic { a: f64::read("cubic", a)?, exclude_outside });
        }
        let nearest = NEAREST.iter().find(|(name, _)| json["nearest"].as_str() == Some(name));
        nearest.map(|&(_, nearest)| Self::Nearest(nearest)).ok_or_else(|| {
            invalid(key, format!("`{key}` must be \"linear\", or an object with `nearest` or `cubic`"), json)
        })
    }

    fn write(&self) -> Result<Value> {
        Ok(match self {
            Self::Linear => "linear".into(),
            Self::Cubic { a, exclude_outside } => json!({"cubic": a, "exclude_outside": exclude_outside}),
            Self::Nearest(nearest) => {
                let name = NEAREST.iter().find(|(_, known)| known == nearest).map(|(name, _)| *name);
                json!({"nearest": name})
            }
        })
    }
}

/// One number for each axis, or one for all; not negative.
pub(super) struct Extra<const R: usize>(pub(super) [u32; R]);

impl<const R: usize> JsonForm for Extra<R> {
    fn read(key: &str, json: &Value) -> Result<Self> {
        let wrong = || invalid(key, format!("`{key}` must be one count, {}", per_axis::<R>()), json);
        let mut counts = [0; R];
        for (count, json) in counts.iter_mut().zip(each::<R>(json).ok_or_else(wrong)?) {
            *count = integer(json).and_then(|count| u32::try_from(count).ok()).ok_or_else(wrong)?;
        }
        Ok(Self(counts))
    }

    fn write(&self) -> Result<Value> {
        Ok(self.0.as_slice().into())
    }
}

/// Counts; one by itself is a list of one.
impl JsonForm for Vec<u32> {
    fn read(key: &str, json: &Value) -> Result<Self> {
        match json {
            Value::Array(counts) => counts.iter().map(|count| u32::read(key, count)).collect(),
            count => u32::read(key, count).map(|count| vec![count]),
        }
    }

    fn write(&self) -> Result<Value> {
        Ok(self.as_slice().into())
    }
}

/// `[[top, bottom], [left, right]]`, or one number for a pair or for both.
/// One count for all, or for each axis one or a pair `[before, after]`; of one axis the pair by itself.
impl<const R: usize> JsonForm for Sides<R> {
    fn read(key: &str, json: &Value) -> Result<Self> {
        let wrong = || {
            let rule = match R {
                1 => "one count, or a pair: [before, after]",
                2 => "one count, two, or two pairs: [[top, bottom], [left, right]]",
                _ => "one count, three, or three pairs: [[front, back], [top, bottom], [left, right]]",
            };
            invalid(key, format!("`{key}` must be {rule}"), json)
        };
        let axes = if R == 1 { [json; R] } else { each::<R>(json).ok_or_else(wrong)? };
        let mut sides = [[0; 2]; R];
        for (pair, axis) in sides.iter_mut().zip(axes) {
            for (side, count) in pair.iter_mut().zip(each::<2>(axis).ok_or_else(wrong)?) {
                *side = integer(count).and_then(|count| u32::try_from(count).ok()).ok_or_else(wrong)?;
            }
        }
        Ok(Self(sides))
    }

    fn write(&self) -> Result<Value> {
        Ok(match &self.0[..] {
            [only] => json!(only),
            several => json!(several),
        })
    }
}

/// Pairs of whole numbers.
impl<const R: usize> JsonForm for [[i32; 2]; R] {
    fn read(key: &str, json: &Value) -> Result<Self> {
        let pairs = Vec::<[i32; 2]>::read(key, json)?;
        pairs.try_into().map_err(|_| invalid(key, format!("`{key}` must be {R} pairs"), json))
    }

    fn write(&self) -> Result<Value> {
        self.to_vec().write()
    }
}

impl JsonForm for Vec<[i32; 2]> {
    fn read(key: &str, json: &Value) -> Result<Self> {
        let wrong = || invalid(key, format!("`{key}` must be a list of pairs of integers"), json);
        let pair = |json: &Value| match json.as_array().map(Vec::as_slice) {
            Some([before, after]) => Ok([i32::read(key, before)?, i32::read(key, after)?]),
            _ => Err(wrong()),
        };
        json.as_array().ok_or_else(wrong)?.iter().map(pair).collect()
    }

    fn write(&self) -> Result<Value> {
        Ok(json!(self))
    }
}

/// The value that pads hold, or the name of another mode.
impl JsonForm for PadMode {
    fn read(key: &str, json: &Value) -> Result<Self> {
        match json.as_str() {
            Some("edge") => Ok(Self::Edge),
            Some("reflect") => Ok(Self::Reflect),
            Some("wrap") => Ok(Self::Wrap),
            Some(_) => Err(invalid(key, format!("`{key}` must be a number, \"edge\", \"reflect\" or \"wrap\""), json)),
            None => f32::read(key, json).map(Self::Constant),
        }
    }

    fn write(&self) -> Result<Value> {
        match self {
            Self::Constant(value) => value.write(),
            Self::Edge => Ok("edge".into()),
            Self::Reflect => Ok("reflect".into()),
            Self::Wrap => Ok("wrap".into()),
        }
    }
}

/// The side and the shape of a constant.
impl JsonForm for ConstantSide {
    fn read(key: &str, json: &Value) -> Result<Self> {
        let shape = PartialShape::read(key, &json["shape"])?.known();
        match (json["side"].as_str(), shape) {
            (Some("left"), Some(shape)) => Ok(Self::Left(shape)),
            (Some("right"), Some(shape)) => Ok(Self::Right(shape)),
            _ => Err(invalid(key, format!("`{key}` must have a `side`, \"left\" or \"right\", and a `shape`"), json)),
        }
    }

    fn write(&self) -> Result<Value> {
        let side = match self {
            Self::Left(_) => "left",
            Self::Right(_) => "right",
        };
        Ok(json!({"side": side, "shape": self.shape().dims()}))
    }
}

/// A name, with the parameters where it has some; null for one that is infinite, as by default.
impl JsonForm for Unary {
    fn read(key: &str, json: &Value) -> Result<Self> {
        if json.is_string() {
            return named(key, json, Self::from_name);
        }
        let function: Self = named(key, &json["name"], Self::from_name)?;
        let mut parameters = function.parameters();
        for (name, value) in function.parameter_names().iter().zip(&mut parameters) {
            if let Some(json) = json.get(*name).filter(|json| !json.is_null()) {
                *value = f32::read(name, json)?;
            }
        }
        Ok(function.with_parameters(parameters))
    }

    fn write(&self) -> Result<Value> {
        let mut map = Map::new();
        for (name, value) in self.parameter_names().iter().zip(self.parameters()) {
            let json = if value.is_infinite() { Value::Null } else { value.write()? };
            map.insert((*name).to_owned(), json);
        }
        if map.is_empty() {
            return Ok(self.name().into());
        }
        map.insert("name".to_owned(), self.name().into());
        Ok(map.into())
    }
}

impl JsonForm for BinaryFunction {
    fn read(key: &str, json: &Value) -> Result<Self> {
        named(key, json, Self::from_name)
    }

    fn write(&self) -> Result<Value> {
        Ok(self.name().into())
    }
}

impl JsonForm for PartialShape {
    fn read(key: &str, json: &Value) -> Result<Self> {
        let dims = json.as_array().and_then(|dims| {
            let dim = |json: &Value| match json {
                Value::Null => Some(None),
                _ => integer(json).and_then(|dim| usize::try_from(dim).ok()).map(Some),
            };
            dims.iter().map(dim).collect::<Option<Vec<_>>>()
        });
        dims.map(Self::from).ok_or_else(|| invalid(key, format!("`{key}` must be a list of integers and null"), json))
    }

    fn write(&self) -> Result<Value> {
        Ok(self.dims().into())
    }
}

/// The value that a string names.
fn named<T>(key: &str, json: &Value, parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    parse(json.as_str().ok_or_else(|| invalid(key, format!("`{key}` must be a string"), json))?)
}

impl JsonForm for Padding {
    fn read(key: &str, json: &Value) -> Result<Self> {
        named(key, json, Self::from_name)
    }

    fn write(&self) -> Result<Value> {
        Ok(self.name().into())
    }
}

/// Null is the process's setting.
impl JsonForm for DataFormat {
    fn read(key: &str, json: &Value) -> Result<Self> {
        match json {
            Value::Null => Ok(Settings::current().image_data_format),
            _ => named(key, json, Self::from_name),
        }
    }

    fn write(&self) -> Result<Value> {
        Ok(self.name().into())
    }
}

/// A policy object, in Keras 3.0 a name; null is the process's setting.
impl JsonForm for DTypePolicy {
    fn read(key: &str, json: &Value) -> Result<Self> {
        match json {
            Value::Null => Ok(Settings::current().floatx),
            Value::Object(_) => {
                let (class, config) = unwrapped(key, json)?;
                if !["DTypePolicy", "FloatDTypePolicy", "Policy"].contains(&class) {
                    let why = if class.contains("Quantized") { QUANTIZED } else { "only DTypePolicy is" };
                    return Err(Error::unsupported(format!("the dtype policy {class}"), why));
                }
                named("name", &config["name"], Self::from_name)
            }
            _ => named(key, json, Self::from_name),
        }
    }

    fn write(&self) -> Result<Value> {
        let policy = if *self == Self::EmulatedFloat16 { Self::Float16 } else { *self };
        Ok(wrapped("keras", "DTypePolicy", json!({"name": policy.name()})))
    }
}

/// A policy that is written by its name only.
struct PolicyName(DTypePolicy);

impl JsonForm for PolicyName {
    fn read(key: &str, json: &Value) -> Result<Self> {
        DTypePolicy::read(key, json).map(Self)
    }

    fn write(&self) -> Result<Value> {
        Ok(if self.0 == DTypePolicy::EmulatedFloat16 { DTypePolicy::Float16 } else { self.0 }.name().into())
    }
}

/// Null, an integer, or a generator.
impl JsonForm for Seed {
    fn read(key: &str, json: &Value) -> Result<Self> {
        match json {
            Value::Null => Ok(Self::default()),
            Value::Object(_) => {
                let (class, config) = unwrapped(key, json)?;
                match config["seed"].as_u64() {
                    Some(seed) if class == "SeedGenerator" => Ok(SeedGenerator::new(seed).into()),
                    _ => Err(invalid(key, "a seed object must be a SeedGenerator with an integer `seed`", json)),
                }
            }
            _ => {
                let rule = "`seed` must be an integer that is not negative, a SeedGenerator or null";
                json.as_u64().map(Self::from).ok_or_else(|| invalid(key, rule, json))
            }
        }
    }

    fn write(&self) -> Result<Value> {
        Ok(match self.generator() {
            Some(generator) => wrapped("keras.random", "SeedGenerator", json!({"seed": generator.seed()})),
            None => self.integer().into(),
        })
    }
}

/// The layers of Keras's that are activations with parameters.
impl Activation {
    /// The layer of the class with its defaults, which differ from those of the function of that name (A2).
    fn layer(class_name: &str) -> Option<Self> {
        Some(match class_name {
            "ReLU" => Self::RELU,
            "LeakyReLU" => Self::LeakyRelu { negative_slope: 0.3 },
            "ELU" => Self::Elu { alpha: 1.0 },
            "Softmax" => Self::Softmax { axis: -1 },
            _ => return None,
        })
    }

    /// The function of a name in an object, which is this crate's `own` or Keras's.
    fn of_function(key: &str, config: &Value, own: bool) -> Result<Self> {
        if own && config == Self::HardSigmoid2.name() {
            return Ok(Self::HardSigmoid2);
        }
        named(key, config, Self::from_name).map_err(|_| {
            Error::unsupported(
                format!("the function {config} as `{key}`, of the program that saved the file,"),
                "code from files is never run; construct it by the builder methods",
            )
        })
    }

    fn layer_class(&self) -> Option<&'static str> {
        match self {
            Self::Relu { .. } => Some("ReLU"),
            Self::LeakyRelu { .. } => Some("LeakyReLU"),
            Self::Elu { .. } => Some("ELU"),
            Self::Softmax { .. } => Some("Softmax"),
            _ => None,
        }
    }

    fn layer_fields(&mut self, codec: &mut Codec) -> Result<()> {
        match self {
            Self::Relu { negative_slope, max_value, threshold } => {
                rectifier(codec, max_value, negative_slope, threshold)?
            }
            Self::LeakyRelu { negative_slope } => leaky(codec, negative_slope)?,
            Self::Elu { alpha } => return codec.field("alpha", alpha),
            Self::Softmax { axis } => return codec.field("axis", axis),
            _ => {}
        }
        if self.parameters().iter().any(|&parameter| parameter < 0.0) {
            return Err(Error::invalid(
                "activation",
                format!("the parameters of Keras's layer {} must not be negative", codec.class),
                format!("{self:?}"),
            ));
        }
        Ok(())
    }
}

/// A name, or where the parameters are not the function's defaults a layer that has them; null is linear.
impl JsonForm for Activation {
    fn read(key: &str, json: &Value) -> Result<Self> {
        match json {
            Value::Null => Ok(Self::Linear),
            Value::String(name) => Self::from_name(name),
            _ => {
                let (class, config) = unwrapped(key, json)?;
                if class == "function" {
                    return Self::of_function(key, config, json["module"] == OPERATORS);
                }
                let mut activation = Self::layer(class).ok_or_else(|| {
                    Error::unsupported(
                        format!("the object {class} as an activation"),
                        "the objects read are functions by name, ReLU, LeakyReLU, ELU and Softmax",
                    )
                })?;
                let mut codec = Codec::reader(class, object(class, config)?);
                activation.layer_fields(&mut codec)?;
                for key in ["name", "trainable", "dtype"] {
                    codec.take(key);
                }
                codec.read()?;
                activation.validate()?;
                Ok(activation)
            }
        }
    }

    fn write(&self) -> Result<Value> {
        if *self == Self::HardSigmoid2 {
            return Err(Error::unsupported(
                "Keras 2's hard_sigmoid in a config",
                "Keras 3 has no name for it; save the weights alone (.weights.h5 or .safetensors)",
            ));
        }
        if Self::from_name(self.name()).is_ok_and(|default| default == *self) {
            return Ok(self.name().into());
        }
        let class = self.layer_class().ok_or_else(|| {
            Error::unsupported(
                format!("{self:?} in a config"),
                "Keras has a form for default parameters only, and for those of relu, leaky_relu, elu and softmax",
            )
        })?;
        Ok(wrapped("keras.layers", class, written(class, |codec| self.clone().layer_fields(codec))?))
    }
}

/// A kind of object that a config holds by name, or as a class with parameters.
trait Object: Clone {
    /// What it is called in messages.
    const KIND: &'static str;
    /// The module of its classes.
    const MODULE: &'static str;
    /// The object of a bare name.
    fn of_name(name: &str) -> Result<Self>;
    /// The class with default parameters.
    fn of_class(name: &str) -> Result<Self> {
        Self::of_name(name)
    }
    /// The class, if Keras has it.
    fn class(&self) -> Option<&'static str>;
    /// The parameters.
    fn parameters(&mut self, codec: &mut Codec) -> Result<()>;
    /// The rules for the parameters.
    fn check(&self) -> Result<()>;
}

impl<T: Object> JsonForm for T {
    fn read(key: &str, json: &Value) -> Result<Self> {
        if let Value::String(name) = json {
            return T::of_name(name);
        }
        let (class, config) = unwrapped(key, json)?;
        let mut read = T::of_class(class)?;
        let mut codec = Codec::reader(class, object(class, config)?);
        read.parameters(&mut codec)?;
        codec.read()?;
        read.check()?;
        Ok(read)
    }

    fn write(&self) -> Result<Value> {
        let class = self.class().ok_or_else(|| {
            Error::unsupported(
                format!("a custom {} in a config", T::KIND),
                "configs hold Keras's own classes; set it again on the layer that was read",
            )
        })?;
        Ok(wrapped(T::MODULE, class, written(class, |codec| self.clone().parameters(codec))?))
    }
}

impl Object for Initializer {
    const KIND: &'static str = "initializer";
    const MODULE: &'static str = "keras.initializers";

    fn of_name(name: &str) -> Result<Self> {
        Self::from_name(name)
    }

    fn class(&self) -> Option<&'static str> {
        Some(match self {
            Self::Zeros => "Zeros",
            Self::Ones => "Ones",
            Self::Constant(_) => "Constant",
            Self::RandomNormal { .. } => "RandomNormal",
            Self::TruncatedNormal { .. } => "TruncatedNormal",
            Self::RandomUniform { .. } => "RandomUniform",
            Self::VarianceScaling { scaling, .. } => match scaling {
                Scaling::GlorotUniform => "GlorotUniform",
                Scaling::GlorotNormal => "GlorotNormal",
                Scaling::HeUniform => "HeUniform",
                Scaling::HeNormal => "HeNormal",
                Scaling::LecunUniform => "LecunUniform",
                Scaling::LecunNormal => "LecunNormal",
                Scaling::General { .. } => "VarianceScaling",
            },
            Self::Orthogonal { .. } => "Orthogonal",
            Self::Identity { .. } => "Identity",
            Self::Array { .. } | Self::Custom(_) => return None,
        })
    }

    fn parameters(&mut self, codec: &mut Codec) -> Result<()> {
        match self {
            Self::Zeros | Self::Ones | Self::Array { .. } | Self::Custom(_) => Ok(()),
            Self::Constant(value) => codec.field("value", value),
            Self::RandomNormal { mean, stddev, seed } | Self::TruncatedNormal { mean, stddev, seed } => {
                codec.field("seed", seed)?;
                codec.field("mean", mean)?;
                codec.field("stddev", stddev)
            }
            Self::RandomUniform { minval, maxval, seed } => {
                codec.field("seed", seed)?;
                codec.field("minval", minval)?;
                codec.field("maxval", maxval)
            }
            Self::VarianceScaling { scaling, seed, input_axes, output_axes } => {
                codec.field("seed", seed)?;
                if let Scaling::General { scale, mode, distribution } = scaling {
                    codec.field("scale", scale)?;
                    codec.field("mode", mode)?;
                    codec.field("distribution", distribution)?;
                }
                codec.field("input_axes", input_axes)?;
                codec.field("output_axes", output_axes)
            }
            Self::Orthogonal { gain, seed } => {
                codec.field("seed", seed)?;
                codec.field("gain", gain)
            }
            Self::Identity { gain } => codec.field("gain", gain),
        }
    }

    fn check(&self) -> Result<()> {
        self.validate()
    }
}

impl Object for Regularizer {
    const KIND: &'static str = "regularizer";
    const MODULE: &'static str = "keras.regularizers";

    fn of_name(name: &str) -> Result<Self> {
        Self::from_name(name)
    }

    fn of_class(name: &str) -> Result<Self> {
        Self::from_class(name)
    }

    fn class(&self) -> Option<&'static str> {
        match self {
            Self::L1 { .. } => Some("L1"),
            Self::L2 { .. } => Some("L2"),
            Self::L1L2 { .. } => Some("L1L2"),
            Self::OrthogonalRegularizer { .. } => Some("OrthogonalRegularizer"),
            Self::Custom(_) => None,
        }
    }

    fn parameters(&mut self, codec: &mut Codec) -> Result<()> {
        match self {
            Self::L1 { l1 } => codec.field_or_null("l1", l1),
            Self::L2 { l2 } => codec.field_or_null("l2", l2),
            Self::L1L2 { l1, l2 } => {
                codec.field_or_null("l1", l1)?;
                codec.field_or_null("l2", l2)
            }
            Self::OrthogonalRegularizer { factor, mode } => {
                codec.field_or_null("factor", factor)?;
                codec.field("mode", mode)
            }
            Self::Custom(_) => Ok(()),
        }
    }

    fn check(&self) -> Result<()> {
        self.validate()
    }
}

impl Object for Constraint {
    const KIND: &'static str = "constraint";
    const MODULE: &'static str = "keras.constraints";

    fn of_name(name: &str) -> Result<Self> {
        Self::from_name(name)
    }

    fn class(&self) -> Option<&'static str> {
        match self {
            Self::NonNeg => Some("NonNeg"),
            Self::UnitNorm { .. } => Some("UnitNorm"),
            Self::MaxNorm { .. } => Some("MaxNorm"),
            Self::MinMaxNorm { .. } => Some("MinMaxNorm"),
            Self::Custom(_) => None,
        }
    }

    fn parameters(&mut self, codec: &mut Codec) -> Result<()> {
        match self {
            Self::NonNeg | Self::Custom(_) => Ok(()),
            Self::UnitNorm { axis } => codec.field("axis", axis),
            Self::MaxNorm { max_value, axis } => {
                codec.field("max_value", max_value)?;
                codec.field("axis", axis)
            }
            Self::MinMaxNorm { min_value, max_value, rate, axis } => {
                codec.field("min_value", min_value)?;
                codec.field("max_value", max_value)?;
                codec.field("rate", rate)?;
                codec.field("axis", axis)
            }
        }
    }

    fn check(&self) -> Result<()> {
        self.validate()
    }
}

/// The [`JsonForm`] of an enumeration: its names.
macro_rules! names {
    ($type:ty { $($name:literal => $value:path),* $(,)? }) => {
        impl JsonForm for $type {
            fn read(key: &str, json: &Value) -> Result<Self> {
                match json.as_str() {
                    $(Some($name) => Ok($value),)*
                    _ => Err(invalid(key, format!("`{key}` must be one of {}", [$($name),*].join(", ")), json)),
                }
            }

            fn write(&self) -> Result<Value> {
                Ok(match self { $($value => $name,)* }.into())
            }
        }
    };
}

names!(Fan { "fan_in" => Self::FanIn, "fan_out" => Self::FanOut, "fan_avg" => Self::FanAvg });
names!(OrthogonalMode { "rows" => Self::Rows, "columns" => Self::Columns });

/// In any letter case; `normal` is the truncated one.
impl JsonForm for Distribution {
    fn read(key: &str, json: &Value) -> Result<Self> {
        match json.as_str().map(str::to_lowercase).as_deref() {
            Some("truncated_normal" | "normal") => Ok(Self::TruncatedNormal),
            Some("untruncated_normal") => Ok(Self::UntruncatedNormal),
            Some("uniform") => Ok(Self::Uniform),
            _ => {
                Err(invalid(key, format!("`{key}` must be one of truncated_normal, untruncated_normal, uniform"), json))
            }
        }
    }

    fn write(&self) -> Result<Value> {
        Ok(match self {
            Self::TruncatedNormal => "truncated_normal",
            Self::UntruncatedNormal => "untruncated_normal",
            Self::Uniform => "uniform",
        }
        .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A policy and a default kernel initializer as Keras 3.15 writes them.
    fn policy(name: &str) -> Value {
        json!({"module": "keras", "class_name": "DTypePolicy", "config": {"name": name}, "registered_name": null})
    }

    fn keras(module: &str, class: &str, config: Value) -> Value {
        json!({"module": format!("keras.{module}"), "class_name": class, "config": config, "registered_name": null})
    }

    fn glorot() -> Value {
        keras("initializers", "GlorotUniform", json!({"seed": null, "input_axes": null, "output_axes": null}))
    }

    fn zeros() -> Value {
        keras("initializers", "Zeros", json!({}))
    }

    fn ones() -> Value {
        keras("initializers", "Ones", json!({}))
    }

    /// Configs in full, as Keras 3.15 writes them, key order included.
    fn complete() -> Vec<(&'static str, Value)> {
        vec![
            (
                "Conv2D",
                json!({
                    "name": "rich", "trainable": true, "dtype": policy("mixed_float16"),
                    "activity_regularizer": keras("regularizers", "L1", json!({"l1": 9.999999747378752e-05})),
                    "filters": 6, "kernel_size": [3, 5], "strides": [1, 2], "padding": "same",
                    "data_format": "channels_first", "dilation_rate": [1, 1], "groups": 3, "activation": "relu6",
                    "use_bias": false,
                    "kernel_initializer":
                        keras("initializers", "HeNormal", json!({"seed": 3, "input_axes": null, "output_axes": null})),
                    "bias_initializer": keras("initializers", "Constant", json!({"value": 0.1})),
                    "kernel_regularizer": keras("regularizers", "L1L2", json!({"l1": 0.001, "l2": 0.01})),
                    "bias_regularizer": keras("regularizers", "L2", json!({"l2": 0.01})),
                    "kernel_constraint":
                        keras("constraints", "MaxNorm", json!({"max_value": 2.0, "axis": [0, 1, 2]})),
                    "bias_constraint": null
                }),
            ),
            (
                "DepthwiseConv2D",
                json!({
                    "name": "depthwise_conv2d_2", "trainable": false, "dtype": policy("float32"),
                    "depth_multiplier": 2, "kernel_size": [3, 1], "strides": [1, 1], "padding": "valid",
                    "data_format": "channels_last", "dilation_rate": [2, 3], "activation": "linear", "use_bias": true,
                    "depthwise_initializer": keras("initializers", "VarianceScaling", json!({
                        "seed": 4, "scale": 2.0, "mode": "fan_avg", "distribution": "uniform",
                        "input_axes": [0, 1], "output_axes": -1
                    })),
                    "bias_initializer": null,
                    "depthwise_regularizer": keras("regularizers", "L2", json!({"l2": 0.02})),
                    "bias_regularizer": null, "activity_regularizer": null,
                    "depthwise_constraint": keras("constraints", "NonNeg", json!({})),
                    "bias_constraint": keras("constraints", "MinMaxNorm", json!({
                        "min_value": 0.1, "max_value": 0.9, "rate": 0.5, "axis": 0
                    })),
                }),
            ),
            (
                "SeparableConv2D",
                json!({
                    "name": null, "trainable": true, "dtype": policy("float32"), "depth_multiplier": 1, "filters": 4,
                    "kernel_size": [2, 2], "strides": [2, 2], "padding": "valid", "data_format": "channels_last",
                    "dilation_rate": [1, 1],
                    "activation": keras("layers", "LeakyReLU", json!({"negative_slope": 0.3})), "use_bias": true,
                    "depthwise_initializer": glorot(),
                    "pointwise_initializer": keras("initializers", "Orthogonal", json!({
                        "seed": keras("random", "SeedGenerator", json!({"seed": 5})), "gain": 1.0
                    })),
                    "bias_initializer": keras("initializers", "RandomNormal", json!({
                        "seed": null, "mean": 0.0, "stddev": 0.05
                    })),
                    "depthwise_regularizer": keras("regularizers", "L1", json!({"l1": 0.009999999776482582})),
                    "pointwise_regularizer":
                        keras("regularizers", "OrthogonalRegularizer", json!({"factor": 0.01, "mode": "columns"})),
                    "bias_regularizer": null, "activity_regularizer": null,
                    "depthwise_constraint": keras("constraints", "UnitNorm", json!({"axis": [0, 1]})),
                    "pointwise_constraint": null, "bias_constraint": null
                }),
            ),
            (
                "BatchNormalization",
                json!({
                    "name": "stem_bn", "trainable": true, "dtype": policy("float32"), "axis": -1, "momentum": 0.99,
                    "epsilon": 0.001, "center": true, "scale": false, "beta_initializer": zeros(),
                    "gamma_initializer": ones(), "moving_mean_initializer": zeros(),
                    "moving_variance_initializer": ones(), "beta_regularizer": null, "gamma_regularizer": null,
                    "beta_constraint": null, "gamma_constraint": null, "synchronized": false, "renorm": false,
                    "renorm_clipping": null, "renorm_momentum": 0.99
                }),
            ),
            (
                "Dense",
                json!({
                    "name": "head", "trainable": true, "dtype": policy("float32"), "units": 10,
                    "activation": "softmax", "use_bias": true, "kernel_initializer": glorot(),
                    "bias_initializer": zeros(), "kernel_regularizer": null, "bias_regularizer": null,
                    "kernel_constraint": null, "bias_constraint": null, "quantization_config": null
                }),
            ),
            (
                "GlobalAveragePooling2D",
                json!({
                    "name": "gap", "trainable": true, "dtype": policy("float32"), "data_format": "channels_last",
                    "keepdims": true
                }),
            ),
            (
                "AveragePooling2D",
                json!({
                    "name": "pool", "trainable": true, "dtype": policy("float32"), "pool_size": [3, 2],
                    "padding": "same", "strides": [2, 1], "data_format": "channels_first"
                }),
            ),
            (
                "GroupNormalization",
                json!({
                    "name": "gn", "trainable": true, "dtype": policy("float32"), "groups": -1, "axis": 1,
                    "epsilon": 0.001, "center": true, "scale": false, "beta_initializer": zeros(),
                    "gamma_initializer": ones(), "beta_regularizer": null, "gamma_regularizer": null,
                    "beta_constraint": null, "gamma_constraint": null
                }),
            ),
            (
                "LayerNormalization",
                json!({
                    "name": "ln", "trainable": true, "dtype": policy("float32"), "axis": [1, -1], "epsilon": 1e-6,
                    "center": true, "scale": true, "rms_scaling": true, "beta_initializer": zeros(),
                    "gamma_initializer": ones(), "beta_regularizer": null, "gamma_regularizer": null,
                    "beta_constraint": null, "gamma_constraint": null
                }),
            ),
            (
                "Normalization",
                json!({
                    "name": "norm", "trainable": true, "dtype": policy("float32"), "axis": [-2, -1], "invert": true,
                    "mean": [[0.5, 1.0], [0.25, 2.0]], "variance": [[1.0, 1.0], [4.0, 0.1]]
                }),
            ),
            (
                "Normalization",
                json!({
                    "name": "all", "trainable": true, "dtype": policy("float32"), "axis": [], "invert": false,
                    "mean": 0.5, "variance": 2.0
                }),
            ),
            (
                "Pool2D",
                json!({
                    "name": "p", "trainable": true, "dtype": policy("float32"), "function": "average_with_pads",
                    "kernel_size": [3, 3], "strides": [2, 1], "dilation_rate": [1, 2], "pads": [[0, 1], [1, 0]],
                    "ceil_mode": true, "data_format": "channels_first"
                }),
            ),
            (
                "Reduce",
                json!({
                    "name": "r", "trainable": true, "dtype": policy("float32"), "function": "log_sum_exp",
                    "axes": [1, -1], "keepdims": false
                }),
            ),
            (
                "Rescaling",
                json!({
                    "name": "scale", "trainable": true, "dtype": policy("float32"), "scale": [0.5, 0.25],
                    "offset": -1.0
                }),
            ),
            (
                "Resize",
                json!({
                    "name": "z", "trainable": true, "dtype": policy("float32"), "to": {"scales": [0.5, 2.0]},
                    "coordinates": "pytorch_half_pixel", "interpolation": {"cubic": -0.75, "exclude_outside": true},
                    "data_format": "channels_last"
                }),
            ),
            ("UnitNormalization", json!({"name": "unit", "trainable": true, "dtype": policy("float32"), "axis": -1})),
            (
                "UpSampling2D",
                json!({
                    "name": "up", "trainable": true, "dtype": policy("float32"), "size": [2, 3],
                    "data_format": "channels_last", "interpolation": "bilinear"
                }),
            ),
            (
                "Dropout",
                json!({
                    "name": "drop", "trainable": true, "dtype": policy("float32"), "rate": 0.3, "seed": null,
                    "noise_shape": [null, 1, 5]
                }),
            ),
            (
                "ReLU",
                json!({
                    "name": "relu", "trainable": true, "dtype": policy("float32"), "max_value": 6.0,
                    "negative_slope": 0.1, "threshold": 0.25
                }),
            ),
            (
                "Conv2DTranspose",
                json!({
                    "name": "up", "trainable": true, "dtype": policy("float32"), "filters": 2, "kernel_size": [5, 5],
                    "strides": [3, 2], "padding": "same", "output_padding": [0, 1], "data_format": "channels_first",
                    "dilation_rate": [1, 1], "activation": "linear", "use_bias": true, "kernel_initializer": glorot(),
                    "bias_initializer": zeros(), "kernel_regularizer": null, "bias_regularizer": null,
                    "activity_regularizer": null, "kernel_constraint": null, "bias_constraint": null
                }),
            ),
            (
                "PReLU",
                json!({
                    "name": "prelu", "trainable": true, "dtype": policy("float32"), "alpha_initializer": zeros(),
                    "alpha_regularizer": null, "alpha_constraint": null, "shared_axes": [1, 2]
                }),
            ),
            (
                "ZeroPadding2D",
                json!({
                    "name": "pad", "trainable": true, "dtype": policy("float32"), "padding": [[0, 1], [2, 3]],
                    "data_format": "channels_last"
                }),
            ),
            ("Add", json!({"name": "add", "trainable": true, "dtype": policy("float32")})),
            (
                "Dot",
                json!({
                    "name": "dot", "trainable": true, "dtype": policy("float32"), "axes": [1, 2], "normalize": true
                }),
            ),
            (
                "SpatialDropout2D",
                json!({
                    "rate": 0.4, "seed": null, "name": "spatial", "dtype": "float32", "data_format": "channels_last"
                }),
            ),
            (
                "Broadcast",
                json!({
                    "name": "scaled", "trainable": true, "dtype": policy("float32"), "function": "multiply",
                    "constant": {"side": "right", "shape": [3, 1, 1]}
                }),
            ),
            (
                "Map",
                json!({
                    "name": "clip", "trainable": true, "dtype": policy("float32"),
                    "function": {"min": 0.5, "max": null, "name": "clip"}
                }),
            ),
            (
                "Pad",
                json!({
                    "name": "pad", "trainable": true, "dtype": policy("float32"), "pads": [[0, 0], [-1, 2]],
                    "mode": "reflect"
                }),
            ),
            (
                "Activation",
                json!({"name": "act", "trainable": true, "dtype": policy("float32"), "activation": "hard_silu"}),
            ),
        ]
    }

    #[test]
    fn configs_round_trip() {
        for (class, config) in complete() {
            let layer = LayerConfig::from_config(class, &config).unwrap();
            assert_eq!(layer.class_name(), class);
            assert_eq!(layer.get_config().unwrap().to_string(), config.to_string());
        }
    }

    #[test]
    fn defaults_are_the_constructors() {
        for (class, config, layer) in [
            ("Conv2D", json!({"filters": 6, "kernel_size": 3}), LayerConfig::from(Conv2D::new(6, 3))),
            ("DepthwiseConv2D", json!({"kernel_size": [3, 5]}), DepthwiseConv2D::new((3, 5)).into()),
            ("SeparableConv2D", json!({"filters": 6.0, "kernel_size": 3.0}), SeparableConv2D::new(6, 3).into()),
            ("Dense", json!({"units": 3, "activation": null}), Dense::new(3).into()),
            ("BatchNormalization", json!({}), BatchNormalization::new().into()),
            (
                "GlobalAveragePooling2D",
                json!({"data_format": null, "dtype": null}),
                GlobalAveragePooling2D::new().into(),
            ),
            ("AveragePooling2D", json!({"pool_size": 3}), AveragePooling2D::new(3).into()),
            ("MaxPooling2D", json!({"strides": null}), MaxPooling2D::default().into()),
            ("MaxPooling2D", json!({"pool_size": [3, 2], "strides": 1}), MaxPooling2D::new((3, 2)).strides(1).into()),
            ("GlobalMaxPooling2D", json!({}), GlobalMaxPooling2D::new().into()),
            ("GroupNormalization", json!({}), GroupNormalization::new(32).into()),
            ("LayerNormalization", json!({"axis": -1}), LayerNormalization::new().into()),
            ("Normalization", json!({"axis": null, "mean": null}), Normalization::new().axis([]).into()),
            (
                "Rescaling",
                json!({"scale": {"class_name": "__numpy__", "config": {"value": [1.0, 2.0], "dtype": "float64"}}}),
                Rescaling::new([1.0, 2.0]).into(),
            ),
            ("UnitNormalization", json!({}), UnitNormalization::new().into()),
            ("UpSampling2D", json!({"size": 2}), UpSampling2D::default().into()),
            ("Dropout", json!({"rate": 0.5}), Dropout::new(0.5).into()),
            ("ReLU", json!({}), ReLU::new().into()),
            ("Activation", json!({"activation": "swish"}), ActivationLayer::new(Activation::Silu).into()),
        ] {
            assert_eq!(LayerConfig::from_config(class, &config).unwrap(), layer);
            assert_eq!(LayerConfig::from_config(class, &layer.get_config().unwrap()).unwrap(), layer);
        }
    }

    #[test]
    fn wrapped_layers_round_trip() {
        let layer = LayerConfig::from(Conv2D::new(6, 3));
        let shape: PartialShape = [None, Some(8), Some(8), Some(3)].into();
        for built in [vec![], vec![shape.clone()]] {
            let json = layer.to_json(&built).unwrap();
            assert_eq!(LayerConfig::from_json(&json).unwrap(), (layer.clone(), built));
        }
        assert_eq!(
            layer.to_json(std::slice::from_ref(&shape)).unwrap()["build_config"],
            json!({"input_shape": [null, 8, 8, 3]})
        );
        let bare = json!({"class_name": "ReLU", "config": {}, "name": "relu", "inbound_nodes": []});
        assert_eq!(LayerConfig::from_json(&bare).unwrap(), (ReLU::new().into(), vec![]));
    }

    #[test]
    fn other_spellings() {
        let conv = |key: &str, value: Value| {
            let mut config = json!({"filters": 4, "kernel_size": 3});
            config[key] = value;
            LayerConfig::from_config("Conv2D", &config).unwrap()
        };
        let plain = || Conv2D::new(4, 3);
        let shared = json!({"module": "keras", "class_name": "DTypePolicy", "config": {"name": "bfloat16"},
            "registered_name": null, "shared_object_id": 140003});
        for (key, value, expected) in [
            ("strides", json!(2.0), plain().strides(2)),
            ("strides", json!([2.0, 1]), plain().strides((2, 1))),
            ("padding", json!("SAME"), plain().padding(Padding::Same)),
            ("data_format", json!("Channels_First"), plain().data_format(DataFormat::ChannelsFirst)),
            ("dtype", json!("float16"), plain().dtype(DTypePolicy::Float16)),
            ("dtype", shared, plain().dtype(DTypePolicy::BFloat16)),
            (
                "activation",
                json!({"class_name": "function", "config": "relu", "module": "builtins",
                "registered_name": "relu"}),
                plain().activation(Activation::RELU),
            ),
            (
                "activation",
                keras(
                    "layers",
                    "ReLU",
                    json!({"name": "re_lu", "trainable": true,
                "dtype": policy("float32"), "max_value": 6, "negative_slope": 0.0, "threshold": 0.0}),
                ),
                plain().activation(Activation::Relu { negative_slope: 0.0, max_value: Some(6.0), threshold: 0.0 }),
            ),
            (
                "activation",
                json!({"class_name": "LeakyReLU", "config": {"alpha": 0.1}}),
                plain().activation(Activation::LeakyRelu { negative_slope: 0.1 }),
            ),
            (
                "activation",
                json!({"class_name": "LeakyReLU", "config": {}}),
                plain().activation(Activation::LeakyRelu { negative_slope: 0.3 }),
            ),
            (
                "activation",
                keras("layers", "Softmax", json!({"axis": 1})),
                plain().activation(Activation::Softmax { axis: 1 }),
            ),
            ("kernel_initializer", json!("he_normal"), plain().kernel_initializer(Initializer::he_normal())),
            (
                "kernel_initializer",
                json!({"class_name": "GlorotNormal", "config": {"seed": 2}}),
                plain().kernel_initializer(Initializer::glorot_normal().seed(2)),
            ),
            (
                "kernel_initializer",
                keras("initializers", "VarianceScaling", json!({"distribution": "Normal"})),
                plain().kernel_initializer(Initializer::variance_scaling(
                    1.0,
                    Fan::FanIn,
                    Distribution::TruncatedNormal,
                )),
            ),
            ("bias_regularizer", json!("l2"), plain().bias_regularizer(Regularizer::L2 { l2: 0.01 })),
            (
                "bias_regularizer",
                keras("regularizers", "L1L2", json!({"l2": null})),
                plain().bias_regularizer(Regularizer::L1L2 { l1: 0.0, l2: 0.0 }),
            ),
            ("kernel_constraint", json!("max_norm"), plain().kernel_constraint(Constraint::max_norm(2.0))),
            ("autocast", json!(false), plain().autocast(false)),
            ("batch_input_shape", json!([null, 8, 8, 3]), plain()),
            ("input_shape", json!([8, 8, 3]), plain()),
        ] {
            assert_eq!(conv(key, value), expected.into(), "{key}");
        }
    }

    #[test]
    fn leftovers_of_tf_keras_2() {
        for class in ["DepthwiseConv2D", "SeparableConv2D"] {
            let read = |key: &str, value: Value| {
                let mut config = json!({"filters": 4, "kernel_size": 3});
                if class == "DepthwiseConv2D" {
                    config["filters"] = Value::Null;
                }
                config[key] = value;
                LayerConfig::from_config(class, &config)
            };
            let initializer = json!({"class_name": "HeNormal", "config": {"seed": null}});
            let plain = read("groups", json!(1)).unwrap();
            for (key, value) in [
                ("kernel_initializer", Value::Null),
                ("kernel_initializer", initializer),
                ("kernel_initializer", json!("zeros")),
                ("kernel_regularizer", json!("l2")),
                ("kernel_constraint", json!("non_neg")),
            ] {
                assert_eq!(read(key, value).unwrap(), plain);
            }
            let error = read("groups", json!(2)).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{class} takes no argument `groups`")), "{error}");
        }
        let axis = LayerConfig::from_config("BatchNormalization", &json!({"axis": [3]})).unwrap();
        assert_eq!(axis, BatchNormalization::new().axis(3).into());
    }

    /// Class, config, the argument at fault, the message.
    #[test]
    fn refusals() {
        let foreign = json!({"module": "mine.layers", "class_name": "Mine", "config": {}});
        let lambda = json!({"class_name": "__lambda__", "config": {"value": "…"}});
        let custom = json!({"class_name": "L2", "config": {}, "registered_name": "mine>L2"});
        for (class, config, argument, message) in [
            (
                "Conv2D",
                json!({"filters": 4}),
                "kernel_size",
                "Conv2D must be given `kernel_size`; received config={\"filters\":4}",
            ),
            (
                "Conv2D",
                json!({"kernel_size": 4}),
                "filters",
                "Conv2D must be given `filters`; received config={\"kernel_size\":4}",
            ),
            ("Conv2D", json!([]), "config", "the config of Conv2D must be a JSON object; received config=[]"),
            (
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "lora_rank": 1}),
                "lora_rank",
                "Conv2D takes no argument `lora_rank`; received lora_rank=1",
            ),
            (
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "depth_multiplier": 1}),
                "depth_multiplier",
                "Conv2D takes no argument `depth_multiplier`; received depth_multiplier=1",
            ),
            (
                "ReLU",
                json!({"activity_regularizer": "l2"}),
                "activity_regularizer",
                "ReLU takes no argument `activity_regularizer`; received activity_regularizer=\"l2\"",
            ),
            (
                "Conv2D",
                json!({"filters": -2, "kernel_size": 1}),
                "filters",
                "`filters` must hold strictly positive values; received filters=-2",
            ),
            (
                "Conv2D",
                json!({"filters": 5e9, "kernel_size": 1}),
                "filters",
                "`filters` must hold values that fit 32 bits; received filters=5000000000.0",
            ),
            (
                "Conv2D",
                json!({"filters": true, "kernel_size": 1}),
                "filters",
                "`filters` must be an integer; received filters=true",
            ),
            (
                "Conv2D",
                json!({"filters": null, "kernel_size": 1}),
                "filters",
                "`filters` must be an integer; received filters=null",
            ),
            (
                "Conv2D",
                json!({"filters": 3.7, "kernel_size": 1}),
                "filters",
                "`filters` must be an integer; received filters=3.7",
            ),
            (
                "Conv2D",
                json!({"filters": 4, "kernel_size": [2, 2, 2]}),
                "kernel_size",
                "`kernel_size` must be one integer, or two: (height, width); received kernel_size=[2,2,2]",
            ),
            (
                "Conv2D",
                json!({"filters": 4, "kernel_size": [2, true]}),
                "kernel_size",
                "`kernel_size` must be one integer, or two: (height, width); received kernel_size=[2,true]",
            ),
            (
                "Conv2D",
                json!({"filters": 4, "kernel_size": [1, 0]}),
                "kernel_size",
                "`kernel_size` must hold strictly positive values; received kernel_size=[1,0]",
            ),
            (
                "Conv2D",
                json!({"filters": 4, "kernel_size": 2, "strides": null}),
                "strides",
                "`strides` must be one integer, or two: (height, width); received strides=null",
            ),
            (
                "Conv2D",
                json!({"filters": 4, "kernel_size": 2, "padding": ["same"]}),
                "padding",
                "`padding` must be a string; received padding=[\"same\"]",
            ),
            (
                "Conv2D",
                json!({"filters": 4, "kernel_size": 2, "padding": "causal"}),
                "padding",
                "`padding` must be \"valid\" or \"same\"; received padding=causal",
            ),
            (
                "Conv2D",
                json!({"filters": 4, "kernel_size": 2, "trainable": 1}),
                "trainable",
                "`trainable` must be true or false; received trainable=1",
            ),
            (
                "Conv2D",
                json!({"filters": 4, "kernel_size": 2, "name": "a/b"}),
                "name",
                "`name` must be a non-empty string without `/`; received name=\"a/b\"",
            ),
            (
                "Conv2D",
                json!({"filters": 5, "kernel_size": 2, "groups": 2}),
                "groups",
                "the number of filters must be evenly divisible by the number of groups; received groups=2, filters=5",
            ),
            (
                "Conv2D",
                json!({"filters": 4, "kernel_size": 2, "strides": [1, 2], "dilation_rate": [2, 1]}),
                "strides",
                "`strides > 1` is not supported in conjunction with `dilation_rate > 1`; \
                 received strides=[1, 2], dilation_rate=[2, 1]",
            ),
            (
                "Conv2D",
                json!({"filters": 4, "kernel_size": 2, "kernel_regularizer": 0.1}),
                "kernel_regularizer",
                "`kernel_regularizer` must be a name or an object with `class_name` and `config`; \
                 received kernel_regularizer=0.1",
            ),
            (
                "Conv2D",
                json!({"filters": 4, "kernel_size": 2,
                "kernel_regularizer": {"class_name": "L2", "config": {"l3": 1}}}),
                "l3",
                "L2 takes no argument `l3`; received l3=1",
            ),
            (
                "Conv2D",
                json!({"filters": 4, "kernel_size": 2,
                "kernel_initializer": {"class_name": "HeNormal", "config": {"seed": 1.0}}}),
                "seed",
                "`seed` must be an integer that is not negative, a SeedGenerator or null; received seed=1.0",
            ),
            (
                "Conv2D",
                json!({"filters": 4, "kernel_size": 2,
                "kernel_initializer": {"class_name": "VarianceScaling", "config": {"mode": "fan_max"}}}),
                "mode",
                "`mode` must be one of fan_in, fan_out, fan_avg; received mode=\"fan_max\"",
            ),
            (
                "Conv2D",
                json!({"filters": 4, "kernel_size": 2,
                "activation": {"class_name": "LeakyReLU", "config": {"negative_slope": -1}}}),
                "activation",
                "the parameters of Keras's layer LeakyReLU must not be negative; \
                 received LeakyRelu { negative_slope: -1.0 }",
            ),
            (
                "Conv2D",
                json!({"filters": 4, "kernel_size": 2, "kernel_constraint": foreign}),
                "",
                "the custom object Mine as `kernel_constraint`, Mine of module mine.layers, is not supported: \
                 code from files is never run; construct it by the builder methods",
            ),
            (
                "Activation",
                json!({"activation": lambda}),
                "",
                "the custom object __lambda__ as `activation`, a function of Python code, is not supported: \
                 code from files is never run; construct it by the builder methods",
            ),
            (
                "Dense",
                json!({"units": 1, "kernel_regularizer": custom}),
                "",
                "the custom object L2 as `kernel_regularizer`, mine>L2, a class of the program that saved the file, is not supported: \
                 code from files is never run; construct it by the builder methods",
            ),
            (
                "BatchNormalization",
                json!({"renorm": true}),
                "",
                "renorm=true of BatchNormalization is not supported: batch renormalization keeps three more weights, which \
                 are not read; at inference it does what a BatchNormalization without it does: give one of those its gamma, \
                 beta, moving_mean and moving_variance",
            ),
            ("Dropout", json!({"rate": 1.5}), "rate", "`rate` must lie between 0 and 1; received rate=1.5"),
            (
                "ReLU",
                json!({"max_value": -1.0}),
                "max_value",
                "`max_value` of a ReLU layer must be finite and not negative; received max_value=-1",
            ),
            ("Dense", json!({"units": 0}), "units", "`units` must hold strictly positive values; received units=0"),
        ] {
            let error = LayerConfig::from_config(class, &config).unwrap_err();
            assert_eq!(error.to_string(), message);
            if let Error::Invalid { argument: found, .. } = error {
                assert_eq!(found, argument);
            } else {
                assert_eq!(argument, "", "{message}");
            }
        }
        let error = LayerConfig::from_config("Hashing", &json!({})).unwrap_err().to_string();
        assert!(error.starts_with("the layer class Hashing is not supported"), "{error}");
    }

    /// Everything wrong at once, and put right in the order in which it is reported: Keras's (K1).
    #[test]
    fn the_first_fault_in_keras_order_is_reported() {
        let wrong = json!("wrong");
        let mut config = json!({
            "groups": 3, "filters": 0, "bias_constraint": wrong, "activity_regularizer": wrong,
            "kernel_regularizer": wrong, "bias_initializer": wrong,
            "kernel_initializer": {"class_name": "HeNormal", "config": {"scale": 1}}, "activation": wrong,
            "data_format": wrong, "padding": wrong, "dilation_rate": 0, "strides": 2.5, "kernel_size": [0, 1]
        });
        for (argument, key, right) in [
            ("kernel_size", "kernel_size", json!(3)),
            ("strides", "strides", json!(0)),
            ("strides", "strides", json!(2)),
            ("dilation_rate", "dilation_rate", json!(2)),
            ("padding", "padding", json!("same")),
            ("data_format", "data_format", Value::Null),
            ("activation", "activation", Value::Null),
            ("scale", "kernel_initializer", Value::Null),
            ("initializer", "bias_initializer", Value::Null),
            ("regularizer", "kernel_regularizer", Value::Null),
            ("regularizer", "activity_regularizer", Value::Null),
            ("constraint", "bias_constraint", Value::Null),
            ("filters", "filters", json!(8)),
            ("groups", "groups", json!(2)),
            ("strides", "strides", json!(1)),
        ] {
            match LayerConfig::from_config("Conv2D", &config) {
                Err(Error::Invalid { argument: found, .. }) => assert_eq!(found, argument),
                other => panic!("{argument}: {other:?}"),
            }
            config[key] = right;
        }
        LayerConfig::from_config("Conv2D", &config).unwrap();
    }

    #[test]
    fn objects_round_trip() {
        fn check<T: Object + PartialEq + std::fmt::Debug>(classes: &[&str]) {
            for class in classes {
                let read = T::of_class(class).unwrap();
                let json = read.write().unwrap();
                assert_eq!(json["class_name"], *class);
                assert_eq!(T::read("key", &json).unwrap(), read);
            }
        }
        check::<Initializer>(&["Zeros", "Ones", "Constant", "RandomNormal", "TruncatedNormal", "RandomUniform"]);
        check::<Initializer>(&[
            "GlorotUniform",
            "GlorotNormal",
            "HeUniform",
            "HeNormal",
            "LecunUniform",
            "LecunNormal",
        ]);
        check::<Initializer>(&["VarianceScaling", "Orthogonal", "Identity"]);
        check::<Regularizer>(&["L1", "L2", "L1L2", "OrthogonalRegularizer"]);
        check::<Constraint>(&["NonNeg", "UnitNorm", "MaxNorm", "MinMaxNorm"]);
    }

    #[test]
    fn activations_with_parameters() {
        for activation in [
            Activation::Relu { negative_slope: 0.1, max_value: None, threshold: 0.5 },
            Activation::LeakyRelu { negative_slope: 0.01 },
            Activation::Elu { alpha: 0.5 },
            Activation::Softmax { axis: 1 },
            Activation::HardShrink { threshold: 0.5 },
        ] {
            let layer = LayerConfig::from(ActivationLayer::new(activation));
            assert_eq!(LayerConfig::from_config("Activation", &layer.get_config().unwrap()).unwrap(), layer);
        }
        for activation in [
            Activation::Relu { negative_slope: -0.1, max_value: None, threshold: 0.0 },
            Activation::Celu { alpha: 2.0 },
            Activation::Gelu { approximate: true },
            Activation::Threshold { threshold: 0.0, default_value: 1.0 },
            Activation::Glu { axis: 1 },
        ] {
            assert!(LayerConfig::from(ActivationLayer::new(activation)).get_config().is_err(), "{activation:?}");
        }
    }

    #[test]
    fn what_keras_has_no_config_for() {
        let array = Initializer::array([1], vec![0.0]).unwrap();
        let custom = Initializer::custom(|_, _| Ok(vec![]));
        for initializer in [array, custom] {
            let conv = LayerConfig::from(Conv2D::new(1, 1).bias_initializer(initializer));
            assert!(matches!(conv.get_config(), Err(Error::Unsupported { .. })));
        }
        let emulated = LayerConfig::from(ReLU::new().dtype(DTypePolicy::EmulatedFloat16));
        assert_eq!(emulated.get_config().unwrap()["dtype"], policy("float16"));
    }
}
