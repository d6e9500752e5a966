//! Layers as PNG pictures. A picture is a place in a palette for each pixel: shades of the layer's colour, and a few colours
//! that mean something else.

use super::look::{Color, ResolvedLook, Status};
use super::maps::{Maps, Pixel, ValueRange, grid, opacity};
use super::png_file::{Dots, encode};
use super::{LayerView, Viewer, font};
use crate::budget::Meter;
use crate::model::LayerKey;
use crate::{Error, Result};

/// What NaN and infinities look like.
pub(super) const MARKER: Color = Color([0xFF, 0x00, 0xFF]);
/// What captions are written in.
const TEXT: Color = Color([0xFF; 3]);
/// Shades in a picture of its own.
const SHADES: u8 = 252;
/// The most pixels of a picture.
const LIMIT: usize = 1 << 28;

/// How [`Viewer::picture`] draws a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    scale: usize,
    channel: Option<usize>,
    caption: bool,
}

impl Default for Picture {
    fn default() -> Self {
        Self { scale: 1, channel: None, caption: false }
    }
}

impl Picture {
    /// The layer as it is, open or closed, a pixel for each value, without a caption.
    pub fn new() -> Self {
        Self::default()
    }

    /// Pixels for each value, in either direction; 1 by default.
    pub fn scale(mut self, scale: usize) -> Self {
        self.scale = scale;
        self
    }

    /// One map only.
    pub fn channel(mut self, channel: usize) -> Self {
        self.channel = Some(channel);
        self
    }

    /// Whether the layer's name, its shape, and the smallest and the greatest value stand below; false by default.
    pub fn caption(mut self, caption: bool) -> Self {
        self.caption = caption;
        self
    }
}

impl Viewer<'_> {
    /// The PNG file of a layer: all maps where it is open, and the one that stands for them where it is closed. The same
    /// values make the same bytes.
    ///
    /// # Errors
    /// Those of [`get_layer`](Self::get_layer); [`Error::Invalid`] for a layer whose shape is not known yet, a channel that
    /// it does not have, and a scale of 0; [`Error::Limit`] for more than 2^28 pixels, or than the
    /// [`Budget`](crate::formats::Budget) allows.
    pub fn picture<'a>(&self, which: impl Into<LayerKey<'a>>, picture: &Picture) -> Result<Vec<u8>> {
        let layer = self.get_layer(which)?;
        let Some(maps) = layer.maps() else {
            let rule = format!("layer {} must have a known shape to be drawn: call predict before", layer.name());
            return Err(Error::invalid("layer", rule, "a shape that depends on the input"));
        };
        let count = maps.extents.count;
        if let Some(channel) = picture.channel.filter(|&channel| channel >= count) {
            let rule = format!("`channel` must be less than the {count} of layer {}", layer.name());
            return Err(Error::invalid("channel", rule, format!("channel={channel}")));
        }
        if picture.scale == 0 {
            return Err(Error::invalid("scale", "`scale` must be at least 1", "scale=0"));
        }
        let open = picture.channel.is_none() && layer.status() == Status::Open;
        let room = maps.extents.room().saturating_mul(if open { count } else { 1 });
        if room > LIMIT {
            return Err(Error::limit("pixels of a picture", room as u64, LIMIT as u64));
        }
        Meter::new(layer.name(), 0).array(room as u64, size_of::<Pixel>())?;
        let drawn = match picture.channel {
            Some(channel) => vec![maps.pixels(channel)],
            None if open => (0..count).map(|map| maps.pixels(map)).collect(),
            None => vec![maps.aggregated(layer.look().aggregation_strategy)],
        };
        let text = picture.caption.then(|| caption(layer, &maps, picture.channel));
        let sheet = Sheet::of_maps(&maps, &drawn, layer.look(), picture.scale, text.as_deref())?;
        sheet.png(layer.look(), self.look().background, SHADES)
    }
}

