//! Operators in the graph of a model: nodes that were called with tensors, numbers and arrays, and are no layers. Keras 3 writes
//! them by the classes of `keras.ops`, Keras 2 as `TFOpLambda` and `SlicingOpLambda` with TensorFlow's name of the function.
//! Their names are those of layers at times; their meaning is NumPy's.
//!
//! Either form becomes a [`OperatorCall`]: a function by Keras 3's name and its arguments by theirs. What it comes to is a list of this
//! crate's layers, mostly one; several stand in the model as a model of their own.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::graph::{Body, Graph, Member, ReadOutput, Source, at, history};
use crate::layers::{
    ActivationLayer, AveragePooling2D, BinaryFunction, Broadcast, Concatenate, Einsum, Expand, Extent, Identity, Index,
    LayerConfig, Map, MatMul, MaxPooling2D, Pad, PadMode, PerAxis, Reduce, ReduceFunction, ResizeMethod, Resizing,
    Subscript, Take, Transpose, View, WithMask, snake_case,
};
use crate::{Activation, DTypePolicy, DataFormat, HostTensor, Padding, Settings, Unary};

/// What a call is given in one place.
#[derive(Clone, Debug)]
enum Argument {
    /// The tensor of this number among those that the call reads.
    Tensor(usize),
    /// Several, among which is a tensor.
    List(Vec<Argument>),
    /// Numbers.
    Array(HostTensor),
    /// Anything else: a number, a text, a list of them.
    Literal(Json),
}

/// One application of an operator.
pub(super) struct OperatorCall {
    /// Keras 3's name in snake case.
    function: String,
    /// What to call it in messages.
    shown: String,
    /// Arguments by their places.
    operands: Vec<Argument>,
    /// Arguments by their names.
    named: HashMap<String, Argument>,
    /// What it reads.
    pub(super) reads: Vec<ReadOutput>,
    /// The shapes of those, where the file says them.
    shapes: Vec<Option<Vec<Option<usize>>>>,
    /// Keras's names of their types, empty where the file does not say them.
    types: Vec<String>,
    /// Whether an array of floats is among what it is given.
    floats: bool,
}

/// Whether `class` is one of those by which Keras 2 holds TensorFlow's functions.
pub(super) fn is_of_keras_2(class: &str) -> bool {
    ["TFOpLambda", "SlicingOpLambda"].contains(&class)
}

/// What the operator `node` of a class reads, in order.
///
/// # Errors
/// Why it cannot be called, in words.
pub(super) fn call(node: &Json, class: &str) -> Result<OperatorCall, String> {
    let [inbound] = at(node, "/inbound_nodes").as_array().map_or(&[][..], Vec::as_slice) else {
        return Err("an operator must be called once".into());
    };
    let mut call = OperatorCall {
        function: snake_case(class),
        shown: format!("keras.ops.{}", snake_case(class)),
        operands: Vec::new(),
        named: HashMap::new(),
        reads: Vec::new(),
        shapes: Vec::new(),
        types: Vec::new(),
        floats: false,
    };
    if is_of_keras_2(class) || inbound.is_array() {
        call.of_keras_2(node, inbound);
        return Ok(call);
    }
    for (key, value) in at(node, "/config").as_object().into_iter().flatten() {
        if !matches!(key.as_str(), "name" | "trainable" | "dtype") || key == "dtype" && class.ends_with("Cast") {
            call.named.insert(key.clone(), Argument::Literal(value.clone()));
        }
    }
    for argument in at(inbound, "/args").as_array().into_iter().flatten() {
        let argument = call.argument(argument);
        call.operands.push(argument);
    }
    for (key, value) in at(inbound, "/kwargs").as_object().into_iter().flatten() {
        let argument = call.argument(value);
        call.named.insert(key.clone(), argument);
    }
    Ok(call)
}

/// TensorFlow's functions: their names, Keras 3's, and the names of the arguments behind the first that Keras 3 takes by place.
#[rustfmt::skip]
const OF_TENSORFLOW: &[(&str, &str, &[&str])] = &[
    ("__operators__.add", "add", &["y"]), ("__operators__.getitem", "get_item", &["slice_spec"]),
    ("math.add", "add", &["y"]), ("math.subtract", "subtract", &["y"]), ("math.multiply", "multiply", &["y"]),
    ("math.truediv", "divide", &["y"]), ("math.divide", "divide", &["y"]), ("math.divide_no_nan", "divide_no_nan", &["y"]),
    ("RealDiv", "divide", &["y"]), ("math.pow", "power", &["y"]), ("math.maximum", "maximum", &["y"]), ("math.minimum", "minimum", &["y"]),
    ("math.floordiv", "floor_divide", &["y"]), ("math.floormod", "mod", &["y"]), ("math.mod", "mod", &["y"]),
    ("math.squared_difference", "squared_difference", &["y"]), ("math.atan2", "arctan2", &["x"]),
    ("math.greater", "greater", &["y"]), ("math.greater_equal", "greater_equal", &["y"]), ("math.less", "less", &["y"]),
    ("math.less_equal", "less_equal", &["y"]), ("math.equal", "equal", &["y"]), ("math.not_equal", "not_equal", &["y"]),
    ("__operators__.eq", "equal", &["other"]), ("__operators__.ne", "not_equal", &["other"]),
    ("math.logical_and", "logical_and", &["y"]), ("math.logical_or", "logical_or", &["y"]),
    ("math.logical_xor", "logical_xor", &["y"]), ("math.logical_not", "logical_not", &[]),
    ("math.negative", "negative", &[]), ("math.abs", "absolute", &[]), ("math.sqrt", "sqrt", &[]), ("math.rsqrt", "rsqrt", &[]),
    ("math.square", "square", &[]), ("math.exp", "exp", &[]), ("math.expm1", "expm1", &[]), ("math.log", "log", &[]),
    ("math.log1p", "log1p", &[]), ("math.sigmoid", "sigmoid", &[]), ("math.log_sigmoid", "log_sigmoid", &[]),
    ("math.tanh", "tanh", &[]), ("math.sin", "sin", &[]), ("math.cos", "cos", &[]), ("math.tan", "tan", &[]),
    ("math.asin", "arcsin", &[]), ("math.acos", "arccos", &[]), ("math.atan", "arctan", &[]), ("math.sinh", "sinh", &[]),
    ("math.cosh", "cosh", &[]), ("math.asinh", "arcsinh", &[]), ("math.acosh", "arccosh", &[]), ("math.atanh", "arctanh", &[]), ("math.floor", "floor", &[]), ("math.ceil", "ceil", &[]), ("math.round", "round", &[]),
    ("math.sign", "sign", &[]), ("math.reciprocal", "reciprocal", &[]), ("math.erf", "erf", &[]), ("math.softplus", "softplus", &[]),
    ("nn.relu", "relu", &[]), ("nn.relu6", "relu6", &[]), ("nn.silu", "silu", &[]), ("nn.swish", "silu", &[]), ("nn.gelu", "gelu", &[]),
    ("nn.elu", "elu", &[]), ("nn.selu", "selu", &[]), ("nn.leaky_relu", "leaky_relu", &[]), ("nn.softplus", "softplus", &[]),
    ("nn.softsign", "softsign", &[]), ("nn.softmax", "softmax", &[]), ("nn.log_softmax", "log_softmax", &[]),
    ("nn.sigmoid", "sigmoid", &[]), ("nn.tanh", "tanh", &[]), ("nn.bias_add", "add", &["bias"]),
    ("clip_by_value", "clip", &[]), ("stop_gradient", "stop_gradient", &[]), ("identity", "identity", &[]), ("cast", "cast", &[]),
    ("convert_to_tensor", "identity", &[]), ("compat.v1.convert_to_tensor", "identity", &[]), ("reshape", "reshape", &[]),
    ("compat.v1.transpose", "transpose", &[]), ("transpose", "transpose", &[]), ("concat", "concatenate", &[]), ("stack", "stack", &[]),
    ("unstack", "unstack", &[]), ("split", "split", &[]), ("compat.v1.squeeze", "squeeze", &[]), ("squeeze", "squeeze", &[]),
    ("expand_dims", "expand_dims", &[]), ("compat.v1.pad", "pad", &[]), ("pad", "pad", &[]), ("tile", "tile", &[]), ("reverse", "flip", &[]),
    ("compat.v1.gather", "take", &["indices"]), ("gather", "take", &["indices"]), ("where", "where", &["x", "y"]),
    ("linalg.matmul", "matmul", &["b"]), ("einsum", "einsum", &[]), ("math.reduce_mean", "mean", &[]), ("math.reduce_sum", "sum", &[]),
    ("math.reduce_max", "max", &[]), ("math.reduce_min", "min", &[]), ("math.reduce_logsumexp", "logsumexp", &[]),
    ("math.reduce_variance", "var", &[]), ("math.reduce_std", "std", &[]), ("math.l2_normalize", "l2_normalize", &[]),
    ("math.argmax", "argmax", &[]), ("one_hot", "one_hot", &[]), ("image.resize", "resize", &[]),
    ("image.resize_v2", "resize", &[]), ("nn.depth_to_space", "depth_to_space", &[]), ("nn.space_to_depth", "space_to_depth", &[]),
    ("math.add_n", "add_n", &[]), ("zeros_like", "zeros_like", &[]), ("ones_like", "ones_like", &[]),
    ("compat.v1.zeros_like", "zeros_like", &[]), ("compat.v1.ones_like", "ones_like", &[]), ("math.argmin", "argmin", &[]),
    ("image.flip_left_right", "fliplr_images", &[]), ("image.rgb_to_grayscale", "rgb_to_grayscale", &[]),
    ("broadcast_to", "broadcast_to", &[]), ("math.cumsum", "cumsum", &[]), ("image.flip_up_down", "flipud_images", &[]),
];

