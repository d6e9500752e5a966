//! Predicting over more data than one submission should hold: Keras's `predict`.
//!
//! A thousand images at once would take about a thousand times the memory of one. They are taken in batches instead,
//! thirty-two at a time by default, and the outputs are joined. All batches but the last have one shape, so the model
//! is compiled twice at most. Data and outputs are on the host.

use std::cmp::Ordering;
use std::sync::Arc;

use super::Model;
use super::program::Program;
use crate::tensor::check_length;
use crate::{Commands, DType, Error, HostTensor, PartialShape, Result, Shape, Tensor};

/// Inputs per submission in [`Model::predict`], as in Keras.
pub const BATCH_SIZE: usize = 32;

impl Model {
    /// The outputs for `data`, whose first axis counts inputs, computed [`BATCH_SIZE`] at a time. No inputs make an output
    /// of batch 0.
    ///
    /// # Errors
    /// Those of [`call`](Self::call), and [`Error::Invalid`] for data without a batch axis.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn predict(&self, data: &HostTensor) -> Result<HostTensor> {
        let outputs = self.predict_batches(data, BATCH_SIZE)?.collect::<Result<Vec<_>>>()?;
        self.join(data, outputs)
    }

    /// [`predict`](Self::predict) without blocking.
    ///
    /// # Errors
    /// Those of [`predict`](Self::predict).
    pub async fn predict_async(&self, data: &HostTensor) -> Result<HostTensor> {
        let mut outputs = Vec::new();
        for (shape, values) in self.batches(data, BATCH_SIZE)? {
            outputs.push(self.run_async(&[(shape, values)]).await?.swap_remove(0));
        }
        self.join(data, outputs)
    }

    /// The outputs for `data`, `batch_size` inputs at a time, each computed when the iterator is asked for it. The last may
    /// be smaller.
    ///
    /// # Errors
    /// Those of [`predict`](Self::predict), and [`Error::Invalid`] for a batch size of 0.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn predict_batches<'a>(
        &'a self,
        data: &'a HostTensor,
        batch_size: usize,
    ) -> Result<impl Iterator<Item = Result<HostTensor>> + 'a> {
        Ok(self.batches(data, batch_size)?.map(|(shape, values)| Ok(self.run(&[(shape, values)])?.swap_remove(0))))
    }

    /// The outputs for all `inputs` at once, of a model with any number of either: one submission, there and back.
    ///
    /// # Errors
    /// Those of [`call_all`](Self::call_all), and [`Error::Invalid`] where values and shape disagree.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn predict_all(&self, inputs: &[HostTensor]) -> Result<Vec<HostTensor>> {
        for input in inputs {
            check_length(&input.shape, input.values.len())?;
        }
        self.run(&inputs.iter().map(|input| (input.shape.clone(), &*input.values)).collect::<Vec<_>>())
    }

    /// [`predict_all`](Self::predict_all) without blocking.
    ///
    /// # Errors
    /// Those of [`predict_all`](Self::predict_all).
    pub async fn predict_all_async(&self, inputs: &[HostTensor]) -> Result<Vec<HostTensor>> {
        for input in inputs {
            check_length(&input.shape, input.values.len())?;
        }
        self.run_async(&inputs.iter().map(|input| (input.shape.clone(), &*input.values)).collect::<Vec<_>>()).await
    }

    /// Compiles the model for inputs of these shapes and runs it once on zeros, so that the first real call finds every
    /// pipeline compiled, also by drivers that put it off until a first launch.
    ///
    /// # Errors
    /// Those of [`call_all`](Self::call_all).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn warm_up(&self, inputs: &[Shape]) -> Result<()> {
        self.predict_all(&self.zeros(inputs)?).map(drop)
    }

    /// [`warm_up`](Self::warm_up) without blocking.
    ///
    /// # Errors
    /// Those of [`warm_up`](Self::warm_up).
    pub async fn warm_up_async(&self, inputs: &[Shape]) -> Result<()> {
        self.predict_all_async(&self.zeros(inputs)?).await.map(drop)
    }

    /// Zeros of these shapes, for which the model has been compiled: what the device cannot hold is refused before they are made.
    fn zeros(&self, inputs: &[Shape]) -> Result<Vec<HostTensor>> {
        self.check_inputs(inputs.len())?;
        self.program(inputs.iter().map(|shape| (shape.clone(), DType::F32)).collect())?;
        let zeros =
            |shape: &Shape| Ok(HostTensor { shape: shape.clone(), values: vec![0.0; shape.elements()? as usize] });
        inputs.iter().map(zeros).collect()
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn run(&self, inputs: &[(Shape, &[f32])]) -> Result<Vec<HostTensor>> {
        let (program, mut commands) = (self.program_for(inputs)?, Commands::new(&self.gpu));
        let outputs =
            program.record_on(&mut commands, &inputs.iter().map(|(_, values)| *values).collect::<Vec<_>>())?;
        let bytes = self.gpu.read_after(commands, &outputs.iter().map(Tensor::binding).collect::<Vec<_>>())?;
        self.finished(decoded(outputs, &bytes)?)
    }

    async fn run_async(&self, inputs: &[(Shape, &[f32])]) -> Result<Vec<HostTensor>> {
        let (program, mut commands) = (self.program_for(inputs)?, Commands::new(&self.gpu));
        let outputs =
            program.record_on(&mut commands, &inputs.iter().map(|(_, values)| *values).collect::<Vec<_>>())?;
        let sources: Vec<_> = outputs.iter().map(Tensor::binding).collect();
        let bytes = self.gpu.read_after_async(commands, &sources).await?;
        self.finished(decoded(outputs, &bytes)?)
    }

    /// The outputs, of which the device has made these.
    fn finished(&self, made: Vec<HostTensor>) -> Result<Vec<HostTensor>> {
        match self.host_tail() {
            Some(tail) => (tail.run)(made),
            None => Ok(made),
        }
    }

    fn program_for(&self, inputs: &[(Shape, &[f32])]) -> Result<Arc<Program>> {
        self.check_inputs(inputs.len())?;
        self.program(inputs.iter().map(|(shape, _)| (shape.clone(), DType::F32)).collect())
    }

    /// The batches of `data`, with their shapes.
    fn batches<'a>(
        &self,
        data: &'a HostTensor,
        batch_size: usize,
    ) -> Result<impl Iterator<Item = (Shape, &'a [f32])> + 'a> {
        self.require_single()?;
        self.require_on_device("a prediction in batches")?;
        if batch_size == 0 {
            return Err(Error::invalid("batch_size", "`batch_size` must be at least 1", "batch_size=0"));
        }
        let Some(&inputs) = data.shape.dims().first() else {
            return Err(Error::invalid("data", "the data must have a batch axis", format!("shape={}", data.shape)));
        };
        check_length(&data.shape, data.values.len())?;
        let each = data.values.len() / inputs.max(1);
        Ok((0..inputs).step_by(batch_size).map(move |start| {
            let end = inputs.min(start.saturating_add(batch_size));
            let mut dims = data.shape.dims().to_vec();
            dims[0] = end - start;
            (dims.into(), &data.values[start * each..end * each])
        }))
    }

    /// The outputs of all batches of `data` as one.
    fn join(&self, data: &HostTensor, outputs: Vec<HostTensor>) -> Result<HostTensor> {
        let mut dims = match outputs.first() {
            Some(output) => output.shape.dims().to_vec(),
            None => self.empty_output(data)?,
        };
        if let Some(batch) = dims.first_mut() {
            *batch = outputs.iter().map(|output| output.shape.dims()[0]).sum();
        }
        let values = outputs.into_iter().flat_map(|output| output.values).collect();
        Ok(HostTensor { shape: dims.into(), values })
    }

    /// The extents of the output for no inputs; those that the shapes do not tell are 0.
    fn empty_output(&self, data: &HostTensor) -> Result<Vec<usize>> {
        let shapes = self.output_shapes_for(&[(&data.shape).into()])?;
        Ok(shapes.iter().flat_map(PartialShape::dims).map(|dim| dim.unwrap_or(0)).collect())
    }
}

