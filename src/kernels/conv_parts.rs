//! Sums too long for one invocation, in parts that a second launch adds up in order: any geometry, of [`LONG`] terms or more.

use super::{ConvLaunch, Input, channels_in_fours, workgroups};
use crate::Result;
use crate::plan::{Caps, Constant, ConvProblem, Epilogue, MOST_TURNS, Operand, Plan, part};

/// Terms from which parts are on the menu.
const LONG: u64 = 1 << 13;
/// Terms of a part, so long as that leaves no more parts than terms.
const LENGTH: u64 = 1 << 11;

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let terms = problem.geometry.terms();
    if !(LONG..=u64::from(u32::MAX)).contains(&terms) {
        return Ok(Vec::new());
    }
    // Parts and terms of a part are the turns of the two launches.
    let length = LENGTH.max(terms.div_ceil(MOST_TURNS));
    let parts = terms.div_ceil(length);
    let counts = [("PARTS", Constant::U32(parts as u32)), ("LENGTH", Constant::U32(length as u32))];
    let bytes = problem.written_elements() * parts * 4;
    if bytes > caps.max_binding.min(u32::MAX.into()) {
        return Ok(Vec::new());
    }
    let [_, fours] = channels_in_fours(problem);
    let mut plans = Vec::new();
    for lanes in if fours { &[4, 1][..] } else { &[1] } {
        let outputs = problem.written_elements() / u64::from(*lanes);
        let launch = |items, turns, parts| {
            Ok::<_, crate::Error>(ConvLaunch {
                lanes: *lanes,
                stores: *lanes,
                input: Input::Own,
                kernel_at: false,
                parts,
                constants: &counts,
                items,
                workgroups: workgroups(items, caps)?,
                turns,
            })
        };
        let sums = ConvProblem { epilogue: Epilogue::NONE, ..*problem };
        let first = launch(outputs * parts, length, &[part!("conv_parts.wgsl")])?.dispatch(&sums, caps)?;
        let last = launch(outputs, parts, &[part!("sum_parts.wgsl")])?.dispatch(problem, caps)?;
        plans.push(Plan {
            name: format!("conv_parts_{}x{lanes}_{length}", problem.dtype),
            steps: vec![
                first.rebound(|operand| if operand == Operand::Output { Operand::Scratch(0) } else { operand }),
                last.rebound(super::from_scratch),
            ],
            scratch: vec![bytes],
            packing: None,
        });
    }
    Ok(plans)
}
