//! Separable convolution in one pass: the matrix product of [`conv_subgroup`] over pixels that each lane computes.
//!
//! This is the operator fusion of `conv_separable` for processors, which pay for every barrier. Nothing is shared but
//! by broadcast, so there are no barriers, and the depthwise convolution is computed anew for every tile of output
//! channels.

use super::{SMALL, conv_subgroup, of_depthwise_pixels};
use crate::Result;
use crate::plan::{Caps, Plan, SeparableProblem};

pub(super) fn plans(problem: &SeparableProblem, caps: &Caps) -> Result<Vec<Plan>> {
    // An invocation has at most four pixels.
    let product = problem.product();
    let pixels = 4 * u64::from(product.geometry.in_channels.div_ceil(4));
    let plan = |mut plan: Plan| Plan {
        family: "conv_separable_subgroup",
        steps: vec![of_depthwise_pixels(plan.steps.swap_remove(0), problem, pixels)],
        ..plan
    };
    Ok(conv_subgroup::plans(&product, caps)?.into_iter().map(plan).collect())
}

/// Channels up to which one pass is faster than two where the depthwise convolution has one tap, as a normalisation before
/// a pointwise convolution has. Measured on lavapipe, time over that of two passes: 0.71 for 64 channels, 0.88 for 128, 1.03
/// for 256, 1.31 for 512. With 3×3 taps it was 1.5 for 64 and 2.4 for 728: they are read for every pixel and tile of
/// channels, while `conv_depthwise_strip` reads none twice.
const MOST_CHANNELS: u32 = 128;

/// Whether one pass is faster than two.
pub(super) fn pays(problem: &SeparableProblem, caps: &Caps) -> bool {
    let product = problem.product().geometry;
    let one_tap = problem.depthwise.geometry.terms() == 1;
    caps.subgroup == Some(8) && one_tap && product.out_channels <= MOST_CHANNELS && product.flops() >= SMALL
}
