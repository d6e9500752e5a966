//! Metrics: numbers that tell how well a model does, beside the loss that it is trained by.

use super::loss::Loss;
use super::{LossClass, Reduction};
use crate::ops::{Tape, Value};
use crate::{Error, Result, Shape};

/// A number that is reported beside the loss: the mean over all samples of an epoch.
///
/// ```
/// use wgpu_conv::training::Metric;
///
/// assert_eq!(Metric::from_name("accuracy")?, Metric::Accuracy);
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
    /// The mean of a loss.
    Loss(Loss),
}

impl Metric {
    /// The metric of a Keras name, or of a loss's, with default parameters.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown name.
    pub fn from_name(name: &str) -> Result<Self> {
        Ok(match name {
            "accuracy" | "acc" | "Accuracy" => Self::Accuracy,
            "BinaryAccuracy" | "binary_accuracy" => Self::BinaryAccuracy { threshold: 0.5 },
            "CategoricalAccuracy" | "categorical_accuracy" => Self::CategoricalAccuracy,
            "SparseCategoricalAccuracy" | "sparse_categorical_accuracy" => Self::SparseCategoricalAccuracy,
            "TopKCategoricalAccuracy" | "top_k_categorical_accuracy" => Self::TopKCategoricalAccuracy { k: 5 },
            "SparseTopKCategoricalAccuracy" | "sparse_top_k_categorical_accuracy" => {
                Self::SparseTopKCategoricalAccuracy { k: 5 }
            }
            other => Self::Loss(Loss::from_name(other).map_err(|_| {
                Error::invalid(
                    "metric",
                    "a metric must be accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy, \
                     TopKCategoricalAccuracy, SparseTopKCategoricalAccuracy or a loss",
                    format!("metric={other}"),
                )
            })?),
        })
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
        }
    }

    /// The mean of a batch of `[predictions, targets]`, of shape `[]`.
    pub(crate) fn lower(&self, tape: &mut Tape, values: [Value; 2]) -> Result<Value> {
        let [predictions, targets] = values.map(|value| tape.shape(value).clone());
        Ok(self.as_loss(&predictions, &targets).lower(tape, values, None, false)?.loss)
    }

    fn as_loss(&self, predictions: &Shape, targets: &Shape) -> Loss {
        let loss = match self {
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
        };
        loss.reduction(Reduction::SumOverBatchSize)
    }
}
