//! All output-size and padding arithmetic: a convolution as validated integers.
//!
//! A layer says "kernel 3, stride 2, padding same"; a shader wants to know that 224 rows become 112, and that no zero
//! stands above the first row and one below the last. A `ConvGeometry` is that: for each axis an `Axis` with its
//! extents, stride, dilation and the zeros before it, and for all of them the batch, the channels and the groups.
//! Dense, pointwise (1×1), grouped and depthwise convolutions are the same record with other numbers, and a transposed
//! convolution is one that is run backwards.
//!
//! Nothing outside this module divides by a stride or adds a pad, so that a size can be wrong in one place only. The
//! formulas are Keras's (`keras/src/ops/operation_utils.py`, `compute_conv_output_shape`).

use crate::{Error, Result, Shape};

/// How the border of the input is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Padding {
    /// No padding: the window stays inside the input; output `floor((n − e) / s) + 1`. Keras's default.
    #[default]
    Valid,
    /// Zeros around the input so that the output is `ceil(n / s)`; an odd zero goes to the bottom or right.
    Same,
    /// Zeros before the input alone, `e − 1` of them, so that an output reads nothing behind its own position: for sequences in
    /// time, and `Conv1D` alone.
    Causal,
}

impl Padding {
    /// The padding of a Keras name, in any letter case.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other string.
    pub fn from_name(name: &str) -> Result<Self> {
        match name.to_lowercase().as_str() {
            "valid" => Ok(Self::Valid),
            "same" => Ok(Self::Same),
            "causal" => Ok(Self::Causal),
            _ => Err(Self::unknown(name)),
        }
    }

    /// # Errors
    /// [`Error::Invalid`] for causal padding where that is not `causal` to take.
    pub(crate) fn check(self, causal: bool) -> Result<()> {
        if self == Self::Causal && !causal { Err(Self::unknown(self.name())) } else { Ok(()) }
    }

    fn unknown(name: &str) -> Error {
        Error::invalid("padding", "`padding` must be \"valid\" or \"same\"", format!("padding={name}"))
    }

    /// Keras's name: `valid`, `same` or `causal`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Same => "same",
            Self::Causal => "causal",
        }
    }
}

/// One spatial axis of a correlation: output position `o` reads input positions
/// `o·stride + k·dilation − pad_before` for each kernel tap `k`; positions outside the input read as zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Axis {
    /// Input extent.
    pub input: u32,
    /// Output extent.
    pub output: u32,
    /// Kernel taps.
    pub kernel: u32,
    /// Input positions from one window to the next.
    pub stride: u32,
    /// Input positions from one tap to the next.
    pub dilation: u32,
    /// Zeros before the first input position.
    pub pad_before: u32,
}

impl Axis {
    /// The axis that a convolution over fewer axes has not: one position, read by itself.
    pub const UNIT: Self = Self::pointwise(1);

    /// The extent a window spans: `(kernel − 1)·dilation + 1`, 0 without taps.
    pub const fn effective_kernel(&self) -> u64 {
        match self.kernel.checked_sub(1) {
            Some(steps) => steps as u64 * self.dilation as u64 + 1,
            None => 0,
        }
    }

    /// The axis of a convolution that reads each of `extent` positions by itself.
    pub(crate) const fn pointwise(extent: u32) -> Self {
        Self { input: extent, output: extent, kernel: 1, stride: 1, dilation: 1, pad_before: 0 }
    }

    /// The axis of a Keras convolution; `None` where no window fits (Keras refuses an output of 0 or less).
    pub(crate) fn conv(input: u32, kernel: u32, stride: u32, dilation: u32, padding: Padding) -> Option<Self> {
        let effective = u64::from(kernel - 1) * u64::from(dilation) + 1;
        match padding {
            Padding::Valid => Self::padded(input, kernel, stride, dilation, [0, 0]),
            Padding::Causal => {
                let before = u32::try_from(effective - 1).ok()?;
                Self::padded(input, kernel, stride, dilation, [before, 0])
            }
            Padding::Same => {
                let output = input.div_ceil(stride);
                let covered = u64::from(output.saturating_sub(1)) * u64::from(stride) + effective;
                let total = covered.saturating_sub(u64::from(input));
                let pad_before = u32::try_from(total / 2).ok()?;
                Some(Self { input, output, kernel, stride, dilation, pad_before })
            }
        }
    }

