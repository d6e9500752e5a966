//! What training holds weights to: penalties that are added to the loss, and projections after each update.

use super::loss::unary;
use crate::geometry::axis_index;
use crate::layers::{Axes, Constraint, OrthogonalMode, Regularizer};
use crate::ops::{self, Kernel, Numbers, Side, Tape, Value};
use crate::plan::{AxisFunction, BinaryFunction};
use crate::{Commands, DType, Error, Result, Settings, Shape, Tensor, Unary};

impl Regularizer {
    /// The penalty on `weight`, of shape `[]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the regularizer takes no such weight; those of running it.
    ///
    /// ```no_run
    /// use wgpu_conv::layers::Regularizer;
    /// use wgpu_conv::{Gpu, Tensor};
    ///
    /// let weight = Tensor::from_slice(&Gpu::new()?, [2], &[1.0_f32, -2.0])?;
    /// assert_eq!(Regularizer::L2 { l2: 0.5 }.call(&weight)?.read::<f32>()?, [2.5]);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn call(&self, weight: &Tensor) -> Result<Tensor> {
        if let Self::Custom(function) = self {
            let penalty = (function.function())(&super::read(weight)?, weight.shape())?;
            return Tensor::from_slice(weight.gpu(), Shape::from([]), &[penalty as f32]);
        }
        Ok(run(weight, |tape, value| Ok(vec![penalty(tape, self, value, false)?.0]))?.swap_remove(0))
    }

    /// What [`call`](Self::call) gives, and its gradient by each element.
    ///
    /// # Errors
    /// Those of [`call`](Self::call); [`Error::Unsupported`] for a custom function, whose gradient nobody knows.
    pub fn call_with_gradient(&self, weight: &Tensor) -> Result<(Tensor, Tensor)> {
        let mut results = run(weight, |tape, value| {
            let (penalty, gradient) = penalty(tape, self, value, true)?;
            Ok([penalty].into_iter().chain(gradient).collect())
        })?;
        let gradient = results.swap_remove(1);
        Ok((results.swap_remove(0), gradient))
    }
}

impl Constraint {
    /// The projection of `weight`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an axis that the weight does not have; those of running it.
    ///
    /// ```no_run
    /// use wgpu_conv::layers::Constraint;
    /// use wgpu_conv::{Gpu, Tensor};
    ///
    /// let weight = Tensor::from_slice(&Gpu::new()?, [2], &[1.0_f32, -2.0])?;
    /// assert_eq!(Constraint::NonNeg.call(&weight)?.read::<f32>()?, [1.0, 0.0]);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn call(&self, weight: &Tensor) -> Result<Tensor> {
        if let Self::Custom(function) = self {
            let mut values = super::read(weight)?;
            (function.function())(&mut values, weight.shape())?;
            return Tensor::from_slice(weight.gpu(), weight.shape().clone(), &values);
        }
        Ok(run(weight, |tape, value| Ok(vec![projected(tape, self, value)?]))?.swap_remove(0))
    }
}

fn run(weight: &Tensor, write: impl Fn(&mut Tape, Value) -> Result<Vec<Value>>) -> Result<Vec<Tensor>> {
    let mut commands = Commands::new(weight.gpu());
    crate::tensor::check_call("a weight", weight.gpu(), &commands, std::slice::from_ref(weight))?;
    let mut tape = Tape::default();
    let value = tape.input(weight.shape().clone(), weight.dtype())?;
    let value = ops::cast(&mut tape, DType::F32, None, value)?;
    let outputs = write(&mut tape, value)?;
    let results = tape.record(&mut commands, std::slice::from_ref(weight), &outputs)?;
    commands.submit()?;
    Ok(results)
}

/// `factor · value`.
pub(super) fn times(tape: &mut Tape, factor: f64, value: Value) -> Result<Value> {
    unary(tape, Unary::Affine { scale: factor as f32, offset: 0.0 }, value)
}

