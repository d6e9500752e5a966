//! Feature maps: the values of a layer as pictures, one for each channel.

use super::look::{Aggregation, LayerShape};

/// The extents of a layer's maps, from an output shape without its batch, channels last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extents {
    /// How many maps there are.
    pub(super) count: usize,
    /// Images in one map, below each other; one, but for maps of three axes.
    pub(super) slices: usize,
    /// Of one slice.
    pub(super) height: usize,
    pub(super) width: usize,
    /// Whether the maps are channels of something that has a place for each value: a flat output is one map, and not.
    pub(super) spatial: bool,
}

/// How many times as long as high a strip is.
const STRIP: usize = 16;
/// Units of a flat layer that stand in one row; more are folded into a square.
const ROW: usize = 32;

impl Extents {
    /// Of axes before the height, every place is a slice.
    pub(super) fn of(shape: &[usize]) -> Self {
        match shape {
            [] => Self { count: 1, slices: 1, height: 1, width: 1, spatial: false },
            [units] => {
                let width =
                    if *units <= ROW { *units } else { units.isqrt() + usize::from(units.isqrt().pow(2) < *units) };
                Self { count: 1, slices: 1, height: units.div_ceil(width.max(1)), width, spatial: false }
            }
            [width, count] => Self { count: *count, slices: 1, height: 1, width: *width, spatial: true },
            [before @ .., height, width, count] => {
                Self { count: *count, slices: elements(before), height: *height, width: *width, spatial: true }
            }
        }
    }
}

/// The number of elements of a shape, which may be a file's: at most the largest number there is.
pub(super) fn elements(shape: &[usize]) -> usize {
    shape.iter().fold(1, |product, &dim| product.saturating_mul(dim))
}

impl Extents {
    /// Rows of values in one map.
    pub(super) fn rows(&self) -> usize {
        self.slices.saturating_mul(self.height)
    }

    /// Values, or places for them, in one map.
    pub(super) fn room(&self) -> usize {
        self.rows().saturating_mul(self.width)
    }

    /// How many times as high as wide a value is drawn: a line of many would be too thin to see, and is drawn as a strip.
    pub(super) fn stretch(&self) -> usize {
        if self.spatial && self.rows() == 1 { (self.width / STRIP).max(1) } else { 1 }
    }
}

/// The values of a layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Maps<'a> {
    pub(super) extents: Extents,
    /// Channels last; empty where nothing is known yet.
    values: &'a [f32],
}

/// The smallest and the greatest value that are finite.
pub(super) type ValueRange = Option<(f32, f32)>;

/// A pixel of a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pixel {
    /// A value, by its place between the smallest of the map, 0, and the greatest, 1.
    Value(f32),
    /// NaN or an infinity.
    Marked,
    /// There is no value here.
    Empty,
}

impl<'a> Maps<'a> {
    pub(super) fn new(shape: &[usize], values: &'a [f32]) -> Self {
        Self { extents: Extents::of(shape), values }
    }

    /// The values of map `index`, row by row.
    fn map(&self, index: usize) -> impl Iterator<Item = f32> + Clone + 'a {
        self.values.iter().skip(index).step_by(self.extents.count).copied()
    }

    pub(super) fn range(&self, index: usize) -> ValueRange {
        range(self.map(index))
    }

    /// The range of all values.
    pub(super) fn full_range(&self) -> ValueRange {
        range(self.values.iter().copied())
    }

    /// How many values are NaN or infinite.
    pub(super) fn marked(&self) -> usize {
        self.values.iter().filter(|value| !value.is_finite()).count()
    }

    /// The pixels of map `index`, row by row.
    pub(super) fn pixels(&self, index: usize) -> Vec<Pixel> {
        self.padded(normalized(self.map(index)))
    }

    /// The pixels of the map that stands for all, row by row. One is marked where any of the maps is.
    pub(super) fn aggregated(&self, strategy: Aggregation) -> Vec<Pixel> {
        let combined = self.values.chunks(self.extents.count.max(1)).map(|channels| {
            if channels.iter().any(|value| !value.is_finite()) {
                return f32::NAN;
            }
            match strategy {
                Aggregation::Average => {
                    (channels.iter().copied().map(f64::from).sum::<f64>() / channels.len() as f64) as f32
                }
                Aggregation::Max => channels.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            }
        });
        self.padded(normalized(combined.collect::<Vec<_>>().into_iter()))
    }

    /// As many pixels as the map has room for: those of a map without values are the fainter end of its colour.
    fn padded(&self, mut pixels: Vec<Pixel>) -> Vec<Pixel> {
        let room = self.extents.room();
        let fill = if self.values.is_empty() { Pixel::Value(0.0) } else { Pixel::Empty };
        pixels.resize(room, fill);
        pixels
    }
}

