//! Samples on the host: which of them a batch is made of, in which order, and how much each counts.

use std::collections::BTreeMap;

use crate::{Error, HostTensor, Result};

/// Samples to learn from or to be measured by, along the first axis of all tensors.
///
/// ```
/// use wgpu_conv::HostTensor;
/// use wgpu_conv::training::Samples;
///
/// let (x, y) = ([HostTensor::new([2, 3], vec![0.5; 6])?], [HostTensor::new([2], vec![0.0, 1.0])?]);
/// let weights = [HostTensor::new([2], vec![1.0, 0.1])?];
/// let samples = Samples { sample_weight: &weights, ..Samples::new(&x, &y) };
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Samples<'a> {
    /// The inputs of the model.
    pub x: &'a [HostTensor],
    /// The targets of its outputs.
    pub y: &'a [HostTensor],
    /// For each output a weight for each sample, or each line of the loss; empty, the default, for 1.
    pub sample_weight: &'a [HostTensor],
}

impl<'a> Samples<'a> {
    /// Samples that all count alike.
    pub fn new(x: &'a [HostTensor], y: &'a [HostTensor]) -> Self {
        Self { x, y, sample_weight: &[] }
    }

    /// How many there are.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the tensors do not have the same number of them, or none, or not the numbers that their shapes
    /// say.
    pub fn count(&self) -> Result<usize> {
        let all = || self.x.iter().chain(self.y).chain(self.sample_weight);
        let mut counts = all().map(|tensor| tensor.shape.dims().first().copied());
        let first = counts.next().flatten();
        for tensor in all() {
            if tensor.shape.elements()? != tensor.values.len() as u64 {
                let received = format!("shape {}, {} values", tensor.shape, tensor.values.len());
                return Err(Error::invalid("x", "a tensor must hold as many values as its shape says", received));
            }
        }
        match first {
            Some(samples) if samples > 0 && counts.all(|count| count == first) => Ok(samples),
            _ => {
                let shapes: Vec<_> = all().map(|tensor| tensor.shape.to_string()).collect();
                Err(Error::invalid(
                    "x",
                    "inputs, targets and weights must have the same number of samples, one at least, along their first axis",
                    format!("shapes {}", shapes.join(", ")),
                ))
            }
        }
    }
}

impl Samples<'_> {
    /// The samples of these numbers.
    pub(super) fn batch(&self, samples: &[usize]) -> Batch {
        let of = |tensors: &[HostTensor]| tensors.iter().map(|tensor| gathered(tensor, samples)).collect();
        Batch { x: of(self.x), y: of(self.y), sample_weight: of(self.sample_weight) }
    }
}

/// Samples of one step, as an iterator hands them to [`Trainer::fit_batches`](super::Trainer::fit_batches).
///
/// ```
/// use wgpu_conv::HostTensor;
/// use wgpu_conv::training::Batch;
///
/// let batch = Batch::new([HostTensor::new([2, 3], vec![0.5; 6])?], [HostTensor::new([2], vec![0.0, 1.0])?]);
/// assert_eq!(batch.samples().count()?, 2);
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The inputs of the model, samples along the first axis.
    pub x: Vec<HostTensor>,
    /// The targets of its outputs.
    pub y: Vec<HostTensor>,
    /// For each output a weight for each sample, or each line of the loss; empty, the default, for 1.
    pub sample_weight: Vec<HostTensor>,
}

impl Batch {
    /// Samples that all count alike.
    pub fn new(x: impl Into<Vec<HostTensor>>, y: impl Into<Vec<HostTensor>>) -> Self {
        Self { x: x.into(), y: y.into(), sample_weight: Vec::new() }
    }

    /// The same samples, borrowed.
    pub fn samples(&self) -> Samples<'_> {
        Samples { x: &self.x, y: &self.y, sample_weight: &self.sample_weight }
    }
}

/// The samples of these numbers.
fn gathered(tensor: &HostTensor, samples: &[usize]) -> HostTensor {
    let mut dims = tensor.shape.dims().to_vec();
    let each: usize = dims[1..].iter().product();
    dims[0] = samples.len();
    let values =
        samples.iter().flat_map(|&sample| &tensor.values[sample * each..(sample + 1) * each]).copied().collect();
    HostTensor { shape: dims.into(), values }
}

