//! What a case must come out as, by the reference of the tests.

use wgpu_conv::Padding;

use crate::case::{Case, Kind, Numbers};
use crate::common::reference::{self, Array, Convolved, ReferenceWindow, conv, depthwise_conv, separable_conv};
use crate::common::tolerance::{Expected, Storage, expected};

/// Products up to which every output element is computed; beyond, those of some pixels.
const WHOLE: u64 = 60_000_000;
/// Products of a sample, and the fewest pixels in it.
const SAMPLE: u64 = 15_000_000;
const FEWEST: usize = 12;

/// Exact values of a case's output, each with the error it may have.
pub struct Truth {
    /// The output pixels that are known, as `[image, row, column]` counted through; `None` for all.
    pixels: Option<Vec<usize>>,
    channels: usize,
    expected: Expected,
}

impl Truth {
    /// The output of `case` for its own input and for `weights`, in Keras's order.
    ///
    /// A sample holds the corners, where padding shows, and as many other pixels as `SAMPLE` pays for, with all their
    /// channels. Such a pixel is computed as an image of its own: the piece of the padded input that its window sees.
    pub fn new(case: &Case, weights: &[Array]) -> Self {
        let input = Array::from_f32(case.input, &case.values());
        let (whole, products) = extents(case);
        if products <= WHOLE {
            let padding = match case.padding {
                Padding::Valid => reference::ReferencePadding::Valid,
                Padding::Same => reference::ReferencePadding::Same,
                Padding::Causal => reference::ReferencePadding::Explicit([[reach(case) - 1, 0]; 2]),
            };
            let strides = [case.stride as usize; 2];
            let convolved = convolve(case, &input, weights, strides, padding);
            return Self { pixels: None, channels: case.filters as usize, expected: bounded(case, convolved) };
        }
        let [batch, height, width] = whole;
        let total = batch * height * width;
        let affordable = (SAMPLE * total as u64 / products) as usize;
        let mut numbers = Numbers(total as u32);
        let mut pixels = vec![0, width - 1, total - width, total - 1];
        pixels.extend((4..affordable.max(FEWEST)).map(|_| numbers.below(total)));
        let pieces: Vec<Array> = pixels.iter().map(|&pixel| piece(case, &input, whole, pixel)).collect();
        let convolved = convolve(case, &Array::joined(0, &pieces), weights, [1; 2], reference::ReferencePadding::Valid);
        Self { pixels: Some(pixels), channels: case.filters as usize, expected: bounded(case, convolved) }
    }

    /// Holds an output to the truth.
    ///
    /// # Errors
    /// Says how many elements are wrong, and by how much.
    pub fn check(&self, output: &[f32]) -> Result<(), String> {
        let Some(pixels) = &self.pixels else { return self.expected.check(output) };
        let known = |&pixel: &usize| output.get(pixel * self.channels..(pixel + 1) * self.channels).unwrap_or_default();
        self.expected.check(&pixels.iter().map(known).collect::<Vec<_>>().concat())
    }
}

/// The output's `[batch, height, width]`, and the products it takes.
fn extents(case: &Case) -> ([usize; 3], u64) {
    let [batch, height, width, channels] = case.input;
    let span = reach(case);
    let [height, width] = [height, width].map(|extent| match case.padding {
        Padding::Valid => (extent - span) / case.stride as usize + 1,
        Padding::Same | Padding::Causal => extent.div_ceil(case.stride as usize),
    });
    let (taps, filters) = ((case.kernel * case.kernel) as usize, case.filters as usize);
    let products = match case.kind {
        Kind::Conv => taps * channels / case.groups as usize * filters,
        Kind::Depthwise => taps * filters,
        Kind::Separable => channels * (taps + filters),
    };
    ([batch, height, width], (batch * height * width * products) as u64)
}

/// Input positions that a window spans along an axis.
fn reach(case: &Case) -> usize {
    ((case.kernel - 1) * case.dilation + 1) as usize
}

/// What the window of an output pixel sees, zeros beyond the border: `[1, reach, reach, channels]`.
fn piece(case: &Case, input: &Array, [_, out_h, out_w]: [usize; 3], pixel: usize) -> Array {
    let [_, height, width, channels] = case.input;
    let (stride, reach) = (case.stride as usize, reach(case));
    let (image, y, x) = (pixel / (out_h * out_w), pixel / out_w % out_h, pixel % out_w);
    let before = |input: usize, output: usize| match case.padding {
        Padding::Valid => 0,
        Padding::Same => ((output - 1) * stride + reach).saturating_sub(input) / 2,
        Padding::Causal => reach - 1,
    };
    let (top, left) = (before(height, out_h), before(width, out_w));
    let mut piece = Array::new([1, reach, reach, channels], vec![0.0; reach * reach * channels]);
    for (row, seen) in piece.data.chunks_mut(reach * channels).enumerate() {
        let Some(row) = (y * stride + row).checked_sub(top).filter(|&row| row < height) else { continue };
        for (column, seen) in seen.chunks_mut(channels).enumerate() {
            let Some(column) = (x * stride + column).checked_sub(left).filter(|&column| column < width) else {
                continue;
            };
            let start = ((image * height + row) * width + column) * channels;
            seen.copy_from_slice(&input.data[start..start + channels]);
        }
    }
    piece
}

fn convolve(
    case: &Case,
    input: &Array,
    weights: &[Array],
    strides: [usize; 2],
    padding: reference::ReferencePadding,
) -> Convolved {
    let window =
        ReferenceWindow { strides, dilation_rate: [case.dilation as usize; 2], padding, channels_first: false };
    match case.kind {
        Kind::Conv => conv(input, &weights[0], None, case.groups as usize, &window),
        Kind::Depthwise => depthwise_conv(input, &weights[0], None, &window),
        Kind::Separable => separable_conv(input, &weights[0], &weights[1], None, &window),
    }
}

/// A 3×3 convolution may be computed in tiles, by Winograd's algorithm.
fn bounded(case: &Case, convolved: Convolved) -> Expected {
    let plain = (case.kernel, case.stride, case.dilation, case.groups) == (3, 1, 1, 1);
    let tiled = case.kind == Kind::Conv && plain;
    let convolved = if tiled { convolved.in_tiles(false) } else { convolved };
    expected(&convolved, "linear", &[], Storage::F32)
}
