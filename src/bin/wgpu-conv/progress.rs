//! How far the work is.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error, from the moment that the work has taken long enough for one; none where nobody looks.
pub struct Progress {
    bar: ProgressBar,
    start: Instant,
}

impl Progress {
    /// For work counted in `things`.
    pub fn new(things: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(&format!("{{wide_bar}} {{pos}}/{{len}} {things}, {{eta}} left"))
        {
            bar.set_style(style);
        }
        Self { bar, start: Instant::now() }
    }

    /// So many more are to come.
    pub fn expect(&self, count: usize) {
        self.bar.inc_length(count as u64);
    }

    /// So many are done.
    pub fn done(&self, count: usize) {
        if self.bar.is_hidden() && self.start.elapsed() > Duration::from_millis(500) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.inc(count as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
