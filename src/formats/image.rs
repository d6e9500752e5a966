//! Model inputs from PNG and JPEG images.

use std::io::Cursor;
use std::path::Path;

use image::imageops::{self, FilterType};
use image::{DynamicImage, GenericImageView, ImageDecoder, ImageFormat, ImageReader, Limits, Luma, Pixel, Rgb, Rgba};

use super::input::grey;
use super::{InputReader, Inputs};
use crate::budget::Meter;
use crate::{Error, Result};

impl InputReader {
    /// The one input of the image at `path`.
    pub(super) fn read_image(&self, path: &Path, place: String) -> Result<Inputs> {
        let (channels, [height, width]) = self.picture(&place)?;
        let bytes = super::read(path)?;
        let meter = Meter::new(&*place, bytes.len());
        let fitted = |own: [u32; 2]| {
            let side = |known: Option<usize>, own: u32| known.map_or(Some(own), |known| u32::try_from(known).ok());
            let size = side(height, own[0]).zip(side(width, own[1])).filter(|&(height, width)| height > 0 && width > 0);
            let Some((height, width)) = size else {
                let rule = format!("{place}: an image must be given to a model whose input has pixels");
                return Err(Error::invalid("input", rule, format!("a model with input shape={}", self.shape)));
            };
            let pixels = u64::from(height) * u64::from(width);
            // The values, and the same again where they are put into another order.
            meter.array(pixels.saturating_mul(2 * channels as u64), size_of::<f32>())?;
            if own != [height, width] {
                // Resized over its height first, in four channels.
                meter.array((u64::from(own[1]) * u64::from(height)).saturating_mul(4), size_of::<f32>())?;
            }
            Ok([height, width])
        };
        let (image, [height, width]) = decoded(&bytes, &place, &meter, fitted)?;
        let own = [image.height(), image.width()];
        let pixels = Pixels::of(&image, &place)?;
        let values = match channels {
            1 => pixels.fitted(height, width, |pixel| Luma([grey(pixel)])),
            3 => pixels.fitted(height, width, |[red, green, blue, _]| Rgb([red, green, blue])),
            _ => pixels.fitted(height, width, Rgba),
        };
        let data = self.laid_out([height as usize, width as usize], channels, values);
        let note = (own != [height, width])
            .then(|| format!("{place}: resized from {}×{} to {height}×{width}", own[0], own[1]));
        Ok(Inputs { names: vec![place], data, note })
    }
}

/// The image in `bytes`, and what `fitted` makes of its height and width before it is decoded.
///
/// # Errors
/// [`Error::Format`] for anything but a whole image; [`Error::Limit`] where it is over the budget.
fn decoded(
    bytes: &[u8],
    place: &str,
    meter: &Meter,
    fitted: impl FnOnce([u32; 2]) -> Result<[u32; 2]>,
) -> Result<(DynamicImage, [u32; 2])> {
    let broken = |error: image::ImageError| Error::format(place, error.to_string());
    let mut reader = ImageReader::new(Cursor::new(bytes));
    reader = reader.with_guessed_format().map_err(|error| Error::format(place, error.to_string()))?;
    let scans = match reader.format() {
        // The decoder takes what is missing for grey.
        Some(ImageFormat::Jpeg) => {
            scans(bytes).ok_or_else(|| Error::format(place, "the JPEG image is truncated: its end is missing"))?
        }
        _ => 1,
    };
    // What is allocated is counted here.
    reader.limits(Limits::no_limits());
    let decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    let samples =
        u64::from(width).saturating_mul(height.into()).saturating_mul(u64::from(decoder.color_type().channel_count()));
    // What is decoded, with what the decoder holds on the way: coefficients of two bytes, in several passes.
    meter.array(samples, 4)?;
    meter.work((samples / 16).saturating_mul(scans))?;
    let size = fitted([height, width])?;
    // The PNG decoder has a place that panics on palettes that are cut short.
    let image = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| DynamicImage::from_decoder(decoder)));
    let image = image.map_err(|_| Error::format(place, "the image is damaged: its decoder gave up"))?;
    Ok((image.map_err(broken)?, size))
}

/// The passes over a JPEG image, of which each part of the file is one; `None` where the file ends before the image does.
///
/// A file is a row of segments: a byte 255, one that says which it is, and, but for a few, its length and content. What
/// follows the beginning of a pass is its data, in which a 255 stands before a 0, or a mark that the data go on behind.
fn scans(bytes: &[u8]) -> Option<u64> {
    const END: u8 = 0xd9;
    const PASS: u8 = 0xda;
    let mut rest = bytes.get(2..)?;
    let mut scans = 0;
    loop {
        let start = rest.iter().position(|&byte| byte == 0xff)?;
        rest = &rest[start..];
        let marker = rest.iter().position(|&byte| byte != 0xff)?;
        let kind = rest[marker];
        rest = &rest[marker + 1..];
        match kind {
            END => return Some(scans),
            // Data, and marks without content.
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            _ => {
                let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
                rest = rest.get(length..)?;
                scans += u64::from(kind == PASS);
            }
        }
    }
}

/// The pixels of an image, as they are asked for: red, green, blue and alpha, from 0 to 1. So no copy of all of them is made.
struct Pixels<'a> {
    samples: RawSamples<'a>,
    channels: usize,
    size: [u32; 2],
}

