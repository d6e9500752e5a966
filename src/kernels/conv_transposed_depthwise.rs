//! Transposed convolution of each channel by itself: the gradient to the input of a depthwise convolution with strides.
//!
//! Without strides that gradient is a convolution with the kernel turned around, and any depthwise kernel computes it. With strides
//! it would be one of a picture with zeros between, most of whose products are with zeros; here only the taps that hit are
//! visited (`lib/taps.wgsl`), four channels at a time where they lie side by side (vectorised loads).

use super::conv_transposed::{hits, tap_constants, taps};
use super::{ConvLaunch, InputAccess, depthwise_lanes, workgroups};
use crate::Result;
use crate::plan::{Accuracy, Caps, ConvProblem, Direction, Plan, Sums, nested_turns, part};

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    if problem.direction != Direction::BackwardInput || !problem.geometry.is_depthwise() {
        return Ok(Vec::new());
    }
    let lanes = depthwise_lanes(problem);
    let items = problem.written_elements() / u64::from(lanes);
    let [rows, columns] = hits(problem);
    let launch = ConvLaunch {
        lanes,
        stores: lanes,
        input: InputAccess::Lanes,
        kernel_at: true,
        parts: &[&taps(problem)[..], &[part!("conv_transposed_depthwise.wgsl")]].concat(),
        constants: &tap_constants(problem)?,
        items,
        workgroups: workgroups(items, caps)?,
        turns: nested_turns(&[rows.saturating_mul(columns)]),
    };
    let name = format!("{}x{lanes}", problem.dtype);
    let plan = Plan::new("conv_transposed_depthwise", name, vec![launch.dispatch(problem, caps)?]);
    Ok(vec![plan.rounded(Accuracy::of(Sums::Chain))])
}
