//! ONNX's comparisons, logic and casts, and functions that are several of the layers here.

use super::onnx_fold::{Kind, kind_of, type_name};
use super::onnx_layers::{Apply, Outcome, Term, at, one};
use super::onnx_nodes::{Operator, row};
use crate::Unary;
use crate::plan::BinaryFunction;

pub(super) const OPERATORS: &[Operator] = &[
    row("Acos", &[], inverse_sine),
    row("And", &["axis", "broadcast"], |a| a.compared(BinaryFunction::LogicalAnd)).takes(2, 1),
    row("Asin", &[], inverse_sine),
    row("Atan", &[], |a| {
        let x = a.value(0)?;
        one(a.number(BinaryFunction::Arctangent, x, 1.0)?)
    }),
    row("Cast", &["saturate", "to", "round_mode"], cast),
    row("CastLike", &["saturate", "round_mode"], cast_like).takes(2, 1),
    row("Equal", &["axis", "broadcast"], |a| a.compared(BinaryFunction::Equal)).takes(2, 1),
    row("Greater", &["axis", "broadcast"], |a| a.compared(BinaryFunction::Greater)).takes(2, 1),
    row("GreaterOrEqual", &[], |a| a.compared(BinaryFunction::GreaterEqual)).takes(2, 1),
    row("IsInf", &["detect_negative", "detect_positive"], is_infinite),
    row("Less", &["axis", "broadcast"], |a| a.compared(BinaryFunction::Less)).takes(2, 1),
    row("LessOrEqual", &[], |a| a.compared(BinaryFunction::LessEqual)).takes(2, 1),
    row("Mod", &["fmod"], modulo).takes(2, 1),
    row("Not", &[], |a| {
        let x = a.value(0)?;
        one(a.number(BinaryFunction::Equal, x, 0.0)?)
    }),
    row("Or", &["axis", "broadcast"], |a| a.compared(BinaryFunction::LogicalOr)).takes(2, 1),
    row("Where", &[], |a| {
        let [condition, yes, no] = [a.term(0)?, a.term(1)?, a.term(2)?];
        one(a.chosen(&condition, yes, no)?)
    })
    .takes(3, 1),
    row("Xor", &["axis", "broadcast"], |a| a.compared(BinaryFunction::LogicalXor)).takes(2, 1),
];

impl Apply<'_> {
    /// A function of two that makes a truth value.
    fn compared(&mut self, function: BinaryFunction) -> Outcome<Vec<Term>> {
        let left = self.term(0)?;
        let right = self.term(1)?;
        let right = self.aligned(&left, right)?;
        Ok(vec![self.pair(function, left, right)?])
    }
}

fn cast(a: &mut Apply) -> Outcome<Vec<Term>> {
    let to = i32::try_from(a.node.int("to", 0)).unwrap_or(0);
    if kind_of(to).is_none() {
        return Err(at("to", format!("the model's values cannot become {}", type_name(to))));
    }
    let x = a.value(0)?;
    one(a.converted(x, a.type_of(0), to)?)
}

fn cast_like(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    one(a.converted(x, a.type_of(0), a.type_of(1))?)
}

fn modulo(a: &mut Apply) -> Outcome<Vec<Term>> {
    let truncated = a.node.int("fmod", 0) != 0;
    if !truncated && kind_of(a.type_of(0)) == Some(Kind::Float) {
        return Err(at("fmod", "it must be 1 for floating point"));
    }
    let function = if truncated { BinaryFunction::Remainder } else { BinaryFunction::Modulo };
    let (left, right) = (a.term(0)?, a.term(1)?);
    if truncated && a.is_whole(0) {
        // By the quotient that is exact.
        let quotient = a.whole_quotient(left.clone(), right.clone())?;
        let multiple = a.pair(BinaryFunction::Multiply, Term::Made(quotient), right)?;
        return Ok(vec![a.pair(BinaryFunction::Subtract, left, multiple)?]);
    }
    Ok(vec![a.pair(function, left, right)?])
}

fn is_infinite(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let [negative, positive] = ["detect_negative", "detect_positive"].map(|name| a.node.int(name, 1) != 0);
    one(match (negative, positive) {
        (true, true) => {
            let size = a.unary(Unary::Abs, x)?;
            a.number(BinaryFunction::Greater, size, f32::MAX)?
        }
        (true, false) => a.number(BinaryFunction::Less, x, -f32::MAX)?,
        (false, true) => a.number(BinaryFunction::Greater, x, f32::MAX)?,
        // Nothing is what is not asked for.
        (false, false) => a.number(BinaryFunction::Where, x, 0.0)?,
    })
}

/// The angle of a point of the unit circle of which one coordinate is known.
fn inverse_sine(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let [less, more] = [a.affine(x, -1.0, 1.0)?, a.affine(x, 1.0, 1.0)?];
    let square = a.binary(BinaryFunction::Multiply, less, more)?;
    let other = a.unary(Unary::Sqrt, square)?;
    let [y, x] = if a.node.op_type == "Asin" { [x, other] } else { [other, x] };
    one(a.binary(BinaryFunction::Arctangent, y, x)?)
}