    /// The axis whose forward relation a Keras transposed convolution of `extent` positions runs backwards: `output` is
    /// `extent`, `input` what the transposed convolution makes, `pad_before` what is cut off before it,
    /// which may be nothing. `None` without positions.
    pub(crate) fn transposed(
        extent: u32,
        kernel: u32,
        stride: u32,
        dilation: u32,
        padding: Padding,
        output_padding: Option<u32>,
    ) -> Option<Self> {
        let effective = u64::from(kernel - 1) * u64::from(dilation) + 1;
        let steps = u64::from(extent).checked_sub(1)? * u64::from(stride);
        let [stride_wide, odd] = [u64::from(stride), effective % 2];
        let (length, cut) = match (padding, output_padding.map(u64::from)) {
            // No transposed layer takes it.
            (Padding::Causal, _) => return None,
            (Padding::Valid, None) => (steps + effective.max(stride_wide), 0),
            (Padding::Valid, Some(more)) => (steps + effective + more, 0),
            (Padding::Same, None) => (steps + stride_wide, effective.saturating_sub(stride_wide) / 2),
            (Padding::Same, Some(more)) => {
                let after = (effective + odd + more).saturating_sub(2).div_ceil(2);
                (steps + odd + more, (effective - 1).saturating_sub(after))
            }
        };
        let (input, pad_before) = (u32::try_from(length).ok()?, u32::try_from(cut).ok()?);
        Some(Self { input, output: extent, kernel, stride, dilation, pad_before })
    }

    /// The axis with `pads` zeros before and after; `None` where no window fits.
    pub(crate) fn padded(input: u32, kernel: u32, stride: u32, dilation: u32, pads: [u32; 2]) -> Option<Self> {
        let effective = u64::from(kernel - 1) * u64::from(dilation) + 1;
        let extent = u64::from(input) + u64::from(pads[0]) + u64::from(pads[1]);
        let output = u32::try_from(extent.checked_sub(effective)? / u64::from(stride) + 1).ok()?;
        Some(Self { input, output, kernel, stride, dilation, pad_before: pads[0] })
    }
}

/// What stands for the spatial axes that a convolution of fewer than three has not: units in front.
///
/// ```text
/// one axis     [width]          →  [unit, unit, width]
/// two axes     [height, width]  →  [unit, height, width]
/// ```
pub(crate) fn in_front<T: Copy, const R: usize>(unit: T, values: [T; R]) -> [T; 3] {
    std::array::from_fn(|axis| (axis + R).checked_sub(3).map_or(unit, |own| values[own]))
}

/// A validated convolution over depth, height and width. One over fewer axes has units in front, so that a row of `n`
/// positions is an image of 1 by `n`, and an image a volume of depth 1.
///
/// Input channels are read in `groups` equal runs, and group `g` of the input makes group `g` of the output. A
/// depthwise convolution with multiplier `m` is the case `groups = in_channels`, `out_channels = in_channels · m`;
/// its Keras kernel `[kh, kw, channels, m]` is, byte for byte, the grouped kernel `[kh, kw, 1, channels · m]`.
///
/// ```
/// use wgpu_conv::{Axis, ConvGeometry};
///
/// // 3×3 windows over 224×224 pixels, a zero at every side, from 3 channels to 64.
/// let axis = Axis { input: 224, output: 224, kernel: 3, stride: 1, dilation: 1, pad_before: 1 };
/// let geometry = ConvGeometry::new(1, 1, [3, 64], [Axis::UNIT, axis, axis])?;
/// assert_eq!(geometry.flops(), 2 * 27 * 64 * 224 * 224);
/// assert!(ConvGeometry::new(1, 2, [3, 64], [Axis::UNIT, axis, axis]).is_err());
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvGeometry {
    pub(crate) batch: u32,
    pub(crate) groups: u32,
    pub(crate) in_channels: u32,
    pub(crate) out_channels: u32,
    pub(crate) axes: [Axis; 3],
}

