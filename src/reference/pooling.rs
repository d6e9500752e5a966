//! Pooling, one axis after the other: the largest of the largest, and sums of sums beside counts of counts.

use super::array::larger;
use super::tolerance::{partial_sums, walk};
use super::{Array, Convolved};

/// How a pooling window walks along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolAxis {
    /// The axis of the array.
    pub axis: usize,
    /// Elements in a window.
    pub size: usize,
    /// Steps from one window to the next.
    pub stride: usize,
    /// Steps from one element of a window to the next.
    pub dilation: usize,
    /// Padding before and after.
    pub padding: [usize; 2],
    /// Whether the end may be covered by a window that reaches beyond it, if it begins within the input or the padding
    /// before it (ONNX's `ceil_mode`).
    pub ceil: bool,
}

impl PoolAxis {
    /// A window without dilation or padding.
    pub fn new(axis: usize, size: usize, stride: usize) -> Self {
        Self { axis, size, stride, dilation: 1, padding: [0; 2], ceil: false }
    }

    /// Keras's `same`, for an input of this extent.
    pub fn same(mut self, extent: usize) -> Self {
        self.padding = super::same_padding(extent, (self.size - 1) * self.dilation + 1, self.stride);
        self
    }

    /// The input with its padding before and after.
    fn padded(&self, input: &Array, fill: f64) -> Array {
        input.padded_with(self.axis, self.padding[0], self.padding[1], fill)
    }

    /// Each window of a padded axis, of which the input is `extent` long, becomes one element; `beyond` stands where it
    /// reaches beyond the padding.
    fn windows(&self, padded: &Array, extent: usize, beyond: f64, function: impl Fn(&[f64]) -> f64) -> Array {
        let inside = self.padding[0] + extent;
        let reach = (self.size - 1) * self.dilation + 1;
        padded.along(self.axis as isize, |line| {
            let fits = |start: usize| {
                let over = (start + reach).saturating_sub(line.len());
                over == 0 || self.ceil && over < self.stride && start < inside
            };
            let element = |place: usize| line.get(place).copied().unwrap_or(beyond);
            let window = |start| (0..self.size).map(|i| element(start + i * self.dilation)).collect::<Vec<_>>();
            (0..).step_by(self.stride).take_while(|&start| fits(start)).map(|start| function(&window(start))).collect()
        })
    }
}

/// The array with its padding along every axis, then its windows along every axis.
fn pooled(input: &Array, axes: &[PoolAxis], [fill, beyond]: [f64; 2], function: impl Fn(&[f64]) -> f64) -> Array {
    let padded = axes.iter().fold(input.clone(), |array, axis| axis.padded(&array, fill));
    axes.iter().fold(padded, |array, axis| axis.windows(&array, input.shape[axis.axis], beyond, &function))
}

/// The largest element of each window; padding is never the largest.
pub fn max_pool(input: &Array, axes: &[PoolAxis]) -> Array {
    let largest = |window: &[f64]| window.iter().copied().fold(f64::NEG_INFINITY, larger);
    pooled(input, axes, [f64::NEG_INFINITY; 2], largest)
}

/// The mean of each window: of what it holds of the input, and with `count_padding` of its padding as well. What lies
/// beyond the padding never counts.
pub fn average_pool(input: &Array, axes: &[PoolAxis], count_padding: bool) -> Convolved {
    let sums = |array: &Array, fill| pooled(array, axes, [fill, 0.0], |window| window.iter().sum());
    let counts = sums(&input.map(|_| 1.0), f64::from(u8::from(count_padding)));
    let mean = |array: &Array| sums(array, 0.0).zip(&counts, |sum, count| sum / count);
    let terms = axes.iter().map(|axis| axis.size).product::<usize>();
    // The squares of the partial sums along one axis, and of those of its sums along the next.
    let (mut padded, mut walks) = (axes.iter().fold(input.clone(), |array, axis| axis.padded(&array, 0.0)), None);
    for axis in axes {
        let along = |array: &Array, of: fn(&[f64]) -> f64| axis.windows(array, input.shape[axis.axis], 0.0, of);
        let sum = |window: &[f64]| window.iter().sum();
        let own = along(&padded, walk);
        walks = Some(walks.map_or_else(|| own.clone(), |walks| along(&walks, sum).zip(&own, |a, b| a + b)));
        padded = along(&padded, sum);
    }
    let squares = sums(&input.map(|x| x * x), 0.0);
    let walks = walks.unwrap_or_else(|| squares.clone());
    let partial = walks.zip(&squares, |walk, squares| (walk / terms as f64 + squares).sqrt());
    let partial = partial.zip(&counts, |partial, count| partial / count);
    Convolved { exact: mean(input), magnitude: mean(&input.map(f64::abs)), terms, partial }
}

/// The sum over `axes`, which stay with extent 1.
pub fn total(input: &Array, axes: &[usize]) -> Convolved {
    let sum = |array: &Array| array.reduced(axes, |set| set.iter().sum());
    let terms = axes.iter().map(|&axis| input.shape[axis]).product();
    let (magnitude, partial) = (sum(&input.map(f64::abs)), input.reduced(axes, partial_sums));
    Convolved { exact: sum(input), magnitude, terms, partial }
}

/// The mean over `axes`, which stay with extent 1.
pub fn mean(input: &Array, axes: &[usize]) -> Convolved {
    let total = total(input, axes);
    let count = total.terms as f64;
    total.over(count)
}

/// Along `axis`, one element of each of `count` windows of which position `p` of `n` is in window `i` where it touches the
/// `i`-th of `count` equal shares of the axis.
fn shares(input: &Array, axis: usize, count: usize, function: impl Fn(&[f64]) -> f64) -> Array {
    input.along(axis as isize, |line| {
        let touches = |p: usize, i: usize| p * count < (i + 1) * line.len() && (p + 1) * count > i * line.len();
        let share = |i| (0..line.len()).filter(|&p| touches(p, i)).map(|p| line[p]).collect::<Vec<_>>();
        (0..count).map(|i| function(&share(i))).collect()
    })
}

/// The largest element of each window of adaptive pooling, to so many elements along each of these axes.
pub fn adaptive_max_pool(input: &Array, axes: &[(usize, usize)]) -> Array {
    let largest = |share: &[f64]| share.iter().copied().fold(f64::NEG_INFINITY, larger);
    axes.iter().fold(input.clone(), |array, &(axis, count)| shares(&array, axis, count, largest))
}

/// The mean of each window of adaptive pooling, to so many elements along each of these axes.
pub fn adaptive_average_pool(input: &Array, axes: &[(usize, usize)]) -> Convolved {
    let mean = |share: &[f64]| share.iter().sum::<f64>() / share.len() as f64;
    let means = |array: &Array| axes.iter().fold(array.clone(), |array, &(axis, n)| shares(&array, axis, n, mean));
    let magnitude = means(&input.map(f64::abs));
    let terms = axes.iter().map(|&(axis, count)| input.shape[axis].div_ceil(count) + 1).product();
    Convolved { exact: means(input), partial: magnitude.clone(), magnitude, terms }
}
