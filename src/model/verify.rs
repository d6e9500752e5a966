//! Models held to the truth, layer by layer.
//!
//! A network that computes something slightly wrong still gives plausible scores. A driver may compile a shader
//! wrongly, a file may be read wrongly, a kernel may have an error that only some sizes show. `verify` finds the first
//! layer where that happens.
//!
//! Each layer runs on the device by itself, on what the layers before it made there. What it makes is compared with the
//! [reference](mod@crate::reference), given the same inputs, or with statistics that were recorded elsewhere. So an error
//! of one layer is not passed on to those behind it. The compiled model, in which layers are fused, is then compared
//! with the layers one by one.

use std::collections::HashSet;
use std::fmt;

use super::{Model, Recorded};
use crate::layers::LayerConfig;
use crate::reference::{self, Array, Difference, Storage};
use crate::{DType, DTypePolicy, HostTensor, Result, Shape, Tensor};

/// Deviation of recorded statistics, and of a compiled model's outputs from its layers' own, that is still agreement:
/// `max|a − b| / max(max|b|, 0.05)`.
pub const DEVIATION: f64 = 1e-4;

/// The part of [`DEVIATION`] that the noise of f32 stays below. A difference from what was recorded that passes [`DEVIATION`]
/// somewhere began where it left the noise: see [`Model::verify_recorded`].
pub const SUSPECT: f64 = 0.1;

/// What [`Model::verify`] and [`Model::verify_recorded`] found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The layers in the order of computation; a layer applied twice stands there twice.
    pub layers: Vec<Check>,
    /// The outputs of the compiled model against those of its layers run one by one.
    pub outputs: Vec<Check>,
}

/// One tensor that was compared.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Check {
    /// The layer's path, as [`Recorded`] has it, or `output 0`, ….
    pub name: String,
    /// Keras's name of the layer's class; the model's name for an output.
    pub class: String,
    /// The tensor's shape.
    pub shape: Shape,
    /// The largest error, in units of what is allowed: more than 1 where there is a finding, and only there.
    pub error: f64,
    /// What is allowed, as a part of the usual limit: 1, or [`SUSPECT`] where [`Model::verify_recorded`] looks more closely.
    pub limit: f64,
    /// What is wrong, if anything is.
    pub finding: Option<Finding>,
}

/// How a tensor differs from what it should be.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// It has another shape.
    Shape {
        /// The shape it should have.
        expected: Shape,
    },
    /// Elements are off by more than they may be.
    Elements(Difference),
    /// A statistic is off by more than it may be.
    Statistic {
        /// `mean`, `std`, `min`, `max`, `first8[3]`, ….
        name: String,
        /// The device's.
        received: f64,
        /// The recorded one.
        expected: f64,
        /// How far it may be from that.
        allowed: f64,
    },
}

impl Finding {
    /// The finding where that part of the limit is allowed.
    fn within(self, part: f64) -> Self {
        match self {
            Self::Statistic { name, received, expected, allowed } => {
                Self::Statistic { name, received, expected, allowed: allowed * part }
            }
            other => other,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape { expected } => write!(f, "the shape should be {expected}"),
            Self::Elements(difference) => difference.fmt(f),
            Self::Statistic { name, received, expected, allowed } => {
                write!(f, "{name}: received {received:e}, expected {expected:e} ± {allowed:.3e}")
            }
        }
    }
}

impl VerifyReport {
    /// The first layer that differs, or else the first output that does.
    pub fn first_difference(&self) -> Option<&Check> {
        self.layers.iter().chain(&self.outputs).find(|check| check.finding.is_some())
    }
}

/// What was recorded of one layer's output, elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerStatistics {
    /// The layer's name.
    pub layer: String,
    /// The output's shape.
    pub shape: Shape,
    /// The mean of all elements.
    pub mean: f64,
    /// Their standard deviation.
    pub std: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The first elements.
    pub first: Vec<f64>,
    /// The last elements.
    pub last: Vec<f64>,
}

impl Model {
    /// Runs every layer on the device and on the reference, given what the layers before it made on the device, then the
    /// compiled model against the layers run one by one.
    ///
    /// An element of a layer may be off by what `f32` arithmetic can miss in a sum of so many terms
    /// ([`reference::tolerance`]); an output of the compiled model, which adds in another order and folds layers into each
    /// other, by [`DEVIATION`] of the largest.
    ///
    /// The reference computes in f64 on the CPU, on purpose without cleverness: a large network takes a while.
    ///
    /// # Errors
    /// Those of [`call_recorded`](Self::call_recorded), and [`Error::Unsupported`](crate::Error::Unsupported) for a layer that the reference lacks.
    pub fn verify(&self, inputs: &[Tensor]) -> Result<VerifyReport> {
        self.verify_with(inputs, |_| ())
    }

