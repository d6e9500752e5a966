//! Activations by themselves, and changes of type.
//!
//! A convolution has its own activation in its problem. The activation of another layer, such as a `ReLU` behind a
//! batch normalization, is an operation by itself. Where the value before is made by a convolution or a function of two
//! values and is read nowhere else, a rule moves the activation into that one's epilogue (epilogue fusion:
//! `rewrite/epilogue.rs`); else it runs as written. Softmax and its kin work along an axis (`reduce.rs`).

use std::sync::Arc;

use super::reduce::along_axis;
use super::{Kernel, Reads, Tape, Value};
use crate::geometry::extent;
use crate::plan::{AxisFunction, CastProblem, Elementwise, MapProblem, Operand, Problem};
use crate::{Activation, DType, Result, Rounding};

/// `activation(input)`.
pub(crate) fn activate(tape: &mut Tape, activation: &Activation, input: Value) -> Result<Value> {
    if let (Some(function), Some(axis)) = (AxisFunction::new(activation), activation.axis()) {
        return along_axis(tape, function, axis, input);
    }
    match Elementwise::new(activation) {
        None | Some(Elementwise::LINEAR) => Ok(input),
        Some(activation) => map(tape, activation, input),
    }
}

/// A constant as a value of the tape, of extents `dims`.
pub(crate) fn value_of(tape: &mut Tape, kernel: &Arc<Kernel>, dims: &[usize]) -> Result<Value> {
    let elements = extent(dims.iter().product())?;
    let linear = MapProblem { elements, dtype: kernel.dtype(), activation: Elementwise::LINEAR };
    let reads = Reads::none().constant(Operand::Input, kernel);
    tape.step(Problem::Map(linear), reads, dims.to_vec().into(), kernel.dtype())
}

/// An element-wise function of `input`.
pub(crate) fn map(tape: &mut Tape, activation: Elementwise, input: Value) -> Result<Value> {
    let problem = MapProblem { elements: tape.elements(input), dtype: tape.dtype(input), activation };
    tape.step(Problem::Map(problem), input, tape.shape(input).clone(), problem.dtype)
}

/// `input` as `dtype`, rounded to a narrower format on the way where `rounding` asks for it.
pub(crate) fn cast(tape: &mut Tape, dtype: DType, rounding: Option<Rounding>, input: Value) -> Result<Value> {
    let from = tape.dtype(input);
    if from == dtype && rounding.is_none() {
        return Ok(input);
    }
    let output = tape.uninitialized(tape.shape(input).clone(), dtype)?;
    let problem = CastProblem { elements: tape.elements(input), from, to: dtype, rounding };
    tape.step_into(Problem::Cast(problem), input, output);
    Ok(output)
}

/// `input` rounded to the narrower format of an emulated type, where the layer being lowered computes in one.
pub(crate) fn rounded(tape: &mut Tape, input: Value) -> Result<Value> {
    cast(tape, tape.dtype(input), tape.rounding, input)
}
