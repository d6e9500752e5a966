//! Losses: how far predictions are from what was wanted.

use crate::geometry::axis_index;
use crate::ops::{self, Tape, Value};
use crate::plan::{AxisFunction, BinaryFunction, Elementwise, LossFunction, LossParameters, LossProblem};
use crate::{Commands, DType, Error, PartialShape, Result, Settings, Shape, Tensor, Unary};

/// A loss: a function of predictions and targets, with how its values become one number.
///
/// ```
/// use wgpu_conv::training::{Loss, LossClass, Reduction};
///
/// let loss = Loss::from_name("categorical_crossentropy")?;
/// assert_eq!(loss.reduction, Reduction::SumOverBatchSize);
/// let sums = Loss::new(LossClass::Huber { delta: 0.5 }).reduction(Reduction::Sum);
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// The function, Keras's class.
    pub class: LossClass,
    /// How the values of all lines become one; [`SumOverBatchSize`](Reduction::SumOverBatchSize) by default.
    pub reduction: Reduction,
}

/// How the losses of lines become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// Their mean, weighted ones included: `Σ w·loss / N`. Keras's name is `sum_over_batch_size`, or `mean`.
    #[default]
    SumOverBatchSize,
    /// Their sum.
    Sum,
    /// Their weighted mean, `Σ w·loss / Σ w`.
    MeanWithSampleWeight,
    /// They stay as they are.
    None,
}

impl Reduction {
    /// The reduction of a Keras name.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown name.
    ///
    /// ```
    /// # use wgpu_conv::training::Reduction;
    /// assert_eq!(Reduction::from_name("mean")?, Reduction::SumOverBatchSize);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "sum_over_batch_size" | "mean" => Ok(Self::SumOverBatchSize),
            "sum" => Ok(Self::Sum),
            "mean_with_sample_weight" => Ok(Self::MeanWithSampleWeight),
            "none" => Ok(Self::None),
            _ => Err(Error::invalid(
                "reduction",
                "the reduction must be one of sum_over_batch_size, mean, sum, mean_with_sample_weight, none",
                format!("reduction={name}"),
            )),
        }
    }
}

