//! The element types of what ONNX nodes make, and what whole numbers and truth values come to in a model of f32.
//!
//! A model computes in floating point. Whole numbers are carried as f32, exactly up to 2^24, and truth values as 0 and 1. So
//! a division must be cut to a whole number, a cast must cut off the fraction, and what is made of numbers of 8 or 16 bits
//! must be brought into their range, as it wraps around there.

use super::onnx_fold::{Kind, KnownTensor, kind_of, rounding, type_name};
use super::onnx_layers::{Apply, Outcome, Term, at};
use super::onnx_proto::NodeProto;
use crate::layers::ActivationLayer;
use crate::model::Port;
use crate::plan::BinaryFunction;
use crate::{Activation, DTypePolicy, Rounding, Unary};

pub(super) const FLOAT: i32 = 1;
pub(super) const UINT8: i32 = 2;
pub(super) const INT8: i32 = 3;
pub(super) const INT32: i32 = 6;
pub(super) const INT64: i32 = 7;
pub(super) const BOOL: i32 = 9;

/// The element type of output `index` of `node`, which layers make of inputs of these types.
pub(super) fn made(node: &NodeProto, inputs: &[Option<Term>], types: &[i32], index: usize) -> i32 {
    let of = |input: usize| types.get(input).copied().unwrap_or(FLOAT);
    let attribute = |name: &str, none: i32| i32::try_from(node.int(name, none.into())).unwrap_or(none);
    // A constant's own type is not kept, so what the model computes goes first.
    let is_made = |place: &usize| matches!(inputs.get(*place), Some(Some(Term::Made(_))));
    let first_made = |among: std::ops::Range<usize>| of(among.clone().find(is_made).unwrap_or(among.start));
    match (node.op_type.as_str(), index) {
        (
            "And" | "Equal" | "Greater" | "GreaterOrEqual" | "IsInf" | "IsNaN" | "Less" | "LessOrEqual" | "Not" | "Or"
            | "Xor",
            _,
        ) => BOOL,
        ("Dropout", 1) => BOOL,
        ("ArgMax" | "ArgMin" | "NonMaxSuppression" | "NonZero" | "Shape" | "Size", _) | ("MaxPool" | "TopK", 1) => {
            INT64
        }
        ("Unique", 1..) => INT64,
        ("Cast", _) => attribute("to", FLOAT),
        ("CastLike", _) => of(1),
        ("ConvInteger" | "MatMulInteger", _) => INT32,
        ("DequantizeLinear", _) | ("DynamicQuantizeLinear", 1) => FLOAT,
        ("DynamicQuantizeLinear", _) => UINT8,
        ("OneHot", _) => of(2),
        ("Constant" | "ConstantOfShape", _) => {
            let tensor = node.attribute("value").and_then(|attribute| attribute.t.as_ref());
            let whole = ["value_int", "value_ints"].into_iter().any(|name| node.attribute(name).is_some());
            tensor.map_or(if whole { INT64 } else { FLOAT }, |tensor| tensor.data_type)
        }
        ("QLinearAdd" | "QLinearConv" | "QLinearMatMul" | "QLinearMul", _) => of(7),
        ("QuantizeLinear", _) => match (attribute("output_dtype", 0), inputs.get(2)) {
            (0, Some(Some(_))) => of(2),
            (0, _) => UINT8,
            (given, _) => given,
        },
        ("Where", _) => first_made(1..3),
        ("Pow", _) => of(0),
        ("Add" | "Concat" | "Div" | "Max" | "Mean" | "Min" | "Mod" | "Mul" | "PRelu" | "Sub" | "Sum", _) => {
            first_made(0..types.len())
        }
        _ => of(0),
    }
}

