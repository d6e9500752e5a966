//! One step of an optimizer for one weight, in place: an invocation for each element.
//!
//! What differs from step to step, the learning rate and the corrections that depend on the number of the step, is read
//! from a small buffer, so that a step is the same launch each time. `update.wgsl` has the formulas.

use super::{WORKGROUP, item_count, workgroups};
use crate::Result;
use crate::plan::{
    ACTIVATION, Binding, Caps, Clip, Constant, Dispatch, INDEX, LARGEST, MATH, Operand, Part, Plan, Shader,
    UpdateFunction, UpdateProblem, params, part,
};

params! {
    /// The uniform block of `update.wgsl`.
    UpdateParams {
        /// Elements.
        items,
        /// Bits of the function's parameters: three, and what two of them lack to 1, or two more.
        act_0,
        act_1,
        act_2,
        rest_0,
        rest_1,
        /// Bits of what clipping limits to.
        limit,
        /// Bits of what the weight loses of itself.
        decay,
        /// NaN, which WGSL cannot write.
        unknown,
    }
}

/// For each slot, what stands in the shader of an optimizer without it, and of one with it.
const SLOTS: [[Part; 2]; 3] = [
    [part!("lib/slot_0_none.wgsl"), part!("lib/slot_0.wgsl")],
    [part!("lib/slot_1_none.wgsl"), part!("lib/slot_1.wgsl")],
    [part!("lib/slot_2_none.wgsl"), part!("lib/slot_2.wgsl")],
];

pub(super) fn plans(problem: &UpdateProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let items = u64::from(problem.elements);
    let (number, name) = match problem.function {
        UpdateFunction::Sgd => (0, "sgd"),
        UpdateFunction::Momentum => (1, "momentum"),
        UpdateFunction::Nesterov => (2, "nesterov"),
        UpdateFunction::RmsProp { centered: false, momentum: false } => (3, "rmsprop"),
        UpdateFunction::RmsProp { centered: false, momentum: true } => (4, "rmsprop_momentum"),
        UpdateFunction::RmsProp { centered: true, momentum: false } => (5, "rmsprop_centered"),
        UpdateFunction::RmsProp { centered: true, momentum: true } => (6, "rmsprop_centered_momentum"),
        UpdateFunction::Adam => (7, "adam"),
        UpdateFunction::AmsGrad => (8, "amsgrad"),
        UpdateFunction::Adamax => (9, "adamax"),
        UpdateFunction::Nadam => (10, "nadam"),
        UpdateFunction::Adagrad => (11, "adagrad"),
        UpdateFunction::Adadelta => (12, "adadelta"),
        UpdateFunction::Lion => (13, "lion"),
        UpdateFunction::Ftrl => (14, "ftrl"),
        UpdateFunction::LambMoments => (15, "lamb_moments"),
        UpdateFunction::LambApply => (16, "lamb_apply"),
        UpdateFunction::MuonMomentum { nesterov: false } => (17, "muon_momentum"),
        UpdateFunction::MuonMomentum { nesterov: true } => (18, "muon_nesterov"),
        UpdateFunction::Apply => (19, "apply"),
        UpdateFunction::Reset => (20, "reset"),
        UpdateFunction::Assign => (21, "assign"),
        UpdateFunction::Add => (22, "add"),
        UpdateFunction::Average => (23, "average"),
        UpdateFunction::Overwrite => (24, "overwrite"),
    };
    let (clip, limit) = match problem.clip {
        Clip::None => (0, 0),
        Clip::Value(limit) => (1, limit),
        Clip::Norm(limit) => (2, limit),
        Clip::GlobalNorm(limit) => (3, limit),
    };
    let slots = (0..).zip(SLOTS).map(|(slot, [none, some])| if slot < problem.function.slots() { some } else { none });
    let mut bindings = vec![
        Binding::Read(Operand::Input),
        Binding::Read(Operand::Clock),
        Binding::Read(Operand::Norm),
        Binding::Read(Operand::Other),
        Binding::Write(Operand::Output),
    ];
    bindings.extend((0..problem.function.slots()).map(|slot| Binding::Write(Operand::Slot(slot))));
    let [act_0, act_1, act_2, rest_0, rest_1] = problem.parameters;
    let (decay, unknown) = (problem.decay.unwrap_or(0), f32::NAN.to_bits());
    let params = UpdateParams { items: item_count(items)?, act_0, act_1, act_2, rest_0, rest_1, limit, decay, unknown };
    Ok(vec![Plan::new(
        "update",
        format!("{name}_{WORKGROUP}"),
        vec![Dispatch {
            shader: Shader {
                params: UpdateParams::WGSL,
                activation: None,
                constants: vec![
                    ("WORKGROUP", Constant::U32(WORKGROUP)),
                    ("FUNCTION", Constant::U32(number)),
                    ("CLIP", Constant::U32(clip)),
                    ("DECAYS", Constant::Bool(problem.decay.is_some())),
                    ("Acc", Constant::Type("f32", 1)),
                    ("AccBits", Constant::Type("u32", 1)),
                    ("AccInt", Constant::Type("i32", 1)),
                ],
                parts: [INDEX, LARGEST, ACTIVATION, MATH]
                    .into_iter()
                    .chain(slots)
                    .chain([part!("update.wgsl")])
                    .collect(),
            },
            params: params.words(),
            workgroups: workgroups(items, caps)?,
            bindings,
            turns: 0,
        }],
    )])
}