/// The function of a [`Loss`]: Keras's classes, with y for targets, p for predictions, and means and sums over the last axis.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LossClass {
    /// Mean of `(p − y)²`.
    MeanSquaredError,
    /// Mean of `|p − y|`.
    MeanAbsoluteError,
    /// Mean of `100·|p − y| / max(|y|, ε)`.
    MeanAbsolutePercentageError,
    /// Mean of `(ln(max(p, ε) + 1) − ln(max(y, ε) + 1))²`.
    MeanSquaredLogarithmicError,
    /// Mean of half a square up to `delta`, of a line beyond.
    Huber {
        /// Where it goes over; 1 by default.
        delta: f64,
    },
    /// Mean of `ln cosh(p − y)`.
    LogCosh,
    /// `−cos` of the angle between p and y.
    CosineSimilarity {
        /// The axis of the vectors; −1 by default.
        axis: i32,
    },
    /// Mean of `p − y·ln(p + ε)`.
    Poisson,
    /// Sum of `y·ln(y / p)`, both clipped to `[ε, 1]`.
    KlDivergence,
    /// Mean of `max(1 − y·p, 0)`; targets that are all 0 or 1 are taken as −1 and 1.
    Hinge,
    /// Mean of `max(1 − y·p, 0)²`; targets as with [`Hinge`](Self::Hinge).
    SquaredHinge,
    /// `max(max (1 − y)·p − Σ y·p + 1, 0)`.
    CategoricalHinge,
    /// Mean of `−y·ln p − (1 − y)·ln(1 − p)`, for labels that do not exclude one another.
    BinaryCrossentropy {
        /// Whether predictions are logits rather than probabilities; false by default.
        from_logits: bool,
        /// How far targets are moved towards ½; 0 by default.
        label_smoothing: f64,
        /// The axis of the mean; −1 by default.
        axis: i32,
    },
    /// Binary cross-entropy that counts less what is well predicted.
    BinaryFocalCrossentropy {
        /// Whether the classes are weighted by `alpha`; false by default.
        apply_class_balancing: bool,
        /// The weight of class 1; 0.25 by default.
        alpha: f64,
        /// The power of what is missed; 2 by default.
        gamma: f64,
        /// Whether predictions are logits; false by default.
        from_logits: bool,
        /// How far targets are moved towards ½; 0 by default.
        label_smoothing: f64,
        /// The axis of the mean; −1 by default.
        axis: i32,
    },
    /// `−Σ y·ln p`, for one-hot targets.
    CategoricalCrossentropy {
        /// Whether predictions are logits rather than probabilities; false by default.
        from_logits: bool,
        /// How far targets are moved towards the same for every class; 0 by default.
        label_smoothing: f64,
        /// The axis of the classes; −1 by default.
        axis: i32,
    },
    /// Categorical cross-entropy that counts less what is well predicted.
    CategoricalFocalCrossentropy {
        /// What it is multiplied by; 0.25 by default.
        alpha: f64,
        /// The power of what is missed; 2 by default.
        gamma: f64,
        /// Whether predictions are logits; false by default.
        from_logits: bool,
        /// How far targets are moved towards the same for every class; 0 by default.
        label_smoothing: f64,
        /// The axis of the classes; −1 by default.
        axis: i32,
    },
    /// Categorical cross-entropy whose targets are the indices of classes.
    SparseCategoricalCrossentropy {
        /// Whether predictions are logits rather than probabilities; false by default.
        from_logits: bool,
        /// A class whose lines do not count: their loss is 0, and a mean is over the others; none by default.
        ignore_class: Option<i32>,
        /// The axis of the classes; −1 by default.
        axis: i32,
    },
    /// `(1 − p^q) / q` of the probability p of the class whose index is the target.
    CategoricalGeneralizedCrossEntropy {
        /// In (0, 1); 0.5 by default.
        q: f64,
    },
    /// `1 − 2·Σ y·p / (Σ y + Σ p + ε)`.
    Dice {
        /// The axes of the sums, neighbours; all by default.
        axis: Option<Vec<i32>>,
    },
    /// `1 − Σ y·p / (Σ y·p + alpha·Σ y·(1 − p) + beta·Σ (1 − y)·p + ε)`.
    Tversky {
        /// 0.5 by default.
        alpha: f64,
        /// 0.5 by default.
        beta: f64,
        /// The axes of the sums, neighbours; all by default.
        axis: Option<Vec<i32>>,
    },
    /// The function of [`Metric`](super::Metric)'s accuracies of classes, which has no gradient.
    #[doc(hidden)]
    TopK {
        /// How many predictions may be the class's.
        k: u32,
        /// Whether targets are the indices of classes.
        sparse: bool,
    },
    /// The function of [`Metric::BinaryAccuracy`](super::Metric::BinaryAccuracy), which has no gradient.
    #[doc(hidden)]
    BinaryAccuracy {
        /// Above which a prediction is 1.
        threshold: f64,
    },
}

