//! Built layers: a description with its weights on a device.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use half::f16;

use super::arguments::{WeightOptions, channels};
use super::{ConvArguments, Initializer, LayerConfig};
use crate::geometry::{Axis, ConvGeometry, axis_index, extent};
use crate::ops::{self, ConvArgs, Kernel};
use crate::plan::ConvProblem;
use crate::tensor::require;
use crate::{
    Activation, Commands, DType, DTypePolicy, DataFormat, Error, Gpu, HostTensor, PartialShape, Result, Rounding,
    Shape, Tensor,
};

/// A layer built on a device: its description, its name and its weights.
///
/// ```no_run
/// use wgpu_conv::{Gpu, Padding, Tensor, layers::Conv2D};
///
/// let gpu = Gpu::new()?;
/// let conv = Conv2D::new(8, 3).padding(Padding::Same).build(&gpu, [None, None, None, Some(3)])?;
/// let output = conv.call(&Tensor::from_slice(&gpu, [1, 5, 7, 3], &[0.5f32; 105])?)?;
/// assert_eq!(output.shape().dims(), [1, 5, 7, 8]);
/// assert_eq!(conv.count_params(), 3 * 3 * 3 * 8 + 8);
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
pub struct Layer {
    gpu: Gpu,
    config: LayerConfig,
    name: String,
    /// Extent of the channel axis it was built for.
    channels: u32,
    dtype: DType,
    rounding: Option<Rounding>,
    weights: Vec<Weight>,
    /// What the forward pass reads, made from the weights.
    operands: Vec<Kernel>,
}

/// One weight of a layer, in its variable type.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    name: &'static str,
    trainable: bool,
    value: HostTensor,
}

impl Weight {
    /// Keras's name: `kernel`, `bias`, `depthwise_kernel`, ….
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The extents, in Keras's order whatever the data format.
    pub fn shape(&self) -> &Shape {
        &self.value.shape
    }

    /// Whether training may change it.
    pub fn trainable(&self) -> bool {
        self.trainable
    }
}

/// A weight as a description declares it.
struct Declared {
    name: &'static str,
    shape: Shape,
    trainable: bool,
    initializer: Initializer,
}

impl Layer {
    pub(super) fn new(gpu: &Gpu, config: LayerConfig, input: &PartialShape) -> Result<Self> {
        Self::make(gpu, config, input, |_, declared, dtype| {
            declared.iter().map(|weight| weight.initializer.values(&weight.shape, dtype)).collect()
        })
    }

    /// The layer with `values` for weights, in Keras's order, in place of initial ones. Their number and shapes are checked
    /// before anything of their size is made, so a forged config cannot ask for more than was given.
    ///
    /// # Errors
    /// Those of [`LayerConfig::build`] and [`set_weights`](Self::set_weights).
    #[cfg(feature = "keras")]
    pub(crate) fn with_weights(
        gpu: &Gpu,
        config: LayerConfig,
        input: &PartialShape,
        values: Vec<HostTensor>,
    ) -> Result<Self> {
        Self::make(gpu, config, input, |name, declared, _| {
            check_weights(name, declared.iter().map(|weight| (weight.name, &weight.shape)), &values)?;
            Ok(values.into_iter().map(|value| value.values).collect())
        })
    }

    /// The layer with what `values` makes of its name, its declared weights and its compute type.
    fn make(
        gpu: &Gpu,
        config: LayerConfig,
        input: &PartialShape,
        values: impl FnOnce(&str, &[Declared], DType) -> Result<Vec<Vec<f32>>>,
    ) -> Result<Self> {
        config.output_shape(input)?;
        let policy = config.common().dtype;
        let (dtype, rounding) = policy.compute().ok_or_else(float64_unsupported)?;
        require(gpu, dtype)?;
        let channels = config.input_channels(input)?;
        let name = config.common().name.clone().unwrap_or_else(|| unique_name(config.class_name()));
        let declared = config.declare(channels)?;
        let values = values(&name, &declared, dtype)?;
        let weights = declared.into_iter().zip(values).map(|(Declared { name, shape, trainable, .. }, values)| {
            Weight { name, trainable, value: stored(policy, HostTensor { shape, values }) }
        });
        let weights = weights.collect();
        let mut layer =
            Self { gpu: gpu.clone(), config, name, channels, dtype, rounding, weights, operands: Vec::new() };
        layer.upload()?;
        Ok(layer)
    }

