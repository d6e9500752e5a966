//! Augmentations made of others: some of a list, drawn for the batch, one after the other or mixed.
//!
//! Which they are is known on the device alone, so that each of the list is computed and one is kept.

use super::{Images, augmented};
use crate::layers::describe::Describe;
use crate::layers::{Augmentation, AutoContrast};
use crate::ops::{self, Kernel, Numbers, Value};
use crate::plan::{AxisFunction, BinaryFunction, Factors, NoiseFunction};
use crate::{Activation, DType, Error, Result, Unary};

/// What is chosen from, in the order of Keras's `RandAugment`, and whether `AugMix` does so without `all_ops`, too.
const LIST: [(&str, bool); 11] = [
    ("RandomShear", true),
    ("RandomTranslation", true),
    ("RandomRotation", true),
    ("RandomBrightness", false),
    ("RandomColorDegeneration", false),
    ("RandomContrast", false),
    ("RandomSharpness", false),
    ("RandomPosterization", true),
    ("Solarization", true),
    ("AutoContrast", true),
    ("Equalization", true),
];

/// How often a gamma number is tried: each is rejected with a probability of 5 % at most.
const TRIES: usize = 16;

/// The least cube root of what a gamma number is made of.
const LEAST_ROOT: f64 = 1e-12;

