//! What is drawn at random, in training.
//!
//! Each operation that draws has a number of its own on the tape, and reads the number of the step: two operations differ in
//! what they draw, and so do two steps, whatever the seeds.

use super::{Kernel, Numbers, Reads, Tape, Value};
use crate::geometry::extent;
use crate::plan::{NoiseFunction, NoiseProblem, Operand, Problem};
use crate::{DType, Result, Shape};

/// Every element of `input` changed at random, by a generator that starts at `seed`.
pub(crate) fn noise(tape: &mut Tape, function: NoiseFunction, seed: u64, input: Value) -> Result<Value> {
    let (shape, dtype) = (tape.shape(input).clone(), tape.dtype(input));
    write(tape, function, seed, Reads::of(input), shape, dtype)
}

/// `noise` of a tensor that holds `value` in every element.
pub(crate) fn drawn(
    tape: &mut Tape,
    function: NoiseFunction,
    seed: u64,
    value: f32,
    shape: impl Into<Shape>,
    dtype: DType,
) -> Result<Value> {
    let shape = shape.into();
    let elements = shape.dims().iter().product();
    let kernel = Kernel::of_values(shape.clone(), vec![value; elements], Numbers { dtype, rounding: None });
    write(tape, function, seed, Reads::none().constant(Operand::Input, &kernel), shape, dtype)
}

fn write(
    tape: &mut Tape,
    function: NoiseFunction,
    seed: u64,
    reads: Reads,
    shape: Shape,
    dtype: DType,
) -> Result<Value> {
    let elements = extent(shape.dims().iter().product())?;
    let (step, site) = tape.draw()?;
    let seed = [seed as u32, (seed >> 32) as u32];
    let problem = NoiseProblem { function, first: 0, elements, seed, site, dtype };
    tape.step(Problem::Noise(problem), reads.value(Operand::Clock, step), shape, dtype)
}
