//! What every layer computes, in f64, from its description alone, and how far f32 may be from it: one arm for each layer.

use super::array::larger;
use super::conv_lstm::ConvLstm;
use super::tolerance::{ACTIVATION, EXPONENTIAL, UNIT, activated};
use super::{
    Array, BatchStatistics, Between, Convolved, Estimate, Expected, Norm, PoolAxis, ReferencePadding, ReferenceWindow,
    Storage, Surround, Transposed, average_pool, concatenate, conv, conv_transpose, dense, depthwise_conv,
    estimated_batch_normalization, images, max_pool, mean, normalize, operators, pad, passed_on, recurrent, repeat,
    resample, scale_and_shift, spectrogram, tensors, total, unit_normalize,
};
use crate::layers::{
    self, BinaryFunction, ConstantSide, ConvArguments, LayerConfig, PadMode, Pads, Pooling, ReduceFunction, ResizeTo,
    Upsampling,
};
use crate::{
    Activation, Coordinates, DTypePolicy, DataFormat, Error, HostTensor, Interpolation, Nearest, PartialShape, Result,
    Shape,
};

/// What the layer makes of `inputs`, in exact arithmetic on inputs and weights as the layer's dtype policy stores them.
/// `weights` are those of the built layer, in its order.
///
/// # Errors
/// Those of [`expect`].
///
/// ```
/// use wgpu_conv::layers::{Dense, LayerConfig};
/// use wgpu_conv::reference::{Array, evaluate};
///
/// let dense = LayerConfig::from(Dense::new(1));
/// let weights = [Array::new([2, 1], [3.0, 4.0]), Array::new([1], [0.5])];
/// let y = evaluate(&dense, &weights, &[Array::new([1, 2], [1.0, 10.0])])?;
/// assert_eq!((y.shape, y.data), (vec![1, 1], vec![43.5]));
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
pub fn evaluate(layer: &LayerConfig, weights: &[Array], inputs: &[Array]) -> Result<Array> {
    expect(layer, weights, inputs).map(|expected| expected.exact)
}

/// [`evaluate`], with how far from it each element may be that the library computes and stores.
///
/// # Errors
/// [`Error::Invalid`] for inputs that the layer refuses and weights that are not the layer's; [`Error::Unsupported`] for
/// `float64`, which has no GPU computation to compare with.
pub fn expect(layer: &LayerConfig, weights: &[Array], inputs: &[Array]) -> Result<Expected> {
    expect_masked(layer, weights, inputs, &[])
}

/// [`expect`] where inputs carry `masks`, one for each input from the first on.
///
/// # Errors
/// Those of [`expect`].
pub fn expect_masked(
    layer: &LayerConfig,
    weights: &[Array],
    inputs: &[Array],
    masks: &[Option<Array>],
) -> Result<Expected> {
    let storage = storage(layer.common().dtype)?;
    let shapes: Vec<PartialShape> = inputs.iter().map(|input| Shape::from(input.shape.as_slice()).into()).collect();
    layer.output_shape_all(&shapes)?;
    let whole = inputs;
    let inputs: Vec<Array> = inputs.iter().map(|input| read(input, storage)).collect();
    let case = LayerCase { layer, given: whole, inputs: &inputs, input: &inputs[0], masks, weights, storage };
    let (estimate, activation) = case.estimate()?;
    if activation == Activation::Linear {
        let Estimate { exact, bound } = estimate.stored(storage);
        return Ok(Expected { exact, bound: bound.data, overflow: storage.overflow() });
    }
    // An activation along an axis, and one of a dense layer, reads what was stored; the other ones read the sum itself,
    // which allows less.
    let convolution = matches!(
        layer,
        LayerConfig::Conv1D(_)
            | LayerConfig::Conv2D(_)
            | LayerConfig::Conv3D(_)
            | LayerConfig::DepthwiseConv1D(_)
            | LayerConfig::DepthwiseConv2D(_)
    );
    let fused = activation.axis().is_none() && convolution;
    let Estimate { exact, bound } = if fused { estimate } else { estimate.stored(storage) };
    let (name, parameters) = named(&activation);
    Ok(activated(&exact, &bound, name, &parameters, storage))
}

/// What tensors of a policy are stored as.
fn storage(policy: DTypePolicy) -> Result<Storage> {
    match policy {
        DTypePolicy::Float32 => Ok(Storage::F32),
        DTypePolicy::Float16 | DTypePolicy::MixedFloat16 | DTypePolicy::EmulatedFloat16 => Ok(Storage::F16),
        DTypePolicy::BFloat16 | DTypePolicy::MixedBFloat16 => Ok(Storage::BF16),
        DTypePolicy::Float64 => Err(Error::unsupported("float64 as a compute dtype", "shaders have f32 and f16")),
    }
}

/// An array as a layer reads it.
fn read(array: &Array, storage: Storage) -> Array {
    match storage {
        Storage::F32 => array.clone(),
        Storage::F16 => array.map(|value| half::f16::from_f32(odd(value)).to_f64()),
        Storage::BF16 => array.map(|value| half::bf16::from_f32(odd(value)).to_f64()),
    }
}

/// `value` as f32, so that rounding that to fewer bits rounds `value`: of the two f32 around it the one with an odd last bit,
/// which lies beside no tie that `value` does not lie on. (`half` looks at the upper half of an f64 alone.)
fn odd(value: f64) -> f32 {
    let nearest = value as f32;
    if f64::from(nearest) == value || !nearest.is_finite() || nearest.to_bits() & 1 == 1 {
        return nearest;
    }
    if f64::from(nearest) < value { nearest.next_up() } else { nearest.next_down() }
}

/// A layer with what it is given.
struct LayerCase<'a> {
    layer: &'a LayerConfig,
    /// As they were given, for layers that take whole numbers.
    given: &'a [Array],
    /// As the layer reads them.
    inputs: &'a [Array],
    /// The first of them.
    input: &'a Array,
    /// The masks that they carry.
    masks: &'a [Option<Array>],
    weights: &'a [Array],
    storage: Storage,
}

/// Whole numbers as vectors.
fn categories(input: &Array, mode: layers::CategoryMode, depth: usize) -> Array {
    let mut shape = input.shape.clone();
    if mode == layers::CategoryMode::OneHot && shape.len() > 1 && shape.last() == Some(&1) {
        shape.pop();
    }
    shape.push(depth);
    let hot = input.data.iter().flat_map(|x| (0..depth).map(move |number| f64::from(u8::from(*x == number as f64))));
    let hot = || Array::new(shape.clone(), hot.clone().collect::<Vec<_>>());
    let without = |array: Array| {
        let mut shape = array.shape.clone();
        shape.remove(1);
        array.reshaped(shape)
    };
    match mode {
        layers::CategoryMode::Int => input.clone(),
        layers::CategoryMode::OneHot => hot(),
        layers::CategoryMode::MultiHot => without(hot().reduced(&[1], |set| set.iter().copied().fold(0.0, f64::max))),
        layers::CategoryMode::Count => without(hot().reduced(&[1], |set| set.iter().sum())),
    }
}

