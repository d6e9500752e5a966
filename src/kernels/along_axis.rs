//! Functions along one axis: softmax and its kin, glu, reductions.

use super::item_count;
use super::team::Team;
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
    }
}

pub(super) fn plans(problem: &AxisProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let AxisProblem { function, outer, extent, inner, dtype } = *problem;
    let lines = u64::from(outer) * u64::from(inner);
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
        AxisFunction::Sparsemax => (lines, Team::alone(lines, caps)?),
        _ => (lines, Team::choices(lines, extent.into(), inner == 1, caps)?),
    };
    let params = AxisParams { items: item_count(items)?, extent, inner };
    let plan = |team: Team| Plan {
        name: format!("{name}_{dtype}x1_{}", team.suffix),
        steps: vec![Dispatch {
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
                parts: vec![INDEX, LARGEST, team.part, part!("along_axis.wgsl")],
            },
            params: params.words(),
            workgroups: team.workgroups,
            bindings: vec![Binding::Read(Operand::Input), Binding::Write(Operand::Output)],
        }],
        scratch: vec![],
        packing: None,
    };
    Ok(teams.into_iter().map(plan).collect())
}
