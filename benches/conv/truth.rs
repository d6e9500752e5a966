//! What a case must come out as, by the reference of the tests.

use wgpu_conv::{DataFormat, Padding};

use crate::case::{Case, Kind, Numbers};
use crate::common::reference::{
    self, Array, Convolved, ReferencePadding, ReferenceWindow, conv, depthwise_conv, separable_conv,
};
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
    /// Samples are of images whose channels come last; whatever else is computed whole.
    pub fn new(case: &Case, weights: &[Array]) -> crate::Result<Self> {
        let input = Array::from_f32(case.input.dims(), &case.values());
        let config = case.config()?;
        let problems = config.convolutions(case.input.clone())?;
        let products = problems.iter().map(|problem| problem.geometry.flops()).sum::<u64>() / 2;
        let last = case.kind != Kind::Transposed && case.format == DataFormat::ChannelsLast;
        let (&[batch, input_height, input_width, _], true) = (case.input.dims(), last && products > WHOLE) else {
            let expected = reference::expect(&config, weights, &[input])?;
            return Ok(Self { pixels: None, channels: case.filters as usize, expected });
        };
        let output =
            [input_height, input_width].into_iter().zip(reach(case)).map(|(extent, span)| match case.padding {
                Padding::Valid => (extent - span) / case.stride as usize + 1,
                Padding::Same | Padding::Causal => extent.div_ceil(case.stride as usize),
            });
        let whole: Vec<usize> = std::iter::once(batch).chain(output).collect();
        let total: usize = whole.iter().product();
        let affordable = (SAMPLE * total as u64 / products) as usize;
        let mut numbers = Numbers(total as u32);
        let mut pixels = vec![0, whole[2] - 1, total - whole[2], total - 1];
        pixels.extend((4..affordable.max(FEWEST)).map(|_| numbers.below(total)));
        let pieces: Vec<Array> = pixels.iter().map(|&pixel| piece(case, &input, &whole, pixel)).collect();
        let expected = bounded(case, convolve(case, &Array::joined(0, &pieces), weights));
        Ok(Self { pixels: Some(pixels), channels: case.filters as usize, expected })
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

/// Input positions that a window spans along either axis.
fn reach(case: &Case) -> [usize; 2] {
    [0, 1].map(|axis| ((case.kernel[axis] - 1) * case.dilation + 1) as usize)
}

/// What the window of an output pixel sees, zeros beyond the border: an image of one window.
fn piece(case: &Case, input: &Array, output: &[usize], pixel: usize) -> Array {
    let (stride, reach) = (case.stride as usize, reach(case));
    let &[height, width, channels] = &case.input.dims()[1..] else { unreachable!("an image whose channels come last") };
    let (image, y, x) = (pixel / (output[1] * output[2]), pixel / output[2] % output[1], pixel % output[2]);
    let before = |axis: usize| match case.padding {
        Padding::Valid => 0,
        Padding::Same => {
            ((output[1 + axis] - 1) * stride + reach[axis]).saturating_sub(case.input.dims()[1 + axis]) / 2
        }
        Padding::Causal => reach[axis] - 1,
    };
    let shape = [1, reach[0], reach[1], channels];
    let mut piece = Array::new(shape, vec![0.0; shape.iter().product()]);
    for (row, seen) in piece.data.chunks_mut(reach[1] * channels).enumerate() {
        let Some(row) = (y * stride + row).checked_sub(before(0)).filter(|&row| row < height) else { continue };
        for (column, seen) in seen.chunks_mut(channels).enumerate() {
            let column = (x * stride + column).checked_sub(before(1)).filter(|&column| column < width);
            let Some(column) = column else { continue };
            let start = ((image * height + row) * width + column) * channels;
            seen.copy_from_slice(&input.data[start..start + channels]);
        }
    }
    piece
}

/// Images of one window each, convolved.
fn convolve(case: &Case, windows: &Array, weights: &[Array]) -> Convolved {
    let window = ReferenceWindow {
        strides: [1; 2],
        dilation_rate: [case.dilation as usize; 2],
        padding: ReferencePadding::Valid,
        channels_first: false,
    };
    match case.kind {
        Kind::Depthwise => depthwise_conv(windows, &weights[0], None, &window),
        Kind::Separable => separable_conv(windows, &weights[0], &weights[1], None, &window),
        Kind::Conv | Kind::Transposed => conv(windows, &weights[0], None, case.groups as usize, &window),
    }
}

/// A convolution of 2×2 or 3×3 taps may be computed in tiles, by Winograd's algorithm.
fn bounded(case: &Case, convolved: Convolved) -> Expected {
    let plain = [[2, 2], [3, 3]].iter().any(|taps| case.kernel == *taps)
        && (case.stride, case.dilation, case.groups) == (1, 1, 1);
    let tiled = case.kind == Kind::Conv && plain;
    let convolved = if tiled { convolved.in_tiles(false, [1, 1]) } else { convolved };
    expected(&convolved, "linear", &[], Storage::F32)
}