/// Each number's place in the vocabulary, or the number at each place, one by one.
fn looked_up(layer: &layers::IntegerLookup, input: &Array) -> Array {
    let (unknown, known) = (layer.first_unknown(), layer.first_known());
    let mask = layer.mask_token.map(f64::from);
    if layer.invert {
        return input.map(|place| {
            let token = (place >= known as f64).then(|| layer.tokens().get(place as usize - known)).flatten();
            match mask.filter(|_| place == 0.0) {
                Some(mask) => mask,
                None => token.map_or(layer.oov_token.into(), |&token| token.into()),
            }
        });
    }
    let place = |x: f64| match layer.tokens().iter().position(|&token| f64::from(token) == x) {
        _ if mask == Some(x) => {
            if layer.output_mode == layers::CategoryMode::Int {
                0.0
            } else {
                f64::MAX
            }
        }
        Some(place) => (known + place) as f64,
        None => unknown as f64 + x.rem_euclid(layer.num_oov_indices.into()),
    };
    let vectors = categories(&input.map(place), layer.output_mode, layer.depth());
    match layer.factors() {
        Some(factors) => {
            let last = vectors.shape.len() - 1;
            let factors = factors.into_iter().map(f64::from).collect::<Vec<f64>>();
            vectors.zip(&along(&vectors, &[last], &factors), |count, factor| count * factor)
        }
        None => vectors,
    }
}

/// The mean over the times that `mask` keeps.
fn masked_mean(input: &Array, layer: &layers::GlobalAveragePooling1D, mask: &Array) -> Estimate {
    let (axis, channels) = match layer.data_format {
        DataFormat::ChannelsLast => (1, 2),
        DataFormat::ChannelsFirst => (2, 1),
    };
    let mut dims = mask.shape.clone();
    dims.insert(channels, 1);
    let mask = mask.reshaped(dims);
    let sum = |array: &Array| array.reduced(&[axis], |set| set.iter().sum());
    let kept = input.zip(&mask, |x, kept| if kept == 0.0 { 0.0 } else { x });
    let count = sum(&mask);
    let sizes = sum(&kept.map(f64::abs)).zip(&count, |sum, count| sum / count);
    let bound = sizes.map(|size| (input.shape[axis] as f64 + 4.0) * UNIT * size);
    let exact = sum(&kept).zip(&count, |sum, count| sum / count);
    global(Estimate { exact, bound }, &[axis], layer.keepdims)
}

/// A mask with an axis of 1 behind.
fn column(mask: &Array) -> Array {
    mask.reshaped([&mask.shape[..], &[1]].concat())
}

