//! What augmentations make of images in training: Keras 3's rules, drawn on the device for each image.
//!
//! Those that move pixels draw an affine map for each image, all by one road: a few random numbers, times a matrix, are the six
//! numbers of the map, and one launch reads every image through its own. Those that change values draw a factor for each image. Here
//! are those two kinds. What works on whole values (`tones`), by neighbours (`neighbours`), at other places (`warped`) and with other
//! images (`mixes`) stands beside them, and what is made of several (`policies`).

mod mixes;
mod neighbours;
mod policies;
mod tones;
mod warped;

use super::Augmentation;
use crate::ops::{self, Kernel, Numbers, Side, Span, Tape, Value};
use crate::plan::{AxisFunction, BinaryFunction, Elementwise, Factors, Fill, NoiseFunction, Outside};
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
        "RandomCrop" => of.crop(),
        "RandomErasing" => of.erase(),
        "RandomContrast" => of.contrast("factor"),
        "RandomBrightness" => of.brightness("factor"),
        "RandomSaturation" => of.saturate("factor"),
        "RandomHue" => of.turn_hue("factor"),
        "RandomColorJitter" => of.jitter(),
        "RandomInvert" => of.invert(),
        "RandomGrayscale" => of.greyscale(),
        "RandomColorDegeneration" => of.degenerate(),
        "RandomPosterization" => of.posterize(),
        "RandomSharpness" => of.sharpen(),
        "RandomGaussianBlur" => of.blur(),
        "Solarization" => of.solarize(),
        "Equalization" => of.equalize(),
        "RandomPerspective" => of.perspective(),
        "RandomElasticTransform" => of.elastic(),
        "RandAugment" => of.some_of_all(),
        "AugMix" => of.mixed_chains(),
        "MixUp" => of.mix_up(),
        "CutMix" => of.cut_mix(),
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

    /// An argument that is a number, or two in brackets; none for null.
    fn numbers(&self, name: &'static str) -> Result<Vec<f64>> {
        self.numbers_up_to(2, name)
    }

    fn numbers_up_to(&self, most: usize, name: &'static str) -> Result<Vec<f64>> {
        let text = self.argument(name);
        if text == "null" {
            return Ok(Vec::new());
        }
        let list = text.trim_start_matches('[').trim_end_matches(']').split(',');
        let numbers: Option<Vec<f64>> =
            list.map(|number| number.trim().parse().ok().filter(|number: &f64| number.is_finite())).collect();
        numbers.filter(|numbers| (1..=most).contains(&numbers.len())).ok_or_else(|| {
            let rule = format!("`{name}` must be a number or {}", if most == 2 { "two" } else { "three" });
            Error::invalid(name, rule, format!("{name}={text}"))
        })
    }

    /// The range that a factor is drawn from, which may reach to 1: see [`bounded`](Self::bounded).
    fn range(&self, name: &'static str, least: f64) -> Result<[f64; 2]> {
        self.bounded(name, [least, 1.0])
    }

    /// The range that a factor is drawn from: of one number from its negative, but no less than `least`, to it. Of two numbers Keras
    /// holds the first to the upper bound and the second to the lower one.
    fn bounded(&self, name: &'static str, [least, most]: [f64; 2]) -> Result<[f64; 2]> {
        match self.numbers(name)?[..] {
            [] => Ok([0.0; 2]),
            [factor] if (least..=most).contains(&factor) => Ok([(-factor.abs()).max(least), factor.abs()]),
            [one, other] if one <= most && other >= least => Ok([one.min(other), one.max(other)]),
            _ => Err(self.outside(name, [least, most])),
        }
    }

    /// The range of a factor each of whose numbers Keras holds to both bounds: of one number from its negative to it.
    fn within(&self, name: &'static str, [least, most]: [f64; 2]) -> Result<[f64; 2]> {
        match self.numbers(name)?.iter().all(|number| (least..=most).contains(number)) {
            true => self.range(name, -1.0),
            false => Err(self.outside(name, [least, most])),
        }
    }

    fn outside(&self, name: &'static str, [least, most]: [f64; 2]) -> Error {
        let rule = format!("`{name}` must lie between {least} and {most}");
        Error::invalid(name, rule, format!("{name}={}", self.argument(name)))
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

    /// Numbers of `[low, high)`.
    fn between(&mut self, [low, high]: [f64; 2], shape: Vec<usize>, dtype: DType) -> Result<Value> {
        let function = NoiseFunction::Uniform(Factors::new(1.0, 0.0, (high - low) as f32));
        self.draw(function, low, shape, dtype)
    }

    /// Numbers of [0, 1), `count` for each image.
    fn uniform(&mut self, count: usize) -> Result<Value> {
        self.between([0.0, 1.0], vec![self.batch, count], DType::F32)
    }

    /// A number of `[low, high)` for each image, to be repeated over it.
    fn factor(&mut self, range: [f64; 2]) -> Result<Value> {
        self.between(range, vec![self.batch, 1, 1, 1], self.tape.dtype(self.images))
    }

    /// 1 for the images that are changed, else 0: as often as a share says that is drawn for each.
    fn chosen(&mut self, name: &'static str) -> Result<Value> {
        let share = self.range(name, 0.0)?;
        let each = vec![self.batch, 1, 1, 1];
        let share = self.between(share, each.clone(), DType::F32)?;
        let threshold = self.between([0.0, 1.0], each, DType::F32)?;
        self.two(BinaryFunction::Less, threshold, share)
    }

    /// `then` where `mask` is not 0, else `otherwise`.
    fn select(&mut self, mask: Value, then: Value, otherwise: Value) -> Result<Value> {
        let then = self.two(BinaryFunction::Where, then, mask)?;
        let otherwise = self.two(BinaryFunction::WhereNot, otherwise, mask)?;
        self.two(BinaryFunction::Add, then, otherwise)
    }

    /// `changed` for the images that `mask` marks, and the others as they are.
    fn applied(&mut self, mask: Value, changed: Value) -> Result<Value> {
        let mask = ops::cast(self.tape, self.tape.dtype(self.images), None, mask)?;
        self.select(mask, changed, self.images)
    }

    /// `value`, which lies in the range `from`, in the range `to`: by way of [0, 1].
    fn ranged(&mut self, from: [f64; 2], to: [f64; 2], mut value: Value) -> Result<Value> {
        const UNIT: [f64; 2] = [0.0, 1.0];
        let span = |[low, high]: [f64; 2]| (high - low).max(f64::MIN_POSITIVE);
        if from != to && from != UNIT {
            let scale = 1.0 / span(from);
            value = self.map(Unary::Affine { scale: scale as f32, offset: (-from[0] * scale) as f32 }, value)?;
        }
        if from != to && to != UNIT {
            value = self.map(Unary::Affine { scale: span(to) as f32, offset: to[0] as f32 }, value)?;
        }
        Ok(value)
    }

    /// Images with the channels last, of which those with channels first are one for each channel.
    fn planes(&mut self) -> Result<Value> {
        match (self.layer.data_format, self.tape.shape(self.images).dims()) {
            (DataFormat::ChannelsFirst, &[batch, channels, height, width]) => {
                self.tape.reshape(self.images, [batch * channels, height, width, 1])
            }
            _ => Ok(self.images),
        }
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
        let nearest = self.nearest()?;
        self.under(nearest, fill, coefficients, rows, base)
    }

    /// Whether a place between pixels reads the nearest one, as `interpolation` says.
    fn nearest(&self) -> Result<bool> {
        match self.argument("interpolation") {
            "nearest" => Ok(true),
            "bilinear" => Ok(false),
            other => {
                let rule = "`interpolation` must be nearest or bilinear";
                Err(Error::invalid("interpolation", rule, format!("interpolation={other}")))
            }
        }
    }

    fn under(
        &mut self,
        nearest: bool,
        fill: Fill,
        coefficients: Value,
        rows: &[[f64; 6]],
        base: [f64; 6],
    ) -> Result<Value> {
        let numbers = Numbers::EXACT;
        let values = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
        let rows_of = Kernel::of_values([rows.len(), 6], values(rows.as_flattened()), numbers);
        // What is drawn for all images at once is repeated over them.
        let base = Kernel::of_values([self.batch, 6], values(&base).repeat(self.batch), numbers);
        let product = ops::matmul(self.tape, Side::Value(coefficients), Side::Constant(&rows_of))?;
        let maps = ops::with(self.tape, BinaryFunction::Add, product, &base)?;
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
        let [low_y, high_y] = self.within("height_factor", [-1.0, 1.0])?.map(|factor| factor * self.height);
        let [low_x, high_x] = self.within("width_factor", [-1.0, 1.0])?.map(|factor| factor * self.width);
        let drawn = self.uniform(2)?;
        let rows = [[0.0, 0.0, 0.0, 0.0, 0.0, low_y - high_y], [0.0, 0.0, low_x - high_x, 0.0, 0.0, 0.0]];
        self.moved(drawn, &rows, [1.0, 0.0, -low_x, 0.0, 1.0, -low_y])
    }

    /// About the middle, by a part of a whole turn.
    fn rotate(&mut self) -> Result<Value> {
        let [low, high] = self.range("factor", -1.0)?.map(|factor| factor * std::f64::consts::TAU);
        let angle = self.between([low, high], vec![self.batch, 1], DType::F32)?;
        let both = [self.map(Unary::Cos, angle)?, self.map(Unary::Sin, angle)?];
        let both = ops::concatenate(self.tape, 1, &both)?;
        let (x, y) = ((self.width - 1.0) / 2.0, (self.height - 1.0) / 2.0);
        let rows = [[1.0, 0.0, -x, 0.0, 1.0, -y], [0.0, -1.0, y, 1.0, 0.0, -x]];
        self.moved(both, &rows, [0.0, 0.0, x, 0.0, 0.0, y])
    }

    /// About the middle; without a factor of the width by the same as the height.
    fn zoom(&mut self) -> Result<Value> {
        let (x, y) = ((self.width - 1.0) / 2.0, (self.height - 1.0) / 2.0);
        let [low_y, high_y] = self.within("height_factor", [-1.0, 1.0])?;
        let apart = self.argument("width_factor") != "null";
        let [low_x, high_x] = if apart { self.within("width_factor", [-1.0, 1.0])? } else { [low_y, high_y] };
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
        let [low_x, high_x] = self.within("x_factor", [0.0, 1.0])?;
        let [low_y, high_y] = self.within("y_factor", [0.0, 1.0])?;
        let sign = NoiseFunction::drop(0.5, [1.0, 0.0, -1.0]);
        let sign = self.draw(sign, 1.0, vec![self.batch, 1], DType::F32)?;
        let drawn = self.uniform(2)?;
        let drawn = self.two(BinaryFunction::Multiply, drawn, sign)?;
        let coefficients = ops::concatenate(self.tape, 1, &[sign, drawn])?;
        let by = |x: f64, y: f64| [0.0, x, 0.0, y, 0.0, 0.0];
        let rows = [by(low_x, low_y), by(0.0, high_y - low_y), by(high_x - low_x, 0.0)];
        self.moved(coefficients, &rows, IDENTITY)
    }

    /// One window for all images, somewhere; in the middle where they are no larger along an axis.
    fn crop(&mut self) -> Result<Value> {
        let size = |name: &'static str, extent: f64| match self.numbers(name)?[..] {
            [size] if size.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(&size) => Ok((size, extent - size)),
            [] => Err(Error::unsupported("RandomCrop in training without a height and a width", "give it both")),
            _ => {
                let received = format!("{name}={}", self.argument(name));
                Err(Error::invalid(name, format!("`{name}` must be a whole number, 1 at least"), received))
            }
        };
        let ((height, over_y), (width, over_x)) = (size("height", self.height)?, size("width", self.width)?);
        let images = if over_x > 0.0 && over_y > 0.0 {
            let drawn = self.between([0.0, 1.0], vec![1, 2], DType::F32)?;
            let places = vec![over_y as f32 + 1.0, over_x as f32 + 1.0];
            let places = Kernel::of_values([1, 2], places, Numbers::EXACT);
            let start = ops::with(self.tape, BinaryFunction::Multiply, drawn, &places)?;
            let start = self.map(Unary::Floor, start)?;
            let rows = [[0.0, 0.0, 0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]];
            let start_of_all = self.under(true, Fill::Nearest, start, &rows, IDENTITY)?;
            self.part(start_of_all, [0.0, 0.0], [height, width])?
        } else if over_x >= 0.0 && over_y >= 0.0 {
            // Keras's window of the same shape that is as large as can be, of which it takes the first part.
            let of_middle = |extent: f64, other: f64, size: f64, size_of_other: f64| {
                let window = (other * size / size_of_other).trunc().min(extent).max(1.0);
                ((extent - window) / 2.0).trunc()
            };
            let y = of_middle(self.height, self.width, height, width);
            let x = of_middle(self.width, self.height, width, height);
            if y > over_y || x > over_x {
                return Err(self.too_small());
            }
            self.part(self.images, [y, x], [height, width])?
        } else {
            return Err(self.too_small());
        };
        Ok(images)
    }

    fn too_small(&self) -> Error {
        let what = format!("RandomCrop in training of images of {}x{}, which Keras resizes", self.height, self.width);
        Error::unsupported(what, "give it larger images, or resize them before")
    }

    /// The part of `images` of this size that begins at `start`, height before width.
    fn part(&mut self, images: Value, start: [f64; 2], size: [f64; 2]) -> Result<Value> {
        let mut spans: Vec<Span> = self.tape.shape(images).dims().iter().map(|&extent| Span::whole(extent)).collect();
        let first = match self.layer.data_format {
            DataFormat::ChannelsLast => 1,
            DataFormat::ChannelsFirst => 2,
        };
        for (axis, (start, size)) in start.into_iter().zip(size).enumerate() {
            spans[first + axis] = Span::shifted(size as usize, -(start as i64));
        }
        ops::gather(self.tape, &spans, Outside::ZERO, images)
    }

    /// A box of each image gets other values, as often as is drawn.
    fn erase(&mut self) -> Result<Value> {
        let [low, high] = self.range("scale", 0.0)?;
        let [least, most] = self.value_range()?;
        let fill = self.numbers_up_to(3, "fill_value")?;
        // A share of the image's area for either axis, of which the box has the root.
        let shares = self.between([low, high], vec![self.batch, 2], DType::F32)?;
        let shares = self.map(Unary::Sqrt, shares)?;
        let mut share = |column| -> Result<Value> {
            let share = ops::part(self.tape, 1, column, 1, shares)?;
            self.tape.reshape(share, [self.batch, 1, 1, 1])
        };
        let shares = [share(0)?, share(1)?];
        let boxes = self.boxes(shares)?;
        let erased = self.chosen("factor")?;
        let erased = self.two(BinaryFunction::Multiply, erased, boxes)?;
        let (shape, dtype) = (self.tape.shape(self.images).clone(), self.tape.dtype(self.images));
        let erased = ops::cast(self.tape, dtype, None, erased)?;
        let kept = self.two(BinaryFunction::WhereNot, self.images, erased)?;
        let clipped = |value: &f64| value.clamp(least, most) as f32;
        let filled = match &fill[..] {
            [] => {
                let function = NoiseFunction::Normal(Factors::new(0.0, 0.0, most as f32));
                let noise = self.draw(function, 0.0, shape.dims().to_vec(), dtype)?;
                let noise = self.clipped([least, most], noise)?;
                self.two(BinaryFunction::Where, noise, erased)?
            }
            values => {
                let channels = self.layer.data_format.join(1, values.len(), [1, 1]);
                let axis = self.layer.data_format.channel_axis(4);
                if values.len() != 1 && values.len() != shape.dims()[axis] {
                    let rule = "`fill_value` must be a number, or three for images of three channels";
                    return Err(Error::invalid(
                        "fill_value",
                        rule,
                        format!("{} for {shape}", self.argument("fill_value")),
                    ));
                }
                let fill = Kernel::of_values(
                    channels,
                    values.iter().map(clipped).collect(),
                    Numbers { dtype, rounding: None },
                );
                ops::with(self.tape, BinaryFunction::Multiply, erased, &fill)?
            }
        };
        self.two(BinaryFunction::Add, kept, filled)
    }

    /// 1 in a box of each image, else 0: of these shares of its width and of its height, `[batch, 1, 1, 1]`, and anywhere in it.
    fn boxes(&mut self, shares: [Value; 2]) -> Result<Value> {
        let extents = [self.width, self.height];
        let mut inside = Vec::with_capacity(2);
        for (axis, (share, extent)) in shares.into_iter().zip(extents).enumerate() {
            let length = self.map(Unary::Affine { scale: extent as f32, offset: 0.0 }, share)?;
            let left = self.map(Unary::Affine { scale: -1.0, offset: extent as f32 }, length)?;
            let place = self.between([0.0, 1.0], vec![self.batch, 1, 1, 1], DType::F32)?;
            let start = self.two(BinaryFunction::Multiply, place, left)?;
            let end = self.two(BinaryFunction::Add, start, length)?;
            let positions = extent as usize;
            let size = if axis == 0 { [1, positions] } else { [positions, 1] };
            let grid = Kernel::of_values(
                self.layer.data_format.join(1, 1, size),
                (0..positions).map(|at| at as f32).collect(),
                Numbers::EXACT,
            );
            let begun = ops::with(self.tape, BinaryFunction::LessEqual, start, &grid)?;
            let open = ops::with(self.tape, BinaryFunction::Greater, end, &grid)?;
            inside.push(self.two(BinaryFunction::Multiply, begun, open)?);
        }
        self.two(BinaryFunction::Multiply, inside[0], inside[1])
    }

    /// What hue and saturation are made of: the largest value of the channels, and how far above the smallest it is; that is 1 rather
    /// than 0 as the third.
    fn colours(&mut self, images: Value) -> Result<[Value; 3]> {
        let axis = self.channel_axis(images)?;
        let most = ops::reduce(self.tape, AxisFunction::Max, &[axis], true, images)?;
        let least = ops::reduce(self.tape, AxisFunction::Min, &[axis], true, images)?;
        let apart = self.two(BinaryFunction::Subtract, most, least)?;
        Ok([most, apart, self.or_one(apart)?])
    }

    /// `value` where it is above 0, else 1.
    fn or_one(&mut self, value: Value) -> Result<Value> {
        let zero = Kernel::of_values([], vec![0.0], Numbers { dtype: self.tape.dtype(value), rounding: None });
        let none = ops::with(self.tape, BinaryFunction::LessEqual, value, &zero)?;
        let kept = self.two(BinaryFunction::WhereNot, value, none)?;
        self.two(BinaryFunction::Add, kept, none)
    }

    /// The axis of the three channels.
    ///
    /// # Errors
    /// [`Error::Invalid`] for images of other channels.
    fn channel_axis(&self, images: Value) -> Result<usize> {
        let axis = self.layer.data_format.channel_axis(4);
        let shape = self.tape.shape(images);
        if shape.dims()[axis] == 3 {
            return Ok(axis);
        }
        let rule = format!("{} must be given images of 3 channels", self.layer.class);
        Err(Error::invalid("input", rule, format!("input shape={shape}")))
    }

    /// The saturation multiplied by f / (1 − f), where f is drawn. Hue and value stay, so each channel moves along the way from grey to
    /// where it is.
    fn saturate(&mut self, name: &'static str) -> Result<Value> {
        let factor = self.range(name, -1.0)?;
        let [low, high] = self.value_range()?;
        if low > 0.0 {
            let what = format!("{} in training of values above {low}", self.layer.class);
            return Err(Error::unsupported(what, "give it a `value_range` that begins at 0"));
        }
        let factor = self.factor(factor)?;
        // Keras's epsilon.
        let other = self.map(Unary::Affine { scale: -1.0, offset: 1.0 + 1e-7 }, factor)?;
        let factor = self.two(BinaryFunction::Divide, factor, other)?;
        let [most, apart, or_one] = self.colours(self.images)?;
        let most_or_one = self.or_one(most)?;
        let saturation = self.two(BinaryFunction::Divide, apart, most_or_one)?;
        let scaled = self.two(BinaryFunction::Multiply, saturation, factor)?;
        let scaled = self.clipped([low, high], scaled)?;
        // What is not above 0 has no saturation, and so the value of the largest channel.
        let above = self.clipped([0.0, f64::from(f32::MAX)], most)?;
        let scaled = self.two(BinaryFunction::Multiply, scaled, above)?;
        let below = self.two(BinaryFunction::Subtract, most, self.images)?;
        let share = self.two(BinaryFunction::Divide, below, or_one)?;
        let below = self.two(BinaryFunction::Multiply, share, scaled)?;
        self.two(BinaryFunction::Subtract, most, below)
    }

    /// The hue turned one way or the other by half of what is drawn, as a part of a whole turn.
    fn turn_hue(&mut self, name: &'static str) -> Result<Value> {
        let factor = self.range(name, 0.0)?;
        let range = self.value_range()?;
        let dtype = self.tape.dtype(self.images);
        let sign = NoiseFunction::drop(0.5, [1.0, 0.0, -1.0]);
        let sign = self.draw(sign, 1.0, vec![self.batch, 1, 1, 1], dtype)?;
        // In sixths of a turn.
        let factor = self.factor(factor.map(|factor| 3.0 * factor))?;
        let turn = self.two(BinaryFunction::Multiply, sign, factor)?;
        let images = self.ranged(range, [0.0, 1.0], self.images)?;
        let axis = self.channel_axis(images)?;
        let [most, apart, or_one] = self.colours(images)?;
        let mut channel = |at: usize| ops::part(self.tape, axis, at, 1, images);
        let [red, green, blue] = [channel(0)?, channel(1)?, channel(2)?];
        // By the largest channel, the difference of the others, and where on the circle that channel is.
        let mut part = |left: Value, right: Value, at: f32| -> Result<Value> {
            let difference = self.two(BinaryFunction::Subtract, left, right)?;
            let part = self.two(BinaryFunction::Divide, difference, or_one)?;
            self.map(Unary::Affine { scale: 1.0, offset: at }, part)
        };
        let [of_red, of_green, of_blue] = [part(green, blue, 0.0)?, part(blue, red, 2.0)?, part(red, green, 4.0)?];
        let mut either = |largest: Value, then: Value, otherwise: Value| -> Result<Value> {
            let is = self.two(BinaryFunction::Equal, most, largest)?;
            self.select(is, then, otherwise)
        };
        let hue = either(green, of_green, of_blue)?;
        let hue = either(red, of_red, hue)?;
        let hue = self.two(BinaryFunction::Add, hue, turn)?;
        let turns = self.map(Unary::Affine { scale: 1.0 / 6.0, offset: 0.0 }, hue)?;
        let turns = self.map(Unary::Floor, turns)?;
        let turns = self.map(Unary::Affine { scale: -6.0, offset: 0.0 }, turns)?;
        let hue = self.two(BinaryFunction::Add, hue, turns)?;
        // How much of `apart` each channel is below the largest.
        let mut made = Vec::with_capacity(3);
        for (at, scale, offset) in [(3.0, -1.0, 2.0), (2.0, 1.0, -1.0), (4.0, 1.0, -1.0)] {
            let way = self.map(Unary::Affine { scale: 1.0, offset: -at }, hue)?;
            let way = self.map(Unary::Abs, way)?;
            let way = self.map(Unary::Affine { scale, offset }, way)?;
            let way = self.clipped([0.0, 1.0], way)?;
            let below = self.two(BinaryFunction::Multiply, way, apart)?;
            let channel = self.two(BinaryFunction::Subtract, most, below)?;
            let channel = self.clipped([0.0, 1.0], channel)?;
            made.push(self.ranged([0.0, 1.0], range, channel)?);
        }
        ops::concatenate(self.tape, axis, &made)
    }

    /// Brightness, contrast, saturation and hue, those that have a factor, one after the other.
    fn jitter(&mut self) -> Result<Value> {
        type Part<'i> = fn(&mut Images<'i>, &'static str) -> Result<Value>;
        let parts: [(&'static str, Part<'_>); 4] = [
            ("brightness_factor", Images::brightness),
            ("contrast_factor", Images::contrast),
            ("saturation_factor", Images::saturate),
            ("hue_factor", Images::turn_hue),
        ];
        for (name, part) in parts {
            if self.argument(name) != "null" {
                self.images = part(self, name)?;
            }
        }
        Ok(self.images)
    }

    /// About the mean of each channel of each image.
    fn contrast(&mut self, name: &'static str) -> Result<Value> {
        let [low, high] = self.range(name, 0.0)?;
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
    fn brightness(&mut self, name: &'static str) -> Result<Value> {
        let range = self.value_range()?;
        let added = self.range(name, -1.0)?.map(|factor| factor * (range[1] - range[0]));
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
                let parts = ops::with(self.tape, BinaryFunction::Multiply, self.images, &weights)?;
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
            _ => return Err(self.outside("factor", [0.0, 1.0])),
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
