//! Convolutions as plain sums over arrays that were padded, dilated and cut beforehand.

use super::{Array, Storage};

/// How the input is extended by zeros, along each of `R` axes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReferencePadding<const R: usize = 2> {
    /// Not at all.
    #[default]
    Valid,
    /// So that the output has `ceil(input / stride)` elements; an odd zero goes after.
    Same,
    /// `[before, after]` of each axis.
    Explicit([[usize; 2]; R]),
}

/// How the kernel walks over the input's `R` axes. The default is Keras' default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceWindow<const R: usize = 2> {
    /// Steps along each axis.
    pub strides: [usize; R],
    /// Distances between taps along each axis.
    pub dilation_rate: [usize; R],
    /// Zeros around the input.
    pub padding: ReferencePadding<R>,
    /// `[batch, channels, …axes]` instead of `[batch, …axes, channels]`.
    pub channels_first: bool,
}

impl<const R: usize> Default for ReferenceWindow<R> {
    fn default() -> Self {
        Self { strides: [1; R], dilation_rate: [1; R], padding: ReferencePadding::Valid, channels_first: false }
    }
}

/// A result with what its error bound needs.
#[derive(Clone, Debug)]
pub struct Convolved {
    /// The sum of products plus bias, before any activation.
    pub exact: Array,
    /// For each output element the sum of `|input * kernel|` plus `|bias|`.
    pub magnitude: Array,
    /// Number of products in one output element.
    pub terms: usize,
    /// For each output element how large its partial sums are ([`partial_sums`](super::tolerance::partial_sums)), and `|bias|`;
    /// the magnitude where that is not known, which none exceeds.
    pub partial: Array,
}

/// Outputs along an axis whose sums the largest tiles of Winograd's convolution mix.
const MIXED: usize = 4;
/// How much larger than its outputs the values of a tile may be that Winograd's convolution rounds.
const TRANSFORMED: f64 = 8.0;

impl Convolved {
    /// The same result as a convolution may compute it by Winograd's algorithm, which makes the outputs of a tile of up to 4×4
    /// out of the same products: each may miss by what the largest of its tile may. A tile's outputs lie `apart` along height and
    /// width, 1 but for the phases of a transposed convolution.
    pub fn in_tiles(self, channels_first: bool, apart: [usize; 2]) -> Self {
        let rows = if channels_first { -2 } else { -3 };
        let largest_near = |apart: usize, line: &[f64]| {
            let reach = (MIXED - 1) * apart;
            let near = |i: usize| i.saturating_sub(reach)..(i + reach + 1).min(line.len());
            (0..line.len()).map(|i| line[near(i)].iter().copied().fold(0.0, f64::max)).collect()
        };
        let [down, across] = apart;
        let near = |of: &Array| {
            of.along(rows, |line| largest_near(down, line)).along(rows + 1, |line| largest_near(across, line))
        };
        // A tile's outputs are as large as their sums, or as what they were made of.
        let partial = near(&self.partial.zip(&self.exact, |partial, y| TRANSFORMED * (partial + y.abs())));
        Self { magnitude: near(&self.magnitude), partial, ..self }
    }

    /// The same sums divided by a number.
    pub(super) fn over(self, count: f64) -> Self {
        let [exact, magnitude, partial] = [self.exact, self.magnitude, self.partial].map(|of| of.map(|x| x / count));
        Self { exact, magnitude, partial, ..self }
    }
}

/// Keras' remainder form of `same`, for one axis: zeros before and after.
pub(super) fn same_padding(input: usize, kernel: usize, stride: usize) -> [usize; 2] {
    let covered = if input.is_multiple_of(stride) { stride } else { input % stride };
    let total = kernel.saturating_sub(covered);
    [total / 2, total - total / 2]
}

/// Brings the input to channels last and extends it by its zeros.
fn prepared<const R: usize>(input: &Array, kernel: &Array, window: &ReferenceWindow<R>) -> Array {
    let mut input = if window.channels_first { input.to_channels_last() } else { input.clone() };
    for axis in 0..R {
        let [before, after] = match window.padding {
            ReferencePadding::Valid => [0, 0],
            ReferencePadding::Same => same_padding(input.shape[axis + 1], kernel.shape[axis], window.strides[axis]),
            ReferencePadding::Explicit(zeros) => zeros[axis],
        };
        input = input.padded(axis + 1, before, after);
    }
    input
}

