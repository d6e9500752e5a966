//! Functions that the caller gives in WGSL: one element of the output per invocation.

use super::{WORKGROUP, item_count, workgroups};
use crate::plan::{Binding, Caps, Code, Constant, CustomProblem, Dispatch, INDEX, Operand, Part, Plan, Shader, part};
use crate::{DType, Result};

/// What the caller's lines stand behind in the text.
const FILE: &str = "the caller's code";

/// The whole shader around `code`.
pub(crate) fn shader(code: Code, dtype: DType) -> Shader {
    Shader {
        params: code.params,
        activation: None,
        constants: vec![("WORKGROUP", Constant::U32(WORKGROUP)), ("Elem", Constant::Type(dtype.name(), 1))],
        parts: vec![Part { file: FILE, text: code.text }, INDEX, part!("custom.wgsl")],
    }
}

pub(super) fn plans(problem: &CustomProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let items = u64::from(problem.elements);
    let params = std::iter::once(item_count(items)?).chain(problem.extents[..problem.words as usize].iter().copied());
    Ok(vec![Plan::new(
        "custom",
        format!("{}x1_{WORKGROUP}", problem.dtype),
        vec![Dispatch {
            shader: shader(problem.code, problem.dtype),
            params: params.collect(),
            workgroups: workgroups(items, caps)?,
            bindings: problem.operands().map(Binding::Read).chain([Binding::Write(Operand::Output)]).collect(),
            // Nobody knows those of the caller's loops.
            turns: 0,
        }],
    )])
}
