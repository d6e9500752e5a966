//! Functions along axes.

use std::ops::Range;

use super::unary;
use crate::geometry::{axis_index, extent};
use crate::gpu::Commands;
use crate::plan::{AxisFunction, AxisProblem, Problem};
use crate::{Error, Result, Tensor};

/// `function` along `axis` of `input`, negative axes counted from the end.
pub(crate) fn along_axis(commands: &mut Commands, function: AxisFunction, axis: i32, input: &Tensor) -> Result<Tensor> {
    let index = axis_index(axis, input.shape().rank()).ok_or_else(|| {
        Error::invalid(
            "axis",
            "the axis must be one of the input's",
            format!("axis={axis}, input shape={}", input.shape()),
        )
    })?;
    let dims = input.shape().dims();
    if function == AxisFunction::Glu && !dims[index].is_multiple_of(2) {
        return Err(Error::invalid(
            "activation",
            "glu must be given an even extent along its axis",
            format!("axis={axis}, input shape={}", input.shape()),
        ));
    }
    let mut output = dims.to_vec();
    output[index] = function.output_extent(extent(dims[index])?) as usize;
    record(commands, function, index..index + 1, output, input)
}

/// The mean over `axes`, which the output does not have.
pub(crate) fn mean(commands: &mut Commands, axes: Range<usize>, input: &Tensor) -> Result<Tensor> {
    let dims = input.shape().dims();
    if dims[axes.clone()].contains(&0) {
        return Err(Error::invalid(
            "input",
            "a mean must be taken over at least one value",
            format!("input shape={}", input.shape()),
        ));
    }
    let output = [&dims[..axes.start], &dims[axes.end..]].concat();
    record(commands, AxisFunction::Mean, axes, output, input)
}

fn record(
    commands: &mut Commands,
    function: AxisFunction,
    axes: Range<usize>,
    output: Vec<usize>,
    input: &Tensor,
) -> Result<Tensor> {
    let dims = input.shape().dims();
    let product = |dims: &[usize]| extent(dims.iter().product());
    let problem = AxisProblem {
        function,
        outer: product(&dims[..axes.start])?,
        extent: product(&dims[axes.clone()])?,
        inner: product(&dims[axes.end..])?,
        dtype: input.dtype(),
    };
    let output = Tensor::uninitialized(input.gpu(), output.into(), input.dtype())?;
    unary(commands, &Problem::AlongAxis(problem), input, &output)?;
    Ok(output)
}