    /// [`verify`](Self::verify), showing `seen` each check when it is done.
    ///
    /// # Errors
    /// Those of [`verify`](Self::verify).
    pub fn verify_with(&self, inputs: &[Tensor], mut seen: impl FnMut(&Check)) -> Result<VerifyReport> {
        let (applications, outputs) = self.record_layers(inputs)?;
        let mut layers = Vec::with_capacity(applications.len());
        for application in &applications {
            let check = application.against_reference().map_err(|error| error.in_layer(&application.path))?;
            seen(&check);
            layers.push(check);
        }
        Ok(VerifyReport { layers, outputs: self.compiled_against(inputs, &outputs)? })
    }

    /// Runs every layer on the device and compares what it makes with `recorded`: the shape, and each statistic within
    /// [`DEVIATION`] of the larger of its own size, the standard deviation and 0.05; then the compiled model, as in
    /// [`verify`](Self::verify).
    ///
    /// Layers are matched by name, and by their place where the names are others: automatic ones count on from model to
    /// model. What was recorded of no layer is not compared.
    ///
    /// Where a layer is beyond its limit, those that it reads are looked at more closely, and those that they read, as long as
    /// each is beyond [`SUSPECT`] of its limit: the difference came through them, and began at the first. They are held to
    /// that part, which [`Check::limit`] tells; no other layer is.
    ///
    /// # Errors
    /// Those of [`call_recorded`](Self::call_recorded); [`Error::Invalid`](crate::Error::Invalid) where `recorded` names a layer that the model
    /// does not have.
    pub fn verify_recorded(&self, inputs: &[Tensor], recorded: &[LayerStatistics]) -> Result<VerifyReport> {
        let (applications, outputs) = self.record_layers(inputs)?;
        let mut expected: Vec<Option<&LayerStatistics>> = vec![None; applications.len()];
        // Where each layer is applied first.
        let mut paths = HashSet::new();
        let layers: Vec<_> = (0..applications.len()).filter(|&i| paths.insert(&applications[i].path)).collect();
        for (place, statistics) in recorded.iter().enumerate() {
            let free = |test: &dyn Fn(&str) -> bool| {
                (0..applications.len()).find(|&i| expected[i].is_none() && test(&applications[i].path))
            };
            let inner = format!("/{}", statistics.layer);
            let named = free(&|path| path == statistics.layer)
                .or_else(|| free(&|path| path.ends_with(&inner)))
                .or_else(|| layers.get(place).copied().filter(|_| recorded.len() == layers.len()));
            let Some(place) = named else {
                let names: Vec<_> = applications.iter().map(|application| application.path.as_str()).collect();
                return Err(super::no_such_layer(&self.name, &names, format!("{:?}", statistics.layer)));
            };
            expected[place] = Some(statistics);
        }
        let mut compared = Vec::with_capacity(applications.len());
        for (application, statistics) in applications.iter().zip(expected) {
            compared.push(statistics.map(|statistics| application.against_statistics(statistics)).transpose()?);
        }
        let errors: Vec<_> = compared.iter().map(|check| check.as_ref().map(|(check, _)| check.error)).collect();
        let suspects = self.suspects(&errors);
        let layers = compared.into_iter().zip(suspects).filter_map(|(compared, suspect)| {
            let (mut check, finding) = compared?;
            if suspect {
                check.limit = SUSPECT;
                check.error /= SUSPECT;
            }
            check.finding = finding.filter(|_| check.error > 1.0).map(|finding| finding.within(check.limit));
            Some(check)
        });
        Ok(VerifyReport { layers: layers.collect(), outputs: self.compiled_against(inputs, &outputs)? })
    }

    /// Which layers, in the order of computation, a difference came through that passes the limit of 1 further on: given the
    /// error of each, those that lead to one beyond it without a break, each beyond [`SUSPECT`]. A layer whose error is not
    /// known breaks nothing.
    fn suspects(&self, errors: &[Option<f64>]) -> Vec<bool> {
        let architecture = self.architecture();
        let mut suspects = vec![false; errors.len()];
        // Every layer stands behind what it reads.
        let mut leads_on: Vec<bool> = errors.iter().map(|error| error.is_some_and(|error| error > 1.0)).collect();
        for place in (0..errors.len()).rev() {
            if !leads_on[place] {
                continue;
            }
            let read = architecture.layers()[place].inputs.iter();
            for before in read.filter_map(|&input| input.checked_sub(architecture.inputs().len())) {
                if errors[before].is_none_or(|error| error > SUSPECT) {
                    suspects[before] = errors[before].is_some_and(|error| error <= 1.0);
                    leads_on[before] = true;
                }
            }
        }
        suspects
    }

