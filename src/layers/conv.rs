//! Conv1D, Conv2D and Conv3D.

use std::sync::Arc;

use super::arguments::{ConvArguments, PerAxis, WeightOptions, conv_setters, positive, weight_setters};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, convolution};
use super::describe::{Declared, Describe};
use super::{Common, Initializer, Regularizer};
use crate::ops::{self, Kernel, Tape, Value};
use crate::{DataFormat, Error, PartialShape, Result};

/// Convolution over `R` axes, 1 to 3: `activation(conv(input, kernel) + bias)`.
///
/// A cross-correlation, as in Keras: the kernel is not flipped. Output channel `f` of group `g` sums over
/// `kernel[…taps, j, f]` times channel `g·channels/groups + j` of the input. A kernel of one tap with stride 1 is the
/// pointwise case.
///
/// # Shapes
/// Input `[batch, …axes, channels]`, or `[batch, channels, …axes]` with
/// [`ChannelsFirst`](crate::DataFormat::ChannelsFirst); output likewise, with `filters` channels. Weights, in either
/// format: `kernel [kernel_size…, channels/groups, filters]`, `bias [filters]`.
///
/// ```
/// use wgpu_conv::{Activation, Padding, layers::Conv2D};
///
/// let conv = Conv2D::new(32, 3).padding(Padding::Same).activation(Activation::RELU);
/// assert_eq!(conv.output_shape([None, Some(224), None, Some(3)])?.to_string(), "(None, 224, None, 32)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Conv<const R: usize> {
    /// The arguments shared by all convolution layers.
    pub arguments: ConvArguments<R>,
    /// Output channels.
    pub filters: u32,
    /// Runs of channels that do not mix; divides the input's channels and `filters`. 1 by default.
    pub groups: u32,
    /// The kernel's initializer (glorot_uniform by default), regularizer and constraint.
    pub kernel: WeightOptions,
    /// Whether strides and dilation rates may both exceed 1; false by default (D1).
    pub strided_dilation: bool,
}

/// Convolution of sequences `[batch, steps, channels]`, with [`Causal`](crate::Padding::Causal) padding if asked for.
///
/// ```
/// use wgpu_conv::{Padding, layers::Conv1D};
///
/// let conv = Conv1D::new(8, 3).padding(Padding::Causal).dilation_rate(4);
/// assert_eq!(conv.output_shape([None, Some(100), Some(2)])?.to_string(), "(None, 100, 8)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
pub type Conv1D = Conv<1>;

/// Convolution of images `[batch, height, width, channels]`.
pub type Conv2D = Conv<2>;

/// Convolution of volumes `[batch, depth, height, width, channels]`.
///
/// ```
/// use wgpu_conv::layers::Conv3D;
///
/// let conv = Conv3D::new(8, (3, 3, 1)).strides(2);
/// assert_eq!(conv.output_shape([1, 9, 9, 4, 2])?.to_string(), "(1, 4, 4, 2, 8)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
pub type Conv3D = Conv<3>;

conv_setters!(Conv);
weight_setters!(Conv<R> {
    "kernel" at kernel: kernel_initializer = "glorot_uniform", kernel_regularizer, kernel_constraint;
});

impl<const R: usize> Conv<R> {
    /// A layer of `filters` output channels with a window of `kernel_size`: one number for all axes, or one for each.
    pub fn new(filters: u32, kernel_size: impl Into<PerAxis<R>>) -> Self {
        Self {
            arguments: ConvArguments::new(kernel_size.into()),
            filters,
            groups: 1,
            kernel: WeightOptions::new(Initializer::glorot_uniform()),
            strided_dilation: false,
        }
    }

    /// Runs of channels that do not mix; must divide the input's channels and the filters. 1 by default.
    pub fn groups(mut self, groups: u32) -> Self {
        self.groups = groups;
        self
    }

    /// Whether strides and dilation rates may both exceed 1. Keras refuses it, and so does the default; ONNX files may ask
    /// for it.
    pub fn strided_dilation(mut self, allowed: bool) -> Self {
        self.strided_dilation = allowed;
        self
    }

    /// The output shape for `input`, whose batch and spatial extents may be unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        let channels = self.arguments.channels(&input)?;
        self.check_groups(channels, &input)?;
        self.arguments.output_shape(&input, self.filters)
    }

    fn check_groups(&self, channels: u32, input: &PartialShape) -> Result<()> {
        if channels.is_multiple_of(self.groups) {
            return Ok(());
        }
        Err(Error::invalid(
            "groups",
            "the number of input channels must be evenly divisible by the number of groups",
            format!("groups={}, {channels} input channels (full input shape is {input})", self.groups),
        ))
    }
}

impl<const R: usize> Describe for Conv<R> {
    fn common(&self) -> &Common {
        &self.arguments.common
    }

    fn activity_regularizer(&self) -> Option<Regularizer> {
        self.arguments.activity_regularizer.clone()
    }

    fn data_format(&self) -> Option<DataFormat> {
        Some(self.arguments.data_format)
    }

    /// Every rule on the arguments, in Keras's order (K1).
    fn validate(&self) -> Result<()> {
        self.arguments.validate(&[&self.kernel], R == 1)?;
        positive("filters", &[self.filters])?;
        positive("groups", &[self.groups])?;
        if !self.filters.is_multiple_of(self.groups) {
            return Err(Error::invalid(
                "groups",
                "the number of filters must be evenly divisible by the number of groups",
                format!("groups={}, filters={}", self.groups, self.filters),
            ));
        }
        if self.strided_dilation { Ok(()) } else { self.arguments.refuse_strided_dilation() }
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn fixed_axes(&self, _rank: usize) -> Vec<i32> {
        self.arguments.fixed_axes()
    }

    fn weights(&self, inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        let channels = self.arguments.channels(&inputs[0])?;
        let shape = self.arguments.kernel_shape([channels / self.groups, self.filters]);
        Ok(self.arguments.declare(&[("kernel", shape, &self.kernel)], self.filters))
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let geometry = self.arguments.geometry(tape.shape(inputs[0]), self.groups, self.filters)?;
        ops::conv::<R>(tape, &self.arguments.conv(geometry), inputs[0], &operands[0], operands.get(1))
    }
}

#[cfg(feature = "keras")]
impl<const R: usize> Configured for Conv<R> {
    const REQUIRED: &'static [&'static str] = &["filters", "kernel_size"];

    fn template() -> Self {
        Self::new(1, 1)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        let order = ["filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups"];
        convolution(codec, &order, R == 1, &mut self.arguments, vec![("kernel", &mut self.kernel)])?;
        codec.field("filters", &mut self.filters)?;
        codec.field("groups", &mut self.groups)?;
        Ok(())
    }
}
