//! DepthwiseConv2D.

use std::sync::Arc;

#[cfg(feature = "keras")]
use serde_json::Value as Json;

use super::arguments::{ConvArguments, Pair, WeightOptions, conv_setters, positive, weight_setters};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, conv2d_leftovers, convolution};
use super::describe::{Declared, Describe};
use super::{Common, Initializer, Regularizer};
use crate::ops::{self, Kernel, Tape, Value};
use crate::{DataFormat, PartialShape, Result};

/// Depthwise 2-D convolution: each input channel convolved by itself, with `depth_multiplier` kernels, then
/// `activation(… + bias)`.
///
/// Output channel `c·depth_multiplier + m` is channel `c` of the input with `kernel[ky, kx, c, m]`: all multiples of
/// channel 0 first. This equals [`Conv2D`](super::Conv2D) with `groups` = channels and the same kernel bytes (D4).
///
/// # Shapes
/// Input `[batch, height, width, channels]`, or `[batch, channels, height, width]` with
/// [`ChannelsFirst`](crate::DataFormat::ChannelsFirst); output likewise, with `channels·depth_multiplier` channels.
/// Weights, in either format: `kernel [kh, kw, channels, depth_multiplier]`, `bias [channels·depth_multiplier]`.
///
/// ```
/// use wgpu_conv::layers::DepthwiseConv2D;
///
/// let conv = DepthwiseConv2D::new(3).depth_multiplier(2);
/// assert_eq!(conv.output_shape([4, 10, 10, 12])?.to_string(), "(4, 8, 8, 24)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DepthwiseConv2D {
    /// The arguments shared by all convolution layers.
    pub arguments: ConvArguments,
    /// Output channels for each input channel; 1 by default.
    pub depth_multiplier: u32,
    /// The kernel's initializer (glorot_uniform by default), regularizer and constraint.
    pub depthwise: WeightOptions,
    /// Whether strides and dilation rates may both exceed 1; false by default (D1).
    pub strided_dilation: bool,
}

conv_setters!(DepthwiseConv2D);
weight_setters!(DepthwiseConv2D {
    "kernel" at depthwise: depthwise_initializer = "glorot_uniform", depthwise_regularizer, depthwise_constraint;
});

impl DepthwiseConv2D {
    /// A layer with a window of `kernel_size`: one number, or (height, width).
    pub fn new(kernel_size: impl Into<Pair>) -> Self {
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

    /// The output shape for `input`, whose batch, height and width may be unknown.
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

impl Describe for DepthwiseConv2D {
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
        self.arguments.validate(&[&self.depthwise])?;
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
        let [kh, kw] = self.arguments.window.kernel_size;
        let shape = [kh, kw, channels, self.depth_multiplier];
        Ok(self.arguments.declare(&[("kernel", shape, &self.depthwise)], self.out_channels(channels)?))
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let shape = tape.shape(inputs[0]);
        let channels = self.arguments.channels(&shape.into())?;
        let geometry = self.arguments.geometry(shape, channels, self.out_channels(channels)?)?;
        ops::conv::<2>(tape, &self.arguments.conv(geometry), inputs[0], &operands[0], operands.get(1))
    }
}

#[cfg(feature = "keras")]
impl Configured for DepthwiseConv2D {
    const REQUIRED: &'static [&'static str] = &["kernel_size"];

    fn template() -> Self {
        Self::new(1)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        let order = ["depth_multiplier"];
        convolution(codec, &order, &mut self.arguments, vec![("depthwise", &mut self.depthwise)])?;
        codec.field("depth_multiplier", &mut self.depth_multiplier)?;
        codec.dropped("filters", Json::is_null)?;
        conv2d_leftovers(codec)
    }
}
