//! TransposedConv1D to TransposedConv3D: ONNX's ConvTranspose as a layer.

use std::sync::Arc;

use super::arguments::{axes_of, common_setters, each_axis, of_rank, positive, weight_setters};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common, weights};
use super::describe::{Declared, Describe, known_extent};
use super::{Common, Initializer, PerAxis, WeightOptions};
use crate::geometry::{Axis, ConvGeometry, extent, in_front};
use crate::ops::{self, ConvArgs, Kernel, Tape, Value};
use crate::plan::Direction;
use crate::{Activation, DataFormat, Error, PartialShape, Result, Settings, Shape};

/// Transposed convolution over `R` axes, 1 to 3, with the arguments of ONNX's ConvTranspose: groups, any pads, and strides
/// together with dilation. [`ConvTranspose`](super::ConvTranspose) has Keras's.
///
/// Each position of the input adds the kernel, times its value, to the output, `strides` apart; `pads` are cut off at the
/// borders, or added after the last position where negative.
///
/// # Shapes
/// Input `[batch, …axes, channels]`, or `[batch, channels, …axes]` with
/// [`ChannelsFirst`](DataFormat::ChannelsFirst); output likewise, with `filters` channels and, of `n` positions,
/// `(n − 1)·stride + (kernel − 1)·dilation + 1 − pads`. Weights, in either format:
/// `kernel [kernel_size…, filters/groups, channels]`, `bias [filters]`.
///
/// ```
/// use wgpu_conv::{DataFormat, layers::TransposedConv2D};
///
/// let layer = TransposedConv2D::new(6, 3).strides(2).pads([[1, 1], [0, 1]]).data_format(DataFormat::ChannelsLast);
/// assert_eq!(layer.output_shape([None, Some(5), Some(5), Some(4)])?.to_string(), "(None, 9, 10, 6)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TransposedConv<const R: usize> {
    /// Name, trainability and types.
    pub common: Common,
    /// Output channels.
    pub filters: u32,
    /// The window along each axis.
    pub kernel_size: [u32; R],
    /// Output positions from one input position to the next; 1 by default.
    pub strides: [u32; R],
    /// Output positions from one kernel tap to the next; 1 by default.
    pub dilation_rate: [u32; R],
    /// Runs of channels that do not mix; 1 by default.
    pub groups: u32,
    /// What is cut off before and after, by axis; negative after the last where positions are added. Nothing by default.
    pub pads: [[i32; 2]; R],
    /// Where the channels stand.
    pub data_format: DataFormat,
    /// Whether a bias is added to each output channel; true by default.
    pub use_bias: bool,
    /// The kernel's initializer (glorot_uniform by default), regularizer and constraint.
    pub kernel: WeightOptions,
    /// The bias's initializer (zeros by default), regularizer and constraint.
    pub bias: WeightOptions,
}

/// Transposed convolution of sequences.
pub type TransposedConv1D = TransposedConv<1>;

/// Transposed convolution of images.
pub type TransposedConv2D = TransposedConv<2>;

/// Transposed convolution of volumes.
pub type TransposedConv3D = TransposedConv<3>;

common_setters!(TransposedConv<R>, common);
weight_setters!(TransposedConv<R> {
    "kernel" at kernel: kernel_initializer = "glorot_uniform", kernel_regularizer, kernel_constraint;
    "bias" at bias: bias_initializer = "zeros", bias_regularizer, bias_constraint;
});

impl<const R: usize> TransposedConv<R> {
    /// A layer of `filters` output channels with a window of `kernel_size`: one number for all axes, or one for each.
    pub fn new(filters: u32, kernel_size: impl Into<PerAxis<R>>) -> Self {
        let settings = Settings::current();
        Self {
            common: Common::new(&settings),
            filters,
            kernel_size: kernel_size.into().0,
            strides: [1; R],
            dilation_rate: [1; R],
            groups: 1,
            pads: [[0; 2]; R],
            data_format: settings.image_data_format,
            use_bias: true,
            kernel: WeightOptions::new(Initializer::glorot_uniform()),
            bias: WeightOptions::new(Initializer::Zeros),
        }
    }

    /// Output positions from one input position to the next; 1 by default.
    pub fn strides(mut self, strides: impl Into<PerAxis<R>>) -> Self {
        self.strides = strides.into().0;
        self
    }

    /// Output positions from one kernel tap to the next; 1 by default.
    pub fn dilation_rate(mut self, dilation_rate: impl Into<PerAxis<R>>) -> Self {
        self.dilation_rate = dilation_rate.into().0;
        self
    }

    /// Runs of channels that do not mix; must divide the input's channels and the filters. 1 by default.
    pub fn groups(mut self, groups: u32) -> Self {
        self.groups = groups;
        self
    }

    /// What is cut off before and after, by axis; negative after the last where positions are added. Nothing by default.
    pub fn pads(mut self, pads: [[i32; 2]; R]) -> Self {
        self.pads = pads;
        self
    }

    /// Where the channels stand; `image_data_format` of the [settings](Settings) by default.
    pub fn data_format(mut self, data_format: DataFormat) -> Self {
        self.data_format = data_format;
        self
    }

    /// Whether a bias is added to each output channel; true by default.
    pub fn use_bias(mut self, use_bias: bool) -> Self {
        self.use_bias = use_bias;
        self
    }

