//! One output vector per invocation; any geometry. The kernel of last resort, and the one to compare with.

use super::conv_dispatch;
use crate::plan::{Caps, ConvProblem, Plan, part};
use crate::{DataFormat, Result};

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let vectors = problem.data_format == DataFormat::ChannelsLast && problem.geometry.group_out().is_multiple_of(4);
    let mut plans = Vec::new();
    for lanes in if vectors { &[4, 1][..] } else { &[1] } {
        let items = problem.geometry.out_elements() / u64::from(*lanes);
        plans.push(Plan {
            name: format!("conv_direct_{}x{lanes}", problem.dtype),
            steps: vec![conv_dispatch(problem, caps, part!("conv_direct.wgsl"), *lanes, items, &[])?],
            scratch: vec![],
            packing: None,
        });
    }
    Ok(plans)
}