impl Apply<'_> {
    /// `function` of `x` and a number on its right.
    pub(super) fn number(&mut self, function: BinaryFunction, x: Port, number: f32) -> Outcome<Port> {
        self.binary_with(function, x, &KnownTensor::floats(Vec::new(), vec![number]), false)
    }

    /// `x` rounded to fewer bits: what a layer of such numbers reads.
    fn rounded(&mut self, x: Port, rounding: Rounding) -> Outcome<Port> {
        let policy = match rounding {
            Rounding::BFloat16 => DTypePolicy::BFloat16,
            Rounding::Float16 => DTypePolicy::EmulatedFloat16,
        };
        self.layer(ActivationLayer::new(Activation::Linear).dtype(policy), &[x])
    }

    /// `x` without its fraction.
    pub(super) fn cut(&mut self, x: Port) -> Outcome<Port> {
        let fraction = self.number(BinaryFunction::Remainder, x, 1.0)?;
        self.binary(BinaryFunction::Subtract, x, fraction)
    }

    /// `yes` where `condition` is not 0, else `no`, broadcast as NumPy does.
    pub(super) fn chosen(&mut self, condition: &Term, yes: Term, no: Term) -> Outcome<Port> {
        let condition = Term::Made(self.made(condition)?);
        let yes = self.pair(BinaryFunction::Where, yes, condition.clone())?;
        let no = self.pair(BinaryFunction::WhereNot, no, condition)?;
        let both = self.pair(BinaryFunction::Add, yes, no)?;
        self.made(&both)
    }

    /// The whole quotient of whole numbers, rounded towards 0. What is divided is a whole multiple, so that rounding mends
    /// whatever error a division has.
    pub(super) fn whole_quotient(&mut self, left: Term, right: Term) -> Outcome<Port> {
        let (left, right) = (self.made(&left)?, self.made(&right)?);
        let [size, divisor] = [self.unary(Unary::Abs, left)?, self.unary(Unary::Abs, right)?];
        let rest = self.binary(BinaryFunction::Modulo, size, divisor)?;
        let multiple = self.binary(BinaryFunction::Subtract, size, rest)?;
        let quotient = self.binary(BinaryFunction::Divide, multiple, divisor)?;
        let quotient = self.unary(Unary::Round, quotient)?;
        let [left, right] = [self.unary(Unary::Sign, left)?, self.unary(Unary::Sign, right)?];
        let sign = self.binary(BinaryFunction::Multiply, left, right)?;
        self.binary(BinaryFunction::Multiply, quotient, sign)
    }

    /// `x`, which arithmetic has made of whole numbers, in the range of their type.
    pub(super) fn wrapped(&mut self, x: Port, data_type: i32) -> Outcome<Port> {
        let (least, count) = match data_type {
            UINT8 => (0.0, 256.0),
            INT8 => (-128.0, 256.0),
            4 => (0.0, 65536.0),
            5 => (-32768.0, 65536.0),
            _ => return Ok(x),
        };
        let above = self.affine(x, 1.0, -least)?;
        let rest = self.number(BinaryFunction::Modulo, above, count)?;
        self.affine(rest, 1.0, least)
    }

    /// What arithmetic makes, in the range of the type that the node's values have.
    pub(super) fn fitted(&mut self, term: Term) -> Outcome<Term> {
        let data_type = made(self.node, &self.inputs, &self.types, 0);
        match term {
            Term::Made(x) if kind_of(data_type) == Some(Kind::Int) => self.wrapped(x, data_type).map(Term::Made),
            term => Ok(term),
        }
    }

    /// What floating point makes of the first input: of whole numbers, cut off towards 0, in the range of their type.
    pub(super) fn cut_fitted(&mut self, terms: Vec<Term>) -> Outcome<Vec<Term>> {
        match terms[..] {
            [Term::Made(x)] if self.is_whole(0) => {
                let whole = self.cut(x)?;
                Ok(vec![self.fitted(Term::Made(whole))?])
            }
            _ => Ok(terms),
        }
    }

    /// `function` of the first input, in the range of its type.
    pub(super) fn map_fitted(&mut self, function: Unary) -> Outcome<Vec<Term>> {
        let x = self.value(0)?;
        let made = Term::Made(self.unary(function, x)?);
        Ok(vec![self.fitted(made)?])
    }

    /// `x`, of elements of one type, as those of another.
    pub(super) fn converted(&mut self, x: Port, from: i32, to: i32) -> Outcome<Port> {
        match (kind_of(from), kind_of(to)) {
            _ if from == to => Ok(x),
            (_, Some(Kind::Bool)) => self.number(BinaryFunction::NotEqual, x, 0.0),
            (Some(Kind::Bool), Some(_)) => Ok(x),
            (_, Some(Kind::Float)) => rounding(to).map_or(Ok(x), |rounding| self.rounded(x, rounding)),
            (Some(Kind::Int), Some(Kind::Int)) => self.wrapped(x, to),
            (_, Some(Kind::Int)) => self.cut(x),
            _ => Err(at("to", format!("the model's values cannot become {}", type_name(to)))),
        }
    }
}
