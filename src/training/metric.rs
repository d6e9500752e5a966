//! Metrics: numbers that tell how well a model does, beside the loss that it is trained by.

use super::confusion::{Auc, Confusion, Iou, counts, matrix};
use super::loss::Loss;
use super::{LossClass, Reduction};
use crate::ops::{self, Tape, Value};
use crate::plan::{AxisFunction, BinaryFunction};
use crate::{Error, Result, Shape};

/// A number that is reported beside the loss, over all samples of an epoch: the mean of what each sample comes to, or a function
/// of what was counted over all of them.
///
/// ```
/// use wgpu_conv::training::{Auc, Metric};
///
/// assert_eq!(Metric::from_name("accuracy")?, Metric::Accuracy);
/// assert_eq!(Metric::Auc(Auc::default()).name(), "auc");
/// assert_eq!(Metric::Precision { threshold: 0.9, class_id: None }.named("sure").name(), "sure");
/// assert!(Metric::from_name("accurracy").is_err());
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Metric {
    /// The accuracy that suits predictions and targets: binary for one prediction a sample, sparse where targets are the
    /// indices of classes, else categorical.
    Accuracy,
    /// The share of predictions that are above `threshold` just where the target is 1; exactly at it counts as 0.
    BinaryAccuracy {
        /// 0.5 by default.
        threshold: f64,
    },
    /// The share of samples whose largest prediction is where the largest target is.
    CategoricalAccuracy,
    /// The share of samples whose largest prediction is that of the class which is the target.
    SparseCategoricalAccuracy,
    /// The share of samples whose class is among the `k` largest predictions.
    TopKCategoricalAccuracy {
        /// 5 by default.
        k: u32,
    },
    /// The same for targets that are the indices of classes.
    SparseTopKCategoricalAccuracy {
        /// 5 by default.
        k: u32,
    },
    /// The mean of a loss; but of the cosine similarity what its name says, not its negative, as with Keras.
    Loss(Loss),
    /// The root of the mean of `(p − y)²`.
    RootMeanSquaredError,
    /// How many predictions are above `threshold`, or not, where targets are 0 or are not.
    Count {
        /// Which of them.
        of: Confusion,
        /// 0.5 by default.
        threshold: f64,
    },
    /// The share of predictions above `threshold` whose target is not 0; 0 where there are none.
    Precision {
        /// 0.5 by default.
        threshold: f64,
        /// The place on the last axis that alone counts; all by default.
        class_id: Option<u32>,
    },
    /// The share of targets that are not 0 whose prediction is above `threshold`; 0 where there are none.
    Recall {
        /// 0.5 by default.
        threshold: f64,
        /// The place on the last axis that alone counts; all by default.
        class_id: Option<u32>,
    },
    /// The area under a curve of what is found over all thresholds.
    Auc(Auc),
    /// Intersection over union of the places of a class as predicted and as wanted, and its mean over classes.
    Iou(Iou),
    /// Any other by a name of its own; [`named`](Self::named) makes one.
    Named {
        /// What it is reported as.
        name: String,
        /// What it is.
        metric: Box<Metric>,
    },
}

impl Metric {
    /// The metric of a Keras name, or of a loss's, with default parameters.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown name, and for `IoU` and its kin, which must be told how many classes there are.
    pub fn from_name(name: &str) -> Result<Self> {
        let (threshold, class_id) = (0.5, None);
        Ok(match name {
            "accuracy" | "Accuracy" => Self::Accuracy,
            "acc" => Self::Accuracy.named("acc"),
            "BinaryAccuracy" | "binary_accuracy" => Self::BinaryAccuracy { threshold },
            "CategoricalAccuracy" | "categorical_accuracy" => Self::CategoricalAccuracy,
            "SparseCategoricalAccuracy" | "sparse_categorical_accuracy" => Self::SparseCategoricalAccuracy,
            "TopKCategoricalAccuracy" | "top_k_categorical_accuracy" => Self::TopKCategoricalAccuracy { k: 5 },
            "SparseTopKCategoricalAccuracy" | "sparse_top_k_categorical_accuracy" => {
                Self::SparseTopKCategoricalAccuracy { k: 5 }
            }
            "RootMeanSquaredError" | "root_mean_squared_error" => Self::RootMeanSquaredError,
            "AUC" | "auc" => Self::Auc(Auc::default()),
            "Precision" | "precision" => Self::Precision { threshold, class_id },
            "Recall" | "recall" => Self::Recall { threshold, class_id },
            "BinaryIoU" | "binary_io_u" => Self::Iou(Iou::binary(0.5)),
            other => {
                if let Some(of) = Confusion::ALL.into_iter().find(|of| [of.class_name(), of.name()].contains(&other)) {
                    return Ok(Self::Count { of, threshold });
                }
                let loss = Loss::from_name(other).map_err(|_| {
                    Error::invalid(
                        "metric",
                        "a metric must be accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy, \
                         TopKCategoricalAccuracy, SparseTopKCategoricalAccuracy, AUC, Precision, Recall, BinaryIoU, \
                         TruePositives, FalsePositives, TrueNegatives, FalseNegatives, RootMeanSquaredError or a loss",
                        format!("metric={other}"),
                    )
                })?;
                // Keras reports a function by the name that it was asked for by, as `mse`, and a class by its own.
                let (is_class, metric) = (other == loss.name(), Self::Loss(loss));
                if is_class || metric.name() == other { metric } else { metric.named(other) }
            }
        })
    }

