//! The operators of the domain `com.microsoft`: what onnxruntime's optimizer and quantiser put in place of several others.

use super::onnx_fold::axis_at;
use super::onnx_layers::{Apply, Outcome, Term, at, one};
use super::onnx_nodes::{Operator, gemm, layer_normalization, rms_normalization, row};
use super::onnx_quantized;
use super::onnx_windows::{conv, global_pool, pool};
use crate::layers::ActivationLayer;
use crate::model::Port;
use crate::plan::BinaryFunction;
use crate::{Activation, Unary};

const FUSED_CONV: &[&str] =
    &["activation", "activation_params", "auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"];

pub(super) const OPERATORS: &[Operator] = &[
    row("BiasGelu", &[], bias_gelu).takes(2, 1),
    row("DequantizeLinear", &["axis", "block_size"], onnx_quantized::dequantize).takes(3, 1),
    row("FastGelu", &[], bias_gelu).takes(2, 1),
    row("FusedConv", FUSED_CONV, fused_conv).takes(4, 1),
    row(
        "FusedGemm",
        &["activation", "activation_alpha", "activation_beta", "alpha", "beta", "transA", "transB"],
        fused_gemm,
    )
    .takes(3, 1),
    row("FusedMatMul", &["alpha", "transA", "transB", "transBatchA", "transBatchB"], fused_matmul).takes(2, 1),
    row("Gelu", &[], |a| a.activation(Activation::Gelu { approximate: false })),
    row("QLinearAdd", &[], qlinear_binary).takes(8, 1),
    row(
        "QLinearAveragePool",
        &["auto_pad", "ceil_mode", "channels_last", "count_include_pad", "kernel_shape", "pads", "strides"],
        qlinear_pool,
    )
    .takes(5, 1),
    row("QLinearConcat", &["axis"], qlinear_concat).takes(usize::MAX, 1),
    row("QLinearGlobalAveragePool", &["channels_last"], qlinear_pool).takes(5, 1),
    row("QLinearLeakyRelu", &["alpha"], qlinear_unary).takes(5, 1),
    row("QLinearMul", &[], qlinear_binary).takes(8, 1),
    row("QLinearSigmoid", &[], qlinear_unary).takes(5, 1),
    row("QLinearSoftmax", &["axis", "opset"], qlinear_unary).takes(5, 1),
    row("QuantizeLinear", &["axis", "block_size"], onnx_quantized::quantize).takes(3, 1),
    row("QuickGelu", &["alpha"], |a| a.map(Unary::Swish { beta: a.node.float("alpha", 1.702) })),
    row("SimplifiedLayerNormalization", &["axis", "epsilon", "stash_type"], rms_normalization).takes(2, 2),
    row("SkipLayerNormalization", &["epsilon"], skip_normalization).takes(5, 4),
    row("SkipSimplifiedLayerNormalization", &["epsilon"], skip_normalization).takes(4, 4),
    row("TransposeMatMul", &["alpha", "transA", "transB"], fused_matmul).takes(2, 1),
];

impl Apply<'_> {
    /// The activation that the node does behind its own function, if it has one.
    fn then(&mut self, x: Term, parameters: &[f32]) -> Outcome<Vec<Term>> {
        let x = self.made(&x)?;
        let number = |index: usize, none: f32| parameters.get(index).copied().unwrap_or(none);
        let activation = match self.node.text("activation", "") {
            "" => return one(x),
            "Relu" => Activation::RELU,
            "Sigmoid" => Activation::Sigmoid,
            "Tanh" => Activation::Tanh,
            "LeakyRelu" => Activation::LeakyRelu { negative_slope: number(0, 0.01) },
            "Clip" => {
                let (min, max) = (number(0, f32::NEG_INFINITY), number(1, f32::INFINITY));
                return one(self.unary(Unary::Clip { min, max }, x)?);
            }
            "HardSigmoid" => {
                let (scale, offset) = (number(0, 0.2), number(1, 0.5));
                return one(self.unary(Unary::ClippedAffine { scale, offset }, x)?);
            }
            other => return Err(at("activation", format!("{other:?} is not supported"))),
        };
        one(self.layer(ActivationLayer::new(activation), &[x])?)
    }
}

fn bias_gelu(a: &mut Apply) -> Outcome<Vec<Term>> {
    let approximate = a.node.op_type == "FastGelu";
    let mut x = a.term(0)?;
    if a.is_there(1) {
        x = a.pair(BinaryFunction::Add, x, a.term(1)?)?;
    }
    let x = a.made(&x)?;
    one(a.activated(Activation::Gelu { approximate }, x)?)
}

/// A convolution, with something added where there is a fourth input, and an activation.
fn fused_conv(a: &mut Apply) -> Outcome<Vec<Term>> {
    let mut x = conv(a)?.swap_remove(0);
    if a.is_there(3) {
        x = a.pair(BinaryFunction::Add, x, a.term(3)?)?;
    }
    let parameters = a.node.attribute("activation_params").map_or(Vec::new(), |attribute| attribute.floats.clone());
    a.then(x, &parameters)
}

fn fused_gemm(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = gemm(a)?.swap_remove(0);
    let given =
        ["activation_alpha", "activation_beta"].map(|name| a.node.attribute(name).and_then(|attribute| attribute.f));
    let parameters: Vec<f32> = given.into_iter().flatten().collect();
    a.then(x, &parameters)
}