impl LayerCase<'_> {
    /// The mask that input number `index` carries.
    fn mask(&self, index: usize) -> Option<&Array> {
        self.masks.get(index).and_then(Option::as_ref)
    }

    /// The product, the largest or the smallest of what masks keep, where there are any; all of one shape.
    fn merged_by_mask(&self, kind: layers::MergeKind) -> Option<Estimate> {
        let function: fn(f64, f64) -> f64 = match kind {
            layers::MergeKind::Multiply => |a, b| a * b,
            layers::MergeKind::Maximum => f64::max,
            layers::MergeKind::Minimum => f64::min,
            _ => return None,
        };
        self.masks.iter().flatten().next()?;
        // What is masked away is no number here.
        let merge = |a: f64, b: f64| match (a.is_nan(), b.is_nan()) {
            (true, _) => b,
            (_, true) => a,
            _ => function(a, b),
        };
        let kept = self.inputs.iter().enumerate().map(|(index, input)| match self.mask(index) {
            Some(mask) => input.zip(&column(mask), |x, mask| if mask == 0.0 { f64::NAN } else { x }),
            None => input.clone(),
        });
        let merged = kept.reduce(|a, b| a.zip(&b, merge))?;
        let none = if kind == layers::MergeKind::Multiply { self.input.map(|_| 0.0) } else { self.input.clone() };
        let merged = merged.zip(&none, |x, none| if x.is_nan() { none } else { x });
        Some(Estimate::rounded(merged, 2.0 * self.inputs.len() as f64))
    }

    /// Scores, those masked away far below all others.
    fn masked_scores(&self, layer: &layers::MaskedScores) -> Array {
        let scores = self.input;
        let (front, back) = scores.shape.split_at(scores.shape.len() - 2);
        let mut all = scores.map(|_| 1.0);
        let mut add = |mask: &Array| {
            let (before, last) = mask.shape.split_at(mask.shape.len() - 2);
            let ones = vec![1; (front.len() + 2).saturating_sub(mask.shape.len())];
            all = all.zip(&mask.reshaped([before, &ones, last].concat()), |a, b| if b == 0.0 { 0.0 } else { a });
        };
        if let Some(mask) = self.mask(1).filter(|_| layer.queries) {
            add(&column(mask));
        }
        for mask in [self.mask(2), self.mask(3)].into_iter().flatten() {
            add(&mask.reshaped([mask.shape[0], 1, mask.shape[1]]));
        }
        if layer.given {
            add(&self.given[4]);
        }
        if layer.causal {
            let values = (0..back[0] * back[1]).map(|at| f64::from(u8::from(at % back[1] <= at / back[1])));
            add(&Array::new(back, values.collect::<Vec<_>>()));
        }
        scores.zip(&all, |score, kept| if kept == 0.0 { -30_000.0 } else { score })
    }

    /// The layer before its activation, and that.
    fn estimate(&self) -> Result<(Estimate, Activation)> {
        let input = self.input;
        let plain = |estimate| (estimate, Activation::Linear);
        Ok(match self.layer {
            LayerConfig::Activation(layer) => (Estimate::exact(input.clone()), layer.activation),
            LayerConfig::ActivityRegularization(_)
            | LayerConfig::AlphaDropout(_)
            | LayerConfig::Augmentation(_)
            | LayerConfig::Dropout(_)
            | LayerConfig::GaussianDropout(_)
            | LayerConfig::GaussianNoise(_)
            | LayerConfig::Identity(_)
            | LayerConfig::SpatialDropout1D(_)
            | LayerConfig::SpatialDropout2D(_)
            | LayerConfig::SpatialDropout3D(_)
            | LayerConfig::StochasticDepth(_) => plain(Estimate::exact(input.clone())),
            LayerConfig::AutoContrast(layer) => plain(images::auto_contrast(input, layer)),
            LayerConfig::AveragePooling1D(layer) => {
                plain(average_pool(input, &pool_axes(&layer.window, layer.data_format, input), false).into())
            }
            LayerConfig::AveragePooling2D(layer) => {
                plain(average_pool(input, &pool_axes(&layer.window, layer.data_format, input), false).into())
            }
            LayerConfig::AveragePooling3D(layer) => {
                plain(average_pool(input, &pool_axes(&layer.window, layer.data_format, input), false).into())
            }
            LayerConfig::BatchNormalization(layer) => plain(self.batch_normalization(layer)?),
            LayerConfig::Broadcast(layer) => {
                let [left, right] = self.sides(layer.constant.as_ref(), layer.values.as_ref())?;
                plain(operators::binary(&left, &right, layer.function))
            }
            LayerConfig::CenterCrop(layer) => plain(images::center_crop(input, layer)),
            LayerConfig::Concatenate(layer) => plain(Estimate::exact(concatenate(self.inputs, layer.axis as isize))),
            LayerConfig::Conv1D(layer) => self.conv(layer)?,
            LayerConfig::Conv2D(layer) => self.conv(layer)?,
            LayerConfig::Conv3D(layer) => self.conv(layer)?,
            LayerConfig::Conv1DTranspose(layer) => self.conv_transpose(layer)?,
            LayerConfig::Conv2DTranspose(layer) => self.conv_transpose(layer)?,
            LayerConfig::Conv3DTranspose(layer) => self.conv_transpose(layer)?,
            LayerConfig::Cropping1D(layer) => plain(resized(input, layer.data_format, &layer.cropping, -1)),
            LayerConfig::Cropping2D(layer) => plain(resized(input, layer.data_format, &layer.cropping, -1)),
            LayerConfig::Cropping3D(layer) => plain(resized(input, layer.data_format, &layer.cropping, -1)),
            LayerConfig::CustomScaleLayer(layer) => {
                let scale = f64::from(layer.scale);
                let exact = self.inputs[0].zip(&self.inputs[1], |x, y| x + scale * y);
                let magnitude = self.inputs[0].zip(&self.inputs[1], |x, y| x.abs() + (scale * y).abs());
                plain(Estimate { exact, bound: magnitude.map(|m| 2.0 * (UNIT + self.storage.unit()) * m) })
            }
            LayerConfig::Dense(layer) => {
                let (last, units) = (input.shape.last().copied().unwrap_or(1), layer.units as usize);
                let kernel = self.weight(0, &[last, units])?;
                let bias = layer.use_bias.then(|| self.weight(1, &[units])).transpose()?;
                (dense(input, &kernel, bias.as_ref()).into(), layer.activation)
            }
            LayerConfig::DepthwiseConv1D(layer) => self.depthwise_conv(layer)?,
            LayerConfig::DepthwiseConv2D(layer) => self.depthwise_conv(layer)?,
            LayerConfig::Dot(layer) => {
                let axes = match *layer.axes.as_slice() {
                    [left, right] => [left, right],
                    [both, ..] => [both; 2],
                    [] => [1; 2],
                };
                let axis = |i: usize| axes[i].rem_euclid(self.inputs[i].shape.len() as i32) as usize;
                let sides = [&self.inputs[0], &self.inputs[1]];
                plain(operators::batch_dot(
                    sides,
                    [axis(0), axis(1)],
                    layer.normalize.then_some(layer.epsilon),
                    self.storage,
                ))
            }
            LayerConfig::ELU(layer) => (Estimate::exact(input.clone()), Activation::Elu { alpha: layer.alpha }),
            LayerConfig::Einsum(layer) => plain(tensors::einsum(&layer.equation, self.inputs)),
            LayerConfig::EinsumDense(layer) => {
                let shape = Shape::from(input.shape.as_slice());
                let (.., kernel) = layer.resolved(&shape.into())?;
                let product = tensors::einsum(&layer.equation, &[input.clone(), self.weight(0, &kernel)?]);
                let biased = match self.weights.get(1) {
                    None => product,
                    Some(bias) => product.plus(&read(bias, self.storage)),
                };
                (biased, layer.activation)
            }
            LayerConfig::Embedding(layer) => {
                let table = self.weight(0, &[layer.input_dim as usize, layer.output_dim as usize])?;
                plain(Estimate::exact(tensors::take(&table, &self.given[0], 0)))
            }
            LayerConfig::Expand(layer) => {
                // An extent of 1 keeps what is there, so both sides broadcast.
                let shape: Vec<usize> = layer.shape.iter().map(|&extent| extent as usize).collect();
                let ones = Array::new(shape.clone(), vec![1.0; shape.iter().product()]);
                plain(Estimate::exact(input.zip(&ones, |x, _| x)))
            }
            LayerConfig::Flatten(layer) => {
                let rank = input.shape.len();
                let order: Vec<usize> = [0].into_iter().chain(2..rank).chain([1]).collect();
                let last = layer.data_format == DataFormat::ChannelsLast || rank < 3;
                let input = if last { input.clone() } else { input.transposed(&order) };
                let rest: usize = input.shape.iter().skip(1).product();
                plain(Estimate::exact(input.reshaped([input.shape[0], rest])))
            }
            LayerConfig::AdaptiveAveragePooling1D(layer) => plain(adaptive_mean(input, layer)),
            LayerConfig::AdaptiveAveragePooling2D(layer) => plain(adaptive_mean(input, layer)),
            LayerConfig::AdaptiveAveragePooling3D(layer) => plain(adaptive_mean(input, layer)),
            LayerConfig::AdaptiveMaxPooling1D(layer) => plain(adaptive_max(input, layer)),
            LayerConfig::AdaptiveMaxPooling2D(layer) => plain(adaptive_max(input, layer)),
            LayerConfig::AdaptiveMaxPooling3D(layer) => plain(adaptive_max(input, layer)),
            LayerConfig::GlobalAveragePooling1D(layer) => plain(match self.mask(0) {
                Some(mask) => masked_mean(input, layer, mask),
                None => global_mean(input, layer),
            }),
            LayerConfig::GlobalAveragePooling2D(layer) => plain(global_mean(input, layer)),
            LayerConfig::GlobalAveragePooling3D(layer) => plain(global_mean(input, layer)),
            LayerConfig::GlobalMaxPooling1D(layer) => plain(global_max(input, layer)),
            LayerConfig::GlobalMaxPooling2D(layer) => plain(global_max(input, layer)),
            LayerConfig::GlobalMaxPooling3D(layer) => plain(global_max(input, layer)),
            LayerConfig::GroupNormalization(layer) => plain(self.group_normalization(layer)?),
            LayerConfig::Index(layer) => plain(Estimate::exact(tensors::index(input, &layer.subscripts))),
            LayerConfig::LayerNormalization(layer) => plain(self.layer_normalization(layer)?),
            LayerConfig::LayerScale(layer) => {
                let gamma = self.weight(0, &[layer.projection_dim as usize])?;
                plain(operators::binary(input, &gamma, BinaryFunction::Multiply))
            }
            LayerConfig::LeakyReLU(layer) => {
                (Estimate::exact(input.clone()), Activation::LeakyRelu { negative_slope: layer.negative_slope })
            }
            LayerConfig::Map(layer) => plain(operators::unary(input, &layer.function)),
            LayerConfig::MatMul(layer) => {
                let [left, right] = self.sides(layer.constant.as_ref(), layer.values.as_ref())?;
                plain(operators::matrix_product(&left, &right))
            }
            LayerConfig::MaxPooling1D(layer) => {
                plain(Estimate::exact(max_pool(input, &pool_axes(&layer.window, layer.data_format, input))))
            }
            LayerConfig::MaxPooling2D(layer) => {
                plain(Estimate::exact(max_pool(input, &pool_axes(&layer.window, layer.data_format, input))))
            }
            LayerConfig::MaxPooling3D(layer) => {
                plain(Estimate::exact(max_pool(input, &pool_axes(&layer.window, layer.data_format, input))))
            }
            LayerConfig::Merge(layer) => plain(match self.merged_by_mask(layer.kind) {
                Some(merged) => merged,
                None => operators::merge(self.inputs, layer.kind, self.storage),
            }),
            LayerConfig::MergeTime(_) => {
                let shape = [&[input.shape[0] * input.shape[1]], &input.shape[2..]].concat();
                plain(Estimate::exact(input.reshaped(shape)))
            }
            LayerConfig::Normalization(layer) => plain(self.normalization(layer)?),
            LayerConfig::Pad(layer) => {
                let surround = match layer.mode {
                    PadMode::Constant(value) => Surround::Constant(value.into()),
                    PadMode::Edge => Surround::Edge,
                    PadMode::Reflect => Surround::Reflect,
                    PadMode::Wrap => Surround::Wrap,
                };
                let axes = layer.pads.iter().enumerate();
                let padded = axes.fold(input.clone(), |array, (axis, &[before, after])| {
                    pad(&array, axis, before as isize, after as isize, surround)
                });
                plain(Estimate::exact(padded))
            }
            LayerConfig::CategoryEncoding(layer) => {
                let given = match layer.output_mode {
                    layers::CategoryMode::MultiHot => self.given[0].map(f64::trunc),
                    _ => self.given[0].clone(),
                };
                plain(Estimate::exact(categories(&given, layer.output_mode, layer.num_tokens as usize)))
            }
            LayerConfig::Discretization(layer) => {
                let depth = layer.bin_boundaries.len() + 1;
                // NaN is below nothing, and lies in the last.
                let bin = |x: f64| {
                    let above = layer.bin_boundaries.iter().filter(|&&bound| x < f64::from(bound)).count();
                    (depth - 1 - above) as f64
                };
                plain(Estimate::exact(categories(&self.given[0].map(bin), layer.output_mode, depth)))
            }
            LayerConfig::ConvLSTM1D(layer) => plain(self.conv_lstm(layer)?),
            LayerConfig::ConvLSTM2D(layer) => plain(self.conv_lstm(layer)?),
            LayerConfig::ConvLSTM3D(layer) => plain(self.conv_lstm(layer)?),
            LayerConfig::IntegerLookup(layer) => plain(Estimate::exact(looked_up(layer, &self.given[0]))),
            LayerConfig::STFTSpectrogram(layer) => {
                let shape = [layer.frame_length as usize, 1, layer.bins() as usize];
                let kernels = (0..self.weights.len()).map(|number| self.weight(number, &shape));
                plain(spectrogram::stft(layer, input, &kernels.collect::<Result<Vec<_>>>()?))
            }
            LayerConfig::MelSpectrogram(layer) => plain(spectrogram::mel(layer, &self.given[0])?),
            LayerConfig::MaskedScores(layer) => plain(Estimate::exact(self.masked_scores(layer))),
            LayerConfig::Masking(layer) => {
                let last = input.shape.len() - 1;
                let any = input
                    .reduced(&[last], |set| f64::from(u8::from(set.iter().any(|&x| x != f64::from(layer.mask_value)))));
                plain(Estimate::exact(input.zip(&any, |x, any| if any == 0.0 { 0.0 } else { x })))
            }
            LayerConfig::GivenMask(_) => plain(Estimate::exact(input.clone())),
            LayerConfig::WithMask(layer) => plain(Estimate::exact(match self.mask(1).filter(|_| layer.zeros) {
                Some(mask) => input.zip(&column(mask), |x, mask| if mask == 0.0 { 0.0 } else { x }),
                None => input.clone(),
            })),
            LayerConfig::Permute(layer) => {
                let order: Vec<usize> = [0].into_iter().chain(layer.dims.iter().map(|&axis| axis as usize)).collect();
                plain(Estimate::exact(input.transposed(&order)))
            }
            LayerConfig::PReLU(layer) => {
                let shared = |axis: usize| layer.shared_axes.iter().flatten().any(|&shared| shared as usize == axis);
                let extents = input.shape.iter().enumerate().skip(1);
                let shape: Vec<usize> = extents.map(|(axis, &extent)| if shared(axis) { 1 } else { extent }).collect();
                plain(operators::binary(input, &self.weight(0, &shape)?, BinaryFunction::Prelu))
            }
            LayerConfig::Pool1D(layer) => plain(pool(input, layer)),
            LayerConfig::Pool2D(layer) => plain(pool(input, layer)),
            LayerConfig::Pool3D(layer) => plain(pool(input, layer)),
            LayerConfig::RMSNormalization(layer) => {
                let axis = self.axis(layer.axis);
                let extent = input.shape[axis];
                let scale = along(input, &[axis], &self.weight(0, &[extent])?.data);
                let mean = input.reduced(&[axis], |set| set.iter().map(|x| x * x).sum::<f64>() / extent as f64);
                let normed = input.zip(&mean, |x, mean| x / (mean + layer.epsilon).sqrt());
                plain(Estimate::rounded(normed.zip(&scale, |x, scale| x * scale), 16.0 + extent as f64))
            }
            LayerConfig::Recurrent(layer) => {
                let (channels, units) = (input.shape[2], layer.units as usize);
                let values = layer.cell.gates() * units;
                let kernel = self.weight(0, &[channels, values])?;
                let recurrent = self.weight(1, &[units, values])?;
                let bias = self.weights.get(2).map(|bias| read(bias, self.storage));
                let begin = &self.inputs[1..];
                plain(recurrent::states(layer, input, &kernel, &recurrent, bias.as_ref(), begin, self.mask(0)))
            }
            LayerConfig::Reduce(layer) => {
                let all = (0..input.shape.len()).collect();
                let axes = if layer.axes.is_empty() { all } else { self.axes(&layer.axes) };
                plain(global(reduce(input, layer.function, &axes), &axes, layer.keepdims))
            }
            LayerConfig::ReLU(layer) => {
                let layers::ReLU { max_value, negative_slope, threshold, .. } = *layer;
                (Estimate::exact(input.clone()), Activation::Relu { negative_slope, max_value, threshold })
            }
            LayerConfig::RepeatVector(layer) => {
                let [batch, features] = [input.shape[0], input.shape[1]];
                plain(Estimate::exact(repeat(&input.reshaped([batch, 1, features]), 1, layer.n as usize)))
            }
            LayerConfig::Rescaling(layer) => {
                let channel = if layer.data_format == DataFormat::ChannelsFirst { 1 } else { input.shape.len() - 1 };
                let per_channel = |values: &[f64]| match values {
                    [one] => Array::new([], [*one]),
                    each => along(input, &[channel], each),
                };
                let (scale, offset) = (per_channel(layer.scale.as_slice()), per_channel(layer.offset.as_slice()));
                plain(scale_and_shift(input, &scale, &offset, UNIT + self.storage.unit()))
            }
            LayerConfig::Reshape(layer) => {
                let known: usize =
                    layer.target_shape.iter().filter_map(|&extent| usize::try_from(extent).ok()).product();
                let rest = input.shape[1..].iter().product::<usize>() / known.max(1);
                let extents = layer.target_shape.iter().map(|&extent| usize::try_from(extent).unwrap_or(rest));
                let shape: Vec<usize> = [input.shape[0]].into_iter().chain(extents).collect();
                plain(Estimate::exact(input.reshaped(shape)))
            }
            LayerConfig::Resize(layer) => plain(resize(input, layer)),
            LayerConfig::Resizing(layer) => plain(images::resizing(input, layer)),
            LayerConfig::SeparableConv1D(layer) => (self.separable_conv(layer)?, layer.arguments.activation),
            LayerConfig::SeparableConv2D(layer) => (self.separable_conv(layer)?, layer.arguments.activation),
            LayerConfig::Slice(layer) => {
                let mut sliced = input.clone();
                for (i, (&start, &end)) in layer.starts.iter().zip(&layer.ends).enumerate() {
                    let axis = layer.axes.get(i).map_or(i, |&axis| self.axis(axis));
                    sliced = operators::slice(&sliced, axis, start, end, layer.steps.get(i).copied().unwrap_or(1));
                }
                plain(Estimate::exact(sliced))
            }
            LayerConfig::SplitTime(_) => {
                let shape = [&self.inputs[1].shape[..2], &input.shape[1..]].concat();
                plain(Estimate::exact(input.reshaped(shape)))
            }
            LayerConfig::Softmax(layer) => {
                let kept = |x, kept| if kept == 0.0 { -30_000.0 } else { x };
                let input = self.mask(0).map_or_else(|| input.clone(), |mask| input.zip(mask, kept));
                (Estimate::exact(input), Activation::Softmax { axis: layer.axis })
            }
            LayerConfig::UnitNormalization(layer) => {
                plain(unit_normalize(input, &self.axes(layer.axis.as_slice()), layer.epsilon.powi(2)))
            }
            LayerConfig::UpSampling1D(layer) => plain(repeated(input, layer)),
            LayerConfig::UpSampling2D(layer) => plain(up_sampling(input, layer)),
            LayerConfig::Take(layer) => {
                let own = layer.indices.as_ref();
                let own = own.map(|own| {
                    Array::new(own.shape.dims(), own.values.iter().map(|&n| n.into()).collect::<Vec<f64>>())
                });
                let numbers = own.as_ref().or(self.given.get(1)).unwrap_or(input);
                let axis = self.axis(layer.axis);
                plain(Estimate::exact(match (layer.along, layer.batch_dims) {
                    (true, _) => tensors::take_along(input, numbers, axis),
                    (false, 0) => tensors::take(input, numbers, axis),
                    (false, batch) => tensors::take_in_batches(input, numbers, axis, batch as usize),
                }))
            }
            LayerConfig::UpSampling3D(layer) => plain(repeated(input, layer)),
            LayerConfig::Transpose(layer) => {
                let order: Vec<usize> = layer.order.iter().map(|&axis| axis as usize).collect();
                plain(Estimate::exact(input.transposed(&order)))
            }
            LayerConfig::TransposedConv1D(layer) => plain(self.transposed_conv(layer)?),
            LayerConfig::TransposedConv2D(layer) => plain(self.transposed_conv(layer)?),
            LayerConfig::TransposedConv3D(layer) => plain(self.transposed_conv(layer)?),
            LayerConfig::Values(layer) => {
                let shape: Vec<usize> = layer.shape.iter().map(|&extent| extent as usize).collect();
                plain(Estimate::exact(self.weight(0, &shape)?))
            }
            LayerConfig::View(layer) => {
                let shape = layer.output_shape(Shape::from(input.shape.as_slice()))?.known().unwrap_or_default();
                plain(Estimate::exact(Array::new(shape.dims(), input.data.clone())))
            }
            LayerConfig::Wgsl(_) => {
                return Err(Error::unsupported(
                    "the reference of a layer in WGSL",
                    "what its code computes is not known",
                ));
            }
            LayerConfig::ZeroPadding1D(layer) => plain(resized(input, layer.data_format, &layer.padding, 1)),
            LayerConfig::ZeroPadding2D(layer) => plain(resized(input, layer.data_format, &layer.padding, 1)),
            LayerConfig::ZeroPadding3D(layer) => plain(resized(input, layer.data_format, &layer.padding, 1)),
        })
    }

    /// Weight number `index`, which must have this shape, as the layer reads it.
    fn weight(&self, index: usize, shape: &[usize]) -> Result<Array> {
        self.stored_weight(index, shape).map(|weight| read(weight, self.storage))
    }

    fn stored_weight(&self, index: usize, shape: &[usize]) -> Result<&Array> {
        match self.weights.get(index) {
            Some(weight) if weight.shape == shape => Ok(weight),
            other => Err(Error::invalid(
                "weights",
                format!("weight {index} of {} must have the shape {shape:?}", self.layer.class_name()),
                other.map_or_else(|| "none".to_owned(), |weight| format!("{:?}", weight.shape)),
            )),
        }
    }

    /// The sides of an operation on two, of which one may be the only weight.
    fn sides(&self, constant: Option<&ConstantSide>, values: Option<&HostTensor>) -> Result<[Array; 2]> {
        let of = |shape: &Shape| match values {
            Some(values) => {
                let data: Vec<f64> = values.values.iter().map(|&value| value.into()).collect();
                Ok(read(&Array::new(shape.dims(), data), self.storage))
            }
            None => self.weight(0, shape.dims()),
        };
        Ok(match constant {
            None => [self.inputs[0].clone(), self.inputs[1].clone()],
            Some(ConstantSide::Left(shape)) => [of(shape)?, self.input.clone()],
            Some(ConstantSide::Right(shape)) => [self.input.clone(), of(shape)?],
        })
    }

    fn convolution<const R: usize>(&self, arguments: &ConvArguments<R>) -> Convolution<R> {
        let window = &arguments.window;
        let channels_first = arguments.data_format == DataFormat::ChannelsFirst;
        Convolution {
            channels: self.input.shape[if channels_first { 1 } else { R + 1 }],
            window: ReferenceWindow {
                strides: window.strides.map(|stride| stride as usize),
                dilation_rate: window.dilation_rate.map(|rate| rate as usize),
                padding: match window.padding {
                    crate::Padding::Valid => ReferencePadding::Valid,
                    crate::Padding::Same => ReferencePadding::Same,
                    crate::Padding::Causal => ReferencePadding::Explicit(std::array::from_fn(|axis| {
                        [(window.kernel_size[axis] as usize - 1) * window.dilation_rate[axis] as usize, 0]
                    })),
                },
                channels_first,
            },
            activation: arguments.activation,
            use_bias: arguments.use_bias,
        }
    }

    fn conv_lstm<const R: usize>(&self, layer: &layers::ConvLSTM<R>) -> Result<Estimate> {
        let Convolution { window, .. } = self.convolution(&layer.arguments);
        let channels = self.input.shape[if window.channels_first { 2 } else { R + 2 }];
        let filters = layer.filters as usize;
        let values = 4 * filters;
        let of = ConvLstm {
            layer,
            window,
            kernel: self.weight(0, &kernel_shape(&layer.arguments, [channels, values]))?,
            recurrent: self.weight(1, &kernel_shape(&layer.arguments, [filters, values]))?,
            bias: layer.arguments.use_bias.then(|| self.weight(2, &[values])).transpose()?,
            begin: &self.inputs[1..],
            mask: self.mask(0),
        };
        Ok(of.states(self.input))
    }

    fn conv<const R: usize>(&self, layer: &layers::Conv<R>) -> Result<(Estimate, Activation)> {
        let Convolution { channels, window, activation, use_bias } = self.convolution(&layer.arguments);
        let (groups, filters) = (layer.groups as usize, layer.filters as usize);
        let kernel = self.weight(0, &kernel_shape(&layer.arguments, [channels / groups, filters]))?;
        let bias = use_bias.then(|| self.weight(1, &[filters])).transpose()?;
        let convolved = conv(self.input, &kernel, bias.as_ref(), groups, &window);
        let may_be_tiled = have_tiles(&kernel.shape[..R]) && window.strides.ends_with(&[1, 1]) && groups == 1;
        let convolved = if may_be_tiled { convolved.in_tiles(window.channels_first, [1, 1]) } else { convolved };
        Ok((convolved.into(), activation))
    }

    fn conv_transpose<const R: usize>(&self, layer: &layers::ConvTranspose<R>) -> Result<(Estimate, Activation)> {
        let Convolution { channels, window, activation, use_bias } = self.convolution(&layer.arguments);
        let filters = layer.filters as usize;
        let kernel = self.weight(0, &kernel_shape(&layer.arguments, [filters, channels]))?;
        let bias = use_bias.then(|| self.weight(1, &[filters])).transpose()?;
        let output_padding = layer.output_padding.map(|padding| padding.map(|extra| extra as usize));
        let transposed = Transposed { window, output_padding };
        Ok((
            transposed_in_tiles(conv_transpose(self.input, &kernel, bias.as_ref(), &transposed), &kernel, &window),
            activation,
        ))
    }

    fn depthwise_conv<const R: usize>(&self, layer: &layers::DepthwiseConv<R>) -> Result<(Estimate, Activation)> {
        let Convolution { channels, window, activation, use_bias } = self.convolution(&layer.arguments);
        let multiplier = layer.depth_multiplier as usize;
        let kernel = self.weight(0, &kernel_shape(&layer.arguments, [channels, multiplier]))?;
        let bias = use_bias.then(|| self.weight(1, &[channels * multiplier])).transpose()?;
        Ok((depthwise_conv(self.input, &kernel, bias.as_ref(), &window).into(), activation))
    }

    /// The result of the depthwise step is stored: its errors go through the pointwise one ([`passed_on`]), which adds its own.
    fn separable_conv<const R: usize>(&self, layer: &layers::SeparableConv<R>) -> Result<Estimate> {
        let Convolution { channels, window, use_bias, .. } = self.convolution(&layer.arguments);
        let (multiplier, filters) = (layer.depth_multiplier as usize, layer.filters as usize);
        let depthwise = self.weight(0, &kernel_shape(&layer.arguments, [channels, multiplier]))?;
        let pointwise = self.weight(1, &[&[1; R][..], &[channels * multiplier, filters]].concat())?;
        let bias = use_bias.then(|| self.weight(2, &[filters])).transpose()?;
        let between = Estimate::from(depthwise_conv(self.input, &depthwise, None, &window)).stored(self.storage);
        let window = ReferenceWindow::<R> { channels_first: window.channels_first, ..ReferenceWindow::default() };
        let own = Estimate::from(conv(&between.exact, &pointwise, bias.as_ref(), 1, &window));
        let through = passed_on(&between.bound, &pointwise, &window, self.storage);
        Ok(Estimate { bound: own.bound.zip(&through, |own, through| own + through), ..own })
    }

    /// Each group by itself.
    fn transposed_conv<const R: usize>(&self, layer: &layers::TransposedConv<R>) -> Result<Estimate> {
        let channels_first = layer.data_format == DataFormat::ChannelsFirst;
        let axis = if channels_first { 1 } else { R + 1 };
        let (channels, groups) = (self.input.shape[axis], layer.groups as usize);
        let [per_group, filters] = [channels / groups, layer.filters as usize / groups];
        let taps = layer.kernel_size.iter().map(|&size| size as usize);
        let kernel = self.weight(0, &taps.chain([filters, channels]).collect::<Vec<_>>())?;
        let bias = layer.use_bias.then(|| self.weight(1, &[filters * groups])).transpose()?;
        let window = ReferenceWindow {
            strides: layer.strides.map(|stride| stride as usize),
            dilation_rate: layer.dilation_rate.map(|rate| rate as usize),
            padding: ReferencePadding::Explicit(layer.pads.map(|pads| pads.map(|pad| pad.max(0) as usize))),
            channels_first,
        };
        let output_padding = Some(layer.pads.map(|[_, after]| after.min(0).unsigned_abs() as usize));
        let transposed = Transposed { window, output_padding };
        let parts = (0..groups).map(|group| {
            let input = self.input.slice(axis, group * per_group, per_group);
            let kernel = kernel.slice(R + 1, group * per_group, per_group);
            let bias = bias.as_ref().map(|bias| bias.slice(0, group * filters, filters));
            let convolved = conv_transpose(&input, &kernel, bias.as_ref(), &transposed);
            transposed_in_tiles(convolved, &kernel, &transposed.window)
        });
        let (exact, bound): (Vec<_>, Vec<_>) = parts.map(|part| (part.exact, part.bound)).unzip();
        Ok(Estimate { exact: Array::joined(axis, &exact), bound: Array::joined(axis, &bound) })
    }

    fn batch_normalization(&self, layer: &layers::BatchNormalization) -> Result<Estimate> {
        let axis = self.axis(layer.axis);
        let shape = [self.input.shape[axis]];
        let mut weights = (0..).map(|index| self.stored_weight(index, &shape).cloned());
        let mut next = |present: bool| if present { weights.next().transpose() } else { Ok(None) };
        let gamma = next(layer.scale)?;
        let beta = next(layer.center)?;
        let [Some(moving_mean), Some(moving_variance)] = [next(true)?, next(true)?] else {
            return Err(Error::invalid("weights", "batch normalization must have moving statistics", "none"));
        };
        let norm = BatchStatistics { gamma, beta, moving_mean, moving_variance, epsilon: layer.epsilon };
        // Scale and shift are made in f64 and then rounded as the policy stores them.
        Ok(estimated_batch_normalization(self.input, &norm, axis as isize, UNIT + self.storage.unit()))
    }

    fn group_normalization(&self, layer: &layers::GroupNormalization) -> Result<Estimate> {
        let axis = self.axis(layer.axis);
        let shape = &self.input.shape;
        let channels = shape[axis];
        let groups = usize::try_from(layer.groups).unwrap_or(channels);
        // The channels as two axes, the groups and the channels of each.
        let split = |shape: &[usize]| {
            let mut split = shape.to_vec();
            split.splice(axis..=axis, [groups, channels / groups]);
            split
        };
        let [gamma, beta] = self.gamma_and_beta([layer.scale, layer.center], &[channels], |weight| {
            weight.reshaped(split(&along(self.input, &[axis], &weight.data).shape))
        })?;
        let norm = Norm { gamma: gamma.as_ref(), beta: beta.as_ref(), epsilon: layer.epsilon, centered: true };
        let axes: Vec<usize> = (1..=shape.len()).filter(|&i| i != axis).collect();
        let Estimate { exact, bound } = normalize(&self.input.reshaped(split(shape)), &axes, &norm);
        Ok(Estimate { exact: exact.reshaped(shape.clone()), bound: bound.reshaped(shape.clone()) })
    }

    fn layer_normalization(&self, layer: &layers::LayerNormalization) -> Result<Estimate> {
        let axes = self.axes(layer.axis.as_slice());
        let extents: Vec<usize> = axes.iter().map(|&axis| self.input.shape[axis]).collect();
        let present = if layer.rms_scaling { [true, false] } else { [layer.scale, layer.center] };
        let [gamma, beta] = self.gamma_and_beta(present, &extents, |weight| along(self.input, &axes, &weight.data))?;
        let (epsilon, centered) = (layer.epsilon, !layer.rms_scaling);
        Ok(normalize(self.input, &axes, &Norm { gamma: gamma.as_ref(), beta: beta.as_ref(), epsilon, centered }))
    }

    /// Gamma and beta, of those weights that are present, in a shape that broadcasts to the input.
    fn gamma_and_beta(
        &self,
        present: [bool; 2],
        shape: &[usize],
        broadcast: impl Fn(&Array) -> Array,
    ) -> Result<[Option<Array>; 2]> {
        let mut index = 0;
        let mut both = [None, None];
        for (weight, present) in both.iter_mut().zip(present) {
            if present {
                *weight = Some(broadcast(&self.weight(index, shape)?));
                index += 1;
            }
        }
        Ok(both)
    }

    /// `(x - mean) / √variance`, or that undone.
    fn normalization(&self, layer: &layers::Normalization) -> Result<Estimate> {
        let axes = self.axes(&layer.axis);
        let extents: Vec<usize> = axes.iter().map(|&axis| self.input.shape[axis]).collect();
        let given = |value: &HostTensor| value.values.iter().copied().map(f64::from).collect::<Vec<_>>();
        let (mean, variance) = match (&layer.mean, &layer.variance) {
            (Some(mean), Some(variance)) => (given(mean), given(variance)),
            _ => (self.stored_weight(0, &extents)?.data.clone(), self.stored_weight(1, &extents)?.data.clone()),
        };
        let broadcast = |values: &[f64]| match values {
            [one] => Array::new([], [*one]),
            each => along(self.input, &axes, each),
        };
        let (mean, deviation) = (broadcast(&mean), broadcast(&variance).map(|variance| variance.sqrt().max(1e-7)));
        let (scale, shift) = if layer.invert {
            (deviation, mean)
        } else {
            (deviation.map(f64::recip), mean.zip(&deviation, |mean, deviation| -mean / deviation))
        };
        Ok(scale_and_shift(self.input, &scale, &shift, UNIT + self.storage.unit()))
    }

    /// Axes of the input in its order.
    fn axes(&self, axes: &[i32]) -> Vec<usize> {
        let mut axes: Vec<usize> = axes.iter().map(|&axis| self.axis(axis)).collect();
        axes.sort_unstable();
        axes
    }

    /// An axis of the input from one that may count from the end.
    fn axis(&self, axis: i32) -> usize {
        (axis as isize).rem_euclid(self.input.shape.len() as isize) as usize
    }
}

