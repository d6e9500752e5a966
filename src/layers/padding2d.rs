//! ZeroPadding2D and Cropping2D.

use std::sync::Arc;

use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use super::{Common, Pair};
use crate::geometry::in_front;
use crate::ops::{self, Kernel, Pad, Span, Tape, Value};
use crate::plan::Outside;
use crate::{DataFormat, Error, PartialShape, Result, Settings};

/// Rows and columns at the four sides of an image: made from one number for all, from a pair for (height, width), or from
/// `[[top, bottom], [left, right]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sides(pub [[u32; 2]; 2]);

impl From<u32> for Sides {
    fn from(all: u32) -> Self {
        Self([[all; 2]; 2])
    }
}

impl From<Pair> for Sides {
    fn from(Pair(height, width): Pair) -> Self {
        Self([[height; 2], [width; 2]])
    }
}

impl From<(u32, u32)> for Sides {
    fn from(pair: (u32, u32)) -> Self {
        Pair::from(pair).into()
    }
}

impl From<[[u32; 2]; 2]> for Sides {
    fn from(sides: [[u32; 2]; 2]) -> Self {
        Self(sides)
    }
}

/// A layer that changes the size of images at their sides.
macro_rules! sides_layer {
    ($(#[$doc:meta])* $layer:ident { $sides:ident: $what:literal, $default:literal }, $sign:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $layer {
            /// Name, trainability and types.
            pub common: Common,
            #[doc = concat!($what, ", `[[top, bottom], [left, right]]`; ", $default, " by default.")]
            pub $sides: Sides,
            /// Where the channels stand; `image_data_format` of [`Settings`] by default.
            pub data_format: DataFormat,
        }

        common_setters!($layer, common);

        impl $layer {
            #[doc = concat!("A layer of `", stringify!($sides), "`: one number, (height, width), or")]
            /// `[[top, bottom], [left, right]]`.
            pub fn new($sides: impl Into<Sides>) -> Self {
                let settings = Settings::current();
                let common = Common::new(&settings);
                Self { common, $sides: $sides.into(), data_format: settings.image_data_format }
            }

            /// Where the channels stand; `image_data_format` of the [`Settings`] by default.
            pub fn data_format(mut self, data_format: DataFormat) -> Self {
                self.data_format = data_format;
                self
            }

            /// The output shape for `input`; unknown extents stay unknown.
            ///
            /// # Errors
            /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or
            /// `input`.
            pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
                self.validate()?;
                let input = input.into();
                if input.rank() != 4 {
                    return Err(Error::invalid(
                        "input",
                        "the input must have 4 axes",
                        format!("input shape={input} of rank {}", input.rank()),
                    ));
                }
                let (batch, channels, spatial) = self.data_format.split::<_, 2>(input.dims());
                let mut output = [None; 2];
                for (axis, extent) in spatial.into_iter().enumerate() {
                    output[axis] = extent.map(|extent| self.extent(axis, extent, &input)).transpose()?;
                }
                Ok(self.data_format.join(batch, channels, output).into())
            }

            /// Whether sides are added or taken away.
            const SIGN: i64 = $sign;

            /// The extent that `axis` has afterwards.
            fn extent(&self, axis: usize, extent: usize, input: &PartialShape) -> Result<usize> {
                let Sides(sides) = self.$sides;
                let change = Self::SIGN * sides[axis].iter().map(|&side| i64::from(side)).sum::<i64>();
                usize::try_from(extent as i64 + change).ok().filter(|&left| left > 0 || extent == 0).ok_or_else(|| {
                    Error::invalid(
                        stringify!($sides),
                        concat!("`", stringify!($sides), "` must leave something of the image"),
                        format!(concat!(stringify!($sides), "={:?}, input shape={}"), sides, input),
                    )
                })
            }

            /// The image as its axes say.
            fn moved(&self, tape: &mut Tape, input: Value) -> Result<Value> {
                let dims = tape.shape(input).dims().to_vec();
                let shape = PartialShape::from(tape.shape(input));
                let (batch, channels, spatial) = self.data_format.split::<_, 2>(&dims);
                let Sides(sides) = self.$sides;
                let mut spans = [Span::whole(0); 2];
                for (axis, extent) in spatial.into_iter().enumerate() {
                    let before = Self::SIGN * i64::from(sides[axis][0]);
                    spans[axis] = Span::shifted(self.extent(axis, extent, &shape)?, before);
                }
                let spans = self.data_format.join(Span::whole(batch), Span::whole(channels), spans);
                ops::gather(tape, &spans, Outside::ZERO, input)
            }
        }
    };
}

sides_layer!(
    /// Zeros around an image.
    ///
    /// In a model, a convolution that alone reads the padded image reads the image itself.
    ///
    /// # Shapes
    /// Input `[batch, height, width, channels]`, or `[batch, channels, height, width]` with
    /// [`ChannelsFirst`](DataFormat::ChannelsFirst); output likewise, higher and wider.
    ///
    /// ```
    /// use wgpu_conv::layers::ZeroPadding2D;
    ///
    /// let below = ZeroPadding2D::new([[0, 1], [0, 1]]);
    /// assert_eq!(below.output_shape([None, Some(8), Some(9), Some(3)])?.to_string(), "(None, 9, 10, 3)");
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    ZeroPadding2D { padding: "Rows and columns of zeros", "1" }, 1
);

sides_layer!(
    /// An image without its sides.
    ///
    /// # Shapes
    /// Input `[batch, height, width, channels]`, or `[batch, channels, height, width]` with
    /// [`ChannelsFirst`](DataFormat::ChannelsFirst); output likewise, lower and narrower.
    ///
    /// ```
    /// use wgpu_conv::layers::Cropping2D;
    ///
    /// assert_eq!(Cropping2D::new((1, 2)).output_shape([2, 8, 9, 3])?.to_string(), "(2, 6, 5, 3)");
    /// assert!(Cropping2D::new(4).output_shape([2, 8, 9, 3]).is_err());
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    Cropping2D { cropping: "Rows and columns that are cut off", "0" }, -1
);

impl Describe for ZeroPadding2D {
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
        self.common.validate()
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let source = inputs[0];
        let padded = self.moved(tape, source)?;
        if padded != source {
            let extents = |value| self.data_format.split::<_, 2>(tape.shape(value).dims());
            let ((batch, channels, from), (_, _, to)) = (extents(source), extents(padded));
            let pad = Pad {
                padded,
                source,
                data_format: self.data_format,
                batch,
                channels,
                from: in_front(1, from),
                to: in_front(1, to),
                before: in_front(0, self.padding.0.map(|[before, _]| before)),
            };
            tape.note_pad(pad);
        }
        Ok(padded)
    }
}

impl Describe for Cropping2D {
    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        self.moved(tape, inputs[0])
    }
}

#[cfg(feature = "keras")]
impl Configured for Cropping2D {
    fn template() -> Self {
        Self::new(0)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("cropping", &mut self.cropping)?;
        codec.field("data_format", &mut self.data_format)
    }
}

#[cfg(feature = "keras")]
impl Configured for ZeroPadding2D {
    fn template() -> Self {
        Self::new(1)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("padding", &mut self.padding)?;
        codec.field("data_format", &mut self.data_format)
    }
}
