//! Losses of lines of predictions, and their gradient, in one launch.
//!
//! A classifier's loss is a function of all scores of one image. So each line is computed by one invocation or by a
//! workgroup together (`team.rs`), which passes over it two to four times: it adds up what the loss needs to know of the
//! line, and then writes the derivative by each prediction. `loss.wgsl` has the formulas.

use super::lines::LOGARITHM;
use super::team::Team;
use super::{item_count, within};
use crate::plan::{
    ACTIVATION, Binding, Caps, Constant, Dispatch, INDEX, LARGEST, LossFunction, LossProblem, MATH, Operand, Plan,
    Shader, params, part,
};
use crate::{Error, Result};

params! {
    /// The uniform block of `loss.wgsl`.
    LossParams {
        /// Lines.
        items,
        extent,
        inner,
        share_weight,
        /// Bits of f32.
        scale,
        epsilon,
        keep,
        share,
        ignored,
        act_0,
        act_1,
        act_2,
        /// −∞ and NaN, which WGSL cannot write.
        lowest,
        unknown,
    }
}

pub(super) fn plans(problem: &LossProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let LossProblem { function, from_logits, sparse, outer, extent, inner, share_weight, gradient, parameters } =
        *problem;
    if extent == 0 || inner == 0 {
        return Err(Error::invalid("y_pred", "a loss must be of at least one prediction", format!("{problem:?}")));
    }
    let lines = u64::from(outer) * u64::from(inner);
    within("elements of one tensor", lines.saturating_mul(extent.into()), u32::MAX.into())?;
    let (number, name) = match function {
        LossFunction::SquaredError => (0, "squared_error"),
        LossFunction::AbsoluteError => (1, "absolute_error"),
        LossFunction::AbsolutePercentageError => (2, "absolute_percentage_error"),
        LossFunction::SquaredLogarithmicError => (3, "squared_logarithmic_error"),
        LossFunction::Huber => (4, "huber"),
        LossFunction::LogCosh => (5, "log_cosh"),
        LossFunction::Poisson => (6, "poisson"),
        LossFunction::KlDivergence => (7, "kl_divergence"),
        LossFunction::Hinge => (8, "hinge"),
        LossFunction::SquaredHinge => (9, "squared_hinge"),
        LossFunction::BinaryCrossentropy => (10, "binary_crossentropy"),
        LossFunction::BinaryFocal => (11, "binary_focal"),
        LossFunction::CategoricalCrossentropy => (12, "categorical_crossentropy"),
        LossFunction::CategoricalFocal => (13, "categorical_focal"),
        LossFunction::GeneralizedCrossentropy => (14, "generalized_crossentropy"),
        LossFunction::CosineSimilarity => (15, "cosine_similarity"),
        LossFunction::CategoricalHinge => (16, "categorical_hinge"),
        LossFunction::Dice => (17, "dice"),
        LossFunction::Tversky => (18, "tversky"),
        LossFunction::TopK => (19, "top_k"),
        LossFunction::BinaryAccuracy => (20, "binary_accuracy"),
    };
    let mut bindings = vec![
        Binding::Read(Operand::Input),
        Binding::Read(Operand::Other),
        Binding::Read(Operand::Weights),
        Binding::Write(Operand::Output),
    ];
    let written = if gradient {
        bindings.push(Binding::Write(Operand::Gradient));
        part!("lib/loss_gradient.wgsl")
    } else {
        part!("lib/loss_gradient_none.wgsl")
    };
    let [act_0, act_1] = parameters.function;
    let params = LossParams {
        items: item_count(lines)?,
        extent,
        inner,
        share_weight,
        scale: parameters.scale,
        epsilon: parameters.epsilon,
        keep: parameters.keep,
        share: parameters.share,
        ignored: parameters.ignored,
        act_0,
        act_1,
        act_2: 0,
        lowest: f32::NEG_INFINITY.to_bits(),
        unknown: f32::NAN.to_bits(),
    };
    let plan = |team: Team| {
        let values = u64::from(extent).div_ceil(team.members());
        Plan::new(
            "loss",
            format!("{name}_{}", team.suffix),
            vec![Dispatch {
                shader: Shader {
                    params: LossParams::WGSL,
                    activation: None,
                    constants: vec![
                        ("WORKGROUP", Constant::U32(team.workgroup)),
                        ("FUNCTION", Constant::U32(number)),
                        ("LOGITS", Constant::Bool(from_logits)),
                        ("SPARSE", Constant::Bool(sparse)),
                        ("Acc", Constant::Type("f32", 1)),
                        ("AccBits", Constant::Type("u32", 1)),
                        ("AccInt", Constant::Type("i32", 1)),
                    ],
                    parts: vec![INDEX, LARGEST, LOGARITHM, ACTIVATION, MATH, team.part, written, part!("loss.wgsl")],
                },
                params: params.words(),
                workgroups: team.workgroups,
                bindings: bindings.clone(),
                turns: 5 * values + 2 * values.div_ceil(64) + 7 * team.turns(),
            }],
        )
    };
    Ok(Team::choices(lines, extent.into(), inner == 1, caps)?.into_iter().map(plan).collect())
}