/// What the convolution layers have in common, for one input.
struct Convolution<const R: usize> {
    channels: usize,
    window: ReferenceWindow<R>,
    activation: Activation,
    use_bias: bool,
}

/// Whether Winograd's algorithm has tiles for windows of these taps along each axis: by 2×2 or 3×3 along the last two.
fn have_tiles(taps: &[usize]) -> bool {
    [[2, 2], [3, 3]].iter().any(|own| taps.ends_with(own))
}

/// A transposed convolution as it may be computed: by tiles of each of the phases that the strides make, over two axes, or over three
/// of which the first does nothing.
fn transposed_in_tiles<const R: usize>(of: Convolved, kernel: &Array, window: &ReferenceWindow<R>) -> Estimate {
    let taps: [usize; R] = std::array::from_fn(|axis| kernel.shape[axis].div_ceil(window.strides[axis]));
    match window.strides[..] {
        [ref first @ .., down, across]
            if have_tiles(&taps) && first.iter().chain(&kernel.shape[..first.len()]).all(|&extent| extent == 1) =>
        {
            of.in_tiles(window.channels_first, [down, across]).into()
        }
        _ => of.into(),
    }
}

/// The shape of a kernel with `channels` behind its axes.
fn kernel_shape<const R: usize>(arguments: &ConvArguments<R>, channels: [usize; 2]) -> Vec<usize> {
    arguments.window.kernel_size.iter().map(|&size| size as usize).chain(channels).collect()
}