impl ConvGeometry {
    /// The convolution of `batch` inputs from and to so many `channels`, which `groups` divides, over depth, height and width.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a kernel, stride, dilation or the groups are zero, or the groups do not divide the channels;
    /// [`Error::Limit`] where a shader's 32 bits cannot number an element or a position.
    pub fn new(batch: u32, groups: u32, [in_channels, out_channels]: [u32; 2], axes: [Axis; 3]) -> Result<Self> {
        let geometry = Self { batch, groups, in_channels, out_channels, axes };
        let whole = groups > 0 && in_channels.is_multiple_of(groups) && out_channels.is_multiple_of(groups);
        if !whole || geometry.axes.iter().any(|axis| axis.kernel == 0 || axis.stride == 0 || axis.dilation == 0) {
            return Err(Error::invalid(
                "geometry",
                "kernels, strides, dilations and groups must be positive, and groups divide the channels",
                format!("{geometry:?}"),
            ));
        }
        for elements in [geometry.in_elements(), geometry.kernel_elements(), geometry.out_elements()] {
            within("elements of one tensor", elements, u32::MAX.into())?;
        }
        for axis in &geometry.axes {
            let windows = u64::from(axis.output) * u64::from(axis.stride);
            let reach = windows.saturating_add(axis.effective_kernel()).saturating_add(axis.pad_before.into());
            within("positions along a padded axis", reach.max(axis.input.into()), i32::MAX as u64)?;
        }
        Ok(geometry)
    }

    /// Independent inputs.
    pub const fn batch(&self) -> u32 {
        self.batch
    }

    /// Runs of channels that do not mix.
    pub const fn groups(&self) -> u32 {
        self.groups
    }

    /// Channels of the input, a multiple of the groups.
    pub const fn in_channels(&self) -> u32 {
        self.in_channels
    }

    /// Channels of the output, a multiple of the groups.
    pub const fn out_channels(&self) -> u32 {
        self.out_channels
    }

    /// Depth, height and width.
    pub const fn axes(&self) -> [Axis; 3] {
        self.axes
    }

    /// Height and width, where there is no depth.
    pub(crate) fn plane(&self) -> Option<[Axis; 2]> {
        let [depth, height, width] = self.axes;
        (depth == Axis::UNIT).then_some([height, width])
    }

    /// Taps of a window.
    pub fn taps(&self) -> u64 {
        product(self.axes.map(|axis| axis.kernel))
    }

    /// Input channels of one group.
    pub const fn group_in(&self) -> u32 {
        self.in_channels / self.groups
    }

    /// Output channels of one group.
    pub const fn group_out(&self) -> u32 {
        self.out_channels / self.groups
    }

    /// Products summed for one output element: `kd·kh·kw·cin/groups`.
    pub fn terms(&self) -> u64 {
        self.taps().saturating_mul(self.group_in().into())
    }

    /// Output positions of all inputs of the batch.
    pub fn pixels(&self) -> u64 {
        product(self.axes.map(|axis| axis.output)).saturating_mul(self.batch.into())
    }

    /// Tiles of so many pixels and output channels, none of which leaves a group.
    pub(crate) fn tiles(&self, pixels: u32, channels: u32) -> u64 {
        let of_group = self.pixels().div_ceil(pixels.into()).saturating_mul(self.group_out().div_ceil(channels).into());
        of_group.saturating_mul(self.groups.into())
    }

    /// Input elements.
    pub fn in_elements(&self) -> u64 {
        product(self.axes.map(|axis| axis.input)).saturating_mul(product([self.batch, self.in_channels]))
    }

    /// Output elements.
    pub fn out_elements(&self) -> u64 {
        self.pixels().saturating_mul(self.out_channels.into())
    }

    /// Kernel elements: `kd·kh·kw·cin/groups·cout`.
    pub fn kernel_elements(&self) -> u64 {
        self.terms().saturating_mul(self.out_channels.into())
    }

