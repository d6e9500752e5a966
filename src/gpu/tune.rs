//! Choice by measurement (autotuning): every candidate of a problem timed on the device, and the record of it.
//!
//! Which of several plans for a convolution is fastest depends on the device, and no formula knows all of them. With
//! `Tuning::Measure` each candidate of a convolution is run on memory of the right sizes when the problem first comes
//! up: once, to compile it and to see whether it is anywhere near the fastest, then in a few samples, of which the
//! middle one counts. The fastest is chosen from then on. Without it the first candidate is taken, the best guess from
//! the problem's numbers.
//!
//! The record is a text file, a line for each device and problem, so that a later process measures nothing again:
//!
//! ```text
//! device and driver ⇥ problem ⇥ plan nanoseconds nanoseconds … ⇥ plan nanoseconds …
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::{Bound, BufferBinding, Commands, Gpu, Resource, lock};
use crate::plan::{ConvProblem, Operand, Plan, Problem, SeparableProblem};
use crate::{DType, Error, Result, file};

/// What was measured of each problem, by its text.
pub(super) type Measurements = BTreeMap<String, Vec<Measurement>>;

/// How many times the fastest a candidate may take at first to be measured further.
const FAR: u32 = 2;
/// Samples of a candidate beyond the first.
const ROUNDS: usize = 5;
/// Calls last this long together in one sample, so that a clock's steps and a submission's cost do not show.
const SPAN: Duration = Duration::from_millis(2);
const MOST_CALLS: u128 = 32;
/// What memory is filled with: repeated, it is an ordinary number as f32 and as f16.
const FILLING: u8 = 0x38;

/// How long one candidate of a problem took.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Measurement {
    /// The plan's name.
    pub plan: String,
    /// The time of one run, several times over; only once for a plan that was far slower than others.
    pub samples: Vec<Duration>,
}

impl Measurement {
    /// The middle one of the samples.
    pub fn median(&self) -> Duration {
        let mut samples = self.samples.clone();
        samples.sort();
        samples.get(samples.len() / 2).copied().unwrap_or(Duration::MAX)
    }
}

impl Gpu {
    /// What [`Tuning::Measure`](crate::Tuning::Measure) has measured and [`load_tuning`](Self::load_tuning) has read, by
    /// the `Debug` text of the [problem](crate::plan::Problem). A candidate that could not be run is not listed.
    ///
    /// ```no_run
    /// use wgpu_conv::{Gpu, Tensor, Tuning, layers::Conv2D};
    ///
    /// let gpu = Gpu::new()?;
    /// gpu.set_tuning(Tuning::Measure);
    /// let layer = Conv2D::new(32, 3).build(&gpu, [1, 56, 56, 64])?;
    /// layer.call(&Tensor::from_slice(&gpu, [1, 56, 56, 64], &vec![0.5f32; 56 * 56 * 64])?)?;
    /// for (problem, plans) in gpu.measurements() {
    ///     println!("{problem}");
    ///     for plan in plans {
    ///         println!("  {} {:?}", plan.plan, plan.median());
    ///     }
    /// }
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn measurements(&self) -> BTreeMap<String, Vec<Measurement>> {
        lock(&self.0.measurements).clone()
    }

    /// Writes the [measurements](Self::measurements) to a file of text, for [`load_tuning`](Self::load_tuning) of a later
    /// process.
    ///
    /// What the file says of other problems, of other devices and drivers and by other versions of this library stays in
    /// it. Whatever happens, it is replaced by the whole new one or not at all.
    ///
    /// # Errors
    /// [`Error::Format`] where the file cannot be read or written, and where one is there already of which
    /// any line is something else: it is left as it is.
    pub fn save_tuning(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let device = self.named();
        let mut lines = lines(path)?;
        let measured = self.measurements().into_iter().filter(|(_, plans)| !plans.is_empty());
        lines.extend(measured.map(|(problem, plans)| ((device.clone(), problem), plans)));
        let mut text = file::TIMES.to_owned();
        for ((device, problem), plans) in lines {
            let _ = write!(text, "{device}\t{problem}");
            for Measurement { plan, samples } in plans {
                let _ = write!(text, "\t{plan}");
                for sample in samples {
                    let _ = write!(text, " {}", sample.as_nanos());
                }
            }
            text.push('\n');
        }
        file::write_file(path, text.as_bytes(), file::FileKind::Tuning)
    }

    /// [Loads](Self::load_tuning) the measurements in a file, and from then on [writes](Self::save_tuning) them to it after each
    /// problem that is measured, so that none is lost where the process ends early.
    ///
    /// # Errors
    /// [`Error::Format`] where there is a file that cannot be read or is something else, and where none
    /// can be written.
    pub fn keep_tuning(&self, path: impl AsRef<Path>) -> Result<usize> {
        let path = path.as_ref();
        let count = self.load_tuning(path)?;
        self.save_tuning(path)?;
        *lock(&self.0.tuning_file) = Some(path.to_owned());
        Ok(count)
    }