/// Keras's classes with default parameters, each with the names that it goes by besides its own.
fn classes() -> [(&'static str, &'static [&'static str], LossClass); 20] {
    let (from_logits, label_smoothing, axis) = (false, 0.0, -1);
    let (alpha, gamma) = (0.25, 2.0);
    [
        ("MeanSquaredError", &["mean_squared_error", "mse", "MSE"], LossClass::MeanSquaredError),
        ("MeanAbsoluteError", &["mean_absolute_error", "mae", "MAE"], LossClass::MeanAbsoluteError),
        (
            "MeanAbsolutePercentageError",
            &["mean_absolute_percentage_error", "mape", "MAPE"],
            LossClass::MeanAbsolutePercentageError,
        ),
        (
            "MeanSquaredLogarithmicError",
            &["mean_squared_logarithmic_error", "msle", "MSLE"],
            LossClass::MeanSquaredLogarithmicError,
        ),
        ("Huber", &["huber"], LossClass::Huber { delta: 1.0 }),
        ("LogCosh", &["log_cosh", "logcosh"], LossClass::LogCosh),
        ("CosineSimilarity", &["cosine_similarity"], LossClass::CosineSimilarity { axis }),
        ("Poisson", &["poisson"], LossClass::Poisson),
        ("KLDivergence", &["kl_divergence", "kld", "KLD", "kullback_leibler_divergence"], LossClass::KlDivergence),
        ("Hinge", &["hinge"], LossClass::Hinge),
        ("SquaredHinge", &["squared_hinge"], LossClass::SquaredHinge),
        ("CategoricalHinge", &["categorical_hinge"], LossClass::CategoricalHinge),
        (
            "BinaryCrossentropy",
            &["binary_crossentropy", "bce", "BCE"],
            LossClass::BinaryCrossentropy { from_logits, label_smoothing, axis },
        ),
        (
            "BinaryFocalCrossentropy",
            &["binary_focal_crossentropy"],
            LossClass::BinaryFocalCrossentropy {
                apply_class_balancing: false,
                alpha,
                gamma,
                from_logits,
                label_smoothing,
                axis,
            },
        ),
        (
            "CategoricalCrossentropy",
            &["categorical_crossentropy"],
            LossClass::CategoricalCrossentropy { from_logits, label_smoothing, axis },
        ),
        (
            "CategoricalFocalCrossentropy",
            &["categorical_focal_crossentropy"],
            LossClass::CategoricalFocalCrossentropy { alpha, gamma, from_logits, label_smoothing, axis },
        ),
        (
            "SparseCategoricalCrossentropy",
            &["sparse_categorical_crossentropy"],
            LossClass::SparseCategoricalCrossentropy { from_logits, ignore_class: None, axis },
        ),
        (
            "CategoricalGeneralizedCrossEntropy",
            &["categorical_generalized_cross_entropy"],
            LossClass::CategoricalGeneralizedCrossEntropy { q: 0.5 },
        ),
        ("Dice", &["dice"], LossClass::Dice { axis: None }),
        ("Tversky", &["tversky"], LossClass::Tversky { alpha: 0.5, beta: 0.5, axis: None }),
    ]
}

/// What a loss comes to on a tape.
pub(crate) struct Lowered {
    /// One number of shape `[]`, or with [`Reduction::None`] one for each line.
    pub(crate) loss: Value,
    /// Its gradient by each prediction, where it was asked for; that of the sum with [`Reduction::None`].
    pub(crate) gradient: Option<Value>,
}

/// The lines of a loss: the middle axis of `[outer, extent, inner]`, and the shape that their losses have.
struct LossLines {
    outer: usize,
    extent: usize,
    inner: usize,
    shape: Shape,
    /// Over how many classes Keras spreads what smoothing takes from one: the last axis of the predictions, along whichever the
    /// lines run.
    spread: usize,
}

impl From<LossClass> for Loss {
    fn from(class: LossClass) -> Self {
        Self::new(class)
    }
}

impl Loss {
    /// A loss by its class, with the mean of all lines.
    pub fn new(class: LossClass) -> Self {
        Self { class, reduction: Reduction::default() }
    }

    /// The same with another reduction.
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// The loss of a Keras name, a class or a function (`MeanSquaredError`, `mean_squared_error`, `mse`), with default
    /// parameters.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown name.
    pub fn from_name(name: &str) -> Result<Self> {
        let found = classes().into_iter().find(|(class, others, _)| *class == name || others.contains(&name));
        found.map(|(.., class)| Self::new(class)).ok_or_else(|| {
            let names: Vec<_> = classes().into_iter().map(|(class, ..)| class).collect();
            Error::invalid(
                "loss",
                format!("a loss must be one of {} (custom ones are not read)", names.join(", ")),
                format!("loss={name}"),
            )
        })
    }

    /// The name of its class.
    pub fn name(&self) -> &'static str {
        let kind = std::mem::discriminant(&self.class);
        let named = classes().into_iter().find(|(.., class)| std::mem::discriminant(class) == kind);
        named.map_or("Loss", |(name, ..)| name)
    }

    /// The loss of predictions `y_pred` against targets `y_true`, both f32: of shape `[]`, or with [`Reduction::None`] a loss
    /// for each line. Targets have the shape of the predictions; the indices of classes have it without the axis of the classes.
    /// `sample_weight` has an axis for each of the first axes of the losses.
    ///
    /// # Errors
    /// [`Error::Invalid`] for parameters that the loss does not take and for shapes that do not agree; those of running it.
    ///
    /// ```no_run
    /// use wgpu_conv::training::Loss;
    /// use wgpu_conv::{Gpu, Tensor};
    ///
    /// let gpu = Gpu::new()?;
    /// let y_true = Tensor::from_slice(&gpu, [2, 2], &[0.0_f32, 1.0, 0.0, 0.0])?;
    /// let y_pred = Tensor::from_slice(&gpu, [2, 2], &[1.0_f32, 1.0, 1.0, 0.0])?;
    /// assert_eq!(Loss::from_name("mse")?.call(&y_true, &y_pred, None)?.read::<f32>()?, [0.5]);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn call(&self, y_true: &Tensor, y_pred: &Tensor, sample_weight: Option<&Tensor>) -> Result<Tensor> {
        Ok(self.run(y_true, y_pred, sample_weight, false)?.swap_remove(0))
    }

    /// What [`call`](Self::call) gives, and its gradient by each prediction; with [`Reduction::None`] that of the sum.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub fn call_with_gradient(
        &self,
        y_true: &Tensor,
        y_pred: &Tensor,
        sample_weight: Option<&Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let mut results = self.run(y_true, y_pred, sample_weight, true)?;
        let gradient = results.swap_remove(1);
        Ok((results.swap_remove(0), gradient))
    }

    fn run(
        &self,
        y_true: &Tensor,
        y_pred: &Tensor,
        sample_weight: Option<&Tensor>,
        with_gradient: bool,
    ) -> Result<Vec<Tensor>> {
        let mut inputs = vec![y_pred.clone(), y_true.clone()];
        inputs.extend(sample_weight.cloned());
        let mut commands = Commands::new(y_pred.gpu());
        crate::tensor::check_call("a loss", y_pred.gpu(), &commands, &inputs)?;
        let mut tape = Tape::default();
        let values =
            inputs.iter().map(|input| tape.input(input.shape().clone(), input.dtype())).collect::<Result<Vec<_>>>()?;
        let lowered = self.lower(&mut tape, [values[0], values[1]], values.get(2).copied(), with_gradient)?;
        let outputs: Vec<Value> = [lowered.loss].into_iter().chain(lowered.gradient).collect();
        let results = tape.record(&mut commands, &inputs, &outputs)?;
        commands.submit()?;
        Ok(results)
    }

    /// The same loss, of the logits that a softmax or a sigmoid made the predictions of; `None` for those that are not of
    /// such probabilities. It is stabler: no logarithm of what was rounded to 0 (see #8 of Keras's TensorFlow backend).
    pub(crate) fn of_logits(&self, softmax: bool) -> Option<Self> {
        let mut loss = self.clone();
        match &mut loss.class {
            LossClass::CategoricalCrossentropy { from_logits, .. }
            | LossClass::SparseCategoricalCrossentropy { from_logits, .. }
                if softmax && !*from_logits =>
            {
                *from_logits = true;
            }
            LossClass::BinaryCrossentropy { from_logits, .. } if !softmax && !*from_logits => *from_logits = true,
            _ => return None,
        }
        Some(loss)
    }

    /// Whether its targets are the indices of classes.
    pub(crate) fn is_sparse(&self) -> bool {
        matches!(
            self.class,
            LossClass::SparseCategoricalCrossentropy { .. }
                | LossClass::CategoricalGeneralizedCrossEntropy { .. }
                | LossClass::TopK { sparse: true, .. }
        )
    }

    /// How many classes predictions of this shape tell apart, where targets are their indices, and the one that does not count.
    pub(crate) fn indexed_classes(&self, predictions: &PartialShape) -> Option<(usize, Option<i32>)> {
        let (axis, ignored) = match self.class {
            LossClass::SparseCategoricalCrossentropy { ignore_class, axis, .. } => (axis, ignore_class),
            LossClass::CategoricalGeneralizedCrossEntropy { .. } => (-1, None),
            _ => return None,
        };
        let classes = predictions.dims()[axis_index(axis, predictions.dims().len())?]?;
        Some((classes, ignored))
    }

    /// Writes the loss of `[predictions, targets]` on the tape.
    pub(crate) fn lower(
        &self,
        tape: &mut Tape,
        [predictions, targets]: [Value; 2],
        sample_weight: Option<Value>,
        with_gradient: bool,
    ) -> Result<Lowered> {
        self.validate()?;
        let dtype = tape.dtype(predictions);
        let mut predictions = ops::cast(tape, DType::F32, None, predictions)?;
        let mut targets = ops::cast(tape, DType::F32, None, targets)?;
        let shape = tape.shape(predictions).clone();
        (predictions, targets) = self.same_rank(tape, predictions, targets)?;
        let lines = self.lines(tape.shape(predictions))?;
        self.check_targets(tape.shape(predictions), tape.shape(targets), &lines)?;
        if matches!(self.class, LossClass::Hinge | LossClass::SquaredHinge) {
            targets = as_signs(tape, targets)?;
        }
        let mut weights = match sample_weight {
            Some(weights) => Some(ops::cast(tape, DType::F32, None, weights)?),
            None => None,
        };
        if let LossClass::SparseCategoricalCrossentropy { ignore_class: Some(class), .. } = self.class {
            weights = Some(self.without(tape, class, targets, &lines, weights)?);
        }
        let share_weight = match weights {
            Some(weights) => share(&lines.shape, tape.shape(weights))?,
            None => 0,
        };
        let count = lines.shape.dims().iter().product::<usize>();
        let scale = match self.reduction {
            Reduction::SumOverBatchSize => 1.0 / count.max(1) as f64,
            Reduction::MeanWithSampleWeight if weights.is_none() => 1.0 / count.max(1) as f64,
            _ => 1.0,
        };
        if let (Reduction::MeanWithSampleWeight, Some(given)) = (self.reduction, weights) {
            weights = Some(divided_by_sum(tape, given)?);
        }
        let problem = self.problem(&lines, share_weight, scale, with_gradient)?;
        let (losses, gradient) = ops::losses(tape, problem, lines.shape.clone(), [predictions, targets], weights)?;
        let axes: Vec<usize> = (0..lines.shape.rank()).collect();
        let total = |tape: &mut Tape, function| ops::reduce(tape, function, &axes, false, losses);
        let loss = match self.reduction {
            _ if axes.is_empty() => losses,
            Reduction::None => losses,
            Reduction::Sum => total(tape, AxisFunction::Sum)?,
            Reduction::MeanWithSampleWeight if weights.is_some() => total(tape, AxisFunction::Sum)?,
            Reduction::SumOverBatchSize | Reduction::MeanWithSampleWeight => total(tape, AxisFunction::Mean)?,
        };
        let gradient = match gradient {
            Some(gradient) => {
                let gradient = ops::cast(tape, dtype, None, gradient)?;
                Some(tape.reshape(gradient, shape)?)
            }
            None => None,
        };
        Ok(Lowered { loss, gradient })
    }

    /// # Errors
    /// [`Error::Invalid`] for parameters out of range.
    pub(crate) fn validate(&self) -> Result<()> {
        let finite: &[f64] = match &self.class {
            LossClass::Huber { delta } => &[*delta],
            LossClass::BinaryCrossentropy { label_smoothing, .. }
            | LossClass::CategoricalCrossentropy { label_smoothing, .. } => &[*label_smoothing],
            LossClass::BinaryFocalCrossentropy { alpha, gamma, label_smoothing, .. }
            | LossClass::CategoricalFocalCrossentropy { alpha, gamma, label_smoothing, .. } => {
                &[*alpha, *gamma, *label_smoothing]
            }
            LossClass::Tversky { alpha, beta, .. } => &[*alpha, *beta],
            LossClass::CategoricalGeneralizedCrossEntropy { q } if !(*q > 0.0 && *q < 1.0) => {
                return Err(Error::invalid("q", "q must lie between 0 and 1", format!("q={q}")));
            }
            _ => &[],
        };
        if finite.iter().all(|value| value.is_finite()) {
            return Ok(());
        }
        Err(Error::invalid("loss", "the parameters of a loss must be finite", format!("{:?}", self.class)))
    }

    /// Predictions and targets, of which one has an axis of extent 1 more, with as many axes.
    fn same_rank(&self, tape: &mut Tape, predictions: Value, targets: Value) -> Result<(Value, Value)> {
        let [of_x, of_y] = [predictions, targets].map(|value| tape.shape(value).dims().to_vec());
        if self.is_sparse() {
            return Ok((predictions, targets));
        }
        if of_x.len() == of_y.len() + 1 && of_x.last() == Some(&1) && of_x[..of_y.len()] == of_y {
            return Ok((predictions, tape.reshape(targets, of_x)?));
        }
        if of_y.len() == of_x.len() + 1 && of_y.last() == Some(&1) && of_y[..of_x.len()] == of_x {
            return Ok((tape.reshape(predictions, of_y)?, targets));
        }
        Ok((predictions, targets))
    }

    /// The lines that each make one loss.
    fn lines(&self, shape: &Shape) -> Result<LossLines> {
        let dims = shape.dims();
        let all: Vec<i32>;
        let axes: &[i32] = match &self.class {
            LossClass::CosineSimilarity { axis }
            | LossClass::BinaryCrossentropy { axis, .. }
            | LossClass::BinaryFocalCrossentropy { axis, .. }
            | LossClass::CategoricalCrossentropy { axis, .. }
            | LossClass::CategoricalFocalCrossentropy { axis, .. }
            | LossClass::SparseCategoricalCrossentropy { axis, .. } => &[*axis],
            LossClass::Dice { axis } | LossClass::Tversky { axis, .. } => match axis {
                Some(axes) => axes,
                None => {
                    all = (0..dims.len() as i32).collect();
                    &all
                }
            },
            _ => &[-1],
        };
        let mut indices = axes.iter().map(|&axis| ops::index_of(axis, shape)).collect::<Result<Vec<_>>>()?;
        indices.sort_unstable();
        indices.dedup();
        let (Some(&first), Some(&last)) = (indices.first(), indices.last()) else {
            return Err(Error::invalid(
                "y_pred",
                "a loss must be given predictions with at least one axis",
                format!("y_pred of shape {shape}, axis={axes:?}"),
            ));
        };
        if last - first + 1 != indices.len() {
            return Err(Error::unsupported(
                format!("a loss over the axes {axes:?}"),
                "they must be neighbours; move them together with a `Permute` layer",
            ));
        }
        let product = |dims: &[usize]| dims.iter().product::<usize>();
        Ok(LossLines {
            outer: product(&dims[..first]),
            extent: product(&dims[first..=last]),
            inner: product(&dims[last + 1..]),
            shape: [&dims[..first], &dims[last + 1..]].concat().into(),
            spread: dims[dims.len() - 1],
        })
    }

    fn check_targets(&self, predictions: &Shape, targets: &Shape, lines: &LossLines) -> Result<()> {
        let given = format!("y_true of shape {targets}, y_pred of shape {predictions}");
        if !self.is_sparse() {
            if predictions == targets {
                return Ok(());
            }
            let rule = format!("{} must be given targets of the predictions' shape", self.name());
            return Err(Error::invalid("y_true", rule, given));
        }
        let squeezed: Vec<usize> = targets.dims().iter().copied().filter(|&dim| dim != 1).collect();
        let wanted: Vec<usize> = lines.shape.dims().iter().copied().filter(|&dim| dim != 1).collect();
        if squeezed == wanted {
            return Ok(());
        }
        let rule =
            format!("{} must be given one class for each line of predictions, shape {}", self.name(), lines.shape);
        Err(Error::invalid("y_true", rule, given))
    }

    /// Weights that are 0 for the lines of `class`, and such for the others that a mean is over those.
    fn without(
        &self,
        tape: &mut Tape,
        class: i32,
        targets: Value,
        lines: &LossLines,
        sample_weight: Option<Value>,
    ) -> Result<Value> {
        let labels = tape.reshape(targets, lines.shape.clone())?;
        let distance = unary(tape, Unary::Affine { scale: 1.0, offset: -(class as f32) }, labels)?;
        let distance = unary(tape, Unary::Abs, distance)?;
        let mut mask = unary(tape, Unary::Clip { min: 0.0, max: 1.0 }, distance)?;
        let count = lines.shape.dims().iter().product::<usize>();
        if self.reduction == Reduction::SumOverBatchSize && count > 0 {
            let axes: Vec<usize> = (0..lines.shape.rank()).collect();
            let valid = ops::reduce(tape, AxisFunction::Sum, &axes, true, mask)?;
            let valid = unary(tape, Unary::Clip { min: 1.0, max: f32::INFINITY }, valid)?;
            let valid = unary(tape, Unary::Reciprocal, valid)?;
            let share = unary(tape, Unary::Affine { scale: count as f32, offset: 0.0 }, valid)?;
            mask = ops::two(tape, BinaryFunction::Multiply, mask, share)?;
        }
        let Some(weights) = sample_weight else { return Ok(mask) };
        share(&lines.shape, tape.shape(weights))?;
        let mut dims = tape.shape(weights).dims().to_vec();
        dims.resize(lines.shape.rank(), 1);
        let weights = tape.reshape(weights, dims)?;
        ops::two(tape, BinaryFunction::Multiply, mask, weights)
    }

    fn problem(&self, lines: &LossLines, share_weight: u32, scale: f64, gradient: bool) -> Result<LossProblem> {
        let mut smoothing = None;
        let mut logits = false;
        let mut parameters = [0.0; 2];
        let mut ignored = f32::MAX;
        let uniform = 1.0 / lines.spread.max(1) as f64;
        let function = match self.class {
            LossClass::MeanSquaredError => LossFunction::SquaredError,
            LossClass::MeanAbsoluteError => LossFunction::AbsoluteError,
            LossClass::MeanAbsolutePercentageError => LossFunction::AbsolutePercentageError,
            LossClass::MeanSquaredLogarithmicError => LossFunction::SquaredLogarithmicError,
            LossClass::Huber { delta } => {
                parameters[0] = delta;
                LossFunction::Huber
            }
            LossClass::LogCosh => LossFunction::LogCosh,
            LossClass::CosineSimilarity { .. } => LossFunction::CosineSimilarity,
            LossClass::Poisson => LossFunction::Poisson,
            LossClass::KlDivergence => LossFunction::KlDivergence,
            LossClass::Hinge => LossFunction::Hinge,
            LossClass::SquaredHinge => LossFunction::SquaredHinge,
            LossClass::CategoricalHinge => LossFunction::CategoricalHinge,
            LossClass::BinaryCrossentropy { from_logits, label_smoothing, .. } => {
                (logits, smoothing) = (from_logits, Some((label_smoothing, 0.5)));
                LossFunction::BinaryCrossentropy
            }
            LossClass::BinaryFocalCrossentropy {
                apply_class_balancing,
                alpha,
                gamma,
                from_logits,
                label_smoothing,
                ..
            } => {
                (logits, smoothing) = (from_logits, Some((label_smoothing, 0.5)));
                parameters = [if apply_class_balancing { alpha } else { -1.0 }, gamma];
                LossFunction::BinaryFocal
            }
            LossClass::CategoricalCrossentropy { from_logits, label_smoothing, .. } => {
                (logits, smoothing) = (from_logits, Some((label_smoothing, uniform)));
                LossFunction::CategoricalCrossentropy
            }
            LossClass::CategoricalFocalCrossentropy { alpha, gamma, from_logits, label_smoothing, .. } => {
                (logits, smoothing) = (from_logits, Some((label_smoothing, uniform)));
                parameters = [alpha, gamma];
                LossFunction::CategoricalFocal
            }
            LossClass::SparseCategoricalCrossentropy { from_logits, ignore_class, .. } => {
                logits = from_logits;
                ignored = ignore_class.map_or(f32::MAX, |class| class as f32);
                LossFunction::CategoricalCrossentropy
            }
            LossClass::CategoricalGeneralizedCrossEntropy { q } => {
                parameters[0] = q;
                LossFunction::GeneralizedCrossentropy
            }
            LossClass::Dice { .. } => LossFunction::Dice,
            LossClass::TopK { k, .. } => {
                parameters[0] = f64::from(k);
                LossFunction::TopK
            }
            LossClass::BinaryAccuracy { threshold } => {
                parameters[0] = threshold;
                LossFunction::BinaryAccuracy
            }
            LossClass::Tversky { alpha, beta, .. } => {
                parameters = [alpha, beta];
                LossFunction::Tversky
            }
        };
        let (keep, share) = smoothing.map_or((1.0, 0.0), |(smoothing, to)| (1.0 - smoothing, smoothing * to));
        let bits = |value: f64| (value as f32).to_bits();
        Ok(LossProblem {
            function,
            from_logits: logits,
            sparse: self.is_sparse(),
            outer: extent(lines.outer)?,
            extent: extent(lines.extent)?,
            inner: extent(lines.inner)?,
            share_weight,
            gradient,
            parameters: LossParameters {
                scale: bits(scale),
                epsilon: bits(Settings::current().epsilon),
                keep: bits(keep),
                share: bits(share),
                function: parameters.map(bits),
                ignored: ignored.to_bits(),
            },
        })
    }
}

