//! The reference: every forward formula in `f64`, by another road than the library's.
//!
//! It imports nothing from the crate, least of all its geometry. Where the library computes which input element a
//! tap reads, the reference builds the arrays that make the question go away: it transposes to channels last, pads
//! the input with real zeros, puts real zeros between the taps of a dilated kernel, cuts groups out as arrays of
//! their own, and is left with a plain sum. Padding `same` comes from the remainder form that Keras' own tests use
//! (`_same_padding` in `keras/src/layers/convolutional/conv_test.py`), not from the output size.
//!
//! `tests/reference.rs` holds it to the numbers of Keras before it may judge anything. Inputs must be finite: a zero
//! that was put in is multiplied like any other.

/// A dense array of `f64`, last axis fastest. Every `f16` and `f32` is an `f64`, so nothing is lost on the way in.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extent of each axis; none for a scalar.
    pub shape: Vec<usize>,
    /// The elements, row-major.
    pub data: Vec<f64>,
}

impl Array {
    /// An array of this shape.
    ///
    /// # Panics
    /// When the number of elements is not the product of the extents.
    #[track_caller]
    pub fn new(shape: impl Into<Vec<usize>>, data: impl Into<Vec<f64>>) -> Self {
        let (shape, data) = (shape.into(), data.into());
        assert_eq!(shape.iter().product::<usize>(), data.len(), "elements of shape {shape:?}");
        Self { shape, data }
    }

    /// An array of `f32` values.
    #[track_caller]
    pub fn from_f32(shape: impl Into<Vec<usize>>, data: &[f32]) -> Self {
        Self::new(shape, data.iter().copied().map(f64::from).collect::<Vec<_>>())
    }

    /// The elements rounded to `f32`: exact for values that were stored as `f16` or `f32`.
    pub fn to_f32(&self) -> Vec<f32> {
        self.data.iter().map(|&value| value as f32).collect()
    }

    /// The elements rounded to `f16`: exact for values that were stored as `f16`.
    pub fn to_f16(&self) -> Vec<half::f16> {
        self.data.iter().map(|&value| half::f16::from_f64(value)).collect()
    }

    /// The same elements, one to one, through a function.
    pub fn map(&self, function: impl Fn(f64) -> f64) -> Self {
        Self { shape: self.shape.clone(), data: self.data.iter().map(|&value| function(value)).collect() }
    }

    /// Axes in another order: axis `i` of the result is axis `order[i]` of this array.
    pub fn transposed(&self, order: &[usize]) -> Self {
        let strides = self.strides();
        let shape: Vec<usize> = order.iter().map(|&axis| self.shape[axis]).collect();
        let mut index = vec![0; shape.len()];
        let mut data = Vec::with_capacity(self.data.len());
        for _ in 0..self.data.len() {
            data.push(self.data[index.iter().zip(order).map(|(i, &axis)| i * strides[axis]).sum::<usize>()]);
            for (i, &extent) in index.iter_mut().zip(&shape).rev() {
                *i += 1;
                if *i < extent {
                    break;
                }
                *i = 0;
            }
        }
        Self { shape, data }
    }

    /// `[batch, channels, height, width]` to `[batch, height, width, channels]`.
    pub fn to_channels_last(&self) -> Self {
        self.transposed(&[0, 2, 3, 1])
    }

    /// `[batch, height, width, channels]` to `[batch, channels, height, width]`.
    pub fn to_channels_first(&self) -> Self {
        self.transposed(&[0, 3, 1, 2])
    }

    /// One axis rebuilt: element `i` of it becomes what was at `source(i)`, or zero where that is `None`.
    fn rebuilt(&self, axis: usize, extent: usize, source: impl Fn(usize) -> Option<usize>) -> Self {
        let inner: usize = self.shape[axis + 1..].iter().product();
        let outer: usize = self.shape[..axis].iter().product();
        let mut data = Vec::with_capacity(outer * extent * inner);
        for block in 0..outer {
            for i in 0..extent {
                match source(i) {
                    Some(from) => {
                        let start = (block * self.shape[axis] + from) * inner;
                        data.extend_from_slice(&self.data[start..start + inner]);
                    }
                    None => data.resize(data.len() + inner, 0.0),
                }
            }
        }
        let mut shape = self.shape.clone();
        shape[axis] = extent;
        Self { shape, data }
    }

