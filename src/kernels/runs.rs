//! Sums in runs: how convolutions add up thousands of products and stay accurate.
//!
//! A sum that is added up in one chain, product by product, rounds once for each. Where the products are alike, as in a flat
//! part of an image, all of these roundings have one sign, and the error grows with the length of the chain: a chain of 100 000
//! loses two digits of seven. So no chain is longer than [`RUN`]. What a run has come to is added to a second number, and
//! the next run begins at 0 (blocked summation): the error grows with the length of a run and with the number of runs, not with
//! their product.
//!
//! A run is a block of a sum's terms that are neighbours anyhow: some taps of the kernel, or some of the channels of one. Closing
//! it costs one addition for each output, hundreds of products apart. A sum that is no longer than a run has one.

use crate::plan::Constant;

/// The most terms of a run.
pub(super) const RUN: u32 = 256;

/// How a sum over taps and channels falls into runs.
#[derive(Clone, Copy)]
pub(super) struct Runs {
    taps: u64,
    channels: u64,
    /// Taps of a run; 1 where a run is a part of a tap's channels.
    run: u64,
}

impl Runs {
    /// The runs of sums over so many taps and channels.
    pub(super) fn of(taps: u64, channels: u32) -> Self {
        let channels = u64::from(channels.max(1));
        let fit = (u64::from(RUN) / channels).max(1);
        // Few different numbers make few different shaders.
        let run = if fit >= taps { taps.max(1) } else { 1 << fit.ilog2() };
        Self { taps, channels, run }
    }

    /// Parts of the channels of a tap that are runs of their own.
    fn blocks(self) -> u64 {
        self.channels.div_ceil(RUN.into())
    }

    /// Whether there is more than one run.
    pub(super) fn closes(self) -> bool {
        self.taps * self.blocks() > self.run
    }

    /// What shaders know of the runs, but for whether there are more than one.
    pub(super) fn constants(self) -> [(&'static str, Constant); 2] {
        [("RUN_TAPS", Constant::U32(self.run as u32)), ("RUN_DEPTH", Constant::U32(RUN))]
    }

    /// Turns of the loops over runs, over taps and parts of their channels, over steps of `step` channels, and of what is
    /// `within` a step.
    pub(super) fn turns(self, step: u64, within: u64) -> u64 {
        let parts = self.taps * self.blocks();
        let steps = self.taps.saturating_mul(self.channels.div_ceil(step));
        parts.div_ceil(self.run).saturating_add(parts).saturating_add(steps.saturating_mul(1 + within))
    }
}