    /// The description it was built from.
    pub fn config(&self) -> &LayerConfig {
        &self.config
    }

    /// The name given, or the class name in snake case with a counter.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The device it was built on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The weights, in Keras's order.
    pub fn weights(&self) -> &[Weight] {
        &self.weights
    }

    /// The number of weight elements.
    pub fn count_params(&self) -> u64 {
        self.weights.iter().map(|weight| weight.value.values.len() as u64).sum()
    }

    /// The values of all weights, in Keras's order.
    pub fn get_weights(&self) -> Vec<HostTensor> {
        self.weights.iter().map(|weight| weight.value.clone()).collect()
    }

    /// Replaces the values of all weights, given in Keras's order, converted to the variable type.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the number or a shape differs, naming the layer, the expected and the received; the
    /// layer is unchanged then.
    pub fn set_weights(&mut self, values: &[HostTensor]) -> Result<()> {
        check_weights(&self.name, self.weights.iter().map(|weight| (weight.name, weight.shape())), values)?;
        let policy = self.config.common().dtype;
        for (weight, value) in self.weights.iter_mut().zip(values) {
            weight.value = stored(policy, value.clone());
        }
        self.upload()
    }

    /// The output shape for `input`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a [call](Self::call) would refuse the shape.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        let input = input.into();
        self.check_channels(&input)?;
        self.config.output_shape(input)
    }

    /// The layer's output for `input`, in one submission. It is there when the device gets to it:
    /// [`Tensor::read`] waits for it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a shape or type the layer cannot take, [`Error::Limit`] and [`Error::Gpu`] where the device
    /// cannot compute it.
    pub fn call(&self, input: &Tensor) -> Result<Tensor> {
        let mut commands = Commands::new(&self.gpu);
        let output = self.record(&mut commands, input)?;
        commands.submit()?;
        Ok(output)
    }

    /// Adds the layer to `commands`; the tensor returned has its values once they are submitted.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub fn record(&self, commands: &mut Commands, input: &Tensor) -> Result<Tensor> {
        for (argument, gpu) in [("input", input.gpu()), ("commands", commands.gpu())] {
            if !gpu.is(&self.gpu) {
                return Err(Error::invalid(
                    argument,
                    format!("layer {} must be called on the Gpu it was built on", self.name),
                    format!("{argument} of another Gpu"),
                ));
            }
        }
        self.check_channels(&input.shape().into())?;
        self.config.output_shape(input.shape())?;
        let input = self.cast_input(commands, input)?;
        let output = self.forward(commands, &input)?;
        self.rounded(commands, output)
    }

    /// `input` in the compute type, as Keras casts floating inputs.
    fn cast_input(&self, commands: &mut Commands, input: &Tensor) -> Result<Tensor> {
        if !self.config.common().autocast && input.dtype() != self.dtype {
            return Err(Error::invalid(
                "input",
                format!("with autocast off, layer {} must be given {}", self.name, self.dtype),
                format!("an input of {}", input.dtype()),
            ));
        }
        ops::cast(commands, self.dtype, self.rounding, input)
    }

    /// `tensor` rounded to the narrower format of an emulated type.
    fn rounded(&self, commands: &mut Commands, tensor: Tensor) -> Result<Tensor> {
        if self.rounding.is_some() { ops::cast(commands, self.dtype, self.rounding, &tensor) } else { Ok(tensor) }
    }

    fn check_channels(&self, input: &PartialShape) -> Result<()> {
        if self.weights.is_empty() {
            return Ok(());
        }
        let received = self.config.input_channels(input)?;
        if received == self.channels {
            return Ok(());
        }
        let axis = self.config.channel_axis();
        Err(Error::invalid(
            "input",
            format!(
                "axis {axis} of the input of layer {} must have the extent {} it was built with",
                self.name, self.channels
            ),
            format!("{received} in input shape={input}"),
        ))
    }

    /// Uploads what the forward pass reads.
    fn upload(&mut self) -> Result<()> {
        let mut operands = Vec::new();
        for operand in self.config.operands(&self.weights) {
            operands.push(Kernel::new(upload(&self.gpu, &operand, self.dtype, self.rounding)?));
        }
        self.operands = operands;
        Ok(())
    }

    fn forward(&self, commands: &mut Commands, input: &Tensor) -> Result<Tensor> {
        let convolutions = self.config.conv_args(input.shape(), self.channels)?;
        match &self.config {
            LayerConfig::Activation(layer) => ops::activate(commands, &layer.activation, input),
            LayerConfig::BatchNormalization(_) => self.conv(commands, &convolutions[0], input)?.reshape(input.shape()),
            LayerConfig::Conv2D(_) | LayerConfig::DepthwiseConv2D(_) => self.conv(commands, &convolutions[0], input),
            LayerConfig::Dense(layer) => {
                let mut output = input.shape().dims().to_vec();
                if let Some(last) = output.last_mut() {
                    *last = layer.units as usize;
                }
                let product = self.conv(commands, &convolutions[0], input)?.reshape(output)?;
                ops::activate(commands, &layer.activation, &product)
            }
            LayerConfig::Dropout(_) => Ok(input.clone()),
            LayerConfig::GlobalAveragePooling2D(layer) => {
                let axes = match layer.data_format {
                    DataFormat::ChannelsLast => 1..3,
                    DataFormat::ChannelsFirst => 2..4,
                };
                let means = ops::mean(commands, axes, input)?;
                match self.config.output_shape(input.shape())?.known() {
                    Some(shape) => means.reshape(shape),
                    None => Ok(means),
                }
            }
            LayerConfig::ReLU(layer) => ops::activate(commands, &layer.activation(), input),
            LayerConfig::SeparableConv2D(_) => {
                let between = ops::conv(commands, &convolutions[0], input, &self.operands[0], None)?;
                let between = self.rounded(commands, between)?;
                let bias = self.operands.get(2).map(Kernel::tensor);
                ops::conv(commands, &convolutions[1], &between, &self.operands[1], bias)
            }
        }
    }

    /// The convolution by the first operand, with the second, if any, as bias.
    fn conv(&self, commands: &mut Commands, args: &ConvArgs, input: &Tensor) -> Result<Tensor> {
        ops::conv(commands, args, input, &self.operands[0], self.operands.get(1).map(Kernel::tensor))
    }
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layer").field("name", &self.name).field("class", &self.config.class_name()).finish()
    }
}