/// The spatial axes.
fn spatial<const R: usize>(format: DataFormat) -> [usize; R] {
    let first = match format {
        DataFormat::ChannelsLast => 1,
        DataFormat::ChannelsFirst => 2,
    };
    std::array::from_fn(|axis| first + axis)
}

fn global_mean<const R: usize>(input: &Array, layer: &layers::GlobalAveragePooling<R>) -> Estimate {
    let axes = spatial::<R>(layer.data_format);
    global(mean(input, &axes).into(), &axes, layer.keepdims)
}

fn global_max<const R: usize>(input: &Array, layer: &layers::GlobalMaxPooling<R>) -> Estimate {
    let axes = spatial::<R>(layer.data_format);
    global(Estimate::exact(input.reduced(&axes, largest)), &axes, layer.keepdims)
}

/// The spatial axes, with what is to become of each.
fn to_size<const R: usize>(format: DataFormat, size: [u32; R]) -> [(usize, usize); R] {
    let axes = spatial::<R>(format);
    std::array::from_fn(|axis| (axes[axis], size[axis] as usize))
}

fn adaptive_mean<const R: usize>(input: &Array, layer: &layers::AdaptiveAveragePooling<R>) -> Estimate {
    super::adaptive_average_pool(input, &to_size(layer.data_format, layer.output_size)).into()
}

