//! Elements put elsewhere: permuted, padded, cut, repeated, joined.
//!
//! `Permute`, `ZeroPadding2D`, `Cropping2D`, `RepeatVector`, `Concatenate`, and slices with steps: nothing is computed,
//! elements are copied from one place to another. Each function here says, axis by axis, which input coordinate an
//! output coordinate reads. All of them come to one problem, a strided copy (`kernels/move_axes.rs`). A reshape is not
//! among them: it copies nothing.

use super::{Tape, Value};
use crate::geometry::{ConvGeometry, extent, indexable};
use crate::plan::{MoveAxis, MoveProblem, Outside, Problem, Reach};
use crate::strides::{broadcast_strides, row_major};
use crate::{DType, Error, Result, Shape};

/// How the coordinates of one output axis become coordinates of the input's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Coordinates of the output.
    pub(crate) extent: usize,
    /// Where the first lies in the input, in repeats; negative before it.
    pub(crate) start: i64,
    /// From one to the next; negative runs backwards.
    pub(crate) step: i64,
    /// Output coordinates that share one of the input.
    pub(crate) repeat: u32,
}

impl Span {
    /// Every coordinate in its place.
    pub(crate) const fn whole(extent: usize) -> Self {
        Self { extent, start: 0, step: 1, repeat: 1 }
    }

    /// `before` coordinates more, or less where negative, of `extent` in all.
    pub(crate) const fn shifted(extent: usize, before: i64) -> Self {
        Self { extent, start: -before, step: 1, repeat: 1 }
    }
}

/// `input` with its axes in another order: axis `i` of the output is axis `order[i]` of the input.
pub(crate) fn permute(tape: &mut Tape, order: &[usize], input: Value) -> Result<Value> {
    let dims = tape.shape(input).dims().to_vec();
    let output: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
    let moved: Vec<usize> = order.iter().copied().filter(|&axis| dims[axis] != 1).collect();
    if moved.is_sorted() {
        return tape.reshape(input, output);
    }
    let problem = permutation(&dims, order, tape.dtype(input))?;
    tape.step(Problem::Move(problem), input, output.into(), problem.dtype)
}

/// The axes of a tensor of extents `dims` in another order.
pub(super) fn permutation(dims: &[usize], order: &[usize], dtype: DType) -> Result<MoveProblem> {
    let from = row_major(dims);
    let output: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
    let strides: Vec<usize> = order.iter().map(|&axis| from[axis]).collect();
    strided(&output, &strides, dtype)
}

/// `input` repeated along axes of extent 1, and along new ones before them, to `shape`, to which it must broadcast.
pub(crate) fn expand(tape: &mut Tape, shape: &[usize], input: Value) -> Result<Value> {
    let dims = tape.shape(input).dims();
    if dims == shape {
        return Ok(input);
    }
    let strides = broadcast_strides(dims, shape);
    read(tape, input, shape.to_vec(), &strides)
}

/// An output of extents `output`, read from `input` with these strides.
fn read(tape: &mut Tape, input: Value, output: Vec<usize>, strides: &[usize]) -> Result<Value> {
    let problem = strided(&output, strides, tape.dtype(input))?;
    tape.step(Problem::Move(problem), input, output.into(), problem.dtype)
}

/// Position `row` of the first axis of a tensor of extents `dims`.
pub(super) fn row(dims: &[usize], row: usize, dtype: DType) -> Result<MoveProblem> {
    let inner: usize = dims[1..].iter().product();
    let reach = Reach { source: extent(dims[0])?, start: extent(row)? as i32, step: 1, repeat: 1 };
    let axes = [MoveAxis { reach: Some(reach), ..plain(1, inner, extent(inner)?)? }, plain(inner, 1, 1)?];
    MoveProblem::new(&axes, 0, Outside::ZERO, dtype)
}

fn strided(output: &[usize], strides: &[usize], dtype: DType) -> Result<MoveProblem> {
    let to = written(output)?;
    let axes = output.iter().zip(strides).zip(to).map(|((&dim, &from), to)| plain(dim, from, to));
    let axes = axes.collect::<Result<Vec<_>>>()?;
    MoveProblem::new(&axes, 0, Outside::ZERO, dtype)
}