/// What has extents of 1 in front of its spatial axes, so that it has three: of an input behind the batch.
fn volume(array: &Array, first: usize) -> Array {
    let missing = 3 + 2 - array.shape.len();
    let (front, back) = array.shape.split_at(first);
    array.reshaped([front, &vec![1; missing], back].concat())
}

/// The kernel with its taps as far apart as the window says.
fn dilated<const R: usize>(kernel: &Array, window: &ReferenceWindow<R>) -> Array {
    window.dilation_rate.iter().enumerate().fold(kernel.clone(), |kernel, (axis, &rate)| kernel.dilated(axis, rate))
}

/// The plain sum: one group, channels last, no padding, no dilation. Returns the sums, the sums of magnitudes, those of squares
/// and those of the squares of partial sums, of which an added zero makes none.
fn correlate<const R: usize>(input: &Array, kernel: &Array, strides: [usize; R]) -> [Array; 4] {
    let (input, kernel) = (volume(input, 1), volume(kernel, 0));
    let [batch, depth, height, width, channels] = input.shape[..] else { panic!("input of shape {:?}", input.shape) };
    let [kernel_d, kernel_h, kernel_w, kernel_channels, filters] = kernel.shape[..] else {
        panic!("kernel of shape {:?}", kernel.shape)
    };
    assert_eq!(channels, kernel_channels, "channels of input {:?} and kernel {:?}", input.shape, kernel.shape);
    let mut steps = [1; 3];
    steps[3 - R..].copy_from_slice(&strides);
    let windows = |extent: usize, kernel: usize, stride| extent.checked_sub(kernel).map_or(0, |free| free / stride + 1);
    let out =
        [windows(depth, kernel_d, steps[0]), windows(height, kernel_h, steps[1]), windows(width, kernel_w, steps[2])];
    let [out_d, out_h, out_w] = out;
    let shape = [&[batch], &out[3 - R..], &[filters]].concat();
    let mut sums = Array::new(shape.clone(), vec![0.0; shape.iter().product()]);
    let mut magnitudes = sums.clone();
    let [mut squares, mut walks] = [sums.clone(), sums.clone()];
    for place in 0..batch * out_d * out_h * out_w {
        let (n, z) = (place / out_w / out_h / out_d, place / out_w / out_h % out_d);
        let (y, x) = (place / out_w % out_h, place % out_w);
        let of = place * filters..(place + 1) * filters;
        let sum = &mut sums.data[of.clone()];
        let magnitude = &mut magnitudes.data[of.clone()];
        let square = &mut squares.data[of.clone()];
        let walk = &mut walks.data[of];
        for tap in 0..kernel_d * kernel_h * kernel_w {
            let (kz, ky, kx) = (tap / kernel_w / kernel_h, tap / kernel_w % kernel_h, tap % kernel_w);
            let row = (n * depth + z * steps[0] + kz) * height + y * steps[1] + ky;
            let pixel = row * width + x * steps[2] + kx;
            for c in 0..channels {
                let value = input.data[pixel * channels + c];
                let row = (tap * channels + c) * filters;
                for (f, &weight) in kernel.data[row..row + filters].iter().enumerate() {
                    let product = value * weight;
                    sum[f] += product;
                    magnitude[f] += product.abs();
                    square[f] += product * product;
                    walk[f] += if product == 0.0 { 0.0 } else { sum[f] * sum[f] };
                }
            }
        }
    }
    [sums, magnitudes, squares, walks]
}

/// Adds the bias per channel and returns to the data format that was asked for.
fn finished(parts: Vec<[Array; 4]>, bias: Option<&Array>, terms: usize, channels_first: bool) -> Convolved {
    let joined = |which: usize| {
        let parts: Vec<Array> = parts.iter().map(|part| part[which].clone()).collect();
        Array::joined(parts[0].shape.len() - 1, &parts)
    };
    let [mut exact, mut magnitude, squares, walks] = [0, 1, 2, 3].map(joined);
    let mut partial = walks.zip(&squares, |walk, squares| (walk / terms.max(1) as f64 + squares).sqrt());
    if let Some(bias) = bias {
        assert_eq!(Some(&bias.shape[..]), exact.shape.last().map(std::slice::from_ref), "shape of the bias");
        let channels = bias.data.len();
        for (i, (sum, magnitude)) in exact.data.iter_mut().zip(&mut magnitude.data).enumerate() {
            *sum += bias.data[i % channels];
            *magnitude += bias.data[i % channels].abs();
            partial.data[i] += bias.data[i % channels].abs();
        }
    }
    if channels_first {
        [exact, magnitude, partial] = [&exact, &magnitude, &partial].map(Array::to_channels_first);
    }
    Convolved { exact, magnitude, terms, partial }
}