fn adaptive_max<const R: usize>(input: &Array, layer: &layers::AdaptiveMaxPooling<R>) -> Estimate {
    Estimate::exact(super::adaptive_max_pool(input, &to_size(layer.data_format, layer.output_size)))
}

/// A result without the axes of extent 1 that a reduction left, unless they are kept.
fn global(mut result: Estimate, axes: &[usize], keepdims: bool) -> Estimate {
    if !keepdims {
        for array in [&mut result.exact, &mut result.bound] {
            let shape = array.shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
            array.shape = shape.map(|(_, &extent)| extent).collect();
        }
    }
    result
}

/// Values that lie along `axes` of `input`, with extent 1 along the others.
fn along(input: &Array, axes: &[usize], values: &[f64]) -> Array {
    let extent = |(axis, &extent): (usize, &usize)| if axes.contains(&axis) { extent } else { 1 };
    Array::new(input.shape.iter().enumerate().map(extent).collect::<Vec<_>>(), values)
}

fn largest(set: &[f64]) -> f64 {
    set.iter().copied().fold(f64::NEG_INFINITY, larger)
}

/// Zeros at the sides of the spatial axes, or, where `sign` is -1, less of them.
fn resized<const R: usize>(input: &Array, format: DataFormat, sides: &layers::Sides<R>, sign: isize) -> Estimate {
    let axes = spatial::<R>(format).into_iter().zip(sides.0);
    Estimate::exact(axes.fold(input.clone(), |array, (axis, sides)| {
        let [before, after] = sides.map(|side| sign * side as isize);
        pad(&array, axis, before, after, Surround::Constant(0.0))
    }))
}