    /// Zeros before and after, along one axis.
    pub fn padded(&self, axis: usize, before: usize, after: usize) -> Self {
        let extent = self.shape[axis];
        self.rebuilt(axis, before + extent + after, |i| i.checked_sub(before).filter(|&i| i < extent))
    }

    /// `rate - 1` zeros between neighbours, along one axis.
    pub fn dilated(&self, axis: usize, rate: usize) -> Self {
        let extent = (self.shape[axis] - 1) * rate + 1;
        self.rebuilt(axis, extent, |i| i.is_multiple_of(rate).then_some(i / rate))
    }

    /// `extent` elements from `start` on, along one axis.
    pub fn slice(&self, axis: usize, start: usize, extent: usize) -> Self {
        self.rebuilt(axis, extent, |i| Some(start + i))
    }

    /// Arrays joined along one axis.
    ///
    /// # Panics
    /// Without parts, or when their other axes differ.
    pub fn joined(axis: usize, parts: &[Self]) -> Self {
        let mut shape = parts[0].shape.clone();
        let (outer, inner) = (shape[..axis].iter().product::<usize>(), shape[axis + 1..].iter().product::<usize>());
        shape[axis] = parts.iter().map(|part| part.shape[axis]).sum();
        let mut data = Vec::with_capacity(shape.iter().product());
        for block in 0..outer {
            for part in parts {
                let row = part.shape[axis] * inner;
                data.extend_from_slice(&part.data[block * row..(block + 1) * row]);
            }
        }
        Self::new(shape, data)
    }

    /// Each line along `axis` (negative: counted from the end) goes through `function`; the others keep their place.
    /// All lines must come back equally long, but may come back longer or shorter than they went.
    pub fn along(&self, axis: isize, function: impl Fn(&[f64]) -> Vec<f64>) -> Self {
        let rank = self.shape.len();
        let axis = axis.checked_rem_euclid(rank as isize).expect("a scalar has no axis") as usize;
        let mut order: Vec<usize> = (0..rank).filter(|&i| i != axis).collect();
        order.push(axis);
        let moved = self.transposed(&order);
        let lines: Vec<Vec<f64>> = moved.data.chunks(self.shape[axis].max(1)).map(function).collect();
        let mut shape = moved.shape;
        shape[rank - 1] = lines.first().map_or(0, Vec::len);
        let mut back: Vec<usize> = (0..rank - 1).collect();
        back.insert(axis, rank - 1);
        Self::new(shape, lines.concat()).transposed(&back)
    }

    /// Elements per step along each axis.
    fn strides(&self) -> Vec<usize> {
        (0..self.shape.len()).map(|axis| self.shape[axis + 1..].iter().product()).collect()
    }
}

/// How the input is extended by zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// Not at all.
    #[default]
    Valid,
    /// So that the output has `ceil(input / stride)` elements; an odd zero goes after.
    Same,
    /// `[[before, after] of the height, [before, after] of the width]`.
    Explicit([[usize; 2]; 2]),
}

/// How the kernel walks over the input. The default is Keras' default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Steps in height and width.
    pub strides: [usize; 2],
    /// Distances between taps in height and width.
    pub dilation_rate: [usize; 2],
    /// Zeros around the input.
    pub padding: Padding,
    /// `[batch, channels, height, width]` instead of `[batch, height, width, channels]`.
    pub channels_first: bool,
}