impl LayerConfig {
    /// The extent of the axis that the layer's weights are made for.
    fn input_channels(&self, input: &PartialShape) -> Result<u32> {
        match self {
            Self::Conv2D(layer) => layer.arguments.channels(input),
            Self::DepthwiseConv2D(layer) => layer.arguments.channels(input),
            Self::SeparableConv2D(layer) => layer.arguments.channels(input),
            Self::BatchNormalization(layer) => known_extent(input, layer.axis),
            Self::Dense(_) => known_extent(input, -1),
            Self::GlobalAveragePooling2D(layer) => channels(layer.data_format, input, 4),
            Self::Activation(_) | Self::Dropout(_) | Self::ReLU(_) => Ok(0),
        }
    }

    /// The axis that the layer's weights are made for, negative ones counted from the end.
    fn channel_axis(&self) -> i32 {
        let of = |data_format| match data_format {
            DataFormat::ChannelsLast => -1,
            DataFormat::ChannelsFirst => 1,
        };
        match self {
            Self::BatchNormalization(layer) => layer.axis,
            Self::Conv2D(layer) => of(layer.arguments.data_format),
            Self::DepthwiseConv2D(layer) => of(layer.arguments.data_format),
            Self::GlobalAveragePooling2D(layer) => of(layer.data_format),
            Self::SeparableConv2D(layer) => of(layer.arguments.data_format),
            Self::Activation(_) | Self::Dense(_) | Self::Dropout(_) | Self::ReLU(_) => -1,
        }
    }

