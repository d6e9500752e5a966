//! Matrix products of two tensors.

use super::binary::bindings_of;
use super::{accumulator, item_count, with_axes, workgroups};
use crate::Result;
use crate::plan::{Caps, Constant, Dispatch, INDEX, PairAxis, Plan, ProductProblem, Shader, params, part};

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

pub(super) fn plans(problem: &ProductProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let [right_term, right_column] = problem.right;
    let apart = |axis: &PairAxis| axis.right.is_multiple_of(4);
    let fours = right_column == 1
        && right_term.is_multiple_of(4)
        && problem.columns.is_multiple_of(4)
        && problem.batch.iter().all(apart);
    let mut plans = Vec::new();
    for (lanes, tile) in [(4, 4), (4, 1), (1, 4), (1, 1)] {
        if (lanes == 4 && !fours) || (tile > 1 && tile > problem.rows) {
            continue;
        }
        plans.push(plan(problem, lanes, tile, caps)?);
    }
    Ok(plans)
}

fn plan(problem: &ProductProblem, lanes: u32, tile: u32, caps: &Caps) -> Result<Plan> {
    let [right_term, right_column] = problem.right;
    let batch: u64 = problem.batch.iter().map(|axis| u64::from(axis.extent)).product();
    let columns = problem.columns / lanes;
    let items = batch * u64::from(problem.rows.div_ceil(tile)) * u64::from(columns);
    let last = problem.batch.iter().rposition(|axis| axis.extent != 1);
    let mut constants = accumulator(problem.dtype, lanes);
    constants.extend([("RANK", Constant::U32(last.map_or(0, |last| last as u32 + 1))), ("TILE", Constant::U32(tile))]);
    let shader =
        Shader { params: ProductParams::WGSL, activation: None, constants, parts: vec![INDEX, part!("product.wgsl")] };
    let block = ProductParams {
        items: item_count(items)?,
        rows: problem.rows,
        columns,
        terms: problem.terms,
        left_row: problem.left[0],
        left_term: problem.left[1],
        right_term: right_term / lanes,
        right_column,
        ..ProductParams::default()
    };
    let words = problem.batch.map(|axis| [axis.extent, axis.left, axis.right / lanes]);
    Ok(Plan {
        name: format!("product_{}x{lanes}_{tile}x{lanes}", problem.dtype),
        steps: vec![Dispatch {
            shader,
            params: with_axes(block.words(), words),
            workgroups: workgroups(items, caps)?,
            bindings: bindings_of(problem.sides),
            turns: u64::from(problem.terms) + u64::from(problem.terms.div_ceil(RUN)),
        }],
        scratch: vec![],
        packing: None,
    })
}
