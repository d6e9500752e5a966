//! Where the values of a resized axis come from: sources and weights.
//!
//! The coordinates are those of ONNX's Resize (`coordinate_transformation_mode`, `nearest_mode`); Keras's UpSampling2D
//! uses two of them. Which position is the nearest, or lies below, can hang on the last bit of a coordinate, so for ONNX they
//! are computed as onnxruntime does, step by step in f32; for Keras, whose scales are whole, in f64.

use crate::{Error, Result};

/// Which input coordinate the centre of an output position stands for; `s` is the scale, output per input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Coordinates {
    /// `(o + ½) / s − ½`: positions are the centres of pixels. What TensorFlow 2 and Keras mean.
    #[default]
    HalfPixel,
    /// [`HalfPixel`](Self::HalfPixel), shifted so that an extent of the output that `s` does not give exactly stays
    /// centred.
    HalfPixelSymmetric,
    /// [`HalfPixel`](Self::HalfPixel), and 0 where the output has one position.
    PytorchHalfPixel,
    /// `o / s`.
    Asymmetric,
    /// `o·(n − 1) / (m − 1)`: the first and the last positions of input and output coincide.
    AlignCorners,
}

/// Which input position is the nearest to a coordinate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Nearest {
    /// Rounded, a half downwards. ONNX's default.
    #[default]
    RoundPreferFloor,
    /// Rounded, a half upwards.
    RoundPreferCeil,
    /// The next one below.
    Floor,
    /// The next one above.
    Ceil,
    /// The next one below, and the next one above along an axis that becomes smaller. What onnxruntime makes of ONNX's Resize
    /// of opset 10, which does not say.
    Simple,
}

/// How a value between input positions is found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Interpolation {
    /// That of the nearest position.
    Nearest(Nearest),
    /// On the line between both neighbours.
    Linear,
    /// On Keys's cubic through four neighbours.
    Cubic {
        /// The slope parameter: −0.75 for ONNX and PyTorch, −0.5 for TensorFlow.
        a: f64,
        /// Whether neighbours outside the input count nothing, and the others for them; otherwise they repeat the border.
        exclude_outside: bool,
    },
}

impl Interpolation {
    /// Sources of one output position.
    pub(crate) const fn taps(self) -> u32 {
        match self {
            Self::Nearest(_) => 1,
            Self::Linear => 2,
            Self::Cubic { .. } => 4,
        }
    }
}

/// The type that coordinates and cubic weights are computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    Single,
    Double,
}

impl Precision {
    /// What one operation makes of its exact result. That of two f32 in f64, rounded once more, is that in f32.
    fn round(self, value: f64) -> f64 {
        match self {
            Self::Single => f64::from(value as f32),
            Self::Double => value,
        }
    }
}

/// The most positions along an axis that tables of sources number, which are f32.
pub(crate) const MOST_POSITIONS: u32 = 1 << 24;

/// How near to the middle between two positions a coordinate is taken for the middle; onnxruntime's.
const MIDDLE: f64 = 1e-6;

/// One axis to be resized.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Resampling {
    pub(crate) input: u32,
    pub(crate) output: u32,
    /// Output positions per input position, as it was asked for: `output / input` need not equal it.
    pub(crate) scale: f64,
    /// The type that coordinates are computed in.
    pub(crate) precision: Precision,
    pub(crate) coordinates: Coordinates,
    pub(crate) interpolation: Interpolation,
}

impl Resampling {
    /// Source and weight of each tap, for one output position after the other.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty input, and for a scale that is not positive; [`Error::Limit`] where f32, in which
    /// shaders read the sources, cannot number them.
    pub(crate) fn table(&self) -> Result<Vec<[f32; 2]>> {
        if self.input == 0 || !(self.scale.is_finite() && self.scale > 0.0) {
            return Err(Error::invalid(
                "scale",
                "an axis to be resized must not be empty, and its scale must be positive",
                format!("extent={}, scale={}", self.input, self.scale),
            ));
        }
        let most = self.input.max(self.output);
        if most > MOST_POSITIONS {
            return Err(Error::limit("positions along a resized axis", most.into(), MOST_POSITIONS.into()));
        }
        let mut table = Vec::with_capacity(self.output as usize * self.interpolation.taps() as usize);
        table.extend((0..self.output).flat_map(|o| self.taps(self.coordinate(o))));
        Ok(table)
    }

