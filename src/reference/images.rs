//! Layers that prepare images, pixel by pixel from their definitions.

use super::array::{larger, smaller};
use super::tolerance::{UNIT, accumulated};
use super::{Array, Estimate};
use crate::DataFormat;
use crate::layers::{self, ResizeMethod};

/// Keras's AutoContrast: extremes over axes 1 and 2.
pub(super) fn auto_contrast(input: &Array, layer: &layers::AutoContrast) -> Estimate {
    let [least, largest] = layer.value_range.map(f64::from);
    let low = input.reduced(&[1, 2], |set| set.iter().copied().fold(f64::INFINITY, smaller));
    let high = input.reduced(&[1, 2], |set| set.iter().copied().fold(f64::NEG_INFINITY, larger));
    let spread = high.zip(&low, |high, low| high - low);
    let above = input.zip(&low, |x, low| x - low);
    let stretched =
        above.zip(&spread, |above, spread| (above / spread * (largest - least) + least).clamp(least, largest));
    let exact = stretched.zip(input, |stretched, x| if stretched.is_nan() { x } else { stretched });
    let reach = (largest - least).abs() + least.abs() + largest.abs();
    // What the differences are off by, in parts of the spread, and what a few operations on the result add.
    let ends = high.zip(&low, |high, low| high.abs() + low.abs());
    let part = ends.zip(&spread, |ends, spread| if spread > 0.0 { 4.0 * UNIT * (1.0 + ends / spread) } else { 0.0 });
    Estimate { bound: exact.zip(&part, |_, part| 8.0 * UNIT * reach + part * reach), exact }
}

/// One axis of images by the kernel at the distance of the pixels' centres.
fn along(input: &Array, axis: usize, to: usize, method: ResizeMethod, antialias: bool) -> Array {
    let step = input.shape[axis] as f64 / to as f64;
    let wide = if antialias && method != ResizeMethod::Nearest { step.max(1.0) } else { 1.0 };
    let (radius, kernel) = method.kernel();
    input.along(axis as isize, |line| {
        let pixel = |o: usize| {
            let centre = (o as f64 + 0.5) * step;
            if method == ResizeMethod::Nearest {
                return line[(centre.floor() as usize).min(line.len() - 1)];
            }
            // Pixels outside repeat the border for `bilinear`, and count nothing else.
            let inside = if method == ResizeMethod::Bilinear && wide == 1.0 {
                centre.clamp(0.5, line.len() as f64 - 0.5)
            } else {
                centre
            };
            let weights = (0..line.len()).map(|i| (i as f64 + 0.5 - inside).abs() / wide);
            let weights: Vec<f64> = weights.map(|x| if x > radius { 0.0 } else { kernel(x) }).collect();
            let total: f64 = weights.iter().sum();
            weights.iter().zip(line).map(|(weight, x)| weight * x).sum::<f64>() / total
        };
        (0..to).map(pixel).collect()
    })
}

fn spatial(format: DataFormat) -> [usize; 2] {
    if format == DataFormat::ChannelsFirst { [2, 3] } else { [1, 2] }
}

/// Keras's Resizing.
pub(super) fn resizing(input: &Array, layer: &layers::Resizing) -> Estimate {
    let axes = spatial(layer.data_format);
    let from = axes.map(|axis| input.shape[axis]);
    let (extents, before) = layer.window(from);
    let mut between = input.clone();
    for (axis, (&extent, &before)) in axes.into_iter().zip(extents.iter().zip(&before)) {
        between = if before < 0 || extent < between.shape[axis] {
            between.slice(axis, before.unsigned_abs() as usize, extent)
        } else {
            let after = extent - between.shape[axis] - before as usize;
            between.padded_with(axis, before as usize, after, layer.fill_value.into())
        };
    }
    let sizes = [layer.height as usize, layer.width as usize];
    let resized = |array: &Array| {
        let rows = along(array, axes[0], sizes[0], layer.interpolation, layer.antialias);
        along(&rows, axes[1], sizes[1], layer.interpolation, layer.antialias)
    };
    let exact = resized(&between);
    let largest = between.data.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    let terms = between.shape[axes[0]] + between.shape[axes[1]];
    let copied = layer.interpolation == ResizeMethod::Nearest || between.shape == exact.shape;
    let bound = if copied { 0.0 } else { 2.0 * accumulated(terms, 2.0 * largest) };
    Estimate { bound: exact.map(|_| bound), exact }
}

