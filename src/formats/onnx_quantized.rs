//! ONNX's quantised operators, computed in floating point on the quantised grid.
//!
//! A quantised number stands for `(number − zero point) · scale`. Weights are made of it on the host
//! (`onnx_fold.rs`). What a model computes is divided by the scale, rounded, moved and clipped to the range of its type,
//! which gives the numbers that an integer computation would, held in f32. The products of 8 bits are exact; a sum of them
//! beyond 2^24 is rounded as any sum of f32, which is less than the step that it is then rounded to.

use super::onnx_fold::{KnownTensor, axis_at, range_of};
use super::onnx_layers::{Apply, Outcome, Term, at, one};
use super::onnx_nodes::{CONV, Operator, row};
use super::onnx_types::{UINT8, made};
use super::onnx_windows::conv;
use crate::Unary;
use crate::layers::{Extent, ReduceFunction};
use crate::model::Port;
use crate::plan::BinaryFunction;

pub(super) const OPERATORS: &[Operator] = &[
    row("ConvInteger", CONV, conv_integer).takes(4, 1),
    row("DequantizeLinear", &["axis", "block_size", "output_dtype"], dequantize).takes(3, 1),
    row("DynamicQuantizeLinear", &[], dynamic).takes(1, 3),
    row("MatMulInteger", &[], matmul_integer).takes(4, 1),
    row("QLinearConv", CONV, qlinear_conv).takes(9, 1),
    row("QLinearMatMul", &[], qlinear_matmul).takes(8, 1),
    row("QuantizeLinear", &["axis", "block_size", "output_dtype", "precision", "saturate"], quantize).takes(3, 1),
];

/// The range of a type that numbers are quantised to.
fn grid(data_type: i32) -> Outcome<(f32, f32)> {
    match range_of(data_type) {
        Some((least, most)) if most < 1 << 24 => Ok((least as f32, most as f32)),
        _ => Err(format!("numbers are not quantised to {} here", super::onnx_fold::type_name(data_type)).into()),
    }
}

impl Apply<'_> {
    /// Input `index`, one number for each position along `axis` of `rank`, so that it broadcasts.
    fn along(&mut self, index: usize, axis: i64, rank: usize) -> Outcome<Option<Term>> {
        let term = match self.inputs.get(index).and_then(Option::as_ref) {
            None => return Ok(None),
            Some(term) => term.clone(),
        };
        let dims = match &term {
            Term::Known(constant) => constant.shape.iter().map(|&dim| Some(dim)).collect(),
            Term::Made(x) => self.dims(*x),
            Term::Lost => Vec::new(),
        };
        let count = match dims[..] {
            [] | [Some(1)] if rank == 0 || dims.is_empty() || dims == [Some(1)] => {
                return self.as_number(term).map(Some);
            }
            [Some(count)] => count,
            _ => return Err("scales by blocks are only computed of constants".into()),
        };
        let axis = axis_at(axis, rank)?;
        let mut shape = vec![1; rank - axis];
        shape[0] = count;
        Ok(Some(match term {
            Term::Known(constant) => Term::Known(constant.reshaped(shape)?),
            Term::Made(x) => Term::Made(self.view(x, shape.into_iter().map(Extent::Of).collect())?),
            Term::Lost => Term::Lost,
        }))
    }

    /// A tensor of one element as one without axes.
    fn as_number(&mut self, term: Term) -> Outcome<Term> {
        Ok(match term {
            Term::Known(constant) => Term::Known(constant.reshaped(Vec::new())?),
            Term::Made(x) => Term::Made(self.view(x, Vec::new())?),
            Term::Lost => Term::Lost,
        })
    }

    /// `(x − zero) · scale`.
    pub(super) fn dequantized(&mut self, x: Term, scale: Term, zero: Option<Term>) -> Outcome<Term> {
        let centred = match zero {
            Some(zero) => self.pair(BinaryFunction::Subtract, x, zero)?,
            None => x,
        };
        self.pair(BinaryFunction::Multiply, centred, scale)
    }

    /// `x / scale` rounded, halves to the even number, `zero` added, within the range of the type.
    pub(super) fn quantized(&mut self, x: Term, scale: Term, zero: Option<Term>, data_type: i32) -> Outcome<Port> {
        let (min, max) = grid(data_type)?;
        let steps = self.pair(BinaryFunction::Divide, x, scale)?;
        let steps = self.made(&steps)?;
        let whole = Term::Made(self.unary(Unary::Round, steps)?);
        let moved = match zero {
            Some(zero) => self.pair(BinaryFunction::Add, whole, zero)?,
            None => whole,
        };
        let moved = self.made(&moved)?;
        self.unary(Unary::Clip { min, max }, moved)
    }

    /// Input `index` less the zero point that is input `zero`, where there is one; on the host if both are constants.
    fn centred(&mut self, index: usize, zero: Option<Term>) -> Outcome<Term> {
        let term = self.term(index)?;
        match (term, zero) {
            (term, None) => Ok(term),
            (Term::Known(x), Some(Term::Known(zero))) => {
                let floats = |constant: &KnownTensor| {
                    Ok::<_, String>(KnownTensor::floats(
                        constant.shape.clone(),
                        constant.to_floats(self.builder.meter.as_ref())?.to_vec(),
                    ))
                };
                let (x, zero) = (floats(&x)?, floats(&zero)?.expanded(&x.shape, self.meter())?);
                let pairs = x.to_floats(self.meter())?;
                let zeros = zero.to_floats(self.meter())?;
                let values = pairs.iter().zip(zeros.iter()).map(|(x, zero)| x - zero).collect();
                Ok(Term::Known(KnownTensor::floats(x.shape, values)))
            }
            (term, Some(zero)) => self.pair(BinaryFunction::Subtract, term, zero),
        }
    }

    fn rank_of(&self, index: usize) -> usize {
        match self.inputs.get(index).and_then(Option::as_ref) {
            Some(Term::Known(constant)) => constant.shape.len(),
            Some(Term::Made(x)) => self.builder.shape(*x).rank(),
            _ => 0,
        }
    }
}

