//! Elements put elsewhere: cut, padded, permuted, repeated, joined.
//!
//! Keras's `Permute`, `ZeroPadding2D`, `Cropping2D`, `RepeatVector` and `Concatenate` compute nothing: each copies
//! elements from one place to another. All of them are one strided copy. A coordinate of a box gives an address to
//! write and an address to read, by a stride for each axis. Axes that lie side by side are merged, and four elements
//! are moved at once where they lie together (vectorised loads). Neighbouring invocations write neighbouring elements
//! (coalescing).

use super::{WORKGROUP, item_count, with_axes, workgroups};
use crate::Result;
use crate::plan::{
    Binding, Caps, Constant, Dispatch, INDEX, MOST_AXES, MoveAxis, MoveProblem, Operand, Outside, Plan, Shader, params,
    part,
};

params! {
    /// The uniform block of `move_axes.wgsl`: its head, then the words of each axis.
    MoveParams {
        /// Vectors that are written.
        items,
        input_offset,
        output_offset,
        /// Bits of the value that is read outside.
        fill,
        extent_0, from_0, to_0, source_0, start_0, step_0, repeat_0,
        extent_1, from_1, to_1, source_1, start_1, step_1, repeat_1,
        extent_2, from_2, to_2, source_2, start_2, step_2, repeat_2,
        extent_3, from_3, to_3, source_3, start_3, step_3, repeat_3,
        extent_4, from_4, to_4, source_4, start_4, step_4, repeat_4,
        extent_5, from_5, to_5, source_5, start_5, step_5, repeat_5,
    }
}

pub(super) fn plans(problem: &MoveProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let fours = in_fours(problem).map(|fours| (4, fours));
    fours.into_iter().chain([(1, *problem)]).map(|(lanes, problem)| plan(&problem, lanes, caps)).collect()
}

fn plan(problem: &MoveProblem, lanes: u32, caps: &Caps) -> Result<Plan> {
    Ok(Plan::new("move_axes", format!("{}x{lanes}_{WORKGROUP}", problem.dtype), vec![dispatch(problem, lanes, caps)?]))
}

/// The launch of a move, everything in `problem` counted in vectors of `lanes`.
pub(super) fn dispatch(problem: &MoveProblem, lanes: u32, caps: &Caps) -> Result<Dispatch> {
    let items = problem.elements();
    let last = problem.axes.iter().rposition(|axis| axis.extent != 1 || axis.reach.is_some());
    let reaching = problem.axes.iter().enumerate().map(|(i, axis)| u32::from(axis.reach.is_some()) << i).sum();
    let (outside, fill) = match problem.outside {
        Outside::Fill(bits) => (0, bits),
        Outside::Edge => (1, 0),
        Outside::Reflect => (2, 0),
        Outside::Wrap => (3, 0),
    };
    let shader = Shader {
        params: MoveParams::WGSL,
        activation: None,
        constants: vec![
            ("WORKGROUP", Constant::U32(WORKGROUP)),
            ("LANES", Constant::U32(lanes)),
            ("RANK", Constant::U32(last.map_or(1, |last| last as u32 + 1))),
            ("REACHING", Constant::U32(reaching)),
            ("OUTSIDE", Constant::U32(outside)),
            ("Elem", Constant::Type(problem.dtype.name(), 1)),
            ("Vec", Constant::Type(problem.dtype.name(), lanes)),
        ],
        parts: vec![INDEX, part!("move_axes.wgsl")],
    };
    let MoveProblem { input_offset, output_offset, .. } = *problem;
    let block = MoveParams { items: item_count(items)?, input_offset, output_offset, fill, ..MoveParams::default() };
    Ok(Dispatch {
        shader,
        params: with_axes(block.words(), problem.axes.map(words)),
        workgroups: workgroups(items, caps)?,
        bindings: vec![Binding::Read(Operand::Input), Binding::Write(Operand::Output)],
        turns: 0,
    })
}

/// An axis in the order of the uniform block.
fn words(axis: MoveAxis) -> [u32; 7] {
    let [source, start, step, repeat] = axis
        .reach
        .map_or([axis.extent, 0, 1, 1], |reach| [reach.source, reach.start as u32, reach.step as u32, reach.repeat]);
    [axis.extent, axis.from as u32, axis.to, source, start, step, repeat]
}

/// The move counted in vectors of four, where both sides lie in them.
fn in_fours(problem: &MoveProblem) -> Option<MoveProblem> {
    let inner = problem.axes[0];
    let run = inner.is_plain() && (inner.from, inner.to) == (1, 1) && inner.extent.is_multiple_of(4);
    let starts = problem.input_offset.is_multiple_of(4) && problem.output_offset.is_multiple_of(4);
    let aligned = problem.axes[1..].iter().all(|axis| axis.from % 4 == 0 && axis.to.is_multiple_of(4));
    if !(run && starts && aligned) {
        return None;
    }
    let mut axes: [MoveAxis; MOST_AXES] =
        problem.axes.map(|axis| MoveAxis { from: axis.from / 4, to: axis.to / 4, ..axis });
    axes[0] = MoveAxis { extent: inner.extent / 4, from: 1, to: 1, reach: None };
    let [input_offset, output_offset] = [problem.input_offset / 4, problem.output_offset / 4];
    Some(MoveProblem { axes, input_offset, output_offset, ..*problem })
}
