//! Operators in the graph of a Keras 3 model (`keras.ops`): nodes that were called with tensors and numbers, read as the layers
//! that compute the same. Their names are those of layers at times, their meaning is NumPy's.

use serde_json::Value as Json;

use super::graph::at;
use crate::layers::{ActivationLayer, Broadcast, LayerConfig, Map, snake_case};
use crate::plan::BinaryFunction;
use crate::{Activation, Unary};

/// What an operator is called with, in order.
enum Argument {
    Tensor,
    Number(f32),
}

/// The layer that computes the operator `class` as `node` calls it.
///
/// # Errors
/// Why there is none, in words.
pub(super) fn layer(node: &Json, class: &str) -> Result<LayerConfig, String> {
    let refused =
        |why: &str| format!("the operator keras.ops.{} {why}: put a layer of Keras in its place", snake_case(class));
    let name = at(node, "/config/name").as_str().or(at(node, "/name").as_str()).unwrap_or_default();
    let config = at(node, "/config").as_object().into_iter().flatten();
    let has_own = config.clone().any(|(key, _)| !matches!(key.as_str(), "name" | "trainable" | "dtype"));
    let [call] = at(node, "/inbound_nodes").as_array().map_or(&[][..], Vec::as_slice) else {
        return Err(refused("must be called once"));
    };
    let keywords = at(call, "/kwargs").as_object().is_some_and(|map| !map.is_empty());
    if has_own || keywords {
        return Err(refused("with arguments is not supported"));
    }
    let arguments = at(call, "/args").as_array().into_iter().flatten().map(|argument| match argument.as_f64() {
        Some(number) => Argument::Number(number as f32),
        None => Argument::Tensor,
    });
    let arguments: Vec<_> = arguments.collect();
    let layer: LayerConfig = match &arguments[..] {
        [Argument::Tensor] => match unary(class) {
            Some(layer) => layer,
            None => return Err(refused("is not supported")),
        },
        [Argument::Tensor, Argument::Tensor] => match binary(class) {
            Some(function) => Broadcast::new(function).into(),
            None => return Err(refused("is not supported")),
        },
        [Argument::Tensor, Argument::Number(right)] => match with_number(class, *right) {
            Some(function) => Map::new(function).into(),
            None => return Err(refused("with a number is not supported")),
        },
        [Argument::Number(left), Argument::Tensor] => match of_number(class, *left) {
            Some(function) => Map::new(function).into(),
            None => return Err(refused("of a number is not supported")),
        },
        _ => return Err(refused("with these arguments is not supported")),
    };
    Ok(layer.named(name))
}

fn binary(class: &str) -> Option<BinaryFunction> {
    Some(match class {
        "Add" => BinaryFunction::Add,
        "Subtract" => BinaryFunction::Subtract,
        "Multiply" => BinaryFunction::Multiply,
        "Divide" | "TrueDivide" => BinaryFunction::Divide,
        "Maximum" => BinaryFunction::Maximum,
        "Minimum" => BinaryFunction::Minimum,
        "Power" => BinaryFunction::Power,
        _ => return None,
    })
}

/// `x` with a number behind it.
fn with_number(class: &str, number: f32) -> Option<Unary> {
    Some(match class {
        "Add" => Unary::Affine { scale: 1.0, offset: number },
        "Subtract" => Unary::Affine { scale: 1.0, offset: -number },
        "Multiply" => Unary::Affine { scale: number, offset: 0.0 },
        "Divide" | "TrueDivide" if number != 0.0 => Unary::Affine { scale: number.recip(), offset: 0.0 },
        "Maximum" => Unary::Clip { min: number, max: f32::INFINITY },
        "Minimum" => Unary::Clip { min: f32::NEG_INFINITY, max: number },
        "Power" => Unary::Pow { exponent: number },
        _ => return None,
    })
}

/// A number with `x` behind it.
fn of_number(class: &str, number: f32) -> Option<Unary> {
    match class {
        "Subtract" => Some(Unary::Affine { scale: -1.0, offset: number }),
        "Add" | "Multiply" | "Maximum" | "Minimum" => with_number(class, number),
        "Divide" | "TrueDivide" if number == 1.0 => Some(Unary::Reciprocal),
        _ => None,
    }
}

fn unary(class: &str) -> Option<LayerConfig> {
    let function = match class {
        "Abs" | "Absolute" => Unary::Abs,
        "Negative" => Unary::Neg,
        "Sqrt" => Unary::Sqrt,
        "Square" => Unary::Square,
        "Reciprocal" => Unary::Reciprocal,
        "Log" => Unary::Log,
        "Floor" => Unary::Floor,
        "Ceil" => Unary::Ceil,
        "Sign" => Unary::Sign,
        "Sin" => Unary::Sin,
        "Cos" => Unary::Cos,
        "Tan" => Unary::Tan,
        "Erf" => Unary::Erf,
        _ => {
            let activation = match class {
                "Exp" => Activation::Exponential,
                "Relu" => Activation::RELU,
                "Relu6" => Activation::Relu6,
                "Sigmoid" => Activation::Sigmoid,
                "LogSigmoid" => Activation::LogSigmoid,
                "HardSigmoid" => Activation::HardSigmoid,
                "HardSilu" => Activation::HardSilu,
                "Silu" => Activation::Silu,
                "Softplus" => Activation::Softplus,
                "Softsign" => Activation::Softsign,
                "Selu" => Activation::Selu,
                "Tanh" => Activation::Tanh,
                "TanhShrink" => Activation::TanhShrink,
                _ => return None,
            };
            return Some(ActivationLayer::new(activation).into());
        }
    };
    Some(Map::new(function).into())
}