/// Keras's CenterCrop.
pub(super) fn center_crop(input: &Array, layer: &layers::CenterCrop) -> Estimate {
    let axes = spatial(layer.data_format);
    let sizes = [layer.height as usize, layer.width as usize];
    if axes.iter().zip(sizes).any(|(&axis, size)| input.shape[axis] < size) {
        return resizing(input, &layer.enlarging());
    }
    let cut = axes.into_iter().zip(sizes);
    let cut = cut.fold(input.clone(), |array, (axis, size)| array.slice(axis, (array.shape[axis] - size) / 2, size));
    Estimate::exact(cut)
}

/// What lies outside of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OutsideImage {
    /// A value everywhere.
    Value(f64),
    /// The nearest pixel.
    Nearest,
    /// The image reflected at its edge.
    Reflect,
    /// The image again.
    Wrap,
}

/// Images `[batch, height, width, channels]`, each read through its affine map `(a0, a1, a2, b0, b1, b2)`: a pixel is what the
/// image has at row `b0·x + b1·y + b2`, column `a0·x + a1·y + a2`, by the rules of TensorFlow's ImageProjectiveTransformV3.
///
/// # Panics
/// Where the shapes do not fit.
pub fn affine(images: &Array, maps: &[[f64; 6]], nearest: bool, outside: OutsideImage) -> Array {
    let [batch, height, width, channels] = images.shape[..] else { panic!("images of shape {:?}", images.shape) };
    let placed = |at: f64, extent: usize| {
        let (extent, last) = (extent as f64, extent as f64 - 1.0);
        let inside = match outside {
            OutsideImage::Value(_) => return at,
            OutsideImage::Reflect => {
                let at = at.rem_euclid(2.0 * extent);
                if at < extent { at } else { 2.0 * extent - at - 1.0 }
            }
            // Whole images are counted by their extent less 1 there.
            OutsideImage::Wrap if at < 0.0 => at + extent * ((-at / last).trunc() + 1.0),
            OutsideImage::Wrap if at > last => at - extent * (at / last).trunc(),
            OutsideImage::Nearest | OutsideImage::Wrap => at,
        };
        inside.clamp(0.0, last)
    };
    let fill = if let OutsideImage::Value(fill) = outside { fill } else { 0.0 };
    let pixel = |image: usize, row: f64, column: f64, channel: usize| {
        if (0.0..height as f64).contains(&row) && (0.0..width as f64).contains(&column) {
            images.data[((image * height + row as usize) * width + column as usize) * channels + channel]
        } else {
            fill
        }
    };
    let mut data = Vec::with_capacity(images.data.len());
    for (image, &[a0, a1, a2, b0, b1, b2]) in maps.iter().enumerate().take(batch) {
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y as f64, x as f64))) {
            let (row, column) = (placed(b0 * x + b1 * y + b2, height), placed(a0 * x + a1 * y + a2, width));
            data.extend((0..channels).map(|channel| {
                if nearest {
                    return pixel(image, row.round(), column.round(), channel);
                }
                let mut sum = 0.0;
                for (at_row, by_row) in
                    [(row.floor(), 1.0 - (row - row.floor())), (row.floor() + 1.0, (row - row.floor()))]
                {
                    for (at, by) in [
                        (column.floor(), 1.0 - (column - column.floor())),
                        (column.floor() + 1.0, (column - column.floor())),
                    ] {
                        sum += by_row * by * pixel(image, at_row, at, channel);
                    }
                }
                sum
            }));
        }
    }
    Array::new(images.shape.clone(), data)
}