/// The windows of Keras's pooling layers.
fn pool_axes<const R: usize>(window: &layers::Window<R>, format: DataFormat, input: &Array) -> [PoolAxis; R] {
    std::array::from_fn(|i| {
        let axis = spatial::<R>(format)[i];
        let pool = PoolAxis::new(axis, window.kernel_size[i] as usize, window.strides[i] as usize);
        match window.padding {
            crate::Padding::Valid | crate::Padding::Causal => pool,
            crate::Padding::Same => pool.same(input.shape[axis]),
        }
    })
}

fn pool<const R: usize>(input: &Array, layer: &layers::Pool<R>) -> Estimate {
    let axes: [PoolAxis; R] = std::array::from_fn(|i| {
        let axis = spatial::<R>(layer.data_format)[i];
        let dilation = layer.dilation_rate[i] as usize;
        let pool = PoolAxis::new(axis, layer.kernel_size[i] as usize, layer.strides[i] as usize);
        let pool = PoolAxis { dilation, ceil: layer.ceil_mode, ..pool };
        match layer.pads {
            Pads::Explicit(pads) => PoolAxis { padding: pads[i].map(|pad| pad as usize), ..pool },
            Pads::SameUpper => pool.same(input.shape[axis]),
            Pads::SameLower => {
                let mut pool = pool.same(input.shape[axis]);
                pool.padding.reverse();
                pool
            }
        }
    });
    match layer.function {
        Pooling::Max => Estimate::exact(max_pool(input, &axes)),
        Pooling::Average => average_pool(input, &axes, false).into(),
        Pooling::AverageWithPads => average_pool(input, &axes, true).into(),
    }
}

/// One value of each set of elements that differ along `axes` only.
fn reduce(input: &Array, function: ReduceFunction, axes: &[usize]) -> Estimate {
    let summed = |array: &Array| Estimate::from(total(array, axes));
    // A function of a sum, which passes an error on by its slope and makes one of its own.
    let then = |of: Estimate, function: fn(f64) -> f64, slope: fn(f64) -> f64, own: fn(f64) -> f64| {
        let bound = of.exact.zip(&of.bound, |s, e| if e == 0.0 { 0.0 } else { slope(s) * e } + own(function(s)));
        Estimate { exact: of.exact.map(function), bound }
    };
    let square = |x: f64| x * x;
    match function {
        ReduceFunction::Mean => mean(input, axes).into(),
        ReduceFunction::Max => Estimate::exact(input.reduced(axes, largest)),
        ReduceFunction::Min => Estimate::exact(input.map(|x| -x).reduced(axes, largest).map(|x| -x)),
        ReduceFunction::Sum => summed(input),
        ReduceFunction::SumSquare => summed(&input.map(square)),
        ReduceFunction::L1 => summed(&input.map(f64::abs)),
        ReduceFunction::L2 => then(summed(&input.map(square)), f64::sqrt, |s| 0.5 / s.sqrt(), |y| 4.0 * UNIT * y),
        ReduceFunction::LogSum => {
            then(summed(input), f64::ln, |s| 1.0 / s.abs(), |y| ACTIVATION + ACTIVATION * y.abs())
        }
        ReduceFunction::LogSumExp => {
            let most = input.reduced(axes, largest);
            let shifted = input.zip(&most, |x, most| x - most);
            let sums = summed(&shifted.map(f64::exp));
            // Each exponential misses by a part of itself and by the error of its argument.
            let reach = shifted.map(f64::abs).reduced(axes, largest);
            let relative =
                sums.bound.zip(&sums.exact, |e, s| e / s).zip(&reach, |e, r| e + EXPONENTIAL + 2.0 * UNIT * r);
            let exact = sums.exact.map(f64::ln).zip(&most, |log, most| log + most);
            let bound = relative.zip(&exact, |e, y| e + ACTIVATION + (ACTIVATION + UNIT) * y.abs());
            Estimate { exact, bound: bound.zip(&most, |bound, most| bound + UNIT * most.abs()) }
        }
    }
}