enum RawSamples<'a> {
    Bytes(&'a [u8]),
    Words(&'a [u16]),
    Floats(&'a [f32]),
}

impl<'a> Pixels<'a> {
    /// # Errors
    /// [`Error::Unsupported`] for a kind of image that the decoders do not make today.
    fn of(image: &'a DynamicImage, place: &str) -> Result<Self> {
        let samples = match image {
            DynamicImage::ImageLuma8(image) => RawSamples::Bytes(image),
            DynamicImage::ImageLumaA8(image) => RawSamples::Bytes(image),
            DynamicImage::ImageRgb8(image) => RawSamples::Bytes(image),
            DynamicImage::ImageRgba8(image) => RawSamples::Bytes(image),
            DynamicImage::ImageLuma16(image) => RawSamples::Words(image),
            DynamicImage::ImageLumaA16(image) => RawSamples::Words(image),
            DynamicImage::ImageRgb16(image) => RawSamples::Words(image),
            DynamicImage::ImageRgba16(image) => RawSamples::Words(image),
            DynamicImage::ImageRgb32F(image) => RawSamples::Floats(image),
            DynamicImage::ImageRgba32F(image) => RawSamples::Floats(image),
            other => {
                let what = format!("{place}: an image of {:?}", other.color());
                return Err(Error::unsupported(what, "images of 8 and 16 bits and of floating point are read"));
            }
        };
        let channels = image.color().channel_count().into();
        Ok(Self { samples, channels, size: [image.height(), image.width()] })
    }

    fn pixel(&self, x: u32, y: u32) -> [f32; 4] {
        let first = (y as usize * self.size[1] as usize + x as usize) * self.channels;
        let sample = |channel: usize| match self.samples {
            RawSamples::Bytes(values) => f32::from(values[first + channel]) / f32::from(u8::MAX),
            RawSamples::Words(values) => f32::from(values[first + channel]) / f32::from(u16::MAX),
            RawSamples::Floats(values) => values[first + channel],
        };
        match self.channels {
            1 => [sample(0), sample(0), sample(0), 1.0],
            2 => [sample(0), sample(0), sample(0), sample(1)],
            3 => [sample(0), sample(1), sample(2), 1.0],
            _ => [sample(0), sample(1), sample(2), sample(3)],
        }
    }

    /// The values of the image in the given size, pixel by pixel, each as `made` makes it.
    fn fitted<P: Pixel<Subpixel = f32> + 'static>(
        &self,
        height: u32,
        width: u32,
        made: impl Fn([f32; 4]) -> P,
    ) -> Vec<f32> {
        let view = MappedPixels { pixels: self, made };
        if self.size == [height, width] {
            let mut values = Vec::with_capacity(height as usize * width as usize * usize::from(P::CHANNEL_COUNT));
            for y in 0..height {
                (0..width).for_each(|x| values.extend_from_slice(view.get_pixel(x, y).channels()));
            }
            return values;
        }
        imageops::resize(&view, width, height, FilterType::Triangle).into_raw()
    }
}

/// [`Pixels`], each made into another as it is asked for.
struct MappedPixels<'a, F> {
    pixels: &'a Pixels<'a>,
    made: F,
}

impl<P: Pixel<Subpixel = f32>, F: Fn([f32; 4]) -> P> GenericImageView for MappedPixels<'_, F> {
    type Pixel = P;

    fn dimensions(&self) -> (u32, u32) {
        (self.pixels.size[1], self.pixels.size[0])
    }

    fn get_pixel(&self, x: u32, y: u32) -> P {
        (self.made)(self.pixels.pixel(x, y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that holds `image`.
    fn file(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    fn read(bytes: &[u8]) -> Result<DynamicImage> {
        decoded(bytes, "picture", &Meter::new("picture", bytes.len()), Ok).map(|(image, _)| image)
    }

    fn picture() -> DynamicImage {
        let pixel = |x: u32, y: u32| Rgb([(x * 9) as u8, (y * 11) as u8, (x * y) as u8]);
        image::RgbImage::from_fn(21, 17, pixel).into()
    }

    /// But for the last bits of grey, which the crate makes of three channels where it is asked for them.
    #[test]
    fn pixels_are_what_the_crate_makes_of_them() {
        let alike = |left: &[f32], right: &[f32]| {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| (left - right).abs() < 1e-6)
        };
        let picture = picture();
        for image in [
            picture.to_luma8().into(),
            picture.to_luma_alpha16().into(),
            picture.to_rgb16().into(),
            picture.to_rgba8().into(),
            DynamicImage::from(picture.to_rgb32f()),
        ] {
            let pixels = Pixels::of(&image, "picture").unwrap();
            let values = pixels.fitted(17, 21, |[red, green, blue, _]| Rgb([red, green, blue]));
            assert!(alike(&values, &image.to_rgb32f()), "{:?}", image.color());
            let resized = pixels.fitted(5, 30, Rgba);
            let expected = imageops::resize(&image.to_rgba32f(), 30, 5, FilterType::Triangle);
            assert!(alike(&resized, &expected), "{:?}", image.color());
        }
    }

    #[test]
    fn whole_images_are_read_and_parts_of_them_are_not() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png] {
            let whole = file(&picture(), format);
            assert!(read(&whole).is_ok(), "{format:?}");
            // Behind its last pixels a PNG file has a chunk that says nothing but that it ends.
            let needed = if format == ImageFormat::Png { whole.len() - 12 } else { whole.len() };
            for length in 0..needed {
                assert!(read(&whole[..length]).is_err(), "{format:?}, {length} of {} bytes", whole.len());
            }
            // What follows the image is none of it.
            assert!(read(&[&whole[..], b"more"].concat()).is_ok(), "{format:?}");
        }
    }

    #[test]
    fn images_are_counted_before_they_are_decoded() {
        // The extents stand in the header: height and width of JPEG in big-endian words.
        let mut bytes = file(&picture(), ImageFormat::Jpeg);
        let header = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        bytes[header + 5..header + 9].copy_from_slice(&[0x50; 4]);
        let error = read(&bytes).unwrap_err();
        assert!(matches!(error, Error::Limit { .. }), "{error}");
    }
}
