//! Matrix products of two tensors (batched GEMM).
//!
//! `MatMul` and Keras's `Dot` multiply two tensors neither of which need be a weight, such as the queries and keys of
//! attention; a dense layer, whose right side is a weight, is a pointwise convolution instead. Each side is walked by
//! strides, so that transposed and broadcast sides are read as they lie. An invocation computes a few rows of one
//! vector of columns (its register tile). Long sums are computed in parts (split-K: `long_sums.rs`).

use super::binary::{PAIRS, bindings_of};
use super::lines::{LineTerm, combine};
use super::long_sums::{LongSums, to_scratch};
use super::{accumulator, item_count, with_axes, within, workgroups};
use crate::plan::{Caps, Constant, Dispatch, INDEX, PairAxis, Plan, ProductProblem, Shader, params, part};
use crate::{DType, Result};

params! {
    /// The uniform block of `product.wgsl`: its head, then the words of each axis of the batch.
    ProductParams {
        /// Invocations with work to do.
        items,
        rows,
        /// Vectors of columns.
        columns,
        terms,
        left_row,
        left_term,
        right_term,
        right_column,
        /// Terms of a part.
        length,
        parts,
        /// Vectors of the output before the first that is computed.
        first,
        extent_0, left_0, right_0,
        extent_1, left_1, right_1,
        extent_2, left_2, right_2,
        extent_3, left_3, right_3,
        extent_4, left_4, right_4,
        extent_5, left_5, right_5,
    }
}

/// Terms of a run, as `product.wgsl` has it.
const RUN: u32 = 64;

/// What of the terms and of the output a launch computes.
#[derive(Clone, Copy)]
struct ProductShare {
    /// Terms of a part.
    length: u32,
    parts: u32,
    /// The first tile of rows that is computed, of the vectors of all.
    first: u64,
    /// How many.
    tiles: u64,
    /// What the sums are stored as.
    out: DType,
}

pub(super) fn plans(problem: &ProductProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let [right_term, right_column] = problem.right;
    let apart = |axis: &PairAxis| axis.right.is_multiple_of(4);
    let fours = right_column == 1
        && right_term.is_multiple_of(4)
        && problem.columns.is_multiple_of(4)
        && problem.batch.iter().all(apart);
    let ProductProblem { rows, columns, terms, dtype, .. } = *problem;
    within("elements of one tensor", problem.elements(), u32::MAX.into())?;
    let batch = crate::geometry::product(problem.batch.map(|axis| axis.extent));
    let mut plans = Vec::new();
    for (lanes, tile) in [(4, 4), (4, 1), (1, 4), (1, 1)] {
        if (lanes == 4 && !fours) || (tile > 1 && tile > rows) {
            continue;
        }
        let tiles = batch.saturating_mul(u64::from(rows.div_ceil(tile)) * u64::from(columns / lanes));
        let whole = ProductShare { length: terms, parts: 1, first: 0, tiles, out: dtype };
        plans.push(Plan::new(
            "product",
            format!("{dtype}x{lanes}_{tile}x{lanes}"),
            vec![launch(problem, lanes, tile, whole, caps)?],
        ));
    }
    let lanes = if fours { 4 } else { 1 };
    plans.extend(in_parts(problem, lanes, caps)?);
    Ok(plans)
}

/// The plan that computes the sums in parts; `None` where they are short.
fn in_parts(problem: &ProductProblem, lanes: u32, caps: &Caps) -> Result<Option<Plan>> {
    let Some(sums) = LongSums::of(problem.elements(), problem.terms.into(), caps) else { return Ok(None) };
    let LongSums { parts, length, .. } = sums;
    let mut steps = Vec::new();
    for round in sums.rounds() {
        let [first, tiles] = [round.first, round.outputs].map(|elements| elements / u64::from(lanes));
        let share = ProductShare { length, parts, first, tiles, out: DType::F32 };
        steps.push(launch(problem, lanes, 1, share, caps)?.rebound(to_scratch));
        steps.push(combine(parts, round, LineTerm::Value, problem.dtype, caps)?);
    }
    let variant = format!("{}x{lanes}_parts", problem.dtype);
    Ok(Some(Plan::new("product", variant, steps).with_scratch(vec![sums.scratch()])))
}

fn launch(problem: &ProductProblem, lanes: u32, tile: u32, share: ProductShare, caps: &Caps) -> Result<Dispatch> {
    let [right_term, right_column] = problem.right;
    let ProductShare { length, parts, first, tiles, out } = share;
    let items = tiles * u64::from(parts);
    let last = problem.batch.iter().rposition(|axis| axis.extent != 1);
    let mut constants = accumulator(problem.dtype, lanes);
    constants.extend([
        ("Out", Constant::Type(out.name(), lanes)),
        ("RANK", Constant::U32(last.map_or(0, |last| last as u32 + 1))),
        ("TILE", Constant::U32(tile)),
    ]);
    let shader = Shader {
        params: ProductParams::WGSL,
        activation: None,
        constants,
        parts: vec![INDEX, PAIRS, part!("product.wgsl")],
    };
    let block = ProductParams {
        items: item_count(items)?,
        rows: problem.rows,
        columns: problem.columns / lanes,
        terms: problem.terms,
        left_row: problem.left[0],
        left_term: problem.left[1],
        right_term: right_term / lanes,
        right_column,
        length,
        parts,
        first: item_count(first)?,
        ..ProductParams::default()
    };
    let words = problem.batch.map(|axis| [axis.extent, axis.left, axis.right / lanes]);
    Ok(Dispatch {
        shader,
        params: with_axes(block.words(), words),
        workgroups: workgroups(items, caps)?,
        bindings: bindings_of(problem.sides),
        turns: u64::from(length) + u64::from(length.div_ceil(RUN)),
    })
}