/// The penalty on a weight, of shape `[]`, and where it is asked for its gradient by each element.
pub(super) fn penalty(
    tape: &mut Tape,
    regularizer: &Regularizer,
    weight: Value,
    with_gradient: bool,
) -> Result<(Value, Option<Value>)> {
    regularizer.validate()?;
    let (l1, l2) = match *regularizer {
        Regularizer::L1 { l1 } => (l1, 0.0),
        Regularizer::L2 { l2 } => (0.0, l2),
        Regularizer::L1L2 { l1, l2 } => (l1, l2),
        Regularizer::OrthogonalRegularizer { factor, mode } => {
            return orthogonal(tape, factor, mode, weight, with_gradient);
        }
        Regularizer::Custom(_) => {
            return Err(Error::unsupported(
                "the gradient of a custom regularizer",
                "only Keras's own have one here; use L1, L2, L1L2 or OrthogonalRegularizer",
            ));
        }
    };
    let axes: Vec<usize> = (0..tape.shape(weight).rank()).collect();
    // A scalar has no axis to add up along.
    let line = if axes.is_empty() { tape.reshape(weight, [1])? } else { weight };
    let axes: Vec<usize> = if axes.is_empty() { vec![0] } else { axes };
    let mut parts = Vec::new();
    let mut slopes = Vec::new();
    if l1 != 0.0 || l2 == 0.0 {
        let sum = ops::reduce(tape, AxisFunction::L1, &axes, false, line)?;
        parts.push(times(tape, l1, sum)?);
        if with_gradient {
            let signs = unary(tape, Unary::Sign, weight)?;
            slopes.push(times(tape, l1, signs)?);
        }
    }
    if l2 != 0.0 {
        let sum = ops::reduce(tape, AxisFunction::SumSquare, &axes, false, line)?;
        parts.push(times(tape, l2, sum)?);
        if with_gradient {
            slopes.push(times(tape, 2.0 * l2, weight)?);
        }
    }
    let mut add = |values: Vec<Value>| -> Result<Option<Value>> {
        let mut values = values.into_iter();
        let Some(first) = values.next() else { return Ok(None) };
        values.try_fold(first, |sum, value| ops::two(tape, BinaryFunction::Add, sum, value)).map(Some)
    };
    let total = add(parts)?.unwrap_or(weight);
    Ok((total, add(slopes)?))
}

/// `factor · ½ · Σ |G_ij| / pairs` over i ≠ j, G the products of the normalised rows or columns with one another.
fn orthogonal(
    tape: &mut Tape,
    factor: f64,
    mode: OrthogonalMode,
    weight: Value,
    with_gradient: bool,
) -> Result<(Value, Option<Value>)> {
    let &[rows, columns] = tape.shape(weight).dims() else {
        return Err(Error::invalid(
            "regularizer",
            "OrthogonalRegularizer must be given a weight of two axes",
            format!("a weight of shape {}", tape.shape(weight)),
        ));
    };
    let (axis, size) = match mode {
        OrthogonalMode::Rows => (1, rows),
        OrthogonalMode::Columns => (0, columns),
    };
    let norms = ops::reduce(tape, AxisFunction::L2, &[axis], true, weight)?;
    let inverse = unary(tape, Unary::Reciprocal, norms)?;
    let inverse = unary(tape, Unary::Clip { min: 0.0, max: 1e12 }, inverse)?;
    let unit = ops::two(tape, BinaryFunction::Multiply, weight, inverse)?;
    let turned = ops::permute(tape, &[1, 0], unit)?;
    let gram = match mode {
        OrthogonalMode::Rows => ops::matmul(tape, Side::Value(unit), Side::Value(turned))?,
        OrthogonalMode::Columns => ops::matmul(tape, Side::Value(turned), Side::Value(unit))?,
    };
    let off_diagonal: Vec<f32> =
        (0..size * size).map(|index| if index / size == index % size { 0.0 } else { 1.0 }).collect();
    let mask = Kernel::of_values([size, size], off_diagonal, Numbers::EXACT);
    let off = ops::with(tape, BinaryFunction::Multiply, gram, &mask)?;
    let pairs = size as f64 * (size as f64 - 1.0) / 2.0;
    let share = factor * 0.5 / pairs;
    let sum = ops::reduce(tape, AxisFunction::L1, &[0, 1], false, off)?;
    let total = times(tape, share, sum)?;
    if !with_gradient {
        return Ok((total, None));
    }
    let signs = unary(tape, Unary::Sign, off)?;
    let by_unit = match mode {
        OrthogonalMode::Rows => ops::matmul(tape, Side::Value(signs), Side::Value(unit))?,
        OrthogonalMode::Columns => ops::matmul(tape, Side::Value(unit), Side::Value(signs))?,
    };
    let by_unit = times(tape, 2.0 * share, by_unit)?;
    // Through the normalisation: what points along a vector does not change it.
    let along = ops::two(tape, BinaryFunction::Multiply, by_unit, unit)?;
    let along = ops::reduce(tape, AxisFunction::Sum, &[axis], true, along)?;
    let along = ops::two(tape, BinaryFunction::Multiply, unit, along)?;
    let across = ops::two(tape, BinaryFunction::Subtract, by_unit, along)?;
    let gradient = ops::two(tape, BinaryFunction::Multiply, across, inverse)?;
    Ok((total, Some(gradient)))
}