/// Convolution over `R` axes with groups. `kernel` is `[taps…, channels / groups, filters]`; strides and dilation may both
/// be larger than one.
pub fn conv<const R: usize>(
    input: &Array,
    kernel: &Array,
    bias: Option<&Array>,
    groups: usize,
    window: &ReferenceWindow<R>,
) -> Convolved {
    let terms = kernel.shape[..R + 1].iter().product();
    let kernel = dilated(kernel, window);
    let input = prepared(input, &kernel, window);
    let last = R + 1;
    let (channels, filters) = (input.shape[last] / groups, kernel.shape[last] / groups);
    assert_eq!(
        [channels * groups, filters * groups],
        [input.shape[last], kernel.shape[last]],
        "{groups} groups must divide"
    );
    let parts = (0..groups).map(|group| {
        let input = input.slice(last, group * channels, channels);
        correlate(&input, &kernel.slice(last, group * filters, filters), window.strides)
    });
    finished(parts.collect(), bias, terms, window.channels_first)
}

/// Depthwise convolution over `R` axes: each channel is convolved by itself. `kernel` is `[taps…, channels, multiplier]`,
/// output channel `channel * multiplier + m`.
pub fn depthwise_conv<const R: usize>(
    input: &Array,
    kernel: &Array,
    bias: Option<&Array>,
    window: &ReferenceWindow<R>,
) -> Convolved {
    let terms = kernel.shape[..R].iter().product();
    let kernel = dilated(kernel, window);
    let input = prepared(input, &kernel, window);
    assert_eq!(input.shape[R + 1], kernel.shape[R], "channels");
    let parts = (0..input.shape[R + 1])
        .map(|channel| correlate(&input.slice(R + 1, channel, 1), &kernel.slice(R, channel, 1), window.strides));
    finished(parts.collect(), bias, terms, window.channels_first)
}

/// Separable convolution over `R` axes: a depthwise step that takes the whole window, then a pointwise one, then the bias;
/// nothing lies between. `depthwise_kernel` is `[taps…, channels, multiplier]`, `pointwise_kernel`
/// `[1…, channels * multiplier, filters]`.
///
/// `magnitude` and `terms` cover both steps: with `n` and `q` products each, the error of the first step is at most
/// `(n + 3) u M` and passes through the second, which adds `(q + 3) u M`, where `M` is the sum of magnitudes through
/// both steps.
pub fn separable_conv<const R: usize>(
    input: &Array,
    depthwise_kernel: &Array,
    pointwise_kernel: &Array,
    bias: Option<&Array>,
    window: &ReferenceWindow<R>,
) -> Convolved {
    let between = depthwise_conv(input, depthwise_kernel, None, window);
    let pointwise = ReferenceWindow::<R> { channels_first: window.channels_first, ..ReferenceWindow::default() };
    let Convolved { exact, terms, .. } = conv(&between.exact, pointwise_kernel, bias, 1, &pointwise);
    let weights = pointwise_kernel.map(f64::abs);
    let bias = bias.map(|bias| bias.map(f64::abs));
    let Convolved { magnitude, .. } = conv(&between.magnitude, &weights, bias.as_ref(), 1, &pointwise);
    Convolved { exact, partial: magnitude.clone(), magnitude, terms: between.terms + terms + 3 }
}

/// What errors of up to `bound` of its inputs come to in a convolution: all with one sign, or, where they are roundings of sums
/// in `f32`, four times the root of their squares at most, since they are independent.
pub fn passed_on<const R: usize>(
    bound: &Array,
    kernel: &Array,
    window: &ReferenceWindow<R>,
    storage: Storage,
) -> Array {
    let sum = |of: fn(f64) -> f64| conv(&bound.map(of), &kernel.map(f64::abs).map(of), None, 1, window).exact;
    let alike = sum(|x| x);
    match storage {
        Storage::F32 => alike.zip(&sum(|x| x * x), |alike, squares| alike.min(4.0 * squares.sqrt())),
        Storage::F16 | Storage::BF16 => alike,
    }
}

