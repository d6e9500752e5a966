//! Metrics of what is taken for what: positives found and missed by threshold, and classes taken for one another.
//!
//! A batch is counted on the device, by products of matrices: of `n` predictions, those above each of `T` thresholds are a
//! matrix `[n, T]` of 0 and 1, and its product with the rows of targets `[2, n]` is how many of them are right and wrong. The
//! counts of all batches are added up, and what they come to is computed once, on the host.

use super::loss::unary;
use super::metric::quotient;
use crate::ops::{self, Kernel, Numbers, Side, Tape, Value};
use crate::plan::{AxisFunction, BinaryFunction};
use crate::{DType, Error, Result, Settings, Shape, Unary};

/// How a prediction, above a threshold or not, and a target, 0 or not, agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Confusion {
    /// Above, and the target is not 0.
    TruePositives,
    /// Above, and the target is 0.
    FalsePositives,
    /// Not above, and the target is 0.
    TrueNegatives,
    /// Not above, and the target is not 0.
    FalseNegatives,
}

impl Confusion {
    pub(super) const ALL: [Self; 4] =
        [Self::TruePositives, Self::FalsePositives, Self::TrueNegatives, Self::FalseNegatives];

    pub(super) const fn class_name(self) -> &'static str {
        match self {
            Self::TruePositives => "TruePositives",
            Self::FalsePositives => "FalsePositives",
            Self::TrueNegatives => "TrueNegatives",
            Self::FalseNegatives => "FalseNegatives",
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::TruePositives => "true_positives",
            Self::FalsePositives => "false_positives",
            Self::TrueNegatives => "true_negatives",
            Self::FalseNegatives => "false_negatives",
        }
    }

    /// How many there are at a threshold, of [`counts`] that were added up.
    pub(super) fn at(self, sums: &[f64], threshold: usize) -> f64 {
        let thresholds = (sums.len() - 2) / 2;
        let (right, wrong) = (sums[threshold], sums[thresholds + threshold]);
        match self {
            Self::TruePositives => right,
            Self::FalsePositives => wrong,
            Self::TrueNegatives => sums[2 * thresholds + 1] - wrong,
            Self::FalseNegatives => sums[2 * thresholds] - right,
        }
    }
}

/// Numbers on the device that are the same in every step.
fn constant(shape: impl Into<Shape>, values: Vec<f32>) -> std::sync::Arc<Kernel> {
    Kernel::of_values(shape, values, Numbers::EXACT)
}

/// How many elements of a matrix of comparisons there are at a time.
const COMPARED: usize = 1 << 22;

/// For each of the thresholds how many predictions above it have a target that is not 0, then for each how many have one that
/// is; then how many targets are not 0, and how many are: `[2·T + 2]`.
pub(super) fn counts(
    tape: &mut Tape,
    [predictions, targets]: [Value; 2],
    weights: Option<Value>,
    thresholds: &[f64],
    class_id: Option<u32>,
) -> Result<Value> {
    let predictions = ops::cast(tape, DType::F32, None, predictions)?;
    let targets = ops::cast(tape, DType::F32, None, targets)?;
    let shape = tape.shape(predictions).clone();
    let count = tape.elements(predictions) as usize;
    if tape.elements(targets) as usize != count || count == 0 {
        let rule = "a metric of positives must be given targets of the predictions' shape";
        let given = format!("targets of shape {}, predictions of shape {shape}", tape.shape(targets));
        return Err(Error::invalid("y_true", rule, given));
    }
    let targets = tape.reshape(targets, shape.clone())?;
    let mut positive = ops::with(tape, BinaryFunction::NotEqual, targets, &constant([1], vec![0.0]))?;
    let mut negative = unary(tape, Unary::Affine { scale: -1.0, offset: 1.0 }, positive)?;
    if let Some(weights) = weights {
        let weights = spread(tape, weights, shape.rank())?;
        positive = ops::two(tape, BinaryFunction::Multiply, positive, weights)?;
        negative = ops::two(tape, BinaryFunction::Multiply, negative, weights)?;
    }
    if let Some(class) = class_id {
        let classes = shape.dims().last().copied().unwrap_or(0);
        if class as usize >= classes {
            let rule = format!("class_id must be a place on the last axis, whose extent is {classes}");
            return Err(Error::invalid("class_id", rule, format!("class_id={class}")));
        }
        let chosen = (0..classes).map(|index| f32::from(u8::from(index == class as usize))).collect();
        let chosen = constant([classes], chosen);
        positive = ops::with(tape, BinaryFunction::Multiply, positive, &chosen)?;
        negative = ops::with(tape, BinaryFunction::Multiply, negative, &chosen)?;
    }
    let rows = [tape.reshape(positive, [1, count])?, tape.reshape(negative, [1, count])?];
    let rows = ops::concatenate(tape, 0, &rows)?;
    let column = tape.reshape(predictions, [count, 1])?;
    let mut parts = Vec::new();
    for some in thresholds.chunks((COMPARED / count).max(1)) {
        let some = constant([1, some.len()], some.iter().map(|&threshold| threshold as f32).collect());
        let above = ops::with(tape, BinaryFunction::Greater, column, &some)?;
        parts.push(ops::matmul(tape, Side::Value(rows), Side::Value(above))?);
    }
    let by_threshold = if parts.len() == 1 { parts[0] } else { ops::concatenate(tape, 1, &parts)? };
    let by_threshold = tape.reshape(by_threshold, [2 * thresholds.len()])?;
    let totals = ops::reduce(tape, AxisFunction::Sum, &[1], false, rows)?;
    ops::concatenate(tape, 0, &[by_threshold, totals])
}

