//! Sums in runs: how convolutions add up thousands of products and stay accurate.
//!
//! A sum that is added up in one chain, product by product, rounds once for each. Where the products are alike, as in a flat
//! part of an image, all of these roundings have one sign, and the error grows with the length of the chain: a chain of 100 000
//! loses two digits of seven. So no chain is longer than [`RUN`]. What a run has come to is added to a second number, and
//! the next run begins at 0 (blocked summation): the error grows with the length of a run and with the number of runs, not with
//! their product.
//!
//! A run is a block of a sum's terms that are neighbours anyhow: some taps of one row of the kernel, and some channels. Closing
//! it costs one addition for each output, hundreds of products apart. A sum that is no longer than a run has one.

use crate::plan::{Constant, nested_turns};

/// The most terms of a run.
pub(super) const RUN: u32 = 256;

/// The most runs of a sum, which are a chain themselves.
const MOST_RUNS: u64 = 1024;

/// How a sum over taps and channels falls into runs.
#[derive(Clone, Copy)]
pub(super) struct Runs {
    taps: [u64; 2],
    channels: u64,
    /// Taps of a kernel row in a run.
    columns: u64,
    /// Channels of a run.
    depth: u64,
    /// Whether there is more than one run.
    closes: bool,
}

impl Runs {
    /// The runs of sums over so many rows and columns of taps, and so many `channels`; `None` where there would be too many.
    pub(super) fn of([rows, width]: [u64; 2], channels: u32) -> Option<Self> {
        let channels = u64::from(channels.max(1));
        let run = u64::from(RUN);
        // Few different numbers make few different shaders.
        let columns = match run / channels {
            fit if fit >= width => width,
            0..4 => 1,
            fit => 1 << fit.ilog2(),
        };
        let runs = Self { taps: [rows, width], channels, columns, depth: run, closes: rows * width * channels > run };
        let count = rows * width.div_ceil(columns) * channels.div_ceil(run);
        (!runs.closes || count <= MOST_RUNS).then_some(runs)
    }

    /// What shaders know of it.
    pub(super) fn constants(self) -> [(&'static str, Constant); 3] {
        [
            ("RUN_W", Constant::U32(self.columns as u32)),
            ("RUN_DEPTH", Constant::U32(self.depth as u32)),
            ("CLOSES", Constant::Bool(self.closes)),
        ]
    }

    /// Turns of the loops over rows of taps, blocks of taps, blocks of channels, taps, steps of `step` channels, and what is
    /// `within` a step.
    pub(super) fn turns(self, step: u64, within: u64) -> u64 {
        let [rows, width] = self.taps;
        let blocks = self.channels.div_ceil(self.depth);
        let steps = rows.saturating_mul(width).saturating_mul(self.channels.div_ceil(step));
        nested_turns(&[rows, width.div_ceil(self.columns), blocks])
            .saturating_add(rows.saturating_mul(width).saturating_mul(blocks))
            .saturating_add(steps.saturating_mul(1 + within))
    }
}