/// TensorFlow's names of arguments, and Keras 3's.
const RENAMED: [(&str, &str); 17] = [
    ("shape", "newshape"),
    ("perm", "axes"),
    ("paddings", "pad_width"),
    ("multiples", "repeats"),
    ("num_or_size_splits", "indices_or_sections"),
    ("clip_value_min", "x_min"),
    ("clip_value_max", "x_max"),
    ("alpha", "negative_slope"),
    ("depth", "num_classes"),
    ("method", "interpolation"),
    ("preserve_aspect_ratio", "pad_aspect"),
    ("dims", "newshape"),
    ("reduction_indices", "axis"),
    ("keep_dims", "keepdims"),
    ("squeeze_dims", "axis"),
    ("dim", "axis"),
    ("input_tensor", "x"),
];

impl OperatorCall {
    fn argument(&mut self, json: &Json) -> Argument {
        match at(json, "/class_name").as_str() {
            Some("__keras_tensor__") => {
                if let Some(read) = history(at(json, "/config/keras_history")) {
                    let shape = at(json, "/config/shape").as_array();
                    self.shapes
                        .push(shape.map(|dims| dims.iter().map(|dim| dim.as_u64().map(|dim| dim as usize)).collect()));
                    self.types.push(at(json, "/config/dtype").as_str().unwrap_or_default().to_owned());
                    return self.tensor(read);
                }
            }
            // A list of booleans is known for one.
            Some("__numpy__" | "__tensor__") if is_boolean(json) => {
                return Argument::Literal(at(json, "/config/value").clone());
            }
            Some("__numpy__" | "__tensor__") => {
                if let Some(array) = array(at(json, "/config/value")) {
                    self.floats |= range(at(json, "/config/dtype").as_str().unwrap_or_default()).is_none();
                    return Argument::Array(array);
                }
            }
            Some("__tuple__") => return self.argument(at(json, "/config/value")),
            _ => {}
        }
        match json {
            Json::Array(list) => {
                let arguments: Vec<_> = list.iter().map(|json| self.argument(json)).collect();
                let literal = arguments.iter().all(|argument| matches!(argument, Argument::Literal(_)));
                if literal { Argument::Literal(json.clone()) } else { Argument::List(arguments) }
            }
            literal => Argument::Literal(literal.clone()),
        }
    }

    fn tensor(&mut self, read: ReadOutput) -> Argument {
        self.reads.push(read);
        Argument::Tensor(self.reads.len() - 1)
    }

    /// The call of a function of TensorFlow: its first argument is a list of what is read, each with all the others by name.
    fn of_keras_2(&mut self, node: &Json, inbound: &Json) {
        let function = at(node, "/config/function").as_str().unwrap_or_default();
        let known = OF_TENSORFLOW.iter().find(|(name, ..)| *name == function);
        self.shown = format!("tf.{function}");
        self.function = known.map_or_else(|| function.to_owned(), |(_, name, _)| (*name).to_owned());
        let entries: Vec<&Json> = match inbound.as_array().map(Vec::as_slice) {
            // A constant alone, in place of what is read, is no list of lists.
            Some([Json::String(_), ..]) => vec![inbound],
            Some(list) => list.iter().collect(),
            None => Vec::new(),
        };
        let keywords = entries.first().map_or(&Json::Null, |first| at(first, "/3"));
        let mut first = Vec::new();
        for entry in &entries {
            let argument = match (at(entry, "/0").as_str(), history(entry)) {
                (Some("_CONSTANT_VALUE"), _) => self.literal(at(entry, "/2")),
                (_, Some(read)) => self.unshaped(read),
                _ => Argument::Literal((*entry).clone()),
            };
            first.push(argument);
        }
        let lists = ["concatenate", "stack", "add_n"].contains(&self.function.as_str());
        match <[Argument; 1]>::try_from(first) {
            Ok([only]) if !lists => self.operands.push(only),
            Ok([only]) => self.operands.push(Argument::List(vec![only])),
            Err(several) => self.operands.push(Argument::List(several)),
        }
        let by_place: &[&str] = known.map_or(&[], |(_, _, by_place)| by_place);
        for name in by_place {
            let argument = self.keyword(at(keywords, &format!("/{name}")), *name == "slice_spec");
            self.operands.push(argument);
        }
        for (key, value) in keywords.as_object().into_iter().flatten() {
            if !by_place.contains(&key.as_str()) && key != "name" {
                let argument = self.keyword(value, false);
                let name = RENAMED.iter().find(|(theirs, _)| theirs == key).map_or(key.as_str(), |(_, ours)| ours);
                self.named.insert(name.to_owned(), argument);
            }
        }
    }

    fn unshaped(&mut self, read: ReadOutput) -> Argument {
        self.shapes.push(None);
        self.types.push(String::new());
        self.tensor(read)
    }

    /// A keyword of Keras 2: tensors stand there as `[layer, application, output]`.
    fn keyword(&mut self, json: &Json, subscripts: bool) -> Argument {
        match (history(json), json) {
            (Some(read), _) => self.unshaped(read),
            (None, Json::Array(list)) if list.iter().any(|json| history(json).is_some()) => {
                Argument::List(list.iter().map(|json| self.keyword(json, false)).collect())
            }
            _ if subscripts => Argument::Literal(json.clone()),
            _ => self.literal(json),
        }
    }

    /// Lists of numbers of one axis may be extents or axes, and stay as they are.
    #[expect(clippy::unused_self, reason = "as the others that make arguments")]
    fn literal(&self, json: &Json) -> Argument {
        let nested = json.as_array().is_some_and(|list| list.iter().any(Json::is_array));
        match array(json).filter(|_| nested) {
            Some(array) if array.shape.rank() > 2 || array.shape.dims().get(1) != Some(&2) => Argument::Array(array),
            _ => Argument::Literal(json.clone()),
        }
    }
}

/// The least and the largest number of a type of whole ones, as floats hold them.
fn range(dtype: &str) -> Option<[f32; 2]> {
    let (bits, signed) = match dtype {
        "int8" => (8, true),
        "int16" => (16, true),
        "int32" => (32, true),
        "int64" => (64, true),
        "uint8" => (8, false),
        "uint16" => (16, false),
        "uint32" => (32, false),
        _ => return None,
    };
    let half = 2f32.powi(bits - 1);
    Some(if signed { [-half, half - 1.0] } else { [0.0, 2.0 * half - 1.0] })
}

/// Whether an argument of a call is a tensor or an array of booleans.
fn is_boolean(argument: &Json) -> bool {
    at(argument, "/config/dtype") == "bool"
}

/// Why a layer of `class` is not computed as Keras does for the types of what it is called with; `None` where they do not matter.
pub(super) fn unfit_types(class: &str, layer: &Json) -> Option<&'static str> {
    let range_of = |argument: &Json| at(argument, "/config/dtype").as_str().and_then(range);
    let is_narrow = |argument: &Json| range_of(argument).is_some_and(|[_, most]| most < 65536.0);
    let any = |holds: &dyn Fn(&Json) -> bool| {
        let first = |inbound| match at(inbound, "/args/0") {
            Json::Null => at(inbound, "/kwargs/inputs"),
            given => given,
        };
        at(layer, "/inbound_nodes").as_array().is_some_and(|calls| calls.iter().any(|inbound| holds(first(inbound))))
    };
    let any_list = |holds: &dyn Fn(&[Json]) -> bool| any(&|first| first.as_array().is_some_and(|list| holds(list)));
    match class {
        "Add" | "Average" if any_list(&|list| list.len() > 1 && list[..2].iter().all(is_boolean)) => Some(
            "it is called with booleans, whose sum is a boolean in Keras, which is not supported: add them by \
             keras.ops.add, or make them numbers by keras.ops.cast first",
        ),
        "Add" | "Average" | "Multiply" | "Subtract"
            if any_list(&|list| !list.is_empty() && list.iter().all(is_narrow)) =>
        {
            Some(
                "it is called with whole numbers of 8 or 16 bits, which wrap around in Keras: merge them by keras.ops, \
                 where they do here too, or make them float32 by keras.ops.cast first",
            )
        }
        "LayerNormalization" | "Resizing" | "UpSampling2D"
            if at(layer, "/config/interpolation") != "nearest" && any(&|first| range_of(first).is_some()) =>
        {
            Some(
                "it is called with whole numbers, and Keras cuts what it makes of them off to whole ones, which is not \
                 supported: make them float32 by keras.ops.cast first",
            )
        }
        _ => None,
    }
}

/// An array of nested lists of numbers.
fn array(json: &Json) -> Option<HostTensor> {
    fn fill(json: &Json, depth: usize, shape: &mut Vec<usize>, values: &mut Vec<f32>) -> Option<()> {
        match json {
            Json::Array(list) => {
                match shape.get(depth) {
                    None => shape.push(list.len()),
                    Some(extent) if *extent != list.len() => return None,
                    Some(_) => {}
                }
                list.iter().try_for_each(|json| fill(json, depth + 1, shape, values))
            }
            Json::Bool(truth) => (depth == shape.len()).then(|| values.push(f32::from(u8::from(*truth)))),
            number => {
                let number = number.as_f64()?;
                (depth == shape.len()).then(|| values.push(number as f32))
            }
        }
    }
    let (mut shape, mut values) = (Vec::new(), Vec::new());
    fill(json, 0, &mut shape, &mut values)?;
    HostTensor::new(shape, values).ok()
}

