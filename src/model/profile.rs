//! How long a model takes, layer by layer and as a whole, on inputs made up for the purpose.
//!
//! A compiled model has no layers left to time: several may be one launch. So each layer is run by itself, unfused,
//! which tells where the time goes, and the compiled program is timed whole, which tells what is in fact waited for.
//! The difference of the two is what fusion saves. Times are medians unless said otherwise, by the device's clock where
//! it has one.

use std::time::{Duration, Instant};

use super::Model;
use crate::{DType, Result, Shape, Tensor};

/// What [`Model::profile`] measured; medians, unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Profile {
    /// The layers in the order of computation, each run by itself with nothing fused.
    pub layers: Vec<LayerTime>,
    /// Whether the times of layers and of the program were taken by the device's clock. Where it has none, they are those
    /// that the host waits from a submission to its completion, each with the cost of a submission.
    pub device_clock: bool,
    /// The compiled model's launches.
    pub program: Duration,
    /// A call of the compiled model, from recording it to completion, as the host sees it.
    pub call: Duration,
    /// The first call, once: planning, uploading the weights and compiling the shaders, unless the model had been called
    /// before.
    pub first_call: Duration,
}

/// The time of one layer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LayerTime {
    /// The layer's name, behind those of the models it stands in.
    pub path: String,
    /// Keras's name of its class.
    pub class: &'static str,
    /// The shape of what it makes.
    pub shape: Shape,
    /// The number of its weights.
    pub parameters: u64,
    /// How long it takes.
    pub time: Duration,
}

impl Profile {
    /// The layers' times together.
    pub fn total(&self) -> Duration {
        self.layers.iter().map(|layer| layer.time).sum()
    }
}

impl Model {
    /// How long the model takes on `inputs`: the first call, later calls, and each layer by itself, the median of `runs`
    /// and at least one.
    ///
    /// # Errors
    /// Those of [`call_recorded`](Self::call_recorded).
    pub fn profile(&self, inputs: &[Tensor], runs: usize) -> Result<Profile> {
        self.profile_with(inputs, runs, |_| ())
    }

    /// [`profile`](Self::profile), showing `seen` each layer as soon as it has been measured; before them come the calls of the
    /// whole model.
    ///
    /// # Errors
    /// Those of [`profile`](Self::profile).
    pub fn profile_with(&self, inputs: &[Tensor], runs: usize, mut seen: impl FnMut(&LayerTime)) -> Result<Profile> {
        let runs = runs.max(1);
        let call = || -> Result<Duration> {
            let start = Instant::now();
            self.call_on_device(inputs)?;
            self.gpu().synchronize()?;
            Ok(start.elapsed())
        };
        self.gpu().synchronize()?;
        let first_call = call()?;
        let call = median(runs, call)?;
        let program = median(runs, || self.gpu().time(|commands| self.record(commands, inputs).map(drop)))?;
        let mut layers = Vec::new();
        for recorded in self.call_recorded(inputs)? {
            let record = || {
                let gpu = self.gpu();
                gpu.time(|commands| recorded.layer.record_all(commands, &recorded.inputs).map(drop))
            };
            let layer = LayerTime {
                time: median(runs, record)?,
                class: recorded.layer.config().class_name(),
                shape: recorded.output.shape().clone(),
                parameters: recorded.layer.count_params(),
                path: recorded.path,
            };
            seen(&layer);
            layers.push(layer);
        }
        Ok(Profile { layers, device_clock: self.gpu().has_clock(), program, call, first_call })
    }

    /// The shapes of the model's inputs with `batch` for an unknown batch and `extent` for any other extent that is
    /// unknown.
    pub fn input_shapes(&self, batch: usize, extent: usize) -> Vec<Shape> {
        let known = |(axis, dim): (usize, &Option<usize>)| dim.unwrap_or(if axis == 0 { batch } else { extent });
        self.inputs()
            .iter()
            .map(|input| input.shape.dims().iter().enumerate().map(known).collect::<Vec<_>>().into())
            .collect()
    }

    /// Inputs of these shapes for trying the model: evenly distributed from −1 to 1, the same for the same `seed` on every
    /// machine.
    ///
    /// # Errors
    /// Those of [`Tensor::from_slice`].
    pub fn sample_inputs(&self, shapes: &[Shape], seed: u64) -> Result<Vec<Tensor>> {
        let mut state = seed;
        let mut inputs = Vec::with_capacity(shapes.len());
        for shape in shapes {
            // What the device cannot hold is refused before it is made.
            let tensor = Tensor::uninitialized(self.gpu(), shape.clone(), DType::F32)?;
            let values: Vec<f32> = (0..shape.elements()?).map(|_| number(&mut state)).collect();
            tensor.write(bytemuck::cast_slice(&values))?;
            inputs.push(tensor);
        }
        Ok(inputs)
    }
}

/// The median of `runs` measurements, after one that does not count.
fn median(runs: usize, mut measure: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    measure()?;
    let mut times = (0..runs).map(|_| measure()).collect::<Result<Vec<_>>>()?;
    times.sort();
    Ok(times[times.len() / 2])
}

/// The next of a stream of numbers from −1 to 1 (splitmix64).
fn number(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    ((z >> 40) as f64 / f64::from(1 << 23) - 1.0) as f32
}