    /// The convolutions that a call with an input of shape `input` computes, in order. Dense and BatchNormalization are
    /// convolutions too; other layers have none.
    ///
    /// [`Gpu::candidates`] and [`candidates`](crate::candidates) list the ways to compute each.
    ///
    /// # Errors
    /// [`Error::Invalid`] and [`Error::Unsupported`] where [building](Self::build) the layer for `input` would refuse.
    ///
    /// ```
    /// use wgpu_conv::layers::{LayerConfig, SeparableConv2D};
    ///
    /// let [depthwise, pointwise] = LayerConfig::from(SeparableConv2D::new(64, 3)).convolutions([1, 9, 7, 32])?[..] else {
    ///     unreachable!("a separable convolution is two");
    /// };
    /// assert_eq!((depthwise.geometry.groups, depthwise.geometry.out_channels), (32, 32));
    /// assert!(pointwise.geometry.is_pointwise());
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn convolutions(&self, input: impl Into<Shape>) -> Result<Vec<ConvProblem>> {
        let input = input.into();
        self.output_shape(&input)?;
        let (dtype, _) = self.common().dtype.compute().ok_or_else(float64_unsupported)?;
        let args = self.conv_args(&input, self.input_channels(&(&input).into())?)?;
        let last = args.len().saturating_sub(1);
        let bias = self.has_bias();
        Ok(args.iter().enumerate().map(|(index, args)| args.problem(dtype, bias && index == last)).collect())
    }

    fn has_bias(&self) -> bool {
        match self {
            Self::BatchNormalization(_) => true,
            Self::Conv2D(layer) => layer.arguments.use_bias,
            Self::Dense(layer) => layer.use_bias,
            Self::DepthwiseConv2D(layer) => layer.arguments.use_bias,
            Self::SeparableConv2D(layer) => layer.arguments.use_bias,
            Self::Activation(_) | Self::Dropout(_) | Self::GlobalAveragePooling2D(_) | Self::ReLU(_) => false,
        }
    }

    /// The convolutions of a call, for a layer of `channels`.
    fn conv_args(&self, input: &Shape, channels: u32) -> Result<Vec<ConvArgs>> {
        let of = |arguments: &ConvArguments, geometry| {
            let ConvArguments { data_format, activation, .. } = *arguments;
            ConvArgs { geometry, data_format, activation }
        };
        Ok(match self {
            Self::Activation(_) | Self::Dropout(_) | Self::GlobalAveragePooling2D(_) | Self::ReLU(_) => Vec::new(),
            Self::BatchNormalization(layer) => {
                let (geometry, data_format) = per_channel(input, layer.axis)?;
                vec![ConvArgs { geometry, data_format, activation: Activation::Linear }]
            }
            Self::Conv2D(layer) => vec![of(&layer.arguments, layer.geometry(input)?)],
            Self::Dense(layer) => {
                let geometry = matrix_product(input, channels, layer.units)?;
                vec![ConvArgs { geometry, data_format: DataFormat::ChannelsLast, activation: Activation::Linear }]
            }
            Self::DepthwiseConv2D(layer) => vec![of(&layer.arguments, layer.geometry(input, channels)?)],
            Self::SeparableConv2D(layer) => {
                let [depthwise, pointwise] = layer.geometries(input, channels)?;
                let pointwise = of(&layer.arguments, pointwise);
                vec![ConvArgs { geometry: depthwise, activation: Activation::Linear, ..pointwise }, pointwise]
            }
        })
    }

    /// The weights of the layer for an input of `channels`, in Keras's order.
    fn declare(&self, channels: u32) -> Result<Vec<Declared>> {
        let trainable = self.common().trainable;
        let kernel = |name, shape: [usize; 4], options: &WeightOptions| {
            let initializer = options.initializer.clone().unwrap_or_else(Initializer::glorot_uniform);
            Declared { name, shape: shape.into(), trainable, initializer }
        };
        let bias = |used: bool, length: u32, options: &WeightOptions| {
            let initializer = options.initializer.clone().unwrap_or(Initializer::Zeros);
            used.then(|| Declared { name: "bias", shape: [length as usize].into(), trainable, initializer })
        };
        let mut weights = Vec::new();
        match self {
            Self::Activation(_) | Self::Dropout(_) | Self::GlobalAveragePooling2D(_) | Self::ReLU(_) => {}
            Self::BatchNormalization(layer) => {
                let shape = || [channels as usize].into();
                let vector = |name, trainable, initializer: &Option<Initializer>, default| {
                    let initializer = initializer.clone().unwrap_or(default);
                    Declared { name, shape: shape(), trainable, initializer }
                };
                if layer.scale {
                    weights.push(vector("gamma", trainable, &layer.gamma.initializer, Initializer::Ones));
                }
                if layer.center {
                    weights.push(vector("beta", trainable, &layer.beta.initializer, Initializer::Zeros));
                }
                weights.push(vector("moving_mean", false, &layer.moving_mean_initializer, Initializer::Zeros));
                weights.push(vector("moving_variance", false, &layer.moving_variance_initializer, Initializer::Ones));
            }
            Self::Conv2D(layer) => {
                weights.push(kernel("kernel", layer.kernel_shape(channels), &layer.kernel));
                weights.extend(bias(layer.arguments.use_bias, layer.filters, &layer.arguments.bias));
            }
            Self::Dense(layer) => {
                let shape = [channels as usize, layer.units as usize].into();
                weights.push(Declared { shape, ..kernel("kernel", [0; 4], &layer.kernel) });
                weights.extend(bias(layer.use_bias, layer.units, &layer.bias));
            }
            Self::DepthwiseConv2D(layer) => {
                weights.push(kernel("kernel", layer.kernel_shape(channels), &layer.depthwise));
                let length = layer.out_channels(channels)?;
                weights.extend(bias(layer.arguments.use_bias, length, &layer.arguments.bias));
            }
            Self::SeparableConv2D(layer) => {
                let [depthwise, pointwise] = layer.kernel_shapes(channels)?;
                weights.push(kernel("depthwise_kernel", depthwise, &layer.depthwise));
                weights.push(kernel("pointwise_kernel", pointwise, &layer.pointwise));
                weights.extend(bias(layer.arguments.use_bias, layer.filters, &layer.arguments.bias));
            }
        }
        Ok(weights)
    }

