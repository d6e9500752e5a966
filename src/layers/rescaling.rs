//! Rescaling.

use std::sync::Arc;

use super::Common;
use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use crate::ops::{self, Kernel, Numbers, Tape, Value};
use crate::{DataFormat, Error, PartialShape, Result, Settings};

/// One number for everything, or one for each channel.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PerChannel {
    /// One for everything.
    One(f64),
    /// One for each channel.
    Each(Vec<f64>),
}

impl PerChannel {
    /// The numbers.
    pub fn as_slice(&self) -> &[f64] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Each(values) => values,
        }
    }
}

impl From<f64> for PerChannel {
    fn from(value: f64) -> Self {
        Self::One(value)
    }
}

impl From<Vec<f64>> for PerChannel {
    fn from(values: Vec<f64>) -> Self {
        Self::Each(values)
    }
}

impl<const N: usize> From<[f64; N]> for PerChannel {
    fn from(values: [f64; N]) -> Self {
        Self::Each(values.into())
    }
}

/// `input · scale + offset`, with one scale and offset or with one for each channel.
///
/// # Shapes
/// Input and output of the same shape, of any rank. The channels are the last axis, or the last but two where
/// [`Settings`] say `channels_first`.
///
/// ```
/// use wgpu_conv::layers::Rescaling;
///
/// let to_unit = Rescaling::new(1.0 / 127.5).offset(-1.0);
/// assert_eq!(to_unit.output_shape([None, Some(8), Some(8), Some(3)])?.to_string(), "(None, 8, 8, 3)");
/// let of_rgb = Rescaling::new([1.0, 0.5, 0.25]);
/// assert!(of_rgb.output_shape([1, 8, 8, 4]).is_err());
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rescaling {
    /// Name, trainability and types.
    pub common: Common,
    /// The factor, finite.
    pub scale: PerChannel,
    /// What is added; 0 by default.
    pub offset: PerChannel,
    /// Where the channels stand; `image_data_format` of [`Settings`] by default.
    pub data_format: DataFormat,
}

common_setters!(Rescaling, common);

impl Rescaling {
    /// A layer that multiplies by `scale`, one number or one for each channel.
    pub fn new(scale: impl Into<PerChannel>) -> Self {
        let settings = Settings::current();
        Self {
            common: Common::new(&settings),
            scale: scale.into(),
            offset: PerChannel::One(0.0),
            data_format: settings.image_data_format,
        }
    }

    /// Takes the data format and the dtype policy from `settings` instead of the process's own.
    pub fn settings(mut self, settings: &Settings) -> Self {
        self.data_format = settings.image_data_format;
        self.common.dtype = settings.floatx;
        self
    }

    /// What is added, one number or one for each channel; 0 by default.
    pub fn offset(mut self, offset: impl Into<PerChannel>) -> Self {
        self.offset = offset.into();
        self
    }

    /// The output shape for `input`: the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        let count = self.count();
        let channels = input.rank().checked_sub(1 + self.axes_after()).and_then(|axis| input.dims()[axis]);
        if count > 1 && channels != Some(count) {
            return Err(Error::invalid(
                "input",
                "the channels of the input must be known, and as many as `scale` and `offset` have values",
                format!("input shape={input}, {count} values"),
            ));
        }
        Ok(input)
    }

    /// Values of the longer one of scale and offset.
    fn count(&self) -> usize {
        self.scale.as_slice().len().max(self.offset.as_slice().len())
    }

    /// Axes after the channels.
    fn axes_after(&self) -> usize {
        match self.data_format {
            DataFormat::ChannelsLast => 0,
            DataFormat::ChannelsFirst => 2,
        }
    }
}

impl Describe for Rescaling {
    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn data_format(&self) -> Option<DataFormat> {
        Some(self.data_format)
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        let count = self.count();
        for (argument, values) in [("scale", self.scale.as_slice()), ("offset", self.offset.as_slice())] {
            if !values.iter().all(|value| value.is_finite()) || ![1, count].contains(&values.len()) {
                return Err(Error::invalid(
                    argument,
                    "`scale` and `offset` must be finite, one number or as many as the other",
                    format!("scale={:?}, offset={:?}", self.scale.as_slice(), self.offset.as_slice()),
                ));
            }
        }
        Ok(())
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    /// The scale and the offset, equally long.
    fn operands(&self, _weights: Vec<Arc<Kernel>>, numbers: Numbers) -> Result<Vec<Arc<Kernel>>> {
        let count = self.count();
        let spread = |values: &[f64]| {
            let values = values.iter().cycle().take(count).map(|&value| value as f32).collect();
            Kernel::of_values([count], values, numbers)
        };
        Ok(vec![spread(self.scale.as_slice()), spread(self.offset.as_slice())])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let dims = tape.shape(inputs[0]).dims();
        let after = if self.count() > 1 { dims[dims.len() - self.axes_after()..].iter().product() } else { 1 };
        ops::scale_and_shift_runs(tape, after, inputs[0], &operands[0], operands.get(1))
    }
}

#[cfg(feature = "keras")]
impl Configured for Rescaling {
    const REQUIRED: &'static [&'static str] = &["scale"];

    fn template() -> Self {
        Self::new(1.0)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("scale", &mut self.scale)?;
        codec.field("offset", &mut self.offset)
    }
}