fn block_free(a: &Apply) -> Outcome<()> {
    match a.node.int("block_size", 0) {
        0 => Ok(()),
        _ => Err(at("block_size", "scales by blocks are only computed of constants")),
    }
}

pub(super) fn quantize(a: &mut Apply) -> Outcome<Vec<Term>> {
    block_free(a)?;
    let (x, axis, rank) = (a.term(0)?, a.node.int("axis", 1), a.rank_of(0));
    let scale = a.along(1, axis, rank)?.ok_or("its scale is missing")?;
    let zero = a.along(2, axis, rank)?;
    let data_type = made(a.node, &a.inputs, &a.types, 0);
    one(a.quantized(x, scale, zero, data_type)?)
}

pub(super) fn dequantize(a: &mut Apply) -> Outcome<Vec<Term>> {
    block_free(a)?;
    let (x, axis, rank) = (a.term(0)?, a.node.int("axis", 1), a.rank_of(0));
    let scale = a.along(1, axis, rank)?.ok_or("its scale is missing")?;
    let zero = a.along(2, axis, rank)?;
    Ok(vec![a.dequantized(x, scale, zero)?])
}

/// Quantised to 8 bits by the range that the values have, 0 among them.
fn dynamic(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let axes: Vec<usize> = (0..a.dims(x).len()).collect();
    let [most, least] = [ReduceFunction::Max, ReduceFunction::Min].map(|function| a.reduced(function, x, &axes, false));
    let most = most?;
    let most = a.number(BinaryFunction::Maximum, most, 0.0)?;
    let least = least?;
    let least = a.number(BinaryFunction::Minimum, least, 0.0)?;
    let range = a.binary(BinaryFunction::Subtract, most, least)?;
    let scale = a.number(BinaryFunction::Divide, range, 255.0)?;
    let minus = a.unary(Unary::Neg, least)?;
    let zero = a.quantized(Term::Made(minus), Term::Made(scale), None, UINT8)?;
    let made = a.quantized(Term::Made(x), Term::Made(scale), Some(Term::Made(zero)), UINT8)?;
    Ok(vec![Term::Made(made), Term::Made(scale), Term::Made(zero)])
}

