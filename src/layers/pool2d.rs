//! Pool2D: ONNX's pooling as a layer.

use std::sync::Arc;

use super::arguments::{common_setters, of_rank, positive};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use super::{Common, Pair};
use crate::geometry::{Axis, extent};
use crate::ops::{self, Kernel, Tape, Value};
use crate::plan::PoolFunction;
use crate::{DataFormat, Error, PartialShape, Result, Settings};

/// What a [`Pool2D`] layer makes of a window.
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
            let rule = "the function of a Pool2D layer must be \"max\", \"average\" or \"average_with_pads\"";
            Error::invalid("function", rule, format!("function={name}"))
        })
    }

    /// The name that [`from_name`](Self::from_name) takes.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, known)| *known == self).map_or("max", |(name, _)| name)
    }
}

/// How many positions are padded on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pads {
    /// These: `[[before, after] of the height, [before, after] of the width]`.
    Explicit([[u32; 2]; 2]),
    /// So that the output is `ceil(extent / stride)`; an odd one goes after. Keras's `same`, ONNX's `SAME_UPPER`.
    SameUpper,
    /// So that the output is `ceil(extent / stride)`; an odd one goes before. ONNX's `SAME_LOWER`.
    SameLower,
}

impl Pads {
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

/// Pooling with everything that ONNX's `MaxPool` and `AveragePool` have and Keras's
/// [`MaxPooling2D`](super::MaxPooling2D) and [`AveragePooling2D`](super::AveragePooling2D) lack: pads by side, dilation,
/// and windows that begin inside and end outside.
///
/// # Shapes
/// Input `[batch, height, width, channels]`, or `[batch, channels, height, width]` with
/// [`ChannelsFirst`](DataFormat::ChannelsFirst); output the same with other height and width.
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
pub struct Pool2D {
    /// Name, trainability and types.
    pub common: Common,
    /// What is made of a window.
    pub function: Pooling,
    /// Height and width of the windows.
    pub kernel_size: [u32; 2],
    /// Input positions from one window to the next; 1 by default, as in ONNX.
    pub strides: [u32; 2],
    /// Input positions from one tap to the next; 1 by default.
    pub dilation_rate: [u32; 2],
    /// Pads on either side; none by default.
    pub pads: Pads,
    /// Whether a last window counts that begins in the input or the pads before it, and ends beyond the pads after it;
    /// false by default.
    pub ceil_mode: bool,
    /// Where the channels stand; `image_data_format` of [`Settings`] by default.
    pub data_format: DataFormat,
}

common_setters!(Pool2D, common);

impl Pool2D {
    /// A layer with windows of `kernel_size`, (height, width) or one number for both, at every position.
    pub fn new(function: Pooling, kernel_size: impl Into<Pair>) -> Self {
        let settings = Settings::current();
        Self {
            common: Common::new(&settings),
            function,
            kernel_size: kernel_size.into().into(),
            strides: [1; 2],
            dilation_rate: [1; 2],
            pads: Pads::Explicit([[0; 2]; 2]),
            ceil_mode: false,
            data_format: settings.image_data_format,
        }
    }

    /// Input positions from one window to the next, (height, width); 1 by default.
    pub fn strides(mut self, strides: impl Into<Pair>) -> Self {
        self.strides = strides.into().into();
        self
    }

    /// Input positions from one tap to the next, (height, width); 1 by default.
    pub fn dilation_rate(mut self, dilation_rate: impl Into<Pair>) -> Self {
        self.dilation_rate = dilation_rate.into().into();
        self
    }

    /// Pads on either side; none by default.
    pub fn pads(mut self, pads: Pads) -> Self {
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
        of_rank(&input, 4)?;
        let (batch, channels, spatial) = self.data_format.split::<_, 2>(input.dims());
        let mut output = [None; 2];
        for (index, dim) in spatial.into_iter().enumerate() {
            if let Some(dim) = dim {
                output[index] = Some(self.axis(index, dim, &input)?.0.output as usize);
            }
        }
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

impl Describe for Pool2D {
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
        let (_, _, [height, width]) = self.data_format.split(shape.dims());
        let (h, after_h) = self.axis(0, height, &shape.into())?;
        let (w, after_w) = self.axis(1, width, &shape.into())?;
        let function = match self.function {
            Pooling::Max => PoolFunction::Max,
            Pooling::Average => PoolFunction::Average,
            Pooling::AverageWithPads => PoolFunction::AveragePadded { pad_after: [0, after_h, after_w] },
        };
        ops::pool(tape, function, self.data_format, [h, w], inputs[0])
    }
}

#[cfg(feature = "keras")]
impl Configured for Pool2D {
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
