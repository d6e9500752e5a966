//! What augmentations make of images in training: Keras 3's rules, drawn on the device for each image.
//!
//! Those that move pixels draw an affine map for each image, all by one road: a few random numbers, times a matrix, are the six
//! numbers of the map, and one launch reads every image through its own. Those that change values draw a factor for each image.

use super::Augmentation;
use crate::ops::{self, Kernel, Numbers, Side, Tape, Value};
use crate::plan::{AxisFunction, BinaryFunction, Elementwise, Factors, Fill, NoiseFunction};
use crate::{DType, DataFormat, Error, Result, Unary};

/// The map that moves nothing.
const IDENTITY: [f64; 6] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];

/// How much of red, green and blue there is in grey.
const GREY: [f32; 3] = [0.2989, 0.5870, 0.1140];

/// An augmentation of images in training.
struct Images<'a> {
    layer: &'a Augmentation,
    tape: &'a mut Tape,
    images: Value,
    batch: usize,
    height: f64,
    width: f64,
}

/// What `layer` makes of `images` in training.
///
/// # Errors
/// [`Error::Unsupported`] for a class that is not drawn here; [`Error::Invalid`] for inputs that are no images, and for
/// arguments that the class does not take.
pub(super) fn augmented(layer: &Augmentation, tape: &mut Tape, images: Value) -> Result<Value> {
    let shape = tape.shape(images).clone();
    let (batch, height, width) = match (shape.dims(), layer.data_format) {
        (&[batch, height, width, _], DataFormat::ChannelsLast)
        | (&[batch, _, height, width], DataFormat::ChannelsFirst) => (batch, height as f64, width as f64),
        _ => {
            let rule = format!("{} must be given images, of 4 axes", layer.class);
            return Err(Error::invalid("input", rule, format!("input shape={shape}")));
        }
    };
    let mut of = Images { layer, tape, images, batch, height, width };
    match layer.class {
        "RandomFlip" => of.flip(),
        "RandomTranslation" => of.translate(),
        "RandomRotation" => of.rotate(),
        "RandomZoom" => of.zoom(),
        "RandomShear" => of.shear(),
        "RandomContrast" => of.contrast(),
        "RandomBrightness" => of.brightness(),
        "RandomInvert" => of.invert(),
        "RandomGrayscale" => of.greyscale(),
        "RandomColorDegeneration" => of.degenerate(),
        class => {
            Err(Error::unsupported(format!("{class} in training"), "augment the data before, or leave the layer out"))
        }
    }
}

/// Whether `layer` has arguments that training can draw by, as far as its class is drawn here: what it would do with a small
/// picture says so.
///
/// # Errors
/// [`Error::Invalid`] for arguments that the class does not take.
pub(super) fn check(layer: &Augmentation) -> Result<()> {
    let mut tape = Tape::default();
    tape.train()?;
    let images = tape.input(layer.data_format.join(1, 3, [4, 4]).into(), DType::F32)?;
    match augmented(layer, &mut tape, images) {
        Err(Error::Unsupported { .. }) => Ok(()),
        other => other.map(drop),
    }
}