    /// The compiled model's outputs against `outputs`, which the layers made one by one.
    fn compiled_against(&self, inputs: &[Tensor], outputs: &[Tensor]) -> Result<Vec<Check>> {
        let limit = self.layers().iter().map(|(_, layer)| output_deviation(layer.config())).fold(DEVIATION, f64::max);
        let mut checks = Vec::with_capacity(outputs.len());
        for (index, (compiled, layered)) in self.call_on_device(inputs)?.iter().zip(outputs).enumerate() {
            let exact = array(layered)?;
            let largest = exact.data.iter().filter(|v| v.is_finite()).fold(0.05, |most: f64, v| most.max(v.abs()));
            let storage = if layered.dtype() == DType::F16 { Storage::F16 } else { Storage::F32 };
            let bound = vec![limit * largest; exact.data.len()];
            let expected = reference::Expected { bound, exact, overflow: storage.overflow() };
            checks.push(check(format!("output {index}"), self.name().to_owned(), compiled, &expected)?);
        }
        Ok(checks)
    }
}

impl Recorded<'_> {
    fn against_reference(&self) -> Result<Check> {
        let inputs = self.inputs.iter().map(array).collect::<Result<Vec<_>>>()?;
        let weights = self.layer.weights().iter().map(|weight| Ok(host_array(&weight.read()?)));
        let weights = weights.collect::<Result<Vec<_>>>()?;
        let mask = |mask: &Option<Tensor>| mask.as_ref().map(array).transpose();
        let masks = self.masks.iter().map(mask).collect::<Result<Vec<_>>>()?;
        let expected = reference::expect_masked(self.layer.config(), &weights, &inputs, &masks)?;
        check(self.path.clone(), self.layer.config().class_name().to_owned(), &self.output, &expected)
    }

    /// The check, as yet without a finding, and what is worst about the tensor, within the usual limit.
    fn against_statistics(&self, expected: &LayerStatistics) -> Result<(Check, Option<Finding>)> {
        let mut check = Check {
            name: self.path.clone(),
            class: self.layer.config().class_name().to_owned(),
            shape: self.output.shape().clone(),
            error: f64::INFINITY,
            limit: 1.0,
            finding: None,
        };
        if check.shape != expected.shape {
            return Ok((check, Some(Finding::Shape { expected: expected.shape.clone() })));
        }
        let values = array(&self.output)?.data;
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let std = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        let [min, max] = [f64::min, f64::max].map(|pick| values.iter().copied().reduce(pick).unwrap_or_default());
        let largest = |list: &[f64]| list.iter().fold(0.05, |most: f64, value| most.max(value.abs()));
        let mut rows = vec![
            ("mean".to_owned(), mean, expected.mean, largest(&[expected.mean, expected.std])),
            ("std".to_owned(), std, expected.std, largest(&[expected.std])),
            ("min".to_owned(), min, expected.min, largest(&[expected.min, expected.std])),
            ("max".to_owned(), max, expected.max, largest(&[expected.max, expected.std])),
        ];
        let last = &values[values.len().saturating_sub(expected.last.len())..];
        for (name, got, list) in [("first", &values[..], &expected.first), ("last", last, &expected.last)] {
            let size = largest(list).max(expected.std);
            let row = |(i, (&got, &expected))| (format!("{name}{}[{i}]", list.len()), got, expected, size);
            rows.extend(got.iter().zip(list).enumerate().map(row));
        }
        let mut finding = None;
        check.error = 0.0;
        for (name, received, expected, size) in rows {
            let allowed = DEVIATION * size;
            let error = error(received, expected, allowed);
            if error > check.error {
                check.error = error;
                finding = Some(Finding::Statistic { name, received, expected, allowed });
            }
        }
        Ok((check, finding))
    }
}

/// `|received − expected|` in units of `allowed`; infinite for a NaN that stands alone.
fn error(received: f64, expected: f64, allowed: f64) -> f64 {
    let difference = (received - expected).abs();
    if received == expected || received.is_nan() && expected.is_nan() {
        0.0
    } else if difference.is_nan() {
        f64::INFINITY
    } else {
        difference / allowed
    }
}

