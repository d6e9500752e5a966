//! SeparableConv1D and SeparableConv2D.

use std::sync::Arc;

use super::arguments::{ConvArguments, PerAxis, WeightOptions, conv_setters, positive, weight_setters};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, conv2d_leftovers, convolution};
use super::describe::{Declared, Describe};
use super::{Common, Initializer, Regularizer};
use crate::geometry::extent;
use crate::ops::{self, ConvArgs, Kernel, Tape, Value};
use crate::{Activation, DataFormat, PartialShape, Result};

/// Depthwise convolution over `R` axes followed by a pointwise one:
/// `activation(pointwise(depthwise(input)) + bias)`, with nothing between the two steps.
///
/// # Shapes
/// Input `[batch, …axes, channels]`, or `[batch, channels, …axes]` with
/// [`ChannelsFirst`](crate::DataFormat::ChannelsFirst); output likewise, with `filters` channels. Weights, in either
/// format: `depthwise_kernel [kernel_size…, channels, depth_multiplier]`,
/// `pointwise_kernel [1…, channels·depth_multiplier, filters]`, `bias [filters]`.
///
/// ```
/// use wgpu_conv::{Padding, layers::SeparableConv2D};
///
/// let conv = SeparableConv2D::new(64, 3).strides(2).padding(Padding::Same);
/// assert_eq!(conv.output_shape([1, 19, 19, 32])?.to_string(), "(1, 10, 10, 64)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SeparableConv<const R: usize> {
    /// The arguments shared by all convolution layers.
    pub arguments: ConvArguments<R>,
    /// Output channels.
    pub filters: u32,
    /// Channels between the two steps for each input channel; 1 by default.
    pub depth_multiplier: u32,
    /// The depthwise kernel's initializer (glorot_uniform by default), regularizer and constraint.
    pub depthwise: WeightOptions,
    /// The pointwise kernel's initializer (glorot_uniform by default), regularizer and constraint.
    pub pointwise: WeightOptions,
    /// Whether strides and dilation rates may both exceed 1; false by default (D1).
    pub strided_dilation: bool,
}

/// Separable convolution of sequences `[batch, steps, channels]`.
pub type SeparableConv1D = SeparableConv<1>;

/// Separable convolution of images `[batch, height, width, channels]`.
pub type SeparableConv2D = SeparableConv<2>;

conv_setters!(SeparableConv);
weight_setters!(SeparableConv<R> {
    "depthwise kernel" at depthwise:
        depthwise_initializer = "glorot_uniform", depthwise_regularizer, depthwise_constraint;
    "pointwise kernel" at pointwise:
        pointwise_initializer = "glorot_uniform", pointwise_regularizer, pointwise_constraint;
});

impl<const R: usize> SeparableConv<R> {
    /// A layer of `filters` output channels with a window of `kernel_size`: one number for all axes, or one for each.
    pub fn new(filters: u32, kernel_size: impl Into<PerAxis<R>>) -> Self {
        Self {
            arguments: ConvArguments::new(kernel_size.into()),
            filters,
            depth_multiplier: 1,
            depthwise: WeightOptions::new(Initializer::glorot_uniform()),
            pointwise: WeightOptions::new(Initializer::glorot_uniform()),
            strided_dilation: false,
        }
    }

    /// Channels between the two steps for each input channel; 1 by default.
    pub fn depth_multiplier(mut self, depth_multiplier: u32) -> Self {
        self.depth_multiplier = depth_multiplier;
        self
    }

    /// Whether strides and dilation rates may both exceed 1. Keras's documents refuse it, and so does the default;
    /// Keras 3.15 computes it (D1).
    pub fn strided_dilation(mut self, allowed: bool) -> Self {
        self.strided_dilation = allowed;
        self
    }

    /// The output shape for `input`, whose batch and spatial extents may be unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where [building](super::LayerConfig::build) the layer would refuse its
    /// arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        self.arguments.channels(&input)?;
        self.arguments.output_shape(&input, self.filters)
    }

    /// Channels between the two steps.
    fn between(&self, channels: u32) -> Result<u32> {
        extent(channels as usize * self.depth_multiplier as usize)
    }
}

impl<const R: usize> Describe for SeparableConv<R> {
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
        self.arguments.validate(&[&self.depthwise, &self.pointwise], false)?;
        positive("depth_multiplier", &[self.depth_multiplier])?;
        positive("filters", &[self.filters])?;
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
        let depthwise = self.arguments.kernel_shape([channels, self.depth_multiplier]);
        let pointwise = [&[1; R][..], &[self.between(channels)?, self.filters]].concat();
        let kernels =
            [("depthwise_kernel", depthwise, &self.depthwise), ("pointwise_kernel", pointwise, &self.pointwise)];
        Ok(self.arguments.declare(&kernels, self.filters))
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let shape = tape.shape(inputs[0]);
        let channels = self.arguments.channels(&shape.into())?;
        let depthwise = self.arguments.geometry(shape, channels, self.between(channels)?)?;
        let pointwise = self.arguments.conv(depthwise.then_pointwise(self.filters)?);
        let depthwise = ConvArgs { geometry: depthwise, activation: Activation::Linear, ..pointwise };
        let between = ops::conv::<R>(tape, &depthwise, inputs[0], &operands[0], None)?;
        let between = ops::rounded(tape, between)?;
        ops::conv::<R>(tape, &pointwise, between, &operands[1], operands.get(2))
    }
}

#[cfg(feature = "keras")]
impl<const R: usize> Configured for SeparableConv<R> {
    const REQUIRED: &'static [&'static str] = &["filters", "kernel_size"];

    fn template() -> Self {
        Self::new(1, 1)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        let kernels = vec![("depthwise", &mut self.depthwise), ("pointwise", &mut self.pointwise)];
        convolution(codec, &["depth_multiplier", "filters"], false, &mut self.arguments, kernels)?;
        codec.field("depth_multiplier", &mut self.depth_multiplier)?;
        codec.field("filters", &mut self.filters)?;
        conv2d_leftovers(codec)
    }
}