/// The weight of each sample by its class: the place of the largest target where there is one for each class, else the target,
/// rounded; 1 for a class that is not named.
pub(super) fn weights_by_class(y: &HostTensor, class_weight: &BTreeMap<u32, f64>) -> Result<HostTensor> {
    if let Some((class, weight)) = class_weight.iter().find(|(_, weight)| !weight.is_finite()) {
        let received = format!("class {class}: {weight}");
        return Err(Error::invalid("class_weight", "weights of classes must be finite", received));
    }
    let dims = y.shape.dims();
    let samples = dims[0];
    let each: usize = dims[1..].iter().product();
    let class_of = |targets: &[f32]| match targets {
        &[target] => target.round(),
        several => {
            let first_largest = |best: usize, at: usize| if several[at] > several[best] { at } else { best };
            (0..several.len()).fold(0, first_largest) as f32
        }
    };
    if dims.len() > 2 || each == 0 {
        let rule = "class weights must be for targets with one class, or a number for each class, for each sample";
        return Err(Error::invalid("class_weight", rule, format!("targets of shape {}", y.shape)));
    }
    let weight = |class: f32| {
        let known = class_weight.iter().find(|(known, _)| **known as f32 == class);
        known.map_or(1.0, |(_, weight)| *weight as f32)
    };
    HostTensor::new([samples], y.values.chunks(each).map(|targets| weight(class_of(targets))).collect())
}

/// The batches of one epoch after another.
pub(super) struct Batches {
    samples: usize,
    batch_size: usize,
    /// Where the orders of the samples come from; none leaves them as they are.
    seed: Option<u64>,
    /// Batches of an epoch; none for all samples.
    steps: Option<usize>,
    /// How often all samples have been gone through.
    passes: u64,
    /// Batches of this pass that are done.
    done: usize,
}

impl Batches {
    pub(super) fn new(samples: usize, batch_size: usize, seed: Option<u64>, steps: Option<usize>) -> Self {
        Self { samples, batch_size, seed, steps, passes: 0, done: 0 }
    }

    /// Batches of an epoch.
    pub(super) fn steps(&self) -> usize {
        self.steps.unwrap_or(usize::MAX).min(self.samples.div_ceil(self.batch_size))
    }

    /// The samples of each batch of the next epoch. An epoch of fewer steps than it takes to see all samples is followed by one
    /// that goes on with the others; it is shorter where they come to an end.
    pub(super) fn next_epoch(&mut self) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.samples).collect();
        if let Some(seed) = self.seed {
            shuffle(&mut order, seed, self.passes);
        }
        let batches: Vec<Vec<usize>> =
            order.chunks(self.batch_size).skip(self.done).take(self.steps()).map(<[usize]>::to_vec).collect();
        self.done += batches.len();
        if self.done >= self.samples.div_ceil(self.batch_size) {
            (self.passes, self.done) = (self.passes + 1, 0);
        }
        batches
    }
}

/// Another order, the same for the same seed and epoch on every machine: Fisher and Yates's by the generator SplitMix64.
fn shuffle(order: &mut [usize], seed: u64, epoch: u64) {
    let mut state = seed ^ epoch.wrapping_mul(0xd134_2543_de82_ef95);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    for last in (1..order.len()).rev() {
        // The high half of a product is as good as evenly spread.
        let chosen = (u128::from(next()) * (last as u128 + 1)) >> 64;
        order.swap(last, chosen as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_permutations_that_the_seed_tells() {
        let of = |seed, epoch| {
            let mut order: Vec<usize> = (0..100).collect();
            shuffle(&mut order, seed, epoch);
            order
        };
        assert_eq!(of(1, 2), of(1, 2));
        assert_ne!(of(1, 2), of(1, 3));
        assert_ne!(of(1, 2), of(2, 2));
        let mut sorted = of(7, 0);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn an_epoch_goes_on_where_the_last_one_ended() {
        let mut batches = Batches::new(10, 3, None, Some(3));
        assert_eq!(batches.steps(), 3);
        assert_eq!(batches.next_epoch(), [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7, 8]]);
        assert_eq!(batches.next_epoch(), [[9]]);
        assert_eq!(batches.next_epoch().len(), 3);
        assert_eq!(Batches::new(10, 3, None, None).next_epoch().len(), 4);
    }

    #[test]
    fn weights_of_samples_are_those_of_their_classes() {
        let weights = BTreeMap::from([(0, 0.5), (2, 3.0)]);
        let of = |shape: &[usize], values: &[f32]| {
            weights_by_class(&HostTensor::new(shape, values.to_vec()).unwrap(), &weights)
                .map(|weights| weights.values)
                .ok()
        };
        assert_eq!(of(&[3], &[2.0, 0.0, 1.0]), Some(vec![3.0, 0.5, 1.0]));
        assert_eq!(of(&[2, 1], &[1.9, 0.0]), Some(vec![3.0, 0.5]));
        assert_eq!(of(&[2, 3], &[0.0, 0.1, 0.9, 0.4, 0.4, 0.2]), Some(vec![3.0, 0.5]));
        assert_eq!(of(&[1, 1, 3], &[0.0, 0.1, 0.9]), None);
    }
}
