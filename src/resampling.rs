//! Where the values of a resized axis come from: sources and weights, in f64.
//!
//! The coordinates are those of ONNX's Resize (`coordinate_transformation_mode`, `nearest_mode`); Keras's UpSampling2D
//! uses two of them.

use crate::{Error, Result};

/// Which input coordinate the centre of an output position stands for; `s` is the scale, output per input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
}

/// How a value between input positions is found.
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// One axis to be resized.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Resampling {
    pub(crate) input: u32,
    pub(crate) output: u32,
    /// Output positions per input position, as it was asked for: `output / input` need not equal it.
    pub(crate) scale: f64,
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
        if self.input > 1 << 24 {
            return Err(Error::limit("positions along a resized axis", self.input.into(), 1 << 24));
        }
        Ok((0..self.output).flat_map(|o| self.taps(self.coordinate(o))).collect())
    }

    fn coordinate(&self, o: u32) -> f64 {
        let (n, m) = (f64::from(self.input), f64::from(self.output));
        let half_pixel = (f64::from(o) + 0.5) / self.scale - 0.5;
        match self.coordinates {
            Coordinates::PytorchHalfPixel if self.output == 1 => 0.0,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => half_pixel,
            Coordinates::HalfPixelSymmetric => half_pixel + n / 2.0 * (1.0 - m / (self.scale * n)),
            Coordinates::Asymmetric => f64::from(o) / self.scale,
            Coordinates::AlignCorners if self.output == 1 => 0.0,
            Coordinates::AlignCorners => f64::from(o) * (n - 1.0) / (m - 1.0),
        }
    }

    fn taps(&self, x: f64) -> Vec<[f32; 2]> {
        let last = f64::from(self.input - 1);
        let tap = |source: f64, weight: f64| [source.clamp(0.0, last) as f32, weight as f32];
        let below = x.floor();
        match self.interpolation {
            Interpolation::Nearest(nearest) => {
                let source = match nearest {
                    Nearest::RoundPreferFloor => (x - 0.5).ceil(),
                    Nearest::RoundPreferCeil => (x + 0.5).floor(),
                    Nearest::Floor => below,
                    Nearest::Ceil => x.ceil(),
                };
                vec![tap(source, 1.0)]
            }
            Interpolation::Linear => vec![tap(below, below + 1.0 - x), tap(below + 1.0, x - below)],
            Interpolation::Cubic { a, exclude_outside } => {
                let sources = [-1.0, 0.0, 1.0, 2.0].map(|step| below + step);
                let counts = |source: f64| !exclude_outside || (0.0..=last).contains(&source);
                let weights = sources.map(|s| if counts(s) { keys((x - s).abs(), a) } else { 0.0 });
                let total = if exclude_outside { weights.iter().sum() } else { 1.0 };
                (0..4).map(|i| tap(sources[i], weights[i] / total)).collect()
            }
        }
    }
}

/// Keys's kernel at distance `d` from 0 to 2.
fn keys(d: f64, a: f64) -> f64 {
    if d <= 1.0 { ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0 } else { (((d - 5.0) * d + 8.0) * d - 4.0) * a }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(input: u32, output: u32, coordinates: Coordinates, interpolation: Interpolation) -> Resampling {
        Resampling { input, output, scale: f64::from(output) / f64::from(input), coordinates, interpolation }
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
            Resampling { input, output: 2, scale, coordinates, interpolation }.table()
        };
        assert!(table(0, 1.0).is_err() && table(2, 0.0).is_err() && table(2, f64::NAN).is_err());
        assert!(table(u32::MAX, 1.0).is_err());
    }
}
