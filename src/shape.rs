//! Tensor shapes, shapes with unknown axes, and data formats.

use crate::{Error, Result};

/// The extents of a tensor's axes, outermost first; elements are stored with the last axis fastest.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// The extents, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The number of elements, 1 for a scalar.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the product does not fit 64 bits.
    pub fn elements(&self) -> Result<u64> {
        self.0
            .iter()
            .try_fold(1u64, |product, &dim| product.checked_mul(dim as u64))
            .ok_or_else(|| Error::invalid("shape", "a shape's product must fit 64 bits", format!("shape={self}")))
    }
}

/// A shape some of whose extents are not known yet: Keras's `None`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PartialShape(Vec<Option<usize>>);

impl PartialShape {
    /// The elements of these extents, where all are known.
    ///
    /// # Errors
    /// [`Error::Invalid`] when they are too many to be counted: extents may come from files.
    pub(crate) fn elements_of(dims: &[Option<usize>]) -> Result<Option<usize>> {
        let Some(dims) = dims.iter().copied().collect::<Option<Vec<usize>>>() else { return Ok(None) };
        let count = dims.iter().try_fold(1usize, |count, &dim| count.checked_mul(dim));
        let received = || format!("shape={}", Shape(dims.clone()));
        count
            .map(Some)
            .ok_or_else(|| Error::invalid("shape", "the product of a shape's extents must fit 64 bits", received()))
    }

    /// The extents, outermost first; `None` where unknown.
    pub fn dims(&self) -> &[Option<usize>] {
        &self.0
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// # Errors
    /// [`Error::Invalid`] where the product of the known extents does not fit 64 bits, those that are 0 left out: arithmetic on the
    /// shape may count by any of them.
    pub(crate) fn check_countable(&self) -> Result<()> {
        let known = self.0.iter().flatten().filter(|dim| **dim > 0);
        let product = known.into_iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64));
        let fits = product.is_some_and(|product| usize::try_from(product).is_ok());
        if fits {
            return Ok(());
        }
        Err(Error::invalid("input", "the product of a shape's extents must fit 64 bits", format!("input shape={self}")))
    }

    /// Whether one array may have both shapes.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        let mut pairs = self.0.iter().zip(&other.0);
        self.rank() == other.rank() && pairs.all(|(own, other)| own.zip(*other).is_none_or(|(own, other)| own == other))
    }

    /// The shape, if every extent is known.
    pub fn known(&self) -> Option<Shape> {
        self.0.iter().copied().collect::<Option<Vec<_>>>().map(Shape)
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_dims(f, self.0.iter().map(ToString::to_string))
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for PartialShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_dims(f, self.0.iter().map(|dim| dim.map_or("None".into(), |d| d.to_string())))
    }
}

impl std::fmt::Debug for PartialShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Writes a shape as Keras prints it: `(2, 5, 5, 3)`, `(4,)`, `()`.
fn write_dims(f: &mut std::fmt::Formatter<'_>, dims: impl Iterator<Item = String>) -> std::fmt::Result {
    let dims: Vec<_> = dims.collect();
    match dims.as_slice() {
        [only] => write!(f, "({only},)"),
        _ => write!(f, "({})", dims.join(", ")),
    }
}

impl<const R: usize> From<[usize; R]> for Shape {
    fn from(dims: [usize; R]) -> Self {
        Self(dims.to_vec())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Self {
        Self(dims)
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Self(dims.to_vec())
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        shape.clone()
    }
}

impl<const R: usize> From<[usize; R]> for PartialShape {
    fn from(dims: [usize; R]) -> Self {
        Self(dims.into_iter().map(Some).collect())
    }
}

impl<const R: usize> From<[Option<usize>; R]> for PartialShape {
    fn from(dims: [Option<usize>; R]) -> Self {
        Self(dims.to_vec())
    }
}

impl From<Vec<Option<usize>>> for PartialShape {
    fn from(dims: Vec<Option<usize>>) -> Self {
        Self(dims)
    }
}

impl From<&Shape> for PartialShape {
    fn from(shape: &Shape) -> Self {
        Self(shape.dims().iter().copied().map(Some).collect())
    }
}

impl From<Shape> for PartialShape {
    fn from(shape: Shape) -> Self {
        (&shape).into()
    }
}

impl From<&PartialShape> for PartialShape {
    fn from(shape: &PartialShape) -> Self {
        shape.clone()
    }
}

/// Where the channels stand among a tensor's axes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DataFormat {
    /// `[batch, height, width, channels]`, NHWC. Keras's default.
    #[default]
    ChannelsLast,
    /// `[batch, channels, height, width]`, NCHW.
    ChannelsFirst,
}

impl DataFormat {
    /// The format of a Keras name, in any letter case.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other string, `NHWC` and `NCHW` included.
    pub fn from_name(name: &str) -> Result<Self> {
        match name.to_lowercase().as_str() {
            "channels_last" => Ok(Self::ChannelsLast),
            "channels_first" => Ok(Self::ChannelsFirst),
            _ => Err(Error::invalid(
                "data_format",
                "`data_format` must be \"channels_last\" or \"channels_first\"",
                format!("data_format={name}"),
            )),
        }
    }

    /// Keras's name: `channels_last` or `channels_first`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChannelsLast => "channels_last",
            Self::ChannelsFirst => "channels_first",
        }
    }

    /// The index of the channel axis in a shape of `rank` axes.
    pub const fn channel_axis(self, rank: usize) -> usize {
        match self {
            Self::ChannelsLast => rank - 1,
            Self::ChannelsFirst => 1,
        }
    }

    /// `[batch, channels]` and the spatial extents of `dims`, which has `R + 2` axes.
    pub(crate) fn split<T: Copy, const R: usize>(self, dims: &[T]) -> (T, T, [T; R]) {
        let first = match self {
            Self::ChannelsLast => 1,
            Self::ChannelsFirst => 2,
        };
        (dims[0], dims[self.channel_axis(R + 2)], std::array::from_fn(|axis| dims[first + axis]))
    }

    /// The inverse of [`split`](Self::split).
    pub(crate) fn join<T: Copy, const R: usize>(self, batch: T, channels: T, spatial: [T; R]) -> Vec<T> {
        let mut dims = vec![batch];
        dims.extend(spatial);
        dims.insert(self.channel_axis(R + 2), channels);
        dims
    }
}
