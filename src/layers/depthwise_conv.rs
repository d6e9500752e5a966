//! DepthwiseConv1D and DepthwiseConv2D.

use std::sync::Arc;

#[cfg(feature = "keras")]
use serde_json::Value as Json;

use super::arguments::{ConvArguments, PerAxis, WeightOptions, conv_setters, positive, weight_setters};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, conv2d_leftovers, convolution};
use super::describe::{Declared, Describe};
use super::{Common, Initializer, Regularizer};
use crate::ops::{self, Kernel, Tape, Value};
use crate::{DataFormat, PartialShape, Result};

/// Depthwise convolution over `R` axes: each input channel convolved by itself, with `depth_multiplier` kernels, then
/// `activation(… + bias)`.
///
/// Output channel `c·depth_multiplier + m` is channel `c` of the input with `kernel[…taps, c, m]`: all multiples of
/// channel 0 first. This equals [`Conv`](super::Conv) with `groups` = channels and the same kernel bytes (D4).
///
/// # Shapes
/// Input `[batch, …axes, channels]`, or `[batch, channels, …axes]` with
/// [`ChannelsFirst`](crate::DataFormat::ChannelsFirst); output likewise, with `channels·depth_multiplier` channels.
/// Weights, in either format: `kernel [kernel_size…, channels, depth_multiplier]`, `bias [channels·depth_multiplier]`.
///
/// ```
/// use wgpu_conv::layers::DepthwiseConv2D;
///
/// let conv = DepthwiseConv2D::new(3).depth_multiplier(2);
/// assert_eq!(conv.output_shape([4, 10, 10, 12])?.to_string(), "(4, 8, 8, 24)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DepthwiseConv<const R: usize> {
    /// The arguments shared by all convolution layers.
    pub arguments: ConvArguments<R>,
    /// Output channels for each input channel; 1 by default.
    pub depth_multiplier: u32,
    /// The kernel's initializer (glorot_uniform by default), regularizer and constraint.
    pub depthwise: WeightOptions,
    /// Whether strides and dilation rates may both exceed 1; false by default (D1).
    pub strided_dilation: bool,
}

/// Depthwise convolution of sequences `[batch, steps, channels]`.
pub type DepthwiseConv1D = DepthwiseConv<1>;

/// Depthwise convolution of images `[batch, height, width, channels]`.
pub type DepthwiseConv2D = DepthwiseConv<2>;

conv_setters!(DepthwiseConv);
weight_setters!(DepthwiseConv<R> {
    "kernel" at depthwise: depthwise_initializer = "glorot_uniform", depthwise_regularizer, depthwise_constraint;
});

impl<const R: usize> DepthwiseConv<R> {
    /// A layer with a window of `kernel_size`: one number for all axes, or one for each.
    pub fn new(kernel_size: impl Into<PerAxis<R>>) -> Self {
        Self {
            arguments: ConvArguments::new(kernel_size.into()),
            depth_multiplier: 1,
            depthwise: WeightOptions::new(Initializer::glorot_uniform()),
            strided_dilation: false,
        }
    }

    /// Output channels for each input channel; 1 by default.
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
        let channels = self.arguments.channels(&input)?;
        self.arguments.output_shape(&input, self.out_channels(channels)?)
    }

    fn out_channels(&self, channels: u32) -> Result<u32> {
        crate::geometry::extent(channels as usize * self.depth_multiplier as usize)
    }
}

impl<const R: usize> Describe for DepthwiseConv<R> {
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
        self.arguments.validate(&[&self.depthwise], false)?;
        positive("depth_multiplier", &[self.depth_multiplier])?;
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
        let shape = self.arguments.kernel_shape([channels, self.depth_multiplier]);
        Ok(self.arguments.declare(&[("kernel", shape, &self.depthwise)], self.out_channels(channels)?))
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let shape = tape.shape(inputs[0]);
        let channels = self.arguments.channels(&shape.into())?;
        let geometry = self.arguments.geometry(shape, channels, self.out_channels(channels)?)?;
        ops::conv::<R>(tape, &self.arguments.conv(geometry), inputs[0], &operands[0], operands.get(1))
    }
}

#[cfg(feature = "keras")]
impl<const R: usize> Configured for DepthwiseConv<R> {
    const REQUIRED: &'static [&'static str] = &["kernel_size"];

    fn template() -> Self {
        Self::new(1)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        let order = ["depth_multiplier"];
        convolution(codec, &order, false, &mut self.arguments, vec![("depthwise", &mut self.depthwise)])?;
        codec.field("depth_multiplier", &mut self.depth_multiplier)?;
        codec.dropped("filters", Json::is_null)?;
        conv2d_leftovers(codec)
    }
}