    /// Takes over what [`save_tuning`](Self::save_tuning) wrote on a device of this name with this driver, so that
    /// [`Tuning::Measure`](crate::Tuning::Measure) does not measure it again; returns for how many problems.
    ///
    /// Other lines, and lines that are not whole, are passed over. A file that does not exist holds none.
    ///
    /// # Errors
    /// [`Error::Format`] where there is a file that cannot be read.
    ///
    /// ```no_run
    /// use wgpu_conv::{Gpu, Tuning};
    ///
    /// let gpu = Gpu::new()?;
    /// gpu.load_tuning("kernels.txt")?;
    /// gpu.set_tuning(Tuning::Measure);
    /// // Build and call layers and models; then:
    /// gpu.save_tuning("kernels.txt")?;
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn load_tuning(&self, path: impl AsRef<Path>) -> Result<usize> {
        let named = self.named();
        let read = lines(path.as_ref())?.into_iter().filter(|((device, _), _)| *device == named);
        let read: Measurements = read.map(|((_, problem), plans)| (problem, plans)).collect();
        let count = read.len();
        lock(&self.0.measurements).extend(read);
        lock(&self.0.plans).forget();
        Ok(count)
    }

    /// The device as files of measurements and of compiled pipelines name it: all that bears on them and is known.
    pub(super) fn named(&self) -> String {
        let wgpu::AdapterInfo { name, driver, driver_info, backend, .. } = self.info();
        let version = env!("CARGO_PKG_VERSION");
        let named = format!("{name}, {backend:?}, {driver} {driver_info}, wgpu-conv {version}");
        named.replace(char::is_control, " ")
    }

    /// The place of the fastest candidate, measured now unless that is on record; the first where none of them could be run.
    pub(super) fn fastest(&self, problem: &Problem, candidates: &[Plan]) -> usize {
        let [_, _, ..] = candidates else { return 0 };
        self.measured(problem, candidates).map_or(0, |(place, _)| place)
    }

    /// Whether the fastest of `candidates` for both convolutions of `problem` takes less time than the fastest of each.
    pub(super) fn is_faster_in_one_pass(&self, problem: &SeparableProblem, candidates: &[Plan]) -> Result<bool> {
        let [first, second] = [problem.depthwise, problem.pointwise].map(Problem::Conv);
        let (one, two) = (self.candidates(&first)?, self.candidates(&second)?);
        let both = [(first, &one[..]), (second, &two[..]), (Problem::Separable(*problem), candidates)];
        let times = both.map(|(problem, candidates)| self.measured(&problem, candidates).map(|(_, time)| time));
        Ok(matches!(times, [Some(first), Some(second), Some(in_one)] if in_one < first + second))
    }

    /// The place of the fastest candidate of a problem of convolutions and the time it takes, measured now unless that is
    /// on record; `None` where it could not be.
    fn measured(&self, problem: &Problem, candidates: &[Plan]) -> Option<(usize, Duration)> {
        let elements = Elements::of(problem)?;
        // Two measurements at once would disturb each other; what is known already can be asked for meanwhile.
        let measuring = lock(&self.0.measuring);
        let text = format!("{problem:?}");
        let fastest = lock(&self.0.measurements).get(&text).and_then(|plans| fastest_of(candidates, plans));
        if fastest.is_some() {
            return fastest;
        }
        match self.measure(&elements, candidates) {
            Ok(plans) => {
                for plan in &plans {
                    log::debug!("{} takes {:?}: {text}", plan.plan, plan.median());
                }
                let fastest = fastest_of(candidates, &plans);
                lock(&self.0.measurements).insert(text, plans);
                drop(measuring);
                let file = lock(&self.0.tuning_file).clone();
                if let Some(Err(error)) = file.map(|file| self.save_tuning(file)) {
                    log::warn!("what was measured is not kept: {error}");
                }
                fastest
            }
            Err(error) => {
                log::debug!("not measured, {error}: {text}");
                None
            }
        }
    }

