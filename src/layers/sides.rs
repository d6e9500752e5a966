//! ZeroPadding1D to ZeroPadding3D, and Cropping1D to Cropping3D.

use std::sync::Arc;

use super::Common;
use super::arguments::{common_setters, each_axis, of_rank};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use crate::geometry::in_front;
use crate::ops::{self, Kernel, Span, Tape, Value, ZeroPadded};
use crate::plan::Outside;
use crate::{DataFormat, Error, PartialShape, Result, Settings};

/// Positions before and after along each of `R` spatial axes: made from one number for all, or from an array of
/// `[before, after]`. Of images and volumes a tuple is a number for each axis; of sequences it is (before, after).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sides<const R: usize>(pub [[u32; 2]; R]);

impl<const R: usize> From<u32> for Sides<R> {
    fn from(all: u32) -> Self {
        Self([[all; 2]; R])
    }
}

impl<const R: usize> From<[[u32; 2]; R]> for Sides<R> {
    fn from(sides: [[u32; 2]; R]) -> Self {
        Self(sides)
    }
}

impl From<(u32, u32)> for Sides<1> {
    fn from((before, after): (u32, u32)) -> Self {
        Self([[before, after]])
    }
}

impl From<(u32, u32)> for Sides<2> {
    fn from((height, width): (u32, u32)) -> Self {
        Self([[height; 2], [width; 2]])
    }
}

impl From<(u32, u32, u32)> for Sides<3> {
    fn from((depth, height, width): (u32, u32, u32)) -> Self {
        Self([[depth; 2], [height; 2], [width; 2]])
    }
}

/// A layer that changes the size of images at their sides.
macro_rules! sides_layer {
    ($(#[$doc:meta])* $layer:ident { $sides:ident: $what:literal, $default:literal }, $sign:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $layer<const R: usize> {
            /// Name, trainability and types.
            pub common: Common,
            #[doc = concat!($what, ", `[before, after]` of each axis; ", $default, " by default.")]
            pub $sides: Sides<R>,
            /// Where the channels stand; `image_data_format` of [`Settings`] by default.
            pub data_format: DataFormat,
        }

        common_setters!($layer<R>, common);

        impl<const R: usize> $layer<R> {
            #[doc = concat!("A layer of `", stringify!($sides), "`: see [`Sides`].")]
            pub fn new($sides: impl Into<Sides<R>>) -> Self {
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
                of_rank(&input, R + 2)?;
                let (batch, channels, spatial) = self.data_format.split::<_, R>(input.dims());
                let output = each_axis(spatial, |axis, extent| self.extent(axis, extent, &input))?;
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
                let (batch, channels, spatial) = self.data_format.split::<_, R>(&dims);
                let Sides(sides) = self.$sides;
                let mut spans = [Span::whole(0); R];
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
    /// Zeros around an image, or a sequence or volume: over `R` axes, 1 to 3.
    ///
    /// In a model, a convolution that alone reads the padded image reads the image itself.
    ///
    /// # Shapes
    /// Input `[batch, height, width, channels]`, or `[batch, channels, height, width]` with
    /// [`ChannelsFirst`](DataFormat::ChannelsFirst), or with other spatial axes; output likewise, larger.
    ///
    /// ```
    /// use wgpu_conv::layers::ZeroPadding2D;
    ///
    /// let below = ZeroPadding2D::new([[0, 1], [0, 1]]);
    /// assert_eq!(below.output_shape([None, Some(8), Some(9), Some(3)])?.to_string(), "(None, 9, 10, 3)");
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    ZeroPadding { padding: "Zeros", "1" }, 1
);

sides_layer!(
    /// An image, or a sequence or volume, without its sides: over `R` axes, 1 to 3.
    ///
    /// # Shapes
    /// Input `[batch, height, width, channels]`, or `[batch, channels, height, width]` with
    /// [`ChannelsFirst`](DataFormat::ChannelsFirst), or with other spatial axes; output likewise, smaller.
    ///
    /// ```
    /// use wgpu_conv::layers::Cropping2D;
    ///
    /// assert_eq!(Cropping2D::new((1, 2)).output_shape([2, 8, 9, 3])?.to_string(), "(2, 6, 5, 3)");
    /// assert!(Cropping2D::new(4).output_shape([2, 8, 9, 3]).is_err());
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    Cropping { cropping: "Positions that are cut off", "0 of images, 1 of sequences and volumes" }, -1
);

/// Zeros around sequences `[batch, steps, channels]`.
pub type ZeroPadding1D = ZeroPadding<1>;

/// Zeros around images `[batch, height, width, channels]`.
pub type ZeroPadding2D = ZeroPadding<2>;

/// Zeros around volumes `[batch, depth, height, width, channels]`.
pub type ZeroPadding3D = ZeroPadding<3>;

/// The inner part of sequences `[batch, steps, channels]`.
pub type Cropping1D = Cropping<1>;

/// The inner part of images `[batch, height, width, channels]`.
pub type Cropping2D = Cropping<2>;

/// The inner part of volumes `[batch, depth, height, width, channels]`.
pub type Cropping3D = Cropping<3>;

impl<const R: usize> Describe for ZeroPadding<R> {
    fn common(&self) -> &Common {
        &self.common
    }

    fn data_format(&self) -> Option<DataFormat> {
        Some(self.data_format)
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let source = inputs[0];
        let padded = self.moved(tape, source)?;
        if padded != source {
            let extents = |value| self.data_format.split::<_, R>(tape.shape(value).dims());
            let ((batch, channels, from), (_, _, to)) = (extents(source), extents(padded));
            let pad = ZeroPadded {
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

impl<const R: usize> Describe for Cropping<R> {
    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        self.moved(tape, inputs[0])
    }
}

#[cfg(feature = "keras")]
impl<const R: usize> Configured for Cropping<R> {
    fn template() -> Self {
        Self::new(if R == 2 { 0 } else { 1 })
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("cropping", &mut self.cropping)?;
        // Cropping1D takes channels last alone.
        if R == 1 { Ok(()) } else { codec.field("data_format", &mut self.data_format) }
    }
}

#[cfg(feature = "keras")]
impl<const R: usize> Configured for ZeroPadding<R> {
    fn template() -> Self {
        Self::new(1)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("padding", &mut self.padding)?;
        codec.field("data_format", &mut self.data_format)
    }
}
