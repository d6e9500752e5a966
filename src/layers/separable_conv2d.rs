//! SeparableConv2D.

use super::Initializer;
use super::arguments::{ConvArguments, Pair, WeightOptions, conv_setters, positive, weight_setters};
use crate::geometry::{ConvGeometry, extent};
use crate::{PartialShape, Result, Shape};

/// Depthwise 2-D convolution followed by a pointwise one:
/// `activation(pointwise(depthwise(input)) + bias)`, with nothing between the two steps.
///
/// # Shapes
/// Input `[batch, height, width, channels]`, or `[batch, channels, height, width]` with
/// [`ChannelsFirst`](crate::DataFormat::ChannelsFirst); output likewise, with `filters` channels. Weights, in either
/// format: `depthwise_kernel [kh, kw, channels, depth_multiplier]`,
/// `pointwise_kernel [1, 1, channels·depth_multiplier, filters]`, `bias [filters]`.
///
/// ```
/// use wgpu_conv::{Padding, layers::SeparableConv2D};
///
/// let conv = SeparableConv2D::new(64, 3).strides(2).padding(Padding::Same);
/// assert_eq!(conv.output_shape([1, 19, 19, 32])?.to_string(), "(1, 10, 10, 64)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SeparableConv2D {
    /// The arguments shared by all convolution layers.
    pub arguments: ConvArguments,
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

conv_setters!(SeparableConv2D);
weight_setters!(SeparableConv2D {
    "depthwise kernel" at depthwise:
        depthwise_initializer = "glorot_uniform", depthwise_regularizer, depthwise_constraint;
    "pointwise kernel" at pointwise:
        pointwise_initializer = "glorot_uniform", pointwise_regularizer, pointwise_constraint;
});

impl SeparableConv2D {
    /// A layer of `filters` output channels with a window of `kernel_size`: one number, or (height, width).
    pub fn new(filters: u32, kernel_size: impl Into<Pair>) -> Self {
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

    /// The output shape for `input`, whose batch, height and width may be unknown.
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

    /// Every rule of spec §1.1, in Keras's order.
    pub(crate) fn validate(&self) -> Result<()> {
        self.arguments.validate(&[&self.depthwise, &self.pointwise])?;
        positive("depth_multiplier", &[self.depth_multiplier])?;
        positive("filters", &[self.filters])?;
        if self.strided_dilation { Ok(()) } else { self.arguments.refuse_strided_dilation() }
    }

    /// Channels between the two steps.
    pub(crate) fn between(&self, channels: u32) -> Result<u32> {
        extent(channels as usize * self.depth_multiplier as usize)
    }

    /// The shapes `[kh, kw, channels, depth_multiplier]` and `[1, 1, channels·depth_multiplier, filters]`.
    pub(crate) fn kernel_shapes(&self, channels: u32) -> Result<[[usize; 4]; 2]> {
        let [kh, kw] = self.arguments.window.kernel_size;
        let depthwise = [kh, kw, channels, self.depth_multiplier];
        let pointwise = [1, 1, self.between(channels)?, self.filters];
        Ok([depthwise, pointwise].map(|shape| shape.map(|dim| dim as usize)))
    }

    /// The depthwise and the pointwise convolution of an input of `shape`, whose channels have been checked.
    pub(crate) fn geometries(&self, shape: &Shape, channels: u32) -> Result<[ConvGeometry; 2]> {
        let depthwise = self.arguments.geometry(shape, channels, self.between(channels)?)?;
        Ok([depthwise, depthwise.then_pointwise(self.filters)])
    }
}
