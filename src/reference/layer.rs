//! Layers from their descriptions.

use super::tolerance::{UNIT, activated};
use super::{
    Array, BatchNormalization, Convolved, Estimate, Expected, Padding, Storage, Window, conv2d, dense,
    depthwise_conv2d, estimated_batch_normalization, mean,
};
use crate::layers::{self, ConvArguments, LayerConfig};
use crate::{Activation, DTypePolicy, DataFormat, Error, PartialShape, Result, Shape};

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
    let storage = storage(layer.common().dtype)?;
    let shapes: Vec<PartialShape> = inputs.iter().map(|input| Shape::from(input.shape.as_slice()).into()).collect();
    layer.output_shape_all(&shapes)?;
    let inputs: Vec<Array> = inputs.iter().map(|input| read(input, storage)).collect();
    let given = Given { layer, input: &inputs[0], weights, storage };
    let (estimate, activation) = given.estimate()?;
    if activation == Activation::Linear {
        let Estimate { exact, bound } = estimate.stored(storage);
        return Ok(Expected { exact, bound: bound.data });
    }
    // An activation along an axis, and one of a dense layer, reads what was stored; the other ones read the sum itself,
    // which allows less.
    let fused =
        activation.axis().is_none() && matches!(layer, LayerConfig::Conv2D(_) | LayerConfig::DepthwiseConv2D(_));
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
        Storage::F16 => array.map(|value| half::f16::from_f64(value).to_f64()),
        Storage::BF16 => array.map(|value| half::bf16::from_f64(value).to_f64()),
    }
}

/// A layer with what it is given.
struct Given<'a> {
    layer: &'a LayerConfig,
    input: &'a Array,
    weights: &'a [Array],
    storage: Storage,
}