    /// Floating-point operations of the direct algorithm, two for each product and its addition.
    pub fn flops(&self) -> u64 {
        self.terms().saturating_mul(self.out_elements()).saturating_mul(2)
    }

    /// The pointwise convolution to `out_channels` that reads this one's output.
    ///
    /// # Errors
    /// [`Error::Limit`] where that has too many elements.
    pub(crate) fn then_pointwise(&self, out_channels: u32) -> Result<Self> {
        let axes = self.axes.map(|axis| Axis::pointwise(axis.output));
        Self::new(self.batch, 1, [self.out_channels, out_channels], axes)
    }

    /// The convolution by which the gradient of what this one reads is computed from that of what it writes, with the kernel
    /// turned around. `None` with strides, and where more is padded than a window reaches.
    pub(crate) fn turned(&self) -> Option<Self> {
        let axis = |axis: &Axis| {
            let reach = u32::try_from(axis.effective_kernel()).ok()?.checked_sub(1).filter(|_| axis.stride == 1)?;
            Some(Axis {
                input: axis.output,
                output: axis.input,
                pad_before: reach.checked_sub(axis.pad_before)?,
                ..*axis
            })
        };
        let [d, h, w] = &self.axes;
        let axes = [axis(d)?, axis(h)?, axis(w)?];
        Self::new(self.batch, self.groups, [self.out_channels, self.in_channels], axes).ok()
    }

    /// Whether each output channel is made of the input channel of its number, and of no other.
    pub(crate) const fn is_depthwise(&self) -> bool {
        self.groups == self.in_channels && self.groups == self.out_channels
    }

    /// Whether every axis reads each input position exactly once and nothing else: a 1×1 kernel, stride 1, no pad.
    pub fn is_pointwise(&self) -> bool {
        self.axes
            .iter()
            .all(|axis| axis.kernel == 1 && axis.stride == 1 && axis.pad_before == 0 && axis.output == axis.input)
    }
}

/// The hyper-parameters of a convolution's window, one value for each spatial axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window<const R: usize> {
    /// Taps.
    pub kernel_size: [u32; R],
    /// Input positions from one window to the next.
    pub strides: [u32; R],
    /// Input positions from one tap to the next.
    pub dilation_rate: [u32; R],
    /// Treatment of the border.
    pub padding: Padding,
}

impl<const R: usize> Window<R> {
    /// The windows along spatial axis `axis` of an input of `extent` there.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the output would be zero or negative, naming `input` and the window.
    pub(crate) fn axis(&self, axis: usize, extent: u32, input: &dyn std::fmt::Display) -> Result<Axis> {
        let (kernel, stride, dilation) = (self.kernel_size[axis], self.strides[axis], self.dilation_rate[axis]);
        Axis::conv(extent, kernel, stride, dilation, self.padding).ok_or_else(|| {
            Error::invalid(
                "input",
                "the computed output size must not be zero or negative",
                format!(
                    "input shape={input}, kernel_size={:?}, dilation_rate={:?}, strides={:?}, padding={}",
                    self.kernel_size,
                    self.dilation_rate,
                    self.strides,
                    self.padding.name()
                ),
            )
        })
    }
}

/// `extent` as the shaders count it.
///
/// # Errors
/// [`Error::Limit`] above `u32::MAX`.
pub(crate) fn extent(extent: usize) -> Result<u32> {
    u32::try_from(extent).map_err(|_| Error::limit("elements along one axis", extent as u64, u32::MAX.into()))
}

/// # Errors
/// [`Error::Limit`] where `received` exceeds `limit`.
pub(crate) fn within(what: &'static str, received: u64, limit: u64) -> Result<()> {
    if received > limit { Err(Error::limit(what, received, limit)) } else { Ok(()) }
}

/// The product of `factors`, or the largest number where it is beyond.
pub(crate) fn product(factors: impl IntoIterator<Item = u32>) -> u64 {
    factors.into_iter().fold(1, |product: u64, factor| product.saturating_mul(factor.into()))
}

