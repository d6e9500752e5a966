//! Transposed convolution to few channels, as a matrix product and a sum (GEMM and col2im).
//!
//! Where a transposed convolution writes a picture of three channels, as the gradient to the input of a network's first
//! layer does, a kernel that computes its outputs in fours has little to do with what it loads. But all that an input pixel is
//! multiplied by, for every tap and every output channel, is a row of numbers long enough for the matrix products:
//!
//! ```text
//! 7×7 taps by 2, 64 to 3 channels  →  a pointwise convolution of 64 to 147 channels, of which an output adds up 16 at most
//! ```
//!
//! The first launch computes these products for every input pixel, a second one adds up those that hit an output. What is
//! between is large, as many numbers as there are taps for each output channel: it is for processors, which have no other kernel
//! that shares operands there.

use super::conv_transposed::{hits, tap_constants, taps};
use super::{ConvLaunch, InputAccess, ProductStep, move_axes, product_steps, workgroups};
use crate::geometry::{Axis, ConvGeometry, extent};
use crate::plan::{
    Caps, Constant, ConvProblem, Direction, Epilogue, MoveAxis, MoveProblem, Operand, Outside, Packing, Plan, Reach,
    nested_turns, part,
};
use crate::{DType, DataFormat, Result};

/// Fewest columns of the product: a tile has as many.
const LEAST_COLUMNS: u32 = 32;

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let Some(product) = product(problem, caps) else { return Ok(Vec::new()) };
    let bytes = product.geometry.out_elements() * 4;
    if bytes > caps.max_binding.min(u32::MAX.into()) {
        return Ok(Vec::new());
    }
    let items = problem.written_elements();
    let [rows, columns] = hits(problem);
    let width = [("COLUMNS", Constant::U32(product.geometry.out_channels))];
    let launch = ConvLaunch {
        lanes: 1,
        stores: 1,
        input: InputAccess::Lanes,
        kernel_at: false,
        parts: &[&taps(problem)[..], &[part!("conv_transposed_columns.wgsl")]].concat(),
        constants: &[&width[..], &tap_constants(problem)?].concat(),
        items,
        workgroups: workgroups(items, caps)?,
        turns: nested_turns(&[rows, columns]),
    };
    let last = launch.finish(product.geometry.out_elements(), problem, caps)?;
    let packing = packing(problem, &product.geometry, caps)?;
    let plan = |ProductStep { variant, dispatch, accuracy }| {
        let plan = Plan::new("conv_transposed_product", variant, vec![dispatch, last.clone()]);
        plan.with_scratch(vec![bytes]).packed(Some(packing.clone())).rounded(accuracy)
    };
    Ok(product_steps(&product, columns_of, caps)?.into_iter().map(plan).collect())
}

/// The tensors of the product. It adds no bias, and binds none: that of so few channels is shorter than a vector.
fn columns_of(operand: Operand) -> Operand {
    match operand {
        Operand::Output => Operand::Scratch(0),
        // A convolution has no such tensor.
        Operand::Bias => Operand::ThenBias,
        other => other,
    }
}

/// The product of every pixel that is read with all taps; `None` where other kernels have enough to share.
fn product(problem: &ConvProblem, caps: &Caps) -> Option<ConvProblem> {
    let ConvProblem { geometry, direction, dtype, data_format, .. } = *problem;
    let (read, written) = (geometry.out_channels, geometry.in_channels);
    let fits = direction == Direction::BackwardInput && dtype == DType::F32 && data_format == DataFormat::ChannelsLast;
    let few = geometry.groups == 1 && read.is_multiple_of(4) && !written.is_multiple_of(4);
    if !(caps.software && fits && few) {
        return None;
    }
    let columns = u32::try_from(geometry.taps()).ok()?.checked_mul(written)?;
    let padded = columns.checked_next_multiple_of(4).filter(|_| columns >= LEAST_COLUMNS)?;
    let axes = geometry.axes.map(|axis| Axis::pointwise(axis.output));
    let geometry = ConvGeometry::new(geometry.batch, 1, [read, padded], axes).ok()?;
    Some(ConvProblem { geometry, direction: Direction::Forward, epilogue: Epilogue::NONE, ..*problem })
}

/// The kernel `[tap, j, f]` as `[f, (tap, j)]`, where `f` counts the channels that are read, the columns filled up with zeros.
fn packing(problem: &ConvProblem, product: &ConvGeometry, caps: &Caps) -> Result<Packing> {
    let (read, padded) = (product.in_channels, product.out_channels);
    let columns = extent(problem.geometry.taps() as usize)? * problem.geometry.in_channels;
    let reach = (columns < padded).then_some(Reach { source: columns, start: 0, step: 1, repeat: 1 });
    let axes = [
        MoveAxis { extent: read, from: 1, to: padded, reach: None },
        MoveAxis { extent: padded, from: extent(read as usize)? as i32, to: 1, reach },
    ];
    let moved = MoveProblem::new(&axes, 0, Outside::ZERO, problem.dtype)?;
    let step = move_axes::dispatch(&moved, caps)?;
    Ok(Packing { step, elements: product.kernel_elements(), dtype: problem.dtype })
}
