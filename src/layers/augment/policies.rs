//! Augmentations made of others: some of a list, drawn for the batch, one after the other or mixed.
//!
//! Which they are is known on the device alone, so that each of the list is computed and one is kept.

use super::{Images, augmented};
use crate::layers::describe::Describe;
use crate::layers::{Augmentation, AutoContrast};
use crate::ops::{self, Kernel, Numbers, Value};
use crate::plan::BinaryFunction;
use crate::{DType, Error, Result, Unary};

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
        let alpha = self.alpha()?;
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
        let alpha = self.concentration(alpha)?;
        let shares = self.shares(alpha, 1, chains)?;
        let shares = self.tape.reshape(shares, [chains, 1, 1, 1])?;
        let shares = ops::cast(self.tape, dtype, None, shares)?;
        let own = self.beta(alpha, 1)?;
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
