//! Gradients of a layer by itself: to its inputs and to its weights.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Layer;
use crate::ops::{self, Tape, Target};
use crate::tensor::check_call;
use crate::{Commands, Error, Gpu, Result, Tensor};

/// How a result changes with what it was computed from: see [`Layer::gradients`] and
/// [`Model::gradients`](crate::model::Model::gradients).
#[derive(Debug)]
#[non_exhaustive]
pub struct Gradients {
    /// What the forward pass computed.
    pub outputs: Vec<Tensor>,
    /// To each input, of its shape.
    pub inputs: Vec<Tensor>,
    /// To each trainable weight, of its shape, with its name: of a layer's `kernel`, of a model's `conv2d/kernel`.
    pub weights: Vec<(String, Tensor)>,
}

impl Layer {
    /// The gradients of `Σ output · gradient` to the inputs and to every trainable weight, and the output, in one submission.
    ///
    /// `gradient` says how much each element of the output counts; it has the output's shape. With `training`, the layer
    /// computes as in training: a batch normalization by the statistics of the batch, which then move its moving statistics.
    ///
    /// # Errors
    /// Those of [`call_all`](Self::call_all); [`Error::Invalid`] for a `gradient` of another shape or type;
    /// [`Error::Unsupported`] where the layer has no gradient.
    ///
    /// ```no_run
    /// use wgpu_conv::{Gpu, Tensor, layers::Dense};
    ///
    /// let gpu = Gpu::new()?;
    /// let dense = Dense::new(2).build(&gpu, [None, Some(3)])?;
    /// let input = Tensor::from_slice(&gpu, [1, 3], &[1.0f32, 2.0, 3.0])?;
    /// let ones = Tensor::from_slice(&gpu, [1, 2], &[1.0f32; 2])?;
    /// let gradients = dense.gradients(&[input], &ones, false)?;
    /// let [(name, kernel), _] = &gradients.weights[..] else { unreachable!("a kernel and a bias") };
    /// assert_eq!((name.as_str(), kernel.read::<f32>()?), ("kernel", vec![1.0, 1.0, 2.0, 2.0, 3.0, 3.0]));
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn gradients(&self, inputs: &[Tensor], gradient: &Tensor, training: bool) -> Result<Gradients> {
        let mut commands = Commands::new(self.gpu());
        check_call("a layer", self.gpu(), &commands, std::slice::from_ref(gradient))?;
        let (mut tape, values, output) = self.on_tape(&commands, inputs, training)?;
        let seed = seed(&mut tape, output, gradient)?;
        let weights: Vec<_> = self.weights().iter().filter(|weight| weight.trainable()).collect();
        let targets: Vec<Target> = (values.iter().map(|&value| Target::Value(value)))
            .chain(weights.iter().map(|weight| Target::Variable(weight.data().clone())))
            .collect();
        let made = ops::gradient(&mut tape, &[(output, seed)], &targets)?;
        let kept: Vec<_> = [output].into_iter().chain(made).collect();
        let step = training.then(|| self.next_training_step()).transpose()?;
        let given: Vec<Tensor> = inputs.iter().chain(&step).chain([gradient]).cloned().collect();
        let mut tensors = tape.record(&mut commands, &given, &kept)?.into_iter();
        commands.submit()?;
        let outputs = tensors.by_ref().take(1).collect();
        let to_inputs = tensors.by_ref().take(inputs.len()).collect();
        let weights = weights.iter().map(|weight| weight.name().to_owned()).zip(tensors).collect();
        Ok(Gradients { outputs, inputs: to_inputs, weights })
    }

    /// The output in training: see [`call_all`](Self::call_all). A batch normalization computes by the statistics of the batch,
    /// which then move its moving statistics; one that is not trainable computes as ever. A layer that draws at random draws anew
    /// at each call: see [`set_training_step`](Self::set_training_step).
    ///
    /// # Errors
    /// Those of [`call_all`](Self::call_all).
    pub fn call_in_training(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let mut commands = Commands::new(self.gpu());
        let (tape, _, output) = self.on_tape(&commands, inputs, true)?;
        let given = [inputs, &[self.next_training_step()?]].concat();
        let output = tape.record(&mut commands, &given, &[output])?.swap_remove(0);
        commands.submit()?;
        Ok(output)
    }

    /// The number of the next call in training, as the tape of it reads it.
    fn next_training_step(&self) -> Result<Tensor> {
        next_step(self.gpu(), &self.training_step)
    }
}

/// What a tape in training reads as the number of its step: the one that `counter` has come to.
pub(crate) fn next_step(gpu: &Gpu, counter: &AtomicU64) -> Result<Tensor> {
    let number = ops::step_number(counter.fetch_add(1, Ordering::Relaxed));
    Tensor::from_slice(gpu, [number.len()], &number)
}

/// The value of the tape that `gradient` is given as: that of `output`.
pub(crate) fn seed(tape: &mut Tape, output: ops::Value, gradient: &Tensor) -> Result<ops::Value> {
    if gradient.shape() != tape.shape(output) || gradient.dtype() != tape.dtype(output) {
        return Err(Error::invalid(
            "gradient",
            "the gradient must have the shape and the type of the output",
            format!(
                "{} {} for an output {} {}",
                gradient.dtype(),
                gradient.shape(),
                tape.dtype(output),
                tape.shape(output)
            ),
        ));
    }
    tape.input(gradient.shape().clone(), gradient.dtype())
}
