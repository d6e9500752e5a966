//! Normalisation by statistics of the input itself.

use super::item_count;
use super::team::Team;
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
    if lines.saturating_mul(length) > u64::from(u32::MAX) {
        return Err(Error::limit("elements of one tensor", lines.saturating_mul(length), u32::MAX.into()));
    }
    let (number, name) = match function {
        NormalizeFunction::Standard => (0, "normalize"),
        NormalizeFunction::Deviation => (1, "normalize_deviation"),
        NormalizeFunction::Unit => (2, "normalize_unit"),
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
    let plan = |team: Team| Plan {
        name: format!("{name}_{dtype}x1_{}", team.suffix),
        steps: vec![Dispatch {
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
                parts: vec![INDEX, LARGEST, team.part, part!("normalize.wgsl")],
            },
            params: params.words(),
            workgroups: team.workgroups,
            bindings: vec![
                Binding::Read(Operand::Input),
                Binding::Read(Operand::Kernel),
                Binding::Read(Operand::Bias),
                Binding::Write(Operand::Output),
            ],
        }],
        scratch: vec![],
        packing: None,
    };
    Ok(Team::choices(lines, length, dense, caps)?.into_iter().map(plan).collect())
}
