//! Time.

use std::time::{Duration, Instant};

use crate::Result;

/// Milliseconds of one thing done repeatedly, ascending.
#[derive(Clone, Debug)]
pub struct Times(Vec<f64>);

impl Times {
    /// The value below which `part` of all lie, by the nearest.
    pub fn quantile(&self, part: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * part).round() as usize]
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub fn least(&self) -> f64 {
        self.quantile(0.0)
    }

    /// Makes them those of one of `parts` equal things.
    pub fn divide(&mut self, parts: u32) {
        self.0.iter_mut().for_each(|time| *time /= f64::from(parts));
    }
}

/// What a run's time is read from.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The wall's.
    Wall,
    /// That of all threads, divided by this number of cores.
    Processor(f64),
}

impl Clock {
    /// The clock that `--cpu` asks for, or the wall's.
    pub fn new(cpu: bool) -> Result<Self> {
        if !cpu {
            return Ok(Self::Wall);
        }
        processor_time()?;
        Ok(Self::Processor(std::thread::available_parallelism()?.get() as f64))
    }

    /// Milliseconds that `run` takes.
    pub fn once(self, run: impl FnOnce() -> Result<()>) -> Result<f64> {
        match self {
            Self::Wall => {
                let start = Instant::now();
                run()?;
                Ok(start.elapsed().as_secs_f64() * 1e3)
            }
            Self::Processor(cores) => {
                let start = processor_time()?;
                run()?;
                Ok((processor_time()? - start) * 1e3 / cores)
            }
        }
    }

    /// At least `runs` runs, over at least `span`, after a few that do not count.
    pub fn repeat(self, runs: usize, span: Duration, mut run: impl FnMut() -> Result<()>) -> Result<Times> {
        for _ in 0..2 {
            run()?;
        }
        let mut times = Vec::new();
        let start = Instant::now();
        while times.len() < runs || start.elapsed() < span {
            times.push(self.once(&mut run)?);
        }
        times.sort_by(f64::total_cmp);
        Ok(Times(times))
    }
}

/// Seconds that the threads of this process have run.
fn processor_time() -> Result<f64> {
    let mut nanoseconds = 0.0;
    for thread in std::fs::read_dir("/proc/self/task").map_err(|why| format!("--cpu needs Linux: {why}"))? {
        // A thread may end while this is read.
        let Ok(text) = std::fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        nanoseconds += text.split_whitespace().next().unwrap_or_default().parse().unwrap_or(0.0);
    }
    Ok(nanoseconds / 1e9)
}
