//! Augmentations that make a pixel of its neighbours: blurred, sharpened.

use super::Images;
use crate::geometry::{Axis, ConvGeometry, extent};
use crate::ops::{self, ConvArgs, Kernel, Numbers, Side, Span, Value};
use crate::plan::{BinaryFunction, Direction, Elementwise, Outside};
use crate::{Activation, DType, DataFormat, Error, Result, Unary};

/// Keras's least deviation of a blur.
const EPSILON: f32 = 1e-6;

/// What a variance is at least, so that a deviation of 0 blurs nothing.
const LEAST_VARIANCE: f64 = 1e-30;

/// The exponent of what has no weight.
const NOTHING: f32 = -1e30;

impl Images<'_> {
    /// On the way from a blurred image to itself, and beyond it.
    pub(super) fn sharpen(&mut self) -> Result<Value> {
        let range = self.value_range()?;
        let factor = self.range("factor", 0.0)?;
        let factor = self.factor(factor)?;
        let other = self.map(Unary::Affine { scale: -2.0, offset: 1.0 }, factor)?;
        let planes = self.planes()?;
        let &[images, height, width, channels] = self.tape.shape(planes).dims() else { return Ok(planes) };
        let axis =
            |size: usize| -> Result<Axis> { Ok(Axis { kernel: 3, pad_before: 1, ..Axis::pointwise(extent(size)?) }) };
        let groups = extent(channels)?;
        let axes = [Axis::UNIT, axis(height)?, axis(width)?];
        let args = ConvArgs {
            geometry: ConvGeometry::new(extent(images)?, groups, [groups; 2], axes)?,
            direction: Direction::Forward,
            data_format: DataFormat::ChannelsLast,
            activation: Activation::Linear,
        };
        let taps = (0..9 * channels).map(|at| if at / channels == 4 { 5.0 / 13.0 } else { 1.0 / 13.0 }).collect();
        let numbers = Numbers { dtype: self.tape.dtype(planes), rounding: None };
        let kernel = Kernel::of_values([3, 3, 1, channels], taps, numbers);
        let smooth = ops::conv::<2>(self.tape, &args, planes, &kernel, None)?;
        let smooth = self.tape.reshape(smooth, self.tape.shape(self.images).clone())?;
        let way = self.two(BinaryFunction::Subtract, smooth, self.images)?;
        let way = self.two(BinaryFunction::Multiply, way, other)?;
        let sum = self.two(BinaryFunction::Add, self.images, way)?;
        self.clipped(range, sum)
    }

    /// Blurred by a Gaussian whose two deviations are drawn for the batch, those images that are chosen.
    pub(super) fn blur(&mut self) -> Result<Value> {
        let range = self.value_range()?;
        let sizes = self.numbers("kernel_size")?;
        let odd = |&size: &f64| size % 2.0 == 1.0 && (1.0..=f64::from(u16::MAX)).contains(&size);
        if sizes.is_empty() || !sizes.iter().all(odd) {
            let received = format!("kernel_size={}", self.argument("kernel_size"));
            return Err(Error::invalid("kernel_size", "`kernel_size` must be one odd number or two", received));
        }
        let sigma = self.range("sigma", 0.0)?;
        let chosen = self.chosen("factor")?;
        let drawn = self.between(sigma, vec![2], DType::F32)?;
        let drawn = self.map(Unary::Affine { scale: 1.0, offset: EPSILON }, drawn)?;
        let mut matrices = Vec::with_capacity(2);
        for (at, length) in [(0, self.width), (1, self.height)] {
            let deviation = ops::part(self.tape, 0, at, 1, drawn)?;
            let reach = sizes[at.min(sizes.len() - 1)] as usize / 2;
            let weights = self.gaussian(deviation, reach, None)?;
            let matrix = self.banded(weights, reach, length as usize)?;
            matrices.push(ops::cast(self.tape, self.tape.dtype(self.images), None, matrix)?);
        }
        let planes = self.planes()?;
        let blurred = self.blurred(planes, [matrices[0], matrices[1]])?;
        let blurred = self.tape.reshape(blurred, self.tape.shape(self.images).clone())?;
        let made = self.applied(chosen, blurred)?;
        self.clipped(range, made)
    }

    /// The weights of the places up to `reach` before and after one, which sum to 1: a Gaussian of this deviation, as far as `within`
    /// says, or else all.
    pub(super) fn gaussian(&mut self, deviation: Value, reach: usize, within: Option<Value>) -> Result<Value> {
        let count = 2 * reach + 1;
        let constant = |of: fn(f32) -> f32| {
            let values = (0..count).map(|at| of((at as f32 - reach as f32).abs())).collect();
            Kernel::of_values([count], values, Numbers::EXACT)
        };
        let variance = self.map(Unary::Square, deviation)?;
        let variance = self.clipped([LEAST_VARIANCE, f64::from(f32::MAX)], variance)?;
        let squares = constant(|distance| -0.5 * distance * distance);
        let (squares, variance) = (Side::Constant(&squares), Side::Value(variance));
        let mut exponents = ops::binary(self.tape, BinaryFunction::Divide, squares, variance, Elementwise::LINEAR)?;
        if let Some(within) = within {
            let far = ops::binary(
                self.tape,
                BinaryFunction::Greater,
                Side::Constant(&constant(|distance| distance)),
                Side::Value(within),
                Elementwise::LINEAR,
            )?;
            let far = self.map(Unary::Affine { scale: NOTHING, offset: 0.0 }, far)?;
            exponents = self.two(BinaryFunction::Add, exponents, far)?;
        }
        ops::activate(self.tape, &Activation::Softmax { axis: -1 }, exponents)
    }

    /// The matrix that takes each of `length` places to the sum of its neighbours by `weights`, what lies outside being 0.
    pub(super) fn banded(&mut self, weights: Value, reach: usize, length: usize) -> Result<Value> {
        let count = 2 * reach + 1;
        let table = ops::gather(self.tape, &[Span::whole(count + 1)], Outside::ZERO, weights)?;
        let places = (0..length * length).map(|at| {
            let (to, from) = (at / length, at % length);
            // The last of the table is 0.
            if to.abs_diff(from) <= reach { (from + reach - to) as f32 } else { count as f32 }
        });
        let places = Kernel::of_values([length, length], places.collect(), Numbers::EXACT);
        ops::take(self.tape, 0, 0, (Side::Value(table), DType::F32), (Side::Constant(&places), DType::F32))
    }

    /// `planes`, `[images, height, width, channels]`, with the columns and the rows of each mixed by a matrix.
    pub(super) fn blurred(&mut self, planes: Value, [columns, rows]: [Value; 2]) -> Result<Value> {
        let &[images, height, width, channels] = self.tape.shape(planes).dims() else { return Ok(planes) };
        let mixed = ops::matmul(self.tape, Side::Value(columns), Side::Value(planes))?;
        let mixed = self.tape.reshape(mixed, [images, height, width * channels])?;
        ops::matmul(self.tape, Side::Value(rows), Side::Value(mixed))
    }
}
