//! Model inputs from PNG and JPEG images.

use std::io::Cursor;
use std::path::Path;

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageBuffer, ImageReader, Luma, Pixel};

use super::{InputReader, Inputs};
use crate::{DataFormat, Error, HostTensor, Result};

/// The weights of red, green and blue in grey, of ITU-R BT.601.
const GREY: [f32; 3] = [0.299, 0.587, 0.114];

impl InputReader {
    /// The one input of the image at `path`.
    pub(super) fn read_image(&self, path: &Path, place: String) -> Result<Inputs> {
        let bytes = super::read(path)?;
        let broken = |error: String| Error::format(&place, error);
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
        let image = reader.map_err(|error| broken(error.to_string()))?.decode();
        let image = image.map_err(|error| broken(error.to_string()))?;
        if self.shape.rank() != 4 {
            let rule = format!("{place}: an image must be given to a model whose input has 4 axes, batch included");
            return Err(Error::invalid("input", rule, format!("a model with input shape={}", self.shape)));
        }
        let (_, channels, [height, width]) = self.data_format.split::<_, 2>(self.shape.dims());
        let side = |known: Option<usize>, own: u32| known.map_or(Some(own), |known| u32::try_from(known).ok());
        let size = side(height, image.height()).zip(side(width, image.width()));
        let size =
            size.filter(|&(height, width)| height > 0 && width > 0 && u64::from(height) * u64::from(width) <= 1 << 28);
        let Some((height, width)) = size else {
            let rule = format!("{place}: an image must be given to a model whose input has pixels, at most 2^28");
            return Err(Error::invalid("input", rule, format!("a model with input shape={}", self.shape)));
        };
        let own = (image.height(), image.width());
        let values = match channels {
            Some(1) => fitted(grey(image), height, width),
            Some(3) => fitted(image.into_rgb32f(), height, width),
            Some(4) => fitted(image.into_rgba32f(), height, width),
            _ => {
                let rule = format!("{place}: an image must be given to a model whose input has 1, 3 or 4 channels");
                return Err(Error::invalid("input", rule, format!("a model with input shape={}", self.shape)));
            }
        };
        let (height, width) = (height as usize, width as usize);
        let channels = values.len() / (height * width);
        let scale = self.scale * 255.0;
        let scaled = |value: f32| value * scale + self.offset;
        let values: Vec<f32> = match self.data_format {
            DataFormat::ChannelsLast => values.into_iter().map(scaled).collect(),
            DataFormat::ChannelsFirst => {
                (0..channels).flat_map(|c| values.iter().skip(c).step_by(channels)).copied().map(scaled).collect()
            }
        };
        let shape = self.data_format.join(1, channels, [height, width]);
        let resized = (own.0 as usize, own.1 as usize) != (height, width);
        let note = resized.then(|| format!("{place}: resized from {}×{} to {height}×{width}", own.0, own.1));
        Ok(Inputs { names: vec![place], data: HostTensor { shape: shape.into(), values }, note })
    }
}

/// `image` in grey, values from 0 to 1.
fn grey(image: DynamicImage) -> ImageBuffer<Luma<f32>, Vec<f32>> {
    if !image.color().has_color() {
        return image.to_luma32f();
    }
    let image = image.into_rgb32f();
    let pixel = |x, y| {
        let rgb = image.get_pixel(x, y).0;
        Luma([rgb.iter().zip(GREY).map(|(value, weight)| value * weight).sum()])
    };
    ImageBuffer::from_fn(image.width(), image.height(), pixel)
}

/// The values of `image`, pixel by pixel, in the given size.
fn fitted<P: Pixel<Subpixel = f32> + 'static>(image: ImageBuffer<P, Vec<f32>>, height: u32, width: u32) -> Vec<f32> {
    if image.dimensions() == (width, height) {
        return image.into_raw();
    }
    imageops::resize(&image, width, height, FilterType::Triangle).into_raw()
}
