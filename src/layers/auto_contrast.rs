//! AutoContrast.

use std::sync::Arc;

use super::Common;
use super::arguments::{common_setters, of_rank};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use crate::ops::{self, Kernel, Side, Tape, Value};
use crate::plan::{AxisFunction, BinaryFunction, Elementwise};
use crate::{DataFormat, Error, PartialShape, Result, Settings, Unary};

/// Images stretched so that the darkest value of each becomes the least, and the brightest the largest, of a range; an image
/// of one value stays as it is. It acts at inference, too.
///
/// As in Keras, the extremes are taken over axes 1 and 2 whatever the data format: with `channels_first` those are channels and
/// rows.
///
/// # Shapes
/// Input and output of the same shape, `[batch, height, width, channels]`.
///
/// ```
/// use wgpu_conv::layers::AutoContrast;
///
/// assert_eq!(AutoContrast::new().value_range([0.0, 1.0]).output_shape([2, 8, 8, 3])?.to_string(), "(2, 8, 8, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AutoContrast {
    /// Name, trainability and types.
    pub common: Common,
    /// The least and the largest value; 0 and 255 by default.
    pub value_range: [f32; 2],
    /// Where the channels stand; without effect (see above).
    pub data_format: DataFormat,
}

common_setters!(AutoContrast, common);

impl Default for AutoContrast {
    fn default() -> Self {
        let settings = Settings::current();
        Self { common: Common::new(&settings), value_range: [0.0, 255.0], data_format: settings.image_data_format }
    }
}

impl AutoContrast {
    /// A layer for values from 0 to 255.
    pub fn new() -> Self {
        Self::default()
    }

    /// The least and the largest value; 0 and 255 by default.
    pub fn value_range(mut self, value_range: [f32; 2]) -> Self {
        self.value_range = value_range;
        self
    }

    /// The output shape for `input`: the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        of_rank(&input, 4)?;
        Ok(input)
    }
}

impl Describe for AutoContrast {
    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        let [least, largest] = self.value_range;
        if least < largest && least.is_finite() && largest.is_finite() {
            return Ok(());
        }
        let received = format!("value_range={:?}", self.value_range);
        Err(Error::invalid("value_range", "`value_range` must be two finite numbers, the smaller first", received))
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    /// `least + (x − low) · range / (high − low)`; where low is high that is NaN, and what follows keeps `x` there: the quotient
    /// is 0/0 only then.
    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let [least, largest] = self.value_range;
        let input = inputs[0];
        if tape.elements(input) == 0 {
            return Ok(input);
        }
        let function = |function: Unary| Elementwise::of_unary(&function);
        let low = ops::reduce(tape, AxisFunction::Min, &[1, 2], true, input)?;
        let high = ops::reduce(tape, AxisFunction::Max, &[1, 2], true, input)?;
        let two =
            |tape: &mut Tape, of, left, right, then| ops::binary(tape, of, Side::Value(left), Side::Value(right), then);
        let spread = two(tape, BinaryFunction::Subtract, high, low, Elementwise::LINEAR)?;
        let above = two(tape, BinaryFunction::Subtract, input, low, Elementwise::LINEAR)?;
        // 0 where the image is of one value, else 1: what is added and what is multiplied stay exact.
        let varies = ops::map(tape, function(Unary::Sign), spread)?;
        let one_valued = ops::map(tape, function(Unary::Affine { scale: -1.0, offset: 1.0 }), varies)?;
        let divisor = two(tape, BinaryFunction::Add, spread, one_valued, Elementwise::LINEAR)?;
        let to_range = function(Unary::Affine { scale: largest - least, offset: least });
        let stretched = two(tape, BinaryFunction::Divide, above, divisor, to_range)?;
        let clipped = ops::map(tape, function(Unary::Clip { min: least, max: largest }), stretched)?;
        let stretched = two(tape, BinaryFunction::Multiply, clipped, varies, Elementwise::LINEAR)?;
        let kept = two(tape, BinaryFunction::Multiply, input, one_valued, Elementwise::LINEAR)?;
        two(tape, BinaryFunction::Add, stretched, kept, Elementwise::LINEAR)
    }
}

#[cfg(feature = "keras")]
impl Configured for AutoContrast {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("data_format", &mut self.data_format)?;
        codec.field("value_range", &mut self.value_range)
    }
}