/// What an output of a model of such layers may deviate by: narrow types round once more wherever a layer stores what the
/// compiled model does not, taken as sixteen times.
fn output_deviation(layer: &LayerConfig) -> f64 {
    match layer.common().dtype {
        DTypePolicy::Float32 | DTypePolicy::Float64 => DEVIATION,
        DTypePolicy::Float16 | DTypePolicy::MixedFloat16 | DTypePolicy::EmulatedFloat16 => 16.0 * Storage::F16.unit(),
        DTypePolicy::BFloat16 | DTypePolicy::MixedBFloat16 => 16.0 * Storage::BF16.unit(),
    }
}

fn check(name: String, class: String, tensor: &Tensor, expected: &reference::Expected) -> Result<Check> {
    let shape = tensor.shape().clone();
    if shape.dims() != expected.exact.shape {
        let finding = Finding::Shape { expected: expected.exact.shape.as_slice().into() };
        return Ok(Check { name, class, shape, error: f64::INFINITY, limit: 1.0, finding: Some(finding) });
    }
    let got = array(tensor)?.data;
    let error = got.iter().enumerate().map(|(i, &got)| expected.error(i, got)).fold(0.0, f64::max);
    let finding = expected.difference(&got).map(Finding::Elements);
    Ok(Check { name, class, shape, error, limit: 1.0, finding })
}

/// A tensor's values on the host.
fn array(tensor: &Tensor) -> Result<Array> {
    let shape = tensor.shape().dims();
    Ok(match tensor.dtype() {
        DType::F32 => Array::from_f32(shape, &tensor.read::<f32>()?),
        DType::F16 => Array::new(shape, tensor.read::<half::f16>()?.iter().map(|v| v.to_f64()).collect::<Vec<_>>()),
    })
}

fn host_array(tensor: &HostTensor) -> Array {
    Array::from_f32(tensor.shape.dims(), &tensor.values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::own_gpu;
    use crate::layers::{Conv2D, DepthwiseConv2D};
    use crate::model::Sequential;
    use crate::plan::Problem;
    use crate::{Activation, Padding};

    #[test]
    fn a_broken_shader_is_traced_to_the_first_layer_that_runs_it() {
        let Some(gpu) = own_gpu() else { return };
        let depthwise = |name| DepthwiseConv2D::new(3).padding(Padding::Same).name(name);
        let mut sequential = Sequential::new(&gpu).with_input([None, Some(9), Some(7), Some(6)]).unwrap();
        sequential
            .add(Conv2D::new(8, 3).padding(Padding::Same).activation(Activation::RELU).name("stem"))
            .and_then(|model| model.add(depthwise("first")))
            .and_then(|model| model.add(Conv2D::new(8, 1).activation(Activation::Tanh).name("between")))
            .and_then(|model| model.add(depthwise("second")))
            .unwrap();
        let model = sequential.model().unwrap();
        let inputs = model.sample_inputs(&model.input_shapes(2, 1), 5).unwrap();
        let sound = model.verify(&inputs).unwrap();
        assert_eq!(sound.first_difference(), None);
        assert_eq!((sound.layers.len(), sound.outputs.len()), (4, 1));
        assert!(sound.layers.iter().all(|check| check.error > 0.0 && check.error < 1.0), "{sound:?}");

        let first = model.get_layer("first").unwrap().config();
        let problem = first.convolutions([2, 9, 7, 8]).unwrap()[0];
        let plan = gpu.plan(&Problem::Conv(problem)).unwrap();
        let dispatch = plan.steps.last().unwrap();
        let (right, wrong) = ("(x); }\n", "(x) * Acc(1.0001); }\n");
        let text = dispatch.shader.wgsl();
        assert_eq!(text.matches(right).count(), 1, "{text}");
        gpu.rewrite_shaders(move |shader| if shader == text { text.replace(right, wrong) } else { shader });

        let broken = model.verify(&inputs).unwrap();
        let found = broken.first_difference().unwrap();
        assert_eq!((found.name.as_str(), found.class.as_str()), ("first", "DepthwiseConv2D"));
        let Some(Finding::Elements(difference)) = &found.finding else { panic!("{found:?}") };
        assert!((difference.received / difference.expected - 1.0001).abs() < 1e-6, "{difference}");
        assert!(difference.wrong > difference.elements / 2 && found.error > 1.0, "{difference}");
        // What lies between is right about what it was given; the other layer of this shader is wrong as well.
        let wrong: Vec<_> = broken.layers.iter().filter(|check| check.finding.is_some()).map(|c| &*c.name).collect();
        assert_eq!(wrong, ["first", "second"]);
    }
}