/// What a constraint makes of a weight.
pub(super) fn projected(tape: &mut Tape, constraint: &Constraint, weight: Value) -> Result<Value> {
    constraint.validate()?;
    let (axes, [low, high], rate) = match constraint {
        Constraint::NonNeg => return unary(tape, Unary::Clip { min: 0.0, max: f32::INFINITY }, weight),
        Constraint::UnitNorm { axis } => (axis, [1.0, 1.0], 1.0),
        Constraint::MaxNorm { max_value, axis } => (axis, [0.0, *max_value], 1.0),
        Constraint::MinMaxNorm { min_value, max_value, rate, axis } => (axis, [*min_value, *max_value], *rate),
        Constraint::Custom(_) => {
            return Err(Error::unsupported("a custom constraint on the device", "it runs on the host, after the step"));
        }
    };
    let norms = norms(tape, axes, weight)?;
    let epsilon = Settings::current().epsilon as f32;
    let divisor = unary(tape, Unary::Affine { scale: 1.0, offset: epsilon }, norms)?;
    let inverse = unary(tape, Unary::Reciprocal, divisor)?;
    let mut wanted = unary(tape, Unary::Clip { min: low as f32, max: high as f32 }, norms)?;
    if rate != 1.0 {
        let moved = times(tape, rate, wanted)?;
        let left = times(tape, 1.0 - rate, norms)?;
        wanted = ops::two(tape, BinaryFunction::Add, moved, left)?;
    }
    let factor = ops::two(tape, BinaryFunction::Multiply, wanted, inverse)?;
    ops::two(tape, BinaryFunction::Multiply, weight, factor)
}

fn norms(tape: &mut Tape, axes: &Axes, weight: Value) -> Result<Value> {
    let shape = tape.shape(weight).clone();
    let mut indices = Vec::new();
    for &axis in axes.as_slice() {
        let index = axis_index(axis, shape.rank()).ok_or_else(|| {
            Error::invalid(
                "axis",
                "the axes of a constraint must be the weight's",
                format!("axis={axis}, a weight of shape {shape}"),
            )
        })?;
        indices.push(index);
    }
    // A root of the sum of all squares: norms of norms would do, but reduce axes that are no neighbours one after the other.
    let squares = ops::reduce(tape, AxisFunction::SumSquare, &indices, true, weight)?;
    unary(tape, Unary::Sqrt, squares)
}