/// Weights of samples with as many axes as what they are for.
fn spread(tape: &mut Tape, weights: Value, rank: usize) -> Result<Value> {
    let weights = ops::cast(tape, DType::F32, None, weights)?;
    let mut dims = tape.shape(weights).dims().to_vec();
    dims.resize(rank.max(dims.len()), 1);
    tape.reshape(weights, dims)
}

/// What the area under is: what is found (the recall, or the true positive rate) over what it costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Curve {
    /// The receiver operating characteristic: true positive rate over false positive rate.
    #[default]
    Roc,
    /// Precision over recall.
    Pr,
}

/// How the area between two thresholds is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Summation {
    /// By the mean of both heights; of [`Curve::Pr`] as Davis and Goadrich interpolate it.
    #[default]
    Interpolation,
    /// By the lower.
    Minoring,
    /// By the higher.
    Majoring,
}

/// The area under a curve, Keras's `AUC`, by thresholds that divide 0 to 1 evenly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Auc {
    /// Two at least; 200 by default.
    pub num_thresholds: u32,
    /// [`Curve::Roc`] by default.
    pub curve: Curve,
    /// [`Summation::Interpolation`] by default.
    pub summation_method: Summation,
    /// Whether predictions are logits rather than probabilities; false by default.
    pub from_logits: bool,
}

impl Default for Auc {
    fn default() -> Self {
        Self { num_thresholds: 200, curve: Curve::Roc, summation_method: Summation::Interpolation, from_logits: false }
    }
}

impl Auc {
    pub(super) fn validate(&self) -> Result<()> {
        if (2..=65_536).contains(&self.num_thresholds) {
            return Ok(());
        }
        let received = format!("num_thresholds={}", self.num_thresholds);
        Err(Error::invalid("num_thresholds", "num_thresholds must lie between 2 and 65536", received))
    }

    /// [`counts`] of predictions put into Keras's buckets: number i holds those above threshold i and not above the next.
    pub(super) fn lower(&self, tape: &mut Tape, values: [Value; 2], weights: Option<Value>) -> Result<Value> {
        let [mut predictions, targets] = values;
        predictions = ops::cast(tape, DType::F32, None, predictions)?;
        if self.from_logits {
            predictions = ops::activate(tape, &crate::Activation::from_name("sigmoid")?, predictions)?;
        }
        let last = (self.num_thresholds - 1) as f32;
        predictions = unary(tape, Unary::Affine { scale: last, offset: 0.0 }, predictions)?;
        predictions = unary(tape, Unary::Ceil, predictions)?;
        predictions = unary(tape, Unary::Clip { min: 1.0, max: f32::INFINITY }, predictions)?;
        let places: Vec<f64> = (0..self.num_thresholds).map(f64::from).collect();
        counts(tape, [predictions, targets], weights, &places, None)
    }

