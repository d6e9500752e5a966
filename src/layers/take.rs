//! Take and Embedding: lines of a table by their numbers.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::arguments::{common_setters, positive, weight_setters};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, QUANTIZED, common, weights};
use super::describe::{Declared, Describe, index_of};
use super::mask::differs;
use super::{Common, Initializer, Regularizer, WeightOptions};
use crate::ops::{self, Kernel, Numbers, Side, Tape, Value};
use crate::{DType, Error, HostTensor, PartialShape, Result, Settings};

/// Parts of a tensor along one axis, by the numbers in another: NumPy's `take` and `take_along_axis`, ONNX's `Gather` and
/// `GatherElements`.
///
/// Numbers are whole; what is behind the point is cut off. Those below 0 count from the end, and one that names nothing makes
/// NaN.
///
/// # Shapes
/// A table of any rank and the numbers, which may be part of the description; output of the table's shape with the numbers'
/// axes in the place of the axis, or [`along`](Self::along) it of the numbers' shape.
///
/// ```
/// use wgpu_conv::{HostTensor, layers::Take};
///
/// let bgr = Take::new(-1).indices(HostTensor::new([3], vec![2.0, 1.0, 0.0])?);
/// assert_eq!(bgr.output_shape(&[[2, 5, 7, 3].into()])?.to_string(), "(2, 5, 7, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Take {
    /// Name, trainability and types.
    pub common: Common,
    /// The table's axis.
    pub axis: i32,
    /// The numbers, where they are no input.
    pub indices: Option<HostTensor>,
    /// Whether each number stands at the position of what it takes; false by default.
    pub along: bool,
    /// Axes in front that table and numbers have in common; 0 by default.
    pub batch_dims: u32,
}

common_setters!(Take, common);

impl Take {
    /// A layer that takes lines along `axis`, whose numbers are its second input.
    pub fn new(axis: i32) -> Self {
        Self { common: Common::new(&Settings::current()), axis, indices: None, along: false, batch_dims: 0 }
    }

    /// The numbers, in place of a second input.
    pub fn indices(mut self, indices: HostTensor) -> Self {
        self.indices = Some(indices);
        self
    }

    /// Whether each number stands at the position of what it takes; false by default.
    pub fn along(mut self, along: bool) -> Self {
        self.along = along;
        self
    }

    /// Axes in front that table and numbers have in common; 0 by default.
    pub fn batch_dims(mut self, batch_dims: u32) -> Self {
        self.batch_dims = batch_dims;
        self
    }

    /// The output shape for `inputs`: a table, and numbers where those are no part of the description.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build_all) the layer would refuse its arguments or `inputs`.
    pub fn output_shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.validate()?;
        let wrong = |rule: &'static str| {
            let shapes: Vec<_> = inputs.iter().map(ToString::to_string).collect();
            Error::invalid("indices", rule, format!("axis={}, shapes {}", self.axis, shapes.join(", ")))
        };
        let own = self.indices.as_ref().map(|indices| PartialShape::from(&indices.shape));
        let (table, numbers) = match (inputs, &own) {
            ([table, ..], Some(own)) => (table, own),
            ([table, numbers, ..], None) => (table, numbers),
            _ => return Err(wrong("there must be a table and numbers")),
        };
        let axis = index_of(self.axis, table)?;
        if self.along {
            let others = table.dims().iter().zip(numbers.dims()).enumerate().filter(|&(place, _)| place != axis);
            let fits = others.into_iter().all(|(_, (a, b))| a.zip(*b).is_none_or(|(a, b)| a == b));
            if table.rank() != numbers.rank() || !fits {
                return Err(wrong("the numbers must have the table's extents along all other axes"));
            }
            return Ok(numbers.clone());
        }
        let batch = self.batch_dims as usize;
        if batch > axis || batch > numbers.rank() {
            return Err(wrong("the axes of the batch must stand before the axis"));
        }
        Ok([&table.dims()[..axis], &numbers.dims()[batch..], &table.dims()[axis + 1..]].concat().into())
    }
}

impl Describe for Take {
    fn module(&self) -> &'static str {
        super::OPERATORS
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn inputs(&self) -> RangeInclusive<usize> {
        if self.indices.is_some() { 1..=1 } else { 2..=2 }
    }

    fn takes_whole_numbers(&self, index: usize) -> bool {
        index == 1
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(inputs)
    }

    fn operands(&self, weights: Vec<Arc<Kernel>>, _numbers: Numbers) -> Result<Vec<Arc<Kernel>>> {
        let exact = Numbers::EXACT;
        let of = |indices: &HostTensor| Kernel::of_values(indices.shape.clone(), indices.values.clone(), exact);
        Ok(self.indices.as_ref().map_or(weights, |indices| vec![of(indices)]))
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let axis = index_of(self.axis, &tape.shape(inputs[0]).into())?;
        let numbers = match (inputs, operands) {
            ([_, numbers, ..], _) => (Side::Value(*numbers), tape.dtype(*numbers)),
            (_, [numbers, ..]) => (Side::Constant(numbers), DType::F32),
            _ => return Err(Error::invalid("inputs", "there must be numbers to take by", "one input")),
        };
        let table = (Side::Value(inputs[0]), tape.dtype(inputs[0]));
        if self.along {
            return ops::take_along(tape, axis, table, numbers);
        }
        ops::take(tape, axis, self.batch_dims as usize, table, numbers)
    }
}

