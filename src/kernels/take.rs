//! Lines taken from a table by their numbers (gather): embeddings and indexing.
//!
//! One element of the output per invocation: neighbours read neighbouring elements of one line (coalesced).

use super::binary::bindings_of;
use super::{WORKGROUP, item_count, workgroups};
use crate::Result;
use crate::plan::{Caps, Constant, Dispatch, INDEX, Plan, Shader, TakeProblem, params, part};

params! {
    /// The uniform block of `take.wgsl`.
    TakeParams {
        /// Elements of the output.
        items,
        extent,
        count,
        inner,
        /// Elements of the index from one position of each axis to the next.
        index_outer,
        index_count,
        index_inner,
    }
}

pub(super) fn plans(problem: &TakeProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let items = problem.elements();
    let shader = Shader {
        params: TakeParams::WGSL,
        activation: None,
        constants: vec![
            ("WORKGROUP", Constant::U32(WORKGROUP)),
            ("Elem", Constant::Type(problem.dtype.name(), 1)),
            ("Index", Constant::Type(problem.index_dtype.name(), 1)),
        ],
        parts: vec![INDEX, part!("take.wgsl")],
    };
    let TakeProblem { extent, count, inner, index: [index_outer, index_count, index_inner], .. } = *problem;
    let items_counted = item_count(items)?;
    let block = TakeParams { items: items_counted, extent, count, inner, index_outer, index_count, index_inner };
    Ok(vec![Plan::new(
        "take",
        format!("{}x1_{WORKGROUP}", problem.dtype),
        vec![Dispatch {
            shader,
            params: block.words(),
            workgroups: workgroups(items, caps)?,
            bindings: bindings_of(problem.sides),
            turns: 0,
        }],
    )])
}