    /// The output shape for `input`, whose batch and spatial extents may be unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        of_rank(&input, R + 2)?;
        let channels = known_extent(&input, self.channel_axis())?;
        if !channels.is_multiple_of(self.groups as usize) {
            return Err(Error::invalid(
                "groups",
                "the number of input channels must be evenly divisible by the number of groups",
                format!("groups={}, {channels} input channels (full input shape is {input})", self.groups),
            ));
        }
        let (batch, _, spatial) = self.data_format.split::<_, R>(input.dims());
        let output = each_axis(spatial, |index, dim| Ok(self.axis(index, dim, &input)?.input as usize))?;
        Ok(self.data_format.join(batch, Some(self.filters as usize), output).into())
    }

    fn channel_axis(&self) -> i32 {
        match self.data_format {
            DataFormat::ChannelsLast => -1,
            DataFormat::ChannelsFirst => 1,
        }
    }

    /// The axis of the correlation whose transpose this is: its input is what is written.
    fn axis(&self, index: usize, dim: usize, shape: &PartialShape) -> Result<Axis> {
        let (kernel, stride, dilation) = (self.kernel_size[index], self.strides[index], self.dilation_rate[index]);
        let output = extent(dim)?;
        let reach = u64::from(kernel - 1) * u64::from(dilation) + 1;
        let [before, after] = self.pads[index];
        let whole = i128::from(output.saturating_sub(1)) * i128::from(stride) + i128::from(reach);
        let written = u32::try_from(whole - i128::from(before) - i128::from(after)).ok();
        match written.filter(|&written| written > 0 && output > 0) {
            Some(input) => Ok(Axis { input, output, kernel, stride, dilation, pad_before: before.unsigned_abs() }),
            None => Err(Error::invalid(
                "input",
                "the computed output size must not be zero or negative",
                format!(
                    "input shape={shape}, kernel_size={:?}, dilation_rate={:?}, strides={:?}, pads={:?}",
                    self.kernel_size, self.dilation_rate, self.strides, self.pads
                ),
            )),
        }
    }

    fn geometry(&self, shape: &Shape) -> Result<ConvGeometry> {
        let (batch, channels, spatial) = self.data_format.split::<_, R>(shape.dims());
        let axes = axes_of(spatial, |index, dim| self.axis(index, dim, &shape.into()))?;
        let (batch, out_channels) = (extent(batch)?, extent(channels)?);
        ConvGeometry::new(batch, self.groups, [self.filters, out_channels], in_front(Axis::UNIT, axes))
    }
}

impl<const R: usize> Describe for TransposedConv<R> {
    fn module(&self) -> &'static str {
        super::OPERATORS
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn data_format(&self) -> Option<DataFormat> {
        Some(self.data_format)
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        positive("filters", &[self.filters])?;
        positive("kernel_size", &self.kernel_size)?;
        positive("strides", &self.strides)?;
        positive("dilation_rate", &self.dilation_rate)?;
        positive("groups", &[self.groups])?;
        if self.pads.iter().any(|&[before, _]| before < 0) {
            return Err(Error::invalid(
                "pads",
                "nothing can be added before the first position",
                format!("pads={:?}", self.pads),
            ));
        }
        if !self.filters.is_multiple_of(self.groups) {
            return Err(Error::invalid(
                "groups",
                "the number of filters must be evenly divisible by the number of groups",
                format!("groups={}, filters={}", self.groups, self.filters),
            ));
        }
        WeightOptions::validate_all(&[&self.kernel, &self.bias], None)
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn fixed_axes(&self, _rank: usize) -> Vec<i32> {
        vec![self.channel_axis()]
    }

    fn weights(&self, inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        let channels = known_extent(&inputs[0], self.channel_axis())?;
        let taps = self.kernel_size.iter().map(|&size| size as usize);
        let shape: Vec<usize> = taps.chain([(self.filters / self.groups) as usize, channels]).collect();
        let kernel = Declared::new("kernel", shape, &self.common, &self.kernel, Initializer::glorot_uniform());
        let bias = || Declared::new("bias", [self.filters as usize], &self.common, &self.bias, Initializer::Zeros);
        Ok(std::iter::once(kernel).chain(self.use_bias.then(bias)).collect())
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let geometry = self.geometry(tape.shape(inputs[0]))?;
        let (direction, activation) = (Direction::BackwardInput, Activation::Linear);
        let args = ConvArgs { geometry, direction, data_format: self.data_format, activation };
        ops::conv::<R>(tape, &args, inputs[0], &operands[0], operands.get(1))
    }
}

#[cfg(feature = "keras")]
impl<const R: usize> Configured for TransposedConv<R> {
    const REQUIRED: &'static [&'static str] = &["filters", "kernel_size"];

    fn template() -> Self {
        Self::new(1, 1)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("filters", &mut self.filters)?;
        codec.field("kernel_size", &mut self.kernel_size)?;
        codec.field("strides", &mut self.strides)?;
        codec.field("dilation_rate", &mut self.dilation_rate)?;
        codec.field("groups", &mut self.groups)?;
        codec.field("pads", &mut self.pads)?;
        codec.field("data_format", &mut self.data_format)?;
        codec.field("use_bias", &mut self.use_bias)?;
        weights(codec, &mut [("kernel", &mut self.kernel), ("bias", &mut self.bias)], |_| Ok(()))
    }
}