/// A vector for each whole number: word and position embeddings.
///
/// # Shapes
/// Input of whole numbers, of any shape; output with one more axis behind. The weight `embeddings` is
/// `[input_dim, output_dim]`. A number that is none of its lines makes NaN.
///
/// ```
/// use wgpu_conv::layers::Embedding;
///
/// assert_eq!(Embedding::new(1000, 64).output_shape([None, Some(10)])?.to_string(), "(None, 10, 64)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// Name, trainability and types.
    pub common: Common,
    /// How many numbers there are, from 0.
    pub input_dim: u32,
    /// The extent of each vector.
    pub output_dim: u32,
    /// The vectors' initializer, regularizer and constraint.
    pub embeddings: WeightOptions,
    /// What training adds to the loss for the output.
    pub activity_regularizer: Option<Regularizer>,
    /// Whether 0 stands for nothing, and the output carries a mask of the other numbers; false by default.
    pub mask_zero: bool,
}

common_setters!(Embedding, common);
weight_setters!(Embedding {
    "embeddings" at embeddings:
    embeddings_initializer = "uniform", embeddings_regularizer, embeddings_constraint;
});

/// Keras's `uniform`.
fn uniform() -> Initializer {
    Initializer::RandomUniform { minval: -0.05, maxval: 0.05, seed: super::Seed::default() }
}

impl Embedding {
    /// A layer of `input_dim` vectors of extent `output_dim`.
    pub fn new(input_dim: u32, output_dim: u32) -> Self {
        Self {
            common: Common::new(&Settings::current()),
            input_dim,
            output_dim,
            embeddings: WeightOptions::new(uniform()),
            activity_regularizer: None,
            mask_zero: false,
        }
    }

    /// Whether 0 stands for nothing, and the output carries a mask of the other numbers; false by default.
    pub fn mask_zero(mut self, mask_zero: bool) -> Self {
        self.mask_zero = mask_zero;
        self
    }

    /// The output shape for `input`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let mut dims = input.into().dims().to_vec();
        dims.push(Some(self.output_dim as usize));
        Ok(dims.into())
    }
}

impl Describe for Embedding {
    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        positive("input_dim", &[self.input_dim])?;
        positive("output_dim", &[self.output_dim])?;
        WeightOptions::validate_all(&[&self.embeddings], self.activity_regularizer.as_ref())
    }

    fn takes_whole_numbers(&self, _index: usize) -> bool {
        true
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn weights(&self, _inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        let shape = [self.input_dim, self.output_dim].map(|extent| extent as usize);
        Ok(vec![Declared::new("embeddings", shape, &self.common, &self.embeddings, uniform())])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let numbers = (Side::Value(inputs[0]), tape.dtype(inputs[0]));
        let dtype = self.common.dtype.compute().map_or(DType::F32, |(dtype, _)| dtype);
        ops::take(tape, 0, 0, (Side::Constant(&operands[0]), dtype), numbers)
    }

    fn mask(&self, tape: &mut Tape, inputs: &[Value], _output: Value) -> Result<Option<Value>> {
        self.mask_zero.then(|| differs(tape, inputs[0], 0.0)).transpose()
    }
}

#[cfg(feature = "keras")]
impl Configured for Take {
    const REQUIRED: &'static [&'static str] = &["axis"];

    fn template() -> Self {
        Self::new(0)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("axis", &mut self.axis)?;
        codec.field("indices", &mut self.indices)?;
        codec.field("along", &mut self.along)?;
        let mut batch_dims = i32::try_from(self.batch_dims).unwrap_or(i32::MAX);
        codec.field("batch_dims", &mut batch_dims)?;
        let received = || format!("batch_dims={batch_dims}");
        self.batch_dims = u32::try_from(batch_dims)
            .map_err(|_| Error::invalid("batch_dims", "`batch_dims` must not be negative", received()))?;
        Ok(())
    }
}

#[cfg(feature = "keras")]
impl Configured for Embedding {
    const REQUIRED: &'static [&'static str] = &["input_dim", "output_dim"];

    fn template() -> Self {
        Self::new(1, 1)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("input_dim", &mut self.input_dim)?;
        codec.field("output_dim", &mut self.output_dim)?;
        let activity = &mut self.activity_regularizer;
        weights(codec, &mut [("embeddings", &mut self.embeddings)], |codec| {
            codec.field("activity_regularizer", activity)
        })?;
        codec.field("mask_zero", &mut self.mask_zero)?;
        codec.fixed("quantization_config", serde_json::Value::Null, QUANTIZED)?;
        // What tf.keras 2 and early releases of Keras 3 write beside.
        codec.dropped("input_length", |_| true)?;
        codec.dropped("sparse", |_| true)
    }
}