/// What the operator comes to in a model: a layer, or several as a model of their own; `first` is the number of the first layer
/// in the file. What an operator makes carries no mask, also where there are `masks`.
///
/// # Errors
/// Why there is nothing, in words.
pub(super) fn body(call: &OperatorCall, name: &str, first: usize, masks: bool) -> Result<Body, String> {
    let mut write = OperatorWriter { calls: Vec::new(), dtype: call.dtype() };
    let outputs = write.operator(call).map_err(|why| format!("the operator {} {why}", call.shown))?;
    let sources: Vec<Source> = (0..call.reads.len()).map(Source::Input).collect();
    // A layer makes what comes in something that a layer made.
    if write.calls.is_empty() || outputs.iter().any(|output| matches!(output, Source::Input(_))) {
        let passed: Vec<Source> = outputs
            .iter()
            .map(|&output| match masks {
                true => write.layer(WithMask::new(), &[output]),
                false => write.layer(Identity::new(), &[output]),
            })
            .collect();
        return Ok(write.body(passed, call, name, first));
    }
    let carries = |source: &Source| match source {
        Source::Call { call, .. } => {
            matches!(write.calls[*call].0, LayerConfig::Activation(_) | LayerConfig::Concatenate(_))
        }
        Source::Input(_) => false,
    };
    if masks && outputs.iter().any(carries) {
        let bare: Vec<Source> = outputs.iter().map(|&output| write.layer(WithMask::new(), &[output])).collect();
        return Ok(write.body(bare, call, name, first));
    }
    if let ([(layer, reads)], [_]) = (&write.calls[..], &outputs[..])
        && *reads == sources
    {
        return Ok(Body::Layer(Box::new(layer.clone().named(name)), first));
    }
    Ok(write.body(outputs, call, name, first))
}

/// The layers that an operator becomes, so far.
struct OperatorWriter {
    calls: Vec<(LayerConfig, Vec<Source>)>,
    dtype: Option<DTypePolicy>,
}

/// What an operator has made, or why it cannot be computed, in words.
type MadeSources = Result<Vec<Source>, String>;

/// One side of a function of two.
enum BinarySide {
    Tensor(Source),
    Constant(HostTensor),
}

impl OperatorWriter {
    fn layer(&mut self, layer: impl Into<LayerConfig>, reads: &[Source]) -> Source {
        self.calls.push((layer.into(), reads.to_vec()));
        Source::Call { call: self.calls.len() - 1, output: 0 }
    }

    fn body(self, outputs: Vec<Source>, call: &OperatorCall, name: &str, first: usize) -> Body {
        let inputs = (0..call.reads.len()).map(|input| (format!("input_{input}"), None)).collect();
        let mut graph =
            Graph { name: name.to_owned(), inputs, outputs, notes: serde_json::json!({}), ..Graph::default() };
        for (number, (layer, reads)) in self.calls.into_iter().enumerate() {
            let part = format!("{}_{number}", snake_case(layer.class_name()));
            let body = Body::Layer(Box::new(layer.named(&part)), first + number);
            graph.members.push(Member { name: part.clone(), body, group: part, counted: false, counted_in_2: false });
            graph.calls.push(super::graph::Call { member: number, inputs: reads });
        }
        Body::Model(graph)
    }

    fn map(&mut self, function: Unary, input: Source) -> Source {
        let layer = Map::new(function);
        let layer = if let Some(dtype) = self.dtype { layer.dtype(dtype) } else { layer };
        self.layer(layer, &[input])
    }

    fn activation(&mut self, activation: Activation, input: Source) -> Source {
        let layer = ActivationLayer::new(activation);
        let layer = if let Some(dtype) = self.dtype { layer.dtype(dtype) } else { layer };
        self.layer(layer, &[input])
    }

    fn two(&mut self, function: BinaryFunction, left: &BinarySide, right: &BinarySide) -> Result<Source, String> {
        let layer = Broadcast::new(function);
        let layer = if let Some(dtype) = self.dtype { layer.dtype(dtype) } else { layer };
        Ok(match (left, right) {
            (BinarySide::Tensor(left), BinarySide::Tensor(right)) => self.layer(layer, &[*left, *right]),
            (BinarySide::Tensor(left), BinarySide::Constant(right)) => {
                match one(right).and_then(|number| with_number(function, number)) {
                    Some(function) => self.map(function, *left),
                    None => self.layer(layer.values_right(right.clone()), &[*left]),
                }
            }
            (BinarySide::Constant(left), BinarySide::Tensor(right)) => {
                match one(left).and_then(|number| of_number(function, number)) {
                    Some(function) => self.map(function, *right),
                    None => self.layer(layer.values_left(left.clone()), &[*right]),
                }
            }
            (BinarySide::Constant(_), BinarySide::Constant(_)) => {
                return Err("of numbers alone is not supported".into());
            }
        })
    }

    fn tensors(&mut self, function: BinaryFunction, left: Source, right: Source) -> Result<Source, String> {
        self.two(function, &BinarySide::Tensor(left), &BinarySide::Tensor(right))
    }

    fn number(&mut self, function: BinaryFunction, left: Source, right: f32) -> Result<Source, String> {
        self.two(function, &BinarySide::Tensor(left), &BinarySide::Constant(scalar(right)?))
    }

    fn reduce(&mut self, function: ReduceFunction, axes: Option<Vec<i32>>, keepdims: bool, input: Source) -> Source {
        let layer = Reduce::new(function).axes(axes.unwrap_or_default()).keepdims(keepdims);
        let layer = if let Some(dtype) = self.dtype { layer.dtype(dtype) } else { layer };
        self.layer(layer, &[input])
    }

    fn index(&mut self, subscripts: impl Into<Vec<Subscript>>, input: Source) -> Source {
        self.layer(Index::new(subscripts), &[input])
    }

    /// `x` at subscripts for one axis, which may count from the end.
    fn at_axis(&mut self, axis: i32, subscript: Subscript, input: Source) -> Source {
        self.index(on_axis(axis, subscript), input)
    }

    /// `number` wherever the input has a value, NaN as well.
    fn everywhere(&mut self, number: f32, input: Source) -> Source {
        let finite = self.map(Unary::IsNan, input);
        self.map(Unary::Clip { min: number, max: number }, finite)
    }

    /// Whole numbers `x` within the range of a type of 8 or 16 bits, at whose end they go on from its beginning. Wider types have
    /// more numbers than are exact here.
    fn wrapped(&mut self, dtype: &str, x: Source) -> Result<Source, String> {
        let Some([min, max]) = range(dtype).filter(|[_, max]| *max < 65536.0) else { return Ok(x) };
        let above = self.map(Unary::Affine { scale: 1.0, offset: -min }, x);
        let rest = self.number(BinaryFunction::Modulo, above, max - min + 1.0)?;
        Ok(self.map(Unary::Affine { scale: 1.0, offset: min }, rest))
    }

    /// The mean of the squares of what lies off the mean.
    fn variance(&mut self, axes: Option<Vec<i32>>, keepdims: bool, input: Source) -> Result<[Source; 2], String> {
        let mean = self.reduce(ReduceFunction::Mean, axes.clone(), true, input);
        let off = self.tensors(BinaryFunction::Subtract, input, mean)?;
        let square = self.map(Unary::Square, off);
        let variance = self.reduce(ReduceFunction::Mean, axes.clone(), keepdims, square);
        let mean = if keepdims { mean } else { self.reduce(ReduceFunction::Mean, axes, false, input) };
        Ok([mean, variance])
    }

    fn operator(&mut self, call: &OperatorCall) -> MadeSources {
        if let Some(function) = binary(&call.function) {
            let [left, right] = [call.side(0)?, call.side(1)?];
            call.only(2, &[])?;
            // A sum of booleans is a boolean.
            let function = match function {
                BinaryFunction::Add if call.is_boolean(0) && call.is_boolean(1) => BinaryFunction::LogicalOr,
                function => function,
            };
            let made = self.two(function, &left, &right)?;
            let grows = matches!(
                function,
                BinaryFunction::Add | BinaryFunction::Subtract | BinaryFunction::Multiply | BinaryFunction::Power
            );
            return Ok(vec![if grows { self.wrapped(call.whole_type(), made)? } else { made }]);
        }
        if let Some(function) = Unary::of_keras(&call.function) {
            let input = call.tensor_at(0)?;
            call.only(1, &[])?;
            let made = self.map(function, input);
            let grows = matches!(function, Unary::Neg | Unary::Square | Unary::Abs);
            return Ok(vec![if grows { self.wrapped(call.whole_type(), made)? } else { made }]);
        }
        if let "softmax" | "log_softmax" = call.function.as_str()
            && !call.shown.starts_with("tf.")
            && call.named.get("axis").is_some_and(Argument::is_null)
        {
            // Over everything at once, the batch too.
            let input = call.tensor_at(0)?;
            let all = self.reduce(ReduceFunction::LogSumExp, None, true, input);
            let log = self.tensors(BinaryFunction::Subtract, input, all)?;
            return Ok(vec![match call.function.as_str() {
                "softmax" => self.activation(Activation::Exponential, log),
                _ => log,
            }]);
        }
        if let Some(activation) = call.activation()? {
            let input = call.tensor_at(0)?;
            return Ok(vec![self.activation(activation, input)]);
        }
        if let Some(function) = reduction(&call.function) {
            let input = call.tensor_at(0)?;
            call.only(1, &["axis", "keepdims", "initial"])?;
            let keepdims = call.flag("keepdims", false)?;
            let reduced = self.reduce(function, call.axes("axis")?, keepdims, input);
            // One number more among those of which the largest or the smallest is taken.
            let more = match function {
                ReduceFunction::Max => BinaryFunction::Maximum,
                ReduceFunction::Min => BinaryFunction::Minimum,
                _ => return Ok(vec![reduced]),
            };
            return Ok(vec![match call.number("initial")? {
                Some(initial) => self.number(more, reduced, initial)?,
                None => reduced,
            }]);
        }
        self.composed(call)
    }