    /// What the forward pass reads of `weights`: themselves, or the scale and shift that batch normalization comes to.
    fn operands(&self, weights: &[Weight]) -> Vec<HostTensor> {
        let Self::BatchNormalization(layer) = self else {
            return weights.iter().map(|weight| weight.value.clone()).collect();
        };
        let named = |name| weights.iter().find(|weight| weight.name == name).map(|weight| &weight.value);
        let channels = weights[0].value.values.len();
        let value = |name, channel, default: f64| {
            named(name).map_or(default, |tensor: &HostTensor| f64::from(tensor.values[channel]))
        };
        let (mut scales, mut shifts) = (Vec::with_capacity(channels), Vec::with_capacity(channels));
        for channel in 0..channels {
            let deviation = (value("moving_variance", channel, 1.0) + layer.epsilon).sqrt();
            let scale = value("gamma", channel, 1.0) / deviation;
            scales.push(scale as f32);
            shifts.push((value("beta", channel, 0.0) - value("moving_mean", channel, 0.0) * scale) as f32);
        }
        let shape = weights[0].value.shape.clone();
        vec![HostTensor { shape: shape.clone(), values: scales }, HostTensor { shape, values: shifts }]
    }
}

/// # Errors
/// [`Error::Invalid`] where `values` are not of the names and shapes that the weights of layer `layer` have.
fn check_weights<'a>(
    layer: &str,
    expected: impl ExactSizeIterator<Item = (&'static str, &'a Shape)>,
    values: &[HostTensor],
) -> Result<()> {
    if values.len() != expected.len() {
        let shapes: Vec<_> = values.iter().map(|value| value.shape.to_string()).collect();
        let expected: Vec<_> = expected.map(|(name, shape)| format!("{name} {shape}")).collect();
        return Err(Error::invalid(
            "weights",
            format!("layer {layer} must be given {} weights: [{}]", expected.len(), expected.join(", ")),
            format!("{}: [{}]", values.len(), shapes.join(", ")),
        ));
    }
    for ((name, shape), value) in expected.zip(values) {
        if *shape != value.shape || value.shape.elements()? != value.values.len() as u64 {
            return Err(Error::invalid(
                "weights",
                format!("weight {layer}/{name} must have the shape {shape}"),
                format!("shape {} with {} values", value.shape, value.values.len()),
            ));
        }
    }
    Ok(())
}

/// The extent of `axis`, which must be known and not 0.
fn known_extent(input: &PartialShape, axis: i32) -> Result<u32> {
    let index = axis_index(axis, input.rank()).ok_or_else(|| {
        Error::invalid("axis", "the axis must be one of the input's", format!("axis={axis}, input shape={input}"))
    })?;
    match input.dims()[index] {
        Some(0) | None => Err(Error::invalid(
            "input",
            format!("axis {axis} of the input must be known and at least 1"),
            format!("input shape={input}"),
        )),
        Some(dim) => extent(dim),
    }
}