impl Default for Window {
    fn default() -> Self {
        Self { strides: [1; 2], dilation_rate: [1; 2], padding: Padding::Valid, channels_first: false }
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
}

/// Keras' remainder form of `same`, for one axis: zeros before and after.
fn same_padding(input: usize, kernel: usize, stride: usize) -> [usize; 2] {
    let covered = if input.is_multiple_of(stride) { stride } else { input % stride };
    let total = kernel.saturating_sub(covered);
    [total / 2, total - total / 2]
}

/// Brings the input to channels last and extends it by its zeros.
fn prepared(input: &Array, kernel: &Array, window: &Window) -> Array {
    let mut input = if window.channels_first { input.to_channels_last() } else { input.clone() };
    for axis in 0..2 {
        let [before, after] = match window.padding {
            Padding::Valid => [0, 0],
            Padding::Same => same_padding(input.shape[axis + 1], kernel.shape[axis], window.strides[axis]),
            Padding::Explicit(zeros) => zeros[axis],
        };
        input = input.padded(axis + 1, before, after);
    }
    input
}

/// The plain sum: one group, channels last, no padding, no dilation. Returns the sums and the sums of magnitudes.
fn correlate(input: &Array, kernel: &Array, strides: [usize; 2]) -> [Array; 2] {
    let [batch, height, width, channels] = input.shape[..] else { panic!("input of shape {:?}", input.shape) };
    let [kernel_h, kernel_w, kernel_channels, filters] = kernel.shape[..] else {
        panic!("kernel of shape {:?}", kernel.shape)
    };
    assert_eq!(channels, kernel_channels, "channels of input {:?} and kernel {:?}", input.shape, kernel.shape);
    assert!(height >= kernel_h && width >= kernel_w, "{:?} does not fit into {:?}", kernel.shape, input.shape);
    let (out_h, out_w) = ((height - kernel_h) / strides[0] + 1, (width - kernel_w) / strides[1] + 1);
    let mut sums = Array::new([batch, out_h, out_w, filters], vec![0.0; batch * out_h * out_w * filters]);
    let mut magnitudes = sums.clone();
    for n in 0..batch {
        for oy in 0..out_h {
            for ox in 0..out_w {
                let start = ((n * out_h + oy) * out_w + ox) * filters;
                let sum = &mut sums.data[start..start + filters];
                let magnitude = &mut magnitudes.data[start..start + filters];
                for ky in 0..kernel_h {
                    for kx in 0..kernel_w {
                        let pixel = (n * height + oy * strides[0] + ky) * width + ox * strides[1] + kx;
                        for c in 0..channels {
                            let value = input.data[pixel * channels + c];
                            let row = ((ky * kernel_w + kx) * channels + c) * filters;
                            for (f, &weight) in kernel.data[row..row + filters].iter().enumerate() {
                                sum[f] += value * weight;
                                magnitude[f] += (value * weight).abs();
                            }
                        }
                    }
                }
            }
        }
    }
    [sums, magnitudes]
}

/// Adds the bias per channel and returns to the data format that was asked for.
fn finished(parts: Vec<[Array; 2]>, bias: Option<&Array>, terms: usize, channels_first: bool) -> Convolved {
    let (sums, magnitudes): (Vec<_>, Vec<_>) = parts.into_iter().map(|[sum, magnitude]| (sum, magnitude)).unzip();
    let [mut exact, mut magnitude] = [Array::joined(3, &sums), Array::joined(3, &magnitudes)];
    if let Some(bias) = bias {
        assert_eq!(bias.shape, [exact.shape[3]], "shape of the bias");
        let channels = bias.data.len();
        for (i, (sum, magnitude)) in exact.data.iter_mut().zip(&mut magnitude.data).enumerate() {
            *sum += bias.data[i % channels];
            *magnitude += bias.data[i % channels].abs();
        }
    }
    if channels_first {
        [exact, magnitude] = [exact.to_channels_first(), magnitude.to_channels_first()];
    }
    Convolved { exact, magnitude, terms }
}

/// Conv2D with groups. `kernel` is `[kernel_h, kernel_w, channels / groups, filters]`; strides and dilation may both
/// be larger than one.
pub fn conv2d(input: &Array, kernel: &Array, bias: Option<&Array>, groups: usize, window: &Window) -> Convolved {
    let terms = kernel.shape[..3].iter().product();
    let kernel = kernel.dilated(0, window.dilation_rate[0]).dilated(1, window.dilation_rate[1]);
    let input = prepared(input, &kernel, window);
    let (channels, filters) = (input.shape[3] / groups, kernel.shape[3] / groups);
    assert_eq!([channels * groups, filters * groups], [input.shape[3], kernel.shape[3]], "{groups} groups must divide");
    let parts = (0..groups).map(|group| {
        let input = input.slice(3, group * channels, channels);
        correlate(&input, &kernel.slice(3, group * filters, filters), window.strides)
    });
    finished(parts.collect(), bias, terms, window.channels_first)
}

/// DepthwiseConv2D: each channel is convolved by itself. `kernel` is `[kernel_h, kernel_w, channels, multiplier]`,
/// output channel `channel * multiplier + m`.
pub fn depthwise_conv2d(input: &Array, kernel: &Array, bias: Option<&Array>, window: &Window) -> Convolved {
    let terms = kernel.shape[..2].iter().product();
    let kernel = kernel.dilated(0, window.dilation_rate[0]).dilated(1, window.dilation_rate[1]);
    let input = prepared(input, &kernel, window);
    assert_eq!(input.shape[3], kernel.shape[2], "channels");
    let parts = (0..input.shape[3])
        .map(|channel| correlate(&input.slice(3, channel, 1), &kernel.slice(2, channel, 1), window.strides));
    finished(parts.collect(), bias, terms, window.channels_first)
}

/// SeparableConv2D: a depthwise step that takes the whole window, then a pointwise one, then the bias; nothing lies
/// between. `depthwise_kernel` is `[kernel_h, kernel_w, channels, multiplier]`, `pointwise_kernel`
/// `[1, 1, channels * multiplier, filters]`.
///
/// `magnitude` and `terms` cover both steps: with `n` and `q` products each, the error of the first step is at most
/// `(n + 3) u M` and passes through the second, which adds `(q + 3) u M`, where `M` is the sum of magnitudes through
/// both steps.
pub fn separable_conv2d(
    input: &Array,
    depthwise_kernel: &Array,
    pointwise_kernel: &Array,
    bias: Option<&Array>,
    window: &Window,
) -> Convolved {
    let between = depthwise_conv2d(input, depthwise_kernel, None, window);
    let pointwise = Window { channels_first: window.channels_first, ..Window::default() };
    let Convolved { exact, terms, .. } = conv2d(&between.exact, pointwise_kernel, bias, 1, &pointwise);
    let weights = pointwise_kernel.map(f64::abs);
    let bias = bias.map(|bias| bias.map(f64::abs));
    let Convolved { magnitude, .. } = conv2d(&between.magnitude, &weights, bias.as_ref(), 1, &pointwise);
    Convolved { exact, magnitude, terms: between.terms + terms + 3 }
}

/// Dense: the last axis times `kernel` `[inputs, units]`, plus bias.
pub fn dense(input: &Array, kernel: &Array, bias: Option<&Array>) -> Convolved {
    let inputs = kernel.shape[0];
    let rows = input.data.len() / inputs;
    let flat = Array::new([rows, 1, 1, inputs], input.data.clone());
    let kernel = Array::new([&[1, 1][..], &kernel.shape[..]].concat(), kernel.data.clone());
    let mut result = conv2d(&flat, &kernel, bias, 1, &Window::default());
    let mut shape = input.shape.clone();
    *shape.last_mut().expect("a scalar has no last axis") = kernel.shape[3];
    result.exact.shape.clone_from(&shape);
    result.magnitude.shape = shape;
    result
}

/// The four vectors of a batch normalisation, and its epsilon.
#[derive(Clone, Debug)]
pub struct BatchNormalization {
    /// Scale; `None` when the layer was made with `scale=False`.
    pub gamma: Option<Array>,
    /// Offset; `None` when the layer was made with `center=False`.
    pub beta: Option<Array>,
    /// Mean that training gathered.
    pub moving_mean: Array,
    /// Variance that training gathered.
    pub moving_variance: Array,
    /// Added to the variance.
    pub epsilon: f64,
}

/// Batch normalisation as inference does it, over `axis` (negative: counted from the end).
pub fn batch_normalization(input: &Array, norm: &BatchNormalization, axis: isize) -> Array {
    input.along(axis.rem_euclid(input.shape.len() as isize), |line| {
        let channel = |i: usize| {
            let scale = norm.gamma.as_ref().map_or(1.0, |gamma| gamma.data[i]);
            let offset = norm.beta.as_ref().map_or(0.0, |beta| beta.data[i]);
            let deviation = (norm.moving_variance.data[i] + norm.epsilon).sqrt();
            (line[i] - norm.moving_mean.data[i]) / deviation * scale + offset
        };
        (0..line.len()).map(channel).collect()
    })
}

/// The mean over height and width: `[batch, channels]`, or with `keepdims` the rank of the input.
pub fn global_average_pool2d(input: &Array, channels_first: bool, keepdims: bool) -> Array {
    let axes = if channels_first { [2, 3] } else { [1, 2] };
    let mut result = input.clone();
    for axis in axes {
        result = result.along(axis, |line| vec![line.iter().sum::<f64>() / line.len() as f64]);
    }
    if !keepdims {
        result.shape = vec![result.shape[0], result.shape.iter().product::<usize>() / result.shape[0]];
    }
    result
}

/// The thirty activations of Keras 3.15, by their canonical names.
pub const ACTIVATIONS: [&str; 30] = [
    "celu",
    "elu",
    "exponential",
    "gelu",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "tanh",
    "tanh_shrink",
    "threshold",
];

/// λ of selu.
pub const SELU_SCALE: f64 = 1.0507009873554805;
/// α of selu.
pub const SELU_ALPHA: f64 = 1.6732632423543772;

/// A parameter by name, or its default.
pub fn parameter(parameters: &[(&str, f64)], name: &str, default: f64) -> f64 {
    parameters.iter().find(|(given, _)| *given == name).map_or(default, |&(_, value)| value)
}

/// The canonical name behind an alias.
pub fn canonical(name: &str) -> &str {
    match name {
        "swish" => "silu",
        "hard_swish" => "hard_silu",
        other => other,
    }
}

/// An activation by its Keras name. Parameters that are not given have Keras' defaults; flags are 0 or 1, `axis` is a
/// whole number.
///
/// # Panics
/// When there is no activation of that name, or it has no such parameter, or a required one is missing.
pub fn activate(name: &str, parameters: &[(&str, f64)], input: &Array) -> Array {
    let known: &[&str] = match canonical(name) {
        "relu" => &["negative_slope", "max_value", "threshold"],
        "leaky_relu" => &["negative_slope"],
        "elu" | "celu" => &["alpha"],
        "gelu" => &["approximate"],
        "squareplus" => &["b"],
        "hard_shrink" | "soft_shrink" => &["threshold"],
        "threshold" => &["threshold", "default_value"],
        "softmax" | "log_softmax" | "sparsemax" | "glu" => &["axis"],
        _ => &[],
    };
    for (given, _) in parameters {
        assert!(known.contains(given), "activation {name} has no parameter {given}");
    }
    let get = |name, default| parameter(parameters, name, default);
    let required = |parameter: &str| {
        let found = parameters.iter().find(|(given, _)| *given == parameter);
        found.unwrap_or_else(|| panic!("activation {name} needs its {parameter}")).1
    };
    let axis = get("axis", -1.0) as isize;
    match canonical(name) {
        "linear" => input.clone(),
        "relu" => {
            let (slope, threshold) = (get("negative_slope", 0.0), get("threshold", 0.0));
            let cap = get("max_value", f64::INFINITY);
            input.map(|x| relu(x, slope, cap, threshold))
        }
        "relu6" => input.map(|x| x.clamp(0.0, 6.0)),
        "leaky_relu" => {
            let slope = get("negative_slope", 0.2);
            input.map(|x| if x > 0.0 { x } else { slope * x })
        }
        "elu" => {
            let alpha = get("alpha", 1.0);
            input.map(|x| if x > 0.0 { x } else { alpha * x.exp_m1() })
        }
        "celu" => {
            let alpha = get("alpha", 1.0);
            input.map(|x| x.max(0.0) + alpha * (x.min(0.0) / alpha).exp_m1())
        }
        "selu" => input.map(|x| SELU_SCALE * if x > 0.0 { x } else { SELU_ALPHA * x.exp_m1() }),
        "exponential" => input.map(f64::exp),
        "sigmoid" => input.map(sigmoid),
        "log_sigmoid" => input.map(|x| -softplus(-x)),
        "hard_sigmoid" => input.map(hard_sigmoid),
        "silu" => input.map(|x| x * sigmoid(x)),
        "hard_silu" => input.map(|x| x * hard_sigmoid(x)),
        "gelu" if get("approximate", 0.0) != 0.0 => {
            let inner = |x: f64| (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            input.map(|x| 0.5 * x * (1.0 + inner(x).tanh()))
        }
        "gelu" => input.map(|x| 0.5 * x * erfc(-x / std::f64::consts::SQRT_2)),
        "mish" => input.map(|x| x * softplus(x).tanh()),
        "softplus" => input.map(softplus),
        "softsign" => input.map(|x| x / (1.0 + x.abs())),
        "squareplus" => {
            let b = get("b", 4.0);
            input.map(|x| 0.5 * (x + (x * x + b).sqrt()))
        }
        "tanh" => input.map(f64::tanh),
        "tanh_shrink" => input.map(|x| x - x.tanh()),
        "hard_tanh" => input.map(|x| x.clamp(-1.0, 1.0)),
        "hard_shrink" => {
            let threshold = get("threshold", 0.5);
            input.map(|x| if x.abs() > threshold { x } else { 0.0 })
        }
        "soft_shrink" => {
            let threshold = get("threshold", 0.5);
            input.map(|x| (x - threshold).max(0.0) + (x + threshold).min(0.0))
        }
        "threshold" => {
            let (threshold, otherwise) = (required("threshold"), required("default_value"));
            input.map(|x| if x > threshold { x } else { otherwise })
        }
        "sparse_plus" => input.map(|x| if x >= 1.0 { x } else { 0.25 * (x.max(-1.0) + 1.0).powi(2) }),
        "sparse_sigmoid" => input.map(|x| (0.5 * (x + 1.0)).clamp(0.0, 1.0)),
        "softmax" => input.along(axis, softmax),
        "log_softmax" => input.along(axis, |line| {
            let largest = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = line.iter().map(|x| (x - largest).exp()).sum();
            line.iter().map(|x| x - largest - total.ln()).collect()
        }),
        "sparsemax" => input.along(axis, sparsemax),
        "glu" => input.along(axis, |line| {
            assert!(line.len().is_multiple_of(2), "glu halves its axis; received {} elements", line.len());
            let (value, gate) = line.split_at(line.len() / 2);
            value.iter().zip(gate).map(|(value, &gate)| value * sigmoid(gate)).collect()
        }),
        _ => panic!("there is no activation {name:?}"),
    }
}

/// relu with all its parameters, in the order of Keras' own steps.
fn relu(x: f64, slope: f64, cap: f64, threshold: f64) -> f64 {
    let positive = if x > threshold { x.max(0.0) } else { 0.0 };
    positive.min(cap) - slope * (threshold - x).max(0.0)
}

fn sigmoid(x: f64) -> f64 {
    let t = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + t) } else { t / (1.0 + t) }
}