    pub(super) fn result(&self, sums: &[f64]) -> f64 {
        let count = self.num_thresholds as usize;
        let of = |confusion: Confusion| (0..count).map(|index| confusion.at(sums, index)).collect::<Vec<_>>();
        let [found, wrong, left, missed] = Confusion::ALL.map(of);
        if (self.curve, self.summation_method) == (Curve::Pr, Summation::Interpolation) {
            let taken: Vec<f64> = found.iter().zip(&wrong).map(|(found, wrong)| found + wrong).collect();
            let step = |i: usize| {
                let more = found[i] - found[i + 1];
                let slope = quotient(more, (taken[i] - taken[i + 1]).max(0.0));
                let intercept = found[i + 1] - slope * taken[i + 1];
                let ratio = if taken[i] > 0.0 && taken[i + 1] > 0.0 { taken[i] / taken[i + 1] } else { 1.0 };
                quotient(slope * (more + intercept * ratio.ln()), (found[i + 1] + missed[i + 1]).max(0.0))
            };
            return (0..count - 1).map(step).sum();
        }
        let share = |some: &[f64], others: &[f64]| {
            some.iter().zip(others).map(|(some, other)| quotient(*some, some + other)).collect::<Vec<_>>()
        };
        let recall = share(&found, &missed);
        let (x, y) = match self.curve {
            Curve::Roc => (share(&wrong, &left), recall),
            Curve::Pr => (recall, share(&found, &wrong)),
        };
        let height = |i: usize| match self.summation_method {
            Summation::Interpolation => (y[i] + y[i + 1]) / 2.0,
            Summation::Minoring => y[i].min(y[i + 1]),
            Summation::Majoring => y[i].max(y[i + 1]),
        };
        (0..count - 1).map(|i| (x[i] - x[i + 1]) * height(i)).sum()
    }
}

/// Intersection over union of classes: Keras's `IoU`, `MeanIoU`, `BinaryIoU`, `OneHotIoU` and `OneHotMeanIoU`.
///
/// ```
/// use wgpu_conv::training::{Iou, Metric};
///
/// // Of a segmentation whose targets are the indices of three classes, and whose predictions are a probability for each.
/// let mean = Metric::Iou(Iou { sparse_y_pred: false, ..Iou::mean(3) });
/// assert_eq!(mean.name(), "mean_io_u");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Iou {
    /// How many classes there are.
    pub num_classes: u32,
    /// The classes whose mean it is; all where there are none.
    pub target_class_ids: Vec<u32>,
    /// A class of targets that do not count; none by default.
    pub ignore_class: Option<i32>,
    /// Whether targets are the indices of classes rather than a number for each; true by default.
    pub sparse_y_true: bool,
    /// Whether predictions are the indices of classes rather than a number for each; true by default.
    pub sparse_y_pred: bool,
    /// From which prediction on the class is 1, where there are two; none by default.
    pub threshold: Option<f64>,
}

impl Iou {
    /// Of the mean over some classes.
    pub fn new(num_classes: u32, target_class_ids: impl Into<Vec<u32>>) -> Self {
        Self {
            num_classes,
            target_class_ids: target_class_ids.into(),
            ignore_class: None,
            sparse_y_true: true,
            sparse_y_pred: true,
            threshold: None,
        }
    }

    /// Of the mean over all classes.
    pub fn mean(num_classes: u32) -> Self {
        Self::new(num_classes, [])
    }

    /// Of two classes, which a threshold tells apart.
    pub fn binary(threshold: f64) -> Self {
        Self { threshold: Some(threshold), ..Self::new(2, [0, 1]) }
    }

    pub(super) fn name(&self) -> &'static str {
        match (self.threshold, self.sparse_y_true, self.target_class_ids.is_empty()) {
            (Some(_), ..) => "binary_io_u",
            (None, true, true) => "mean_io_u",
            (None, true, false) => "io_u",
            (None, false, true) => "one_hot_mean_io_u",
            (None, false, false) => "one_hot_io_u",
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        let known = (1..=4096).contains(&self.num_classes)
            && self.target_class_ids.iter().all(|&class| class < self.num_classes)
            && self.threshold.is_none_or(f64::is_finite);
        if known {
            return Ok(());
        }
        let rule = "num_classes must lie between 1 and 4096, the classes be below it, and a threshold be finite";
        Err(Error::invalid("num_classes", rule, format!("{self:?}")))
    }