    /// Operators that are several layers, or layers with arguments of their own.
    #[expect(clippy::too_many_lines, reason = "one arm for each operator")]
    fn composed(&mut self, call: &OperatorCall) -> MadeSources {
        let input = |place| call.tensor_at(place);
        let one = |source| Ok(vec![source]);
        match call.function.as_str() {
            "identity" | "stop_gradient" | "copy" | "convert_to_tensor" | "array" | "real" | "conjugate" => {
                one(input(0)?)
            }
            "cast" | "saturate_cast" => {
                let x = input(0)?;
                let dtype = call.text("dtype")?.unwrap_or("float32");
                let from = call.common_type().unwrap_or_default();
                match (dtype, range(dtype)) {
                    ("float32" | "float64", _) => one(x),
                    ("bool", _) => one(self.number(BinaryFunction::NotEqual, x, 0.0)?),
                    (_, Some(_)) if from == "bool" || from == dtype => one(x),
                    // Whole numbers of another type wrap around, others stop at the ends, as XLA has it.
                    (_, Some(_)) if range(from).is_some() && call.function == "cast" => one(self.wrapped(dtype, x)?),
                    (_, Some([min, max])) => {
                        let x = self.map(Unary::Clip { min, max }, x);
                        let fraction = self.number(BinaryFunction::Remainder, x, 1.0)?;
                        one(self.tensors(BinaryFunction::Subtract, x, fraction)?)
                    }
                    (other, _) => {
                        Err(format!("to {other} is not supported: take it out, or load the model with that policy"))
                    }
                }
            }
            "squared_difference" => {
                let off = self.two(BinaryFunction::Subtract, &call.side(0)?, &call.side(1)?)?;
                one(self.map(Unary::Square, off))
            }
            "floor_divide" => {
                // What is left is taken off first: a quotient that is rounded may come to the next whole number.
                let (left, right) = (call.side(0)?, call.side(1)?);
                let rest = self.two(BinaryFunction::Modulo, &left, &right)?;
                // By 0 there is nothing left, and the quotient infinite.
                let rest = self.two(BinaryFunction::Where, &BinarySide::Tensor(rest), &right)?;
                let multiple = self.two(BinaryFunction::Subtract, &left, &BinarySide::Tensor(rest))?;
                let quotient = self.two(BinaryFunction::Divide, &BinarySide::Tensor(multiple), &right)?;
                one(self.map(Unary::Round, quotient))
            }
            "divide_no_nan" => {
                let (left, right) = (call.side(0)?, call.side(1)?);
                let quotient = self.two(BinaryFunction::Divide, &left, &right)?;
                one(self.two(BinaryFunction::Where, &BinarySide::Tensor(quotient), &right)?)
            }
            "logical_not" => one(self.number(BinaryFunction::Equal, input(0)?, 0.0)?),
            "isfinite" | "isinf" => {
                let size = self.map(Unary::Abs, input(0)?);
                let function = if call.function == "isinf" { BinaryFunction::Equal } else { BinaryFunction::Less };
                one(self.number(function, size, f32::INFINITY)?)
            }
            "rsqrt" => {
                let root = self.map(Unary::Sqrt, input(0)?);
                one(self.map(Unary::Reciprocal, root))
            }
            "log2" | "log10" => {
                let base = if call.function == "log2" { std::f32::consts::LN_2 } else { std::f32::consts::LN_10 };
                let log = self.map(Unary::Log, input(0)?);
                one(self.map(Unary::Affine { scale: base.recip(), offset: 0.0 }, log))
            }
            "exp2" => {
                let scaled = self.map(Unary::Affine { scale: std::f32::consts::LN_2, offset: 0.0 }, input(0)?);
                one(self.activation(Activation::Exponential, scaled))
            }
            "cbrt" => {
                let (sign, size) = (self.map(Unary::Sign, input(0)?), self.map(Unary::Abs, input(0)?));
                let root = self.map(Unary::Pow { exponent: 1.0 / 3.0 }, size);
                one(self.tensors(BinaryFunction::Multiply, sign, root)?)
            }
            "trunc" => {
                let (sign, size) = (self.map(Unary::Sign, input(0)?), self.map(Unary::Abs, input(0)?));
                let floor = self.map(Unary::Floor, size);
                one(self.tensors(BinaryFunction::Multiply, sign, floor)?)
            }
            "arctan" => one(self.number(BinaryFunction::Arctangent, input(0)?, 1.0)?),
            "arcsin" | "arccos" => {
                let x = input(0)?;
                // 1 − x² as a product, which keeps what is small where |x| is near 1.
                let less = self.map(Unary::Affine { scale: -1.0, offset: 1.0 }, x);
                let more = self.map(Unary::Affine { scale: 1.0, offset: 1.0 }, x);
                let rest = self.tensors(BinaryFunction::Multiply, less, more)?;
                let other = self.map(Unary::Sqrt, rest);
                let (y, x) = if call.function == "arcsin" { (x, other) } else { (other, x) };
                one(self.tensors(BinaryFunction::Arctangent, y, x)?)
            }
            "deg2rad" => one(self.map(Unary::Affine { scale: 1f32.to_radians(), offset: 0.0 }, input(0)?)),
            "rad2deg" => one(self.map(Unary::Affine { scale: 1f32.to_degrees(), offset: 0.0 }, input(0)?)),
            "round" if call.integer("decimals")?.unwrap_or(0) == 0 => one(self.map(Unary::Round, input(0)?)),
            "clip" => {
                let x = input(0)?;
                match (call.number("x_min")?, call.number("x_max")?) {
                    (Some(min), Some(max)) => one(self.map(Unary::Clip { min, max }, x)),
                    _ => Err("must be given numbers".into()),
                }
            }
            "where" => {
                let condition = call.side(0)?;
                let (left, right) = (call.side_or(1, "x1")?, call.side_or(2, "x2")?);
                if let (BinarySide::Constant(_), BinarySide::Constant(_)) = (&left, &right) {
                    // A number times a truth: the condition is 0 or 1 once more.
                    let BinarySide::Tensor(condition) = condition else {
                        return Err("of numbers alone is not supported".into());
                    };
                    let truth = self.number(BinaryFunction::NotEqual, condition, 0.0)?;
                    let left = self.two(BinaryFunction::Where, &left, &BinarySide::Tensor(truth))?;
                    let right = self.two(BinaryFunction::WhereNot, &right, &BinarySide::Tensor(truth))?;
                    return one(self.tensors(BinaryFunction::Add, left, right)?);
                }
                let left = self.two(BinaryFunction::Where, &left, &condition)?;
                let right = self.two(BinaryFunction::WhereNot, &right, &condition)?;
                one(self.tensors(BinaryFunction::Add, left, right)?)
            }
            "zeros_like" => one(self.everywhere(0.0, input(0)?)),
            "ones_like" => one(self.everywhere(1.0, input(0)?)),
            "full_like" => {
                let value = match call.side(1)? {
                    BinarySide::Constant(value) => self::one(&value),
                    BinarySide::Tensor(_) => None,
                };
                let value = value.ok_or("must be given a number")?;
                let whole =
                    range(call.common_type().unwrap_or_default()).is_some() && !call.named.contains_key("dtype");
                one(self.everywhere(if whole { value.trunc() } else { value }, input(0)?))
            }
            "add_n" => {
                let list = call.list(0)?;
                let (first, rest) = list.split_first().ok_or("must be given tensors")?;
                one(rest.iter().try_fold(*first, |sum, more| self.tensors(BinaryFunction::Add, sum, *more))?)
            }
            "get_item" => {
                let key = call.operands.get(1).or(call.named.get("key")).ok_or("must be given a key")?;
                let Argument::Literal(key) = key else {
                    return Err("by a tensor is not supported: use keras.ops.take".into());
                };
                one(self.index(subscripts(key)?, input(0)?))
            }
            "expand_dims" => {
                let x = input(0)?;
                let mut axes = call.axes("axis")?.ok_or("must be given an axis")?;
                // Several count along what comes out, also from the end of that.
                if axes.len() > 1 && axes.iter().any(|&axis| axis < 0) {
                    let rank = (call.shape_of(0)?.len() + axes.len()) as i32;
                    axes = axes.into_iter().map(|axis| if axis < 0 { axis + rank } else { axis }).collect();
                }
                axes.sort_unstable();
                one(axes.into_iter().fold(x, |x, axis| {
                    // A new axis at −1 stands behind all others.
                    let place = if axis < 0 { axis + 1 } else { axis };
                    let after = vec![Subscript::WHOLE; place.unsigned_abs() as usize];
                    let subscripts = match axis < 0 {
                        true => [vec![Subscript::Ellipsis, Subscript::New], after].concat(),
                        false => [after, vec![Subscript::New, Subscript::Ellipsis]].concat(),
                    };
                    self.index(subscripts, x)
                }))
            }
            "squeeze" => {
                let x = input(0)?;
                let axes = match call.axes("axis")? {
                    Some(axes) if !axes.is_empty() => axes,
                    _ => {
                        let dims = call.shape_of(0)?;
                        (0..dims.len()).filter(|&axis| dims[axis] == Some(1)).map(|axis| axis as i32).collect()
                    }
                };
                if axes.is_empty() {
                    return one(x);
                }
                let sorted = |axes: Vec<i32>| {
                    let mut axes = axes;
                    axes.sort_unstable();
                    axes.dedup();
                    axes
                };
                let axes = sorted(axes);
                if axes.iter().any(|&axis| axis < 0) && axes.iter().any(|&axis| axis >= 0) {
                    return Err("with axes counted from both ends is not supported".into());
                }
                // One subscript each, up to the last axis, or from the first.
                let first = axes.first().copied().unwrap_or(0);
                let last = axes.last().copied().unwrap_or(0);
                let of = |axis: i32| if axes.contains(&axis) { Subscript::Only } else { Subscript::WHOLE };
                let subscripts: Vec<Subscript> = if first < 0 {
                    [Subscript::Ellipsis].into_iter().chain((first..0).map(of)).collect()
                } else {
                    (0..=last).map(of).collect()
                };
                one(self.index(subscripts, x))
            }
            "flip" => {
                let x = input(0)?;
                let backwards = Subscript::Range { start: None, stop: None, step: -1 };
                let axes = match call.axes("axis")? {
                    Some(axes) => axes,
                    None => (0..call.shape_of(0)?.len() as i32).collect(),
                };
                one(axes.into_iter().fold(x, |x, axis| self.at_axis(axis, backwards, x)))
            }
            "fliplr" | "flipud" | "fliplr_images" | "flipud_images" => {
                let backwards = Subscript::Range { start: None, stop: None, step: -1 };
                let axis = match call.function.as_str() {
                    "flipud" => 0,
                    "fliplr" => 1,
                    "fliplr_images" => -2,
                    _ => -3,
                };
                one(self.at_axis(axis, backwards, input(0)?))
            }
            "split" | "array_split" | "unstack" => {
                let x = input(0)?;
                let axis = call.integer("axis")?.unwrap_or(0);
                let parts = call.operand_or(1, "indices_or_sections");
                if call.function == "unstack" {
                    let count = match (call.integer("num")?, call.extent_of(0, axis)) {
                        (Some(count), _) => count,
                        (None, Some(count)) => count as i32,
                        (None, None) => return Err("must be given `num`".into()),
                    };
                    return Ok((0..count).map(|at| self.at_axis(axis, Subscript::At(at), x)).collect());
                }
                match parts {
                    Some(Argument::Literal(Json::Number(count))) => {
                        let of =
                            count.as_u64().and_then(|of| u32::try_from(of).ok()).filter(|of| (1..=4096).contains(of));
                        let of = of.ok_or("must be given a number of parts")?;
                        Ok((0..of).map(|index| self.at_axis(axis, Subscript::Part { index, of }, x)).collect())
                    }
                    Some(argument) => {
                        let numbers = integers(argument).ok_or("must be given a number of parts, or where to cut")?;
                        // TensorFlow says how long the parts are, Keras where they begin.
                        let cuts: Vec<i32> = if call.shown.starts_with("tf.") {
                            let ends = numbers.iter().scan(0, |end, size| {
                                *end += size;
                                Some(*end)
                            });
                            ends.take(numbers.len().saturating_sub(1)).collect()
                        } else {
                            numbers
                        };
                        let starts = [None].into_iter().chain(cuts.iter().copied().map(Some));
                        let stops = cuts.iter().copied().map(Some).chain([None]);
                        let ranges: Vec<_> = starts.zip(stops).collect();
                        let range = |(start, stop)| Subscript::Range { start, stop, step: 1 };
                        Ok(ranges.into_iter().map(|part| self.at_axis(axis, range(part), x)).collect())
                    }
                    None => Err("must be given a number of parts".into()),
                }
            }
            "concatenate" => {
                let axis = call.integer("axis")?.unwrap_or(0);
                let list = call.list(0)?;
                one(self.layer(Concatenate::new().axis(axis), &list))
            }
            "hstack" | "vstack" | "append" => Err("is not supported: use keras.ops.concatenate".into()),
            "stack" => {
                let axis = call.integer("axis")?.unwrap_or(0);
                let place = if axis < 0 { axis + 1 } else { axis };
                let after = vec![Subscript::WHOLE; place.unsigned_abs() as usize];
                let subscripts = match axis < 0 {
                    true => [vec![Subscript::Ellipsis, Subscript::New], after].concat(),
                    false => [after, vec![Subscript::New, Subscript::Ellipsis]].concat(),
                };
                let list: Vec<Source> = call.list(0)?.into_iter().map(|x| self.index(subscripts.clone(), x)).collect();
                one(self.layer(Concatenate::new().axis(axis), &list))
            }
            "reshape" | "ravel" => {
                let x = input(0)?;
                let shape = match call.operand_or(1, "newshape") {
                    Some(argument) => integers(argument)
                        .ok_or("must be given numbers: extents that are computed are not supported, leave one as -1")?,
                    None if call.function == "ravel" => vec![-1],
                    None => return Err("must be given a shape".into()),
                };
                let extent = |extent: &i32| match usize::try_from(*extent) {
                    Ok(extent) => Extent::Of(extent),
                    Err(_) => Extent::Rest,
                };
                one(self.layer(View::new(shape.iter().map(extent).collect::<Vec<_>>()), &[x]))
            }
            "transpose" | "swapaxes" | "moveaxis" => {
                let x = input(0)?;
                let rank = || call.shape_of(0).map(<[_]>::len);
                let counted = |axis: i32, rank: usize| {
                    let place = if axis < 0 { axis + rank as i32 } else { axis };
                    usize::try_from(place).ok().filter(|&place| place < rank).ok_or("must be given axes of its input")
                };
                let order: Vec<usize> = match call.function.as_str() {
                    "transpose" => match call.operand_or(1, "axes").filter(|axes| !axes.is_null()) {
                        Some(axes) => {
                            let axes = integers(axes).ok_or("must be given axes")?;
                            axes.iter().map(|&axis| counted(axis, axes.len())).collect::<Result<_, _>>()?
                        }
                        None => (0..rank()?).rev().collect(),
                    },
                    "swapaxes" => {
                        let rank = rank()?;
                        let [one, other] = ["axis1", "axis2"].map(|name| call.integer(name));
                        let (one, other) = (one?.ok_or("must be given axes")?, other?.ok_or("must be given axes")?);
                        let mut order: Vec<usize> = (0..rank).collect();
                        order.swap(counted(one, rank)?, counted(other, rank)?);
                        order
                    }
                    _ => {
                        let rank = rank()?;
                        let list = |name: &str| call.axes(name)?.ok_or_else(|| "must be given axes".to_owned());
                        let from = list("source")?
                            .into_iter()
                            .map(|axis| counted(axis, rank))
                            .collect::<Result<Vec<_>, _>>()?;
                        let to = list("destination")?
                            .into_iter()
                            .map(|axis| counted(axis, rank))
                            .collect::<Result<Vec<_>, _>>()?;
                        let mut order: Vec<usize> = (0..rank).filter(|axis| !from.contains(axis)).collect();
                        let mut pairs: Vec<_> = to.into_iter().zip(from).collect();
                        pairs.sort_unstable();
                        for (to, from) in pairs {
                            order.insert(to.min(order.len()), from);
                        }
                        order
                    }
                };
                one(self.layer(Transpose::new(order.into_iter().map(|axis| axis as u32).collect::<Vec<_>>()), &[x]))
            }
            "pad" => {
                let x = input(0)?;
                let widths = call.operand_or(1, "pad_width").and_then(pairs).ok_or("must be given pairs of numbers")?;
                let pads = match (&widths[..], call.shapes.first()) {
                    ([pair], Some(Some(dims))) => vec![*pair; dims.len()],
                    _ => widths,
                };
                let mode = call.text("mode")?.unwrap_or("constant").to_lowercase();
                let mode = match mode.as_str() {
                    "constant" => PadMode::Constant(call.number("constant_values")?.unwrap_or(0.0)),
                    "edge" => PadMode::Edge,
                    "reflect" => PadMode::Reflect,
                    "wrap" => PadMode::Wrap,
                    other => return Err(format!("with mode {other} is not supported")),
                };
                one(self.layer(Pad::new(pads).mode(mode), &[x]))
            }
            "tile" | "repeat" => {
                let x = input(0)?;
                let repeats = call.operand_or(1, "repeats").and_then(integers).ok_or("must be given numbers")?;
                let counts: Vec<(i32, i32)> = if call.function == "tile" {
                    let first = -(repeats.len() as i32);
                    repeats.iter().enumerate().map(|(i, &count)| (first + i as i32, count)).collect()
                } else {
                    let axis = call.integer("axis")?.ok_or("without an axis is not supported")?;
                    let [count] = repeats[..] else { return Err("by several numbers is not supported".into()) };
                    vec![(axis, count)]
                };
                let mut x = x;
                // Repeats beyond the axes are of new ones before them.
                let more = match call.shape_of(0) {
                    Ok(dims) if call.function == "tile" => repeats.len().saturating_sub(dims.len()),
                    _ => 0,
                };
                if more > 0 {
                    x = self.index([vec![Subscript::New; more], vec![Subscript::Ellipsis]].concat(), x);
                }
                for (axis, count) in counts {
                    if !(1..=4096).contains(&count) {
                        return Err("must be given numbers from 1 to 4096".into());
                    }
                    if count > 1 && call.function == "tile" {
                        x = self.layer(Concatenate::new().axis(axis), &vec![x; count as usize]);
                    } else if count > 1 {
                        let extent =
                            call.extent_of(0, axis).ok_or("along an axis of unknown extent is not supported")?;
                        let places = (0..extent).flat_map(|at| vec![at as f32; count as usize]).collect::<Vec<_>>();
                        let places = HostTensor::new([places.len()], places).map_err(|error| error.to_string())?;
                        x = self.layer(Take::new(axis).indices(places), &[x]);
                    }
                }
                one(x)
            }
            "roll" => {
                let x = input(0)?;
                let axis = call.integer("axis")?.ok_or("without an axis is not supported")?;
                let shift = call.integer("shift")?.ok_or("must be given a number")?;
                let extent = call.extent_of(0, axis).ok_or("along an axis of unknown extent is not supported")? as i32;
                if extent == 0 || shift.rem_euclid(extent) == 0 {
                    return one(x);
                }
                let cut = extent - shift.rem_euclid(extent);
                let end = self.at_axis(axis, Subscript::Range { start: Some(cut), stop: None, step: 1 }, x);
                let start = self.at_axis(axis, Subscript::Range { start: None, stop: Some(cut), step: 1 }, x);
                one(self.layer(Concatenate::new().axis(axis), &[end, start]))
            }
            "broadcast_to" => {
                let shape = call.operand_or(1, "shape").or(call.named.get("newshape")).and_then(integers);
                let shape = shape.ok_or("must be given numbers")?;
                let extents = shape.iter().map(|&extent| u32::try_from(extent).ok().filter(|&extent| extent > 0));
                let extents = extents.collect::<Option<Vec<_>>>().ok_or("must be given known extents")?;
                one(self.layer(Expand::new(extents), &[input(0)?]))
            }
            "take" | "take_along_axis" => {
                let axis = call.integer("axis")?;
                let axis = match (axis, call.shown.starts_with("tf.")) {
                    (Some(axis), _) => axis,
                    (None, true) => 0,
                    (None, false) => return Err("without an axis is not supported".into()),
                };
                let along = call.function == "take_along_axis";
                let batch = call.integer("batch_dims")?.unwrap_or(0).max(0) as u32;
                let take = Take::new(axis).along(along).batch_dims(batch);
                match call.side(1)? {
                    BinarySide::Tensor(numbers) => match call.side(0)? {
                        BinarySide::Tensor(x) => one(self.layer(take, &[x, numbers])),
                        BinarySide::Constant(_) => Err("from an array is not supported: use an Embedding".into()),
                    },
                    BinarySide::Constant(numbers) => one(self.layer(take.indices(numbers), &[input(0)?])),
                }
            }
            "matmul" | "dot" | "inner" => {
                if call.function != "matmul"
                    && [0, 1].iter().any(|&place| call.shape_of(place).is_ok_and(|dims| dims.len() > 2))
                {
                    return Err("of more than two axes is not supported: use keras.ops.einsum".into());
                }
                let transposed = |name: &str| call.flag(name, false);
                let turned = |write: &mut Self, side: BinarySide, turned: bool| match side {
                    BinarySide::Tensor(x) if turned => {
                        Ok(BinarySide::Tensor(write.layer(Einsum::new("...ab->...ba"), &[x])))
                    }
                    BinarySide::Constant(_) if turned => Err("of a transposed array is not supported".to_owned()),
                    side => Ok(side),
                };
                let left = turned(self, call.side(0)?, transposed("transpose_a")?)?;
                let right = turned(self, call.side(1)?, transposed("transpose_b")?)?;
                let layer = MatMul::new();
                one(match (left, right) {
                    (BinarySide::Tensor(left), BinarySide::Tensor(right)) => self.layer(layer, &[left, right]),
                    (BinarySide::Tensor(left), BinarySide::Constant(right)) => {
                        self.layer(layer.values_right(right), &[left])
                    }
                    (BinarySide::Constant(left), BinarySide::Tensor(right)) => {
                        self.layer(layer.values_left(left), &[right])
                    }
                    _ => return Err("of numbers alone is not supported".into()),
                })
            }
            "einsum" => {
                let stated = call.text("subscripts")?.map(str::to_owned);
                let first = call.operands.first();
                let (equation, from) = match (stated, first) {
                    (Some(equation), _) => (equation, 0),
                    (None, Some(Argument::Literal(Json::String(equation)))) => (equation.clone(), 1),
                    _ => return Err("must be given an equation".into()),
                };
                let tensors = (from..call.operands.len()).map(input).collect::<Result<Vec<_>, _>>()?;
                if tensors.is_empty() {
                    return Err("lost its tensors: Keras 2 writes only the first argument, the equation; save the model by Keras 3".into());
                }
                one(self.layer(Einsum::new(equation), &tensors))
            }
            "var" | "std" | "moments" => {
                let name = if call.function == "moments" { "axes" } else { "axis" };
                let [mean, variance] = self.variance(call.axes(name)?, call.flag("keepdims", false)?, input(0)?)?;
                match call.function.as_str() {
                    "var" => one(variance),
                    "std" => one(self.map(Unary::Sqrt, variance)),
                    _ => Ok(vec![mean, variance]),
                }
            }
            "ptp" => {
                let (axes, keepdims) = (call.axes("axis")?, call.flag("keepdims", false)?);
                let high = self.reduce(ReduceFunction::Max, axes.clone(), keepdims, input(0)?);
                let low = self.reduce(ReduceFunction::Min, axes, keepdims, input(0)?);
                one(self.tensors(BinaryFunction::Subtract, high, low)?)
            }
            "all" | "any" | "count_nonzero" => {
                let truth = self.number(BinaryFunction::NotEqual, input(0)?, 0.0)?;
                let (function, keepdims) = match call.function.as_str() {
                    "all" => (ReduceFunction::Min, call.flag("keepdims", false)?),
                    "any" => (ReduceFunction::Max, call.flag("keepdims", false)?),
                    _ => (ReduceFunction::Sum, false),
                };
                one(self.reduce(function, call.axes("axis")?, keepdims, truth))
            }
            "average" if call.operands.len() < 2 && call.named.get("weights").is_none_or(Argument::is_null) => {
                one(self.reduce(ReduceFunction::Mean, call.axes("axis")?, false, input(0)?))
            }
            "norm" => {
                let (axes, keepdims) = (call.axes("axis")?, call.flag("keepdims", false)?);
                match call.named.get("ord") {
                    None | Some(Argument::Literal(Json::Null)) => {}
                    Some(Argument::Literal(order))
                        if order.as_f64() == Some(2.0) && axes.as_ref().is_some_and(|axes| axes.len() == 1) => {}
                    Some(Argument::Literal(order))
                        if order.as_f64() == Some(1.0) && axes.as_ref().is_some_and(|axes| axes.len() == 1) =>
                    {
                        return one(self.reduce(ReduceFunction::L1, axes, keepdims, input(0)?));
                    }
                    Some(_) => return Err("of this order is not supported".into()),
                }
                one(self.reduce(ReduceFunction::L2, axes, keepdims, input(0)?))
            }
            "normalize" | "l2_normalize" => {
                if call.number("order")?.is_some_and(|order| order != 2.0) {
                    return Err("of another order than 2 is not supported".into());
                }
                let x = input(0)?;
                let axes = call.axes("axis")?.ok_or("must be given an axis")?;
                let (default, exact) = if call.function == "normalize" { (1e-7, false) } else { (1e-12, true) };
                let least = call.number("epsilon")?.unwrap_or(default);
                let sum = self.reduce(ReduceFunction::SumSquare, Some(axes), true, x);
                // Keras 3's epsilon is of the length, TensorFlow's of its square.
                let least = if exact { least } else { least * least };
                let sum = self.map(Unary::Clip { min: least.max(f32::MIN_POSITIVE), max: f32::INFINITY }, sum);
                let length = self.map(Unary::Sqrt, sum);
                one(self.tensors(BinaryFunction::Divide, x, length)?)
            }
            "argmax" | "argmin" => {
                let x = input(0)?;
                let axis = match (call.integer("axis")?, call.shown.starts_with("tf.")) {
                    (Some(axis), _) => axis,
                    (None, true) => 0,
                    (None, false) => return Err("without an axis is not supported".into()),
                };
                let extent = call.extent_of(0, axis).ok_or("along an axis of unknown extent is not supported")?;
                let function = if call.function == "argmax" { ReduceFunction::Max } else { ReduceFunction::Min };
                let best = self.reduce(function, Some(vec![axis]), true, x);
                let equal = self.tensors(BinaryFunction::Equal, x, best)?;
                // The first NaN, if there is one, which is equal to nothing.
                let nothing = self.map(Unary::IsNan, x);
                let equal = self.tensors(BinaryFunction::LogicalOr, equal, nothing)?;
                // The first of those that are best has the largest number counted from behind.
                let rank = call.shape_of(0)?.len();
                let place = if axis < 0 { axis + rank as i32 } else { axis } as usize;
                let mut shape = vec![1; rank - place];
                shape[0] = extent;
                let behind = HostTensor::new(shape, (0..extent).map(|at| (extent - at) as f32).collect::<Vec<_>>());
                let behind = BinarySide::Constant(behind.map_err(|error| error.to_string())?);
                let numbered = self.two(BinaryFunction::Multiply, &BinarySide::Tensor(equal), &behind)?;
                let largest =
                    self.reduce(ReduceFunction::Max, Some(vec![axis]), call.flag("keepdims", false)?, numbered);
                one(self.map(Unary::Affine { scale: -1.0, offset: extent as f32 }, largest))
            }
            "one_hot" => {
                let count = call.integer("num_classes")?.filter(|count| (1..=1 << 20).contains(count));
                let count = count.ok_or("must be given a number of classes")?;
                if call.integer("axis")?.unwrap_or(-1) != -1 {
                    return Err("along another axis than the last is not supported".into());
                }
                let column = self.index([Subscript::Ellipsis, Subscript::New], input(0)?);
                let numbers = HostTensor::new([count as usize], (0..count).map(|at| at as f32).collect::<Vec<_>>());
                let numbers = BinarySide::Constant(numbers.map_err(|error| error.to_string())?);
                one(self.two(BinaryFunction::Equal, &BinarySide::Tensor(column), &numbers)?)
            }
            "cumsum" => {
                let axis = call.integer("axis")?.ok_or("without an axis is not supported")?;
                let dims = call.shape_of(0)?;
                if axis != -1 && axis != dims.len() as i32 - 1 {
                    return Err("along another axis than the last is not supported".into());
                }
                let extent = call.extent_of(0, axis).filter(|&extent| extent <= 4096);
                let extent = extent.ok_or("along an axis that is unknown or longer than 4096 is not supported")?;
                let values = (0..extent * extent).map(|at| f32::from(u8::from(at / extent <= at % extent)));
                let triangle =
                    HostTensor::new([extent, extent], values.collect::<Vec<_>>()).map_err(|error| error.to_string())?;
                one(self.layer(MatMul::new().values_right(triangle), &[input(0)?]))
            }
            "resize" => {
                let size = call.operand_or(1, "size").and_then(integers).ok_or("must be given numbers")?;
                let [height, width] = size[..] else { return Err("must be given a height and a width".into()) };
                let [height, width] = [height, width].map(u32::try_from);
                let (Ok(height), Ok(width)) = (height, width) else { return Err("must be given extents".into()) };
                let method = ResizeMethod::from_name(call.text("interpolation")?.unwrap_or("bilinear"));
                let resizing = Resizing::new(height, width)
                    .interpolation(method.map_err(|error| error.to_string())?)
                    .antialias(call.flag("antialias", false)?)
                    .crop_to_aspect_ratio(call.flag("crop_to_aspect_ratio", false)?)
                    .pad_to_aspect_ratio(call.flag("pad_to_aspect_ratio", false)?)
                    .fill_value(call.number("fill_value")?.unwrap_or(0.0))
                    .data_format(call.data_format()?);
                if call.flag("pad_aspect", false)? {
                    return Err("that keeps the aspect ratio is not supported".into());
                }
                one(self.layer(resizing, &[input(0)?]))
            }
            "rgb_to_grayscale" => {
                let (axis, channels) = match call.data_format()? {
                    DataFormat::ChannelsLast => (-1, vec![3]),
                    DataFormat::ChannelsFirst => (-3, vec![3, 1, 1]),
                };
                let shares =
                    HostTensor::new(channels, vec![0.2989, 0.5870, 0.1140]).map_err(|error| error.to_string())?;
                let weighted =
                    self.two(BinaryFunction::Multiply, &BinarySide::Tensor(input(0)?), &BinarySide::Constant(shares))?;
                one(self.reduce(ReduceFunction::Sum, Some(vec![axis]), true, weighted))
            }
            "max_pool" | "average_pool" => {
                let both = |name: &str| -> Result<Option<[u32; 2]>, String> {
                    let Some(list) = call.named.get(name).filter(|argument| !argument.is_null()).map(integers) else {
                        return Ok(None);
                    };
                    let pair = match list.as_deref() {
                        Some([one]) => Some([*one; 2]),
                        Some([height, width]) => Some([*height, *width]),
                        _ => None,
                    };
                    let pair = pair.and_then(|pair| Some([u32::try_from(pair[0]).ok()?, u32::try_from(pair[1]).ok()?]));
                    pair.map(Some).ok_or_else(|| format!("must be given two numbers as `{name}`"))
                };
                let size = both("pool_size")?.ok_or("must be given a size")?;
                let strides = both("strides")?.unwrap_or(size);
                let (window, strides, format) = (PerAxis(size), PerAxis(strides), call.data_format()?);
                let padding = Padding::from_name(call.text("padding")?.unwrap_or("valid"));
                let padding = padding.map_err(|error| error.to_string())?;
                let layer: LayerConfig = if call.function == "max_pool" {
                    MaxPooling2D::new(window).strides(strides).padding(padding).data_format(format).into()
                } else {
                    AveragePooling2D::new(window).strides(strides).padding(padding).data_format(format).into()
                };
                one(self.layer(layer, &[input(0)?]))
            }
            _ => Err("is not supported: put a layer of Keras in its place".into()),
        }
    }
}

