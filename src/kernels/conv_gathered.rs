//! The rows of windows gathered as channels by a launch of their own: for the first convolution of a network, whose
//! windows would otherwise read a few channels one by one, again and again.
//!
//! This is im2col along one axis. The first convolution sees three channels, too few for the matrix products here,
//! which read fours of channels (vectorised loads). A first launch writes for each output column the values of a
//! window's row as channels of one pixel; the convolution that is left has taps above one another only, and many
//! channels. It is an implicit GEMM.
//!
//! ```text
//! 7×7 taps of 3 channels  →  7×1 taps of 21 channels, filled up to 24
//! ```

use super::{
    ConvLaunch, InputAccess, ProductStep, channels_in_fours, from_scratch, packing, product_steps, workgroups,
};
use crate::geometry::{Axis, ConvGeometry};
use crate::plan::{Caps, Constant, ConvProblem, Direction, Plan, part};
use crate::{DataFormat, Result};

/// Most input channels: with more, what is gathered outgrows what it saves.
const MOST_CHANNELS: u32 = 7;

pub(super) fn plans(problem: &ConvProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let Some(columns) = columns(problem) else { return Ok(Vec::new()) };
    let in_channels = columns.geometry.in_channels.next_multiple_of(4);
    let product = ConvProblem { geometry: ConvGeometry { in_channels, ..columns.geometry }, ..*problem };
    let elements = product.geometry.in_elements();
    let bytes = elements * problem.dtype.size() as u64;
    if bytes > caps.max_binding.min(u32::MAX.into()) {
        return Ok(Vec::new());
    }
    let items = elements / 4;
    let launch = ConvLaunch {
        lanes: 4,
        stores: 4,
        input: InputAccess::Fours,
        kernel_at: false,
        parts: &[part!("gather_rows.wgsl")],
        constants: &[("FOUR", Constant::U32(4))],
        items,
        workgroups: workgroups(items, caps)?,
        turns: 0,
    };
    let first = launch.begin(0, problem, caps)?;
    let packing = packing::in_fours(&columns, caps)?;
    let plan = |ProductStep { variant, dispatch, accuracy }| {
        let plan = Plan::new("conv_gathered", variant, vec![first.clone(), dispatch]);
        plan.with_scratch(vec![bytes]).packed(packing.clone()).rounded(accuracy)
    };
    Ok(product_steps(&product, from_scratch, caps)?.into_iter().map(plan).collect())
}

/// The convolution that is left when the rows of windows are channels: its kernel lies in memory as the whole one does.
fn columns(problem: &ConvProblem) -> Option<ConvProblem> {
    let ConvGeometry { groups, in_channels, .. } = problem.geometry;
    let [depth, height, width] = problem.geometry.axes;
    let last = problem.data_format == DataFormat::ChannelsLast && problem.direction == Direction::Forward;
    if !last || groups > 1 || width.kernel < 2 || in_channels > MOST_CHANNELS || channels_in_fours(problem)[0] {
        return None;
    }
    let in_channels = in_channels.checked_mul(width.kernel).filter(|&channels| channels <= u32::MAX - 3)?;
    let axes = [depth, height, Axis::pointwise(width.output)];
    Some(ConvProblem { geometry: ConvGeometry { in_channels, axes, ..problem.geometry }, ..*problem })
}
