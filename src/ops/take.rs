//! Lines taken from a table by their numbers: embeddings, and indexing by a tensor (gather).

use super::binary::{Side, reads};
use super::{Tape, Value};
use crate::geometry::{extent, indexable};
use crate::plan::{Problem, TakeProblem};
use crate::{DType, Error, Result, Shape};

/// The lines of `table` along `axis` that `index` numbers, whose axes stand in the place of `axis`: NumPy's `take`. The first
/// `batch` axes of both are the same, and a line is taken from where its number stands.
pub(crate) fn take(
    tape: &mut Tape,
    axis: usize,
    batch: usize,
    table: (Side<'_>, DType),
    index: (Side<'_>, DType),
) -> Result<Value> {
    let (of_table, of_index) = (table.0.shape(tape), index.0.shape(tape));
    let (dims, numbers) = (of_table.dims(), of_index.dims());
    if axis >= dims.len() || batch > axis || numbers.len() < batch || dims[..batch] != numbers[..batch] {
        let received = format!("axis {axis}, table of shape {of_table}, index of shape {of_index}");
        return Err(Error::invalid(
            "indices",
            "the axis must be one of the table's, behind those of the batch",
            received,
        ));
    }
    let between: usize = dims[batch..axis].iter().product();
    let count: usize = numbers[batch..].iter().product();
    if batch > 0 && between != 1 {
        return Err(Error::unsupported(
            "lines taken along an axis that does not follow the batch",
            "move the axis behind the batch first",
        ));
    }
    let output = [&dims[..axis], &numbers[batch..], &dims[axis + 1..]].concat();
    let strides = [if batch > 0 { count } else { 0 }, 1, 0];
    taken(
        tape,
        [dims[..axis].iter().product(), dims[axis], count, dims[axis + 1..].iter().product()],
        strides,
        output,
        table,
        index,
    )
}

/// For each position of `index` the element of `table` there, with its number along `axis` in place of the position:
/// NumPy's `take_along_axis`. The other axes are the same.
pub(crate) fn take_along(
    tape: &mut Tape,
    axis: usize,
    table: (Side<'_>, DType),
    index: (Side<'_>, DType),
) -> Result<Value> {
    let (of_table, of_index) = (table.0.shape(tape), index.0.shape(tape));
    let (dims, numbers) = (of_table.dims(), of_index.dims());
    let others = |dims: &[usize]| dims.iter().enumerate().filter(|&(i, _)| i != axis).map(|(_, &dim)| dim).collect();
    let (left, right): (Vec<usize>, Vec<usize>) = (others(dims), others(numbers));
    if dims.len() != numbers.len() || axis >= dims.len() || left != right {
        let received = format!("axis {axis}, table of shape {of_table}, index of shape {of_index}");
        return Err(Error::invalid(
            "indices",
            "the index must have the table's extents along all other axes",
            received,
        ));
    }
    let inner: usize = dims[axis + 1..].iter().product();
    let sizes = [dims[..axis].iter().product(), dims[axis], numbers[axis], inner];
    let output = numbers.to_vec();
    taken(tape, sizes, [numbers[axis] * inner, inner, 1], output, table, index)
}

fn taken(
    tape: &mut Tape,
    sizes: [usize; 4],
    strides: [usize; 3],
    output: Vec<usize>,
    (table, dtype): (Side<'_>, DType),
    (index, index_dtype): (Side<'_>, DType),
) -> Result<Value> {
    let output = Shape::from(output);
    indexable(&output)?;
    let (reads, _, sides) = reads(tape, table, index)?;
    let mut numbers = [0; 4];
    for (number, size) in numbers.iter_mut().zip(sizes) {
        *number = extent(size)?;
    }
    let mut index = [0; 3];
    for (number, stride) in index.iter_mut().zip(strides) {
        *number = extent(stride)?;
    }
    if numbers[1] > 1 << 24 {
        return Err(Error::limit("lines of a table that f32 can number", numbers[1].into(), 1 << 24));
    }
    let [outer, extent, count, inner] = numbers;
    let problem = TakeProblem { outer, extent, count, inner, index, sides, dtype, index_dtype };
    tape.step(Problem::Take(problem), reads, output, dtype)
}