impl Argument {
    fn is_null(&self) -> bool {
        matches!(self, Self::Literal(Json::Null))
    }
}

impl OperatorCall {
    /// The tensors of these names, by name or by place, in a list or each by itself.
    ///
    /// # Errors
    /// In words, where one is no tensor.
    pub(super) fn given<const N: usize>(&self, names: &[&str; N]) -> Result<[Option<Source>; N], String> {
        let by_place: Vec<&Argument> = match &self.operands[..] {
            [Argument::List(list)] => list.iter().collect(),
            operands => operands.iter().collect(),
        };
        let mut found = [None; N];
        for (place, name) in names.iter().enumerate() {
            found[place] = match by_place.get(place).copied().or(self.named.get(*name)) {
                Some(Argument::Tensor(number)) => Some(Source::Input(*number)),
                None | Some(Argument::Literal(Json::Null)) => None,
                Some(_) => return Err(format!("its `{name}` must be a tensor")),
            };
        }
        Ok(found)
    }

    /// The masks of these names, or those in the list `mask`.
    ///
    /// # Errors
    /// In words, where one is no tensor.
    pub(super) fn masks<const N: usize>(&self, names: &[&str; N]) -> Result<[Option<Source>; N], String> {
        let mut masks = [None; N];
        for (place, name) in names.iter().enumerate() {
            let listed = match self.named.get("mask") {
                Some(Argument::List(list)) => list.get(place),
                only => only.filter(|_| place == 0),
            };
            masks[place] = match self.named.get(*name).or(listed) {
                Some(Argument::Tensor(number)) => Some(Source::Input(*number)),
                None => None,
                // A list of nothing.
                Some(Argument::Literal(json)) if json.is_null() || json.is_array() => None,
                Some(_) => return Err("its masks must be tensors".into()),
            };
        }
        Ok(masks)
    }