    /// The same, reported by another name.
    pub fn named(self, name: impl Into<String>) -> Self {
        let metric = match self {
            Self::Named { metric, .. } => metric,
            other => Box::new(other),
        };
        Self::Named { name: name.into(), metric }
    }

    /// The name that it is reported by.
    pub fn name(&self) -> String {
        match self {
            Self::Accuracy => "accuracy".into(),
            Self::BinaryAccuracy { .. } => "binary_accuracy".into(),
            Self::CategoricalAccuracy => "categorical_accuracy".into(),
            Self::SparseCategoricalAccuracy => "sparse_categorical_accuracy".into(),
            Self::TopKCategoricalAccuracy { .. } => "top_k_categorical_accuracy".into(),
            Self::SparseTopKCategoricalAccuracy { .. } => "sparse_top_k_categorical_accuracy".into(),
            Self::Loss(loss) => crate::layers::snake_case(loss.name()),
            Self::RootMeanSquaredError => "root_mean_squared_error".into(),
            Self::Count { of, .. } => of.name().into(),
            Self::Precision { .. } => "precision".into(),
            Self::Recall { .. } => "recall".into(),
            Self::Auc(_) => "auc".into(),
            Self::Iou(iou) => iou.name().into(),
            Self::Named { name, .. } => name.clone(),
        }
    }

    /// Whether more of it is better, as [`EarlyStopping`](super::EarlyStopping) asks; `None` where nobody can tell.
    pub fn rises(&self) -> Option<bool> {
        match self {
            Self::Loss(Loss { class: LossClass::CosineSimilarity { .. }, .. }) => Some(true),
            Self::Loss(_) | Self::RootMeanSquaredError => Some(false),
            Self::Count { .. } => None,
            Self::Named { metric, .. } => metric.rises(),
            _ => Some(true),
        }
    }