    fn coordinate(&self, o: u32) -> f64 {
        let round = |value: f64| self.precision.round(value);
        let (n, m, o, scale) = (f64::from(self.input), f64::from(self.output), f64::from(o), round(self.scale));
        let half_pixel = || round(round(round(o + 0.5) / scale) - 0.5);
        match self.coordinates {
            Coordinates::PytorchHalfPixel if self.output == 1 => 0.0,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => half_pixel(),
            // onnxruntime has the adjustment in f32, and the rest of this one in f64.
            Coordinates::HalfPixelSymmetric => {
                let adjustment = round(m / round(scale * n));
                round(n / 2.0 * (1.0 - adjustment) + (o + 0.5) / scale - 0.5)
            }
            Coordinates::Asymmetric => round(o / scale),
            Coordinates::AlignCorners if self.output == 1 => 0.0,
            Coordinates::AlignCorners => round(round(o * (n - 1.0)) / (m - 1.0)),
        }
    }

    fn taps(&self, x: f64) -> Vec<[f32; 2]> {
        let last = f64::from(self.input - 1);
        let tap = |source: f64, weight: f64| [source.clamp(0.0, last) as f32, weight as f32];
        let below = x.floor();
        match self.interpolation {
            Interpolation::Nearest(nearest) => {
                let beyond_middle = x - below - 0.5;
                let source = match nearest {
                    Nearest::RoundPreferFloor => below + f64::from(u8::from(beyond_middle > MIDDLE)),
                    Nearest::RoundPreferCeil => below + f64::from(u8::from(beyond_middle >= -MIDDLE)),
                    Nearest::Simple if self.scale < 1.0 => x.ceil(),
                    Nearest::Floor | Nearest::Simple => below,
                    Nearest::Ceil => x.ceil(),
                };
                vec![tap(source, 1.0)]
            }
            Interpolation::Linear => vec![tap(below, below + 1.0 - x), tap(below + 1.0, x - below)],
            Interpolation::Cubic { a, exclude_outside } => {
                let sources = [-1.0, 0.0, 1.0, 2.0].map(|step| below + step);
                let counts = |source: f64| !exclude_outside || (0.0..=last).contains(&source);
                let weights = sources.map(|s| if counts(s) { keys((x - s).abs(), a, self.precision) } else { 0.0 });
                let total = if exclude_outside { weights.iter().sum() } else { 1.0 };
                (0..4).map(|i| tap(sources[i], weights[i] / total)).collect()
            }
        }
    }
}