fn conv_integer(a: &mut Apply) -> Outcome<Vec<Term>> {
    a.constant(3)?;
    let zeros = [a.along(2, 0, a.rank_of(0))?, a.along(3, 0, a.rank_of(1))?];
    integers_convolved(a, 1, zeros)
}

/// The convolution of input 0 with input `weights`, each less its zero point. Pads are zeros of that.
fn integers_convolved(a: &mut Apply, weights: usize, zeros: [Option<Term>; 2]) -> Outcome<Vec<Term>> {
    a.required(weights)?;
    let [of_x, of_weights] = zeros;
    if let Some(Term::Made(_)) = of_weights {
        return Err("the zero point of its weights must be a constant".into());
    }
    let x = a.centred(0, of_x)?;
    let weights = a.centred(weights, of_weights)?;
    a.inputs = vec![Some(x), Some(weights)];
    conv(a)
}

fn matmul_integer(a: &mut Apply) -> Outcome<Vec<Term>> {
    let [of_left, of_right] = [a.zero_of_rows(2, 0)?, a.zero_of_columns(3, 1)?];
    let left = a.centred(0, of_left)?;
    let right = a.centred(1, of_right)?;
    one(a.product(left, right)?)
}

impl Apply<'_> {
    /// The zero points of a matrix's rows.
    fn zero_of_rows(&mut self, index: usize, of: usize) -> Outcome<Option<Term>> {
        let rank = self.rank_of(of);
        if rank < 2 || self.rank_of(index) > 1 {
            return Ok(self.inputs.get(index).cloned().flatten());
        }
        self.along(index, rank as i64 - 2, rank)
    }

    /// The zero points of a matrix's columns.
    fn zero_of_columns(&mut self, index: usize, of: usize) -> Outcome<Option<Term>> {
        let rank = self.rank_of(of);
        if self.rank_of(index) > 1 { Ok(self.inputs[index].clone()) } else { self.along(index, rank as i64 - 1, rank) }
    }

    /// `product · left scale · right scale`, quantised again by the inputs from `out` on: its scale and its zero point.
    fn requantized(&mut self, product: Term, scales: [Term; 2], out: usize) -> Outcome<Port> {
        let [left, right] = scales;
        let scaled = self.pair(BinaryFunction::Multiply, product, left)?;
        let scaled = self.pair(BinaryFunction::Multiply, scaled, right)?;
        let scale = self.along(out, 0, 1)?.ok_or("its scale is missing")?;
        let zero = self.along(out + 1, 0, 1)?;
        let data_type = self.type_of(out + 1);
        self.quantized(scaled, scale, zero, data_type)
    }
}

fn qlinear_conv(a: &mut Apply) -> Outcome<Vec<Term>> {
    let rank = a.rank_of(0);
    a.constant(5)?;
    let zeros = [a.along(2, 0, rank)?, a.along(5, 0, a.rank_of(3))?];
    let scales = [a.along(1, 0, rank)?, a.along(4, 1, rank)?].map(|scale| scale.ok_or("its scale is missing"));
    let [x_scale, weight_scale] = scales;
    let (x_scale, weight_scale, bias) = (x_scale?, weight_scale?, a.along(8, 1, rank)?);
    let all = a.inputs.clone();
    let mut product = integers_convolved(a, 3, zeros)?.swap_remove(0);
    a.inputs = all;
    if let Some(bias) = bias {
        product = a.pair(BinaryFunction::Add, product, bias)?;
    }
    one(a.requantized(product, [x_scale, weight_scale], 6)?)
}

fn qlinear_matmul(a: &mut Apply) -> Outcome<Vec<Term>> {
    let [of_left, of_right] = [a.zero_of_rows(2, 0)?, a.zero_of_columns(5, 3)?];
    let scales = [a.zero_of_rows(1, 0)?, a.zero_of_columns(4, 3)?].map(|scale| scale.ok_or("its scale is missing"));
    let [left_scale, right_scale] = scales;
    let (left_scale, right_scale) = (left_scale?, right_scale?);
    let left = a.centred(0, of_left)?;
    let right = a.centred(3, of_right)?;
    let product = Term::Made(a.product(left, right)?);
    one(a.requantized(product, [left_scale, right_scale], 6)?)
}