/// Dense: the last axis times `kernel` `[inputs, units]`, plus bias.
pub fn dense(input: &Array, kernel: &Array, bias: Option<&Array>) -> Convolved {
    let inputs = kernel.shape[0];
    let rows = input.data.len() / inputs;
    let flat = Array::new([rows, 1, inputs], input.data.clone());
    let kernel = Array::new([&[1][..], &kernel.shape[..]].concat(), kernel.data.clone());
    let mut result = conv(&flat, &kernel, bias, 1, &ReferenceWindow::<1>::default());
    let mut shape = input.shape.clone();
    *shape.last_mut().expect("a scalar has no last axis") = kernel.shape[2];
    result.exact.shape.clone_from(&shape);
    result.magnitude.shape.clone_from(&shape);
    result.partial.shape = shape;
    result
}

/// How a transposed convolution walks over its output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transposed<const R: usize = 2> {
    /// Strides, dilation, `same` or `valid`, data format.
    pub window: ReferenceWindow<R>,
    /// Keras's `output_padding` along each axis.
    pub output_padding: Option<[usize; R]>,
}

/// Transposed convolution over `R` axes: each input element adds its multiple of the kernel to the output. `kernel` is
/// `[taps…, filters, channels]`.
///
/// The sum is that of a plain convolution: zeros between the elements of the input, as many around them as a tap can
/// reach, and the kernel turned round. Keras keeps a part of it, each axis from an offset on, by the padding and
/// `output_padding`.
pub fn conv_transpose<const R: usize>(
    input: &Array,
    kernel: &Array,
    bias: Option<&Array>,
    transposed: &Transposed<R>,
) -> Convolved {
    let Transposed { window, output_padding } = *transposed;
    let mut input = if window.channels_first { input.to_channels_last() } else { input.clone() };
    let terms = kernel.shape[..R].iter().product::<usize>() * kernel.shape[R + 1];
    let order: Vec<usize> = (0..R).chain([R + 1, R]).collect();
    let mut kernel = kernel.transposed(&order);
    let mut kept = [[0; 2]; R];
    for axis in 0..R {
        kernel = kernel.dilated(axis, window.dilation_rate[axis]);
        let (extent, reach) = (input.shape[axis + 1], kernel.shape[axis]);
        kernel = kernel.gathered(axis, &(0..reach).rev().collect::<Vec<_>>());
        let stride = window.strides[axis];
        let full = (extent - 1) * stride + reach;
        let ([before, after], extra) = match (window.padding, output_padding.map(|padding| padding[axis])) {
            (ReferencePadding::Valid, None) => ([0, 0], stride.saturating_sub(reach)),
            (ReferencePadding::Valid, Some(extra)) => ([0, 0], extra),
            (ReferencePadding::Explicit(cut), extra) => (cut[axis], extra.unwrap_or(0)),
            (ReferencePadding::Same, None) => {
                let before = reach.saturating_sub(stride) / 2;
                ([before, full.saturating_sub(before + extent * stride)], (extent * stride).saturating_sub(full))
            }
            (ReferencePadding::Same, Some(extra)) => {
                let odd = reach % 2;
                let length = (extent - 1) * stride + odd + extra;
                let before = (reach - 1).saturating_sub((reach + odd + extra).saturating_sub(2).div_ceil(2));
                let end = before + length;
                ([before, full.saturating_sub(end)], end.saturating_sub(full))
            }
        };
        input = input.dilated(axis + 1, stride).padded(axis + 1, reach - 1, reach - 1 + extra);
        kept[axis] = [before, full + extra - before - after];
    }
    let cut = |sums: Array| {
        let axes = kept.into_iter().enumerate();
        axes.fold(sums, |sums, (axis, [start, extent])| sums.slice(axis + 1, start, extent))
    };
    let parts = correlate(&input, &kernel, [1; R]).map(cut);
    finished(vec![parts], bias, terms, window.channels_first)
}