impl Images<'_> {
    /// `num_ops` of the list, one after the other. What each draws is drawn once, however often it is chosen.
    pub(super) fn some_of_all(&mut self) -> Result<Value> {
        let rounds = self.count("num_ops")?;
        let list = LIST.map(|(class, _)| Some(class));
        let chosen = self.choices(rounds, list.len())?;
        let first = self.tape.draws();
        for choice in chosen {
            self.tape.draw_again(first);
            self.images = self.one_of(&list, choice)?;
        }
        Ok(self.images)
    }

    /// Chains of the list, each by a share, mixed with one another and then with the images.
    pub(super) fn mixed_chains(&mut self) -> Result<Value> {
        let [chains, depth] = [self.count("num_chains")?, self.count("chain_depth")?];
        let alpha = match self.numbers("alpha")?[..] {
            [alpha] if alpha > 0.0 => alpha,
            _ => {
                let received = format!("alpha={}", self.argument("alpha"));
                return Err(Error::invalid("alpha", "`alpha` must be a number above 0", received));
            }
        };
        let all = match self.argument("all_ops") {
            "true" => true,
            "false" => false,
            other => {
                return Err(Error::invalid("all_ops", "`all_ops` must be true or false", format!("all_ops={other}")));
            }
        };
        let range = self.value_range()?;
        // Keras chooses that nothing is done, too.
        let list: Vec<Option<&str>> =
            LIST.iter().filter(|(_, always)| all || *always).map(|(class, _)| Some(*class)).chain([None]).collect();
        let dtype = self.tape.dtype(self.images);
        let shares = self.shares(alpha, chains)?;
        let shares = ops::cast(self.tape, dtype, None, shares)?;
        // Of two shares one is a beta number.
        let own = self.shares(alpha, 2)?;
        let own = ops::part(self.tape, 0, 0, 1, own)?;
        let own = ops::cast(self.tape, dtype, None, own)?;
        let others = self.map(Unary::Affine { scale: -1.0, offset: 1.0 }, own)?;
        let chosen = self.choices(chains * depth, list.len())?;
        let images = self.images;
        let mut made = self.two(BinaryFunction::Multiply, images, own)?;
        for chain in 0..chains {
            self.images = images;
            for &choice in &chosen[chain * depth..(chain + 1) * depth] {
                self.images = self.one_of(&list, choice)?;
            }
            let share = ops::part(self.tape, 0, chain, 1, shares)?;
            let share = self.two(BinaryFunction::Multiply, share, others)?;
            let part = self.two(BinaryFunction::Multiply, self.images, share)?;
            made = self.two(BinaryFunction::Add, made, part)?;
        }
        self.clipped(range, made)
    }

    /// Shares that sum to 1, by Dirichlet's distribution, each of the same `alpha`: gamma numbers by their sum.
    ///
    /// A gamma number of α ≥ 1 is `d·v`, where `v = (1 + c·x)³` of a normal number x is rejected now and then (Marsaglia and Tsang, "A
    /// simple method for generating gamma variables", 2000); one of α < 1 is that of α + 1 times `u^(1/α)`. Here are their logarithms, of
    /// which a softmax makes shares; what `d` they all have goes.
    fn shares(&mut self, alpha: f64, count: usize) -> Result<Value> {
        let d = if alpha < 1.0 { alpha + 1.0 } else { alpha } - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        let affine = |scale: f64, offset: f64| Unary::Affine { scale: scale as f32, offset: offset as f32 };
        let normal = NoiseFunction::Normal(Factors::new(0.0, 0.0, 1.0));
        let x = self.draw(normal, 0.0, vec![count, TRIES], DType::F32)?;
        let threshold = self.between([1.0, 0.0], vec![count, TRIES], DType::F32)?;
        let threshold = self.map(Unary::Log, threshold)?;
        let root = self.map(affine(c, 1.0), x)?;
        // So small a root is always rejected.
        let root = self.clipped([LEAST_ROOT, f64::from(f32::MAX)], root)?;
        let log = self.map(Unary::Log, root)?;
        let log = self.map(affine(3.0, 0.0), log)?;
        let cube = self.map(Unary::Pow { exponent: 3.0 }, root)?;
        let apart = self.two(BinaryFunction::Subtract, log, cube)?;
        let apart = self.map(affine(d, d), apart)?;
        let square = self.map(Unary::Square, x)?;
        let square = self.map(affine(0.5, 0.0), square)?;
        let limit = self.two(BinaryFunction::Add, square, apart)?;
        let rejected = self.two(BinaryFunction::GreaterEqual, threshold, limit)?;
        // The first that is not rejected.
        let order = Kernel::of_values([TRIES], (0..TRIES).map(|place| place as f32).collect(), Numbers::EXACT);
        let rejected = self.map(affine(TRIES as f64, 0.0), rejected)?;
        let order = ops::with(self.tape, BinaryFunction::Add, rejected, &order)?;
        let first = ops::reduce(self.tape, AxisFunction::Min, &[1], true, order)?;
        let is = self.two(BinaryFunction::Equal, order, first)?;
        let log = self.two(BinaryFunction::Where, log, is)?;
        let mut log = ops::reduce(self.tape, AxisFunction::Sum, &[1], false, log)?;
        if alpha < 1.0 {
            let power = self.between([1.0, 0.0], vec![count], DType::F32)?;
            let power = self.map(Unary::Log, power)?;
            let power = self.map(affine(1.0 / alpha, 0.0), power)?;
            log = self.two(BinaryFunction::Add, log, power)?;
        }
        let shares = ops::activate(self.tape, &Activation::Softmax { axis: -1 }, log)?;
        self.tape.reshape(shares, [count, 1, 1, 1])
    }

    /// An argument that is a whole number, 1 at least.
    fn count(&self, name: &'static str) -> Result<usize> {
        match self.numbers(name)?[..] {
            [count] if count.fract() == 0.0 && (1.0..=256.0).contains(&count) => Ok(count as usize),
            _ => {
                let received = format!("{name}={}", self.argument(name));
                Err(Error::invalid(name, format!("`{name}` must be a whole number from 1 to 256"), received))
            }
        }
    }

    /// `count` whole numbers below `below`.
    fn choices(&mut self, count: usize, below: usize) -> Result<Vec<Value>> {
        let drawn = self.between([0.0, below as f64], vec![count, 1, 1, 1], DType::F32)?;
        let drawn = self.map(Unary::Floor, drawn)?;
        let drawn = ops::cast(self.tape, self.tape.dtype(self.images), None, drawn)?;
        (0..count).map(|at| ops::part(self.tape, 0, at, 1, drawn)).collect()
    }

    /// What the augmentation that `choice` numbers in `list` makes of the images.
    fn one_of(&mut self, list: &[Option<&'static str>], choice: Value) -> Result<Value> {
        let numbers = Numbers { dtype: self.tape.dtype(self.images), rounding: None };
        let mut made = None;
        for (number, class) in list.iter().enumerate() {
            let image = match class {
                Some(class) => self.other(class)?,
                None => self.images,
            };
            let number = Kernel::of_values([], vec![number as f32], numbers);
            let is = ops::with(self.tape, BinaryFunction::Equal, choice, &number)?;
            let part = self.two(BinaryFunction::Where, image, is)?;
            made = Some(match made {
                Some(made) => self.two(BinaryFunction::Add, made, part)?,
                None => part,
            });
        }
        Ok(made.unwrap_or(self.images))
    }

    /// What another augmentation makes of the images, by this one's arguments.
    fn other(&mut self, class: &'static str) -> Result<Value> {
        if class == "AutoContrast" {
            let range = self.value_range()?.map(|value| value as f32);
            return AutoContrast::new().value_range(range).lower(self.tape, &[self.images], &[]);
        }
        let [low, high] = self.range("factor", 0.0)?;
        let factor = match class {
            "RandomPosterization" => (8.0 * high).trunc().max(1.0).to_string(),
            _ => format!("[{low},{high}]"),
        };
        let mut layer = Augmentation::new(class)?.data_format(self.layer.data_format);
        layer.seed = self.layer.seed.clone();
        let names: Vec<_> = layer.arguments().map(|(name, _)| name).collect();
        for name in names {
            layer = match name {
                "value_range" | "interpolation" => {
                    let given = self.layer.arguments().find(|(known, _)| *known == name);
                    given.map_or(Ok(layer.clone()), |(_, json)| layer.clone().argument(name, json))?
                }
                name if name.ends_with("factor") => layer.argument(name, factor.as_str())?,
                _ => layer,
            };
        }
        augmented(&layer, self.tape, self.images)
    }
}