    /// The tensor that a keyword gives, if it gives one.
    ///
    /// # Errors
    /// In words, where it gives something else.
    pub(super) fn given_by_name(&self, name: &str) -> Result<Option<Source>, String> {
        match self.named.get(name) {
            Some(Argument::Tensor(number)) => Ok(Some(Source::Input(*number))),
            None => Ok(None),
            Some(argument) if argument.is_null() => Ok(None),
            Some(_) => Err(format!("its `{name}` must be a tensor")),
        }
    }

    /// Whether a keyword says true.
    pub(super) fn is_on(&self, name: &str) -> bool {
        matches!(self.named.get(name), Some(Argument::Literal(Json::Bool(true))))
    }

    /// The last extent of what is read, where the file says it.
    pub(super) fn last_extent(&self, source: Source) -> Option<usize> {
        let Source::Input(number) = source else { return None };
        *self.shapes.get(number)?.as_ref()?.last()?
    }

    /// The type of all that it reads, if that is one.
    fn common_type(&self) -> Option<&str> {
        let first = self.types.first()?;
        self.types.iter().all(|other| other == first).then_some(first)
    }

    /// The type of what arithmetic makes of whole numbers of one type and numbers of the file without a fraction; empty
    /// for anything else.
    fn whole_type(&self) -> &str {
        fn whole(argument: &Argument) -> bool {
            match argument {
                Argument::Literal(json) => json.is_i64(),
                Argument::Tensor(_) | Argument::Array(_) => true,
                Argument::List(_) => false,
            }
        }
        self.common_type().filter(|_| !self.floats && self.operands.iter().all(whole)).unwrap_or_default()
    }

