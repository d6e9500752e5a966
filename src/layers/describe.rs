//! What every description tells of itself, so that building, running and writing a layer need not know which it is.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::{Common, Constraint, Initializer, Regularizer, WeightOptions};
use crate::geometry::axis_index;
use crate::ops::{Kernel, Numbers, Tape, Value};
use crate::{DataFormat, Error, PartialShape, Result, Shape};

/// A weight as a description declares it.
pub(crate) struct Declared {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) trainable: bool,
    pub(crate) initializer: Initializer,
    pub(crate) regularizer: Option<Regularizer>,
    pub(crate) constraint: Option<Constraint>,
}

impl Declared {
    /// A weight that training neither penalises nor projects.
    pub(crate) fn free(name: &'static str, shape: impl Into<Shape>, trainable: bool, initializer: Initializer) -> Self {
        Self { name, shape: shape.into(), trainable, initializer, regularizer: None, constraint: None }
    }

    /// A weight of `options`, which starts as `default` where they do not say.
    pub(crate) fn new(
        name: &'static str,
        shape: impl Into<Shape>,
        common: &Common,
        options: &WeightOptions,
        default: Initializer,
    ) -> Self {
        let initializer = options.initializer.clone().unwrap_or(default);
        let WeightOptions { regularizer, constraint, .. } = options.clone();
        Self { name, shape: shape.into(), trainable: common.trainable, initializer, regularizer, constraint }
    }
}

/// What a recurrent layer keeps from one time to the next, and what of it its output holds.
#[cfg_attr(not(feature = "keras"), allow(dead_code, reason = "files say how layers are called"))]
pub(crate) struct States {
    /// How many tensors.
    pub(crate) count: usize,
    /// Whether the output has all times.
    pub(crate) sequences: bool,
    /// Whether the last states stand behind it, each as one time more.
    pub(crate) returned: bool,
}

/// A layer's description.
pub(crate) trait Describe {
    /// Keras's name of the class, where it is not the name of the [`LayerConfig`](super::LayerConfig)'s variant.
    fn class_name(&self) -> Option<&'static str> {
        None
    }

    /// The module that a config names: Keras's, or [`OPERATORS`](super::OPERATORS).
    fn module(&self) -> &'static str {
        super::KERAS
    }

    /// The arguments every layer has.
    fn common(&self) -> &Common;

    /// Checks the arguments by themselves, in Keras's order.
    fn validate(&self) -> Result<()> {
        self.common().validate()
    }

    /// The penalty on what the layer gives, divided by the size of the batch.
    fn activity_regularizer(&self) -> Option<Regularizer> {
        None
    }

    /// Whether what comes out are values that went in, means of them, or zeros, so that they are of the same scale.
    #[cfg_attr(
        not(any(feature = "image", feature = "npy", feature = "safetensors")),
        allow(dead_code, reason = "only pictures ask")
    )]
    fn passes_values_on(&self) -> bool {
        false
    }

    /// Where the channels stand, for a layer to which that matters.
    fn data_format(&self) -> Option<DataFormat> {
        None
    }

    /// How many tensors the layer takes.
    fn inputs(&self) -> RangeInclusive<usize> {
        1..=1
    }

    /// Whether Keras calls the layer with a list of tensors.
    #[cfg_attr(not(feature = "keras"), allow(dead_code, reason = "files say how layers are called"))]
    fn takes_list(&self) -> bool {
        *self.inputs().end() > 1
    }

    /// Whether input number `index` holds whole numbers, which are not rounded to the compute type.
    fn takes_whole_numbers(&self, _index: usize) -> bool {
        false
    }

    /// The states of a recurrent layer, which may be given them behind its input.
    #[cfg_attr(not(feature = "keras"), allow(dead_code, reason = "files say how layers are called"))]
    fn states(&self) -> Option<States> {
        None
    }

    /// The output shape for inputs of these shapes, as many as the layer takes; unknown extents stay unknown.
    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape>;

    /// The axes of a first input of `rank` axes whose extents building the layer fixes, negative ones counted from the end.
    fn fixed_axes(&self, _rank: usize) -> Vec<i32> {
        Vec::new()
    }

    /// The weights for inputs of these shapes, which [`shape`](Self::shape) has taken, in Keras's order.
    fn weights(&self, _inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        Ok(Vec::new())
    }

    /// What holds the weights in files, where that is a part of the layer: Keras's name of the attribute.
    #[cfg_attr(not(any(feature = "keras", feature = "safetensors")), allow(dead_code, reason = "files of weights ask"))]
    fn weights_of(&self) -> &'static str {
        ""
    }

    /// What the forward pass reads, made of the weights, in these numbers.
    ///
    /// # Errors
    /// [`Error::Limit`] beyond 32 bits.
    fn operands(&self, weights: Vec<Arc<Kernel>>, _numbers: Numbers) -> Result<Vec<Arc<Kernel>>> {
        Ok(weights)
    }

    /// Writes the layer's operations on `tape`; the inputs are of the compute type and have been checked.
    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value>;

    /// Whether the output carries the mask of the first input on: Keras's `supports_masking`, where the layer has no rule of its own.
    fn passes_mask(&self) -> bool {
        false
    }

    /// The mask that the `output` for these inputs carries, if any: Keras's `compute_mask`.
    fn mask(&self, tape: &mut Tape, inputs: &[Value], _output: Value) -> Result<Option<Value>> {
        Ok(inputs.first().filter(|_| self.passes_mask()).and_then(|&input| tape.mask(input)))
    }

    /// The same as it is in training, where that is something else; `weights` are those of [`weights`](Self::weights), in order.
    fn train(
        &self,
        tape: &mut Tape,
        inputs: &[Value],
        _weights: &[Arc<Kernel>],
        operands: &[Arc<Kernel>],
    ) -> Result<Value> {
        self.lower(tape, inputs, operands)
    }
}