/// The elements of `shape`, which shaders must be able to number in 32 bits.
///
/// # Errors
/// [`Error::Limit`] above `u32::MAX`.
pub(crate) fn indexable(shape: &Shape) -> Result<u32> {
    let elements = shape.elements()?;
    u32::try_from(elements).map_err(|_| Error::limit("elements of one tensor", elements, u32::MAX.into()))
}

/// `axis`, counted from the end where negative, as an index into `rank` axes.
pub(crate) fn axis_index(axis: i32, rank: usize) -> Option<usize> {
    let index = if axis < 0 { i64::from(axis) + rank as i64 } else { i64::from(axis) };
    usize::try_from(index).ok().filter(|&index| index < rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keras's split for kernels and strides: (before, after) for input extents 1 to 6.
    #[test]
    fn same_padding_splits_as_keras() {
        type Row = (u32, u32, [(u32, u32); 6]);
        let rows: [Row; 5] = [
            (2, 1, [(0, 1); 6]),
            (2, 2, [(0, 1), (0, 0), (0, 1), (0, 0), (0, 1), (0, 0)]),
            (3, 1, [(1, 1); 6]),
            (3, 2, [(1, 1), (0, 1), (1, 1), (0, 1), (1, 1), (0, 1)]),
            (3, 3, [(1, 1), (0, 1), (0, 0), (1, 1), (0, 1), (0, 0)]),
        ];
        for (kernel, stride, pads) in rows {
            for (input, (before, after)) in (1..).zip(pads) {
                let axis = Axis::conv(input, kernel, stride, 1, Padding::Same).unwrap();
                let total = ((axis.output - 1) * stride + kernel).saturating_sub(input);
                assert_eq!(
                    (axis.pad_before, total - axis.pad_before),
                    (before, after),
                    "k={kernel} s={stride} n={input}"
                );
            }
        }
    }

    /// Without output padding, a transposed convolution runs Keras's own forward relation backwards.
    #[test]
    fn transposed_relations_are_the_forward_ones() {
        for padding in [Padding::Valid, Padding::Same] {
            for (extent, kernel, stride, dilation) in (1..6)
                .flat_map(|n| (1..8).flat_map(move |k| (1..5).flat_map(move |s| (1..4).map(move |d| (n, k, s, d)))))
            {
                let axis = Axis::transposed(extent, kernel, stride, dilation, padding, None).unwrap();
                assert_eq!(Axis::conv(axis.input, kernel, stride, dilation, padding), Some(axis));
            }
        }
        // The same with output padding.
        let padded = |extent, kernel, stride, padding, more| {
            let axis = Axis::transposed(extent, kernel, stride, 1, padding, Some(more)).unwrap();
            (axis.input, axis.pad_before)
        };
        assert_eq!(padded(4, 5, 3, Padding::Same, 0), (10, 2));
        assert_eq!(padded(5, 5, 2, Padding::Same, 1), (10, 1));
        assert_eq!(padded(4, 4, 2, Padding::Valid, 1), (11, 0));
        assert_eq!(padded(1, 4, 1, Padding::Same, 0), (0, 2));
        assert_eq!(Axis::transposed(0, 4, 1, 1, Padding::Same, None), None);
    }

    #[test]
    fn valid_refuses_windows_that_do_not_fit() {
        assert_eq!(Axis::conv(4, 5, 1, 1, Padding::Valid), None);
        assert_eq!(Axis::conv(10, 2, 1, 10, Padding::Valid), None);
        assert_eq!(Axis::conv(0, 1, 1, 1, Padding::Valid), None);
        assert_eq!(Axis::conv(7, 3, 2, 1, Padding::Valid).unwrap().output, 3);
        assert_eq!(Axis::conv(0, 3, 1, 1, Padding::Same).unwrap().output, 0);
    }

    #[test]
    fn extents_never_wrap() {
        assert_eq!(Axis::conv(5, u32::MAX, 1, u32::MAX, Padding::Valid), None);
        assert_eq!(Axis::conv(5, u32::MAX, 1, u32::MAX, Padding::Same), None);
        assert_eq!(Axis::padded(u32::MAX, 1, 1, 1, [u32::MAX, 0]), None);
    }
}
