//! Functions along axes: softmax and its kin along one, and reductions (sum, mean, largest, norm) over any.
//!
//! A kernel works along one axis of `[outer, extent, inner]`. An array of any rank is brought to that: neighbouring
//! axes are one, and axes that are no neighbours are reduced one run after the other. A global average pooling is a
//! mean over height and width.

use std::ops::Range;

use super::{Span, Tape, Value, gather, index_of};
use crate::geometry::extent;
use crate::plan::{AxisFunction, AxisProblem, Outside, Problem};
use crate::{Error, Result};

/// `function` along `axis` of `input`, negative axes counted from the end.
pub(crate) fn along_axis(tape: &mut Tape, function: AxisFunction, axis: i32, input: Value) -> Result<Value> {
    let shape = tape.shape(input);
    let index = index_of(axis, shape)?;
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

/// The reduction `function` over `axes`, which stay with extent 1 or go.
///
/// Axes that are no neighbours are reduced one run after the other, the innermost first.
///
/// # Errors
/// [`Error::Invalid`] where nothing is there to take the mean of.
pub(crate) fn reduce(
    tape: &mut Tape,
    function: AxisFunction,
    axes: &[usize],
    keepdims: bool,
    input: Value,
) -> Result<Value> {
    let dims = tape.shape(input).dims().to_vec();
    let (reduced, kept): (Vec<_>, Vec<_>) = (0..dims.len()).partition(|axis| axes.contains(axis));
    if reduced.iter().any(|&axis| dims[axis] == 0) && kept.iter().all(|&axis| dims[axis] > 0) {
        return nothing(tape, function, axes, keepdims, input);
    }
    let runs = runs(axes, dims.len());
    let mut value = input;
    for (index, run) in runs.iter().enumerate() {
        let (first, last) = (index == 0, index + 1 == runs.len());
        // What is squared, or its logarithm taken, must be so once.
        let function = match function {
            AxisFunction::SumSquare if !first => AxisFunction::Sum,
            AxisFunction::LogSum if !last => AxisFunction::Sum,
            other => other,
        };
        let mut output = tape.shape(value).dims().to_vec();
        output[run.clone()].fill(1);
        value = record(tape, function, run.clone(), output, value)?;
    }
    if keepdims {
        return Ok(value);
    }
    without(tape, axes, &dims, value)
}

/// [`reduce`] of sets without elements: what ONNX says it is of each function.
fn nothing(tape: &mut Tape, function: AxisFunction, axes: &[usize], keepdims: bool, input: Value) -> Result<Value> {
    let value = match function {
        AxisFunction::Max | AxisFunction::LogSum | AxisFunction::LogSumExp => f32::NEG_INFINITY,
        AxisFunction::Min => f32::INFINITY,
        AxisFunction::Mean => {
            return Err(Error::invalid(
                "input",
                "a mean must be taken over at least one value",
                format!("input shape={}", tape.shape(input)),
            ));
        }
        _ => 0.0,
    };
    let dims = tape.shape(input).dims().to_vec();
    // All of it lies outside of the input.
    let span = |(axis, &dim): (usize, &usize)| Span::whole(if axes.contains(&axis) { 1 } else { dim });
    let spans: Vec<Span> = dims.iter().enumerate().map(span).collect();
    let value = gather(tape, &spans, Outside::fill(value), input)?;
    if keepdims { Ok(value) } else { without(tape, axes, &dims, value) }
}

/// `value` without the axes that a reduction left with extent 1, where the input had extents `dims`.
fn without(tape: &mut Tape, axes: &[usize], dims: &[usize], value: Value) -> Result<Value> {
    let kept = dims.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, &dim)| dim);
    tape.reshape(value, kept.collect::<Vec<_>>())
}

/// `axes` of `rank` as runs of neighbours, the last first.
fn runs(axes: &[usize], rank: usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for axis in (0..rank).rev().filter(|axis| axes.contains(axis)) {
        match runs.last_mut() {
            Some(run) if run.start == axis + 1 => run.start = axis,
            _ => runs.push(axis..axis + 1),
        }
    }
    runs
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
    tape.step(Problem::AlongAxis(problem), input, output.into(), problem.dtype)
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn neighbours_are_reduced_together() {
        assert_eq!(runs(&[2, 1], 4), vec![1..3; 1]);
        assert_eq!(runs(&[0, 3, 2], 4), [2..4, 0..1]);
        assert!(runs(&[], 3).is_empty());
    }
}
