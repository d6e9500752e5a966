//! Gradients of a model: to its inputs and to all its trainable weights.

use std::sync::atomic::Ordering;

use super::Model;
use crate::layers::{Gradients, next_step, seed};
use crate::ops::{self, Tape, Target};
use crate::{Commands, Error, Result, Tensor};

impl Model {
    /// Sets the number of the next call of [`gradients`](Self::gradients) in training, by which layers draw at random: equal
    /// numbers, equal draws. It begins at 0, and each such call takes one. A trainer counts its own steps.
    pub fn set_training_step(&self, step: u64) {
        self.training_step.store(step, Ordering::Relaxed);
    }

    /// The gradients of `Σ output · gradient`, over all outputs, to the inputs and to every trainable weight, and the outputs,
    /// in one submission.
    ///
    /// `gradients` say how much each element of each output counts; each has the shape of its output. With `training`, layers
    /// compute as in training: a batch normalization by the statistics of the batch, which then move its moving statistics.
    ///
    /// # Errors
    /// Those of [`call_all`](Self::call_all); [`Error::Invalid`] for gradients of another number, shape or type;
    /// [`Error::Unsupported`] where a layer has no gradient.
    pub fn gradients(&self, inputs: &[Tensor], gradients: &[Tensor], training: bool) -> Result<Gradients> {
        let mut commands = Commands::new(&self.gpu);
        let made = self.record_gradients(&mut commands, inputs, gradients, training)?;
        commands.submit()?;
        Ok(made)
    }

    /// Records [`gradients`](Self::gradients), without submitting.
    ///
    /// # Errors
    /// Those of [`gradients`](Self::gradients).
    pub fn record_gradients(
        &self,
        commands: &mut Commands,
        inputs: &[Tensor],
        gradients: &[Tensor],
        training: bool,
    ) -> Result<Gradients> {
        self.check_call(commands, inputs)?;
        let mut tape = Tape::default();
        let values =
            inputs.iter().map(|input| tape.input(input.shape().clone(), input.dtype())).collect::<Result<Vec<_>>>()?;
        if training {
            tape.train()?;
        }
        let outputs = self.lower(&mut tape, &values, "", &mut |_| ())?;
        if outputs.len() != gradients.len() {
            return Err(Error::invalid(
                "gradients",
                format!("model `{}` must be given a gradient for each of its {} output(s)", self.name, outputs.len()),
                format!("{} gradient(s)", gradients.len()),
            ));
        }
        let mut seeds = Vec::with_capacity(outputs.len());
        for (&output, gradient) in outputs.iter().zip(gradients) {
            seeds.push((output, seed(&mut tape, output, gradient)?));
        }
        let weights: Vec<_> = self.weights().into_iter().filter(|(_, weight)| weight.trainable()).collect();
        let targets: Vec<Target> = (values.iter().map(|&value| Target::Value(value)))
            .chain(weights.iter().map(|(_, weight)| Target::Variable(weight.data().clone())))
            .collect();
        let made = ops::gradient(&mut tape, &seeds, &targets)?;
        let kept: Vec<_> = outputs.iter().copied().chain(made).collect();
        let step = training.then(|| next_step(&self.gpu, &self.training_step)).transpose()?;
        let given: Vec<Tensor> = inputs.iter().chain(&step).chain(gradients).cloned().collect();
        let mut tensors = tape.record(commands, &given, &kept)?.into_iter();
        let outputs = tensors.by_ref().take(outputs.len()).collect();
        let inputs = tensors.by_ref().take(inputs.len()).collect();
        let weights = weights.into_iter().map(|(path, _)| path).zip(tensors).collect();
        Ok(Gradients { outputs, inputs, weights })
    }
}
