//! Time.

use std::time::{Duration, Instant};

use wgpu_conv::{Commands, Gpu};

use crate::Result;
use crate::arguments::Options;

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

/// At least `runs` samples, over at least `span`, after a few that do not count.
pub fn repeat(runs: usize, span: Duration, mut sample: impl FnMut() -> Result<f64>) -> Result<Times> {
    for _ in 0..2 {
        sample()?;
    }
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < runs || start.elapsed() < span {
        times.push(sample()?);
    }
    times.sort_by(f64::total_cmp);
    Ok(Times(times))
}

/// What a run's time is read from.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The device's, or the wall's for what the host does.
    Device,
    /// The wall's.
    Wall,
    /// That of all threads, divided by this number of cores.
    Processor(f64),
}

impl Clock {
    /// The clock that is asked for, or else the device's where it has one.
    pub fn new(options: &Options, gpu: &Gpu) -> Result<Self> {
        if options.cpu {
            processor_time()?;
            return Ok(Self::Processor(std::thread::available_parallelism()?.get() as f64));
        }
        Ok(if gpu.has_clock() && !options.wall { Self::Device } else { Self::Wall })
    }

    /// Its name for machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Wall => "wall",
            Self::Processor(_) => "processor",
        }
    }

    /// Milliseconds of what `record` adds to one submission.
    pub fn device(self, gpu: &Gpu, record: impl FnOnce(&mut Commands) -> Result<(), wgpu_conv::Error>) -> Result<f64> {
        if let Self::Device = self {
            return Ok(gpu.time(record)?.as_secs_f64() * 1e3);
        }
        self.host(|| {
            let mut commands = Commands::new(gpu);
            record(&mut commands)?;
            commands.submit()?;
            Ok(gpu.synchronize()?)
        })
    }

    /// Milliseconds that `run` takes on the host.
    pub fn host(self, run: impl FnOnce() -> Result<()>) -> Result<f64> {
        match self {
            Self::Device | Self::Wall => {
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
