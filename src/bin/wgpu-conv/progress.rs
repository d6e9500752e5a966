//! How far work is that takes longer than a second.

use std::io::{self, IsTerminal, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Nothing is shown of work that takes less.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a bar moves.
const STEP: Duration = Duration::from_millis(200);
/// How often a line is written where there is no terminal.
const LINES: Duration = Duration::from_secs(10);

/// More of what is being done, asked for whenever progress is shown.
pub type Detail = Box<dyn Fn() -> String + Send>;

/// Shows on standard error how far some work is, from a second on until it is dropped: as a bar on a terminal, else as a line
/// every ten seconds.
pub struct Progress {
    count: Arc<Count>,
    bar: ProgressBar,
    /// Dropped to stop the thread that shows it.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How many are done of how many things; none are expected where the work cannot be counted.
#[derive(Default)]
struct Count {
    done: AtomicUsize,
    expected: AtomicUsize,
}

impl Progress {
    /// For `work`, as in "loading x.keras", which may be counted in `things`.
    pub fn new(work: impl Into<String>, things: &'static str, detail: Option<Detail>) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let count = Arc::new(Count::default());
        let (stop, stopped) = mpsc::channel();
        let shown = Shown { work: work.into(), things, detail, count: count.clone(), bar: bar.clone() };
        let thread = std::thread::Builder::new().spawn(move || shown.until(&stopped)).ok();
        Self { count, bar, stop: Some(stop), thread }
    }

    /// So many more are to come.
    pub fn expect(&self, count: usize) {
        self.count.expected.fetch_add(count, Ordering::Relaxed);
    }

    /// So many are done.
    pub fn done(&self, count: usize) {
        self.count.done.fetch_add(count, Ordering::Relaxed);
    }

    /// Lets `print` write to the terminal, with no bar in the way.
    pub fn aside<R>(&self, print: impl FnOnce() -> R) -> R {
        self.bar.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It only shows something: there is nothing to do where it could not.
            let _ = thread.join();
        }
    }
}

/// What the thread that shows it knows.
struct Shown {
    work: String,
    things: &'static str,
    detail: Option<Detail>,
    count: Arc<Count>,
    bar: ProgressBar,
}

impl Shown {
    fn until(&self, stopped: &Receiver<()>) {
        let (start, terminal) = (Instant::now(), io::stderr().is_terminal());
        let mut next = PATIENCE;
        while stopped.recv_timeout(STEP) == Err(RecvTimeoutError::Timeout) {
            if start.elapsed() < next {
                continue;
            }
            let (done, expected) =
                (self.count.done.load(Ordering::Relaxed), self.count.expected.load(Ordering::Relaxed));
            let detail = self.detail.as_ref().map(|detail| format!(", {}", detail())).unwrap_or_default();
            if terminal {
                let template = match expected {
                    0 => "{spinner} {msg}, {elapsed}".to_owned(),
                    _ => format!("{{msg}} {{wide_bar}} {{pos}}/{{len}} {}, {{eta}} left", self.things),
                };
                if let Ok(style) = ProgressStyle::with_template(&template) {
                    self.bar.set_style(style);
                }
                if self.bar.is_hidden() {
                    self.bar.set_draw_target(ProgressDrawTarget::stderr());
                }
                if expected > 0 {
                    self.bar.set_length(expected as u64);
                }
                self.bar.set_position(done as u64);
                self.bar.set_message(format!("{}{detail}", self.work));
                self.bar.tick();
            } else {
                let counted =
                    if expected > 0 { format!(", {done} of {expected} {}", self.things) } else { String::new() };
                let seconds = start.elapsed().as_secs();
                // Where standard error is closed nobody looks.
                let _ = writeln!(io::stderr(), "{}{counted}{detail}, {seconds} s", self.work);
                next = start.elapsed() + LINES;
            }
        }
        self.bar.finish_and_clear();
    }
}