fn extent(size: usize) -> Result<u32> {
    crate::geometry::extent(size)
}

/// `function` of each element.
pub(crate) fn unary(tape: &mut Tape, function: Unary, input: Value) -> Result<Value> {
    ops::map(tape, Elementwise::of_unary(&function), input)
}

/// How many neighbouring losses of shape `losses` share one weight, those having shape `weights`.
fn share(losses: &Shape, weights: &Shape) -> Result<u32> {
    let mut prefix = weights.dims();
    while prefix.len() > losses.rank() || (prefix.last() == Some(&1) && losses.dims().get(prefix.len() - 1) != Some(&1))
    {
        match prefix.split_last() {
            Some((1, rest)) => prefix = rest,
            _ => break,
        }
    }
    if !losses.dims().starts_with(prefix) {
        return Err(Error::invalid(
            "sample_weight",
            format!("weights must have an extent for each of the first axes of the losses, whose shape is {losses}"),
            format!("sample_weight of shape {weights}"),
        ));
    }
    extent(losses.dims()[prefix.len()..].iter().product::<usize>().max(1))
}

/// Targets that are all 0 or 1 as −1 and 1; others as they are.
fn as_signs(tape: &mut Tape, targets: Value) -> Result<Value> {
    let below = unary(tape, Unary::Affine { scale: 1.0, offset: -1.0 }, targets)?;
    let off = ops::two(tape, BinaryFunction::Multiply, targets, below)?;
    let off = unary(tape, Unary::Abs, off)?;
    let axes: Vec<usize> = (0..tape.shape(targets).rank()).collect();
    let most = ops::reduce(tape, AxisFunction::Max, &axes, true, off)?;
    // 1 where the largest of |y·(y − 1)| is 0, else 0.
    let are = unary(tape, Unary::Affine { scale: -f32::MAX, offset: 1.0 }, most)?;
    let are = unary(tape, Unary::Clip { min: 0.0, max: 1.0 }, are)?;
    let change = ops::two(tape, BinaryFunction::Multiply, below, are)?;
    ops::two(tape, BinaryFunction::Add, targets, change)
}

