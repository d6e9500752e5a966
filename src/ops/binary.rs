//! Functions of two values, and products of matrices.
//!
//! `Add`, `Multiply` and `Maximum` of two tensors, a tensor times a constant, `MatMul` and `Dot`: operations with two
//! sides. A side is a value of the tape or a constant, and shapes that differ are broadcast as in NumPy. What is
//! decided here is the shape of the output and by which strides either side is walked; `kernels/binary.rs` and
//! `kernels/product.rs` compute it.

use std::sync::Arc;

use super::{Kernel, Reads, Tape, Value, map, permute};
use crate::geometry::extent;
use crate::plan::{BinaryFunction, BinaryProblem, Elementwise, Operand, PairAxis, PairSides, Problem, ProductProblem};
use crate::strides::{broadcast, broadcast_strides, row_major};
use crate::{DType, Error, Result, Shape};

/// One side of a function of two: a value, or a constant.
#[derive(Clone, Copy)]
pub(crate) enum Side<'a> {
    /// A value of the tape.
    Value(Value),
    /// A constant.
    Constant(&'a Arc<Kernel>),
}

impl Side<'_> {
    pub(super) fn shape(self, tape: &Tape) -> Shape {
        match self {
            Self::Value(value) => tape.shape(value).clone(),
            Self::Constant(kernel) => kernel.shape().clone(),
        }
    }
}

/// What an operation on two sides reads, the type of its numbers, and which side is where.
pub(super) fn reads(tape: &Tape, left: Side<'_>, right: Side<'_>) -> Result<(Reads, DType, PairSides)> {
    let (input, reads, sides) = match (left, right) {
        (Side::Value(left), Side::Value(right)) => {
            (left, Reads::of(left).value(Operand::Other, right), PairSides::InputOther)
        }
        (Side::Value(left), Side::Constant(right)) => {
            (left, Reads::of(left).constant(Operand::Kernel, right), PairSides::InputKernel)
        }
        (Side::Constant(left), Side::Value(right)) => {
            (right, Reads::of(right).constant(Operand::Kernel, left), PairSides::KernelInput)
        }
        (Side::Constant(_), Side::Constant(_)) => {
            return Err(Error::invalid("inputs", "one side of an operation must be an input", "two constants"));
        }
    };
    Ok((reads, tape.dtype(input), sides))
}

/// `function` of two values, broadcast as NumPy does.
pub(crate) fn two(tape: &mut Tape, function: BinaryFunction, left: Value, right: Value) -> Result<Value> {
    binary(tape, function, Side::Value(left), Side::Value(right), Elementwise::LINEAR)
}

/// `function(left, right)` of a value and a constant, broadcast as NumPy does.
pub(crate) fn with(tape: &mut Tape, function: BinaryFunction, left: Value, right: &Arc<Kernel>) -> Result<Value> {
    binary(tape, function, Side::Value(left), Side::Constant(right), Elementwise::LINEAR)
}

/// `activation(function(left, right))`, broadcast as NumPy does.
pub(crate) fn binary(
    tape: &mut Tape,
    function: BinaryFunction,
    left: Side<'_>,
    right: Side<'_>,
    activation: Elementwise,
) -> Result<Value> {
    let (of_left, of_right) = (left.shape(tape), right.shape(tape));
    let output = broadcast(of_left.dims(), of_right.dims()).ok_or_else(|| incompatible(&of_left, &of_right))?;
    let (reads, dtype, sides) = reads(tape, left, right)?;
    let problem = BinaryProblem::new(function, of_left.dims(), of_right.dims(), sides, dtype)?;
    let output = tape.step(Problem::Binary(problem), reads, output.into(), dtype)?;
    if activation == Elementwise::LINEAR { Ok(output) } else { map(tape, activation, output) }
}

fn incompatible(left: &Shape, right: &Shape) -> Error {
    Error::invalid("inputs", "the shapes of the inputs must broadcast together", format!("shapes {left} and {right}"))
}

