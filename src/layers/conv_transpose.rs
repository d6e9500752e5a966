//! Conv1DTranspose, Conv2DTranspose and Conv3DTranspose.

use std::sync::Arc;

use super::arguments::{
    Common, ConvArguments, PerAxis, WeightOptions, axes_of, conv_setters, each_axis, positive, weight_setters,
};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, Extra, convolution, integer};
use super::describe::{Declared, Describe};
use super::{Initializer, Regularizer, activated_shape};
use crate::geometry::{extent, in_front};
use crate::ops::{self, ConvArgs, Kernel, Tape, Value};
use crate::plan::Direction;
use crate::{Axis, ConvGeometry, DataFormat, Error, PartialShape, Result, Shape};

/// Transposed convolution over `R` axes, 1 to 3: every input pixel adds its multiple of the kernel to the output, then
/// `activation(… + bias)`. It is the gradient of a convolution with respect to its input, and makes images larger by its
/// strides.
///
/// # Shapes
/// Input `[batch, …axes, channels]`, or `[batch, channels, …axes]` with
/// [`ChannelsFirst`](crate::DataFormat::ChannelsFirst); output likewise, with `filters` channels, `n·stride` long under
/// `same` padding. Weights, in either format: `kernel [kernel_size…, filters, channels]`, `bias [filters]`.
///
/// ```
/// use wgpu_conv::{Padding, layers::Conv2DTranspose};
///
/// let larger = Conv2DTranspose::new(16, 3).strides(2).padding(Padding::Same);
/// assert_eq!(larger.output_shape([None, Some(8), Some(9), Some(32)])?.to_string(), "(None, 16, 18, 16)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ConvTranspose<const R: usize> {
    /// The arguments shared by all convolution layers.
    pub arguments: ConvArguments<R>,
    /// Output channels.
    pub filters: u32,
    /// Positions along each axis that the output has beyond the least that `padding` gives, less than the strides; none by default,
    /// which makes `same` and `valid` the inverses of the convolution's.
    pub output_padding: Option<[u32; R]>,
    /// The kernel's initializer (glorot_uniform by default), regularizer and constraint.
    pub kernel: WeightOptions,
}

/// Transposed convolution of sequences `[batch, steps, channels]`.
///
/// ```
/// use wgpu_conv::layers::Conv1DTranspose;
///
/// assert_eq!(Conv1DTranspose::new(4, 8).strides(4).output_shape([1, 10, 2])?.to_string(), "(1, 44, 4)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
pub type Conv1DTranspose = ConvTranspose<1>;

/// Transposed convolution of images `[batch, height, width, channels]`.
pub type Conv2DTranspose = ConvTranspose<2>;

/// Transposed convolution of volumes `[batch, depth, height, width, channels]`.
///
/// ```
/// use wgpu_conv::{Padding, layers::Conv3DTranspose};
///
/// let larger = Conv3DTranspose::new(4, 3).strides((1, 2, 2)).padding(Padding::Same);
/// assert_eq!(larger.output_shape([1, 4, 5, 6, 2])?.to_string(), "(1, 4, 10, 12, 4)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
pub type Conv3DTranspose = ConvTranspose<3>;

conv_setters!(ConvTranspose);
weight_setters!(ConvTranspose<R> {
    "kernel" at kernel: kernel_initializer = "glorot_uniform", kernel_regularizer, kernel_constraint;
});

impl<const R: usize> ConvTranspose<R> {
    /// A layer of `filters` output channels with a window of `kernel_size`: one number for all axes, or one for each.
    pub fn new(filters: u32, kernel_size: impl Into<PerAxis<R>>) -> Self {
        Self {
            arguments: ConvArguments::new(kernel_size.into()),
            filters,
            output_padding: None,
            kernel: WeightOptions::new(Initializer::glorot_uniform()),
        }
    }

    /// Positions along each axis that the output has beyond the least, less than the strides; none by default.
    pub fn output_padding(mut self, output_padding: impl Into<PerAxis<R>>) -> Self {
        self.output_padding = Some(output_padding.into().0);
        self
    }

