//! Input channels filled up to fours by a launch of their own: for the first convolution of a network, whose windows would
//! otherwise read three channels one by one, again and again.

use super::{ConvLaunch, Input, channels_in_fours, from_scratch, packing, product_steps, workgroups};
use crate::geometry::ConvGeometry;
use crate::plan::{Binding, Caps, ConvProblem, Direction, Dispatch, Epilogue, Operand, Plan, part};
use crate::{DataFormat, Result};

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let Some(filled) = filled(problem) else { return Ok(Vec::new()) };
    let elements = filled.geometry.in_elements();
    let bytes = elements * problem.dtype.size() as u64;
    if bytes > caps.max_binding.min(u32::MAX.into()) {
        return Ok(Vec::new());
    }
    let items = elements / 4;
    let launch = ConvLaunch {
        lanes: 4,
        stores: 4,
        input: Input::Fours,
        kernel_at: false,
        parts: &[part!("fill_channels.wgsl")],
        constants: &[],
        items,
        workgroups: workgroups(items, caps)?,
    };
    let first = launch.dispatch(&ConvProblem { epilogue: Epilogue::NONE, ..*problem }, caps)?;
    let first = Dispatch { bindings: vec![first.bindings[0], Binding::Write(Operand::Scratch(0))], ..first };
    let packing = packing::in_fours(problem, caps)?;
    let plan = |(name, product): (String, Dispatch)| Plan {
        name: format!("conv_filled_{name}"),
        steps: vec![first.clone(), product],
        scratch: vec![bytes],
        packing: packing.clone(),
    };
    Ok(product_steps(&filled, from_scratch, caps)?.into_iter().map(plan).collect())
}

/// The convolution of the filled input: one with windows, whose input's channels are last and do not come in fours.
fn filled(problem: &ConvProblem) -> Option<ConvProblem> {
    let geometry = &problem.geometry;
    let windows = geometry.axes.iter().any(|axis| axis.kernel > 1);
    let last = problem.data_format == DataFormat::ChannelsLast && problem.direction == Direction::Forward;
    if !last || !windows || channels_in_fours(problem)[0] || geometry.group_in() < 3 {
        return None;
    }
    let in_channels = geometry.group_in().checked_next_multiple_of(4)?.checked_mul(geometry.groups)?;
    Some(ConvProblem { geometry: ConvGeometry { in_channels, ..*geometry }, ..*problem })
}
