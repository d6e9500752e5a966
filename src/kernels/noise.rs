//! Random changes of every element: dropout and noise.
//!
//! A random number is a function of where its element lies, so each invocation draws what it needs and nothing is stored
//! (counter-based generator). One call of the generator makes four numbers, for four neighbouring elements. Where the elements
//! do not come in fours, an invocation has one of them, and takes one number of the four.

use super::{WORKGROUP, accumulator, item_count, workgroups};
use crate::plan::{
    Binding, Caps, Constant, Dispatch, INDEX, NoiseFunction, NoiseProblem, Operand, Plan, Shader, params, part,
};
use crate::{Error, Result};

params! {
    /// The uniform block of `noise.wgsl`.
    NoiseParams {
        /// Invocations with work to do.
        items,
        /// The index of the first element.
        first,
        seed_0,
        seed_1,
        site,
        /// Bits of f32.
        threshold,
        scale,
        shift,
        spread,
    }
}

/// Turns of the loop of Philox.
const ROUNDS: u64 = 10;

pub(super) fn plans(problem: &NoiseProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let NoiseProblem { function, first, elements, seed: [seed_0, seed_1], site, dtype } = *problem;
    if !first.is_multiple_of(4) || first.checked_add(elements).is_none() {
        let rule = "`first` must be a multiple of 4, and no element have an index beyond 32 bits";
        return Err(Error::invalid("first", rule, format!("first={first}, elements={elements}")));
    }
    let (number, name, [threshold, scale, shift, spread]) = match function {
        NoiseFunction::Drop { threshold, scale, shift, dropped } => {
            (0, "drop", [(threshold as f32).to_bits(), scale, shift, dropped])
        }
        NoiseFunction::Uniform(factors) => (1, "uniform", [0, factors.scale, factors.shift, factors.spread]),
        NoiseFunction::Normal(factors) => (2, "normal", [0, factors.scale, factors.shift, factors.spread]),
    };
    let mut plans = Vec::new();
    for lanes in if elements.is_multiple_of(4) { &[4, 1][..] } else { &[1] } {
        let items = u64::from(elements / lanes);
        let items_of = item_count(items)?;
        let params = NoiseParams { items: items_of, first, seed_0, seed_1, site, threshold, scale, shift, spread };
        let mut constants = accumulator(dtype, *lanes);
        constants.push(("DISTRIBUTION", Constant::U32(number)));
        let drawn = if *lanes == 4 { part!("lib/noise_four.wgsl") } else { part!("lib/noise_scalar.wgsl") };
        plans.push(Plan::new(
            "noise",
            format!("{name}_{dtype}x{lanes}_{WORKGROUP}"),
            vec![Dispatch {
                shader: Shader {
                    params: NoiseParams::WGSL,
                    activation: None,
                    constants,
                    parts: vec![INDEX, part!("lib/philox.wgsl"), drawn, part!("noise.wgsl")],
                },
                params: params.words(),
                workgroups: workgroups(items, caps)?,
                bindings: vec![
                    Binding::Read(Operand::Input),
                    Binding::Read(Operand::Clock),
                    Binding::Write(Operand::Output),
                ],
                turns: ROUNDS,
            }],
        ));
    }
    Ok(plans)
}