/// # Errors
/// [`Error::Invalid`] for an `epsilon` that cannot be the least norm to divide by: its square must be a number of shaders.
pub(crate) fn least_norm(epsilon: f64) -> Result<()> {
    if (1e-18..1e18).contains(&epsilon) {
        return Ok(());
    }
    Err(Error::invalid("epsilon", "`epsilon` must lie between 10⁻¹⁸ and 10¹⁸", format!("epsilon={epsilon}")))
}

/// The index of `axis` in a shape.
///
/// # Errors
/// [`Error::Invalid`] for an axis that the input does not have.
pub(crate) fn index_of(axis: i32, input: &PartialShape) -> Result<usize> {
    axis_index(axis, input.rank()).ok_or_else(|| {
        Error::invalid("axis", "`axis` must be one of the input's axes", format!("axis={axis}, input shape={input}"))
    })
}

/// The extent of `axis`, which must be known and not 0.
pub(crate) fn known_extent(input: &PartialShape, axis: i32) -> Result<usize> {
    match input.dims()[index_of(axis, input)?] {
        Some(0) | None => Err(Error::invalid(
            "input",
            format!("axis {axis} of the input must be known and at least 1"),
            format!("input shape={input}"),
        )),
        Some(extent) => Ok(extent),
    }
}

/// # Errors
/// [`Error::Invalid`] for axes that the input does not have, or that are named twice.
pub(crate) fn distinct(axes: &[i32], input: &PartialShape) -> Result<()> {
    let indices = axes.iter().map(|&axis| index_of(axis, input)).collect::<Result<Vec<_>>>()?;
    if indices.iter().enumerate().any(|(place, index)| indices[..place].contains(index)) {
        return Err(Error::invalid(
            "axis",
            "`axis` must name no axis twice",
            format!("axis={axes:?}, input shape={input}"),
        ));
    }
    Ok(())
}