    /// # Errors
    /// [`Error::Invalid`] for parameters out of range.
    pub(crate) fn validate(&self) -> Result<()> {
        let finite = |name: &'static str, value: f64| {
            if value.is_finite() {
                return Ok(());
            }
            Err(Error::invalid(name, format!("the {name} of a metric must be finite"), format!("{name}={value}")))
        };
        match self {
            Self::Loss(loss) => loss.validate(),
            Self::BinaryAccuracy { threshold }
            | Self::Count { threshold, .. }
            | Self::Precision { threshold, .. }
            | Self::Recall { threshold, .. } => finite("threshold", *threshold),
            Self::Auc(auc) => auc.validate(),
            Self::Iou(iou) => iou.validate(),
            Self::Named { metric, .. } => metric.validate(),
            _ => Ok(()),
        }
    }

    /// What a batch of `[predictions, targets]` comes to, of shape `[n]`; [`sums`](Self::sums) knows what it is.
    pub(crate) fn lower(&self, tape: &mut Tape, values: [Value; 2], weights: Option<Value>) -> Result<Value> {
        match self {
            Self::Count { threshold, .. } => counts(tape, values, weights, &[*threshold], None),
            Self::Precision { threshold, class_id } | Self::Recall { threshold, class_id } => {
                counts(tape, values, weights, &[*threshold], *class_id)
            }
            Self::Auc(auc) => auc.lower(tape, values, weights),
            Self::Iou(iou) => matrix(tape, iou, values, weights),
            Self::Named { metric, .. } => metric.lower(tape, values, weights),
            _ => self.mean(tape, values, weights),
        }
    }

    /// The mean of lines, of shape `[1]`; with weights their weighted sum and the sum of the weights, `[2]`.
    fn mean(&self, tape: &mut Tape, values: [Value; 2], weights: Option<Value>) -> Result<Value> {
        let [predictions, targets] = values.map(|value| tape.shape(value).clone());
        let loss = self.as_loss(&predictions, &targets);
        let mean = |tape: &mut Tape, value: Value| {
            let axes: Vec<usize> = (0..tape.shape(value).rank()).collect();
            let value =
                if axes.is_empty() { value } else { ops::reduce(tape, AxisFunction::Mean, &axes, false, value)? };
            tape.reshape(value, [1])
        };
        let lines = loss.reduction(Reduction::None).lower(tape, values, None, false)?.loss;
        let Some(weights) = weights else { return mean(tape, lines) };
        let mut dims = tape.shape(weights).dims().to_vec();
        let rank = tape.shape(lines).rank();
        while dims.len() > rank && dims.last() == Some(&1) {
            dims.pop();
        }
        dims.resize(rank.max(dims.len()), 1);
        let weights = tape.reshape(weights, dims)?;
        let weighted = ops::two(tape, BinaryFunction::Multiply, lines, weights)?;
        // Means, both over as many: their quotient is that of the sums.
        let parts = [mean(tape, weighted)?, mean(tape, weights)?];
        ops::concatenate(tape, 0, &parts)
    }

    /// What the `numbers` of a batch of so many samples add to the sums of an epoch.
    pub(crate) fn sums(&self, numbers: &[f64], samples: usize) -> Vec<f64> {
        match (self.is_counted(), numbers) {
            (true, _) => numbers.to_vec(),
            (false, &[mean]) => vec![mean * samples as f64, samples as f64],
            (false, _) => numbers.iter().map(|number| number * samples as f64).collect(),
        }
    }

    /// Whether it is a function of what was counted, and no mean.
    fn is_counted(&self) -> bool {
        match self {
            Self::Count { .. } | Self::Precision { .. } | Self::Recall { .. } | Self::Auc(_) | Self::Iou(_) => true,
            Self::Named { metric, .. } => metric.is_counted(),
            _ => false,
        }
    }

    /// What the sums of all batches so far come to.
    pub(crate) fn result(&self, sums: &[f64]) -> f64 {
        match self {
            Self::Count { of, .. } => of.at(sums, 0),
            Self::Precision { .. } => {
                let found = Confusion::TruePositives.at(sums, 0);
                quotient(found, found + Confusion::FalsePositives.at(sums, 0))
            }
            Self::Recall { .. } => {
                let found = Confusion::TruePositives.at(sums, 0);
                quotient(found, found + Confusion::FalseNegatives.at(sums, 0))
            }
            Self::Auc(auc) => auc.result(sums),
            Self::Iou(iou) => iou.result(sums),
            Self::Named { metric, .. } => metric.result(sums),
            Self::RootMeanSquaredError => quotient(sums[0], sums[1]).sqrt(),
            Self::Loss(Loss { class: LossClass::CosineSimilarity { .. }, .. }) => -quotient(sums[0], sums[1]),
            _ => quotient(sums[0], sums[1]),
        }
    }

    fn as_loss(&self, predictions: &Shape, targets: &Shape) -> Loss {
        match self {
            Self::Loss(loss) => loss.clone(),
            Self::BinaryAccuracy { threshold } => LossClass::BinaryAccuracy { threshold: *threshold }.into(),
            Self::CategoricalAccuracy => LossClass::TopK { k: 1, sparse: false }.into(),
            Self::SparseCategoricalAccuracy => LossClass::TopK { k: 1, sparse: true }.into(),
            Self::TopKCategoricalAccuracy { k } => LossClass::TopK { k: *k, sparse: false }.into(),
            Self::SparseTopKCategoricalAccuracy { k } => LossClass::TopK { k: *k, sparse: true }.into(),
            Self::Accuracy => {
                let (of_x, of_y) = (predictions.dims(), targets.dims());
                let one_less = of_x.len() == of_y.len() + 1;
                if of_x.last() == Some(&1) || of_x.len() < of_y.len() {
                    LossClass::BinaryAccuracy { threshold: 0.5 }.into()
                } else {
                    LossClass::TopK { k: 1, sparse: one_less || of_y.last() == Some(&1) }.into()
                }
            }
            _ => LossClass::MeanSquaredError.into(),
        }
    }
}

/// `part / whole`, or 0 where there is nothing.
pub(super) fn quotient(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}