/// `extent` positions of an axis of `input`, from `start` on.
pub(crate) fn part(tape: &mut Tape, axis: usize, start: usize, extent: usize, input: Value) -> Result<Value> {
    let mut spans: Vec<Span> = tape.shape(input).dims().iter().map(|&extent| Span::whole(extent)).collect();
    spans[axis] = Span { start: start as i64, ..Span::whole(extent) };
    gather(tape, &spans, Outside::ZERO, input)
}

/// `input` padded, cut, stepped through, reversed or repeated, as a span of each axis says; what lies outside reads as
/// `outside`.
pub(crate) fn gather(tape: &mut Tape, spans: &[Span], outside: Outside, input: Value) -> Result<Value> {
    let dims = tape.shape(input).dims().to_vec();
    if spans.iter().zip(&dims).all(|(span, &dim)| *span == Span::whole(dim)) {
        return Ok(input);
    }
    let output: Vec<usize> = spans.iter().map(|span| span.extent).collect();
    let (from, to) = (row_major(&dims), written(&output)?);
    let mut axes = Vec::with_capacity(dims.len());
    for (((span, &dim), from), to) in spans.iter().zip(&dims).zip(from).zip(to) {
        let narrow = |value: i64| {
            i32::try_from(value)
                .map_err(|_| Error::limit("positions along a moved axis", value.unsigned_abs(), i32::MAX as u64))
        };
        let reach =
            Reach { source: extent(dim)?, start: narrow(span.start)?, step: narrow(span.step)?, repeat: span.repeat };
        axes.push(MoveAxis { reach: Some(reach), ..plain(span.extent, from, to)? });
    }
    let problem = MoveProblem::new(&axes, 0, outside, tape.dtype(input))?;
    tape.step(Problem::Move(problem), input, output.into(), problem.dtype)
}

/// A convolution's kernel `[tap, j, g·group_out + f]` turned around, `[taps − 1 − tap, f, g·group_in + j]`: with it the
/// convolution of what is written gives the gradient of what is read.
pub(super) fn turned(geometry: &ConvGeometry, dtype: DType) -> Result<MoveProblem> {
    let [taps, groups] = [extent(geometry.taps() as usize)?, geometry.groups];
    let [inner, outer] = [geometry.group_in(), geometry.group_out()];
    let axis = |extent: u32, from: u32, to: u32, backwards: bool| {
        let (start, step) = if backwards { (extent as i32 - 1, -1) } else { (0, 1) };
        MoveAxis { extent, from: from as i32, to, reach: Some(Reach { source: extent, start, step, repeat: 1 }) }
    };
    let axes = [
        axis(taps, inner * groups * outer, inner * groups * outer, true),
        axis(outer, 1, groups * inner, false),
        axis(groups, outer, inner, false),
        axis(inner, groups * outer, 1, false),
    ];
    MoveProblem::new(&axes, 0, Outside::ZERO, dtype)
}

/// `inputs`, which agree but for `axis`, joined along it.
pub(crate) fn concatenate(tape: &mut Tape, axis: usize, inputs: &[Value]) -> Result<Value> {
    if let [only] = inputs {
        return Ok(*only);
    }
    let mut output = tape.shape(inputs[0]).dims().to_vec();
    output[axis] = inputs.iter().map(|&input| tape.shape(input).dims()[axis]).sum();
    let to = written(&output)?;
    let joined = tape.uninitialized(output.into(), tape.dtype(inputs[0]))?;
    let mut before = 0;
    for &input in inputs {
        let dims = tape.shape(input).dims().to_vec();
        let axes = dims.iter().zip(row_major(&dims)).zip(&to).map(|((&dim, from), &to)| plain(dim, from, to));
        let axes = axes.collect::<Result<Vec<_>>>()?;
        if !dims.contains(&0) {
            let problem = MoveProblem::new(&axes, before, Outside::ZERO, tape.dtype(input))?;
            tape.step_into(Problem::Move(problem), input, joined);
        }
        before += extent(dims[axis])? * to[axis];
    }
    Ok(joined)
}

/// The strides of an output of these extents.
fn written(output: &[usize]) -> Result<Vec<u32>> {
    indexable(&Shape::from(output))?;
    row_major(output).into_iter().map(extent).collect()
}

fn plain(dim: usize, from: usize, to: u32) -> Result<MoveAxis> {
    let from = i32::try_from(from)
        .map_err(|_| Error::limit("elements from one coordinate to the next", from as u64, i32::MAX as u64))?;
    Ok(MoveAxis { extent: extent(dim)?, from, to, reach: None })
}
