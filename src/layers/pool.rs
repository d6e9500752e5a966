//! Pool1D to Pool3D: ONNX's pooling as a layer.

use std::sync::Arc;

use super::arguments::{common_setters, each_axis, of_rank, positive};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use super::{Common, PerAxis};
use crate::geometry::{Axis, extent, in_front};
use crate::ops::{self, Kernel, Tape, Value};
use crate::plan::PoolFunction;
use crate::{DataFormat, Error, PartialShape, Result, Settings};

/// What a [`Pool`] layer makes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pooling {
    /// The largest value; NaN where one is.
    Max,
    /// The mean of what lies inside the input.
    Average,
    /// The mean of what lies inside the padded input, pads being zeros: ONNX's `count_include_pad`.
    AverageWithPads,
}

impl Pooling {
    const ALL: [(&str, Self); 3] =
        [("max", Self::Max), ("average", Self::Average), ("average_with_pads", Self::AverageWithPads)];

    /// The pooling named `max`, `average` or `average_with_pads`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other name.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|&(_, pooling)| pooling).ok_or_else(|| {
            let rule = "the function of a pool layer must be \"max\", \"average\" or \"average_with_pads\"";
            Error::invalid("function", rule, format!("function={name}"))
        })
    }

    /// The name that [`from_name`](Self::from_name) takes.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, known)| *known == self).map_or("max", |(name, _)| name)
    }
}

/// How many positions are padded on either side of each of `R` axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pads<const R: usize> {
    /// These: `[before, after]` of each axis.
    Explicit([[u32; 2]; R]),
    /// So that the output is `ceil(extent / stride)`; an odd one goes after. Keras's `same`, ONNX's `SAME_UPPER`.
    SameUpper,
    /// So that the output is `ceil(extent / stride)`; an odd one goes before. ONNX's `SAME_LOWER`.
    SameLower,
}

impl<const R: usize> Pads<R> {
    /// The pads of axis `axis` of `extent`, for windows that reach over `reach` positions.
    fn of(self, axis: usize, extent: u32, stride: u32, reach: u64) -> [u64; 2] {
        let covered = u64::from(extent.div_ceil(stride).saturating_sub(1)) * u64::from(stride) + reach;
        let total = covered.saturating_sub(extent.into());
        match self {
            Self::Explicit(pads) => pads[axis].map(u64::from),
            Self::SameUpper => [total / 2, total - total / 2],
            Self::SameLower => [total - total / 2, total / 2],
        }
    }
}

/// Pooling over `R` axes, 1 to 3, with everything that ONNX's `MaxPool` and `AveragePool` have and Keras's
/// [`MaxPooling`](super::MaxPooling) and [`AveragePooling`](super::AveragePooling) lack: pads by side, dilation,
/// and windows that begin inside and end outside.
///
/// # Shapes
/// Input `[batch, …axes, channels]`, or `[batch, channels, …axes]` with [`ChannelsFirst`](DataFormat::ChannelsFirst);
/// output the same with other spatial extents.
///
/// ```
/// use wgpu_conv::layers::{Pads, Pool2D, Pooling};
///
/// let pool = Pool2D::new(Pooling::Max, 3).strides(2).pads(Pads::Explicit([[0, 1], [1, 0]]));
/// assert_eq!(pool.output_shape([1, 6, 6, 4])?.to_string(), "(1, 3, 3, 4)");
/// let partial = Pool2D::new(Pooling::Average, 3).strides(2).ceil_mode(true);
/// assert_eq!(partial.output_shape([1, 6, 6, 4])?.to_string(), "(1, 3, 3, 4)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Pool<const R: usize> {
    /// Name, trainability and types.
    pub common: Common,
    /// What is made of a window.
    pub function: Pooling,
    /// The size of the windows along each axis.
    pub kernel_size: [u32; R],
    /// Input positions from one window to the next; 1 by default, as in ONNX.
    pub strides: [u32; R],
    /// Input positions from one tap to the next; 1 by default.
    pub dilation_rate: [u32; R],
    /// Pads on either side; none by default.
    pub pads: Pads<R>,
    /// Whether a last window counts that begins in the input or the pads before it, and ends beyond the pads after it;
    /// false by default.
    pub ceil_mode: bool,
    /// Where the channels stand; `image_data_format` of [`Settings`] by default.
    pub data_format: DataFormat,
}

/// Pooling of sequences.
pub type Pool1D = Pool<1>;

/// Pooling of images.
pub type Pool2D = Pool<2>;

/// Pooling of volumes.
pub type Pool3D = Pool<3>;

common_setters!(Pool<R>, common);

