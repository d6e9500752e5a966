//! Losses and optimizers against their formulas in f64, written down a second time from Keras's definitions.
//!
//! Keras's own numbers are those of `training.rs`, of few and small cases. Here are shapes that people have, and what hurts:
//! logits of ±80, probabilities of 0 and 1, labels that do not count, gradients of 1e-20 beside such of 1e6, and every
//! option of every optimizer over several steps. Gradients of losses are held to central differences in f64.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;

use common::reference::random::Draw;
use common::test_each;
use gpu::gpu;
use wgpu_conv::training::{
    Loss, LossClass, LossScaling, Optimizer, OptimizerClass, OptimizerState, Reduction, Schedule,
};
use wgpu_conv::{Gpu, HostTensor, Result, Tensor, Variable};

/// Keras's ε.
const EPSILON: f64 = 1e-7;

fn uniform(seed: u64, elements: usize) -> Vec<f32> {
    Draw { seed, ..Draw::default() }.uniform(elements).into_iter().map(|value| value as f32).collect()
}

fn normal(seed: u64, elements: usize) -> Vec<f32> {
    Draw { seed, ..Draw::default() }.normal(elements).into_iter().map(|value| value as f32).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// A probability as Keras clips it: the edges are numbers of f32, and 1 less the upper one is more than ε.
fn clipped(p: f64) -> f64 {
    p.clamp(f64::from(EPSILON as f32), f64::from(1.0 - EPSILON as f32))
}

fn mean(values: impl Iterator<Item = f64>, x: &[f64]) -> f64 {
    values.sum::<f64>() / x.len() as f64
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// ln(1 + eˣ).
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn log_softmax(x: &[f64]) -> Vec<f64> {
    let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = x.iter().map(|x| (x - most).exp()).sum();
    x.iter().map(|x| x - most - sum.ln()).collect()
}

fn binary_crossentropy(x: f64, y: f64, from_logits: bool) -> f64 {
    if from_logits {
        return y * softplus(-x) + (1.0 - y) * softplus(x);
    }
    -(y * clipped(x).ln() + (1.0 - y) * (1.0 - clipped(x)).ln())
}

/// The loss of a line of predictions `x`, whose targets are `y`: those of classes are 1 for the class, else 0. Keras smooths over as
/// many `classes` as the last axis of predictions has, along whichever the lines run.
fn of_line(class: &LossClass, x: &[f64], y: &[f64], classes: usize) -> f64 {
    let both = || x.iter().zip(y).map(|(&x, &y)| (x, y));
    let sum = |term: &dyn Fn(f64, f64) -> f64| both().map(|(x, y)| term(x, y)).sum::<f64>();
    let average = |term: &dyn Fn(f64, f64) -> f64| mean(both().map(|(x, y)| term(x, y)), x);
    let classes = classes as f64;
    let normalized = || {
        let sum: f64 = x.iter().sum();
        x.iter().map(|x| clipped(x / sum)).collect::<Vec<_>>()
    };
    match *class {
        LossClass::MeanSquaredError => average(&|x, y| (x - y).powi(2)),
        LossClass::MeanAbsoluteError => average(&|x, y| (x - y).abs()),
        LossClass::MeanAbsolutePercentageError => average(&|x, y| 100.0 * ((y - x) / y.abs().max(EPSILON)).abs()),
        LossClass::MeanSquaredLogarithmicError => {
            average(&|x, y| (x.max(EPSILON).ln_1p() - y.max(EPSILON).ln_1p()).powi(2))
        }
        LossClass::Huber { delta } => average(&|x, y| {
            let error = (x - y).abs();
            if error <= delta { 0.5 * error * error } else { delta * error - 0.5 * delta * delta }
        }),
        LossClass::LogCosh => average(&|x, y| (x - y) + softplus(-2.0 * (x - y)) - 2f64.ln()),
        LossClass::Poisson => average(&|x, y| x - y * (x + EPSILON).ln()),
        LossClass::KlDivergence => sum(&|x, y| {
            let [x, y] = [x, y].map(|p| p.clamp(f64::from(EPSILON as f32), 1.0));
            y * (y / x).ln()
        }),
        LossClass::Hinge => average(&|x, y| (1.0 - x * y).max(0.0)),
        LossClass::SquaredHinge => average(&|x, y| (1.0 - x * y).max(0.0).powi(2)),
        LossClass::CategoricalHinge => {
            let against = both().map(|(x, y)| (1.0 - y) * x).fold(f64::NEG_INFINITY, f64::max);
            (against - sum(&|x, y| x * y) + 1.0).max(0.0)
        }
        LossClass::CosineSimilarity { .. } => {
            let norm = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>().sqrt();
            -sum(&|x, y| x * y) / (norm(x) * norm(y))
        }
        LossClass::BinaryCrossentropy { from_logits, label_smoothing, .. } => {
            average(&|x, y| binary_crossentropy(x, y * (1.0 - label_smoothing) + 0.5 * label_smoothing, from_logits))
        }
        LossClass::BinaryFocalCrossentropy {
            apply_class_balancing,
            alpha,
            gamma,
            from_logits,
            label_smoothing,
            ..
        } => average(&|x, y| {
            let y = y * (1.0 - label_smoothing) + 0.5 * label_smoothing;
            let p = if from_logits { sigmoid(x) } else { x };
            let q = if from_logits { sigmoid(-x) } else { 1.0 - x };
            let weight = if apply_class_balancing { y * alpha + (1.0 - y) * (1.0 - alpha) } else { 1.0 };
            // Of what is true, the probability that it is not given: 1 − p_t.
            weight * (y * q + (1.0 - y) * p).powf(gamma) * binary_crossentropy(x, y, from_logits)
        }),
        LossClass::CategoricalCrossentropy { from_logits, label_smoothing, .. } => {
            let logarithms = if from_logits { log_softmax(x) } else { normalized().into_iter().map(f64::ln).collect() };
            let smooth = |y: f64| y * (1.0 - label_smoothing) + label_smoothing / classes;
            -y.iter().zip(logarithms).map(|(&y, log)| smooth(y) * log).sum::<f64>()
        }
        LossClass::CategoricalFocalCrossentropy { alpha, gamma, from_logits, label_smoothing, .. } => {
            let p: Vec<f64> = if from_logits {
                log_softmax(x).into_iter().map(|log| clipped(log.exp())).collect()
            } else {
                normalized()
            };
            let smooth = |y: f64| y * (1.0 - label_smoothing) + label_smoothing / classes;
            y.iter().zip(p).map(|(&y, p)| -alpha * (1.0 - p).powf(gamma) * smooth(y) * p.ln()).sum()
        }
        LossClass::SparseCategoricalCrossentropy { from_logits, .. } => {
            // Of probabilities TensorFlow takes the logarithms as logits.
            let logits: Vec<f64> = if from_logits { x.to_vec() } else { x.iter().map(|&p| clipped(p).ln()).collect() };
            let logarithms = log_softmax(&logits);
            -y.iter().zip(logarithms).filter(|(y, _)| **y != 0.0).map(|(_, log)| log).sum::<f64>()
        }
        LossClass::CategoricalGeneralizedCrossEntropy { q } => (1.0 - sum(&|x, y| x * y).powf(q)) / q,
        LossClass::Dice { .. } => 1.0 - 2.0 * sum(&|x, y| x * y) / (sum(&|x, y| x + y) + EPSILON),
        LossClass::Tversky { alpha, beta, .. } => {
            let hit = sum(&|x, y| x * y);
            let missed = alpha * sum(&|x, y| (1.0 - x) * y) + beta * sum(&|x, y| x * (1.0 - y));
            1.0 - hit / (hit + missed + EPSILON)
        }
        _ => panic!("{class:?} is no loss of Keras"),
    }
}

/// What predictions are.
#[derive(Clone, Copy, Debug)]
enum Given {
    /// Normal numbers times this.
    Scores(f32),
    /// Any of these, and numbers between them.
    Extremes(&'static [f32]),
    /// Numbers of (0, 1), those of a line with the sum 1.
    Probabilities,
}

/// What targets are.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// Normal numbers.
    Numbers,
    /// Numbers of (0.1, 2.1).
    Positive,
    /// 0 or 1, each by itself.
    Flags,
    /// −1 or 1.
    Signs,
    /// 1 for one of a line, 0 for the others.
    OneHot,
    /// The index of a class for each line; `ignore_class`, where there is one, for a third of the lines.
    Indices,
}

/// Predictions `[outer, extent, inner]`, whose lines run along the middle axis.
struct Case {
    class: LossClass,
    dims: [usize; 3],
    given: Given,
    wanted: Wanted,
    reduction: Reduction,
    weighted: bool,
}

impl Case {
    /// The extent of the last axis of the predictions, which have two where the last of three would be 1.
    fn last(&self) -> usize {
        let [_, extent, inner] = self.dims;
        if inner == 1 { extent } else { inner }
    }
}

/// The loss with its mean along `axis` 1 of three, where the class has an axis.
fn along(mut class: LossClass, middle: i32) -> LossClass {
    match &mut class {
        LossClass::CosineSimilarity { axis }
        | LossClass::BinaryCrossentropy { axis, .. }
        | LossClass::BinaryFocalCrossentropy { axis, .. }
        | LossClass::CategoricalCrossentropy { axis, .. }
        | LossClass::CategoricalFocalCrossentropy { axis, .. }
        | LossClass::SparseCategoricalCrossentropy { axis, .. } => *axis = middle,
        LossClass::Dice { axis } | LossClass::Tversky { axis, .. } => *axis = Some(vec![middle]),
        _ => {}
    }
    class
}

fn has_axis(class: &LossClass) -> bool {
    along(class.clone(), 1) != along(class.clone(), 2)
}

/// Every class, with what it takes: its parameters of all kinds, and predictions and targets that it is for.
fn classes() -> Vec<(LossClass, Vec<Given>, Wanted)> {
    let scores = || vec![Given::Scores(1.0), Given::Scores(80.0)];
    let logits = || vec![Given::Scores(3.0), Given::Extremes(&[-80.0, 80.0, 0.5, -30.0])];
    let probabilities = || vec![Given::Probabilities, Given::Extremes(&[0.0, 1.0, 0.25, 3e-8])];
    let positive = || vec![Given::Probabilities, Given::Extremes(&[0.0, 1.0, 0.25, 1e-6])];
    let axis = -1;
    let mut classes = vec![
        (LossClass::MeanSquaredError, scores(), Wanted::Numbers),
        (LossClass::MeanAbsoluteError, scores(), Wanted::Numbers),
        (LossClass::MeanAbsolutePercentageError, scores(), Wanted::Numbers),
        (LossClass::MeanSquaredLogarithmicError, scores(), Wanted::Positive),
        (LossClass::Huber { delta: 1.0 }, scores(), Wanted::Numbers),
        (LossClass::Huber { delta: 0.3 }, scores(), Wanted::Numbers),
        (LossClass::LogCosh, scores(), Wanted::Numbers),
        (LossClass::Poisson, positive(), Wanted::Positive),
        // At 1 it has a kink.
        (LossClass::KlDivergence, vec![Given::Probabilities, Given::Extremes(&[0.0, 0.9, 3e-8])], Wanted::Flags),
        (LossClass::Hinge, scores(), Wanted::Signs),
        (LossClass::Hinge, scores(), Wanted::Flags),
        (LossClass::SquaredHinge, scores(), Wanted::Flags),
        (LossClass::CategoricalHinge, scores(), Wanted::OneHot),
        (LossClass::CosineSimilarity { axis }, scores(), Wanted::Numbers),
        (LossClass::CategoricalGeneralizedCrossEntropy { q: 0.5 }, positive(), Wanted::Indices),
        (LossClass::CategoricalGeneralizedCrossEntropy { q: 0.9 }, positive(), Wanted::Indices),
        (LossClass::Dice { axis: None }, probabilities(), Wanted::Flags),
        (LossClass::Tversky { alpha: 0.3, beta: 0.7, axis: None }, probabilities(), Wanted::Flags),
    ];
    for from_logits in [false, true] {
        let given = || if from_logits { logits() } else { probabilities() };
        for label_smoothing in [0.0, 0.1] {
            classes.push((
                LossClass::BinaryCrossentropy { from_logits, label_smoothing, axis },
                given(),
                Wanted::Flags,
            ));
            classes.push((
                LossClass::CategoricalCrossentropy { from_logits, label_smoothing, axis },
                given(),
                Wanted::OneHot,
            ));
            for (gamma, apply_class_balancing) in [(2.0, true), (1.0, false), (0.0, false)] {
                let alpha = 0.25;
                let binary = LossClass::BinaryFocalCrossentropy {
                    apply_class_balancing,
                    alpha,
                    gamma,
                    from_logits,
                    label_smoothing,
                    axis,
                };
                classes.push((binary, given(), Wanted::Flags));
                classes.push((
                    LossClass::CategoricalFocalCrossentropy { alpha, gamma, from_logits, label_smoothing, axis },
                    given(),
                    Wanted::OneHot,
                ));
            }
        }
        for ignore_class in [None, Some(255), Some(1)] {
            classes.push((
                LossClass::SparseCategoricalCrossentropy { from_logits, ignore_class, axis },
                given(),
                Wanted::Indices,
            ));
        }
    }
    classes
}

/// Predictions for lines of `extent`, which lie `inner` apart.
fn predictions(given: Given, [outer, extent, inner]: [usize; 3]) -> Vec<f32> {
    let count = outer * extent * inner;
    match given {
        Given::Scores(factor) => normal(1, count).into_iter().map(|value| value * factor).collect(),
        Given::Extremes(values) => {
            let between = |number: f32| number * (values[1] - values[0]) + values[0];
            let numbers = uniform(2, 2 * count).chunks(2).map(|two| [two[0], two[1]]).collect::<Vec<_>>();
            let of = |[which, number]: [f32; 2]| {
                values.get((which * (values.len() + 1) as f32) as usize).copied().unwrap_or(between(number))
            };
            let mut numbers: Vec<f32> = numbers.into_iter().map(of).collect();
            // No line of probabilities has a sum near 0.
            if values[0] == 0.0 {
                numbers.chunks_mut(extent * inner).flat_map(|lines| &mut lines[..inner]).for_each(|p| *p += 0.25);
            }
            numbers
        }
        Given::Probabilities => {
            let mut numbers: Vec<f32> = uniform(3, count).into_iter().map(|number| number + 0.01).collect();
            for line in 0..outer * inner {
                let at = |i: usize| (line / inner * extent + i) * inner + line % inner;
                let sum: f32 = (0..extent).map(|i| numbers[at(i)]).sum();
                (0..extent).for_each(|i| numbers[at(i)] /= sum.max(1.02));
            }
            numbers
        }
    }
}

/// Targets for them, one for each prediction or, of indices, each line.
fn targets(case: &Case) -> Vec<f32> {
    let [outer, extent, inner] = case.dims;
    let (count, lines) = (outer * extent * inner, outer * inner);
    let chosen: Vec<usize> =
        uniform(4, lines).into_iter().map(|number| ((number * extent as f32) as usize).min(extent - 1)).collect();
    match case.wanted {
        Wanted::Numbers => normal(5, count),
        Wanted::Positive => uniform(5, count).into_iter().map(|number| 2.0 * number + 0.1).collect(),
        Wanted::Flags => uniform(5, count).into_iter().map(f32::round).collect(),
        Wanted::Signs => uniform(5, count).into_iter().map(|number| 2.0 * number.round() - 1.0).collect(),
        Wanted::OneHot => {
            let mut values = vec![0.0; count];
            for (line, class) in chosen.into_iter().enumerate() {
                values[(line / inner * extent + class) * inner + line % inner] = 1.0;
            }
            values
        }
        Wanted::Indices => {
            let ignored = match case.class {
                LossClass::SparseCategoricalCrossentropy { ignore_class, .. } => ignore_class,
                _ => None,
            };
            let of = |(line, class): (usize, usize)| match ignored {
                Some(ignored) if line % 3 == 0 => ignored as f32,
                _ => class as f32,
            };
            chosen.into_iter().enumerate().map(of).collect()
        }
    }
}

/// The largest difference, in units of the largest of `wanted`; infinite for what is not finite.
fn off(got: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(got.len(), wanted.len());
    let largest = wanted.iter().fold(1e-30, |most: f64, value| most.max(value.abs()));
    let differences = got.iter().zip(wanted).map(|(got, wanted)| (got - wanted).abs() / largest);
    differences.map(|it| if it.is_nan() { f64::INFINITY } else { it }).fold(0.0, f64::max)
}

/// How fast the loss of a line changes with prediction `i`, by central differences between kinks, and what of that may be
/// rounding of f64.
fn slope(case: &Case, x: &[f64], y: &[f64], i: usize) -> [f64; 2] {
    let step = match case.given {
        Given::Scores(_) => 1e-5,
        Given::Extremes(values) if values.contains(&80.0) => 1e-5,
        _ if x[i] < 1e-5 => 3e-10,
        _ => 2e-8,
    };
    let mut moved = x.to_vec();
    let mut at = |by: f64| {
        moved[i] = x[i] + by;
        of_line(&case.class, &moved, y, case.last())
    };
    let [after, before] = [at(step), at(-step)];
    let rounding = (20 + x.len()) as f64 * f64::EPSILON * after.abs();
    [(after - before) / (2.0 * step), rounding / step]
}

fn check_loss(gpu: &Gpu, case: &Case) -> Result<(), String> {
    let text = |error: wgpu_conv::Error| error.to_string();
    let [outer, extent, inner] = case.dims;
    let lines = outer * inner;
    let shape: Vec<usize> = if inner == 1 { vec![outer, extent] } else { case.dims.to_vec() };
    let of_lines: Vec<usize> = if inner == 1 { vec![outer] } else { vec![outer, inner] };
    let (x, y) = (predictions(case.given, case.dims), targets(case));
    let weights: Option<Vec<f32>> =
        case.weighted.then(|| uniform(6, outer).into_iter().map(|number| (4.0 * number).floor() * 0.5).collect());
    let sparse = matches!(case.wanted, Wanted::Indices);
    let class = if inner == 1 { case.class.clone() } else { along(case.class.clone(), 1) };
    let class = match class {
        LossClass::Dice { .. } | LossClass::Tversky { .. } if inner == 1 => along(class, -1),
        class => class,
    };
    let loss = Loss::new(class).reduction(case.reduction);
    let y_pred = Tensor::from_slice(gpu, shape.clone(), &x).map_err(text)?;
    let y_true = Tensor::from_slice(gpu, if sparse { of_lines } else { shape }, &y).map_err(text)?;
    let given = match &weights {
        Some(weights) => Some(Tensor::from_slice(gpu, [outer], weights).map_err(text)?),
        None => None,
    };
    let (value, gradient) = loss.call_with_gradient(&y_true, &y_pred, given.as_ref()).map_err(text)?;
    let (value, gradient): (Vec<f32>, Vec<f32>) = (value.read().map_err(text)?, gradient.read().map_err(text)?);

    // Keras takes targets of a hinge that are all 0 or 1 as −1 and 1.
    let signs = matches!(case.class, LossClass::Hinge | LossClass::SquaredHinge)
        && y.iter().all(|&value| value == 0.0 || value == 1.0);
    let ignored = match case.class {
        LossClass::SparseCategoricalCrossentropy { ignore_class: Some(class), .. } => Some(class as f32),
        _ => None,
    };
    let counts = |line: usize| !sparse || ignored != Some(y[line]);
    let valid = (0..lines).filter(|&line| counts(line)).count().max(1) as f64;
    let weight_of = |line: usize| match &weights {
        Some(weights) => f64::from(weights[line / inner]),
        None => 1.0,
    };
    let divisor = match (case.reduction, &weights) {
        (Reduction::SumOverBatchSize, _) => valid,
        (Reduction::MeanWithSampleWeight, Some(_)) => {
            (0..lines).filter(|&line| counts(line) || ignored.is_none()).map(weight_of).sum::<f64>()
                / if ignored.is_some() { 1.0 } else { inner as f64 }
        }
        (Reduction::MeanWithSampleWeight, None) => valid,
        _ => 1.0,
    };
    let mut losses = vec![0.0; lines];
    let mut slopes = Vec::new();
    for line in (0..lines).filter(|&line| counts(line)) {
        let at = |i: usize| (line / inner * extent + i) * inner + line % inner;
        let of_x: Vec<f64> = (0..extent).map(|i| f64::from(x[at(i)])).collect();
        let wanted = |i: usize| match sparse {
            true => f64::from(u8::from(y[line] == i as f32)),
            false if signs => f64::from(2.0 * y[at(i)] - 1.0),
            false => f64::from(y[at(i)]),
        };
        let of_y: Vec<f64> = (0..extent).map(wanted).collect();
        losses[line] = weight_of(line) * of_line(&case.class, &of_x, &of_y, case.last());
        // All of some lines, and one of each of the others.
        for i in (0..extent).filter(|i| line % 97 == 0 || (line + i) % extent == 0) {
            let of_slope = slope(case, &of_x, &of_y, i).map(|value| weight_of(line) / divisor * value);
            // A root has none at 0.
            if !of_slope[0].is_nan() {
                slopes.push((f64::from(gradient[at(i)]), of_slope));
            }
        }
    }
    for line in (0..lines).filter(|&line| !counts(line)) {
        let at = |i: usize| (line / inner * extent + i) * inner + line % inner;
        if (0..extent).any(|i| gradient[at(i)] != 0.0) {
            return Err(format!("line {line} does not count, but has a gradient"));
        }
    }
    let wanted = match case.reduction {
        Reduction::None => losses,
        _ => vec![losses.iter().sum::<f64>() / divisor],
    };
    let value_off = off(&wide(&value), &wanted);
    if value_off > 1e-5 {
        return Err(format!("the loss is off by {value_off:e}: {:?} for {:?}", &value[..1], &wanted[..1]));
    }
    let largest = slopes.iter().fold(0.0, |most: f64, (_, [slope, _])| most.max(slope.abs()));
    let near = |(got, [slope, rounding]): &&(f64, [f64; 2])| (got - slope).abs() <= 1e-4 * largest + rounding;
    match slopes.iter().find(|slope| !near(slope)) {
        None => Ok(()),
        Some((got, [slope, _])) => {
            Err(format!("a gradient is {got:e} where the loss changes by {slope:e}, {largest:e} at most"))
        }
    }
}

#[test]
fn losses_are_their_formulas() {
    let Some(gpu) = gpu() else { return };
    // Classes of pictures, of pixels (channels last, and first), and of a thousand things.
    let dims = [[64, 10, 1], [512, 21, 1], [2, 21, 400], [16, 1000, 1], [300, 2, 1]];
    let reductions = [Reduction::SumOverBatchSize, Reduction::Sum, Reduction::MeanWithSampleWeight, Reduction::None];
    let mut cases = Vec::new();
    for (index, (class, givens, wanted)) in classes().into_iter().enumerate() {
        for (turn, &given) in givens.iter().enumerate() {
            for (place, &dims) in dims.iter().enumerate() {
                if dims[2] > 1 && !has_axis(&class) {
                    continue;
                }
                let count = index + turn + place;
                let (reduction, weighted) = (reductions[count % 4], count / 4 % 2 == 0);
                cases.push(Case { class: class.clone(), dims, given, wanted, reduction, weighted });
            }
        }
    }
    test_each(
        &cases,
        |case| {
            let Case { class, dims, given, wanted, reduction, weighted } = case;
            format!("{class:?} of {dims:?}, {given:?}, {wanted:?}, {reduction:?}, weighted={weighted}")
        },
        |case| check_loss(&gpu, case),
    );
}

/// What an optimizer keeps for one weight, by the formulas.
#[derive(Clone, Default)]
struct Kept {
    weight: Vec<f64>,
    /// How far it has gone, forth and back.
    path: Vec<f64>,
    /// Momentum, velocity and what else a class keeps.
    slots: [Vec<f64>; 3],
    accumulated: Vec<f64>,
    average: Vec<f64>,
}

/// An optimizer in f64: Keras's order, one weight after the other.
struct Formula {
    optimizer: Optimizer,
    shapes: Vec<Vec<usize>>,
    kept: Vec<Kept>,
    iterations: u64,
    loss_scale: f64,
    good_steps: u32,
    /// Of Nadam's momenta.
    product: f64,
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// `left · right`, of `[rows, inner]` and `[inner, columns]`.
fn matmul(left: &[f64], right: &[f64], [rows, inner, columns]: [usize; 3]) -> Vec<f64> {
    let mut product = vec![0.0; rows * columns];
    for row in 0..rows {
        for i in 0..inner {
            let factor = left[row * inner + i];
            let line = &right[i * columns..(i + 1) * columns];
            product[row * columns..(row + 1) * columns]
                .iter_mut()
                .zip(line)
                .for_each(|(sum, value)| *sum += factor * value);
        }
    }
    product
}

fn transposed(matrix: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..rows * columns).map(|i| matrix[i % rows * columns + i / rows]).collect()
}

/// Newton and Schulz's iteration, of five coefficients' three: X ← aX + (bA + cA²)X with A = X·Xᵀ.
fn orthogonalized(matrix: &[f64], [rows, columns]: [usize; 2], steps: u32, [a, b, c]: [f64; 3]) -> Vec<f64> {
    if rows > columns {
        let turned = orthogonalized(&transposed(matrix, rows, columns), [columns, rows], steps, [a, b, c]);
        return transposed(&turned, columns, rows);
    }
    let divisor = norm(matrix) + 1e-7;
    let mut x: Vec<f64> = matrix.iter().map(|value| value / divisor).collect();
    for _ in 0..steps {
        let gram = matmul(&x, &transposed(&x, rows, columns), [rows, columns, rows]);
        let square = matmul(&gram, &gram, [rows, rows, rows]);
        let both: Vec<f64> = gram.iter().zip(square).map(|(one, two)| b * one + c * two).collect();
        let moved = matmul(&both, &x, [rows, rows, columns]);
        x.iter_mut().zip(moved).for_each(|(x, moved)| *x = a * *x + moved);
    }
    x
}

impl Formula {
    fn new(optimizer: &Optimizer, weights: &[(Vec<usize>, Vec<f32>)]) -> Self {
        let start = match optimizer.class {
            OptimizerClass::Adagrad { initial_accumulator_value, .. }
            | OptimizerClass::Ftrl { initial_accumulator_value, .. } => initial_accumulator_value,
            _ => 0.0,
        };
        let kept = |values: &[f32]| {
            let zeros = vec![0.0; values.len()];
            Kept {
                weight: wide(values),
                path: zeros.clone(),
                slots: [vec![start; values.len()], zeros.clone(), zeros.clone()],
                accumulated: zeros.clone(),
                average: zeros,
            }
        };
        Self {
            optimizer: optimizer.clone(),
            shapes: weights.iter().map(|(shape, _)| shape.clone()).collect(),
            kept: weights.iter().map(|(_, values)| kept(values)).collect(),
            iterations: 0,
            loss_scale: optimizer.loss_scaling.map_or(1.0, |scaling| scaling.initial_scale),
            good_steps: 0,
            product: 1.0,
        }
    }

    fn apply(&mut self, gradients: &[Vec<f32>]) {
        let optimizer = self.optimizer.clone();
        if let Some(scaling) = optimizer.loss_scaling {
            if gradients.iter().flatten().any(|value| !value.is_finite()) {
                self.loss_scale /= 2.0;
                self.good_steps = 0;
                return;
            }
            self.good_steps = (self.good_steps + 1) % scaling.dynamic_growth_steps;
        }
        let scale = self.loss_scale * optimizer.loss_scale_factor.unwrap_or(1.0);
        if optimizer.loss_scaling.is_some() && self.good_steps == 0 {
            self.loss_scale *= 2.0;
        }
        let mut gradients: Vec<Vec<f64>> =
            gradients.iter().map(|values| values.iter().map(|&g| f64::from(g) / scale).collect()).collect();
        let each = u64::from(optimizer.gradient_accumulation_steps.unwrap_or(1));
        let step = self.iterations / each + 1;
        let rate = optimizer.learning_rate.at(self.iterations);
        let updates = (self.iterations + 1).is_multiple_of(each);
        if each > 1 {
            for (kept, gradient) in self.kept.iter_mut().zip(&mut gradients) {
                for (sum, g) in kept.accumulated.iter_mut().zip(gradient) {
                    *sum += *g;
                    *g = *sum / each as f64;
                }
                if updates {
                    kept.accumulated.fill(0.0);
                }
            }
        }
        if updates {
            self.clip(&mut gradients);
            if let OptimizerClass::Nadam { beta_1, .. } = optimizer.class {
                self.product *= beta_1 * (1.0 - 0.5 * 0.96f64.powf(step as f64));
            }
            for (index, gradient) in gradients.iter().enumerate() {
                let rank = self.shapes[index].len();
                let decay = match optimizer.class {
                    OptimizerClass::Muon { adam_weight_decay, .. } if rank != 2 => adam_weight_decay,
                    _ => optimizer.weight_decay,
                };
                let excluded = optimizer.exclude_from_weight_decay.iter().any(|name| *name == NAMES[index]);
                if let Some(decay) = decay.filter(|_| !excluded) {
                    self.kept[index].weight.iter_mut().for_each(|w| *w -= decay * rate * *w);
                }
                self.update(index, gradient, step as f64, rate);
            }
        }
        if let Some(momentum) = optimizer.ema_momentum {
            let momentum = if step == 1 { 0.0 } else { momentum };
            for kept in &mut self.kept {
                for (average, w) in kept.average.iter_mut().zip(&mut kept.weight) {
                    *average = momentum * *average + (1.0 - momentum) * *w;
                    if optimizer.ema_overwrite_frequency.is_some_and(|every| step.is_multiple_of(u64::from(every))) {
                        *w = *average;
                    }
                }
            }
        }
        self.iterations += 1;
    }

    fn clip(&self, gradients: &mut [Vec<f64>]) {
        let optimizer = &self.optimizer;
        let all = gradients.iter().map(|gradient| norm(gradient).powi(2)).sum::<f64>().sqrt();
        for gradient in gradients {
            let own = norm(gradient);
            for g in gradient {
                if let Some(limit) = optimizer.clipnorm.filter(|&limit| limit > 0.0) {
                    *g *= limit / own.max(limit);
                } else if let Some(limit) = optimizer.global_clipnorm.filter(|&limit| limit > 0.0) {
                    *g *= limit * (1.0 / all).min(1.0 / limit);
                } else if let Some(limit) = optimizer.clipvalue.filter(|&limit| limit > 0.0) {
                    *g = g.clamp(-limit, limit);
                }
            }
        }
    }

    fn update(&mut self, index: usize, gradient: &[f64], t: f64, rate: f64) {
        let Kept { weight, path, slots: [one, two, three], .. } = &mut self.kept[index];
        let shape = &self.shapes[index];
        let product = self.product;
        let mut changes = vec![0.0; weight.len()];
        for (i, &g) in gradient.iter().enumerate() {
            let w = weight[i];
            let adam = |m: &mut f64, v: &mut f64, beta_1: f64, beta_2: f64| {
                *m = beta_1 * *m + (1.0 - beta_1) * g;
                *v = beta_2 * *v + (1.0 - beta_2) * g * g;
                [*m / (1.0 - beta_1.powf(t)), *v / (1.0 - beta_2.powf(t))]
            };
            let (a, b, c) = (&mut one[i], &mut two[i], &mut three[i]);
            changes[i] = match self.optimizer.class {
                OptimizerClass::Sgd { momentum: 0.0, .. } => -rate * g,
                OptimizerClass::Sgd { momentum, nesterov } => {
                    *a = momentum * *a - rate * g;
                    if nesterov { momentum * *a - rate * g } else { *a }
                }
                OptimizerClass::RmsProp { rho, momentum, epsilon, centered } => {
                    *a = rho * *a + (1.0 - rho) * g * g;
                    *b = rho * *b + (1.0 - rho) * g;
                    let variance = if centered { *a - *b * *b } else { *a };
                    let increment = rate * g / (variance + epsilon).sqrt();
                    *c = momentum * *c + increment;
                    -if momentum > 0.0 { *c } else { increment }
                }
                OptimizerClass::Adam { beta_1, beta_2, epsilon, amsgrad } => {
                    let [m, _] = adam(a, b, beta_1, beta_2);
                    *c = c.max(*b);
                    let v = if amsgrad { *c } else { *b };
                    // ε beside the root before it is corrected: Kingma and Ba's second form.
                    -rate * m * (1.0 - beta_2.powf(t)).sqrt() / (v.sqrt() + epsilon)
                }
                OptimizerClass::Adamax { beta_1, beta_2, epsilon } => {
                    let [m, _] = adam(a, &mut 0.0, beta_1, beta_2);
                    *b = (beta_2 * *b).max(g.abs());
                    -rate * m / (*b + epsilon)
                }
                OptimizerClass::Nadam { beta_1, beta_2, epsilon } => {
                    let [_, v] = adam(a, b, beta_1, beta_2);
                    let at = |t: f64| beta_1 * (1.0 - 0.5 * 0.96f64.powf(t));
                    let m = at(t + 1.0) * *a / (1.0 - product * at(t + 1.0)) + (1.0 - at(t)) * g / (1.0 - product);
                    -rate * m / (v.sqrt() + epsilon)
                }
                OptimizerClass::Adagrad { epsilon, .. } => {
                    *a += g * g;
                    -rate * g / (*a + epsilon).sqrt()
                }
                OptimizerClass::Adadelta { rho, epsilon } => {
                    *a = rho * *a + (1.0 - rho) * g * g;
                    let change = -g * (*b + epsilon).sqrt() / (*a + epsilon).sqrt();
                    *b = rho * *b + (1.0 - rho) * change * change;
                    rate * change
                }
                OptimizerClass::Lion { beta_1, beta_2 } => {
                    let direction = beta_1 * *a + (1.0 - beta_1) * g;
                    *a = beta_2 * *a + (1.0 - beta_2) * g;
                    if direction == 0.0 { 0.0 } else { -rate * direction.signum() }
                }
                OptimizerClass::Ftrl {
                    learning_rate_power,
                    l1_regularization_strength: l1,
                    l2_regularization_strength: l2,
                    l2_shrinkage_regularization_strength: shrinkage,
                    beta,
                    ..
                } => {
                    let fresh = *a + g * g;
                    let power = |value: f64| value.powf(-learning_rate_power);
                    *b += g + 2.0 * shrinkage * w - (power(fresh) - power(*a)) / rate * w;
                    *a = fresh;
                    let quadratic = power(fresh) / rate + 2.0 * (l2 + beta / (2.0 * rate));
                    (b.clamp(-l1, l1) - *b) / quadratic - w
                }
                OptimizerClass::Lamb { beta_1, beta_2, epsilon } => {
                    let [m, v] = adam(a, b, beta_1, beta_2);
                    m / (v.sqrt() + epsilon)
                }
                OptimizerClass::Muon { momentum, nesterov, .. } if shape.len() == 2 => {
                    *a = momentum * *a + g;
                    if nesterov { g + momentum * *a } else { *a }
                }
                OptimizerClass::Muon { adam_beta_1, adam_beta_2, adam_lr_ratio, epsilon, .. } => {
                    let [m, _] = adam(a, b, adam_beta_1, adam_beta_2);
                    -rate * adam_lr_ratio * m * (1.0 - adam_beta_2.powf(t)).sqrt() / (b.sqrt() + epsilon)
                }
                class => panic!("no formula for {class:?}"),
            };
        }
        match self.optimizer.class {
            OptimizerClass::Lamb { .. } => {
                let [of_weight, of_change] = [norm(weight), norm(&changes)];
                let ratio = if of_weight > 0.0 && of_change > 0.0 { of_weight / of_change } else { 1.0 };
                changes.iter_mut().for_each(|change| *change *= -rate * ratio);
            }
            OptimizerClass::Muon { ns_steps, ns_coefficients, rms_rate, .. } if shape.len() == 2 => {
                changes = orthogonalized(&changes, [shape[0], shape[1]], ns_steps, ns_coefficients);
                let factor = rms_rate.map_or(1.0, |rms| rms * (shape[0].max(shape[1]) as f64).sqrt());
                changes.iter_mut().for_each(|change| *change *= -rate * factor);
            }
            _ => {}
        }
        weight.iter_mut().zip(path).zip(changes).for_each(|((w, path), change)| {
            *w += change;
            *path += change.abs();
        });
    }
}

/// The names of the weights that are trained here.
const NAMES: [&str; 4] = ["kernel", "bias", "dense", "table"];

/// 10⁵ parameters: a kernel, its bias, a matrix, a table.
fn weights() -> Vec<(Vec<usize>, Vec<f32>)> {
    let shapes = [vec![3, 3, 32, 64], vec![64], vec![96, 160], vec![33, 2, 1001]];
    let of = |(index, shape): (usize, Vec<usize>)| {
        let values = normal(index as u64, shape.iter().product()).into_iter().map(|value| 0.1 * value).collect();
        (shape, values)
    };
    shapes.into_iter().enumerate().map(of).collect()
}

/// The gradients of a step. `extreme` ones have elements that are 0, tiny and huge.
fn gradients(step: u64, extreme: bool) -> Vec<Vec<f32>> {
    let of = |(index, (_, values)): (usize, (Vec<usize>, Vec<f32>))| {
        let drawn = normal(100 + 10 * step + index as u64, values.len());
        let sized = |(i, g): (usize, f32)| match i % 11 {
            1 if extreme => 0.0,
            2 if extreme => g * 1e-20,
            3 if extreme => g * 1e6,
            4 if extreme => g * 1e-5,
            _ => g * 0.3,
        };
        drawn.into_iter().enumerate().map(sized).collect()
    };
    weights().into_iter().enumerate().map(of).collect()
}

/// Every class in its variants.
fn optimizers() -> Vec<Optimizer> {
    let names =
        ["sgd", "rmsprop", "adam", "adamw", "adamax", "nadam", "adagrad", "adadelta", "lion", "ftrl", "lamb", "muon"];
    let named = names.map(|name| Optimizer::from_name(name).expect("a class of Keras"));
    let mut optimizers = named.to_vec();
    for (momentum, nesterov) in [(0.9, false), (0.9, true)] {
        optimizers.push(Optimizer::new(OptimizerClass::Sgd { momentum, nesterov }));
    }
    for (momentum, centered) in [(0.9, false), (0.0, true), (0.8, true)] {
        let class = OptimizerClass::RmsProp { rho: 0.95, momentum, epsilon: 1e-6, centered };
        optimizers.push(Optimizer::new(class));
    }
    let amsgrad = OptimizerClass::Adam { beta_1: 0.8, beta_2: 0.99, epsilon: 1e-3, amsgrad: true };
    optimizers.push(Optimizer::new(amsgrad));
    optimizers.push(Optimizer::new(OptimizerClass::Ftrl {
        learning_rate_power: -0.6,
        initial_accumulator_value: 0.3,
        l1_regularization_strength: 0.05,
        l2_regularization_strength: 0.1,
        l2_shrinkage_regularization_strength: 0.02,
        beta: 0.5,
    }));
    optimizers
}

/// The options that all classes have, each by itself, and some together.
fn options(plain: &Optimizer) -> Vec<(&'static str, Optimizer)> {
    let schedule = Schedule::ExponentialDecay { initial: 0.02, decay_steps: 2.0, decay_rate: 0.5, staircase: true };
    let with = |change: &dyn Fn(&mut Optimizer)| {
        let mut optimizer = plain.clone();
        change(&mut optimizer);
        optimizer
    };
    vec![
        ("plain", plain.clone()),
        ("schedule", plain.clone().learning_rate(schedule.clone())),
        (
            "weight_decay",
            with(&|it| {
                it.weight_decay = Some(0.1);
                it.exclude_from_weight_decay = vec!["bias".into()];
            }),
        ),
        ("clipnorm", plain.clone().clipnorm(1.5)),
        ("clipvalue", with(&|it| it.clipvalue = Some(0.25))),
        ("ema", with(&|it| it.ema_momentum = Some(0.7))),
        ("loss scaling", plain.clone().loss_scaling(LossScaling { initial_scale: 64.0, dynamic_growth_steps: 2 })),
        (
            "accumulation, global_clipnorm, ema that overwrites, loss_scale_factor",
            with(&|it| {
                it.gradient_accumulation_steps = Some(2);
                it.global_clipnorm = Some(2.0);
                it.ema_momentum = Some(0.9);
                it.ema_overwrite_frequency = Some(2);
                it.loss_scale_factor = Some(8.0);
                it.learning_rate = schedule.clone();
            }),
        ),
    ]
}

fn check_optimizer(gpu: &Gpu, optimizer: &Optimizer, extreme: bool) -> Result<(), String> {
    let text = |error: wgpu_conv::Error| error.to_string();
    let weights = weights();
    let mut variables = Vec::new();
    for ((shape, values), name) in weights.iter().zip(NAMES) {
        let value = HostTensor::new(shape.clone(), values.clone()).map_err(text)?;
        variables.push((Variable::from_value(gpu, name, &value).map_err(text)?, None));
    }
    let mut state: OptimizerState = optimizer.build(gpu, &variables).map_err(text)?;
    let mut formula = Formula::new(optimizer, &weights);
    // Muon's matrices pass through fifteen products in f32.
    let part = if matches!(optimizer.class, OptimizerClass::Muon { .. }) { 1e-3 } else { 2e-5 };
    let steps = 6;
    for step in 0..steps {
        let mut gradients = gradients(step, extreme);
        let scale = state.loss_scale() as f32;
        gradients.iter_mut().flatten().for_each(|g| *g *= scale);
        if optimizer.loss_scaling.is_some() && step == 2 {
            gradients[1][5] = f32::INFINITY;
        }
        let on_device: Result<Vec<Tensor>> = gradients
            .iter()
            .zip(&weights)
            .map(|(values, (shape, _))| Tensor::from_slice(gpu, shape.clone(), values))
            .collect();
        state.apply(&on_device.map_err(text)?).map_err(text)?;
        formula.apply(&gradients);
        if step % 2 == 0 && step != 0 && step + 1 != steps {
            continue;
        }
        compare(&variables, &weights, &formula, part, &format!("after step {step}"))?;
    }
    if optimizer.ema_momentum.is_some() {
        state.finalize().map_err(text)?;
        formula.kept.iter_mut().for_each(|kept| kept.weight.clone_from(&kept.average));
        compare(&variables, &weights, &formula, part, "averaged")?;
    }
    if optimizer.loss_scaling.is_some() && state.loss_scale() != formula.loss_scale {
        return Err(format!("the loss scale is {}, not {}", state.loss_scale(), formula.loss_scale));
    }
    Ok(())
}

fn compare(
    variables: &[(Variable, Option<wgpu_conv::layers::Constraint>)],
    begun: &[(Vec<usize>, Vec<f32>)],
    formula: &Formula,
    part: f64,
    when: &str,
) -> Result<(), String> {
    // Ftrl makes a weight anew of its sums.
    let rounding = if matches!(formula.optimizer.class, OptimizerClass::Ftrl { .. }) { 1e-6 } else { 2.5e-7 };
    for (((variable, _), (_, begun)), kept) in variables.iter().zip(begun).zip(&formula.kept) {
        let values = variable.read().map_err(|error| error.to_string())?.values;
        let largest = kept.path.iter().copied().fold(0.0, f64::max);
        for (i, (&got, &wanted)) in values.iter().zip(&kept.weight).enumerate() {
            // Each step rounds the weight, and a change is right to a part of itself; a matrix's changes depend on one another.
            let [begun, gone] = [f64::from(begun[i].abs()), kept.path[i]];
            let rounding = rounding * formula.iterations as f64 * (begun + gone) + 1e-9;
            let whole = if part > 1e-4 { largest } else { gone };
            if (f64::from(got) - wanted).abs() > rounding + part * whole {
                let name = variable.name();
                return Err(format!("element {i} of {name} is {got:e} and not {wanted:e} {when}, {gone:e} gone"));
            }
        }
    }
    Ok(())
}

#[test]
fn optimizers_are_their_formulas() {
    let Some(gpu) = gpu() else { return };
    let mut cases = Vec::new();
    for optimizer in optimizers() {
        for (what, optimizer) in options(&optimizer) {
            cases.push((what, optimizer, false));
        }
        // Differences of large roots leave Ftrl nothing of a small gradient, in f32.
        if !matches!(optimizer.class, OptimizerClass::Ftrl { .. }) {
            cases.push(("plain", optimizer.clone(), true));
            let mut clipping = optimizer;
            clipping.global_clipnorm = Some(2.0);
            cases.push(("global_clipnorm", clipping, true));
        }
    }
    test_each(
        &cases,
        |(what, optimizer, extreme)| format!("{what}, extreme={extreme}: {:?}", optimizer.class),
        |(_, optimizer, extreme)| check_optimizer(&gpu, optimizer, *extreme),
    );
}
