//! Functions along one axis: softmax and its kin, glu, reductions.
//!
//! The scores of a classifier, `[batch, classes]`, become probabilities by a softmax over the classes: each output
//! needs all values of its *line*, the classes of one image. So it is with a sum, a mean or a largest value along an
//! axis. A line is computed by one invocation or by a workgroup together (parallel reduction: `team.rs`), and a very
//! long one in parts, by launches of their own (`lines.rs`). `along_axis.wgsl` has the formulas.

use super::lines::{Finish, InParts, LOGARITHM, LineTerm, Lines};
use super::team::Team;
use super::{item_count, within};
use crate::Result;
use crate::plan::{
    AxisFunction, AxisProblem, Binding, Caps, Constant, Dispatch, INDEX, LARGEST, Operand, Plan, Shader, params, part,
};

params! {
    /// The uniform block of `along_axis.wgsl`.
    AxisParams {
        /// Lines, or with glu outputs.
        items,
        extent,
        inner,
        /// Of sparsemax over a line.
        passes,
    }
}

/// Passes over a line by which sparsemax has its threshold to the last bit.
///
/// A pass is a step of Newton's method on a convex function: the shares of the function and of its slope that are left sum to 1
/// at most, so that a pass quarters their product. That starts below the square of the line's length, and at 2⁻²⁴ the
/// function is within rounding of its root. One pass more takes the support that is found.
fn sparsemax_passes(extent: u32) -> u32 {
    extent.max(1).ilog2() + 1 + 12 + 1
}

pub(super) fn plans(problem: &AxisProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let AxisProblem { function, outer, extent, inner, dtype } = *problem;
    let lines = u64::from(outer) * u64::from(inner);
    within("elements of one tensor", lines.saturating_mul(extent.into()), u32::MAX.into())?;
    let (number, name) = match function {
        AxisFunction::Softmax => (0, "softmax"),
        AxisFunction::LogSoftmax => (1, "log_softmax"),
        AxisFunction::Sparsemax => (2, "sparsemax"),
        AxisFunction::Glu => (3, "glu"),
        AxisFunction::Mean => (4, "mean"),
        AxisFunction::Max => (5, "max"),
        AxisFunction::Min => (6, "min"),
        AxisFunction::Sum => (7, "sum"),
        AxisFunction::SumSquare => (8, "sum_square"),
        AxisFunction::L1 => (9, "l1"),
        AxisFunction::L2 => (10, "l2"),
        AxisFunction::LogSum => (11, "log_sum"),
        AxisFunction::LogSumExp => (12, "log_sum_exp"),
    };
    let (items, teams) = match function {
        AxisFunction::Glu => {
            let items = lines * u64::from(extent / 2);
            (items, Team::alone(items, caps)?)
        }
        _ => (lines, Team::choices(lines, extent.into(), inner == 1, caps)?),
    };
    let passes = sparsemax_passes(extent);
    let params = AxisParams { items: item_count(items)?, extent, inner, passes };
    let plan = |team: Team| {
        Plan::new(
            "along_axis",
            format!("{name}_{dtype}x1_{}", team.suffix),
            vec![Dispatch {
                shader: Shader {
                    params: AxisParams::WGSL,
                    activation: None,
                    constants: vec![
                        ("WORKGROUP", Constant::U32(team.workgroup)),
                        ("FUNCTION", Constant::U32(number)),
                        ("Elem", Constant::Type(dtype.name(), 1)),
                        ("Acc", Constant::Type("f32", 1)),
                        ("AccBits", Constant::Type("u32", 1)),
                    ],
                    parts: vec![INDEX, LARGEST, LOGARITHM, team.part, part!("along_axis.wgsl")],
                },
                params: params.words(),
                workgroups: team.workgroups,
                bindings: vec![Binding::Read(Operand::Input), Binding::Write(Operand::Output)],
                turns: turns(function, passes.into(), u64::from(extent).div_ceil(team.members()))
                    + sums(function, passes.into()) * team.turns(),
            }],
        )
    };
    let mut plans: Vec<_> = teams.into_iter().map(plan).collect();
    let lines = Lines { outer, spread: extent, groups: inner, extent: 1 };
    if let Some(parts) = InParts::of(lines, dtype, caps)
        && let Some(parts) = in_parts(function, extent, parts)?
    {
        lines.insert(parts.plan("along_axis", name), &mut plans, caps);
    }
    Ok(plans)
}

