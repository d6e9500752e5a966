//! One output vector per invocation; any geometry. The kernel of last resort, and the one to compare with.
//!
//! This is direct convolution as the formula states it: loops over the taps and the input channels, a product added for
//! each. Nothing is kept between outputs, so each input is read anew for every window that holds it. It is there for
//! any strides, dilations, groups and data format, and for convolutions so small that compiling a clever kernel costs
//! more than it saves.

use super::{ConvLaunch, InputAccess, RUN, channels_in_fours, tap_rows, workgroups};
use crate::Result;
use crate::plan::{Caps, Constant, ConvProblem, Plan, nested_turns, part};

/// Turns of the loops over the rows of taps, the taps of each, blocks of channels, and channels.
pub(super) fn chain_turns([rows, columns]: [u64; 2], channels: u32) -> u64 {
    let blocks = channels.div_ceil(RUN / 2);
    let all = rows.saturating_mul(columns).saturating_mul(channels.into());
    nested_turns(&[rows, columns, blocks.into()]).saturating_add(all)
}

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let [_, fours] = channels_in_fours(problem);
    let [_, _, w] = problem.geometry.axes;
    let mut plans = Vec::new();
    for lanes in if fours { &[4, 1][..] } else { &[1] } {
        let items = problem.geometry.out_elements() / u64::from(*lanes);
        let launch = ConvLaunch {
            lanes: *lanes,
            stores: *lanes,
            input: InputAccess::Own,
            kernel_at: false,
            parts: &[part!("conv_direct.wgsl")],
            constants: &[("RUN", Constant::U32(RUN / 2))],
            items,
            workgroups: workgroups(items, caps)?,
            turns: chain_turns([tap_rows(&problem.geometry), w.kernel.into()], problem.geometry.group_in()),
        };
        plans.push(Plan::new(
            "conv_direct",
            format!("{}x{lanes}", problem.dtype),
            vec![launch.dispatch(problem, caps)?],
        ));
    }
    Ok(plans)
}