    /// The output shape for `input`, whose batch and spatial extents may be unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        self.arguments.channels(&input)?;
        let format = self.arguments.data_format;
        let (batch, _, spatial) = format.split::<_, R>(input.dims());
        let output = each_axis(spatial, |axis, dim| Ok(self.axis(axis, extent(dim)?, &input)?.input as usize))?;
        let dims = format.join(batch, Some(self.filters as usize), output);
        activated_shape(&self.arguments.activation, &PartialShape::from(dims))
    }

    /// The forward relation that `axis` of an input of `extent` runs backwards.
    fn axis(&self, axis: usize, extent: u32, input: &PartialShape) -> Result<Axis> {
        let window = &self.arguments.window;
        let (kernel, stride, dilation) = (window.kernel_size[axis], window.strides[axis], window.dilation_rate[axis]);
        let output_padding = self.output_padding.map(|padding| padding[axis]);
        Axis::transposed(extent, kernel, stride, dilation, window.padding, output_padding).ok_or_else(|| {
            Error::invalid(
                "input",
                "the computed output size must not be zero or negative",
                format!(
                    "input shape={input}, kernel_size={:?}, dilation_rate={:?}, strides={:?}, padding={}, \
                     output_padding={:?}",
                    window.kernel_size,
                    window.dilation_rate,
                    window.strides,
                    window.padding.name(),
                    self.output_padding
                ),
            )
        })
    }

    fn geometry(&self, shape: &Shape) -> Result<ConvGeometry> {
        let (batch, channels, spatial) = self.arguments.data_format.split::<_, R>(shape.dims());
        let axes = axes_of(spatial, |axis, dim| self.axis(axis, extent(dim)?, &shape.into()))?;
        ConvGeometry::new(extent(batch)?, 1, [self.filters, extent(channels)?], in_front(Axis::UNIT, axes))
    }
}

impl<const R: usize> Describe for ConvTranspose<R> {
    fn common(&self) -> &Common {
        &self.arguments.common
    }

    fn activity_regularizer(&self) -> Option<Regularizer> {
        self.arguments.activity_regularizer.clone()
    }

    fn data_format(&self) -> Option<DataFormat> {
        Some(self.arguments.data_format)
    }

    fn validate(&self) -> Result<()> {
        self.arguments.validate(&[&self.kernel], false)?;
        positive("filters", &[self.filters])?;
        self.arguments.refuse_strided_dilation()?;
        let strides = self.arguments.window.strides;
        match self.output_padding {
            Some(padding) if padding.iter().zip(strides).any(|(&more, stride)| more >= stride) => Err(Error::invalid(
                "output_padding",
                "`output_padding` must be less than the strides",
                format!("output_padding={padding:?}, strides={strides:?}"),
            )),
            _ => Ok(()),
        }
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn fixed_axes(&self, _rank: usize) -> Vec<i32> {
        self.arguments.fixed_axes()
    }

    fn weights(&self, inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        let channels = self.arguments.channels(&inputs[0])?;
        let shape = self.arguments.kernel_shape([self.filters, channels]);
        Ok(self.arguments.declare(&[("kernel", shape, &self.kernel)], self.filters))
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let geometry = self.geometry(tape.shape(inputs[0]))?;
        let args = ConvArgs { direction: Direction::BackwardInput, ..self.arguments.conv(geometry) };
        ops::conv::<R>(tape, &args, inputs[0], &operands[0], operands.get(1))
    }
}

#[cfg(feature = "keras")]
impl<const R: usize> Configured for ConvTranspose<R> {
    const REQUIRED: &'static [&'static str] = &["filters", "kernel_size"];

    fn template() -> Self {
        Self::new(1, 1)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        let order = ["filters", "kernel_size", "strides", "padding", "output_padding", "data_format", "dilation_rate"];
        convolution(codec, &order, false, &mut self.arguments, vec![("kernel", &mut self.kernel)])?;
        codec.field("filters", &mut self.filters)?;
        let mut more = self.output_padding.map(Extra);
        codec.field("output_padding", &mut more)?;
        self.output_padding = more.map(|Extra(more)| more);
        codec.dropped("groups", |json| integer(json) == Some(1))
    }
}