/// Keys's kernel at distance `d` from 0 to 2.
fn keys(d: f64, a: f64, precision: Precision) -> f64 {
    let round = |value: f64| precision.round(value);
    let (d, a) = (round(d), round(a));
    // By Horner's rule, each product and each sum in its own rounding.
    let horner =
        |factors: &[f64]| factors[1..].iter().fold(factors[0], |sum, &factor| round(round(sum * d) + round(factor)));
    if d <= 1.0 {
        horner(&[round(a + 2.0), -round(a + 3.0), 0.0, 1.0])
    } else {
        horner(&[a, -5.0 * a, 8.0 * a, -4.0 * a])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(input: u32, output: u32, coordinates: Coordinates, interpolation: Interpolation) -> Resampling {
        let scale = f64::from(output) / f64::from(input);
        Resampling { input, output, scale, precision: Precision::Double, coordinates, interpolation }
    }

    fn sources(coordinates: Coordinates, nearest: Nearest, input: u32, output: u32) -> Vec<f32> {
        let table = axis(input, output, coordinates, Interpolation::Nearest(nearest)).table().unwrap();
        table.into_iter().map(|[source, _]| source).collect()
    }

    #[test]
    fn nearest_sources() {
        use Coordinates::{Asymmetric, HalfPixel};
        assert_eq!(sources(Asymmetric, Nearest::Floor, 2, 6), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        // Half-pixel coordinates −1/4, 1/4, 3/4, 5/4, and 1/2, 5/2.
        assert_eq!(sources(HalfPixel, Nearest::RoundPreferFloor, 2, 4), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(sources(HalfPixel, Nearest::RoundPreferFloor, 4, 2), [0.0, 2.0]);
        assert_eq!(sources(HalfPixel, Nearest::RoundPreferCeil, 4, 2), [1.0, 3.0]);
        assert_eq!(sources(HalfPixel, Nearest::Ceil, 4, 2), [1.0, 3.0]);
    }

    /// Coordinates that f64 puts on the other side of a position, or of a middle, than f32: onnxruntime 1.32's positions.
    #[test]
    fn positions_hang_on_the_last_bit() {
        let picked = |input: u32, output, scale: Option<f64>, coordinates, nearest| -> Vec<f32> {
            let scale = scale.unwrap_or(f64::from(output as f32 / input as f32));
            let interpolation = Interpolation::Nearest(nearest);
            let axis = Resampling { input, output, scale, precision: Precision::Single, coordinates, interpolation };
            axis.table().unwrap().into_iter().map(|[source, _]| source).collect()
        };
        use Coordinates::{Asymmetric, HalfPixel, HalfPixelSymmetric, PytorchHalfPixel};
        use Nearest::{Ceil, Floor, RoundPreferCeil, RoundPreferFloor};
        assert_eq!(picked(10, 3, Some(1.0 / 3.0), Asymmetric, Floor), [0.0, 3.0, 6.0]);
        assert_eq!(picked(23, 28, None, Asymmetric, RoundPreferFloor)[14], 11.0);
        assert_eq!(picked(24, 28, None, HalfPixel, RoundPreferFloor)[17], 14.0);
        assert_eq!(picked(33, 9, Some(0.3), HalfPixel, RoundPreferCeil)[4], 15.0);
        assert_eq!(picked(24, 31, Some(1.3), PytorchHalfPixel, RoundPreferFloor)[19], 14.0);
        assert_eq!(picked(23, 15, Some(2.0 / 3.0), HalfPixelSymmetric, Ceil)[5], 8.0);
        assert_eq!(picked(5, 1, Some(0.3), HalfPixelSymmetric, Floor), [1.0]);
        assert_eq!(picked(36, 12, Some(1.0 / 3.0), HalfPixelSymmetric, Floor)[..2], [0.0, 3.0]);
    }

    #[test]
    fn weights_sum_to_one_and_sources_stay_inside() {
        let cubic = |exclude_outside| Interpolation::Cubic { a: -0.75, exclude_outside };
        for interpolation in [Interpolation::Linear, cubic(false), cubic(true)] {
            for coordinates in [
                Coordinates::HalfPixel,
                Coordinates::HalfPixelSymmetric,
                Coordinates::PytorchHalfPixel,
                Coordinates::Asymmetric,
                Coordinates::AlignCorners,
            ] {
                for (input, output) in [(1, 1), (1, 5), (5, 1), (3, 7), (7, 3), (4, 8)] {
                    let table = axis(input, output, coordinates, interpolation).table().unwrap();
                    assert_eq!(table.len(), (output * interpolation.taps()) as usize);
                    for taps in table.chunks(interpolation.taps() as usize) {
                        let total: f32 = taps.iter().map(|[_, weight]| weight).sum();
                        assert!((total - 1.0).abs() < 1e-6, "{coordinates:?} {interpolation:?} {taps:?}");
                        assert!(taps.iter().all(|[source, _]| *source >= 0.0 && *source < input as f32));
                    }
                }
            }
        }
    }

    /// The lines of ONNX's operator tests `resize_upsample_scales_linear` and `…_align_corners`, of 1, 2 from row one.
    #[test]
    fn lines_of_the_documents() {
        let value = |coordinates| -> Vec<f32> {
            let table = axis(2, 4, coordinates, Interpolation::Linear).table().unwrap();
            table.chunks(2).map(|taps| taps.iter().map(|[source, weight]| (1.0 + source) * weight).sum()).collect()
        };
        assert_eq!(value(Coordinates::HalfPixel), [1.0, 1.25, 1.75, 2.0]);
        let corners = value(Coordinates::AlignCorners);
        let expected = [1.0, 4.0 / 3.0, 5.0 / 3.0, 2.0];
        assert!(corners.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{corners:?}");
    }

    #[test]
    fn what_cannot_be_resized_is_refused() {
        let table = |input, scale| {
            let (coordinates, interpolation) = (Coordinates::HalfPixel, Interpolation::Linear);
            Resampling { input, output: 2, scale, precision: Precision::Single, coordinates, interpolation }.table()
        };
        assert!(table(0, 1.0).is_err() && table(2, 0.0).is_err() && table(2, f64::NAN).is_err());
        assert!(table(u32::MAX, 1.0).is_err());
    }
}
