//! Augmentations that read pixels at places of their own: in perspective, and elastically.

use super::Images;
use crate::ops::{self, Kernel, Numbers, Side, Value};
use crate::plan::{BinaryFunction, Factors, NoiseFunction};
use crate::{DType, DataFormat, Error, Result, Unary};

/// What is read before the first pixel of an axis and behind the last.
#[derive(Clone, Copy, PartialEq)]
enum Edge {
    /// A value.
    Value(f32),
    /// The nearest pixel.
    Nearest,
    /// The image again.
    Wrap,
    /// The image reflected at its last pixel: `c b | a b c | b a`.
    Mirror,
    /// The image reflected behind its last pixel: `b a | a b c | c b`.
    Reflect,
}

/// A pixel that a place reads along an axis: its number, whether it lies in the image, if that matters, and its weight.
#[derive(Clone, Copy)]
struct Neighbour {
    index: Value,
    inside: Option<Value>,
    weight: Option<Value>,
}

impl Images<'_> {
    /// Three corners of each image drawn towards the first or away from it, those images that are chosen.
    ///
    /// The map that takes the corners to where they are drawn is projective. Since the first stays, and the next two stay on its
    /// edges, its inverse is `x / a` and `y / e`, both over `1 − p·x − q·y`, with x and y as parts of the width and the height.
    pub(super) fn perspective(&mut self) -> Result<Value> {
        let scale = match self.numbers("scale")?[..] {
            [scale] if (0.0..=1.0).contains(&scale) => scale,
            _ => return Err(self.outside("scale", [0.0, 1.0])),
        };
        let nearest = self.nearest()?;
        let fill = self.numbers("fill_value")?.first().copied().unwrap_or(0.0);
        let chosen = self.chosen("factor")?;
        let mut drawn = || self.between([1.0 - 0.5 * scale, 1.0 + 0.5 * scale], vec![self.batch, 1, 1], DType::F32);
        // How far along its edges the corner beside the first lies, that below it, and the one opposite.
        let [right, below, across, down] = [drawn()?, drawn()?, drawn()?, drawn()?];
        let mut times = |left, other| self.two(BinaryFunction::Multiply, left, other);
        let [one, other, both] = [times(right, down)?, times(across, below)?, times(right, below)?];
        let [of_columns, of_rows] = [times(right, other)?, times(below, one)?];
        let sum = self.two(BinaryFunction::Add, one, other)?;
        let sum = self.two(BinaryFunction::Subtract, sum, both)?;
        let (width, height) = (self.width, self.height);
        let mut bent = |from, to, over, extent: f64| -> Result<Value> {
            let apart = self.two(BinaryFunction::Subtract, from, to)?;
            let share = self.two(BinaryFunction::Divide, apart, over)?;
            self.map(Unary::Affine { scale: -1.0 / (extent as f32 - 1.0).max(1.0), offset: 0.0 }, share)
        };
        let [bend_x, bend_y] = [bent(below, down, other, width)?, bent(right, across, one, height)?];
        let [x, y] = self.grids();
        let bend_x = ops::with(self.tape, BinaryFunction::Multiply, bend_x, &x)?;
        let bend_y = ops::with(self.tape, BinaryFunction::Multiply, bend_y, &y)?;
        let depth = self.two(BinaryFunction::Add, bend_x, bend_y)?;
        let depth = self.map(Unary::Affine { scale: 1.0, offset: 1.0 }, depth)?;
        let mut places = |grid, over| -> Result<Value> {
            let scale = self.two(BinaryFunction::Divide, sum, over)?;
            let place = ops::with(self.tape, BinaryFunction::Multiply, scale, grid)?;
            self.two(BinaryFunction::Divide, place, depth)
        };
        let [columns, rows] = [places(&x, of_columns)?, places(&y, of_rows)?];
        let read = self.read_at([rows, columns], nearest, Edge::Value(fill as f32))?;
        self.applied(chosen, read)
    }

    /// Pixels moved by smooth noise, as far along the rows as along the columns, those images that are chosen. How strongly is drawn
    /// for the batch.
    pub(super) fn elastic(&mut self) -> Result<Value> {
        let (scale, range) = (self.range("scale", 0.0)?, self.value_range()?);
        let nearest = self.nearest()?;
        let edge = match self.argument("fill_mode") {
            "constant" => Edge::Value(self.numbers("fill_value")?.first().copied().unwrap_or(0.0) as f32),
            "nearest" => Edge::Nearest,
            "wrap" => Edge::Wrap,
            "mirror" => Edge::Mirror,
            "reflect" => Edge::Reflect,
            other => {
                let rule = "`fill_mode` must be one of constant, nearest, wrap, mirror, reflect";
                return Err(Error::invalid("fill_mode", rule, format!("fill_mode={other}")));
            }
        };
        if scale[1] == 0.0 || self.range("factor", 0.0)?[1] == 0.0 {
            return Ok(self.images);
        }
        let chosen = self.chosen("factor")?;
        let drawn = self.between(scale, vec![1], DType::F32)?;
        let (height, width) = (self.height as usize, self.width as usize);
        let times = |scale: f64| Unary::Affine { scale: scale as f32, offset: 0.0 };
        let deviation = self.map(times(0.05 * self.height.min(self.width)), drawn)?;
        let strength = self.map(times(0.1 * self.height.max(self.width)), drawn)?;
        // Keras's kernel has ⌊6σ⌋ places, or one more where that is even.
        let taps = self.map(times(6.0), deviation)?;
        let taps = self.map(Unary::Floor, taps)?;
        let within = self.map(times(0.5), taps)?;
        let within = self.map(Unary::Floor, within)?;
        let reach = (0.15 * self.height.min(self.width) * scale[1]).ceil() as usize;
        let weights = self.gaussian(deviation, reach, Some(within))?;
        let matrices = [self.banded(weights, reach, width)?, self.banded(weights, reach, height)?];
        let normal = NoiseFunction::Normal(Factors::new(0.0, 0.0, 1.0));
        let noise = self.draw(normal, 0.0, vec![self.batch, height, width, 1], DType::F32)?;
        let noise = self.two(BinaryFunction::Multiply, noise, deviation)?;
        let smooth = self.blurred(noise, matrices)?;
        let smooth = self.two(BinaryFunction::Multiply, smooth, strength)?;
        let smooth = self.tape.reshape(smooth, [self.batch, height, width])?;
        let [x, y] = self.grids();
        let columns = ops::with(self.tape, BinaryFunction::Add, smooth, &x)?;
        let rows = ops::with(self.tape, BinaryFunction::Add, smooth, &y)?;
        let read = self.read_at([rows, columns], nearest, edge)?;
        let made = self.applied(chosen, read)?;
        self.clipped(range, made)
    }

    /// The column and the row of each pixel, to be repeated over `[batch, height, width]`.
    fn grids(&self) -> [std::sync::Arc<Kernel>; 2] {
        let numbers = |shape: [usize; 2]| {
            let values = (0..shape[0] * shape[1]).map(|number| number as f32).collect();
            Kernel::of_values(shape, values, Numbers::EXACT)
        };
        [numbers([1, self.width as usize]), numbers([self.height as usize, 1])]
    }

    /// The images read at these rows and columns, `[batch, height, width]`: the nearest pixel, or the mean of four by how near.
    fn read_at(&mut self, places: [Value; 2], nearest: bool, edge: Edge) -> Result<Value> {
        let (shape, dtype) = (self.tape.shape(self.images).clone(), self.tape.dtype(self.images));
        let last = match self.layer.data_format {
            DataFormat::ChannelsLast => self.images,
            DataFormat::ChannelsFirst => ops::permute(self.tape, &[0, 2, 3, 1], self.images)?,
        };
        let (height, width) = (self.height as usize, self.width as usize);
        let (pixels, channels) = (height * width, self.tape.shape(last).dims()[3]);
        let table = self.tape.reshape(last, [self.batch, pixels, channels])?;
        let rows = self.neighbours(places[0], height, nearest, edge)?;
        let columns = self.neighbours(places[1], width, nearest, edge)?;
        let mut sum = None;
        for row in &rows {
            let first = self.map(Unary::Affine { scale: width as f32, offset: 0.0 }, row.index)?;
            for column in &columns {
                let index = self.two(BinaryFunction::Add, first, column.index)?;
                let index = self.tape.reshape(index, [self.batch, pixels])?;
                let index = (Side::Value(index), DType::F32);
                let mut read = ops::take(self.tape, 1, 1, (Side::Value(table), dtype), index)?;
                if let (Edge::Value(fill), Some(inside)) = (edge, self.product(row.inside, column.inside, dtype)?) {
                    let outside = self.map(Unary::Affine { scale: -fill, offset: fill }, inside)?;
                    let kept = self.two(BinaryFunction::Where, read, inside)?;
                    read = self.two(BinaryFunction::Add, kept, outside)?;
                }
                if let Some(weight) = self.product(row.weight, column.weight, dtype)? {
                    read = self.two(BinaryFunction::Multiply, read, weight)?;
                }
                sum = Some(match sum {
                    Some(sum) => self.two(BinaryFunction::Add, sum, read)?,
                    None => read,
                });
            }
        }
        let made = self.tape.reshape(sum.unwrap_or(table), [self.batch, height, width, channels])?;
        let made = match self.layer.data_format {
            DataFormat::ChannelsLast => made,
            DataFormat::ChannelsFirst => ops::permute(self.tape, &[0, 3, 1, 2], made)?,
        };
        self.tape.reshape(made, shape)
    }

    /// What rows and columns say together of each pixel, `[batch, pixels, 1]`.
    fn product(&mut self, row: Option<Value>, column: Option<Value>, dtype: DType) -> Result<Option<Value>> {
        let (Some(row), Some(column)) = (row, column) else { return Ok(None) };
        let both = self.two(BinaryFunction::Multiply, row, column)?;
        let both = ops::cast(self.tape, dtype, None, both)?;
        self.tape.reshape(both, [self.batch, self.tape.shape(both).dims()[1..].iter().product(), 1]).map(Some)
    }

    /// The pixels that each of `places` reads along an axis of `extent`.
    fn neighbours(&mut self, places: Value, extent: usize, nearest: bool, edge: Edge) -> Result<Vec<Neighbour>> {
        if nearest {
            let nearest = self.map(Unary::Affine { scale: 1.0, offset: 0.5 }, places)?;
            let nearest = self.map(Unary::Floor, nearest)?;
            return Ok(vec![self.neighbour(nearest, None, extent, edge)?]);
        }
        let low = self.map(Unary::Floor, places)?;
        let of_high = self.two(BinaryFunction::Subtract, places, low)?;
        let of_low = self.map(Unary::Affine { scale: -1.0, offset: 1.0 }, of_high)?;
        let high = self.map(Unary::Affine { scale: 1.0, offset: 1.0 }, low)?;
        Ok(vec![self.neighbour(low, Some(of_low), extent, edge)?, self.neighbour(high, Some(of_high), extent, edge)?])
    }

    fn neighbour(&mut self, index: Value, weight: Option<Value>, extent: usize, edge: Edge) -> Result<Neighbour> {
        let last = extent as f64 - 1.0;
        let (mut at, mut inside) = (index, None);
        // After how many pixels the image begins again, and what a number and its mirror image sum to.
        let period = match edge {
            Edge::Value(_) => {
                let within = self.clipped([0.0, last], index)?;
                inside = Some(self.two(BinaryFunction::Equal, within, index)?);
                None
            }
            Edge::Nearest => None,
            Edge::Wrap => Some((extent as f64, None)),
            Edge::Mirror if extent > 1 => Some((2.0 * last, Some(2.0 * last))),
            Edge::Mirror => None,
            Edge::Reflect => Some((2.0 * extent as f64, Some(2.0 * extent as f64 - 1.0))),
        };
        if let Some((period, mirrored)) = period {
            // The half keeps a whole number of periods from falling below itself.
            let times = Unary::Affine { scale: (1.0 / period) as f32, offset: (0.5 / period) as f32 };
            let times = self.map(times, index)?;
            let times = self.map(Unary::Floor, times)?;
            let before = self.map(Unary::Affine { scale: period as f32, offset: 0.0 }, times)?;
            at = self.two(BinaryFunction::Subtract, index, before)?;
            if let Some(sum) = mirrored {
                let other = self.map(Unary::Affine { scale: -1.0, offset: sum as f32 }, at)?;
                at = self.two(BinaryFunction::Minimum, at, other)?;
            }
        }
        let index = self.clipped([0.0, last], at)?;
        Ok(Neighbour { index, inside, weight })
    }
}
