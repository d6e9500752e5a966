//! Convolutions of either direction whose sums are [too long](super::long_sums) for one invocation: any geometry.
//!
//! This is split-K for the sake of a limit: drivers end an invocation that loops too long, some without a word. A first
//! launch computes parts of each sum, a second one adds them up in order and applies the epilogue. `conv_split` splits
//! sums for speed.

use super::conv_transposed::{tap_constants, taps, terms};
use super::long_sums::{LongSums, to_scratch};
use super::{ConvLaunch, InputAccess, channels_in_fours, from_scratch, workgroups};
use crate::Result;
use crate::plan::{Caps, Constant, ConvProblem, Direction, Epilogue, Plan, part};

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let forward = problem.direction == Direction::Forward;
    let terms = if forward { problem.geometry.terms() } else { terms(problem) };
    let Some(sums) = LongSums::of(problem.written_elements(), terms, caps) else { return Ok(Vec::new()) };
    let (parts, fours) = if forward {
        (vec![part!("lib/terms.wgsl"), part!("conv_parts.wgsl")], channels_in_fours(problem)[1])
    } else {
        let terms = [part!("lib/terms_transposed.wgsl"), part!("conv_parts.wgsl")];
        ([&taps(problem)[..], &terms].concat(), false)
    };
    let mut constants = vec![("PARTS", Constant::U32(sums.parts)), ("LENGTH", Constant::U32(sums.length))];
    if !forward {
        constants.extend(tap_constants(problem)?);
    }
    let bare = ConvProblem { epilogue: Epilogue::NONE, ..*problem };
    let mut plans = Vec::new();
    for lanes in if fours { &[4, 1][..] } else { &[1] } {
        let mut steps = Vec::new();
        for round in sums.rounds() {
            let [first, outputs] = [round.first, round.outputs].map(|elements| elements / u64::from(*lanes));
            let launch = |items, turns: u32, parts, problem| {
                let launch = ConvLaunch {
                    lanes: *lanes,
                    stores: *lanes,
                    input: InputAccess::Own,
                    kernel_at: false,
                    parts,
                    constants: &constants,
                    items,
                    workgroups: workgroups(items, caps)?,
                    turns: turns.into(),
                };
                launch.dispatch_from(first, problem, caps)
            };
            let sum = launch(outputs * u64::from(sums.parts), sums.length, &parts, &bare)?;
            let last = launch(outputs, sums.parts, &[part!("sum_parts.wgsl")], problem)?;
            steps.extend([sum.rebound(to_scratch), last.rebound(from_scratch)]);
        }
        plans.push(
            Plan::new("conv_parts", format!("{}x{lanes}_{}", problem.dtype, sums.length), steps)
                .with_scratch(vec![sums.scratch()]),
        );
    }
    Ok(plans)
}