    /// Times each of `candidates` that runs, all on the same memory.
    fn measure(&self, elements: &Elements, candidates: &[Plan]) -> Result<Vec<Measurement>> {
        let bytes = |count: u64| count * elements.dtype.size() as u64;
        let filled = |size: u64| -> Result<BufferBinding> {
            let storage = self.storage(size)?;
            self.write(&storage, &vec![FILLING; size as usize])?;
            Ok(BufferBinding { storage, offset: 0, size })
        };
        let if_any = |count: u64| (count > 0).then(|| filled(bytes(count))).transpose();
        let kernel_bytes = |plan: &Plan| match &plan.packing {
            Some(packing) => packing.elements * packing.dtype.size() as u64,
            None => bytes(elements.kernel),
        };
        let input = filled(bytes(elements.input))?;
        let kernel = filled(candidates.iter().map(kernel_bytes).max().unwrap_or(0))?;
        let [other, bias] = [if_any(elements.other)?, if_any(elements.bias)?];
        let [then_kernel, then_bias] = [if_any(elements.then_kernel)?, if_any(elements.then_bias)?];
        let output = filled(bytes(elements.output))?;
        let resource = |plan: &Plan, operand, buffer: BufferBinding| match plan.texel(operand) {
            None => Ok(Resource::Buffer(buffer)),
            Some(texel) => {
                let texels = self.texels(texel, buffer.size, true)?;
                let mut commands = Commands::new(self);
                commands.fill(&buffer, &texels)?;
                commands.submit()?;
                Ok::<_, Error>(Resource::Texels(texels))
            }
        };
        let time = |plan: &Plan, calls: u32| -> Result<Duration> {
            let mut bound = Bound::default();
            bound.bind(Operand::Input, Resource::Buffer(input.clone()));
            bound.bind(Operand::Output, Resource::Buffer(output.clone()));
            let kernel = kernel.clone().sized(kernel_bytes(plan));
            bound.bind(Operand::Kernel, resource(plan, Operand::Kernel, kernel)?);
            let others = [(Operand::Other, &other), (Operand::Bias, &bias), (Operand::ThenBias, &then_bias)];
            for (operand, buffer) in others {
                if let Some(buffer) = buffer {
                    bound.bind(operand, Resource::Buffer(buffer.clone()));
                }
            }
            if let Some(kernel) = &then_kernel {
                bound.bind(Operand::ThenKernel, resource(plan, Operand::ThenKernel, kernel.clone())?);
            }
            Ok(self.time(|commands| (0..calls).try_for_each(|_| commands.record(plan, &bound)))? / calls)
        };
        let mut running = Vec::new();
        for plan in candidates {
            // The first run compiles.
            match time(plan, 1).and_then(|_| time(plan, 1)) {
                Ok(sample) => running.push((plan, Measurement { plan: plan.name(), samples: vec![sample] })),
                Err(error) => log::debug!("{} is left out: {error}", plan.name()),
            }
        }
        let least = running.iter().map(|(_, plan)| plan.samples[0]).min().unwrap_or_default();
        let calls = (SPAN.as_nanos() / least.as_nanos().max(1)).clamp(1, MOST_CALLS) as u32;
        for _ in 0..ROUNDS {
            for (plan, Measurement { samples, .. }) in &mut running {
                if samples[0] <= least * FAR {
                    samples.push(time(plan, calls)?);
                }
            }
        }
        Ok(running.into_iter().map(|(_, measurement)| measurement).collect())
    }
}

/// What a problem of convolutions reads and writes, in elements of one type; 0 for what it does not have.
struct Elements {
    dtype: DType,
    input: u64,
    other: u64,
    kernel: u64,
    bias: u64,
    then_kernel: u64,
    then_bias: u64,
    output: u64,
}

impl Elements {
    fn of(problem: &Problem) -> Option<Self> {
        match problem {
            Problem::Conv(problem) => Some(Self::of_convolution(problem)),
            Problem::Separable(problem) => {
                let [first, second] = [&problem.depthwise, &problem.pointwise].map(Self::of_convolution);
                let Self { other, kernel: then_kernel, bias: then_bias, output, .. } = second;
                Some(Self { other, then_kernel, then_bias, output, ..first })
            }
            _ => None,
        }
    }

    fn of_convolution(problem: &ConvProblem) -> Self {
        let ConvProblem { geometry, dtype, epilogue, .. } = problem;
        let output = problem.written_elements();
        Self {
            dtype: *dtype,
            input: problem.read_elements(),
            other: if epilogue.residual { output } else { 0 },
            kernel: geometry.kernel_elements(),
            bias: if epilogue.bias { problem.written()[0].into() } else { 0 },
            then_kernel: 0,
            then_bias: 0,
            output,
        }
    }
}

/// The place of the candidate that `measured` knows to be the fastest, if it knows any of them, and how long it takes.
fn fastest_of(candidates: &[Plan], measured: &[Measurement]) -> Option<(usize, Duration)> {
    let time = |plan: &Plan| measured.iter().find(|known| known.plan == plan.name()).map(Measurement::median);
    let times = candidates.iter().enumerate().filter_map(|(place, plan)| Some((place, time(plan)?)));
    times.min_by_key(|&(_, time)| time)
}

/// The whole lines of the file at `path`, by device and problem.
///
/// # Errors
/// [`Error::Format`] where there is a file that cannot be read or is something else.
fn lines(path: &Path) -> Result<BTreeMap<(String, String), Vec<Measurement>>> {
    let text = file::read_if_any(path)?.unwrap_or_default();
    if !text.is_empty() && !text.starts_with(file::TIMES_BEGIN.as_bytes()) {
        let problem = "is no file of times of kernels, and is left as it is; give the path of one, or of none yet";
        return Err(Error::format(path.display().to_string(), problem));
    }
    Ok(String::from_utf8_lossy(&text).split_inclusive('\n').filter_map(parsed).collect())
}

fn parsed(line: &str) -> Option<((String, String), Vec<Measurement>)> {
    let file::Times { device, problem, plans } = file::times_in(line)?;
    let measurement = |(plan, samples): (&str, Vec<u64>)| Measurement {
        plan: plan.to_owned(),
        samples: samples.into_iter().map(Duration::from_nanos).collect(),
    };
    Some(((device.to_owned(), problem.to_owned()), plans.into_iter().map(measurement).collect()))
}