fn fused_matmul(a: &mut Apply) -> Outcome<Vec<Term>> {
    for name in ["transBatchA", "transBatchB"] {
        if a.node.int(name, 0) != 0 {
            return Err(at(name, "axes of the batch are not turned"));
        }
    }
    let mut sides = Vec::new();
    for (index, name) in ["transA", "transB"].into_iter().enumerate() {
        let term = a.term(index)?;
        let turned = a.node.int(name, 0) != 0;
        sides.push(match term {
            term if !turned => term,
            Term::Known(constant) => {
                let order = last_two_turned(constant.shape.len());
                Term::Known(constant.transposed(&order, a.meter())?)
            }
            _ => {
                let x = a.value(index)?;
                let order = last_two_turned(a.dims(x).len());
                Term::Made(a.transposed(x, &order)?)
            }
        });
    }
    let [left, right] = [sides[0].clone(), sides[1].clone()];
    let product = a.product(left, right)?;
    one(a.affine(product, a.node.float("alpha", 1.0), 0.0)?)
}

fn last_two_turned(rank: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rank).collect();
    if rank > 1 {
        order.swap(rank - 2, rank - 1);
    }
    order
}

/// The sum of two inputs and perhaps a bias, and its normalisation; outputs: that, then, last, the sum.
fn skip_normalization(a: &mut Apply) -> Outcome<Vec<Term>> {
    let simplified = a.node.op_type == "SkipSimplifiedLayerNormalization";
    let bias = if simplified { 3 } else { 4 };
    let (left, right) = (a.term(0)?, a.term(1)?);
    let mut sum = a.pair(BinaryFunction::Add, left, right)?;
    if a.is_there(bias) {
        sum = a.pair(BinaryFunction::Add, sum, a.term(bias)?)?;
    }
    let beta = if simplified { None } else { a.inputs.get(3).cloned().flatten() };
    a.inputs = vec![Some(sum.clone()), a.inputs.get(2).cloned().flatten(), beta];
    let mut made = if simplified { rms_normalization(a)? } else { layer_normalization(a)? };
    made.truncate(1);
    if a.node.output.iter().skip(1).take(2).any(|name| !name.is_empty()) {
        return Ok(made);
    }
    let blank = made[0].clone();
    made.extend([blank.clone(), blank, sum]);
    Ok(made)
}

impl Apply<'_> {
    /// Three inputs from `index` on as what they stand for: numbers, their scale and their zero point.
    fn meant(&mut self, index: usize) -> Outcome<Port> {
        let (x, scale) = (self.term(index)?, self.term(index + 1)?);
        let zero = self.inputs.get(index + 2).cloned().flatten();
        let meant = self.dequantized(x, scale, zero)?;
        self.made(&meant)
    }

    /// `x` quantised by the inputs from `index` on: its scale and its zero point.
    fn on_grid(&mut self, x: Port, index: usize, like: usize) -> Outcome<Vec<Term>> {
        let scale = self.term(index)?;
        let zero = self.inputs.get(index + 1).cloned().flatten();
        let data_type = if zero.is_some() { self.type_of(index + 1) } else { self.type_of(like) };
        one(self.quantized(Term::Made(x), scale, zero, data_type)?)
    }
}

fn qlinear_binary(a: &mut Apply) -> Outcome<Vec<Term>> {
    let function = if a.node.op_type == "QLinearAdd" { BinaryFunction::Add } else { BinaryFunction::Multiply };
    let [left, right] = [a.meant(0)?, a.meant(3)?];
    let made = a.binary(function, left, right)?;
    a.on_grid(made, 6, 0)
}

fn qlinear_unary(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.meant(0)?;
    let activation = match a.node.op_type.as_str() {
        "QLinearSigmoid" => Activation::Sigmoid,
        "QLinearLeakyRelu" => Activation::LeakyRelu { negative_slope: a.node.float("alpha", 0.01) },
        _ => {
            let rank = a.dims(x).len();
            let axis = axis_at(a.node.int("axis", -1), rank)?;
            if a.node.int("opset", 13) < 13 && axis + 1 != rank {
                return Err(at("opset", "before 13 a softmax works over several axes together"));
            }
            Activation::Softmax { axis: axis as i32 }
        }
    };
    let made = a.activated(activation, x)?;
    a.on_grid(made, 3, 0)
}

fn qlinear_pool(a: &mut Apply) -> Outcome<Vec<Term>> {
    if a.node.int("channels_last", 0) != 0 {
        return Err(at("channels_last", "it must be 0"));
    }
    let x = a.meant(0)?;
    let all = std::mem::replace(&mut a.inputs, vec![Some(Term::Made(x))]);
    let made = if a.node.op_type == "QLinearAveragePool" { pool(a)? } else { global_pool(a)? };
    a.inputs = all;
    let made = a.made(&made[0])?;
    a.on_grid(made, 3, 0)
}

/// Scale and zero point of the output come first, then three inputs for each part.
fn qlinear_concat(a: &mut Apply) -> Outcome<Vec<Term>> {
    let count = a.inputs.len().saturating_sub(2) / 3;
    let parts = (0..count).map(|part| a.meant(2 + 3 * part)).collect::<Outcome<Vec<_>>>()?;
    let first = *parts.first().ok_or("its inputs are missing")?;
    let axis = axis_at(a.node.int("axis", 1), a.dims(first).len())?;
    let joined = a.concatenated(&parts, axis)?;
    a.on_grid(joined, 0, 1)
}