impl Given<'_> {
    /// The layer before its activation, and that.
    fn estimate(&self) -> Result<(Estimate, Activation)> {
        let input = self.input;
        let plain = |estimate| (estimate, Activation::Linear);
        Ok(match self.layer {
            LayerConfig::Activation(layer) => (Estimate::exact(input.clone()), layer.activation),
            LayerConfig::BatchNormalization(layer) => plain(self.batch_normalization(layer)?),
            LayerConfig::Conv2D(layer) => {
                let Convolution { channels, window, activation, use_bias } = self.convolution(&layer.arguments);
                let [height, width] = layer.arguments.window.kernel_size.map(|size| size as usize);
                let (groups, filters) = (layer.groups as usize, layer.filters as usize);
                let kernel = self.weight(0, &[height, width, channels / groups, filters])?;
                let bias = use_bias.then(|| self.weight(1, &[filters])).transpose()?;
                (conv2d(input, &kernel, bias.as_ref(), groups, &window).into(), activation)
            }
            LayerConfig::Dense(layer) => {
                let (last, units) = (input.shape.last().copied().unwrap_or(1), layer.units as usize);
                let kernel = self.weight(0, &[last, units])?;
                let bias = layer.use_bias.then(|| self.weight(1, &[units])).transpose()?;
                (dense(input, &kernel, bias.as_ref()).into(), layer.activation)
            }
            LayerConfig::DepthwiseConv2D(layer) => {
                let Convolution { channels, window, activation, use_bias } = self.convolution(&layer.arguments);
                let [height, width] = layer.arguments.window.kernel_size.map(|size| size as usize);
                let multiplier = layer.depth_multiplier as usize;
                let kernel = self.weight(0, &[height, width, channels, multiplier])?;
                let bias = use_bias.then(|| self.weight(1, &[channels * multiplier])).transpose()?;
                (depthwise_conv2d(input, &kernel, bias.as_ref(), &window).into(), activation)
            }
            LayerConfig::Dropout(_) => plain(Estimate::exact(input.clone())),
            LayerConfig::GlobalAveragePooling2D(layer) => {
                let axes = spatial(layer.data_format);
                plain(global(mean(input, &axes), &axes, layer.keepdims).into())
            }
            LayerConfig::ReLU(layer) => {
                let layers::ReLU { max_value, negative_slope, threshold, .. } = *layer;
                (Estimate::exact(input.clone()), Activation::Relu { negative_slope, max_value, threshold })
            }
            LayerConfig::SeparableConv2D(layer) => {
                let activation = layer.arguments.activation;
                (self.separable_conv2d(layer)?, activation)
            }
            other => return Err(Error::unsupported(other.class_name(), "the reference lacks this layer")),
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

    fn convolution(&self, arguments: &ConvArguments) -> Convolution {
        let window = &arguments.window;
        let channels_first = arguments.data_format == DataFormat::ChannelsFirst;
        Convolution {
            channels: self.input.shape[if channels_first { 1 } else { 3 }],
            window: Window {
                strides: window.strides.map(|stride| stride as usize),
                dilation_rate: window.dilation_rate.map(|rate| rate as usize),
                padding: match window.padding {
                    crate::Padding::Valid => Padding::Valid,
                    crate::Padding::Same => Padding::Same,
                },
                channels_first,
            },
            activation: arguments.activation,
            use_bias: arguments.use_bias,
        }
    }

    /// The result of the depthwise step is stored: its error goes through the magnitudes of the pointwise one, which adds
    /// its own.
    fn separable_conv2d(&self, layer: &layers::SeparableConv2D) -> Result<Estimate> {
        let Convolution { channels, window, use_bias, .. } = self.convolution(&layer.arguments);
        let [height, width] = layer.arguments.window.kernel_size.map(|size| size as usize);
        let (multiplier, filters) = (layer.depth_multiplier as usize, layer.filters as usize);
        let depthwise = self.weight(0, &[height, width, channels, multiplier])?;
        let pointwise = self.weight(1, &[1, 1, channels * multiplier, filters])?;
        let bias = use_bias.then(|| self.weight(2, &[filters])).transpose()?;
        let between = Estimate::from(depthwise_conv2d(self.input, &depthwise, None, &window)).stored(self.storage);
        let window = Window { channels_first: window.channels_first, ..Window::default() };
        let own = Estimate::from(conv2d(&between.exact, &pointwise, bias.as_ref(), 1, &window));
        let through = conv2d(&between.bound, &pointwise.map(f64::abs), None, 1, &window).exact;
        Ok(Estimate { bound: own.bound.zip(&through, |own, through| own + through), ..own })
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
        let norm = BatchNormalization { gamma, beta, moving_mean, moving_variance, epsilon: layer.epsilon };
        // Scale and shift are made in f64 and then rounded as the policy stores them.
        Ok(estimated_batch_normalization(self.input, &norm, axis as isize, UNIT + self.storage.unit()))
    }

    /// An axis of the input from one that may count from the end.
    fn axis(&self, axis: i32) -> usize {
        (axis as isize).rem_euclid(self.input.shape.len() as isize) as usize
    }
}

/// What the convolution layers have in common, for one input.
struct Convolution {
    channels: usize,
    window: Window,
    activation: Activation,
    use_bias: bool,
}

/// Height and width.
fn spatial(format: DataFormat) -> [usize; 2] {
    match format {
        DataFormat::ChannelsLast => [1, 2],
        DataFormat::ChannelsFirst => [2, 3],
    }
}

/// A result without the axes of extent 1 that a reduction left, unless they are kept.
fn global(mut result: Convolved, axes: &[usize], keepdims: bool) -> Convolved {
    if !keepdims {
        for array in [&mut result.exact, &mut result.magnitude] {
            let shape = array.shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
            array.shape = shape.map(|(_, &extent)| extent).collect();
        }
    }
    result
}

/// An activation by name, with its parameters.
fn named(activation: &Activation) -> (&'static str, Vec<(&'static str, f64)>) {
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