    /// The type of what it makes, where all it reads is of the same half-wide type.
    fn dtype(&self) -> Option<DTypePolicy> {
        match self.common_type()? {
            "float16" => Some(DTypePolicy::Float16),
            "bfloat16" => Some(DTypePolicy::BFloat16),
            _ => None,
        }
    }

    /// # Errors
    /// In words, where there are more operands than `most`, or names beside `names`.
    fn only(&self, most: usize, names: &[&str]) -> Result<(), String> {
        let unknown = self.named.iter().find(|(name, argument)| !names.contains(&name.as_str()) && !argument.is_null());
        match unknown {
            _ if self.operands.len() > most => Err(format!("with {} arguments is not supported", self.operands.len())),
            Some((name, _)) => Err(format!("with `{name}` is not supported")),
            None => Ok(()),
        }
    }

    fn operand_or(&self, place: usize, name: &str) -> Option<&Argument> {
        self.operands.get(place).or_else(|| self.named.get(name))
    }

    fn tensor_at(&self, place: usize) -> Result<Source, String> {
        match self.operands.get(place) {
            Some(Argument::Tensor(number)) => Ok(Source::Input(*number)),
            _ => {
                Err("must be called with tensors where Keras takes them; with other arguments it is not supported"
                    .into())
            }
        }
    }

    /// Whether booleans are given there.
    fn is_boolean(&self, place: usize) -> bool {
        fn all(json: &Json) -> bool {
            match json {
                Json::Array(list) => !list.is_empty() && list.iter().all(all),
                one => one.is_boolean(),
            }
        }
        match self.operands.get(place) {
            Some(Argument::Tensor(number)) => self.types[*number] == "bool",
            Some(Argument::Literal(json)) => all(json),
            _ => false,
        }
    }

    fn side(&self, place: usize) -> Result<BinarySide, String> {
        side(self.operands.get(place))
    }

    fn side_or(&self, place: usize, name: &str) -> Result<BinarySide, String> {
        side(self.operand_or(place, name))
    }

    fn list(&self, place: usize) -> Result<Vec<Source>, String> {
        let tensors = |list: &[Argument]| -> Option<Vec<Source>> {
            list.iter()
                .map(|one| if let Argument::Tensor(number) = one { Some(Source::Input(*number)) } else { None })
                .collect()
        };
        match self.operands.get(place) {
            Some(Argument::List(list)) => tensors(list),
            Some(Argument::Tensor(number)) => Some(vec![Source::Input(*number)]),
            _ => None,
        }
        .ok_or_else(|| "must be called with a list of tensors".into())
    }

    fn literal_of(&self, name: &str) -> Option<&Json> {
        match self.named.get(name) {
            Some(Argument::Literal(json)) if !json.is_null() => Some(json),
            _ => None,
        }
    }

    fn text(&self, name: &str) -> Result<Option<&str>, String> {
        let text = self.literal_of(name);
        text.map(|json| json.as_str().ok_or_else(|| format!("must be given a text as `{name}`"))).transpose()
    }

    fn number(&self, name: &str) -> Result<Option<f32>, String> {
        match self.named.get(name) {
            None | Some(Argument::Literal(Json::Null)) => Ok(None),
            Some(Argument::Literal(json)) if json.is_number() => Ok(json.as_f64().map(|number| number as f32)),
            Some(Argument::Array(array)) if one(array).is_some() => Ok(one(array)),
            Some(_) => Err(format!("must be given a number as `{name}`")),
        }
    }