/// `weights / Σ weights`, or 0 where that sum is 0.
fn divided_by_sum(tape: &mut Tape, weights: Value) -> Result<Value> {
    let axes: Vec<usize> = (0..tape.shape(weights).rank()).collect();
    let sum = ops::reduce(tape, AxisFunction::Sum, &axes, true, weights)?;
    let square = unary(tape, Unary::Square, sum)?;
    let square = unary(tape, Unary::Clip { min: f32::MIN_POSITIVE, max: f32::INFINITY }, square)?;
    let inverse = unary(tape, Unary::Reciprocal, square)?;
    let inverse = ops::two(tape, BinaryFunction::Multiply, sum, inverse)?;
    ops::two(tape, BinaryFunction::Multiply, weights, inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_classes() {
        for (name, others, class) in classes() {
            for known in others.iter().chain([&name]) {
                let loss = Loss::from_name(known).unwrap();
                assert_eq!((loss.name(), &loss.class), (name, &class));
            }
        }
        let error = Loss::from_name("ctc").unwrap_err().to_string();
        assert!(error.contains("a loss must be one of MeanSquaredError"), "{error}");
    }

    #[test]
    fn weights_belong_to_the_first_axes() {
        let shared = |losses: &[usize], weights: &[usize]| share(&losses.into(), &weights.into()).ok();
        assert_eq!(shared(&[6], &[6]), Some(1));
        assert_eq!(shared(&[6], &[6, 1]), Some(1));
        assert_eq!(shared(&[6, 4, 5], &[6]), Some(20));
        assert_eq!(shared(&[6, 4, 5], &[6, 1, 1]), Some(20));
        assert_eq!(shared(&[6, 1], &[6]), Some(1));
        assert_eq!(shared(&[6, 4], &[6, 4]), Some(1));
        assert_eq!(shared(&[6, 4], &[4]), None);
        assert_eq!(shared(&[6], &[6, 2]), None);
    }
}
