//! Augmentations of values: fewer bits, the brightest turned round, histograms made even.

use super::Images;
use crate::ops::{self, Kernel, Numbers, Side, Value};
use crate::plan::{AxisFunction, BinaryFunction};
use crate::{DType, DataFormat, Error, Result, Unary};

/// The values that Keras counts, cuts and turns round, whatever the range of the images.
const BYTES: [f64; 2] = [0.0, 255.0];

/// Bits of such a value.
const BITS: f64 = 8.0;

/// The most bins of a histogram.
const MOST_BINS: f64 = 65536.0;

/// How many ones and zeros are held at once, but for those of one channel of an image.
const MOST_ONES: usize = 1 << 24;

impl Images<'_> {
    /// As many of the upper bits of each value as are drawn for its image, and 0 in the others.
    pub(super) fn posterize(&mut self) -> Result<Value> {
        let [low, high] = self.bounded("factor", [1.0, BITS])?;
        if [low, high].iter().any(|bits| bits.fract() != 0.0 || !(1.0..=BITS).contains(bits)) {
            let received = format!("factor={}", self.argument("factor"));
            return Err(Error::invalid("factor", "`factor` must be one or two whole numbers from 1 to 8", received));
        }
        let range = self.value_range()?;
        // Keras draws whole numbers below the upper one.
        let choices = (high - low).max(1.0) as usize;
        let drawn = self.uniform(1)?;
        let drawn = self.map(Unary::Affine { scale: choices as f32, offset: 0.0 }, drawn)?;
        let drawn = self.map(Unary::Floor, drawn)?;
        let dtype = self.tape.dtype(self.images);
        let mut power = |sign: f64| -> Result<Value> {
            let powers = (0..choices).map(|choice| (sign * (BITS - low - choice as f64)).exp2() as f32).collect();
            let powers = Kernel::of_values([choices], powers, Numbers { dtype, rounding: None });
            let index = (Side::Value(drawn), DType::F32);
            let taken = ops::take(self.tape, 0, 0, (Side::Constant(&powers), dtype), index)?;
            self.tape.reshape(taken, [self.batch, 1, 1, 1])
        };
        let [step, part] = [power(1.0)?, power(-1.0)?];
        let bytes = self.ranged(range, BYTES, self.images)?;
        let bytes = self.clipped(BYTES, bytes)?;
        let bytes = self.map(Unary::Floor, bytes)?;
        let kept = self.two(BinaryFunction::Multiply, bytes, part)?;
        let kept = self.map(Unary::Floor, kept)?;
        let kept = self.two(BinaryFunction::Multiply, kept, step)?;
        self.ranged(BYTES, range, kept)
    }

    /// Something added, then each value that is not below a threshold turned round. Keras multiplies the upper end of what it draws
    /// from by 255, and not the lower one.
    pub(super) fn solarize(&mut self) -> Result<Value> {
        let range = self.value_range()?;
        let mut drawn = |name: &'static str| -> Result<Value> {
            let [low, high] = self.within(name, [0.0, 1.0])?;
            self.factor([low.max(0.0), high * BYTES[1]])
        };
        let [added, threshold] = [drawn("addition_factor")?, drawn("threshold_factor")?];
        let bytes = self.ranged(range, BYTES, self.images)?;
        let sum = self.two(BinaryFunction::Add, bytes, added)?;
        let sum = self.clipped(BYTES, sum)?;
        let below = self.two(BinaryFunction::Less, sum, threshold)?;
        let round = self.map(Unary::Affine { scale: -1.0, offset: BYTES[1] as f32 }, sum)?;
        let made = self.select(below, sum, round)?;
        self.ranged(BYTES, range, made)
    }

    /// Each channel of the batch with values that are about as frequent: where a value stands among all, of the batch together.
    ///
    /// A histogram is a product of matrices: a bin has a row and a column of a square, and what rows and what columns the pixels of an
    /// image have, as ones and zeros, gives by their product how many have both.
    pub(super) fn equalize(&mut self) -> Result<Value> {
        let bins = match self.numbers("bins")?[..] {
            [bins] if bins.fract() == 0.0 && (1.0..=MOST_BINS).contains(&bins) => bins,
            _ => {
                let received = format!("bins={}", self.argument("bins"));
                return Err(Error::invalid("bins", "`bins` must be a whole number from 1 to 65536", received));
            }
        };
        let range = self.value_range()?;
        let (order, back) = match self.layer.data_format {
            DataFormat::ChannelsLast => ([3, 0, 1, 2], [1, 2, 3, 0]),
            DataFormat::ChannelsFirst => ([1, 0, 2, 3], [1, 0, 2, 3]),
        };
        let dtype = self.tape.dtype(self.images);
        let images = ops::permute(self.tape, &order, self.images)?;
        let shape = self.tape.shape(images).clone();
        let channels = shape.dims()[0];
        let pixels = (self.height * self.width) as usize;
        let images = ops::cast(self.tape, DType::F32, None, images)?;
        let bytes = self.ranged(range, BYTES, images)?;
        // Rounded up, so that a whole value is in the bin that it begins.
        let exact = (bins - 1.0) / BYTES[1];
        let scale = if f64::from(exact as f32) < exact { (exact as f32).next_up() } else { exact as f32 };
        let bin = self.map(Unary::Affine { scale, offset: 0.0 }, bytes)?;
        let bin = self.clipped([0.0, bins - 1.0], bin)?;
        let bin = self.map(Unary::Floor, bin)?;

        let side = bins.sqrt().ceil() as usize;
        let constant = |shape: &[usize], values: Vec<f32>| Kernel::of_values(shape, values, Numbers::EXACT);
        let share = 1.0 / side as f32;
        let row = self.map(Unary::Affine { scale: share, offset: 0.5 * share }, bin)?;
        let row = self.map(Unary::Floor, row)?;
        let first = self.map(Unary::Affine { scale: side as f32, offset: 0.0 }, row)?;
        let column = self.two(BinaryFunction::Subtract, bin, first)?;
        let numbers = constant(&[side], (0..side).map(|number| number as f32).collect());
        let planes = channels * self.batch;
        let at_once = (MOST_ONES / (pixels * side).max(1)).clamp(1, planes.max(1));
        let mut parts = Vec::with_capacity(planes.div_ceil(at_once));
        for start in (0..planes).step_by(at_once) {
            let count = at_once.min(planes - start);
            let mut ones = |places: Value| -> Result<Value> {
                let places = self.tape.reshape(places, [planes, pixels, 1])?;
                let places = ops::part(self.tape, 0, start, count, places)?;
                ops::with(self.tape, BinaryFunction::Equal, places, &numbers)
            };
            let [rows, columns] = [ones(row)?, ones(column)?];
            parts.push(ops::batch_dot(self.tape, [1, 1], rows, columns)?);
        }
        let counts = ops::concatenate(self.tape, 0, &parts)?;
        let counts = self.tape.reshape(counts, [channels, self.batch, side, side])?;
        let counts = ops::reduce(self.tape, AxisFunction::Sum, &[1], false, counts)?;

        // How many pixels lie in a bin or before it: along its row, and in the rows before.
        let triangle = |holds: fn(usize, usize) -> bool| {
            let places = (0..side * side).map(|at| f32::from(u8::from(holds(at / side, at % side))));
            constant(&[side, side], places.collect())
        };
        let [until, before] = [triangle(|from, to| from <= to), triangle(|to, from| from < to)];
        let along = ops::matmul(self.tape, Side::Value(counts), Side::Constant(&until))?;
        let whole = ops::part(self.tape, 2, side - 1, 1, along)?;
        let above = ops::matmul(self.tape, Side::Constant(&before), Side::Value(whole))?;
        let sums = self.two(BinaryFunction::Add, along, above)?;
        let sums = self.tape.reshape(sums, [channels, side * side])?;
        let all = ops::part(self.tape, 1, side * side - 1, 1, sums)?;
        let none = ops::with(self.tape, BinaryFunction::Equal, sums, &constant(&[], vec![0.0]))?;
        let lifted = self.two(BinaryFunction::Multiply, none, all)?;
        let lifted = self.two(BinaryFunction::Add, sums, lifted)?;
        let least = ops::reduce(self.tape, AxisFunction::Min, &[1], true, lifted)?;

        let left = self.two(BinaryFunction::Subtract, all, least)?;
        let divisor = self.or_one(left)?;
        let made = self.two(BinaryFunction::Subtract, sums, least)?;
        let made = self.map(Unary::Affine { scale: BYTES[1] as f32, offset: 0.0 }, made)?;
        let made = self.two(BinaryFunction::Divide, made, divisor)?;
        let made = self.map(Unary::Round, made)?;
        let made = self.clipped(BYTES, made)?;
        let table = (Side::Value(made), DType::F32);
        let [bin, bytes] = [bin, bytes].map(|value| self.tape.reshape(value, [channels, self.batch * pixels]));
        let made = ops::take(self.tape, 1, 1, table, (Side::Value(bin?), DType::F32))?;
        // A channel of one bin stays as it is.
        let made = self.select(left, made, bytes?)?;
        let made = self.ranged(BYTES, range, made)?;
        let made = ops::cast(self.tape, dtype, None, made)?;
        let made = self.tape.reshape(made, shape)?;
        ops::permute(self.tape, &back, made)
    }
}