    fn integer(&self, name: &str) -> Result<Option<i32>, String> {
        match self.named.get(name).filter(|argument| !argument.is_null()) {
            None => Ok(None),
            Some(argument) => match integers(argument).as_deref() {
                Some([one]) => Ok(Some(*one)),
                _ => Err(format!("must be given an integer as `{name}`")),
            },
        }
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool, String> {
        let flag = self.literal_of(name);
        flag.map_or(Ok(default), |json| {
            json.as_bool().ok_or_else(|| format!("must be given true or false as `{name}`"))
        })
    }

    /// Axes by name; `None` where all are meant.
    fn axes(&self, name: &str) -> Result<Option<Vec<i32>>, String> {
        match self.named.get(name).filter(|argument| !argument.is_null()) {
            None => Ok(None),
            Some(argument) => integers(argument).map(Some).ok_or_else(|| format!("must be given integers as `{name}`")),
        }
    }

    fn shape_of(&self, place: usize) -> Result<&[Option<usize>], String> {
        let number = match self.operands.get(place) {
            Some(Argument::Tensor(number)) => *number,
            _ => return Err("must be called with a tensor".into()),
        };
        let shape = self.shapes.get(number).and_then(Option::as_deref);
        shape.ok_or_else(|| "of a tensor whose shape the file does not say is not supported".into())
    }

    fn extent_of(&self, place: usize, axis: i32) -> Option<usize> {
        let dims = self.shape_of(place).ok()?;
        let axis = if axis < 0 { axis + dims.len() as i32 } else { axis };
        *dims.get(usize::try_from(axis).ok()?)?
    }

    fn data_format(&self) -> Result<DataFormat, String> {
        match self.text("data_format")? {
            None => Ok(Settings::current().image_data_format),
            Some(name) => DataFormat::from_name(name).map_err(|error| error.to_string()),
        }
    }

    /// The activation that the call is of, with its parameters, if it is one.
    fn activation(&self) -> Result<Option<Activation>, String> {
        let axis = || self.integer("axis").map(|axis| axis.unwrap_or(-1));
        let parameter = |name: &str, default: f32| self.number(name).map(|value| value.unwrap_or(default));
        let keras_3 = !self.shown.starts_with("tf.");
        Ok(Some(match self.function.as_str() {
            "exp" => Activation::Exponential,
            "leaky_relu" => Activation::LeakyRelu { negative_slope: parameter("negative_slope", 0.2)? },
            "elu" => Activation::Elu { alpha: parameter("alpha", 1.0)? },
            "celu" => Activation::Celu { alpha: parameter("alpha", 1.0)? },
            "gelu" => Activation::Gelu { approximate: self.flag("approximate", keras_3)? },
            "squareplus" => Activation::Squareplus { b: parameter("b", 4.0)? },
            "hard_shrink" => Activation::HardShrink { threshold: parameter("threshold", 0.5)? },
            "soft_shrink" => Activation::SoftShrink { threshold: parameter("threshold", 0.5)? },
            "threshold" => Activation::Threshold {
                threshold: parameter("threshold", 0.0)?,
                default_value: parameter("default_value", 0.0)?,
            },
            "softmax" => Activation::Softmax { axis: axis()? },
            "log_softmax" => Activation::LogSoftmax { axis: axis()? },
            "sparsemax" => Activation::Sparsemax { axis: axis()? },
            "glu" => Activation::Glu { axis: axis()? },
            // Those without parameters; relu's own has none here.
            name => return Ok(Activation::from_name(name).ok()),
        }))
    }
}

fn side(argument: Option<&Argument>) -> Result<BinarySide, String> {
    match argument {
        Some(Argument::Tensor(number)) => Ok(BinarySide::Tensor(Source::Input(*number))),
        Some(Argument::Array(array)) => Ok(BinarySide::Constant(array.clone())),
        Some(Argument::Literal(json)) => {
            array(json).map(BinarySide::Constant).ok_or_else(|| format!("with {json} is not supported"))
        }
        Some(Argument::List(_)) => Err("with a list of tensors is not supported".into()),
        None => Err("with so few arguments is not supported".into()),
    }
}

fn scalar(number: f32) -> Result<HostTensor, String> {
    HostTensor::new([], vec![number]).map_err(|error| error.to_string())
}

/// The number of an array that is one, without axes.
fn one(array: &HostTensor) -> Option<f32> {
    (array.shape.rank() == 0).then(|| array.values[0])
}

/// One integer, or a list of them.
fn integers(argument: &Argument) -> Option<Vec<i32>> {
    let whole = |number: f64| (number.fract() == 0.0 && number.abs() <= f64::from(i32::MAX)).then_some(number as i32);
    match argument {
        Argument::Literal(Json::Array(list)) => list.iter().map(|json| whole(json.as_f64()?)).collect(),
        Argument::Literal(json) => Some(vec![whole(json.as_f64()?)?]),
        Argument::Array(array) if array.shape.rank() < 2 => {
            array.values.iter().map(|&value| whole(value.into())).collect()
        }
        _ => None,
    }
}

/// Pairs of integers; one integer or one pair by itself is a list of one.
fn pairs(argument: &Argument) -> Option<Vec<[i32; 2]>> {
    let pair = |json: &Json| -> Option<[i32; 2]> {
        let numbers = integers(&Argument::Literal(json.clone()))?;
        match numbers[..] {
            [both] => Some([both; 2]),
            [before, after] => Some([before, after]),
            _ => None,
        }
    };
    match argument {
        Argument::Literal(Json::Array(list)) if list.iter().all(Json::is_array) => list.iter().map(pair).collect(),
        Argument::Literal(json) => pair(json).map(|pair| vec![pair]),
        _ => None,
    }
}

/// `subscript` for one axis, which may count from the end.
fn on_axis(axis: i32, subscript: Subscript) -> Vec<Subscript> {
    let whole = |count: i32| vec![Subscript::WHOLE; count.unsigned_abs() as usize];
    match axis < 0 {
        true => [vec![Subscript::Ellipsis, subscript], whole(axis + 1)].concat(),
        false => [whole(axis), vec![subscript]].concat(),
    }
}

/// The key of an indexing operator: Keras 3 wraps slices and ellipses in objects with a class, Keras 2 slices in plain ones.
fn subscripts(key: &Json) -> Result<Vec<Subscript>, String> {
    let whole = |json: &Json| json.as_i64().and_then(|number| i32::try_from(number).ok());
    let one = |json: &Json| -> Option<Subscript> {
        let range = |json: &Json| {
            let end = |name: &str| match &json[name] {
                Json::Null => Some(None),
                number => whole(number).map(Some),
            };
            Some(Subscript::Range { start: end("start")?, stop: end("stop")?, step: end("step")?.unwrap_or(1) })
        };
        Some(match (json, at(json, "/class_name").as_str()) {
            (Json::Null, _) => Subscript::New,
            (_, Some("__ellipsis__")) => Subscript::Ellipsis,
            (_, Some("__slice__")) => range(at(json, "/config"))?,
            (Json::String(text), _) if text == "..." => Subscript::Ellipsis,
            (Json::Object(_), None) => range(json)?,
            (number, _) => Subscript::At(whole(number)?),
        })
    };
    let list = match key {
        Json::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let all: Option<Vec<Subscript>> = list.iter().map(one).collect();
    all.ok_or_else(|| format!("by {key} is not supported: index by numbers and slices"))
}

fn binary(function: &str) -> Option<BinaryFunction> {
    Some(match function {
        "add" => BinaryFunction::Add,
        "subtract" => BinaryFunction::Subtract,
        "multiply" => BinaryFunction::Multiply,
        "divide" | "true_divide" => BinaryFunction::Divide,
        "maximum" => BinaryFunction::Maximum,
        "minimum" => BinaryFunction::Minimum,
        "power" => BinaryFunction::Power,
        "equal" => BinaryFunction::Equal,
        "not_equal" => BinaryFunction::NotEqual,
        "less" => BinaryFunction::Less,
        "less_equal" => BinaryFunction::LessEqual,
        "greater" => BinaryFunction::Greater,
        "greater_equal" => BinaryFunction::GreaterEqual,
        "logical_and" => BinaryFunction::LogicalAnd,
        "logical_or" => BinaryFunction::LogicalOr,
        "logical_xor" => BinaryFunction::LogicalXor,
        "mod" => BinaryFunction::Modulo,
        "fmod" => BinaryFunction::Remainder,
        "arctan2" => BinaryFunction::Arctangent,
        _ => return None,
    })
}

/// `x` with a number behind it.
fn with_number(function: BinaryFunction, number: f32) -> Option<Unary> {
    Some(match function {
        BinaryFunction::Add => Unary::Affine { scale: 1.0, offset: number },
        BinaryFunction::Subtract => Unary::Affine { scale: 1.0, offset: -number },
        BinaryFunction::Multiply => Unary::Affine { scale: number, offset: 0.0 },
        BinaryFunction::Divide if number != 0.0 => Unary::Affine { scale: number.recip(), offset: 0.0 },
        BinaryFunction::Maximum => Unary::Clip { min: number, max: f32::INFINITY },
        BinaryFunction::Minimum => Unary::Clip { min: f32::NEG_INFINITY, max: number },
        BinaryFunction::Power => Unary::Pow { exponent: number },
        _ => return None,
    })
    .filter(|function| function.validate().is_ok())
}

/// A number with `x` behind it.
fn of_number(function: BinaryFunction, number: f32) -> Option<Unary> {
    match function {
        BinaryFunction::Subtract => Some(Unary::Affine { scale: -1.0, offset: number }),
        BinaryFunction::Add | BinaryFunction::Multiply | BinaryFunction::Maximum | BinaryFunction::Minimum => {
            with_number(function, number)
        }
        BinaryFunction::Divide if number == 1.0 => Some(Unary::Reciprocal),
        _ => None,
    }
}

fn reduction(function: &str) -> Option<ReduceFunction> {
    Some(match function {
        "mean" => ReduceFunction::Mean,
        "max" | "amax" => ReduceFunction::Max,
        "min" | "amin" => ReduceFunction::Min,
        "sum" => ReduceFunction::Sum,
        "logsumexp" => ReduceFunction::LogSumExp,
        _ => return None,
    })
}