impl<const R: usize> Pool<R> {
    /// A layer with windows of `kernel_size`, one number for all axes or one for each, at every position.
    pub fn new(function: Pooling, kernel_size: impl Into<PerAxis<R>>) -> Self {
        let settings = Settings::current();
        Self {
            common: Common::new(&settings),
            function,
            kernel_size: kernel_size.into().0,
            strides: [1; R],
            dilation_rate: [1; R],
            pads: Pads::Explicit([[0; 2]; R]),
            ceil_mode: false,
            data_format: settings.image_data_format,
        }
    }

    /// Input positions from one window to the next, along each axis; 1 by default.
    pub fn strides(mut self, strides: impl Into<PerAxis<R>>) -> Self {
        self.strides = strides.into().0;
        self
    }

    /// Input positions from one tap to the next, along each axis; 1 by default.
    pub fn dilation_rate(mut self, dilation_rate: impl Into<PerAxis<R>>) -> Self {
        self.dilation_rate = dilation_rate.into().0;
        self
    }

    /// Pads on either side; none by default.
    pub fn pads(mut self, pads: Pads<R>) -> Self {
        self.pads = pads;
        self
    }

    /// Whether a last window counts that ends beyond the pads; false by default.
    pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.ceil_mode = ceil_mode;
        self
    }

    /// Where the channels stand; `image_data_format` of the [`Settings`] by default.
    pub fn data_format(mut self, data_format: DataFormat) -> Self {
        self.data_format = data_format;
        self
    }

    /// The output shape for `input`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        of_rank(&input, R + 2)?;
        let (batch, channels, spatial) = self.data_format.split::<_, R>(input.dims());
        let output = each_axis(spatial, |index, dim| Ok(self.axis(index, dim, &input)?.0.output as usize))?;
        Ok(self.data_format.join(batch, channels, output).into())
    }

    /// The windows along a spatial axis, and the pads after it.
    fn axis(&self, index: usize, dim: usize, shape: &PartialShape) -> Result<(Axis, u32)> {
        let input = extent(dim)?;
        let (kernel, stride, dilation) = (self.kernel_size[index], self.strides[index], self.dilation_rate[index]);
        let reach = u64::from(kernel - 1) * u64::from(dilation) + 1;
        let [before, after] = self.pads.of(index, input, stride, reach);
        let padded = u64::from(input) + before + after;
        let windows = padded.checked_sub(reach).map(|free| {
            if !self.ceil_mode {
                return free / u64::from(stride) + 1;
            }
            let windows = free.div_ceil(stride.into()) + 1;
            // A window that begins in the pads after the input is none.
            if (windows - 1) * u64::from(stride) >= u64::from(input) + before { windows - 1 } else { windows }
        });
        let fits = |count: u64| u32::try_from(count).ok();
        match (windows.and_then(fits).filter(|&windows| windows > 0), fits(before), fits(after)) {
            (Some(output), Some(pad_before), Some(after)) => {
                Ok((Axis { input, output, kernel, stride, dilation, pad_before }, after))
            }
            _ => Err(Error::invalid(
                "input",
                "the computed output size must not be zero or negative",
                format!(
                    "input shape={shape}, kernel_size={:?}, dilation_rate={:?}, strides={:?}, pads={:?}",
                    self.kernel_size, self.dilation_rate, self.strides, self.pads
                ),
            )),
        }
    }
}

impl<const R: usize> Describe for Pool<R> {
    fn module(&self) -> &'static str {
        super::OPERATORS
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn data_format(&self) -> Option<DataFormat> {
        Some(self.data_format)
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        positive("kernel_size", &self.kernel_size)?;
        positive("strides", &self.strides)?;
        positive("dilation_rate", &self.dilation_rate)?;
        self.common.validate()
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let shape = tape.shape(inputs[0]);
        let (_, _, spatial) = self.data_format.split::<_, R>(shape.dims());
        let (mut axes, mut pad_after) = ([Axis::UNIT; R], [0; R]);
        for (index, dim) in spatial.into_iter().enumerate() {
            (axes[index], pad_after[index]) = self.axis(index, dim, &shape.into())?;
        }
        let function = match self.function {
            Pooling::Max => PoolFunction::Max,
            Pooling::Average => PoolFunction::Average,
            Pooling::AverageWithPads => PoolFunction::AveragePadded { pad_after: in_front(0, pad_after) },
        };
        ops::pool(tape, function, self.data_format, axes, inputs[0])
    }
}

#[cfg(feature = "keras")]
impl<const R: usize> Configured for Pool<R> {
    const REQUIRED: &'static [&'static str] = &["function", "kernel_size"];

    fn template() -> Self {
        Self::new(Pooling::Max, 1)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("function", &mut self.function)?;
        codec.field("kernel_size", &mut self.kernel_size)?;
        codec.field("strides", &mut self.strides)?;
        codec.field("dilation_rate", &mut self.dilation_rate)?;
        codec.field("pads", &mut self.pads)?;
        codec.field("ceil_mode", &mut self.ceil_mode)?;
        codec.field("data_format", &mut self.data_format)
    }
}