    pub(super) fn result(&self, sums: &[f64]) -> f64 {
        let count = self.num_classes as usize;
        let all: Vec<u32>;
        let classes = if self.target_class_ids.is_empty() {
            all = (0..self.num_classes).collect();
            &all
        } else {
            &self.target_class_ids
        };
        let epsilon = Settings::current().epsilon;
        let (mut total, mut valid) = (0.0, 0.0);
        for class in classes.iter().map(|&class| class as usize) {
            let row: f64 = sums[class * count..(class + 1) * count].iter().sum();
            let column: f64 = sums.iter().skip(class).step_by(count).sum();
            let both = sums[class * count + class];
            let either = row + column - both;
            if either > 1e-9 {
                total += both / (either + epsilon);
                valid += 1.0;
            }
        }
        total / (valid + epsilon)
    }
}

/// How often a target of each class was predicted to be of each: `[num_classes²]`.
pub(super) fn matrix(tape: &mut Tape, iou: &Iou, values: [Value; 2], weights: Option<Value>) -> Result<Value> {
    let [mut predictions, mut targets] = values;
    predictions = ops::cast(tape, DType::F32, None, predictions)?;
    targets = ops::cast(tape, DType::F32, None, targets)?;
    let shapes = format!("targets of shape {}, predictions of shape {}", tape.shape(targets), tape.shape(predictions));
    if let Some(threshold) = iou.threshold {
        predictions =
            ops::with(tape, BinaryFunction::GreaterEqual, predictions, &constant([1], vec![threshold as f32]))?;
    }
    predictions = if iou.sparse_y_pred { whole(tape, predictions)? } else { largest(tape, predictions)? };
    targets = if iou.sparse_y_true { whole(tape, targets)? } else { largest(tape, targets)? };
    let count = tape.elements(targets) as usize;
    if tape.elements(predictions) as usize != count || count == 0 {
        let rule = "intersection over union must be given as many predicted classes as targets";
        return Err(Error::invalid("y_true", rule, shapes));
    }
    let lines = tape.shape(targets).clone();
    let classes = iou.num_classes as usize;
    let numbers = constant([1, classes], (0..classes).map(|class| class as f32).collect());
    let column = tape.reshape(targets, [count, 1])?;
    let mut wanted = ops::with(tape, BinaryFunction::Equal, column, &numbers)?;
    if let Some(class) = iou.ignore_class {
        let counted = ops::with(tape, BinaryFunction::NotEqual, column, &constant([1], vec![class as f32]))?;
        wanted = ops::two(tape, BinaryFunction::Multiply, wanted, counted)?;
    }
    if let Some(weights) = weights {
        // Keras counts in integers.
        let weights = whole(tape, weights)?;
        let weights = spread(tape, weights, lines.rank())?;
        let ones = constant(lines.clone(), vec![1.0; count]);
        let weights = ops::with(tape, BinaryFunction::Multiply, weights, &ones)?;
        let weights = tape.reshape(weights, [count, 1])?;
        wanted = ops::two(tape, BinaryFunction::Multiply, wanted, weights)?;
    }
    let column = tape.reshape(predictions, [count, 1])?;
    let taken = ops::with(tape, BinaryFunction::Equal, column, &numbers)?;
    let wanted = ops::permute(tape, &[1, 0], wanted)?;
    let matrix = ops::matmul(tape, Side::Value(wanted), Side::Value(taken))?;
    tape.reshape(matrix, [classes * classes])
}

/// Numbers without what stands behind their point.
fn whole(tape: &mut Tape, value: Value) -> Result<Value> {
    let sign = unary(tape, Unary::Sign, value)?;
    let size = unary(tape, Unary::Abs, value)?;
    let size = unary(tape, Unary::Floor, size)?;
    ops::two(tape, BinaryFunction::Multiply, size, sign)
}

/// The index of the first of the largest along the last axis, which goes.
fn largest(tape: &mut Tape, value: Value) -> Result<Value> {
    let shape = tape.shape(value).clone();
    let Some((&extent, outer)) = shape.dims().split_last() else {
        return Err(Error::invalid("y_pred", "classes must lie along the last axis, and there is none", "a scalar"));
    };
    let last = outer.len();
    let most = ops::reduce(tape, AxisFunction::Max, &[last], true, value)?;
    let is_most = ops::two(tape, BinaryFunction::Equal, value, most)?;
    // Below 0 where it is the largest, the first one least.
    let below = constant([extent], (0..extent).map(|index| index as f32 - extent as f32).collect());
    let places = ops::with(tape, BinaryFunction::Multiply, is_most, &below)?;
    let first = ops::reduce(tape, AxisFunction::Min, &[last], false, places)?;
    unary(tape, Unary::Affine { scale: 1.0, offset: extent as f32 }, first)
}