/// `DW1 26×26×6 -0.31 TO 2.17`.
fn caption(layer: &LayerView, maps: &Maps, channel: Option<usize>) -> String {
    let shape = layer.output_shape().unwrap_or_default();
    let shape: Vec<_> = shape.iter().map(ToString::to_string).collect();
    let (channel, range) = match channel {
        Some(channel) => (format!(":{channel}"), maps.range(channel)),
        None => (String::new(), maps.full_range()),
    };
    format!("{}{channel} {} {}", layer.name(), shape.join("×"), spoken(range))
}

/// A range of values in words.
pub(super) fn spoken(range: ValueRange) -> String {
    range.map_or_else(|| "no values".into(), |(least, most)| format!("{} to {}", short(least), short(most)))
}

/// A number in four digits, or in three behind a zero.
pub(super) fn short(value: f32) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e5).contains(&size) {
        return format!("{value:.2e}");
    }
    let decimals = match size.max(1e-3).log10().floor() {
        power if power < 0.0 => 2.0 - power,
        power => 3.0 - power,
    };
    let text = format!("{value:.*}", decimals.max(0.0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// What a pixel of a picture shows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ink {
    Value(f32),
    Marked,
    Background,
    Text,
}

impl From<Pixel> for Ink {
    fn from(pixel: Pixel) -> Self {
        match pixel {
            Pixel::Value(place) => Self::Value(place),
            Pixel::Marked => Self::Marked,
            Pixel::Empty => Self::Background,
        }
    }
}

/// A picture before it has colours.
pub(super) struct Sheet {
    pub(super) width: usize,
    pub(super) height: usize,
    dots: Vec<Ink>,
}

impl Sheet {
    /// # Errors
    /// [`Error::Limit`] for too many pixels.
    fn new(width: usize, height: usize) -> Result<Self> {
        let size = width.saturating_mul(height);
        if size > LIMIT {
            return Err(Error::limit("pixels of a picture", size as u64, LIMIT as u64));
        }
        Meter::new("a picture", 0).array(size as u64, size_of::<Ink>())?;
        Ok(Self { width, height, dots: vec![Ink::Background; size] })
    }

    /// The `drawn` maps in a grid, half a map apart, and a line of text below.
    fn of_maps(
        maps: &Maps,
        drawn: &[Vec<Pixel>],
        look: &ResolvedLook,
        scale: usize,
        text: Option<&str>,
    ) -> Result<Self> {
        let [wide, high] = [scale, scale.saturating_mul(maps.extents.stretch())];
        let (width, height) = (maps.extents.width.saturating_mul(wide), maps.extents.rows().saturating_mul(high));
        let (columns, rows) = grid(drawn.len(), look.layer_shape);
        let (across, down) = (width.saturating_add(width / 2), height.saturating_add(height / 2));
        let span =
            |count: usize, step: usize, size: usize| (count.max(1) - 1).saturating_mul(step).saturating_add(size);
        let grid_height = span(rows, down, height);
        let (text_width, text_height) = match text {
            Some(text) => (text.chars().count() * font::ADVANCE + 1, font::HEIGHT + 4),
            None => (0, 0),
        };
        let mut sheet =
            Self::new(span(columns, across, width).max(text_width), grid_height.saturating_add(text_height))?;
        for (index, pixels) in drawn.iter().enumerate() {
            sheet.draw(pixels, maps.extents.width, [wide, high], [index / rows * across, index % rows * down]);
        }
        for (place, letter) in text.unwrap_or_default().chars().enumerate() {
            for (y, row) in font::rows(letter).into_iter().enumerate() {
                for x in (0..5).filter(|x| row >> (4 - x) & 1 == 1) {
                    sheet.dots[(grid_height + 2 + y) * sheet.width + place * font::ADVANCE + 1 + x] = Ink::Text;
                }
            }
        }
        Ok(sheet)
    }

    /// All maps close together, `columns` in a row, row by row: what a page cuts maps from.
    pub(super) fn packed(maps: &Maps, columns: usize) -> Result<Self> {
        let (width, height, count) = (maps.extents.width, maps.extents.rows(), maps.extents.count);
        let mut sheet = Self::new(width * columns, height * count.div_ceil(columns.max(1)))?;
        for map in 0..count {
            sheet.draw(&maps.pixels(map), width, [1; 2], [map % columns * width, map / columns * height]);
        }
        Ok(sheet)
    }

    /// One map.
    pub(super) fn single(maps: &Maps, pixels: &[Pixel]) -> Result<Self> {
        let mut sheet = Self::new(maps.extents.width, maps.extents.rows())?;
        sheet.draw(pixels, maps.extents.width, [1; 2], [0, 0]);
        Ok(sheet)
    }

    /// Draws a map whose left upper corner is at `x`, `y`, each value so wide and so high.
    fn draw(&mut self, pixels: &[Pixel], width: usize, [wide, high]: [usize; 2], [x, y]: [usize; 2]) {
        for (row, pixels) in pixels.chunks(width.max(1)).enumerate() {
            for line in 0..high {
                let start = (y + row * high + line) * self.width + x;
                for (column, &pixel) in pixels.iter().enumerate() {
                    self.dots[start + column * wide..][..wide].fill(pixel.into());
                }
            }
        }
    }

    /// The PNG file, in so many shades of the layer's colour.
    pub(super) fn png(&self, look: &ResolvedLook, background: Color, shades: u8) -> Result<Vec<u8>> {
        let last = f32::from(shades - 1);
        let values =
            (0..shades).map(|shade| look.color.over(background, opacity(f32::from(shade) / last, look.min_opacity)));
        let palette: Vec<u8> = values.chain([MARKER, background, TEXT]).flat_map(|color| color.0).collect();
        let places = self.dots.iter().map(|&dot| match dot {
            Ink::Value(place) => (place * last).round() as u8,
            Ink::Marked => shades,
            Ink::Background => shades + 1,
            Ink::Text => shades + 2,
        });
        let (dots, bytes) = if shades + 3 <= 16 {
            let places: Vec<u8> = places.collect();
            let rows = places.chunks(self.width.max(1));
            let pair = |pair: &[u8]| pair[0] << 4 | pair.get(1).copied().unwrap_or(0);
            (Dots::Halves, rows.flat_map(|row| row.chunks(2).map(pair)).collect())
        } else {
            (Dots::Bytes, places.collect::<Vec<u8>>())
        };
        encode(self.width, self.height, dots, &palette, &bytes)
    }
}

/// The PNG file of three bytes for each pixel.
pub(super) fn rgb_png(width: usize, height: usize, bytes: &[u8]) -> Result<Vec<u8>> {
    encode(width, height, Dots::Colors, &[], bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::view::{LayerShape, Look, ModelLook, Sketch};

    /// A viewer of one layer of 2 columns, 1 row and `values.len() / 2` maps.
    fn viewer(values: &[f32]) -> Viewer<'static> {
        let mut sketch = Sketch::new();
        sketch.input("in", &[1, 2, values.len() / 2]).unwrap();
        let mut viewer = Viewer::of_sketch(sketch);
        viewer.layers[0].values = Some(values.to_vec());
        viewer.layers[0].own_look = Look::new().color(Color([200, 100, 0])).min_opacity(0.5);
        viewer.set_look(ModelLook::default()).unwrap();
        viewer
    }

    /// Width, height, and the red of each pixel.
    pub(in crate::view) fn decoded(file: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgb);
        (info.width, info.height, bytes.chunks(3).map(|pixel| pixel[0]).collect())
    }

    #[test]
    fn open_layers_are_grids_and_closed_ones_one_map() {
        // Maps 0 1, 1 0, 0 1; their averages are ⅓ and ⅔.
        let mut viewer = viewer(&[0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
        let closed = viewer.picture("in", &Picture::new()).unwrap();
        assert_eq!(decoded(&closed), (2, 1, vec![100, 200]));
        let second = viewer.picture("in", &Picture::new().channel(1).scale(2)).unwrap();
        assert_eq!(decoded(&second), (4, 2, [200, 200, 100, 100].repeat(2)));
        viewer.open_layer("in").unwrap();
        let open = viewer.picture("in", &Picture::new()).unwrap();
        assert_eq!(decoded(&open), (8, 1, vec![100, 200, 0, 200, 100, 0, 100, 200]));
        assert_eq!(viewer.picture("in", &Picture::new()).unwrap(), open);
    }

    #[test]
    fn maps_fill_the_grid_column_by_column() {
        // Six maps, told apart by their left pixel: 3 columns, 2 rows, a gap of 1 across and, of an odd 1, 0 down.
        let values: Vec<f32> = [0.0; 6].into_iter().chain((1..=6).map(|map| map as f32)).collect();
        let mut viewer = viewer(&values);
        viewer.open_layer("in").unwrap();
        let (width, height, dots) = decoded(&viewer.picture("in", &Picture::new().scale(2)).unwrap());
        assert_eq!((width, height), (4 * 3 + 2 * 2, 2 * 2 + 1));
        assert_eq!(dots[2 * 16..3 * 16], [0; 16]);
        assert_eq!(dots[..8], [100, 100, 200, 200, 0, 0, 100, 100]);
        viewer.set_layer_look("in", Look::new().layer_shape(LayerShape::Line)).unwrap();
        let (width, height, _) = decoded(&viewer.picture("in", &Picture::new()).unwrap());
        assert_eq!((width, height), (6 * 2 + 5, 1));
    }

    #[test]
    fn what_is_not_finite_is_marked() {
        let viewer = viewer(&[f32::NAN, 3.0]);
        let mut decoder = png::Decoder::new(std::io::Cursor::new(viewer.picture("in", &Picture::new()).unwrap()));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut bytes).unwrap();
        assert_eq!(bytes, [255, 0, 255, 100, 50, 0]);
    }

    #[test]
    fn captions_widen_a_picture_and_stand_below() {
        let viewer = viewer(&[-0.25, 3.0]);
        let (width, height, dots) = decoded(&viewer.picture("in", &Picture::new().caption(true)).unwrap());
        let text = "in 1×2×1 -0.25 to 3".chars().count() as u32;
        assert_eq!((width, height), (text * 6 + 1, 1 + 4 + 7));
        // The upper edge of the first letter, an I.
        assert_eq!(dots[3 * width as usize..][..7], [0, 0, 255, 255, 255, 0, 0]);
    }

    #[test]
    fn the_bytes_are_pinned() {
        let mut viewer = viewer(&[0.0, 1.0, 0.5, 1.0, 0.0, f32::INFINITY]);
        viewer.open_layer("in").unwrap();
        let file = viewer.picture("in", &Picture::new().scale(3).caption(true)).unwrap();
        // FNV-1a. It changes with the compression of `png` and its dependencies, and with nothing else.
        let hash = file
            .iter()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        assert_eq!((file.len(), hash), (996, 12_130_923_898_449_769_781));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let viewer = viewer(&[0.0, 1.0, 0.5, 1.0]);
        for (picture, message) in [
            (Picture::new().channel(2), "`channel` must be less than the 2 of layer in; received channel=2"),
            (Picture::new().scale(0), "`scale` must be at least 1; received scale=0"),
            (Picture::new().scale(1 << 20), "pixels of a picture: 2199023255552 needed, this device allows 268435456"),
        ] {
            assert_eq!(viewer.picture("in", &picture).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (-0.25, "-0.25"),
            (18.7066, "18.71"),
            (1234.5678, "1235"),
            (54321.0, "54321"),
            (0.00012, "1.20e-4"),
            (1e9, "1.00e9"),
            (0.9999, "1"),
            (0.001_234_5, "0.00123"),
            (-0.012, "-0.012"),
            (0.09999, "0.1"),
            (0.001, "0.001"),
            (9.9999, "10"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
