//! Predicting over more data than one submission should hold.

use std::cmp::Ordering;

use super::Model;
use crate::{Error, HostTensor, PartialShape, Result, Shape, Tensor};

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
            let output = self.call(&Tensor::from_slice(&self.gpu, shape, values)?)?;
            outputs.push(HostTensor { shape: output.shape().clone(), values: output.read_async().await? });
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
        Ok(self.batches(data, batch_size)?.map(|(shape, values)| {
            let output = self.call(&Tensor::from_slice(&self.gpu, shape, values)?)?;
            Ok(HostTensor { shape: output.shape().clone(), values: output.read()? })
        }))
    }

    /// The batches of `data`, with their shapes.
    fn batches<'a>(
        &self,
        data: &'a HostTensor,
        batch_size: usize,
    ) -> Result<impl Iterator<Item = (Shape, &'a [f32])> + 'a> {
        self.require_single()?;
        if batch_size == 0 {
            return Err(Error::invalid("batch_size", "`batch_size` must be at least 1", "batch_size=0"));
        }
        let Some(&inputs) = data.shape.dims().first() else {
            return Err(Error::invalid("data", "the data must have a batch axis", format!("shape={}", data.shape)));
        };
        if data.shape.elements()? != data.values.len() as u64 {
            return Err(Error::invalid(
                "data",
                "the data must hold as many values as its shape says",
                format!("{} values for shape={}", data.values.len(), data.shape),
            ));
        }
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
        let mut shapes: Vec<PartialShape> = Vec::with_capacity(self.nodes.len());
        let input = PartialShape::from(&data.shape);
        let shape_of = |shapes: &[PartialShape], value| match value {
            super::Value::Input(_) => input.clone(),
            super::Value::Node(index) => shapes[index].clone(),
        };
        for node in &self.nodes {
            let layer = &self.layers[node.layer];
            let shape = layer.output_shape(shape_of(&shapes, node.inputs[0]));
            shapes.push(shape.map_err(|error| super::in_layer(layer.name(), error))?);
        }
        let output = shape_of(&shapes, self.outputs[0]);
        Ok(output.dims().iter().map(|dim| dim.unwrap_or(0)).collect())
    }
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