/// A scale and shift for each position of `axis` as a depthwise 1×1 convolution of `[before, axis, after]`.
fn per_channel(shape: &Shape, axis: i32) -> Result<(ConvGeometry, DataFormat)> {
    let channels = known_extent(&shape.into(), axis)?;
    let index = axis_index(axis, shape.rank()).unwrap_or_default();
    let before = extent(shape.dims()[..index].iter().product())?;
    let after = extent(shape.dims()[index + 1..].iter().product())?;
    let geometry = |batch, pixels| ConvGeometry {
        batch,
        groups: channels,
        in_channels: channels,
        out_channels: channels,
        axes: [Axis::pointwise(1), Axis::pointwise(pixels)],
    };
    Ok(if after == 1 {
        (geometry(1, before), DataFormat::ChannelsLast)
    } else {
        (geometry(before, after), DataFormat::ChannelsFirst)
    })
}

/// The product of `[…, channels]` with `[channels, units]` as a pointwise convolution.
fn matrix_product(input: &Shape, channels: u32, units: u32) -> Result<ConvGeometry> {
    let rows = input.dims().split_last().map_or(&[][..], |(_, rows)| rows);
    let pixels = extent(rows.iter().product())?;
    let axes = [Axis::pointwise(1), Axis::pointwise(pixels)];
    Ok(ConvGeometry { batch: 1, groups: 1, in_channels: channels, out_channels: units, axes })
}

fn float64_unsupported() -> Error {
    Error::unsupported(
        "float64 as a compute dtype",
        "shaders have f32 and f16; give the layer another policy with `.dtype(DTypePolicy::Float32)`, or set `floatx` in \
         keras.json",
    )
}

/// `value` as a variable of `policy` holds it.
fn stored(policy: DTypePolicy, mut value: HostTensor) -> HostTensor {
    let round = match policy.variables() {
        Some((DType::F16, _)) => Some(Rounding::Float16),
        Some((DType::F32, rounding)) => rounding,
        None => None,
    };
    if let Some(round) = round {
        value.values.iter_mut().for_each(|v| *v = round.round(*v));
    }
    value
}

fn upload(gpu: &Gpu, value: &HostTensor, dtype: DType, rounding: Option<Rounding>) -> Result<Tensor> {
    let rounded = |v: &f32| rounding.map_or(*v, |rounding| rounding.round(*v));
    match dtype {
        DType::F32 => {
            let values: Vec<f32> = value.values.iter().map(rounded).collect();
            Tensor::from_slice(gpu, &value.shape, &values)
        }
        DType::F16 => {
            let values: Vec<f16> = value.values.iter().map(|&v| f16::from_f32(v)).collect();
            Tensor::from_slice(gpu, &value.shape, &values)
        }
    }
}

static NAMES: Mutex<Option<HashMap<&'static str, u32>>> = Mutex::new(None);

/// `conv2d`, `conv2d_1`, …: the class name in snake case, counted for the whole process.
fn unique_name(class: &'static str) -> String {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let count = names.get_or_insert_default().entry(class).or_insert(0);
    let name = match *count {
        0 => snake_case(class),
        n => format!("{}_{n}", snake_case(class)),
    };
    *count += 1;
    name
}

/// Starts the counters of automatic layer names again.
pub fn reset_names() {
    *NAMES.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// A class name as Keras writes it in layer names and in weight files: `DepthwiseConv2D` as `depthwise_conv2d`, `ReLU`
/// as `re_lu` (`keras/src/utils/naming.py`, `to_snake_case`).
pub(crate) fn snake_case(class: &str) -> String {
    let letters: Vec<char> = class.chars().collect();
    let mut name = String::new();
    for (index, &letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|i| letters[i]);
        let opens_word = letter.is_ascii_uppercase() && letters.get(index + 1).is_some_and(char::is_ascii_lowercase);
        if before.is_some_and(|b| opens_word || (letter.is_ascii_uppercase() && b.is_ascii_lowercase())) {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn classes_in_snake_case() {
        for (class, name) in [
            ("Conv2D", "conv2d"),
            ("DepthwiseConv2D", "depthwise_conv2d"),
            ("SeparableConv2D", "separable_conv2d"),
            ("BatchNormalization", "batch_normalization"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
            ("ReLU", "re_lu"),
            ("Dense", "dense"),
        ] {
            assert_eq!(snake_case(class), name);
        }
    }
}