fn repeated<const R: usize>(input: &Array, layer: &layers::UpSampling<R>) -> Estimate {
    let axes = spatial::<R>(layer.data_format).into_iter().zip(layer.size);
    Estimate::exact(axes.fold(input.clone(), |array, (axis, times)| repeat(&array, axis, times as usize)))
}

fn up_sampling(input: &Array, layer: &layers::UpSampling2D) -> Estimate {
    let axes = [0, 1].map(|i| (spatial::<2>(layer.data_format)[i], layer.size[i] as usize));
    let between = match layer.interpolation {
        Upsampling::Nearest => return repeated(input, layer),
        Upsampling::Bilinear => Between::Linear,
        Upsampling::Bicubic => Between::Cubic { a: -0.5, exclude_outside: true },
    };
    let positions = axes.map(|(axis, times)| {
        let centre = |i: usize| (i as f64 + 0.5) / times as f64 - 0.5;
        (axis, (0..input.shape[axis] * times).map(centre).collect::<Vec<_>>())
    });
    resampled(input, &positions, between)
}

/// Height and width, each resampled, with weights that were rounded to `f32`.
fn resampled(input: &Array, positions: &[(usize, Vec<f64>); 2], between: Between) -> Estimate {
    let [(first, rows), (second, columns)] = positions;
    let over = |array: &Array| resample(array, *first, rows, between);
    let Convolved { exact, magnitude, terms, .. } = over(input);
    let columns = |array: &Array| resample(array, *second, columns, between);
    let (exact, across) = (columns(&exact), columns(&magnitude));
    let (exact, magnitude, terms) = (exact.exact, across.magnitude, terms * exact.terms + 2);
    Convolved { exact, partial: magnitude.clone(), magnitude, terms }.into()
}

/// ONNX's Resize by onnxruntime's arithmetic, which is f32: where a position lies follows from it.
fn resize(input: &Array, layer: &layers::Resize) -> Estimate {
    let extents = spatial::<2>(layer.data_format).map(|axis| input.shape[axis]);
    let sizes = [0, 1].map(|i| {
        let from = extents[i] as f32;
        match layer.to {
            ResizeTo::Sizes(sizes) => (sizes[i] as usize, sizes[i] as f32 / from),
            ResizeTo::Scales(scales) => ((from * scales[i] as f32) as usize, scales[i] as f32),
            ResizeTo::RoundedScales(scales) => ((from * scales[i] as f32).round() as usize, scales[i] as f32),
        }
    });
    if sizes.map(|(to, _)| to) == extents {
        return Estimate::exact(input.clone());
    }
    let positions = [0, 1].map(|i| {
        let axis = spatial::<2>(layer.data_format)[i];
        let (from, (to, scale)) = (extents[i] as f32, sizes[i]);
        let centre = |o: f32| (o + 0.5) / scale - 0.5;
        let position = |o: usize| match (layer.coordinates, o as f32) {
            (Coordinates::HalfPixel, o) => centre(o),
            // What of the scaled extent the output lacks, it lacks at both ends alike.
            (Coordinates::HalfPixelSymmetric, o) => {
                let lacking = 1.0 - f64::from(to as f32 / (scale * from));
                (f64::from(from) / 2.0 * lacking + (f64::from(o) + 0.5) / f64::from(scale) - 0.5) as f32
            }
            (Coordinates::PytorchHalfPixel | Coordinates::AlignCorners, _) if to == 1 => 0.0,
            (Coordinates::PytorchHalfPixel, o) => centre(o),
            (Coordinates::Asymmetric, o) => o / scale,
            (Coordinates::AlignCorners, o) => o * (from - 1.0) / (to as f32 - 1.0),
        };
        let position = |o: usize| f64::from(position(o));
        (axis, (0..to).map(position).collect::<Vec<_>>())
    });
    let shrinks = |axis: usize| (0..2).any(|i| spatial::<2>(layer.data_format)[i] == axis && sizes[i].1 < 1.0);
    match layer.interpolation {
        Interpolation::Nearest(nearest) => {
            let picked = positions.iter().fold(input.clone(), |array, (axis, positions)| {
                let last = input.shape[*axis] as f64 - 1.0;
                let place = |&position: &f64| {
                    let in_the_middle = (position.fract().abs() - 0.5).abs() <= 1e-6;
                    let place = match nearest {
                        Nearest::Simple if shrinks(*axis) => position.ceil(),
                        Nearest::Floor | Nearest::Simple => position.floor(),
                        Nearest::Ceil => position.ceil(),
                        Nearest::RoundPreferFloor if in_the_middle => position.floor(),
                        Nearest::RoundPreferCeil if in_the_middle => position.ceil(),
                        Nearest::RoundPreferFloor | Nearest::RoundPreferCeil => position.round(),
                    };
                    place.clamp(0.0, last) as usize
                };
                array.gathered(*axis, &positions.iter().map(place).collect::<Vec<_>>())
            });
            Estimate::exact(picked)
        }
        Interpolation::Linear => resampled(input, &positions, Between::Linear),
        Interpolation::Cubic { a, exclude_outside } => {
            let Estimate { exact, bound } = resampled(input, &positions, Between::Cubic { a, exclude_outside });
            // The weights are polynomials computed in f32, whose terms reach 48·|a| where they come to less than 1: an error of
            // some units of that in each, and what lies outside divides by a sum not far from 1.
            let largest =
                input.data.iter().filter(|value| value.is_finite()).fold(0.0, |most: f64, x| most.max(x.abs()));
            let weights = 2.0 * 48.0 * a.abs().max(0.5) * UNIT * largest;
            Estimate { bound: bound.map(|bound| bound + weights), exact }
        }
    }
}

/// An activation by name, with its parameters.
pub(super) fn named(activation: &Activation) -> (&'static str, Vec<(&'static str, f64)>) {
    let number = |name: &'static str, value: f32| vec![(name, f64::from(value))];
    let parameters = match *activation {
        Activation::Relu { negative_slope, max_value, threshold } => {
            let mut parameters = number("negative_slope", negative_slope);
            parameters.extend(max_value.map(|value| ("max_value", f64::from(value))));
            parameters.extend(number("threshold", threshold));
            parameters
        }
        Activation::LeakyRelu { negative_slope } => number("negative_slope", negative_slope),
        Activation::Elu { alpha } | Activation::Celu { alpha } => number("alpha", alpha),
        Activation::Gelu { approximate } => vec![("approximate", f64::from(u8::from(approximate)))],
        Activation::Squareplus { b } => number("b", b),
        Activation::HardShrink { threshold } | Activation::SoftShrink { threshold } => number("threshold", threshold),
        Activation::Threshold { threshold, default_value } => {
            [number("threshold", threshold), number("default_value", default_value)].concat()
        }
        Activation::Softmax { axis }
        | Activation::LogSoftmax { axis }
        | Activation::Sparsemax { axis }
        | Activation::Glu { axis } => vec![("axis", f64::from(axis))],
        _ => Vec::new(),
    };
    (activation.name(), parameters)
}