impl Images<'_> {
    /// The argument `name`, as JSON but for quotation marks.
    fn argument(&self, name: &'static str) -> &str {
        let found = self.layer.arguments().find(|(known, _)| *known == name);
        found.map_or("null", |(_, json)| json.trim().trim_matches('"'))
    }

    /// An argument that is a number, or several in brackets; none for null.
    fn numbers(&self, name: &'static str) -> Result<Vec<f64>> {
        let text = self.argument(name);
        if text == "null" {
            return Ok(Vec::new());
        }
        let list = text.trim_start_matches('[').trim_end_matches(']').split(',');
        let numbers: Option<Vec<f64>> =
            list.map(|number| number.trim().parse().ok().filter(|number: &f64| number.is_finite())).collect();
        numbers
            .filter(|numbers| (1..=2).contains(&numbers.len()))
            .ok_or_else(|| Error::invalid(name, format!("`{name}` must be a number or two"), format!("{name}={text}")))
    }

    /// The range that a factor is drawn from: of one number from its negative, but no less than `least`, to it.
    fn range(&self, name: &'static str, least: f64) -> Result<[f64; 2]> {
        let [low, high] = match self.numbers(name)?[..] {
            [] => [0.0; 2],
            [factor] => [(-factor.abs()).max(least), factor.abs()],
            [one, other, ..] => [one.min(other), one.max(other)],
        };
        if low <= 1.0 && high >= least && high <= 8.0 {
            return Ok([low, high]);
        }
        let rule = format!("`{name}` must lie between {least} and 1");
        Err(Error::invalid(name, rule, format!("{name}={}", self.argument(name))))
    }

    /// What pixels may be, least and most.
    fn value_range(&self) -> Result<[f64; 2]> {
        match self.numbers("value_range")?[..] {
            [one, other] => Ok([one.min(other), one.max(other)]),
            _ => {
                let received = format!("value_range={}", self.argument("value_range"));
                Err(Error::invalid("value_range", "`value_range` must be two numbers", received))
            }
        }
    }

    fn draw(&mut self, function: NoiseFunction, value: f64, shape: Vec<usize>, dtype: DType) -> Result<Value> {
        ops::drawn(self.tape, function, self.layer.seed.number(), value as f32, shape, dtype)
    }

    /// Numbers of [0, 1), `count` for each image.
    fn uniform(&mut self, count: usize) -> Result<Value> {
        let function = NoiseFunction::Uniform(Factors::new(0.0, 0.0, 1.0));
        self.draw(function, 0.0, vec![self.batch, count], DType::F32)
    }

    /// A number of `[low, high)` for each image, to be repeated over it.
    fn factor(&mut self, [low, high]: [f64; 2]) -> Result<Value> {
        let function = NoiseFunction::Uniform(Factors::new(1.0, 0.0, (high - low) as f32));
        let dtype = self.tape.dtype(self.images);
        self.draw(function, low, vec![self.batch, 1, 1, 1], dtype)
    }

    fn two(&mut self, function: BinaryFunction, left: Value, right: Value) -> Result<Value> {
        ops::two(self.tape, function, left, right)
    }

    fn map(&mut self, function: Unary, value: Value) -> Result<Value> {
        ops::map(self.tape, Elementwise::of_unary(&function), value)
    }

    fn clipped(&mut self, [low, high]: [f64; 2], value: Value) -> Result<Value> {
        self.map(Unary::Clip { min: low as f32, max: high as f32 }, value)
    }

    /// The images under the maps `coefficients · rows + base`, with the fill mode and the interpolation of the arguments.
    fn moved(&mut self, coefficients: Value, rows: &[[f64; 6]], base: [f64; 6]) -> Result<Value> {
        let fill = match self.argument("fill_mode") {
            "constant" => Fill::Value((self.numbers("fill_value")?.first().copied().unwrap_or(0.0) as f32).to_bits()),
            "nearest" => Fill::Nearest,
            "reflect" => Fill::Reflect,
            "wrap" => Fill::Wrap,
            other => {
                let rule = "`fill_mode` must be one of constant, nearest, reflect, wrap";
                return Err(Error::invalid("fill_mode", rule, format!("fill_mode={other}")));
            }
        };
        let nearest = match self.argument("interpolation") {
            "nearest" => true,
            "bilinear" => false,
            other => {
                let rule = "`interpolation` must be nearest or bilinear";
                return Err(Error::invalid("interpolation", rule, format!("interpolation={other}")));
            }
        };
        self.under(nearest, fill, coefficients, rows, base)
    }

    fn under(
        &mut self,
        nearest: bool,
        fill: Fill,
        coefficients: Value,
        rows: &[[f64; 6]],
        base: [f64; 6],
    ) -> Result<Value> {
        let numbers = Numbers { dtype: DType::F32, rounding: None };
        let values = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
        let rows_of = Kernel::of_values([rows.len(), 6], values(rows.as_flattened()), numbers);
        let base = Kernel::of_values([6], values(&base), numbers);
        let product = ops::matmul(self.tape, Side::Value(coefficients), Side::Constant(&rows_of))?;
        let (product, base) = (Side::Value(product), Side::Constant(&base));
        let maps = ops::binary(self.tape, BinaryFunction::Add, product, base, Elementwise::LINEAR)?;
        ops::affine(self.tape, nearest, fill, self.layer.data_format, maps, self.images)
    }

    /// Half of the images, along all axes of the mode together.
    fn flip(&mut self) -> Result<Value> {
        let (horizontal, vertical) = match self.argument("mode") {
            "horizontal" => (1.0, 0.0),
            "vertical" => (0.0, 1.0),
            "horizontal_and_vertical" => (1.0, 1.0),
            other => {
                let rule = "`mode` must be one of horizontal, vertical, horizontal_and_vertical";
                return Err(Error::invalid("mode", rule, format!("mode={other}")));
            }
        };
        // 1 for those that are flipped.
        let flipped = NoiseFunction::drop(0.5, [0.0, 0.0, 1.0]);
        let flipped = self.draw(flipped, 0.0, vec![self.batch, 1], DType::F32)?;
        let (x, y) = (horizontal * (self.width - 1.0), vertical * (self.height - 1.0));
        let row = [-2.0 * horizontal, 0.0, x, 0.0, -2.0 * vertical, y];
        self.under(true, Fill::Nearest, flipped, &[row], IDENTITY)
    }

    fn translate(&mut self) -> Result<Value> {
        let [low_y, high_y] = self.range("height_factor", -1.0)?.map(|factor| factor * self.height);
        let [low_x, high_x] = self.range("width_factor", -1.0)?.map(|factor| factor * self.width);
        let drawn = self.uniform(2)?;
        let rows = [[0.0, 0.0, 0.0, 0.0, 0.0, low_y - high_y], [0.0, 0.0, low_x - high_x, 0.0, 0.0, 0.0]];
        self.moved(drawn, &rows, [1.0, 0.0, -low_x, 0.0, 1.0, -low_y])
    }

    /// About the middle, by a part of a whole turn.
    fn rotate(&mut self) -> Result<Value> {
        let [low, high] = self.range("factor", -1.0)?.map(|factor| factor * std::f64::consts::TAU);
        let function = NoiseFunction::Uniform(Factors::new(1.0, 0.0, (high - low) as f32));
        let angle = self.draw(function, low, vec![self.batch, 1], DType::F32)?;
        let both = [self.map(Unary::Cos, angle)?, self.map(Unary::Sin, angle)?];
        let both = ops::concatenate(self.tape, 1, &both)?;
        let (x, y) = ((self.width - 1.0) / 2.0, (self.height - 1.0) / 2.0);
        let rows = [[1.0, 0.0, -x, 0.0, 1.0, -y], [0.0, -1.0, y, 1.0, 0.0, -x]];
        self.moved(both, &rows, [0.0, 0.0, x, 0.0, 0.0, y])
    }

    /// About the middle; without a factor of the width by the same as the height.
    fn zoom(&mut self) -> Result<Value> {
        let (x, y) = ((self.width - 1.0) / 2.0, (self.height - 1.0) / 2.0);
        let [low_y, high_y] = self.range("height_factor", -1.0)?;
        let apart = self.argument("width_factor") != "null";
        let [low_x, high_x] = if apart { self.range("width_factor", -1.0)? } else { [low_y, high_y] };
        let (of_x, of_y) = (high_x - low_x, high_y - low_y);
        let [column, row] = [[of_x, 0.0, -x * of_x, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, of_y, -y * of_y]];
        let base = [1.0 + low_x, 0.0, -x * low_x, 0.0, 1.0 + low_y, -y * low_y];
        if apart {
            let drawn = self.uniform(2)?;
            return self.moved(drawn, &[row, column], base);
        }
        let drawn = self.uniform(1)?;
        self.moved(drawn, &[std::array::from_fn(|place| row[place] + column[place])], base)
    }

    /// One way or, as often, the other.
    fn shear(&mut self) -> Result<Value> {
        let [low_x, high_x] = self.range("x_factor", -1.0)?;
        let [low_y, high_y] = self.range("y_factor", -1.0)?;
        let sign = NoiseFunction::drop(0.5, [1.0, 0.0, -1.0]);
        let sign = self.draw(sign, 1.0, vec![self.batch, 1], DType::F32)?;
        let drawn = self.uniform(2)?;
        let drawn = self.two(BinaryFunction::Multiply, drawn, sign)?;
        let coefficients = ops::concatenate(self.tape, 1, &[sign, drawn])?;
        let by = |x: f64, y: f64| [0.0, x, 0.0, y, 0.0, 0.0];
        let rows = [by(low_x, low_y), by(0.0, high_y - low_y), by(high_x - low_x, 0.0)];
        self.moved(coefficients, &rows, IDENTITY)
    }

    /// About the mean of each channel of each image.
    fn contrast(&mut self) -> Result<Value> {
        let [low, high] = self.range("factor", 0.0)?;
        let range = self.value_range()?;
        let factor = self.factor([1.0 - low, 1.0 + high])?;
        let axes = match self.layer.data_format {
            DataFormat::ChannelsLast => [1, 2],
            DataFormat::ChannelsFirst => [2, 3],
        };
        let mean = ops::reduce(self.tape, AxisFunction::Mean, &axes, true, self.images)?;
        let apart = self.two(BinaryFunction::Subtract, self.images, mean)?;
        let scaled = self.two(BinaryFunction::Multiply, apart, factor)?;
        let sum = self.two(BinaryFunction::Add, scaled, mean)?;
        self.clipped(range, sum)
    }

    /// A part of the range of values added.
    fn brightness(&mut self) -> Result<Value> {
        let range = self.value_range()?;
        let added = self.range("factor", -1.0)?.map(|factor| factor * (range[1] - range[0]));
        let added = self.factor(added)?;
        let sum = self.two(BinaryFunction::Add, self.images, added)?;
        self.clipped(range, sum)
    }

    /// The largest value less the image, of a share that is drawn itself: as often as its mean says.
    fn invert(&mut self) -> Result<Value> {
        let [low, high] = self.range("factor", 0.0)?;
        let [_, most] = self.value_range()?;
        let dtype = self.tape.dtype(self.images);
        let sign = NoiseFunction::drop((low + high) / 2.0, [1.0, 0.0, -1.0]);
        let sign = self.draw(sign, 1.0, vec![self.batch, 1, 1, 1], dtype)?;
        let half = most as f32 / 2.0;
        let added = self.map(Unary::Affine { scale: -half, offset: half }, sign)?;
        let product = self.two(BinaryFunction::Multiply, self.images, sign)?;
        self.two(BinaryFunction::Add, product, added)
    }

    /// The images without colours, with one channel.
    fn grey(&mut self) -> Result<Value> {
        let (axis, shape) = match self.layer.data_format {
            DataFormat::ChannelsLast => (3, [1, 1, 3]),
            DataFormat::ChannelsFirst => (1, [3, 1, 1]),
        };
        let images = self.tape.shape(self.images).clone();
        match images.dims()[axis] {
            1 => Ok(self.images),
            3 => {
                let numbers = Numbers { dtype: self.tape.dtype(self.images), rounding: None };
                let weights = Kernel::of_values(shape, GREY.to_vec(), numbers);
                let (left, right) = (Side::Value(self.images), Side::Constant(&weights));
                let parts = ops::binary(self.tape, BinaryFunction::Multiply, left, right, Elementwise::LINEAR)?;
                ops::reduce(self.tape, AxisFunction::Sum, &[axis], true, parts)
            }
            _ => {
                let rule = format!("{} must be given images of 1 or 3 channels", self.layer.class);
                Err(Error::invalid("input", rule, format!("input shape={images}")))
            }
        }
    }

    fn greyscale(&mut self) -> Result<Value> {
        let rate = match self.numbers("factor")?[..] {
            [rate] if (0.0..=1.0).contains(&rate) => rate,
            _ => {
                let received = format!("factor={}", self.argument("factor"));
                return Err(Error::invalid("factor", "`factor` must lie between 0 and 1", received));
            }
        };
        let dtype = self.tape.dtype(self.images);
        let kept = NoiseFunction::drop(rate, [1.0, 0.0, 0.0]);
        let kept = self.draw(kept, 1.0, vec![self.batch, 1, 1, 1], dtype)?;
        let other = self.map(Unary::Affine { scale: -1.0, offset: 1.0 }, kept)?;
        let grey = self.grey()?;
        let colour = self.two(BinaryFunction::Multiply, self.images, kept)?;
        let grey = self.two(BinaryFunction::Multiply, grey, other)?;
        self.two(BinaryFunction::Add, colour, grey)
    }

    /// On the way to grey, as far as is drawn.
    fn degenerate(&mut self) -> Result<Value> {
        let range = self.value_range()?;
        let factor = self.range("factor", -1.0)?;
        let factor = self.factor(factor)?;
        let grey = self.grey()?;
        let way = self.two(BinaryFunction::Subtract, grey, self.images)?;
        let way = self.two(BinaryFunction::Multiply, way, factor)?;
        let sum = self.two(BinaryFunction::Add, self.images, way)?;
        self.clipped(range, sum)
    }
}
