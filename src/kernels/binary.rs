//! Functions of two tensors, element by element.
//!
//! The sum of a residual block, or an image times a mask, takes an element of either side for each element of the
//! output. Sides of different shapes are broadcast as in NumPy: an axis along which a side repeats has stride 0, so
//! nothing is copied for it. Where the innermost axis comes in fours, four elements are taken at once (vectorised
//! loads).

use super::{WORKGROUP, accumulator, item_count, with_axes, workgroups};
use crate::Result;
use crate::plan::{
    ACTIVATION, BinaryProblem, Binding, Caps, Constant, Dispatch, INDEX, MATH, MOST_AXES, Operand, PairAxis, PairSides,
    Part, Plan, Shader, params, part,
};

params! {
    /// The uniform block of `binary.wgsl`: its head, then the words of each axis.
    BinaryParams {
        /// Vectors of the output.
        items,
        /// Bits of the activation's parameters.
        act_0,
        act_1,
        act_2,
        extent_0, left_0, right_0,
        extent_1, left_1, right_1,
        extent_2, left_2, right_2,
        extent_3, left_3, right_3,
        extent_4, left_4, right_4,
        extent_5, left_5, right_5,
    }
}

pub(super) fn plans(problem: &BinaryProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let scalar = PairWalk { axes: problem.axes, lanes: 1, sides: [1, 1] };
    in_fours(problem).into_iter().chain([scalar]).map(|walk| plan(problem, &walk, caps)).collect()
}

/// Where an element of the output has those that it is made of.
pub(super) const PAIRS: Part = part!("lib/pairs.wgsl");

/// How the output is walked.
struct PairWalk {
    /// The axes, innermost first, counted in the vectors of what they run through.
    axes: [PairAxis; MOST_AXES],
    /// Scalars per vector of the output, and of each side.
    lanes: u32,
    sides: [u32; 2],
}

fn plan(problem: &BinaryProblem, walk: &PairWalk, caps: &Caps) -> Result<Plan> {
    let items = problem.elements() / u64::from(walk.lanes);
    let last = walk.axes.iter().rposition(|axis| axis.extent != 1);
    let (number, name) = (problem.function.number(), problem.function.name());
    let [left, right] = walk.sides;
    let mut constants = accumulator(problem.dtype, walk.lanes);
    constants.extend([
        ("RANK", Constant::U32(last.map_or(1, |last| last as u32 + 1))),
        ("FUNCTION", Constant::U32(number)),
        ("Left", Constant::Type(problem.dtype.name(), left)),
        ("LeftAcc", Constant::Type("f32", left)),
        ("Right", Constant::Type(problem.dtype.name(), right)),
        ("RightAcc", Constant::Type("f32", right)),
    ]);
    let shader = Shader {
        params: BinaryParams::WGSL,
        activation: Some(problem.activation.function()),
        constants,
        parts: vec![INDEX, ACTIVATION, MATH, PAIRS, part!("binary.wgsl")],
    };
    let [act_0, act_1, act_2] = problem.activation.parameters();
    let block = BinaryParams { items: item_count(items)?, act_0, act_1, act_2, ..BinaryParams::default() };
    let words = walk.axes.map(|axis| [axis.extent, axis.left, axis.right]);
    let broadcast = if walk.lanes == 4 && walk.sides != [4, 4] { "_broadcast" } else { "" };
    Ok(Plan::new(
        "binary",
        format!("{name}_{}x{}_{WORKGROUP}{broadcast}", problem.dtype, walk.lanes),
        vec![Dispatch {
            shader,
            params: with_axes(block.words(), words),
            workgroups: workgroups(items, caps)?,
            bindings: bindings_of(problem.sides),
            turns: 0,
        }],
    ))
}

/// The walk in vectors of four, where the innermost axis comes in fours and each side runs along it in fours or repeats.
fn in_fours(problem: &BinaryProblem) -> Option<PairWalk> {
    let [inner, outer @ ..] = problem.axes;
    let lanes = |side: fn(&PairAxis) -> u32| match side(&inner) {
        0 => Some(1),
        1 => outer.iter().all(|axis| side(axis).is_multiple_of(4)).then_some(4),
        _ => None,
    };
    if !inner.extent.is_multiple_of(4) {
        return None;
    }
    let [left, right] = [lanes(|axis| axis.left)?, lanes(|axis| axis.right)?];
    let mut axes = problem.axes.map(|axis| PairAxis { left: axis.left / left, right: axis.right / right, ..axis });
    axes[0] = PairAxis { extent: inner.extent / 4, left: inner.left, right: inner.right };
    Some(PairWalk { axes, lanes: 4, sides: [left, right] })
}

/// The bindings of a shader that reads a left and a right side.
pub(super) fn bindings_of(sides: PairSides) -> Vec<Binding> {
    match sides {
        PairSides::InputOther => {
            vec![Binding::Read(Operand::Input), Binding::Read(Operand::Other), Binding::Write(Operand::Output)]
        }
        PairSides::InputKernel => {
            vec![Binding::Read(Operand::Input), Binding::Read(Operand::Kernel), Binding::Write(Operand::Output)]
        }
        PairSides::KernelInput => {
            vec![Binding::Read(Operand::Kernel), Binding::Read(Operand::Input), Binding::Write(Operand::Output)]
        }
    }
}