/// How often the members of a team add up what each has found.
fn sums(function: AxisFunction, passes: u64) -> u64 {
    if function == AxisFunction::Sparsemax { 1 + 2 * passes } else { 2 }
}

/// Turns of the loops of a member of a team that takes `values` of a line, in runs of 64 where it adds them.
fn turns(function: AxisFunction, passes: u64, values: u64) -> u64 {
    let sum = values + values.div_ceil(64);
    match function {
        AxisFunction::Glu => 0,
        AxisFunction::Max | AxisFunction::Min => values,
        AxisFunction::Softmax | AxisFunction::LogSoftmax => 2 * values + sum,
        AxisFunction::LogSumExp => values + sum,
        AxisFunction::Sparsemax => 2 * values + passes * (1 + values),
        _ => sum,
    }
}

/// The launches of a function in parts; `None` of those that have none.
fn in_parts(function: AxisFunction, extent: u32, mut parts: InParts<'_>) -> Result<Option<InParts<'_>>> {
    let output = Some(Operand::Output);
    let (term, finish) = match function {
        AxisFunction::Mean => (LineTerm::Value, Finish::Mean),
        AxisFunction::Sum => (LineTerm::Value, Finish::Nothing),
        AxisFunction::LogSum => (LineTerm::Value, Finish::Logarithm),
        AxisFunction::SumSquare => (LineTerm::Square, Finish::Nothing),
        AxisFunction::L2 => (LineTerm::Square, Finish::Root),
        AxisFunction::L1 => (LineTerm::Magnitude, Finish::Nothing),
        AxisFunction::Max => (LineTerm::Largest, Finish::Nothing),
        AxisFunction::Min => (LineTerm::Smallest, Finish::Nothing),
        AxisFunction::LogSumExp => {
            let largest = parts.statistic(LineTerm::Largest, None, Finish::Finite, None)?;
            parts.statistic(LineTerm::Exponential, Some(largest), Finish::ShiftedLogarithm, output)?;
            return Ok(Some(parts));
        }
        AxisFunction::Softmax | AxisFunction::LogSoftmax => {
            let largest = parts.statistic(LineTerm::Largest, None, Finish::Nothing, None)?;
            let sum = parts.statistic(LineTerm::Exponential, Some(largest), Finish::Nothing, None)?;
            let bindings = vec![
                Binding::Read(Operand::Input),
                Binding::Write(Operand::Output),
                Binding::Read(largest),
                Binding::Read(sum),
            ];
            let logarithmic = ("LOGARITHMIC", Constant::Bool(function == AxisFunction::LogSoftmax));
            parts.write(&[part!("softmax_write.wgsl")], &[logarithmic], bindings, |params| params)?;
            return Ok(Some(parts));
        }
        AxisFunction::Sparsemax => {
            let largest = parts.statistic(LineTerm::Largest, None, Finish::Nothing, None)?;
            let threshold = parts.sparsemax_threshold(largest, sparsemax_passes(extent))?;
            let bindings = vec![
                Binding::Read(Operand::Input),
                Binding::Write(Operand::Output),
                Binding::Read(largest),
                Binding::Read(threshold),
            ];
            parts.write(&[part!("sparsemax_write.wgsl")], &[], bindings, |params| params)?;
            return Ok(Some(parts));
        }
        AxisFunction::Glu => return Ok(None),
    };
    parts.statistic(term, None, finish, output)?;
    Ok(Some(parts))
}
