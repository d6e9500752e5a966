//! Functions along axes.

use std::ops::Range;

use super::{Tape, Value};
use crate::geometry::{axis_index, extent};
use crate::plan::{AxisFunction, AxisProblem, Problem};
use crate::{Error, Result};

/// `function` along `axis` of `input`, negative axes counted from the end.
pub(crate) fn along_axis(tape: &mut Tape, function: AxisFunction, axis: i32, input: Value) -> Result<Value> {
    let shape = tape.shape(input);
    let index = axis_index(axis, shape.rank()).ok_or_else(|| {
        Error::invalid("axis", "the axis must be one of the input's", format!("axis={axis}, input shape={shape}"))
    })?;
    let dims = shape.dims();
    if function == AxisFunction::Glu && !dims[index].is_multiple_of(2) {
        return Err(Error::invalid(
            "activation",
            "glu must be given an even extent along its axis",
            format!("axis={axis}, input shape={shape}"),
        ));
    }
    let mut output = dims.to_vec();
    output[index] = function.output_extent(extent(dims[index])?) as usize;
    record(tape, function, index..index + 1, output, input)
}

/// The mean over `axes`, which the output does not have.
pub(crate) fn mean(tape: &mut Tape, axes: Range<usize>, input: Value) -> Result<Value> {
    let shape = tape.shape(input);
    let dims = shape.dims();
    if dims[axes.clone()].contains(&0) {
        return Err(Error::invalid(
            "input",
            "a mean must be taken over at least one value",
            format!("input shape={shape}"),
        ));
    }
    let output = [&dims[..axes.start], &dims[axes.end..]].concat();
    record(tape, AxisFunction::Mean, axes, output, input)
}

fn record(
    tape: &mut Tape,
    function: AxisFunction,
    axes: Range<usize>,
    output: Vec<usize>,
    input: Value,
) -> Result<Value> {
    let dims = tape.shape(input).dims();
    let product = |dims: &[usize]| extent(dims.iter().product());
    let problem = AxisProblem {
        function,
        outer: product(&dims[..axes.start])?,
        extent: product(&dims[axes.clone()])?,
        inner: product(&dims[axes.end..])?,
        dtype: tape.dtype(input),
    };
    tape.step(Problem::AlongAxis(problem), input, output.into())
}