fn hard_sigmoid(x: f64) -> f64 {
    (x + 3.0).clamp(0.0, 6.0) / 6.0
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn softmax(line: &[f64]) -> Vec<f64> {
    let largest = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = line.iter().map(|x| (x - largest).exp()).sum();
    line.iter().map(|x| (x - largest).exp() / total).collect()
}

/// The projection on the simplex (Martins and Astudillo 2016, algorithm 1). Keras 3.8 to 3.15 compute something else.
fn sparsemax(line: &[f64]) -> Vec<f64> {
    let mut sorted = line.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let (mut sum, mut tau) = (0.0, 0.0);
    for (i, value) in sorted.iter().enumerate() {
        sum += value;
        let count = (i + 1) as f64;
        if 1.0 + count * value > sum {
            tau = (sum - 1.0) / count;
        }
    }
    line.iter().map(|x| (x - tau).max(0.0)).collect()
}

/// 1 - erf(x), to nearly all digits of an `f64`: the series of positive terms where it is short, the continued
/// fraction where the difference would cancel (Abramowitz and Stegun 7.1.6 and 7.1.14).
fn erfc(x: f64) -> f64 {
    let scale = (-x * x).exp() / std::f64::consts::PI.sqrt();
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 2.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        return 1.0 - 2.0 * scale * sum;
    }
    let fraction = (1..200).rev().fold(x, |tail, n| x + 0.5 * f64::from(n) / tail);
    scale / fraction
}