/// The values of `outputs`, of which these are the bytes.
fn decoded(outputs: &[Tensor], bytes: &[Vec<u8>]) -> Result<Vec<HostTensor>> {
    let each = outputs.iter().zip(bytes);
    each.map(|(tensor, bytes)| Ok(HostTensor { shape: tensor.shape().clone(), values: tensor.decode(bytes)? }))
        .collect()
}

/// The `count` greatest of `scores` with their indices, greatest first; equal scores in the order of their indices, and NaN
/// last.
///
/// ```
/// assert_eq!(wgpu_conv::model::top(&[0.1, 0.7, 0.2], 2), [(1, 0.7), (2, 0.2)]);
/// ```
pub fn top(scores: &[f32], count: usize) -> Vec<(usize, f32)> {
    let key = |score: f32| if score.is_nan() { f32::NEG_INFINITY } else { score };
    let mut ranked: Vec<_> = scores.iter().copied().enumerate().collect();
    ranked.sort_by(|(_, a), (_, b)| {
        let order = key(*b).partial_cmp(&key(*a)).unwrap_or(Ordering::Equal);
        order.then(a.is_nan().cmp(&b.is_nan()))
    });
    ranked.truncate(count);
    ranked
}

#[cfg(test)]
mod tests {
    use super::top;

    #[test]
    fn top_ranks_ties_by_index_and_nan_last() {
        let ranked: Vec<_> =
            top(&[f32::NAN, 1.0, f32::NEG_INFINITY, 1.0], 9).into_iter().map(|(index, _)| index).collect();
        assert_eq!(ranked, [1, 3, 2, 0]);
        assert!(top(&[], 3).is_empty());
        assert_eq!(top(&[-0.0, 0.0], 1)[0].0, 0);
    }
}