fn range(values: impl Iterator<Item = f32>) -> ValueRange {
    values.filter(|value| value.is_finite()).fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((least, most)) => Some((least.min(value), most.max(value))),
    })
}

/// The values by their place in the range of those that are finite; 0 where they are all one.
fn normalized(values: impl Iterator<Item = f32> + Clone) -> Vec<Pixel> {
    let (least, most) = range(values.clone()).unwrap_or((0.0, 0.0));
    let (least, span) = (f64::from(least), f64::from(most) - f64::from(least));
    let place = |value: f32| match value.is_finite() {
        false => Pixel::Marked,
        true if span > 0.0 => Pixel::Value(((f64::from(value) - least) / span) as f32),
        true => Pixel::Value(0.0),
    };
    values.map(place).collect()
}

/// The opacity of a value at `place` between the smallest and the greatest of its map.
pub(super) fn opacity(place: f32, min_opacity: f32) -> f32 {
    min_opacity + place * (1.0 - min_opacity)
}

/// The columns and rows of a grid for `count` maps. Map `i` stands in column `i / rows`, row `i % rows`.
pub(super) fn grid(count: usize, shape: LayerShape) -> (usize, usize) {
    if shape == LayerShape::Line || count == 0 {
        return (count, 1);
    }
    let root = count.isqrt();
    if root * root == count {
        return (root, root);
    }
    let least = (count / 2).isqrt();
    let mut divisor = root;
    while !count.is_multiple_of(divisor) && divisor > least.max(1) {
        divisor -= 1;
    }
    if count.is_multiple_of(divisor) { (count / divisor, divisor) } else { (root + 1, root + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_tensorspaces() {
        for (count, expected) in [
            (1, (1, 1)),
            (2, (2, 1)),
            (3, (3, 1)),
            (4, (2, 2)),
            (5, (5, 1)),
            (6, (3, 2)),
            (7, (7, 1)),
            (8, (4, 2)),
            (9, (3, 3)),
            (10, (5, 2)),
            (11, (4, 4)),
            (12, (4, 3)),
            (32, (8, 4)),
            (64, (8, 8)),
        ] {
            assert_eq!(grid(count, LayerShape::Rect), expected, "{count} maps");
            assert_eq!(grid(count, LayerShape::Line), (count, 1));
        }
        for count in 1..2000 {
            let (columns, rows) = grid(count, LayerShape::Rect);
            assert!(columns * rows >= count && (columns == rows || columns * rows == count), "{count} maps");
        }
        assert_eq!(grid(0, LayerShape::Rect), (0, 1));
    }

    #[test]
    fn opacity_runs_from_the_least_to_one() {
        for (place, min_opacity, expected) in [(0.0, 0.4, 0.4), (0.5, 0.4, 0.7), (1.0, 0.4, 1.0), (0.25, 0.0, 0.25)] {
            assert!((opacity(place, min_opacity) - expected).abs() < 1e-6, "{place}");
        }
    }

    #[test]
    fn each_map_has_a_range_of_its_own() {
        // Two maps of 1×3: 1 3 5 and −2 −2 0.
        let maps = Maps::new(&[1, 3, 2], &[1.0, -2.0, 3.0, -2.0, 5.0, 0.0]);
        assert_eq!((maps.range(0), maps.range(1)), (Some((1.0, 5.0)), Some((-2.0, 0.0))));
        assert_eq!(maps.full_range(), Some((-2.0, 5.0)));
        assert_eq!(maps.pixels(0), [0.0, 0.5, 1.0].map(Pixel::Value));
        assert_eq!(maps.pixels(1), [0.0, 0.0, 1.0].map(Pixel::Value));
    }

    #[test]
    fn aggregations_do_what_they_are_called() {
        // Averages 1 2 3, maxima 3 3 4.
        let maps = Maps::new(&[1, 3, 2], &[-1.0, 3.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!(maps.aggregated(Aggregation::Average), [0.0, 0.5, 1.0].map(Pixel::Value));
        assert_eq!(maps.aggregated(Aggregation::Max), [0.0, 0.0, 1.0].map(Pixel::Value));
    }

    #[test]
    fn constant_maps_are_faint_and_what_is_not_finite_is_marked() {
        let maps = Maps::new(&[2, 1, 1], &[7.0, 7.0]);
        assert_eq!(maps.pixels(0), [0.0, 0.0].map(Pixel::Value));
        let values = [f32::NAN, 1.0, 2.0, f32::INFINITY, 4.0, 3.0];
        let maps = Maps::new(&[3, 1, 2], &values);
        assert_eq!(maps.range(0), Some((2.0, 4.0)));
        assert_eq!(maps.pixels(0), [Pixel::Marked, Pixel::Value(0.0), Pixel::Value(1.0)]);
        assert_eq!(maps.aggregated(Aggregation::Max)[..2], [Pixel::Marked, Pixel::Marked]);
        assert_eq!(maps.marked(), 2);
        let none = Maps::new(&[1, 1, 1], &[f32::NAN]);
        assert_eq!((none.range(0), none.pixels(0)), (None, vec![Pixel::Marked]));
        // The widest range there is does not overflow.
        assert_eq!(Maps::new(&[2, 1, 1], &[f32::MIN, f32::MAX]).pixels(0)[1], Pixel::Value(1.0));
    }

    #[test]
    fn flat_outputs_are_one_map_and_empty_ones_have_pixels() {
        let of = |shape: &[usize]| {
            let Extents { count, height, width, .. } = Extents::of(shape);
            (count, height, width)
        };
        assert_eq!(of(&[10]), (1, 1, 10));
        assert_eq!(of(&[32]), (1, 1, 32));
        assert_eq!(of(&[33]), (1, 6, 6));
        assert_eq!(of(&[64]), (1, 8, 8));
        assert_eq!(of(&[5, 7]), (7, 1, 5));
        assert_eq!(of(&[2, 3, 4, 5]), (5, 3, 4));
        assert_eq!(
            Maps::new(&[33], &[1.0; 33]).pixels(0)[32..],
            [Pixel::Value(0.0), Pixel::Empty, Pixel::Empty, Pixel::Empty]
        );
        assert_eq!(Maps::new(&[1, 2, 3], &[]).pixels(2), [0.0, 0.0].map(Pixel::Value));
    }

    #[test]
    fn lines_are_strips_and_volumes_have_slices() {
        let volume = Extents::of(&[2, 3, 4, 5]);
        assert_eq!((volume.slices, volume.rows(), volume.room(), volume.stretch()), (2, 6, 24, 1));
        for (width, stretch) in [(1, 1), (31, 1), (32, 2), (4096, 256)] {
            assert_eq!(Extents::of(&[width, 8]).stretch(), stretch, "{width} places");
            // A flat layer is no line.
            assert_eq!(Extents::of(&[width]).stretch(), 1);
        }
    }
}