/// `left · right` over their last two axes, the axes before broadcast as NumPy does. A side of one axis is a row on the
/// left and a column on the right, and has no axis in the output.
pub(crate) fn matmul(tape: &mut Tape, left: Side<'_>, right: Side<'_>) -> Result<Value> {
    let (of_left, of_right) = (left.shape(tape), right.shape(tape));
    let (mut dims_left, mut dims_right) = (of_left.dims().to_vec(), of_right.dims().to_vec());
    if dims_left.len() == 1 {
        dims_left.insert(0, 1);
    }
    if dims_right.len() == 1 {
        dims_right.push(1);
    }
    if dims_left.len() < 2 || dims_right.len() < 2 {
        return Err(incompatible(&of_left, &of_right));
    }
    let (batch_left, matrix_left) = dims_left.split_at(dims_left.len() - 2);
    let (batch_right, matrix_right) = dims_right.split_at(dims_right.len() - 2);
    let batch = broadcast(batch_left, batch_right).filter(|_| matrix_left[1] == matrix_right[0]);
    let mut output = batch.ok_or_else(|| incompatible(&of_left, &of_right))?;
    let sizes = |matrix: &[usize]| matrix[0] * matrix[1];
    let strides = broadcast_strides(batch_left, &output).into_iter().zip(broadcast_strides(batch_right, &output));
    let mut axes = Vec::with_capacity(output.len());
    for (&dim, (left, right)) in output.iter().zip(strides) {
        let [left, right] = [extent(left * sizes(matrix_left))?, extent(right * sizes(matrix_right))?];
        axes.push(PairAxis { extent: extent(dim)?, left, right });
    }
    let [rows, terms, columns] = [extent(matrix_left[0])?, extent(matrix_left[1])?, extent(matrix_right[1])?];
    let (reads, dtype, sides) = reads(tape, left, right)?;
    let problem = ProductProblem::new(&axes, [rows, columns, terms], [terms, 1], [columns, 1], sides, dtype)?;
    output.extend((of_left.rank() > 1).then_some(matrix_left[0]));
    output.extend((of_right.rank() > 1).then_some(matrix_right[1]));
    tape.step(Problem::Product(problem), reads, output.into(), dtype)
}

/// For each position of the first axis, the sum over axis `axes[0]` of `left` times axis `axes[1]` of `right`: what
/// remains of the left's axes, then what remains of the right's.
pub(crate) fn batch_dot(tape: &mut Tape, axes: [usize; 2], left: Value, right: Value) -> Result<Value> {
    let (left, rest_left, [row, left_term]) = contracted(tape, axes[0], left)?;
    let (right, rest_right, [column, right_term]) = contracted(tape, axes[1], right)?;
    let [batch, rows, columns] = [tape.shape(left).dims()[0], rest_left.iter().product(), rest_right.iter().product()];
    let terms = tape.elements(left).checked_div(extent(batch * rows)?).unwrap_or(0);
    let step = |terms: u32, rest: usize| extent(terms as usize * rest);
    let axis = PairAxis { extent: extent(batch)?, left: step(terms, rows)?, right: step(terms, columns)? };
    let problem = ProductProblem::new(
        &[axis],
        [extent(rows)?, extent(columns)?, terms],
        [row, left_term],
        [right_term, column],
        PairSides::InputOther,
        tape.dtype(left),
    )?;
    let output = [vec![batch], rest_left, rest_right].concat();
    let reads = Reads::of(left).value(Operand::Other, right);
    tape.step(Problem::Product(problem), reads, output.into(), problem.dtype)
}

/// `value` with `axis` either last or first behind the batch; the extents of the other axes, as one run of which it is
/// then read; and the strides of that run and of the axis.
fn contracted(tape: &mut Tape, axis: usize, value: Value) -> Result<(Value, Vec<usize>, [u32; 2])> {
    let dims = tape.shape(value).dims().to_vec();
    let rest: Vec<usize> = (1..dims.len()).filter(|&other| other != axis).map(|other| dims[other]).collect();
    if axis == 1 {
        let terms = extent(row_major(&dims)[1])?;
        return Ok((value, rest, [1, terms]));
    }
    let order: Vec<usize> = (0..dims.len()).filter(|&other| other != axis).chain([axis]).collect();
    let value = permute(tape, &order, value)?;
    Ok((value, rest, [extent(dims[axis])?, 1]))
}
