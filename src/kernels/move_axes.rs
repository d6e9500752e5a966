//! Elements put elsewhere: cut, padded, permuted, repeated, joined.
//!
//! Keras's `Permute`, `ZeroPadding2D`, `Cropping2D`, `RepeatVector` and `Concatenate` compute nothing: each copies
//! elements from one place to another. All of them are one strided copy. A coordinate of a box gives an address to
//! write and an address to read, by a stride for each axis. Axes that lie side by side are merged, and four elements
//! are moved at once where they lie together (vectorised loads), or a block of four by four where they lie together along
//! another axis in the input than in the output (a transposition in registers; first on processors). Neighbouring invocations write neighbouring elements
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
        /// Vectors from one row of a block to the next in the input, and from one of its columns to the next in the output.
        block_from, block_to,
        extent_0, from_0, to_0, source_0, start_0, step_0, repeat_0,
        extent_1, from_1, to_1, source_1, start_1, step_1, repeat_1,
        extent_2, from_2, to_2, source_2, start_2, step_2, repeat_2,
        extent_3, from_3, to_3, source_3, start_3, step_3, repeat_3,
        extent_4, from_4, to_4, source_4, start_4, step_4, repeat_4,
        extent_5, from_5, to_5, source_5, start_5, step_5, repeat_5,
    }
}

/// A move as an invocation takes it.
struct Moved {
    /// Counted in vectors of `lanes`, and two of its axes in blocks where there is a `block`.
    problem: MoveProblem,
    lanes: u32,
    /// Vectors from one row of a block to the next in the input, and from one of its columns to the next in the output.
    block: Option<[u32; 2]>,
}

impl Moved {
    fn one_by_one(problem: &MoveProblem) -> Self {
        Self { problem: *problem, lanes: 1, block: None }
    }
}

pub(super) fn plans(problem: &MoveProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let one = Moved::one_by_one(problem);
    let blocks = in_blocks(problem);
    // On GPUs caches do what blocks do, until somebody has measured it there.
    let (first, last) = if caps.software { (blocks, None) } else { (None, blocks) };
    let offered = in_fours(problem).into_iter().chain(first).chain([one]).chain(last);
    offered.map(|moved| plan(&moved, problem, caps)).collect()
}

fn plan(moved: &Moved, problem: &MoveProblem, caps: &Caps) -> Result<Plan> {
    let prefix = if moved.block.is_some() { "4x" } else { "" };
    let variant = format!("{}x{prefix}{}_{WORKGROUP}", problem.dtype, moved.lanes);
    Ok(Plan::new("move_axes", variant, vec![launch(moved, caps)?]))
}

/// The launch of a move that a weight is packed by.
pub(super) fn dispatch(problem: &MoveProblem, caps: &Caps) -> Result<Dispatch> {
    let blocks = if caps.software { in_blocks(problem) } else { None };
    launch(&blocks.unwrap_or_else(|| Moved::one_by_one(problem)), caps)
}

fn launch(Moved { problem, lanes, block }: &Moved, caps: &Caps) -> Result<Dispatch> {
    let items = problem.elements();
    let last = problem.axes.iter().rposition(|axis| axis.extent != 1 || axis.reach.is_some());
    let reaching = problem.axes.iter().enumerate().map(|(i, axis)| u32::from(axis.reach.is_some()) << i).sum();
    let (outside, fill) = match problem.outside {
        Outside::Fill(bits) => (0, bits),
        Outside::Edge => (1, 0),
        Outside::Reflect => (2, 0),
        Outside::Wrap => (3, 0),
    };
    let moved = if block.is_some() { part!("lib/moved_block.wgsl") } else { part!("lib/moved_vector.wgsl") };
    let shader = Shader {
        params: MoveParams::WGSL,
        activation: None,
        constants: vec![
            ("WORKGROUP", Constant::U32(WORKGROUP)),
            ("LANES", Constant::U32(*lanes)),
            ("RANK", Constant::U32(last.map_or(1, |last| last as u32 + 1))),
            ("REACHING", Constant::U32(reaching)),
            ("OUTSIDE", Constant::U32(outside)),
            ("Elem", Constant::Type(problem.dtype.name(), 1)),
            ("Vec", Constant::Type(problem.dtype.name(), *lanes)),
        ],
        parts: vec![INDEX, moved, part!("move_axes.wgsl")],
    };
    let MoveProblem { input_offset, output_offset, .. } = *problem;
    let [block_from, block_to] = block.unwrap_or_default();
    let head = MoveParams {
        items: item_count(items)?,
        input_offset,
        output_offset,
        fill,
        block_from,
        block_to,
        ..MoveParams::default()
    };
    Ok(Dispatch {
        shader,
        params: with_axes(head.words(), problem.axes.map(words)),
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
fn in_fours(problem: &MoveProblem) -> Option<Moved> {
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
    Some(Moved { problem: with_vectors(problem, axes), lanes: 4, block: None })
}

/// The move in blocks of four by four elements, where neighbours in the input lie apart in the output and the other way round,
/// and both sides lie in fours.
fn in_blocks(problem: &MoveProblem) -> Option<Moved> {
    let axes = problem.axes.iter().filter(|axis| axis.extent != 1 || !axis.is_plain());
    let (mut written, mut read, mut others) = (None, None, Vec::new());
    for axis in axes {
        let fours = (axis.from % 4 == 0, axis.to.is_multiple_of(4));
        match (axis.is_plain() && axis.extent.is_multiple_of(4), (axis.from, axis.to), fours) {
            (true, (_, 1), (true, _)) if written.is_none() => written = Some(*axis),
            (true, (1, _), (_, true)) if read.is_none() => read = Some(*axis),
            (_, _, (true, true)) if axis.is_plain() => others.push(*axis),
            _ => return None,
        }
    }
    let (written, read) = (written?, read?);
    if !(problem.input_offset.is_multiple_of(4) && problem.output_offset.is_multiple_of(4)) {
        return None;
    }
    let axis = |extent, from, to| MoveAxis { extent, from, to, reach: None };
    let (blocks, across) = (read.extent / 4, axis(written.extent / 4, written.from, 1));
    // Neighbours share the lines of a cache that they read, and then those that they write.
    let mut list = match read.to.checked_mul(4) {
        Some(to) if blocks.is_multiple_of(4) && others.len() + 3 <= MOST_AXES => {
            vec![axis(4, 1, read.to), across, axis(blocks / 4, 4, to)]
        }
        _ => vec![across, axis(blocks, 1, read.to)],
    };
    list.extend(others.iter().map(|other| axis(other.extent, other.from / 4, other.to / 4)));
    let axes = std::array::from_fn(|index| list.get(index).copied().unwrap_or(MoveAxis::UNIT));
    let block = Some([(written.from / 4) as u32, read.to / 4]);
    Some(Moved { problem: with_vectors(problem, axes), lanes: 4, block })
}

/// `problem` over `axes`, which are counted in vectors of four.
fn with_vectors(problem: &MoveProblem, axes: [MoveAxis; MOST_AXES]) -> MoveProblem {
    let [input_offset, output_offset] = [problem.input_offset / 4, problem.output_offset / 4];
    MoveProblem { axes, input_offset, output_offset, ..*problem }
}
