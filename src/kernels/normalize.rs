//! Normalisation by statistics of the input itself.
//!
//! Layer and group normalisation subtract the mean of some axes and divide by their standard deviation, anew for each
//! input; a batch normalization at inference has fixed statistics and is a convolution instead (`ops/rewrite/fold.rs`).
//! The values that have statistics in common are a *line*. It is computed by one invocation or by a workgroup together
//! (parallel reduction: `team.rs`), and a very long one in parts (`lines.rs`).

use super::lines::{Finish, InParts, LineParams, LineTerm, Lines};
use super::team::Team;
use super::{item_count, within};
use crate::plan::{
    Binding, Caps, Constant, Dispatch, INDEX, LARGEST, NormalizeFunction, NormalizeProblem, Operand, Plan, Shader,
    params, part,
};
use crate::{Error, Result};

params! {
    /// The uniform block of `normalize.wgsl`.
    NormalizeParams {
        /// Lines.
        items,
        spread,
        groups,
        extent,
        /// The bits of epsilon.
        epsilon,
        spread_step,
        group_step,
        run,
    }
}

pub(super) fn plans(problem: &NormalizeProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let NormalizeProblem { function, outer, spread, group, extent, dtype, .. } = *problem;
    let (lines, length) = (u64::from(outer) * u64::from(group), u64::from(spread) * u64::from(extent));
    within("elements of one tensor", lines.saturating_mul(length), u32::MAX.into())?;
    if problem.run == 0 {
        return Err(Error::invalid("run", "an element of gamma must serve at least one value", "run=0"));
    }
    let (number, name) = match function {
        NormalizeFunction::Standard => (0, "standard"),
        NormalizeFunction::Deviation => (1, "deviation"),
        NormalizeFunction::Unit => (2, "unit"),
    };
    let params = NormalizeParams {
        items: item_count(lines)?,
        spread,
        groups: group,
        extent,
        epsilon: problem.epsilon,
        spread_step: problem.spread_step,
        group_step: problem.group_step,
        run: problem.run,
    };
    let dense = extent > 1 || group == 1;
    let plan = |team: Team| {
        Plan::new(
            "normalize",
            format!("{name}_{dtype}x1_{}", team.suffix),
            vec![Dispatch {
                shader: Shader {
                    params: NormalizeParams::WGSL,
                    activation: None,
                    constants: vec![
                        ("WORKGROUP", Constant::U32(team.workgroup)),
                        ("FUNCTION", Constant::U32(number)),
                        ("SPREAD", Constant::Bool(spread > 1)),
                        ("HAS_GAMMA", Constant::Bool(problem.gamma)),
                        ("HAS_BETA", Constant::Bool(problem.beta)),
                        ("Elem", Constant::Type(dtype.name(), 1)),
                        ("Acc", Constant::Type("f32", 1)),
                        ("AccBits", Constant::Type("u32", 1)),
                    ],
                    parts: vec![INDEX, LARGEST, team.part, part!("lib/normalize.wgsl"), part!("normalize.wgsl")],
                },
                params: params.words(),
                workgroups: team.workgroups,
                bindings: vec![
                    Binding::Read(Operand::Input),
                    Binding::Read(Operand::Kernel),
                    Binding::Read(Operand::Bias),
                    Binding::Write(Operand::Output),
                ],
                turns: turns(function, length.div_ceil(team.members())) + 3 * team.turns(),
            }],
        )
    };
    let mut plans: Vec<_> = Team::choices(lines, length, dense, caps)?.into_iter().map(plan).collect();
    let lines = Lines { outer, spread, groups: group, extent };
    if let Some(parts) = InParts::of(lines, dtype, caps) {
        lines.insert(in_parts(problem, number, parts)?.plan("normalize", name), &mut plans, caps);
    }
    Ok(plans)
}

/// Turns of the loops of a member of a team that takes `values` of a line: sums in runs of 64, then the values written.
fn turns(function: NormalizeFunction, values: u64) -> u64 {
    let sums = if function == NormalizeFunction::Unit { 1 } else { 2 };
    sums * (values + values.div_ceil(64)) + values
}

/// The launches in parts. What the mean's own rounding leaves is not taken off here, as a team does (`normalize.wgsl`): a line of
/// equal values that is so long keeps it.
fn in_parts<'a>(problem: &NormalizeProblem, number: u32, mut parts: InParts<'a>) -> Result<InParts<'a>> {
    let NormalizeProblem { function, epsilon, spread_step, group_step, run, .. } = *problem;
    let (mean, squares) = if function == NormalizeFunction::Unit {
        let squares = parts.statistic(LineTerm::Square, None, Finish::Nothing, None)?;
        (squares, squares)
    } else {
        let mean = parts.statistic(LineTerm::Value, None, Finish::Mean, None)?;
        (mean, parts.statistic(LineTerm::Square, Some(mean), Finish::Mean, None)?)
    };
    let bindings = vec![
        Binding::Read(Operand::Input),
        Binding::Read(Operand::Kernel),
        Binding::Read(Operand::Bias),
        Binding::Write(Operand::Output),
        Binding::Read(squares),
        Binding::Read(mean),
    ];
    let constants = [
        ("FUNCTION", Constant::U32(number)),
        ("HAS_GAMMA", Constant::Bool(problem.gamma)),
        ("HAS_BETA", Constant::Bool(problem.beta)),
    ];
    let shaders = [part!("lib/normalize.wgsl"), part!("normalize_write.wgsl")];
    let own = |params| LineParams { epsilon, spread_step, group_step, run, ..params };
    parts.write(&shaders, &constants, bindings, own)?;
    Ok(parts)
}
